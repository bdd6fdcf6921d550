"""Groups of processes: who is in one, and what the others say when one is gone; without MXNet."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from mxnetseg import config
from mxnetseg.data import Loader, Part
from mxnetseg.errors import UsageError
from mxnetseg.training import group, launch, rollcall

PROCESS = """
import os, time
from mxnetseg.errors import MXNetSegError
from mxnetseg.training import rollcall, serving
rollcall.LOST = serving.LOST = float(os.environ["LOST"])
rollcall.BEAT = serving.BEAT = 0.2
settings = rollcall.Settings(os.environ)
if settings.role == "scheduler":
    serving.Service(settings)
    time.sleep(60)
try:
    member = rollcall.Member(settings)
except MXNetSegError as error:
    raise SystemExit(str(error))
member.wait()
print(member.rank, flush=True)
class Stop:
    number = None
    is_set = lambda self: self.number
stop = Stop()
member.watch(stop)
what = os.environ.get("WHAT")
if what == "fail":
    member.fail("the disk is full")
if what == "stop":
    stop.number = 15
while not stop.is_set() and what != "finish":
    time.sleep(0.05)
time.sleep(0.5)
member.finish()
time.sleep(60 if settings.role == "server" else 0)
"""


class Processes:
    """Processes of one group; they only hold the roll call."""

    def __init__(self, workers, servers=1, patience=20):
        self.port = launch.free_port()
        self.environment = {
            **os.environ,
            **launch.variables(workers, servers, "127.0.0.1", self.port),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MXNETSEG_JOIN_SECONDS": str(patience),
            "LOST": "20",
        }
        del self.environment[rollcall.LAUNCHED]
        self.all = []

    def start(self, role, **more):
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS], env={**self.environment, "DMLC_ROLE": role, **more},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.all.append(process)
        return process

    def end(self):
        for process in self.all:
            process.kill()
            process.communicate()


@pytest.fixture
def processes():
    made = []

    def make(*arguments, **options):
        if not made:
            made.append(Processes(*arguments, **options))
        return made[0]

    yield make
    made[0].end()


def says(process, within=15, code=1):
    """What a process says when it ends with a code."""
    _, text = process.communicate(timeout=within)
    assert process.returncode == code, text
    return text


def four(processes, **more):
    """A scheduler, a server, and two workers, the second of which asked to be the first."""
    cast = processes(2)
    found = [cast.start(role, **more) for role in ("scheduler", "server")]
    for rank in ("1", "0"):
        found.append(cast.start("worker", MXNETSEG_RANK=rank, **more))
    assert [p.stdout.readline() for p in found[1:]] == ["0\n", "1\n", "0\n"]
    return found


@pytest.mark.parametrize("victim, name", [(1, "server 0"), (2, "worker 1")])
def test_whoever_dies_is_named_to_all(processes, victim, name):
    found = four(processes)
    found[victim].send_signal(signal.SIGKILL)
    for process in [p for p in found if p is not found[victim]]:
        text = says(process)
        assert f"{name} on host {os.uname().nodename} (process {found[victim].pid}) died" in text


def test_a_scheduler_that_dies(processes):
    found = four(processes)
    found[0].send_signal(signal.SIGKILL)
    for process in found[1:]:
        assert "the scheduler at 127.0.0.1:" in says(process)


def test_a_worker_that_falls_silent(processes):
    found = four(processes, LOST="2")
    found[3].send_signal(signal.SIGSTOP)
    for process in found[:3]:
        assert "worker 0 on host" in says(process) and process.returncode == 1


def test_a_worker_that_fails_says_why(processes):
    cast = processes(2)
    found = [cast.start(role) for role in ("scheduler", "server", "worker")]
    cast.start("worker", WHAT="fail", MXNETSEG_RANK="1")
    for process in found:
        text = says(process)
        assert "worker 1 on host" in text and "ended: the disk is full. --resume" in text


def test_one_that_is_asked_to_stop_stops_all_and_all_end_well(processes):
    cast = processes(2)
    found = [cast.start("scheduler"), cast.start("server"), cast.start("worker")]
    found.append(cast.start("worker", WHAT="stop"))
    for process in found:
        _, text = process.communicate(timeout=15)
        assert process.returncode == 0 and text == ""


def test_a_stop_from_outside(processes):
    found = four(processes)
    settings = rollcall.Settings({**processes(2).environment, "DMLC_ROLE": "worker"})
    assert rollcall.ask_to_stop(settings, 15)
    for process in found:
        process.communicate(timeout=15)
        assert process.returncode == 0


def test_a_stop_before_all_have_come(processes):
    cast = processes(2)
    scheduler = cast.start("scheduler")
    settings = rollcall.Settings({**cast.environment, "DMLC_ROLE": "worker"})
    end = time.monotonic() + 20
    while True:
        try:
            line = rollcall.Line(socket.create_connection(settings.address))
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    line.say(role="worker", host="here", process=1)
    assert rollcall.ask_to_stop(settings, signal.SIGTERM)
    heard = next(message for message in iter(line.hear, None) if "failed" in message)
    line.close()
    assert heard == {"failed": "it was stopped by signal 15 before all had come", "code": 143}
    assert heard["failed"] in says(scheduler, code=143)


def test_a_scheduler_that_is_not_there(processes):
    worker = processes(2, patience=1).start("worker", MXNETSEG_RANK="1")
    text = says(worker)
    assert "worker on host" in text and "cannot reach the scheduler at 127.0.0.1:" in text


def test_a_worker_that_never_comes(processes):
    cast = processes(2, patience=3)
    found = [cast.start(role) for role in ("scheduler", "server", "worker")]
    for process in found:
        text = says(process)
        assert "in vain for 2 workers and 1 server;" in text
        assert f"worker on host {os.uname().nodename} (process {found[2].pid})" in text


def test_one_worker_too_many_is_sent_away_and_the_others_go_on(processes):
    found = four(processes)
    assert "has all its workers already" in says(processes(2).start("worker"))
    time.sleep(0.5)
    assert all(process.poll() is None for process in found)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"DMLC_ROLE": "boss"}, "worker, server or scheduler"),
        ({"DMLC_PS_ROOT_PORT": ""}, "DMLC_PS_ROOT_PORT must be set"),
        ({"DMLC_NUM_WORKER": "two"}, "are numbers"),
        ({"DMLC_NUM_SERVER": "0"}, "a server or more"),
    ],
)
def test_wrong_variables(change, message):
    variables = {"DMLC_ROLE": "worker", **launch.variables(2, 1, "host", 9200), **change}
    with pytest.raises(UsageError, match=message):
        rollcall.Settings(variables)


# --- what each worker gets ---------------------------------------------------------------------


class Numbers:
    """A data set of numbers."""

    info, split, root, has_masks = None, "val", None, True
    names = [str(k) for k in range(26)]

    def __len__(self):
        return 26

    def __getitem__(self, index):
        return np.full((2, 2, 3), index, np.uint8), np.zeros((2, 2), np.uint8), str(index)


def test_the_parts_of_a_batch_are_the_batch():
    def batches(part, epoch=3, begin=1):
        loader = Loader(Numbers(), 6, seed=7, shuffle=True, last="discard", workers=0, part=part)
        return [batch.names for batch in loader.epoch(epoch, begin)]

    whole = batches((0, 1))
    assert len(whole) == 3 and len({n for names in whole for n in names}) == 18
    for size in (2, 3):
        parts = [batches((rank, size)) for rank in range(size)]
        assert [sum(names, []) for names in zip(*parts)] == whole


def test_the_shares_of_a_validation_are_all_of_it():
    shares = [Part(Numbers(), rank, 3) for rank in range(3)]
    found = [share[k][2] for share in shares for k in range(len(share))]
    assert sorted(found, key=int) == Numbers.names
    assert [name for share in shares for name in share.names] == found


def test_one_process_is_alone():
    with group.joined({}) as alone:
        assert (alone.rank, alone.size, alone.kvstore) == (0, 1, None)
        assert alone.sum([1, 2]).tolist() == [1, 2] and alone.share("x") == "x"


# --- the launcher --------------------------------------------------------------------------------


def test_the_plan_for_this_machine():
    found = launch.plan(2, 1, ["localhost"], "127.0.0.1", 9300)
    assert [p.role for p in found] == ["scheduler", "server", "worker", "worker"]
    assert [p.variables.get("MXNETSEG_RANK") for p in found] == [None, None, "0", "1"]
    assert all("PORT" not in p.variables for p in found)


def test_the_plan_for_several_hosts(monkeypatch):
    monkeypatch.setenv("MXNETSEG_SSH", "ssh -p 2222")
    found = launch.plan(4, 2, ["a", "me@b"], "10.0.0.9", 9300)
    where = [(p.role, p.host, p.variables.get("PORT")) for p in found]
    assert where == [
        ("scheduler", "localhost", None), ("server", "a", "9302"), ("server", "me@b", "9303"),
        ("worker", "a", "9304"), ("worker", "me@b", "9305"), ("worker", "a", "9306"),
        ("worker", "me@b", "9307"),
    ]  # fmt: skip
    *ssh, line = launch.over_ssh(found[4], ["python", "-m", "mxnetseg", "train", "--out", "a b"])
    assert ssh == ["ssh", "-p", "2222", "me@b"]
    assert line.startswith(f"cd {os.getcwd()} && exec env ") and line.endswith("--out 'a b'")
    for pair in ("DMLC_ROLE=worker", "DMLC_PS_ROOT_URI=10.0.0.9", "MXNETSEG_RANK=1"):
        assert f" {pair} " in line


@pytest.mark.parametrize(
    "nodes, first",
    [("node7", "node7"), ("n[07-09,12],m3", "n07"), ("a,b", "a"), ("x[3,5]-ib,y", "x3-ib")],
)
def test_the_first_host_of_slurm(nodes, first):
    assert launch.first_host(nodes) == first


def test_the_tasks_of_slurm_start_the_whole_group_between_them():
    def task(rank):
        variables = {"SLURM_PROCID": str(rank), "SLURM_NTASKS": "3", "SLURM_JOB_ID": "41",
                     "SLURM_JOB_NODELIST": "n[1-3]"}  # fmt: skip
        return launch.slurm_plan(None, 2, variables)

    tasks = [task(rank) for rank in range(3)]
    roles = [[p.role for p in found] for found in tasks]
    assert roles == [["scheduler", "server", "worker"], ["server", "worker"], ["worker"]]
    everyone = [p for found in tasks for p in found]
    ports = [p.variables["PORT"] for p in everyone if "PORT" in p.variables]
    assert len(set(ports)) == len(ports) == 5
    assert {p.variables["DMLC_PS_ROOT_URI"] for p in everyone} == {"n1"}
    with pytest.raises(UsageError, match="drop --workers"):
        launch.slurm_plan(2, 1, {**os.environ, "SLURM_PROCID": "0", "SLURM_NTASKS": "3",
                                 "SLURM_JOB_NODELIST": "n1"})  # fmt: skip
    with pytest.raises(UsageError, match="srun"):
        launch.slurm_plan(None, 1, {})


def test_settings_that_may_differ_between_hosts():
    one = group.common_settings(config.build())
    for key in config.PATHS:
        assert group.common_settings(config.build({key: "/b"})) == one
    assert group.common_settings(config.build({"data.workers": 7})) == one
    assert group.common_settings(config.build({"optim.lr": 0.2})) != one
