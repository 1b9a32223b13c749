"""Makes text from files, names and arguments harmless in a terminal, a spreadsheet or a Markdown page."""

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
