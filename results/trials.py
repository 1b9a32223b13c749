"""Defines a trial: frozen settings, an id that hashes all that can change its result, and the conditions for averaging.

The same object goes from the suite's file through the worker and the record to the page.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from models.attentions.attention import Attention
from models.config import AttentionConfig, Chosen, Count, ModelConfig, Rate, Settings
from models.config import Name as Name
from models.config import Value as Value

Backend = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "mixed_bfloat16"]
Positive = Annotated[float, Field(gt=0)]
SuiteName = Annotated[str, Field(pattern=r"^[^./\\\p{C}\p{Zl}\p{Zp}][^/\\\p{C}\p{Zl}\p{Zp}]{0,49}$")]
"""A suite's name: its table is a file of that name, which has 255 bytes at most."""
Conditions = tuple[tuple[str, Value], ...]
"""The settings, by name, that have to be equal in results that are averaged."""


class TrainConfig(Settings):
    """How a model is trained. Every variant of a comparison gets the same one.

    `schedule` "warmup_cosine" rises linearly over the first tenth of the steps and then falls as a cosine to 0;
    "constant" is the tutorial's. The optimizer is AdamW, the loss categorical cross-entropy. The validation images are
    the last `validation_split` of the training set, as in the tutorial. `train_share` is the fraction of the others
    that is trained on, drawn by the seed.

    A setting that was added later is not written at its default (`exclude_if`): the ids of earlier trials stay.
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
    """Base of the trials. Raise `protocol` when a change of the code makes earlier results of its kind incomparable."""

    suite: SuiteName
    variant: Name
    backend: Backend
    precision: Precision

    def _case(self) -> str:
        """Names the trial within its kind, for people."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The trial's name in progress messages."""
        return f"{self.suite} {self._case()}"

    @property
    def trial_id(self) -> str:
        """The case in words and the hash of all that can change the result, as no suite's or data folder's name can."""
        content = self.model_dump(mode="json", exclude={"suite", "grid", "data_dir", "data_name"})
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self._case()}-{digest[:12]}"

    def _conditions(self, *names: str) -> Conditions:
        return tuple(sorted(_flat({name: getattr(self, name) for name in names}).items()))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Returns nested settings as one level of dotted names; those of the model and of the training have no prefix."""
    found: dict[str, Value] = {}
    for name, value in settings.items():
        if isinstance(value, BaseModel):
            parts = value.compared if isinstance(value, Attention) else dict(value)
            found |= _flat(parts, "" if name in ("model", "training") else f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


ALIKE = ("backend", "precision", "protocol", "dataset", "devices", "test_folds")
"""Settings that are equal in all trainings that are compared, whatever they vary."""


class TrainTrial(_Trial):
    """Trains one variant once; `seed` fixes its weights, its random layers and the order of its batches.

    `grid` names, for people, the settings that its suite's grid gave it; `model`, `training` or `precision` hold them
    too. `data_name` is what people call images of their own. `images`, those of its training set, are for its estimate,
    and in no record. With `devices` above 1 its batches are split over as many (`benchmarks.batches`). With
    `test_folds` the seed draws the test set, one of as many parts of all images; at 0 the dataset has its own.
    """

    kind: Literal["train"] = "train"
    protocol: Annotated[int, Field(ge=1, le=4)] = 4
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    dataset: Name
    data_dir: str | None = None
    data_name: Annotated[Name | None, Field(exclude_if=lambda name: name is None)] = None
    images: Annotated[Count | None, Field(exclude=True, repr=False)] = None
    devices: Annotated[Count, Field(exclude_if=lambda count: count == 1)] = 1
    test_folds: Annotated[Literal[0] | Annotated[int, Field(ge=2)], Field(exclude_if=lambda folds: folds == 0)] = 0
    grid: Chosen = ()
    model: ModelConfig
    training: TrainConfig

    @property
    def attention(self) -> AttentionConfig:
        return self.model.attention

    @property
    def conditions(self) -> Conditions:
        """The settings, besides variant and data, that are equal in trainings averaged over their seeds."""
        return self._conditions(*ALIKE, "model", "training")

    @property
    def recipe(self) -> Conditions:
        """The settings, besides data, that are equal where different models were trained alike."""
        return self._conditions(*ALIKE, "training")

    @property
    def step(self) -> "TrainTrial":
        """The trial without what its compiled step does not depend on: trainings with equal ones can share the step."""
        return self.model_copy(update={"suite": "any", "variant": "any", "grid": (), "seed": 0})

    @property
    def label(self) -> str:
        """The name with the settings of its suite's grid, which distinguish it from its neighbours."""
        return " ".join([super().label, *(f"{name}={value}" for name, value in self.grid)])

    def _case(self) -> str:
        return f"train-{self.variant}-{self.dataset}-seed{self.seed}"


class _StepTimeTrial(_Trial):
    """Times the steps of one case in one fresh process: at least `steps` steps and at least `seconds` seconds."""

    kind: Literal["steptime"] = "steptime"
    protocol: Annotated[int, Field(ge=1, le=4)] = 4
    phase: Literal["train", "infer"]
    patches: Count
    batch: Count
    process: Annotated[int, Field(ge=0, lt=2**63)]
    steps: Count
    seconds: Annotated[float, Field(ge=0)]


CURVE = ("backend", "precision", "protocol", "batch", "steps", "seconds")
"""Settings that are equal at all points of a curve, whatever is timed."""


class CoreStepTrial(_StepTimeTrial):
    """The attention layer alone, on `(batch, patches, dim)`."""

    scope: Literal["core"] = "core"
    dim: Count
    attention: Annotated[AttentionConfig, Field(discriminator="kind")]

    @property
    def conditions(self) -> Conditions:
        """The settings that are equal at all points of a curve."""
        return self._conditions(*CURVE, "dim", "attention")

    def _case(self) -> str:
        return f"core-{self.phase}-{self.variant}-n{self.patches}-process{self.process}"


class ModelStepTrial(_StepTimeTrial):
    """The whole model, on images of `patches` patches."""

    scope: Literal["model"] = "model"
    model: ModelConfig

    @property
    def attention(self) -> AttentionConfig:
        return self.model.attention

    @property
    def conditions(self) -> Conditions:
        """The settings that are equal at all points: all except the images' size, which sets the number of patches."""
        return tuple(
            (name, value)
            for name, value in self._conditions(*CURVE, "model")
            if name not in ("image_size", "image_width")
        )

    def _case(self) -> str:
        return f"model-{self.phase}-{self.variant}-n{self.patches}-process{self.process}"


StepTimeTrial = CoreStepTrial | ModelStepTrial
Trial = TrainTrial | CoreStepTrial | ModelStepTrial
