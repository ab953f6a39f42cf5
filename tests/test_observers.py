"""Early stopping against curves worked by hand, a whole-curve oracle, and Keras."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_peer import ask
from reference import early_stopping

from regjax.observers import OBSERVERS, EarlyStopping
from regjax.parts import hypers

NAN, INF = float("nan"), float("inf")


def make(patience, min_delta=0.0):
    """Return the criteria with arrays as hypers, those of one or of several observers."""
    like = jnp.asarray(patience, jnp.float32)
    values = {"patience": patience, "min_delta": min_delta}
    fields = {name: values.get(name, getattr(EarlyStopping(), name)) for name in hypers(EarlyStopping)}
    return EarlyStopping(**{name: jnp.broadcast_to(jnp.float32(v), like.shape) for name, v in fields.items()})


@jax.jit
def judge_curve(part, values):
    """Return the memory after a curve whose evaluations are at the steps 10, 20, ..., and which improved."""

    def one(watch, item):
        return part.judge(watch, item[1], jnp.float32(1), item[0])

    return jax.lax.scan(one, part.init(), (10 * jnp.arange(1, len(values) + 1, dtype=jnp.int32), values))


def watch(values, patience=INF, min_delta=0.0):
    """Return (best_step, stopped) of a curve."""
    part = make(patience, min_delta)
    found = judge_curve(part, jnp.array(values, jnp.float32))[0]
    return int(found.best_step), int(found.stopped)


BY_HAND = [
    # values, patience, min_delta, best step, stop step
    ([5, 4, 3, 2], 1, 0, 40, -1),
    ([5, 4, 4, 3], 1, 0, 20, 30),  # equal is no improvement
    ([5, 4, 6, 3, 7, 8], 2, 0, 40, 60),
    ([5, 4, 6, 3, 7, 8], 3, 0, 40, -1),
    ([5, 4, 6, 7, 1], 2, 0, 20, 40),  # what comes after the stop is not looked at
    ([5.0, 4.75, 4.5, 4.25], 2, 0.5, 10, 30),  # against the last improvement: 4.5 is not below 5 - 0.5
    ([5.0, 4.75, 4.25, 4.0], 2, 0.5, 30, -1),
    ([NAN, 4, NAN, 3], 2, 0, 40, -1),
    ([4, NAN, NAN, 3], 2, 0, 10, 30),
    ([NAN, NAN, NAN], 2, 0, -1, 20),
    ([NAN, 4], 1, 0, -1, 10),
    ([INF, 4], 2, 0, 20, -1),
    ([3, 3, 3, 3], INF, 0, 10, -1),
    ([-1, -2, -3, -3], 1, 0, 30, 40),  # a negated accuracy
]


@pytest.mark.parametrize(("values", "patience", "min_delta", "best", "stop"), BY_HAND)
def test_curves_worked_by_hand(values, patience, min_delta, best, stop):
    """Best and stop are where the definition puts them."""
    assert watch(values, patience, min_delta) == (best, stop)


LOSSES = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0, 1.5, 2.0, 2.25]), st.floats(-8, 8, width=16), st.just(NAN)),
    min_size=12,
    max_size=12,
)


@settings(deadline=None, max_examples=100)
@given(LOSSES, st.sampled_from([1, 2, 3, 5, INF]), st.sampled_from([0.0, 0.25, 1.0]))
def test_equals_the_whole_curve_oracle(values, patience, min_delta):
    """The running memory gives what looking at the whole curve gives, NaN included."""
    best, stop = early_stopping(values, patience, min_delta)

    assert watch(values, patience, min_delta) == (
        10 * (best + 1) if best >= 0 else -1,
        10 * (stop + 1) if stop >= 0 else -1,
    )


@settings(deadline=None, max_examples=50)
@given(LOSSES)
def test_off_never_stops_and_best_is_the_first_minimum(values):
    """Without patience a run never stops, and its best step is the first minimum of what is not NaN."""
    best, stop = watch(values)

    assert stop == -1
    assert best == (-1 if np.isnan(values).all() else 10 * (int(np.nanargmin(values)) + 1))


def test_default_is_off():
    """Early stopping without settings never stops, and is a row of the observers."""
    assert EarlyStopping().patience == INF
    assert OBSERVERS["early_stopping"] is EarlyStopping


def test_members_stop_apart():
    """Under vmap each member has its own patience and memory."""
    values = jnp.tile(jnp.array([3.0, 2.0, 4.0, 4.0, 4.0]), (3, 1))
    parts = make(jnp.array([1.0, 3.0, INF]), jnp.zeros(3))
    found = jax.vmap(judge_curve)(parts, values)[0]

    assert found.stopped.tolist() == [30, 50, -1]
    assert found.best_step.tolist() == [20, 20, 20]


def test_nothing_improves_after_the_stop():
    """The flags that make the best state be kept are not raised once a member has stopped."""
    part = make(1)

    assert judge_curve(part, jnp.array([3.0, 4.0, 1.0, 0.5]))[1].tolist() == [True, False, False, False]


def test_equals_keras(tmp_path):
    """On random walks with ties and NaN inside, stop and restored state are those of Keras' EarlyStopping."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is absent (install the extra 'dev')")
    generator = np.random.default_rng(2)
    count, length = 120, 15
    curves = np.round(np.cumsum(generator.normal(-0.1, 1, (count, length)), axis=1) * 4) / 4  # ties happen
    curves[::3, 6] = NAN
    patience, min_delta = generator.integers(1, 6, count), generator.choice([0.0, 0.25, 0.5], count)
    keras = ask("stopping", tmp_path, curves=curves, patience=patience, min_delta=min_delta)
    parts = make(patience, min_delta)
    found = jax.vmap(judge_curve)(parts, jnp.asarray(curves, jnp.float32))[0]

    assert 20 < np.sum(keras["stopped"] > 0) < count
    np.testing.assert_array_equal(np.where(found.stopped > 0, found.stopped // 10, -1), keras["stopped"])
    np.testing.assert_array_equal(found.best_step // 10, keras["best"])
