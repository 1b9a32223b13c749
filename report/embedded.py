"""Records -> the rows that the page carries inside, for its own table of them and for anybody's script."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypedDict

from results.metrics import METRICS
from results.records import Record, StepTimeRecord, TrainRecord
from results.store import Run


class Rows(TypedDict):
    """Columns, and rows of plain numbers and texts, as the records have them."""

    columns: list[str]
    rows: list[list[Any]]


TRAININGS = ["trial_id", "suite", "variant", "dataset", "seed", "train_images", "patches", "parameters"]
TRAININGS += ["multiply_adds"]
COSTS = {name: attrgetter(name) for name in ("step_seconds", "step_memory_bytes")}
STEP_TIMES = ["trial_id", "suite", "scope", "variant", "phase", "patches", "batch", "process", "multiply_adds"]
STEP_TIMES += ["activation_bytes", "compile_seconds", "step_seconds", "taken_cpu_share"]
STEP_TIMES += ["baseline_memory_bytes", "peak_memory_bytes", "device_peak_memory_bytes"]
PEAKS = ["trial_id", "suite", "process", "multiply_adds_per_second", "bytes_per_second"]
WHERE = {"backend": lambda record: record.environment.backend, "precision": lambda record: record.environment.precision}
FAILURES = ["trial_id", "suite", "variant", "status", "reason"]


def embedded(run: Run) -> dict[str, Rows]:
    """A row a record: of a training its epochs and of a step time its samples are told by their number and median."""
    metrics = {f"test_{name.removeprefix('test_')}": metric.read for name, metric in METRICS.items()}
    return {
        "trainings": _rows(run.trainings, TRAININGS, metrics | COSTS | {"epochs": _epochs} | WHERE),
        "step_times": _rows(run.step_times, STEP_TIMES, {"steps": _steps} | WHERE),
        "peaks": _rows(run.peaks, PEAKS, {}),
        "failures": _rows(run.failures, FAILURES, {}),
    }


def _rows(records: Sequence[Record], fields: list[str], more: dict[str, Any]) -> Rows:
    return {
        "columns": [*fields, *more],
        "rows": [
            [*(getattr(record, field) for field in fields), *(of(record) for of in more.values())] for record in records
        ],
    }


def _epochs(record: TrainRecord) -> int:
    return len(record.epochs)


def _steps(record: StepTimeRecord) -> int:
    return len(record.samples_seconds)
