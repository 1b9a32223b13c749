"""The machine's peaks are measured in a worker of their own, and are what no step of the models can beat by much."""

import numpy as np
import pytest

from benchmarks import datasets, peak
from benchmarks.environment import Origin
from benchmarks.executors import run_local
from benchmarks.plan import Overrides, build_plan
from results.trials import PeakTrial
from results.records import PeakRecord


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    plan = build_plan(["scaling"], "quick", lambda name: datasets.shape(name, None), Overrides())
    trial = next(trial for trial in plan.trials if isinstance(trial, PeakTrial))
    trial = trial.model_copy(update={"steps": 3, "seconds": 0.0})
    folder = tmp_path_factory.mktemp("peaks")
    ignore = (lambda _: None, lambda *_: None, lambda _: 120.0)
    ((_, outcome),) = run_local("tensorflow", Origin("test", None, None), [trial], folder, *ignore)
    return outcome


def test_a_peak_trial_gives_its_samples_and_what_each_did(record):
    assert isinstance(record, PeakRecord)
    assert len(record.product_seconds) == len(record.pass_seconds) == 3
    assert record.multiply_adds == 2048**3
    assert record.moved_bytes == 2 * 4 * 2**25


def test_the_rates_are_of_the_fastest_sample(record):
    slower = record.model_copy(update={"product_seconds": (*record.product_seconds, 1e6)})
    assert slower.multiply_adds_per_second == record.multiply_adds_per_second
    assert record.bytes_per_second == record.moved_bytes / min(record.pass_seconds)


def test_numpy_is_not_many_times_faster(record):
    """Another library on the same processor, on one thread of it: a rate that is wrong by a factor would be seen."""
    from benchmarks.stopwatch import step_seconds

    matrix = np.random.default_rng(3).standard_normal((peak.SIDE, peak.SIDE), np.float32)
    numpy_rate = peak.SIDE**3 / min(step_seconds(lambda: matrix @ matrix, lambda _: None) for _ in range(3))
    threads = record.environment.threads
    assert 0.1 * numpy_rate < record.multiply_adds_per_second < 10 * threads * numpy_rate
