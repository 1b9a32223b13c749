"""python -m benchmarks.epoch_study: what an epoch through the suite costs over a bare `model.fit`.

Trains one model by turns in both ways, an epoch each, on the same images and from the same compiled step. "Suite" has
the fixed order of the batches, the reseeding of random layers, the history and the checkpoint; "bare" is Keras's own
shuffling and nothing else. Both validate. About a minute on 2 CPU cores as it stands; for the tutorial's model:

  python -m benchmarks.epoch_study --profile tutorial --data-dir DIR --set patch_size=4 --images 2560
"""

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import datasets, memory
from benchmarks.environment import Origin, available_threads, observe, worker_variables
from benchmarks.plan import Overrides, build_plan
from benchmarks.trials import TrainTrial


def study(trial: TrainTrial, images: int, pairs: int) -> list[tuple[float, float]]:
    """Seconds of `pairs` pairs of epochs, each (bare, suite), after one of each to warm up."""
    import keras
    import numpy as np

    from benchmarks import checkpoints, training
    from models.build import adapt_normalization, build_model

    data = datasets.load(trial.dataset, trial.data_dir)
    one_hot = np.eye(data.classes, dtype="float32")
    split = datasets.training_images(min(images, len(data.train_images)), trial.training.validation_split)
    train_images, labels = data.train_images[:split], one_hot[data.train_labels[:split]]
    validation = data.train_images[split:images], one_hot[data.train_labels[split:images]]
    keras.utils.set_random_seed(trial.seed)
    model = build_model(trial.model, trial.training.augmentation)
    adapt_normalization(model, data.train_images)
    steps = math.ceil(len(train_images) / trial.training.batch_size)
    training.compile_model(model, trial.training, steps)
    environment = observe(Origin("", None, None), trial.precision, "", model.jit_compile)
    nothing = checkpoints.Passed(environment=environment, dataset_sha256=data.sha256)
    shared = {"validation_data": validation, "validation_batch_size": training.EVALUATION_BATCH}
    batch_size = trial.training.batch_size

    def bare() -> None:
        model.fit(train_images, labels, batch_size=batch_size, epochs=1, verbose=0, **shared)

    def suite() -> None:
        def keep(passed: checkpoints.Passed) -> None:
            checkpoints.save(checkpoint, model, passed)

        history = training.History(len(train_images), batch_size, memory.watch(), nothing, keep, time.perf_counter)
        training.fit_in_order(model, train_images, labels, range(1), trial.seed, batch_size, [history], **shared)

    def seconds(epoch: Callable[[], None]) -> float:
        started = time.perf_counter()
        epoch()
        return time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.npz"
        bare()
        suite()
        found = []
        for pair in range(pairs):
            first, second = (bare, suite) if pair % 2 == 0 else (suite, bare)
            times = {first: seconds(first), second: seconds(second)}
            found.append((times[bare], times[suite]))
    return found


def command(
    profile: Annotated[str, typer.Option(help="quick, tutorial or full.")] = "quick",
    data_dir: Annotated[str | None, typer.Option(help="Where CIFAR-100 is.")] = None,
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")] = [],  # noqa: B006
    variant: Annotated[list[str], typer.Option(help="Only this variant; may be given again.")] = [],  # noqa: B006
    images: Annotated[int, typer.Option(help="Images of an epoch, those that validate included.")] = 10**6,
    pairs: Annotated[int, typer.Option(help="Pairs of epochs.", min=6)] = 12,
) -> None:
    os.environ.update(worker_variables("tensorflow", available_threads()))
    from results.stats import median_interval

    settings = {name: value for name, _, value in (text.partition("=") for text in set_)}
    overrides = Overrides(data_dir=data_dir, seeds=1, variants=tuple(variant), settings=settings)
    for trial in build_plan(["accuracy"], profile, lambda name: datasets.shape(name, data_dir), overrides).trials:
        assert isinstance(trial, TrainTrial)
        times = study(trial, images, pairs)
        bare, suite = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = median_interval([suite_seconds / bare_seconds for bare_seconds, suite_seconds in times])
        print(
            f"{trial.variant}: bare {bare:.3f} s, suite {suite:.3f} s, suite / bare {ratio.estimate:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}] (medians, 95 % interval, n = {pairs} pairs of epochs)",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(command)
