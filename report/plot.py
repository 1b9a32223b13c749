"""What every drawing of a page shares, the same bytes every time: style, colours, axes, and the way to SVG text."""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import matplotlib.style
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation

from models.config import VARIANTS
from report import words
from report.accuracy import FEWEST_SEEDS
from report.groups import Group
from report.parts import Figure
from report.words import Units
from results.growth import Growth
from results.stats import Interval

INK = "#010203"
"""Stands for the page's text colour, and becomes `currentColor` in the SVG, so that a figure fits light and dark."""
STYLES = {variant.title: (variant.color, variant.marker) for variant in VARIANTS.values()}
"""Title of a variant -> its colour and its marker."""
OWN_COLORS = ("#cc6677", "#7a7fd0", "#6b8e23", "#1f9aa8", "#a0693d")
OWN_MARKERS = ("*", "p", "h", "<", ">")
"""Of the variants that a suite makes itself."""
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,  # names are names, also with a dollar in them
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


def style_of(label: str, labels: list[str]) -> tuple[str, str]:
    """Colour and marker of a label among those of a figure.

    The colour is that of its variant through the whole page, also where a setting stands behind its name; then, and
    for a variant of a suite's own, the marker tells it from the others of the figure.
    """
    if label in STYLES:
        return STYLES[label]
    place = [other for other in labels if other not in STYLES].index(label)
    named = [title for title in STYLES if label.startswith((f"{title} (", f"{title}, "))]
    color = STYLES[max(named, key=len)][0] if named else OWN_COLORS[place % len(OWN_COLORS)]
    return color, OWN_MARKERS[place % len(OWN_MARKERS)]


def labels_of(groups: Iterable[Group]) -> list[str]:
    """Their names in a fixed order, those that are a variant's title first."""
    found = dict.fromkeys(group.name for group in groups)
    return [title for title in STYLES if title in found] + [label for label in found if label not in STYLES]


def _style(**more: str) -> AbstractContextManager[None]:
    """The figures' style over matplotlib's own defaults, whatever the reader's matplotlibrc says."""
    context: AbstractContextManager[None] = mpl.style.context(STYLE | more, after_reset=True)
    return context


def canvas_of(
    panels: int, width: float, height: float, paint: Callable[[list[Axes]], None], columns: int = 2
) -> Canvas:
    """A canvas of at most `columns` panels a row; `height` is that of a row."""
    columns = min(panels, columns)
    rows = math.ceil(panels / columns)
    with _style():
        canvas = Canvas(figsize=(width, rows * height), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        paint(axes[:panels])
        return canvas


def drawn(name: str, title: str, alt: str, caption: str, canvas: Canvas) -> Figure:
    """The canvas as a figure whose `<svg>` takes the page's text colour and width."""
    buffer = io.StringIO()
    with _style(**{"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")  # the reader's browser has its own fonts
        canvas.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # the same in every figure, and an id is unique in a page
    for size in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*pt"', r"\1", svg)
    return Figure(name, title, alt, caption, svg)


def plain_numbers(ax: Axes) -> None:
    """Log axes with plain numbers, a label for every factor of 4 across and of 10 upwards."""
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=4))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def few_numbers(ax: Axes) -> None:
    """Few numbers on a log axis, written in short: 5 M, 200 k, 20."""

    def short(value: float, _: object) -> str:
        for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
            if value >= size:
                return f"{value / size:g}{unit}"
        return f"{value:g}"

    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=10, subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(short))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def counts(ax: Axes) -> None:
    """An axis of whole numbers."""
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))


def whisker(ax: Axes, value: Interval, row: float, scale: float, style: tuple[str, str], filled: bool) -> None:
    """An estimate with its interval, where there is one, lying down."""
    color, marker = style
    if value.low is not None and value.high is not None:
        ax.plot([value.low * scale, value.high * scale], [row, row], color=color, linewidth=2)
    face = color if filled else "none"
    ax.plot([value.estimate * scale], [row], color=color, marker=marker, markersize=7, markerfacecolor=face)


def bar(ax: Axes, at: float, mean: Interval, scale: float, **style: Any) -> None:
    """A mean's interval, standing."""
    if mean.n >= FEWEST_SEEDS and mean.low is not None and mean.high is not None:
        ax.plot([at, at], [mean.low * scale, mean.high * scale], **style)


def band(ax: Axes, sizes: list[int], values: list[Interval], scale: float, style: tuple[str, str], label: str) -> None:
    """The measured values with their intervals as a band."""
    color, marker = style
    ax.plot(sizes, [v.estimate * scale for v in values], color=color, marker=marker, linestyle="none", label=label)
    known = [(n, v.low * scale, v.high * scale) for n, v in zip(sizes, values, strict=True) if v.low and v.high]
    if any(low < high for _, low, high in known):
        known_sizes, lows, highs = zip(*known, strict=True)
        ax.fill_between(known_sizes, lows, highs, color=color, alpha=0.15, linewidth=0)


LAW_X = 1.02
LABEL_GAP = 0.085
"""Least distance of two labels at the right of a panel, as a share of its height."""


def law(ax: Axes, sizes: list[int], growth: Growth | None, scale: float, units: Units, color: str) -> None:
    """The fitted model as a line, with its formula at the right end."""
    if growth is None:
        return
    dense, last = np.geomspace(sizes[0], sizes[-1], 60), sizes[-1]
    ax.plot(dense, [growth.law.at(size) * scale for size in dense], color=color, linewidth=1.2)
    ax.annotate(
        words.law(growth.law, units), (last, growth.law.at(last) * scale), (LAW_X, 0), textcoords="axes fraction",
        color=color, va="center", fontsize=9, annotation_clip=False,
    )  # fmt: skip


def spread_laws(ax: Axes) -> None:
    """Puts the formulas at the heights of their lines, pushed apart where they would overlap."""
    laws = [text for text in ax.texts if isinstance(text, Annotation) and text.xyann[0] == LAW_X]
    ax.get_ylim()  # settles the limits, which the heights depend on
    axes_height = ax.transData + ax.transAxes.inverted()
    taken = -1.0
    for text in sorted(laws, key=lambda text: text.xy[1]):
        taken = max(float(axes_height.transform(text.xy)[1]), taken + LABEL_GAP)
        text.xyann = (LAW_X, taken)
