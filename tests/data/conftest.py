"""A small data set in a folder, to be damaged."""

import numpy as np
import pytest
from PIL import Image

CLASSES = "classes: [wall, floor, tree]\n"


def write_png(path, array, palette=None):
    """Write an image, a grey mask, or a palette mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8))
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    image.save(str(path))


@pytest.fixture
def folder(tmp_path):
    """``images``, ``masks`` with splits train (4) and val (2), ``classes.yaml``."""
    root = tmp_path / "own"
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for index in range(count):
            name = f"p{index}.png"
            image = rng.integers(0, 256, (24, 32, 3))
            mask = rng.integers(0, 3, (24, 32))
            mask[0, :4] = 255
            write_png(root / "images" / split / name, image)
            write_png(root / "masks" / split / name, mask)
    (root / "classes.yaml").write_text(CLASSES)
    return root
