"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from report import conditions, words
from report.conditions import Conditions, alike, proper
from results import stats
from results.metrics import METRICS, TOP1, Metric
from results.records import Environment, PlannedSuite, TrainRecord
from results.stats import Interval
from results.store import Run

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and not tested."""
LARGEST_P = 0.05
"""A difference is significant up to this p, adjusted by Holm's method for its family (`studies`)."""
PUBLISHED = ("eanet", "vit")
"""The tutorial's two variants."""


@dataclass(frozen=True)
class Training:
    """Trainings that differ in their seed alone, and maybe in the machine: accuracy belongs to none.

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
    def machines(self) -> tuple[Environment, ...]:
        """Where it was trained: one environment of each machine, those before an interruption included."""
        return conditions.machines(e for record in self.records for e in (*record.interrupted_in, record.environment))

    @property
    def environment(self) -> Environment:
        return self.records[0].environment

    def mean(self, metric: Metric, seeds: set[int] | None = None) -> Interval:
        """Mean of a metric over the seeds, or over those of them that are given."""
        values = [metric.read(record) for record in self.records if seeds is None or record.seed in seeds]
        if metric.images:
            return stats.accuracy_interval(values, metric.images(self.records[0]))
        return stats.mean_interval(values)

    @property
    def seeds_at_chance(self) -> int:
        """How many seeds ended no better than guessing one of the classes."""
        known = [(record, record.count("model", "classes")) for record in self.records]
        return sum(
            classes is not None and stats.at_chance(TOP1.read(record), record.test_images, classes)
            for record, classes in known
        )

    @property
    def at_chance(self) -> str:
        """Words for trainings that ended at chance; else nothing."""
        some, n = self.seeds_at_chance, len(self.records)
        if not some:
            return ""
        return "at chance" if some == n else f"{some} of {n} seeds at chance"

    @property
    def seconds_by_process(self) -> tuple[float, ...]:
        """The training step in each process that measured one; of several machines there is none."""
        return self._by_process("step_seconds")

    @property
    def bytes_by_process(self) -> tuple[float, ...]:
        """Peak memory of the training step in each process that measured one; of several machines there is none."""
        return self._by_process("step_memory_bytes")

    def _by_process(self, figure: str) -> tuple[float, ...]:
        """Geometric means of what each process measured. Records that name no process count as one process together."""
        found: dict[str | None, list[float]] = defaultdict(list)
        for record in self.records:
            value = getattr(record, figure)
            if value is not None and value > 0:
                found[record.environment.process].append(value)
        if len(self.machines) > 1:
            return ()
        return tuple(stats.geometric_mean_interval(values).estimate for values in found.values())

    @property
    def step_seconds(self) -> Interval | None:
        """Training step over the processes."""
        return stats.geometric_mean_interval(self.seconds_by_process) if self.seconds_by_process else None

    @property
    def step_memory_bytes(self) -> Interval | None:
        """Peak memory of the training step over the processes."""
        return stats.geometric_mean_interval(self.bytes_by_process) if self.bytes_by_process else None

    def cost(self, figure: str) -> float:
        """What it costs in "parameters", "multiply_adds" or, where that was measured, "step_seconds" (`have_cost`)."""
        if figure == "step_seconds":
            return stats.geometric_mean_interval(self.seconds_by_process).estimate
        return float(getattr(self.records[0], figure))

    def by_seed(self, metric: Metric) -> dict[int, float]:
        return {record.seed: metric.read(record) for record in self.records}


State = Literal["significant", "alone", "none", "few", "chance"]
Hypothesis = tuple[str, frozenset[tuple[str, Conditions]]]
"""What is compared, and by which metric: two suites that ask for it ask for the same."""


@dataclass(frozen=True)
class Comparison:
    """One training against another under otherwise the same conditions, paired by seed.

    `difference` is ours - base in the study's metric. `p_value` is that of Student's paired test, adjusted by Holm's
    method for the `family` comparisons of its family, which `of_pair` tells (`studies`); None below `FEWEST_SEEDS` and
    where both sides are at chance. `step_ratio` is ours / base, over the processes of either side; None where they are
    not of one machine or were not measured. `step_p_value` is that of Welch's test, adjusted for all such ratios of the
    run; None below `stats.FEWEST_PROCESSES` on a side.
    """

    ours: Training
    base: Training
    hypothesis: Hypothesis
    difference: Interval
    p_value: float | None
    step_ratio: Interval | None
    step_p_value: float | None
    of_pair: bool = False
    family: int = 1

    @property
    def state(self) -> State:
        """What may be said of the difference; "alone" is significant only before it is adjusted."""
        low, high = self.difference.low, self.difference.high
        if _both_at_chance(self.ours, self.base):
            return "chance"
        if self.p_value is None or low is None or high is None:
            return "few"
        if self.p_value <= LARGEST_P:
            return "significant"
        return "alone" if low > 0 or high < 0 else "none"

    @property
    def is_significant(self) -> bool:
        return self.state == "significant"

    @property
    def seeds(self) -> set[int]:
        """Those that both sides have."""
        return {record.seed for record in self.ours.records} & {record.seed for record in self.base.records}


@dataclass(frozen=True)
class Study:
    """What one suite asked for, with all seeds that the run has of it.

    `variants` holds each variant against the base's, in the same cell of the grid; `effects` each cell against the
    grid's base, of the same variant. `family` is for how many comparisons their p are adjusted. `missing` of the
    suite's trials have not run.
    """

    suite: str
    plan: PlannedSuite
    trainings: tuple[Training, ...]
    variants: tuple[Comparison, ...]
    effects: tuple[Comparison, ...]
    family: int = 0
    missing: int = 0

    @property
    def is_ablation(self) -> bool:
        """Whether it varies more than which of the two published attentions it is."""
        return bool(self.plan.grid or self.plan.own) or any(t.variant not in PUBLISHED for t in self.trainings)

    @property
    def compared(self) -> tuple[Comparison, ...]:
        """All that is compared with a base."""
        return (*self.effects, *self.variants)

    @property
    def so_far(self) -> str:
        """Words for a suite that is not through, to stand behind its title; else nothing."""
        planned = len(self.plan.trial_ids)
        return f" (so far, {planned - self.missing} of {planned} trials)" if self.missing else ""

    @property
    def metric(self) -> Metric:
        """What it is judged by; a loss holds the label smoothing of the trainings, and its name says so."""
        metric = METRICS[self.plan.metric]
        return replace(metric, title=f"{metric.title}{self.smoothing}") if metric.smoothed else metric

    @property
    def smoothing(self) -> str:
        """Words for the label smoothing that its losses hold, " with label smoothing 0.1"; else nothing."""
        found = {conditions.flat(r.settings).get("label_smoothing", "0") for t in self.trainings for r in t.records}
        values = sorted(found, key=words.sortable)
        return f" with label smoothing {' or '.join(values)}" if found - {"0", "0.0"} else ""

    @property
    def title(self) -> str:
        return self.suite.replace("-", " ").capitalize()

    @property
    def base_title(self) -> str:
        """The variant that the others are compared with, for people."""
        return _title(self.plan.base_variant or "", self.plan)


def studies(run: Run) -> tuple[Study, ...]:
    """One study for each suite that trained, in the order of the plan. Only like is averaged with like: settings, data,
    backend and precision.

    A comparison counts once, however many suites ask for it. Those of the suites that compare the two published
    attentions and nothing else are one family, all others of the run, its ablations, another.
    """
    groups: dict[Key, list[TrainRecord]] = defaultdict(list)
    asked: dict[str, dict[Key, None]] = defaultdict(dict)
    for record in run.trainings:
        data = {"dataset_sha256": record.dataset_sha256[:12]}
        key = record.variant, conditions.of(record.settings, NOT_CONDITIONS, None, data)
        groups[key].append(record)
        for suite in run.asked_by(record):
            asked[suite][key] = None
    planned = run.plan.suites if run.plan else {}
    order = [*planned, *sorted(asked.keys() - planned.keys())]
    found = [
        replace(
            _study(
                suite,
                planned.get(suite, PlannedSuite(question="", trial_ids=())),
                {key: groups[key] for key in asked[suite]},
            ),
            missing=len(run.missing.get(suite, ())),
        )
        for suite in order
        if suite in asked
    ]
    return _adjusted(found)


NOT_CONDITIONS = {"suite", "variant", "grid", "seed", "kind", "data_dir"}
Key = tuple[str, Conditions]
"""A variant and the conditions that its trainings share."""


def _study(suite: str, plan: PlannedSuite, groups: Mapping[Key, list[TrainRecord]]) -> Study:
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
    rivals = tuple(_pairs(trainings, metric, lambda ours, rival: _are_rivals(ours, rival, plan)))
    effects = tuple(_pairs(trainings, metric, lambda ours, rival: bool(base) and _differs_from_base(ours, rival, base)))
    return Study(suite, plan, trainings, rivals, effects)


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
    """The comparison as if it were the only one."""
    values = ours.by_seed(metric), base.by_seed(metric)
    resolution = metric.resolution(ours.records[0])
    difference = stats.paired_difference(*values, resolution=resolution)
    if difference is None:
        return None
    tested = difference.n >= FEWEST_SEEDS and not _both_at_chance(ours, base)
    seconds = ours.seconds_by_process, base.seconds_by_process
    timed = all(seconds) and conditions.same_machine(ours.environment, base.environment)
    step = stats.ratio_interval(*seconds) if timed else None
    return Comparison(
        ours,
        base,
        (metric.title, frozenset((side.variant, side.conditions) for side in (ours, base))),
        difference,
        stats.paired_p_value(*values, resolution=resolution) if tested else None,
        step,
        stats.ratio_p_value(*seconds) if step and step.n >= stats.FEWEST_PROCESSES else None,
    )


def _both_at_chance(ours: Training, base: Training) -> bool:
    return all(side.seeds_at_chance == len(side.records) for side in (ours, base))


def _adjusted(studies: list[Study]) -> tuple[Study, ...]:
    """With the p-values of each family's distinct comparisons adjusted for their number."""
    pairs, ablations = (
        {c.hypothesis: c.p_value for s in studies if s.is_ablation == kind for c in s.compared if c.p_value is not None}
        for kind in (False, True)
    )
    ablations = {hypothesis: p for hypothesis, p in ablations.items() if hypothesis not in pairs}
    p_values = _holm(pairs) | _holm(ablations)
    steps = _holm({c.hypothesis[1]: c.step_p_value for s in studies for c in s.compared if c.step_p_value is not None})

    def adjusted(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
        return tuple(
            replace(
                c,
                p_value=p_values.get(c.hypothesis),
                step_p_value=steps.get(c.hypothesis[1]),
                of_pair=c.hypothesis in pairs,
                family=len(pairs if c.hypothesis in pairs else ablations),
            )
            for c in comparisons
        )

    return tuple(
        replace(
            study,
            variants=adjusted(study.variants),
            effects=adjusted(study.effects),
            family=len(ablations if study.is_ablation else pairs),
        )
        for study in studies
    )


K = TypeVar("K")


def _holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """The p-values of one family, adjusted for their number."""
    return dict(zip(p_values, stats.holm(list(p_values.values())), strict=True))


def have_cost(trainings: Sequence[Training], figure: str) -> bool:
    """Whether what the trainings cost can be compared: a step needs enough processes each, and one machine for all."""
    if figure != "step_seconds":
        return True
    machines = conditions.machines(machine for training in trainings for machine in training.machines)
    enough = all(len(training.seconds_by_process) >= stats.FEWEST_PROCESSES for training in trainings)
    return len(machines) == 1 and enough


def full_name(training: Training) -> str:
    """The training as the page names it: its variant and its cell of the grid."""
    return ", ".join([proper(training), *training.settings])


def epochs(training: Training) -> str:
    """How long it was trained: "1 epoch"."""
    return f"{training.epochs} {'epoch' if training.epochs == 1 else 'epochs'}"
