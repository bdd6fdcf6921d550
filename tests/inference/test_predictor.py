import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference.predictor import Predictor, Source, as_rgb, find_images, predict_files
from mxnetseg.inference.protocol import Protocol

from ..tiny import Images, backend, image, tiny_net

INFO = Images().info


def predictor_of(net=None, contexts=None, protocol=None):
    return Predictor(backend(net, contexts), INFO, protocol)


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "pictures"
    (pictures / "sub").mkdir(parents=True)
    for name, size in (("a.png", (32, 40)), ("b.x.jpg", (33, 17)), ("sub/a.png", (20, 21))):
        cv2.imwrite(str(pictures / name), image(*size)[..., ::-1])
    (pictures / "notes.txt").write_text("no image")
    return pictures


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_images_of_all_modes():
    predictor = predictor_of()
    pixels = image(30, 41)
    wanted = predictor.predict(pixels)
    assert wanted.shape == (30, 41) and wanted.dtype == np.uint8
    rgba = np.dstack([pixels, np.full((30, 41), 9, np.uint8)])
    deep = pixels.astype(np.uint16) * 257
    for same in (rgba, deep):
        assert (predictor.predict(same) == wanted).all()
    grey = pixels[..., 0]
    assert (predictor.predict(grey) == predictor.predict(np.dstack([grey] * 3))).all()
    assert (predictor.predict(grey[..., None]) == predictor.predict(grey)).all()
    assert predictor.picture(grey, wanted).shape[0] > 30
    for wrong in (pixels / 255.0, pixels[..., :2], np.zeros((0, 5, 3), np.uint8), pixels[None]):
        with pytest.raises(UsageError, match="An image is uint8"):
            as_rgb(wrong)


def test_the_protocol_is_used():
    net, pixels = tiny_net(), image(40, 50)
    once = predictor_of(net).predict(pixels)
    many = predictor_of(net, protocol=Protocol(scales=(0.5, 1), flip=True)).predict(pixels)
    assert once.shape == many.shape and (once != many).any()


def test_a_folder(folder, tmp_path):
    net, out = tiny_net(), tmp_path / "out"
    sources = find_images([folder])
    assert [s.name for s in sources] == ["a.png", "b.x.jpg", "sub/a.png"]
    assert predict_files(predictor_of(net), sources, out) == []
    predictor = predictor_of(net)
    for name in ("a.png", "b.x.png", "sub/a.png"):
        source = folder / name.replace("b.x.png", "b.x.jpg")
        labels = read(out / "labels" / name)
        assert (labels == predictor.predict(read(source)[..., ::-1])).all()
        with Image.open(out / "color" / name) as color:
            assert (np.array(color) == labels).all()
        assert read(out / "overlay" / name).shape[0] > labels.shape[0]
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert len(written) == 9 and not [w for w in written if "/." in w]


def test_bad_files_are_named_and_the_others_go_on(folder, tmp_path):
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "fake.jpg").write_text("not an image")
    failures = predict_files(predictor_of(), find_images([folder]), tmp_path / "out")
    assert len(failures) == 2
    assert "a.png is truncated" in failures[0] and "fake.jpg is not an image" in failures[1]
    names = sorted(p.name for p in (tmp_path / "out" / "labels").rglob("*.png"))
    assert names == ["a.png", "b.x.png"]


def test_an_image_that_the_network_cannot_take_is_named(folder, tmp_path):
    net = tiny_net()
    net.fixed_size = (36, 48)
    cv2.imwrite(str(folder / "large.png"), image(60, 60))
    failures = predict_files(predictor_of(net), find_images([folder]), tmp_path / "out")
    assert len(failures) == 1 and "large.png: TinyNet takes inputs of 36x48" in failures[0]


def test_several_devices(folder, tmp_path):
    contexts = [mx.cpu(0), mx.cpu(1)]
    sources = find_images([folder])
    predict_files(predictor_of(), sources, tmp_path / "one")
    two = predictor_of(tiny_net(contexts=contexts), contexts)
    predict_files(two, sources, tmp_path / "two")
    for path in (tmp_path / "one" / "labels").rglob("*.png"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert (read(path) == read(other)).all()


def test_finding_images(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_images(["a.png"]) == [Source("a.png", "a.png")]
    assert [s.name for s in find_images(["*.png", "a.png"])] == ["a.png"]
    # two files of one name keep their folders
    assert [s.name for s in find_images(["**/*.png"])] == ["a.png", "sub/a.png"]
    assert [s.name for s in find_images(["sub"])] == ["a.png"]
    with pytest.raises(UsageError, match="missing.png does not exist"):
        find_images(["missing.png"])
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match="has no images"):
        find_images(["empty"])


def test_names_that_differ_in_the_ending_only(tmp_path):
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), image(16, 16))
    sources = find_images([tmp_path])
    predict_files(predictor_of(), sources, tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out" / "labels").iterdir())
    assert names == ["a.png", "a.png.png"]


def test_a_folder_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MXNetSegError, match="is a file; name a folder"):
        predict_files(predictor_of(), find_images([folder]), tmp_path / "file")
