"""The backward pass against automatic differentiation and finite differences, on two hundred random networks.

Both programs are traced and run by NumPy (see `interpret`): compiling four hundred of them would take minutes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations, backprop
from jaxann.backprop.table import LAYERS
from jaxann.core.factories import known_factories
from jaxann.core.products import Layer
from jaxann.core.trees import flatten_named
from jaxann.train.objective import batch_sums
from tests.backprop.interpret import run
from tests.backprop.nets import Net, draw_model, draw_net
from tests.tolerances import close

NETS, CHUNK = 200, 20


def _written(net: Net) -> Any:
    """By hand: gradients, gradient of x, cost, state and predictions."""

    def program(params, x):
        trace = backprop.backward(
            net.model, params, net.state, x, net.y, net.loss, net.key, net.train, weights=net.weights, mask=net.mask
        )
        return trace.grads, trace.input_grad, trace.loss, trace.state, trace.predictions

    return jax.make_jaxpr(program)(net.params, net.x)


def _differentiated(net: Net) -> tuple[Any, Any]:
    """The same by `jax.grad`, and the names of the outputs."""
    weights = None if net.weights is None else jnp.asarray(net.weights)

    def cost(params, x):
        y, state = net.model.apply(params, net.state, x, key=net.key, train=net.train, mask=net.mask)
        total, weight = batch_sums(net.loss, y, net.y, weights)
        return total / jnp.where(weight == 0, 1, weight), (state, y)

    def program(params, x):
        (value, seen), grads = jax.value_and_grad(cost, (0, 1), has_aux=True)(params, x)
        return *grads, value, *seen

    jaxpr, shapes = jax.make_jaxpr(program, return_shape=True)(net.params, net.x)
    parts = dict(zip(("params", "x", "cost", "state", "predictions"), shapes, strict=True))
    return jaxpr, [name for part, tree in parts.items() for name in flatten_named({part: tree})]


def _largest(arrays: Any) -> float:
    return max((np.abs(a).max() for a in arrays if a.size), default=0.0)


def _kinds(layer: Layer) -> set[str]:
    """Names of all layers and activations inside."""
    found = {layer._factory.name}
    function = layer.arguments.get("activation")
    if function is not None:
        found.add(function if isinstance(function, str) else function.func.__name__)
    for value in layer.arguments.values():
        for inner in value.values() if isinstance(value, dict) else (value,):
            found |= _kinds(inner) if isinstance(inner, Layer) else set()
    return found


def test_the_networks_hold_everything():
    """Every layer there is, every activation, and so a rule for each."""
    found = set().union(*(_kinds(draw_model(number)) for number in range(NETS)))
    made = {name for name in known_factories() if name.startswith("layers.")} - {"layers.custom"}
    assert found & made == made == set(LAYERS)
    assert found - made == {*activations.__all__} - {"by_name"}


@pytest.mark.parametrize("chunk", range(NETS // CHUNK))
def test_backward_is_autodiff_and_finite_differences(chunk: int, x64: None):
    for number in range(CHUNK * chunk, CHUNK * (chunk + 1)):
        net = draw_net(number)
        program, (autodiff, names) = _written(net), _differentiated(net)
        point = jax.tree.leaves((net.params, net.x))
        ours, wanted = run(program, *point), run(autodiff, *point)
        assert len(ours) == len(wanted) == len(names)
        # A gradient that is 0 but for rounding has no relative size: it is measured by the others, or by the cost.
        floor = 1e-3 * max(1.0, _largest(wanted[: len(point)]))
        tolerance = close("float64", "reduction")
        for name, a, b in zip(names, ours, wanted, strict=True):
            scale = max(_largest([b]), floor)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=f"net {number}: {name}")
        if "straight_through" not in repr(net.model):  # whose slope is not the derivative
            _assert_differences(number, program, point, ours[: len(point)], names.index("cost"))


def _assert_differences(number: int, program: Any, point: list, gradient: list, cost: int) -> None:
    """The slope along a random direction that leans up the gradient, so that it is no sum of what cancels."""
    random = np.random.default_rng(number)
    noise = [random.normal(size=np.shape(p)) for p in point]
    up, across = (np.sqrt(sum(np.sum(v * v) for v in part)) for part in (gradient, noise))
    if up < 1e-6:  # a flat cost: there is nothing that a difference of costs could tell
        return
    direction = [g / up + n / across for g, n in zip(gradient, noise, strict=True)]
    step = 1e-5
    moved = [[p + s * d for p, d in zip(point, direction, strict=True)] for s in (step, -step)]
    ends = [run(program, *there, only=cost)[0] for there in moved]
    slope = sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True))
    difference = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(difference, slope, rtol=close("float64", "gradient"), err_msg=f"net {number}")
