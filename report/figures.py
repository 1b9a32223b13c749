"""Findings -> seaborn figures as SVG text: one colour and one marker per variant through the whole page."""

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation

from report import pareto, words
from report.accuracy import FEWEST_SEEDS, Comparison, Study, Training, full_name
from report.conditions import BASE, proper
from report.findings import Findings
from report.growth import Crossover, Curve
from report.pareto import Race
from results import published
from results.stats import Interval

INK = "#010203"
"""Stands for the page's text colour, and becomes `currentColor` in the SVG, so that a figure fits light and dark."""
COLORS = ("#2e86c1", "#d55e00", "#2a9d6f", "#b35fa8", "#a8882b", "#7a7a7a")
MARKERS = ("o", "s", "D", "^", "v", "P")
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), INK),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Figure:
    """One figure of the page: SVG text, a title that states what is seen, and its numbers in words."""

    name: str
    title: str
    alt: str
    svg: str


def figures(findings: Findings) -> dict[str, Figure]:
    """Every figure that the findings have data for, by name."""
    drawn = [DRAW[what](study) for study in findings.studies for what in study.plan.draw]
    drawn += [draw(findings) for draw in (_growth, _memory)]
    if findings.race:
        drawn += [_front(findings.race, cost) for cost in pareto.COSTS]
    return {figure.name: figure for figure in drawn if figure}


def _style(label: str, labels: list[str]) -> tuple[str, str]:
    index = labels.index(label) % len(COLORS)
    return COLORS[index], MARKERS[index]


def _labels(groups: tuple[Training, ...] | tuple[Curve, ...]) -> list[str]:
    """Labels in a fixed order, the published variants first, so that they keep their colours in every figure."""
    first = list(words.NAMES.values())
    found = dict.fromkeys(proper(group) for group in groups)
    return [label for label in first if label in found] + [label for label in found if label not in first]


def _svg(name_: str, canvas: Canvas) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(STYLE | {"svg.hashsalt": name_}):
        canvas.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # the same in every figure, and an id is unique in a page
    return re.sub(r'(<svg[^>]*?) (width|height)="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", svg))


def _draw(panels: int, width: float, height: float, paint: Callable[[list[Axes]], None], columns: int = 2) -> Canvas:
    """A canvas of at most `columns` panels a row; `height` is that of a row."""
    columns = min(panels, columns)
    rows = math.ceil(panels / columns)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(width, rows * height), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        paint(axes[:panels])
        return canvas


def _values(study: Study) -> Figure:
    """The metric of every seed and its mean with the interval."""
    metric, labels = study.metric, _labels(study.trainings)
    rows = [full_name(training) for label in labels for training in study.trainings if proper(training) == label]
    means = [(training, training.mean(metric.figure)) for training in study.trainings]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        frame = pd.DataFrame(
            [(full_name(t), getattr(r, metric.figure) * metric.scale) for t in study.trainings for r in t.records],
            columns=["training", "value"],
        )
        palette = {full_name(t): _style(proper(t), labels)[0] for t in study.trainings}
        seeds = {"data": frame, "x": "value", "y": "training", "hue": "training", "order": rows, "palette": palette}
        sns.stripplot(**seeds, alpha=0.5, jitter=False, legend=False, ax=ax)
        for training, mean in means:
            color, marker = _style(proper(training), labels)
            row = rows.index(full_name(training))
            _whisker(ax, mean, row + 0.22, metric.scale, color, marker)
        ax.set_ylim(len(rows) - 0.4, -0.5)
        unit = f"{metric.name} (%)" if metric.unit else metric.name
        ax.set(xlabel=f"{unit}, one faint dot a seed; below, the mean with its 95 % interval", ylabel="")

    canvas = _draw(1, 9, 0.9 + 0.6 * len(rows), paint)
    alt = "; ".join(f"{full_name(t)}: mean {metric.name} {metric.value(m)}, n = {m.n}" for t, m in means)
    key = f"{study.suite}-values"
    return Figure(key, f"{metric.name.capitalize()} by variant", alt, _svg(key, canvas))


def _whisker(ax: Axes, value: Interval, row: float, scale: float, color: str, marker: str) -> None:
    """An estimate with its interval, lying down; hollow where there is none."""
    known = value.low is not None and value.high is not None
    if value.low is not None and value.high is not None:
        ax.plot([value.low * scale, value.high * scale], [row, row], color=color, linewidth=2)
    face = color if known else "none"
    ax.plot([value.estimate * scale], [row], color=color, marker=marker, markersize=7, markerfacecolor=face)


def _differences(study: Study) -> Figure | None:
    """What is held against a base, a row each: the difference with its interval, claimed or not."""
    compared = (*study.effects, *study.variants)
    if not compared:
        return None
    metric, labels = study.metric, _labels(study.trainings)

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        ax.axvline(0, color=INK, linewidth=0.8)
        for row, comparison in enumerate(compared):
            drawn = comparison.difference
            if comparison.p_value is None:  # too few seeds for an interval that could be believed
                drawn = Interval(drawn.estimate, None, None, drawn.n)
            _whisker(ax, drawn, row, metric.scale, *_style(proper(comparison.ours), labels))
        ax.set_yticks(range(len(compared)), [_against(comparison) for comparison in compared])
        ax.set_ylim(len(compared) - 0.4, -0.6)
        unit = f" ({metric.unit})" if metric.unit else ""
        ax.set(xlabel=f"difference in {metric.name}{unit}, with its 95 % interval; hollow: too few seeds")

    canvas = _draw(1, 9, 0.9 + 0.42 * len(compared), paint)
    alt = "; ".join(f"{_against(c)}: {metric.difference(c.difference)}, n = {c.difference.n}" for c in compared)
    key = f"{study.suite}-differences"
    return Figure(key, f"Differences in {metric.name}", alt, _svg(key, canvas))


def _against(comparison: Comparison) -> str:
    """A row's name: what is held against what."""
    ours, base = comparison.ours, comparison.base
    if ours.label == base.label:
        return f"{full_name(ours)} − {', '.join(base.settings)}"
    return f"{full_name(ours)} − {proper(base)}"


def _against_cost(study: Study, cost: str) -> Figure | None:
    """The metric against what a model costs, a line for each variant; None where all cost the same."""
    metric, labels = study.metric, _labels(study.trainings)
    if len({training.cost(cost) for training in study.trainings}) < 2:
        return None

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        for label in labels:
            color, marker = _style(label, labels)
            found = sorted((t for t in study.trainings if proper(t) == label), key=lambda t: t.cost(cost))
            means = [training.mean(metric.figure) for training in found]
            x, y = [t.cost(cost) * COST_SCALES[cost] for t in found], [mean.estimate * metric.scale for mean in means]
            ax.plot(x, y, color=color, marker=marker, linewidth=0.8, label=label)
            for training, at, mean in zip(found, x, means, strict=True):
                if mean.n >= FEWEST_SEEDS and mean.low is not None and mean.high is not None:
                    ax.plot([at, at], [mean.low * metric.scale, mean.high * metric.scale], color=color, linewidth=1.5)
                place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
                ax.annotate(", ".join(training.settings), (at, mean.estimate * metric.scale), (5, 4), **place)
        unit = f"{metric.name} (%)" if metric.unit else metric.name
        ax.set(xlabel=COST_LABELS[cost], ylabel=unit, xscale="log")
        _plain_ticks(ax)
        ax.legend(fontsize=8)

    canvas = _draw(1, 9, 3.8, paint)
    alt = "; ".join(
        f"{full_name(t)}: {metric.value(t.mean(metric.figure))} at {t.cost(cost) * COST_SCALES[cost]:,.3g}"
        for t in study.trainings
    )
    key = f"{study.suite}-{cost}"
    return Figure(key, f"{metric.name.capitalize()} against {pareto.COSTS[cost]}", alt, _svg(key, canvas))


COST_LABELS = {
    "multiply_adds": "multiply-adds of one image, forward (log)",
    "parameters": "parameters (log)",
    "step_seconds": "training step (ms, log)",
}
COST_SCALES = {"multiply_adds": 1.0, "parameters": 1.0, "step_seconds": 1e3}


def _plain_ticks(ax: Axes) -> None:
    """Few ticks on a log axis, written out."""
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=10, subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: _short(value)))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def _short(value: float) -> str:
    """A cost as a tick has it: 5 M, 200 k, 20."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _front(race: Race, cost: str) -> Figure:
    """Mean top-1 against a cost for all models trained alike; those that no other beats in both are numbered."""
    means = [model.mean("test_top1") for model in race.models]
    points = [
        (model.cost(cost) * COST_SCALES[cost], mean.estimate * 100)
        for model, mean in zip(race.models, means, strict=True)
    ]
    front = race.front(cost)

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        ax.plot(*zip(*points, strict=True), color=COLORS[-1], marker=".", linestyle="none", alpha=0.7)
        best = [points[place] for place in front]
        ax.plot(*zip(*best, strict=True), color=COLORS[0], marker="o", drawstyle="steps-post", linewidth=1)
        for number, (place, (x, y)) in enumerate(zip(front, best, strict=True), start=1):
            mean = means[place]
            if mean.n >= FEWEST_SEEDS and mean.low is not None and mean.high is not None:
                ax.plot([x, x], [mean.low * 100, mean.high * 100], color=COLORS[0], linewidth=1.5)
            ax.annotate(str(number), (x, y), (5, 4), textcoords="offset points", fontweight="bold")
        ax.set(xlabel=COST_LABELS[cost], ylabel="test top-1 (%)", xscale="log")
        _plain_ticks(ax)

    canvas = _draw(1, 9, 3.8, paint)
    alt = "; ".join(f"{race.names[place]}: {words.percent(means[place])} at {points[place][0]:,.3g}" for place in front)
    key = f"pareto-{cost}"
    return Figure(key, f"Top-1 against {pareto.COSTS[cost]}", alt, _svg(key, canvas))


CURVES = (
    ("top1", "training", "top-1 (%)", 100),
    ("val_top1", "validation", "top-1 (%)", 100),
    ("val_loss", "validation", "loss", 1),
)
"""Figure of an epoch, the part of the data that it is of, its axis, and its scale: a column each."""
LINES = ("-", "--", "-.", ":", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (1, 3)), (0, (3, 3)))


def _learning(study: Study) -> Figure:
    """Learning curves: a thin line a seed, a thick one for their mean. With a grid each variant has a row of its own,
    and a cell of the grid its line style. EANet on CIFAR-100 has the tutorial's printed log behind it."""
    labels = _labels(study.trainings)
    cells = sorted({training.cell for training in study.trainings})
    rows = [[label] for label in labels] if len(cells) > 1 else [labels]
    panels = [(row, *curve) for row in rows for curve in CURVES]

    def paint(axes: list[Axes]) -> None:
        for ax, (row, figure, part, unit, scale) in zip(axes, panels, strict=True):
            shown = [training for training in study.trainings if proper(training) in row]
            for training in shown:
                color, marker = _style(proper(training), labels)
                style: dict[str, Any] = {"color": color, "linestyle": LINES[cells.index(training.cell) % len(LINES)]}
                curves = [[getattr(epoch, figure) * scale for epoch in record.epochs] for record in training.records]
                epochs = range(1, min(map(len, curves)) + 1)
                for curve in curves if len(curves) > 1 else []:
                    ax.plot(range(1, len(curve) + 1), curve, **style, alpha=0.25, linewidth=0.8)
                mean = np.mean([curve[: len(epochs)] for curve in curves], axis=0)
                every = max(1, len(epochs) // 8)
                ax.plot(
                    epochs, mean, **style, marker=marker, markevery=every, markersize=4, label=_legend(training, rows)
                )
            _tutorial_log(ax, shown, figure, scale)
            of = f"{row[0]}, " if len(rows) > 1 else ""
            ax.set(title=f"{of}{part}", xlabel="epoch", ylabel=unit)
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        for unit in {unit for *_, unit, _ in panels}:
            alike = [ax for ax, panel in zip(axes, panels, strict=True) if panel[3] == unit]
            limits = [limit for ax in alike for limit in ax.get_ylim()]
            for ax in alike:
                ax.set_ylim(min(limits), max(limits))
        for ax in axes[:: len(CURVES)]:
            ax.legend(fontsize=8)

    canvas = _draw(len(panels), 11, 3.2, paint, columns=len(CURVES))
    alt = "; ".join(
        f"{full_name(t)} ends at {np.mean([r.epochs[-1].top1 for r in t.records]):.1%} top-1 in training and "
        f"{np.mean([r.epochs[-1].val_top1 for r in t.records]):.1%} in validation"
        for t in study.trainings
    )
    key = f"{study.suite}-learning"
    return Figure(key, "Learning curves", alt, _svg(key, canvas))


def _legend(training: Training, rows: list[list[str]]) -> str:
    """What tells a line from the others of its panel."""
    return full_name(training) if len(rows) == 1 else ", ".join(training.settings)


def _tutorial_log(ax: Axes, shown: list[Training], figure: str, scale: float) -> None:
    """The Keras 3 log as the tutorial prints it, as far as was trained here: a thin line behind the measured ones."""
    alike = [t for t in shown if (t.variant, t.dataset) == ("eanet", published.SETTINGS["dataset"])]
    if alike:
        log = published.keras3_log()[: max(training.epochs for training in alike)]
        values = [getattr(epoch, figure) * scale for epoch in log]
        label = "EANet in the tutorial's log"
        ax.plot([epoch.epoch for epoch in log], values, color=INK, linewidth=0.8, alpha=0.6, zorder=1, label=label)


DRAW: dict[str, Callable[[Study], Figure | None]] = {
    "values": _values,
    "differences": _differences,
    "learning": _learning,
    **{cost: partial(_against_cost, cost=cost) for cost in pareto.COSTS},
}
"""What a suite's file can name to be drawn."""

PANELS = (("core", "train"), ("core", "infer"), ("model", "train"), ("model", "infer"))
TITLES = {
    ("core", "train"): "attention alone, forward + backward",
    ("core", "infer"): "attention alone, forward",
    ("model", "train"): "whole model, training step",
    ("model", "infer"): "whole model, inference",
}


def _growth(findings: Findings) -> Figure | None:
    """Step time against patches: points with bands, the fitted law, multiply-adds as a thin line, the crossover."""

    def paint(ax: Axes, curve: Curve, color: str, marker: str) -> None:
        _points(ax, curve.sizes, [point.step_seconds for point in curve.points], 1e3, color, marker, proper(curve))
        if curve.growth:
            law = curve.growth.law
            _line(ax, curve, lambda size: law.at(size) * 1e3, words.law(law, words.SECONDS), color)
        if curve.multiply_adds:
            predicted, last = curve.multiply_adds, curve.points[-1]
            rate = last.step_seconds.estimate / predicted.at(last.patches)
            ax.plot(curve.sizes, [predicted.at(n) * rate * 1e3 for n in curve.sizes], **THIN, color=color)

    def finish(ax: Axes, panel: tuple[str, str]) -> None:
        for crossover in findings.crossovers:
            if (crossover.ours.scope, crossover.ours.phase) == panel and crossover.base.variant == BASE:
                _mark_crossover(ax, crossover)

    return _panels(
        "growth", "Step time against the number of patches", "step time (ms)", findings.curves, paint, finish
    )


def _mark_crossover(ax: Axes, crossover: Crossover) -> None:
    """A dotted line where the two curves cross, if they do within the sizes, and a shade for its interval."""
    patches = crossover.patches
    if not 0 < patches.estimate < np.inf:
        return
    ax.axvline(patches.estimate, color=INK, linewidth=0.8, linestyle=":")
    said = f"{proper(crossover.ours)} is the shorter\nfrom N = {patches.estimate:,.0f} on"
    corner = (patches.estimate, 0.0)
    places: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(said, corner, (3, 3), **places, va="bottom", fontsize=8)
    if patches.low is not None and patches.high is not None:
        smallest, largest = ax.get_xlim()
        ax.axvspan(max(patches.low, smallest), min(patches.high, largest), color=INK, alpha=0.08, linewidth=0)


def _memory(findings: Findings) -> Figure | None:
    """Peak memory against patches: points with bands, the fitted law, and the closed form as a thin line."""

    def paint(ax: Axes, curve: Curve, color: str, marker: str) -> None:
        peaks = [(point.patches, point.memory_bytes) for point in curve.points if point.memory_bytes]
        _points(ax, [n for n, _ in peaks], [peak for _, peak in peaks], 2**-20, color, marker, proper(curve))
        if curve.memory:
            law = curve.memory.law
            _line(ax, curve, lambda size: law.at(size) / 2**20, words.law(law, words.BYTES), color)
        ax.plot(curve.sizes, [point.activation_bytes / 2**20 for point in curve.points], **THIN, color=color)

    return _panels(
        "memory",
        "Peak memory of a step against the number of patches",
        "peak memory (MiB)",
        findings.curves,
        paint,
        lambda ax, panel: None,
    )


THIN: dict[str, Any] = {"linewidth": 0.7, "linestyle": "--", "alpha": 0.8}
LAW_X = 1.02
LABEL_GAP = 0.085
"""Least distance of two labels at the right of a panel, as a share of its height."""


def _panels(
    key: str,
    title: str,
    unit: str,
    curves: tuple[Curve, ...],
    paint_curve: Callable[[Axes, Curve, str, str], None],
    finish: Callable[[Axes, tuple[str, str]], None],
) -> Figure | None:
    """A figure on log axes with a panel for each scope and phase, below one another, laws written at the right."""
    if not curves:
        return None
    labels = _labels(curves)
    panels = [panel for panel in PANELS if any((curve.scope, curve.phase) == panel for curve in curves)]

    def paint(axes: list[Axes]) -> None:
        for ax, panel in zip(axes, panels, strict=True):
            ax.set(title=TITLES[panel], xlabel="patches N", ylabel=unit, xscale="log", yscale="log")
            for curve in curves:
                if (curve.scope, curve.phase) == panel:
                    paint_curve(ax, curve, *_style(proper(curve), labels))
            ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
            ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
            ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=4))
            ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            finish(ax, panel)
            _spread_labels(ax)
            ax.legend(loc="upper left")

    canvas = _draw(len(panels), 9, 3.6, paint, columns=1)
    alt = "; ".join(_curve_words(curve, key) for curve in curves)
    return Figure(key, title, alt, _svg(key, canvas))


def _points(
    ax: Axes, sizes: list[int], values: list[Interval], scale: float, color: str, marker: str, label: str
) -> None:
    """The measured values with their intervals as a band."""
    ax.plot(sizes, [v.estimate * scale for v in values], color=color, marker=marker, linestyle="none", label=label)
    known = [(n, v.low * scale, v.high * scale) for n, v in zip(sizes, values, strict=True) if v.low and v.high]
    if known:
        known_sizes, lows, highs = zip(*known, strict=True)
        ax.fill_between(known_sizes, lows, highs, color=color, alpha=0.15, linewidth=0)


def _line(ax: Axes, curve: Curve, value: Callable[[float], float], law: str, color: str) -> None:
    """The fitted law as a line, with its formula at the right end."""
    dense = np.geomspace(curve.sizes[0], curve.sizes[-1], 60)
    ax.plot(dense, [value(size) for size in dense], color=color, linewidth=1.2)
    ax.annotate(
        law, (curve.sizes[-1], value(curve.sizes[-1])), (LAW_X, 0), textcoords="axes fraction",
        color=color, va="center", fontsize=9, annotation_clip=False,
    )  # fmt: skip


def _spread_labels(ax: Axes) -> None:
    """Puts the formulas at the heights of their lines, pushed apart where they would overlap."""
    laws = [text for text in ax.texts if isinstance(text, Annotation) and text.xyann[0] == LAW_X]
    ax.get_ylim()  # settles the limits, which the heights depend on
    axes_height = ax.transData + ax.transAxes.inverted()
    taken = -1.0
    for text in sorted(laws, key=lambda text: text.xy[1]):
        taken = max(float(axes_height.transform(text.xy)[1]), taken + LABEL_GAP)
        text.xyann = (LAW_X, taken)


def _curve_words(curve: Curve, key: str) -> str:
    first, last = curve.points[0], curve.points[-1]
    what = f"{TITLES[curve.scope, curve.phase]}, {proper(curve)}"
    if key == "growth":
        ends = [f"{words.milliseconds(point.step_seconds)} ms at N = {point.patches:,}" for point in (first, last)]
    else:
        ends = [
            f"{words.mebibytes(point.memory_bytes.estimate)} MiB at N = {point.patches:,}"
            for point in (first, last)
            if point.memory_bytes
        ]
    return f"{what}: {', '.join(ends)}"
