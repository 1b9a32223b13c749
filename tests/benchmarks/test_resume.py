"""A training that is killed and run again ends with exactly the history of one that was not."""

import multiprocessing
import time

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.executors import run_local
from benchmarks.plan import Overrides, build_plan
from results import store
from results.records import Failure

ORIGIN = Origin("test", None, None)
TUTORIAL = {"blocks": "2", "patch_size": "2", "augmentation": "tutorial", "weight_decay": "0.1"}
"""Every random layer of the tutorial at work, and an epoch long enough to be killed in."""


def trial(variant, epochs):
    overrides = Overrides(seeds=1, epochs=epochs, variants=(variant,), settings=TUTORIAL)
    return build_plan(["accuracy"], "quick", lambda name: datasets.shape(name, None), overrides).trials[0]


def run(trial, folder, on_progress=lambda *_: None):
    ((_, outcome),) = run_local([trial], "tensorflow", ORIGIN, folder, lambda _: None, on_progress, lambda _: 200.0)
    return outcome


def history(record):
    epochs = [epoch.model_dump(exclude={"train_seconds"}) for epoch in record.epochs]
    return epochs, (record.test_loss, record.test_top1, record.test_top5)


@pytest.mark.parametrize("variant", ["eanet", "vit"])
def test_sigkill_in_the_middle_of_an_epoch_changes_nothing_but_the_times(variant, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    asked, seen = trial(variant, epochs=5), []
    whole = run(asked, tmp_path / "whole", lambda _, progress: seen.append(progress))
    assert [progress.epoch for progress in seen] == [1, 2, 3, 4, 5]
    middle = np.median([epoch.train_seconds for epoch in whole.epochs]) / 2

    def kill(_, progress):
        if progress.epoch == 2:
            time.sleep(middle)  # the worker trains its third epoch meanwhile
            (worker,) = multiprocessing.active_children()
            worker.kill()

    killed = run(asked, tmp_path / "killed", kill)
    assert isinstance(killed, Failure)
    assert killed.status == "signal 9"
    assert store.checkpoints(tmp_path / "killed") == {asked.trial_id}
    resumed, seen = [], None
    again = run(asked, tmp_path / "killed", lambda _, progress: resumed.append(progress))
    assert [(progress.epoch, progress.resumed) for progress in resumed] == [(2, 2), (3, 2), (4, 2), (5, 2)]
    assert again.interrupted_after == (2,)
    assert history(again) == history(whole)
    assert again.batch_order_sha256 == whole.batch_order_sha256


def test_the_finished_record_ends_the_checkpoint(tmp_path):
    asked = trial("eanet", epochs=1)
    record = run(asked, tmp_path)
    assert store.checkpoints(tmp_path) == {asked.trial_id}, "kept until the record is safe"
    store.write(tmp_path, record)
    assert store.checkpoints(tmp_path) == set()


def test_killed_after_the_last_epoch_only_the_test_is_left(tmp_path):
    asked = trial("eanet", epochs=1)
    whole = run(asked, tmp_path)
    again = run(asked, tmp_path)
    assert history(again) == history(whole)
    assert again.epochs[0].train_seconds == whole.epochs[0].train_seconds, "not trained again"
