"""Replicates of the training set: which rows they train on, and studies that run with them end to end."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import tiny

import regjax
from regjax.config import ConfigError, parse_study, study_json
from regjax.data import load_dataset
from regjax.data.splits import split_rows
from regjax.plan import find_rows, make_plan
from regjax.planned import plan_json
from regjax.progress import Progress

DISJOINT, BOOTSTRAP = {"kind": "disjoint", "parts": 2}, {"kind": "bootstrap"}


def study_of(replicates: Any, **changes: Any) -> dict[str, Any]:
    """Return the tiny study with replicates."""
    seeds = {"count": 4, "replicates": replicates}
    return tiny(measure={"predictions": "test"}, **{"seeds": seeds, "training__epochs": 2, **changes})


def train_rows(study: dict[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the training and the test rows of each seed of the first cell."""
    dataset = load_dataset("digits")
    plan = make_plan(parse_study(study), dataset)
    rows = [find_rows(plan.study, dataset, run) for run in plan.runs if run.cell == 0]
    return [some.train for some in rows], [some.test for some in rows]


def test_parts_of_a_permutation_are_disjoint_and_cover_the_training_rows() -> None:
    """Seeds 0, 1 and seeds 2, 3 share out the same rows in two ways; the test rows are the same for all."""
    train, test = train_rows(study_of(DISJOINT))
    rows = [set(some.tolist()) for some in train]
    assert [len(some) for some in train] == [48] * 4
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == rows[2] | rows[3]
    assert len(rows[0] | rows[1]) == 96
    assert rows[0] not in (rows[2], rows[3])
    assert all((some == test[0]).all() for some in test)


def test_the_training_size_is_taken_from_the_part() -> None:
    """Smaller training sets of a seed are the beginning of its part, so they stay disjoint from the others'."""
    whole, _ = train_rows(study_of(DISJOINT))
    some, _ = train_rows(study_of(DISJOINT, data__train_size=32))
    assert [mine.tolist() for mine in some] == [part[:32].tolist() for part in whole]
    with pytest.raises(ConfigError, match="an integer from 1 to 48"):
        train_rows(study_of(DISJOINT, data__train_size=49))


def test_a_bootstrap_draws_the_training_rows_with_replacement() -> None:
    """As many rows as there are, 63 of 100 of them different, from the training rows alone, another draw per seed."""
    dataset = load_dataset("digits")
    split = {"train": 1000, "validation": 100, "test": 100}
    all_rows = split_rows(dataset, split=split)
    drawn = [split_rows(dataset, split=split, replicates=BOOTSTRAP, subset_seed=s).train for s in range(20)]
    assert all(len(rows) == 1000 and set(rows) <= set(all_rows.train) for rows in drawn)
    assert np.mean([len(set(rows)) for rows in drawn]) == pytest.approx(1000 * (1 - np.exp(-1)), rel=0.02)
    assert (drawn[0] != drawn[1]).any()


def test_replicates_are_part_of_the_identity_and_of_the_plan() -> None:
    """Runs of other replicates are other runs; the plan and the study as stored name them."""
    dataset = load_dataset("digits")
    plain_seeds = {"count": 4, "vary": ["init", "order", "dropout"]}
    studies = [study_of(DISJOINT), study_of(BOOTSTRAP), study_of(None, seeds=plain_seeds)]
    plans = [make_plan(parse_study(study), dataset) for study in studies]
    assert len({run.id for plan in plans for run in plan.runs}) == 3 * 8
    assert [plan_json(plan, dataset, {})["replicates"] for plan in plans] == [DISJOINT, BOOTSTRAP, None]
    assert "replicates" not in plans[2].runs[0].settings["data"]
    checked = parse_study(studies[0])
    assert parse_study(study_json(checked)).seeds == checked.seeds
    assert set(checked.seeds.vary) == {"init", "order", "dropout", "subset"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"seeds": {"count": 3, "replicates": DISJOINT}},
            "got count = 3, first = 0, expected count and first that are",
        ),
        ({"seeds": {"count": 4, "first": 1, "replicates": DISJOINT}}, "multiples of the 2 parts"),
        ({"seeds": {"count": 4, "replicates": {"kind": "disjoint"}}}, "expected parts = an integer >= 2"),
        ({"seeds": {"count": 4, "replicates": {"kind": "bootstrap", "parts": 2}}}, "bootstrap without parts"),
        ({"seeds": {"count": 4, "replicates": {"kind": "bootsrap"}}}, 'did you mean "bootstrap"?'),
        ({"seeds": {"count": 4, "replicates": {"kind": "disjoint", "part": 2}}}, 'did you mean "parts"?'),
        (
            {"seeds": {"pilot": 4, "max": 8, "halfwidth": 0.01, "replicates": DISJOINT}},
            "seeds: got pilot beside replicates, expected replicates beside count",
        ),
        ({"seeds": {"count": 4, "replicates": DISJOINT, "vary": ["init"]}}, '"subset" among them'),
        ({"seeds": {"count": 4, "replicates": DISJOINT, "vary": ["subset", "split"]}}, "compared on one test set"),
        ({"measure": {}}, 'measure.predictions: got "auto", expected "test" beside seeds.replicates'),
    ],
)
def test_replicates_that_cannot_be_used_are_refused(changes: dict[str, Any], said: str) -> None:
    """Each mistake is a problem that says what is expected."""
    study = study_of(DISJOINT)
    study.update(changes)
    with pytest.raises(ConfigError) as caught:
        parse_study(study)
    assert said in str(caught.value)


def test_more_parts_than_rows_are_a_mistake_of_the_study() -> None:
    """What only the data can show is a problem too."""
    study = study_of({"kind": "disjoint", "parts": 100}, seeds__count=100)
    with pytest.raises(ConfigError, match=r"seeds.replicates.parts: got 100, expected at most the 96 train rows"):
        make_plan(parse_study(study), load_dataset("digits"))


@pytest.mark.parametrize("replicates", [DISJOINT, BOOTSTRAP], ids=["disjoint", "bootstrap"])
def test_a_study_of_replicates_runs_to_its_bias_and_variance(tmp_path: Path, replicates: Any) -> None:
    """The risk of the split is the recorded metric of the same runs, and the report has the section."""
    study = study_of(replicates, primary__at="last")
    results = regjax.run(study, tmp_path / "out", progress=Progress(io.StringIO(), live=False))
    at = {"kind": "last"}
    for loss, metric in (("squared", "test.brier"), ("kl", "test.nll"), ("zero_one", "test.accuracy")):
        found = results.bias_variance(loss)
        mean = results.cells(at, metric)["mean"]
        assert found["risk"].tolist() == pytest.approx((1 - mean if loss == "zero_one" else mean).tolist(), rel=1e-4)
        assert (found["risk"] - found["bias"] - found["variance"]).abs().max() < 1e-12
    assert results.variance()["test_sd"].tolist() == pytest.approx(
        results.cells(at, "test.accuracy")["sd"].tolist(), rel=1e-4
    )
    assert 'id="bias-variance"' in (tmp_path / "out" / "report.html").read_text()
