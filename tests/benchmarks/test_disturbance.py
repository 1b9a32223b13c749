"""What others took of the processors, with real work on them."""

import multiprocessing
import os
import time

import pytest

from benchmarks import disturbance
from benchmarks.disturbance import Moment, taken_cpu_share


def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins a process to one processor")
def test_a_program_on_the_same_processor_takes_half_of_it():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        beside = multiprocessing.get_context("fork").Process(target=burn, args=(60,), daemon=True)
        beside.start()
        try:
            start = disturbance.now()
            burn(1.0)
            assert taken_cpu_share(start, disturbance.now(), threads=1) > 0.3
        finally:
            beside.kill()
            beside.join()
    finally:
        os.sched_setaffinity(0, before)


def moment(clock, busy, own, processors=2):
    return Moment(processors, clock, busy, own)


@pytest.mark.parametrize(
    ("end", "threads", "share"),
    [
        pytest.param(moment(10, 20, 20), 2, 0.0, id="alone"),
        pytest.param(moment(10, 20, 10), 2, 0.5, id="half of both"),
        pytest.param(moment(10, 15, 10), 1, 0.0, id="on the other one"),
        pytest.param(moment(10, 20, 7), 1, 0.3, id="more than the other one"),
        pytest.param(moment(10, 9, 10), 2, 0.0, id="counted late"),
        pytest.param(moment(10, 50, 20, processors=64), 2, 0.0, id="many free"),
        pytest.param(moment(10, 640, 13, processors=64), 2, 0.35, id="none free"),
        pytest.param(moment(10, 17, 10, processors=1), 3, 0.7, id="more threads"),
    ],
)
def test_only_what_a_process_has_threads_for_is_taken_from_it(end, threads, share):
    assert taken_cpu_share(moment(0, 0, 0, end.processors), end, threads) == pytest.approx(share)
