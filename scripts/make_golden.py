"""Make the run directory that tests keep of the store's present schema: tests/golden/<schema>/.

    python scripts/make_golden.py tests/golden

Run once for each new schema, and never again over a committed one: the folder stands for what users have on disk. It
holds a study of some seventy kilobytes with all that a directory can hold: runs that diverge, kept parameters and
predictions, histograms of weights.
"""

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

import regjax
from regjax import store
from regjax.progress import Progress

STUDY: dict[str, Any] = {
    "question": "Is what was stored once still read?",
    "primary": {"metric": "test.accuracy", "at": "best", "margin": 0.05},
    "data": {"name": "wine", "split": {"train": 60, "validation": 40, "test": 20}, "scale": "standard"},
    "model": {"name": "mlp", "widths": [3]},
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "training": {"steps": 12, "batch_size": 20, "evaluate_every": {"steps": 4}, "keep": "last"},
    "measure": {"predictions": "test"},
    "seeds": {"count": 2},
    "factors": {"optimizer.learning_rate": [0.01, 1e30]},
}


def main(arguments: list[str] | None = None) -> int:
    """Make the folder; refuse to replace one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the folders of all schemas lie")
    out = parser.parse_args(arguments).folder / str(store.SCHEMA)
    if out.exists():
        parser.error(f"{out} exists, and stands for what users have on disk; remove it only before a release")
    regjax.run(STUDY, out, progress=Progress(io.StringIO(), live=False), report=False)
    for path in (out / ".lock", *out.glob("chunks/*/checkpoint")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in out.rglob("commit_success.txt"):
        # Orbax writes where the folder lay; only that there is such a file counts.
        path.write_text("Checkpoint commit was successful\n", encoding="ascii")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1000:.1f} kB")
    return 0


if __name__ == "__main__":
    main()
