"""Holds what a timing gate measured and decided: `gate.json` of one, and the history of many as JSON lines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
"""Median step seconds of two processes that ran one after the other: of the base, and of what is compared with it."""
Ratio = Annotated[float, Field(gt=0, le=1e9)]
Slowdown = Annotated[float, Field(ge=0, le=1e30)]


class GateError(Exception):
    """A file is no gate's; the message says which and what to do."""


class Design(Frozen):
    """How a gate decides; declared before anything is measured.

    `looks` are its interim analyses, each after a number of pairs, and `alphas` their parts of the chance of a false
    alarm, which their sum bounds. A slowdown fails the gate if it is significant and at least `floor`. A gate whose
    minimum detectable slowdown at this `power` is above `detectable` is inconclusive. After `most_seconds` the next
    analysis takes the pairs that there are, and is the last.
    """

    looks: tuple[Positive, ...]
    alphas: tuple[Share, ...]
    floor: Share
    detectable: Slowdown
    steps: Positive
    power: Share = 0.95
    most_seconds: Annotated[float, Field(ge=0, le=1e9)] = 600


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
    """All cases after one analysis. `unstable` names those in which processes of the same code differ by the same
    rule: this machine's clock cannot be trusted then."""

    decision: Decision
    cases: Annotated[tuple[CaseVerdict, ...], Field(min_length=1)]
    unstable: tuple[str, ...]


class Block(Frozen):
    """Four fresh processes in the order of `sides`: two pairs, each of a base and a head that ran one after the other.

    `seconds` holds each process's median step by case. `swapped`, drawn by chance, orders the two processes of the
    same code where it is compared with itself.
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
    """One gate: its two sides, its design, all that it measured, and its verdict. `changes` were not timed."""

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
    firsts = ((block, first) for block in blocks for first in (0, 2))
    return _pairs(
        (block, block.sides.index("base", first), block.sides.index("head", first)) for block, first in firsts
    )


def same_code_pairs(blocks: Sequence[Block]) -> dict[str, list[Pair]]:
    """Case -> pairs of processes of the same code, as many as of different code."""
    found = []
    for block in blocks:
        for side in ("base", "head"):
            one, other = (place for place in range(4) if block.sides[place] == side)
            found.append((block, other, one) if block.swapped else (block, one, other))
    return _pairs(found)


def _pairs(places: Iterable[tuple[Block, int, int]]) -> dict[str, list[Pair]]:
    """Case -> the seconds of two processes of a block, by their places in it."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for block, one, other in places:
        for case in block.seconds[0]:
            found[case].append((block.seconds[one][case], block.seconds[other][case]))
    return found


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %"


def sentence(gate: Gate) -> str:
    """Words the verdict and its reason."""
    cases, unstable = gate.verdict.cases, gate.verdict.unstable
    pairs_of = f"{cases[0].pairs} pairs of processes"
    if gate.verdict.decision == "slower":
        named = ", ".join(f"{c.case} by {_percent(c.ratio - 1)}" for c in cases if c.verdict == "slower")
        return f"Slower: {named}; significant in {pairs_of} and at least {gate.design.floor * 100:g} %."
    if gate.verdict.decision == "clean":
        most = _percent(max(case.detectable for case in cases))
        return f"No slowdown shown in {pairs_of}; the minimum detectable slowdown is at most {most} (95 % power)."
    if unstable:
        return (
            f"Inconclusive: processes of the same code differ by the gate's own rule ({', '.join(unstable)}), so that "
            "its clock cannot be believed. Is something else running? Run it again on a quieter machine."
        )
    blind = ", ".join(c.case for c in cases if c.verdict == "too noisy to tell")
    return (
        f"Inconclusive: {pairs_of} could miss a slowdown of {gate.design.detectable * 100:.0f} % ({blind}). "
        "Run it again on a quieter machine, or with --long."
    )


def write(folder: Path, gate: Gate) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store.replace(folder / FILE, (gate.model_dump_json(indent=1) + "\n").encode())


def read(folder: Path) -> Gate | None:
    """Reads the folder's gate, if it has one. Raises `GateError` for one that cannot be read."""
    return _gate(_content(folder / FILE), FILE) if (folder / FILE).exists() else None


def read_history(path: Path) -> tuple[Gate, ...]:
    """Reads a history, oldest gate first; a missing file has none. Raises `GateError` for a line that is no gate."""
    found, broken = read_history_so_far(path)
    for reason in broken.values():
        raise GateError(f"{path}{reason.removeprefix(path.name)}")
    return found


def read_history_so_far(path: Path) -> tuple[tuple[Gate, ...], dict[str, str]]:
    """Reads the readable gates of a history, and maps each other line's number to the reason."""
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
        raise GateError(f"{path.name} is a folder and no file")
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
