"""One training step of every recipe, on drawn data in its own layout, batch and crop reduced."""

import shutil

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import build, checkpoint, config, data
from mxnetseg.models.psanet import full_mask
from mxnetseg.training.trainer import train

from ..data import miniatures
from ..data.test_catalog import ids_of
from . import facts

FILES = sorted((facts.ROOT / "configs").glob("*/*.yaml"))
BATCH, CROP = 2, (64, 96)


class Miniature(miniatures.Mini):
    """Images large enough that crops show something of them."""

    def values(self, ids=None):
        row = np.array(self.ids if ids is None else ids)
        return np.repeat(np.repeat(row[None], CROP[0], axis=0), -(-CROP[1] // len(row)), axis=1)


class Repeated:
    """The first sample of a data set, a batch of times."""

    def __init__(self, dataset):
        self.dataset, self.info = dataset, dataset.info
        self.names = dataset.names[:1] * BATCH

    def __len__(self):
        return BATCH

    def __getitem__(self, index):
        return self.dataset[0]


@pytest.mark.slow
@pytest.mark.parametrize("file", [pytest.param(f, id=f"{f.parent.name}/{f.stem}") for f in FILES])
def test_a_step(file, tmp_path, monkeypatch):
    experiment = config.build(file=file)
    section = experiment.data
    if section.name == "synthetic":
        section.options["size"] = list(CROP)
        section.options["scenes"] = BATCH
    else:
        key = section.name
        layout = min(t for t in miniatures.BUILDERS if t.split(":")[0] == key)
        miniatures.BUILDERS[layout][1](Miniature(tmp_path / "data", ids_of(key)))
        section.root = str(tmp_path / "data")
    original = build.dataset
    monkeypatch.setattr(build, "dataset", lambda *args: Repeated(original(*args)))

    section.workers = 0
    experiment.model.weights = experiment.model.backbone_weights = None
    run = experiment.train
    run.epochs, run.stop_after, run.batch_size, run.validate_every = 1, None, BATCH, 0
    if experiment.augment.base_size is not None:
        experiment.augment.base_size = max(CROP)
    if experiment.model.name == "psanet":
        run.crop_size = (65, 97)
        experiment.model.options["mask_size"] = full_mask(run.crop_size)
    else:
        info = data.info(section.name) if section.name != "synthetic" else None
        classes = info.num_classes if info else 19
        run.crop_size = build.create_network(experiment.model, classes).valid_size(*CROP)
    train(experiment, [mx.cpu()], tmp_path / "run")

    last = checkpoint.read(tmp_path / "run" / "last.params")
    assert last.meta["progress"]["step"] == 1
    moved = [k for k, v in last.optimizer.items() if (v != 0).sum().asscalar()]
    assert len(moved) > len(last.optimizer) / 2  # the momentum of what has learnt
    shutil.rmtree(str(tmp_path / "run"))
