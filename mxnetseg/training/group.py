"""Who works together in a run: one process, or workers on one or several machines.

Workers exchange sums through MXNet's key-value store (``dist_sync``): the gradients, and the few
numbers that all must know. Everybody calls the same methods in the same order.
"""

import atexit
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import numpy as np

from ..config import PATHS
from ..errors import MXNetSegError
from . import rollcall, serving
from .signals import STOPS

# The store's keys of sums; those below are the parameters'. MXNet finds a key's server from
# key x 9973 as a 32-bit number: with several servers it must stay below 2^31.
OWN_KEYS = 1 << 17
CHUNK, SMALL = 1 << 22, 1 << 12  # bytes of a file or a text that are sent at a time
LEAVE = 20  # seconds that a process which failed has to end by itself


class Group:
    """A run of one process, which has nobody to ask.

    Attributes:
        rank: of this process among the workers; 0 is the one that writes.
        size: the number of workers.
        kvstore: MXNet's store that sums gradients, None: there is nothing to sum.
    """

    rank, size, kvstore = 0, 1, None

    def sum(self, values):
        """Sums over all workers, in float64 and in the order of ranks."""
        return np.asarray(values, np.float64)

    def watch(self, stop):
        """Let a signal that any worker gets be known to ``stop``, a ``Signals``, of all."""

    def meet(self, stop, due=False):
        """What all decide at the end of a step: whether to stop, and whether to save.

        Args:
            stop: Signals. due: whether this process finds that it is time to save.
        """
        return stop.is_set(), due

    def agree(self, what, number):
        """MXNetSegError unless ``number``, below 2^53, is the same everywhere."""

    def agree_on(self, experiment, dataset, net):
        """MXNetSegError unless all begin with the same settings, images and parameters."""

    def average_statistics(self, net):
        """Give all workers the mean of their running statistics."""

    def share(self, text):
        """The text that worker 0 has."""
        return text

    def read(self, path, reader):
        """``reader(path)`` of the file that worker 0 has."""
        return reader(path)


ALONE = Group()


class Workers(Group):
    """Workers that sum through MXNet's store; see :func:`joined`."""

    def __init__(self, member):
        self.member, self.rank, self.size = member, member.rank, member.size
        patience = member.settings.patience
        with member.within(
            patience,
            f"its connections to the others do not stand after {patience:.0f} s. Open the "
            "ports of docs/several-machines.md between all hosts",
        ):
            import mxnet as mx

            self.kvstore = mx.kv.create("dist_sync")
        self._mx, self._keys = mx, {}

    def sum(self, values):
        return self.gather(values).sum(axis=0)

    def gather(self, values):
        """The values of all workers, float64 (size, ...), exactly."""
        values = np.ascontiguousarray(values, np.float64)
        rows = np.zeros((self.size, values.size * 4), np.uint16)
        rows[self.rank] = values.reshape(-1).view(np.uint16)
        rows = self._exchange(rows).reshape(rows.shape)
        return rows.view(np.float64).reshape(self.size, *values.shape)

    def _exchange(self, digits):
        """Put together uint16 arrays in which only one worker has a value at each place.

        The store sums float32, also what is handed to it as float64: it holds 16 bits exactly.
        """
        array = self._mx.nd.array(digits.ravel(), dtype="float32")
        if array.size not in self._keys:
            self._keys[array.size] = OWN_KEYS + len(self._keys)
            self.kvstore.init(self._keys[array.size], self._mx.nd.zeros_like(array))
        key, out = self._keys[array.size], self._mx.nd.empty(array.shape)
        self.kvstore.push(key, array)
        self.kvstore.pull(key, out)
        return out.asnumpy().astype(np.uint16)

    def watch(self, stop):
        self.member.watch(stop)

    def meet(self, stop, due=False):
        asked = [stop.number == number for number in STOPS]
        interrupt, terminate, save = self.sum([*asked, due]) > 0
        if terminate or interrupt:
            stop.number = signal.SIGTERM if terminate else signal.SIGINT
        return bool(terminate or interrupt), bool(save)

    def agree(self, what, number):
        numbers = self.gather(number)
        others = np.flatnonzero(numbers != numbers[0])
        if len(others):
            who = ", ".join(map(str, others))
            raise MXNetSegError(
                f"{what} of worker {who} differ from those of worker 0: give all workers the same "
                "files and the same version of everything."
            )

    def agree_on(self, experiment, dataset, net):
        self.agree("The settings", _crc(common_settings(experiment)))
        self.agree("The training images", _crc("\n".join(dataset.names)))
        self.agree("The initial parameters", checksum(net))

    def average_statistics(self, net):
        from .health import running_statistics

        parameters = running_statistics(net)
        if not parameters:
            return
        arrays = [p.data(p.list_ctx()[0]).asnumpy() for p in parameters]
        means = self.sum(np.concatenate([a.ravel() for a in arrays])) / self.size
        ends = np.cumsum([a.size for a in arrays])[:-1]
        for parameter, array, mean in zip(parameters, arrays, np.split(means, ends)):
            mean = mean.reshape(array.shape).astype(array.dtype)
            parameter.set_data(self._mx.nd.array(mean, dtype=array.dtype))

    def share(self, text):
        return self._broadcast(text.encode() if self.rank == 0 else b"").decode()

    def read(self, path, reader):
        if self.rank == 0:
            found = reader(path)
            self._broadcast(Path(path).read_bytes())
            return found
        content = self._broadcast(b"")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            copy.write_bytes(content)
            return reader(copy)

    def _broadcast(self, content):
        """The bytes of worker 0."""
        length = int(self.gather(len(content))[0])
        size = CHUNK if length > SMALL else SMALL
        received = []
        for start in range(0, length, size):
            part = np.zeros(size, np.uint8)
            own = np.frombuffer(content[start : start + size], np.uint8)
            part[: len(own)] = own
            received.append(self._exchange(part.view(np.uint16)).tobytes())
        return b"".join(received)[:length]


def common_settings(experiment):
    """The experiment as text, without what may be another thing on another host."""
    settings = experiment.model_dump(mode="json")
    for path in (*PATHS, "data.workers"):
        section, key = path.split(".")
        del settings[section][key]
    return json.dumps(settings, sort_keys=True)


def _crc(text):
    return zlib.crc32(text.encode("utf-8", "surrogateescape"))


def checksum(net):
    """Of all parameters on the first device."""
    from .. import checkpoint  # imports MXNet, which a scheduler and a server must not do here

    return checkpoint.checksum(checkpoint.values(net))


@contextlib.contextmanager
def joined(environment=None):
    """The Group that the variables DMLC_* ask for; without DMLC_ROLE this process is alone.

    To be entered before MXNet is imported. A scheduler or server does its work here and does not
    come back. What fails in the block ends all workers; what is saved there is theirs.
    """
    environment = os.environ if environment is None else environment
    if not environment.get("DMLC_ROLE"):
        yield ALONE
        return
    settings = rollcall.Settings(environment)
    if settings.role != "worker":
        serving.serve(settings)
    member = rollcall.Member(settings)
    serving.watch_signals(member.stop)  # until training has its own Signals
    member.wait()
    rollcall.use_addresses(member)
    try:
        group = Workers(member)
        yield group
        group.sum([0])  # nobody leaves before all have what they asked for
        member.finish()
        _leave(0)
    except BaseException as error:
        code = getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1)
        if getattr(error, "together", False):
            member.finish()
            if member.rank:
                os._exit(code)  # worker 0 says it
        else:
            member.fail(str(error).split("\n")[0] or type(error).__name__)
        _leave(code)
        raise


def _leave(code):
    """Have the process end without MXNet's good-bye, in which it waits for its peers."""

    def leave():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    atexit.register(leave)
    timer = threading.Timer(LEAVE, leave)  # a thread that waits within MXNet holds it up
    timer.daemon = True
    timer.start()
