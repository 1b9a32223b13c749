"""What a run says of the time that is left."""

import io

import pytest
from rich.console import Console

from benchmarks import datasets, estimate
from benchmarks.plan import Overrides, build_plan
from benchmarks.progress import TRUSTED_SECONDS, Display, Eta
from benchmarks.worker import Progress
from tests import samples

TRIALS = build_plan(["accuracy"], "quick", lambda name: datasets.survey(name, None).shape, Overrides(seeds=1)).trials
SECONDS = [estimate.seconds(trial) for trial in TRIALS]
EXPECTED = {trial.trial_id: seconds for trial, seconds in zip(TRIALS, SECONDS, strict=True)}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def pace(seconds, estimate_seconds):
    """What a run's pace is taken for that needed `seconds` for what was estimated at `estimate_seconds`."""
    return (TRUSTED_SECONDS + seconds) / (TRUSTED_SECONDS + estimate_seconds)


def test_what_is_left_follows_the_pace_of_what_is_done(clock):
    eta = Eta(sum(SECONDS), EXPECTED, clock)
    assert eta.seconds == pytest.approx(sum(SECONDS)), "at first the estimates stand"
    clock.now = 0.25 * SECONDS[0] * 3
    eta.progress(TRIALS[0], Progress(1, 4, 2.0, 0.1))
    slower = pace(clock.now, 0.25 * SECONDS[0])
    assert slower > 1
    assert eta.seconds == pytest.approx(slower * (0.75 * SECONDS[0] + SECONDS[1]))
    clock.now = SECONDS[0] * 3
    eta.finish(TRIALS[0], samples.training())
    assert eta.seconds == pytest.approx(pace(clock.now, SECONDS[0]) * SECONDS[1])


def test_a_long_wait_for_a_first_sign_says_nothing(clock):
    eta = Eta(sum(SECONDS), EXPECTED, clock)
    clock.now = 1000 * SECONDS[0]
    assert eta.seconds == pytest.approx(sum(SECONDS))


def test_after_hours_the_pace_is_what_the_trials_took_against_their_estimates(clock):
    eta = Eta(20_000 * sum(SECONDS), EXPECTED, clock)
    for _ in range(10_000):
        for trial, seconds in zip(TRIALS, SECONDS, strict=True):
            clock.now += 3 * seconds
            eta.finish(trial, samples.training())
    assert eta.seconds == pytest.approx(3 * 10_000 * sum(SECONDS), rel=1e-3)


def test_a_first_trial_that_took_four_times_its_estimate_does_not_make_an_hour_of_twenty_minutes(clock):
    """The first also starts and compiles what the others share."""
    eta = Eta(1200.0, EXPECTED, clock)
    clock.now = 4 * SECONDS[0]
    eta.finish(TRIALS[0], samples.training())
    assert 1200 < eta.seconds < 2 * 1200


def test_epochs_from_a_checkpoint_took_no_time_in_this_run(clock):
    eta = Eta(sum(SECONDS), EXPECTED, clock)
    eta.progress(TRIALS[0], Progress(2, 4, 2.0, 0.1, resumed=2))
    assert eta.seconds == pytest.approx(0.5 * SECONDS[0] + SECONDS[1]), "nothing of this run tells a pace yet"
    clock.now = 0.25 * SECONDS[0] * 3
    eta.progress(TRIALS[0], Progress(3, 4, 2.0, 0.1, resumed=2))
    assert eta.seconds == pytest.approx(pace(clock.now, 0.25 * SECONDS[0]) * (0.25 * SECONDS[0] + SECONDS[1]))
    clock.now = 0.5 * SECONDS[0] * 3
    eta.finish(TRIALS[0], samples.training())
    assert eta.seconds == pytest.approx(pace(clock.now, 0.5 * SECONDS[0]) * SECONDS[1])


def test_a_trial_without_a_result_tells_nothing_of_the_pace(clock):
    eta = Eta(sum(SECONDS), EXPECTED, clock)
    clock.now = 0.01
    eta.finish(TRIALS[0], samples.failure())
    assert eta.seconds == pytest.approx(SECONDS[1])


def test_trials_that_run_at_once_make_the_pace_faster(clock):
    eta = Eta(4 * sum(SECONDS), EXPECTED, clock)
    for _ in range(2):
        clock.now += sum(SECONDS) / 2
        for trial in TRIALS:
            eta.finish(trial, samples.training())
    assert eta.seconds == pytest.approx(pace(sum(SECONDS), 2 * sum(SECONDS)) * 2 * sum(SECONDS))


def test_a_suite_that_is_through_is_a_line_and_so_is_a_failure():
    said = io.StringIO()
    with Display(Console(file=said, width=200), TRIALS, EXPECTED) as display:
        display.start(TRIALS[0])
        display.progress(TRIALS[0], Progress(2, 4, 2.0, 0.1, resumed=2))
        assert not display.finish(TRIALS[0], samples.training(top1=0.975, step=0.013))
        assert display.finish(TRIALS[1], samples.failure()), "its suite is through"
    first, second, third = said.getvalue().splitlines()
    assert first.startswith(f"[0/2] {TRIALS[0].label}: epoch 2 of 4, where it was interrupted; about ")
    assert second == f"[2/2] {TRIALS[1].label}: FAILED (failed): ValueError: no"
    assert third == "[2/2] accuracy: 2 trials in 0 s, 1 failed"


def test_a_long_epoch_shows_how_far_it_is(clock, monkeypatch):
    eta = Eta(sum(SECONDS), EXPECTED, clock)
    clock.now = 0.125 * SECONDS[0]
    eta.progress(TRIALS[0], Progress(0, 4, part=0.5))
    assert eta.seconds == pytest.approx(0.875 * SECONDS[0] + SECONDS[1])
    monkeypatch.setattr("benchmarks.progress.PLAIN_SECONDS", 0)
    said = io.StringIO()
    with Display(Console(file=said, width=200), TRIALS, EXPECTED) as display:
        display.start(TRIALS[0])
        display.progress(TRIALS[0], Progress(1, 4, part=0.25))
    assert said.getvalue().startswith(f"[0/2] {TRIALS[0].label}: epoch 1 of 4, 25% of the next; about ")


def test_a_suite_of_many_short_trials_is_a_line_per_minute(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr("benchmarks.progress.PLAIN_SECONDS", 0)
    with Display(Console(file=said, width=200), TRIALS, EXPECTED) as display:
        display.start(TRIALS[0])
        display.finish(TRIALS[0], samples.training())
    assert said.getvalue().startswith("[1/2] accuracy: 1 of 2 trials; about ")
