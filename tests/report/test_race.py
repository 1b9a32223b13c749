"""The models worth their cost: compared only with what was trained alike, and undominated."""

import pytest

from report.findings import find
from results.metrics import METRICS, TOP1
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


def front(found, cost="parameters", metric=TOP1):
    return [model.name for model in found.front(cost, metric)]


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


def measured(record, **changes):
    """The record of a process of its own."""
    where = samples.environment(process=f"{record.variant} {record.seed}", **changes)
    return record.model_copy(update={"environment": where})


def test_models_race_for_their_step_and_its_memory_only_with_enough_processes_on_one_machine():
    records = models(*THREE, seeds=3)
    everything = ["multiply_adds", "parameters", "step_seconds", "memory_bytes"]
    assert list(race(*map(measured, records)).costs) == everything
    assert list(race(*records).costs) == everything[:2], "one process each"
    elsewhere = race(*(measured(record, threads=7 if record.variant == "c" else 2) for record in records))
    assert list(elsewhere.costs) == everything[:2]
    assert front(elsewhere) == ["a", "b", "c"], "accuracy belongs to no machine"


def test_a_model_whose_cost_is_not_known_is_left_out_of_that_axis_alone():
    records = models(*THREE, ("untold", 5, 0.9), seeds=3)
    untold = [r.model_copy(update={"multiply_adds": None}) if r.variant == "untold" else r for r in records]
    found = race(*untold)
    assert [model.name for model in found.having("multiply_adds")] == ["a", "b", "c"]
    assert front(found, "multiply_adds") == ["c"], "they all cost the same"
    assert front(found, "parameters") == ["untold"]
    few = race(*(measured(r) for r in records if r.variant != "b" or r.seed == 0))
    assert [model.name for model in few.having("step_seconds")] == ["a", "c", "untold"]
    assert "multiply_adds" not in race(*(r for r in untold if r.variant != "a")).costs, "two are no race"


def test_the_front_knows_which_way_a_metric_is_better():
    losses = {"a": 0.3, "b": 0.5, "c": 0.1}
    records = [samples.told(record, test_loss=losses[record.variant]) for record in models(*THREE)]
    assert front(race(*records), metric=METRICS["test_loss"]) == ["a", "c"]
    assert front(race(*records), metric=TOP1) == ["a", "b", "c"]


def test_models_race_by_the_metrics_that_all_have_and_that_mean_something_of_them():
    records = models(*THREE)
    assert list(race(*records).metrics) == ["top1", "top5", "test_loss"]
    old = [r.model_copy(update={"metrics": {"top1": 0.5, "top5": 0.9}}) if r.variant == "a" else r for r in records]
    assert list(race(*old).metrics) == ["top1", "top5"]
    assert list(race(*(samples.altered(r, model={"classes": 5}) for r in records)).metrics) == ["top1", "test_loss"]
    smoothed = models(*THREE, training={"label_smoothing": 0.1})
    assert race(*smoothed).metrics["test_loss"].test_title == "test loss with label smoothing 0.1"
