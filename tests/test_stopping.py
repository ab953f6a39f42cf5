"""Prechelt's criteria against curves worked by hand and a whole-curve oracle, alone, together, and in a study."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import early_stopping
from reference_averages import find_stop
from studies import tiny

import regjax
from regjax.observers import EarlyStopping
from regjax.parts import hypers
from regjax.progress import Progress

INF, NAN = float("inf"), float("nan")


def make(**values):
    """Return the criteria with arrays as hypers."""
    fields = {name: values.get(name, getattr(EarlyStopping(), name)) for name in hypers(EarlyStopping)}
    return EarlyStopping(**{name: jnp.float32(value) for name, value in fields.items()})


@jax.jit
def judge_curve(part, values, losses):
    """Return the memory after curves whose evaluations are at the steps 1, 2, ..."""

    def one(watch, item):
        return part.judge(watch, item[1], item[2], item[0])

    return jax.lax.scan(one, part.init(), (jnp.arange(1, len(values) + 1, dtype=jnp.int32), values, losses))[0]


def watch(values, losses=None, **criteria):
    """Return (best step, step of the stop) of curves."""
    losses = np.ones(len(values)) if losses is None else losses
    found = judge_curve(make(**criteria), jnp.array(values, "float32"), jnp.array(losses, "float32"))
    return int(found.best_step), int(found.stopped)


BY_HAND = [
    # values, training losses, criteria, step of the stop
    ([4, 2, 2.5, 3, 1], None, {"gl": 40}, 4),  # GL is 100 (3 / 2 - 1) = 50; 25 before
    ([4, 2, 2.5, 3, 1], None, {"gl": 50}, -1),  # exactly 50 is not above 50
    ([4, 2, 2, 2.25, 9], None, {"gl": 0}, 4),  # equal is no rise
    ([0, 0, 0.5, 0, 0], None, {"gl": 1000}, 3),  # above a lowest of zero every quotient is infinite
    ([2, 1, 4, 2, 8, 4], None, {"up": 1, "strip": 2}, 4),  # 2 is above 1; within strips nothing is compared
    ([2, 1, 4, 2, 1, 4], None, {"up": 2, "strip": 2}, 6),  # 1 < 2 < 4
    ([2, 1, 4, 2, 1, 2], None, {"up": 2, "strip": 2}, -1),  # the rise was interrupted: 2 is not above 2
    ([2, 9, 2, 1, 2, 2], None, {"up": 2, "strip": 2}, -1),
    # Ends of strips: GL 50 at step 4, P = 1000 (1.5 / 1 - 1) = 500, quotient 0.1
    ([4, 2, 3, 3, 1, 1], [9, 9, 1, 2, 1, 1], {"pq": 0.09, "strip": 2}, 4),
    ([4, 2, 3, 3, 1, 1], [9, 9, 1, 2, 1, 1], {"pq": 0.11, "strip": 2}, -1),
    ([4, 2, 3, 2, 3, 2], [9, 9, 1, 1, 1, 1], {"pq": 5, "strip": 2}, -1),  # no progress, but no GL either
    ([4, 2, 3, 3, 3, 2], [9, 9, 1, 1, 1, 1], {"pq": 5, "strip": 2}, 4),  # GL without progress
    ([4, 3, 2, 1], [1, -2, -3, -4], {"pq": 1, "strip": 2}, -1),  # an objective below zero, and the model gets better
    ([NAN, 2, NAN, 4, 1, 1], None, {"gl": 10}, 4),
    ([4, 2, 2.5, 3, 1, 5], None, {"gl": 40, "patience": 1}, 3),  # patience is first
    ([4, 2, 2.5, 3, 1, 5], None, {"gl": 10, "patience": 2}, 3),  # GL is first
]


@pytest.mark.parametrize(("values", "losses", "criteria", "stop"), BY_HAND)
def test_curves_worked_by_hand(values, losses, criteria, stop):
    """Each criterion stops where its definition says."""
    assert watch(values, losses, **criteria)[1] == stop


CURVES = st.lists(st.tuples(st.integers(1, 32), st.integers(1, 16)), min_size=16, max_size=16)
OFF_OR = {
    "patience": [2.0, 4.0],
    "gl": [12.3, 47.1, 131.7],
    "pq": [0.037, 0.113, 0.417],
    "up": [1.0, 2.0, 3.0],
}


@settings(deadline=None, max_examples=150)
@given(CURVES, st.fixed_dictionaries({n: st.sampled_from([INF, *v]) for n, v in OFF_OR.items()}), st.integers(1, 5))
def test_equals_the_whole_curve_oracle(curve, criteria, strip):
    """Alone and together the criteria stop where the first of them holds on the whole curve, and best is before it."""
    values, losses = np.array(curve, float).T / 4
    stop = find_stop(values, losses, **criteria, strip=strip)
    seen = values[: stop + 1] if stop >= 0 else values

    assert watch(values, losses, **criteria, strip=strip) == (int(np.argmin(seen)) + 1, stop + 1 if stop >= 0 else -1)


def test_without_other_criteria_patience_is_as_it_was():
    """On a random walk with `min_delta`, stop and best of patience alone are those of its own oracle."""
    values = np.cumsum(np.random.default_rng(1).normal(-0.1, 1, 16)) + 9
    for patience in (1.0, 2.0, 3.0):
        best, stop = early_stopping(values.astype(np.float32), patience, 0.5)
        assert watch(values, patience=patience, min_delta=0.5) == (best + 1, stop + 1 if stop >= 0 else -1)


FACTORS = {
    "early_stopping.patience": ["off", 1, 3],
    "early_stopping.gl": ["off", 1.0, 20.0],
    "early_stopping.pq": ["off", 0.05],
    "early_stopping.up": ["off", 1, 2],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the results of a restless study in which seven criteria watch one course of training, with its report."""
    return regjax.run(
        tiny(
            primary={"metric": "test.accuracy", "at": "last", "margin": 0.01},
            optimizer={"name": "sgd", "learning_rate": 1.0},
            training={"steps": 24, "batch_size": 16, "evaluate_every": {"steps": 1}, "keep": "last"},
            fixed={"early_stopping.strip": 3, "dropout.hidden": 0.5},
            factors=FACTORS,
            design={"kind": "one_at_a_time"},
        ),
        tmp_path_factory.mktemp("stopping") / "out",
        progress=Progress(io.StringIO(), live=False),
    )


def test_all_criteria_watch_one_course_of_training(study):
    """A run has the records of the run that never stops, up to where its criterion holds on that run's curves."""
    frame = study.to_pandas().sort_values("step")
    stops = []
    for known in study.plan["cells"]:
        criteria = {path.split(".")[1]: INF if v == "off" else v for path, v in known["levels"].items()}
        for seed in study.plan["seeds"]:
            whole, mine = (frame[(frame["cell"] == cell) & (frame["seed"] == seed)] for cell in (0, known["index"]))
            stop = find_stop(*whole[["validation.nll", "batch.loss"]].to_numpy().T, **criteria, strip=3)
            numbers = [name for name in frame if name.split(".")[0] in ("batch", "train", "validation", "test")]
            assert len(mine) == (stop + 1 if stop >= 0 else 24)
            np.testing.assert_array_equal(mine[numbers], whole[numbers][: len(mine)])
            assert mine["stopped"].iloc[-1] == (stop + 1 if stop >= 0 else -1)
            assert mine["best_step"].iloc[-1] == mine["step"].iloc[int(np.argmin(mine["validation.nll"]))]
            stops.append(mine["stopped"].iloc[-1])

    assert len(set(stops)) >= 6
    assert len({part["chunk"] for part in regjax.store.iter_done(study.out)}) == 1
    assert len(regjax.store.load_runs(study.out)["group"].unique()) == 1


def test_stopped_runs_are_reported_in_their_best_state(study):
    """At "last" a run that stopped counts with its best state, in the table of cells; the report names the criteria."""
    frame, cells = study.to_pandas(), study.cells().set_index("cell")
    for known in study.plan["cells"][1:]:
        runs = [run.sort_values("step") for _, run in frame[frame["cell"] == known["index"]].groupby("seed")]
        ends = [run["test.accuracy"].iloc[int(np.argmin(run["validation.nll"]))] for run in runs]
        np.testing.assert_allclose(cells.loc[known["name"], "mean"], np.mean(ends), rtol=1e-6)

    page = (study.out / "report.html").read_text()
    assert all(path in page for path in FACTORS)
