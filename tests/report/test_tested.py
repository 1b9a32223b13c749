"""Tested differences: what may be said of each, over seeds and test images, by the margin, and after a look."""

import base64
import math

import numpy as np
import pytest

from results.differences import over_seeds_and_images, over_splits
from results.records import Predictions
from tests import samples
from tests.report.page_reader import caption, texts
from tests.report.test_accuracy import cell, drift, found, only, pairs


def telling(records, right):
    """The records with which of 8 test images are right: a text of 0 and 1 by variant and seed."""
    return [
        r.model_copy(
            update={
                "test_images": 8,
                "metrics": r.metrics | {"top1": right(r).count("1") / 8},
                "predictions": Predictions(
                    right=base64.b64encode(bytes([int(right(r), 2)])).decode(), right_by_class=(), confused=()
                ),
            }
        )
        for r in records
    ]


def test_where_records_tell_which_images_are_right_the_interval_is_over_seeds_and_images():
    """EANet is right in all but one image, another one with each seed; ViT in the first half."""
    right = {"eanet": ("01111111", "10111111", "11011111"), "vit": ("11110000",) * 3}
    findings = found(*telling(pairs([0.0] * 3), lambda r: right[r.variant][r.seed]))
    apart = [[int(a) - int(b) for a, b in zip(*both, strict=True)] for both in zip(*right.values(), strict=True)]
    assert only(findings).difference == over_seeds_and_images(np.array(apart, float))
    assert only(findings).over_seeds.interval.low == pytest.approx(0.375 - 4.303 / 8 / 6**0.5 / 3**0.5, abs=1e-3)
    assert "over seeds and test images" in caption(findings)
    assert texts(findings, "against-variant-seeds")[0].startswith("[")


def test_older_records_and_other_metrics_have_an_interval_over_seeds_alone():
    assert "over seeds alone, on the same test images" in caption(found(*pairs([0.04, 0.05, 0.06])))
    assert texts(found(*pairs([0.04, 0.05, 0.06])), "against-variant-seeds") is None


def test_where_each_seed_draws_its_test_set_the_interval_says_so():
    records = [samples.altered(r, test_folds=5) for r in pairs([0.04, 0.05, 0.06])]
    findings = found(*records)
    expected = over_splits([0.04, 0.05, 0.06], 5, math.sqrt(2) / 360)
    assert only(findings).difference.error == pytest.approx(expected.error)
    assert only(findings).difference.image_variance > 0
    assert "over seeds that each draw their test images" in caption(findings)
    assert findings.limits[0] == "each seed tests one of 5 parts of the images of digits"


MARGIN = {"margin": 0.01}


@pytest.mark.parametrize(
    ("differences", "state"),
    [
        ([0.002, 0.001, 0.0, -0.001, -0.002], "as good"),
        ([0.004, 0.005, 0.006], "as good"),
        ([0.02, 0.021, 0.022], "better"),
        ([-0.02, -0.021, -0.022], "worse"),
        ([-0.02, 0.0, 0.02], "undecided"),
        ([0.001, 0.001], "few"),
    ],
)
def test_a_difference_is_judged_by_the_margin_that_was_declared(differences, state):
    assert only(found(accuracy=(pairs(differences), MARGIN))).state == state


def test_an_undecided_difference_says_what_was_detectable_and_how_many_seeds_the_margin_takes():
    """Differences of -1, 0 and 1 pp have a standard deviation of 1 pp; three seeds detect 3.26 of it. Thirteen detect
    one at p = 0.025, which the second look costs."""
    one = only(found(accuracy=(pairs([-0.01, 0.0, 0.01]), MARGIN)))
    assert one.verdict == "undecided"
    assert one.power == "3.3 pp detectable; 1 pp: --seeds 13"
    assert one.difference.detectable(0.05) == pytest.approx(0.0326, abs=1e-4)
    judged = only(found(accuracy=(pairs([0.02, 0.021, 0.022]), MARGIN)))
    assert judged.power == ""


def test_a_ranking_that_changes_between_cells_is_tested_as_an_interaction():
    findings = drift(
        *cell("tutorial", 1e-4, [0.01, 0.02, 0.03], base=0.2), *cell("corrected", 1e-4, [0.06, 0.07, 0.09], base=0.5)
    )
    (study,) = findings.studies
    (interaction,) = study.interactions
    assert interaction.difference.estimate == pytest.approx((0.05 + 0.05 + 0.06) / 3)
    assert study.family == 5, "two variants, two effects, and whether the variants differ alike in both cells"
    assert texts(findings, "change", "table-tutorial-drift")[0].startswith("+5.3 [")


def test_seeds_that_were_added_after_a_look_are_paid_for():
    once = only(found(accuracy=pairs([0.04, 0.05, 0.075])))
    findings = found(accuracy=(pairs([0.04, 0.05, 0.075]), {"seeds": 3, "looked_at": (2,)}))
    assert only(findings).p_value == pytest.approx(2 * once.p_value)
    assert "Seeds were added after a look at the page: p is multiplied by up to 2" in caption(findings)
    twice = found(accuracy=(pairs([0.04, 0.05, 0.075]), {"seeds": 3, "looked_at": (1, 2)}), also=pairs([0.04]))
    assert [study.variants[0].p_value for study in twice.studies] == 2 * [pytest.approx(4 * once.p_value)]
