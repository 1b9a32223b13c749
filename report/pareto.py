"""Which of all models that were trained alike are worth their cost: none is both cheaper and as accurate."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from report import conditions
from report.accuracy import NOT_CONDITIONS, Study, Training, full_name
from report.answer import Answer
from report.conditions import Conditions
from results.records import TrainRecord

FEWEST_MODELS = 3
COSTS = {"multiply_adds": "multiply-adds", "parameters": "parameters", "step_seconds": "training step"}
"""What a model can cost -> its name for people."""


@dataclass(frozen=True)
class Race:
    """Different models that were trained alike: the same data, recipe and machine. `others` were not, and are left out.

    `names` are those of `models`, the shortest that any suite gives.
    """

    models: tuple[Training, ...]
    names: tuple[str, ...]
    others: int

    def front(self, cost: str) -> list[int]:
        """Places in `models` of those that no other one beats or equals in both mean top-1 and cost, cheapest first."""
        points = [(model.cost(cost), -model.mean("test_top1").estimate) for model in self.models]
        undominated = [
            place
            for place, point in enumerate(points)
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)
        ]
        return sorted(undominated, key=lambda place: points[place])


def race(studies: Iterable[Study]) -> Race | None:
    """The largest set of models that were trained alike, or None where there are too few."""
    alike: dict[Conditions, dict[object, list[Training]]] = defaultdict(lambda: defaultdict(list))
    for study in studies:
        for training in study.trainings:
            alike[_recipe(training.records[0])][training.variant, training.conditions].append(training)
    if not alike:
        return None
    models = max(alike.values(), key=len)
    if len(models) < FEWEST_MODELS:
        return None
    named = [min(same, key=lambda training: len(full_name(training))) for same in models.values()]
    return Race(tuple(named), tuple(map(full_name, named)), sum(map(len, alike.values())) - len(models))


def _recipe(record: TrainRecord) -> Conditions:
    """Everything under which a model was trained; the model itself is left out."""
    settings = {name: value for name, value in record.settings.items() if name != "model"}
    return conditions.of(settings, NOT_CONDITIONS, record.environment, {"dataset_sha256": record.dataset_sha256})


def answers(race: Race | None) -> Iterator[Answer]:
    """The models that are worth their multiply-adds."""
    if race:
        front = "; ".join(race.names[place] for place in race.front("multiply_adds"))
        first = race.models[0]
        epochs = f"{first.epochs} {'epoch' if first.epochs == 1 else 'epochs'}"
        yield Answer(
            f"Of {len(race.models)} models trained alike (on {first.dataset}, {epochs}), these are beaten by no other "
            f"in both mean test top-1 and multiply-adds: {front}.",
            "pareto",
        )
