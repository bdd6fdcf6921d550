"""Images with other than three channels, scored."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import models
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
