"""Step-time trials: every scope, phase and variant gives a complete record; a step does what it says."""

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.environment import Origin, synchroniser
from benchmarks.plan import Overrides, build_plan
from benchmarks.steptime import build_case, measure_steps
from models import cost
from models.attention import ExternalAttention, SelfAttention

ORIGIN = Origin("test", None, None)


def small_trials():
    """One trial of each scope, phase and variant, at the smallest size."""
    plan = build_plan(
        ["scaling"], "quick", lambda name: datasets.shape(name, None), Overrides(settings={"blocks": "1"})
    )
    chosen = [t for t in plan.trials if t.patches == 64 and t.process == 0]
    return [trial.model_copy(update={"steps": 3, "seconds": 0.0}) for trial in chosen]


@pytest.mark.parametrize("trial", small_trials(), ids=lambda trial: f"{trial.scope}-{trial.phase}-{trial.variant}")
def test_every_case_gives_a_complete_record(trial):
    record = measure_steps(trial, ORIGIN)
    assert (record.scope, record.phase, record.variant, record.patches) == (
        trial.scope,
        trial.phase,
        trial.variant,
        64,
    )
    assert len(record.samples_seconds) == 3
    assert record.compile_seconds > max(record.samples_seconds)
    parts = cost.model(trial.model) if trial.scope == "model" else cost.attention(trial.attention, trial.dim, 64)
    assert record.multiply_adds == cost.multiply_adds(parts)
    assert record.settings == trial.model_dump(mode="json")


@pytest.mark.parametrize("trial", small_trials(), ids=lambda trial: f"{trial.scope}-{trial.phase}-{trial.variant}")
def test_nothing_compiles_inside_the_timed_region(trial, monkeypatch):
    """A layer's Python runs while a step is traced, and not in a compiled one: after the first call it must rest."""
    layer = {"eanet": ExternalAttention, "vit": SelfAttention}[trial.variant]
    call, traced = layer.call, []

    def counting(self, x, training=None):
        traced.append(x)
        return call(self, x, training=training)

    monkeypatch.setattr(layer, "call", counting)
    case, wait = build_case(trial), synchroniser()
    traced.clear()
    wait(case.step())
    assert traced
    traced.clear()
    for _ in range(3):
        wait(case.step())
    assert not traced


@pytest.mark.parametrize(
    "trial", [t for t in small_trials() if t.scope == "model"], ids=lambda t: f"{t.phase}-{t.variant}"
)
def test_an_inference_predicts_and_a_training_step_learns(trial):
    case = build_case(trial)
    results = [np.asarray(case.step()) for _ in range(7)]
    if trial.phase == "infer":
        assert results[0].shape == (trial.batch, 10)
        np.testing.assert_array_equal(results[0], results[-1])
    else:
        assert results[-1] < results[0]
