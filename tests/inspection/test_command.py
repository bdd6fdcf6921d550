"""`mxnetseg inspect`: a picture for each image, whatever is looked at."""

import json

import cv2
import pytest

from mxnetseg import checkpoint, cli, data, models

SIZE = (48, 80)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A folder with two images, and a checkpoint of a network with all kinds of outputs."""
    folder = tmp_path_factory.mktemp("street")
    scenes = data.create("synthetic", "val", size=SIZE, scenes=2)
    for k in range(2):
        (folder / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"images/{k}.png"), scenes[k].image[..., ::-1])
    net = models.create("pidnet_s", scenes.info.num_classes)
    checkpoint.save(folder / "net.params", net, checkpoint.describe(net, scenes.info))
    return folder


def inspect(street, out, what, *options):
    images = [] if what == "errors" else [str(street / "images")]
    network = ["--checkpoint", str(street / "net.params"), "-o", str(out)]
    return cli.main(["inspect", what, *images, *network, *options])


@pytest.mark.parametrize(
    "what, options, names",
    [
        ("segmentation", [], ["segmentation"]),
        ("segmentation", ["--output", "aux"], ["segmentation"]),
        ("boundary", [], ["boundary"]),
        ("boundary", ["--logits"], ["boundary"]),
        ("outputs", [], ["outputs"]),
        ("edges", [], ["edges"]),
        ("features", ["--layer", "layer2"], ["features-layer2"]),
        ("features", ["--layer", "boundary", "--channels", "0"], ["features-boundary"]),
        ("heatmap", ["--class", "car", "3", "--layer", "layer3"],
         ["heatmap-layer3-car", "heatmap-layer3-fence"]),
    ],
)  # fmt: skip
def test_a_picture_for_each_image(street, tmp_path, what, options, names):
    assert inspect(street, tmp_path, what, *options) == 0
    wanted = sorted(f"{k}-{name}.png" for k in range(2) for name in names)
    assert sorted(p.name for p in tmp_path.iterdir()) == wanted
    for path in tmp_path.iterdir():
        picture = cv2.imread(str(path))
        assert picture.shape[0] > SIZE[0] and picture.shape[1] > SIZE[1]
        assert picture.std() > 10


@pytest.mark.parametrize(
    "what, options, text",
    [
        ("features", [], "--layer"),
        ("features", ["--layer", "layr2"], "Did you mean layer2"),
        ("features", ["--layer", "layer2", "--channels", "9999"], "not 9999"),
        ("heatmap", ["--class", "cra"], "Did you mean car"),
        ("segmentation", ["--output", "boundary"], "inspect boundary"),
        ("segmentation", ["--output", "aux2"], "no output 'aux2'"),
        ("nothing", [], "nothing"),
    ],
)
def test_wrong_use_in_a_sentence(street, tmp_path, capsys, what, options, text):
    assert inspect(street, tmp_path, what, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("mxnetseg: ") and text in error


def test_an_unreadable_image_does_not_stop_the_others(street, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/broken.png").write_bytes(b"\x89PNG but not much more")
    good = (street / "images/0.png").read_bytes()
    (tmp_path / "images/good.png").write_bytes(good)
    command = ["inspect", "segmentation", str(tmp_path / "images"), "-o", str(tmp_path / "out")]
    assert cli.main([*command, "--checkpoint", str(street / "net.params")]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good-segmentation.png"]


DATA = ["--data", "synthetic", "--set", f"data.options={{size: {list(SIZE)}, scenes: 3}}"]


def test_errors_of_a_data_set(street, tmp_path, capsys):
    assert inspect(street, tmp_path, "errors", *DATA, "--count", "2") == 0
    out = capsys.readouterr().out
    assert "taken for" in out and "3 images (val)" in out
    found = json.loads((tmp_path / "errors.json").read_text())
    assert found["pixels"] == sum(c["pixels"] for c in found["classes"]) > 0
    pictures = sorted(p.name for p in tmp_path.rglob("*.png"))
    assert pictures == ["000000-errors.png", "000002-errors.png"]


def test_edges_of_masks(tmp_path):
    assert cli.main(["inspect", "edges", *DATA, "-o", str(tmp_path)]) == 0
    assert len(list(tmp_path.rglob("*-edges.png"))) == 3
    assert cli.main(["inspect", "edges", "-o", str(tmp_path)]) == 2


def test_receptive_field(street, tmp_path, capsys):
    command = ["inspect", "receptive-field"]
    assert cli.main([*command, "--network", "pidnet_s", "--size", "256", "--depth", "1"]) == 0
    assert "and everything" in capsys.readouterr().out
    network = ["--checkpoint", str(street / "net.params"), "-o", str(tmp_path)]
    layer = ["--layer", "layer2", "--size", "256", "--json"]
    assert cli.main([*command, str(street / "images"), *network, *layer]) == 0
    text = capsys.readouterr().out
    rows = json.loads(text[: text.rindex("]") + 1])
    assert [(r["name"], r["size"], r["stride"]) for r in rows] == [("layer2", [95, 95], [8, 8])]
    assert cv2.imread(str(tmp_path / "receptive-field-layer2.png")).std() > 10
    assert cli.main([*command, *network, "--layer", "layr2", "--size", "256"]) == 2
    assert cli.main([*command, *network, "--network", "pidnet_s"]) == 2
