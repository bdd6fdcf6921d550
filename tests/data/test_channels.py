"""Images with other than three channels of 8 bits."""

import cv2
import numpy as np
import pytest

from mxnetseg import data
from mxnetseg.data import images
from mxnetseg.data.check import check
from mxnetseg.data.opencv import by_channels
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import CLASSES


def values(channels, dtype, top):
    rng = np.random.default_rng(channels)
    image = rng.uniform(0, top, (24, 32, channels))
    return image.astype(dtype)


def fill(folder, image, ending):
    """All images of the data set in ``folder`` become ``image``."""
    for path in list((folder / "images").rglob("*.png")):
        path.unlink()
        path = path.with_suffix(ending)
        if ending == ".npy":
            np.save(str(path), image)
        else:
            order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(image.shape[2], slice(None))
            cv2.imwrite(str(path), image[..., order])


@pytest.mark.parametrize(
    "channels, dtype, ending",
    [
        (1, np.uint8, ".png"),
        (1, np.uint16, ".png"),
        (1, np.uint16, ".tif"),
        (4, np.uint8, ".png"),
        (4, np.uint16, ".tif"),
        (6, np.uint8, ".npy"),
        (6, np.uint16, ".npy"),
        (5, np.float32, ".npy"),
    ],
)
def test_images_keep_their_channels_and_precision(folder, channels, dtype, ending):
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    image = values(channels, dtype, top)
    fill(folder, image, ending)
    (folder / "classes.yaml").write_text(CLASSES + f"channels: {channels}\n")
    ds = data.create(folder, "train")
    got = ds[0].image
    assert got.shape == (24, 32, channels) and ds[0].mask is not None
    assert got.dtype == (np.uint8 if dtype is np.uint8 else np.float32)
    assert np.allclose(got, image * (255 / top), atol=1e-3)
    info = ds.info
    assert info.channels == len(info.mean) == len(info.std) == channels
    assert info.mean[0] == 0.449 and info.std[0] == 0.226
    assert check(folder).ok


def test_max_value_keeps_the_precision_of_rgb(folder):
    image = values(3, np.uint16, 4095)
    fill(folder, image, ".png")
    assert data.create(folder, "train")[0].image.dtype == np.uint8
    (folder / "classes.yaml").write_text(CLASSES + "max_value: 4095\nmean: [0.1, 0.2, 0.3]\n")
    ds = data.create(folder, "train")
    assert np.allclose(ds[0].image, image * (255 / 4095), atol=1e-3)
    assert ds.info.mean == (0.1, 0.2, 0.3) and ds.info.std == data.info("camvid").std


def test_grey_pictures_from_colour_files(folder):
    (folder / "classes.yaml").write_text(CLASSES + "channels: 1\n")
    grey = cv2.imread(str(folder / "images/train/p0.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(data.create(folder, "train")[0].image[..., 0], grey)


def test_tiff_with_many_channels(folder, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    image = values(7, np.uint16, 65535)
    path = folder / "x.tif"
    tifffile.imwrite(str(path), image, photometric="minisblack", planarconfig="contig")
    assert np.allclose(images.read_image(path, 7), image / 257, atol=1e-3)


def test_tiff_with_many_channels_names_its_reader(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    cv2.imwrite(str(folder / "x.tif"), np.zeros((4, 4), np.uint8))
    with pytest.raises(MXNetSegError, match="pip install tifffile"):
        images.read_image(folder / "x.tif", 7)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((24, 32, 3), np.uint8), "is 24 x 32 x 3, not H x W x 4 numbers; set 'channels'"),
        (np.zeros((4, 24, 32), np.uint8), "put the channels last"),
        (np.zeros((24, 32, 4), np.int32), "holds numbers of type int32; set 'max_value'"),
        (np.full((24, 32, 4), np.nan, np.float32), "holds infinite numbers or NaN"),
        (np.zeros((24, 32, 4), bool), "not H x W x 4 numbers"),
    ],
)
def test_wrong_images_are_reported(folder, array, message):
    fill(folder, array, ".npy")
    (folder / "classes.yaml").write_text(CLASSES + "channels: 4\n")
    with pytest.raises(data.DataError, match=message):
        data.create(folder, "train")[0]
    report = check(folder)
    assert len(report.errors) == 6 and message.split(";")[0][:12] in str(report.errors[0])


def test_damaged_arrays(folder):
    fill(folder, np.zeros((24, 32, 4), np.uint8), ".npy")
    (folder / "classes.yaml").write_text(CLASSES + "channels: 4\n")
    path = folder / "images/train/p0.npy"
    path.write_bytes(path.read_bytes()[:-50])
    assert [f.kind for f in check(folder, split="train").errors] == ["unreadable"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("channels: 4\nmean: [0.5, 0.5, 0.5]\n", "'mean' has 3 numbers for 4 channels"),
        ("std: [0.5, 0.5]\n", "'std' has 2 numbers for 3 channels"),
        ("std: [0.5, 0.5, 0]\n", "'std' must be positive"),
        ("channels: 0\n", "channels"),
    ],
)
def test_wrong_yaml(folder, text, message):
    (folder / "classes.yaml").write_text(CLASSES + text)
    with pytest.raises(UsageError, match=message):
        data.create(folder, "train")


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 9])
def test_any_number_of_channels_is_resized(channels):
    image = values(channels, np.uint8, 255)
    small = by_channels(lambda part: cv2.resize(part, (20, 15), interpolation=3), image)
    assert small.shape == (15, 20, channels)
    for k in range(channels):
        one = cv2.resize(np.ascontiguousarray(image[..., k]), (20, 15), interpolation=3)
        assert np.array_equal(small[..., k], one)
