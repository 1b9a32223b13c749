"""Workers are real processes: one that dies or fails costs its own trial alone, and the parent stays light."""

import multiprocessing
import subprocess
import sys
import threading
import time

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.executors import run_local
from benchmarks.plan import Overrides, build_plan
from results.records import Failure, StepTimeRecord

ORIGIN = Origin("test", None, None)


def small_trials(count=3):
    plan = build_plan(["scaling"], "quick", lambda name: datasets.shape(name, None), Overrides())
    chosen = [trial for trial in plan.trials if trial.scope == "core" and trial.patches == 64][:count]
    return [trial.model_copy(update={"steps": 1, "seconds": 0.0}) for trial in chosen]


def kill_the_worker():
    """SIGKILL to the running worker, as the kernel does when memory runs out."""
    while not (workers := multiprocessing.active_children()):
        time.sleep(0.002)
    workers[0].kill()


def test_a_killed_worker_costs_its_own_trial_alone():
    first, second, third = small_trials()
    second = second.model_copy(update={"seconds": 1e6, "steps": 10**9})  # still running whenever the kill comes

    def on_start(trial):
        if trial is second:
            threading.Thread(target=kill_the_worker, daemon=True).start()

    outcomes = [out for _, out in run_local([first, second, third], "tensorflow", ORIGIN, on_start, lambda *_: None)]
    assert isinstance(outcomes[0], StepTimeRecord)
    assert isinstance(outcomes[2], StepTimeRecord)
    assert isinstance(outcomes[1], Failure)
    assert (outcomes[1].trial_id, outcomes[1].status) == (second.trial_id, "signal 9")
    assert outcomes[1].reason == "its process was ended by SIGKILL before it gave a record"
    assert multiprocessing.active_children() == []


def test_a_trial_that_raises_is_recorded_with_its_reason_and_its_last_words():
    (trial,) = small_trials(1)
    wrong = trial.model_copy(update={"dim": 7})  # 4 heads do not divide it, which no plan would let through
    ((_, outcome),) = run_local([wrong], "tensorflow", ORIGIN, lambda _: None, lambda *_: None)
    assert isinstance(outcome, Failure)
    assert outcome.status == "failed"
    assert outcome.reason == "ValueError: heads 4 does not divide the input's last dimension 7"
    assert "Traceback" in outcome.log_tail


def test_the_parent_never_loads_what_the_workers_do():
    code = """
import sys
from tests.benchmarks.test_executors import ORIGIN, run_local
from benchmarks import datasets
from benchmarks.plan import Overrides, build_plan
small = {"blocks": "1", "embedding_dim": "8", "patch_size": "4"}
overrides = Overrides(seeds=1, epochs=1, variants=("eanet",), settings=small)
if __name__ == "__main__":
    plan = build_plan(["accuracy"], "quick", lambda name: datasets.shape(name, None), overrides)
    said = []
    on_progress = lambda _, progress: said.append(progress)
    ((_, record),) = run_local(plan.trials, "tensorflow", ORIGIN, said.append, on_progress)
    print(len(said), record.kind, *({"keras", "tensorflow", "numpy", "sklearn"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 train\n"
    assert done.stderr == ""
