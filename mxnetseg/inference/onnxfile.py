"""Files of ``mxnetseg export``: read with suspicion, and cut to the network alone."""

import json
import os
import zlib
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from .. import checkpoint
from ..errors import MXNetSegError, UsageError
from ..packages import onnx

FORMAT = 1
"""Of the metadata; a reader refuses what is newer."""

OPSETS = (17, 21)
"""Versions of ONNX's operators, first and last, that files are written with."""

NEWEST_IR = 10
"""Version of ONNX's format that the last of them needs."""

FOREIGN = (
    "{} is no file of `mxnetseg export`: it does not say which classes it knows and what images it "
    "takes. Export the checkpoint again."
)


class NetworkFile(NamedTuple):
    """A network in ONNX that evaluation can run.

    Attributes:
        model: ONNX; takes normalised images (N, C, H, W), gives logits at its own resolution.
        meta: what the file says about itself; the keys of a checkpoint's among it.
        path: where it came from.
    """

    model: object
    meta: dict
    path: str = ""

    @property
    def checkpoint(self):
        """What it says as a Checkpoint without parameters."""
        return checkpoint.Checkpoint(self.meta, {}, {}, self.path)


class SizeRules(NamedTuple):
    """What sizes of images a network takes, see ``SegmentationModel``."""

    size_divisor: int
    size_remainder: int
    min_size: int
    fixed_size: Optional[Tuple[int, int]]


def read(path):
    """Read an exported file.

    Raises:
        UsageError: there is none, it is of another program or of a newer version, or it refers to
            files outside its folder.
        MXNetSegError: it is damaged.
    """
    path = str(path)
    if not os.path.isfile(path):
        raise UsageError(f"There is no file {path}.")
    package = onnx()
    try:
        model = package.load(path, load_external_data=False)
        entries = {item.key: item.value for item in model.metadata_props}
    except Exception:  # google.protobuf has errors of its own
        raise MXNetSegError(f"{path} is damaged, or no ONNX file.") from None
    if not model.graph.node:
        raise MXNetSegError(f"{path} is damaged, or no ONNX file: it has no operators.")
    _load_external(package, model, path)
    if "file_format" not in entries:
        raise UsageError(FOREIGN.format(path))
    meta = _meta(entries, path)
    _check_versions(model, path)
    return NetworkFile(_cut(model, meta, path), meta, path)


def of_model(model, path=""):
    """A NetworkFile of what ``deploy.forms.build`` has made; ``path``: of the checkpoint."""
    meta = {item.key: json.loads(item.value) for item in model.metadata_props}
    return NetworkFile(_cut(model, meta, path), meta, path)


def checksum(model):
    """CRC-32 of all parameters, and of the operators' names and connections."""
    total = 0
    for tensor in model.graph.initializer:
        content = tensor.raw_data or tensor.SerializeToString()
        total = zlib.crc32(content, zlib.crc32(tensor.name.encode(), total))
    for node in model.graph.node:
        text = " ".join([node.op_type, *node.input, *node.output])
        total = zlib.crc32(text.encode(), total)
    return total


def seal(model):
    """Write the checksum of a model into its metadata."""
    entries = {item.key: item for item in model.metadata_props}
    entry = entries.get("checksum") or model.metadata_props.add(key="checksum")
    entry.value = json.dumps(checksum(model))


def _meta(entries, path):
    damaged = MXNetSegError(f"{path} is damaged: its description cannot be read.")
    try:
        meta = {key: json.loads(value) for key, value in entries.items()}
        newer = meta["file_format"] > FORMAT
    except (ValueError, TypeError, RecursionError):
        raise damaged from None
    if newer:
        raise UsageError(
            f"{path} was written by a newer version (file format {meta['file_format']}; this one "
            f"reads up to {FORMAT}). Install a newer mxnetseg."
        )
    try:
        about = checkpoint.Checkpoint(meta, {}).description
        rules = size_rules(meta)
        whole = [rules.size_divisor, rules.size_remainder, rules.min_size]
        good = (
            about.num_classes == meta["network"]["num_classes"] == len(about.palette)
            and len(about.mean) == len(about.std) == meta["input"]["channels"]
            and all(isinstance(n, int) and n >= 0 for n in whole + list(rules.fixed_size or ()))
            and isinstance(meta["inner"]["align_corners"], bool)
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise damaged from None
    if not good or rules.size_divisor < 1:
        raise damaged
    return meta


def _check_versions(model, path):
    """Refuse what this version does not write; runtimes try to run it, by rules they guess."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset is None or opset < OPSETS[0]:
        raise MXNetSegError(f"{path} is damaged: it does not say which operators it uses.")
    if opset > OPSETS[1] or model.ir_version > NEWEST_IR:
        raise UsageError(
            f"{path} is of a newer ONNX (opset {opset}, format {model.ir_version}; this version "
            f"reads up to {OPSETS[1]} and {NEWEST_IR}). Export the checkpoint again with --opset "
            f"{OPSETS[0]}, or install a newer mxnetseg."
        )


def size_rules(meta):
    """The SizeRules of a file's network."""
    inner = meta["inner"]
    fixed = inner["fixed_size"]
    return SizeRules(
        inner["size_divisor"],
        inner["size_remainder"],
        inner["min_size"],
        None if fixed is None else (fixed[0], fixed[1]),
    )


def _load_external(package, model, path):
    """Parameters that lie in other files; only in the folder of the file itself."""
    names = {
        entry.value
        for tensor in _tensors(model.graph)
        if tensor.data_location == package.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    folder = Path(path).resolve().parent
    for name in sorted(names):
        if "\0" in name or folder not in (folder / name).resolve().parents:
            raise UsageError(
                f"{path} refers to the file {name!r}, outside its own folder. Such files are not "
                "read; put everything into one folder."
            )
    if names:
        try:
            package.external_data_helper.load_external_data_for_model(model, str(folder))
        except Exception as error:  # missing, too short, a link
            raise MXNetSegError(
                f"{path} refers to other files that cannot be read: {str(error).rstrip('.')}."
            ) from None


def _tensors(graph):
    """Every tensor of a graph, also of those within its operators."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _tensors(inner)


def _cut(model, meta, path):
    """The model without what stands before and behind the network."""
    if meta.get("checksum") != checksum(model):
        raise MXNetSegError(f"{path} is damaged, or was changed after its export.")
    image, logits = meta["inner"]["image"], meta["inner"]["logits"]
    kept, wanted = [], {logits}
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output) and image not in node.output:
            kept.append(node)
            wanted.update(node.input)
    helper = onnx().helper
    height, width = meta["inner"]["fixed_size"] or ("height", "width")
    size = ["batch", meta["input"]["channels"], height, width]
    graph = helper.make_graph(
        kept[::-1],
        model.graph.name,
        [helper.make_tensor_value_info(image, onnx().TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info(logits, onnx().TensorProto.FLOAT, None)],
        [tensor for tensor in model.graph.initializer if tensor.name in wanted],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
