"""What a run shows while it works: a live line with an ETA on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from benchmarks import estimate
from benchmarks.worker import Progress as TrialProgress
from results.metrics import TOP1
from results.printable import printable
from results.records import Failure, Result, TrainRecord
from results.trials import Trial

PLAIN_SECONDS = 60
TRUSTED_SECONDS = 60.0
"""As if so much of the run had taken just its estimate: one slow first trial, which also compiles, says little."""


def outcome_words(outcome: Result | Failure) -> str:
    """One trial's result in a few words."""
    if isinstance(outcome, Failure):
        words = "skipped" if outcome.status == "skipped" else f"FAILED ({outcome.status})"
        return f"{words}: {printable(outcome.reason)}"
    if isinstance(outcome, TrainRecord):
        seconds = outcome.train_step_seconds
        step = "no step measured" if seconds is None else f"{seconds * 1e3:.3g} ms a step"
        return f"top-1 {TOP1.read(outcome):.1%}, {step}"
    return f"{outcome.step_seconds * 1e3:.3g} ms a step"


@dataclass
class Eta:
    """Time left: the estimates of what remains, at the run's pace so far, which is faster where trials run at once.

    rich's own would take a first trial that also compiles, a training that goes on from its checkpoint and a trial
    that fails at once for the pace.
    """

    left_estimate: float
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
        self._advance(trial, progress.epoch / progress.epochs, counts=True)

    def finish(self, trial: Trial, outcome: Result | Failure) -> None:
        """Takes over that a trial ended; one without a result tells nothing of the pace."""
        self._advance(trial, 1.0, counts=not isinstance(outcome, Failure))
        del self.shares[trial.trial_id]

    def _advance(self, trial: Trial, share: float, *, counts: bool) -> None:
        part = (share - self.shares.get(trial.trial_id, 0.0)) * estimate.seconds(trial)
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
    """Follows a run: a trial starts, trains an epoch, ends.

    On a terminal it is one bar over all trials with the running one beside it; results of trainings and failures stay
    on the screen above it. Elsewhere it is a line for each trial that ends, and at most one a minute from within a
    long one.
    """

    def __init__(self, console: Console, remaining: Sequence[Trial]) -> None:
        self.console, self.total, self.done = console, len(remaining), 0
        self.eta = Eta(sum(map(estimate.seconds, remaining)))
        self.began: dict[str, float] = {}
        self.said = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.fields[trials]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]} left"),
            TextColumn("{task.fields[now]}", style="dim"),
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
        self._show(trial.label)

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        """Shows how far a training is."""
        self.eta.progress(trial, progress)
        how = f"loss {progress.loss:.3f}, validation top-1 {progress.val_top1:.1%}"
        if goes_on := progress.epoch == progress.resumed:
            how = "where it was interrupted"
        self._show(f"{trial.label}  epoch {progress.epoch}/{progress.epochs}  {how}")
        if goes_on or time.monotonic() - self.said >= PLAIN_SECONDS:
            self._say(trial, f"epoch {progress.epoch} of {progress.epochs}, {how}")

    def finish(self, trial: Trial, outcome: Result | Failure) -> None:
        """Shows what came of a trial, which may not have begun: its node may have been lost before."""
        self.done += 1
        self.eta.finish(trial, outcome)
        seconds = time.monotonic() - self.began.pop(trial.trial_id, time.monotonic())
        self._say(trial, f"{outcome_words(outcome)}, in {estimate.words(seconds)}")
        if self.console.is_terminal and isinstance(outcome, (TrainRecord, Failure)):
            self.console.print(f"{trial.label}: {outcome_words(outcome)}", highlight=False, markup=False)
        self._show("")

    def _say(self, trial: Trial, words: str) -> None:
        if not self.console.is_terminal:
            self.said = time.monotonic()
            left = f"; about {estimate.words(self.eta.seconds)} left" if self.done < self.total else ""
            self.console.out(f"[{self.done}/{self.total}] {trial.label}: {words}{left}", highlight=False)

    def _show(self, now: str) -> None:
        others = len(self.began) - 1
        self.bar.update(
            self.task,
            completed=self.total_estimate - self.eta.left_estimate,
            trials=f"{self.done}/{self.total} trials",
            left=estimate.words(self.eta.seconds),
            now=now + (f"  and {others} more" if others > 0 else ""),
        )
