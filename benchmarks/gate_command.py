"""Finds what any command times in both trees: it prints {"case": seconds}."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from benchmarks import worktree
from benchmarks.gate_pairs import Program, ProgramError, alone, last_line
from benchmarks.gate_programs import Compared, StepSeconds, read
from benchmarks.inputs import InputError, one_of
from models.settings import Name
from results.gates import Side

SETUP_SECONDS = 3600
DESCRIBE = """import importlib.metadata, json, platform
packages = {found.name: found.version for found in importlib.metadata.distributions() if found.name}
print(json.dumps([platform.python_version(), packages]))"""
"""Python that prints its own version and those of its packages."""


def _in_a_list(value: object) -> object:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


OneEach = dict[Name, Annotated[tuple[StepSeconds], BeforeValidator(_in_a_list)]]
ONE_EACH: TypeAdapter[Any] = TypeAdapter(Annotated[OneEach, Field(min_length=1)])


@dataclass(frozen=True)
class Command:
    """A shell's command that prints {"case": seconds}. It runs in the folder `within` of each tree, where the shell's
    command `setup`, if there is one, ran once."""

    command: str
    setup: str | None
    within: PurePath


def cases_of_command(
    command: Command, trees: Mapping[Side, Path], sides: Mapping[Side, str], chosen: Sequence[str], scratch: Path
) -> Compared:
    """Returns the cases that a command prints in both trees, `chosen` ones or all, after one run in each.

    A setup gets a virtual environment of its own for each tree, in which the command then runs: neither side imports
    what the other one installed. Without a setup PYTHONPATH begins with the folder in which it runs and the tree, each
    with its folder `src`. Raises `InputError`, also where the command names the working tree, which is one side alone.
    """
    for text in filter(None, (command.command, command.setup)):
        _require_no_path_into(trees["head"], text)
    programs: dict[Side, Program] = {}
    for side, tree in trees.items():
        folder = tree / command.within
        if not folder.is_dir():
            raise ProgramError(sides[side], f"has no folder {command.within}, in which the command would run")
        variables = _variables(tree, trees["head"])
        if command.setup is not None:
            variables = _set_up(command.setup, folder, scratch / side, variables, sides[side])
        else:
            own = dict.fromkeys([folder, folder / "src", tree, tree / "src"])
            above = [str(place) for place in own if place.is_dir()]
            variables["PYTHONPATH"] = os.pathsep.join([*above, *filter(None, [variables.get("PYTHONPATH")])])
        programs[side] = Program(sides[side], command.command, folder, variables)
    found = {side: read(ONE_EACH, alone(program, seed=0), sides[side]) for side, program in programs.items()}
    for name in chosen:
        one_of("case", name, sorted(found["base"].keys() | found["head"].keys()))
    names = tuple(dict.fromkeys(chosen or sorted(found["base"].keys() | found["head"].keys())))
    for name in names:
        for side in trees:
            if name not in found[side]:
                raise ProgramError(sides[side], f"has no case {name}: choose others with --case")
    python, versions = _described(programs["head"])
    return Compared(programs, ONE_EACH, names, (), python, versions)


def _require_no_path_into(tree: Path, text: str) -> None:
    """Raises `InputError` where a command names what is versioned of a tree: both sides would run that, and not theirs.

    What is not, such as an environment in the tree, both may use.
    """
    for path in re.findall(rf"{re.escape(str(tree))}(?![\w.-])[^\s'\"`;:&|<>()]*", text):
        if worktree.git(tree, "ls-files", "--", path):
            raise InputError(
                f"{path} is of the working tree, and both sides would run it: name it from the current folder"
            )


def _variables(tree: Path, head: Path) -> dict[str, str]:
    """Returns this process's variables for a tree, without a hook's: PYTHONPATH names it where it named the head."""
    variables = worktree.without_hooks(os.environ)
    if given := variables.get("PYTHONPATH"):
        paths = [Path(path) for path in given.split(os.pathsep) if path]
        moved = [tree / path.relative_to(head) if path.is_relative_to(head) else path for path in paths]
        variables["PYTHONPATH"] = os.pathsep.join(map(str, moved))
    return variables


def _set_up(setup: str, folder: Path, environment: Path, variables: Mapping[str, str], side: str) -> dict[str, str]:
    """Makes a virtual environment, runs a shell's command in it, and returns the variables that enter it."""
    python = shutil.which("python3", path=variables.get("PATH")) or sys.executable
    entered = {name: value for name, value in variables.items() if name != "PYTHONHOME"}
    entered["PATH"] = os.pathsep.join([str(environment / "bin"), *filter(None, [variables.get("PATH")])])
    entered["VIRTUAL_ENV"] = str(environment)
    for command in ((python, "-m", "venv", str(environment)), setup):
        try:
            done = subprocess.run(
                command,
                shell=isinstance(command, str),
                cwd=folder,
                env=entered,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SETUP_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise ProgramError(side, f"cannot be set up: no end in {SETUP_SECONDS // 60} min") from None
        if done.returncode:
            why = last_line(done.stdout, f"exit {done.returncode}")
            raise ProgramError(side, f"cannot be set up: {why}", done.stdout)
    return entered


def _described(program: Program) -> tuple[str, dict[str, str]]:
    """Returns the versions of the Python that a program finds and of its packages; of none where it finds none."""
    python = shutil.which("python", path=program.variables.get("PATH")) or sys.executable
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run([python, "-c", DESCRIBE], capture_output=True, env=program.variables, timeout=60)
        found, packages = json.loads(done.stdout)
        return str(found), {str(name): str(number) for name, number in sorted(packages.items())}
    return "unknown", {}
