"""A timing gate -> its Markdown summary for a pull request; the page shows the same in its own section."""

from report import words
from report.render import render
from results import gates
from results.gates import Gate


def markdown(gate: Gate) -> str:
    """The gate as a pull request shows it: verdict, table, what changed, and how it was decided."""
    return render("gate.md.j2", FILTERS, gate=gate)


FILTERS = {
    "milliseconds_of": lambda seconds: words.significant(seconds * 1e3),
    "gate_sentence": gates.sentence,
}
"""What the templates of gates need besides those of the page."""
