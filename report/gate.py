"""A timing gate -> its page, and its summary for a pull request. It needs no pandas and no Matplotlib."""

from pathlib import Path

from report import words
from report.parts import Column, render, table
from results import files, gates
from results.gates import CaseVerdict, Gate
from results.printable import markdown, markdown_code, measured
from results.stats import Interval

FILTERS = {"text": markdown, "code": markdown_code}
TITLES = {"slower": "Slower", "clean": "No slowdown shown", "inconclusive": "Inconclusive"}


CASES: tuple[Column[CaseVerdict], ...] = (
    Column("case", "case", lambda case: case.case),
    Column("verdict", "verdict", lambda case: case.verdict),
    Column("ratio", "ratio [95 % interval]", lambda c: Interval(c.ratio, c.low, c.high, c.pairs), words.three_places),
    Column("base", "base", lambda case: case.base_seconds, measured),
    Column("here", "here", lambda case: case.head_seconds, measured),
    Column("p", "p", lambda case: case.p_value, lambda p: f"{p:.2g}"),
    Column("detectable", "minimum detectable", lambda case: case.detectable, words.one_place, "%", 100),
)


def build(folder: Path) -> tuple[Path, str]:
    """Writes `report.html` and `gate.md` of the gate in a folder; returns the page and the verdict in a sentence.

    Raises `GateError`.
    """
    gate = gates.read(folder)
    files.replace(folder / "gate.md", summary(gate).encode())
    page = folder / "report.html"
    files.replace(page, page_text(gate).encode())
    return page, gates.sentence(gate)


def summary(gate: Gate) -> str:
    """Returns Markdown: verdict, table, what changed, and how it was decided."""
    rows = [[column.cell(case).text for column in CASES] for case in gate.verdict.cases]
    return render("gate.md.j2", FILTERS, **_values(gate), rows=rows) + "\n"


def page_text(gate: Gate) -> str:
    """Returns the gate's page as text."""
    caption = "Medians of fresh processes; p is one-sided, Holm-adjusted."
    cases = table("cases", "Times of both sides", caption, CASES, gate.verdict.cases, "case")
    return render("gate.html.j2", FILTERS, **_values(gate), table=cases)


def _values(gate: Gate) -> dict[str, object]:
    return {
        "gate": gate,
        "columns": CASES,
        "title": TITLES[gate.verdict.decision],
        "sentence": gates.sentence(gate),
        "false_alarms": sum(gate.design.alphas) * gate.design.tries,
        "head": (gate.head_commit or "the working tree")[:7] + (" with uncommitted changes" if gate.dirty else ""),
        "how": "at once, on a core each" if gate.in_duets else "one after the other",
    }
