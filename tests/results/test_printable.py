"""Whatever a text holds: nothing of it acts in a terminal, a spreadsheet or Markdown, and what is plain stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.printable import cell, markdown, markdown_code, measured, printable

TEXTS = st.text(st.characters(codec=None)) | st.text("=+-@\t\r\n`|*_[]<>&\\ a\x1b\x9b\u202e")


@given(TEXTS)
def test_what_is_printed_can_be_printed(text):
    assert printable(text).isprintable()


def test_plain_text_stays():
    for text in ("EANet 97.5 % [95.0, 98.9]", "Größe 3 × 3", "a-b"):
        assert printable(text) == cell(text) == markdown(text).replace("\\[", "[").replace("\\]", "]") == text


def test_a_space_that_does_not_break_is_a_space():
    assert printable("0.3\N{NO-BREAK SPACE}M, 95\N{NARROW NO-BREAK SPACE}%") == "0.3 M, 95 %"


@given(TEXTS)
def test_no_cell_is_a_formula(text):
    assert not re.match(r"\s*[=+@\t\r-]", cell(text))
    assert cell(text).endswith(text)


@given(TEXTS)
def test_markdown_has_no_markup_of_the_texts_own(text):
    shown = markdown(text)
    assert shown.isprintable()
    assert "<" not in shown
    assert re.fullmatch(r"(\\[\\`|*_\[\]~]|[^\\`|*_\[\]~])*", shown), "each is escaped"


@given(TEXTS)
def test_code_ends_where_it_should(text):
    shown = markdown_code(text)
    assert shown.count("`") == 2
    assert not re.search(r"(?<!\\)\|", shown)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2.5e-8, "25 ns"),
        (1.234e-5, "12.3 µs"),
        (0.0123, "12.3 ms"),
        (0.9999, "1,000 ms"),
        (1.238, "1.24 s"),
        (4321, "4,321 s"),
    ],
)
def test_a_measured_time_has_three_digits_in_the_unit_that_suits_it(seconds, words):
    assert measured(seconds) == words
