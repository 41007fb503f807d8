"""Layers whose weight is made of another one against PyTorch's parametrizations: outputs, gradients and state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import layers
from jaxann.core import TrainMode
from jaxann.core.products import Layer
from jaxann.layers.weight_norm import output_axis
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
# name: the layer, the shape of x, PyTorch's module, the axis of the outputs in its weight
CASES: dict[str, tuple[Layer, tuple[int, ...], Any, int]] = {
    "dense": (layers.dense(4), (3, 5), lambda nn: nn.Linear(5, 4), 0),
    "conv": (layers.conv(6, (3, 2), padding="valid", groups=2), (2, 5, 4, 4),
             lambda nn: nn.Conv2d(4, 6, (3, 2), groups=2), 0),
    "signals": (layers.conv(3, (3,), padding=1, use_bias=False), (2, 5, 2),
                lambda nn: nn.Conv1d(2, 3, 3, padding=1, bias=False), 0),
    "depthwise_conv": (layers.depthwise_conv(3, multiplier=2, padding="valid"), (2, 4, 5, 2),
                       lambda nn: nn.Conv2d(2, 4, 3, groups=2), 0),
    "conv_transpose": (layers.conv_transpose(4, (2, 3), stride=2, padding="valid", groups=2), (2, 3, 2, 6),
                       lambda nn: nn.ConvTranspose2d(6, 4, (2, 3), stride=2, groups=2), 1),
}  # fmt: skip


def _to(weight: np.ndarray) -> np.ndarray:
    """A kernel `(*size, a, b)` as PyTorch's `(b, a, *size)`: for all of these, transposed or not."""
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(weight, -1, 0), -1, 1))


def _from(weight: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.moveaxis(weight, 1, -1), 0, -1)


def _first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _drawn(layer: Layer, x: np.ndarray) -> tuple[Any, Any]:
    shapes, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    return jax.tree.map(lambda s: RANDOM.normal(size=s.shape), shapes), state


def _program(layer: Layer, train: Any):
    @quick_jit
    def program(params, state, x, g):
        y, vjp, after = jax.vjp(lambda p, x: layer.apply(p, state, x, train=train), params, x, has_aux=True)
        return y, after, vjp(g)

    return program


def _theirs(torch: Any, module: Any, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output and gradient by x; those by the parameters stand in the module."""
    inputs = torch.tensor(_first(x), requires_grad=True)
    module.zero_grad()
    y = module(inputs)
    y.backward(torch.tensor(_first(g)))
    return np.moveaxis(y.detach().numpy(), 1, -1), np.moveaxis(inputs.grad.numpy(), 1, -1)


def _module(torch: Any, name: str, params: Any) -> Any:
    module = CASES[name][2](torch.nn).double()
    module.weight.data = torch.tensor(_to(params["weight"]))
    if module.bias is not None:
        module.bias.data = torch.tensor(params["bias"])
    return module


def _close(pairs: list[tuple[Any, Any]]) -> None:
    for found, wanted in pairs:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_weight_norm_is_pytorchs(name: str):
    torch = pytest.importorskip("torch")
    inside, shape, _, dim = CASES[name]
    layer = layers.weight_norm(inside)
    x = RANDOM.normal(size=shape)
    params, state = _drawn(layer, x)
    g = RANDOM.normal(size=jax.eval_shape(lambda p, x: layer.apply(p, state, x)[0], params, x).shape)
    y, _, (grads, by_x) = _program(layer, True)(params, state, x, g)
    module = torch.nn.utils.parametrizations.weight_norm(_module(torch, name, params["layer"]), dim=dim)
    originals = module.parametrizations.weight
    assert originals.original0.numel() == params["scale"].size
    originals.original0.data = torch.tensor(params["scale"]).reshape(originals.original0.shape)
    wanted, wanted_by_x = _theirs(torch, module, x, g)
    pairs = [(y, wanted), (by_x, wanted_by_x), (grads["scale"], originals.original0.grad.numpy().reshape(-1)),
             (grads["layer"]["weight"], _from(originals.original1.grad.numpy()))]  # fmt: skip
    if module.bias is not None:
        pairs.append((grads["layer"]["bias"], module.bias.grad.numpy()))
    _close(pairs)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "n_steps"), [*((name, 1) for name in CASES), ("dense", 3), ("conv_transpose", 2)])
def test_spectral_norm_is_pytorchs(name: str, n_steps: int):
    """Three steps of training, the weight moved between them, and evaluation, which moves nothing."""
    torch = pytest.importorskip("torch")
    inside, shape, _, dim = CASES[name]
    layer = layers.spectral_norm(inside, n_steps=n_steps)
    x = RANDOM.normal(size=shape)
    params, state = _drawn(layer, x)
    module = torch.nn.utils.parametrizations.spectral_norm(
        _module(torch, name, params["layer"]), n_power_iterations=n_steps, dim=dim
    )
    # PyTorch flattens a row in the order of its own axes: outputs first, the others as they come
    u, v = (module.parametrizations.weight[0]._buffers[n] for n in ("_u", "_v"))
    weight = _to(params["layer"]["weight"])
    rest = np.moveaxis(weight, dim, 0).shape[1:]

    def row(v: np.ndarray) -> np.ndarray:
        """A row of theirs in the order of our axes."""
        whole = np.broadcast_to(np.expand_dims(v.reshape(rest), dim), weight.shape)
        return np.take(_from(whole), 0, axis=output_axis(inside))

    state = {"layer": state["layer"], "u": u.numpy().copy(), "v": row(v.numpy()).copy()}
    g = RANDOM.normal(size=jax.eval_shape(lambda p, x: layer.apply(p, state, x)[0], params, x).shape)
    programs = {train: _program(layer, train) for train in (True, False)}
    for train in (True, True, True, False):
        module.train(train)
        y, after, (grads, by_x) = programs[train](params, state, x, g)
        wanted, wanted_by_x = _theirs(torch, module, x, g)
        original = module.parametrizations.weight.original
        by_weight = _from(original.grad.numpy())
        _close([(y, wanted), (by_x, wanted_by_x), (grads["layer"]["weight"], by_weight),
                (after["u"], u.numpy()), (after["v"], row(v.numpy()))])  # fmt: skip
        assert (np.asarray(after["v"]) != np.asarray(state["v"])).any() == train
        params = {"layer": params["layer"] | {"weight": params["layer"]["weight"] - 0.1 * by_weight}}
        original.data = torch.tensor(_to(params["layer"]["weight"]))
        state = after


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_standardized_weights_are_pytorchs_batch_norm_of_rows(name: str):
    torch = pytest.importorskip("torch")
    inside, shape, _, dim = CASES[name]
    layer = layers.weight_standardized(inside, use_scale=True, eps=1e-3)
    x = RANDOM.normal(size=shape)
    params, state = _drawn(layer, x)
    g = RANDOM.normal(size=jax.eval_shape(lambda p, x: layer.apply(p, state, x)[0], params, x).shape)
    y, _, (grads, by_x) = _program(layer, True)(params, state, x, g)
    module = _module(torch, name, params["layer"])
    scale = torch.tensor(params["scale"], requires_grad=True)

    class Standardized(torch.nn.Module):
        def forward(self, weight: Any) -> Any:
            rows = weight.transpose(0, dim).flatten(1)[None].transpose(1, 2).flatten(0, 1)
            made = torch.nn.functional.batch_norm(rows, None, None, scale, None, training=True, eps=1e-3)
            return made.T.reshape(weight.transpose(0, dim).shape).transpose(0, dim)

    torch.nn.utils.parametrize.register_parametrization(module, "weight", Standardized())
    wanted, wanted_by_x = _theirs(torch, module, x, g)
    by_weight = _from(module.parametrizations.weight.original.grad.numpy())
    _close([(y, wanted), (by_x, wanted_by_x), (grads["scale"], scale.grad.numpy()),
            (grads["layer"]["weight"], by_weight)])  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("wrap", [layers.weight_norm, layers.spectral_norm, layers.weight_standardized])
def test_single_precision_is_double_precision_rounded(wrap: Any):
    layer = wrap(CASES["conv_transpose"][0])
    x = RANDOM.normal(size=CASES["conv_transpose"][1]).astype(np.float32)
    params, state = layer.init(jax.random.key(0), x)
    shape = jax.eval_shape(lambda p, x: layer.apply(p, state, x)[0], params, x).shape
    arguments = (params, state, x, np.ones(shape, np.float32))
    narrow = _program(layer, True)(*arguments)
    wide = _program(layer, True)(*jax.tree.map(lambda a: np.asarray(a, np.float64), arguments))
    for found, wanted in zip(jax.tree.leaves(narrow), jax.tree.leaves(wide), strict=True):
        assert found.dtype == np.float32 and wanted.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_what_a_layer_starts_with():
    """A weight norm starts as the layer inside; u and v are nearly the greatest singular value's at once."""
    x = RANDOM.normal(size=(2, 5, 6, 3)).astype(np.float32)
    inside = layers.conv_transpose(4, 3)
    for layer in (layers.weight_norm(inside), layers.spectral_norm(inside)):
        params, state = layer.init(jax.random.key(0), x)
        plain = inside.apply(params["layer"], {}, x)[0]
        matrix = np.moveaxis(np.asarray(params["layer"]["weight"]), -2, 0).reshape(4, -1)
        by = 1 if "scale" in params else np.linalg.svd(matrix)[1][0]
        np.testing.assert_allclose(layer.apply(params, state, x)[0], plain / np.float32(by), rtol=0.02, atol=1e-3)


def test_the_greatest_singular_value_becomes_1():
    x = np.zeros((1, 3, 2), np.float32)
    layer = layers.spectral_norm(layers.conv(5, (3,), use_bias=False), n_steps=60)
    params, state = layer.init(jax.random.key(0), x)
    params = jax.tree.map(lambda a: a * 7, params)
    seen = layers.custom(
        lambda key, spec: ({"weight": jnp.zeros((2, 2))}, {}), _weight_itself, traits=("outputs_last",)
    )
    made, _ = layers.spectral_norm(seen, n_steps=60).apply(params, state, x, train=True)
    np.testing.assert_allclose(np.linalg.svd(np.asarray(made).reshape(-1, 5))[1][0], 1, rtol=1e-5)


def _weight_itself(params, state, x, *, key=None, train=False):
    return params["weight"], state


def test_weights_of_nothing_but_zeros_are_finite():
    x = np.ones((2, 3), np.float32)
    for wrap in (layers.weight_norm, layers.spectral_norm, layers.weight_standardized):
        layer = wrap(layers.dense(2))
        params, state = layer.init(jax.random.key(0), x)
        params["layer"]["weight"] = params["layer"]["weight"] * 0
        y, after, (grads, by_x) = _program(layer, True)(params, state, x, jnp.ones((2, 2)))
        assert not np.asarray(y).any()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after, grads, by_x)))


def test_noise_leaves_the_vectors_as_they_are():
    x = RANDOM.normal(size=(2, 3)).astype(np.float32)
    layer = layers.spectral_norm(layers.drop_connect_dense(2, 0.5))
    params, state = layer.init(jax.random.key(0), x)
    state = state | {"v": jnp.ones(3) / np.float32(np.sqrt(3))}
    for train, moves in ((TrainMode.NOISE, False), (TrainMode.STATISTICS, True), (True, True)):
        _, after = layer.apply(params, state, x, train=train, key=jax.random.key(1))
        assert (np.asarray(after["v"]) != np.asarray(state["v"])).any() == moves


def test_a_layer_that_does_not_say_where_its_outputs_are_is_refused():
    for wrap in (layers.weight_norm, layers.spectral_norm, layers.weight_standardized):
        for inside in (layers.packed_dense(2, 3), layers.weight_norm(layers.dense(2))):
            message = assert_input_error(lambda w=wrap, i=inside: w(i), "layer")
            assert "outputs_last" in message
    for made in ({"kernel": jnp.zeros((2, 2))}, {"weight": jnp.zeros(2)}):
        own = layers.custom(lambda key, spec, made=made: (made, {}), _weight_itself, traits=("outputs_last",))
        x = jnp.zeros((1, 2))
        with pytest.raises(ValueError, match="weight"):
            layers.weight_norm(own).init(jax.random.key(0), x)
