"""Decides which trials of a suite run at once, and how long a run is expected to take."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from benchmarks import estimate
from results.trials import TrainTrial, Trial

SHORT_SECONDS = 120
"""A training whose estimate is longer has its own process: sharing one gains it nothing."""


def shared_step(trial: Trial) -> TrainTrial | None:
    """Names the compiled step that a short training shares with those of other seeds; None for all other trials.

    A step time is measured in a fresh process, and a long training would hold its memory for nothing.
    """
    if isinstance(trial, TrainTrial) and estimate.seconds(trial) <= SHORT_SECONDS:
        return trial.step
    return None


def side_by_side(trials: Iterable[Trial], at_once: int) -> int:
    """Returns how many of a suite's trials run at once, at most `at_once`: short trainings of different steps."""
    steps = {shared_step(trial) for trial in trials}
    return 1 if None in steps else min(len(steps), at_once)


def startable(waiting: Sequence[Trial], running: Iterable[Trial]) -> list[Trial]:
    """Returns the trials that may start now, in order: not two that share a step, which one process computes."""
    busy = {shared_step(trial) for trial in running} - {None}
    found = []
    for trial in waiting:
        if (step := shared_step(trial)) not in busy:
            found.append(trial)
            busy |= {step} - {None}
    return found


def expected_seconds(trials: Iterable[Trial], threads: int, at_once: int) -> Mapping[str, float]:
    """Maps each trial's id to its share of the time that all take on this machine, suite by suite."""
    found: dict[str, float] = {}
    for _, group in itertools.groupby(trials, key=lambda trial: trial.suite):
        of_suite = list(group)
        most = side_by_side(of_suite, at_once)
        found |= {t.trial_id: estimate.pace() * estimate.seconds(t, threads // most) / most for t in of_suite}
    return found
