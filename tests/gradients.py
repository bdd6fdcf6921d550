"""Gradients of a block: hybridised = eager = finite differences."""

import mxnet as mx
import numpy as np
from mxnet import autograd


def loss_and_gradients(block, inputs, hybrid, seed=0):
    """A weighted sum of the block's outputs, and its gradient for inputs and parameters."""
    block.hybridize(hybrid)
    arrays = [mx.nd.array(x) for x in inputs]
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        outputs = block(*arrays)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        rng = np.random.RandomState(seed)
        loss = sum((y * mx.nd.array(rng.standard_normal(y.shape))).sum() for y in outputs)
    loss.backward()
    gradients = {str(i): x.grad.asnumpy() for i, x in enumerate(arrays)}
    for name, p in block._collect_params_with_prefix().items():
        if p.grad_req != "null":
            gradients[name] = p.grad().asnumpy()
    return float(loss.asscalar()), gradients


def check_gradients(block, inputs, step=1e-2, tolerance=2e-2):
    """Assert that the three agree; finite differences along one random direction per array.

    Works in float32: choose inputs of moderate size and steps that cross no kink.
    """
    _, eager = loss_and_gradients(block, inputs, False)
    _, hybrid = loss_and_gradients(block, inputs, True)
    scale = max(np.abs(g).max() for g in eager.values())
    for name, gradient in eager.items():
        np.testing.assert_allclose(
            hybrid[name], gradient, rtol=1e-4, atol=1e-5 * scale, err_msg=name
        )
    parameters = block._collect_params_with_prefix()
    rng = np.random.RandomState(1)
    for name, gradient in eager.items():
        # mostly along the gradient, so that the difference stands out of the rounding
        unit = gradient / (np.linalg.norm(gradient) + 1e-12)
        direction = unit + 0.3 * rng.standard_normal(gradient.shape) / np.sqrt(gradient.size)
        direction = (direction / np.linalg.norm(direction)).astype(np.float32)
        values = []
        for sign in (1, -1):
            moved = list(inputs)
            if name.isdigit():
                moved[int(name)] = inputs[int(name)] + sign * step * direction
            else:
                start = parameters[name].data().copy()
                parameters[name].set_data(start + sign * step * mx.nd.array(direction))
            values.append(loss_and_gradients(block, moved, False)[0])
            if not name.isdigit():
                parameters[name].set_data(start)
        want = (gradient * direction).sum()
        got = (values[0] - values[1]) / (2 * step)
        assert abs(got - want) <= tolerance * np.linalg.norm(gradient) + 1e-4 * scale, (
            name,
            got,
            want,
        )
