"""One trial: frozen settings, and an id that is the hash of everything that can change its result."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from models.config import AttentionConfig, Count, ModelConfig, Rate, Settings

Backend = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "mixed_bfloat16"]
Positive = Annotated[float, Field(gt=0)]


class TrainConfig(Settings):
    """How a model is trained. Every variant of a comparison gets the same one.

    A setting that was added later is left out of what is written while it has its default, so that the ids of earlier
    trials stay what they are (`exclude_if`); `report.conditions` knows the default.

    `schedule` "warmup_cosine" rises linearly over the first tenth of the steps and then falls as a cosine to 0;
    "constant" is the tutorial's. The optimizer is AdamW, the loss categorical cross-entropy. The validation images
    are the last `validation_split` of the training set, as the tutorial takes them. Of the others `train_share` are
    trained on, drawn by the seed.
    """

    augmentation: Literal["tutorial", "corrected", "digits", "none"]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    schedule: Literal["constant", "warmup_cosine"]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Rate
    validation_split: Annotated[float, Field(ge=0.01, le=0.9)]
    train_share: Annotated[float, Field(gt=0, le=1, exclude_if=lambda share: share == 1)] = 1.0


class _Trial(Settings):
    """`protocol` is to be raised when a change of the code makes earlier results of its kind incomparable."""

    suite: str
    variant: str
    backend: Backend
    precision: Precision

    def _case(self) -> str:
        """Names the trial within its kind, for people."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The trial as its progress names it."""
        return f"{self.suite} {self._case()}"

    @property
    def recorded(self) -> dict[str, Any]:
        """The trial as its record holds it: without where this machine has the data."""
        return self.model_dump(mode="json", exclude={"data_dir"})

    @property
    def trial_id(self) -> str:
        """The case in words and the hash of all that can change the result (so neither suite nor data folder)."""
        content = self.model_dump(mode="json", exclude={"suite", "grid", "data_dir"})
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self._case()}-{digest[:12]}"


class TrainTrial(_Trial):
    """Trains one variant once; `seed` fixes its weights, its random layers and the order of its batches.

    `grid` tells, for people, which settings its suite's grid gave it; they are in `model` and `training` too, or are
    its precision. With `devices` more than 1 its batches are split over as many (`benchmarks.batches`).
    """

    kind: Literal["train"] = "train"
    protocol: Literal[3] = 3
    seed: Annotated[int, Field(ge=0)]
    dataset: str
    data_dir: str | None = None
    devices: Annotated[Count, Field(exclude_if=lambda count: count == 1)] = 1
    grid: dict[str, Any] = Field(default_factory=dict)
    model: ModelConfig
    training: TrainConfig

    @property
    def step(self) -> str:
        """All that its compiled step depends on, as the JSON of a trial: where it is equal, the step can be shared."""
        return self.model_copy(update={"suite": "", "variant": "", "grid": {}, "seed": 0}).model_dump_json()

    @property
    def label(self) -> str:
        """With the settings of its suite's grid, which tell it from its neighbours."""
        return " ".join([super().label, *(f"{name}={value}" for name, value in self.grid.items())])

    def _case(self) -> str:
        return f"train-{self.variant}-{self.dataset}-seed{self.seed}"


class _StepTimeTrial(_Trial):
    """Times the steps of one case in one fresh process: at least `steps` steps and at least `seconds` seconds."""

    kind: Literal["steptime"] = "steptime"
    protocol: Literal[2] = 2
    phase: Literal["train", "infer"]
    patches: Count
    batch: Count
    process: Annotated[int, Field(ge=0)]
    steps: Count
    seconds: Annotated[float, Field(ge=0)]


class CoreStepTrial(_StepTimeTrial):
    """The attention layer alone, on `(batch, patches, dim)`."""

    scope: Literal["core"] = "core"
    dim: Count
    attention: Annotated[AttentionConfig, Field(discriminator="kind")]

    def _case(self) -> str:
        return f"core-{self.phase}-{self.variant}-n{self.patches}-process{self.process}"


class ModelStepTrial(_StepTimeTrial):
    """The whole model, on images of `patches` patches."""

    scope: Literal["model"] = "model"
    model: ModelConfig

    def _case(self) -> str:
        return f"model-{self.phase}-{self.variant}-n{self.patches}-process{self.process}"


class PeakTrial(_Trial):
    """Measures what the machine can do at most: multiply-adds and bytes a second (`benchmarks.peak`)."""

    kind: Literal["peak"] = "peak"
    variant: str = "machine"
    protocol: Literal[1] = 1
    process: Annotated[int, Field(ge=0)]
    steps: Count = 5
    seconds: Annotated[float, Field(ge=0)] = 0.5

    def _case(self) -> str:
        return f"peak-process{self.process}"


StepTimeTrial = CoreStepTrial | ModelStepTrial
Trial = TrainTrial | CoreStepTrial | ModelStepTrial | PeakTrial


class DivergedError(Exception):
    """A training's loss is no longer a number; the message names the epoch."""


@dataclass(frozen=True)
class Progress:
    """How far a training trial is, after an epoch of `epochs`; `resumed` of them came from a checkpoint."""

    epoch: int
    epochs: int
    loss: float
    val_top1: float
    resumed: int = 0
