"""Suites and a profile become trials: fair between variants, identified by all that matters, strict about names."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import results
from benchmarks import datasets, estimate
from benchmarks.datasets import DatasetShape
from benchmarks.inputs import InputError
from benchmarks.plan import SETTINGS_ALLOWED, Overrides, build_plan, suites_in
from benchmarks.suite import StepTimeSuite, TrainSuite, profiles, suites
from models.config import VARIANTS
from results.trials import ModelStepTrial, StepTimeTrial, TrainTrial

CORE = {"patches": (64, 121), "batch": 3, "processes": 2, "steps": 2, "seconds": 0.2}
MODEL = {"patches": (16,), "batch": 5, "processes": 1, "steps": 2, "seconds": 0.2, "variants": ("eanet", "vit")}


def plan(*names, profile="quick", **overrides):
    return build_plan(names, profile, lambda name: datasets.survey(name, None).shape, Overrides(**overrides))


def step_times(*names, **options):
    return [trial for trial in plan(*names, **options).trials if isinstance(trial, StepTimeTrial)]


@pytest.fixture
def made(monkeypatch):
    """Suites of the tests' own, instead of those that are shipped: `trains` as it is given, and `times`."""

    def suites(**trains):
        table = {"question": "Why?", "kind": "train", "variants": ("eanet", "vit")} | trains
        times = {"question": "How long?", "kind": "steptime", "variants": ("eanet", "vit", "random-mixing")}
        found = {
            "trains": TrainSuite.model_validate(table),
            "times": StepTimeSuite.model_validate(times | {"quick": {"core": CORE, "model": MODEL}}),
        }
        monkeypatch.setattr("benchmarks.plan.suites", lambda: found)

    return suites


@pytest.mark.parametrize("profile", profiles())
def test_variants_differ_in_their_attention_alone(profile):
    """Field by field over every pair of trials of one seed."""
    by_seed = {}
    for trial in plan("accuracy", profile=profile).trials:
        by_seed.setdefault(trial.seed, []).append(trial.model_dump())
    for trials in by_seed.values():
        assert [trial["variant"] for trial in trials] == ["eanet", "vit"]
        for trial in trials:
            assert trial.pop("variant") == {"external": "eanet", "self": "vit"}[trial["model"].pop("attention")["kind"]]
        assert trials[0] == trials[1]


def of_images(height, width, *suites, profile="quick", **overrides):
    """The plan of suites on images of that size."""
    shape = DatasetShape(height, width, 3, 7, 1234)
    return build_plan(suites, profile, lambda name: shape, Overrides(**overrides))


@pytest.mark.parametrize(
    ("height", "width", "patch_size", "notes"),
    [
        (8, 8, 2, 0),
        (28, 28, 2, 0),
        (33, 33, 3, 1),
        (35, 35, 5, 1),
        (31, 31, 1, 1),
        (33, 66, 3, 1),
        (32, 48, 2, 0),
        (27, 8, 1, 1),
    ],
)
def test_a_patch_size_that_does_not_divide_the_images_gives_way_to_the_next(height, width, patch_size, notes):
    """To the largest that leaves four rows and columns, where there is no next."""
    plan = of_images(height, width, "accuracy")
    assert {trial.model.patch_size for trial in plan.trials} == {patch_size}
    assert {trial.model.patches for trial in plan.trials} == {height * width // patch_size**2}
    assert len(plan.notes) == notes
    if notes:
        assert plan.notes[0].startswith(f"patch_size is {patch_size}: 2 does not divide images of {width} x {height}")


def test_a_patch_size_that_is_given_and_does_not_divide_the_images_is_an_error():
    with pytest.raises(InputError, match="patch_size 2 does not divide image_width 33; allowed: 1, 3, 11, 33"):
        of_images(32, 33, "accuracy", settings={"patch_size": "2"})


def test_a_suite_leaves_out_the_patch_sizes_that_do_not_divide_the_images_and_says_which():
    plan = of_images(28, 28, "patch-size", profile="full")
    assert {trial.model.patch_size for trial in plan.trials} == {2, 4}
    assert plan.notes == ("patch-size leaves out patch_size 8: it does not divide the images",)
    assert set(of_images(31, 31, "accuracy", "patch-size", profile="full").suites) == {"accuracy"}
    with pytest.raises(InputError, match=r"leaves out patch_size 2, patch_size 4, patch_size 8: .* nothing is"):
        of_images(31, 31, "patch-size", profile="full")


def test_every_suite_of_all_runs_on_images_of_odd_sizes():
    for profile in ("quick", "full"):
        for height, width in ((28, 28), (33, 33), (32, 48)):
            suites = suites_in(profile, Overrides())
            left_out = {"patch-size"} if (profile, height) == ("full", 33) else set()
            planned = {trial.suite for trial in of_images(height, width, *suites, profile=profile).trials}
            assert planned == set(suites) - left_out


def test_images_that_are_not_square_have_a_grid_of_their_own_and_step_times_a_square_one():
    plan = of_images(32, 48, "rivals", "scaling", variants=("vit", "pooling"))
    for trial in plan.trials:
        if isinstance(trial, TrainTrial):
            assert (trial.model.image_size, trial.model.width, trial.model.patches) == (32, 48, 384)
        elif isinstance(trial, ModelStepTrial):
            assert trial.model.width == trial.model.image_size
        rows = getattr(trial.attention, "grid_rows", None)
        assert rows == (16 if isinstance(trial, TrainTrial) and trial.variant == "pooling" else None)


def test_the_number_of_images_is_for_the_estimate_and_in_no_id():
    few, many = (of_images(32, 32, "accuracy").trials[0].model_copy(update={"images": n}) for n in (100, 100_000))
    assert few.trial_id == many.trial_id
    assert estimate.seconds(many) > 50 * estimate.seconds(few)
    assert "images" not in few.model_dump()


@pytest.mark.parametrize("profile", profiles())
def test_step_times_of_all_variants_use_the_same_sizes_and_batches(profile):
    cases = {}
    for t in step_times("scaling", profile=profile):
        cases.setdefault((t.scope, t.variant), set()).add((t.phase, t.patches, t.batch, t.process, t.steps, t.seconds))
    assert {scope for scope, _ in cases} == {"core", "model"}
    assert all(sizes == cases[scope, "vit"] for (scope, _), sizes in cases.items())


def test_the_shipped_step_times_span_a_factor_of_64_in_eight_sizes():
    for profile, scope in itertools.product(("quick", "full"), ("core", "model")):
        sizes = {trial.patches for trial in step_times("scaling", profile=profile) if trial.scope == scope}
        assert len(sizes) >= 8
        assert max(sizes) >= 64 * min(sizes)


def test_sizes_can_be_set(made):
    made()
    given = {"core.patches": "50,7", "core.batch": "4", "core.processes": "1", "model.patches": "9"}
    trials = step_times("times", settings=given)
    assert {(t.patches, t.batch, t.process) for t in trials if t.scope == "core"} == {(50, 4, 0), (7, 4, 0)}
    assert {(t.patches, t.batch) for t in trials if t.scope == "model"} == {(9, 5)}


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        ("times", {"model.patches": "64,120"}, "patches = 120 of the model scope is not a square number; near it: 100"),
        ("times", {"core.batch": "0"}, "core.batch = '0': should be greater than or equal to 1"),
        ("times", {"core.patches": "64,64"}, "core.patches: 64 is there twice"),
        ("times", {"core.patches": "64,many"}, "core.patches.1 = 'many': should be a valid integer"),
        ("times", {"core.patches": ""}, "core.patches.0 = '': should be a valid integer"),
        ("trains", {"core.patches": "64"}, "core.patches changes nothing: none of the chosen variants is timed at"),
    ],
)
def test_impossible_sizes_are_errors(made, names, given, message):
    made()
    with pytest.raises(InputError, match=re.escape(message)):
        plan(names, settings=given)


def test_the_tutorial_profile_is_the_tutorial():
    eanet, vit = plan("accuracy", profile="tutorial").trials
    assert (eanet.model, vit.model) == (VARIANTS["eanet"].model, VARIANTS["vit"].model)
    assert dict(eanet.training) == {
        "augmentation": "tutorial",
        "epochs": 50,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "weight_decay": 1e-4,
        "label_smoothing": 0.1,
        "validation_split": 0.2,
        "train_share": 1.0,
    }


GRID = {"augmentation": ("corrected", "tutorial"), "weight_decay": (0, "1e-1")}


def cells_of(trials):
    return [(t.seed, t.training.augmentation, t.training.weight_decay, t.variant) for t in trials]


def test_a_grid_is_every_combination_of_its_values_with_every_variant_and_seed(made):
    made(grid=GRID)
    trials = plan("trains", seeds=2).trials
    assert cells_of(trials) == list(
        itertools.product((0, 1), ("corrected", "tutorial"), (0.0, 0.1), ("eanet", "vit"))
    ), "whole pairs of a seed come one after the other"
    assert len({trial.trial_id for trial in trials}) == 16
    rest = {"training": {"augmentation", "weight_decay"}, "grid": True, "variant": True, "model": True, "seed": True}
    assert len({trial.model_dump_json(exclude=rest) for trial in trials}) == 1, "everything else is the profile's"
    assert trials[-2].label == "trains train-eanet-digits-seed1 augmentation=tutorial weight_decay=0.1"


def test_a_setting_that_is_given_is_no_longer_varied(made):
    made(grid=GRID, base={"augmentation": "tutorial", "weight_decay": 0})
    asked = plan("trains", seeds=1, settings={"weight_decay": "1e-4"})
    assert cells_of(asked.trials) == [
        (0, augmentation, 1e-4, variant) for augmentation in ("corrected", "tutorial") for variant in ("eanet", "vit")
    ]
    assert asked.suites["trains"].grid == ("augmentation",)
    assert asked.suites["trains"].base == {"augmentation": "tutorial"}


def test_where_all_settings_are_given_nothing_is_tuned(made):
    made(grid=GRID, base={}, base_variant="vit", tuned=True)
    one = plan("trains", seeds=1, settings={"weight_decay": "1e-4"}).suites["trains"]
    none = plan("trains", seeds=1, settings={"weight_decay": "1e-4", "augmentation": "none"}).suites["trains"]
    assert (one.tuned, none.tuned) == (True, False)
    with pytest.raises(ValueError, match="tuned: validation_split cannot be chosen"):
        made(grid={"validation_split": (0.1, 0.2)}, base={}, base_variant="vit", tuned=True)


def test_quick_has_a_grid_seeds_and_epochs_of_its_own(made):
    made(grid=GRID, quick={"seeds": 2, "epochs": 3, "grid": {"augmentation": ("tutorial",)}})
    trials = plan("trains").trials
    usual = profiles()["quick"].settings["weight_decay"]
    assert cells_of(trials) == [(seed, "tutorial", usual, v) for seed in (0, 1) for v in ("eanet", "vit")]
    assert {trial.training.epochs for trial in trials} == {3}
    assert {trial.training.epochs for trial in plan("trains", epochs=7).trials} == {7}, "the command line wins"


def test_a_variant_without_the_grids_setting_is_trained_once(made):
    made(grid={"memory_units": (3, 5, 7)})
    assert [(trial.variant, dict(trial.grid)) for trial in plan("trains", seeds=1).trials] == [
        ("eanet", {"memory_units": 3}),
        ("vit", {}),
        ("eanet", {"memory_units": 5}),
        ("eanet", {"memory_units": 7}),
    ]


def test_a_base_is_told_as_its_trials_have_it(made):
    """TOML has 0 and 1e-1, the records 0.0 and 0.1: the report looks for the base among the records."""
    made(grid={"weight_decay": (0, "1e-1")}, base={"weight_decay": 0})
    asked = plan("trains", seeds=1)
    assert json.loads(asked.suites["trains"].model_dump_json())["base"] == {"weight_decay": 0.0}
    assert isinstance(asked.suites["trains"].base["weight_decay"], float)
    assert [dict(trial.grid)["weight_decay"] for trial in asked.trials] == [0.0, 0.0, 0.1, 0.1]


def test_a_grids_setting_that_no_variant_has_is_an_error(made):
    made(variants=("eanet",), grid={"key_dim": (3, 5)})
    with pytest.raises(InputError, match="suite trains: grid varies key_dim, which none of its variants has: eanet"):
        plan("trains")


OWN = {
    "small": {"preset": "vit", "title": "Small", "settings": {"key_dim": 16}},
    "as-small": {
        "preset": "eanet",
        "title": "As dear",
        "match": {
            "figure": "multiply_adds",
            "variant": "small",
            "among": {"dim_coefficient": (4, 2), "memory_units": (16, 8, 32, 64, 9)},
        },
    },
}


def test_a_suites_own_variant_keeps_its_settings_whatever_is_set(made):
    made(variants=("small", "vit", "as-small"), own=OWN)
    models = {t.variant: t.model for t in plan("trains", seeds=1, settings={"key_dim": "5"}).trials}
    assert (models["small"].attention.key_dim, models["vit"].attention.key_dim) == (16, 5)
    with pytest.raises(InputError, match="memory_units changes nothing: none of the chosen variants has it"):
        plan("trains", settings={"memory_units": "5"})


@pytest.mark.parametrize(("patch_size", "chosen"), [("2", (4, 32)), ("4", (2, 32))])
def test_a_matched_variant_costs_what_its_model_costs_at_the_runs_own_size(made, patch_size, chosen):
    made(variants=("small", "as-small"), own=OWN)
    asked = plan("trains", profile="full", seeds=1, settings={"patch_size": patch_size})
    costs = {trial.variant: trial.model.cost() for trial in asked.trials}
    assert costs["as-small"].multiply_adds == costs["small"].multiply_adds
    own = asked.suites["trains"].own
    assert own["small"].settings == {"key_dim": 16}
    assert own["as-small"].settings == dict(zip(("dim_coefficient", "memory_units"), chosen, strict=True))


def test_an_asked_precision_fixes_that_of_a_grid(made):
    made(grid={"precision": ("float32", "mixed_bfloat16")}, base={"precision": "float32"})
    assert [(t.precision, dict(t.grid)["precision"]) for t in plan("trains", seeds=1, variants=("vit",)).trials] == [
        ("float32", "float32"), ("mixed_bfloat16", "mixed_bfloat16"),
    ]  # fmt: skip
    asked = plan("trains", seeds=1, precision="mixed_bfloat16")
    assert {(trial.precision, *dict(trial.grid)) for trial in asked.trials} == {("mixed_bfloat16",)}
    assert asked.suites["trains"].grid == ()


def test_a_trial_that_two_suites_ask_for_is_run_once_and_stands_in_both():
    """The base of each shipped ablation of EANet is one and the same training."""
    ablations = plan("normalization", "memory-units", "widening", "controls", seeds=1)
    shared = set.intersection(*(set(suite.trial_ids) for suite in ablations.suites.values()))
    assert [trial.trial_id for trial in ablations.distinct].count(*shared) == 1


def test_all_suites_of_a_variant_are_those_that_have_it(made):
    made()
    assert suites_in("quick", Overrides(variants=("random-mixing",))) == ["times"]
    assert (
        suites_in("quick", Overrides())
        == suites_in("quick", Overrides(variants=("vit", "nothing")))
        == ["trains", "times"]
    )


def test_a_profile_leaves_out_the_suites_that_say_so():
    """Half precision has nothing to say on a CPU, and tuning takes long; both can still be asked for by name."""
    assert set(suites_in("full", Overrides())) - set(suites_in("quick", Overrides())) == {"precision", "tuning"}
    assert plan("precision", seeds=1).trials


def test_a_variant_that_is_asked_for_by_name_is_timed_where_the_profile_times_others():
    assert {trial.variant for trial in plan("scaling").trials} == {"eanet", "vit"}
    asked = plan("scaling", variants=("vit-fused",)).trials
    assert {(trial.variant, trial.scope) for trial in asked} == {("vit-fused", "core"), ("vit-fused", "model")}


@given(variant=st.sampled_from(["eanet", "vit"]), seed=st.integers(0, 4))
def test_an_id_is_a_function_of_the_trial_and_of_nothing_else(variant, seed):
    one, two = (plan("accuracy", variants=(variant,)).trials[seed] for _ in range(2))
    assert one.trial_id == two.trial_id
    elsewhere = {"suite": "another", "data_dir": "/elsewhere", "grid": (("augmentation", "digits"),)}
    assert one.model_copy(update=elsewhere).trial_id == one.trial_id


def test_settings_that_were_added_later_change_no_earlier_id():
    """The committed CIFAR-100 records, of protocol 2, are from before there were `train_share`, `memory_sharing` and
    `implementation`."""
    records = sorted(Path(results.__file__).parent.glob("reference/cifar100-patch4-2-cores/records/*.json"))
    assert records
    for record in map(json.loads, map(Path.read_text, records)):
        trial = TrainTrial.model_validate(record["trial"]).model_copy(update={"protocol": 2})
        assert trial.trial_id == record["trial_id"]


def test_everything_that_can_change_a_result_changes_the_id():
    (trial,) = plan("accuracy", seeds=1, variants=("eanet",)).trials
    changed = [
        plan("accuracy", seeds=1, variants=("eanet",), **overrides).trials[0]
        for overrides in (
            {"settings": {"memory_units": "17"}},
            {"settings": {"patch_size": "4"}},
            {"settings": {"learning_rate": "0.002"}},
            {"settings": {"augmentation": "none"}},
            {"settings": {"train_share": "0.5"}},
            {"settings": {"memory_sharing": "none"}},
            {"epochs": 7},
            {"dataset": "cifar10"},
            {"backend": "jax"},
            {"precision": "mixed_bfloat16"},
            {"devices": 2},
        )
    ]
    changed.append(plan("accuracy", seeds=2, variants=("eanet",)).trials[1])
    changed.append(plan("accuracy", seeds=1, variants=("vit",)).trials[0])
    ids = {trial.trial_id, *(other.trial_id for other in changed)}
    assert len(ids) == 1 + len(changed)
    assert all(re.fullmatch(r"[a-z0-9-]+", identity) for identity in ids)


def test_trials_of_a_plan_are_all_different():
    trials = plan("accuracy", "scaling", profile="full").trials
    assert len({trial.trial_id for trial in trials}) == len(trials)


def test_a_setting_reaches_every_variant_that_has_it():
    eanet, vit = plan("accuracy", seeds=1, settings={"heads": "2", "key_dim": "5", "patch_size": "4"}).trials
    assert (eanet.model.attention.heads, vit.model.attention.heads, vit.model.attention.key_dim) == (2, 2, 5)
    assert eanet.model.patch_size == vit.model.patch_size == 4


def test_whole_models_are_timed_on_images_of_as_many_patches(made):
    made()
    trials = [trial for trial in plan("times").trials if isinstance(trial, ModelStepTrial)]
    assert {(trial.variant, trial.model.patches) for trial in trials} == {("eanet", 16), ("vit", 16)}


def test_cases_are_interleaved_and_the_order_is_the_same_every_time():
    orders = [[trial.trial_id for trial in plan("scaling").trials] for _ in range(2)]
    assert orders[0] == orders[1]
    variants = [trial.variant for trial in plan("scaling").trials]
    changes = sum(a != b for a, b in itertools.pairwise(variants))
    assert changes > len(variants) / 3


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("acuracy", {}, "unknown suite 'acuracy' (did you mean 'accuracy'?); allowed: accuracy, scaling, tutorial"),
        ("accuracy", {"profile": "quik"}, "unknown profile 'quik' (did you mean 'quick'?); allowed: quick, tutorial"),
        ("accuracy", {"variants": ("cnn",)}, "unknown variant 'cnn'; allowed: eanet, vit, "),
        ("accuracy", {"variants": ("vit-16",)}, "unknown variant 'vit-16'"),
        ("accuracy", {"variants": ("mean",)}, "suite accuracy: has none of the variants mean; it has: eanet, vit"),
        ("accuracy", {"settings": {"blokcs": "2"}}, "unknown setting 'blokcs' (did you mean 'blocks'?); allowed: att"),
        ("accuracy", {"settings": {"image_size": "9"}}, "image_size comes with the dataset 'digits' and cannot be set"),
        ("accuracy", {"settings": {"patch_size": "3"}}, "patch_size 3 does not divide image_size 8; allowed: 1, 2"),
        ("accuracy", {"settings": {"heads": "3"}}, "heads 3 does not divide embedding_dim 64; allowed: 1, 2, 4, 8"),
        ("accuracy", {"settings": {"learning_rate": "fast"}}, "learning_rate = 'fast': should be a valid number"),
        ("accuracy", {"settings": {"learning_rate": "nan"}}, "learning_rate = 'nan': should be a finite number"),
        ("accuracy", {"settings": {"augmentation": "flip"}}, "augmentation = 'flip': should be 'tutorial', 'correc"),
        ("accuracy", {"epochs": 0}, "epochs = 0: should be greater than or equal to 1"),
        ("accuracy", {"variants": ("eanet",), "settings": {"key_dim": "5"}}, "key_dim changes nothing: none of the"),
        ("scaling", {"seeds": 3}, "seeds changes nothing: none of the chosen suites trains"),
        ("scaling", {"epochs": 3}, "epochs changes nothing: none of the chosen suites trains"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_the_value_and_what_is_allowed(name, changes, complaint):
    with pytest.raises(InputError) as error:
        plan(name, **changes)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@given(name=st.text(max_size=20).filter(lambda name: name not in SETTINGS_ALLOWED))
def test_no_unknown_setting_passes(name):
    with pytest.raises(InputError):
        plan("accuracy", settings={name: "1"})


def test_every_suite_asks_a_question_and_takes_time():
    assert all(suite.question.endswith("?") for suite in suites().values())
    assert all(estimate.seconds(trial) > 0 for trial in plan(*suites()).trials)
    assert sum(map(estimate.seconds, plan("accuracy", profile="tutorial").trials)) > 5 * 3600
