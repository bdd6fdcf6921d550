"""MATLAB's files: the values that SciPy reads, without SciPy."""

import io

import numpy as np
import pytest

from mxnetseg.data import matlab

scipy_io = pytest.importorskip("scipy.io")
sparse = pytest.importorskip("scipy.sparse")

CONTENT = {
    "double": np.arange(12.0).reshape(3, 4),
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "half": np.array([[-3, 500]], np.int16),
    "yes": True,
    "none": np.zeros((0, 0)),
    "text": "some text",
    "rows": np.array(["ab", "cd"]),
    "names": np.array(["a", "wörter"], object),
    "GTcls": {"Segmentation": np.eye(5, dtype=np.uint8), "list": [{"q": 1}, {"q": 2}]},
    "sparse": sparse.eye(4).tocsc(),
    "complex": 3 + 2j,
}


def written(**options):
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, CONTENT, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_values(compressed):
    content = written(do_compression=compressed)
    found, wanted = matlab.read(content), scipy_io.loadmat(io.BytesIO(content))
    assert list(found) == list(CONTENT)
    for name in ("double", "bytes", "half", "yes", "none"):
        assert np.array_equal(found[name], wanted[name]) and found[name].ndim == wanted[name].ndim
    assert found["text"] == "some text" and found["rows"].tolist() == ["ab", "cd"]
    assert found["names"].tolist() == [["a", "wörter"]]
    structure = found["GTcls"].item()
    assert (
        np.array_equal(structure.Segmentation, np.eye(5)) and structure.Segmentation.dtype == "u1"
    )
    assert [entry.item().q.item() for entry in structure.list.ravel()] == [1, 2]
    assert found["sparse"] is None and found["complex"] is None


@pytest.mark.parametrize("compressed", [False, True])
def test_damage(compressed):
    """Every cut, and every byte of zeros, is either refused or harmless."""
    content = written(do_compression=compressed)
    refused = 0
    for place in range(128, len(content), 7):
        for damaged in (content[:place], content[:place] + bytes(24) + content[place + 24 :]):
            try:
                matlab.read(damaged)
            except matlab.Damaged:
                refused += 1
    assert refused > len(content) / 14
    with pytest.raises(matlab.Damaged, match="no header"):
        matlab.read(b"no such file")
