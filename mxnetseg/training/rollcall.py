"""Who is in a group of processes, and how each learns that another one is gone.

MXNet's own transport waits for ever for a process that died. So every process of a group keeps a
connection to the scheduler's, beside MXNet's, at the next port: it says who it is there, gets its
rank once all have come, and from then on each side says every second that it lives. Whoever dies,
fails or falls silent is named to all others, which end with that sentence.

A message is a line of JSON. Nothing here imports MXNet: importing it *is* to serve, in a process
whose DMLC_ROLE is scheduler or server.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time

from ..errors import MXNetSegError, UsageError

BEAT = 1.0  # seconds between two signs of life
LOST = 20.0  # seconds of silence until a process counts as lost
JOIN = 45.0  # seconds that a group waits for the next process to come; MXNETSEG_JOIN_SECONDS
LAUNCHED = "MXNETSEG_LAUNCHED"  # set where a launcher shows what the scheduler says


class Settings:
    """What the variables DMLC_* say: MXNet's own, and the same in every process of a group.

    Attributes:
        role: worker, server or scheduler.
        address: (host, port) of the roll call, one above the scheduler's port.
        workers, servers: how many processes of each.
    """

    def __init__(self, environment):
        self.role = environment["DMLC_ROLE"]
        if self.role not in ("worker", "server", "scheduler"):
            raise UsageError(f"DMLC_ROLE is worker, server or scheduler, not '{self.role}'.")
        names = ("DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")
        missing = [n for n in ("DMLC_PS_ROOT_URI", *names) if not environment.get(n)]
        if missing:
            raise UsageError(
                f"DMLC_ROLE asks for a group of processes, but {', '.join(missing)} must be set "
                "too. `mxnetseg launch` sets all; docs/several-machines.md lists them."
            )
        try:
            port, self.workers, self.servers = (int(environment[n]) for n in names)
        except ValueError:
            raise UsageError(f"{', '.join(names)} are numbers.") from None
        if self.workers < 1 or self.servers < 1 or not 0 < port < 65535:
            raise UsageError(
                "A group needs a worker and a server or more, and a port below 65535: see "
                f"{', '.join(names)}."
            )
        self.address = (environment["DMLC_PS_ROOT_URI"], port + 1)
        self.patience = float(environment.get("MXNETSEG_JOIN_SECONDS", JOIN))
        rank = environment.get("MXNETSEG_RANK")
        self.wanted = int(rank) if rank and self.role == "worker" else None

    @property
    def where(self):
        return "{}:{}".format(*self.address)


def named(member):
    """``worker 1 on host b (process 123)`` of what a process says of itself."""
    rank = "" if member.get("rank") is None else f" {member['rank']}"
    return f"{member['role']}{rank} on host {member['host']} (process {member['process']})"


class Line:
    """A connection that speaks lines of JSON."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(LOST)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = connection.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()

    def say(self, **message):
        """Send a message; what cannot be sent is noticed by whoever reads."""
        with self._lock, contextlib.suppress(OSError):
            self.socket.sendall((json.dumps(message) + "\n").encode())

    def hear(self):
        """The next message; None: the other end is gone. TimeoutError: it is silent."""
        try:
            line = self._reader.readline(1 << 16)
        except socket.timeout:
            raise TimeoutError from None
        except (OSError, ValueError):
            return None
        try:
            message = json.loads(line) if line else None
        except ValueError:
            return None
        return message if isinstance(message, dict) else None

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


# --- everybody else's side ----------------------------------------------------------------------


class Member:
    """This process's place in the group.

    Attributes:
        rank: among the processes of its role.
        size: how many workers there are.
        host: the address under which others reach this machine.
    """

    def __init__(self, settings):
        self.settings, self.size = settings, settings.workers
        self.rank, self._finished = None, False
        self._stopped, self._signals = None, None  # what others were sent; what this process is
        self._me = {"role": settings.role, "host": socket.gethostname(), "process": os.getpid()}
        self._line = Line(self._connect())
        self.host = self._line.socket.getsockname()[0]
        self.scheduler = self._line.socket.getpeername()[0]
        self._line.say(**self._me, wanted=settings.wanted)
        self._ranked = threading.Event()
        for work in (self._listen, self._beat):
            threading.Thread(target=work, daemon=True).start()

    @property
    def name(self):
        return named({**self._me, "rank": self.rank})

    def _connect(self):
        end = time.monotonic() + self.settings.patience
        while True:
            try:
                return socket.create_connection(self.settings.address, timeout=5)
            except OSError as error:
                if time.monotonic() > end:
                    raise MXNetSegError(
                        f"{self.name} cannot reach the scheduler at {self.settings.where} for "
                        f"{self.settings.patience:.0f} s ({error.strerror or error}). Is it "
                        "started, the address right, and this port and the one below it open?"
                    ) from None
                time.sleep(0.3)

    def wait(self):
        """Wait until all have come; the scheduler sees to it that this takes no longer."""
        self._ranked.wait()

    def stop(self, number):
        """Ask all workers to stop at their next common step."""
        self._line.say(stop=int(number))

    def watch(self, signals):
        """Let a signal that any worker gets be known to ``signals``, a ``Signals``, of all."""
        self._signals = signals
        self._pass_on()

    def _pass_on(self):
        if self._signals and self._stopped and not self._signals.is_set():
            self._signals.number = self._stopped

    def fail(self, sentence):
        """Tell all others why this process ends; they end too."""
        self._finished = True
        self._line.say(failed=sentence)

    def finish(self):
        """Tell that this process has done its part."""
        self._finished = True
        self._line.say(finished=True)

    @contextlib.contextmanager
    def within(self, seconds, sentence):
        """End the group with ``sentence`` unless the block ends within ``seconds``."""
        done = threading.Event()

        def guard():
            if not done.wait(seconds):
                self.fail(sentence)
                _end(f"{self.name}: {sentence}")

        threading.Thread(target=guard, daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _listen(self):
        scheduler = f"the scheduler at {self.settings.where}"
        try:
            while True:
                message = self._line.hear()
                if message is None:
                    self._gone(f"{scheduler} died")
                    return
                if "rank" in message:
                    self.rank = message["rank"]
                    self._ranked.set()
                if "failed" in message:
                    self._gone(message["failed"], message.get("code", 1), told=True)
                if message.get("stop"):
                    self._stopped = message["stop"]
                    self._pass_on()
                if message.get("over"):
                    self._over()
        except TimeoutError:
            self._gone(f"{scheduler} gave no sign of life for {LOST:.0f} s")

    def _over(self):
        """All workers are done: a server has nothing more to do."""
        if self.settings.role == "server":
            os._exit(0)

    def _gone(self, sentence, code=1, told=False):
        if not self._finished:
            shown = told and os.environ.get(LAUNCHED)  # by the scheduler
            _end(None if shown else sentence, code)

    def _beat(self):
        while True:
            time.sleep(BEAT)
            signals = self._signals
            if signals and signals.is_set() and not self._stopped:
                self.stop(signals.number)
            else:
                self._line.say(beat=True)


def say(sentence):
    advice = "--resume goes on from its last checkpoint, if there is one."
    with contextlib.suppress(OSError):
        text = f"\nmxnetseg: the group has ended: {sentence.rstrip('.')}. {advice}\n"
        os.write(sys.__stderr__.fileno(), text.encode())


def _end(sentence, code=1):
    """End this process at once: its main thread may wait for ever within MXNet."""
    if sentence:
        say(sentence)
    os._exit(code)


def ask_to_stop(settings, number):
    """Ask a group to stop, from outside; whether its scheduler could be reached."""
    try:
        with contextlib.closing(socket.create_connection(settings.address, timeout=5)) as plug:
            line = Line(plug)
            line.say(role="launcher", host=socket.gethostname(), process=os.getpid())
            line.say(stop=int(number))
            plug.shutdown(socket.SHUT_WR)
            while line.hear():  # until it has read that
                pass
    except OSError:
        return False
    return True


def use_addresses(member):
    """Let MXNet's transport use the addresses that the roll call was reached by."""
    os.environ.setdefault("DMLC_NODE_HOST", member.host)
    os.environ["DMLC_PS_ROOT_URI"] = member.scheduler
