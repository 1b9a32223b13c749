"""Reads arrays of images: .npz files with Keras's or MedMNIST's keys, and MNIST's own format. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import gzip
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from benchmarks.downloads import downloaded, keras_home
from benchmarks.image_files import DataError, DatasetShape, Images, Survey, Wanted, by, fitted

if TYPE_CHECKING:
    import numpy as np

LARGEST_BYTES = 2**34
KEYS = {
    "Keras": (("x_train", "y_train"), ("x_test", "y_test")),
    "MedMNIST": (("train_images", "train_labels"), ("test_images", "test_labels")),
}
VALIDATION = {"Keras": ("x_val", "y_val"), "MedMNIST": ("val_images", "val_labels")}
EXPECTED = "expected x_train, y_train, x_test, y_test, or train_images, train_labels, test_images, test_labels"


@dataclass(frozen=True)
class Arrays:
    """The arrays of an .npz file by their headers: name -> shape; `keys` names whose they are."""

    path: Path
    keys: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parts(self) -> list[list[tuple[str, str]]]:
        """The names of images and labels of the training and of the test part; validation images are trained on."""
        train, test = KEYS[self.keys]
        validation = VALIDATION[self.keys]
        return [[train, *([validation] if validation[0] in self.shapes else [])], [test]]

    def survey(self, wanted: Wanted) -> Survey:
        """Returns the shape of its images as they are wanted, or else as they are. Raises `DataError`."""
        images = {self.shapes[name][1:] for part in self.parts for name, _ in part}
        if len(images) > 1:
            raise DataError(f"{self.path} has images of different shapes: {', '.join(map(str, sorted(images)))}")
        (own,) = images
        channels = own[2] if len(own) == 3 else 1
        if len(own) not in (2, 3) or channels not in (1, 3):
            raise DataError(f"{self.path} has images of shape {own}; expected (height, width), then 1, 3 or nothing")
        size, notes = wanted.size or (own[0], own[1]), []
        if size != own[:2]:
            notes.append(f"images {by((own[0], own[1]))} are scaled and cropped to {by(size)} (--image-size)")
        if wanted.mode:
            channels = 1 if wanted.mode == "grey" else 3
        if len(self.parts[0]) > 1:
            notes.append("the file's validation images are trained on; the last part of the training images validates")
        train = sum(self.shapes[name][0] for name, _ in self.parts[0])
        return Survey(DatasetShape(*size, channels, self.classes, train), tuple(notes))

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return 1 + max(int(_labels(self.read(name), name).max()) for part in self.parts for _, name in part)

    def read(self, name: str) -> np.ndarray:
        import numpy as np

        with _explained(self.path), np.load(self.path, allow_pickle=False) as arrays:
            read: np.ndarray = arrays[name]
            return read


def found_npz(data_dir: str | None) -> Arrays:
    """Finds the arrays of an .npz file, the only one of its folder, by their headers. Raises `DataError`."""
    if data_dir is None:
        raise DataError(f"the dataset 'npz' needs --data-dir FILE.npz; {EXPECTED}")
    path = Path(data_dir)
    if path.is_dir():
        inside = sorted(path.glob("*.npz"))
        if len(inside) != 1:
            raise DataError(f"{path} has {len(inside)} .npz files; name one with --data-dir FILE.npz")
        path = inside[0]
    if not path.is_file():
        raise DataError(f"{path} does not exist; {EXPECTED}")
    with _explained(path), zipfile.ZipFile(path) as archive:
        shapes = {info.filename.removesuffix(".npy"): _shape(archive, info) for info in archive.infolist()}
    for keys, parts in KEYS.items():
        if all(name in shapes for part in parts for name in part):
            return Arrays(path, keys, shapes)
    raise DataError(f"{path} has the arrays {', '.join(sorted(shapes)[:9]) or 'none'}; {EXPECTED}")


def _shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    """Reads the shape of an array, which must be as large as its file says: NumPy would make it first."""
    import numpy as np

    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape: tuple[int, ...]
        shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > min(info.file_size, LARGEST_BYTES):
        raise ValueError(f"{info.filename} says that it is {shape} of {dtype}, and has {info.file_size:,} bytes")
    return shape


def survey_npz(data_dir: str | None, wanted: Wanted) -> Survey:
    """Finds the shape of an .npz file's images, by its headers. Raises `DataError`."""
    return found_npz(data_dir).survey(wanted)


def read_npz(data_dir: str | None, shape: DatasetShape) -> Images:
    """Reads all images of an .npz file at the shape. Raises `DataError`."""
    import numpy as np

    arrays = found_npz(data_dir)
    parts: list[np.ndarray] = []
    for part in arrays.parts:
        images = [fitted(_uint8(arrays.read(name), name), shape) for name, _ in part]
        labels = [_labels(arrays.read(name), name) for _, name in part]
        for (name, _), some, their in zip(part, images, labels, strict=True):
            if len(some) != len(their) or not len(some):
                raise DataError(f"{name} has {len(some)} images and {len(their)} labels")
        parts += [np.concatenate(images) if len(images) > 1 else images[0], np.concatenate(labels)]
    train_images, train_labels, test_images, test_labels = parts
    return Images(shape.classes, train_images, train_labels, test_images, test_labels)


def _uint8(images: np.ndarray, name: str) -> np.ndarray:
    if images.dtype != "uint8":
        raise DataError(f"{name} is of {images.dtype}; expected uint8, from 0 to 255")
    return images[..., None] if images.ndim == 3 else images


def _labels(labels: np.ndarray, name: str) -> np.ndarray:
    """Labels `(n,)` as int64, from `(n,)`, `(n, 1)` or one-hot rows."""
    import numpy as np

    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    is_whole = labels.ndim == 1 and len(labels) and labels.dtype.kind in "iuf" and (labels == np.floor(labels)).all()
    if not is_whole or labels.min() < 0 or labels.max() >= 10_000:
        raise DataError(f"{name} is no list of one class per image: expected whole numbers from 0 on, or one-hot rows")
    return labels.astype(np.int64)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file can raise anything
        raise DataError(f"{path} is no readable .npz file: {' '.join(str(error).split())[:200]}") from None


@dataclass(frozen=True)
class IdxFiles:
    """A dataset of grey images of 28 x 28 in MNIST's own format: four files, packed or not, each with its hash.

    `folder` is where torchvision keeps them, `site` where they are downloaded from.
    """

    name: str
    folder: str
    site: str
    hashes: Mapping[str, str]

    def found(self, data_dir: str | None) -> Path:
        """Finds the folder of its files, and downloads them where no folder was named. Raises `DataError`."""
        of_keras = keras_home() / "datasets" / self.name
        root = of_keras if data_dir is None else Path(data_dir)
        for place in (root, root / self.folder, root / self.name):
            if all((place / file).is_file() or (place / file.removesuffix(".gz")).is_file() for file in self.hashes):
                return place
        if data_dir is not None:
            raise DataError(f"no {self.name} in {data_dir}; expected a folder that holds {', '.join(self.hashes)}")
        for file, sha256 in self.hashes.items():
            downloaded(self.name, f"{self.site}/{file}", of_keras, sha256)
        return of_keras

    def survey(self, data_dir: str | None, _: Wanted) -> Survey:
        """Returns the shape of its images, once they are there. Raises `DataError`."""
        if data_dir is not None:
            self.found(data_dir)
        return Survey(DatasetShape(28, 28, 1, 10, 60_000))

    def read(self, data_dir: str | None, _: DatasetShape) -> Images:
        """Reads its images from `data_dir`, or else from where they are downloaded to. Raises `DataError`."""
        folder = self.found(data_dir)
        arrays = [_idx(folder, file) for file in self.hashes]
        for images, labels in (arrays[:2], arrays[2:]):
            if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or not len(labels) or labels.max() > 9:
                raise DataError(f"{folder} holds arrays of {images.shape} and {labels.shape}; expected MNIST's")
        train_images, train_labels, test_images, test_labels = arrays
        return Images(
            10,
            train_images[..., None],
            train_labels.astype("int64"),
            test_images[..., None],
            test_labels.astype("int64"),
        )


def _idx(folder: Path, file: str) -> np.ndarray:
    """Reads an array of bytes: http://yann.lecun.com/exdb/mnist/ describes the format."""

    packed = folder / file
    path = packed if packed.is_file() else folder / file.removesuffix(".gz")
    try:
        with gzip.open(path) if path == packed else path.open("rb") as content:
            return _array(content)
    except Exception as error:
        raise DataError(f"{path} is no readable file of MNIST's format: {' '.join(str(error).split())[:200]}") from None


def _array(content: BinaryIO | gzip.GzipFile) -> np.ndarray:
    import numpy as np

    zero, kind, dimensions = struct.unpack(">HBB", content.read(4))
    if (zero, kind) != (0, 8) or dimensions not in (1, 3):
        raise ValueError("it does not begin as one")
    shape = struct.unpack(f">{dimensions}I", content.read(4 * dimensions))
    size = math.prod(shape)
    if size > LARGEST_BYTES:
        raise ValueError(f"it says that it is {shape}")
    return np.frombuffer(content.read(size), np.uint8).reshape(shape)
