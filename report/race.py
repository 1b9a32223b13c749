"""Which of all models that were trained alike are worth their cost: no other is as cheap and as accurate."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from report import groups
from report.accuracy import Study
from report.groups import Training, data
from results.metrics import TOP1
from results.stats import FEWEST_PROCESSES, geometric_mean_interval
from results.trials import Conditions

FEWEST_MODELS = 3


@dataclass(frozen=True)
class Cost:
    """What a model costs: its name for people, its axis, and how it is read, times `scale`."""

    name: str
    axis: str
    read: Callable[[Training], float]
    scale: float = 1.0

    def at(self, training: Training) -> float:
        return self.read(training) * self.scale


COSTS = {
    "multiply_adds": Cost("multiply-adds", "multiply-adds per image (log)", lambda t: t.first.multiply_adds),
    "parameters": Cost("parameters", "parameters (log)", lambda t: t.first.parameters),
    "step_seconds": Cost(
        "training step",
        "training step (ms, log)",
        lambda t: geometric_mean_interval(t.seconds_by_process).estimate,
        scale=1e3,
    ),
}


def have_cost(trainings: Sequence[Training], cost: str) -> bool:
    """Whether what the trainings cost can be compared: a step needs enough processes each, and one machine for all."""
    machines = groups.machines(machine for training in trainings for machine in training.machines)
    enough = all(len(training.seconds_by_process) >= FEWEST_PROCESSES for training in trainings)
    return cost != "step_seconds" or (len(machines) == 1 and enough)


@dataclass(frozen=True)
class Race:
    """Different models that were trained alike: the same data and recipe. `others` were not, and are left out.

    One that several suites trained is the one with the most seeds, by the shortest name that any of those gives.
    """

    models: tuple[Training, ...]
    others: int

    @property
    def costs(self) -> dict[str, Cost]:
        """What can be compared of what the models cost."""
        return {name: cost for name, cost in COSTS.items() if have_cost(self.models, name)}

    def front(self, cost: str) -> list[Training]:
        """The undominated ones, cheapest first, by their means.

        Dominated is what another model is at least as accurate as and at most as costly as, and better in one of the
        two.
        """
        points = [(COSTS[cost].read(model), -model.mean(TOP1).estimate) for model in self.models]
        undominated = [
            (point, place)
            for place, point in enumerate(points)
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)
        ]
        return [self.models[place] for _, place in sorted(undominated)]


def race(studies: Iterable[Study]) -> Race | None:
    """The largest set of models that were trained alike, or None where there are too few."""
    alike: dict[Conditions, dict[Conditions, list[Training]]] = defaultdict(lambda: defaultdict(list))
    for study in studies:
        for training in study.trainings:
            recipe = (*training.trial.recipe, data(training.first))
            alike[recipe][training.conditions].append(training)
    models = max(alike.values(), key=len, default={})
    if len(models) < FEWEST_MODELS:
        return None
    named = (min(same, key=lambda t: (-len(t.records), len(t.full_name))) for same in models.values())
    return Race(tuple(named), sum(map(len, alike.values())) - len(models))
