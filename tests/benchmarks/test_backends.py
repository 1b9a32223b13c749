"""The suites on JAX, on the CPU: trainings and step times in workers of their own, as a run makes them."""

import importlib.util

import pytest

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.executors import run_local
from benchmarks.plan import Overrides, build_plan
from results.records import StepTimeRecord, TrainRecord

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
ORIGIN = Origin("", None, None)
SMALL = {"blocks": "1", "embedding_dim": "8", "mlp_dim": "8", "patch_size": "4"}


def outcomes(suite, folder, backend="jax", only=lambda trial: True, **overrides):
    plan = build_plan(
        [suite],
        "quick",
        lambda name: datasets.shape(name, None),
        Overrides(backend=backend, settings=SMALL, **overrides),
    )
    trials = [trial for trial in plan.trials if only(trial)]
    return [
        outcome for _, outcome in run_local(backend, ORIGIN, trials, folder, print, lambda *_: None, lambda _: 240.0)
    ]


def test_the_accuracy_suite_trains_compiled_and_on_the_same_batches_as_tensorflow(tmp_path):
    on_jax = outcomes("accuracy", tmp_path, seeds=1, epochs=2)
    assert [type(outcome) for outcome in on_jax] == [TrainRecord, TrainRecord], on_jax
    assert all(record.environment.backend == "jax" and record.environment.jit for record in on_jax)
    assert all(record.epochs[1].loss < record.epochs[0].loss for record in on_jax)
    (on_tensorflow,) = outcomes("accuracy", tmp_path, "tensorflow", seeds=1, epochs=2, variants=("eanet",))
    assert {record.batch_order_sha256 for record in on_jax} == {on_tensorflow.batch_order_sha256}
    assert on_jax[0].parameters == on_tensorflow.parameters
    assert on_jax[0].trial_id != on_tensorflow.trial_id


def test_the_scaling_suite_times_both_scopes(tmp_path):
    chosen = {("core", "train"), ("model", "infer")}
    on_jax = outcomes(
        "scaling",
        tmp_path,
        only=lambda t: t.label in {f"scaling {scope}-{phase}-eanet-n64-process0" for scope, phase in chosen},
    )
    assert [type(outcome) for outcome in on_jax] == [StepTimeRecord] * 2, on_jax
    assert {(record.scope, record.phase) for record in on_jax} == chosen
    assert all(record.device_peak_memory_bytes is None for record in on_jax), "JAX does not tell on a CPU"
