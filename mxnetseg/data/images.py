"""From a file to an image: decoding that notices damage."""

import io
import os

import cv2
import numpy as np

from ..errors import MXNetSegError
from .content import REPLACE, DataError, damaged, read_intact, sniff

# A camera's orientation tag is left alone, as PIL does: the masks do not have it.
_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)
_READ = cv2.IMREAD_COLOR if _RGB is None else _RGB
_READ |= cv2.IMREAD_IGNORE_ORIENTATION


def read_image(path, channels=3, max_value=None, allow_truncated=False):
    """Read a picture, whatever its mode and depth.

    Args:
        channels: how many it must have; 3: any picture becomes RGB.
        max_value: the value that means 1, for images of more than 8 bits or with fractions; see
            :class:`~mxnetseg.data.schema.DatasetSpec`.
        allow_truncated: decode a file that ends too early as far as it goes.

    Returns:
        uint8 (H, W, channels), RGB first. Files of more than 8 bits (for RGB: only with
        ``max_value``), .npy with fractions: float32 in 0..255, so that 255 means 1 as well.

    Raises:
        DataError: the file is missing, empty, truncated or no image, or has other channels.
    """
    return decode_image(path, read_intact(path, allow_truncated), channels, max_value)


def decode_image(path, content, channels=3, max_value=None):
    """:func:`read_image` of a file's content."""
    npy = os.path.splitext(str(path))[1].lower() == ".npy"
    if channels != 3 or max_value is not None or npy:
        return as_image(path, _decode_deep(path, content, npy, channels), channels, max_value)
    image = decode(path, content, _READ)
    return image if _RGB is not None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def decode(path, content, how):
    """OpenCV's ``imdecode``; DataError if it cannot."""
    try:
        image = cv2.imdecode(content, how)
    except cv2.error:  # for instance too many pixels
        image = None
    if image is None:
        raise damaged(path, content)
    return image


def _decode_deep(path, content, npy, channels):
    """The values of an image file as they are: (H, W) or (H, W, C), RGB first."""
    if npy:
        return read_npy(path, content)
    if sniff(content) == "tiff" and channels > 4:
        return _read_tiff(path, content)
    grey = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    how = grey if channels == 1 else cv2.IMREAD_UNCHANGED
    image = decode(path, content, how | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.ndim == 3 and image.shape[2] in (3, 4):  # OpenCV has blue first
        order = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        image = cv2.cvtColor(image, order)
    return image


def _read_tiff(path, content):
    try:
        import tifffile
    except ImportError:
        raise MXNetSegError(
            f"Reading {path} with more than 4 channels needs tifffile; install it (pip install "
            "tifffile), or save the images as .npy."
        ) from None
    try:
        return tifffile.imread(io.BytesIO(content.tobytes()))
    except Exception as error:  # tifffile has many
        raise damaged(path, content) from error


_FULL = {"u1": 255, "u2": 65535}


def as_image(path, image, channels, max_value):
    """The values of an image, (H, W) or (H, W, C), as :func:`read_image` returns them.

    Args:
        path: what to call it in errors.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] != channels or image.dtype.kind not in "uif":
        if image.ndim == 3 and image.shape[0] == channels:
            remedy = "put the channels last (numpy.moveaxis)"
        else:
            remedy = "set 'channels' in the data set's YAML, or save the image anew"
        shape = " x ".join(map(str, image.shape))
        raise DataError(path, "channels", f"is {shape}, not H x W x {channels} numbers", remedy)
    if max_value is None and image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    full = max_value or _FULL.get(image.dtype.str[1:], 1 if image.dtype.kind == "f" else None)
    if full is None:
        kind = f"holds numbers of type {image.dtype}"
        raise DataError(path, "channels", kind, "set 'max_value' in the data set's YAML")
    with np.errstate(over="ignore"):
        image = image.astype(np.float32) * np.float32(255 / full)
    if not np.isfinite(image).all():
        raise DataError(path, "unreadable", "holds infinite numbers or NaN", "replace them")
    return image


def read_npy(path, content):
    """The array of a .npy file's content; DataError if it is damaged or holds Python objects."""
    try:
        return np.load(io.BytesIO(content.tobytes()), allow_pickle=False)
    except Exception:  # NumPy has many
        raise DataError(
            path, "unreadable", "is not a NumPy array, or is damaged", REPLACE
        ) from None


def as_picture(image):
    """Any channels and depth -> uint8 (H, W, 3) to look at: the first three channels."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if image.shape[2] < 3:
        image = np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
