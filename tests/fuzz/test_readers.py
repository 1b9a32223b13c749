"""What strangers give, mutated: each reader reads it or says in its own words why not, and nothing else happens.

Two hundred examples each by default, the same ones every time; `tox -e fuzz` takes 10,000 others each time
(docs/reliability.md).
"""

import gzip
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

import benchmarks
from benchmarks import datasets
from benchmarks.datasets import DataError
from benchmarks.suite import InputError, suites
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


IMAGES = [png(), png("L"), png("RGBA"), png(size=(8, 9)), png("1"), png("I;16")]


@fuzzed
@given(content=mutations(IMAGES), suffix=st.sampled_from([".png", ".jpg", ".webp", ".bmp"]))
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
        assert data.train_images.shape == (3, 8, 8, 3)


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
