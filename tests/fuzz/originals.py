"""The files that are damaged: small, whole, one of each format."""

import io

import cv2
import numpy as np
from PIL import Image

CLASSES = "classes: [wall, floor, tree]\n"


def picture(seed=0, channels=3, dtype=np.uint8):
    """(H, W, channels)."""
    rng = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(rng.random((24, 36, channels)).astype(np.float32), (0, 0), 1.5)
    rough = rough.reshape(24, 36, channels)
    full = np.iinfo(dtype).max
    return ((rough - rough.min()) / (rough.max() - rough.min()) * full).astype(dtype)


def labels(seed=0):
    """uint8 (24, 36): 0, 1, 2 and 255."""
    mask = np.random.default_rng(seed).integers(0, 3, (24, 36)).astype(np.uint8)
    mask[:2] = 255
    return mask


def encoded(ending, array, *options):
    """By OpenCV."""
    return cv2.imencode(ending, array, list(options))[1].tobytes()


def saved(image, kind, **options):
    """By PIL."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def palette(array):
    image = Image.fromarray(array)
    image.putpalette(list(range(256)) * 3)
    return image


def images():
    """[(ending, content, keys of the YAML)]"""
    found = []
    for seed in (0, 1):
        rgb, grey = picture(seed), picture(seed, 1)[..., 0]
        found += [
            (".png", encoded(".png", rgb), ""),
            (".png", encoded(".png", grey), ""),
            (".png", saved(palette(grey), "PNG"), ""),
            (".png", encoded(".png", picture(seed, 3, np.uint16)), ""),
            (".png", encoded(".png", picture(seed, 1, np.uint16)), "channels: 1\n"),
            (".png", encoded(".png", picture(seed, 4)), "channels: 4\n"),
            (".png", encoded(".png", picture(seed, 3, np.uint16)), "max_value: 4095\n"),
            (".jpg", encoded(".jpg", rgb), ""),
            (".jpg", encoded(".jpg", rgb, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), ""),
            (".jpg", encoded(".jpg", rgb), "truncated_images: true\n"),
            (".bmp", encoded(".bmp", rgb), ""),
            (".tif", encoded(".tif", rgb), ""),
            (".tif", encoded(".tif", picture(seed, 3, np.uint16)), "max_value: 65535\n"),
            (".tif", saved(Image.fromarray(rgb), "TIFF", compression="tiff_lzw"), ""),
            (".webp", encoded(".webp", rgb, cv2.IMWRITE_WEBP_QUALITY, 101), ""),
            (".webp", encoded(".webp", rgb, cv2.IMWRITE_WEBP_QUALITY, 80), ""),
            (".npy", npy(picture(seed, 5).astype(np.float32)), "channels: 5\n"),
            (".npy", npy(picture(seed, 2, np.uint16)), "channels: 2\n"),
        ]
        found += multiband(seed)
    return found


def multiband(seed):
    try:
        import tifffile
    except ImportError:
        return []
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture(seed, 6, np.uint16), photometric="minisblack")
    return [(".tif", buffer.getvalue(), "channels: 6\n")]


def masks():
    """[(ending, content, keys of the YAML)]"""
    found = []
    for seed in (0, 1):
        mask = labels(seed)
        bits = mask % 2
        colors = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9]], np.uint8)[mask % 3]
        color = "encoding: color\ncolors: [[9, 0, 0], [0, 9, 0], [0, 0, 9]]\n"
        found += [
            (".png", saved(Image.fromarray(mask), "PNG"), ""),
            (".png", encoded(".png", mask), ""),
            (".png", saved(palette(mask), "PNG"), ""),
            (".png", saved(palette(mask % 3), "PNG", bits=2), ""),
            (".png", saved(Image.fromarray(bits.astype(bool)), "PNG"), ""),
            (".png", encoded(".png", colors[..., ::-1]), color),
            (
                ".png",
                encoded(".png", np.where(mask == 2, 300, mask).astype(np.uint16)),
                "raw_ids: [0, 1, 300]\n",
            ),
            (".bmp", encoded(".bmp", mask), ""),
            (".tif", encoded(".tif", mask), ""),
            (".tif", saved(Image.fromarray(mask), "TIFF", compression="tiff_lzw"), ""),
            (".npy", npy(mask), ""),
            (".npy", npy(mask.astype(np.int64)), ""),
            (".txt", "\n".join(" ".join(map(str, row)) for row in mask).encode(), ""),
            *matlab(mask),
        ]
    return found


def matlab(mask):
    try:
        import scipy.io
    except ImportError:
        return []
    found = []
    for content in ({"S": mask}, {"GTcls": {"Segmentation": mask, "names": ["a"]}}):
        for compressed in (False, True):
            buffer = io.BytesIO()
            scipy.io.savemat(buffer, content, do_compression=compressed)
            keys = "" if "S" in content else "variable: GTcls.Segmentation\n"
            found.append((".mat", buffer.getvalue(), keys))
    return found
