"""The images: scikit-learn's digits, CIFAR-10, CIFAR-100, or a folder of images. Imports NumPy only when it loads."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.util
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from benchmarks.environment import MODULES

if TYPE_CHECKING:
    import numpy as np


class DataError(Exception):
    """The data cannot be used; the message is one line that says why and what is expected."""


@dataclass(frozen=True)
class DatasetShape:
    """Images of `(image_size, image_size, channels)` in `classes` classes."""

    image_size: int
    channels: int
    classes: int


@dataclass(frozen=True)
class Dataset:
    """Images as uint8 `(n, image_size, image_size, channels)`, labels as int64 `(n,)`; a folder names its classes."""

    shape: DatasetShape
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of every pixel and label in their order. The order matters: it decides the validation split."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def content_sha256(self) -> str:
        """Hash of the images with their labels, whatever their order within training and test set: it tells which
        dataset this is, also where an archive lists it in another order."""
        digest = hashlib.sha256()
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            pairs = (image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True))
            digest.update(b"".join(sorted(hashlib.sha256(pair).digest() for pair in pairs)))
        return digest.hexdigest()


SHAPES = {"digits": DatasetShape(8, 1, 10), "cifar10": DatasetShape(32, 3, 10), "cifar100": DatasetShape(32, 3, 100)}
NAMES = (*SHAPES, "folder")
DIGITS_TEST_IMAGES = 360
LARGEST_FILE_BYTES = 256 * 2**20
LARGEST_ARCHIVE_BYTES = 2**30
LARGEST_IMAGE_SIDE = 1024


def shape(name: str, data_dir: str | None) -> DatasetShape:
    """Image size, channels and classes of a dataset, without reading its images. Raises `DataError`."""
    if name != "folder":
        if name in CIFAR and data_dir is not None:
            _cifar_files(name, Path(data_dir))
        return SHAPES[name]
    root = _folder_root(data_dir)
    classes = _class_names(root / "train")
    pixels = _pixels(_image_files(root / "train" / classes[0])[0])
    return DatasetShape(pixels.shape[1], pixels.shape[2], len(classes))


def load(name: str, data_dir: str | None) -> Dataset:
    """Reads a dataset of `NAMES`. CIFAR without a `data_dir` is what Keras has downloaded, or downloads now.

    Raises `DataError` for a folder that is missing, incomplete, damaged or holds anything but the images.
    """
    if name == "digits":
        return _digits()
    if name == "folder":
        return _folder(_folder_root(data_dir))
    if data_dir is None:
        return _from_keras(name)
    return CIFAR[name](_cifar_files(name, Path(data_dir)))


PARTS = ("train_images", "train_labels", "test_images", "test_labels")


def save(data: Dataset, folder: Path) -> None:
    """Writes a dataset's arrays into `folder`, which is made, for `saved`."""
    import numpy as np

    folder.mkdir()
    for part in PARTS:
        np.save(folder / f"{part}.npy", getattr(data, part), allow_pickle=False)


def saved(name: str, folder: Path) -> Dataset:
    """What `save` has written of the dataset of that name. Its arrays are the files' pages, which processes share."""
    import numpy as np

    train_images, train_labels, test_images, test_labels = (
        np.asarray(np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False)) for part in PARTS
    )
    size, channels = train_images.shape[1], train_images.shape[3]
    known = SHAPES.get(name) or DatasetShape(size, channels, int(train_labels.max()) + 1)
    return Dataset(known, train_images, train_labels, test_images, test_labels)


def training_images(images: int, validation_split: float) -> int:
    """How many of the training set's first images are trained on; the rest, the last ones, validate.

    Raises `DataError` where either part would be empty.
    """
    validation = int(images * validation_split)
    if not 0 < validation < images:
        raise DataError(f"validation_split {validation_split} of {images} images leaves a part with none")
    return images - validation


def chosen_images(seed: int, share: float, images: int) -> np.ndarray:
    """Which of the training images are trained on, in their own order: a function of the seed, no variant.

    A smaller share of a seed is part of a larger one. Raises `DataError` for a share that leaves none.
    """
    import numpy as np

    count = round(images * share)
    if count == 0:
        raise DataError(f"train_share {share} of {images} images leaves none to train on")
    return np.sort(np.random.default_rng([seed]).permutation(images)[:count])


def split(data: Dataset, seed: int, validation_split: float, train_share: float) -> tuple[np.ndarray, slice]:
    """Which images of the training set are trained on, and which ones validate.

    Raises `DataError` where a part has no images or, as files that are sorted by class leave it, lacks a class: its
    accuracy would be none of the dataset's.
    """
    images = len(data.train_images)
    first = training_images(images, validation_split)
    chosen, validation = chosen_images(seed, train_share, first), slice(first, images)
    parts = {
        "training": data.train_labels[chosen],
        "validation": data.train_labels[validation],
        "test": data.test_labels,
    }
    lacking = [f"{part} lacks {_lacking(labels, data)}" for part, labels in parts.items() if _lacking(labels, data)]
    if lacking:
        share = "" if train_share == 1 else f" and train_share {train_share} trains on {len(chosen):,} of the others"
        raise DataError(
            f"{'; '.join(lacking)}: each needs images of all classes "
            f"(the last {images - first:,} of {images:,} training images validate{share})"
        )
    return chosen, validation


def _lacking(labels: np.ndarray, data: Dataset) -> str:
    """The classes of which there is no label: "2 of 10 classes: 8, 9"; "" where there is none."""
    classes = data.shape.classes
    present = set(labels.tolist())
    missing = [str(data.class_names[k] if data.class_names else k) for k in range(classes) if k not in present]
    names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    return f"{len(missing)} of {classes} classes: {names}" if missing else ""


def _digits() -> Dataset:
    """1,797 real scans of 8 x 8 pixels (UCI optdigits); 360 of them, alike for each class, are the test set."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, digits.target.astype(np.int64), test_size=DIGITS_TEST_IMAGES, random_state=0, stratify=digits.target
    )
    return Dataset(SHAPES["digits"], train_images, train_labels, test_images, test_labels)


KERAS_HOME, OWN_KERAS_HOME = "EANET_ABLATION_KERAS_HOME", "eanet-ablation-keras"
"""The variable that tells workers where the user's Keras keeps its datasets, and the name of the KERAS_HOME that they
have themselves, without the user's keras.json."""


def keras_home() -> Path:
    """The folder of the user's Keras."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return Path(os.environ[KERAS_HOME]) if home.name == OWN_KERAS_HOME else home


def _from_keras(name: str) -> Dataset:
    """What Keras has downloaded into its folder, or downloads now, read as any other folder."""
    home = keras_home()
    try:
        files = _cifar_files(name, home / "datasets")
    except DataError:
        _download(name, home)
        files = _cifar_files(name, home / "datasets")
    return CIFAR[name](files)


def _download(name: str, home: Path) -> None:
    """Has Keras download a dataset into its folder `home`, in a process of its own.

    Keras is imported with a backend that is installed: this process needs none, and Keras's NumPy backend needs JAX.
    """
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    if os.access(home, os.W_OK):  # elsewhere Keras would go to /tmp, where anybody may have put anything
        backend = next(backend for backend, module in MODULES.items() if importlib.util.find_spec(module))
        variables = os.environ | {"KERAS_HOME": str(home), "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", f"import keras; keras.datasets.{name}.load_data()"]
        done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return
        (*_, said) = [f"status {done.returncode}", *done.stderr.strip().splitlines()]
        reason = said.removeprefix("Exception: ")
    else:
        reason = f"Keras cannot write into {home}"
    raise DataError(f"could not download {name} ({reason}): give its folder with --data-dir DIR")


class _PickledArray:
    """Stands in for a NumPy array while a pickle is read, so that no NumPy code runs on what a stranger wrote."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def values(self) -> np.ndarray:
        """The array that was pickled, if it is one of numbers."""
        import numpy as np

        _, shape, dtype, column_major, raw = self.state
        return np.frombuffer(raw, dtype.name()).reshape(shape, order="F" if column_major else "C")


class _PickledDtype:
    order = "|"

    def __init__(self, kind: object = "", *_: object) -> None:
        self.kind = kind.decode() if isinstance(kind, bytes) else kind

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1].decode() if isinstance(state[1], bytes) else state[1]

    def name(self) -> str:
        """As NumPy reads it: the byte order and then, of integers and floats alone, kind and bytes."""
        name = f"{self.order}{self.kind}"
        if not re.fullmatch(r"[|<>=][iuf][1248]", name):
            raise pickle.UnpicklingError(f"an array of {name}")
        return name


def _array_from_buffer(buffer: bytes, dtype: Any, array_shape: tuple[int, ...], order: str) -> _PickledArray:
    if not isinstance(buffer, bytes | bytearray):
        raise pickle.UnpicklingError("an array whose values are not bytes")
    array = _PickledArray()
    array.__setstate__((1, array_shape, dtype, order != "C", bytes(buffer)))
    return array


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


class _ArraysOnly(pickle._Unpickler):
    """Admits NumPy arrays of numbers, bytes, str, int, list and dict, and calls nothing that a pickle names.

    In Python, not in C: the C one sizes its memo by a number in the file, and nine bytes would take a gigabyte. So does
    Python's with a bytearray, which is read here as bytes are.
    """

    read: Callable[[int], bytes]
    append: Callable[[object], None]

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    ADMITTED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledDtype,
        ("_codecs", "encode"): _latin1,
        ("__builtin__", "bytes"): lambda: b"",  # how protocol 2 writes no bytes
        **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _PickledArray() for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): _array_from_buffer for core in ("core", "_core")},
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays and plain values are admitted")
        return self.ADMITTED[module, name]


Opener = Callable[[str], IO[bytes]]
"""Opens a file of a dataset by its bare name; raises `DataError` where it is missing or too large."""


def _cifar_files(name: str, path: Path) -> Opener:
    """Opens files out of `path`, which is the standard folder, contains it, or is or contains its archive."""
    folder = {"cifar100": "cifar-100-python", "cifar10": "cifar-10-batches-py"}[name]
    archive = {"cifar100": "cifar-100-python.tar.gz", "cifar10": "cifar-10-python.tar.gz"}[name]
    marker = {"cifar100": "train", "cifar10": "data_batch_1"}[name]
    if not path.exists():
        raise DataError(
            f"data folder {path} does not exist; expected a folder that is or contains {folder}, or {archive}"
        )
    for candidate in (path, path / folder, path / f"{folder}-target" / folder):  # the last as Keras unpacks it
        if candidate.is_dir() and (candidate / marker).is_file():
            return lambda file: _open_file(candidate / file)
    for candidate in (path, path / archive):
        if candidate.is_file():
            return lambda file: _open_member(candidate, f"{folder}/{file}")
    raise DataError(f"no {name} in {path}; expected a folder that is or contains {folder}, or {archive}")


def _open_file(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise DataError(f"{path} is missing")
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST_FILE_BYTES:,} are read")
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


class _Bounded(gzip.GzipFile):
    """A packed file that does not unpack to more than any dataset has: a small file can hold gigabytes of nothing."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= LARGEST_FILE_BYTES or self.tell() + size > LARGEST_ARCHIVE_BYTES:
            raise OSError(f"it unpacks to more than {LARGEST_ARCHIVE_BYTES:,} bytes")
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset > LARGEST_ARCHIVE_BYTES:
            raise OSError(f"it unpacks to more than {LARGEST_ARCHIVE_BYTES:,} bytes")
        return super().seek(offset, whence)


def _open_member(archive: Path, member: str) -> IO[bytes]:
    """One file of a tar archive, read in memory: nothing is ever unpacked to disk."""
    try:
        tar = tarfile.open(fileobj=_Bounded(archive), mode="r:")  # noqa: SIM115, the caller reads from the member
        info = tar.getmember(member)
        file = tar.extractfile(info) if info.isreg() and info.size <= LARGEST_FILE_BYTES else None
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{archive} holds no readable {member}: {' '.join(str(error).split())}") from None
    if file is None:
        raise DataError(f"{archive}: {member} is not a plain file of at most {LARGEST_FILE_BYTES:,} bytes")
    return file


def _cifar_batch(file: IO[bytes], name: str, labels_key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images `(n, 32, 32, 3)` and labels `(n,)` of one pickled batch."""
    import numpy as np

    try:
        with file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        read = (batch["data"], batch[labels_key])
        data, labels = (value.values() if isinstance(value, _PickledArray) else value for value in read)
    except KeyError as error:
        raise DataError(f"{name} is no CIFAR batch: it has no {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{name} is damaged or no CIFAR batch: {' '.join(str(error)[:200].split())}") from None
    images = _cifar_images(data, name)
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < classes for label in labels):
        raise DataError(f"{name}: {labels_key} is not a list of whole numbers from 0 to {classes - 1}")
    if len(labels) != len(images) or not labels:
        raise DataError(f"{name} has {len(images)} images and {len(labels)} labels")
    return images, np.asarray(labels, np.int64)


def _cifar_images(data: object, name: str) -> np.ndarray:
    """A batch's pixels, written one channel after the other or, which their shape tells, pixel after pixel."""
    import numpy as np

    found = f"a {type(data).__name__}"
    if isinstance(data, np.ndarray):
        if data.dtype == np.uint8 and data.shape[1:] == (32, 32, 3):
            return data.copy()
        if data.dtype == np.uint8 and data.shape[1:] in ((3072,), (3, 32, 32)):
            return np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        found = f"an array of {data.dtype} and shape {data.shape}"
    raise DataError(f"{name}: data is {found}, expected a uint8 array of shape (n, 3072)")


def _cifar100(open_file: Opener) -> Dataset:
    train = _cifar_batch(open_file("train"), "train", "fine_labels", 100)
    test = _cifar_batch(open_file("test"), "test", "fine_labels", 100)
    return Dataset(SHAPES["cifar100"], *train, *test)


def _cifar10(open_file: Opener) -> Dataset:
    import numpy as np

    names = [f"data_batch_{number}" for number in range(1, 6)]
    batches = [_cifar_batch(open_file(name), name, "labels", 10) for name in names]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    test = _cifar_batch(open_file("test_batch"), "test_batch", "labels", 10)
    return Dataset(SHAPES["cifar10"], images, labels, *test)


CIFAR: dict[str, Callable[[Opener], Dataset]] = {"cifar10": _cifar10, "cifar100": _cifar100}


def _folder_root(data_dir: str | None) -> Path:
    expected = "expected DIR/train/CLASS/*.png and DIR/test/CLASS/*.png"
    if data_dir is None:
        raise DataError(f"the dataset 'folder' needs --data-dir DIR; {expected}")
    root = Path(data_dir)
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise DataError(f"{root / part} does not exist; {expected}")
    return root


def _class_names(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders; at least 2 are needed")
    return names


def _image_files(folder: Path) -> list[Path]:
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp")
    )
    if not files:
        raise DataError(f"{folder} has no images (.png, .jpg, .jpeg, .webp, .bmp)")
    return files


def _folder(root: Path) -> Dataset:
    """DIR/train/CLASS/* and DIR/test/CLASS/*, all of one square size."""
    import numpy as np

    expected = shape("folder", str(root))
    classes = _class_names(root / "train")
    if (test_classes := _class_names(root / "test")) != classes:
        raise DataError(f"{root / 'test'} has the classes {', '.join(test_classes)}; train has {', '.join(classes)}")
    parts: list[np.ndarray] = []
    for part in ("train", "test"):
        files = [(path, label) for label, name in enumerate(classes) for path in _image_files(root / part / name)]
        order = _mixed(np.asarray([label for _, label in files]))
        parts.append(np.stack([_image(files[index][0], expected) for index in order]))
        parts.append(np.asarray([files[index][1] for index in order], np.int64))
    train_images, train_labels, test_images, test_labels = parts
    return Dataset(expected, train_images, train_labels, test_images, test_labels, tuple(classes))


def _mixed(labels: np.ndarray) -> np.ndarray:
    """An order in which any stretch, such as the images that validate, holds each class as often as all of it does.

    Within its class an image's place is drawn, by a fixed seed.
    """
    import numpy as np

    drawn = np.random.default_rng(0).permutation(len(labels))
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = drawn[labels[drawn] == label]
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(places, kind="stable")


def _image(path: Path, expected: DatasetShape) -> np.ndarray:
    pixels = _pixels(path)
    height, width, channels = pixels.shape
    if (height, width, channels) != (expected.image_size, expected.image_size, expected.channels):
        raise DataError(
            f"{path} is {width} x {height} with {channels} channels; all images have to be square and like the first, "
            f"{expected.image_size} x {expected.image_size} with {expected.channels}"
        )
    return pixels


def _pixels(path: Path) -> np.ndarray:
    """One image as uint8 `(height, width, channels)`. Its size is looked at before a pixel of it is read."""
    import numpy as np
    from PIL import Image

    if not path.is_file():
        raise DataError(f"{path} is no plain file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP")) as image:
                if image.mode not in ("L", "RGB"):
                    raise DataError(f"{path} has the mode {image.mode}; grey (L) and RGB images of 8 bits are read")
                if max(image.size) > LARGEST_IMAGE_SIDE:
                    raise DataError(f"{path} is {image.width} x {image.height}; at most {LARGEST_IMAGE_SIDE} are read")
                pixels = np.asarray(image)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise anything for broken bytes, SyntaxError among it
        raise DataError(f"{path} is not a readable image: {' '.join(str(error).split())}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels
