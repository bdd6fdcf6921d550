"""What networks cost, against counts by hand and the published ones."""

import json

import mxnet as mx
import pytest
from mxnet.gluon import nn

from mxnetseg import cli, complexity, layers, models
from mxnetseg.models import SegmentationModel
from mxnetseg.nn import BatchNorm, conv2d, global_pool, resize_like

from .tiny import tiny_net

K, M = 1024, 1024 * 1024


class Small(SegmentationModel):
    """One of every kind of layer that is counted, and of those that are not."""

    output_names = ("main", "aux")
    size_divisor = 4

    def __init__(self):
        super().__init__(3)
        self.conv = conv2d(3, 8, (3, 1), stride=2, bias=False)
        self.bn = BatchNorm(8)
        self.twice = conv2d(8, 8, 3, groups=4)
        self.up = nn.Conv2DTranspose(4, 2, 2, in_channels=8)
        self.linear = nn.Dense(4, in_units=4)
        self.head = conv2d(4, 3)
        self.aux_head = conv2d(8, 3)

    def logits(self, F, x):
        y = self.bn(self.conv(x))
        y = self.twice(F.relu(self.twice(y)))
        z = self.up(y)
        gate = self.linear(global_pool(F, z))
        z = F.broadcast_mul(z, F.reshape(gate, (0, 0, 1, 1)))
        rows = F.reshape(z, (0, 0, -1))
        products = F.batch_dot(rows, rows, transpose_b=True)
        z = F.reshape_like(F.batch_dot(products, rows, transpose_a=True), z)
        return self.head(resize_like(F, z, y)), self.aux_head(y)


@pytest.fixture(scope="module")
def small():
    net = Small()
    net.initialize()
    return net


def test_every_layer_of_a_small_network_by_hand(small):
    cost = complexity.measure(small, 16, 24, batch=2)
    found = {r.name: (r.kind, r.output, r.parameters, r.macs, r.activations) for r in cost.layers}
    inner, outer = 2 * 8 * 12, 2 * 16 * 24  # pixels of two images
    assert found == {
        "conv": ("Conv2D", (2, 8, 8, 12), 3 * 8 * 3, inner * 8 * 3 * 3, inner * 8),
        "bn": ("BatchNorm", (2, 8, 8, 12), 16, 0, 0),
        "twice": ("Conv2D", (2, 8, 8, 12), 8 * 2 * 9 + 8, 2 * inner * 8 * 2 * 9, 2 * inner * 8),
        "up": ("Conv2DTranspose", (2, 4, 16, 24), 8 * 4 * 4 + 4, inner * 8 * 4 * 4, outer * 4),
        "linear": ("Dense", (2, 4), 20, 2 * 16, 8),
        # attention: 4 x 4 products over all positions, twice; resizing counts nothing
        "": ("Small", (2, 4, 8, 12), 0, 2 * outer * 16, 2 * 16 + outer * 4),
        "head": ("Conv2D", (2, 3, 8, 12), 15, inner * 3 * 4, inner * 3),
    }
    assert cost.macs == sum(row[3] for row in found.values())
    assert (cost.parameters, cost.unused) == (sum(row[2] for row in found.values()), 27)
    assert cost.weights == 4 * (cost.parameters + 16)  # running statistics


def test_memory_by_hand(small):
    cost = complexity.measure(small, 16, 24)
    memory = {r.name: r.memory for r in cost.layers}
    inner, outer = 4 * 8 * 12, 4 * 16 * 24  # bytes of a channel
    assert memory["conv"] == memory["bn"] == 8 * inner and memory["twice"] == 2 * 8 * inner
    assert memory["up"] == 4 * outer
    # while the second attention product is made: the map and the product, 4 x 4 factors, and y,
    # whose size is still to be read
    assert cost.peak == 2 * 4 * outer + 4 * 16 + 8 * inner


def test_element_wise_layers_work_in_place_where_nobody_else_reads():
    def peak(function):
        net = tiny_net()
        net.logits = lambda F, x: (function(F, net.body(x)),)
        return complexity.measure(net, 16, 16).peak

    channel = 4 * 4 * 4
    convolutions = 8 * channel * 4 + 8 * channel  # a map at 1/2 and what is made of it
    assert peak(lambda F, y: F.relu(y)) == convolutions
    assert peak(lambda F, y: F.concat(*[F.relu(y)] * 8, dim=1)) == 9 * 8 * channel
    assert peak(lambda F, y: F.concat(F.relu(y), *[y] * 8, dim=1)) == 11 * 8 * channel


def test_auxiliary_outputs_count_when_asked_for(small):
    main, both = (complexity.measure(small, 16, 24, outputs=n) for n in (1, None))
    assert both.macs - main.macs == 8 * 12 * 8 * 3 and both.unused == 0
    assert both.parameters - main.parameters == 27


# name, classes, options, (height, width), parameters, convolutions and linear layers in G
CARDS = [
    ("mlms_baseline", 19, {"aux": False}, (713, 713), 3003459, 12.31),
    ("mlmsnet_s", 19, {"aux": False}, (713, 713), 5247459, 24.49),
    ("mlmsnet_l", 19, {"aux": False}, (713, 713), 7073331, 36.90),
    ("mlmsnet_v2_s", 19, {}, (713, 713), 3579219, 13.95),
    ("mlmsnet_v2_l", 19, {}, (713, 713), 4187163, 17.65),
    ("pidnet_s", 19, {}, (1024, 2048), 7625715, 47.2),
    ("pidnet_m", 19, {}, (1024, 2048), 28538515, 177.3),
    ("pidnet_l", 19, {}, (1024, 2048), 36939571, 274.9),
    ("sanet_s", 19, {}, (1024, 2048), 8797508 - 532688, 69.8),
    ("sanet_m", 19, {}, (1024, 2048), 12305116 - 403688, 103.6),
    ("sanet_l", 19, {}, (1024, 2048), 18361308 - 403688, 171.2),
]


@pytest.mark.parametrize("name, classes, options, size, parameters, billions", CARDS)
def test_known_counts(name, classes, options, size, parameters, billions):
    net = models.create(name, classes, initialize=False, **options)
    cost = complexity.measure(net, *size)
    assert cost.parameters == parameters
    digits = len(str(billions).partition(".")[2])
    assert round(cost.macs / 1e9, digits) == billions


def test_published_counts():
    """MLMSNet's README: 14.2209 G and 3.5739 M (thop); PMSDSEN's counter: 10.2669418 G."""
    net = models.create("mlmsnet_v2_s", 2, initialize=False)
    cost = complexity.measure(net, 713, 713)
    assert (round(cost.counts["thop"] / 1e9, 4), cost.parameters) == (14.2209, 3573898)
    net = models.create("pmsdsen", 19, initialize=False)
    cost = complexity.measure(net, 512, 1024, outputs=None)
    assert cost.counts["pmsdsen"] == 10266941800 and cost.parameters == 922373
    assert round(cost.macs / 1e9, 2) == 11.41


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_its_layers_under_names_of_its_own(name):
    net = models.create(name, 7, initialize=False)
    height, width = net.valid_size(96, 128)
    cost = complexity.measure(net, height, width)
    assert cost.macs == sum(row.macs for row in cost.layers) > 0
    known = layers.blocks(net)
    assert all(
        row.name in known and row.kind == type(known[row.name]).__name__ for row in cost.layers
    )
    convolutions = [r for r in cost.layers if r.kind == "Conv2D"]
    assert len(convolutions) > 4 and all(r.macs and r.parameters for r in convolutions)
    everything = sum(p.data().size if p._data else _count(p) for p in net.collect_params().values()
                     if p.grad_req != "null")  # fmt: skip
    assert cost.parameters + cost.unused == everything


def _count(parameter):
    count = 1
    for side in parameter.shape:
        count *= side
    return count


def test_tracing_leaves_the_network_as_it_was(small):
    x = mx.nd.random.uniform(shape=(1, 3, 16, 24))
    before = [y.asnumpy() for y in small(x)]
    flags = small.main_only, small.upsample_outputs
    layers.trace(small, 16, 24)
    assert (small.main_only, small.upsample_outputs) == flags
    assert all((a == b.asnumpy()).all() for a, b in zip(before, small(x)))


def test_command(capsys):
    assert cli.main(["complexity", "pidnet_s", "--size", "64", "128", "--depth", "1"]) == 0
    out = capsys.readouterr().out
    assert "pidnet_s: 1 image of 64x128" in out and "parameters 7,625,715" in out
    assert cli.main(["complexity", "pidnet_s", "--size", "64", "128", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["network"] == "pidnet_s" and found["size"] == [64, 128]
    assert found["macs"] == sum(row["macs"] for row in found["layers"])
    command = ["complexity", "bisenet", "fcn", "--backbone", "resnet18", "--size", "64"]
    assert cli.main(command) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["network", "size"] and len(rows) == 2
    size = ["pidnet_s", "--size"]
    for wrong in (["nonet"], ["a.params"], [*size, "65"], [*size, "1", "2", "3"],
                  ["fcn", "--set", "train.epochs=1"]):  # fmt: skip
        assert cli.main(["complexity", *wrong]) == 2
        assert capsys.readouterr().err.startswith("mxnetseg: ")
