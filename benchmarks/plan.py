"""Suites and a profile -> the trials of a run, in order. Reads TOML, validates, imports no Keras."""

import difflib
import itertools
import math
import random
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from benchmarks.datasets import DatasetShape
from benchmarks.trials import (
    Backend,
    CoreStepTrial,
    ModelStepTrial,
    Precision,
    StepTimeTrial,
    TrainConfig,
    TrainTrial,
    Trial,
)
from models.config import ATTENTION_CONFIGS, PRESETS, Count, ModelConfig, Settings

HERE = Path(__file__).parent
T = TypeVar("T")
FROM_THE_DATA = {"image_size", "channels", "classes"}
Grid = dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]]
SIZE_SETTINGS = [f"{scope}.{name}" for scope in ("core", "model") for name in ("patches", "batch", "processes")]
"""What `--set` may change of the sizes that step times are measured at; several patches with commas between them."""


class InputError(Exception):
    """Wrong usage or input; the message is one line that says what is wrong and what is allowed."""


class Profile(Settings):
    """The data, seeds and settings that the suites of a run share."""

    summary: str
    dataset: str
    seeds: Count
    settings: dict[str, Any]


class Sizes(Settings):
    """The cases of one scope of step time, in one profile. `variants` are all of the suite's unless it names some."""

    patches: Annotated[tuple[Count, ...], Field(min_length=1)]
    variants: tuple[str, ...] | None = None
    batch: Count
    processes: Count
    steps: Count
    seconds: Annotated[float, Field(ge=0)]

    @field_validator("patches")
    @classmethod
    def _each_once(cls, patches: tuple[int, ...]) -> tuple[int, ...]:
        for size in patches:
            if patches.count(size) > 1:
                raise ValueError(f"patches name {size} twice")
        return patches


class Scopes(Settings):
    """The sizes of both scopes, in one profile."""

    core: Sizes
    model: Sizes


class _Suite(Settings):
    """`background` is what a reader of the report should know besides the question."""

    question: str
    background: str = ""
    variants: Annotated[tuple[str, ...], Field(min_length=1)]


class TrainSuite(_Suite):
    """A question that is answered by training every variant with every seed, in every combination of `grid`.

    `grid` maps a setting to its values; `base` names the combination that the report holds the others against. `quick`
    is what the profile of that name does instead.
    """

    kind: Literal["train"]
    grid: Grid = Field(default_factory=dict)
    base: dict[str, Any] = Field(default_factory=dict)
    quick: "Reduced | None" = None

    @model_validator(mode="after")
    def _base_is_in_the_grid(self) -> "TrainSuite":
        if self.base and self.base.keys() != self.grid.keys():
            raise ValueError(f"base names {', '.join(self.base)}, and the grid {', '.join(self.grid)}")
        for name, value in self.base.items():
            if value not in self.grid[name]:
                raise ValueError(f"base names {name} = {value!r}, which is not in the grid")
        return self


class Reduced(Settings):
    """A suite of trainings made small enough for a few minutes."""

    seeds: Count
    epochs: Count
    grid: Grid


class StepTimeSuite(_Suite):
    """A question that is answered by timing steps."""

    kind: Literal["steptime"]
    phases: tuple[Literal["train", "infer"], ...]
    quick: Scopes
    tutorial: Scopes
    full: Scopes


Suite = TrainSuite | StepTimeSuite
_SUITE: TypeAdapter[Suite] = TypeAdapter(Annotated[Suite, Field(discriminator="kind")])


@dataclass(frozen=True)
class Overrides:
    """What the command line changes of a profile. `settings` holds `--set` pairs as they were typed."""

    dataset: str | None = None
    data_dir: str | None = None
    epochs: int | None = None
    seeds: int | None = None
    variants: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    backend: Backend = "tensorflow"
    precision: Precision = "float32"


@dataclass(frozen=True)
class Cell:
    """One combination of a grid's settings as it was `given`: the models under it, and the training they share."""

    given: dict[str, Any]
    models: dict[str, ModelConfig]
    training: TrainConfig

    @property
    def settings(self) -> dict[str, Any]:
        """The combination as it was understood: 0.1 for "1e-1", and with every name that some variant has."""
        return {name: value for variant in self.models for name, value in self.settings_of(variant).items()}

    def settings_of(self, variant: str) -> dict[str, Any]:
        """Those of the combination that the variant has: a ViT has no `memory_units`."""
        model = self.models[variant].model_dump(mode="json")
        known = model["attention"] | model | self.training.model_dump(mode="json")
        return {name: known[name] for name in self.given if name in known}


@dataclass(frozen=True)
class Plan:
    """The trials of a run, suite by suite.

    `grids` names the settings in which a suite's trials differ, `bases` their values that the others are held against.
    """

    profile: str
    suites: dict[str, Suite]
    grids: dict[str, tuple[str, ...]]
    bases: dict[str, dict[str, Any]]
    trials: tuple[Trial, ...]

    def of(self, suite: str) -> list[Trial]:
        """The suite's trials, in order."""
        return [trial for trial in self.trials if trial.suite == suite]


def explain(error: ValidationError) -> str:
    """The first complaint of a validation as one line: setting, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "value_error":
        return message
    return f"{'.'.join(map(str, first['loc']))} = {first['input']!r}: {message}"


def one_of(what: str, name: str, allowed: Iterable[str]) -> str:
    """`name`, if it is allowed; else raises `InputError` with what is, and the nearest one."""
    names = list(allowed)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"unknown {what} {name!r}{hint}; allowed: {', '.join(names)}")


def profiles() -> dict[str, Profile]:
    """Every profile of `profiles.toml`, in the file's order."""
    path = HERE / "profiles.toml"
    return {name: _validated(Profile.model_validate, table, path) for name, table in _toml(path).items()}


def suites() -> dict[str, Suite]:
    """Every suite of `suites/*.toml`, by file name."""
    return {
        path.stem: _validated(_SUITE.validate_python, _toml(path), path)
        for path in sorted((HERE / "suites").glob("*.toml"))
    }


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None


def _validated(validate: Callable[[Any], T], table: Any, path: Path) -> T:
    try:
        return validate(table)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None


def settings_allowed() -> list[str]:
    """Every name that a profile's settings and `--set` may give."""
    names = {*TrainConfig.model_fields, *ModelConfig.model_fields} - FROM_THE_DATA - {"attention"}
    for attention in ATTENTION_CONFIGS:
        names |= attention.model_fields.keys() - {"kind"}
    return sorted(names) + SIZE_SETTINGS


def build_plan(
    names: Iterable[str], profile_name: str, shape: Callable[[str], DatasetShape], overrides: Overrides
) -> Plan:
    """The trials of the named suites under a profile.

    `shape` tells a dataset's image size, channels and classes. Raises `InputError` for anything unknown or out
    of range.
    """
    known_profiles, known_suites = profiles(), suites()
    profile = known_profiles[one_of("profile", profile_name, known_profiles)]
    chosen = {name: known_suites[one_of("suite", name, known_suites)] for name in names}
    for variant in overrides.variants:
        one_of("variant", variant, PRESETS)
    dataset = overrides.dataset or profile.dataset
    for name in profile.settings:
        one_of("setting", name, settings_allowed())
    given = _given(overrides, chosen.values(), dataset)

    def models(variants: Iterable[str], settings: Mapping[str, Any]) -> dict[str, ModelConfig]:
        return {variant: _model(variant, shape(dataset), settings) for variant in variants}

    trials: list[Trial] = []
    grids: dict[str, tuple[str, ...]] = {}
    bases: dict[str, dict[str, Any]] = {}
    for name, suite in chosen.items():
        variants = _variants(name, suite, overrides)
        try:
            _all_used(overrides.settings, models(variants, profile.settings | given))
            if isinstance(suite, TrainSuite):
                reduced = suite.quick if profile_name == "quick" else None
                grid = {k: v for k, v in (reduced or suite).grid.items() if k not in given}
                settings = profile.settings | ({"epochs": reduced.epochs} if reduced else {}) | given
                cells = [
                    Cell(given_cell, models(variants, settings | given_cell), _training(settings | given_cell))
                    for given_cell in _cells(grid)
                ]
                seeds = overrides.seeds or (reduced or profile).seeds
                grids[name] = tuple(grid)
                base = {setting: value for setting, value in suite.base.items() if setting in grid}
                bases[name] = next((cell.settings for cell in cells if base and cell.given == base), {})
                trials += _train_trials(name, cells, dataset, seeds, overrides)
            else:
                scopes = _scopes(getattr(suite, profile_name), overrides.settings)
                step_times = _step_time_trials(
                    name, suite, scopes, models(variants, profile.settings | given), overrides
                )
                _scopes_used(overrides.settings, step_times)
                trials += step_times
        except ValidationError as error:
            raise InputError(explain(error)) from None
    return Plan(profile_name, chosen, grids, bases, tuple(trials))


def _variants(name: str, suite: Suite, overrides: Overrides) -> list[str]:
    """Those of the suite's variants that were asked for; all of them, where none was."""
    variants = [v for v in suite.variants if not overrides.variants or v in overrides.variants]
    if not variants:
        raise InputError(
            f"suite {name!r} has none of the variants {', '.join(overrides.variants)}; "
            f"it has: {', '.join(suite.variants)}"
        )
    return variants


def _cells(grid: Grid) -> list[dict[str, Any]]:
    """Every combination of the grid's values, the last name varying fastest; of no grid, one with nothing in it."""
    for name in grid:
        one_of("setting", name, set(settings_allowed()) - set(SIZE_SETTINGS))
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _training(settings: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate({k: v for k, v in settings.items() if k in TrainConfig.model_fields})


def _model(variant: str, shape: DatasetShape, settings: Mapping[str, Any]) -> ModelConfig:
    """The variant's preset under the shared settings: what two variants do not share is their attention alone."""
    preset = PRESETS[variant].attention
    kind = type(preset)
    attention = kind.model_validate(preset.model_dump() | {k: v for k, v in settings.items() if k in kind.model_fields})
    shared = {k: v for k, v in settings.items() if k in ModelConfig.model_fields}
    return ModelConfig.model_validate(
        {"image_size": shape.image_size, "channels": shape.channels, "classes": shape.classes, "attention": attention}
        | shared
    )


def _given(overrides: Overrides, chosen: Iterable[Suite], dataset: str) -> dict[str, Any]:
    """The settings that the command line changes. What would change nothing there is an error, not a silent no-op."""
    given: dict[str, Any] = dict(overrides.settings)
    chosen = list(chosen)
    for name in given:
        if name in FROM_THE_DATA:
            raise InputError(f"{name} comes with the dataset {dataset!r} and cannot be set")
        one_of("setting", name, settings_allowed())
    if overrides.epochs is not None:
        if "epochs" in given:
            raise InputError("epochs are given twice: with --epochs and with --set")
        given["epochs"] = overrides.epochs
    if not any(isinstance(suite, TrainSuite) for suite in chosen):
        seeds = {} if overrides.seeds is None else {"seeds": overrides.seeds}
        for name in (given | seeds).keys() & {*TrainConfig.model_fields, "seeds"}:
            raise InputError(f"{name} changes nothing: none of the chosen suites trains")
    if not any(isinstance(suite, StepTimeSuite) for suite in chosen):
        for name in given.keys() & set(SIZE_SETTINGS):
            raise InputError(f"{name} changes nothing: none of the chosen suites measures step times")
    return given


def _all_used(given: Mapping[str, Any], models: Mapping[str, ModelConfig]) -> None:
    """A setting of an attention that none of the chosen variants has would be a silent no-op: an error instead."""
    used = {*TrainConfig.model_fields, *ModelConfig.model_fields, *SIZE_SETTINGS}
    for model in models.values():
        used |= type(model.attention).model_fields.keys()
    for name in given:
        if name not in used:
            raise InputError(f"setting {name!r} changes none of the chosen variants ({', '.join(models)})")


def _train_trials(
    suite: str, cells: Sequence[Cell], dataset: str, seeds: int, overrides: Overrides
) -> list[TrainTrial]:
    """Seed by seed, the variants of one seed next to each other, so that a stopped run has whole pairs.

    A variant that has none of a grid's settings is trained once.
    """
    trials = [
        TrainTrial(
            suite=suite,
            variant=variant,
            backend=overrides.backend,
            precision=overrides.precision,
            seed=seed,
            dataset=dataset,
            data_dir=overrides.data_dir,
            grid=cell.settings_of(variant),
            model=model,
            training=cell.training,
        )
        for seed in range(seeds)
        for cell in cells
        for variant, model in cell.models.items()
    ]
    return list({trial.trial_id: trial for trial in trials}.values())


def _scopes(scopes: Scopes, given: Mapping[str, str]) -> Scopes:
    """The profile's sizes with those that `--set` changes, as in `core.patches=256,1024`."""
    tables = scopes.model_dump()
    for setting in given.keys() & set(SIZE_SETTINGS):
        scope, name = setting.split(".")
        tables[scope][name] = given[setting].split(",") if name == "patches" else given[setting]
    return Scopes.model_validate(tables)


def _scopes_used(given: Mapping[str, str], trials: Iterable[Trial]) -> None:
    """Sizes of a scope that none of the chosen variants is measured in would be a silent no-op: an error instead."""
    measured = {trial.scope for trial in trials if isinstance(trial, (CoreStepTrial, ModelStepTrial))}
    for setting in given.keys() & set(SIZE_SETTINGS):
        if setting.split(".")[0] not in measured:
            raise InputError(f"{setting} changes nothing: none of the chosen variants is measured in that scope")


def _step_time_trials(
    suite_name: str, suite: StepTimeSuite, scopes: Scopes, models: Mapping[str, ModelConfig], overrides: Overrides
) -> list[Trial]:
    """One pass over all cases a process, each pass in another seeded random order, so that drift hits all alike."""
    trials: list[Trial] = []
    for process in range(max(scopes.core.processes, scopes.model.processes)):
        cases: list[StepTimeTrial] = []
        for variant, model in models.items():
            for phase in suite.phases:
                shared = {
                    "suite": suite_name,
                    "variant": variant,
                    "backend": overrides.backend,
                    "precision": overrides.precision,
                    "phase": phase,
                    "process": process,
                }
                if _has(scopes.core, variant, process):
                    cases += [_core_trial(shared, scopes.core, patches, model) for patches in scopes.core.patches]
                if _has(scopes.model, variant, process):
                    cases += [_model_trial(shared, scopes.model, patches, model) for patches in scopes.model.patches]
        random.Random(process).shuffle(cases)
        trials += cases
    return trials


def _has(sizes: Sizes, variant: str, process: int) -> bool:
    return process < sizes.processes and (sizes.variants is None or variant in sizes.variants)


def _timing(sizes: Sizes, patches: int) -> dict[str, Any]:
    return {"patches": patches, "batch": sizes.batch, "steps": sizes.steps, "seconds": sizes.seconds}


def _core_trial(shared: Mapping[str, Any], sizes: Sizes, patches: int, model: ModelConfig) -> CoreStepTrial:
    return CoreStepTrial(**shared, **_timing(sizes, patches), dim=model.embedding_dim, attention=model.attention)


def _model_trial(shared: Mapping[str, Any], sizes: Sizes, patches: int, model: ModelConfig) -> ModelStepTrial:
    side = math.isqrt(patches)
    if side**2 != patches:
        raise InputError(
            f"patches = {patches} of the model scope is not a square number; near it: {side**2}, {(side + 1) ** 2}"
        )
    image = model.model_copy(update={"image_size": side * model.patch_size})
    return ModelStepTrial(**shared, **_timing(sizes, patches), model=image)
