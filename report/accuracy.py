"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from report import conditions, words
from report.answer import Answer
from report.conditions import BASE, Conditions, alike, proper
from results import stats
from results.records import PlannedSuite, TrainRecord
from results.stats import Interval
from results.store import Run

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and nothing is claimed."""


@dataclass(frozen=True)
class Training:
    """Trainings that differ in their seed alone.

    `label` is the variant and what sets it apart from its namesakes, but for the suite's grid, whose settings are in
    `cell`.
    """

    suite: str
    variant: str
    label: str
    cell: Conditions
    dataset: str
    conditions: Conditions
    records: tuple[TrainRecord, ...]

    @property
    def settings(self) -> list[str]:
        """Its cell of the grid in words: "augmentation corrected"."""
        return [f"{setting} {value}" for setting, value in self.cell]

    @property
    def epochs(self) -> int:
        return len(self.records[0].epochs)

    def mean(self, figure: str, seeds: set[int] | None = None) -> Interval:
        """Mean of a figure of the records over the seeds, or over those of them that are given."""
        chosen = [record for record in self.records if seeds is None or record.seed in seeds]
        return stats.mean_interval([getattr(record, figure) for record in chosen])

    @property
    def step_seconds(self) -> Interval:
        """Training step over the seeds' processes."""
        return stats.geometric_mean_interval([record.train_step_seconds for record in self.records])

    def by_seed(self, figure: str) -> dict[int, float]:
        return {record.seed: getattr(record, figure) for record in self.records}


@dataclass(frozen=True)
class Comparison:
    """One training against another under otherwise the same conditions, paired by seed.

    `top1` is the difference ours - base, `step_ratio` is ours / base.
    """

    ours: Training
    base: Training
    top1: Interval
    step_ratio: Interval


@dataclass(frozen=True)
class Study:
    """What one suite trained. `variants` holds each variant against the base's, in the same cell of the grid;
    `effects` each cell against the grid's base, of the same variant."""

    suite: str
    plan: PlannedSuite
    trainings: tuple[Training, ...]
    variants: tuple[Comparison, ...]
    effects: tuple[Comparison, ...]


def studies(run: Run) -> tuple[Study, ...]:
    """One study for each suite that trained. Only like is averaged with like: settings, data, backend and machine."""
    by_suite: dict[str, list[TrainRecord]] = defaultdict(list)
    for record in run.trainings:
        for suite in run.asked_by(record):
            by_suite[suite].append(record)
    planned = run.plan.suites if run.plan else {}
    return tuple(
        _study(suite, planned.get(suite, PlannedSuite(question="", trial_ids=())), records)
        for suite, records in sorted(by_suite.items())
    )


NOT_CONDITIONS = {"suite", "variant", "grid", "seed", "kind", "data_dir"}


def _study(suite: str, plan: PlannedSuite, records: list[TrainRecord]) -> Study:
    groups: dict[tuple[str, Conditions], list[TrainRecord]] = defaultdict(list)
    for record in records:
        data = {"dataset_sha256": record.dataset_sha256[:12]}
        shared = conditions.of(record.settings, NOT_CONDITIONS, record.environment, data)
        groups[record.variant, shared].append(record)
    labels = conditions.labels(groups, plan.grid)
    trainings = tuple(
        Training(
            suite,
            variant,
            labels[variant, shared],
            _cell(shared, plan.grid),
            found[0].dataset,
            shared,
            tuple(sorted(found, key=lambda record: record.seed)),
        )
        for (variant, shared), found in sorted(groups.items())
    )
    base = {name: conditions.text(value) for name, value in plan.base.items() if name in plan.grid}
    return Study(
        suite,
        plan,
        trainings,
        tuple(_pairs(trainings, lambda ours, rival: ours.variant != BASE == rival.variant and alike(ours, rival))),
        tuple(_pairs(trainings, lambda ours, rival: bool(base) and _differs_from_base(ours, rival, base))),
    )


def _cell(shared: Conditions, grid: tuple[str, ...]) -> Conditions:
    values = {conditions.bare(name): value for name, value in shared}
    return tuple((name, values[name]) for name in grid if name in values)


def _differs_from_base(ours: Training, rival: Training, base: dict[str, str]) -> bool:
    """Whether `rival` is the base's cell of the same variant, and `ours` differs from it in the grid alone."""
    if dict(rival.cell) != base or ours.cell == rival.cell or ours.variant != rival.variant:
        return False
    outside = [
        {(name, value) for name, value in training.conditions if conditions.bare(name) not in base}
        for training in (ours, rival)
    ]
    return outside[0] == outside[1]


def _pairs(trainings: tuple[Training, ...], compared: Callable[[Training, Training], bool]) -> Iterator[Comparison]:
    for ours in trainings:
        for rival in trainings:
            if compared(ours, rival) and (comparison := _compare(ours, rival)):
                yield comparison


def _compare(ours: Training, base: Training) -> Comparison | None:
    top1 = stats.paired_difference(ours.by_seed("test_top1"), base.by_seed("test_top1"))
    step = stats.paired_difference(_log_step_seconds(ours), _log_step_seconds(base))
    if top1 is None or step is None:
        return None
    return Comparison(ours, base, top1, stats.exponential(step))


def _log_step_seconds(training: Training) -> dict[int, float]:
    return {seed: math.log(seconds) for seed, seconds in training.by_seed("train_step_seconds").items()}


def full_name(training: Training) -> str:
    """The training as the page names it: its variant and its cell of the grid."""
    return ", ".join([proper(training), *training.settings])


def answers(study: Study) -> Iterator[Answer]:
    """What the suite's trainings say: the settings of its grid against their base, then the variants, then the cost."""
    evidence = f"suite-{study.suite}"
    for sentence in (*_effect_sentences(study), *_variant_sentences(study), *_cost_sentences(study)):
        yield Answer(sentence, evidence)


def _effect_sentences(study: Study) -> Iterator[str]:
    """One for each cell of the grid: what it changes for every variant."""
    for cell, on in dict.fromkeys((effect.ours.cell, _on(effect.ours)) for effect in study.effects):
        effects = [effect for effect in study.effects if (effect.ours.cell, _on(effect.ours)) == (cell, on)]
        base = dict(effects[0].base.cell)
        changed = " and ".join(
            f"{setting} {value} instead of {base[setting]}" for setting, value in cell if value != base[setting]
        )
        moved = "; ".join(
            f"{proper(e.ours)} from {_mean(e.base, e)} to {_mean(e.ours, e)} ({_moved(e)})" for e in effects
        )
        yield f"{on}, with {changed}, the test top-1 goes: {moved}."


def _variant_sentences(study: Study) -> Iterator[str]:
    compared = {id(training) for c in study.variants for training in (c.ours, c.base)}
    for comparison in study.variants:
        ours, base = comparison.ours, comparison.base
        yield (
            f"{_on(ours)} the test top-1{_within(ours)} is {proper(ours)} {_mean(ours, comparison)} and {proper(base)} "
            f"{_mean(base, comparison)}: {_verdict(comparison)} ({_paired(comparison)})."
        )
    for training in study.trainings:
        if id(training) not in compared:
            mean = words.percent(training.mean("test_top1"))
            yield (
                f"{_on(training)} the test top-1 of {full_name(training)} is {mean} "
                f"(n = {len(training.records)}); there is nothing here to compare it with."
            )


def _on(training: Training) -> str:
    return f"On {training.dataset} ({training.records[0].test_images:,} test images)"


def _within(training: Training) -> str:
    """The cell of the grid that a sentence speaks of: " with augmentation corrected", or nothing without a grid."""
    return f" with {' and '.join(training.settings)}" if training.cell else ""


def _mean(training: Training, comparison: Comparison) -> str:
    """Its mean over the seeds that both sides have."""
    both = {r.seed for r in comparison.ours.records} & {r.seed for r in comparison.base.records}
    return words.percent(training.mean("test_top1", both))


def _paired(comparison: Comparison) -> str:
    n = comparison.top1.n
    return f"{words.points(comparison.top1)}, n = {n} {'pair' if n == 1 else 'pairs'} of seeds"


def _moved(effect: Comparison) -> str:
    """An effect's size, and whether it is claimed."""
    if effect.top1.n < FEWEST_SEEDS:
        return f"{_paired(effect)}, too few to claim it"
    return _paired(effect) + ("" if effect.top1.excludes_zero else ": no difference shown")


def _verdict(comparison: Comparison) -> str:
    difference = comparison.top1
    if difference.n < FEWEST_SEEDS:
        return "too few seeds to claim a difference"
    if not difference.excludes_zero:
        return "no difference shown"
    return (
        f"{proper(comparison.ours)} is {'more' if difference.estimate > 0 else 'less'} accurate than "
        f"{proper(comparison.base)} on these images"
    )


def _cost_sentences(study: Study) -> Iterator[str]:
    """What a variant costs against the base: once for each pair of models, in the first cell of the grid."""
    told = set()
    for comparison in study.variants:
        ours, base = comparison.ours.records[0], comparison.base.records[0]
        pair = (comparison.ours.label, comparison.base.label, ours.multiply_adds, base.multiply_adds)
        if pair in told:
            continue
        told.add(pair)
        ratio = comparison.step_ratio
        step = f"takes {words.plain(ratio)} times as long (n = {ratio.n})"
        if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
            step = f"takes {words.plain(ratio)} times as long: no difference shown (n = {ratio.n})"
        if ratio.n < FEWEST_SEEDS:
            step = f"took {words.plain(ratio)} times as long, in too few runs (n = {ratio.n}) to claim it"
        yield (
            f"At {ours.patches} patches{_within(comparison.ours)} {proper(comparison.ours)} has "
            f"{ours.parameters / base.parameters:.2f} times the parameters of {proper(comparison.base)} and "
            f"{ours.multiply_adds / base.multiply_adds:.2f} times its multiply-adds; its training step {step}."
        )
