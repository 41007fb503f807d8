"""The account of nets with branches, norms, layers with an activation of their own, and settings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.teach import explain
from tests.teach.cases import CASES, value
from tests.teach.nets import filled, recipe
from tests.tolerances import assert_close


def test_a_layer_is_shown_with_its_own_output(x64):
    """Not with what the activation behind it makes of that."""
    model, x, y, _, more = CASES["normed"]
    params, state = filled(model, x)
    account = explain(recipe(model, ja.losses.half_squared_error), params, x, y, state=state, digits=17, **more)
    drop, a = value(account, "drop"), np.array([value(account, f"a1[{j}]") for j in (1, 2)])
    assert_close(np.tanh(drop), a, "reduction")
    with jax.enable_x64(True):
        z = jnp.asarray(x) @ params["d"]["weight"]
        normed = model.children["norm"].apply(params["norm"], state["norm"], z, train=True)[0]
    assert_close(value(account, "norm"), np.asarray(normed)[0], "reduction")
    assert_close(value(account, "flat"), np.asarray(normed)[0], "reduction")
    assert not np.array_equal(value(account, "norm"), drop)


@pytest.mark.parametrize("name", ["maxout", "gated", "forks", "members", "weighted"])
def test_printed_slopes_are_those_of_autodiff(name: str, x64):
    model, x, y, loss, more = CASES[name]
    params, state = filled(model, x if x.ndim > 1 else x[None])
    loss = getattr(ja.losses, loss) if isinstance(loss, str) else loss
    account = explain(recipe(model, loss), params, x, y, state=state, digits=17, **more)
    rows = jnp.asarray(x if x.ndim > 1 else x[None])
    targets = jnp.asarray(y if y.ndim else y.reshape(1, 1))
    weights = ja.losses.target_weights(loss, targets)

    def cost(params, shift):
        values = loss(model.apply(params, state, rows, train=True, **more)[0] + shift, targets)
        return jnp.mean(values) if weights is None else jnp.sum(values) / jnp.sum(weights)

    zeros = jnp.zeros(jax.eval_shape(lambda p: model.apply(p, state, rows)[0], params).shape)
    by_params, by_output = jax.jit(jax.grad(cost, (0, 1)))(params, zeros)
    (wanted,) = (section for section in account.sections if section.title == "Backward: the loss")
    printed = np.concatenate([np.ravel(step.value) for step in wanted.steps])
    assert_close(printed, np.asarray(by_output)[0].ravel(), "reduction")
    for ours, theirs in zip(jax.tree.leaves(account.grads), jax.tree.leaves(by_params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_layer_of_made_weights_is_shown_as_one(x64):
    """The weight of the layer inside is not the one it works with: no sum of products with it would be right."""
    made = ja.layers.weight_norm(ja.layers.dense(2))
    model = ja.layers.sequential({"made": made, "norm": ja.layers.layer_norm(eps=0.1), "d": ja.layers.dense(1)})
    x, y = np.array([[0.3, -1.2], [0.5, 2.0]]), np.array([[1.0], [0.0]])
    params, state = filled(model, x)
    account = explain(recipe(model, ja.losses.half_squared_error), params, x, y, state=state, digits=17)
    with jax.enable_x64(True):
        z = made.apply(params["made"], state["made"], jnp.asarray(x))[0]
    assert_close(value(account, "made"), np.asarray(z)[0], "reduction")
    assert_close(value(account, "dJ/dmade.layer.weight"), account.grads["made"]["layer"]["weight"], "reduction")
    assert not any("made.layer.in" in line for line in account.text)


def test_branches_are_added_in_a_line_of_their_own(x64):
    model, x, y, _, _ = CASES["forks"]
    account = explain(recipe(model, ja.losses.half_squared_error), filled(model, x[None])[0], x, y)
    formulas = [step.formula for section in account.sections for step in section.steps]
    for line in (
        "dJ/dtwo",
        "dJ/dnested[1] = dJ/dnested[1] (by two.body) + dJ/dnested[1] (by two.skip)",
        "delta1[1] (by nested.body) = delta1[1] (by nested.body.body) + dJ/dnested.body[1]",
        "delta1[1] = delta1[1] (by nested.body) + dJ/dnested[1]",
    ):
        assert any(formula.startswith(line) for formula in formulas), line


def test_settings_are_shown(x64):
    def told(name: str) -> str:
        model, x, y, loss, more = CASES[name]
        params, state = filled(model, x if x.ndim > 1 else x[None])
        loss = getattr(ja.losses, loss) if isinstance(loss, str) else loss
        account = explain(recipe(model, loss), params, x, y, state=state, **more)
        return "\n".join(
            f"{step.formula} = {step.substituted}" for section in account.sections for step in section.steps
        )

    assert "softmax_cross_entropy(z1, y, label_smoothing=0.2)" in told("smooth")
    weighted = told("weighted")
    assert "softmax_cross_entropy(z1, y, class_weights=(1, 2, 5))" in weighted
    assert "J = sum of l / sum of weights" in weighted and ")/(5 + 1)" in weighted
    assert ")/(1 + 0 + 1)" in told("ignored")
    elu = told("elu")
    assert "a1[1] = elu(z1[1], alpha=0.3)" in elu and "elu'(z1[1], alpha=0.3)" in elu
    warm = told("warm")
    assert "softmax(z1, temperature=2)[1]" in warm and "J(softmax(z1, temperature=2))^T" in warm and "e^" not in warm


def test_evaluation_mode_and_a_batch_of_one_row(x64):
    model, x, y, _, more = CASES["normed"]
    params, state = filled(model, x)
    state["norm"] = {name: leaf + 2.0 for name, leaf in state["norm"].items()}
    loss = ja.losses.half_squared_error
    alone = explain(recipe(model, loss), params, x[:1], y[:1], state=state, **more)
    assert any("Warning: norm normalizes a batch of one row" in line for line in alone.text)
    assert not np.any(alone.grads["d"]["weight"])
    whole = explain(recipe(model, loss), params, x, y, state=state, **more)
    evaluated = explain(recipe(model, loss), params, x[:1], y[:1], state=state, train=False)
    assert not any("Warning" in line for account in (whole, evaluated) for line in account.text)
    assert "evaluation mode" in evaluated.text[0] and np.any(evaluated.grads["d"]["weight"])
    with jax.enable_x64(True):
        want = model.apply(params, state, jnp.asarray(x[:1]), train=False)[0]
    assert_close(np.float64(value(evaluated, "z2")), np.asarray(want)[0, 0], "reduction")


def test_repeated_blocks_are_shown_one_by_one(x64):
    model, x, y, _, more = CASES["repeated"]
    params, state = filled(model, x)
    account = explain(recipe(model, ja.losses.half_squared_error), params, x, y, digits=17, **more)
    titles = [section.title for section in account.sections]
    for block in (0, 1):
        assert (
            f"Forward: layer {block + 1} (blocks.block.{block}.body.in, blocks.block.{block}.body.curve: tanh)"
            in titles
        )
    assert "Update: gradient descent on 28 parameters" in titles

    def cost(params):
        return jnp.mean(0.5 * (model.apply(params, state, x)[0] - y) ** 2)

    grads = jax.jit(jax.grad(cost))(params)
    assert_close(value(account, "dJ/dW2[3,1]"), grads["blocks"]["block"]["body"]["in"]["weight"][1, 2, 0], "reduction")
