"""Which way of running a network is taken: who takes part, who wins, what is remembered."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mxnetseg import checkpoint, cli, data, packages, runtime
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference.protocol import Protocol
from mxnetseg.tuning import auto, memory, proof, race, subject, ways
from mxnetseg.tuning.crew import Crew
from mxnetseg.tuning.race import Entry, Example
from mxnetseg.tuning.ways import PLAIN, USUAL, Way

from .settled import settled
from .tiny import image

ONNX = "needs pip install onnx onnxruntime"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mxnetseg"


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """A checkpoint on `synthetic`."""
    info = data.info("synthetic")
    net = settled("eprnet", info.num_classes)
    path = tmp_path_factory.mktemp("tuned") / "net.params"
    experiment = {"data": {"name": "synthetic"}}
    checkpoint.save(path, net, checkpoint.describe(net, info, experiment=experiment))
    return path


@pytest.fixture
def one(params):
    return subject.of_path(params)


# --- whether two networks give the same --------------------------------------------------------


def logits(seed=0):
    return np.random.RandomState(seed).normal(0, 2, (2, 5, 40, 50)).astype(np.float32)


def test_rounding_is_equal():
    wanted = logits()
    verdict = proof.compare(wanted + np.float32(1e-5), wanted)
    assert verdict.equal and verdict.largest < 1e-4 and verdict.agreement == 1
    assert proof.compare(wanted, wanted)[:3] == (True, 0, 0)


def test_a_few_values_that_rounding_moved_are_equal():
    """As AlignSeg does it: large differences at few places, none of which is clear."""
    wanted = logits()
    best = wanted[0, :, 0, 0].argmax()
    found = wanted.copy()
    found[0, best, 0, 0] += 0.05
    verdict = proof.compare(found, wanted)
    assert verdict.largest > 10 * proof.TOLERANCE and verdict.equal


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x[:, ::-1],  # classes in another order
        lambda x: 1.1 * x,  # the same classes, other probabilities
        lambda x: x + np.float32(0.01) * logits(1),  # as bfloat16
        lambda x: np.roll(x, 1, axis=3),
        lambda x: x[..., :-1],
        lambda x: np.where(x > 4, np.nan, x),
        lambda x: np.zeros_like(x),
    ],
)
def test_what_is_wrong_is_not_equal(wrong):
    wanted = logits()
    verdict = proof.compare(wrong(wanted), wanted)
    assert not verdict.equal and str(verdict)


# --- who takes part and who wins ---------------------------------------------------------------


class Fake:
    """A backend that gives the logits that it was told to; see ``started``."""

    def __init__(self, way, factor=1.0):
        self.way, self.factor, self.runtime = way, factor, {"name": way.runtime}

    def __call__(self, images, padded=None, context=0):
        if self.way.runtime == "fails":
            raise MXNetSegError("it fails for images of this size")
        return _Handle(self.factor * logits())


class _Handle:
    def __init__(self, values):
        self.values = values

    def asnumpy(self):
        return self.values


def started(monkeypatch, **factors):
    """Make ``ways.start`` give Fakes; a runtime's logits are multiplied by its factor."""
    monkeypatch.setattr(ways, "start", lambda way, *rest: Fake(way, factors.get(way.runtime, 1.0)))


def paced(monkeypatch, **seconds):
    """Let the passes of a runtime, or of fused and not fused MXNet, take the given seconds."""
    clock = {"now": 0.0}
    monkeypatch.setattr(race.time, "perf_counter", lambda: clock["now"])
    real = Fake.__call__

    def call(self, *args, **more):
        name = self.way.runtime + "_fused" * self.way.fused
        clock["now"] += seconds.get(name, 1.0)
        return real(self, *args, **more)

    monkeypatch.setattr(Fake, "__call__", call)


TRIED = [Example(np.zeros((1, 8, 8, 3), np.uint8))]
CHOICES = [PLAIN, USUAL, Way("onnxruntime"), Way("openvino", static=True), Way("fails")]


def test_the_fastest_that_is_equal_wins(monkeypatch):
    started(monkeypatch, openvino=1.01)
    paced(monkeypatch, mxnet_fused=0.8, onnxruntime=0.4, openvino=0.1)
    entries, _ = race.enter(None, CHOICES, TRIED)
    assert [bool(e.why) for e in entries] == [False, False, False, True, True]
    assert "not equal" in entries[3].why and "it fails" in entries[4].why
    race.quick(entries)
    entry, ratio = race.best(entries)
    assert entry.way == Way("onnxruntime") and ratio == pytest.approx(0.5)
    assert len(entries[0].seconds) == 1  # far behind after the first turn
    assert not entries[3].seconds and not entries[4].seconds


def test_a_gain_within_the_noise_is_none(monkeypatch):
    started(monkeypatch)
    paced(monkeypatch, mxnet_fused=1.0, onnxruntime=0.98, openvino=0.99)
    entries, _ = race.enter(None, CHOICES, TRIED)
    race.quick(entries)
    assert race.best(entries) == (entries[1], 1.0)


def test_luck_of_one_turn_is_no_gain():
    entries = [Entry(USUAL, seconds=[1.0, 3.0, 3.0]), Entry(PLAIN, seconds=[1.0, 1.1, 1.1])]
    assert race.best(entries) == (entries[0], 1.0)


def test_not_fused_can_win(monkeypatch):
    started(monkeypatch)
    paced(monkeypatch, mxnet=0.74, mxnet_fused=1.0)
    entries, _ = race.enter(None, CHOICES[:2], TRIED)
    race.quick(entries)
    assert race.best(entries)[0].way == PLAIN


def test_the_first_way_has_to_work(monkeypatch):
    started(monkeypatch)
    with pytest.raises(MXNetSegError, match="it fails"):
        race.enter(None, [Way("fails"), PLAIN], TRIED)


# --- what is remembered ------------------------------------------------------------------------


def about(**changes):
    return {**memory.facts("abc", (1, 8, 8), ["cpu"]), **changes}


def test_a_choice_is_found_again(cache):
    assert memory.recall(about()) is None
    assert memory.remember(about(), {"way": 1})
    assert memory.remember(about(network="other"), {"way": 2})
    assert memory.recall(about()) == {"way": 1}
    for change in (
        {"network": "abd"}, {"input": [2, 8, 8]}, {"devices": None}, {"processor": "6502"},
        {"threads": 99}, {"versions": {**memory.versions(), "openvino": "1.0"}},
    ):  # fmt: skip
        assert memory.recall(about(**change)) is None
    assert set(memory.versions()) == {"mxnetseg", "mxnet", "onnxruntime", "openvino"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"format": 1}', b'{"format": 99, "choices": {}}',
     b'{"format": 1, "choices": {"a": 3}}', b'{"format": 1, "choices": []}', b"[" * 100000],
)  # fmt: skip
def test_a_broken_cache_is_ignored(cache, capsys, content):
    cache.mkdir(parents=True)
    (cache / "tuned.json").write_bytes(content)
    assert memory.recall(about()) is None
    assert "ignored" in capsys.readouterr().err
    assert memory.remember(about(), {"way": 1}) and memory.recall(about()) == {"way": 1}
    assert capsys.readouterr().err == ""


def test_a_cache_that_cannot_be_written_costs_a_sentence(cache, capsys):
    cache.parent.write_text("a file where the folder should be")
    assert memory.recall(about()) is None and not memory.remember(about(), {})
    assert "is not kept" in capsys.readouterr().err


def test_old_choices_and_networks_go(cache, monkeypatch):
    monkeypatch.setattr(memory, "CHOICES", 3)
    monkeypatch.setattr(memory, "EXPORTS", 2)
    for k in range(5):
        monkeypatch.setattr(memory.time, "strftime", lambda _, k=k: f"2026-01-0{k}")
        memory.remember(about(network=str(k)), {"way": k})
        path = memory.exported(f"{k}" * 20)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (k, k))
    kept = [memory.recall(about(network=str(k))) for k in range(5)]
    assert kept == [None, None, {"way": 2}, {"way": 3}, {"way": 4}]
    memory.keep(memory.exported("1" * 20))
    assert sorted(p.name[0] for p in memory.exported("1" * 20).parent.iterdir()) == ["1", "4"]


@pytest.mark.parametrize(
    "value",
    [None, 3, {}, {"runtime": "mxnet"}, {**ways.as_json(PLAIN), "threads": 0},
     {**ways.as_json(PLAIN), "threads": True}, {**ways.as_json(PLAIN), "runtime": "tvm"},
     {**ways.as_json(PLAIN), "threads": 4096}, {**ways.as_json(PLAIN), "more": 1},
     {**ways.as_json(PLAIN), "fused": "yes"}, {**ways.as_json(PLAIN), "precision": "int4"}],
)  # fmt: skip
def test_ways_that_are_none(value):
    assert ways.from_json(value) is None
    assert ways.from_json(ways.as_json(USUAL)) == USUAL._replace(threads=runtime.thread_limit())


# --- real networks -----------------------------------------------------------------------------


def test_ways_of_a_network(one, monkeypatch):
    monkeypatch.setattr(packages, "version", lambda name: None)
    assert ways.of(one, ["cpu"], quick=True) == [PLAIN, USUAL]
    monkeypatch.setattr(packages, "version", lambda name: "1")
    found = ways.of(one, ["cpu"])
    assert found[0] == PLAIN and len(found) == len(set(found)) == 7
    assert {w.runtime for w in found} == {"mxnet", "onnxruntime", "openvino"}


def test_without_other_runtimes(one, monkeypatch, cache):
    monkeypatch.setattr(packages, "version", lambda name: None)
    photo = lambda: (image(40, 48), Protocol())  # noqa: E731
    backend, why = auto.start(one, ["cpu"], photo)
    assert backend.runtime["name"] == "mxnet" and "measured now" in why
    backend, why = auto.start(one, ["cpu"], photo)
    assert backend.runtime["name"] == "mxnet" and "measured before" in why


def test_what_a_network_is_given(one):
    divisor = one.rules.size_divisor
    up = lambda n: -(-n // divisor) * divisor  # noqa: E731

    def shape(protocol, size=(50, 70)):
        return auto.shape(one, auto.seen(one, image(*size), protocol))

    assert shape(Protocol()) == (1, up(50), up(70))
    assert shape(Protocol(scales=(0.5, 2.0))) == (1, up(100), up(140))
    assert shape(Protocol(flip=True))[1:] == (up(50), up(70))
    windows = Protocol(mode="slide", crop_size=(32, 32))
    assert shape(windows)[1:] == (up(32), up(32))
    assert shape(windows, (400, 500))[1:] == (up(32), up(32))


def test_threads_of_mxnet(one):
    """Another number of threads, in a process and here, gives the same."""
    tried = race.examples(Example(image(40, 48)[None]))
    entries, wanted = race.enter(one, [PLAIN, USUAL], tried, ["cpu"])
    with Crew(one, None, [PLAIN, USUAL], 1, tried, wanted) as crew:
        others = crew.entries()
        assert [e.way.threads for e in others] == [1, 1]
        assert not others[0].why and others[0].verdict.equal
        others[0].run()
    backend = ways.start(PLAIN._replace(threads=1), one, ["cpu"])
    assert backend.runtime["threads"] == 1 and not backend.fused
    found = backend(tried[0].images).asnumpy()
    assert proof.compare(found, wanted[0].logits).equal
    runtime.engine_threads(runtime.thread_limit())


def test_a_process_that_dies_says_so(one, monkeypatch):
    with Crew(one, None, [PLAIN], 1, TRIED, [proof.Wanted(logits())]) as crew:
        crew._process.kill()
        with pytest.raises(MXNetSegError, match="1 thread ended"):
            crew.entries()
    with Crew(one, None, [PLAIN], 1, TRIED, [proof.Wanted(logits())]) as crew:
        entries = crew.entries()
        crew._process.kill()
        crew._process.wait()
        with pytest.raises(MXNetSegError, match="1 thread ended"):
            entries[0].run()


SMALL = ["data.options.size=[48,64]", "data.options.scenes=2"]


def run_eval(path, out, *more):
    command = ["eval", "--checkpoint", str(path), "--runtime", "auto", "--ctx", "cpu"]
    assert cli.main([*command, *more, "-o", str(out), "--set", *SMALL]) == 0
    return json.loads((Path(out) / "results.json").read_text())


def test_auto_end_to_end(params, tmp_path, cache, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason=ONNX)
    real = race.best
    fastest = Way("onnxruntime")

    def best(entries):  # whatever this machine says
        real(entries)
        return next(e for e in entries if e.way == fastest), 0.5

    monkeypatch.setattr(race, "best", best)
    first = run_eval(params, tmp_path / "1")
    assert "measured now" in capsys.readouterr().out
    assert len(list((cache / "networks").iterdir())) == 1
    second = run_eval(params, tmp_path / "2")
    assert "onnxruntime, " in capsys.readouterr().out
    usual = ["eval", "--checkpoint", str(params), "--ctx", "cpu", "-o", str(tmp_path / "3")]
    assert cli.main([*usual, "--set", *SMALL]) == 0
    third = json.loads((tmp_path / "3/results.json").read_text())
    for found in (first, second):
        assert found["runtime"]["name"] == "onnxruntime"
        assert found["runtime"]["threads"] == runtime.thread_limit()
        assert found["runtime"]["precision"] == "float32" and found["runtime"]["version"]
        assert found["miou"] == pytest.approx(third["miou"], abs=1e-3)
    assert third["runtime"]["name"] == "mxnet" and third["runtime"]["threads"]


def test_a_wrong_runtime_is_never_taken(params, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason=ONNX)
    from mxnetseg.inference import runtimes

    def wrong(self, x):
        return np.ascontiguousarray(self._run[0](x)[:, ::-1])

    monkeypatch.setattr(runtimes.RuntimeBackend, "_forward", lambda self, k, x: wrong(self, x))
    assert run_eval(params, tmp_path / "1")["runtime"]["name"] == "mxnet"
    capsys.readouterr()
    command = ["speed", str(params), "--tune", "--size", "32", "64", "--repeats", "1", "--json"]
    assert cli.main([*command, "--warmup", "0", "--ctx", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["choice"]["way"]["runtime"] == "mxnet"
    rows = [row for row in found["rounds"][0] if row["runtime"] != "mxnet"]
    assert rows and all("not equal" in row["why_not"] for row in rows)


def test_an_exported_network_that_is_damaged_is_made_again(params, cache):
    pytest.importorskip("onnxruntime", reason=ONNX)
    path = memory.exported(subject.of_path(params).identity)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no network")
    assert subject.of_path(params).network_file().model.graph.node
    assert path.stat().st_size > 1000


def test_a_choice_that_no_longer_runs(one, monkeypatch, capsys):
    monkeypatch.setattr(packages, "version", lambda name: None)
    photo = image(40, 48), Protocol()
    facts = memory.facts(one.identity, auto.shape(one, auto.seen(one, *photo)), ["cpu"])
    real = ways.start

    def start(way, *rest):
        if way.runtime == "openvino":
            raise MXNetSegError("it is gone.")
        return real(way, *rest)

    monkeypatch.setattr(ways, "start", start)
    way = ways.as_json(Way("openvino"))
    memory.remember(facts, {"way": way, "ratio": 0.5, "usual": "mxnet fused"})
    backend, _ = auto.start(one, ["cpu"], lambda: photo)
    assert backend.runtime["name"] == "mxnet" and "it is gone" in capsys.readouterr().err
    for damaged in ({"way": way}, {"way": ways.as_json(PLAIN), "ratio": "x", "usual": 3}):
        memory.remember(facts, damaged)
        assert "measured now" in auto.start(one, ["cpu"], lambda: photo)[1]


def test_predict_takes_the_first_image_that_can_be_read(params, tmp_path, capsys):
    import cv2

    (tmp_path / "a.png").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "b.png"), image(40, 48))
    command = ["predict", "--checkpoint", str(params), "--runtime", "auto", "--ctx", "cpu"]
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert cli.main([*command, *files, "-o", str(tmp_path / "out")]) == 1
    assert "1 of 2 images" in capsys.readouterr().out
    assert cli.main([*command, files[0], "-o", str(tmp_path / "out")]) == 1
    assert "a.png" in capsys.readouterr().err


@pytest.mark.parametrize("more", (["--runtime", "mxnet"], ["--compare", "fcn"], ["--fuse", "no"],
                                  ["--protocol", "pidnet"], ["--stages", "network"],
                                  ["--ctx", "cpu", "cpu"]))  # fmt: skip
def test_tune_tries_all_anyway(more, capsys):
    assert cli.main(["speed", "streets", "--tune", *more]) == 2
    assert "--tune" in capsys.readouterr().err


def test_a_gpu_that_is_not_there(one):
    with pytest.raises(UsageError, match="GPU 9"):
        auto.start(one, ["9"], lambda: (image(40, 48), Protocol()))


def test_no_passes_to_tune_with(capsys):
    assert cli.main(["speed", "pidnet_s", "--tune", "--batch", "0"]) == 2
    assert "counted from 1" in capsys.readouterr().err
