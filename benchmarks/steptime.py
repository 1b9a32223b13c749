"""A step-time trial -> StepTimeRecord: the attention core or the whole model, one training step or one inference."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from benchmarks import disturbance, memory, stopwatch
from benchmarks.environment import Origin, configure_keras, jit_setting, observe, on_accelerator, pinned_threads
from models.build import build_attention, build_model
from models.cost import Cost
from results.records import StepTimeRecord
from results.trials import CoreStepTrial, ModelStepTrial


@dataclass(frozen=True)
class Case:
    """What is timed: the step, whether XLA compiles it, and what it costs in closed form.

    `parameters` are counted in the layers themselves, and `operations` gives how many of each kind the compiled step
    has, which only TensorFlow tells.
    """

    step: Callable[[], Any]
    jit: bool
    cost: Cost
    parameters: int
    operations: Callable[[], dict[str, int]]


def measure_steps(trial: CoreStepTrial | ModelStepTrial, origin: Origin) -> StepTimeRecord:
    """Runs the trial in this process. Inputs are random and the same for every variant; no image is needed.

    Raises `memory.TooLargeError` where it needs more memory than is free.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    keras.utils.set_random_seed(trial.process)
    configure_keras(trial.precision)
    held = held_cost(trial)
    memory.require(held, trial.batch, trial.phase, trial.precision)
    watch = memory.watch()
    case = build_case(trial)
    value_bytes = memory.VALUE_BYTES[trial.precision]
    moments: list[disturbance.Moment] = []
    timing = stopwatch.measure(
        case.step,
        stopwatch.synchroniser(),
        trial.steps,
        trial.seconds,
        before_timing=lambda: moments.append(disturbance.now()),
    )
    end, peaks = disturbance.now(), watch.peaks()
    taken = disturbance.taken_cpu_share(moments[0], end, pinned_threads())
    return StepTimeRecord(
        trial_id=trial.trial_id,
        trial=trial,
        multiply_adds=case.cost.multiply_adds,
        activation_bytes=held.activation_bytes(trial.batch, trial.phase, value_bytes),
        compile_seconds=timing.compile_seconds,
        warmup_seconds=timing.warmup_seconds,
        samples_seconds=timing.samples_seconds,
        taken_cpu_share=None if on_accelerator() else taken,
        baseline_memory_bytes=watch.baseline_bytes,
        peak_memory_bytes=peaks.resident_bytes,
        device_peak_memory_bytes=peaks.device_bytes,
        environment=observe(origin, trial.precision, started, case.jit),
    )


def held_cost(trial: CoreStepTrial | ModelStepTrial) -> Cost:
    """The cost of what the trial times, with the activations that are in memory on this backend."""
    if isinstance(trial, CoreStepTrial):
        held = memory.held_attention(trial.attention, trial.precision, trial.phase)
        return held.cost(trial.dim, trial.patches)
    return memory.held_model(trial.model, trial.precision, trial.phase).cost()


def build_case(trial: CoreStepTrial | ModelStepTrial) -> Case:
    """Builds what the trial times, on Keras's backend."""
    configure_keras(trial.precision)
    return _core(trial) if isinstance(trial, CoreStepTrial) else _model(trial)


def _core(trial: CoreStepTrial) -> Case:
    """The attention layer alone: forward, or forward and the gradients of its weights and its input."""
    layer = build_attention(trial.attention)
    shape = (trial.batch, trial.patches, trial.dim)
    layer.build(shape)
    x = np.random.default_rng(trial.process).standard_normal(shape, np.float32)
    steps = FORWARD if trial.phase == "infer" else FORWARD_BACKWARD
    cost = trial.attention.cost(trial.dim, trial.patches)
    step = steps[keras.backend.backend()](layer, x)
    return Case(step.run, bool(jit_setting()), cost, layer.count_params(), step.operations)


def _model(trial: ModelStepTrial) -> Case:
    """The whole model: one optimizer step on one batch, or the predictions for it. Both return NumPy values."""
    config = trial.model
    rng = np.random.default_rng(trial.process)
    images = rng.uniform(0, 255, (trial.batch, config.image_size, config.image_size, config.channels)).astype("float32")
    labels = np.eye(config.classes, dtype="float32")[rng.integers(config.classes, size=trial.batch)]
    model = build_model(config)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        jit_compile=jit_setting(),
    )
    if trial.phase == "train":
        model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice
    steps: dict[str, Callable[[], Any]] = {
        "infer": lambda: model.predict_on_batch(images),
        "train": lambda: model.train_on_batch(images, labels),
    }
    traced: dict[str, Callable[[], dict[str, int]]] = {
        "infer": lambda: _operations(model.predict_step, (images,)),
        "train": lambda: _operations(model.train_step, (images, labels)),
    }
    operations = traced[trial.phase] if keras.backend.backend() == "tensorflow" else _not_told
    return Case(steps[trial.phase], model.jit_compile, config.cost(), model.count_params(), operations)


@dataclass(frozen=True)
class Step:
    """A step of a layer alone, and what it is compiled to."""

    run: Callable[[], Any]
    operations: Callable[[], dict[str, int]]


def _not_told() -> dict[str, int]:
    return {}


def _operations(function: Callable[..., Any], data: tuple[Any, ...]) -> dict[str, int]:
    """Kinds of operation in the graph of one call, and how many there are of each, called functions included."""
    import tensorflow as tf

    traced = function if hasattr(function, "get_concrete_function") else tf.function(function)
    arguments = [tf.constant(value) for value in data]
    concrete = traced.get_concrete_function(arguments[0] if len(arguments) == 1 else tuple(arguments))
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    return dict(sorted(Counter(node.op for node in nodes).items()))


# Keras has no gradient of its own and no compiled call of a single layer, so these six name their backend.


def _tensorflow_forward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import tensorflow as tf

    run = tf.function(lambda value: layer(value, training=False), jit_compile=bool(jit_setting()))
    on_device = tf.constant(x)
    return Step(lambda: run(on_device), lambda: _operations(run, (x,)))


def _tensorflow_forward_backward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import tensorflow as tf

    @tf.function(jit_compile=bool(jit_setting()))
    def run(value: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(value)
            output = layer(value, training=True)
        return tape.gradient(output, [value, *(w.value for w in layer.trainable_weights)])

    on_device = tf.constant(x)
    return Step(lambda: run(on_device), lambda: _operations(run, (x,)))


def _jax_forward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import jax

    weights, state = _jax_weights(layer)
    run = jax.jit(lambda weights, state, value: layer.stateless_call(weights, state, value, training=False)[0])
    on_device = jax.device_put(x)
    return Step(lambda: run(weights, state, on_device), _not_told)


def _jax_forward_backward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import jax

    weights, state = _jax_weights(layer)

    def total(weights: Any, value: Any, state: Any) -> Any:
        return layer.stateless_call(weights, state, value, training=True)[0].sum()

    run = jax.jit(jax.grad(total, argnums=(0, 1)))
    on_device = jax.device_put(x)
    return Step(lambda: run(weights, on_device, state), _not_told)


def _jax_weights(layer: keras.layers.Layer) -> tuple[list[Any], list[Any]]:
    return [w.value for w in layer.trainable_variables], [w.value for w in layer.non_trainable_variables]


def _torch_forward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import torch

    on_device = keras.ops.convert_to_tensor(x)

    def run() -> Any:
        with torch.no_grad():
            return layer(on_device, training=False)

    return Step(run, _not_told)


def _torch_forward_backward(layer: keras.layers.Layer, x: np.ndarray) -> Step:
    import torch

    on_device = keras.ops.convert_to_tensor(x).requires_grad_()
    inputs = [on_device, *(w.value for w in layer.trainable_weights)]
    return Step(lambda: torch.autograd.grad(layer(on_device, training=True).sum(), inputs), _not_told)


FORWARD = {"tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}
FORWARD_BACKWARD = {
    "tensorflow": _tensorflow_forward_backward,
    "jax": _jax_forward_backward,
    "torch": _torch_forward_backward,
}
