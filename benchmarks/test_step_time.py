"""The step-time cases as pytest-benchmark tests: pytest benchmarks --benchmark-only. About a minute on 2 cores.

All of pytest-benchmark's own options work, such as --benchmark-json FILE and --benchmark-compare.
"""

import os

import pytest

from benchmarks.environment import available_threads, worker_variables

os.environ.update(worker_variables(os.environ.get("KERAS_BACKEND", "tensorflow"), available_threads()))

from benchmarks.plan import Overrides, build_plan
from benchmarks.stopwatch import WARMUP_STEPS
from benchmarks.trials import CoreStepTrial, ModelStepTrial

SIZES = {"core": (64, 1296), "model": (64, 400)}


def cases() -> list[CoreStepTrial | ModelStepTrial]:
    """A small and a middle size of each scope, variant and phase of the quick profile."""
    from benchmarks import datasets

    plan = build_plan(["scaling"], "quick", lambda name: datasets.shape(name, None), Overrides())
    trials = [trial for trial in plan.trials if isinstance(trial, (CoreStepTrial, ModelStepTrial))]
    return sorted(
        (trial for trial in trials if trial.process == 0 and trial.patches in SIZES[trial.scope]),
        key=lambda trial: trial.trial_id,
    )


@pytest.mark.parametrize(
    "trial", cases(), ids=lambda trial: f"{trial.scope}-{trial.phase}-{trial.variant}-n{trial.patches}"
)
def test_step(benchmark, trial):  # type: ignore[no-untyped-def]
    from benchmarks.environment import synchroniser
    from benchmarks.steptime import build_case
    from models import cost

    case, synchronise = build_case(trial), synchroniser()
    benchmark.extra_info |= {"multiply_adds": cost.multiply_adds(case.parts), "batch": trial.batch, "jit": case.jit}
    benchmark.pedantic(lambda: synchronise(case.step()), rounds=10, warmup_rounds=WARMUP_STEPS + 1)
