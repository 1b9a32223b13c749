"""Who runs the workers: this machine, one trial after the other, each in a process of its own."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import memory
from benchmarks.environment import Origin, available_threads, worker_variables
from benchmarks.trials import Progress, Trial
from benchmarks.worker import Answer, Trouble, work
from results import store
from results.records import Failure, StepTimeRecord, TrainRecord

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

LOG_TAIL_LINES = 20
END_SECONDS = 10
"""How long a worker that has answered may take to end."""


def run_local(
    trials: Iterable[Trial],
    backend: str,
    origin: Origin,
    folder: Path,
    on_start: Callable[[Trial], None],
    on_progress: Callable[[Trial, Progress], None],
    timeout_seconds: Callable[[Trial], float],
) -> Iterator[tuple[Trial, TrainRecord | StepTimeRecord | Failure]]:
    """Runs the trials in order and yields each with its outcome. An interruption ends the running worker.

    So is a worker that has neither given a result nor progress for its trial's `timeout_seconds`. Trainings keep their
    checkpoints in the run's `folder`, and go on from those that they find there.

    On Linux a worker is forked from a process that has imported the libraries and computed nothing
    (`benchmarks.warm`); elsewhere, where a fork of them is not known to be safe, it starts from nothing.
    """
    os.environ.update(worker_variables(backend, available_threads()))
    context = _context(backend)
    with tempfile.TemporaryDirectory(prefix="eanet-ablation-") as logs:
        for trial in trials:
            on_start(trial)
            files = (store.checkpoint(folder, trial.trial_id), Path(logs) / "worker.log")
            yield trial, _run_one(context, trial, origin, files, on_progress, timeout_seconds(trial))


def _context(backend: str) -> "ForkServerContext | SpawnContext":
    if not sys.platform.startswith("linux") or backend != "tensorflow":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.warm"])
    return context


def _run_one(
    context: "ForkServerContext | SpawnContext",
    trial: Trial,
    origin: Origin,
    files: tuple[Path, Path],
    on_progress: Callable[[Trial, Progress], None],
    timeout_seconds: float,
) -> TrainRecord | StepTimeRecord | Failure:
    checkpoint, log = files
    kills = memory.kernel_kills()
    log.unlink(missing_ok=True)
    answers, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(trial, origin, checkpoint, log, sender), daemon=True)
    patience_seconds = 0.0
    try:
        with _interruption_held_back():
            process.start()
            sender.close()
        outcome = _await(answers, timeout_seconds, lambda progress: on_progress(trial, progress))
        patience_seconds = END_SECONDS
    except TimeoutError:
        outcome = Trouble("timeout", f"no sign for {timeout_seconds:,.0f} s: its process was ended")
    except EOFError:
        process.join(END_SECONDS)
        outcome = _ending(process.exitcode or 0, memory.kernel_kills() > kills)
    finally:
        if process.pid is not None:  # else interrupted before its start
            process.join(patience_seconds)
            if process.is_alive():
                process.kill()
                process.join()
        answers.close()
    return _failure(trial, outcome, log) if isinstance(outcome, Trouble) else outcome


@contextmanager
def _interruption_held_back() -> Iterator[None]:
    """Ctrl-C waits meanwhile: between a worker's start and the moment the parent knows it, nobody would end it.

    It is blocked as well, which the worker inherits: so that one never sees it, not even before it can ignore it. To
    block it is not enough for the parent, whose other threads would take it.
    """
    resource_tracker.ensure_running()  # the start of a worker would start it, and that unblocks the signal
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _await(
    answers: "Connection[None, Answer]", timeout_seconds: float, on_progress: Callable[[Progress], None]
) -> TrainRecord | StepTimeRecord | Trouble:
    """The worker's result. Raises `TimeoutError` without an answer in time, `EOFError` where it ended without one."""
    while answers.poll(timeout_seconds):
        try:
            answer = answers.recv()
        except OSError as error:  # it ended in the middle of a message
            raise EOFError from error
        if not isinstance(answer, Progress):
            return answer
        on_progress(answer)
    raise TimeoutError


def _ending(code: int, out_of_memory: bool) -> Trouble:
    """How a process ended that gave no record; `out_of_memory` is whether the kernel has ended one for that."""
    if code == -signal.SIGKILL and out_of_memory:
        return Trouble("oom", "the machine ran out of memory and the kernel ended its process")
    if code < 0:
        name = signal.Signals(-code).name
        return Trouble(f"signal {-code}", f"its process was ended by {name} before it gave a record")
    return Trouble(f"exit {code}", f"its process exited with {code} before it gave a record")


def _failure(trial: Trial, trouble: Trouble, log: Path) -> Failure:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return Failure(
        trial_id=trial.trial_id,
        suite=trial.suite,
        variant=trial.variant,
        settings=trial.model_dump(mode="json"),
        status=trouble.status,
        reason=trouble.reason,
        log_tail="" if trouble.status == "skipped" else "\n".join(lines[-LOG_TAIL_LINES:]),
    )
