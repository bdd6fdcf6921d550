"""Backbones under the names of torchvision and timm: the inverse of reading their classifiers."""

import hashlib

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, checkpoint, models
from mxnetseg.cli import main
from mxnetseg.convert import classifiers, files, origins, pretrained
from mxnetseg.errors import UsageError

from ..tiny import description

# Of "name shape" lines of torchvision 0.29.1 and timm 1.0.31, without classifier and counters, the
# first digits of the SHA-256. With these files both gave our maps, to 2e-5 of their deviation.
THEIRS = {
    ("torchvision", "resnet18"): "853f4d0812ff9d47",
    ("torchvision", "resnet34"): "1e0c73d887e5ec0a",
    ("torchvision", "densenet121"): "03ab5c3920736c72",
    ("torchvision", "densenet161"): "754af85af2dd439c",
    ("torchvision", "densenet169"): "c4349bd439ea43b6",
    ("torchvision", "densenet201"): "cc619ff1ef3d2cd6",
    ("torchvision", "mobilenet_v2_1_0"): "34a3ccf77b927d12",
    ("timm", "resnet18"): "853f4d0812ff9d47",
    ("timm", "resnet34"): "1e0c73d887e5ec0a",
    ("timm", "densenet121"): "03ab5c3920736c72",
    ("timm", "densenet161"): "754af85af2dd439c",
    ("timm", "densenet169"): "c4349bd439ea43b6",
    ("timm", "densenet201"): "cc619ff1ef3d2cd6",
    ("timm", "mobilenet_v2_1_0"): "8c3ef9f6de22e166",
    ("timm", "resnet50"): "4a78edb5089a1011",
    ("timm", "resnet101"): "a06627ba4f7dd9d5",
    ("timm", "resnet152"): "1300d738acb9224c",
}


def parameters(net):
    return net._collect_params_with_prefix()


def saved(net, path):
    checkpoint.save(path, net, checkpoint.describe(net, description(5)))
    return str(path)


def test_every_layout_is_known_here():
    layouts = [(name, ours) for name in origins.WRITTEN for ours in origins.get(name).MODELS]
    assert sorted(layouts) == sorted(THEIRS)


@pytest.mark.parametrize("library, backbone", THEIRS)
def test_names_are_theirs_and_lead_back(library, backbone):
    net = backbones.create(backbone)
    own = {name: p.shape for name, p in parameters(net).items()}
    model, names = classifiers.library_names(library, net)
    assert list(names) == list(own) and len(set(names.values())) == len(own)
    lines = sorted(f"{names[k]} {'x'.join(map(str, shape))}" for k, shape in own.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert digest[:16] == THEIRS[library, backbone], model
    shapes = {theirs: own[ours] for ours, theirs in names.items()}
    assert classifiers.identify(library, shapes) == (backbone, names)


@pytest.mark.parametrize(
    "library, backbone", [("torchvision", "resnet18"), ("timm", "mobilenet_v2_1_0")]
)
def test_there_and_back(tmp_path, capsys, library, backbone):
    mx.random.seed(0)
    net = models.create("fcn", 5, backbone, output_stride=16)
    path = saved(net, tmp_path / "net.params")
    for verb in ("export", "convert"):
        out = tmp_path / verb / "theirs.npz"
        assert main([verb, path, "--to", library, "-o", str(out)]) == 0
        text = capsys.readouterr().out
        rest = len(parameters(net)) - len(parameters(net.backbone))
        assert f"backbone {backbone} of fcn" in text and f"left out {rest} of" in text
        assert "own classifier" in text and "output stride 16" in text
    assert len(files.read(str(out)).state) == len(parameters(net.backbone))

    back, again = tmp_path / "back.params", tmp_path / "again.npz"
    assert main(["convert", "--from", library, str(out), "-o", str(back)]) == 0
    ours = backbones.create(backbone)
    ours.initialize()
    pretrained.load(ours, str(back))
    for name, p in parameters(net.backbone).items():
        np.testing.assert_array_equal(parameters(ours)[name].data().asnumpy(), p.data().asnumpy())

    # what was read can be written again
    assert main(["export", str(back), "--to", library, "-o", str(again)]) == 0
    first, second = (files.read(str(path)).state for path in (out, again))
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)


def test_torch_reads_it(tmp_path):
    """Where PyTorch is: its own loader, which executes nothing."""
    torch = pytest.importorskip("torch", reason="needs pip install torch")
    net = models.create("fcn", 5, "resnet18")
    out = tmp_path / "theirs.pth"
    path = saved(net, tmp_path / "net.params")
    assert main(["export", path, "--to", "torchvision", "-o", str(out)]) == 0
    state = torch.load(str(out), weights_only=True)
    wanted = parameters(net.backbone)["layer1.0.bn1.gamma"].data().asnumpy()
    np.testing.assert_array_equal(state["layer1.0.bn1.weight"].numpy(), wanted)


@pytest.mark.parametrize(
    "backbone, options, library, words",
    [
        ("resnet50", {}, "torchvision", "the layout of the backbone 'resnet50'.*; timm has it"),
        ("mobilenet_v2_0_25", {}, "timm", "only with those of resnet18, .*, mobilenet_v2_1_0"),
        ("resnet18", {"norm": "group"}, "timm", "group norms; timm's have batch norms"),
    ],
)
def test_backbones_that_are_refused(backbone, options, library, words):
    with pytest.raises(UsageError, match=words):
        classifiers.library_names(library, backbones.create(backbone, **options))


@pytest.mark.parametrize(
    "network, options, words",
    [
        ("pidnet", {}, "pidnet has no backbone that other networks share; torchvision has those"),
        ("attanet", {"in_channels": 4}, "takes images of 4 channels; torchvision's take 3"),
    ],
)
def test_networks_that_are_refused(tmp_path, capsys, network, options, words):
    net = models.create(network, 5, **options)
    about = description(5, mean=(0.4,) * net.in_channels, std=(0.2,) * net.in_channels)
    checkpoint.save(tmp_path / "net.params", net, checkpoint.describe(net, about))
    out = tmp_path / "theirs.npz"
    command = ["export", str(tmp_path / "net.params"), "--to", "torchvision", "-o", str(out)]
    assert main(command) == 2 and not out.exists()
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, words",
    [(["--opset", "18"], "--opset has no meaning for --to timm"), ([], "must end in .safetensors")],
)
def test_wrong_use(tmp_path, capsys, more, words):
    path = saved(models.create("fcn", 5, "resnet18"), tmp_path / "net.params")
    out = tmp_path / "theirs.onnx"
    assert main(["export", path, "--to", "timm", "-o", str(out), *more]) == 2
    assert words in capsys.readouterr().err and not out.exists()
