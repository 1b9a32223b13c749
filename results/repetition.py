"""Which processes of a step time count, and whether they are enough: pure functions on the records of a case."""

import math
import statistics
from collections.abc import Sequence

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


def usable(records: Sequence[StepTimeRecord]) -> list[StepTimeRecord]:
    """Those of a case's processes that nothing disturbed; all of them, where fewer than three were left alone."""
    left_alone = [record for record in records if not is_disturbed(record, records)]
    return left_alone if len(left_alone) >= FEWEST_PROCESSES else list(records)


def is_disturbed(record: StepTimeRecord, case: Sequence[StepTimeRecord]) -> bool:
    """Whether something else hit the process while its steps were timed.

    What tells is what was computed beside it, how its steps differ among themselves, and at last that it is far slower
    than the fastest of its case, as it is for the models that are fitted to the case (`results.growth`).
    """
    if record.taken_cpu_share is not None and record.taken_cpu_share > MOST_TAKEN:
        return True
    peers = [_spread(other) for other in case if other is not record]
    usual = statistics.median(peers) if peers else _spread(record)
    if _spread(record) > max(LEAST_SPREAD, TIMES_ITS_PEERS * usual):
        return True
    fastest, second, *_ = sorted(other.step_seconds for other in case) * 2
    return math.log(record.step_seconds / fastest) > max(MANY_GAPS * math.log(second / fastest), SMALLEST_LIMIT)


def _spread(record: StepTimeRecord) -> float:
    """Half of the distance between the quartiles of its steps, as a share of their median."""
    if len(record.samples_seconds) < 2:
        return 0.0
    low, _, high = statistics.quantiles(record.samples_seconds, n=4, method="inclusive")
    return (high - low) / 2 / record.step_seconds


def step_seconds(cases: Sequence[Sequence[StepTimeRecord]]) -> list[Interval]:
    """The step time of each case of a run over those of its processes that count; without an interval where disturbed
    ones are among them."""
    counted = [usable(case) for case in cases]
    found = stats.geometric_means([[record.step_seconds for record in records] for records in counted])
    return [
        Interval(step.estimate, None, None, step.n) if any(is_disturbed(r, case) for r in records) else step
        for case, records, step in zip(cases, counted, found, strict=True)
    ]


def is_noisy(step: Interval) -> bool:
    """Whether a step time's interval is wider than `NARROW`, or there is none."""
    return step.high is None or step.high > (1 + NARROW) * step.estimate
