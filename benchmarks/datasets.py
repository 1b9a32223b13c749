"""Describes each dataset and chooses the images that are trained on. Imports NumPy only when it loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.array_files import IdxFiles, read_npz, survey_npz
from benchmarks.cifar_files import CifarFiles
from benchmarks.image_files import FOLDS, mixed, read_folder, survey_folder
from benchmarks.image_files import DataError as DataError
from benchmarks.image_files import DatasetShape as DatasetShape
from benchmarks.image_files import Images as Images
from benchmarks.image_files import Survey as Survey
from benchmarks.image_files import Wanted as Wanted
from models.config import ModelConfig

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Dataset:
    """A dataset as an entry of `DATASETS`; another dataset is another entry.

    `title` is its name for people. `survey` takes the folder of --data-dir, or None, and the images that are wanted;
    it reads no more than it needs. `read` takes the folder, and the shape of the survey. Both raise `DataError`. A
    dataset that `comes_with` a package takes no --data-dir, and is not looked for before it is read. One of `any_size`
    takes --image-size and --image-mode.
    """

    title: str
    survey: Callable[[str | None, Wanted], Survey]
    read: Callable[[str | None, DatasetShape], Images]
    comes_with: str | None = None
    any_size: bool = False


def _digits(_: str | None, shape: DatasetShape) -> Images:
    """Loads 1,797 scans of 8 x 8 pixels (UCI optdigits); 360 of them, stratified by class, are the test set where the
    seed draws none."""
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
COARSE = replace(CIFAR100, name="cifar100-coarse", labels="coarse_labels", classes=20)
MNIST = IdxFiles(
    name="mnist",
    folder="MNIST/raw",
    site="https://storage.googleapis.com/cvdf-datasets/mnist",
    hashes={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)
FASHION_MNIST = IdxFiles(
    name="fashion-mnist",
    folder="FashionMNIST/raw",
    site="https://fashion-mnist.s3.eu-central-1.amazonaws.com",
    hashes={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)
DATASETS = {
    "digits": Dataset(
        "8 x 8 scans", lambda *_: Survey(DatasetShape(8, 8, 1, 10, 1437, FOLDS)), _digits, comes_with="scikit-learn"
    ),
    "cifar10": Dataset("CIFAR-10", CIFAR10.survey, CIFAR10.read),
    "cifar100": Dataset("CIFAR-100", CIFAR100.survey, CIFAR100.read),
    "cifar100-coarse": Dataset("CIFAR-100 by its 20 coarse classes", COARSE.survey, COARSE.read),
    "mnist": Dataset("MNIST", MNIST.survey, MNIST.read),
    "fashion-mnist": Dataset("Fashion-MNIST", FASHION_MNIST.survey, FASHION_MNIST.read),
    "folder": Dataset("images of your own", survey_folder, read_folder, any_size=True),
    "npz": Dataset("arrays of your own", survey_npz, read_npz, any_size=True),
}


def survey(name: str, data_dir: str | None, wanted: Wanted = Wanted()) -> Survey:  # noqa: B008
    """Finds the shape of a dataset's images, without reading them all. Raises `DataError`."""
    return DATASETS[name].survey(data_dir, wanted)


def load(name: str, data_dir: str | None, shape: DatasetShape | None = None) -> Images:
    """Reads a dataset at a shape, else at its own. Raises `DataError` where it is missing, incomplete or damaged."""
    return DATASETS[name].read(data_dir, shape or survey(name, data_dir).shape)


def shape_of(model: ModelConfig) -> DatasetShape:
    """Returns the shape of the images that a model takes."""
    return DatasetShape(model.image_size, model.width, model.channels, model.classes, 0)


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


def for_seed(data: Images, seed: int, folds: int) -> Images:
    """Returns the images with the test set that a seed draws of all of them; with no folds the dataset's own.

    All are dealt into as many parts, class by class. The seeds from 0 on test each part once, the next ones those of
    another deal. The other images are trained on, in an order of the seed: the last ones validate, class by class.
    """
    import numpy as np

    if not folds:
        return data
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    deal, part = divmod(seed, folds)
    drawn = np.random.default_rng([folds, deal]).permutation(len(images))
    by_class = drawn[np.argsort(labels[drawn], kind="stable")]
    test = by_class[part::folds]
    others = np.setdiff1d(drawn, test)
    train = others[mixed(labels[others], folds, seed)]
    return replace(
        data,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )


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
