"""Growth on made-up curves and on the committed run: models, coverage of intervals, error rates of verdicts."""

import math
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from models.config import VARIANTS
from results import growth, stats, store
from results.growth import (
    EXCLUDED,
    MATERIAL_SHARE,
    crossover,
    fit_growth,
    log_log_slope,
    upper_half,
    verdict,
)
from tests.studies import growth as growth_study

SIZES = [64, 121, 225, 400, 729, 1296, 2304, 4096]
COEFFICIENT = st.floats(1e-3, 1)


def processes(curve, count=3, noise=0.0, seed=0, sizes=SIZES):
    """Seconds of each size's processes on a curve of N."""
    generator = np.random.default_rng(seed)
    return {n: list(curve(n) * np.exp(generator.normal(0, noise, count))) for n in sizes}


def model(growth, name):
    return next(law for law in growth.laws if law.name == name)


@settings(max_examples=25, deadline=None)
@given(constant=COEFFICIENT, linear=COEFFICIENT, quadratic=COEFFICIENT, unit=st.sampled_from([1.0, 1e3, 1e9]))
def test_growth_finds_the_curve_it_was_given_in_any_unit(constant, linear, quadratic, unit):
    true = np.array([constant * 1e-3, linear * 1e-5, quadratic * 1e-8])
    growth = fit_growth(processes(lambda n: unit * true @ [1, n, n**2], count=1))
    fitted = model(growth, "quadratic")
    assert [coefficient for coefficient, _ in fitted.terms] == pytest.approx(list(true * unit), rel=1e-3)
    assert fitted.at(900) == pytest.approx(true @ [1, 900, 900**2] * unit, rel=1e-6)
    assert growth.quadratic_share.estimate == pytest.approx(fitted.bend(64, 4096), rel=1e-3)
    assert growth.law.name != "quadratic" or growth.quadratic_share.estimate >= MATERIAL_SHARE


def test_a_line_with_a_large_intercept_is_linear():
    growth = fit_growth(processes(lambda n: 0.020 + 1e-5 * n, noise=0.01))
    assert growth.law.name == "linear"
    assert growth.law.at(0) == pytest.approx(0.020, rel=0.02)
    assert growth.slope.estimate < 0.8, "the slope as measured has the intercept in it"
    assert growth.quadratic_share.low == 0
    assert verdict(growth, "linear") == "supported"


def test_n_log_n_has_a_name_of_its_own():
    a, b = 0.001, 3e-6
    growth = fit_growth(processes(lambda n: a + b * n * math.log(n), noise=0.01))
    assert growth.law.name == "N log N"
    assert growth.law.at(900) == pytest.approx(a + b * 900 * math.log(900), rel=0.02)
    bend = b * 4096 * math.log(4096 / 64) / (a + b * 4096 * math.log(4096))
    assert growth.law.bend(64, 4096) == pytest.approx(bend, rel=0.05)


def test_a_power_of_n_is_found_with_its_slope():
    growth = fit_growth(processes(lambda n: 3e-6 * n**1.7))
    assert model(growth, "power").terms[1] == pytest.approx((3e-6, 1.7), rel=1e-2)
    assert growth.slope.estimate == pytest.approx(1.7)
    assert max(growth.laws, key=lambda law: law.weight).name == "power"
    assert sum(law.weight for law in growth.laws) == pytest.approx(1)


def test_the_model_runs_through_the_geometric_means_that_the_points_are():
    """Two processes of three take a while, the third 1.2 times as long: a median would stand at 1, not at 1.2^(1/3)."""
    seconds = {n: [1e-5 * n, 1.2e-5 * n, 1e-5 * n] for n in SIZES}
    growth = fit_growth(seconds)
    for n in SIZES:
        assert growth.law.at(n) == pytest.approx(scipy_stats.gmean(seconds[n]), rel=1e-3)


def test_a_disturbed_process_does_not_bend_the_model_nor_do_two_of_three():
    values = processes(lambda n: 0.001 + 1e-5 * n, noise=0.01)
    values[729][2] *= 3
    values[4096][0] *= 2
    values[4096][1] *= 2.1
    growth = fit_growth(values)
    assert growth.law.name == "linear"
    assert growth.law.terms[1][0] == pytest.approx(1e-5, rel=0.05)
    assert verdict(growth, "linear") == "supported"


def test_the_slope_is_that_over_the_upper_half_of_the_geometric_means():
    values = processes(lambda n: 3e-6 * n**1.7, noise=0.05, seed=3)
    upper = SIZES[4:]
    expected = scipy_stats.linregress(np.log(upper), np.log([scipy_stats.gmean(values[n]) for n in upper])).slope
    assert fit_growth(values).slope.estimate == pytest.approx(expected)


def test_a_slopes_interval_is_students_with_the_spread_within_the_sizes():
    values = {2: [1.0, math.e], 4: [math.e, math.e**3], 8: [math.e**3, math.e**3, math.e**3, math.e**3]}
    values = {n: [*seconds, math.exp(np.mean(np.log(seconds)))] for n, seconds in values.items()}
    squares, freedom = 0.5 + 2, 3 + 3 + 5 - 3  # within 2 and 4; processes less sizes
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt(squares / freedom * (1 / 3 + 1 / 3)) / math.log(2)
    found = log_log_slope(values, [2, 4])
    assert (found.estimate, found.n) == (pytest.approx(1.5 / math.log(2)), 3)
    assert found.high - found.estimate == pytest.approx(half)


def test_intervals_of_slopes_cover_what_they_say():
    """Of 1,000 studies of eight sizes, three processes and 5 % noise: the upper half's slope, one from size to size."""
    held = np.zeros(2)
    for seed in range(1000):
        values = processes(lambda n: 1e-5 * n, noise=0.05, seed=seed)
        for place, sizes in enumerate((upper_half(SIZES), SIZES[3:5])):
            interval = log_log_slope(values, sizes)
            held[place] += interval.low <= 1 <= interval.high
    assert np.all(np.abs(held / 1000 - 0.95) < 0.02)


def test_the_quadratic_parts_interval_covers_what_it_says():
    """Of 300 studies with a part of 30 %."""
    held = 0
    for seed in range(300):
        share = fit_growth(processes(lambda n: 0.2 + 0.5 * n / 4096 + 0.3 * (n / 4096) ** 2, noise=0.05, seed=seed))
        held += share.quadratic_share.low <= 0.3 <= share.quadratic_share.high
    assert held >= 0.92 * 300


def test_sizes_that_lie_off_together_widen_the_interval():
    """Memory that jumps from chunk to chunk is the same in each process: five are no more evidence than three."""
    memory = {n: 4096.0 * n * factor for n, factor in zip(SIZES, (1, 1.3, 1, 0.8, 1.2, 0.9, 1.3, 1), strict=True)}
    three, five = (fit_growth({n: [size] * count for n, size in memory.items()}) for count in (3, 5))
    assert three.quadratic_share.high > 0.3
    assert three.quadratic_share.high == pytest.approx(five.quadratic_share.high)
    assert verdict(three, "linear") == "inconclusive"


def test_a_constant_meets_a_bound_from_above_and_contradicts_a_square():
    growth = fit_growth(processes(lambda n: 0.005, noise=0.05))
    assert (verdict(growth, "linear"), verdict(growth, "quadratic")) == ("supported", "contradicted")
    assert verdict(growth, "N log N") == "supported"


def test_a_line_meets_n_log_n_and_a_square_contradicts_it():
    line, square = (fit_growth(processes(lambda n, k=k: 1e-6 * n**k, noise=0.02)) for k in (1, 2))
    assert (verdict(line, "N log N"), verdict(square, "N log N")) == ("supported", "contradicted")


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_n_log_n_supports_no_claim_of_less_nor_of_more(noise):
    growth = fit_growth(processes(lambda n: 3e-6 * n * math.log(n), noise=noise))
    assert verdict(growth, "linear") == "inconclusive"
    assert verdict(growth, "quadratic") != "supported"
    assert verdict(growth, "N log N") != "contradicted"


def test_too_little_is_not_tested():
    assert fit_growth({n: [float(n)] * 3 for n in SIZES[:5]}) is None
    assert {verdict(None, claim) for claim in ("linear", "N log N", "quadratic")} == {"not tested"}
    growth = fit_growth(processes(lambda n: 1e-5 * n, count=2))
    assert (growth.slope.low, growth.quadratic_share.low, growth.slope.n) == (None, None, 2)
    assert verdict(growth, "linear") == "not tested"


@settings(max_examples=300, deadline=None)
@given(
    parts=st.tuples(COEFFICIENT, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    noise=st.floats(0, 0.3),
    sizes=st.integers(6, 8),
    count=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_no_verdict_stands_beside_a_number_or_a_name_that_contradicts_it(parts, noise, sizes, count, seed):
    def curve(n):
        return np.dot(parts, [1, n / 4096, n * math.log(n) / 4096 / math.log(4096), (n / 4096) ** 2])

    growth = fit_growth(processes(curve, count, noise, seed, SIZES[:sizes]))
    share, name = growth.quadratic_share, growth.law.name
    linear, quadratic = verdict(growth, "linear"), verdict(growth, "quadratic")
    if count < 3:
        assert (share.low, share.high, linear, quadratic) == (None, None, "not tested", "not tested")
        return
    assert 0 <= share.low <= share.estimate <= share.high <= 1
    assert name != "quadratic" or share.estimate >= MATERIAL_SHARE
    if linear == "supported":
        assert (share.high < MATERIAL_SHARE, name in ("constant", "linear")) == (True, True)
        assert growth.n_log_n_excluded >= EXCLUDED["linear"]
    if quadratic == "supported":
        assert (share.low >= MATERIAL_SHARE, name) == (True, "quadratic")
        assert growth.n_log_n_excluded >= EXCLUDED["quadratic"]
    assert (linear == "contradicted") == (share.low >= MATERIAL_SHARE)
    assert linear != "contradicted" or name not in ("constant", "linear")
    assert (quadratic == "contradicted") == (share.high < MATERIAL_SHARE)
    assert quadratic != "contradicted" or name != "quadratic"


@cache
def committed():
    """(what, scope, phase, variant) -> its claim, whether that is true, and the values of the committed run.

    The claim that vit-fused needs linear memory is false, as TensorFlow has no fused kernel.
    """
    found = {}
    for record in store.load(Path(__file__).parents[2] / "results/reference/quick-2-cores").step_times:
        grows = VARIANTS[record.variant].attention.grows
        peak = record.device_peak_memory_bytes or record.peak_memory_bytes
        measured = {"time": float(np.median(record.samples_seconds)), "memory": peak}
        for what, value in measured.items():
            true = (what, record.variant) != ("memory", "vit-fused")
            case = what, record.scope, record.phase, record.variant
            _, _, values = found.setdefault(case, (getattr(grows, what), true, {}))
            values.setdefault(record.patches, []).append(value)
    return found


CASES = [
    (what, scope, phase, variant)
    for what in ("time", "memory")
    for scope, variants in (("core", ("eanet", "eanet-factored", "vit", "vit-fused")), ("model", ("eanet", "vit")))
    for phase in ("train", "infer")
    for variant in variants
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_no_six_sizes_of_the_committed_run_give_a_wrong_verdict(case):
    """With the largest and any five others, and without the two largest, as where memory does not suffice."""
    claim, true, values = committed()[case]
    wrong = "contradicted" if true else "supported"
    subsets = [(*smaller, max(values)) for smaller in combinations(sorted(values)[:-1], 5)]
    assert len(subsets) == 21
    for sizes in (*subsets, sorted(values)[:6]):
        assert verdict(fit_growth({n: values[n] for n in sizes}), claim) != wrong, sizes


def test_the_committed_runs_verdicts():
    """Peaks of an inference, a few MiB that jump by a fifth alike in each process, do not tell a line from more."""
    assert sorted(committed()) == sorted(CASES)
    said = {case: verdict(fit_growth(values), claim) for case, (claim, _, values) in committed().items()}
    unsure = {("memory", "core", "infer", "eanet"), ("memory", "core", "infer", "eanet-factored")}
    unsure |= {("memory", "model", "infer", "eanet")}
    assert {case for case, word in said.items() if word == "inconclusive"} == unsure
    for case, (_, true, _) in committed().items():
        assert case in unsure or said[case] == ("supported" if true else "contradicted"), case


def test_at_most_one_verdict_in_a_hundred_is_wrong_for_each_shape():
    """The study of docs/measurements.md, with its seed."""
    found = growth_study.outcomes(1000, seed=0)
    assert sum(found.values()) == 2 * 1200
    for shape in (*growth_study.SHAPES, growth_study.PARTLY):
        for claim in growth_study.RIGHT:
            assert found[shape, claim, "wrong"] <= 0.01 * 200, (shape, claim)
    for shape, claim in (("linear", "linear"), ("constant", "linear"), ("quadratic", "quadratic")):
        assert found[shape, claim, "right"] >= 0.8 * 200, "a rule that never decides would never be wrong"


def test_a_change_of_the_unit_changes_no_verdict():
    for curve in growth_study.curves(40, seed=2):
        said = set()
        for unit in (1, 1e3, 1e9):
            growth = fit_growth({n: [s * unit for s in curve.seconds[n]] for n in SIZES})
            said.add((growth.law.name, verdict(growth, "linear"), verdict(growth, "quadratic")))
        assert len(said) == 1


def test_crossover_by_hand():
    """One curve crosses the other at N = 250, between two sizes."""
    ours, base = processes(lambda n: 250.0), processes(lambda n: float(n))
    crossing = crossover(ours, base)
    assert crossing.estimate == pytest.approx(250)
    assert (crossing.low, crossing.high, crossing.n) == (pytest.approx(250), pytest.approx(250), 3)
    assert crossover(base, ours).estimate == math.inf, "behind at the largest size"
    assert crossover(processes(lambda n: 1.0), base).estimate == 0, "ahead at every size"
    assert crossover({64: [1.0]}, base) is None
    assert crossover(processes(lambda n: 250.0, count=2), base).low is None


def test_crossovers_interval_may_end_outside_the_sizes():
    ours, base = processes(lambda n: 70.0, noise=0.1), processes(lambda n: float(n), noise=0.1, seed=1)
    crossing = crossover(ours, base)
    assert crossing.low == 0
    assert 64 < crossing.high < 121


def test_crossovers_interval_covers_what_it_says():
    """Of 500 pairs of curves that cross at N = 300 and differ little around it, as the two attentions do."""
    held = 0
    for seed in range(500):
        ours = processes(lambda n: 3e-3 + 1e-5 * n, noise=0.06, seed=seed)
        base = processes(lambda n: 3e-3 + 1e-5 * 300 + 2e-5 * (n - 300), noise=0.06, seed=seed + 500)
        crossing = crossover(ours, base)
        held += crossing.low <= 300 <= crossing.high
    assert held >= 0.93 * 500


def test_a_ratio_at_a_size_takes_its_spread_from_all_sizes():
    """Of 1,000 made-up pairs of curves: Welch's interval of three processes a side is half as wide again."""
    generator = np.random.default_rng(13)
    held, ours, welch = [], [], []
    for _ in range(1000):
        one, other = (
            {size: list(level * size * np.exp(generator.normal(0, 0.06, 3))) for size in (64, 121, 225, 400, 729)}
            for level in (5.0, 1.0)
        )
        interval = growth.ratio(one, other, 729)
        held.append(interval.low <= 5 <= interval.high)
        ours.append(math.log(interval.high / interval.low))
        alone = stats.ratio_interval(one[729], other[729])
        welch.append(math.log(alone.high / alone.low))
    assert 0.93 < np.mean(held) < 0.97
    assert np.mean(ours) < 0.75 * np.mean(welch)
