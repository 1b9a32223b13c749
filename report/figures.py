"""Findings -> figures. Each is declared in one place: its key, title, numbers in words, caption and painter."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from models.config import Marker
from report import groups, plot, reproductions, verdicts, words
from report.accuracy import Study
from report.findings import Findings
from report.groups import BASE, OURS, PUBLISHED, Group, Training
from report.growth import Crossover, Curve, StepTime
from report.parts import Figure
from report.plot import INK, End, drawn, labels_of, style_of
from report.race import COSTS, Race
from report.tested import Comparison
from results import published
from results.growth import Growth
from results.metrics import TOP1, Metric
from results.stats import Interval


def figures(findings: Findings) -> dict[str, Figure]:
    """Draws every figure that the findings have data for, by its name."""
    made = [
        accuracy(findings.studies),
        speed(findings.curves, findings.crossovers),
        *map(learning, findings.studies),
        *(growth(quantity, findings.curves, findings.crossovers) for quantity in QUANTITIES),
        ablations(findings.ablations),
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

    margins = {row.comparison.margin * scale for row in rows if row.comparison and row.comparison.margin}

    def paint(axes: list[Axes], on_phone: bool) -> None:
        (ax,) = axes
        across, is_above = ax.get_yaxis_transform(), on_phone or width == plot.HALF
        for margin in margins:
            ax.axvspan(-margin, margin, color=INK, alpha=0.08, linewidth=0, zorder=0)
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
    for margin in sorted(margins):
        caption += f" Within the band, ±{margin:g} pp, two models count as equally accurate."
    if is_wide:
        caption += f" Beyond ±{LINEAR} pp the scale is logarithmic."
    return drawn(name, title, alt, caption, paint, width=width, height=height, phone_height=phone)


def accuracy(studies: Sequence[Study]) -> Figure | None:
    """Draws EANet − ViT wherever the two were trained alike, and whether that was the tutorial's own case."""
    compared = verdicts.of_the_two(studies)
    if not compared:
        return None
    rows = [Row(_circumstances(comparison), comparison) for comparison in compared]
    if all(reproductions.departures_of_both(comparison) for comparison in compared):
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
    what = [words.dataset(ours.first.dataset), words.number_of(ours.epochs, "epoch"), f"N = {ours.first.patches}"]
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
    tutorial's two logs behind it.
    """
    labels = labels_of(study.trainings)
    grids = sorted({training.grid for training in study.trainings})
    rows = [[label] for label in labels] if len(grids) > 1 else [labels]
    curves = CURVES[:2] if study.is_ablation else CURVES
    panels = [([t for t in study.trainings if t.name in row], *curve) for row in rows for curve in curves]

    def name(training: Training) -> str:
        return _cut(training.full_name if len(rows) == 1 else ", ".join(training.settings))

    def paint(axes: list[Axes], on_phone: bool) -> None:
        ends = []
        for ax, (shown, figure, part, unit, scale) in zip(axes, panels, strict=True):
            of_panel = [*_tutorial_logs(ax, shown, figure, scale)]
            for training in shown:
                color, marker = style_of(training.name, labels)
                style: dict[str, Any] = {"color": color, "linestyle": LINES[grids.index(training.grid) % len(LINES)]}
                style |= {"zorder": 3 if stands_out(training) else 2}
                seeds = [[getattr(epoch, figure) * scale for epoch in record.epochs] for record in training.records]
                if len(seeds) > 1:
                    lines = [list(enumerate(seed, start=1)) for seed in seeds]
                    ax.add_collection(LineCollection(lines, **style, alpha=0.25, linewidth=0.5))
                shortest = min(map(len, seeds))
                mean = np.mean([seed[:shortest] for seed in seeds], axis=0)
                style |= {"marker": marker, "markevery": max(1, shortest // 8), "markersize": 4}
                ax.plot(range(1, shortest + 1), mean, **style, linewidth=_width(training))
                of_panel.append(End(shortest, float(mean[-1]), name(training), color, stands_out(training)))
            of = f"{shown[0].name}, " if len(rows) > 1 else ""
            loss = f"{unit}{groups.smoothing(study.trainings)}" if unit == "loss" else unit
            ax.set(title=f"{of}{part}", xlabel="epoch", ylabel=loss)
            plot.whole_epochs(ax, max(training.epochs for training in study.trainings))
            ends.append(of_panel)
        for unit in {unit for *_, unit, _ in panels}:
            alike = [ax for ax, panel in zip(axes, panels, strict=True) if panel[3] == unit]
            limits = [limit for ax in alike for limit in ax.get_ylim()]
            for ax in alike:
                ax.set_ylim(min(limits), max(limits))
        plot.name_ends(axes, ends)

    names = [[*published.LOGS, *map(name, shown)] for shown, *_ in panels]
    return drawn(
        f"{study.suite}-learning",
        f"Learning curves: {_ends(study)}",
        "; ".join(
            f"{t.full_name} ends at {_end(t, 'top1')} top-1 in training and {_end(t, 'val_top1')} in validation"
            for t in study.trainings
        ),
        "The faintest lines are single seeds. Training accuracy is taken with augmentation and dropout on, so it may "
        "lie below validation.",
        paint,
        panels=len(panels),
        columns=len(curves),
        height=plot.tall_enough(2.9, names),
        phone_height=None if study.is_ablation else plot.tall_enough(2.4, names),
    )


def stands_out(group: Group) -> bool:
    """Whether it is of the tutorial's two variants, which are drawn in bold."""
    return group.variant in PUBLISHED


def _width(group: Group) -> float:
    """Width of a group's line in points."""
    return 2.0 if stands_out(group) else 0.9


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


def _tutorial_logs(ax: Axes, shown: Iterable[Training], figure: str, scale: float) -> Iterator[End]:
    """The logs that the tutorial prints, as far as was trained here: thin lines behind the measured ones."""
    alike = [t.epochs for t in shown if (t.variant, t.trial.dataset) == (OURS, published.SETTINGS["dataset"])]
    for name in published.LOGS if alike else ():
        log = published.log_epochs(name)[: max(alike)]
        values = [getattr(epoch, figure) * scale for epoch in log]
        ax.plot([epoch.epoch for epoch in log], values, color=INK, linewidth=0.8, alpha=0.6, zorder=1)
        yield End(log[-1].epoch, values[-1], name, INK, stands_out=False)


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

    def of(self, curve: Curve) -> list[tuple[int, Interval]]:
        """The sizes at which it is known, with its values."""
        return [(point.patches, value) for point in curve.points if (value := self.of_point(point))]


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
        ax.set(xlabel="patches N", ylabel="ms")
        for curve in shown:
            _curve(ax, curve, TIME, style_of(curve.name, labels))
        plot.name_ends(axes, [[_end_of(c, TIME, end, labels) for c, end in zip(shown, ends, strict=True)]])

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


def _curve(ax: Axes, curve: Curve, quantity: Quantity, style: tuple[str, Marker]) -> None:
    """Draws the measured points with their intervals as a band, and the fitted model as a line."""
    (sizes, values), (color, marker) = zip(*quantity.of(curve), strict=True), style
    y = [value.estimate * quantity.scale for value in values]
    over: dict[str, Any] = {"color": color, "zorder": 3 if stands_out(curve) else 2}
    ax.plot(sizes, y, **over, marker=marker, markersize=5 if stands_out(curve) else 3, linestyle="none")
    plot.band(ax, list(sizes), list(values), quantity.scale, color)
    if fitted := quantity.of_curve(curve):
        dense = np.geomspace(sizes[0], sizes[-1], 25)
        ax.plot(dense, [fitted.law.at(size) * quantity.scale for size in dense], **over, linewidth=_width(curve))


def _end_of(curve: Curve, quantity: Quantity, name: str, labels: list[str]) -> End:
    """The last point of a curve, with its name."""
    patches, value = quantity.of(curve)[-1]
    return End(patches, value.estimate * quantity.scale, name, style_of(curve.name, labels)[0], stands_out(curve))


def growth(quantity: Quantity, curves: Sequence[Curve], crossovers: Iterable[Crossover]) -> Figure | None:
    """Draws time or memory against the patches, a panel per scope and phase: points, and fitted models as lines."""
    known = [curve for curve in curves if quantity.of(curve)]
    if not known:
        return None
    labels = labels_of(known)
    panels = {panel: [c for c in known if (c.scope, c.phase) == panel] for panel in PANELS}
    panels = {panel: shown for panel, shown in panels.items() if shown}
    crossed = [c for c in crossovers if quantity is TIME and (c.ours.variant, c.base.variant) == (OURS, BASE)]

    def paint(axes: list[Axes], on_phone: bool) -> None:
        for ax, (panel, shown) in zip(axes, panels.items(), strict=True):
            plot.plain_numbers(ax)
            ax.set(title=PANELS[panel], xlabel="patches N", ylabel=quantity.unit)
            for curve in shown:
                _curve(ax, curve, quantity, style_of(curve.name, labels))
            for crossover in crossed:
                if (crossover.ours.scope, crossover.ours.phase) == panel:
                    _mark_crossover(ax, crossover)
        plot.name_ends(axes, [[_end_of(c, quantity, _cut(c.name), labels) for c in shown] for shown in panels.values()])

    def in_words(curve: Curve) -> str:
        points = [point for point in (curve.points[0], curve.points[-1]) if quantity.of_point(point)]
        said = ", ".join(f"{_written(quantity, point)} at N = {point.patches:,}" for point in points)
        return f"{PANELS[curve.scope, curve.phase]}, {curve.name}: {said}"

    marks = " A dotted line marks where EANet's step becomes the faster one." if any(map(_is_inside, crossed)) else ""
    names = [[_cut(curve.name) for curve in shown] for shown in panels.values()]
    return drawn(
        quantity.name,
        f"{quantity.title} against the number of patches",
        "; ".join(map(in_words, known)),
        f"Log axes; bands are 95 % intervals over processes, lines are the fitted models.{marks}",
        paint,
        panels=len(panels),
        columns=2,
        height=plot.tall_enough(2.9, names),
        phone_height=plot.tall_enough(2.7, names),
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
    ax.annotate(said, (patches.estimate, 1.0), (3, -3), **places, va="top", fontsize=8)
    if patches.low is not None and patches.high is not None:
        smallest, largest = ax.get_xlim()
        ax.axvspan(max(patches.low, smallest), min(patches.high, largest), color=INK, alpha=0.08, linewidth=0)


def costs(race: Race | None) -> dict[tuple[str, str], Figure]:
    """Draws each metric against each cost of the models that were trained alike: (metric, cost), for people, -> figure.

    The first is the one to begin with.
    """
    if race is None:
        return {}
    return {
        (metric.test_title, cost.name): _cost(race, metric, key)
        for metric in race.metrics.values()
        for key, cost in race.costs.items()
    }


def _cost(race: Race, metric: Metric, key: str) -> Figure:
    """Draws the mean of a metric against a cost for all models that have both, and joins the undominated ones."""
    cost, models, best = COSTS[key], race.having(key), race.front(key, metric)
    labels, scale = labels_of(race.models), words.UNITS[metric.unit].scale
    means = [model.mean(metric) for model in models]
    named = [model for model in models if model in best or not model.grid]

    def paint(axes: list[Axes], on_phone: bool) -> None:
        (ax,) = axes
        corners = [(cost.at(model), model.mean(metric).estimate * scale) for model in best]
        ax.plot(*zip(*corners, strict=True), color=INK, drawstyle="steps-post", linewidth=0.8, alpha=0.6, zorder=1)
        ends = []
        for model, mean in zip(models, means, strict=True):
            x, y, (color, marker) = cost.at(model), mean.estimate * scale, style_of(model.name, labels)
            face = color if _is_plain(model) else "none"
            over = 3 if _is_plain(model) else 2
            plot.bar(ax, x, mean, scale, color=color, linewidth=1, alpha=0.4, zorder=over)
            ax.plot([x], [y], color=color, marker=marker, markersize=7, markerfacecolor=face, zorder=over)
            if model in named:
                ends.append(End(x, y, _cut(model.full_name), color, _is_plain(model)))
        plot.few_numbers(ax)
        unit = f" ({metric.unit})" if metric.unit else ""
        ax.set(xlabel=cost.axis, ylabel=f"{metric.test_title}{unit}\n{metric.better} is better")
        plot.name_ends(axes, [ends])

    height = plot.tall_enough(3.8, [[_cut(model.full_name) for model in named]])
    without = [model.full_name for model in race.models if model not in models]
    unnamed = " Points without a name are of the variant of their colour, with a suite's settings."
    left_out = f" Left out, with no known {cost.name}: {'; '.join(without)}."
    return drawn(
        f"costs-{metric.name}-{key}",
        words.sentence(f"{metric.test_title} against {cost.name}: {len(best)} of {len(models)} models undominated"),
        "; ".join(
            f"{model.full_name}: {words.value_estimate(metric, mean)} at {cost.written(model)}"
            for model, mean in zip(models, means, strict=True)
        ),
        "Means with 95 % intervals over seeds. The line joins those that no other beats in both: "
        f"{'; '.join(model.full_name for model in best)}."
        f"{unnamed if len(named) < len(models) else ''}{left_out if without else ''}",
        paint,
        height=height,
        phone_height=height,
    )


def _is_plain(model: Training) -> bool:
    """Whether it is one of the tutorial's two variants with no setting of a suite's."""
    return stands_out(model) and model.full_name == words.variant_name(model.variant)
