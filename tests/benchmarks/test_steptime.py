"""Step-time trials: every scope, phase and variant gives a complete record; a step does what it says."""

import numpy as np
import pytest

from benchmarks import memory
from benchmarks.steptime import build_case, measure_steps
from benchmarks.stopwatch import synchroniser
from models.build import layer_of
from models.config import VARIANTS
from models.cost import COPIES_OF_WEIGHTS
from results.trials import StepTimeTrial
from tests.trials import ORIGIN, outcomes, planned


def cost_of(trial):
    return trial.model.cost() if trial.scope == "model" else trial.attention.cost(trial.dim, trial.patches)


def of_each_case(**overrides):
    """The first process of each step time, with three steps."""
    found = [t for t in planned("scaling", **overrides) if isinstance(t, StepTimeTrial) and t.process == 0]
    return [trial.model_copy(update={"steps": 3, "seconds": 0.0}) for trial in found]


SMALLEST = [trial for trial in of_each_case(settings={"blocks": "1"}) if trial.patches == 64]


def each(trials):
    return pytest.mark.parametrize("trial", trials, ids=lambda trial: f"{trial.scope}-{trial.phase}-{trial.variant}")


@each(SMALLEST)
def test_every_case_gives_a_complete_record(trial):
    record = measure_steps(trial, ORIGIN)
    assert (record.scope, record.phase, record.variant, record.patches) == (trial.scope, trial.phase, trial.variant, 64)
    assert len(record.samples_seconds) == 3
    assert record.compile_seconds > max(record.samples_seconds)
    assert record.multiply_adds == cost_of(trial).multiply_adds
    assert record.trial == trial


@each(SMALLEST)
def test_nothing_compiles_inside_the_timed_region(trial, monkeypatch):
    """A layer's Python runs while a step is traced, and not in a compiled one: after the first call it must rest."""
    layer = layer_of(VARIANTS[trial.variant].attention)
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


@each([trial for trial in SMALLEST if trial.scope == "model"])
def test_an_inference_predicts_and_a_training_step_learns(trial):
    case = build_case(trial)
    results = [np.asarray(case.step()) for _ in range(7)]
    if trial.phase == "infer":
        assert results[0].shape == (trial.batch, 10)
        np.testing.assert_array_equal(results[0], results[-1])
    else:
        assert results[-1] < results[0]


def sized(variant, scope, phase, patches):
    """A trial of the quick profile with three timed steps."""
    found = of_each_case(settings={f"{scope}.patches": str(patches)}, variants=(variant,))
    (trial,) = (t for t in found if (t.scope, t.phase, t.patches) == (scope, phase, patches))
    return trial


@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize(
    "variant", ["eanet", "vit", "vit-fused", "linear", "performer", "linformer", "nystroem", "cross-covariance"]
)
def test_closed_form_activations_are_within_a_factor_of_2_of_the_measured_peak(variant, phase, tmp_path):
    """At three sizes of the attention and one of the model, each in a process of its own, as a run measures it."""
    trials = [sized(variant, "core", phase, patches) for patches in (256, 576, 1024)]
    if variant in ("eanet", "vit"):
        trials.append(sized(variant, "model", phase, 1024))
    for trial, record in zip(trials, outcomes(trials, tmp_path), strict=True):
        weights = 4 * cost_of(trial).parameters * COPIES_OF_WEIGHTS[phase]
        assert 0.5 < record.activation_bytes / (record.device_peak_memory_bytes - weights) < 2, trial.trial_id
        assert record.peak_memory_bytes > 0.5 * record.device_peak_memory_bytes


def test_a_peak_is_counted_from_the_baseline_on_and_seen():
    watch = memory.Watch()
    assert watch.baseline_bytes > 100 * 2**20, "the libraries are in it"
    block = np.ones(97 * 2**20, np.uint8)
    del block
    assert 90 * 2**20 < watch.peaks().resident_bytes < 150 * 2**20


def test_a_trial_that_needs_more_than_is_free_says_how_much_of_both():
    trial = sized("vit", "core", "train", 1_000_000)
    with pytest.raises(memory.TooLargeError, match=r"^needs about 13\d,\d{3}\.\d GB, [\d,]+\.\d GB free$"):
        measure_steps(trial, ORIGIN)


@each([trial for trial in SMALLEST if trial.variant in ("eanet", "vit")])
def test_the_operations_of_a_step_are_those_of_its_graph(trial):
    """Folded external attention has two products of batches and four of weights, self-attention six; backward, each
    gives two more."""
    case = build_case(trial)
    found = case.operations()
    products = found["BatchMatMulV2"] + found.get("Einsum", 0)
    expected = 6 * (3 if trial.phase == "train" else 1)
    assert products >= expected
    if trial.scope == "core":
        assert products == expected
        assert case.parameters == case.cost.parameters
    assert found == build_case(trial).operations(), "the same code gives the same count"
