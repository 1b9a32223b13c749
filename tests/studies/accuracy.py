"""python -m tests.studies.accuracy: how often the intervals of a difference in accuracy hold it, on made-up studies.

Takes about 6 minutes on 2 CPU cores. Two tables are printed, and stand in docs/measurements.md.

1. All seeds test the same images. Two models are equal on average; each image has a difficulty of its own for each.
2. Each seed draws its test set. Two real classifiers of other kinds are trained on made-up images; the truth is their
   mean difference over all studies, each of which has images of its own.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from benchmarks import datasets
from benchmarks.image_files import FOLDS, Images
from results.differences import Difference, over_seeds, over_seeds_and_images, over_splits

SEEDS = (3, 5, 10)
SPREADS = {"images 1.5, seeds 0.2": (1.5, 0.2), "images 1.5, seeds 0": (1.5, 0.0), "images 3, seeds 0.5": (3.0, 0.5)}
"""Standard deviations of the logits: from image to image for each model apart, and from seed to seed."""


def covers(found: Difference, truth: float) -> bool:
    low, high = found.interval.low, found.interval.high
    assert low is not None
    assert high is not None
    return low <= truth <= high


def same_images(images: int, accuracy: float, of_image: float, of_seed: float, studies: int) -> None:
    """Prints the coverage of both intervals, with their half widths in percentage points."""
    chance = np.random.default_rng(11)
    level = _level(accuracy, np.hypot(of_image, of_seed), chance)
    for seeds in SEEDS:
        found = []
        for _ in range(studies):
            shared = chance.normal(0, of_image, images)
            right = []
            for _ in range(2):
                logits = level + (shared + chance.normal(0, of_image, images)) / np.sqrt(2)
                logits = logits + chance.normal(0, of_seed, (seeds, 1))
                right.append(chance.random((seeds, images)) < special.expit(logits))
            apart = right[0].astype(float) - right[1]
            found.append((over_seeds(apart.mean(axis=1), np.sqrt(2) / images), over_seeds_and_images(apart)))
        _print(f"{accuracy:.1%} of {images:,}, {seeds} seeds", ["seeds", "seeds and images"], found, 0.0)


def _level(accuracy: float, spread: float, chance: np.random.Generator) -> float:
    """The mean logit at which the mean probability is the accuracy."""
    noise, levels = chance.normal(0, spread, 10_000), np.linspace(-12, 12, 2401)
    means = np.array([special.expit(level + noise).mean() for level in levels])
    return float(levels[np.argmin(np.abs(means - accuracy))])


def _print(what: str, names: list[str], found: Sequence[tuple[Difference, ...]], truth: float) -> None:
    parts = []
    for name, of_name in zip(names, zip(*found, strict=True), strict=True):
        held = np.mean([covers(one, truth) for one in of_name])
        half = np.median([one.interval.high - one.estimate for one in of_name if one.interval.high is not None])
        parts.append(f"{name} {held:.1%} (±{half * 100:.2f} pp)")
    print(f"{what}: {', '.join(parts)}")


PIXELS, CLASSES, ALL_IMAGES = 16, 10, 1797


def own_test_sets(apart: float, studies: int) -> None:
    """Prints the coverage of Nadeau's and Bengio's interval and of that over seeds, for classes so far `apart`."""
    kept: dict[int, list[np.ndarray]] = {seeds: [] for seeds in SEEDS}
    accuracy = []
    for study in range(studies):
        chance = np.random.default_rng(study)
        centres = np.random.default_rng(3).normal(0, apart, (CLASSES, 3, PIXELS))
        labels = chance.integers(0, CLASSES, ALL_IMAGES)
        modes = chance.integers(0, 3, ALL_IMAGES)
        pixels = centres[labels, modes] + chance.normal(0, 1, (ALL_IMAGES, PIXELS))
        images = Images(CLASSES, pixels[:1437], labels[:1437], pixels[1437:], labels[1437:])
        both = np.array([[_tested(images, seed, features) for features in (0, 100)] for seed in range(max(SEEDS))])
        accuracy.append(both.mean())
        for seeds in SEEDS:
            kept[seeds].append(both[:seeds, 1] - both[:seeds, 0])
    truth = float(np.mean(kept[max(SEEDS)]))
    for seeds in SEEDS:
        found = [(over_seeds(list(apart)), over_splits(list(apart), FOLDS)) for apart in kept[seeds]]
        what = f"{np.mean(accuracy):.1%}, difference {truth:+.2%}, {seeds} seeds"
        _print(what, ["seeds", "Nadeau and Bengio"], found, truth)


def _tested(images: Images, seed: int, features: int) -> float:
    """The test accuracy of a ridge classifier, on the pixels or on random features that the seed draws."""
    drawn = datasets.for_seed(images, seed, FOLDS)
    chance = np.random.default_rng([seed, features, 1])
    matrix, shift = chance.normal(0, 0.3, (PIXELS, features)), chance.normal(0, 1, features)

    def seen(pixels: np.ndarray) -> np.ndarray:
        rectified = np.maximum(pixels @ matrix + shift, 0) if features else pixels
        return np.column_stack([rectified, np.ones(len(pixels))])

    trained = slice(0, round(0.8 * len(drawn.train_labels)))  # the others validate
    x, y = seen(drawn.train_images[trained]), np.eye(CLASSES)[drawn.train_labels[trained]]
    weights = np.linalg.solve(x.T @ x + 3 * np.eye(x.shape[1]), x.T @ y)
    return float(np.mean(np.argmax(seen(drawn.test_images) @ weights, axis=1) == drawn.test_labels))


if __name__ == "__main__":
    for name, (of_image, of_seed) in SPREADS.items():
        print(f"\nthe same test images; {name}")
        for accuracy in (0.997, 0.98, 0.9, 0.4):
            same_images(360, accuracy, of_image, of_seed, 2000)
        same_images(10_000, 0.43, of_image, of_seed, 200)
    print("\neach seed draws its test set")
    for apart in (0.45, 0.7, 1.0):
        own_test_sets(apart, 600)
