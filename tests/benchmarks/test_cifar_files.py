"""The standard CIFAR files in every form they come in, and nothing executed or trusted."""

import pickle
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from benchmarks import cifar_files, datasets
from benchmarks.datasets import DataError
from tests.benchmarks.test_datasets import Executes, archive, batch, write_cifar100


@pytest.mark.parametrize("there", [".", "cifar-100-python"])
def test_cifar100_is_read_as_it_was_pickled(tmp_path, there):
    content = write_cifar100(tmp_path / "cifar-100-python")
    data = datasets.load("cifar100", str(tmp_path / there))
    assert data.train_images[3, 5, 7, 2] == content["train"][b"data"][3, 2 * 1024 + 5 * 32 + 7]
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
    assert datasets.load("cifar100", str(tmp_path)).train_labels.tolist() == labels


@pytest.mark.parametrize("prefix", ["", "./"])
def test_cifar100_out_of_its_archive(tmp_path, prefix):
    write_cifar100(tmp_path / "cifar-100-python")
    packed = tmp_path / "elsewhere" / "cifar-100-python.tar.gz"
    packed.parent.mkdir()
    files = (tmp_path / "cifar-100-python").iterdir()
    packed.write_bytes(archive(**{f"{prefix}cifar-100-python/{file.name}": file.read_bytes() for file in files}))
    for place in (tmp_path, packed, packed.parent):
        assert datasets.load("cifar100", str(place)).sha256 == datasets.load("cifar100", str(tmp_path)).sha256
    assert list(packed.parent.iterdir()) == [packed]


def test_cifar10_joins_its_five_batches(tmp_path):
    for number in range(1, 6):
        content = batch(number, labels=[number] * number, key=b"labels")
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps(content, 2))
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch(3, key=b"labels", classes=10), 2))
    data = datasets.load("cifar10", str(tmp_path))
    assert data.train_labels.tolist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5]
    assert data.test_images.shape == (3, 32, 32, 3)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_executes_is_refused_and_does_not(tmp_path, protocol):
    trace = tmp_path / "executed"
    write_cifar100(tmp_path / "cifar-100-python", protocol, train=batch(3) | {b"data": Executes(trace)})
    with pytest.raises(DataError, match=r"train is damaged or no CIFAR batch: it asks for posix\.system"):
        datasets.load("cifar100", str(tmp_path))
    assert not trace.exists()


ROWS = r"expected a uint8 array of shape \(n, 3072\)"
DAMAGED = "train is damaged or no CIFAR batch"


def with_data(data):
    return batch(3) | {b"data": data}


@pytest.mark.parametrize(
    ("train", "complaint"),
    [
        (with_data(eval), rf"{DAMAGED}: it asks for (__builtin__|builtins)\.eval"),
        (with_data(np.array([Executes("x")], object)), DAMAGED),
        (with_data(np.array(["x"])), DAMAGED),
        (batch(3, labels=[1, 2]), "train has 3 images and 2 labels"),
        (batch(3, labels=[1, 2, 100]), "fine_labels is not a list of whole numbers from 0 to 99"),
        (batch(3, labels=[1, 2, "3"]), "fine_labels is not a list of whole numbers"),
        (batch(0), "train has 0 images and 0 labels"),
        (batch(3, key=b"labels"), "train is no CIFAR batch: it has no 'fine_labels'"),
        (batch(3, labels=np.array([1.0, 2.0, 3.0])), "fine_labels is not a list of whole numbers"),
        (batch(3, labels=np.array([[1], [2], [3]])), "fine_labels is not a list of whole numbers"),
        (with_data(np.zeros((3, 3071), np.uint8)), rf"data is an array of uint8 and shape \(3, 3071\), {ROWS}"),
        (with_data(np.zeros((3, 32, 3, 32), np.uint8)), rf"array of uint8 and shape \(3, 32, 3, 32\), {ROWS}"),
        (with_data(np.zeros(3072, np.uint8)), rf"array of uint8 and shape \(3072,\), {ROWS}"),
        (with_data(np.zeros((3, 3072))), rf"array of float64 and shape \(3, 3072\), {ROWS}"),
        (with_data([*np.zeros((3, 3072), np.uint8)]), rf"train: data is a list, {ROWS}"),
        (with_data([[0] * 3072] * 3), rf"train: data is a list, {ROWS}"),
        (with_data(bytes(3072)), rf"train: data is a bytes, {ROWS}"),
        ([1, 2], DAMAGED),
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
    with pytest.raises(DataError, match=DAMAGED):
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
    path = tmp_path / "cifar-100-python.tar.gz"
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="is no readable archive: Not a gzipped file"):
        datasets.load("cifar100", str(path))
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-100-python/train")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="cifar-100-python/train is not a plain file"):
        datasets.load("cifar100", str(path))


def test_an_archive_is_never_unpacked_so_its_names_lead_nowhere(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    names = {f"cifar-100-python/{part}": pickle.dumps(batch(), protocol=2) for part in ("train", "test")}
    outside = {"../outside": b"x", f"{tmp_path}/outside": b"x"}
    (inside / "cifar-100-python.tar.gz").write_bytes(archive(**names, **outside))
    assert len(datasets.load("cifar100", str(inside)).train_labels) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in inside.iterdir()] == ["cifar-100-python.tar.gz"]


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, "holds no readable cifar-100-python/train: "),
        ({"GNU.sparse.map": "a,b"}, "holds no readable cifar-100-python/train: "),
        ({"GNU.sparse.size": "z"}, "holds no readable cifar-100-python/train: "),
        ({"GNU.sparse.map": "0,5", "GNU.sparse.size": str(2**40)}, "train is not a plain file"),
    ],
    ids=["no numbers", "letters in the map", "a letter for the size", "claims more than it holds"],
)
def test_an_archive_with_false_headers_is_one_line(tmp_path, headers, complaint):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(archive(headers, **{"cifar-100-python/train": b"holes"}))
    with pytest.raises(DataError, match=complaint):
        datasets.load("cifar100", str(tmp_path))


@pytest.mark.parametrize("name", ["cifar-100-python/train", "before/it"])
def test_an_archive_with_a_bomb_inside_is_refused_before_it_fills_the_memory(tmp_path, name, monkeypatch):
    """Both as the file that is read and as one that is only passed over."""
    monkeypatch.setattr(cifar_files, "LARGEST_BYTES", 5 * 2**20)
    bomb = tmp_path / "cifar-100-python.tar.gz"
    bomb.write_bytes(archive(**{name: bytes(7 * 2**20), "cifar-100-python/test": pickle.dumps(batch())}))
    assert bomb.stat().st_size < 2**17
    with pytest.raises(DataError, match="unpacks to more than 5,242,880 bytes"):
        datasets.load("cifar100", str(bomb))
