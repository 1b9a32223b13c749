"""python -m benchmarks.run: runs suites, writes records, tables and report.html, and says where they are."""

import functools
import itertools
import re
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from typer import Option

import results
from benchmarks import datasets, estimate, listing, own_attentions
from benchmarks.checks import check_asked, check_backend, check_data, check_devices_here, check_executor
from benchmarks.environment import default_threads
from benchmarks.executors import run_local
from benchmarks.image_files import LARGEST_SIDE
from benchmarks.inputs import InputError, one_of, require_once
from benchmarks.plan import SETTINGS_ALLOWED, Overrides, build_plan, suites_in
from benchmarks.provenance import origin
from benchmarks.rounds import Rounds, shown
from benchmarks.suite import profiles, suites
from results import store
from results.printable import printable
from results.trials import Backend, Precision

RUNS = Path(results.__file__).parent / "runs"
TRIAL_CPUS = 2

HELP = """Compares external attention (EANet) with self-attention (ViT): trains, times and reports both.

Writes RUN/records/*.json, RUN/tables/*.csv and RUN/report.html, where RUN is --out or results/runs/PROFILE. Running the
same command again does only what is missing. The default profile, quick, takes half an hour on 2 slow
CPU cores and downloads nothing.

\b
Examples:
  python -m benchmarks.run --all
  python -m benchmarks.run --all --dry-run
  python -m benchmarks.run --suite accuracy --seeds 10
  python -m benchmarks.run --suite scaling --set core.patches=256,512,1024,2048,4096,8192 --set core.batch=1
  python -m benchmarks.run --suite accuracy --profile tutorial --data-dir ~/cifar --epochs 2 --set patch_size=4
  python -m benchmarks.run --suite rivals --suite scaling --attention my_attention.py
  python -m benchmarks.run --all --quiet
  python -m benchmarks.run --all --executor ray --ray-address 10.0.0.1:6379 --trial-gpus 1
"""

SIZE_HELP = """Scales and crops images of your own to this size (32, or 48x32 as width x height); else their own, or
32 where they differ."""
MODE_HELP = "Reads images of your own so; else in colour where any has some."
NAME_HELP = "What images of your own are called; else as their folder."
DATASETS_HELP = "; ".join(f"{name}: {of.title}" for name, of in datasets.DATASETS.items()) + "."
ATTENTION_HELP = """An attention of your own, compared with the others in suites that take one (rivals, scaling); may
be given again. The file runs with your rights; docs/adding-an-attention.md has one of 30 lines."""
SET_HELP = "Change a setting for all variants; may be given again."
THREADS_HELP = "Threads of each trial here, one trial after the other; else OMP_NUM_THREADS, or all there are."
ADDRESS_HELP = "The cluster; else one that runs here, or a new one of this machine."
CPUS_HELP = f"CPUs, and so threads, of a training on a cluster; else {TRIAL_CPUS}."
TIMEOUT_HELP = "Seconds without a sign after which a trial is ended; else 10 minutes and 20 times its estimate."

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def command(
    all_suites: Annotated[bool, Option("--all", help="Run every suite that the profile has.")] = False,
    suite: Annotated[list[str], Option(help="Run this suite; may be given again.")] = [],  # noqa: B006
    profile: Annotated[str, Option(help="quick, tutorial or full.")] = "quick",
    list_: Annotated[bool, Option("--list", help="Show profiles, suites and settings, and run nothing.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show trials with estimated times, and run nothing.")] = False,
    dataset: Annotated[str | None, Option(help=DATASETS_HELP)] = None,
    data_dir: Annotated[Path | None, Option(help="The dataset's folder, one that contains it, or its archive.")] = None,
    image_size: Annotated[str | None, Option(metavar="SIZE", help=SIZE_HELP)] = None,
    image_mode: Annotated[Literal["grey", "colour"] | None, Option(help=MODE_HELP)] = None,
    name: Annotated[str | None, Option(help=NAME_HELP)] = None,
    epochs: Annotated[int | None, Option(help="Epochs of every training.")] = None,
    seeds: Annotated[int | None, Option(help="Trainings per variant.", min=1, max=1000)] = None,
    variant: Annotated[list[str], Option(help="Only this variant; may be given again.")] = [],  # noqa: B006
    attention: Annotated[list[Path], Option(metavar="FILE.py", help=ATTENTION_HELP)] = [],  # noqa: B006
    set_: Annotated[list[str], Option("--set", metavar="KEY=VALUE", help=SET_HELP)] = [],  # noqa: B006
    backend: Annotated[Backend, Option(help="What Keras runs on.")] = "tensorflow",
    precision: Annotated[Precision | None, Option(help="Keras dtype policy; else float32.")] = None,
    devices: Annotated[int, Option(help="Devices that training batches are split over (jax).", min=1, max=1024)] = 1,
    threads: Annotated[int | None, Option(help=THREADS_HELP, min=1, max=1024)] = None,
    executor: Annotated[Literal["local", "ray"], Option(help="This machine, or a Ray cluster.")] = "local",
    ray_address: Annotated[str | None, Option(metavar="HOST:PORT", help=ADDRESS_HELP)] = None,
    trial_cpus: Annotated[int | None, Option(help=CPUS_HELP, min=1, max=1024)] = None,
    trial_gpus: Annotated[int | None, Option(help="GPUs of a trial on a cluster; else none.", min=0, max=64)] = None,
    timeout: Annotated[float | None, Option(help=TIMEOUT_HELP, min=1, max=estimate.MOST_SECONDS)] = None,
    out: Annotated[Path | None, Option(help="The run's folder.")] = None,
    fresh: Annotated[bool, Option("--fresh", help="Start over in a new folder; nothing is deleted.")] = False,
    quiet: Annotated[bool, Option("--quiet", help="Print warnings and errors alone, for scripts.")] = False,
) -> None:
    console = Console(quiet=quiet and not (list_ or dry_run))
    known = suites()
    one_of("profile", profile, profiles())
    if list_:
        listing.show_all(console)
        return
    if not all_suites and not suite:
        raise InputError(f"nothing to run: give --all, or --suite with one of: {', '.join(known)}")
    if all_suites and suite:
        raise InputError("--all runs every suite: give it or --suite, not both")
    if dataset is not None:
        one_of("dataset", dataset, datasets.DATASETS)
    wanted = _wanted(image_size, image_mode)
    data_name = _data_name(dataset, data_dir, name, wanted)
    settings = _settings(set_)
    if attention:
        check_backend(backend)
    own = own_attentions.described(attention, backend, settings) if attention else {}
    of_own = {name for described in own.values() for name, _ in described.settings} - set(SETTINGS_ALLOWED)
    overrides = Overrides(
        dataset=dataset,
        data_dir=None if data_dir is None else str(data_dir.expanduser().resolve()),
        data_name=data_name,
        epochs=epochs,
        seeds=seeds,
        variants=tuple(variant),
        settings={name: text for name, text in settings.items() if name not in of_own},
        backend=backend,
        precision=precision,
        devices=devices,
        attentions=own,
    )
    surveys: dict[str, datasets.Survey] = {}

    def shape(of: str) -> datasets.DatasetShape:
        surveys[of] = datasets.survey(of, overrides.data_dir, wanted)
        return surveys[of].shape

    names = suites_in(profile, overrides) if all_suites else suite
    plan = build_plan(names, profile, shape, overrides)
    plan = own_attentions.costed(plan, backend) if own else plan
    notes = (*(note for survey in surveys.values() for note in survey.notes), *plan.notes)
    plan = replace(plan, notes=tuple(map(printable, notes)))
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    folder = _folder(
        out, profile, overrides, {"threads": threads, "image_size": image_size, "image_mode": image_mode}, fresh
    )
    check_asked(plan, overrides)
    at_once = default_threads() if executor == "local" and threads is None else 1
    threads_here = threads or default_threads()
    if dry_run:
        listing.show_plan(console, plan, store.load(folder).done, shown(folder), threads_here, at_once)
        return
    of_cluster = {"--ray-address": ray_address, "--trial-cpus": trial_cpus, "--trial-gpus": trial_gpus}
    check_backend(backend)
    check_executor(overrides, executor, threads, of_cluster)
    images, here = check_data(plan, overrides), origin()
    rounds = functools.partial(
        Rounds, console, plan, folder, here, threads=threads_here, at_once=at_once, timeout_seconds=timeout
    )
    if executor == "local":
        check_devices_here(overrides.devices)
        execute = functools.partial(run_local, overrides.backend, here, threads=threads_here, at_once=at_once)
        raise typer.Exit(rounds(execute=execute, pages_between=True).run(images))
    from benchmarks.cluster import Share, connected

    share = Share(cpus=trial_cpus or TRIAL_CPUS, gpus=trial_gpus or 0)
    with connected(ray_address, overrides.backend, share, here, plan.trials) as cluster:
        status = rounds(execute=cluster.run, pages_between=False).run(images)
    raise typer.Exit(status)


def _wanted(size: str | None, mode: Literal["grey", "colour"] | None) -> datasets.Wanted:
    if size is None:
        return datasets.Wanted(None, mode)
    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", size)
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise InputError(
            f"--image-size {size!r}: expected N or WIDTHxHEIGHT, such as 32 or 48x32, up to {LARGEST_SIDE}"
        )
    return datasets.Wanted((height, width), mode)


def _data_name(dataset: str | None, data_dir: Path | None, name: str | None, wanted: datasets.Wanted) -> str | None:
    """Returns the name of a user's own images, which alone have a name, a size and a mode of the user's choice."""
    if dataset is not None and datasets.DATASETS[dataset].any_size:
        found = name or (data_dir.expanduser().resolve().stem if data_dir else dataset)
        if found in datasets.DATASETS and found != dataset:
            raise InputError(f"--name {found}: that is another dataset; choose another with --name")
        return printable(found)[:80]
    for option, value in (("--name", name), ("--image-size", wanted.size), ("--image-mode", wanted.mode)):
        if value is not None:
            raise InputError(f"{option} is for images of your own: give --dataset folder or npz, too")
    return None


def _settings(given: Iterable[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text!r} is not KEY=VALUE")
        if name in settings:
            raise InputError(f"{name} is given twice with --set: as {settings[name]} and as {value}")
        settings[name] = value
    return settings


def _folder(
    out: Path | None, profile: str, overrides: Overrides, others: dict[str, int | str | None], fresh: bool
) -> Path:
    """The run's folder: one for each set of settings, the newest of its kind, or with `fresh` the next new one.

    A setting that is given is in the name even with the profile's own value: it holds for suites that vary it, too.
    """
    usual = {"dataset": profiles()[profile].dataset, "backend": "tensorflow", "precision": "float32", "devices": 1}
    asked = {name: getattr(overrides, name) for name in usual if getattr(overrides, name) not in (None, usual[name])}
    given = {"name": overrides.data_name, "epochs": overrides.epochs, **others}
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
    numbered = (base.with_name(f"{base.name}-{number}") for number in itertools.count(2))
    newest, following = next((a, b) for a, b in itertools.pairwise(itertools.chain([base], numbered)) if not b.exists())
    return following if fresh and newest.exists() else newest


def main() -> int:
    """The command; returns its exit status. Every error that a user can mend is one line on stderr and status 2."""
    try:
        if any(not argument.isprintable() for argument in sys.argv[1:]):
            raise InputError("an argument holds characters that cannot be printed")
        require_once(sys.argv[1:], ("--attention", "--set", "--suite", "--variant"))
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
