"""Trainings against each other -> tested differences, and what may be said of each."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from report import groups, words
from report.groups import Training
from results import differences, stats
from results.differences import Difference
from results.metrics import METRICS, TOP1, Metric
from results.records import PlannedSuite
from results.stats import Interval

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


def compare(ours: Training, base: Training, plan: PlannedSuite) -> Comparison | None:
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


def interactions(variants: Iterable[Comparison], base: Mapping[str, str], plan: PlannedSuite) -> Iterator[Interaction]:
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
