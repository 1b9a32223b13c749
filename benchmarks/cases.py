"""Names the step-time cases that are watched for regressions: those of pytest-benchmark and of the timing gate."""

from collections.abc import Mapping

from benchmarks import datasets
from benchmarks.plan import Overrides, build_plan
from results.trials import StepTimeTrial

SIZES = {"core.patches": "64,1296", "core.batch": "2", "model.patches": "64,400", "model.batch": "4"}
"""A small and a medium number of patches of each scope."""
GATE_SIZES = {"core.patches": "256", "core.batch": "16", "model.patches": "64", "model.batch": "16"}
"""Large enough for the arithmetic to outweigh the call, small enough for many processes in a pull request's time."""


def cases() -> dict[str, StepTimeTrial]:
    """Returns every variant of the suite `scaling`, training and inference, in the settings of the profile `quick`."""
    return _cases(SIZES, ())


def gate_cases() -> dict[str, StepTimeTrial]:
    """Returns the gate's cases: without the whole model's inference, the shortest of all and the noisiest."""
    return {name: case for name, case in _cases(GATE_SIZES, ("eanet", "vit")).items() if "model-infer" not in name}


def _cases(sizes: Mapping[str, str], variants: tuple[str, ...]) -> dict[str, StepTimeTrial]:
    overrides = Overrides(variants=variants, settings=sizes)
    plan = build_plan(["scaling"], "quick", lambda name: datasets.survey(name, None).shape, overrides)
    first = [trial for trial in plan.trials if isinstance(trial, StepTimeTrial) and trial.process == 0]
    return dict(sorted((f"{trial.scope}-{trial.phase}-{trial.variant}-n{trial.patches}", trial) for trial in first))
