"""The trainer with norms that share their statistics over devices."""

import json

import numpy as np

from mxnetseg import checkpoint, config, runtime
from mxnetseg.training import trainer

# no dropout, whose masks would differ; SGD's step is so small that rounding does not grow
SETTINGS = {
    "model.name": "semanticfpn",
    "model.backbone": "mobilenet_v2_0_25",
    "data.options": {"size": [64, 96], "scenes": 8},
    "train.batch_size": 4,
    "train.crop_size": 64,
    "train.epochs": 1,
    "train.validate_every": 0,
    "train.log_interval": 1,
    "optim.lr": 1e-4,
}


def run(out, norm, devices):
    experiment = config.build(SETTINGS, {"model.norm": norm})
    trainer.train(experiment, runtime.contexts(["cpu"] * devices), out)
    saved = checkpoint.read(out / "last.params")
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    return saved, losses


def test_two_devices_train_as_one(tmp_path):
    one, losses = run(tmp_path / "one", "batch", 1)
    two, shared = run(tmp_path / "two", "sync_batch", 2)
    np.testing.assert_allclose(shared, losses, rtol=1e-5)
    for name, value in one.parameters.items():
        difference = np.abs(value.asnumpy() - two.parameters[name].asnumpy()).max()
        assert difference < 1e-4 * max(1, np.abs(value.asnumpy()).max()), name
    assert two.meta["network"] == one.meta["network"]
    checkpoint.network(two)
