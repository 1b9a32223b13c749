"""Which processes of a case count: those that something else hit are left out, and never for being slow."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from results import repetition
from tests import samples


def case(*processes):
    """Records of (seconds, taken share), a process each."""
    return [
        samples.step_time(seconds=seconds, process=number).model_copy(update={"taken_cpu_share": taken})
        for number, (seconds, taken) in enumerate(processes)
    ]


def is_noisy(records):
    (repeated,) = repetition.repeated([records])
    return repetition.is_noisy(repeated.step_seconds)


def left_out(records):
    """Places of the processes that do not count."""
    (repeated,) = repetition.repeated([records])
    assert repeated.left_out == len(records) - len(repeated.records)
    assert repeated.step_seconds.n == len(repeated.records)
    return [place for place, record in enumerate(records) if record not in repeated.records]


@pytest.mark.parametrize("slow", [(0.024, 0.5), (0.0516, 0.0)], ids=["others took its processors", "far slower"])
def test_a_disturbed_process_is_left_out_once_three_others_are_there(slow):
    """Such a case used to have a ratio of 5.3 [1.7, 16.5]."""
    records = case((0.0231, 0.0), slow, (0.0235, 0.02))
    assert left_out(records) == []
    assert is_noisy(records), "it is measured again"
    assert left_out([*records, *case((0.0229, None))]) == [1]


@pytest.mark.parametrize(
    "seconds", [(1.0, 1.01, 1.02, 1.45), (1.0, 1.1, 1.2, 1.9)], ids=["a little", "among wide ones"]
)
def test_a_process_is_not_left_out_for_being_slow(seconds):
    assert left_out(case(*[(value, 0.0) for value in seconds])) == []


def test_a_process_whose_steps_spread_far_more_than_its_peers_do_is_left_out():
    calm = case((0.023, 0.0), (0.024, 0.0), (0.025, 0.0), (0.022, 0.0))
    wild = calm[-1].model_copy(update={"samples_seconds": (0.02, 0.02, 0.022, 0.06, 0.07)})
    assert left_out([*calm[:3], wild]) == [3]


def test_a_case_whose_every_process_spreads_widely_has_no_disturbed_one():
    wide = [r.model_copy(update={"samples_seconds": (0.01, 0.01, 0.02, 0.04, 0.05)}) for r in case(*[(0.02, 0.0)] * 5)]
    assert left_out(wide) == []


@pytest.mark.parametrize(
    ("seconds", "noisy"),
    [([0.100, 0.102, 0.098], False), ([0.100, 0.110, 0.090], True), ([0.1, 0.1], True)],
)
def test_a_case_is_noisy_until_its_interval_is_within_ten_percent(seconds, noisy):
    assert is_noisy(case(*[(value, 0.0) for value in seconds])) is noisy


def drifting(*, cases, pace):
    """Records of cases whose usual steps take 1, 2, 3... ms, in three passes over all, each in random order, one
    process per second. `pace(second)` is how much longer everything takes then."""
    order, found, second = random.Random(13), [[] for _ in range(cases)], 0
    for process in range(3):
        for case in order.sample(range(cases), cases):
            started = (datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=second)).isoformat(timespec="seconds")
            record = samples.step_time(seconds=0.001 * (case + 1) * pace(second), process=process)
            environment = record.environment.model_copy(update={"started": started})
            found[case].append(record.model_copy(update={"environment": environment}))
            second += 1
    return found


def test_a_pace_that_drifts_for_all_cases_alike_widens_no_interval():
    found = repetition.repeated(drifting(cases=31, pace=lambda second: 1.2 - second / 400))
    assert not any(repetition.is_noisy(case.step_seconds) for case in found)
    ratios = [case.step_seconds.estimate / found[0].step_seconds.estimate for case in found]
    assert ratios == pytest.approx(range(1, 32), rel=0.05)


def test_what_hits_one_case_alone_stays_in_its_interval():
    cases = drifting(cases=31, pace=lambda second: 1.0)
    cases[7] = [
        record.model_copy(update={"samples_seconds": (record.step_seconds * factor,)})
        for record, factor in zip(cases[7], (1.0, 1.3, 1.1), strict=True)
    ]
    found = repetition.repeated(cases)
    assert found[7].seconds == pytest.approx([0.008, 0.0104, 0.0088])
    assert repetition.is_noisy(found[7].step_seconds)


def test_too_few_neighbours_show_no_pace():
    cases = drifting(cases=5, pace=lambda second: 1 + second / 100)
    assert [case.seconds for case in repetition.repeated(cases)] == [
        tuple(record.step_seconds for record in case) for case in cases
    ]
