"""Two runs -> what changed between them: accuracy by seed, exact counts, and steps where the machine is the same."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from report import accuracy, growth, words
from report.accuracy import FEWEST_SEEDS, LARGEST_P, Training, full_name
from report.conditions import MACHINE, Conditions, machine_name, proper, same_machine
from report.incomplete import incomplete
from report.render import render
from report.table import NOTHING, Cell, Column, Table, interval
from results import stats, store
from results.metrics import TOP1
from results.records import Environment
from results.stats import Interval
from results.store import Run, StoreError

SAME, CHANGED, NOT_SHOWN, FEW = "the same", "changed", "not significant", "too few for a test"
NO_SEED = "no seed in common"
WHERE = (*MACHINE, "backend", "precision")
"""Conditions that tell where and how something ran, not what."""
EXACT = 5e-7
"""A share is recorded with more digits than its images have; two that differ by less are equal."""


@dataclass(frozen=True)
class Change:
    """One figure of one subject in both runs, in `unit`, and the change: a difference, or a ratio of times.

    `p_value` is that of the change on its own, None where nothing was tested.
    """

    subject: str
    figure: str
    unit: str
    before: Cell
    now: Cell
    change: Cell
    verdict: str
    p_value: float | None = None

    @property
    def is_change(self) -> bool:
        return self.verdict not in (SAME, NOT_SHOWN, FEW, NO_SEED)

    def __str__(self) -> str:
        values = f"{self.before.text} -> {self.now.text} {self.unit}".strip()
        return ", ".join([self.subject, self.figure, *([values] if self.now.value is not None else []), self.verdict])


@dataclass(frozen=True)
class Comparison:
    """All that two runs have in common, or one of them lacks.

    `incomplete` says what either run could not give, `refused` why step times are not compared; `environments` names
    what differs in how they ran: what, there, here.
    """

    run: str
    other: str
    changes: tuple[Change, ...]
    incomplete: tuple[str, ...]
    refused: tuple[str, ...]
    environments: tuple[tuple[str, str, str], ...]


class Subject(Protocol):
    """Records taken alike: a training's seeds, or a case of step time over its processes."""

    @property
    def conditions(self) -> Conditions: ...
    @property
    def machines(self) -> tuple[Environment, ...]: ...


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Both(Generic[S]):
    """What one run and the other have of the same subject."""

    name: str
    now: S | None
    before: S | None


def build(folder: Path, other: Path) -> tuple[Path, Comparison]:
    """Writes the comparison's page into `folder`. Raises `StoreError`, `OSError`."""
    run, other_run = _load(folder), _load(other)
    name, other_name = _names(folder, other)
    found = compare(run, other_run, name, other_name)
    page = folder / f"against-{other_name}.html"
    store.replace(page, render("compare.html.j2", {}, comparison=found, table=table(found)).encode())
    return page, found


def _load(folder: Path) -> Run:
    run = store.load(folder)
    if not (run.trainings or run.step_times):
        raise StoreError(
            f"{folder} holds no readable result to compare; give a run's folder, such as results/runs/quick"
        )
    return run


def _names(folder: Path, other: Path) -> tuple[str, str]:
    """The folders' own names; of two that are alike the second is told by its parent too."""
    name, theirs = folder.resolve(), other.resolve()
    return name.name, theirs.name if theirs.name != name.name else f"{theirs.parent.name}-{theirs.name}"


def compare(run: Run, other: Run, name: str, other_name: str) -> Comparison:
    """What changed from `other` to `run`.

    Claims are adjusted by Holm's method: those of accuracy for all of them, those of times and memory for all of them.
    A training counts once, however many suites ask for it.
    """
    trainings = list(_both(*(_trainings(each) for each in (run, other))))
    cases = list(_both(*(_cases(each) for each in (run, other))))
    only = {"now": f"only in {name}", "before": f"only in {other_name}"}
    costs = [cost for both in trainings for cost in _training_costs(both)]
    costs += [cost for both in cases for cost in _case_costs(both)]
    changes = [
        *_adjusted([change for both in trainings for change in _accuracy(both)]),
        *(change for both in trainings for change in _counts(both)),
        *_adjusted(_ratios(costs)),
        *(_lone(both.name, "training", only["now" if both.now else "before"]) for both in _lonely(trainings)),
        *(_lone(both.name, "step time", only["now" if both.now else "before"]) for both in _lonely(cases)),
    ]
    return Comparison(
        name,
        other_name,
        tuple(changes),
        tuple(
            f"{whose} is not whole: {', '.join(told)}."
            for whose, told in ((name, incomplete(run)), (other_name, incomplete(other)))
            if told
        ),
        tuple(_refusals([*trainings, *cases], name, other_name)),
        _environments(run, other),
    )


def _adjusted(changes: list[Change]) -> list[Change]:
    """The changes of one family, with those significant that Holm's adjustment leaves."""
    adjusted = iter(stats.holm([change.p_value for change in changes if change.p_value is not None]))
    return [
        replace(change, verdict=CHANGED) if change.p_value is not None and next(adjusted) <= LARGEST_P else change
        for change in changes
    ]


@dataclass(frozen=True)
class Case:
    """A curve's point, with its curve's conditions."""

    name: str
    conditions: Conditions
    machines: tuple[Environment, ...]
    point: growth.StepTime


def _trainings(run: Run) -> dict[tuple[str, Conditions], tuple[str, Training]]:
    """Each training once, named by the first suite that asked for it."""
    found: dict[tuple[str, Conditions], tuple[str, Training]] = {}
    for study in accuracy.studies(run):
        for training in study.trainings:
            name = f"{study.title}: {full_name(training)}"
            found.setdefault((training.variant, training.conditions), (name, training))
    return found


def _cases(run: Run) -> dict[tuple[str, Conditions], tuple[str, Case]]:
    found = {}
    for curve in growth.curves(run.step_times):
        for point in curve.points:
            name = f"{growth.SCOPES[curve.scope]}, {growth.PHASES[curve.phase]}, {proper(curve)}, N = {point.patches:,}"
            key = f"{curve.suite} {curve.scope} {curve.phase} {curve.variant} {point.patches}"
            found[key, curve.conditions] = name, Case(name, curve.conditions, (curve.environment,), point)
    return found


def _both(now: Mapping[Any, tuple[str, S]], before: Mapping[Any, tuple[str, S]]) -> Iterator[Both[S]]:
    """Subjects of the same settings; where they ran tells them apart only if a run has several of the same."""
    apart = any(len({_key(key, ()) for key in side}) < len(side) for side in (now, before))
    ours, theirs = ({_key(key, WHERE if apart else ()): value for key, value in side.items()} for side in (now, before))
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        name = (ours.get(key) or theirs[key])[0]
        yield Both(name, *(side[key][1] if key in side else None for side in (ours, theirs)))


def _key(key: tuple[str, Conditions], where: Iterable[str]) -> tuple[str, Conditions]:
    name, conditions = key
    return name, tuple(pair for pair in conditions if pair[0] not in WHERE or pair[0] in where)


def _lonely(boths: Iterable[Both[S]]) -> list[Both[S]]:
    return [both for both in boths if both.now is None or both.before is None]


def _lone(subject: str, figure: str, verdict: str) -> Change:
    nothing = Cell(NOTHING)
    return Change(subject, figure, "", nothing, nothing, nothing, verdict)


def _accuracy(both: Both[Training]) -> Iterator[Change]:
    """Test top-1, paired by seed."""
    if both.now is None or both.before is None:
        return
    values = both.now.by_seed(TOP1), both.before.by_seed(TOP1)
    resolution = TOP1.resolution(both.now.records[0])
    difference = stats.paired_difference(*values, resolution=resolution)
    if difference is None:
        yield _lone(both.name, TOP1.test_title, NO_SEED)
        return
    equal = all(abs(values[0][seed] - values[1][seed]) < EXACT for seed in values[0].keys() & values[1].keys())
    p_value = None
    if not equal and difference.n >= FEWEST_SEEDS:
        p_value = stats.paired_p_value(*values, resolution=resolution)
    unit = words.UNITS[TOP1.unit]
    told = interval(difference, unit.difference, unit.scale)
    before, now = (interval(side.mean(TOP1), unit.value, unit.scale) for side in (both.before, both.now))
    yield Change(
        both.name,
        TOP1.test_title,
        TOP1.unit,
        before,
        now,
        replace(told, text=f"{words.difference(TOP1, difference)}, n = {difference.n}"),
        SAME if equal else FEW if p_value is None else NOT_SHOWN,
        p_value,
    )


def _counts(both: Both[Training]) -> Iterator[Change]:
    """Parameters and multiply-adds, which are exact."""
    if both.now is None or both.before is None:
        return
    for figure, name in (("parameters", "parameters"), ("multiply_adds", "multiply-adds")):
        now, before = (getattr(side.records[0], figure) for side in (both.now, both.before))
        change = Cell("", 0) if now == before else Cell(f"{now - before:+,}", now - before)
        cells = Cell(f"{before:,}", before), Cell(f"{now:,}", now)
        yield Change(both.name, name, "", *cells, change, SAME if now == before else CHANGED)


@dataclass(frozen=True)
class Cost:
    """What one subject costs in the processes of both runs, in SI units; `scale` makes it one of `unit`."""

    subject: str
    figure: str
    unit: str
    now: Sequence[float]
    before: Sequence[float]
    scale: float


def _training_costs(both: Both[Training]) -> Iterator[Cost]:
    if both.now is None or both.before is None or not _same_machine(both.now, both.before):
        return
    for figure, unit, scale, now, before in (
        ("training step", "ms", 1e3, both.now.seconds_by_process, both.before.seconds_by_process),
        ("training memory", "MiB", 2.0**-20, both.now.bytes_by_process, both.before.bytes_by_process),
    ):
        if now and before:
            yield Cost(both.name, figure, unit, now, before, scale)


def _case_costs(both: Both[Case]) -> Iterator[Cost]:
    if both.now is None or both.before is None or not _same_machine(both.now, both.before):
        return
    now, before = both.now.point, both.before.point
    yield Cost(both.name, "step", "ms", now.seconds_by_process, before.seconds_by_process, 1e3)
    if min(*now.bytes_by_process, *before.bytes_by_process) > 0:
        yield Cost(both.name, "peak memory", "MiB", now.bytes_by_process, before.bytes_by_process, 2.0**-20)


def _ratios(costs: Sequence[Cost]) -> list[Change]:
    """Each cost in both runs by the ratio of its geometric means; the cases of one figure share their spreads."""
    found: dict[int, tuple[Interval, float | None]] = {}
    for figure in dict.fromkeys(cost.figure for cost in costs):
        places = [place for place, cost in enumerate(costs) if cost.figure == figure]
        of_figure = stats.ratios([(costs[place].now, costs[place].before) for place in places])
        found |= dict(zip(places, of_figure, strict=True))
    return [_ratio(cost, *found[place]) for place, cost in enumerate(costs)]


def _ratio(cost: Cost, ratio: Interval, p_value: float | None) -> Change:
    return Change(
        cost.subject,
        cost.figure,
        cost.unit,
        interval(stats.geometric_mean_interval(cost.before), words.significant, cost.scale),
        interval(stats.geometric_mean_interval(cost.now), words.significant, cost.scale),
        replace(interval(ratio, words.two_places), text=f"{words.plain(ratio)} times"),
        FEW if p_value is None else NOT_SHOWN,
        p_value,
    )


def _same_machine(now: Subject, before: Subject) -> bool:
    """Whether both ran on one machine, and the same."""
    ours, theirs = now.machines, before.machines
    return len(ours) == len(theirs) == 1 and same_machine(ours[0], theirs[0])


def _refusals(boths: Iterable[Both[Any]], name: str, other: str) -> Iterator[str]:
    """A sentence for each pair of machines whose step times were not compared."""
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for both in boths:
        if both.now is not None and both.before is not None and not _same_machine(both.now, both.before):
            pairs[_machines(both.now), _machines(both.before)] += 1
    for (now, before), count in pairs.items():
        yield (
            f"Step times and memory of {count} {'subject' if count == 1 else 'subjects'} are not compared: {name} ran "
            f"on {now}; {other} on {before}. A ratio would tell of the machines, not of what was run on them."
        )


def _machines(subject: Subject) -> str:
    return " and ".join(sorted(map(machine_name, subject.machines)))


def _environments(run: Run, other: Run) -> tuple[tuple[str, str, str], ...]:
    """What differs in how the two ran: commits, versions, machines, data."""
    now, before = _told(run), _told(other)
    return tuple(
        (name, before.get(name, NOTHING), now.get(name, NOTHING))
        for name in [*now, *(name for name in before if name not in now)]
        if now.get(name) != before.get(name)
    )


def _told(run: Run) -> dict[str, str]:
    """Each property of a run's environments, with all values that it has in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for environment in run.environments:
        for name, value in _properties(environment):
            found[name].add(value)
    for training in run.trainings:
        found[f"images of {training.dataset}"].add(training.dataset_sha256[:12])
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _properties(environment: Environment) -> Iterator[tuple[str, str]]:
    yield "commit", (environment.commit or "unknown")[:7] + (" with uncommitted changes" if environment.dirty else "")
    for name in ("python", "backend", "jit", "precision", *MACHINE):
        yield name, str(getattr(environment, name))
    yield "memory", f"{environment.memory_bytes / 2**30:.1f} GiB"
    yield from environment.versions.items()


CAPTION = """Before and now, and what became of it. Accuracy is paired by seed; a change is significant from three pairs
on and up to p = 0.05 (paired t-test, adjusted by Holm's method for all of them), and "the same" where every seed gave
the same. Steps and memory are compared by the ratio of their geometric means, with a 95 % interval of each on its own,
from three processes on either side. They are significant up to p = 0.05, adjusted for all of them: from ten cases of a
figure on by the moderated t test, which draws each case's spread towards that of all, and else by Welch's. A change of
days or of load shows in them as one of code does."""


def table(comparison: Comparison) -> Table:
    """Every change and everything that did not change, a row each."""
    columns = (
        Column("subject", "what"),
        Column("figure", "figure"),
        Column("unit", "unit"),
        Column("before", f"before: {comparison.other}", number=True),
        Column("now", f"now: {comparison.run}", number=True),
        Column("change", "change", number=True),
        Column("verdict", "verdict"),
    )
    rows = tuple(
        (Cell(c.subject), Cell(c.figure), Cell(c.unit), c.before, c.now, c.change, Cell(c.verdict))
        for c in comparison.changes
    )
    unchanged = frozenset(place for place, change in enumerate(comparison.changes) if not change.is_change)
    return Table("changes", "What changed", CAPTION, columns, rows, "subject", unchanged)
