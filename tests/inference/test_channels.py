"""Images with other than three channels, scored."""

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mxnetseg import checkpoint, config, data, models
from mxnetseg.cli import main
from mxnetseg.errors import UsageError
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.merge import segment
from mxnetseg.inference.predictor import Predictor
from mxnetseg.inference.protocol import Protocol
from mxnetseg.training import trainer


@pytest.mark.parametrize("channels, dtype", [(1, np.uint8), (4, np.float32), (5, np.uint8)])
@pytest.mark.parametrize("mode", [{}, {"mode": "slide", "crop_size": (32, 32), "flip": True}])
def test_segment(channels, dtype, mode):
    mx.random.seed(0)
    net = models.create("fcn", 3, "resnet18", in_channels=channels)
    inference = MXNetBackend(net, [mx.cpu()], [0.4] * channels, [0.2] * channels, fuse=False)
    image = np.random.default_rng(0).uniform(0, 255, (48, 64, channels)).astype(dtype)
    protocol = Protocol(scales=(0.75, 1.0), **mode)
    classes = segment(inference, image, protocol)
    assert classes.shape == (48, 64) and classes.max() < 3


def test_train_on_images_with_six_channels_of_16_bits(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    for split, count in (("train", 4), ("val", 2)):
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 65536, (64, 96, 6)).astype(np.uint16)
            np.save(str(root / "images" / split / f"{i}.npy"), image)
            np.save(str(root / "masks" / split / f"{i}.npy"), rng.integers(0, 3, (64, 96)))
    (root / "classes.yaml").write_text("classes: [a, b, c]\nchannels: 6\n")
    settings = {"data.name": str(root), "model.name": "fcn", "model.backbone": "resnet18"}
    settings.update({"train.epochs": 1, "train.batch_size": 2, "train.crop_size": [48, 64]})
    trainer.train(config.build(settings), [mx.cpu()], tmp_path / "out")
    saved = checkpoint.read(tmp_path / "out/last.params")
    assert saved.meta["network"]["in_channels"] == 6 and len(saved.meta["mean"]) == 6
    assert checkpoint.network(saved).in_channels == 6


@pytest.fixture(scope="module", params=[".npy", ".tif"])
def four(request, tmp_path_factory):
    """A folder of images with four channels of 16 bits, and a checkpoint trained on them."""
    root, rng = tmp_path_factory.mktemp("four"), np.random.default_rng(0)
    for split in ("train", "val"):
        for i in range(2):
            image = rng.integers(0, 4096, (64, 96, 4)).astype(np.uint16)
            path = root / f"images/{split}/{i}{request.param}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if request.param == ".npy":
                np.save(str(path), image)
            else:
                cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
            mask = root / f"masks/{split}/{i}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((image[..., 3] // 1366).astype(np.uint8)).save(str(mask))
    (root / "classes.yaml").write_text(
        "classes: [a, b, c]\nchannels: 4\nmax_value: 4095\n"
        "mean: [0.5, 0.5, 0.5, 0.4]\nstd: [0.3, 0.3, 0.3, 0.2]\n"
    )
    settings = {"data.name": str(root), "model.name": "fcn", "model.backbone": "resnet18"}
    settings.update({"train.epochs": 1, "train.batch_size": 2, "train.crop_size": 64})
    trainer.train(config.build(settings), [mx.cpu()], root / "out")
    return root, root / "out/last.params", request.param


def test_train_eval_and_predict_with_four_channels(four, tmp_path, capsys):
    root, path, ending = four
    with_path = ["--checkpoint", str(path), "--ctx", "cpu"]
    assert main(["eval", *with_path, "--mode", "testval", "--out", str(tmp_path / "eval")]) == 0
    images = str(root / "images/val")
    assert main(["predict", images, *with_path, "--out", str(tmp_path / "predict")]) == 0, (
        capsys.readouterr().err
    )
    for i in range(2):
        evaluated = Image.open(tmp_path / f"eval/labels/images/val/{i}.png")
        predicted = Image.open(tmp_path / f"predict/labels/{i}.png")
        assert np.array_equal(evaluated, predicted)
        assert Image.open(tmp_path / f"predict/overlay/{i}.png").mode == "RGB"
    Image.new("RGB", (96, 64)).save(str(tmp_path / "photo.png"))
    assert main(["predict", str(tmp_path / "photo.png"), *with_path, "--out", str(tmp_path)]) == 1
    assert "64 x 96 x 3, not H x W x 4" in capsys.readouterr().err


def test_predictor_takes_arrays_as_in_the_files(four):
    root, path, _ = four
    saved = checkpoint.read(path)
    about = saved.description
    predictor = Predictor(
        MXNetBackend(checkpoint.network(saved), [mx.cpu()], about.mean, about.std), about
    )
    sample = data.create(root, "val")[0]
    raw = np.rint(sample.image / 255 * 4095).astype(np.uint16)
    classes = predictor.predict(raw)
    assert np.array_equal(classes, predictor.classify(sample.image))
    assert predictor.picture(raw, classes).dtype == np.uint8
    with pytest.raises(UsageError, match="64 x 96 x 3, not H x W x 4"):
        predictor.predict(raw[..., :3])
