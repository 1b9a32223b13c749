"""Findings and records -> the tables of the contract, as CSV files."""

from pathlib import Path

import pandas as pd

from report.findings import Findings
from results import frames
from results.store import Run

SCALING_COLUMNS = ["scope", "variant", "phase", "patches", "batch", "step_seconds", "step_seconds_low"]
SCALING_COLUMNS += ["step_seconds_high", "macs", "peak_memory_bytes", "status"]


def accuracy(run: Run, findings: Findings) -> pd.DataFrame:
    """One row a training. A variant that was run under several settings is named with what sets each apart."""
    labels = {record.trial_id: training.label for training in findings.trainings for record in training.records}
    frame = frames.trainings(run)
    return frame.assign(variant=frame.trial_id.map(labels).fillna(frame.variant)).drop(columns="trial_id")


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
    """Writes `tables/accuracy.csv` and `tables/scaling.csv`, each if there is a trial of its kind."""
    folder = run.folder / "tables"
    for name, frame in (("accuracy", accuracy(run, findings)), ("scaling", scaling(run, findings))):
        if len(frame):
            folder.mkdir(exist_ok=True)
            _write_csv(folder / f"{name}.csv", frame)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    temporary = path.with_suffix(".csv.tmp")
    frame.to_csv(temporary, index=False)
    temporary.replace(path)
