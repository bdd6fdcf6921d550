"""Every recorded answer of an original network, through ``convert.from_original``.

The records lie in ``tests/reference``; see the page there.
"""

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import convert
from tests.reference import synthetic

HERE = Path(__file__).resolve().parents[1] / "reference"
LARGE = ("setr_pup_vit_large_16",)


def _manifests():
    for path in sorted(HERE.glob("*/*.json")):
        marks = [pytest.mark.slow] if path.stem in LARGE else []
        yield pytest.param(path, id=f"{path.parent.name}/{path.stem}", marks=marks)


def _tolerance(spec, index, output):
    if spec["system"].startswith("pmsdsen"):
        return 1e-4 * np.abs(output).max()
    role = spec["outputs"][index]
    factor = 1e-2 if spec["variant"].startswith("fapn") and role == "main" else 1e-3
    return factor * output.std()


@pytest.mark.parametrize("path", _manifests())
def test_equals_the_original(path):
    spec = synthetic.manifest(path)
    if spec["system"] not in convert.SYSTEMS:
        pytest.skip(f"{spec['system']} is not supported")
    state = synthetic.checkpoint(spec)
    net = convert.from_original(spec["system"], spec["build"], state)
    # main comes first here, whatever the original's order
    names = getattr(net, "output_names", ("main",))
    if hasattr(net, "upsample_outputs"):
        net.upsample_outputs = spec["resolution"] == "input"
    for hybrid in (False, True):
        net.hybridize(hybrid)
        for case, expected in zip(spec["cases"], synthetic.expected(path).values()):
            outputs = net(mx.nd.array(synthetic.image(case["shape"], case["seed"])))
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            if spec["outputs"][0] == "scores":
                expected = expected[:1]  # a classifier; its stages are tested with the backbones
            assert len(outputs) == len(expected)
            order = sorted(range(len(expected)), key=lambda i: spec["outputs"][i] != "main")
            for ours, theirs in zip(range(len(names)), order):
                got = outputs[ours].asnumpy()
                assert list(got.shape) == list(case["output_shapes"][theirs])
                if got.ndim == 4:
                    got = got[:, :, :: synthetic.STRIDE, :: synthetic.STRIDE]
                want = expected[theirs]
                assert np.abs(got - want).max() <= _tolerance(spec, theirs, want)

    back = convert.to_original(spec["system"], spec["build"], net)
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)
