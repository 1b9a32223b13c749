"""python -m benchmarks.run: runs suites, writes records, tables and report.html, and says where they are."""

import functools
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic_core import PydanticSerializationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

import results
from benchmarks import datasets, estimate
from benchmarks.checks import (
    check_backend,
    check_data,
    check_data_dir,
    check_devices,
    check_devices_here,
    check_devices_there,
    check_threads,
)
from benchmarks.environment import GitError, Origin, git
from benchmarks.executors import Execute, run_local
from benchmarks.plan import Overrides, Plan, build_plan, settings_allowed, suites_with
from benchmarks.progress import display
from benchmarks.suite import InputError, one_of, profiles, suites
from models.config import VARIANTS
from results import places, store
from results.printable import printable
from results.records import Failure, RunPlan
from results.trials import Backend, Precision, Trial

RUNS = Path(results.__file__).parent / "runs"
ROOT = Path(__file__).parent.parent
MEASURES = ("models", "benchmarks")
"""What of the repository can change a result."""
REPORT_SHARE = 0.05
TRIAL_CPUS = 2

HELP = """Compares external attention (EANet) with self-attention (ViT): trains, times and reports both.

Writes RUN/records/*.json, RUN/tables/*.csv and RUN/report.html, where RUN is --out or results/runs/PROFILE. Running the
same command again does only what is missing. The default profile, quick, takes about 20 minutes on 2 CPU
cores and downloads nothing.

\b
Examples:
  python -m benchmarks.run --all
  python -m benchmarks.run --all --dry-run
  python -m benchmarks.run --suite accuracy --seeds 10
  python -m benchmarks.run --suite scaling --set core.patches=256,512,1024,2048,4096,8192 --set core.batch=1
  python -m benchmarks.run --suite accuracy --profile tutorial --data-dir ~/cifar --epochs 2 --set patch_size=4
  python -m benchmarks.run --all --executor ray --ray-address 10.0.0.1:6379 --trial-gpus 1
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def command(
    all_suites: Annotated[bool, typer.Option("--all", help="Run every suite.")] = False,
    suite: Annotated[list[str], typer.Option(help="Run this suite; may be given again.")] = [],  # noqa: B006
    profile: Annotated[str, typer.Option(help="quick, tutorial or full.")] = "quick",
    list_: Annotated[bool, typer.Option("--list", help="Show profiles, suites and settings, and run nothing.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the trials with estimated times, and run nothing.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option(help="; ".join(f"{name}: {d.title}" for name, d in datasets.DATASETS.items()) + ".")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the dataset is: its folder, one that contains it, or its archive.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every training.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings per variant.", min=1, max=1000)] = None,
    variant: Annotated[list[str], typer.Option(help="Only this variant; may be given again.")] = [],  # noqa: B006
    set_: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting for all variants; may be given again."),
    ] = [],  # noqa: B006
    backend: Annotated[Backend, typer.Option(help="What Keras runs on.")] = "tensorflow",
    precision: Annotated[Precision | None, typer.Option(help="Keras dtype policy; else float32.")] = None,
    devices: Annotated[
        int, typer.Option(help="Devices that a training's batches are split over (jax).", min=1, max=1024)
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads that a trial computes with on this machine; else OMP_NUM_THREADS, or all that it may use.",
            min=1,
            max=1024,
        ),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine, one trial at a time, or a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The cluster; else one that runs here, or a new one of this machine."),
    ] = None,
    trial_cpus: Annotated[
        int | None, typer.Option(help="CPUs, and so threads, of a training on a cluster; else 2.", min=1, max=1024)
    ] = None,
    trial_gpus: Annotated[
        int | None, typer.Option(help="GPUs of a trial on a cluster; else none.", min=0, max=64)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds without a sign after which a trial is ended; else 10 minutes and 20 times its estimate.",
            min=1,
            max=estimate.MOST_SECONDS,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over in a new folder; nothing is deleted.")] = False,
) -> None:
    console = Console()
    known = suites()
    one_of("profile", profile, profiles())
    if list_:
        _list(console)
        return
    if not all_suites and not suite:
        raise InputError(f"nothing to run: give --all, or --suite with one of: {', '.join(known)}")
    if all_suites and suite:
        raise InputError("--all runs every suite: give it or --suite, not both")
    if dataset is not None:
        one_of("dataset", dataset, datasets.DATASETS)
    overrides = Overrides(
        dataset=dataset,
        data_dir=None if data_dir is None else str(data_dir.expanduser().resolve()),
        epochs=epochs,
        seeds=seeds,
        variants=tuple(variant),
        settings=_settings(set_),
        backend=backend,
        precision=precision,
        devices=devices,
    )
    names = suites_with(overrides.variants) if all_suites else suite
    plan = build_plan(names, profile, lambda name: datasets.shape(name, overrides.data_dir), overrides)
    folder = _folder(out, profile, overrides, threads, fresh)
    check_data_dir(plan, overrides)
    check_devices(plan, overrides)
    if dry_run:
        _dry_run(console, plan, folder)
        return
    on_cluster = {"--ray-address": ray_address, "--trial-cpus": trial_cpus, "--trial-gpus": trial_gpus}
    for option in (option for option, value in on_cluster.items() if value is not None and executor == "local"):
        raise InputError(f"{option} changes nothing without --executor ray")
    check_threads(threads, executor)
    check_backend(overrides.backend)
    hashes, origin = check_data(plan, overrides), _origin()
    if executor == "local":
        check_devices_here(overrides.devices)
        execute: Execute = functools.partial(run_local, overrides.backend, origin, threads=threads)
        raise typer.Exit(_run(console, plan, folder, origin, execute, hashes, timeout, _report_quietly))
    check_devices_there(overrides.devices, trial_gpus)
    from benchmarks.cluster import Share, connected

    share = Share(cpus=trial_cpus or TRIAL_CPUS, gpus=trial_gpus or 0)
    with connected(ray_address, overrides.backend, share, origin, plan.trials) as cluster:
        status = _run(console, plan, folder, origin, cluster.run, hashes, timeout, _report_later)
    raise typer.Exit(status)


def _settings(given: Iterable[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for name, value in map(_pair, given):
        if name in settings:
            raise InputError(f"{name} is given twice with --set: as {settings[name]} and as {value}")
        settings[name] = value
    return settings


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--set {text!r} is not KEY=VALUE")
    return name, value


def _folder(out: Path | None, profile: str, overrides: Overrides, threads: int | None, fresh: bool) -> Path:
    """The run's folder: one for each set of settings, the newest of its kind, or with `fresh` the next new one.

    A setting that is given is in the name even with the profile's own value: it holds for suites that vary it, too.
    """
    usual = {"dataset": profiles()[profile].dataset, "backend": "tensorflow", "precision": "float32", "devices": 1}
    asked = {name: getattr(overrides, name) for name in usual if getattr(overrides, name) not in (None, usual[name])}
    given = {"epochs": overrides.epochs, "threads": threads}
    asked |= {name: value for name, value in given.items() if value is not None}
    changes = dict(sorted((asked | dict(overrides.settings)).items()))
    name = "-".join([profile, *(f"{key}={value}" for key, value in changes.items())])
    base = RUNS / re.sub(r"[^\w=.+-]", "_", name) if out is None else out.expanduser().resolve()
    if not base.name or out == Path():
        raise InputError(f"--out {str(out)!r} is no folder for a run: name one, such as results/runs/mine")
    if base.exists() and not base.is_dir():
        raise InputError(f"--out {base} is a file; name a folder")
    if out is not None and not fresh:
        return base
    number = 1
    while _numbered(base, number + 1).exists():
        number += 1
    newest = _numbered(base, number)
    return _numbered(base, number + 1) if fresh and newest.exists() else newest


def _numbered(base: Path, number: int) -> Path:
    return base if number == 1 else base.with_name(f"{base.name}-{number}")


def _check_same_data(run: store.Run, hashes: dict[str, str], plan: Plan) -> None:
    """A trial's id names its dataset, not its pixels: results on other images must not pass for these."""
    planned = {trial.trial_id for trial in plan.trials}
    for record in run.trainings:
        expected = hashes.get(record.dataset, record.dataset_sha256)
        if record.trial_id in planned and record.dataset_sha256 != expected:
            raise InputError(
                f"{_shown(run.folder)} has results on other images of {record.dataset} (SHA-256 "
                f"{record.dataset_sha256[:12]}, not {expected[:12]}): choose another folder with --out, or --fresh"
            )


def _origin() -> Origin:
    command = places.command("benchmarks.run", sys.argv[1:], ROOT)
    try:
        return Origin(command, commit=git(ROOT, "rev-parse", "HEAD"), dirty=bool(git(ROOT, "status", "--porcelain")))
    except GitError as error:
        print(f"warning: the records will not name the commit: {printable(str(error))}", file=sys.stderr)
        return Origin(command, commit=None, dirty=None)


def _by_other_code(run: store.Run, plan: Plan, origin: Origin) -> str:
    """Names the finished trials of the plan that other code than this has measured; "" where there are none."""
    planned = {trial.trial_id for trial in plan.trials}
    measured = Counter(
        (record.environment.commit, record.environment.dirty) for record in run.results if record.trial_id in planned
    )
    here = (origin.commit, origin.dirty)
    others = {code: count for code, count in measured.items() if code[1] or (code != here and _differs(code[0]))}
    if not others:
        return ""
    named = ", ".join(f"{count} by {_code(*code)}" for code, count in others.items())
    return f"done already by other code: {named}, where this is {_code(*here)}; --fresh runs them again"


def _differs(commit: str | None) -> bool:
    """Whether what measures is other now than in the commit, or nobody knows: a record may hold any text for one."""
    try:
        return not _is_commit(commit) or bool(git(ROOT, "diff", "--name-only", str(commit), "--", *MEASURES))
    except GitError:
        return True


def _code(commit: str | None, dirty: bool | None) -> str:
    named = f"commit {commit[:7]}" if commit and _is_commit(commit) else "an unknown commit"
    return named + (" with uncommitted changes" if dirty else "")


def _is_commit(text: str | None) -> bool:
    return bool(re.fullmatch("[0-9a-f]{40}", text or ""))


def _asked(plan: Plan, command: str) -> RunPlan:
    """What the report has to know of the plan."""
    counts = {variant: VARIANTS[variant].model.cost().parameters for variant in ("eanet", "vit")}
    return RunPlan(profile=plan.profile, command=command, tutorial_parameters=counts, suites=plan.suites)


def _run(
    console: Console,
    plan: Plan,
    folder: Path,
    origin: Origin,
    execute: Execute,
    hashes: dict[str, str],
    timeout: float | None,
    between: Callable[[Path], object],
) -> int:
    """Runs what is missing, with what is done `between` two suites, and writes the report. Returns the exit status."""
    with store.locked(folder):
        before = store.load(folder)
        _check_same_data(before, hashes, plan)
        if before.broken:
            set_aside = ", ".join(store.set_aside(folder, before.broken))
            said = f"set aside as *.broken and to be run again: {set_aside}"
            console.print(said, style="yellow", soft_wrap=True, markup=False)
        store.write_plan(folder, _asked(plan, origin.command), before.plan)
        remaining = [trial for trial in plan.distinct if trial.trial_id not in before.done]
        there = len(plan.distinct) - len(remaining)
        begun = len(store.checkpoints(folder) & {trial.trial_id for trial in remaining})
        total = estimate.words(sum(map(estimate.seconds, remaining)))
        if said := _by_other_code(before, plan, origin):
            console.print(said, style="yellow", soft_wrap=True, markup=False, highlight=False)
        console.print(
            f"{len(remaining)} {'trial' if len(remaining) == 1 else 'trials'} to run, about {total} on 2 CPU cores"
            + (f"; {there} are done already" if there else "")
            + (f"; {begun} begun before" if begun else "")
            + f"; into {_shown(folder)}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        failed = 0
        try:
            if remaining:
                failed = _run_trials(console, remaining, folder, execute, timeout, between)
            failed += _run_further(console, plan, folder, execute, timeout)
            return _report(folder) or (1 if failed else 0)
        except (KeyboardInterrupt, PydanticSerializationError) as error:
            if not is_interruption(error):
                raise
            kept = len(store.load(folder).done)
            again = going_on(sys.argv[1:], _shown(folder))
            part = " and the finished epochs of the others" if store.checkpoints(folder) else ""
            print(f"interrupted; {kept} finished trials{part} are kept. Go on with: {again}", file=sys.stderr)
            return 130
        except OSError as error:
            again = going_on(sys.argv[1:], _shown(folder))
            raise store.StoreError(
                f"{error.filename or folder}: {error.strerror or error}; finished trials are kept. "
                f"Once that is mended, go on with: {again}"
            ) from None


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


def _run_trials(
    console: Console,
    remaining: Sequence[Trial],
    folder: Path,
    execute: Execute,
    timeout: float | None,
    between: Callable[[Path], object],
) -> int:
    """Returns how many failed; one that does not fit into memory has not.

    `between` is called when a suite is through and another follows, but for the time that it takes: at most
    `REPORT_SHARE` of the run's.
    """
    shown = display(console, remaining)
    waiting = Counter(trial.suite for trial in remaining)
    failed, due = 0, time.monotonic()

    def timeout_seconds(trial: Trial) -> float:
        return timeout or estimate.timeout_seconds(trial)

    try:
        for trial, outcome in execute(remaining, folder, shown.start, shown.progress, timeout_seconds):
            store.write(folder, outcome)
            shown.finish(trial, outcome)
            failed += isinstance(outcome, Failure) and outcome.status != "skipped"
            waiting[trial.suite] -= 1
            if not waiting[trial.suite] and waiting.total() and (begun := time.monotonic()) >= due:
                between(folder)
                due = time.monotonic() + (time.monotonic() - begun) / REPORT_SHARE
    finally:
        shown.close()
    return failed


def _run_further(console: Console, plan: Plan, folder: Path, execute: Execute, timeout: float | None) -> int:
    """Measures cases of step time whose interval is not narrow yet in further processes, round by round. Returns how
    many failed."""
    from benchmarks.further import further_trials  # which needs SciPy, and --help does not
    from results import repetition

    failed, tried = 0, set[str]()
    while True:
        run = store.load(folder)
        assert run.plan is not None
        more = {name: further_trials(plan.of(name), run.step_times) for name in plan.suites}
        asked_for = {trial.trial_id: trial for of_suite in more.values() for trial in of_suite}
        trials = [trial for trial_id, trial in asked_for.items() if trial_id not in tried]
        if not trials:
            return failed
        tried |= asked_for.keys()
        console.print(
            f"{len(trials)} step {'time varies' if len(trials) == 1 else 'times vary'} by more than "
            f"{repetition.NARROW * 100:g} %, or had a disturbed process: each in one process more",
            highlight=False,
        )
        failed += _run_trials(console, trials, folder, execute, timeout, lambda _: None)
        asked = {
            name: suite.model_copy(update={"trial_ids": tuple(trial.trial_id for trial in more[name])})
            for name, suite in run.plan.suites.items()
            if name in more
        }
        store.write_plan(folder, run.plan.model_copy(update={"suites": asked}), run.plan)


def _report(folder: Path, *options: str) -> int:
    """Builds tables and page in a process of its own: the report's libraries never load where trials are timed."""
    return subprocess.run([sys.executable, "-m", "report", str(folder), *options], cwd=ROOT).returncode


def _report_quietly(folder: Path) -> None:
    """While no trial runs: on this machine they wait for it."""
    _report(folder, "--quiet")


def _report_later(folder: Path) -> None:
    """A cluster's trials go on meanwhile, and one may be timed on this machine: the page is written at the end."""


def _shown(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _list(console: Console) -> None:
    table = Table("profile", "what it is", "dataset", "seeds", box=None, pad_edge=False)
    for name, profile in profiles().items():
        table.add_row(name, _plain(profile.summary), profile.dataset, str(profile.seeds))
    console.print(table)
    console.print()
    table = Table("suite", "question", "quick: trials", "time on 2 cores", box=None, pad_edge=False)
    plan = build_plan(list(suites()), "quick", lambda name: datasets.shape(name, None), Overrides())
    for name, suite in plan.suites.items():
        trials = plan.of(name)
        table.add_row(
            name, _plain(suite.question), str(len(trials)), estimate.words(sum(map(estimate.seconds, trials)))
        )
    console.print(table)
    console.print(f"\nsettings for --set KEY=VALUE: {', '.join(settings_allowed())}", highlight=False)


def _plain(text: str) -> Text:
    """A suite file's words, of which nothing is markup."""
    return Text(printable(text))


def _dry_run(console: Console, plan: Plan, folder: Path) -> None:
    done = store.load(folder).done
    for trial in plan.trials:
        state = "done" if trial.trial_id in done else estimate.words(estimate.seconds(trial))
        cell = " ".join(f"{name}={value}" for name, value in getattr(trial, "grid", {}).items())
        console.out(f"{trial.suite:<14} {trial.trial_id:<60} {state:>8}  {cell}".rstrip(), highlight=False)
    left = [trial for trial in plan.distinct if trial.trial_id not in done]
    total = estimate.words(sum(map(estimate.seconds, left)))
    console.out(
        f"{len(left)} of {len(plan.distinct)} trials to run, about {total} on 2 CPU cores, into {_shown(folder)}",
        highlight=False,
    )


def _require_once(arguments: Sequence[str]) -> None:
    """Of an option that is given twice, typer takes the last: an error instead, but for those that make a list."""
    counted = Counter(argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    for option, count in counted.items():
        if count > 1 and option not in ("--set", "--suite", "--variant"):
            raise InputError(f"{option} is given {count} times: give it once")


def main() -> int:
    """The command; returns its exit status. Every error that a user can mend is one line on stderr and status 2."""
    try:
        if any(not argument.isprintable() for argument in sys.argv[1:]):
            raise InputError("an argument holds characters that cannot be printed")
        _require_once(sys.argv[1:])
        return app(standalone_mode=False) or 0
    except (InputError, datasets.DataError, store.StoreError) as error:
        message = str(error)
    except typer.TyperException as error:
        message = error.format_message().replace("Value error, ", "")
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except typer.Abort:
        return 130
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _interrupt(number: int, frame: object) -> None:
    """A terminal that is closed and a job that is cancelled end a run as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    sys.exit(main())
