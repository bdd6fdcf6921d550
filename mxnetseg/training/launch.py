"""Start the processes of a group: here, over ssh, or as tasks of SLURM."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

from .. import runtime
from ..errors import MXNetSegError, UsageError
from . import rollcall
from .signals import STOPS

PORT = 9200  # of the scheduler, where several hosts must know it beforehand
GRACE = 30  # seconds that processes have to end after the first one failed
EARLY = "Stopped before the group had come together."
CARRIED = ("MXNET", "OPENBLAS_", "PYTHONPATH", "CUDA_VISIBLE_DEVICES", "WANDB_")
LOCAL = ("localhost", "127.0.0.1")


class Stopped(MXNetSegError):
    """A signal ended the group. exit_code: 130 or 143, as for other programs."""

    def __init__(self, sentence, number):
        super().__init__(sentence)
        self.exit_code = 128 + number


class Process:
    """One process of the group: what it is called, where it runs, and its variables."""

    def __init__(self, role, host, variables):
        self.role, self.host, self.variables = role, host, {"DMLC_ROLE": role, **variables}


def plan(workers, servers, hosts, address, port):
    """The processes of a group that one launcher starts.

    Args:
        hosts: names for ssh; "localhost" is here. Workers and servers are dealt out in turn.
        address, port: where the scheduler, which runs here, is reached.

    Returns:
        [Process], the scheduler first.
    """
    common = variables(workers, servers, address, port)
    processes = [Process("scheduler", "localhost", common)]
    places = [("server", k) for k in range(servers)] + [("worker", k) for k in range(workers)]
    for k, (role, number) in enumerate(places):
        host = hosts[number % len(hosts)]
        own = {"MXNETSEG_RANK": str(number)} if role == "worker" else {}
        if address not in LOCAL:  # known ports, so that a firewall can let them through
            own["PORT"] = str(port + 2 + k)
        if role == "worker":
            share = sum(n % len(hosts) == number % len(hosts) for n in range(workers))
            own.update(_threads(share))
        processes.append(Process(role, host, {**common, **own}))
    return processes


def variables(workers, servers, address, port):
    """What all processes of a group are told; ``rollcall.Settings`` reads it."""
    return {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(workers),
        "DMLC_NUM_SERVER": str(servers),
        rollcall.LAUNCHED: "1",
    }


def slurm_plan(workers, servers, environment, port=None):
    """What a task of SLURM starts: its worker, its servers, and in the first task the scheduler."""
    try:
        rank, tasks = int(environment["SLURM_PROCID"]), int(environment["SLURM_NTASKS"])
        nodes = environment.get("SLURM_STEP_NODELIST") or environment["SLURM_JOB_NODELIST"]
        job = int(environment.get("SLURM_JOB_ID", 0))
    except (KeyError, ValueError):
        raise UsageError(
            "--slurm is for tasks that srun started: srun --ntasks 4 mxnetseg launch --slurm -- "
            "train ..."
        ) from None
    if workers not in (None, tasks):
        raise UsageError(
            f"srun started {tasks} tasks, a worker each, not {workers}: drop --workers."
        )
    port = port or 20000 + job % 20000
    common = variables(tasks, servers, first_host(nodes), port)
    del common[rollcall.LAUNCHED]  # a task sees what its own processes say
    here = [Process("scheduler", "localhost", common)] if rank == 0 else []
    here += [
        Process("server", "localhost", {**common, "PORT": str(port + 2 + k)})
        for k in range(rank, servers, tasks)
    ]
    own = {"MXNETSEG_RANK": str(rank), "PORT": str(port + 2 + servers + rank)}
    return [*here, Process("worker", "localhost", {**common, **own})]


def first_host(nodes):
    """``node[07-09,12],other`` -> ``node07``."""
    found = re.match(r"([^\[,]+)(?:\[(\w+)[^\]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in found.groups())


def own_address(hosts):
    """The address of this machine that other hosts reach."""
    others = [host for host in hosts if host not in LOCAL]
    if not others:
        return "127.0.0.1"
    target = others[0].rpartition("@")[2]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))  # sends nothing
            return probe.getsockname()[0]
    except OSError as error:
        raise MXNetSegError(
            f"Host {target} is not known here ({error.strerror or error}). Check --hosts, or give "
            "this machine's address with --address."
        ) from None


def free_port():
    """A port that is free here, and the next one too."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                two.bind(("127.0.0.1", port + 1))
                return port
    raise MXNetSegError("No two ports in a row are free here. Choose one with --port.")


def run(processes, command):
    """Start processes of ``mxnetseg COMMAND``, and wait for them.

    SIGINT and SIGTERM stop all workers at their next common step; a second one ends them at once.

    Returns:
        The exit code: worker 0's, or that of the process that failed.
    """
    signals = []
    before = {
        number: signal.signal(number, lambda number, _: signals.append(number)) for number in STOPS
    }
    children = []
    try:
        for process in processes:
            children.append(_start(process, command))
        return _watch(processes, children, signals)
    finally:
        for child in children:
            if child.poll() is None:
                with contextlib.suppress(OSError):
                    os.killpg(child.pid, signal.SIGKILL)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(process, command):
    arguments = [sys.executable, "-m", "mxnetseg", *command]
    environment = {**os.environ, **process.variables}
    if process.host not in LOCAL:
        arguments = over_ssh(process, arguments)
        environment = None
    # a session of its own: Ctrl-C reaches the launcher alone, which passes it on in good order
    return subprocess.Popen(
        arguments, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )


def over_ssh(process, arguments):
    """The command that runs ``arguments`` on the process's host, in this folder."""
    carried = {k: v for k, v in os.environ.items() if k.startswith(CARRIED)}
    pairs = [f"{k}={v}" for k, v in {**carried, **process.variables}.items()]
    line = " ".join(shlex.quote(word) for word in ["exec", "env", *pairs, *arguments][1:])
    ssh = shlex.split(os.environ.get("MXNETSEG_SSH", "ssh -o BatchMode=yes -o ConnectTimeout=20"))
    return [*ssh, process.host, f"cd {shlex.quote(os.getcwd())} && exec {line}"]


def _watch(processes, children, signals):
    """Wait for all; what one of them says of its end decides over the others."""
    failed, passed_on = None, 0
    while any(child.poll() is None for child in children):
        if len(signals) > passed_on:
            passed_on = len(signals)
            if passed_on > 1:
                raise Stopped(
                    "A second signal ended all processes at once. --resume goes on from the last "
                    "checkpoint, if there is one.", signals[-1],
                )  # fmt: skip
            if not rollcall.ask_to_stop(rollcall.Settings(processes[0].variables), signals[0]):
                raise Stopped(EARLY, signals[0])
        codes = [child.poll() for child in children]
        stopped = [number for number in STOPS if -number in codes]
        if stopped and not signals:  # a process that was not far enough to ask for it itself
            signals.append(stopped[0])
        bad = [k for k, code in enumerate(codes) if code and _signal(code) not in STOPS]
        if bad and failed is None:
            failed = bad[0], time.monotonic()
        if failed and time.monotonic() - failed[1] > (1 if _lost(processes, children) else GRACE):
            break
        time.sleep(0.1)
    if failed:
        process = processes[failed[0]]
        if _lost([process], [children[failed[0]]]):
            raise MXNetSegError(
                f"ssh cannot start the {process.role} on {process.host}, or lost it: see above."
            )
        if any(child.poll() is None for child in children):
            how = children[failed[0]].returncode
            how = f"with {how}" if how > 0 else f"by signal {-how}"
            raise MXNetSegError(f"The {process.role} on {process.host} ended {how}, see above.")
        return max(1, *(child.poll() or 0 for child in children))
    code = next(c.returncode for p, c in zip(processes, children) if p.role == "worker")
    if code < 0:
        raise Stopped(EARLY, signals[0])
    return code


def _signal(code):
    """The number of the signal that an exit code tells of, or None."""
    return -code if code < 0 else code - 128 if code > 128 else None


def _lost(processes, children):
    """Whether ssh, and not what it started, failed."""
    return any(
        p.host not in LOCAL and child.returncode == 255 for p, child in zip(processes, children)
    )


def _threads(workers):
    """Workers of one machine share its cores; a number that the user chose stays."""
    cores, chosen = runtime.usable_cores(), os.environ["OMP_NUM_THREADS"]
    if chosen != str(cores):
        return {"OMP_NUM_THREADS": chosen}
    return {"OMP_NUM_THREADS": str(max(1, cores // workers))} if workers > 1 else {}
