"""Findings and records -> the tables of the contract, as CSV files."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from report.accuracy import Study, Training
from report.findings import Findings
from results import frames, store
from results.printable import cell
from results.records import Record
from results.store import Run
from results.trials import TrainTrial

SCALING_COLUMNS = ["scope", "variant", "phase", "patches", "batch", "step_seconds", "step_seconds_low"]
LONGEST_ROW = 10_000
SCALING_COLUMNS += ["step_seconds_high", "macs", "peak_memory_bytes", "status", "allocated_memory_bytes", "processes"]


def trainings(run: Run, suite: str, study: Study | None) -> pd.DataFrame:
    """One row a training of a suite, failed ones too, and a column for each setting of its grid (`frames.trainings`).

    A variant that was run under several settings besides is named with what sets each apart.
    """
    frame = frames.trainings(run)
    outcomes = {record.trial_id: record for record in (*run.trainings, *run.failures)}
    asked = frame[[suite in run.asked_by(outcomes[trial_id]) for trial_id in frame.trial_id]].assign(suite=suite)
    of_trial = {r.trial_id: training for training in (study.trainings if study else ()) for r in training.records}
    labels = [of_trial[i].label if i in of_trial else outcomes[i].variant for i in asked.trial_id]
    asked = asked.assign(variant=labels).drop(columns=["backend", "precision"])  # which are told by grid or label
    for setting in study.plan.grid if study else ():
        if setting not in asked:
            asked[setting] = [_cell(of_trial.get(i), outcomes[i]).get(setting) for i in asked.trial_id]
    return asked.drop(columns="trial_id")


def _cell(training: Training | None, outcome: Record) -> dict[str, Any]:
    if training:
        return dict(training.cell)
    return dict(outcome.trial.grid) if isinstance(outcome.trial, TrainTrial) else {}


def scaling(run: Run, findings: Findings) -> pd.DataFrame:
    """One row a case, over its processes: no interval below three of them. A failed process has a row of its own.

    `peak_memory_bytes` is the resident size over the baseline, `allocated_memory_bytes` the allocator's own peak.
    """
    rows = [
        {
            "scope": point.scope,
            "variant": point.label,
            "phase": point.phase,
            "patches": point.patches,
            "batch": point.batch,
            "step_seconds": point.step_seconds.estimate,
            "step_seconds_low": point.step_seconds.low,
            "step_seconds_high": point.step_seconds.high,
            "macs": point.multiply_adds,
            "peak_memory_bytes": round(point.resident_bytes.estimate) if point.resident_bytes else None,
            "status": "done",
            "allocated_memory_bytes": round(point.allocated_bytes.estimate) if point.allocated_bytes else None,
            "processes": point.step_seconds.n,
        }
        for curve in findings.curves
        for point in curve.points
    ]
    steps = frames.step_times(run)
    failed = steps[steps.status != "done"].to_dict("records")
    return frames.whole_numbers(pd.DataFrame(rows + failed, columns=SCALING_COLUMNS))


def write(run: Run, findings: Findings) -> None:
    """Writes `tables/SUITE.csv` for each suite that trained, and `tables/scaling.csv`; none that would be empty.

    What a spreadsheet would take for a formula has a quote before it. Tables that were written before and that the
    records no longer give are removed.
    """
    folder = run.folder / "tables"
    studies = {study.suite: study for study in findings.studies}
    failed = [failure for failure in run.failures if failure.trial.kind == "train"]
    suites = sorted(studies.keys() | {suite for failure in failed for suite in run.asked_by(failure)})
    tables = {suite: trainings(run, suite, studies.get(suite)) for suite in suites}
    full = {name: frame for name, frame in (tables | {"scaling": scaling(run, findings)}).items() if len(frame)}
    for name, frame in full.items():
        folder.mkdir(exist_ok=True)
        safe = frame.map(lambda value: cell(value) if isinstance(value, str) else value).rename(columns=cell)
        store.replace(folder / f"{name}.csv", safe.to_csv(index=False).encode())
    for path in folder.glob("*.csv"):
        if path.stem not in full and _is_ours(path):
            path.unlink()


def _is_ours(path: Path) -> bool:
    """Whether `write` has written the file: its columns and the suite in its rows are those of its name."""
    try:
        with store.open_plain(path) as file:
            head, row = file.readline(LONGEST_ROW).decode(), file.readline(LONGEST_ROW).decode()
        suite = [value for values in csv.reader([row]) for value in values[:1]]
    except (OSError, ValueError, csv.Error, store.StoreError):
        return False
    of_suite = head.startswith("suite,variant,dataset,seed,") and suite == [cell(path.stem)]
    return of_suite or (path.name == "scaling.csv" and head.startswith("scope,variant,phase,patches,batch,"))
