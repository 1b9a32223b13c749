"""A table of the page: its columns, with their units, and its cells, each a text and the number behind it."""

from collections.abc import Callable
from dataclasses import dataclass

from report import words
from results.stats import Interval

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """`key` names it in an address and is unique in its table; the page writes `head` and its `unit`.

    An `unbroken` column's texts stay on one line, as numbers do.
    """

    key: str
    head: str
    unit: str = ""
    number: bool = False
    unbroken: bool = False


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


@dataclass(frozen=True)
class Table:
    """`key` names it in an address and is unique in the page. The column `head` holds what a row is about; `unchanged`
    are the places of rows that a reader who looks for changes can do without."""

    key: str
    label: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    head: str
    unchanged: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.key
        assert self.head in {column.key for column in self.columns}, self.key


def number(value: float | None, form: Callable[[float], str], scale: float = 1) -> Cell:
    """A number without an interval, or a dash for none; times `scale` it is one of its column's unit."""
    return Cell(NOTHING) if value is None else Cell(form(value * scale), value * scale)


def interval(value: Interval | None, form: Callable[[float], str], scale: float = 1) -> Cell:
    """An estimate and, where there is one with a width, its interval: "97.9 [97.2, 98.6]"."""
    if value is None:
        return Cell(NOTHING)
    low, high = (None if end is None else end * scale for end in (value.low, value.high))
    scaled = Interval(value.estimate * scale, low, high, value.n)
    return Cell(words.with_interval(scaled, form), scaled.estimate, low, high)
