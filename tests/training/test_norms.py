"""The trainer with norms that share their statistics over devices."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mxnetseg import checkpoint

# No dropout, whose masks would differ. An untrained network's gradients are large: the steps are
# so small that the rounding of the first one does not grow.
SETTINGS = {
    "model.name": "semanticfpn",
    "model.backbone": "mobilenet_v2_0_25",
    "data.options": "{size: [64, 96], scenes: 20}",
    "train.batch_size": 4,
    "train.crop_size": 64,
    "train.epochs": 1,
    "train.validate_every": 0,
    "train.log_interval": 1,
    "train.clip_norm": 1e6,  # for the norm of the gradients in the log
    "optim.lr": 1e-7,
}


def run(out, norm, devices):
    """Train in a program of its own, so that a wait without end ends this test alone."""
    settings = [f"{k}={v}" for k, v in {**SETTINGS, "model.norm": norm}.items()]
    command = [sys.executable, "-m", "mxnetseg", "train", "--out", str(out)]
    command += ["--ctx", *["cpu"] * devices, "--set", *settings]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120, check=True)
    saved = checkpoint.read(out / "last.params")
    return saved, [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path):
    one, log = run(tmp_path / "one", "batch", 1)
    two, shared = run(tmp_path / "two", "sync_batch", 2)
    _, apart = run(tmp_path / "apart", "batch", 2)
    assert len(log) == 5

    def values(records, key):
        return np.array([record[key] for record in records])

    np.testing.assert_allclose(values(shared, "loss"), values(log, "loss"), rtol=1e-4)
    assert abs(values(apart, "loss") / values(log, "loss") - 1).max() > 1e-2
    # a unit that rounding switches on or off moves the gradients of such small maps by percents
    norms = values(log, "gradient_norm")
    np.testing.assert_allclose(values(shared, "gradient_norm"), norms, rtol=0.05)
    assert abs(values(apart, "gradient_norm") / norms - 1).max() > 0.5
    # 1e-4 where a norm sees 16 values of a deep layer; without sharing 0.4
    for name, value in one.parameters.items():
        difference = np.abs(value.asnumpy() - two.parameters[name].asnumpy()).max()
        assert difference < 5e-4 * max(1, np.abs(value.asnumpy()).max()), name
    assert two.meta["network"] == one.meta["network"]
    checkpoint.network(two)
