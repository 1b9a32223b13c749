"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from report import groups, words
from report.groups import PUBLISHED, Stopped, Training, bare, data, differing
from results import differences, stats
from results.differences import Difference
from results.metrics import METRICS, TOP1, Metric
from results.records import PlannedSuite, TrainRecord
from results.stats import Interval
from results.store import Run
from results.trials import Conditions

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and not tested."""
LARGEST_P = 0.05
"""A difference is significant up to this p, adjusted by Holm's method for its family (`studies`)."""

PRICE_OF_A_LOOK = 2
"""A p is multiplied by it for each look at the page for which seeds were added."""
State = Literal["better", "worse", "as good", "undecided", "chance", "few"]
"""What is reported of a difference: "as good" is within the margin that the profile declared before the run."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A difference in a metric that is tested among the `family` others of its family (`studies`).

    `difference` is the one that is judged: over seeds and test images where the records tell both. `over_seeds` speaks
    of the same test images. `p_value` is that of Student's paired test of `difference`, adjusted by Holm's method; None
    below `FEWEST_SEEDS` and where all sides are at chance, which `chance` tells. Up to `margin` models count as equally
    good; None where none was declared. At the second look at the page, for which seeds were added, p is doubled, at the
    third it is fourfold: together they have at most twice the chance of a false alarm. `looks` counts them.
    """

    metric: Metric
    difference: Difference
    over_seeds: Difference
    p_value: float | None
    chance: bool
    margin: float | None
    looks: int
    family: int = 1

    @property
    def of(self) -> Training:
        """The training whose row of a table tells it."""
        raise NotImplementedError

    @property
    def than(self) -> str:
        """What that is compared with, for people."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """What may be said of the difference."""
        if self.chance:
            return "chance"
        at_look = self.difference.interval_at(LARGEST_P / PRICE_OF_A_LOOK ** (self.looks - 1))
        if self.p_value is None or at_look.low is None or at_look.high is None:
            return "few"
        if self.margin is not None and -self.margin <= at_look.low and at_look.high <= self.margin:
            return "as good"
        if self.p_value > LARGEST_P:
            return "undecided"
        return "better" if (self.difference.estimate > 0) == (self.metric.better == "higher") else "worse"

    @property
    def is_significant(self) -> bool:
        return self.p_value is not None and self.p_value <= LARGEST_P

    @property
    def verdict(self) -> str:
        """The state in words: "undecided", "as good (within 1 pp)"."""
        low, high = self.difference.interval.low, self.difference.interval.high
        if self.state == "undecided" and low is not None and high is not None and not low <= 0 <= high:
            return "undecided: significant only before correction"
        if self.state == "as good":
            return f"as good (within {self.within})"
        return {"chance": "both at chance", "few": "too few seeds for a test"}.get(self.state, self.state)

    @property
    def within(self) -> str:
        """The margin in words: "1 pp"."""
        unit = words.UNITS[self.metric.unit]
        return f"{(self.margin or 0) * unit.scale:g} {unit.of_differences}".rstrip()

    @property
    def detectable(self) -> float | None:
        """The smallest difference that this test would have found with 80 % power; None where nothing was tested."""
        return None if self.p_value is None else self.difference.detectable(self._alpha(self.looks))

    def _alpha(self, looks: int) -> float:
        """The p that the strictest of the family's tests needs on its own."""
        return LARGEST_P / self.family / PRICE_OF_A_LOOK ** (looks - 1)

    @property
    def power(self) -> str:
        """What could have been found, in words: "2.4 pp detectable; 1 pp: --seeds 31"; nothing where it is decided."""
        if self.state != "undecided" or self.detectable is None:
            return ""
        unit = words.UNITS[self.metric.unit]
        found = f"{unit.value(self.detectable * unit.scale)} {unit.of_differences}".rstrip()
        return "; ".join(filter(None, (f"{found} detectable", self.needed)))

    @property
    def needed(self) -> str:
        """How many seeds would detect the margin, at another look, in words; nothing where that is not the question."""
        detectable = self.detectable
        if self.state != "undecided" or self.margin is None or detectable is None or detectable <= self.margin:
            return ""
        if seeds := self.difference.seeds_for(self.margin, self._alpha(self.looks + 1)):
            return f"{self.within}: --seeds {seeds}"
        return f"{self.within}: needs more {'test images' if self.difference.image_variance else 'seeds than 1,000'}"

    @property
    def shown(self) -> Interval:
        """The difference; without an interval where there are too few seeds for one that could be believed."""
        found = self.difference.interval
        return Interval(found.estimate, None, None, found.n) if self.p_value is None else found

    @property
    def summary(self) -> str:
        """The difference, n, and what is reported of it: "+0.9 pp [−0.2, +2.0], 5 seeds, undecided (1.7 pp detectable;
        1 pp: --seeds 31)"."""
        seeds = words.number_of(self.difference.n, "seed")
        power = f" ({self.power})" if self.power else ""
        return f"{words.difference(self.metric, self.shown)}, {seeds}, {self.verdict}{power}"


@dataclass(frozen=True, kw_only=True)
class Comparison(Tested):
    """One training against another under otherwise the same conditions, paired by seed: ours - base.

    `step_ratio` is ours / base, over the processes of either side; None where they are not of one machine or were not
    measured. `step_p_value` is that of Welch's test, adjusted for all such ratios of the run; None below
    `stats.FEWEST_PROCESSES` on a side.
    """

    ours: Training
    base: Training
    step_ratio: Interval | None
    step_p_value: float | None

    @property
    def of(self) -> Training:
        return self.ours

    @property
    def than(self) -> str:
        return self.base.name

    @cached_property
    def pair(self) -> Hashable:
        """What is compared, whichever way round."""
        return frozenset((self.ours.key, self.base.key))

    @cached_property
    def hypothesis(self) -> Hashable:
        """What is compared, and by which metric: two suites that ask for it ask for the same."""
        return self.metric.title, self.pair

    @property
    def label(self) -> str:
        """What is compared with what: "EANet, memory_units 64 − memory_units 16"."""
        ours, base = self.ours, self.base
        return f"{ours.full_name} − {', '.join(base.settings) if ours.label == base.label else base.name}"

    @property
    def in_words(self) -> str:
        """What is reported of it: "EANet is significantly more accurate", "no difference above 1 pp"."""
        match self.state:
            case "better" | "worse":
                said = self.metric.more if self.difference.estimate > 0 else self.metric.less
                return f"{self.ours.name} is significantly {said}"
            case "as good":
                return f"no difference above {self.within}"
            case "undecided":
                return "no significant difference"
        return self.verdict

    @property
    def seeds(self) -> set[int]:
        """Those that both sides have."""
        return self.ours.seeds & self.base.seeds


@dataclass(frozen=True, kw_only=True)
class Interaction(Tested):
    """Whether a comparison of two variants comes out otherwise in one cell of a suite's grid than in its base's cell:
    there - base, paired by seed."""

    there: Comparison
    base: Comparison

    @property
    def of(self) -> Training:
        return self.there.ours

    @property
    def than(self) -> str:
        return self.base.ours.full_name

    @cached_property
    def hypothesis(self) -> Hashable:
        return self.metric.title, frozenset((self.there.pair, self.base.pair))


@dataclass(frozen=True, kw_only=True)
class Study:
    """What one suite asked for, with all seeds that the run has of it.

    `variants` holds each variant against the base's, in the same cell of the grid; `effects` each cell against the
    grid's base, of the same variant; `tuned` what each variant is with the settings that its seeds chose, which is what
    a tuned suite compares once none of its trials is missing; `interactions` whether the former differ between a cell
    and the grid's base. `family` is for how many comparisons their p are adjusted. `missing` of the suite's trials have
    not run.
    """

    suite: str
    plan: PlannedSuite
    trainings: tuple[Training, ...]
    tuned: tuple[Training, ...]
    variants: tuple[Comparison, ...]
    effects: tuple[Comparison, ...]
    interactions: tuple[Interaction, ...]
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
    def tested(self) -> tuple[Comparison | Interaction, ...]:
        """All that is tested."""
        return (*self.compared, *self.interactions)

    @property
    def stopped(self) -> list[Stopped]:
        """The trainings that are not compared with the base variant, where that was trained too."""
        bases = [training for training in self.trainings if training.variant == self.plan.base_variant]
        compared = {comparison.ours.key for comparison in self.variants} | {base.key for base in bases}
        return [
            groups.stopped(ours, bases, "seeds", _own(self.plan, ours, bases[0]))
            for ours in self.trainings
            if bases and not self.plan.tuned and ours.key not in compared
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
    plans = {
        suite: planned.get(suite, PlannedSuite(question="", trial_ids=()))
        for suite in [*planned, *sorted(asked.keys() - planned.keys())]
        if suite in asked
    }
    looks: dict[Key, int] = {}
    for suite, plan in plans.items():
        for key in asked[suite]:
            looks[key] = max(looks.get(key, 1), len(plan.looked_at) + 1)
    return _adjusted(
        [_study(suite, plan, {key: alike[key] for key in asked[suite]}, looks, run) for suite, plan in plans.items()]
    )


def _study(
    suite: str,
    plan: PlannedSuite,
    alike: Mapping[Key, list[TrainRecord]],
    looks: Mapping[Key, int],
    run: Run,
) -> Study:
    apart = groups.apart(alike, plan.grid)
    trainings = tuple(
        Training(
            suite=suite,
            variant=variant,
            title=groups.title(variant, plan),
            apart=apart[variant, conditions],
            conditions=conditions,
            grid=_grid(conditions, plan.grid),
            looks=looks[variant, conditions],
            records=tuple(sorted(alike[variant, conditions], key=lambda record: record.seed)),
        )
        for variant, conditions in sorted(alike, key=lambda key: _order(key, plan.grid))
    )
    base = tuple((name, words.setting(value)) for name, value in plan.base.items() if name in plan.grid)

    missing = run.missing.get(suite, [])
    cut_short = {failure.trial_id for failure in run.failures if failure.status != "diverged"}
    is_through = not missing and cut_short.isdisjoint(plan.trial_ids)
    tuned = tuple(_tuned(trainings, plan)) if plan.tuned and is_through else ()

    def pairs(are_compared: Callable[[Training, Training], bool]) -> tuple[Comparison, ...]:
        sides = tuned if plan.tuned else trainings
        both = ((ours, rival) for ours in sides for rival in sides if are_compared(ours, rival))
        return tuple(filter(None, (_compare(ours, rival, plan) for ours, rival in both)))

    variants = pairs(lambda ours, rival: _are_rivals(ours, rival, plan))
    return Study(
        suite=suite,
        plan=plan,
        trainings=trainings,
        tuned=tuned,
        variants=variants,
        interactions=tuple(_interactions(variants, dict(base), plan)) if base else (),
        missing=len(missing),
        effects=pairs(lambda ours, rival: bool(base) and _differs_from_base(ours, rival, dict(base))),
    )


def _tuned(trainings: Sequence[Training], plan: PlannedSuite) -> Iterator[Training]:
    """Each variant with the settings of the grid that each of its seeds chooses: those of the highest validation
    accuracy after the last epoch, the first of equal ones. One that diverged is not chosen."""
    alike: dict[tuple[str, str], list[Training]] = defaultdict(list)
    for training in trainings:
        alike[training.variant, training.apart].append(training)
    for (_, apart), cells in alike.items():
        of_seeds: dict[int, list[TrainRecord]] = defaultdict(list)
        for record in (record for cell in cells for record in cell.records):
            of_seeds[record.seed].append(record)
        shared = set.intersection(*(set(cell.conditions) for cell in cells))
        yield replace(
            cells[0],
            apart=f"{apart}, tuned",
            conditions=tuple(sorted({*shared, ("tuned", ", ".join(plan.grid))})),
            grid=(),
            records=tuple(
                max(of_seeds[seed], key=lambda record: record.epochs[-1].val_top1) for seed in sorted(of_seeds)
            ),
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


def _compare(ours: Training, base: Training, plan: PlannedSuite) -> Comparison | None:
    """The comparison as if it were the only one; None without a seed that both have."""
    tested = _tested(((1, ours), (-1, base)), plan)
    if tested is None:
        return None
    seconds = ours.seconds_by_process, base.seconds_by_process
    timed = all(seconds) and groups.same_machine(ours.first.environment, base.first.environment)
    step = stats.ratio_interval(*seconds) if timed else None
    return Comparison(
        **tested,
        ours=ours,
        base=base,
        step_ratio=step,
        step_p_value=stats.ratio_p_value(*seconds) if step and step.n >= stats.FEWEST_PROCESSES else None,
    )


def _interactions(variants: Iterable[Comparison], base: Mapping[str, str], plan: PlannedSuite) -> Iterator[Interaction]:
    """Each comparison in another cell against that of the same two variants in the base's cell."""
    variants = tuple(variants)
    for at_base in (c for c in variants if all(base.get(name) == value for name, value in c.ours.grid)):
        for there in variants:
            names = [(c.ours.label, c.base.label) for c in (there, at_base)]
            if names[0] == names[1] and there.ours is not at_base.ours and there.base is not at_base.base:
                sides = ((1, there.ours), (-1, there.base), (-1, at_base.ours), (1, at_base.base))
                if tested := _tested(sides, plan):
                    yield Interaction(**tested, there=there, base=at_base)


Sides = tuple[tuple[int, Training], ...]


def _tested(sides: Sides, plan: PlannedSuite) -> dict[str, Any] | None:
    """What `Tested` holds of a sum of trainings, each with its sign; None without a seed that all have."""
    metric, first = METRICS[plan.metric], sides[0][1].first
    by_seed = differences.by_seed([(sign, training.by_seed(metric)) for sign, training in sides])
    if not by_seed:
        return None
    resolution = metric.resolution(first) * math.sqrt(len(sides))
    over_seeds = differences.over_seeds(list(by_seed.values()), resolution)
    chance = all(training.seeds_at_chance == len(training.records) for _, training in sides)
    judged = over_seeds
    if folds := first.trial.test_folds:
        judged = differences.over_splits(list(by_seed.values()), folds, resolution)
    elif metric is TOP1 and groups.tell_images((training for _, training in sides), by_seed.keys()):
        right = [[sign * training.right(seed) for seed in by_seed] for sign, training in sides]
        judged = differences.over_seeds_and_images(np.sum(right, axis=0, dtype=float))
    looks, is_tested = max(training.looks for _, training in sides), not chance and len(by_seed) >= FEWEST_SEEDS
    price = PRICE_OF_A_LOOK ** (looks - 1)
    return {
        "metric": metric,
        "difference": judged,
        "over_seeds": over_seeds,
        "p_value": min(judged.p_value * price, 1.0) if is_tested and judged.p_value is not None else None,
        "looks": looks,
        "chance": chance,
        "margin": plan.margin if metric.images else None,
    }


def _adjusted(studies: list[Study]) -> tuple[Study, ...]:
    """With the p-values of each family's distinct hypotheses adjusted for their number."""
    pairs, ablations = (
        {t.hypothesis: t.p_value for s in studies if s.is_ablation == kind for t in s.tested if t.p_value is not None}
        for kind in (False, True)
    )
    ablations = {hypothesis: p for hypothesis, p in ablations.items() if hypothesis not in pairs}
    p_values = _holm(pairs) | _holm(ablations)
    steps = _holm({c.pair: c.step_p_value for s in studies for c in s.compared if c.step_p_value is not None})

    def adjusted(tested: T) -> T:
        family = len(pairs if tested.hypothesis in pairs else ablations)
        return replace(tested, p_value=p_values.get(tested.hypothesis), family=max(family, 1))

    def timed(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
        return tuple(replace(adjusted(c), step_p_value=steps.get(c.pair)) for c in comparisons)

    return tuple(
        replace(
            study,
            variants=timed(study.variants),
            effects=timed(study.effects),
            interactions=tuple(map(adjusted, study.interactions)),
            family=len(ablations if study.is_ablation else pairs),
        )
        for study in studies
    )


T = TypeVar("T", Comparison, Interaction)
H = TypeVar("H", bound=Hashable)


def _holm(p_values: Mapping[H, float]) -> dict[H, float]:
    """The p-values of one family, adjusted for their number."""
    return dict(zip(p_values, stats.holm(list(p_values.values())), strict=True))
