"""Videos, numbered frames and cameras through a network, frame by frame."""

import itertools
import os
import re
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .. import files, progress
from ..data.images import read_image
from ..errors import MXNetSegError, UsageError
from .evaluator import in_turn
from .pictures import Look, paint

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
_NUMBER = re.compile(r"%(0\d+)?d")
RATE = 25.0  # of numbered frames, and of cameras that do not say theirs


class Outcome(NamedTuple):
    """What became of a video: frames, the seconds that they took, and whether it was stopped."""

    frames: int
    seconds: float
    stopped: bool


def is_video(argument):
    """Whether an argument stands for a video, numbered frames (``f_%04d.png``) or a camera."""
    text = str(argument)
    if os.path.isdir(os.path.expanduser(text)):
        return False
    if os.path.exists(os.path.expanduser(text)):
        return text.lower().endswith(ENDINGS)
    return text.isdigit() or _NUMBER.search(Path(text).name) is not None


def predict_video(predictor, argument, out, look=None, scores=False, rate=None):
    """Write ``overlay.mp4``: the colours over every frame, in the video's size and rate.

    The next frame is decoded and the last one is written while the network runs; a few frames are
    in memory. Ctrl-C ends a camera; of a file it leaves what was predicted so far.

    Args:
        predictor: Predictor of RGB images.
        argument: see :func:`is_video`.
        out: folder.
        look: Look; there is no legend, and ``side_by_side`` doubles the width.
        scores: whether to write scores.mp4, grey frames of the largest soft-max.
        rate: frames per second; by default the video's own.

    Raises:
        UsageError: there is no such video. MXNetSegError: it cannot be read or written.
    """
    if predictor.description.channels != 3 or predictor.description.max_value is not None:
        raise UsageError("Videos are RGB, but this network takes other images.")
    look = (look or Look())._replace(legend=False)
    about, out = predictor.description, Path(out)
    source = _open(argument)
    files.check_folder(out)
    rate = rate or source.rate or RATE
    sinks = [_Writer(out / "overlay.mp4", rate)]
    if scores:
        sinks.append(_Writer(out / "scores.mp4", rate))

    def work(frame, context):
        return None if frame is None else predictor.scored(frame, context, scores)

    start, count, stopped = time.time(), 0, False
    frames = in_turn(lambda _: source.read(), work, itertools.count(), predictor.backend.devices)
    try:
        bar = progress.bar(total=source.frames, unit="frame")
        with bar, closing(frames):
            for frame, found in frames:
                if frame is None:
                    break
                classes, grey = found
                strips = paint(
                    frame, classes, about.palette, about.classes, look, about.void_color
                )[2]
                pictures = [np.concatenate(list(strips)), grey]
                for sink, picture in zip(sinks, pictures):
                    sink.write(picture)
                count += 1
                bar.update()
    except KeyboardInterrupt:
        stopped = True
    finally:
        source.close()
        for sink in sinks:
            sink.close()
    if not count:
        raise MXNetSegError(f"{argument} has no frame that can be read.")
    return Outcome(count, time.time() - start, stopped and not source.live)


def first_frame(argument):
    """The first frame of a video, uint8 (H, W, 3) RGB; errors as of :func:`predict_video`."""
    with closing(_open(argument)) as source:
        frame = source.read()
    if frame is None:
        raise MXNetSegError(f"{argument} has no frame that can be read.")
    return frame


# --- reading ------------------------------------------------------------------------------------


def _open(argument):
    """A source of frames: ``read()`` gives uint8 (H, W, 3) RGB, or None at the end.

    Its attributes are ``frames`` and ``rate``, None where they are not known, and ``live``.
    """
    text = os.path.expanduser(str(argument))
    if not os.path.exists(text):
        if text.isdigit():
            return _Capture(int(text), f"Camera {text}", live=True)
        return _Numbered(text)
    return _Capture(text, text, live=False)


class _Capture:
    """A video file or a camera."""

    def __init__(self, source, name, live):
        self.capture, self.live = cv2.VideoCapture(source), live
        if not self.capture.isOpened():
            remedy = "is there one?" if live else "is it complete, and a video?"
            raise MXNetSegError(f"{name} cannot be opened: {remedy}")
        count, rate = (
            self.capture.get(what) for what in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS)
        )
        self.frames = int(count) if 0 < count < 1e9 and not live else None
        self.rate = rate if 0 < rate <= 1000 else None

    def read(self):
        good, frame = self.capture.read()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if good else None

    def close(self):
        self.capture.release()


class _Numbered:
    """Image files in the order of the number in their names, from the first to the last."""

    rate, live = None, False

    def __init__(self, pattern):
        path = Path(pattern)
        before, _, after = (re.escape(part) for part in _split(path.name))
        name = re.compile(f"{before}(\\d+){after}")
        folder = path.parent
        found = [p for p in folder.iterdir() if name.fullmatch(p.name)] if folder.is_dir() else []
        if not found:
            raise UsageError(f"{pattern} does not exist: no file has such a name and number.")
        found.sort(key=lambda p: int(name.fullmatch(p.name).group(1)))
        self.frames, self._rest = len(found), iter(found)

    def read(self):
        path = next(self._rest, None)
        return None if path is None else read_image(path)

    def close(self):
        self._rest = iter(())


def _split(name):
    number = _NUMBER.search(name)
    return name[: number.start()], number.group(), name[number.end() :]


# --- writing ------------------------------------------------------------------------------------


class _Writer:
    """An .mp4 (MPEG-4 Part 2), which every player knows; in its place when it is closed."""

    def __init__(self, path, rate):
        self.path, self.rate, self.writer, self.size = path, rate, None, None
        self.aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")

    def write(self, picture):
        """Add a frame, uint8 (H, W, 3) RGB or (H, W) grey."""
        height, width = picture.shape[:2]
        if self.writer is None:
            self.size = width, height
            code = cv2.VideoWriter_fourcc(*"mp4v")
            self.writer = cv2.VideoWriter(str(self.aside), code, self.rate, self.size)
            if not self.writer.isOpened():
                raise MXNetSegError(f"{self.path} cannot be written: {width}x{height} pixels.")
        if (width, height) != self.size:
            raise MXNetSegError(
                f"A frame has {width}x{height} pixels, but the first one {self.size[0]}x"
                f"{self.size[1]}."
            )
        kind = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        self.writer.write(cv2.cvtColor(picture, kind))

    def close(self):
        """Put what was written in its place."""
        if self.writer is None:
            return
        self.writer.release()
        try:
            os.replace(str(self.aside), str(self.path))
        except OSError as error:
            raise files.cannot_write(self.path, error) from None
