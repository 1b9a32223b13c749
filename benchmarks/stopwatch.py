"""Times a step: synchronised with the device, compilation and warm-up apart, every sample kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARMUP_STEPS = 2
WARMUP_SECONDS = 0.1
"""A first warm-up step that takes so long is the only one."""
MOST_STEPS = 400


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
    before_timing: Callable[[], object] = lambda: None,
) -> Timing:
    """Times `step` until there are `steps` samples that add up to `seconds`, or `MOST_STEPS` samples.

    `synchronise` gets the step's result and returns once the device has computed it: without it an asynchronous
    backend would be timed at handing out work, not at doing it. `before_timing` is called once it is warm.
    """
    compile_seconds = step_seconds(step, synchronise, clock)
    warmup: list[float] = []
    while len(warmup) < WARMUP_STEPS and sum(warmup) < WARMUP_SECONDS:
        warmup.append(step_seconds(step, synchronise, clock))
    before_timing()
    samples: list[float] = []
    while len(samples) < steps or (sum(samples) < seconds and len(samples) < MOST_STEPS):
        samples.append(step_seconds(step, synchronise, clock))
    return Timing(compile_seconds, tuple(warmup), tuple(samples))


def step_seconds(
    step: Callable[[], Any], synchronise: Callable[[Any], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of one step, until the device has computed it."""
    start = clock()
    synchronise(step())
    return clock() - start


def synchroniser() -> Callable[[Any], object]:
    """A function that waits until the device has finished computing the result it is given.

    The one thing here that Keras does not offer without a copy to the host, hence a branch a backend.
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
