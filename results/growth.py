"""Fits models of growth with the number of patches N, and gives intervals and verdicts. Pure functions, no I/O.

A point is the geometric mean of its processes. Models, slopes and intervals come from the logarithms of the same
processes, except those that were plainly disturbed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from results.stats import CONFIDENCE, FEWEST_PROCESSES, SMALLEST_SPREAD, Interval, exponential

Values = Mapping[int, Sequence[float] | np.ndarray]
"""Number of patches -> the values of its processes."""
Claim = Literal["linear", "N log N", "quadratic"]
Verdict = Literal["supported", "contradicted", "inconclusive", "not tested"]


@dataclass(frozen=True)
class Law:
    """A fitted model: a sum of powers of N; `terms` are pairs (coefficient of at least 0, power).

    In "N log N" the N is multiplied by its natural logarithm. `weight` is the Akaike weight (by AICc) among the models
    that were fitted to the same values, from 0 to 1.
    """

    name: str
    terms: tuple[tuple[float, float], ...]
    weight: float

    def at(self, patches: float) -> float:
        """Returns the model's value at `patches`."""
        factor = math.log(patches) if self.name == "N log N" else 1.0
        return sum(coefficient * patches**power * (factor if power else 1) for coefficient, power in self.terms)

    def bend(self, smallest: float, largest: float) -> float:
        """Returns the fraction of the value at `largest` that no line gives: cN^2 or bN (log N - log(smallest))."""
        power, factor = (1, math.log(largest / smallest)) if self.name == "N log N" else (2, 1.0)
        return sum(c * largest**k * factor for c, k in self.terms if k == power) / self.at(largest)


@dataclass(frozen=True)
class Growth:
    """How values grow with the number of patches N.

    `laws` are the fitted models, and `law` is the one that the growth is classified as. `slope` is the log-log slope
    over the upper half of the sizes, as measured, constant included. `quadratic_share` is the fraction of the fitted
    value at the largest size that is quadratic, with an interval given three processes per size. `n_log_n_excluded` is
    the confidence with which growth as N log N is excluded, 0 to 1.
    """

    laws: tuple[Law, ...]
    law: Law
    slope: Interval
    quadratic_share: Interval
    n_log_n_excluded: float


FEWEST_SIZES = 6
MATERIAL_SHARE = 0.25
"""Smallest fraction of the value at the largest size that counts as a bend: below it, a growth is linear."""
EXCLUDED: dict[Claim, float] = {"linear": CONFIDENCE, "N log N": 0.0, "quadratic": 0.99}
"""Claim -> the confidence with which N log N has to be excluded: more for "quadratic", as a quadratic fitted to N log N
has a part of about `MATERIAL_SHARE` itself."""
OPPOSITE: dict[Verdict, Verdict] = {"supported": "contradicted", "contradicted": "supported"}


def fit_growth(values: Values) -> Growth | None:
    """Fits the models and slopes to the values of each size's processes; None below `FEWEST_SIZES` sizes."""
    if len(values) < FEWEST_SIZES:
        return None
    sizes = sorted(values)
    laws, quadratic_share, n_log_n_excluded = _fit_laws(values)
    straight = {"constant", "linear"}
    bent = {law.name for law in laws if law.bend(sizes[0], sizes[-1]) >= MATERIAL_SHARE} - {"power"}
    law = max((law for law in laws if law.name in straight | bent), key=lambda law: law.weight)
    return Growth(laws, law, log_log_slope(values, upper_half(sizes)), quadratic_share, n_log_n_excluded)


def verdict(growth: Growth | None, claim: Claim) -> Verdict:
    """Returns whether the values support a claimed growth; "linear" and "N log N" are bounds from above.

    The interval of the quadratic part decides: "linear" needs it below `MATERIAL_SHARE`, "quadratic" at or above it.
    "Supported" also needs the classification to agree, and N log N to be excluded. "N log N" is the opposite of
    "quadratic": supported where that is contradicted.
    """
    if claim == "N log N":
        opposite = verdict(growth, "quadratic")
        return OPPOSITE.get(opposite, opposite)
    if growth is None or growth.quadratic_share.low is None or growth.quadratic_share.high is None:
        return "not tested"
    linear, quadratic = growth.quadratic_share.high < MATERIAL_SHARE, growth.quadratic_share.low >= MATERIAL_SHARE
    met, missed = (linear, quadratic) if claim == "linear" else (quadratic, linear)
    classified = growth.law.name == claim or (claim, growth.law.name) == ("linear", "constant")
    if met and classified and growth.n_log_n_excluded >= EXCLUDED[claim]:
        return "supported"
    return "contradicted" if missed else "inconclusive"


def upper_half(sizes: Sequence[int]) -> list[int]:
    """Returns the sizes at or above their median, in order."""
    return [size for size in sorted(sizes) if size >= np.median(sizes)]


def log_log_slope(values: Values, sizes: Sequence[int]) -> Interval:
    """Returns the least-squares slope of the logarithms of the chosen sizes' geometric means on those of the sizes.

    Its interval is Student's t with the processes' standard deviation pooled within all sizes.
    """
    x = np.log(sizes) - np.mean(np.log(sizes))
    n, values = min(len(values[size]) for size in sizes), _undisturbed(values)
    slope = float(_log_means(values, sizes) @ x / (x @ x))
    error = math.sqrt(sum(part**2 / len(values[size]) for part, size in zip(x / (x @ x), sizes, strict=True)))
    return _pooled_interval(slope, error, list(values.values()), n)


def crossover(ours: Values, base: Values) -> Interval | None:
    """Returns the number of patches above which `ours` is less than `base`; None with fewer than two sizes in common.

    Between measured sizes it is interpolated on log axes. 0 stands for "at every size", infinity for "not at the
    largest". Its interval ends where those of the log ratios do, with the standard deviation pooled within all sizes.
    """
    shared = sorted(ours.keys() & base.keys())
    if len(shared) < 2:
        return None
    n = min(len(side[size]) for side in (ours, base) for size in shared)
    ours, base = _undisturbed(ours), _undisturbed(base)
    groups = [side[size] for side in (ours, base) for size in shared]
    advantages = _log_means(base, shared) - _log_means(ours, shared)
    estimate = _crossing(np.log(shared), advantages)
    if n < FEWEST_PROCESSES:
        return Interval(estimate, None, None, n)
    halves = _pooled_half(groups) * np.sqrt([1 / len(ours[size]) + 1 / len(base[size]) for size in shared])
    low, high = (_crossing(np.log(shared), advantages + half) for half in (halves, -halves))
    return Interval(estimate, low, high, n)


def ratio(ours: Values, base: Values, patches: int) -> Interval:
    """Returns ours over base at one size: Student's t on the logarithms, standard deviation pooled within all sizes."""
    n, (ours, base) = min(len(ours[patches]), len(base[patches])), (_undisturbed(ours), _undisturbed(base))
    groups = [values for side in (ours, base) for values in side.values()]
    (mean,) = _log_means(ours, [patches]) - _log_means(base, [patches])
    error = math.sqrt(1 / len(ours[patches]) + 1 / len(base[patches]))
    return exponential(_pooled_interval(mean, error, groups, n))


Family = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Parameters, one per row -> the two terms of each model at every value, along the last axis."""
SHARES = np.concatenate([-np.geomspace(4, 0.02, 30), np.linspace(0, 0.98, 99), 1 - np.geomspace(0.01, 1e-4, 10), [1.0]])
"""Quadratic parts that are tried. A growth that is slower than linear fits a negative one best; the part's interval,
which is at least 0, then ends the nearer to 0."""
POWERS = np.linspace(0.05, 4, 80)
CONVERGED = 1e-6
MANY_GAPS, SMALLEST_LIMIT = 8, math.log(1.5)
"""How much slower than the fastest of its size a process may be, as a logarithm: this many times the usual gap between
a size's fastest two (about five standard deviations of three processes), and at least `SMALLEST_LIMIT`."""


@dataclass(frozen=True)
class _Fit:
    """The likeliest model of a family: its parameter, what its two terms give at the largest size, the logarithm of
    its likelihood up to a constant, and each value's residual."""

    parameter: float
    tops: tuple[float, float]
    likelihood: float
    residuals: np.ndarray


def _fit_laws(values: Values) -> tuple[tuple[Law, ...], Interval, float]:
    """Returns the fitted models, the quadratic part, and the confidence with which N log N is excluded.

    The models are "constant" a, "linear" a + bN, "N log N" a + bN log N, "quadratic" a + bN + cN^2 and "power" a +
    bN^k. AICc: Hurvich and Tsai 1989, Biometrika 76:297; weights: Burnham and Anderson 2002, section 2.9.
    """
    undisturbed = _undisturbed(values)
    patches = np.repeat(list(undisturbed), [len(group) for group in undisturbed.values()])
    ys = np.concatenate(list(undisturbed.values()))
    smallest, largest = int(patches[0]), int(patches[-1])
    log, x, one = math.log(largest), patches / largest, np.ones(len(ys))
    x_log_x = x * np.log(patches) / log

    def with_square(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns a constant and a line, each with as much N^2 as makes up the share at the largest size."""
        return (1 - shares) + shares * x**2, (1 - shares) * x + shares * x**2

    constant, linear, n_log_n = (_fixed(one, end, ys) for end in (one, x, x_log_x))
    curved, power = _best(with_square, SHARES, ys), _best(lambda k: (one + 0 * k, x**k), POWERS, ys)
    square = curved if curved.parameter > 0 else linear
    share, (level, line) = square.parameter, square.tops
    models = {
        "constant": (constant, 2, {0.0: sum(constant.tops)}),
        "linear": (linear, 3, {0.0: linear.tops[0], 1.0: linear.tops[1]}),
        "N log N": (n_log_n, 3, {0.0: n_log_n.tops[0], 1.0: n_log_n.tops[1] / log}),
        "quadratic": (square, 4, {0.0: (1 - share) * level, 1.0: (1 - share) * line, 2.0: share * (level + line)}),
        "power": (power, 4, {0.0: power.tops[0], power.parameter: power.tops[1]}),
    }
    criteria = {  # AICc; the standard deviation is one of the k parameters
        name: 2 * k - 2 * fit.likelihood + 2 * k * (k + 1) / (len(ys) - k - 1) for name, (fit, k, _) in models.items()
    }
    evidence = {name: math.exp((min(criteria.values()) - criterion) / 2) for name, criterion in criteria.items()}
    all_evidence = sum(evidence.values())
    laws = {
        name: Law(name, tuple((top / largest**k, k) for k, top in tops.items()), evidence[name] / all_evidence)
        for name, (_, _, tops) in models.items()
    }
    if laws["N log N"].bend(smallest, largest) < MATERIAL_SHARE:  # then the likeliest of those that bend so much
        least = min(MATERIAL_SHARE * log / math.log(largest / smallest), 1.0)
        bent = (1 - least) * one + least * x_log_x
        n_log_n = _fixed(bent, bent, ys)
    excluded = _excluded(curved, np.array([n_log_n.likelihood]), patches)
    n, (low, high) = min(map(len, values.values())), _likely(with_square, curved, patches, ys)
    known = n >= FEWEST_PROCESSES
    return tuple(laws.values()), Interval(share, low if known else None, high if known else None, n), float(excluded[0])


def _undisturbed(values: Values) -> dict[int, np.ndarray]:
    """Returns the values of each size, smallest first, without those that are far above the smallest.

    A disturbance makes a process much slower and none much faster, so the fastest process is the one to trust.
    """
    found = {size: np.sort(values[size]) for size in sorted(values)}
    gaps = [math.log(group[1] / group[0]) for group in found.values() if len(group) > 1]
    limit = math.exp(max(MANY_GAPS * float(np.median(gaps)), SMALLEST_LIMIT)) if gaps else math.inf
    return {size: group[group <= group[0] * limit] for size, group in found.items()}


def _excluded(best: _Fit, likelihoods: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """Returns the confidence with which models of these likelihoods are excluded.

    It is Student's t in a linear model, here of three coefficients (Bates and Watts 1988, 6.1). Where the best lacks
    fit (F test; Draper and Smith 1998, 2.1) the degrees of freedom fall to those of the sizes: processes that agree
    with one another and not with the model are no more evidence than one of them.
    """
    _, places, counts = np.unique(patches, return_inverse=True, return_counts=True)
    values, sizes, freedom = len(patches), len(counts), float(len(patches) - 3)
    together, all_squares = np.sum(np.bincount(places, best.residuals) ** 2 / counts), np.sum(best.residuals**2)
    if values > sizes:
        pure = (all_squares - together) / (values - sizes)
        if together / (sizes - 3) > stats.f.ppf(CONFIDENCE, sizes - 3, values - sizes) * pure:
            freedom = float((sizes - 3) * all_squares / together)
    t_squared = freedom * np.expm1(np.clip(2 * (best.likelihood - likelihoods) / values, 0, 99))
    return 1 - 2 * stats.t.sf(np.sqrt(t_squared), freedom)


def _likely(terms: Family, best: _Fit, patches: np.ndarray, ys: np.ndarray) -> tuple[float, float]:
    """Returns the smallest and the largest share >= 0 that is not excluded, interpolated between those tried."""
    shares = np.sort([*SHARES, best.parameter])
    inside = CONFIDENCE - _excluded(best, _fit(*terms(shares[:, None]), ys)[0], patches)
    inside[shares == best.parameter] = CONFIDENCE
    first, last = np.flatnonzero(inside >= 0)[[0, -1]]
    low = shares[0] if first == 0 else np.interp(0, inside[[first - 1, first]], shares[[first - 1, first]])
    high = shares[-1] if inside[-1] >= 0 else np.interp(0, inside[[last + 1, last]], shares[[last + 1, last]])
    return max(float(low), 0.0), max(float(high), 0.0)


def _fixed(first: np.ndarray, second: np.ndarray, ys: np.ndarray) -> _Fit:
    """Returns the fit of two terms that depend on no parameter."""
    return _best(lambda none: (first + none, second + none), np.zeros(1), ys)


def _best(terms: Family, grid: np.ndarray, ys: np.ndarray) -> _Fit:
    """Returns the fit with the likeliest parameter: of the grid, and then of ever finer grids around it."""
    for _ in range(5 if len(grid) > 1 else 1):
        likelihoods, coefficients, residuals = _fit(*terms(grid[:, None]), ys)
        best = int(np.argmax(likelihoods))
        tops = float(coefficients[best, 0]), float(coefficients[best, 1])
        found = _Fit(float(grid[best]), tops, float(likelihoods[best]), residuals[best])
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 21)
    return found


def _fit(first: np.ndarray, second: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns by row: the log-likelihood up to a constant, the likeliest coefficients >= 0, and the residuals.

    Residuals are of logarithms, and normal: a step at N = 4,096 takes a thousand times as long as one at N = 64, and
    would otherwise be all that counts.
    """
    scale = float(np.median(ys))
    fitted, residuals = np.broadcast_to(ys / scale, first.shape), np.zeros(first.shape)
    for _ in range(40):
        coefficients = _two_coefficients(first / fitted, second / fitted, np.maximum(1 + residuals, 0.1))
        fitted = coefficients[:, :1] * first + coefficients[:, 1:] * second
        before, residuals = residuals, np.log(ys / scale / fitted)
        if np.all(np.abs(residuals - before) < CONVERGED):
            break
    spread = np.maximum(np.sqrt(np.mean(residuals**2, axis=1)), SMALLEST_SPREAD)
    likelihoods = -np.sum(residuals**2, axis=1) / (2 * spread**2) - len(ys) * np.log(spread)
    return likelihoods, coefficients * scale, residuals


def _two_coefficients(first: np.ndarray, second: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the least-squares coefficients >= 0 of two terms, by row."""
    pairs = ((first, first), (first, second), (second, second), (first, targets), (second, targets))
    aa, ab, bb, a, b = (np.sum(one * other, axis=1) for one, other in pairs)
    determinant = aa * bb - ab**2
    apart = determinant > 1e-9 * aa * bb  # and not twice the same term
    both = np.stack([a * bb - b * ab, b * aa - a * ab], axis=1) / np.where(apart, determinant, 1.0)[:, None]
    one_alone = np.where(a**2 / aa >= b**2 / bb, [a / aa, 0 * b], [0 * a, b / bb]).T
    return np.where((apart & np.all(both >= 0, axis=1))[:, None], both, one_alone)


def _log_means(values: Values, sizes: Sequence[int]) -> np.ndarray:
    """Returns the logarithms of the sizes' geometric means."""
    return np.array([np.mean(np.log(values[size])) for size in sizes])


def _pooled_interval(estimate: float, error: float, groups: Sequence[Sequence[float] | np.ndarray], n: int) -> Interval:
    """Returns Student's t interval of a logarithm; the standard error is `error` pooled standard deviations."""
    if n < FEWEST_PROCESSES:
        return Interval(estimate, None, None, n)
    half = _pooled_half(groups) * error
    return Interval(estimate, estimate - half, estimate + half, n)


def _pooled_half(groups: Sequence[Sequence[float] | np.ndarray]) -> float:
    """Returns half the interval of one value's logarithm: Student's t, standard deviation pooled within the groups."""
    residuals = np.concatenate([np.log(group) - np.mean(np.log(group)) for group in groups])
    freedom = len(residuals) - len(groups)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(np.sum(residuals**2) / freedom))


def _crossing(log_sizes: np.ndarray, advantages: np.ndarray) -> float:
    """Returns where the advantage, a log ratio, turns positive for good: 0 if it always is, infinity if never."""
    behind = np.flatnonzero(advantages <= 0)
    if not len(behind):
        return 0.0
    last = int(behind[-1])
    if last == len(advantages) - 1:
        return math.inf
    return float(np.exp(np.interp(0, advantages[last : last + 2], log_sizes[last : last + 2])))
