"""Records of strangers: named where they are broken, safe with any text, and never the page's end."""

import json
import re
import sys

import pytest

from report.__main__ import main
from results import store
from results.records import PlannedSuite, RunPlan
from tests import samples
from tests.report.page_reader import change_of, page_of


def test_nothing_in_a_record_becomes_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    store.write(tmp_path, samples.training(variant=evil, dataset=evil, trial_id="evil"))
    store.write(tmp_path, samples.failure(reason=evil, log_tail=f"</pre>{evil}"))
    page = page_of(tmp_path)
    assert page.tags.count("script") == 2, "the page's own"
    assert page.open == []
    assert evil in page.text


@pytest.mark.parametrize("version", [0, 5])
def test_records_of_other_schemas_and_broken_files_are_named_and_the_page_is_built_without_them(folder, version):
    first = next((folder / "records").glob("train*.json"))
    other = json.loads(first.read_text()) | {"schema_version": version}
    (folder / "records" / "other-schema.json").write_text(json.dumps(other))
    text = " ".join(page_of(folder).text.split())
    assert "1 file cannot be read (other-schema.json)" in text
    assert f"other-schema.json: is of schema version {version}, " in text
    assert "91.0 [88.2, 93.2]" in text


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
        {"metrics": {"test_loss": 1.7e308}},
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
    assert "90.5 [81.7, 95.3]" in text or "91.5 [" in text, text[:2000]
    assert {path for path in folder.parent.rglob("*") if folder not in path.parents} == before


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"metric": "auc"}])
def test_a_plan_that_no_run_writes_is_named_and_the_page_says_what_is_not_known(folder, changes):
    suite = PlannedSuite(question="?", trial_ids=("a",)).model_dump(mode="json") | changes
    plan = {"profile": "quick", "command": "now", "suites": {"accuracy": suite}}
    (folder / "plan.json").write_text(json.dumps(plan))
    text = " ".join(page_of(folder).text.split())
    assert "plan.json: suites.accuracy." in text
    assert "what was planned is not known" in text


@pytest.mark.parametrize("seed", ["x", 2**70, 1e-300, -1, None, [3]])
def test_a_failure_whose_trial_is_none_is_named(folder, seed):
    failed = json.loads(samples.failure().model_dump_json()) | {"schema_version": 3, "trial_id": "odd"}
    settings = failed.pop("trial") | {"seed": seed}
    (folder / "records" / "odd.failure.json").write_text(json.dumps(failed | {"settings": settings}))
    assert "odd.failure.json: failure.trial.train.seed" in page_of(folder).text


@pytest.mark.parametrize("told", [0, -1])
def test_an_allocator_that_told_nothing_is_not_drawn(folder, told):
    odd = samples.step_time("eanet", 64, 0.1, process=1)
    store.write(folder, odd.model_copy(update={"device_peak_memory_bytes": told}))
    assert "Peak memory against the number of patches" in page_of(folder).text


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


def test_a_trial_counts_once_however_many_files_it_has(folder):
    (first, *_) = sorted((folder / "records").glob("train-eanet*.json"))
    for number in range(3):
        (folder / "records" / f"zz-copy{number}.json").write_bytes(first.read_bytes())
    text = " ".join(page_of(folder).text.split())
    assert f"zz-copy0.json: is of the same trial as {first.name}" in text
    assert "3 seeds, undecided" in text
