"""Measures how much of the processors that a process needs others took: other programs, or a virtual machine's host.

The process's own counts, of involuntary switches and of its threads' waiting, do not show that: a backend's own
threads, more than the processors, displace one another (docs/measurements.md).
"""

import os
import time
from dataclasses import dataclass

import psutil

IDLE = ("idle", "iowait", "guest", "guest_nice")
"""Times of a processor that are not work, or are part of another of them."""


@dataclass(frozen=True)
class Moment:
    """Seconds of the clock, of all work on the `processors` that this process may use, and of its work."""

    processors: int
    clock_seconds: float
    busy_seconds: float
    own_seconds: float


def now() -> Moment:
    """Reads the clocks. Time stolen by the host counts as work of others."""
    processors = psutil.cpu_times(percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(processors))
    times = (processors[number]._asdict() for number in allowed if number < len(processors))
    busy = sum(seconds for of_one in times for name, seconds in of_one.items() if name not in IDLE)
    return Moment(len(allowed), time.perf_counter(), busy, time.process_time())


def taken_cpu_share(start: Moment, end: Moment, threads: int) -> float:
    """Returns the fraction, from 0 to 1, that others took of the processors that a process of `threads` needs.

    What others compute on processors for which the process has no thread is not taken from it.
    """
    others = end.busy_seconds - start.busy_seconds - (end.own_seconds - start.own_seconds)
    needed = min(threads, start.processors)
    taken = others / (end.clock_seconds - start.clock_seconds) - (start.processors - needed)
    return min(1.0, max(0.0, taken / needed))
