"""Who runs the workers: a Ray cluster. A trial is a Ray task, and has a worker of its own on the task's node.

The nodes need neither this project nor a disk that they share: the code travels with the tasks, the images too, once a
node, and what comes back, records and checkpoints, the command alone writes down. Ray is imported here and only when a
cluster is asked for.
"""

import os
import platform
import shutil
import socket
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks import datasets
from benchmarks.answers import Progress
from benchmarks.environment import MODULES, Origin, worker_variables
from benchmarks.executors import TRIALS, Program, Workers, failure
from benchmarks.suite import InputError
from benchmarks.worker import Task, Trouble
from results import store
from results.records import Failure, Result
from results.trials import TrainTrial, Trial

ROOT = Path(__file__).parent.parent
CODE = ("models", "benchmarks", "results")
NOT_CODE = ["reference/", "runs/", "__pycache__/"]
AHEAD = 64
"""Tasks that wait for their turn in the cluster, so that it has no pause and an interruption little to cancel."""
MOST_STARTS = 5
"""How often a trial is started whose node died each time."""
ANSWER_SECONDS = 120.0
REACH_SECONDS = 5.0
TIDY_SECONDS = 10.0


@dataclass(frozen=True)
class Share:
    """What a training is given of its node. A step time has a node of its own, with as many accelerators."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Begun:
    """A task's first answer: the node on which its trial has been started."""

    node: str


@dataclass(frozen=True)
class Kept:
    """A training's progress, with the checkpoint of the same epoch."""

    progress: Progress
    checkpoint: bytes


@dataclass(frozen=True)
class Lost:
    """A task's node is no more. `outcome` is what is recorded where it was started often enough."""

    outcome: Failure


@dataclass(frozen=True)
class Unfit:
    """The node has other versions: it came after the check, and would spoil one trial after the other."""

    words: str


Answer = Begun | Kept | Unfit | Result | Failure


@dataclass(frozen=True)
class Job:
    """What a node has to know of a trial to run it."""

    trial: Trial
    origin: Origin
    threads: int
    gpus: int
    timeout_seconds: float
    checkpoint: bytes | None
    images_name: str
    folder_name: str
    versions: dict[str, str]


def on_node(job: Job, images: datasets.Images | None, program: Program = TRIALS) -> Iterator[Answer]:
    """Runs the trial in a worker of this node, exactly as `run_local` does, and yields what comes of it."""
    import ray

    node = f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()[:8]}"
    yield Begun(node)
    sys.modules["__main__"].__file__ = None  # Ray's own, which each worker would import
    trial = job.trial
    if words := _difference(socket.gethostname(), _versions(trial.backend), job.versions):
        yield Unfit(words)
        return
    # Ray names a task's GPUs, and hides none where it has not asked for any.
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if job.gpus else ""
    variables = worker_variables(trial.backend, job.threads) | {"CUDA_VISIBLE_DEVICES": gpus}
    folder = _node_folder(job.folder_name)
    folder.mkdir(mode=0o700, exist_ok=True)
    put = None if images is None else _put(images, folder, job.images_name)
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=folder) as own,
        Workers(trial.backend, variables, replace(job.origin, node=node), Path(own), program) as workers,
    ):
        checkpoint = Path(own) / "checkpoint.npz"
        if job.checkpoint is not None:
            checkpoint.write_bytes(job.checkpoint)
        with closing(workers.run(Task(trial, checkpoint, put), job.timeout_seconds)) as answers:
            for answer in answers:
                yield Kept(answer, checkpoint.read_bytes()) if isinstance(answer, Progress) else answer


def _next(stream: Any, trial: Trial) -> Answer | Lost:
    """What a task answers, or what became of it where Ray could not run it to its end.

    Its worker is a process beside it: so a task that is gone was lost with its node, or killed with it, and does not
    tell of the trial.
    """
    import ray

    try:
        answer: Answer = ray.get(next(stream))
    except (  # the last is an answer that was lost with its node after the task had ended there
        ray.exceptions.NodeDiedError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.ObjectLostError,
    ) as error:
        reason = f"its node was lost {MOST_STARTS} times, at last so: {_first_line(error)}"
        return Lost(failure(trial, Trouble("failed", reason), ""))
    except ray.exceptions.OutOfMemoryError as error:
        return failure(trial, Trouble("oom", _first_line(error)), "")
    except ray.exceptions.RayError as error:
        return failure(trial, Trouble("failed", _first_line(error)), str(error))
    return answer


def _cancel(streams: Iterable[Any]) -> None:
    """Ends tasks, wherever they are."""
    import ray

    for stream in streams:
        ray.cancel(stream, force=True)


def _node_folder(name: str) -> Path:
    """This node's own folder for a run's images and workers: two nodes of a test are one machine."""
    import ray

    return Path(tempfile.gettempdir()) / f"eanet-ablation-{name}-{ray.get_runtime_context().get_node_id()[:12]}"


def _put(images: datasets.Images, folder: Path, name: str) -> Path:
    """Writes the images into the node's folder, where no trial before has: all of the node's trials read that."""
    there = folder / name
    with FileLock(folder / ".lock"):
        if not there.exists():
            half_written = Path(tempfile.mkdtemp(dir=folder)) / name
            datasets.save(images, half_written)
            half_written.rename(there)
    return there


def _tidy(name: str) -> None:
    shutil.rmtree(_node_folder(name), ignore_errors=True)


def _versions(backend: str) -> dict[str, str]:
    """The versions of this node, of what a result depends on; "" where it is not installed."""
    found = {"Python": platform.python_version()}
    for package in ("keras", MODULES[backend]):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def _difference(node: str, theirs: dict[str, str], ours: dict[str, str]) -> str | None:
    """What a node has in another version than this machine, in words; None where it has all in the same."""
    for what, expected in ours.items():
        if not theirs[what]:
            return f"node {node} has no {what}: install {what}=={expected} there"
        if theirs[what] != expected:
            return (
                f"node {node} has {what} {theirs[what]}, and this machine {expected}: "
                f"install the same on both, for results of the two are not of one kind"
            )
    return None


class Cluster:
    """A connected cluster, on which the trials of a run are run."""

    def __init__(self, backend: str, share: Share, origin: Origin, program: Program = TRIALS) -> None:
        self.backend, self.share, self.origin, self.program = backend, share, origin, program
        self.folder_name = uuid.uuid4().hex[:12]
        self.images: dict[tuple[str, str | None], tuple[str, Any]] = {}
        self.versions = _versions(backend)
        self.most_cpus = 0

    def run(
        self,
        trials: Iterable[Trial],
        folder: Path,
        on_start: Callable[[Trial], None],
        on_progress: Callable[[Trial, Progress], None],
        timeout_seconds: Callable[[Trial], float],
    ) -> Iterator[tuple[Trial, Result | Failure]]:
        """Runs the trials, as many at once as fit, and yields each with its outcome as it ends.

        A trial whose node dies is started again elsewhere, from its last checkpoint; one that fails is not, for its
        worker, a process of its own on the node, tells the one from the other. Raises `InputError` where a node has
        come that has other versions.
        """
        import ray

        waiting = deque((trial, 1) for trial in trials)
        running: dict[Any, tuple[Trial, int]] = {}
        begun: set[Any] = set()
        try:
            while waiting or running:
                while waiting and len(running) - len(begun) < AHEAD:
                    trial, start = waiting.popleft()
                    running[self._submit(trial, folder, timeout_seconds(trial))] = (trial, start)
                ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
                for stream in ready:
                    trial, start = running[stream]
                    answer = _next(stream, trial)
                    if isinstance(answer, Begun):
                        begun.add(stream)
                        on_start(trial)
                    elif isinstance(answer, Kept):
                        store.keep(folder, trial.trial_id, answer.checkpoint)
                        on_progress(trial, answer.progress)
                    elif isinstance(answer, Unfit):
                        raise InputError(f"{answer.words}; finished trials are kept, and the same command goes on")
                    elif isinstance(answer, Lost) and start < MOST_STARTS:
                        del running[stream]
                        begun.discard(stream)
                        # What has not begun may wait for a node that is no more, and is asked for anew.
                        not_begun = [other for other in running if other not in begun]
                        _cancel([stream, *not_begun])
                        waiting.extendleft(reversed([running.pop(other) for other in not_begun]))
                        waiting.appendleft((trial, start + 1))
                        self._say_if_none_fits(trial)
                    else:
                        del running[stream]
                        begun.discard(stream)
                        yield trial, answer.outcome if isinstance(answer, Lost) else answer
        finally:
            _cancel(running)

    def _cpus(self, trial: Trial) -> int:
        """Of a step time those of the largest node, or where no node is left, of the largest that there was."""
        if isinstance(trial, TrainTrial):
            return self.share.cpus
        self.most_cpus = largest_node_cpus(self.share.gpus) or self.most_cpus
        return self.most_cpus

    def _say_if_none_fits(self, trial: Trial) -> None:
        cpus = self._cpus(trial)
        if largest_node_cpus(self.share.gpus) < cpus:
            words = f"no node is left that has {self._asked(cpus)}: waiting for one; Ctrl-C keeps what is done"
            print(words, file=sys.stderr)

    def _asked(self, cpus: int) -> str:
        return f"{cpus} CPUs" + (f" and {self.share.gpus} GPUs" if self.share.gpus else "")

    def _submit(self, trial: Trial, folder: Path, timeout_seconds: float) -> Any:
        """Hands the trial to the cluster; its answers come from what is returned."""
        import ray

        cpus = self._cpus(trial)
        images_name, images = self._images(trial) if isinstance(trial, TrainTrial) else ("", None)
        job = Job(
            trial,
            self.origin,
            cpus,
            self.share.gpus,
            timeout_seconds,
            store.kept(folder, trial.trial_id),
            images_name,
            self.folder_name,
            self.versions,
        )
        task = ray.remote(on_node).options(
            name=trial.label, num_cpus=cpus, num_gpus=self.share.gpus, max_retries=0, num_returns="streaming"
        )
        return task.remote(job, images, self.program)

    def _images(self, trial: TrainTrial) -> tuple[str, Any]:
        """The trial's dataset in the cluster's store, from which each node takes it once, and a name for it."""
        import ray

        asked = (trial.dataset, trial.data_dir)
        if asked not in self.images:
            data = datasets.load(*asked)
            self.images[asked] = (data.sha256[:16], ray.put(data))
        return self.images[asked]

    def check(self, trials: Iterable[Trial]) -> None:
        """Raises `InputError` where some trial fits no node, or a node would not run it as this machine says."""
        import ray

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
        asked = [(node["NodeManagerHostname"], _on(node, _versions).remote(self.backend)) for node in _nodes()]
        for name, versions in asked:
            try:
                theirs = ray.get(versions, timeout=ANSWER_SECONDS)
            except ray.exceptions.RayError as error:
                raised = isinstance(error, ray.exceptions.RayTaskError)
                remedy = "; install this project's dependencies there" if raised else ""
                raise InputError(f"node {name} cannot run a task: {_first_line(error)}{remedy}") from None
            if words := _difference(name, theirs, self.versions):
                raise InputError(words)

    def tidy(self) -> None:
        """Removes what the run has put on the nodes."""
        import ray

        tidying = [_on(node, _tidy).remote(self.folder_name) for node in _nodes()]
        ray.wait(tidying, num_returns=len(tidying), timeout=TIDY_SECONDS)


@contextmanager
def connected(
    address: str | None, backend: str, share: Share, origin: Origin, trials: Iterable[Trial]
) -> Iterator[Cluster]:
    """A cluster that the trials fit: that at `address`, else this machine's running one, else a new one of it alone.

    Leaving ends all of its tasks. Raises `InputError` before any trial starts, and where the cluster is lost.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed: pip install -e '.[ray]'") from None
    _connect(address)
    try:
        cluster = Cluster(backend, share, origin)
        cluster.check(trials)
        try:
            yield cluster
        finally:
            cluster.tidy()
    except ray.exceptions.RayError as error:
        words = f"the Ray cluster is lost: {_first_line(error)}; finished trials are kept, and the same command goes on"
        raise InputError(words) from None
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    import ray

    address = os.environ.get("RAY_ADDRESS") if address is None else address
    _require_reachable(address)
    modules = [str(ROOT / room) for room in CODE]
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": modules, "excludes": NOT_CODE},
            logging_level="ERROR",
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        what = " ".join(str(error).split()) if "Version mismatch" in str(error) else _first_line(error)
        raise InputError(f"{where} gives no connection: {what}") from None


def _require_reachable(address: str | None) -> None:
    """Says within seconds that nobody listens, for which Ray takes minutes."""
    if address is None or address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isascii() and port.isdigit()):
        raise InputError(
            f"--ray-address {address!r} is not HOST:PORT, such as 10.0.0.1:6379 (the port of `ray start`); "
            "the command runs on a machine that is a node of the cluster"
        )
    import grpc  # which Ray speaks

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=REACH_SECONDS)
        except grpc.FutureTimeoutError:
            raise InputError(
                f"no Ray cluster answers at {address}: start one with ray start --head, or correct --ray-address"
            ) from None


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def largest_node_cpus(gpus: int = 0) -> int:
    """The CPUs of the largest node with that many GPUs, 0 without one: asked for whole, it is one trial's own."""
    resources = [node["Resources"] for node in _nodes()]
    return int(max((r.get("CPU", 0) for r in resources if r.get("GPU", 0) >= gpus), default=0))


def _on(node: dict[str, Any], function: Callable[..., Any]) -> Any:
    """The function as a task of that node, whatever else runs there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(function).options(num_cpus=0, scheduling_strategy=there, max_retries=0)


def _first_line(error: BaseException) -> str:
    if cause := getattr(error, "cause", None):  # of a task that raised, before which Ray puts where that was
        error = cause
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:500]
