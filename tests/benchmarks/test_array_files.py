"""Arrays of images: .npz files with the keys of Keras or MedMNIST, and MNIST's own format. Nothing is unpickled."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.datasets import DataError, DatasetShape, Wanted
from tests.benchmarks.test_datasets import Executes, batch, write_cifar100, write_idx, write_npz


def test_kerass_keys_are_read_as_they_are(tmp_path):
    path = write_npz(tmp_path)
    data, given = datasets.load("npz", str(path)), np.load(path)
    assert np.array_equal(data.train_images[..., 0], given["x_train"])
    assert np.array_equal(data.test_labels, given["y_test"])
    assert datasets.load("npz", str(tmp_path)).sha256 == data.sha256, "the only one of its folder"


def test_medmnists_keys_are_read_and_its_validation_images_trained_on(tmp_path):
    rng = np.random.default_rng(3)
    arrays = {}
    for part, count in (("train", 11), ("val", 5), ("test", 7)):
        arrays[f"{part}_images"] = rng.integers(256, size=(count, 6, 6, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 3)[:, None]
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    survey = datasets.survey("npz", str(tmp_path / "bloodmnist.npz"))
    assert survey.shape == DatasetShape(6, 6, 3, 3, 16)
    assert survey.notes == (
        "the file's validation images are trained on; the last part of the training images validates",
    )
    data = datasets.load("npz", str(tmp_path / "bloodmnist.npz"))
    assert np.array_equal(data.train_images[11:], arrays["val_images"])
    assert data.train_labels.tolist() == [*(np.arange(11) % 3), *(np.arange(5) % 3)]


def test_one_hot_rows_are_classes(tmp_path):
    rows = np.eye(3)[np.arange(11) % 3]
    assert datasets.load("npz", str(write_npz(tmp_path, y_train=rows))).train_labels.tolist() == [*(np.arange(11) % 3)]


def test_a_size_and_a_mode_can_be_asked_for(tmp_path):
    survey = datasets.survey("npz", str(write_npz(tmp_path)), Wanted((8, 12), "colour"))
    assert survey == datasets.Survey(
        DatasetShape(8, 12, 3, 3, 11), ("images 5 x 6 are scaled and cropped to 12 x 8 (--image-size)",)
    )
    data = datasets.load("npz", str(tmp_path), survey.shape)
    assert data.train_images.shape == (11, 8, 12, 3)
    assert np.array_equal(data.train_images[..., 0], data.train_images[..., 2]), "grey"


IMAGES = np.zeros((11, 6, 5), np.uint8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "has the arrays x_train, y_test, y_train; expected x_train, y_train, x_test, y_test, or"),
        ({"x_train": IMAGES / 255}, "x_train is of float64; expected uint8, from 0 to 255"),
        ({"x_train": IMAGES[:7]}, "x_train has 7 images and 11 labels"),
        ({"x_train": IMAGES[..., :4]}, "has images of different shapes: (6, 4), (6, 5)"),
        ({"x_train": IMAGES[0], "x_test": IMAGES[0]}, "has images of shape (5,); expected (height, width), then 1, 3"),
        ({"y_train": np.full(11, -1)}, "y_train is no list of one class per image"),
        ({"y_train": np.full(11, 0.5)}, "y_train is no list of one class per image"),
        ({"y_train": np.full(11, 10**9)}, "y_train is no list of one class per image"),
        ({"y_train": np.ones((11, 3))}, "y_train is no list of one class per image"),
        ({"y_train": np.array(["a"] * 11)}, "y_train is no list of one class per image"),
        ({"y_train": np.full(11, np.nan)}, "y_train is no list of one class per image"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused_in_words(tmp_path, changes, message):
    path = write_npz(tmp_path, **changes)
    with pytest.raises(DataError) as raised:
        datasets.load("npz", str(path))
    assert message in str(raised.value)


def test_a_pickle_in_a_file_is_not_run(tmp_path):
    np.savez(tmp_path / "few.npz", x_train=np.array([Executes(tmp_path / "touched")], dtype=object))
    with pytest.raises(DataError, match="few"):
        datasets.load("npz", str(tmp_path / "few.npz"))
    with zipfile.ZipFile(write_npz(tmp_path), "a") as archive:
        archive.writestr("more.npy", pickle.dumps(Executes(tmp_path / "touched")))
    with pytest.raises(DataError, match=r"is no readable \.npz file"):
        datasets.load("npz", str(tmp_path / "few.npz"))
    assert not (tmp_path / "touched").exists()


def test_an_array_that_says_it_is_larger_than_its_file_is_not_made(tmp_path):
    write_npz(tmp_path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 6, 5)})
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    with pytest.raises(DataError, match=r"says that it is \(1000000000000, 6, 5\) of uint8, and has 128 bytes"):
        datasets.load("npz", str(tmp_path / "large.npz"))


def test_which_file_is_said(tmp_path):
    with pytest.raises(DataError, match=r"the dataset .npz. needs --data-dir FILE\.npz; expected x_train"):
        datasets.load("npz", None)
    with pytest.raises(DataError, match=r"has 0 \.npz files; name one with --data-dir FILE\.npz"):
        datasets.load("npz", str(tmp_path))
    with pytest.raises(DataError, match=r"none\.npz does not exist"):
        datasets.load("npz", str(tmp_path / "none.npz"))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", [".", "MNIST/raw", "mnist"])
def test_mnists_files_are_found_packed_or_not_where_torchvision_and_people_put_them(tmp_path, packed, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    write_idx(tmp_path / place, packed)
    data = datasets.load("mnist", str(tmp_path))
    assert data.train_images.shape == (13, 28, 28, 1)
    assert data.test_labels.tolist() == [*range(10)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "is no readable file of MNIST's format"),
        (
            "train-images-idx3-ubyte",
            bytes([0, 0, 13, 3]),
            "is no readable file of MNIST's format: it does not begin as",
        ),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 3]) + b"\xff" * 12, "it says that it is (4294967295,"),
        ("train-labels-idx1-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 13]) + b"\x0b" * 13, "expected MNIST's"),
        ("train-labels-idx1-ubyte", bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2]), "expected MNIST's"),
    ],
)
def test_files_that_are_not_mnists_are_refused(tmp_path, name, content, message):
    write_idx(tmp_path, packed=False)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        datasets.load("mnist", str(tmp_path))
    assert message in str(raised.value)
    with pytest.raises(
        DataError, match=r"no fashion-mnist in .*expected a folder that holds train-images-idx3-ubyte.gz"
    ):
        datasets.load("fashion-mnist", str(tmp_path / "MNIST"))


def test_cifar100_has_coarse_labels_too(tmp_path):
    labels = [n % 20 for n in range(40)]
    parts = {name: batch(40, [7] * 40) | {b"coarse_labels": labels} for name in ("train", "test")}
    write_cifar100(tmp_path / "cifar-100-python", **parts)
    data = datasets.load("cifar100-coarse", str(tmp_path))
    assert (data.classes, data.train_labels.tolist()) == (20, labels)
    assert datasets.survey("cifar100-coarse", str(tmp_path)).shape.classes == 20
