"""The datasets by name, which of their images are trained on, and their hashes; small ones as files for all tests."""

import gzip
import io
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import datasets
from benchmarks.datasets import DataError, DatasetShape


def batch(images=7, labels=None, key=b"fine_labels", classes=100):
    """A CIFAR batch as the original site pickles it: channel-planar rows, bytes for keys."""
    rng = np.random.default_rng(13)
    labels = rng.integers(classes, size=images).tolist() if labels is None else labels
    return {
        b"data": rng.integers(256, size=(images, 3072), dtype=np.uint8),
        key: labels,
        b"filenames": [b"a.png"] * images,
    }


def write_cifar100(folder, protocol=2, **changes):
    folder.mkdir(parents=True)
    content = {"train": batch(11), "test": batch(5)} | changes
    for name, value in content.items():
        (folder / name).write_bytes(pickle.dumps(value, protocol))
    return content


def archive(headers=None, **members):
    """A packed tar archive of files by name."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), headers or {}
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


class Executes:
    """A pickle of it runs a command where it is read as pickles usually are."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def png(mode="RGB", size=(8, 8)):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


def write_cifar10(folder, labels):
    """Five batches that have these labels in their order, and a test set of every class."""
    content = {f"data_batch_{n + 1}": part.tolist() for n, part in enumerate(np.split(np.array(labels), 5))}
    for name, part in (content | {"test_batch": [*range(10)]}).items():
        (folder / name).write_bytes(pickle.dumps(batch(len(part), part, key=b"labels"), 2))


def write_images(root, size=(6, 6), classes=("cat", "dog", "owl"), mode="RGB"):
    rng = np.random.default_rng(5)
    for part, count in (("train", 5), ("test", 2)):
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")


def write_npz(root, **changes):
    """An .npz file with Keras's keys, of grey images of 6 x 5."""
    rng = np.random.default_rng(7)
    arrays = {
        "x_train": rng.integers(256, size=(11, 6, 5), dtype=np.uint8),
        "y_train": np.arange(11) % 3,
        "x_test": rng.integers(256, size=(7, 6, 5), dtype=np.uint8),
        "y_test": np.arange(7) % 3,
    }
    np.savez(root / "few.npz", **{name: array for name, array in (arrays | changes).items() if array is not None})
    return root / "few.npz"


def write_idx(root, packed=True, **changes):
    """MNIST's four files, with few images."""
    rng = np.random.default_rng(11)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(256, size=(13, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(13, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(256, size=(10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    for name, array in (arrays | changes).items():
        head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = head + array.tobytes()
        (root / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize(
    ("name", "write", "shape", "train", "test"),
    [
        ("digits", None, DatasetShape(8, 8, 1, 10, 1437, 5), 1437, 360),
        ("cifar10", lambda root: write_cifar10(root, [*range(10)]), DatasetShape(32, 32, 3, 10, 50_000), 10, 10),
        (
            "cifar100",
            lambda root: write_cifar100(root / "cifar-100-python"),
            DatasetShape(32, 32, 3, 100, 50_000),
            11,
            5,
        ),
        ("folder", write_images, DatasetShape(6, 6, 3, 3, 15), 15, 6),
        ("npz", write_npz, DatasetShape(6, 5, 1, 3, 11), 11, 7),
        ("mnist", write_idx, DatasetShape(28, 28, 1, 10, 60_000), 13, 10),
    ],
)
def test_a_dataset_has_the_shape_that_it_tells_beforehand_and_is_the_same_each_time(
    tmp_path, name, write, shape, train, test
):
    if write:
        write(tmp_path)
    data_dir = str(tmp_path) if write else None
    images = datasets.load(name, data_dir)
    assert datasets.survey(name, data_dir).shape == shape
    assert images.classes == shape.classes
    for pixels, labels, count in (
        (images.train_images, images.train_labels, train),
        (images.test_images, images.test_labels, test),
    ):
        assert (pixels.dtype, labels.dtype, labels.shape) == (np.uint8, np.int64, (count,))
        assert pixels.shape == (count, shape.height, shape.width, shape.channels)
    assert images.sha256 == datasets.load(name, data_dir).sha256


def test_digits_are_balanced_and_as_bright_as_photographs():
    data = datasets.load("digits", None)
    assert (data.train_images.max(), set(np.bincount(data.test_labels))) == (255, {35, 36, 37})


def test_each_seed_tests_another_part_of_images_without_a_test_set_and_as_many_seeds_as_parts_test_all():
    digits = datasets.load("digits", None)
    drawn = [datasets.for_seed(digits, seed, 5) for seed in range(10)]
    for deal in (drawn[:5], drawn[5:]):
        assert content([part.test_images for part in deal]) == content([digits.train_images, digits.test_images])
    for one in drawn:
        assert content([one.train_images, one.test_images]) == content([digits.train_images, digits.test_images])
        counts = np.bincount(one.test_labels)
        assert (counts.min() >= 34, counts.max() <= 37, len(one.test_labels) in (359, 360)) == (True, True, True)
    assert content([drawn[0].test_images]) != content([drawn[5].test_images]), "the next seeds deal anew"
    assert datasets.for_seed(digits, 7, 0) is digits


def content(arrays):
    """The images of all arrays, in whatever order."""
    return sorted(image.tobytes() for array in arrays for image in array)


def test_images_that_a_node_has_put_aside_are_the_same(tmp_path):
    write_images(tmp_path / "images")
    images = datasets.load("folder", str(tmp_path / "images"))
    datasets.save(images, tmp_path / "saved")
    again = datasets.saved(tmp_path / "saved")
    assert (again.sha256, again.classes) == (images.sha256, 3)


def dataset(train, test, classes=10, names=()):
    """One pixel an image, which tells it from all others."""
    images = np.arange(len(train) + len(test), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return datasets.Images(
        classes, images[: len(train)], np.array(train), images[len(train) :], np.array(test), tuple(names)
    )


EVERY_CLASS = [*range(10)]


@pytest.mark.parametrize(
    ("train", "test", "complaint"),
    [
        (
            sorted(EVERY_CLASS * 5),
            EVERY_CLASS,
            "training lacks 2 of 10 classes: 8, 9; validation lacks 8 of 10 classes: 0, 1, 2, 3, 4, ...: "
            "each needs images of all classes (the last 10 of 50 training images validate)",
        ),
        (
            EVERY_CLASS * 5,
            [7, 7, 1, 2, 3, 4, 5, 6, 8, 9],
            "test lacks 1 of 10 classes: 0: "
            "each needs images of all classes (the last 10 of 50 training images validate)",
        ),
    ],
    ids=["sorted", "test set"],
)
def test_a_part_that_lacks_a_class_is_an_error_that_names_it(train, test, complaint):
    with pytest.raises(DataError) as caught:
        datasets.split(dataset(train, test), 0, 0.2, 1.0)
    assert str(caught.value) == complaint


def test_a_share_that_leaves_a_class_untrained_is_an_error_that_names_it():
    with pytest.raises(
        DataError, match=r"training lacks \d of 3 classes: (cat|dog|owl).* train_share 0\.02 trains on 1 of"
    ):
        datasets.split(dataset([0, 1, 2] * 19, [0, 1, 2], 3, ["cat", "dog", "owl"]), 0, 0.2, 0.02)


def test_where_no_class_lacks_the_last_images_validate_and_the_seed_draws_the_others():
    data = dataset(EVERY_CLASS * 13, EVERY_CLASS)
    chosen, validation = datasets.split(data, 3, 0.2, 0.7)
    np.testing.assert_array_equal(chosen, datasets.chosen_images(3, 0.7, 104))
    assert validation == slice(104, 130)


def test_the_content_of_a_dataset_is_its_images_and_labels_in_any_order():
    data = dataset([3, 5, 7], [2, 1])
    order, others = [2, 0, 1], [1, 0]
    mixed = replace(data, train_images=data.train_images[order], train_labels=data.train_labels[order])
    assert mixed.sha256 != data.sha256
    assert mixed.content_sha256 == data.content_sha256
    noisy = replace(data, train_labels=np.array([3, 7, 5]))
    swapped = replace(data, test_images=data.test_images[others])
    moved = replace(
        data,
        train_images=np.concatenate([data.train_images, data.test_images[:1]]),
        train_labels=np.array([3, 5, 7, 2]),
        test_images=data.test_images[1:],
        test_labels=data.test_labels[1:],
    )
    assert len({d.content_sha256 for d in (data, noisy, swapped, moved)}) == 4


@given(seed=st.integers(0, 9), smaller=st.floats(0.01, 1), larger=st.floats(0.01, 1), images=st.integers(101, 1009))
def test_a_share_is_drawn_by_the_seed_and_is_part_of_a_larger_one(seed, smaller, larger, images):
    smaller, larger = sorted((smaller, larger))
    few, more = (datasets.chosen_images(seed, share, images) for share in (smaller, larger))
    assert (len(few), len(more)) == (round(smaller * images), round(larger * images))
    assert set(few) <= set(more) <= set(range(images))
    assert len(set(few)) == len(few)
    np.testing.assert_array_equal(datasets.chosen_images(seed, 1.0, images), np.arange(images))


def test_seeds_draw_different_shares_and_none_is_an_error():
    assert set(datasets.chosen_images(0, 0.5, 101)) != set(datasets.chosen_images(1, 0.5, 101))
    with pytest.raises(DataError, match=r"train_share 0\.001 of 101 images leaves none to train on"):
        datasets.chosen_images(0, 0.001, 101)
