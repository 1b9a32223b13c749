"""Measures the memory that is free for a trial and what it took, and recognizes errors of running out of it."""

import contextlib
import ctypes
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import cgroups
from benchmarks.environment import on_accelerator
from benchmarks.stopwatch import synchroniser
from models.config import ModelConfig
from models.cost import Cost, Phase

VALUE_BYTES = {"float32": 4, "mixed_bfloat16": 2}
OUT_OF_MEMORY = ("oom when allocating", "resource_exhausted", "out of memory", "allocate memory", "not enough memory")


class TooLargeError(Exception):
    """A trial needs more memory than there is; the message says how much of both."""


def require(cost: Cost, batch: int, phase: Phase, precision: str) -> None:
    """Raises `TooLargeError` where the closed form of what a step needs exceeds what is free."""
    needed, free = cost.needed_bytes(batch, phase, VALUE_BYTES[precision]), free_bytes()
    if free is not None and needed > free:
        raise TooLargeError(f"needs about {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB free")


def held_model(model: ModelConfig, precision: str, phase: Phase) -> ModelConfig:
    """Returns the model whose activations this backend holds."""
    held = model.attention.held(fuses_attention(precision), phase)
    return model.model_copy(update={"attention": held})


def exhaustion(error: Exception) -> str | None:
    """Returns the line of an error that reports, in any backend's words, that memory ran out; None without one."""
    if isinstance(error, MemoryError):
        return str(error) or "no more memory"
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(words in line.lower() for words in OUT_OF_MEMORY)), None)


@dataclass(frozen=True)
class Peaks:
    """Peaks of this process's memory in bytes: of its resident size above the baseline, and of what the backend's
    allocator has handed out at once, or None if that does not count."""

    resident_bytes: int
    device_bytes: int | None


class Watch:
    """Watches this process's memory, from `baseline_bytes` of resident size, which hold the backend's own."""

    def __init__(self) -> None:
        import keras

        synchroniser()(keras.ops.zeros(1) + 1.0)  # starts the backend
        with contextlib.suppress(OSError):  # forgets the peak so far, which in a new interpreter is that of its imports
            Path("/proc/self/clear_refs").write_text("5")
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with contextlib.suppress(ValueError):  # an allocator that does not count
                tf.config.experimental.reset_memory_stats(_tensorflow_device())
        self.baseline_bytes = _peak_resident_bytes()

    def peaks(self) -> Peaks:
        """Returns the peaks so far: resident outside Linux, and allocated outside TensorFlow, since the start.

        On JAX without an allocator that counts the resident peak is 0: XLA's compilation takes far more than the step.
        """
        import keras

        device, _ = _device_bytes()
        if keras.backend.backend() == "jax" and device is None:
            return Peaks(0, None)
        return Peaks(max(0, _peak_resident_bytes() - self.baseline_bytes), device)


def give_back() -> None:
    """Gives the kernel what this process has freed; a model would take it again without a trace in a `Watch`."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's figure survives fork and exec on Linux, and would be the parent's
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_bytes() -> tuple[int | None, int | None]:
    """Asks the backend's allocator for its peak and for what is free; None for what it does not count."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        free = stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None
        return stats.get("peak_bytes_in_use"), free
    if backend == "torch":
        import torch

        gpu = torch.cuda
        return (gpu.max_memory_allocated(), gpu.mem_get_info()[0]) if gpu.is_available() else (None, None)
    import tensorflow as tf

    try:
        return tf.config.experimental.get_memory_info(_tensorflow_device())["peak"], None
    except ValueError:  # an allocator that does not count
        return None, None


def _tensorflow_device() -> str:
    import tensorflow as tf

    return "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"


def free_bytes() -> int | None:
    """Returns what the accelerator, or this machine and container, have free for a trial; None if unknown."""
    if on_accelerator():
        return _device_bytes()[1]
    return int(min(psutil.virtual_memory().available, cgroups.free_memory_bytes()))


def fuses_attention(precision: str) -> bool:
    """Whether Keras's attention without dropout runs in a kernel that never holds all attention weights at once.

    PyTorch has one everywhere, JAX on a GPU in half precision, TensorFlow none. Source: Keras's
    `ops.dot_product_attention`, https://keras.io/api/ops/nn/#dot_product_attention-function.
    """
    import keras

    backend = keras.backend.backend()
    return backend == "torch" or (backend == "jax" and on_accelerator() and precision != "float32")


def kernel_kills() -> int:
    """Counts the processes that the kernel has killed so far because memory ran out; 0 if it reports none."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/vmstat").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return 0


def offer_to_the_kernel() -> None:
    """Makes this process the first that the kernel ends when memory runs out, instead of the run or a user's own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
