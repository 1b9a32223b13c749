"""A gate on the page and in a pull request, and the history of many."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from report import gate as gate_page
from report.gate import summary
from report.history import build, change_points
from results import gates
from results.gates import GateError
from tests import samples


def test_the_summary_of_a_pull_request_has_a_row_for_each_case_and_what_changed():
    text = summary(samples.gate(0.2))
    assert text.startswith("### Slower\n")
    assert re.search(r"^\| `core-train-vit-n256` \| no slowdown shown \| (0\.99|1\.00)\d .*\|$", text, re.MULTILINE)
    assert "- core-train-eanet-n256: MatMul 3 -> 4" in text
    assert "16 pairs of fresh processes, at once, on a core each" in text
    clean = summary(samples.gate())
    assert clean.startswith("### No slowdown shown\n")
    assert "Changed" not in clean


def test_the_summarys_table_is_markdown():
    table = [line for line in summary(samples.gate(0.2)).splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2
    assert len({line.count("|") for line in table}) == 1
    assert re.fullmatch(r"\|(---:?\|)+", table[1])


def test_nothing_in_a_gate_becomes_markup_of_the_summary():
    gate = samples.gate(0.2, cpu="<script>alert(1)</script>", base="main`<b>\n\n# |")
    text = summary(gate.model_copy(update={"changes": ("<img src=x>\n\n# a", "[a](javascript:b)")}))
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
        (("pairs", 0, "ratios", "core-train-vit-n256"), 0),
        (("pairs", 0, "base", "core-train-vit-n256"), 0),
        (("design", "looks", 0), 0),
    ],
    ids=str,
)
def test_a_gate_that_no_gate_writes_is_named(tmp_path, place, value):
    content = json.loads(samples.gate().model_dump_json())
    *above, last = place
    inner = content
    for key in above:
        inner = inner[key]
    inner[last] = value
    (tmp_path / "gate.json").write_text(json.dumps(content))
    with pytest.raises(GateError, match=r"gate\.json is not what a gate writes"):
        gate_page.build(tmp_path)
    history = tmp_path / "history.jsonl"
    history.write_text(f"{samples.gate().model_dump_json()}\n{json.dumps(content)}\n")
    with pytest.raises(GateError, match=r"history\.jsonl:2 is not what a gate writes"):
        build(history)


def test_a_history_that_never_ends_is_one_line(tmp_path):
    (tmp_path / "history.jsonl").symlink_to("/dev/zero")
    with pytest.raises(GateError, match=r"history\.jsonl is no plain file"):
        build(tmp_path / "history.jsonl")


def test_a_history_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "history.jsonl").symlink_to("/proc/self/mem")  # whose first byte nobody may read
    with pytest.raises(GateError, match=r"history\.jsonl cannot be read: Input/output error"):
        build(tmp_path / "history.jsonl")


def reported(*arguments):
    done = subprocess.run([sys.executable, "-m", "report", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_gate_is_a_page(tmp_path):
    gates.write(tmp_path, samples.gate(0.2, base="<b>main"))
    status, said = reported(tmp_path)
    assert status == 0
    assert said.startswith("Timing gate: Slower: core-train-eanet-n256 by ")
    text = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;main" in text
    assert "<b>main" not in text
    assert "core-train-vit-n256" in text
    assert (tmp_path / "gate.md").read_text() == summary(samples.gate(0.2, base="<b>main"))
    assert reported(tmp_path, "--markdown") == (0, summary(samples.gate(0.2, base="<b>main")))


def test_a_gates_page_needs_neither_pandas_nor_matplotlib(tmp_path):
    gates.write(tmp_path, samples.gate())
    code = f"""import sys
sys.argv = ["report", {str(tmp_path)!r}]
from report.__main__ import main
assert main() == 0
assert not sys.modules.keys() & {{"pandas", "matplotlib", "seaborn", "keras"}}"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_gate_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "gate.json").write_text("{")
    status, said = reported(tmp_path)
    assert status == 2
    assert said.startswith("error: gate.json is not what a gate writes")
    assert len(said.splitlines()) == 1


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
