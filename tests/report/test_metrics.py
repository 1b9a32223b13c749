"""Another metric is another entry of METRICS: a suite may be judged by it, and it is in every table."""

import pytest

from report import tables
from report.findings import find
from results.metrics import METRICS, Metric
from results.records import PlannedSuite
from tests import samples
from tests.report.page_reader import run_of, summaries
from tests.report.test_accuracy import pairs

ERROR = Metric(
    name="error",
    title="top-1 error",
    unit="%",
    better="lower",
    more="more often wrong",
    less="less often wrong",
    images=lambda record: record.test_images,
)


def test_a_metric_that_is_described_is_told_drawn_and_written(monkeypatch):
    monkeypatch.setitem(METRICS, "error", ERROR)
    records = [samples.told(r, error=1 - r.metrics["top1"]) for r in pairs([0.04, 0.05, 0.06])]
    found = find(run_of(accuracy=(records, {"metric": "error"})))
    assert summaries(found) == {"EANet − ViT": "−5.0 pp [−7.5, −2.5], 3 seeds, better"}
    assert found.studies[0].variants[0].in_words == "EANet is significantly less often wrong"
    (column,) = (c for c in tables.tables(found)["table-accuracy"].columns if c.head == "top-1 error")
    assert (column.key, column.unit) == ("top-1-error", "%")


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_read_from_a_training(name):
    metric, record = METRICS[name], samples.told(samples.training("eanet"), **{name: 0.9})
    assert metric.read(record) == record.metrics[name]
    assert metric.resolution(record) == (1 / record.test_images if metric.unit else 0)
    assert (metric.better == "higher") == (name != "test_loss")


def test_a_metric_that_nobody_has_described_is_named():
    with pytest.raises(ValueError, match="should be one of top1, top5, test_loss, balanced_top1, new_top1"):
        PlannedSuite(question="?", metric="auc", trial_ids=())
