"""Build options that a file's names and shapes show."""

from pathlib import Path

import numpy as np
import pytest

from mxnetseg.convert import guess
from mxnetseg.errors import UsageError
from tests.reference import synthetic

HERE = Path(__file__).resolve().parents[1] / "reference"
# what no file shows
HIDDEN = {
    "baseline_dilatedconv": {"atrous3": True, "atrous4": True},
    "psanet50": {"mask_h": 13, "mask_w": 17},
    "psanet50_collect": {"psa_type": 0, "mask_h": 5, "mask_w": 7},
    "psanet50_distribute": {"psa_type": 1, "mask_w": 13},
    "psanet50_compact": {"compact": True, "mask_h": 5},
    "setr_mla_reduced": {"encoder": {"heads": 4}},
    "setr_naive_reduced": {"encoder": {"heads": 4}},
    "setr_pup_reduced": {"encoder": {"heads": 4}},
    "vit_tiny4": {"heads": 4},
}
# facts of the recording, not of the network
IGNORED = ("norm", "height", "width", "pretrained_base", "base_size")


class Shape:
    def __init__(self, shape):
        self.shape = tuple(shape)


def shapes(spec, prefix=""):
    return {prefix + name: Shape(shape) for name, shape in spec["parameters"]}


def manifests(*systems):
    for path in sorted(HERE.glob("*/*.json")):
        if path.parent.name in systems:
            yield pytest.param(path, id=path.stem)


def complete(path, prefix=""):
    spec = synthetic.manifest(path)
    named = HIDDEN.get(path.stem, {})
    build, _, assumed = guess.complete(spec["system"], named, shapes(spec, prefix))
    return spec["build"], {**assumed, **build}


@pytest.mark.parametrize("path", manifests("semseg", "sanet", "pidnet", "mlmsnet", "pmsdsen"))
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_file_shows_its_build(path, prefix):
    expected, build = complete(path, prefix)
    for option, value in expected.items():
        assert build[option] == value, option


SMALL = ("fcn_resnet18", "fcn_mobilenet_v2_1_0", "bisenet_xception39", "bisenet_resnet18",
         "eprnet", "eprnet_light", "eprnetcls_light", "swiftnet_resnet18", "setr_mla_reduced",
         "vit_base_16", "vit_tiny4", "fcn_resnest26")  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p.values[0], id=p.id, marks=[] if p.id in SMALL else [pytest.mark.slow])
        for p in manifests("mxnetseg")
    ],
)
def test_the_file_shows_the_network_of_mxnetseg(path):
    expected, build = complete(path)
    assert build["network"] == expected["network"]
    sizes = {**build.get("encoder", {}), **build}
    for option, value in {**expected.get("encoder", {}), **expected}.items():
        if option in sizes and option not in (*IGNORED, "encoder", "backbone"):
            assert sizes[option] == value, option
    if expected.get("backbone") and "encoder" not in expected:
        assert build["backbone"] == expected["backbone"]


@pytest.mark.parametrize(
    "name, system, named, message",
    [
        ("semseg/psanet50_collect", "semseg", {}, r"psa_type.*0 \(collect\), 1 \(distribute\)"),
        ("semseg/psanet50", "semseg", {}, r"mask_h.*13 \(x 17\), 17 \(x 13\)"),
        ("mxnetseg/vit_tiny4", "mxnetseg", {}, "heads"),
        ("semseg/pspnet50", "sanet", {}, "no checkpoint of SANet.*--from semseg"),
        ("pidnet/pidnet_s", "sanet", {}, "no checkpoint of SANet.*--from pidnet"),
        ("sanet/sanet_s", "pidnet", {}, "no checkpoint of PIDNet.*--from sanet"),
        ("sanet/sanet_s", "mlmsnet", {}, "no checkpoint of MLMSNet.*--from sanet"),
        ("mlmsnet/mlms_s", "pmsdsen", {}, "no checkpoint of PMSDSEN.*--from mlmsnet"),
        ("mlmsnet/mlms_s", "semseg", {}, "no checkpoint of semseg"),
        ("pmsdsen/pmsdsen", "mxnetseg", {}, "no checkpoint of MXNetSeg.*--from pmsdsen"),
        ("semseg/pspnet50", "semseg", {"network": "PSANet"}, None),
        ("semseg/pspnet50", "semseg", {"network": "PSPnet5"}, "PSPNet"),
        ("semseg/pspnet50", "semseg", {"zoom_factr": 8}, "zoom_factor"),
        ("semseg/pspnet50", "semsex", {}, "semseg"),
    ],
)
def test_what_the_file_does_not_show_is_asked_for(name, system, named, message):
    state = shapes(synthetic.manifest(HERE / name))
    if message is None:
        assert guess.complete(system, named, state)[0]["use_psa"] is False
        return
    with pytest.raises(UsageError, match=message):
        guess.complete(system, named, state)


@pytest.mark.parametrize("width", [0.5, 0.75, 1.25])
@pytest.mark.parametrize(
    "options",
    [
        dict(network="MLMSNet", mode="small", classes=7, large=True),
        dict(network="MLMSNetv2", mode="large", classes=11, use_msf=False),
        dict(network="MLMSNet", mode="large", classes=3, use_msf=False, use_mlf=False),
        dict(network="BaselineNet", mode="large", classes=3),
        dict(network="mobilenetv3_small", num_classes=10),
    ],
)
def test_widths_and_fusions_of_mlmsnet(options, width):
    from mxnetseg import convert

    build = {**options, "width_mult": width}
    net = convert.create("mlmsnet", build)
    names = convert.original_names("mlmsnet", build, net)
    state = {names[k]: Shape(p.shape) for k, p in net._collect_params_with_prefix().items()}
    found, _, assumed = guess.complete("mlmsnet", {}, state)
    found = {**assumed, **found}
    again = convert.create("mlmsnet", found)
    ours = {k: p.shape for k, p in net._collect_params_with_prefix().items()}
    assert ours == {k: p.shape for k, p in again._collect_params_with_prefix().items()}
    for option, value in options.items():
        if option != "large" or options.get("use_msf", True):
            assert found[option] == value


@pytest.mark.parametrize(
    "options",
    [
        dict(variant="m", num_classes=11, augment=False),
        dict(variant="l", planes=16, head_planes=40, ppm_planes=24, num_classes=4),
        dict(variant="s", n=5, planes=24, num_classes=2),
    ],
)
def test_sizes_of_pidnet(options):
    from mxnetseg import convert

    net = convert.create("pidnet", options)
    names = convert.original_names("pidnet", options, net)
    state = {names[k]: Shape(p.shape) for k, p in net._collect_params_with_prefix().items()}
    found = guess.complete("pidnet", {}, state)[0]
    assert all(found[k] == v for k, v in options.items() if k != "variant")
    again = convert.create("pidnet", found)
    ours = {k: p.shape for k, p in net._collect_params_with_prefix().items()}
    assert ours == {k: p.shape for k, p in again._collect_params_with_prefix().items()}


def test_values_that_need_not_be_arrays_have_shapes():
    spec = synthetic.manifest(HERE / "pmsdsen/pmsdsen")
    state = {name: np.zeros(shape, np.float16) for name, shape in spec["parameters"]}
    assert guess.complete("pmsdsen", {}, state)[1]["cls"] == 19
