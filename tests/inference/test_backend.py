import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg import models, resample
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import backend as module
from mxnetseg.inference import merge
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.logits import argmax, argmax_into, logits_of, read
from mxnetseg.inference.merge import classify, segment
from mxnetseg.inference.protocol import Protocol
from mxnetseg.nn import resize_like
from mxnetseg.resample import interpolation

from ..tiny import MEAN, STD, TinyNet, image, normalise, tiny_net

CPU = [mx.cpu()]


def direct(net, pixels):
    """Class map by calling the network itself on an image whose size it takes."""
    return net(mx.nd.array(normalise(pixels)))[0][0].asnumpy().argmax(axis=0)


def agreement(a, b):
    assert a.shape == b.shape
    return (a == b).mean()


# --- enlargement --------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize(
    "sizes", [((5, 7), (40, 56)), ((9, 4), (9, 13)), ((1, 3), (8, 8)), ((12, 9), (5, 9))]
)
def test_strips_equal_resize_like(align, sizes, monkeypatch):
    monkeypatch.setattr(resample, "STRIP_VALUES", 500)
    (h, w), (height, width) = sizes
    values = np.random.default_rng(0).normal(size=(6, h, w)).astype(np.float32)
    wanted = resize_like(
        mx.nd, mx.nd.array(values[None]), mx.nd.zeros((1, 1, height, width)), align
    )
    wanted = wanted[0].asnumpy()
    logits = logits_of(values, (height, width), (height, width), align)
    found = np.concatenate(
        [logits.strip(a, min(a + 3, height)) for a in range(0, height, 3)], axis=1
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (argmax(logits) == found.argmax(axis=0)).all()


def test_padding_mirror_and_target():
    values = np.random.default_rng(1).normal(size=(3, 6, 8)).astype(np.float32)
    # two products of eight terms each at most, of values below 5, in any order of summation
    close = dict(rtol=0, atol=2 * 8 * 5 * np.finfo(np.float32).eps)
    plain = logits_of(values, (24, 32), (24, 32), True).strip(0, 24)
    cut = logits_of(values, (24, 32), (21, 27), True)
    np.testing.assert_allclose(cut.strip(0, 21), plain[:, :21, :27], **close)
    mirrored = logits_of(values, (24, 32), (21, 27), True, mirrored=27)
    np.testing.assert_allclose(mirrored.strip(0, 21), plain[:, :21, :27][:, :, ::-1], **close)
    filled = logits_of(values, (24, 32), (21, 27), True, mirrored=30)
    wanted = plain[:, :21, :30][:, :, ::-1][:, :, :27]
    np.testing.assert_allclose(filled.strip(0, 21), wanted, **close)
    then = interpolation(21, 40), interpolation(27, 33)
    resized = logits_of(values, (24, 32), (21, 27), True, then=then).strip(0, 40)
    for channel, source in zip(resized, plain[:, :21, :27]):
        wanted = cv2.resize(source, (33, 40), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(channel, wanted, atol=1e-5)


def test_interpolation_is_opencvs_without_aligned_corners():
    row = np.random.default_rng(2).normal(size=(1, 11)).astype(np.float32)
    for n in (5, 11, 30):
        wanted = cv2.resize(row, (n, 1), interpolation=cv2.INTER_LINEAR)[0]
        np.testing.assert_allclose(interpolation(11, n).matrix @ row[0], wanted, atol=1e-5)


def test_argmax_takes_the_first_of_equals():
    scores = np.random.default_rng(3).integers(0, 3, (200, 9, 11)).astype(np.float32)
    out = np.empty((9, 11), np.uint8)
    best = argmax_into(scores, out)
    assert (out == scores.argmax(axis=0)).all() and (best == scores.max(axis=0)).all()


# --- the network --------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [True, False])
def test_single_pass_equals_the_network(align):
    net = tiny_net(align_corners=align)
    run = MXNetBackend(net, CPU, MEAN, STD)
    for size in ((32, 48), (45, 37), (64, 31)):
        pixels = image(*size)
        found = segment(run, pixels, Protocol())
        assert found.dtype == np.uint8
        assert agreement(found, direct(net, pixels)) > 0.999


def test_padding_to_what_the_network_takes():
    net = tiny_net(divisor=16)
    pixels = image(33, 50)
    x = np.zeros((1, 3, 48, 64), np.float32)
    x[:, :, :33, :50] = normalise(pixels)
    wanted = net(mx.nd.array(x))[0][0].asnumpy().argmax(axis=0)[:33, :50]
    found = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, Protocol())
    assert agreement(found, wanted) > 0.999


def test_the_network_is_left_alone():
    net = tiny_net()
    net.hybridize(static_alloc=True)
    x = mx.nd.array(normalise(image(32, 48)))
    before = [y.asnumpy() for y in net(x)]
    graph = net._cached_op
    run = MXNetBackend(net, CPU, MEAN, STD)
    run(image(32, 48)[None]).wait_to_read()
    assert net._cached_op is graph and net.upsample_outputs and not net.main_only
    assert all((a == b.asnumpy()).all() for a, b in zip(before, net(x)))


@pytest.mark.parametrize("fuse", [False, True])
def test_training_goes_on_as_if_nothing_had_been(fuse):
    def step(net, trainer):
        x = mx.nd.array(normalise(image(32, 48)))
        with autograd.record():
            loss = (net(x)[0] ** 2).mean()
        loss.backward()
        trainer.step(1)
        return loss.asscalar()

    results = []
    for evaluated in (False, True):
        net = tiny_net()
        net.hybridize(static_alloc=True, static_shape=True)
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
        losses = []
        for _ in range(3):
            losses.append(step(net, trainer))
            if evaluated:
                found = segment(MXNetBackend(net, CPU, MEAN, STD, fuse), image(32, 48), Protocol())
                assert agreement(found, direct(net, image(32, 48))) > 0.999
        weights = [p.data().asnumpy() for p in net.collect_params().values()]
        results.append((losses, weights))
    assert results[0][0] == results[1][0]
    assert all((a == b).all() for a, b in zip(results[0][1], results[1][1]))


def test_fused_equals_plain_for_any_size(monkeypatch):
    monkeypatch.delenv("MXNETSEG_GPU_PATH", raising=False)  # GPUs do not fuse
    net = models.create("fcn", 7, backbone="mobilenet_v2_0_25")
    plain = MXNetBackend(net, CPU, MEAN, STD, fuse=False)
    fused = MXNetBackend(net, CPU, MEAN, STD)
    assert fused.fused and not plain.fused
    for size in ((64, 96), (49, 33), (64, 96)):
        batch = np.stack([image(*size), image(*size, seed=1)])
        a, b = plain(batch).asnumpy(), fused(batch).asnumpy()
        assert np.abs(a - b).max() <= 1e-4 * a.std()


def test_sums_with_the_convolution_second_are_fused(monkeypatch):
    """Their inputs stand in another order then."""
    monkeypatch.delenv("MXNETSEG_GPU_PATH", raising=False)
    net = models.create("sanet", 7)
    plain, fused = (MXNetBackend(net, CPU, MEAN, STD, fuse) for fuse in (False, True))
    assert fused.fused
    batch = image(64, 96)[None]
    a, b = plain(batch).asnumpy(), fused(batch).asnumpy()
    assert np.abs(a - b).max() <= 1e-4 * a.std()


def test_a_wrongly_fused_graph_is_not_used(monkeypatch):
    graph = MXNetBackend._graph

    def wrong(self, static, fused):
        right = graph(self, static, fused)
        return (lambda x: right(x) * 1.01) if fused else right

    monkeypatch.setattr(MXNetBackend, "_graph", wrong)
    net, pixels = tiny_net(), image(32, 48)
    run = MXNetBackend(net, CPU, MEAN, STD)
    assert not run.fused
    assert agreement(segment(run, pixels, Protocol()), direct(net, pixels)) > 0.999


def test_large_inputs_give_the_same(monkeypatch):
    net, pixels = tiny_net(), image(32, 48)
    wanted = MXNetBackend(net, CPU, MEAN, STD)(pixels[None]).asnumpy()
    monkeypatch.setattr(module, "STATIC_PIXELS", 100)
    found = MXNetBackend(net, CPU, MEAN, STD)(pixels[None]).asnumpy()
    assert (found == wanted).all()


class Pointwise(TinyNet):
    """Its only output comes from a 1 x 1 convolution."""

    def logits(self, F, x):
        return super().logits(F, x)[1:]


def test_sizes_that_onednn_cannot_take_are_avoided(monkeypatch):
    monkeypatch.delenv("MXNETSEG_GPU_PATH", raising=False)
    net = Pointwise(5)
    net.initialize()
    plain = MXNetBackend(net, CPU, MEAN, STD)
    pixels = image(32, 64)
    wanted = plain(np.stack([pixels] * 4)).asnumpy()
    assert plain.padded_size(32, 64) == (32, 64)
    # 5 channels may count as 64: 64 x 8 x 16 values come from 32 x 64 pixels
    monkeypatch.setattr(module, "FATAL_VALUES", 64 * 8 * 16)
    careful = MXNetBackend(net, CPU, MEAN, STD)
    assert careful.padded_size(32, 64) == (32, 96) and careful.padded_size(32, 60) == (32, 60)
    assert careful(pixels[None]).shape == (1, 5, 8, 24)
    padded = np.zeros((1, 3, 32, 96), np.float32)
    padded[..., :64] = normalise(pixels)
    exact = net(mx.nd.array(padded))[0][0].asnumpy().argmax(axis=0)[:, :64]
    assert agreement(segment(careful, pixels, Protocol()), exact) > 0.999
    # a batch that is too large together goes one by one
    monkeypatch.setattr(module, "FATAL_VALUES", 4 * 64 * 8 * 16)
    found = MXNetBackend(net, CPU, MEAN, STD)(np.stack([pixels] * 4)).asnumpy()
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("name", ["attention_to_scale", "swiftnetpr"])
def test_networks_that_run_a_layer_twice(name):
    net = models.create(name, 5, "xception39", aux=False)
    run = MXNetBackend(net, CPU, MEAN, STD)
    wanted = net(mx.nd.array(normalise(image(64, 96))))[0].asnumpy()
    assert agreement(segment(run, image(64, 96), Protocol()), wanted[0].argmax(0)) > 0.99


def test_scores_that_are_not_finite_are_refused():
    net = tiny_net()
    net.head.weight.set_data(net.head.weight.data() * np.nan)
    with pytest.raises(MXNetSegError, match="not finite"):
        segment(MXNetBackend(net, CPU, MEAN, STD, fuse=False), image(32, 32), Protocol())
    with pytest.raises(MXNetSegError, match="not finite"):
        read(mx.nd.array([1, np.inf]))


def test_a_network_of_one_size_needs_windows():
    net = tiny_net()
    net.fixed_size = (32, 32)
    run = MXNetBackend(net, CPU, MEAN, STD)
    with pytest.raises(UsageError, match="mode slide, crop size 32x32"):
        segment(run, image(40, 32), Protocol())
    assert segment(run, image(30, 20), Protocol()).shape == (30, 20)
    sliding = Protocol(mode="slide", crop_size=(32, 32))
    assert segment(run, image(40, 50), sliding).shape == (40, 50)


# --- protocol -----------------------------------------------------------------------------------


@pytest.mark.parametrize("windows", ["shift", "pad"])
@pytest.mark.parametrize("stride", [None, (8, 12), (12, 8)])
def test_windows_cover_every_pixel(windows, stride):
    protocol = Protocol(mode="slide", crop_size=(12, 12), stride=stride, windows=windows)
    for size in (1, 11, 12, 13, 12 + protocol.step[0], 13 + protocol.step[0], 35, 36, 37):
        for ranges in protocol.plan(size, size)[:2]:
            seen = np.zeros(size, int)
            for start, stop in ranges:
                assert 0 <= start < stop <= size and stop - start <= 12
                if windows == "shift":
                    assert stop - start == min(12, size)
                seen[start:stop] += 1
            assert seen.min() > 0
            assert len(set(ranges)) == len(ranges)


def test_number_of_windows_is_mxnetsegs():
    protocol = Protocol(mode="slide", crop_size=768, base_size=2048, windows="pad")
    total = 0
    for scale in (0.75, 1, 1.25, 1.5, 1.75, 2, 2.25):
        rows, columns = protocol.plan(*protocol.scaled_size(1024, 2048, scale))[:2]
        total += len(rows) * len(columns)
    assert total == 128


def test_scaled_size():
    assert Protocol().scaled_size(1000, 500, 1.1) == (1100, 550)
    assert Protocol(base_size=520).scaled_size(375, 500, 0.5) == (195, 260)
    assert Protocol(base_size=520).scaled_size(500, 375, 1.75) == (910, 683)
    assert Protocol().scaled_size(1, 300, 0.5) == (1, 150)


def test_protocol_as_json():
    protocol = Protocol(mode="slide", crop_size=[60, 90], scales=[0.5, 1], flip=True, merge="exp")
    assert Protocol(**protocol.as_dict()).as_dict() == protocol.as_dict()
    assert protocol.as_dict()["stride"] == [40, 60]
    assert str(protocol) == "slide 60x90 stride 40x60, scales 0.5 1, flip, merge exp"


@pytest.mark.parametrize(
    "wrong",
    [dict(mode="windows"), dict(merge="mean"), dict(scales=()), dict(scales=(0,)),
     dict(crop_size=(0, 5)), dict(base_size=0), dict(mode="slide", crop_size=8, stride=9)],
)  # fmt: skip
def test_wrong_protocols_are_refused(wrong):
    with pytest.raises(UsageError):
        Protocol(**wrong)


def slow(net, pixels, protocol, size):
    """The protocol in plain words: whole arrays, one window at a time; the sum of all scores."""

    def forward(x):
        height, width = x.shape[2:]
        rows, columns = net.valid_size(height, width)
        x = np.pad(x, ((0, 0), (0, 0), (0, rows - height), (0, columns - width)))
        return net(mx.nd.array(x))[0][0].asnumpy().astype(np.float64)[:, :height, :width]

    total = 0
    for scale in protocol.scales:
        height, width = protocol.scaled_size(*pixels.shape[:2], scale)
        shrink = max(pixels.shape[0] / height, pixels.shape[1] / width)
        way = cv2.INTER_AREA if shrink >= 1.3 else cv2.INTER_LINEAR
        scaled = pixels
        if (height, width) != pixels.shape[:2]:
            scaled = cv2.resize(pixels, (width, height), interpolation=way)
        rows, columns, crop, _ = protocol.plan(height, width)
        scores, count = np.zeros((net.num_classes, height, width)), np.zeros((height, width))
        for top, bottom in rows:
            for left, right in columns:
                window = scaled[top:bottom, left:right]
                h, w = window.shape[:2]
                margin = ((0, crop[0] - h), (0, crop[1] - w))
                black = protocol.mode == "slide" and protocol.windows == "pad"
                if black:
                    window = np.pad(window, (*margin, (0, 0)))
                outs = []
                for mirror in (False, True)[: 1 + protocol.flip]:
                    x = normalise(window[:, ::-1] if mirror else window)
                    if not black:
                        x = np.pad(x, ((0, 0), (0, 0), *margin))
                    y = forward(x)
                    y = y if black else y[:, :h, :w]
                    outs.append((y[:, :, ::-1] if mirror else y)[:, :h, :w])
                if protocol.merge == "exp":
                    part = np.exp(sum(outs))
                else:
                    part = sum(np.exp(o) / np.exp(o).sum(axis=0) for o in outs) / len(outs)
                scores[:, top:bottom, left:right] += part
                count[top:bottom, left:right] += 1
        scores /= count
        total = total + np.stack(
            [cv2.resize(s, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for s in scores]
        )
    return total


@pytest.mark.parametrize("merge", ["prob", "exp"])
@pytest.mark.parametrize("windows", ["shift", "pad"])
@pytest.mark.parametrize(
    "options",
    [
        dict(flip=True),
        dict(scales=(0.5, 1, 1.75), flip=True),
        dict(mode="slide", crop_size=(20, 24)),
        dict(mode="slide", crop_size=(21, 27), stride=(20, 10), flip=True, scales=(0.3, 1.25)),
        dict(mode="slide", crop_size=(16, 16), stride=(4, 5), scales=(0.75, 1), base_size=50),
    ],
)
def test_merges_equal_a_slow_reference(merge, windows, options, monkeypatch):
    monkeypatch.setattr(resample, "STRIP_VALUES", 2000)
    protocol = Protocol(merge=merge, windows=windows, **options)
    net = tiny_net(divisor=4)
    run = MXNetBackend(net, CPU, MEAN, STD)
    for shape, size in (((41, 57), (41, 57)), ((41, 57), (50, 30)), ((30, 22), (30, 22))):
        pixels = image(*shape)
        found, confidence = classify(run, pixels, protocol, size, confidence=True)
        total = slow(net, pixels, protocol, size)
        assert agreement(found, total.argmax(axis=0)) > 0.998
        share = total.max(axis=0) / total.sum(axis=0)
        assert np.abs(confidence - share).max() < 2e-3


class Constant(TinyNet):
    """The same logits everywhere."""

    def logits(self, F, x):
        y = super().logits(F, x)[0]
        ramp = F.reshape(F.contrib.arange_like(y, axis=1), (1, -1, 1, 1))
        return (F.broadcast_add(F.zeros_like(y), ramp),)


@pytest.mark.parametrize("merge", ["prob", "exp"])
@pytest.mark.parametrize("windows", ["shift", "pad"])
def test_constant_logits_give_a_constant_class(merge, windows):
    net = Constant(5)
    net.initialize()
    run = MXNetBackend(net, CPU, MEAN, STD)
    protocol = Protocol(
        mode="slide", crop_size=(20, 20), scales=(0.5, 0.75, 1, 1.6), flip=True, merge=merge,
        windows=windows,
    )  # fmt: skip
    for size in ((20, 20), (21, 33), (47, 13), (64, 64)):
        assert (segment(run, image(*size), protocol) == 4).all()


def test_exp_does_not_overflow():
    protocol = Protocol(scales=(0.75, 1, 1.25), flip=True, merge="exp")
    pixels, net = image(40, 40), tiny_net()
    wanted = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, protocol)
    # a constant added to all logits changes no arg-max, but exp of it is no float32
    net.head.bias.set_data(net.head.bias.data() + 300 / net.gain)
    found = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, protocol)
    assert agreement(found, wanted) > 0.999


def test_raising_the_offset_of_exp_changes_nothing(monkeypatch):
    options = dict(mode="slide", crop_size=(20, 20), scales=(0.75, 1, 1.25), flip=True, merge="exp")
    pixels, net = image(40, 50), tiny_net()
    wanted = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, Protocol(**options))
    monkeypatch.setattr(merge, "EXP_LIMIT", 2.0)
    monkeypatch.setattr(merge, "EXP_ROOM", 1.9)
    found = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, Protocol(**options))
    assert agreement(found, wanted) > 0.999


@pytest.mark.parametrize("scales", [(1,), (0.75, 1.25)])
def test_exp_of_logits_that_differ_much(scales):
    """exp(-87) is about the smallest float32: these differ by some hundreds."""
    net, pixels = tiny_net(gain=60.0), image(40, 50)
    protocol = Protocol(mode="slide", crop_size=(20, 20), scales=scales, flip=True, merge="exp")
    found = segment(MXNetBackend(net, CPU, MEAN, STD), pixels, protocol)
    assert agreement(found, slow(net, pixels, protocol, (40, 50)).argmax(axis=0)) > 0.998


def test_logits_that_not_even_float64_can_take_exp_of():
    net = tiny_net(gain=1000.0)
    run = MXNetBackend(net, CPU, MEAN, STD)
    found = segment(run, image(40, 40), Protocol(flip=True, merge="exp"))
    assert (found == segment(run, image(40, 40), Protocol(flip=True, merge="logits"))).all()
    assert len(np.unique(found)) > 1


def test_several_devices_agree():
    contexts = [mx.cpu(0), mx.cpu(1)]
    run = MXNetBackend(tiny_net(contexts=contexts), contexts, MEAN, STD)
    maps = [segment(run, image(40, 40), Protocol(flip=True), context=k) for k in (0, 1)]
    assert (maps[0] == maps[1]).all()
