"""Computes, per class, which test images trained models get right, and which class they take the others for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from report.accuracy import Study
from report.groups import Training
from results.records import ImagesOfRun
from results.store import Run

MOST_PAIRS = 20


@dataclass(frozen=True)
class Part:
    """A class, or what it is `taken_for`, and of its test images the share that each training gives, over its seeds."""

    name: str
    taken_for: str
    images: int
    shares: dict[str, float]


def of_study(run: Run, study: Study) -> tuple[ImagesOfRun, list[Training]] | None:
    """Returns a suite's trainings that tell what they take images for, and the images; None where none does."""
    known = {images.sha256: images for images in (run.plan.images if run.plan else ())}
    told = [t for t in study.trainings if t.first.dataset_sha256 in known and all(r.predictions for r in t.records)]
    return (known[told[0].first.dataset_sha256], told) if told else None


def accuracies(images: ImagesOfRun, trainings: list[Training]) -> Iterator[Part]:
    """Returns each class with the share of its images that are right."""
    for label, (name, count) in enumerate(zip(images.classes, images.test_counts, strict=True)):
        right = {
            t.full_name: sum(r.predictions.right_by_class[label] for r in t.records if r.predictions) for t in trainings
        }
        shares = {t.full_name: right[t.full_name] / n for t in trainings if (n := _tested(t, label, count))}
        yield Part(name, "", count, shares)


def confusions(images: ImagesOfRun, trainings: list[Training]) -> Iterator[Part]:
    """Returns the pairs of classes of which most images of the first are taken for the second, by all trainings."""
    found: dict[str, Counter[tuple[int, int]]] = {training.full_name: Counter() for training in trainings}
    for training in trainings:
        for record in training.records:
            for label, other, count in record.predictions.confused if record.predictions else ():
                found[training.full_name][label, other] += count
    for (label, other), _ in sum(found.values(), Counter()).most_common(MOST_PAIRS):
        count = images.test_counts[label]
        shares = {
            t.full_name: found[t.full_name][label, other] / n for t in trainings if (n := _tested(t, label, count))
        }
        yield Part(images.classes[label], images.classes[other], count, shares)


def _tested(training: Training, label: int, count: int) -> int:
    """How many test images of a class all seeds had together; `count` is that of the dataset's own test set."""
    of_seeds = [record.predictions.images_by_class for record in training.records if record.predictions]
    return sum(counts[label] if counts else count for counts in of_seeds)
