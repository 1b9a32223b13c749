"""Findings and records -> the tables of the page and of `tables/*.csv`, each column declared once."""

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from report import groups, sentences, words
from report.accuracy import Comparison, Study
from report.claims import Claim, Measured
from report.findings import Findings
from report.groups import Training, mean_of
from report.growth import Crossover, Curve, StepTime, Verdict
from report.parts import Cell, Column, Table, cell, table
from report.words import NOTHING, Form, Units
from results import frames, store
from results.gates import CaseVerdict, Gate
from results.growth import Growth
from results.metrics import METRICS, TOP1, Metric
from results.printable import cell as printable_cell
from results.stats import FEWEST_PROCESSES, Interval
from results.store import Run
from results.trials import TrainTrial

Row = TypeVar("Row")
Read = Callable[[Row], float | Interval | None]


def _milliseconds(key: str, head: str, read: Read[Row]) -> Column[Row]:
    return Column(key, head, read, words.significant, "ms", 1e3)


def _mebibytes(key: str, head: str, read: Read[Row], *csv: str) -> Column[Row]:
    return Column(key, head, read, words.significant, "MiB", 2.0**-20, csv=csv)


def _where(curve_of: Callable[[Row], Curve]) -> tuple[Column[Row], ...]:
    """What tells a curve from the others."""
    return (
        Column("scope", "scope", lambda row: curve_of(row).scope),
        Column("phase", "phase", lambda row: curve_of(row).phase),
        Column("variant", "variant", lambda row: curve_of(row).name),
    )


def tables(findings: Findings) -> dict[str, Table]:
    """Every table that the findings have rows for, by key."""
    curves = findings.curves
    points = [point for curve in curves for point in curve.points]
    times = [(curve, curve.growth) for curve in curves if curve.growth]
    memories = [(curve, curve.memory) for curve in curves if curve.memory]
    measured = [(claim, measured) for claim in findings.claims for measured in claim.measured]
    made = [
        table("tutorial-claims", "The tutorial's claims", CLAIMS_CAPTION, CLAIMS, measured, "claim"),
        *map(of_study, findings.studies),
        table("growth-claims", "Claims about growth", VERDICTS_CAPTION, VERDICTS, findings.verdicts, "claim"),
        table("crossovers", CROSSOVERS_LABEL, CROSSOVERS_CAPTION, CROSSOVERS, findings.crossovers, "shorter"),
        _laws("time-laws", "Growth of the step time", TIME_CAPTION, times, words.SECONDS),
        _laws("memory-laws", "Growth of the peak memory", MEMORY_CAPTION, memories, words.BYTES),
        table("slopes", SLOPES_LABEL, SLOPES_CAPTION, SLOPES, [curve for curve in curves if curve.multiply_adds]),
        table("cases", "Step time by case", CASES_CAPTION, CASES, points),
        *([_gate(findings.gate)] if findings.gate else []),
    ]
    return {made_table.key: made_table for made_table in made if made_table.rows}


CLAIMS_CAPTION = """What the Keras example claims, what its own two logs say, and what was measured in this run. An
accuracy is supported where its 95 % interval over at least three seeds lies within 2 percentage points of the claimed
one, contradicted where it lies wholly outside, and else inconclusive. Other images or other settings than the
tutorial's test nothing of it, except its two recipes, augmentation and weight decay; models with another attention are
left out. A number of parameters is counted exactly and supported where it rounds to the claimed one. The tutorial's
page trains EANet alone."""
CLAIMS: tuple[Column[tuple[Claim, Measured]], ...] = (
    Column("claim", "claim", lambda row: row[0].claim),
    Column("claimed", "claimed", lambda row: row[0].claimed),
    Column("log-2021", "2021 log", lambda row: row[0].log_2021, unbroken=True),
    Column("log-keras3", "Keras 3 log", lambda row: row[0].log_keras3, unbroken=True),
    Column("settings", "measured with", lambda row: row[1].settings),
    Column("measured", "measured here", lambda row: row[1].value),
    Column("hardware", "on", lambda row: row[1].hardware),
    Column("verdict", "verdict", lambda row: row[1].verdict),
)


def of_study(study: Study) -> Table:
    """A suite's trainings, a row each: seeds apart, all that they are compared with, and what they cost."""
    first = study.trainings[0]
    one_dataset = len({training.trial.dataset for training in study.trainings}) == 1
    one_length = len({training.epochs for training in study.trainings}) == 1
    processes = {len(training.seconds_by_process) for training in study.trainings}
    memory = any(training.bytes_by_process for training in study.trainings)
    unit, effects = words.UNITS[study.metric.unit], study.effects
    base = ", ".join(effects[0].base.settings) if effects else ""
    tested_steps = any(effect.step_p_value is not None for effect in effects)
    difference: tuple[Form, str] = unit.difference, unit.of_differences
    columns: tuple[tuple[bool, Column[Training]], ...] = (
        (True, Column("variant", "variant", lambda t: t.name, note=partial(_own, study))),
        *((True, Column(name, name, partial(_setting, name))) for name in study.plan.grid),
        (not one_dataset, Column("data", "data", lambda t: t.trial.dataset)),
        (not one_length, Column("epochs-trained", "epochs", lambda t: t.epochs, words.count)),
        (True, Column("seeds", "seeds", lambda t: len(t.records), words.count)),
        *((_says_something(study, metric), _metric(study, metric)) for metric in METRICS.values()),
        (
            bool(study.variants),
            Column("against-variant", f"against {study.base_title}", partial(_difference, study.variants), *difference),
        ),
        (bool(effects), Column("against-base", f"against {base}", partial(_difference, effects), *difference)),
        (True, Column("parameters", "parameters", lambda t: t.first.parameters, words.count)),
        (True, Column("multiply-adds", "multiply-adds", lambda t: t.first.multiply_adds, words.count)),
        (True, _milliseconds("step", "training step", lambda t: mean_of(t.seconds_by_process))),
        (tested_steps, Column("step-ratio", "step / base's", partial(_step_ratio, effects), words.two_places)),
        (memory, _mebibytes("memory", "peak memory", lambda t: mean_of(t.bytes_by_process))),
        (len(processes) > 1, Column("processes", "processes", lambda t: len(t.seconds_by_process), words.count)),
    )
    caption = " ".join(
        [
            "Mean over the seeds with its 95 % interval"
            + (f", on {first.trial.dataset}" if one_dataset else "")
            + (f", after {words.number_of(first.epochs, 'epoch')}" if one_length else "")
            + f". {_trained_on(study)}.",
            *([_tested(study)] if study.compared else []),
            f"Trained in batches of {first.trial.training.batch_size}.",
            "Multiply-adds are those of one image, forward.",
            _measured_in(study, processes, memory),
        ]
    )
    label = f"{study.title}: all variants"
    chosen = [column for is_told, column in columns if is_told]
    return table(f"table-{study.suite}", label, caption, chosen, study.trainings)


def _says_something(study: Study, metric: Metric) -> bool:
    """Whether it is a share of images of enough classes, or what the suite is judged by."""
    classes = max(training.trial.model.classes for training in study.trainings)
    return classes >= metric.least_classes if metric.images else metric is METRICS[study.plan.metric]


def _metric(study: Study, metric: Metric) -> Column[Training]:
    key, unit = metric.title.replace(" ", "-"), words.UNITS[metric.unit]
    head = metric.title if metric.images else study.metric.test_title
    note = (lambda training: training.at_chance) if metric is TOP1 else None
    return Column(key, head, lambda t: t.mean(metric), unit.value, metric.unit, unit.scale, note)


def _setting(name: str, training: Training) -> Cell:
    """A setting's value, which sorts as a number where it is one."""
    text = dict(training.grid).get(name, NOTHING)
    is_word, value, _ = words.sortable(text)
    return Cell(text) if is_word else Cell(text, value)


def _own(study: Study, training: Training) -> str:
    """What makes a variant of the suite's own."""
    own = study.plan.own.get(training.variant)
    return ", ".join(f"{name} {value}" for name, value in own.settings.items()) if own else ""


def _difference(comparisons: Iterable[Comparison], training: Training) -> Cell:
    """The training's differences from what it is compared with: mostly one."""
    ours = [comparison for comparison in comparisons if comparison.ours is training]
    if not ours:
        return Cell(NOTHING)
    unit = words.UNITS[ours[0].metric.unit]
    first, *others = [replace(cell(c.difference, unit.difference, unit.scale), note=_p(c)) for c in ours]
    more = [
        f"{comparison.base.name}: {', '.join(filter(None, (other.text, other.note)))}"
        for comparison, other in zip(ours[1:], others, strict=True)
    ]
    return replace(first, note="; ".join(filter(None, (first.note, *more))))


def _p(comparison: Comparison) -> str:
    if comparison.p_value is not None:
        return words.p_value(comparison.p_value)
    return sentences.IN_SHORT["chance"] if comparison.state == "chance" else ""


def _step_ratio(effects: Iterable[Comparison], training: Training) -> Cell:
    """How many times as long the training's step takes as that of the grid's base, and Welch's p, adjusted."""
    for comparison in effects:
        if comparison.ours is training and comparison.step_p_value is not None:
            note = words.p_value(comparison.step_p_value)
            return replace(cell(comparison.step_ratio, words.two_places), note=note)
    return Cell(NOTHING)


def _trained_on(study: Study) -> str:
    """The machines of the trainings, each with its seeds where there are several."""
    records = [record for training in study.trainings for record in training.records]
    machines = groups.machines(machine for training in study.trainings for machine in training.machines)
    if len(machines) == 1:
        return f"Trained on {groups.machine_name(machines[0])}"
    told = []
    for machine in machines:
        seeds = sorted({r.seed for r in records if groups.same_machine(r.environment, machine)})
        some = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}" if seeds else "in part"
        told.append(f"{groups.machine_name(machine)} ({some})")
    return f"Trained on {' and '.join(told)}; accuracy belongs to no machine, times and memory do"


def _tested(study: Study) -> str:
    """How the differences were tested, and for how many comparisons their p are adjusted."""
    how = f"Differences in {study.metric.test_title} are paired by seed, with Student's p"
    if study.family > 1:
        of = "the run's ablations" if study.is_ablation else "the two published attentions"
        how += f", adjusted by Holm's method for the {study.family} comparisons of {of}"
    if study.is_ablation and any(comparison.of_pair for comparison in study.compared):
        how += "; what a suite of the two published attentions alone compares too is adjusted there"
    return f"{how}."


def _measured_in(study: Study, processes: set[int], with_memory: bool) -> str:
    """In how many processes a row's step was measured: the same number for all rows, or a column of the table."""
    (same,) = processes if len(processes) == 1 else (None,)
    if same == 0:
        return "No training step was measured on one machine."
    what, is_ = ("Training step and peak memory", "are") if with_memory else ("Training step", "is")
    if same == 1:
        named = all(r.environment.process for training in study.trainings for r in training.records)
        said = f"{what} {is_} of {'one process a row' if named else 'records that do not name their processes'}."
    else:
        rows = "the processes that its column counts" if same is None else f"{words.processes(same)} a row"
        said = f"{what}: geometric mean over {rows}, with an interval from {FEWEST_PROCESSES} on."
    memory = " Memory is the allocator's own peak where it tells, else the growth of the process."
    return said + (memory if with_memory else "")


VERDICTS_CAPTION = """What is said to grow how, and what was measured. The quadratic part of the fitted value at the
largest N decides, by its 95 % interval. Linear growth, a bound from above, is supported below a quarter and
contradicted from there on; quadratic growth the other way round. An interval that includes a quarter is inconclusive,
and so is what may be N log N instead. Fewer than six sizes or three processes a size test nothing. The name is that of
the best model by AICc of a, a + bN, a + bN log N and a + bN + cN²; the last two bend by at least a quarter at the
largest N."""
VERDICTS: tuple[Column[Verdict], ...] = (
    Column("claim", "claim", sentences.claim),
    Column("verdict", "verdict", lambda verdict: verdict.verdict),
    Column("measured", "measured", sentences.measured),
)
CROSSOVERS_LABEL = "Above which size external attention is faster"
CROSSOVERS_CAPTION = (
    "Above how many patches the first variant's step is the faster one, interpolated between measured sizes. The "
    "interval ends where that of the ratio includes 1."
)


def _crossing(crossover: Crossover) -> Cell:
    """Its number, where it lies within the sizes; outside, where it is 0 or infinity, only the side is known."""
    patches = crossover.patches
    text = words.crossing(patches, crossover.smallest, crossover.largest)
    estimate, low, high = (n if n and math.isfinite(n) else None for n in (patches.estimate, patches.low, patches.high))
    return Cell(text, estimate, low, high)


CROSSOVERS: tuple[Column[Crossover], ...] = (
    Column("scope", "scope", lambda c: c.ours.scope),
    Column("phase", "phase", lambda c: c.ours.phase),
    Column("shorter", "faster", lambda c: c.ours.name),
    Column("than", "than", lambda c: c.base.name),
    Column("from", "above", _crossing, words.whole, "patches"),
    Column("ratio", "ratio at the largest N", lambda c: c.ratio, words.one_place),
    Column("largest", "largest N", lambda c: c.largest, words.count, "patches"),
)
TIME_CAPTION = """Step time: models fitted to every process, as the points are their geometric means, except processes
that something made far slower than the fastest of their size. Coefficients are at least 0, residuals relative. The
log-log slope is as measured: a constant, and a machine that works better on larger arrays, put it below the model's.
Its interval is Student's t with the spread pooled over all sizes; that of the quadratic part is by profile likelihood
and counts how far the sizes lie off from the model. What has no interval varies by less than its last digit."""
MEMORY_CAPTION = "Peak memory: the same models."
WEIGHED = ("linear", "N log N", "quadratic", "power")
Grown = tuple[Curve, Growth]


def _laws(key: str, label: str, caption: str, grown: Iterable[Grown], units: Units) -> Table:
    """How time or memory grows, a curve each."""
    columns: tuple[Column[Grown], ...] = (
        *_where(lambda row: row[0]),
        Column("batch", "batch", lambda row: row[0].trial.batch, words.count, "images"),
        Column("law", "fitted model", lambda row: words.law(row[1].law, units)),
        Column("exponent", "log-log slope, upper half", lambda row: row[1].exponent, words.two_places),
        Column("share", "quadratic part at the largest N", lambda row: row[1].quadratic_share, words.whole, "%", 100),
        Column("power", "k of a + bN^k", lambda row: row[1].named("power").terms[1][1], words.two_places),
        Column(
            "weights",
            f"weights: {', '.join(WEIGHED)}",
            lambda row: ", ".join(words.two_places(row[1].named(name).weight) for name in WEIGHED),
        ),
    )
    return table(key, label, caption, columns, grown)


def _multiply_adds(curve: Curve) -> str:
    return words.law(curve.multiply_adds, words.COUNTS) if curve.multiply_adds else ""


def _slopes(curve: Curve) -> str:
    steps = curve.growth.local_exponents if curve.growth else ()
    return "; ".join(f"{step.smaller:,}–{step.larger:,}: {words.plain(step.exponent)}" for step in steps)


SLOPES_LABEL = "Log-log slopes from size to size"
SLOPES_CAPTION = (
    "Multiply-adds of one image, forward, by a formula that is exact at every size; and the log-log slope of the "
    "step time between neighbouring sizes, about an octave apart."
)
SLOPES: tuple[Column[Curve], ...] = (
    *_where(lambda curve: curve),
    Column("multiply-adds", "multiply-adds", _multiply_adds),
    Column("slopes", "slope from size to size", _slopes),
)
CASES_CAPTION = """Geometric mean over the processes of each one's median step, with a 95 % interval from three
processes on: of the step by the moderated t, which draws a case's variance towards that of the others where it is like
them, of memory by Student's. A machine's pace drifts within a run; each process's step is divided by how much longer
than usual the 20 processes of other cases took that were measured nearest to it. Resident memory is the peak of the
process over its size before the step was built; the allocator's is the most that the backend handed out at once, where
it tells, also of what was never written; activations are the closed form. A step is noisy whose interval reaches
further than 10 % from it. A process was disturbed from whose processors other programs took more than 15 %, whose steps
spread far more than its peers' do, or that is more than 1.5 times as slow as the fastest while others agree with that
one; it is in the records, and in the mean only where fewer than three others are there."""


def _disturbed(point: StepTime) -> str:
    if point.case.left_out:
        return f"{point.case.left_out} disturbed left out"
    return f"{point.case.disturbed} of them disturbed" if point.case.disturbed else ""


CASES: tuple[Column[StepTime], ...] = (
    Column("scope", "scope", lambda point: point.first.scope, csv=("scope",)),
    Column("phase", "phase", lambda point: point.first.phase, csv=("phase",)),
    Column("variant", "variant", lambda point: point.name),
    Column("patches", "patches", lambda point: point.patches, words.count, csv=("patches",)),
    Column("batch", "batch", lambda point: point.first.batch, words.count, "images", csv=("batch",)),
    Column(
        "step", "step", lambda point: point.step_seconds, words.significant, "ms", 1e3,
        note=lambda point: "noisy" if point.noisy else "",
        csv=("step_seconds", "step_seconds_low", "step_seconds_high"),
    ),
    Column("processes", "processes", lambda p: p.step_seconds.n, words.count, note=_disturbed, csv=("processes",)),
    Column("multiply-adds", "multiply-adds", lambda point: point.first.multiply_adds, words.count, csv=("macs",)),
    _mebibytes("resident", "resident", lambda point: mean_of(point.resident_bytes), "peak_memory_bytes"),
    _mebibytes("allocator", "allocator", lambda point: mean_of(point.allocated_bytes), "allocated_memory_bytes"),
    _mebibytes("activations", "activations", lambda point: point.first.activation_bytes),
)  # fmt: skip
GATE: tuple[Column[CaseVerdict], ...] = (
    Column("case", "case", lambda case: case.case),
    _milliseconds("base", "base", lambda case: case.base_seconds),
    _milliseconds("here", "here", lambda case: case.head_seconds),
    Column("ratio", "ratio", lambda c: Interval(c.ratio, c.low, c.high, c.pairs), words.three_places),
    Column("p", "p", lambda case: case.p_value, lambda p: f"{p:.2g}"),
    Column("detectable", "could have seen", lambda case: case.detectable, words.one_place, "%", 100),
    Column("verdict", "verdict", lambda case: case.verdict),
)


def _gate(gate: Gate) -> Table:
    caption = (
        f"{gate.base} ({gate.base_commit[:7]}) against {(gate.head_commit or 'the working tree')[:7]}"
        f"{' with uncommitted changes' if gate.dirty else ''}: medians of fresh processes, by turns; p is one-sided, "
        "adjusted by Holm's method. A slowdown fails the gate where it is proven and at least "
        f'{gate.design.floor * 100:g} %; "could have seen" is the smallest one that this run would have found. '
        f"On {groups.processor(gate.machine)}."
    )
    label = "Step times of the base and of what is held against it"
    return table("gate-cases", label, caption, GATE, gate.verdict.cases, "case")


SCALING = ["scope", "variant", "phase", "patches", "batch", "step_seconds", "step_seconds_low", "step_seconds_high"]
SCALING += ["macs", "peak_memory_bytes", "status", "allocated_memory_bytes", "processes"]
"""The columns of `scaling.csv`, in their order; those that `CASES` has besides stand behind them."""


def scaling(run: Run, findings: Findings) -> pd.DataFrame:
    """One row a case, over its processes: no interval below three of them. A failed process has a row of its own.

    `peak_memory_bytes` is the resident size over the baseline, `allocated_memory_bytes` the allocator's own peak.
    """
    rows: list[dict[str, Any]] = []
    for point in (point for curve in findings.curves for point in curve.points):
        values = {name: value for column in CASES for name, value in column.values(point).items()}
        whole = {name: round(value) for name, value in values.items() if name.endswith("_bytes") and value}
        rows.append({"variant": point.label, "status": "done"} | values | whole)
    failed = [failure for failure in run.failures if failure.trial.kind == "steptime"]
    rows += frames.frame(frames.STEP_TIME, failed).to_dict("records")
    columns = dict.fromkeys([*SCALING, *(name for column in CASES for name in column.csv)])
    return frames.whole_numbers(pd.DataFrame(rows, columns=list(columns)))


def trainings(run: Run, suite: str, study: Study | None) -> pd.DataFrame:
    """One row a training of a suite, failed ones too, and a column for each setting of its grid.

    A variant that was run under several settings besides is named with what sets each apart.
    """
    tried = [*run.trainings, *(failure for failure in run.failures if failure.trial.kind == "train")]
    outcomes = [outcome for outcome in tried if suite in run.asked_by(outcome)]
    of_trial = {r.trial_id: training for training in (study.trainings if study else ()) for r in training.records}
    labels, grids = [], []
    for outcome in outcomes:
        training, trial = of_trial.get(outcome.trial_id), outcome.trial
        labels.append(training.label if training else trial.variant)
        grids.append(dict(training.grid if training else trial.grid if isinstance(trial, TrainTrial) else ()))
    frame = frames.frame([field for field in frames.TRAINING if field.in_tables], outcomes)
    frame = frame.assign(suite=suite, variant=labels)
    for setting in study.plan.grid if study else ():
        if setting not in frame:
            frame[setting] = [grid.get(setting) for grid in grids]
    return frame


def write(run: Run, findings: Findings) -> None:
    """Writes `tables/SUITE.csv` for each suite that trained, and `tables/scaling.csv`; none that would be empty.

    What a spreadsheet would take for a formula has a quote before it. Tables that were written before and that the
    records no longer give are removed.
    """
    folder = run.folder / "tables"
    studies = {study.suite: study for study in findings.studies}
    failed = [failure for failure in run.failures if failure.trial.kind == "train"]
    suites = sorted(studies.keys() | {suite for failure in failed for suite in run.asked_by(failure)})
    made = {suite: trainings(run, suite, studies.get(suite)) for suite in suites} | {"scaling": scaling(run, findings)}
    full = {name: frame for name, frame in made.items() if len(frame)}
    for name, frame in full.items():
        folder.mkdir(exist_ok=True)
        safe = frame.map(lambda value: printable_cell(value) if isinstance(value, str) else value)
        content = safe.rename(columns=printable_cell).to_csv(index=False)
        store.replace(folder / f"{name}.csv", content.encode())
    for path in folder.glob("*.csv"):
        if path.stem not in full and _is_ours(path):
            path.unlink()


LONGEST_ROW = 10_000


def _is_ours(path: Path) -> bool:
    """Whether `write` has written the file: its columns and the suite in its rows are those of its name."""
    try:
        with store.open_plain(path) as file:
            head, row = file.readline(LONGEST_ROW).decode(), file.readline(LONGEST_ROW).decode()
        suite = [value for values in csv.reader([row]) for value in values[:1]]
    except (OSError, ValueError, csv.Error, store.StoreError):
        return False
    of_suite = head.startswith("suite,variant,dataset,seed,") and suite == [printable_cell(path.stem)]
    return of_suite or (path.name == "scaling.csv" and head.startswith(",".join(SCALING[:5])))
