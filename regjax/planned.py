"""What is planned, as plan.json and runs.parquet keep it, and on what it is trained."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from regjax import __version__, runtime
from regjax.codes import code_digest
from regjax.config import drawn_streams, plain, study_json
from regjax.data import Dataset
from regjax.design import describe_design, make_level_contrasts, match_cells
from regjax.files import canonical
from regjax.labels import count_targets
from regjax.plan import Plan, restores
from regjax.sources import sources_json
from regjax.train.inputs import seed_of
from regjax.train.layout import data_shapes, member_shapes
from regjax.train.program import count_params


def make_runs_table(plan: Plan) -> pd.DataFrame:
    """Return one row per run: identity, wave, cell, seed, redrawn stream, group, restores; as JSON hypers, settings."""
    rows = []
    for index, group in enumerate(plan.groups):
        for run in group.runs:
            rows.append(
                {
                    "run": run.id,
                    "wave": run.wave,
                    "cell": run.cell,
                    "seed": run.seed,
                    "stream": run.stream,
                    "group": index,
                    "restores": restores(run),
                    "hypers": canonical({**dict(run.settings["active"]), "optimizer": run.settings["optimizer"]}),
                    "settings": canonical(run.settings),
                }
            )
    return pd.DataFrame(rows)


def plan_json(plan: Plan, dataset: Dataset, study_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan as plain JSON, as the store keeps it and the analysis reads it."""
    study, first = plan.study, plan.groups[0]
    markers = [
        {"label": m.label, "cell": int(match_cells([c.levels for c in plan.cells], m.when).argmax()), "value": m.value}
        for m in study.markers
    ]
    asked = make_level_contrasts(study)
    return {
        "question": study.question,
        "study": dict(study_json),
        "primary": plan.primary,
        "factors": [{"path": path, "levels": plain(levels)} for path, levels in study.factors.items()],
        "fixed": plain(study.fixed),
        "cells": plain([{"index": c.index, "name": c.name, "levels": c.levels} for c in plan.cells]),
        "seeds": sorted({run.seed for run in plan.runs}),
        "vary": list(study.seeds.vary),
        "replicates": plain(study.seeds.replicates),
        "drawn": list(drawn_streams(vars(study))),
        "contrasts": plan.contrasts,
        **({"level_contrasts": asked} if asked else {}),
        "headline": study.design.headline,
        "design": describe_design(study, plan.cells),
        "markers": markers,
        "monitor": study.training.monitor,
        "steps": first.steps.steps,
        "steps_per_epoch": first.steps.steps_per_epoch,
        "data": {
            "name": dataset.name,
            "digest": dataset.digest,
            "num_classes": dataset.num_classes,
            "num_targets": count_targets(dataset),
            "input_shape": list(dataset.x.shape[1:]),
            "pooled": study.data.split is not None or not dataset.parts,
            "num_pool": len(dataset.y),
            **{f"num_{name}": count for name, count in first.counts.items()},
        },
        "tuned": {str(index): plain(values) for index, values in plan.tuned.items()},
        **({"stein": _stein_json(plan)} if study.seeds.pilot else {}),
    }


def _stein_json(plan: Plan) -> dict[str, Any]:
    seeds = plan.study.seeds
    return plan.stein or {"pilot": seeds.pilot, "max": seeds.max, "halfwidth": seeds.halfwidth}


def describe_plan(plan: Plan, dataset: Dataset, found: runtime.Runtime, repeated: int) -> dict[str, Any]:
    """Return the plan as the store keeps it: the question, digest of the engine's code, machine, command.

    `repeated` is how many test examples of the first run are training or validation examples too.
    """
    first = plan.groups[0].runs[0]
    shapes = member_shapes(first.recipe, seed_of(plan.study, dataset, first), data_shapes(dataset))
    called = Path(sys.argv[0]).stem in ("regjax", "__main__")
    described = plan_json(plan, dataset, study_json(plan.study))
    described["data"]["repeated"] = repeated
    return {
        **described,
        **sources_json(plan.study),
        "num_params": count_params(shapes.params),
        **describe_machine(found),
        "code": code_digest(()),
        "command": shlex.join(["regjax", *sys.argv[1:]]) if called else "",
    }


def describe_machine(found: runtime.Runtime) -> dict[str, Any]:
    """Return what runs are trained on: versions, devices, commit, and flags of XLA and jax from the environment."""
    libraries = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "pandas", "pyarrow")
    return {
        "versions": {
            "regjax": __version__,
            "python": sys.version.split()[0],
            **{name: version(name) for name in libraries},
        },
        "devices": [found.devices],
        "commit": find_commit(),
        "flags": runtime.read_flags(),
    }


def find_commit() -> str | None:
    """Return the commit of the source tree that regjax runs from, "+" where it was changed; None outside of git."""
    tracked = _ask_git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit = _ask_git("rev-parse", "--short=12", "HEAD") if tracked else None
    return commit and commit + ("+" if _ask_git("status", "--porcelain", "--untracked-files=no") else "")


def _ask_git(*words: str) -> str | None:
    """Return what git says about the folder of this file, None where it fails or is absent."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
