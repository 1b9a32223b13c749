"""Cases of step time whose interval is not narrow yet -> the trials of further processes, until a budget is spent."""

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.trials import StepTimeTrial, Trial
from results import repetition
from results.records import StepTimeRecord
from results.stats import FEWEST_PROCESSES

MOST_TIMES_PLANNED = 3
"""A case is measured in at most so many times its planned processes."""
MOST_OF_ALL = 0.2
"""All further processes of a suite are at most this share of its planned ones; what replaces a disturbed one is free."""


def further_trials(planned: Sequence[Trial], records: Iterable[StepTimeRecord]) -> list[StepTimeTrial]:
    """One more process for each case of a suite's `planned` trials that is not narrow, the widest first.

    None for a case that was planned in fewer processes than give an interval, or of which one has no result. What is
    asked for depends on the plan and the records alone, so that a run that was interrupted goes on as it would have.
    """
    cases: dict[StepTimeTrial, int] = {}
    for trial in planned:
        if isinstance(trial, StepTimeTrial):
            case = _process(trial, 0)
            cases[case] = cases.get(case, 0) + 1
    done = {record.trial_id: record for record in records}
    asked: list[tuple[float, StepTimeTrial]] = []
    spent = 0
    for case, processes in cases.items():
        there = _there(case, MOST_TIMES_PLANNED * processes, done)
        spent += max(0, sum(not repetition.is_disturbed(record, there) for record in there) - processes)
        if FEWEST_PROCESSES <= processes <= len(there) < MOST_TIMES_PLANNED * processes:
            steps = [repetition.step_seconds(records) for records in _by_machine(there)]
            if all(map(repetition.is_noisy, steps)):
                width = min((step.high or math.inf) / step.estimate for step in steps)
                asked.append((width, _process(case, len(there))))
    asked.sort(key=lambda pair: -pair[0])
    return [trial for _, trial in asked][: max(0, int(MOST_OF_ALL * sum(cases.values())) - spent)]


def _process(trial: StepTimeTrial, number: int) -> StepTimeTrial:
    return trial.model_copy(update={"process": number})


def _there(case: StepTimeTrial, most: int, done: Mapping[str, StepTimeRecord]) -> list[StepTimeRecord]:
    """The records of the case's processes, up to the first that there is none of."""
    found = []
    for number in range(most):
        record = done.get(_process(case, number).trial_id)
        if record is None:
            break
        found.append(record)
    return found


def _by_machine(records: Iterable[StepTimeRecord]) -> list[list[StepTimeRecord]]:
    """The records of each machine of a cluster: only those of one are averaged."""
    found: dict[tuple[str, str, int], list[StepTimeRecord]] = {}
    for record in records:
        where = record.environment
        found.setdefault((where.device, where.cpu, where.threads), []).append(record)
    return list(found.values())
