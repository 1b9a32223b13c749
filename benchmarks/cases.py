"""The step-time cases that are watched for regressions, by name: those of pytest-benchmark and of the timing gate."""

from benchmarks import datasets
from benchmarks.plan import Overrides, build_plan
from results.trials import StepTimeTrial

SIZES = {"core": {"64": "2", "1296": "2"}, "model": {"64": "4", "400": "4"}}
"""Scope -> number of patches -> batch: a small and a middle size of each."""
GATE_SIZES = {"core": {"256": "16"}, "model": {"64": "16"}}
"""Large enough for the arithmetic to outweigh the call, small enough for many processes in a pull request's time."""
GATE_VARIANTS = ("eanet", "vit")


def cases() -> dict[str, StepTimeTrial]:
    """Every variant of the suite `scaling`, training and inference, in the settings of the profile `quick`."""
    return _cases(SIZES, ())


def gate_cases() -> dict[str, StepTimeTrial]:
    """Those that the gate compares: without the whole model's inference, the shortest of all and the noisiest."""
    return {name: case for name, case in _cases(GATE_SIZES, GATE_VARIANTS).items() if "model-infer" not in name}


def _cases(sizes: dict[str, dict[str, str]], variants: tuple[str, ...]) -> dict[str, StepTimeTrial]:
    found: dict[str, StepTimeTrial] = {}
    for scope, batches in sizes.items():
        for patches, batch in batches.items():
            overrides = Overrides(variants=variants, settings={f"{scope}.patches": patches, f"{scope}.batch": batch})
            plan = build_plan(["scaling"], "quick", lambda name: datasets.shape(name, None), overrides)
            for trial in plan.trials:
                if not isinstance(trial, StepTimeTrial):
                    continue
                if (trial.scope, trial.process, str(trial.patches)) == (scope, 0, patches):
                    found[f"{scope}-{trial.phase}-{trial.variant}-n{patches}"] = trial
    return dict(sorted(found.items()))
