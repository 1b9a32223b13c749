"""Runs trials on a Ray cluster. A trial is a Ray task, which starts a worker on its node (`benchmarks.node`).

The nodes need neither this project nor a shared disk. The code travels with the tasks, and so do the images, once per
node; the command alone writes down what comes back, records and checkpoints. It also starts lost tasks again: Ray's own
retries would go on from the checkpoint of the first start. Only this module and `benchmarks.node` import Ray.
"""

import os
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.executors import ROOT, Outcomes, failure
from benchmarks.inputs import InputError
from benchmarks.worker import Progress, Trouble
from results import store
from results.trials import TrainTrial, Trial

try:
    import grpc  # which Ray speaks
    import ray
except ImportError:
    raise InputError("Ray is not installed: pip install -e '.[ray]'") from None

from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from benchmarks.node import Answer, Begun, Job, Kept, on_node, require_equal, tidy, versions

CODE = ("models", "benchmarks", "results")
NOT_CODE = ["reference/", "runs/", "__pycache__/"]
AHEAD = 64
"""Tasks that wait for their turn in the cluster: it has no pause then, and an interruption little to cancel."""
MOST_STARTS = 5
"""A trial is started so often if its node dies each time."""
ANSWER_SECONDS = 120.0
REACH_SECONDS = 5.0
TIDY_SECONDS = 10.0
KEPT = "finished trials are kept, and the same command goes on"


@dataclass(frozen=True)
class Share:
    """What a training gets of its node. A step time has a whole node, and as many GPUs."""

    cpus: int
    gpus: int


@dataclass
class Running:
    """A task that the cluster has: its trial, the number of this start, from 1, and whether it has begun."""

    trial: Trial
    start: int
    begun: bool = False


def _next(stream: Any, trial: Trial) -> Answer | None:
    """Returns a task's next answer, or the failure of a task that Ray could not run to its end; None for a lost one.

    A task's worker is a process beside it: a task that is gone was lost with its node, and says nothing of the trial.
    Raises `InputError` where its node has other versions.
    """
    try:
        return ray.get(next(stream))
    except (exceptions.NodeDiedError, exceptions.WorkerCrashedError, exceptions.ObjectLostError):
        return None  # the last: the task had ended, and its answer was lost with its node
    except exceptions.OutOfMemoryError as error:
        return failure(trial, Trouble("oom", _first_line(error)))
    except exceptions.RayError as error:
        if isinstance(cause := getattr(error, "cause", None), InputError):
            raise InputError(f"{cause}; {KEPT}") from None
        return failure(trial, Trouble("failed", _first_line(error)), str(error))


def _cancel(streams: Iterable[Any]) -> None:
    for stream in streams:
        ray.cancel(stream, force=True)


class Cluster:
    """A connected cluster, which runs the trials of a run."""

    def __init__(self, backend: str, share: Share, origin: Origin) -> None:
        self.backend, self.share, self.origin = backend, share, origin
        self.folder_name = uuid.uuid4().hex[:12]
        self.images: dict[tuple[str, str | None], tuple[str, Any]] = {}
        self.versions = versions(backend)
        self.most_cpus = 0

    def run(
        self,
        trials: Iterable[Trial],
        folder: Path,
        on_start: Callable[[Trial], None],
        on_progress: Callable[[Trial, Progress], None],
        timeout_seconds: Callable[[Trial], float],
    ) -> Outcomes:
        """Runs the trials, as many at once as fit, and yields each with its outcome as it ends.

        A trial whose node dies is started again elsewhere, from its last checkpoint; one that fails is not.
        Raises `InputError` where a node has joined that has other versions.
        """
        waiting = deque(Running(trial, 1) for trial in trials)
        running: dict[Any, Running] = {}
        try:
            while waiting or running:
                while waiting and sum(not task.begun for task in running.values()) < AHEAD:
                    task = waiting.popleft()
                    running[self._submit(task.trial, folder, timeout_seconds(task.trial))] = task
                ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
                for stream in ready:
                    task = running[stream]
                    answer = _next(stream, task.trial)
                    if isinstance(answer, Begun):
                        task.begun = True
                        on_start(task.trial)
                    elif isinstance(answer, Progress):
                        on_progress(task.trial, answer)
                    elif isinstance(answer, Kept):
                        store.keep(folder, task.trial.trial_id, answer.checkpoint)
                        on_progress(task.trial, answer.progress)
                    elif answer is None and task.start < MOST_STARTS:
                        # What has not begun may wait for a node that is gone, and is submitted again.
                        del running[stream]
                        again = [other for other, its in running.items() if not its.begun]
                        _cancel([stream, *again])
                        waiting.extendleft(reversed([running.pop(other) for other in again]))
                        waiting.appendleft(Running(task.trial, task.start + 1))
                        self._report_if_none_fits(task.trial)
                    else:
                        del running[stream]
                        lost = Trouble("failed", f"its node was lost {MOST_STARTS} times")
                        yield task.trial, answer or failure(task.trial, lost)
        finally:
            _cancel(running)

    def _cpus(self, trial: Trial) -> int:
        """CPUs of a trial: for a step time those of the largest node, or, with no node left, of the largest ever."""
        if isinstance(trial, TrainTrial):
            return self.share.cpus
        self.most_cpus = largest_node_cpus(self.share.gpus) or self.most_cpus
        return self.most_cpus

    def _report_if_none_fits(self, trial: Trial) -> None:
        cpus = self._cpus(trial)
        if largest_node_cpus(self.share.gpus) < cpus:
            words = f"no node is left that has {self._asked(cpus)}: waiting for one; Ctrl-C keeps what is done"
            print(words, file=sys.stderr)

    def _asked(self, cpus: int) -> str:
        return f"{cpus} CPUs" + (f" and {self.share.gpus} GPUs" if self.share.gpus else "")

    def _submit(self, trial: Trial, folder: Path, timeout_seconds: float) -> Any:
        """Hands the trial to the cluster, and returns the stream of its answers."""
        cpus = self._cpus(trial)
        images_name, images = self._images(trial) if isinstance(trial, TrainTrial) else ("", None)
        job = Job(
            trial=trial,
            origin=self.origin,
            threads=cpus,
            gpus=self.share.gpus,
            timeout_seconds=timeout_seconds,
            checkpoint=store.kept(folder, trial.trial_id),
            images_name=images_name,
            folder_name=self.folder_name,
            versions=self.versions,
        )
        task = ray.remote(on_node).options(
            name=trial.label, num_cpus=cpus, num_gpus=self.share.gpus, max_retries=0, num_returns="streaming"
        )
        return task.remote(job, images)

    def _images(self, trial: TrainTrial) -> tuple[str, Any]:
        """Puts the trial's dataset, once, into the cluster's store, from which each node takes it; also names it."""
        asked = (trial.dataset, trial.data_dir)
        if asked not in self.images:
            data = datasets.load(*asked, datasets.shape_of(trial.model))
            self.images[asked] = (data.sha256[:16], ray.put(data))
        return self.images[asked]

    def check(self, trials: Iterable[Trial]) -> None:
        """Raises `InputError` where some trial fits no node, or a node would not run it as this machine does."""
        most = self.most_cpus = largest_node_cpus(self.share.gpus)
        if self.share.gpus and not most:
            raise InputError(f"no node of the cluster has {self.share.gpus} GPUs: give fewer with --trial-gpus")
        if not most:
            raise InputError("no node of the cluster has CPUs: start one with ray start --address=HOST:PORT")
        needed = self.share.cpus if any(isinstance(trial, TrainTrial) for trial in trials) else 1
        if most < needed:
            raise InputError(
                f"no node of the cluster has {self._asked(needed)}, the largest has {most}: give --trial-cpus {most}"
            )
        asked = [(node["NodeManagerHostname"], _on(node, versions).remote(self.backend)) for node in _nodes()]
        for name, answer in asked:
            try:
                theirs = ray.get(answer, timeout=ANSWER_SECONDS)
            except exceptions.RayError as error:
                raised = isinstance(error, exceptions.RayTaskError)
                remedy = "; install this project's dependencies there" if raised else ""
                raise InputError(f"node {name} cannot run a task: {_first_line(error)}{remedy}") from None
            require_equal(name, theirs, self.versions)

    def tidy(self) -> None:
        """Removes what the run has put on the nodes."""
        tidying = [_on(node, tidy).remote(self.folder_name) for node in _nodes()]
        ray.wait(tidying, num_returns=len(tidying), timeout=TIDY_SECONDS)


@contextmanager
def connected(
    address: str | None, backend: str, share: Share, origin: Origin, trials: Iterable[Trial]
) -> Iterator[Cluster]:
    """Connects to the cluster at `address`, else this machine's running one, else a new one of this machine alone.

    Leaving ends all of its tasks. Raises `InputError` before any trial starts, and where the cluster is lost.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    address = os.environ.get("RAY_ADDRESS") if address is None else address
    _require_reachable(address)
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": [str(ROOT / room) for room in CODE], "excludes": NOT_CODE},
            logging_level="ERROR",
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError, exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        what = " ".join(str(error).split()) if "Version mismatch" in str(error) else _first_line(error)
        raise InputError(f"{where} gives no connection: {what}") from None
    try:
        cluster = Cluster(backend, share, origin)
        cluster.check(trials)
        try:
            yield cluster
        finally:
            cluster.tidy()
    except exceptions.RayError as error:
        raise InputError(f"the Ray cluster is lost: {_first_line(error)}; {KEPT}") from None
    finally:
        ray.shutdown()


def _require_reachable(address: str | None) -> None:
    """Raises `InputError` within seconds where no cluster listens, for which Ray takes minutes."""
    if address is None or address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isascii() and port.isdigit()):
        raise InputError(
            f"--ray-address {address!r} is not HOST:PORT, such as 10.0.0.1:6379 (the port of `ray start`); "
            "the command runs on a machine that is a node of the cluster"
        )
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=REACH_SECONDS)
        except grpc.FutureTimeoutError:
            raise InputError(
                f"no Ray cluster answers at {address}: start one with ray start --head, or correct --ray-address"
            ) from None


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def largest_node_cpus(gpus: int = 0) -> int:
    """CPUs of the largest node with that many GPUs, 0 without one: a task that asks for all has the node alone."""
    resources = [node["Resources"] for node in _nodes()]
    return int(max((r.get("CPU", 0) for r in resources if r.get("GPU", 0) >= gpus), default=0))


def _on(node: dict[str, Any], function: Callable[..., Any]) -> Any:
    """Makes the function a task of that node, whatever else runs there."""
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(function).options(num_cpus=0, scheduling_strategy=there, max_retries=0)


def _first_line(error: BaseException) -> str:
    if cause := getattr(error, "cause", None):  # of a task that raised, before which Ray puts where that was
        error = cause
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:500]
