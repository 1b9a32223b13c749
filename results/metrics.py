"""What a trained model is judged by on the test set, a descriptor a metric: another one is another entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

if TYPE_CHECKING:
    from results.records import TrainRecord


@dataclass(frozen=True)
class Metric:
    """How one figure of a training is told; records keep it by its `name`, which suites and tables use too.

    `title` is its name for people, behind "test"; `unit` is "%" of a share from 0 to 1, and else "". A model has `more`
    of it or `less`, and one of the two is `better`. `images` counts those of which a share is one: shares are in every
    suite's table, other metrics in that of a suite that is judged by them. With fewer than `least_classes` it says
    nothing. A `smoothed` one holds the training's label smoothing.
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
        """Whether the record has it: one from before it was described has not."""
        return self.name in record.metrics

    def read(self, record: TrainRecord) -> float:
        return record.metrics[self.name]

    def resolution(self, record: TrainRecord) -> float:
        """The step in which it can change; 0 where it can take any value."""
        return 1 / self.images(record) if self.images else 0.0

    def gain(self, value: float) -> float:
        """The value, or its negative where lower is better: the larger, the better."""
        return value if self.better == "higher" else -value


def _share(name: str, title: str, least_classes: int = 2) -> Metric:
    """A share of the test images that had better be high."""
    more, less = "more accurate", "less accurate"
    return Metric(name, title, "%", "higher", more, less, lambda record: record.test_images, least_classes)


METRICS = {
    metric.name: metric
    for metric in (
        _share("top1", "top-1"),
        _share("top5", "top-5", least_classes=6),
        Metric("test_loss", "loss", "", "lower", "of higher loss", "of lower loss", smoothed=True),
    )
}
"""Name, in a suite's file and as a table's column -> the metric."""
TOP1 = METRICS["top1"]
"""By which models are compared where no suite says otherwise."""


def _known(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"should be one of {', '.join(METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_known)]
