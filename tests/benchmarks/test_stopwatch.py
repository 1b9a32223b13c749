"""The stopwatch on a clock that the test turns: what it times, what it keeps apart, and why it synchronises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stopwatch import MOST_STEPS, WARMUP_STEPS, measure, measure_turns


class Device:
    """An asynchronous device: a step is handed out in no time, and done when someone waits for it."""

    def __init__(self, durations):
        self.now = 0.0
        self.busy_until = 0.0
        self.durations = iter(durations)

    def clock(self):
        return self.now

    def step(self):
        self.now += 0.001
        self.busy_until = max(self.busy_until, self.now) + next(self.durations)

    def wait(self, _result):
        self.now = max(self.now, self.busy_until)


def timed(device, steps, seconds=0.0, wait=None):
    return measure(device.step, wait or device.wait, steps, seconds, device.clock)


@pytest.mark.parametrize(("warm", "steps"), [(0.03, WARMUP_STEPS), (3.0, 1)], ids=["short steps", "a long step"])
def test_compilation_and_warm_up_are_kept_apart_from_the_samples(warm, steps):
    device = Device([7.0, *[warm] * steps, *[0.5] * 11])
    timing = timed(device, 11)
    assert round(timing.compile_seconds, 6) == 7.001
    assert [round(s, 6) for s in timing.warmup_seconds] == [warm + 0.001] * steps
    assert [round(s, 6) for s in timing.samples_seconds] == [0.501] * 11


def test_without_synchronising_an_asynchronous_device_reads_at_least_five_times_too_fast():
    waiting, careless = Device([0.1] * 50), Device([0.1] * 50)
    synchronised, unsynchronised = timed(waiting, 13), timed(careless, 13, wait=lambda _: None)
    assert min(synchronised.samples_seconds) > 0.1
    assert min(synchronised.samples_seconds) > 5 * max(unsynchronised.samples_seconds)


@given(step=st.floats(1e-4, 10), steps=st.integers(1, 30), seconds=st.floats(0, 20))
def test_stops_when_there_are_enough_steps_and_seconds(step, steps, seconds):
    device = Device([step] * 1000)
    samples = timed(device, steps, seconds).samples_seconds
    assert len(samples) >= steps
    assert sum(samples) >= seconds or len(samples) == MOST_STEPS
    assert len(samples) == steps or sum(samples[:-1]) < seconds


def test_cases_take_turns_of_a_given_time_once_all_are_warm():
    """A slow second is then a small part of each case's turns, not the whole of one's."""
    ran, now = [], [0.0]

    def case(name, seconds):
        def step():
            ran.append(name)
            now[0] += seconds

        return step

    cases = [case("a", 0.2), case("b", 0.5), case("c", 1.1)]
    found = measure_turns(cases, lambda _: None, 3, 0.9, lambda: now[0], lambda: ran.append("|"))
    assert "".join(ran) == "aabbcc" + 3 * "|aaaaa|bb|c", "a first call, a warm-up step that is long, and then the turns"
    assert found == [pytest.approx([0.2] * 3), pytest.approx([0.5] * 3), pytest.approx([1.1] * 3)]
