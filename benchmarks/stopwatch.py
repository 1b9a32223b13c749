"""Times a step: synchronised with the device, compilation and warm-up apart, with every sample."""

import time
from collections.abc import Callable, Sequence
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
    """Times a step until it has `steps` samples that add up to `seconds`, or `MOST_STEPS` samples.

    `synchronise` gets the step's result and returns once the device has computed it: without it an asynchronous
    backend would be timed at handing out work, not at doing it. `before_timing` is called once the step is warm.
    """
    compiled, warmup = _warm(step, synchronise, clock)
    before_timing()
    samples: list[float] = []
    while len(samples) < steps or (sum(samples) < seconds and len(samples) < MOST_STEPS):
        samples.append(step_seconds(step, synchronise, clock))
    return Timing(compiled, tuple(warmup), tuple(samples))


def measure_turns(
    steps: Sequence[Callable[[], Any]],
    synchronise: Callable[[Any], object],
    turns: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    before_turn: Callable[[], object] = lambda: None,
) -> list[list[float]]:
    """Times several cases, which take turns: the mean step of each of a case's turns, of at least `seconds` each.

    A slow second of the machine is then a small part of each case's turns instead of all turns of one. `before_turn` is
    called before each.
    """
    for step in steps:
        _warm(step, synchronise, clock)
    found: list[list[float]] = [[] for _ in steps]
    for _ in range(turns):
        for step, of_case in zip(steps, found, strict=True):
            before_turn()
            samples = [step_seconds(step, synchronise, clock)]
            while sum(samples) < seconds:
                samples.append(step_seconds(step, synchronise, clock))
            of_case.append(sum(samples) / len(samples))
    return found


def _warm(
    step: Callable[[], Any], synchronise: Callable[[Any], object], clock: Callable[[], float]
) -> tuple[float, list[float]]:
    """Takes a first step, which compiles, and some more; returns their seconds."""
    compiled, warmup = step_seconds(step, synchronise, clock), list[float]()
    while len(warmup) < WARMUP_STEPS and sum(warmup) < WARMUP_SECONDS:
        warmup.append(step_seconds(step, synchronise, clock))
    return compiled, warmup


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
