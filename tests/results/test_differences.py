"""Differences between two models: against SciPy, against the sums of the two-way layout, and on made-up studies."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from results.differences import Difference, by_seed, over_seeds, over_seeds_and_images, over_splits
from results.stats import Interval

FINITE = st.floats(-1e3, 1e3)


def test_models_are_paired_by_the_seeds_that_all_have():
    ours, theirs = {1: 5.0, 2: 7.0, 3: 9.0, 4: 100.0}, {3: 8.0, 2: 6.0, 1: 4.0, 9: -100.0}
    assert by_seed([(1, ours), (-1, theirs)]) == {1: 1.0, 2: 1.0, 3: 1.0}
    assert by_seed([(1, {1: 1.0}), (-1, {2: 1.0})]) == {}
    assert by_seed([(1, ours), (-1, theirs), (-1, ours), (1, {1: 2.0})]) == {1: -2.0}


@given(st.lists(FINITE, min_size=2, max_size=12))
def test_over_seeds_it_is_students_paired_test_and_p_is_small_exactly_where_the_interval_excludes_zero(values):
    found = over_seeds(values)
    if np.std(values) > 1e-3:
        assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6, abs=1e-9)
        low, high = found.interval.low, found.interval.high
        assert abs(found.p_value - 0.05) < 1e-6 or (found.p_value < 0.05) == (low > 0 or high < 0)


def test_a_difference_without_spread_or_of_one_seed():
    assert over_seeds([0.5, 0.5]).p_value == 0
    assert over_seeds([0.0, 0.0]).p_value == 1
    assert over_seeds([1.0]).interval == over_splits([1.0], 5).interval == Interval(1.0, None, None, 1)
    assert over_seeds([1.0]).p_value is over_seeds_and_images(np.ones((1, 7))).p_value is None
    with pytest.raises(ValueError, match="no values"):
        over_seeds([])


def test_equal_differences_on_a_lattice_vary_at_least_by_their_rounding():
    """Uniform rounding to a step d has the standard deviation d / sqrt(12)."""
    found = over_seeds([0.01] * 3, resolution=0.01)
    error = 0.01 / math.sqrt(12) / math.sqrt(3)
    assert found.interval.high - 0.01 == pytest.approx(stats.t.ppf(0.975, 2) * error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.01 / error, 2))


def test_where_each_seed_draws_its_test_set_the_error_is_nadeaus_and_bengios():
    values = [0.01, 0.03, -0.01, 0.02, 0.05, 0.01, 0.0]
    found = over_splits(values, 5)
    error = math.sqrt((1 / 7 + 1 / 4) * np.var(values, ddof=1))
    assert found.p_value == pytest.approx(2 * stats.t.sf(np.mean(values) / error, 6))
    assert found.interval.low == pytest.approx(np.mean(values) - stats.t.ppf(0.975, 6) * error)


def two_way(values):
    """Mean squares of the two-way layout, sum by sum: rows, columns, and what is left."""
    rows, columns = len(values), len(values[0])
    mean = sum(map(sum, values)) / rows / columns
    of_rows = [sum(row) / columns for row in values]
    of_columns = [sum(row[c] for row in values) / rows for c in range(columns)]
    rest = sum(
        (values[r][c] - of_rows[r] - of_columns[c] + mean) ** 2
        for r, c in itertools.product(range(rows), range(columns))
    )
    return (
        columns * sum((row - mean) ** 2 for row in of_rows) / (rows - 1),
        rows * sum((column - mean) ** 2 for column in of_columns) / (columns - 1),
        rest / (rows - 1) / (columns - 1),
    )


def test_over_seeds_and_images_the_error_is_that_of_two_crossed_samples():
    chance = np.random.default_rng(5)
    values = chance.integers(-1, 2, (7, 53)) + (chance.random(53) < 0.3) + chance.integers(0, 3, (7, 1))
    rows, columns, rest = two_way(values.tolist())
    found = over_seeds_and_images(values.astype(float))
    assert found.estimate == pytest.approx(values.mean())
    assert found.error == pytest.approx(math.sqrt((rows + columns - rest) / 7 / 53))
    parts = {6: rows / 7 / 53, 52: found.image_variance}
    halves = [stats.t.ppf(0.975, degrees) * math.sqrt(variance) for degrees, variance in parts.items()]
    assert found.interval.high - values.mean() == pytest.approx(math.hypot(*halves))


def test_models_that_agree_on_every_image_are_not_proven_equal():
    """At least one image in which all seeds differ is assumed: an error of one image."""
    found = over_seeds_and_images(np.zeros((3, 359)))
    assert found.error == pytest.approx(1 / 359, rel=0.01)


def test_more_seeds_make_an_interval_over_seeds_alone_more_sure_and_more_wrong():
    """Equal models, 359 images that each suit one of the two: 400 studies of 3 and of 10 seeds."""
    chance = np.random.default_rng(7)
    held = {}
    for seeds in (3, 10):
        inside = []
        for _ in range(400):
            chances = [1 / (1 + np.exp(-chance.normal(3, 2, 359))) for _ in range(2)]
            ours, theirs = (chance.random((seeds, 359)) < one for one in chances)
            apart = ours.astype(float) - theirs
            both = over_seeds(apart.mean(axis=1)), over_seeds_and_images(apart)
            inside.append([one.interval.low <= 0 <= one.interval.high for one in both])
        held[seeds] = np.mean(inside, axis=0)
    assert held[10][0] < held[3][0] < 0.93
    assert held[10][0] < 0.8
    assert min(held[3][1], held[10][1]) >= 0.93


@pytest.mark.parametrize(("seeds", "alpha"), [(3, 0.05), (5, 0.01), (11, 0.002)])
def test_what_is_detectable_is_found_with_four_chances_of_five(seeds, alpha):
    """20,000 studies of normal differences whose mean is what is detectable at their true spread."""
    size = Difference(0.0, 1.0, 0.0, seeds - 1, seeds).detectable(alpha)
    studies = np.random.default_rng(13).normal(size, 1, (20_000, seeds))
    assert np.mean(stats.ttest_1samp(studies, 0, axis=1).pvalue <= alpha) == pytest.approx(0.8, abs=0.01)


def test_the_seeds_that_a_difference_needs_are_the_fewest_that_detect_it():
    found = Difference(0.0, 1.0, 0.0, 2, 3)
    needed = found.seeds_for(0.7, 0.05)
    at = [Difference(0.0, 1.0, 0.0, seeds - 1, seeds).detectable(0.05) for seeds in (needed - 1, needed)]
    assert at[0] > 0.7 >= at[1]


def test_no_number_of_seeds_makes_up_for_too_few_images():
    assert Difference(0.0, 1.0, 0.25, 359, 10).seeds_for(1.3, 0.05) is None
    assert Difference(0.0, 1.0, 0.25, 359, 10).seeds_for(1.5, 0.05) > 10


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.integers(2, 12), st.integers(2, 500), st.floats(0.01, 30))
def test_the_interval_at_the_p_value_ends_at_zero(of_seeds, of_images, seeds, images, estimate):
    found = Difference(estimate, of_seeds, of_images, images - 1, seeds)
    assert found.interval_at(found.p_value).low == pytest.approx(0, abs=1e-4 * estimate)


@pytest.mark.parametrize("seeds", [2, 3, 10, 13])
@pytest.mark.parametrize("rights", [(1, 1), (1, 0)])
def test_seeds_that_all_say_the_same_have_a_p_value(seeds, rights):
    """Both models right in all 7 images; one of them in half of 14 more, the other in none."""
    found = over_seeds_and_images(np.tile([float(rights[0] - rights[1])] * 7 + [0.0] * 7, (seeds, 1)))
    assert 0 < found.p_value <= 1
    assert found.interval.low < found.estimate < found.interval.high


def test_one_test_image_tells_nothing_of_others():
    assert over_seeds_and_images(np.array([[1.0], [0.0], [1.0]])) == over_seeds([1.0, 0.0, 1.0])


def test_what_is_detectable_has_the_power_at_a_familys_level_too():
    """Three seeds, as much variance from 359 images: 20,000 studies, each with its own estimates of both."""
    chance, alpha = np.random.default_rng(17), 0.01
    size = Difference(0.0, 3.0, 1.0, 358, 3).detectable(alpha)
    means = chance.normal(size, math.sqrt(2), 20_000)
    variances = 3 * chance.chisquare(2, 20_000) / 2, chance.chisquare(358, 20_000) / 358
    found = [
        Difference(mean, of_seeds, of_images, 358, 3).p_value <= alpha
        for mean, of_seeds, of_images in zip(means[:2000], variances[0][:2000], variances[1][:2000], strict=True)
    ]
    assert np.mean(found) >= 0.7
