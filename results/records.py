"""What was measured: one frozen, validated record per trial. Units are in the names; nothing here imports Keras."""

import operator
import statistics
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from results.fields import Bytes, Count, Frozen, Loss, Positive, Seconds, Share
from results.metrics import METRICS, MetricName
from results.trials import CoreStepTrial, ModelStepTrial, Name, SuiteName, TrainTrial

Settings = dict[str, Any]
StepTimeTrial = Annotated[CoreStepTrial | ModelStepTrial, Field(discriminator="scope")]
AnyTrial = Annotated[TrainTrial | StepTimeTrial, Field(discriminator="kind")]


class Environment(Frozen):
    """Where a trial ran: enough to tell whether two step times may be compared. `node` names a cluster's.

    `process` names the process that ran it, the unit of repetition of times and memory: trainings that share their
    compiled step share it too. Records from before version 3 do not name it.
    """

    commit: str | None
    dirty: bool | None
    command: str
    started: str
    python: str
    versions: dict[str, str]
    backend: str
    jit: bool
    precision: str
    device: str
    cpu: str
    threads: Positive
    memory_bytes: Positive
    node: Annotated[str | None, Field(exclude_if=lambda node: node is None)] = None
    process: Annotated[Name | None, Field(exclude_if=lambda process: process is None)] = None


class Epoch(Frozen):
    """One epoch of training; top-1 and top-5 are shares from 0 to 1. `train_seconds` excludes the validation."""

    epoch: Count
    train_seconds: Seconds
    loss: Loss
    top1: Share
    top5: Share
    val_loss: Loss
    val_top1: Share
    val_top5: Share


class Record(Frozen):
    """What every outcome of a trial carries: the trial itself, without where a machine had the data, and its id."""

    schema_version: Literal[4] = 4
    checksum: Annotated[str | None, Field(exclude=True, repr=False)] = None
    trial_id: Name
    trial: AnyTrial

    @property
    def suite(self) -> str:
        return self.trial.suite

    @property
    def variant(self) -> str:
        return self.trial.variant


class Predictions(Frozen):
    """What a trained model takes the test images for, which a record has since version 4 came to tell it.

    `right` has a bit for each test image in the dataset's order, the first one the highest of the first byte, in
    base64. `images_by_class` counts the test images of each class where the seed drew them; else they are the
    dataset's. `right_by_class` counts those that it gets right, `confused` those of one class, the
    first, that it takes for another: of more than `ALL_CONFUSED` classes the `MOST_CONFUSED` pairs with most images.
    """

    right: str
    images_by_class: Annotated[tuple[Count, ...] | None, Field(exclude_if=lambda counts: counts is None)] = None
    right_by_class: tuple[Count, ...]
    confused: tuple[tuple[Count, Count, Positive], ...]


ALL_CONFUSED, MOST_CONFUSED = 20, 100


class TrainRecord(Record):
    """One training: its history, and its test result, measured once after the last epoch.

    `metrics` are the test result, by the names of `results.metrics`; one from before a metric was described lacks it.
    `multiply_adds` is the closed form of one image, forward, None where an attention of a user's file does not tell its
    cost. `train_step_seconds` is the median over the epochs of an epoch's mean step, with input and metrics and without
    a step that compiles; None where there was no other. The losses hold the label smoothing of the training. Where the
    training was interrupted and went on from its checkpoint, `interrupted_after` names the epochs after which, and
    `interrupted_in` where; `environment` is that of the last process, and so are the peaks of memory, which are those
    of `StepTimeRecord`: those of the process's first few steps, without the images. Records from before version 3 had
    measured them with the images, and have none.

    `dataset_sha256` is of the images in their order, which decides which of them validate; `dataset_content_sha256` is
    of the same in whatever order, and None in records from before it was told.
    """

    kind: Literal["train"] = "train"
    trial: TrainTrial
    dataset_sha256: str
    dataset_content_sha256: str | None = None
    batch_order_sha256: str
    train_images: Positive
    validation_images: Positive
    test_images: Positive
    parameters: Positive
    multiply_adds: Count | None
    epochs: Annotated[tuple[Epoch, ...], Field(min_length=1)]
    interrupted_after: tuple[int, ...] = ()
    interrupted_in: tuple[Environment, ...] = ()
    metrics: Annotated[dict[MetricName, Loss], Field(min_length=1)]
    predictions: Annotated[Predictions | None, Field(exclude_if=lambda predictions: predictions is None)] = None
    train_step_seconds: Seconds | None
    baseline_memory_bytes: Bytes | None
    peak_memory_bytes: Bytes | None
    device_peak_memory_bytes: Bytes | None
    environment: Environment

    @property
    def seed(self) -> int:
        return self.trial.seed

    @property
    def dataset(self) -> str:
        return self.trial.data_name or self.trial.dataset

    @property
    def patches(self) -> int:
        return self.trial.model.patches

    @property
    def step_memory_bytes(self) -> int | None:
        """Peak memory of the training step: the allocator's own where it tells, else the resident size over the
        baseline."""
        return self.device_peak_memory_bytes or self.peak_memory_bytes or None

    @model_validator(mode="after")
    def _interruptions_have_a_place(self) -> "TrainRecord":
        if len(self.interrupted_after) != len(self.interrupted_in):
            raise ValueError("interrupted_after and interrupted_in are of different lengths")
        return self

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "TrainRecord":
        if "top1" not in self.metrics:
            raise ValueError("metrics: has no top1")
        for name, value in self.metrics.items():
            if METRICS[name].unit == "%" and value > 1:
                raise ValueError(f"{name} is {value}, and a share is at most 1")
        return self

    @model_validator(mode="after")
    def _predictions_are_of_the_test_images(self) -> "TrainRecord":
        told = self.predictions
        if told is None:
            return self
        right, of_class = b64decode(told.right, validate=True), (told.right_by_class, told.images_by_class)
        if len(right) != -(-self.test_images // 8):
            raise ValueError("predictions: right has not a bit for each test image")
        labels = {label for *pair, _ in told.confused for label in pair}
        if (
            any(len(counts) != self.trial.model.classes for counts in of_class if counts)
            or max(labels, default=0) >= self.trial.model.classes
        ):
            raise ValueError(f"predictions: not of {self.trial.model.classes} classes")
        count = int.from_bytes(right).bit_count()
        if count != sum(told.right_by_class) or abs(count - self.metrics["top1"] * self.test_images) > 0.5:
            raise ValueError("predictions: right, right_by_class and top1 differ in how many images are right")
        if told.images_by_class and (
            sum(told.images_by_class) != self.test_images
            or any(map(operator.gt, told.right_by_class, told.images_by_class))
        ):
            raise ValueError("predictions: images_by_class are not the test images")
        return self


class StepTimeRecord(Record):
    """One case of step time in one process: every timed step in `samples_seconds`, warm-up and compilation apart.

    `scope` "core" is the attention layer alone (train: forward and backward), "model" the whole model (train: one
    optimiser step). `multiply_adds` is the closed form of one image, forward, whatever the phase.
    `activation_bytes` is the closed form of what the step holds at once (`models.cost`). Both are None where an
    attention of a user's file does not tell its cost.
    `peak_memory_bytes` is the largest resident size of the process over its baseline, which is its size once the
    libraries are imported and the backend has started; `device_peak_memory_bytes` is the most that the backend's own
    allocator has handed out at once, on the host or an accelerator, or None where it does not tell.
    `taken_cpu_share` is how much of the processors that it needs others took while its steps were timed, None on an
    accelerator and in records from before it was measured.
    """

    kind: Literal["steptime"] = "steptime"
    trial: StepTimeTrial
    multiply_adds: Count | None
    activation_bytes: Positive | None
    compile_seconds: Seconds
    warmup_seconds: tuple[Seconds, ...]
    samples_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    taken_cpu_share: Annotated[Share | None, Field(exclude_if=lambda share: share is None)] = None
    baseline_memory_bytes: Bytes
    peak_memory_bytes: Bytes
    device_peak_memory_bytes: Bytes | None
    environment: Environment

    @property
    def scope(self) -> str:
        return self.trial.scope

    @property
    def phase(self) -> str:
        return self.trial.phase

    @property
    def patches(self) -> int:
        return self.trial.patches

    @property
    def batch(self) -> int:
        return self.trial.batch

    @property
    def process(self) -> int:
        """Which of its case's processes it was, from 0."""
        return self.trial.process

    @property
    def step_seconds(self) -> float:
        """Median of its steps."""
        return statistics.median(self.samples_seconds)


class Failure(Record):
    """A trial that gave no result, why, and the last lines it printed. It is tried again next time.

    `status` is "skipped" (it was not started, for it needs more memory than is free), "failed" (it raised), "diverged"
    (its loss was no longer a number), "oom" (out of memory), "timeout", "signal N" or "exit N" (how its process ended).
    """

    kind: Literal["failure"] = "failure"
    status: str
    reason: str
    log_tail: str


class PlannedVariant(Frozen):
    """A variant that a suite makes of a preset: its name for people, and the settings that make it."""

    title: str
    preset: str
    settings: Settings


class PlannedSuite(Frozen):
    """What a run was asked to do for one suite.

    `grid` names the settings in which its trials differ, `base` their values that the others are held against, and
    `background` says what a reader should know of them. `own` holds the variants that the suite makes itself,
    `base_variant` names the one that the others are compared with, and `metric` by what. In a `tuned` suite each seed
    of a variant chooses its cell of the grid by the validation images, and these are compared.

    Up to `margin`, a fraction of the test images, two models count as equally accurate; None in plans from before one
    was declared. `seeds` is how many it trains with. `looked_at` holds how many it had been trained with when its page
    was there and more were added.
    """

    question: str
    background: str = ""
    grid: tuple[str, ...] = ()
    base: Settings = Field(default_factory=dict)
    own: dict[str, PlannedVariant] = Field(default_factory=dict)
    base_variant: str | None = "vit"
    metric: MetricName = "top1"
    margin: Annotated[Annotated[Share, Field(gt=0)] | None, Field(exclude_if=lambda margin: margin is None)] = None
    tuned: Annotated[bool, Field(exclude_if=lambda tuned: not tuned)] = False
    seeds: Annotated[Count | None, Field(exclude_if=lambda seeds: seeds is None)] = None
    looked_at: Annotated[tuple[Count, ...], Field(max_length=100, exclude_if=lambda looks: not looks)] = ()
    trial_ids: tuple[str, ...]

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, given: Any) -> Any:
        return _without(given, "draw")


class ImagesOfRun(Frozen):
    """What a run found of a dataset's images, of `(height, width, channels)`: its `classes` by name, with their images.

    `duplicates` counts the test images that are training images as well, pixel by pixel.
    """

    name: Name
    sha256: str
    height: Positive
    width: Positive
    channels: Positive
    classes: tuple[Name, ...]
    train_counts: tuple[Count, ...]
    test_counts: tuple[Count, ...]
    duplicates: Count


class RunPlan(Frozen):
    """What a run's folder was asked for, by the latest command and those before it.

    `notes` are what the command found that a reader of the results should know, `images` what it trained on.
    """

    schema_version: Literal[1] = 1
    profile: str
    command: str
    suites: dict[SuiteName, PlannedSuite]
    notes: Annotated[tuple[str, ...], Field(exclude_if=lambda notes: not notes)] = ()
    images: Annotated[tuple[ImagesOfRun, ...], Field(exclude_if=lambda images: not images)] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, given: Any) -> Any:
        return _without(given, "tutorial_parameters")


def _without(given: Any, name: str) -> Any:
    """What an earlier version wrote, without what nothing reads any more."""
    return {key: value for key, value in given.items() if key != name} if isinstance(given, Mapping) else given


Result = TrainRecord | StepTimeRecord
"""What a trial has given; the alternative is a `Failure`."""
AnyRecord = Annotated[Result | Failure, Field(discriminator="kind")]
RECORD: TypeAdapter[Result | Failure] = TypeAdapter(AnyRecord)
"""Reads a record of any kind: `RECORD.validate_python(upgrade(content))`."""

OF_THE_TRIAL = {"settings", "suite", "variant", "seed", "dataset", "patches", "scope", "phase", "batch", "process"}
"""Fields of records before version 4 that their trial holds."""
TEST = {"test_top1": "top1", "test_top5": "top5", "test_loss": "test_loss"}
"""Fields of records before version 4 -> the metrics that they are."""
DROPPED = {"moved_bytes"}
"""Fields of records before version 4 that nothing reads any more."""


def upgrade(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's JSON of any version, as one of the newest. What cannot be one is left for the reader to refuse.

    Version 1 had no checksum in its file. Version 3 came to name the process. Before it the memory of a training held
    its images, and its step a compilation where an epoch had but one step: neither is the model's, and both are left
    out. Before version 4 a record held its trial as a dictionary, parts of it beside it, and each metric
    as a field of its own.
    """
    version, settings = record.get("schema_version", 1), record.get("settings")
    if version not in (1, 2, 3) or not isinstance(settings, Mapping):
        return dict(record)
    kept = {name: value for name, value in record.items() if name not in {*OF_THE_TRIAL, *TEST, *DROPPED}}
    trial = {"protocol": 1} | {name: value for name, value in settings.items() if name != "data_dir"}
    if record.get("kind") == "train":
        kept["metrics"] = {metric: record[name] for name, metric in TEST.items() if name in record}
    if record.get("kind") == "train" and version < 3:
        kept |= dict.fromkeys(("baseline_memory_bytes", "peak_memory_bytes", "device_peak_memory_bytes"))
        match settings, record:
            case ({"training": {"batch_size": int(batch)}}, {"train_images": int(images), "epochs": [*epochs]}):
                if images <= batch and len(epochs) < 3:
                    kept["train_step_seconds"] = None
    return kept | {"schema_version": 4, "trial": trial}
