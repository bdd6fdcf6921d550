"""PyTorch's files without PyTorch: two that PyTorch 2.13 wrote, and some that are malicious.

``python -m tests.convert.test_torchfile`` writes the two anew, with PyTorch.
"""

import argparse
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mxnetseg.convert import files, torchfile
from mxnetseg.errors import MXNetSegError

HERE = Path(__file__).parent / "torchfiles"
GRID = np.arange(24, dtype=np.float32).reshape(4, 6) / 8
EXPECTED = {
    "plain": GRID,
    "transposed": GRID.T,
    "strided": GRID[1:, 1::2],
    "shared": GRID[2],
    "expanded": np.broadcast_to(GRID[:1], (3, 6)),
    "parameter": GRID,
    "half": GRID.astype(np.float16),
    "bfloat16": GRID,  # all of these numbers have few digits
    "double": GRID.astype(np.float64),
    "counter": np.array(7),
    "bytes": np.arange(5, dtype=np.uint8),
    "bools": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}


def snapshot():
    """What ``zip.pt`` and ``legacy.pt`` hold."""
    import torch

    grid = torch.from_numpy(GRID.copy())
    state = {
        "plain": grid,
        "transposed": grid.t(),
        "strided": grid[1:, 1::2],
        "shared": grid[2],
        "expanded": grid[:1].expand(3, 6),
        "parameter": torch.nn.Parameter(grid),
        "half": grid.half(),
        "bfloat16": grid.bfloat16(),
        "double": grid.double(),
        "counter": torch.tensor(7),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "bools": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }
    options = argparse.Namespace(lr=0.01, device=torch.device("cpu"))
    return {"state_dict": state, "options": options, "score": np.float64(0.5), "epoch": 3}


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_arrays_are_those_that_pytorch_saved(form, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # cannot be imported
    content = torchfile.read(HERE / f"{form}.pt")
    assert content["epoch"] == 3
    assert content["options"].origin == "argparse.Namespace"  # not made, for all its harmlessness
    weights = files.read(HERE / f"{form}.pt")
    assert weights.key == "state_dict" and list(weights.state) == list(EXPECTED)
    for name, value in EXPECTED.items():
        np.testing.assert_array_equal(weights.state[name], value, err_msg=name)
        assert weights.state[name].dtype == value.dtype


def test_the_two_files_are_what_pytorch_writes_today(tmp_path):
    torch = pytest.importorskip("torch")
    for form in ("zip", "legacy"):
        content = {
            **snapshot(),
            "network": torch.nn.Linear(2, 3),
            "sparse": torch.eye(2).to_sparse(),
        }
        torch.save(content, str(tmp_path / "x.pt"), _use_new_zipfile_serialization=form == "zip")
        state = files.read(tmp_path / "x.pt").state
        for name, value in EXPECTED.items():
            np.testing.assert_array_equal(state[name], value, err_msg=name)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_files_cut_short_are_refused(form, tmp_path):
    whole = (HERE / f"{form}.pt").read_bytes()
    for length in range(len(torchfile.LEGACY), len(whole), 97):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(MXNetSegError, match="truncated or damaged"):
            files.read(tmp_path / "cut.pt")


# --- a pickle by hand ----------------------------------------------------------------------------


def short(number):
    return b"J" + number.to_bytes(4, "little", signed=True)


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def numbers(values):
    return b"(" + b"".join(short(v) for v in values) + b"t"


def tensor(offset, size, stride, count):
    """The opcodes of a tensor over storage "0" of ``count`` numbers."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    arguments = b"(" + storage + short(count) + b"tQ" + short(offset)
    arguments += numbers(size) + numbers(stride) + b"\x89Nt"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def write(path, value, storage=b""):
    """A zip file of PyTorch with the mapping {"a": value}."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}" + text("a") + value + b"s.")
        archive.writestr("x/data/0", storage)


def test_a_tensor_stays_within_its_storage(tmp_path):
    storage = np.arange(6, dtype=np.float32).tobytes()
    file = tmp_path / "x.pt"
    write(file, tensor(1, (2, 2), (2, 1), 6), storage)
    np.testing.assert_array_equal(files.read(file).state["a"], [[1, 2], [3, 4]])
    for offset, size, stride, count in (
        (0, (2, 4), (4, 1), 6),  # 8 of 6 numbers
        (5, (2,), (1,), 6),
        (-1, (2,), (1,), 6),
        (0, (2,), (-3,), 6),
        (0, (2,), (1 << 30,), 6),
        (0, (6,), (1,), 7),  # 6 of 7 are there
        (0, (-1,), (1,), 6),
    ):
        write(file, tensor(offset, size, stride, count), storage)
        with pytest.raises(MXNetSegError, match="truncated or damaged"):
            files.read(file)


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cos\nmkdir\n(" + text("TRAP") + b"tR",  # a call
        b"(" + text("TRAP") + b"ios\nmkdir\n",  # the same in one opcode
        b"cos\nmkdir\n(" + text("TRAP") + b"t\x81",  # a new object
        b"cbuiltins\nexec\n(" + text("import os; os.mkdir('TRAP')") + b"tR",
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n" + text("x") + b"tR(" + text("TRAP") + b"tR",
        b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nmkdir\n" + short(0) + b"((tR",
        b"cos\nmkdir\n)R}" + text("mode") + short(1) + b"sb",  # filled with a state
    ],
)
def test_no_function_is_called(opcodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pt", opcodes)
    with pytest.raises(MXNetSegError):
        files.read(tmp_path / "x.pt")
    assert os.listdir(str(tmp_path)) == ["x.pt"]


def test_nothing_is_imported(tmp_path):
    sys.modules.pop("antigravity", None)  # opens a browser
    write(tmp_path / "x.pt", b"cantigravity\nfly\n)R")
    with pytest.raises(MXNetSegError, match=r"'a' is a antigravity\.fly"):
        files.read(tmp_path / "x.pt")
    assert "antigravity" not in sys.modules


def test_a_pickle_cannot_change_the_reader(tmp_path):
    """Attributes may be set on what a pickle names; here that is nothing of ours."""
    change = b"N}" + text("__defaults__") + b")s\x86b"  # BUILD with (None, {"__defaults__": ()})
    for target in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n"):
        write(tmp_path / "x.pt", target + change)
        with pytest.raises(MXNetSegError):
            files.read(tmp_path / "x.pt")
    assert torchfile._Unpickler._tensor.__defaults__ is None
    assert not hasattr(torchfile.Foreign, "__defaults__")
    state = files.read(HERE / "zip.pt").state
    np.testing.assert_array_equal(state["strided"], EXPECTED["strided"])


def test_a_snapshots_other_objects_do_not_matter(tmp_path):
    values = np.arange(6, dtype=np.float32)
    content = b"\x80\x02}" + text("model") + b"}" + text("a") + tensor(0, (6,), (1,), 6) + b"ss"
    extra = pickle.dumps({"options": argparse.Namespace(lr=1), "seen": {1, 2}}, 2)[2:-1]
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", content + text("more") + extra + b"s.")
        archive.writestr("x/data/0", values.tobytes())
    weights = files.read(tmp_path / "x.pt")
    assert weights.key == "model"
    np.testing.assert_array_equal(weights.state["a"], values)


if __name__ == "__main__":
    import torch

    HERE.mkdir(exist_ok=True)
    torch.save(snapshot(), str(HERE / "zip.pt"))
    torch.save(snapshot(), str(HERE / "legacy.pt"), _use_new_zipfile_serialization=False)
