"""Judges whether a step became slower: pairs of fresh processes -> a verdict per case and one for the gate. No I/O."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from results.gates import CaseVerdict, Decision, Design, GateVerdict, Pair
from results.stats import Interval, detectable_errors, exponential, holm, mean_interval, significant_errors

MOST_LOG, ROUNDING = 60.0, 1e-12


def judge(pairs: Sequence[Pair], design: Design, look: int) -> GateVerdict:
    """Judges interim analysis `look` (from 0) of the pairs so far."""
    alpha = design.alphas[look]
    logs = {case: [math.log(pair.ratios[case]) for pair in pairs] for case in pairs[0].ratios}
    p_values = dict(zip(logs, holm([_p_value(values) for values in logs.values()]), strict=True))
    cases = tuple(_verdict(case, pairs, values, p_values[case], alpha, design) for case, values in logs.items())
    return GateVerdict(decision=_decide(cases, design, look), cases=cases)


def _decide(cases: Sequence[CaseVerdict], design: Design, look: int) -> Decision:
    if any(case.verdict == "slower" for case in cases):
        return "slower"
    blind = any(case.verdict == "too noisy to tell" for case in cases)
    if not blind and all(case.high < 1 + design.floor for case in cases):
        return "clean"
    if look + 1 < len(design.looks):
        return "go on"
    return "inconclusive" if blind else "clean"


def _verdict(
    case: str, pairs: Sequence[Pair], log_ratios: Sequence[float], p_value: float, alpha: float, design: Design
) -> CaseVerdict:
    mean = mean_interval(log_ratios)
    ratio = exponential(Interval(_bounded(mean.estimate), _bounded(mean.low), _bounded(mean.high), mean.n))
    assert ratio.low is not None
    assert ratio.high is not None
    detectable = smallest_detectable(log_ratios, alpha / len(pairs[0].ratios), design.floor, design.power)
    verdict: Literal["slower", "faster", "no slowdown shown", "too noisy to tell"] = "no slowdown shown"
    if p_value <= alpha and ratio.estimate >= 1 + design.floor:
        verdict = "slower"
    elif detectable > design.detectable:
        verdict = "too noisy to tell"
    elif ratio.high < 1 / (1 + design.floor):
        verdict = "faster"
    return CaseVerdict(
        case=case,
        base_seconds=float(np.median([pair.base[case] for pair in pairs])),
        head_seconds=float(np.median([pair.head[case] for pair in pairs])),
        ratio=ratio.estimate,
        low=ratio.low,
        high=ratio.high,
        pairs=len(pairs),
        p_value=p_value,
        detectable=detectable,
        verdict=verdict,
    )


def _bounded(log_ratio: float | None) -> float:
    """Keeps a logarithm where its value is a number that a file may hold, also of a program that prints nonsense."""
    assert log_ratio is not None
    return min(max(log_ratio, -MOST_LOG), MOST_LOG)


def smallest_detectable(log_ratios: Sequence[float], alpha: float, floor: float, power: float) -> float:
    """Computes the minimum detectable slowdown: it is significant at `alpha` and above the floor with chance `power`.

    The chance is exact for normal noise as large as that of `log_ratios`: given the sample's own noise, both conditions
    are bounds of its mean. Without a floor it is that of the noncentral t distribution.
    """
    n, error = len(log_ratios), _error(log_ratios)
    if error == 0:
        return floor
    fewest_errors = np.maximum(significant_errors(n - 1, alpha), math.log1p(floor) / error)
    return math.expm1(_bounded(detectable_errors(fewest_errors, power) * error))


def _p_value(log_ratios: Sequence[float]) -> float:
    """Computes the one-sided p of Student's test against no slowdown."""
    mean, error = float(np.mean(log_ratios)), _error(log_ratios)
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(stats.t.sf(mean / error, len(log_ratios) - 1))


def _error(log_ratios: Sequence[float]) -> float:
    """Computes the standard error of the mean; 0 for values that differ by nothing but their rounding."""
    error = float(np.std(log_ratios, ddof=1)) / math.sqrt(len(log_ratios))
    return error if error > ROUNDING else 0.0
