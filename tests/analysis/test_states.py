"""Which number a run stands for: early stops, restored states, divergence, missing runs."""

import numpy as np
import pytest

from regjax import store
from regjax.analysis.table import curves, load_table, state_steps, state_values
from regjax.report.standing import last_steps
from regjax.results import load_results
from regjax.store import StoreError

# Test accuracy and monitored loss of one run at the steps 0, 10, 20, 30; the loss is best at 10, then again at 30.
ACCURACY = np.array([0.1, 0.2, 0.3, 0.4])
LOSS = np.array([4.0, 1.0, 2.0, 0.5])
BEST, LAST = {"kind": "best"}, {"kind": "last"}


def step(n: int) -> dict:
    """Return the state at a step."""
    return {"kind": "step", "step": n, "label": f"step {n}"}


@pytest.fixture
def one(table):
    """Return a function that gives the values of a single run at a state."""

    def value(at, **kwargs):
        loaded = table(ACCURACY[None, None], nll=LOSS[None, None], **kwargs)
        return state_values(loaded, "test.accuracy", at).item()

    return value


STOP = {(0, 0): 20}
CASES = [
    # neither stops nor restores
    (BEST, {}, 0.4),
    (LAST, {}, 0.4),
    (step(20), {}, 0.3),
    (step(30), {}, 0.4),
    # stops at 20, where the best so far is 10, and keeps its last state
    (BEST, {"stopped": STOP}, 0.2),
    (LAST, {"stopped": STOP}, 0.3),
    (step(10), {"stopped": STOP}, 0.2),
    (step(20), {"stopped": STOP}, 0.3),
    (step(30), {"stopped": STOP}, 0.3),
    # stops at 20 and goes back to its best
    (LAST, {"stopped": STOP, "restores": True}, 0.2),
    (step(0), {"stopped": STOP, "restores": True}, 0.1),
    (step(20), {"stopped": STOP, "restores": True}, 0.2),
    (step(30), {"stopped": STOP, "restores": True}, 0.2),
    # diverges at 15: what lies before stands
    (step(10), {"diverged": {(0, 0): 15}}, 0.2),
    (step(20), {"diverged": {(0, 0): 15}}, np.nan),
    (step(10), {"diverged": {(0, 0): 10}}, np.nan),
    (BEST, {"diverged": {(0, 0): 15}}, np.nan),
    (LAST, {"diverged": {(0, 0): 15}, "restores": True}, np.nan),
    # stopped at 20 before it would have diverged at 25
    (LAST, {"stopped": STOP, "diverged": {(0, 0): 25}}, 0.3),
    (BEST, {"stopped": STOP, "diverged": {(0, 0): 25}}, 0.2),
    # diverged at 15, then NaN never improved: the stop at 20 is none
    (LAST, {"stopped": STOP, "diverged": {(0, 0): 15}}, np.nan),
    (step(10), {"stopped": STOP, "diverged": {(0, 0): 15}, "restores": True}, 0.2),
]


@pytest.mark.parametrize(("at", "story", "expected"), CASES)
def test_state_of_a_run(one, at, story, expected):
    """Every combination of state, early stop, restoring and divergence gives the number worked out by hand."""
    np.testing.assert_equal(one(at, **story), expected)


def test_a_state_at_the_first_bad_step_is_none(table):
    """The state at the step of divergence is already lost, the one before is not."""
    loaded = table(ACCURACY[None, None], diverged={(0, 0): 10})

    assert [state_steps(loaded, step(n)).item() for n in (0, 10, 20)] == [0, -1, -1]


def test_a_restoring_run_that_never_stops_ends_in_its_best_state(table):
    """Restoring does not need a stop, as in Keras 3."""
    loaded = table(ACCURACY[None, None], nll=np.array([[[4.0, 1.0, 2.0, 3.0]]]), restores=True)

    assert state_values(loaded, "test.accuracy", LAST).item() == 0.2
    assert state_values(loaded, "test.accuracy", step(20)).item() == 0.3


def test_status_says_what_came_first(table):
    """A stop before a divergence hides it, a divergence before a stop hides that; missing runs are not done."""
    loaded = table(
        np.full((1, 4), 0.5), stopped={(0, 0): 10, (0, 1): 20}, diverged={(0, 0): 15, (0, 1): 15}, absent={(0, 3)}
    )

    assert loaded.status.done.tolist() == [[True, True, True, False]]
    assert loaded.status.stopped.tolist() == [[10, -1, -1, -1]]
    assert loaded.status.diverged.tolist() == [[-1, 15, -1, -1]]
    assert loaded.status.end.tolist() == [[10, 20, 30, -1]]


def test_curves_end_where_the_run_does(table):
    """A curve is NaN from the first bad step on, after an early stop, and for a missing run."""
    accuracy = np.tile(ACCURACY, (1, 4, 1))
    steps, values = curves(
        table(accuracy, stopped={(0, 0): 10}, diverged={(0, 1): 20}, absent={(0, 2)}), "test.accuracy"
    )

    nan = np.nan
    assert steps.tolist() == [0, 10, 20, 30]
    np.testing.assert_equal(values[0], [[0.1, 0.2, nan, nan], [0.1, 0.2, nan, nan], [nan] * 4, ACCURACY])


def test_runs_fall_into_their_cell_and_seed(table):
    """Values land at their cell and seed whatever the order of runs, chunks and segments; tuning runs stay out."""
    values = np.arange(12.0).reshape(3, 4)
    loaded = table(values, seeds=[3, 1, 0, 2])

    assert state_values(loaded, "test.accuracy", LAST).tolist() == values[:, [3, 1, 0, 2]].tolist()
    assert set(loaded.records["run"]) == {f"{cell:08x}{seed:08x}" for cell in range(3) for seed in range(4)}


def test_missing_runs_are_nan(table):
    """A run that is not done has no value at any state."""
    loaded = table(np.ones((2, 2)), absent={(1, 0)})

    for at in (BEST, LAST, step(10)):
        np.testing.assert_equal(state_values(loaded, "test.accuracy", at), [[1.0, 1.0], [np.nan, 1.0]])


def test_a_run_to_come_has_no_network(folder):
    """Parameters, statistics and predictions of a run that is not done: which run, and that the study goes on."""
    results = load_results(folder(np.ones((2, 2)), absent={(1, 0)}))

    for ask in (results.params, results.stats, lambda cell, seed: results.predict(cell, seed, np.ones((1, 2)))):
        with pytest.raises(StoreError, match="the run of cell 1, seed 0 is not done; run the study again to go on"):
            ask("cell 1", 0)


def test_an_unstarted_study_loads(table):
    """With no finished run everything is NaN, not an error."""
    loaded = table(np.ones((2, 2)), absent={(0, 0), (0, 1), (1, 0), (1, 1)})

    assert not loaded.status.done.any()
    assert np.isnan(state_values(loaded, "test.accuracy", LAST)).all()
    assert curves(loaded, "test.accuracy")[1].shape == (2, 2, 0)


def test_unknown_metric_state_and_step_are_refused(table):
    """Errors name what was got and what there is."""
    loaded = table(np.ones((1, 2)))

    with pytest.raises(ValueError, match=r"'test.f1'.*test.accuracy, validation.nll"):
        state_values(loaded, "test.f1", LAST)
    with pytest.raises(ValueError, match=r"step 15, expected.*0, 10, 20, 30"):
        state_values(loaded, "test.accuracy", step(15))
    with pytest.raises(ValueError, match="kind 'first'"):
        state_steps(loaded, {"kind": "first"})


def test_a_folder_without_a_plan_is_refused(tmp_path):
    """The error of the store names the missing plan."""
    with pytest.raises(StoreError, match=r"plan\.json"):
        load_table(tmp_path)


def test_a_queue_in_training_has_runs_that_ended(folder):
    """Of a queue whose first run stopped, and whose others go on, only these have a last stored step."""
    out = folder(np.full((1, 6), 0.5), stopped={(0, 0): 10})
    queue = {"rows": [[[f"{seed:016x}"]] for seed in (0, 2, 4)]}
    store.write_json(store.chunk_folder(out, "chunk0") / "queue.json", queue)
    assert last_steps(out, store.done_runs(out)) == {}
    store.Part("chunk0", 1).done(out).unlink()
    done = store.done_runs(out)

    assert f"{0:016x}" in done
    assert last_steps(out, done) == {f"{2:016x}": 30, f"{4:016x}": 30, "f" * 16: 30}
