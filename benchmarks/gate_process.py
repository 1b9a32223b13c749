"""Counts or times the gate's cases in one process, as the tree in the current folder has them. Prints JSON.

It is run by its path in the gate's own tree: one stopwatch, that of step-time trials, times both sides. The tree gives
`benchmarks.cases.gate_cases` and `benchmarks.steptime.build_case`. Times are the mean step seconds of each turn of a
case. In a duet both processes begin each turn at the same moment.

  cd TREE && PYTHONPATH=TREE python -P benchmarks/gate_process.py
  cd TREE && PYTHONPATH=TREE GATE_SEED=1 python -P benchmarks/gate_process.py TURNS CASE ...
"""

import json
import os
import random
import runpy
import sys
from pathlib import Path
from typing import Any

STOPWATCH = runpy.run_path(str(Path(__file__).with_name("stopwatch.py")))
"""The one beside this file, not that of the tree."""
TURN_SECONDS = 0.12
"""Several changes of cores in a duet, and of the longest step one."""
PARTNER_ENDED = 75
NOT_SHAPE = {"suite", "variant", "process", "steps", "seconds", "protocol"}
"""Settings that may differ between two trials of one case."""


def times(turns: int, *names: str) -> dict[str, list[float]]:
    """Times the cases, which take their turns in an order of the seed."""
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found = gate_cases()
    order = random.Random(os.environ["GATE_SEED"]).sample(names, len(names))
    built = [build_case(found[name]).step for name in order]
    taken = STOPWATCH["measure_turns"](built, STOPWATCH["synchroniser"](), turns, TURN_SECONDS, before_turn=meet)
    return dict(zip(order, taken, strict=True))


def meet() -> None:
    """Waits for the other process of a duet, where there is one, which waits for this one."""
    if "GATE_PARTNER" in os.environ:
        partner = int(os.environ["GATE_PARTNER"])
        try:
            os.write(partner, b".")
            is_there = os.read(partner, 1)
        except OSError:
            is_there = b""
        if not is_there:
            sys.exit(PARTNER_ENDED)


def counts() -> dict[str, dict[str, Any]]:
    """Describes what needs no clock: the shape of each case, and its parameters, multiply-adds and operations."""
    from benchmarks.cases import gate_cases
    from benchmarks.steptime import build_case

    found = {}
    for name, trial in gate_cases().items():
        case = build_case(trial)
        counted = {"parameters": case.parameters, "multiply-adds": case.cost.multiply_adds, **case.operations()}
        found[name] = {"shape": trial.model_dump(mode="json", exclude=NOT_SHAPE), "counts": counted}
    return found


def _require_own(tree: Path) -> None:
    """Raises `ImportError` where another, installed tree gave what this tree lacks: that would time a mixture."""
    for name, module in sys.modules.items():
        file = getattr(module, "__file__", None) if name.split(".")[0] in ("models", "benchmarks", "results") else None
        if file and tree not in Path(file).resolve().parents:
            raise ImportError(f"{name} is not there")


if __name__ == "__main__":
    answer = os.dup(1)  # TensorFlow prints to the standard output too
    os.dup2(2, 1)
    found = times(int(sys.argv[1]), *sys.argv[2:]) if sys.argv[1:] else counts()
    _require_own(Path.cwd().resolve())
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)
