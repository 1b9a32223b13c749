"""The statistics of the comparison: pure functions on numbers, no records, no I/O.

Why Student's t and not a bootstrap over seeds: with three to five seeds the percentile bootstrap of a mean covers far
less than it says (a 95 % one holds the truth in about three of four studies at n = 3; tests/results/test_stats.py
measures it). The t interval is wide there, and right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

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

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is shown: the interval exists and 0 lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's t interval; without an interval for a single value. Raises `ValueError` on none."""
    n = len(values)
    if n == 0:
        raise ValueError("a mean of no values")
    mean = float(np.mean(values))
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(
    ours: dict[int, float], theirs: dict[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Mean of `ours - theirs` over the seeds (the keys) that both have, or None where they share none."""
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    return mean_interval([ours[seed] - theirs[seed] for seed in seeds], confidence)


@dataclass(frozen=True)
class Growth:
    """The law step_seconds = constant + linear * N + quadratic * N^2 with coefficients >= 0, fitted to step times.

    `exponent` is the log-log slope over the upper half of the sizes, with the interval of that regression; it is None
    where fewer than three sizes lie there.
    """

    constant: float
    linear: float
    quadratic: float
    exponent: Interval | None

    def seconds(self, patches: float) -> float:
        """The law's step time at `patches`."""
        return self.constant + self.linear * patches + self.quadratic * patches**2

    def quadratic_share(self, patches: float) -> float:
        """How much of the law's step time at `patches` is quadratic, 0 to 1."""
        return self.quadratic * patches**2 / self.seconds(patches)


def fit_growth(patches: Sequence[int], step_seconds: Sequence[float]) -> Growth | None:
    """Fits the law by non-negative least squares on relative residuals, or None for fewer than three sizes.

    Relative, because a step at N = 4,096 takes a thousand times one at N = 64 and would else be all that counts.
    """
    sizes, seconds = np.asarray(patches, float), np.asarray(step_seconds, float)
    if len(set(patches)) < 3:
        return None
    scale = sizes.max()
    columns = np.stack([np.ones_like(sizes), sizes / scale, (sizes / scale) ** 2], axis=1)
    coefficients, _ = optimize.nnls(columns / seconds[:, None], np.ones_like(seconds))
    constant, linear, quadratic = coefficients / scale ** np.arange(3)
    upper = sizes >= np.median(sizes)
    return Growth(float(constant), float(linear), float(quadratic), log_log_slope(sizes[upper], seconds[upper]))


def log_log_slope(sizes: np.ndarray, seconds: np.ndarray, confidence: float = CONFIDENCE) -> Interval | None:
    """Least-squares slope of log(seconds) on log(sizes) with its t interval, or None for fewer than three sizes."""
    n = len(sizes)
    if n < 3:
        return None
    fit = stats.linregress(np.log(sizes), np.log(seconds))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 2) * fit.stderr)
    return Interval(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, n)
