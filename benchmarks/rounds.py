"""The rounds of a run: the planned trials that are missing, then further processes of step times that vary.

Each outcome is written as it comes; tables and page are written between suites and at the end.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticSerializationError
from rich.console import Console

from benchmarks import estimate
from benchmarks.environment import Origin
from benchmarks.executors import Execute
from benchmarks.inputs import InputError
from benchmarks.listing import time_words
from benchmarks.plan import Plan
from benchmarks.progress import Display
from benchmarks.provenance import ROOT, by_other_code
from benchmarks.schedule import expected_seconds
from results import store
from results.printable import duration
from results.records import Failure, ImagesOfRun, RunPlan
from results.trials import Trial

REPORT_SHARE = 0.05


@dataclass(frozen=True)
class Rounds:
    """A plan, where its records go, who runs its trials, on how many threads, at most how many `at_once`, and the
    limit of a trial's silence, where one was given.

    With `pages_between` the page is written anew where a suite is through and another follows, as often as takes at
    most `REPORT_SHARE` of the run's time. While a cluster's trials go on, of which one may be timed on this machine,
    it is not.
    """

    console: Console
    plan: Plan
    folder: Path
    origin: Origin
    execute: Execute
    threads: int
    at_once: int
    timeout_seconds: float | None
    pages_between: bool

    def run(self, images: dict[str, ImagesOfRun]) -> int:
        """Runs what is missing, on the `images` of each dataset, and writes the report. Returns the exit status.

        An interruption is told on stderr.
        """
        with store.locked(self.folder):
            before = store.load(self.folder)
            self._check_same_data(before, {name: of.sha256 for name, of in images.items()})
            if before.broken:
                set_aside = ", ".join(store.set_aside(self.folder, before.broken))
                _warn(f"set aside as *.broken and to be run again: {set_aside}")
            store.write_plan(self.folder, self._asked(tuple(images.values())), before)
            for trial in self.plan.distinct:
                store.keep_source(self.folder, trial.attention)
            if said := by_other_code(before, self.plan, self.origin):
                _warn(said)
            remaining = [trial for trial in self.plan.distinct if trial.trial_id not in before.done]
            self._announce(remaining)
            began = time.monotonic()
            try:
                failed = self._trials(remaining) + self._further()
                took = duration(time.monotonic() - began)
                self.console.print(
                    f"Done in {took}: {len(store.load(self.folder).done)} trials done, {failed} failed.\n",
                    highlight=False,
                )
                return report(self.folder, *(["--quiet"] if self.console.quiet else [])) or (1 if failed else 0)
            except (KeyboardInterrupt, PydanticSerializationError) as error:
                if not is_interruption(error):
                    raise
                kept = len(store.load(self.folder).done)
                part = " and the finished epochs of the others" if store.checkpoints(self.folder) else ""
                again = going_on(sys.argv[1:], shown(self.folder))
                print(f"interrupted; {kept} finished trials{part} are kept. Go on with: {again}", file=sys.stderr)
                return 130
            except OSError as error:
                again = going_on(sys.argv[1:], shown(self.folder))
                raise store.StoreError(
                    f"{error.filename or self.folder}: {error.strerror or error}; finished trials are kept. "
                    f"Once that is mended, go on with: {again}"
                ) from None

    def _check_same_data(self, before: store.Run, hashes: dict[str, str]) -> None:
        """A trial's id names its dataset, not its pixels: results on other images must not pass for these."""
        planned = {trial.trial_id for trial in self.plan.trials}
        for record in before.trainings:
            expected = hashes.get(record.trial.dataset, record.dataset_sha256)
            if record.trial_id in planned and record.dataset_sha256 != expected:
                raise InputError(
                    f"{shown(self.folder)} has results on other images of {record.dataset} (SHA-256 "
                    f"{record.dataset_sha256[:12]}, not {expected[:12]}): choose another folder with --out, or --fresh"
                )

    def _asked(self, images: tuple[ImagesOfRun, ...]) -> RunPlan:
        """What the report has to know of the plan."""
        return RunPlan(
            profile=self.plan.profile,
            command=self.origin.command,
            suites=self.plan.suites,
            notes=self.plan.notes,
            images=images,
        )

    def _announce(self, remaining: Sequence[Trial]) -> None:
        there = len(self.plan.distinct) - len(remaining)
        begun = len(store.checkpoints(self.folder) & {trial.trial_id for trial in remaining})
        self.console.print(
            f"{len(remaining)} {'trial' if len(remaining) == 1 else 'trials'} to run, "
            f"about {time_words(remaining, self.threads, self.at_once)}"
            + (f"; {there} are done already" if there else "")
            + (f"; {begun} begun before" if begun else "")
            + f"; into {shown(self.folder)}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )

    def _trials(self, remaining: Sequence[Trial]) -> int:
        """Runs them and returns how many failed; one that does not fit into memory has not."""
        if not remaining:
            return 0
        failed, due = 0, time.monotonic()
        expected = expected_seconds(remaining, self.threads, self.at_once)
        with Display(self.console, remaining, expected) as display:
            for trial, outcome in self.execute(
                remaining, self.folder, display.start, display.progress, self._timeout_seconds
            ):
                store.write(self.folder, outcome)
                suite_is_through = display.finish(trial, outcome)
                failed += isinstance(outcome, Failure) and outcome.status != "skipped"
                begun = time.monotonic()
                if self.pages_between and suite_is_through and display.done < display.total and begun >= due:
                    self.console.out(facts(self.folder), end="", highlight=False)
                    due = time.monotonic() + (time.monotonic() - begun) / REPORT_SHARE
        return failed

    def _timeout_seconds(self, trial: Trial) -> float:
        return self.timeout_seconds or estimate.timeout_seconds(trial)

    def _further(self) -> int:
        """Measures cases of step time whose interval is not narrow yet in further processes, round by round. Returns
        how many failed."""
        from benchmarks.further import further_trials  # which needs SciPy, and --help does not
        from results import repetition

        failed, tried = 0, set[str]()
        while True:
            run = store.load(self.folder)
            assert run.plan is not None
            more = {name: further_trials(self.plan.of(name), run.step_times, tried) for name in self.plan.suites}
            trials = {trial.trial_id: trial for of_suite in more.values() for trial in of_suite}
            if not trials:
                return failed
            tried |= trials.keys()
            self.console.print(
                f"{len(trials)} step {'time varies' if len(trials) == 1 else 'times vary'} by more than "
                f"{repetition.NARROW * 100:g} %, or had a disturbed process: each in one process more",
                highlight=False,
            )
            failed += self._trials(list(trials.values()))
            asked = {
                name: run.plan.suites[name].model_copy(update={"trial_ids": tuple(t.trial_id for t in of_suite)})
                for name, of_suite in more.items()
            }
            store.write_plan(self.folder, run.plan.model_copy(update={"suites": asked}), run)


def _warn(words: str) -> None:
    print(f"warning: {words}", file=sys.stderr)


def is_interruption(error: BaseException) -> bool:
    """Whether it is Ctrl-C, also where that came while pydantic wrote JSON, which makes an error of its own of it."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, PydanticSerializationError) and "KeyboardInterrupt" in str(error)
    )


def going_on(arguments: list[str], folder: str) -> str:
    """The command that goes on with a run in `folder`, from the arguments that started it."""
    kept = [
        argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if argument not in ("--fresh", "--out") and before != "--out" and not argument.startswith("--out=")
    ]
    return shlex.join(["python", "-m", "benchmarks.run", *kept, "--out", folder])


def report(folder: Path, *options: str) -> int:
    """Builds tables and page in a process of its own: the report's libraries never load where trials are timed."""
    return subprocess.run([sys.executable, "-m", "report", str(folder), *options], cwd=ROOT).returncode


def facts(folder: Path) -> str:
    """Builds tables and page of what is there, and returns what it has shown so far."""
    command = [sys.executable, "-m", "report", str(folder), "--facts"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def shown(path: Path) -> str:
    """A path as a user of this folder would type it."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
