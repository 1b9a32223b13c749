"""Holds what a timing gate measured and decided: `gate.json` of one, and the history of many as JSON lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from models.settings import Name
from results import files
from results.fields import Count, Frozen, Positive, Seconds, Share

FILE = "gate.json"
Side = Literal["base", "head"]
Decision = Literal["slower", "clean", "inconclusive", "go on"]
Ratio = Annotated[float, Field(gt=0, le=1e30)]
Slowdown = Annotated[float, Field(ge=0, le=1e30)]


class GateError(Exception):
    """A file is no gate's; the message says which and what to do."""


class Design(Frozen):
    """How a gate decides; declared before anything is measured.

    `looks` are the interim analyses of a try, each after a number of pairs, and `alphas` their parts of the chance of a
    false alarm. A try that is inconclusive is followed by another, at most `tries` in all. The sum of `alphas`, times
    `tries`, bounds the chance of a false alarm. A slowdown fails the gate if it is significant and at least `floor`. A
    gate whose minimum detectable slowdown at this `power` is above `detectable` is inconclusive. After
    `most_seconds` of a try the next analysis takes the pairs that there are, and is the last.
    """

    looks: tuple[Positive, ...]
    alphas: tuple[Share, ...]
    floor: Share
    detectable: Slowdown
    power: Share = 0.95
    most_seconds: Annotated[float, Field(ge=0, le=1e9)] = 600
    tries: Positive = 1


class CaseVerdict(Frozen):
    """One case: how much longer its step takes than the base's, with a 95 % interval, and the verdict.

    `p_value` is one-sided, of Student's paired test on the logarithms, adjusted by Holm's method for all cases.
    `detectable` is the minimum detectable slowdown of this many pairs with this much noise.
    """

    case: Name
    base_seconds: Seconds
    head_seconds: Seconds
    ratio: Ratio
    low: Ratio
    high: Ratio
    pairs: Count
    p_value: Share
    detectable: Slowdown
    verdict: Literal["slower", "faster", "no slowdown shown", "too noisy to tell"]


class GateVerdict(Frozen):
    """All cases after one analysis."""

    decision: Decision
    cases: Annotated[tuple[CaseVerdict, ...], Field(min_length=1)]


class Pair(Frozen):
    """Two fresh processes, one of each side: at once on a core each (a duet), or one after the other.

    `first`, drawn by chance, is the side that began on the first core, or ran first. `base` and `head` hold each
    process's median by case. `ratios` hold how many times as long the head's step took: the median over the turns
    that both took at the same moment, or the ratio of the medians.
    """

    first: Side
    base: dict[Name, Seconds]
    head: dict[Name, Seconds]
    ratios: Annotated[dict[Name, Ratio], Field(min_length=1)]


class Machine(Frozen):
    """Where a gate ran."""

    cpu: str
    threads: Positive
    python: str
    versions: dict[str, str]


class Gate(Frozen):
    """One gate: its two sides, its design, all that it measured, and its verdict. `changes` were not timed.

    `in_duets` says that both processes of a pair ran at once. `earlier` are the pairs of tries that were inconclusive.
    """

    schema_version: Literal[2] = 2
    base: str
    base_commit: str
    head_commit: str | None
    dirty: bool
    command: str
    started: str
    machine: Machine
    design: Design
    in_duets: bool
    pairs: tuple[Pair, ...]
    earlier: tuple[Pair, ...] = ()
    changes: tuple[str, ...]
    verdict: GateVerdict

    @field_validator("verdict")
    @classmethod
    def _has_decided(cls, verdict: GateVerdict) -> GateVerdict:
        if verdict.decision == "go on":
            raise ValueError("its decision is to go on")
        return verdict

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, found: Any) -> Any:
        if not isinstance(found, dict) or found.get("schema_version") != 1:
            return found
        try:
            return _of_version_1(found)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise ValueError("its blocks cannot be read") from None


def _of_version_1(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a gate of version 1 in the form of version 2. It had blocks of four processes, one after the other."""
    pairs = []
    for block in found["blocks"]:
        for one, other in ((0, 1), (2, 3)):
            seconds = {block["sides"][place]: block["seconds"][place] for place in (one, other)}
            ratios = {case: seconds["head"][case] / seconds["base"][case] for case in seconds["base"]}
            pairs.append({"first": block["sides"][one], **seconds, "ratios": ratios})
    verdict = {name: value for name, value in found["verdict"].items() if name != "unstable"}
    design = {name: value for name, value in found["design"].items() if name != "steps"}
    kept = {name: value for name, value in found.items() if name != "blocks"}
    return kept | {"schema_version": 2, "design": design, "in_duets": False, "pairs": pairs, "verdict": verdict}


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %"


def sentence(gate: Gate) -> str:
    """Words the verdict and its reason."""
    cases = gate.verdict.cases
    pairs_of = f"{cases[0].pairs} pairs of processes"
    if gate.verdict.decision == "slower":
        named = ", ".join(f"{c.case} by {_percent(c.ratio - 1)}" for c in cases if c.verdict == "slower")
        return f"Slower: {named}; significant in {pairs_of} and at least {gate.design.floor * 100:g} %."
    if gate.verdict.decision == "clean":
        most = _percent(max(case.detectable for case in cases))
        return f"No slowdown shown in {pairs_of}; the minimum detectable slowdown is at most {most} (95 % power)."
    blind = ", ".join(c.case for c in cases if c.verdict == "too noisy to tell")
    twice = f"{gate.design.tries} tries, the last of " if gate.earlier else ""
    return (
        f"Inconclusive: {twice}{pairs_of} could miss a slowdown of {gate.design.detectable * 100:g} % ({blind}). "
        f"Stop what else computes and run it again, or ask for less with --floor {gate.design.detectable * 100:g}."
    )


def write(folder: Path, gate: Gate) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder / FILE, (gate.model_dump_json(indent=1) + "\n").encode())


def read(folder: Path) -> Gate:
    """Reads the folder's gate. Raises `GateError` where it has none, or one that cannot be read."""
    return _gate(_content(folder / FILE, FILE), FILE)


def read_history(path: Path) -> tuple[Gate, ...]:
    """Reads a history, oldest gate first; a missing file has none. Raises `GateError` for a line that is no gate."""
    lines = _content(path, str(path)).splitlines() if path.exists() else []
    return tuple(_gate(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip())


def append(path: Path, gate: Gate) -> None:
    """Adds a gate to a history, in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        cut_off = file.tell() and not path.read_bytes().endswith(b"\n")
        file.write((("\n" if cut_off else "") + gate.model_dump_json() + "\n").encode())


def _content(path: Path, name: str) -> bytes:
    if path.is_dir():
        raise GateError(f"{name} is a folder and no file")
    try:
        return files.content(path)
    except OSError as error:
        raise GateError(f"{name} cannot be read: {error.strerror}") from None
    except files.StoreError as error:
        raise GateError(f"{name} {error}") from None


def _gate(text: bytes, where: str) -> Gate:
    try:
        return Gate.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first["loc"] else first["msg"]
        raise GateError(f"{where} is not what a gate writes ({what}): name another file, or move it away") from None
