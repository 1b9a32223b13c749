"""Times a step: synchronised with the device, compilation and warm-up apart, every sample kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARMUP_STEPS = 2
MOST_STEPS = 200


@dataclass(frozen=True)
class Timing:
    """Seconds of the first call (which compiles), of each warm-up step and of each timed step."""

    compile_seconds: float
    warmup_seconds: tuple[float, ...]
    samples_seconds: tuple[float, ...]


def measure(
    step: Callable[[], Any],
    synchronise: Callable[[Any], object],
    steps: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Times `step` until there are `steps` samples that add up to `seconds`, or `MOST_STEPS` samples.

    `synchronise` gets the step's result and returns once the device has computed it: without it an asynchronous
    backend would be timed at handing out work, not at doing it.
    """

    def timed() -> float:
        start = clock()
        synchronise(step())
        return clock() - start

    compile_seconds = timed()
    warmup = tuple(timed() for _ in range(WARMUP_STEPS))
    samples: list[float] = []
    while len(samples) < steps or (sum(samples) < seconds and len(samples) < MOST_STEPS):
        samples.append(timed())
    return Timing(compile_seconds, warmup, tuple(samples))
