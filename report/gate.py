"""A timing gate -> its Markdown summary for a pull request; the page shows the same in its own section."""

from report import words
from report.render import render
from results import gates
from results.gates import Gate
from results.printable import markdown as markdown_text
from results.printable import markdown_code


def markdown(gate: Gate) -> str:
    """The gate as a pull request shows it: verdict, table, what changed, and how it was decided."""
    filters = FILTERS | {"text": markdown_text, "code": markdown_code}
    return render("gate.md.j2", filters, gate=gate)


FILTERS = {
    "milliseconds_of": lambda seconds: words.significant(seconds * 1e3),
    "gate_sentence": gates.sentence,
}
"""What the templates of gates need besides those of the page."""
