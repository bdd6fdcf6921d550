"""The networks that come with the repository."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg import checkpoint, cli, models, shipped
from tests import tiny

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def trained(tmp_path):
    net = models.create("fcn", 3, backbone="resnet18", aux=False)
    net(mx.nd.zeros((1, 3, 32, 32)))
    path = tmp_path / "trained.params"
    lay = {"data": {"root": "/home/me/data"}, "model": {"backbone_weights": "/home/me/b.params"}}
    about = checkpoint.describe(net, tiny.description(3), experiment=lay)
    checkpoint.save(path, net, about, {"mean:x": mx.nd.ones(3)})
    return path


def test_half_the_bytes_and_the_same_network(trained, tmp_path):
    out = tmp_path / "small.params"
    assert cli.main(["convert", str(trained), "--half", "-o", str(out)]) == 0
    assert out.stat().st_size < 0.51 * trained.stat().st_size
    before, after = checkpoint.read(trained), checkpoint.read(out)
    assert after.optimizer == {} and after.meta["network"] == before.meta["network"]
    assert after.experiment == {"data": {"root": None}, "model": {"backbone_weights": "b.params"}}
    assert list(after.parameters) == list(before.parameters)
    for name, value in before.parameters.items():
        value, small = value.asnumpy(), after.parameters[name].asnumpy()
        assert small.dtype == np.float32
        exact = value if value.ndim == 1 else value.astype(np.float16).astype(np.float32)
        assert np.array_equal(small, exact)
    checkpoint.network(after)(mx.nd.zeros((1, 3, 32, 32)))


def test_a_name_means_the_shipped_file(trained, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(trained, folder / "streets.params")
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path / "none", folder))
    monkeypatch.chdir(tmp_path)
    assert shipped.names() == ["streets"]
    assert checkpoint.read("streets").path == str(folder / "streets.params")
    cv2.imwrite("photo.png", np.zeros((40, 60, 3), np.uint8))
    assert cli.main(["predict", "photo.png", "--ctx", "cpu", "-o", "out"]) == 0
    assert "streets.params (shipped" in capsys.readouterr().out
    assert cv2.imread("out/labels/photo.png", -1).shape == (40, 60)
    assert cli.main(["eval", "--checkpoint", "street"]) == 2
    assert "Shipped ones: streets." in capsys.readouterr().err


def test_what_was_trained_here_comes_first(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "weights/fcn/run/best.params"
    own.parent.mkdir(parents=True)
    shutil.copy(trained, own)
    cv2.imwrite("photo.png", np.zeros((40, 60, 3), np.uint8))
    assert cli.main(["predict", "photo.png", "--ctx", "cpu", "-o", "out"]) == 0
    out = capsys.readouterr().out
    assert "best.params" in out and "shipped" not in out


@pytest.mark.skipif(not shipped.find("streets"), reason="weights/streets.params is not here")
def test_the_shipped_network_scores_what_is_stated(shared, tmp_path):
    """Every ninth validation image of CamVid; weights/README.md states the score of all."""
    root = shared / "data/CamVid"
    out = tmp_path / "out"
    command = ["eval", "--checkpoint", "streets", "--data", "camvid", "--data-root", str(root)]
    assert cli.main([*command, "--index", "0:9", "--ctx", "cpu", "-o", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["miou"] > 0.62 and results["pixel_accuracy"] > 0.9


@pytest.mark.skipif(not shipped.find("streets"), reason="weights/streets.params is not here")
def test_the_example_in_python(tmp_path):
    image = tmp_path / "street.jpg"
    shutil.copy(ROOT / "demo/street.jpg", image)
    command = [sys.executable, str(ROOT / "demo/segment.py"), str(image)]
    done = subprocess.run([*command, "road"], cwd=tmp_path, text=True, capture_output=True)
    assert "of the image, highest score" in done.stdout, done.stderr
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == cv2.imread(str(image)).shape
    done = subprocess.run([*command, "moon"], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 1 and "no class moon" in done.stderr
