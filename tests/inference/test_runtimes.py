"""ONNX Runtime and OpenVINO as backends, and the files that they are given."""

import contextlib
import json
from types import SimpleNamespace

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import checkpoint, data
from mxnetseg.cli import main
from mxnetseg.deploy import forms
from mxnetseg.deploy.builder import IR_VERSIONS
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import onnxfile, runtimes
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.merge import segment
from mxnetseg.inference.protocol import Protocol

from ..settled import settled
from ..tiny import MEAN, STD, description, image

onnx = pytest.importorskip("onnx", reason="needs pip install onnx")
pytest.importorskip("onnxruntime", reason="needs pip install onnxruntime")

PROTOCOLS = (
    Protocol(),
    Protocol(scales=(0.5, 1.25), flip=True),
    Protocol(mode="slide", crop_size=(48, 40), flip=True),
)


@pytest.fixture(scope="module")
def net():
    return settled("eprnet", 5)


@pytest.fixture(scope="module")
def model(net):
    return forms.build(net, description(5), "classes")


@pytest.fixture(scope="module")
def wanted(net):
    return MXNetBackend(net, [mx.cpu()], MEAN, STD)


def backend(name, model, devices=("cpu",)):
    if name == "openvino":
        pytest.importorskip("openvino", reason="needs pip install openvino")
    return runtimes.start(name, onnxfile.of_model(model), devices)


@pytest.mark.parametrize("name", ("onnxruntime", "openvino"))
@pytest.mark.parametrize("form", ("logits", "scores", "classes"))
def test_logits_agree(net, wanted, name, form):
    run = backend(name, forms.build(net, description(5), form))
    batch = np.stack([image(50, 70), image(50, 70, 1)])
    expected = wanted(batch, (56, 80)).asnumpy()
    found = run(batch, (56, 80)).asnumpy()
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()
    assert (run.num_classes, run.align_corners, run.devices) == (5, net.align_corners, 1)
    assert run.runtime["name"] == name and run.runtime["precision"] == "float32"


@pytest.mark.parametrize("name", ("onnxruntime", "openvino"))
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_class_maps_agree(wanted, model, name, protocol):
    pixels = image(64, 90)
    found = segment(backend(name, model), pixels, protocol)
    assert (found == segment(wanted, pixels, protocol)).mean() >= 0.9999


def test_bfloat16_where_the_processor_has_it(wanted, model):
    openvino = pytest.importorskip("openvino", reason="needs pip install openvino")
    file = onnxfile.of_model(model)
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UsageError, match="no bfloat16"):
            runtimes.start("openvino", file, ["cpu"], precision="bf16")
        return
    run = runtimes.start("openvino", file, ["cpu"], precision="bf16")
    assert run.runtime["precision"] == "bf16"
    batch = image(56, 80)[None]
    expected, found = wanted(batch).asnumpy(), run(batch).asnumpy()
    off = np.sqrt(np.square(found - expected).mean()) / expected.std()
    assert 1e-4 < off < 0.2  # numbers of 8 bits, in some thirty layers


@pytest.mark.parametrize("precision, shapes", (
    ("float32", [(1,), (2,), None]), ("int8", [(1,), (2,), (3,), (1,)]),
))  # fmt: skip
def test_integers_are_never_compiled_for_any_size(monkeypatch, precision, shapes):
    """What was proven for one size; other files get one network for all sizes beyond some."""
    compiled = []

    class Core:
        read_model = lambda self, model: Network()  # noqa: E731
        compile_model = lambda self, network, *_: compiled.append(network.shape) or network  # noqa: E731

    class Network:
        shape = None
        reshape = lambda self, shape: setattr(self, "shape", tuple(shape))  # noqa: E731
        create_infer_request = lambda self: self  # noqa: E731
        infer = lambda self, inputs: inputs  # noqa: E731

    package = SimpleNamespace(__version__="1", Core=Core)
    monkeypatch.setattr(runtimes, "openvino", lambda: package)
    monkeypatch.setattr(runtimes, "STATIC_SIZES", 2)
    model = SimpleNamespace(SerializeToString=lambda: b"")
    file = onnxfile.NetworkFile(model, {"precision": precision})
    run, _ = runtimes._openvino_request(file, "cpu", 1, static=True)
    for size in (1, 2, 2, 3, 1):
        assert run(np.zeros(size)).shape == (size,)
    assert compiled == shapes


def test_rules_of_sizes():
    net = settled("pidnet", 5)
    net.size_divisor, net.min_size = 8, 40
    run = backend("onnxruntime", forms.build(net, description(5)))
    expected = MXNetBackend(net, [mx.cpu()], MEAN, STD)
    for size in ((1, 1), (41, 97), (48, 96)):
        assert run.padded_size(*size) == expected.padded_size(*size)
    fixed = backend("onnxruntime", forms.build(net, description(5), size=(48, 64)))
    assert fixed.padded_size(40, 64) == (48, 64)
    with pytest.raises(UsageError, match="48x64 only.*mode slide"):
        fixed.padded_size(48, 65)


def test_two_devices(wanted, model):
    run = backend("onnxruntime", model, ["cpu", "cpu"])
    assert run.devices == 2
    pixels = image(40, 56)[None]
    found = [run(pixels, context=k) for k in (0, 1)]
    for handle in found:
        np.testing.assert_allclose(handle.asnumpy(), wanted(pixels).asnumpy(), atol=1e-3)


def test_a_gpu_that_is_not_there(model):
    with pytest.raises(UsageError, match="onnxruntime-gpu|--ctx cpu"):
        backend("onnxruntime", model, [0])
    with pytest.raises(UsageError, match="--ctx cpu"):
        backend("openvino", model, [0])
    with pytest.raises(UsageError, match="is no device"):
        backend("onnxruntime", model, ["tpu"])


# --- the command line --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    """A checkpoint on `synthetic`, and the same as .onnx."""
    folder = tmp_path_factory.mktemp("exported")
    info = data.info("synthetic")
    net = settled("eprnet", info.num_classes)
    checkpoint.save(
        folder / "net.params",
        net,
        checkpoint.describe(net, info, experiment={"data": {"name": "synthetic"}}),
    )
    assert main(["export", str(folder / "net.params"), "-o", str(folder / "net.onnx")]) == 0
    return folder


SMALL = ["data.options.size=[48,64]", "data.options.scenes=6"]


def test_eval_gives_the_same_score(files, tmp_path, capsys):
    pytest.importorskip("openvino", reason="needs pip install openvino")
    results = []
    for file, runtime in (
        ("net.params", []),
        ("net.params", ["--runtime", "onnxruntime"]),
        ("net.onnx", []),
        ("net.onnx", ["--runtime", "openvino"]),
    ):
        out = tmp_path / f"{len(results)}"
        command = ["eval", "--checkpoint", str(files / file), *runtime, "-o", str(out)]
        assert main([*command, "--ctx", "cpu", "--set", *SMALL]) == 0
        results.append(json.loads((out / "results.json").read_text()))
    names = [r["runtime"]["name"] for r in results]
    assert names == ["mxnet", "onnxruntime", "onnxruntime", "openvino"]
    assert all(r["runtime"]["version"] and r["runtime"]["precision"] for r in results)
    for result in results[1:]:
        assert result["miou"] == pytest.approx(results[0]["miou"], abs=1e-3)
        assert result["protocol"] == results[0]["protocol"]


def test_predict(files, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), image(60, 70))
    maps = []
    for file in ("net.params", "net.onnx"):
        out = tmp_path / file
        command = ["predict", "--checkpoint", str(files / file), str(tmp_path / "photo.png")]
        assert main([*command, "-o", str(out), "--ctx", "cpu"]) == 0
        maps.append(cv2.imread(str(out / "labels/photo.png"), cv2.IMREAD_UNCHANGED))
    assert (maps[0] == maps[1]).mean() >= 0.9999


def test_mxnet_does_not_run_onnx(files, capsys):
    command = ["predict", "--checkpoint", str(files / "net.onnx"), "--runtime", "mxnet", "x.png"]
    assert main(command) == 2
    assert "--runtime onnxruntime" in capsys.readouterr().err


# --- files that cannot be trusted --------------------------------------------------------------


def damaged(model, **entries):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {p.key: p.value for p in model.metadata_props}
    kept.update({k: v for k, v in entries.items() if v is not None})
    for key in [k for k, v in entries.items() if v is None]:
        del kept[key]
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, kept)
    return copy


def test_a_file_reads_back(model, tmp_path):
    onnx.save(model, str(tmp_path / "net.onnx"))
    file = onnxfile.read(tmp_path / "net.onnx")
    assert file.checkpoint.description.classes == description(5).classes
    assert [i.name for i in file.model.graph.input] == [file.meta["inner"]["image"]]


@pytest.mark.parametrize(
    "entries, error, words",
    [
        ({"file_format": None}, UsageError, "no file of `mxnetseg export`"),
        ({"file_format": "99"}, UsageError, "newer version"),
        ({"file_format": '"x"'}, MXNetSegError, "damaged"),
        ({"classes": "[1, 2"}, MXNetSegError, "damaged"),
        ({"classes": '["a"]'}, MXNetSegError, "damaged"),
        ({"mean": "[0.5]"}, MXNetSegError, "damaged"),
        ({"inner": "{}"}, MXNetSegError, "damaged"),
        ({"inner": None}, MXNetSegError, "damaged"),
        ({"network": "[]"}, MXNetSegError, "damaged"),
        ({"checksum": "7"}, MXNetSegError, "damaged, or was changed"),
    ],
)
def test_metadata_that_are_wrong(model, tmp_path, entries, error, words):
    onnx.save(damaged(model, **entries), str(tmp_path / "net.onnx"))
    with pytest.raises(error, match=words):
        onnxfile.read(tmp_path / "net.onnx")


def test_bytes_that_are_wrong(model, tmp_path):
    path, whole = tmp_path / "net.onnx", model.SerializeToString()
    for content in (b"", b"PK\x03\x04", whole[:1000], whole[: len(whole) // 2], b"\x00" * 5000):
        path.write_bytes(content)
        with pytest.raises((MXNetSegError, UsageError)):
            onnxfile.read(path)
    rng = np.random.RandomState(0)
    for position in rng.randint(0, len(whole), 20):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randint(8)
        path.write_bytes(flipped)
        try:
            file = onnxfile.read(path)
        except (MXNetSegError, UsageError):
            continue
        # an attribute of an operator or the prose: the file is as good as before or is refused
        with contextlib.suppress(MXNetSegError):
            runtimes.start("onnxruntime", file, ["cpu"])(image(32, 32)[None]).asnumpy()


def _newer_operators(model):
    model.opset_import[0].version = 99


def _newer_format(model):
    model.ir_version = 99


def _no_operators_of_onnx(model):
    model.opset_import[0].domain = "com.future"


@pytest.mark.parametrize(
    "change, words",
    [
        (_newer_operators, "newer ONNX .opset 99.*up to 21"),
        (_newer_format, "newer ONNX .*format 99"),
        (_no_operators_of_onnx, "which operators"),
    ],
)
def test_files_of_a_newer_onnx(model, tmp_path, change, words):
    """OpenVINO would run them, by the rules that it knows."""
    new = damaged(model)
    change(new)
    onnx.save(new, str(tmp_path / "net.onnx"))
    with pytest.raises((UsageError, MXNetSegError), match=words):
        onnxfile.read(tmp_path / "net.onnx")


def test_what_is_written_can_be_read():
    assert (min(IR_VERSIONS), max(IR_VERSIONS)) == onnxfile.OPSETS
    assert max(IR_VERSIONS.values()) == onnxfile.NEWEST_IR


@pytest.mark.parametrize("name", ("onnxruntime", "openvino"))
def test_an_operator_that_no_runtime_knows(model, tmp_path, name):
    new = damaged(model)
    new.graph.node[5].op_type = "FromTheFuture"
    onnxfile.seal(new)
    onnx.save(new, str(tmp_path / "net.onnx"))
    if name == "openvino":
        pytest.importorskip("openvino", reason="needs pip install openvino")
    with pytest.raises(MXNetSegError) as caught:
        runtimes.start(name, onnxfile.read(tmp_path / "net.onnx"), ["cpu"])
    message = str(caught.value)
    assert "refuses" in message and len(message.splitlines()) == 1 and len(message) < 400
    assert "Exception from" not in message and "ONNXRuntimeError" not in message


CONTENTS = {
    "empty": (lambda whole: b"", "no operators"),
    "text": (lambda whole: b"This is a text file.\n" * 40, "damaged, or no ONNX file"),
    "truncated": (lambda whole: whole[: len(whole) // 2], "damaged, or no ONNX file"),
    "without its end": (lambda whole: whole[:-9], "damaged"),
}


@pytest.mark.parametrize("verb", ("predict", "eval"))
@pytest.mark.parametrize("content", CONTENTS)
def test_commands_say_what_is_wrong(files, tmp_path, capsys, verb, content):
    path, photo = tmp_path / "bad.onnx", tmp_path / "photo.png"
    change, words = CONTENTS[content]
    path.write_bytes(change((files / "net.onnx").read_bytes()))
    cv2.imwrite(str(photo), image(20, 30))
    command = [verb, "--checkpoint", str(path), *([str(photo)] if verb == "predict" else [])]
    assert main([*command, "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert words in error and "bad.onnx" in error and len(error.splitlines()) == 1


OUTSIDE = ("../w.bin", "a/../../w.bin", "/etc/hostname", "link/w.bin", ".", "", "a\0b")


@pytest.mark.parametrize("place", OUTSIDE, ids=repr)
def test_parameters_outside_the_folder(model, tmp_path, place):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(1 << 16))
    (inside / "link").symlink_to(tmp_path)
    copy = damaged(model)
    tensor = next(t for t in copy.graph.initializer if len(t.raw_data) > 1000)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (inside / "net.onnx").write_bytes(copy.SerializeToString())
    with pytest.raises(UsageError, match="outside its own folder"):
        onnxfile.read(inside / "net.onnx")


def test_parameters_in_the_folder(model, tmp_path):
    copy = damaged(model)
    onnx.save(copy, str(tmp_path / "net.onnx"), save_as_external_data=True, location="net.bin")
    assert onnxfile.read(tmp_path / "net.onnx").model.graph.node
    (tmp_path / "net.bin").unlink()
    with pytest.raises(MXNetSegError, match="cannot be read"):
        onnxfile.read(tmp_path / "net.onnx")


def test_other_programs_files(tmp_path):
    for path, words in (("none.onnx", "no file"), (".", "no file")):
        with pytest.raises(UsageError, match=words):
            onnxfile.read(tmp_path / path)
