"""What a run shows while it works: a live line with an ETA on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from benchmarks.worker import Progress as TrialProgress
from results.printable import duration, printable
from results.records import Failure, Result
from results.trials import Trial

PLAIN_SECONDS = 60
TRUSTED_SECONDS = 60.0
"""As if so much of the run had taken just its estimate: one slow first trial, which also compiles, says little."""


def failure_words(failure: Failure) -> str:
    """Returns what became of a trial without a result, and why, in a line."""
    words = "skipped" if failure.status == "skipped" else f"FAILED ({failure.status})"
    return f"{words}: {printable(failure.reason)}"


@dataclass
class Eta:
    """Time left: what remains of the trials' `expected` seconds, by their ids, at the run's pace so far.

    rich's own would take a first trial that also compiles, a training that goes on from its checkpoint and a trial
    that fails at once for the pace.
    """

    left_estimate: float
    expected: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    done_estimate: float = 0.0
    done_seconds: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    """How much of each running trial is behind it."""

    def __post_init__(self) -> None:
        self.started = self.clock()

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        """Takes over how far a trial is; what it had from a checkpoint took no time in this run."""
        resumed = progress.resumed / progress.epochs
        self._advance(trial, max(self.shares.get(trial.trial_id, 0.0), resumed), counts=False)
        self._advance(trial, (progress.epoch + progress.part) / progress.epochs, counts=True)

    def finish(self, trial: Trial, outcome: Result | Failure) -> None:
        """Takes over that a trial ended; one without a result tells nothing of the pace."""
        self._advance(trial, 1.0, counts=not isinstance(outcome, Failure))
        del self.shares[trial.trial_id]

    def _advance(self, trial: Trial, share: float, *, counts: bool) -> None:
        part = (share - self.shares.get(trial.trial_id, 0.0)) * self.expected[trial.trial_id]
        self.shares[trial.trial_id] = share
        self.left_estimate -= part
        if counts and part:
            self.done_estimate += part
            self.done_seconds = self.clock() - self.started

    @property
    def seconds(self) -> float:
        pace = (self.done_seconds + TRUSTED_SECONDS) / (self.done_estimate + TRUSTED_SECONDS)
        return max(0.0, self.left_estimate * pace)


class Display:
    """Follows a run: a trial starts, trains an epoch, ends. A finished suite is a line, and so is a failure.

    On a terminal one bar over all trials, with the running one beside it, stands below these lines. Elsewhere a trial
    that takes long is a line too, at most one per minute.
    """

    def __init__(self, console: Console, remaining: Sequence[Trial], expected: Mapping[str, float]) -> None:
        self.console, self.total, self.done = console, len(remaining), 0
        self.eta = Eta(sum(expected.values()), expected)
        self.began: dict[str, float] = {}
        self.suites = {trial.suite: SuiteSoFar() for trial in remaining}
        for trial in remaining:
            self.suites[trial.suite].waiting += 1
        self.said = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.fields[trials]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]} left", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[now]}", style="dim", table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=console,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        self.total_estimate = max(self.eta.left_estimate, 1e-9)
        self.task = self.bar.add_task("", total=self.total_estimate, trials="", left="", now="")
        self._show("")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def start(self, trial: Trial) -> None:
        """Shows that a trial begins."""
        self.began[trial.trial_id] = time.monotonic()
        suite = self.suites[trial.suite]
        suite.began = suite.began or time.monotonic()
        self._show(trial.label)

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        """Shows how far a training is."""
        self.eta.progress(trial, progress)
        goes_on = progress.resumed == progress.epoch and not progress.part
        how = "where it was interrupted"
        if progress.loss is not None and progress.val_top1 is not None and not goes_on:
            how = f"loss {progress.loss:.3f}, validation top-1 {progress.val_top1:.1%}"
        if progress.part:
            how = f"{progress.part:.0%} of the next"
        self._show(f"{trial.label}  epoch {progress.epoch}/{progress.epochs}  {how}")
        if not self.console.is_terminal and (goes_on or time.monotonic() - self.said >= PLAIN_SECONDS):
            self._say(f"{trial.label}: epoch {progress.epoch} of {progress.epochs}, {how}")

    def finish(self, trial: Trial, outcome: Result | Failure) -> bool:
        """Shows that a trial ended, which may not have begun: its node may have been lost before. Returns whether its
        suite is through."""
        self.done += 1
        self.eta.finish(trial, outcome)
        self.began.pop(trial.trial_id, None)
        suite = self.suites[trial.suite]
        suite.waiting -= 1
        suite.ended += 1
        if isinstance(outcome, Failure):
            suite.failed += outcome.status != "skipped"
            self._say(f"{trial.label}: {failure_words(outcome)}")
            if self.console.quiet:
                print(f"{trial.label}: {failure_words(outcome)}", file=sys.stderr)
        if not suite.waiting:
            seconds = time.monotonic() - (suite.began or time.monotonic())
            ended = f"{suite.ended} {'trial' if suite.ended == 1 else 'trials'} in {duration(seconds)}"
            self._say(f"{trial.suite}: {ended}, {suite.failed} failed")
        elif not self.console.is_terminal and time.monotonic() - self.said >= PLAIN_SECONDS:
            self._say(f"{trial.suite}: {suite.ended} of {suite.ended + suite.waiting} trials")
        self._show("")
        return not suite.waiting

    def _say(self, words: str) -> None:
        self.said = time.monotonic()
        left = f"; about {duration(self.eta.seconds)} left" if self.done < self.total else ""
        self.console.out(f"[{self.done}/{self.total}] {words}{left}", highlight=False)

    def _show(self, now: str) -> None:
        others = len(self.began) - 1
        self.bar.update(
            self.task,
            completed=self.total_estimate - self.eta.left_estimate,
            trials=f"{self.done}/{self.total} trials",
            left=duration(self.eta.seconds),
            now=now + (f"  and {others} more" if others > 0 else ""),
        )


@dataclass
class SuiteSoFar:
    """How many of a suite's trials wait, ended and failed, and when the first of them began."""

    waiting: int = 0
    ended: int = 0
    failed: int = 0
    began: float | None = None
