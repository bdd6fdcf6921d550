"""SIGINT and SIGTERM: a run that is stopped is saved first, and one that is stuck can be ended."""

import contextlib
import os
import signal
import sys
import threading

from ..errors import MXNetSegError

STOPS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 60  # seconds until a run that does not react is ended


class Interrupted(MXNetSegError):
    """SIGINT or SIGTERM arrived; the run is saved in ``path``.

    Attributes:
        exit_code: 130 or 143, as for other programs that a signal ends.
        together: all workers of a group raise it at the same step.
    """

    together = True

    def __init__(self, path, number):
        super().__init__(f"Interrupted. The run is saved; continue with --resume {path}")
        self.path, self.exit_code = path, 128 + number


class Signals:
    """Notes SIGINT and SIGTERM in the ``with`` block, for the run to stop at its next step.

    A second signal ends the process at once; so does ``PATIENCE`` without :meth:`reacted`. A thread
    sees to that, woken by the system itself: Python's handlers never run while the main thread
    waits within MXNet.

    Attributes:
        number: of the signal that arrived; None: none did.
    """

    def __init__(self):
        self.number = None
        self._reacted = threading.Event()

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            for number in STOPS:
                self._before[number] = signal.signal(number, self._arrived)
            self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(self._read,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            os.close(self._write)  # ends the thread, which closes the other end

    def is_set(self):
        """Whether the run shall stop."""
        return self.number is not None

    def reacted(self):
        """If a signal arrived, the run has seen it and saves: only a second one ends it now."""
        if self.is_set():
            self._reacted.set()

    def _arrived(self, number, frame):
        self.number = number

    def _watch(self, pipe):
        seen = 0
        while True:
            arrived = os.read(pipe, 64)
            if not arrived:
                break
            for number in arrived:
                if number not in STOPS:
                    continue
                seen += 1
                self.number = self.number or number
                if seen == 2:
                    _end(number, "a second signal arrived")
                threading.Thread(target=self._wait, args=(number,), daemon=True).start()
        os.close(pipe)

    def _wait(self, number):
        if not self._reacted.wait(PATIENCE):
            _end(number, f"the run did not react for {PATIENCE} s")


class Until:
    """A data set that ends the run, which is saved in ``path``, when a signal has arrived."""

    def __init__(self, dataset, stop, path):
        self.dataset, self.stop, self.path = dataset, stop, path

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if self.stop.is_set():
            self.stop.reacted()
            raise Interrupted(self.path, self.stop.number)
        return self.dataset[index]


def _end(number, reason):
    text = f"mxnetseg: ended without saving: {reason}. --resume goes on from the last checkpoint.\n"
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno(), text.encode())
    os._exit(128 + number)
