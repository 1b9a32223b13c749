"""Two runs held against each other: what is claimed to have changed, what is not, and what may not be compared."""

import dataclasses
import shutil

import numpy as np
import pytest

from report.compare import CHANGED, FEW, NOT_SHOWN, SAME, Repeated, build, compare, lead
from results import store
from tests import samples
from tests.report.page_reader import run_of


def compared(now, before, name="now", other="before"):
    return compare(run_of(*now), run_of(*before), name, other)


def trained(top1, seeds=5, where=samples.ENVIRONMENT, **changes):
    """Trainings of fresh processes."""
    return [
        samples.training(
            "eanet",
            seed,
            top1=top1 + 0.003 * (seed % 3),
            where=where.model_copy(update={"process": f"{seed}"}),
            **changes,
        )
        for seed in range(seeds)
    ]


def timed(seconds, processes=3, **changes):
    noise = (0.99, 1.0, 1.01, 1.02, 0.98)
    return [samples.step_time("vit", 121, seconds * noise[p], p, **changes) for p in range(processes)]


def verdicts(now, before):
    found = compared(now, before)
    return {change.figure: change.verdict for change in found.changes}


def test_a_run_against_itself_has_no_change():
    records = [*trained(0.9), *timed(0.01)]
    found = compared(records, records)
    assert not any(change.is_change for change in found.changes)
    assert {change.figure: change.verdict for change in found.changes} == {
        "test top-1": SAME,
        "parameters": SAME,
        "multiply-adds": SAME,
        "training step": NOT_SHOWN,
        "training memory": NOT_SHOWN,
        "step": NOT_SHOWN,
        "peak memory": NOT_SHOWN,
    }
    assert found.refused == ()
    assert found.environments == ()


def test_an_accuracy_that_every_seed_lost_is_a_change_and_one_that_differs_by_chance_is_none():
    assert verdicts(trained(0.7), trained(0.9))["test top-1"] == CHANGED
    mixed = [samples.told(r, top1=0.9 + 0.02 * (-1) ** r.seed) for r in trained(0.9, seeds=4)]
    assert verdicts(mixed, trained(0.9, seeds=4))["test top-1"] == NOT_SHOWN
    assert verdicts(trained(0.7, seeds=2), trained(0.9, seeds=2))["test top-1"] == FEW


def test_trainings_that_were_repeated_are_counted_with_those_that_gave_the_same_accuracy():
    before = trained(0.9, seeds=3)
    again = [samples.told(r, top1=r.metrics["top1"] + (r.seed == 1) / 360) for r in before]
    found = compared([*again, *trained(0.9, seeds=4)[3:]], before)
    assert found.repeated == Repeated(count=3, same=2, began_the_same=3)
    said = "repeated trainings gave the same test accuracy to the image"
    began = "3 the same training loss of the first epoch to 0.001 %"
    assert lead(found).endswith(f"2 of 3 {said}, {began}.")
    assert lead(compared(before, before)).endswith(f"3 of 3 {said}.")
    other_images = [r.model_copy(update={"dataset_sha256": "ef" * 32}) for r in before]
    assert compared(other_images, before).repeated.count == 0
    assert "repeated" not in lead(compared(other_images, before))


def test_a_first_epoch_within_rounding_began_the_same_and_one_beyond_it_did_not():
    def first_loss_times(factor, record):
        first, *others = record.epochs
        return record.model_copy(update={"epochs": (first.model_copy(update={"loss": first.loss * factor}), *others)})

    before = trained(0.9, seeds=2)
    again = [first_loss_times(factor, r) for factor, r in zip((1 + 1e-6, 1 + 1e-4), before, strict=True)]
    assert compared(again, before).repeated == Repeated(count=2, same=2, began_the_same=1)


def test_the_change_is_that_from_the_other_run_to_this_one():
    found = compared(trained(0.7), trained(0.9))
    change = next(change for change in found.changes if change.figure == "test top-1")
    assert change.change.value == pytest.approx(-20)
    assert change.change.text.startswith("−20.0 pp [")
    assert (change.before.value, change.now.value) == pytest.approx((90.24, 70.24))
    assert str(change) == f"Accuracy: EANet, test top-1, {change.before.text} -> {change.now.text} %, changed"


def test_a_slower_step_is_a_change_on_the_same_machine_alone():
    assert verdicts(timed(0.012), timed(0.01))["step"] == CHANGED
    assert verdicts(timed(0.012, processes=2), timed(0.01))["step"] == FEW
    elsewhere = timed(0.01, where=samples.environment(cpu="Another CPU"))
    found = compared(timed(0.012), elsewhere)
    assert found.changes == ()
    (reason,) = found.refused
    assert "now ran on A CPU, 2 threads, 24.0 GiB; before on Another CPU, 2 threads, 24.0 GiB. A ratio" in reason
    assert ("cpu", "Another CPU", "A CPU") in found.environments


def test_a_machine_with_another_memory_is_another_machine_and_a_jit_is_told():
    larger = samples.environment(memory_bytes=2 * samples.ENVIRONMENT.memory_bytes, jit=True)
    found = compared(timed(0.012), [*timed(0.01, where=larger)])
    assert found.changes == ()
    assert "48.0 GiB" in found.refused[0]
    assert {("jit", "True", "False"), ("memory", "48.0 GiB", "24.0 GiB")} <= set(found.environments)
    nearly = samples.environment(memory_bytes=samples.ENVIRONMENT.memory_bytes - 2**20)
    assert not compared(timed(0.012), [*timed(0.01, where=nearly)]).refused


def test_of_many_steps_that_differ_by_chance_few_are_claimed():
    """40 cases of three processes each, of the same code: each on its own would be called changed in 1 of 20."""
    rng = np.random.default_rng(41)

    def steps():
        return [
            samples.step_time("vit", n, 0.01 * rng.lognormal(0, 0.03), process)
            for n in range(10, 50)
            for process in range(3)
        ]

    claimed = [c for _ in range(10) for c in compared(steps(), steps()).changes if c.is_change]
    assert len(claimed) <= 2


def test_one_case_among_many_that_takes_twice_as_long_is_a_change():
    """A hundred cases of three processes that spread by about 5.7 %, and one of them is twice as slow."""
    rng = np.random.default_rng(43)

    def steps(factor):
        return [
            samples.step_time("vit", n, 0.01 * rng.lognormal(0, 0.057) * (factor if n == 10 else 1), process)
            for n in range(10, 110)
            for process in range(3)
        ]

    found = compared(steps(2), steps(1)).changes
    assert [change.subject for change in found if change.is_change] == ["attention layer, training step, ViT, N = 10"]


def test_trainings_of_a_shared_process_tell_nothing_of_their_step():
    """Five seeds of one process a side, all of them slower: another process can look like another step."""
    one = samples.environment(process="one")
    now, before = (
        [r.model_copy(update={"environment": one, "train_step_seconds": seconds}) for r in trained(0.9)]
        for seconds in (0.022, 0.02)
    )
    assert verdicts(now, before)["training step"] == FEW
    assert verdicts(trained(0.9, step=0.022), trained(0.9, step=0.02))["training step"] == CHANGED


def test_a_training_that_two_suites_ask_for_is_one_hypothesis():
    whole = run_of(one=trained(0.9, seeds=3), two=trained(0.9, seeds=3))
    found = compare(whole, whole, "now", "before")
    assert [change.subject for change in found.changes if change.figure == "test top-1"] == ["One: EANet"]


def test_seeds_of_two_machines_are_paired_and_their_steps_are_not_compared():
    elsewhere = trained(0.9, where=samples.environment(threads=7))
    mixed = [*trained(0.9)[:3], *elsewhere[3:]]
    found = compared(mixed, trained(0.7))
    change = next(change for change in found.changes if change.figure == "test top-1")
    assert (change.verdict, change.change.text[-5:]) == (CHANGED, "n = 5")
    assert "training step" not in {change.figure for change in found.changes}
    assert "now ran on A CPU, 2 threads, 24.0 GiB and A CPU, 7 threads, 24.0 GiB; before" in found.refused[0]


def test_what_either_run_lacks_is_said_first(tmp_path, full_run):
    whole = store.load(full_run)
    half = dataclasses.replace(whole, trainings=whole.trainings[1:], broken={"lost.json": "file: Invalid JSON"})
    found = compare(whole, half, "now", "before")
    assert found.incomplete == (
        "now is not whole: 1 trial has failed.",
        "before is not whole: 1 planned trial has not run (accuracy), 1 trial has failed, 1 file cannot be read "
        "(lost.json).",
    )


def test_accuracies_of_different_machines_are_compared_and_their_steps_are_not():
    elsewhere = trained(0.9, where=samples.environment(threads=7))
    found = verdicts(trained(0.7), elsewhere)
    assert found["test top-1"] == CHANGED
    assert "training step" not in found


def test_what_one_run_alone_has_is_named_with_the_run():
    found = compared([*trained(0.9), *timed(0.01)], trained(0.9))
    (lone,) = [change for change in found.changes if "only" in change.verdict]
    assert (lone.verdict, lone.figure) == ("only in now", "step time")
    assert "N = 121" in lone.subject
    assert lone.is_change


def test_a_count_that_differs_is_a_change_however_small():
    before = [r.model_copy(update={"multiply_adds": r.multiply_adds + 1}) for r in trained(0.9)]
    found = verdicts(trained(0.9), before)
    assert found["multiply-adds"] == CHANGED
    assert found["parameters"] == SAME


def test_another_backend_is_told_as_what_differs_and_compared():
    where = samples.environment(backend="jax")
    before = [samples.altered(r, backend="jax") for r in trained(0.7, where=where)]
    found = compared(trained(0.9), before)
    assert next(c for c in found.changes if c.figure == "test top-1").verdict == CHANGED
    assert ("backend", "jax", "tensorflow") in found.environments


def test_the_page_stands_beside_the_runs_own_and_a_folder_without_results_is_an_error(tmp_path, full_run):
    other = tmp_path / "run"
    shutil.copytree(full_run, other)
    page, _ = build(full_run, other)
    assert page == full_run / f"against-{tmp_path.name}-run.html", "folders of the same name are told by their parents"
    (tmp_path / "empty").mkdir()
    with pytest.raises(store.StoreError, match="empty holds no readable result to compare"):
        build(full_run, tmp_path / "empty")


def test_trainings_are_named_by_their_suite_and_cell(tmp_path, full_run):
    loaded = store.load(full_run)
    found = compare(loaded, loaded, "a", "b")
    subjects = {change.subject for change in found.changes}
    assert "Recipes: EANet, augmentation corrected" in subjects
    assert "Accuracy: ViT" in subjects
