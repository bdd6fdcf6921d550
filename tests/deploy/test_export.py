"""Exported files do what their networks do, in every form, or do not exist."""

import json
import os

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, checkpoint, models
from mxnetseg.cli import main
from mxnetseg.deploy import about, forms, operators
from mxnetseg.deploy import export as exporting
from mxnetseg.deploy.builder import Builder, Value
from mxnetseg.deploy.verify import least_difference, verify
from mxnetseg.deploy.walk import add_network
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference.runtimes import FLOAT32

from ..settled import settled
from ..tiny import description

onnx = pytest.importorskip("onnx", reason="needs pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs pip install onnxruntime")

QUICK = ("eprnet", "attanet", "pidnet", "swiftnet")
CLASSES = 5
RUNTIMES = ("onnxruntime", "openvino")
TOO_LARGE = "vit_huge_16"
REFUSALS = (("Core", "read_model"), ("Core", "compile_model"), ("CompiledModel", "__call__"))


def runner(model, runtime="onnxruntime"):
    """An ONNX model as a function."""
    content = model.SerializeToString()
    if runtime == "openvino":
        package = pytest.importorskip("openvino", reason="needs pip install openvino")
        core = package.Core()
        compiled = core.compile_model(core.read_model(content), "CPU", FLOAT32)
        return lambda x: compiled([x])[0]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def exported(net, form="logits", runtime="onnxruntime", **options):
    """(the file as a function, its rules, the report of its verification)."""
    model = forms.build(net, description(CLASSES), form, **options)
    onnx.checker.check_model(model)
    rules = about.rules(net, description(CLASSES), form, options.get("size"))
    run = runner(model, runtime)
    return run, rules, verify(run, net, description(CLASSES), rules)


@pytest.fixture(scope="module")
def eprnet():
    return settled("eprnet", CLASSES)


@pytest.fixture
def saved(eprnet, tmp_path):
    """A checkpoint."""
    path = tmp_path / "best.params"
    checkpoint.save(path, eprnet, checkpoint.describe(eprnet, description(CLASSES)))
    return path


# --- every network and backbone ----------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in models.names()]
)
def test_every_network(name, runtime):
    net = settled(name, CLASSES)
    run, rules, report = exported(net, runtime=runtime)
    assert len({size[1:] for size in report.sizes}) > 1 or net.fixed_size
    assert report.sizes[-1][0] >= 2
    assert rules["input"]["fixed_size"] is None or net.fixed_size


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", [n for n in backbones.names() if n not in ("vit", TOO_LARGE)])
def test_every_backbone(name, runtime):
    home = "setr" if name.startswith("vit") else "fcn"  # which does not take those
    exported(settled(home, CLASSES, name), runtime=runtime)


class Pooling:
    """As much of a network as the walk over its graph needs: one layer."""

    def __init__(self, **options):
        self.options = options

    def logits(self, F, x):
        return (F.Pooling(x, pooling_convention="full", **self.options),)

    def valid_size(self, height, width):
        return height, width

    def _collect_params_with_prefix(self):
        return {}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "options",
    [
        {"pool_type": "avg", "kernel": (2, 2), "stride": (2, 2), "count_include_pad": False},
        {"pool_type": "avg", "kernel": (3, 2), "stride": (1, 2), "count_include_pad": False},
        {"pool_type": "max", "kernel": (3, 3), "stride": (2, 2)},
        {"pool_type": "max", "kernel": (3, 3), "stride": (2, 2), "pad": (1, 1)},
    ],
)
def test_windows_over_the_edge(options, runtime):
    """The last window of ResNeSt's pooling has a pixel less where the size is odd."""
    net, builder = Pooling(**options), Builder()
    result = add_network(builder, net, Value("image", (None, 3, None, None)))
    dims = ["n", 3, "h", "w"]
    model = builder.model([("image", "float32", dims)], [(result.name, "float32", dims)], {})
    run = runner(model, runtime)
    for size in ((1, 3, 16, 17), (2, 3, 21, 22)):
        x = np.random.RandomState(0).normal(0, 1, size).astype(np.float32)
        wanted = net.logits(mx.nd, mx.nd.array(x))[0].asnumpy()
        np.testing.assert_allclose(run(x), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"pool_type": "avg", "kernel": (2, 2), "stride": (2, 2)},  # what is outside counts
        {"pool_type": "max", "kernel": (1, 1), "stride": (2, 2)},  # a window begins outside
    ],
)
def test_windows_that_onnx_does_not_have(options):
    with pytest.raises(MXNetSegError, match="pooling_convention full"):
        add_network(Builder(), Pooling(**options), Value("image", (None, 3, None, None)))


@pytest.mark.slow
def test_a_backbone_that_is_too_large():
    with pytest.raises(MXNetSegError, match="take 2.5 GB; an ONNX file holds up to 2"):
        exported(settled("setr", CLASSES, TOO_LARGE))


# --- forms and sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", about.FORMS)
def test_forms(form):
    net = settled("fcn", CLASSES, "mobilenet_v2_0_25", output_stride=16)
    net.size_divisor, net.min_size = 16, 48  # rules that these sizes break
    run, rules, report = exported(net, form)
    assert rules["input"]["dtype"] == ("float32" if form == "logits" else "uint8")
    if form == "logits":
        return
    for size in ((40, 50), (33, 97)):
        pixels = np.random.RandomState(0).randint(0, 256, (2, *size, 3)).astype(np.uint8)
        output = run(pixels)
        assert output.shape == ((2, *size) if form == "classes" else (2, CLASSES, *size))
        if form == "scores":
            np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)


def test_forms_agree(eprnet):
    pixels = np.random.RandomState(0).randint(0, 256, (1, 60, 84, 3)).astype(np.uint8)
    scores, classes = (exported(eprnet, form)[0](pixels) for form in ("scores", "classes"))
    ordered = np.sort(scores, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4  # rounding cannot swap these
    assert classes.dtype == np.uint8 and clear.mean() > 0.9
    assert (classes == scores.argmax(axis=1))[clear].all()


def test_a_fixed_size_is_folded():
    net = settled("fcn", CLASSES, "mobilenet_v2_0_25", output_stride=16)
    model = forms.build(net, description(CLASSES), size=(64, 96))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in dims] == ["batch", 3, 64, 96]

    def asked(model):
        shapes = (n for n in model.graph.node if n.op_type == "Shape")
        return {a.i for n in shapes for a in n.attribute if a.name == "start"}

    assert asked(model) <= {0}  # nothing but the batch is looked up while it runs
    assert asked(forms.build(net, description(CLASSES))) > {2}
    exported(net, size=(64, 96))


def test_norms_can_be_folded(tmp_path):
    """ONNX Runtime leaves no norm behind a convolution: the graph is as it wants it."""
    net = settled("fcn", CLASSES, "mobilenet_v2_0_25", output_stride=16)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    model = forms.build(net, description(CLASSES)).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    kinds = [n.op_type for n in onnx.load(str(tmp_path / "folded.onnx")).graph.node]
    assert kinds.count("Conv") > 50 and "BatchNormalization" not in kinds


@pytest.mark.parametrize("opset", (18, 21))
def test_newer_operators(eprnet, opset):
    exported(eprnet, opset=opset)
    assert forms.build(eprnet, description(CLASSES), opset=opset).opset_import[0].version == opset


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_few_operators_for_small_layers(runtime):
    """The gates of PMSDSEN ask for no sizes; its GELUs are an operator each where ONNX has it."""
    net = settled("pmsdsen", CLASSES)
    kinds = [n.op_type for n in forms.build(net, description(CLASSES), opset=20).graph.node]
    assert "Erf" not in kinds and kinds.count("Gelu") > 200
    assert kinds.count("Shape") < kinds.count("Reshape") / 2
    exported(net, runtime=runtime, opset=20)


def test_other_channels():
    net = settled("eprnet", CLASSES, in_channels=4)
    about_data = description(CLASSES, mean=(0.4,) * 4, std=(0.2,) * 4, max_value=4095.0)
    model = forms.build(net, about_data, "classes")
    rules = about.rules(net, about_data, "classes")
    assert rules["input"]["dtype"] == "float32" and rules["input"]["channels"] == 4
    verify(runner(model), net, about_data, rules)


# --- the file ----------------------------------------------------------------------------------


def test_command(saved, tmp_path, capsys):
    out = tmp_path / "new" / "net.onnx"
    assert main(["export", str(saved), "-o", str(out), "--form", "classes"]) == 0
    assert "largest difference" in capsys.readouterr().out
    assert os.listdir(out.parent) == ["net.onnx"]
    model = onnx.load(str(out))
    meta = {p.key: json.loads(p.value) for p in model.metadata_props}
    assert meta["network"]["name"] == "eprnet"
    assert meta["classes"] == list(description(CLASSES).classes)
    assert meta["palette"] == description(CLASSES).palette.tolist()
    assert len(meta["checkpoint"]["sha256"]) == 64
    assert meta["form"] == "classes" and meta["input"]["layout"] == "NHWC"
    assert "'pixels': uint8" in model.doc_string
    names = {n for node in model.graph.node for n in node.output}
    assert {meta["inner"]["image"], meta["inner"]["logits"]} <= names


def test_a_size(saved, tmp_path):
    out = tmp_path / "net.onnx"
    assert main(["export", str(saved), "-o", str(out), "--size", "64", "96"]) == 0
    meta = {p.key: json.loads(p.value) for p in onnx.load(str(out)).metadata_props}
    assert meta["input"]["fixed_size"] == [64, 96]


@pytest.mark.parametrize(
    "more, words",
    [
        (["--size", "64"], "height and a width"),
        (["--opset", "9"], "--opset takes 17 to 21"),
        (["--to", "openvino"], "must end in .xml"),
    ],
)
def test_wrong_use(saved, tmp_path, capsys, more, words):
    assert main(["export", str(saved), "-o", str(tmp_path / "net.onnx"), *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "net.onnx").exists()


def test_a_wrong_file_is_not_kept(saved, tmp_path, capsys, monkeypatch):
    out = tmp_path / "net.onnx"
    out.write_text("what was there")
    monkeypatch.setitem(operators.OPERATORS, "LeakyReLU", lambda b, node, x, _: b.add("Relu", x))
    assert main(["export", str(saved), "-o", str(out)]) == 1
    assert "does not agree with the network" in capsys.readouterr().err
    assert out.read_text() == "what was there"
    assert sorted(os.listdir(tmp_path)) == ["best.params", "net.onnx"]


def test_an_operator_without_conversion(eprnet, monkeypatch):
    monkeypatch.delitem(operators.OPERATORS, "Convolution")
    with pytest.raises(MXNetSegError, match="operator Convolution, for which"):
        forms.build(eprnet, description(CLASSES))


def test_a_missing_package(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UsageError, match="pip install onnx onnxruntime"):
        exporting.export(saved, tmp_path / "net.onnx")


def test_openvino(saved, tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs pip install openvino")
    out = tmp_path / "ir" / "net.xml"
    assert (
        main(["export", str(saved), "-o", str(out), "--to", "openvino", "--form", "classes"]) == 0
    )
    assert sorted(os.listdir(out.parent)) == ["net.bin", "net.xml"]
    network = openvino.Core().read_model(str(out))
    assert json.loads(network.get_rt_info(["mxnetseg", "form"]).value) == "classes"


@pytest.mark.parametrize("kind, call", REFUSALS)
def test_what_openvino_refuses_is_not_kept(saved, tmp_path, capsys, monkeypatch, kind, call):
    openvino = pytest.importorskip("openvino", reason="needs pip install openvino")

    def fail(*args, **options):
        raise RuntimeError("Check 'x' failed at src/core/shape.cpp:12:\nIt has too many axes.")

    monkeypatch.setattr(getattr(openvino, kind), call, fail)
    assert main(["export", str(saved), "-o", str(tmp_path / "net.xml"), "--to", "openvino"]) == 1
    said = capsys.readouterr().err
    assert "mxnetseg: OpenVINO 2" in said
    assert "refuses the exported file: It has too many axes." in said
    assert os.listdir(tmp_path) == ["best.params"]


@pytest.mark.parametrize("verb", (["eval", "--checkpoint"], ["predict", "--checkpoint"], ["speed"]))
def test_openvinos_form_is_no_checkpoint(tmp_path, capsys, verb):
    (tmp_path / "net.xml").write_text("<net></net>")
    images = ["photo.jpg"] if verb[0] == "predict" else []
    assert main([*verb, str(tmp_path / "net.xml"), *images]) == 2
    assert "Give the .onnx or .params file" in capsys.readouterr().err


# --- the measure -------------------------------------------------------------------------------


def test_least_difference():
    logits = np.array([0.0, 1.0, 5.0], np.float32).reshape(1, 3, 1, 1)
    assert least_difference(logits + 0.25, logits, "logits") == 0.25
    assert least_difference(np.array([[[2]]], np.uint8), logits, "classes") == 0
    assert least_difference(np.array([[[1]]], np.uint8), logits, "classes") == 2
    scores = mx.nd.softmax(mx.nd.array(logits), axis=1).asnumpy()
    assert least_difference(scores, logits, "scores") < 1e-6
    assert least_difference(logits[:, :2], logits, "logits") == np.inf
