import numpy as np
import pytest

from mxnetseg.data import voc_palette
from mxnetseg.inference import pictures

from ..tiny import image

PALETTE = voc_palette(21)
NAMES = [f"class number {k}" for k in range(21)]


def test_colours_are_blended():
    pixels = image(20, 30)
    classes = np.zeros((20, 30), np.uint8)
    classes[:, 10:] = 4
    classes[:, 25:] = 255
    mixed = pictures.overlay(pixels, classes, PALETTE, NAMES, alpha=0.25, legend=False)
    wanted = 0.75 * pixels + 0.25 * PALETTE[np.minimum(classes, 20)]
    assert np.abs(mixed[:, :25] - wanted[:, :25]).max() <= 1
    assert (mixed[:, 25:] == pixels[:, 25:]).all()


@pytest.mark.parametrize("size", [(8, 8), (60, 90), (360, 480), (1024, 2048)])
@pytest.mark.parametrize("found", [1, 7, 21])
def test_legend_is_below_and_shows_every_class(size, found):
    classes = (np.arange(size[0] * size[1]) % found).astype(np.uint8).reshape(size)
    pixels = np.full((*size, 3), 90, np.uint8)
    picture = pictures.overlay(pixels, classes, PALETTE, NAMES)
    assert picture.dtype == np.uint8
    plain = pictures.overlay(pixels, classes, PALETTE, NAMES, legend=False)
    assert (picture[: size[0], : size[1]] == plain).all()
    panel = picture[size[0] :].reshape(-1, 3)
    shown = {tuple(c) for c in np.unique(panel, axis=0)}
    assert {tuple(PALETTE[k]) for k in range(found)} <= shown


def test_present_is_sorted_by_size():
    classes = np.array([[3, 3, 3], [1, 255, 1]], np.uint8)
    assert pictures.present(classes, 5) == [(3, 0.5), (1, 2 / 6)]


def test_nothing_found_gives_no_legend():
    classes = np.full((9, 9), 255, np.uint8)
    assert pictures.overlay(image(9, 9), classes, PALETTE, NAMES).shape == (9, 9, 3)


def test_names_with_strange_letters():
    panel = pictures.draw_legend([("Straße, street", (1, 2, 3), 0.001)], 100)
    assert panel.ndim == 3
