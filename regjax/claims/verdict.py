"""From evidence to a verdict, by rules that were written down before the first record.

Every test of a claim has an estimate e of its effect with standard error s over n seeds, a margin m > 0, and an
expectation. Two one-sided hypotheses are tested:

    expectation   holds if rejected   fails if rejected
    higher        e <= 0              e >= m
    lower         e >= 0              e <= -m
    not higher    e >= m              e <= m
    not lower     e <= -m             e >= -m

so that "higher" fails where an effect of the size that matters is excluded, not where none is found. p is the
larger of two upper tails of Student's distribution on n - 1 degrees of freedom: of t, the excess over its bound in
units of s, and of Hall's transform of t, which allows for the skewness g of the excess,

    h(t) = t + g t^2 / (3 sqrt(n)) + g^2 t^3 / (27 n) + g / (6 sqrt(n))

t alone is too sure on the side of the short tail, the more so the smaller p is. A claim is
supported in a case where all its tests hold, p = max p_i (intersection-union: no correction), and refuted where any of
k fails, p = min(1, k min p_i) (Bonferroni). The two p of all cases of all claims of the suite are one family, adjusted
by Holm: the chance that the suite reports any wrong verdict is at most 5%. Exact mechanisms are facts: p is 0 or 1,
outside the family.

A claim whose cases are all supported (refuted) is supported (refuted); one with cases of both kinds is conditional, on
the moderator that it declared; all else is undecided. Where both hold, the effect is there and smaller than what
matters: that refutes.

Reference: Berger, "Multiparameter hypothesis testing and acceptance sampling" (1982), for the intersection-union test.
Hall, "On the removal of skewness by transformation" (1992); his transform replaces t, here it can only make p larger.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regjax.analysis.multiplicity import holm

ALPHA = 0.05
# Seeds that differ by less are equal, and an effect below it is none.
ROUNDING = 1e-12
SUPPORTED, REFUTED, UNDECIDED, CONDITIONAL = "supported", "refuted", "undecided", "conditional"


@dataclass(frozen=True)
class Evidence:
    """What a test found in a case.

    Attributes:
      estimate, se, n: effect, standard error and seeds; NaN and 0 of an exact mechanism.
      expect, bound: as declared, the bound on the scale of the effect.
      exact: of a mechanism, whether every check of it passed; None else.
      skew: skewness of the effects of seeds; NaN where they are not known or do not differ, and then t alone counts.
    """

    estimate: float
    se: float
    n: int
    expect: str
    bound: float
    exact: bool | None = None
    skew: float = math.nan

    @property
    def p_holds(self) -> float:
        """p of the hypothesis that what was expected is not so; 1 where nothing is known."""
        if self.exact is not None:
            return 0.0 if self.exact else 1.0
        sign, zero = self._side()
        return self._tail(sign * self.estimate - zero, sign * self.skew)

    @property
    def p_fails(self) -> float:
        """p of the hypothesis that what was expected is so, by as much as matters; 1 where nothing is known."""
        if self.exact is not None:
            return 1.0 if self.exact else 0.0
        sign, zero = self._side()
        claimed = self.bound if self.expect in ("higher", "lower") else zero
        return self._tail(claimed - sign * self.estimate, -sign * self.skew)

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """Return the t interval of the effect for this test alone."""
        if not self._known():
            return math.nan, math.nan
        from scipy.stats import t

        half = float(t.ppf(1 - alpha / 2, self.n - 1)) * self.se
        return self.estimate - half, self.estimate + half

    def _known(self) -> bool:
        return self.n >= 2 and math.isfinite(self.estimate) and math.isfinite(self.se)

    def _side(self) -> tuple[int, float]:
        """Return the sign that makes larger effects speak for the claim, and what must then be exceeded."""
        sign = 1 if self.expect in ("higher", "not lower") else -1
        return sign, -self.bound if self.expect.startswith("not") else 0.0

    def _tail(self, excess: float, skew: float) -> float:
        """Return the one-sided p of an excess of at most 0 whose seeds have this skewness."""
        if not self._known():
            return 1.0
        if self.se <= ROUNDING:
            return 0.0 if excess > ROUNDING else 1.0
        from scipy.stats import t

        ratio = excess / self.se
        least = min(ratio, hall(ratio, skew, self.n)) if math.isfinite(skew) else ratio
        return float(t.sf(least, self.n - 1))


def hall(t: float, skew: float, n: int) -> float:
    """Return Hall's transform of t, increasing in it, about standard normal for skewed effects of n seeds too.

    Args:
      t: a mean in units of its standard error.
      skew: skewness of the n effects, m_3 / m_2^(3/2).
      n: seeds, at least 2.

    >>> hall(3.0, 0.0, 25), round(hall(3.0, -1.0, 25), 3), round(hall(3.0, 1.0, 25), 3)
    (3.0, 2.407, 3.673)

    Reference: Hall, "On the removal of skewness by transformation" (1992).
    """
    return t + skew * t**2 / (3 * math.sqrt(n)) + skew**2 * t**3 / (27 * n) + skew / (6 * math.sqrt(n))


def invert_hall(value: float, skew: float, n: int) -> float:
    """Return the t whose Hall transform is this value, a cubic in t:

        h(t) = (sqrt(n) / g) ((1 + g t / (3 sqrt(n)))^3 - 1) + g / (6 sqrt(n))

    >>> round(invert_hall(hall(3.0, -1.0, 25), -1.0, 25), 12), invert_hall(3.0, 0.0, 25)
    (3.0, 3.0)
    """
    rate = skew / math.sqrt(n)
    if abs(rate) < ROUNDING:
        return value
    return 3 / rate * (math.cbrt(1 + rate * (value - rate / 6)) - 1)


@dataclass(frozen=True)
class CaseVerdict:
    """The verdict in one case, with p adjusted over the suite (of exact claims 0 or 1)."""

    verdict: str
    p_supported: float
    p_refuted: float
    trivial: bool = False


@dataclass(frozen=True)
class Rules:
    """Names of the tests that must all hold, and of those of which any one that fails refutes."""

    supported: Sequence[str]
    refuted: Sequence[str]


def combine(found: Mapping[str, Evidence], rules: Rules) -> tuple[float, float]:
    """Return the p of "not supported" and of "not refuted" of a case, before the suite's correction.

    >>> sure, open_ = Evidence(1.0, 0.1, 20, "higher", 0.5), Evidence(0.1, 0.2, 20, "higher", 0.5)
    >>> [round(p, 3) for p in combine({"a": sure, "b": open_}, Rules(["a", "b"], ["a", "b"]))]
    [0.311, 0.06]
    """
    refuting = [found[name].p_fails for name in rules.refuted]
    return max(found[name].p_holds for name in rules.supported), min(1.0, len(refuting) * min(refuting))


def judge_suite(
    suite: Mapping[str, Mapping[str, Mapping[str, Evidence]]], rules: Mapping[str, Rules]
) -> dict[str, dict[str, CaseVerdict]]:
    """Return the verdict of every case of every claim; the suite is one family.

    Args:
      suite: {claim: {case: {test: evidence}}}, of a claim without cases one case "".
      rules: {claim: its rules}.
    """
    places = [(claim, case) for claim, cases in suite.items() for case in cases]
    raw = {place: combine(suite[place[0]][place[1]], rules[place[0]]) for place in places}
    exact = {place: all(e.exact is not None for e in suite[place[0]][place[1]].values()) for place in places}
    family = [place for place in places if not exact[place]]
    adjusted = (
        holm(np.array([p for place in family for p in raw[place]])).reshape(-1, 2) if family else np.zeros((0, 2))
    )
    known = {place: (float(a), float(b)) for place, (a, b) in zip(family, adjusted, strict=True)}
    made: dict[str, dict[str, CaseVerdict]] = {claim: {} for claim in suite}
    for claim, case in places:
        made[claim][case] = _judge_case(*known.get((claim, case), raw[claim, case]))
    return made


def _judge_case(p_supported: float, p_refuted: float) -> CaseVerdict:
    supported, refuted = p_supported <= ALPHA, p_refuted <= ALPHA
    verdict = REFUTED if refuted else SUPPORTED if supported else UNDECIDED
    return CaseVerdict(verdict, p_supported, p_refuted, supported and refuted)


def judge_claim(cases: Mapping[str, CaseVerdict]) -> str:
    """Return the verdict of a claim from those of its cases.

    >>> yes, no, open_ = (CaseVerdict(verdict, 1.0, 1.0) for verdict in ("supported", "refuted", "undecided"))
    >>> judge_claim({"a": yes, "b": yes}), judge_claim({"a": yes, "b": no}), judge_claim({"a": yes, "b": open_})
    ('supported', 'conditional', 'undecided')
    """
    verdicts = {case.verdict for case in cases.values()}
    if verdicts == {SUPPORTED}:
        return SUPPORTED
    if verdicts == {REFUTED}:
        return REFUTED
    return CONDITIONAL if {SUPPORTED, REFUTED} <= verdicts else UNDECIDED


def find_power(evidence: Evidence, alpha: float) -> tuple[float, float]:
    """Return the power to find an effect of the margin's size, and the smallest effect found with 90% power.

    Both with the standard error and the skewness that were seen, one-sided at `alpha` (in a suite of k hypotheses
    ALPHA / k, the first and hardest step of Holm): t must reach t_(1 - alpha), and so must its transform. The smallest
    effect is by the normal approximation, that t and t_(0.9) times the error.
    """
    if evidence.exact is not None or not evidence._known():
        return math.nan, math.nan
    from scipy.stats import nct, t

    df = evidence.n - 1
    critical = float(t.ppf(1 - alpha, df))
    if evidence.se <= ROUNDING:
        return 1.0, 0.0
    skew = evidence._side()[0] * evidence.skew
    if math.isfinite(skew):
        critical = max(critical, invert_hall(critical, skew, evidence.n))
    power = float(nct.sf(critical, df, evidence.bound / evidence.se))
    return power, (critical + float(t.ppf(0.9, df))) * evidence.se
