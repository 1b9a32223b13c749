"""Estimates how long a trial will take from its closed-form cost: an order of magnitude before a run.

The constants are fitted to a whole quick run on 2 cores of an Intel Xeon with TensorFlow 2.21. During a run, its
progress scales the estimate by what the trials so far really took.
"""

import math

from benchmarks import stopwatch
from benchmarks.datasets import DATASETS
from results.trials import CoreStepTrial, TrainTrial, Trial

MULTIPLY_ADDS_PER_SECOND = 3.3e10
TRAIN_PER_FORWARD = 3
SECONDS_PER_BLOCK_AND_STEP = 0.004
MOST_SECONDS = 10 * 86400.0
START_SECONDS = {"train": 3.0, "core": 0.3, "model": 1.2}


def seconds(trial: Trial) -> float:
    """Estimates the seconds of the trial on 2 CPU cores."""
    if isinstance(trial, TrainTrial):
        images = trial.training.train_share * DATASETS[trial.dataset].train_images
        steps = trial.training.epochs * math.ceil(images / trial.training.batch_size)
        work = trial.model.cost().multiply_adds * trial.training.batch_size * TRAIN_PER_FORWARD
        step = work / MULTIPLY_ADDS_PER_SECOND + trial.model.blocks * SECONDS_PER_BLOCK_AND_STEP
        return START_SECONDS["train"] + 1.1 * steps * step
    if isinstance(trial, CoreStepTrial):
        cost, blocks = trial.attention.cost(trial.dim, trial.patches), 1
    else:
        cost, blocks = trial.model.cost(), trial.model.blocks
    passes = TRAIN_PER_FORWARD if trial.phase == "train" else 1
    step = cost.multiply_adds * trial.batch * passes / MULTIPLY_ADDS_PER_SECOND + 0.001 * blocks
    timed = max(trial.seconds, trial.steps * step)
    return START_SECONDS[trial.scope] + (stopwatch.WARMUP_STEPS + 1) * step + timed


def timeout_seconds(trial: Trial) -> float:
    """Returns after how long without progress a trial counts as hung: a machine may be slow or busy."""
    return min(600 + 20 * seconds(trial), MOST_SECONDS)


def words(total_seconds: float) -> str:
    """Words a duration: "40 s", "6 min", "2.5 h", "3 days"."""
    if total_seconds < 90:
        return f"{total_seconds:.0f} s"
    if total_seconds < 90 * 60:
        return f"{total_seconds / 60:.0f} min"
    if total_seconds < 48 * 3600:
        return f"{total_seconds / 3600:.1f} h"
    return f"{total_seconds / 86400:.1f} days"
