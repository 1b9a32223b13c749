"""The suites on JAX and PyTorch, on the CPU: each kind of trial in a worker of its own, as a run makes them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import datasets, executors
from benchmarks.own_attentions import costed, described
from benchmarks.plan import Overrides, build_plan
from results import store
from results.records import StepTimeRecord, TrainRecord
from tests.benchmarks.test_own_attentions import DOCUMENTED
from tests.trials import SMALL, outcomes, planned

ROOT = Path(__file__).parent.parent.parent
WITHOUT_TENSORFLOW = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
hidden = lambda cls, name, *rest: None if name.partition(".")[0] == "tensorflow" else found(name, *rest)
PathFinder.find_spec = classmethod(hidden)
"""
"""What Python runs when it starts, as a `sitecustomize.py`."""


@pytest.fixture(params=["jax", "torch"])
def backend(request, monkeypatch):
    """Its workers start from nothing here: those of TensorFlow, in other tests, are forked in this process."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setattr(executors, "_imported_for", {"tensorflow"})
    return request.param


def made(suite, folder, backend, only=lambda trial: True, **overrides):
    trials = filter(only, planned(suite, backend=backend, settings=SMALL, **overrides))
    return outcomes(trials, folder, timeout_seconds=lambda _: 240.0, backend=backend)


def test_the_accuracy_suite_trains_on_the_same_batches_as_tensorflow(tmp_path, backend):
    there = made("accuracy", tmp_path, backend, seeds=1, epochs=2)
    assert [type(outcome) for outcome in there] == [TrainRecord, TrainRecord], there
    assert {(r.environment.backend, r.environment.jit) for r in there} == {(backend, backend == "jax")}
    assert all(record.epochs[1].loss < record.epochs[0].loss for record in there)
    (on_tensorflow,) = made("accuracy", tmp_path, "tensorflow", seeds=1, epochs=2, variants=("eanet",))
    assert {record.batch_order_sha256 for record in there} == {on_tensorflow.batch_order_sha256}
    assert there[0].parameters == on_tensorflow.parameters
    assert there[0].trial_id != on_tensorflow.trial_id


def test_an_attention_of_a_users_file_is_trained_and_timed(tmp_path, backend):
    (tmp_path / "token_mlp.py").write_text(DOCUMENTED)
    own = described([tmp_path / "token_mlp.py"], backend, {})
    asked = Overrides(attentions=own, variants=("vit",), backend=backend, seeds=1, epochs=1, settings=SMALL)
    plan = costed(
        build_plan(["rivals", "scaling"], "quick", lambda name: datasets.survey(name, None).shape, asked), backend
    )
    first = {(t.suite, getattr(t, "scope", "")): t for t in reversed(plan.trials) if t.variant == "token-mlp"}
    found = outcomes(first.values(), tmp_path, timeout_seconds=lambda _: 240.0, backend=backend)
    assert {type(outcome) for outcome in found} == {TrainRecord, StepTimeRecord}, found
    assert len(found) == 3
    assert {outcome.environment.backend for outcome in found} == {backend}


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_trains_and_times_without_tensorflow(tmp_path):
    """Where it is installed, it is hidden; `tox -e jax-only` has none."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    asked = ["--suite", "accuracy", "--suite", "scaling", "--variant", "eanet"]
    asked += ["--seeds", "1", "--epochs", "1", "--backend", "jax"]
    sizes = SMALL | {"core.patches": 13, "core.processes": 1, "model.patches": 9, "model.processes": 1}
    settings = [word for name, value in sizes.items() for word in ("--set", f"{name}={value}")]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    def run(*arguments):
        command = [sys.executable, "-m", "benchmarks.run", *arguments, "--out", str(tmp_path / "run")]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})

    done = run(*asked, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    there = store.load(tmp_path / "run")
    assert {record.environment.backend for record in there.results} == {"jax"}
    assert (len(there.trainings), len(there.step_times)) == (1, 4)
    without = run("--suite", "accuracy")
    assert without.returncode == 2
    assert without.stderr == "error: the backend tensorflow is not installed: pip install -e .\n"


def test_the_scaling_suite_times_both_scopes(tmp_path, backend):
    cases = ["core-train-eanet-n64-process0", "model-infer-eanet-n64-process0"]
    asked = {f"scaling {case}" for case in cases}
    timed = made("scaling", tmp_path, backend, only=lambda trial: trial.label in asked)
    assert {type(outcome) for outcome in timed} == {StepTimeRecord}, timed
    assert {(record.scope, record.phase) for record in timed} == {("core", "train"), ("model", "infer")}
    assert all(record.device_peak_memory_bytes is None for record in timed), "neither tells on a CPU"
