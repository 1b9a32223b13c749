"""Each class by itself: what was right, and what was taken for what, over the seeds of a training."""

import pytest

from report import tables
from report.findings import find
from report.verdicts import limits
from results.records import ImagesOfRun, Predictions
from tests import samples
from tests.report.page_reader import run_of

IMAGES = ImagesOfRun(
    name="pets",
    sha256="ab" * 32,
    height=8,
    width=8,
    channels=3,
    classes=("cat", "dog", "owl"),
    train_counts=(50, 50, 50),
    test_counts=(10, 20, 30),
    duplicates=0,
)


def predicted(right, *confused):
    return Predictions(right="", right_by_class=right, confused=confused)


def run(**changes):
    told = {
        ("eanet", 0): predicted((7, 20, 15), (0, 1, 3), (2, 0, 9), (2, 1, 6)),
        ("eanet", 1): predicted((9, 20, 30), (0, 1, 1)),
        ("vit", 0): predicted((10, 10, 30), (1, 2, 10)),
        ("vit", 1): predicted((10, 20, 30)),
    }
    records = [samples.training(name, seed).model_copy(update={"predictions": p}) for (name, seed), p in told.items()]
    made = run_of(*records, accuracy=(records, {}))
    plan = made.plan.model_copy(update={"images": (IMAGES.model_copy(update=changes),)})
    return made.__class__(made.folder, plan, made.trainings, made.step_times, made.failures, made.broken)


def rows(name, made):
    return [tuple(cell.text for cell in row) for row in tables.tables(find(made))[f"{name}-accuracy"].rows]


def test_the_accuracy_of_a_class_is_over_the_seeds():
    assert rows("classes", run()) == [
        ("cat", "10", "80.0", "100.0"),
        ("dog", "20", "100.0", "75.0"),
        ("owl", "30", "75.0", "100.0"),
    ]


def test_the_most_frequent_confusions_are_first_and_shares_of_their_class():
    assert rows("confused", run()) == [
        ("dog", "owl", "20", "0.0", "25.0"),
        ("owl", "cat", "30", "15.0", "0.0"),
        ("owl", "dog", "30", "10.0", "0.0"),
        ("cat", "dog", "10", "20.0", "0.0"),
    ]


@pytest.mark.parametrize("changes", [{"sha256": "other images"}])
def test_of_other_images_or_records_that_do_not_tell_there_is_no_table(changes):
    assert "classes-accuracy" not in tables.tables(find(run(**changes)))
    untold = run_of(*(samples.training(name, 0) for name in ("eanet", "vit")))
    assert "classes-accuracy" not in tables.tables(find(untold))


def test_test_images_that_are_training_images_are_a_limit_of_the_run():
    said = "3 of 60 test images of pets are training images, too"
    assert said in limits(run(duplicates=3), (), ())
    assert not any("training images, too" in part for part in limits(run(), (), ()))


def test_where_each_seed_drew_its_test_images_a_class_has_those_of_all_seeds():
    seeds = [predicted((3, 0, 0)), predicted((1, 0, 0))]
    of_seeds = zip(seeds, [(4, 20, 30), (1, 20, 30)], strict=True)
    told = [one.model_copy(update={"images_by_class": counts}) for one, counts in of_seeds]
    records = [samples.training("eanet", n).model_copy(update={"predictions": p}) for n, p in enumerate(told)]
    made = run_of(accuracy=(records, {}))
    plan = made.plan.model_copy(update={"images": (IMAGES,)})
    run = made.__class__(made.folder, plan, made.trainings, (), (), {})
    assert rows("classes", run)[0][-1] == "80.0"
