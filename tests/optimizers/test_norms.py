"""Norms and clips of gradients of any size and dtype, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann.core.trees import global_norm, leaf_norm, norm_of_squares
from jaxann.optimizers.lars import trust_ratio
from tests.programs import quick_jit

SIZES = (1e-36, 1e-30, 1e-23, 1e-12, 1e-10, 1e-9, 1.0, 1e9, 1e18, 1e19, 1e20, 1e30, 1e37)
ROOT = np.random.default_rng(0).normal(size=(7, 3))
norms = quick_jit(lambda tree: (global_norm(tree), leaf_norm(tree["a"])))
every = pytest.mark.parametrize("size", SIZES)


def _tree(size: float) -> dict[str, np.ndarray]:
    return {"a": (ROOT * size).astype(np.float32), "b": (ROOT[0] * size).astype(np.float32)}


def _norm(*leaves: Any) -> float:
    return float(np.sqrt(sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in leaves)))


@every
def test_a_norm_is_right_whatever_the_size_of_the_numbers(size: float):
    tree = _tree(size)
    whole, one = norms(tree)
    np.testing.assert_allclose(whole, _norm(*tree.values()), rtol=1e-6)
    np.testing.assert_allclose(one, _norm(tree["a"]), rtol=1e-6)


def test_a_norm_of_what_is_not_finite_is_not_finite_and_has_a_slope():
    zero, tree = {"a": np.zeros((7, 3), np.float32), "b": np.zeros(3, np.float32)}, _tree(1.0)
    assert norms(zero) == (0, 0)
    for bad in (np.nan, np.inf):
        tree["b"] = np.float32([1, bad, 1])
        assert not np.isfinite(norms(tree)[0]) and np.isfinite(norms(tree)[1])
    slope = quick_jit(jax.vmap(jax.grad(leaf_norm)))
    sizes = np.array([0.0, *SIZES])
    many = (ROOT * sizes[:, None, None]).astype(np.float32)
    expected = ROOT / _norm(ROOT)
    for size, found in zip(sizes, np.asarray(slope(many)), strict=True):
        np.testing.assert_allclose(found, expected if size else 0 * expected, rtol=1e-5)


def test_norms_of_many_members_are_taken_each_by_itself():
    many = jax.tree.map(lambda *leaves: np.stack(leaves), *map(_tree, SIZES))
    whole = quick_jit(jax.vmap(global_norm))(many)
    np.testing.assert_allclose(whole, [_norm(*_tree(size).values()) for size in SIZES], rtol=1e-6)


def test_sums_over_some_axes_are_scaled_alike():
    leaf = np.float32([[1e20, 1.0, 0.0], [2e20, 2.0, 0.0]])
    found = norm_of_squares(lambda wide: jnp.sum(wide * wide, 0), jnp.asarray(leaf))
    np.testing.assert_allclose(found, np.linalg.norm(leaf.astype(np.float64), axis=0), rtol=1e-6)


CLIPS = {
    "global": (lambda limit: o.clip_by_global_norm(limit), lambda g: _norm(*g.values())),
    "leaf": (lambda limit: o.clip_by_norm(limit), lambda g: _norm(g["a"])),
    "rms": (lambda limit: o.clip_by_block_rms(limit), lambda g: _norm(g["a"]) / 21**0.5),
}
clipped = quick_jit(lambda rule, grads, params: rule.update(grads, rule.init(params), params)[0])


def _objective(params: Any) -> Any:
    return jnp.sum(params["w"] * params["w"]) / 2


perturbed = quick_jit(lambda rule, g, w: rule.update(g, rule.init(w), w, value_fn=_objective)[0])


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_takes_finite_gradients_of_any_size_to_its_limit(name: str):
    build, measure = CLIPS[name]
    for size in SIZES:
        grads = _tree(size)
        for limit in (measure(grads) / 3, measure(grads) * 3):
            found = clipped(build(np.float32(limit)), grads, grads)["a"]
            expected = grads["a"].astype(np.float64) * min(1.0, limit / measure(grads))
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_adaptive_clip_takes_finite_gradients_of_any_size_to_its_limit():
    params = _tree(1.0)
    for size in (1e20, 1e30, 1.0, 1e-25):
        grads = _tree(size)
        found = clipped(o.adaptive_grad_clip(0.01), grads, params)["a"]
        limit = 0.01 * np.linalg.norm(ROOT, axis=0) / np.linalg.norm(ROOT * size, axis=0)
        np.testing.assert_allclose(found, grads["a"] * np.minimum(1, limit), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_clipped_to_the_limit(dtype: str):
    """A factor of 1e-5 has five bits in float16, and one of 1e-8 none: it is multiplied in float32."""
    eps = 2.0**-11 if dtype == "float16" else 2.0**-8
    grads = {"a": jnp.asarray(ROOT * 1e4, dtype), "b": jnp.asarray(ROOT[0] * 1e3, dtype)}
    ours = {name: np.asarray(g, np.float64) for name, g in grads.items()}
    units = np.linalg.norm(ours["a"], axis=0)
    for limit in (10.0, 0.1, 0.01, 1e-3):
        for name, (build, measure) in CLIPS.items():
            found = clipped(build(limit), grads, grads)["a"]
            expected = ours["a"] * limit / measure(ours)
            np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=eps, atol=2.0**-25, err_msg=name)
            assert found.dtype == dtype
        found = clipped(o.adaptive_grad_clip(limit), grads, {"a": jnp.zeros((7, 3)), "b": jnp.zeros(3)})["a"]
        np.testing.assert_allclose(
            np.asarray(found, np.float64), ours["a"] * limit * 1e-3 / units, rtol=eps, atol=2.0**-25
        )
    found = clipped(o.clip_by_value(0.1), grads, grads)["a"]
    np.testing.assert_allclose(np.asarray(found, np.float64), np.sign(ours["a"]) * 0.1, rtol=2 * eps)


@every
def test_the_other_rules_that_take_norms_do_not_lose_them(size: float):
    if not 1e-30 <= size <= 1e30:
        return
    w, g = {"w": jnp.asarray(ROOT, jnp.float32)}, {"w": jnp.asarray(ROOT * size, jnp.float32)}
    np.testing.assert_allclose(trust_ratio(w["w"], g["w"]), 1 / size, rtol=1e-5)
    np.testing.assert_allclose(trust_ratio(g["w"], w["w"]), size, rtol=1e-5)
    found = clipped(o.lars(1.0, trust_coefficient=0.5), g, w)["w"]
    np.testing.assert_allclose(found, -0.5 * ROOT, rtol=1e-5)
    rule = o.muon(1.0, eps=0.0, mask="*")
    np.testing.assert_allclose(clipped(rule, g, w)["w"], clipped(rule, w, w)["w"], rtol=1e-3)
    found = perturbed(o.sam(o.sgd(1.0), rho=0.5), g, w)["w"]
    np.testing.assert_allclose(-found - ROOT, 0.5 * ROOT / (_norm(ROOT) + 1e-12 / size), rtol=1e-5, atol=1e-6)


def test_a_norm_of_constants_is_right():
    """The compiler knows them, and takes factors out of sums of squares where it can: 2^128 times 0 is NaN."""
    for size in (0.0, 1e-30, 1.0, 1e30):
        leaf = np.full((2, 2), size, np.float32)
        np.testing.assert_allclose(quick_jit(lambda leaf=leaf: leaf_norm(jnp.asarray(leaf)))(), 2 * size, rtol=1e-6)
