"""The models worth their cost: compared only with what was trained alike, and undominated."""

import pytest

from report.findings import find
from tests import samples
from tests.report.page_reader import run_of


def models(*given, seeds=1, **changes):
    """Trainings of models (variant, parameters, top-1), trained alike; those of other numbers are other models."""
    return [
        samples.training(
            name, seed, top1=top1, parameters=size, model={"mlp_dim": int(1000 * (size + top1))}, **changes
        )
        for name, size, top1 in given
        for seed in range(seeds)
    ]


def race(*records):
    return find(run_of(*records)).race


def front(found):
    return [model.name for model in found.front("parameters")]


THREE = (("a", 10, 0.5), ("b", 20, 0.6), ("c", 30, 0.7))


def test_the_front_is_what_no_other_beats_in_both():
    given = ("small", 10, 0.5), ("worse", 20, 0.4), ("large", 30, 0.9), ("larger", 40, 0.9), ("best", 50, 0.95)
    assert front(race(*models(*given))) == ["small", "large", "best"]
    alike = models(("one", 10, 0.5), ("worse", 10, 0.4), ("worst", 20, 0.3))
    again = samples.altered(samples.training("other", top1=0.5, parameters=10), model={"mlp_dim": 7})
    assert front(race(*alike, again)) == ["one", "other"], "those that are alike in both are both on it"


def test_only_models_that_were_trained_alike_race():
    found = race(*models(*THREE), *models(("d", 1, 0.99), training={"epochs": 300}))
    assert front(found) == ["a", "b", "c"]
    assert found.others == 1


@pytest.mark.parametrize("count", [0, 2])
def test_two_models_are_no_race(count):
    assert race(*models(*THREE[:count])) is None


def test_a_model_that_two_suites_trained_or_name_differently_races_once():
    one = models(*THREE, suite="one")
    again = models(*THREE[:2], ("another name", 30, 0.7), suite="two")
    assert len(race(*one, *again).models) == 3


def test_models_race_for_their_step_only_where_each_has_enough_processes_on_one_machine():
    def measured(record, **where):
        name = f"{record.variant} {record.seed}"
        return record.model_copy(update={"environment": samples.environment(process=name, **where)})

    records = models(*THREE, seeds=3)
    assert list(race(*map(measured, records)).costs) == ["multiply_adds", "parameters", "step_seconds"]
    assert list(race(*records).costs) == ["multiply_adds", "parameters"], "one process each"
    elsewhere = race(*(measured(record, threads=7 if record.variant == "c" else 2) for record in records))
    assert list(elsewhere.costs) == ["multiply_adds", "parameters"]
    assert front(elsewhere) == ["a", "b", "c"], "accuracy belongs to no machine"
