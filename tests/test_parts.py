"""Parts: intervals, what is traced and what is static, when a part is off."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regjax.models import MLP
from regjax.observers import EarlyStopping
from regjax.optimizers import Adam
from regjax.parts import Interval, child, hyper, hypers, is_off, part, setting
from regjax.regularizers import L2, REGULARIZERS, Dropout, MaxNorm

INF, NAN = math.inf, math.nan


@part
class Inner:
    """A part for these tests."""

    strength: float = hyper(off=0.0, range="[0, 1]", help="size")
    rate: float = hyper(range="(0, inf)", default=2.0, help="no off value")
    width: int = setting(default=3, range="[1, inf)")


@part
class Outer:
    """A part that holds others."""

    inner: Inner = child()
    more: tuple[Inner, ...] = child()
    name: str = "a"


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("[0, 1)", [0, 0.5], [1, -1e-9, NAN]),
        ("(0, inf)", [1e-30, 1e30], [0, INF, -1]),
        ("(0, inf]", [1, INF], [0, NAN, -INF]),
        ("[-1,1]", [-1, 1], [1.001]),
        ("[ 1 , 1 ]", [1], [0]),
    ],
)
def test_interval(text, inside, outside):
    """Ends belong to the interval as its brackets say; NaN belongs to none."""
    found = Interval.parse(text)

    assert all(found.contains(value) for value in inside)
    assert not any(found.contains(value) for value in outside)


@pytest.mark.parametrize("text", ["", "0, 1", "[0; 1]", "[0 1]", "[0, 1", "{0, 1}", "[a, 1]"])
def test_what_is_no_interval(text):
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"expected an interval|could not convert"):
        Interval.parse(text)


@given(st.integers(-99, 99), st.integers(-99, 99) | st.just(INF), st.booleans(), st.booleans())
def test_interval_reads_what_it_writes(low, high, low_closed, high_closed):
    """An interval's text reads back as the interval."""
    interval = Interval(float(low), float(high), low_closed, high_closed)

    assert Interval.parse(str(interval)) == interval


def test_traced_and_static():
    """Hypers and children are leaves, settings are structure."""
    assert jax.tree.leaves(Inner(0.5, 3.0, 7)) == [0.5, 3.0]
    assert jax.tree.leaves(Outer(Inner(0.1, 0.2), (Inner(0.3, 0.4),))) == [0.1, 0.2, 0.3, 0.4]
    structure = jax.tree.structure
    assert structure(Inner(0.5)) == structure(Inner(0.0, 9.0))
    assert structure(Inner(width=4)) != structure(Inner())
    assert structure(Outer(Inner(), ())) != structure(Outer(Inner(), (), "b"))
    assert structure(Outer(Inner(), ())) != structure(Outer(Inner(), (Inner(),)))
    assert structure(Outer(Inner(width=1), ())) != structure(Outer(Inner(width=2), ()))


def test_parts_are_frozen():
    """A part cannot be altered."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Inner().strength = 0.1


def test_one_program_for_all_values_of_a_hyper():
    """Another hyper value retraces nothing, another setting does."""
    traces = []

    @jax.jit
    def double(inner):
        traces.append(inner.width)
        return inner.strength * 2

    for inner in (Inner(jnp.float32(0.1)), Inner(jnp.float32(0.7)), Inner(jnp.float32(0.1), width=5)):
        double(inner)
    assert traces == [3, 5]


def test_hypers_are_listed():
    """`hypers` names the traced scalars with what is known of them; the off value is the default."""
    found = hypers(Inner)

    assert list(found) == ["strength", "rate"]
    assert (found["strength"].off, found["rate"].off) == (0.0, None)
    assert (Inner().strength, Inner().rate) == (0.0, 2.0)
    assert hypers(Dropout)["hidden"].per_layer
    assert not hypers(Dropout)["input"].per_layer
    assert list(hypers(MLP)) == []
    assert hypers(EarlyStopping)["restore"].flag


@pytest.mark.parametrize(
    ("cls", "values", "off"),
    [
        (L2, {}, True),
        (L2, {"strength": 0.0}, True),
        (L2, {"strength": 0}, True),
        (L2, {"strength": 1e-30}, False),
        (Dropout, {"hidden": 0.0, "input": 0.0}, True),
        (Dropout, {"hidden": 0.0, "input": 0.1}, False),
        (Dropout, {"hidden": [0.0, 0.0]}, True),
        (Dropout, {"hidden": (0.0, 0.5)}, False),
        (MaxNorm, {"bound": INF}, True),
        (MaxNorm, {"bound": 3.0}, False),
        (EarlyStopping, {"patience": INF, "min_delta": 0.5}, True),
        (EarlyStopping, {"patience": 5}, False),
        (Adam, {"learning_rate": 0.1}, False),  # nothing switches an optimizer off
        (Adam, {}, False),
    ],
)
def test_is_off(cls, values, off):
    """A part is off when every hyper that has an off value is at it, whatever the others are."""
    assert is_off(cls, values) is off


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_has_a_switch_inside_its_range(name):
    """The off value and default of every hyper lie in its range, and a help line says what it is."""
    found = hypers(REGULARIZERS[name])

    assert any(h.off is not None for h in found.values())
    for field, h in found.items():
        assert h.range.contains(getattr(REGULARIZERS[name](), field))
        assert h.help


def test_parts_of_two_classes_have_two_structures():
    """Two parts with the same fields are not one tree structure: jax would take one's program for the other's."""
    from regjax.regularizers import L1, L2

    assert jax.tree.structure(L1(1.0)) != jax.tree.structure(L2(1.0))
    assert jax.tree.structure(L1(1.0)) == jax.tree.structure(L1(2.0))
