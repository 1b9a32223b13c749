"""What a trial may have of memory, what it took, and how running out of it is told from other errors."""

import contextlib
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import cgroups
from benchmarks.environment import on_accelerator
from benchmarks.stopwatch import synchroniser
from models.attentions.attention import Attention
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


def held_attention(attention: Attention, precision: str, phase: Phase) -> Attention:
    """The attention whose activations this backend holds."""
    return attention.held(fuses_attention(precision), phase)


def held_model(model: ModelConfig, precision: str, phase: Phase) -> ModelConfig:
    """The model whose activations this backend holds."""
    return model.model_copy(update={"attention": held_attention(model.attention, precision, phase)})


def exhaustion(error: Exception) -> str | None:
    """The line of an error that says that there was no more memory, in any backend's words; None for other errors."""
    if isinstance(error, MemoryError):
        return str(error) or "no more memory"
    return next(
        (line.strip() for line in str(error).splitlines() if any(w in line.lower() for w in OUT_OF_MEMORY)), None
    )


@dataclass(frozen=True)
class Peaks:
    """Peaks of memory of this process, in bytes: its resident size over what it was, and what the backend's own
    allocator has handed out at once, where that tells."""

    resident_bytes: int
    device_bytes: int | None


@dataclass(frozen=True)
class Watch:
    """Watches this process's memory from `baseline_bytes` of resident size on."""

    baseline_bytes: int

    def peaks(self) -> Peaks:
        """The largest resident size since `watch`, over the baseline (outside Linux since the start of the process),
        and the allocator's peak since then (on TensorFlow; elsewhere since it started). On JAX without an allocator
        that tells there is none, 0: XLA's compilation takes far more than the step."""
        import keras

        device = _device_peak_bytes()
        if keras.backend.backend() == "jax" and device is None:
            return Peaks(0, None)
        return Peaks(max(0, _peak_resident_bytes() - self.baseline_bytes), device)


def watch() -> Watch:
    """Starts watching: the backend is started first, so that its own memory is in the baseline."""
    import keras

    synchroniser()(keras.ops.zeros(1) + 1.0)
    with contextlib.suppress(OSError):  # forgets the peak so far, which in a new interpreter is that of its imports
        Path("/proc/self/clear_refs").write_text("5")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(ValueError):  # an allocator that does not count
            tf.config.experimental.reset_memory_stats(_tensorflow_device())
    return Watch(_peak_resident_bytes())


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's figure survives fork and exec on Linux, and would be the parent's
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_peak_bytes() -> int | None:
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        return stats and stats.get("peak_bytes_in_use")
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    import tensorflow as tf

    try:
        return tf.config.experimental.get_memory_info(_tensorflow_device())["peak"]
    except ValueError:  # an allocator that does not count
        return None


def _tensorflow_device() -> str:
    import tensorflow as tf

    return "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"


def free_bytes() -> int | None:
    """What a trial can have: free memory of the accelerator, or of this machine and container; None if nobody tells."""
    import keras

    backend = keras.backend.backend()
    if not on_accelerator():
        return int(min(psutil.virtual_memory().available, cgroups.free_memory_bytes()))
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None
    if backend == "torch":
        import torch

        return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    return None


def fuses_attention(precision: str) -> bool:
    """Whether Keras's attention without dropout runs in a kernel that never holds all its weights at once.

    PyTorch has one everywhere, JAX on a GPU in half precision, TensorFlow none. Source: Keras's
    `ops.dot_product_attention`, https://keras.io/api/ops/nn/#dot_product_attention-function.
    """
    import keras

    backend = keras.backend.backend()
    return backend == "torch" or (backend == "jax" and on_accelerator() and precision != "float32")


def kernel_kills() -> int:
    """How many processes the kernel has killed so far because memory ran out; 0 where it does not tell."""
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)


def offer_to_the_kernel() -> None:
    """Makes this process the first that the kernel ends when memory runs out, instead of the run or a user's own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
