"""Records -> pandas frames, one row a record, for anybody's own analysis: `frames.trainings(store.load(folder))`.

What is told of a record is a field, declared once: the frames, the tables of a run and the rows that its page carries
are made of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

from results.metrics import METRICS
from results.records import Failure, Record, StepTimeRecord, TrainRecord
from results.store import Run

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Field(Generic[R]):
    """What is told of a record: its name, and how it is read.

    What is `asked` is read of a trial that failed too. Not `in_tables` is what a suite's table has in other columns, or
    what only the page carries.
    """

    name: str
    read: Callable[[R], Any]
    asked: bool = False
    in_tables: bool = True


def _asked(*names: str, in_tables: bool = True) -> list[Field[Any]]:
    """Settings of a record's trial."""

    def of_trial(name: str) -> Callable[[Record], Any]:
        return lambda record: getattr(record.trial, name)

    return [Field(name, of_trial(name), asked=True, in_tables=in_tables) for name in names]


def _metric(name: str) -> Callable[[TrainRecord], float | None]:
    return lambda record: record.metrics.get(name)


ID = Field[Any]("trial_id", lambda record: record.trial_id, asked=True, in_tables=False)
STATUS = Field[Any]("status", lambda record: getattr(record, "status", "done"), asked=True)
WHERE = _asked("backend", "precision", in_tables=False)
TRAINING: tuple[Field[TrainRecord], ...] = (
    ID,
    *_asked("suite", "variant", "dataset", "seed"),
    Field("epochs", lambda record: len(record.epochs)),
    Field("parameters", lambda record: record.parameters),
    Field("macs", lambda record: record.multiply_adds),
    *(Field(name, _metric(name)) for name in METRICS),
    Field("train_step_seconds", lambda record: record.train_step_seconds),
    Field("peak_memory_bytes", lambda record: record.step_memory_bytes),
    STATUS,
    *WHERE,
    Field("patches", lambda record: record.patches, in_tables=False),
    Field("train_images", lambda record: record.train_images, in_tables=False),
)
STEP_TIME: tuple[Field[StepTimeRecord], ...] = (
    ID,
    *_asked("suite", "scope", "variant", "phase", "patches", "batch", "process"),
    Field("step_seconds", lambda record: record.step_seconds),
    STATUS,
    *WHERE,
    Field("steps", lambda record: len(record.samples_seconds)),
    Field("macs", lambda record: record.multiply_adds),
    Field("activation_bytes", lambda record: record.activation_bytes),
    Field("compile_seconds", lambda record: record.compile_seconds),
    Field("taken_cpu_share", lambda record: record.taken_cpu_share),
    Field("baseline_memory_bytes", lambda record: record.baseline_memory_bytes),
    Field("peak_memory_bytes", lambda record: record.peak_memory_bytes),
    Field("device_peak_memory_bytes", lambda record: record.device_peak_memory_bytes),
)
FAILURE: tuple[Field[Any], ...] = (
    ID,
    *_asked("suite", "variant"),
    STATUS,
    Field("reason", lambda failure: failure.reason, asked=True),
)
COUNTS = {"seed", "epochs", "parameters", "macs", "patches", "batch", "process", "processes", "steps", "train_images"}
COUNTS |= {"peak_memory_bytes", "allocated_memory_bytes", "baseline_memory_bytes", "device_peak_memory_bytes"}
COUNTS |= {"activation_bytes"}


def rows(fields: Sequence[Field[Any]], records: Iterable[Record]) -> list[list[Any]]:
    """A row a record, a failed trial's with what was asked for alone."""
    return [
        [field.read(record) if field.asked or not isinstance(record, Failure) else None for field in fields]
        for record in records
    ]


def columns_and_rows(fields: Sequence[Field[Any]], records: Iterable[Record]) -> dict[str, list[Any]]:
    """The same as a page carries it inside, for its table of all records and for anybody's script."""
    return {"columns": [field.name for field in fields], "rows": rows(fields, records)}


def frame(fields: Sequence[Field[Any]], records: Iterable[Record]) -> pd.DataFrame:
    """The same as a frame."""
    return whole_numbers(pd.DataFrame(rows(fields, records), columns=[field.name for field in fields]))


def whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts as whole numbers also where a failed trial leaves them empty."""
    return frame.astype({column: "Int64" for column in frame.columns if column in COUNTS})


def trainings(run: Run) -> pd.DataFrame:
    """One row a training, failed ones too. `macs` are the multiply-adds of one image, forward; shares are from 0 to 1.

    `test_loss` holds the label smoothing of the training. `train_step_seconds` and `peak_memory_bytes`, that of the
    step, are empty where they could not be measured (`TrainRecord`); trainings that shared a process are one
    measurement of either.

    Rows of different backends or precisions are not of one kind: group by those too.
    """
    return frame(TRAINING, [*run.trainings, *(failure for failure in run.failures if failure.trial.kind == "train")])


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
    names = [field.name for field in STEP_TIME]
    at = names.index("step_seconds")
    values = [
        [*row[:at], seconds, *row[at + 1 :]]
        for row, record in zip(rows(STEP_TIME, run.step_times), run.step_times, strict=True)
        for seconds in record.samples_seconds
    ]
    failed = [failure for failure in run.failures if failure.trial.kind == "steptime"]
    return whole_numbers(pd.DataFrame(values + rows(STEP_TIME, failed), columns=names))
