"""The process that runs trials: one trial, or one after the other where they share their compiled step."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.environment import Origin, pinned_threads
from benchmarks.inputs import InputError
from models.attentions.own import OwnAttention
from results.records import Result
from results.trials import TrainTrial, Trial


class DivergedError(Exception):
    """A training's loss is no longer a number; the message names the epoch."""


@dataclass(frozen=True)
class Progress:
    """How far a training trial is: after `epoch` of `epochs`, of which `resumed` came from a checkpoint.

    Within an epoch it is also after `part` of the next one, and has neither loss nor accuracy.
    """

    epoch: int
    epochs: int
    loss: float | None = None
    val_top1: float | None = None
    resumed: int = 0
    part: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """Why a trial gave no result: the status of its `Failure`, and the reason in one line."""

    status: str
    reason: str


Answer = Progress | Result | Trouble


@dataclass(frozen=True)
class Task:
    """A trial to run. A training goes on from `checkpoint`, if that exists, and replaces it after each epoch.

    It reads the dataset from `images`, where a cluster's node has put it (`datasets.save`), or else from where its
    trial says.
    """

    trial: Trial
    checkpoint: Path
    images: Path | None = None


def work(origin: Origin, log: Path, tasks: "Connection[Answer, Task]", variables: Mapping[str, str]) -> None:
    """Runs each task that comes, until no more can, under the environment's `variables`; its output goes to `log`.

    Answers with any `Progress` and then the trial's record, or the `Trouble` it ran into.
    """
    settle(log, variables)
    with contextlib.suppress(EOFError):
        while True:
            tasks.send(_outcome(tasks.recv(), origin, tasks))


def answer(origin: Origin, log: Path, questions: "Connection[Any, Any]", variables: Mapping[str, str]) -> None:
    """Answers one question, a function and its arguments, as JSON: with what is `given`, or the `reason` why not."""
    settle(log, variables)
    function, arguments = questions.recv()
    try:
        found = {"given": function(*arguments)}
    except InputError as error:
        found = {"reason": str(error)}
    questions.send_bytes(json.dumps(found).encode())


def settle(log: Path, variables: Mapping[str, str]) -> None:
    """Prepares a worker: it prints to its log, and ends with its parent and not before.

    Its temporary files go beside its log, for whoever made that folder to remove: a fork runs no `atexit`, by which
    TensorFlow would remove what it writes for each function that it traces.
    """
    os.environ.update(variables)  # the process that it is forked from may have had others
    os.environ["TMPDIR"] = tempfile.tempdir = str(log.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its worker itself
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if torch := sys.modules.get("torch"):  # imported before the fork, with the threads of that time
        torch.set_num_threads(pinned_threads())
    memory.offer_to_the_kernel()


def _outcome(task: Task, origin: Origin, answers: "Connection[Answer, Task]") -> Result | Trouble:
    try:
        if isinstance(task.trial, TrainTrial):
            from benchmarks.training import train

            return train(task.trial, origin, task.checkpoint, answers.send, task.images)
        from benchmarks.steptime import measure_steps

        return measure_steps(task.trial, origin)
    except memory.TooLargeError as error:
        return Trouble("skipped", str(error))
    except DivergedError as error:
        return Trouble("diverged", str(error))
    except Exception as error:
        traceback.print_exc()
        exhausted = memory.exhaustion(error)
        words = exhausted or _words(error, task.trial)
        return Trouble("oom" if exhausted else "failed", words[:500])


def _words(error: Exception, trial: Trial) -> str:
    """Writes an error in one line; of a user's own attention the one that its file raised, with the file's line."""
    where = ""
    first: BaseException = error
    if isinstance(trial.attention, OwnAttention):
        from models.layers.own import raised

        first, line = raised(error, trial.attention.file)
        where = f"{trial.attention.file}, line {line}: " if line else ""
    return f"{where}{type(first).__name__}: {' '.join(str(first).split())}"


def _end_with_parent() -> None:
    """Leaves no orphan: a worker whose run was killed has nobody to answer."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
