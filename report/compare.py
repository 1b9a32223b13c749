"""Two runs -> what changed between them: accuracy by seed, exact counts, and steps where the machine is the same."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from report import accuracy, growth, sentences, words
from report.groups import MACHINE, Training, machine_name, same_machine
from report.growth import StepTime
from report.parts import Cell, Column, Table, cell, render, table
from report.tested import FEWEST_SEEDS, LARGEST_P
from report.words import NOTHING
from results import differences, files, stats, store
from results.metrics import TOP1
from results.stats import Interval
from results.store import Run, StoreError

SAME, CHANGED, NOT_SHOWN, FEW = "the same", "changed", "not significant", "too few for a test"
NO_SEED = "no seed in common"
WHERE = (*MACHINE, "backend", "precision")
"""Conditions that tell where and how something ran, not what."""
NO_CELL = Cell(NOTHING)
EXACT = 5e-7
"""A share is recorded with more digits than its images have; two that differ by less are equal."""
ROUNDING = 1e-5
"""Two processors, or libraries, round differently: over an epoch that moves a training loss by less, as a share."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of one subject in both runs, in `unit`, and the change: a difference, or a ratio of times.

    `p_value` is that of the change on its own, None where nothing was tested.
    """

    subject: str
    figure: str
    unit: str = ""
    before: Cell = NO_CELL
    now: Cell = NO_CELL
    change: Cell = NO_CELL
    verdict: str
    p_value: float | None = None

    @property
    def is_change(self) -> bool:
        return self.verdict not in (SAME, NOT_SHOWN, FEW, NO_SEED)

    def __str__(self) -> str:
        values = f"{self.before.text} -> {self.now.text} {self.unit}".strip()
        return ", ".join([self.subject, self.figure, *([values] if self.now.value is not None else []), self.verdict])


@dataclass(frozen=True)
class Repeated:
    """How many trainings both runs have by their settings, seed and images; how many of these gave the same test
    accuracy, and how many began the same: with the same training loss of the first epoch, but for rounding."""

    count: int
    same: int
    began_the_same: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that two runs, by their names, have in common, or one of them lacks.

    `repeated` counts the trainings that were run twice. `incomplete` says what either run could not give, `refused` why
    step times are not compared; `environments` names what differs in how they ran: what, there, here.
    """

    run: str
    other: str
    changes: tuple[Change, ...]
    repeated: Repeated
    incomplete: tuple[str, ...]
    refused: tuple[str, ...]
    environments: tuple[tuple[str, str, str], ...]


def build(folder: Path, other: Path) -> tuple[Path, Comparison]:
    """Writes the comparison's page into `folder`. Raises `StoreError`, `OSError`."""
    run, other_run = _load(folder), _load(other)
    name, theirs = folder.resolve().name, other.resolve()
    other_name = theirs.name if theirs.name != name else f"{theirs.parent.name}-{theirs.name}"
    found = compare(run, other_run, name, other_name)
    page = folder / f"against-{other_name}.html"
    parts = {kind: [change for change in found.changes if change.is_change == kind] for kind in (True, False)}
    labels = {True: ("changes", "What changed"), False: ("unchanged", "What did not change")}
    made = [of_changes(found, part, *labels[kind]) for kind, part in parts.items() if part]
    content = render("compare.html.j2", {}, comparison=found, tables={one.key: one for one in made}, lead=lead(found))
    files.replace(page, content.encode())
    return page, found


def _load(folder: Path) -> Run:
    run = store.load(folder)
    if not (run.trainings or run.step_times):
        raise StoreError(
            f"{folder} holds no readable result to compare; give a run's folder, such as results/runs/quick"
        )
    return run


@dataclass(frozen=True)
class Subject:
    """Records taken alike: a training's seeds, or a case of step time over its processes. `what` names it without its
    conditions."""

    name: str
    what: tuple[str | int, ...]
    records: Training | StepTime

    def key(self, where: bool) -> Hashable:
        """What it shares with the other run's, with where it ran or without."""
        return self.what, tuple(pair for pair in self.records.conditions if where or pair[0] not in WHERE)


def _trainings(run: Run) -> list[Subject]:
    """Each training once, named by the first suite that asked for it."""
    found: dict[Hashable, Subject] = {}
    for study in accuracy.studies(run):
        for training in study.trainings:
            name = f"{study.title}: {training.full_name}"
            found.setdefault(training.key, Subject(name, (training.variant,), training))
    return list(found.values())


def _cases(run: Run) -> list[Subject]:
    found = []
    for point in (point for curve in growth.curves(run) for point in curve.points):
        scope, phase = point.first.scope, point.first.phase
        name = f"{sentences.SCOPES[scope]}, {sentences.PHASES[phase]}, {point.name}, N = {point.patches:,}"
        found.append(Subject(name, (point.suite, scope, phase, point.variant, point.patches), point))
    return found


@dataclass(frozen=True)
class Pair:
    """What both runs have of the same subject."""

    name: str
    now: Training | StepTime
    before: Training | StepTime

    @property
    def of_one_machine(self) -> bool:
        ours, theirs = self.now.machines, self.before.machines
        return len(ours) == len(theirs) == 1 and same_machine(ours[0], theirs[0])


def _paired(now: Sequence[Subject], before: Sequence[Subject]) -> tuple[list[Pair], list[Subject], list[Subject]]:
    """Subjects of the same settings, and those that one run alone has; where they ran tells them apart only if a run
    has several of the same."""
    where = any(len({subject.key(where=False) for subject in side}) < len(side) for side in (now, before))
    ours, theirs = ({subject.key(where): subject for subject in side} for side in (now, before))
    pairs = [Pair(own.name, own.records, theirs[key].records) for key, own in ours.items() if key in theirs]
    lone = [own for key, own in ours.items() if key not in theirs]
    return pairs, lone, [other for key, other in theirs.items() if key not in ours]


def compare(run: Run, other: Run, name: str, other_name: str) -> Comparison:
    """What changed from `other` to `run`.

    Claims are adjusted by Holm's method: those of accuracy for all of them, those of times and memory for all of them.
    A training counts once, however many suites ask for it.
    """
    kinds = {"training": _paired(_trainings(run), _trainings(other)), "step time": _paired(_cases(run), _cases(other))}
    pairs = [pair for of_kind, _, _ in kinds.values() for pair in of_kind]
    changes = [
        *_adjusted([change for pair in pairs for change in _accuracy(pair)]),
        *(change for pair in pairs for change in _counts(pair)),
        *_adjusted(_ratios([cost for pair in pairs if pair.of_one_machine for cost in _costs(pair)])),
        *(
            Change(subject=subject.name, figure=kind, verdict=f"only in {whose}")
            for kind, (_, *both) in kinds.items()
            for whose, lone in zip((name, other_name), both, strict=True)
            for subject in lone
        ),
    ]
    parts = {name: sentences.incomplete(run), other_name: sentences.incomplete(other)}
    return Comparison(
        run=name,
        other=other_name,
        changes=tuple(changes),
        repeated=_repeated(run, other),
        incomplete=tuple(f"{whose} is not whole: {', '.join(lacks)}." for whose, lacks in parts.items() if lacks),
        refused=tuple(_refusals(pairs, name, other_name)),
        environments=_environments(run, other),
    )


def _repeated(run: Run, other: Run) -> Repeated:
    """Counts the trainings that both runs have, and how far they went the same way."""
    before = {(record.trial_id, record.dataset_sha256): record for record in other.trainings}
    pairs = [
        (record, before[key]) for record in run.trainings if (key := (record.trial_id, record.dataset_sha256)) in before
    ]
    return Repeated(
        count=len(pairs),
        same=sum(abs(TOP1.read(now) - TOP1.read(then)) < EXACT for now, then in pairs),
        began_the_same=sum(
            math.isclose(now.epochs[0].loss, then.epochs[0].loss, rel_tol=ROUNDING) for now, then in pairs
        ),
    )


def reproducibility(comparison: Comparison) -> str:
    """Returns how many repeated trainings gave the same test accuracy, or at least began the same, as a sentence;
    nothing where none was repeated."""
    found = comparison.repeated
    if not found.count:
        return ""
    trainings = words.number_of(found.count, "repeated training")
    said = f"{found.same:,} of {trainings} gave the same test accuracy to the image"
    if found.same == found.count:
        return f"{said}."
    return f"{said}, {found.began_the_same:,} the same training loss of the first epoch to 0.001 %."


def _adjusted(changes: list[Change]) -> list[Change]:
    """The changes of one family, with those significant that Holm's adjustment leaves."""
    adjusted = iter(stats.holm([change.p_value for change in changes if change.p_value is not None]))
    return [
        replace(change, verdict=CHANGED) if change.p_value is not None and next(adjusted) <= LARGEST_P else change
        for change in changes
    ]


def _accuracy(pair: Pair) -> Iterator[Change]:
    """Test top-1, paired by seed."""
    if not (isinstance(pair.now, Training) and isinstance(pair.before, Training)):
        return
    (now, before), resolution = (pair.now.by_seed(TOP1), pair.before.by_seed(TOP1)), TOP1.resolution(pair.now.first)
    apart = differences.by_seed(((1, now), (-1, before)))
    if not apart:
        yield Change(subject=pair.name, figure=TOP1.test_title, verdict=NO_SEED)
        return
    found = differences.over_seeds(list(apart.values()), resolution * math.sqrt(2))
    equal = all(abs(value) < EXACT for value in apart.values())
    tested = not equal and found.n >= FEWEST_SEEDS
    unit = words.UNITS[TOP1.unit]
    parts = cell(found.interval, unit.difference, unit.scale)
    yield Change(
        subject=pair.name,
        figure=TOP1.test_title,
        unit=TOP1.unit,
        before=cell(pair.before.mean(TOP1), unit.value, unit.scale),
        now=cell(pair.now.mean(TOP1), unit.value, unit.scale),
        change=replace(parts, text=f"{words.difference(TOP1, found.interval)}, n = {found.n}"),
        verdict=SAME if equal else NOT_SHOWN if tested else FEW,
        p_value=found.p_value if tested else None,
    )


def _counts(pair: Pair) -> Iterator[Change]:
    """Parameters and multiply-adds, which are exact."""
    if not (isinstance(pair.now, Training) and isinstance(pair.before, Training)):
        return
    for figure, now, before in (
        ("parameters", pair.now.first.parameters, pair.before.first.parameters),
        ("multiply-adds", pair.now.first.multiply_adds, pair.before.first.multiply_adds),
    ):
        if now is None or before is None:
            continue
        yield Change(
            subject=pair.name,
            figure=figure,
            before=Cell(f"{before:,}", before),
            now=Cell(f"{now:,}", now),
            change=Cell("", 0) if now == before else Cell(f"{now - before:+,}", now - before),
            verdict=SAME if now == before else CHANGED,
        )


@dataclass(frozen=True)
class Cost:
    """What one subject costs in the processes of both runs, in SI units; `scale` makes it one of `unit`."""

    subject: str
    figure: str
    unit: str
    scale: float
    now: Sequence[float]
    before: Sequence[float]


def _costs(pair: Pair) -> Iterator[Cost]:
    step, memory = ("training step", "training memory") if isinstance(pair.now, Training) else ("step", "peak memory")
    for figure, unit, scale, now, before in (
        (step, "ms", 1e3, pair.now.seconds_by_process, pair.before.seconds_by_process),
        (memory, "MiB", 2.0**-20, pair.now.bytes_by_process, pair.before.bytes_by_process),
    ):
        if now and before and min(*now, *before) > 0:
            yield Cost(pair.name, figure, unit, scale, now, before)


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
        subject=cost.subject,
        figure=cost.figure,
        unit=cost.unit,
        before=cell(stats.geometric_mean_interval(cost.before), words.significant, cost.scale),
        now=cell(stats.geometric_mean_interval(cost.now), words.significant, cost.scale),
        change=replace(cell(ratio, words.two_places), text=f"{words.plain(ratio)} times"),
        verdict=FEW if p_value is None else NOT_SHOWN,
        p_value=p_value,
    )


def _refusals(pairs: Iterable[Pair], name: str, other: str) -> Iterator[str]:
    """A sentence for each pair of machines whose step times were not compared."""
    sides = [(pair.now.machines, pair.before.machines) for pair in pairs if not pair.of_one_machine]
    names = Counter(tuple(" and ".join(sorted(map(machine_name, side))) for side in both) for both in sides)
    for (now, before), count in names.items():
        yield (
            f"Step times and memory of {words.number_of(count, 'subject')} are not compared: {name} ran "
            f"on {now}; {other} on {before}. A ratio would tell of the machines, not of what was run on them."
        )


def _environments(run: Run, other: Run) -> tuple[tuple[str, str, str], ...]:
    """What differs in how the two ran: commits, versions, machines, data."""
    now, before = _told(run), _told(other)
    return tuple(
        (name, before.get(name, NOTHING), now.get(name, NOTHING))
        for name in now | before
        if now.get(name) != before.get(name)
    )


def _told(run: Run) -> dict[str, str]:
    """Each property of a run's environments, with all values that it has in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for environment in run.environments:
        changed = " with uncommitted changes" if environment.dirty else ""
        found["commit"].add(f"{(environment.commit or 'unknown')[:7]}{changed}")
        for name in ("python", "backend", "jit", "precision", *MACHINE):
            found[name].add(str(getattr(environment, name)))
        found["memory"].add(f"{environment.memory_bytes / 2**30:.1f} GiB")
        for package, version in environment.versions.items():
            found[package].add(version)
    for training in run.trainings:
        found[f"images of {training.dataset}"].add(training.dataset_sha256[:12])
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


CAPTION = """Accuracy: paired t-test by seed. Times and memory: ratio of geometric means over processes, by a moderated
t-test where there are ten cases or more, else by Welch's. Each is Holm-adjusted for all of its kind; significant is
p ≤ 0.05. Another day or load can look like a change of the code."""


def of_changes(comparison: Comparison, changes: Sequence[Change], key: str, label: str) -> Table:
    """Returns some of the changes, a row each."""
    columns: tuple[Column[Change], ...] = (
        Column("subject", "what", lambda change: change.subject),
        Column("figure", "of", lambda change: change.figure),
        Column("verdict", "verdict", lambda change: change.verdict),
        Column("change", "change", lambda change: change.change, words.significant),
        Column("before", f"before: {comparison.other}", lambda change: change.before, words.significant),
        Column("now", f"now: {comparison.run}", lambda change: change.now, words.significant),
        Column("unit", "unit", lambda change: Cell(change.unit)),
    )
    return table(key, label, CAPTION, columns, changes, "subject")


def lead(comparison: Comparison) -> str:
    """Returns what changed in a sentence, how many figures and the first of them, and what was reproduced."""
    changed = [change for change in comparison.changes if change.is_change]
    of = f"of {len(comparison.changes):,} figures"
    said = f"**Nothing changed significantly** {of}."
    if changed:
        first = f"{changed[0].subject}, {changed[0].figure}: {changed[0].change.text or changed[0].verdict}"
        said = f"**{len(changed)} {of} changed**; the first: {first}."
    return " ".join(filter(None, (said, reproducibility(comparison))))
