"""Reads CIFAR's pickles from their folder or archive, and downloads them if need be. Nothing in them is executed."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import re
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from benchmarks.downloads import downloaded, keras_home
from benchmarks.image_files import DataError, DatasetShape, Images, Survey, Wanted

if TYPE_CHECKING:
    import numpy as np

SITE = "https://www.cs.toronto.edu/~kriz"
LARGEST_BYTES = 512 * 2**20
"""The limit of a file, and of all that an archive holds: a small archive can unpack to gigabytes."""


@dataclass(frozen=True)
class CifarFiles:
    """A dataset of 32 x 32 colour images in CIFAR's format.

    It has a standard folder, an archive on its `SITE` with a hash, the files in both, and the key of the labels, which
    are whole numbers below `classes`.
    """

    name: str
    folder: str
    archive: str
    archive_sha256: str
    train: tuple[str, ...]
    test: str
    labels: str
    classes: int

    def survey(self, data_dir: str | None, _: Wanted) -> Survey:
        """Returns the shape of its images, once they are there. Raises `DataError`."""
        if data_dir is not None:
            self._find(Path(data_dir))
        return Survey(DatasetShape(32, 32, 3, self.classes, 50_000))

    def read(self, data_dir: str | None, _: DatasetShape) -> Images:
        """Reads its images from `data_dir`, or else from where Keras keeps its datasets. Raises `DataError`."""
        import numpy as np

        where = self._find_or_download() if data_dir is None else self._find(Path(data_dir))
        archive = None if where.is_dir() else _unpacked(where)

        def batch(name: str) -> tuple[np.ndarray, np.ndarray]:
            file = _file(where / name) if archive is None else _member(archive, where, f"{self.folder}/{name}")
            return _batch(file, name, self.labels, self.classes)

        images, labels = (np.concatenate(parts) for parts in zip(*map(batch, self.train), strict=True))
        return Images(self.classes, images, labels, *batch(self.test))

    def _find(self, path: Path) -> Path:
        """Finds the standard folder, which `path` is or contains, or its archive."""
        of_keras = path / f"{self.folder}-target" / self.folder  # as it unpacks the archive
        for folder in (path, path / self.folder, of_keras, *sorted(path.glob(f"*/{self.folder}"))):
            if (folder / self.train[0]).is_file():
                return folder
        for archive in (path, path / self.archive):
            if archive.is_file():
                return archive
        missing = f"no {self.name} in {path}" if path.exists() else f"data folder {path} does not exist"
        raise DataError(f"{missing}; expected a folder that is or contains {self.folder}, or {self.archive}")

    def _find_or_download(self) -> Path:
        folder = keras_home() / "datasets"
        with contextlib.suppress(DataError):
            return self._find(folder)
        return downloaded(self.name, f"{SITE}/{self.archive}", folder, self.archive_sha256)


def _file(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise DataError(f"{path} is missing")
    if path.stat().st_size > LARGEST_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _unpacked(archive: Path) -> bytes:
    """Unpacks a tar archive in memory: nothing is ever unpacked to disk."""
    try:
        with gzip.open(archive) as packed:
            content = packed.read(LARGEST_BYTES + 1)
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{archive} is no readable archive: {' '.join(str(error).split())}") from None
    if len(content) > LARGEST_BYTES:
        raise DataError(f"{archive} unpacks to more than {LARGEST_BYTES:,} bytes")
    return content


def _member(content: bytes, archive: Path, member: str) -> IO[bytes]:
    """Opens one file of the unpacked archive."""
    try:
        tar = tarfile.open(fileobj=io.BytesIO(content), mode="r:")  # noqa: SIM115, the caller reads from the member
        info = tar.getmember(member if member in tar.getnames() else f"./{member}")
        file = tar.extractfile(info) if info.isreg() and info.size <= len(content) else None  # a sparse one can lie
    except Exception as error:
        raise DataError(f"{archive} holds no readable {member}: {' '.join(str(error).split())}") from None
    if file is None:
        raise DataError(f"{archive}: {member} is not a plain file")
    return file


def _batch(file: IO[bytes], name: str, labels_key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads images `(n, 32, 32, 3)` and labels `(n,)` of one pickled batch."""
    import numpy as np

    try:
        with file:
            batch = {_text(key): value for key, value in _ArraysOnly(file, encoding="bytes").load().items()}
        data, labels = (_array(v) if isinstance(v, _Made) else v for v in (batch["data"], batch[labels_key]))
    except KeyError as error:
        raise DataError(f"{name} is no CIFAR batch: it has no {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{name} is damaged or no CIFAR batch: {' '.join(str(error)[:200].split())}") from None
    images = _pixels(data, name)
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < classes for label in labels):
        raise DataError(f"{name}: {labels_key} is not a list of whole numbers from 0 to {classes - 1}")
    if len(labels) != len(images) or not labels:
        raise DataError(f"{name} has {len(images)} images and {len(labels)} labels")
    return images, np.asarray(labels, np.int64)


def _pixels(data: object, name: str) -> np.ndarray:
    """Arranges a batch's pixels, which come channel after channel or, by their shape, pixel after pixel."""
    import numpy as np

    found = f"a {type(data).__name__}"
    if isinstance(data, np.ndarray):
        if data.dtype == np.uint8 and data.shape[1:] == (32, 32, 3):
            return data.copy()
        if data.dtype == np.uint8 and data.shape[1:] in ((3072,), (3, 32, 32)):
            return np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        found = f"an array of {data.dtype} and shape {data.shape}"
    raise DataError(f"{name}: data is {found}, expected a uint8 array of shape (n, 3072)")


class _Made:
    """Stands for a NumPy array or its dtype while a pickle is read, and only keeps what it is made of.

    So no NumPy code runs on a stranger's file.
    """

    of: tuple[Any, ...] = ()
    state: tuple[Any, ...] = ()

    def __init__(self, *of: object) -> None:
        self.of = of

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _ArraysOnly(pickle._Unpickler):
    """Admits NumPy arrays, bytes, str, int, list and dict, and calls nothing that a pickle names.

    It is Python's and not C's, which sizes its memo by a number in the file: nine bytes would take a gigabyte. Python's
    does the same with a bytearray, which is read here like bytes.
    """

    read: Callable[[int], bytes]
    append: Callable[[object], None]

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    def find_class(self, module: str, name: str) -> Any:
        match module.replace("numpy._core", "numpy.core"), name:
            case ("numpy", "ndarray" | "dtype"):
                return _Made
            case ("numpy.core.multiarray", "_reconstruct") | ("numpy.core.numeric", "_frombuffer"):
                return _Made
            case ("_codecs", "encode") | ("__builtin__", "bytes"):  # how protocol 2 writes bytes, and none
                return _latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays and plain values are admitted")


def _latin1(text: str = "", encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode(encoding)


def _array(made: _Made) -> np.ndarray:
    """Makes the array that was pickled, as `_reconstruct` or `_frombuffer` would, if it is one of numbers."""
    import numpy as np

    if made.state:
        _, shape, dtype, column_major, raw = made.state
    else:
        raw, dtype, shape, order = made.of
        column_major = order != "C"
    kind = f"{_text(dtype.state[1])}{_text(dtype.of[0])}"
    if not re.fullmatch(r"[|<>=][iuf][1248]", kind):
        raise pickle.UnpicklingError(f"an array of {kind}")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if column_major else "C")


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
