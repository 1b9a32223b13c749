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


def test_a_difference_is_significant_only_where_its_interval_excludes_zero():
    shown = find(run(pairs([0.04, 0.05, 0.06])))
    assert (
        "Accuracy: EANet is significantly more accurate (95.0 % [91.8, 97.0], +5.0 pp [+2.5, +7.5], n = 3 pairs of "
        "seeds), compared with ViT (90.0 % [89.8, 90.2] test top-1) on digits (360 test images, 2 epochs)."
        in sentences(shown)
    )
    opposite = find(run(pairs([-0.04, -0.05, -0.06])))
    assert "EANet is significantly less accurate (85.0 % [82.3, 87.3], -5.0 pp" in sentences(opposite)
    unclear = find(run(pairs([-0.04, 0.05, 0.06])))
    assert "not significant: EANet (+2.3 pp [-11.3, +16.0], n = 3" in sentences(unclear)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_test_nothing(n):
    found = find(run(pairs([0.05, 0.0501][:n])))
    assert "too few seeds for a test: EANet" in sentences(found)
    assert "more accurate" not in sentences(found)


def test_differences_are_paired_by_seed_and_unpaired_seeds_are_left_out():
    records = [*pairs([0.05, 0.05, 0.05]), samples.training("eanet", 7, top1=0.1)]
    (comparison,) = find(run(records)).studies[0].variants
    assert comparison.difference.estimate == pytest.approx(0.05)
    assert comparison.difference.n == 3
    assert "EANet is significantly more accurate (95.0 % [94.8, 95.2]" in sentences(find(run(records))), (
        "means of the same seeds"
    )


def in_processes(records, of=lambda record: f"{record.variant} {record.seed}"):
    """The records with the process that `of` names for each."""
    return [
        record.model_copy(update={"environment": record.environment.model_copy(update={"process": of(record)})})
        for record in records
    ]


def slower(records, factors):
    """The records with their training step times a factor of their seed's."""
    return [r.model_copy(update={"train_step_seconds": r.train_step_seconds * factors[r.seed]}) for r in records]


def step_of(findings):
    """The column "training step" of the suite's table, row by row, and its caption."""
    table = page_tables.tables(findings)["table-accuracy"]
    place = [column.key for column in table.columns].index("step")
    return [row[place].text for row in table.rows], table.caption


def test_seeds_that_share_a_process_are_one_measurement_of_its_step():
    """Five seeds of two shared processes: n is 1 on either side, and nothing is compared."""
    records = slower(in_processes(pairs([0.0] * 5), of=lambda r: r.variant), [1, 1.01, 1.02, 1.03, 1.04])
    unnamed = in_processes(records, of=lambda _: None)
    ways = (
        (records, "one process a row", "they come from one process each, fewer than 3"),
        (unnamed, "records that do not name their processes", "their records do not name their processes"),
    )
    for shared, where, why in ways:
        found = find(run(shared))
        (comparison,) = found.studies[0].variants
        assert [len(side.seconds_by_process) for side in (comparison.ours, comparison.base)] == [1, 1]
        assert (comparison.step_ratio.low, comparison.step_p_value) == (None, None)
        texts, caption = step_of(found)
        assert texts == ["10.2", "20.4"]
        assert f"Training step and peak memory are of {where}." in caption
        said = list(accuracy_answers.cost_sentences(found.studies[0], timed_elsewhere=True))
        assert said == [
            "At 16 patches EANet has 0.50 times the parameters of ViT and 0.75 times its multiply-adds.",
            f"Training steps are not compared here: {why}; step times of fresh processes are under Cost and growth.",
        ]


def test_the_step_is_averaged_over_processes_after_its_mean_within_each():
    """Seeds 0 and 1 share a process, whose geometric mean is 2; with 4 and 8 of the others that of all is 4."""
    records = slower(pairs([0.0] * 4)[::2], [100, 400, 400, 800])
    (training,) = find(run(in_processes(records, of=lambda r: str(max(1, r.seed))))).studies[0].trainings
    assert training.seconds_by_process == pytest.approx((2.0, 4.0, 8.0))
    assert (training.step_seconds.estimate, training.step_seconds.n) == (pytest.approx(4.0), 3)


def test_steps_of_enough_processes_are_compared_by_welchs_test():
    records = slower(in_processes(pairs([0.0] * 3)), [0.98, 1.0, 1.02])
    (study,) = find(run(records)).studies
    (said,) = accuracy_answers.cost_sentences(study)
    assert (
        "its training step takes 0.50 [0.48, 0.52] times as long (n = 3 processes, significant, Holm-adjusted" in said
    )
    texts, caption = step_of(find(run(records)))
    assert texts == ["10.0 [9.51, 10.5]", "20.0 [19.0, 21.0]"]
    assert "geometric mean over 3 processes a row, with an interval from 3 on" in caption
    equal = [r.model_copy(update={"train_step_seconds": 0.01 + r.seed / 1e4}) for r in records]
    (said,) = accuracy_answers.cost_sentences(find(run(equal)).studies[0])
    assert "1.00 [0.98, 1.02] times as long (n = 3 processes, not significant, Holm-adjusted p = 1.00)" in said


def test_a_ratio_of_steps_is_adjusted_for_all_of_the_run():
    """Alone its p is between 0.05 / 2 and 0.05 and its interval leaves out 1; beside a second ratio it is neither."""
    seconds = {"eanet": (1.09, 1.10, 1.16), "vit": (0.99, 1.0, 1.06)}
    differing = [
        r.model_copy(update={"train_step_seconds": seconds[r.variant][r.seed]}) for r in in_processes(pairs([0.0] * 3))
    ]
    (alone,) = find(run(differing)).studies[0].variants
    assert 0.025 < alone.step_p_value <= 0.05
    equal = in_processes(pairs([0.0] * 3, training={"augmentation": "none"}))
    equal = [r.model_copy(update={"train_step_seconds": 1 + r.seed / 100}) for r in equal]
    (study,) = find(run([*differing, *equal])).studies
    (among,) = [c for c in study.variants if c.step_ratio.estimate > 1.01]
    assert among.step_p_value == pytest.approx(2 * alone.step_p_value)
    assert among.step_ratio == alone.step_ratio, "the interval stays what it is"
    assert among.step_ratio.low > 1
    (said, _) = accuracy_answers.cost_sentences(study)
    assert "times as long (n = 3 processes, not significant, Holm-adjusted p = 0.0" in said


def test_a_step_that_was_not_measured_is_shown_as_that():
    records = [r.model_copy(update={"train_step_seconds": None}) for r in in_processes(pairs([0.0] * 3))]
    found = find(run(records))
    texts, caption = step_of(found)
    assert texts == [NOTHING, NOTHING]
    assert "No training step was measured" in caption
    (_, said) = accuracy_answers.cost_sentences(found.studies[0])
    assert said == "Training steps are not compared here: a training had no step to measure."


def test_an_earlier_records_step_that_holds_a_compilation_is_not_shown():
    """One step an epoch, and too few epochs for their median to leave the first one out."""
    (record,) = pairs([0.0], training={"batch_size": 1151})[:1]
    assert record.step_seconds == 0.01, "of version 3, which leaves it out itself"
    earlier = record.model_copy(update={"schema_version": 2})
    assert earlier.step_seconds is None
    assert earlier.model_copy(update={"epochs": 2 * earlier.epochs}).step_seconds == 0.01
    assert pairs([0.0], training={"batch_size": 1149})[0].model_copy(update={"schema_version": 2}).step_seconds == 0.01


def test_memory_is_that_of_the_step_and_none_of_earlier_records():
    records = in_processes(pairs([0.0] * 3))

    def memory(records):
        table = page_tables.tables(find(run(records)))["table-accuracy"]
        places = {column.key: place for place, column in enumerate(table.columns)}
        return [row[places["memory"]].text for row in table.rows] if "memory" in places else None

    assert memory(records) == ["600", "600"], "equal ones have no interval"
    told = [r.model_copy(update={"device_peak_memory_bytes": (7 + r.seed) * 2**20}) for r in records]
    assert memory(told)[0].startswith("7.96 [")
    assert memory([r.model_copy(update={"schema_version": 2}) for r in records]) is None


OTHER_MACHINE = [{"cpu": "Another CPU"}, {"threads": 64}, {"device": "A GPU"}, {"memory_bytes": 48 * 2**30}]


@pytest.mark.parametrize("change", OTHER_MACHINE, ids=str)
def test_seeds_of_two_machines_are_one_group_of_accuracies_and_none_of_times(change):
    where = samples.environment(**change)
    records = in_processes([*pairs([0.01, 0.02, 0.03]), *pairs([0.0] * 3 + [0.02, 0.03], where=where)[6:]])
    found = find(run(records))
    (study,) = found.studies
    assert [len(training.records) for training in study.trainings] == [5, 5]
    (comparison,) = study.variants
    assert (comparison.difference.n, round(comparison.difference.estimate, 6)) == (5, 0.022)
    assert comparison.step_ratio is None
    texts, caption = step_of(found)
    assert texts == [NOTHING, NOTHING]
    assert "(seeds 0, 1, 2) and" in caption
    assert "(seeds 3, 4); accuracy belongs to no machine" in caption
    *_, said = accuracy_answers.cost_sentences(study)
    assert said == "Training steps are not compared here: they were trained on different machines."


def test_a_training_that_went_on_on_another_machine_has_no_step_of_one_machine():
    first, *others = in_processes(pairs([0.0] * 3)[::2])
    moved = first.model_copy(
        update={"interrupted_after": (1,), "interrupted_in": (samples.environment(cpu="Another CPU"),)}
    )
    (training,) = find(run([moved, *others])).studies[0].trainings
    assert len(training.records) == 3
    assert training.step_seconds is None


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"augmentation": "none"}},
        {"dataset_sha256": "ef" * 32},
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
    settings = {"augmentation": augmentation, "weight_decay": weight_decay}
    return [samples.altered(record, grid=settings) for record in pairs(differences, base, training=settings, **changes)]


def drift(records):
    """A run whose plan asked for the records in the suite `tutorial-drift`."""
    plan = DRIFT.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})
    suites = {"tutorial-drift": plan}
    return Run(None, RunPlan(profile="tutorial", command="", suites=suites), tuple(records), (), (), {})


def test_a_grids_cells_are_compared_with_its_base_variant_by_variant():
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
        "Tutorial drift: augmentation corrected is significantly more accurate "
        "(52.0 % [49.5, 54.5], +30.0 pp [+29.7, +30.3], n = 3 pairs of seeds); weight_decay 0.1 is significantly more"
    ) in said
    against = "compared with EANet, augmentation tutorial, weight_decay 0.0001 (22.0 % [19.6, 24.6] test top-1)"
    assert f"{against} on digits (360 test images, 2 epochs); " in said
    assert said.endswith("compared with ViT with the same settings, by test top-1.")
    assert "EANet with augmentation corrected and weight_decay 0.0001" in said
    (cost, _) = accuracy_answers.cost_sentences(study)
    assert "At 16 patches EANet has" in cost, "it is the same in each cell, and told once"


OTHERWISE = [{"backend": "jax"}, {"precision": "mixed_bfloat16"}, {"devices": 2}]


@pytest.mark.parametrize("change", OTHERWISE, ids=str)
def test_trainings_on_another_backend_in_another_precision_or_on_more_devices_are_never_averaged(change):
    other = [samples.altered(r, **change) for r in pairs([0.1] * 3)]
    (study,) = find(run([*pairs([0.0] * 3), *other])).studies
    assert [len(training.records) for training in study.trainings] == [3, 3, 3, 3]
    assert sorted(round(c.difference.estimate, 6) for c in study.variants) == [0, 0.1], "each among its own"


def test_a_grids_table_tells_how_many_times_as_long_a_step_takes_as_the_bases():
    base, other = (cell(augmentation, 1e-4, [0.0] * 3, base=0.2) for augmentation in ("tutorial", "corrected"))

    def ratios(records):
        table = page_tables.tables(find(drift(records)))["table-tutorial-drift"]
        places = {column.key: place for place, column in enumerate(table.columns)}
        return [row[places["step-ratio"]].text for row in table.rows] if "step-ratio" in places else None

    records = in_processes([*base, *slower(other, [2.5] * 3)], of=lambda r: f"{r.variant} {r.seed} {r.trial.grid}")
    assert ratios(records) == ["2.50", NOTHING, "2.50", NOTHING], "equal ones have no interval"
    assert ratios(in_processes(records, of=lambda r: r.variant)) is None, "one process compares nothing"


def test_an_effect_is_significant_only_where_its_interval_excludes_zero():
    base = cell("tutorial", 1e-4, [0.0] * 3, base=0.2)
    noise = [
        record.model_copy(update={"test_top1": record.test_top1 + (-0.1, 0.0, 0.11)[record.seed]})
        for record in cell("corrected", 1e-4, [0.0] * 3, base=0.2)
    ]
    assert "not significant: augmentation corrected (+0.3 pp" in sentences(find(drift([*base, *noise])))
    few = sentences(find(drift([*base[:4], *noise[:4]])))
    assert "too few seeds for a test: augmentation corrected" in few


def test_what_is_significant_alone_is_not_among_many():
    """p = 0.02 alone; a family of six multiplies it by up to six."""
    values = {"digits": (0.04, 0.05, 0.075)} | {f"recipe{i}": (-0.1 - i / 100, 0.05, 0.06) for i in range(5)}
    plan = PlannedSuite(question="?", grid=("augmentation",), base_variant="vit", trial_ids=())

    def found(recipes):
        records = [r for recipe in recipes for r in pairs(values[recipe], training={"augmentation": recipe})]
        suites = {"many": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
        return find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {}))

    (alone,) = found(["digits"]).studies[0].variants
    assert alone.is_significant
    among = {dict(c.ours.cell)["augmentation"]: c for c in found(values).studies[0].variants}
    assert among["digits"].p_value == pytest.approx(6 * alone.p_value)
    assert not any(comparison.is_significant for comparison in among.values())
    assert among["digits"].difference == alone.difference, "the interval stays what it is"
    (study,) = found(values).studies
    (said,) = accuracy_answers.sentences(study)
    assert "significant only before correction for 6 comparisons: EANet with augmentation digits (+5.5 p" in said
    assert "not significant: EANet with augmentation recipe0 (+" in said
    in_short = sentences(found(values))
    assert "comparisons: EANet with augmentation digits (+5.5 pp [" in in_short
    assert "not significant: EANet with augmentation recipe" in in_short
    assert in_short.count("pp [") == 2, "of many that are not significant the largest is told"
    assert " and 4 that differ less" in in_short
    values["few"] = (0.04, 0.05)
    assert found(values).studies[0].family == 6, "what has too few seeds is not tested, and adjusts nothing"


def test_equal_accuracies_of_a_few_seeds_prove_no_difference():
    """One image of 360 apart with each of three seeds: their spread is that of the counting, and not none.

    So t is sqrt(18), and Student's two-sided p with 2 degrees of freedom is 1 - t / sqrt(2 + t^2).
    """
    (one,) = find(run(pairs([1 / 360] * 3))).studies[0].variants
    assert one.p_value == pytest.approx(1 - math.sqrt(18 / 20))
    assert not one.is_significant
    (many,) = find(run(pairs([10 / 360] * 3))).studies[0].variants
    assert many.is_significant


def test_a_rival_in_another_cell_than_its_base_says_in_which():
    """ViT has no memory units, so that one ViT is the base of every cell."""
    plan = PlannedSuite(question="?", grid=("memory_units",), trial_ids=())
    records = pairs([0.04, 0.05, 0.06])[1::2]
    for units in (3, 5):
        records += [samples.altered(r, attention={"memory_units": units}) for r in pairs([0.04, 0.05, 0.06])[::2]]
    suites = {"units": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
    said = sentences(find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {})))
    assert "EANet with memory_units 3 is significantly more accurate" in said
    assert "EANet with memory_units 5 is significantly more accurate" in said


def test_a_suite_that_is_not_through_says_so():
    records = pairs([0.04, 0.05, 0.06])
    planned = PlannedSuite(question="?", trial_ids=(*(record.trial_id for record in records), "train-still-to-come"))
    plan = RunPlan(profile="", command="", suites={"accuracy": planned})
    said = sentences(find(Run(None, plan, tuple(records), (), (), {})))
    assert said.startswith("Accuracy (so far, 6 of 7 trials): EANet is significantly more accurate")


def test_what_has_no_base_is_told_alone():
    (answer,) = find(run(pairs([0.04, 0.05])[::2])).answers[-1:]
    assert str(answer) == (
        "Accuracy: on digits (360 test images, 2 epochs), the test top-1 of EANet is 94.5 % [83.5, 98.3] (n = 2); "
        "there is nothing here to compare it with."
    )


def test_a_suites_own_variants_differ_in_what_the_suite_says_and_are_named_by_it():
    small = PlannedVariant(title="A small EANet", preset="eanet", settings={"heads": 2})
    records = []
    for record in pairs([0.04, 0.05, 0.06]):
        ours = record.variant == "eanet"
        changes = {"variant": "small", "attention": {"heads": 2}} if ours else {"attention": {"heads": 4}}
        records.append(samples.altered(record, **changes))
    ids = tuple(record.trial_id for record in records)
    own, unsaid = (PlannedSuite(question="?", own=own, trial_ids=ids) for own in ({"small": small}, {}))

    def found(plan):
        return find(Run(None, RunPlan(profile="", command="", suites={"size": plan}), tuple(records), (), (), {}))

    assert "A small EANet is significantly more accurate" in sentences(found(own))
    assert found(unsaid).studies[0].variants == (), "who differs in more than the attention is no rival"


def planned(**suites):
    """A run with the records of each suite; a trial that two of them ask for is there once."""
    plans = {
        name: PlannedSuite(question="?", trial_ids=tuple(record.trial_id for record in records), **settings)
        for name, (records, settings) in suites.items()
    }
    records = {record.trial_id: record for records, _ in suites.values() for record in records}
    return Run(None, RunPlan(profile="", command="", suites=plans), tuple(records.values()), (), (), {})


def recipe(name, differences):
    return pairs(differences, training={"augmentation": name})


GRID = {"grid": ("augmentation",)}


def test_the_ablations_are_one_family_however_many_suites_they_are_in():
    """The same difference has the same p in its own suite's sentence and in that of all, which counts it once."""
    shared, other = recipe("none", (0.04, 0.05, 0.075)), recipe("other", (-0.1, 0.05, 0.06))
    (alone,) = find(planned(one=(shared, GRID))).studies[0].variants
    assert alone.is_significant
    found = find(planned(one=(shared, GRID), two=([*shared, *other], GRID))).studies
    assert [study.family for study in found] == [2, 2], "what both suites ask for counts once"
    p_values = {c.p_value for study in found for c in study.variants if c.difference == alone.difference}
    assert p_values == {2 * alone.p_value}
    told = str(accuracy_answers.which_parts(found))
    assert told.startswith(
        "Which parts matter: 0 of 2 differences in 2 suites, after 2 epochs, are significant (paired t-test, "
        "p <= 0.05 after Holm's adjustment for all 2); 1 significant only before correction; 1 not significant."
    )
    for study in found:
        (said,) = accuracy_answers.sentences(study)
        assert "significant only before correction for 2 comparisons: EANet with augmentation none" in said


def test_the_comparison_of_the_published_attentions_is_a_family_of_its_own():
    """An ablation that makes it too tells the same of it, and does not count it among its own."""
    pair = recipe("digits", (0.04, 0.05, 0.075))
    others = [record for name in ("one", "two") for record in recipe(name, (-0.1, 0.05, 0.06))]
    headline, ablation = find(planned(accuracy=(pair, {}), recipes=([*pair, *others], GRID))).studies
    (alone,) = headline.variants
    assert (headline.family, ablation.family) == (1, 2)
    (again,) = [c for c in ablation.variants if c.of_pair]
    assert (again.p_value, again.is_significant) == (alone.p_value, True)
    told = str(accuracy_answers.which_parts([ablation]))
    assert "0 of 2 differences" in told
    caption = page_tables.tables(find(planned(accuracy=(pair, {}), recipes=([*pair, *others], GRID))))[
        "table-recipes"
    ].caption
    assert (
        "comparisons of the run's ablations; what a suite of the two published attentions alone compares too is"
        in caption
    )
    caption = page_tables.tables(find(planned(recipes=(others, GRID))))["table-recipes"].caption
    assert "adjusted by Holm's method for the 2 comparisons of the run's ablations." in caption


def test_a_comparison_has_all_seeds_that_the_run_has_of_it_in_every_suite():
    few, more = (pairs([0.04, 0.05, 0.06, 0.07, 0.08][:n]) for n in (3, 5))
    found = find(planned(few=(few, {}), more=(more, {}))).studies
    assert [study.variants[0].difference.n for study in found] == [5, 5]
    assert found[0].variants[0].p_value == found[1].variants[0].p_value


def test_the_sentence_of_all_ablations_names_their_epochs():
    short = pairs([0.04, 0.05, 0.06], training={"augmentation": "none"})
    longer = [
        samples.altered(r, training={"epochs": 6}).model_copy(update={"epochs": 3 * r.epochs})
        for r in recipe("other", (0.04, 0.05, 0.06))
    ]
    found = find(planned(one=(short, GRID), two=(longer, GRID))).studies
    assert "in 2 suites, after 2 to 6 epochs, are significant" in str(accuracy_answers.which_parts(found))


CLASSES = {"image_size": 8, "patch_size": 2, "classes": 10, "attention": {"kind": "identity"}}


def test_trainings_at_chance_are_said_to_be_and_are_no_comparison():
    """54 of 360 are more than guessing one of 10 classes gets in all but 1 of 1,000 cases; 53 are not."""
    guessing = pairs([0.02] * 3, base=36 / 360, model=CLASSES)
    found = find(run(guessing))
    (comparison,) = found.studies[0].variants
    assert (comparison.state, comparison.p_value) == ("chance", None)
    assert found.studies[0].family == 0
    assert (
        "Accuracy: both at chance, no better than guessing: EANet (+2.0 pp [+1.7, +2.3], n = 3 pairs of seeds, "
        "at chance), compared with ViT (10.0 % [9.8, 10.2] test top-1, at chance)" in sentences(found)
    )
    rows = page_tables.tables(found)["table-accuracy"].rows
    assert [next(cell.note for cell in row if "[" in cell.text) for row in rows] == ["at chance"] * 2
    learnt = find(run(pairs([0.8] * 3, base=36 / 360, model=CLASSES)))
    assert "EANet is significantly more accurate" in sentences(learnt)
    assert "compared with ViT (10.0 % [9.8, 10.2] test top-1, at chance)" in sentences(learnt)
    one = [r.model_copy(update={"test_top1": 0.5}) if r.seed == 1 else r for r in guessing]
    (mixed,) = find(run(one)).studies[0].variants
    assert (mixed.ours.at_chance, mixed.state) == ("2 of 3 seeds at chance", "none")
    assert find(run(pairs([0.02] * 3, base=0.1))).studies[0].variants[0].state != "chance", "of unknown classes"


def test_a_loss_is_told_with_the_label_smoothing_that_it_holds():
    smoothed = pairs([0.0] * 3, training={"label_smoothing": 0.1})
    table = page_tables.tables(find(planned(loss=(smoothed, {"metric": "test_loss"}))))["table-loss"]
    assert "test loss with label smoothing 0.1" in [column.head for column in table.columns]
    said = sentences(find(planned(loss=(smoothed, {"metric": "test_loss"}))))
    assert "compared with ViT (0.50 test loss with label smoothing 0.1)" in said
    plain = pairs([0.0] * 3, training={"label_smoothing": 0.0})
    assert "compared with ViT (0.50 test loss)" in sentences(find(planned(loss=(plain, {"metric": "test_loss"}))))


def test_a_suite_may_be_judged_by_its_loss():
    plan = PlannedSuite(question="?", metric="test_loss", trial_ids=())
    records = [
        record.model_copy(update={"test_loss": record.test_loss + (record.variant == "eanet") * (1 + record.seed / 10)})
        for record in pairs([0.0, 0.0, 0.0])
    ]
    suites = {"loss": plan.model_copy(update={"trial_ids": tuple(record.trial_id for record in records)})}
    found = find(Run(None, RunPlan(profile="", command="", suites=suites), tuple(records), (), (), {}))
    assert "EANet is significantly of higher loss (1.60 [" in sentences(found)
    assert "compared with ViT (0.50 test loss) on digits" in sentences(found)
    assert "+1.100 [" in sentences(found)


def test_results_of_different_protocols_are_not_averaged_together():
    old = pairs([0.01, 0.02, 0.03])  # of protocol 3
    new = [samples.altered(r, protocol=2) for r in old]
    (study,) = find(run([*old, *new])).studies
    assert {training.label: len(training.records) for training in study.trainings} == {
        f"{variant} (protocol={protocol})": 3 for variant in ("eanet", "vit") for protocol in (2, 3)
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
