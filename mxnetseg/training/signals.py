"""SIGINT and SIGTERM: a run that is stopped is saved first."""

import signal
import threading


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived; the run is saved in ``path``."""

    def __init__(self, path):
        super().__init__(f"Interrupted. The run is saved; continue with --resume {path}")
        self.path = path


class Signals:
    """An event that SIGINT and SIGTERM set; a second signal acts as usual."""

    def __enter__(self):
        self.event = threading.Event()
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._arrived)
        return self.event

    def _arrived(self, number, frame):
        self.event.set()
        signal.signal(number, self._before[number])

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)
