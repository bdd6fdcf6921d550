"""Colours."""

import numpy as np
import pytest
from PIL import Image

from mxnetseg import data, files
from mxnetseg.errors import MXNetSegError


def test_voc_palette():
    colors = data.voc_palette(22).tolist()
    assert colors[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colors[20] == [0, 64, 128]
    assert data.voc_palette(3, first=1).tolist() == colors[1:4]
    assert len({tuple(c) for c in data.voc_palette(256).tolist()}) == 256
    assert data.voc_palette(256)[255].tolist() == [224, 224, 192]


def test_colorize_and_palette_png(tmp_path):
    info = data.info("cityscapes")
    mask = np.random.default_rng(0).integers(0, 19, (30, 40)).astype(np.uint8)
    mask[0] = 255
    colored = data.colorize(mask, info.palette, (9, 8, 7))
    assert np.array_equal(colored[1:], info.palette[mask[1:]])
    assert (colored[0] == (9, 8, 7)).all()
    files.write(tmp_path / "m.png", files.palette_png(mask, info.palette, (9, 8, 7)))
    image = Image.open(str(tmp_path / "m.png"))
    assert image.mode == "P" and np.array_equal(np.array(image), mask)
    assert np.array_equal(np.array(image.convert("RGB")), colored)
    (tmp_path / "file").touch()
    with pytest.raises(MXNetSegError, match="cannot be written: "):
        files.write(tmp_path / "file/m.png", b"")
    view = mask[::2, ::-1]  # not contiguous
    assert np.array_equal(data.colorize(view, info.palette)[1:], info.palette[view[1:]])
