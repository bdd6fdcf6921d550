"""The programs of docs/deploy.md segment an image, and as our predictor does."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from mxnetseg.deploy import forms
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.merge import segment
from mxnetseg.inference.protocol import Protocol

from ..settled import settled
from ..tiny import MEAN, STD, description, image

pytest.importorskip("onnx", reason="needs pip install onnx")
pytest.importorskip("onnxruntime", reason="needs pip install onnxruntime")
PAGE = (Path(__file__).parents[2] / "docs/deploy.md").read_text(encoding="utf-8")
HEIGHT, WIDTH = 50, 75


def program(language):
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    return code


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """A folder with net.onnx, photo.jpg (without losses: a PNG) and photo.ppm; the right map."""
    monkeypatch.chdir(tmp_path)
    net, pixels = settled("eprnet", 5), image(HEIGHT, WIDTH)
    model = forms.build(net, description(5), "classes", channels_last=False)
    Path("net.onnx").write_bytes(model.SerializeToString())
    for ending in (".png", ".ppm"):
        cv2.imwrite(f"photo{ending}", pixels[..., ::-1])
    os.rename("photo.png", "photo.jpg")
    return segment(MXNetBackend(net, [mx.cpu()], MEAN, STD), pixels, Protocol())


def test_python(wanted, capsys):
    exec(program("python"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].startswith("class 0")
    colors = cv2.imread("classes.png")[..., ::-1]
    assert (colors == description(5).palette[wanted]).all(axis=2).mean() >= 0.999


@pytest.mark.slow
def test_node(wanted):
    node = shutil.which("node")
    if not node or subprocess.run([node, "-e", "require('onnxruntime-node')"]).returncode:
        pytest.skip("needs Node.js and npm install onnxruntime-node (NODE_PATH says where)")
    Path("segment.js").write_text(program("js"))
    subprocess.run([node, "segment.js", "net.onnx", "photo.ppm", "classes.pgm"], check=True)
    found = cv2.imread("classes.pgm", cv2.IMREAD_UNCHANGED)
    assert (found == wanted).mean() >= 0.999


@pytest.mark.slow
def test_cpp(wanted):
    openvino = pytest.importorskip("openvino", reason="needs pip install openvino")
    home = os.path.dirname(openvino.__file__)
    if not shutil.which("g++") or not os.path.isdir(f"{home}/include"):
        pytest.skip("needs g++ and the headers in OpenVINO's package")
    (build,) = re.findall(r"^g\+\+ .*$", PAGE, re.M)
    Path("segment.cpp").write_text(program("cpp"))
    subprocess.run(["bash", "-c", build], check=True, env={**os.environ, "home": home})
    subprocess.run(["./segment", "net.onnx", "photo.ppm", "classes.pgm"], check=True)
    found = cv2.imread("classes.pgm", cv2.IMREAD_UNCHANGED)
    assert np.shape(found) == (HEIGHT, WIDTH) and (found == wanted).mean() >= 0.999
