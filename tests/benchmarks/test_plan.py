"""Suites and a profile become trials: fair between variants, identified by all that matters, strict about names."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import results
from benchmarks import datasets, estimate
from benchmarks.plan import Overrides, build_plan, settings_allowed, suites_with
from benchmarks.suite import InputError, TrainSuite, profiles, suites
from models.config import VARIANTS
from results.trials import ModelStepTrial, StepTimeTrial, TrainTrial


def plan(*names, profile="quick", **overrides):
    return build_plan(names, profile, lambda name: datasets.shape(name, None), Overrides(**overrides))


def step_times(**options):
    """The trials of the suite `scaling` that time a step."""
    return [trial for trial in plan("scaling", **options).trials if isinstance(trial, StepTimeTrial)]


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


@pytest.mark.parametrize("profile", profiles())
def test_step_times_of_all_variants_use_the_same_sizes_and_batches(profile):
    cases = {}
    for t in step_times(profile=profile):
        cases.setdefault((t.scope, t.variant), set()).add((t.phase, t.patches, t.batch, t.process, t.steps, t.seconds))
    assert (
        cases["core", "eanet"] == cases["core", "vit"] == cases["core", "vit-fused"] == cases["core", "eanet-factored"]
    )
    assert cases["model", "eanet"] == cases["model", "vit"] == cases.get(("model", "vit-fused"), cases["model", "vit"])


@pytest.mark.parametrize(("profile", "processes", "largest"), [("quick", 3, 4096), ("full", 7, 65_536)])
def test_every_size_is_measured_in_several_processes_at_eight_sizes_over_a_factor_of_64(profile, processes, largest):
    counted = Counter((t.scope, t.variant, t.phase, t.patches) for t in step_times(profile=profile))
    assert set(counted.values()) == {processes}
    for scope in ("core", "model"):
        sizes = {patches for of, _, _, patches in counted if of == scope}
        assert len(sizes) >= 8
        assert max(sizes) >= 64 * min(sizes)
    assert max(patches for scope, _, _, patches in counted if scope == "core") == largest


def test_sizes_can_be_set():
    given = {"core.patches": "50,7", "core.batch": "3", "core.processes": "2", "model.patches": "9"}
    trials = step_times(settings=given)
    assert {(t.patches, t.batch, t.process) for t in trials if t.scope == "core"} == {
        (n, 3, p) for n in (50, 7) for p in (0, 1)
    }
    assert {t.patches for t in trials if t.scope == "model"} == {9}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model.patches": "64,120"}, "patches = 120 of the model scope is not a square number; near it: 100, 121"),
        ({"core.batch": "0"}, "core.batch = '0': should be greater than or equal to 1"),
        ({"core.patches": "64,64"}, "patches name 64 twice"),
        ({"core.patches": "64,many"}, "core.patches.1 = 'many': should be a valid integer"),
        ({"core.patches": ""}, "core.patches.0 = '': should be a valid integer"),
    ],
    ids=str,
)
def test_impossible_sizes_are_errors(given, message):
    with pytest.raises(InputError, match=re.escape(message)):
        plan("scaling", settings=given)


def test_sizes_without_step_times_are_an_error():
    with pytest.raises(
        InputError, match=r"core\.patches changes nothing: none of the chosen suites measures step times"
    ):
        plan("accuracy", settings={"core.patches": "64"})


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


def test_quick_has_at_least_three_seeds_and_no_download():
    trials = plan("accuracy").trials
    assert {trial.dataset for trial in trials} == {"digits"}
    assert min(Counter(trial.variant for trial in trials).values()) >= 3


def cells_of(trials):
    return [(t.seed, t.training.augmentation, t.training.weight_decay, t.variant) for t in trials]


def test_a_grid_is_every_combination_of_its_values_with_every_variant_and_seed():
    trials = plan("tutorial-drift", profile="tutorial", seeds=2).trials
    assert cells_of(trials) == [
        (seed, augmentation, weight_decay, variant)
        for seed in (0, 1)
        for augmentation in ("corrected", "tutorial")
        for weight_decay in (1e-4, 0.1)
        for variant in ("eanet", "vit")
    ]
    assert len({trial.trial_id for trial in trials}) == 16
    rest = {"training": {"augmentation", "weight_decay"}, "grid": True, "variant": True, "model": True, "seed": True}
    assert len({trial.model_dump_json(exclude=rest) for trial in trials}) == 1, "everything else is the tutorial's"
    assert trials[-2].label == "tutorial-drift train-eanet-cifar100-seed1 augmentation=tutorial weight_decay=0.1"


def test_a_setting_that_is_given_is_no_longer_varied():
    trials = plan("tutorial-drift", profile="tutorial", settings={"weight_decay": "1e-4"})
    assert cells_of(trials.trials) == [
        (0, augmentation, 1e-4, variant) for augmentation in ("corrected", "tutorial") for variant in ("eanet", "vit")
    ]
    assert trials.suites["tutorial-drift"].grid == ("augmentation",)


def test_the_drift_suite_shares_the_tutorials_own_trainings_with_the_accuracy_suite():
    drift, accuracy = (
        {trial.trial_id for trial in plan(suite, profile="tutorial").trials} for suite in ("tutorial-drift", "accuracy")
    )
    assert accuracy < drift


def test_quick_has_a_grid_of_its_own():
    trials = plan("tutorial-drift").trials
    assert cells_of(trials)[:4] == [
        (0, "corrected", 1e-4, "eanet"),
        (0, "corrected", 1e-4, "vit"),
        (0, "tutorial", 1e-4, "eanet"),
        (0, "tutorial", 1e-4, "vit"),
    ]
    assert {trial.training.epochs for trial in trials} == {12}
    assert {trial.seed for trial in trials} == {0, 1, 2}


def with_suite(monkeypatch, **suite):
    table = {"question": "Why?", "kind": "train", "variants": ("eanet", "vit")} | suite
    monkeypatch.setattr("benchmarks.plan.suites", lambda: {"made-up": TrainSuite.model_validate(table)})
    return plan("made-up", seeds=1)


def test_a_variant_without_the_grids_setting_is_trained_once(monkeypatch):
    trials = with_suite(monkeypatch, grid={"memory_units": (3, 5, 7)}).trials
    assert [(trial.variant, dict(trial.grid)) for trial in trials] == [
        ("eanet", {"memory_units": 3}),
        ("vit", {}),
        ("eanet", {"memory_units": 5}),
        ("eanet", {"memory_units": 7}),
    ]


def test_a_base_is_told_as_its_trials_have_it(monkeypatch):
    """TOML has 0 and 1e-1, the records 0.0 and 0.1: the report looks for the base among the records."""
    made = with_suite(monkeypatch, grid={"weight_decay": (0, "1e-1")}, base={"weight_decay": 0})
    base = made.suites["made-up"].base
    assert base == {"weight_decay": 0.0}
    assert isinstance(base["weight_decay"], float)
    assert [dict(trial.grid)["weight_decay"] for trial in made.trials] == [0.0, 0.0, 0.1, 0.1]


def test_a_grids_setting_that_no_variant_has_is_an_error(monkeypatch):
    with pytest.raises(InputError, match="suite made-up: grid varies key_dim, which none of its variants has: eanet"):
        with_suite(monkeypatch, variants=("eanet",), grid={"key_dim": (3, 5)})


def test_a_suites_own_variant_keeps_its_settings_whatever_is_set():
    trials = plan("matched-budget", seeds=1, settings={"key_dim": "5"}).trials
    assert {t.variant: t.model.attention.key_dim for t in trials if "vit" in t.variant} == {"vit-16": 16, "vit": 5}


@pytest.mark.parametrize(("patch_size", "patches"), [("2", 256), ("4", 64)])
def test_a_matched_variant_costs_what_its_model_costs_at_the_runs_own_size(patch_size, patches):
    """At both sizes an EANet has exactly the usual ViT's multiply-adds; the nearest in parameters has 1.7 % more."""
    made = plan("matched-budget", profile="full", seeds=1, settings={"patch_size": patch_size})
    costs = {trial.variant: trial.model.cost() for trial in made.trials}
    assert {trial.model.patches for trial in made.trials} == {patches}
    assert costs["eanet-at-multiply-adds"].multiply_adds == costs["vit-16"].multiply_adds
    ratio = costs["eanet-at-parameters"].parameters / costs["vit-16"].parameters
    assert ratio == pytest.approx(1.017, abs=0.005)
    own = made.suites["matched-budget"].own
    assert own["vit-16"].settings == {"key_dim": 16}
    assert own["eanet-at-multiply-adds"].settings == {"dim_coefficient": {256: 4, 64: 2}[patches], "memory_units": 32}


def test_on_digits_a_matched_variant_has_exactly_the_multiply_adds_that_its_title_says():
    made = plan("matched-budget", seeds=1)
    costs = {trial.variant: trial.model.cost() for trial in made.trials}
    assert {trial.dataset for trial in made.trials} == {"digits"}
    assert costs["eanet-at-multiply-adds"].multiply_adds == costs["vit-16"].multiply_adds


def test_the_suite_precision_trains_each_variant_in_both_and_shares_what_is_usual():
    made = plan("precision", seeds=1)
    asked = {(trial.variant, trial.precision): trial for trial in made.trials}
    assert set(asked) == {(v, p) for v in ("eanet", "vit") for p in ("float32", "mixed_bfloat16")}
    assert all(dict(trial.grid) == {"precision": trial.precision} for trial in made.trials)
    assert made.suites["precision"].base == {"precision": "float32"}
    usual = {trial.trial_id for trial in plan("controls", seeds=1).trials}
    assert {asked[v, "float32"].trial_id for v in ("eanet", "vit")} <= usual


def test_an_asked_precision_fixes_that_of_a_grid():
    made = plan("precision", "accuracy", seeds=1, precision="mixed_bfloat16")
    assert {trial.precision for trial in made.trials} == {"mixed_bfloat16"}
    assert made.suites["precision"].grid == ()


def test_controls_differ_from_eanet_in_their_attention_alone():
    by_variant = {t.variant: t for t in plan("controls", seeds=1).trials}
    assert list(by_variant) == ["eanet", "vit", "identity", "mean", "random-mixing"]
    rest = {"variant": True, "model": {"attention"}}
    assert len({trial.model_dump_json(exclude=rest) for trial in by_variant.values()}) == 1


def test_suites_share_the_trainings_that_they_have_in_common():
    """The base of each ablation of EANet is one and the same training."""
    ablations = [
        "normalization",
        "memory-units",
        "widening",
        "memory-sharing",
        "matched-budget",
        "controls",
        "data-size",
    ]
    ids = [{trial.trial_id for trial in plan(name, seeds=1).trials} for name in ablations]
    assert len(set.intersection(*ids)) == 1


def test_all_suites_of_a_variant_are_those_that_have_it():
    assert suites_with(["vit-fused"]) == ["scaling"]
    assert "widening" not in suites_with(["vit"])
    assert suites_with([]) == list(suites())


def test_accuracy_and_scaling_are_run_first():
    assert list(suites())[:2] == ["accuracy", "scaling"]


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


def test_whole_models_are_timed_on_images_of_as_many_patches():
    trials = [trial for trial in plan("scaling").trials if isinstance(trial, ModelStepTrial)]
    assert trials
    assert all(trial.model.patches == trial.patches for trial in trials)


def test_cases_are_interleaved_and_the_order_is_the_same_every_time():
    orders = [[trial.trial_id for trial in plan("scaling").trials] for _ in range(2)]
    assert orders[0] == orders[1]
    variants = [trial.variant for trial in plan("scaling").trials]
    changes = sum(a != b for a, b in itertools.pairwise(variants))
    assert changes > len(variants) / 3


@pytest.mark.parametrize(
    ("names", "changes", "complaint"),
    [
        (
            ["acuracy"],
            {},
            "unknown suite 'acuracy' (did you mean 'accuracy'?); allowed: accuracy, scaling, tutorial",
        ),
        (["accuracy"], {"profile": "quik"}, "unknown profile 'quik' (did you mean 'quick'?); allowed: quick, tutorial"),
        (["accuracy"], {"variants": ("cnn",)}, "unknown variant 'cnn'; allowed: eanet, vit, "),
        (["accuracy"], {"variants": ("vit-16",)}, "unknown variant 'vit-16'"),
        (
            ["accuracy"],
            {"settings": {"blokcs": "2"}},
            "unknown setting 'blokcs' (did you mean 'blocks'?); allowed: att",
        ),
        (
            ["accuracy"],
            {"settings": {"image_size": "9"}},
            "image_size comes with the dataset 'digits' and cannot be set",
        ),
        (
            ["accuracy"],
            {"settings": {"patch_size": "3"}},
            "patch_size 3 does not divide image_size 8; allowed: 1, 2, 4, 8",
        ),
        (["accuracy"], {"settings": {"heads": "3"}}, "heads 3 does not divide embedding_dim 64; allowed: 1, 2, 4, 8"),
        (["accuracy"], {"settings": {"learning_rate": "fast"}}, "learning_rate = 'fast': should be a valid number"),
        (["accuracy"], {"settings": {"learning_rate": "nan"}}, "learning_rate = 'nan': should be a finite number"),
        (
            ["accuracy"],
            {"settings": {"augmentation": "flip"}},
            "augmentation = 'flip': should be 'tutorial', 'corrected'",
        ),
        (["accuracy"], {"settings": {"normalization": "l1"}}, "normalization = 'l1': should be 'patches', 'units'"),
        (["accuracy"], {"epochs": 0}, "epochs = 0: should be greater than or equal to 1"),
        (["accuracy"], {"variants": ("eanet",), "settings": {"key_dim": "5"}}, "'key_dim' changes none of the chosen"),
    ],
)
def test_bad_input_is_one_line_with_the_value_and_what_is_allowed(names, changes, complaint):
    with pytest.raises(InputError) as error:
        plan(*names, **changes)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@given(name=st.text(max_size=20).filter(lambda name: name not in settings_allowed()))
def test_no_unknown_setting_passes(name):
    with pytest.raises(InputError):
        plan("accuracy", settings={name: "1"})


def test_every_suite_asks_a_question():
    assert all(suite.question.endswith("?") for suite in suites().values())


def test_estimates_are_positive_and_the_tutorial_takes_hours():
    assert all(estimate.seconds(trial) > 0 for trial in plan(*suites()).trials)
    tutorial = [trial for trial in plan("accuracy", profile="tutorial").trials if isinstance(trial, TrainTrial)]
    assert sum(map(estimate.seconds, tutorial)) > 5 * 3600
