"""What a timing gate measured and decided: `gate.json` of one, and the history of many as JSON lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from results import store
from results.records import Count, Frozen, Positive, Seconds, Share
from results.trials import Name

FILE = "gate.json"
Side = Literal["base", "head"]
Decision = Literal["slower", "clean", "inconclusive", "go on"]
Pair = tuple[float, float]
"""Median step seconds of two processes that ran one after the other: of the base, and of what is held against it."""
Ratio = Annotated[float, Field(gt=0, le=1e9)]
Slowdown = Annotated[float, Field(ge=0, le=1e30)]


class GateError(Exception):
    """A file is no gate's; the message says which and what to do."""


class Design(Frozen):
    """How a gate decides; declared before anything is measured.

    After each number of pairs in `looks` it may stop. `alphas` are the looks' shares of the chance that a gate with
    nothing in it claims a slowdown; their sum bounds it. A slowdown fails the gate where it is proven and at least
    `floor`; a gate that could not have seen one of `detectable` with the chance `power` is inconclusive. After
    `most_seconds` the next look is taken with the pairs that there are, and is the last.
    """

    looks: tuple[Positive, ...]
    alphas: tuple[Share, ...]
    floor: Share
    detectable: Slowdown
    steps: Positive
    power: Share = 0.95
    most_seconds: Annotated[float, Field(ge=0, le=1e9)] = 600


class CaseVerdict(Frozen):
    """One case: how much longer its step takes than the base's, with a 95 % interval, and what that says.

    `p_value` is one-sided, of Student's paired test on the logarithms, adjusted by Holm's method for all cases.
    `detectable` is the smallest slowdown that this many pairs with this much noise would have found.
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
    """All cases after one look. `unstable` names those in which two processes of the same code differ by the same rule:
    the clock of this machine cannot be believed then."""

    decision: Decision
    cases: Annotated[tuple[CaseVerdict, ...], Field(min_length=1)]
    unstable: tuple[str, ...]


class Block(Frozen):
    """Four fresh processes in the order of `sides`: two pairs, each of a base and a head that ran one after the other.

    `seconds` holds each process's median step by case. `swapped`, drawn by chance, says which of two processes of the
    same code stands for the other side where code is held against itself.
    """

    sides: tuple[Side, Side, Side, Side]
    seconds: tuple[dict[str, Seconds], dict[str, Seconds], dict[str, Seconds], dict[str, Seconds]]
    swapped: bool


class Machine(Frozen):
    """Where a gate ran."""

    cpu: str
    threads: Positive
    python: str
    versions: dict[str, str]


class Gate(Frozen):
    """One gate: its two sides, its design, all that it measured, and its verdict. `changes` needed no clock."""

    schema_version: Literal[1] = 1
    base: str
    base_commit: str
    head_commit: str | None
    dirty: bool
    command: str
    started: str
    machine: Machine
    design: Design
    blocks: tuple[Block, ...]
    changes: tuple[str, ...]
    verdict: GateVerdict

    @field_validator("verdict")
    @classmethod
    def _has_decided(cls, verdict: GateVerdict) -> GateVerdict:
        if verdict.decision == "go on":
            raise ValueError("its decision is to go on")
        return verdict


def pairs(blocks: Sequence[Block]) -> dict[str, list[Pair]]:
    """Case -> (base, head) of every pair."""
    found: dict[str, list[Pair]] = {}
    for block in blocks:
        for first in (0, 2):
            base, head = (first, first + 1) if block.sides[first] == "base" else (first + 1, first)
            for case in block.seconds[0]:
                found.setdefault(case, []).append((block.seconds[base][case], block.seconds[head][case]))
    return found


def same_code_pairs(blocks: Sequence[Block]) -> dict[str, list[Pair]]:
    """Case -> pairs of processes of the same code, as many as of different code."""
    found: dict[str, list[Pair]] = {}
    for block in blocks:
        for side in ("base", "head"):
            one, other = (place for place in range(4) if block.sides[place] == side)
            if block.swapped:
                one, other = other, one
            for case in block.seconds[0]:
                found.setdefault(case, []).append((block.seconds[one][case], block.seconds[other][case]))
    return found


def sentence(gate: Gate) -> str:
    """The verdict, and why."""
    cases, unstable = gate.verdict.cases, gate.verdict.unstable
    pairs_of = f"{cases[0].pairs} pairs of processes"
    if gate.verdict.decision == "slower":
        named = ", ".join(f"{c.case} by {c.ratio - 1:.1%}" for c in cases if c.verdict == "slower")
        return f"Slower: {named}; proven in {pairs_of} and above the floor of {gate.design.floor * 100:g} %."
    if gate.verdict.decision == "clean":
        most = max(case.detectable for case in cases)
        return f"No slowdown shown in {pairs_of}; one of {most:.1%} would have been seen in every case."
    if unstable:
        return (
            f"Inconclusive: processes of the same code differ by the gate's own rule ({', '.join(unstable)}), so that "
            "its clock cannot be believed. Is something else running? Run it again on a quieter machine."
        )
    blind = ", ".join(c.case for c in cases if c.verdict == "too noisy to tell")
    return (
        f"Inconclusive: in {pairs_of} a slowdown of {gate.design.detectable:.0%} could have been missed ({blind}). "
        "Run it again on a quieter machine, or with --long."
    )


def write(folder: Path, gate: Gate) -> None:
    """Writes `gate.json` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    store.replace(folder / FILE, (gate.model_dump_json(indent=1) + "\n").encode())


def read(folder: Path) -> Gate | None:
    """The folder's gate, if it has one. Raises `GateError` for one that cannot be read."""
    return _gate(_content(folder / FILE), FILE) if (folder / FILE).exists() else None


def read_history(path: Path) -> tuple[Gate, ...]:
    """All gates of a history, oldest first; none where there is no file yet.

    Raises `GateError` for a line that is no gate.
    """
    found, broken = read_history_so_far(path)
    for reason in broken.values():
        raise GateError(f"{path}{reason.removeprefix(path.name)}")
    return found


def read_history_so_far(path: Path) -> tuple[tuple[Gate, ...], dict[str, str]]:
    """The gates of a history that can be read, and for each line that cannot its number and the reason."""
    found, broken = [], {}
    try:
        lines = _content(path).splitlines() if path.exists() else []
    except GateError as error:
        return (), {path.name: str(error)}
    for number, line in enumerate(lines, start=1):
        where = f"{path.name}:{number}"
        try:
            found += [_gate(line, where)] if line.strip() else []
        except GateError as error:
            broken[where] = str(error)
    return tuple(found), broken


def append(path: Path, gate: Gate) -> None:
    """Adds a gate to a history, in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        cut_off = file.tell() and not path.read_bytes().endswith(b"\n")
        file.write((("\n" if cut_off else "") + gate.model_dump_json() + "\n").encode())


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise GateError(f"{path.name} is a folder; name a file, such as history.jsonl")
    try:
        return store.content(path)
    except OSError as error:
        raise GateError(f"{path.name} cannot be read: {error.strerror}") from None
    except store.StoreError as error:
        raise GateError(f"{path.name} {error}") from None


def _gate(text: bytes, where: str) -> Gate:
    try:
        return Gate.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first["loc"] else first["msg"]
        raise GateError(f"{where} is not what a gate writes ({what}): name another file, or move it away") from None
