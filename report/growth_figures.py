"""Curves and crossovers -> figures of step time and memory against the number of patches."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from report import words
from report.canvas import INK, Figure, canvas_of, labels_of, plain_numbers, style_of, svg_text
from report.conditions import BASE, OURS, proper
from report.findings import Findings
from report.growth import Crossover, Curve
from results.stats import Interval

PANELS = (("core", "train"), ("core", "infer"), ("model", "train"), ("model", "infer"))
TITLES = {
    ("core", "train"): "attention alone, forward + backward",
    ("core", "infer"): "attention alone, forward",
    ("model", "train"): "whole model, training step",
    ("model", "infer"): "whole model, inference",
}


def growth(findings: Findings) -> Figure | None:
    """Step time against patches: points with bands, the fitted model, multiply-adds as a thin line, the crossover."""

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
            if (crossover.ours.scope, crossover.ours.phase) == panel and _published(crossover):
                _mark_crossover(ax, crossover)

    return _panels("growth", _growth_title(findings), "step time (ms)", findings.curves, paint, finish)


def _growth_title(findings: Findings) -> str:
    """How many times as long the base's training step takes, at the largest size of each scope."""
    ratios = [
        f"{TITLES[c.ours.scope, 'train']}, {words.times(c.ratio)} times at N = {c.largest:,}"
        for c in findings.crossovers
        if c.ours.phase == "train" and _published(c)
    ]
    title = "Step time against the number of patches"
    return f"{title}: ViT's step takes, of EANet's, {'; '.join(ratios)}" if ratios else title


def _published(crossover: Crossover) -> bool:
    """Whether a crossover is of the tutorial's two variants: figures show those, the tables all."""
    return (crossover.ours.variant, crossover.base.variant) == (OURS, BASE)


def _memory_title(findings: Findings) -> str:
    """Both peaks of the attention's training step at the largest size that both have."""
    title = "Peak memory of a step against the number of patches"
    peaks = {
        curve.variant: {point.patches: point.memory_bytes.estimate for point in curve.points if point.memory_bytes}
        for curve in findings.curves
        if (curve.scope, curve.phase) == ("core", "train")
    }
    shared = peaks.get(OURS, {}).keys() & peaks.get(BASE, {}).keys()
    if not shared:
        return title
    ours, base = (words.mebibytes(peaks[variant][max(shared)]) for variant in (OURS, BASE))
    return f"{title}: attention alone, training, at N = {max(shared):,} EANet {ours} MiB, ViT {base} MiB"


def _mark_crossover(ax: Axes, crossover: Crossover) -> None:
    """A dotted line where the two curves cross, if they do within the sizes, and a shade for its interval."""
    patches = crossover.patches
    if not 0 < patches.estimate < np.inf:
        return
    ax.axvline(patches.estimate, color=INK, linewidth=0.8, linestyle=":")
    said = f"{proper(crossover.ours)} is faster\nabove N = {patches.estimate:,.0f}"
    corner = (patches.estimate, 0.0)
    places: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(said, corner, (3, 3), **places, va="bottom", fontsize=8)
    if patches.low is not None and patches.high is not None:
        smallest, largest = ax.get_xlim()
        ax.axvspan(max(patches.low, smallest), min(patches.high, largest), color=INK, alpha=0.08, linewidth=0)


def memory(findings: Findings) -> Figure | None:
    """Peak memory against patches: points with bands, the fitted model, and the closed form as a thin line."""

    def paint(ax: Axes, curve: Curve, color: str, marker: str) -> None:
        peaks = [(point.patches, point.memory_bytes) for point in curve.points if point.memory_bytes]
        _points(ax, [n for n, _ in peaks], [peak for _, peak in peaks], 2**-20, color, marker, proper(curve))
        if curve.memory:
            law = curve.memory.law
            _line(ax, curve, lambda size: law.at(size) / 2**20, words.law(law, words.BYTES), color)
        ax.plot(curve.sizes, [point.activation_bytes / 2**20 for point in curve.points], **THIN, color=color)

    return _panels(
        "memory",
        _memory_title(findings),
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
    """A figure on log axes with a panel for each scope and phase, below one another, models written at the right."""
    if not curves:
        return None
    labels = labels_of(curves)
    panels = [panel for panel in PANELS if any((curve.scope, curve.phase) == panel for curve in curves)]

    def paint(axes: list[Axes]) -> None:
        for ax, panel in zip(axes, panels, strict=True):
            ax.set(title=TITLES[panel], xlabel="patches N", ylabel=unit, xscale="log", yscale="log")
            for curve in curves:
                if (curve.scope, curve.phase) == panel:
                    paint_curve(ax, curve, *style_of(proper(curve), labels))
            plain_numbers(ax)
            finish(ax, panel)
            _spread_labels(ax)
            ax.legend(loc="upper left")

    canvas = canvas_of(len(panels), 9, 3.6, paint, columns=1)
    alt = "; ".join(_curve_words(curve, key) for curve in curves)
    return Figure(key, title, alt, svg_text(key, canvas))


def _points(
    ax: Axes, sizes: list[int], values: list[Interval], scale: float, color: str, marker: str, label: str
) -> None:
    """The measured values with their intervals as a band."""
    ax.plot(sizes, [v.estimate * scale for v in values], color=color, marker=marker, linestyle="none", label=label)
    known = [(n, v.low * scale, v.high * scale) for n, v in zip(sizes, values, strict=True) if v.low and v.high]
    if any(low < high for _, low, high in known):
        known_sizes, lows, highs = zip(*known, strict=True)
        ax.fill_between(known_sizes, lows, highs, color=color, alpha=0.15, linewidth=0)


def _line(ax: Axes, curve: Curve, value: Callable[[float], float], law: str, color: str) -> None:
    """The fitted model as a line, with its formula at the right end."""
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
