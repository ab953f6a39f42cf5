"""Runs that diverge leave the others alone, and are a status with a step wherever runs are told of."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from populations import assert_same_run, compiled, train
from studies import tiny

import regjax
from regjax import cli
from regjax.analysis.export import save_effects
from regjax.data import Dataset
from regjax.plan import Run, find_rows, make_plan
from regjax.progress import Progress
from regjax.trackers.runs import list_tracked
from regjax.train.layout import Layout, Trajectory, make_rows

COURSE = {"training": {"steps": 8, "batch_size": 32, "evaluate_every": {"steps": 2}}, "seeds__count": 4}
WILD = {"factors": {"optimizer.learning_rate": [0.003, 1e30]}}


def run(study: dict[str, Any], out: Path, **options: Any) -> regjax.Results:
    """Return the results of a study, quietly trained."""
    quiet = Progress(io.StringIO(), live=False)
    return regjax.run(study, out, progress=quiet, report=False, **options)


def records(results: regjax.Results) -> pd.DataFrame:
    """Return all records by cell, seed and step, without wall time."""
    frame = results.to_pandas().drop(columns=["seconds"])
    return frame.set_index(["cell", "seed", "step"]).sort_index()


def make_wild(one: Run, name: str, rate: float) -> Trajectory:
    """Return a run with another learning rate."""
    optimizer = dataclasses.replace(one.recipe.optimizer, learning_rate=rate)
    return Trajectory((one._replace(id=name, recipe=dataclasses.replace(one.recipe, optimizer=optimizer)),))


@pytest.mark.parametrize(("path", "levels"), [("dropout.hidden", [0.0, 0.5]), ("sam.radius", [0.0, 0.1])])
def test_wild_learning_rates_change_no_mate(path: str, levels: list[float]) -> None:
    """Beside members whose learning rate is no sensible number the others keep their bits; those alone diverge.

    Here the study file would refuse such rates: the population has to bear them all the same.
    """
    program, functions = compiled(2, Layout(2, 2, 1), **COURSE, factors={path: levels}, model__norm="batch")
    rows = make_rows(program.group.runs, 2)
    calm = train(program, functions, rows).runs
    mates = {row[0].runs[0].id for row in rows}
    rates = (np.nan, np.inf, 1e30, -1e38)
    wild = [(row[0], make_wild(row[1].runs[0], f"wild {rate}", rate)) for row, rate in zip(rows, rates, strict=True)]
    mixed = train(program, functions, [wild[0], wild[1][::-1], *wild[2:]]).runs

    assert set(mixed) == mates | {f"wild {rate}" for rate in rates}
    for name in mates:
        assert_same_run(calm[name], mixed[name])
        assert (mixed[name].records["diverged"] == -1).all()
    assert all(1 <= mixed[f"wild {rate}"].records["diverged"].iloc[-1] <= 8 for rate in rates)


@pytest.mark.parametrize("stream", [False, True])
def test_examples_that_are_no_numbers_spoil_only_who_sees_them(tmp_path: Path, stream: bool) -> None:
    """NaN in rows of one seed's training part diverges that seed, in another's test part leaves it without a number.

    Rows that no seed looks at are NaN as well, row 0 among them, which fills up the last batch of an evaluation.
    """
    whole = regjax.load_dataset("digits")
    data = regjax.make_dataset("mine", whole.x.astype(np.float32), whole.y, peak=16.0)
    study = tiny(data__name="custom", data__scale="none", measure={"predictions": "test"})
    spoiled, parts = spoil(study, data)
    calm = records(run(study, tmp_path / "calm", data=data, stream=stream))
    results = run(study, tmp_path / "mixed", data=spoiled, stream=stream)
    mixed = records(results)
    seed = mixed.index.get_level_values("seed")
    test = [name for name in mixed.columns if name.startswith(("test.", "gap."))]

    assert 0 not in np.concatenate([np.concatenate(part) for part in parts])
    pd.testing.assert_frame_equal(mixed[seed == 2], calm[calm.index.get_level_values("seed") == 2], check_exact=True)
    first = calm[calm.index.get_level_values("seed") == 1]
    pd.testing.assert_frame_equal(mixed[seed == 1].drop(columns=test), first.drop(columns=test), check_exact=True)
    assert mixed.loc[seed == 1, "test.nll"].isna().all()
    assert (results.table.status.diverged >= 1).tolist() == [[True, False, False]] * 2


def spoil(study: dict[str, Any], data: Dataset) -> tuple[Dataset, list[Any]]:
    """Return the data with NaN where seed 0 trains, where seed 1 is tested, and where no seed looks; and the parts."""
    parsed = regjax.parse_study(study)
    runs = {one.seed: one for one in make_plan(parsed, data).runs}
    parts = [find_rows(parsed, data, runs[seed]) for seed in range(3)]
    seen = [set(np.concatenate(part).tolist()) for part in parts]
    x = data.x.copy()
    x[sorted(set(range(len(x))) - set.union(*seen))] = np.nan
    x[[row for row in parts[0].train if row not in seen[1] | seen[2]][:3]] = np.nan
    x[[row for row in parts[1].test if row not in seen[0] | seen[2]][:1]] = np.nan
    return data._replace(x=x), parts


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> regjax.Results:
    """Return the results of a study whose second cell diverges in every seed."""
    return run(tiny(**WILD), tmp_path_factory.mktemp("wild") / "out")


def test_mates_of_a_wild_cell_are_those_of_a_calm_study(wild: regjax.Results, tmp_path: Path) -> None:
    """The first cell of a study with a diverging one has the records that it has beside a calm one, bit for bit."""
    calm = run(tiny(factors={"optimizer.learning_rate": [0.003, 0.001]}), tmp_path / "out")
    pd.testing.assert_frame_equal(records(wild).loc[[0]], records(calm).loc[[0]], check_exact=True)


def test_every_table_says_that_a_run_diverged(wild: regjax.Results, capsys: pytest.CaptureFixture) -> None:
    """Status, effects, cells, records, exports, trackers and the report say of a diverged run that it is, or when."""
    steps = wild.table.status.diverged[1].tolist()
    frame = wild.to_pandas()
    last = frame[frame["cell"] == 1].groupby("seed")["diverged"].last()
    assert cli.main(["status", str(wild.out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    effects, exported = save_effects(wild.table, wild.out)
    tidy = pd.read_parquet(exported)
    statuses = [one.status for one in list_tracked(wild.table) if one.config.get("cell") == 1]
    page = wild.report().read_text(encoding="utf-8")
    section = re.sub(r"<[^>]*>|\s+", " ", page.partition('<section id="diverged"')[2].partition("</section>")[0])

    assert min(steps) >= 1
    assert last.tolist() == steps
    assert tidy[tidy["diverged"] >= 0].groupby("seed")["diverged"].last().tolist() == steps
    assert statuses == [f"diverged at step {step}" for step in steps]
    assert status["runs"]["diverged"] == 3
    assert [group["diverged"] for group in status["groups"]] == [3]
    assert [row["diverged"] for row in status["effects"]] == [3]
    assert [row["diverged"] for row in status["cells"]] == [0, 3]
    assert pd.read_csv(effects)["diverged"].max() == 3
    assert all(re.search(f"=1e[+]30 +{seed} +{step} ", section) for seed, step in enumerate(steps))


@pytest.mark.parametrize("rate", [np.nan, np.inf, -1.0, "1e400"])
def test_a_study_refuses_a_rate_that_is_no_number(rate: Any) -> None:
    """NaN, infinite and negative learning rates are refused before anything is written."""
    with pytest.raises(regjax.ConfigError, match=r"optimizer\.learning_rate"):
        regjax.parse_study(tiny(factors={"optimizer.learning_rate": [0.003, rate]}))
