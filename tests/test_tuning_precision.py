"""Lower precision in the choice of ways: who takes part, what is right, what is remembered."""

import json

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import checkpoint, cli, data, packages
from mxnetseg.deploy import forms, integers, quantize
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import onnxfile, runtimes
from mxnetseg.inference.protocol import Protocol
from mxnetseg.tuning import auto, crew, memory, proof, race, subject, ways
from mxnetseg.tuning.race import Entry, Example
from mxnetseg.tuning.ways import PLAIN, USUAL, Way

from .settled import settled
from .tiny import image

OPENVINO = Way("openvino", static=True)
BF16 = OPENVINO._replace(precision="bf16")
INT8 = Way("onnxruntime", precision="int8")
TRIED = [Example(np.zeros((1, 8, 8, 3), np.uint8))]
SMALL = ["data.options.size=[48,64]", "data.options.scenes=2"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """A checkpoint on `synthetic`."""
    info = data.info("synthetic")
    net = settled("swiftnet", info.num_classes, "mobilenet_v2_1_0", width=32)
    path = tmp_path_factory.mktemp("float") / "net.params"
    experiment = {"data": {"name": "synthetic", "options": {"size": [64, 96], "scenes": 4}}}
    checkpoint.save(path, net, checkpoint.describe(net, info, experiment=experiment))
    return path


def logits(seed=0):
    return np.random.RandomState(seed).normal(0, 2, (2, 5, 40, 50)).astype(np.float32)


# --- what is right -----------------------------------------------------------------------------


def test_rounding_to_bfloat16():
    values = np.random.RandomState(0).normal(0, 3, 10000).astype(np.float32)
    found = proof._bfloat16(values)
    assert found.dtype == np.float32 and not (found.view(np.uint32) & 0xFFFF).any()
    off = np.abs(found / values - 1)
    assert 2.0**-10 < off.max() <= 2.0**-8  # half a step of 8 bits, of the smallest of a binade
    ties = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8, 0], np.float32)
    np.testing.assert_array_equal(proof._bfloat16(ties), [1, 1 + 2.0**-6, -1, 0])


@pytest.mark.parametrize("precision", ("bf16", "int8"))
def test_as_far_off_as_rounding_is_right(precision):
    wanted, allowed = logits(), proof.limits(precision, 0.02)
    assert proof.compare(wanted + np.float32(0.03) * wanted.std() * logits(1) / 2, wanted, allowed)[
        0
    ]
    assert not proof.compare(wanted + np.float32(0.1) * logits(1), wanted, allowed)[0]
    assert not proof.compare(wanted[:, ::-1], wanted, allowed)[0]
    coarse = proof.limits(precision, 5.0)  # even there, not all is right
    assert coarse.rms == proof.MOST
    assert not proof.compare(np.roll(wanted, 1, axis=3), wanted, coarse)[0]


def test_a_shift_of_the_classes_is_wrong_however_small():
    """Right by the mean square, but clear pixels have other classes."""
    wanted = np.zeros((1, 2, 10, 10), np.float32)
    wanted[:, 0], wanted[:, 1, :5] = 1, 3
    found = wanted.copy()
    found[0, :, 0, :2] = found[0, ::-1, 0, :2]
    allowed = proof.limits("bf16", 0.1)
    verdict = proof.compare(found, wanted, allowed)
    assert verdict.rms <= allowed.rms and verdict.agreement == 0.98 and not verdict.equal


# --- who takes part ----------------------------------------------------------------------------


class Fake:
    """A backend whose logits differ from the right ones by some noise."""

    runtime = {"name": "fake"}

    def __init__(self, noise, seed=1):
        self.values = logits() + np.float32(noise) * logits(seed)

    def __call__(self, images, padded=None, context=0):
        return self

    def asnumpy(self):
        return self.values

    def normalized(self, images, padded=None):
        return images.astype(np.float32)

    def run(self, x):
        return self.values + np.float32(0.02) * logits(2)


def started(monkeypatch, off):
    """Make ways give Fakes that are ``off[way]`` from the right; an error is raised."""

    def start(way, *rest):
        value = off.get(way, 0.0)
        if isinstance(value, Exception):
            raise value
        return Fake(value)

    monkeypatch.setattr(ways, "start", start)
    monkeypatch.setattr(ways, "rounded", lambda *_: Fake(0.02, 3))


CHOICES = [PLAIN, USUAL, OPENVINO, BF16]


def reasons(monkeypatch, off, choices=CHOICES):
    started(monkeypatch, off)
    monkeypatch.setattr(ways, "_foreign", lambda subject: True)
    return {e.way: e.why for e in crew.enter(None, choices, TRIED, None)[0]}


def test_bfloat16_takes_part_where_it_is_right(monkeypatch):
    assert not any(
        reasons(monkeypatch, {BF16: 0.04}).values()
    )  # noise is 0.02, three times as much
    assert "not equal" in reasons(monkeypatch, {BF16: 0.1})[BF16]
    found = reasons(monkeypatch, {OPENVINO: 0.04, BF16: 0.04})  # a wrong graph, hidden by rounding
    assert "not equal" in found[OPENVINO] and found[BF16] == "openvino static takes no part"


def test_integers_are_held_against_their_own_noise(monkeypatch):
    other = INT8._replace(runtime="mxnet")
    assert not any(reasons(monkeypatch, {other: 0.04}, [INT8, other]).values())
    assert "not equal" in reasons(monkeypatch, {other: 0.1}, [INT8, other])[other]


def test_what_may_crash_is_tried_in_a_process_of_its_own(monkeypatch):
    class Crew:
        why = None

        def __init__(self, subject, onnx, choices, *rest):
            if self.why is None:
                raise MXNetSegError("The process with 2 threads ended: Segmentation fault: 11")
            self.way = choices[0]

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731

        def entries(self):
            return [Entry(self.way._replace(threads=2), why=self.why)]

    monkeypatch.setattr(crew, "Crew", Crew)
    way = INT8._replace(runtime="openvino", static=True)
    assert "Segmentation fault" in reasons(monkeypatch, {}, [INT8, way])[way]
    Crew.why = "not equal: by far"
    assert reasons(monkeypatch, {}, [INT8, way])[way] == "not equal: by far"
    Crew.why = ""
    assert reasons(monkeypatch, {}, [INT8, way]) == {INT8: "", way: ""}


def test_ways_of_a_precision(params, monkeypatch):
    one = subject.of_path(params)
    monkeypatch.setattr(packages, "version", lambda name: "1")
    assert not any(way.precision != "float32" for way in ways.of(one, ["cpu"]))
    lower = [w for w in ways.of(one, ["cpu"], lower="bf16") if w.precision != "float32"]
    assert lower == [BF16._replace(static=None), BF16]
    assert [w for w in ways.of(one, ["cpu"], True, "bf16") if w.precision != "float32"] == [BF16]
    monkeypatch.setattr(packages, "version", lambda name: None)
    assert ways.of(one, ["cpu"], True, "bf16") == [PLAIN, USUAL, BF16]  # to say why not


def test_names_of_ways():
    assert [str(w) for w in (BF16, INT8, Way("mxnet", static=False, precision="int8"))] == [
        "openvino static bf16", "onnxruntime int8", "mxnet dynamic int8",
    ]  # fmt: skip
    assert ways.from_json({**ways.as_json(BF16), "threads": 1}) == BF16._replace(threads=1)


# --- what is chosen, said and remembered -------------------------------------------------------


def photo():
    return image(40, 48), Protocol()


def test_a_choice_belongs_to_its_precision(params, monkeypatch):
    """bf16 is chosen only for who asks for it, also the second time."""
    monkeypatch.setattr(packages, "version", lambda name: "1")
    started(monkeypatch, {BF16: 0.03})
    monkeypatch.setattr(race, "quick", lambda entries: None)
    monkeypatch.setattr(
        race, "best", lambda entries: (next(e for e in entries[::-1] if not e.why), 0.5)
    )
    one = subject.of_path(params)
    for when in ("now", "before"):
        _, said = auto.start(one, ["cpu"], photo, "bf16")
        assert "openvino static bf16" in said and "near as bfloat16" in said and when in said
        _, said = auto.start(one, ["cpu"], photo)
        assert "bf16" not in said and "with equal results" in said and when in said
    facts = memory.facts("abc", (1, 8, 8), ["cpu"])
    assert memory.key(facts) != memory.key(memory.facts("abc", (1, 8, 8), ["cpu"], "bf16"))


def test_without_bfloat16_there_is_a_sentence(params, monkeypatch):
    monkeypatch.setattr(packages, "version", lambda name: None)
    started(monkeypatch, {BF16: UsageError("This processor has no bfloat16.")})
    for when in ("now", "before"):
        _, said = auto.start(subject.of_path(params), ["cpu"], photo, "bf16")
        first, second = said.splitlines()
        assert when in first and "mxnet" in first
        assert second == "bf16 takes no part: This processor has no bfloat16."


@pytest.mark.parametrize("has", (True, False))
def test_tune_with_bfloat16(params, has, monkeypatch, capsys):
    for name in ("onnx", "openvino"):
        pytest.importorskip(name, reason="needs pip install onnx openvino")
    import openvino

    if has and not runtimes.has_bfloat16(openvino.Core()):
        pytest.skip("this processor has no bfloat16")
    monkeypatch.setattr(runtimes, "has_bfloat16", lambda core: has)
    command = ["speed", str(params), "--tune", "--size", "64", "96", "--ctx", "cpu"]
    few = ["--precision", "bf16", "--repeats", "1", "--warmup", "0"]
    assert cli.main([*command, *few, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["rounds"][0]}
    for name in ("openvino bf16", "openvino static bf16"):
        if has:
            assert not rows[name]["why_not"] and rows[name]["passes"]
            assert proof.TOLERANCE < rows[name]["rms"] <= proof.MOST
        else:
            assert "no bfloat16" in rows[name]["why_not"]
    assert ("no bfloat16" in (found["choice"]["left_out"] or "")) != has
    assert rows["openvino static"]["rms"] < proof.TOLERANCE
    assert cli.main([*command, *few]) == 0
    said = capsys.readouterr().out
    assert "same class" in said and "openvino static bf16" in said


def test_precisions_that_cannot_be(params, capsys):
    for more, words in (
        (["--precision", "int8"], "mxnetseg quantize"),
        (["--precision", "bf16", "--fuse", "no"], "drop --fuse"),
    ):
        assert cli.main(["speed", str(params), "--tune", *more]) == 2
        assert words in capsys.readouterr().err
    command = ["eval", "--checkpoint", str(params), "--runtime", "auto", "--precision", "int8"]
    assert cli.main(command) == 2
    assert "mxnetseg quantize" in capsys.readouterr().err


# --- files of integers -------------------------------------------------------------------------


@pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet has no oneDNN"
)
def test_integers_of_mxnet(params, tmp_path, capsys):
    saved, path = checkpoint.read(params), tmp_path / "int8.params"
    backend = integers.start(saved)
    images = (backend.normalized(image(64, 96, k)[None]) for k in range(4))
    integers.write(path, saved, integers.Quantizer(saved, images).network(), {})
    command = ["eval", "--checkpoint", str(path), "--runtime", "auto", "-o", str(tmp_path / "e")]
    for when, more in (("now", []), ("before", ["--precision", "int8"])):
        assert cli.main([*command, *more, "--set", *SMALL]) == 0
        said = capsys.readouterr().out
        assert "runtime auto: mxnet" in said and "int8" in said and when in said
        result = json.loads((tmp_path / "e/results.json").read_text())
        assert result["runtime"]["name"] == "mxnet" and result["runtime"]["precision"] == "int8"
    few = ["--size", "64", "96", "--repeats", "1", "--warmup", "0", "--json"]
    assert cli.main(["speed", str(path), "--tune", *few]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rounds"][0]] == ["mxnet int8", "mxnet dynamic int8"]
    assert not any(row["why_not"] for rows in found["rounds"] for row in rows)
    assert found["choice"]["way"]["precision"] == "int8"
    assert cli.main(["speed", str(path), "--tune", "--precision", "bf16"]) == 2
    assert "float32 checkpoint" in capsys.readouterr().err


def test_integers_of_onnx(params, tmp_path, capsys):
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="needs pip install onnx onnxruntime")
    saved, path = checkpoint.read(params), tmp_path / "int8.onnx"
    model = forms.build(checkpoint.network(saved), saved.description, "classes")
    file = onnxfile.of_model(model)
    run = runtimes.start("onnxruntime", file, ["cpu"])
    images = (run.normalized(image(64, 96, k)[None]) for k in range(4))
    quantized = quantize.Quantizer(file, images).network()
    whole = quantize.surrounded(model, quantized, {"precision": json.dumps("int8")})
    onnxfile.seal(whole)
    path.write_bytes(whole.SerializeToString())
    few = ["--size", "64", "96", "--repeats", "1", "--warmup", "0", "--ctx", "cpu", "--json"]
    assert cli.main(["speed", str(path), "--tune", *few]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["rounds"][0]}
    assert (
        found["rounds"][0][0]["name"] == "onnxruntime int8" and rows["onnxruntime int8"]["passes"]
    )
    assert all(row["passes"] or row["why_not"] for row in rows.values())
    if packages.version("openvino"):
        assert set(rows) == {"onnxruntime int8", "openvino int8", "openvino static int8"}
    command = ["eval", "--checkpoint", str(path), "--runtime", "auto", "-o", str(tmp_path / "e")]
    more = ["--data", "synthetic", "--ctx", "cpu", "--set", *SMALL]
    assert cli.main([*command, *more]) == 0
    assert "int8" in capsys.readouterr().out
    result = json.loads((tmp_path / "e/results.json").read_text())
    assert result["runtime"]["precision"] == "int8"
    assert cli.main([*command[:3], "--runtime", "onnxruntime", *command[5:], *more]) == 0
    refused = [*command[:3], "--runtime", "openvino", *command[5:], *more]
    for other in (refused, ["speed", str(path), "--runtime", "openvino", *few]):
        assert cli.main(other) == 2
        assert "Give --runtime onnxruntime, or auto" in capsys.readouterr().err


def test_what_a_file_was_made_for_is_the_usual_way(monkeypatch):
    class File:
        in_mxnet, precision, path = False, "int8", "net_int8.onnx"
        meta = {"quantization": {"runtime": "openvino"}}
        network_file = lambda self: self  # noqa: E731

    theirs = INT8._replace(runtime="openvino")
    for module in (packages, runtimes):
        monkeypatch.setattr(module, "version", lambda name: "1")
    found = ways.of(File(), ["cpu"])
    assert found == [theirs, theirs._replace(static=True), INT8]
    assert not any(ways.risky(way, File()) for way in found)
    monkeypatch.setattr(File, "meta", {})
    found = ways.of(File(), ["cpu"])
    assert found == [INT8, theirs, theirs._replace(static=True)]
    assert [ways.risky(way, File()) for way in found] == [False, True, True]
