"""python -m tests.studies.page: how long the page of a large run takes to build, and how large it is.

The runs are the committed one of the profile quick, its records copied with other seeds and process numbers and with
2 % noise on what was measured, until there are 500 and 5,000. Prints a table as Markdown; it stands in
docs/measurements.md. Takes about two minutes.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count, islice
from pathlib import Path
from typing import Any

import results
from results import store
from results.records import StepTimeRecord, TrainRecord
from results.store import Run

SOURCE = Path(results.__file__).parent / "reference" / "quick-2-cores"
SIZES = (500, 5_000)
BUILDS = 3
NOISE = 0.02


def enlarged(run: Run, records: int, folder: Path) -> Path:
    """Writes a run of so many records into `folder`: `run`'s own, then copies of them."""
    assert run.plan is not None
    (folder / "records").mkdir(parents=True)
    originals: list[TrainRecord | StepTimeRecord] = [*run.trainings, *run.step_times]
    ids: dict[str, list[str]] = {name: [] for name in run.plan.suites}
    for original, number in islice(((record, number) for number in count() for record in originals), records):
        record = _copy(original, number)
        store.write(folder, record)
        for suite in run.asked_by(original):
            ids[suite].append(record.trial_id)
    suites = {name: suite.model_copy(update={"trial_ids": tuple(ids[name])}) for name, suite in run.plan.suites.items()}
    store.write_plan(folder, run.plan.model_copy(update={"suites": suites}), None)
    return folder


def _copy(record: TrainRecord | StepTimeRecord, number: int) -> TrainRecord | StepTimeRecord:
    """The record as of another seed or process, and measured a little differently; the first copy is the record."""
    if number == 0:
        return record
    chance = random.Random(f"{record.trial_id} {number}")
    changes: dict[str, Any] = {"trial_id": f"{record.trial_id}-{number}"}
    if isinstance(record, TrainRecord):
        changes["trial"] = record.trial.model_copy(update={"seed": record.seed + 1000 * number})
        top1 = min(1.0, record.metrics["top1"] * chance.gauss(1, NOISE))
        changes["metrics"] = record.metrics | {"top1": top1}
    else:
        slower = chance.gauss(1, NOISE)
        changes["trial"] = record.trial.model_copy(update={"process": record.process + 100 * number})
        changes["samples_seconds"] = tuple(seconds * slower for seconds in record.samples_seconds)
    return record.model_copy(update=changes)


def main() -> None:
    run = store.load(SOURCE)
    print("| records | page (MB) | build (s), median of 3 | slowest |\n|---:|---:|---:|---:|")
    for records in SIZES:
        with tempfile.TemporaryDirectory(prefix="eanet-page-") as above:
            folder = enlarged(run, records, Path(above) / "run")
            seconds = []
            for _ in range(BUILDS):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", "report", str(folder), "--quiet"], check=True)
                seconds.append(time.perf_counter() - start)
            size = (folder / "report.html").stat().st_size
            print(f"| {records:,} | {size / 1e6:.2f} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |")


if __name__ == "__main__":
    main()
