"""Boundaries by class, wrong pixels, effective fields: against plain loops and by hand."""

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg.errors import UsageError
from mxnetseg.inspection import fields, mistakes
from mxnetseg.inspection.edges import class_edges
from mxnetseg.inspection.effective import Effective
from mxnetseg.inspection.probe import Probe

from ..tiny import MEAN, STD, image, tiny_net


def blobs(seed, height=37, width=53, classes=5):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    for k in range(12):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        color = 255 if k % 5 == 4 else int(rng.integers(classes))
        cv2.circle(mask, center, int(rng.integers(3, 12)), color, -1)
    return mask


def reference(mask, classes):
    """Pixel by pixel, in the order of the card; void is the last class, its result ``classes``."""
    height, width = mask.shape
    trained = np.where(mask == 255, classes, mask).astype(np.uint8)
    lines = cv2.Canny(trained + 1, 0.1, 0.2) > 0

    def around(values, row, column):
        rows = slice(max(row - 1, 0), row + 2)
        return values[rows, max(column - 1, 0) : column + 2]

    bands = np.zeros((height, width), int)
    for r in range(height):
        for c in range(width):
            ring = around(lines, r, c).any() and not lines[r, c]
            if ring and trained[r, c] != classes:
                bands[r, c] = trained[r, c] + 1
    for _ in range(2):
        bands = np.array([[around(bands, r, c).max() for c in range(width)] for r in range(height)])
    return np.where(bands > 0, bands - 1, classes)


@pytest.mark.parametrize("seed", range(3))
def test_class_edges_pixel_by_pixel(seed):
    mask = blobs(seed)
    found = class_edges(mask, 5)
    assert len(np.unique(found)) > 3 and (mask == 255).any()
    np.testing.assert_array_equal(np.where(found == 255, 5, found), reference(mask, 5))


def test_a_map_of_one_class_has_no_boundary():
    assert (class_edges(np.full((9, 9), 3, np.uint8), 5) == 255).all()


def test_shares_by_hand():
    counts = np.array([[6, 2, 0, 2], [0, 4, 0, 0], [0, 0, 0, 0], [3, 1, 1, 1]])
    found = mistakes.shares(counts, ("road", "car", "sky", "tree"))
    assert (found["pixels"], found["wrong"], found["share"]) == (20, 9, 0.45)
    road, car, sky, tree = found["classes"]
    assert (road["pixels"], road["wrong"], road["share"], road["part"]) == (10, 4, 0.4, 4 / 9)
    assert road["taken_for"] == [["car", 0.2], ["tree", 0.2]]
    assert car["share"] == 0 and car["taken_for"] == [] and sky["share"] is None
    assert tree["taken_for"][0] == ["road", 0.5]
    table = mistakes.as_text(found).splitlines()
    assert [line.split()[0] for line in table] == ["class", "tree", "road", "car", "sky", "all"]
    assert "83.3 %" in table[1] and table[-1].split()[-2:] == ["45.0", "%"]


def test_effective_field_lies_in_that_of_the_graph():
    """Of the tiny network: two 3 x 3 convolutions of stride 2, a third behind them: 15 pixels."""
    net = tiny_net()
    probe = Probe(net, MEAN, STD)
    found = Effective(probe)
    for seed in range(3):
        found.update(image(64, 80, seed=seed))
    row = fields.find(fields.table(net, 64, 80), "main")
    assert row.size == (15, 15) and found.count == 3
    mean = found.mean
    assert mean.shape == (64, 80) and mean.max() == 1
    inside = np.zeros(mean.shape, bool)
    first = [round(o + p * s - (n - 1) / 2) for o, p, s, n in
             zip(row.offset, found.position, row.stride, row.size)]  # fmt: skip
    inside[first[0] : first[0] + 15, first[1] : first[1] + 15] = True
    assert not mean[~inside].any() and mean[inside].astype(bool).mean() > 0.8
    (top, bottom), (left, right) = found.box(1.0)
    assert bottom - top < 18 and right - left < 18  # about the centre of mass, not of the field
    half = found.box(0.5)
    assert half[0][1] - half[0][0] < bottom - top


def test_effective_gradient_by_differences():
    probe = Probe(tiny_net(), MEAN, STD)
    pixels = image(32, 40, seed=3)
    found = Effective(probe, "body")
    found.update(pixels)
    x, padded = probe.load(pixels)
    values = x.asnumpy()
    row, column = found.position

    def value(changed):
        new = probe.forward(mx.nd.array(changed), padded, (32, 40), "body")
        return float(new.layer[0, :, row, column].sum().asscalar())

    places = np.argwhere(found.total > 0.3 * found.total.max())[:4]
    step, wanted = 1e-2, []
    for r, c in places:
        total = 0
        for channel in range(3):
            up, down = values.copy(), values.copy()
            up[0, channel, r, c] += step
            down[0, channel, r, c] -= step
            total += abs(value(up) - value(down)) / (2 * step)
        wanted.append(total)
    ratio = np.array(wanted) / [found.total[r, c] for r, c in places]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.02)


def test_no_image_no_field():
    with pytest.raises(UsageError, match="no image"):
        _ = Effective(Probe(tiny_net(), MEAN, STD)).mean
