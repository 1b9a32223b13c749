"""The page: complete, self-contained and honest about what is missing."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest

from report.__main__ import main
from report.figures import figures
from report.page import build
from report.summary import lines
from results import store
from results.published import SOURCE
from results.records import PlannedSuite, RunPlan
from tests import samples
from tests.report.page_reader import change_of, page_of
from tests.studies import page as page_study


def test_the_page_is_well_formed_and_every_link_leads_somewhere(folder):
    page = page_of(folder)
    assert page.open == []
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links
    assert {link.removeprefix("#") for link in links if link != SOURCE} <= set(ids)
    assert page.tags.count("svg") == 5 * 2, "each for a wide page and for a phone"


def test_the_page_asks_nothing_of_the_network(folder):
    page = page_of(folder)
    addresses = [
        value
        for tag, name, value in page.attributes
        if name in ("src", "href", "xlink:href", "srcset", "action", "data") and tag != "a"  # which a reader follows
    ]
    assert all(address.startswith("#") for address in addresses)
    assert not {"link", "iframe", "object", "img"} & set(page.tags)
    assert page.tags.count("script") == 2, "its data and its own script, both inside"
    assert "@import" not in page.text
    assert not re.search(r"url\((?!#)", (folder / "report.html").read_text())


def test_the_page_says_the_numbers_of_the_records(folder):
    text = " ".join(page_of(folder).text.split())
    assert "91.0 % vs 91.0 % on digits: +0.0 pp [−0.3, +0.3], 3 seeds, undecided (0.4 pp detectable)." in text
    assert "python -m benchmarks.run --all" in text
    assert "ab" * 32 in text


def test_the_same_records_give_the_same_bytes(folder):
    path, _ = build(folder)
    first = path.read_bytes(), (folder / "tables" / "accuracy.csv").read_bytes()
    build(folder)
    assert (path.read_bytes(), (folder / "tables" / "accuracy.csv").read_bytes()) == first


def test_what_failed_broke_or_did_not_run_is_on_the_page(folder):
    store.write(folder, samples.failure(seed=5, reason="out of memory", log_tail="last words"))
    store.write(folder, samples.failure(seed=6, status="skipped", reason="needs about 7 GB, 3 GB free", log_tail=""))
    (folder / "records" / "half.json").write_text("{")
    planned = PlannedSuite(question="Why?", trial_ids=("train-eanet-digits-seed9-beef",))
    store.write_plan(folder, RunPlan(profile="quick", command="the command", suites={"accuracy": planned}), None)
    text = " ".join(page_of(folder).text.split())
    assert (
        "This page is not the whole run: 1 planned trial has not run (accuracy), 1 trial has failed, "
        "1 trial did not fit into memory, 1 file cannot be read (half.json)." in text
    )
    for words in (
        "out of memory",
        "last words",
        "needs about 7 GB, 3 GB free",
        "half.json",
        "train-eanet-digits-seed9-beef",
    ):
        assert words in text


def test_suites_that_are_still_to_come_are_named_with_their_question(folder):
    ids = tuple(path.stem for path in (folder / "records").glob("train*.json"))
    suites = {
        "accuracy": PlannedSuite(question="As accurate?", trial_ids=ids),
        "widening": PlannedSuite(question="Is it the width?", trial_ids=("a", "b", ids[0])),
    }
    store.write_plan(folder, RunPlan(profile="quick", command="the command", suites=suites), None)
    text = " ".join(page_of(folder).text.split())
    assert "2 planned trials have not run (widening)" in text
    assert "widening, 2 of 3 trials: Is it the width?" in text


def test_a_run_of_one_kind_has_a_page(tmp_path):
    store.write(tmp_path, samples.step_time())
    assert "This run compares no EANet with the tutorial's ViT." in page_of(tmp_path).text
    assert not (tmp_path / "tables" / "accuracy.csv").exists()


def test_the_page_keeps_the_order_that_a_reader_needs(full_run):
    page = page_of(full_run)
    ids = [value for tag, name, value in page.attributes if name == "id" and tag in ("h2", "h3")]
    wanted = ["verdicts", "accuracy", "suite-accuracy", "cost", "memory", "ablations"]
    wanted += ["failures", "method", "provenance", "records"]
    assert [name for name in ids if name in wanted] == wanted


def test_the_first_screen_has_a_verdict_for_each_claim_with_its_evidence(full_run):
    page = page_of(full_run)
    text = " ".join(page.text.split())
    for said in (
        "Not testedEANet is more accurate than ViT on CIFAR-100",
        "PartlyEANet has half",
        "SupportedEANet's cost is linear",
    ):
        assert said in text, said
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert {"#accuracy", "#cost", "#memory"} <= set(links)


def test_ablations_are_one_figure_with_a_row_for_each_difference(tmp_path):
    for rate, suite in enumerate(("one", "two", "three", "four", "five", "six"), start=1):
        for seed in range(3):
            for place, variant in enumerate(("identity", "vit", "mean")):
                top1 = 0.5 + 0.01 * seed + (0.3 if (suite, variant) == ("two", "mean") else 0.001 * place)
                recipe = {"learning_rate": rate}
                store.write(tmp_path, samples.training(variant, seed, top1=top1, suite=suite, training=recipe))
    _, findings = build(tmp_path)
    figure = figures(findings)["ablations"]
    assert figure.title == "1 of 12 differences are significant"
    assert figure.svg.count(">mean over patches − ViT<") == 6
    assert figure.alt.count("mean over patches − ViT: +29.9 pp [+29.6, +30.2], 3 seeds, better") == 1


def test_what_a_run_ends_with_fits_a_terminal(full_run):
    said = lines(build(full_run)[1])
    assert len(said) <= 20
    assert max(map(len, said)) <= 100
    assert any(line.startswith("  NOT TESTED    EANet is more accurate") for line in said)
    assert any("attention layer, N = 4,096" in line and "faster" in line for line in said), said


def test_the_page_of_a_sample_run_is_opened_before_the_first_run(capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.argv", ["report", "--example"])
    assert main() == 0
    (address,) = opened
    assert Path(address.removeprefix("file://")).read_text(encoding="utf-8").startswith("<!doctype html>")
    monkeypatch.setattr("sys.argv", ["report", "--example", "--markdown"])
    assert main() == 2
    assert "give it alone" in capsys.readouterr().err


def test_the_verdicts_are_printed_as_markdown(full_run, capsys, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in full_run.rglob("*")}
    monkeypatch.setattr("sys.argv", ["report", str(full_run), "--markdown"])
    assert main() == 0
    said = capsys.readouterr().out
    assert "| verdict | the tutorial's claim | evidence |\n|---|---|---|\n| Not tested | " in said
    assert said.startswith("Not the whole run: 1 trial has failed.")
    assert said.count("\n| ") == 5
    assert {path: path.stat().st_mtime_ns for path in full_run.rglob("*")} == before, "nothing is written"


def test_every_command_that_gave_a_result_is_told_with_its_commit(folder):
    (name, *_) = sorted(path.name for path in (folder / "records").glob("train*.json"))
    where = samples.environment(command="python -m benchmarks.run --suite more", commit="feed", started="2026-02-01")
    change_of(folder, name, environment=where.model_dump(mode="json"))
    text = page_of(folder).text
    asked = text[text.index("How to reproduce it") :]
    assert "git checkout 0123456789abcdef\npython -m benchmarks.run --all\n" in asked
    assert "git checkout feed\npython -m benchmarks.run --suite more\n" in asked


def test_what_else_a_reader_has_set_for_matplotlib_changes_nothing(folder):
    first = build(folder)[0].read_bytes()
    with mpl.rc_context({"lines.linewidth": 9, "axes.grid": False, "svg.fonttype": "path"}):
        assert build(folder)[0].read_bytes() == first


def test_a_page_of_500_records_is_at_most_two_megabytes(tmp_path):
    page, _ = build(page_study.enlarged(store.load(page_study.SOURCE), 500, tmp_path / "run"))
    assert page.stat().st_size <= 2_000_000


def test_nothing_to_report_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(store.StoreError, match=r"holds no readable record; run something first: python -m benchmarks"):
        build(tmp_path)
    with pytest.raises(store.StoreError, match="is not a folder"):
        build(tmp_path / "nowhere")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "half.json").write_text("{")
    with pytest.raises(store.StoreError, match=r"half\.json cannot be read: Invalid JSON"):
        build(tmp_path)
