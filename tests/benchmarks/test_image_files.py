"""A folder of images: read as it is, in an order in which every class validates, or refused in words."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets
from benchmarks.image_files import DataError, mixed
from tests.benchmarks.test_datasets import png, write_images


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


def claiming(width, kind):
    """A small file whose header says that it is an image of `width` x `width`: up to 4 * 10^9 pixels."""
    if kind == "PNG":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
        chunks = (header, b"IDAT" + zlib.compress(b"\0"))
        packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    file = io.BytesIO()
    Image.new("RGB", (width if kind == "WEBP" else 8,) * 2).save(file, kind)
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


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (png(size=(6, 7)), "is 6 x 7 with 3 channels; all images have to be square and like the first"),
        (b"no image", "is not a readable image"),
        (WRONG_LENGTH, "is not a readable image"),
        (claiming(32_768, "PNG"), "(is not a readable image: Image size|is 32768 x 32768; at most)"),
        (claiming(32_768, "BMP"), "(is not a readable image: Image size|is 32768 x 32768; at most)"),
        (claiming(65_535, "JPEG"), "(is not a readable image: Image size|is 65535 x 65535; at most)"),
        (claiming(1_025, "WEBP"), "is 1025 x 1025; at most"),
        (None, "is no plain file"),
    ],
)
def test_a_file_that_is_no_image_like_the_others_is_refused(tmp_path, content, complaint):
    write_images(tmp_path)
    path = tmp_path / "train" / "owl" / "odd.png"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=rf"odd\.png {complaint}"):
        datasets.load("folder", str(tmp_path))


def test_a_folder_without_its_parts_or_with_other_classes_in_them_is_refused(tmp_path):
    with pytest.raises(DataError, match="needs --data-dir DIR; expected DIR/train/CLASS"):
        datasets.load("folder", None)
    with pytest.raises(DataError, match="train does not exist; expected DIR/train/CLASS"):
        datasets.load("folder", str(tmp_path))
    write_images(tmp_path)
    (tmp_path / "test" / "wolf").mkdir()
    with pytest.raises(DataError, match="test has the classes cat, dog, owl, wolf; train has cat, dog, owl"):
        datasets.load("folder", str(tmp_path))
