"""Turns records into pandas frames, one row per record, for your own analysis: `frames.trainings(store.load(folder))`.

A field is declared once: the frames, a run's tables and the rows inside its page are made of the same fields.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

import pandas as pd

from results.metrics import METRICS
from results.records import Failure, Record, StepTimeRecord, TrainRecord
from results.store import Run

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Field(Generic[R]):
    """One value of a record: its name, and how it is read.

    A field that is `asked` is a setting, which a failed trial has too. One that is not `in_tables` is in the frames and
    on the page alone, or a suite's table has it in other columns.
    """

    name: str
    read: Callable[[R], Any]
    asked: bool = False
    in_tables: bool = True


def _asked(*names: str, in_tables: bool = True) -> list[Field[Any]]:
    """Returns the settings of a record's trial."""
    return [Field(name, attrgetter(f"trial.{name}"), asked=True, in_tables=in_tables) for name in names]


def _measured(*names: str) -> list[Field[Any]]:
    """Returns the attributes of a record by their own names; a failed trial has none."""
    return [Field(name, attrgetter(name)) for name in names]


def _metric(name: str) -> Callable[[TrainRecord], float | None]:
    return lambda record: record.metrics.get(name)


ID = Field[Any]("trial_id", attrgetter("trial_id"), asked=True, in_tables=False)
STATUS = Field[Any]("status", lambda record: getattr(record, "status", "done"), asked=True)
WHERE = _asked("backend", "precision", in_tables=False)
TRAINING: tuple[Field[TrainRecord], ...] = (
    ID,
    *_asked("suite", "variant", "dataset", "seed"),
    Field("epochs", lambda record: len(record.epochs)),
    *_measured("parameters"),
    Field("macs", attrgetter("multiply_adds")),
    *(Field(name, _metric(name)) for name in METRICS),
    *_measured("train_step_seconds"),
    Field("peak_memory_bytes", attrgetter("step_memory_bytes")),
    STATUS,
    *WHERE,
    Field("patches", attrgetter("patches"), in_tables=False),
    Field("train_images", attrgetter("train_images"), in_tables=False),
)
STEP_TIME: tuple[Field[StepTimeRecord], ...] = (
    ID,
    *_asked("suite", "scope", "variant", "phase", "patches", "batch", "process"),
    *_measured("step_seconds"),
    STATUS,
    *WHERE,
    Field("steps", lambda record: len(record.samples_seconds)),
    Field("macs", attrgetter("multiply_adds")),
    *_measured("activation_bytes", "compile_seconds", "taken_cpu_share"),
    *_measured("baseline_memory_bytes", "peak_memory_bytes", "device_peak_memory_bytes"),
)
FAILURE: tuple[Field[Any], ...] = (
    ID,
    *_asked("suite", "variant"),
    STATUS,
    Field("reason", attrgetter("reason"), asked=True),
)
COUNTS = {"seed", "epochs", "parameters", "macs", "patches", "batch", "process", "processes", "steps", "train_images"}
COUNTS |= {"peak_memory_bytes", "allocated_memory_bytes", "baseline_memory_bytes", "device_peak_memory_bytes"}
COUNTS |= {"activation_bytes"}


def rows(fields: Sequence[Field[Any]], records: Iterable[Record]) -> list[list[Any]]:
    """Returns one row per record; that of a failed trial has only its settings."""
    return [
        [field.read(record) if field.asked or not isinstance(record, Failure) else None for field in fields]
        for record in records
    ]


def columns_and_rows(fields: Sequence[Field[Any]], records: Iterable[Record]) -> dict[str, list[Any]]:
    """Returns the rows as the page carries them, for its table of all records and for scripts."""
    return {"columns": [field.name for field in fields], "rows": rows(fields, records)}


def frame(fields: Sequence[Field[Any]], records: Iterable[Record]) -> pd.DataFrame:
    """Returns the rows as a frame."""
    return whole_numbers(pd.DataFrame(rows(fields, records), columns=[field.name for field in fields]))


def whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Makes counts whole numbers, also where a failed trial leaves them empty."""
    return frame.astype({column: "Int64" for column in frame.columns if column in COUNTS})


def trainings(run: Run) -> pd.DataFrame:
    """Returns one row per training, failed ones too.

    `macs` are the multiply-adds of one image, forward; accuracies are 0 to 1. `test_loss` includes the training's label
    smoothing. `train_step_seconds` and `peak_memory_bytes`, that of the step, are empty where they could not be
    measured (`TrainRecord`); trainings that shared a process are one measurement of either. Backends and precisions do
    not compare: group by them.
    """
    return frame(TRAINING, [*run.trainings, *(failure for failure in run.failures if failure.trial.kind == "train")])


def epochs(run: Run) -> pd.DataFrame:
    """Returns one row per epoch of a training: the learning curves."""
    return pd.DataFrame(
        [
            {"trial_id": record.trial_id, "variant": record.variant, "seed": record.seed} | epoch.model_dump()
            for record in run.trainings
            for epoch in record.epochs
        ]
    )


def step_times(run: Run) -> pd.DataFrame:
    """Returns one row per timed step (`step_seconds`) of each process; a failed case has one row without it."""
    names = [field.name for field in STEP_TIME]
    at = names.index("step_seconds")
    values = [
        [*row[:at], seconds, *row[at + 1 :]]
        for row, record in zip(rows(STEP_TIME, run.step_times), run.step_times, strict=True)
        for seconds in record.samples_seconds
    ]
    failed = [failure for failure in run.failures if failure.trial.kind == "steptime"]
    return whole_numbers(pd.DataFrame(values + rows(STEP_TIME, failed), columns=names))
