"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from report import conditions, words
from report.conditions import Conditions, alike, proper
from report.words import METRICS, Metric
from results import stats
from results.records import Environment, PlannedSuite, TrainRecord
from results.stats import Interval
from results.store import Run

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and nothing is claimed."""
LARGEST_P = 0.05
"""A difference is claimed up to this p, adjusted by Holm's method within its suite."""
PUBLISHED = ("eanet", "vit")
"""The tutorial's two variants."""
COUNTED = {"test_top1", "test_top5"}
"""Figures that are shares of the test images, and so multiples of one over their number."""


@dataclass(frozen=True)
class Training:
    """Trainings that differ in their seed alone.

    `label` is the variant and what sets it apart from its namesakes, but for the suite's grid, whose settings are in
    `cell`; `title` is the variant's name for people.
    """

    suite: str
    variant: str
    label: str
    title: str
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

    @property
    def environment(self) -> Environment:
        return self.records[0].environment

    def mean(self, figure: str, seeds: set[int] | None = None) -> Interval:
        """Mean of a figure of the records over the seeds, or over those of them that are given."""
        chosen = [record for record in self.records if seeds is None or record.seed in seeds]
        return stats.mean_interval([getattr(record, figure) for record in chosen], resolution=self.resolution(figure))

    def resolution(self, figure: str) -> float:
        """The step in which the figure can change; 0 where it can take any value."""
        return 1 / self.records[0].test_images if figure in COUNTED else 0.0

    @property
    def step_seconds(self) -> Interval:
        """Training step over the seeds' processes."""
        return stats.geometric_mean_interval([record.train_step_seconds for record in self.records])

    def cost(self, figure: str) -> float:
        """What it costs in "parameters", "multiply_adds" or "step_seconds"."""
        return self.step_seconds.estimate if figure == "step_seconds" else float(getattr(self.records[0], figure))

    def by_seed(self, figure: str) -> dict[int, float]:
        return {record.seed: getattr(record, figure) for record in self.records}


@dataclass(frozen=True)
class Comparison:
    """One training against another under otherwise the same conditions, paired by seed.

    `difference` is ours - base in the study's metric, `step_ratio` is ours / base. `p_value` is that of Student's
    paired test, adjusted by Holm's method within the suite; None below `FEWEST_SEEDS`.
    """

    ours: Training
    base: Training
    difference: Interval
    p_value: float | None
    step_ratio: Interval

    @property
    def shown(self) -> bool:
        """Whether a difference is claimed."""
        return self.p_value is not None and self.p_value <= LARGEST_P

    @property
    def seeds(self) -> set[int]:
        """Those that both sides have."""
        return {record.seed for record in self.ours.records} & {record.seed for record in self.base.records}


@dataclass(frozen=True)
class Study:
    """What one suite trained. `variants` holds each variant against the base's, in the same cell of the grid;
    `effects` each cell against the grid's base, of the same variant. `missing` of the suite's trials have not run."""

    suite: str
    plan: PlannedSuite
    trainings: tuple[Training, ...]
    variants: tuple[Comparison, ...]
    effects: tuple[Comparison, ...]
    missing: int = 0

    @property
    def is_ablation(self) -> bool:
        """Whether it varies more than which of the two published attentions it is."""
        return bool(self.plan.grid or self.plan.own) or any(t.variant not in PUBLISHED for t in self.trainings)

    @property
    def compared(self) -> tuple[Comparison, ...]:
        """All that is held against a base."""
        return (*self.effects, *self.variants)

    @property
    def family(self) -> int:
        """For how many differences each p is adjusted."""
        return sum(comparison.p_value is not None for comparison in self.compared)

    @property
    def so_far(self) -> str:
        """Words for a suite that is not through, to stand behind its title; else nothing."""
        planned = len(self.plan.trial_ids)
        return f" (so far, {planned - self.missing} of {planned} trials)" if self.missing else ""

    @property
    def metric(self) -> Metric:
        return METRICS[self.plan.metric]

    @property
    def title(self) -> str:
        return self.suite.replace("-", " ").capitalize()

    @property
    def base_title(self) -> str:
        """The variant that the others are held against, for people."""
        return _title(self.plan.base_variant or "", self.plan)


def studies(run: Run) -> tuple[Study, ...]:
    """One study for each suite that trained, in the order of the plan. Only like is averaged with like: settings, data,
    backend and machine."""
    by_suite: dict[str, list[TrainRecord]] = defaultdict(list)
    for record in run.trainings:
        for suite in run.asked_by(record):
            by_suite[suite].append(record)
    planned = run.plan.suites if run.plan else {}
    order = [*planned, *sorted(by_suite.keys() - planned.keys())]
    return tuple(
        replace(
            _study(suite, planned.get(suite, PlannedSuite(question="", trial_ids=())), by_suite[suite]),
            missing=len(run.missing.get(suite, ())),
        )
        for suite in order
        if suite in by_suite
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
            _title(variant, plan),
            _cell(shared, plan.grid),
            found[0].dataset,
            shared,
            tuple(sorted(found, key=lambda record: record.seed)),
        )
        for (variant, shared), found in sorted(
            groups.items(), key=lambda item: _place(item[0][0], item[0][1], plan.grid)
        )
    )
    metric = METRICS[plan.metric]
    base = {name: conditions.text(value) for name, value in plan.base.items() if name in plan.grid}
    rivals = list(_pairs(trainings, metric, lambda ours, rival: _are_rivals(ours, rival, plan)))
    effects = list(_pairs(trainings, metric, lambda ours, rival: bool(base) and _differs_from_base(ours, rival, base)))
    adjusted = _adjusted([*rivals, *effects])
    return Study(suite, plan, trainings, tuple(adjusted[: len(rivals)]), tuple(adjusted[len(rivals) :]))


def _title(variant: str, plan: PlannedSuite) -> str:
    return plan.own[variant].title if variant in plan.own else words.variant_name(variant)


def _place(variant: str, shared: Conditions, grid: tuple[str, ...]) -> tuple[object, ...]:
    """Sorts by variant, then by the cell's values, numbers as numbers."""
    values = {conditions.bare(name): value for name, value in shared}
    return variant, *(words.sortable(values.get(name, "")) for name in grid), shared


def _cell(shared: Conditions, grid: tuple[str, ...]) -> Conditions:
    values = {conditions.bare(name): value for name, value in shared}
    return tuple((name, values[name]) for name in grid if name in values)


def _are_rivals(ours: Training, rival: Training, plan: PlannedSuite) -> bool:
    """Whether `rival` is the base variant under our conditions; what a suite's own variants set is theirs."""
    own = {
        name for variant in (ours.variant, rival.variant) if variant in plan.own for name in plan.own[variant].settings
    }
    return ours.variant != plan.base_variant == rival.variant and alike(ours, rival, own)


def _differs_from_base(ours: Training, rival: Training, base: dict[str, str]) -> bool:
    """Whether `rival` is the base's cell of the same variant, and `ours` differs from it in the grid alone."""
    if dict(rival.cell) != {name: value for name, value in base.items() if name in dict(rival.cell)}:
        return False
    if ours.cell == rival.cell or ours.variant != rival.variant:
        return False
    outside = [
        {(name, value) for name, value in training.conditions if conditions.bare(name) not in base}
        for training in (ours, rival)
    ]
    return outside[0] == outside[1]


def _pairs(
    trainings: tuple[Training, ...], metric: Metric, compared: Callable[[Training, Training], bool]
) -> Iterator[Comparison]:
    for ours in trainings:
        for rival in trainings:
            if compared(ours, rival) and (comparison := _compare(ours, rival, metric)):
                yield comparison


def _compare(ours: Training, base: Training, metric: Metric) -> Comparison | None:
    values = ours.by_seed(metric.figure), base.by_seed(metric.figure)
    resolution = ours.resolution(metric.figure)
    difference = stats.paired_difference(*values, resolution=resolution)
    step = stats.paired_difference(_log_step_seconds(ours), _log_step_seconds(base))
    if difference is None or step is None:
        return None
    p_value = stats.paired_p_value(*values, resolution=resolution) if difference.n >= FEWEST_SEEDS else None
    return Comparison(ours, base, difference, p_value, stats.exponential(step))


def _log_step_seconds(training: Training) -> dict[int, float]:
    return {seed: math.log(seconds) for seed, seconds in training.by_seed("train_step_seconds").items()}


def _adjusted(comparisons: list[Comparison]) -> list[Comparison]:
    """With the p-values of all that may be claimed adjusted for their number."""
    p_values = iter(stats.holm([c.p_value for c in comparisons if c.p_value is not None]))
    return [c if c.p_value is None else replace(c, p_value=next(p_values)) for c in comparisons]


def full_name(training: Training) -> str:
    """The training as the page names it: its variant and its cell of the grid."""
    return ", ".join([proper(training), *training.settings])


def epochs(training: Training) -> str:
    """How long it was trained: "1 epoch"."""
    return f"{training.epochs} {'epoch' if training.epochs == 1 else 'epochs'}"
