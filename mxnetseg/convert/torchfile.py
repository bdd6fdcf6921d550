"""PyTorch's files, read without PyTorch and without running anything in them.

Such a file is a pickle, with the bytes of its arrays behind it (before PyTorch 1.6) or beside it in
a zip archive. Unpickling means calling the functions that the pickle names; here it gets stand-ins
for all of them, and nothing is ever imported: a tensor becomes a NumPy array, anything else a
``Foreign``, which stays empty. So a snapshot's options and schedules do not keep its weights from
being read.
"""

import collections
import pickle
import zipfile

import numpy as np

from ..errors import MXNetSegError

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What a file of PyTorch before 1.6 starts with: a number, as a pickle."""

_BFLOAT16 = np.dtype([("bfloat16", "<u2")])  # the upper half of a float32
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}


class Foreign:
    """An object of a kind that is not read; takes whatever a pickle fills it with.

    Attributes:
        origin: module and name of what would have made it.
    """

    origin = ""

    def __init__(self, *args, **options):
        pass

    def __call__(self, *args, **options):
        return self

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass


def read(path):
    """What was saved, with NumPy arrays for tensors (``float32`` for bfloat16).

    Raises:
        MXNetSegError: the file is truncated or damaged.
    """
    try:
        with open(path, "rb") as file:
            legacy = file.read(len(LEGACY)) == LEGACY
        return _widened(_read_legacy(path) if legacy else _read_zip(path))
    except (OSError, MXNetSegError):
        raise
    except Exception:  # a damaged pickle raises anything
        raise MXNetSegError(f"{path} is truncated or damaged: get it again.") from None


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        main = min((n for n in names if n.endswith("data.pkl")), key=len)
        folder = main[: -len("data.pkl")]
        big = f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big"

        def storage(key, kind, count):
            kind = kind.newbyteorder(">") if big else kind
            return np.frombuffer(archive.read(f"{folder}data/{key}"), kind, count)

        with archive.open(main) as file:
            return _Unpickler(file, storage).load()


def _read_legacy(path):
    storages = {}

    def storage(key, kind, count):  # filled below, when the file has come to it
        return storages.setdefault(key, np.zeros(count, kind))

    with open(path, "rb") as file:
        for _ in range(3):  # magic number, version, the machine's integers
            _Unpickler(file, None).load()
        content = _Unpickler(file, storage).load()
        for key in _Unpickler(file, None).load():
            count = int.from_bytes(file.read(8), "little")
            if key not in storages:  # how many bytes these numbers have is not known
                raise MXNetSegError(f"{path} holds numbers of a kind that NumPy lacks.")
            values = storages[key]
            if count != len(values) or file.readinto(values.view("u1").data) != values.nbytes:
                raise EOFError
    return content


class _Unpickler(pickle.Unpickler):
    """Args: storage: function of a storage's key, type and length that returns its values."""

    def __init__(self, file, storage):
        super().__init__(file, encoding="utf-8")  # as of PyTorch for files of Python 2
        self._storage, self._storages = storage, {}

    def find_class(self, module, name):
        if module == "torch" and name in _STORAGES:
            return name
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
        }
        origin = f"{module}.{name}"
        return known.get(origin) or type(name, (Foreign,), {"origin": origin})

    def persistent_load(self, reference):
        what, kind, key, *rest = reference
        if what != "storage":
            return kind  # a network's class, with its source
        if not isinstance(kind, str):
            return Foreign()  # numbers that NumPy lacks
        _, count, *view = rest
        if key not in self._storages:
            self._storages[key] = self._storage(key, np.dtype(_STORAGES[kind]), count)
        values = self._storages[key]
        if view and view[0] is not None:  # a part of a larger one
            _, start, length = view[0]
            values = values[start : start + length]
        return values

    def _tensor(self, storage, offset, size, stride, *_):
        """The part of a storage that a tensor shows; NumPy sees to it that it stays within."""
        if isinstance(storage, Foreign):
            return storage
        item = storage.itemsize
        return np.ndarray(
            size, storage.dtype, storage, offset * item, tuple(step * item for step in stride)
        )


def _widened(content):
    """The same with float32 for bfloat16, in mappings."""
    if isinstance(content, np.ndarray) and content.dtype.names:
        return (content["bfloat16"].astype("<u4") << 16).view("<f4")
    if isinstance(content, dict):
        return {name: _widened(value) for name, value in content.items()}
    return content
