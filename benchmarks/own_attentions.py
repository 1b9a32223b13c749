"""Attentions of the user's own files: read here, and run in a worker, which tells their settings, claims and costs."""

import hashlib
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from benchmarks.executors import Given, ask
from benchmarks.plan import Plan
from benchmarks.suite import LARGEST_BYTES, NAME, SHARED, InputError, explain, explained
from models.attentions.own import OwnAttention
from models.config import VARIANTS
from models.cost import Cost, Part
from results.trials import CoreStepTrial, Trial

TAKEN = {"kind", "source_sha256"}
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
    """The parts of the cost at a size, None where the file does not tell them, and what does not agree with them."""

    parts: tuple[Part, ...] | None
    remark: str


def described(paths: Iterable[Path], backend: str, given: Mapping[str, str]) -> dict[str, OwnAttention]:
    """Runs each file in a worker and returns its attention by name: the file's, in small letters with hyphens.

    `given` are settings as text; those that an attention has are its own. Raises `InputError` with the file.
    """
    found: dict[str, OwnAttention] = {}
    for path in paths:
        with explained(f"--attention {path}"):
            name, source = _name(path), _source(path)
            if name in found:
                raise InputError(f"another file is {name}, too; rename one")
            found[name] = ask(backend, _describe, path.name, source, dict(given))
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


def _source(path: Path) -> str:
    try:
        if path.is_file() and (size := path.stat().st_size) > LARGEST_BYTES:
            raise InputError(f"{size:,} bytes; at most {LARGEST_BYTES:,} are read")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise InputError(f"{why}; expected a file that defines an Attention and its AttentionLayer") from None


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
            found = ask(backend, _cost, of_file)
        told |= zip(of_file, found, strict=True)
        notes += [f"{file} {one.remark}" for one in found if one.remark][:1]
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

NOT_TOLD = "does not tell its cost: multiply-adds are missing, and estimates leave it out"


def _describe(file: str, source: str, given: Mapping[str, str]) -> OwnAttention:
    from models.layers.own import defined, own_kind

    def read() -> OwnAttention:
        attention, _ = defined(file, source)
        names = [name for name in attention.model_fields if name != "kind"]
        mine = {name: text for name, text in given.items() if name in names}
        made = attention.model_validate({"kind": own_kind(attention), **mine})
        return OwnAttention(
            file=file,
            source_sha256=hashlib.sha256(source.encode()).hexdigest(),
            settings=tuple((name, getattr(made, name)) for name in names),
            grows=attention.grows,
            role=attention.role,
            source=source,
        )

    return _explained(file, read)


def _cost(sizes: Sequence[Size]) -> list[Told]:
    run: set[tuple[str, str]] = set()
    found = []
    for size in sizes:
        case = size.attention.model_dump_json(), size.precision
        found.append(_explained(size.attention.file, partial(_examined, size, case not in run)))
        run.add(case)
    return found


def _examined(size: Size, runs: bool) -> Told:
    """Builds the layer at a size, and runs a training step of it where asked."""
    import keras
    import numpy as np

    from benchmarks.environment import configure_keras
    from benchmarks.steptime import layer_step
    from models.build import build_attention
    from models.layers.own import configured

    configure_keras(size.precision)
    attention = configured(size.attention)
    attention.require_width(size.dim)
    layer = build_attention(size.attention)
    layer.build((2, size.patches, size.dim))
    if runs:
        x = np.random.default_rng(0).standard_normal((2, size.patches, size.dim), np.float32)
        layer_step(layer, x, "train")[0]()
    parts = attention.parts(size.dim, size.patches)
    if parts is None:
        return Told(None, NOT_TOLD)
    told = Cost(tuple(parts))
    counted = {"parameters": (told.parameters, sum(int(np.prod(w.shape)) for w in layer.trainable_weights))}
    remark = ""
    if keras.backend.backend() == "tensorflow":
        from benchmarks.products import UncountableError, counted_multiply_adds

        try:
            graph = counted_multiply_adds(lambda x: layer(x, training=False), (1, size.patches, size.dim))
            counted["multiply-adds"] = told.multiply_adds + told.weight_multiply_adds, graph
        except UncountableError as error:
            remark = f"has products in {error} that are not counted: its multiply-adds are as it tells them"
    if wrong := [f"{tells:,} {what} and not {has:,}" for what, (tells, has) in counted.items() if tells != has]:
        where = f"at {size.patches} patches of {size.dim} features"
        remark = f"tells another cost than its layer has, {where}: {', '.join(wrong)}"
    return Told(told.parts, remark)


def _explained(file: str, run: Callable[[], Given]) -> Given:
    """Makes whatever a file raises an `InputError` of one line, with the file's line that raised."""
    try:
        return run()
    except Exception as error:
        first, line = _origin(error, file)
        where = f"line {line}: " if line else ""
        words = explain(first) if isinstance(first, ValidationError) else " ".join(str(first).split())
        raise InputError(f"{where}{type(first).__name__}: {words[:300]}; {HOW}") from None


def _origin(error: BaseException, file: str) -> tuple[BaseException, int | None]:
    """Returns the first of a chain of errors that a line of the file raised, and that line.

    Keras raises another error for each layer that one passes through.
    """
    if isinstance(error, SyntaxError):
        return error, error.lineno
    chain = [error]
    while before := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(before)
    for one in reversed(chain):
        if lines := [frame.lineno for frame in traceback.extract_tb(one.__traceback__) if frame.filename == file]:
            return one, lines[-1]
    return error, None
