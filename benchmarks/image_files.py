"""Reads a folder of images as people have them: any mode, size and usual layout. Imports NumPy only when it reads.

DIR/train/CLASS/... and DIR/test/CLASS/..., or one folder of classes, DIR/CLASS/..., of which a fifth of each class is
the test set, drawn by a fixed seed. Nothing is left out in silence: what is not read is counted and said.
"""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".avif"),
)
TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
SYSTEM = ("__macosx", "@eadir", "$recycle.bin", "lost+found", "thumbs.db", "desktop.ini")
USUAL_SIZE = 32
"""Height and width of images whose own sizes differ, unless --image-size names another."""
LARGEST_SIDE = 1024
FOLDS = 5
TEST_SHARE = 1 / FOLDS
FEWEST_IN_FOLDS = 20
"""Fewest images of a class of which each seed draws its own test set: each of its parts needs some."""
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B")
NAMED = 3
"""Names of files in a message."""
EXPECTED = "expected DIR/train/CLASS/*.png and DIR/test/CLASS/*.png, or DIR/CLASS/*.png"


class DataError(Exception):
    """The data cannot be used; the message is one line that says why and what is expected."""


@dataclass(frozen=True)
class DatasetShape:
    """Images of `(height, width, channels)` in `classes` classes; `train_images` of them are no test images.

    A dataset without a test set of its own has `test_folds`: the seed draws one of so many parts of all its images.
    """

    height: int
    width: int
    channels: int
    classes: int
    train_images: int
    test_folds: int = 0


@dataclass(frozen=True)
class Wanted:
    """The size `(height, width)` and mode of images that the command asks for; None is the dataset's own."""

    size: tuple[int, int] | None = None
    mode: Literal["grey", "colour"] | None = None


@dataclass(frozen=True)
class Survey:
    """What a dataset is before its images are read: their shape, and what a user should know of how they are read."""

    shape: DatasetShape
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Images:
    """Images as uint8 `(n, height, width, channels)`, labels as int64 `(n,)`; a folder names its classes."""

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
            for part in array:
                digest.update(part.tobytes())
        return digest.hexdigest()

    @property
    def content_sha256(self) -> str:
        """Hash of the images with their labels in any order: it identifies the dataset also where files reorder it."""
        digest = hashlib.sha256()
        for images, labels in ((self.train_images, self.train_labels), (self.test_images, self.test_labels)):
            pairs = (image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True))
            digest.update(b"".join(sorted(hashlib.sha256(pair).digest() for pair in pairs)))
        return digest.hexdigest()

    @property
    def duplicates(self) -> np.ndarray:
        """Whether each test image is a training image, too, pixel by pixel."""
        import numpy as np

        trained = {hashlib.sha256(image.tobytes()).digest() for image in self.train_images}
        return np.asarray([hashlib.sha256(image.tobytes()).digest() in trained for image in self.test_images])


@dataclass(frozen=True)
class File:
    """An image's file, its class, and what its header says: `(height, width)` as it is to be seen, and whether grey."""

    path: Path
    label: int
    size: tuple[int, int]
    is_grey: bool


@dataclass(frozen=True)
class Folder:
    """What a folder holds, by its files' headers; `said` is what a user should know of how it is read."""

    classes: tuple[str, ...]
    train: tuple[File, ...]
    test: tuple[File, ...]
    said: tuple[str, ...]
    test_folds: int

    @property
    def files(self) -> tuple[File, ...]:
        return (*self.train, *self.test)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """The images' own sizes, each once, the smallest first."""
        return sorted({file.size for file in self.files})

    @property
    def size(self) -> tuple[int, int]:
        """The size that all images have, or else the usual one. Raises `DataError` where all are too large."""
        if len(self.sizes) > 1:
            return USUAL_SIZE, USUAL_SIZE
        if max(self.sizes[0]) > LARGEST_SIDE:
            raise DataError(
                f"all images are {by(self.sizes[0])}, and at most {LARGEST_SIDE} are trained on: give --image-size"
            )
        return self.sizes[0]

    def survey(self, wanted: Wanted) -> Survey:
        """Returns the shape of its images as they are wanted, or else by the rule: `size`, and colour where any is."""
        size, sizes, notes = wanted.size or self.size, self.sizes, list(self.said)
        if sizes != [size]:
            own = by(sizes[0]) if len(sizes) == 1 else f"of {len(sizes)} sizes, {by(sizes[0])} to {by(sizes[-1])}"
            usual = "" if wanted.size else ", the usual size where they differ"
            notes.append(f"images {own} are scaled and cropped to {by(size)}{usual} (--image-size)")
        grey = sum(file.is_grey for file in self.files)
        mode = wanted.mode or ("grey" if grey == len(self.files) else "colour")
        if grey not in (0, len(self.files)) or (mode == "grey") != (grey > 0):
            notes.append(f"{grey:,} of {len(self.files):,} images are grey; all are read as {mode} (--image-mode)")
        channels = 1 if mode == "grey" else 3
        shape = DatasetShape(*size, channels, len(self.classes), len(self.train), self.test_folds)
        return Survey(shape, tuple(notes))


def by(size: tuple[int, int]) -> str:
    """Writes a size as people do, width first: "640 x 480"."""
    return f"{size[1]} x {size[0]}"


def survey_folder(data_dir: str | None, wanted: Wanted) -> Survey:
    """Finds the shape of a folder's images, by their headers. Raises `DataError`."""
    return found(data_dir).survey(wanted)


def read_folder(data_dir: str | None, shape: DatasetShape) -> Images:
    """Reads all images of a folder at the shape. Raises `DataError`, which names all that cannot be read."""
    import numpy as np

    folder = found(data_dir)
    parts: list[np.ndarray] = []
    broken: list[str] = []
    for files in (folder.train, folder.test):
        labels = np.asarray([file.label for file in files], np.int64)
        order = mixed(labels)
        images = np.empty((len(files), shape.height, shape.width, shape.channels), np.uint8)
        for place, index in enumerate(order):
            try:
                images[place] = _pixels(files[index].path, shape)
            except DataError as error:
                broken.append(str(error))
        parts += [images, labels[order]]
    _require_none(broken, len(folder.files))
    train_images, train_labels, test_images, test_labels = parts
    return Images(len(folder.classes), train_images, train_labels, test_images, test_labels, folder.classes)


def _require_none(broken: Sequence[str], of: int) -> None:
    if broken:
        more = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise DataError(f"{len(broken)} of {of:,} images cannot be read: {'; '.join(broken[:NAMED])}{more}")


@functools.lru_cache(maxsize=1)
def found(data_dir: str | None) -> Folder:
    """Finds the images of a folder, by their headers. Raises `DataError`."""
    if data_dir is None:
        raise DataError(f"the dataset 'folder' needs --data-dir DIR; {EXPECTED}")
    root = _root(Path(data_dir))
    parts = _parts(root)
    left_out: Counter[str] = Counter()
    said, broken = [], []
    by_part: dict[str, dict[str, list[Path]]] = {}
    for part, folders in parts.items():
        by_part[part] = {}
        for folder in folders:
            for name, paths in _classes(folder, left_out).items():
                by_part[part].setdefault(name, []).extend(paths)
    classes = sorted(by_part["train"])
    if len(classes) < 2:
        raise DataError(f"{root} has {_listed(classes) or 'no class'}; at least 2 classes are needed; {EXPECTED}")
    if strangers := sorted(by_part.get("test", {}).keys() - set(classes)):
        raise DataError(f"{parts['test'][0]} has classes that {parts['train'][0]} has not: {_listed(strangers)}")
    files: dict[str, list[File]] = {"train": [], "test": []}
    for part, of_class in by_part.items():
        for label, name in enumerate(classes):
            for path in of_class.get(name, ()):
                try:
                    files[part].append(File(path, label, *_header(path)))
                except DataError as error:
                    broken.append(str(error))
    _require_none(broken, len(broken) + sum(map(len, files.values())))
    test_folds = 0
    if "test" not in parts:
        fewest = min(Counter(file.label for file in files["train"]).values())
        test_folds = FOLDS if fewest >= FEWEST_IN_FOLDS else 0
        files["train"], files["test"] = _drawn(files["train"])
        if not files["test"]:
            raise DataError(f"{root} has one image of each class; at least two of one are needed: one for the test")
        by_whom = "each seed" if test_folds else "a fixed seed"
        said.append(f"a fifth of each class, drawn by {by_whom}, is the test set ({len(files['test']):,} images)")
    elif len(parts["train"]) > 1:
        said.append(f"{parts['train'][1].name}/ is trained on as well; the last part of the training images validates")
    elif parts["test"][0].name.lower() in VALIDATION:
        said.append(f"{parts['test'][0].name}/ is the test set")
    if left_out:
        said.append(f"left out: {', '.join(f'{count:,} {what}' for what, count in left_out.most_common())}")
    return Folder(tuple(classes), tuple(files["train"]), tuple(files["test"]), tuple(said), test_folds)


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,} in all)" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_system(path.name))


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _root(path: Path) -> Path:
    """The folder itself, or the one that it holds and nothing else, as an archive unpacks."""
    if not path.is_dir():
        raise DataError(f"{path} {'is no folder' if path.exists() else 'does not exist'}; {EXPECTED}")
    while len(inside := _subfolders(path)) == 1 and inside[0].name.lower() not in (*TRAIN, *TEST, *VALIDATION):
        path = inside[0]
    return path


def _parts(root: Path) -> dict[str, list[Path]]:
    """ "train" and "test" -> their folders; "train" alone where the folders are classes."""
    named = {path.name.lower(): path for path in _subfolders(root)}
    train, test, validation = ([named[name] for name in names if name in named] for names in (TRAIN, TEST, VALIDATION))
    if not train and (test or validation):
        raise DataError(f"{root} has {(test or validation)[0].name}/ and no train/; {EXPECTED}")
    if not train:
        return {"train": [root]}
    if not test and not validation:
        raise DataError(f"{root} has {train[0].name}/ and neither test/ nor val/; {EXPECTED}")
    return {"train": [*train[:1], *(validation[:1] if test else ())], "test": (test or validation)[:1]}


def _classes(folder: Path, left_out: Counter[str]) -> dict[str, list[Path]]:
    """Class -> its images, at whatever depth; counts what is no image."""
    classes = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or _is_system(path.name):
            left_out[_kind(path) if not _is_image(path) else "images in no class folder"] += 1
            continue
        images = []
        for file in _within(path, left_out):
            if _is_image(file):
                images.append(file)
            else:
                left_out[_kind(file)] += 1
        if images:
            classes[path.name] = images
        else:
            left_out["folders without an image"] += 1
    return classes


def _within(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """All files of a folder and of those in it, in order; a folder that is reached again by a link is left out."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        left_out["system folders"] += sum(map(_is_system, folders))
        folders[:] = sorted(name for name in folders if not _is_system(name))
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in sorted(files))
    left_out += Counter()  # without what was counted 0 times


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not _is_system(path.name)


def _kind(path: Path) -> str:
    if path.is_dir():
        return "system folders"
    return "dot and system files" if _is_system(path.name) else f"{path.suffix.lower() or 'other'} files"


def _drawn(files: Sequence[File]) -> tuple[list[File], list[File]]:
    """Splits files into those to train on and a fifth to test with, at least one of each class that has two."""
    import numpy as np

    labels = np.asarray([file.label for file in files])
    drawn = np.random.default_rng(0).permutation(len(files))
    tested = set()
    for label in np.unique(labels):
        members = drawn[labels[drawn] == label]
        tested |= set(members[: max(1, round(TEST_SHARE * len(members))) if len(members) > 1 else 0].tolist())
    return [f for n, f in enumerate(files) if n not in tested], [f for n, f in enumerate(files) if n in tested]


def mixed(labels: np.ndarray, *seed: int) -> np.ndarray:
    """Returns an order in which any stretch, such as the images that validate, has the class frequencies of the whole.

    Within its class an image's place is drawn by the seed, else by a fixed one.
    """
    import numpy as np

    drawn = np.random.default_rng(seed or 0).permutation(len(labels))
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = drawn[labels[drawn] == label]
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(places, kind="stable")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image by what it is and not by its suffix. Whatever goes wrong is a `DataError` with its name."""
    from PIL import Image

    name = Path(*path.parts[-3:])
    if not path.is_file():
        raise DataError(f"{name} is no plain file")
    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # of metadata that is not as it should be
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield image
    except Exception as error:  # Pillow's decoders raise anything for broken bytes, SyntaxError among it
        why = " ".join(str(error).replace(str(path), path.name).split())[:100] or type(error).__name__
        raise DataError(f"{name} ({why})") from None


ORIENTATION, TURNED = 0x0112, 5
"""EXIF's tag, and the first of its values that exchange height and width."""


def _header(path: Path) -> tuple[tuple[int, int], bool]:
    """Reads `(height, width)` of an image as it is to be seen, and whether it is grey, without its pixels."""
    with _opened(path) as image:
        width, height = image.size
        if "exif" in image.info and image.getexif().get(ORIENTATION, 1) >= TURNED:
            width, height = height, width
        palette = image.getpalette("RGB") if image.mode == "P" else None
        is_grey = palette[::3] == palette[1::3] == palette[2::3] if palette else image.mode in GREY_MODES
    return (height, width), is_grey


def _pixels(path: Path, shape: DatasetShape) -> np.ndarray:
    """Reads one image as uint8 `(height, width, channels)`.

    It is turned as its EXIF says, its transparent parts are white, and it is scaled until it covers the size and
    cropped around its centre.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode == "F":
            raise ValueError("floating-point values")
        if image.mode.startswith("I"):
            values = np.asarray(image)
            if values.min() < 0 or values.max() > 65_535:
                raise ValueError("values of more than 16 bits")
            image = Image.fromarray((values // 256).astype(np.uint8))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return _fitted(image, shape)


def _fitted(image: Image.Image, shape: DatasetShape) -> np.ndarray:
    import numpy as np
    from PIL import ImageOps

    image = image.convert("L" if shape.channels == 1 else "RGB")
    if image.size != (shape.width, shape.height):
        image = ImageOps.fit(image, (shape.width, shape.height))
    return np.asarray(image).reshape(shape.height, shape.width, shape.channels)


def fitted(images: np.ndarray, shape: DatasetShape) -> np.ndarray:
    """Returns images `(n, height, width, channels)` at the shape, by the rule of a folder's."""
    import numpy as np
    from PIL import Image

    size = (shape.height, shape.width, shape.channels)
    if images.shape[1:] == size:
        return images
    made = np.empty((len(images), *size), np.uint8)
    for place, image in enumerate(images):
        made[place] = _fitted(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), shape)
    return made
