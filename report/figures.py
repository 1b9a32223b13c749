"""Findings -> seaborn figures as SVG text: one colour and one marker per variant through the whole page."""

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from report import words
from report.findings import Curve, Findings, Training, name

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
    drawn = [draw(findings) for draw in (_top1, _learning, _growth)]
    return {figure.name: figure for figure in drawn if figure}


def _style(label: str, labels: list[str]) -> tuple[str, str]:
    index = labels.index(label) % len(COLORS)
    return COLORS[index], MARKERS[index]


def _labels(groups: tuple[Training, ...] | tuple[Curve, ...]) -> list[str]:
    """Labels in a fixed order, the published variants first, so that they keep their colours in every figure."""
    first = list(words.NAMES.values())
    found = {name(group) for group in groups}
    return [label for label in first if label in found] + sorted(found - set(first))


def _svg(name_: str, canvas: Canvas) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(STYLE | {"svg.hashsalt": name_}):
        canvas.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # the same in every figure, and an id is unique in a page
    return re.sub(r'(<svg[^>]*?) (width|height)="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", svg))


def _draw(panels: int, width: float, height: float, paint: Callable[[list[Axes]], None]) -> Canvas:
    """A canvas of at most two panels a row; `height` is that of a row."""
    rows, columns = math.ceil(panels / 2), min(panels, 2)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(width, rows * height), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        paint(axes[:panels])
        return canvas


def _top1(findings: Findings) -> Figure | None:
    """Test top-1 of every seed and its mean with the interval."""
    if not findings.trainings:
        return None
    labels = _labels(findings.trainings)
    means = [(training, training.mean("test_top1")) for training in findings.trainings]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        frame = pd.DataFrame(
            [(name(t), record.test_top1 * 100) for t in findings.trainings for record in t.records],
            columns=["variant", "top1"],
        )
        palette = {label: _style(label, labels)[0] for label in labels}
        sns.stripplot(
            frame,
            x="top1",
            y="variant",
            hue="variant",
            order=labels,
            palette=palette,
            alpha=0.5,
            jitter=False,
            legend=False,
            ax=ax,
        )
        for training, mean in means:
            color, marker = _style(name(training), labels)
            y = labels.index(name(training)) + 0.22
            if mean.low is not None and mean.high is not None:
                ax.plot([mean.low * 100, mean.high * 100], [y, y], color=color, linewidth=2)
            ax.plot([mean.estimate * 100], [y], color=color, marker=marker, markersize=7)
        ax.set_ylim(len(labels) - 0.4, -0.5)
        ax.set(xlabel="test top-1 (%), one faint dot a seed; below, the mean with its 95 % interval", ylabel="")

    canvas = _draw(1, 9, 0.9 + 0.7 * len(labels), paint)
    alt = "; ".join(f"{name(t)}: mean top-1 {words.percent(m)}, n = {m.n}" for t, m in means)
    return Figure("top1", "Test top-1 by variant", alt, _svg("top1", canvas))


def _learning(findings: Findings) -> Figure | None:
    """Training and validation top-1 by epoch: a thin line a seed, a thick one for their mean."""
    if not findings.trainings:
        return None
    labels = _labels(findings.trainings)

    def paint(axes: list[Axes]) -> None:
        for ax, figure, title in zip(axes, ("top1", "val_top1"), ("training", "validation"), strict=True):
            for training in findings.trainings:
                color, marker = _style(name(training), labels)
                curves = [[getattr(epoch, figure) * 100 for epoch in record.epochs] for record in training.records]
                epochs = range(1, min(map(len, curves)) + 1)
                for curve in curves if len(curves) > 1 else []:
                    ax.plot(range(1, len(curve) + 1), curve, color=color, alpha=0.25, linewidth=0.8)
                mean = np.mean([curve[: len(epochs)] for curve in curves], axis=0)
                every = max(1, len(epochs) // 8)
                ax.plot(epochs, mean, color=color, marker=marker, markevery=every, markersize=5, label=name(training))
            ax.set(title=title, xlabel="epoch", ylabel="top-1 (%)")
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        low = min(ax.get_ylim()[0] for ax in axes)
        high = max(ax.get_ylim()[1] for ax in axes)
        for ax in axes:
            ax.set_ylim(low, high)
        axes[0].legend()

    canvas = _draw(2, 9, 3.4, paint)
    alt = "; ".join(
        f"{name(t)} ends at {np.mean([r.epochs[-1].top1 for r in t.records]):.1%} top-1 in training and "
        f"{np.mean([r.epochs[-1].val_top1 for r in t.records]):.1%} in validation"
        for t in findings.trainings
    )
    return Figure("learning", "Learning curves", alt, _svg("learning", canvas))


PANELS = (("core", "train"), ("core", "infer"), ("model", "train"), ("model", "infer"))
TITLES = {
    ("core", "train"): "attention alone, forward + backward",
    ("core", "infer"): "attention alone, forward",
    ("model", "train"): "whole model, training step",
    ("model", "infer"): "whole model, inference",
}


def _growth(findings: Findings) -> Figure | None:
    """Step time against patches on log axes, a panel for each scope and phase, with the fitted law as a line."""
    if not findings.curves:
        return None
    labels = _labels(findings.curves)
    panels = [panel for panel in PANELS if any((curve.scope, curve.phase) == panel for curve in findings.curves)]

    def paint(axes: list[Axes]) -> None:
        for ax, panel in zip(axes, panels, strict=True):
            for curve in findings.curves:
                if (curve.scope, curve.phase) == panel:
                    _plot_curve(ax, curve, *_style(name(curve), labels))
            ax.set(title=TITLES[panel], xlabel="patches N", xscale="log", yscale="log")
            ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
            ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=4))
            ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            ax.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 3.0)))
            ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            ax.set_ylabel("step time (ms)")
            ax.legend()

    canvas = _draw(len(panels), 9, 3.8, paint)
    return Figure(
        "growth",
        "Step time against the number of patches",
        "; ".join(map(_curve_words, findings.curves)),
        _svg("growth", canvas),
    )


def _plot_curve(ax: Axes, curve: Curve, color: str, marker: str) -> None:
    sizes = [point.patches for point in curve.points]
    times = [point.step_seconds for point in curve.points]
    exponent = curve.growth.exponent if curve.growth else None
    label = name(curve) + (f"  $N^{{{exponent.estimate:.2f}}}$" if exponent else "")
    line = "none" if curve.growth else ":"
    ax.plot(sizes, [time.estimate * 1e3 for time in times], color=color, marker=marker, linestyle=line, label=label)
    for size, time in zip(sizes, times, strict=True):
        if time.low is not None and time.high is not None:
            ax.plot([size, size], [time.low * 1e3, time.high * 1e3], color=color, linewidth=2, alpha=0.6)
    if curve.growth:
        dense = np.geomspace(sizes[0], sizes[-1], 60)
        ax.plot(dense, [curve.growth.seconds(size) * 1e3 for size in dense], color=color, linewidth=1)


def _curve_words(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    return (
        f"{TITLES[curve.scope, curve.phase]}, {name(curve)}: "
        f"{words.milliseconds(first.step_seconds)} ms at N = {first.patches}, "
        f"{words.milliseconds(last.step_seconds)} ms at N = {last.patches}"
    )
