"""The promises of a factory's product: pytree, value, text, file, and no compilation for another number."""

from __future__ import annotations

import copy
import functools
import pickle
from collections import OrderedDict
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import initializers, layers, models, optimizers, schedules
from jaxann.core import InputError, Layer, Schedule, batch_axes, factory, is_product
from jaxann.core.checks import check_range
from jaxann.core.tables import known_factories, known_functions
from tests.contract import assert_input_error

BUILDS: list[Any] = []


@factory(Schedule, static=("size",))
def line(slope, size=3, *, offset=0.0, names=("a", "b"), table=None, function=None, flag=False):
    """A schedule of the tests' own, with an argument of every kind."""
    BUILDS.append(slope)
    check_range("line", "slope", slope, 0)
    return lambda step: jnp.asarray(slope, jnp.float32) * step.astype(jnp.float32) + jnp.asarray(offset, jnp.float32)


@factory(Schedule)
def total(*terms, scale=1.0):
    """A schedule of several."""
    return lambda step: sum(jnp.asarray(term(step)) for term in terms) * jnp.asarray(scale, jnp.float32)


@factory(Schedule, convert={"value": float})
def converted(value):
    """A schedule whose argument is turned into a float first."""
    return lambda step: jnp.asarray(value)


@functools.lru_cache
def _counted():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def call(schedule, step):
        return schedule(step)

    return call


def test_numbers_are_leaves_and_the_rest_is_structure():
    product = line(2, 4, offset=np.float32(0.5), names=["x", "y"], function=jnp.tanh, table={"b": 1.0, "a": 2.0})
    assert jax.tree.leaves(product) == [2, 0.5, 1.0, 2.0]
    assert product.arguments["names"] == ("x", "y") and product.arguments["size"] == 4
    assert list(product.arguments["table"]) == ["b", "a"]
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(product)]
    assert paths[:2] == [".slope", ".offset"]
    structure = jax.tree.structure(product)
    for other in (
        line(2, 5, offset=0.5, names=["x", "y"], function=jnp.tanh, table={"b": 1.0, "a": 2.0}),
        line(2, 4, offset=0.5, names=["x", "z"], function=jnp.tanh, table={"b": 1.0, "a": 2.0}),
        line(2, 4, offset=0.5, names=["x", "y"], function=jnp.sinh, table={"b": 1.0, "a": 2.0}),
        line(2, 4, offset=0.5, names=["x", "y"], function=jnp.tanh, table={"a": 2.0, "b": 1.0}),
        line(2, 4, offset=0.5, names=["x", "y"], function=jnp.tanh, table={"b": 1.0, "a": 2.0}, flag=True),
        line(2, 4, offset=0.5, names=["x", "y"], function=jnp.tanh),
    ):
        assert jax.tree.structure(other) != structure and other != product


def test_building_happens_once_and_never_in_flattening():
    BUILDS.clear()
    product = line(3.0)
    assert BUILDS == [3.0]  # at once, so that the checks speak
    product(1), product(2)
    assert BUILDS == [3.0]
    leaves, tree = jax.tree.flatten(product)
    again = jax.tree.unflatten(tree, leaves)
    jax.tree.unflatten(tree, [None] * len(leaves))
    copy.copy(again), pickle.dumps(again), repr(again), hash(again), again == product
    assert BUILDS == [3.0]
    again(1), again(1)
    assert BUILDS == [3.0, 3.0]
    with pytest.raises(InputError):
        line(-1.0)


def test_another_number_compiles_nothing_and_an_equal_structure_neither():
    call = _counted()
    step = jnp.int32(2)
    for slope in (1.0, 2.5, 7.0):
        assert float(call(line(slope), step)) == 2 * slope
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def apply(model, params, state, x):
        return model.apply(params, state, x, train=True, key=jax.random.key(0))[0]

    x = jnp.ones((2, 3))
    params, state = models.mlp((4, 2), dropout=0.5).init(jax.random.key(0), x)
    predictions = [apply(models.mlp((4, 2), dropout=rate), params, state, x) for rate in (0.5, 0.0, 0.9)]
    assert (np.asarray(predictions[1]) != np.asarray(predictions[2])).any()


def test_product_is_safe_in_other_programs_after_a_first_use_inside_one():
    for make in (lambda: line(2.0), lambda: schedules.cosine(1.0, 5)):
        product = jax.tree.map(jnp.asarray, make())  # rebuilt from arrays: nothing is built yet
        jax.jit(lambda step, product=product: product(step))(jnp.int32(1))
        assert float(product(1)) == float(make()(1))


@factory(Schedule)
def steep(slope):
    """A body that computes with its number at once."""
    twice = 2 * jnp.asarray(slope)
    return lambda step: twice * step.astype(twice.dtype)


def test_what_a_body_computes_of_traced_numbers_stays_in_its_program():
    def inside(product):
        _, values = jax.lax.scan(lambda carry, step: (carry, product(step)), 0, jnp.arange(3))
        return values + product(jnp.int32(1))  # met first in the loop, then outside it

    np.testing.assert_allclose(jax.jit(inside)(jax.tree.map(jnp.asarray, steep(3.0))), [6.0, 12.0, 18.0])


@pytest.mark.parametrize("name", ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"])
def test_initializer_leaks_nothing_from_a_program(name: str, key: jax.Array):
    distribution = jax.tree.map(jnp.asarray, getattr(initializers, name)())
    inside = jax.jit(lambda k: distribution(k, (3, 4)))(key)
    np.testing.assert_allclose(distribution(key, (3, 4)), inside, rtol=1e-6)


def test_products_nest_and_vmap_over_members():
    inner = [line(jnp.array([1.0, 2.0, 3.0])), line(10.0)]
    product = total(*inner, scale=2.0)
    assert is_product(product.arguments["terms"][0])
    axes = batch_axes(product)
    assert jax.tree.leaves(axes) == [0]
    values = jax.vmap(lambda p: p(1), in_axes=(axes,))(product)
    np.testing.assert_allclose(values, [22.0, 24.0, 26.0])
    assert [leaf.shape for leaf in jax.tree.leaves(jax.tree.map(jnp.asarray, product))] == [(3,), (), (), (), ()]
    out = jax.jit(lambda p: p.replace(scale=p.arguments["scale"] * 2))(jax.tree.map(jnp.asarray, total(line(1.0))))
    assert out == total(line(1.0), scale=2.0)


def test_gradient_with_respect_to_a_product_is_a_product():
    slope = jax.grad(lambda p: p(3))(line(2.0))
    assert isinstance(slope, Schedule) and slope.arguments["slope"] == 3.0 and slope.arguments["offset"] == 1.0
    assert slope.arguments["names"] == ("a", "b")


def test_product_travels_through_transformations():
    product = line(jnp.float32(2.0))

    def body(carry, step):
        return jax.tree.map(lambda leaf: leaf * 2.0, carry), carry(step)

    product = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), product)
    last, values = jax.lax.scan(body, product, jnp.arange(3))
    np.testing.assert_allclose(values, [0.0, 4.0, 16.0])
    assert last == line(16.0)
    either = jax.lax.cond(True, lambda p: p, lambda p: p.replace(offset=p.arguments["offset"] + 1.0), product)
    assert either == product
    shapes = jax.eval_shape(lambda p: p, product)
    assert shapes.arguments["slope"].shape == () and isinstance(repr(shapes), str)
    moved = jax.device_put(product, jax.devices()[0])
    assert moved == product
    assert product.replace(slope=jax.ShapeDtypeStruct((), jnp.float32)) != product


@pytest.mark.parametrize(
    ("product", "text"),
    [
        (line(2), "line(slope=2)"),
        (line(2, 3, offset=0.0), "line(slope=2)"),
        (line(2, 4, offset=0.25, flag=True), "line(slope=2, size=4, offset=0.25, flag=True)"),
        (line(jnp.float32(0.1)), "line(slope=0.1)"),
        (line(1, function=jnp.tanh), "line(slope=1, function=tanh)"),
        (line(1, table={"b": 1}), "line(slope=1, table={'b': 1})"),
        (total(line(1), line(2)), "total(line(slope=1), line(slope=2))"),
        (optimizers.adam(1e-3), "adam(learning_rate=0.001)"),
        (optimizers.adam(jnp.array([0.1, 0.2])), "adam(learning_rate=[0.1, 0.2])"),
        (layers.sequential({"a": layers.dense(2)}), "sequential(layers={'a': dense(units=2)})"),
    ],
    ids=str,
)
def test_product_prints_as_its_call(product: Any, text: str):
    assert repr(product) == text


def test_product_compares_by_value():
    assert line(0.5) == line(np.float32(0.5)) == line(jnp.float32(0.5))
    assert line(1, offset=jnp.array([1.0, jnp.nan])) == line(1, offset=np.array([1.0, np.nan], np.float32))
    assert line(1, offset=float("nan")) == line(1, offset=float("nan"))
    assert line(jnp.array([1.0, 2.0])) != line(jnp.array([1.0, 3.0]))
    assert line(jnp.array([1.0, 1.0])) != line(1.0)
    assert line(1.0) != total(line(1.0)) and line(1.0) != 1.0
    assert len({line(1.0), line(1.0), line(2.0)}) == 2
    assert line(1.0) != jax.eval_shape(lambda p: p, line(1.0))
    found = jax.jit(lambda p: jnp.float32(p == line(1.0)))(line(1.0))
    assert float(found) == 0.0  # a traced number is equal to nothing but itself


def test_product_pickles_and_copies():
    product = line(jnp.array([1.0, 2.0]), 7, table={"z": 1.0, "a": total(line(1.0))})
    for again in (pickle.loads(pickle.dumps(product)), copy.copy(product), copy.deepcopy(product)):
        assert again == product and jax.tree.structure(again) == jax.tree.structure(product)
        assert again.arguments["size"] == 7 and is_product(again.arguments["table"]["a"])


def test_product_cannot_be_changed_from_outside():
    inside = {"a": layers.dense(2)}
    product = layers.sequential(inside)
    inside["b"] = layers.dense(3)
    assert list(product.arguments["layers"]) == ["a"]
    product.arguments["layers"]["c"] = layers.dense(4)
    assert list(product.arguments["layers"]) == ["a"], "the table is handed out by reference"
    for name in ("_arguments", "learning_rate", "rate"):
        with pytest.raises(AttributeError, match=r"\.replace"):
            setattr(product, name, 1)


def test_replace_is_checked_like_a_call():
    product = optimizers.adam(1e-3)
    assert product.replace(b1=0.5) == optimizers.adam(1e-3, b1=0.5)
    assert_input_error(lambda: product.replace(b1=2.0), "b1", given="2.0")
    message = assert_input_error(lambda: product.replace(beta1=0.5), "keyword", given="beta1")
    assert "b1" in message
    assert converted(3).replace(value=4).arguments["value"] == 4.0
    assert type(converted(3).replace(value=4).arguments["value"]) is float
    frozen = product.replace(learning_rate=schedules.constant(0.1))
    assert is_product(frozen.arguments["learning_rate"]) and frozen.arguments["b1"] == 0.9


def test_wrong_calls_say_what_is_wrong():
    message = assert_input_error(lambda: line(1, sloppe=2), "keyword", given="sloppe")
    assert "Did you mean 'slope'?" in message
    with pytest.raises(TypeError, match="line: missing"):
        line()
    with pytest.raises(TypeError, match="line: too many"):
        line(1, 2, 3, 4)
    sizes = jnp.int32(3), np.arange(2), {"a": 1}
    for size in sizes:
        assert_input_error(lambda size=size: line(1, size), "size", expected="known when the function is built")
    assert line(1, np.int64(3)) == line(1, 3) and type(line(1, np.int64(3)).arguments["size"]) is int
    with pytest.raises(TypeError, match="nothing"):
        factory(Schedule, static=("nothing",))(lambda value: value)
    with pytest.raises(TypeError, match="factory function"):
        Layer()


def test_static_sizes_inside_a_program_are_refused():
    def inside(size):
        return layers.dense(size).init(jax.random.key(0), jnp.ones((1, 2)))[0]["weight"]

    with pytest.raises(InputError, match="dense: units must be"):
        jax.jit(inside)(3)


def test_containers_keep_their_order_and_kind():
    product = line(1, table=OrderedDict([("z", [1.0, 2.0]), ("a", {"k": 3.0})]), names=[])
    assert product.arguments["table"]["z"] == (1.0, 2.0) and product.arguments["names"] == ()
    again = jax.tree.map(lambda leaf: leaf, product)
    assert list(again.arguments["table"]) == ["z", "a"] and again == product
    assert jax.tree.leaves(line(1, table={}, names=())) == [1, 0.0]


def test_tables_know_the_public_names():
    factories, functions = known_factories(), known_functions()
    assert factories["layers.dense"].public is layers.dense
    assert functions["activations.relu"].__name__ == "relu"
    assert all(name.count(".") >= 1 for name in (*factories, *functions))
    assert factories[f"{__name__}.line"].public is line


def test_of_traced_numbers_the_body_runs_once_for_each_trace_and_nothing_of_one_is_met_in_another():
    runs = []

    @factory(Schedule)
    def doubled(rate: float):
        runs.append(rate)
        twice = rate * 2  # a number of the trace that asks
        return lambda step: twice * step

    def total(product, steps):
        before = product(jnp.float32(1)) + product(jnp.float32(2))

        def body(carry, step):
            return carry + product(step) + product(step), None

        inside = jax.lax.scan(body, jnp.float32(0), steps)[0]
        return before + inside + product(jnp.float32(3)) + product(jnp.float32(4))

    made = doubled(0.5)
    runs.clear()
    assert float(jax.jit(total)(made, jnp.arange(3.0))) == 1 + 2 + 6 + 3 + 4
    assert len(runs) == 3  # outside, inside the loop, and outside again
    runs.clear()
    slope = jax.grad(lambda product: total(product, jnp.arange(3.0)))(made)
    assert float(jax.tree.leaves(slope)[0]) == 2 * (1 + 2 + 6 + 3 + 4)
    assert made._built_here is None  # what is of a trace stays with the product that was flattened into it
