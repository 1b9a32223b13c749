"""Makes text for a terminal, a spreadsheet or a Markdown page: what others wrote harmless, and durations in words."""

import re

NO_BREAK = str.maketrans({"\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " "})


def printable(text: str) -> str:
    """Returns the text with every unprintable letter escaped: some move a terminal's cursor or reverse its letters.

    A space that does not break, as between a number and its unit, is a plain one.
    """
    plain = text.translate(NO_BREAK)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in plain)


def cell(text: str) -> str:
    """Returns the text with a quote before what a spreadsheet would take for a formula."""
    return f"'{text}" if re.match(r"\s*[=+@\t\r-]", text) else text


def markdown(text: str) -> str:
    """Returns the text on one line, with the markup of Markdown and HTML escaped."""
    line = printable(" ".join(text.split()))
    return re.sub(r"([\\`|*_\[\]~])", r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;"))


def markdown_code(text: str) -> str:
    """Returns the text as Markdown code, also in a table's cell: one line, and nothing in it ends the code."""
    return "`{}`".format(printable(" ".join(text.split())).replace("`", "'").replace("|", "\\|"))


def duration(total_seconds: float) -> str:
    """Words a duration: "40 s", "6 min", "2.5 h", "3 days"."""
    if total_seconds < 90:
        return f"{total_seconds:.0f} s"
    if total_seconds < 90 * 60:
        return f"{total_seconds / 60:.0f} min"
    if total_seconds < 48 * 3600:
        return f"{total_seconds / 3600:.1f} h"
    return f"{total_seconds / 86400:.1f} days"


def measured(seconds: float) -> str:
    """Words a measured time with three significant digits: "12.3 ms", "1.24 s"."""
    value, unit = next(
        ((seconds * scale, unit) for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * scale >= 1),
        (seconds * 1e9, "ns"),
    )
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"
