"""Dropout drops at its rate, each value on its own, and keeps the mean; its masks are those of its seed."""

import keras
import numpy as np
import pytest
from scipy import stats

from models.layers.dropout import LEVELS, Dropout


def masks(layer, shape, count):
    return np.stack([keras.ops.convert_to_numpy(layer.kept(shape)) for _ in range(count)])


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_the_rate_is_met_within_what_chance_allows(rate):
    """Over many calls, of which each has the threshold below the rate or the one above."""
    layer = Dropout(rate, seed=3)
    assert layer.fraction_kept == pytest.approx(1 - rate, abs=1e-12)
    dropped = 1 - masks(layer, (31, 101), 1009).mean(axis=(1, 2))
    standard_error = dropped.std(ddof=1) / len(dropped) ** 0.5
    assert abs(dropped.mean() - rate) < 4 * standard_error < 0.002


def test_a_rate_between_two_thresholds_takes_the_upper_one_in_its_share_of_the_calls():
    layer = Dropout(51.2 / LEVELS, seed=29)
    thresholds = [int(layer._threshold()) for _ in range(997)]
    assert set(thresholds) == {51, 52}
    assert stats.binomtest(thresholds.count(52), len(thresholds), 0.2).pvalue > 1e-4


def test_neighbours_those_of_one_random_number_too_are_independent():
    """Each pair of neighbours as often both kept, one, or none, as independent values are: a chi-squared test."""
    kept = masks(Dropout(0.3, seed=5), (211, 2000), 1)[0]
    pairs = [(kept[:, i::4], kept[:, j::4]) for i, j in ((0, 1), (1, 2), (2, 3), (0, 3))]  # of one number
    for first, second in (*pairs, (kept[:, 3:-1:4], kept[:, 4::4]), (kept[:-1], kept[1:])):
        table = [[np.sum((first == a) & (second == b)) for b in (False, True)] for a in (False, True)]
        assert stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize("last", [1, 2, 7])
def test_any_last_axis_has_a_mask_of_its_shape(last):
    layer = Dropout(0.5, seed=7)
    assert masks(layer, (3, 5, last), 1).shape == (1, 3, 5, last)
    assert keras.ops.convert_to_numpy(layer(np.ones((3, 5, last), "float32"), training=True)).shape == (3, 5, last)


def test_what_is_kept_is_divided_by_the_share_and_nothing_happens_outside_training():
    x = np.random.default_rng(11).standard_normal((7, 13)).astype("float32")
    layer = Dropout(0.25, seed=13)
    trained = keras.ops.convert_to_numpy(layer(x, training=True))
    kept = trained != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(trained[kept], x[kept] / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, training=False)), x)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(Dropout(0.0)(x, training=True)), x)


def test_the_same_seed_drops_the_same_and_the_next_call_others():
    first, second = (masks(Dropout(0.5, seed=17), (31, 37), 2) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).any()


def test_a_rate_that_rounds_to_all_still_keeps_some():
    layer = Dropout(1 - 1e-9, seed=19)
    assert layer.fraction_kept == 1 / LEVELS
    assert np.isfinite(keras.ops.convert_to_numpy(layer(np.ones((2, 3), "float32"), training=True))).all()
