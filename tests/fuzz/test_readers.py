"""What strangers give, mutated: each reader reads it or says in its own words why not, and nothing else happens.

Two hundred examples each by default, the same ones every time; `tox -e fuzz` takes 10,000 others each time
(docs/reliability.md).
"""

import gzip
import io
import json
import os
import pickle
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import benchmarks
from benchmarks import datasets
from benchmarks.datasets import DataError
from benchmarks.image_files import SUFFIXES
from benchmarks.inputs import InputError
from benchmarks.suite import suites
from results import store
from tests.benchmarks.test_datasets import Executes, archive, batch, png

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
fuzzed = settings(
    max_examples=int(EXAMPLES or 200),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
SUITES = [path.read_bytes() for path in sorted((Path(benchmarks.__file__).parent / "suites").glob("*.toml"))]
RECORDS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "results/samples").glob("*-[12].json"))]
ODD = [
    b"", b"\x00", b"\n", b"\xff\xfe", b"\x1b[2J", b'"', b"'", b"{", b"]", b"null", b"NaN", b"-1", b"1e999", b"0",
    b"9" * 400, b"../../x", b"<script>alert(1)</script>", b"$(touch x)", b"; touch x", "\u202e".encode(), b"=",
]  # fmt: skip


def _mutated(original: bytes, edits: list[tuple[int, int, int, bytes]]) -> bytes:
    content = bytearray(original)
    for kind, place, length, value in edits:
        start = place % (len(content) + 1)
        end = min(len(content), start + length)
        if kind == 0:
            content[start:end] = value
        elif kind == 1:
            del content[start:end]
        elif kind == 2:
            content[start:start] = content[start:end]
        elif kind == 3 and content:
            content[start % len(content)] ^= 1 << (length % 8)
        else:
            del content[start:]
    return bytes(content)


def mutations(originals):
    """One of the originals with a few bytes of it replaced, removed, repeated, flipped or cut off; or any bytes."""
    edit = st.tuples(
        st.integers(0, 4),
        st.integers(0, 10**6),
        st.integers(0, 40),
        st.one_of(st.sampled_from(ODD), st.binary(max_size=9)),
    )
    edited = st.builds(_mutated, st.sampled_from(originals), st.lists(edit, max_size=4))
    return st.one_of(edited, edited, edited, st.binary(max_size=200))


def pickled(protocol=2, **changes):
    return pickle.dumps(batch(3) | {name.encode(): value for name, value in changes.items()}, protocol)


def cifar100(headers=None, **members):
    return archive(headers, **{f"cifar-100-python/{name}": content for name, content in members.items()})


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """The tests run in a folder of their own, which is empty before them and has to be after."""
    folder, before = tmp_path_factory.mktemp("elsewhere"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)
    assert list(folder.iterdir()) == []


BATCHES = [
    pickled(), pickled(4), pickled(5), pickled(data=[1, 2]), pickled(fine_labels=["x"]),
    pickled(data=np.zeros((3, 32, 32, 3), np.uint8)), pickled(fine_labels=np.array([1, 2, 3])),
    pickle.dumps(Executes("touched")), pickled(more=Executes("touched")),
]  # fmt: skip


@fuzzed
@given(train=mutations(BATCHES), test=mutations(BATCHES[:1]))
def test_a_cifar_folder(train, test):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cifar-100-python"
        folder.mkdir()
        (folder / "train").write_bytes(train)
        (folder / "test").write_bytes(test)
        try:
            data = datasets.load("cifar100", name)
        except DataError:
            return
        assert len(data.train_images) == len(data.train_labels) > 0
        assert data.train_images.shape[1:] == (32, 32, 3)
        assert data.train_labels.min() >= 0
        assert data.train_labels.max() < 100


SPARSE = {"GNU.sparse.map": "0,3,9,9", "GNU.sparse.size": "30"}
ARCHIVES = [
    cifar100(train=pickled(), test=pickled()), cifar100(train=pickle.dumps(Executes("touched")), test=pickled()),
    cifar100(SPARSE, train=pickled(), test=pickled()),
    cifar100({"path": "../up", "mtime": "1e3"}, train=pickled(), test=pickled()),
]  # fmt: skip
PLAIN = [gzip.decompress(packed) for packed in ARCHIVES]


@fuzzed
@given(packed=mutations(ARCHIVES) | mutations(PLAIN).map(lambda tar: gzip.compress(tar, 1)))
def test_a_cifar_archive(packed):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cifar-100-python.tar.gz"
        path.write_bytes(packed)
        with suppress(DataError):
            datasets.load("cifar100", name)
        assert [found.name for found in Path(name).iterdir()] == [path.name], "nothing is unpacked"


def image(kind, mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, (8, 9)).save(file, kind, **options)
    return file.getvalue()


TURNED = Image.Exif()
TURNED[0x0112] = 6
IMAGES = [
    png(), png("L"), png("RGBA"), png(size=(8, 9)), png("1"), png("I;16"), png("P"), png("LA"),
    image("JPEG", exif=TURNED), image("JPEG", "CMYK"), image("WEBP", exif=TURNED), image("BMP"), image("GIF", "P"),
    image("TIFF", exif=TURNED), image("TIFF", "F"), image("TIFF", "I;16"), image("PPM"), image("JPEG2000"),
    image("AVIF"),
]  # fmt: skip


@fuzzed
@given(content=mutations(IMAGES), suffix=st.sampled_from([".png", ".jpg", ".webp", ".tif", ".gif"]))
def test_a_folder_of_images(content, suffix):
    with tempfile.TemporaryDirectory() as name:
        for part in ("train", "test"):
            for kind in ("a", "b"):
                (Path(name) / part / kind).mkdir(parents=True)
                (Path(name) / part / kind / "0.png").write_bytes(png())
        (Path(name) / "train" / "b" / f"1{suffix}").write_bytes(content)
        try:
            data = datasets.load("folder", name)
        except DataError:
            return
        _, height, width, channels = data.train_images.shape
        assert (height, width) in {(8, 8), (32, 32)}
        assert channels == 3


NAMES = st.sampled_from(
    ["train", "Test", "val", "cat", ".x", "__MACOSX", "a b", "\u202e", "1.png", "2.GIF", "x.txt", "é"]
)


@fuzzed
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=5), max_size=12))
def test_a_folder_laid_out_anyhow(paths):
    """Folders and files of any of these names, one within the other; each file is an image."""
    with tempfile.TemporaryDirectory() as name:
        for parts in paths:
            path = Path(name, *parts)
            with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png())
        files = [file for file in Path(name).rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES]
        with suppress(DataError):
            shape = datasets.survey("folder", name).shape
            data = datasets.load("folder", name)
            assert len(data.train_images) == shape.train_images <= len(files)
            assert len(data.train_images) + len(data.test_images) <= len(files)


def arrays(**changes):
    rng = np.random.default_rng(3)
    given = {"x_train": rng.integers(256, size=(5, 6, 7), dtype=np.uint8), "y_train": np.arange(5) % 2}
    given |= {"x_test": given["x_train"][:3], "y_test": given["y_train"][:3]}
    file = io.BytesIO()
    np.savez(file, **given | changes)
    return file.getvalue()


@fuzzed
@given(
    content=mutations([
        arrays(), arrays(y_train=np.eye(5)), arrays(x_train=np.zeros((5, 6, 7))), arrays(y_test=np.array([None])),
        arrays(x_train=np.array([Executes("touched")], object)),
    ])
)  # fmt: skip
def test_a_file_of_arrays(content):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "some.npz"
        path.write_bytes(content)
        with suppress(DataError):
            data = datasets.load("npz", str(path))
            assert len(data.train_images) == len(data.train_labels) > 0
            assert 0 <= data.train_labels.min() <= data.train_labels.max() < data.classes


IDX = [
    bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28)) + bytes(2 * 28 * 28),
    bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 7]),
]


@fuzzed
@given(images=mutations(IDX), labels=mutations(IDX[::-1]), packed=st.booleans())
def test_mnists_files(images, labels, packed):
    with tempfile.TemporaryDirectory() as name:
        contents = dict.fromkeys(datasets.MNIST.hashes, b"")
        for file in contents:
            content = images if "images" in file else labels
            path = Path(name) / (file if packed else file.removesuffix(".gz"))
            path.write_bytes(gzip.compress(content, 1) if packed else content)
        with suppress(DataError):
            data = datasets.load("mnist", name)
            assert data.train_images.shape[1:] == (28, 28, 1)


@fuzzed
@given(content=mutations(SUITES))
def test_a_suite(content):
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "mine.toml").write_bytes(content)
        try:
            (found,) = suites(Path(name)).values()
        except InputError:
            return
        assert found.question is not None


def checksummed(record):
    """The record with the checksum that it would have, as a forger's has: what stands behind it is read too."""
    try:
        content = json.loads(record)
        checksum = store._checksum(record)
    except (ValueError, AttributeError, RecursionError):
        return record
    return json.dumps(content | {"checksum": checksum}).encode() if isinstance(content, dict) else record


def test_records_that_nobody_changed_are_read():
    for content in (*RECORDS, *map(checksummed, RECORDS)):
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "records").mkdir()
            (Path(name) / "records" / "one.json").write_bytes(content)
            assert store.load(Path(name)).broken == {}


@fuzzed
@given(content=mutations(RECORDS) | mutations(RECORDS).map(checksummed))
def test_a_record(content):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        folder.mkdir()
        (folder / "one.json").write_bytes(content)
        run = store.load(Path(name))
        assert len(run.results) + len(run.failures) + len(run.broken) == 1
        assert set(run.broken) <= {"one.json"}
