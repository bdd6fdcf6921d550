"""``mxnetseg convert``: files of other code bases become checkpoints, and go back."""

import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, checkpoint, cli, convert, models
from mxnetseg.convert import files, pretrained
from mxnetseg.errors import UsageError
from tests.reference import synthetic

from ..tiny import description

HERE = Path(__file__).resolve().parents[1] / "reference"


def run(capsys, *args):
    """(exit code, stdout, stderr) of a command; an error is one line."""
    code = cli.main([str(a) for a in args])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err and err.count("\n") <= 1
    return code, out, err


def manifest(name):
    spec = synthetic.manifest(HERE / name)
    return spec, synthetic.checkpoint(spec)


def assert_recorded(name, file):
    """The checkpoint gives the recorded answer."""
    spec = synthetic.manifest(HERE / name)
    net = checkpoint.network(checkpoint.read(file))
    net.upsample_outputs = spec["resolution"] == "input"
    net.main_only = True
    case = spec["cases"][0]
    (got,) = net(mx.nd.array(synthetic.image(case["shape"], case["seed"])))
    want = synthetic.expected(HERE / name)[case["name"]][spec["outputs"].index("main")]
    got = got.asnumpy()[:, :, :: synthetic.STRIDE, :: synthetic.STRIDE]
    assert np.abs(got - want).max() <= 1e-3 * want.std()


@pytest.fixture(scope="module")
def pidnet(tmp_path_factory):
    """(folder, spec, state) with state in pidnet.npz, converted to pidnet.params."""
    spec, state = manifest("pidnet/pidnet_s")
    folder = tmp_path_factory.mktemp("pidnet")
    np.savez(folder / "pidnet.npz", **state)
    args = ["--from", "pidnet", folder / "pidnet.npz", "-o", folder / "pidnet.params"]
    assert cli.main(["convert", *map(str, args), "--data", "cityscapes"]) == 0
    return folder, spec, state


def test_the_checkpoint_answers_as_recorded_and_says_where_it_comes_from(pidnet):
    folder, spec, _ = pidnet
    assert_recorded("pidnet/pidnet_s", folder / "pidnet.params")
    meta = checkpoint.read(folder / "pidnet.params").meta
    assert meta["network"]["name"] == "pidnet" and meta["classes"][:2] == ["road", "sidewalk"]
    assert meta["mean"] == [0.485, 0.456, 0.406] and meta["input"]["size_divisor"] == 8
    assert meta["palette"][0] == [128, 64, 128]
    origin = meta["origin"]
    assert origin["system"] == "pidnet" and origin["file"] == "pidnet.npz"
    assert len(origin["sha256"]) == 64
    assert all(origin["build"][k] == v for k, v in spec["build"].items())


def test_it_predicts_and_evaluates(pidnet, tmp_path, capsys):
    folder = pidnet[0]
    image = np.random.RandomState(0).randint(0, 255, (70, 90, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    code, _, err = run(
        capsys, "predict", tmp_path / "photo.png", "--checkpoint", folder / "pidnet.params",
        "--ctx", "cpu", "-o", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    assert cv2.imread(str(tmp_path / "out/labels/photo.png"), 0).shape == (70, 90)
    args = ["eval", "--checkpoint", folder / "pidnet.params", "--data-root", tmp_path]
    assert cli.main([*map(str, args), "--ctx", "cpu"]) != 0  # it knows its data, which is not there
    assert "Cityscapes" in capsys.readouterr().err


def test_the_report_lists_what_was_done(pidnet, tmp_path, capsys):
    out = tmp_path / "x.params"
    code, text, _ = run(capsys, "convert", "--from", "pidnet", pidnet[0] / "pidnet.npz", "-o", out)
    assert code == 0
    counters = sum(name.endswith("num_batches_tracked") for name in pidnet[2])
    used = f"{len(pidnet[2]) - counters} used; {counters} unused (conv1.1.num_batches_tracked"
    for words in (used, "0 missing", "pidnet.npz", "num_classes 19", '"s"', "unknown", str(out)):
        assert words in text
    assert checkpoint.read(out).meta["classes"][18] == "class 18"


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_the_way_back_is_exact(pidnet, tmp_path, capsys, ending):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    folder, _, state = pidnet
    back = tmp_path / f"back{ending}"
    assert run(capsys, "convert", folder / "pidnet.params", "--to", "pidnet", "-o", back)[0] == 0
    again = files.read(back).state
    assert set(again) == {k for k in state if not k.endswith("num_batches_tracked")}
    for name, value in again.items():
        np.testing.assert_array_equal(value, state[name])
    there = tmp_path / "there.params"
    assert run(capsys, "convert", "--from", "pidnet", back, "-o", there)[0] == 0
    ours, theirs = (checkpoint.read(f).parameters for f in (folder / "pidnet.params", there))
    assert set(ours) == set(theirs)
    assert all((ours[k] == theirs[k]).asnumpy().all() for k in ours)


def test_a_wrappers_names_come_back(tmp_path, capsys):
    spec, state = manifest("sanet/sanet_s_fullmodel")
    np.savez(tmp_path / "x.npz", **{f"module.{k}": v for k, v in state.items()})
    out, back = tmp_path / "x.params", tmp_path / "back.npz"
    assert run(capsys, "convert", "--from", "sanet", tmp_path / "x.npz", "-o", out)[0] == 0
    assert_recorded("sanet/sanet_s_fullmodel", out)
    assert run(capsys, "convert", out, "--to", "sanet", "-o", back)[0] == 0
    again = files.read(back).state
    assert all(k.startswith("module.model.") for k in again)
    for name, value in again.items():
        np.testing.assert_array_equal(value, state[name[len("module.") :]])


def test_networks_that_were_trained_here_can_leave(tmp_path, capsys):
    net = models.create("mlmsnet_v2", 3)
    info = description(3)
    checkpoint.save(tmp_path / "own.params", net, checkpoint.describe(net, info))
    back, there = tmp_path / "back.npz", tmp_path / "there.params"
    assert run(capsys, "convert", tmp_path / "own.params", "--to", "mlmsnet", "-o", back)[0] == 0
    assert "msf0.blocks.0.conv.0.weight" in files.read(back).state
    assert run(capsys, "convert", "--from", "mlmsnet", back, "-o", there)[0] == 0
    ours, theirs = (checkpoint.read(f).parameters for f in (tmp_path / "own.params", there))
    assert all((ours[k] == theirs[k]).asnumpy().all() for k in ours)
    code, _, err = run(capsys, "convert", tmp_path / "own.params", "--to", "semseg", "-o", back)
    assert code == 2 and "mlmsnet" in err


def test_parameters_of_mxnetseg(tmp_path, capsys):
    spec, state = manifest("mxnetseg/bisenet_resnet18")
    mx.nd.save(str(tmp_path / "x.params"), {k: mx.nd.array(v) for k, v in state.items()})
    out, back = tmp_path / "ours.params", tmp_path / "back.npz"
    code, text, err = run(capsys, "convert", "--from", "mxnetseg", tmp_path / "x.params", "-o", out)
    assert code == 0 and "BiSeNetR" in text, err
    assert_recorded("mxnetseg/bisenet_resnet18", out)
    assert run(capsys, "convert", out, "--to", "mxnetseg", "-o", back)[0] == 0
    for name, value in files.read(back).state.items():
        np.testing.assert_array_equal(value, state[name])
    code, _, err = run(capsys, "convert", "--from", "mxnetseg", out, "-o", tmp_path / "y.params")
    assert code == 2 and "already" in err


def test_camvid_has_the_order_of_the_code_base(tmp_path, capsys):
    build = {"cls": 11, "act_name": "relu"}
    net = convert.create("pmsdsen", build)
    net.initialize()
    state = convert.to_original("pmsdsen", build, net)
    np.savez(tmp_path / "x.npz", **state)
    out = tmp_path / "x.params"
    code, _, err = run(
        capsys, "convert", "--from", "pmsdsen", tmp_path / "x.npz", "-o", out, "--data", "camvid",
        "--build", '{"act_name": "relu"}',
    )  # fmt: skip
    assert code == 0, err
    meta = checkpoint.read(out).meta
    assert meta["classes"][0] == "bicyclist" and meta["network"]["act"] == "relu"
    assert meta["experiment"]["data"] == {"name": "camvid", "options": {"order": "sanet"}}


def test_classes_are_named(pidnet, tmp_path, capsys):
    out, names = tmp_path / "x.params", tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghijklmnopqrs"))
    args = ["convert", "--from", "pidnet", pidnet[0] / "pidnet.npz", "-o", out, "--classes"]
    assert run(capsys, *args, names)[0] == 0
    assert checkpoint.read(out).meta["classes"] == list("abcdefghijklmnopqrs")
    code, _, err = run(capsys, *args, "a", "b")
    assert code == 2 and "19 classes" in err


# --- weights for backbones -----------------------------------------------------------------------


def converted(tmp_path, capsys, system, state, *more):
    np.savez(tmp_path / "theirs.npz", **state)
    out = tmp_path / "imagenet.params"
    code, _, err = run(
        capsys, "convert", "--from", system, tmp_path / "theirs.npz", "-o", out, *more
    )
    assert code == 0, err
    return out


def test_an_imagenet_file_of_mobilenetv3_starts_a_backbone(tmp_path, capsys):
    spec, state = manifest("mlmsnet/mobilenetv3_small")
    out = converted(tmp_path, capsys, "mlmsnet", state)
    net = models.create("mlmsnet", 4, "mobilenetv3_small")
    pretrained.load(net, str(out))
    np.testing.assert_array_equal(
        net.backbone.layer2[0].conv._children["0"].weight.data().asnumpy(),
        state["layer2.0.conv.0.weight"],
    )
    with pytest.raises(UsageError, match="does not hold the weights of backbone"):
        pretrained.load(models.create("mlmsnet", 4, "mobilenetv3_large"), str(out))
    with pytest.raises(UsageError, match="classifier"):
        checkpoint.read(out)
    back = tmp_path / "back.npz"
    assert run(capsys, "convert", out, "--to", "mlmsnet", "-o", back)[0] == 0
    again = files.read(back).state
    assert "classifier.3.weight" in again
    for name, value in again.items():
        np.testing.assert_array_equal(value, state[name])


@pytest.mark.parametrize("system", ["sanet", "pidnet"])
def test_an_imagenet_file_of_a_whole_network_starts_it(tmp_path, capsys, system):
    build = {"num_classes": 1000, "augment": False}
    theirs = convert.create(system, build)
    theirs.initialize()
    state = convert.to_original(system, build, theirs)
    out = converted(tmp_path, capsys, system, state)
    net = models.create(system, 5)
    before = net.final_layer.conv2.weight.data().asnumpy()
    pretrained.load(net, str(out))
    np.testing.assert_array_equal(
        net.final_layer.conv1.weight.data().asnumpy(), state["final_layer.conv1.weight"]
    )
    np.testing.assert_array_equal(net.final_layer.conv2.weight.data().asnumpy(), before)
    with pytest.raises(UsageError, match="fit by name and shape"):
        pretrained.load(models.create("pmsdsen", 5), str(out))
    with pytest.raises(UsageError, match="no ImageNet weights"):
        pretrained.load(net, "imagenet")


def torch_names(net, tail):
    """The state of one of our backbones under PyTorch's names."""
    state = {}
    for name, p in net._collect_params_with_prefix().items():
        path, _, leaf = name.rpartition(".")
        leaf = {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)
        state[f"{path}.{leaf}"] = p.data().asnumpy()
        if leaf == "running_var":
            state[f"{path}.num_batches_tracked"] = np.zeros((), np.int64)
    state.update({f"{tail}.weight": np.zeros((1000, 8)), f"{tail}.bias": np.zeros(1000)})
    return state


@pytest.mark.parametrize("library, name", [("torchvision", "resnet18"), ("timm", "resnet50")])
def test_resnets_of_other_libraries(tmp_path, capsys, library, name):
    theirs = backbones.create(name)
    theirs.initialize(mx.init.Normal(0.1))
    state = torch_names(theirs, "fc")
    out = converted(tmp_path, capsys, library, state)
    ours = backbones.create(name, 8)
    ours.initialize()
    pretrained.load(ours, str(out))
    for k, p in ours._collect_params_with_prefix().items():
        np.testing.assert_array_equal(
            p.data().asnumpy(), theirs._collect_params_with_prefix()[k].data().asnumpy()
        )


def test_gluoncv_files_need_no_conversion_but_take_one(tmp_path, capsys):
    try:
        from gluoncv import model_zoo as vision
    except (ImportError, RuntimeError) as error:  # it refuses PyTorch 2
        pytest.skip(str(error))
    for name, ours in (("mobilenetv2_0.25", "mobilenet_v2_0_25"), ("densenet121", "densenet121")):
        theirs = vision.get_model(name, pretrained=False)
        theirs.initialize(mx.init.Normal(0.1))
        theirs(mx.nd.zeros((1, 3, 224, 224)))
        file = str(tmp_path / "gluoncv.params")
        theirs.save_parameters(file)
        out = tmp_path / "ours.params"
        assert run(capsys, "convert", "--from", "gluoncv", file, "-o", out)[0] == 0
        loaded = []
        for source in (file, str(out)):
            backbone = backbones.create(ours)
            backbone.initialize()
            pretrained.load(backbone, source)
            loaded.append(backbone._collect_params_with_prefix())
        for k, p in loaded[0].items():
            np.testing.assert_array_equal(p.data().asnumpy(), loaded[1][k].data().asnumpy())


@pytest.mark.parametrize(
    "library, names, reason",
    [
        ("torchvision", {"conv1.weight": (64, 3, 7, 7), "layer1.0.conv3.weight": (256, 64, 1, 1)},
         "7 x 7"),
        ("timm", {"conv1.0.weight": (32, 3, 3, 3), "layer1.0.conv3.weight": (256, 64, 1, 1)},
         "32 channels"),
        ("timm", {"conv1.weight": (64, 3, 7, 7), "layer1.0.downsample.1.weight": (4, 4, 1, 1)},
         "pools before"),
        ("timm", {"conv_stem.weight": (16, 3, 3, 3), "blocks.1.0.se.conv_reduce.weight": (8, 8)},
         "gate"),
        ("torchvision", {"features.0.weight": (64, 3, 3, 3)}, "no classifier of torchvision"),
    ],
)  # fmt: skip
def test_other_layouts_are_refused_with_a_reason(tmp_path, capsys, library, names, reason):
    state = {k: np.zeros(s, np.float32) for k, s in names.items()}
    state.setdefault("layer1.0.conv1.weight", np.zeros((64, 64, 1, 1), np.float32))
    if "layer1.0.conv3.weight" not in state and "conv1.weight" not in state:
        del state["layer1.0.conv1.weight"]
    np.savez(tmp_path / "x.npz", **state)
    out = tmp_path / "x.params"
    code, _, err = run(capsys, "convert", "--from", library, tmp_path / "x.npz", "-o", out)
    assert code == 2 and reason in err and not out.exists()


# --- what is refused -----------------------------------------------------------------------------


class Bomb:
    """Something that runs when it is unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.mark.parametrize(
    "args, message",
    [
        (["--from", "sanet"], "no checkpoint of SANet"),
        (["--from", "pidnet", "--build", '{"planes": 64}'], "not a checkpoint of"),
        (["--from", "pidnet", "--build", '{"plane": 64}'], "planes"),
        (["--from", "pidnet", "--build", "planes=64"], "JSON"),
        (["--from", "pidnets"], "pidnet"),
        (["--from", "pidnet", "--data", "camvid"], "19 classes"),
        (["--from", "pidnet", "--to", "pidnet"], "either"),
        ([], "either"),
    ],
)
def test_wrong_use(pidnet, tmp_path, capsys, args, message):
    out = tmp_path / "x.params"
    code, _, err = run(capsys, "convert", pidnet[0] / "pidnet.npz", "-o", out, *args)
    assert code == 2 and message in err and not out.exists()


def test_endings_say_what_is_written(pidnet, tmp_path, capsys):
    file = pidnet[0] / "pidnet.params"
    code, _, err = run(capsys, "convert", file, "--to", "pidnet", "-o", tmp_path / "x.onnx")
    assert code == 2 and ".safetensors" in err
    npz = pidnet[0] / "pidnet.npz"
    code, _, err = run(capsys, "convert", npz, "--from", "pidnet", "-o", tmp_path / "x.pth")
    assert code == 2 and ".params" in err


def test_damaged_files(pidnet, tmp_path, capsys):
    whole = (pidnet[0] / "pidnet.npz").read_bytes()
    mx.nd.save(str(tmp_path / "m.params"), {"a": mx.nd.zeros((9, 9))})
    params = (tmp_path / "m.params").read_bytes()
    header = json.dumps({"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}).encode()
    cases = {
        "cut.npz": whole[: len(whole) // 2],
        "cut.params": params[: len(params) - 20],
        "cut.safetensors": len(header).to_bytes(8, "little") + header + bytes(7),
        "text.pth": b"<html>404 Not Found</html>",
        "empty.pth": b"",
    }
    for name, content in cases.items():
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        (tmp_path / name).write_bytes(content)
        code, _, err = run(
            capsys, "convert", "--from", "pidnet", tmp_path / name, "-o", tmp_path / "x.params"
        )
        assert code in (1, 2) and name in err and not (tmp_path / "x.params").exists()
    code, _, err = run(
        capsys, "convert", "--from", "pidnet", tmp_path / "no.pth", "-o", tmp_path / "x.params"
    )
    assert code == 2 and "No such file" in err


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    trap = tmp_path / "trap"
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"conv1.weight": Bomb(trap)}))
    legacy = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    legacy += pickle.dumps({}, 2) + pickle.dumps({"a": Bomb(trap)}, 2)
    (tmp_path / "legacy.pth").write_bytes(legacy)
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"a": Bomb(trap)}, 2))
        archive.writestr("x/version", "3\n")
    bombs = np.empty(1, object)
    bombs[0] = Bomb(trap)
    np.savez(tmp_path / "objects.npz", a=bombs)
    for name in ("bare.pth", "legacy.pth", "zip.pth", "objects.npz"):
        code, _, err = run(
            capsys, "convert", "--from", "pidnet", tmp_path / name, "-o", tmp_path / "x.params"
        )
        assert code in (1, 2) and name in err
        assert not trap.exists(), name


# --- PyTorch -------------------------------------------------------------------------------------


def wrapped(state, form):
    import torch

    tensors = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
    prefix = form.split("+")[0] if form.endswith("+") else ""
    tensors = {prefix + k: v for k, v in tensors.items()}
    if form == "state_dict":
        return {"epoch": 7, "state_dict": tensors, "pred": np.float64(0.75), "optimizer": {"a": []}}
    return {"model": tensors} if form == "model" else tensors


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "name, form",
    [
        ("mlmsnet/mlmsv2_l", "plain"),
        ("mlmsnet/mlmsv2_l", "module.+"),
        ("pidnet/pidnet_s", "state_dict"),
        ("pidnet/pidnet_s", "model.+"),
        ("sanet/sanet_s_fullmodel", "model"),
    ],
)
def test_pytorch_files_answer_as_recorded(name, form, legacy, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    spec, state = manifest(name)
    file, out, back = (tmp_path / n for n in ("x.pth", "x.params", "back.pth"))
    content = wrapped(state, form)
    torch.save(content, str(file), _use_new_zipfile_serialization=not legacy)
    code, _, err = run(capsys, "convert", "--from", spec["system"], file, "-o", out)
    assert code == 0, err
    assert_recorded(name, out)
    assert run(capsys, "convert", out, "--to", spec["system"], "-o", back)[0] == 0
    again = torch.load(str(back), weights_only=True)
    for key in ("state_dict", "model"):
        content, again = content.get(key, content), again.get(key, again)
    assert all(torch.equal(v, content[k]) for k, v in again.items())
    assert len(again) > 0.5 * len(content)


def test_pytorch_files_with_more_than_arrays(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    for name, content in (
        ("network.pth", torch.nn.Linear(2, 3)),
        ("list.pth", [torch.zeros(3)]),
        ("nested.pth", {"state_dict": {"a": {"b": torch.zeros(3)}}}),
        ("empty.pth", {}),
    ):
        torch.save(content, str(tmp_path / name))
        code, _, err = run(
            capsys, "convert", "--from", "pidnet", tmp_path / name, "-o", tmp_path / "x.params"
        )
        assert code == 1 and name in err
    torch.save({"a": torch.zeros(1000)}, str(tmp_path / "cut.pth"))
    whole = (tmp_path / "cut.pth").read_bytes()
    torch.save({"a": torch.zeros(1000)}, str(tmp_path / "old.pth"),
               _use_new_zipfile_serialization=False)  # fmt: skip
    legacy = (tmp_path / "old.pth").read_bytes()
    for name, content in (("cut.pth", whole[:-500]), ("old.pth", legacy[:-500])):
        (tmp_path / name).write_bytes(content)
        code, _, err = run(
            capsys, "convert", "--from", "pidnet", tmp_path / name, "-o", tmp_path / "x.params"
        )
        assert code == 1 and "truncated" in err


def test_half_precision_is_read_exactly(tmp_path):
    torch = pytest.importorskip("torch")
    value = torch.randn(50)
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({"a": value.to(kind)}, str(tmp_path / "x.pth"))
        read = files.read(tmp_path / "x.pth").state["a"]
        np.testing.assert_array_equal(read, value.to(kind).float().numpy())


def test_without_pytorch_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # cannot be imported
    with pytest.raises(UsageError, match="pip install torch"):
        files.write(tmp_path / "y.pth", {"a": np.zeros(3)})
    assert not list(tmp_path.iterdir())
