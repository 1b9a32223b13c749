"""The page as a whole, held against a committed one: a change of it is seen in a diff, and meant.

`UPDATE_GOLDEN=1 pytest tests/report/test_golden.py` writes it anew. Dates and hardware are those of the made-up
records; drawings, style, script and the numbers behind the words, which other tests are for, are left out: their last
digits are each machine's own.
"""

import os
import re
from pathlib import Path

from report.page import build
from tests.report.conftest import write_run

GOLDEN = Path(__file__).parent / "golden" / "page.html"


def scrubbed(page):
    for tag in ("svg", "style", "script"):
        page = re.sub(rf"(<{tag}\b)[^>]*>.*?(</{tag}>)", r"\1>\2", page, flags=re.DOTALL)
    return re.sub(r' data-(value|low|high)="[^"]*"', "", page)


def test_the_page_is_the_committed_one(tmp_path):
    page = scrubbed(build(write_run(tmp_path / "run"))[0].read_text(encoding="utf-8"))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(page, encoding="utf-8")
    assert page.splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines()
