"""Findings -> one self-contained HTML page: no script from elsewhere, no font, no image file, no request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from report import accuracy_answers, gate, history, page_tables, pareto, tables, words
from report.embedded import embedded
from report.figures import figures
from report.findings import Findings, find
from report.history import Trend
from report.incomplete import incomplete
from report.render import render
from results import gates, published, repetition, store
from results.gates import Gate, GateError
from results.records import Environment
from results.store import Run, StoreError

HISTORY = "history.jsonl"
"""A history of timing gates, in a run's folder: the page shows it too."""


@dataclass(frozen=True)
class Provenance:
    """One environment and how many of the run's records come from it."""

    records: int
    environment: Environment


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
        of_gate = gates.read(folder)
    except GateError as error:
        of_gate, broken[gates.FILE] = None, str(error)
    kept, lines = gates.read_history_so_far(folder / HISTORY)
    run = replace(run, broken=broken | lines)
    if not (run.results or run.failures or of_gate or kept):
        raise StoreError(
            f"{folder} holds no readable record"
            + _broken_words(run)
            + "; run something first: python -m benchmarks.run --all"
        )
    findings = find(run, of_gate)
    page = folder / "report.html"
    store.replace(page, page_text(run, findings, history.trends(kept)).encode())
    if of_gate:
        store.replace(folder / "gate.md", gate.markdown(of_gate).encode())
    tables.write(run, findings)
    return page, findings


def page_text(run: Run, findings: Findings, trends: Sequence[Trend] = ()) -> str:
    """The page as text; the same records give the same bytes."""
    filters: dict[str, Callable[..., Any]] = {
        "percent": words.percent,
        "sentences": accuracy_answers.sentences,
        "cost_sentences": partial(accuracy_answers.cost_sentences, timed_elsewhere=bool(findings.curves)),
        **gate.FILTERS,
    }
    points = [point for curve in findings.curves for point in curve.points]
    environments, gated = run.environments, [findings.gate] if findings.gate else []
    return render(
        "page.html.j2",
        filters,
        run=run,
        findings=findings,
        published_studies=[study for study in findings.studies if not study.is_ablation],
        ablations=[study for study in findings.studies if study.is_ablation],
        figures=figures(findings),
        tables=page_tables.tables(findings),
        trends=trends,
        embedded=embedded(run),
        captions=CAPTIONS,
        source=published.SOURCE,
        datasets=sorted({record.dataset for record in run.trainings}),
        dates=sorted({environment.started[:10] for environment in environments} | {g.started[:10] for g in gated}),
        machines=sorted(
            {f"{e.cpu}, {words.threads(e.threads)}, device {e.device}" for e in environments}
            or {f"{g.machine.cpu}, {words.threads(g.machine.threads)}" for g in gated}
        ),
        commands=_commands(run, gated),
        provenance=_provenance(environments),
        incomplete=incomplete(run),
        memory_caption=_memory_caption(findings),
        noisy=sum(point.noisy for point in points),
        points=len(points),
        narrow=repetition.NARROW,
        missing={trial for trials in run.missing.values() for trial in trials},
        waiting=_waiting(run),
        interrupted=[record for record in run.trainings if record.interrupted_after],
        hashes=sorted(
            {(r.dataset, r.dataset_sha256, r.train_images, r.validation_images, r.test_images) for r in run.trainings}
        ),
    )


CAPTIONS = {
    "values": "Measured on the test images once, after the last epoch.",
    "differences": (
        "Each row is a difference from the base, paired by seed. Filled ones are significant after Holm's adjustment, "
        "hollow ones are not; the interval is that of the one comparison alone."
    ),
    "learning": (
        "By epoch; thin lines are single seeds, and the thin grey one, where there is one, is the log that the "
        "tutorial prints. Training accuracy is taken while the weights change and with augmentation and dropout on, "
        "so it may lie below validation. Losses hold the label smoothing of the training."
    ),
    **{
        cost: f"Against {name}, a mean with its 95 % interval from three seeds on."
        for cost, name in pareto.COSTS.items()
    },
}
"""What a suite's file can name to be drawn -> what stands below it."""


@dataclass(frozen=True)
class Waiting:
    """A suite that is not through: its trials that are missing, of how many."""

    suite: str
    question: str
    missing: tuple[str, ...]
    planned: int


def _commands(run: Run, gated: Sequence[Gate]) -> list[tuple[str | None, str]]:
    """The commands that gave the results, each with its commit, in the order in which they were first given."""
    given = sorted(run.environments, key=lambda environment: environment.started)
    found = [(environment.commit, environment.command) for environment in given]
    if run.plan and not found:
        found = [(None, run.plan.command)]
    return list(dict.fromkeys([*found, *((gate.head_commit, gate.command) for gate in gated)]))


def _waiting(run: Run) -> list[Waiting]:
    suites = run.plan.suites if run.plan else {}
    return [
        Waiting(name, suites[name].question, tuple(missing), len(suites[name].trial_ids))
        for name, missing in run.missing.items()
    ]


def _broken_words(run: Run) -> str:
    """The first file that cannot be read, and how many more there are."""
    for name, reason in run.broken.items():
        more = f", and {len(run.broken) - 1} more cannot" if len(run.broken) > 1 else ""
        return f" ({name} cannot be read: {reason}{more})"
    return ""


def _memory_caption(findings: Findings) -> str:
    told = any(point.allocated_bytes for curve in findings.curves for point in curve.points)
    source = (
        "the most that the backend's allocator handed out at once, weights included"
        if told
        else "the peak resident size over the process's own before the step was built"
    )
    return (
        f"Peak memory of a step against patches, log axes: {source}. Solid lines are the fitted laws; thin dashed "
        "lines are the closed form of the activations alone, not fitted to anything."
    )


def _provenance(environments: list[Environment]) -> list[Provenance]:
    """The environments that differ in more than start and process, each with how many records came from it."""
    found: dict[str, list[Environment]] = {}
    for environment in environments:
        found.setdefault(environment.model_dump_json(exclude={"started", "process"}), []).append(environment)
    return [Provenance(len(group), group[0]) for _, group in sorted(found.items())]
