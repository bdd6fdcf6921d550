"""MXNet's own integers: what is exact, what stays in float, files that are refused."""

import importlib.util
import json

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import checkpoint, data
from mxnetseg.cli import main
from mxnetseg.deploy import integers, sensitivity
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import checkpoints

from ..settled import settled
from ..tiny import description, image

SIZE, OTHER = (64, 96), (48, 80)

pytestmark = pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet has no oneDNN"
)


def written(net, path):
    info = data.info("synthetic")
    experiment = {"data": {"name": "synthetic", "options": {"size": list(SIZE), "scenes": 6}}}
    about = info if net.num_classes == info.num_classes else description(net.num_classes)
    checkpoint.save(path, net, checkpoint.describe(net, about, experiment=experiment))
    return checkpoint.read(path)


def quantizer_of(saved):
    backend = integers.start(saved)
    images = (backend.normalized(image(*size, k)[None]) for k in range(4) for size in (SIZE, OTHER))
    return integers.Quantizer(saved, images)


def layers_of(quantizer):
    return [layer for layers in quantizer.groups.values() for layer in layers]


def error(file, saved, size=SIZE):
    backend, wanted = integers.start(file), integers.start(saved)
    pixels = image(*size, 1)[None]
    return checkpoints.share(backend(pixels).asnumpy(), wanted(pixels).asnumpy())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(checkpoint in float32, its Quantizer)."""
    net = settled("swiftnet", 5, "mobilenet_v2_1_0", width=32)
    saved = written(net, tmp_path_factory.mktemp("float") / "net.params")
    return saved, quantizer_of(saved)


def test_integers_are_near_and_float_is_nearer(made):
    saved, quantizer = made
    layers = layers_of(quantizer)
    whole = quantizer.network()
    graph = json.loads(whole.file.parameters[checkpoints.GRAPH].asnumpy().tobytes().decode())
    kinds = [node["op"] for node in graph["nodes"]]
    assert "_contrib_quantize_v2" in kinds and "BatchNorm" not in kinds
    errors = [
        error(quantizer.network(floating).file, saved)
        for floating in ((), layers[: len(layers) // 2], layers)
    ]
    assert 0.8 > errors[0] > errors[1] > errors[2]  # random weights amplify
    assert errors[2] < 0.02  # weights of 16 bits


def test_file(made, tmp_path):
    saved, quantizer = made
    network = quantizer.network()
    assert integers.verify(saved, network.file, image(*SIZE)) < 0.5
    path = tmp_path / "int8.params"
    integers.write(path, saved, network, {"quantization": {"images": 4}})
    assert path.stat().st_size < 0.7 * saved_size(saved)
    again = checkpoint.read(path, integers=True)
    backend = checkpoints.of_checkpoint(again, [mx.cpu()])
    assert backend.runtime["precision"] == "int8" and "progress" not in again.meta
    for size in (SIZE, OTHER, (100, 70), SIZE):
        pixels = np.stack([image(*size, k) for k in range(2)])
        together = backend(pixels).asnumpy()
        alone = np.concatenate([backend(one[None]).asnumpy() for one in pixels])
        assert checkpoints.share(together, alone) <= checkpoints.TOLERANCE
        assert np.isfinite(together).all()
    with pytest.raises(UsageError, match="8-bit integers"):
        checkpoint.read(path)


def saved_size(saved):
    return sum(4 * value.size for value in saved.parameters.values())


def test_other_results_than_where_it_was_written(made, tmp_path):
    saved, quantizer = made
    path = tmp_path / "int8.params"
    integers.write(path, saved, quantizer.network(), {})
    saved = checkpoint.read(path, integers=True)
    logits = saved.parameters[checkpoints.LOGITS]
    saved.parameters[checkpoints.LOGITS] = logits[:, ::-1]  # as if sums had overflown
    with pytest.raises(MXNetSegError, match="other results on this processor"):
        checkpoints.of_checkpoint(saved, [mx.cpu()])
    saved.parameters[checkpoints.GRAPH] = mx.nd.array([123, 125], dtype="uint8")
    with pytest.raises(MXNetSegError, match="does not fit this MXNet"):
        checkpoints.of_checkpoint(saved, [mx.cpu()])


@pytest.mark.slow
def test_lone_activations_stay_in_float(tmp_path):
    """MXNet gives nonsense for a ReLU in integers that is not joined to a convolution."""
    saved = written(settled("sanet", 5), tmp_path / "net.params")
    quantizer = quantizer_of(saved)
    right = error(quantizer.network().file, saved)
    kinds = {n["name"]: n["op"] for n in json.loads(quantizer._joined.tojson())["nodes"]}
    quantizer._never = [name for name in quantizer._never if kinds[name] != "Activation"]
    assert right < 0.8 * error(quantizer.network().file, saved)


def test_sigmoids_are_those_of_onednn():
    x = mx.sym.var("data")
    symbol = integers._with_activations(mx.sym.sigmoid(x + 1, name="gate") * x)
    assert "sigmoid" not in {node["op"] for node in json.loads(symbol.tojson())["nodes"]}
    values = np.linspace(-20, 20, 96).reshape(1, 2, 6, 8).astype(np.float32)
    found = symbol.eval(data=mx.nd.array(values))[0].asnumpy()
    wanted = values / (1 + np.exp(-(values + 1.0)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_grouped_convolutions_stay_in_float(tmp_path):
    """MXNet gives nonsense for them in integers; eprnet has some, beside depthwise ones."""
    saved = written(settled("eprnet", 5), tmp_path / "net.params")
    quantizer = quantizer_of(saved)
    assert quantizer._never
    assert error(quantizer.network().file, saved) < 0.5
    quantizer._never = []
    assert error(quantizer.network().file, saved) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ("pidnet", "sanet", "mlmsnet", "pmsdsen", "fapn", "alignseg"))
def test_what_mxnet_fails_at_is_right_or_refused(name, tmp_path):
    saved = written(settled(name, 5), tmp_path / "net.params")
    try:
        quantizer = quantizer_of(saved)
        file = quantizer.network().file
        largest = integers.verify(saved, file, image(*SIZE))
        integers.write(tmp_path / "int8.params", saved, quantizer.network(), {})
    except MXNetSegError as refused:
        assert "integers" in str(refused) or "quantise" in str(refused)
        assert not (tmp_path / "int8.params").exists()
    else:
        assert largest < integers.WRONG
    every = quantizer_of(saved) if name == "pidnet" else None
    if every is not None:  # in float it is the network itself, whatever MXNet joins
        floating = every.network(layers_of(every)).file
        assert error(floating, saved) < 1e-2


def test_the_search_goes_on_behind_what_fails(made):
    _, quantizer = made
    seen = []

    def score(file):
        seen.append(file)
        if len(seen) == 1:
            raise MXNetSegError("MXNet cannot")
        return 0.7

    def run(file):
        return lambda x: np.array([1.0, 2.0])

    network, found = sensitivity.search(quantizer, score, run, [0], 0.7)
    assert found == 0.7 and len(network.floating) == 1
    with pytest.raises(MXNetSegError, match="cannot"):
        sensitivity.search(quantizer, lambda f: seen.clear() or score(f), run, [0], 0.7)


def test_command(tmp_path, capsys):
    net = settled("swiftnet", data.info("synthetic").num_classes, "mobilenet_v2_1_0", width=32)
    path, out = tmp_path / "net.params", tmp_path / "int8.params"
    written(net, path)
    assert main(["quantize", str(path), "-o", str(out), "--images", "3", "--force"]) == 0
    said = capsys.readouterr()
    assert "mIoU      float32" in said.out and "int8 in mxnet" in said.out
    meta = checkpoint.read(out, integers=True).meta
    assert meta["quantization"]["images"] == 3 and meta["made_of"]["name"] == "net.params"
    more = ["--runtime", "mxnet", "--precision", "int8"]
    assert main(["eval", "--checkpoint", str(out), "-o", str(tmp_path / "e"), *more]) == 0
    result = json.loads((tmp_path / "e/results.json").read_text())
    assert result["runtime"]["precision"] == "int8"
    assert result["miou"] == pytest.approx(meta["quantization"]["miou"]["int8"], abs=1e-3)
    few = ["--stages", "network", "--size", "64", "--warmup", "0", "--repeats", "1"]
    assert main(["speed", str(path), "--compare", str(out), *few]) == 0
    assert "mxnet int8" in capsys.readouterr().out
    wants_onnx = not importlib.util.find_spec("onnx")  # export asks for it before it reads
    for wrong, words in (
        (["eval", "--checkpoint", str(path), "--precision", "int8"], "mxnetseg quantize"),
        (["eval", "--checkpoint", str(path), "--precision", "bf16"], "--runtime openvino"),
        (["eval", "--checkpoint", str(out), "--precision", "float32"], "float32 checkpoint"),
        (["eval", "--checkpoint", str(out), "--runtime", "onnxruntime"], "for MXNet"),
        (
            ["export", str(out), "-o", str(tmp_path / "a.onnx")],
            "needs onnx" if wants_onnx else "8-bit integers",
        ),
        (["convert", str(out), "--half", "-o", str(tmp_path / "a.params")], "8-bit integers"),
        (["train", "--resume", str(out)], "8-bit integers"),
        (["inspect", "receptive-field", "--checkpoint", str(out)], "8-bit integers"),
        (["quantize", str(out), "-o", str(tmp_path / "a.params")], "8-bit integers"),
    ):
        assert main(wrong) == 2
        assert words in capsys.readouterr().err


def test_what_loses_too_much_is_not_written(tmp_path, capsys, monkeypatch):
    from mxnetseg.cli import quantize as command

    monkeypatch.setattr(command, "LIMIT", -1.0)
    monkeypatch.setattr(sensitivity, "ranked", lambda *_: [])
    net = settled("swiftnet", data.info("synthetic").num_classes, "mobilenet_v2_1_0", width=32)
    path, out = tmp_path / "net.params", tmp_path / "int8.params"
    written(net, path)
    assert main(["quantize", str(path), "-o", str(out), "--images", "2"]) == 1
    assert "nothing is written" in capsys.readouterr().err and not out.exists()
