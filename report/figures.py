"""Findings -> figures. Each is declared in one place: its key, title, numbers in words, caption and painter."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from report import plot, verdicts, words
from report.accuracy import Comparison, Study
from report.findings import Findings
from report.groups import BASE, OURS, Training
from report.growth import Crossover, Curve, StepTime
from report.parts import Figure
from report.plot import INK, drawn, labels_of, style_of
from report.race import COSTS, Race
from results import published
from results.growth import Growth
from results.metrics import TOP1
from results.stats import Interval


def figures(findings: Findings) -> dict[str, Figure]:
    """Draws every figure that the findings have data for, by its name."""
    made = [
        accuracy(findings.studies),
        speed(findings.curves, findings.crossovers),
        *map(learning, findings.studies),
        *(growth(quantity, findings.curves, findings.crossovers) for quantity in QUANTITIES),
        ablations(findings.ablations),
        costs(findings.race),
    ]
    return {figure.name: figure for figure in made if figure}


class Row(NamedTuple):
    """A row of a forest plot: a heading, a difference, or what was not tested (neither)."""

    label: str
    comparison: Comparison | None = None
    is_heading: bool = False

    @property
    def weight(self) -> str:
        return "bold" if self.is_heading else "normal"


ROW = 0.27
"""Height of a forest plot's row in inches; on a phone, where labels stand above, of half a row."""


LONGEST_LABEL = 64


def _cut(label: str) -> str:
    """A label that leaves room for what is drawn; the figure's words have all of it."""
    return words.cut(label, LONGEST_LABEL)


LINEAR = 5
"""Percentage points up to which the axis of a forest plot is linear, where some differences are far larger."""


def _forest(
    name: str, title: str, alt: str, caption: str, rows: Sequence[Row], *, width: float, directions: tuple[str, str]
) -> Figure:
    """Draws a difference per row, in percentage points, with its interval; filled where it is significant."""
    labels = labels_of(row.comparison.ours for row in rows if row.comparison)
    scale = words.UNITS[TOP1.unit].scale
    is_wide = max(abs(row.comparison.shown.estimate) * scale for row in rows if row.comparison) > 4 * LINEAR

    def paint(axes: list[Axes], on_phone: bool) -> None:
        (ax,) = axes
        across, is_above = ax.get_yaxis_transform(), on_phone or width == plot.HALF
        for place, row in enumerate(rows):
            ax.plot(
                [0, 0],
                [place - (0.2 if is_above else 0.5), place + (0.3 if is_above else 0.5)],
                color=INK,
                linewidth=0.8,
            )
            if is_above:
                ax.text(
                    0, place - 0.45, _cut(row.label), transform=across, fontsize=9, fontweight=row.weight, va="center"
                )
            if row.comparison:
                shown, style = row.comparison.shown, style_of(row.comparison.ours.name, labels)
                plot.whisker(ax, shown, place, scale, style, filled=row.comparison.is_significant)
                ax.text(1.01, place, words.difference_estimate(TOP1, shown), transform=across, fontsize=9, va="center")
            elif not row.is_heading:
                ax.axhline(place, color=INK, linewidth=0.8, linestyle=":", alpha=0.5)
                ax.text(1.01, place, "not tested", transform=across, fontsize=9, va="center")
        ax.set_yticks(range(len(rows)), ["" if is_above else _cut(row.label) for row in rows])
        for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
            tick.set_fontweight(row.weight)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=not is_above, axis="x")
        ax.grid(visible=False, axis="y")
        ax.spines["left"].set_visible(False)
        if is_wide:
            ax.set_xscale("symlog", linthresh=LINEAR)
            ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            near = [] if on_phone else [5, 20]
            ticks = [sign * tick for tick in (*near, 10, 50) for sign in (-1, 1)]
            ax.xaxis.set_major_locator(mpl.ticker.FixedLocator([0, *ticks]))
        reach = 1.05 * max(abs(limit) for limit in ax.get_xlim())
        ax.set(xlim=(-reach, reach), ylim=(len(rows) - 0.4, -0.9))
        below: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 9}
        ax.annotate(f"← {directions[0]}", (0, 0), (-18, -26), ha="right", **below)
        ax.annotate(f"{directions[1]} →", (0, 0), (18, -26), ha="left", **below)
        ax.set_xlabel("pp")

    phone = 0.8 + 1.5 * ROW * max(2, len(rows))
    height = phone if width == plot.HALF else 0.8 + ROW * len(rows)
    if is_wide:
        caption += f" Beyond ±{LINEAR} pp the scale is logarithmic."
    return drawn(name, title, alt, caption, paint, width=width, height=height, phone_height=phone)


def accuracy(studies: Sequence[Study]) -> Figure | None:
    """Draws EANet − ViT wherever the two were trained alike, and whether that was the tutorial's own case."""
    compared = verdicts.of_the_two(studies)
    if not compared:
        return None
    rows = [Row(_circumstances(comparison), comparison) for comparison in compared]
    if all(verdicts.departures_of_both(comparison) for comparison in compared):
        rows.append(Row("vs ViT, CIFAR-100, the tutorial's settings"))
    first = compared[0]
    return _forest(
        "accuracy",
        f"Accuracy: {first.in_words}",
        "; ".join(f"{row.label}: {row.comparison.summary if row.comparison else 'not tested'}" for row in rows),
        f"{words.variant_name(OURS)} − {words.variant_name(BASE)}, test accuracy, with 95 % intervals.",
        rows,
        width=plot.HALF,
        directions=("ViT better", "EANet better"),
    )


def _circumstances(comparison: Comparison) -> str:
    """Names which ViT, with how many seeds, on what, for how long, at how many patches, and in which cell of a grid."""
    ours, seeds = comparison.ours, words.number_of(comparison.difference.n, "seed")
    what = [words.dataset(ours.trial.dataset), words.number_of(ours.epochs, "epoch"), f"N = {ours.first.patches}"]
    return ", ".join([f"vs {comparison.base.name}", seeds, *what, *ours.settings])


def ablations(studies: Sequence[Study]) -> Figure | None:
    """Draws every difference in accuracy from a suite's baseline once, grouped by suite."""
    rows: list[Row] = []
    seen: set[Hashable] = set()
    for study in studies:
        new = {c.hypothesis: c for c in study.compared if c.metric is TOP1 and c.hypothesis not in seen}
        seen |= new.keys()
        rows += [Row(study.title, is_heading=True)] if new else []
        rows += [Row(c.label, c) for c in new.values()]
    compared = [row.comparison for row in rows if row.comparison]
    if not compared:
        return None
    significant = [c for c in compared if c.is_significant]
    return _forest(
        "ablations",
        f"{len(significant)} of {len(compared)} differences are significant",
        "; ".join(f"{c.label}: {c.summary}" for c in compared),
        "Test accuracy compared with each suite's baseline, paired by seed; filled where significant after Holm's "
        "adjustment. The interval is that of one comparison alone.",
        rows,
        width=plot.FULL,
        directions=("baseline better", "better than the baseline"),
    )


CURVES = (
    ("top1", "training", "top-1 (%)", 100),
    ("val_top1", "validation", "top-1 (%)", 100),
    ("val_loss", "validation", "loss", 1),
)
"""Figure of an epoch, the part of the data that it is of, its axis, and its scale: a column each."""
LINES = ("-", "--", "-.", ":", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (1, 3)), (0, (3, 3)))


def learning(study: Study) -> Figure:
    """Draws learning curves: a thin line per seed, a thick one for their mean.

    With a grid each variant has its own row, and a cell of the grid its line style. EANet on CIFAR-100 has the
    tutorial's printed log behind it.
    """
    labels = labels_of(study.trainings)
    grids = sorted({training.grid for training in study.trainings})
    rows = [[label] for label in labels] if len(grids) > 1 else [labels]
    curves = CURVES[:2] if study.is_ablation else CURVES
    panels = [(row, *curve) for row in rows for curve in curves]

    def paint(axes: list[Axes], on_phone: bool) -> None:
        for ax, (row, figure, part, unit, scale) in zip(axes, panels, strict=True):
            shown = [training for training in study.trainings if training.name in row]
            for training in shown:
                color, marker = style_of(training.name, labels)
                style: dict[str, Any] = {"color": color, "linestyle": LINES[grids.index(training.grid) % len(LINES)]}
                seeds = [[getattr(epoch, figure) * scale for epoch in record.epochs] for record in training.records]
                if len(seeds) > 1:
                    lines = [list(enumerate(seed, start=1)) for seed in seeds]
                    ax.add_collection(LineCollection(lines, **style, alpha=0.25, linewidth=0.8))
                shortest = min(map(len, seeds))
                mean = np.mean([seed[:shortest] for seed in seeds], axis=0)
                style |= {"marker": marker, "markevery": max(1, shortest // 8), "markersize": 4}
                name = _cut(training.full_name if len(rows) == 1 else ", ".join(training.settings))
                ax.plot(range(1, shortest + 1), mean, **style, label=name)
            _tutorial_log(ax, shown, figure, scale)
            of = f"{row[0]}, " if len(rows) > 1 else ""
            loss = f"{unit}{study.smoothing}" if unit == "loss" else unit
            ax.set(title=f"{of}{part}", xlabel="epoch", ylabel=loss)
            plot.whole_epochs(ax, max(training.epochs for training in study.trainings))
        for unit in {unit for *_, unit, _ in panels}:
            alike = [ax for ax, panel in zip(axes, panels, strict=True) if panel[3] == unit]
            limits = [limit for ax in alike for limit in ax.get_ylim()]
            for ax in alike:
                ax.set_ylim(min(limits), max(limits))
        for ax in axes[:: len(curves)]:
            ax.legend(fontsize=8)

    return drawn(
        f"{study.suite}-learning",
        f"Learning curves: {_ends(study)}",
        "; ".join(
            f"{t.full_name} ends at {_end(t, 'top1')} top-1 in training and {_end(t, 'val_top1')} in validation"
            for t in study.trainings
        ),
        "Thin lines are single seeds. Training accuracy is taken with augmentation and dropout on, so it may lie below "
        "validation.",
        paint,
        panels=len(panels),
        columns=len(curves),
        height=2.9,
        phone_height=None if study.is_ablation else 2.4,
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


PANELS = {
    ("core", "train"): "Attention layer, training step",
    ("core", "infer"): "Attention layer, inference",
    ("model", "train"): "Whole model, training step",
    ("model", "infer"): "Whole model, inference",
}


class Quantity(NamedTuple):
    """What is measured of a step, and how it is read of a point and of a curve, and written."""

    name: str
    title: str
    unit: str
    scale: float
    of_point: Callable[[StepTime], Interval | None]
    of_curve: Callable[[Curve], Growth | None]


QUANTITIES = (
    Quantity("growth", "Step time", "ms", 1e3, lambda point: point.step_seconds, lambda curve: curve.growth),
    Quantity("memory", "Peak memory", "MiB", 2.0**-20, lambda point: point.memory_bytes, lambda curve: curve.memory),
)
TIME = QUANTITIES[0]


def speed(curves: Sequence[Curve], crossovers: Iterable[Crossover]) -> Figure | None:
    """Draws the attention layer's training step of the tutorial's two variants, named at their ends."""
    steps = [c for c in curves if (c.scope, c.phase) == ("core", "train") and c.variant in (OURS, BASE)]
    if not steps:
        return None
    crossed = next((c for c in crossovers if c.ours in steps and c.base.variant == BASE), None)
    shown = sorted(
        [crossed.ours, crossed.base] if crossed else steps[:1], key=lambda c: c.points[-1].step_seconds.estimate
    )
    labels = labels_of(shown)
    ends = [f"{_cut(curve.name)}\n{_written(TIME, curve.points[-1])}" for curve in shown]

    def paint(axes: list[Axes], on_phone: bool) -> None:
        (ax,) = axes
        plot.plain_numbers(ax)
        for curve, end, align in zip(shown, ends, ("top", "bottom"), strict=False):
            _curve(ax, curve, TIME, style_of(curve.name, labels))
            last = (curve.sizes[-1], curve.points[-1].step_seconds.estimate * TIME.scale)
            style: dict[str, Any] = {"color": style_of(curve.name, labels)[0], "fontweight": "bold", "fontsize": 9}
            place: dict[str, Any] = {"textcoords": "offset points", "va": align, "annotation_clip": False}
            ax.annotate(end, last, (8, 4 if align == "top" else -4), **place, **style)
        ax.set(xlabel="patches N", ylabel="ms", ylim=(ax.get_ylim()[0], 2 * ax.get_ylim()[1]))

    times = f": {words.speedup(crossed.ratio)} at N = {crossed.largest:,}" if crossed else ""
    return drawn(
        "speed",
        f"Speed{times}",
        "; ".join(f"{end.replace(chr(10), ': ')} at N = {c.sizes[-1]:,}" for end, c in zip(ends, shown, strict=True)),
        f"Attention layer, one training step, batch {shown[0].trial.batch}; bands: 95 % intervals.",
        paint,
        width=plot.HALF,
        height=2.0,
        phone_height=2.8,
    )


def _written(quantity: Quantity, point: StepTime) -> str:
    value = quantity.of_point(point)
    return f"{words.significant(value.estimate * quantity.scale)} {quantity.unit}" if value else ""


def _curve(ax: Axes, curve: Curve, quantity: Quantity, style: tuple[str, str], label: str | None = None) -> None:
    """Draws the measured points with their intervals as a band, and the fitted model as a line."""
    known = [(p.patches, value) for p in curve.points if (value := quantity.of_point(p))]
    if not known:
        return
    (sizes, values), (color, marker) = zip(*known, strict=True), style
    y = [value.estimate * quantity.scale for value in values]
    ax.plot(sizes, y, color=color, marker=marker, markersize=4, linestyle="none", label=label)
    plot.band(ax, list(sizes), list(values), quantity.scale, color)
    if fitted := quantity.of_curve(curve):
        dense = np.geomspace(sizes[0], sizes[-1], 60)
        ax.plot(dense, [fitted.law.at(size) * quantity.scale for size in dense], color=color, linewidth=1.2)


def growth(quantity: Quantity, curves: Sequence[Curve], crossovers: Iterable[Crossover]) -> Figure | None:
    """Draws time or memory against the patches, a panel per scope and phase: points, and fitted models as lines."""
    if not any(quantity.of_point(point) for curve in curves for point in curve.points):
        return None
    labels = labels_of(curves)
    panels = [panel for panel in PANELS if any((curve.scope, curve.phase) == panel for curve in curves)]
    crossed = [c for c in crossovers if quantity is TIME and (c.ours.variant, c.base.variant) == (OURS, BASE)]

    def paint(axes: list[Axes], on_phone: bool) -> None:
        for ax, panel in zip(axes, panels, strict=True):
            plot.plain_numbers(ax)
            ax.set(title=PANELS[panel], xlabel="patches N", ylabel=quantity.unit)
            for curve in curves:
                if (curve.scope, curve.phase) == panel:
                    _curve(ax, curve, quantity, style_of(curve.name, labels), _cut(curve.name))
            for crossover in crossed:
                if (crossover.ours.scope, crossover.ours.phase) == panel:
                    _mark_crossover(ax, crossover)
        named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        axes[0].legend(named.values(), named.keys(), loc="upper left", fontsize=8)

    def in_words(curve: Curve) -> str:
        points = [point for point in (curve.points[0], curve.points[-1]) if quantity.of_point(point)]
        said = ", ".join(f"{_written(quantity, point)} at N = {point.patches:,}" for point in points)
        return f"{PANELS[curve.scope, curve.phase]}, {curve.name}: {said}"

    marks = " A dotted line marks where EANet's step becomes the faster one." if any(map(_is_inside, crossed)) else ""
    return drawn(
        quantity.name,
        f"{quantity.title} against the number of patches",
        "; ".join(map(in_words, curves)),
        f"Log axes; bands are 95 % intervals over processes, lines are the fitted models.{marks}",
        paint,
        panels=len(panels),
        columns=2,
        height=2.9,
        phone_height=2.7,
    )


def _is_inside(crossover: Crossover) -> bool:
    """Whether the curves cross within the measured sizes."""
    return 0 < crossover.patches.estimate < np.inf


def _mark_crossover(ax: Axes, crossover: Crossover) -> None:
    """A dotted line where the two curves cross, if they do within the sizes, and a shade for its interval."""
    patches = crossover.patches
    if not _is_inside(crossover):
        return
    ax.axvline(patches.estimate, color=INK, linewidth=0.8, linestyle=":")
    said = f"EANet is faster\nabove N = {patches.estimate:,.0f}"
    places: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(said, (patches.estimate, 0.0), (3, 3), **places, va="bottom", fontsize=8)
    if patches.low is not None and patches.high is not None:
        smallest, largest = ax.get_xlim()
        ax.axvspan(max(patches.low, smallest), min(patches.high, largest), color=INK, alpha=0.08, linewidth=0)


def costs(race: Race | None) -> Figure | None:
    """Draws mean accuracy against each cost for all models that were trained alike, and joins those that no other beats
    in both."""
    if race is None:
        return None
    labels, keys = labels_of(race.models), list(race.costs)

    def paint(axes: list[Axes], on_phone: bool) -> None:
        for ax, key in zip(axes, keys, strict=True):
            cost, best = COSTS[key], race.front(key)
            corners = [(cost.at(model), model.mean(TOP1).estimate * 100) for model in best]
            ax.plot(*zip(*corners, strict=True), color=INK, drawstyle="steps-post", linewidth=0.8, alpha=0.6)
            for model in race.models:
                x, mean, (color, marker) = cost.at(model), model.mean(TOP1), style_of(model.name, labels)
                ax.plot([x], [mean.estimate * 100], color=color, marker=marker, linestyle="none", label=model.name)
                plot.bar(ax, x, mean, 100, color=color, linewidth=1, alpha=0.6)
            plot.few_numbers(ax)
            ax.set(xlabel=cost.axis, ylabel="test top-1 (%)")
        handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
        axes[0].legend([handles[label] for label in labels], labels, fontsize=8)

    fronts = {key: race.front(key) for key in keys}
    return drawn(
        "costs",
        f"Accuracy against cost: {len(race.models)} models that were trained alike",
        "; ".join(
            f"undominated in {COSTS[key].name}: {', '.join(m.full_name for m in best)}" for key, best in fronts.items()
        ),
        "Means with 95 % intervals over seeds. The line joins those that no other beats in both.",
        paint,
        panels=len(keys),
        columns=len(keys),
        height=3.4,
    )
