"""How tests read what a run is told as: its page, its comparisons, its tables; and change what it is built of."""

import hashlib
import json
from html.parser import HTMLParser

from report.page import build
from report.tables import tables
from results.records import PlannedSuite, RunPlan
from results.store import Run


class Page(HTMLParser):
    """Tags, ids, links and text of a page."""

    VOID = ("meta", "br", "img", "link", "input", "path", "use")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(folder):
    path, _ = build(folder)
    return Page(path.read_text(encoding="utf-8"))


def change_of(folder, name, **changes):
    """Changes what a record says, of its trial or besides, as its writer would have: with the checksum of it."""
    file = folder / "records" / name
    content = json.loads(file.read_text())
    del content["checksum"]
    for key, value in changes.items():
        (content["trial"] if key in content["trial"] else content)[key] = value
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    file.write_text(json.dumps({"checksum": checksum} | content))


def run_of(*records, **suites):
    """A run of records, or of suites: each is its records, or those and other settings of its plan. A trial that two of
    them ask for is there once."""
    plans, planned = {}, {}
    for name, suite in suites.items():
        of_suite, settings = suite if isinstance(suite, tuple) else (suite, {})
        planned |= {record.trial_id: record for record in of_suite}
        ids = tuple(record.trial_id for record in of_suite)
        plans[name] = PlannedSuite(**{"question": "?", "trial_ids": ids} | settings)
    plan = RunPlan(profile="", command="", suites=plans) if plans else None
    of_kind = {kind: [] for kind in ("train", "steptime", "failure")}
    for record in (*records, *planned.values()):
        of_kind[record.kind].append(record)
    return Run(None, plan, *map(tuple, of_kind.values()), {})


def summaries(findings, suite="accuracy"):
    """What is compared in a suite -> the difference, n, and what is reported of it."""
    (study,) = [study for study in findings.studies if study.suite == suite]
    return {comparison.label: comparison.summary for comparison in study.compared}


def column(findings, key, table="table-accuracy"):
    """The cells of a table's column, from top to bottom; None where it has none of that key."""
    found = tables(findings)[table]
    places = {column.key: place for place, column in enumerate(found.columns)}
    return [row[places[key]] for row in found.rows] if key in places else None


def texts(findings, key, table="table-accuracy"):
    cells = column(findings, key, table)
    return cells and [cell.text for cell in cells]


def caption(findings, table="table-accuracy"):
    return tables(findings)[table].caption
