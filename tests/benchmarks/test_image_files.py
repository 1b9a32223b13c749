"""A folder of images as people have them: any mode, size and layout, by a rule that is said; or refused in words."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets
from benchmarks.datasets import DatasetShape, Wanted
from benchmarks.image_files import DataError, mixed
from tests.benchmarks.test_datasets import png, write_images


def write(root, **files):
    """Writes images, or bytes, under names such as `train/cat/1.png`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **content.encoderinfo if hasattr(content, "encoderinfo") else {})


def plain(color, size=(6, 6), mode="RGB"):
    return Image.new(mode, size, color)


def half(size=(8, 6)):
    """Red on its left and blue on its right."""
    image = Image.new("RGB", size, "blue")
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    return image


def two_classes(root, more=5, **files):
    """Plain images of two classes, and what else the test wants."""
    for part in ("train", "test"):
        for name, color in (("cat", "red"), ("dog", "green")):
            for number in range(more):
                write(root, **{f"{part}/{name}/plain{number}.png": plain(color)})
    write(root, **files)
    return root


def test_a_folder_of_grey_images_has_one_channel_and_the_names_of_its_classes(tmp_path):
    write_images(tmp_path, mode="L")
    data = datasets.load("folder", str(tmp_path))
    assert data.train_images.shape == (15, 6, 6, 1)
    assert np.bincount(data.train_labels).tolist() == [5, 5, 5]
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert data.class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize("classes", [(5,) * 97, (5, 997), (997, 7, 5, 31)], ids=["many", "rare", "uneven"])
def test_of_five_images_of_a_class_in_a_folder_one_validates(classes):
    """Whatever other classes have: a shuffle leaves some of many small classes out."""
    labels = np.repeat(np.arange(len(classes)), classes)
    order = mixed(labels)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(labels)))
    validation = labels[order][datasets.training_images(len(labels), 0.2) :]
    assert (abs(np.bincount(validation, minlength=len(classes)) - 0.2 * np.array(classes)) < 1).all()
    largest = order[labels[order] == np.argmax(classes)]
    assert largest.tolist() != sorted(largest), "drawn within each class"


def palette():
    image = Image.new("P", (6, 6), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


def sixteen_bits():
    return Image.fromarray(np.full((6, 6), 50_000, np.uint16))


def translucent():
    return plain((255, 0, 0, 0), mode="RGBA")


ODD = {
    "grey.png": (plain(77, mode="L"), (77, 77, 77)),
    "one_bit.png": (plain(1, mode="1"), (255, 255, 255)),
    "sixteen.png": (sixteen_bits(), (195, 195, 195)),
    "palette.png": (palette(), (10, 20, 30)),
    "palette.gif": (palette(), (10, 20, 30)),
    "transparent.png": (translucent(), (255, 255, 255)),
    "grey_alpha.png": (plain((50, 255), mode="LA"), (50, 50, 50)),
    "cmyk.tif": (plain((0, 255, 255, 0), mode="CMYK"), (255, 0, 0)),
    "plain.webp": (plain("white"), (255, 255, 255)),
    "plain.bmp": (plain((1, 2, 3)), (1, 2, 3)),
    "UPPER.PNG": (plain((4, 5, 6)), (4, 5, 6)),
    "plain.jfif": (plain("white"), (255, 255, 255)),
    "plain.ppm": (plain((7, 8, 9)), (7, 8, 9)),
    "png_called.jpg": (png(size=(6, 6)), (0, 0, 0)),
}
"""Images in modes and formats that people have, and their colour as it is to be read."""


@pytest.mark.parametrize("name", ODD)
def test_each_mode_and_format_is_read_as_it_is_seen(tmp_path, name):
    image, color = ODD[name]
    two_classes(tmp_path, **{f"test/dog/{name}": image})
    data = datasets.load("folder", str(tmp_path))
    known = {(255, 0, 0), (0, 128, 0)}
    assert {tuple(image[0, 0]) for image in data.test_images} == known | {color}
    assert data.test_images.shape == (11, 6, 6, 3)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_an_image_is_turned_as_its_exif_says(tmp_path, kind):
    """6: what was red on the left is red above."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(3):
                path = tmp_path / part / name / f"{number}.{kind}"
                path.parent.mkdir(parents=True, exist_ok=True)
                half().save(path, exif=exif, **({"quality": 100} if kind != "png" else {}))
    shape = datasets.survey("folder", str(tmp_path)).shape
    image = datasets.load("folder", str(tmp_path), DatasetShape(8, 6, 3, 2, 6)).test_images[0].astype(int)
    assert abs(image[1, 3] - (254, 0, 0)).max() < 9
    assert abs(image[6, 3] - (0, 0, 254)).max() < 9
    assert (shape.height, shape.width) in {(8, 6), (6, 8)}, "a header does not tell every format's"


def test_sizes_that_differ_become_the_usual_one_and_that_is_said(tmp_path):
    two_classes(tmp_path, **{"train/cat/large.png": half((64, 48))})
    survey = datasets.survey("folder", str(tmp_path))
    assert (survey.shape.height, survey.shape.width) == (32, 32)
    assert survey.notes == (
        "images of 2 sizes, 6 x 6 to 64 x 48 are scaled and cropped to 32 x 32, the usual size where they differ "
        "(--image-size)",
    )
    assert datasets.load("folder", str(tmp_path)).train_images.shape == (11, 32, 32, 3)


def test_a_size_and_a_mode_that_are_asked_for_are_those_of_all_images(tmp_path):
    two_classes(tmp_path)
    survey = datasets.survey("folder", str(tmp_path), Wanted((8, 12), "grey"))
    assert survey.shape == DatasetShape(8, 12, 1, 2, 10)
    assert survey.notes == (
        "images 6 x 6 are scaled and cropped to 12 x 8 (--image-size)",
        "0 of 20 images are grey; all are read as grey (--image-mode)",
    )
    assert datasets.load("folder", str(tmp_path), survey.shape).train_images.shape == (10, 8, 12, 1)


def test_a_crop_keeps_the_centre(tmp_path):
    wide = plain("white", (60, 20))
    wide.paste((0, 0, 0), (20, 0, 40, 20))
    two_classes(tmp_path, **{"train/cat/wide.png": wide})
    data = datasets.load("folder", str(tmp_path), DatasetShape(10, 10, 3, 2, 11))
    assert (data.train_images < 20).all(axis=(1, 2, 3)).sum() == 1, "the black third is all that is left"


def test_what_is_no_image_is_left_out_and_counted(tmp_path):
    nothing = {
        "train/.ipynb_checkpoints/1.png": png(),
        "train/cat/._plain0.png": b"of macOS",
        "train/cat/Thumbs.db": b"of Windows",
        "train/cat/labels.csv": b"a,b",
        "train/cat/notes.txt": b"",
        "train/cat/more.TXT": b"",
        "train/README": b"",
        "train/loose.png": png(),
        "train/annotations/1.xml": b"<x/>",
        "__MACOSX/train/1.png": png(),
    }
    survey = datasets.survey("folder", str(two_classes(tmp_path, **nothing)))
    assert survey.shape == DatasetShape(6, 6, 3, 2, 10)
    (said,) = survey.notes
    assert said.startswith("left out: ")
    assert set(said.removeprefix("left out: ").split(", ")) == {
        "2 .txt files", "1 .csv files", "2 dot and system files", "1 images in no class folder", "1 other files",
        "1 .xml files", "1 folders without an image", "1 system folders",
    }  # fmt: skip


LAYOUTS = {
    "train/test": ("train/{}/{}", "test/{}/{}", ()),
    "train/val": ("train/{}/{}", "val/{}/{}", ("val/ is the test set",)),
    "Train/Valid": ("Train/{}/{}", "Valid/{}/{}", ("Valid/ is the test set",)),
    "in a folder": ("images-1.2/train/{}/{}", "images-1.2/test/{}/{}", ()),
    "nested": ("train/{}/images/{}", "test/{}/a/b/{}", ()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_usual_layouts_are_found(tmp_path, layout):
    train, test, notes = LAYOUTS[layout]
    for pattern, count in ((train, 5), (test, 2)):
        for name in ("cat", "dog"):
            write(tmp_path, **{pattern.format(name, f"{number}.png"): plain("red") for number in range(count)})
    assert datasets.survey("folder", str(tmp_path)).notes == notes
    data = datasets.load("folder", str(tmp_path))
    assert (len(data.train_images), len(data.test_images), data.class_names) == (10, 4, ("cat", "dog"))


def test_of_three_parts_the_validation_images_are_trained_on_too(tmp_path):
    two_classes(tmp_path, **{"val/cat/1.png": plain("blue"), "val/dog/1.png": plain("blue")})
    survey = datasets.survey("folder", str(tmp_path))
    assert survey.shape.train_images == 12
    assert survey.notes == ("val/ is trained on as well; the last part of the training images validates",)


def test_each_seed_splits_one_folder_of_larger_classes_anew(tmp_path):
    for name, count in (("cat", 20), ("dog", 23)):
        write(tmp_path, **{f"{name}/{n}.png": plain((n, 0, 0)) for n in range(count)})
    survey = datasets.survey("folder", str(tmp_path))
    assert survey.shape.test_folds == 5
    assert survey.notes == ("a fifth of each class, drawn by each seed, is the test set (9 images)",)


def test_one_folder_of_classes_is_split_by_a_fixed_seed_within_each_class(tmp_path):
    for name, count in (("cat", 11), ("dog", 50), ("owl", 2)):
        write(tmp_path, **{f"{name}/{n}.png": plain((n, 0, 0)) for n in range(count)})
    survey = datasets.survey("folder", str(tmp_path))
    assert survey.notes == ("a fifth of each class, drawn by a fixed seed, is the test set (13 images)",)
    assert survey.shape.test_folds == 0
    data = datasets.load("folder", str(tmp_path))
    assert np.bincount(data.test_labels).tolist() == [2, 10, 1]
    assert np.bincount(data.train_labels).tolist() == [9, 40, 1]
    seen = sorted((label, image[0, 0, 0]) for images, labels in (
        (data.train_images, data.train_labels), (data.test_images, data.test_labels)
    ) for image, label in zip(images, labels, strict=True))  # fmt: skip
    assert seen == [(label, n) for label, count in enumerate((11, 50, 2)) for n in range(count)]
    assert datasets.load("folder", str(tmp_path)).sha256 == data.sha256


def test_a_link_to_a_folder_is_followed_and_one_in_a_circle_once(tmp_path):
    two_classes(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    plain("blue").save(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "data" / "train" / "cat" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "elsewhere")
    assert datasets.survey("folder", str(tmp_path / "data")).shape.train_images == 11


def claiming(width, kind):
    """A small file whose header says that it is an image of `width` x `width`: up to 4 * 10^9 pixels."""
    if kind == "PNG":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
        chunks = (header, b"IDAT" + zlib.compress(b"\0"))
        packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    content = bytearray(file.getvalue())
    if kind == "BMP":
        content[18:26] = struct.pack("<ii", width, width)
    if kind == "JPEG":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", width, width)
    return bytes(content)


WRONG_LENGTH = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00Km)\xdc"
    b'\x00\x00\x00\x0cIDATx\x9c{c`\x18\x1e\x00\x00\x00\x00\x00"\x00\x00\x00\x00IEND\xaeB`\x82'
)


def test_all_that_is_broken_is_one_message_with_the_first_names(tmp_path):
    broken = {
        "train/cat/a.png": b"no image",
        "train/cat/b.png": claiming(32_768, "PNG"),
        "train/dog/c.bmp": claiming(32_768, "BMP"),
        "train/dog/d.jpg": claiming(65_535, "JPEG"),
        "test/dog/e.gif": b"",
    }
    two_classes(tmp_path, **broken)
    os.mkfifo(tmp_path / "test" / "dog" / "f.png")
    with pytest.raises(DataError) as raised:
        datasets.load("folder", str(tmp_path))
    assert str(raised.value).startswith("6 of 26 images cannot be read: train/cat/a.png (cannot identify image file")
    assert str(raised.value).endswith("; and 3 more")
    assert str(raised.value).count(".png (") + str(raised.value).count(".bmp (") == 3


def test_what_only_the_pixels_tell_is_named_as_well(tmp_path):
    floats = Image.fromarray(np.zeros((6, 6), np.float32))
    two_classes(tmp_path, **{"train/cat/cut.png": WRONG_LENGTH, "test/dog/floats.tif": floats})
    with pytest.raises(DataError, match=r"^2 of 22 images cannot be read: .*cut\.png \(.*floats\.tif \(floating-point"):
        datasets.load("folder", str(tmp_path))


def test_images_that_are_all_too_large_ask_for_a_size(tmp_path):
    for part in ("train", "test"):
        write(tmp_path, **{f"{part}/{name}/1.png": plain("red", (1025, 7)) for name in ("cat", "dog")})
    with pytest.raises(DataError, match="all images are 1025 x 7, and at most 1024 are trained on: give --image-size"):
        datasets.load("folder", str(tmp_path))
    assert datasets.survey("folder", str(tmp_path), Wanted((7, 7))).shape.width == 7


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "has no class; at least 2 classes are needed; expected DIR/train/CLASS"),
        (("train/cat/1.png", "train/dog/1.png"), "has train/ and neither test/ nor val/; expected DIR/train/CLASS"),
        (("test/cat/1.png", "test/dog/1.png"), "has test/ and no train/; expected DIR/train/CLASS"),
        (("train/cat/1.png", "test/cat/1.png"), "has cat; at least 2 classes are needed"),
        (
            ("train/a/1.png", "train/b/1.png", *(f"test/{name}/1.png" for name in "abcdefgh")),
            "test has classes that .*train has not: c, d, e, ... (6 in all)",
        ),
    ],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused_in_words(tmp_path, files, message):
    write(tmp_path, **{name: plain("red") for name in files})
    with pytest.raises(DataError, match=message.replace("(6 in all)", r"\(6 in all\)")):
        datasets.survey("folder", str(tmp_path))


def test_no_folder_is_a_line(tmp_path):
    with pytest.raises(DataError, match="needs --data-dir DIR; expected DIR/train/CLASS"):
        datasets.load("folder", None)
    with pytest.raises(DataError, match="nowhere does not exist; expected DIR/train/CLASS"):
        datasets.load("folder", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="is no folder; expected"):
        datasets.load("folder", str(Path(__file__)))
