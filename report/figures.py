"""Findings -> figures: each is declared in one place, with its key, title, numbers in words, caption and painter."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from report import plot, words
from report.accuracy import Study
from report.findings import Findings
from report.groups import BASE, OURS, Training
from report.growth import Crossover, Curve, StepTime
from report.parts import Figure
from report.plot import INK, canvas_of, drawn, labels_of, style_of
from report.race import COSTS, Race, have_cost
from report.sentences import IN_SHORT, against
from results import published
from results.metrics import TOP1, Metric
from results.stats import Interval


def figures(findings: Findings) -> dict[str, Figure]:
    """Every figure that the findings have data for, by name."""
    made = [DRAW[what](study) for study in findings.studies for what in study.plan.draw]
    made += [growth(findings), memory(findings)] if findings.curves else []
    made += [front(findings.race, cost) for cost in findings.race.costs] if findings.race else []
    return {figure.name: figure for figure in made if figure}


def values(study: Study) -> Figure:
    """The metric of every seed and its mean with the interval."""
    metric, scale, labels = study.metric, words.UNITS[study.metric.unit].scale, labels_of(study.trainings)
    rows = [training.full_name for label in labels for training in study.trainings if training.name == label]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        seeds = [(t.full_name, metric.read(record) * scale) for t in study.trainings for record in t.records]
        frame = pd.DataFrame(seeds, columns=["training", "value"])
        palette = {t.full_name: style_of(t.name, labels)[0] for t in study.trainings}
        names = {"data": frame, "x": "value", "y": "training", "hue": "training", "order": rows, "palette": palette}
        sns.stripplot(**names, alpha=0.5, jitter=False, legend=False, ax=ax)
        for training in study.trainings:
            row, mean = rows.index(training.full_name) + 0.22, training.mean(metric)
            plot.whisker(ax, mean, row, scale, style_of(training.name, labels), filled=mean.low is not None)
        ax.set_ylim(len(rows) - 0.4, -0.5)
        ax.set(xlabel=f"{_axis(study.metric)}, one faint dot a seed; below, the mean with its 95 % interval", ylabel="")

    return drawn(
        f"{study.suite}-values",
        f"{words.sentence(study.metric.test_title)}: {_seen(study)}",
        "; ".join(
            f"{t.full_name}: mean {study.metric.test_title} {study.mean(t)}, n = {len(t.records)}"
            for t in study.trainings
        ),
        "Measured on the test images once, after the last epoch.",
        canvas_of(1, 9, 0.9 + 0.6 * len(rows), paint),
    )


def _axis(metric: Metric) -> str:
    return f"{metric.test_title} ({metric.unit})" if metric.unit else metric.test_title


def _seen(study: Study) -> str:
    """What the suite's differences come to, in a few words; of a suite without any, its highest and lowest mean."""
    tested = [comparison for comparison in study.compared if comparison.p_value is not None]
    if len(study.compared) == 1:
        (one,) = study.compared
        return f"{against(one)} {words.difference(study.metric, one.difference)}, {IN_SHORT[one.state]}"
    if tested:
        significant = [comparison for comparison in tested if comparison.is_significant]
        largest = max(significant, key=lambda c: abs(c.difference.estimate), default=None)
        which = (
            f", the largest {against(largest)} {words.difference(study.metric, largest.difference)}" if largest else ""
        )
        return f"{len(significant)} of {len(tested)} differences significant{which}"
    low, high = (end(study.trainings, key=lambda t: t.mean(study.metric).estimate) for end in (min, max))
    if len(study.trainings) == 1:
        return f"{low.full_name} {study.mean(low)}"
    return f"from {study.mean(low)} ({low.full_name}) to {study.mean(high)} ({high.full_name}), nothing tested"


def differences(study: Study) -> Figure | None:
    """What is compared with a base, a row each: the difference with its interval, filled where it is significant."""
    unit, labels, compared = words.UNITS[study.metric.unit], labels_of(study.trainings), study.compared
    if not compared:
        return None

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        ax.axvline(0, color=INK, linewidth=0.8)
        for row, comparison in enumerate(compared):
            difference = comparison.difference
            if comparison.p_value is None:  # too few seeds for an interval that could be believed
                difference = Interval(difference.estimate, None, None, difference.n)
            style = style_of(comparison.ours.name, labels)
            plot.whisker(ax, difference, row, unit.scale, style, filled=comparison.is_significant)
        ax.set_yticks(range(len(compared)), [against(comparison) for comparison in compared])
        ax.set_ylim(len(compared) - 0.4, -0.6)
        what = f"{study.metric.test_title} ({unit.of_differences})" if unit.of_differences else study.metric.test_title
        ax.set(xlabel=f"difference in {what} with its own 95 % interval; filled: significant, hollow: not")

    return drawn(
        f"{study.suite}-differences",
        f"Differences in {study.metric.test_title}: {_seen(study)}",
        "; ".join(
            f"{against(c)}: {words.difference(study.metric, c.difference)}, n = {c.difference.n}, {IN_SHORT[c.state]}"
            for c in compared
        ),
        "Each row is a difference from the base, paired by seed. Filled ones are significant after Holm's adjustment, "
        "hollow ones are not; the interval is that of the one comparison alone.",
        canvas_of(1, 9, 0.9 + 0.42 * len(compared), paint),
    )


CURVES = (
    ("top1", "training", "top-1 (%)", 100),
    ("val_top1", "validation", "top-1 (%)", 100),
    ("val_loss", "validation", "loss", 1),
)
"""Figure of an epoch, the part of the data that it is of, its axis, and its scale: a column each."""
LINES = ("-", "--", "-.", ":", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (1, 3)), (0, (3, 3)))


def learning(study: Study) -> Figure:
    """Learning curves: a thin line a seed, a thick one for their mean. With a grid each variant has a row of its own,
    and a cell of the grid its line style. EANet on CIFAR-100 has the tutorial's printed log behind it."""
    labels = labels_of(study.trainings)
    grids = sorted({training.grid for training in study.trainings})
    rows = [[label] for label in labels] if len(grids) > 1 else [labels]
    panels = [(row, *curve) for row in rows for curve in CURVES]

    def paint(axes: list[Axes]) -> None:
        for ax, (row, figure, part, unit, scale) in zip(axes, panels, strict=True):
            shown = [training for training in study.trainings if training.name in row]
            for training in shown:
                color, marker = style_of(training.name, labels)
                style: dict[str, Any] = {"color": color, "linestyle": LINES[grids.index(training.grid) % len(LINES)]}
                curves = [[getattr(epoch, figure) * scale for epoch in record.epochs] for record in training.records]
                if len(curves) > 1:
                    seeds = [list(enumerate(curve, start=1)) for curve in curves]
                    ax.add_collection(LineCollection(seeds, **style, alpha=0.25, linewidth=0.8))
                shortest = min(map(len, curves))
                mean = np.mean([curve[:shortest] for curve in curves], axis=0)
                style |= {"marker": marker, "markevery": max(1, shortest // 8), "markersize": 4}
                name = training.full_name if len(rows) == 1 else ", ".join(training.settings)
                ax.plot(range(1, shortest + 1), mean, **style, label=name)
            _tutorial_log(ax, shown, figure, scale)
            of = f"{row[0]}, " if len(rows) > 1 else ""
            loss = f"{unit}{study.smoothing}" if unit == "loss" else unit
            ax.set(title=f"{of}{part}", xlabel="epoch", ylabel=loss)
            plot.counts(ax)
        for unit in {unit for *_, unit, _ in panels}:
            alike = [ax for ax, panel in zip(axes, panels, strict=True) if panel[3] == unit]
            limits = [limit for ax in alike for limit in ax.get_ylim()]
            for ax in alike:
                ax.set_ylim(min(limits), max(limits))
        for ax in axes[:: len(CURVES)]:
            ax.legend(fontsize=8)

    return drawn(
        f"{study.suite}-learning",
        f"Learning curves: {_ends(study)}",
        "; ".join(
            f"{t.full_name} ends at {_end(t, 'top1')} top-1 in training and {_end(t, 'val_top1')} in validation"
            for t in study.trainings
        ),
        "By epoch; thin lines are single seeds, and the thin grey one, where there is one, is the log that the "
        "tutorial prints. Training accuracy is taken while the weights change and with augmentation and dropout on, "
        "so it may lie below validation. Losses hold the label smoothing of the training.",
        canvas_of(len(panels), 11, 3.2, paint, columns=len(CURVES)),
    )


def _ends(study: Study) -> str:
    """Where the mean curves of validation end: the lowest and the highest."""
    low, high = (end(study.trainings, key=lambda t: _last(t, "val_top1")) for end in (min, max))
    lowest, highest = (_end(training, "val_top1") for training in (low, high))
    if lowest == highest:
        return f"{'all end' if len(study.trainings) > 1 else f'{high.full_name} ends'} at {highest} validation top-1"
    return f"validation top-1 ends between {lowest} ({low.full_name}) and {highest} ({high.full_name})"


def _last(training: Training, figure: str) -> float:
    """Mean over the seeds of a figure of the last epoch."""
    return float(np.mean([getattr(record.epochs[-1], figure) for record in training.records]))


def _end(training: Training, figure: str) -> str:
    return f"{words.one_place(_last(training, figure) * 100)} %"


def _tutorial_log(ax: Axes, shown: Iterable[Training], figure: str, scale: float) -> None:
    """The Keras 3 log as the tutorial prints it, as far as was trained here: a thin line behind the measured ones."""
    alike = [t.epochs for t in shown if (t.variant, t.trial.dataset) == (OURS, published.SETTINGS["dataset"])]
    if alike:
        log = published.keras3_log()[: max(alike)]
        values = [getattr(epoch, figure) * scale for epoch in log]
        label = "EANet in the tutorial's log"
        ax.plot([epoch.epoch for epoch in log], values, color=INK, linewidth=0.8, alpha=0.6, zorder=1, label=label)


def against_cost(study: Study, key: str) -> Figure | None:
    """The metric against what a model costs; None where that is the same for all or cannot be compared.

    A line is a variant along the grid's first setting, with the other settings fixed.
    """
    metric, scale, cost = study.metric, words.UNITS[study.metric.unit].scale, COSTS[key]
    if not have_cost(study.trainings, key) or len(set(map(cost.read, study.trainings))) < 2:
        return None
    lines: dict[str, list[Training]] = defaultdict(list)
    for training in sorted(study.trainings, key=cost.read):
        lines[", ".join([training.name, *training.settings[1:]])].append(training)
    variants = labels_of(study.trainings)
    labels = variants if lines.keys() == set(variants) else list(lines)

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        for label in labels:
            color, marker = style_of(label, labels)
            x, means = [cost.at(t) for t in lines[label]], [training.mean(metric) for training in lines[label]]
            y = [mean.estimate * scale for mean in means]
            ax.plot(x, y, color=color, marker=marker, linewidth=0.8, label=label)
            for training, at, mean in zip(lines[label], x, means, strict=True):
                plot.bar(ax, at, mean, scale, color=color, linewidth=1.5)
                place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
                ax.annotate(", ".join(training.settings[:1]), (at, mean.estimate * scale), (5, 4), **place)
        ax.set(xlabel=cost.axis, ylabel=_axis(study.metric), xscale="log")
        plot.few_numbers(ax)
        ax.legend(fontsize=8)

    cheapest = min(study.trainings, key=cost.read)
    best = max(study.trainings, key=lambda t: metric.gain(t.mean(metric).estimate))
    times = cost.read(best) / cost.read(cheapest)
    costs = "is also the cheapest" if best is cheapest else f"costs {times:.2g} times the cheapest"
    what = f"{words.sentence(study.metric.test_title)} against {cost.name}"
    return drawn(
        f"{study.suite}-{key}",
        f"{what}: by its mean the best, {best.full_name}, {costs}",
        "; ".join(f"{t.full_name}: {study.mean(t)} at {cost.written(t)}" for t in study.trainings),
        f"Against {cost.name}, a mean with its 95 % interval from three seeds on.",
        canvas_of(1, 9, 3.8, paint),
    )


DRAW: dict[str, Callable[[Study], Figure | None]] = {
    "values": values,
    "differences": differences,
    "learning": learning,
    **{cost: partial(against_cost, key=cost) for cost in COSTS},
}
"""What a suite's file can name to be drawn."""


def front(race: Race, key: str) -> Figure:
    """Mean top-1 against a cost for all models trained alike; those that no other beats in both are numbered."""
    cost, labels, best = COSTS[key], labels_of(race.models), race.front(key)
    ordered = best + [model for model in race.models if not any(model is other for other in best)]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        corners = [(cost.at(model), model.mean(TOP1).estimate * 100) for model in best]
        ax.plot(*zip(*corners, strict=True), color=INK, drawstyle="steps-post", linewidth=0.8, alpha=0.6)
        for model in race.models:
            x, mean, (color, marker) = cost.at(model), model.mean(TOP1), style_of(model.name, labels)
            ax.plot([x], [mean.estimate * 100], color=color, marker=marker, linestyle="none", label=model.name)
            plot.bar(ax, x, mean, 100, color=color, linewidth=1, alpha=0.6)
        for number, corner in enumerate(corners, start=1):
            ax.annotate(str(number), corner, (5, 4), textcoords="offset points", fontweight="bold")
        ax.set(xlabel=cost.axis, ylabel=_axis(TOP1), xscale="log")
        plot.few_numbers(ax)
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        ax.legend([handles[label] for label in labels], labels, fontsize=8)

    return drawn(
        f"pareto-{key}",
        f"{len(best)} of {len(race.models)} models are undominated in {cost.name} and mean top-1",
        "; ".join(
            f"{model.full_name}: {words.value(TOP1, model.mean(TOP1))} at {cost.written(model)}" for model in ordered
        ),
        f"Test top-1 against {cost.name}; bars are 95 % intervals of the mean.",
        canvas_of(1, 9, 4.4, paint),
    )


PANELS = {
    ("core", "train"): "attention alone, forward + backward",
    ("core", "infer"): "attention alone, forward",
    ("model", "train"): "whole model, training step",
    ("model", "infer"): "whole model, inference",
}
THIN: dict[str, Any] = {"linewidth": 0.7, "linestyle": "--", "alpha": 0.8}


def growth(findings: Findings) -> Figure:
    """Step time against patches: points with bands, the fitted model, multiply-adds as a thin line, the crossover."""
    of_the_tutorial = [c for c in findings.crossovers if (c.ours.variant, c.base.variant) == (OURS, BASE)]

    def paint(ax: Axes, curve: Curve, style: tuple[str, str]) -> None:
        plot.band(ax, curve.sizes, [point.step_seconds for point in curve.points], 1e3, style, curve.name)
        plot.law(ax, curve.sizes, curve.growth, 1e3, words.SECONDS, style[0])
        if curve.multiply_adds:
            predicted, last = curve.multiply_adds, curve.points[-1]
            rate = last.step_seconds.estimate / predicted.at(last.patches)
            ax.plot(curve.sizes, [predicted.at(n) * rate * 1e3 for n in curve.sizes], **THIN, color=style[0])

    ratios = [
        f"{PANELS[c.ours.scope, 'train']}, {words.times(c.ratio)} times at N = {c.largest:,}"
        for c in of_the_tutorial
        if c.ours.phase == "train"
    ]
    return _of_curves(
        "growth",
        "Step time against the number of patches"
        + (f": ViT's step takes, of EANet's, {'; '.join(ratios)}" if ratios else ""),
        "Step time against patches, log axes: bands are 95 % intervals over the processes, solid lines the fitted "
        "models, written at their right ends. Thin dashed lines are the closed-form multiply-adds at each curve's own "
        "rate at its largest N. A dotted line, where their curves cross, marks above which size EANet's step is faster "
        "than ViT's, with its interval.",
        findings.curves,
        unit="step time (ms)",
        paint_curve=paint,
        ends=lambda point: f"{words.milliseconds(point.step_seconds)} ms",
        crossovers=of_the_tutorial,
    )


def memory(findings: Findings) -> Figure:
    """Peak memory against patches: points with bands, the fitted model, and the closed form as a thin line."""

    def paint(ax: Axes, curve: Curve, style: tuple[str, str]) -> None:
        peaks = [(point.patches, point.memory_bytes) for point in curve.points if point.memory_bytes]
        plot.band(ax, [n for n, _ in peaks], [peak for _, peak in peaks], 2**-20, style, curve.name)
        plot.law(ax, curve.sizes, curve.memory, 2**-20, words.BYTES, style[0])
        ax.plot(curve.sizes, [point.first.activation_bytes / 2**20 for point in curve.points], **THIN, color=style[0])

    source = "the peak resident size over the process's own before the step was built"
    if any(point.allocated_bytes for curve in findings.curves for point in curve.points):
        source = "the most that the backend's allocator handed out at once, weights included"
    return _of_curves(
        "memory",
        f"Peak memory of a step against the number of patches{_peaks(findings.curves)}",
        f"Peak memory of a step against patches, log axes: {source}. Solid lines are the fitted laws; thin dashed "
        "lines are the closed form of the activations alone, not fitted to anything.",
        findings.curves,
        unit="peak memory (MiB)",
        paint_curve=paint,
        ends=lambda p: f"{words.mebibytes(p.memory_bytes.estimate)} MiB" if p.memory_bytes else "",
    )


def _peaks(curves: Iterable[Curve]) -> str:
    """Both peaks of the attention's training step at the largest size that both have."""
    peaks = {
        curve.variant: {point.patches: point.memory_bytes.estimate for point in curve.points if point.memory_bytes}
        for curve in curves
        if (curve.scope, curve.phase) == ("core", "train")
    }
    shared = peaks.get(OURS, {}).keys() & peaks.get(BASE, {}).keys()
    if not shared:
        return ""
    ours, base = (words.mebibytes(peaks[variant][max(shared)]) for variant in (OURS, BASE))
    return f": attention alone, training, at N = {max(shared):,} EANet {ours} MiB, ViT {base} MiB"


def _of_curves(
    key: str,
    title: str,
    caption: str,
    curves: tuple[Curve, ...],
    *,
    unit: str,
    paint_curve: Callable[[Axes, Curve, tuple[str, str]], None],
    ends: Callable[[StepTime], str],
    crossovers: Iterable[Crossover] = (),
) -> Figure:
    """Log axes with a panel for each scope and phase, below one another, models written at the right."""
    labels = labels_of(curves)
    panels = [panel for panel in PANELS if any((curve.scope, curve.phase) == panel for curve in curves)]

    def paint(axes: list[Axes]) -> None:
        for ax, panel in zip(axes, panels, strict=True):
            ax.set(title=PANELS[panel], xlabel="patches N", ylabel=unit, xscale="log", yscale="log")
            for curve in curves:
                if (curve.scope, curve.phase) == panel:
                    paint_curve(ax, curve, style_of(curve.name, labels))
            plot.plain_numbers(ax)
            for crossover in crossovers:
                if (crossover.ours.scope, crossover.ours.phase) == panel:
                    _mark_crossover(ax, crossover)
            plot.spread_laws(ax)
            ax.legend(loc="upper left")

    def in_words(curve: Curve) -> str:
        points = [point for point in (curve.points[0], curve.points[-1]) if ends(point)]
        said = ", ".join(f"{ends(point)} at N = {point.patches:,}" for point in points)
        return f"{PANELS[curve.scope, curve.phase]}, {curve.name}: {said}"

    canvas = canvas_of(len(panels), 9, 3.6, paint, columns=1)
    return drawn(key, title, "; ".join(map(in_words, curves)), caption, canvas)


def _mark_crossover(ax: Axes, crossover: Crossover) -> None:
    """A dotted line where the two curves cross, if they do within the sizes, and a shade for its interval."""
    patches = crossover.patches
    if not 0 < patches.estimate < np.inf:
        return
    ax.axvline(patches.estimate, color=INK, linewidth=0.8, linestyle=":")
    said = f"{crossover.ours.name} is faster\nabove N = {patches.estimate:,.0f}"
    places: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(said, (patches.estimate, 0.0), (3, 3), **places, va="bottom", fontsize=8)
    if patches.low is not None and patches.high is not None:
        smallest, largest = ax.get_xlim()
        ax.axvspan(max(patches.low, smallest), min(patches.high, largest), color=INK, alpha=0.08, linewidth=0)
