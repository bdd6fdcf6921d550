"""Contact sheets."""

import numpy as np
import pytest
from PIL import Image

from mxnetseg import cli, data
from mxnetseg.data import browse, presets, randomness
from mxnetseg.errors import UsageError

from .conftest import write_png


def test_pages_show_images_and_masks(folder):
    write_png(folder / "images/train/p0.png", np.full((24, 32, 3), 77))
    write_png(folder / "masks/train/p0.png", np.full((24, 32), 2))
    dataset = data.create(folder, "train")
    (page,) = browse.sheets(dataset, columns=2, cell=64)
    assert page.dtype == np.uint8 and page.shape[2] == 3
    gap = browse._GAP
    assert (page[gap : gap + 48, gap : gap + 64] == 77).all()
    assert (page[gap : gap + 48, gap + 64 : gap + 128] == dataset.info.palette[2]).all()
    again = next(browse.sheets(dataset, columns=2, cell=64))
    assert np.array_equal(page, again)
    assert len(list(browse.sheets(dataset, count=4, columns=1))) == 1
    assert len(list(browse.sheets(data.create("synthetic", "val"), count=9, columns=1))) == 3
    with pytest.raises(UsageError, match="at least one"):
        next(browse.sheets(dataset, count=0))


def test_augmented_pages_are_the_training_samples(folder):
    dataset = data.create(folder, "train")
    transform = presets.create(base_size=64, crop_size=32, scale=(1, 1), blur=0)
    (page,) = browse.sheets(dataset, count=1, cell=32, transform=transform, seed=3, epoch=2)
    sample = dataset[0]
    image, _ = transform(sample.image, sample.mask, randomness.sample_rng(3, 2, 0))
    gap = browse._GAP
    assert np.array_equal(page[gap : gap + 32, gap : gap + 32], image)


def test_images_without_masks(folder):
    write_png(folder / "images/test/a.png", np.zeros((8, 8, 3)))
    (page,) = browse.sheets(data.create(folder, "test"), cell=40)
    assert page.shape[1] < 80


def test_command(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["browse", str(folder), "--out", str(out), "--count", "2"]) == 0
    arguments = ["browse", str(folder), "--out", str(out), "--augmented", "--preset", "semseg"]
    assert cli.main([*arguments, "--crop", "24", "32"]) == 0
    printed = capsys.readouterr().out.split()
    assert [p.rsplit("/", 1)[-1] for p in printed] == [
        "own_train_01.png",
        "own_train_augmented_01.png",
    ]
    for path in printed:
        assert Image.open(path).mode == "RGB"
    assert cli.main(["browse", str(folder), "--split", "tests"]) == 2
