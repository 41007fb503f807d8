"""Columns of a table, each with weights of its own: maps, waves of several lengths, categories."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_flag, check_floating, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Initializer, Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.initializers import lecun_normal, normal, uniform, zeros

__all__ = [
    "category_embedding",
    "category_rows",
    "column_dense",
    "column_product",
    "periodic_embedding",
    "phase_embedding",
    "wave_angles",
]


@factory(Layer, static=("units",))
def column_dense(
    units: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z_j = x_j W_j + b_j for each column j: a dense layer of its own for each.

    Args:
        units: number of outputs of each column.
        use_bias: whether there are b.
        kernel_init: distribution of each W_j, `lecun_normal()` when None.
        bias_init: distribution of b, zeros when None.

    Input `(batch, columns, features)`, or `(batch, columns)` for columns of one number; output
    `(batch, columns, units)`. Parameters: `weight` `(columns, features, units)`, `bias` `(columns, units)`.

    Peers: NLinear of rtdl_num_embeddings, which has U(-a, a), a = 1 / sqrt(features), for W and b; flax's DenseGeneral
    with batch_dims.

    Source: Gorishniy, Rubachev and Babenko 2022.

    Raises:
        InputError: units is no positive integer, or x has other columns or features than the weight.
    """
    check_integer("column_dense", "units", units)
    check_flag("column_dense", "use_bias", use_bias)

    def init(key, spec):
        check_floating("column_dense", "spec", spec)
        if len(spec.shape) not in (2, 3) or 0 in spec.shape[1:]:
            fail("column_dense", "spec", "of shape (batch, columns, features)", f" shape {tuple(spec.shape)}")
        columns, features = spec.shape[1], spec.shape[2] if len(spec.shape) == 3 else 1
        draw = kernel_init or lecun_normal()
        key_of = fold_name(key, "weight")
        weights = [draw(fold_name(key_of, f"{j}"), (features, units), spec.dtype) for j in range(columns)]
        params = {"weight": jnp.stack(weights)}
        if use_bias:
            params["bias"] = (bias_init or zeros())(fold_name(key, "bias"), (columns, units), spec.dtype)
        return params, {}

    def apply(params, state, x, *, key=None, train=False):
        columns, features = params["weight"].shape[:2]
        given = x[..., None] if x.ndim == 2 else x
        if x.ndim not in (2, 3) or given.shape[1:] != (columns, features):
            fail("column_dense", "x", f"of shape (batch, {columns}, {features})", f" shape {x.shape}")
        if x.dtype != params["weight"].dtype:
            fail("column_dense", "x", f"of the weight's dtype {params['weight'].dtype}", f" {x.dtype}")
        z = column_product(given, params["weight"])
        return z + jnp.broadcast_to(params["bias"], z.shape) if use_bias else z, state

    return init, apply


def column_product(x: Array, weight: Array) -> Array:
    """x_j W_j for each column: `(batch, columns, a)` times `(columns, a, b)`."""
    z = lax.dot_general(x, weight, (((2,), (1,)), ((1,), (0,))), preferred_element_type=wide_dtype(x.dtype))
    return jnp.swapaxes(z, 0, 1).astype(x.dtype)


@factory(Layer, static=("frequencies",))
def periodic_embedding(frequencies: int = 48, *, deviation: Scalar = 0.01):
    """y_j = (cos(2 pi c_j x_j), sin(2 pi c_j x_j)) for each column j, with as many c_j as there are frequencies.

    Args:
        frequencies: how many waves a column has.
        deviation: of the normal distribution of c; what matters most, from 0.01 to 10, for columns of deviation 1.

    Input `(batch, columns)`; output `(batch, columns, 2 frequencies)`, the cosines first. Parameter: `weight`
    `(columns, frequencies)`, which is trained.

    Peers: the first step of PeriodicEmbeddings of rtdl_num_embeddings, after which comes `column_dense` with relu.

    Source: Gorishniy, Rubachev and Babenko 2022.

    Raises:
        InputError: frequencies is no positive integer, the deviation not above 0, or x has another number of columns.
    """
    check_integer("periodic_embedding", "frequencies", frequencies)
    check_range("periodic_embedding", "deviation", deviation, 0, open_low=True)

    def init(key, spec):
        check_floating("periodic_embedding", "spec", spec)
        if len(spec.shape) != 2:
            fail("periodic_embedding", "spec", "of shape (batch, columns)", f" shape {tuple(spec.shape)}")
        draw = normal(deviation)
        return {"weight": draw(fold_name(key, "weight"), (spec.shape[1], frequencies), spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        weight = params["weight"]
        if x.ndim != 2 or x.shape[1] != weight.shape[0]:
            fail("periodic_embedding", "x", f"of shape (batch, {weight.shape[0]})", f" shape {x.shape}")
        check_floating("periodic_embedding", "x", x)
        shape = (*x.shape, frequencies)
        angles = 2 * math.pi * jnp.broadcast_to(x[..., None], shape) * jnp.broadcast_to(weight[None], shape)
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1).astype(x.dtype), state

    return init, apply


@factory(Layer, static=("frequencies",))
def phase_embedding(frequencies: int = 16, *, deviation: Scalar = 0.1):
    """y_j = cos(2 pi c_j x_j + b_j) for each column j, with as many c_j and b_j as there are frequencies.

    Args:
        frequencies: how many waves a column has.
        deviation: of the normal distribution of c, for columns of deviation about 1; b ~ U(-pi, pi).

    Input `(batch, columns)`; output `(batch, columns, frequencies)`. Parameters: `weight`, the c, and `bias`, the b,
    both `(columns, frequencies)`.

    Peers: the first step of pytabkit's PBLD embeddings, after which come `column_dense` and the column itself.

    Source: Holzmüller, Grinsztajn and Steinwart 2024.

    Raises:
        InputError: frequencies is no positive integer, the deviation not above 0, or x has another number of columns.
    """
    check_integer("phase_embedding", "frequencies", frequencies)
    check_range("phase_embedding", "deviation", deviation, 0, open_low=True)

    def init(key, spec):
        check_floating("phase_embedding", "spec", spec)
        if len(spec.shape) != 2:
            fail("phase_embedding", "spec", "of shape (batch, columns)", f" shape {tuple(spec.shape)}")
        shape = (spec.shape[1], frequencies)
        weight = normal(deviation)(fold_name(key, "weight"), shape, spec.dtype)
        return {"weight": weight, "bias": uniform(-math.pi, math.pi)(fold_name(key, "bias"), shape, spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        columns = params["weight"].shape[0]
        if x.ndim != 2 or x.shape[1] != columns:
            fail("phase_embedding", "x", f"of shape (batch, {columns})", f" shape {x.shape}")
        check_floating("phase_embedding", "x", x)
        return jnp.cos(wave_angles(x, params["weight"], params["bias"])).astype(x.dtype), state

    return init, apply


def wave_angles(x: Array, weight: Array, bias: Array) -> Array:
    """2 pi c_j x_j + b_j in float32 or better, `(batch, columns, frequencies)` of `(batch, columns)`."""
    shape, wide = (*x.shape, weight.shape[1]), wide_dtype(x.dtype)
    x, weight, bias = (array.astype(wide) for array in (x, weight, bias))
    turns = jnp.broadcast_to(x[..., None], shape) * jnp.broadcast_to(weight[None], shape)
    return 2 * math.pi * turns + jnp.broadcast_to(bias[None], shape)


def _sizes(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@factory(Layer, static=("sizes", "features"), convert={"sizes": _sizes})
def category_embedding(sizes: tuple[int, ...], features: int, *, kernel_init: Initializer | None = None):
    """y_j = E_j[code_j] for each column j of codes, and 0 where a code is none of 0, ..., size_j - 1.

    Args:
        sizes: how many codes each column has, such as `preprocessing.sizes(state)` of an `ordinal`.
        features: of each embedded code.
        kernel_init: distribution of the tables, U(-1 / sqrt(features), 1 / sqrt(features)) when None.

    Input: whole numbers `(batch, columns)`, -1 for what is missing or unknown; output `(batch, columns, features)`.
    Parameter: `weight` `(sum of sizes, features)`, the tables one after the other.

    Peers: CategoricalEmbeddings of rtdl_revisiting_models, which has no unknown codes; a list of Embedding in PyTorch.

    Source: Gorishniy et al. 2021; Guo and Berkhahn 2016.

    Raises:
        InputError: sizes are no positive integers, features is none, or x holds no codes of so many columns.
    """
    if not isinstance(sizes, tuple) or not sizes:
        fail("category_embedding", "sizes", "a tuple of positive integers, one for each column", sizes)
    for size in sizes:
        check_integer("category_embedding", "each of sizes", size)
    check_integer("category_embedding", "features", features)

    def check(argument, x):
        if len(x.shape) != 2 or x.shape[1] != len(sizes) or not jnp.issubdtype(x.dtype, jnp.integer):
            expected = f"whole numbers of shape (batch, {len(sizes)})"
            fail("category_embedding", argument, expected, f" {x.dtype} of shape {tuple(x.shape)}")

    def init(key, spec):
        check("spec", spec)
        end = features**-0.5
        draw = kernel_init or uniform(-end, end)
        return {"weight": draw(fold_name(key, "weight"), (sum(sizes), features), jnp.result_type(float))}, {}

    def apply(params, state, x, *, key=None, train=False):
        check("x", x)
        rows, known = category_rows(x, sizes)
        found = jnp.asarray(params["weight"])[rows]
        return jnp.where(jnp.broadcast_to(known[..., None], found.shape), found, 0), state

    return init, apply


def category_rows(codes: Array, sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """The row of the table for each code, and whether the code is one."""
    ends = jnp.broadcast_to(jnp.asarray(sizes, jnp.int32), codes.shape)
    firsts = [sum(sizes[:j]) for j in range(len(sizes))]
    whole = codes.astype(jnp.int32)
    known = (whole >= 0) & (whole < ends)
    return jnp.where(known, whole, 0) + jnp.broadcast_to(jnp.asarray(firsts, jnp.int32), codes.shape), known
