"""How much of the processors that a process needs others took meanwhile: programs beside it, or a VM's host.

What the process itself would tell, its involuntary switches and the time that its threads waited, did not tell the
two apart: a backend's own threads, more than the processors, displace one another (docs/measurements.md).
"""

import os
import time
from dataclasses import dataclass

import psutil

IDLE = ("idle", "iowait", "guest", "guest_nice")
"""What of a processor's times is not work, or is counted in another of them."""


@dataclass(frozen=True)
class Moment:
    """A point in time: seconds of the clock, of work on the `processors` that this process may use, and of its own."""

    processors: int
    clock_seconds: float
    busy_seconds: float
    own_seconds: float


def now() -> Moment:
    """This moment. Times stolen by the host count as work of others."""
    processors = psutil.cpu_times(percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(processors)))
    busy = sum(
        seconds
        for number, times in enumerate(processors)
        if number in allowed
        for name, seconds in times._asdict().items()
        if name not in IDLE
    )
    return Moment(len(allowed), time.perf_counter(), busy, time.process_time())


def taken_cpu_share(start: Moment, end: Moment, threads: int) -> float:
    """Of the processors that a process of so many `threads` needs the share that others took, from 0 to 1.

    What others compute on processors that the process has no thread for is not taken from it.
    """
    others = end.busy_seconds - start.busy_seconds - (end.own_seconds - start.own_seconds)
    needed = min(threads, start.processors)
    taken = others / (end.clock_seconds - start.clock_seconds) - (start.processors - needed)
    return min(1.0, max(0.0, taken / needed))
