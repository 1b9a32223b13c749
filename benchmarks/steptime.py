"""Times a trial's step -> StepTimeRecord: the attention layer or the whole model, a training step or an inference."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import keras
import numpy as np

from benchmarks import disturbance, memory, stopwatch
from benchmarks.environment import Origin, configure_keras, jit_setting, observe, on_accelerator, pinned_threads
from benchmarks.optimizer import AdamW
from models.build import build_attention, build_model
from models.cost import Cost, Phase
from results.records import StepTimeRecord
from results.trials import CoreStepTrial, ModelStepTrial


@dataclass(frozen=True)
class Case:
    """What is timed: the step, whether XLA compiles it, and what it costs in closed form.

    `parameters` are counted in the layers themselves. `operations` counts those of the compiled step by kind, on
    TensorFlow alone.
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
    watch = memory.Watch()
    case = build_case(trial)
    value_bytes, told = memory.VALUE_BYTES[trial.precision], trial.attention.tells_cost
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
        multiply_adds=case.cost.multiply_adds if told else None,
        activation_bytes=(held.activation_bytes(trial.batch, trial.phase, value_bytes) or None) if told else None,
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
    """Returns the cost of what the trial times, with the activations that are in memory on this backend."""
    if isinstance(trial, ModelStepTrial):
        return memory.held_model(trial.model, trial.precision, trial.phase).cost()
    held = trial.attention.held(memory.fuses_attention(trial.precision), trial.phase)
    return held.cost(trial.dim, trial.patches)


def build_case(trial: CoreStepTrial | ModelStepTrial) -> Case:
    """Builds what the trial times, on Keras's backend."""
    configure_keras(trial.precision)
    return _core(trial) if isinstance(trial, CoreStepTrial) else _model(trial)


def _core(trial: CoreStepTrial) -> Case:
    """Builds the attention layer alone: forward, or forward and the gradients of its weights and its input."""
    layer = build_attention(trial.attention)
    shape = (trial.batch, trial.patches, trial.dim)
    layer.build(shape)
    x = np.random.default_rng(trial.process).standard_normal(shape, np.float32)
    step, operations = layer_step(layer, x, trial.phase)
    cost = trial.attention.cost(trial.dim, trial.patches)
    return Case(step, bool(jit_setting()), cost, layer.count_params(), operations)


def _model(trial: ModelStepTrial) -> Case:
    """Builds the whole model: one optimizer step on one batch, or the predictions for it. Both return NumPy values."""
    config = trial.model
    rng = np.random.default_rng(trial.process)
    images = rng.uniform(0, 255, (trial.batch, config.image_size, config.width, config.channels)).astype("float32")
    labels = np.eye(config.classes, dtype="float32")[rng.integers(config.classes, size=trial.batch)]
    model = build_model(config)
    model.compile(
        optimizer=AdamW(1e-3, weight_decay=1e-4),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        jit_compile=jit_setting(),
    )
    if trial.phase == "train":
        model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice
        step, traced, data = model.train_on_batch, model.train_step, [images, labels]
    else:
        step, traced, data = model.predict_on_batch, model.predict_step, [images]
    operations = partial(_operations, traced, data) if keras.backend.backend() == "tensorflow" else dict
    return Case(lambda: step(*data), model.jit_compile, config.cost(), model.count_params(), operations)


def _operations(function: Callable[..., Any], data: Sequence[Any]) -> dict[str, int]:
    """Counts the operations in the graph of one call by kind, called functions included."""
    import tensorflow as tf

    traced = function if hasattr(function, "get_concrete_function") else tf.function(function)
    arguments = [tf.constant(value) for value in data]
    concrete = traced.get_concrete_function(arguments[0] if len(arguments) == 1 else tuple(arguments))
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    return dict(sorted(Counter(node.op for node in nodes).items()))


LayerStep = tuple[Callable[[], Any], Callable[[], dict[str, int]]]
"""A step of a layer alone, and what counts its operations."""


def layer_step(layer: keras.layers.Layer, x: np.ndarray, phase: Phase) -> LayerStep:
    """Makes a step of a built layer on `x`: forward, or in training the gradients of its weights and its input.

    They are those of half the sum of the output's squares, whose gradient by the output is the output: that of its sum
    is a constant, and TensorFlow would fold the step of a layer without weights into another.

    Keras offers no gradient and no compiled call of a single layer: each backend has its own step.
    """
    steps = {"tensorflow": _tensorflow_step, "jax": _jax_step, "torch": _torch_step}
    return steps[keras.backend.backend()](layer, x, phase == "train")


def _tensorflow_step(layer: keras.layers.Layer, x: np.ndarray, trains: bool) -> LayerStep:
    import tensorflow as tf

    def forward(value: Any) -> Any:
        return layer(value, training=False)

    def gradients(value: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(value)
            output = layer(value, training=True)
        return tape.gradient(output, [value, *(w.value for w in layer.trainable_weights)], output_gradients=output)

    run = tf.function(gradients if trains else forward, jit_compile=bool(jit_setting()))
    on_device = tf.constant(x)
    return lambda: run(on_device), partial(_operations, run, [x])


def _jax_step(layer: keras.layers.Layer, x: np.ndarray, trains: bool) -> LayerStep:
    import jax

    weights, state = ([w.value for w in part] for part in (layer.trainable_variables, layer.non_trainable_variables))
    on_device = jax.device_put(x)

    def forward(weights: Any, value: Any, state: Any) -> Any:
        return layer.stateless_call(weights, state, value, training=trains)[0]

    def total(weights: Any, value: Any, state: Any) -> Any:
        return (forward(weights, value, state) ** 2).sum() / 2

    run = jax.jit(jax.grad(total, argnums=(0, 1)) if trains else forward)
    return lambda: run(weights, on_device, state), dict


def _torch_step(layer: keras.layers.Layer, x: np.ndarray, trains: bool) -> LayerStep:
    import torch

    on_device = keras.ops.convert_to_tensor(x)
    if trains:
        inputs = [on_device.requires_grad_(), *(w.value for w in layer.trainable_weights)]

        def gradients() -> Any:
            output = layer(on_device, training=True)
            return torch.autograd.grad(output, inputs, grad_outputs=output.detach())

        return gradients, dict

    def forward() -> Any:
        with torch.no_grad():
            return layer(on_device, training=False)

    return forward, dict
