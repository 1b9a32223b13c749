"""Estimates how much two models differ, from seeds that both were trained with: over the seeds alone, or over the test
images as well. Pure functions on numbers, no records, no I/O.

Seeds alone speak of the same test images. On new images the difference is another, and more seeds do not tell which.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from results.stats import CONFIDENCE, Interval, detectable_errors, significant_errors, spread

POWER = 0.8
"""The minimum detectable difference is found significant with this chance."""
MOST_SEEDS = 1000
LEAST_P = 1e-300


@dataclass(frozen=True)
class Difference:
    """A mean difference over `n` seeds, and what its error is made of.

    `seed_variance` is the variance from one seed to the next, of which a mean over more seeds has less.
    `image_variance` is that part of the mean's variance that comes from which images there are, known with
    `image_degrees` of freedom: more seeds do not lower it. A single seed has no interval and no test.

    The squared half widths of both parts' intervals add up to that of the whole. Satterthwaite's degrees of freedom are
    too many where three seeds happen to be alike. Source: Zou & Donner 2008, Statistics in Medicine 27, 1693-1702.
    """

    estimate: float
    seed_variance: float
    image_variance: float
    image_degrees: float
    n: int

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.seed_variance / self.n + self.image_variance)

    @property
    def interval(self) -> Interval:
        """The 95 % interval; a single seed has none."""
        return self.interval_at(1 - CONFIDENCE)

    def interval_at(self, alpha: float) -> Interval:
        """The interval that is wrong with the chance `alpha`."""
        if self.n < 2:
            return Interval(self.estimate, None, None, self.n)
        half = self._half_width(alpha)
        return Interval(self.estimate, self.estimate - half, self.estimate + half, self.n)

    def _half_width(self, alpha: float) -> float:
        parts = (self.seed_variance / self.n, self.n - 1), (self.image_variance, self.image_degrees)
        return math.hypot(*(float(stats.t.isf(alpha / 2, of)) * math.sqrt(part) for part, of in parts if part))

    @property
    def p_value(self) -> float | None:
        """The two-sided p: up to it the interval excludes 0."""
        if self.n < 2:
            return None
        if self.error == 0:
            return 0.0 if self.estimate else 1.0
        if not self.image_variance or self.image_degrees == self.n - 1:
            return float(2 * stats.t.sf(abs(self.estimate) / self.error, self.n - 1))
        if self._half_width(LEAST_P) <= abs(self.estimate):
            return LEAST_P
        found = optimize.brentq(
            lambda log: self._half_width(math.exp(log)) - abs(self.estimate), math.log(LEAST_P), 0, xtol=1e-9
        )
        return math.exp(found)

    def detectable(self, alpha: float) -> float:
        """Computes the smallest true difference that a test at the two-sided `alpha` finds with the chance `POWER`."""
        if self.error == 0:
            return 0.0
        return detectable_errors(significant_errors(self._degrees(alpha), alpha / 2), POWER) * self.error

    def _degrees(self, alpha: float) -> float:
        """The degrees of freedom of a t distribution with the same interval."""
        aim, few, many = self._half_width(alpha) / self.error, *sorted((self.n - 1.0, self.image_degrees))

        def beyond(degrees: float) -> float:
            return float(stats.t.isf(alpha / 2, degrees)) - aim

        if beyond(few) <= 0:
            return few
        return many if beyond(many) >= 0 else float(optimize.brentq(beyond, few, many))

    def seeds_for(self, size: float, alpha: float) -> int | None:
        """Computes how many seeds would detect a difference of this size; None where `MOST_SEEDS` would not."""
        own = self.image_degrees == self.n - 1

        def is_found(seeds: int) -> bool:
            degrees = seeds - 1 if own else self.image_degrees
            return replace(self, n=seeds, image_degrees=degrees).detectable(alpha) <= size

        if not is_found(MOST_SEEDS):
            return None
        few, enough = 1, MOST_SEEDS
        while enough - few > 1:
            middle = (few + enough) // 2
            few, enough = (few, middle) if is_found(middle) else (middle, enough)
        return enough


def by_seed(sides: Sequence[tuple[int, Mapping[int, float]]]) -> dict[int, float]:
    """Adds up what several models have at each seed, each by its sign, for the seeds that all have."""
    seeds = sorted(set.intersection(*(set(values) for _, values in sides)))
    return {seed: sum(sign * values[seed] for sign, values in sides) for seed in seeds}


def over_seeds(differences: Sequence[float], resolution: float = 0) -> Difference:
    """Estimates the difference on the same test images. Raises `ValueError` on none.

    `resolution` is the step between the possible values of a difference, as in `stats.mean_interval`.
    """
    n = len(differences)
    if n == 0:
        raise ValueError("a mean of no values")
    variance = spread(differences, resolution) ** 2 if n > 1 else 0.0
    return Difference(float(np.mean(differences)), variance, 0.0, n - 1, n)


def over_splits(differences: Sequence[float], folds: int, resolution: float = 0) -> Difference:
    """Estimates the difference on new images where each seed has drawn one of `folds` parts as its test set.

    The seeds' training sets overlap, and their results with them. The correction is Nadeau's and Bengio's: the variance
    of the mean is (1 / n + test images / other images) times that of the seeds, where the images that validate count
    among the others. Source: Nadeau & Bengio 2003, Machine Learning 52, 239-281, equation 8 on.
    """
    found = over_seeds(differences, resolution)
    return replace(found, image_variance=found.seed_variance / (folds - 1))


def over_seeds_and_images(differences: npt.NDArray[np.float64]) -> Difference:
    """Estimates the difference on new images where all seeds were tested on the same ones.

    `differences` are `(seeds, images)`, 1 where ours alone is right, -1 where the other alone is. Both are random and
    crossed: the variance of the mean is (MS seeds + MS images - MS rest) / (seeds x images), of mean squares of the
    two-way layout, and at least that of the larger of the two alone. Source: Searle, Casella & McCulloch 1992, Variance
    Components, section 4.3.
    """
    seeds, images = differences.shape
    mean = float(differences.mean())
    if seeds < 2 or images < 2:
        return over_seeds([float(value) for value in differences.mean(axis=1)])
    of_seeds, of_images = differences.mean(axis=1), differences.mean(axis=0)
    rest = float(np.sum((differences - of_seeds[:, None] - of_images + mean) ** 2)) / (seeds - 1) / (images - 1)
    one_image = 1 / images  # one image that all seeds differ in: none at all does not prove that there is none
    seed_variance = float(np.var(of_seeds, ddof=1))
    images_alone = max(float(np.var(of_images, ddof=1)), one_image) / images
    image_variance = max(images_alone - rest / seeds / images, images_alone - seed_variance / seeds, 0.0)
    return Difference(mean, seed_variance, image_variance, images - 1, seeds)
