"""Heat maps against what they are by hand; the maps of layers."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.errors import UsageError
from mxnetseg.inspection import gradcam
from mxnetseg.inspection.probe import Probe

from ..tiny import MEAN, STD, TinyNet, image, normalise, tiny_net


def probe(net=None, **options):
    return Probe(net or tiny_net(**options), MEAN, STD)


def rescaled(values):
    values = values - values.min()
    return values / (values.max() + 1e-7)


@pytest.mark.parametrize("number", (0, 3))
def test_the_scores_themselves_have_a_closed_form(number):
    """dS / dA_k is the mask for k = c and 0 for others: the map is the positive part of A_c."""
    eye, pixels = probe(), image(48, 64, seed=1)
    values, classes = gradcam.heat(eye, pixels, "main", number)
    scores = tiny_net()
    scores.upsample_outputs = False
    wanted = scores(mx.nd.array(normalise(pixels)))[0].asnumpy()[0]
    assert (wanted.argmax(axis=0) == number).any() and (classes == number).any()
    small = gradcam.cv2.resize(rescaled(np.maximum(wanted[number], 0)), (64, 48))
    np.testing.assert_allclose(values, rescaled(small), atol=1e-4)


def test_an_inner_layer_by_hand():
    """The head is a 3 x 3 convolution: the gradient of its sum over a mask is one of the mask."""
    net, pixels, number = tiny_net(), image(48, 64, seed=1), 3
    eye = probe(net)
    values, _ = gradcam.heat(eye, pixels, "body", number)
    maps = net.body(mx.nd.array(normalise(pixels))).asnumpy()[0]
    weight, bias = (p.data().asnumpy() for p in (net.head.weight, net.head.bias))
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    h, w = maps.shape[1:]
    scores = np.zeros((5, h, w))
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + h, j : j + w]
            scores += np.einsum("ck,khw->chw", weight[:, :, i, j], window)
    scores = net.gain * (scores + bias[:, None, None])
    mask = (scores.argmax(axis=0) == number).astype(float)
    assert 0 < mask.sum() < mask.size
    gradients = np.zeros((8, h + 2, w + 2))
    for i in range(3):
        for j in range(3):
            taps = weight[number, :, i, j, None, None] * mask
            gradients[:, i : i + h, j : j + w] += net.gain * taps
    weights = gradients[:, 1:-1, 1:-1].mean(axis=(1, 2))
    wanted = np.maximum(sum(a * f for a, f in zip(weights, maps)), 0)
    assert wanted.max() > 0
    whole = gradcam.cv2.resize(rescaled(wanted).astype(np.float32), (64, 48))
    np.testing.assert_allclose(values, rescaled(whole), atol=1e-4)


def test_padding_is_no_part_of_the_image():
    pixels = image(48, 64, seed=1)
    exact, _ = gradcam.heat(probe(divisor=16), pixels, "body", 3)
    padded = probe(divisor=96)  # 96 x 96: half of it is padding
    values, classes = gradcam.heat(padded, pixels, "body", 3)
    assert values.shape == classes.shape == (48, 64)
    assert values.min() == 0 and values.max() == pytest.approx(1, abs=1e-5)
    assert np.abs(values - exact)[:40, :56].max() < 0.2  # but for the border, nearly the same


def test_a_class_that_is_nowhere_is_blue_everywhere():
    net = tiny_net()
    net.head.bias.set_data(mx.nd.array([0, 0, 0, 0, -1000]))
    values, classes = gradcam.heat(probe(net), image(32, 32), "body", 4)
    assert not values.any() and not (classes == 4).any()
    blue = gradcam.overlay(np.zeros((32, 32, 3), np.uint8), values)
    assert (blue == blue[0, 0]).all() and blue[0, 0, 2] > 0 and not blue[0, 0, :2].any()


def test_gradients_leave_statistics_and_parameters_alone():
    net = tiny_net()
    before = {k: p.data().asnumpy() for k, p in net.collect_params().items()}
    gradcam.heat(probe(net), image(32, 32), "body", 0)
    assert all((before[k] == p.data().asnumpy()).all() for k, p in net.collect_params().items())


def test_layers_by_name():
    eye, pixels = probe(), image(32, 48)
    assert eye.see(pixels, "body.0").layer.shape == (1, 8, 16, 24)
    assert eye.see(pixels, "aux").layer.shape == (1, 5, 8, 12)
    assert eye.see(pixels, "body:0").layer.shape == (1, 8, 8, 12)
    assert not eye.net.body._forward_hooks
    for wrong, text in (("bdy", "body"), ("body:1", "numbered"), ("", None)):
        if text:
            with pytest.raises(UsageError, match=text):
                eye.see(pixels, wrong)


class Several(TinyNet):
    """A layer that runs twice, and one that never does."""

    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.never = self.aux_head

    def logits(self, F, x):
        x = self.body(x)
        return (self.head(x) + self.head(-x),)


def test_layers_with_several_maps_or_none():
    net = Several(3)
    net.output_names = ("main",)
    net.initialize()
    eye, pixels = Probe(net, MEAN, STD), image(32, 32)
    with pytest.raises(UsageError, match="gives 2 maps: choose one, as 'head:0'"):
        eye.see(pixels, "head")
    first, second = (eye.see(pixels, f"head:{k}").layer.asnumpy() for k in (0, 1))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(eye.see(pixels).outputs["main"].asnumpy(), first + second, 1e-5)
    with pytest.raises(UsageError, match="does not run"):
        eye.see(pixels, "never")
