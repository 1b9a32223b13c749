"""python -m benchmarks.cluster_study: what the executor of a cluster takes beside the trials themselves.

Starts a cluster of two nodes on this machine, with four slots each, and runs trials on it that sleep for one second.
All else about them is real: tasks, worker processes, answers, records; they import no Keras, which real trials of a
slot do once. 2,000 of them take about five minutes. Prints the time beside that of eight slots which are never idle.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import datasets
from benchmarks.cluster import Share, connected
from benchmarks.environment import Origin
from benchmarks.executors import Program
from benchmarks.plan import Overrides, build_plan
from benchmarks.worker import Answer, Task, Trouble
from results import store

NODES, SLOTS = 2, 4
TRIAL_SECONDS = 1.0

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def sleep(origin: Origin, log: Path, tasks: "Connection[Answer, Task]", variables: Mapping[str, str]) -> None:
    """A worker whose trials take one second of nothing."""
    while True:
        try:
            tasks.recv()
        except EOFError:
            return
        time.sleep(TRIAL_SECONDS)
        tasks.send(Trouble("skipped", "a simulated trial"))


@app.command(help=__doc__)
def command(
    trials: Annotated[int, typer.Option(help="How many; an even number.", min=2, max=100_000)] = 2000,
) -> None:
    try:
        from ray.cluster_utils import Cluster as RayNodes
    except ImportError:
        raise typer.BadParameter("Ray is not installed: pip install -e '.[ray]'") from None

    plan = build_plan(["accuracy"], "quick", lambda name: datasets.shape(name, None), Overrides(seeds=trials // 2))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = RayNodes(initialize_head=True, head_node_args={"num_cpus": SLOTS, "include_dashboard": False})
    nodes.add_node(num_cpus=SLOTS)
    nodes.wait_for_nodes()
    share, origin = Share(cpus=1, gpus=0), Origin("benchmarks.cluster_study", None, None)
    console, done = Console(), 0
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            connected(nodes.address, "tensorflow", share, origin, plan.trials) as cluster,
            console.status("") as status,
        ):
            from benchmarks import cluster_study  # by the name under which a node finds it

            cluster.program = Program(cluster_study.sleep, cluster_study.__name__)
            started = time.monotonic()
            for _, outcome in cluster.run(plan.trials, Path(folder), lambda _: None, lambda *_: None, lambda _: 60.0):
                store.write(Path(folder), outcome)
                done += 1
                status.update(f"{done} of {len(plan.trials)}")
                if outcome.kind != "failure" or outcome.status != "skipped":
                    raise RuntimeError(f"a simulated trial ended otherwise: {outcome}")
            seconds = time.monotonic() - started
            written = len(list((Path(folder) / "records").iterdir()))
    finally:
        nodes.shutdown()
    least = len(plan.trials) * TRIAL_SECONDS / (NODES * SLOTS)
    console.print(
        f"{written} trials of {TRIAL_SECONDS:g} s on {NODES * SLOTS} slots of {os.cpu_count()} cores: {seconds:.1f} s, "
        f"{100 * (seconds / least - 1):.1f} % more than {least:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(app())
