"""Predictions that a study keeps of itself: when, at what cost, and what becomes of folders that lack them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from studies import tiny

import regjax
from regjax.config import parse_study
from regjax.data import load_dataset
from regjax.files import StoreError
from regjax.keeping import MOST_BYTES, keeps_predictions, predictions_bytes, predictions_text
from regjax.plan import make_plan
from regjax.preview import preview
from regjax.progress import Progress
from regjax.tasks import make_task

FIXED = {"count": 2, "vary": ["init", "order", "dropout"]}
TASK = make_task("multiclass", 10, 1)


def study_of(predictions: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the tiny study on one split, judged after its first epoch, with this word on predictions."""
    said = {} if predictions is None else {"measure": {"predictions": predictions}}
    return tiny(**{"seeds": FIXED, "training__epochs": 2, "primary__at": {"epoch": 1}, **said, **changes})


def run(out: Path, *words: Any, **changes: Any) -> tuple[regjax.Results, str]:
    """Return the results of a study, and what was said."""
    said = io.StringIO()
    results = regjax.run(study_of(*words, **changes), out, progress=Progress(said, live=False), report=False)
    return results, said.getvalue()


def ids(predictions: str | None) -> list[str]:
    """Return the identities of the runs of a study."""
    study = parse_study(study_of(predictions))
    return [run.id for run in make_plan(study, load_dataset(**study.dataset_arguments())).runs]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[regjax.Results, str, pd.DataFrame]]:
    """Return a folder without predictions, the same study with the default, and that with a seed more."""
    out = tmp_path_factory.mktemp("grown") / "out"
    found = []
    for words, changes in ((["none"], {}), ([], {}), ([], {"seeds": {**FIXED, "count": 3}})):
        results, said = run(out, *words, **changes)
        found.append((results, said, results.effects()))
    return found


def test_the_default_keeps_what_fits() -> None:
    """One test set for all runs and at most 64 MB: kept; test sets of their own, or more: not, unless asked for."""
    study, own = (parse_study(study_of(**change)) for change in ({}, {"seeds": {"count": 2, "vary": ["split"]}}))
    dataset = load_dataset(**study.dataset_arguments())
    most = MOST_BYTES // (4 * 2 * 100 * 10)

    assert predictions_bytes(study, most, 100, TASK) == MOST_BYTES
    assert keeps_predictions(study, dataset, most, 100, TASK)
    assert not keeps_predictions(study, dataset, most + 1, 100, TASK)
    assert not keeps_predictions(own, dataset, 2, 100, TASK)
    assert keeps_predictions(parse_study(study_of("test")), dataset, most + 1, 100, TASK)
    assert not keeps_predictions(parse_study(study_of("none")), dataset, 2, 100, TASK)


def test_the_default_changes_no_identity() -> None:
    """Runs are the same with the default and with "none"; that predictions are demanded is part of a run."""
    assert ids(None) == ids("auto") == ids("none")
    assert not set(ids("test")) & set(ids("none"))


def test_keeping_changes_no_number(grown, tmp_path: Path) -> None:
    """Records and kept networks are those of a study without predictions, bit for bit."""
    results, _ = run(tmp_path / "out")
    bare = grown[0][0]
    records = bare.to_pandas().query("seed < 2").reset_index(drop=True)

    pd.testing.assert_frame_equal(
        results.to_pandas().drop(columns="seconds"), records.drop(columns="seconds"), check_exact=True
    )
    for name, leaf in results.params(1, 1)["output"].items():
        np.testing.assert_array_equal(leaf, bare.params(1, 1)["output"][name])
    effects = results.effects()
    assert effects["scope"].tolist() == ["on this split"]
    assert (effects["low_new"] <= effects["effect"]).all()


def test_a_folder_without_predictions_is_not_trained_again(grown) -> None:
    """The default finds the runs of a folder that has none done, gives no second interval and says so where asked."""
    _, said, effects = grown[1]

    assert "4 already done" in said
    assert "differs in measure.predictions; plan and report become those of this study" in said
    assert effects["scope"].tolist() == [""]


def test_a_grown_folder_has_those_of_its_new_runs(grown) -> None:
    """A new seed has predictions, old ones have not: no second interval, since it would be of one seed."""
    results, said, effects = grown[2]

    assert "6 runs in 1 group(s), 4 already done" in said
    assert results.predictions()["seed"].unique().tolist() == [2]
    assert effects["scope"].tolist() == [""]


def test_predictions_of_another_state_are_not_used(tmp_path: Path) -> None:
    """Runs that are done stand for another primary state too, their predictions do not."""
    first, _ = run(tmp_path / "out")
    kept = len(first.predictions())
    again, said = run(tmp_path / "out", primary__at={"epoch": 2})

    assert kept == 4 * 128
    assert "4 already done" in said
    assert again.effects()["scope"].tolist() == [""]
    with pytest.raises(StoreError, match="holds no predictions"):
        again.predictions()


def test_the_plan_says_what_is_kept() -> None:
    """`regjax plan` prints whether predictions are kept, why not, and the room they take."""
    own, huge = {"seeds": {"count": 2, "vary": ["split"]}}, 10**6

    def text(kept: bool, num_cells: int = 2, *words: str, **changes: Any) -> str:
        return predictions_text(kept, parse_study(study_of(*words, **changes)), num_cells, 128, TASK)

    assert "predictions: kept for 128 test examples per run, 0.0205 MB in all" in preview(study_of())
    assert text(False, 2, "none") == "predictions: not kept, as the study says"
    assert "as each seed has test examples of its own; [measure] predictions" in text(False, 2, **own)
    assert "as they take 1.02e+04 MB, more than 64 MB; [measure]" in text(False, huge)
