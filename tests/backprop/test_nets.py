"""The backward pass against automatic differentiation and finite differences, on a hundred and twenty random networks.

Both programs are traced and run by NumPy (see `interpret`): compiling all of them would take minutes.
"""

from __future__ import annotations

import collections
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations, backprop
from jaxann.backprop.registry import LAYERS
from jaxann.core.products import Layer
from jaxann.core.tables import known_factories
from jaxann.core.trees import flatten_named
from tests.backprop.interpret import run
from tests.backprop.nets import Net, draw_model, draw_net
from tests.backprop.reference import mean_loss
from tests.catalogue import LOSSES as LOSS_ROWS
from tests.tolerances import close

NETS, CHUNK = 120, 20  # the first two tests say that so many hold everything


def _written(net: Net) -> Any:
    """By hand: gradients, gradient of x, cost, state and predictions."""

    def program(params, x):
        trace = backprop.backward(
            net.model,
            params,
            net.state,
            x,
            net.y,
            net.loss,
            net.key,
            net.train,
            weights=net.weights,
            example_mask=net.mask,
        )
        return trace.grads, trace.input_grad, trace.loss, trace.state, trace.predictions

    return jax.make_jaxpr(program)(net.params, net.x)


def _differentiated(net: Net) -> tuple[Any, Any]:
    """The same by `jax.grad`, and the names of the outputs."""
    weights = None if net.weights is None else jnp.asarray(net.weights)

    def cost(params, x):
        y, state = net.model.apply(params, net.state, x, key=net.key, train=net.train, example_mask=net.mask)
        return mean_loss(net.loss, y, net.y, weights), (state, y)

    def program(params, x):
        (value, others), grads = jax.value_and_grad(cost, (0, 1), has_aux=True)(params, x)
        return *grads, value, *others

    jaxpr, shapes = jax.make_jaxpr(program, return_shape=True)(net.params, net.x)
    named = dict(zip(("params", "x", "cost", "state", "predictions"), shapes, strict=True))
    return jaxpr, [name for top, tree in named.items() for name in flatten_named({top: tree})]


def _largest(arrays: Any) -> float:
    return max((np.abs(a).max() for a in arrays if a.size), default=0.0)


def _kinds(layer: Layer) -> set[str]:
    """Names of all layers and activations inside."""
    found = {layer._factory.name}
    function = layer.arguments.get("activation")
    if function is not None:
        found.add(function if isinstance(function, str) else function.func.__name__)
    return found.union(*map(_kinds, layer.children.values()))


def test_the_networks_hold_everything():
    """Every layer there is, every activation, and so a rule for each."""
    found = set().union(*(_kinds(draw_model(number)) for number in range(NETS)))
    made = {name for name in known_factories() if name.startswith("layers.")} - {"layers.custom"}
    several = {
        "layers.branch",
        "layers.concatenate",
        "layers.parallel",  # these: see tests/layers/test_branches.py
        "layers.adaptive_pool",
        "layers.avg_pool",
        "layers.conv",
        "layers.conv_transpose",
        "layers.depthwise_conv",
        "layers.global_pool",
        "layers.lp_pool",
        "layers.max_pool",
        "layers.group_norm",
        "layers.instance_norm",
        "layers.layer_norm",
        "layers.rms_norm",
        "layers.spectral_norm",
        "layers.weight_norm",
        "layers.weight_standardized",  # these: see tests/backprop/test_norms.py
        "layers.crop",
        "layers.pad",
        "layers.pixel_shuffle",
        "layers.pixel_unshuffle",
        "layers.resize",  # these: see tests/backprop/test_convolution.py
        "layers.dense_block",
        "layers.highway",
        "layers.squeeze_excitation",  # these: see tests/layers/test_blocks.py
        "layers.contractive_encode_decode",
        "layers.encode_decode",
        "layers.encode_sample_decode",
        "layers.layer_scale",
        "layers.permute",
        "layers.reshape",  # these: see tests/backprop/test_autoencoders.py
        "layers.remat",
        "layers.repeat",  # these: see tests/layers/test_repeat.py
        "layers.learned_positions",
        "layers.multi_head_attention",
        "layers.sinusoidal_positions",  # these: see tests/layers/test_attention.py
        "layers.embedding",  # see tests/layers/test_embed.py
        "layers.bidirectional",
        "layers.gru",
        "layers.last_position",
        "layers.lstm",
        "layers.rnn",  # these: see tests/layers/test_recurrent.py
        "layers.attentive_recurrence",
        "layers.cross_attention",
        "layers.decoder_block",
        "layers.encoder_decoder",
        "layers.feed_forward",  # these: see tests/layers/test_cross_attention.py
        "layers.both_ends",
        "layers.class_token",
        "layers.first_position",
        "layers.segment_embedding",
        "layers.tied_embedding",
        "layers.transformer_block",  # these: see tests/models/test_transformer.py
        "layers.standardize",
        "layers.unstandardize",  # these: see tests/layers/test_standardize.py
        "layers.preprocess",  # see tests/layers/test_preprocess.py
        "layers.category_embedding",
        "layers.column_dense",
        "layers.periodic_embedding",  # these: see tests/models/test_tabular.py
        "layers.parametric_activation",
        "layers.phase_embedding",  # these: see tests/models/test_realmlp.py
    }
    chains = {"layers.sequential", "layers.feed_forward", "layers.transformer_block"}  # whose rule is the chain's
    assert found & made == made - several
    assert {known_factories()[name].public for name in made - chains} == set(LAYERS)
    assert found - made == {*activations.__all__} - {"by_name"}


def test_the_networks_meet_every_kind_of_data_and_mode():
    """Each often enough to meet different layers."""
    met: collections.Counter = collections.Counter()
    for number in range(NETS):
        net = draw_net(number)
        text = repr(net.model)
        kinds = {
            f"train={net.train}", f"{len(net.x)} examples", f"{net.x.ndim} axes", f"loss {number % len(LOSS_ROWS)}",
            "padding" if net.mask is not None else "no padding",
            "weights" if net.weights is not None else "no weights",
            *(name for name in ("members", "sum_out", "block", "inner", "skip=dense", "frozen=True") if name in text),
        }  # fmt: skip
        met.update(kinds)
    assert {name: n for name, n in met.items() if n < (3 if name.startswith("loss") else 6)} == {}
    assert len(met) == 3 + 3 + 3 + len(LOSS_ROWS) + 4 + 6, sorted(met)


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
    up, across = (np.sqrt(sum(np.sum(v * v) for v in vector)) for vector in (gradient, noise))
    if up < 1e-6:  # a flat cost: there is nothing that a difference of costs could tell
        return
    direction = [g / up + n / across for g, n in zip(gradient, noise, strict=True)]
    step = 1e-5
    moved = [[p + s * d for p, d in zip(point, direction, strict=True)] for s in (step, -step)]
    ends = [run(program, *there, only=cost)[0] for there in moved]
    slope = sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True))
    difference = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(difference, slope, rtol=close("float64", "gradient"), err_msg=f"net {number}")
