"""Trains and tests the model of a trial -> TrainRecord. All variants of a seed see the same batches in one order."""

import base64
import functools
import hashlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks import checkpoints, datasets, memory
from benchmarks.batches import WholeTests, batch_order, batches, split_batches
from benchmarks.checkpoints import Passed
from benchmarks.environment import Origin, configure_keras, jit_setting, observe, on_accelerator
from benchmarks.optimizer import AdamW
from benchmarks.stopwatch import synchroniser
from benchmarks.worker import DivergedError, Progress
from models.build import adapt_normalization, build_model
from results.records import ALL_CONFUSED, MOST_CONFUSED, Epoch, Predictions, TrainRecord
from results.trials import TrainConfig, TrainTrial

EVALUATION_BATCH = 256
UNEVEN = 1.5
"""Classes are uneven where the largest has more than so many times the test images of the smallest."""
SIGN_SECONDS = 10
WATCHED_STEPS = 3
"""After so many steps all that a step needs has been held at once."""


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Starts each random layer again from (seed, epoch, its place in the model).

    Keras does not save where they are: a training that goes on from a checkpoint draws so what it would have drawn.
    The variants of a seed have the same random layers before their first block, and so the same augmented images.
    """
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for place, state in enumerate(states, start=1):  # SeedSequence takes (seed, epoch, 0) for (seed, epoch)
        drawn = int(np.random.SeedSequence([seed, epoch, place]).generate_state(1)[0])
        state.assign([drawn >> 1, 0])


def fit_in_order(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    chosen: np.ndarray,
    *,
    epochs: range,
    seed: int,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **options: Any,
) -> None:
    """Fits the model to the chosen images in the order of (seed, epoch), reseeded at each epoch.

    One call of `fit` serves all epochs, on batches that are made while the step before them computes: a call per epoch
    costs more, and Keras would shuffle the batches of a `PyDataset` (docs/measurements.md).
    """
    if epochs:
        start = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: reseed(model, seed, epoch))
        model.fit(
            batches(images, labels, chosen, epochs=epochs, seed=seed, batch_size=batch_size),
            steps_per_epoch=math.ceil(len(chosen) / batch_size),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            callbacks=[start, *callbacks],
            shuffle=False,
            verbose=0,
            **options,
        )


class History(keras.callbacks.Callback):
    """Adds each epoch to those passed, with its training time apart from the validation, and hands them on.

    An epoch's step is the mean of those that compile nothing: without the first one in the first epoch of this process,
    and without a last, smaller batch, for which JAX and XLA compile once more. It may have no such step.

    `peaks` are those of the first few steps, as many whatever the number of images. There is no hook after a batch:
    Keras would wait there for the device, after every step.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        watch: memory.Watch,
        passed: Passed,
        on_epoch: Callable[[Passed], None],
    ) -> None:
        super().__init__()
        self.steps = math.ceil(images / batch_size)
        self.alike = images // batch_size or 1  # steps of one size, before a last one that may be smaller
        self.watch, self.passed, self.on_epoch = watch, passed, on_epoch
        self.synchronise = synchroniser()
        self.compiles = True
        self.peaks: memory.Peaks | None = None

    def _now(self) -> float:
        """Reads the clock once the device has computed all that it was given."""
        if sync := getattr(self.model, "jax_state_sync", None):
            sync()  # JAX's steps hand their state from one to the next, past the variables
        self.synchronise([variable.value for variable in self.model.trainable_variables])
        return time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = self.clean_since = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.compiles and batch == 1:
            self.clean_since = self._now()
        if batch == self.alike:
            self.clean_until = self._now()
        if batch and batch == min(WATCHED_STEPS, self.steps - 1):
            self._note_peaks()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Ends the epoch's training: the validation is about to begin."""
        now = self._now()
        self.train_seconds = now - self.started
        if self.alike == self.steps:
            self.clean_until = now
        self._note_peaks()

    def _note_peaks(self) -> None:
        self.peaks = self.peaks or self.watch.peaks()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(f"{name} is {value} in epoch {epoch + 1}")
        passed = Epoch(epoch=epoch + 1, train_seconds=self.train_seconds, **values)
        clean_steps = self.alike - 1 if self.compiles else self.alike
        step = ((self.clean_until - self.clean_since) / clean_steps,) if clean_steps else ()
        epochs, steps = (*self.passed.epochs, passed), (*self.passed.step_seconds, *step)
        self.passed = self.passed.model_copy(update={"epochs": epochs, "step_seconds": steps})
        self.compiles = False
        self.on_epoch(self.passed)


class Signs(keras.callbacks.Callback):
    """Reports how far an epoch is, at most every `SIGN_SECONDS`: a long one is no hang."""

    def __init__(self, steps: int, report: Callable[[int, float], None]) -> None:
        super().__init__()
        self.steps, self.report = steps, report

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.said = epoch, time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch and time.monotonic() - self.said >= SIGN_SECONDS:
            self.said = time.monotonic()
            self.report(self.epoch, batch / self.steps)


@dataclass
class Prepared:
    """What trainings share that differ only in their seed: the compiled model, and its optimizer's first values.

    They also share the `peaks` of the first of them: a process that has tested a model may still hold what that took.
    """

    watch: memory.Watch
    model: keras.Model
    optimizer: tuple[np.ndarray, ...]
    peaks: memory.Peaks | None = None


@functools.lru_cache(maxsize=1)
def read(dataset: str, data_dir: str | None, shape: datasets.DatasetShape, images_at: Path | None) -> datasets.Images:
    """Reads a training's images, once for all trainings that share its process."""
    return datasets.load(dataset, data_dir, shape) if images_at is None else datasets.saved(images_at)


@functools.lru_cache(maxsize=1)
def prepare(trial: TrainTrial, steps_per_epoch: int) -> Prepared:
    """Prepares the trainings of equal `TrainTrial.step`, whose images are read; the first of them will compile it.

    The watch over the memory begins here: all that is built later is the model's.
    """
    configure_keras(trial.precision)
    if trial.devices > 1:
        split_batches(trial.devices)
    memory.give_back()
    watch = memory.Watch()
    model = build_model(trial.model, trial.training.augmentation)
    compile_model(model, trial.training, steps_per_epoch)
    return Prepared(watch, model, tuple(keras.ops.convert_to_numpy(v.value) for v in model.optimizer.variables))


def begin(prepared: Prepared, trial: TrainTrial, images: np.ndarray) -> None:
    """Resets the optimizer, and gives the model the weights that the trial's seed draws, whatever was trained before.

    Its normalization is that of the images to train on, `(images, height, width, channels)`.

    Keras draws the seeds of its initializers from Python's generator. `keras.utils.set_random_seed` seeds that too, but
    has TensorFlow forget what it has compiled, which takes a second.
    """
    random.seed(trial.seed)
    drawn = build_model(trial.model, trial.training.augmentation)
    adapted = {id(weight) for weight in prepared.model.get_layer("normalization").weights}
    for weight, value in zip(prepared.model.weights, drawn.weights, strict=True):
        if id(weight) not in adapted:
            weight.assign(value)
    adapt_normalization(prepared.model, images)
    for variable, first in zip(prepared.model.optimizer.variables, prepared.optimizer, strict=True):
        variable.assign(first)


def train(
    trial: TrainTrial,
    origin: Origin,
    checkpoint: Path,
    report: Callable[[Progress], None],
    images_at: Path | None = None,
) -> TrainRecord:
    """Trains and tests the trial's model in this process, and goes on from `checkpoint` if that exists.

    The images are those that `datasets.save` has put `images_at`, if that is given, or else the trial's own.
    A step that an earlier training of equal `TrainTrial.step` has compiled here is used again; the result is the same.
    The checkpoint is replaced after each epoch and stays behind: it can go once the record is safe.
    Raises `DivergedError` and `datasets.DataError`.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    held = memory.held_model(trial.model, trial.precision, "train").cost()
    shared_by = trial.devices if on_accelerator() else 1  # the devices of a processor have one memory
    settings = trial.training
    memory.require(held, settings.batch_size // shared_by, "train", trial.precision)
    data = read(trial.dataset, trial.data_dir, datasets.shape_of(trial.model), images_at)
    sha256, content_sha256 = data.sha256, data.content_sha256
    data = datasets.for_seed(data, trial.seed, trial.test_folds)
    one_hot = np.eye(data.classes, dtype="float32")
    chosen, validation = datasets.split(data, trial.seed, settings.validation_split, settings.train_share)
    labels = one_hot[data.train_labels]
    steps_per_epoch = math.ceil(len(chosen) / settings.batch_size)
    prepared = prepare(trial.step, steps_per_epoch)  # after all that is not the model's memory
    begin(prepared, trial, data.train_images)
    model = prepared.model
    environment = observe(origin, trial.precision, started, model.jit_compile)
    restored = checkpoints.restore(checkpoint, model, Passed(environment=environment, dataset_sha256=sha256))
    resumed = len(restored.epochs)

    def report_last(passed: Passed) -> None:
        last = passed.epochs[-1]
        report(Progress(last.epoch, settings.epochs, last.loss, last.val_top1, resumed))

    def keep(passed: Passed) -> None:
        checkpoints.save(checkpoint, model, passed)
        report_last(passed)

    if resumed:
        report_last(restored)
    whole = [WholeTests()] if trial.devices > 1 else []
    history = History(len(chosen), settings.batch_size, prepared.watch, restored, keep)
    signs = Signs(
        history.steps, lambda epoch, part: report(Progress(epoch, settings.epochs, resumed=resumed, part=part))
    )
    fit_in_order(
        model,
        data.train_images,
        labels,
        chosen,
        epochs=range(resumed, settings.epochs),
        seed=trial.seed,
        batch_size=settings.batch_size,
        callbacks=[history, signs, *whole],
        validation_data=(data.train_images[validation], labels[validation]),
        validation_batch_size=EVALUATION_BATCH,
    )
    peaks = prepared.peaks = prepared.peaks or history.peaks or memory.Peaks(0, None)
    test = model.evaluate(
        data.test_images,
        one_hot[data.test_labels],
        batch_size=EVALUATION_BATCH,
        callbacks=whole,
        verbose=0,
        return_dict=True,
    )
    probabilities = model.predict(data.test_images, EVALUATION_BATCH, verbose=0, callbacks=whole)
    predicted = np.argmax(probabilities, axis=1)
    right = predicted == data.test_labels
    return TrainRecord(
        trial_id=trial.trial_id,
        trial=trial.model_copy(update={"data_dir": None}),
        dataset_sha256=sha256,
        dataset_content_sha256=content_sha256,
        batch_order_sha256=_order_sha256(trial, len(chosen)),
        train_images=len(chosen),
        validation_images=validation.stop - validation.start,
        test_images=len(data.test_images),
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        multiply_adds=trial.model.cost().multiply_adds if trial.model.attention.tells_cost else None,
        epochs=history.passed.epochs,
        interrupted_after=history.passed.interrupted_after,
        interrupted_in=history.passed.interrupted_in,
        metrics={"top1": test["top1"], "top5": test["top5"], "test_loss": test["loss"]} | of_images(right, data),
        predictions=predictions(predicted, data, tells_counts=trial.test_folds > 0),
        train_step_seconds=float(np.median(steps)) if (steps := history.passed.step_seconds) else None,
        baseline_memory_bytes=prepared.watch.baseline_bytes,
        peak_memory_bytes=peaks.resident_bytes,
        device_peak_memory_bytes=peaks.device_bytes,
        environment=environment,
    )


def of_images(right: np.ndarray, data: datasets.Images) -> dict[str, float]:
    """Returns the metrics that some test sets need, by whether each image is right: balanced top-1 where the classes
    are uneven, and top-1 on images that are not trained on where some are."""
    found = {}
    by_class = [right[data.test_labels == label] for label in range(data.classes)]
    counts = [len(of_class) for of_class in by_class]
    if max(counts) > UNEVEN * min(counts):
        found["balanced_top1"] = float(np.mean([of_class.mean() for of_class in by_class]))
    if (duplicates := data.duplicates).any() and not duplicates.all():
        found["new_top1"] = float(right[~duplicates].mean())
    return found


def predictions(predicted: np.ndarray, data: datasets.Images, *, tells_counts: bool) -> Predictions:
    """Returns what a model takes the test images for, with the test images of each class where they are the seed's."""
    right = predicted == data.test_labels
    taken = Counter(zip(data.test_labels[~right].tolist(), predicted[~right].tolist(), strict=True))
    pairs = sorted(taken.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = pairs if data.classes <= ALL_CONFUSED else pairs[:MOST_CONFUSED]
    return Predictions(
        right=base64.b64encode(np.packbits(right).tobytes()).decode(),
        images_by_class=tuple(np.bincount(data.test_labels, minlength=data.classes).tolist()) if tells_counts else None,
        right_by_class=tuple(np.bincount(data.test_labels[right], minlength=data.classes).tolist()),
        confused=tuple((*pair, count) for pair, count in shown),
    )


def compile_model(model: keras.Model, training: TrainConfig, steps_per_epoch: int) -> None:
    """Compiles the model with the tutorial's optimizer, loss and metrics, ready for its first step."""
    model.compile(
        optimizer=AdamW(learning_rate(training, steps_per_epoch), training.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="top1"),
            keras.metrics.TopKCategoricalAccuracy(min(5, model.output_shape[-1]), name="top5"),
        ],
        jit_compile=jit_setting(),
    )
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice


def learning_rate(
    training: TrainConfig, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate, or its schedule over all steps of the training."""
    if training.schedule == "constant":
        return training.learning_rate
    steps = training.epochs * steps_per_epoch
    warmup = steps // 10
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=training.learning_rate, warmup_steps=warmup
    )


def _order_sha256(trial: TrainTrial, images: int) -> str:
    """Hashes the order of the training images over all epochs."""
    digest = hashlib.sha256()
    for epoch in range(trial.training.epochs):
        digest.update(batch_order(trial.seed, epoch, images).astype("<i8").tobytes())
    return digest.hexdigest()
