"""What the figures share: a colour means one variant through the whole page, and is seen on light and on dark."""

import xml.etree.ElementTree as ET

import pytest

from models.config import VARIANTS
from report.plot import OWN_COLORS, OWN_MARKERS, drawn, style_of

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
