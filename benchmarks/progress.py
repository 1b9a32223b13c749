"""What a run shows while it works: a live line with an ETA on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from benchmarks import estimate
from benchmarks.answers import Progress as TrialProgress
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
        return f"top-1 {outcome.test_top1:.1%}, {step}"
    return f"{outcome.step_seconds * 1e3:.3g} ms a step"


@dataclass
class Running:
    """A trial that has begun: when, how far it is, and which part of that was done before this run."""

    started: float
    estimated_seconds: float
    share: float = 0.0
    resumed: float = 0.0


@dataclass
class Eta:
    """Time left: the estimates of what remains, scaled by what the finished trials took against theirs, and shared by
    as many trials as run at once."""

    remaining_estimate: float
    clock: Callable[[], float] = time.monotonic
    finished_estimate: float = 0.0
    finished_seconds: float = 0.0
    running: dict[str, Running] = field(default_factory=dict)

    def start(self, trial: Trial) -> None:
        self.running[trial.trial_id] = Running(self.clock(), estimate.seconds(trial))

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        """Takes over how far the running trial is, and which part of that was done before this run."""
        running = self.running[trial.trial_id]
        running.share, running.resumed = progress.epoch / progress.epochs, progress.resumed / progress.epochs

    def finish(self, trial: Trial, outcome: Result | Failure) -> float:
        """Seconds that the trial took; one without a result tells nothing about the pace."""
        self.remaining_estimate -= estimate.seconds(trial)
        running = self.running.pop(trial.trial_id, None)
        if running is None:  # it ended before it began, where its node was lost
            return 0.0
        seconds = self.clock() - running.started
        if not isinstance(outcome, Failure):
            self.finished_estimate += running.estimated_seconds * (1 - running.resumed)
            self.finished_seconds += seconds
        return seconds

    @property
    def running_estimate(self) -> float:
        """What is done of the trials that run, in seconds of their estimates."""
        return sum(running.share * running.estimated_seconds for running in self.running.values())

    @property
    def seconds(self) -> float:
        """Time left. The running trials tell of the pace too, with the part that is done of them."""
        done_estimate, done_seconds = self.finished_estimate + TRUSTED_SECONDS, self.finished_seconds + TRUSTED_SECONDS
        for running in self.running.values():
            part = (running.share - running.resumed) * running.estimated_seconds
            if part > 0:
                done_estimate += part
                done_seconds += self.clock() - running.started
        left_estimate = self.remaining_estimate - self.running_estimate
        return max(0.0, left_estimate * done_seconds / done_estimate / max(1, len(self.running)))


class Display(Protocol):
    """Follows a run: a trial starts, trains an epoch, ends."""

    def start(self, trial: Trial) -> None: ...
    def progress(self, trial: Trial, progress: TrialProgress) -> None: ...
    def finish(self, trial: Trial, outcome: Result | Failure) -> None: ...
    def close(self) -> None: ...


class PlainDisplay:
    """A line for each trial that ends, and at most one a minute from within a long one."""

    def __init__(self, console: Console, remaining: Sequence[Trial]) -> None:
        self.console, self.total, self.done = console, len(remaining), 0
        self.eta = Eta(sum(map(estimate.seconds, remaining)))
        self.said = time.monotonic()

    def start(self, trial: Trial) -> None:
        self.eta.start(trial)

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        self.eta.progress(trial, progress)
        if progress.epoch == progress.resumed or time.monotonic() - self.said >= PLAIN_SECONDS:
            self._say(trial, f"epoch {progress.epoch} of {progress.epochs}, {_epoch_words(progress)}")

    def finish(self, trial: Trial, outcome: Result | Failure) -> None:
        self.done += 1
        seconds = self.eta.finish(trial, outcome)
        self._say(trial, f"{outcome_words(outcome)}, in {estimate.words(seconds)}")

    def close(self) -> None:
        """Nothing to tidy up."""

    def _say(self, trial: Trial, words: str) -> None:
        self.said = time.monotonic()
        left = f"; about {estimate.words(self.eta.seconds)} left" if self.done < self.total else ""
        self.console.out(f"[{self.done}/{self.total}] {trial.label}: {words}{left}", highlight=False)


class LiveDisplay:
    """One bar over all trials with the running one beside it; failures stay on the screen above it."""

    def __init__(self, console: Console, remaining: Sequence[Trial]) -> None:
        self.console, self.total, self.done = console, len(remaining), 0
        self.eta = Eta(sum(map(estimate.seconds, remaining)))
        self.bar = Progress(
            TextColumn("{task.fields[shown][trials]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[shown][left]} left"),
            TextColumn("{task.fields[shown][now]}", style="dim"),
            console=console,
            refresh_per_second=2,
        )
        self.total_estimate = max(self.eta.remaining_estimate, 1e-9)
        self.task = self.bar.add_task("", total=self.total_estimate, shown=self._fields(""))
        self.bar.start()

    def start(self, trial: Trial) -> None:
        self.eta.start(trial)
        self._update(trial.label)

    def progress(self, trial: Trial, progress: TrialProgress) -> None:
        self.eta.progress(trial, progress)
        self._update(f"{trial.label}  epoch {progress.epoch}/{progress.epochs}  {_epoch_words(progress)}")

    def finish(self, trial: Trial, outcome: Result | Failure) -> None:
        self.done += 1
        self.eta.finish(trial, outcome)
        if isinstance(outcome, (TrainRecord, Failure)):
            self.console.print(f"{trial.label}: {outcome_words(outcome)}", highlight=False, markup=False)
        self._update("")

    def close(self) -> None:
        self.bar.stop()

    def _fields(self, now: str) -> dict[str, str]:
        return {"trials": f"{self.done}/{self.total} trials", "left": estimate.words(self.eta.seconds), "now": now}

    def _update(self, now: str) -> None:
        others = len(self.eta.running) - 1
        now += f"  and {others} more" if others > 0 else ""
        completed = self.total_estimate - self.eta.remaining_estimate + self.eta.running_estimate
        self.bar.update(self.task, completed=completed, shown=self._fields(now))


def _epoch_words(progress: TrialProgress) -> str:
    if progress.epoch == progress.resumed:
        return "where it was interrupted"
    return f"loss {progress.loss:.3f}, validation top-1 {progress.val_top1:.1%}"


def display(console: Console, remaining: Sequence[Trial]) -> Display:
    """The display that fits where the output goes."""
    return LiveDisplay(console, remaining) if console.is_terminal else PlainDisplay(console, remaining)
