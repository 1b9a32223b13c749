"""Trainings -> studies: what each suite trained, its variants against each other, and its settings against its base."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from report import groups, words
from report.groups import PUBLISHED, Stopped, Training, bare, data, differing
from report.tested import Comparison, Interaction, compare, interactions
from results import stats
from results.metrics import METRICS, Metric
from results.records import PlannedSuite, TrainRecord
from results.store import Run
from results.trials import Conditions


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
        return tuple(filter(None, (compare(ours, rival, plan) for ours, rival in both)))

    variants = pairs(lambda ours, rival: _are_rivals(ours, rival, plan))
    return Study(
        suite=suite,
        plan=plan,
        trainings=trainings,
        tuned=tuned,
        variants=variants,
        interactions=tuple(interactions(variants, dict(base), plan)) if base else (),
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
