"""Small planned trials for the tests of benchmarks, of the profile `quick`."""

from pathlib import Path

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.executors import run_local
from benchmarks.plan import Overrides, build_plan
from results.trials import CoreStepTrial

ORIGIN = Origin("test", None, None)
SMALL = {"blocks": "1", "embedding_dim": "8", "mlp_dim": "7", "patch_size": "4"}


def planned(suite, **overrides):
    """The trials of a suite under these overrides."""
    return build_plan([suite], "quick", lambda name: datasets.survey(name, None).shape, Overrides(**overrides)).trials


def trainings(seeds=1, epochs=2, variants=(), **settings):
    """Trainings of a tiny model, seed by seed: EANet's and ViT's."""
    return planned("accuracy", seeds=seeds, epochs=epochs, variants=variants, settings=SMALL | settings)


def step_times(count):
    """Steps of the attention layer at the smallest size, of one sample each."""
    chosen = [trial for trial in planned("scaling") if isinstance(trial, CoreStepTrial) and trial.patches == 64]
    return [trial.model_copy(update={"steps": 1, "seconds": 0.0}) for trial in chosen[:count]]


def outcomes(
    trials,
    folder=Path("nowhere"),
    on_start=lambda _: None,
    on_progress=lambda *_: None,
    timeout_seconds=lambda _: 120.0,
    backend="tensorflow",
    at_once=1,
):
    """What comes of the trials on this machine, in the order in which they end."""
    run = run_local(backend, ORIGIN, trials, folder, on_start, on_progress, timeout_seconds, at_once=at_once)
    return [outcome for _, outcome in run]


def history(record):
    """What has to be equal where the same training runs twice: all that is not a time."""
    epochs = [epoch.model_dump(exclude={"train_seconds"}) for epoch in record.epochs]
    return epochs, record.metrics, record.batch_order_sha256
