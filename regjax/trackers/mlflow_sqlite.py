"""MLflow: one SQLite file, and a folder of artifacts."""

import re
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from regjax.analysis.export import csv_text
from regjax.trackers.runs import Tracked

EXPERIMENT, TAG = "regjax", "regjax.id"
MOST_METRICS, MOST_PARAMS, MOST_LETTERS = 1000, 100, 6000


def open_folder(folder: Path) -> "Sqlite":
    """Return MLflow's store in a folder, made where missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return Sqlite(folder)


class Sqlite:
    """Writes runs of one experiment; a run's id is its tag `regjax.id`."""

    def __init__(self, folder: Path) -> None:
        self.client = MlflowClient(f"sqlite:///{(folder / 'mlflow.db').resolve()}")
        known = self.client.get_experiment_by_name(EXPERIMENT)
        place = (folder / "artifacts").resolve().as_uri()
        self.experiment = known.experiment_id if known else self.client.create_experiment(EXPERIMENT, place)

    def write(self, run: Tracked) -> None:
        """Write a run whole; one of its id is deleted first."""
        for old in self.client.search_runs([self.experiment], f"tags.`{TAG}` = '{run.id}'"):
            self.client.delete_run(old.info.run_id)
        own = self.client.create_run(self.experiment, run_name=run.name, tags={TAG: run.id}).info.run_id
        now, last, metrics = int(time.time() * 1000), 0, []
        for last, values in run.points():
            metrics += [Metric(allowed(name), value, now, last) for name, value in values.items()]
        metrics += [Metric(allowed(f"final/{name}"), value, now, last) for name, value in run.final.items()]
        params = [Param(allowed(key), str(value)[:MOST_LETTERS]) for key, value in run.config.items()]
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(own, params=params[start : start + MOST_PARAMS])
        for start in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(own, metrics=metrics[start : start + MOST_METRICS])
        self.client.log_batch(own, tags=[RunTag("status", run.status)])
        if run.table is not None:
            self.client.log_text(own, csv_text(run.table), "effects.csv")
        self.client.set_terminated(own, "FAILED" if run.status.startswith("diverged") else "FINISHED")


def allowed(name: str) -> str:
    """Return a name of letters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]
