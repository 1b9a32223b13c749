"""Suites and profiles as TOML describes them: read, validated, and complained about by file and line. No Keras."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from models.config import ATTENTIONS, VARIANTS, Count, ModelConfig, Settings
from results.metrics import MetricName
from results.records import Drawing
from results.trials import Precision, TrainConfig

HERE = Path(__file__).parent
T = TypeVar("T")
Keys = tuple[str, ...]
Values = Annotated[tuple[Any, ...], Field(min_length=1)]
Grid = dict[str, Values]
NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
VariantName = Annotated[str, Field(pattern=f"^{NAME}$")]
LARGEST_BYTES = 2**20
RESERVED = {"pareto"}
"""Names of the page's own sections, which no suite may take."""
FROM_THE_DATA = {"image_size", "channels", "classes"}
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


class Match(Settings):
    """Settings that are chosen so that a variant costs as much as another.

    Of all combinations of `among` the first is taken that comes nearest to `variant` in `figure`, at the run's own
    number of patches.
    """

    figure: Literal["parameters", "multiply_adds"]
    variant: str
    among: Grid


class OwnVariant(Settings):
    """A variant that a suite makes of a preset, under a name of its own.

    `settings` are its attention's, and win over those of the run.
    """

    preset: str
    title: str
    settings: dict[str, Any] = Field(default_factory=dict)
    match: Match | None = None

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in VARIANTS:
            raise ValueError(f"unknown preset {preset!r}; allowed: {', '.join(VARIANTS)}")
        return preset


class _Suite(Settings):
    """What suites of both kinds have. `background` is what a reader of the report should know besides the question.

    Suites are run by `order`, then by name.
    """

    question: str
    background: str = ""
    order: int = 9
    variants: Annotated[tuple[str, ...], Field(min_length=1)]


class Reduced(Settings):
    """A suite of trainings made small enough for a few minutes; without a `grid` it is the suite's own."""

    seeds: Count
    epochs: Count
    grid: Grid | None = None


class TrainSuite(_Suite):
    """A question that is answered by training every variant with every seed, in every combination of `grid`.

    `variants` are presets, or are made in `own`. The report holds each against `base_variant`, and each combination of
    the grid's values against `base`, by `metric`, and draws what `draw` names: every seed's "values", the "differences"
    from the base, the "learning" curves, and the metric against a cost. `seeds` replace the profile's. `quick` is what
    the profile of that name does instead.
    """

    kind: Literal["train"]
    own: dict[VariantName, OwnVariant] = Field(default_factory=dict)
    base_variant: str | None = None
    grid: Grid = Field(default_factory=dict)
    base: dict[str, Any] = Field(default_factory=dict)
    seeds: Count | None = None
    metric: MetricName = "top1"
    draw: tuple[Drawing, ...] = ("values", "learning")
    quick: Reduced | None = None

    @property
    def quick_grid(self) -> Grid:
        """What the profile `quick` varies."""
        return self.grid if self.quick is None or self.quick.grid is None else self.quick.grid


class StepTimeSuite(_Suite):
    """A question that is answered by timing steps."""

    kind: Literal["steptime"]
    phases: tuple[Literal["train", "infer"], ...]
    quick: Scopes
    tutorial: Scopes
    full: Scopes


Suite = TrainSuite | StepTimeSuite
_SUITE: TypeAdapter[Suite] = TypeAdapter(Annotated[Suite, Field(discriminator="kind")])
_SCHEMAS = (Profile, TrainSuite, StepTimeSuite, Reduced, OwnVariant, Match, Scopes, Sizes)


def explain(error: InputError | ValidationError) -> str:
    """The first complaint of a validation as one line: setting, value, what is allowed."""
    if isinstance(error, InputError):
        return str(error)
    first = _first(error)
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if first["type"] == "value_error":
        return message
    if first["type"].startswith("union_tag"):
        return "kind should be 'train' or 'steptime'"
    keys = _keys(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(keys)!r}" + _hint(keys[-1], {name for s in _SCHEMAS for name in s.model_fields})
    if first["type"] == "missing":
        return f"{'.'.join(keys)} is missing"
    return f"{'.'.join(keys)} = {first['input']!r}: {message}"


def _first(error: ValidationError) -> Any:
    """A misspelled key comes before the one that is missing for it."""
    errors = error.errors(include_url=False)
    return next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])


def _keys(location: Iterable[int | str]) -> Keys:
    """A complaint's place in the file, without what the validation adds: the kind of suite, and that a key is bad."""
    keys = tuple(str(key) for key in location if key != "[key]")
    return keys[1:] if keys[:1] in (("train",), ("steptime",)) else keys or ("kind",)


def one_of(what: str, name: str, allowed: Iterable[str]) -> str:
    """`name`, if it is allowed; else raises `InputError` with what is, and the nearest one."""
    names = list(allowed)
    if name in names:
        return name
    raise InputError(f"unknown {what} {name!r}{_hint(name, names)}; allowed: {', '.join(names)}")


def _hint(name: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, allowed, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


_SETTINGS: tuple[type[Settings], ...] = (*ATTENTIONS.values(), ModelConfig, TrainConfig)
_FIELDS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]  # known only as it runs
    for model in _SETTINGS
    for name, field in model.model_fields.items()
    if name not in {"kind", "attention", *FROM_THE_DATA}
}
SETTINGS = sorted(_FIELDS)
"""Every name that a profile's settings, a suite and `--set` may give."""
_FIELDS["precision"] = TypeAdapter(Precision)
SUITE_SETTINGS = sorted(_FIELDS)
"""What a suite may give besides: `--precision` is an option of its own."""


def profiles() -> dict[str, Profile]:
    """Every profile of `profiles.toml`, in the file's order."""
    path = HERE / "profiles.toml"
    tables, text = _toml(path)
    found = {name: _validated(Profile.model_validate, table, path, text, (name,)) for name, table in tables.items()}
    for name, profile in found.items():
        _check_settings(path, text, _each(profile.settings, (name, "settings")), SETTINGS)
    return found


def suites(folder: Path = HERE / "suites") -> dict[str, Suite]:
    """Every suite of `suites/*.toml` by file name, in the order in which they are run."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        if not re.fullmatch(NAME, path.stem) or len(path.stem) > 50 or path.stem in RESERVED:
            raise InputError(
                f"{path}: a suite is named in small letters, digits and single hyphens, at most 50, and not pareto"
            )
        table, text = _toml(path)
        suite: Suite = _validated(_SUITE.validate_python, table, path, text)
        if isinstance(suite, TrainSuite):
            _check_settings(path, text, _settings(suite), SUITE_SETTINGS)
        for keys, complaint in _contradictions(suite):
            raise InputError(f"{path}:{line_of(text, keys)}: {complaint}")
        found[path.stem] = suite
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


Setting = tuple[Keys, str, Any]
"""Where in the file, which setting, and its value."""


def _settings(suite: TrainSuite) -> Iterator[Setting]:
    """All settings that a suite gives."""
    yield from _each_of(suite.grid, ("grid",))
    yield from _each(suite.base, ("base",))
    yield from _each_of((suite.quick and suite.quick.grid) or {}, ("quick", "grid"))
    for name, own in suite.own.items():
        yield from _each(own.settings, ("own", name, "settings"))
        yield from _each_of(own.match.among if own.match else {}, ("own", name, "match", "among"))


Complaint = tuple[Keys, str]
"""Where in the file, and what is wrong."""


def _contradictions(suite: Suite) -> Iterator[Complaint]:
    """What in one part of a suite does not fit another."""
    known = [*VARIANTS, *(suite.own if isinstance(suite, TrainSuite) else ())]
    for variant in suite.variants:
        if variant not in known:
            hint = _hint(variant, known)
            yield ("variants",), f"unknown variant {variant!r}{hint}; allowed: {', '.join(known)}"
    yield from _repeated(suite.variants, ("variants",))
    yield from _of_trainings(suite) if isinstance(suite, TrainSuite) else _of_step_times(suite)


def _repeated(values: Sequence[Any], keys: Keys) -> Iterator[Complaint]:
    for value in values:
        if values.count(value) > 1:
            yield keys, f"{'.'.join(keys)} names {value!r} twice"


def _of_step_times(suite: StepTimeSuite) -> Iterator[Complaint]:
    for profile in ("quick", "tutorial", "full"):
        for scope in ("core", "model"):
            for variant in getattr(getattr(suite, profile), scope).variants or ():
                if variant not in suite.variants:
                    keys = (profile, scope, "variants")
                    yield keys, f"{'.'.join(keys)} names {variant!r}, which is none of {', '.join(suite.variants)}"


def _of_trainings(suite: TrainSuite) -> Iterator[Complaint]:
    yield from _repeated(suite.draw, ("draw",))
    if suite.base_variant not in (None, *suite.variants):
        yield ("base_variant",), f"base_variant {suite.base_variant!r} is none of {', '.join(suite.variants)}"
    if "differences" in suite.draw and not suite.base and suite.base_variant is None:
        yield ("draw",), "differences are drawn from a base: give a base_variant, a [base], or both"
    for name in suite.own:
        yield from _of_own(suite, name)
    yield from _repeated([own.title for own in suite.own.values()], ("own",))
    for keys, grid in ((("grid",), suite.grid), (("quick", "grid"), (suite.quick and suite.quick.grid) or {})):
        for setting, values in grid.items():
            yield from _repeated(values, (*keys, setting))
            if setting not in suite.grid:
                yield (*keys, setting), f"{'.'.join(keys)} varies {setting}, which the grid does not"
    if suite.base and suite.base.keys() != suite.grid.keys():
        yield ("base",), f"base names {', '.join(suite.base)}, and the grid {', '.join(suite.grid)}"
    for where, grid in (("the grid", suite.grid), ("quick.grid", suite.quick_grid)):
        for name in suite.base.keys() & grid.keys():
            if suite.base[name] not in grid[name]:
                yield ("base", name), f"base names {name} = {suite.base[name]!r}, which is not in {where}"


def _of_own(suite: TrainSuite, name: str) -> Iterator[Complaint]:
    own = suite.own[name]
    if name in VARIANTS or name not in suite.variants:
        yield ("own", name), f"own.{name} {'is a preset' if name in VARIANTS else 'is none of the variants'}"
    among: Grid = own.match.among if own.match else {}
    if own.match and (own.match.variant not in suite.variants or _is_matched(suite, own.match.variant)):
        yield ("own", name, "match", "variant"), f"{own.match.variant!r} is no variant whose settings are given"
    for setting, values in among.items():
        yield from _repeated(values, ("own", name, "match", "among", setting))
    given = [(("own", name, "settings"), own.settings), (("own", name, "match", "among"), among)]
    for keys, setting in [((*keys, setting), setting) for keys, settings in given for setting in settings]:
        if setting in suite.grid:
            yield keys, f"own.{name} sets {setting}, which the grid varies"
        if setting in own.settings and setting in among:
            yield keys, f"own.{name} sets {setting}, and matches by it too"
        if setting in {*TrainConfig.model_fields, *ModelConfig.model_fields}:
            yield keys, f"own.{name} sets {setting}, which is the same for all variants: they differ in their attention"
        elif setting not in type(VARIANTS[own.preset].attention).model_fields:
            yield keys, f"own.{name} sets {setting}, which {own.preset} does not have"


def _is_matched(suite: TrainSuite, variant: str) -> bool:
    return variant in suite.own and suite.own[variant].match is not None


def _each(settings: Mapping[str, Any], keys: Keys) -> Iterator[Setting]:
    return (((*keys, name), name, value) for name, value in settings.items())


def _each_of(grid: Grid, keys: Keys) -> Iterator[Setting]:
    return (((*keys, name), name, value) for name, values in grid.items() for value in values)


def _check_settings(path: Path, text: str, settings: Iterable[Setting], allowed: list[str]) -> None:
    """Every setting's name and value against `ModelConfig` and `TrainConfig`."""
    for keys, name, value in settings:
        where = f"{path}:{line_of(text, keys)}"
        try:
            _FIELDS[one_of("setting", name, allowed)].validate_python(value)
            if isinstance(value, bool):
                raise InputError(f"{'.'.join(keys)} = {str(value).lower()}: no setting is true or false")
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"].replace("Input should", "should")
            raise InputError(f"{where}: {'.'.join(keys)} = {value!r}: {message}") from None


def _toml(path: Path) -> tuple[dict[str, Any], str]:
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from None


def _validated(validate: Callable[[Any], T], table: Any, path: Path, text: str, above: Keys = ()) -> T:
    try:
        return validate(table)
    except ValidationError as error:
        keys = (*above, *_keys(_first(error)["loc"]))
        raise InputError(f"{path}:{line_of(text, keys)}: {explain(error)}") from None


def line_of(text: str, keys: Keys) -> int:
    """The line of a TOML text, from 1, that sets `keys`, or else the nearest table around it.

    tomllib does not tell; a line of a multi-line string that looks like a key may be taken for one.
    """
    table: Keys = ()
    best: tuple[int, int] = (0, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+([^\]]+)\]", line):
            here = table = _split(header[1])
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = (*table, *_split(key[1]))
        else:
            continue
        if keys[: len(here)] == here and len(here) > best[0]:
            best = len(here), number
    return best[1]


def _split(dotted: str) -> Keys:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
