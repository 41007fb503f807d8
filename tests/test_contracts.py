"""What holds for everything a factory makes, and that the catalogue knows everything public."""

from __future__ import annotations

import functools
import inspect
import json
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core import batch_axes, from_config, to_config
from jaxann.core.factories import Product
from tests.catalogue import ACTIVATIONS, HELPERS, LOSSES, PRODUCTS, ROOMS, Row
from tests.contract import assert_input_error
from tests.programs import quick_jit

every_product = pytest.mark.parametrize("row", PRODUCTS, ids=str)


def _arrays(product: Product) -> Product:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), product)


def test_catalogue_is_complete():
    rows = {row.name for row in [*ACTIVATIONS, *LOSSES, *PRODUCTS]}
    plain = {row.name.replace("metrics.", "metrics.streaming.") for row in PRODUCTS if row.name.startswith("metrics.")}
    public = {
        f"{room}.{name}" for room, module in ROOMS.items() for name in module.__all__
        if not isinstance(getattr(module, name), type)
    }  # fmt: skip
    covered = rows | plain | set(HELPERS)
    assert not public - covered, "public, and without a row in tests/catalogue.py"
    assert not covered - public, "in tests/catalogue.py, and not public"
    assert not rows & set(HELPERS)


@every_product
def test_product_prints_as_the_call_that_makes_it(row: Row):
    product = row.build()
    name = row.name.rpartition(".")[2]
    assert repr(product).startswith(f"{name}(") and repr(product).endswith(")")
    assert repr(product) == repr(row.build())


@every_product
def test_product_compares_by_value(row: Row):
    product = row.build()
    assert product == row.build() and hash(product) == hash(row.build())
    assert product == jax.tree.map(lambda leaf: leaf, product)
    assert product != object() and product != repr(product)
    leaves = jax.tree.leaves(product)
    if leaves:
        assert product != jax.tree.map(lambda leaf: leaf + 1, product)


@every_product
def test_product_is_immutable(row: Row):
    product = row.build()
    with pytest.raises(AttributeError, match="replace"):
        product.rate = 0.5
    product.arguments.clear()
    assert product == row.build()
    with pytest.raises(TypeError):
        type(product)()


@every_product
def test_product_pickles(row: Row):
    product = row.build()
    again = pickle.loads(pickle.dumps(product))
    assert again == product and hash(again) == hash(product) and repr(again) == repr(product)


@every_product
def test_product_comes_back_from_json(row: Row):
    product = row.build()
    if not row.saved:
        name = row.name.rpartition(".")[2]
        message = assert_input_error(lambda: to_config(product), f"{name}.", expected="a function of jaxann's rooms")
        assert "save_arrays" in message
        return
    again = from_config(json.loads(json.dumps(to_config(product), allow_nan=False)))
    assert again == product and hash(again) == hash(product) and repr(again) == repr(product)


@every_product
@pytest.mark.parametrize("filling", ["none", "shape", "object"])
def test_product_unflattens_with_anything(row: Row, filling: str):
    product = row.build()
    leaves, tree = jax.tree.flatten(product)
    fill = {"none": None, "shape": jax.ShapeDtypeStruct((), jnp.float32), "object": object()}[filling]
    hollow = jax.tree.unflatten(tree, [fill] * len(leaves))
    assert isinstance(repr(hollow), str)
    assert jax.tree.unflatten(tree, leaves) == product
    named, named_tree = jax.tree_util.tree_flatten_with_path(product)
    assert named_tree == tree
    assert len({jax.tree_util.keystr(path) for path, _ in named}) == len(leaves)


def _total(product: Product) -> Any:
    return sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(product))


def _members(product: Product) -> Product:
    return jax.tree.map(lambda leaf: np.stack([leaf, leaf + 1, leaf + 2]), product)


def _through(product: Product, members: Product) -> tuple[Any, ...]:
    """Through a program, and, where there are numbers, through `grad` and `vmap` in it."""
    if not jax.tree.leaves(product):
        return (product,)
    return product, jax.grad(_total)(product), jax.vmap(_total, in_axes=(batch_axes(members),))(members)


@functools.cache
def _all_through() -> list[tuple[Any, ...]] | None:
    """Every product through one program, as that is compiled sooner than 160; None if one of them goes through none."""
    products = [_arrays(row.build()) for row in PRODUCTS]
    given = [(product, _members(product)) for product in products]
    try:
        return quick_jit(lambda pairs: [_through(*pair) for pair in pairs])(given)
    except Exception:
        return None


@every_product
def test_product_goes_through_jit_vmap_and_grad(row: Row):
    product, everything = _arrays(row.build()), _all_through()
    members = _members(product)
    if everything is None:  # each by itself, which shows whose fault it is
        found = quick_jit(_through)(product, members)
    else:
        found = everything[PRODUCTS.index(row)]
    assert found[0] == product
    if not jax.tree.leaves(product):
        return
    _, slope, totals = found
    assert type(slope) is type(product)
    assert jax.tree.structure(slope) == jax.tree.structure(product)
    assert slope == jax.tree.map(lambda leaf: 2 * leaf, product)
    axes = batch_axes(members)
    assert set(jax.tree.leaves(axes)) == {0} and jax.tree.leaves(batch_axes(product)) == []
    third = jax.tree.map(lambda leaf: leaf + 2, product)
    np.testing.assert_allclose(np.asarray(totals)[[0, 2]], [_total(product), _total(third)], rtol=1e-6)


@every_product
def test_product_is_replaced_and_checked_anew(row: Row):
    product = row.build()
    assert product.replace() == product
    assert_input_error(lambda: product.replace(no_such_argument=1), "keyword", given="no_such_argument")
    for changes in row.bad:
        assert_input_error(lambda changes=changes: product.replace(**changes), "")
    parameters = inspect.signature(product._factory.public).parameters
    assert list(product.arguments) == list(parameters)


@pytest.mark.parametrize("row", [row for row in PRODUCTS if row.bad], ids=str)
def test_factory_refuses_what_is_out_of_range(row: Row):
    product = row.build()
    signature = product._factory.signature
    for changes in row.bad:
        arguments = product.arguments | changes
        args = [v for n, p in signature.parameters.items() if p.kind is p.VAR_POSITIONAL for v in arguments.pop(n)]
        name = next(iter(changes))
        assert_input_error(lambda a=args, k=arguments: product._factory.public(*a, **k), name)
