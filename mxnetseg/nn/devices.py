"""One forward pass on several devices, whose norms may exchange statistics.

MXNet's own ``contrib.SyncBatchNorm`` waits for the other device inside the engine, with a
workspace in its hands. All CPU contexts draw theirs from four in turn, so that the operator that it
waits for may be the one that waits for the workspace: it hangs for ever in most networks. And where
two norms stand side by side, each device may begin with another one. Here only Python waits, in one
thread per device: what the threads exchange are arrays that are still to be computed. Copies
between devices are ordinary recorded operators, so that gradients find their way back.
"""

import contextlib
import functools
import threading

from mxnet import autograd

from ..errors import MXNetSegError

WAIT = 600  # seconds for the slowest device; compiling kernels for a new GPU takes minutes

_here = threading.local()


class Meeting:
    """Where the threads of a forward pass, one per device, show each other what they have."""

    def __init__(self, devices):
        self._parts = [None] * devices
        self._barrier = threading.Barrier(devices, self._close)

    def _close(self):
        self._shown = tuple(self._parts)

    def gather(self, device, part):
        """Every device's ``part``, in their order."""
        self._parts[device] = part
        self._barrier.wait(WAIT)
        return self._shown  # nobody meets again before all have read it

    def abort(self):
        """Let nobody wait any longer."""
        self._barrier.abort()


def gather():
    """The own place at the meeting: a function (part) -> every device's; None if there is none."""
    return getattr(_here, "gather", None)


def synchronised(net):
    """Whether batch norms of ``net`` share their statistics over devices in training.

    Such a network is trained through :func:`forward`.
    """
    found = []
    net.apply(lambda block: found.append(getattr(block, "synchronised", False)))
    return any(found)


def forward(net, images):
    """The outputs of ``net`` for every device's images: ``[net(x) for x in images]``.

    The training pass of a network whose norms are synchronised works with one
    thread per device, operator by operator even if the network is hybridised. Backward needs no
    threads, but one call for all devices, because the gradients cross over between them::

        with autograd.record():
            losses = [criterion(y, t) for y, t in zip(nn.forward(net, images), targets)]
        autograd.backward(losses)

    Args:
        images: NDArrays, one per device of the network. The shares may differ in size.
    """
    if len(images) == 1 or not autograd.is_training() or not synchronised(net):
        return [net(x) for x in images]
    meeting = Meeting(len(images))
    outputs, errors = [None] * len(images), []
    record = autograd.record if autograd.is_recording() else autograd.train_mode

    def run(device):
        _here.gather = functools.partial(meeting.gather, device)
        try:
            with record():
                outputs[device] = net(images[device])
        except BaseException as error:  # raised again in the thread that waits for this one
            errors.append(error)
            meeting.abort()

    with _operator_by_operator(net):
        threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(len(images))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    if errors:
        raise MXNetSegError(f"A device did not reach a synchronised norm within {WAIT} seconds.")
    return outputs


@contextlib.contextmanager
def _operator_by_operator(net):
    """Within: as if nothing were hybridised. The graphs are kept."""
    found = []

    def look(block):
        if getattr(block, "_active", False):
            found.append(block)

    net.apply(look)
    for block in found:
        block._active = False
    try:
        yield
    finally:
        for block in found:
            block._active = True
