"""Weights & Biases, offline: a folder per run, which `wandb sync` sends when wanted."""

import shutil
from pathlib import Path

import wandb

from regjax.trackers.runs import Tracked

PROJECT = "regjax"


def open_folder(folder: Path) -> "Offline":
    """Return W&B's offline runs below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Offline(folder)


class Offline:
    """Writes offline runs; a run's id is its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, run: Tracked) -> None:
        """Write a run whole; the folder of one of its id is removed first."""
        for place in self.folder.glob(f"wandb/offline-run-*-{run.id}"):
            shutil.rmtree(place)
        # Of the machine it is only the numbers that are told: no console, no source, no hardware.
        settings = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False, x_disable_stats=True
        )
        with wandb.init(
            mode="offline", dir=str(self.folder), project=PROJECT, id=run.id, name=run.name, config=dict(run.config),
            settings=settings,
        ) as session:  # fmt: skip
            for step, values in run.points():
                session.log(values, step=step)
            if run.table is not None:
                session.log({"effects": wandb.Table(dataframe=run.table.astype(object).where(run.table.notna(), None))})
            session.summary.update({**{f"final/{k}": v for k, v in run.final.items()}, "status": run.status})
