"""Findings and records -> the tables of the page and of `tables/*.csv`, each column declared once."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

import pandas as pd

from report import classes, groups, sentences, words
from report.accuracy import Study
from report.classes import Part
from report.findings import Findings
from report.groups import PUBLISHED, Training, mean_of
from report.growth import Crossover, Curve, StepTime, Verdict
from report.parts import Cell, Column, Table, cell, table
from report.reproductions import Reproduction, logged
from report.tested import Comparison, Tested
from report.words import NOTHING, Form
from results import files, frames, published
from results.metrics import METRICS, TOP1, Metric
from results.printable import cell as printable_cell
from results.stats import Interval
from results.store import Run
from results.trials import TrainTrial

Row = TypeVar("Row")
Read = Callable[[Row], float | Interval | None]


def _milliseconds(key: str, head: str, read: Read[Row]) -> Column[Row]:
    return Column(key, head, read, words.significant, "ms", 1e3)


def _mebibytes(key: str, head: str, read: Read[Row], *csv: str) -> Column[Row]:
    return Column(key, head, read, words.significant, "MiB", 2.0**-20, csv=csv)


def tables(findings: Findings) -> dict[str, Table]:
    """Returns every table that the findings have rows for, by key."""
    of_the_two = [c for c in findings.crossovers if (c.ours.variant, c.base.variant) == PUBLISHED]
    others = [c for c in findings.crossovers if c not in of_the_two]
    made = [
        table("tutorial", REPRODUCTIONS_LABEL, REPRODUCTIONS_CAPTION, REPRODUCTIONS, findings.reproductions, "figure"),
        *map(of_study, findings.studies),
        *(made for study in findings.published for made in of_classes(findings.run, study)),
        table("crossovers", CROSSOVERS_LABEL, CROSSOVERS_CAPTION, CROSSOVERS, of_the_two, "faster"),
        table("other-crossovers", "The other variants' crossings", CROSSOVERS_CAPTION, CROSSOVERS, others, "faster"),
        table("growth-verdicts", "Growth of time and memory", GROWTH_CAPTION, GROWTH, findings.verdicts),
        table("cases", "Every case: step time and memory", CASES_CAPTION, CASES, findings.points),
    ]
    return {made_table.key: made_table for made_table in made if made_table.rows}


REPRODUCTIONS_LABEL = "The tutorial's accuracies, its own logs, and this run"
REPRODUCTIONS_CAPTION = """Supported: the 95 % interval over at least three seeds lies within 2 pp of the claimed
accuracy. Contradicted: it lies wholly outside. Trainings with other settings test nothing of the tutorial. Its page
trains EANet alone."""
REPRODUCTIONS: tuple[Column[Reproduction], ...] = (
    Column("figure", "figure", lambda r: f"{r.training.title}, {METRICS[r.published.figure].title}"),
    Column("verdict", "verdict", lambda r: r.verdict),
    Column("claimed", "claimed", lambda r: f"about {r.published.claimed * 100:.0f} %"),
    Column("here", "here", lambda r: words.value(METRICS[r.published.figure], r.mean), unbroken=True),
    Column("seeds", "seeds", lambda r: r.mean.n, words.count),
    Column("log-2021", "2021 log", lambda r: logged(r.published.log_2021), unbroken=True),
    Column("log-keras3", "Keras 3 log", lambda r: logged(r.published.log_keras3), unbroken=True),
    Column("recipe", "trained here with", lambda r: r.recipe),
)


def of_classes(run: Run, study: Study) -> list[Table]:
    """Returns the accuracy of each class, and the pairs that are confused most; none where no record tells."""
    told = classes.of_study(run, study)
    if told is None:
        return []
    name = Column[Part]("class", "class", lambda part: part.name)
    taken = Column[Part]("taken", "taken for", lambda part: part.taken_for)
    count = Column[Part]("images", "test images", lambda part: part.images, words.count)
    shares = [
        Column[Part](f"share-{place}", t.full_name, partial(_share, t.full_name), words.one_place, "%", 100)
        for place, t in enumerate(told[1])
    ]
    right, mistaken = list(classes.accuracies(*told)), list(classes.confusions(*told))
    suite = study.suite
    return [
        table(f"classes-{suite}", "Accuracy of each class", CLASSES_CAPTION, [name, count, *shares], right, "class"),
        table(f"confused-{suite}", "Confusions", CONFUSED_CAPTION, [name, taken, count, *shares], mistaken, "class"),
    ]


CLASSES_CAPTION = "Fraction of the class's test images that are right, over all seeds."
CONFUSED_CAPTION = (
    "Fraction of the class's test images that are taken for the other, over all seeds; the most frequent."
)


def _share(name: str, part: Part) -> float | None:
    return part.shares.get(name)


def of_study(study: Study) -> Table:
    """Returns a suite's trainings, a row each: what they are compared with, their accuracy, and what they cost."""
    effects = study.effects
    base = ", ".join(effects[0].base.settings) if effects else ""
    columns: tuple[tuple[bool, Column[Training]], ...] = (
        (True, Column("variant", "variant", lambda t: t.name, note=partial(_own, study))),
        *((True, Column(name, name, partial(_setting, name))) for name in study.plan.grid),
        *_compared(study, "against-variant", f"vs {study.base_title}", study.variants),
        *_compared(study, "against-base", f"vs {base}", effects),
        *_compared(study, "change", f"vs {study.base_title}, compared with {base}", study.interactions),
        (study.plan.tuned, Column("validation", "validation top-1", _validation, words.one_place, "%", 100)),
        *((_says_something(study, metric), _metric(study, metric)) for metric in METRICS.values()),
        (True, Column("seeds", "seeds", lambda t: len(t.records), words.count)),
        (True, Column("data", "data", lambda t: t.first.dataset)),
        (True, Column("epochs-trained", "epochs", lambda t: t.epochs, words.count)),
        (True, Column("parameters", "parameters", lambda t: t.first.parameters, words.count)),
        (True, Column("multiply-adds", "multiply-adds per image", lambda t: t.first.multiply_adds, words.count)),
        (True, _milliseconds("step", "training step", lambda t: mean_of(t.seconds_by_process))),
        (
            any(effect.step_p_value is not None for effect in effects),
            Column("step-ratio", "step / baseline's", partial(_step_ratio, effects), words.two_places),
        ),
        (True, _mebibytes("memory", "peak memory", lambda t: mean_of(t.bytes_by_process))),
        (True, Column("processes", "processes", lambda t: len(t.seconds_by_process), words.count)),
    )
    parts = ["Means over the seeds with 95 % intervals."]
    parts += filter(None, (sentences.how_tested(study), _trained_on(study), sentences.why_no_step(study.variants)))
    chosen = [column for is_there, column in columns if is_there]
    rows = (*study.tuned, *study.trainings)
    return table(f"table-{study.suite}", f"{study.title}: all trainings", " ".join(parts), chosen, rows)


def _compared(study: Study, key: str, head: str, tested: Sequence[Tested]) -> tuple[tuple[bool, Column[Training]], ...]:
    """The columns of such differences: what is judged, the same over the seeds alone, and what is detectable."""
    unit = words.UNITS[study.metric.unit]
    difference: tuple[Form, str] = unit.difference, unit.of_differences
    on_same = any(
        one.over_seeds != one.difference and one.p_value is not None and not one.of.trial.test_folds for one in tested
    )
    return (
        (bool(tested), Column(key, head, partial(_difference, tested), *difference)),
        (on_same, Column(f"{key}-seeds", "over seeds alone", partial(_over_seeds, tested), *difference)),
        (
            any(one.p_value is not None for one in tested),
            Column(
                f"{key}-detectable",
                "detectable",
                partial(_detectable, tested),
                unit.value,
                unit.of_differences,
                unit.scale,
                note=partial(_needed, tested),
            ),
        ),
    )


def _says_something(study: Study, metric: Metric) -> bool:
    """Whether it is a share of images of enough classes, or what the suite is judged by."""
    if not any(training.by_seed(metric) for training in study.trainings):
        return False
    classes = max(training.trial.model.classes for training in study.trainings)
    return classes >= metric.least_classes if metric.images else metric is METRICS[study.plan.metric]


def _metric(study: Study, metric: Metric) -> Column[Training]:
    key, unit = metric.title.replace(" ", "-"), words.UNITS[metric.unit]
    head = metric.title if metric.images else study.metric.test_title
    note = (lambda training: training.at_chance) if metric is TOP1 else None
    return Column(
        key, head, lambda t: t.mean(metric) if t.by_seed(metric) else None, unit.value, metric.unit, unit.scale, note
    )


def _validation(training: Training) -> float:
    """The mean validation accuracy after the last epoch."""
    return mean(record.epochs[-1].val_top1 for record in training.records)


def _setting(name: str, training: Training) -> Cell:
    """A setting's value, which sorts as a number where it is one; of a tuned variant all that its seeds chose."""
    values = Counter(dict(record.trial.grid).get(name) for record in training.records)
    if not training.grid and None not in values:
        return Cell(", ".join(f"{words.setting(value)} ({count})" for value, count in sorted(values.items())))
    text = dict(training.grid).get(name, NOTHING)
    is_word, value, _ = words.sortable(text)
    return Cell(text) if is_word else Cell(text, value)


def _own(study: Study, training: Training) -> str:
    """What makes a variant of the suite's own."""
    own = study.plan.own.get(training.variant)
    return ", ".join(f"{name} {value}" for name, value in own.settings.items()) if own else ""


def _of(tested: Iterable[Tested], training: Training) -> list[Tested]:
    """What is tested of a training: mostly one difference."""
    return [one for one in tested if one.of is training]


def _difference(tested: Iterable[Tested], training: Training) -> Cell:
    """The training's differences from what it is compared with."""
    found = _of(tested, training)
    if not found:
        return Cell(NOTHING)
    unit = words.UNITS[found[0].metric.unit]
    first, *others = [replace(cell(one.shown, unit.difference, unit.scale), note=_p(one)) for one in found]
    more = [
        f"{one.than}: {', '.join(filter(None, (other.text, other.note)))}"
        for one, other in zip(found[1:], others, strict=True)
    ]
    return replace(first, note="; ".join(filter(None, (first.note, *more))))


def _p(tested: Tested) -> str:
    """The adjusted p, and what it says; what keeps a difference from being tested."""
    verdict = tested.verdict
    return verdict if tested.p_value is None else f"{words.p_value(tested.p_value)}, {verdict}"


def _over_seeds(tested: Iterable[Tested], training: Training) -> Cell:
    """The first difference's interval over the seeds alone, without the estimate that stands beside it."""
    found = [one for one in _of(tested, training) if one.p_value is not None]
    if not found:
        return Cell(NOTHING)
    unit = words.UNITS[found[0].metric.unit]
    made = cell(found[0].over_seeds.interval, unit.difference, unit.scale)
    return replace(made, text=made.text.partition(" ")[2] or made.text)


def _detectable(tested: Iterable[Tested], training: Training) -> float | None:
    return next((one.detectable for one in _of(tested, training)), None)


def _needed(tested: Iterable[Tested], training: Training) -> str:
    return next((one.needed for one in _of(tested, training)), "")


def _step_ratio(effects: Iterable[Comparison], training: Training) -> Cell:
    """How many times as long the training's step takes as that of the grid's base, and Welch's p, adjusted."""
    for comparison in effects:
        if comparison.ours is training and comparison.step_p_value is not None:
            note = words.p_value(comparison.step_p_value)
            return replace(cell(comparison.step_ratio, words.two_places), note=note)
    return Cell(NOTHING)


def _trained_on(study: Study) -> str:
    """The machines of the trainings with the seeds of each; nothing where it is one."""
    records = [record for training in study.trainings for record in training.records]
    machines = groups.machines(machine for training in study.trainings for machine in training.machines)
    if len(machines) == 1:
        return ""
    parts = []
    for machine in machines:
        seeds = sorted({r.seed for r in records if groups.same_machine(r.environment, machine)})
        some = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}" if seeds else "in part"
        parts.append(f"{groups.machine_name(machine)} ({some})")
    return f"Trained on {' and '.join(parts)}; accuracy belongs to no machine, times and memory do."


def _step(curve: Curve) -> str:
    return f"{sentences.SCOPES[curve.scope]}, {sentences.PHASES[curve.phase]}"


CROSSOVERS_LABEL = "Which attention is faster, and above which number of patches"
CROSSOVERS_CAPTION = (
    "The crossing is interpolated between measured sizes; its interval ends where the ratio's includes 1."
)


def _crossing(crossover: Crossover) -> Cell:
    """Its number, where it lies within the sizes; outside, where it is 0 or infinity, only the side is known."""
    patches = crossover.patches
    text = words.crossing(patches, crossover.smallest, crossover.largest)
    estimate, low, high = (n if n and math.isfinite(n) else None for n in (patches.estimate, patches.low, patches.high))
    return Cell(text, estimate, low, high)


CROSSOVERS: tuple[Column[Crossover], ...] = (
    Column("faster", "faster", lambda c: c.ours.name),
    Column("than", "than", lambda c: c.base.name),
    Column("step", "step", lambda c: _step(c.ours)),
    Column("above", "above N", _crossing, words.whole),
    Column(
        "ratio-published", f"times as fast at N = {published.PATCHES}", lambda c: c.published_ratio, words.one_place
    ),
    Column("ratio", "times as fast at the largest N", lambda c: c.ratio, words.one_place),
    Column("largest", "largest N", lambda c: c.largest, words.count),
)
GROWTH_CAPTION = """The part of the fitted value that is quadratic at the largest N decides. "At most linear" and "at
most N log N" are supported where its 95 % interval lies below a quarter, "quadratic" where it lies above; the first and
the last only where growth as N log N is excluded. The fitted model is the best by AICc of a, a + bN, a + bN log N and
a + bN + cN², fitted to every process. The log-log slope is of the upper half of the sizes, as measured."""
CLAIMED = {"linear": "at most linear", "N log N": "at most N log N", "quadratic": "quadratic", None: NOTHING}


def _law(verdict: Verdict) -> str:
    units = words.SECONDS if verdict.what == "time" else words.BYTES
    return words.law(verdict.growth.law, units) if verdict.growth else ""


GROWTH: tuple[Column[Verdict], ...] = (
    Column("variant", "variant", lambda v: v.curve.name),
    Column("step", "step", lambda v: _step(v.curve)),
    Column("what", "of", lambda v: v.what),
    Column("verdict", "verdict", lambda v: v.verdict, note=sentences.remark),
    Column("claim", "claimed", lambda v: CLAIMED[v.claim]),
    Column("exponent", "log-log slope", lambda v: v.growth.slope if v.growth else None, words.two_places),
    Column("share", "quadratic part", lambda v: v.growth.quadratic_share if v.growth else None, words.whole, "%", 100),
    Column("law", "fitted model", _law, note=lambda v: v.growth.law.name if v.growth else ""),
)
CASES_CAPTION = """Geometric mean over the processes of each one's median step, with a 95 % interval from three
processes on. Noisy: the interval reaches further than 10 % from it. Disturbed: other programs took more than 15 % of
the processors, the steps spread far more than those of its peers, or it is far slower than the fastest. Resident memory
is the peak of the process over its size before the model was built; the allocator's is the most that the backend handed
out at once; activations are the closed form."""


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
SCALING = ["scope", "variant", "phase", "patches", "batch", "step_seconds", "step_seconds_low", "step_seconds_high"]
SCALING += ["macs", "peak_memory_bytes", "status", "allocated_memory_bytes", "processes", "suite"]
"""The columns of `scaling.csv`, in their order; those that `CASES` has besides stand behind them."""


def scaling(run: Run, findings: Findings) -> pd.DataFrame:
    """Returns a row per case, over its processes: no interval below three. A failed process has its own row.

    `peak_memory_bytes` is the resident size over the baseline, `allocated_memory_bytes` the allocator's own peak.
    """
    rows: list[dict[str, Any]] = []
    for point in (point for curve in findings.curves for point in curve.points):
        values = {name: value for column in CASES for name, value in column.values(point).items()}
        whole = {name: round(value) for name, value in values.items() if name.endswith("_bytes") and value}
        rows.append({"suite": point.suite, "variant": point.label, "status": "done"} | values | whole)
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
        files.replace(folder / f"{name}.csv", content.encode())
    for path in folder.glob("*.csv"):
        if path.stem not in full and _is_ours(path):
            path.unlink()


LONGEST_ROW = 10_000


def _is_ours(path: Path) -> bool:
    """Whether `write` has written the file: its columns and the suite in its rows are those of its name."""
    try:
        with files.open_plain(path) as file:
            head, row = file.readline(LONGEST_ROW).decode(), file.readline(LONGEST_ROW).decode()
        suite = [value for values in csv.reader([row]) for value in values[:1]]
    except (OSError, ValueError, csv.Error, files.StoreError):
        return False
    of_suite = head.startswith("suite,variant,dataset,seed,") and suite == [printable_cell(path.stem)]
    return of_suite or (path.name == "scaling.csv" and head.startswith(",".join(SCALING[:5])))
