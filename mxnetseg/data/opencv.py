"""OpenCV: images with any number of channels, one thread at a time, histograms."""

import contextlib
import threading

import cv2
import numpy as np


def by_channels(operation, image, *numbers):
    """``operation(image, *numbers)`` of an image (H, W, C); OpenCV takes four channels at most.

    More of them are handed over in pieces. OpenCV drops the axis of a single channel; here it is
    kept.

    Args:
        numbers: sequences with an entry for each channel, handed over in the same pieces.
    """
    channels = image.shape[2]
    if 2 <= channels <= 4:
        return operation(image, *numbers)
    parts = []
    for first in range(0, channels, 4):
        piece = slice(first, first + 4)
        part = operation(np.ascontiguousarray(image[..., piece]), *(n[piece] for n in numbers))
        parts.append(part.reshape(*part.shape[:2], -1))
    return np.concatenate(parts, axis=2)


def histogram(array):
    """How often each value of a uint8 array (H, W) occurs: int64 (256,)."""
    return cv2.calcHist([array], [0], None, [256], [0, 256]).ravel().astype(np.int64)


# The number of OpenCV's threads belongs to the process, not to the thread that sets it: those who
# want one thread at the same time share one switch, and the last one restores it.
_lock = threading.Lock()
_users = 0
_before = None


@contextlib.contextmanager
def one_thread():
    """OpenCV works in the caller's thread alone: for those who have threads of their own."""
    global _users, _before
    with _lock:
        if _users == 0:
            _before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                cv2.setNumThreads(_before)
