"""Growth on made-up step times: models, verdicts, crossovers and memory, and nothing tested on too little."""

import math
import re

import numpy as np
import pytest

from report import figures
from report.findings import find
from report.tables import tables
from results import store
from tests import samples
from tests.report.page_reader import answers, page_of, run_of


def found_of(records):
    return find(run_of(*records))


def verdicts(findings):
    """Claim -> its verdict and what was measured, as the page's table has them."""
    rows = tables(findings)["growth-claims"].rows
    return {claim.text: (verdict.text, measured.text) for claim, verdict, measured in rows}


SIZES = (64, 121, 225, 400, 729, 1296, 2304, 4096)


def curves(linear=1e-5, quadratic=1e-8, processes=3, sizes=SIZES):
    """EANet linear, ViT quadratic, exactly; memory too, as the allocator tells it."""
    return [
        record
        for process in range(processes)
        for n in sizes
        for record in (
            samples.step_time("eanet", n, linear * n, process, allocated=4096 * n),
            samples.step_time("vit", n, linear * n + quadratic * n**2 - 1e-9, process, allocated=64 * n**2),
        )
    ]


def test_each_growth_is_named_with_its_numbers():
    found = found_of(curves())
    eanet, vit = found.curves
    assert [point.patches for point in eanet.points] == list(SIZES)
    assert eanet.points[0].step_seconds.estimate == pytest.approx(64e-5)
    upper = np.array(SIZES[4:], float)
    slope = np.polyfit(np.log(upper), np.log(1e-5 * upper + 1e-8 * upper**2 - 1e-9), 1)[0]
    said = answers(found)
    assert (
        "number of patches N: EANet's is classified as linear (log-log slope 1.00) and ViT's is classified as "
        f"quadratic (log-log slope {slope:.2f}), n = 3 processes a size; EANet's is faster" in said
    )
    assert "EANet's is classified as linear (log-log slope 1.00; 16.0 MiB at N = 4,096, batch 2)" in said
    (_, eanet_said), (_, vit_said), *_ = verdicts(found).values()
    assert "(log-log slope 1.00 from N = 729 to 4,096; 0 % [0, 1] of the fitted time at 4,096 is quad" in eanet_said
    assert "80 % [80, 81] of the fitted time at 4,096 is quadratic)" in vit_said
    assert eanet.memory.law.terms[1][0] == pytest.approx(4096, rel=1e-3)
    assert vit.memory.law.name == "quadratic"
    assert eanet.multiply_adds.terms[1] == (40_960, 1)


def test_every_claim_about_growth_gets_a_verdict():
    core = "The attention alone, one training step: the"
    assert {claim: verdict for claim, (verdict, _) in verdicts(found_of(curves())).items()} == {
        f"{core} time of EANet grows no faster than linearly in N": "supported",
        f"{core} time of ViT grows as N²": "supported",
        f"{core} peak memory of EANet grows no faster than linearly in N": "supported",
        f"{core} peak memory of ViT grows as N²": "supported",
    }
    swapped = [samples.step_time("eanet", n, 1e-8 * n**2, p) for n in SIZES for p in range(3)]
    (verdict, numbers), _ = verdicts(found_of(swapped)).values()
    assert (verdict, numbers.startswith("classified as quadratic in the number")) == ("contradicted", True)


def untested(findings):
    return {verdict for verdict, _ in verdicts(findings).values()} == {"not tested"}


def test_too_few_processes_or_sizes_test_nothing():
    few = found_of(curves(processes=2))
    assert untested(few)
    assert "its growth was not tested, for n = 2 and an interval needs 3 processes" in answers(few)
    assert "classified" not in answers(few)
    uneven = [record for record in curves() if record.process == 0 or record.patches > 400]
    assert untested(found_of(uneven))
    for sizes, words in (((64,), "1 size was measured and a fit needs 6"), (SIZES[:5], "5 sizes were measured")):
        found = found_of(curves(sizes=sizes))
        assert untested(found)
        assert f"its growth was not tested, for {words}" in answers(found)
        assert all(curve.growth is None for curve in found.curves)


def verdict_of(claimed_linear):
    """The verdict and the numbers of a claim of linear time, from seconds by size and process."""
    records = [samples.step_time("eanet", n, claimed_linear(n, p), p) for n in SIZES for p in range(3)]
    told, _ = verdicts(found_of(records)).values()
    return told


def test_a_constant_meets_a_bound_from_above():
    verdict, numbers = verdict_of(lambda n, p: 0.003 * (1 + 0.02 * p))
    assert (verdict, "classified as constant" in numbers) == ("supported", True)


def test_what_could_be_either_is_inconclusive_and_says_why():
    verdict, numbers = verdict_of(lambda n, p: 1e-6 * n * math.log(n) * (1 + 0.02 * p))
    assert (verdict, "classified as N log N" in numbers) == ("inconclusive", True)
    assert numbers.endswith("N log N is not excluded), n = 3 processes a size")


def test_without_the_two_largest_sizes_a_square_is_none_the_less_one():
    """Those that memory did not suffice for."""
    found = found_of(curves(sizes=SIZES[:6]))
    assert {verdict for verdict, _ in verdicts(found).values()} == {"supported"}


def test_the_model_is_drawn_through_its_points():
    """Skewed processes: their median is a tenth below their geometric mean."""
    records = [
        samples.step_time("eanet", n, 1e-5 * n * factor, p) for n in SIZES for p, factor in enumerate((1, 1, 1.3))
    ]
    (curve,) = found_of(records).curves
    for point in curve.points:
        assert curve.growth.law.at(point.patches) == pytest.approx(point.step_seconds.estimate, rel=1e-3)


def test_no_interval_of_no_width_is_written():
    """Allocators tell every process the same."""
    found = found_of(curves())
    written = [cell.text for table in tables(found).values() for row in table.rows for cell in row]
    written += [*map(str, found.answers), figures.growth(found).svg, figures.memory(found).alt]
    for text in written:
        assert not any(low == high for low, high in re.findall(r"\[([^\[\],]+), ([^\[\]]+)\]", text)), text


def crossing(eanet, vit, variant="vit"):
    records = [samples.step_time("eanet", n, eanet(n), p) for n in SIZES for p in range(3)]
    return found_of(records + [samples.step_time(variant, n, vit(n), p) for n in SIZES for p in range(3)])


def test_the_crossover_lies_where_the_curves_cross():
    found = crossing(lambda n: 1e-3 + 1e-5 * n, lambda n: 1e-5 * n + 2e-9 * n**2)
    (one,) = found.crossovers
    assert one.patches.estimate == pytest.approx((1e-3 / 2e-9) ** 0.5, rel=0.02)
    assert one.ratio.estimate == pytest.approx((1e-5 * 4096 + 2e-9 * 4096**2) / (1e-3 + 1e-5 * 4096))
    assert f"EANet's is faster above {one.patches.estimate:,.0f} patches" in answers(found)


def test_a_crossover_outside_the_sizes_is_said_to_be_there():
    always = crossing(lambda n: 1e-5 * n, lambda n: 2e-5 * n)
    assert always.crossovers[0].patches.estimate == 0
    assert (
        "EANet's is faster at every measured size, from 64 patches; at N = 4,096 ViT's takes 2.0 times as long"
        in answers(always)
    )
    never = crossing(lambda n: 2e-5 * n, lambda n: 1e-5 * n)
    assert math.isinf(never.crossovers[0].patches.estimate)
    assert "EANet's is not the faster one at N = 4,096; the crossing lies above 4,096." in answers(never)


def test_memory_is_the_allocators_where_it_tells_and_else_the_resident_peak():
    told, untold = (found_of([samples.step_time(allocated=a)]).curves[0].points[0] for a in (7, None))
    assert told.memory_bytes.estimate == pytest.approx(7)
    assert untold.memory_bytes.estimate == pytest.approx(101 * 2**20)


def test_step_times_of_two_backends_are_two_curves():
    tensorflow = samples.step_time()
    jax = samples.altered(tensorflow, backend="jax")
    assert [len(curve.points) for curve in found_of([tensorflow, jax]).curves] == [1, 1]


def test_a_process_is_the_unit_of_repetition():
    """Three processes of three steps are three values, not nine; fewer have no interval."""
    medians = [0.001, 0.002, 0.004]
    (curve,) = found_of([samples.step_time(seconds=s, process=i) for i, s in enumerate(medians)]).curves
    (point,) = curve.points
    assert point.step_seconds.n == 3
    assert point.step_seconds.estimate == pytest.approx(0.002), "the geometric mean"
    half = math.log(point.step_seconds.high / 0.002)
    assert half == pytest.approx(4.302653 * math.log(2) / math.sqrt(3), rel=1e-6)
    (curve,) = found_of([samples.step_time()]).curves
    assert curve.points[0].step_seconds.low is None
    assert curve.growth is None


def test_the_factored_form_is_a_line_of_its_own_and_the_published_pair_is_told():
    """Half as fast, it crosses ViT later; figures mark and answers tell the published pair's crossover alone."""
    records = curves() + [samples.step_time("eanet-factored", n, 2e-5 * n, p) for n in SIZES for p in range(3)]
    found = found_of(records)
    assert [curve.title for curve in found.curves] == ["EANet", "EANet (factored)", "ViT"]
    crossings = {c.ours.variant: c.patches.estimate for c in found.crossovers}
    assert crossings["eanet-factored"] == pytest.approx(1e-5 / 1e-8, rel=0.05), "729 to 1,296, on logarithms"
    assert "time of a training step by number of patches N: EANet's is classified as linear" in answers(found)
    figure = figures.growth(found)
    assert "EANet (factored) is faster" not in figure.svg
    assert figure.title.count("times at N") == 1
    assert "EANet (factored): 1.28 ms at N = 64" in figure.alt


def test_a_condition_that_stops_a_crossover_is_named_with_both_values(tmp_path):
    for record in curves(processes=1):
        heads = 2 if record.variant == "eanet" else 4
        store.write(tmp_path, samples.altered(record, attention={"heads": heads}))
    text = page_of(tmp_path).text
    assert "EANet is not compared with ViT, for its attention.heads is 2 and not 4." in text
    assert not found_of(curves()).stopped
