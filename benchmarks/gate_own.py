"""Finds this project's own cases of the gate in both trees, and compares what needs no clock."""

import os
import platform
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks import worktree
from benchmarks.environment import isolated, worker_variables
from benchmarks.gate_pairs import Program, ProgramError, alone
from benchmarks.gate_programs import Compared, Times, read
from benchmarks.inputs import one_of
from results.fields import Frozen
from results.gates import Side

BACKEND = "tensorflow"
PROCESS = Path(__file__).with_name("gate_process.py")
TURNS = 16
"""Of each case in a process: two seconds' time."""
THREADS = 1
"""On a shared machine two threads alternate every few seconds between two speeds, a factor of 1.5 apart; one thread
does not (docs/timing-gate.md)."""


def own_cases(trees: Mapping[Side, Path], sides: Mapping[Side, str], chosen: Sequence[str], scratch: Path) -> Compared:
    """Returns this project's gate cases, `chosen` ones or all. Raises `InputError` for one that both do not share."""
    (scratch / "keras.json").write_text("{}")  # Keras may refuse the user's
    variables = isolated(worktree.without_hooks(os.environ)) | worker_variables(BACKEND, THREADS)
    variables |= {"KERAS_HOME": str(scratch)}

    def program(side: Side, *asked: str) -> Program:
        command = (sys.executable, "-P", str(PROCESS), *asked)
        return Program(sides[side], command, trees[side], variables | {"PYTHONPATH": str(trees[side])})

    counts = TypeAdapter(dict[str, Counted])
    counted = {side: read(counts, alone(program(side), seed=0), sides[side]) for side in trees}
    names = compared_cases(counted, chosen, sides)
    return Compared(
        programs={side: program(side, str(TURNS), *names) for side in trees},
        output=TypeAdapter(Times),
        names=tuple(names),
        changes=(*changed_counts(counted, names), *changed_dependencies(trees["base"], trees["head"])),
        python=platform.python_version(),
        versions={name: version(name) for name in ("keras", BACKEND, "numpy")},
    )


class Counted(Frozen):
    """What needs no clock of a case: its shape, which identifies it, and its counts by name."""

    shape: dict[str, Any]
    counts: dict[str, int]


def compared_cases(
    counted: Mapping[Side, Mapping[str, Counted]], chosen: Sequence[str], sides: Mapping[Side, str]
) -> list[str]:
    """Returns the cases to time: the chosen ones, or all.

    Raises `InputError` for one that is unknown, and `ProgramError` for one that both sides do not share.
    """
    base, head = counted["base"], counted["head"]
    known = sorted(base.keys() | head.keys())
    for name in chosen:
        one_of("case", name, known)
    for name in chosen or known:
        if name in base and name in head:
            if changed := _changed(base[name].shape, head[name].shape, None):
                words = "; ".join(f"{key} is {before} at BASE, {after} here" for key, before, after in changed)
                raise ProgramError(sides["head"], f"has another case {name}: {words}")
            continue
        lacking: Side = "head" if name in base else "base"
        here, there = counted[lacking], head if lacking == "base" else base
        for other in here.keys() - there.keys():
            if here[other] == there[name]:
                raise ProgramError(sides[lacking], f"calls case {name} {other}: renamed cases cannot be compared")
        raise ProgramError(sides[lacking], f"has no case {name}: choose others with --case ({', '.join(sorted(here))})")
    return list(dict.fromkeys(chosen or known))


def changed_counts(counted: Mapping[Side, Mapping[str, Counted]], names: Sequence[str]) -> list[str]:
    """Words the changes of parameters, multiply-adds, and kinds and numbers of operations, per case."""
    changes = {name: _changed(counted["base"][name].counts, counted["head"][name].counts, 0) for name in names}
    return [
        f"{name}: {', '.join(f'{what} {before:,} -> {after:,}' for what, before, after in changed)}"
        for name, changed in changes.items()
        if changed
    ]


def _changed(base: Mapping[str, Any], head: Mapping[str, Any], lacking: Any) -> list[tuple[str, Any, Any]]:
    """Lists key, value of the base and value of the head, where they differ; `lacking` stands for none."""
    both = ((key, base.get(key, lacking), head.get(key, lacking)) for key in {**base, **head})
    return [(key, before, after) for key, before, after in both if before != after]


def changed_dependencies(base: Path, head: Path) -> list[str]:
    """Warns where both ask for other packages: both sides are timed with those that are installed."""
    if differing := _dependencies(base) ^ _dependencies(head):
        named = ", ".join(sorted(differing))
        return [f"dependencies ({named}): both sides ran with what is installed here, so their cost is not seen"]
    return []


def _dependencies(tree: Path) -> set[str]:
    with suppress(OSError, tomllib.TOMLDecodeError, KeyError):
        return set(tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"])
    return set()
