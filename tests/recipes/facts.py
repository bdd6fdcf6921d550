"""Published facts, ``published.yaml``, as the settings that a recipe of ``configs/`` must have."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FACTS = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text(encoding="utf-8"))
RECIPES = FACTS["recipes"]

# Fact -> key of the experiment.
KEYS = {
    "network": "model.name",
    "options": "model.options",
    "backbone": "model.backbone",
    "stride": "model.output_stride",
    "aux": "model.aux",
    "norm": "model.norm",
    "data": "data.name",
    "data_options": "data.options",
    "train": "data.train_split",
    "val": "data.val_split",
    "base": "augment.base_size",
    "crop": "train.crop_size",
    "epochs": "train.epochs",
    "stop_after": "train.stop_after",
    "batch": "train.batch_size",
    "keep_last": "train.keep_last",
    "seed": "train.seed",
    "freeze": "train.freeze",
    "validate_every": "train.validate_every",
    "validate_last": "train.validate_last",
    "optimizer": "optim.name",
    "momentum": "optim.momentum",
    "schedule": "optim.schedule",
    "power": "optim.power",
    "warmup_epochs": "optim.warmup_epochs",
    "evaluation": "eval.protocol",
    "loss": "loss.name",
    "loss_per": "loss.per",
    "aux_weights": "loss.aux_weights",
    "class_weights": "loss.class_weights",
}

# How the mean loss of the whole batch makes the step of an original: (rate, weight decay).
RATES = {
    # It adds the mean losses of its g devices, and divides the gradient by the batch B; weight
    # decay is not divided. loss.per: device has their mean.
    "mxnetseg": lambda rate, decay, g, b: (rate * g / b, decay * b / g),
    # It averages the mean losses of its devices, as loss.per: device does; or it has one.
    "as_is": lambda rate, decay, g, b: (rate, decay),
}

# What the losses are, beyond their names.
LOSS_OPTIONS = {
    "cross_entropy": {},
    "ohem": {"threshold": 0.7, "min_share": 1 / 16},
    "boundary_aware": {"threshold": 0.9, "min_kept": 131072},
}

_ABOUT = {"source", "run", "score", "images", "devices", "rate", "lr", "decay", "head", "heads"}
_OTHERWISE = {"start", "transform"}
UNKNOWN = {k for facts in RECIPES.values() for k in facts} - {*KEYS, *_ABOUT, *_OTHERWISE}


def settings(name):
    """{key: value} of everything in which a recipe differs from the experiment's defaults."""
    facts = RECIPES[name]
    found = {key: facts[fact] for fact, key in KEYS.items() if fact in facts}
    found["optim.lr"], found["optim.weight_decay"] = RATES[facts["rate"]](
        facts["lr"], facts["decay"], facts["devices"], facts["batch"]
    )
    if "heads" in facts:
        found["optim.rates"] = {facts["heads"]: facts["head"]}
    else:
        found["optim.head_lr_factor"] = facts["head"]
    found["loss.options"] = LOSS_OPTIONS[facts["loss"]]
    found["augment.preset"] = FACTS["transforms"][facts["transform"]]["preset"]
    return found


def windows(name):
    """(side of a window, its stride, base size) of the evaluation with one scale; None: none."""
    facts = RECIPES[name]
    source, cityscapes = facts["evaluation"], facts["data"] == "cityscapes"
    if source == "mxnetseg":
        crop = 768 if cityscapes else 480
        return crop, crop * 2 // 3, facts["base"]
    if source in ("semseg", "mlmsnet"):
        crop = facts["crop"]
        base = {"cityscapes": 2048, "camvid32": 960}.get(facts["data"], 512)
        return crop, -(-crop * 2 // 3), base
    return None


def transform(name):
    """The fields of the training transform, except for sizes."""
    facts = RECIPES[name]
    fields = dict(FACTS["transforms"][facts["transform"]])
    preset = fields.pop("preset")
    sanet = preset == "sanet"
    frame = 6 if sanet and facts["data"] == "cityscapes" else 0
    boundary = {"boundary_from": "image" if sanet else "crop", "boundary_frame": frame}
    return {**fields, "boundary": facts["loss"] == "boundary_aware", **boundary}
