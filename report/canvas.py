"""What every figure of the page shares: its style, its colours, and the way to SVG text."""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.style
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from models.config import VARIANTS
from report.conditions import Group, proper

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


@dataclass(frozen=True)
class Figure:
    """One figure of the page: SVG text, a title that states what is seen, and its numbers in words."""

    name: str
    title: str
    alt: str
    svg: str


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


def _style(**more: str) -> AbstractContextManager[None]:
    """The figures' style over matplotlib's own defaults, whatever the reader's matplotlibrc says."""
    context: AbstractContextManager[None] = mpl.style.context(STYLE | more, after_reset=True)
    return context


def labels_of(groups: Iterable[Group]) -> list[str]:
    """Labels in a fixed order, those that are a variant's title first."""
    found = dict.fromkeys(proper(group) for group in groups)
    return [title for title in STYLES if title in found] + [label for label in found if label not in STYLES]


def svg_text(name_: str, canvas: Canvas) -> str:
    """The canvas as an `<svg>` element that takes the page's text colour and width, the same bytes every time."""
    buffer = io.StringIO()
    with _style(**{"svg.hashsalt": name_}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")  # the reader's browser has its own fonts
        canvas.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg)  # the same in every figure, and an id is unique in a page
    return re.sub(r'(<svg[^>]*?) (width|height)="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", svg))


def plain_numbers(ax: Axes) -> None:
    """Log axes with plain numbers, a label for every factor of 4 across and of 10 upwards."""
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=4))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())


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
