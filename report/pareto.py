"""Which of all models that were trained alike are worth their cost: no other is as cheap and as accurate."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from report import conditions
from report.accuracy import NOT_CONDITIONS, Study, Training, full_name, have_cost
from report.conditions import Conditions
from results.metrics import TOP1
from results.records import TrainRecord
from results.stats import Interval

FEWEST_MODELS = 3
COSTS = {"multiply_adds": "multiply-adds", "parameters": "parameters", "step_seconds": "training step"}
"""What a model can cost -> its name for people."""


@dataclass(frozen=True)
class Race:
    """Different models that were trained alike: the same data and recipe. `others` were not, and are left out.

    One that several suites trained is the one with the most seeds; `names` are the shortest that any of those gives.
    """

    models: tuple[Training, ...]
    names: tuple[str, ...]
    others: int

    @property
    def costs(self) -> dict[str, str]:
        """What can be compared of what the models cost, with its name for people."""
        return {cost: name for cost, name in COSTS.items() if have_cost(self.models, cost)}

    @property
    def means(self) -> tuple[Interval, ...]:
        """How accurate each model is: its top-1."""
        return tuple(model.mean(TOP1) for model in self.models)

    def front(self, cost: str) -> list[int]:
        """Places in `models` of the undominated ones, cheapest first, by their means.

        Dominated is what another model is at least as accurate as and at most as costly as, and better in one of the
        two.
        """
        points = [(model.cost(cost), -mean.estimate) for model, mean in zip(self.models, self.means, strict=True)]
        undominated = [
            place
            for place, point in enumerate(points)
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)
        ]
        return sorted(undominated, key=lambda place: points[place])


def race(studies: Iterable[Study]) -> Race | None:
    """The largest set of models that were trained alike, or None where there are too few."""
    alike: dict[Conditions, dict[Conditions, list[Training]]] = defaultdict(lambda: defaultdict(list))
    for study in studies:
        for training in study.trainings:
            alike[_recipe(training.records[0])][training.conditions].append(training)
    if not alike:
        return None
    models = max(alike.values(), key=len)
    if len(models) < FEWEST_MODELS:
        return None
    named = [min(same, key=lambda t: (-len(t.records), len(full_name(t)))) for same in models.values()]
    return Race(tuple(named), tuple(map(full_name, named)), sum(map(len, alike.values())) - len(models))


def _recipe(record: TrainRecord) -> Conditions:
    """Everything under which a model was trained; the model itself is left out."""
    settings = {name: value for name, value in record.settings.items() if name != "model"}
    return conditions.of(settings, NOT_CONDITIONS, None, {"dataset_sha256": record.dataset_sha256})
