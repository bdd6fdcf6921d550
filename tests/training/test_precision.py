"""Mixed precision: the graph, the scale of the loss, and what does not go together."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg import checkpoint, config, data, graph, losses, models, runtime
from mxnetseg.errors import UsageError
from mxnetseg.models.base import registry
from mxnetseg.models.table import takes_backbone
from mxnetseg.nn import Normalize
from mxnetseg.training import optimizer as optimizers
from mxnetseg.training import precision
from mxnetseg.training.freezing import freeze
from mxnetseg.training.lowering import FOLLOWING, LOW, lower

from ..tiny import tiny_net
from .test_faults import records
from .test_step import ONE, Line
from .test_trainer import difference, interrupted, run

CLASSES = 11
# The same blocks in smaller number.
SMALLER = {"resnet50": "resnet18", "resnet50_semseg": "resnet18", "vit_large_16": "vit_base_16"}


@pytest.fixture
def bfloat16():
    """Skips where MXNet does not compute in it."""
    if not runtime.has_avx512():
        pytest.skip("bfloat16 needs a processor with AVX-512")


# --- the graph -----------------------------------------------------------------------------------


def dtypes(symbol):
    """{(operator, dtypes of its inputs and of its first output)} of a graph."""
    nodes = graph.read(symbol, data=(2, 3, 32, 48)).nodes
    return {
        (n.op, tuple(nodes[i].dtypes[k] for i, k in n.inputs), n.dtypes[0]) for n in nodes if n.op
    }


def traced(net):
    with autograd.train_mode():
        return mx.sym.Group(list(net(mx.sym.var("data", dtype="float32"))))


def test_convolutions_are_low_and_positions_are_not():
    symbol = traced(models.create("fcn", CLASSES, backbone="resnet18"))
    lowered = lower(symbol, "float16")
    for op, inputs, output in dtypes(lowered):
        if op in LOW:
            assert {*inputs, output} == {"float16"}
        elif op == "BatchNorm":
            assert inputs == ("float16", *["float32"] * 4) and output == "float16"
        elif op in ("_contrib_arange_like", "dot", "broadcast_sub"):
            assert {*inputs, output} == {"float32"}
    for ask in ("list_arguments", "list_auxiliary_states"):
        assert getattr(lowered, ask)() == getattr(symbol, ask)()
    outputs = lowered.infer_type(data="float32")[1]
    assert [t.__name__ for t in outputs] == ["float32"] * len(outputs)
    texts = [lower(symbol, t).tojson(remove_amp_cast=False) for t in ("float16", "bfloat16")]
    assert texts[0] == texts[1].replace("bfloat16", "float16")


def test_maps_of_two_kinds_meet_in_float32():
    x = mx.sym.var("data", dtype="float32")
    low = mx.sym.Convolution(x, kernel=(1, 1), num_filter=3, no_bias=True)
    both = [mx.sym.concat(low, x, dim=1), low + x, mx.sym.concat(low, low, dim=1)]
    found = {(op, *t) for op, *t in dtypes(lower(mx.sym.Group(both), "float16"))}
    assert ("Concat", ("float32",) * 2, "float32") in found
    assert ("elemwise_add", ("float32",) * 2, "float32") in found
    assert ("Concat", ("float16",) * 2, "float16") in found


# --- networks in bfloat16 ------------------------------------------------------------------------


def calm(net, x):
    """Let norms keep to the statistics of these images.

    A step whose norms take their statistics from few random maps is chaotic: weights that differ by
    2^-9 turn its gradient by 75 degrees, in float32. With fixed ones it is as smooth as it looks.
    """
    moving = []
    net.apply(lambda block: moving.append(block) if isinstance(block, gluon.nn.BatchNorm) else 0)
    for block in moving:
        block._kwargs["momentum"] = 0.0
    with autograd.record():
        sums = [y.sum() for y in net(x)]
    autograd.backward(sums)  # moves the running statistics
    mx.nd.waitall()
    if moving:
        freeze(net, [], statistics=True)


def scenes(height, width):
    """Four street scenes, normalised, and their masks."""
    drawn = data.create("synthetic", "train", size=(height, width), scenes=4)
    drawn = [drawn[k] for k in range(4)]
    images = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = images.load(np.stack([s.image for s in drawn]), mx.cpu())
    return images, mx.nd.array(np.stack([s.mask for s in drawn]), dtype="uint8")


def step(net, block, criterion, x, y):
    """(loss, gradient as one vector) of a step."""
    mx.random.seed(1)  # of dropout
    with autograd.record():
        loss = criterion([block(x)], [y])
    autograd.backward(loss)
    gradients = [p.grad() for p in net.collect_params().values() if p.grad_req != "null"]
    return loss[0].asscalar(), np.concatenate([g.asnumpy().ravel() for g in gradients])


def build_network(name, **options):
    default = registry.get(name).default_backbone if takes_backbone(name) else None
    backbone = {"backbone": SMALLER.get(default, default)} if default else {}
    net = models.create(name, CLASSES, **backbone, **options)
    net.upsample_outputs = False
    return net


def compare_steps(name):
    net = build_network(name)
    x, y = scenes(*net.valid_size(64, 96))
    criterion = losses.create("cross_entropy", net)
    before = {p: p.data().copy() for p in net.collect_params().values()}
    loss, gradient = step(net, precision.network(net, "bfloat16"), criterion, x, y)
    assert np.isfinite(loss) and np.isfinite(gradient).all()
    print(name, "moving", loss)
    for parameter, value in before.items():
        parameter.set_data(value)
    calm(net, x)
    wanted, exact = step(net, net, criterion, x, y)
    loss, gradient = step(net, precision.network(net, "bfloat16"), criterion, x, y)
    turned = cosine(gradient, exact)
    longer = np.linalg.norm(gradient) / np.linalg.norm(exact)
    print(f"{name}: loss {loss / wanted:.4f}, cosine {turned:.4f}, length {longer:.4f}")
    found = loss / wanted, turned, longer
    if not near(found):
        for parameter in before:
            if parameter.grad_req != "null":
                value = parameter.data()
                parameter.set_data(
                    value * (1 + mx.nd.random.uniform(-(2**-12), 2**-12, value.shape))
                )
        if cosine(step(net, net, criterion, x, y)[1], exact) < 0.9:
            pytest.skip("in float32, too, weights that differ by 2^-12 turn this gradient")
    return found


def cosine(x, y):
    return x @ y / (np.linalg.norm(x) * np.linalg.norm(y))


# An operator that is wrong is found by the last test of this part. Networks themselves make much of
# a rounding: ReLUs switch, soft-max is steep, norms see few values. Vectors of millions of numbers
# that have nothing to do with each other have cosine 0.
def near(found):
    loss, turned, longer = found
    return abs(loss - 1) < 0.02 and turned > 0.4 and abs(longer - 1) < 0.5


@pytest.mark.parametrize("name", ["bisenet", "pidnet", "swiftnet"])
def test_a_step_in_bfloat16_is_near_that_in_float32(bfloat16, name):
    assert near(compare_steps(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_network_makes_a_step_in_bfloat16(bfloat16, name):
    assert near(compare_steps(name))


def operators(name):
    """The different operators of a network that may be low: {key: (node, shapes of its inputs)}."""
    net = build_network(name, initialize=False)
    nodes = graph.read(traced(net), data=(2, 3, *net.valid_size(64, 80)))
    found = {}
    for node in nodes.nodes:
        if node.op in LOW + FOLLOWING:
            shapes = nodes.input_shapes(node)
            if sum(map(np.prod, shapes)) < 3e6:
                found[node.op, str(node.attrs), str(shapes)] = node, shapes
    return found


def one_step(symbol, values, slope):
    """Output and gradients of an operator."""
    shapes = [values[name].shape for name in symbol.list_arguments()]
    states = symbol.infer_shape(**dict(zip(symbol.list_arguments(), shapes)))[2]
    bound = symbol.bind(
        mx.cpu(),
        {name: mx.nd.array(v) for name, v in values.items()},
        args_grad={name: mx.nd.zeros(v.shape) for name, v in values.items()},
        aux_states=[mx.nd.zeros(s) + k for k, s in enumerate(states)],
    )
    y = bound.forward(is_train=True)[0]
    bound.backward(mx.nd.array(slope(y.shape)))
    return [y.asnumpy(), *(bound.grad_dict[name].asnumpy() for name in values)]


def rounded(values):
    """To the nearest number in bfloat16, as float32."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_operator_of_every_network_is_right_in_bfloat16(bfloat16, monkeypatch, name):
    monkeypatch.setattr("mxnetseg.training.lowering.LOW", LOW + FOLLOWING)
    for (op, attributes, shapes), (node, sizes) in operators(name).items():
        variables = [mx.sym.var(f"x{k}", shape=s) for k, s in enumerate(sizes)]
        variables = variables[:3] if op == "BatchNorm" else variables
        make = getattr(mx.sym, op)
        symbol = make(*variables, **{k: str(v) for k, v in node.attrs.items()}, name="one")
        rng = np.random.RandomState(0)
        names = symbol.list_arguments()
        values = {n: rounded(rng.standard_normal(s)) for n, s in zip(names, sizes)}

        def slope(shape):
            return rounded(np.random.RandomState(1).standard_normal(shape))

        exact, found = (one_step(s, values, slope) for s in (symbol, lower(symbol, "bfloat16")))
        for wanted, y in zip(exact, found):
            error = np.linalg.norm(y - wanted) / max(np.linalg.norm(wanted), 1e-20)
            # its inputs are exact; rounded are the output, and in between, by 2^-9 each
            assert error < 0.02, (op, attributes, shapes, error)


# --- runs ----------------------------------------------------------------------------------------

LOWERED = dict(train__precision="bfloat16", train__clip_norm=1.0, train__ema=0.9,
               train__accumulate=2, train__batch_size=2, train__validate_every=2)  # fmt: skip


def test_a_run_in_bfloat16_learns_and_goes_on_exactly(bfloat16, tmp_path, monkeypatch):
    run(tmp_path / "whole", **LOWERED)
    half = interrupted(monkeypatch, tmp_path / "parts", 2, **LOWERED)
    run(tmp_path / "parts", resume=half)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0
    run(tmp_path / "plain", **{**LOWERED, "train__precision": "float32"})
    first, second = (records(tmp_path / n) for n in ("whole", "plain"))
    assert first[0]["loss"] == pytest.approx(second[0]["loss"], rel=0.02)


def test_several_devices_train_in_bfloat16(bfloat16, tmp_path):
    settings = dict(train__epochs=1, train__freeze_bn=True, optim__lr=1e-6)
    run(tmp_path / "two", ("cpu", "cpu"), train__precision="bfloat16", **settings)
    run(tmp_path / "one", train__precision="float32", **settings)
    first, second = (records(tmp_path / n)[0] for n in ("two", "one"))
    assert first["loss"] == pytest.approx(second["loss"], rel=0.02)


@pytest.mark.parametrize(
    "name, contexts, settings, words",
    [
        ("float16", [mx.cpu()], {}, "float16 is for GPUs"),
        ("float16", [mx.gpu(0), mx.cpu()], {}, "float16 is for GPUs"),
        ("bfloat16", [mx.gpu(0)], {}, "bfloat16 is for CPUs"),
        ("float16", [mx.gpu(0)], {"model.norm": "sync_batch"}, "sync_batch computes operator by"),
    ],
)
def test_what_does_not_go_together_is_refused(name, contexts, settings, words):
    with pytest.raises(UsageError, match=words):
        precision.check(config.build(settings, {"train.precision": name}), contexts)


def test_bfloat16_needs_avx512(monkeypatch):
    experiment = config.build({"train.precision": "bfloat16"})
    monkeypatch.setattr(runtime, "_processor_flags", lambda: {"avx2", "avx512f"})
    with pytest.raises(UsageError, match="needs a processor with AVX-512"):
        precision.check(experiment, [mx.cpu()])
    monkeypatch.setattr(
        runtime, "_processor_flags", lambda: {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
    )
    for most in ("", "ALL", "AVX512_CORE", "avx512_core_amx"):
        monkeypatch.setenv("DNNL_MAX_CPU_ISA", most)
        precision.check(experiment, [mx.cpu()])
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")  # oneDNN must not use what is there
    with pytest.raises(UsageError, match="needs a processor with AVX-512"):
        precision.check(experiment, [mx.cpu()])


def test_float32_trains_the_network_itself():
    net = tiny_net()
    assert precision.network(net, "float32") is net


# --- the scale of the loss -----------------------------------------------------------------------


def finite(value=1.0):
    return mx.nd.array([value])


def test_the_scale_is_halved_by_an_overflow_and_doubled_by_many_steps_without():
    scaler = precision.Scaler(scale=8.0, growth=3)
    scales, made = [], []
    for norm in (1, 1, np.inf, np.nan, 1, 1, 1, 1):
        made.append(scaler.accepts(finite(norm)))
        scales.append(scaler.scale)
    assert made == [True, True, False, False, True, True, True, True]
    assert scales == [8, 8, 4, 2, 2, 2, 4, 4] and (scaler.clean, scaler.skipped) == (1, 2)
    other = precision.Scaler()
    other.load(scaler.state())
    assert (other.scale, other.clean, other.skipped) == (4, 1, 2)
    other.load({})  # of a run without
    assert other.scale == 4
    scaler.scale, scaler.clean = scaler.largest, 2
    scaler.accepts(finite())
    assert scaler.scale == scaler.largest


@pytest.mark.parametrize("clip_norm", [None, 2.0])
@pytest.mark.parametrize("contexts", [ONE, [mx.cpu(0), mx.cpu(1)]])
def test_the_step_is_that_without_a_scale_and_an_overflow_makes_none(contexts, clip_norm):
    def weights(scaler, gradients):
        net = Line((1.0, -2, 0.5), contexts)
        optim = config.Optim(name="adam")
        optimizer = optimizers.Optimizer(net, optim, contexts, clip_norm, scaler=scaler)
        norms = []
        for gradient in gradients:
            with autograd.record():
                parts = [net(mx.nd.array(gradient, ctx=c) / len(contexts)) for c in contexts]
            optimizer.backward(parts)
            norms.append(optimizer.step(0.1).asscalar())
        return net.weight.data(contexts[-1]).asnumpy(), norms

    good = [(3.0, 0, 4), (0.1, -0.2, 0.3)]
    wanted, norms = weights(None, good)
    scaler = precision.Scaler(scale=2.0**16)
    found, scaled = weights(scaler, [good[0], (1e35, 0, 0), good[1]])
    # 65536 and 32768 are exact factors, unless a number becomes too small or large
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert norms == pytest.approx([5, 0.14**0.5]) and not np.isfinite(scaled[1])
    assert [scaled[0], scaled[2]] == pytest.approx(norms) and scaler.scale == 2.0**15


@pytest.fixture
def scaled(monkeypatch):
    """Lets float16 run on a CPU: what it computes is float32, but the loss is scaled."""
    monkeypatch.setattr(precision, "check", lambda *_: None)
    monkeypatch.setattr(precision, "network", lambda net, _: net)
    monkeypatch.setattr(precision, "scaler", lambda _: precision.Scaler(scale=2.0**60))


def test_a_scaled_run_skips_steps_and_goes_on_exactly(scaled, tmp_path, monkeypatch):
    """The square of the norm overflows at first, as gradients would in float16."""
    settings = dict(optim__name="adam", train__precision="float16", train__epochs=4)
    run(tmp_path / "whole", **settings)
    log = records(tmp_path / "whole")
    skipped = [record["skipped_steps"] for record in log]
    assert skipped[0] == 1 and 2 <= skipped[5] < 6 and skipped[-1] < len(log) == 12
    assert log[0]["gradient_norm"] is None and log[-1]["gradient_norm"] > 0
    assert log[-1]["loss_scale"] == 2.0 ** (60 - skipped[-1])
    half = interrupted(monkeypatch, tmp_path / "parts", 6, **settings)
    assert half.optimizer[precision.SCALER].asnumpy()[2] == skipped[5]
    run(tmp_path / "parts", resume=half)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0
    assert checkpoint.read(tmp_path / "whole" / "last.params").meta["progress"]["step"] == 12
