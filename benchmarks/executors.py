"""Who runs the workers: this machine, one trial after the other, each in a process of its own."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environment import Origin, available_threads, worker_variables
from benchmarks.trials import Progress, Trial
from benchmarks.worker import Trouble, work
from results.records import Failure, StepTimeRecord, TrainRecord

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

LOG_TAIL_LINES = 20


def run_local(
    trials: Iterable[Trial],
    backend: str,
    origin: Origin,
    on_start: Callable[[Trial], None],
    on_progress: Callable[[Trial, Progress], None],
) -> Iterator[tuple[Trial, TrainRecord | StepTimeRecord | Failure]]:
    """Runs the trials in order and yields each with its outcome. An interruption ends the running worker.

    On Linux a worker is forked from a process that has imported the libraries and computed nothing
    (`benchmarks.warm`); elsewhere, where a fork of them is not known to be safe, it starts from nothing.
    """
    os.environ.update(worker_variables(backend, available_threads()))
    context = _context(backend)
    with tempfile.TemporaryDirectory(prefix="eanet-ablation-") as logs:
        for trial in trials:
            on_start(trial)
            yield trial, _run_one(context, trial, origin, Path(logs) / "worker.log", on_progress)


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
    log: Path,
    on_progress: Callable[[Trial, Progress], None],
) -> TrainRecord | StepTimeRecord | Failure:
    answers, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(trial, origin, log, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            message = answers.recv()
            if isinstance(message, (TrainRecord, StepTimeRecord)):
                return message
            if isinstance(message, Trouble):
                return _failure(trial, "failed", message.reason, log)
            on_progress(trial, message)
    except EOFError:
        process.join()
        code = process.exitcode or 0
        status = f"signal {-code}" if code < 0 else f"exit {code}"
        what = (
            f"its process was ended by {signal.Signals(-code).name}" if code < 0 else f"its process exited with {code}"
        )
        return _failure(trial, status, f"{what} before it gave a record", log)
    finally:
        process.join(timeout=10 if process.exitcode is None and sys.exc_info()[0] is None else 0)
        if process.is_alive():
            process.kill()
            process.join()
        answers.close()


def _failure(trial: Trial, status: str, reason: str, log: Path) -> Failure:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return Failure(
        trial_id=trial.trial_id,
        suite=trial.suite,
        variant=trial.variant,
        settings=trial.model_dump(mode="json"),
        status=status,
        reason=reason,
        log_tail="\n".join(lines[-LOG_TAIL_LINES:]),
    )
