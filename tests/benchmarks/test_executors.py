"""Workers are real processes: one that dies or fails costs its own trial alone, and the parent stays light."""

import importlib.util
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.environment import MODULES, worker_variables
from benchmarks.executors import _ending
from benchmarks.worker import Trouble, settle
from results.records import Failure, StepTimeRecord
from tests.trials import outcomes, step_times

ROOT = Path(__file__).parent.parent.parent


def endless(trial):
    """The trial, still running whenever something happens to it."""
    return trial.model_copy(update={"seconds": 1e6, "steps": 10**6})


def kill_the_worker():
    """SIGKILL to the running worker, as the kernel does when memory runs out."""
    while not (workers := multiprocessing.active_children()):
        time.sleep(0.002)
    workers[0].kill()


@pytest.mark.parametrize("backend", [name for name, module in MODULES.items() if importlib.util.find_spec(module)])
def test_what_workers_are_forked_from_has_one_thread_once_it_has_imported(backend):
    # The system may list a thread for a moment more that Python has joined.
    code = "import os, time, benchmarks.warm; time.sleep(0.1); print(len(os.listdir('/proc/self/task')))"
    variables = os.environ | worker_variables(backend, 2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=variables)
    assert done.stdout == "1\n", done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux alone")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise RuntimeError('broken\\nin two')", "RuntimeError: broken in two"),
        ("import os; os._exit(3)", "the process that they are forked from has ended"),
    ],
)
def test_libraries_that_workers_cannot_import_are_one_line(tmp_path, fault, reason):
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text(fault)
    variables = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    asked = ["--suite", "scaling", "--variant", "vit-fused", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "benchmarks.run", *asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables)
    assert done.returncode == 2, done.stderr
    assert done.stderr == f"error: no worker can be started: {reason}; finished trials are kept\n"


def tell_threads(origin, log, tasks, variables):
    """A worker that says how many threads PyTorch computes with."""
    settle(log, variables)
    tasks.recv()
    import torch

    tasks.send(Trouble("failed", str(torch.get_num_threads())))


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_computes_with_the_threads_of_its_own_trial(tmp_path):
    """It has been imported with those of another one, where a process of a cluster's node has had one before."""
    code = """
import sys
from pathlib import Path
from benchmarks.environment import worker_variables
from benchmarks.executors import Workers
from benchmarks.worker import Task
from tests.benchmarks.test_executors import tell_threads
from tests.trials import ORIGIN, step_times
if __name__ == "__main__":
    (trial,) = step_times(1)
    for threads in (1, 3, 2):
        with Workers("torch", worker_variables("torch", threads), ORIGIN, Path(sys.argv[1]), tell_threads) as workers:
            (outcome,) = workers.run(Task(trial, Path("none.npz")), 120.0)
        print(outcome.reason)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["1", "3", "2"], done.stderr


def test_a_trial_that_is_killed_hangs_or_does_not_fit_costs_itself_alone():
    first, killed, hung, large, last = step_times(5)
    killed, hung = endless(killed), endless(hung)
    large = large.model_copy(update={"patches": 1_000_000, "batch": 1000})

    def on_start(trial):
        if trial is killed:
            threading.Thread(target=kill_the_worker, daemon=True).start()

    found = outcomes(
        [first, killed, hung, large, last],
        on_start=on_start,
        timeout_seconds=lambda trial: 5.0 if trial is hung else 120.0,
    )
    assert [type(outcome) for outcome in found] == [StepTimeRecord, Failure, Failure, Failure, StepTimeRecord]
    assert [outcome.trial_id for outcome in found[1:4]] == [trial.trial_id for trial in (killed, hung, large)]
    assert [(outcome.status, outcome.reason) for outcome in found[1:3]] == [
        ("signal 9", "its process was ended by SIGKILL before it gave a record"),
        ("timeout", "no sign for 5 s: its process was ended"),
    ]
    assert (found[3].status, found[3].reason[:12], found[3].log_tail) == ("skipped", "needs about ", "")
    assert multiprocessing.active_children() == []


def test_a_worker_never_sees_ctrl_c():
    """It is for the parent to end its worker; one that has only just started could not ignore it yet."""
    (trial,) = step_times(1)
    masks = []

    def on_start(_):
        def look():
            while not (workers := multiprocessing.active_children()):
                time.sleep(0.002)
            status = Path(f"/proc/{workers[0].pid}/status").read_text()
            masks.append(int(re.search(r"^SigBlk:\s*([0-9a-f]+)", status, re.MULTILINE)[1], 16))
            workers[0].kill()

        threading.Thread(target=look, daemon=True).start()

    outcomes([endless(trial)], on_start=on_start)
    assert masks[0] & (1 << (signal.SIGINT - 1)), "blocked from its first instruction on"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "and not in the parent"


def test_a_trial_that_raises_is_recorded_with_its_reason_and_its_last_words():
    trial = next(trial for trial in step_times(8) if trial.variant == "eanet")
    wrong = trial.model_copy(update={"dim": 7})  # 4 heads do not divide it, which no plan would let through
    (outcome,) = outcomes([wrong])
    assert isinstance(outcome, Failure)
    assert outcome.status == "failed"
    assert outcome.reason == "ValueError: heads 4 does not divide embedding_dim 7; allowed: 1, 7"
    assert outcome.log_tail.endswith(outcome.reason), "its last words, of a traceback longer than the tail"
    assert 'File "./benchmarks/steptime.py", line ' in outcome.log_tail
    assert not re.search(r'["\s]/', outcome.log_tail), "no path of the machine"


def test_a_trial_that_runs_out_of_memory_is_oom():
    """A real allocation that fails: the backend may have 64 MB where the trial, which fits this machine, needs more.

    Without oneDNN, which TensorFlow uses by default where the processor has AVX512-VNNI: its matrix product goes on
    without the memory that it was not given, and a check then aborts the process.
    """
    code = """
import benchmarks.executors
from tests.trials import outcomes, step_times
variables = benchmarks.executors.worker_variables
benchmarks.executors.worker_variables = lambda *a: variables(*a) | {
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": "64", "TF_ENABLE_ONEDNN_OPTS": "0"}
if __name__ == "__main__":
    trial = next(t for t in step_times(12) if (t.variant, t.phase) == ("vit", "train"))
    (outcome,) = outcomes([trial.model_copy(update={"patches": 2304})])
    print(outcome.status, outcome.reason, sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, reason = done.stdout.strip().split("|")
    assert status == "oom", done.stdout
    assert reason.startswith("OOM when allocating tensor with shape[")


def test_the_kernels_kill_for_memory_is_told_from_anybodys():
    assert _ending(-signal.SIGKILL, out_of_memory=True).status == "oom"
    assert _ending(-signal.SIGKILL, out_of_memory=False).status == "signal 9"
    assert _ending(-signal.SIGSEGV, out_of_memory=True).status == "signal 11"
    assert _ending(0, out_of_memory=False).status == "exit 0"
    assert _ending(-signal.SIGRTMIN - 1, out_of_memory=False).reason.startswith("its process was ended by signal 3")


def test_the_parent_uses_less_than_a_hundredth_of_a_core_while_it_waits():
    (trial,) = step_times(1)
    outcomes([trial])  # starts the process that workers are forked from
    wall, used = time.monotonic(), time.process_time()
    outcomes([endless(trial)], timeout_seconds=lambda _: 7.0)
    wall, used = time.monotonic() - wall, time.process_time() - used
    assert wall > 7
    assert used < 0.01 * wall


def test_the_parent_never_loads_what_the_workers_do(tmp_path):
    code = """
import sys
from pathlib import Path
from tests.trials import outcomes, trainings
if __name__ == "__main__":
    said = []
    progress = lambda _, progress: said.append(progress)
    (record,) = outcomes(trainings(epochs=1, variants=("eanet",)), Path(sys.argv[1]), said.append, progress)
    print(len(said), record.kind, *({"keras", "tensorflow", "numpy", "sklearn"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "2 train\n"
    assert done.stderr == ""
