"""Findings -> one self-contained HTML page: no script from elsewhere, no font, no image file, no request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.attentions.own import OwnAttention
from report import sentences, tables, verdicts, words
from report.figures import costs, figures
from report.findings import Findings, find
from report.parts import render
from results import files, frames, published, repetition, store
from results.records import Environment, TrainRecord
from results.store import Run, StoreError

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def load(folder: Path) -> Run:
    """Reads all of a run's folder that can be read. Raises `StoreError` where that is nothing, and `OSError`."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; give a run's folder, such as results/runs/quick")
    store.refuse_links(folder)
    run = store.load(folder)
    if not (run.results or run.failures):
        what_to_do = "run something first: python -m benchmarks.run --all"
        raise StoreError(f"{folder} holds no readable record{_first_broken(run)}; {what_to_do}")
    return run


def build(folder: Path) -> tuple[Path, Findings]:
    """Writes `report.html` and `tables/*.csv` into a run's folder. Raises what `load` does."""
    run = load(folder)
    findings = find(run)
    page = folder / "report.html"
    files.replace(page, page_text(run, findings).encode())
    tables.write(run, findings)
    return page, findings


def _first_broken(run: Run) -> str:
    """The first file that cannot be read, and how many more there are."""
    more = f", and {len(run.broken) - 1} more cannot" if len(run.broken) > 1 else ""
    return next((f" ({name} cannot be read: {reason}{more})" for name, reason in run.broken.items()), "")


FILTERS: dict[str, Callable[..., Any]] = {
    "sentence": words.sentence,
    "not_compared": sentences.not_compared,
    "milliseconds_of": lambda seconds: words.significant(seconds * 1e3),
}


def page_text(run: Run, findings: Findings) -> str:
    """Returns the page as text; the same records give the same bytes."""
    environments = run.environments
    incomplete, drawn = sentences.incomplete(run), figures(findings)
    sections = {
        "accuracy": ("Accuracy", findings.published),
        "cost": ("Speed", findings.curves),
        "memory": ("Memory", "memory" in drawn),
        "ablations": (f"Ablations ({len(findings.ablations)})", findings.ablations),
        "failures": ("Failures", incomplete),
        "method": ("Method", True),
        "provenance": ("Data and provenance", True),
        "records": ("Records", run.results),
    }
    return render(
        "page.html.j2",
        FILTERS,
        run=run,
        findings=findings,
        sections=[(key, title) for key, (title, is_there) in sections.items() if is_there],
        suites=run.plan.suites if run.plan else {},
        figures=drawn,
        costs=costs(findings.race),
        tables=tables.tables(findings),
        embedded={
            "trainings": frames.columns_and_rows(frames.TRAINING, run.trainings),
            "step_times": frames.columns_and_rows(frames.STEP_TIME, run.step_times),
            "failures": frames.columns_and_rows(frames.FAILURE, run.failures),
        },
        source=published.SOURCE,
        how_to_test=verdicts.HOW_TO_TEST,
        datasets=[words.dataset(name) for name in sorted({record.dataset for record in run.trainings})],
        dates=sorted({e.started[:10] for e in environments})[-1:],
        machines=_machines(environments),
        commands=_commands(run),
        provenance=_provenance(environments),
        incomplete=incomplete,
        noisy=sum(point.noisy for point in findings.points),
        points=len(findings.points),
        narrow=repetition.NARROW,
        images=_images(run),
        margins=sorted({s.margin for s in (run.plan.suites.values() if run.plan else ()) if s.margin}),
        own={
            f"{r.variant} ({r.trial.attention.source_sha256[:7]})": r.trial.attention
            for r in (*run.results, *run.failures)
            if isinstance(r.trial.attention, OwnAttention)
        },
    )


def _images(run: Run) -> list[tuple[str, str, int, list[str], list[str], list[str]]]:
    """Each dataset by its hash and its parts to test with, with the numbers of its training, validation and test
    images."""
    found: dict[tuple[str, str, int], list[TrainRecord]] = {}
    for record in run.trainings:
        key = record.dataset, record.dataset_sha256, record.trial.test_folds
        found.setdefault(key, []).append(record)

    def counts(records: list[TrainRecord], name: str) -> list[str]:
        return [f"{count:,}" for count in sorted({getattr(record, name) for record in records})]

    return [
        (
            words.dataset(name),
            digest,
            folds,
            counts(records, "train_images"),
            counts(records, "validation_images"),
            counts(records, "test_images"),
        )
        for (name, digest, folds), records in sorted(found.items())
    ]


def _machines(environments: list[Environment]) -> list[str]:
    """Each machine with its threads and backend; by its processor's short name where that tells it from the others."""
    cpus = {environment.cpu for environment in environments}
    short = {cpu: cpu.partition(" (")[0] for cpu in cpus}
    names = short if len(set(short.values())) == len(cpus) else {cpu: cpu for cpu in cpus}
    found = {f"{names[e.cpu]}, {words.number_of(e.threads, 'thread')}, {backend_name(e)}" for e in environments}
    return sorted(found)


def backend_name(environment: Environment) -> str:
    """The backend and its version, and the device where it is no processor: "TensorFlow 2.21.0"."""
    on = "" if environment.device == "cpu" else f" on {environment.device}"
    name = BACKENDS.get(environment.backend, environment.backend)
    return f"{name} {environment.versions.get(environment.backend, '')}".rstrip() + on


def _commands(run: Run) -> list[tuple[str | None, str]]:
    """The commands that gave the results, each with its commit, in the order in which they were first given."""
    given = sorted(run.environments, key=lambda environment: environment.started)
    found = [(environment.commit, environment.command) for environment in given]
    if run.plan and not found:
        found = [(None, run.plan.command)]
    return list(dict.fromkeys(found))


def _provenance(environments: list[Environment]) -> list[tuple[int, Environment]]:
    """The environments that differ in more than start and process, each with how many records came from it."""
    found: dict[str, list[Environment]] = {}
    for environment in environments:
        found.setdefault(environment.model_dump_json(exclude={"started", "process"}), []).append(environment)
    return [(len(alike), alike[0]) for _, alike in sorted(found.items())]
