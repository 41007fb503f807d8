"""optax by constructor: the same bits, one program for all numbers, and clear messages."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxann import optimizers, schedules
from jaxann.core.factories import every_declares
from jaxann.optimizers import apply_updates, from_optax, learning_rate_at
from tests.contract import assert_input_error, compiles

PARAMS = {"weight": jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), "bias": jnp.array([0.5, -0.25])}
GOAL = jax.tree.map(lambda p: jnp.cos(3 * p), PARAMS)
CASES = {
    "adam": (optax.adam, {"learning_rate": 0.05}),
    "adam numbers": (optax.adam, {"learning_rate": 0.05, "b1": 0.7, "b2": 0.95, "eps": 1e-6, "eps_root": 1e-7}),
    "adamw": (optax.adamw, {"learning_rate": 0.05, "weight_decay": 0.1, "mask": {"weight": True, "bias": False}}),
    "sgd": (optax.sgd, {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (optax.rmsprop, {"learning_rate": 0.05, "decay": 0.8, "momentum": 0.5, "centered": True, "eps": 1e-3}),
    "lion": (optax.lion, {"learning_rate": 0.05, "b1": 0.8}),
    "lbfgs": (optax.lbfgs, {"memory_size": 3}),
}
STATIC = ("mask", "nesterov", "centered", "memory_size")


def loss(params: Any) -> jax.Array:
    return sum(jnp.sum((a - b) ** 4) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(GOAL), strict=True))


def walk(update: Any, state: Any, steps: int = 20, params: Any = PARAMS) -> Any:
    """The weights after each step."""

    def body(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = update(grads, state, params, value, grads)
        params = apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(body, (params, state), length=steps)[1]


@jax.jit
def ours(optimizer: Any) -> Any:
    def update(grads, state, params, value, _):
        return optimizer.update(grads, state, params, value=value, value_fn=loss, key=jax.random.key(0))

    return walk(update, optimizer.init(PARAMS))


def theirs(optimizer: Any) -> Any:
    def update(grads, state, params, value, grad):
        if isinstance(optimizer, optax.GradientTransformationExtraArgs):
            return optimizer.update(grads, state, params, value=value, grad=grad, value_fn=loss)
        return optimizer.update(grads, state, params)

    return walk(update, optimizer.init(PARAMS))


def assert_same_bits(a: Any, b: Any) -> None:
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_are_those_of_optax_bit_for_bit(name: str):
    constructor, arguments = CASES[name]
    fixed = {n: v for n, v in arguments.items() if n in STATIC}
    numbers = {n: v for n, v in arguments.items() if n not in STATIC}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda given: theirs(constructor(**fixed, **given)))(numbers)
        plain = jax.jit(lambda: theirs(constructor(**arguments)))()
    optimizer = from_optax(constructor, **arguments)
    assert len(jax.tree.leaves(optimizer)) == len(numbers)
    assert_same_bits(ours(optimizer), expected)
    closed_over = jax.jit(lambda: ours.__wrapped__(optimizer))()  # its numbers are Python's own
    assert_same_bits(closed_over, plain)


def test_fresh_ones_and_other_numbers_compile_nothing():
    for constructor, first, second in (
        (optax.adam, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}),
        (optax.adamw, {"learning_rate": 0.1, "b1": 0.9}, {"learning_rate": 0.2, "b1": 0.5}),
        (optax.sgd, {"learning_rate": 0.1, "momentum": 0.9}, {"learning_rate": 0.1, "momentum": 0.1}),
    ):
        a = ours(from_optax(constructor, **first))
        before = compiles()
        assert_same_bits(ours(from_optax(constructor, **first)), a)
        b = ours(from_optax(constructor, **second))
        c = ours(
            from_optax(constructor, *[second["learning_rate"]], **{n: v for n, v in second.items() if n[0] != "l"})
        )
        assert compiles() == before
        assert_same_bits(b, c)
        assert not np.array_equal(a["bias"], b["bias"])


def test_rates_are_mapped_and_differentiated():
    rates = jnp.array([0.01, 0.05])
    many = jax.vmap(ours.__wrapped__)(from_optax(optax.adam, learning_rate=rates))
    for i, rate in enumerate(rates):
        one = ours(from_optax(optax.adam, learning_rate=rate))
        np.testing.assert_allclose(many["weight"][i], one["weight"], rtol=1e-5)

    def last(rate):
        return loss(jax.tree.map(lambda leaf: leaf[-1], ours(from_optax(optax.sgd, learning_rate=rate))))

    slope = (last(0.0101) - last(0.0099)) / 0.0002
    np.testing.assert_allclose(jax.grad(last)(0.01), slope, rtol=1e-2)


def test_schedules_of_jaxann_are_taken_with_their_numbers():
    falling = schedules.cosine(0.1, 15, end=0.01)
    optimizer = from_optax(optax.sgd, learning_rate=falling)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda schedule: theirs(optax.sgd(lambda count: schedule(count))))(falling)
    assert_same_bits(ours(optimizer), expected)
    before = compiles()
    ours(from_optax(optax.sgd, learning_rate=schedules.cosine(0.2, 12, end=0.01)))
    assert compiles() == before
    assert float(learning_rate_at(optimizer, jnp.int32(0))) == pytest.approx(0.1)
    assert float(learning_rate_at(from_optax(optax.adam, 0.25), jnp.int32(3))) == 0.25
    assert np.isnan(learning_rate_at(from_optax(optax.clip, 0.25), jnp.int32(3)))


def test_constructors_inside_one_another():
    search = from_optax(optax.scale_by_zoom_linesearch, max_linesearch_steps=15)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda: theirs(optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(15))))()
    found = ours(from_optax(optax.lbfgs, linesearch=search))
    assert_same_bits(found, expected)
    assert float(loss(jax.tree.map(lambda leaf: leaf[-1], found))) < 1e-5 < float(loss(PARAMS))
    chained = from_optax(optax.chain, from_optax(optax.clip_by_global_norm, 0.5), from_optax(optax.adam, 0.05))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        pair = jax.jit(lambda c, r: theirs(optax.chain(optax.clip_by_global_norm(c), optax.adam(r))))(0.5, 0.05)
    assert_same_bits(ours(chained), pair)
    assert len(jax.tree.leaves(chained)) == 2
    around = optimizers.ema(optimizers.chain(optimizers.clip_by_value(1.0), from_optax(optax.adam, 0.05)), 0.9)
    assert around.averages and not every_declares(around, "finite_updates")
    groups = from_optax(
        optax.partition,
        {"a": from_optax(optax.sgd, 0.1), "b": from_optax(optax.sgd, 0.2)},
        {"weight": "a", "bias": "b"},
    )
    updates, _ = groups.update(PARAMS, groups.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["weight"], -0.1 * PARAMS["weight"], rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], -0.2 * PARAMS["bias"], rtol=1e-6)


def test_it_runs_under_ordinary_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
        optimizer = from_optax(optax.adamw, learning_rate=jnp.float32(0.1), weight_decay=0.1)
        updates, _ = optimizer.update(low, optimizer.init(low), low)
        assert all(np.isfinite(np.asarray(u, np.float32)).all() for u in jax.tree.leaves(updates))


def picky(learning_rate: float, momentum: float = 0.0) -> optax.GradientTransformation:
    """Looks at one of its numbers in Python."""
    if momentum < 0:
        raise ValueError("momentum is negative")
    return optax.sgd(learning_rate, momentum or None)


def test_a_number_that_the_constructor_looks_at_is_structure():
    optimizer = from_optax(picky, learning_rate=0.1, momentum=0.5)
    assert jax.tree.leaves(optimizer) == [0.1]
    assert_same_bits(ours(optimizer), ours(from_optax(optax.sgd, learning_rate=0.1, momentum=0.5)))
    before = compiles()
    ours(from_optax(picky, learning_rate=0.2, momentum=np.float64(0.5)))
    assert compiles() == before
    assert from_optax(picky, 0.1, momentum=0.25) != optimizer

    def traced(momentum):
        return jax.eval_shape(lambda m: ours(from_optax(picky, learning_rate=0.1, momentum=m)), momentum)

    assert_input_error(lambda: traced(0.5), "momentum", expected="known when the program is built")


def test_it_is_a_product_like_any_other():
    optimizer = from_optax(optax.sgd, 0.1, momentum=0.5, nesterov=True)
    assert repr(optimizer) == "from_optax(sgd, learning_rate=0.1, momentum=0.5, nesterov=True)"
    assert repr(from_optax(optax.adam, jnp.float32(0.5))) == "from_optax(adam, learning_rate=0.5)"
    assert optimizer == from_optax(optax.sgd, momentum=0.5, nesterov=True, learning_rate=0.1)
    assert optimizer != from_optax(optax.sgd, 0.1, momentum=0.5)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    masked = from_optax(optax.adamw, 0.1, mask={"weight": True, "bias": False})
    assert hash(masked) == hash(from_optax(optax.adamw, 0.1, mask={"weight": True, "bias": False}))
    assert masked != from_optax(optax.adamw, 0.1, mask={"weight": True, "bias": True})


def test_messages_name_the_constructor_and_its_parameters():
    message = assert_input_error(lambda: from_optax(optax.adam, 0.1, beta1=0.9), "adam", given="'beta1'")
    assert "b1, b2, eps, eps_root, learning_rate" in message
    assert_input_error(lambda: from_optax(optax.adam), "arguments", given="none", expected="adam (learning_rate")
    assert_input_error(lambda: from_optax(optax.adam, 0.1, learning_rate=0.2), "arguments", given="0.1")
    hint = assert_input_error(lambda: from_optax(optax.adam(0.1)), "constructor")
    assert "from_optax(optax.adam, learning_rate=1e-3)" in hint
    assert_input_error(lambda: from_optax(abs, -3.0), "constructor", expected=".init and .update")
