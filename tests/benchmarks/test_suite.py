"""A suite is a TOML file: whoever writes one is told by file and line what is wrong with it."""

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmarks
from benchmarks.suite import InputError, TrainSuite, line_of, suites
from report.accuracy_figures import DRAW
from report.page import CAPTIONS
from tests.benchmarks.test_plan import plan

SUITES = Path(benchmarks.__file__).parent / "suites"
GOOD = """\
question = "Do more blocks help?"
kind = "train"
variants = ["eanet", "small-vit"]
base_variant = "eanet"
draw = ["values"]

[own.small-vit]
preset = "vit"
title = "A small ViT"
settings = { key_dim = 3 }

[grid]
blocks = [1, 2]
heads = [1, 2]

[base]
blocks = 1
heads = 2

[quick]
seeds = 1
epochs = 1

[quick.grid]
blocks = [1]
heads = [2]
"""


def read(folder: Path, text: str):
    (folder / "mine.toml").write_text(text)
    return suites(folder)["mine"]


def test_a_new_file_is_a_new_suite(tmp_path, monkeypatch):
    suite = read(tmp_path, GOOD)
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"mine": suite})
    trials = plan("mine", profile="full", seeds=1).trials
    assert [(t.variant, t.model.blocks, t.model.attention.heads) for t in trials] == [
        (variant, blocks, heads) for blocks in (1, 2) for heads in (1, 2) for variant in ("eanet", "small-vit")
    ]
    assert {t.model.attention.key_dim for t in trials if t.variant == "small-vit"} == {3}


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("question", "qestion", 1, "unknown key 'qestion' (did you mean 'question'?)"),
        ("blocks = [1, 2]", "blokcs = [1, 2]", 13, "unknown setting 'blokcs' (did you mean 'blocks'?); allowed: att"),
        ("heads = [1, 2]", "heads = [1, 0]", 14, "grid.heads = 0: should be greater than or equal to 1"),
        ("heads = [1, 2]", "heads = []", 14, "grid.heads = []: Tuple should have at least 1 item"),
        ("key_dim = 3", 'key_dim = "3a"', 10, "own.small-vit.settings.key_dim = '3a': should be a valid integer"),
        ("key_dim = 3", "kye_dim = 3", 10, "unknown setting 'kye_dim' (did you mean 'key_dim'?)"),
        ('preset = "vit"', 'preset = "cnn"', 8, "unknown preset 'cnn'; allowed: eanet, vit"),
        ("seeds = 1", "sedes = 1", 21, "unknown key 'quick.sedes' (did you mean 'seeds'?)"),
        ("epochs = 1\n", "", 20, "quick.epochs is missing"),
        ("[own.small-vit]", "[own.Small]", 7, "should match pattern"),
        ("[own.small-vit]", "[own.other-vit]", 3, "unknown variant 'small-vit'; allowed"),
        ('draw = ["values"]', 'draw = ["pie"]', 5, "draw.0 = 'pie': should be 'values', 'differences'"),
        ('base_variant = "eanet"', 'base_variant = "vit"', 4, "base_variant 'vit' is none of eanet, small-vit"),
        ("blocks = 1\nheads = 2", "blocks = 1", 16, "base names blocks, and the grid blocks, heads"),
        ('"small-vit"]', '"smal-vit"]', 3, "unknown variant 'smal-vit' (did you mean 'small-vit'?); allowed"),
        ("settings = { key_dim = 3 }", "settings = { heads = 3 }", 10, "own.small-vit sets heads, which the grid"),
        ("settings = { key_dim = 3 }", "settings = { epochs = 3 }", 10, "sets epochs, which is the same for all"),
        ("settings = { key_dim = 3 }", "settings = { memory_units = 3 }", 10, "sets memory_units, which vit does not"),
        ("blocks = 1\n", "blocks = 7\n", 17, "base names blocks = 7, which is not in the grid"),
        ('kind = "train"', 'kind = "trian"', 2, "kind should be 'train' or 'steptime'"),
        ('kind = "train"\n', "", 1, "kind should be 'train' or 'steptime'"),
        ("key_dim = 3", "mlp_dim = 3", 10, "sets mlp_dim, which is the same for all variants: they differ in"),
        ("heads = [1, 2]", "heads = [1, 1]", 14, "grid.heads names 1 twice"),
        ('["eanet", "small-vit"]', '["eanet", "eanet", "small-vit"]', 3, "variants names 'eanet' twice"),
        ("blocks = [1, 2]", "blocks = [true, 2]", 13, "grid.blocks = true: no setting is true or false"),
        ("blocks = [1]\n", "blocks = [1]\nmlp_dim = [3]\n", 26, "quick.grid varies mlp_dim, which the grid does not"),
        ("blocks = [1, 2]", "blocks = [1, 2", 13, ""),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_and_line(tmp_path, old, new, line, complaint):
    assert old in GOOD
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))
    message = str(error.value)
    assert "\n" not in message
    assert complaint in message
    named = re.search(r"mine\.toml:(\d+): |mine\.toml: .*line (\d+)", message)
    assert named, message
    assert int(named[1] or named[2]) in (line, line + 1)  # tomllib names the line on which it gave up


def test_a_file_of_100_megabytes_is_not_read(tmp_path):
    with (tmp_path / "mine.toml").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(InputError, match=r"mine\.toml has 104,857,600 bytes; at most 1,048,576 are read"):
        suites(tmp_path)


MATCHED = GOOD.replace(
    "settings = { key_dim = 3 }",
    'settings = { key_dim = 3 }\nmatch = { figure = "parameters", variant = "eanet", among = { key_dim = [5, 7] } }',
)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (MATCHED, 10, "own.small-vit sets key_dim, and matches by it too"),
        (MATCHED.replace("settings = { key_dim = 3 }\n", "").replace('"eanet", among', '"small-vit", among'), 10,
         "'small-vit' is no variant whose settings are given"),
        (GOOD[: GOOD.index("[base]")].replace('base_variant = "eanet"\n', "").replace("values", "differences"), 4,
         "differences are drawn from a base: give a base_variant, a [base], or both"),
    ],
)  # fmt: skip
def test_parts_of_a_suite_that_do_not_fit_each_other_are_an_error(tmp_path, text, line, complaint):
    with pytest.raises(InputError, match=re.escape(f"mine.toml:{line}: {complaint}")):
        read(tmp_path, text)


def test_a_grid_may_vary_the_precision_and_only_as_there_is(tmp_path):
    text = (SUITES / "precision.toml").read_text()
    read(tmp_path, text)
    with pytest.raises(InputError, match=re.escape("should be 'float32' or 'mixed_bfloat16'")):
        read(tmp_path, text.replace('["float32", "mixed_bfloat16"]', '["float32", "float16"]', 1))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('variants = ["eanet", "vit", "vit-fused", "eanet-factored"]', 'variants = ["eanet", "vti"]',
         ":4: unknown variant 'vti' (did"),
        ('variants = ["eanet", "vit"]\npatches = [16, 36', 'variants = ["eanet", "cnn"]\npatches = [16, 36',
         "model.variants names 'cnn', which is none of eanet, vit, vit-fused"),
    ],
)  # fmt: skip
def test_a_suite_of_step_times_names_only_variants_that_there_are(tmp_path, old, new, complaint):
    scaling = (SUITES / "scaling.toml").read_text()
    assert old in scaling
    with pytest.raises(InputError) as error:
        read(tmp_path, scaling.replace(old, new, 1))
    assert complaint in str(error.value)


@pytest.mark.parametrize("name", ["pareto", "Depth", "a b", "depth_1"])
def test_a_suites_name_is_one_that_the_page_can_have(tmp_path, name):
    (tmp_path / f"{name}.toml").write_text(GOOD)
    with pytest.raises(InputError, match="a suite is named in small letters"):
        suites(tmp_path)


def test_what_a_suite_may_draw_is_what_the_report_has():
    assert set(get_args(get_args(TrainSuite.model_fields["draw"].annotation)[0])) == DRAW.keys() == CAPTIONS.keys()


def test_the_quick_profile_varies_the_same_grid_where_it_has_none_of_its_own(tmp_path):
    with_its_own, without = (read(tmp_path, text) for text in (GOOD, GOOD[: GOOD.index("[quick.grid]")]))
    assert with_its_own.quick_grid == {"blocks": (1,), "heads": (2,)}
    assert without.quick_grid == {"blocks": (1, 2), "heads": (1, 2)}


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True), st.integers(0, 5))
def test_a_keys_line_is_found_under_its_table(keys, blank):
    """However deep the table, and whatever else has the same name elsewhere."""
    *table, key = keys
    header = [f"[{'.'.join(table)}]"] if table else []
    text = "\n".join([*[""] * blank, *header, f"{key} = 1", "[z]", f"{key} = 2"])
    assert line_of(text, tuple(keys)) == blank + len(header) + 1
    assert line_of(text, ("z", key)) == blank + len(header) + 3


def test_the_suite_of_the_documentation_is_what_it_says(tmp_path, monkeypatch):
    """The file, its nine trainings, its mistake's line, and every key, in docs/adding-a-suite.md."""
    text = (Path(__file__).parents[2] / "docs" / "adding-a-suite.md").read_text(encoding="utf-8")
    (file,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    suite = read(tmp_path, file)
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"depth": suite})
    assert len(plan("depth").trials) == 9
    with pytest.raises(InputError, match=r"mine\.toml:7: unknown setting 'blokcs' \(did you mean 'blocks'\?\)"):
        read(tmp_path, file.replace("blocks", "blokcs", 1))
    for key in TrainSuite.model_fields:
        assert f"| `{key}` |" in text or f"| `[{key}" in text, key
