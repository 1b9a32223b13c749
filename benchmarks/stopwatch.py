"""Times a step: synchronised with the device, compilation and warm-up apart, with every sample."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WARMUP_STEPS = 2
WARMUP_SECONDS = 0.1
"""A first warm-up step that takes so long is the only one."""
MOST_STEPS = 400
STEPS_A_TURN = 5


@dataclass(frozen=True)
class Timing:
    """Seconds of the first call (which compiles), of each warm-up step and of each timed step."""

    compile_seconds: float
    warmup_seconds: tuple[float, ...]
    samples_seconds: tuple[float, ...]


def measure_in_turns(
    cases: Sequence[Callable[[], Any]],
    synchronise: Callable[[Any], object],
    steps: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    before_timing: Callable[[], object] = lambda: None,
) -> list[Timing]:
    """Times each case's step until it has `steps` samples that add up to `seconds`, or `MOST_STEPS` samples.

    Warm cases take turns of a few steps: a slow second of the machine is then a small part of each case's samples
    instead of all samples of one (docs/timing-gate.md).
    `synchronise` gets the step's result and returns once the device has computed it: without it an asynchronous
    backend would be timed at handing out work, not at doing it. `before_timing` is called once all are warm.
    """
    compiled: list[float] = []
    warmups: list[list[float]] = [[] for _ in cases]
    samples: list[list[float]] = [[] for _ in cases]
    for case, warmup in zip(cases, warmups, strict=True):
        compiled.append(step_seconds(case, synchronise, clock))
        while len(warmup) < WARMUP_STEPS and sum(warmup) < WARMUP_SECONDS:
            warmup.append(step_seconds(case, synchronise, clock))
    before_timing()

    def lacks(of_case: list[float]) -> bool:
        return len(of_case) < steps or (sum(of_case) < seconds and len(of_case) < MOST_STEPS)

    while any(map(lacks, samples)):
        for case, of_case in zip(cases, samples, strict=True):
            for _ in range(STEPS_A_TURN):
                if lacks(of_case):
                    of_case.append(step_seconds(case, synchronise, clock))
    return [Timing(*timing) for timing in zip(compiled, map(tuple, warmups), map(tuple, samples), strict=True)]


def step_seconds(
    step: Callable[[], Any], synchronise: Callable[[Any], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Times one step until the device has computed it."""
    start = clock()
    synchronise(step())
    return clock() - start


def synchroniser() -> Callable[[Any], object]:
    """Returns a function that waits until the device has computed the result it is given.

    Keras offers that only with a copy to the host, hence a branch per backend.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.block_until_ready
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return lambda _: torch.cuda.synchronize()
        return lambda _: torch.mps.synchronize() if torch.backends.mps.is_available() else None
    import tensorflow as tf

    return lambda _: tf.test.experimental.sync_devices()
