"""Exact mechanisms: they pass on what regjax trains with, and fail where a part does something else."""

import math

import jax
import pytest

from regjax.claims import mechanisms
from regjax.claims.facts import Check, near
from regjax.parts import part
from regjax.regularizers.base import Now, Site
from regjax.regularizers.noise import Dropout


@part
class Wrong(Dropout):
    """Dropout that draws one mask for all updates and does not divide what is left."""

    def site(self, site: Site, x: jax.Array, now: Now) -> jax.Array:
        """Return `x` with the units dropped that the first update drops, the others as they are."""
        assert self.hidden is not None
        return super().site(site, x, now._replace(step=0 * now.step)) * (1 - self.hidden)


def failed(checks: list[Check]) -> list[str]:
    """Return what the failed checks looked at."""
    return [check.says for check in checks if not check.passed]


@pytest.fixture(scope="module")
def zeroes() -> list[Check]:
    """Return the checks of dropout at rate 0.3."""
    return mechanisms.dropout_zeroes(0.3)


def test_dropout_does_what_is_said(zeroes: list[Check]) -> None:
    """Dropout zeroes the share of its rate, anew at each update and example, and is absent at inference."""
    assert failed(zeroes) == []
    assert len([check for check in zeroes if check.says.startswith("the same at inference")]) == 4


def test_another_dropout_is_found_out() -> None:
    """A mask that stays, and units that are not divided, fail the checks of just that."""
    factor, same, again = failed(mechanisms.dropout_zeroes(0.3, Wrong))
    assert factor.startswith("factor on the units")
    assert same == "the same: smallest"
    assert "next update" in again


def test_inference_is_not_scaled_by_the_rate() -> None:
    """At rate 0.2 neither inverted nor classical dropout scales by 0.2; at rate 0.5 classical dropout happens to."""
    inverted, classical, half = mechanisms.inference_factor(0.2)
    assert (inverted.got, inverted.passed, classical.passed, half.passed) == ("1", False, False, True)
    assert float(classical.got) == pytest.approx(0.8, abs=0.005)
    assert failed(mechanisms.mean_is_kept(0.2)) == []


def test_scaling_is_the_geometric_mean() -> None:
    """Under one softmax layer scaled weights are the geometric mean over masks, and not the arithmetic one."""
    assert failed(mechanisms.geometric_mean(0.3)) == []


def test_figures_of_mechanisms_have_their_numbers(zeroes: list[Check]) -> None:
    """C9 is drawn over four rates, zeroed in updates and not at inference; C15 with every unit of two layers."""
    drawn = [check for check in zeroes if check.panel]
    for line, expected in (("in an update", [0.1, 0.3, 0.5, 0.8]), ("at inference", [0.0] * 4)):
        points = sorted((float(c.place), c.found, c.wanted) for c in drawn if c.line == line)
        assert [place for place, _, _ in points] == [0.1, 0.3, 0.5, 0.8]
        assert [wanted for _, _, wanted in points] == expected
        assert [found for _, found, _ in points] == pytest.approx(expected, abs=0.02)
    checks = [check for of in ("norm", "inference") for check in mechanisms.batch_norm_moments(of)]
    assert [check.place for check in checks[::2]] == ["enters the norm", "leaves the norm", "leaves it at inference"]
    assert {len(check.values) for check in checks} == {64}
    # What is looked at is the unit furthest from 0, or from 1.
    for mean, variance in zip(checks[::2], checks[1::2], strict=True):
        assert max(mean.values, key=abs) == mean.found
        assert max(variance.values, key=lambda value: abs(value - 1)) == variance.found


def test_batch_norm_normalises_inside_alone() -> None:
    """Mean 0 and variance 1 hold inside the norm in training, not after it and not at inference."""
    assert failed(mechanisms.batch_norm_moments("norm")) == []
    before_mean, before_var, after_mean, after_var = mechanisms.batch_norm_moments("next_layer")
    # The half-normal's mean is 0.399 and its variance 0.341: what a unit has is near, the furthest a little off.
    assert float(before_mean.got) == pytest.approx(1 / math.sqrt(2 * math.pi), abs=0.1)
    assert float(before_var.got) < 1
    assert (after_mean.got, after_var.got) == ("0.5", "4")
    assert len(failed(mechanisms.batch_norm_moments("inference"))) == 2


def test_tolerance_is_meant() -> None:
    """A check passes within its tolerance and not outside it; NaN is never near."""
    assert near("x", 1.01, 1.0, 0.02).passed
    assert not near("x", 1.03, 1.0, 0.02).passed
    assert not near("x", math.nan, 1.0, 0.02).passed
    assert near("x", 0.0, 0.0, 0.0) == Check("x", "0", "0", True, 0.0, 0.0, 0.0)
