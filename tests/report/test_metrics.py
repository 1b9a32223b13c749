"""Another metric is another entry of METRICS: a suite may be judged by it, and it is in every table."""

import pytest

from report import page_tables, tables
from report.accuracy_figures import DRAW
from report.embedded import embedded
from report.findings import find
from results import frames
from results.metrics import METRICS, Metric
from results.records import PlannedSuite, RunPlan
from results.store import Run
from tests import samples
from tests.report.test_accuracy import pairs, sentences

ERROR = Metric(
    title="top-1 error",
    unit="%",
    better="lower",
    more="more often wrong",
    less="less often wrong",
    read=lambda record: 1 - record.test_top1,
    images=lambda record: record.test_images,
)


def judged_by(metric, records):
    """A run of one suite."""
    plan = PlannedSuite(question="?", metric=metric, trial_ids=tuple(record.trial_id for record in records))
    return Run(None, RunPlan(profile="", command="", suites={"accuracy": plan}), records, (), (), {})


def test_a_metric_that_is_described_is_told_drawn_and_written(monkeypatch):
    monkeypatch.setitem(METRICS, "error", ERROR)
    records = tuple(pairs([0.04, 0.05, 0.06]))
    run = judged_by("error", records)
    found = find(run)
    assert "EANet is significantly less often wrong (5.0 % [3.0, 8.2], -5.0 pp [-7.5, -2.5]" in sentences(found)
    assert "compared with ViT (10.0 % [9.8, 10.2] test top-1 error)" in sentences(found)
    (column,) = (c for c in page_tables.tables(found)["table-accuracy"].columns if c.head == "top-1 error")
    assert (column.key, column.unit) == ("top-1-error", "%")
    assert tables.trainings(run, "accuracy", found.studies[0]).error.tolist() == frames.trainings(run).error.tolist()
    assert "test_error" in embedded(run)["trainings"]["columns"]


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_read_from_a_training_in_its_resolution(name):
    metric, record = METRICS[name], samples.training("eanet", top1=0.9)
    assert metric.read(record) == getattr(record, f"test_{name.removeprefix('test_')}")
    assert metric.resolution(record) == (1 / record.test_images if metric.unit else 0)


@pytest.mark.parametrize(("metric", "best"), [("top1", "EANet"), ("error", "EANet"), ("test_loss", "ViT")])
def test_the_best_of_a_figure_is_on_the_side_that_is_better(monkeypatch, metric, best):
    """EANet has the higher accuracy, and the higher loss."""
    monkeypatch.setitem(METRICS, "error", ERROR)
    records = (samples.training("eanet", top1=0.95, test_loss=0.9), samples.training("vit", top1=0.9, test_loss=0.5))
    (study,) = find(judged_by(metric, records)).studies
    assert f"by its mean the best, {best}, " in DRAW["parameters"](study).title


def test_a_metric_that_nobody_has_described_is_named():
    with pytest.raises(ValueError, match="should be one of top1, top5, test_loss"):
        PlannedSuite(question="?", metric="auc", trial_ids=())
