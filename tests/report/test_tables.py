"""The tables: the columns of the contract, a row for each trial, what a suite varies, and the page's own of them."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from report import tables, words
from report.page import build
from report.parts import Column, cell
from report.words import one_place, plain, value
from results import frames, store
from results.metrics import TOP1
from results.records import PlannedSuite, RunPlan
from results.stats import Interval
from tests import samples

ROOT = Path(__file__).parents[2]


def test_tables_have_the_columns_of_the_contract(folder):
    store.write(folder, samples.failure(seed=5))
    build(folder)
    accuracy, scaling = (pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("accuracy", "scaling"))
    assert " ".join(accuracy) == (
        "suite variant dataset seed epochs parameters macs top1 top5 test_loss balanced_top1 new_top1 "
        "train_step_seconds peak_memory_bytes status"
    )
    assert " ".join(scaling) == (
        "scope variant phase patches batch step_seconds step_seconds_low step_seconds_high macs "
        "peak_memory_bytes status allocated_memory_bytes processes suite"
    )
    assert accuracy.status.value_counts().to_dict() == {"done": 6, "failed": 1}
    failed = accuracy[accuracy.status == "failed"].iloc[0]
    assert (failed.variant, failed.seed) == ("vit", 5)
    assert pd.isna(failed.top1)
    assert accuracy.loc[0, ["variant", "seed", "top1", "macs"]].tolist() == ["eanet", 0, 0.9, 3000]
    assert len(scaling) == 12
    assert scaling.loc[0, ["scope", "variant", "patches"]].tolist() == ["core", "eanet", 64]
    assert scaling.loc[0, "step_seconds"] == pytest.approx(64e-5)


def test_tables_that_the_records_no_longer_give_are_removed_and_nothing_else(folder):
    build(folder)
    tables = folder / "tables"
    ours = {path.name for path in tables.iterdir()}
    accuracy = (tables / "accuracy.csv").read_text()
    (tables / "old.csv").write_text(accuracy.replace("accuracy,", "old,"))
    users = {
        "accuracy (copy).csv": accuracy,
        "notes.csv": "suite,note\nnotes,mine\n",
        "empty.csv": "",
        "readme.txt": "a",
    }
    for name, text in users.items():
        (tables / name).write_text(text)
    for path in (folder / "records").glob("core-*"):
        path.unlink()
    build(folder)
    assert {path.name for path in tables.iterdir()} == (ours - {"scaling.csv"}) | users.keys()
    assert {name: (tables / name).read_text() for name in users} == users


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
                    record = samples.altered(record, attention={"memory_units": 16})
                store.write(tmp_path, record)
                ids.append(record.trial_id)
    failed = samples.failure("vit", seed=9)
    failed = samples.altered(failed, grid={"augmentation": "none"})
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
    effect = head.index("vs augmentation tutorial, memory_units 16 (pp)")
    assert [row[effect] for row in body] == ["+30.0 [+29.7, +30.3]p < 0.001, better", "–"] * 2
    for said in ("What drifted?", "The clip.", "EANet, 2021 log", "EANet, Keras 3 log", "augmentation none: failed"):
        assert said.replace("'", "&#39;") in text or said in text, said
    assert "was interrupted after epoch 1 (started 2026-01-02T03:04:05+00:00" in " ".join(text.split())
    table = pd.read_csv(tmp_path / "tables" / "drift.csv")
    assert list(table.columns[-2:]) == list(grid)
    assert table[table.status == "done"].augmentation.value_counts().to_dict() == {"corrected": 6, "tutorial": 6}
    assert table[table.status == "failed"].augmentation.tolist() == ["none"]


@pytest.mark.parametrize(("classes", "shown"), [(5, False), (7, True)])
def test_a_top_5_that_is_100_percent_of_any_model_is_not_shown(tmp_path, classes, shown):
    for seed in range(3):
        store.write(tmp_path, samples.training(seed=seed, model={"classes": classes}))
    (head,) = (row for row in Rows(build(tmp_path)[0].read_text(encoding="utf-8")).rows if "top-1 (%)" in row)
    assert ("top-5 (%)" in head) == shown


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


def test_a_grid_of_precisions_has_its_column(tmp_path):
    ids = []
    for precision in ("float32", "mixed_bfloat16"):
        record = samples.training(where=samples.environment(precision=precision), suite="precision")
        record = samples.altered(record, precision=precision, grid={"precision": precision})
        store.write(tmp_path, record)
        ids.append(record.trial_id)
    suite = PlannedSuite(question="As accurate?", grid=("precision",), trial_ids=tuple(ids))
    store.write_plan(tmp_path, RunPlan(profile="quick", command="now", suites={"precision": suite}), None)
    build(tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "precision.csv")
    assert sorted(table.precision) == ["float32", "mixed_bfloat16"]
    assert list(table.columns)[-1] == "precision"


def test_an_interval_without_width_is_never_written():
    exact = Interval(1.75, 1.75, 1.75, 3)
    assert plain(exact) == "1.75"
    assert cell(exact, one_place, 10).text == "17.5"
    assert (value(TOP1, Interval(0.5, 0.4, 0.6, 3)), cell(Interval(1, 0.5, 2, 3), one_place).text) == (
        "50.0 % [40.0, 60.0]",
        "1.0 [0.5, 2.0]",
    )


@pytest.mark.parametrize("content", ["suite,variant,dataset,seed,epochs\n", "suite,variant,dataset,seed,\na\rb,c\n"])
def test_a_table_with_our_head_and_no_row_of_ours_stays(folder, content):
    stranger = folder / "tables" / "stranger.csv"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(content.encode())
    build(folder)
    assert stranger.read_bytes() == content.encode()


def test_a_column_that_is_declared_is_on_the_page_and_in_the_csv(folder, monkeypatch):
    """The one of docs/adding-a-figure-or-column.md, and a field of the trainings."""
    text = (ROOT / "docs" / "adding-a-figure-or-column.md").read_text()
    (declared,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    made = eval(declared, {"Column": Column, "words": words})
    monkeypatch.setattr(tables, "CASES", (*tables.CASES, made))
    images = frames.Field("test_images", lambda record: record.test_images)
    monkeypatch.setattr(frames, "TRAINING", (*frames.TRAINING, images))
    text = build(folder)[0].read_text()
    assert "compilation 1.00 s" in text, "the same in all rows"
    assert pd.read_csv(folder / "tables" / "scaling.csv").compile_seconds.tolist() == [1.0] * 12
    assert pd.read_csv(folder / "tables" / "accuracy.csv").test_images.tolist() == [360] * 6
    assert "test_images" in text[text.index('id="data"') :]
