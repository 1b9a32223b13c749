"""A peak trial -> PeakRecord: the most multiply-adds and bytes a second that the backend gets out of this machine.

They are the roof that the step times of the same run are held against. Source: Williams, Waterman and Patterson 2009,
https://doi.org/10.1145/1498765.1498785.
"""

from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from benchmarks import stopwatch
from benchmarks.environment import Origin, jit_setting, observe
from benchmarks.isolation import configure_keras
from benchmarks.steptime import FORWARD
from results.trials import PeakTrial
from results.records import PeakRecord

SIDE = 2048
"""Of the square matrices that are multiplied: 8.6e9 multiply-adds, 16 MiB each in float32."""
PASSED = 2**25
"""Values of the array that is read and written once: 128 MiB in float32, more than most processors' caches hold."""


class Pass(keras.layers.Layer):
    """Reads every value once and writes one for it."""

    def call(self, x: Any, training: bool = False) -> Any:
        return keras.ops.relu(x)


def measure_peaks(trial: PeakTrial, origin: Origin) -> PeakRecord:
    """Times a large matrix product in the trial's precision, and one pass over a large float32 array."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    configure_keras(trial.precision)
    rng = np.random.default_rng(trial.process)
    matrix = rng.standard_normal((SIDE, SIDE), np.float32)
    array = rng.standard_normal((PASSED // SIDE, SIDE), np.float32)
    return PeakRecord(
        trial_id=trial.trial_id,
        trial=trial,
        multiply_adds=SIDE**3,
        product_seconds=_samples(keras.layers.Dense(SIDE, use_bias=False), matrix, trial),
        moved_bytes=2 * array.nbytes,
        pass_seconds=_samples(Pass(dtype="float32"), array, trial),
        environment=observe(origin, trial.precision, started, bool(jit_setting())),
    )


def _samples(layer: keras.layers.Layer, x: np.ndarray, trial: PeakTrial) -> tuple[float, ...]:
    layer.build(x.shape)
    step = FORWARD[keras.backend.backend()](layer, x)
    timing = stopwatch.measure(step.run, stopwatch.synchroniser(), trial.steps, trial.seconds)
    return timing.samples_seconds
