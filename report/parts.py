"""What every page is made of: tables of columns, figures, and templates -> text."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from report import words
from report.words import NOTHING, Form
from results.stats import Interval

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """What is read, and by what it sorts and leaves the page: a number in its column's unit, with its interval.

    `note` stands below the text, in small print.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column, declared once: how it is read from its rows and written.

    `key` names it in an address and is unique in its table; the page writes `head` and its `unit`. `read` gives what a
    row has of it, a number in SI units, which times `scale` is one of `unit` and is written by `form`: a column without
    is of texts. What needs words of its own is read as a `Cell`. `csv` names it in the run's tables: its estimate and,
    where there are names for them, the two ends of its interval. The texts of an `unbroken` one stay on one line, as
    numbers do.
    """

    key: str
    head: str
    read: Callable[[Row], Cell | str | float | Interval | None]
    form: Form | None = None
    unit: str = ""
    scale: float = 1
    note: Callable[[Row], str] | None = None
    csv: tuple[str, ...] = ()
    unbroken: bool = False

    @property
    def is_number(self) -> bool:
        return self.form is not None

    def cell(self, row: Row) -> Cell:
        """The row's cell: a dash where it has nothing."""
        value = self.read(row)
        made = value if isinstance(value, Cell) else cell(value, self.form or str, self.scale)
        return replace(made, note=self.note(row)) if self.note else made

    def values(self, row: Row) -> dict[str, Any]:
        """What the row has in the run's tables, by name."""
        value = self.read(row)
        parts = (value.estimate, value.low, value.high) if isinstance(value, Interval) else (value,)
        return dict(zip(self.csv, parts, strict=False))


def cell(value: str | float | Interval | None, form: Form, scale: float = 1) -> Cell:
    """A text, a number, or an estimate with its interval: "97.9 [97.2, 98.6]"; a dash for nothing."""
    if value is None or value == "":
        return Cell(NOTHING)
    if isinstance(value, str):
        return Cell(value)
    if not isinstance(value, Interval):
        return Cell(form(value * scale), value * scale)
    low, high = (None if end is None else end * scale for end in (value.low, value.high))
    scaled = Interval(value.estimate * scale, low, high, value.n)
    return Cell(words.with_interval(scaled, form), scaled.estimate, low, high)


@dataclass(frozen=True, kw_only=True)
class Table:
    """`key` names it in an address and is unique in the page. The column `head` holds what a row is about."""

    key: str
    label: str
    caption: str
    columns: Sequence[Column[Any]]
    rows: Sequence[Sequence[Cell]]
    head: str


def table(
    key: str, label: str, caption: str, columns: Sequence[Column[Row]], rows: Iterable[Row], head: str = "variant"
) -> Table:
    """Returns the table of such columns of such rows. What is the same in all rows stands in the caption instead of in
    a column, except what a row is about and its verdict."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    constant = [
        place
        for place, column in enumerate(columns)
        if column.key not in (head, "verdict") and len(cells) > 1 and len({row[place] for row in cells}) == 1
    ]
    same = [
        f"{columns[place].head} {cells[0][place].text} {columns[place].unit}".rstrip()
        for place in constant
        if cells[0][place].text != NOTHING
    ]
    left = [place for place in range(len(columns)) if place not in constant]
    return Table(
        key=key,
        label=label,
        caption=" ".join([caption, *([f"The same in all rows: {'; '.join(same)}."] if same else [])]),
        columns=[columns[place] for place in left],
        rows=[[row[place] for place in left] for row in cells],
        head=head,
    )


@dataclass(frozen=True)
class Figure:
    """One figure of a page: a title that states what is seen, its numbers in words, what stands below, and SVG text:
    for a wide page, and for a phone where that is another one."""

    name: str
    title: str
    alt: str
    caption: str
    svg: str
    phone: str = ""


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """A template of this room and its values -> text: the same values give the same bytes, a missing one is an error.

    In HTML only the room's own style and script, and what matplotlib has drawn (`svg`: it escapes what it is given),
    are not escaped.
    """
    environment = Environment(
        loader=PackageLoader("report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": Markup, "raw_number": _raw_number, "bold": bold, **filters}
    assets = {"css": "style.css", "javascript": "page.js"}
    texts = {name: Markup((TEMPLATES / file).read_text(encoding="utf-8")) for name, file in assets.items()}
    return environment.get_template(template).render(**texts, **values)


def bold(text: str) -> Markup:
    """A text in which what stands between two `**` is set in bold type, and a power of N as one."""
    parts = text.split("**")
    joined = Markup("").join(Markup("<b>{}</b>").format(part) if at % 2 else part for at, part in enumerate(parts))
    return Markup(re.sub(r"\bN\^([\d.]*\d)", r"N<sup>\1</sup>", str(joined)))


def _raw_number(value: float) -> str:
    """A number as JavaScript reads it."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, int) else f"{value:.9g}"
