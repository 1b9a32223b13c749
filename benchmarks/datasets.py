"""Describes each dataset and chooses the images that are trained on. Imports NumPy only when it loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cifar_files import CifarFiles
from benchmarks.image_files import DataError as DataError
from benchmarks.image_files import DatasetShape as DatasetShape
from benchmarks.image_files import Images as Images
from benchmarks.image_files import folder_shape, read_folder

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Dataset:
    """A dataset as an entry of `DATASETS`; another dataset is another entry.

    `title` is its name for people. `shape` and `read` take the folder of --data-dir, or None, and raise `DataError`;
    `shape` reads no more than it needs. `train_images` is about how many a training has, for the estimate of its time.
    A dataset that `comes_with` a package takes no --data-dir, and is not looked for before it is read.
    """

    title: str
    shape: Callable[[str | None], DatasetShape]
    read: Callable[[str | None], Images]
    train_images: int
    comes_with: str | None = None


def _digits(_: str | None) -> Images:
    """Loads 1,797 scans of 8 x 8 pixels (UCI optdigits); 360 of them, stratified by class, are the test set."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, digits.target.astype(np.int64), test_size=360, random_state=0, stratify=digits.target
    )
    return Images(10, train_images, train_labels, test_images, test_labels)


CIFAR10 = CifarFiles(
    name="cifar10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    test="test_batch",
    labels="labels",
    classes=10,
)
CIFAR100 = CifarFiles(
    name="cifar100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    archive_sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    train=("train",),
    test="test",
    labels="fine_labels",
    classes=100,
)
DATASETS = {
    "digits": Dataset("8 x 8 scans", lambda _: DatasetShape(8, 1, 10), _digits, 1150, comes_with="scikit-learn"),
    "cifar10": Dataset("CIFAR-10", CIFAR10.shape, CIFAR10.read, 40_000),
    "cifar100": Dataset("CIFAR-100", CIFAR100.shape, CIFAR100.read, 40_000),
    "folder": Dataset("images of your own", folder_shape, read_folder, 10_000),
}


def shape(name: str, data_dir: str | None) -> DatasetShape:
    """Finds image size, channels and classes of a dataset, without reading all images. Raises `DataError`."""
    return DATASETS[name].shape(data_dir)


def load(name: str, data_dir: str | None) -> Images:
    """Reads a dataset. Raises `DataError` for a folder that is missing, incomplete, damaged or not of images."""
    return DATASETS[name].read(data_dir)


PARTS = ("train_images", "train_labels", "test_images", "test_labels")


def save(images: Images, folder: Path) -> None:
    """Writes the arrays into a new `folder`, for `saved`."""
    import numpy as np

    folder.mkdir()
    for part in ("classes", *PARTS):
        np.save(folder / f"{part}.npy", getattr(images, part), allow_pickle=False)


def saved(folder: Path) -> Images:
    """Maps what `save` has written: processes share the files' pages."""
    import numpy as np

    train_images, train_labels, test_images, test_labels = (
        np.asarray(np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False)) for part in PARTS
    )
    classes = int(np.load(folder / "classes.npy", allow_pickle=False))
    return Images(classes, train_images, train_labels, test_images, test_labels)


def training_images(images: int, validation_split: float) -> int:
    """Counts the first images of the training set that are trained on; the last ones validate.

    Raises `DataError` where either part would be empty.
    """
    validation = int(images * validation_split)
    if not 0 < validation < images:
        raise DataError(f"validation_split {validation_split} of {images} images leaves a part with none")
    return images - validation


def chosen_images(seed: int, share: float, images: int) -> np.ndarray:
    """Draws the share of the training images that is trained on, in their own order, from the seed alone.

    A smaller share of a seed is part of a larger one. Raises `DataError` for a share that leaves none.
    """
    import numpy as np

    count = round(images * share)
    if count == 0:
        raise DataError(f"train_share {share} of {images} images leaves none to train on")
    return np.sort(np.random.default_rng([seed]).permutation(images)[:count])


def split(data: Images, seed: int, validation_split: float, train_share: float) -> tuple[np.ndarray, slice]:
    """Returns which images of the training set are trained on, and which ones validate.

    Raises `DataError` where a part has no images or lacks a class, as files that are sorted by class leave it.
    """
    images = len(data.train_images)
    first = training_images(images, validation_split)
    chosen, validation = chosen_images(seed, train_share, first), slice(first, images)
    parts = {
        "training": data.train_labels[chosen],
        "validation": data.train_labels[validation],
        "test": data.test_labels,
    }
    lacking = [f"{part} lacks {missing}" for part, labels in parts.items() if (missing := _missing(labels, data))]
    if lacking:
        share = "" if train_share == 1 else f" and train_share {train_share} trains on {len(chosen):,} of the others"
        raise DataError(
            f"{'; '.join(lacking)}: each needs images of all classes "
            f"(the last {images - first:,} of {images:,} training images validate{share})"
        )
    return chosen, validation


def _missing(labels: np.ndarray, data: Images) -> str:
    """Names the classes of which there is no label, such as "2 of 10 classes: 8, 9"; "" if all have one."""
    present = set(labels.tolist())
    names = data.class_names or tuple(map(str, range(data.classes)))
    missing = [name for label, name in enumerate(names) if label not in present]
    more = ", ..." if len(missing) > 5 else ""
    return f"{len(missing)} of {data.classes} classes: {', '.join(missing[:5])}{more}" if missing else ""
