"""EPRNet: options of trunk, head and classifier; conversion of each."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import convert, models
from mxnetseg.backbones.eprnet import EPRNetClassifier, PyramidBlock
from mxnetseg.convert import pretrained
from mxnetseg.errors import UsageError
from tests.gradients import check_gradients


def _state(net, build):
    return convert.to_original("mxnetseg", build, net)


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("activation", ["prelu", "relu", "hard_swish", "none"])
def test_conversion_of_every_activation(light, activation):
    build = {"network": "EPRNet", "nclass": 4, "light": light, "activation": activation}
    net = models.create("eprnet", 4, light=light, activation=activation)
    state = _state(net, build)
    assert ("layer1.0.act.act.alpha" in state) == (activation == "prelu")
    assert ("layer1.0.pyramid.conv1x1.conv.weight" in state) == (not light)
    x = mx.nd.random.normal(shape=(1, 3, 37, 50))
    again = convert.from_original("mxnetseg", build, state)
    np.testing.assert_array_equal(again(x)[0].asnumpy(), net(x)[0].asnumpy())


def test_classifier_with_other_widths_and_dropout():
    build = {"network": "EPRNetCls", "classes": 7, "drop": 0.5, "channels": [8, 16, 32, 96]}
    net = EPRNetClassifier(7, dropout=0.5, widths=(8, 16, 32, 96))
    net.initialize(mx.init.Xavier())
    state = _state(net, build)
    assert state["linear.weight"].shape == (7, 96)
    x = mx.nd.random.normal(shape=(2, 3, 40, 33))
    again = convert.from_original("mxnetseg", build, state)
    scores = again(x)
    assert scores.shape == (2, 7)
    np.testing.assert_array_equal(scores.asnumpy(), net(x).asnumpy())


def test_impossible_widths_are_refused():
    with pytest.raises(UsageError, match="multiple"):
        EPRNetClassifier(7, widths=(8, 16, 24, 48))


def test_an_unknown_option_of_the_classifier_is_named():
    with pytest.raises(UsageError, match="light"):
        convert.from_original("mxnetseg", {"network": "EPRNetCls", "ligth": True}, {})


def test_a_classifier_fits_the_segmentation_network():
    trunk = EPRNetClassifier(10).backbone._collect_params_with_prefix()
    other = models.create("eprnet", 4).backbone._collect_params_with_prefix()
    assert {n: p.shape for n, p in trunk.items()} == {n: p.shape for n, p in other.items()}


@pytest.mark.parametrize("original", [False, True])
def test_a_classifiers_file_starts_the_segmentation_network(tmp_path, original):
    classifier = EPRNetClassifier(5)
    classifier.initialize(mx.init.Xavier())
    file = str(tmp_path / "eprnetcls.params")
    if original:
        state = _state(classifier, {"network": "EPRNetCls", "classes": 5})
        mx.nd.save(file, {name: mx.nd.array(value) for name, value in state.items()})
    else:
        classifier.save_parameters(file)
    net = models.create("eprnet", 4)
    pretrained.load(net, file)
    want = classifier.backbone._collect_params_with_prefix()
    for name, parameter in net.backbone._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), want[name].data().asnumpy())


def test_dropout_acts_in_training_only():
    mx.random.seed(0)
    net = models.create("eprnet", 4, dropout=0.5)
    x = mx.nd.random.normal(shape=(1, 3, 32, 32))
    np.testing.assert_array_equal(net(x)[0].asnumpy(), net(x)[0].asnumpy())
    with autograd.train_mode():
        assert np.abs((net(x)[0] - net(x)[0]).asnumpy()).max() > 0


@pytest.mark.parametrize("light", [False, True])
def test_gradients_of_a_block(light):
    mx.random.seed(0)
    block = PyramidBlock(3, 6, 2, (1, 2, 4), light, "prelu")
    block.initialize(mx.init.Xavier())
    check_gradients(block, [np.random.RandomState(0).randn(2, 3, 6, 7).astype("f4")], step=5e-4)
