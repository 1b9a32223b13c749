"""Studies of made-up trainings: only like is averaged with like, and nothing is claimed that is not shown."""

import math

import pytest

from report import accuracy_answers, page_tables
from report.findings import find
from report.table import NOTHING
from results.records import PlannedSuite, PlannedVariant, RunPlan
from results.store import Run
from tests import samples


def run(trainings=(), step_times=(), failures=()):
    return Run(None, None, tuple(trainings), tuple(step_times), tuple(failures), {})


def sentences(findings):
    return " ".join(map(str, findings.answers))


def pairs(differences, base=0.9, **changes):
    """EANet and ViT trainings whose top-1 differ by `differences`, seed by seed."""
    return [
        record
        for seed, difference in enumerate(differences)
        for record in (
            samples.training("eanet", seed, top1=base + difference, step=0.01, **changes),
            samples.training("vit", seed, top1=base, step=0.02, **changes),
        )
    ]


def test_a_difference_is_claimed_only_where_its_interval_excludes_zero():
    shown = find(run(pairs([0.04, 0.05, 0.06])))
    assert (
        "Accuracy: EANet is more accurate (95.0 % [92.5, 97.5], +5.0 points [+2.5, +7.5], n = 3 pairs of seeds), "
        "held against ViT (90.0 % [89.8, 90.2] test top-1) on digits (360 test images, 2 epochs)." in sentences(shown)
    )
    opposite = find(run(pairs([-0.04, -0.05, -0.06])))
    assert "EANet is less accurate (85.0 % [82.5, 87.5], -5.0 points" in sentences(opposite)
    unclear = find(run(pairs([-0.04, 0.05, 0.06])))
    assert "no difference shown for EANet (+2.3 points [-11.3, +16.0], n = 3" in sentences(unclear)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_claim_nothing(n):
    found = find(run(pairs([0.05, 0.0501][:n])))
    assert "too few seeds to claim a difference for EANet" in sentences(found)
    assert "more accurate" not in sentences(found)
    (cost,) = accuracy_answers.cost_sentences(found.studies[0])
    assert f"in too few runs (n = {n}) to claim it" in cost


def test_differences_are_paired_by_seed_and_unpaired_seeds_are_left_out():
    records = [*pairs([0.05, 0.05, 0.05]), samples.training("eanet", 7, top1=0.1)]
    (comparison,) = find(run(records)).studies[0].variants
    assert comparison.difference.estimate == pytest.approx(0.05)
    assert comparison.difference.n == 3
    assert "EANet is more accurate (95.0 % [94.8, 95.2]" in sentences(find(run(records))), "means of the same seeds"


def test_step_ratio_is_the_mean_of_the_ratios_logarithms():
    (comparison,) = find(run(pairs([0, 0, 0]))).studies[0].variants
    assert comparison.step_ratio.estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"augmentation": "none"}},
        {"dataset_sha256": "ef" * 32},
        {"where": samples.environment(cpu="Another CPU")},
        {"where": samples.environment(threads=64)},
        {"dropout": 0.5},
    ],
    ids=str,
)
def test_only_like_is_averaged_with_like(changes):
    records = [*pairs([0.01, 0.02, 0.03]), *pairs([0.11, 0.12, 0.13], base=0.5, **changes)]
    (study,) = find(run(records)).studies
    assert len(study.trainings) == 4
    assert sorted(round(c.difference.estimate, 6) for c in study.variants) == [0.02, 0.12]
    assert len({training.label for training in study.trainings}) == 4, "each group has a name of its own"


def test_labels_name_what_differs_and_nothing_else():
    records = [*pairs([0.0]), *pairs([0.0], training={"augmentation": "none"})]
    labels = {training.label for training in find(run(records)).studies[0].trainings}
    assert labels == {
        f"{variant} (augmentation={recipe})" for variant in ("eanet", "vit") for recipe in ("digits", "none")
    }
    assert {training.label for training in find(run(pairs([0.0]))).studies[0].trainings} == {"eanet", "vit"}


DRIFT = PlannedSuite(
    question="What drifted?",
    grid=("augmentation", "weight_decay"),
    base={"augmentation": "tutorial", "weight_decay": 1e-4},
    trial_ids=(),
)


def cell(augmentation, weight_decay, differences, base, **changes):
    """A cell of the drift grid: pairs of EANet and ViT, whose suite's grid gave them these settings."""
    return [
        record.model_copy(update={"settings": record.settings | {"grid": record.settings["training"]}})
        for record in pairs(
            differences, base, training={"augmentation": augmentation, "weight_decay": weight_decay}, **changes
        )
    ]


def drift(records):
    """A run whose plan asked for the records in the suite `tutorial-drift`."""
    plan = DRIFT.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})
    suites = {"tutorial-drift": plan}
    return Run(None, RunPlan(profile="tutorial", command="", suites=suites), tuple(records), (), (), {})


def test_a_grids_cells_are_held_against_its_base_variant_by_variant():
    records = [
        *cell("tutorial", 1e-4, [0.01, 0.02, 0.03], base=0.2),
        *cell("corrected", 1e-4, [0.01, 0.02, 0.03], base=0.5),
        *cell("tutorial", 0.1, [0.01, 0.02, 0.03], base=0.25),
    ]
    (study,) = find(drift(records)).studies
    assert {training.label for training in study.trainings} == {"eanet", "vit"}, "the grid is no part of a name"
    effects = {(e.ours.variant, e.ours.cell): round(e.difference.estimate, 6) for e in study.effects}
    corrected = (("augmentation", "corrected"), ("weight_decay", "0.0001"))
    decayed = (("augmentation", "tutorial"), ("weight_decay", "0.1"))
    assert effects == {
        ("eanet", corrected): 0.3, ("vit", corrected): 0.3, ("eanet", decayed): 0.05, ("vit", decayed): 0.05
    }  # fmt: skip
    assert {dict(e.base.cell)["augmentation"] for e in study.effects} == {"tutorial"}
    assert len(study.variants) == 3, "EANet against ViT in each cell"
    said = sentences(find(drift(records)))
    assert (
        "Tutorial drift: augmentation corrected is more accurate "
        "(52.0 % [49.5, 54.5], +30.0 points [+29.7, +30.3], n = 3 pairs of seeds); weight_decay 0.1 is more accurate"
    ) in said
    against = "held against EANet, augmentation tutorial, weight_decay 0.0001 (22.0 % [19.5, 24.5] test top-1)"
    assert f"{against} on digits (360 test images, 2 epochs); " in said
    assert said.endswith("held against ViT with the same settings, by test top-1.")
    assert "EANet with augmentation corrected and weight_decay 0.0001" in said
    (cost,) = accuracy_answers.cost_sentences(study)
    assert "At 16 patches EANet has" in cost, "it is the same in each cell, and told once"


OTHERWISE = [{"backend": "jax"}, {"precision": "mixed_bfloat16"}, {"devices": 2}]


@pytest.mark.parametrize("change", OTHERWISE, ids=str)
def test_trainings_on_another_backend_in_another_precision_or_on_more_devices_are_never_averaged(change):
    other = [r.model_copy(update={"settings": r.settings | change}) for r in pairs([0.1] * 3)]
    (study,) = find(run([*pairs([0.0] * 3), *other])).studies
    assert [len(training.records) for training in study.trainings] == [3, 3, 3, 3]
    assert sorted(round(c.difference.estimate, 6) for c in study.variants) == [0, 0.1], "each among its own"


def test_a_grids_table_tells_how_many_times_as_long_a_step_takes_as_the_bases():
    base, other = (cell(augmentation, 1e-4, [0.0] * 3, base=0.2) for augmentation in ("tutorial", "corrected"))
    slower = [r.model_copy(update={"train_step_seconds": 2.5 * r.train_step_seconds}) for r in other]
    records = [*base, *slower]
    table = page_tables.tables(find(drift(records)))["table-tutorial-drift"]
    place = [column.key for column in table.columns].index("step-ratio")
    assert [row[place].text for row in table.rows] == ["2.50", NOTHING, "2.50", NOTHING]


def test_an_effect_is_claimed_only_where_its_interval_excludes_zero():
    base = cell("tutorial", 1e-4, [0.0] * 3, base=0.2)
    noise = [
        record.model_copy(update={"test_top1": record.test_top1 + (-0.1, 0.0, 0.11)[record.seed]})
        for record in cell("corrected", 1e-4, [0.0] * 3, base=0.2)
    ]
    assert "no difference shown for augmentation corrected (+0.3 points" in sentences(find(drift([*base, *noise])))
    few = sentences(find(drift([*base[:4], *noise[:4]])))
    assert "too few seeds to claim a difference for augmentation corrected" in few


def test_what_one_comparison_would_claim_is_not_claimed_among_many():
    """p = 0.02 alone; a family of six multiplies it by up to six."""
    values = {"digits": (0.04, 0.05, 0.075)} | {f"recipe{i}": (-0.1 - i / 100, 0.05, 0.06) for i in range(5)}
    plan = PlannedSuite(question="?", grid=("augmentation",), base_variant="vit", trial_ids=())

    def found(recipes):
        records = [r for recipe in recipes for r in pairs(values[recipe], training={"augmentation": recipe})]
        suites = {"many": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
        return find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {}))

    (alone,) = found(["digits"]).studies[0].variants
    assert alone.shown
    among = {dict(c.ours.cell)["augmentation"]: c for c in found(values).studies[0].variants}
    assert among["digits"].p_value == pytest.approx(6 * alone.p_value)
    assert not any(comparison.shown for comparison in among.values())
    assert among["digits"].difference == alone.difference, "the interval stays what it is"
    (study,) = found(values).studies
    (said,) = accuracy_answers.sentences(study)
    assert (
        "shown alone, but not among the 6 differences of this suite, for EANet with augmentation digits (+5.5 p" in said
    )
    assert "no difference shown for EANet with augmentation recipe0 (+" in said
    in_short = sentences(found(values))
    assert "for EANet with augmentation digits (+5.5 points [" in in_short
    assert "no difference shown for EANet with augmentation recipe" in in_short
    assert in_short.count("points [") == 2, "of many that are not claimed the largest is told"
    assert " and 4 others that differ less" in in_short
    values["few"] = (0.04, 0.05)
    assert found(values).studies[0].family == 6, "what has too few seeds is not tested, and adjusts nothing"


def test_equal_accuracies_of_a_few_seeds_prove_no_difference():
    """One image of 360 apart with each of three seeds: their spread is that of the counting, and not none.

    So t is sqrt(18), and Student's two-sided p with 2 degrees of freedom is 1 - t / sqrt(2 + t^2).
    """
    (one,) = find(run(pairs([1 / 360] * 3))).studies[0].variants
    assert one.p_value == pytest.approx(1 - math.sqrt(18 / 20))
    assert not one.shown
    (many,) = find(run(pairs([10 / 360] * 3))).studies[0].variants
    assert many.shown


def test_a_rival_in_another_cell_than_its_base_says_in_which():
    """ViT has no memory units, so that one ViT is the base of every cell."""
    plan = PlannedSuite(question="?", grid=("memory_units",), trial_ids=())
    records = pairs([0.04, 0.05, 0.06])[1::2]
    for units in (3, 5):
        for record in pairs([0.04, 0.05, 0.06])[::2]:
            attention = record.settings["model"]["attention"] | {"memory_units": units}
            settings = record.settings | {"model": record.settings["model"] | {"attention": attention}}
            records.append(record.model_copy(update={"settings": settings, "trial_id": f"{record.trial_id}-{units}"}))
    suites = {"units": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
    said = sentences(find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {})))
    assert "EANet with memory_units 3 is more accurate" in said
    assert "EANet with memory_units 5 is more accurate" in said


def test_a_suite_that_is_not_through_says_so():
    records = pairs([0.04, 0.05, 0.06])
    planned = PlannedSuite(question="?", trial_ids=(*(record.trial_id for record in records), "train-still-to-come"))
    plan = RunPlan(profile="", command="", suites={"accuracy": planned})
    said = sentences(find(Run(None, plan, tuple(records), (), (), {})))
    assert said.startswith("Accuracy (so far, 6 of 7 trials): EANet is more accurate")


def test_what_has_no_base_is_told_alone():
    (answer,) = find(run(pairs([0.04, 0.05])[::2])).answers[-1:]
    assert str(answer) == (
        "Accuracy: on digits (360 test images, 2 epochs), the test top-1 of EANet is 94.5 % [88.1, 100.9] (n = 2); "
        "there is nothing here to compare it with."
    )


def test_a_suites_own_variants_differ_in_what_the_suite_says_and_are_named_by_it():
    small = PlannedVariant(title="A small EANet", preset="eanet", settings={"heads": 2})
    records = []
    for record in pairs([0.04, 0.05, 0.06]):
        attention = record.settings["model"]["attention"] | {"heads": 2 if record.variant == "eanet" else 4}
        settings = record.settings | {"model": record.settings["model"] | {"attention": attention}}
        variant = "small" if record.variant == "eanet" else "vit"
        records.append(record.model_copy(update={"variant": variant, "settings": settings | {"variant": variant}}))
    ids = tuple(record.trial_id for record in records)
    own, unsaid = (PlannedSuite(question="?", own=own, trial_ids=ids) for own in ({"small": small}, {}))

    def found(plan):
        return find(Run(None, RunPlan(profile="", command="", suites={"size": plan}), tuple(records), (), (), {}))

    assert "A small EANet is more accurate" in sentences(found(own))
    assert found(unsaid).studies[0].variants == (), "who differs in more than the attention is no rival"


def test_a_suite_may_be_judged_by_its_loss():
    plan = PlannedSuite(question="?", metric="test_loss", trial_ids=())
    records = [
        record.model_copy(update={"test_loss": record.test_loss + (record.variant == "eanet") * (1 + record.seed / 10)})
        for record in pairs([0.0, 0.0, 0.0])
    ]
    suites = {"loss": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
    found = find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {}))
    assert "EANet is of higher loss (1.60 [" in sentences(found)
    assert "held against ViT (0.50 test loss) on digits" in sentences(found)
    assert "+1.100 [" in sentences(found)


def test_results_of_different_protocols_are_not_averaged_together():
    old = pairs([0.01, 0.02, 0.03])
    new = [r.model_copy(update={"settings": r.settings | {"protocol": 2}, "trial_id": f"{r.trial_id}-2"}) for r in old]
    (study,) = find(run([*old, *new])).studies
    assert {training.label: len(training.records) for training in study.trainings} == {
        f"{variant} (protocol={protocol})": 3 for variant in ("eanet", "vit") for protocol in (1, 2)
    }


def test_a_trial_that_two_suites_asked_for_is_in_both():
    records = cell("tutorial", 1e-4, [0.01], base=0.2)
    plan = drift(records).plan
    both = {**plan.suites, "accuracy": PlannedSuite(question="", trial_ids=plan.suites["tutorial-drift"].trial_ids)}
    run_of_both = Run(None, plan.model_copy(update={"suites": both}), tuple(records), (), (), {})
    studies = find(run_of_both).studies
    assert [(study.suite, len(study.trainings), len(study.effects)) for study in studies] == [
        ("tutorial-drift", 2, 0),
        ("accuracy", 2, 0),
    ], "in the order of the plan"


def test_nothing_at_all_gives_no_answer():
    assert find(run()).answers == ()
