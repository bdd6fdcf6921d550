import csv
import json
import zipfile

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mxnetseg import config, metrics
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import protocol as protocol_module
from mxnetseg.inference import results
from mxnetseg.inference.evaluator import evaluate, run
from mxnetseg.inference.protocol import Protocol
from mxnetseg.metrics import Accuracy, ConfusionMatrix

from ..tiny import Images, backend, normalise, tiny_net


def logits(net, sample):
    return net(mx.nd.array(normalise(sample.image)))[0][0].asnumpy()


def direct(net, sample):
    return logits(net, sample).argmax(axis=0).astype(np.uint8)


def test_scores_are_those_of_the_network(tmp_path):
    net, dataset = tiny_net(), Images()
    result = evaluate(backend(net), dataset, Protocol(), tmp_path)
    matrix = ConfusionMatrix(5)
    for sample in dataset.samples:
        matrix.update(direct(net, sample), sample.mask)
    for key, value in dict(
        miou=matrix.miou, pixel_accuracy=matrix.pixel_accuracy, mean_accuracy=matrix.mean_accuracy
    ).items():
        assert result[key] == pytest.approx(value, abs=1e-3)
    assert result["miou_over"] == "classes present in prediction or truth"
    assert [c["name"] for c in result["classes"]] == list(dataset.info.classes)
    assert result["images"] == 3 and result["seconds"] > 0
    assert Protocol(**result["protocol"]) == Protocol()


def test_files_of_an_evaluation(tmp_path):
    net, dataset = tiny_net(), Images()
    described = {"checkpoint": "x.params", "split": "val"}
    result = evaluate(
        backend(net), dataset, Protocol(), tmp_path / "new" / "run", described=described
    )
    folder = tmp_path / "new" / "run"
    assert sorted(p.name for p in folder.iterdir()) == ["per_image.csv", "results.json"]
    assert json.loads((folder / "results.json").read_text()) == result
    assert result["checkpoint"] == "x.params" and result["dataset"] == "tiny"
    assert result["classes"][4]["accuracy"] is None  # the masks have no class 4
    with open(folder / "per_image.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["image"] for r in rows] == dataset.names
    matrix = ConfusionMatrix(5)
    matrix.update(direct(net, dataset[1]), dataset[1].mask)
    assert float(rows[1]["miou"]) == pytest.approx(matrix.miou, abs=2e-3)
    assert int(rows[1]["labelled_pixels"]) == 42 * 37
    text = results.table(result)
    assert "class 4" in text and f"mIoU {result['miou']:.4f}" in text


def test_all_metrics_in_one_pass(tmp_path):
    dataset, net = Images(), tiny_net()
    chosen = metrics.create(["boundary_iou", "boundary_f", "calibration", "bootstrap"], dataset)
    result = run(backend(net), dataset, Protocol(), chosen, tmp_path)
    text = (tmp_path / "results.json").read_text()
    assert json.loads(text) == result
    assert '"confusion": [\n    [' in text and text.count("\n") < 400  # a row of numbers is a line
    assert set(result["classes"][0]) >= {"iou", "dice", "boundary_iou", "boundary_f"}
    confidence = [mx.nd.softmax(mx.nd.array(logits(net, s)), axis=0).asnumpy().max(axis=0)
                  for s in dataset.samples]  # fmt: skip
    wanted = np.mean(np.concatenate([c[s.mask != 255] for c, s in zip(confidence, dataset)]))
    bins = [b for b in result["reliability"] if b["pixels"]]
    pixels = sum(b["pixels"] for b in bins)
    assert pixels == sum((s.mask != 255).sum() for s in dataset.samples)
    found = sum(b["confidence"] * b["pixels"] for b in bins) / pixels
    assert found == pytest.approx(wanted, abs=1e-4)
    text = results.table(result)
    for words in ("boundary mIoU", "boundary F", "expected calibration error", "mIoU is"):
        assert words in text


def test_predictions_and_submission(tmp_path):
    net, dataset = tiny_net(), Images(masks=False)
    run(backend(net), dataset, Protocol(), (), tmp_path, predictions=True, submission=True)
    for sample in dataset.samples:
        name = sample.name.replace(".jpg", ".png")
        classes = direct(net, sample)
        labels = cv2.imread(str(tmp_path / "labels" / name), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint8 and (labels == classes).mean() > 0.999
        with Image.open(tmp_path / "color" / name) as picture:
            assert picture.mode == "P" and (np.array(picture) == labels).all()
            colors = np.array(picture.convert("RGB"))
        assert (colors == dataset.info.palette[labels]).all()
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["a.b_0.png", "a.b_1.png", "a.b_2.png"]
        raw = cv2.imdecode(np.frombuffer(archive.read("a.b_1.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    labels = cv2.imread(str(tmp_path / "labels/town/a.b_1.png"), cv2.IMREAD_UNCHANGED)
    assert raw.dtype == np.uint8 and raw.shape == (45, 37) and (raw == labels + 7).all()
    assert not (tmp_path / "results.json").exists()
    assert not list(tmp_path.rglob(".*"))


def test_nothing_half_written_remains(tmp_path):
    net, dataset = tiny_net(), Images()
    bad = dataset.samples[2]
    dataset.samples[2] = bad._replace(mask=np.full_like(bad.mask, 77))
    with pytest.raises(MXNetSegError, match="a.b_2.jpg: The mask holds 77"):
        run(backend(net), dataset, Protocol(), [Accuracy(dataset.info)], tmp_path, submission=True)
    assert list(tmp_path.iterdir()) == []


def test_names_twice_in_a_submission_are_refused(tmp_path):
    dataset = Images(sizes=((16, 16), (16, 16)), masks=False)
    dataset.samples[1] = dataset.samples[0]._replace(name="city/a.b_0.jpg")
    with pytest.raises(MXNetSegError, match=r"called a\.b_0\.png"):
        run(backend(), dataset, Protocol(), (), tmp_path, submission=True)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_of_another_size_is_never_resized():
    dataset = Images(sizes=((32, 48),))
    mask = np.random.default_rng(0).integers(0, 4, (50, 31)).astype(np.uint8)
    dataset.samples[0] = dataset.samples[0]._replace(mask=mask)
    for protocol in (Protocol(), Protocol(scales=(0.75, 1), flip=True)):
        result = evaluate(backend(), dataset, protocol)
        assert 0 < result["pixel_accuracy"] < 1
        accuracies = [c["accuracy"] for c in result["classes"]][:4]
        counts = np.bincount(mask.ravel(), minlength=4)
        assert np.dot(accuracies, counts) / mask.size == pytest.approx(result["pixel_accuracy"])


def test_several_devices_give_the_same_scores():
    dataset = Images(sizes=((32, 48), (45, 37), (29, 61), (30, 30), (31, 33)))
    contexts = [mx.cpu(0), mx.cpu(1)]
    protocol = Protocol(scales=(0.75, 1), flip=True)
    one = evaluate(backend(), dataset, protocol)
    two = evaluate(backend(tiny_net(contexts=contexts), contexts), dataset, protocol)
    assert one["classes"] == two["classes"]


def test_what_cannot_be_scored(tmp_path):
    net = tiny_net()
    dataset = Images(masks=False)
    with pytest.raises(MXNetSegError, match="has no mask"):
        evaluate(backend(net), dataset, Protocol())
    dataset.has_masks = False
    with pytest.raises(MXNetSegError, match="split 'val' of tiny has no masks"):
        evaluate(backend(net), dataset, Protocol())
    with pytest.raises(UsageError, match="5 classes, but tiny has 4"):
        evaluate(backend(net), Images(num_classes=4), Protocol())
    with pytest.raises(MXNetSegError, match="no images"):
        evaluate(backend(net), Images(sizes=()), Protocol())
    with pytest.raises(UsageError, match="need a folder"):
        run(backend(net), Images(), Protocol(), predictions=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(MXNetSegError, match="cannot be written"):
        evaluate(backend(net), Images(), Protocol(), tmp_path / "file" / "out")
    dataset = Images(sizes=((16, 16),))
    dataset[0].mask[:] = 255
    with pytest.raises(MXNetSegError, match="nothing to score"):
        evaluate(backend(net), dataset, Protocol())


def test_an_error_while_reading_names_the_file():
    class Broken(Images):
        def __getitem__(self, index):
            if index == 1:
                raise MXNetSegError("a.b_1.jpg is truncated.")
            return super().__getitem__(index)

    with pytest.raises(MXNetSegError, match="a.b_1.jpg is truncated"):
        evaluate(backend(), Broken(), Protocol())


def test_protocol_of_an_experiment():
    experiment = config.build({"eval.mode": "slide", "train.crop_size": 64, "eval.flip": True})
    protocol = Protocol.from_config(experiment)
    assert protocol == Protocol(mode="slide", crop_size=(64, 64), flip=True)


def test_protocol_of_a_checkpoint_and_wishes():
    saved = {"protocol": Protocol(merge="exp").as_dict()}
    assert Protocol.build({}) == Protocol()
    assert Protocol.build(saved) == Protocol(merge="exp")
    many = Protocol.build(saved, (0.5, 1.0))
    assert many.scales == (0.5, 1.0) and many.flip and many.merge == "exp"
    assert Protocol.build(saved, (0.5, 1.0), scales=[1, 2]).scales == (1, 2)
    assert len(Protocol.build(saved, ()).scales) == 6
    assert Protocol.build(saved, crop_size=(8, 9)).mode == "slide"
    saved["experiment"] = {"train": {"crop_size": [30, 60]}}
    assert Protocol.build(saved, mode="slide").crop_size == (30, 60)


def test_sliding_needs_a_crop():
    with pytest.raises(UsageError, match="crop_size"):
        evaluate(backend(), Images(), Protocol(mode="slide"))


def test_huge_images_go_in_two_halves(monkeypatch):
    monkeypatch.setattr(protocol_module, "WHOLE_PIXELS", 1000)
    for height, width in ((20, 90), (90, 20), (40, 40), (1, 2001)):
        rows, columns, size, _ = Protocol().plan(height, width)
        assert len(rows) * len(columns) == 2
        for ranges, length, part in ((rows, height, size[0]), (columns, width, size[1])):
            covered = np.zeros(length, int)
            for start, stop in ranges:
                covered[start:stop] += 1
                assert stop - start == part
            assert covered.min() >= 1
    assert Protocol().plan(10, 90)[2] == (10, 90)
