"""Power and the number of seeds, against statsmodels and simulated tests."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from regjax import cli
from regjax.analysis.power import (
    make_power,
    paired_power,
    promise_text,
    required_seeds,
    smallest_effect,
    unpaired_seeds,
    upper_sd,
)
from regjax.analysis.signflip import sign_flip, smallest_p
from regjax.report.power import power_text
from regjax.results import load_results


@pytest.mark.parametrize("num_seeds", [6, 10, 30, 200])
@pytest.mark.parametrize("size", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("m", [1, 4])
def test_power_is_that_of_statsmodels(num_seeds, size, m):
    """The power of a paired t test at alpha / m agrees with statsmodels to 1e-6."""
    theirs = TTestPower().power(size, num_seeds, 0.05 / m)

    assert paired_power(size * 0.02, 0.02, num_seeds, m=m) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("shift", [40, 1e3, 1e6, 1e12])
def test_power_of_a_huge_effect_is_one(shift):
    """Where the noncentral t leaves its series the power is 1, not NaN."""
    assert paired_power(shift, 1.0, 12) == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "power", "m"), [(0.2, 0.9, 1), (0.7, 0.8, 3), (1.5, 0.95, 6)])
def test_the_number_of_seeds_is_the_least(size, power, m):
    """One seed fewer has too little power; the number is that of statsmodels rounded up."""
    seeds = int(required_seeds(1.0, size, power, m=m))
    theirs = math.ceil(TTestPower().solve_power(size, power=power, alpha=0.05 / m))

    assert paired_power(1.0 * size, 1.0, seeds, m=m) >= power > paired_power(size, 1.0, seeds - 1, m=m)
    assert seeds == theirs


def test_no_number_below_what_sign_flips_need():
    """A huge effect takes six seeds at 0.05 and eight at 0.01, as fewer flips have no smaller p; so does SD 0."""
    assert required_seeds(1.0, 100.0) == required_seeds(0.0, 1e-9) == 6
    assert required_seeds(1.0, 100.0, alpha=0.01) == 8
    assert paired_power(100.0, 1.0, 5) == 0.0
    assert smallest_effect(1.0, 5) == math.inf


def test_odd_pilots_have_defined_answers():
    """One seed leaves no SD and no answer; no spread finds anything; an effect of next to nothing takes no number."""
    assert math.isnan(required_seeds(math.nan, 0.1))
    assert math.isnan(upper_sd(math.nan, 1))
    assert math.isnan(smallest_effect(math.nan, 1))
    assert smallest_effect(0.0, 6) == 0.0
    assert required_seeds(1.0, 1e-9) == math.inf


def test_unpaired_seeds_are_those_of_a_test_of_two_samples():
    """Two cells of equal SD take what statsmodels says of two independent samples."""
    theirs = math.ceil(TTestIndPower().solve_power(0.4, power=0.9, alpha=0.05))

    assert unpaired_seeds(np.array([2.0, 2.0]), np.array([1.0, -1.0]), 0.8) == theirs


def test_two_seeds_are_the_least_of_two_samples():
    """One seed per cell leaves no degree of freedom, however large the effect: no test, hence no power."""
    assert unpaired_seeds(np.array([1e-6, 1e-6]), np.array([1.0, -1.0]), 1.0) == 2.0


def test_the_smallest_effect_has_the_power():
    """The smallest effect that seeds find has exactly the wanted power, whatever the unit."""
    effect = smallest_effect(0.003, 14, 0.8, m=2)

    assert paired_power(effect, 0.003, 14, m=2) == pytest.approx(0.8, abs=1e-6)


def test_the_upper_limit_holds_in_four_of_five_pilots():
    """The true SD lies below the upper limit in 80% of normal pilots."""
    sds = np.random.default_rng(0).normal(size=(20_000, 7)).std(axis=1, ddof=1)

    assert np.mean([upper_sd(sd, 7) >= 1.0 for sd in sds]) == pytest.approx(0.8, abs=0.01)


def test_sign_flips_have_about_the_power_of_the_t_test():
    """Simulated sign-flip tests of one contrast find an effect about as often as the t test that the number is from."""
    rng = np.random.default_rng(1)
    draws = rng.normal(0.9, 1.0, (400, 1, 12))
    found = np.mean([sign_flip(d, rng).p[0] <= 0.05 for d in draws])

    assert found == pytest.approx(paired_power(0.9, 1.0, 12), abs=0.06)


@pytest.mark.parametrize("num_contrasts", [1, 5])
@pytest.mark.parametrize("num_seeds", [3, 6, 10])
def test_the_smallest_adjusted_p_hangs_on_seeds_alone(num_contrasts, num_seeds):
    """A family without spread reaches the p that the plan promises, and none lies below, however many contrasts."""
    rng = np.random.default_rng(2)
    same = np.arange(1.0, num_contrasts + 1)[:, None] * np.ones(num_seeds)

    assert sign_flip(same, rng).p.max() == pytest.approx(smallest_p(num_seeds))
    assert sign_flip(same + rng.normal(size=same.shape), rng).p.min() >= smallest_p(num_seeds)


def test_the_smallest_p_of_drawn_flips():
    """Beyond 16 seeds flips are drawn, and 1 / (flips + 1) is the least."""
    rng = np.random.default_rng(3)

    assert smallest_p(20) <= sign_flip(np.ones((2, 20)) + rng.normal(size=(2, 20)) / 50, rng).p.min() < 0.001
    drawn = "smallest adjusted p these seeds allow: 5e-05 (1 / 20001: 20000 of the 2^20 flips are drawn)"
    assert promise_text(20, 2) == drawn
    assert "nothing can be shown" in promise_text(4, 1)


ACCURACY = np.array([[0.90, 0.92, 0.91, 0.93, 0.90, 0.94, 0.91], [0.91, 0.935, 0.91, 0.95, 0.92, 0.945, 0.93]])


def test_the_table_of_a_pilot(table):
    """The row of a contrast has its paired SD, and pairing saves seeds where the cells of a seed go together."""
    row = make_power(table(ACCURACY), 0.005).iloc[0]
    effects = ACCURACY[1] - ACCURACY[0]

    assert row["n"] == 7
    assert row["sd"] == pytest.approx(effects.std(ddof=1))
    assert row["seeds"] == required_seeds(row["sd"], 0.005)
    assert row["seeds"] < row["seeds_upper"] < row["seeds_unpaired"]
    assert row["power"] == paired_power(0.005, row["sd"], 7)


def test_contrasts_declared_together_share_the_level(table):
    """Of two declared contrasts each is counted at half of the level; an exploratory one has no row."""
    names = {"up": ([-1.0, 1.0], True), "down": ([1.0, -1.0], True), "other": ([0.5, -0.5], False)}
    contrasts = [{"name": n, "kind": "simple", "weights": w, "confirmatory": c} for n, (w, c) in names.items()]
    found = make_power(table(ACCURACY, contrasts=contrasts), 0.01, 0.8)
    row = found.iloc[0]

    assert found["contrast"].tolist() == ["up", "down"]
    assert row["power"] == paired_power(0.01, row["sd"], 7, m=2)
    assert row["smallest"] == smallest_effect(row["sd"], 7, 0.8, m=2)
    assert [row["seeds"], row["seeds_upper"]] == [required_seeds(row[sd], 0.01, 0.8, m=2) for sd in ("sd", "sd_upper")]
    sds = ACCURACY.std(axis=1, ddof=1)
    assert row["seeds_unpaired"] == unpaired_seeds(sds, np.array([-1.0, 1.0]), 0.01, 0.8, m=2)


def test_a_diverged_seed_leaves_the_pilot(table):
    """A seed of which a run diverged counts in no SD; with one seed left nothing is known."""
    few = make_power(table(ACCURACY[:, :2], diverged={(0, 1): 0}), 0.005).iloc[0]

    assert few["n"] == 1
    assert few[["sd", "sd_upper", "seeds", "power", "smallest", "seeds_unpaired"]].isna().all()


@pytest.mark.parametrize(("effect", "power"), [(0.0, 0.9), (-1.0, 0.9), (math.inf, 0.9), (math.nan, 0.9), (0.01, 1.0)])
def test_wrong_wishes_are_refused(table, effect, power):
    """No effect, none that is finite and a power of 1 are refused in words."""
    with pytest.raises(ValueError, match="expected a number"):
        make_power(table(ACCURACY), effect, power)


def test_the_command_prints_the_table(folder, capsys):
    """`regjax power OUT --effect 0.005` prints the numbers of `Results.power`; a wrong effect is exit code 2."""
    out = folder(ACCURACY)
    frame = load_results(out).power(0.005, 0.8)

    assert cli.main(["power", str(out), "--effect", "0.005", "--power", "0.8"]) == 0
    printed = capsys.readouterr().out
    assert "0.50 pp" in printed
    assert f" {int(frame['seeds_upper'].iloc[0])} " in printed
    one = power_text(load_results(folder(ACCURACY[:, :1])).table, 0.005, 0.8)
    row = next(line for line in one.splitlines() if line.startswith("dropout.hidden"))
    assert row.split()[-8:] == ["1", *["–"] * 7]
    assert cli.main(["power", str(out), "--effect", "0"]) == 2
    assert "expected a number > 0" in capsys.readouterr().err
