"""Named trees, and sums that keep their digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxann.core import flatten_named, map_named, unflatten_named
from jaxann.core.trees import cast, count, global_norm, sum_of_squares, wide_dtype
from tests.contract import assert_input_error

NAMES = st.text(st.characters(exclude_characters="."), min_size=1, max_size=4)
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3))
def test_names_come_back_as_the_tree(tree: dict):
    named = flatten_named(tree)
    assert unflatten_named(named) == tree
    assert list(named.values()) == jax.tree.leaves(tree)
    assert map_named(lambda name, leaf: (name, leaf), tree) == unflatten_named({n: (n, v) for n, v in named.items()})


def test_names_are_dotted_paths():
    tree = {"b": {"weight": 1, "a": 2}, "a": [3, {"x": 4}]}
    assert flatten_named(tree) == {"a.0": 3, "a.1.x": 4, "b.a": 2, "b.weight": 1}
    assert flatten_named(5) == {"": 5} and flatten_named({}) == {}
    for named in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}, {"a.b.c": 1, "a.b": 2}):
        assert_input_error(lambda named=named: unflatten_named(named), "named")


def test_dtypes_widen_and_cast():
    assert wide_dtype(jnp.bfloat16) == wide_dtype(jnp.float16) == jnp.float32
    assert wide_dtype(jnp.float64) == jnp.float64 and wide_dtype(jnp.int16) == jnp.int16
    tree = {"a": jnp.ones(2), "n": jnp.int32(3), "k": jax.random.key(0), "flag": jnp.array(True)}
    half = cast(tree, jnp.bfloat16)
    assert half["a"].dtype == jnp.bfloat16
    assert all(half[name].dtype == tree[name].dtype for name in ("n", "k", "flag"))
    assert count({"a": jnp.ones((2, 3)), "b": {"c": jnp.float32(1)}}) == 7 and count({}) == 0


def test_norms_are_taken_in_single_precision_or_better():
    big = jnp.full((70_000,), 1.0, jnp.float16)
    assert float(sum_of_squares(big)) == 70_000.0
    tree = {"a": jnp.array([3.0]), "b": {"c": jnp.array([[4.0]])}}
    assert float(global_norm(tree)) == 5.0 and float(global_norm({})) == 0.0
    mixed = {"a": jnp.array([3.0], jnp.bfloat16), "b": jnp.array([4.0])}
    assert float(global_norm(mixed)) == 5.0 and global_norm(mixed).dtype == jnp.float32


def test_norm_of_zeros_has_a_value():
    assert float(global_norm({"a": jnp.zeros(3)})) == 0.0
    assert np.isinf(global_norm({"a": jnp.array([jnp.inf])})) and np.isnan(global_norm({"a": jnp.array([jnp.nan])}))


@pytest.mark.parametrize("length", [5, 2**12, 2**12 + 5, 30_100])
def test_squares_of_any_number_of_numbers_are_all_counted(length: int):
    leaf = np.random.default_rng(0).normal(size=length).astype(np.float32)
    leaf[-1] = 300.0  # what is left over counts as well
    wanted = np.sum(leaf.astype(np.float64) ** 2)
    np.testing.assert_allclose(sum_of_squares(jnp.asarray(leaf)), wanted, rtol=2e-7)


@pytest.mark.parametrize("split", [("rows", None), (None, "rows")])
@pytest.mark.parametrize("shape", [(8, 6), (128, 66)])
def test_norm_of_an_array_whose_type_is_sharded(shape: tuple[int, int], split: tuple[str | None, ...]):
    mesh = jax.make_mesh((2,), ("rows",), (AxisType.Explicit,), devices=jax.devices()[:2])
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    leaf = jax.device_put(values, NamedSharding(mesh, PartitionSpec(*split)))
    found = jax.jit(lambda leaf: global_norm({"a": leaf}))(leaf)
    np.testing.assert_allclose(found, np.linalg.norm(values.astype(np.float64)), rtol=1e-6)
