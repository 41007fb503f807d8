"""The dense map on two devices: values, derivatives and shardings, against the same on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxann.ops import dense
from jaxann.ops.dense import input_gradient, weight_gradient

ROWS, INPUTS, OUTPUTS = 8, 6, 4
TOLERANCE = 1e-6

# Devices along the axes "data" and "model"; how x, W and b are sharded; how z is.
LAYOUTS = {
    "rows": ((2, 1), P("data", None), P(None, None), P(None), ("data", None)),
    "columns": ((1, 2), P(None, None), P(None, "model"), P("model"), (None, "model")),
    "rows_and_columns": ((2, 1), P("data", None), P(None, "model"), P("model"), ("data", "model")),
    "whole_bias": ((1, 2), P("data", None), P(None, "model"), P(None), ("data", "model")),
    "inputs": ((1, 2), P("data", "model"), P("model", None), P(None), ("data", None)),
    "weight_rows": ((2, 1), P("data", None), P("data", None), P(None), ("data", None)),
    "one_axis_for_both": ((2, 1), P("data", None), P(None, "data"), P("data"), ("data", None)),
}


def _problem(rows: tuple[int, ...] = (ROWS,)) -> tuple[jax.Array, ...]:
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((*rows, INPUTS), (INPUTS, OUTPUTS), (OUTPUTS,)))


def _mesh(devices: tuple[int, int], kind: AxisType) -> Mesh:
    return jax.make_mesh(devices, ("data", "model"), axis_types=(kind, kind))


@pytest.fixture(params=LAYOUTS)
def placed(request: pytest.FixtureRequest) -> Iterator[tuple]:
    """x, W and b whole, the same on an explicit mesh, and how z is sharded."""
    devices, *specs, result = LAYOUTS[request.param]
    whole = _problem()
    with jax.set_mesh(_mesh(devices, AxisType.Explicit)):
        yield whole, tuple(jax.device_put(a, s) for a, s in zip(whole, specs, strict=True)), result


def _spec(array: jax.Array) -> tuple:
    """How the type says that each axis is sharded."""
    return tuple(jax.typeof(array).sharding.spec)


def _stacked(array: jax.Array, *factors: float) -> jax.Array:
    """Multiples of an array along a new leading axis, which is not sharded."""
    whole = np.asarray(array)
    return jax.device_put(np.stack([np.float32(factor) * whole for factor in factors]), P(None, *_spec(array)))


def _close(actual: jax.Array | np.ndarray, expected: np.ndarray) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max())


def _loss(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
    return jnp.sum(jnp.tanh(dense(x, weight, bias) / 3) ** 2)


def _sum_of_gradients(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
    """A function of the first derivatives."""
    return sum(jnp.sum(g**2) for g in jax.grad(_loss, (0, 1, 2))(x, weight, bias))


def _whole(function: Callable, *args: jax.Array) -> tuple[np.ndarray, ...]:
    """What the function gives on one device."""
    with jax.set_mesh(jax.make_mesh((1,), ("alone",), axis_types=(AxisType.Auto,))):
        return jax.tree.map(np.asarray, jax.jit(function)(*map(np.asarray, args)))


@pytest.mark.parametrize("wrapped", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_dense_on_an_explicit_mesh_is_sharded_like_rows_and_columns(placed: tuple, wrapped: Callable):
    whole, sharded, result = placed
    z = wrapped(dense)(*sharded)
    assert _spec(z) == result
    assert len(z.sharding.device_set) == 2
    _close(z, np.asarray(whole[0], np.float64) @ np.asarray(whole[1], np.float64) + np.asarray(whole[2], np.float64))
    assert _spec(wrapped(dense)(*sharded[:2])) == result


@pytest.mark.parametrize("function", [_loss, _sum_of_gradients], ids=["grad", "grad_of_grad"])
def test_gradients_on_an_explicit_mesh_are_sharded_like_their_arguments(placed: tuple, function: Callable):
    whole, sharded, _ = placed
    gradients = jax.jit(jax.grad(function, (0, 1, 2)))(*sharded)
    wanted = _whole(jax.grad(function, (0, 1, 2)), *whole)
    for gradient, argument, expected in zip(gradients, sharded, wanted, strict=True):
        assert _spec(gradient) == _spec(argument)
        _close(gradient, expected)


def test_several_leading_axes_keep_their_shardings(placed: tuple):
    _, sharded, result = placed
    x = _stacked(sharded[0], 1, -1, 2)
    z = jax.jit(dense)(x, *sharded[1:])
    assert _spec(z) == (None, *result)
    _close(np.asarray(z)[1], _whole(dense, -np.asarray(x)[0], *sharded[1:]))
    gradients = jax.jit(jax.grad(_loss, (0, 1, 2)))(x, *sharded[1:])
    expected = _whole(jax.grad(_loss, (0, 1, 2)), x, *sharded[1:])
    for gradient, argument, right in zip(gradients, (x, *sharded[1:]), expected, strict=True):
        assert _spec(gradient) == _spec(argument)
        _close(gradient, right)


def test_members_under_vmap_keep_their_shardings(placed: tuple):
    whole, sharded, result = placed
    stacked = tuple(_stacked(a, 1, 2) for a in sharded)
    z = jax.jit(jax.vmap(dense))(*stacked)
    assert _spec(z) == (None, *result)
    double = tuple(2 * np.asarray(a) for a in whole)
    _close(np.asarray(z)[1], _whole(dense, *double))
    shared = jax.jit(jax.vmap(jax.grad(_loss, (1, 2)), in_axes=(None, 0, 0)))(sharded[0], *stacked[1:])
    expected = _whole(jax.grad(_loss, (1, 2)), whole[0], *double[1:])
    for gradient, argument, right in zip(shared, stacked[1:], expected, strict=True):
        assert _spec(gradient) == _spec(argument)
        _close(np.asarray(gradient)[1], right)


def test_members_on_different_devices_stay_there():
    x, weight, bias = _problem()
    with jax.set_mesh(_mesh((2, 1), AxisType.Explicit)):
        weights = jax.device_put(jnp.stack([weight, -weight]), P("data"))
        gradients = jax.jit(jax.vmap(jax.grad(_loss, 1), in_axes=(None, 0, None)))(x, weights, bias)
        assert _spec(gradients) == ("data", None, None)
    _close(np.asarray(gradients)[1], _whole(jax.grad(_loss, 1), x, -weight, bias))


def test_steps_of_descent_in_a_scan_keep_their_shardings(placed: tuple):
    whole, sharded, _ = placed

    def descend(x: jax.Array, weight: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(carry: tuple, _: None) -> tuple[tuple, None]:
            gradients = jax.grad(_loss, (1, 2))(x, *carry)
            return tuple(p - 0.1 * g for p, g in zip(carry, gradients, strict=True)), None

        return jax.lax.scan(step, (weight, bias), None, length=3)[0]

    for after, argument, expected in zip(jax.jit(descend)(*sharded), sharded[1:], _whole(descend, *whole), strict=True):
        assert _spec(after) == _spec(argument)
        _close(after, expected)


def test_gradients_by_hand_on_an_explicit_mesh():
    x, weight, _ = _problem()
    delta = x @ weight
    with jax.set_mesh(_mesh((2, 1), AxisType.Explicit)):
        x_, delta_ = jax.device_put((x, delta), P("data", None))
        weight_ = jax.device_put(weight, P(None, "model"))
        by_weight, by_input = jax.jit(weight_gradient)(x_, delta_), jax.jit(input_gradient)(delta_, weight_)
        assert _spec(by_weight) == (None, None) and _spec(by_input) == ("data", None)
    _close(by_weight, np.asarray(x).T @ np.asarray(delta))
    _close(by_input, np.asarray(delta) @ np.asarray(weight).T)


def test_half_precision_on_an_explicit_mesh_keeps_its_dtype_and_sums_in_single():
    x, weight, _ = _problem()
    x, weight = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
    with jax.set_mesh(_mesh((2, 1), AxisType.Explicit)):
        z = jax.jit(dense)(jax.device_put(x, P("data", None)), weight)
    assert z.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(z), _whole(dense, x, weight))


def test_a_sharded_batch_is_never_gathered_on_an_auto_mesh():
    whole = _problem()
    mesh = _mesh((2, 1), AxisType.Auto)
    sharded = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip(whole, (P("data"), P(), P()), strict=True)]
    forward = jax.jit(dense).lower(*sharded).compile()
    assert "all-gather" not in forward.as_text() and "all-reduce" not in forward.as_text()
    assert f"f32[{ROWS // 2},{OUTPUTS}]" in forward.as_text() and f"f32[{ROWS},{OUTPUTS}]" not in forward.as_text()
    z = forward(*sharded)
    assert z.sharding.is_equivalent_to(NamedSharding(mesh, P("data")), z.ndim)
    _close(z, _whole(dense, *whole))
    backward = jax.jit(jax.grad(_loss, (0, 1, 2))).lower(*sharded).compile()
    assert "all-gather" not in backward.as_text() and "all-reduce" in backward.as_text()
    gradients = backward(*sharded)
    assert gradients[0].sharding.is_equivalent_to(NamedSharding(mesh, P("data")), 2)
    for gradient, expected in zip(gradients, _whole(jax.grad(_loss, (0, 1, 2)), *whole), strict=True):
        _close(gradient, expected)


def test_gradients_inside_shard_map_are_those_of_the_whole_batch():
    whole = _problem()
    specs = (P("data"), P(), P())

    def gradients(x: jax.Array, weight: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
        return jax.grad(_loss, (0, 1, 2))(x, weight, bias)

    mapped = jax.shard_map(gradients, mesh=_mesh((2, 1), AxisType.Auto), in_specs=specs, out_specs=specs)
    for gradient, expected in zip(jax.jit(mapped)(*whole), _whole(gradients, *whole), strict=True):
        _close(gradient, expected)
