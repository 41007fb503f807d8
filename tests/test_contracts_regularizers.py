"""What holds for every penalty."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core.products import Penalty
from tests.catalogue import REGULARIZERS, Row
from tests.contract import assert_input_error
from tests.tolerances import assert_close

every_penalty = pytest.mark.parametrize("row", REGULARIZERS, ids=str)
call = jax.jit(lambda penalty, params: penalty(params))


def _params(dtype=jnp.float32) -> dict:
    draw = iter(jax.random.split(jax.random.key(0), 6))
    shapes = {
        "conv1": {"weight": (2, 3), "bias": (3,), "gain": (), "shift": ()},
        "dense": {"weight": (3, 2), "scale": (2, 2)},
    }
    return {
        layer: {name: jax.random.normal(next(draw), shape, dtype) for name, shape in leaves.items()}
        for layer, leaves in shapes.items()
    }


@every_penalty
def test_penalty_is_a_wide_scalar_of_the_parameters(row: Row):
    penalty, params = row.build(), _params()
    assert isinstance(penalty, Penalty)
    value = call(penalty, params)
    assert (value.shape, value.dtype) == ((), jnp.float32) and float(value) > 0
    assert_close(penalty(params), value, "program")
    half = call(penalty, jax.tree.map(lambda p: p.astype(jnp.bfloat16), params))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, value, rtol=2e-2)
    with jax.enable_x64(True):
        assert call(penalty, _params(jnp.float64)).dtype == jnp.float64
        mixed = _params() | {"dense": _params(jnp.float64)["dense"]}
        assert call(row.build().replace(mask=None), mixed).dtype in (jnp.float64, jnp.float32)
    assert float(penalty({"step": jnp.int32(3), **params})) == float(penalty(params))


@every_penalty
def test_penalty_is_differentiated_through_and_mapped_over(row: Row):
    penalty, params = row.build(), _params()
    numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), penalty)
    gradients = jax.jit(jax.grad(lambda q, p: q(p), argnums=(0, 1)))(numbers, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, (numbers, params))
    chex.assert_tree_all_finite(gradients)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients[0])[:1])
    assert not np.asarray(gradients[1]["dense"]["scale"]).any()
    meant = "gain" if row.name.endswith("l2_sp") else "weight"
    assert np.asarray(gradients[1]["conv1"][meant]).all()
    values = jax.vmap(lambda strength: numbers.replace(strength=strength)(params))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(values[1], 2 * values[0], rtol=1e-6)


@every_penalty
def test_penalty_is_zero_and_flat_where_it_is_least(row: Row):
    penalty, zeros = row.build(), {"conv1": {"weight": np.zeros((2, 3), np.float32)}}
    minimum = jax.tree.map(jnp.asarray, {"conv1": dict(row.build().arguments.get("reference", zeros)["conv1"])})
    value, slope = jax.value_and_grad(penalty)(minimum)
    assert float(value) == 0.0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))


@every_penalty
def test_a_mask_that_means_nothing_is_refused(row: Row):
    params = {"conv1": {"weight": np.ones((2, 3), np.float32)}}
    assert_input_error(lambda: row.build().replace(mask="dense*")(params), "mask", expected="conv1.weight")
    named = row.build().replace(mask="conv1")
    rule = row.build().replace(mask=lambda name, leaf: name.startswith("conv1."))
    assert float(named(_params())) == float(rule(_params())) > 0
