"""Runs one trial in a worker on a node of a Ray cluster, and keeps what the node needs for a run.

Ray's own process for a task does not run the trial: nobody would learn what it printed, how it ended or that it hung,
and each trial would import Keras again.
"""

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ray
from filelock import FileLock

from benchmarks import datasets
from benchmarks.environment import MODULES, Origin, worker_variables
from benchmarks.executors import Workers
from benchmarks.inputs import InputError
from benchmarks.worker import Progress, Task
from results.records import Failure, Result
from results.trials import Trial


@dataclass(frozen=True)
class Job:
    """What a node needs to run a trial; `checkpoint` is what an earlier start has kept."""

    trial: Trial
    origin: Origin
    threads: int
    gpus: int
    timeout_seconds: float
    checkpoint: bytes | None
    images_name: str
    folder_name: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Begun:
    """A task's first answer: its trial has started."""


@dataclass(frozen=True)
class Kept:
    """A training's progress, with the checkpoint of the same epoch."""

    progress: Progress
    checkpoint: bytes


Answer = Begun | Kept | Progress | Result | Failure


def on_node(job: Job, images: datasets.Images | None) -> Iterator[Answer]:
    """Runs the trial in a worker of this node, exactly as `run_local` does, and yields the worker's answers.

    Raises `InputError` where the node has other versions: it joined after the check, and would spoil trial after trial.
    """
    yield Begun()
    sys.modules["__main__"].__file__ = None  # Ray's own, which each worker would import
    trial, host = job.trial, socket.gethostname()
    require_equal(host, versions(trial.backend), job.versions)
    node = f"{host} {ray.get_runtime_context().get_node_id()[:8]}"
    # Ray names a task's GPUs, and hides none where it has not asked for any.
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if job.gpus else ""
    variables = worker_variables(trial.backend, job.threads) | {"CUDA_VISIBLE_DEVICES": gpus}
    folder = _folder(job.folder_name)
    folder.mkdir(mode=0o700, exist_ok=True)
    put = None if images is None else _put(images, folder, job.images_name)
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=folder) as own,
        Workers(trial.backend, variables, replace(job.origin, node=node), Path(own)) as workers,
    ):
        checkpoint = Path(own) / "checkpoint.npz"
        if job.checkpoint is not None:
            checkpoint.write_bytes(job.checkpoint)
        with closing(workers.run(Task(trial, checkpoint, put), job.timeout_seconds)) as answers:
            for answer in answers:
                if isinstance(answer, Progress) and not answer.part:
                    yield Kept(answer, checkpoint.read_bytes())
                else:
                    yield answer


def _folder(name: str) -> Path:
    """Names this node's folder for a run's images and workers: two nodes of a test are one machine."""
    return Path(tempfile.gettempdir()) / f"eanet-ablation-{name}-{ray.get_runtime_context().get_node_id()[:12]}"


def _put(images: datasets.Images, folder: Path, name: str) -> Path:
    """Writes the images into the node's folder, once for all of the node's trials."""
    there = folder / name
    with FileLock(folder / ".lock"):
        if not there.exists():
            half_written = Path(tempfile.mkdtemp(dir=folder)) / name
            datasets.save(images, half_written)
            half_written.rename(there)
    return there


def tidy(folder_name: str) -> None:
    """Removes what a run has put on this node."""
    shutil.rmtree(_folder(folder_name), ignore_errors=True)


def versions(backend: str) -> dict[str, str]:
    """Returns this node's versions of what a result depends on; "" for what is not installed."""
    found = {"Python": platform.python_version()}
    for package in ("keras", MODULES[backend]):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def require_equal(node: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Raises `InputError` where a node lacks something or has another version of it than this machine."""
    for what, expected in ours.items():
        if theirs[what] != expected:
            raise InputError(
                f"node {node} has {what} {theirs[what] or 'not installed'}, and this machine {expected}: "
                "install the same on both, for results of the two are not of one kind"
            )
