"""How the original code bases evaluate, as settings of a Protocol.

A published score belongs to its code base's evaluation. ``single`` is that without, ``multi`` that
with several scales; ``sizes`` are the base and the crop of the data sets that scores are published
for (None: of any other), and of single networks where they need another crop.
"""

from ..registry import unknown

MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # where nobody names others

_SEMSEG = {
    "single": {
        "mode": "slide",
        "image": "float",
        "resize": "half_pixel",
        "size_rule": "round",
        "padding": "both_sides",
        "stride_rule": "ceil",
        "flip": True,
        "merge": "prob",
        "scores_resize": "half_pixel",
        "one_pass": "scores",
    },
    "multi": {"scales": MULTI_SCALE},
    "sizes": {
        None: {"base_size": 512, "crop_size": (473, 473)},
        "pascal_voc": {"base_size": 512, "crop_size": (473, 473)},
        "ade20k": {"base_size": 512, "crop_size": (473, 473)},
        "cityscapes": {"base_size": 2048, "crop_size": (713, 713)},
        "camvid": {"base_size": 960, "crop_size": (713, 713)},
    },
    "networks": {
        "psanet": {
            None: {"crop_size": (465, 465)},
            "cityscapes": {"crop_size": (705, 705)},
        }
    },
}

# PIDNet's repository holds the single scale only; the rest is that of HRNet's, which it comes from.
_SANET = {
    "single": {
        "mode": "whole",
        "image": "float",
        "resize": "half_pixel",
        "size_rule": "half_up",
        "padding": "none",
        "stride_rule": "crop",
        "merge": "exp_mean",
        "scores_resize": "aligned",
        "one_pass": "scores",
    },
    "multi": {
        "mode": "slide",
        "scales": (0.5, 0.75, 1.0, 1.25),
        "flip": True,
        "whole_up_to": 1.0,
    },
    "sizes": {
        None: {"base_size": 2048, "crop_size": (1024, 2048)},
        "camvid": {"base_size": 960, "crop_size": (720, 960)},
        "gtav": {"base_size": 960, "crop_size": (1024, 1024)},
    },
}

PRESETS = {
    # GluonCV's MultiEvalModel.
    "mxnetseg": {
        "single": {
            "mode": "slide",
            "image": "float",
            "resize": "aligned",
            "size_rule": "ceil_exact",
            "windows": "pad",
            "stride_rule": "floor",
            "merge": "exp",
            "scores_resize": "aligned",
            "one_pass": "scores",
        },
        "multi": {"scales": None, "flip": True},  # None: the data set's
        "sizes": {
            None: {"base_size": 520, "crop_size": (480, 480)},
            "pascal_voc": {"base_size": 520, "crop_size": (480, 480)},
            "ade20k": {"base_size": 520, "crop_size": (480, 480)},
            "cityscapes": {"base_size": 2048, "crop_size": (768, 768)},
            "nyuv2": {"base_size": 640, "crop_size": (480, 480)},
            "mhp_v1": {"base_size": 768, "crop_size": (480, 480)},
        },
    },
    "semseg": _SEMSEG,
    "mlmsnet": {
        **_SEMSEG,
        "sizes": {
            data: {**sizes, "crop_size": (713, 713)} for data, sizes in _SEMSEG["sizes"].items()
        },
        "networks": {},
    },
    "pidnet": _SANET,
    "sanet": _SANET,
    "pmsdsen": {
        "single": {
            "mode": "whole",
            "image": "float",
            "resize": "aligned",
            "size_rule": "each",
            "scales": (0.5,),
            "merge": "logits",
            "scores_resize": "aligned",
            "one_pass": "logits",
        },
        "sizes": {},
        "absent_classes": "not a number",
    },
}
_LIKE = {
    "cityscapes_coarse": "cityscapes",
    "camvid32": "camvid",
    "pascal_voc_aug": "pascal_voc",
    "sbd": "pascal_voc",
}


def settings(name, data=None, network=None, multi=False):
    """The settings of a Protocol that a preset stands for.

    Args:
        name: of :data:`PRESETS`. data: name of the data set. network: its name.
        multi: with several scales and mirrored, as far as the original has that.

    Raises:
        UsageError: there is no such preset.
    """
    preset = find(name)
    found = {"preset": name, **preset["single"]}
    if multi:
        found.update(preset.get("multi", {}))
    if found["mode"] == "slide":
        found.update(_of_data(preset["sizes"], data))
        found.update(_of_data(preset.get("networks", {}).get(network, {}), data))
    return found


def find(name):
    """The entry of a preset; UsageError if there is none."""
    if name not in PRESETS:
        raise unknown("protocol", name, ["whole", "slide", *PRESETS])
    return PRESETS[name]


def knows(name, data):
    """Whether scores of a data set are published under a preset, so that its base is known."""
    return _LIKE.get(data, data) in find(name)["sizes"]


def _of_data(table, data):
    data = _LIKE.get(data, data)
    return table.get(data, table.get(None, {}))


def published_miou(name, result):
    """(mIoU as the original averages it, None if that is no number; the rule in words)."""
    if find(name).get("absent_classes"):
        ious = [row["iou"] for row in result["classes"]]
        mean = None if None in ious else sum(ious) / len(ious)
        return mean, "mean over all classes; not a number if one occurs nowhere"
    return result["miou_all_classes"], "mean over all classes; 0 for one that occurs nowhere"
