"""Reads and writes a run's folder: write-once records, one JSON file per trial, and what the run was asked for."""

import errno
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError
from pydantic_core import from_json

from models.attentions.attention import Attention
from models.attentions.own import OwnAttention
from results.files import StoreError as StoreError
from results.files import content, open_plain, replace
from results.printable import printable
from results.records import (
    RECORD,
    Environment,
    Failure,
    Record,
    Result,
    RunPlan,
    StepTimeRecord,
    TrainRecord,
    upgrade,
)

PEAK = "peak-"
"""Prefix of the trials that measured a machine's limits for a roofline, in runs of before. `load` leaves them out."""
WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""Errors of a file system that has no locks: NFS whose server runs none, for one."""


@dataclass(frozen=True)
class Run:
    """What a run's folder holds. `broken` maps each file that could not be read to the reason."""

    folder: Path
    plan: RunPlan | None
    trainings: tuple[TrainRecord, ...]
    step_times: tuple[StepTimeRecord, ...]
    failures: tuple[Failure, ...]
    broken: dict[str, str]

    @property
    def results(self) -> tuple[Result, ...]:
        return (*self.trainings, *self.step_times)

    @property
    def done(self) -> set[str]:
        return {record.trial_id for record in self.results}

    @property
    def environments(self) -> list[Environment]:
        return [record.environment for record in self.results]

    def asked_by(self, record: Record) -> list[str]:
        """Names the suites that asked for the record's trial, which runs once for all; without a plan, its own."""
        return self._asked_by.get(record.trial_id, [record.suite])

    @cached_property
    def _asked_by(self) -> dict[str, list[str]]:
        suites: dict[str, list[str]] = defaultdict(list)
        for name, ids in self._planned.items():
            for trial_id in ids:
                suites[trial_id].append(name)
        return suites

    @property
    def _planned(self) -> dict[str, tuple[str, ...]]:
        return {name: suite.trial_ids for name, suite in self.plan.suites.items()} if self.plan else {}

    @property
    def missing(self) -> dict[str, list[str]]:
        """Suite -> planned trials with neither a result nor a failure."""
        ended = self.done | {failure.trial_id for failure in self.failures}
        missing = {name: [i for i in ids if i not in ended] for name, ids in self._planned.items()}
        return {name: ids for name, ids in missing.items() if ids}


def load(folder: Path) -> Run:
    """Reads all of `folder` that is readable, in the order of file names, without failures that a result followed."""
    records: list[Result | Failure] = []
    broken: dict[str, str] = {}
    files: dict[tuple[bool, str], str] = {}
    for path in sorted((folder / "records").glob("*.json")):
        if path.name.startswith(PEAK):
            continue
        name = _shown(path)
        try:
            record = read(path)
        except (ValidationError, OSError, StoreError) as error:
            broken[name] = printable(_first_line(error))
            continue
        first = files.setdefault((isinstance(record, Failure), record.trial_id), name)
        if first == name:
            records.append(record)
        else:
            broken[name] = f"is of the same trial as {first}, and a trial counts once"
    plan = None
    if (folder / "plan.json").exists():
        try:
            plan = _without_peaks(RunPlan.model_validate_json(content(folder / "plan.json")))
        except (ValidationError, OSError, StoreError) as error:
            broken["plan.json"] = printable(_first_line(error))
    trainings = tuple(r for r in records if isinstance(r, TrainRecord))
    step_times = tuple(r for r in records if isinstance(r, StepTimeRecord))
    done = {r.trial_id for r in (*trainings, *step_times)}
    failures = tuple(r for r in records if isinstance(r, Failure) and r.trial_id not in done)
    return Run(folder, plan, trainings, step_times, failures, broken)


def _without_peaks(plan: RunPlan) -> RunPlan:
    suites = {
        name: suite.model_copy(update={"trial_ids": tuple(i for i in suite.trial_ids if not i.startswith(PEAK))})
        for name, suite in plan.suites.items()
    }
    return plan.model_copy(update={"suites": suites})


def read(path: Path) -> Result | Failure:
    """Reads one record. Raises `pydantic.ValidationError`, `OSError`, or `StoreError` where its checksum is wrong."""
    try:
        found = from_json(content(path), allow_inf_nan=False)
    except ValueError as error:
        raise StoreError(f"Invalid JSON: {error}") from None
    record = RECORD.validate_python(upgrade(found) if isinstance(found, dict) else found)
    if (found.get("schema_version") != 1 or "checksum" in found) and record.checksum != _checksum(found):
        raise StoreError("its checksum is of another content: the file was damaged or changed")
    return record.model_copy(update={"checksum": None})


def _checksum(record: Mapping[str, Any]) -> str:
    """Hashes a record's JSON without the checksum itself, by SHA-256."""
    content = {name: value for name, value in record.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _first_line(error: ValidationError | OSError | StoreError) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if first["loc"][-1:] == ("schema_version",):
            newest = first["ctx"]["expected"]
            return f"is of schema version {first['input']}, and this program reads versions 1 to {newest}"
        return f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    return error.strerror or type(error).__name__


def write(folder: Path, record: Result | Failure) -> Path:
    """Writes a record, once. A failure gives way to a later outcome of its trial; a result ends its checkpoint.

    Raises `FileExistsError` where the trial has a result already.
    """
    _require(folder)
    records = folder / "records"
    records.mkdir(exist_ok=True)
    failure, result = (records / f"{record.trial_id}{suffix}" for suffix in (".failure.json", ".json"))
    path = failure if isinstance(record, Failure) else result
    if path == result and result.exists():
        raise FileExistsError(f"{result} is written already, and records are written once")
    text = record.model_dump_json(indent=1, exclude={"trial": {"data_dir"}})
    replace(path, f'{{\n "checksum": "{_checksum(json.loads(text))}",{text[1:]}\n'.encode())
    if path == result:
        failure.unlink(missing_ok=True)
        checkpoint(folder, record.trial_id).unlink(missing_ok=True)
    return path


def _require(folder: Path) -> None:
    """Raises `StoreError` where a run's folder has vanished: it must not come back half."""
    if not folder.is_dir():
        raise StoreError(f"the run's folder {folder} is gone: what it held is lost, run the command again")


def keep_source(folder: Path, attention: Attention) -> None:
    """Writes the file of a user's own attention into the run's folder, by its hash, once."""
    if isinstance(attention, OwnAttention):
        there = folder / "attentions" / f"{attention.source_sha256[:7]}-{attention.file}"
        there.parent.mkdir(exist_ok=True)
        if not there.exists():
            replace(there, attention.source)


def checkpoint(folder: Path, trial_id: str) -> Path:
    """Names the file that holds a training's state until its result is written."""
    return folder / "checkpoints" / f"{trial_id}.npz"


def keep(folder: Path, trial_id: str, content: bytes) -> None:
    """Replaces a training's checkpoint."""
    path = checkpoint(folder, trial_id)
    _require(folder)
    path.parent.mkdir(exist_ok=True)
    replace(path, content)


def kept(folder: Path, trial_id: str) -> bytes | None:
    """Reads a training's checkpoint; None where there is none, or something that is no plain file."""
    try:
        with open_plain(checkpoint(folder, trial_id)) as file:
            return file.read()
    except (FileNotFoundError, StoreError):
        return None


def checkpoints(folder: Path) -> set[str]:
    """Finds the ids of the trainings that have finished an epoch and have no result."""
    return {path.stem for path in checkpoint(folder, "").parent.glob("*.npz")}


def write_plan(folder: Path, plan: RunPlan, run: Run | None) -> None:
    """Adds `plan` to that of the folder's `run`; a trial once asked for stays asked for.

    Where trials of a suite, or of another one that has them, too, had results that a page showed, and the new plan has
    more seeds, the suite notes so. The margin stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = run.plan if run else None
    suites = dict(before.suites) if before else {}
    for name, suite in plan.suites.items():
        earlier, more = suites.get(name), suite.seeds or 0
        if run and more > ((earlier and earlier.seeds) or 0):
            seen = run.done.intersection(suite.trial_ids)
            counts = (
                (s.seeds or 0 for s in run.plan.suites.values() if seen.intersection(s.trial_ids)) if run.plan else ()
            )
            looked = [count for count in counts if 0 < count < more]
            suite = suite.model_copy(update={"looked_at": (max(looked),) if looked else ()})
        if earlier:
            suite = suite.model_copy(
                update={
                    "seeds": max(earlier.seeds or 0, more) or None,
                    "margin": earlier.margin or suite.margin,
                    "looked_at": earlier.looked_at + suite.looked_at,
                    "trial_ids": tuple(dict.fromkeys(earlier.trial_ids + suite.trial_ids)),
                    "grid": tuple(dict.fromkeys(earlier.grid + suite.grid)),
                    "base": earlier.base | suite.base,
                    "own": earlier.own | suite.own,
                }
            )
        suites[name] = suite
    notes = tuple(dict.fromkeys((before.notes if before else ()) + plan.notes))
    images = tuple({one.sha256: one for one in (*(before.images if before else ()), *plan.images)}.values())
    merged = plan.model_copy(update={"suites": suites, "notes": notes, "images": images})
    replace(folder / "plan.json", (merged.model_dump_json(indent=1) + "\n").encode())


def set_aside(folder: Path, broken: Collection[str]) -> list[str]:
    """Renames each broken file to `NAME.broken`: its trial can run again. Returns the names."""
    there = [path for path in [*sorted((folder / "records").iterdir()), folder / "plan.json"] if _shown(path) in broken]
    for path in there:
        number = 0
        while os.path.lexists(aside := path.with_name(f"{path.name}.broken{number or ''}")):
            number += 1
        path.rename(aside)
    return [_shown(path) for path in there]


def _shown(path: Path) -> str:
    """Makes a file's name printable: it may hold any bytes."""
    return printable(os.fsencode(path.name).decode("utf-8", "backslashreplace"))


def refuse_links(folder: Path) -> None:
    """Raises `StoreError` where a folder of the run's is a link: a run writes nothing outside its own."""
    for name in ("records", "checkpoints", "tables", "attentions"):
        if (folder / name).is_symlink():
            raise StoreError(
                f"{folder / name} is a link, and a run writes nothing outside its folder: put a folder there"
            )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the run's folder for one command, and removes what a killed one was writing.

    Raises `StoreError` where another command holds it.
    """
    refuse_links(folder)
    (folder / "records").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"{folder} is in use by another run: wait for it, or choose another folder with --out"
        ) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise StoreError(
            f"{folder} is on a file system without locks, where two runs could mix: choose another with --out"
        ) from None
    try:
        for half_written in folder.rglob(".writing-*.tmp"):
            half_written.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
