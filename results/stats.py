"""The statistics of the comparison: pure functions on numbers, no records, no I/O.

Why Student's t and not a bootstrap over seeds: with three to five seeds the percentile bootstrap of a mean covers far
less than it says (a 95 % one holds the truth in about three of four studies at n = 3; tests/results/test_stats.py
measures it). The t interval is wide there, and right.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

CONFIDENCE = 0.95
FEWEST_PROCESSES = 3
SMALLEST_SPREAD = 1e-3
"""Relative values that spread less are taken to spread this much: no clock tells more."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval and the number of independent values it rests on.

    `low` and `high` are None where `n` is too small to give an interval.
    """

    estimate: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE, resolution: float = 0) -> Interval:
    """Mean with Student's t interval; without an interval for a single value. Raises `ValueError` on none.

    Values that can only be multiples of `resolution` (an accuracy: one over the number of images) are taken to spread
    at least as much as their rounding does, resolution / sqrt(12): a few equal ones are no proof of no spread at all.
    """
    n = len(values)
    if n == 0:
        raise ValueError("a mean of no values")
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * _spread(values, resolution) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def _spread(values: Sequence[float], resolution: float) -> float:
    """Standard deviation, exactly 0 for equal values, and at least that of rounding to multiples of the resolution."""
    return max(float(np.std(values, ddof=1)) if np.ptp(values) else 0.0, resolution / math.sqrt(12))


def accuracy_interval(values: Sequence[float], images: int) -> Interval:
    """Mean of accuracies, each a fraction of so many test images, with an interval that stays within 0 and 1.

    It is Student's t interval of the mean on the logit scale (delta method). A mean of 0 or 1 is taken to be half an
    image inside; the interval always holds the mean.
    """
    mean = mean_interval(values, resolution=1 / images)
    if mean.high is None:
        return mean
    half_image = 0.5 / images
    inside = min(max(mean.estimate, half_image), 1 - half_image)
    half = (mean.high - mean.estimate) / (inside * (1 - inside))
    low, high = (float(special.expit(special.logit(inside) + end)) for end in (-half, half))
    return Interval(mean.estimate, min(low, mean.estimate), max(high, mean.estimate), mean.n)


def geometric_mean_interval(values: Sequence[float]) -> Interval:
    """Geometric mean of values that vary by factors: Student's t on their logarithms, an interval from three on."""
    mean = exponential(mean_interval([math.log(value) for value in values]))
    return mean if len(values) >= FEWEST_PROCESSES else Interval(mean.estimate, None, None, len(values))


def exponential(interval: Interval) -> Interval:
    """An interval of logarithms as one of their values."""
    low, high = interval.low, interval.high
    return Interval(
        math.exp(interval.estimate),
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
        interval.n,
    )


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Ratio of two geometric means, ours over theirs, of independent values: Welch's t on their logarithms.

    `n` is the smaller number of values; an interval from `FEWEST_PROCESSES` on each side.
    """
    logs = [np.log(side) for side in (ours, theirs)]
    ratio, n = float(np.exp(logs[0].mean() - logs[1].mean())), min(map(len, logs))
    if n < FEWEST_PROCESSES:
        return Interval(ratio, None, None, n)
    if all(np.ptp(side) == 0 for side in logs):
        return Interval(ratio, ratio, ratio, n)
    found = stats.ttest_ind(*logs, equal_var=False).confidence_interval(CONFIDENCE)
    return Interval(ratio, float(np.exp(found.low)), float(np.exp(found.high)), n)


def ratio_p_value(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p of Welch's test against equal geometric means; where neither side varies it is 0 or 1."""
    logs = [np.log(side) for side in (ours, theirs)]
    if all(np.ptp(side) == 0 for side in logs):
        return float(logs[0][0] == logs[1][0])
    return float(stats.ttest_ind(*logs, equal_var=False).pvalue)


FEWEST_CASES = 10
"""Fewer cases do not tell how alike their spreads are."""


def geometric_means(cases: Sequence[Sequence[float]]) -> list[Interval]:
    """`geometric_mean_interval` of many cases, from `FEWEST_CASES` on with moderated variances as in `ratios`."""
    logs = [np.log(values) for values in cases]
    varying = {
        place: max(float(np.var(values, ddof=1)), SMALLEST_SPREAD**2)
        for place, values in enumerate(logs)
        if len(values) >= FEWEST_PROCESSES and np.ptp(values)
    }
    moderated = _moderated(varying, {place: len(logs[place]) - 1 for place in varying})
    found = []
    for place, values in enumerate(logs):
        if place in moderated:
            variance, degrees = moderated[place]
            half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * math.sqrt(variance / len(values))
            mean = float(np.mean(values))
            found.append(exponential(Interval(mean, mean - half, mean + half, len(values))))
        else:
            found.append(geometric_mean_interval(cases[place]))
    return found


def ratios(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[tuple[Interval, float | None]]:
    """`ratio_interval` of many cases of one kind, each with its two-sided p; None where there is no interval.

    From `FEWEST_CASES` cases on by the moderated t test: three processes a side tell little of a case's own spread.
    Its variance (one for both sides) is drawn towards that of all cases, the more the more alike those are. Source:
    Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), 3. Of fewer cases by Welch's.
    """
    logs = [(np.log(ours), np.log(theirs)) for ours, theirs in pairs]
    varying = {
        place: max(_pooled_variance(*sides), SMALLEST_SPREAD**2)
        for place, sides in enumerate(logs)
        if min(map(len, sides)) >= FEWEST_PROCESSES and any(np.ptp(side) for side in sides)
    }
    moderated = _moderated(varying, {place: sum(map(len, logs[place])) - 2 for place in varying})
    found: list[tuple[Interval, float | None]] = []
    for place, (ours, theirs) in enumerate(logs):
        if place not in moderated:
            ratio = ratio_interval(*pairs[place])
            found.append((ratio, None if ratio.low is None else ratio_p_value(*pairs[place])))
            continue
        variance, degrees = moderated[place]
        error = math.sqrt(variance * (1 / len(ours) + 1 / len(theirs)))
        mean, half = float(ours.mean() - theirs.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * error)
        ratio = exponential(Interval(mean, mean - half, mean + half, min(len(ours), len(theirs))))
        found.append((ratio, float(2 * stats.t.sf(abs(mean) / error, degrees))))
    return found


def _pooled_variance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The variance of two groups around their own means."""
    squares = sum(float(np.sum((side - side.mean()) ** 2)) for side in (ours, theirs))
    return squares / (len(ours) + len(theirs) - 2)


ATYPICAL = 0.01
"""A case whose variance so few would exceed has an interval of its own: something else was at work in it."""


def _moderated(variances: Mapping[int, float], freedom: Mapping[int, int]) -> dict[int, tuple[float, float]]:
    """Each typical case's variance, drawn towards what they have in common, and its degrees of freedom; none of few."""
    typical, before = dict(variances), -1
    while FEWEST_CASES <= len(typical) != before:
        before = len(typical)
        common, weight = _common_variance(list(typical.values()), [freedom[place] for place in typical])
        typical = {
            place: variance
            for place, variance in typical.items()
            if variance <= common * stats.f.isf(ATYPICAL, freedom[place], weight)
        }
    if len(typical) < FEWEST_CASES:
        return {}
    return {
        place: ((weight * common + freedom[place] * variance) / (weight + freedom[place]), weight + freedom[place])
        for place, variance in typical.items()
    }


MOST_FREEDOM = 1000.0
"""Cases that spread alike by all that can be told have this many degrees of freedom in common."""


def _common_variance(variances: Sequence[float], freedom: Sequence[int]) -> tuple[float, float]:
    """The variance that cases have in common, and how many degrees of freedom it weighs: few where they differ.

    Both by the moments of the logarithms: Smyth 2004, section 6.2.
    """
    halves = np.array(freedom) / 2
    logs = np.log(variances) - special.digamma(halves) + np.log(halves)
    excess = float(np.var(logs, ddof=1) - np.mean(special.polygamma(1, halves)))
    common = MOST_FREEDOM
    if excess > special.polygamma(1, MOST_FREEDOM / 2):
        common = 2 * optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-3, MOST_FREEDOM / 2)
    return math.exp(logs.mean() + special.digamma(common / 2) - math.log(common / 2)), float(common)


def paired_difference(
    ours: dict[int, float], theirs: dict[int, float], confidence: float = CONFIDENCE, resolution: float = 0
) -> Interval | None:
    """Mean of `ours - theirs` over the seeds (the keys) that both have, or None where they share none.

    `resolution` is that of either side, as in `mean_interval`.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    return mean_interval([ours[seed] - theirs[seed] for seed in seeds], confidence, resolution * math.sqrt(2))


def paired_p_value(ours: dict[int, float], theirs: dict[int, float], resolution: float = 0) -> float | None:
    """Two-sided p of Student's paired test over the seeds that both have; None for fewer than two.

    It is at most 0.05 exactly where the 95 % interval of `paired_difference` does not hold 0.
    """
    differences = np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
    n = len(differences)
    if n < 2:
        return None
    mean = abs(float(np.mean(differences)))
    error = _spread(differences.tolist(), resolution * math.sqrt(2)) / math.sqrt(n)
    if error == 0:
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(mean / error, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted for their number by Holm's step-down method, in the order given.

    Claiming all that are at most alpha keeps the chance of any false claim among them at alpha.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


LARGEST_P_OF_CHANCE = 0.001


def at_chance(accuracy: float, images: int, classes: int) -> bool:
    """Whether guessing one of the classes gets as many images right in more than 1 of 1,000 cases: exact, binomial."""
    right = round(accuracy * images)
    return float(stats.binom.sf(right - 1, images, 1 / classes)) > LARGEST_P_OF_CHANCE
