"""The network that is tuned: its file, and what the runtimes take of it."""

import hashlib
import json
from pathlib import Path

from .. import checkpoint, files
from ..deploy.forms import build
from ..errors import MXNetSegError, UsageError
from ..inference import onnxfile
from . import memory


class Subject:
    """A network from a checkpoint or an exported file.

    Attributes:
        path: of the file. saved: its Checkpoint. file: its NetworkFile; None until MXNet's network
            was exported. in_mxnet: whether MXNet runs it. identity: what a choice holds for.
        precision: of the file: "float32" or "int8". onnx: where MXNet's network is exported to.

    Args:
        saved, file: of the file.
        onnx: where the network is exported to; by default the cache folder.
        identity: by default the SHA-256 of the file.
    """

    def __init__(self, saved, file=None, onnx=None, identity=None):
        self.path, self.saved, self.file = saved.path, saved, file
        self.in_mxnet = file is None
        self.precision = "int8" if saved.in_integers else "float32"
        self.identity = identity or files.sha256(self.path)
        self.onnx = Path(onnx) if onnx else memory.exported(self.identity)
        self._nets = {}

    @property
    def rules(self):
        """The SizeRules of the network."""
        meta = self.saved.meta
        given = meta["input"] if self.in_mxnet else meta["inner"]
        return onnxfile.size_rules({"inner": given})

    def network(self, contexts):
        """MXNet's network on devices."""
        key = tuple(map(str, contexts))
        if key not in self._nets:
            self._nets[key] = checkpoint.network(self.saved, contexts)
        return self._nets[key]

    def network_file(self):
        """The NetworkFile; exported once and kept in the cache folder."""
        if self.file is None:
            self.file = _read(self.onnx) or self._export(self.onnx)
            if self.onnx == memory.exported(self.identity):
                memory.keep(self.onnx)
        return self.file

    def _export(self, path):
        model = build(checkpoint.network(self.saved), self.saved.description)
        try:
            with files.replacing(path) as aside:
                aside.write_bytes(model.SerializeToString())
        except MXNetSegError as error:
            memory.say(f"The exported network is not kept: {error}")
        return onnxfile.of_model(model, self.path)


def of_path(path, onnx=None, identity=None):
    """The Subject of a .params or .onnx file."""
    if Path(path).suffix.lower() == ".onnx":
        file = onnxfile.read(path)
        return Subject(file.checkpoint, file, onnx, identity)
    return Subject(checkpoint.read(path, integers=True), None, onnx, identity)


def identity_of(net):
    """What a choice holds for, of a network without a file: its name and options."""
    return hashlib.sha256(json.dumps(net.created_with, sort_keys=True).encode()).hexdigest()


def _read(path):
    """An exported network of the cache, or None: it is not there, or damaged."""
    try:
        return onnxfile.read(path) if path.is_file() else None
    except (MXNetSegError, UsageError):
        return None
