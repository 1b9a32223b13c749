"""The tutorial's claims: each gets the verdict that the measurement allows, and none on other settings than its own."""

import json
import zlib
from pathlib import Path

import pytest

from report.claims import hardware
from report.findings import find
from results import published
from results.published import CLAIMS, IMAGES, IMAGES_CONTENT_SHA256, IMAGES_SHA256, SETTINGS, keras3_log
from results.records import PlannedSuite, RunPlan
from results.store import Run
from tests import samples

MODEL = {"patch_size": 2, "blocks": 8, "embedding_dim": 64, "mlp_dim": 64, "mlp_dropout": 0.2}
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
        record = samples.training(variant, seed, top1=top1, suite="tutorial-drift", dataset="cifar100", **IMAGES)
        record = record.model_copy(update={"dataset_content_sha256": IMAGES_CONTENT_SHA256})
        attention = ATTENTIONS[variant] | {"attention_dropout": 0.2}
        settings = record.settings | {
            "dataset": "cifar100",
            "training": TRAINING | training,
            "model": MODEL | {"attention": attention} | (model or {}),
        }
        trial_id = f"{record.trial_id}-{zlib.crc32(str(settings).encode()):08x}"
        records.append(record.model_copy(update={"settings": settings, "trial_id": trial_id}))
    return records


def claims_of(*trainings, step_times=(), parameters=None):
    plan = RunPlan(profile="tutorial", command="", tutorial_parameters=parameters or {}, suites={})
    run = Run(None, plan, tuple(r for group in trainings for r in group), tuple(step_times), (), {})
    return {claim.claim: claim for claim in find(run).claims}


@pytest.mark.parametrize(
    ("top1s", "verdict"),
    [
        ([0.427, 0.430, 0.433], "supported"),
        ([0.170, 0.172, 0.174], "contradicted"),
        ([0.480, 0.482, 0.484], "contradicted"),
        ([0.40, 0.43, 0.46], "inconclusive: the interval is too wide"),
        ([0.43, 0.43], "inconclusive: too few seeds"),
    ],
)
def test_a_claimed_accuracy_is_supported_only_where_its_interval_lies_about_it(top1s, verdict):
    claim = claims_of(trained(top1s))["EANet, top-1"]
    assert (claim.claimed, claim.log_2021, claim.log_keras3) == ("about 43 %", "43.91 %", "17.26 %")
    (measured,) = claim.measured
    assert measured.verdict == verdict
    assert f"n = {len(top1s)}" in measured.value
    assert measured.hardware == "2 threads of A CPU, tensorflow"
    assert measured.settings == "augmentation tutorial, weight_decay 0.0001"


def test_each_recipe_has_a_verdict_of_its_own():
    as_published, corrected = trained([0.17, 0.171, 0.172]), trained([0.43, 0.431, 0.432], augmentation="corrected")
    measured = claims_of(as_published, corrected)["EANet, top-1"].measured
    assert {m.settings: m.verdict for m in measured} == {
        "augmentation tutorial, weight_decay 0.0001": "contradicted",
        "augmentation corrected, weight_decay 0.0001": "supported",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 12}, "epochs 12"),
        ({"model": {"patch_size": 4}}, "patch_size 4"),
        ({"train_share": 0.5}, "train_share 0.5"),
    ],
)
def test_other_settings_than_the_tutorials_test_nothing_of_its_claims(changes, said):
    records = trained([0.43, 0.43, 0.43], **changes)
    (measured,) = claims_of(records)["EANet, top-1"].measured
    assert measured.verdict == "not tested: not the tutorial's settings"
    assert measured.settings.endswith(said)


@pytest.mark.parametrize(("variant", "changes"), [("vit", {"key_dim": 16}), ("eanet", {"memory_sharing": "none"})])
def test_another_attention_is_another_model_of_which_nothing_is_claimed(variant, changes):
    records = trained([0.43, 0.43, 0.43], variant, model={"attention": ATTENTIONS[variant] | changes})
    (measured,) = claims_of(records)[f"{'ViT' if variant == 'vit' else 'EANet'}, top-1"].measured
    assert measured.verdict == "not tested"
    assert not measured.hardware


def test_fewer_images_than_the_tutorials_test_nothing():
    records = [r.model_copy(update={"train_images": 20_000}) for r in trained([0.43, 0.43, 0.43])]
    (measured,) = claims_of(records)["EANet, top-1"].measured
    assert measured.verdict == "not tested: not the tutorial's settings"
    assert measured.settings.endswith("train_images 20,000")


@pytest.mark.parametrize(
    ("images", "verdict"),
    [
        ({}, "supported"),
        ({"dataset_sha256": "12" * 32}, "supported"),
        ({"dataset_content_sha256": "34" * 32}, "not tested: other images"),
        ({"dataset_content_sha256": "34" * 32, "dataset_sha256": IMAGES_SHA256}, "not tested: other images"),
        ({"dataset_content_sha256": None}, "not tested: other images"),
        ({"dataset_content_sha256": None, "dataset_sha256": IMAGES_SHA256}, "supported"),
    ],
    ids=[
        "the tutorial's",
        "in another order",
        "others",
        "others",
        "an older record's",
        "an older record's known order",
    ],
)
def test_other_images_of_the_same_name_and_number_test_nothing(images, verdict):
    """Noisy labels, or a long tail, under the name of cifar100."""
    records = [record.model_copy(update=images) for record in trained([0.43, 0.43, 0.43])]
    (measured,) = claims_of(records)["EANet, top-1"].measured
    assert measured.verdict == verdict
    assert measured.settings.endswith("other images") == (verdict != "supported")


def test_the_committed_records_are_of_the_tutorials_images():
    records = Path(published.__file__).parent.glob("reference/cifar100-*/records/train-*.json")
    assert {json.loads(record.read_text())["dataset_sha256"] for record in records} == {IMAGES_SHA256}


def test_each_claim_that_was_trained_for_is_told_first():
    records = trained([0.17, 0.171, 0.172])
    plan = RunPlan(profile="tutorial", command="", suites={})
    first = find(Run(None, plan, tuple(records), (), (), {})).answers[0]
    assert first.evidence == "claims"
    assert str(first) == (
        "EANet, top-1: about 43 %, as the tutorial claims, is contradicted; here it is 17.1 % [16.9, 17.3], n = 3 with "
        "augmentation tutorial, weight_decay 0.0001; its logs say 43.91 % and 17.26 %."
    )


def test_a_kind_of_training_that_two_suites_have_is_told_once_with_all_its_seeds():
    few, all_seeds = trained([0.17, 0.171, 0.172]), trained([0.17, 0.171, 0.172, 0.173])
    suites = {
        "accuracy": PlannedSuite(question="", trial_ids=tuple(r.trial_id for r in all_seeds)),
        "tutorial-drift": PlannedSuite(question="", trial_ids=tuple(r.trial_id for r in few)),
    }
    plan = RunPlan(profile="tutorial", command="", suites=suites)
    claims = {claim.claim: claim for claim in find(Run(None, plan, tuple(all_seeds), (), (), {})).claims}
    (measured,) = claims["EANet, top-1"].measured
    assert measured.value.endswith("n = 4")


def test_what_was_not_run_is_not_tested():
    claims = claims_of(trained([0.43, 0.43, 0.43]))
    assert [m.verdict for m in claims["ViT, top-1"].measured] == ["not tested"]
    assert claims["ViT, top-1"].measured[0].value == "not measured in this run: no training on cifar100"
    assert [m.verdict for m in claims["EANet, cost"].measured] == ["not tested"]
    digits = samples.training("eanet")
    assert claims_of([digits])["EANet, top-1"].measured[0].verdict == "not tested"


def test_a_number_of_parameters_is_exact_and_supports_the_claim_where_it_rounds_to_it():
    claims = claims_of(parameters={"eanet": 361_380, "vit": 623_268})
    assert [(m.value, m.verdict) for m in claims["EANet, parameters"].measured] == [
        ("361,380, exactly", "contradicted")
    ]
    assert [(m.value, m.verdict) for m in claims["ViT, parameters"].measured] == [("623,268, exactly", "supported")]


def test_linear_cost_is_judged_by_the_growth_of_time_and_memory():
    sizes = (64, 121, 225, 400, 729, 1296, 2304, 4096)
    steps = [samples.step_time("eanet", n, 1e-5 * n, p, allocated=n**2) for n in sizes for p in range(3)]
    time, memory = claims_of(step_times=steps)["EANet, cost"].measured
    assert (time.verdict, memory.verdict) == ("supported", "contradicted")
    assert time.value.startswith("classified as linear in the number of patches")
    assert memory.settings == "The attention alone, peak memory of one training step"


def test_a_machine_is_named_by_what_computed():
    assert hardware(samples.environment(device="NVIDIA H100")) == "NVIDIA H100, tensorflow"
    assert hardware(samples.environment()) == "2 threads of A CPU, tensorflow"


def test_seeds_of_two_machines_are_one_measurement_of_a_claim():
    here, there = trained([0.427, 0.430, 0.433])[:2], trained([0.427, 0.430, 0.433])[2:]
    there = [r.model_copy(update={"environment": samples.environment(cpu="Another CPU")}) for r in there]
    (measured,) = claims_of(here, there)["EANet, top-1"].measured
    assert measured.verdict == "supported"
    assert measured.value.endswith("n = 3")
    assert measured.hardware == "2 threads of A CPU, tensorflow and 2 threads of Another CPU, tensorflow"


def test_the_published_log_ends_as_the_page_says():
    log = keras3_log()
    assert [epoch.epoch for epoch in log] == list(range(1, 51))
    assert (log[-1].top1, log[-1].val_top1, log[-1].val_loss) == (0.4245, 0.1778, 5.1093)
    assert {(c.variant, c.figure) for c in CLAIMS} == {
        (variant, figure) for variant in ("eanet", "vit") for figure in ("top1", "top5", "parameters")
    }


def test_the_tutorial_profile_is_what_the_page_publishes():
    """Compares two accounts of the same page: the profile that trains it, and the settings that claims are held to."""
    from benchmarks.datasets import shape
    from benchmarks.plan import Overrides, build_plan
    from report.conditions import bare, of

    trained = {}
    for trial in build_plan(["accuracy"], "tutorial", lambda name: shape(name, None), Overrides()).trials:
        shared = of(trial.model_dump(mode="json"), set(), samples.ENVIRONMENT, {})
        settings = {bare(name): value for name, value in shared}
        assert {name: settings.get(name, value) for name, value in SETTINGS.items()} == SETTINGS
        trained |= settings
    assert trained.keys() >= SETTINGS.keys(), "every name is one that some variant has"
