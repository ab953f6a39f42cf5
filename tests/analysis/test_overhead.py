"""What two programs' times in turns say of the cost of a part, and the file that keeps it."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from regjax.analysis.overhead import compare_rounds, rank_ends, ratio_of, read_costs, study_digest, write_costs
from regjax.files import StoreError
from regjax.store import write_json


@pytest.mark.parametrize("n", [6, 7, 8, 9, 15, 30, 61])
def test_the_interval_is_that_of_the_quantile_test(n: int) -> None:
    """The ends are those values that scipy's test of the median does not reject, to the same rank."""
    values = np.random.default_rng(n).exponential(size=n)
    low, high = stats.quantile_test(values, p=0.5).confidence_interval(0.95)

    found = ratio_of(values, np.ones(n))

    assert (found["low"], found["high"]) == (low, high)
    assert found["ratio"] == np.median(values)
    k = rank_ends(n)[0]  # type: ignore[index]
    assert 2 * stats.binom.cdf(k - 1, n, 0.5) <= 0.05 < 2 * stats.binom.cdf(k, n, 0.5)


def test_a_drift_of_the_machine_costs_nothing() -> None:
    """A program against itself is 1 in every round, however fast the machine slows down steadily."""
    at = 0.5 + 0.01 * np.arange(6 * 8).reshape(6, 8)  # calls in their order
    with_first, without, again, with_last = np.split(at, 4, axis=1)
    seconds = np.stack([np.stack([with_first, without], 1), np.stack([with_last, again], 1)], 1)
    seconds[..., 1] += 1.0

    found = compare_rounds(seconds, updates=10, every=5)

    for kind in ("update", "evaluation", "run"):
        assert [found[kind][name] for name in ("ratio", "low", "high")] == pytest.approx([1, 1, 1], rel=1e-12)


def test_evaluation_and_updates_are_told_apart() -> None:
    """An update is what a call takes beyond its evaluation; a run has `every` of them to an evaluation."""
    update, evaluation, updates, every = np.array([0.03, 0.02]), np.array([0.6, 0.2]), 50, 10
    seconds = np.tile(np.stack([evaluation, evaluation + updates * update], axis=1), (8, 2, 1, 1))

    found = compare_rounds(seconds, updates, every)

    assert found["update"]["ratio"] == pytest.approx(1.5)
    assert found["evaluation"]["ratio"] == pytest.approx(3.0)
    assert found["run"]["ratio"] == pytest.approx((0.3 + 0.6) / (0.2 + 0.2))
    assert found["seconds"] == {"update": pytest.approx(list(update)), "evaluation": pytest.approx(list(evaluation))}


def test_one_slow_call_moves_no_median() -> None:
    """A round that another program has disturbed leaves ratio and interval as they are."""
    seconds = np.random.default_rng(0).normal([1.2, 1.0], 0.01, size=(30, 2))
    disturbed = seconds.copy()
    disturbed[seconds[:, 0].argmax(), 0] *= 40

    before, after = ratio_of(*seconds.T), ratio_of(*disturbed.T)

    assert before == pytest.approx(after, rel=0.01)
    assert before["low"] < 1.2 < before["high"]  # type: ignore[operator]


def test_rounds_lost_in_noise_do_not_count() -> None:
    """A round whose difference is not above zero is left out; too few rounds have no interval, none no ratio."""
    with_part = np.array([2.0, 2.0, -0.1, 2.0, 2.0, 2.0, 2.0])

    assert ratio_of(with_part, np.ones(7)) == {"ratio": 2.0, "low": 2.0, "high": 2.0}
    assert ratio_of(with_part[:6], np.ones(6)) == {"ratio": 2.0, "low": None, "high": None}
    assert ratio_of(-with_part[:2], np.ones(2)) == {"ratio": None, "low": None, "high": None}


def test_costs_come_back_as_they_were_written(tmp_path: Path) -> None:
    """costs.json is read as written, refused where a number was altered, and nothing where there is none."""
    assert read_costs(tmp_path) is None
    written = write_costs(tmp_path, {"study": "abc", "parts": [{"factor": "l2.strength", "bytes": [3, 2]}]})

    assert read_costs(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["costs.json"]
    path = tmp_path / "costs.json"
    path.write_text(path.read_text().replace("3,", "4,"))
    with pytest.raises(StoreError, match="regjax cost"):
        read_costs(tmp_path)


def test_costs_that_another_version_wrote_are_not_read(tmp_path: Path) -> None:
    """Costs of another schema are refused: what was got, what is read, and the command that measures anew."""
    write_json(tmp_path / "costs.json", {"schema": 2, "parts": []})
    with pytest.raises(StoreError, match=r"costs\.json has schema 2, expected 1; `regjax cost .*` measures it anew"):
        read_costs(tmp_path)


def test_more_seeds_keep_the_costs_and_another_network_does_not() -> None:
    """Costs belong to a study as far as its data, network and training go."""
    study = {"model": {"widths": [16]}, "seeds": {"count": 3}, "question": "?"}
    grown = json.loads(json.dumps(study)) | {"seeds": {"count": 9}, "question": "!"}

    assert study_digest({"study": study}) == study_digest({"study": grown})
    assert study_digest({"study": study}) != study_digest({"study": study | {"model": {"widths": [17]}}})
