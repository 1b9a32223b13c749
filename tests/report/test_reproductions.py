"""Trainings of the tutorial's models beside what it claims: a verdict at its own settings, and none at others."""

import json
from pathlib import Path

import pytest

from report.findings import find
from results import published
from results.published import IMAGES_SHA256
from tests import samples
from tests.report.page_reader import run_of
from tests.report.test_verdicts import ATTENTIONS, trained


def figures(*trainings, figure="top1"):
    """Every training of the tutorial's models beside the accuracy that is claimed of it."""
    run = run_of(*(record for group in trainings for record in group))
    return [found for found in find(run).reproductions if found.published.figure == figure]


@pytest.mark.parametrize(
    ("top1s", "verdict"),
    [
        ([0.427, 0.430, 0.433], "supported"),
        ([0.170, 0.172, 0.174], "contradicted"),
        ([0.480, 0.482, 0.484], "contradicted"),
        ([0.40, 0.43, 0.46], "inconclusive: the interval is too wide"),
        ([0.43, 0.43], "inconclusive: too few seeds"),
    ],
)
def test_a_claimed_accuracy_is_supported_only_where_its_interval_lies_about_it(top1s, verdict):
    (found,) = figures(trained(top1s))
    assert (found.verdict, found.mean.n) == (verdict, len(top1s))
    assert found.recipe == "augmentation tutorial, weight_decay 0.0001"


def test_each_recipe_has_a_verdict_of_its_own():
    as_published, corrected = trained([0.17, 0.171, 0.172]), trained([0.43, 0.431, 0.432], augmentation="corrected")
    assert {found.recipe: found.verdict for found in figures(as_published, corrected)} == {
        "augmentation tutorial, weight_decay 0.0001": "contradicted",
        "augmentation corrected, weight_decay 0.0001": "supported",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 12}, "epochs 12"),
        ({"model": {"patch_size": 4}}, "patch_size 4"),
        ({"train_share": 0.5}, "train_share 0.5"),
    ],
)
def test_other_settings_than_the_tutorials_test_nothing_of_its_accuracy(changes, said):
    (found,) = figures(trained([0.43, 0.43, 0.43], **changes))
    assert (found.verdict, found.departures) == ("not tested", [said])


@pytest.mark.parametrize(("variant", "changes"), [("vit", {"key_dim": 16}), ("eanet", {"memory_sharing": "none"})])
def test_another_attention_is_another_model_of_which_nothing_is_claimed(variant, changes):
    assert figures(trained([0.43, 0.43, 0.43], variant, model={"attention": ATTENTIONS[variant] | changes})) == []


def test_fewer_images_than_the_tutorials_test_nothing():
    records = [r.model_copy(update={"train_images": 20_000}) for r in trained([0.43, 0.43, 0.43])]
    (found,) = figures(records)
    assert (found.verdict, found.departures) == ("not tested", ["20,000 train images"])


@pytest.mark.parametrize(
    ("images", "are_the_tutorials"),
    [
        ({}, True),
        ({"dataset_sha256": "12" * 32}, True),
        ({"dataset_content_sha256": "34" * 32}, False),
        ({"dataset_content_sha256": "34" * 32, "dataset_sha256": IMAGES_SHA256}, False),
        ({"dataset_content_sha256": None}, False),
        ({"dataset_content_sha256": None, "dataset_sha256": IMAGES_SHA256}, True),
    ],
    ids=[
        "the tutorial's",
        "in another order",
        "others",
        "others in its order",
        "an older record's",
        "an older record's known order",
    ],
)
def test_other_images_of_the_same_name_and_number_test_nothing(images, are_the_tutorials):
    """Noisy labels, or a long tail, under the name of cifar100."""
    records = [record.model_copy(update=images) for record in trained([0.43, 0.43, 0.43])]
    (found,) = figures(records)
    assert found.verdict == ("supported" if are_the_tutorials else "not tested")
    assert found.departures == ([] if are_the_tutorials else ["other images"])


def test_the_committed_records_are_of_the_tutorials_images():
    records = Path(published.__file__).parent.glob("reference/cifar100-*/records/train-*.json")
    assert {json.loads(record.read_text())["dataset_sha256"] for record in records} == {IMAGES_SHA256}


def test_a_kind_of_training_that_two_suites_have_is_there_once_with_all_its_seeds():
    all_seeds = trained([0.17, 0.171, 0.172, 0.173])
    (found,) = (r for r in find(run_of(accuracy=all_seeds, drift=all_seeds[:3])).reproductions if _is_top1(r))
    assert found.mean.n == 4


def _is_top1(reproduction):
    return reproduction.published.figure == "top1"


def test_seeds_of_two_machines_are_one_measurement():
    here, there = trained([0.427, 0.430, 0.433])[:2], trained([0.427, 0.430, 0.433])[2:]
    there = [r.model_copy(update={"environment": samples.environment(cpu="Another CPU")}) for r in there]
    (found,) = figures(here, there)
    assert (found.verdict, found.mean.n) == ("supported", 3)
