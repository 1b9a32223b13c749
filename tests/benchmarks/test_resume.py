"""A training that is killed and run again ends with exactly the history of one that was not."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from results import store
from results.records import Failure
from tests.trials import history, outcomes, planned

TUTORIAL = {"blocks": "3", "patch_size": "2", "augmentation": "tutorial", "weight_decay": "0.1"}
"""Every random layer of the tutorial at work, and an epoch long enough to be killed in."""


def trial(variant, epochs):
    return planned("accuracy", seeds=1, epochs=epochs, variants=(variant,), settings=TUTORIAL)[0]


def run(trial, folder, on_progress=lambda *_: None):
    folder.mkdir(exist_ok=True)
    (outcome,) = outcomes([trial], folder, on_progress=on_progress, timeout_seconds=lambda _: 200.0)
    return outcome


def killed_and_whole(variant, folder):
    """Trains one model twice, once without a break and once killed in an epoch and run again; says what came of it."""
    asked, resumed = trial(variant, epochs=5), []
    whole = run(asked, folder / "whole")
    middle = np.median([epoch.train_seconds for epoch in whole.epochs]) / 2

    def kill(_, progress):
        if progress.epoch == 2:
            time.sleep(middle)  # the worker trains the next epoch meanwhile
            (worker,) = multiprocessing.active_children()
            worker.kill()

    killed = run(asked, folder / "killed", kill)
    assert isinstance(killed, Failure)
    again = run(asked, folder / "killed", lambda _, progress: resumed.append((progress.epoch, progress.resumed)))
    return {
        "status": killed.status,
        "resumed": resumed,
        "interrupted_after": again.interrupted_after,
        "whole": history(whole),
        "again": history(again),
    }


@pytest.mark.parametrize("variant", ["eanet", "vit"])
def test_sigkill_in_the_middle_of_an_epoch_changes_nothing_but_the_times(variant, tmp_path):
    """In an interpreter of its own, for the workers get the setting of determinism with their first process."""
    code = "import json, sys; from pathlib import Path; from tests.benchmarks.test_resume import killed_and_whole\n"
    code += "if __name__ == '__main__': print(json.dumps(killed_and_whole(sys.argv[1], Path(sys.argv[2]))))"
    environment = os.environ | {"TF_DETERMINISTIC_OPS": "1"}
    command = [sys.executable, "-c", code, variant, str(tmp_path)]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=root)
    found = json.loads(done.stdout)
    assert found["status"] == "signal 9"
    (after,) = found["interrupted_after"]
    assert 2 <= after < 5
    assert found["resumed"] == [[epoch, after] for epoch in range(after, 6)], "from its last epoch on"
    assert len(found["whole"][0]) == 5
    assert found["again"] == found["whole"]


def test_killed_after_the_last_epoch_only_the_test_is_left(tmp_path):
    asked = trial("eanet", epochs=1)
    whole = run(asked, tmp_path)
    assert store.checkpoints(tmp_path) == {asked.trial_id}, "kept until the record is safe"
    again = run(asked, tmp_path)
    assert history(again) == history(whole)
    assert again.epochs[0].train_seconds == whole.epochs[0].train_seconds, "not trained again"
    assert again.interrupted_in == (whole.environment,)
    store.write(tmp_path, again)
    assert store.checkpoints(tmp_path) == set()
