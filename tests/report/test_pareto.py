"""The models worth their cost: compared only with what was trained alike, and undominated."""

import dataclasses

import pytest

from report.findings import find
from results.store import Run
from tests import samples


def run(*models, seeds=1, **changes):
    """A run of models (variant, parameters, top-1), trained alike."""
    records = [
        samples.training(name, seed, top1=top1, parameters=size, model={"mlp_dim": size, "heads": name}, **changes)
        for name, size, top1 in models
        for seed in range(seeds)
    ]
    return Run(None, None, tuple(records), (), (), {})


def front(race, cost="parameters"):
    return [race.names[place] for place in race.front(cost)]


def test_the_front_is_what_no_other_beats_in_both():
    race = find(
        run(("small", 10, 0.5), ("worse", 20, 0.4), ("large", 30, 0.9), ("larger", 40, 0.9), ("best", 50, 0.95))
    ).race
    assert front(race) == ["small", "large", "best"]


def test_models_that_are_alike_in_both_are_both_on_it():
    assert front(find(run(("one", 10, 0.5), ("other", 10, 0.5), ("worse", 10, 0.4))).race) == ["one", "other"]


def test_only_models_that_were_trained_alike_race():
    alike = run(("a", 10, 0.5), ("b", 20, 0.6), ("c", 30, 0.7))
    longer = run(("d", 1, 0.99), training={"epochs": 300})
    race = find(dataclasses.replace(alike, trainings=alike.trainings + longer.trainings)).race
    assert front(race) == ["a", "b", "c"]
    assert race.others == 1


def test_a_training_that_two_suites_share_races_once():
    shared = run(("a", 10, 0.5), ("b", 20, 0.6), ("c", 30, 0.7), suite="one")
    again = [record.model_copy(update={"suite": "two"}) for record in shared.trainings]
    assert len(find(dataclasses.replace(shared, trainings=(*shared.trainings, *again))).race.models) == 3


@pytest.mark.parametrize("count", [0, 2])
def test_two_models_are_no_race(count):
    found = find(run(*[("a", 10, 0.5), ("b", 20, 0.6)][:count]))
    assert found.race is None


def test_a_model_that_suites_name_differently_races_once():
    one, other = (run(("a", 10, 0.5), ("b", 20, 0.6), (name, 30, 0.7), suite=name) for name in ("mine", "other"))
    renamed = [
        samples.altered(record, model=one.trainings[2].trial.model.model_dump(mode="json"))
        for record in other.trainings[2:]
    ]
    both = dataclasses.replace(one, trainings=(*one.trainings, *other.trainings[:2], *renamed))
    assert len(find(both).race.models) == 3


def test_models_race_for_their_step_only_where_each_has_enough_processes_on_one_machine():
    models = ("a", 10, 0.5), ("b", 20, 0.6), ("c", 30, 0.7)

    def raced(where):
        found = run(*models, seeds=3)
        return find(dataclasses.replace(found, trainings=tuple(map(where, found.trainings)))).race

    def measured(record, **where):
        name = f"{record.variant} {record.seed}"
        return record.model_copy(update={"environment": samples.environment(process=name, **where)})

    assert list(raced(measured).costs) == ["multiply_adds", "parameters", "step_seconds"]
    assert list(raced(lambda record: record).costs) == ["multiply_adds", "parameters"], "one process each"
    elsewhere = raced(lambda record: measured(record, threads=7 if record.variant == "c" else 2))
    assert list(elsewhere.costs) == ["multiply_adds", "parameters"]
    assert front(elsewhere) == ["a", "b", "c"], "accuracy belongs to no machine"
