"""``--precision``: in which numbers a network runs, where there is a choice."""

from ..errors import UsageError

NAMES = ("float32", "bf16", "int8")


def asked(name, runtime, found):
    """What --precision asks for, if a runtime can do it with what was found.

    Args:
        name: one of NAMES, or None: as the file is. found: has ``saved`` and ``file``, as
            ``backends.Found``.

    Returns:
        "bf16", or None: as the file is.

    Raises:
        UsageError: the file has other numbers, or the runtime cannot change them.
    """
    saved = found.saved  # None: a network that is only named
    path, integers = (saved.path, saved.in_integers) if saved else ("the network", False)
    if integers and found.file is None and runtime not in ("mxnet", "auto"):
        raise UsageError(
            f"{path} holds 8-bit integers for MXNet: drop --runtime {runtime}, or write an .onnx "
            "file with `mxnetseg quantize`."
        )
    if name in (None, "int8" if integers else "float32"):
        return None
    if name == "int8":
        raise UsageError(
            f"{path} holds float32. Write it in integers first: mxnetseg quantize {path} -o "
            f"net_int8.{'params' if runtime == 'mxnet' else 'onnx'}"
        )
    if integers:
        raise UsageError(f"{path} holds 8-bit integers: for {name} give the float32 checkpoint.")
    if runtime not in ("openvino", "auto"):
        raise UsageError(f"{runtime} does not run in bf16 here: give --runtime openvino or auto.")
    return name
