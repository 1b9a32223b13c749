"""Runs workers on this machine. A cluster's nodes run theirs by the same `Workers`.

Each trial has its own process, except short trainings that differ only in their seed: they compile their step once.
Trials run one after the other, except short trainings on a processor: their small operations gain nothing from a second
thread, so a suite's run side by side, as many as there are threads.
"""

import itertools
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks import memory
from benchmarks.downloads import KERAS_HOME, OWN_KERAS_HOME, keras_home
from benchmarks.environment import Origin, default_threads, isolate, worker_variables
from benchmarks.inputs import InputError
from benchmarks.schedule import shared_step, side_by_side, startable
from benchmarks.worker import Answer, Progress, Task, Trouble, answer, work
from results import store
from results.places import without_places
from results.records import Failure, Result, TrainRecord
from results.trials import TrainTrial, Trial

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess

ROOT = Path(__file__).parent.parent
LOG_TAIL_LINES, LOG_TAIL = 20, 10_000
END_SECONDS = 10
"""A worker that has no more to do may take so long to end."""
LOOK_SECONDS, SHORT_LOOK_SECONDS = 1.0, 0.02
"""How long to wait for the answer of a worker that is alone, and of one that is not."""
LARGEST_LOG_BYTES = 64 * 2**20
IMPORT_FAILED = "import-failed"
"""`benchmarks.warm` writes into this file of the run's temporary folder why it ended."""
MOST_KEPT = 6
"""Idle workers, of about 0.6 GB each: as many as the largest suite of `quick` has compiled steps."""
ANSWER_SECONDS, QUIET_SECONDS = 300.0, 15.0
"""How long an answer may take, and after how long of it a user is told."""
STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""What makes a terminal write bold or coloured."""
NOBODY = Origin(command="", commit=None, dirty=None)

Outcomes = Iterator[tuple[Trial, Result | Failure]]
Execute = Callable[
    [Iterable[Trial], Path, Callable[[Trial], None], Callable[[Trial, Progress], None], Callable[[Trial], float]],
    Outcomes,
]
"""`run_local` or `Cluster.run`, whose arguments have names."""


def run_local(
    backend: str,
    origin: Origin,
    trials: Iterable[Trial],
    folder: Path,
    on_start: Callable[[Trial], None],
    on_progress: Callable[[Trial, Progress], None],
    timeout_seconds: Callable[[Trial], float],
    threads: int | None = None,
    at_once: int = 1,
) -> Outcomes:
    """Runs the trials suite by suite and yields each with its outcome. An interruption ends the workers.

    A worker that has given neither a result nor progress for its trial's `timeout_seconds` is ended too. Trainings keep
    their checkpoints in the run's `folder`, and go on from those that they find there. Trials that run side by side, at
    most `at_once`, share the `threads`, else all that there are.
    """
    threads = threads or default_threads()  # before `Workers` set the variable that it reads
    on_processor = False  # which the first training's record reports
    with tempfile.TemporaryDirectory(dir=get_temp_dir()) as logs:
        for _, group in itertools.groupby(trials, key=lambda trial: trial.suite):
            waiting = list(group)
            most = side_by_side(waiting, at_once)
            variables = worker_variables(backend, threads // most)
            running: dict[Trial, Generator[Progress | Result | Failure | None]] = {}
            with Workers(backend, variables, origin, Path(logs)) as workers:
                try:
                    while waiting or running:
                        room = (most if on_processor else 1) - len(running)
                        for trial in startable(waiting, running)[:room]:
                            waiting.remove(trial)
                            on_start(trial)
                            task = Task(trial, store.checkpoint(folder, trial.trial_id))
                            look = LOOK_SECONDS if most == 1 else SHORT_LOOK_SECONDS
                            running[trial] = workers.listen(task, timeout_seconds(trial), look)
                        for trial, answers in list(running.items()):
                            answer = next(answers)
                            if isinstance(answer, Progress):
                                on_progress(trial, answer)
                            elif answer is not None:
                                running.pop(trial).close()
                                on_processor |= isinstance(answer, TrainRecord) and answer.environment.device == "cpu"
                                yield trial, answer
                finally:
                    for answers in running.values():
                        answers.close()


_imported_for: set[str] = set()
"""The backend that the process which workers are forked from has imported: Python has one such process, for good."""


def ask(backend: str, question: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what a function gives in a worker of its own, which has to be JSON: a user's code runs there alone.

    Raises `InputError` with the reason where the function does, its process dies, or `ANSWER_SECONDS` pass.
    """
    logs = Path(tempfile.mkdtemp(dir=get_temp_dir()))  # stays: the workers that are forked later know of it
    with Workers(backend, worker_variables(backend, default_threads()), NOBODY, logs, answer) as workers:
        worker = workers.start()
        connection: Connection[Any, Any] = worker.connection
        began, is_told = time.monotonic(), False
        try:
            connection.send((question, arguments))
            while not _has_answered(worker, LOOK_SECONDS):
                waited = time.monotonic() - began
                if waited >= ANSWER_SECONDS:
                    raise InputError(f"no answer within {ANSWER_SECONDS:,.0f} s")
                if waited >= QUIET_SECONDS and not is_told:
                    is_told = True
                    print(f"checking what was asked for takes at most {ANSWER_SECONDS:,.0f} s", file=sys.stderr)
            found = json.loads(connection.recv_bytes())
        except (EOFError, ConnectionError):
            worker.process.join(END_SECONDS)
            said = [line for line in worker.log.read_text(errors="replace").splitlines() if line.strip()]
            words = f": {said[-1].strip()[:200]}" if said else ""
            raise InputError(_ending(worker.process.exitcode or 0, False, "an answer").reason + words) from None
        finally:
            worker.end(0.0)
    if "reason" in found:
        raise InputError(found["reason"])
    return found["given"]


def start_context(backend: str) -> "ForkServerContext | SpawnContext":
    """Chooses how workers of this backend start on this platform.

    On Linux a worker is forked from a process that has imported the libraries and computed nothing, and so has one
    thread (`benchmarks.warm`); elsewhere, where a fork of them is not known to be safe, it starts from nothing.
    """
    if not sys.platform.startswith("linux") or _imported_for - {backend}:
        return multiprocessing.get_context("spawn")
    _imported_for.add(backend)
    os.environ |= {"EANET_ABLATION_RUN_PID": str(os.getpid()), "EANET_ABLATION_TEMPORARY": get_temp_dir()}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.warm"])
    return context


@dataclass(frozen=True)
class Worker:
    """A running worker: its process, the connection for its tasks and answers, and the file that it prints to."""

    process: "ForkServerProcess | SpawnProcess"
    connection: "Connection[Task, Answer]"
    log: Path

    def end(self, patience_seconds: float) -> None:
        """Lets the worker end, as there is no more to do, and kills it if it does not end in time."""
        self.connection.close()
        if self.process.pid is not None:  # else interrupted before its start
            self.process.join(patience_seconds)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()


class Workers:
    """Starts a worker for each task, and keeps those whose compiled step a later training of the suite may want."""

    def __init__(
        self,
        backend: str,
        variables: Mapping[str, str],
        origin: Origin,
        logs: Path,
        target: "Callable[[Origin, Path, Connection[Answer, Task], Mapping[str, str]], None]" = work,
    ) -> None:
        # Keras may refuse the user's keras.json.
        home = {"KERAS_HOME": str(logs / OWN_KERAS_HOME), KERAS_HOME: str(keras_home())}
        isolate({**variables, **home})  # for the process that workers are forked from, and those that are spawned
        self.context, self.target = start_context(backend), target
        self.variables, self.origin, self.logs = variables, origin, logs
        self.kept: dict[TrainTrial, Worker] = {}
        self.started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_kept()

    def run(self, task: Task, timeout_seconds: float) -> Generator[Progress | Result | Failure]:
        """Yields the task's progress, and at last its outcome.

        Ends a worker that gives no outcome, or whose answers nobody takes any more.
        """
        with closing(self.listen(task, timeout_seconds, LOOK_SECONDS)) as answers:
            yield from (answer for answer in answers if answer is not None)

    def listen(
        self, task: Task, timeout_seconds: float, look_seconds: float
    ) -> Generator[Progress | Result | Failure | None]:
        """Yields what `run` does, and None whenever `look_seconds` have passed without an answer."""
        trial = task.trial
        step = shared_step(trial)
        if step is None:
            self._end_kept()
        worker = self.kept.pop(step, None) if step else None
        if worker is None or not worker.process.is_alive():
            worker = self.start()
        kills = memory.kernel_kills()
        patience_seconds = 0.0
        try:
            worker.log.write_bytes(b"")
            worker.connection.send(task)
            said = time.monotonic()
            while (outcome := _answer(worker, look_seconds)) is None or isinstance(outcome, Progress):
                if outcome is not None:
                    said = time.monotonic()
                elif time.monotonic() - said >= timeout_seconds:
                    raise TimeoutError
                yield outcome
            patience_seconds = END_SECONDS
        except TimeoutError:
            outcome = Trouble("timeout", f"no sign for {timeout_seconds:,.0f} s: its process was ended")
        except (EOFError, ConnectionError):
            worker.process.join(END_SECONDS)
            outcome = _ending(worker.process.exitcode or 0, memory.kernel_kills() > kills)
        finally:
            trained = patience_seconds and isinstance(outcome, TrainRecord) and outcome.environment.device == "cpu"
            if step and trained and len(self.kept) < MOST_KEPT:  # the first ones stay: seed by seed, all come again
                self.kept[step] = worker
            else:
                worker.end(patience_seconds)
        if isinstance(outcome, Trouble):
            folder = task.checkpoint.parent
            places = {str(folder): "checkpoints"} if folder.is_absolute() else {}
            log = worker.log.read_text(errors="replace") if worker.log.exists() else ""
            yield failure(trial, outcome, log, places)
        else:
            yield outcome

    def start(self) -> Worker:
        """Starts a worker. Raises `InputError` where none can be started."""
        self.started += 1
        log = self.logs / f"worker-{self.started}.log"
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=self.target, args=(self.origin, log, theirs, self.variables), daemon=True)
        worker = Worker(process, ours, log)
        try:
            with _interruption_held_back():
                process.start()
                theirs.close()
        except BaseException as error:
            worker.end(0.0)
            if not isinstance(error, (EOFError, ConnectionError)):
                raise
            why = Path(get_temp_dir(), IMPORT_FAILED)
            words = why.read_text() if why.exists() else "the process that they are forked from has ended"
            raise InputError(f"no worker can be started: {words}; finished trials are kept") from None
        return worker

    def _end_kept(self) -> None:
        while self.kept:
            self.kept.popitem()[1].end(END_SECONDS)


@contextmanager
def _interruption_held_back() -> Iterator[None]:
    """Holds Ctrl-C back: between a worker's start and the moment the parent knows it, nobody would end the worker.

    The worker inherits that it is blocked, and never sees it, not even before it can ignore it. To block it is not
    enough for the parent, whose other threads would take it.
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


def _answer(worker: Worker, look_seconds: float) -> Answer | None:
    """Waits for the worker's next answer for so long. Returns None if none came; raises `EOFError` if it ended."""
    if not _has_answered(worker, look_seconds):
        return None
    try:
        return worker.connection.recv()
    except OSError as error:  # it ended in the middle of a message
        raise EOFError from error


def _has_answered(worker: Worker, look_seconds: float) -> bool:
    """Waits for an answer for so long. What the worker prints meanwhile is kept short: an endless output would fill the
    disk."""
    if worker.log.exists() and worker.log.stat().st_size > LARGEST_LOG_BYTES:
        os.truncate(worker.log, 0)
    return worker.connection.poll(look_seconds)


def _ending(code: int, out_of_memory: bool, given: str = "a record") -> Trouble:
    """Says how a process ended that gave nothing; `out_of_memory` is whether the kernel has ended one for that."""
    if code == -signal.SIGKILL and out_of_memory:
        return Trouble("oom", "the machine ran out of memory and the kernel ended its process")
    if code < 0:
        name = {number.value: number.name for number in signal.Signals}.get(-code, f"signal {-code}")
        return Trouble(f"signal {-code}", f"its process was ended by {name} before it gave {given}")
    return Trouble(f"exit {code}", f"its process exited with {code} before it gave {given}")


def failure(trial: Trial, trouble: Trouble, log: str = "", places: Mapping[str, str] | None = None) -> Failure:
    """Makes the record of a trial without a result, with the last lines of its `log`; `places` get their names."""
    known = {str(ROOT): ".", str(Path.home()): "~", **(places or {})}
    if isinstance(trial, TrainTrial) and trial.data_dir:
        known[trial.data_dir] = "DIR"
    tail = "\n".join(log.splitlines()[-LOG_TAIL_LINES:])
    return Failure(
        trial_id=trial.trial_id,
        trial=trial.model_copy(update={"data_dir": None}) if isinstance(trial, TrainTrial) else trial,
        status=trouble.status,
        reason=without_places(STYLE.sub("", trouble.reason), known),
        log_tail="" if trouble.status == "skipped" else without_places(STYLE.sub("", tail), known)[-LOG_TAIL:],
    )
