"""A suite is a TOML file: whoever writes one is told by file and key what is wrong with it."""

import re
from pathlib import Path

import pytest

from benchmarks.inputs import InputError
from benchmarks.suite import StepTimeSuite, TrainSuite, suites
from tests.benchmarks.test_plan import plan

TRAINS = """\
question = "Do more blocks help?"
kind = "train"
variants = ["eanet", "small-vit"]
base_variant = "eanet"

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
TIMES = """\
question = "How long does it take?"
kind = "steptime"
variants = ["eanet", "vit"]

[quick.core]
patches = [64, 121]
batch = 3
processes = 2
steps = 1
seconds = 0

[full.model]
variants = ["vit"]
patches = [16]
batch = 5
processes = 1
steps = 1
seconds = 0.5
"""


def read(folder: Path, text: str):
    (folder / "mine.toml").write_text(text)
    return suites(folder)["mine"]


def test_a_new_file_is_a_new_suite(tmp_path, monkeypatch):
    suite = read(tmp_path, TRAINS)
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"mine": suite})
    trials = plan("mine", profile="full", seeds=1).trials
    assert [(t.variant, t.model.blocks, t.model.attention.heads) for t in trials] == [
        (variant, blocks, heads) for blocks in (1, 2) for heads in (1, 2) for variant in ("eanet", "small-vit")
    ]
    assert {t.model.attention.key_dim for t in trials if t.variant == "small-vit"} == {3}


def test_a_new_file_of_step_times_too_and_a_profile_without_sizes_has_those_of_quick(tmp_path, monkeypatch):
    suite = read(tmp_path, TIMES)
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"mine": suite})

    def cases(profile):
        trials = [trial for trial in plan("mine", profile=profile).trials if hasattr(trial, "phase")]
        return sorted({(t.scope, t.variant, t.patches, t.batch, t.process) for t in trials})

    core = [("core", v, n, 3, p) for v in ("eanet", "vit") for n in (64, 121) for p in (0, 1)]
    assert cases("quick") == cases("tutorial") == core
    assert cases("full") == [("model", "vit", 16, 5, 0)]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("question", "qestion", "unknown key 'qestion' (did you mean 'question'?)"),
        ("blocks = [1, 2]", "blokcs = [1, 2]", "unknown key 'grid.blokcs' (did you mean 'blocks'?)"),
        ("heads = [1, 2]", "heads = [1, 0]", "grid.heads.1 = 0: should be greater than or equal to 1"),
        ("heads = [1, 2]", "heads = []", "grid.heads = (): Tuple should have at least 1 item"),
        ("key_dim = 3", 'key_dim = "3a"', "own.small-vit.settings.key_dim = '3a': should be a valid integer"),
        ("key_dim = 3", "kye_dim = 3", "unknown key 'own.small-vit.settings.kye_dim' (did you mean 'key_dim'?)"),
        ('preset = "vit"', 'preset = "cnn"', "own.small-vit.preset: unknown variant 'cnn'; allowed: eanet, vit"),
        ("seeds = 1", "sedes = 1", "unknown key 'quick.sedes' (did you mean 'seeds'?)"),
        ("epochs = 1\n", "", "quick.epochs: Field required"),
        ("[own.small-vit]", "[own.Small]", "own.Small = 'Small': String should match pattern"),
        ("[own.small-vit]", "[own.other-vit]", "unknown variant 'small-vit'; allowed"),
        ('base_variant = "eanet"', 'base_variant = "vit"', "base_variant 'vit' is none of eanet, small-vit"),
        ("blocks = 1\nheads = 2", "blocks = 1", "base names blocks, and the grid blocks, heads"),
        ('"small-vit"]', '"smal-vit"]', "unknown variant 'smal-vit' (did you mean 'small-vit'?); allowed"),
        ("{ key_dim = 3 }", "{ heads = 3 }", "own.small-vit sets heads, which the grid varies"),
        ("{ key_dim = 3 }", "{ epochs = 3 }", "own.small-vit: sets epochs, which is the same for all variants"),
        ("{ key_dim = 3 }", "{ mlp_dim = 3 }", "sets mlp_dim, which is the same for all variants: they differ in"),
        ("{ key_dim = 3 }", "{ memory_units = 3 }", "own.small-vit: sets memory_units, which vit does not have"),
        ("blocks = 1\n", "blocks = 7\n", "base names blocks = 7, which is not in the grid"),
        ('kind = "train"', 'kind = "trian"', "unknown kind 'trian' (did you mean 'train'?); allowed: train, steptime"),
        ('kind = "train"\n', "", "unknown kind ''; allowed: train, steptime"),
        ("heads = [1, 2]", "heads = [1, 1]", "grid.heads: 1 is there twice"),
        ('["eanet", "small-vit"]', '["eanet", "eanet", "small-vit"]', "variants: 'eanet' is there twice"),
        ("blocks = [1, 2]", "blocks = [true, 2]", "grid.blocks.0: true: no setting is true or false"),
        ("blocks = [1]\n", "blocks = [1]\nmlp_dim = [3]\n", "quick.grid varies mlp_dim, which the grid does not"),
        ("blocks = [1, 2]\n", 'blocks = [1, 2]\nprecision = ["half"]\n', "grid.precision.0 = 'half': should be 'float"),
        ("blocks = [1, 2]", "blocks = [1, 2", "(at line "),
        ('kind = "train"', 'kind = "train"\ntuned = true', "tuned: it needs a grid and a base_variant, and no base"),
        ("key_dim = 3 }", 'key_dim = 3 }\nmatch = { figure = "parameters", variant = "eanet", among.key_dim = [5] }',
         "own.small-vit: sets key_dim, and matches by it too"),
        ("settings = { key_dim = 3 }", 'match = { figure = "parameters", variant = "small-vit", among.key_dim = [5] }',
         "own.small-vit.match.variant 'small-vit' is no variant whose settings are given"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_and_key(tmp_path, old, new, complaint):
    assert old in TRAINS
    assert complaint in refused(tmp_path, TRAINS.replace(old, new, 1))


def refused(folder, text):
    with pytest.raises(InputError) as error:
        read(folder, text)
    message = str(error.value)
    assert message.startswith(f"{folder}/mine.toml: ")
    assert "\n" not in message
    return message


def test_a_suite_of_step_times_may_make_its_own_variants(tmp_path, monkeypatch):
    own = '["eanet", "few"]\n[own.few]\npreset = "eanet"\ntitle = "Few units"\nsettings = { memory_units = 3 }\n'
    head, sizes = TIMES.replace('["eanet", "vit"]', own, 1).split("[quick.core]")
    suite = read(tmp_path, f"{head}[quick.core]{sizes.split('[full.model]')[0]}")
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"mine": suite})
    made = plan("mine", settings={"memory_units": "5"})
    timed = {trial.variant: trial.attention.memory_units for trial in made.trials}
    assert timed == {"eanet": 5, "few": 3}, "what a variant sets is its own"
    assert made.suites["mine"].own["few"].title == "Few units"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('["eanet", "vit"]', '["eanet", "vti"]', "mine.toml: unknown variant 'vti' (did you mean 'vit'?)"),
        ('variants = ["vit"]', 'variants = ["mean"]', "full.model.variants names 'mean', which is none of eanet"),
        ("[quick.core]", "[quick.cores]", "quick.cores"),
        ("[quick.core]", "grid = { heads = [1] }\n[quick.core]", "unknown key 'grid' here: it belongs elsewhere"),
        ("[64, 121]", "[64, 64]", "quick.core.patches: 64 is there twice"),
        ("steps = 1\nseconds = 0\n", "step = 1\nseconds = 0\n", "unknown key 'quick.core.step' (did you mean 'steps'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_suite_of_step_times_is_too(tmp_path, old, new, complaint):
    assert old in TIMES
    assert complaint in refused(tmp_path, TIMES.replace(old, new, 1))


def test_a_file_of_100_megabytes_is_not_read(tmp_path):
    with (tmp_path / "mine.toml").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(InputError, match=r"mine\.toml: 104,857,600 bytes; at most 1,048,576 are read"):
        suites(tmp_path)


@pytest.mark.parametrize("name", ["costs", "Depth", "a b", "depth_1"])
def test_a_suites_name_is_one_that_the_page_can_have(tmp_path, name):
    (tmp_path / f"{name}.toml").write_text(TRAINS)
    with pytest.raises(InputError, match="a suite is named in small letters"):
        suites(tmp_path)


def test_suites_are_run_by_their_order_and_then_by_name(tmp_path):
    for name, order in {"b": 1, "c": 9, "a": 9}.items():
        (tmp_path / f"{name}.toml").write_text(f"order = {order}\n{TRAINS}")
    assert list(suites(tmp_path)) == ["b", "a", "c"]


def test_the_quick_profile_varies_the_same_grid_where_it_has_none_of_its_own(tmp_path):
    with_its_own, without = (read(tmp_path, text) for text in (TRAINS, TRAINS[: TRAINS.index("[quick.grid]")]))
    assert with_its_own.quick_grid == {"blocks": (1,), "heads": (2,)}
    assert without.quick_grid == {"blocks": (1, 2), "heads": (1, 2)}


def test_the_suites_of_the_documentation_are_what_it_says(tmp_path, monkeypatch):
    """The files, their trials, a mistake's line, and every key, in docs/adding-a-suite.md."""
    text = (Path(__file__).parents[2] / "docs" / "adding-a-suite.md").read_text(encoding="utf-8")
    trains, times = (read(tmp_path, file) for file in re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"depth": trains, "controls-time": times})
    assert len(plan("depth").trials) == 9
    assert len([trial for trial in plan("controls-time").trials if hasattr(trial, "phase")]) == 72
    complaint = "unknown key 'grid.blokcs' (did you mean 'blocks'?)"
    assert f"depth.toml: {complaint}" in text
    file = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    assert complaint in refused(tmp_path, file.replace("blocks", "blokcs", 1))
    for key in [*TrainSuite.model_fields, *StepTimeSuite.model_fields]:
        assert f"| `{key}` |" in text or f"`[{key}" in text, key
