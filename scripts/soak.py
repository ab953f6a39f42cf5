"""Does one process that trains study after study keep memory, open files, threads or device buffers?

    python scripts/soak.py --studies 40 --seeds 25

Trains that many tiny studies of two cells into folders of their own, reads each back, and prints after each what the
process holds. The exit status is 1 where memory grew by more than 5% from a quarter of the way to the end, or where
files, threads or device buffers are more than they were there.
"""

import argparse
import gc
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import regjax
from regjax.progress import Progress

# What grows until a quarter of the studies is done is warm-up: libraries that are imported late, caches that fill.
WARM = 0.25
MOST_GROWTH = 0.05


class Held(NamedTuple):
    """What a process holds: resident memory in MiB, open files, threads, arrays on devices."""

    memory: float
    files: int
    threads: int
    buffers: int


def look() -> Held:
    """Return what this process holds now, after a garbage collection."""
    import jax

    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    files = len(list(Path("/proc/self/fd").iterdir()))
    return Held(memory, files, threading.active_count(), len(jax.live_arrays()))


def make_study(seeds: int, first: int = 0) -> dict[str, Any]:
    """Return a study of dropout off and on, of a few updates."""
    return {
        "question": "Does anything stay behind?",
        "primary": {"metric": "test.nll", "at": "last"},
        "data": {"name": "digits", "split": {"train": 96, "validation": 32, "test": 32}},
        "model": {"name": "mlp", "widths": [8]},
        "optimizer": {"name": "adam", "learning_rate": 0.003},
        "training": {"epochs": 2, "batch_size": 32},
        "seeds": {"count": seeds, "first": first},
        "factors": {"dropout.hidden": [0.0, 0.5]},
    }


def soak(studies: int, seeds: int, folder: Path) -> Iterator[Held]:
    """Train studies of 2 x `seeds` runs, each of new seeds, and yield what the process holds after each."""
    for index in range(studies):
        quiet = Progress(io.StringIO(), live=False)
        study = make_study(seeds, index * seeds)
        results = regjax.run(study, folder / str(index), progress=quiet, report=False)
        assert len(results.effects()) == 1
        assert results.table.status.done.all()
        del results
        yield look()


def judge(held: list[Held]) -> list[str]:
    """Return what grew from a quarter of the way to the end, in words; nothing where all is flat.

    >>> judge([Held(100.0, 5, 2, 0)] * 3 + [Held(106.0, 5, 3, 0)])
    ['memory grew from 100.0 to 106.0 MiB', 'threads grew from 2 to 3']
    """
    warm, end = held[int(WARM * len(held)) - 1 if len(held) >= 1 / WARM else 0], held[-1]
    found = []
    if end.memory > (1 + MOST_GROWTH) * warm.memory:
        found.append(f"memory grew from {warm.memory:.1f} to {end.memory:.1f} MiB")
    for name in ("files", "threads", "buffers"):
        before, after = getattr(warm, name), getattr(end, name)
        if after > before:
            found.append(f"{name} grew from {before} to {after}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a row per study, and what grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=25, help="of each study; it has two cells")
    chosen = parser.parse_args(arguments)

    held: list[Held] = []
    print("  runs  memory MiB  files  threads  buffers")
    with tempfile.TemporaryDirectory() as folder:
        for now in soak(chosen.studies, chosen.seeds, Path(folder)):
            held.append(now)
            runs = 2 * chosen.seeds * len(held)
            print(f"{runs:6d}  {now.memory:10.1f}  {now.files:5d}  {now.threads:7d}  {now.buffers:7d}", flush=True)
    grown = judge(held)
    print("; ".join(grown) or "nothing grew")
    return bool(grown)


if __name__ == "__main__":
    sys.exit(main())
