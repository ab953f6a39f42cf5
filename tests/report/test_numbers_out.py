"""Numbers out: CSV, Parquet and LaTeX of a run directory."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regjax import cli
from regjax.analysis.effects import all_effects
from regjax.report.latex import escape
from regjax.report.numbers import protect
from regjax.results import load_results

sys.path.append(str(Path(__file__).parents[1] / "analysis"))
from conftest import write_folder  # noqa: E402
