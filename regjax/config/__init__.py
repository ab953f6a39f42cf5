"""Study files: what they may say, and everything that is wrong with one at once."""

from regjax.config.cells import CellSettings, find_model_problems, resolve_cell
from regjax.config.checks import find_task_problems
from regjax.config.datasets import DATASETS, Data
from regjax.config.defaults import drawn_streams
from regjax.config.load import load_study
from regjax.config.parse import parse_study
from regjax.config.problems import ConfigError, Problem
from regjax.config.study import Contrast, Marker, Study, Tune, plain, study_json
from regjax.config.tables import Design, Measure, Primary, Seeds, Task, Training
from regjax.config.timing import Steps, resolve_at, resolve_steps

__all__ = [
    "DATASETS",
    "CellSettings",
    "ConfigError",
    "Contrast",
    "Data",
    "Design",
    "Marker",
    "Measure",
    "Primary",
    "Problem",
    "Seeds",
    "Steps",
    "Study",
    "Task",
    "Training",
    "Tune",
    "drawn_streams",
    "find_model_problems",
    "find_task_problems",
    "load_study",
    "parse_study",
    "plain",
    "resolve_at",
    "resolve_cell",
    "resolve_steps",
    "study_json",
]
