"""How much memory data may take; what files declare is compared with it before anything is decompressed."""

import os
import resource
from pathlib import Path

from regjax.data.checks import DataError

# Converting to float32 and joining parts hold the arrays about twice.
SHARE = 2
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def find_limit() -> int:
    """Return the bytes this process may use: the machine's memory, or less where a container or `ulimit -v` says so."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    limits += [int(text) for text in map(_read, CONTAINER_LIMITS) if text.isdecimal()]
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min([*limits, *([] if own == resource.RLIM_INFINITY else [own])])


def check_size(what: str, num_bytes: int) -> None:
    """Raise DataError where arrays of so many bytes need more than half of `find_limit`.

    Args:
      what: how messages name them.
      num_bytes: as their file declares them.
    """
    most = find_limit() // SHARE
    if num_bytes > most:
        raise DataError(
            f"{what} would take {num_bytes} bytes, expected at most {most}, half of the memory that this process may "
            "use; is the file sound?"
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
