"""Asks for further processes of step-time cases whose interval is not narrow yet, until a budget is spent."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from results import repetition
from results.records import StepTimeRecord
from results.stats import FEWEST_PROCESSES
from results.trials import StepTimeTrial, Trial

MOST_TIMES_PLANNED = 3
"""A case is measured in at most so many times its planned processes."""
MOST_OF_ALL = 0.08
"""A suite's further processes are at most this fraction of its planned ones, not counting replacements."""
MOST_DISTURBED = 0.5
"""If more than this fraction of a suite's processes was disturbed, the machine is busy, and none is replaced."""


def further_trials(
    planned: Sequence[Trial], records: Iterable[StepTimeRecord], tried: Collection[str] = ()
) -> list[StepTimeTrial]:
    """Asks for one more process of each case of a suite's `planned` trials that had a disturbed one, and of those that
    are not narrow, the widest first.

    It asks for none of a case that was planned in fewer processes than give an interval, or of which one has no result,
    or whose next process was `tried` by this command and failed. Otherwise the plan and the records alone decide: an
    interrupted run goes on as it would have.
    """
    cases: dict[StepTimeTrial, int] = {}
    for trial in planned:
        if isinstance(trial, StepTimeTrial):
            case = _process(trial, 0)
            cases[case] = cases.get(case, 0) + 1
    done = {record.trial_id: record for record in records}
    there = {case: _there(case, MOST_TIMES_PLANNED * processes, done) for case, processes in cases.items()}
    left_alone = {case: repetition.disturbed(found).count(False) for case, found in there.items()}
    room = math.ceil(MOST_OF_ALL * sum(cases.values())) - sum(max(0, left_alone[case] - cases[case]) for case in cases)
    more = {
        case
        for case, processes in cases.items()
        if FEWEST_PROCESSES <= processes <= len(there[case]) < MOST_TIMES_PLANNED * processes
        and _process(case, len(there[case])).trial_id not in tried
    }
    measured = sum(map(len, there.values()))
    is_busy = measured - sum(left_alone.values()) > MOST_DISTURBED * measured
    replacing = [case for case in cases if not is_busy and case in more and left_alone[case] < cases[case]]
    widths = _widths(there)
    wide = [case for case in cases if case in more and case in widths and left_alone[case] >= cases[case]]
    others = sorted(wide, key=lambda case: -widths[case])
    return [_process(case, len(there[case])) for case in (*replacing, *others[: max(0, room)])]


def _widths(there: Mapping[StepTimeTrial, Sequence[StepTimeRecord]]) -> dict[StepTimeTrial, float]:
    """Maps each case that is narrow on no machine to its interval's upper end over the estimate, or infinity."""
    groups = [(case, group) for case, records in there.items() for group in _by_machine(records)]
    found: dict[StepTimeTrial, float] = {}
    narrow = set()
    for (case, _), repeated in zip(groups, repetition.repeated([group for _, group in groups]), strict=True):
        step = repeated.step_seconds
        found[case] = min(found.get(case, math.inf), (step.high or math.inf) / step.estimate)
        if not repetition.is_noisy(step):
            narrow.add(case)
    return {case: width for case, width in found.items() if case not in narrow}


def _process(trial: StepTimeTrial, number: int) -> StepTimeTrial:
    return trial.model_copy(update={"process": number})


def _there(case: StepTimeTrial, most: int, done: Mapping[str, StepTimeRecord]) -> list[StepTimeRecord]:
    """Returns the records of the case's processes, up to the first that is missing."""
    records = (done.get(_process(case, number).trial_id) for number in range(most))
    return [record for record in itertools.takewhile(bool, records) if record]


def _by_machine(records: Iterable[StepTimeRecord]) -> list[list[StepTimeRecord]]:
    """Groups records by machine of a cluster: only those of one are averaged."""
    found: dict[tuple[str, str, int], list[StepTimeRecord]] = {}
    for record in records:
        where = record.environment
        found.setdefault((where.device, where.cpu, where.threads), []).append(record)
    return list(found.values())
