"""Where a trial runs: the variables a worker starts under, the resolved jit setting, and what goes into its record."""

import functools
import math
import os
import platform
import subprocess
import sys
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import cgroups
from benchmarks.processor import cpu_model
from results.records import Environment

MODULES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


@dataclass(frozen=True)
class Origin:
    """What the command that started a trial knows about itself, and a worker cannot see; `node` is a cluster's."""

    command: str
    commit: str | None
    dirty: bool | None
    node: str | None = None


def worker_variables(backend: str, threads: int) -> dict[str, str]:
    """Environment of a worker: backend, pinned threads, quiet libraries. To be set before Keras is imported.

    `NPROC` is what JAX sizes its pool by. OpenBLAS gets one thread because its pool would exist before the fork.
    TensorFlow keeps what it frees for the next step, on a CPU as it does on a GPU: otherwise a large step is timed at
    getting memory from the kernel (docs/measurements.md), and no peak is told. PyTorch's question whether there is a
    GPU, which Keras asks at import, would spoil the fork on a machine with one, but for its variable
    (https://docs.pytorch.org/docs/stable/notes/multiprocessing.html#poison-fork-in-multiprocessing).
    """
    return {
        "KERAS_BACKEND": backend,
        "KERAS_NNX_ENABLED": "false",  # which a keras.json could set
        "TF_CPU_ALLOCATOR_USE_BFC": "1",
        "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(psutil.virtual_memory().total // 2**20),
        "OMP_NUM_THREADS": str(threads),
        "NPROC": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }


class GitError(Exception):
    """git did not answer; the message is its own, in one line."""


def git(tree: Path, *arguments: str) -> str:
    """Returns what git says of a tree, whatever repository the hook that started this process belongs to.

    So the variables are left out by which git names a repository to its hooks, such as GIT_DIR. Settings that were
    given by variables stay, as they do where git itself enters another repository: CI names the safe directories so.
    Raises `GitError`.
    """
    try:
        asked = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True)
        left_out = set(asked.stdout.split()) - {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
        variables = {name: value for name, value in os.environ.items() if name not in left_out}
        command = ["git", "-C", str(tree), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
    except OSError:
        raise GitError("git is not installed") from None
    if done.returncode:
        raise GitError(" ".join(done.stderr.split()) or f"git {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout.strip()


def available_threads() -> int:
    """Threads that this process can compute with at once: the processors it may use, and its time on them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroups.cpu_quota()
    return allowed if quota >= allowed else math.ceil(quota)


def default_threads() -> int:
    """Threads of a trial where nobody chose: all that are available, or as many as OMP_NUM_THREADS leaves of them."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    wanted = int(asked) if asked.isascii() and asked.isdigit() else 0
    return min(wanted or sys.maxsize, available_threads())


def pinned_threads() -> int:
    """The threads that `worker_variables` gave this process."""
    return int(os.environ.get("OMP_NUM_THREADS", available_threads()))


def on_accelerator() -> bool:
    """Whether Keras computes on anything but the processor."""
    import keras

    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        import torch

        return torch.cuda.is_available() or torch.backends.mps.is_available()
    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())


def jit_setting() -> bool | str:
    """Keras's `jit_compile`: "auto" on JAX and on an accelerator with TensorFlow, off elsewhere.

    On a CPU, TensorFlow's own kernels train as fast as XLA's and start
    two to three times sooner (docs/measurements.md).
    """
    import keras

    backend = keras.backend.backend()
    return "auto" if backend == "jax" or (backend == "tensorflow" and on_accelerator()) else False


def observe(origin: Origin, precision: str, started: str, jit: bool) -> Environment:
    """The environment of this worker, for its record; `jit` is the setting as Keras resolved it."""
    import keras

    backend = keras.backend.backend()
    return Environment(
        commit=origin.commit,
        dirty=origin.dirty,
        command=origin.command,
        started=started,
        python=platform.python_version(),
        versions={name: version(name) for name in ("keras", MODULES[backend], "numpy")},
        backend=backend,
        jit=jit,
        precision=precision,
        device=", ".join(_device_names(backend)),
        cpu=cpu_model(),
        threads=pinned_threads(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        node=origin.node,
        process=_process(os.getpid()),
    )


@functools.cache
def _process(pid: int) -> str:
    """Names this process among all that ever measured: a fork has another `pid`, and so another name."""
    return uuid.uuid4().hex[:12]


def _device_names(backend: str) -> list[str]:
    """Device kinds as the backend names them."""
    if backend == "jax":
        import jax

        return sorted({device.device_kind for device in jax.devices()})
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name()] if torch.cuda.is_available() else ["cpu"]
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return sorted({tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus}) or ["cpu"]
