"""A run with something of everything for the page, made up and small."""

import pytest

from results import store
from results.records import PlannedSuite, RunPlan
from tests import samples

EVIL = (
    '<script>alert(1)</script>"><img src=x onerror=alert(2)>=HYPERLINK("x") style="font: y; k:#010203 1.23456 autofocus'
)
"""A variant's name that would be markup, or a spreadsheet's formula, if it were not escaped."""


def write_run(folder, variants=("eanet", "vit"), seeds=3):
    """Trainings, an ablation, step times of both scopes, and a failure."""
    folder.mkdir(parents=True, exist_ok=True)
    ids, grid_ids = [], []
    for seed in range(seeds):
        for place, variant in enumerate(variants):
            trial_id = f"train-{place}-{seed}"
            record = samples.training(variant, seed, top1=0.9 + 0.01 * seed + 0.02 * place, trial_id=trial_id)
            store.write(folder, record)
            ids.append(record.trial_id)
        for recipe, top1 in (("corrected", 0.5), ("tutorial", 0.2), ("none", 0.21)):
            record = samples.training(
                "eanet", seed, top1=top1 + 0.01 * seed, suite="recipes", training={"augmentation": recipe}
            )
            store.write(folder, record)
            grid_ids.append(record.trial_id)
    sizes = {"core": (64, 121, 225, 400, 729, 1296, 2304, 4096), "model": (16, 36, 64, 121, 225, 400, 625, 1024)}
    for scope, patches in sizes.items():
        for variant, linear, square in (("eanet", 1e-5, 0), ("vit", 3e-5, 1e-7)):
            for n in patches:
                for process in range(3):
                    seconds = (linear * n + square * n**2) * (1 + 0.01 * process)
                    record = samples.step_time(variant, n, seconds, process, scope, activation=2**14 * n)
                    store.write(folder, record)
    store.write(folder, samples.failure(seed=97, reason="ResourceExhausted: no memory", log_tail="the last line"))
    suites = {
        "accuracy": PlannedSuite(question="As accurate?", trial_ids=tuple(ids)),
        "recipes": PlannedSuite(
            question="Which recipe?",
            grid=("augmentation",),
            base={"augmentation": "tutorial"},
            trial_ids=tuple(grid_ids),
        ),
    }
    command = "python -m benchmarks.run --all"
    store.write_plan(folder, RunPlan(profile="quick", command=command, suites=suites), None)
    return folder


@pytest.fixture(scope="session")
def full_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def folder(tmp_path):
    """Trainings and step times of both variants."""
    for seed in range(3):
        for variant in ("eanet", "vit"):
            store.write(tmp_path, samples.training(variant, seed, top1=0.9 + 0.01 * seed))
    for variant, linear in (("eanet", 1e-5), ("vit", 3e-5)):
        for n in (64, 121, 225, 400, 729, 1296):
            store.write(tmp_path, samples.step_time(variant, n, linear * n))
    return tmp_path
