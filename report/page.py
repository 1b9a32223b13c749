"""Findings -> one self-contained HTML page: no script from elsewhere, no font, no image file, no request."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from report import groups, history, sentences, tables, words
from report.figures import figures
from report.findings import Findings, find
from report.history import Trend
from report.parts import render
from results import frames, gates, published, repetition, store
from results.gates import Gate, GateError
from results.metrics import TOP1
from results.printable import markdown, markdown_code
from results.records import Environment
from results.store import Run, StoreError

HISTORY = "history.jsonl"
"""A history of timing gates, in a run's folder: the page shows it too."""


def build(folder: Path) -> tuple[Path, Findings]:
    """Writes `report.html` and `tables/*.csv` into a run's folder, from what can be read of it.

    Raises `StoreError` where that is nothing, and `OSError`.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; give a run's folder, such as results/runs/quick")
    store.refuse_links(folder)
    run = store.load(folder)
    broken = dict(run.broken)
    try:
        gate = gates.read(folder)
    except GateError as error:
        gate, broken[gates.FILE] = None, str(error)
    gates_before, lines = gates.read_history_so_far(folder / HISTORY)
    run = replace(run, broken=broken | lines)
    if not (run.results or run.failures or gate or gates_before):
        what_to_do = "run something first: python -m benchmarks.run --all"
        raise StoreError(f"{folder} holds no readable record{_first_broken(run)}; {what_to_do}")
    findings = find(run, gate)
    page = folder / "report.html"
    store.replace(page, page_text(run, findings, history.trends(gates_before)).encode())
    if gate:
        store.replace(folder / "gate.md", gate_markdown(gate).encode())
    tables.write(run, findings)
    return page, findings


def _first_broken(run: Run) -> str:
    """The first file that cannot be read, and how many more there are."""
    more = f", and {len(run.broken) - 1} more cannot" if len(run.broken) > 1 else ""
    return next((f" ({name} cannot be read: {reason}{more})" for name, reason in run.broken.items()), "")


FILTERS: dict[str, Callable[..., Any]] = {
    "top1": lambda training: words.value(TOP1, training.mean(TOP1)),
    "sentences": sentences.of_study,
    "milliseconds_of": lambda seconds: words.significant(seconds * 1e3),
    "gate_sentence": gates.sentence,
    "processor": groups.processor,
    "text": markdown,
    "code": markdown_code,
}


def gate_markdown(gate: Gate) -> str:
    """A timing gate as a pull request shows it: verdict, table, what changed, and how it was decided."""
    return render("gate.md.j2", FILTERS, gate=gate)


def page_text(run: Run, findings: Findings, trends: Sequence[Trend] = ()) -> str:
    """The page as text; the same records give the same bytes."""
    points = [point for curve in findings.curves for point in curve.points]
    environments, gated = run.environments, [findings.gate] if findings.gate else []
    return render(
        "page.html.j2",
        FILTERS | {"costs": partial(sentences.costs, timed_elsewhere=bool(points))},
        run=run,
        findings=findings,
        suites=run.plan.suites if run.plan else {},
        figures=figures(findings),
        tables=tables.tables(findings),
        trends=trends,
        embedded={
            "trainings": frames.columns_and_rows(frames.TRAINING, run.trainings),
            "step_times": frames.columns_and_rows(frames.STEP_TIME, run.step_times),
            "failures": frames.columns_and_rows(frames.FAILURE, run.failures),
        },
        source=published.SOURCE,
        datasets=sorted({record.dataset for record in run.trainings}),
        dates=sorted({e.started[:10] for e in environments} | {gate.started[:10] for gate in gated}),
        machines=sorted(
            {f"{groups.processor(e)}, device {e.device}" for e in environments}
            or {groups.processor(gate.machine) for gate in gated}
        ),
        commands=_commands(run, gated),
        provenance=_provenance(environments),
        incomplete=sentences.incomplete(run),
        not_compared=list(sentences.not_compared(findings.stopped)),
        noisy=sum(point.noisy for point in points),
        points=len(points),
        narrow=repetition.NARROW,
        hashes=sorted(
            {(r.dataset, r.dataset_sha256, r.train_images, r.validation_images, r.test_images) for r in run.trainings}
        ),
    )


def _commands(run: Run, gated: Sequence[Gate]) -> list[tuple[str | None, str]]:
    """The commands that gave the results, each with its commit, in the order in which they were first given."""
    given = sorted(run.environments, key=lambda environment: environment.started)
    found = [(environment.commit, environment.command) for environment in given]
    if run.plan and not found:
        found = [(None, run.plan.command)]
    return list(dict.fromkeys([*found, *((gate.head_commit, gate.command) for gate in gated)]))


def _provenance(environments: list[Environment]) -> list[tuple[int, Environment]]:
    """The environments that differ in more than start and process, each with how many records came from it."""
    found: dict[str, list[Environment]] = {}
    for environment in environments:
        found.setdefault(environment.model_dump_json(exclude={"started", "process"}), []).append(environment)
    return [(len(alike), alike[0]) for _, alike in sorted(found.items())]
