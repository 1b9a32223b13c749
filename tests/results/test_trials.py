"""Trials: an id is the hash of what can change the result, and stays what it was when a run was recorded."""

from pathlib import Path

import pytest

import results
from results import store
from tests import samples

REFERENCE = Path(results.__file__).parent / "reference"


@pytest.mark.parametrize("run", ["quick-2-cores-epyc", "precision-2-cores", "cifar100-faster-2-cores"])
def test_the_ids_of_committed_records_are_those_of_their_trials(run):
    records = store.load(REFERENCE / run).results
    assert len(records) >= 6
    assert [record.trial.trial_id for record in records] == [record.trial_id for record in records]


def test_trials_of_other_seeds_suites_and_grids_share_their_conditions_and_others_do_not():
    record = samples.training("eanet", 3)
    trial = record.trial
    same = samples.altered(record, seed=5, suite="another", grid={"epochs": 2}).trial
    assert same.conditions == trial.conditions
    for change in ({"backend": "jax"}, {"attention": {"heads": 2}}, {"training": {"epochs": 7}}, {"test_folds": 5}):
        assert samples.altered(record, **change).trial.conditions != trial.conditions, change


def test_the_points_of_a_curve_share_all_but_their_number_of_patches_and_their_process():
    one, other = (samples.step_time(patches=patches, process=process).trial for patches, process in ((64, 0), (121, 2)))
    assert one.conditions == other.conditions
    assert one.conditions != samples.step_time(variant="vit").trial.conditions
