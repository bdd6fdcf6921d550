"""Videos, numbered frames and cameras."""

import os
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from mxnetseg import cli
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import video
from mxnetseg.inference.pictures import Look
from mxnetseg.inference.predictor import Predictor

from ..report.test_report import trained
from ..tiny import backend, description, image


def movie(path, count=7, size=(48, 64), rate=12.5):
    """A film whose frames differ in their grey."""
    code = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, rate, size[::-1])
    for k in range(count):
        writer.write(np.full((*size, 3), 20 + 30 * k, np.uint8))
    writer.release()
    return path


def frames(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        good, frame = capture.read()
        if not good:
            return found, capture.get(cv2.CAP_PROP_FPS)
        found.append(frame)


class Painter(Predictor):
    """Answers class 1 everywhere, and notes what it saw."""

    def __init__(self):
        super().__init__(backend(), description())
        self.seen = []

    def scored(self, pixels, context=0, confidence=True):
        self.seen.append(int(pixels.mean()))
        classes = np.ones(pixels.shape[:2], np.uint8)
        return classes, classes * 100 if confidence else None


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_size_rate_and_order(tmp_path, ending):
    film = movie(tmp_path / f"film{ending}")
    painter = Painter()
    done = video.predict_video(painter, film, tmp_path / "out", scores=True)
    found, rate = frames(tmp_path / "out" / "overlay.mp4")
    assert done.frames == len(found) == 7 and rate == pytest.approx(12.5)
    assert done.seconds > 0 and not done.stopped
    assert found[0].shape == (48, 64, 3)
    assert painter.seen == sorted(painter.seen) and len(set(painter.seen)) == 7
    color = np.mean(description().palette[1])
    for frame, grey in zip(found, painter.seen):
        assert frame.mean() == pytest.approx((grey + color) / 2, abs=6)
    scores, _ = frames(tmp_path / "out" / "scores.mp4")
    assert np.mean(scores) == pytest.approx(100, abs=6)  # the codec is lossy
    assert sorted(os.listdir(tmp_path / "out")) == ["overlay.mp4", "scores.mp4"]


def test_side_by_side_and_alpha(tmp_path):
    film = movie(tmp_path / "film.mp4", 2)
    video.predict_video(Painter(), film, tmp_path, Look(0.0, True, True))
    found, _ = frames(tmp_path / "overlay.mp4")
    assert found[0].shape == (48, 128, 3)
    assert np.abs(found[1][:, :64].astype(int) - found[1][:, 64:]).mean() < 4


def test_numbered_frames(tmp_path):
    for k in (8, 9, 10, 100):  # by number, not by name
        cv2.imwrite(str(tmp_path / f"f{k}.png"), np.full((48, 64, 3), k, np.uint8))
    cv2.imwrite(str(tmp_path / "f7x.png"), np.zeros((48, 64, 3), np.uint8))
    painter = Painter()
    done = video.predict_video(painter, tmp_path / "f%d.png", tmp_path / "out", rate=5)
    assert painter.seen == [8, 9, 10, 100] and done.frames == 4
    assert frames(tmp_path / "out" / "overlay.mp4")[1] == pytest.approx(5)
    cv2.imwrite(str(tmp_path / "f101.png"), np.zeros((48, 66, 3), np.uint8))
    with pytest.raises(MXNetSegError, match="66x48 pixels, but the first one 64x48"):
        video.predict_video(Painter(), tmp_path / "f%d.png", tmp_path / "out")
    assert len(frames(tmp_path / "out" / "overlay.mp4")[0]) == 4  # what was done is kept


def test_what_is_a_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "5").mkdir()
    (tmp_path / "a.MP4").touch()
    (tmp_path / "odd%d.jpg").touch()
    said = {a: video.is_video(a) for a in ("0", "5", "a.MP4", "odd%d.jpg", "x_%04d.jpg", "*.jpg")}
    assert said == {
        "0": True, "5": False, "a.MP4": True, "odd%d.jpg": False, "x_%04d.jpg": True, "*.jpg": False
    }  # fmt: skip


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(MXNetSegError, match=r"bad\.mp4 cannot be opened"):
        video.predict_video(Painter(), tmp_path / "bad.mp4", tmp_path / "out")
    with pytest.raises(UsageError, match="no file has such a name"):
        video.predict_video(Painter(), tmp_path / "f_%04d.png", tmp_path / "out")
    with pytest.raises(MXNetSegError, match="Camera 77 cannot be opened"):
        video.predict_video(Painter(), "77", tmp_path / "out")
    other = Painter()
    other.description = description(mean=(0.5,) * 4, std=(0.2,) * 4)
    with pytest.raises(UsageError, match="Videos are RGB"):
        video.predict_video(other, movie(tmp_path / "film.mp4"), tmp_path / "out")
    assert not (tmp_path / "out" / "overlay.mp4").exists()


class Camera:
    """Never ends; Ctrl-C comes with the frame of a number."""

    frames, rate, live = None, None, True

    def __init__(self, painter, until):
        self.painter, self.until, self.count, self.most = painter, until, 0, 0

    def read(self):
        self.count += 1
        self.most = max(self.most, self.count - len(self.painter.seen))
        return np.full((48, 64, 3), self.count % 200, np.uint8)

    def close(self):
        self.closed = True


@pytest.mark.parametrize("live", [True, False])
def test_ctrl_c_keeps_what_was_done(tmp_path, monkeypatch, live):
    painter = Painter()
    camera = Camera(painter, 20)
    camera.live = live
    monkeypatch.setattr(video, "_open", lambda argument: camera)
    write, count = video._Writer.write, []

    def stop(self, picture):
        write(self, picture)
        count.append(1)
        if len(count) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(video._Writer, "write", stop)
    done = video.predict_video(painter, "0", tmp_path)
    assert done.stopped is not live and camera.closed
    assert len(frames(tmp_path / "overlay.mp4")[0]) == 20
    assert camera.most <= 4  # frames that wait for the network


def test_the_next_frame_is_decoded_while_the_network_runs(tmp_path, monkeypatch):
    """A network that waits for the next frame to be read, and does not wait in vain."""
    painter, read = Painter(), threading.Semaphore(0)
    camera = Camera(painter, 0)

    def next_frame():
        read.release()
        return np.zeros((48, 64, 3), np.uint8) if camera.count < 6 else None

    def scored(pixels, context=0, confidence=True):
        camera.count += 1
        assert read.acquire(timeout=10) and read.acquire(timeout=10)
        read.release()
        return np.ones((48, 64), np.uint8), None

    camera.read, painter.scored = next_frame, scored
    monkeypatch.setattr(video, "_open", lambda argument: camera)
    assert video.predict_video(painter, "0", tmp_path).frames >= 6


def test_from_the_command_line(tmp_path, capsys):
    run = trained(tmp_path / "run")
    film = movie(tmp_path / "film.mp4", 3)
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    cv2.imwrite(str(tmp_path / "photo.png"), image(48, 64))
    command = ["predict", "--checkpoint", str(run / "best.params"), "--ctx", "cpu", "-o"]
    assert cli.main([*command, str(tmp_path / "one"), str(film), "--alpha", "0.3"]) == 0
    assert "3 frames" in capsys.readouterr().out
    assert len(frames(tmp_path / "one" / "overlay.mp4")[0]) == 3
    several = [str(film), str(tmp_path / "bad.mp4"), str(tmp_path / "photo.png"), "--no-legend"]
    assert cli.main([*command, str(tmp_path / "two"), *several, "--side-by-side", "--scores"]) == 1
    said = capsys.readouterr()
    assert "1 of 1 images" in said.out and "bad.mp4 cannot be opened" in said.err
    assert len(frames(tmp_path / "two" / "film" / "overlay.mp4")[0]) == 3
    assert cv2.imread(str(tmp_path / "two" / "overlay" / "photo.png")).shape == (48, 128, 3)
    assert cv2.imread(str(tmp_path / "two" / "scores" / "photo.png"), -1).shape == (48, 64)
    assert cli.main([*command, str(tmp_path / "x"), str(film), "--alpha", "1.5"]) == 2


@pytest.mark.slow
def test_sixty_frames_take_no_more_memory_than_ten(tmp_path):
    """960 x 720 pixels; in processes of their own."""
    run = trained(tmp_path / "run", model="bisenet", backbone="xception39")
    peaks = []
    for count in (10, 60):
        film = movie(tmp_path / f"{count}.mp4", count, (720, 960))
        command = [sys.executable, "-m", "mxnetseg", "predict", str(film), "--ctx", "cpu"]
        command += ["--checkpoint", str(run / "best.params"), "--scores"]
        command += ["-o", str(tmp_path / str(count))]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0
        peaks.append(usage.ru_maxrss / 1024)
        assert len(frames(tmp_path / str(count) / "overlay.mp4")[0]) == count
    print(f"{peaks[0]:.0f} and {peaks[1]:.0f} MB")
    assert peaks[1] < peaks[0] + 50  # one frame is 2 MB, its scores as floats 30 MB
