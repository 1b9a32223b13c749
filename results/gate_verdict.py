"""Judges whether a step became slower: pairs of fresh processes -> a verdict per case and one for the gate. No I/O."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats
from scipy.optimize import brentq

from results.gates import CaseVerdict, Decision, Design, GateVerdict, Pair
from results.stats import exponential, holm, mean_interval

Values = npt.NDArray[np.float64]
NOISES = 200
"""Noises that stand for all possible ones: the minimum detectable slowdown is then right to 0.1 % of itself."""


def judge(
    pairs: Mapping[str, Sequence[Pair]], same_code: Mapping[str, Sequence[Pair]], design: Design, look: int
) -> GateVerdict:
    """Judges interim analysis `look` (from 0): `pairs` are of base and head, `same_code` of the same code, by case."""
    alpha = design.alphas[look]
    logs = {case: _log_ratios(values) for case, values in pairs.items()}
    p_values = dict(zip(logs, holm([_p_value(values) for values in logs.values()]), strict=True))
    cases = tuple(_verdict(case, pairs[case], p_values[case], len(pairs), alpha, design) for case in pairs)
    unstable = tuple(_unstable(same_code, alpha, design.floor))
    return GateVerdict(decision=_decide(cases, unstable, design, look), cases=cases, unstable=unstable)


def _decide(cases: Sequence[CaseVerdict], unstable: Sequence[str], design: Design, look: int) -> Decision:
    if unstable:
        return "inconclusive"
    if any(case.verdict == "slower" for case in cases):
        return "slower"
    blind = any(case.verdict == "too noisy to tell" for case in cases)
    if not blind and all(case.high < 1 + design.floor for case in cases):
        return "clean"
    if look + 1 < len(design.looks):
        return "go on"
    return "inconclusive" if blind else "clean"


def _verdict(
    case: str, pairs: Sequence[Pair], p_value: float, family: int, alpha: float, design: Design
) -> CaseVerdict:
    ratio = exponential(mean_interval(_log_ratios(pairs)))
    assert ratio.low is not None
    assert ratio.high is not None
    detectable = smallest_detectable(_log_ratios(pairs), alpha / family, design.floor, design.power)
    verdict: Literal["slower", "faster", "no slowdown shown", "too noisy to tell"] = "no slowdown shown"
    if p_value <= alpha and ratio.estimate >= 1 + design.floor:
        verdict = "slower"
    elif detectable > design.detectable:
        verdict = "too noisy to tell"
    elif ratio.high < 1 / (1 + design.floor):
        verdict = "faster"
    base, head = (float(np.median([pair[side] for pair in pairs])) for side in (0, 1))
    return CaseVerdict(
        case=case,
        base_seconds=base,
        head_seconds=head,
        ratio=ratio.estimate,
        low=ratio.low,
        high=ratio.high,
        pairs=len(pairs),
        p_value=p_value,
        detectable=detectable,
        verdict=verdict,
    )


def smallest_detectable(log_ratios: Sequence[float], alpha: float, floor: float, power: float) -> float:
    """Computes the minimum detectable slowdown: it is significant at `alpha` and above the floor with chance `power`.

    The chance is exact for normal noise as large as that of `log_ratios`: given the sample's own noise, both conditions
    are bounds of its mean. Without a floor it is that of the noncentral t distribution.
    """
    n = len(log_ratios)
    error = float(np.std(log_ratios, ddof=1)) / math.sqrt(n)
    if error == 0:
        return floor
    fewest_errors = np.maximum(_significant_errors(n, alpha), math.log1p(floor) / error)
    beyond = special.ndtri(power)
    errors = brentq(
        lambda slowdown: np.mean(special.ndtr(slowdown - fewest_errors)) - power,
        fewest_errors[0] + beyond - 1,
        fewest_errors[-1] + beyond + 1,
    )
    return math.expm1(float(errors) * error)


@functools.cache
def _significant_errors(n: int, alpha: float) -> Values:
    """True standard errors that the mean of n pairs has to reach to be significant, for equally likely noises of the
    sample, from small to large."""
    chances = (np.arange(NOISES) + 0.5) / NOISES
    noise = np.sqrt(special.chdtri(n - 1, 1 - chances) / (n - 1))
    return -float(special.stdtrit(n - 1, alpha)) * noise


def _unstable(same_code: Mapping[str, Sequence[Pair]], alpha: float, floor: float) -> list[str]:
    """Finds the cases in which processes of the same code differ significantly by the rule of the gate."""
    logs = {case: _log_ratios(values) for case, values in same_code.items()}
    both_sides = [min(1.0, 2 * min(_p_value(values), 1 - _p_value(values))) for values in logs.values()]
    return [
        case
        for (case, values), p_value in zip(logs.items(), holm(both_sides), strict=True)
        if p_value <= alpha and abs(float(np.mean(values))) >= math.log1p(floor)
    ]


def _log_ratios(pairs: Sequence[Pair]) -> list[float]:
    return [math.log(head / base) for base, head in pairs]


def _p_value(log_ratios: Sequence[float]) -> float:
    """Computes the one-sided p of Student's test against no slowdown."""
    n = len(log_ratios)
    mean, error = float(np.mean(log_ratios)), float(np.std(log_ratios, ddof=1)) / math.sqrt(n)
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(stats.t.sf(mean / error, n - 1))
