"""Path counts against copies that are added one by one, and the sizes that SANet's tools have."""

import numpy as np
import pytest

from mxnetseg import cli, models
from mxnetseg.errors import UsageError
from mxnetseg.inspection import fields, paths

STEM_TO_LAYER3 = [f"3s{s}" for s in (2, 2, 1, 1, 2, 1, 1, 1)]
TO_LAYER6 = [*STEM_TO_LAYER3, *(f"3s{s}" for s in (2, 1, 2, 1, 2, 1))]
TRUNK_OF_S = [  # stem, layer1 to 3, layer4, layer5, layer6
    f"3s{s}" for s in (2, 2, *(1, 1, 1, 1), *(2, 1, 1, 1), *(1, 1, 1, 1), *(2, 1, 1, 1) * 2, 2)
]


def side(words):
    last = paths.count(paths.parse(words))[-1]
    assert len(last.rows) == len(last.columns)
    return len(last.rows), last.jump[0]


def test_sides_of_the_original_tool():
    assert side(STEM_TO_LAYER3) == (79, 8)
    assert side(TO_LAYER6) == (415, 64)
    sides = [side([*STEM_TO_LAYER3, *["3", "3d2", "3d5", "3d7", "3d13"][:k]]) for k in range(1, 6)]
    assert sides == [(n, 8) for n in (95, 127, 207, 319, 527)]
    assert side([*TO_LAYER6, "5s2", "9s4", "17s8"])[0] == 9887


def slowly(words):
    """The map as SANet's tool makes it: shifted copies in two dimensions."""
    total, jump = np.ones((1, 1), np.int64), 1
    for window in paths.parse(words):
        (rows, columns), dilation = window.kernel, window.dilation[0] * jump
        grown = [n + (k - 1) * dilation for n, k in zip(total.shape, (rows, columns))]
        new = np.zeros(grown, np.int64)
        for y in range(rows):
            for x in range(columns):
                top, left = y * dilation, x * dilation
                new[top : top + total.shape[0], left : left + total.shape[1]] += total
        total, jump = new, jump * int(window.stride[0])
    return total


@pytest.mark.parametrize("words", ["3s2 3s2 3 3d3", "1x5 3s2 5x1 2", "3 3d4"])
def test_counts_and_colors_one_by_one(words):
    words = words.split()
    slow, found = slowly(words), paths.count(paths.parse(words))[-1]
    assert (np.outer(found.rows, found.columns) == slow).all()
    distinct = np.unique(slow[slow > 0])
    colors = paths._colored(paths._logs(found, 10**6), "rank")
    for value, color in zip(slow.ravel(), colors.reshape(-1, 3)):
        rank = 0 if value == 0 else np.searchsorted(distinct, value) + 1
        index = 1150 * rank // len(distinct) if len(distinct) > 1 else 640 * (value > 0)
        assert tuple(color) == by_hand(index)


def by_hand(i):
    """The tool's colour of an index, RGB."""
    blue, green, red = (
        (i, 0, 0) if i < 256 else (255, i - 256, 0) if i < 512 else (768 - i, 256, 0) if i < 768
        else (0, 256, i - 768) if i < 1024 else (0, 0, 1280 - i)
    )  # fmt: skip
    return tuple(min(v, 255) for v in (red, green, blue))


def test_dilation_leaves_holes():
    solid, holes = (paths.count(paths.parse(w.split()))[-1] for w in ("3 3", "3d4"))
    assert "holes" not in paths.title(solid)
    assert "89 % holes" in paths.title(holes)  # 9 of 81 pixels


def test_the_way_through_sanet():
    """The trunk alone sees 559 pixels; the way through the dilated branch sees more."""
    assert side(TRUNK_OF_S) == (559, 64)
    net = models.create("sanet_s", 19, initialize=False)
    found = paths.count(paths.of_network(net, 512, 1024, "layer6"))
    names = [one.window.name for one in found]
    assert "dp2.conv.1.0" in names and "layer5.0.conv1" not in names
    # dp2 reads an enlarged map, whose two neighbours the table of fields counts as well
    row = fields.find(fields.table(net, 512, 1024), "layer6")
    assert (len(found[-1].rows), found[-1].jump) == (719, (64, 64))
    assert row.size == (723, 723)


def test_a_way_without_windows():
    net = models.create("sanet_s", 19, initialize=False)
    with pytest.raises(UsageError, match="Did you mean layer3"):
        paths.of_network(net, 256, 256, "layr3")
    pidnet = models.create("pidnet_s", 19, initialize=False)
    found = paths.of_network(pidnet, 512, 512, "final_layer:0")
    assert "network: enlarged 8 times" in [f"{w.name}: {w}" for w in found]
    net = models.create("fcn", 3, backbone="resnet18", initialize=False)
    names = [w.name for w in paths.of_network(net, 256, 256, "main")]
    assert names[:2] == ["backbone.conv1", "backbone.maxpool"]


def test_the_command(tmp_path, capsys):
    assert cli.main(["inspect", "paths", "--layers", "3s2", "3d4", "-o", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "001-3s2.png", "002-3d4.png", "overview.png",
    ]  # fmt: skip
    assert "19 x 19 pixels, jump 2, up to 1 path" in capsys.readouterr().out
    assert cli.main(["inspect", "paths", "--layers", "3q", "-o", str(tmp_path)]) == 2
    assert "1x5s2" in capsys.readouterr().err
