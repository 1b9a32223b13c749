"""One process of the timing gate: times the gate's cases as the tree that it stands in has them, and prints JSON.

It is run by its path, that of the gate's own tree, so that both sides are timed by the same stopwatch:

  cd TREE && PYTHONPATH=TREE python -P benchmarks/probe.py times SEED STEPS [CASE ...]
  cd TREE && PYTHONPATH=TREE python -P benchmarks/probe.py counts
"""

import importlib.util
import json
import os
import random
import statistics
import sys
from pathlib import Path
from typing import Any

STEPS_A_TURN = 5
NOT_SHAPE = {"suite", "variant", "process", "steps", "seconds", "protocol"}
"""What a case may change and still be the same one."""


def times(seed: int, steps: int, names: list[str]) -> dict[str, float]:
    """Median seconds of a synchronised step of each case.

    The cases take turns of a few steps, in an order of the seed: a slow second of the machine is then a small part of
    each case's steps and not the whole of one's (docs/timing-gate.md).
    """
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found, stopwatch = gate_cases(), _stopwatch()
    synchronise = stopwatch.synchroniser()
    order = random.Random(seed).sample(names, len(names))
    built = {name: build_case(found[name]).step for name in order}
    for step in built.values():
        stopwatch.measure(step, synchronise, 0, 0.0)  # compiles and warms up
    samples: dict[str, list[float]] = {name: [] for name in names}
    for start in range(0, steps, STEPS_A_TURN):
        for name in order:
            for _ in range(start, min(start + STEPS_A_TURN, steps)):
                samples[name].append(stopwatch.step_seconds(built[name], synchronise))
    return {name: statistics.median(samples[name]) for name in names}


def counts() -> dict[str, dict[str, Any]]:
    """What the clock does not tell: the shape, the parameters, the multiply-adds and the operations of each case."""
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found = {}
    for name, trial in gate_cases().items():
        case = build_case(trial)
        found[name] = {
            "shape": trial.model_dump(mode="json", exclude=NOT_SHAPE),
            "parameters": case.parameters,
            "multiply_adds": case.cost.multiply_adds,
            "operations": case.operations(),
        }
    return found


def _stopwatch() -> Any:
    """The one beside this file, not that of the tree."""
    spec = importlib.util.spec_from_file_location("gate_stopwatch", Path(__file__).with_name("stopwatch.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> None:
    answer = os.dup(1)  # TensorFlow prints to the standard output too
    os.dup2(2, 1)
    found = counts() if arguments[0] == "counts" else times(int(arguments[1]), int(arguments[2]), arguments[3:])
    _require_own(Path.cwd().resolve())
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


def _require_own(tree: Path) -> None:
    """What a tree lacks may be found in another one that is installed: that would time a mixture of both."""
    for name, module in sys.modules.items():
        file = getattr(module, "__file__", None) if name.split(".")[0] in ("models", "benchmarks", "results") else None
        if file and tree not in Path(file).resolve().parents:
            raise ImportError(f"{name} is not there")


if __name__ == "__main__":
    main(sys.argv[1:])
