"""One trial: frozen settings, an id that is the hash of everything that can change its result, and what has to agree
for results to be averaged. The same object goes from the suite's file through the worker and the record to the page."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from models.config import AttentionConfig, Count, ModelConfig, Rate, Settings

Backend = Literal["tensorflow", "jax", "torch"]
Precision = Literal["float32", "mixed_bfloat16"]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$")]
"""Of letters that can be printed."""
SuiteName = Annotated[str, Field(pattern=r"^[^./\\\p{C}\p{Zl}\p{Zp}][^/\\\p{C}\p{Zl}\p{Zp}]{0,49}$")]
"""A suite's table is a file of its name, which has 255 bytes at most."""
Value = str | bool | int | float | None
"""A setting's."""
Cell = Annotated[
    tuple[tuple[Name, Value], ...],
    BeforeValidator(lambda given: tuple(given.items()) if isinstance(given, Mapping) else given),
    PlainSerializer(dict),
]
"""A cell of a grid, setting -> value: hashable, and an object in JSON."""
Conditions = tuple[tuple[str, Value], ...]
"""Every setting and property that two results must share to be averaged, by name."""


class TrainConfig(Settings):
    """How a model is trained. Every variant of a comparison gets the same one.

    A setting that was added later is left out of what is written while it has its default, so that the ids of earlier
    trials stay what they are (`exclude_if`).

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

    suite: SuiteName
    variant: Name
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
    def trial_id(self) -> str:
        """The case in words and the hash of all that can change the result (so neither suite nor data folder)."""
        content = self.model_dump(mode="json", exclude={"suite", "grid", "data_dir"})
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self._case()}-{digest[:12]}"

    def _conditions(self, *names: str) -> Conditions:
        return tuple(sorted(_flat({name: getattr(self, name) for name in names}).items()))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Nested settings as one level of dotted names, those of the model and of the training without a prefix."""
    found: dict[str, Value] = {}
    for name, value in settings.items():
        if isinstance(value, BaseModel):
            found |= _flat(dict(value), "" if name in ("model", "training") else f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


class TrainTrial(_Trial):
    """Trains one variant once; `seed` fixes its weights, its random layers and the order of its batches.

    `grid` tells, for people, which settings its suite's grid gave it; they are in `model` and `training` too, or are
    its precision. With `devices` more than 1 its batches are split over as many (`benchmarks.batches`).
    """

    kind: Literal["train"] = "train"
    protocol: Annotated[int, Field(ge=1, le=3)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    dataset: Name
    data_dir: str | None = None
    devices: Annotated[Count, Field(exclude_if=lambda count: count == 1)] = 1
    grid: Cell = ()
    model: ModelConfig
    training: TrainConfig

    @property
    def conditions(self) -> Conditions:
        """What trainings have to share to be averaged over their seeds, their variant and their data apart."""
        return self._conditions("backend", "precision", "protocol", "dataset", "devices", "model", "training")

    @property
    def recipe(self) -> Conditions:
        """What different models have to share to have been trained alike, their data apart."""
        return self._conditions("backend", "precision", "protocol", "dataset", "devices", "training")

    @property
    def step(self) -> str:
        """All that its compiled step depends on, as the JSON of a trial: where it is equal, the step can be shared."""
        return self.model_copy(update={"suite": "", "variant": "", "grid": (), "seed": 0}).model_dump_json()

    @property
    def label(self) -> str:
        """With the settings of its suite's grid, which tell it from its neighbours."""
        return " ".join([super().label, *(f"{name}={value}" for name, value in self.grid)])

    def _case(self) -> str:
        return f"train-{self.variant}-{self.dataset}-seed{self.seed}"


class _StepTimeTrial(_Trial):
    """Times the steps of one case in one fresh process: at least `steps` steps and at least `seconds` seconds."""

    kind: Literal["steptime"] = "steptime"
    protocol: Annotated[int, Field(ge=1, le=2)] = 2
    phase: Literal["train", "infer"]
    patches: Count
    batch: Count
    process: Annotated[int, Field(ge=0, lt=2**63)]
    steps: Count
    seconds: Annotated[float, Field(ge=0)]


CURVE = ("backend", "precision", "protocol", "batch", "steps", "seconds")
"""What the points of a curve share, whatever is timed."""


class CoreStepTrial(_StepTimeTrial):
    """The attention layer alone, on `(batch, patches, dim)`."""

    scope: Literal["core"] = "core"
    dim: Count
    attention: Annotated[AttentionConfig, Field(discriminator="kind")]

    @property
    def conditions(self) -> Conditions:
        """What the points of a curve have to share, and a point's processes besides its number of patches."""
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
        """What the points of a curve have to share: the model but for its images, which make its number of patches."""
        return tuple((name, value) for name, value in self._conditions(*CURVE, "model") if name != "image_size")

    def _case(self) -> str:
        return f"model-{self.phase}-{self.variant}-n{self.patches}-process{self.process}"


StepTimeTrial = CoreStepTrial | ModelStepTrial
Trial = TrainTrial | CoreStepTrial | ModelStepTrial
