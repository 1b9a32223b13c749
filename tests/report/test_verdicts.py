"""The tutorial's claims: each gets the verdict that the measurement allows, and none on other settings than its own."""

import pytest

from report.findings import find
from report.summary import lines
from results.published import CLAIMS, IMAGES, IMAGES_CONTENT_SHA256, LOGS, SETTINGS, log_epochs
from results.records import PlannedVariant
from tests import samples
from tests.report.page_reader import run_of
from tests.report.test_accuracy import pairs

MODEL = {
    "image_size": 32,
    "channels": 3,
    "classes": 100,
    "patch_size": 2,
    "blocks": 8,
    "embedding_dim": 64,
    "mlp_dim": 64,
    "mlp_dropout": 0.2,
}
TRAINING = {
    "augmentation": "tutorial", "weight_decay": 1e-4, "epochs": 50, "batch_size": 128, "learning_rate": 1e-3,
    "schedule": "constant", "label_smoothing": 0.1, "validation_split": 0.2,
}  # fmt: skip
ATTENTIONS = {
    "eanet": {"kind": "external", "heads": 4, "dim_coefficient": 4, "memory_units": 16, "normalization": "double"},
    "vit": {"kind": "self", "heads": 4, "key_dim": 64},
}


def trained(top1s, variant="eanet", model=None, **training):
    """A training at the tutorial's own settings for each top-1, `training` and `model` apart."""
    records = []
    for seed, top1 in enumerate(top1s):
        images = IMAGES | {"dataset_content_sha256": IMAGES_CONTENT_SHA256}
        record = samples.training(variant, seed, top1=top1, suite="tutorial-drift", **images)
        attention = ATTENTIONS[variant] | {"attention_dropout": 0.2}
        settings = MODEL | {"attention": attention} | (model or {})
        records.append(samples.altered(record, dataset="cifar100", training=TRAINING | training, model=settings))
    return records


def claims_of(*records, **suites):
    return {claim.subject: claim for claim in find(run_of(*records, **suites)).claims}


def both(eanet, vit, model=None, augmentation="tutorial", **changes):
    changes |= {"model": model, "augmentation": augmentation}
    return [*trained(eanet, **changes), *trained(vit, "vit", **changes)]


@pytest.mark.parametrize(
    ("eanet", "vit", "verdict"),
    [
        ([0.43, 0.44, 0.45], [0.40, 0.41, 0.42], "supported"),
        ([0.40, 0.41, 0.42], [0.43, 0.44, 0.45], "contradicted"),
        ([0.40, 0.44, 0.41], [0.41, 0.41, 0.42], "inconclusive"),
        ([0.43, 0.44], [0.40, 0.41], "inconclusive"),
    ],
)
def test_more_accurate_is_what_a_paired_test_at_the_tutorials_settings_says(eanet, vit, verdict):
    assert claims_of(*both(eanet, vit))["accuracy"].verdict == verdict


@pytest.mark.parametrize(
    ("eanet", "verdict"),
    [
        ([0.43, 0.431, 0.429], "supported"),
        ([0.50, 0.501, 0.499], "contradicted"),
        ([0.43, 0.44, 0.42], "inconclusive"),
    ],
)
def test_the_claimed_lead_of_2_pp_is_a_claim_of_its_own(eanet, verdict):
    claims = claims_of(*both(eanet, [0.41, 0.41, 0.41]))
    assert claims["difference"].verdict == verdict
    assert "difference" not in claims_of(*both(eanet, [0.41] * 3, epochs=12)), "nothing else tests it"


def part(setting, gains):
    """A suite that varies a setting of EANet: its values, the base's first, with their top-1 by seed."""
    base, *_ = gains
    records = [
        samples.altered(samples.training("eanet", seed, top1=top1), attention={setting: value}, grid={setting: value})
        for value, top1s in gains.items()
        for seed, top1 in enumerate(top1s)
    ]
    return records, {"grid": (setting,), "base": {setting: base}}


EVEN = (0.9, 0.91, 0.92)
LOWER = {gap: tuple(top1 - gap for top1 in EVEN) for gap in (0.002, 0.05)}


@pytest.mark.parametrize(
    ("setting", "gains", "verdict"),
    [
        ("normalization", {"double": EVEN, "patches": LOWER[0.002], "units": LOWER[0.002]}, "supported"),
        ("normalization", {"double": EVEN, "patches": LOWER[0.05], "units": LOWER[0.05]}, "contradicted"),
        ("normalization", {"double": EVEN, "patches": LOWER[0.05], "units": LOWER[0.002]}, "supported"),
        ("memory_sharing", {"heads": EVEN, "none": EVEN, "layers": LOWER[0.05]}, "supported"),
        ("memory_units", {16: LOWER[0.05], 64: EVEN}, "contradicted"),
        ("memory_value_start", {"own": EVEN, "keys": (0.8, 0.99, 0.9)}, "inconclusive"),
    ],
)
def test_what_is_claimed_of_a_part_is_judged_by_the_suite_that_varies_it(setting, gains, verdict):
    (claim, four_layers) = find(run_of(part=part(setting, gains))).part_claims
    assert (claim.subject, claim.verdict, claim.section) == (setting, verdict, "suite-part")
    assert four_layers.evidence == (
        "By the closed forms EANet's attention as published takes fewer multiply-adds than the usual ViT's above "
        "N = 192 and than the tutorial's ViT's at every N."
    )


def test_a_gain_is_that_of_the_claimed_value_whichever_is_the_base():
    (claim, _) = find(run_of(part=part("memory_units", {16: LOWER[0.05], 64: EVEN}))).part_claims
    assert claim.evidence.startswith("memory_units 64: **+5.0 pp")
    (claim, _) = find(run_of(part=part("normalization", {"double": EVEN, "units": LOWER[0.05]}))).part_claims
    assert claim.evidence.startswith("normalization double: **+5.0 pp")


USUAL = ATTENTIONS["vit"] | {"key_dim": 16, "attention_dropout": 0.2}
USUAL_VIT = PlannedVariant(preset="vit", title="ViT (key_dim 16)", settings={"key_dim": 16})
PATCH_4 = {"patch_size": 4}


def beside_the_usual_vit(eanet, vit, model=PATCH_4, **recipe):
    """EANet and the usual ViT, as the suite `matched-budget` compares them, with other patches than the tutorial's."""
    usual = [
        samples.altered(r, variant="vit-16") for r in trained(vit, "vit", model={"attention": USUAL} | model, **recipe)
    ]
    plan = {"base_variant": "vit-16", "own": {"vit-16": USUAL_VIT}}
    return [*trained(eanet, model=model, **recipe), *usual], plan


OTHER_PATCHES = "accuracy with other patches"
AGAINST_USUAL = "accuracy against the usual ViT"


@pytest.mark.parametrize(
    ("eanet", "against_vit", "against_usual"),
    [
        ([0.46, 0.461, 0.459], "supported", "supported"),
        ([0.43, 0.431, 0.429], "contradicted", "supported"),
        ([0.40, 0.401, 0.399], "contradicted", "contradicted"),
        ([0.40, 0.46, 0.43], "inconclusive", "inconclusive"),
        ([0.46, 0.461], "inconclusive", "inconclusive"),
    ],
    ids=["better", "as good", "worse", "undecided", "too few seeds"],
)
def test_other_patches_and_the_usual_vit_have_a_verdict_of_their_own(eanet, against_vit, against_usual):
    alike, margin = [0.43, 0.43, 0.43], {"margin": 0.01}
    records, plan = beside_the_usual_vit(eanet, alike)
    claims = claims_of(accuracy=(both(eanet, alike, model=PATCH_4), margin), budget=(records, plan | margin))
    assert claims["accuracy"].verdict == "not tested", "64 patches are not the tutorial's 256"
    assert (claims[OTHER_PATCHES].verdict, claims[AGAINST_USUAL].verdict) == (against_vit, against_usual)
    assert claims[OTHER_PATCHES].claim == "EANet is more accurate than ViT on CIFAR-100 at N = 64"


def test_both_vits_are_told_apart_in_the_evidence_of_two_recipes():
    corrected, as_published = ([0.46, 0.461, 0.459], "corrected"), ([0.17, 0.171, 0.169], "tutorial")
    records = [r for top1s, recipe in (corrected, as_published) for r in both(top1s, [0.4] * 3, PATCH_4, recipe)]
    claim = claims_of(accuracy=records)[OTHER_PATCHES]
    assert claim.verdict == "inconclusive", "the recipes disagree"
    assert all(f"(augmentation={recipe})" in claim.evidence for recipe in ("corrected", "tutorial"))


def test_a_shorter_training_has_no_verdict_near_the_tutorials():
    records, plan = beside_the_usual_vit([0.43] * 3, [0.41] * 3, epochs=12)
    claims = claims_of(accuracy=both([0.43] * 3, [0.41] * 3, model=PATCH_4, epochs=12), budget=(records, plan))
    assert not claims.keys() & {OTHER_PATCHES, AGAINST_USUAL}


def test_what_each_seed_tuned_is_not_the_tutorials():
    records, grid = both([0.43, 0.431, 0.432], [0.40] * 3), ("learning_rate",)
    records = [samples.altered(r, grid={"learning_rate": 0.001}) for r in records]
    claim = claims_of(tuning=(records, {"tuned": True, "grid": grid}))["accuracy"]
    assert claim.verdict == "not tested"
    assert "learning_rate tuned" in claim.evidence


def test_digits_never_stand_for_what_was_compared_on_cifar_100():
    claim = claims_of(digits=pairs([0.01, 0.012, 0.011]), accuracy=both([0.46], [0.44], epochs=12))["accuracy"]
    assert claim.evidence.startswith("**46.0 % vs 44.0 %** on CIFAR-100 after 12 epochs: +2.0 pp, 1 seed")


def test_trainings_at_chance_do_not_hide_those_of_too_few_seeds():
    lead = find(run_of(accuracy=both([0.43, 0.43], [0.41] * 2), short=both([0.01], [0.01], epochs=1))).lead
    assert lead.startswith("On CIFAR-100, EANet and ViT differ by +2.0 pp: **too few seeds for a test**.")


def of_a_file(record, name):
    """The step time as if it were that of a user's own attention."""
    attention = {"kind": "own", "file": "mine.py", "source_sha256": "12" * 32, "settings": [], "grows": None}
    trial = record.trial.model_dump(mode="json") | {"variant": name, "attention": attention | {"role": "rival"}}
    return record.model_copy(update={"trial": type(record.trial).model_validate(trial)})


def test_the_terminal_has_20_lines_at_most_and_what_is_a_users_own_gives_way():
    usual = [beside_the_usual_vit([0.46, 0.461, 0.459], [0.43] * 3, model={"patch_size": size}) for size in (2, 4, 8)]
    records = [record for size in (4, 8) for record in both([0.46, 0.461, 0.459], [0.44] * 3, {"patch_size": size})]
    mine = [of_a_file(samples.step_time("vit", n, 1e-5 * n), name) for name in "abc" for n in (64, 256)]
    steps = [
        samples.step_time(variant, n, 1e-5 * n, scope=scope)
        for variant in ("eanet", "vit")
        for scope in ("core", "model")
        for n in (64, 256)
    ]
    budget = [record for records, _ in usual for record in records], usual[0][1]
    said = lines(find(run_of(*steps, *mine, accuracy=records, budget=budget)))
    assert len(said) == 20
    assert max(map(len, said)) <= 100
    assert sum(line.startswith(("a: ", "b: ", "c: ")) for line in said) < 3


def test_a_short_training_of_the_usual_vit_is_not_in_the_lead():
    records, plan = beside_the_usual_vit([0.46, 0.461, 0.459], [0.43] * 3, epochs=3)
    assert "key_dim 16" not in find(run_of(rivals=(records, plan))).lead


def test_the_usual_vit_at_the_tutorials_patches_is_no_claim_of_the_tutorials():
    records, plan = beside_the_usual_vit([0.44, 0.441, 0.442], [0.40, 0.401, 0.402], model={})
    claims = claims_of(budget=(records, plan))
    assert claims["accuracy"].verdict == "not tested"
    assert claims[AGAINST_USUAL].verdict == "supported"


@pytest.mark.parametrize(
    ("vit", "recipe", "said"),
    [({"key_dim": 16}, {}, "key_dim 16"), ({}, {"augmentation": "none"}, "augmentation none")],
    ids=["another ViT", "another recipe"],
)
def test_a_departure_of_either_side_tests_nothing(vit, recipe, said):
    model = {"attention": ATTENTIONS["vit"] | {"attention_dropout": 0.2} | vit}
    records = [*trained([0.43, 0.44, 0.45]), *trained([0.40, 0.41, 0.42], "vit", model=model)]
    claim = claims_of(*(samples.altered(record, training=recipe) for record in records))["accuracy"]
    assert claim.verdict == "not tested"
    assert said in claim.evidence


def test_two_recipes_that_disagree_are_inconclusive():
    better, worse = both([0.43, 0.44, 0.45], [0.40, 0.41, 0.42]), both([0.3, 0.31, 0.32], [0.4, 0.41, 0.42])
    corrected = [samples.altered(r, training={"augmentation": "corrected"}) for r in worse]
    assert claims_of(*better, *corrected)["accuracy"].verdict == "inconclusive"


def test_a_run_without_the_tutorials_settings_says_so_in_a_sentence_with_its_logs():
    claim = claims_of(*both([0.34, 0.35, 0.36], [0.29, 0.31, 0.33], epochs=12))["accuracy"]
    assert claim.verdict == "not tested"
    assert claim.evidence.startswith("**35.0 % vs 31.0 %** on CIFAR-100 after 12 epochs: +4.0 pp [")
    assert claim.evidence.endswith(
        ", 3 seeds, better. Not the tutorial's settings (epochs 12). Its own two logs report 43.9 % and 17.3 % "
        "for EANet."
    )
    digits = claims_of(*(samples.training(variant, seed) for variant in ("eanet", "vit") for seed in range(3)))
    assert digits["accuracy"].evidence.endswith(
        "The two were not compared on CIFAR-100 (the tutorial: about 43 % vs 41 %)."
    )


def test_the_parameters_are_counted_against_the_tutorials_vit_and_the_usual_one():
    claim = claims_of()["parameters"]
    assert claim.verdict == "partly"
    assert claim.evidence == (
        "**361 k vs 623 k (58 %)**, because the tutorial's ViT heads are 4 times as wide as usual. The usual "
        "ViT (key_dim 16) has 225 k: EANet has 160 % of that."
    )


SIZES = (64, 121, 225, 400, 729, 1296, 2304, 4096)


def test_linear_cost_is_judged_by_the_growth_of_time_and_memory():
    steps = [samples.step_time("eanet", n, 1e-5 * n, p, allocated=n**2) for n in SIZES for p in range(3)]
    claims = claims_of(*steps)
    assert (claims["time"].verdict, claims["memory"].verdict) == ("supported", "contradicted")
    assert claims["time"].evidence == "Time grows as **N^1.00** from N = 729 to 4,096 (quadratic part: 0 % [0, 1])."
    assert claims["memory"].evidence == (
        "**16.0 MiB** per training step at N = 4,096, batch 2. It grows as **N^2.00** from N = 729 to 4,096 "
        "(quadratic part: 100 %)."
    )
    few = claims_of(*steps[:9])
    assert few["time"].verdict == "not tested"
    assert few["time"].evidence == "Not tested: 3 sizes measured, and a fit needs 6."


def test_the_cost_is_compared_with_vits():
    steps = [
        samples.step_time(variant, n, seconds(n), p, allocated=memory(n))
        for n in SIZES
        for p in range(3)
        for variant, seconds, memory in (
            ("eanet", lambda n: 1e-5 * n, lambda n: 4096 * n),
            ("vit", lambda n: 1e-8 * n**2, lambda n: 64 * n**2),
        )
    ]
    claims = claims_of(*steps)
    assert "; ViT's as N^2.00." in claims["time"].evidence
    assert "In this run EANet's attention layer is **4.1× faster at N = 4,096**." in claims["time"].evidence
    assert claims["memory"].evidence.startswith("**16.0 MiB vs 1,024 MiB** per training step at N = 4,096, batch 2. It")
    lead = find(run_of(*steps)).lead
    assert "EANet's attention layer is **4.1× faster at N = 4,096**." in lead
    assert "The tutorial's **accuracy on CIFAR-100 at its settings was not tested**." in lead


def test_the_speed_at_the_tutorials_own_size_comes_first():
    steps = [
        samples.step_time(variant, n, seconds * n, p)
        for n in (*SIZES, 256)
        for p in range(3)
        for variant, seconds in (("eanet", 1e-5), ("vit", 2e-5 if n < 300 else 3e-5))
    ]
    found = find(run_of(*steps))
    said = "**2.0× faster at N = 256** (the tutorial's) and **3.0× faster at N = 4,096**"
    assert f"EANet's attention layer is {said}." in found.lead


def test_the_lead_says_what_was_found_of_accuracy():
    def lead(differences, base=0.9):
        return find(run_of(*pairs(differences, base))).lead

    assert lead([0.01, -0.01, 0.0]).startswith(
        "On digits we found **no significant accuracy difference** from ViT: EANet is between 2.5 pp worse and 2.5 pp"
    )
    assert lead([0.05, 0.05, 0.05]).startswith(
        "On digits, **EANet is significantly more accurate** than ViT: +5.0 pp ["
    )
    assert lead([0.05]).startswith("On digits, EANet and ViT differ by +5.0 pp: **too few seeds for a test**.")


def test_the_lead_tells_of_both_vits_on_the_tutorials_images():
    records, plan = beside_the_usual_vit([0.46, 0.461, 0.459], [0.43, 0.43, 0.43])
    of_one_seed = both([0.43], [0.41])
    at_64 = both([0.46, 0.461, 0.459], [0.44] * 3, model=PATCH_4)
    lead = find(run_of(full=of_one_seed, accuracy=at_64, budget=(records, plan))).lead
    assert lead.startswith(
        "On CIFAR-100 at N = 64, **EANet is significantly more accurate** than ViT: +2.0 pp [+1.8, +2.2] (95 % CI). "
        "On CIFAR-100 at N = 64, **EANet is significantly more accurate** than ViT (key_dim 16): +3.0 pp [+2.8, +3.2]"
    )


def test_speed_is_told_of_the_sizes_that_both_have_and_only_where_it_is_beyond_chance():
    """ViT ran out of memory above 1,296; and two that are alike, within their noise."""
    sizes = {"eanet": SIZES, "vit": SIZES[:6]}
    steps = [
        samples.step_time(v, n, (1e-5 if v == "eanet" else 2e-5) * n * (1 + 0.01 * p), p)
        for v, of in sizes.items()
        for n in of
        for p in range(3)
    ]
    assert "2.0× faster at N = 1,296" in find(run_of(*steps)).lead
    noisy = [
        samples.step_time(v, n, 1e-5 * n * (1 + 0.3 * ((p + (v == "vit")) % 3)), p)
        for v in sizes
        for n in SIZES
        for p in range(3)
    ]
    assert "**not significantly faster or slower at N = 4,096**" in find(run_of(*noisy)).lead


def test_limits_name_images_sizes_processes_and_device():
    steps = [samples.step_time("eanet", n, 1e-5 * n, p) for n in SIZES for p in range(3)]
    assert find(run_of(*pairs([0.0] * 3), *steps)).limits == [
        "360 test images of digits",
        "no GPU",
        "no fused attention kernel",
        "EANet's products in the cheaper order",
        "one learning rate for all (suite tuning)",
        "accuracy measured at N = 16",
        "speed at N = 64 to 4,096",
        "3 processes per size",
    ]


def test_the_published_logs_end_as_the_page_says():
    ends = {}
    for name in LOGS:
        log = log_epochs(name)
        assert [epoch.epoch for epoch in log] == list(range(1, 51))
        ends[name] = (log[-1].top1, log[-1].val_top1, log[-1].val_loss)
    assert ends == {"EANet, 2021 log": (0.4848, 0.4317, 2.7926), "EANet, Keras 3 log": (0.4245, 0.1778, 5.1093)}
    assert {(c.variant, c.figure) for c in CLAIMS} == {
        (variant, figure) for variant in ("eanet", "vit") for figure in ("top1", "top5", "parameters")
    }


def test_the_tutorial_profile_is_what_the_page_publishes():
    """Compares two accounts of the same page: the profile that trains it, and the settings that claims are held to."""
    from benchmarks.datasets import survey
    from benchmarks.plan import Overrides, build_plan
    from report.groups import bare

    trained = {}
    for trial in build_plan(["accuracy"], "tutorial", lambda name: survey(name, None).shape, Overrides()).trials:
        settings = {bare(name): value for name, value in trial.conditions}
        assert {name: settings.get(name, value) for name, value in SETTINGS.items()} == SETTINGS
        trained |= settings
    assert trained.keys() >= SETTINGS.keys(), "every name is one that some variant has"
