"""python -m tests.studies.speed: how much faster the suite's models are than the tutorial's own construction.

Both compute the same function of the same parameters (`tests.studies.published`; its tests compare outputs and
gradients). In each of `--processes` fresh processes the two constructions take turns, a step each, as the tutorial
trains them: batch 128, 256 patches, 8 blocks, behind its augmentation. With 4 processes of 4 rounds ten minutes on 2
CPU cores, which should do nothing else. Prints the table of docs/speed.md: geometric means of the processes' medians,
and the ratio of the two with its 95 % interval.

  python -m tests.studies.speed --processes 4 --rounds 4
"""

import multiprocessing
import os
import statistics
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Annotated, Any

import typer

from benchmarks.environment import worker_variables
from benchmarks.processor import available_threads, cpu_model
from models.cost import Phase

VARIANTS = ("eanet", "vit")
CONSTRUCTIONS = ("published", "suite")
STEPS_OF_AN_EPOCH = 313
Steps = dict[str, dict[str, Callable[[], Any]]]
"""Case -> construction -> its step."""
Taken = dict[str, dict[str, float]]
"""Case -> construction -> the process's median step, in seconds."""


def measure(
    variant: str, batch: int, blocks: int, rounds: int, reverse: bool, answers: "Connection[Taken, None]"
) -> None:
    """Times every case of a variant in this process, after two rounds to compile and to warm up."""
    from benchmarks.stopwatch import step_seconds, synchroniser

    wait = synchroniser()
    taken: Taken = {}
    for case, steps in (model_steps(variant, batch, blocks) | _attention_steps(variant, batch)).items():
        samples: dict[str, list[float]] = {construction: [] for construction in CONSTRUCTIONS}
        for turn in range(rounds + 2):
            for construction in reversed(CONSTRUCTIONS) if reverse else CONSTRUCTIONS:
                seconds = step_seconds(steps[construction], wait)
                if turn >= 2:
                    samples[construction].append(seconds)
        taken[case] = {construction: statistics.median(seconds) for construction, seconds in samples.items()}
    answers.send(taken)


def model_steps(variant: str, batch: int, blocks: int) -> Steps:
    """The whole model, compiled as a training compiles it."""
    import numpy as np

    from benchmarks import datasets
    from benchmarks.plan import Overrides, build_plan
    from benchmarks.training import compile_model
    from models.build import build_model
    from results.trials import TrainTrial
    from tests.studies.published import build_published_model

    overrides = Overrides(variants=(variant,), settings={"blocks": str(blocks)})
    (trial,) = build_plan(["accuracy"], "tutorial", lambda name: datasets.survey(name, None).shape, overrides).trials
    assert isinstance(trial, TrainTrial)
    config = trial.model
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, config.image_size, config.image_size, config.channels)).astype("float32")
    labels = np.eye(config.classes, dtype="float32")[rng.integers(config.classes, size=batch)]
    found: Steps = {"model, training step": {}, "model, inference": {}}
    for construction, build in zip(CONSTRUCTIONS, (build_published_model, build_model), strict=True):
        model = build(config, trial.training.augmentation)
        compile_model(model, trial.training, STEPS_OF_AN_EPOCH)
        found["model, training step"][construction] = partial(model.train_on_batch, images, labels)
        found["model, inference"][construction] = partial(model.predict_on_batch, images)
    return found


def _attention_steps(variant: str, batch: int) -> Steps:
    """The attention alone: forward and backward, and forward."""
    import numpy as np

    from benchmarks.steptime import layer_step
    from models.attentions.external import ExternalAttention
    from models.attentions.self import SelfAttention
    from models.build import build_attention
    from models.config import VARIANTS as KNOWN
    from tests.studies.published import attention_model

    config = KNOWN[variant].model
    assert isinstance(config.attention, ExternalAttention | SelfAttention)
    shape = (batch, config.patches, config.embedding_dim)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    ours = build_attention(config.attention)
    ours.build(shape)
    layers = (attention_model(config.attention, config.patches, config.embedding_dim), ours)
    phases: dict[str, Phase] = {"attention, training step": "train", "attention, inference": "infer"}
    return {
        case: {name: layer_step(layer, x, phase)[0] for name, layer in zip(CONSTRUCTIONS, layers, strict=True)}
        for case, phase in phases.items()
    }


def command(
    backend: Annotated[str, typer.Option(help="tensorflow, jax or torch.")] = "tensorflow",
    batch: Annotated[int, typer.Option(help="Images of a step.", min=1)] = 128,
    blocks: Annotated[int, typer.Option(help="Blocks of the model.", min=1)] = 8,
    processes: Annotated[int, typer.Option(help="Fresh processes a variant.", min=3)] = 7,
    rounds: Annotated[int, typer.Option(help="Timed steps of each case and construction in a process.", min=1)] = 5,
) -> None:
    os.environ.update(worker_variables(backend, available_threads()))
    from results.stats import Interval, geometric_mean_interval

    context = multiprocessing.get_context("spawn")
    print(f"{cpu_model()}, {available_threads()} threads, {backend}, batch {batch}, {blocks} blocks: ", end="")
    print(f"medians of {rounds} steps in each of {processes} processes, geometric means over them")
    print("| | published (ms) | suite (ms) | suite / published |\n|---|---|---|---|", flush=True)
    for variant in VARIANTS:
        found: list[Taken] = []
        for process in range(processes):
            answers, sender = context.Pipe(duplex=False)
            arguments = (variant, batch, blocks, rounds, process % 2 == 1, sender)
            worker = context.Process(target=measure, args=arguments)
            worker.start()
            sender.close()
            found.append(answers.recv())
            worker.join()

        def milliseconds(interval: Interval) -> str:
            ends = f"{1e3 * interval.low:,.1f}, {1e3 * interval.high:,.1f}" if interval.low and interval.high else "?"
            return f"{interval.estimate * 1e3:,.1f} [{ends}]"

        for case in found[0]:
            theirs, ours = ([taken[case][construction] for taken in found] for construction in CONSTRUCTIONS)
            ratio = geometric_mean_interval([o / t for o, t in zip(ours, theirs, strict=True)])
            columns = [milliseconds(geometric_mean_interval(side)) for side in (theirs, ours)]
            print(f"| {variant}: {case} | {' | '.join(columns)} | ", end="")
            print(f"**{ratio.estimate:.3f}** [{ratio.low:.3f}, {ratio.high:.3f}] |", flush=True)


if __name__ == "__main__":
    typer.run(command)
