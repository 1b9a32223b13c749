"""What may run at once, what shares a process, and how long a run is expected to take."""

import pytest

from benchmarks import estimate
from benchmarks.schedule import expected_seconds, shared_step, side_by_side, startable
from tests.trials import planned, trainings

LONG = {"epochs": 10**5}


def longer(trial):
    return trial.model_copy(update={"training": trial.training.model_copy(update=LONG)})


def test_only_short_trainings_share_a_step_and_only_those_of_equal_settings():
    first, again = trainings(2, variants=("vit",))
    (other,), (warmer,) = trainings(variants=("eanet",)), trainings(variants=("vit",), learning_rate="1e-2")
    assert shared_step(first) == shared_step(again)
    assert shared_step(first) not in (shared_step(other), shared_step(warmer))
    assert shared_step(longer(first)) is None
    assert {shared_step(trial) for trial in planned("scaling")} == {None}


def test_short_trainings_of_different_steps_run_side_by_side_and_nothing_else_does():
    assert side_by_side(trainings(3), 7) == 2, "EANet's and ViT's"
    assert side_by_side(trainings(3), 1) == 1
    assert side_by_side([*trainings(3)[:-1], longer(trainings(3)[-1])], 7) == 1
    assert side_by_side(planned("scaling"), 7) == 1


def test_trials_start_in_order_and_no_two_of_one_step_at_once():
    eanet, vit, eanet_again, vit_again = trainings(2)
    assert startable([eanet, vit, eanet_again, vit_again], []) == [eanet, vit]
    assert startable([eanet_again, vit_again], [vit]) == [eanet_again]
    steps = planned("scaling")[:3]
    assert startable(steps, []) == list(steps)


def test_a_run_takes_the_time_of_its_trials_and_less_where_they_run_side_by_side():
    asked = trainings(3)
    alone = expected_seconds(asked, threads=1, at_once=1)
    assert sum(alone.values()) == pytest.approx(estimate.pace() * sum(estimate.seconds(trial, 1) for trial in asked))
    beside = expected_seconds(asked, threads=2, at_once=2)
    assert sum(beside.values()) == pytest.approx(sum(alone.values()) / 2)


def test_the_pace_is_that_of_this_machine():
    """A computer that runs TensorFlow is no hundred times faster or slower than that of the constants."""
    assert 0.01 < estimate.pace() < 100
    (trial,) = trainings(variants=("vit",))
    assert estimate.seconds(longer(trial), 2) < estimate.seconds(longer(trial), 1)
