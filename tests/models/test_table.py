"""``mxnetseg models``: the facts that it prints, and the published parameter counts among them."""

import json

import pytest

from mxnetseg import backbones, cli, models
from mxnetseg.errors import UsageError
from mxnetseg.models import table

# "#Params" of MXNetSeg's README, in millions, at 19 classes
README = [
    ("fcn", "resnet18", 12.4),
    ("fcn", "resnet50", 28.4),
    ("fcn", "resnet101", 47.5),
    ("pspnet", "resnet101", 56.4),
    ("deeplabv3", "resnet101", 58.9),
    ("denseaspp", "resnet101", 69.4),
    ("danet", "resnet101", 66.7),
    ("bisenet", "resnet18", 13.2),
]


def printed(capsys, *args):
    assert cli.main(["models", *args]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name, backbone, millions", README)
def test_published_counts(name, backbone, millions):
    count = table.facts(name, backbone)["parameters"]["saved"]
    assert round(count / 1e6, 1) == millions


def test_exact_counts():
    counts = table.facts("fcn", "resnet101")["parameters"]
    assert counts == {"saved": 47454163, "trainable": 47347923, "with_aux": 49712614}
    assert table.facts("sanet")["backbone"] is None


def test_every_network_has_a_line_and_nothing_is_computed(capsys, monkeypatch):
    monkeypatch.setattr(models.SegmentationModel, "initialize", None)  # would take the time
    lines = printed(capsys).splitlines()
    for name, line in zip(models.names(), lines[1:]):
        assert line.split()[0] == name
    assert "32k" in next(line for line in lines if line.startswith("semanticfpn"))
    assert "(aux1 aux2)" in next(line for line in lines if line.startswith("danet"))


def test_one_network_with_every_backbone(capsys):
    rows = json.loads(printed(capsys, "fcn", "--json"))
    assert rows[0]["backbone"] == "resnet50"
    assert {r["backbone"] for r in rows} <= set(backbones.names())
    text = table.as_text_of(rows)
    assert "aux=True" in text and "47.5M" in text
    (own,) = json.loads(printed(capsys, "pidnet", "--json"))
    assert own["backbone"] is None and own["outputs"] == ["main", "aux", "boundary"]


def test_one_backbone_for_all_networks(capsys):
    rows = json.loads(printed(capsys, "--backbone", "resnet101", "--json"))
    counts = {r["name"]: r["parameters"]["saved"] for r in rows}
    assert counts["denseaspp"] == 69365715 and "pidnet" not in counts


def test_unknown_names(capsys):
    assert cli.main(["models", "fnc"]) == 2
    assert "fcn" in capsys.readouterr().err
    with pytest.raises(UsageError, match="resnet101"):
        table.table("resnet1o1")


# published at 19 classes, in inference, by XuJiacong/PIDNet's README
@pytest.mark.parametrize("name, millions", [("pidnet_s", 7.6), ("pidnet_l", 36.9)])
def test_published_sizes_have_rows(name, millions):
    found = table.facts(name)
    assert found["name"] == name
    assert found["parameters"]["trainable"] / 1e6 == pytest.approx(millions, abs=0.1)


def test_a_published_size_is_a_network_with_options(capsys):
    net = models.create("PIDNet_M", 19, initialize=False)
    assert net.created_with == {"name": "pidnet", "num_classes": 19, "variant": "M"}
    assert set(models.PUBLISHED) <= {
        line.split()[0] for line in printed(capsys).splitlines() if line
    }
    with pytest.raises(UsageError, match="pidnet with variant M, not S"):
        models.create("pidnet_m", 19, variant="S")
    with pytest.raises(UsageError, match="pidnet_m"):
        models.create("pidnet_mm", 19)
