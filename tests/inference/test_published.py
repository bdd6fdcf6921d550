"""The presets against the originals' arithmetic, written out in plain NumPy."""

import math

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import config
from mxnetseg.errors import UsageError
from mxnetseg.inference import presets
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.merge import segment
from mxnetseg.inference.protocol import Protocol

from ..tiny import MEAN, STD, image, tiny_net

SIZES = [(41, 57), (57, 41), (30, 22), (48, 48), (64, 96)]
mean, std = np.array(MEAN), np.array(STD)


# --- the pieces, one pixel after the other where that is bearable -------------------------------


def sample_points(n_in, n_out, aligned):
    """Left neighbour, right neighbour and share of the right one for each output."""
    for out in range(n_out):
        if aligned:
            position = out * (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
        else:
            position = min(max((out + 0.5) * n_in / n_out - 0.5, 0), n_in - 1)
        low = min(int(math.floor(position)), n_in - 1)
        yield low, min(low + 1, n_in - 1), position - low


def resize(values, size, aligned):
    """(C, h, w) -> (C, *size), linear."""
    if values.shape[1:] == tuple(size):
        return values
    rows = [
        (1 - share) * values[:, a] + share * values[:, b]
        for a, b, share in sample_points(values.shape[1], size[0], aligned)
    ]
    values = np.stack(rows, axis=1)
    columns = [
        (1 - share) * values[:, :, a] + share * values[:, :, b]
        for a, b, share in sample_points(values.shape[2], size[1], aligned)
    ]
    return np.stack(columns, axis=2)


def balanced_net(**options):
    """A network with steep logits that finds all its classes in an image."""
    net = tiny_net(gain=6.0, **options)
    means = forward(net, normalised(planes(image(64, 96)))).mean(axis=(1, 2))
    net.head.bias.set_data(net.head.bias.data() - mx.nd.array(means / net.gain))
    return net


def planes(pixels):
    return pixels.astype(np.float64).transpose(2, 0, 1)


def normalised(x):
    return (x / 255 - mean[:, None, None]) / std[:, None, None]


def forward(net, x):
    """Logits at the network's resolution, float64."""
    return net(mx.nd.array(x[None]))[0][0].asnumpy().astype(np.float64)


def network(net, x):
    """Logits at the input's size, corners aligned."""
    return resize(forward(net, x), x.shape[1:], True)


def softmax(y):
    y = np.exp(y - y.max(axis=0))
    return y / y.sum(axis=0)


def mxnetseg(net, pixels, base, crop, scales, flip):
    """GluonCV's MultiEvalModel."""
    stride = int(crop * 2 / 3)
    x = normalised(planes(pixels))
    h, w = x.shape[1:]
    black = (-mean / std)[:, None, None]

    def to_crop(part):
        full = np.empty((3, crop, crop))
        full[:] = black
        full[:, : part.shape[1], : part.shape[2]] = part
        return full

    def inference(part):
        out = network(net, part)
        if flip:
            out = out + network(net, part[:, :, ::-1])[:, :, ::-1]
        return np.exp(out)

    total = 0
    for scale in scales:
        long = math.ceil(base * scale)
        if h > w:
            height, width = long, int(1.0 * w * long / h + 0.5)
        else:
            height, width = int(1.0 * h * long / w + 0.5), long
        scaled = resize(x, (height, width), True)
        if long <= crop:
            scores = inference(to_crop(scaled))[:, :height, :width]
        else:
            ph, pw = max(height, crop), max(width, crop)
            padded = np.empty((3, ph, pw))
            padded[:] = black
            padded[:, :height, :width] = scaled
            sums, count = np.zeros((net.num_classes, ph, pw)), np.zeros((ph, pw))
            for i in range(math.ceil((ph - crop) / stride) + 1):
                for j in range(math.ceil((pw - crop) / stride) + 1):
                    top, left = i * stride, j * stride
                    bottom, right = min(top + crop, ph), min(left + crop, pw)
                    out = inference(to_crop(padded[:, top:bottom, left:right]))
                    sums[:, top:bottom, left:right] += out[:, : bottom - top, : right - left]
                    count[top:bottom, left:right] += 1
            scores = (sums / count)[:, :height, :width]
        total = total + resize(scores, (h, w), True)
    return total


def semseg(net, pixels, base, crop, scales, flip):
    """semseg's and MLMSNet's test tool."""
    stride = math.ceil(crop * 2 / 3)
    h, w = pixels.shape[:2]
    total = 0
    for scale in scales:
        long = round(scale * base)
        new_h = new_w = long
        if h > w:
            new_w = round(long / float(h) * w)
        else:
            new_h = round(long / float(w) * h)
        x = resize(planes(pixels), (new_h, new_w), False)
        pad_h, pad_w = max(crop - new_h, 0), max(crop - new_w, 0)
        top, left = int(pad_h / 2), int(pad_w / 2)
        padded = np.empty((3, new_h + pad_h, new_w + pad_w))
        padded[:] = 255 * mean[:, None, None]
        padded[:, top : top + new_h, left : left + new_w] = x
        ph, pw = padded.shape[1:]
        sums, count = np.zeros((net.num_classes, ph, pw)), np.zeros((ph, pw))
        for i in range(int(np.ceil((ph - crop) / stride) + 1)):
            for j in range(int(np.ceil((pw - crop) / stride) + 1)):
                bottom, right = min(i * stride + crop, ph), min(j * stride + crop, pw)
                rows, columns = slice(bottom - crop, bottom), slice(right - crop, right)
                window = normalised(padded[:, rows, columns])
                out = softmax(network(net, window))
                if flip:
                    mirrored = softmax(network(net, window[:, :, ::-1]))[:, :, ::-1]
                    out = (out + mirrored) / 2
                sums[:, rows, columns] += out
                count[rows, columns] += 1
        scores = (sums / count)[:, top : top + new_h, left : left + new_w]
        total = total + resize(scores, (h, w), False)
    return total / len(scales)


def sanet_inference(net, x, flip):
    out = network(net, x)
    if flip:
        out = 0.5 * (out + network(net, x[:, :, ::-1])[:, :, ::-1])
    return np.exp(out)


def sanet(net, pixels, base, crop, scales, flip):
    """The multi-scale inference of HRNet's code, which SANet's repository holds."""
    x = normalised(planes(pixels))
    h, w = x.shape[1:]
    total = 0
    for scale in scales:
        long = int(base * scale + 0.5)
        if h > w:
            height, width = long, int(w * long / h + 0.5)
        else:
            height, width = int(h * long / w + 0.5), long
        scaled = resize(x, (height, width), False)
        if scale <= 1.0:
            scores = sanet_inference(net, scaled, flip)
        else:
            sums, count = np.zeros((net.num_classes, height, width)), np.zeros((height, width))
            for i in range(max(math.ceil((height - crop[0]) / crop[0]) + 1, 1)):
                for j in range(max(math.ceil((width - crop[1]) / crop[1]) + 1, 1)):
                    bottom = min(i * crop[0] + crop[0], height)
                    right = min(j * crop[1] + crop[1], width)
                    top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
                    window = scaled[:, top:bottom, left:right]
                    sums[:, top:bottom, left:right] += sanet_inference(net, window, flip)
                    count[top:bottom, left:right] += 1
            scores = sums / count
        total = total + resize(scores, (h, w), True)
    return total


def pmsdsen(net, pixels, factor=0.5):
    """Half the size, half-pixel inside the network, corners aligned outside."""
    x = normalised(planes(pixels))
    h, w = x.shape[1:]
    half = resize(x, (int(h * factor), int(w * factor)), True)
    return resize(resize(forward(net, half), half.shape[1:], False), (h, w), True)


# --- they agree ---------------------------------------------------------------------------------


def agreement(found, scores):
    """Share of equal classes among the pixels whose two best scores differ clearly."""
    second, best = np.sort(scores, axis=0)[-2:]
    clear = best - second > 1e-3 * np.abs(best)
    assert clear.mean() > 0.9 and len(np.unique(found)) == len(scores)
    return (found == scores.argmax(axis=0))[clear].mean()


def build(preset, multi=None, **wishes):
    return Protocol.build({}, multi, None, preset=preset, **wishes)


SHORT = (0.5, 0.75, 1.0, 1.25, 1.5)


@pytest.mark.parametrize("multi", [None, SHORT])
@pytest.mark.parametrize("base", [47, 70])
@pytest.mark.parametrize("size", SIZES)
def test_mxnetseg(size, base, multi):
    net, pixels = balanced_net(), image(*size)
    protocol = build("mxnetseg", multi, base_size=base, crop_size=(48, 48))
    wanted = mxnetseg(net, pixels, base, 48, multi or (1.0,), flip=bool(multi))
    found = segment(MXNetBackend(net, [mx.cpu()], MEAN, STD), pixels, protocol)
    assert agreement(found, wanted) >= 0.999


@pytest.mark.parametrize("name, multi", [("semseg", None), ("mlmsnet", SHORT)])
@pytest.mark.parametrize("base", [47, 70])
@pytest.mark.parametrize("size", SIZES[:4])
def test_semseg(size, base, name, multi):
    net, pixels = balanced_net(), image(*size)
    protocol = build(name, multi, base_size=base, crop_size=(41, 41), scales=multi)
    wanted = semseg(net, pixels, base, 41, multi or (1.0,), flip=True)
    found = segment(MXNetBackend(net, [mx.cpu()], MEAN, STD), pixels, protocol)
    assert agreement(found, wanted) >= 0.999


@pytest.mark.parametrize("name", ["sanet", "pidnet"])
@pytest.mark.parametrize("size", SIZES)
def test_sanet(size, name):
    net, pixels = balanced_net(), image(*size)
    run = MXNetBackend(net, [mx.cpu()], MEAN, STD)
    single = segment(run, pixels, build(name))
    wanted = sanet_inference(net, normalised(planes(pixels)), flip=False)
    assert agreement(single, wanted) >= 0.999
    multi = build(name, (), base_size=70, crop_size=(40, 64))
    assert multi.scales == (0.5, 0.75, 1.0, 1.25) and multi.flip
    wanted = sanet(net, pixels, 70, (40, 64), multi.scales, flip=True)
    assert agreement(segment(run, pixels, multi), wanted) >= 0.999


@pytest.mark.parametrize("size", [(42, 58), (58, 42), (64, 96)])
@pytest.mark.parametrize("factor", [None, 0.75])
def test_pmsdsen(size, factor):
    net, pixels = balanced_net(align_corners=False), image(*size)
    protocol = build("pmsdsen", scales=factor and [factor])
    found = segment(MXNetBackend(net, [mx.cpu()], MEAN, STD), pixels, protocol)
    assert agreement(found, pmsdsen(net, pixels, factor or 0.5)) >= 0.999


WRONG = [
    ("mxnetseg", {"windows": "shift"}),
    ("mxnetseg", {"resize": "half_pixel"}),
    ("mxnetseg", {"merge": "prob"}),
    ("mxnetseg", {"scores_resize": "half_pixel"}),
    ("semseg", {"image": "uint8"}),
    ("semseg", {"resize": "area"}),
    ("semseg", {"padding": "right_below"}),
    ("semseg", {"scores_resize": "aligned"}),
    ("semseg", {"stride": (27, 27)}),
    ("semseg", {"flip": False}),
    ("sanet", {"merge": "exp"}),
    ("sanet", {"whole_up_to": None, "padding": "right_below"}),
    ("sanet", {"scores_resize": "half_pixel"}),
    ("sanet", {"resize": "aligned"}),
]


@pytest.mark.parametrize("name, wrong", WRONG)
def test_every_rule_shows(name, wrong):
    """With one rule of another the class maps differ: the tests above would notice."""
    crop = {"mxnetseg": (48, 48), "semseg": (41, 41), "sanet": (40, 64)}[name]
    net, pixels = balanced_net(), image(41, 57)
    run = MXNetBackend(net, [mx.cpu()], MEAN, STD)
    scales = {"scales": SHORT} if name != "sanet" else {}
    right = build(name, SHORT, base_size=70, crop_size=crop, **scales)
    changed = {**right.as_dict(), "stride": None, **wrong}
    assert (segment(run, pixels, right) != segment(run, pixels, Protocol(**changed))).mean() > 1e-3


def test_a_mask_of_another_size():
    """The scores get the image's size first, then the mask's."""
    net, pixels = balanced_net(), image(41, 57)
    run = MXNetBackend(net, [mx.cpu()], MEAN, STD)
    scores = sanet_inference(net, normalised(planes(pixels)), flip=False)
    found = segment(run, pixels, build("sanet"), size=(82, 70))
    assert agreement(found, resize(scores, (82, 70), True)) >= 0.999
    multi = build("sanet", (), base_size=90, crop_size=(40, 64))
    wanted = resize(sanet(net, pixels, 90, (40, 64), multi.scales, True), (30, 41), True)
    assert agreement(segment(run, pixels, multi, size=(30, 41)), wanted) >= 0.999


# --- what a preset stands for -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, data, network, base, crop",
    [
        ("mxnetseg", "cityscapes", "fcn", 2048, 768),
        ("mxnetseg", "pascal_voc_aug", "fcn", 520, 480),
        ("mxnetseg", "camvid", "fcn", 520, 480),
        ("mxnetseg", "nyuv2", "fcn", 640, 480),
        ("semseg", "cityscapes", "pspnet_semseg", 2048, 713),
        ("semseg", "cityscapes", "psanet", 2048, 705),
        ("semseg", "ade20k", "pspnet_semseg", 512, 473),
        ("semseg", "pascal_voc_aug", "psanet", 512, 465),
        ("semseg", "camvid", "pspnet_semseg", 960, 713),
        ("mlmsnet", "cityscapes", "mlmsnet", 2048, 713),
        ("mlmsnet", "camvid", "mlmsnet", 960, 713),
    ],
)
def test_sizes_of_the_data_sets(name, data, network, base, crop):
    found = Protocol.build({"network": {"name": network}}, data=data, preset=name)
    assert (found.base_size, found.crop_size) == (base, (crop, crop))
    assert not found.flip or name != "mxnetseg"
    stride = {768: 512, 480: 320, 473: 316, 465: 310, 713: 476, 705: 470}[crop]
    assert found.step == (stride, stride)


def test_sizes_of_sanet():
    single = Protocol.build({}, data="cityscapes", preset="sanet")
    assert (single.mode, single.base_size, single.scales) == ("whole", None, (1.0,))
    multi = Protocol.build({}, (), data="cityscapes", preset="pidnet")
    assert (multi.mode, multi.base_size, multi.crop_size) == ("slide", 2048, (1024, 2048))
    assert multi.step == (1024, 2048)


def test_own_data_have_the_base_of_their_training():
    meta = {"experiment": {"augment": {"base_size": 300}}}
    assert Protocol.build(meta, data="mine", preset="mxnetseg").base_size == 300
    assert Protocol.build(meta, data="cityscapes", preset="mxnetseg").base_size == 2048
    assert Protocol.build({}, data="mine", preset="mxnetseg").base_size == 520
    assert Protocol.build(meta, data="mine", preset="mxnetseg", base_size=9).base_size == 9


def test_wishes_override_a_preset():
    found = build("semseg", flip=False, crop_size=(30, 40), base_size=99, scales=[1, 2])
    assert (found.flip, found.crop_size, found.base_size) == (False, (30, 40), 99)
    assert found.scales == (1, 2) and found.step == (20, 27)
    assert build("mxnetseg", (0.5, 1), scales=[3]).scales == (3,)
    assert not build("mxnetseg", scales=[0.5, 1]).flip
    assert build("mxnetseg", (0.8, 1.2)).scales == (0.8, 1.2)  # the data set's own
    assert build("semseg", (0.8, 1.2)).scales == presets.MULTI_SCALE
    assert build("sanet", scales=[0.5, 1.5]).whole_up_to == 1.0


def test_a_preset_is_kept_in_checkpoints_and_left_again():
    saved = {"protocol": build("mxnetseg", crop_size=(50, 50), base_size=70).as_dict()}
    again = Protocol.build(saved)
    assert again.as_dict() == saved["protocol"]
    many = Protocol.build(saved, (0.5, 1))
    assert (many.crop_size, many.base_size, many.flip) == ((50, 50), 70, True)
    assert Protocol.build(saved, mode="whole") == Protocol()
    assert Protocol.build(saved, preset="pmsdsen").preset == "pmsdsen"


def test_a_preset_in_an_experiment():
    experiment = config.build({"eval.protocol": "semseg", "data.name": "cityscapes"})
    found = Protocol.from_config(experiment)
    assert (found.preset, found.crop_size, found.base_size) == ("semseg", (713, 713), 2048)
    experiment = config.build({"eval.protocol": "semseg", "eval.flip": False})
    assert not Protocol.from_config(experiment).flip


def test_what_presets_cannot():
    with pytest.raises(UsageError, match="mxnetseg"):
        build("mxnetsek")
    with pytest.raises(UsageError, match="drop --ms"):
        build("pmsdsen", (0.5, 1))
    with pytest.raises(UsageError, match="--scales"):
        build("pmsdsen", base_size=100)


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_rules_in_words(name):
    rules = build(name).rules()
    assert all(isinstance(text, str) and text for text in rules.values())
    assert name in rules["mode"]


def test_the_published_mean():
    rows = [{"iou": 0.5}, {"iou": None}, {"iou": 0.1}]
    result = {"classes": rows, "miou_all_classes": 0.2}
    assert presets.published_miou("semseg", result)[0] == 0.2
    assert presets.published_miou("pmsdsen", result)[0] is None
    full = {"classes": rows[:1], "miou_all_classes": 0.5}
    assert presets.published_miou("pmsdsen", full)[0] == 0.5
