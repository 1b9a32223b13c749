"""Numbers as people read them. Records keep SI units; formatting happens here alone."""

import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from models.config import VARIANTS
from results.growth import Law
from results.metrics import Metric
from results.stats import Interval
from results.trials import Value

NOTHING = "–"


def variant_name(variant: str) -> str:
    """A variant as the page writes it; one that is not known by its own name."""
    return VARIANTS[variant].title if variant in VARIANTS else variant


Form = Callable[[float], str]
"""Writes a number."""
one_place: Form = "{:.1f}".format
two_places: Form = "{:.2f}".format
three_places: Form = "{:.3f}".format
whole: Form = "{:,.0f}".format


def signed(places: int) -> Form:
    """Writes a number with its sign, and a minus as U+2212."""
    return lambda number: f"{number:+.{places}f}".replace("-", "−")


signed_one_place, signed_three_places = signed(1), signed(3)


def significant(value: float) -> str:
    """Three significant figures, never in powers of ten: 0.652, 17.6, 602, 1,230."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def count(number: float) -> str:
    """A large count: 361,380 or 100.9 M."""
    return f"{number:,.0f}" if number < 1e6 else f"{number / 1e6:,.1f} M"


def mebibytes(size: float) -> str:
    """Bytes in MiB, to three significant figures."""
    return significant(size / 2**20)


def with_interval(value: Interval, form: Form, unit: str = "") -> str:
    """An estimate, and behind its unit its interval where there is one that its form does not make a single number."""
    text = form(value.estimate) + unit
    if value.low is None or value.high is None or form(value.low) == form(value.high) == form(value.estimate):
        return text
    return f"{text} [{form(value.low)}, {form(value.high)}]"


plain = partial(with_interval, form=two_places)
"""Writes a ratio or an exponent as "0.93 [0.84, 1.02]"."""


def p_value(value: float) -> str:
    """A p as "p = 0.012"; very small ones are only said to be, and one next to 0.05 is on the side that it is on."""
    if 0.0495 < value < 0.0505:
        return f"p = {value:.5f}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


@dataclass(frozen=True)
class Unit:
    """How a metric of it is written: times `scale`, its values and its differences, and the unit of the latter."""

    scale: float
    value: Form
    difference: Form
    of_differences: str


UNITS = {"%": Unit(100, one_place, signed_one_place, "pp"), "": Unit(1, two_places, signed_three_places, "")}
"""A metric's unit -> how it is written."""


def value(metric: Metric, mean: Interval) -> str:
    """A metric's value: "97.9 % [97.2, 98.6]" or "0.93 [0.84, 1.02]"."""
    unit = UNITS[metric.unit]
    return with_interval(mean, lambda number: unit.value(number * unit.scale), f" {metric.unit}".rstrip())


def value_estimate(metric: Metric, mean: Interval) -> str:
    """A metric's value without its interval: "97.9 %"."""
    return value(metric, Interval(mean.estimate, None, None, mean.n))


def difference(metric: Metric, apart: Interval) -> str:
    """A difference of a metric: "+0.4 pp [-0.3, +1.1]" or "+0.012 [-0.030, +0.054]"."""
    unit = UNITS[metric.unit]
    return with_interval(apart, lambda number: unit.difference(number * unit.scale), f" {unit.of_differences}".rstrip())


def difference_estimate(metric: Metric, apart: Interval) -> str:
    """A difference without its interval: "+0.4 pp"."""
    return difference(metric, Interval(apart.estimate, None, None, apart.n))


def speedup(ratio: Interval, *, with_ends: bool = True) -> str:
    """How many times as fast: "56× [43, 73] faster", "1.3× slower"; the ratio is that of the other's time."""
    ends = [ratio.estimate]
    if ratio.low is not None and ratio.high is not None:
        ends += [ratio.low, ratio.high]
        if ratio.low <= 1 <= ratio.high and not with_ends:
            return "not significantly faster or slower"
    word = "faster" if ratio.estimate >= 1 else "slower"
    if word == "slower":
        ends = [1 / end for end in (ends[0], *reversed(ends[1:]))]
    written = [f"{end:.0f}" if end >= 9.5 else f"{end:.1f}" for end in ends]
    interval = f" [{', '.join(written[1:])}]" if with_ends and len(set(written)) > 1 else ""
    return f"{written[0]}×{interval} {word}{'' if written[1:] else ' (no interval)'}"


DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def dataset(name: str) -> str:
    """A dataset as people write it, without what would be bold type."""
    return DATASETS.get(name, name).replace("**", "*")


def width(text: str) -> int:
    """How many columns of a terminal a text takes: a wide letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def cut(text: str, most: int) -> str:
    """A text of at most so many columns, with "…" where it was longer."""
    if width(text) <= most:
        return text
    while width(text) > most - 1:
        text = text[:-1]
    return f"{text}…"


def joined(parts: Sequence[str]) -> str:
    """Parts as a list in a sentence: "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def sentence(text: str) -> str:
    """With a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def number_of(count: int, one: str, many: str = "") -> str:
    """A number and its noun: "1 trial", "3 trials"."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def processes(number: int) -> str:
    """one process, 2 processes."""
    return "one process" if number == 1 else f"{number} processes"


def setting(value: Value) -> str:
    """A setting's value for people."""
    return value if isinstance(value, str) else json.dumps(value)


def sortable(value: str) -> tuple[bool, float, str]:
    """A setting's value as it sorts: numbers by size, and before words."""
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value


def crossing(patches: Interval, smallest: int, largest: int) -> str:
    """Where two curves cross, "132 [110, 180]"; an end of the interval outside the measured sizes is named so."""

    def form(number: float) -> str:
        if number == 0:
            return f"below {smallest:,}"
        return f"above {largest:,}" if math.isinf(number) else whole(number)

    return with_interval(patches, form)


Units = tuple[tuple[float, str], ...]
SECONDS: Units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"), (1e-12, "ps"))
BYTES: Units = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def law(value: Law, units: Units) -> str:
    """A fitted model with each coefficient in the unit that suits it: "2.1 ms + 16.8 µs·N + 108 ns·N²"."""
    least = units[-1][0] * 1e-3
    terms = [_term(coefficient, exponent, units) for coefficient, exponent in value.terms if coefficient > least]
    if value.name == "N log N":
        terms = [term.replace("·N", "·N·ln N") for term in terms]
    return " + ".join(terms) or "0"


def _term(coefficient: float, exponent: float, units: Units) -> str:
    size, unit = next((pair for pair in units if coefficient >= pair[0]), units[-1])
    power = {0.0: "", 1.0: "·N", 2.0: "·N²"}.get(exponent, f"·N^{exponent:.2f}")
    return f"{significant(coefficient / size)} {unit}".rstrip() + power
