"""From a file to a mask: decoding that never guesses at label values."""

import functools
import io
import os

import cv2
import numpy as np
from PIL import Image

from ..description import IGNORE
from . import matlab
from .content import REPLACE, DataError, check_png, damaged, read_intact, sniff
from .images import decode, read_npy
from .schema import UNKNOWN

_TO_GREY = "save masks as 8-bit grey or palette PNG whose values are the label ids"
# Grey of less than 8 bits is stretched to 0..255 by every decoder.
_STRETCH = {1: 255, 2: 85, 4: 17}


def read_labels(path, form=None):
    """Read a mask as it is: grey values, palette indices, colours or an array.

    Args:
        path: an image, or an array in a .mat, .npy or .txt file.
        form: :class:`~mxnetseg.data.labels.Labels`: the array's name in a .mat file, and whether
            16 bits are allowed.

    Returns:
        uint8 or uint16 (H, W), or uint8 (H, W, 3) RGB for a colour mask.

    Raises:
        DataError: the file is missing, damaged, or has 16 bits where 8 are enough.
    """
    return decode_labels(path, read_intact(path), form)


def decode_labels(path, content, form=None):
    """:func:`read_labels` of a file's content."""
    reader = _ARRAYS.get(os.path.splitext(str(path))[1].lower())
    if reader is not None:
        return _as_labels(path, reader(path, content, form))
    wide = form is not None and form.wide
    if sniff(content) == "png" and len(content) > 26:
        check_png(path, content)
        depth, color_type = int(content[24]), int(content[25])
        if depth == 16 and not (wide and color_type == 0):
            raise DataError(path, "16-bit", "is a 16-bit mask", _TO_GREY)
        if color_type == 0:
            labels = decode(path, content, cv2.IMREAD_UNCHANGED)
            return labels // _STRETCH[depth] if depth in _STRETCH else labels
    # OpenCV would turn palette indices into grey.
    try:
        with Image.open(io.BytesIO(content.tobytes())) as image:
            if image.mode in ("L", "P"):
                return np.array(image)
            if image.mode == "1":
                return np.array(image, np.uint8)
            if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
                if wide and image.mode != "F":
                    return _as_labels(path, np.array(image))
                raise DataError(path, "16-bit", "is not an 8-bit mask", _TO_GREY)
            labels = np.array(image.convert("RGB"))
    except DataError:
        raise
    except Exception:  # Pillow has many
        raise damaged(path, content) from None
    if sniff(content) == "webp" and _is_grey(labels):  # the format has no grey
        return np.ascontiguousarray(labels[..., 0])
    return labels


def _as_labels(path, array):
    """An array of whatever type as labels of 8 or 16 bits; negative values become 255."""
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise DataError(
            path, "unreadable", "does not hold a matrix of labels", "give one number for each pixel"
        )
    whole = array.astype(np.int64)
    if array.dtype.kind == "f" and not np.array_equal(whole, array):
        raise DataError(
            path, "unknown label", "holds fractions", "labels are whole numbers, save them so"
        )
    whole[whole < 0] = IGNORE
    top = whole.max()
    if top > 65535:
        raise DataError(path, "unknown label", f"has the label {top}", "labels end at 65535")
    return whole.astype(np.uint8 if top < 256 else np.uint16)


def _read_mat(path, content, form):
    try:
        variables = matlab.read(content)
    except matlab.Damaged as error:
        reason = "is not a MATLAB file before version 7.3, or is damaged"
        raise DataError(path, "unreadable", reason, REPLACE) from error
    if form is None or form.variable is None:
        matrices = [
            value
            for value in variables.values()
            if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype != object
        ]
        return matrices[0] if len(matrices) == 1 else None
    first, *fields = form.variable.split(".")
    value = variables.get(first)
    for field in fields:
        while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
            value = value.item()  # a structure lies in a matrix of structures
        value = getattr(value, field, None)
    if value is None:
        raise DataError(
            path,
            "unreadable",
            f"holds no array {form.variable} (it has {', '.join(sorted(variables)) or 'nothing'})",
            "use the data set's own file",
        )
    return value


def _read_txt(path, content, form):
    try:
        return np.loadtxt(io.BytesIO(content.tobytes()), dtype=np.float64, ndmin=2)
    except (ValueError, UnicodeDecodeError):
        raise DataError(path, "unreadable", "is not a matrix of numbers", REPLACE) from None


def _read_npy(path, content, form):
    return read_npy(path, content)


_ARRAYS = {".mat": _read_mat, ".npy": _read_npy, ".txt": _read_txt}


def _is_grey(labels):
    return np.array_equal(labels[..., 0], labels[..., 1]) and np.array_equal(
        labels[..., 0], labels[..., 2]
    )


def read_mask(path, info, form=""):
    """Read a mask and apply the data set's label table.

    Args:
        path: the file, or a sequence of files to be merged (:func:`merge_labels`).
        info: :class:`~mxnetseg.data.labels.Info`.
        form: the form of its labels, of ``info.labels``.

    Returns:
        uint8 (H, W): classes, 255 for ignored pixels.

    Raises:
        DataError: as :func:`read_labels`, or the mask holds something else than the labels.
    """
    form = info.labels[form]
    if isinstance(path, (str, os.PathLike)):
        return to_classes(path, read_labels(path, form), form)
    return to_classes(path[0], merge_labels(path, [read_labels(p, form) for p in path]), form)


def merge_labels(paths, parts):
    """Several masks of one image as one: a pixel keeps the first value that is not 0."""
    merged = parts[0].copy()
    for path, part in zip(paths, parts):
        check_sizes(paths[0], merged.shape, path, part.shape)
        np.copyto(merged, part, where=merged == 0)
    return merged


def to_classes(path, labels, form, strict=False):
    """Label values (H, W) or colours (H, W, 3) -> classes; DataError for unknown ones.

    Args:
        form: :class:`~mxnetseg.data.labels.Labels`.
        strict: unknown labels are an error also where the data set ignores them.
    """
    if form.encoding == "color":
        if labels.ndim != 3:
            raise DataError(
                path,
                "not RGB",
                f"is not an RGB mask, but {form.title} is colour-coded",
                "set 'encoding: index' in the data set's YAML, or use the RGB masks",
            )
        mask = _color_lut(form)[_packed(labels)]
    else:
        if labels.ndim == 3 and form.encoding == "threshold" and _is_grey(labels):
            labels = labels[..., 0]
        if labels.ndim == 3:
            raise DataError(
                path,
                "RGB",
                "is an RGB mask",
                f"{_TO_GREY}, or declare the colours ('encoding: color') in the data set's YAML",
            )
        if form.encoding == "threshold" and labels.max() >= 128:
            labels = (labels >= 128).astype(np.uint8)
        mask = _look_up(labels, form.table)
    unknown = mask == UNKNOWN
    if unknown.any():
        if strict or not form.lenient:
            raise _unknown_labels(path, labels, mask, form)
        mask[unknown] = IGNORE
    return mask


def _look_up(labels, table):
    if labels.dtype == np.uint8:
        return cv2.LUT(np.ascontiguousarray(labels), table[:256])
    if len(table) == 256:
        table = np.concatenate([table, np.full(65280, UNKNOWN, np.uint8)])
    return table[labels]


def _packed(labels):
    """RGB (H, W, 3) -> int32 (H, W)."""
    red, green, blue = (labels[..., k].astype(np.int32) for k in range(3))
    return red << 16 | green << 8 | blue


def _color_lut(form):
    return _packed_table(tuple(sorted(form.colors.items())))


@functools.lru_cache(maxsize=4)
def _packed_table(items):
    """All 2^24 colours -> class: 16 MB, made once, 20 times faster than comparing colours."""
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for packed, index in items:
        table[packed] = index
    return table


def _unknown_labels(path, labels, mask, form):
    where = mask == UNKNOWN
    share = 100 * where.mean()
    if labels.ndim == 3:
        values = np.unique(_packed(labels)[where])
        text = ", ".join(f"({v >> 16}, {v >> 8 & 255}, {v & 255})" for v in values[:5])
        what = "colour"
    else:
        values = np.unique(labels[where])
        text = ", ".join(str(v) for v in values[:8])
        what = "label"
    many = len(values) > 1
    remedy = f"correct the mask, or list {'them' if many else 'it'} as class or under 'ignore'"
    first = np.flatnonzero(form.table == 0)
    if what == "label" and len(first) and labels.min() > first[0]:
        remedy = f"{remedy} (if labels count from {labels.min()}: 'first_raw: {labels.min()}')"
    text = f"{what}{'s' if many else ''} {text}{' ...' if len(values) > 8 else ''}"
    ending = os.path.splitext(str(path))[1].lower()
    if ending in (".jpg", ".jpeg", ".webp") and many:
        remedy = "JPEG and WebP blur label values: save masks as PNG"
    return DataError(
        path,
        "unknown label",
        f"has the {text} ({share:.3g} % of the pixels), but the labels are {form.allowed()}",
        remedy,
    )


def fitted(mask, size, mask_path, image_path, resize=False):
    """The mask, if it fits its image.

    Args:
        mask: (H, W), or (H, W, 3) of colours.
        size: (height, width) of the image, or its shape.
        resize: where only the size differs, not the shape of the frame, resize the mask (nearest).

    Raises:
        DataError: it does not fit.
    """
    if resize and mask.shape[:2] != tuple(size[:2]) and _same_frame(mask.shape[:2], size[:2]):
        return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    check_sizes(image_path, size, mask_path, mask.shape)
    return mask


def _same_frame(a, b):
    """Whether two sizes are those of one picture: equal height / width but for rounding."""
    # Heights and widths are within half a pixel of h, w and of k h, k w.
    (ah, aw), (bh, bw) = a, b
    return abs(ah * bw - aw * bh) <= (ah + aw + bh + bw) / 2


def check_sizes(image_path, image_shape, mask_path, mask_shape):
    """DataError if image and mask differ in height or width."""
    if image_shape[:2] == mask_shape[:2]:
        return
    (ih, iw), (mh, mw) = image_shape[:2], mask_shape[:2]
    remedy = "pair the right files, or make the mask again at the image's size"
    if (ih, iw) == (mw, mh):
        remedy += " (the image may carry a camera's rotation tag, which is not applied)"
    raise DataError(
        mask_path, "size", f"is {mw}x{mh} pixels, but its image {image_path} is {iw}x{ih}", remedy
    )
