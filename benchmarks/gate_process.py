"""One process of the timing gate: counts or times the gate's cases as the tree that it stands in has them.

It is run by its path, that of the gate's own tree, so that both sides are timed by the same stopwatch, as a step-time
trial is; of the tree it takes `benchmarks.cases.gate_cases` and `benchmarks.steptime.build_case`. Prints JSON.

  cd TREE && PYTHONPATH=TREE python -P benchmarks/gate_process.py
  cd TREE && PYTHONPATH=TREE python -P benchmarks/gate_process.py SEED STEPS CASE ...
"""

import json
import os
import random
import runpy
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

STOPWATCH = runpy.run_path(str(Path(__file__).with_name("stopwatch.py")))
"""The one beside this file, not that of the tree."""
NOT_SHAPE = {"suite", "variant", "process", "steps", "seconds", "protocol"}
"""What a case may change and still be the same one."""


def times(seed: int, steps: int, *names: str) -> dict[str, dict[str, Any]]:
    """The timing of each case, as a step-time record has it. They take turns in an order of the seed."""
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found = gate_cases()
    order = random.Random(seed).sample(names, len(names))
    built = [build_case(found[name]).step for name in order]
    timings = STOPWATCH["measure_in_turns"](built, STOPWATCH["synchroniser"](), steps, 0.0)
    return {name: asdict(timing) for name, timing in zip(order, timings, strict=True)}


def counts() -> dict[str, dict[str, Any]]:
    """What needs no clock: the shape of each case, and its parameters, multiply-adds and operations."""
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found = {}
    for name, trial in gate_cases().items():
        case = build_case(trial)
        counted = {"parameters": case.parameters, "multiply-adds": _multiply_adds(case), **case.operations()}
        found[name] = {"shape": trial.model_dump(mode="json", exclude=NOT_SHAPE), "counts": counted}
    return found


def _multiply_adds(case: Any) -> int:
    if hasattr(case, "cost"):
        return int(case.cost.multiply_adds)
    from models import cost  # BASE is from before cases told their cost

    return int(cost.multiply_adds(case.parts))  # type: ignore[attr-defined]


def _require_own(tree: Path) -> None:
    """What a tree lacks may be found in another one that is installed: that would time a mixture of both."""
    for name, module in sys.modules.items():
        file = getattr(module, "__file__", None) if name.split(".")[0] in ("models", "benchmarks", "results") else None
        if file and tree not in Path(file).resolve().parents:
            raise ImportError(f"{name} is not there")


if __name__ == "__main__":
    answer = os.dup(1)  # TensorFlow prints to the standard output too
    os.dup2(2, 1)
    found = times(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]) if sys.argv[1:] else counts()
    _require_own(Path.cwd().resolve())
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)
