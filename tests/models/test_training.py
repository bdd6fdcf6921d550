"""Every registered network learns, and predicts an image of an odd size: `make test-slow`."""

import json

import cv2
import numpy as np
import pytest

from mxnetseg import cli, data, models
from mxnetseg.models import table
from mxnetseg.models.base import registry

STEPS = 30
BATCH = 4
# The same blocks in smaller number: a quarter of the time, and ViT-Large would need gigabytes.
SMALLER = {"resnet50": "resnet18", "resnet50_semseg": "resnet18", "vit_large_16": "vit_base_16"}
# Where the usual rate is not the network's: transformers want less, many norms behind another more.
RATES = {"setr": "3e-4", "pidnet": "3e-3", "sanet": "3e-3", "pmsdsen": "1e-2"}
# Most of the loss of the first two is that of boundaries, which stride 8 does not show in 64 x 96.
SIZES = {"pidnet": [128, 192], "sanet": [128, 192], "setr": [96, 128]}
RECIPE = [
    "train.epochs=1", "train.log_interval=1",
    "augment.options={scale: [0.75, 1.5], blur: 0}", "optim.name=adam", "optim.schedule=constant",
    "data.workers=1",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_learns_and_predicts(name, tmp_path):
    default = registry.get(name).default_backbone if table.takes_backbone(name) else None
    backbone = ["--backbone", SMALLER.get(default, default)] if default else []
    rate = RATES.get(name, "1e-3")
    scenes = f"data.options={{size: {SIZES.get(name, [64, 96])}, scenes: {STEPS * BATCH}}}"
    command = [
        "train", "--model", name, *backbone, "--lr", rate, "--batch-size", str(BATCH), "--no-val",
        "--ctx", "cpu", "--out", str(tmp_path / "run"), "--set", *RECIPE, scenes,
    ]  # fmt: skip
    assert cli.main(command) == 0
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log]
    print(name, " ".join(f"{v:.2f}" for v in losses))
    assert len(losses) == STEPS
    assert np.mean(losses[-5:]) < 2 / 3 * losses[0]

    height, width = 357, 501
    scene = data.create("synthetic", "val", size=(height, width), scenes=1)[0]
    cv2.imwrite(str(tmp_path / "street.png"), scene.image[..., ::-1])
    checkpoint = str(tmp_path / "run/last.params")
    out = tmp_path / "out"
    command = ["predict", str(tmp_path / "street.png"), "--checkpoint", checkpoint]
    assert cli.main([*command, "--ctx", "cpu", "--out", str(out)]) == 0
    labels = cv2.imread(str(out / "labels/street.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (height, width) and labels.max() < 11
