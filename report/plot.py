"""What every drawing of a page shares, the same bytes every time: style, colours, axes, and the way to SVG text."""

import io
import math
import re
import textwrap
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.style
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy.optimize import isotonic_regression

from models.config import VARIANTS, Marker
from report.groups import Group
from report.parts import Figure
from results.stats import Interval

INK = "#010203"
"""Stands for the page's text colour, and becomes `currentColor` in the SVG, so that a figure fits light and dark."""
STYLES = {variant.title: (variant.color, variant.marker) for variant in VARIANTS.values()}
"""Title of a variant -> its colour and its marker."""
OWN_COLORS = ("#cc6677", "#7a7fd0", "#6b8e23", "#1f9aa8", "#a0693d")
OWN_MARKERS: tuple[Marker, ...] = ("*", (4, 1, 0), (6, 1, 0), (5, 1, 36), (4, 1, 45))
"""Styles for the variants that a suite makes itself."""
FULL, HALF, PHONE = 11.0, 5.6, 4.3
"""Widths of a drawing in inches: as wide as the page's text, half of it, and a phone."""
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

Paint = Callable[[list[Axes], bool], None]
"""Paints the panels of a drawing; the second argument is whether it is the one for a phone."""


def style_of(label: str, labels: list[str]) -> tuple[str, Marker]:
    """Returns colour and marker of a label among those of a figure.

    The colour is that of its variant through the whole page, also where a setting stands behind its name; then, and
    for a variant of a suite's own, the marker distinguishes it from the others of the figure.
    """
    if label in STYLES:
        return STYLES[label]
    place = [other for other in labels if other not in STYLES].index(label)
    named = [title for title in STYLES if label.startswith((f"{title} (", f"{title}, "))]
    color = STYLES[max(named, key=len)][0] if named else OWN_COLORS[place % len(OWN_COLORS)]
    return color, OWN_MARKERS[(place + place // len(OWN_COLORS)) % len(OWN_MARKERS)]


def labels_of(groups: Iterable[Group]) -> list[str]:
    """Returns their names in the order of `VARIANTS`, then those of a suite's own."""
    found = dict.fromkeys(group.name for group in groups)
    return [title for title in STYLES if title in found] + [label for label in found if label not in STYLES]


def drawn(
    name: str,
    title: str,
    alt: str,
    caption: str,
    paint: Paint,
    *,
    panels: int = 1,
    columns: int = 1,
    width: float = FULL,
    height: float,
    phone_height: float | None = None,
) -> Figure:
    """Draws a figure for a wide page and, where `phone_height` is given, another one for a phone, of one column.

    `height` and `phone_height` are of a row of panels, in inches.
    """
    svg = _svg(name, panels, min(panels, columns), (width, height), lambda axes: paint(axes, False))
    phone = phone_height and _svg(f"{name}-phone", panels, 1, (PHONE, phone_height), lambda axes: paint(axes, True))
    return Figure(name, title, alt, caption, svg, phone or "")


def _svg(name: str, panels: int, columns: int, size: tuple[float, float], paint: Callable[[list[Axes]], None]) -> str:
    rows = math.ceil(panels / columns)
    with _style(name), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")  # the reader's browser has its own fonts
        canvas = Canvas(figsize=(size[0], rows * size[1]), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        paint(axes[:panels])
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return plain_svg(buffer.getvalue())


def _style(name: str) -> AbstractContextManager[None]:
    """The figures' style over matplotlib's own defaults, whatever the reader's matplotlibrc says."""
    context: AbstractContextManager[None] = mpl.style.context(STYLE | {"svg.hashsalt": name}, after_reset=True)
    return context


SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", LINK)


def plain_svg(svg: str) -> str:
    """Returns matplotlib's SVG as a page can hold it; its texts stay what they are.

    Without ids of groups, which are the same in every figure; in the page's text colour and width; and with
    presentation attributes in place of style attributes, which a Content-Security-Policy may forbid.
    """
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    for above in list(root.iter()):
        for element in list(above):
            if element.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                above.remove(element)
    for element in root.iter():
        attributes = {**element.attrib, **_of_style(element.attrib.get("style", ""))}
        left_out = {"style", *(("width", "height") if element is root else ())}
        left_out |= {"id"} if element.tag == f"{{{SVG}}}g" else set()
        element.attrib.clear()
        for name, value in attributes.items():
            if name not in left_out:  # a hundredth of a point is enough
                element.set(name, re.sub(r"(\d\.\d\d)\d+", r"\1", " ".join(value.split())).replace(INK, "currentColor"))
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, encoding="unicode")


def _of_style(style: str) -> dict[str, str]:
    """For example `fill: none; font: 10px 'A', serif` as fill, font-size and font-family."""
    parts = (part.partition(":") for part in style.split(";") if part.strip())
    found = {name.strip(): value.strip() for name, _, value in parts}
    if font := re.fullmatch(r"(?:(\w+) )?([\d.]+px) (.*)", found.pop("font", "")):
        found |= {"font-size": font[2], "font-family": font[3]} | ({"font-weight": font[1]} if font[1] else {})
    return found


class End(NamedTuple):
    """Where a line ends in its panel, the name that is written there, its colour, and whether it stands out."""

    x: float
    y: float
    name: str
    color: str
    stands_out: bool


LONGEST_LINE = 22
"""Letters of a name that stand on one line at the end of a curve."""
LINE = 11.5
"""Height of such a line in points."""


def _on_lines(name: str) -> str:
    return "\n".join(line for part in name.split("\n") for line in textwrap.wrap(part, LONGEST_LINE))


def tall_enough(least: float, names: Iterable[Sequence[str]]) -> float:
    """Returns the height of a panel in inches, axes and title included, that has room for all names at its right."""
    lines = max(sum(1 + _on_lines(name).count("\n") for name in panel) for panel in names)
    return max(least, 0.9 + lines * LINE / 72)


def name_ends(axes: Sequence[Axes], ends: Sequence[Sequence[End]]) -> None:
    """Writes each line's name right of its panel, in its colour, as level with its end as the other names leave room.

    All else has to be drawn before.
    """
    canvas = axes[0].get_figure(root=True)
    assert canvas is not None
    canvas.draw_without_rendering()  # from here on limits and heights are known
    for ax, of_panel in zip(axes, ends, strict=True):
        points = ax.get_window_extent().height * 72 / canvas.dpi
        names = [_on_lines(end.name) for end in of_panel]
        at = [ax.transAxes.inverted().transform(ax.transData.transform((end.x, end.y))) for end in of_panel]
        levels = spread([y for _, y in at], [LINE / points * (1 + name.count("\n")) for name in names])
        for end, name, (x, y), level in zip(of_panel, names, at, levels, strict=True):
            weight = "bold" if end.stands_out else "normal"
            style: dict[str, Any] = {"transform": ax.transAxes, "color": end.color}
            ax.plot([x, 1.02], [y, level], **style, linewidth=0.8, linestyle=":", clip_on=False, zorder=1)
            ax.text(1.03, level, name, **style, fontsize=9, fontweight=weight, va="center", linespacing=1)


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Returns the centres of labels of such heights, between 0 and 1, that overlap nowhere and keep their order.

    They are as near to where they are wanted as can be, by least squares: what is left of each centre when the labels
    below it are taken off has only to be in order.
    """
    order = np.argsort(wanted, kind="stable")
    tall = np.asarray(heights)[order]
    below = np.cumsum(tall) - tall / 2
    free = isotonic_regression(np.asarray(wanted)[order] - below).x if len(order) else below
    centres = np.empty(len(order))
    centres[order] = below + np.clip(free, 0, max(0.0, 1 - tall.sum()))
    return centres.tolist()


def plain_numbers(ax: Axes) -> None:
    """Log axes with plain numbers, a label for every factor of 4 across and of about 3 upwards."""
    ax.set(xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_locator(mpl.ticker.NullLocator())
    ax.xaxis.set_major_locator(mpl.ticker.LogLocator(base=4))
    ax.yaxis.set_major_locator(mpl.ticker.LogLocator(base=10, subs=(1, 3)))


def few_numbers(ax: Axes) -> None:
    """A log axis across with few numbers, however far it reaches, written in short: 5 M, 200 k, 20."""

    def short(value: float, _: object) -> str:
        for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
            if value >= size:
                return f"{value / size:g}{unit}"
        return f"{value:g}"

    ax.set(xscale="log")
    low, high = ax.get_xlim()
    of_decades = mpl.ticker.LogLocator(base=10, subs=(1, 3) if high > 10 * low else (1, 2, 5))
    ax.xaxis.set_major_locator(of_decades if high > 4 * low else mpl.ticker.MaxNLocator(4))
    ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(short))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def whole_epochs(ax: Axes, epochs: int) -> None:
    """An axis of epochs, with whole ones alone also where there is but one."""
    ax.set_xlim(0.5, epochs + 0.5)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))


def whisker(ax: Axes, value: Interval, row: float, scale: float, style: tuple[str, Marker], *, filled: bool) -> None:
    """An estimate with its interval, where there is one, lying down."""
    color, marker = style
    if value.low is not None and value.high is not None:
        ax.plot([value.low * scale, value.high * scale], [row, row], color=color, linewidth=2)
    face = color if filled else "none"
    ax.plot([value.estimate * scale], [row], color=color, marker=marker, markersize=7, markerfacecolor=face)


def bar(ax: Axes, at: float, mean: Interval, scale: float, **style: Any) -> None:
    """A mean's interval, standing."""
    if mean.low is not None and mean.high is not None:
        ax.plot([at, at], [mean.low * scale, mean.high * scale], **style)


def band(ax: Axes, sizes: list[int], values: list[Interval], scale: float, color: str) -> None:
    """The intervals of measured values as a band."""
    known = [(n, v.low * scale, v.high * scale) for n, v in zip(sizes, values, strict=True) if v.low and v.high]
    if any(low < high for _, low, high in known):
        known_sizes, lows, highs = zip(*known, strict=True)
        ax.fill_between(known_sizes, lows, highs, color=color, alpha=0.15, linewidth=0)
