"""Suites and profiles as TOML describes them: read, validated, and complained about by file and key. No Keras."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from benchmarks.inputs import InputError, hint, one_of
from models.config import ATTENTIONS, VARIANTS, Count, ModelConfig, Settings
from results.metrics import MetricName
from results.trials import Precision, TrainConfig

HERE = Path(__file__).parent
NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
LARGEST_BYTES = 2**20
RESERVED = {"costs"}
"""Names of the page's own parts, which no suite may take."""
FROM_THE_DATA = {"image_size", "image_width", "channels", "classes", "grid_rows"}
SHARED = {*ModelConfig.model_fields, *TrainConfig.model_fields, "precision"}
"""What all variants of a comparison have in common: they differ in their attention alone."""


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()}: no setting is true or false")
    return value


def _each_once(values: Sequence[Any]) -> Sequence[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is there twice")
    return values


EACH_ONCE = AfterValidator(_each_once)
_MODELS: tuple[type[Settings], ...] = (*ATTENTIONS.values(), ModelConfig, TrainConfig)
_TYPES: dict[str, Any] = {
    name: Annotated[field.annotation, BeforeValidator(_no_bool), *field.metadata]
    for model in _MODELS
    for name, field in model.model_fields.items()
    if name not in {"kind", "attention", *FROM_THE_DATA}
}
SETTINGS = sorted(_TYPES)
"""Every name that `--set` may give; `--precision`, which suites and profiles may give besides, is an option."""
_TYPES["precision"] = Annotated[Precision, BeforeValidator(_no_bool)]


def _checked(types: dict[str, Any]) -> AfterValidator:
    """Checks a table's keys and values, and keeps its order, in which a grid is walked."""
    fields: dict[str, Any] = {name: (kind, None) for name, kind in types.items()}
    table = create_model("Table", __base__=Settings, **fields)

    def check(given: dict[str, Any]) -> dict[str, Any]:
        checked = table.model_validate(given)
        return {name: getattr(checked, name) for name in given}

    return AfterValidator(check)


Chosen = Annotated[dict[str, Any], _checked(_TYPES)]
"""Settings by name: what is a number may be given as its text."""
_LISTS = {
    name: Annotated[tuple[kind, ...], Field(min_length=1), EACH_ONCE]  # type: ignore[valid-type]  # known as it runs
    for name, kind in _TYPES.items()
}
Grid = Annotated[dict[str, tuple[Any, ...]], _checked(_LISTS)]
Names = Annotated[tuple[str, ...], Field(min_length=1), EACH_ONCE]
Preset = Annotated[str, AfterValidator(lambda name: one_of("variant", name, VARIANTS))]


class Profile(Settings):
    """The data, seeds and settings that the suites of a run share. Two models whose accuracies differ by at most
    `margin`, a fraction of the test images, count as equally accurate."""

    summary: str
    dataset: str
    seeds: Count
    margin: Annotated[float, Field(gt=0, lt=1)]
    settings: Chosen


class Sizes(Settings):
    """The cases of one scope of step time, in one profile. `variants` are all of the suite's unless it names some; one
    that `--variant` names is timed as well."""

    patches: Annotated[tuple[Count, ...], Field(min_length=1), EACH_ONCE]
    variants: Names | None = None
    batch: Count
    processes: Count
    steps: Count
    seconds: Annotated[float, Field(ge=0)]


Scopes = Annotated[dict[Literal["core", "model"], Sizes], Field(min_length=1)]
"""`core` is the attention layer alone, `model` the whole model on images of as many patches."""
SIZE_SETTINGS = [f"{scope}.{name}" for scope in ("core", "model") for name in ("patches", "batch", "processes")]
"""What `--set` may change of the sizes that step times are measured at; several patches with commas between them."""


class Match(Settings):
    """Settings that are chosen so that a variant costs as much as another.

    Of all combinations of `among` the first is taken that comes nearest to `variant` in `figure`, at the run's own
    number of patches.
    """

    figure: Literal["parameters", "multiply_adds"]
    variant: str
    among: Grid


class OwnVariant(Settings):
    """A variant that a suite makes of a preset; `settings` are its attention's, and win over those of the run."""

    preset: Preset
    title: str
    settings: Chosen = Field(default_factory=dict)
    match: Match | None = None

    @property
    def fixed(self) -> list[str]:
        """The settings that the run cannot change."""
        return [*self.settings, *(self.match.among if self.match else ())]

    @model_validator(mode="after")
    def _sets_its_attention_alone(self) -> Self:
        for name in self.fixed:
            if self.fixed.count(name) > 1:
                raise ValueError(f"sets {name}, and matches by it too")
            if name in SHARED:
                raise ValueError(f"sets {name}, which is the same for all variants: they differ in their attention")
            if name not in type(VARIANTS[self.preset].attention).model_fields:
                raise ValueError(f"sets {name}, which {self.preset} does not have")
        return self


class _Suite(Settings):
    """What suites of both kinds have.

    `variants` are presets, or are made in `own`; `background` is what a reader of the report should know besides the
    question. Suites are run by `order`, then by name. `not_in_all` names the profiles whose `--all` leaves it out. An
    `open` one also runs the attentions that `--attention` names.
    """

    question: str
    background: str = ""
    order: int = 9
    open: bool = False
    not_in_all: Annotated[tuple[Literal["quick", "tutorial", "full"], ...], EACH_ONCE] = ()
    variants: Names
    own: dict[Annotated[str, Field(pattern=f"^{NAME}$")], OwnVariant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for complaint in self._complaints():
            raise ValueError(complaint)
        return self

    def _complaints(self) -> Iterator[str]:
        """What in one part of a suite does not fit another."""
        for variant in self.variants:
            one_of("variant", variant, [*VARIANTS, *self.own])
        for name in [name for name in self.own if name in VARIANTS or name not in self.variants]:
            yield f"own.{name} {'is a preset' if name in VARIANTS else 'is none of the variants'}"
        if len({own.title for own in self.own.values()}) < len(self.own):
            yield "own: two variants have the same title"
        matched = [other for other, made in self.own.items() if made.match]
        for name, own in self.own.items():
            if own.match and (own.match.variant in matched or own.match.variant not in self.variants):
                yield f"own.{name}.match.variant {own.match.variant!r} is no variant whose settings are given"


class Reduced(Settings):
    """A suite of trainings made small enough for a few minutes; without a `grid` it is the suite's own."""

    seeds: Count
    epochs: Count
    grid: Grid | None = None


class TrainSuite(_Suite):
    """A question that is answered by training every variant with every seed, in every combination of `grid`.

    The report compares each variant with `base_variant`, and each combination of the grid's values with `base`, by
    `metric`. In a `tuned` suite each seed of a variant chooses its combination by the validation images instead, and
    the variants are compared by those. `seeds` replace the profile's. `quick` is what the profile of that name does
    instead.
    """

    kind: Literal["train"]
    base_variant: str | None = None
    grid: Grid = Field(default_factory=dict)
    base: Chosen = Field(default_factory=dict)
    seeds: Count | None = None
    metric: MetricName = "top1"
    tuned: bool = False
    quick: Reduced | None = None

    @property
    def quick_grid(self) -> Grid:
        """What the profile `quick` varies."""
        return self.grid if self.quick is None or self.quick.grid is None else self.quick.grid

    def _complaints(self) -> Iterator[str]:
        yield from super()._complaints()
        if self.tuned and (self.base or not self.grid or self.base_variant is None):
            yield "tuned: it needs a grid and a base_variant, and no base"
        if self.tuned and len(self.variants) < 2:
            yield "tuned: it needs a second variant"
        if self.tuned and "validation_split" in self.grid:
            yield "tuned: validation_split cannot be chosen, by other validation images in each cell"
        if self.base_variant not in (None, *self.variants):
            yield f"base_variant {self.base_variant!r} is none of {', '.join(self.variants)}"
        for name in self.quick_grid.keys() - self.grid.keys():
            yield f"quick.grid varies {name}, which the grid does not"
        if self.base and self.base.keys() != self.grid.keys():
            yield f"base names {', '.join(self.base)}, and the grid {', '.join(self.grid)}"
        for where, grid in (("the grid", self.grid), ("quick.grid", self.quick_grid)):
            for name, value in self.base.items():
                if value not in grid.get(name, (value,)):
                    yield f"base names {name} = {value!r}, which is not in {where}"
        for name, own in self.own.items():
            for setting in [setting for setting in own.fixed if setting in self.grid]:
                yield f"own.{name} sets {setting}, which the grid varies"


class StepTimeSuite(_Suite):
    """A question that is answered by timing steps, at the sizes that `quick`, `tutorial` and `full` name for the
    profiles of these names; one that is left out has those of `quick`."""

    kind: Literal["steptime"]
    phases: Annotated[tuple[Literal["train", "infer"], ...], Field(min_length=1), EACH_ONCE] = ("train", "infer")
    quick: Scopes
    tutorial: Scopes | None = None
    full: Scopes | None = None

    def sizes(self, profile: str) -> Scopes:
        """Returns the sizes in a profile, by scope."""
        return getattr(self, profile) or self.quick

    def _complaints(self) -> Iterator[str]:
        yield from super()._complaints()
        for profile in ("quick", "tutorial", "full"):
            for scope, sizes in self.sizes(profile).items():
                for variant in sizes.variants or ():
                    if variant not in self.variants:
                        where = f"{profile}.{scope}.variants"
                        yield f"{where} names {variant!r}, which is none of {', '.join(self.variants)}"


Suite = TrainSuite | StepTimeSuite
KINDS: dict[str, type[Suite]] = {"train": TrainSuite, "steptime": StepTimeSuite}
PROFILES: TypeAdapter[dict[str, Profile]] = TypeAdapter(dict[str, Profile])
KEYS = {name for kind in (Profile, *KINDS.values(), Reduced, OwnVariant, Match, Sizes) for name in kind.model_fields}


def profiles() -> dict[str, Profile]:
    """Returns every profile of `profiles.toml`, in the file's order."""
    path = HERE / "profiles.toml"
    with explained(str(path)):
        return PROFILES.validate_python(_toml(path))


def suites(folder: Path = HERE / "suites") -> dict[str, Suite]:
    """Returns every suite of `suites/*.toml` by file name, in the order in which they are run."""
    found: dict[str, Suite] = {}
    for path in sorted(folder.glob("*.toml")):
        with explained(str(path)):
            if not re.fullmatch(NAME, path.stem) or len(path.stem) > 50 or path.stem in RESERVED:
                raise InputError("a suite is named in small letters, digits and single hyphens, at most 50, not costs")
            table = _toml(path)
            kind = KINDS[one_of("kind", str(table.get("kind", "")), KINDS)]
            found[path.stem] = kind.model_validate(table)
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def _toml(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path.stat().st_size:,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error)) from None


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Makes what is wrong within an `InputError` of one line that says where."""
    try:
        yield
    except (InputError, ValidationError) as error:
        raise InputError(f"{where}: {explain(error)}") from None


def explain(error: InputError | ValidationError) -> str:
    """The first complaint of a validation as one line: key, value, what is allowed."""
    if isinstance(error, InputError):
        return str(error)
    errors = error.errors(include_url=False)  # a misspelled key comes before the one that is missing for it
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    keys = [str(key) for key in first["loc"] if key != "[key]"]
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "extra_forbidden":
        known = KEYS | _TYPES.keys()
        where = " here: it belongs elsewhere" if keys[-1] in known else hint(keys[-1], known)
        return f"unknown key {'.'.join(keys)!r}{where}"
    if first["type"] in ("missing", "value_error"):
        return ": ".join(filter(None, (".".join(keys), message)))
    return f"{'.'.join(keys)} = {first['input']!r}: {message}"
