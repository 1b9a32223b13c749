"""Attentions of the user's own files: read here, and run in a worker, which tells their settings, claims and costs."""

import hashlib
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmarks.executors import ask
from benchmarks.inputs import InputError
from benchmarks.plan import Plan
from benchmarks.suite import LARGEST_BYTES, NAME, SHARED, explain, explained
from models.attentions.own import OwnAttention
from models.config import VARIANTS
from models.cost import Cost, Part
from models.settings import Value
from results import files
from results.trials import CoreStepTrial, Trial

Given = TypeVar("Given")

TAKEN = {"kind", "file"}
HOW = "docs/adding-an-attention.md has a file that works"


@dataclass(frozen=True)
class Size:
    """What a trial asks of an attention: how many patches of how many features, in which precision."""

    attention: OwnAttention
    dim: int
    patches: int
    precision: str


@dataclass(frozen=True)
class Told:
    """Holds the parts of the cost at a size, None where the file reports none, and what a reader should know of it."""

    parts: tuple[Part, ...] | None
    remark: str


ANSWERS: TypeAdapter[list[Told]] = TypeAdapter(list[Told])


def described(paths: Iterable[Path], backend: str, given: Mapping[str, str]) -> dict[str, OwnAttention]:
    """Runs each file in a worker and returns its attention by name: the file's, in small letters with hyphens.

    `given` are settings as text; those that an attention has are its own. Raises `InputError` with the file.
    """
    found: dict[str, OwnAttention] = {}
    for path in paths:
        with explained(f"--attention {path}"):
            path = path.expanduser()
            name, source = _name(path), _source(path)
            if name in found:
                raise InputError(f"another file is {name}, too; rename one")
            told = ask(backend, _describe, path.name, source, dict(given))
            sha256 = hashlib.sha256(source).hexdigest()
            found[name] = OwnAttention(file=path.name, source_sha256=sha256, source=source, **told)
            for setting, _ in found[name].settings:
                if setting in SHARED | TAKEN:
                    raise InputError(f"its setting {setting} is another's name; rename it")
    return found


def _name(path: Path) -> str:
    name = path.stem.lower().replace("_", "-")
    if path.suffix != ".py" or not re.fullmatch(NAME, name) or len(name) > 50:
        raise InputError("expected a .py file whose name is of letters, digits and single _ or -, at most 50")
    if name in VARIANTS:
        raise InputError(f"{name} is a variant that is here already; rename the file")
    return name


def _source(path: Path) -> bytes:
    try:
        with files.open_plain(path) as file:
            source = file.read(LARGEST_BYTES + 1)
    except (OSError, files.StoreError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{why}; expected a file that defines an Attention and its AttentionLayer") from None
    if len(source) > LARGEST_BYTES:
        raise InputError(f"more than {LARGEST_BYTES:,} bytes; at most so many are read")
    return source


def costed(plan: Plan, backend: str) -> Plan:
    """Returns the plan with the cost of each trial's own attention, and what a reader should know of these as notes.

    A worker builds each attention at each size that the plan has, and runs a training step of it at the smallest.
    Raises `InputError` where it raises, or gives another shape than it got.
    """
    sizes = {trial: size for trial in plan.trials if (size := _size(trial))}
    by_file: dict[str, list[Size]] = {}
    for size in sorted(dict.fromkeys(sizes.values()), key=lambda size: size.patches):
        by_file.setdefault(size.attention.file, []).append(size)
    told: dict[Size, Told] = {}
    notes = []
    for file, of_file in by_file.items():
        with explained(f"--attention {file}"):
            found = ANSWERS.validate_python(ask(backend, _cost, of_file))
        told |= zip(of_file, found, strict=True)
        version = f"{file} ({of_file[0].attention.source_sha256[:7]})"
        notes += [f"{version} {one.remark}" for one in found if one.remark][:1]
    trials = tuple(_with_parts(trial, told[sizes[trial]].parts) if trial in sizes else trial for trial in plan.trials)
    return replace(plan, trials=trials, notes=(*plan.notes, *notes))


def _size(trial: Trial) -> Size | None:
    if not isinstance(trial.attention, OwnAttention):
        return None
    dim = trial.dim if isinstance(trial, CoreStepTrial) else trial.model.embedding_dim
    patches = trial.patches if isinstance(trial, CoreStepTrial) else trial.model.patches
    return Size(trial.attention, dim, patches, trial.precision)


def _with_parts(trial: Trial, parts: tuple[Part, ...] | None) -> Trial:
    attention = trial.attention.model_copy(update={"told": parts})
    if isinstance(trial, CoreStepTrial):
        return trial.model_copy(update={"attention": attention})
    return trial.model_copy(update={"model": trial.model.model_copy(update={"attention": attention})})


# What follows runs in a worker.


def _describe(file: str, source: bytes, given: Mapping[str, str]) -> dict[str, Any]:
    from models.layers.own import defined, own_kind

    def read() -> dict[str, Any]:
        attention, _ = defined(file, source)
        names = [name for name in attention.model_fields if name not in ("kind", "grows", "role")]
        mine = {name: text for name, text in given.items() if name in names}
        made = attention.model_validate({"kind": own_kind(attention), **mine})
        settings = {name: _plain(f"its setting {name}", getattr(made, name)) for name in names}
        grows = made.grows and {"time": made.grows.time, "memory": made.grows.memory}
        OwnAttention(file=file, source_sha256="0" * 64, settings=settings, grows=grows, role=made.role)
        return {"settings": settings, "grows": grows, "role": made.role}

    return _explained(file, read)


def _plain(what: str, value: Any) -> Value:
    """Returns a setting's value as what JSON knows."""
    kinds: tuple[type, ...] = (bool, int, float, str)
    kind = next((kind for kind in kinds if isinstance(value, kind)), None)
    if value is not None and (kind is None or (kind is float and not math.isfinite(value))):
        raise ValueError(f"{what} is {value!r}: expected a text, a finite number, true, false or None")
    return None if kind is None else kind(value)


def _cost(sizes: Sequence[Size]) -> list[dict[str, Any]]:
    run: set[tuple[str, str]] = set()
    found = []
    for size in sizes:
        case = size.attention.model_dump_json(), size.precision
        found.append(asdict(_explained(size.attention.file, partial(_examined, size, case not in run))))
        run.add(case)
    return found


def _examined(size: Size, runs: bool) -> Told:
    """Builds the layer at a size, unless no trial of it would fit, and runs a training step of it where asked."""
    import keras
    import numpy as np

    from benchmarks import memory
    from benchmarks.environment import configure_keras
    from benchmarks.steptime import layer_step
    from models.build import build_attention
    from models.layers.own import configured

    attention = configured(size.attention)
    if any(getattr(attention, name) != value for name, value in size.attention.settings):
        raise ValueError("a validator changes its settings each time")
    configure_keras(size.precision)
    attention.require_width(size.dim)
    parts = attention.parts(size.dim, size.patches)
    told = None if parts is None else Cost(tuple(map(_checked, parts)))
    if told:
        try:
            memory.require(told, FEW, "train", size.precision)
        except memory.TooLargeError:
            return Told(told.parts, "")
    layer = build_attention(size.attention)
    layer.build((FEW, size.patches, size.dim))
    layer.layer(keras.KerasTensor((None, size.patches, size.dim), layer.compute_dtype))  # as a whole model has it
    if runs:
        x = np.random.default_rng(0).standard_normal((FEW, size.patches, size.dim), np.float32)
        layer_step(layer, x, "train")[0]()
    if told is None:
        return Told(None, "reports no cost: its multiply-adds are missing, and estimates leave it out")
    counted = {"parameters": (told.parameters, sum(int(np.prod(w.shape)) for w in layer.trainable_weights))}
    remark = ""
    if keras.backend.backend() == "tensorflow":
        from benchmarks.products import UncountableError, counted_multiply_adds

        try:
            graph = counted_multiply_adds(lambda x: layer(x, training=False), (1, size.patches, size.dim))
            counted["multiply-adds"] = told.multiply_adds + told.weight_multiply_adds, graph
        except UncountableError as error:
            remark = f"has products in {error} that are not counted: its multiply-adds are as it reports them"
    if wrong := [
        f"{reported:,} {what} and not {has:,}" for what, (reported, has) in counted.items() if reported != has
    ]:
        where = f"at {size.patches} patches of {size.dim} features"
        remark = f"reports another cost than its layer has, {where}: {', '.join(wrong)}"
    return Told(told.parts, remark)


FEW = 2
"""Images of a batch that an attention is tried with."""
LARGEST_COUNT = 2**62


def _checked(part: Any) -> Part:
    """Returns a part of a cost whose counts are whole numbers of a size that a record holds."""
    values = {field.name: getattr(part, field.name) for field in fields(Part)}
    for name, value in values.items():
        if name not in ("name", "one_for_all"):
            if not isinstance(value, numbers.Integral) or not 0 <= int(value) < LARGEST_COUNT:
                raise ValueError(f"its part {part.name!r} has {name} = {value!r}: expected a whole number from 0 on")
            values[name] = int(value)
    return Part(**values | {"name": str(part.name), "one_for_all": bool(part.one_for_all)})


def _explained(file: str, run: Callable[[], Given]) -> Given:
    """Makes whatever a file raises an `InputError` of one line, with the file's line that raised."""
    from models.layers.own import raised

    try:
        return run()
    except BaseException as error:
        first, line = raised(error, file)
        where = f"line {line}: " if line else ""
        try:
            words = explain(first) if isinstance(first, ValidationError) else " ".join(str(first).split())
        except Exception:
            words = "an error that cannot be written"
        raise InputError(f"{where}{type(first).__name__}: {words[:300]}; {HOW}") from None
