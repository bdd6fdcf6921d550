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
