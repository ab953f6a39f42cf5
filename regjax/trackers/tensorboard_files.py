"""TensorBoard: a folder of event files per run."""

import json
import shutil
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from regjax.analysis.export import csv_text
from regjax.trackers.runs import Tracked


def open_folder(folder: Path) -> "TensorBoard":
    """Return TensorBoard's event files below a folder."""
    return TensorBoard(folder)


class TensorBoard:
    """Writes runs as event files; a run's folder is its id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, run: Tracked) -> None:
        """Write a run whole; the folder of one of its id is removed first."""
        place = self.folder / run.id
        if place.exists():
            shutil.rmtree(place)
        last = 0
        with SummaryWriter(str(place)) as writer:
            for last, values in run.points():
                for name, value in values.items():
                    writer.add_scalar(name, value, last)
            final = {f"final/{name}": value for name, value in run.final.items()}
            for name, value in final.items():
                writer.add_scalar(name, value, last)
            for summary in hparams({"name": run.name, **run.config, "status": run.status}, final):
                writer.file_writer.add_summary(summary)
            writer.add_text("name", run.name)
            writer.add_text("status", run.status)
            writer.add_text("config", f"```\n{json.dumps(dict(run.config), indent=1)}\n```")
            if run.table is not None:
                writer.add_text("effects", f"```\n{csv_text(run.table)}```")
