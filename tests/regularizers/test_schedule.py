"""Schedules: a regularizer may begin late and end early, and is off before and after."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small

from regjax.optimizers import SGD
from regjax.parts import hypers
from regjax.regularizers import REGULARIZERS, Scheduled
from regjax.train.step import make_now

STEPS = 20
# The schedule is one for all rows: those of loss, gradient and weights, smoothing and dropout stand for them.
NAMES = (
    "label_smoothing", "dropout", "l1", "l2", "l2_sp", "orthogonality", "spectral_norm", "activation_l1",
    "activation_l2", "kl_sparsity", "confidence_penalty", "jacobian", "gradient_penalty", "clip_norm", "clip_value",
    "gradient_noise", "decay", "l1_proximal", "elastic_net", "group_lasso", "non_negativity", "max_norm", "unit_norm",
)  # fmt: skip
SWITCHES = [(n, f) for n in NAMES for f, h in hypers(REGULARIZERS[n]).items() if h.off is not None]
# Bounds that small gradients reach; any other switch is on at a quarter.
VALUES = {("clip_norm", "bound"): 0.1, ("clip_value", "bound"): 0.01}


def make_member(switch, begin=None, end=None):
    """Return a recipe with all regularizers, one switch on; scheduled where begin and end are given."""
    parts = []
    for name in NAMES:
        part = REGULARIZERS[name](**({switch[1]: VALUES.get(switch, 0.25)} if switch and switch[0] == name else {}))
        parts.append(part if begin is None else Scheduled(part, begin, end))
    return small.make_recipe(*parts, optimizer=SGD(0.05, momentum=0.9), steps=STEPS)


@functools.cache
def trainer():
    """Return recipes [members] -> parameters after every update, flat [members, updates, parameters]."""
    x, labels = small.make_batches(STEPS)
    seed = small.make_seed()

    def follow(recipe):
        def update(state, batch):
            now = make_now(recipe, seed, state, batch[0])
            state = small.step(recipe, state, batch[1], batch[2], jnp.arange(16), now)[0]
            return state, jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state.params)])

        begin = small.init_state(recipe, seed, small.Data(x[0], labels[0]))
        return jax.lax.scan(update, begin, (jnp.arange(STEPS, dtype=jnp.int32), x, labels))[1]

    return jax.jit(jax.vmap(follow))


@functools.cache
def trace(begin=None, end=None):
    """Return the parameters after every update of a member per switch, and of one with all off at the end."""
    return np.asarray(trainer()(small.stack(*(make_member(s, begin, end) for s in (*SWITCHES, None)))))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_row_is_off_outside_of_its_time(name):
    """Of every row each switch is at its off value before begin and from end on, and what the study says between."""
    switches = {field: h.off for field, h in hypers(REGULARIZERS[name]).items() if h.off is not None}
    recipe = small.traced(small.make_recipe())
    state = small.init_state(recipe, small.make_seed(), small.Data(jnp.ones((1, 8)), jnp.zeros(1, jnp.int32)))
    part = REGULARIZERS[name](**dict.fromkeys(switches, jnp.float32(0.25)))
    scheduled = Scheduled(part, jnp.float32(0.25), jnp.float32(0.75))

    for step, active in ((0, False), (24, False), (25, True), (74, True), (75, False), (99, False)):
        found = scheduled.at(make_now(recipe, small.make_seed(), state, jnp.int32(step)))
        assert type(found) is REGULARIZERS[name]
        assert {f: float(getattr(found, f)) for f in switches} == (
            dict.fromkeys(switches, 0.25) if active else switches
        )


def test_a_schedule_over_the_whole_training_changes_no_bit():
    """From 0 to 1 every scheduled regularizer trains the very network of the plain one."""
    whole, plain = trace(0.0, 1.0), trace()

    assert [s for s, a, b in zip(SWITCHES, whole, plain, strict=False) if a.tobytes() != b.tobytes()] == []


def test_off_before_its_begin():
    """With begin = 0.5 the first half is that of a training with all off, bit for bit, and the second is not."""
    found, half = trace(0.5, 1.0), STEPS // 2

    for switch, member in zip(SWITCHES, found, strict=False):
        assert member[:half].tobytes() == found[-1][:half].tobytes(), switch
        # l2_sp remembers where the training began, not where it was when the regularizer did.
        assert member[half].tobytes() != found[-1][half].tobytes(), switch


def test_off_after_its_end():
    """With end = 0.5 the first half is that of the plain regularizer; a begin of 1 is off throughout."""
    found, half = trace(0.0, 0.5), STEPS // 2
    plain, never = trace(0.0, 1.0), trace(1.0, 1.0)

    for switch, member, other in zip(SWITCHES, found, plain, strict=False):
        assert member[:half].tobytes() == other[:half].tobytes(), switch
        assert member[half].tobytes() != other[half].tobytes(), switch
    assert all(member.tobytes() == plain[-1].tobytes() for member in never)
