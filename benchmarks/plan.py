"""Suites and a profile -> the trials of a run, in order. Imports no Keras."""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from benchmarks.datasets import DatasetShape
from benchmarks.inputs import InputError, one_of
from benchmarks.suite import (
    FROM_THE_DATA,
    SETTINGS,
    SHARED,
    SIZE_SETTINGS,
    Chosen,
    Grid,
    OwnVariant,
    Scopes,
    StepTimeSuite,
    Suite,
    TrainSuite,
    explained,
    profiles,
    suites,
)
from models.attentions.attention import Attention
from models.attentions.own import OwnAttention
from models.config import VARIANTS, ModelConfig, Settings
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
FEWEST_ROWS = 4
OF_TRAININGS = {*TrainConfig.model_fields, "seeds"}
SETTINGS_ALLOWED = [*SETTINGS, *SIZE_SETTINGS]
"""Every name that `--set` may give."""


@dataclass(frozen=True)
class Overrides:
    """What the command line changes of a profile. `settings` holds `--set` pairs as they were typed, `attentions` the
    user's own by name, with those that are theirs."""

    dataset: str | None = None
    data_dir: str | None = None
    data_name: str | None = None
    epochs: int | None = None
    seeds: int | None = None
    variants: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    backend: Backend = "tensorflow"
    precision: Precision | None = None
    devices: int = 1
    attentions: Mapping[str, OwnAttention] = field(default_factory=dict)

    @property
    def named(self) -> set[str]:
        """The variants that the command names."""
        return {*self.variants, *self.attentions}


@dataclass(frozen=True)
class Plan:
    """The trials of a run, what the report has to know of each suite that asked for them, and what a reader should."""

    profile: str
    suites: dict[str, PlannedSuite]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()

    def of(self, suite: str) -> list[Trial]:
        """Returns the suite's trials, in order."""
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
    """Plans the trials of the named suites under a profile.

    `shape` tells the shape of a dataset's images. Raises `InputError` for anything unknown or out
    of range, and for what would change nothing.
    """
    known_profiles, known_suites = profiles(), suites()
    profile = known_profiles[one_of("profile", profile_name, known_profiles)]
    chosen = {name: known_suites[one_of("suite", name, known_suites)] for name in names}
    of_suites = {own: name for name, suite in chosen.items() for own in suite.own}
    for variant in overrides.variants:
        one_of("variant", variant, [*VARIANTS, *of_suites, *overrides.attentions])
    for name in overrides.attentions.keys() & of_suites:
        raise InputError(f"--attention: {name} is a variant of the suite {of_suites[name]}; rename the file")
    if overrides.attentions and not any(suite.open for suite in chosen.values()):
        takers = ", ".join(name for name, suite in known_suites.items() if suite.open)
        raise InputError(f"--attention changes nothing: of the suites these take one: {takers}")
    dataset = overrides.dataset or profile.dataset
    given = _given(overrides, dataset)
    of_data = shape(dataset)
    settings, notes = _fitting({"precision": USUAL_PRECISION, **profile.settings}, of_data, given)
    asked = Asked(profile_name, profile.seeds, profile.margin, settings, dataset, of_data, given, overrides)
    planned: dict[str, PlannedSuite] = {}
    trials: list[Trial] = []
    for name, suite in chosen.items():
        with explained(f"suite {name}"):
            of_suite: list[Trial]
            if isinstance(suite, TrainSuite):
                planned[name], of_suite, left_out = _trainings(name, suite, asked)
                notes += [f"{name} leaves out {', '.join(left_out)}: it does not divide the images"] if left_out else []
            else:
                planned[name], of_suite = _step_times(name, suite, asked)
        trials += of_suite
        if not of_suite:  # not one of its patch sizes divides the images
            del planned[name]
    if not trials:
        raise InputError(f"{'; '.join(notes)}: nothing is left to run")
    _check_effect(chosen.values(), trials, asked)
    return Plan(profile_name, planned, tuple(trials), tuple(notes))


def suites_in(profile: str, overrides: Overrides) -> list[str]:
    """Names every suite of the profile's `--all` that has one of the variants, or every one where none is named."""
    asked = set(overrides.variants)
    return [
        name
        for name, suite in suites().items()
        if profile not in suite.not_in_all
        and (not asked or asked & set(suite.variants) or (suite.open and overrides.attentions))
    ]


@dataclass(frozen=True)
class Asked:
    """What a command asks of all its suites: the profile's name, seeds, margin and settings, data, and `given`, the
    settings that it changes itself."""

    profile_name: str
    seeds: int
    margin: float
    settings: dict[str, Any]
    dataset: str
    shape: DatasetShape
    given: dict[str, Any]
    overrides: Overrides

    def variants(self, suite: Suite) -> list[str]:
        """Those of the suite's variants that were asked for; all of them, where none was. The user's own always are."""
        asked = self.overrides.variants
        found = [variant for variant in suite.variants if not asked or variant in asked]
        found += self.overrides.attentions if suite.open else ()
        if not found:
            raise InputError(f"has none of the variants {', '.join(asked)}; it has: {', '.join(suite.variants)}")
        return found

    def model(self, variant: str, own: Mapping[str, OwnVariant], settings: Mapping[str, Any]) -> ModelConfig:
        """A preset under the settings, or what the suite makes of one; of a match's candidates the nearest in cost."""
        if variant not in own:
            return self._preset(variant, settings)
        made = own[variant]
        among = _combinations(made.match.among if made.match else {})
        candidates = [self._preset(made.preset, settings, {**made.settings, **chosen}) for chosen in among]
        if made.match is None:
            return candidates[0]
        figure = made.match.figure
        target = getattr(self.model(made.match.variant, own, settings).cost(), figure)
        return min(candidates, key=lambda model: abs(getattr(model.cost(), figure) - target))

    def preset(self, name: str) -> tuple[Attention, list[str]]:
        """An attention by its variant's name, and which of its settings no run changes."""
        if name in self.overrides.attentions:
            return self.overrides.attentions[name], []
        return VARIANTS[name].attention, VARIANTS[name].fixed

    def _preset(self, name: str, settings: Mapping[str, Any], own: Mapping[str, Any] = {}) -> ModelConfig:
        """The preset under the shared settings, except those that make it what it is, and with those of its `own`: what
        two variants do not share is their attention alone."""
        preset, fixed = self.preset(name)
        shared = {setting: value for setting, value in settings.items() if setting not in fixed}
        data = {"image_size": self.shape.height, "channels": self.shape.channels, "classes": self.shape.classes}
        if self.shape.width != self.shape.height:
            data["image_width"] = self.shape.width
            shared["grid_rows"] = self.shape.height // settings["patch_size"]
        attention = preset.under({**shared, **own})
        return ModelConfig.model_validate({"attention": attention} | data | _of(ModelConfig, settings))


def _of(kind: type[Settings], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in kind.model_fields}


def _combinations(grid: Grid) -> list[dict[str, Any]]:
    """Every combination of the grid's values, the last name varying fastest; of no grid, one with nothing in it."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _given(overrides: Overrides, dataset: str) -> dict[str, Any]:
    """The settings that the command line changes, but for sizes of step times."""
    for name in overrides.settings:
        if name in FROM_THE_DATA:
            raise InputError(f"{name} comes with the dataset {dataset!r} and cannot be set")
        of_own = [setting for own in overrides.attentions.values() for setting, _ in own.settings]
        one_of("setting", name, [*SETTINGS_ALLOWED, *of_own])
    given: dict[str, Any] = {name: text for name, text in overrides.settings.items() if name in SETTINGS}
    if overrides.epochs is not None:
        if "epochs" in given:
            raise InputError("epochs are given twice: with --epochs and with --set")
        given["epochs"] = overrides.epochs
    if overrides.precision is not None:
        given["precision"] = overrides.precision
    with explained("settings"):
        return TypeAdapter(Chosen).validate_python(given)


def _check_effect(chosen: Iterable[Suite], trials: Iterable[Trial], asked: Asked) -> None:
    """What would change nothing in any trial is an error, not a silent no-op."""
    used = {*ModelConfig.model_fields, "precision"}
    for suite in chosen:
        if isinstance(suite, TrainSuite):
            used |= OF_TRAININGS
        for variant in asked.variants(suite):
            made = suite.own.get(variant)
            attention, fixed = asked.preset(made.preset if made else variant)
            used |= attention.compared.keys() - {*fixed, *(made.fixed if made else ())}
    scopes = {trial.scope for trial in trials if isinstance(trial, StepTimeTrial)}
    used |= {name for name in SIZE_SETTINGS if name.split(".")[0] in scopes}
    seeds = [] if asked.overrides.seeds is None else ["seeds"]
    for name in (*asked.given, *asked.overrides.settings, *seeds):
        if name not in used:
            of_what = "suites trains" if name in OF_TRAININGS else "variants has it"
            why = "variants is timed at such sizes" if name in SIZE_SETTINGS else of_what
            raise InputError(f"{name} changes nothing: none of the chosen {why}")


def _fitting(
    settings: dict[str, Any], shape: DatasetShape, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Returns the settings with a patch size that divides the images, and in words what was changed.

    One that does not gives way to the next that leaves at least `FEWEST_ROWS` rows and columns of patches, or else to
    the largest that does; one that the command gives stays.
    """
    own = settings["patch_size"]
    if "patch_size" in given or _divides(own, shape):
        return settings, []
    few = min(shape.height, shape.width) // FEWEST_ROWS
    divisors = [size for size in range(1, max(few, 1) + 1) if _divides(size, shape)]
    chosen = next((size for size in divisors if size > own), divisors[-1])
    said = f"patch_size is {chosen}: {own} does not divide images of {shape.width} x {shape.height}"
    return settings | {"patch_size": chosen}, [f"{said} (--set patch_size=N)"]


def _divides(size: int, shape: DatasetShape) -> bool:
    return shape.height % size == shape.width % size == 0


def _trainings(name: str, suite: TrainSuite, asked: Asked) -> tuple[PlannedSuite, list[Trial], list[str]]:
    """Seed by seed, the variants of one seed next to each other, so that a stopped run has whole pairs.

    A variant that has none of a grid's settings is trained once. Returns too, in words, which patch sizes of its grid
    were left out.
    """
    variants, quick = asked.variants(suite), suite.quick if asked.profile_name == "quick" else None
    grid = {k: v for k, v in (suite.quick_grid if quick else suite.grid).items() if k not in asked.given}
    settings = {**asked.settings, **({"epochs": quick.epochs} if quick else {}), **asked.given}
    left_out = [size for size in grid.get("patch_size", ()) if not _divides(size, asked.shape)]
    if left_out:
        grid["patch_size"] = tuple(size for size in grid["patch_size"] if size not in left_out)
    firsts: dict[str, TrainTrial] = {}
    for cell in _combinations(grid):
        together = {**settings, **cell}
        for variant in variants:
            model = asked.model(variant, suite.own, together)
            first = TrainTrial(
                suite=name,
                variant=variant,
                backend=asked.overrides.backend,
                precision=together["precision"],
                devices=asked.overrides.devices,
                seed=0,
                dataset=asked.dataset,
                data_dir=asked.overrides.data_dir,
                data_name=asked.overrides.data_name,
                images=asked.shape.train_images,
                test_folds=asked.shape.test_folds,
                grid={k: v for k, v in cell.items() if k in SHARED or k in model.attention.compared},
                model=model,
                training=TrainConfig.model_validate(_of(TrainConfig, together)),
            )
            firsts.setdefault(first.trial_id, first)
    for setting in grid:  # else the same models would be trained again and again
        if firsts and not any(setting in dict(first.grid) for first in firsts.values()):
            raise InputError(f"grid varies {setting}, which none of its variants has: {', '.join(variants)}")
    seeds = asked.overrides.seeds or (quick or suite).seeds or asked.seeds
    trials = [first.model_copy(update={"seed": seed}) for seed in range(seeds) for first in firsts.values()]
    models = {first.variant: first.model for first in reversed(firsts.values())}  # of a match, the first cell's
    planned = PlannedSuite(
        question=suite.question,
        background=suite.background,
        grid=tuple(grid),
        base={setting: value for setting, value in suite.base.items() if value in grid.get(setting, ())},
        own={own: _planned_variant(made, models[own]) for own, made in suite.own.items() if own in models},
        base_variant=suite.base_variant,
        metric=suite.metric,
        margin=asked.margin,
        tuned=suite.tuned and bool(grid),
        seeds=seeds,
        trial_ids=tuple(trial.trial_id for trial in trials),
    )
    return planned, list(trials), [f"patch_size {size}" for size in left_out]


def _planned_variant(made: OwnVariant, model: ModelConfig) -> PlannedVariant:
    known = dict(model.attention)
    return PlannedVariant(title=made.title, preset=made.preset, settings={name: known[name] for name in made.fixed})


def _step_times(name: str, suite: StepTimeSuite, asked: Asked) -> tuple[PlannedSuite, list[Trial]]:
    """One pass over all cases a process, each pass in another seeded random order, so that drift hits all alike."""
    scopes = _sizes(suite.sizes(asked.profile_name), asked.overrides.settings)
    settings = asked.settings | asked.given
    square = replace(asked, shape=replace(asked.shape, width=asked.shape.height))
    models = {variant: square.model(variant, suite.own, settings) for variant in asked.variants(suite)}
    machine: dict[str, Any] = {"suite": name, "backend": asked.overrides.backend, "precision": settings["precision"]}
    trials: list[Trial] = []
    for process in range(max(sizes.processes for sizes in scopes.values())):
        cases: list[Trial] = []
        for (variant, model), phase in itertools.product(models.items(), suite.phases):
            for scope, sizes in scopes.items():
                usual = variant in (sizes.variants or models)
                if process < sizes.processes and (usual or variant in asked.overrides.named):
                    timing = {"batch": sizes.batch, "steps": sizes.steps, "seconds": sizes.seconds}
                    shared = {**machine, **timing, "variant": variant, "phase": phase, "process": process}
                    cases += [_step_time(scope, shared, patches, model) for patches in sizes.patches]
        random.Random(process).shuffle(cases)
        trials += cases
    ids = tuple(trial.trial_id for trial in trials)
    own = {name: _planned_variant(made, models[name]) for name, made in suite.own.items() if name in models}
    return PlannedSuite(question=suite.question, background=suite.background, own=own, trial_ids=ids), trials


def _sizes(scopes: Scopes, given: Mapping[str, str]) -> Scopes:
    """The profile's sizes with those that `--set` changes, as in `core.patches=256,1024`."""
    tables = {scope: sizes.model_dump() for scope, sizes in scopes.items()}
    for scope, table in tables.items():
        for name in table:
            if (setting := f"{scope}.{name}") in given:
                table[name] = given[setting].split(",") if name == "patches" else given[setting]
    return TypeAdapter(Scopes).validate_python(tables)


def _step_time(scope: str, shared: Mapping[str, Any], patches: int, model: ModelConfig) -> StepTimeTrial:
    if scope == "core":
        return CoreStepTrial(**shared, patches=patches, dim=model.embedding_dim, attention=model.attention)
    side = math.isqrt(patches)
    if side**2 != patches:
        near = f"{side**2}, {(side + 1) ** 2}"
        raise InputError(f"patches = {patches} of the model scope is not a square number; near it: {near}")
    image = model.model_copy(update={"image_size": side * model.patch_size})
    return ModelStepTrial(**shared, patches=patches, model=image)
