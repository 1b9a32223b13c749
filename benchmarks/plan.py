"""Suites and a profile -> the trials of a run, in order. Imports no Keras."""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from benchmarks.datasets import DatasetShape
from benchmarks.suite import (
    FROM_THE_DATA,
    SETTINGS,
    SIZE_SETTINGS,
    Grid,
    InputError,
    OwnVariant,
    Scopes,
    Sizes,
    StepTimeSuite,
    Suite,
    TrainSuite,
    explain,
    one_of,
    profiles,
    suites,
)
from models.config import VARIANTS, ModelConfig
from results.records import PlannedSuite, PlannedVariant
from results.trials import (
    Backend,
    CoreStepTrial,
    ModelStepTrial,
    Precision,
    StepTimeTrial,
    TrainConfig,
    TrainTrial,
    Trial,
)

USUAL_PRECISION: Precision = "float32"


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
    precision: Precision | None = None
    devices: int = 1


@dataclass(frozen=True)
class Cell:
    """One combination of a grid's settings as it was `given`: the models under it, and the training they share."""

    given: dict[str, Any]
    models: dict[str, ModelConfig]
    training: TrainConfig
    precision: Precision

    @property
    def settings(self) -> dict[str, Any]:
        """The combination as it was understood: 0.1 for "1e-1", and with every name that some variant has."""
        return {name: value for variant in self.models for name, value in self.settings_of(variant).items()}

    def settings_of(self, variant: str) -> dict[str, Any]:
        """Those of the combination that the variant has: a ViT has no `memory_units`."""
        known = _flat(self.models[variant]) | dict(self.training) | {"precision": self.precision}
        return {name: known[name] for name in self.given if name in known}


@dataclass(frozen=True)
class Plan:
    """The trials of a run, and what the report has to know of each suite that asked for them."""

    profile: str
    suites: dict[str, PlannedSuite]
    trials: tuple[Trial, ...]

    def of(self, suite: str) -> list[Trial]:
        """The suite's trials, in order."""
        return [trial for trial in self.trials if trial.suite == suite]

    @property
    def distinct(self) -> list[Trial]:
        """The trials to run: one that several suites ask for is the first one's."""
        found: dict[str, Trial] = {}
        for trial in self.trials:
            found.setdefault(trial.trial_id, trial)
        return list(found.values())


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
    own = {name: made for suite in chosen.values() for name, made in _own(suite).items()}
    for variant in overrides.variants:
        one_of("variant", variant, [*VARIANTS, *own])
    dataset = overrides.dataset or profile.dataset
    given = _given(overrides, chosen.values(), dataset)

    planned: dict[str, PlannedSuite] = {}
    trials: list[Trial] = []
    used: dict[str, set[str]] = {}
    for name, suite in chosen.items():
        variants = _variants(name, suite, overrides)
        try:
            models = _models(suite, variants, shape(dataset), profile.settings | given)
            used |= {variant: _settable(model, own.get(variant)) for variant, model in models.items()}
            if isinstance(suite, TrainSuite):
                reduced = suite.quick if profile_name == "quick" else None
                varied = suite.quick_grid if profile_name == "quick" else suite.grid
                fixed = given.keys() | ({"precision"} if overrides.precision else set())
                grid = {k: v for k, v in varied.items() if k not in fixed}
                settings = profile.settings | ({"epochs": reduced.epochs} if reduced else {}) | given
                settings |= {"precision": overrides.precision or USUAL_PRECISION}
                cells = [_cell(suite, variants, shape(dataset), settings, values) for values in _combinations(grid)]
                seeds = overrides.seeds or (reduced or suite).seeds or profile.seeds
                _grid_used(cells)
                of_suite: Sequence[Trial] = _train_trials(name, cells, dataset, seeds, overrides)
                planned[name] = _planned_trainings(suite, cells, of_suite)
            else:
                scopes = _scopes(getattr(suite, profile_name), overrides.settings)
                of_suite = _step_time_trials(name, suite, scopes, models, overrides)
                planned[name] = PlannedSuite(
                    question=suite.question, background=suite.background, trial_ids=_ids(of_suite)
                )
        except (InputError, ValidationError) as error:
            raise InputError(f"suite {name}: {explain(error)}") from None
        trials += of_suite
    _all_used(overrides.settings, used)
    _scopes_used(overrides.settings, trials)
    return Plan(profile_name, planned, tuple(trials))


def suites_with(variants: Sequence[str]) -> list[str]:
    """Every suite that has one of the variants, or simply every suite where none is named."""
    return [name for name, suite in suites().items() if not variants or set(variants) & set(suite.variants)]


def _own(suite: Suite) -> dict[str, OwnVariant]:
    return suite.own if isinstance(suite, TrainSuite) else {}


def _ids(trials: Iterable[Trial]) -> tuple[str, ...]:
    return tuple(trial.trial_id for trial in trials)


def _planned_trainings(suite: TrainSuite, cells: Sequence[Cell], trials: Iterable[Trial]) -> PlannedSuite:
    grid, models = tuple(cells[0].given), cells[0].models
    base = {setting: value for setting, value in suite.base.items() if setting in grid}
    return PlannedSuite(
        question=suite.question,
        background=suite.background,
        grid=grid,
        base=next((cell.settings for cell in cells if base and cell.given == base), {}),
        own={name: _planned_variant(made, models[name]) for name, made in suite.own.items() if name in models},
        base_variant=suite.base_variant,
        metric=suite.metric,
        draw=suite.draw,
        trial_ids=_ids(trials),
    )


def _planned_variant(made: OwnVariant, model: ModelConfig) -> PlannedVariant:
    """What the suite made of the preset; the settings of a match are those of the grid's first cell."""
    known = _flat(model)
    names = [*made.settings, *(made.match.among if made.match else ())]
    return PlannedVariant(title=made.title, preset=made.preset, settings={name: known[name] for name in names})


def _flat(model: ModelConfig) -> dict[str, Any]:
    """All settings of a model by name, those of its attention too."""
    return dict(model.attention) | dict(model)


def _variants(name: str, suite: Suite, overrides: Overrides) -> list[str]:
    """Those of the suite's variants that were asked for; all of them, where none was."""
    variants = [v for v in suite.variants if not overrides.variants or v in overrides.variants]
    if not variants:
        raise InputError(
            f"suite {name!r} has none of the variants {', '.join(overrides.variants)}; "
            f"it has: {', '.join(suite.variants)}"
        )
    return variants


def _combinations(grid: Grid) -> list[dict[str, Any]]:
    """Every combination of the grid's values, the last name varying fastest; of no grid, one with nothing in it."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _cell(
    suite: TrainSuite, variants: Iterable[str], shape: DatasetShape, settings: dict[str, Any], given: dict[str, Any]
) -> Cell:
    together = settings | given
    return Cell(given, _models(suite, variants, shape, together), _training(together), together["precision"])


def _training(settings: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate({k: v for k, v in settings.items() if k in TrainConfig.model_fields})


def _models(
    suite: Suite, variants: Iterable[str], shape: DatasetShape, settings: dict[str, Any]
) -> dict[str, ModelConfig]:
    own = _own(suite)
    return {variant: _variant_model(variant, own, shape, settings) for variant in variants}


def _variant_model(
    variant: str, own: Mapping[str, OwnVariant], shape: DatasetShape, settings: dict[str, Any]
) -> ModelConfig:
    """A preset under the settings, or what the suite makes of one; of a match's candidates the nearest in cost."""
    if variant not in own:
        return _model(variant, shape, settings)
    made = own[variant]
    if made.match is None:
        return _model(made.preset, shape, settings | made.settings)
    figure = made.match.figure
    target = getattr(_variant_model(made.match.variant, own, shape, settings).cost(), figure)
    candidates = [
        _model(made.preset, shape, settings | made.settings | cell) for cell in _combinations(made.match.among)
    ]
    return min(candidates, key=lambda model: abs(getattr(model.cost(), figure) - target))


def _model(variant: str, shape: DatasetShape, settings: Mapping[str, Any]) -> ModelConfig:
    """The variant's preset under the shared settings: what two variants do not share is their attention alone."""
    preset = VARIANTS[variant].attention
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


def settings_allowed() -> list[str]:
    """Every name that `--set` may give."""
    return SETTINGS + SIZE_SETTINGS


def _settable(model: ModelConfig, own: OwnVariant | None) -> set[str]:
    """The settings of an attention that `--set` can change: not those that its suite has set."""
    fixed = {} if own is None else own.settings | (own.match.among if own.match else {})
    return type(model.attention).model_fields.keys() - fixed.keys()


def _all_used(given: Mapping[str, Any], settable: Mapping[str, set[str]]) -> None:
    """A setting of an attention that none of the chosen variants has would be a silent no-op: an error instead."""
    used = {*TrainConfig.model_fields, *ModelConfig.model_fields, *SIZE_SETTINGS}.union(*settable.values())
    for name in given:
        if name not in used:
            raise InputError(f"setting {name!r} changes none of the chosen variants ({', '.join(settable)})")


def _grid_used(cells: Sequence[Cell]) -> None:
    """A grid over a setting that none of the variants has would train the same models again and again."""
    for name in cells[0].given:
        if name not in cells[0].settings:
            raise InputError(f"grid varies {name}, which none of its variants has: {', '.join(cells[0].models)}")


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
            precision=cell.precision,
            devices=overrides.devices,
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
    suite_name: str,
    suite: StepTimeSuite,
    scopes: Scopes,
    models: Mapping[str, ModelConfig],
    overrides: Overrides,
) -> list[Trial]:
    """One pass over all cases a process, each pass in another seeded random order, so that drift hits all alike."""
    trials: list[Trial] = []
    for process in range(max(scopes.core.processes, scopes.model.processes)):
        precision = overrides.precision or USUAL_PRECISION
        machine = {"suite": suite_name, "backend": overrides.backend, "precision": precision}
        cases: list[StepTimeTrial] = []
        for variant, model in models.items():
            for phase in suite.phases:
                shared = machine | {"variant": variant, "phase": phase, "process": process}
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
