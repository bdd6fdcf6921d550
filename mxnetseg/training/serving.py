"""A group's scheduler and its servers, and the roll call that the scheduler holds."""

import os
import signal
import socket
import threading
import time

from ..columns import counted
from ..errors import MXNetSegError
from .rollcall import BEAT, LAUNCHED, LOST, Line, Member, named, say, use_addresses
from .signals import STOPS


class Service:
    """Calls the roll and watches over the group, in threads; ends its process with the group."""

    def __init__(self, settings):
        self.settings = settings
        self._lock = threading.RLock()
        self._members, self._complete, self._over = [], False, {}
        self._arrival = time.monotonic()
        self._launcher = os.getppid() if os.environ.get(LAUNCHED) else None
        host = "127.0.0.1" if settings.address[0] in ("localhost", "127.0.0.1") else ""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, settings.address[1]))
        except OSError as error:
            raise MXNetSegError(
                f"The scheduler cannot listen at port {settings.address[1]}: {error.strerror}. "
                "Choose another port: `mxnetseg launch --port`, or DMLC_PS_ROOT_PORT."
            ) from None
        self._socket.listen(128)
        for work in (self._accept, self._tick):
            threading.Thread(target=work, daemon=True).start()

    def stop(self, number):
        """Ask all workers to stop at their next common step; before all have come: end."""
        with self._lock:
            complete = self._complete
            if complete:
                self._tell(stop=number)
        if not complete:
            self._end(f"it was stopped by signal {number} before all had come", 128 + number)

    def fail(self, sentence):
        """End the whole group with a sentence that says why."""
        self._end(sentence, 1)

    def _end(self, sentence, code):
        with self._lock:
            if self._over:
                return
            self._over = {"failed": sentence, "code": code} if code else {"over": True}
            self._tell(**self._over)
        if code:
            say(sentence)
        time.sleep(0.5)  # what was told is read; a socket that closes earlier may take it back
        os._exit(code)

    def _tell(self, **message):
        for _, line in self._members:
            line.say(**message)

    def _accept(self):
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        line = Line(connection)
        member = None
        try:
            member = line.hear()
            if not member or not {"role", "host", "process"} <= set(member):
                line.close()  # a stranger
                return
            self._enter(member, line)
            while True:
                message = line.hear()
                if message is None:
                    line.close()
                    self._left(member, line, "died")
                    return
                if "failed" in message:
                    self._left(member, line, f"ended: {message['failed']}")
                if message.get("finished"):
                    member["finished"] = True
                    self._check_end()
                if message.get("stop"):
                    self.stop(message["stop"])
        except TimeoutError:
            if member:
                self._left(member, line, f"gave no sign of life for {LOST:.0f} s")

    def _enter(self, member, line):
        with self._lock:
            counts = {"worker": self.settings.workers, "server": self.settings.servers}
            if member["role"] not in counts:  # asks for something, and goes
                return
            if self._over:
                line.say(**self._over)
                return
            there = sum(m["role"] == member["role"] for m, _ in self._members)
            if there >= counts[member["role"]]:
                line.say(failed=f"the group has all its {member['role']}s already")
                return
            self._members.append((member, line))
            self._arrival = time.monotonic()
            if self._missing() or self._complete:
                return
            self._complete = True
            for role in counts:
                _number([m for m, _ in self._members if m["role"] == role])
            for m, other in self._members:
                other.say(rank=m.get("rank"))

    def _missing(self):
        roles = [m["role"] for m, _ in self._members]
        return (
            self.settings.workers - roles.count("worker")
            + self.settings.servers - roles.count("server")
        )  # fmt: skip

    def _left(self, member, line, how):
        with self._lock:
            if member.get("finished") or (member, line) not in self._members:
                return
        self.fail(f"{named(member)} {how}")

    def _check_end(self):
        with self._lock:
            workers = [m for m, _ in self._members if m["role"] == "worker"]
            ended = len(workers) == self.settings.workers and all(
                m.get("finished") for m in workers
            )
        if ended:
            self._end("", 0)

    def _tick(self):
        while True:
            time.sleep(BEAT)
            with self._lock:
                self._tell(beat=True)
                late = time.monotonic() - self._arrival > self.settings.patience
                missing = self._missing() and not self._complete
                there = [named(m) for m, _ in self._members]
            if self._launcher and os.getppid() != self._launcher:
                self.fail("its launcher died")
            if late and missing:
                self.fail(
                    f"the scheduler on host {socket.gethostname()} waited "
                    f"{self.settings.patience:.0f} s in vain for "
                    f"{counted(self.settings.workers, 'worker')} and "
                    f"{counted(self.settings.servers, 'server')}; there are: "
                    f"{', '.join(there) or 'none'}"
                )


def _number(members):
    """Give ranks: those that are wanted, and the free ones in the order of arrival."""
    count = len(members)
    free = list(range(count))
    for member in members:
        wanted = member.get("wanted")
        if isinstance(wanted, int) and wanted in free:
            free.remove(wanted)
            member["rank"] = wanted
    for member in members:
        if member.get("rank") is None:
            member["rank"] = free.pop(0)


# --- the processes ------------------------------------------------------------------------------


def serve(settings):
    """Be the group's scheduler or one of its servers; does not return.

    A signal asks the workers to stop. They need this process until their run is saved.
    """
    if settings.role == "scheduler":
        watched = Service(settings)
        watch_signals(watched.stop)
        if not settings.address[0].startswith(("127.", "localhost")):
            # listen at all addresses: the host's own name may mean 127.0.1.1 here
            os.environ.setdefault("DMLC_USE_KUBERNETES", "1")
            os.environ["DMLC_PS_ROOT_URI"] = socket.gethostbyname(settings.address[0])
    else:
        watched = Member(settings)
        watch_signals(watched.stop)
        watched.wait()
        use_addresses(watched)
    import mxnet  # noqa: F401  serves until this process is ended

    os._exit(0)


def watch_signals(stop):
    """Have SIGINT and SIGTERM call ``stop(number)`` from now on, a second one end the process.

    Python's handlers do not run while MXNet works; the pipe that wakes it up is read here.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for number in STOPS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch():
        seen = 0
        while True:
            for number in os.read(reading, 64):
                if number in STOPS:
                    seen += 1
                    if seen > 1:
                        os._exit(128 + number)
                    stop(number)

    threading.Thread(target=watch, daemon=True).start()
