"""The history of a machine's gates -> a page of step times over time, with their change points: trends, no gate."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view

from report import words
from report.groups import processor
from report.parts import Figure, render
from report.plot import INK, drawn
from results import files, gates
from results.gates import CaseVerdict, Gate, GateError, Machine

PACKAGES = {"tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy"}
FEWEST_GATES = 3
"""Fewer on one side of a change point tell nothing of it."""
FARTHEST, PENALTY = 5, 5.0


@dataclass(frozen=True)
class Change:
    """From one gate on, a case's step takes `ratio` times as long as it did since the change before.

    `own` is what that gate itself found, base and head side by side: a commit that slows the step down shows there.
    """

    place: int
    commit: str
    started: str
    ratio: float
    own: CaseVerdict


@dataclass(frozen=True)
class Upgrade:
    """From one gate on, other versions were installed: what changes there is not the commit's alone."""

    place: int
    started: str
    versions: str


@dataclass(frozen=True)
class Trend:
    """One case on one machine, gate by gate, oldest first; seconds of the head's step."""

    case: str
    machine: str
    step_seconds: tuple[float, ...]
    changes: tuple[Change, ...]
    upgrades: tuple[Upgrade, ...]
    figure: Figure


def build(history: Path) -> tuple[Path, tuple[Trend, ...]]:
    """Writes the page beside the history. Raises `GateError` where there is nothing to draw."""
    found = gates.read_history(history)
    if not found:
        raise GateError(
            f"{history} holds no gate; record one with: python -m benchmarks.regress BASE --record {history}"
        )
    found_trends = trends(found)
    page = history.with_name(f"{history.stem}.html")
    files.replace(page, render("history.html.j2", {}, trends=found_trends, gates=found).encode())
    return page, found_trends


def trends(found: Sequence[Gate]) -> tuple[Trend, ...]:
    """Each case on each machine, gate by gate."""
    series: dict[tuple[str, str], list[tuple[Gate, CaseVerdict]]] = defaultdict(list)
    for gate in sorted(found, key=lambda gate: gate.started):
        for case in gate.verdict.cases:
            series[case.case, processor(gate.machine)].append((gate, case))
    return tuple(_trend(number, *key, values) for number, (key, values) in enumerate(sorted(series.items())))


def _trend(number: int, case: str, machine: str, values: Sequence[tuple[Gate, CaseVerdict]]) -> Trend:
    seconds = [value.head_seconds for _, value in values]
    found = [gate for gate, _ in values]
    upgrades = tuple(
        Upgrade(place, found[place].started, versions)
        for place in range(1, len(found))
        if (versions := _differing(_versions(found[place - 1].machine), _versions(found[place].machine)))
    )
    parts = pairwise([0, *(upgrade.place for upgrade in upgrades), len(seconds)])
    places = [start + place for start, end in parts for place in change_points(seconds[start:end])]
    bounds = sorted({0, *places, *(upgrade.place for upgrade in upgrades), len(seconds)})
    means = [math.exp(float(np.mean(np.log(seconds[a:b])))) for a, b in pairwise(bounds)]
    changes = tuple(
        Change(place, (gate.head_commit or "unknown")[:7], gate.started, after / before, own)
        for place, (before, after) in zip(bounds[1:-1], pairwise(means), strict=True)
        if place in places
        for gate, own in [values[place]]
    )

    def paint(axes: list[Axes], on_phone: bool) -> None:
        (ax,) = axes
        ax.plot(range(1, len(seconds) + 1), [s * 1e3 for s in seconds], ".-", color=INK, linewidth=0.8)
        for (start, end), mean in zip(pairwise(bounds), means, strict=True):
            ax.plot([start + 0.5, end + 0.5], [mean * 1e3] * 2, color=INK, linewidth=2.5, alpha=0.5)
        for change in changes:
            ax.axvline(change.place + 0.5, color=INK, linewidth=0.8, linestyle=":")
        for upgrade in upgrades:
            ax.axvline(upgrade.place + 0.5, color=INK, linewidth=0.8, linestyle="--")
        ax.set(xlabel="gate, oldest first", ylabel="step (ms)", ylim=(0, 1.15e3 * max(seconds)))

    alt = (
        f"{len(seconds)} gates from {words.significant(seconds[0] * 1e3)} to {words.significant(seconds[-1] * 1e3)} ms"
    )
    alt += "".join(f"; since gate {change.place + 1} {change.ratio:.2f} times" for change in changes)
    alt += "".join(f"; at gate {upgrade.place + 1} {upgrade.versions}" for upgrade in upgrades)
    seen = "; ".join(f"{change.ratio:.2f} times as long since gate {change.place + 1}" for change in changes)
    title = f"{case}: {seen or 'no change point'}"
    figure = drawn(f"history-{number}", title, alt, f"{machine}.", paint, height=2.4, phone_height=2.4)
    return Trend(case, machine, tuple(seconds), changes, upgrades, figure)


def _versions(machine: Machine) -> dict[str, str]:
    """What a step is computed by, for people."""
    return {"Python": machine.python, **{PACKAGES.get(name, name): of for name, of in machine.versions.items()}}


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """For example "TensorFlow 2.20.0 -> 2.21.0"; "" where nothing differs."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}" for name in names)


def change_points(step_seconds: Sequence[float]) -> list[int]:
    """Returns the places from which on the step takes another time: PELT on the logarithms, penalised by 5 s^2 ln n.

    The noise s is the largest of gates that are 1 to 5 apart, from the median of their differences: neighbours may be
    alike, and a change does not count as noise. It is at least 0.1 %. What is more than 3 s from the median of five
    gates is drawn to it first: one slow gate is no change. Sources: Killick, Fearnhead and Eckley 2012,
    arXiv:1101.1438, by the package ruptures; tests/studies/history.py measures how often it is right.
    """
    import ruptures  # only here: a page without a history needs none of it

    n = len(step_seconds)
    if n < 2 * FEWEST_GATES:
        return []
    logs = np.log(step_seconds)
    apart = range(1, max(1, min(FARTHEST, n // 8)) + 1)  # one change touches less than a quarter of the differences
    noise = max(1e-3, *(float(np.median(np.abs(logs[lag:] - logs[:-lag]))) / 0.6745 / math.sqrt(2) for lag in apart))
    noise *= 1 + 4 / n  # which few gates tell of with little certainty
    medians = np.median(sliding_window_view(np.pad(logs, 2, mode="reflect"), 5), axis=1)
    calm = np.clip(logs, medians - 3 * noise, medians + 3 * noise)
    search = ruptures.Pelt(model="l2", min_size=FEWEST_GATES, jump=1).fit(calm.reshape(-1, 1))
    return [int(place) for place in search.predict(pen=PENALTY * math.log(n) * noise**2)[:-1]]
