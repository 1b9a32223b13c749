"""Studies of made-up trainings: only like is averaged with like, and nothing is claimed that is not shown."""

import math

import pytest

from report import sentences, words
from report.findings import find
from report.summary import lines
from report.words import NOTHING
from results.metrics import TOP1
from results.records import PlannedVariant
from tests import samples
from tests.report.page_reader import caption, column, run_of, summaries, texts


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


def found(*records, **suites):
    return find(run_of(*records, **suites))


def only(findings):
    """The only comparison with the base variant."""
    (comparison,) = findings.studies[0].variants
    return comparison


def updated(records, **changes):
    """The records with what each change, a function of a record, gives."""
    return [r.model_copy(update={name: change(r) for name, change in changes.items()}) for r in records]


def in_processes(records, of=lambda record: f"{record.variant} {record.seed}"):
    """The records with the process that `of` names for each."""
    return updated(records, environment=lambda r: r.environment.model_copy(update={"process": of(r)}))


def slower(records, factors):
    """The records with their training step times a factor of their seed's."""
    return updated(records, train_step_seconds=lambda r: r.train_step_seconds * factors[r.seed])


def test_a_difference_is_significant_only_where_its_interval_excludes_zero():
    assert summaries(found(*pairs([0.04, 0.05, 0.06]))) == {"EANet − ViT": "+5.0 pp [+2.5, +7.5], 3 seeds, better"}
    assert summaries(found(*pairs([-0.04, -0.05, -0.06]))) == {"EANet − ViT": "−5.0 pp [−7.5, −2.5], 3 seeds, worse"}
    unclear = summaries(found(*pairs([-0.04, 0.05, 0.06])))
    assert unclear == {"EANet − ViT": "+2.3 pp [−11.3, +16.0], 3 seeds, undecided (18.0 pp detectable)"}


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_test_nothing(n):
    (said,) = summaries(found(*pairs([0.05, 0.0501][:n]))).values()
    assert said.startswith("+5.0 pp, ")
    assert said.endswith("too few seeds for a test")


def test_differences_are_paired_by_seed_and_unpaired_seeds_are_left_out():
    findings = found(*pairs([0.05, 0.05, 0.05]), samples.training("eanet", 7, top1=0.1))
    assert only(findings).difference.estimate == pytest.approx(0.05)
    assert only(findings).difference.n == 3
    assert "**95.0 % vs 90.0 %**" in findings.claims[0].evidence, "means of the same seeds"


def test_equal_accuracies_of_a_few_seeds_prove_no_difference():
    """One image of 360 apart with each of three seeds: their spread is that of the counting, and not none.

    So t is sqrt(18), and Student's two-sided p with 2 degrees of freedom is 1 - t / sqrt(2 + t^2).
    """
    one = only(found(*pairs([1 / 360] * 3)))
    assert one.p_value == pytest.approx(1 - math.sqrt(18 / 20))
    assert not one.is_significant
    assert only(found(*pairs([10 / 360] * 3))).is_significant


@pytest.mark.parametrize(
    ("process", "why"),
    [
        (lambda r: r.variant, "they come from one process each, and a test needs 3"),
        (lambda _: None, "the records do not name their processes"),
    ],
)
def test_seeds_that_share_a_process_are_one_measurement_of_its_step(process, why):
    """Five seeds of two shared processes: n is 1 on either side, and nothing is compared."""
    records = slower(in_processes(pairs([0.0] * 5), of=process), [1, 1.01, 1.02, 1.03, 1.04])
    findings = found(*records)
    assert texts(findings, "step") == ["10.2", "20.4"]
    assert "processes 1" in caption(findings)
    assert f"Training steps are not compared here: {why}." in caption(findings)


def test_the_step_is_averaged_over_processes_after_its_mean_within_each():
    """Seeds 0 and 1 share a process, whose geometric mean is 2; with 4 and 8 of the others that of all is 4."""
    records = slower(pairs([0.0] * 4)[::2], [100, 400, 400, 800])
    findings = found(*in_processes(records, of=lambda r: str(max(1, r.seed))))
    (cell,) = column(findings, "step")
    assert cell.value == pytest.approx(4000)
    assert texts(findings, "processes") == ["3"]


def test_steps_of_enough_processes_are_compared_by_welchs_test():
    findings = found(*slower(in_processes(pairs([0.0] * 3)), [0.98, 1.0, 1.02]))
    assert words.plain(only(findings).step_ratio) == "0.50 [0.48, 0.52]"
    assert only(findings).step_p_value < 0.001
    assert texts(findings, "step") == ["10.0 [9.51, 10.5]", "20.0 [19.0, 21.0]"]
    assert "processes 3" in caption(findings)
    equal = updated(in_processes(pairs([0.0] * 3)), train_step_seconds=lambda r: 0.01 + r.seed / 1e4)
    assert words.plain(only(found(*equal)).step_ratio) == "1.00 [0.98, 1.02]"
    assert only(found(*equal)).step_p_value == pytest.approx(1)


def test_a_ratio_of_steps_is_adjusted_for_all_of_the_run():
    """Alone its p is between 0.05 / 2 and 0.05 and its interval leaves out 1; beside a second ratio it is neither."""
    seconds = {"eanet": (1.09, 1.10, 1.16), "vit": (0.99, 1.0, 1.06)}
    differing = updated(in_processes(pairs([0.0] * 3)), train_step_seconds=lambda r: seconds[r.variant][r.seed])
    alone = only(found(*differing))
    assert 0.025 < alone.step_p_value <= 0.05
    equal = in_processes(pairs([0.0] * 3, training={"augmentation": "none"}))
    findings = found(*differing, *updated(equal, train_step_seconds=lambda r: 1 + r.seed / 100))
    (among,) = [c for c in findings.studies[0].variants if c.step_ratio.estimate > 1.01]
    assert among.step_p_value == pytest.approx(2 * alone.step_p_value)
    assert among.step_ratio == alone.step_ratio, "the interval stays what it is"
    assert among.step_ratio.low > 1


def test_a_step_or_memory_that_was_not_measured_is_not_shown():
    nothing = {"train_step_seconds": lambda _: None, "peak_memory_bytes": lambda _: None}
    findings = found(*updated(in_processes(pairs([0.0] * 3)), **nothing))
    assert texts(findings, "step") is None
    assert texts(findings, "memory") is None
    assert "Training steps are not compared here: a training had no step to measure." in caption(findings)


def test_memory_is_the_allocators_where_it_tells():
    records = in_processes(pairs([0.0] * 3))
    assert "peak memory 600 MiB" in caption(found(*records)), "equal ones have no interval"
    told = updated(records, device_peak_memory_bytes=lambda r: (7 + r.seed + (r.variant == "vit")) * 2**20)
    assert texts(found(*told), "memory")[0].startswith("7.96 [")


OTHER_MACHINE = [{"cpu": "Another CPU"}, {"threads": 64}, {"device": "A GPU"}, {"memory_bytes": 48 * 2**30}]


@pytest.mark.parametrize("change", OTHER_MACHINE, ids=str)
def test_seeds_of_two_machines_are_one_group_of_accuracies_and_none_of_times(change):
    there = pairs([0.0] * 3 + [0.02, 0.03], where=samples.environment(**change))[6:]
    findings = found(*in_processes([*pairs([0.01, 0.02, 0.03]), *there]))
    assert "seeds 5" in caption(findings)
    assert (only(findings).difference.n, round(only(findings).difference.estimate, 6)) == (5, 0.022)
    assert texts(findings, "step") is None, "of one machine there is none"
    assert "(seeds 0, 1, 2) and" in caption(findings)
    assert "(seeds 3, 4); accuracy belongs to no machine" in caption(findings)
    assert "the trainings are of different machines or numbers of threads." in caption(findings)


def test_a_training_that_went_on_on_another_machine_has_no_step_of_one_machine():
    first, *others = in_processes(pairs([0.0] * 3)[::2])
    elsewhere = (samples.environment(cpu="Another CPU"),)
    moved = first.model_copy(update={"interrupted_after": (1,), "interrupted_in": elsewhere})
    findings = found(moved, *others)
    assert (texts(findings, "seeds"), texts(findings, "step")) == (["3"], [NOTHING])


@pytest.mark.parametrize(
    "changes", [{"training": {"augmentation": "none"}}, {"dataset_sha256": "ef" * 32}, {"dropout": 0.5}], ids=str
)
def test_only_like_is_averaged_with_like(changes):
    findings = found(*pairs([0.01, 0.02, 0.03]), *pairs([0.11, 0.12, 0.13], base=0.5, **changes))
    assert sorted(round(c.difference.estimate, 6) for c in findings.studies[0].variants) == [0.02, 0.12]
    assert len(set(texts(findings, "variant"))) == 4, "each group has a name of its own"


OTHERWISE = [{"backend": "jax"}, {"precision": "mixed_bfloat16"}, {"devices": 2}, {"protocol": 2}]


@pytest.mark.parametrize("change", OTHERWISE, ids=str)
def test_trainings_that_were_run_otherwise_are_never_averaged(change):
    other = [samples.altered(r, **change) for r in pairs([0.1] * 3)]
    findings = found(*pairs([0.0] * 3), *other)
    assert "seeds 3" in caption(findings)
    assert sorted(round(c.difference.estimate, 6) for c in findings.studies[0].variants) == [0, 0.1], "among its own"


def test_names_tell_what_differs_and_nothing_else():
    assert texts(found(*pairs([0.0])), "variant") == ["EANet", "ViT"]
    both = found(*pairs([0.0]), *pairs([0.0], training={"augmentation": "none"}))
    assert texts(both, "variant") == [
        f"{variant} (augmentation={recipe})" for variant in ("EANet", "ViT") for recipe in ("digits", "none")
    ]


DRIFT = {"grid": ("augmentation", "weight_decay"), "base": {"augmentation": "tutorial", "weight_decay": 1e-4}}


def cell(augmentation, weight_decay, differences, base, **changes):
    """A cell of the drift grid: pairs of EANet and ViT, whose suite's grid gave them these settings."""
    settings = {"augmentation": augmentation, "weight_decay": weight_decay}
    return [samples.altered(r, grid=settings) for r in pairs(differences, base, training=settings, **changes)]


def drift(*records):
    return found(**{"tutorial-drift": (records, DRIFT)})


def test_a_grids_cells_are_compared_with_its_base_variant_by_variant():
    findings = drift(
        *cell("tutorial", 1e-4, [0.01, 0.02, 0.03], base=0.2),
        *cell("corrected", 1e-4, [0.01, 0.02, 0.03], base=0.5),
        *cell("tutorial", 0.1, [0.01, 0.02, 0.03], base=0.25),
    )
    of_grid = {"table": "table-tutorial-drift"}
    assert texts(findings, "variant", **of_grid) == ["EANet"] * 3 + ["ViT"] * 3, "the grid is no part of a name"
    assert texts(findings, "augmentation", **of_grid) == ["corrected", "tutorial", "tutorial"] * 2
    assert texts(findings, "weight_decay", **of_grid) == ["0.0001", "0.0001", "0.1"] * 2
    effects = [cell.value for cell in column(findings, "against-base", **of_grid)]
    assert effects == [pytest.approx(30), None, pytest.approx(5)] * 2
    assert len(findings.studies[0].variants) == 3, "EANet against ViT in each cell"
    said = summaries(findings, "tutorial-drift")
    corrected = "EANet, augmentation corrected, weight_decay 0.0001"
    assert said[f"{corrected} − augmentation tutorial, weight_decay 0.0001"] == (
        "+30.0 pp [+29.7, +30.3], 3 seeds, better"
    )
    assert said[f"{corrected} − ViT"].startswith("+2.0 pp")


def test_a_grids_table_tells_how_many_times_as_long_a_step_takes_as_the_bases():
    base, other = (cell(augmentation, 1e-4, [0.0] * 3, base=0.2) for augmentation in ("tutorial", "corrected"))
    records = in_processes([*base, *slower(other, [2.5] * 3)], of=lambda r: f"{r.variant} {r.seed} {r.trial.grid}")
    ratios = texts(drift(*records), "step-ratio", "table-tutorial-drift")
    assert ratios == ["2.50", NOTHING, "2.50", NOTHING], "equal ones have no interval"
    shared = drift(*in_processes(records, of=lambda r: r.variant))
    assert texts(shared, "step-ratio", "table-tutorial-drift") is None, "one process compares nothing"


def test_an_effect_is_significant_only_where_its_interval_excludes_zero():
    base, noise = (cell(augmentation, 1e-4, [0.0] * 3, base=0.2) for augmentation in ("tutorial", "corrected"))
    noise = updated(noise, metrics=lambda r: r.metrics | {"top1": r.metrics["top1"] + (-0.1, 0.0, 0.11)[r.seed]})
    effect = "EANet, augmentation corrected, weight_decay 0.0001 − augmentation tutorial, weight_decay 0.0001"
    said = summaries(drift(*base, *noise), "tutorial-drift")[effect]
    assert said.startswith("+0.3 pp")
    assert ", undecided (" in said
    assert summaries(drift(*base[:4], *noise[:4]), "tutorial-drift")[effect].endswith("too few seeds for a test")


def at_rate(rate, differences):
    return pairs(differences, training={"learning_rate": rate})


GRID = {"grid": ("learning_rate",)}


def test_what_is_significant_alone_is_not_among_many():
    """p = 0.02 alone; a family of six multiplies it by up to six."""
    values = {1.0: (0.04, 0.05, 0.075)} | {i + 2.0: (-0.1 - i / 100, 0.05, 0.06) for i in range(5)}

    def many(rates):
        return found(many=([record for rate in rates for record in at_rate(rate, values[rate])], GRID))

    alone = only(many([1.0]))
    assert alone.is_significant
    findings = many(values)
    first, *_ = findings.studies[0].variants
    assert first.p_value == pytest.approx(6 * alone.p_value)
    assert not any(comparison.is_significant for comparison in findings.studies[0].variants)
    assert first.difference == alone.difference, "the interval stays what it is"
    said = summaries(findings, "many")
    assert ", undecided: significant only before correction (" in said["EANet, learning_rate 1.0 − ViT"]
    assert ", undecided (" in said["EANet, learning_rate 2.0 − ViT"]
    values[7.0] = (0.04, 0.05)
    assert many(values).studies[0].family == 6, "what has too few seeds is not tested, and adjusts nothing"


def test_the_ablations_are_one_family_however_many_suites_they_are_in():
    shared, other = at_rate(1.0, (0.04, 0.05, 0.075)), at_rate(2.0, (-0.1, 0.05, 0.06))
    alone = only(found(one=(shared, GRID)))
    assert alone.is_significant
    findings = found(one=(shared, GRID), two=([*shared, *other], GRID))
    assert [study.family for study in findings.studies] == [2, 2], "what both suites ask for counts once"
    p_values = {c.p_value for study in findings.studies for c in study.variants if c.difference == alone.difference}
    assert p_values == {2 * alone.p_value}
    assert lines(findings)[-1].startswith("Ablations: 0 of 2 comparisons significant")
    for suite in ("one", "two"):
        assert "significant only before correction" in summaries(findings, suite)["EANet, learning_rate 1.0 − ViT"]


def test_the_comparison_of_the_published_attentions_is_a_family_of_its_own():
    """An ablation that makes it too tells the same of it, and does not count it among its own."""
    pair = at_rate(1.0, (0.04, 0.05, 0.075))
    others = [record for rate in (2.0, 3.0) for record in at_rate(rate, (-0.1, 0.05, 0.06))]
    findings = found(accuracy=pair, recipes=([*pair, *others], GRID))
    headline, ablation = findings.studies
    assert (headline.family, ablation.family) == (1, 2)
    (again,) = [c for c in ablation.variants if c.hypothesis == only(findings).hypothesis]
    assert (again.p_value, again.is_significant) == (only(findings).p_value, True)
    assert "Holm-adjusted for 2 comparisons" in caption(findings, "table-recipes")


def test_a_comparison_has_all_seeds_that_the_run_has_of_it_in_every_suite():
    few, more = (pairs([0.04, 0.05, 0.06, 0.07, 0.08][:n]) for n in (3, 5))
    one, other = (study.variants[0] for study in found(few=few, more=more).studies)
    assert (one.difference.n, one.p_value) == (5, other.p_value)


def test_a_trial_that_two_suites_asked_for_is_in_both():
    records = cell("tutorial", 1e-4, [0.01], base=0.2)
    studies = found(**{"tutorial-drift": (records, DRIFT), "accuracy": records}).studies
    assert [(study.suite, len(study.trainings), len(study.effects)) for study in studies] == [
        ("tutorial-drift", 2, 0),
        ("accuracy", 2, 0),
    ], "in the order of the plan"


def test_a_rival_in_another_cell_than_its_base_says_in_which():
    """ViT has no memory units, so that one ViT is the base of every cell."""
    records = pairs([0.04, 0.05, 0.06])[1::2]
    for units in (3, 5):
        records += [samples.altered(r, attention={"memory_units": units}) for r in pairs([0.04, 0.05, 0.06])[::2]]
    said = summaries(found(units=(records, {"grid": ("memory_units",)})), "units")
    for units in (3, 5):
        assert said[f"EANet, memory_units {units} − ViT"].endswith(", better")


def test_a_suite_that_is_not_through_says_so():
    records = pairs([0.04, 0.05, 0.06])
    ids = (*(record.trial_id for record in records), "train-still-to-come")
    assert found(accuracy=(records, {"trial_ids": ids})).studies[0].so_far == " (so far, 6 of 7 trials)"


def with_heads(heads, records):
    return [samples.altered(r, attention={"heads": heads}) for r in records]


def stopped(findings, suite="accuracy"):
    """Why what is not compared is not."""
    (study,) = [study for study in findings.studies if study.suite == suite]
    return sentences.not_compared(study.stopped)


def test_a_condition_that_stops_a_comparison_is_named_with_both_values():
    eanet, vit = pairs([0.04, 0.05, 0.06])[::2], pairs([0.0] * 3)[1::2]
    other_heads = found(*with_heads(2, eanet), *vit)
    assert stopped(other_heads) == ["EANet is not compared with ViT: its attention.heads is 2 and not 4."]
    other = [r.model_copy(update={"dataset_sha256": "ef" * 32}) for r in eanet]
    assert stopped(found(*other, *vit)) == [
        "EANet is not compared with ViT: its dataset_sha256 is efefefefefef and not abababababab."
    ]
    assert stopped(found(*eanet[:1], *vit[1:])) == [
        "EANet is not compared with ViT: they have too few seeds in common."
    ]


def test_what_stops_one_cell_of_a_grid_is_named_beside_what_was_compared():
    records = [*pairs([0.04, 0.05, 0.06]), *with_heads(2, pairs([0.02, 0.03, 0.04])[::2])]
    findings = found(heads=(records, {"grid": ("heads",), "base": {"heads": 4}}))
    assert [said.split(", ")[-1] for said in summaries(findings, "heads").values()] == ["worse", "better"]
    assert stopped(findings, "heads") == ["EANet is not compared with ViT: its attention.heads is 2 and not 4."]


def test_a_suites_own_variants_differ_in_what_the_suite_says_and_are_named_by_it():
    small = PlannedVariant(title="A small EANet", preset="eanet", settings={"heads": 2})
    records = pairs([0.04, 0.05, 0.06])
    own = [samples.altered(r, variant="small") for r in with_heads(2, records[::2])]
    findings = found(size=([*own, *records[1::2]], {"own": {"small": small}}))
    assert summaries(findings, "size")["A small EANet − ViT"].endswith(", better")
    unsaid = found(size=[*own, *records[1::2]])
    assert stopped(unsaid, "size")[0].startswith("small is not compared with ViT")


CLASSES = {"image_size": 8, "patch_size": 2, "classes": 10}


def test_trainings_at_chance_are_said_to_be_and_are_no_comparison():
    """54 of 360 are more than guessing one of 10 classes gets in all but 1 of 1,000 cases; 53 are not."""
    guessing = pairs([0.02] * 3, base=36 / 360, model=CLASSES)
    findings = found(*guessing)
    assert (only(findings).state, only(findings).p_value) == ("chance", None)
    assert findings.studies[0].family == 0
    assert summaries(findings) == {"EANet − ViT": "+2.0 pp, 3 seeds, both at chance"}
    assert [cell.note for cell in column(findings, "top-1")] == ["at chance"] * 2
    learnt = found(*pairs([0.8] * 3, base=36 / 360, model=CLASSES))
    assert only(learnt).is_significant
    assert column(learnt, "top-1")[1].note == "at chance"
    one = updated(guessing, metrics=lambda r: r.metrics | ({"top1": 0.5} if r.seed == 1 else {}))
    assert column(found(*one), "top-1")[0].note == "2 of 3 seeds at chance"


def test_a_loss_is_told_with_the_label_smoothing_that_it_holds():
    def judged(smoothing):
        return found(loss=(pairs([0.0] * 3, training={"label_smoothing": smoothing}), {"metric": "test_loss"}))

    assert judged(0.1).studies[0].metric.test_title == "test loss with label smoothing 0.1"
    assert judged(0.0).studies[0].metric.test_title == "test loss"


def test_a_suite_may_be_judged_by_its_loss():
    def loss(record):
        gain = (record.variant == "eanet") * (1 + record.seed / 10)
        return record.metrics | {"test_loss": record.metrics["test_loss"] + gain}

    (said,) = summaries(found(loss=(updated(pairs([0.0] * 3), metrics=loss), {"metric": "test_loss"})), "loss").values()
    assert said.startswith("+1.100 [")
    assert said.endswith(", worse"), "of a loss the lower one is better"


def test_nothing_at_all_gives_no_lead_and_only_the_count_of_parameters():
    findings = found()
    assert [claim.verdict for claim in findings.claims] == ["not tested", "partly", "not tested", "not tested"]


def tuned(val, without=0, **failed):
    """EANet and ViT at two learning rates; `val` gives the validation accuracy by variant, rate and seed. `without` so
    many of the trainings, which have not run, or `failed`."""
    records = []
    for rate, top1 in ((1.0, 0.8), (2.0, 0.9)):
        for record in at_rate(rate, [0.01, 0.02, 0.03]):
            last = record.epochs[-1].model_copy(update={"val_top1": val(record.variant, rate, record.seed)})
            metrics = record.metrics | {"top1": top1 + record.metrics["top1"] - 0.9}
            changed = record.model_copy(update={"epochs": (record.epochs[0], last), "metrics": metrics})
            records.append(samples.altered(changed, grid={"learning_rate": rate}))
    ids = tuple(record.trial_id for record in records)
    failure = samples.failure(**failed)
    gone = [failure.model_copy(update={"trial_id": r.trial_id, "trial": r.trial}) for r in records[:without]]
    return found(*(gone if failed else ()), tuning=(records[without:], GRID | {"tuned": True, "trial_ids": ids}))


def test_a_tuned_suite_compares_what_each_seed_chose_by_validation_whatever_the_test_says():
    findings = tuned(lambda variant, rate, seed: rate / 10 if variant == "eanet" or seed else 1 - rate / 10)
    (study,) = findings.studies
    (comparison,) = study.variants
    assert comparison.label == "EANet, tuned − ViT, tuned"
    assert not [limit for limit in findings.limits if "one learning rate" in limit]
    assert study.family == 1, "the cells are not compared one by one"
    assert sorted(comparison.base.by_seed(TOP1).values()) == pytest.approx([0.8, 0.9, 0.9])
    assert comparison.difference.estimate == pytest.approx((0.01 + 0.02 + 0.03 + 0.1) / 3)
    assert texts(findings, "learning_rate", "table-tuning")[:2] == ["2.0 (3)", "1.0 (1), 2.0 (2)"]
    assert texts(findings, "variant", "table-tuning")[:2] == ["EANet, tuned", "ViT, tuned"]


@pytest.mark.parametrize(
    ("failed", "compared"), [({}, 0), ({"status": "timeout"}, 0), ({"status": "diverged"}, 1), ({"status": "oom"}, 0)]
)
def test_a_tuned_suite_compares_nothing_before_each_seed_has_its_whole_choice(failed, compared):
    """A rate at which a training diverges is a choice that is not taken."""
    (study,) = tuned(lambda *_: 0.5, without=1, **failed).studies
    assert len(study.variants) == compared
    assert not study.effects
    assert not study.stopped
