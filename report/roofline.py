"""Step times and the machine's peaks of the same run -> how far each case is from what the machine could do.

The roof is min(peak multiply-adds, intensity x peak bytes) a second, where a step's intensity is its multiply-adds over
the bytes that it moves at least. Source: Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from report.growth import Curve, StepTime
from results.records import Environment, PeakRecord

FORWARDS = {"train": 3, "infer": 1}
"""A step's multiply-adds over those of its forward pass: a training step has two more products for each of its own, for
the gradients of both factors."""


@dataclass(frozen=True)
class Roof:
    """What a machine reached at most, over the processes that tried."""

    multiply_adds_per_second: float
    bytes_per_second: float

    def at(self, intensity: float) -> float:
        """Multiply-adds a second that a step of so many multiply-adds a byte can reach."""
        return min(self.multiply_adds_per_second, intensity * self.bytes_per_second)


@dataclass(frozen=True)
class Place:
    """A case under its machine's roof: multiply-adds and bytes are those of the whole step and batch."""

    curve: Curve
    point: StepTime
    roof: Roof
    multiply_adds: int
    moved_bytes: int

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte."""
        return self.multiply_adds / self.moved_bytes

    @property
    def rate(self) -> float:
        """Multiply-adds a second, as measured."""
        return self.multiply_adds / self.point.step_seconds.estimate

    @property
    def floor_seconds(self) -> float:
        """How long the step takes at the roof."""
        return self.multiply_adds / self.roof.at(self.intensity)

    @property
    def share(self) -> float:
        """What of the roof is reached."""
        return self.rate / self.roof.at(self.intensity)

    @property
    def limit(self) -> str:
        """What the roof is made of there."""
        bound = self.intensity * self.roof.bytes_per_second < self.roof.multiply_adds_per_second
        return "memory" if bound else "arithmetic"


def places(curves: Iterable[Curve], peaks: Sequence[PeakRecord]) -> tuple[Place, ...]:
    """Every case whose bytes were counted and whose machine's peaks were measured in the same way."""
    found = []
    for curve in curves:
        alike = [peak for peak in peaks if _where(peak.environment) == _where(curve.environment)]
        if not alike:
            continue
        roof = Roof(max(peak.multiply_adds_per_second for peak in alike), max(peak.bytes_per_second for peak in alike))
        for point in curve.points:
            multiply_adds = point.multiply_adds * point.batch * FORWARDS[point.phase]
            if point.moved_bytes and multiply_adds:
                found.append(Place(curve, point, roof, multiply_adds, point.moved_bytes))
    return tuple(found)


def _where(environment: Environment) -> tuple[object, ...]:
    e = environment
    return (e.backend, e.precision, e.jit, e.device, e.cpu, e.threads)
