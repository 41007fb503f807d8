"""Several inputs and several outputs, by name: `parallel`, `branch`, `concatenate`.

    model = sequential({
        "inputs": parallel({"picture": convolutions, "numbers": dense(16)}),   # x = {"picture": ..., "numbers": ...}
        "joined": concatenate(),
        "hidden": dense(64),
        "heads": branch({"digit": dense(10), "parity": dense(1)}),             # y = {"digit": ..., "parity": ...}
    })

What is a sequence keeps its own mask: an input of several goes in as `Padded`, and what still has its positions comes
out as `Padded`, so that no mask is lost between values that have different ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.typing import Array
from jaxann.layers.base import composite, init_child, named_layers, run_child, step_child

__all__ = ["branch", "check_names", "concatenate", "parallel", "refuse_mask"]


def check_names(function: str, names: Any, x: Any, argument: str = "x") -> None:
    """x is a dict of exactly these names.

    Raises:
        InputError: it is none, or has other names.
    """
    expected = f"a dict with the names {', '.join(map(repr, names))}"
    if not isinstance(x, Mapping):
        fail(function, argument, expected, f" {type(x).__name__}" if isinstance(x, tuple | list) else x)
    missing, extra = [n for n in names if n not in x], [n for n in x if n not in names]
    if missing or extra:
        given = [f"none called {', '.join(map(repr, missing))}"] if missing else []
        given += [f"{', '.join(map(repr, extra))} too"] if extra else []
        fail(function, argument, expected, f" {' and '.join(given)}")


def refuse_mask(function: str, sequence_mask: Any) -> None:
    """No sequence_mask beside several inputs, for it would not say to which of them it belongs.

    Raises:
        InputError: there is one.
    """
    if sequence_mask is not None:
        hint = "Each input that is a sequence is Padded(values, mask)."
        fail(function, "sequence_mask", "None for several inputs", sequence_mask, hint=hint)


def _run(
    layers: Mapping[str, Layer], params: Any, state: Any, inputs: Mapping[str, Any], mask: Any, context: dict
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each child on its input; what is a sequence still comes out with its mask."""
    found, after = {}, {}
    for name, layer in layers.items():
        x, own = inputs[name], mask
        if isinstance(x, Padded):
            own = x.mask
            y, after[name] = run_child(layer, name, params, state, x, **context)
        else:
            y, after[name] = run_child(layer, name, params, state, x, sequence_mask=own, **context)
        keeps = own is not None and "ends_sequence" not in layer.traits
        found[name] = Padded(y, own) if keeps else y
    return found, after


@factory(Layer, convert={"layers": lambda v: named_layers("parallel", v)})
def parallel(layers: Mapping[str, Layer]):
    """y[name] = layer(x[name]) for each name: a layer for each of several inputs.

    Args:
        layers: from name to layer; names are those of the inputs.

    Input: a dict of exactly these names, each entry what its layer takes; one that is a sequence with padding is
    `Padded`. Output: a dict of the same names.

    Peers: none of PyTorch, Keras and flax has it; there one writes a class, or Keras' functional graph.

    Raises:
        InputError: not a table, or x has other names; or a sequence_mask is given beside x, which would not say to
            which of the inputs it belongs.
    """

    def init(key, spec):
        check_names("parallel", layers, spec, "spec")
        return _init(layers, key, spec)

    def apply(params, state, x, *, sequence_mask=None, **context):
        check_names("parallel", layers, x)
        refuse_mask("parallel", sequence_mask)
        return _run(layers, params, state, x, None, context)

    def step(params, carry, x, *, state=None):
        check_names("parallel", layers, x)
        return _step("parallel.step", layers, params, carry, x, state)

    return composite("parallel", init, apply, layers, step, ("ends_sequence",))


@factory(Layer, convert={"layers": lambda v: named_layers("branch", v)})
def branch(layers: Mapping[str, Layer]):
    """y[name] = layer(x) for each name: several outputs, or heads, of one input.

    Args:
        layers: from name to layer; names are those of the outputs. `losses.by_head` has a loss for each.

    Output: a dict of these names. The gradient of x is the sum of the heads'.

    Peers: none of PyTorch, Keras and flax has it; there one writes a class, or Keras' functional graph.

    Raises:
        InputError: not a table, a bad name, or an entry that is no layer.
    """

    def init(key, spec):
        return _init(layers, key, dict.fromkeys(layers, spec))

    def apply(params, state, x, *, sequence_mask=None, **context):
        return _run(layers, params, state, dict.fromkeys(layers, x), sequence_mask, context)

    def step(params, carry, x, *, state=None):
        return _step("branch.step", layers, params, carry, dict.fromkeys(layers, x), state)

    return composite("branch", init, apply, layers, step, ("ends_sequence",))


def _init(layers: Mapping[str, Layer], key: Any, specs: Mapping[str, Any]) -> tuple[dict, dict]:
    pairs = {name: init_child(layer, name, key, specs[name]) for name, layer in layers.items()}
    return {name: p for name, (p, _) in pairs.items()}, {name: s for name, (_, s) in pairs.items()}


def _step(function: str, layers: Mapping[str, Layer], params: Any, carry: Any, inputs: Any, state: Any) -> tuple:
    found, after = {}, {}
    for name, layer in layers.items():
        found[name], carried = step_child(function, layer, name, params, carry, inputs[name], state)
        after |= carried
    return found, after


@factory(Layer, static=("names",), traits=("positionwise",))
def concatenate(*, names: tuple[str, ...] | None = None):
    """y = (x_1, x_2, ...) joined on the last axis, in the order of the names; no parameters.

    Args:
        names: of the arrays in a dict, in the order in which they are joined; None for the order of the alphabet, in
            which JAX has the entries of every dict, or for a tuple of arrays as it stands.

    Input: a dict or a tuple of arrays `(..., features)`, all axes but the last alike; sequences with padding are
    `Padded`, all of them with one mask, and so is the output then.

    Peers: as Keras' Concatenate, and torch.cat on the last axis.

    Raises:
        InputError: x is neither, has other names, or arrays that do not fit together; the message shows all shapes.
    """
    if names is not None and (not isinstance(names, tuple) or not all(isinstance(name, str) for name in names)):
        fail("concatenate", "names", "a tuple of names, or None", names)

    def init(key, spec):
        _arrays(names, spec, "spec")
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        named = _arrays(names, x, "x")
        padded = [one for one in named.values() if isinstance(one, Padded)]
        if padded and (len(padded) < len(named) or len({one.mask.shape for one in padded}) > 1):
            given = ", ".join(f"{n!r} with{'' if isinstance(one, Padded) else 'out'} one" for n, one in named.items())
            fail("concatenate", "x", "arrays that all have one mask, or none", f" {given}")
        arrays = [_plain(one) for one in named.values()]
        _check_fits(named, arrays)
        y = jnp.concatenate(arrays, -1)
        if not padded:
            return y, state
        mask = padded[0].mask
        for one in padded[1:]:
            mask = jnp.logical_and(mask, one.mask)
        return Padded(y, mask), state

    return LayerFunctions(init, apply)


def _plain(one: Any) -> Array:
    return one.values if isinstance(one, Padded) else one


def _arrays(names: tuple[str, ...] | None, x: Any, argument: str) -> dict[str, Any]:
    """The arrays to be joined, in order, by what messages call them."""
    if isinstance(x, Mapping):
        if names is not None:
            check_names("concatenate", names, x, argument)
        found = {name: x[name] for name in (sorted(x) if names is None else names)}
    elif isinstance(x, tuple | list) and not isinstance(x, Padded) and names is None:
        found = {str(i): one for i, one in enumerate(x)}
    else:
        expected = "a dict or a tuple of arrays" if names is None else "a dict of arrays"
        shape = getattr(x, "shape", None)
        fail("concatenate", argument, expected, x if shape is None else f" shape {shape}")
    if not found:
        fail("concatenate", argument, "a dict or a tuple of one array or more", " none")
    return found


def _check_fits(named: Mapping[str, Any], arrays: list[Array]) -> None:
    shapes = [tuple(one.shape) for one in arrays]
    if min(map(len, shapes)) == 0 or len({shape[:-1] for shape in shapes}) > 1:
        given = ", ".join(f"{name!r} {shape}" for name, shape in zip(named, shapes, strict=True))
        fail("concatenate", "x", "arrays alike in all axes but the last", f" {given}")
    dtypes = {jax.dtypes.canonicalize_dtype(one.dtype).name for one in arrays}
    if len(dtypes) > 1:
        fail("concatenate", "x", "arrays of one dtype", f" {', '.join(sorted(dtypes))}")
