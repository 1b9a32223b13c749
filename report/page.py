"""Findings -> one self-contained HTML page: no script from elsewhere, no font, no image file, no request."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import accuracy_answers, gate, pareto, tables, words
from report.conditions import proper
from report.figures import figures
from report.findings import Findings, find
from report.render import render
from results import gates, published, store
from results.records import Environment
from results.store import Run, StoreError

UNITS = {"seconds": words.SECONDS, "bytes": words.BYTES, "counts": words.COUNTS}


@dataclass(frozen=True)
class Provenance:
    """One environment and how many of the run's records come from it."""

    records: int
    environment: Environment


def build(folder: Path) -> tuple[Path, Findings]:
    """Writes `report.html` and `tables/*.csv` into a run's folder. Raises `StoreError`, `OSError`."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder; give a run's folder, such as results/runs/quick")
    run = store.load(folder)
    of_gate = gates.read(folder)
    if not (run.trainings or run.step_times or run.failures or of_gate):
        raise StoreError(
            f"{folder} holds no readable record"
            + _broken_words(run)
            + "; run something first: python -m benchmarks.run --all"
        )
    findings = find(run, of_gate)
    if of_gate:
        store.replace(folder / "gate.md", gate.markdown(of_gate).encode())
    tables.write(run, findings)
    page = folder / "report.html"
    store.replace(page, page_text(run, findings).encode())
    return page, findings


def page_text(run: Run, findings: Findings) -> str:
    """The page as text; the same records give the same bytes."""
    filters: dict[str, Callable[..., Any]] = {
        "percent": words.percent,
        "points": words.points,
        "milliseconds": words.milliseconds,
        "count": words.count,
        "mebibytes": words.mebibytes,
        "plain": words.plain,
        "share": words.share,
        "p_value": words.p_value,
        "sentences": accuracy_answers.sentences,
        "cost_sentences": accuracy_answers.cost_sentences,
        "crossing": words.crossing,
        "law": lambda law, units: words.law(law, UNITS[units]),
        "proper": proper,
        "dict": dict,
        **gate.FILTERS,
    }
    before_growth = sum(study.suite not in _planned_after(run, "scaling") for study in findings.studies)
    environments = [r.environment for r in run.trainings] + [r.environment for r in run.step_times]
    return render(
        "page.html.j2",
        filters,
        run=run,
        findings=findings,
        first=findings.studies[:before_growth],
        others=findings.studies[before_growth:],
        figures=figures(findings),
        captions=CAPTIONS,
        costs=pareto.COSTS,
        source=published.SOURCE,
        datasets=sorted({record.dataset for record in run.trainings}),
        dates=sorted({environment.started[:10] for environment in environments}),
        machines=sorted({f"{e.cpu}, {e.threads} threads, device {e.device}" for e in environments}),
        provenance=_provenance(environments),
        skipped=[failure for failure in run.failures if failure.status == "skipped"],
        failed=[failure for failure in run.failures if failure.status != "skipped"],
        time_growths=[(curve, curve.growth) for curve in findings.curves if curve.growth],
        memory_growths=[(curve, curve.memory) for curve in findings.curves if curve.memory],
        memory_caption=_memory_caption(findings),
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
        "Each row is a difference from the base, paired by seed. Filled ones are claimed after Holm's adjustment for "
        "all differences of the suite, hollow ones are not; the interval is that of the one comparison alone."
    ),
    "learning": (
        "By epoch; thin lines are single seeds, and the thin grey one, where there is one, is the log that the "
        "tutorial prints. Training accuracy is taken while the weights change and with augmentation and dropout on, "
        "so it may lie below validation."
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


def _waiting(run: Run) -> list[Waiting]:
    suites = run.plan.suites if run.plan else {}
    return [
        Waiting(name, suites[name].question, tuple(missing), len(suites[name].trial_ids))
        for name, missing in run.missing.items()
    ]


def _planned_after(run: Run, suite: str) -> list[str]:
    """The suites that the plan has after this one."""
    names = list(run.plan.suites) if run.plan else []
    return names[names.index(suite) + 1 :] if suite in names else []


def _broken_words(run: Run) -> str:
    first = ", ".join([*run.broken][:3])
    more = ", …" if len(run.broken) > 3 else ""
    return f" ({len(run.broken)} broken: {first}{more})" if run.broken else ""


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
    """The environments that differ in more than their start time, each with how many records came from it."""
    found: dict[str, list[Environment]] = {}
    for environment in environments:
        found.setdefault(environment.model_dump_json(exclude={"started"}), []).append(environment)
    return [Provenance(len(group), group[0]) for _, group in sorted(found.items())]
