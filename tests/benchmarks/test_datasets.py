"""The data: real digits, the standard CIFAR files in every form they come in, and nothing executed or trusted."""

import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import datasets
from benchmarks.datasets import DataError


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


def write_cifar10(folder, labels):
    """Five batches that have these labels in their order, and a test set of every class."""
    content = {f"data_batch_{n + 1}": part.tolist() for n, part in enumerate(np.split(np.array(labels), 5))}
    for name, part in (content | {"test_batch": [*range(10)]}).items():
        (folder / name).write_bytes(pickle.dumps(batch(len(part), part, key=b"labels"), 2))


def test_digits_are_real_split_for_good_and_balanced():
    data = datasets.load("digits", None)
    assert data.train_images.shape == (1437, 8, 8, 1)
    assert data.test_images.shape == (360, 8, 8, 1)
    assert data.train_images.dtype == np.uint8
    assert data.train_images.max() == 255
    assert set(np.bincount(data.test_labels)) <= {35, 36, 37}
    assert data.sha256 == datasets.load("digits", None).sha256


@pytest.mark.parametrize("protocol", range(6))
def test_cifar100_is_read_as_it_was_pickled(tmp_path, protocol):
    content = write_cifar100(tmp_path / "cifar-100-python", protocol)
    for folder in (tmp_path, tmp_path / "cifar-100-python"):
        data = datasets.load("cifar100", str(folder))
        pixels = content["train"][b"data"]
        assert data.train_images.shape == (11, 32, 32, 3)
        assert data.train_images[3, 5, 7, 2] == pixels[3, 2 * 1024 + 5 * 32 + 7]
        assert data.train_labels.tolist() == content["train"][b"fine_labels"]
        assert data.test_labels.tolist() == content["test"][b"fine_labels"]


@pytest.mark.parametrize(
    "layout",
    [
        lambda planes: planes,
        lambda planes: np.asfortranarray(planes),
        lambda planes: planes.reshape(-1, 3, 32, 32),
        lambda planes: planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(),
    ],
    ids=["rows", "column by column", "channel after channel", "pixel after pixel"],
)
@pytest.mark.parametrize("protocol", range(6))
def test_pixels_are_where_their_shape_says(tmp_path, layout, protocol):
    train = batch(11)
    planes = train[b"data"]
    write_cifar100(tmp_path / "cifar-100-python", protocol, train=train | {b"data": layout(planes)})
    images = datasets.load("cifar100", str(tmp_path)).train_images
    assert (images.dtype, images.shape, images.flags.writeable) == (np.uint8, (11, 32, 32, 3), True)
    np.testing.assert_array_equal(images.transpose(0, 3, 1, 2).reshape(11, 3072), planes)


@pytest.mark.parametrize("dtype", ["u1", "i2", "<i4", ">i8", "u8"])
@pytest.mark.parametrize("protocol", range(6))
def test_labels_may_be_an_array_of_whole_numbers(tmp_path, dtype, protocol):
    labels = [2, 3, 5, 7, 97]
    write_cifar100(tmp_path / "cifar-100-python", protocol, train=batch(5, np.array(labels, dtype)))
    data = datasets.load("cifar100", str(tmp_path))
    assert (data.train_labels.tolist(), data.train_labels.dtype) == (labels, np.int64)


def test_cifar100_out_of_its_archive(tmp_path):
    write_cifar100(tmp_path / "cifar-100-python")
    archive = tmp_path / "elsewhere" / "cifar-100-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "cifar-100-python", "cifar-100-python")
    expected = datasets.load("cifar100", str(tmp_path)).sha256
    assert datasets.load("cifar100", str(archive)).sha256 == expected
    assert datasets.load("cifar100", str(archive.parent)).sha256 == expected
    assert list(archive.parent.iterdir()) == [archive]


def test_cifar10_joins_its_five_batches(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number in range(1, 6):
        content = batch(number, labels=[number] * number, key=b"labels")
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(content, 2))
    (folder / "test_batch").write_bytes(pickle.dumps(batch(3, key=b"labels", classes=10), 2))
    data = datasets.load("cifar10", str(tmp_path))
    assert data.train_labels.tolist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5]
    assert data.test_images.shape == (3, 32, 32, 3)


class Executes:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_executes_is_refused_and_does_not(tmp_path, protocol):
    trace = tmp_path / "executed"
    write_cifar100(tmp_path / "cifar-100-python", protocol, train=batch(3) | {b"data": Executes(trace)})
    with pytest.raises(DataError, match=r"train is damaged or no CIFAR batch: it asks for posix\.system"):
        datasets.load("cifar100", str(tmp_path))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("eval", eval), ("array of objects", np.array([Executes("x")], object)), ("array of texts", np.array(["x"]))],
)
def test_pickles_of_anything_but_arrays_of_numbers_and_plain_values_are_refused(tmp_path, name, value):
    write_cifar100(tmp_path / "cifar-100-python", train=batch(3) | {b"data": value})
    with pytest.raises(DataError, match="train is damaged or no CIFAR batch"):
        datasets.load("cifar100", str(tmp_path))


ROWS = r"expected a uint8 array of shape \(n, 3072\)"


@pytest.mark.parametrize(
    ("train", "complaint"),
    [
        (batch(3, labels=[1, 2]), "train has 3 images and 2 labels"),
        (batch(3, labels=[1, 2, 100]), "fine_labels is not a list of whole numbers from 0 to 99"),
        (batch(3, labels=[1, 2, "3"]), "fine_labels is not a list of whole numbers"),
        (batch(0), "train has 0 images and 0 labels"),
        (batch(3, key=b"labels"), "train is no CIFAR batch: it has no 'fine_labels'"),
        (batch(3, labels=np.array([1.0, 2.0, 3.0])), "fine_labels is not a list of whole numbers"),
        (batch(3, labels=np.array([[1], [2], [3]])), "fine_labels is not a list of whole numbers"),
        (
            batch(3) | {b"data": np.zeros((3, 3071), np.uint8)},
            rf"data is an array of uint8 and shape \(3, 3071\), {ROWS}",
        ),
        (
            batch(3) | {b"data": np.zeros((3, 32, 3, 32), np.uint8)},
            rf"array of uint8 and shape \(3, 32, 3, 32\), {ROWS}",
        ),
        (batch(3) | {b"data": np.zeros(3072, np.uint8)}, rf"array of uint8 and shape \(3072,\), {ROWS}"),
        (batch(3) | {b"data": np.zeros((3, 3072))}, rf"array of float64 and shape \(3, 3072\), {ROWS}"),
        (batch(3) | {b"data": [*np.zeros((3, 3072), np.uint8)]}, rf"train: data is a list, {ROWS}"),
        (batch(3) | {b"data": [[0] * 3072] * 3}, rf"train: data is a list, {ROWS}"),
        (batch(3) | {b"data": bytes(3072)}, rf"train: data is a bytes, {ROWS}"),
        ([1, 2], "damaged or no CIFAR batch"),
    ],
)
def test_batches_that_are_none_are_refused(tmp_path, train, complaint):
    write_cifar100(tmp_path / "cifar-100-python", train=train)
    with pytest.raises(DataError, match=complaint):
        datasets.load("cifar100", str(tmp_path))


def test_a_pickle_of_eleven_bytes_takes_no_more_memory_than_it_has(tmp_path):
    """It says that a gigabyte of a bytearray follows, which Python's own reader fills with zeros before it looks."""
    write_cifar100(tmp_path / "cifar-100-python")
    (tmp_path / "cifar-100-python" / "train").write_bytes(b"\x80\x05\x96" + struct.pack("<Q", 2**30) + b".")
    code = f"""
import re
from benchmarks import datasets
try:
    datasets.load("cifar100", {str(tmp_path)!r})
except datasets.DataError as error:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**19, "KiB"


@pytest.mark.parametrize("kept", [0, 1, 17, 1000, 30_000])
def test_truncated_files_are_refused(tmp_path, kept):
    write_cifar100(tmp_path / "cifar-100-python")
    path = tmp_path / "cifar-100-python" / "train"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="train is damaged or no CIFAR batch"):
        datasets.load("cifar100", str(tmp_path))


def test_folders_without_the_data_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist; expected a folder that is or contains cifar-100-python"):
        datasets.load("cifar100", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"no cifar100 in .*; expected a folder that is or contains cifar-100-python"):
        datasets.load("cifar100", str(tmp_path))
    write_cifar100(tmp_path / "cifar-100-python")
    (tmp_path / "cifar-100-python" / "test").unlink()
    with pytest.raises(DataError, match="test is missing"):
        datasets.load("cifar100", str(tmp_path))


def test_archives_with_links_or_without_the_files_are_refused(tmp_path):
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(DataError, match="holds no readable cifar-100-python/train"):
        datasets.load("cifar100", str(archive))
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-100-python/train")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="cifar-100-python/train is not a plain file"):
        datasets.load("cifar100", str(archive))


def tar_of(path, **members):
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_an_archive_is_never_unpacked_so_its_names_lead_nowhere(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    names = {f"cifar-100-python/{part}": pickle.dumps(batch(), protocol=2) for part in ("train", "test")}
    tar_of(inside / "cifar-100-python.tar.gz", **names, **{"../outside": b"x", f"{tmp_path}/outside": b"x"})
    assert len(datasets.load("cifar100", str(inside)).train_labels) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in inside.iterdir()] == ["cifar-100-python.tar.gz"]


@pytest.mark.parametrize(
    "headers",
    [{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, {"GNU.sparse.map": "a,b"}, {"GNU.sparse.size": "z"}],
)
def test_an_archive_whose_headers_are_no_numbers_is_one_line(tmp_path, headers):
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("cifar-100-python/train")
        info.pax_headers, info.size = headers, 5
        tar.addfile(info, io.BytesIO(b"nonum"))
    with pytest.raises(DataError, match=r"holds no readable cifar-100-python/train: "):
        datasets.load("cifar100", str(tmp_path))


@pytest.mark.parametrize("name", ["cifar-100-python/train", "before/it"])
def test_an_archive_with_a_bomb_inside_is_refused_before_it_fills_the_memory(tmp_path, name, monkeypatch):
    """Both as the file that is read and as one that is only passed over."""
    monkeypatch.setattr(datasets, "LARGEST_FILE_BYTES", 3 * 2**20)
    monkeypatch.setattr(datasets, "LARGEST_ARCHIVE_BYTES", 5 * 2**20)
    bomb = tmp_path / "cifar-100-python.tar.gz"
    tar_of(bomb, **{name: bytes(7 * 2**20), "cifar-100-python/test": pickle.dumps(batch())})
    assert bomb.stat().st_size < 2**17
    with pytest.raises(DataError, match=r"it unpacks to more than 5,242,880 bytes|is not a plain file of at most 3"):
        datasets.load("cifar100", str(bomb))


def write_images(root, size=(6, 6), classes=("cat", "dog", "owl"), mode="RGB"):
    rng = np.random.default_rng(5)
    for part, count in (("train", 5), ("test", 2)):
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_a_folder_of_images(tmp_path, mode, channels):
    write_images(tmp_path, mode=mode)
    shape = datasets.DatasetShape(6, channels, 3)
    data = datasets.load("folder", str(tmp_path))
    assert datasets.shape("folder", str(tmp_path)) == data.shape == shape
    assert data.train_images.shape == (15, 6, 6, channels)
    assert np.bincount(data.train_labels).tolist() == [5, 5, 5]
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]


@pytest.mark.parametrize("classes", [(5,) * 97, (5, 997), (997, 7, 5, 31)], ids=["many", "rare", "uneven"])
def test_of_five_images_of_a_class_in_a_folder_one_validates(classes):
    """Whatever other classes have: a shuffle leaves some of many small classes out."""
    labels = np.repeat(np.arange(len(classes)), classes)
    order = datasets._mixed(labels)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(labels)))
    validation = labels[order][datasets.training_images(len(labels), 0.2) :]
    assert (abs(np.bincount(validation, minlength=len(classes)) - 0.2 * np.array(classes)) < 1).all()
    largest = order[labels[order] == np.argmax(classes)]
    assert largest.tolist() != sorted(largest), "drawn within each class"


def dataset(train, test, classes=10, names=()):
    """One pixel an image, which tells it from all others."""
    images = np.arange(len(train) + len(test), dtype=np.uint8).reshape(-1, 1, 1, 1)
    shape = datasets.DatasetShape(1, 1, classes)
    return datasets.Dataset(
        shape, images[: len(train)], np.array(train), images[len(train) :], np.array(test), tuple(names)
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


def claiming(width, kind):
    """A small file whose header says that it is an image of `width` x `width`: up to 4 * 10^9 pixels."""
    if kind == "PNG":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
        chunks = (header, b"IDAT" + zlib.compress(b"\0"))
        packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    file = io.BytesIO()
    Image.new("RGB", (width if kind == "WEBP" else 8,) * 2).save(file, kind)
    content = bytearray(file.getvalue())
    if kind == "BMP":
        content[18:26] = struct.pack("<ii", width, width)
    if kind == "JPEG":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", width, width)
    return bytes(content)


def test_folders_of_images_that_do_not_fit_together_are_refused(tmp_path):
    with pytest.raises(DataError, match="needs --data-dir DIR; expected DIR/train/CLASS"):
        datasets.load("folder", None)
    write_images(tmp_path)
    Image.new("RGB", (6, 7)).save(tmp_path / "train" / "owl" / "tall.png")
    with pytest.raises(
        DataError, match=r"tall\.png is 6 x 7 with 3 channels; all images have to be square and like the first"
    ):
        datasets.load("folder", str(tmp_path))
    wrong_length = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00Km)\xdc"
    wrong_length += b'\x00\x00\x00\x0cIDATx\x9c{c`\x18\x1e\x00\x00\x00\x00\x00"\x00\x00\x00\x00IEND\xaeB`\x82'
    for content in (b"no image", wrong_length):
        (tmp_path / "train" / "owl" / "tall.png").write_bytes(content)
        with pytest.raises(DataError, match=r"tall\.png is not a readable image"):
            datasets.load("folder", str(tmp_path))
    (tmp_path / "train" / "owl" / "tall.png").unlink()
    for width, kind in ((32_768, "PNG"), (32_768, "BMP"), (65_535, "JPEG"), (1_025, "WEBP")):
        (tmp_path / "train" / "owl" / "tall.png").write_bytes(claiming(width, kind))
        with pytest.raises(
            DataError, match=rf"tall\.png is (not a readable image: Image size|{width} x {width}; at most)"
        ):
            datasets.load("folder", str(tmp_path))
    (tmp_path / "train" / "owl" / "tall.png").unlink()
    os.mkfifo(tmp_path / "train" / "owl" / "tall.png")
    with pytest.raises(DataError, match=r"tall\.png is no plain file"):
        datasets.load("folder", str(tmp_path))
    (tmp_path / "train" / "owl" / "tall.png").unlink()
    (tmp_path / "test" / "wolf").mkdir()
    with pytest.raises(DataError, match="test has the classes cat, dog, owl, wolf; train has cat, dog, owl"):
        datasets.load("folder", str(tmp_path))


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
    with pytest.raises(datasets.DataError, match=r"train_share 0\.001 of 101 images leaves none to train on"):
        datasets.chosen_images(0, 0.001, 101)
