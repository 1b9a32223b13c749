"""What the figures share: a colour means one variant through the whole page, and is seen on light and on dark."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from models.config import VARIANTS
from report.plot import OWN_COLORS, OWN_MARKERS, drawn, few_numbers, spread, style_of

PAPERS = ("#ffffff", "#14181e")
"""The page's background, light and dark (style.css)."""


def luminance(color):
    """Relative luminance, WCAG 2.2."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("color", [*(variant.color for variant in VARIANTS.values()), *OWN_COLORS])
def test_every_colour_stands_out_from_the_page_as_a_graphic_must(color, paper):
    light, dark = sorted((luminance(color), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3, "WCAG 2.2, 1.4.11"


def test_a_published_variant_has_its_style_in_every_company():
    titles = [variant.title for variant in VARIANTS.values()]
    for variant in VARIANTS.values():
        for labels in ([variant.title], ["Another", variant.title], [variant.title, *titles]):
            assert style_of(variant.title, labels) == (variant.color, variant.marker)


def test_a_setting_behind_a_name_changes_the_marker_and_not_the_colour():
    labels = ["EANet, heads 1", "EANet, heads 4", "ViT (dropout 0), heads 2", "ViT (batch=3)"]
    styles = [style_of(label, labels) for label in labels]
    assert [color for color, _ in styles] == [VARIANTS[name].color for name in ("eanet", "eanet", "vit-fused", "vit")]
    assert len({marker for _, marker in styles}) == 4


def test_a_name_is_drawn_as_it_is_whatever_matplotlib_would_make_of_it():
    names = ["a $\\frac$ b", "x$_2$", "$$", "\u4e2d\u6587", 'rate 0.00125 #010203 style="font: y;" <b>']
    figure = drawn("names", "", "", "", lambda axes, _: axes[0].set_yticks(range(len(names)), names), height=3)
    texts = {text.text for text in ET.fromstring(figure.svg).iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= set(names)


def test_a_drawing_has_no_style_that_a_content_security_policy_could_forbid():
    def paint(axes, on_phone):
        axes[0].plot([1, 2], [3, 5], "o--", color="#2e86c1", alpha=0.5)
        axes[0].text(1, 3, "bold", fontweight="bold")

    figure = drawn("styled", "", "", "", paint, height=3, phone_height=2)
    for svg in (figure.svg, figure.phone):
        ET.fromstring(svg)
        assert "style" not in svg
        bold = next(text for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text") if text.text == "bold")
        assert (bold.get("font-weight"), bold.get("font-size")) == ("700", "10px")
        assert "DejaVu Sans" in bold.get("font-family")
        assert 'stroke="#2e86c1"' in svg


def test_a_suites_own_variants_look_like_no_published_one():
    labels = ["EANet", "ViT", "EANet at ViT's parameters", "ViT-16 (key_dim 16)"]
    own = [style_of(label, labels) for label in labels[2:]]
    assert len(set(own)) == 2
    assert not {color for color, _ in own} & {variant.color for variant in VARIANTS.values()}
    assert not set(OWN_MARKERS) & {variant.marker for variant in VARIANTS.values()}


@pytest.mark.parametrize("marker", [*(variant.marker for variant in VARIANTS.values()), *OWN_MARKERS])
def test_every_marker_can_be_filled_or_not_which_tells_what_is_significant(marker):
    assert MarkerStyle(marker).is_filled()


@pytest.mark.parametrize(
    ("wanted", "heights", "expected"),
    [
        ([0.2, 0.9, 0.5], [0.1, 0.1, 0.1], [0.2, 0.9, 0.5]),  # where there is room each is level with its line
        ([0.5, 0.5], [0.1, 0.1], [0.45, 0.55]),
        ([0.52, 0.5, 0.9], [0.1, 0.1, 0.1], [0.56, 0.46, 0.9]),  # nobody else has to move
        ([0.5, 0.5], [0.1, 0.3], [0.4, 0.6]),  # of two lines, and of one
        ([0.0, 0.01, 1.0], [0.1, 0.1, 0.1], [0.05, 0.15, 0.95]),  # none leaves the panel
        ([], [], []),
    ],
)
def test_labels_stand_as_near_to_their_lines_as_lets_none_overlap(wanted, heights, expected):
    assert spread(wanted, heights) == pytest.approx(expected)


def test_many_labels_keep_the_order_of_their_lines():
    wanted = [0.9 + 0.001 * (n * 7 % 12) for n in range(12)]
    levels = spread(wanted, [1 / 14] * 12)
    order = sorted(range(12), key=wanted.__getitem__)
    gaps = [levels[b] - levels[a] for a, b in pairwise(order)]
    assert min(gaps) == pytest.approx(1 / 14)
    assert max(levels) + 1 / 28 <= 1 + 1e-9


@pytest.mark.parametrize("ends", [(61, 78), (200, 900), (8, 70), (19e3, 160e3), (3e5, 15e6)])
def test_an_axis_of_costs_has_a_few_numbers_however_far_it_reaches(ends):
    ax = Figure().subplots()
    ax.plot(ends, [0, 1])
    few_numbers(ax)
    low, high = ax.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in ax.get_xticks()) <= 5
