"""Figures of ten variants and more: each line has a name of its own, and none stands over another."""

import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import pytest

from models.config import VARIANTS
from report import figures
from report.findings import find
from tests import samples
from tests.report.page_reader import run_of

TEN = ("eanet", "vit", "identity", "mean", "linear", "performer", "linformer", "nystroem", "fourier", "pooling")
SIZES = (64, 256, 1024, 4096)


def names_at_the_ends(svg):
    """Every text that is the name of a variant: (name, x, y, colour, is in bold)."""
    titles = {VARIANTS[name].title for name in TEN}
    return [
        (text.text, text.get("x"), float(text.get("y")), text.get("fill"), text.get("font-weight") == "700")
        for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        if text.text in titles
    ]


def assert_each_line_is_named(svg, panels):
    """In each panel every variant has its name in its colour, level with no other, the tutorial's two in bold."""
    named = names_at_the_ends(svg)
    assert Counter(name for name, *_ in named) == {VARIANTS[name].title: panels for name in TEN}
    for variant in map(VARIANTS.__getitem__, TEN):
        found = {(color, bold) for name, *_, color, bold in named if name == variant.title}
        assert found == {(variant.color, variant.title in ("EANet", "ViT"))}
    for column in {x for _, x, *_ in named}:
        heights = sorted(y for _, x, y, *_ in named if x == column)
        assert min(below - above for above, below in pairwise(heights)) > 9, "points, of letters 9 points high"


@pytest.fixture(scope="module")
def timed():
    """Ten variants, nine of which need about the same; whole models of two of them."""
    step = {name: 1e-5 * (1 + 0.01 * place) for place, name in enumerate(TEN)} | {"vit": 1e-3}
    records = [
        samples.step_time(name, n, step[name] * n, process, allocated=int(4096 * n * (1 + step[name])))
        for name in TEN
        for n in SIZES
        for process in range(3)
    ]
    records += [samples.step_time(name, n, step[name] * n, scope="model") for name in TEN[:2] for n in SIZES]
    return find(run_of(*records))


@pytest.mark.parametrize("quantity", figures.QUANTITIES, ids=lambda quantity: quantity.name)
def test_ten_curves_are_each_named_at_their_end(timed, quantity):
    layers = [curve for curve in timed.curves if curve.scope == "core"]
    figure = figures.growth(quantity, layers, timed.crossovers)
    assert_each_line_is_named(figure.svg, panels=1)
    assert_each_line_is_named(figure.phone, panels=1)
    assert all(f"{VARIANTS[name].title}: " in figure.alt for name in TEN)


def test_a_panel_names_its_own_curves_alone(timed):
    figure = figures.growth(figures.TIME, timed.curves, timed.crossovers)
    count = Counter(name for name, *_ in names_at_the_ends(figure.svg))
    assert (count["EANet"], count["ViT"], count["Performer"]) == (2, 2, 1)


def test_the_figure_of_speed_shows_the_tutorials_two_alone(timed):
    svg = figures.speed(timed.curves, timed.crossovers).svg
    assert [name for name in TEN if f">{VARIANTS[name].title}<" in svg] == ["eanet", "vit"]


def trained():
    """Ten models, which end within a few percentage points, with three seeds each."""
    return [
        samples.training(name, seed, top1=0.9 + 0.002 * place + 0.001 * seed, model={"attention": attention_of(name)})
        for place, name in enumerate(TEN)
        for seed in range(3)
    ]


def attention_of(name):
    return VARIANTS[name].attention.model_dump(mode="json")


def test_ten_learning_curves_are_each_named_at_their_end():
    (study,) = find(run_of(*trained())).studies
    assert_each_line_is_named(figures.learning(study).svg, panels=2)


def test_ten_points_are_each_named_in_every_figure_of_costs():
    costs = figures.costs(find(run_of(*trained())).race)
    assert list(costs) == [
        (f"test {metric}", cost)
        for metric in ("top-1", "top-5", "loss")
        for cost in ("multiply-adds per image", "parameters")
    ]
    for figure in costs.values():
        assert_each_line_is_named(figure.svg, panels=1)
        assert_each_line_is_named(figure.phone, panels=1)


def test_a_figure_of_costs_says_its_own_numbers_and_which_models_are_undominated():
    costs = figures.costs(find(run_of(*trained())).race)
    first, loss = costs["test top-1", "multiply-adds per image"], costs["test loss", "parameters"]
    assert first.title == "Test top-1 against multiply-adds per image: 3 of 10 models undominated"
    assert "beats in both: EANet; ViT; PoolFormer." in first.caption
    assert "PoolFormer: 91.9 % at 5,000" in first.alt
    assert ">higher is better<" in first.svg
    assert ">lower is better<" in loss.svg
    assert loss.title.endswith("1 of 10 models undominated")
    assert "EANet: 0.50 at 100" in loss.alt


def test_a_model_that_does_not_tell_its_multiply_adds_is_named_as_left_out():
    records = [
        r.model_copy(update={"multiply_adds": None}) if r.variant in ("linear", "fourier") else r for r in trained()
    ]
    costs = figures.costs(find(run_of(*records)).race)
    without, whole = costs["test top-1", "multiply-adds per image"], costs["test top-1", "parameters"]
    assert without.caption.endswith("Left out, with no known multiply-adds per image: linear attention; FNet.")
    assert "FNet" not in without.alt
    assert "Left out" not in whole.caption
    assert "FNet" in whole.alt


def test_of_a_suites_settings_those_points_are_named_that_no_other_beats():
    wide = [
        samples.training(
            "eanet",
            seed,
            top1=top1,
            suite="wide",
            model={"attention": attention_of("eanet"), "mlp_dim": size},
            multiply_adds=size,
        )
        for size, top1 in ((200, 0.99), (4000, 0.5))
        for seed in range(3)
    ]
    race = find(run_of(ten=trained(), wide=(wide, {"grid": ("mlp_dim",), "base": {"mlp_dim": 100}}))).race
    figure = figures.costs(race)["test top-1", "multiply-adds per image"]
    assert ">EANet, mlp_dim 200<" in figure.svg
    assert ">EANet, mlp_dim 4000<" not in figure.svg
    assert "EANet, mlp_dim 4000: 50.0 %" in figure.alt
    assert "Points without a name are" in figure.caption


def test_a_forest_of_nine_rivals_has_a_row_for_each():
    (study,) = find(run_of(rivals=(trained(), {"base_variant": "eanet"}))).studies
    figure = figures.ablations([study])
    for svg in (figure.svg, figure.phone):
        assert all(svg.count(f">{VARIANTS[name].title} − EANet<") == 1 for name in TEN if name != "eanet")
