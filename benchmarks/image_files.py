"""Reads a folder of images, DIR/train/CLASS/*.png and DIR/test/CLASS/*.png. Imports NumPy only when it reads."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LARGEST_IMAGE_SIDE = 1024
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
EXPECTED = "expected DIR/train/CLASS/*.png and DIR/test/CLASS/*.png"


class DataError(Exception):
    """The data cannot be used; the message is one line that says why and what is expected."""


@dataclass(frozen=True)
class DatasetShape:
    """Images of `(image_size, image_size, channels)` in `classes` classes."""

    image_size: int
    channels: int
    classes: int


@dataclass(frozen=True)
class Images:
    """Images as uint8 `(n, image_size, image_size, channels)`, labels as int64 `(n,)`; a folder names its classes."""

    classes: int
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of all pixels and labels in their order, which decides the validation split."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def content_sha256(self) -> str:
        """Hash of the images with their labels in any order: it identifies the dataset also where files reorder it."""
        digest = hashlib.sha256()
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            pairs = (image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True))
            digest.update(b"".join(sorted(hashlib.sha256(pair).digest() for pair in pairs)))
        return digest.hexdigest()


def folder_shape(data_dir: str | None) -> DatasetShape:
    """Finds image size, channels and classes of a folder from its first image. Raises `DataError`."""
    root = _root(data_dir)
    classes = _class_names(root / "train")
    _, size, channels = _pixels(_files(root / "train" / classes[0])[0]).shape
    return DatasetShape(size, channels, len(classes))


def read_folder(data_dir: str | None) -> Images:
    """Reads all images of a folder, which have one square size. Raises `DataError` for the first that has not."""
    import numpy as np

    expected = folder_shape(data_dir)
    root = _root(data_dir)
    classes = _class_names(root / "train")
    if (test_classes := _class_names(root / "test")) != classes:
        raise DataError(f"{root / 'test'} has the classes {', '.join(test_classes)}; train has {', '.join(classes)}")
    parts: list[np.ndarray] = []
    for part in ("train", "test"):
        files = [(path, label) for label, name in enumerate(classes) for path in _files(root / part / name)]
        order = mixed(np.asarray([label for _, label in files]))
        parts.append(np.stack([_image(files[index][0], expected) for index in order]))
        parts.append(np.asarray([files[index][1] for index in order], np.int64))
    train_images, train_labels, test_images, test_labels = parts
    return Images(len(classes), train_images, train_labels, test_images, test_labels, tuple(classes))


def _root(data_dir: str | None) -> Path:
    if data_dir is None:
        raise DataError(f"the dataset 'folder' needs --data-dir DIR; {EXPECTED}")
    root = Path(data_dir)
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise DataError(f"{root / part} does not exist; {EXPECTED}")
    return root


def _class_names(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders; at least 2 are needed")
    return names


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{folder} has no images ({', '.join(SUFFIXES)})")
    return files


def mixed(labels: np.ndarray) -> np.ndarray:
    """Returns an order in which any stretch, such as the images that validate, has the class frequencies of the whole.

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
    """Reads one image as uint8 `(height, width, channels)`, and checks its size before any pixel."""
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
