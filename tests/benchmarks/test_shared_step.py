"""Short trainings that differ in their seed alone share a process and its compiled step: the results are the same."""

import json
import multiprocessing
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks import executors
from results.records import Failure, TrainRecord
from tests.trials import history, outcomes, trainings


def workers():
    return {process.pid for process in multiprocessing.active_children()}


def in_three_ways(folder):
    """Histories of both variants with two seeds each, run together, side by side and one by one, and how many processes
    it took."""
    asked, found = trainings(2), {}
    alone = [[trial] for trial in asked]
    for way, groups, at_once in (("together", [asked], 1), ("side by side", [asked], 2), ("alone", alone, 1)):
        used = found[f"processes {way}"] = []
        note = partial(lambda used, *_: used.extend(workers() - set(used)), used)
        records = [r for group in groups for r in outcomes(group, folder, on_progress=note, at_once=at_once)]
        found[way] = sorted([record.trial_id, *history(record)] for record in records)
    return found


def test_trainings_that_share_a_process_end_exactly_as_alone(tmp_path):
    """In an interpreter of its own, for the workers get the setting of determinism with their first process."""
    code = "import json, sys; from pathlib import Path; from tests.benchmarks.test_shared_step import *\n"
    code += "if __name__ == '__main__': print(json.dumps(in_three_ways(Path(sys.argv[1]))))"
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"TF_DETERMINISTIC_OPS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=root)
    found = json.loads(done.stdout)
    assert len(found["alone"]) == 4
    assert found["together"] == found["side by side"] == found["alone"]
    processes = [len(found[f"processes {way}"]) for way in ("together", "side by side", "alone")]
    assert processes == [2, 2, 4], "per variant, and per training"


def test_an_interruption_ends_those_that_run_side_by_side(tmp_path):
    """The first training runs alone, for it tells that it computes on a processor; then two run at once."""
    started = []

    def interrupt(trial, _):
        if len(started) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcomes(trainings(2, epochs=7), tmp_path, started.append, interrupt, at_once=2)
    assert workers() == set()


def test_one_that_is_killed_costs_its_own_trial_alone(tmp_path):
    first, second, third = trainings(3, variants=("eanet",))

    def kill(trial, _):
        if trial is second:
            (worker,) = multiprocessing.active_children()
            worker.kill()

    found = outcomes([first, second, third], tmp_path, on_progress=kill)
    assert [type(outcome) for outcome in found] == [TrainRecord, Failure, TrainRecord]
    assert found[1].status == "signal 9"
    assert workers() == set()


def test_a_worker_that_died_while_it_waited_costs_no_trial(tmp_path):
    first, second = trainings(2, variants=("eanet",))

    def kill(trial):
        for worker in multiprocessing.active_children() if trial is second else ():
            worker.kill()
            worker.join()

    found = outcomes([first, second], tmp_path, on_start=kill)
    assert [type(outcome) for outcome in found] == [TrainRecord, TrainRecord]


def test_what_a_trial_prints_is_not_told_of_the_next(tmp_path):
    first, second = trainings(2, variants=("eanet",))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f"{first.trial_id}.npz").write_text("no checkpoint")  # which it tells in its log
    broken = second.model_copy(update={"seed": -1})  # no plan would let through, and shares the step
    found = outcomes([first, broken], tmp_path)
    assert [type(outcome) for outcome in found] == [TrainRecord, Failure]
    assert "ValueError: expected non-negative integer" in found[1].log_tail
    assert "set aside" not in found[1].log_tail


def test_a_failures_record_does_not_say_where_its_run_is(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "checkpoints").write_text("no folder")
    (outcome,) = outcomes(trainings(1)[:1], folder)
    assert outcome.status == "failed"
    assert f"'checkpoints/{outcome.trial_id}.npz'" in outcome.reason
    assert "my run" not in outcome.reason + outcome.log_tail


def test_idle_workers_are_bounded_and_the_first_ones_stay(tmp_path, monkeypatch):
    """Cells and variants come seed by seed: to end the oldest would be to end the one that is wanted next."""
    monkeypatch.setattr(executors, "MOST_KEPT", 2)
    cells = [[t for t in trainings(2, learning_rate=rate) if t.variant == "eanet"] for rate in ("1e-3", "2e-3", "3e-3")]
    idle = []
    found = outcomes([cell[seed] for seed in (0, 1) for cell in cells], tmp_path, lambda _: idle.append(len(workers())))
    assert max(idle) == 2
    processes = [outcome.environment.process for outcome in found]
    assert processes[:2] == processes[3:5]
    assert len(set(processes)) == 4
