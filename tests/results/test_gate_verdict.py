"""The gate's decision: proven and above the floor, or it says how much it could have missed."""

import math

import numpy as np
import pytest
from scipy import stats

from results.gate_verdict import judge, smallest_detectable
from results.gates import Design, Pair

DESIGN = Design(looks=(8, 16), alphas=(0.003, 0.007), floor=0.05, detectable=0.10)
CASES = ("core-eanet", "core-vit", "model-eanet", "model-vit")


def logs(slowdown=0.0, noise=0.04, n=16, seed=0):
    """The logarithms of ratios whose mean is that of a slowdown, with noise of this size."""
    return np.random.default_rng([seed, n]).normal(math.log1p(slowdown), noise, n)


def pairs(**cases):
    """Pairs of processes, from each case's logarithms of ratios: the base's steps take 7 ms."""
    names = {case.replace("_", "-"): np.exp(values) for case, values in cases.items()}
    return [
        Pair(
            first="base",
            base=dict.fromkeys(names, 0.007),
            head={name: 0.007 * values[place] for name, values in names.items()},
            ratios={name: values[place] for name, values in names.items()},
        )
        for place in range(len(next(iter(names.values()))))
    ]


def gate(slowdowns, seed=0, design=DESIGN, noise=0.04):
    """Looks until one decides, as the command does."""
    for look, n in enumerate(design.looks):
        cases = {case: logs(slowdowns.get(case, 0), noise, n, 100 * seed + i) for i, case in enumerate(CASES)}
        verdict = judge(pairs(**cases), design, look)
        if verdict.decision != "go on":
            return verdict
    raise AssertionError("the last look decides")


@pytest.mark.parametrize(
    ("slowdown", "options", "decision", "verdict"),
    [
        (0.2, {}, "slower", "slower"),
        (-0.3, {"noise": 0.01}, "clean", "faster"),
        (0.0, {"noise": 0.3}, "inconclusive", "too noisy to tell"),
    ],
    ids=["slower", "faster", "noisy, and never green"],
)
def test_one_case_decides_and_the_others_are_left_alone(slowdown, options, decision, verdict):
    found = gate({"core-eanet": slowdown}, **options)
    assert found.decision == decision
    assert {case.verdict for case in found.cases if case.case == "core-eanet"} == {verdict}
    assert "slower" not in {case.verdict for case in found.cases if case.case != "core-eanet"}


def test_a_ratio_is_the_mean_of_logarithms_with_students_interval_and_p():
    values = logs(0.03)
    (case,) = judge(pairs(a=values), DESIGN, 1).cases
    expected = stats.ttest_1samp(values, 0, alternative="greater")
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert case.ratio == pytest.approx(math.exp(np.mean(values)))
    assert (case.low, case.high) == (pytest.approx(math.exp(low)), pytest.approx(math.exp(high)))
    assert case.p_value == pytest.approx(expected.pvalue)
    assert case.pairs == 16


def test_a_proven_slowdown_below_the_floor_does_not_fail():
    verdict = gate({"core-eanet": 0.03}, noise=0.003)
    assert verdict.decision == "clean"
    (case,) = (case for case in verdict.cases if case.case == "core-eanet")
    assert case.p_value < 1e-6
    assert case.verdict == "no slowdown shown"


def test_a_slowdown_above_the_floor_that_is_not_proven_does_not_fail():
    verdict = judge(pairs(a=np.log([1.06, 1.30, 0.90] * 5)), DESIGN, 1)
    assert verdict.cases[0].ratio > 1.05
    assert verdict.decision == "inconclusive", "and it could not have seen one of 10 %"


def test_p_values_are_adjusted_for_the_number_of_cases():
    alone = judge(pairs(a=logs(0.02)), DESIGN, 1).cases[0]
    among = judge(pairs(a=logs(0.02), **{f"b{i}": logs(-0.1, seed=i) for i in range(4)}), DESIGN, 1).cases[0]
    assert among.p_value == pytest.approx(min(1, 5 * alone.p_value))


def test_a_quiet_machine_decides_at_the_first_look():
    assert gate({}, noise=0.01).cases[0].pairs == 8
    assert gate({}, noise=0.06).cases[0].pairs == 16


def test_gates_with_nothing_in_them_hardly_ever_claim_a_slowdown():
    """1,000 gates of four cases whose noise has heavy tails; the design says at most 1 %."""
    rng = np.random.default_rng(5)
    claimed = 0
    for _ in range(1000):
        for look, n in enumerate(DESIGN.looks):
            verdict = judge(pairs(**{case: 0.04 * rng.standard_t(4, n) for case in CASES}), DESIGN, look)
            if verdict.decision != "go on":
                break
        claimed += verdict.decision == "slower"
    assert claimed <= 10


def noise_of(n, spread):
    """Logarithms of n pairs without a slowdown whose standard deviation is exactly that."""
    values = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return values * spread / np.std(values, ddof=1)


@pytest.mark.parametrize("n", [4, 10, 20])
@pytest.mark.parametrize(("floor", "spread"), [(0.0, 0.04), (0.05, 0.04), (0.05, 0.026), (0.05, 0.01)])
def test_the_smallest_detectable_slowdown_is_detected_as_often_as_it_says(n, floor, spread):
    """Of 100,000 studies with exactly that slowdown, 95 %: where the test decides, the floor, or both."""
    alpha = 0.002 / 6
    least = smallest_detectable(noise_of(n, spread), alpha, floor, 0.95)
    values = np.random.default_rng(7).normal(math.log1p(least), spread, (100_000, n))
    p_values = stats.ttest_1samp(values, 0, axis=1, alternative="greater").pvalue
    found = np.mean((p_values <= alpha) & (values.mean(axis=1) >= math.log1p(floor)))
    assert found == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize("n", [4, 10, 20, 48])
def test_without_a_floor_the_smallest_detectable_slowdown_is_that_of_the_noncentral_t(n):
    alpha, spread = 0.005 / 6, 0.04
    errors = math.log1p(smallest_detectable(noise_of(n, spread), alpha, 0.0, 0.95)) / (spread / math.sqrt(n))
    assert stats.nct.sf(stats.t.isf(alpha, n - 1), n - 1, errors) == pytest.approx(0.95, abs=0.001)


@pytest.mark.parametrize("value", [0.02, 0.1, math.log(3)])
def test_without_any_noise_the_floor_is_detectable(value):
    """The mean of equal values may differ from them by a rounding."""
    for n in range(4, 30):
        assert smallest_detectable([value] * n, 0.001, 0.05, 0.95) == 0.05


def test_every_look_spends_its_share_and_no_more():
    with_all = Design(looks=(8, 16, 32), alphas=(0.001, 0.002, 0.007), floor=0.0, detectable=9.0)
    values = pairs(a=np.array([0.01, 0.02, 0.03, 0.02, 0.01, 0.03, 0.02, 0.005]))
    p_value = judge(values, with_all, 0).cases[0].p_value
    assert 0.0001 < p_value < 0.001
    assert judge(values, with_all, 0).decision == "slower"
    strict = with_all.model_copy(update={"alphas": (p_value / 2, 0.002, 0.007)})
    assert judge(values, strict, 0).decision != "slower"
