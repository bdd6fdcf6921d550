"""A case: a file is damaged and read. What may happen is said in each case's own words.

:class:`~mxnetseg.errors.MXNetSegError` is always fine; any other exception, and any assertion that
fails, is a finding.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from mxnetseg import config, data
from mxnetseg.data.check import check
from mxnetseg.errors import MXNetSegError

from . import damage, originals, texts

REPOSITORY = Path(__file__).resolve().parents[2]


class Files:
    """An image or a mask of a data set with one sample is damaged.

    The sample is read or refused, and the data check agrees. What a checksum protects is never read
    as something else.
    """

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.originals = getattr(originals, kind)()
        self.contents = [content for _, content, _ in self.originals]
        for sub in ("images/train", "masks/train"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        self.good = {
            "images": originals.encoded(".png", originals.labels()),
            "masks": originals.encoded(".png", originals.picture()),
        }

    def __call__(self, rng):
        ending, content, keys = damage.one_of(rng, self.originals)
        for old in self.folder.glob("*/train/*"):
            old.unlink()
        other = "masks" if self.kind == "images" else "images"
        (self.folder / f"{other}/train/a.png").write_bytes(self.good[self.kind])
        path = self.folder / f"{self.kind}/train/a{ending}"
        if ending in (".txt", ".mat"):
            own = f"mask: 'masks/{{split}}/{{stem}}{ending}'"
            keys += f"layouts: [{{image: 'images/{{split}}/{{stem}}.png', {own}}}]\n"
        (self.folder / "classes.yaml").write_text(originals.CLASSES + keys)
        path.write_bytes(content)
        dataset = data.create(self.folder, "train")
        whole = dataset[0]
        protected = ending == ".png"  # by checksums
        if protected and rng.random() < 0.15:
            content, protected = damage.png_header(rng, content), False
        else:
            content = damage.one_of(rng, damage.BYTES)(rng, content, self.contents)
        path.write_bytes(content)
        report = check(self.folder, workers=1)
        try:
            sample = data.create(self.folder, "train")[0]
        except MXNetSegError as error:
            assert report.errors, f"the check does not say: {error}"
            raise
        assert not report.errors, f"only the check says: {report.errors[0]}"
        image, mask = sample.image, sample.mask
        assert mask.dtype == np.uint8 and mask.shape == image.shape[:2]
        assert image.dtype in (np.uint8, np.float32) and image.ndim == 3
        assert image.shape[2] == dataset.info.channels and np.isfinite(image).all()
        assert set(np.unique(mask)) <= {0, 1, 2, 255}
        if protected and content.startswith(b"\x89PNG") and content not in self.contents:
            assert np.array_equal(image, whole.image) and np.array_equal(mask, whole.mask), (
                "another content than that of the undamaged file"
            )


class Configurations:
    """A configuration or a data set's YAML is damaged: it is refused, or means what it says."""

    def __init__(self, folder, canary):
        self.folder, self.canary = folder, canary
        found = sorted(REPOSITORY.glob("configs/**/*.yaml"))
        self.experiments = [p.read_text(encoding="utf-8") for p in found]
        self.experiments.append(config.to_yaml(config.build()))
        found = sorted(REPOSITORY.glob("mxnetseg/data/catalog/*.yaml"))
        self.datasets = [p.read_text(encoding="utf-8") for p in found]
        self.datasets.append(originals.CLASSES)

    def __call__(self, rng):
        path = self.folder / "own.yaml"
        experiment = rng.random() < 0.5
        same = self.experiments if experiment else self.datasets
        text = texts.damage(rng, damage.one_of(rng, same), same, self.canary)
        if rng.random() < 0.1:
            content = damage.one_of(rng, damage.BYTES)(rng, text.encode("utf-8"), [b"\xff\xfe\0"])
            path.write_bytes(content)
        else:
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        if experiment:
            read = config.build(file=path)
            again = self.folder / "again.yaml"
            again.write_text(config.to_yaml(read), encoding="utf-8")
            assert config.build(file=again) == read, "what is printed says something else"
            value = texts.hostile(rng, self.canary)
            config.build(config.overrides([f"model.options.x={value}"]))
        else:
            info = data.info(path)
            assert info.num_classes == len(info.classes) == len(info.palette)
            assert set(np.unique(info.lut)) <= {*range(info.num_classes), 255}
            data.create(path, "train", self.folder / "empty")


class SelfTest:
    """Does in its second case what no case may do."""

    def __init__(self, what, canary):
        self.what, self.canary, self.number = what, canary, 0
        self.done = canary.with_name("done")  # also by an earlier process

    def __call__(self, rng):
        self.number += 1
        if self.number < 2 or self.done.exists():
            return
        self.done.touch()
        if self.what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.what == "hang":
            time.sleep(30)
        elif self.what == "execute":
            self.canary.touch()
        else:
            raise ZeroDivisionError
