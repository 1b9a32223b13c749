"""Estimates how long a trial will take on this machine, from its closed-form cost and half a second of measuring.

The constants are fitted to a quick run on 2 cores of an AMD EPYC with TensorFlow 2.21. During a run, its progress
scales the estimate by what the trials so far really took.
"""

import functools
import math
import statistics
import time

from benchmarks import stopwatch
from models.cost import Cost
from results.trials import CoreStepTrial, TrainTrial, Trial

SECONDS_PER_MULTIPLY_ADD = 4.5e-11
"""Of one thread, with all that goes with a product."""
SECONDS_PER_STEP = {"train": 0.005, "core": 0.0005, "model": 0.003}
TRAIN_PER_FORWARD = 3
START_SECONDS = {"train": 2.3, "core": 0.5, "model": 1.2}
SECONDS_PER_EPOCH = 0.06
USUAL_THREADS = 2
UNKNOWN_IMAGES = 10_000
MOST_SECONDS = 10 * 86400.0
PACE_SECONDS = 0.041
"""What one round of `pace` takes on the machine of the constants."""


@functools.cache
def pace() -> float:
    """Measures how many times as long this machine takes as that of the constants, now, for it may be busy.

    It computes what trials consist of: Python, products and passes over memory.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    square, values = rng.normal(size=(512, 512)).astype("float32"), rng.normal(size=2**20).astype("float32")

    def round_seconds() -> float:
        began = time.perf_counter()
        sum(number * number for number in range(500_000))
        for _ in range(8):
            square @ square
        np.tanh(values)
        return time.perf_counter() - began

    round_seconds()
    return statistics.median(round_seconds() for _ in range(7)) / PACE_SECONDS


def seconds(trial: Trial, threads: int = USUAL_THREADS) -> float:
    """Estimates the seconds of the trial with so many threads, on the machine of the constants."""
    if isinstance(trial, TrainTrial):
        settings = trial.training
        images = (trial.images or UNKNOWN_IMAGES) * (1 - settings.validation_split) * settings.train_share
        steps = math.ceil(images / settings.batch_size)
        step = _step("train", trial.model.cost(), settings.batch_size * TRAIN_PER_FORWARD, threads)
        return START_SECONDS["train"] + settings.epochs * (SECONDS_PER_EPOCH + 1.1 * steps * step)
    cost = trial.attention.cost(trial.dim, trial.patches) if isinstance(trial, CoreStepTrial) else trial.model.cost()
    passes = trial.batch * (TRAIN_PER_FORWARD if trial.phase == "train" else 1)
    step = _step(trial.scope, cost, passes, threads)
    timed = max(trial.steps * step, min(trial.seconds, stopwatch.MOST_STEPS * step))
    return START_SECONDS[trial.scope] * (2 if trial.phase == "train" else 1) + 3 * step + timed


def _step(scope: str, cost: Cost, passes: int, threads: int) -> float:
    multiply_adds = passes * cost.multiply_adds + TRAIN_PER_FORWARD * cost.weight_multiply_adds
    return SECONDS_PER_STEP[scope] + SECONDS_PER_MULTIPLY_ADD * multiply_adds / threads


def timeout_seconds(trial: Trial) -> float:
    """Returns after how long without progress a trial counts as hung: a machine may be slow or busy."""
    return min(600 + 20 * seconds(trial), MOST_SECONDS)
