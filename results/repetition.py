"""Decides which processes of a step time count, and whether they are enough: pure functions on a case's records."""

import bisect
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from results import stats
from results.growth import MANY_GAPS, SMALLEST_LIMIT
from results.records import StepTimeRecord
from results.stats import FEWEST_PROCESSES, Interval

NARROW = 0.10
"""A case is measured in further processes until its 95 % interval reaches at most this fraction above its time."""
MOST_TAKEN = 0.15
"""Largest fraction of processor time that others may take from an undisturbed process. The kernel counts in hundredths
of a second: in a short measurement that is uncertain by 0.05."""
LEAST_SPREAD, TIMES_ITS_PEERS = 0.2, 3
"""A process was disturbed too if its steps spread by more than this fraction of their median, and this many times as
much as those of its peers."""
NEIGHBOURS = 20
"""Number of processes of other cases, measured nearest in time, that show the machine's pace around a process."""


@dataclass(frozen=True)
class Repeated:
    """One case over those of its processes that count.

    `seconds` are the processes' step times at the machine's usual pace, `step_seconds` their geometric mean with its
    interval (none where disturbed processes are among them). `disturbed` counts the disturbed processes, and `left_out`
    those of them that do not count: all where at least three others exist, otherwise none.
    """

    records: tuple[StepTimeRecord, ...]
    seconds: tuple[float, ...]
    step_seconds: Interval
    disturbed: int
    left_out: int


def repeated(cases: Sequence[Sequence[StepTimeRecord]]) -> list[Repeated]:
    """Returns each case of a run over its processes, with moderated variances (`stats.geometric_means`)."""
    hit = [disturbed(case) for case in cases]
    counted = []
    for case, which in zip(cases, hit, strict=True):
        left_alone = [record for record, was_hit in zip(case, which, strict=True) if not was_hit]
        counted.append(left_alone if len(left_alone) >= FEWEST_PROCESSES else list(case))
    paced = _at_the_usual_pace(counted)
    found = []
    for which, records, seconds, step in zip(hit, counted, paced, stats.geometric_means(paced), strict=True):
        left_out = len(which) - len(records)
        if sum(which) > left_out:
            step = Interval(step.estimate, None, None, step.n)
        found.append(Repeated(tuple(records), tuple(seconds), step, sum(which), left_out))
    return found


def _at_the_usual_pace(cases: Sequence[Sequence[StepTimeRecord]]) -> list[list[float]]:
    """Returns the step times of each case's processes, had the machine kept its usual pace.

    A machine's pace drifts, by 15 % within minutes (docs/measurements.md), for all cases alike. Each time is divided by
    the median of how much longer than usual its `NEIGHBOURS` took. A case's usual time is the median of its processes:
    the plan measures one of each case per pass over all cases, in random order. With fewer neighbours, as in a small
    run, nothing is divided.
    """
    usual = [statistics.median(record.step_seconds for record in case) for case in cases]
    by_node: dict[str | None, list[tuple[str, int, float]]] = defaultdict(list)
    for place, case in enumerate(cases):
        for record in case:
            slowness = math.log(record.step_seconds / usual[place])
            by_node[record.environment.node].append((record.environment.started, place, slowness))
    for measured in by_node.values():
        measured.sort()

    def paced(record: StepTimeRecord, place: int) -> float:
        measured = by_node[record.environment.node]
        at = bisect.bisect_left(measured, (record.environment.started, place))
        around = range(max(0, at - NEIGHBOURS), min(len(measured), at + NEIGHBOURS + 1))
        nearest = sorted((abs(i - at), measured[i][2]) for i in around if measured[i][1] != place)[:NEIGHBOURS]
        pace = statistics.median(slowness for _, slowness in nearest) if len(nearest) == NEIGHBOURS else 0.0
        return record.step_seconds / math.exp(pace)

    return [[paced(record, place) for record in case] for place, case in enumerate(cases)]


def disturbed(case: Sequence[StepTimeRecord]) -> list[bool]:
    """For each process of a case: whether something else slowed it while its steps were timed.

    The signs are processor time that others took, steps that differ among themselves, and a time far above that of the
    fastest process of the case (the limit of the fitted models, `results.growth`).
    """
    if not case:
        return []
    spreads = [_spread(record) for record in case]
    fastest, second, *_ = sorted(record.step_seconds for record in case) * 2
    slowest = fastest * math.exp(max(MANY_GAPS * math.log(second / fastest), SMALLEST_LIMIT))
    hit = []
    for place, record in enumerate(case):
        usual = statistics.median([*spreads[:place], *spreads[place + 1 :]] or spreads)
        was_taken = record.taken_cpu_share is not None and record.taken_cpu_share > MOST_TAKEN
        varies = spreads[place] > max(LEAST_SPREAD, TIMES_ITS_PEERS * usual)
        hit.append(was_taken or varies or record.step_seconds > slowest)
    return hit


def _spread(record: StepTimeRecord) -> float:
    """Returns half the interquartile range of its steps, as a fraction of their median."""
    if len(record.samples_seconds) < 2:
        return 0.0
    low, _, high = statistics.quantiles(record.samples_seconds, n=4, method="inclusive")
    return (high - low) / 2 / record.step_seconds


def is_noisy(step: Interval) -> bool:
    """Returns whether a step time's interval is wider than `NARROW`, or there is none."""
    return step.high is None or step.high > (1 + NARROW) * step.estimate
