"""What can be run, and what would be: `--list` and `--dry-run`."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import datasets, schedule
from benchmarks.environment import default_threads
from benchmarks.plan import SETTINGS_ALLOWED, Overrides, Plan, build_plan
from benchmarks.suite import profiles, suites
from results.printable import duration, printable
from results.trials import Trial


def show_all(console: Console) -> None:
    """Shows every profile, suite and setting."""
    table = Table("profile", "what it is", "dataset", "seeds", box=None, pad_edge=False)
    for name, profile in profiles().items():
        table.add_row(name, _plain(profile.summary), profile.dataset, str(profile.seeds))
    console.print(table)
    console.print()
    table = Table("suite", "question", "quick: trials", "time here", box=None, pad_edge=False)
    plan = build_plan(list(suites()), "quick", lambda name: datasets.survey(name, None).shape, Overrides())
    threads = default_threads()
    for name, suite in plan.suites.items():
        trials = plan.of(name)
        table.add_row(name, _plain(suite.question), str(len(trials)), time_words(trials, threads, threads))
    console.print(table)
    console.print(f"\nsettings for --set KEY=VALUE: {', '.join(SETTINGS_ALLOWED)}", highlight=False)


def show_plan(console: Console, plan: Plan, done: set[str], folder: str, threads: int, at_once: int) -> None:
    """Shows each trial of a plan with its estimated time, or that it is done, in the run's folder."""
    for trial in plan.trials:
        state = "done" if trial.trial_id in done else time_words([trial], threads, at_once)
        cell = " ".join(f"{name}={value}" for name, value in getattr(trial, "grid", ()))
        console.out(f"{trial.suite:<14} {trial.trial_id:<60} {state:>8}  {cell}".rstrip(), highlight=False)
    left = [trial for trial in plan.distinct if trial.trial_id not in done]
    time_left = time_words(left, threads, at_once)
    console.out(f"{len(left)} of {len(plan.distinct)} trials to run, about {time_left}, into {folder}", highlight=False)


def time_words(trials: Iterable[Trial], threads: int, at_once: int) -> str:
    """The expected time of trials on so many threads of this machine, as people say it."""
    return duration(sum(schedule.expected_seconds(trials, threads, at_once).values()))


def _plain(text: str) -> Text:
    """A suite file's words, of which nothing is markup."""
    return Text(printable(text))
