"""``mxnetseg export``: a checkpoint as a file for other runtimes, written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from .. import checkpoint, files
from ..errors import MXNetSegError, UsageError
from ..inference import runtimes
from ..packages import onnx, onnxruntime, openvino
from . import about
from .builder import IR_VERSIONS
from .forms import build
from .verify import verify

# what an evaluation wants to know of an experiment
_NEEDED = {"data": ("name", "options"), "train": ("crop_size",), "augment": ("base_size",)}
TARGETS = {"onnx": ".onnx", "openvino": ".xml"}


def export(path, out, form="logits", size=None, opset=17, target="onnx"):
    """Write a checkpoint as ONNX or as OpenVINO's IR, and hold what was written against it.

    Args:
        path: of the checkpoint. out: file to write, .onnx or .xml (beside which .bin appears).
        form: see :mod:`~mxnetseg.deploy.forms`.
        size: (height, width) of the only images that it shall take.
        opset: version of ONNX's operators.
        target: one of TARGETS.

    Returns:
        The report, as lines of text.

    Raises:
        UsageError: a package is missing, or the wishes do not go together.
        MXNetSegError: the network cannot be exported, the file does not do what it does, or
            cannot be written.
    """
    _check(out, opset, target)
    saved = checkpoint.read(path)
    net, description = checkpoint.network(saved), saved.description
    channels_last = target == "onnx"
    model = build(net, description, form, size, opset, channels_last, provenance(saved))
    rules = about.rules(net, description, form, size)
    write = _write_openvino if target == "openvino" else _write_onnx
    with write(model, Path(out)) as (run, runtime):
        report = verify(run, net, description, rules)
    name, backbone = net.created_with["name"], net.created_with.get("backbone")
    fixed = rules["input"]["fixed_size"]
    takes = "batches of images of {}x{}".format(*fixed) if fixed else "batches of any image size"
    return [
        f"{name}{f' on {backbone}' if backbone else ''}, {net.num_classes} classes, form {form}: "
        f"{takes}, {len(model.graph.node)} operators of opset {opset}",
        f"held against the network with {runtime} {report}",
    ]


def _check(out, opset, target):
    """Whether the wishes go together and all packages are there, before any work."""
    onnx()
    onnxruntime()
    if target not in TARGETS:
        raise UsageError(f"--to takes {' or '.join(TARGETS)}, not '{target}'.")
    if target == "openvino":
        openvino()
    if Path(out).suffix.lower() != TARGETS[target]:
        raise UsageError(f"The file for --to {target} must end in {TARGETS[target]}, not '{out}'.")
    if opset not in IR_VERSIONS:
        known = sorted(IR_VERSIONS)
        raise UsageError(f"--opset takes {known[0]} to {known[-1]}, not {opset}.")


def provenance(saved):
    """Where a checkpoint comes from, and what an evaluation needs of it, as JSON; no paths."""
    meta = saved.meta
    found = {"checkpoint": {"name": Path(saved.path).name, "sha256": files.sha256(saved.path)}}
    for key in ("origin", "protocol"):
        if meta.get(key):
            found[key] = meta[key]
    found["experiment"] = {}
    for section, keys in _NEEDED.items():
        values = saved.experiment.get(section) or {}
        found["experiment"][section] = {k: values[k] for k in keys if k in values}
    return found


@contextlib.contextmanager
def _write_onnx(model, out):
    """The file under a temporary name, as a function, and what runs it; renamed at the end."""
    runtime = f"ONNX Runtime {onnxruntime().__version__}"
    with files.replacing(out) as aside:
        aside.write_bytes(model.SerializeToString())
        with _sentences(runtime):
            onnx().checker.check_model(str(aside))
            session = onnxruntime().InferenceSession(str(aside), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(x):
            with _sentences(runtime):
                return session.run(None, {name: x})[0]

        yield run, runtime


@contextlib.contextmanager
def _write_openvino(model, out):
    """The same in OpenVINO's form: two files, .bin and .xml, the latter renamed last."""
    ov = openvino()
    runtime = f"OpenVINO {ov.__version__.split('-')[0]}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=str(out.parent), prefix=".export") as folder:
            aside = Path(folder) / "net.xml"  # OpenVINO refuses .XML
            with _sentences(runtime):
                network = ov.Core().read_model(model.SerializeToString())
                for item in model.metadata_props:
                    network.set_rt_info(item.value, ["mxnetseg", item.key])
                ov.save_model(network, str(aside), compress_to_fp16=False)
                compiled = ov.Core().compile_model(str(aside), "CPU", runtimes.FLOAT32)

            def run(x):
                with _sentences(runtime):
                    return compiled([x])[0]

            yield run, runtime
            os.replace(str(aside.with_suffix(".bin")), str(out.with_suffix(".bin")))
            os.replace(str(aside), str(out))
    except OSError as error:
        raise files.cannot_write(out, error) from None


@contextlib.contextmanager
def _sentences(runtime):
    """Within: a runtime's errors, of whatever kinds, become sentences."""
    try:
        yield
    except Exception as error:
        raise MXNetSegError(
            f"{runtime} refuses the exported file: {runtimes.reason_of(error)}"
        ) from None
