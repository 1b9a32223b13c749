"""Workers that misbehave cost their own trial alone, and what they said last is in the record."""

import multiprocessing
import os
import signal
import time

import pytest

from benchmarks import executors, worker
from benchmarks.environment import worker_variables
from benchmarks.executors import Workers
from benchmarks.worker import Progress, Task
from results.records import Failure
from tests.trials import ORIGIN, step_times

LAST_WORDS = "these were its last words"


def misbehave(origin, log, tasks, variables):
    """A worker that does what its trial's `process` says, instead of the trial."""
    worker.settle(log, variables)
    task = tasks.recv()
    print(LAST_WORDS, flush=True)
    kind = task.trial.variant
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "exits":
        os._exit(0)
    if kind == "hangs":
        time.sleep(1000)
    while kind == "prints":
        os.write(1, b"x" * 65_535 + b"\n")
    for _ in range(500 if kind == "prints-and-answers" else 0):
        os.write(1, b"x" * 65_535 + b"\n")
        tasks.send(Progress(1, 2, 0.5, 0.5))
    raise SystemExit(3)


def run(kind, folder, timeout_seconds=60.0):
    (trial,) = step_times(1)
    variables = worker_variables("tensorflow", 1)
    with Workers("tensorflow", variables, ORIGIN, folder, misbehave) as workers:
        task = Task(trial.model_copy(update={"variant": kind}), folder / "none.npz")
        *_, outcome = workers.run(task, timeout_seconds)
    assert multiprocessing.active_children() == []
    assert isinstance(outcome, Failure)
    return outcome


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("segfault", "signal 11", "its process was ended by SIGSEGV before it gave a record"),
        ("exits", "exit 0", "its process exited with 0 before it gave a record"),
        ("raises", "exit 3", "its process exited with 3 before it gave a record"),
        ("hangs", "timeout", "no sign for 3 s: its process was ended"),
    ],
)
def test_the_reason_and_the_last_words_are_recorded(tmp_path, kind, status, reason):
    outcome = run(kind, tmp_path, 3.0 if kind == "hangs" else 60.0)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert LAST_WORDS in outcome.log_tail


@pytest.mark.parametrize(("kind", "status"), [("prints", "timeout"), ("prints-and-answers", "exit 3")])
def test_endless_output_does_not_fill_the_disk(tmp_path, monkeypatch, kind, status):
    monkeypatch.setattr(executors, "LARGEST_LOG_BYTES", 2**20)
    largest = []
    monkeypatch.setattr(
        os, "truncate", lambda path, size, cut=os.truncate: (largest.append(path.stat().st_size), cut(path, size))
    )
    outcome = run(kind, tmp_path, 6.0)
    assert outcome.status == status
    assert len(outcome.log_tail) <= executors.LOG_TAIL
    assert len(largest) >= 3, "cut again and again"
