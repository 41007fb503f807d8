"""The account of small convolutions: every window, and the kernel's gradient, against loops over places in NumPy."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.teach import explain
from tests.teach.cases import CASES, value
from tests.teach.nets import filled, recipe
from tests.tolerances import assert_close


def _account(name: str, **more):
    model, x, y, _, _ = CASES[name]
    params, state = filled(model, x)
    return (
        explain(recipe(model, ja.losses.half_squared_error), params, x, y, state=state, digits=17, **more),
        params,
        x,
        y,
    )


def _steps(account, section: str) -> list:
    (found,) = (s for s in account.sections if s.title == section)
    return list(found.steps)


def test_each_window_and_the_sums_of_the_gradient_are_those_of_a_loop(x64):
    account, params, x, y = _account("picture")
    w, b, image = params["conv"]["weight"][..., 0, 0], params["conv"]["bias"][0], x[0, ..., 0]
    z = np.array([[np.sum(image[i : i + 3, j : j + 3] * w) + b for j in range(2)] for i in range(2)])
    for i, j in np.ndindex(2, 2):
        assert_close(np.float64(value(account, f"conv[{i + 1},{j + 1}]")), z[i, j], "reduction")
        assert_close(np.float64(value(account, f"curve[{i + 1},{j + 1}]")), np.tanh(z[i, j]), "reduction")
    dense = params["out"]["weight"][:, 0]
    error = np.tanh(z).ravel() @ dense + params["out"]["bias"][0] - y[0, 0]
    delta = error * dense.reshape(2, 2) * (1 - np.tanh(z) ** 2)
    for p, q in np.ndindex(3, 3):
        wanted = np.sum(image[p : p + 2, q : q + 2] * delta)
        assert_close(np.float64(value(account, f"dJ/dconv.weight[{p + 1},{q + 1}]")), wanted, "reduction")
        new = w[p, q] - 0.5 * wanted
        assert_close(np.float64(value(account, f"conv.weight[{p + 1},{q + 1}]")), new, "reduction")
    assert_close(np.float64(value(account, "dJ/dconv.bias")), delta.sum(), "reduction")


def test_one_window_is_written_out(x64):
    account, *_ = _account("picture")
    first = _steps(account, "Forward: conv (convolution)")[1]
    wanted = [f"x[{i},{j + 1}] conv.weight[{i},{j}]" for i in (1, 2, 3) for j in (1, 2, 3)]
    assert first.formula == f"conv[1,2] = {' + '.join(wanted)} + conv.bias"
    assert len(re.findall(r"\*", first.substituted)) == 9
    back = _steps(account, "Backward: conv (convolution)")
    assert back[5].formula == (
        "dJ/dconv.weight[2,3] = x[2,3] dJ/dconv[1,1] + x[2,4] dJ/dconv[1,2]"
        " + x[3,3] dJ/dconv[2,1] + x[3,4] dJ/dconv[2,2]"
    )
    assert back[-1].formula.startswith("dJ/dconv.bias = dJ/dconv[1,1] + dJ/dconv[1,2]")
    text = str(account)
    assert "A window of 3 x 3 places is moved over x by 1 and fits 2 x 2 times." in text
    assert max(map(len, text.splitlines())) <= 80 and "conv.weight[3,3]" in account.html()


def test_groups_strides_and_padding_are_those_of_the_layer(x64):
    account, params, x, y = _account("convolved")
    model = CASES["convolved"][0]

    def cost(params):
        return jnp.mean(0.5 * (model.apply(params, model.init(jax.random.key(0), x)[1], x)[0] - y) ** 2)

    wanted = jax.jit(jax.grad(cost))(params)
    assert_close(value(account, "dJ/dsecond.weight[1,1,1]"), wanted["second"]["weight"][0, 0, 0, 0], "reduction")
    assert_close(value(account, "dJ/dsecond.weight[2,1,4]"), wanted["second"]["weight"][1, 0, 0, 3], "reduction")
    assert_close(value(account, "dJ/dfirst.weight[1,2,2]"), wanted["first"]["weight"][0, 1, 0, 1], "reduction")
    assert_close(value(account, "dJ/dfirst.bias[2]"), wanted["first"]["bias"][1], "reduction")
    first = _steps(account, "Forward: first (convolution)")[0]
    assert first.formula.startswith("first[1,1,1] = x[1,1,1] first.weight[1,1,1] + x[1,2,1] first.weight[1,2,1]")
    assert "moved over x by 2 x 1" in str(account) and "outside of it are circular" in str(account)


def test_large_convolutions_are_shown_in_part(x64):
    model = ja.layers.sequential(
        {"conv": ja.layers.conv(8, 5), "act": ja.layers.elementwise("relu"), "flat": ja.layers.flatten(),
         "out": ja.layers.dense(3)}
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 12, 12, 3))
    params, state = filled(model, x)
    account = explain(recipe(model, ja.losses.softmax_cross_entropy), params, x, np.array([0, 2]), state=state)
    text = str(account)
    assert len(text.splitlines()) < 110 and len(account.html()) < 40_000
    assert "... 25 more" in text and "All 1,152 places" in account.html()
