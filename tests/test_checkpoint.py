"""Checkpoints: whole, atomic, and never a wrong model."""

import os
import struct

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import checkpoint, models, params
from mxnetseg.errors import MXNetSegError, UsageError

from .tiny import description

INFO = description(
    3, classes=("a", "b", "c"), palette=np.zeros((3, 3), np.uint8), mean=(0.5,) * 3,
    std=(0.2,) * 3, scales=(1.0,),
)  # fmt: skip


@pytest.fixture
def net():
    return models.create("bisenet", 3, backbone="xception39", aux=False)


@pytest.fixture
def file(net, tmp_path):
    path = tmp_path / "x.params"
    checkpoint.save(path, net, checkpoint.describe(net, INFO))
    return path


def test_round_trip(net, file):
    saved = checkpoint.read(file)
    assert saved.meta["classes"] == ["a", "b", "c"]
    again = checkpoint.network(saved)
    x = mx.nd.random.normal(shape=(1, 3, 40, 50))
    np.testing.assert_array_equal(net(x)[0].asnumpy(), again(x)[0].asnumpy())
    assert [p.name for p in file.parent.iterdir()] == ["x.params"]  # nothing left beside it


def test_gluon_reads_it(net, file):
    net.load_parameters(str(file), ignore_extra=True)


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9, -1])
def test_truncated(file, keep):
    content = file.read_bytes()
    size = int(len(content) * keep) if isinstance(keep, float) else keep
    file.write_bytes(content[:size])
    with pytest.raises(MXNetSegError, match="truncated|damaged"):
        checkpoint.read(file)


def test_damaged(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(MXNetSegError, match="damaged"):
        checkpoint.read(file)


def test_not_a_checkpoint(net, tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        checkpoint.read(tmp_path / "none.params")
    plain = tmp_path / "plain.params"
    net.save_parameters(str(plain))
    with pytest.raises(UsageError, match="does not say of which network"):
        checkpoint.read(plain)
    text = tmp_path / "text.params"
    text.write_text("no parameters at all, but long enough to look at")
    with pytest.raises(MXNetSegError, match="truncated, or no MXNet"):
        checkpoint.read(text)


def test_another_class_count_and_another_network_are_refused(file):
    saved = checkpoint.read(file)
    with pytest.raises(UsageError, match="of another shape.*head.seg.conv2.weight"):
        checkpoint.load_parameters(
            models.create("bisenet", 4, backbone="xception39", aux=False), saved.parameters
        )
    with pytest.raises(UsageError, match="does not fit"):
        checkpoint.load_parameters(models.create("fcn", 3, backbone="resnet18"), saved.parameters)


def test_the_old_one_survives_a_failure(net, file, monkeypatch):
    before = file.read_bytes()

    def half(path, arrays):
        with open(path, "wb") as out:
            out.write(before[: len(before) // 2])  # what a full disk leaves behind

    monkeypatch.setattr(mx.nd, "save", half)
    with pytest.raises(MXNetSegError, match="cannot be written"):
        checkpoint.save(file, net, checkpoint.describe(net, INFO))
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == ["x.params"]


def test_an_unwritable_folder(net, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MXNetSegError, match="cannot be written"):
        checkpoint.save(tmp_path / "file" / "x.params", net, checkpoint.describe(net, INFO))


def test_every_change_shows(file):
    """Also in what the file says of itself: names, classes, normalisation."""
    content = file.read_bytes()
    meta = content.index(b'"classes"')
    for place in (9, 30, meta + 14, len(content) - 8, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        file.write_bytes(bytes(damaged))
        with pytest.raises(MXNetSegError, match="damaged|truncated"):
            checkpoint.read(file)
    for size in (1, 4, 12, 13):  # the seal is cut off
        file.write_bytes(content[:-size])
        with pytest.raises(MXNetSegError, match="damaged|truncated"):
            checkpoint.read(file)


def test_files_of_before_the_seal_are_read(file, net, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    monkeypatch.setattr(checkpoint.params, "seal", lambda path: None)
    old = tmp_path / "old.params"
    checkpoint.save(old, net, checkpoint.describe(net, INFO))
    assert len(old.read_bytes()) == len(file.read_bytes()) - 12
    assert checkpoint.read(old).meta["classes"] == ["a", "b", "c"]


def test_lengths_that_leave_the_file(net, tmp_path):
    """MXNet itself would ask for the memory, or end the process."""
    path = tmp_path / "x.params"
    mx.nd.save(str(path), {"a": mx.nd.ones((2, 3))})
    content = path.read_bytes()
    assert params.load(path)["a"].shape == (2, 3)
    for place, number in (
        (16, 2**40),
        (36, 2**40),
        (24, 7),
        (44, 2**62),
        (len(content) - 9, 2**60),
    ):
        path.write_bytes(content[:place] + struct.pack("<Q", number) + content[place + 8 :])
        with pytest.raises(MXNetSegError, match="truncated, or no MXNet"):
            params.load(path)
