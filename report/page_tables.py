"""Findings -> the tables of the page, each with its numbers behind its words."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from report import conditions, words
from report.accuracy import Comparison, Study, Training, epochs
from report.accuracy_answers import IN_SHORT
from report.claims import Claim
from report.conditions import proper
from report.findings import Findings
from report.growth import Crossover, Curve, StepTime, Verdict
from report.roofline import Place
from report.table import NOTHING, Cell, Column, Table, interval, number
from results.gates import Gate
from results.growth import Growth
from results.metrics import METRICS, TOP1, Metric
from results.stats import FEWEST_PROCESSES

MEBIBYTE = 2.0**-20
MILLISECOND = 1e3


def tables(findings: Findings) -> dict[str, Table]:
    """Every table that the findings have rows for, by key."""
    made = [
        _claims(findings.claims),
        *(_study(study) for study in findings.studies),
        _verdicts(findings.verdicts),
        _crossovers(findings.crossovers),
        _laws("time-laws", "Growth of the step time", TIME_LAWS, _time_growths(findings.curves), words.SECONDS),
        _laws("memory-laws", "Growth of the peak memory", MEMORY_LAWS, _memory_growths(findings.curves), words.BYTES),
        _slopes(findings.curves),
        _roofline(findings.places),
        _cases([point for curve in findings.curves for point in curve.points]),
        *([_gate(findings.gate)] if findings.gate else []),
    ]
    return {table.key: table for table in made if table.rows}


CLAIMS = """What the Keras example claims, what its own two logs say, and what was measured in this run. An
accuracy is supported where its 95 % interval over at least three seeds lies within 2 percentage points of the claimed
one, contradicted where it lies wholly outside, and else inconclusive. Other images or other settings than the
tutorial's test nothing of it, except its two recipes, augmentation and weight decay; models with another attention are
left out. A number of parameters is counted exactly and supported where it rounds to the claimed one. The tutorial's
page trains EANet alone."""


def _claims(claims: Iterable[Claim]) -> Table:
    columns = (
        Column("claim", "claim"),
        Column("claimed", "claimed"),
        Column("log-2021", "2021 log", unbroken=True),
        Column("log-keras3", "Keras 3 log", unbroken=True),
        Column("settings", "measured with"),
        Column("measured", "measured here"),
        Column("hardware", "on"),
        Column("verdict", "verdict"),
    )
    rows = [
        _texts(c.claim, c.claimed, c.log_2021, c.log_keras3, m.settings, m.value, m.hardware, m.verdict)
        for c in claims
        for m in c.measured
    ]
    return Table("tutorial-claims", "The tutorial's claims", CLAIMS, columns, tuple(rows), "claim")


def _texts(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(text or NOTHING) for text in texts)


def _study(study: Study) -> Table:
    """A suite's trainings, a row each: seeds apart, all that they are compared with, and what they cost."""
    made: list[tuple[Column, Callable[[Training], Cell]]] = [
        (Column("variant", "variant"), lambda t: Cell(proper(t), note=_own(study, t))),
        *((Column(name, name), _setting(name)) for name in study.plan.grid),
    ]
    first, apart = study.trainings[0], words.UNITS[study.metric.unit].of_differences
    one_dataset = all(training.dataset == first.dataset for training in study.trainings)
    one_length = all(training.epochs == first.epochs for training in study.trainings)
    if not one_dataset:
        made.append((Column("data", "data"), lambda t: Cell(t.dataset)))
    if not one_length:
        made.append((Column("epochs-trained", "epochs", number=True), lambda t: number(t.epochs, words.count)))
    made += [
        (Column("seeds", "seeds", number=True), lambda t: number(len(t.records), words.count)),
        *(_measured_by(study, metric) for metric in METRICS.values() if _is_shown(study, metric)),
    ]
    if study.variants:
        column = Column("against-variant", f"against {study.base_title}", apart, True)
        made.append((column, lambda t: _differences(study, t, study.variants)))
    if study.effects:
        base = ", ".join(study.effects[0].base.settings)
        column = Column("against-base", f"against {base}", apart, True)
        made.append((column, lambda t: _differences(study, t, study.effects)))
    made += [
        (Column("parameters", "parameters", "", True), lambda t: number(t.records[0].parameters, words.count)),
        (Column("multiply-adds", "multiply-adds", "", True), lambda t: number(t.records[0].multiply_adds, words.count)),
        (
            Column("step", "training step", "ms", True),
            lambda t: interval(t.step_seconds, words.significant, MILLISECOND),
        ),
    ]
    if any(effect.step_p_value is not None for effect in study.effects):
        made.append((Column("step-ratio", "step / base's", "", True), lambda t: _step_ratio(study, t)))
    if any(training.bytes_by_process for training in study.trainings):
        column = Column("memory", "peak memory", "MiB", True)
        made.append((column, lambda t: interval(t.step_memory_bytes, words.significant, MEBIBYTE)))
    processes = {len(training.seconds_by_process) for training in study.trainings}
    if len(processes) > 1:
        column = Column("processes", "processes", "", True)
        made.append((column, lambda t: number(len(t.seconds_by_process), words.count)))
    caption = " ".join(
        [
            "Mean over the seeds with its 95 % interval"
            + (f", on {first.dataset}" if one_dataset else "")
            + (f", after {epochs(first)}" if one_length else "")
            + f". {_trained_on(study)}.",
            *([_tested(study)] if study.compared else []),
            *(
                [f"Trained in batches of {batch}."]
                if (batch := first.records[0].count("training", "batch_size"))
                else []
            ),
            "Multiply-adds are those of one image, forward.",
            _measured_in(
                processes,
                all(r.environment.process for training in study.trainings for r in training.records),
                any(training.bytes_by_process for training in study.trainings),
            ),
        ]
    )
    rows = tuple(tuple(cell(training) for _, cell in made) for training in study.trainings)
    columns = tuple(column for column, _ in made)
    return Table(f"table-{study.suite}", f"{study.title}: all variants", caption, columns, rows, "variant")


def _is_shown(study: Study, metric: Metric) -> bool:
    """Whether it says something of the suite: a share of images of so many classes, or what it is judged by."""
    classes = [training.records[0].count("model", "classes") for training in study.trainings]
    known = any(count is None or count >= metric.least_classes for count in classes)
    return known if metric.images else metric is METRICS[study.plan.metric]


def _measured_by(study: Study, metric: Metric) -> tuple[Column, Callable[[Training], Cell]]:
    unit = words.UNITS[metric.unit]
    head = metric.title if metric.images else study.metric.test_title
    column = Column(metric.title.replace(" ", "-"), head, metric.unit, True)

    def cell(training: Training) -> Cell:
        mean = interval(training.mean(metric), unit.value, unit.scale)
        return replace(mean, note=training.at_chance) if metric is TOP1 else mean

    return column, cell


def _trained_on(study: Study) -> str:
    """The machines of the trainings, each with its seeds where there are several."""
    records = [record for training in study.trainings for record in training.records]
    machines = conditions.machines(machine for training in study.trainings for machine in training.machines)
    if len(machines) == 1:
        return f"Trained on {conditions.machine_name(machines[0])}"
    told = []
    for machine in machines:
        seeds = sorted({r.seed for r in records if conditions.same_machine(r.environment, machine)})
        some = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}" if seeds else "in part"
        told.append(f"{conditions.machine_name(machine)} ({some})")
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


def _measured_in(processes: set[int], named: bool, with_memory: bool) -> str:
    """In how many processes a row's step was measured: the same number for all rows, or a column of the table."""
    (same,) = processes if len(processes) == 1 else (None,)
    if same == 0:
        return "No training step was measured on one machine."
    what, is_ = ("Training step and peak memory", "are") if with_memory else ("Training step", "is")
    if same == 1:
        said = f"{what} {is_} of {'one process a row' if named else 'records that do not name their processes'}."
    else:
        rows = "the processes that its column counts" if same is None else f"{words.processes(same)} a row"
        said = f"{what}: geometric mean over {rows}, with an interval from {FEWEST_PROCESSES} on."
    memory = (
        " Memory is the allocator's own peak where it tells, else the growth of the process." if with_memory else ""
    )
    return said + memory


def _setting(name: str) -> Callable[[Training], Cell]:
    return lambda training: _value(dict(training.cell).get(name, NOTHING))


def _value(text: str) -> Cell:
    """A setting's value, which sorts as a number where it is one."""
    is_word, value, _ = words.sortable(text)
    return Cell(text) if is_word else Cell(text, value)


def _own(study: Study, training: Training) -> str:
    """What makes a variant of the suite's own."""
    if training.variant not in study.plan.own:
        return ""
    return ", ".join(f"{name} {value}" for name, value in study.plan.own[training.variant].settings.items())


def _differences(study: Study, training: Training, comparisons: tuple[Comparison, ...]) -> Cell:
    """The training's differences from what it is compared with: mostly one."""
    ours = [comparison for comparison in comparisons if comparison.ours is training]
    if not ours:
        return Cell(NOTHING)
    unit = words.UNITS[study.metric.unit]
    first, *others = [interval(comparison.difference, unit.difference, unit.scale) for comparison in ours]
    p_values = [_p(comparison) for comparison in ours]
    more = [
        f"{proper(comparison.base)}: {', '.join(filter(None, (cell.text, p_value)))}"
        for comparison, cell, p_value in zip(ours[1:], others, p_values[1:], strict=True)
    ]
    return replace(first, note="; ".join(filter(None, (p_values[0], *more))))


def _p(comparison: Comparison) -> str:
    if comparison.p_value is not None:
        return words.p_value(comparison.p_value)
    return IN_SHORT["chance"] if comparison.state == "chance" else ""


def _step_ratio(study: Study, training: Training) -> Cell:
    """How many times as long the training's step takes as that of the grid's base, and Welch's p, adjusted."""
    for comparison in study.effects:
        if comparison.ours is training and comparison.step_p_value is not None:
            note = words.p_value(comparison.step_p_value)
            return replace(interval(comparison.step_ratio, words.two_places), note=note)
    return Cell(NOTHING)


VERDICTS = """What is said to grow how, and what was measured. The quadratic part of the fitted value at the largest N
decides, by its 95 % interval. Linear growth, a bound from above, is supported below a quarter and contradicted from
there on; quadratic growth the other way round. An interval that includes a quarter is inconclusive, and so is what may
be N log N instead. Fewer than six sizes or three processes a size test nothing. The name is that of the best model by
AICc of a, a + bN, a + bN log N and a + bN + cN²; the last two bend by at least a quarter at the largest N."""


def _verdicts(verdicts: Iterable[Verdict]) -> Table:
    columns = (Column("claim", "claim"), Column("verdict", "verdict"), Column("measured", "measured"))
    rows = tuple(_texts(verdict.claim, verdict.verdict, verdict.numbers) for verdict in verdicts)
    return Table("growth-claims", "Claims about growth", VERDICTS, columns, rows, "claim")


def _crossovers(crossovers: Iterable[Crossover]) -> Table:
    columns = (
        Column("scope", "scope"),
        Column("phase", "phase"),
        Column("shorter", "faster"),
        Column("than", "than"),
        Column("from", "above", "patches", True),
        Column("ratio", "ratio at the largest N", "", True),
        Column("largest", "largest N", "patches", True),
    )
    rows = tuple(
        (
            *_texts(c.ours.scope, c.ours.phase, proper(c.ours), proper(c.base)),
            _crossing(c),
            interval(c.ratio, words.one_place),
            number(c.largest, words.count),
        )
        for c in crossovers
    )
    caption = (
        "Above how many patches the first variant's step is the faster one, interpolated between measured sizes. The "
        "interval ends where that of the ratio includes 1."
    )
    return Table("crossovers", "Above which size external attention is faster", caption, columns, rows, "shorter")


def _crossing(crossover: Crossover) -> Cell:
    """Its number, where it lies within the sizes; outside only the side is known."""
    patches = crossover.patches
    text = words.crossing(patches, crossover.smallest, crossover.largest)
    return Cell(text, _within(patches.estimate), _within(patches.low), _within(patches.high))


def _within(patches: float | None) -> float | None:
    """A number of patches, where it is one: 0 and infinity only say on which side of the sizes it lies."""
    return patches if patches and math.isfinite(patches) else None


TIME_LAWS = """Step time: models fitted to every process, as the points are their geometric means, except processes that
something made far slower than the fastest of their size. Coefficients are at least 0, residuals relative. The log-log
slope is as measured: a constant, and a machine that works better on larger arrays, put it below the model's. Its
interval is Student's t with the spread pooled over all sizes; that of the quadratic part is by profile likelihood and
counts how far the sizes lie off from the model. What has no interval varies by less than its last digit."""
MEMORY_LAWS = "Peak memory: the same models."
Units = tuple[tuple[float, str], ...]


def _time_growths(curves: Iterable[Curve]) -> list[tuple[Curve, Growth]]:
    return [(curve, curve.growth) for curve in curves if curve.growth]


def _memory_growths(curves: Iterable[Curve]) -> list[tuple[Curve, Growth]]:
    return [(curve, curve.memory) for curve in curves if curve.memory]


WEIGHED = ("linear", "N log N", "quadratic", "power")


def _laws(key: str, label: str, caption: str, growths: list[tuple[Curve, Growth]], units: Units) -> Table:
    columns = (
        Column("scope", "scope"),
        Column("phase", "phase"),
        Column("variant", "variant"),
        Column("batch", "batch", "images", True),
        Column("law", "fitted model"),
        Column("exponent", "log-log slope, upper half", "", True),
        Column("share", "quadratic part at the largest N", "%", True),
        Column("power", "k of a + bN^k", "", True),
        Column("weights", "weights: linear, N log N, quadratic, power"),
    )
    rows = tuple(
        (
            *_texts(curve.scope, curve.phase, proper(curve)),
            number(curve.points[0].batch, words.count),
            Cell(words.law(growth.law, units)),
            interval(growth.exponent, words.two_places),
            interval(growth.quadratic_share, words.whole, 100),
            number(growth.named("power").terms[1][1], words.two_places),
            Cell(", ".join(words.two_places(growth.named(n).weight) for n in WEIGHED)),
        )
        for curve, growth in growths
    )
    return Table(key, label, caption, columns, rows, "variant")


def _slopes(curves: Iterable[Curve]) -> Table:
    columns = (
        Column("scope", "scope"),
        Column("phase", "phase"),
        Column("variant", "variant"),
        Column("multiply-adds", "multiply-adds"),
        Column("slopes", "slope from size to size"),
    )
    rows = []
    for curve in curves:
        if not curve.multiply_adds:
            continue
        steps = curve.growth.local_exponents if curve.growth else ()
        slopes = "; ".join(f"{s.smaller:,}–{s.larger:,}: {words.plain(s.exponent)}" for s in steps) or NOTHING
        law = words.law(curve.multiply_adds, words.COUNTS)
        rows.append(_texts(curve.scope, curve.phase, proper(curve), law, slopes))
    caption = (
        "Multiply-adds of one image, forward, by a formula that is exact at every size; and the log-log slope of the "
        "step time between neighbouring sizes, about an octave apart."
    )
    return Table("slopes", "Log-log slopes from size to size", caption, columns, tuple(rows), "variant")


CASES = """Geometric mean over the processes of each one's median step, with a 95 % interval from three processes on: of
the step by the moderated t, which draws a case's variance towards that of the others where it is like them, of memory
by Student's. Resident memory is the peak of the process over its size before the step was built; the allocator's is
the most that the backend handed out at once, where it tells, also of what was never written; activations are the closed
form. A step is noisy whose interval reaches further than 10 % from it. A process was disturbed from whose processors
other programs took more than 15 %, whose steps spread far more than its peers' do, or that is more than 1.5 times as
slow as the fastest while others agree with that one; it is in the records, and in the mean only where fewer than three
others are there."""


def _disturbed(point: StepTime) -> str:
    if point.left_out:
        return f"{point.left_out} disturbed left out"
    return f"{point.disturbed} of them disturbed" if point.disturbed else ""


def _cases(points: Iterable[StepTime]) -> Table:
    columns = (
        Column("scope", "scope"),
        Column("phase", "phase"),
        Column("variant", "variant"),
        Column("patches", "patches", "", True),
        Column("batch", "batch", "images", True),
        Column("step", "step", "ms", True),
        Column("processes", "processes", "", True),
        Column("multiply-adds", "multiply-adds", "", True),
        Column("resident", "resident", "MiB", True),
        Column("allocator", "allocator", "MiB", True),
        Column("activations", "activations", "MiB", True),
    )
    rows = tuple(
        (
            *_texts(point.scope, point.phase, proper(point)),
            number(point.patches, words.count),
            number(point.batch, words.count),
            replace(interval(point.step_seconds, words.significant, MILLISECOND), note="noisy" if point.noisy else ""),
            replace(
                number(point.step_seconds.n, words.count),
                note=_disturbed(point),
            ),
            number(point.multiply_adds, words.count),
            interval(point.resident_bytes, words.significant, MEBIBYTE),
            interval(point.allocated_bytes, words.significant, MEBIBYTE),
            number(point.activation_bytes, words.significant, MEBIBYTE),
        )
        for point in points
    )
    return Table("cases", "Step time by case", CASES, columns, rows, "variant")


ROOFLINE = """How near each step comes to what the machine gave at most in this run: {peaks}. The floor is how long the
step takes at that; its multiply-adds are the closed form (a training step's thrice the forward ones), its bytes what
its parts read and write at least, each value once. What is small lives in the caches and can beat memory. Products of
weights alone, which folded external attention has once a step, are left out: of few tokens it does somewhat more."""


def _roofline(places: Iterable[Place]) -> Table:
    columns = (
        Column("scope", "scope"),
        Column("phase", "phase"),
        Column("variant", "variant"),
        Column("patches", "patches", "", True),
        Column("step", "step", "ms", True),
        Column("floor", "floor", "ms", True),
        Column("share", "of the roof", "%", True),
        Column("limit", "limited by"),
        Column("intensity", "multiply-adds a byte", "", True),
        Column("rate", "multiply-adds a second", "billion", True),
    )
    rows = tuple(
        (
            *_texts(place.curve.scope, place.curve.phase, proper(place.curve)),
            number(place.point.patches, words.count),
            interval(place.point.step_seconds, words.significant, MILLISECOND),
            number(place.floor_seconds, words.significant, MILLISECOND),
            number(place.share, words.whole, 100),
            Cell(place.limit),
            number(place.intensity, words.significant),
            number(place.rate, words.significant, 1e-9),
        )
        for place in places
    )
    peaks = "; ".join(
        f"{words.significant(roof.multiply_adds_per_second / 1e9)} billion multiply-adds and "
        f"{words.significant(roof.bytes_per_second / 1e9)} GB a second"
        for roof in dict.fromkeys(place.roof for place in places)
    )
    return Table("roofline-cases", "Each case under the roof", ROOFLINE.format(peaks=peaks), columns, rows, "variant")


def _gate(gate: Gate) -> Table:
    columns = (
        Column("case", "case"),
        Column("base", "base", "ms", True),
        Column("here", "here", "ms", True),
        Column("ratio", "ratio", "", True),
        Column("p", "p", "", True),
        Column("detectable", "could have seen", "%", True),
        Column("verdict", "verdict"),
    )
    rows = tuple(
        (
            Cell(case.case),
            number(case.base_seconds, words.significant, MILLISECOND),
            number(case.head_seconds, words.significant, MILLISECOND),
            Cell(f"{case.ratio:.3f} [{case.low:.3f}, {case.high:.3f}]", case.ratio, case.low, case.high),
            number(case.p_value, lambda p: f"{p:.2g}"),
            number(case.detectable, words.one_place, 100),
            Cell(case.verdict),
        )
        for case in gate.verdict.cases
    )
    caption = (
        f"{gate.base} ({gate.base_commit[:7]}) against {(gate.head_commit or 'the working tree')[:7]}"
        f"{' with uncommitted changes' if gate.dirty else ''}: medians of fresh processes, by turns; p is one-sided, "
        "adjusted by Holm's method. A slowdown fails the gate where it is proven and at least "
        f'{gate.design.floor * 100:g} %; "could have seen" is the smallest one that this run would have found. '
        f"On {gate.machine.cpu}, {words.threads(gate.machine.threads)}."
    )
    return Table("gate-cases", "Step times of the base and of what is held against it", caption, columns, rows, "case")
