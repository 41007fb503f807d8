"""A rule of one's own, written with `custom` or with `factory`, gets exactly what jaxann's own get."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.core.factories import every_declares, factory, some_declares
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.optimizers import apply_updates, chain, custom, leaf_learning_rates, learning_rate_at, per_leaf, sgd
from tests.contract import assert_input_error

PARAMS = {"encoder": {"weight": jnp.ones((2, 3))}, "head": {"weight": jnp.full((3,), 2.0)}}
ONES = jax.tree.map(jnp.ones_like, PARAMS)


def loss(params: Any) -> jax.Array:
    return sum(jnp.sum(leaf**4) for leaf in jax.tree.leaves(params))


def plain_init(params: Any) -> tuple[()]:
    return ()


def plain_update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    return jax.tree.map(lambda g: -g / 2, grads), state


def test_own_sam_makes_the_steps_of_ours():
    def update(grads, state, params, *, value_fn):
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
        offset = jax.tree.map(lambda g: 0.05 / (norm + 1e-12) * g, grads)
        worst = jax.grad(value_fn)(apply_updates(params, offset))
        return jax.tree.map(lambda g: -0.1 * g, worst), state

    own, grads = custom(plain_init, update), jax.grad(loss)(PARAMS)
    ours = optimizers.sam(sgd(0.1), rho=0.05)
    a, _ = own.update(grads, own.init(PARAMS), PARAMS, value_fn=loss)
    b, _ = ours.update(grads, ours.init(PARAMS), PARAMS, value_fn=loss)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    for rule in (own, ours, chain(optimizers.clip_by_value(1.0), own), optimizers.ema(own), per_leaf(own)):
        assert not every_declares(rule, "finite_updates")  # so each of its updates is looked at


def test_what_the_trainer_gives_is_handed_on_by_name():
    seen = {}

    def update(grads, state, params, *, value, value_fn, key, grad):
        seen.update(value=value, value_fn=value_fn, key=key, grad=grad)
        return grads, state

    key = jax.random.key(1)
    rule = optimizers.ema(chain(custom(plain_init, update), sgd(0.1)))
    rule.update(ONES, rule.init(PARAMS), PARAMS, value=jnp.float32(3), value_fn=loss, key=key)
    assert seen["value"] == 3 and seen["value_fn"] is loss and seen["key"] is key and seen["grad"] is ONES

    def some(grads, state, params, **more):
        seen.clear()
        seen.update(more)
        return grads, state

    rule = custom(plain_init, some)
    rule.update(ONES, (), PARAMS, value=jnp.float32(3), value_fn=loss, key=key)
    assert set(seen) == {"value", "value_fn", "grad"}  # as optax's chains want it


def test_own_traits_are_seen_wherever_it_stands():
    line_search = custom(plain_init, plain_update, traits=("whole_batch", "finite_updates"))
    assert line_search.traits == {"whole_batch", "finite_updates"}
    around = optimizers.ema(per_leaf(chain(optimizers.centralize(), line_search), freeze="head"))
    assert some_declares(around, "whole_batch") and every_declares(around, "finite_updates")
    assert not some_declares(optimizers.ema(custom(plain_init, plain_update)), "whole_batch")
    assert some_declares(optimizers.lbfgs(), "whole_batch")
    assert custom(plain_init, plain_update, traits="whole_batch").traits == {"whole_batch"}
    assert_input_error(lambda: custom(plain_init, plain_update, traits=("whole_bach",)), "traits", given="whole_bach")
    assert_input_error(lambda: custom(plain_init, 3), "update", given="3")  # type: ignore[arg-type]
    assert_input_error(lambda: custom(plain_init, plain_update, evaluation_params="x"), "evaluation_params")  # type: ignore[arg-type]


def test_own_average_is_evaluated():
    def init(params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(grads, state, params):
        updates = jax.tree.map(lambda g: -0.1 * g, grads)
        return updates, jax.tree.map(lambda a, p, u: 0.5 * a + 0.5 * (p + u), state, params, updates)

    def point(state, params):
        return state

    rule = custom(init, update, evaluation_params=point)
    assert rule.averages and not custom(init, update).averages
    ours = optimizers.ema(sgd(0.1), 0.5, debias=True)
    for around in (
        lambda one: one,
        lambda one: chain(optimizers.clip_by_value(5.0), one),
        lambda one: optimizers.apply_if_finite(one, 3),
    ):
        own, other = around(rule), around(ours)
        states = own.init(PARAMS), other.init(PARAMS)
        _, state = own.update(ONES, states[0], PARAMS)
        _, reference = other.update(ONES, states[1], PARAMS)
        found = own.evaluation_params(state, PARAMS)["head"]["weight"]
        np.testing.assert_allclose(found, 0.5 * other.evaluation_params(reference, PARAMS)["head"]["weight"], rtol=1e-6)
    assert_input_error(lambda: optimizers.lookahead(rule), "optimizer", expected="evaluated where it steps")


class Average(NamedTuple):
    average: Any
    inner: Any


@factory(Optimizer, traits=("wrapper", "finite_updates"))
def last_weights(optimizer: Optimizer):
    """Evaluates at the weights after the step."""

    def init(params):
        return Average(params, optimizer.init(params))

    def update(grads, state, params, **more):
        updates, inner = optimizer.update(grads, state.inner, params, **more)
        return updates, Average(apply_updates(params, updates), inner)

    return OptimizerFunctions(init, update, lambda state, params: state.average)


@factory(Optimizer)
def undeclared(optimizer: Optimizer):
    """The same, and does not say that it is a wrapper."""
    return last_weights(optimizer).functions


@factory(Optimizer, traits=("decays_by_mask",))
def decaying(rate: float, weight_decay: float = 0.5, mask: Any = None):
    """A rate under another name, and decay."""

    def update(grads, state, params):
        meant = optimizers.masking.selected("decaying", "mask", mask, params)
        return jax.tree.map(lambda g, p, d: -rate * (g + weight_decay * p if d else g), grads, params, meant), state

    return OptimizerFunctions(plain_init, update, learning_rate=rate)


def test_per_leaf_works_inside_a_wrapper_that_says_so():
    rule = per_leaf(last_weights(sgd(1.0)), learning_rate_scale={"encoder": 0.5})
    updates, state = rule.update(ONES, rule.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["encoder"]["weight"], jnp.full((2, 3), -0.5))
    point = rule.evaluation_params(state, PARAMS)
    np.testing.assert_array_equal(point["encoder"]["weight"], jnp.full((2, 3), 0.5))  # the weights as they are
    assert_input_error(lambda: per_leaf(undeclared(sgd(1.0)), learning_rate_scale={"encoder": 0.5}), "optimizer",
                       expected="wrapper")  # fmt: skip
    scaled = per_leaf(custom(plain_init, plain_update), learning_rate_scale={"encoder": 0.5})
    updates, _ = scaled.update(ONES, scaled.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["encoder"]["weight"], jnp.full((2, 3), -0.25))


def test_per_leaf_tells_an_own_rule_what_decays():
    rule = per_leaf(optimizers.ema(decaying(1.0)), decay="head")
    updates, _ = rule.update(ONES, rule.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["encoder"]["weight"], -jnp.ones((2, 3)))
    np.testing.assert_array_equal(updates["head"]["weight"], jnp.full((3,), -2.0))
    assert_input_error(lambda: per_leaf(sgd(1.0), decay="head"), "decay", expected="adamw")


def test_an_own_rate_is_known():
    step = jnp.int32(0)
    assert float(learning_rate_at(optimizers.ema(decaying(0.25)), step)) == 0.25
    rates = leaf_learning_rates(per_leaf(decaying(0.5), freeze="head"), step, PARAMS)
    assert float(rates["encoder"]["weight"]) == 0.5 and float(rates["head"]["weight"]) == 0
    falling = schedules.multi_step(1.0, (2,), gamma=0.5)
    gathered = optimizers.lookahead(optimizers.accumulate(decaying(falling), 2))
    assert [float(learning_rate_at(gathered, jnp.int32(i))) for i in (0, 3, 4)] == [1.0, 1.0, 0.5]
    shrinking = optimizers.proximal_l1(decaying(0.5), 1.0, mask=None)
    updates, _ = shrinking.update(ONES, shrinking.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["head"]["weight"], jnp.full((3,), -0.5 * (1 + 0.5 * 2) - 0.5), rtol=1e-6)


def test_the_last_of_a_chain_is_scaled_even_where_one_stands_twice():
    half = custom(plain_init, plain_update)
    rule = per_leaf(chain(half, half), learning_rate_scale={"encoder": 0.5})
    updates, _ = rule.update(ONES, rule.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["encoder"]["weight"], jnp.full((2, 3), 0.125))
    np.testing.assert_array_equal(updates["head"]["weight"], jnp.full((3,), 0.25))


def test_a_factory_with_an_unknown_trait_is_refused():
    with pytest.raises(ValueError, match="each of traits must be one of chain, decays_by_mask"):
        factory(Optimizer, traits=("whole",))(lambda: None)
