"""Which processes of a step time count, and whether they are enough: pure functions on the records of a case."""

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
"""A case is measured in further processes until its 95 % interval reaches no further than this share from its time."""
MOST_TAKEN = 0.15
"""A process from whose processors others took more was disturbed. The kernel counts in hundredths of a second, which
makes 0.05 of a short measurement uncertain."""
LEAST_SPREAD, TIMES_ITS_PEERS = 0.2, 3
"""A process was disturbed too whose steps spread by more than this share of their median, and by so many times as much
as those of its peers do."""
NEIGHBOURS = 20
"""The machine's pace around a process is that of so many processes of other cases, those measured nearest to it."""


@dataclass(frozen=True)
class Repeated:
    """One case over those of its processes that count.

    `seconds` are the processes' step times at the machine's usual pace, `step_seconds` their geometric mean with its
    interval: none, where disturbed processes are among them. `disturbed` counts the processes that something else hit,
    and `left_out` those of them that are left out: all, where at least three others are there, and else none.
    """

    records: tuple[StepTimeRecord, ...]
    seconds: tuple[float, ...]
    step_seconds: Interval
    disturbed: int
    left_out: int


def repeated(cases: Sequence[Sequence[StepTimeRecord]]) -> list[Repeated]:
    """Each case of a run over its processes. Their variances are drawn towards one another
    (`stats.geometric_means`)."""
    hit = [disturbed(case) for case in cases]
    counted = [_usable(case, which) for case, which in zip(cases, hit, strict=True)]
    paced = _at_the_usual_pace(counted)
    found = []
    for which, records, seconds, step in zip(hit, counted, paced, stats.geometric_means(paced), strict=True):
        left_out = len(which) - len(records)
        if sum(which) > left_out:
            step = Interval(step.estimate, None, None, step.n)
        found.append(Repeated(tuple(records), tuple(seconds), step, sum(which), left_out))
    return found


def _at_the_usual_pace(cases: Sequence[Sequence[StepTimeRecord]]) -> list[list[float]]:
    """The step times of each case's processes, had the machine kept its usual pace.

    A machine's pace drifts, by 15 % within minutes (docs/measurements.md), and then for every case alike. So each time
    is divided by the median of how much longer than usual its `NEIGHBOURS` took. A case's usual time is the median of
    its processes, which the plan measures in as many passes over all cases, each in another random order. Where there
    are fewer neighbours, as in a small run, nothing is divided.
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


def usable(case: Sequence[StepTimeRecord]) -> list[StepTimeRecord]:
    """Those of a case's processes that nothing disturbed; all of them, where fewer than three were left alone."""
    return _usable(case, disturbed(case))


def _usable(case: Sequence[StepTimeRecord], hit: Sequence[bool]) -> list[StepTimeRecord]:
    left_alone = [record for record, was_hit in zip(case, hit, strict=True) if not was_hit]
    return left_alone if len(left_alone) >= FEWEST_PROCESSES else list(case)


def disturbed(case: Sequence[StepTimeRecord]) -> list[bool]:
    """Of each of a case's processes, whether something else hit it while its steps were timed.

    What tells is what was computed beside it, how its steps differ among themselves, and at last that it is far slower
    than the fastest of its case, as it is for the models that are fitted to the case (`results.growth`).
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
    """Half of the distance between the quartiles of its steps, as a share of their median."""
    if len(record.samples_seconds) < 2:
        return 0.0
    low, _, high = statistics.quantiles(record.samples_seconds, n=4, method="inclusive")
    return (high - low) / 2 / record.step_seconds


def is_noisy(step: Interval) -> bool:
    """Whether a step time's interval is wider than `NARROW`, or there is none."""
    return step.high is None or step.high > (1 + NARROW) * step.estimate
