"""Which records are alike: the conditions under which they were taken, and the labels that tell groups apart."""

import json
import math
from collections import defaultdict
from collections.abc import Container, Iterable
from typing import Protocol

from report import words
from results.records import Environment
from results.trials import Conditions, Value

OURS, BASE = "eanet", "vit"
"""The variant whose step times are told, and the one that they are held against."""


class Named(Protocol):
    """What has a variant: `label` tells it from its namesakes, `title` is its variant's name for people."""

    @property
    def variant(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def title(self) -> str: ...


class Group(Named, Protocol):
    """Records that were taken under the same conditions."""

    @property
    def suite(self) -> str: ...
    @property
    def conditions(self) -> Conditions: ...


def text(value: Value) -> str:
    """A setting's value for people."""
    return value if isinstance(value, str) else json.dumps(value)


MACHINE = ("device", "cpu", "threads")
MEMORY_TOLERANCE = 0.1
"""A machine's memory differs a little from start to start; one with more or less than this is another machine."""


def same_machine(ours: Environment, theirs: Environment) -> bool:
    """Whether two machines are alike by all that their records tell."""
    alike = all(getattr(ours, name) == getattr(theirs, name) for name in MACHINE)
    return alike and math.isclose(ours.memory_bytes, theirs.memory_bytes, rel_tol=MEMORY_TOLERANCE)


def machines(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """The first environment of each machine."""
    found: list[Environment] = []
    for environment in environments:
        if not any(same_machine(environment, other) for other in found):
            found.append(environment)
    return tuple(found)


def machine_name(environment: Environment) -> str:
    """The machine for people: "A CPU, 2 threads, 24.0 GiB", with the device where something else computes."""
    memory = f"{environment.memory_bytes / 2**30:.1f} GiB"
    name = f"{environment.cpu}, {words.threads(environment.threads)}, {memory}"
    return name if environment.device == "cpu" else f"{environment.device} of {name}"


def labels(keys: Iterable[tuple[str, Conditions]], grid: tuple[str, ...] = ()) -> dict[tuple[str, Conditions], str]:
    """(variant, conditions) -> label: the variant, and the conditions in which its groups differ, the grid's apart."""
    by_variant: dict[str, list[Conditions]] = defaultdict(list)
    for variant, conditions in keys:
        by_variant[variant].append(conditions)
    found = {}
    for variant, groups in by_variant.items():
        differing = {
            name for group in groups for name, value in group if any((name, value) not in other for other in groups)
        }
        for group in groups:
            extra = ", ".join(
                f"{name}={text(value)}" for name, value in group if name in differing and bare(name) not in grid
            )
            found[variant, group] = variant + (f" ({extra})" if extra else "")
    return found


def bare(name: str) -> str:
    """A condition's name as `--set` has it: `attention.heads` -> `heads`."""
    return name.removeprefix("attention.")


def alike(ours: Group, base: Group, but_for: Container[str] = ()) -> bool:
    """Whether two groups share every condition that both have, their kind of attention apart, and what is in `but_for`.

    A dropout or a number of heads that both attentions have is such a condition too.
    """
    theirs = dict(base.conditions)
    shared = {
        name: value
        for name, value in ours.conditions
        if name in theirs and name != "attention.kind" and bare(name) not in but_for
    }
    return ours.suite == base.suite and all(theirs[name] == value for name, value in shared.items())


def proper(named: Named) -> str:
    """The label with the variant's name for people."""
    return named.label.replace(named.variant, named.title, 1)
