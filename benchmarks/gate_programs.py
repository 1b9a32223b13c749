"""Times a program of each side in pairs of processes, and reads what they print."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from benchmarks.gate_pairs import Program, ProgramError, alone, duet
from models.settings import Name
from results.fields import Seconds
from results.gates import Pair, Side

StepSeconds = Annotated[Seconds, Field(strict=True)]
Times = dict[Name, Annotated[tuple[StepSeconds, ...], Field(min_length=1)]]
"""What a process tells: case -> the mean step seconds of each of its turns, or one value."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Compared:
    """What a gate times: each side's program and how its output is read, the names of the cases, what changed without
    any clock, and the versions of what computes."""

    programs: Mapping[Side, Program]
    output: TypeAdapter[Any]
    names: tuple[str, ...]
    changes: tuple[str, ...]
    python: str
    versions: Mapping[str, str]

    def times(self, first: Side, cores: tuple[int, int] | None, seed: int) -> dict[Side, Times]:
        """Times the cases of both sides in fresh processes, at once on two cores or one after the other.

        Raises `ProgramError`.
        """
        order: tuple[Side, Side] = ("base", "head") if first == "base" else ("head", "base")
        one, other = (self.programs[side] for side in order)
        printed = duet((one, other), cores, seed) if cores else (alone(one, seed), alone(other, seed))
        return {side: self._times(side, text) for side, text in zip(order, printed, strict=True)}

    def _times(self, side: Side, printed: bytes) -> Times:
        found = read(self.output, printed, self.programs[side].side)
        for name in self.names:
            if name not in found:
                raise ProgramError(self.programs[side].side, f"cannot be measured: it printed no {name} this time")
        return {name: found[name] for name in self.names}


def pair(first: Side, times: Mapping[Side, Mapping[str, Sequence[float]]], in_duet: bool) -> Pair:
    """Returns the pair of two processes that took these times."""
    base, head = times["base"], times["head"]
    ratio = _ratio_of_turns if in_duet else _ratio_of_medians
    return Pair(
        first=first,
        base={name: statistics.median(base[name]) for name in base},
        head={name: statistics.median(head[name]) for name in base},
        ratios={name: ratio(base[name], head[name]) for name in base},
    )


def _ratio_of_turns(base: Sequence[float], head: Sequence[float]) -> float:
    """Returns the median over the turns, which both sides took at the same moment."""
    return statistics.median(after / before for before, after in zip(base, head, strict=True))


def _ratio_of_medians(base: Sequence[float], head: Sequence[float]) -> float:
    return statistics.median(head) / statistics.median(base)


def read(kind: TypeAdapter[Found], printed: bytes, side: str) -> Found:
    """Reads JSON: all that was printed, or else its last line. Raises `ProgramError`."""
    lines = printed.strip().splitlines()
    for text in (printed, lines[-1] if lines else b""):
        try:
            return kind.validate_json(text)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
    if wrong["type"] == "json_invalid":
        raise ProgramError(
            side,
            'cannot be measured: it printed no JSON such as {"case": 0.012}, of seconds, as its last line',
            printed,
        )
    of = "".join(f" for {part}" for part in wrong["loc"][:1])
    raise ProgramError(side, f"cannot be measured: it printed a wrong value{of}: {wrong['msg']}", printed)
