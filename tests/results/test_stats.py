"""Statistics on hand-computed numbers, against SciPy, and by the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from results.stats import Interval, fit_growth, log_log_slope, mean_interval, paired_difference

FINITE = st.floats(-1e6, 1e6)


def test_mean_interval_by_hand():
    # mean 5, standard deviation 2, n 3, t(0.975, 2) = 4.302653: half width 4.302653 * 2 / sqrt(3)
    interval = mean_interval([3.0, 5.0, 7.0])
    assert interval.estimate == 5
    assert interval.high - 5 == pytest.approx(4.968275, rel=1e-6)
    assert 5 - interval.low == pytest.approx(4.968275, rel=1e-6)
    assert interval.n == 3


def test_one_value_has_no_interval_and_none_is_an_error():
    assert mean_interval([3.0]) == Interval(3.0, None, None, 1)
    assert not mean_interval([3.0]).excludes_zero
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


def test_differences_are_paired_by_seed():
    ours, theirs = {1: 5.0, 2: 7.0, 3: 9.0, 4: 100.0}, {3: 8.0, 2: 6.0, 1: 4.0, 9: -100.0}
    assert paired_difference(ours, theirs) == Interval(1.0, 1.0, 1.0, 3)
    assert paired_difference(ours, theirs).excludes_zero
    assert paired_difference({1: 1.0}, {2: 1.0}) is None


def test_an_interval_that_touches_zero_shows_no_difference():
    assert not Interval(1.0, 0.0, 2.0, 5).excludes_zero
    assert Interval(-1.0, -2.0, -0.1, 5).excludes_zero


SIZES = [64, 121, 225, 400, 729, 1296, 2304, 4096]
COEFFICIENT = st.floats(1e-3, 1)


@given(constant=COEFFICIENT, linear=COEFFICIENT, quadratic=COEFFICIENT, unit=st.sampled_from([1.0, 1e3, 1e9]))
def test_growth_finds_the_law_it_was_given_in_any_unit(constant, linear, quadratic, unit):
    law = np.array([constant * 1e-3, linear * 1e-5, quadratic * 1e-8])
    seconds = [law @ [1, n, n**2] for n in SIZES]
    growth = fit_growth(SIZES, [s * unit for s in seconds])
    assert (growth.constant, growth.linear, growth.quadratic) == pytest.approx(tuple(law * unit), rel=1e-3)
    assert growth.seconds(900) == pytest.approx(law @ [1, 900, 900**2] * unit, rel=1e-6)
    assert growth.quadratic_share(4096) == pytest.approx(law[2] * 4096**2 / seconds[-1], rel=1e-3)


def test_a_linear_law_with_a_large_intercept_has_no_quadratic_part():
    growth = fit_growth(SIZES, [0.020 + 1e-5 * n for n in SIZES])
    assert growth.quadratic_share(4096) < 1e-6
    assert growth.constant == pytest.approx(0.020)


def test_exponent_of_a_power_law_with_its_interval():
    exact = log_log_slope(np.array(SIZES, float), 3e-6 * np.array(SIZES, float) ** 1.7)
    assert (exact.estimate, exact.low, exact.high) == pytest.approx((1.7, 1.7, 1.7))
    noisy = 3e-6 * np.array(SIZES) ** 1.7 * np.exp(np.random.default_rng(3).normal(0, 0.05, 8))
    interval = log_log_slope(np.array(SIZES, float), noisy)
    expected = scipy_stats.linregress(np.log(SIZES), np.log(noisy))
    assert interval.estimate == pytest.approx(expected.slope)
    assert interval.low < 1.7 < interval.high


def test_too_few_sizes_give_no_fit():
    assert fit_growth([64, 128], [1.0, 2.0]) is None
    assert fit_growth([64, 64, 64], [1.0, 2.0, 3.0]) is None
    assert fit_growth([64, 128, 256], [1.0, 2.0, 4.0]).exponent is None
