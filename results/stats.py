"""The statistics of the comparison: pure functions on numbers, no records, no I/O.

Why Student's t and not a bootstrap over seeds: with three to five seeds the percentile bootstrap of a mean covers far
less than it says (a 95 % one holds the truth in about three of four studies at n = 3; tests/results/test_stats.py
measures it). The t interval is wide there, and right.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy import optimize, special, stats

CONFIDENCE = 0.95


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


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Median with its distribution-free interval, two of the values themselves; none where so few allow none.

    Source: Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2; Wilks 1962.
    """
    found = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
    low, high = (None if math.isnan(end) else float(end) for end in (found.low, found.high))
    return Interval(float(np.median(values)), low, high, len(values))


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


FEWEST_RATIOS = 10
"""Fewer cases do not tell how alike their spreads are."""


def ratios(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[tuple[Interval, float | None]]:
    """`ratio_interval` of many cases of one kind, each with its two-sided p; None where there is no interval.

    From `FEWEST_RATIOS` cases on by the moderated t test: three processes a side tell little of a case's own spread.
    Its variance (one for both sides) is drawn towards that of all cases, the more the more alike those are. Source:
    Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), 3. Of fewer cases by Welch's.
    """
    logs = [(np.log(ours), np.log(theirs)) for ours, theirs in pairs]
    varying = {
        place: max(_pooled_variance(*sides), SMALLEST_SPREAD**2)
        for place, sides in enumerate(logs)
        if min(map(len, sides)) >= FEWEST_PROCESSES and any(np.ptp(side) for side in sides)
    }
    if len(varying) < FEWEST_RATIOS:
        varying = {}
    freedom = {place: len(logs[place][0]) + len(logs[place][1]) - 2 for place in varying}
    common, weight = _common_variance(list(varying.values()), list(freedom.values())) if varying else (0.0, 0.0)
    found: list[tuple[Interval, float | None]] = []
    for place, (ours, theirs) in enumerate(logs):
        if place not in varying:
            ratio = ratio_interval(*pairs[place])
            found.append((ratio, None if ratio.low is None else ratio_p_value(*pairs[place])))
            continue
        degrees = weight + freedom[place]
        variance = (weight * common + freedom[place] * varying[place]) / degrees
        error = math.sqrt(variance * (1 / len(ours) + 1 / len(theirs)))
        mean, half = float(ours.mean() - theirs.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * error)
        ratio = exponential(Interval(mean, mean - half, mean + half, min(len(ours), len(theirs))))
        found.append((ratio, float(2 * stats.t.sf(abs(mean) / error, degrees))))
    return found


def _pooled_variance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The variance of two groups around their own means."""
    squares = sum(float(np.sum((side - side.mean()) ** 2)) for side in (ours, theirs))
    return squares / (len(ours) + len(theirs) - 2)


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


@dataclass(frozen=True)
class Law:
    """A sum of powers of N with coefficients of at least 0: `terms` are pairs (coefficient, exponent).

    `weight` is its Akaike weight among the laws that were fitted to the same values, by AICc, from 0 to 1.
    """

    name: str
    terms: tuple[tuple[float, float], ...]
    weight: float

    def at(self, patches: float) -> float:
        """The law's value at `patches`."""
        return sum(coefficient * patches**exponent for coefficient, exponent in self.terms)

    def share(self, exponent: float, patches: float) -> float:
        """How much of the value at `patches` comes from the terms of this exponent, 0 to 1."""
        part = sum(coefficient * patches**power for coefficient, power in self.terms if power == exponent)
        return part / self.at(patches)


@dataclass(frozen=True)
class LocalExponent:
    """Log-log slope between two neighbouring sizes, `smaller` and `larger`: about an octave apart."""

    smaller: int
    larger: int
    exponent: Interval


@dataclass(frozen=True)
class Growth:
    """How values grow with the number of patches N.

    `laws` are those of `fit_laws`, and `law` is the one that the growth is named after. `exponent` is the log-log slope
    over the upper half of the sizes, as measured, constant included; `quadratic_share` is that of cN^2 in the quadratic
    law at the largest size. Intervals are by resampling processes, from three a size on.
    """

    laws: tuple[Law, ...]
    law: Law
    exponent: Interval
    quadratic_share: Interval
    local_exponents: tuple[LocalExponent, ...]

    def named(self, name: str) -> Law:
        """The law of this name."""
        return next(law for law in self.laws if law.name == name)


FEWEST_SIZES = 6
"""Fewer give no fit: the AICc of a law with four parameters (three coefficients, a spread) needs two values more."""
FEWEST_PROCESSES = 3
RESAMPLES = 300
DEGREES_OF_FREEDOM = 4
SMALLEST_SPREAD = 1e-3
"""Values that follow a law closer than this are taken to follow it this closely: no clock tells more."""
MATERIAL_SHARE = 0.25
"""Least share at the largest size of a quadratic term that a growth is named after: chance bends a few linear curves
by less (`results.growth_study`)."""
EXPONENTS = {"constant": (0.0,), "linear": (0.0, 1.0), "quadratic": (0.0, 1.0, 2.0)}


def fit_growth(values: Mapping[int, Sequence[float]], seed: int = 0) -> Growth | None:
    """Laws, exponents and shares of the values of each size's processes; None for fewer than `FEWEST_SIZES` sizes."""
    if len(values) < FEWEST_SIZES:
        return None
    sizes = sorted(values)
    laws = fit_laws(values)
    return Growth(
        laws,
        name_growth(laws, sizes[-1]),
        log_log_slope({size: values[size] for size in upper_half(sizes)}, seed),
        _quadratic_share(values, seed),
        tuple(
            LocalExponent(one, next_, log_log_slope({size: values[size] for size in (one, next_)}, seed))
            for one, next_ in pairwise(sizes)
        ),
    )


def upper_half(sizes: Sequence[int]) -> list[int]:
    """The sizes from their median on, in order."""
    return [size for size in sorted(sizes) if size >= np.median(sizes)]


def fit_laws(values: Mapping[int, Sequence[float]]) -> tuple[Law, ...]:
    """The laws "constant" a, "linear" a + bN, "quadratic" a + bN + cN^2 and "power" a + bN^k, each with its weight.

    A size counts once, by the median of its processes, so that a law is judged by how it follows the sizes and one
    slow process cannot bend it. Residuals are relative (of logarithms: a step at N = 4,096 takes a thousand times one
    at N = 64 and would else be all that counts) and Student's t with 4 degrees of freedom, which leaves an outlier
    aside. AICc: Hurvich and Tsai 1989, Biometrika 76:297; weights: Burnham and Anderson 2002, section 2.9.
    """
    sizes = np.array(sorted(values), float)
    medians = np.array([np.median(values[int(size)]) for size in sizes])
    exponents = EXPONENTS | {"power": _power(sizes, medians)}
    fits = {name: _fit(sizes, medians, powers) for name, powers in exponents.items()}
    fitted = {name: len(powers) + (2 if name == "power" else 1) for name, powers in exponents.items()}
    criteria = {name: _aicc(likelihood, fitted[name], len(sizes)) for name, (_, likelihood) in fits.items()}
    evidence = {name: math.exp((min(criteria.values()) - criterion) / 2) for name, criterion in criteria.items()}
    return tuple(
        Law(
            name,
            tuple(zip(coefficients.tolist(), exponents[name], strict=True)),
            evidence[name] / sum(evidence.values()),
        )
        for name, (coefficients, _) in fits.items()
    )


def name_growth(laws: Sequence[Law], largest: int) -> Law:
    """Of constant, linear and quadratic the law with the most weight; quadratic only with a `MATERIAL_SHARE` of it."""
    candidates = [law for law in laws if law.name in EXPONENTS]
    return max(
        (law for law in candidates if law.name != "quadratic" or law.share(2, largest) >= MATERIAL_SHARE),
        key=lambda law: law.weight,
    )


def log_log_slope(values: Mapping[int, Sequence[float]], seed: int = 0) -> Interval:
    """Least-squares slope of the logarithm of the sizes' medians on that of the sizes."""
    sizes = sorted(values)
    x = np.log(sizes) - np.mean(np.log(sizes))
    return _resampled([values[size] for size in sizes], lambda medians: np.log(medians) @ x / (x @ x), seed)


def _quadratic_share(values: Mapping[int, Sequence[float]], seed: int) -> Interval:
    """Share of cN^2 in the quadratic law at the largest size."""
    sizes = np.array(sorted(values), float)

    def share(medians: np.ndarray) -> float:
        terms = _fit(sizes, medians, EXPONENTS["quadratic"])[0] * sizes[-1] ** np.arange(3)
        return float(terms[2] / terms.sum())

    return _resampled(
        [values[int(size)] for size in sizes], lambda medians: np.apply_along_axis(share, -1, medians), seed
    )


def crossover(
    ours: Mapping[int, Sequence[float]], base: Mapping[int, Sequence[float]], seed: int = 0
) -> Interval | None:
    """The number of patches from which on `ours` is less than `base`, or None where they share fewer than two sizes.

    Between measured sizes it is interpolated on log axes. 0 stands for "at every size", infinity for "not at the
    largest". The interval is by resampling processes.
    """
    shared = sorted(ours.keys() & base.keys())
    if len(shared) < 2:
        return None

    def crossing(medians: np.ndarray) -> float:
        return _crossing(np.log(shared), np.log(medians[len(shared) :] / medians[: len(shared)]))

    return _resampled(
        [values[size] for values in (ours, base) for size in shared],
        lambda medians: np.apply_along_axis(crossing, -1, medians),
        seed,
    )


def exact_growth(values: Mapping[int, int]) -> Law:
    """The polynomial of degree 2 at most that whole numbers follow exactly, from three sizes on.

    Raises `ValueError` where they follow none or are fewer than three.
    """
    if len(values) < 3:
        raise ValueError("a polynomial of degree 2 needs three values")
    (x0, y0), (x1, y1), (x2, y2), *rest = ((Fraction(x), Fraction(y)) for x, y in sorted(values.items()))
    first, second = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    quadratic = (second - first) / (x2 - x0)
    linear = first - quadratic * (x0 + x1)
    constant = y0 - linear * x0 - quadratic * x0**2
    if any(constant + linear * x + quadratic * x**2 != y for x, y in rest):
        raise ValueError("the values follow no polynomial of degree 2 exactly")
    name = "quadratic" if quadratic else "linear" if linear else "constant"
    return Law(name, tuple((float(c), float(e)) for e, c in enumerate((constant, linear, quadratic))), 1.0)


def _fit(sizes: np.ndarray, values: np.ndarray, exponents: Sequence[float]) -> tuple[np.ndarray, float]:
    """Coefficients >= 0 of the powers of N with the largest likelihood, and its logarithm but for a constant.

    Expectation-maximisation for Student's t: non-negative least squares on relative residuals, weighted again by how
    far each value lies off.
    """
    unit, scale = sizes[-1], float(np.median(values))
    powers, targets = (sizes[:, None] / unit) ** np.asarray(exponents), values / scale
    coefficients, _ = optimize.nnls(powers / targets[:, None], np.ones_like(targets))
    nu, spread = DEGREES_OF_FREEDOM, math.inf
    for _ in range(50):
        fitted = powers @ coefficients
        residuals = np.log(targets / fitted)
        weights = (nu + 1) / (nu + (residuals / spread) ** 2)
        before, spread = spread, max(math.sqrt(np.mean(weights * residuals**2)), SMALLEST_SPREAD)
        if abs(spread - before) < 1e-3 * spread:
            break
        roots = np.sqrt(weights)
        coefficients, _ = optimize.nnls(powers / fitted[:, None] * roots[:, None], roots * (1 + residuals))
    likelihood = -float(np.sum((nu + 1) / 2 * np.log1p((residuals / spread) ** 2 / nu)) + len(targets) * np.log(spread))
    return coefficients * scale / unit ** np.asarray(exponents), likelihood


def _power(sizes: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The exponents of the law a + bN^k that fits best."""
    best = optimize.minimize_scalar(lambda k: -_fit(sizes, values, (0.0, k))[1], bounds=(0.05, 4), method="bounded")
    return 0.0, float(best.x)


def _aicc(likelihood: float, parameters: int, n: int) -> float:
    """Akaike's criterion, corrected for few values; `parameters` counts the spread too."""
    return 2 * parameters - 2 * likelihood + 2 * parameters * (parameters + 1) / (n - parameters - 1)


def _crossing(log_sizes: np.ndarray, advantages: np.ndarray) -> float:
    """Where the advantage, a log ratio, has turned positive for good: 0 if it always is, infinity if it is not last."""
    behind = np.flatnonzero(advantages <= 0)
    if not len(behind):
        return 0.0
    last = int(behind[-1])
    if last == len(advantages) - 1:
        return math.inf
    return float(np.exp(np.interp(0, advantages[last : last + 2], log_sizes[last : last + 2])))


def _resampled(groups: Sequence[Sequence[float]], statistic: Callable[[np.ndarray], np.ndarray], seed: int) -> Interval:
    """A statistic of the medians of groups of processes, with its percentile interval over resampled processes.

    `statistic` works along the last axis, which has an entry a group. `n` is the size of the smallest group; below
    `FEWEST_PROCESSES` there is no interval.
    """
    n = min(map(len, groups))
    estimate = float(statistic(np.array([np.median(group) for group in groups])))
    if n < FEWEST_PROCESSES:
        return Interval(estimate, None, None, n)
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(np.asarray(group, float), (RESAMPLES, len(group))) for group in groups]
    resampled = statistic(np.stack([np.median(group, axis=1) for group in drawn], axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail), method="closest_observation")
    return Interval(estimate, float(low), float(high), n)
