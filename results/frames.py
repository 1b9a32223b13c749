"""Records -> pandas frames, one row a record, for anybody's own analysis: `frames.trainings(store.load(folder))`."""

import pandas as pd

from results.metrics import METRICS
from results.records import Failure
from results.store import Run

COUNTS = {"seed", "epochs", "parameters", "macs", "peak_memory_bytes", "patches", "batch", "process"}
COUNTS |= {"allocated_memory_bytes", "processes"}


def trainings(run: Run) -> pd.DataFrame:
    """One row a training, failed ones too. `macs` are the multiply-adds of one image, forward; shares are from 0 to 1.

    `test_loss` holds the label smoothing of the training. `train_step_seconds` and `peak_memory_bytes`, that of the
    step, are empty where they could not be measured (`TrainRecord`); trainings that shared a process are one
    measurement of either.

    Rows of different backends or precisions are not of one kind: group by those too.
    """
    columns = ["trial_id", "suite", "variant", "dataset", "seed", "epochs", "parameters", "macs", *METRICS]
    columns += ["train_step_seconds", "peak_memory_bytes", "status", "backend", "precision"]
    rows = [
        {
            "trial_id": record.trial_id,
            "suite": record.suite,
            "variant": record.variant,
            "dataset": record.dataset,
            "seed": record.seed,
            "epochs": len(record.epochs),
            "parameters": record.parameters,
            "macs": record.multiply_adds,
            **{name: metric.read(record) for name, metric in METRICS.items()},
            "train_step_seconds": record.step_seconds,
            "peak_memory_bytes": record.step_memory_bytes,
            "status": "done",
            "backend": record.environment.backend,
            "precision": record.environment.precision,
        }
        for record in run.trainings
    ]
    failed = _failed(run, "train", ("dataset", "seed", "backend", "precision"))
    return whole_numbers(pd.DataFrame(rows + failed, columns=columns))


def epochs(run: Run) -> pd.DataFrame:
    """One row an epoch of a training: the learning curves."""
    return pd.DataFrame(
        [
            {"trial_id": record.trial_id, "variant": record.variant, "seed": record.seed} | epoch.model_dump()
            for record in run.trainings
            for epoch in record.epochs
        ]
    )


def step_times(run: Run) -> pd.DataFrame:
    """One row a timed step of a process; `step_seconds` is that single step. Failed cases have one row without it."""
    columns = [
        "trial_id",
        "suite",
        "scope",
        "variant",
        "phase",
        "patches",
        "batch",
        "process",
        "step_seconds",
        "status",
        "backend",
        "precision",
    ]
    rows = [
        {name: getattr(record, name) for name in columns[:-4]}
        | {"step_seconds": seconds, "status": "done"}
        | {"backend": record.environment.backend, "precision": record.environment.precision}
        for record in run.step_times
        for seconds in record.samples_seconds
    ]
    failed = _failed(run, "steptime", ("scope", "phase", "patches", "batch", "process", "backend", "precision"))
    return whole_numbers(pd.DataFrame(rows + failed, columns=columns))


def _failed(run: Run, kind: str, names: tuple[str, ...]) -> list[dict[str, object]]:
    """Rows of the failed trials of a kind, with the settings of theirs that are named."""
    return [
        {"trial_id": failure.trial_id, "suite": failure.suite, "variant": failure.variant, "status": failure.status}
        | {name: _setting(failure, name) for name in names}
        for failure in run.failures
        if failure.settings.get("kind") == kind
    ]


def _setting(failure: Failure, name: str) -> object:
    """A failed trial's setting, and none where it is not what a trial has: settings may hold anything."""
    value = failure.settings.get(name)
    if name in COUNTS:
        return value if type(value) is int and 0 <= value < 2**63 else None
    return value if isinstance(value, str) else None


def whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts as whole numbers also where a failed trial leaves them empty."""
    return frame.astype({column: "Int64" for column in frame.columns if column in COUNTS})
