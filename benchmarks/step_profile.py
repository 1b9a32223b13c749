"""python -m benchmarks.step_profile: where a training step's time goes, for both variants and both constructions.

Reads TensorFlow's own trace of a few steps of the tutorial's model, batch 128 behind its augmentation, in a fresh
process each. Every moment of a step belongs to the operations that run in it, in equal parts where several do, and is
idle where none does: the parts add up to the step. About a minute and a half on 2 CPU cores. Prints the table of
docs/speed.md, in milliseconds.
"""

import multiprocessing
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.environment import available_threads, worker_variables
from benchmarks.processor import cpu_model
from benchmarks.speed_study import CONSTRUCTIONS, VARIANTS, model_steps

PARTS = (
    ("input and augmentation", r"/random_(flip|rotation|contrast|zoom|translation)|/normalization|Iterator|one_hot"),
    ("matrix products", r"(MatMul|BatchMatMulV2|Einsum)$"),
    ("dropout", r"dropout|stateless_random|:(GreaterEqual|Bitcast|SelectV2)$"),
    ("layer norms", r"layer_norm"),
    ("GELU, biases, residuals", r"feed_forward|dense|Gelu|patch_embedding|/head|/add(_\d+)?:AddV2$"),
    ("optimizer", r"adam_?w"),
)
"""Name of a part -> what an operation's name and kind, as "scope/name:Kind", hold. The first that fits counts."""
REST = "attention's normalisation, and the rest"
IDLE = "idle"


@dataclass(frozen=True)
class Span:
    """An operation that ran, with its part of the step; picoseconds."""

    part: str
    start: int
    end: int


def part_of(operation: str) -> str:
    """The part of a step that an operation belongs to."""
    return next((part for part, pattern in PARTS if re.search(pattern, operation)), REST)


def shares(spans: Iterable[Span], start: int, end: int) -> dict[str, float]:
    """Picoseconds of each part between `start` and `end`: each moment is shared by the spans that it lies in."""
    changes = defaultdict(list)
    for span in (span for span in spans if span.start < end and span.end > start):
        changes[max(span.start, start)].append((span.part, 1))
        changes[min(span.end, end)].append((span.part, -1))
    changes[end].append((IDLE, 0))
    taken: dict[str, float] = defaultdict(float)
    running: dict[str, int] = defaultdict(int)
    before = start
    for moment in sorted(moment for moment in changes if start <= moment <= end):
        busy = sum(running.values())
        for part, count in running.items():
            taken[part] += (moment - before) * count / busy if busy else 0
        taken[IDLE] += 0 if busy else moment - before
        for part, change in changes[moment]:
            running[part] += change
        before = moment
    return {part: time for part, time in taken.items() if time}


def trace(step: Callable[[], Any], steps: int) -> dict[str, float]:
    """Milliseconds of each part in a step, from TensorFlow's trace of so many."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    step()
    step()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(steps):
            step()
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        traced = xplane_pb2.XSpace.FromString(file.read_bytes())
    (plane,) = (plane for plane in traced.planes if plane.name == "/host:CPU")
    spans, calls = [], []
    for line in plane.lines:
        for event in line.events:
            name = plane.event_metadata[event.metadata_id].name
            start = line.timestamp_ns * 1000 + event.offset_ps
            span = Span(part_of(name), start, start + event.duration_ps)
            if line.name.startswith("tf_Compute") and re.search(r":\w+$", name) and "::" not in name:
                spans.append(span)
            elif re.match(r"EagerLocalExecute: __inference_one_step", name):
                calls.append(span)
    total: dict[str, float] = defaultdict(float)
    for call in calls:
        for part, picoseconds in shares(spans, call.start, call.end).items():
            total[part] += picoseconds * 1e-9 / len(calls)
    return dict(total)


def measure(
    variant: str, construction: str, batch: int, steps: int, answers: "Connection[dict[str, float], None]"
) -> None:
    """Sends the parts of a training step of one construction of a variant."""
    step = model_steps(variant, batch, blocks=8)["model, training step"][construction]
    answers.send(trace(step, steps))


def command(
    batch: Annotated[int, typer.Option(help="Images of a step.", min=1)] = 128,
    steps: Annotated[int, typer.Option(help="Steps to look at.", min=1)] = 5,
) -> None:
    os.environ.update(worker_variables("tensorflow", available_threads()))
    context = multiprocessing.get_context("spawn")
    found = {}
    for variant in VARIANTS:
        for construction in CONSTRUCTIONS:
            answers, sender = context.Pipe(duplex=False)
            worker = context.Process(target=measure, args=(variant, construction, batch, steps, sender))
            worker.start()
            sender.close()
            found[f"{variant}, {construction}"] = answers.recv()
            worker.join()
    print(
        f"{cpu_model()}, {available_threads()} threads, batch {batch}: milliseconds of a training step, {steps} steps"
    )
    print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for part in [name for name, _ in PARTS] + [REST, IDLE]:
        print(f"| {part} | {' | '.join(f'{parts.get(part, 0.0):,.0f}' for parts in found.values())} |")
    print(f"| whole step | {' | '.join(f'{sum(parts.values()):,.0f}' for parts in found.values())} |")


if __name__ == "__main__":
    typer.run(command)
