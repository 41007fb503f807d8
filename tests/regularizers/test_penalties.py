"""Penalties against NumPy, PyTorch, scikit-learn's objective, and what a step of descent makes of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers
from jaxann.regularizers import elastic_net, l1_penalty, l2_penalty, l2_sp
from tests.contract import assert_input_error


def _tree() -> dict[str, dict[str, np.ndarray]]:
    chooser = np.random.default_rng(0)
    return {
        "dense": {"weight": chooser.normal(size=(4, 3)), "bias": chooser.normal(size=3)},
        "norm": {"scale": chooser.normal(size=(2, 2))},
        "prelu": {"alpha": chooser.normal(size=(1, 3))},
        "embed": {"table": chooser.normal(size=(5, 2))},
    }


@pytest.mark.usefixtures("x64")
def test_penalties_follow_their_formulas():
    tree = _tree()
    w = np.concatenate([tree["dense"]["weight"].ravel(), tree["embed"]["table"].ravel()])
    everything = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
    params = jax.tree.map(jnp.asarray, tree)
    ones, squares = np.abs(w).sum(), (w * w).sum()
    start = {"dense": {"weight": params["dense"]["weight"] + 0.5}}
    gradients = jax.jit(lambda penalty, params: jax.value_and_grad(penalty)(params))
    for penalty, expected in (
        (l2_penalty(0.3), 0.3 * squares),
        (l2_penalty(0.3, half=True), 0.15 * squares),
        (l2_penalty(0.3, mask=None), 0.3 * (everything**2).sum()),
        (l2_penalty(0.3, mask="*.bias"), 0.3 * (tree["dense"]["bias"] ** 2).sum()),
        (l1_penalty(0.3), 0.3 * ones),
        (l1_penalty(0.3, mask=("dense", "embed")), 0.3 * (ones + np.abs(tree["dense"]["bias"]).sum())),
        (elastic_net(0.3, 0.2), 0.3 * (0.2 * ones + 0.8 * squares)),
        (elastic_net(0.3, 0.2, half=True), 0.3 * (0.2 * ones + 0.4 * squares)),
        (elastic_net(0.3, 0.0), 0.3 * squares),
        (elastic_net(0.3, 1.0), 0.3 * ones),
        (l2_sp(0.3, start), 0.3 * 12 * 0.25),
        (l2_sp(0.3, start, half=True), 0.15 * 12 * 0.25),
        (l2_sp(0.3, jax.tree.map(lambda leaf: leaf - 1.0, params)), 0.3 * everything.size),
    ):
        value, slope = gradients(penalty, params)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        moved, back = (jax.tree.map(lambda p, g, s=s: p + s * 1e-6 * g, params, slope) for s in (1, -1))
        square = sum((np.asarray(g) ** 2).sum() for g in jax.tree.leaves(slope))
        rise = gradients(penalty, moved)[0] - gradients(penalty, back)[0]
        np.testing.assert_allclose(rise / 2e-6, square, rtol=1e-6)


def test_half_a_penalty_is_pytorchs_weight_decay():
    torch = pytest.importorskip("torch")
    w = np.random.default_rng(0).normal(size=(4, 3))
    theirs = torch.tensor(w, requires_grad=True)
    optimizer = torch.optim.SGD([theirs], lr=0.1, weight_decay=0.3)
    theirs.grad = torch.zeros_like(theirs)
    optimizer.step()
    with jax.enable_x64(True):
        slope = jax.grad(l2_penalty(0.3, half=True))({"weight": jnp.asarray(w)})["weight"]
    np.testing.assert_allclose(w - 0.1 * np.asarray(slope), theirs.detach().numpy(), rtol=1e-12)


def test_elastic_net_is_what_scikit_learn_minimizes():
    """At scikit-learn's solution no weight's slope, mean squared error / 2 + penalty, points down."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    chooser = np.random.default_rng(0)
    x = chooser.normal(size=(60, 6))
    y = x @ np.array([1.0, -2.0, 0.0, 0.0, 0.5, 0.0]) + 0.1 * chooser.normal(size=60)
    theirs = linear_model.ElasticNet(alpha=0.2, l1_ratio=0.3, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(
        x, y
    )
    with jax.enable_x64(True):
        penalty = elastic_net(0.2, 0.3, half=True)
        w = jnp.asarray(theirs.coef_)[:, None]

        def objective(w):
            r = jnp.asarray(x) @ w - jnp.asarray(y)[:, None]
            return 0.5 * jnp.mean(r * r) + penalty({"weight": w})

        slope = np.asarray(jax.grad(objective)(w))[:, 0]
    kept = theirs.coef_ != 0
    assert 0 < kept.sum() < 6
    np.testing.assert_allclose(slope[kept], 0, atol=1e-6)
    assert (np.abs(slope[~kept]) <= 0.2 * 0.3 + 1e-9).all()


def test_a_step_of_descent_shrinks_by_the_known_factor():
    params = {"weight": jnp.array([[1.0, -2.0, 0.0]])}
    sgd = optimizers.sgd(0.1)

    def stepped(penalty):
        updates, _ = sgd.update(jax.grad(penalty)(params), sgd.init(params), params)
        return optimizers.apply_updates(params, updates)["weight"]

    np.testing.assert_allclose(stepped(l2_penalty(0.5)), 0.9 * params["weight"], rtol=1e-6)
    np.testing.assert_allclose(stepped(l2_penalty(0.5, half=True)), 0.95 * params["weight"], rtol=1e-6)
    np.testing.assert_allclose(stepped(l1_penalty(0.5)), [[0.95, -1.95, 0.0]], rtol=1e-6)


@jax.jit
def _after_100_steps(optimizer: Any, penalty: Any, scale: float) -> jax.Array:
    def step(loop, count):
        params, state = loop
        noise = scale * (1.0 - 2.0 * (count % 2))  # a gradient of alternating sign
        grads = jax.tree.map(lambda g: g + noise, jax.grad(penalty)(params))
        updates, state = optimizer.update(grads, state, params)
        return (optimizers.apply_updates(params, updates), state), None

    params = {"weight": jnp.ones((1, 1))}
    return jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(100.0))[0][0]["weight"][0, 0]


def test_adam_divides_a_penalty_and_weight_decay_is_past_it():
    nothing, some = l2_penalty(0.0), l2_penalty(1.0, half=True)
    decayed = [_after_100_steps(optimizers.adamw(1e-3, weight_decay=1.0), nothing, scale) for scale in (1.0, 100.0)]
    penalized = [_after_100_steps(optimizers.adam(1e-3), some, scale) for scale in (1.0, 100.0)]
    np.testing.assert_allclose(decayed[0], decayed[1], atol=2e-3)
    assert penalized[1] - penalized[0] > 0.03


def test_a_reference_of_other_shapes_or_names_is_refused():
    params = {"weight": np.ones((2, 2), np.float32)}
    other = {"weight": np.ones((2, 3), np.float32)}
    assert_input_error(lambda: l2_sp(0.1, other)(params), "reference", expected="(2, 2)", given="(2, 3)")
    assert_input_error(lambda: l2_sp(0.1, {"table": other["weight"]})(params), "reference", given="table")
