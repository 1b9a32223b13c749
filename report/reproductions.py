"""Trainings of the tutorial's models -> how far their settings depart from its own, and each beside what it claims."""

from collections.abc import Iterable
from dataclasses import dataclass

from report import words
from report.accuracy import Study
from report.groups import Training, bare
from report.tested import FEWEST_SEEDS, Comparison
from report.words import NOTHING
from results import published
from results.metrics import METRICS
from results.published import Published
from results.records import TrainRecord
from results.stats import Interval

ABOUT = 0.02
"""The page says "about": a claimed accuracy is supported where the interval lies within this distance of it."""
OTHER_IMAGES = "other images"


def departures(training: Training) -> list[str]:
    """Names where a training is not the tutorial's own: ["patch_size 4", "epochs 12"]; its recipes are no departure."""
    values = {bare(name): value for name, value in training.conditions}
    allowed = {name: (value,) for name, value in published.SETTINGS.items()} | published.RECIPES
    others = [
        f"{name} {words.setting(values[name])}"
        for name in allowed
        if values.get(name, allowed[name][0]) not in allowed[name]
    ]
    others += [f"{values['tuned']} tuned"] if "tuned" in values else []
    others += [
        f"{words.count(getattr(training.first, figure))} {figure.replace('_', ' ')}"
        for figure, images in published.IMAGES.items()
        if getattr(training.first, figure) != images
    ]
    is_cifar = training.trial.dataset == published.SETTINGS["dataset"]
    if is_cifar and not any(map(_of_the_tutorials_images, training.records)):  # alike, but older ones say less
        others.append(OTHER_IMAGES)
    return others


def departures_of_both(comparison: Comparison) -> list[str]:
    """Names where either side of a comparison is not the tutorial's own."""
    return list(dict.fromkeys([*departures(comparison.ours), *departures(comparison.base)]))


def _of_the_tutorials_images(record: TrainRecord) -> bool:
    if record.dataset_content_sha256 is None:
        return record.dataset_sha256 == published.IMAGES_SHA256
    return record.dataset_content_sha256 == published.IMAGES_CONTENT_SHA256


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """An accuracy that the tutorial claims, beside what a training of its model on CIFAR-100 gave here."""

    published: Published
    training: Training
    departures: list[str]

    @property
    def mean(self) -> Interval:
        return self.training.mean(METRICS[self.published.figure])

    @property
    def recipe(self) -> str:
        """The two settings in which the tutorial's logs differ, then what is not the tutorial's."""
        values = {bare(name): value for name, value in self.training.conditions}
        recipe = [f"{name} {words.setting(values[name])}" for name in published.RECIPE if name in values]
        return ", ".join([*recipe, *self.departures])

    @property
    def verdict(self) -> str:
        if self.departures:
            return "not tested"
        mean, claimed = self.mean, self.published.claimed
        if mean.n < FEWEST_SEEDS or mean.low is None or mean.high is None:
            return "inconclusive: too few seeds"
        if mean.low >= claimed - ABOUT and mean.high <= claimed + ABOUT:
            return "supported"
        if mean.high < claimed - ABOUT or mean.low > claimed + ABOUT:
            return "contradicted"
        return "inconclusive: the interval is too wide"


def reproductions(studies: Iterable[Study]) -> tuple[Reproduction, ...]:
    """Returns every training of the tutorial's models on CIFAR-100 beside each accuracy that is claimed of it."""
    by_seeds = sorted((t for study in studies for t in study.trainings), key=lambda t: len(t.records))
    distinct = {training.key: training for training in by_seeds}.values()  # of the suite that has the most seeds
    found = []
    for claim in published.CLAIMS:
        for training in distinct:
            values = {bare(name): value for name, value in training.conditions}
            is_its_model = all(
                values.get(n, published.SETTINGS[n]) == published.SETTINGS[n] for n in published.ATTENTION
            )
            is_it = training.variant == claim.variant and training.trial.dataset == published.SETTINGS["dataset"]
            if is_it and is_its_model and claim.figure in METRICS:
                found.append(Reproduction(published=claim, training=training, departures=departures(training)))
    return tuple(found)


def logged(value: float | None) -> str:
    """Writes a figure of the tutorial's logs."""
    return NOTHING if value is None else f"{value * 100:.2f} %"
