"""Which of all models that were trained alike are worth their cost: no other is as cheap and as good."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from report import groups, words
from report.accuracy import Study
from report.groups import Training, data
from results.metrics import METRICS, Metric
from results.stats import FEWEST_PROCESSES, geometric_mean_interval
from results.trials import Conditions

FEWEST_MODELS = 3


@dataclass(frozen=True)
class Cost:
    """What a model costs: its name for people, and how it is read, which times `scale` is in its `unit`.

    `read` gives None where it is not known of a model. What is `measured` is compared on one machine only.
    """

    name: str
    read: Callable[[Training], float | None]
    unit: str = ""
    scale: float = 1.0
    measured: bool = False

    @property
    def axis(self) -> str:
        return f"{self.name} ({', '.join(filter(None, [self.unit, 'log']))})"

    def at(self, training: Training) -> float:
        """The cost in its unit, of a model that has it."""
        value = self.read(training)
        assert value is not None
        return value * self.scale

    def written(self, training: Training) -> str:
        return f"{words.significant(self.at(training))} {self.unit}".rstrip()


def _over_processes(values: Sequence[float]) -> float | None:
    """The geometric mean over enough processes."""
    return geometric_mean_interval(values).estimate if len(values) >= FEWEST_PROCESSES else None


COSTS = {
    "multiply_adds": Cost("multiply-adds per image", lambda t: t.first.multiply_adds),
    "parameters": Cost("parameters", lambda t: t.first.parameters),
    "step_seconds": Cost("training step", lambda t: _over_processes(t.seconds_by_process), "ms", 1e3, measured=True),
    "memory_bytes": Cost(
        "peak memory of a training step", lambda t: _over_processes(t.bytes_by_process), "MiB", 2.0**-20, measured=True
    ),
}


@dataclass(frozen=True)
class Race:
    """Different models that were trained alike: the same data and recipe. `others` were not, and are left out.

    One that several suites trained is the one with the most seeds, by the shortest name that any of those gives.
    """

    models: tuple[Training, ...]
    others: int

    def having(self, cost: str) -> list[Training]:
        """The models of which such a cost is known."""
        return [model for model in self.models if COSTS[cost].read(model) is not None]

    @property
    def costs(self) -> dict[str, Cost]:
        """What can be compared of what the models cost: known of enough of them, and measured on one machine."""
        return {name: cost for name, cost in COSTS.items() if self._is_comparable(name)}

    def _is_comparable(self, cost: str) -> bool:
        having = self.having(cost)
        machines = groups.machines(machine for model in having for machine in model.machines)
        return len(having) >= FEWEST_MODELS and (len(machines) == 1 or not COSTS[cost].measured)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that all models have and that mean something of them."""
        return {
            name: groups.metric_of(metric, self.models) for name, metric in METRICS.items() if self._all_have(metric)
        }

    def _all_have(self, metric: Metric) -> bool:
        classes = min(model.trial.model.classes for model in self.models)
        return classes >= metric.least_classes and all(model.by_seed(metric) for model in self.models)

    def front(self, cost: str, metric: Metric) -> list[Training]:
        """The undominated ones of those that have such a cost, cheapest first, by their means.

        Dominated is what another model is at least as good as and at most as costly as, and better in one of the two.
        """
        models, sign = self.having(cost), -1 if metric.better == "higher" else 1
        points = [(COSTS[cost].at(model), sign * model.mean(metric).estimate) for model in models]
        undominated = [
            (point, place)
            for place, point in enumerate(points)
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)
        ]
        return [models[place] for _, place in sorted(undominated)]


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
