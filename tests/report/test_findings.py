"""Findings on made-up records: only like is averaged with like, and nothing is claimed that is not shown."""

import math

import numpy as np
import pytest

from report.findings import find
from results.store import Run
from tests import samples


def run(trainings=(), step_times=(), failures=()):
    return Run(None, None, tuple(trainings), tuple(step_times), tuple(failures), {})


def sentences(findings):
    return " ".join(answer.sentence for answer in findings.answers)


def pairs(differences, base=0.9, **changes):
    """EANet and ViT trainings whose top-1 differ by `differences`, seed by seed."""
    return [
        record
        for seed, difference in enumerate(differences)
        for record in (
            samples.training("eanet", seed, top1=base + difference, step=0.01, **changes),
            samples.training("vit", seed, top1=base, step=0.02, **changes),
        )
    ]


def test_a_difference_is_claimed_only_where_its_interval_excludes_zero():
    shown = find(run(pairs([0.04, 0.05, 0.06])))
    assert (
        "EANet is more accurate than ViT on these images (+5.0 points [+2.5, +7.5], n = 3 pairs of seeds)"
        in sentences(shown)
    )
    opposite = find(run(pairs([-0.04, -0.05, -0.06])))
    assert "EANet is less accurate than ViT on these images (-5.0 points" in sentences(opposite)
    unclear = find(run(pairs([-0.04, 0.05, 0.06])))
    assert "no difference shown (+2.3 points [-11.3, +16.0], n = 3" in sentences(unclear)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_claim_nothing(n):
    found = sentences(find(run(pairs([0.05, 0.0501][:n]))))
    assert "too few seeds to claim a difference" in found
    assert "more accurate" not in found
    assert f"in too few runs (n = {n}) to claim it" in found


def test_differences_are_paired_by_seed_and_unpaired_seeds_are_left_out():
    records = [*pairs([0.05, 0.05, 0.05]), samples.training("eanet", 7, top1=0.1)]
    (comparison,) = find(run(records)).comparisons
    assert comparison.top1.estimate == pytest.approx(0.05)
    assert comparison.top1.n == 3
    assert "EANet 95.0 % [95.0, 95.0] and ViT 90.0 %" in sentences(find(run(records))), "means of the same seeds"


def test_step_ratio_is_the_mean_of_the_ratios_logarithms():
    (comparison,) = find(run(pairs([0, 0, 0]))).comparisons
    assert comparison.step_ratio.estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"augmentation": "none"}},
        {"dataset_sha256": "ef" * 32},
        {"where": samples.environment(cpu="Another CPU")},
        {"where": samples.environment(threads=64)},
        {"dropout": 0.5},
    ],
    ids=str,
)
def test_only_like_is_averaged_with_like(changes):
    records = [*pairs([0.01, 0.02, 0.03]), *pairs([0.11, 0.12, 0.13], base=0.5, **changes)]
    found = find(run(records))
    assert len(found.trainings) == 4
    assert sorted(round(c.top1.estimate, 6) for c in found.comparisons) == [0.02, 0.12]
    assert len({training.label for training in found.trainings}) == 4, "each group has a name of its own"


def test_labels_name_what_differs_and_nothing_else():
    records = [*pairs([0.0]), *pairs([0.0], training={"augmentation": "none"})]
    labels = {training.label for training in find(run(records)).trainings}
    assert labels == {
        f"{variant} (augmentation={recipe})" for variant in ("eanet", "vit") for recipe in ("digits", "none")
    }
    assert {training.label for training in find(run(pairs([0.0]))).trainings} == {"eanet", "vit"}


SIZES = (64, 121, 225, 400, 729, 1296, 2304, 4096)


def curves(linear=1e-5, quadratic=1e-8, processes=3):
    return [
        record
        for process in range(processes)
        for n in SIZES
        for record in (
            samples.step_time("eanet", n, linear * n, process),
            samples.step_time("vit", n, linear * n + quadratic * n**2 - 1e-9, process),
        )
    ]


def test_growth_is_that_of_the_medians_and_the_crossover_is_named():
    found = find(run(step_times=curves()))
    eanet, vit = found.curves
    assert eanet.growth.exponent.estimate == pytest.approx(1)
    assert 1.5 < vit.growth.exponent.estimate < 2
    assert [point.patches for point in eanet.points] == list(SIZES)
    assert eanet.points[0].step_seconds.estimate == pytest.approx(64e-5)
    assert (
        "for EANet as N^1.00 [1.00, 1.00] from N = 729 to 4,096 (quadratic part of the fit at 4,096: 0%)"
        in sentences(found)
    )
    upper = np.array(SIZES[4:], float)
    slope = np.polyfit(np.log(upper), np.log(1e-5 * upper + 1e-8 * upper**2 - 1e-9), 1)[0]
    assert f"and for ViT as N^{slope:.2f}" in sentences(found)
    assert "(quadratic part of the fit at 4,096: 80%)" in sentences(found)
    assert "2 quadratic, n = 3 processes a case." in sentences(found)
    assert "2 quadratic, n = 1 process a case." in sentences(find(run(step_times=curves(processes=1))))
    assert "EANet's step is the shorter one at every measured size; at N = 4,096 ViT's takes 5.1 times" in sentences(
        found
    )


def test_the_crossover_is_the_first_size_from_which_eanet_stays_ahead():
    records = [
        record
        for n in SIZES
        for record in (
            samples.step_time("eanet", n, 1e-3 + 1e-5 * n),
            samples.step_time("vit", n, 1e-5 * n + 2e-9 * n**2),
        )
    ]
    crossing = next(n for n in SIZES if 2e-9 * n**2 > 1e-3)
    assert f"EANet's step is the shorter one from N = {crossing:,} on" in sentences(find(run(step_times=records)))
    behind = [samples.step_time("eanet", n, 2e-5 * n) for n in SIZES] + [
        samples.step_time("vit", n, 1e-5 * n) for n in SIZES
    ]
    assert "At N = 4,096 EANet's step still takes 2.0 times ViT's." in sentences(find(run(step_times=behind)))


def test_a_process_is_the_unit_of_repetition():
    """Three processes of three steps are three values, not nine; fewer have no interval."""
    medians = [0.001, 0.002, 0.004]
    (curve,) = find(run(step_times=[samples.step_time(seconds=s, process=i) for i, s in enumerate(medians)])).curves
    (point,) = curve.points
    assert point.step_seconds.n == 3
    assert point.step_seconds.estimate == pytest.approx(0.002), "the geometric mean"
    half = math.log(point.step_seconds.high / 0.002)
    assert half == pytest.approx(4.302653 * math.log(2) / math.sqrt(3), rel=1e-6)
    (curve,) = find(run(step_times=[samples.step_time()])).curves
    assert curve.points[0].step_seconds.low is None
    assert curve.growth is None


def test_nothing_at_all_gives_no_answer():
    assert find(run()).answers == ()
