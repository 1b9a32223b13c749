"""A timing gate -> its Markdown summary for a pull request; the page shows the same in its own section."""

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined

from report import words
from results import gates
from results.gates import Gate


def markdown(gate: Gate) -> str:
    """The gate as a pull request shows it: verdict, table, what changed, and how it was decided."""
    templates = Templates(
        loader=PackageLoader("report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= FILTERS
    return templates.get_template("gate.md.j2").render(gate=gate)


FILTERS = {
    "milliseconds_of": lambda seconds: words.significant(seconds * 1e3),
    "gate_sentence": gates.sentence,
}
"""What the templates of gates need besides those of the page."""
