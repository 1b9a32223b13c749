"""Studies and the race -> figures of accuracy, its differences, and what they cost."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from report import pareto, words
from report.accuracy import FEWEST_SEEDS, Study, Training, full_name, have_cost
from report.accuracy_answers import IN_SHORT, against
from report.canvas import INK, Figure, canvas_of, labels_of, style_of, svg_text
from report.conditions import proper
from report.pareto import Race
from results import published
from results.metrics import TOP1, Metric
from results.stats import Interval


def _values(study: Study) -> Figure:
    """The metric of every seed and its mean with the interval."""
    metric, labels, scale = study.metric, labels_of(study.trainings), words.UNITS[study.metric.unit].scale
    rows = [full_name(training) for label in labels for training in study.trainings if proper(training) == label]
    means = [(training, training.mean(metric)) for training in study.trainings]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        frame = pd.DataFrame(
            [(full_name(t), metric.read(r) * scale) for t in study.trainings for r in t.records],
            columns=["training", "value"],
        )
        palette = {full_name(t): style_of(proper(t), labels)[0] for t in study.trainings}
        seeds = {"data": frame, "x": "value", "y": "training", "hue": "training", "order": rows, "palette": palette}
        sns.stripplot(**seeds, alpha=0.5, jitter=False, legend=False, ax=ax)
        for training, mean in means:
            color, marker = style_of(proper(training), labels)
            row = rows.index(full_name(training))
            _whisker(ax, mean, row + 0.22, scale, color, marker, mean.low is not None)
        ax.set_ylim(len(rows) - 0.4, -0.5)
        ax.set(xlabel=f"{_axis(metric)}, one faint dot a seed; below, the mean with its 95 % interval", ylabel="")

    canvas = canvas_of(1, 9, 0.9 + 0.6 * len(rows), paint)
    alt = "; ".join(f"{full_name(t)}: mean {metric.test_title} {words.value(metric, m)}, n = {m.n}" for t, m in means)
    key = f"{study.suite}-values"
    return Figure(key, f"{words.sentence(metric.test_title)}: {_seen(study)}", alt, svg_text(key, canvas))


def _axis(metric: Metric) -> str:
    return f"{metric.test_title} ({metric.unit})" if metric.unit else metric.test_title


def _seen(study: Study) -> str:
    """What the suite's differences come to, in a few words; of a suite without any, its highest and lowest mean."""
    metric = study.metric
    tested = [comparison for comparison in study.compared if comparison.p_value is not None]
    if len(study.compared) == 1:
        (one,) = study.compared
        return f"{against(one)} {words.difference(metric, one.difference)}, {IN_SHORT[one.state]}"
    if tested:
        significant = [comparison for comparison in tested if comparison.is_significant]
        largest = max(significant, key=lambda c: abs(c.difference.estimate), default=None)
        which = f", the largest {against(largest)} {words.difference(metric, largest.difference)}" if largest else ""
        return f"{len(significant)} of {len(tested)} differences significant{which}"
    means = {full_name(training): training.mean(metric) for training in study.trainings}
    if len(means) == 1:
        return "; ".join(f"{name} {words.value(metric, mean)}" for name, mean in means.items())
    low, high = (end(means, key=lambda name: means[name].estimate) for end in (min, max))
    lowest, highest = words.value(metric, means[low]), words.value(metric, means[high])
    return f"from {lowest} ({low}) to {highest} ({high}), nothing tested"


def _whisker(ax: Axes, value: Interval, row: float, scale: float, color: str, marker: str, filled: bool) -> None:
    """An estimate with its interval, where there is one, lying down."""
    if value.low is not None and value.high is not None:
        ax.plot([value.low * scale, value.high * scale], [row, row], color=color, linewidth=2)
    face = color if filled else "none"
    ax.plot([value.estimate * scale], [row], color=color, marker=marker, markersize=7, markerfacecolor=face)


def _differences(study: Study) -> Figure | None:
    """What is compared with a base, a row each: the difference with its interval, filled where it is significant."""
    compared = study.compared
    if not compared:
        return None
    metric, labels, unit = study.metric, labels_of(study.trainings), words.UNITS[study.metric.unit]

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        ax.axvline(0, color=INK, linewidth=0.8)
        for row, comparison in enumerate(compared):
            drawn = comparison.difference
            if comparison.p_value is None:  # too few seeds for an interval that could be believed
                drawn = Interval(drawn.estimate, None, None, drawn.n)
            style = style_of(proper(comparison.ours), labels)
            _whisker(ax, drawn, row, unit.scale, *style, comparison.is_significant)
        ax.set_yticks(range(len(compared)), [against(comparison) for comparison in compared])
        ax.set_ylim(len(compared) - 0.4, -0.6)
        what = f"{metric.test_title} ({unit.of_differences})" if unit.of_differences else metric.test_title
        ax.set(xlabel=f"difference in {what} with its own 95 % interval; filled: significant, hollow: not")

    canvas = canvas_of(1, 9, 0.9 + 0.42 * len(compared), paint)
    alt = "; ".join(
        f"{against(c)}: {words.difference(metric, c.difference)}, n = {c.difference.n}, {IN_SHORT[c.state]}"
        for c in compared
    )
    key = f"{study.suite}-differences"
    return Figure(key, f"Differences in {metric.test_title}: {_seen(study)}", alt, svg_text(key, canvas))


def _against_cost(study: Study, cost: str) -> Figure | None:
    """The metric against what a model costs; None where that is the same for all or cannot be compared.

    A line is a variant along the grid's first setting, with the other settings fixed.
    """
    metric, scale = study.metric, words.UNITS[study.metric.unit].scale
    lines: dict[str, list[Training]] = defaultdict(list)
    for training in study.trainings:
        lines[", ".join([proper(training), *training.settings[1:]])].append(training)
    labels = labels_of(study.trainings) if lines.keys() == set(labels_of(study.trainings)) else list(lines)
    if not have_cost(study.trainings, cost) or len({training.cost(cost) for training in study.trainings}) < 2:
        return None

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        for label in labels:
            color, marker = style_of(label, labels)
            found = sorted(lines[label], key=lambda t: t.cost(cost))
            means = [training.mean(metric) for training in found]
            x, y = [t.cost(cost) * COST_SCALES[cost] for t in found], [mean.estimate * scale for mean in means]
            ax.plot(x, y, color=color, marker=marker, linewidth=0.8, label=label)
            for training, at, mean in zip(found, x, means, strict=True):
                if mean.n >= FEWEST_SEEDS and mean.low is not None and mean.high is not None:
                    ax.plot([at, at], [mean.low * scale, mean.high * scale], color=color, linewidth=1.5)
                place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
                ax.annotate(", ".join(training.settings[:1]), (at, mean.estimate * scale), (5, 4), **place)
        ax.set(xlabel=COST_LABELS[cost], ylabel=_axis(metric), xscale="log")
        _plain_ticks(ax)
        ax.legend(fontsize=8)

    canvas = canvas_of(1, 9, 3.8, paint)
    alt = "; ".join(
        f"{full_name(t)}: {words.value(metric, t.mean(metric))} at {_cost_words(t, cost)}" for t in study.trainings
    )
    key = f"{study.suite}-{cost}"
    cheapest = min(study.trainings, key=lambda t: t.cost(cost))
    best = (max if metric.better == "higher" else min)(study.trainings, key=lambda t: t.mean(metric).estimate)
    title = f"{words.sentence(metric.test_title)} against {pareto.COSTS[cost]}: "
    times = best.cost(cost) / cheapest.cost(cost)
    costs = "is also the cheapest" if best is cheapest else f"costs {times:.2g} times the cheapest"
    title += f"by its mean the best, {full_name(best)}, {costs}"
    return Figure(key, title, alt, svg_text(key, canvas))


COST_LABELS = {
    "multiply_adds": "multiply-adds of one image, forward (log)",
    "parameters": "parameters (log)",
    "step_seconds": "training step (ms, log)",
}
COST_SCALES = {"multiply_adds": 1.0, "parameters": 1.0, "step_seconds": 1e3}


def _cost_words(training: Training, cost: str) -> str:
    """What a training costs, with its unit."""
    if cost == "step_seconds" and training.step_seconds:
        return f"{words.milliseconds(training.step_seconds)} ms"
    return f"{words.count(training.cost(cost))} {pareto.COSTS[cost]}"


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


def front(race: Race, cost: str) -> Figure:
    """Mean top-1 against a cost for all models trained alike; those that no other beats in both are numbered."""
    means, labels = race.means, labels_of(race.models)
    points = [
        (model.cost(cost) * COST_SCALES[cost], mean.estimate * 100)
        for model, mean in zip(race.models, means, strict=True)
    ]
    best_places = race.front(cost)

    def paint(axes: list[Axes]) -> None:
        (ax,) = axes
        best = [points[place] for place in best_places]
        ax.plot(*zip(*best, strict=True), color=INK, drawstyle="steps-post", linewidth=0.8, alpha=0.6)
        for model, mean, (x, y) in zip(race.models, means, points, strict=True):
            color, marker = style_of(proper(model), labels)
            ax.plot([x], [y], color=color, marker=marker, linestyle="none", label=proper(model))
            if mean.n >= FEWEST_SEEDS and mean.low is not None and mean.high is not None:
                ax.plot([x, x], [mean.low * 100, mean.high * 100], color=color, linewidth=1, alpha=0.6)
        for number, (x, y) in enumerate(best, start=1):
            ax.annotate(str(number), (x, y), (5, 4), textcoords="offset points", fontweight="bold")
        ax.set(xlabel=COST_LABELS[cost], ylabel=_axis(TOP1), xscale="log")
        _plain_ticks(ax)
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        ax.legend([handles[label] for label in labels], labels, fontsize=8)

    canvas = canvas_of(1, 9, 4.4, paint)
    others = [place for place in range(len(race.models)) if place not in best_places]
    alt = "; ".join(
        f"{race.names[place]}: {words.percent(means[place])} at {_cost_words(race.models[place], cost)}"
        for place in (*best_places, *others)
    )
    key = f"pareto-{cost}"
    title = f"{len(best_places)} of {len(race.models)} models are undominated in {pareto.COSTS[cost]} and mean top-1"
    return Figure(key, title, alt, svg_text(key, canvas))


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
    labels = labels_of(study.trainings)
    cells = sorted({training.cell for training in study.trainings})
    rows = [[label] for label in labels] if len(cells) > 1 else [labels]
    panels = [(row, *curve) for row in rows for curve in CURVES]

    def paint(axes: list[Axes]) -> None:
        for ax, (row, figure, part, unit, scale) in zip(axes, panels, strict=True):
            shown = [training for training in study.trainings if proper(training) in row]
            for training in shown:
                color, marker = style_of(proper(training), labels)
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
            loss = f"{unit}{study.smoothing}" if unit == "loss" else unit
            ax.set(title=f"{of}{part}", xlabel="epoch", ylabel=loss)
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        for unit in {unit for *_, unit, _ in panels}:
            alike = [ax for ax, panel in zip(axes, panels, strict=True) if panel[3] == unit]
            limits = [limit for ax in alike for limit in ax.get_ylim()]
            for ax in alike:
                ax.set_ylim(min(limits), max(limits))
        for ax in axes[:: len(CURVES)]:
            ax.legend(fontsize=8)

    canvas = canvas_of(len(panels), 11, 3.2, paint, columns=len(CURVES))
    alt = "; ".join(
        f"{full_name(t)} ends at {_end(t, 'top1')} top-1 in training and {_end(t, 'val_top1')} in validation"
        for t in study.trainings
    )
    key = f"{study.suite}-learning"
    return Figure(key, f"Learning curves: {_ends(study)}", alt, svg_text(key, canvas))


def _ends(study: Study) -> str:
    """Where the mean curves of validation end: the lowest and the highest."""
    low, high = (end(study.trainings, key=lambda t: _last(t, "val_top1")) for end in (min, max))
    lowest, highest = (_end(training, "val_top1") for training in (low, high))
    if lowest == highest:
        return f"{'all end' if len(study.trainings) > 1 else f'{full_name(high)} ends'} at {highest} validation top-1"
    return f"validation top-1 ends between {lowest} ({full_name(low)}) and {highest} ({full_name(high)})"


def _last(training: Training, figure: str) -> float:
    """Mean over the seeds of a figure of the last epoch."""
    return float(np.mean([getattr(record.epochs[-1], figure) for record in training.records]))


def _end(training: Training, figure: str) -> str:
    return f"{words.one_place(_last(training, figure) * 100)} %"


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
