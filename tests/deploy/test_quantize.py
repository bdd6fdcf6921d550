"""Networks in integers: what they lose, what stays in float, what is written."""

import argparse
import json
import os
import sys

import numpy as np
import pytest

from mxnetseg import checkpoint, data, packages
from mxnetseg.cli import main
from mxnetseg.cli import quantize as command
from mxnetseg.deploy import calibrate, forms, integers, quantize, sensitivity
from mxnetseg.inference import merge, onnxfile, runtimes
from mxnetseg.inference.merge import segment
from mxnetseg.inference.protocol import Protocol

from ..settled import settled
from ..tiny import Images, description, image
from ..tiny import backend as tiny_backend

onnx = pytest.importorskip("onnx", reason="needs pip install onnx")
pytest.importorskip("onnxruntime", reason="needs pip install onnxruntime")


def start(file, runtime="onnxruntime"):
    return runtimes.start(runtime, file, ["cpu"])


def needs_nncf():
    pytest.importorskip("openvino", reason="needs pip install openvino")
    pytest.importorskip("nncf", reason="needs pip install nncf")


MADE = (
    ("eprnet", "onnxruntime"),
    ("eprnet", "openvino"),
    pytest.param(("bisenet", "onnxruntime"), marks=pytest.mark.slow),
    pytest.param(("bisenet", "openvino"), marks=pytest.mark.slow),
)


@pytest.fixture(scope="module", params=MADE, ids="-".join)
def made(request):
    """(exported model, its NetworkFile, its Quantizer, some images)."""
    name, runtime = request.param
    if runtime == "openvino":
        needs_nncf()
    net = settled(name, 5, {"bisenet": "xception39"}.get(name))
    model = forms.build(net, description(5), "classes")
    source = onnxfile.of_model(model)
    images = [start(source).normalized(image(64, 96, k)[None]) for k in range(4)]
    return model, source, quantize.Quantizer(source, iter(images), runtime), images


def layers_of(quantizer):
    return [layer for layers in quantizer.groups.values() for layer in layers]


def error(file, source, images):
    """Root of the mean squared difference, as a share of the logits' standard deviation."""
    wanted = [start(source).run(x) for x in images]
    found = [start(file).run(x) for x in images]
    return np.sqrt(np.mean([np.square(a - b) for a, b in zip(found, wanted)]) / np.var(wanted))


def test_integers_are_near_and_float_is_nearer(made):
    _, source, quantizer, images = made
    whole = quantizer.network()
    kinds = {n.op_type for n in whole.file.model.graph.node}
    assert "QuantizeLinear" in kinds and "BatchNormalization" not in kinds
    layers = layers_of(quantizer)
    errors = [
        error(quantizer.network(floating).file, source, images)
        for floating in ((), layers[: len(layers) // 2], layers)
    ]
    assert 0.5 > errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02  # biases and the output are still rounded


def test_openvino_computes_what_onnxruntime_does(capsys):
    """With the same integers, though EPRNet has what OpenVINO is wrong about; and nobody talks."""
    needs_nncf()
    net = settled("eprnet", 5)
    source = onnxfile.of_model(forms.build(net, description(5)))
    images = [start(source).normalized(image(64, 96, k)[None]) for k in range(2)]
    file = quantize.Quantizer(source, iter(images), "openvino").network().file
    wanted, found = ([start(file, r).run(x) for x in images] for r in ("onnxruntime", "openvino"))
    apart = np.sqrt(np.mean([np.square(a - b) for a, b in zip(found, wanted)]) / np.var(wanted))
    assert apart < error(file, source, images) < 0.5
    assert capsys.readouterr() == ("", "")


def test_parts_are_ranked_by_what_they_change(made):
    _, source, quantizer, images = made
    logits = [start(source).run(x) for x in images[:2]]
    groups = quantizer.groups
    ranked = sensitivity.ranked(quantizer, groups, lambda file: start(file).run, images[:2], logits)
    assert {name for name, _ in ranked} == set(groups)
    shares = [share for _, share in ranked]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0
    worst = error(quantizer.network(groups[ranked[0][0]]).file, source, images)
    assert worst < error(quantizer.network().file, source, images)


def test_the_search_leaves_as_few_in_float_as_needed(made):
    _, _, quantizer, images = made

    def search(limit):
        return sensitivity.search(
            quantizer, lambda file: scores.pop(0), lambda file: start(file).run, images[:1], limit
        )

    scores = [0.7]
    assert search(0.7)[0].floating == ()
    scores = [0.5, 0.6] + [0.1] * 9
    assert search(0.7)[1] == 0.6  # the best of those that lose too much


class Additive:
    """A quantizer whose files are the layers in integers; each adds its own error."""

    source = ()
    errors = {"a.a": 1, "a.b": 8, "b.a": 0, "b.b": 16, "b.c": 4, "c": 2}

    def __init__(self):
        self.groups = {"a": {"a.a": [], "a.b": []}, "b": {"b.a": [], "b.b": [], "b.c": []}}
        self.groups["c"] = {"c": []}

    def network(self, floating=()):
        file = tuple(layer for layer in self.errors if layer not in floating)
        return sensitivity.Quantized(file, sensitivity.summary(self.groups, floating))

    def error(self, file):
        return sum(self.errors[layer] for layer in file)


@pytest.mark.parametrize(
    "allowed, floating",
    (
        (31, ()),
        (15, ("b.b",)),
        (14, ("b.b", "b.c")),
        (7, ("a.b", "b.b")),
        (3, ("a.b", "b.b", "b.c")),
    ),
)
def test_layers_become_integers_again_where_few_in_float_suffice(allowed, floating):
    quantizer, images = Additive(), [np.zeros(2)]

    def run(file):
        return lambda x: np.array([1.0, -1.0]) + quantizer.error(file)

    network, score = sensitivity.search(
        quantizer, lambda file: -quantizer.error(file), run, images, -allowed
    )
    assert network.floating == floating and score >= -allowed


def test_the_whole_file(made, tmp_path):
    model, _, quantizer, _ = made
    network = quantizer.network()
    whole = quantize.surrounded(model, network, {"precision": '"int8"'})
    onnxfile.seal(whole)
    onnx.checker.check_model(whole)
    (tmp_path / "net.onnx").write_bytes(whole.SerializeToString())
    backend = start(onnxfile.read(tmp_path / "net.onnx"))
    assert backend.runtime["precision"] == "int8"
    pixels = image(50, 70)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    (classes,) = session.run(None, {"pixels": pixels[None]})
    assert (classes[0] == segment(backend, pixels, Protocol())).mean() > 0.999


LINES = ("calibrated", "mIoU", "in", "speed", "->")


@pytest.fixture
def saved(tmp_path):
    info = data.info("synthetic")
    net = settled("eprnet", info.num_classes)
    experiment = {"data": {"name": "synthetic", "options": {"size": [48, 64], "scenes": 6}}}
    meta = checkpoint.describe(net, info, experiment=experiment)
    checkpoint.save(tmp_path / "net.params", net, meta)
    return tmp_path / "net.params"


@pytest.mark.parametrize("runtime", ("onnxruntime", "openvino"))
def test_command(saved, tmp_path, capsys, runtime):
    if runtime == "openvino":
        needs_nncf()
    more = [] if runtime == "onnxruntime" else ["--runtime", runtime]
    out = tmp_path / "net.onnx"
    assert main(["quantize", str(saved), "-o", str(out), "--images", "3", "--force", *more]) == 0
    said = capsys.readouterr().out
    assert "mIoU      float32" in said and f"int8 in {runtime}" in said
    assert all(line.split()[0] in LINES for line in said.splitlines())
    meta = onnxfile.read(out).meta
    assert meta["precision"] == "int8" and meta["quantization"]["images"] == 3
    if runtime == "onnxruntime" or packages.version("nncf") >= "3":  # older ones leave float32
        assert out.stat().st_size < 0.5 * saved.stat().st_size
    assert main(["eval", "--checkpoint", str(out), "-o", str(tmp_path / "e"), "--ctx", "cpu"]) == 0
    result = json.loads((tmp_path / "e/results.json").read_text())
    assert result["runtime"]["name"] == meta["quantization"]["runtime"] == runtime
    assert result["miou"] == pytest.approx(meta["quantization"]["miou"]["int8"], abs=1e-9)


@pytest.mark.parametrize("route", ("_for_onnx", "_for_mxnet"))
def test_calibration_sees_images_as_the_protocol_does(route, tmp_path, monkeypatch):
    net, given = settled("eprnet", 5), []
    meta = checkpoint.describe(net, description(5), protocol=Protocol(base_size=120).as_dict())
    checkpoint.save(tmp_path / "net.params", net, meta)
    for module in (quantize, integers):
        monkeypatch.setattr(module, "Quantizer", lambda source, images, *_: given.extend(images))
    args = argparse.Namespace(images=2, form=None, runtime=None)
    train = Images(((64, 96), (96, 64), (48, 96)))
    route = getattr(command, route)(args, checkpoint.read(tmp_path / "net.params"), train)
    sizes = [net.valid_size(*size) for size in ((80, 120), (60, 120))]  # the first and the last
    assert [x.shape for x in given] == [(1, 3, *size) for size in sizes]
    seen = Onlooker(route.start(route.source))
    segment(seen, train[0].image, Protocol(base_size=120))
    assert np.array_equal(seen.given[0], given[0])


class Onlooker:
    """A backend that keeps what the network is given, image by image."""

    def __init__(self, backend):
        self._backend, self.given = backend, []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def __call__(self, images, padded=None, context=0):
        self.given += list(self._backend.normalized(images, padded)[:, None])
        return self._backend(images, padded, context)


@pytest.mark.parametrize("padding", ("right_below", "both_sides"))
def test_windows_take_turns(padding):
    """All that an evaluation sends through the network, and nothing else, comes up."""
    protocol = Protocol(mode="slide", crop_size=(32, 48), scales=(0.5, 1.5), padding=padding)
    backend, pixels = Onlooker(tiny_backend()), image(40, 60)
    segment(backend, pixels, protocol)
    turns = 2 * (len(backend.given) - 1)  # at 0.5 there is one window
    found = [merge.window(backend, pixels, protocol, turn) for turn in range(turns)]
    found = [backend.normalized(window[None], padded) for window, padded in found]
    assert len(backend.given) > 4
    assert {x.tobytes() for x in found} == {x.tobytes() for x in backend.given}
    assert np.array_equal(found[0], backend.given[0])


def test_what_loses_too_much_is_not_written(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "LIMIT", -1.0)
    out = tmp_path / "net.onnx"
    assert main(["quantize", str(saved), "-o", str(out), "--images", "2"]) == 1
    assert "nothing is written" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("lost_on_all, searches", ((0.001, [3]), (0.1, [3, 7])))
def test_trials_see_a_share_of_a_large_split(monkeypatch, lost_on_all, searches):
    val, seen, in_float = data.create("synthetic", "val", None, size=[32, 32], scenes=7), [], []
    lost = {3: 0.0, 7: lost_on_all}

    def score(network, saved, images):
        {"trial": seen, "float32": in_float}.get(network, []).append(len(images))
        return 0.5 - (0 if network == "float32" else lost[len(images)])

    def search(quantizer, score, run, images, limit):
        return sensitivity.Quantized("int8"), score("trial")

    monkeypatch.setattr(command, "TRIAL_IMAGES", 2)
    monkeypatch.setattr(command, "RANKING_IMAGES", 0)
    monkeypatch.setattr(command, "_score", score)
    monkeypatch.setattr(command, "_images", lambda *_: [])
    monkeypatch.setattr(sensitivity, "search", search)
    route = command.Route("mxnet", "float32", lambda file: file, None, None)
    found = command._search(route, None, val, val)
    assert sorted(in_float) == [3, 7]  # each once
    assert seen == searches and found[1:] == (0.5, 0.5 - lost_on_all)


def test_wrong_use(saved, tmp_path, capsys):
    for more, words in (
        (["-o", "net.txt"], "must end in .params or .onnx"),
        (["-o", "net.params", "--form", "classes"], "--form is for .onnx files"),
        (["-o", "net.params", "--runtime", "openvino"], "--runtime is for .onnx files"),
        (["-o", "net.onnx", "--images", "0"], "counts from 1"),
        (["-o", str(saved)], "the checkpoint itself"),
    ):
        assert main(["quantize", str(saved), *more]) == 2
        assert words in capsys.readouterr().err
    assert main(["quantize", str(saved), "-o", str(saved / "below" / "net.onnx")]) == 1
    assert "cannot be written" in capsys.readouterr().err  # before the work


def test_nncf_missing(saved, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openvino", reason="needs pip install openvino")
    monkeypatch.setitem(sys.modules, "nncf", None)
    out = tmp_path / "net.onnx"
    assert main(["quantize", str(saved), "-o", str(out), "--runtime", "openvino"]) == 2
    assert "needs nncf, which is not installed" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["net.params"]


@pytest.mark.parametrize(
    "about, installed, wanted",
    (
        ({"runtime": "openvino"}, True, "openvino"),
        ({"runtime": "openvino"}, False, "onnxruntime"),
        ({"runtime": "later"}, True, "onnxruntime"),
        ({"runtime": []}, True, "onnxruntime"),
        ([], True, "onnxruntime"),
        (None, True, "onnxruntime"),
    ),
)
def test_the_runtime_that_a_file_was_made_for(monkeypatch, about, installed, wanted):
    monkeypatch.setattr(runtimes, "version", lambda name: "2026.1" if installed else None)
    file = onnxfile.NetworkFile(None, {"quantization": about})
    assert runtimes.made_for(file) == wanted


def test_concatenations_stay_in_float():
    """And what reads them, up to the next convolution; but not what reads sizes."""
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["image", "w"], ["a"], "a"),
        node("Concat", ["a", "image"], ["b"], "b"),
        node("Relu", ["b"], ["c"], "c"),
        node("Conv", ["c", "w"], ["d"], "d"),
        node("Conv", ["d", "w"], ["e"], "e"),
        node("Concat", ["height", "width"], ["sizes"], "sizes"),
        node("Resize", ["e", "", "", "sizes"], ["f"], "f"),
        node("Conv", ["f", "w"], ["g"], "g"),
    ]
    graph = onnx.helper.make_graph(nodes, "net", [], [])
    assert calibrate._joints(graph) == ["b", "c", "d", "sizes"]
