"""The gradient check: right gradients pass, planted faults are named, kinks and rounding are told from faults."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.diagnose import check_gradients, check_layer, check_loss
from tests.contract import assert_input_error

RNG = np.random.default_rng(0)
PARAMS = {
    "body": {"scale": RNG.normal(size=3).astype(np.float32), "weight": RNG.normal(size=(4, 3)).astype(np.float32)},
    "bias": RNG.normal(size=3).astype(np.float32),
}
X = RNG.normal(size=(5, 4)).astype(np.float32)


def _model(params: Any, x: Any) -> Any:
    z = jnp.matmul(x, params["body"]["weight"]) + params["bias"][None]
    return jnp.mean(jnp.tanh(z) * params["body"]["scale"][None])


def _spoiled(leaf: str, place: Any, factor: float) -> Any:
    """The model with one entry of one gradient multiplied by a factor."""

    @jax.custom_jvp
    def model(params, x):
        return _model(params, x)

    @model.defjvp
    def _(primals, tangents):
        inner = tangents[0]["body"]
        moved = {**tangents[0], "body": {**inner, leaf: inner[leaf].at[place].multiply(factor)}}
        return jax.jvp(_model, primals, (moved, tangents[1]))

    return model


def test_a_right_gradient_is_good_and_the_table_reads_well():
    result = check_gradients(_model, (PARAMS, X))
    assert result.ok and result.verdict == "good" and result.error < 1e-7 and result.kinks == 0
    assert [leaf.name for leaf in result.leaves] == ["params.bias", "params.body.scale", "params.body.weight", "x"]
    assert [leaf.checked for leaf in result.leaves] == [3, 3, 12, 20] and result.precision == "float64"
    lines = str(result).split("\n")
    assert lines[0] == "gradient check, central differences in float64: good" and max(map(len, lines)) <= 80
    assert not jax.config.read("jax_enable_x64")


def test_a_fault_is_named_by_path_and_place():
    result = check_gradients(_spoiled("weight", (2, 1), 1.01), (PARAMS, X))
    assert not result.ok and result.verdict == "wrong"
    worst = result.worst
    assert worst is not None and worst.place == "params.body.weight[2, 1]" and worst.verdict == "wrong"
    np.testing.assert_allclose(worst.analytic, 1.01 * worst.numeric, rtol=1e-8)
    np.testing.assert_allclose(worst.error, 0.01 / 1.01, rtol=1e-5)
    assert {leaf.name: leaf.verdict for leaf in result.leaves} == {
        "params.bias": "good", "params.body.scale": "good", "params.body.weight": "wrong", "x": "good",
    }  # fmt: skip
    assert "params.body.weight[2, 1]" in str(result)


@pytest.mark.parametrize("factor, expected", ((1 + 1e-6, "acceptable"), (1 + 1e-4, "suspicious"), (-1.0, "wrong")))
def test_verdicts_follow_the_size_of_the_fault(factor: float, expected: str):
    result = check_gradients(_spoiled("scale", 0, factor), (PARAMS, X), argnums=0)
    assert result.verdict == expected and result.ok == (expected == "acceptable")
    assert result.worst is not None and result.worst.place == "params.body.scale[0]"
    assert result.left_out == ("x",)


def test_random_directions_find_the_leaf():
    right = check_gradients(_model, (PARAMS, X), directions=2)
    assert right.ok and [leaf.checked for leaf in right.leaves] == 4 * [2] and "2 ways" in str(right)
    wrong = check_gradients(_spoiled("weight", (2, 1), 1.5), (PARAMS, X), directions=2)
    assert wrong.worst is not None and wrong.worst.name == "params.body.weight" and wrong.verdict == "wrong"
    assert [leaf.verdict for leaf in wrong.leaves if leaf.name != "params.body.weight"] == 3 * ["good"]


def test_given_gradients_are_checked():
    grads = jax.jit(jax.grad(_model))(PARAMS, X)
    narrow = check_gradients(lambda params: _model(params, jnp.asarray(X, params["bias"].dtype)), (PARAMS,),
                             gradients=grads)  # fmt: skip
    assert 1e-9 < narrow.error < 1e-4  # what float32 is good for
    assert check_gradients(_model, (PARAMS, X), gradients=jax.jit(jax.grad(_model)), argnums=0).verdict == "good"
    both = jax.jit(jax.grad(_model, argnums=(0, 1)))
    assert check_gradients(_model, (PARAMS, X), gradients=both).verdict == "good"
    swapped = check_gradients(_model, (PARAMS, X), gradients=lambda p, x: (both(p, x)[0], -both(p, x)[1]))
    assert swapped.worst is not None and swapped.worst.name == "x"
    missing = {"bias": grads["bias"], "body": {"scale": grads["body"]["scale"]}}
    assert_input_error(
        lambda: check_gradients(_model, (PARAMS, X), gradients=missing, argnums=0), "gradients", expected="body.weight"
    )
    assert_input_error(lambda: check_gradients(_model, (PARAMS, X), gradients=grads), "gradients", expected="tuple")


def test_kinks_are_left_out_and_excuse_nothing_else():
    result = check_gradients(lambda x: jnp.sum(jax.nn.relu(x) + jnp.abs(x)), (np.array([-1.0, 0.0, 2.0]),))
    assert result.verdict == "good" and result.kinks == 1
    step = 2.0**-17
    near = step * np.concatenate([np.linspace(-1.2, 1.2, 121), [-30.0, 30.0, -63.0, 63.0]])
    beside = check_gradients(lambda x: jnp.sum(jax.nn.relu(x)), (near,))
    assert beside.verdict == "good" and 1 <= beside.kinks <= 25  # 25 of the points lie within a quarter of a step
    for place in (0, 59, 120, -1):  # no kink excuses a slope that is neither side's
        wrong = (near > 0).astype(float)
        wrong[place] += 0.5 if place >= 0 else -0.5
        found = check_gradients(lambda x: jnp.sum(jax.nn.relu(x)), (near,), gradients=wrong)
        assert found.verdict == "wrong" or place == 59, place
    alone = check_gradients(jnp.abs, (np.zeros(2),))
    assert alone.verdict == "unknown" and not alone.ok and alone.kinks == 2 and np.isnan(alone.error)

    @jax.custom_jvp
    def relu(x):
        return jnp.where(x > 0, x, 0)

    @relu.defjvp
    def _(primals, tangents):
        slope = jnp.where(primals[0] == 0, 2.0, jnp.where(primals[0] > 0, 1.0, 0.0))
        return relu(*primals), slope.astype(primals[0].dtype) * tangents[0]

    assert check_gradients(relu, (np.array([-1.0, 1.0]),)).verdict == "good"
    outside = check_gradients(relu, (np.array([-1.0, 0.0, 1.0]),))  # 2 lies not between the slopes 0 and 1
    assert outside.verdict == "wrong" and outside.worst is not None and outside.worst.index == (1,)


def test_a_longer_step_may_leave_the_domain():
    edge = lambda x: jnp.sum(jnp.log(x) + jnp.sqrt(x))  # noqa: E731
    x = np.array([4e-4, 1.0])  # the longest step goes below 0
    assert check_gradients(edge, (x,)).ok
    assert check_gradients(edge, (x,), gradients=1.01 / x + 0.5 / np.sqrt(x)).verdict == "wrong"


def test_rounding_is_told_from_a_fault():
    def high(x):
        return 1e6 + jnp.sum(jnp.sin(x)) * 1e-3

    x = np.linspace(0.1, 1.5, 4)
    assert check_gradients(high, (x,)).ok
    assert check_gradients(high, (x,), gradients=1.01e-3 * np.cos(x)).verdict == "wrong"


def test_a_function_that_rounds_to_float32_says_so():
    def narrow(x, factor=1.0):
        return factor * jnp.sum(jnp.sin(x.astype(jnp.float32)) ** 2)

    x = np.linspace(0.1, 1.5, 4)
    result = check_gradients(narrow, (x,))
    assert result.ok and result.precision == "float32" and "float32" in result.notes[0]
    assert max(map(len, str(result).split("\n"))) <= 80
    assert check_gradients(narrow, (x,), gradients=1.5 * np.sin(2 * x)).verdict == "wrong"

    def logged(x):  # what is rounded on the side is no excuse
        return jnp.sum(jnp.sin(x)) + 0 * jnp.sum(x.astype(jnp.float32)).astype(x.dtype)

    assert check_gradients(logged, (x,)).precision == "float64"
    assert check_gradients(logged, (x,), gradients=1.0001 * np.cos(x)).verdict == "suspicious"
    half = check_gradients(lambda x: jnp.sum(jnp.sin(x.astype(jnp.bfloat16))), (x,))
    assert half.verdict == "unknown" and not half.ok and half.precision == "bfloat16"


def test_a_complex_step_is_right_to_the_last_digits():
    x = np.linspace(0.1, 3.0, 5)
    result = check_gradients(lambda x: jnp.sum(jnp.exp(x) * jnp.sin(x)), (x,), method="complex")
    assert result.error < 1e-15 and result.method == "complex" and "complex step" in str(result)
    wrong = check_gradients(lambda x: jnp.sum(x**3), (x,), method="complex", gradients=3 * x**2 + 1e-9)
    assert 1e-11 < wrong.error < 1e-6
    assert check_gradients(jnp.abs, (x,), method="complex", directions=1).verdict == "wrong"  # not holomorphic


def test_what_has_no_gradient_is_left_out():
    def fn(params, labels, key, scale, name):
        noise = jax.random.normal(key, (3,), params["w"].dtype)
        return {"values": params["w"] ** 2 * noise * scale, "count": labels.sum(), "name": name}

    params = {"w": np.arange(1.0, 4.0, dtype=np.float32), "steps": np.int32(3)}
    result = check_gradients(fn, (params, np.arange(3), jax.random.key(0), 2.0, "text"))
    assert result.verdict == "good" and [leaf.name for leaf in result.leaves] == ["params.w", "scale"]
    assert result.left_out == ("params.steps", "labels", "key", "name")


def test_large_arrays_are_sampled_and_plain_python_is_called():
    big = check_gradients(lambda x: jnp.sum(x**2), (np.ones((50, 50)),), most=7)
    assert big.ok and big.leaves[0].checked == 7 and "7 of 2,500" in str(big)

    def branching(x):
        return x**2 if x > 1 else 3 * x

    for value in (0.5, 2.0):
        assert check_gradients(branching, (value,), jit=False).verdict == "good"


def test_layers_and_losses_of_the_library_are_right():
    layers = {"norm": ja.layers.batch_norm(), "drop": ja.layers.dropout(0.3), "act": ja.layers.elementwise("tanh")}
    spec = jax.ShapeDtypeStruct((4, 3), jnp.float32)
    result = check_layer(ja.layers.sequential(layers), spec, train=True, key=jax.random.key(1))
    assert result.ok and [leaf.name for leaf in result.leaves] == ["params.norm.bias", "params.norm.scale", "x"]
    labels = np.array([0, 1, 2, 3, 0])
    smooth = functools.partial(ja.losses.softmax_cross_entropy, label_smoothing=0.1)
    assert check_loss(smooth, 3 * X, labels).verdict == "good"
    assert check_loss(ja.losses.huber, 3 * X, X[::-1].copy()).verdict == "good"


def test_a_layer_of_your_own_with_a_fault_is_caught():
    @jax.custom_vjp
    def scale(x, gain):
        return x * gain

    scale.defvjp(
        lambda x, gain: (x * gain, (x, gain)), lambda kept, g: (g * kept[1], jnp.sum(g) * jnp.ones_like(kept[1]))
    )
    layer = ja.layers.custom(
        lambda key, spec: ({"gain": jnp.ones((), spec.dtype)}, {}),
        lambda params, state, x, *, key=None, train=False: (scale(x, params["gain"]), state),
    )
    result = check_layer(layer, X)
    assert result.verdict == "wrong" and result.worst is not None and result.worst.place == "params.gain"
    assert next(leaf for leaf in result.leaves if leaf.name == "x").verdict == "good"


def test_bad_input_is_refused():
    x = np.ones(3)
    assert_input_error(lambda: check_gradients(jnp.sum, x), "args", expected="tuple")
    assert_input_error(lambda: check_gradients(jnp.sum, (np.arange(3),)), "args", expected="floating-point")
    with pytest.raises(ja.InputError, match="args must be arrays with at least one of .*, got 1 without one"):
        check_gradients(jnp.sum, (np.arange(3),))
    assert_input_error(lambda: check_gradients(jnp.sum, (x + [0, np.nan, 0],)), "args", given="nan")
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), argnums=1), "argnums", given="1")
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), method="forward"), "method", given="forward")
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), jit="no"), "jit", given="no")  # pyright: ignore
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), directions=0), "directions", given="0")
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), most=0), "most", given="0")
    assert_input_error(lambda: check_gradients(jnp.sum, (x,), step=0.0), "step", given="0.0")
    with pytest.raises(ja.InputError, match="fn must be a function that returns floating-point numbers"):
        check_gradients(lambda x: "text", (x,))
    with pytest.raises(ja.InputError, match="fn must be a function that returns a scalar"):
        check_gradients(lambda x: 2 * x, (x,), gradients=2 * x)
    with pytest.raises(ja.InputError, match="fn must be finite at args"):
        check_gradients(lambda x: jnp.sum(jnp.log(x - 1.0)), (x,))
    with pytest.raises(ja.InputError, match=r"(?s)args must be known when it is called.*\nCall it outside of jit"):
        jax.jit(lambda x: check_gradients(jnp.sum, (x,)).error)(x)


def test_a_gradient_that_is_not_a_number_is_the_worst():
    claimed = ({"a": np.array([2.0]), "b": np.array([np.nan]), "c": np.array([99.0])},)
    params = {name: np.array([1.0]) for name in "abc"}
    result = check_gradients(lambda p: (p["a"] ** 2 + p["b"] + p["c"]).sum(), (params,), gradients=claimed)
    assert not result.ok and result.worst.name.endswith("b") and result.verdict == "wrong"
    assert "nan" in str(result)


def test_what_rounding_hides_is_not_called_good():
    w = np.array([0.125, 0.5])
    hidden = check_gradients(lambda w: 1e12 + jnp.sum(w**2), (w,), gradients=-2 * w)
    assert hidden.verdict == "unknown" and not hidden.ok and "hides" in str(hidden)
    for offset, expected in ((0.0, "wrong"), (1e6, "wrong")):
        assert check_gradients(lambda w, o=offset: o + jnp.sum(w**2), (w,), gradients=-2 * w).verdict == expected


def test_a_gradient_missing_where_float32_rounds_is_wrong():
    def fn(w):
        return jnp.float32(1) + jnp.float32(1e-4) * jnp.sum(jax.lax.stop_gradient(w.astype(jnp.float32)))

    result = check_gradients(fn, (np.linspace(0.1, 1, 4),))
    assert result.verdict == "wrong" and result.precision == "float32" and "float32" in str(result)
