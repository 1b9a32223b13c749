"""Training: the same batches for both variants, an honest record, and a loss that is no number ends it."""

import base64
import dataclasses
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from uuid import uuid4

import keras
import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.batches import batch_order
from benchmarks.environment import worker_variables
from benchmarks.executors import Workers
from benchmarks.training import compile_model, fit_in_order, learning_rate, of_images, predictions, reseed, train
from benchmarks.worker import DivergedError, Task
from models.build import build_model
from tests.benchmarks.test_datasets import write_cifar10
from tests.trials import ORIGIN, SMALL, planned, trainings


def trials(epochs=2, **settings):
    return trainings(2, epochs, **{"memory_units": "3", "key_dim": "3"} | settings)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """(variant, seed) -> record, and the progress it reported."""
    found, folder = {}, tmp_path_factory.mktemp("checkpoints")
    for trial in trials():
        progress = []
        found[trial.variant, trial.seed] = train(trial, ORIGIN, folder / trial.trial_id, progress.append), progress
    return found


def test_both_variants_of_a_seed_see_the_same_batches_and_seeds_differ(records):
    orders = {key: record.batch_order_sha256 for key, (record, _) in records.items()}
    assert orders["eanet", 0] == orders["vit", 0]
    assert orders["eanet", 1] == orders["vit", 1]
    assert orders["eanet", 0] != orders["eanet", 1]


def test_a_record_says_what_was_trained_on_what(records):
    record, progress = records["vit", 1]
    assert (record.train_images, record.validation_images, record.test_images) == (1150, 287, 360)
    assert record.dataset_sha256 == datasets.load("digits", None).sha256
    assert record.dataset_content_sha256 == datasets.load("digits", None).content_sha256
    assert (record.variant, record.seed, record.dataset) == ("vit", 1, "digits")
    trial = trials()[3]
    assert record.trial == trial.model_copy(update={"data_dir": None})
    assert record.trial_id == trial.trial_id
    assert record.parameters == trial.model.cost().parameters
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]
    assert [p.epoch for p in progress] == [1, 2]
    assert record.epochs[1].loss < record.epochs[0].loss
    assert record.metrics["top1"] <= record.metrics["top5"]
    assert 0 < record.train_step_seconds < record.epochs[0].train_seconds
    assert record.patches == 4
    assert record.device_peak_memory_bytes > 4 * 4 * record.parameters
    assert record.environment.command == ORIGIN.command
    assert record.environment.backend == keras.backend.backend()


@pytest.fixture
def handed(monkeypatch):
    """What a training hands to Keras's `fit`: the batches it asks for, and the validation's images and labels."""
    found = {"batches": [], "validation": None}
    original = keras.Model.fit

    def fit(self, batches, **options):
        def noted():
            for batch in batches:
                found["batches"].append(batch)
                yield batch

        found["validation"] = options["validation_data"]
        return original(self, noted(), **options)

    monkeypatch.setattr(keras.Model, "fit", fit)
    return found


def trained(trial, folder, name="checkpoint"):
    return train(trial, ORIGIN, folder / name, lambda _: None)


@pytest.mark.parametrize(("settings", "share", "count"), [({}, 1.0, 1150), ({"train_share": "0.1"}, 0.1, 115)])
def test_the_last_images_validate_and_the_share_of_the_others_is_trained_on(handed, tmp_path, settings, share, count):
    data = datasets.for_seed(datasets.load("digits", None), seed=1, folds=5)
    record = trained(trials(epochs=1, **settings)[2], tmp_path)
    assert (record.seed, record.train_images, record.validation_images) == (1, count, 287)
    images, labels = (np.concatenate(part) for part in zip(*handed["batches"], strict=True))
    chosen = datasets.chosen_images(1, share, 1150)[batch_order(1, 0, count)]
    np.testing.assert_array_equal(images, data.train_images[chosen])
    np.testing.assert_array_equal(labels.argmax(axis=1), data.train_labels[chosen])
    np.testing.assert_array_equal(handed["validation"][0], data.train_images[1150:])
    np.testing.assert_array_equal(handed["validation"][1].argmax(axis=1), data.train_labels[1150:])


@pytest.mark.parametrize(("images", "share"), [(3, 0.2), (1, 0.5), (0, 0.5)])
def test_a_part_without_images_is_an_error(images, share):
    with pytest.raises(
        datasets.DataError, match=f"validation_split {share} of {images} images leaves a part with none"
    ):
        datasets.training_images(images, share)


def test_classes_that_would_not_be_trained_on_are_an_error(tmp_path):
    """Wherever a training reads its images: a worker's machine may have other files."""
    write_cifar10(tmp_path, [label for label in range(10) for _ in range(5)])
    trial = trials()[0].model_copy(update={"dataset": "cifar10", "data_dir": str(tmp_path), "test_folds": 0})
    with pytest.raises(datasets.DataError, match="training lacks 2 of 10 classes: 8, 9; validation lacks 8 of 10"):
        trained(trial, tmp_path)


@pytest.mark.parametrize(("classes", "k"), [(3, 3), (5, 5), (7, 5)])
def test_top_5_of_fewer_classes_is_of_all_of_them(classes, k):
    """PyTorch finds no five largest of three."""
    trial = trials()[0]
    model = build_model(trial.model.model_copy(update={"classes": classes}), trial.training.augmentation)
    compile_model(model, trial.training, 11)
    _, top5 = model.get_compile_config()["metrics"]
    assert (top5["config"]["name"], top5["config"]["k"]) == ("top5", k)


def test_the_order_is_another_each_epoch_and_holds_every_image_once():
    for epoch in range(3):
        assert np.array_equal(np.sort(batch_order(5, epoch, 53)), np.arange(53))
    assert not np.array_equal(batch_order(5, 0, 53), batch_order(5, 1, 53))
    assert not np.array_equal(batch_order(5, 0, 53), batch_order(6, 0, 53))


class Recorder(keras.layers.Layer):
    """Passes its input on and keeps it: what really reaches a model, batch by batch."""

    def __init__(self, width, steps):
        super().__init__()
        self.width, self.steps = width, steps

    def build(self, input_shape):
        self.at = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.seen = self.add_weight(shape=(self.steps, self.width), initializer="zeros", trainable=False)

    def call(self, x, training=None):
        if training:
            row = keras.ops.one_hot(self.at, self.steps)[:, None] * keras.ops.reshape(x, (1, self.width))
            self.seen.assign(self.seen + row)
            self.at.assign_add(1)
        return x


def test_what_reaches_the_model_in_every_epoch_is_the_order_that_the_record_hashes():
    """Through the real `fit`, prefetching and Keras's own shuffling included."""
    images = np.arange(35, dtype="float32")[:, None]
    inputs = keras.layers.Input((1,), batch_size=5)
    recorder = Recorder(5, steps=21)
    model = keras.Model(inputs, keras.layers.Dense(1)(recorder(inputs)))
    model.compile("sgd", "mse", jit_compile=False)
    fit_in_order(model, images, images, np.arange(len(images)), epochs=range(3), seed=7, batch_size=5)
    expected = np.concatenate([batch_order(7, epoch, 35) for epoch in range(3)])
    assert keras.ops.convert_to_numpy(recorder.seen).ravel().tolist() == expected.tolist()


def test_a_long_epoch_gives_signs_within_it(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.training.SIGN_SECONDS", 0)
    said = []
    train(trainings(epochs=2, batch_size="300")[0], ORIGIN, tmp_path / "checkpoint.npz", said.append)
    parts = [(progress.epoch, round(progress.part, 2)) for progress in said]
    assert parts == [(0, 0.25), (0, 0.5), (0, 0.75), (1, 0), (1, 0.25), (1, 0.5), (1, 0.75), (2, 0)]


def test_warm_up_rises_to_the_rate_and_the_cosine_falls_to_nothing():
    training = trials(epochs=10)[0].training
    schedule = learning_rate(training, steps_per_epoch=10)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(training.learning_rate)
    assert rates[55] == pytest.approx(training.learning_rate / 2)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert learning_rate(training.model_copy(update={"schedule": "constant"}), 10) == training.learning_rate


def test_a_loss_that_is_no_number_ends_the_trial_with_the_epoch(tmp_path):
    (trial, *_) = trials(epochs=3, learning_rate="1e38", schedule="constant")
    with pytest.raises(DivergedError, match=r"^\w+ is (nan|inf) in epoch \d"):
        trained(trial, tmp_path)


def test_one_epoch_gives_a_step_time_without_the_first_step_which_compiles(tmp_path):
    record = trained(trials(epochs=1)[0], tmp_path)
    mean_with_compilation = record.epochs[0].train_seconds / 18
    assert record.train_step_seconds < mean_with_compilation / 3


def test_a_batch_of_all_images_gives_a_step_from_the_second_epoch_on_and_none_in_the_first(tmp_path):
    """What compiles is no step: on digits it had been told as a step of seconds."""
    one, two = (trained(trials(epochs=epochs, batch_size="2000")[0], tmp_path, str(epochs)) for epochs in (1, 2))
    assert one.train_step_seconds is None
    assert two.train_step_seconds < one.epochs[0].train_seconds / 3


JAX_STEPS = """
import json, sys, time
import jax
from benchmarks import training
from benchmarks.training import History
from results.trials import TrainTrial
from benchmarks.environment import Origin
from pathlib import Path

compiled, clean = [], []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: compiled.append(time.perf_counter()) if "backend_compile" in name else None
)
ended = History.on_epoch_end
def on_epoch_end(self, epoch, logs=None):
    clean.append((self.clean_since, self.clean_until))
    ended(self, epoch, logs)
History.on_epoch_end = on_epoch_end
trial = TrainTrial.model_validate_json(sys.argv[1])
record = training.train(trial, Origin("test", None, None), Path(sys.argv[2]), lambda _: None)
inside = [sum(since < moment < until for moment in compiled) for since, until in clean]
print(json.dumps({"inside": inside, "compiled": len(compiled), "step": record.train_step_seconds}))
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize(("batch_size", "steps"), [("64", 17), ("1000", 1)], ids=["small", "two steps"])
def test_jax_compiles_nothing_while_steps_are_timed(batch_size, steps, tmp_path):
    """JAX tells of each compilation. 1,150 images leave a last batch of another size, which compiles once more."""
    trial, _ = planned("accuracy", seeds=1, epochs=2, backend="jax", settings=SMALL | {"batch_size": batch_size})
    environment = os.environ | worker_variables("jax", 2)
    command = [sys.executable, "-c", JAX_STEPS, trial.model_dump_json(), str(tmp_path / "checkpoint")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr
    assert told["inside"] == [0, 0], told
    assert told["compiled"] > 2
    assert told["step"] > 0


def in_one_process(trials, folder, images=None):
    """The records of trainings that share a new worker."""
    with Workers("tensorflow", worker_variables("tensorflow", 2), ORIGIN, folder) as workers:
        return [[*workers.run(Task(trial, folder / uuid4().hex, images), 300.0)][-1] for trial in trials]


def test_memory_of_a_training_is_that_of_its_step_and_not_of_the_images(tmp_path):
    """Of the same model on 30 times as many images, each in a fresh process. Adapting its normalisation had taken
    eight times the images' bytes."""
    large = tmp_path / "large"
    digits = datasets.load("digits", None)
    datasets.save(digits, tmp_path / "one")
    many = {part: np.concatenate([getattr(digits, part)] * 300) for part in ("train_images", "train_labels")}
    datasets.save(dataclasses.replace(digits, **many), large)
    (one,), (other,) = (
        in_one_process([trials(epochs=1, batch_size="512")[1]], tmp_path, images)
        for images in (tmp_path / "one", large)
    )
    assert many["train_images"].nbytes > 25 * 2**20
    assert abs(other.peak_memory_bytes - one.peak_memory_bytes) < 15 * 2**20
    assert other.device_peak_memory_bytes == pytest.approx(one.device_peak_memory_bytes, abs=2**20)


def test_seeds_that_share_a_process_say_so_and_have_its_peak(tmp_path):
    shared = [trial for trial in trials(epochs=1) if trial.variant == "vit"]
    first, second = in_one_process(shared, tmp_path)
    (alone,) = in_one_process(shared[:1], tmp_path)
    assert first.environment.process == second.environment.process != alone.environment.process
    assert first.step_memory_bytes == second.step_memory_bytes


def seeds_of(model):
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    return [keras.ops.convert_to_numpy(state).tolist() for state in states]


def test_random_layers_start_anew_from_seed_epoch_and_place():
    models = [build_model(trial.model, "tutorial") for trial in trials()[:2]]
    for model in models:
        reseed(model, seed=5, epoch=3)
    eanet, vit = map(seeds_of, models)
    assert eanet[:4] == vit[:4], "flip, rotation, contrast, zoom: the variants of a seed see the same images"
    assert len({first for first, _ in eanet}) == len(eanet) == 4 + 4, "each layer draws its own"
    assert {count for _, count in eanet} == {0}
    found = set()
    for seed, epoch in ((5, 3), (5, 4), (6, 3), (3, 5)):
        reseed(models[0], seed, epoch)
        found.add(str(seeds_of(models[0])))
    assert len(found) == 4


def test_augmented_images_of_an_epoch_depend_on_nothing_that_was_drawn_before():
    model = build_model(trials()[0].model, "tutorial")
    images = datasets.load("digits", None).train_images[:7].astype("float32")
    augmented = keras.Model(model.input, model.get_layer("patch_embedding").input)

    def draw(epoch):
        reseed(model, seed=5, epoch=epoch)
        return keras.ops.convert_to_numpy(augmented(images, training=True))

    first, other, again = draw(1), draw(2), draw(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def images_of(train, test, train_labels, test_labels, classes):
    """Images of one pixel."""
    pixels = [np.array(values, np.uint8).reshape(-1, 1, 1, 1) for values in (train, test)]
    return datasets.Images(classes, pixels[0], np.array(train_labels), pixels[1], np.array(test_labels))


def test_predictions_tell_what_is_right_and_what_is_taken_for_what():
    data = images_of([0], range(9), [0], [0, 0, 0, 1, 1, 1, 2, 2, 2], 3)
    told = predictions(np.array([0, 1, 1, 1, 1, 1, 0, 2, 1]), data, tells_counts=True)
    assert np.unpackbits(np.frombuffer(base64.b64decode(told.right), np.uint8))[:9].tolist() == [
        1, 0, 0, 1, 1, 1, 0, 1, 0,
    ]  # fmt: skip
    assert told.right_by_class == (1, 3, 1)
    assert told.confused == ((0, 1, 2), (2, 0, 1), (2, 1, 1))
    assert told.images_by_class == (3, 3, 3)


def test_of_many_classes_the_most_frequent_confusions_are_kept():
    labels = np.arange(200)
    data = images_of([0], range(200), [0], labels, 200)
    told = predictions((labels + 1) % 200, data, tells_counts=False)
    assert len(told.confused) == 100
    assert told.right_by_class == (0,) * 200
    assert told.images_by_class is None


def test_uneven_classes_have_a_balanced_accuracy_and_duplicates_are_left_out():
    right = np.array([True, True, False, True])
    even = images_of([9], [1, 2, 3, 4], [0], [0, 0, 1, 1], 2)
    assert of_images(right, even) == {}
    uneven = images_of([9], [1, 2, 3, 4], [0], [0, 0, 1, 0], 2)
    assert of_images(right, uneven) == {"balanced_top1": 0.5}
    known = images_of([3, 4, 5], [1, 2, 3, 4], [0, 0, 0], [0, 0, 1, 1], 2)
    assert known.duplicates.tolist() == [False, False, True, True]
    assert of_images(right, known) == {"new_top1": 1.0}
    all_known = images_of([1, 2, 3, 4], [1, 2, 3, 4], [0] * 4, [0, 0, 1, 1], 2)
    assert of_images(right, all_known) == {}, "there is nothing else"
