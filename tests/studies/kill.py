"""python -m tests.studies.kill: kills a run again and again, and says whether anything was lost.

A run of many short trainings is killed with SIGKILL at random moments, by turns its parent, its worker and both, and
continued each time. After each kill every record has to be readable and every earlier one unchanged, and five seconds
later nothing of the run may be left. At the end its table has to equal an undisturbed run's, but for times and memory.
A moment is drawn from one and a half times the time that the machine takes to a first record, so that about half of
the kills meet a run that starts and half one that trains. 200 kills take an hour on 2 CPU cores. Prints what it saw;
exit status 1 where something was lost.
"""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import psutil
import typer

from results import store

ROOT = Path(__file__).parents[2]
TARGETS = ("parent", "worker", "both")
MEASURED = {"train_step_seconds", "peak_memory_bytes"}
"""Columns of the table that no two runs share."""
ORPHAN_SECONDS = 5.0
WAIT_PER_FIRST_RECORD = 1.5


@dataclass
class Seen:
    """What the study has found so far."""

    kills: Counter[str] = field(default_factory=Counter)
    kills_after_trainings: int = 0
    """Before which trainings had ended since the kill before."""
    records: dict[str, str] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    longest_orphan_seconds: float = 0.0


def command(folder: Path, seeds: int) -> list[str]:
    """Trainings of about half a second each."""
    small = ("blocks=1", "embedding_dim=8", "mlp_dim=8", "patch_size=4", "train_share=0.2")
    settings = [argument for setting in small for argument in ("--set", setting)]
    asked = ["--suite", "accuracy", "--seeds", str(seeds), "--epochs", "2", *settings, "--out", str(folder)]
    return [sys.executable, "-m", "benchmarks.run", *asked]


def start(folder: Path, seeds: int) -> subprocess.Popen[bytes]:
    """The run, in a session of its own, computing the same bits for the same seed."""
    return subprocess.Popen(
        command(folder, seeds),
        cwd=ROOT,
        env=os.environ | {"TF_DETERMINISTIC_OPS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def of_session(session: int) -> list[psutil.Process]:
    """The processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
    return found


def kill(run: subprocess.Popen[bytes], target: str, rng: random.Random) -> bool:
    """Kills the run's parent, one of the processes below it, or all at once; False where there was none to kill."""
    below = [process for process in of_session(run.pid) if process.pid != run.pid]
    if run.poll() is not None or (target == "worker" and not below):
        return False
    chosen = {
        "parent": [run.pid],
        "worker": [rng.choice(below).pid] if below else [],
        "both": [run.pid, *(p.pid for p in below)],
    }
    for pid in chosen[target]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return True


def check_records(folder: Path, seen: Seen) -> None:
    """Every record is whole, those of before are what they were, and of each variant at most one trial, for they run
    side by side, is begun and has not ended.

    A killed worker's trial ends as failed and waits for the next command: it is not in flight.
    """
    run = store.load(folder)
    seen.losses += [f"{name} is broken: {reason}" for name, reason in run.broken.items()]
    in_flight = store.checkpoints(folder) - run.done - {failure.trial_id for failure in run.failures}
    if len({trial_id.split("-")[1] for trial_id in in_flight}) < len(in_flight):
        seen.losses.append(f"{len(in_flight)} trials were in flight at once: {', '.join(sorted(in_flight))}")
    now = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "records").glob("*.json")
        if not path.name.endswith(".failure.json")
    }
    seen.losses += [f"{name} was lost or written again" for name, was in seen.records.items() if now.get(name) != was]
    seen.kills_after_trainings += len(now) > len(seen.records)
    seen.records = now


def check_orphans(session: int, seen: Seen) -> None:
    """Nothing of a run is left whose parent was killed."""
    since = time.monotonic()
    while left := of_session(session):
        if time.monotonic() - since > ORPHAN_SECONDS:
            seen.losses.append(f"still there after {ORPHAN_SECONDS:g} s: {', '.join(p.name() for p in left)}")
            return
        time.sleep(0.05)
    seen.longest_orphan_seconds = max(seen.longest_orphan_seconds, time.monotonic() - since)


def table(folder: Path) -> list[dict[str, str]]:
    """The run's table of accuracy without what is measured anew each time."""
    with (folder / "tables" / "accuracy.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in MEASURED} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["variant"], int(row["seed"])))


def undisturbed(folder: Path, seeds: int) -> float:
    """Lets a run end that nobody kills. Returns the seconds to its first record."""
    begun, run = time.monotonic(), start(folder, seeds)
    while run.poll() is None and not store.load(folder).done:
        time.sleep(0.1)
    first_record_seconds = time.monotonic() - begun
    run.wait()
    return first_record_seconds


def storm(folder: Path, kills: int, seeds: int, longest_wait_seconds: float, rng: random.Random) -> Seen:
    """Kills the run in `folder` that often, continuing it each time, then lets it end."""
    seen, run = Seen(), None
    try:
        while seen.kills.total() < kills:
            if run is None or run.poll() is not None:
                run = start(folder, seeds)
            time.sleep(rng.uniform(0, longest_wait_seconds))
            target = TARGETS[seen.kills.total() % len(TARGETS)]
            if not kill(run, target, rng):
                if not store.load(folder).missing and store.load(folder).done:
                    seen.losses.append(f"all trials were done after {seen.kills.total()} kills: give more seeds")
                    break
                continue
            seen.kills[target] += 1
            if target != "worker":
                run.wait()
                check_orphans(run.pid, seen)
            check_records(folder, seen)
            if not seen.kills.total() % 20:
                print(f"{seen.kills.total()} kills, {len(seen.records)} trials done", flush=True)
        for _ in range(2):  # the last kill may have been a worker's, and a failed trial is for the next command
            if run is not None and run.poll() is None:
                run.wait()
            run = start(folder, seeds)
            run.wait()
    finally:
        if run is not None and run.poll() is None:
            kill(run, "both", rng)
    check_records(folder, seen)
    return seen


def study(
    kills: Annotated[int, typer.Option(help="How many.", min=1)] = 200,
    seeds: Annotated[int, typer.Option(help="Trainings of each of the two variants.", min=1, max=1000)] = 600,
    seed: Annotated[int, typer.Option(help="Of the random moments.")] = 0,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        first_record_seconds = undisturbed(whole, seeds)
        print(f"the first record of an undisturbed run took {first_record_seconds:.1f} s", flush=True)
        seen = storm(killed, kills, seeds, WAIT_PER_FIRST_RECORD * first_record_seconds, random.Random(seed))
        if table(killed) != table(whole):
            seen.losses.append("the tables differ")
        done = len(store.load(killed).trainings)
    by_target = ", ".join(f"{target} {count}" for target, count in seen.kills.items())
    print(
        f"{seen.kills.total()} kills ({by_target}), {seen.kills_after_trainings} of them after trainings had ended; "
        f"{done} of {2 * seeds} trials recorded, each once; the longest that a process outlived its parent: "
        f"{seen.longest_orphan_seconds:.2f} s; "
        + (f"{len(seen.losses)} losses: {'; '.join(seen.losses[:10])}" if seen.losses else "nothing lost")
    )
    raise typer.Exit(1 if seen.losses else 0)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(help=__doc__)(study)
    app()
