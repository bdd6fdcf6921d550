"""OpenCV on images with any number of channels."""

import numpy as np


def by_channels(operation, image):
    """``operation(image)`` of an image (H, W, C), where OpenCV may take four channels at most.

    It drops the axis of a single channel, too; here it is kept.
    """
    channels = image.shape[2]
    if 2 <= channels <= 4:
        return operation(image)
    parts = [operation(np.ascontiguousarray(image[..., i : i + 4])) for i in range(0, channels, 4)]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def as_picture(image):
    """Any channels and depth -> uint8 (H, W, 3) to look at: the first three channels."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if image.shape[2] < 3:
        image = np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
