"""Sets the environment of a trial, which nothing outside it changes, and observes it for the trial's record."""

import functools
import os
import platform
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from benchmarks.processor import available_threads, cpu_model
from results.records import Environment

MODULES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
OF_LIBRARIES = ("DNNL_", "JAX_", "KERAS_", "ONEDNN_")
"""Prefixes of these libraries' variables: any may change a number, as JAX_ENABLE_X64 or KERAS_MAX_EPOCHS do."""
PLACES = {"JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS", "KERAS_BACKEND", "KERAS_HOME"}
"""Those of them that say where and on what, which a record names."""
OTHERS = {"NVIDIA_TF32_OVERRIDE", "TF_ENABLE_ONEDNN_OPTS", "TF_FUNCTION_JIT_COMPILE_DEFAULT", "TF_XLA_FLAGS"}
OTHERS |= {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"}
XLA_PLACES = ("--xla_force_host_platform_device_count", "--xla_gpu_cuda_data_dir")


@dataclass(frozen=True)
class Origin:
    """What the command that started a trial knows of itself, and a worker cannot see; `node` is a cluster's."""

    command: str
    commit: str | None
    dirty: bool | None
    node: str | None = None


def worker_variables(backend: str, threads: int) -> dict[str, str]:
    """Returns a worker's variables, to be set before Keras is imported: backend, pinned threads, quiet libraries.

    JAX sizes its pool by `NPROC`. OpenBLAS gets one thread because its pool would exist before the fork. TensorFlow
    keeps what it frees for the next step, on a CPU as on a GPU: otherwise a large step is timed at getting memory from
    the kernel (docs/measurements.md), and TensorFlow reports no peak. PyTorch's variable keeps Keras's question at
    import, whether there is a GPU, from spoiling the fork
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


def isolated(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without what would change a trial's result and is not in its record."""
    kept = {
        name: value
        for name, value in variables.items()
        if name in PLACES or not (name in OTHERS or name.startswith(OF_LIBRARIES))
    }
    if "XLA_FLAGS" in kept:
        kept["XLA_FLAGS"] = " ".join(flag for flag in kept["XLA_FLAGS"].split() if flag.startswith(XLA_PLACES))
    return kept


def isolate(variables: Mapping[str, str]) -> None:
    """Isolates this process and those that it starts, under a worker's `variables`, before Keras is imported."""
    environment = isolated(os.environ) | dict(variables)
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


def configure_keras(precision: str) -> None:
    """Sets all that Keras would otherwise take from its user's keras.json, which `worker_variables` do not reach."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(precision)


def default_threads() -> int:
    """Counts a trial's threads where nobody chose: all that are available, at most OMP_NUM_THREADS."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    wanted = int(asked) if asked.isascii() and asked.isdigit() else 0
    return min(wanted or sys.maxsize, available_threads())


def pinned_threads() -> int:
    """Returns the threads that `worker_variables` gave this process."""
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

    On a CPU, TensorFlow's own kernels train as fast as XLA's and start 2 to 3 times sooner (docs/measurements.md).
    """
    import keras

    backend = keras.backend.backend()
    return "auto" if backend == "jax" or (backend == "tensorflow" and on_accelerator()) else False


def observe(origin: Origin, precision: str, started: str, jit: bool) -> Environment:
    """Describes this worker for its record; `jit` is the setting as Keras resolved it."""
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
    """Names this process among all that ever measured: a fork has another `pid` and so another name."""
    return uuid.uuid4().hex[:12]


def _device_names(backend: str) -> list[str]:
    """Lists the kinds of device as the backend names them."""
    if backend == "jax":
        import jax

        return sorted({device.device_kind for device in jax.devices()})
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name()] if torch.cuda.is_available() else ["cpu"]
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return sorted({tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus}) or ["cpu"]
