"""How far a case is from its machine's roof, on made-up peaks: 8.6e10 multiply-adds and 1.34e10 bytes a second."""

import pytest

from report import growth, page_tables, roofline
from report.findings import find
from report.roofline_figure import title
from results import store
from tests import samples

OTHER = samples.environment(cpu="Another CPU")


PEAKS = (samples.peaks(),)


def placed(*records, peaks=PEAKS):
    return roofline.places(growth.curves(records), peaks)


def test_a_case_that_moves_little_is_limited_by_arithmetic_and_its_floor_is_its_multiply_adds_over_the_peak():
    (place,) = placed(samples.step_time(patches=64, seconds=0.004, moved=1000))
    done = 3 * 2 * 40_960 * 64
    assert (place.multiply_adds, place.limit) == (done, "arithmetic")
    assert place.floor_seconds == pytest.approx(done / (2**33 / 0.1))
    assert place.share == pytest.approx(place.floor_seconds / 0.004)
    assert place.rate == pytest.approx(done / 0.004)


def test_one_that_moves_much_is_limited_by_memory_and_its_floor_is_its_bytes_over_the_bandwidth():
    (place,) = placed(samples.step_time(patches=64, seconds=0.004, moved=10**7, phase="infer"))
    assert (place.multiply_adds, place.limit) == (2 * 40_960 * 64, "memory")
    assert place.floor_seconds == pytest.approx(10**7 / (2**28 / 0.02))
    assert place.intensity == pytest.approx(2 * 40_960 * 64 / 10**7)


def test_the_roof_is_the_best_of_all_processes():
    slow, fast = samples.peaks(0, product_seconds=9.0), samples.peaks(1, pass_seconds=9.0)
    (place,) = placed(samples.step_time(moved=1000), peaks=(slow, fast))
    assert place.roof.multiply_adds_per_second == pytest.approx(2**33 / 0.1)
    assert place.roof.bytes_per_second == pytest.approx(2**28 / 0.02)


def test_only_the_same_machine_backend_and_precision_make_a_roof():
    for where in (OTHER, samples.environment(precision="mixed_bfloat16"), samples.environment(backend="jax")):
        assert placed(samples.step_time(moved=1000, where=where)) == ()
        assert len(placed(samples.step_time(moved=1000, where=where), peaks=(samples.peaks(where=where),))) == 1


def test_cases_without_counted_bytes_as_in_older_records_have_no_place():
    assert placed(samples.step_time()) == ()
    assert placed(samples.step_time(moved=1000), peaks=()) == ()


def test_the_page_has_the_figure_and_the_table(full_run):
    findings = find(store.load(full_run))
    table = page_tables.tables(findings)["roofline-cases"]
    assert len(table.rows) == len(findings.places) == 2 * 2 * 8
    assert "85.9 billion multiply-adds and 13.4 GB a second" in table.caption
    assert "largest whole-model training steps reach EANet" in title(findings.places)
