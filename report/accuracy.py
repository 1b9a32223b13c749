"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

from report import groups, words
from report.groups import PUBLISHED, Stopped, Training, bare, data, differing
from results import stats
from results.metrics import METRICS, Metric
from results.records import PlannedSuite, TrainRecord
from results.stats import Interval
from results.store import Run
from results.trials import Conditions

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and not tested."""
LARGEST_P = 0.05
"""A difference is significant up to this p, adjusted by Holm's method for its family (`studies`)."""


State = Literal["significant", "alone", "none", "few", "chance"]
STATES: dict[State, str] = {
    "significant": "significant",
    "alone": "significant only before correction",
    "none": "not significant",
    "chance": "both at chance",
    "few": "too few seeds for a test",
}
"""What is reported of a difference."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One training against another under otherwise the same conditions, paired by seed.

    `difference` is ours - base in the metric. `p_value` is that of Student's paired test, adjusted by Holm's method for
    the `family` comparisons of its family (`studies`); None below `FEWEST_SEEDS` and where both
    sides are at chance. `step_ratio` is ours / base, over the processes of either side; None where they are not of one
    machine or were not measured. `step_p_value` is that of Welch's test, adjusted for all such ratios of the run; None
    below `stats.FEWEST_PROCESSES` on a side.
    """

    ours: Training
    base: Training
    metric: Metric
    difference: Interval
    p_value: float | None
    step_ratio: Interval | None
    step_p_value: float | None
    family: int = 1

    @cached_property
    def pair(self) -> Hashable:
        """What is compared, whichever way round."""
        return frozenset((self.ours.key, self.base.key))

    @cached_property
    def hypothesis(self) -> Hashable:
        """What is compared, and by which metric: two suites that ask for it ask for the same."""
        return self.metric.title, self.pair

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
    def label(self) -> str:
        """What is compared with what: "EANet, memory_units 64 − memory_units 16"."""
        ours, base = self.ours, self.base
        return f"{ours.full_name} − {', '.join(base.settings) if ours.label == base.label else base.name}"

    @property
    def shown(self) -> Interval:
        """The difference; without an interval where there are too few seeds for one that could be believed."""
        if self.p_value is None:
            return Interval(self.difference.estimate, None, None, self.difference.n)
        return self.difference

    @property
    def in_words(self) -> str:
        """What is reported of it: "no significant difference", "EANet is significantly more accurate"."""
        if self.is_significant:
            said = self.metric.more if self.difference.estimate > 0 else self.metric.less
            return f"{self.ours.name} is significantly {said}"
        return "no significant difference" if self.state in ("none", "alone") else STATES[self.state]

    @property
    def summary(self) -> str:
        """The difference, n, and what is reported of it: "+0.9 pp [−0.2, +2.0], 5 seeds, not significant"."""
        seeds = words.number_of(self.difference.n, "seed")
        return f"{words.difference(self.metric, self.shown)}, {seeds}, {STATES[self.state]}"

    @property
    def seeds(self) -> set[int]:
        """Those that both sides have."""
        return self.ours.seeds & self.base.seeds


@dataclass(frozen=True, kw_only=True)
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
    def stopped(self) -> list[Stopped]:
        """The trainings that are not compared with the base variant, where that was trained too."""
        bases = [training for training in self.trainings if training.variant == self.plan.base_variant]
        compared = {comparison.ours.key for comparison in self.variants} | {base.key for base in bases}
        return [
            groups.stopped(ours, bases, "seeds", _own(self.plan, ours, bases[0]))
            for ours in self.trainings
            if bases and ours.key not in compared
        ]

    @property
    def so_far(self) -> str:
        """Words for a suite that is not through, to stand behind its title; else nothing."""
        planned = len(self.plan.trial_ids)
        return f" (so far, {planned - self.missing} of {planned} trials)" if self.missing else ""

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return groups.metric_of(METRICS[self.plan.metric], self.trainings)

    @property
    def title(self) -> str:
        return self.suite.replace("-", " ").capitalize()

    @property
    def base_title(self) -> str:
        """The variant that the others are compared with, for people."""
        return groups.title(self.plan.base_variant or "", self.plan)


Key = tuple[str, Conditions]
"""A variant and the conditions that its trainings share."""


def studies(run: Run) -> tuple[Study, ...]:
    """One study for each suite that trained, in the order of the plan. Only like is averaged with like: settings, data,
    backend and precision.

    A comparison counts once, however many suites ask for it. Those of the suites that compare the two published
    attentions and nothing else are one family, all others of the run, its ablations, another.
    """
    alike: dict[Key, list[TrainRecord]] = defaultdict(list)
    asked: dict[str, dict[Key, None]] = defaultdict(dict)
    for record in run.trainings:
        key = record.variant, (*record.trial.conditions, data(record))
        alike[key].append(record)
        for suite in run.asked_by(record):
            asked[suite][key] = None
    planned = run.plan.suites if run.plan else {}
    found = []
    for suite in [*planned, *sorted(asked.keys() - planned.keys())]:
        if suite in asked:
            plan = planned.get(suite, PlannedSuite(question="", trial_ids=()))
            study = _study(suite, plan, {key: alike[key] for key in asked[suite]})
            found.append(replace(study, missing=len(run.missing.get(suite, ()))))
    return _adjusted(found)


def _study(suite: str, plan: PlannedSuite, alike: Mapping[Key, list[TrainRecord]]) -> Study:
    apart = groups.apart(alike, plan.grid)
    trainings = tuple(
        Training(
            suite=suite,
            variant=variant,
            title=groups.title(variant, plan),
            apart=apart[variant, conditions],
            conditions=conditions,
            grid=_grid(conditions, plan.grid),
            records=tuple(sorted(alike[variant, conditions], key=lambda record: record.seed)),
        )
        for variant, conditions in sorted(alike, key=lambda key: _order(key, plan.grid))
    )
    base = tuple((name, words.setting(value)) for name, value in plan.base.items() if name in plan.grid)

    def pairs(are_compared: Callable[[Training, Training], bool]) -> tuple[Comparison, ...]:
        both = ((ours, rival) for ours in trainings for rival in trainings if are_compared(ours, rival))
        return tuple(filter(None, (_compare(ours, rival, METRICS[plan.metric]) for ours, rival in both)))

    return Study(
        suite=suite,
        plan=plan,
        trainings=trainings,
        variants=pairs(lambda ours, rival: _are_rivals(ours, rival, plan)),
        effects=pairs(lambda ours, rival: bool(base) and _differs_from_base(ours, rival, dict(base))),
    )


def _order(key: Key, grid: tuple[str, ...]) -> tuple[object, ...]:
    """Sorts by variant, then by the cell's values, numbers as numbers."""
    variant, conditions = key
    values = dict(_grid(conditions, grid))
    return groups.place(variant), *(words.sortable(values.get(name, "")) for name in grid), str(conditions)


def _grid(conditions: Conditions, grid: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    values = {bare(name): words.setting(value) for name, value in conditions}
    return tuple((name, values[name]) for name in grid if name in values)


def _own(plan: PlannedSuite, *sides: Training) -> set[str]:
    """What a suite's own variants set is theirs, and stops no comparison."""
    return {name for side in sides if side.variant in plan.own for name in plan.own[side.variant].settings}


def _are_rivals(ours: Training, rival: Training, plan: PlannedSuite) -> bool:
    """Whether `rival` is the base variant under our conditions."""
    if not ours.variant != plan.base_variant == rival.variant:
        return False
    return not differing(ours, rival, _own(plan, ours, rival))


def _differs_from_base(ours: Training, rival: Training, base: dict[str, str]) -> bool:
    """Whether `rival` is the base's cell of the same variant, and `ours` differs from it in the grid alone."""
    if ours.variant != rival.variant or ours.grid == rival.grid:
        return False
    return all(base.get(name) == value for name, value in rival.grid) and not differing(ours, rival, base)


def _compare(ours: Training, base: Training, metric: Metric) -> Comparison | None:
    """The comparison as if it were the only one; None without a seed that both have."""
    values, resolution = (ours.by_seed(metric), base.by_seed(metric)), metric.resolution(ours.first)
    difference = stats.paired_difference(*values, resolution=resolution)
    if difference is None:
        return None
    tested = difference.n >= FEWEST_SEEDS and not _both_at_chance(ours, base)
    seconds = ours.seconds_by_process, base.seconds_by_process
    timed = all(seconds) and groups.same_machine(ours.first.environment, base.first.environment)
    step = stats.ratio_interval(*seconds) if timed else None
    return Comparison(
        ours=ours,
        base=base,
        metric=metric,
        difference=difference,
        p_value=stats.paired_p_value(*values, resolution=resolution) if tested else None,
        step_ratio=step,
        step_p_value=stats.ratio_p_value(*seconds) if step and step.n >= stats.FEWEST_PROCESSES else None,
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
    steps = _holm({c.pair: c.step_p_value for s in studies for c in s.compared if c.step_p_value is not None})

    def adjusted(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
        return tuple(
            replace(
                c,
                p_value=p_values.get(c.hypothesis),
                step_p_value=steps.get(c.pair),
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


H = TypeVar("H", bound=Hashable)


def _holm(p_values: Mapping[H, float]) -> dict[H, float]:
    """The p-values of one family, adjusted for their number."""
    return dict(zip(p_values, stats.holm(list(p_values.values())), strict=True))
