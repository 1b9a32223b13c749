"""A gate on the page and in a pull request, and the history of many."""

import json
import subprocess
import sys

import numpy as np
import pytest

from report.history import build, change_points
from report.page import build as build_page
from report.page import gate_markdown as markdown
from report.summary import lines
from results import gates, store
from results.gates import GateError
from tests import samples


def test_the_summary_of_a_pull_request_has_a_row_for_each_case_and_what_changed():
    text = markdown(samples.gate(0.2))
    assert text.startswith("### Slower\n")
    assert "| `core-train-vit-n256` | " in text
    assert "- core-train-eanet-n256: MatMul 3 -> 4" in text
    assert "are the same" not in text
    clean = markdown(samples.gate())
    assert clean.startswith("### No slowdown shown\n")
    assert "the operations of the compiled steps are the same" in clean


def test_nothing_in_a_gate_becomes_markup_of_the_summary():
    gate = samples.gate(0.2, cpu="<script>alert(1)</script>", base="main`<b>\n\n# |")
    text = markdown(gate.model_copy(update={"changes": ("<img src=x>\n\n# a", "[a](javascript:b)")}))
    assert "<" not in text.replace("`main'<b> # \\|`", "")
    assert "\n# " not in text
    assert "\\[a\\](javascript:b)" in text


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("verdict", "decision"), "go on"),
        (("verdict", "cases", 0, "head_seconds"), -1),
        (("verdict", "cases", 0, "head_seconds"), 1e308),
        (("verdict", "cases", 0, "ratio"), 0),
        (("verdict", "cases", 0, "case"), "\x1b[2J"),
        (("machine", "threads"), -1),
        (("blocks", 0, "seconds", 0, "core-train-vit-n256"), 0),
        (("design", "looks", 0), 0),
    ],
    ids=str,
)
def test_a_gate_that_no_gate_writes_is_named_and_costs_only_itself(tmp_path, place, value):
    content = json.loads(samples.gate().model_dump_json())
    *above, last = place
    inner = content
    for key in above:
        inner = inner[key]
    inner[last] = value
    (tmp_path / "gate.json").write_text(json.dumps(content))
    (tmp_path / "history.jsonl").write_text("".join(f"{json.dumps(content)}\n" for _ in range(7)))
    store.write(tmp_path, samples.training())
    text = build_page(tmp_path)[0].read_text()
    assert "gate.json is not what a gate writes" in text
    assert "history.jsonl:7 is not what a gate writes" in text
    assert '<h2 id="gate">' not in text


def test_a_history_that_never_ends_is_one_line(tmp_path):
    (tmp_path / "history.jsonl").symlink_to("/dev/zero")
    with pytest.raises(GateError, match=r"history\.jsonl is no plain file"):
        build(tmp_path / "history.jsonl")


def test_a_history_that_cannot_be_read_costs_only_itself(tmp_path):
    (tmp_path / "history.jsonl").symlink_to("/proc/self/mem")  # whose first byte nobody may read
    store.write(tmp_path, samples.training())
    text = build_page(tmp_path)[0].read_text()
    assert "history.jsonl cannot be read: Input/output error" in text


def test_a_gate_alone_is_a_page(tmp_path):
    gates.write(tmp_path, samples.gate(0.2, base="<b>main"))
    page, findings = build_page(tmp_path)
    text = page.read_text()
    assert lines(findings)[0].startswith("Timing gate: Slower: ")
    assert '<h2 id="gate">' in text
    assert "&lt;b&gt;main" in text
    assert "<b>main" not in text
    assert "EANet is more accurate" not in text, "the tutorial's claims are no part of it"
    assert (tmp_path / "gate.md").read_text() == markdown(samples.gate(0.2, base="<b>main"))


def test_a_runs_page_shows_the_gate_in_its_folder(tmp_path):
    store.write(tmp_path, samples.training())
    assert '<h2 id="gate">' not in build_page(tmp_path)[0].read_text()
    gates.write(tmp_path, samples.gate())
    text = build_page(tmp_path)[0].read_text()
    assert '<h2 id="gate">' in text
    assert "EANet is more accurate" in text


def test_a_gate_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "gate.json").write_text("{")
    done = subprocess.run([sys.executable, "-m", "report", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "gate.json is not what a gate writes" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_change_of_ten_percent_is_found_where_it_is_and_noise_is_none():
    """Of 200 series of 40 gates with 2 % of noise: nearly all steps within one gate, and few false ones."""
    rng = np.random.default_rng(3)
    right = false = 0
    for _ in range(200):
        noise = 0.01 * np.exp(rng.normal(0, 0.02, 40))
        stepped = noise * np.where(np.arange(40) >= 23, 1.1, 1.0)
        right += any(abs(place - 23) <= 1 for place in change_points(stepped.tolist()))
        false += bool(change_points(noise.tolist()))
    assert right >= 0.95 * 200
    assert false <= 0.1 * 200


@pytest.mark.parametrize("seconds", [[], [0.01], [0.01, 0.02, 0.01, 0.02, 0.01]])
def test_few_gates_tell_of_no_change(seconds):
    assert change_points(seconds) == []


def test_values_without_any_noise_change_only_where_they_do():
    assert change_points([0.01] * 10) == []
    assert change_points([0.01] * 5 + [0.02] * 5) == [5]


def test_the_history_draws_each_case_and_machine_and_names_its_changes(tmp_path):
    history = tmp_path / "history.jsonl"
    for day in range(12):
        slow = 0.5 if day >= 7 else 0.0
        started = f"2026-01-{day + 1:02d}T00:00:00+00:00"
        gates.append(history, samples.gate(slow, seed=day, started=started))
        gates.append(history, samples.gate(seed=day, started=started, cpu="Another CPU", step=0.03))
    page, trends = build(history)
    assert [(trend.case, trend.machine) for trend in trends] == [
        (case, f"{cpu}, 1 thread")
        for case in ("core-train-eanet-n256", "core-train-vit-n256")
        for cpu in ("A CPU", "Another CPU")
    ]
    (change,) = trends[0].changes
    assert (change.place, change.commit, change.started[:10]) == (7, "fedcba0", "2026-01-08")
    assert change.ratio == pytest.approx(1.5, rel=0.02)
    assert not any(trend.changes for trend in trends[1:])
    text = page.read_text()
    assert "Since gate 8 (2026-01-08" in text
    assert text.count("<svg") == 4 * 2, "each for a wide page and for a phone"
    assert "http" not in text.replace("http://www.w3.org", "")


def test_what_changes_with_an_upgrade_is_named_by_its_versions_and_not_by_a_commit(tmp_path):
    """The step takes 1.5 times as long since Keras is newer, and five gates later twice as long by a commit."""
    history = tmp_path / "history.jsonl"
    for day in range(19):
        slow = 0.0 if day < 7 else 0.5 if day < 12 else 2.0
        keras, python = ("3.15.1" if day < 7 else "3.16.0"), ("3.11.7" if day < 17 else "3.12.1")
        started = f"2026-01-{day + 1:02d}T00:00:00+00:00"
        gates.append(history, samples.gate(slow, seed=day, started=started, keras=keras, python=python))
    page, (eanet, vit) = build(history)
    assert [(change.place, change.commit) for change in eanet.changes] == [(12, "fedcba1")]
    assert eanet.changes[0].ratio == pytest.approx(2, rel=0.02), "against what it was since the upgrade"
    assert [(upgrade.place, upgrade.versions) for upgrade in eanet.upgrades] == [
        (7, "Keras 3.15.1 -> 3.16.0"),
        (17, "Python 3.11.7 -> 3.12.1"),
    ]
    assert vit.upgrades == eanet.upgrades
    assert "at gate 8 Keras 3.15.1 -> 3.16.0" in eanet.figure.alt
    text = page.read_text()
    assert "Keras 3.15.1 -&gt; 3.16.0 at gate 8 (2026-01-08" in text
    assert "Since gate 13 (2026-01-13" in text
    assert "Since gate 8 (" not in text


def test_an_empty_history_says_how_to_fill_it(tmp_path):
    with pytest.raises(GateError, match=r"holds no gate; record one with: python -m benchmarks\.regress BASE --record"):
        build(tmp_path / "none.jsonl")
