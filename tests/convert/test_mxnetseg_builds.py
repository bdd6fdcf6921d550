"""Build options of MXNetSeg beyond the recorded ones."""

import numpy as np
import pytest

from mxnetseg import convert
from mxnetseg.convert import mxnetseg
from mxnetseg.errors import UsageError


# Saved values without auxiliary head, running statistics included, at 19 classes: the README's.
@pytest.mark.parametrize(
    "network, count",
    [
        ("FCNResNet", 47454163),
        ("PSPNet", 56375251),
        ("DeepLabv3", 58863571),
        ("DenseASPP", 69365715),
        ("DANet", 66668885),
    ],
)
def test_published_counts(network, count):
    build = {"network": network, "nclass": 19, "backbone": "resnet101", "aux": False}
    net = mxnetseg.create(build)
    assert sum(int(np.prod(p.shape)) for p in net.collect_params().values()) == count


@pytest.mark.parametrize(
    "network, backbone, outputs, stride",
    [
        ("PSPNet", "resnet50", 2, 8),
        ("DeepLabv3", "resnet50", 2, 8),
        ("DeepLabv3PlusR", "resnet50", 1, 8),
        ("DeepLabv3PlusX", "xception65", 1, 8),
        ("DenseASPP", "resnet50", 2, 8),
        ("DANet", "resnet50", 1, 8),
        ("SwiftResNetPr", "resnet18", 1, 32),
        ("SemanticFPN", "resnet50", 1, 32),
        ("LadderDenseNet", "densenet121", 2, 32),
    ],
)
def test_defaults_are_the_originals(network, backbone, outputs, stride):
    net = mxnetseg.create({"network": network, "nclass": 4})
    assert net.backbone.name == backbone
    assert net.backbone.output_stride == stride
    assert len(net.output_names) == outputs


@pytest.mark.parametrize(
    "network, stride",
    [
        ("DeepLabv3", 32),
        ("DeepLabv3PlusR", 32),
        ("PSPNet", 8),
        ("DenseASPP", 8),
        ("DANet", 8),
        ("DeepLabv3PlusX", 8),
        ("SemanticFPN", 32),
    ],
)
def test_dilate_is_ignored_where_the_original_ignores_it(network, stride):
    net = mxnetseg.create({"network": network, "nclass": 4, "dilate": False})
    assert net.backbone.output_stride == stride


def test_aux_is_ignored_by_networks_without_auxiliaries():
    build = {"network": "SemanticFPN", "nclass": 4, "backbone": "resnet18", "aux": True}
    assert mxnetseg.create(build).output_names == ("main",)


def test_a_misspelt_option_is_an_error():
    with pytest.raises(UsageError, match="dilate"):
        mxnetseg.create({"network": "DeepLabv3", "nclass": 4, "dilated": False})


def test_an_unknown_option_lists_each_known_one_once():
    with pytest.raises(UsageError, match="Known: ") as error:
        mxnetseg.create({"network": "DeepLabv3", "nclass": 4, "zzz": 1})
    listed = str(error.value).split("Known: ")[1].rstrip(".").split(", ")
    assert sorted(set(listed)) == listed and "dilate" in listed


def test_a_vit_is_named_without_regard_to_case_as_other_backbones_are():
    build = {"network": "SETR", "nclass": 4, "decoder": "mla", "crop_size": 32}
    net = mxnetseg.create({**build, "backbone": "ViT_Large_16"})
    assert (len(net.backbone.blocks), net.backbone.channels[0]) == (24, 1024)
    with pytest.raises(UsageError, match="ViT_Larg_16.*vit_large_16"):
        mxnetseg.create({**build, "backbone": "ViT_Larg_16"})


@pytest.mark.parametrize(
    "build",
    [
        {"network": "LadderDenseNet", "backbone": "densenet169", "nclass": 7, "aux": False},
        {"network": "DANet", "backbone": "ResNest14", "nclass": 5, "aux": True},
        {"network": "SwiftResNetPr", "backbone": "resnet34", "nclass": 3},
    ],
)
def test_there_and_back(build):
    net = mxnetseg.create(build)
    rng = np.random.RandomState(0)
    names = mxnetseg.original_names(net, build)
    parameters = net._collect_params_with_prefix()
    state = {
        names[n]: rng.standard_normal(p.shape).astype(np.float32) for n, p in parameters.items()
    }
    assert not any(n.startswith("backbone.") for n in state)
    back = convert.to_original("mxnetseg", build, convert.from_original("mxnetseg", build, state))
    assert back.keys() == state.keys()
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)
