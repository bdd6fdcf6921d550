"""Cases of damaged checkpoints; see :mod:`.cases`."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

from mxnetseg import checkpoint, data, models
from mxnetseg.convert import files as weights
from mxnetseg.data.masks import read_labels
from mxnetseg.errors import MXNetSegError

from . import damage

RECORDED = Path(__file__).resolve().parents[1] / "convert/torchfiles"


class Checkpoints:
    """A checkpoint, or a file of somebody else's weights, is damaged.

    Ours is refused, or equal to the undamaged one. Others are refused or arrays; those with
    checksums (zip) are equal to the undamaged one, too.
    """

    def __init__(self, folder, canary):
        self.folder, self.canary = folder, canary
        self.ours, self.others = {}, {}
        info = data.info("synthetic")
        for name, options in (("a", {}), ("b", {"aux": True})):
            net = models.create("fcn", 11, backbone="resnet18", **options)
            path = folder / f"{name}.params"
            small = {
                k: p.data()[tuple(slice(0, 3) for _ in p.shape)]
                for k, p in list(net._collect_params_with_prefix().items())[::8]
            }
            checkpoint.write(path, small, checkpoint.describe(net, info, provenance="made"))
            self.ours[path] = path.read_bytes()
        for path in sorted(RECORDED.glob("*.pt*")):
            self.others[path] = path.read_bytes()
        rng = np.random.default_rng(0)
        for name in ("c", "d"):
            arrays = {f"layer{k}.weight": rng.random((3, 4), np.float32) for k in range(5)}
            for ending in (".npz", ".safetensors", ".pth"):
                path = folder / f"{name}{ending}"
                try:
                    weights.write(path, arrays)
                except MXNetSegError:
                    continue  # its package is not installed
                self.others[path] = path.read_bytes()

    def __call__(self, rng):
        kind = rng.random()
        if kind < 0.6:
            self.own(rng)
        elif kind < 0.9:
            self.foreign(rng)
        else:
            self.pickled(rng)

    def own(self, rng):
        original = damage.one_of(rng, list(self.ours))
        path = self.folder / "damaged.params"
        path.write_bytes(
            damage.one_of(rng, damage.BYTES)(rng, self.ours[original], list(self.ours.values()))
        )
        read = checkpoint.read(path)
        same = [checkpoint.read(p) for p in self.ours]
        assert any(
            read.meta == whole.meta
            and read.parameters.keys() == whole.parameters.keys()
            and all(
                np.array_equal(read.parameters[k].asnumpy(), v.asnumpy())
                for k, v in whole.parameters.items()
            )
            for whole in same
        ), "another content than that of the undamaged file"

    def foreign(self, rng):
        original = damage.one_of(rng, list(self.others))
        path = self.folder / f"damaged{original.suffix}"
        content = damage.one_of(rng, damage.BYTES)(
            rng, self.others[original], list(self.others.values())
        )
        path.write_bytes(content)
        read = weights.read(path).state
        assert all(isinstance(v, np.ndarray) for v in read.values())
        if original.suffix == ".npz":
            wholes = [weights.read(p).state for p in self.others if p.suffix == ".npz"]
            for name, value in read.items():
                assert any(
                    name in whole and np.array_equal(whole[name], value) for whole in wholes
                ), f"another content of {name} than that of the undamaged file"

    def pickled(self, rng):
        """Pickles that would write the canary, with the endings of weights, whole and damaged."""
        command = f"open({self.canary!r}, 'w')"
        content = pickle.dumps(
            damage.one_of(rng, [Call(eval, command), {"weight": Call(eval, command)}]),
            protocol=int(rng.integers(0, 6)),
        )
        if rng.random() < 0.5:
            content = damage.one_of(rng, damage.BYTES)(rng, content, list(self.others.values()))
        if rng.random() < 0.5:
            content = _in_zip(rng, content)
        path = (
            self.folder / f"hostile{damage.one_of(rng, ['.params', '.npz', '.pth', '.pt', '.npy'])}"
        )
        path.write_bytes(content)
        for read in (weights.read, checkpoint.read):
            try:
                read(path)
            except MXNetSegError:
                continue
            raise AssertionError("a pickle was read")
        read_labels(path)


class Call:
    """What a pickle runs when it is read."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def _in_zip(rng, content):
    """As PyTorch and NumPy keep them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if rng.random() < 0.5:
            archive.writestr("archive/data.pkl", content)
            archive.writestr("archive/version", "3\n")
        else:
            header = b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
            archive.writestr("a.npy", header.ljust(127) + b"\n" + content)
    return buffer.getvalue()
