"""Other statistics of the same effects, against scipy, statsmodels and tables worked by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from regjax.analysis.appendix import bca, describe, make_appendix, signed_rank, tost
from regjax.analysis.multiplicity import benjamini_hochberg, holm
from regjax.analysis.table import Table
from regjax.report.appendix import make_section

RNG = np.random.default_rng(7)
# Multiples of 2^-10 are exact in float32 too.
ARMS = RNG.integers(900, 1000, (2, 24)) / 1024


def row(table: Table) -> dict[str, float]:
    """Return the only row of the appendix."""
    return make_appendix(table).iloc[0].to_dict()


def test_statistics_are_those_of_scipy_and_statsmodels(table: Callable[..., Table]) -> None:
    """Signed rank, trimmed mean, correlation and both one-sided tests agree with independent code."""
    found = row(table(ARMS))
    d = ARMS[1] - ARMS[0]

    assert found["wilcoxon_p"] == pytest.approx(stats.wilcoxon(d).pvalue)
    assert found["iqm"] == pytest.approx(np.sort(d)[6:-6].mean())
    assert found["d_z"] == pytest.approx(stats.ttest_1samp(d, 0).statistic / np.sqrt(24))
    assert found["win"] == (d > 0).mean() + (d == 0).mean() / 2
    assert found["correlation"] == pytest.approx(stats.pearsonr(*ARMS).statistic)
    assert found["variance_ratio"] == pytest.approx(ARMS.var(axis=1, ddof=1).sum() / d.var(ddof=1))
    assert found["tost_p"] == pytest.approx(ttost_paired(ARMS[1], ARMS[0], -0.001, 0.001)[0])


def test_bootstrap_interval_is_scipys_but_for_its_draws() -> None:
    """On skewed data the ends agree with scipy's BCa to within what resampling leaves open."""
    d = RNG.exponential(size=40)
    theirs = stats.bootstrap((d,), np.mean, n_resamples=20_000, random_state=1).confidence_interval
    error = d.std(ddof=1) / np.sqrt(40)

    assert np.abs(np.subtract(bca(d), theirs)).max() < 0.06 * error
    plain = np.quantile(d[np.random.default_rng(3).integers(40, size=(20_000, 40))].mean(axis=1), [0.025, 0.975])
    assert (np.array(bca(d)) > plain).all()
    assert np.isnan(bca(d[:19])).all()
    assert bca(np.full(20, 0.25)) == (0.25, 0.25)
    assert np.allclose(bca(d + 5), np.add(bca(d), 5))


@pytest.mark.parametrize("num_seeds", [1, 2, 5, 8, 13, 14])
def test_signed_rank_equals_scipy_with_and_without_ties(num_seeds: int) -> None:
    """Counting how many flips give a sum of ranks gives the very p-value that going through them gives."""
    generator = np.random.default_rng(num_seeds)
    for d in (generator.normal(0.5, 1, num_seeds), np.round(generator.normal(0.5, 1, num_seeds), 1) + 0.05):
        assert signed_rank(d) == pytest.approx(stats.wilcoxon(d).pvalue, rel=1e-12)


def test_signed_rank_worked_by_hand() -> None:
    """Of 2^4 sign patterns two have all ranks on one side; zeros do not count, and rounding makes no order."""
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0])) == 2 / 16
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 0.0, 0.0])) == 2 / 16
    assert signed_rank(np.array([1e-9, -0.5, 0.5 + 1e-9]), tie=1e-7) == 1.0
    assert signed_rank(np.array([1e-9, -0.5, 0.5 + 1e-9]), np.array([1e-10, 1e-7, 1e-7])) == 1.0
    # The ranks are 1.5, 1.5 and 3 whatever rounding the third is known to: its neighbour is known better.
    near = np.array([0.5, 0.5 + 1e-9, -3.0])
    assert signed_rank(near, np.array([1e-7, 1e-7, 2.9])) == signed_rank(near, 1e-7) == 1.0
    assert signed_rank(np.array([0.5, -(0.5 + 1e-9), 1.0, 2.0]), 1e-7) == signed_rank(np.array([0.5, -0.5, 1.0, 2.0]))


def test_differences_that_do_not_vary_have_defined_statistics(table: Callable[..., Table]) -> None:
    """All equal, all tied, one seed and none give the stated values, without a warning."""
    equal = row(table(np.array([[0.5, 0.25, 0.75], [0.75, 0.5, 1.0]])))
    assert (equal["d_z"], equal["win"], equal["variance_ratio"], equal["tost_p"]) == (np.inf, 1.0, np.inf, 1.0)
    assert equal["correlation"] == pytest.approx(1.0)
    tied = row(table(np.full((2, 3), 0.5)))
    assert (tied["wilcoxon_p"], tied["d_z"], tied["win"], tied["tost_p"]) == (1.0, 0.0, 0.5, 0.0)
    assert np.isnan(tied["correlation"])
    assert np.isnan(tied["variance_ratio"])
    one = row(table(np.array([[0.5], [0.75]])))
    assert (one["n"], one["effect"], one["wilcoxon_p"], one["iqm"], one["win"]) == (1, 0.25, 1.0, 0.25, 1.0)
    assert np.isnan([one["d_z"], one["correlation"], one["tost_p"], one["bca_low"]]).all()
    none = row(table(np.full((2, 1), 0.5), absent={(0, 0), (1, 0)}))
    assert none["n"] == 0
    assert np.isnan([none["wilcoxon_p"], none["iqm"], none["win"], none["tost_p"]]).all()


def test_no_margin_no_equivalence(table: Callable[..., Table]) -> None:
    """Equivalence is tested against the study's own margin only, and for its own metric only."""
    loaded = table(ARMS)

    assert np.isnan(make_appendix(loaded, metric="validation.nll")["tost_p"].iloc[0])
    assert np.isnan(describe(ARMS[0], np.zeros(len(ARMS[0])), None)["tost_p"])
    assert tost(0.0, 0.0, 5, 0.1) == 0.0
    assert tost(-0.2, 0.0, 5, 0.1) == 1.0


def test_the_report_has_the_section(table: Callable[..., Table]) -> None:
    """The section shows one row per contrast, with the bootstrap where there are seeds enough."""
    section = make_section(table(ARMS))

    assert section is not None
    assert len(section.grids[0].rows) == 1
    assert "BCa 95% interval" in [column.label for column in section.grids[0].columns]


def test_few_seeds_have_no_bootstrap_column(table: Callable[..., Table]) -> None:
    """Below 20 seeds the section is silent about the bootstrap."""
    section = make_section(table(ARMS[:, :5]))

    assert section is not None
    assert "BCa" not in str(section)


@pytest.mark.parametrize("size", [1, 2, 9, 50])
def test_adjusted_p_values_are_those_of_statsmodels(size: int) -> None:
    """Holm and Benjamini-Hochberg agree with statsmodels, ties and bounds included; NaN stays and does not count."""
    p = np.round(np.random.default_rng(size).uniform(size=size) ** 3, 3)
    gaps = np.insert(p, [0, size // 2], np.nan)
    for ours, theirs in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        expected = multipletests(p, method=theirs)[1]
        assert np.abs(ours(p) - expected).max() < 1e-12
        found = ours(gaps)
        assert np.isnan(found[np.isnan(gaps)]).all()
        assert np.abs(found[~np.isnan(gaps)] - expected).max() < 1e-12
    assert holm([]).shape == (0,)
    assert holm([1.0, 0.0]).tolist() == benjamini_hochberg([1.0, 0.0]).tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        holm([1.5])


def test_two_stages_have_no_tests_of_a_fixed_number_of_seeds(table: Callable[..., Table]) -> None:
    """Where a pilot chose the number of seeds no p-value and no bootstrap interval is given, in table or section."""
    stages = {"pilot": 8, "max": 30, "halfwidth": 0.01, "needed": 24, "seeds": 24, "sd": {}}
    staged = table(ARMS, stein=stages)
    found = row(staged)
    assert all(np.isnan(found[name]) for name in ("wilcoxon_p", "bca_low", "bca_high", "tost_p"))
    assert found["n"] == 24
    assert found["win"] == row_win()
    section = make_section(staged)
    assert section is not None
    assert "left out" in section.sentences[-1]
    assert "BCa 95% interval" not in [column.label for column in section.grids[0].columns]


def row_win() -> float:
    """Return the share of seeds in which the second arm is larger, ties half."""
    d = ARMS[1] - ARMS[0]
    return float((d > 0).mean() + (d == 0).mean() / 2)


@pytest.mark.parametrize(("metric", "worse"), [("test.accuracy", False), ("validation.nll", True)])
def test_the_larger_value_of_a_loss_is_not_called_ahead(table: Callable[..., Table], metric: str, worse: bool) -> None:
    """P(A > B) counts larger values; the section says where these are the worse ones."""
    primary = {"metric": metric, "at": {"kind": "last"}, "margin": 0.001}
    section = make_section(table(ARMS, primary=primary))
    assert section is not None
    text = " ".join(section.sentences)
    assert "has the larger value" in text
    assert "ahead" not in text
    assert ("which is the worse one" in text) == worse
