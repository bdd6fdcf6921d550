"""Very large images: in blocks, with memory that does not grow."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxnetseg import files
from mxnetseg.data import voc_palette
from mxnetseg.inference import large, merge, output, pictures
from mxnetseg.inference.pictures import Look
from mxnetseg.inference.predictor import Predictor
from mxnetseg.inference.protocol import Protocol

from ..report.test_report import trained
from ..tiny import backend, description, image, tiny_net


@pytest.mark.parametrize(
    "length,block,margin", [(10, 16, 2), (16, 16, 2), (17, 16, 2), (100, 16, 3)]
)
def test_cuts_cover_everything_once(length, block, margin):
    cuts = large.cuts(length, block, margin)
    assert [k for c in cuts for k in range(c.first, c.last)] == list(range(length))
    assert len({c.stop - c.start for c in cuts}) == 1
    for c in cuts:
        assert 0 <= c.start <= c.first < c.last <= c.stop <= length
        assert c.start == 0 or c.first - c.start >= margin
        assert c.stop == length or c.stop - c.last >= margin


@pytest.mark.parametrize("protocol", [Protocol(), Protocol(scales=(0.5, 1.0), flip=True)])
def test_blocks_answer_as_the_whole_image(monkeypatch, protocol):
    """Of a network that sees less than the margin, at blocks that begin at its stride."""
    network = backend(tiny_net(align_corners=False))
    pixels = image(200, 328)
    whole, sure = merge.classify(network, pixels, protocol, confidence=True)
    monkeypatch.setattr(large, "WHOLE_PIXELS", 20_000)
    monkeypatch.setattr(large, "BLOCK", 128)
    monkeypatch.setattr(large, "MARGIN", 32)
    sizes = []
    classify = merge.classify
    monkeypatch.setattr(
        merge,
        "classify",
        lambda b, i, *a, **k: sizes.append(i.shape[:2]) or classify(b, i, *a, **k),
    )
    classes, grey = large.classify(network, pixels, protocol, confidence=True)
    assert set(sizes) == {(128, 128)} and len(sizes) == 15
    # pixels whose two best scores are equal but for rounding may differ
    assert (classes == whole).mean() > 0.999
    assert np.abs(grey.astype(int) - 255 * sure).mean() < 0.6
    assert large.classify(network, pixels, protocol)[1] is None


@pytest.mark.parametrize("base,blocks", [(656, {(64, 64)}), (246, {(172, 172)})])
def test_blocks_of_an_image_that_is_scaled(monkeypatch, base, blocks):
    """The network sees 128 pixels of it at a time, whatever the factor."""
    network = backend(tiny_net(align_corners=False))
    pixels, protocol = cv2.blur(image(200, 328), (9, 9)), Protocol(base_size=base)
    whole = merge.classify(network, pixels, protocol)[0]
    monkeypatch.setattr(large, "WHOLE_PIXELS", 20_000)
    monkeypatch.setattr(large, "BLOCK", 128)
    monkeypatch.setattr(large, "MARGIN", 32)
    seen, classify = [], merge.classify

    def note(backend, part, protocol, **options):
        seen.append((part.shape[:2], protocol.scaled_size(*part.shape[:2], 1.0)))
        return classify(backend, part, protocol, **options)

    monkeypatch.setattr(merge, "classify", note)
    classes = large.classify(network, pixels, protocol)[0]
    assert {shape for shape, _ in seen} == blocks
    assert all(abs(v - 128) <= 1 for _, size in seen for v in size)
    # blocks do not begin at the stride's multiples: the network's grid lies elsewhere
    assert (classes == whole).mean() > 0.9


def test_a_network_of_small_windows_gets_them(monkeypatch):
    """Blocks are never smaller than the windows of the protocol."""
    network = backend(tiny_net(align_corners=False))
    monkeypatch.setattr(large, "WHOLE_PIXELS", 20_000)
    monkeypatch.setattr(large, "BLOCK", 64)
    monkeypatch.setattr(large, "MARGIN", 8)
    slide = Protocol(mode="slide", crop_size=(96, 96))
    seen = []
    monkeypatch.setattr(
        merge, "classify", lambda b, i, *a, **k: (seen.append(i.shape), (i[..., 0], None))[1]
    )
    large.classify(network, image(200, 200), slide)
    assert {s[:2] for s in seen} == {(96, 96)}
    seen.clear()  # scaled down as a whole
    large.classify(network, image(200, 200), Protocol(base_size=100))
    assert seen == [(200, 200, 3)]


def test_strips_are_the_whole_picture(monkeypatch):
    pixels, classes = image(83, 200), np.random.default_rng(0).integers(0, 9, (83, 200), np.uint8)
    names = [f"class {k}" for k in range(9)]
    for look in (Look(), Look(0.3, False), Look(0.5, True, True)):
        at_once = pictures.paint(pixels, classes, voc_palette(9), names, look)
        at_once = np.concatenate(list(at_once[2]))
        monkeypatch.setattr(pictures, "ROWS", 17)
        height, width, strips = pictures.paint(pixels, classes, voc_palette(9), names, look)
        strips = list(strips)
        monkeypatch.undo()
        assert len(strips) == 5 + look.legend
        np.testing.assert_array_equal(np.concatenate(strips), at_once)
        assert at_once.shape == (height, width, 3)
        assert width == (400 if look.side_by_side else 200)
    assert (at_once[:83, :200] == pixels).all()


def test_png_in_strips(tmp_path):
    rng = np.random.default_rng(0)
    for name, values, palette in (
        ("grey", rng.integers(0, 256, (50, 33), np.uint8), None),
        ("rgb", rng.integers(0, 256, (50, 33, 3), np.uint8), None),
        ("palette", rng.integers(0, 9, (50, 33), np.uint8), voc_palette(9)),
    ):
        path = tmp_path / f"{name}.png"
        strips = [values[:20], values[20:21], values[21:]]
        files.write_png(path, strips, 50, 33, palette)
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        wanted = values if palette is None else palette[values]
        np.testing.assert_array_equal(found, wanted[..., ::-1] if wanted.ndim == 3 else wanted)


def test_large_and_small_pictures_hold_the_same(tmp_path, monkeypatch):
    pixels, classes = image(60, 90), np.random.default_rng(0).integers(0, 5, (60, 90), np.uint8)
    grey = classes * 40
    output.write(tmp_path / "a", "x.png", pixels, classes, description(), Look(), grey)
    monkeypatch.setattr(output, "WHOLE_PIXELS", 100)
    output.write(tmp_path / "b", "x.png", pixels, classes, description(), Look(), grey)
    for kind in ("labels", "color", "overlay", "scores"):
        a, b = (cv2.imread(str(tmp_path / side / kind / "x.png")) for side in "ab")
        np.testing.assert_array_equal(a, b)
        assert a.shape[0] >= 60


def test_confidence_is_the_largest_softmax():
    net, pixels = tiny_net(), image(40, 60)
    predictor = Predictor(backend(net), description())
    classes, grey = predictor.scored(pixels)
    import mxnet as mx

    from ..tiny import normalise

    scores = mx.nd.softmax(net(mx.nd.array(normalise(pixels)))[0], axis=1)[0].asnumpy()
    assert np.abs(grey - 255 * scores.max(axis=0)).max() <= 1.01
    np.testing.assert_array_equal(classes, predictor.classify(pixels))


@pytest.mark.slow
def test_12000_by_12000_pixels(tmp_path):
    """In less than 3 GB, image, class map and pictures together."""
    run = trained(tmp_path / "run", model="bisenet", backbone="xception39")
    tile = cv2.resize(image(600, 600), (3000, 3000))
    cv2.imwrite(
        str(tmp_path / "large.jpg"), np.tile(tile, (4, 4, 1)), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    command = [sys.executable, "-m", "mxnetseg", "predict", str(tmp_path / "large.jpg"), "--ctx",
               "cpu", "--checkpoint", str(run / "best.params"), "-o", str(tmp_path / "out"),
               "--scores", "--side-by-side"]  # fmt: skip
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status) if sys.version_info >= (3, 9) else status
    assert process.returncode == 0
    gigabytes = usage.ru_maxrss * 1024 / 1e9
    print(f"{gigabytes:.2f} GB")
    assert gigabytes < 3
    for kind in ("labels", "color", "overlay", "scores"):
        head = (tmp_path / "out" / kind / "large.png").read_bytes()[:33]
        width, height = (int.from_bytes(head[k : k + 4], "big") for k in (16, 20))
        assert (width, height >= 12000) == (24000 if kind == "overlay" else 12000, True)
