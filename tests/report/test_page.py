"""The page and the tables: complete, self-contained, honest about what is missing, and safe with any text."""

import json
import re
import sys
from html.parser import HTMLParser

import matplotlib as mpl
import pandas as pd
import pytest

from report import page_study
from report.__main__ import main
from report.page import build
from results import gates, store
from results.published import SOURCE
from results.records import PlannedSuite, RunPlan
from tests import samples


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        for variant in ("eanet", "vit"):
            store.write(tmp_path, samples.training(variant, seed, top1=0.9 + 0.01 * seed))
    for variant, linear in (("eanet", 1e-5), ("vit", 3e-5)):
        for n in (64, 121, 225, 400, 729, 1296):
            store.write(tmp_path, samples.step_time(variant, n, linear * n))
    return tmp_path


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


def test_the_page_is_well_formed_and_every_link_leads_somewhere(folder):
    page = page_of(folder)
    assert page.open == []
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links
    assert {link.removeprefix("#") for link in links if link != SOURCE} <= set(ids)
    assert page.tags.count("svg") == 4


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
    assert "91.0 % [88.5, 93.5]" in text
    assert "no difference shown for EANet (+0.0 points [-0.3, +0.3], n = 3 pairs of seeds)" in text
    assert "None: but what was planned is not known, for there is no plan.json." in text
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


def test_what_a_suite_draws_is_drawn(folder):
    ids = tuple(path.stem for path in (folder / "records").glob("train*.json"))
    drawn = ("values", "differences", "learning", "parameters", "multiply_adds", "step_seconds")
    suite = PlannedSuite(question="?", draw=drawn, trial_ids=ids)
    store.write_plan(folder, RunPlan(profile="quick", command="the command", suites={"accuracy": suite}), None)
    figures = [value for _, name, value in page_of(folder).attributes if name == "aria-label"]
    seen = "EANet − ViT +0.0 points [-0.3, +0.3], no difference shown"
    for title in (
        f"Test top-1: {seen}. EANet: mean test top-1 91.0 % [88.5, 93.5], n = 3",
        f"Differences in test top-1: {seen}. EANet − ViT: +0.0 points [-0.3, +0.3], n = 3",
        "Learning curves: all end at 91.0 % validation top-1. ",
        "Test top-1 against parameters: by its mean the best, EANet, is also the cheapest. EANet: 91.0 %",
        "Test top-1 against multiply-adds: ",
    ):
        assert any(label.startswith(title) for label in figures), (title, figures)
    assert not any(label.startswith("Test top-1 against training step") for label in figures), "which is the same here"


def test_nothing_in_a_record_becomes_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    store.write(tmp_path, samples.training(variant=evil, dataset=evil, trial_id="evil"))
    store.write(tmp_path, samples.failure(reason=evil, log_tail=f"</pre>{evil}"))
    page = page_of(tmp_path)
    assert page.tags.count("script") == 2, "the page's own"
    assert page.open == []
    assert evil in page.text


def test_a_run_of_one_kind_has_a_page(tmp_path):
    store.write(tmp_path, samples.step_time())
    assert "Cost and growth" in page_of(tmp_path).text
    assert not (tmp_path / "tables" / "accuracy.csv").exists()


def test_the_page_keeps_the_order_that_a_reader_needs(full_run):
    page = page_of(full_run)
    ids = [value for tag, name, value in page.attributes if name == "id" and tag in ("h2", "h3")]
    wanted = ["answers", "claims", "accuracy", "suite-accuracy", "growth", "memory", "ablations", "suite-recipes"]
    wanted += ["gate", "history", "failures", "provenance", "reproduce", "records"]
    assert [name for name in ids if name in wanted] == wanted


def test_the_answers_are_three_to_five_sentences_with_numbers_that_lead_to_their_evidence(full_run):
    _, findings = build(full_run)
    assert 3 <= len(findings.answers) <= 5
    for answer in findings.answers:
        assert re.search(r"\d", answer.sentence), answer
    assert [answer.evidence for answer in findings.answers] == [
        "suite-accuracy",
        "growth",
        "growth",
        "suite-recipes",
        "gate",
    ]
    accuracy = findings.answers[0].sentence
    assert "n = 3 pairs of seeds" in accuracy
    assert re.search(r"\[-?\d", accuracy)


def test_many_ablations_are_one_answer(tmp_path):
    for suite in ("one", "two", "three", "four", "five", "six"):
        for seed in range(3):
            for place, variant in enumerate(("identity", "vit", "mean")):
                top1 = 0.5 + 0.01 * seed + (0.3 if (suite, variant) == ("two", "mean") else 0.001 * place)
                store.write(tmp_path, samples.training(variant, seed, top1=top1, suite=suite))
    _, findings = build(tmp_path)
    (answer,) = findings.answers
    assert answer.evidence == "ablations"
    assert answer.sentence.startswith(
        "1 of 12 differences held against a base in 6 suites is claimed: mean over patches − ViT +29.9 points"
    )
    assert answer.sentence.endswith("; 11 show no difference.")


@pytest.mark.parametrize("version", [0, 3])
def test_records_of_other_schemas_and_broken_files_are_named_and_the_page_is_built_without_them(folder, version):
    first = next((folder / "records").glob("train*.json"))
    other = json.loads(first.read_text()) | {"schema_version": version}
    (folder / "records" / "other-schema.json").write_text(json.dumps(other))
    (folder / "gate.json").write_text("{}")
    (folder / "history.jsonl").write_text("nonsense\n")
    text = " ".join(page_of(folder).text.split())
    assert "3 files cannot be read (other-schema.json, " in text
    for name in (f"other-schema.json: is of schema version {version}, ", "gate.json: ", "history.jsonl:1: "):
        assert name in text, name
    assert "91.0 % [88.5, 93.5]" in text


def change_of(folder, name, **changes):
    """Changes a record as its writer would have: of version 1, which has no checksum to be wrong."""
    file = folder / "records" / name
    content = json.loads(file.read_text()) | {"schema_version": 1}
    file.write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "../../escaped"},
        {"suite": "a/b"},
        {"suite": "x" * 300},
        {"suite": "\U0001d518" * 100},
        {"variant": "\x9b31m"},
        {"variant": "\u202evit"},
        {"suite": "nul\0"},
        {"variant": "bell\a"},
        {"variant": "long" * 99},
        {"parameters": 10**400},
        {"multiply_adds": 10**30},
        {"test_images": 0},
        {"interrupted_after": [1]},
        {"test_loss": 1.7e308},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_record_that_no_run_writes_is_named_and_costs_only_itself(folder, changes):
    (name, *_) = sorted(path.name for path in (folder / "records").glob("train*.json"))
    change_of(folder, name, **changes)
    before = {path for path in folder.parent.rglob("*") if folder not in path.parents}
    text = " ".join(page_of(folder).text.split())
    assert f"{name}: " in text
    assert f"1 file cannot be read ({name})" in text
    assert "held against ViT (90.5 % [84.1, 96.9] test top-1)" in text or "held against ViT (91.5" in text, text[:2000]
    assert {path for path in folder.parent.rglob("*") if folder not in path.parents} == before


@pytest.mark.parametrize("changes", [{"draw": ["newdraw"]}, {"metric": "auc"}])
def test_a_plan_that_no_run_writes_is_named_and_the_page_says_what_is_not_known(folder, changes):
    suite = PlannedSuite(question="?", trial_ids=("a",)).model_dump(mode="json") | changes
    plan = {"profile": "quick", "command": "now", "suites": {"accuracy": suite}}
    (folder / "plan.json").write_text(json.dumps(plan))
    text = " ".join(page_of(folder).text.split())
    assert "plan.json: suites.accuracy." in text
    assert "what was planned is not known" in text


@pytest.mark.parametrize("seed", ["x", 2**70, 1e-300, -1, None, [3], True])
def test_a_failure_whose_settings_are_of_other_kinds_has_empty_cells(folder, seed):
    failed = samples.failure()
    store.write(folder, failed.model_copy(update={"settings": failed.settings | {"seed": seed, "dataset": [seed]}}))
    build(folder)
    table = pd.read_csv(folder / "tables" / "accuracy.csv")
    assert table[table.status != "done"][["dataset", "seed"]].isna().all(axis=None)


@pytest.mark.parametrize("told", [0, -1])
def test_an_allocator_that_told_nothing_is_not_drawn(folder, told):
    odd = samples.step_time("eanet", 64, 0.1, process=1)
    store.write(folder, odd.model_copy(update={"device_peak_memory_bytes": told}))
    assert "Cost and growth" in page_of(folder).text


def test_nothing_of_a_record_acts_in_a_terminal_or_a_spreadsheet(tmp_path, capsys):
    evil = "\x1b]0;title\x07\x1b[2J"
    formula = '=HYPERLINK("http://evil")'
    machine = samples.environment(cpu=evil)
    for folder, environment in ((tmp_path / "a", machine), (tmp_path / "b", samples.environment())):
        record = samples.training(formula, dataset="@SUM(1)", trial_id="formula")
        store.write_plan(folder, RunPlan(profile="quick", command="now", suites={}), None)
        store.write(folder, record.model_copy(update={"environment": environment}))
        store.write(folder, samples.failure(status="-1+1", reason=evil))
        (folder / "records" / "\x1b[31m.json").write_text(json.dumps({"kind": evil}))
    for arguments in ([str(tmp_path / "a")], [str(tmp_path / "a"), "--against", str(tmp_path / "b")], [evil]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["report", *arguments])
            main()
        said = capsys.readouterr()
        assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    table = (tmp_path / "a" / "tables" / "accuracy.csv").read_text()
    for text in (f"'{formula}".replace('"', '""'), "'@SUM(1)", "'-1+1"):
        assert text in table, text
    assert not re.search(r"(^|,)\"?[=@+-]\D", table, re.MULTILINE)


def test_a_failure_of_odd_settings_is_shown(folder):
    failed = samples.failure()
    for place, grid in enumerate(([1], None, "x")):
        odd = failed.model_copy(update={"settings": failed.settings | {"grid": grid}, "trial_id": f"odd{place}"})
        store.write(folder, odd)
    text = page_of(folder).text
    assert all(f"odd{place}" in text for place in range(3))


def test_a_trial_counts_once_however_many_files_it_has(folder):
    (first, *_) = sorted((folder / "records").glob("train-eanet*.json"))
    for number in range(3):
        (folder / "records" / f"zz-copy{number}.json").write_bytes(first.read_bytes())
    text = " ".join(page_of(folder).text.split())
    assert f"zz-copy0.json: is of the same trial as {first.name}" in text
    assert "n = 3 pairs of seeds" in text


def test_a_gate_that_is_a_folder_and_half_a_history_cost_only_themselves(folder):
    (folder / "gate.json").mkdir()
    for number in range(3):
        gates.append(folder / "history.jsonl", samples.gate(seed=number))
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"base": "ma')
    page = page_of(folder)
    text = " ".join(page.text.split())
    assert "gate.json: gate.json cannot be read: Is a directory" in text
    assert "history.jsonl:4: " in text
    assert ("h2", "id", "history") in page.attributes


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
    with pytest.raises(store.StoreError, match=r"half\.json cannot be read: file: Invalid JSON"):
        build(tmp_path)


def test_tables_have_the_columns_of_the_contract(folder):
    store.write(folder, samples.failure(seed=5))
    build(folder)
    accuracy, scaling = (pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("accuracy", "scaling"))
    assert " ".join(accuracy) == (
        "suite variant dataset seed epochs parameters macs top1 top5 test_loss "
        "train_step_seconds peak_memory_bytes status"
    )
    assert " ".join(scaling) == (
        "scope variant phase patches batch step_seconds step_seconds_low step_seconds_high macs "
        "peak_memory_bytes status"
    )
    assert accuracy.status.value_counts().to_dict() == {"done": 6, "failed": 1}
    failed = accuracy[accuracy.status == "failed"].iloc[0]
    assert (failed.variant, failed.seed) == ("vit", 5)
    assert pd.isna(failed.top1)
    assert accuracy.loc[0, ["variant", "seed", "top1", "macs"]].tolist() == ["eanet", 0, 0.9, 3000]
    assert len(scaling) == 12
    assert scaling.loc[0, ["scope", "variant", "patches"]].tolist() == ["core", "eanet", 64]
    assert scaling.loc[0, "step_seconds"] == pytest.approx(64e-5)


class Rows(HTMLParser):
    """The rows of every table of a page: the texts of their cells."""

    def __init__(self, text):
        super().__init__()
        self.rows = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def test_a_suite_with_a_grid_has_a_column_for_each_setting_and_an_effect_for_each_cell(tmp_path):
    grid, ids = ("augmentation", "memory_units"), []
    for seed in range(3):
        for variant in ("eanet", "vit"):
            for recipe, top1 in (("corrected", 0.5), ("tutorial", 0.2)):
                record = samples.training(
                    variant,
                    seed,
                    top1=top1 + 0.01 * seed,
                    suite="drift",
                    dataset="cifar100",
                    training={"augmentation": recipe},
                    interrupted_after=(1,) if seed == 0 else (),
                    interrupted_in=(samples.ENVIRONMENT,) if seed == 0 else (),
                )
                if variant == "eanet":
                    attention = record.settings["model"]["attention"] | {"memory_units": 16}
                    model = record.settings["model"] | {"attention": attention}
                    record = record.model_copy(update={"settings": record.settings | {"model": model}})
                store.write(tmp_path, record)
                ids.append(record.trial_id)
    failed = samples.failure("vit", seed=9)
    failed = failed.model_copy(update={"settings": failed.settings | {"grid": {"augmentation": "none"}}})
    store.write(tmp_path, failed)
    base = {"augmentation": "tutorial", "memory_units": 16}
    suite = PlannedSuite(
        question="What drifted?", background="The clip.", grid=grid, base=base, trial_ids=(*ids, failed.trial_id)
    )
    store.write_plan(tmp_path, RunPlan(profile="tutorial", command="now", suites={"drift": suite}), None)

    page, _ = build(tmp_path)
    text = page.read_text(encoding="utf-8")
    rows = Rows(text).rows
    (head,) = (row for row in rows if row[1:3] == list(grid))
    body = [row for row in rows if row[0] in ("EANet", "ViT") and len(row) == len(head)]
    assert [row[:3] for row in body] == [
        ["EANet", "corrected", "16"], ["EANet", "tutorial", "16"], ["ViT", "corrected", "–"], ["ViT", "tutorial", "–"]
    ]  # fmt: skip
    effect = head.index("against augmentation tutorial, memory_units 16 (points)")
    assert [row[effect] for row in body] == ["+30.0 [+29.7, +30.3]p < 0.001", "–"] * 2
    for words in ("What drifted?", "The clip.", "EANet in the tutorial's log", "augmentation none: failed"):
        assert words.replace("'", "&#39;") in text or words in text, words
    assert "was interrupted after epoch 1 (started 2026-01-02T03:04:05+00:00" in " ".join(text.split())
    table = pd.read_csv(tmp_path / "tables" / "drift.csv")
    assert list(table.columns[-2:]) == list(grid)
    assert table[table.status == "done"].augmentation.value_counts().to_dict() == {"corrected": 6, "tutorial": 6}
    assert table[table.status == "failed"].augmentation.tolist() == ["none"]


def test_a_suite_whose_trainings_all_failed_has_its_table_too(tmp_path):
    store.write(tmp_path, samples.failure())
    build(tmp_path)
    assert pd.read_csv(tmp_path / "tables" / "accuracy.csv").status.tolist() == ["failed"]


def test_a_grid_of_a_setting_that_the_table_has_already_adds_no_second_column(tmp_path):
    record = samples.training()
    store.write(tmp_path, record)
    suite = PlannedSuite(question="How long?", grid=("epochs",), trial_ids=(record.trial_id,))
    store.write_plan(tmp_path, RunPlan(profile="quick", command="now", suites={"length": suite}), None)
    build(tmp_path)
    assert list(pd.read_csv(tmp_path / "tables" / "length.csv").columns).count("epochs") == 1
