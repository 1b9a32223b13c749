"""Statistics on hand-computed numbers, against SciPy, and by the coverage that they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from results import stats
from results.stats import (
    Interval,
    accuracy_interval,
    at_chance,
    geometric_mean_interval,
    holm,
    mean_interval,
    ratio_interval,
    ratio_p_value,
    ratios,
)

FINITE = st.floats(-1e6, 1e6)


def test_a_ratio_of_independent_times_has_welchs_interval():
    ours, theirs = [2.0, 2.2, 2.1], [1.0, 1.3, 1.1, 1.2, 0.9]
    logs = [np.log(side) for side in (ours, theirs)]
    parts = [side.var(ddof=1) / len(side) for side in logs]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, logs, strict=True))
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))  # Welch 1947, Satterthwaite 1946
    mean = logs[0].mean() - logs[1].mean()
    found = ratio_interval(ours, theirs)
    assert (found.estimate, found.low, found.high) == pytest.approx(tuple(np.exp([mean, mean - half, mean + half])))
    assert found.n == 3
    assert ratio_interval([2.0, 2.2], theirs).low is None, "two processes tell no interval"
    assert ratio_interval([3.0] * 3, [2.0] * 3).low == pytest.approx(1.5), "equal ones have no spread"


@pytest.mark.parametrize("value", [0.1, 0.00064, 41 / 999, 1e9 / 7])
def test_equal_values_have_an_interval_of_no_width(value):
    """However their sum is rounded: what is deterministic is printed without an interval."""
    for n in range(3, 30):
        found = geometric_mean_interval([value] * n)
        assert found.low == found.high


def test_one_value_has_no_interval_and_none_is_an_error():
    assert mean_interval([3.0]) == Interval(3.0, None, None, 1)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


@given(st.lists(FINITE, min_size=2, max_size=30))
def test_mean_interval_is_scipys(values):
    interval = mean_interval(values)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval() if np.std(values) > 1e-3 else None
    if expected is not None:
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-6)


def test_student_covers_what_it_says_at_three_seeds_and_the_percentile_bootstrap_does_not():
    """Why the intervals over seeds are Student's: of 2,000 studies of 3 seeds, how many intervals hold the truth."""
    studies = np.random.default_rng(7).normal(0, 1, (2000, 3))
    student = [mean_interval(study) for study in studies]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in student])
    resampled = np.random.default_rng(11).integers(0, 3, (400, 3))
    bootstrapped = np.percentile(studies[:, resampled].mean(axis=2), [2.5, 97.5], axis=1)
    covered_by_bootstrap = np.mean((bootstrapped[0] <= 0) & (bootstrapped[1] >= 0))
    assert 0.935 < covered < 0.965
    assert covered_by_bootstrap < 0.85


def test_values_on_a_lattice_spread_at_least_as_much_as_their_rounding():
    """Uniform rounding to a step d has the standard deviation d / sqrt(12)."""
    half = scipy_stats.t.ppf(0.975, 2) / np.sqrt(3)
    equal = mean_interval([0.7] * 3, resolution=0.01)
    assert equal.high - equal.estimate == pytest.approx(half * 0.01 / np.sqrt(12))
    wide = mean_interval([0.1, 0.5, 0.9], resolution=0.01)
    assert wide == mean_interval([0.1, 0.5, 0.9]), "what spreads more is as it was"


def test_an_accuracys_interval_stays_within_0_and_1_and_holds_the_mean():
    """Mean 0.98 of 360 images: half width t s / sqrt(3) on the scale of accuracies, over p (1 - p) on the logit's."""
    values = [0.96, 0.98, 1.0]
    plain = mean_interval(values, resolution=1 / 360)
    found = accuracy_interval(plain, 360)
    assert plain.high > 1
    half = (plain.high - 0.98) / (0.98 * 0.02)
    ends = [1 / (1 + math.exp(-(math.log(0.98 / 0.02) + end))) for end in (-half, half)]
    assert (found.estimate, found.low, found.high) == pytest.approx((0.98, *ends))
    perfect = accuracy_interval(mean_interval([1.0] * 3, resolution=1 / 360), 360)
    assert (perfect.estimate, perfect.high) == (1.0, 1.0)
    assert 0.99 < perfect.low < 1
    assert accuracy_interval(mean_interval([0.0] * 3, resolution=1 / 360), 360).low == 0.0
    assert accuracy_interval(mean_interval([0.5]), 360) == Interval(0.5, None, None, 1)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", ["binomial", 0.012, 0.005])
def test_an_accuracys_interval_covers_what_it_says_near_the_edge(seeds, spread):
    """3,000 studies of seeds at 98 % of 360 images that differ by chance of the images, or by more, or by less."""
    generator, images, mean = np.random.default_rng(17), 360, 0.98
    size = (3000, seeds)
    if spread == "binomial":
        studies = generator.binomial(images, mean, size) / images
    else:
        concentration = mean * (1 - mean) / spread**2 - 1
        seen = generator.beta(mean * concentration, (1 - mean) * concentration, size)
        studies = np.round(seen * images) / images
    found = [accuracy_interval(mean_interval(study, resolution=1 / images), images) for study in studies]
    assert np.mean([interval.low <= mean <= interval.high for interval in found]) >= 0.93
    assert all(0 <= interval.low <= interval.estimate <= interval.high <= 1 for interval in found)


def test_chance_is_the_exact_binomial_bound():
    bound = scipy_stats.binom.isf(0.001, 360, 0.1)
    assert at_chance(bound / 360, 360, 10)
    assert not at_chance((bound + 1) / 360, 360, 10)
    assert at_chance(0.0, 360, 10)
    assert at_chance(0.013, 10_000, 100)
    assert not at_chance(0.015, 10_000, 100)


def three_each(generator, spreads, slower=1.0):
    """Three processes of each case; the first case is slower by a factor."""
    times = [list(np.exp(generator.normal(0, spread, 3))) for spread in spreads]
    return [[slower * value for value in times[0]], *times[1:]]


@pytest.mark.parametrize("unequal", [0.0, 0.6], ids=["spreads alike", "spreads differ"])
def test_one_doubling_among_many_cases_is_seen_and_no_change_is_not(unequal):
    """60 times 230 cases of 3 processes that spread by 5.7 % in root mean square, adjusted by Holm's method.

    Welch's test, with two to four degrees of freedom a case, sees the doubling in about half.
    """
    generator = np.random.default_rng(19)
    seen = seen_by_welch = false = 0
    for _ in range(60):
        spreads = 0.057 * generator.lognormal(-(unequal**2), unequal, 230)
        before = three_each(generator, spreads)
        doubled = list(zip(three_each(generator, spreads, slower=2.0), before, strict=True))
        unchanged = list(zip(three_each(generator, spreads), before, strict=True))
        seen += holm([p for _, p in ratios(doubled)])[0] <= 0.05
        seen_by_welch += 230 * ratio_p_value(*doubled[0]) <= 0.05
        false += min(holm([p for _, p in ratios(unchanged)])) <= 0.05
    assert seen >= 56
    assert seen_by_welch < 42
    assert false <= 9, "3 of 60 are expected, and more than 9 in 1 of 1,000"


def test_ratios_of_few_cases_are_welchs_and_an_interval_agrees_with_its_p():
    ours, theirs = [2.0, 2.2, 2.1], [1.0, 1.3, 1.1]
    few = ratios([(ours, theirs)] * 9)
    assert few == [(ratio_interval(ours, theirs), ratio_p_value(ours, theirs))] * 9
    generator = np.random.default_rng(23)
    many = [
        (list(np.exp(generator.normal(0.1, 0.05, 3))), list(np.exp(generator.normal(0, 0.05, 4)))) for _ in range(41)
    ]
    for (ratio, p_value), (ours, theirs) in zip(ratios(many), many, strict=True):
        assert ratio.estimate == pytest.approx(ratio_interval(ours, theirs).estimate)
        assert (p_value < 0.05) == (ratio.low > 1 or ratio.high < 1)
    short = ratios([*many, ([1.0, 2.0], [1.0, 1.0, 1.0]), ([3.0] * 3, [2.0] * 3)])
    assert short[41] == (Interval(pytest.approx(math.sqrt(2)), None, None, 2), None)
    assert short[42] == (ratio_interval([3.0] * 3, [2.0] * 3), 0.0), "what is exact stays exact"


def test_holm_by_hand():
    """Smallest first, times 3, 2 and 1, and never smaller than the one before (Holm 1979)."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_keeps_the_chance_of_any_false_claim_among_many():
    """2,000 suites of 5 comparisons with nothing in them: unadjusted, more than a fifth would claim something."""
    p_values = np.random.default_rng(13).uniform(size=(2000, 5))
    claimed = np.mean([min(holm(suite)) <= 0.05 for suite in p_values])
    assert 0.035 < claimed < 0.065
    assert np.mean(p_values.min(axis=1) <= 0.05) > 0.2


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "spreads of 2 to 10 %"])
def test_moderated_intervals_of_many_cases_hold_the_truth_and_are_narrower(alike):
    """96 cases of three processes, in 40 studies."""
    generator = np.random.default_rng(11)
    held, ours, own = [], [], []
    for _ in range(40):
        spreads = np.full(96, 0.06) if alike else generator.uniform(0.02, 0.10, 96)
        cases = np.exp(generator.normal(0, spreads[:, None], (96, 3)))
        for case, interval in zip(cases, stats.geometric_means(cases), strict=True):
            held.append(interval.low <= 1 <= interval.high)
            ours.append(math.log(interval.high / interval.low))
            alone = stats.geometric_mean_interval(case)
            own.append(math.log(alone.high / alone.low))
    assert 0.935 < np.mean(held) < 0.965
    assert np.mean(ours) < 0.75 * np.mean(own)


def test_few_cases_have_intervals_of_their_own():
    cases = [[1.0, 1.1, 0.9], [2.0, 2.1, 2.3]]
    assert stats.geometric_means(cases) == [stats.geometric_mean_interval(case) for case in cases]


def test_one_case_that_was_hit_by_something_else_has_its_own_wide_interval_and_widens_no_other():
    generator = np.random.default_rng(17)
    calm = [list(np.exp(generator.normal(0, 0.02, 3))) for _ in range(95)]
    *others, hit = stats.geometric_means([*calm, [0.0231, 0.0516, 0.0235]])
    assert hit == stats.geometric_mean_interval([0.0231, 0.0516, 0.0235])
    assert hit.high > 2 * hit.estimate
    assert others == stats.geometric_means(calm)
