"""Growth on made-up step times: models, verdicts, crossovers and memory, and nothing tested on too little."""

import math
import re

import numpy as np
import pytest

from report import figures, sentences, words
from report.findings import find
from report.summary import lines
from report.tables import tables
from results import store
from tests import samples
from tests.report.page_reader import page_of, run_of, texts


def found_of(records):
    return find(run_of(*records))


def verdicts(findings):
    """(Variant, what grows) -> its verdict, as the page's table has it."""
    return {(v.curve.name, v.what): v.verdict for v in findings.verdicts}


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
    assert (eanet.growth.law.name, vit.growth.law.name) == ("linear", "quadratic")
    assert vit.growth.slope.estimate == pytest.approx(slope)
    assert texts(found, "law", "growth-verdicts")[0] == "10.0 µs·N"
    assert texts(found, "exponent", "growth-verdicts")[:2] == ["1.00", words.two_places(slope)]
    assert texts(found, "share", "growth-verdicts")[:2] == ["0 [0, 1]", "80 [80, 81]"]
    assert eanet.memory.law.terms[1][0] == pytest.approx(4096, rel=1e-3)
    assert vit.memory.law.name == "quadratic"


def test_every_claim_about_growth_gets_a_verdict():
    of_both = {(name, what) for name in ("EANet", "ViT") for what in ("time", "peak memory")}
    assert verdicts(found_of(curves())) == dict.fromkeys(of_both, "supported")
    swapped = found_of([samples.step_time("eanet", n, 1e-8 * n**2, p) for n in SIZES for p in range(3)])
    assert verdicts(swapped)["EANet", "time"] == "contradicted"


def untested(findings):
    return set(verdicts(findings).values()) == {"not tested"}


def test_too_few_processes_or_sizes_test_nothing_and_say_why():
    few = found_of(curves(processes=2))
    assert untested(few)
    assert sentences.remark(few.verdicts[0]) == "2 processes per size, and an interval needs 3"
    uneven = [record for record in curves() if record.process == 0 or record.patches > 400]
    assert untested(found_of(uneven))
    for sizes, said in (((64,), "1 size measured, and a fit needs 6"), (SIZES[:5], "5 sizes measured, and a fit")):
        found = found_of(curves(sizes=sizes))
        assert untested(found)
        assert sentences.remark(found.verdicts[0]).startswith(said)
        assert all(curve.growth is None for curve in found.curves)


def verdict_of(claimed_linear):
    """The verdict on a claim of linear time, from seconds by size and process."""
    records = [samples.step_time("eanet", n, claimed_linear(n, p), p) for n in SIZES for p in range(3)]
    return found_of(records).verdicts[0]


def test_a_constant_meets_a_bound_from_above():
    found = verdict_of(lambda n, p: 0.003 * (1 + 0.02 * p))
    assert (found.verdict, found.growth.law.name) == ("supported", "constant")


def test_what_could_be_either_is_inconclusive_and_says_why():
    found = verdict_of(lambda n, p: 1e-6 * n * math.log(n) * (1 + 0.02 * p))
    assert (found.verdict, found.growth.law.name) == ("inconclusive", "N log N")
    assert sentences.remark(found) == ("the interval of the quadratic part includes a quarter; N log N is not excluded")


def test_without_the_two_largest_sizes_a_square_is_none_the_less_one():
    """Those that memory did not suffice for."""
    found = found_of(curves(sizes=SIZES[:6]))
    assert set(verdicts(found).values()) == {"supported"}


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
    written += [claim.evidence for claim in found.claims] + lines(found)
    written += [text for figure in figures.figures(found).values() for text in (figure.svg, figure.alt)]
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
    assert texts(found, "above", "crossovers")[0].startswith(f"{one.patches.estimate:,.0f}")


def test_a_crossover_outside_the_sizes_is_said_to_be_there():
    always = crossing(lambda n: 1e-5 * n, lambda n: 2e-5 * n)
    assert always.crossovers[0].patches.estimate == 0
    assert texts(always, "above", "crossovers") == ["below 64"]
    assert "2.0× faster" in always.lead
    never = crossing(lambda n: 2e-5 * n, lambda n: 1e-5 * n)
    assert math.isinf(never.crossovers[0].patches.estimate)
    assert texts(never, "above", "crossovers") == ["above 4,096"]
    assert "2.0× slower" in never.lead


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
    assert [curve.title for curve in found.curves] == ["EANet", "ViT", "EANet (factored)"]
    crossings = {c.ours.variant: c.patches.estimate for c in found.crossovers}
    assert crossings["eanet-factored"] == pytest.approx(1e-5 / 1e-8, rel=0.05), "729 to 1,296, on logarithms"
    assert texts(found, "faster", "crossovers") == ["EANet"]
    assert texts(found, "faster", "other-crossovers") == ["EANet (factored)"]
    figure = figures.growth(figures.TIME, found.curves, found.crossovers)
    assert "EANet (factored): 1.28 ms at N = 64" in figure.alt
    assert "EANet (factored)" not in figures.speed(found.curves, found.crossovers).svg


def test_a_condition_that_stops_a_crossover_is_named_with_both_values(tmp_path):
    for record in curves(processes=1):
        heads = 2 if record.variant == "eanet" else 4
        store.write(tmp_path, samples.altered(record, attention={"heads": heads}))
    text = page_of(tmp_path).text
    assert "EANet is not compared with ViT: its attention.heads is 2 and not 4." in text
    assert not found_of(curves()).stopped
