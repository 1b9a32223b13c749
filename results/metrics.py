"""Describes the metrics that judge a trained model on the test set: a new metric is a new entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

if TYPE_CHECKING:
    from results.records import TrainRecord


@dataclass(frozen=True)
class Metric:
    """One metric: records keep it under its `name`, which suites and tables use too.

    `title` is a noun that stands behind "test". `unit` is "%" for a fraction from 0 to 1, otherwise "". `more` and
    `less` stand behind "significantly"; which of "higher" and "lower" is `better`. `images` counts the images that a
    fraction is one of: fractions are in every suite's table, other metrics in that of a suite that is judged by them.
    The metric means nothing with fewer than `least_classes` classes. A `smoothed` one includes label smoothing.
    """

    name: str
    title: str
    unit: Literal["%", ""]
    better: Literal["higher", "lower"]
    more: str
    less: str
    images: Callable[[TrainRecord], int] | None = None
    least_classes: int = 2
    smoothed: bool = False

    @property
    def test_title(self) -> str:
        return f"test {self.title}"

    def is_in(self, record: TrainRecord) -> bool:
        """Returns whether the record has it: one from before the metric was added has not."""
        return self.name in record.metrics

    def read(self, record: TrainRecord) -> float:
        return record.metrics[self.name]

    def resolution(self, record: TrainRecord) -> float:
        """Returns the step between its possible values; 0 where it can take any."""
        return 1 / self.images(record) if self.images else 0.0


def _accuracy(name: str, title: str, least_classes: int = 2) -> Metric:
    """Describes a fraction of the test images; higher is better."""
    more, less = "more accurate", "less accurate"
    return Metric(name, title, "%", "higher", more, less, lambda record: record.test_images, least_classes)


METRICS = {
    metric.name: metric
    for metric in (
        _accuracy("top1", "top-1"),
        _accuracy("top5", "top-5", least_classes=6),
        Metric("test_loss", "loss", "", "lower", "of higher loss", "of lower loss", smoothed=True),
        _accuracy("balanced_top1", "balanced top-1"),
        _accuracy("new_top1", "top-1 without duplicates"),
    )
}
"""Name, in a suite's file and as a table's column -> metric."""
TOP1 = METRICS["top1"]
"""The metric that compares models where a suite names no other."""


def _known(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"should be one of {', '.join(METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_known)]
