"""A program of JAX run by NumPy, one operation after the other: for many small programs that run once each.

Compiling takes a hundred times as long as running. What NumPy has no short word for is handed to JAX. Random keys give
other numbers than JAX's, the same for the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

__all__ = ["evaluate", "run"]


def run(closed: Any, *args: Any, only: int | None = None) -> list[np.ndarray]:
    """The outputs of a closed jaxpr, as NumPy arrays; arguments are its flat inputs.

    Args:
        closed: from `jax.make_jaxpr`.
        args: arrays.
        only: number of the one output that is wanted; what it does not need is not computed.
    """
    with np.errstate(all="ignore"):
        return _run(closed.jaxpr, closed.consts, [_array(a) for a in args], only)


def evaluate(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` for trees of arrays, traced and run by NumPy."""
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    return jax.tree.unflatten(jax.tree.structure(shapes), run(jaxpr, *jax.tree.leaves(args)))


def _array(value: Any) -> Any:
    """As NumPy has it; a key by its two words."""
    is_key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(value) if is_key else value)


def _run(jaxpr: Any, consts: Any, args: Any, only: int | None = None) -> list[Any]:
    known: dict[Any, Any] = {}
    wanted = jaxpr.outvars if only is None else [jaxpr.outvars[only]]
    equations = jaxpr.eqns if only is None else _needed(jaxpr.eqns, wanted)

    def read(atom: Any) -> Any:
        return _array(atom.val) if hasattr(atom, "val") else known[atom]

    known.update(zip(jaxpr.constvars, map(_array, consts), strict=True))
    known.update(zip(jaxpr.invars, args, strict=True))
    for equation in equations:
        found = _one(equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in wanted]


def _needed(equations: Any, wanted: Any) -> list[Any]:
    alive, kept = {v for v in wanted if not hasattr(v, "val")}, []
    for equation in reversed(equations):
        if not alive.isdisjoint(equation.outvars):
            alive.update(v for v in equation.invars if not hasattr(v, "val"))
            kept.append(equation)
    return kept[::-1]


def _one(equation: Any, inputs: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    inner = params.get("jaxpr") or params.get("call_jaxpr")
    if name == "scan":
        return _scan(inner, inputs, params)
    if name == "cond":
        branch = params["branches"][int(inputs[0])]
        return _run(branch.jaxpr, branch.consts, inputs[1:])
    if inner is not None:
        closed = hasattr(inner, "consts")
        return _run(inner.jaxpr, inner.consts, inputs) if closed else _run(inner, (), inputs)
    if name in _OPERATIONS:
        out = _OPERATIONS[name](*inputs, **params)
        outs = out if equation.primitive.multiple_results else [out]
        return [_typed(o, v.aval.dtype) for o, v in zip(outs, equation.outvars, strict=True)]
    return _by_jax(equation, inputs)


def _typed(value: Any, dtype: Any) -> np.ndarray:
    return np.asarray(value) if jnp.issubdtype(dtype, jax.dtypes.prng_key) else np.asarray(value, dtype)


def _by_jax(equation: Any, inputs: list[Any]) -> list[Any]:
    """The rest, which is rare."""
    out = equation.primitive.bind(*map(jnp.asarray, inputs), **equation.params)
    return [np.asarray(o) for o in (out if equation.primitive.multiple_results else [out])]


def _each_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one key (two words), for arrays of keys."""

    def over(keys: Any, *others: Any, **params: Any) -> np.ndarray:
        lead = keys.shape[:-1]
        places = [np.broadcast_to(other, lead) for other in others]
        rows = [function(keys[i], *(other[i] for other in places), **params) for i in np.ndindex(*lead)]
        return np.stack(rows).reshape(*lead, *rows[0].shape)

    return over


def _folded(key: Any, data: Any) -> np.ndarray:
    return np.random.SeedSequence([int(word) for word in (*key, data)]).generate_state(2)


def _bits(key: Any, *, bit_width: int, shape: Any) -> Any:
    dtype = {32: np.uint32, 64: np.uint64}[bit_width]
    return np.random.default_rng([int(word) for word in key]).integers(0, 2**bit_width, shape, dtype)


def _keys(key: Any, *, shape: Any) -> Any:
    return np.stack([_folded(key, i) for i in range(np.prod(shape, dtype=int))]).reshape(*shape, 2)


def _scan(closed: Any, inputs: list[Any], params: dict[str, Any]) -> list[Any]:
    fixed, carried = params["num_consts"], params["num_carry"]
    constants, carry = inputs[:fixed], inputs[fixed : fixed + carried]
    rows = []
    order = range(params["length"])
    for i in reversed(order) if params["reverse"] else order:
        out = _run(closed.jaxpr, closed.consts, [*constants, *carry, *(x[i] for x in inputs[fixed + carried :])])
        carry = out[:carried]
        rows.append(out[carried:])
    if params["reverse"]:
        rows.reverse()
    return [*carry, *(np.stack(column) for column in zip(*rows, strict=True))]


def _broadcast(x: Any, *, shape: Any, broadcast_dimensions: Any, **others: Any) -> Any:
    wide = np.ones(len(shape), int)
    wide[list(broadcast_dimensions)] = np.shape(x)
    return np.broadcast_to(np.reshape(x, wide), shape)


def _dot(a: Any, b: Any, *, dimension_numbers: Any, **others: Any) -> Any:
    (contract_a, contract_b), (batch_a, batch_b) = dimension_numbers
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    left, right = [next(letters) for _ in a.shape], [next(letters) for _ in b.shape]
    for i, j in (*zip(contract_a, contract_b, strict=True), *zip(batch_a, batch_b, strict=True)):
        right[j] = left[i]
    lone_a = [c for i, c in enumerate(left) if i not in (*contract_a, *batch_a)]
    lone_b = [c for j, c in enumerate(right) if j not in (*contract_b, *batch_b)]
    out = [left[i] for i in batch_a] + lone_a + lone_b
    return np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", a, b)


def _pad(x: Any, fill: Any, *, padding_config: Any) -> Any:
    for axis, (low, high, inside) in enumerate(padding_config):
        assert inside == 0
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(low, 0), max(high, 0))
        cut = [slice(None)] * x.ndim
        size = x.shape[axis] + max(low, 0) + max(high, 0)
        cut[axis] = slice(max(-low, 0), size - max(-high, 0))
        x = np.pad(x, widths, constant_values=fill)[tuple(cut)]
    return x


def _iota(*, dtype: Any, shape: Any, dimension: int, **others: Any) -> Any:
    return np.indices(shape)[dimension].astype(dtype)


def _slice(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    steps = strides or (1,) * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, steps))]


def _split(x: Any, *, sizes: Any, axis: int) -> Any:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axes, **others: function(x, axis=axes)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **others: function(*args)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _plain(function)
        for name, function in {
            "abs": np.abs, "add": np.add, "add_any": np.add, "and": np.bitwise_and, "cosh": np.cosh, "div": np.divide,
            "dense_product": np.matmul, "eq": np.equal, "erf_inv": special.erfinv, "erfc": special.erfc,
            "exp": np.exp, "expm1": np.expm1, "ge": np.greater_equal, "gt": np.greater, "is_finite": np.isfinite,
            "le": np.less_equal, "log": np.log, "log1p": np.log1p, "logistic": special.expit, "lt": np.less,
            "max": np.maximum, "min": np.minimum, "mul": np.multiply, "ne": np.not_equal, "neg": np.negative,
            "or": np.bitwise_or, "pow": np.power, "round": np.round, "rsqrt": lambda x: 1 / np.sqrt(x),
            "shift_right_logical": np.right_shift, "sign": np.sign, "sinh": np.sinh, "sqrt": np.sqrt,
            "square": np.square, "stop_gradient": lambda x: x, "sub": np.subtract, "tanh": np.tanh,
            "xor": np.bitwise_xor, "copy": lambda x: x, "clamp": lambda low, x, high: np.clip(x, low, high),
        }.items()
    },
    **{
        f"reduce_{name}": _reduced(function)
        for name, function in {
            "sum": np.sum, "max": np.max, "min": np.min, "or": np.any, "and": np.all, "prod": np.prod,
        }.items()
    },
    "argmax": lambda x, *, axes, **others: np.argmax(x, axes[0]),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *xs, dimension: np.concatenate(xs, dimension),
    "convert_element_type": lambda x, *, new_dtype, **others: np.asarray(x).astype(new_dtype),
    "bitcast_convert_type": lambda x, *, new_dtype: np.asarray(x).view(new_dtype),
    "cumsum": lambda x, *, axis, reverse: np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse
    else np.cumsum(x, axis),
    "dot_general": _dot,
    "integer_pow": lambda x, *, y: np.power(x, np.asarray(y, np.result_type(x))),
    "iota": _iota,
    "not": lambda x: ~x,
    "optimization_barrier": lambda *xs: xs,
    "pad": _pad,
    "random_bits": _each_key(_bits),
    "random_fold_in": _each_key(_folded),
    "random_split": _each_key(_keys),
    "reshape": lambda x, *, new_sizes, **others: np.reshape(x, new_sizes),
    "rev": lambda x, *, dimensions: np.flip(x, dimensions),
    "select_n": lambda which, *cases: np.where(which, *cases[::-1]),
    "slice": _slice,
    "sort": lambda *xs, dimension, **others: [np.sort(x, dimension) for x in xs],
    "split": _split,
    "stack": lambda *xs, axis: np.stack(xs, axis),
    "unstack": lambda x, *, axis: [np.take(x, i, axis) for i in range(x.shape[axis])],
    "squeeze": lambda x, *, dimensions: np.squeeze(x, dimensions),
    "transpose": lambda x, *, permutation: np.transpose(x, permutation),
}  # fmt: skip
