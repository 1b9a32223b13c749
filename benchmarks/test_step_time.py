"""The step-time cases as pytest-benchmark tests: pytest benchmarks --benchmark-only. Less than a minute on 2 cores.

All of pytest-benchmark's own options work, such as --benchmark-json FILE and --benchmark-compare.
"""

import os
from typing import Any

import pytest

from benchmarks.cases import cases
from benchmarks.environment import isolate, worker_variables
from benchmarks.processor import available_threads
from benchmarks.stopwatch import WARMUP_STEPS, synchroniser
from results.trials import StepTimeTrial

isolate(
    worker_variables(os.environ.get("KERAS_BACKEND", "tensorflow"), available_threads())
)  # before Keras is imported

ROUNDS = 10
CASES = cases()


@pytest.mark.parametrize("trial", CASES.values(), ids=CASES.keys())
def test_step(benchmark: Any, trial: StepTimeTrial) -> None:
    from benchmarks.environment import Origin, observe
    from benchmarks.steptime import build_case

    case, synchronise = build_case(trial), synchroniser()
    where = observe(Origin("pytest benchmarks", None, None), trial.precision, "", case.jit)
    benchmark.extra_info |= {
        "parameters": case.cost.parameters,
        "multiply_adds": case.cost.multiply_adds,
        "batch": trial.batch,
        **where.model_dump(include={"backend", "jit", "precision", "device", "cpu", "threads", "versions"}),
    }
    benchmark.pedantic(lambda: synchronise(case.step()), rounds=ROUNDS, warmup_rounds=WARMUP_STEPS + 1)
