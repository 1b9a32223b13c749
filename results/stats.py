"""Computes the statistics of the comparison: pure functions on numbers, no records, no I/O.

Intervals over seeds are Student's t. With three to five seeds, a 95 % percentile bootstrap of the mean covers the truth
in about three of four studies (tests/results/test_stats.py measures it). The t interval is wide there, and correct.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

CONFIDENCE = 0.95
FEWEST_PROCESSES = 3
SMALLEST_SPREAD = 1e-3
"""Smallest relative standard deviation that is believed: no clock resolves less."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval and the number `n` of independent values that it rests on.

    `low` and `high` are None where `n` is too small for an interval.
    """

    estimate: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE, resolution: float = 0) -> Interval:
    """Returns the mean with Student's t interval; a single value has no interval. Raises `ValueError` on none.

    `resolution` is the step between possible values (an accuracy: one over the number of images). The standard
    deviation is at least that of rounding to it, resolution / sqrt(12): a few equal values do not prove no spread.
    """
    n = len(values)
    if n == 0:
        raise ValueError("a mean of no values")
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * spread(values, resolution) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def spread(values: Sequence[float], resolution: float) -> float:
    """Returns the standard deviation: exactly 0 for equal values, and at least that of rounding to the resolution."""
    return max(float(np.std(values, ddof=1)) if np.ptp(values) else 0.0, resolution / math.sqrt(12))


def accuracy_interval(mean: Interval, images: int) -> Interval:
    """Returns a mean of accuracies, each a fraction of `images` test images, with an interval within 0 and 1.

    It is Student's t interval of the mean on the logit scale (delta method). A mean of 0 or 1 counts as half an image
    inside; the interval always holds the mean.
    """
    if mean.high is None:
        return mean
    half_image = 0.5 / images
    inside = min(max(mean.estimate, half_image), 1 - half_image)
    half = (mean.high - mean.estimate) / (inside * (1 - inside))
    low, high = (float(special.expit(special.logit(inside) + end)) for end in (-half, half))
    return Interval(mean.estimate, min(low, mean.estimate), max(high, mean.estimate), mean.n)


def geometric_mean_interval(values: Sequence[float]) -> Interval:
    """Returns the geometric mean with Student's t interval on the logarithms, from `FEWEST_PROCESSES` values."""
    mean = exponential(mean_interval([math.log(value) for value in values]))
    return mean if len(values) >= FEWEST_PROCESSES else Interval(mean.estimate, None, None, len(values))


def exponential(interval: Interval) -> Interval:
    """Turns an interval of logarithms into one of their values."""
    low, high = (None if end is None else math.exp(end) for end in (interval.low, interval.high))
    return Interval(math.exp(interval.estimate), low, high, interval.n)


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Returns the ratio of two geometric means, ours over theirs, of independent values: Welch's t on their logarithms.

    `n` is the smaller number of values; there is an interval where it is at least `FEWEST_PROCESSES`.
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
    """Returns the two-sided p of Welch's test against equal geometric means; where neither side varies it is 0 or 1."""
    logs = [np.log(side) for side in (ours, theirs)]
    if all(np.ptp(side) == 0 for side in logs):
        return float(logs[0][0] == logs[1][0])
    return float(stats.ttest_ind(*logs, equal_var=False).pvalue)


FEWEST_CASES = 10
"""Fewest cases that are moderated: fewer do not show how alike their variances are."""


def geometric_means(cases: Sequence[Sequence[float]]) -> list[Interval]:
    """Returns `geometric_mean_interval` of many cases, with moderated variances as in `ratios`."""
    logs = [np.log(values) for values in cases]
    moderated = _moderated([(values,) for values in logs])
    found = []
    for place, values in enumerate(logs):
        if place in moderated:
            variance, degrees = moderated[place]
            found.append(_exponential_t(float(values.mean()), math.sqrt(variance / len(values)), degrees, len(values)))
        else:
            found.append(geometric_mean_interval(cases[place]))
    return found


def ratios(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[tuple[Interval, float | None]]:
    """Returns `ratio_interval` of many cases of one kind, each with its two-sided p; None where there is no interval.

    Given `FEWEST_CASES` cases the test is the moderated t test: three processes a side say little about a case's own
    variance. It is shrunk towards the variance of all cases, the more the more alike those are. Source: Smyth 2004,
    Statistical Applications in Genetics and Molecular Biology 3(1), 3. Fewer cases get Welch's test.
    """
    logs = [(np.log(ours), np.log(theirs)) for ours, theirs in pairs]
    moderated = _moderated(logs)
    found: list[tuple[Interval, float | None]] = []
    for place, (ours, theirs) in enumerate(logs):
        if place in moderated:
            variance, degrees = moderated[place]
            error = math.sqrt(variance * (1 / len(ours) + 1 / len(theirs)))
            mean = float(ours.mean() - theirs.mean())
            ratio = _exponential_t(mean, error, degrees, min(len(ours), len(theirs)))
            found.append((ratio, float(2 * stats.t.sf(abs(mean) / error, degrees))))
        else:
            ratio = ratio_interval(*pairs[place])
            found.append((ratio, None if ratio.low is None else ratio_p_value(*pairs[place])))
    return found


def _exponential_t(mean: float, error: float, degrees: float, n: int) -> Interval:
    """Returns Student's t interval of a mean logarithm with this standard error, as one of the values."""
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * error)
    return exponential(Interval(mean, mean - half, mean + half, n))


def _pooled_variance(sides: Sequence[np.ndarray]) -> float:
    """Returns the variance of groups around their own means."""
    squares = sum(float(np.sum((side - side.mean()) ** 2)) for side in sides)
    return squares / (sum(map(len, sides)) - len(sides))


ATYPICAL = 0.01
"""Probability of a larger variance below which a case keeps its own interval: something else disturbed it."""


def _moderated(cases: Sequence[tuple[np.ndarray, ...]]) -> dict[int, tuple[float, float]]:
    """Returns each typical case's variance, shrunk towards the common one, with its degrees of freedom."""
    typical = {
        place: max(_pooled_variance(sides), SMALLEST_SPREAD**2)
        for place, sides in enumerate(cases)
        if min(map(len, sides)) >= FEWEST_PROCESSES and any(np.ptp(side) for side in sides)
    }
    freedom, before = [sum(map(len, sides)) - len(sides) for sides in cases], -1
    while FEWEST_CASES <= len(typical) != before:
        before = len(typical)
        common, weight = _common_variance(typical, freedom)
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
"""Degrees of freedom of the common variance where the cases' variances differ by chance alone."""


def _common_variance(variances: Mapping[int, float], freedom: Sequence[int]) -> tuple[float, float]:
    """Returns the variance that cases have in common, and its degrees of freedom: few where the cases differ.

    Both by the moments of the logarithms: Smyth 2004, section 6.2.
    """
    halves = np.array([freedom[place] for place in variances]) / 2
    logs = np.log(list(variances.values())) - special.digamma(halves) + np.log(halves)
    excess = float(np.var(logs, ddof=1) - np.mean(special.polygamma(1, halves)))
    common = MOST_FREEDOM
    if excess > special.polygamma(1, MOST_FREEDOM / 2):
        common = 2 * optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-3, MOST_FREEDOM / 2)
    return math.exp(logs.mean() + special.digamma(common / 2) - math.log(common / 2)), float(common)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values, adjusted for their number by Holm's step-down method, in the order given.

    The family-wise error rate of all that are at most alpha is at most alpha.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    order, adjusted = np.argsort(p_values, kind="stable"), np.empty(len(p_values))
    scaled = np.arange(len(p_values), 0, -1) * np.array(p_values)[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p_value) for p_value in adjusted]


NOISES = 200
"""Noises that stand for all possible ones: what is detectable is then right to 0.1 % of itself."""


@functools.cache
def significant_errors(degrees: float, alpha: float) -> npt.NDArray[np.float64]:
    """Computes how many true standard errors a mean has to reach to be significant in a one-sided test at `alpha`.

    It does for equally likely noises of the sample, from small to large: an array of `NOISES` numbers.
    """
    chances = (np.arange(NOISES) + 0.5) / NOISES
    noise = np.sqrt(special.chdtri(degrees, 1 - chances) / degrees)
    return -float(special.stdtrit(degrees, alpha)) * noise


def detectable_errors(fewest_errors: npt.NDArray[np.float64], power: float) -> float:
    """Computes the true mean, in true standard errors, that reaches `fewest_errors` with the chance `power`."""
    beyond = special.ndtri(power)
    found = optimize.brentq(
        lambda mean: np.mean(special.ndtr(mean - fewest_errors)) - power,
        fewest_errors[0] + beyond - 1,
        fewest_errors[-1] + beyond + 1,
    )
    return float(found)


LARGEST_P_OF_CHANCE = 0.001


def at_chance(accuracy: float, images: int, classes: int) -> bool:
    """Returns whether guessing gets as many images right with a probability above `LARGEST_P_OF_CHANCE`."""
    right = round(accuracy * images)
    return float(stats.binom.sf(right - 1, images, 1 / classes)) > LARGEST_P_OF_CHANCE
