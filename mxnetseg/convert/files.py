"""Files of other people's weights: reading what is there, writing what others read.

A file's kind is seen from its content, not from its name. Nothing in a file is ever executed.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import mxnet as mx
import numpy as np

from .. import params
from ..errors import MXNetSegError, UsageError
from ..files import replacing
from . import torchfile

KEYS = ("state_dict", "model", "model_state_dict")
"""Where a training snapshot keeps the weights."""

ENDINGS = (".safetensors", ".npz", ".pth", ".pt")
"""What :func:`write` can make."""


@dataclass
class Weights:
    """What a file holds.

    Attributes:
        state: mapping, name -> array. path, sha256: of the file.
        key: where the mapping lay in the file ("state_dict"); None: the file is the mapping.
    """

    state: dict
    path: str
    sha256: str
    key: Optional[str] = None


def read(path):
    """Read a .params, .safetensors, .npz or PyTorch file.

    Raises:
        UsageError: no such file, another kind of file, or a package that is missing.
        MXNetSegError: truncated, damaged, or with more in it than arrays.
    """
    path = str(path)
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b""):
                sha256.update(block)
        content = _READERS[_kind(path)](path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    content, key = _unwrapped(content, path)
    state = {}
    for name, value in content.items():
        array = _array(value)
        if array is None:
            raise _no_mapping(path, value, f": '{name}' is")
        state[str(name)] = array
    if not state:
        raise MXNetSegError(f"{path} holds no weights.")
    return Weights(state, path, sha256.hexdigest(), key)


def write(path, arrays, key=None):
    """Write name -> array as .safetensors, .npz, .pth or .pt; whole or not at all.

    Args:
        key: for PyTorch: the mapping lies under this key.

    Raises:
        UsageError: another ending, or a package that is missing.
        MXNetSegError: the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    with replacing(path) as aside:
        if ending == ".safetensors":
            _safetensors().numpy.save_file(arrays, str(aside))
        elif ending == ".npz":
            with open(aside, "wb") as file:
                np.savez(file, **arrays)
        else:
            torch = _torch()
            tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
            try:
                torch.save({key: tensors} if key else tensors, str(aside))
            except RuntimeError:
                raise OSError("is the disk full or the folder read-only?") from None


def _kind(path):
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(params.MAGIC):
        return "mxnet"
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception:  # zipfile has many: unknown flags, names that are no text ...
            raise _truncated(path) from None
        if any(name.endswith("data.pkl") for name in names):
            return "torch"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
        raise UsageError(f"{path} is a zip archive, but neither of PyTorch nor of NumPy.")
    if head.startswith(torchfile.LEGACY):
        return "torch"
    if head[:1] == b"\x80":
        raise MXNetSegError(
            f"{path} is a pickle, which may run code when it is read; it was not. Save the arrays "
            "with torch.save(state_dict), as .npz or as .safetensors."
        )
    if head[257:262] == b"ustar":
        raise UsageError(
            f"{path} is a tar archive of an early PyTorch; load and save it with a newer one."
        )
    if len(head) > 8 and head[8:9] == b"{":
        return "safetensors"
    raise UsageError(
        f"{path} is no file of weights (.params, .safetensors, .npz, .pth, .pt), or damaged."
    )


def _truncated(path):
    return MXNetSegError(f"{path} is truncated or damaged: get it again.")


def _read_mxnet(path):
    try:
        arrays = params.load(path)
    except MXNetSegError:
        raise _truncated(path) from None
    if not isinstance(arrays, dict):
        raise UsageError(f"{path} is a list of arrays without names.")
    if "meta" in arrays:
        raise UsageError(f"{path} is a checkpoint of this toolkit already.")
    return {k[4:] if k[:4] in ("arg:", "aux:") else k: v for k, v in arrays.items()}


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile and NumPy have many
        if "allow_pickle" not in str(error):
            raise _truncated(path) from None
        raise MXNetSegError(
            f"{path} holds Python objects, which may run code when they are read; it was not read."
        ) from None


def _read_safetensors(path):
    package = _safetensors()
    try:
        return package.numpy.load_file(path)
    except (package.SafetensorError, ValueError):
        raise _truncated(path) from None
    except (KeyError, TypeError) as error:
        raise MXNetSegError(f"{path} has a type of number that NumPy lacks: {error}.") from None


def _safetensors():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise UsageError(".safetensors files need the package: pip install safetensors") from None
    return safetensors


def _torch():
    try:
        import torch
    except ImportError:
        raise UsageError(
            "Writing PyTorch files needs PyTorch: pip install torch. Or let the name end in "
            ".safetensors or .npz."
        ) from None
    return torch


_READERS = {
    "mxnet": _read_mxnet,
    "npz": _read_npz,
    "safetensors": _read_safetensors,
    "torch": torchfile.read,
}


def _unwrapped(content, path):
    """The mapping of arrays, and the key below which it lies."""
    found = None
    while isinstance(content, Mapping):
        key = next((k for k in KEYS if isinstance(content.get(k), Mapping)), None)
        if key is None:
            return content, found
        content, found = content[key], key
    raise _no_mapping(path, content, ", but")


def _no_mapping(path, value, what):
    kind = getattr(value, "origin", type(value).__name__)  # of a torchfile.Foreign
    return MXNetSegError(
        f"{path} is no mapping from names to arrays{what} a {kind}. Save the network's "
        "state_dict() alone."
    )


def _array(value):
    """A NumPy array, or None."""
    if isinstance(value, mx.nd.NDArray):
        return value.asnumpy()
    return np.asarray(value) if isinstance(value, (np.ndarray, np.generic)) else None
