"""Findings and records -> the tables of the contract, as CSV files."""

from pathlib import Path

import pandas as pd

from report.accuracy import Study
from report.findings import Findings
from results import frames
from results.store import Run

SCALING_COLUMNS = ["scope", "variant", "phase", "patches", "batch", "step_seconds", "step_seconds_low"]
SCALING_COLUMNS += ["step_seconds_high", "macs", "peak_memory_bytes", "status"]


def trainings(run: Run, study: Study) -> pd.DataFrame:
    """One row a training of a suite, and a column for each setting of its grid.

    A variant that was run under several settings besides is named with what sets each apart.
    """
    of_trial = {record.trial_id: training for training in study.trainings for record in training.records}
    frame = frames.trainings(run)
    failed = {failure.trial_id for failure in run.failures if study.suite in run.asked_by(failure)}
    frame = frame[frame.trial_id.isin(of_trial.keys() | failed)].assign(suite=study.suite)
    labels = frame.trial_id.map({trial_id: training.label for trial_id, training in of_trial.items()})
    cells = pd.DataFrame([dict(of_trial[i].cell) if i in of_trial else {} for i in frame.trial_id], index=frame.index)
    return frame.assign(variant=labels.fillna(frame.variant)).join(cells).drop(columns="trial_id")


def scaling(run: Run, findings: Findings) -> pd.DataFrame:
    """One row a case, over its processes: no interval below three of them. A failed process has a row of its own."""
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
        }
        for curve in findings.curves
        for point in curve.points
    ]
    steps = frames.step_times(run)
    failed = steps[steps.status != "done"].to_dict("records")
    return frames.whole_numbers(pd.DataFrame(rows + failed, columns=SCALING_COLUMNS))


def write(run: Run, findings: Findings) -> None:
    """Writes `tables/SUITE.csv` for each suite that trained, and `tables/scaling.csv`; none that would be empty."""
    folder = run.folder / "tables"
    tables = {study.suite: trainings(run, study) for study in findings.studies}
    for name, frame in (tables | {"scaling": scaling(run, findings)}).items():
        if len(frame):
            folder.mkdir(exist_ok=True)
            _write_csv(folder / f"{name}.csv", frame)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    temporary = path.with_suffix(".csv.tmp")
    frame.to_csv(temporary, index=False)
    temporary.replace(path)
