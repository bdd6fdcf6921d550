"""Images with other than three channels, scored."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import config, models
from mxnetseg.engine import checkpoint, trainer
from mxnetseg.engine.inference import Inference
from mxnetseg.engine.protocol import Protocol, segment


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (4, np.float32), (5, np.uint8)])
@pytest.mark.parametrize("mode", [{}, {"mode": "slide", "crop_size": (32, 32), "flip": True}])
def test_segment(channels, dtype, mode):
    mx.random.seed(0)
    net = models.create("fcn", 3, "resnet18", in_channels=channels)
    inference = Inference(net, [mx.cpu()], [0.4] * channels, [0.2] * channels, fuse=False)
    image = np.random.default_rng(0).uniform(0, 255, (48, 64, channels)).astype(dtype)
    protocol = Protocol(scales=(0.75, 1.0), **mode)
    classes = segment(inference, image, protocol)
    assert classes.shape == (48, 64) and classes.max() < 3


def test_train_on_images_with_six_channels_of_16_bits(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    for split, count in (("train", 4), ("val", 2)):
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 65536, (64, 96, 6)).astype(np.uint16)
            np.save(str(root / "images" / split / f"{i}.npy"), image)
            np.save(str(root / "masks" / split / f"{i}.npy"), rng.integers(0, 3, (64, 96)))
    (root / "classes.yaml").write_text("classes: [a, b, c]\nchannels: 6\n")
    settings = {"data.name": str(root), "model.name": "fcn", "model.backbone": "resnet18"}
    settings.update({"train.epochs": 1, "train.batch_size": 2, "train.crop_size": [48, 64]})
    trainer.train(config.build(settings), [mx.cpu()], tmp_path / "out")
    saved = checkpoint.read(tmp_path / "out/last.params")
    assert saved.meta["network"]["in_channels"] == 6 and len(saved.meta["mean"]) == 6
    assert checkpoint.network(saved).in_channels == 6
