"""Whether parameters and state are a model's: the names and shapes that it would draw itself, for inputs like these."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxann.core.checks import fail, is_concrete
from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.programs import traced_only
from jaxann.core.trees import check_arrays, flatten_named
from jaxann.core.typing import Inputs, Key, Params, State
from jaxann.io.agreement import disagreement
from jaxann.layers.preprocess import learns_from_data
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, example_count, one_example, some_key
from jaxann.train.inputs import refuse_tree
from jaxann.train.recipe import Recipe

__all__ = ["initial_weights", "model_weights"]


def model_weights(function: str, model: Layer, params: Params, state: State, x: Inputs) -> tuple[Params, State]:
    """Parameters and state as the model has them, checked by name, shape and kind of number; narrower ones are widened.

    Empty dicts of layers without parameters may be missing, and are put in.

    Args:
        function: for the message.
        model: whose they should be.
        params, state: what was given.
        x: inputs, or shapes of them.

    Raises:
        InputError: a leaf is no array, missing, one too many, or of another shape; or x is not what the model takes.
    """
    check_arrays(function, "params", params)
    check_arrays(function, "state", state)
    spec = one_example(x, max(1, example_count(x)))  # of the shapes given, for messages
    fresh = _fresh(function, model, params, state, spec)
    given = params, state
    if fresh is None or _kinds(fresh) == _kinds(given):
        return given
    for name, tree, wanted in zip(("params", "state"), given, fresh, strict=True):
        if isinstance(wanted, dict) and not isinstance(tree, dict) and jax.tree.leaves((wanted, tree)):
            fail(function, name, "nested dicts of arrays, as the model has them", tree)
    _check_same(function, model, fresh, given, spec)
    named = _named(*given)
    leaves = [_widened(named[name], leaf.dtype) for name, leaf in _named(*fresh).items()]
    return jax.tree.unflatten(jax.tree.structure(fresh), leaves)


def _widened(leaf: Any, dtype: Any) -> Any:
    """A narrower floating-point array in the model's own width, which takes nothing from it."""
    if leaf.dtype == dtype or not all(jax.dtypes.issubdtype(one, np.floating) for one in (leaf.dtype, dtype)):
        return leaf
    own, wanted = jax.numpy.finfo(leaf.dtype), jax.numpy.finfo(dtype)
    return leaf.astype(dtype) if own.nmant <= wanted.nmant and own.maxexp <= wanted.maxexp else leaf


def initial_weights(function: str, recipe: Recipe, key: Key, data: Batch, initial: Any) -> tuple[Params, State] | None:
    """Initial weights of the shapes of fresh ones; None for none.

    Raises:
        InputError: another structure, another shape or another dtype, or a number that is not finite; the message names
            the first such leaf.
    """
    if initial is None:
        return None
    if not isinstance(initial, tuple | list) or hasattr(initial, "_fields") or len(initial) != 2:
        hint = "Of a result: initial=(result.params, result.state)."
        alone = type(initial) in (tuple, list)
        got = f" {len(initial)} values" if alone else f" a {type(initial).__name__}"
        fail(function, "initial", "a tuple (params, state)", got, hint=hint)
    for name, tree in zip(("params", "state"), initial, strict=True):
        check_arrays(function, f"initial {name}", tree)
    spec, _ = as_trained(recipe, data.x, data.y)
    fresh = jax.eval_shape(lambda k: recipe.model.init(k, spec), key)
    named, asked = (_named(*trees, joint=".") for trees in (initial, fresh))
    for name in [*asked, *named]:
        expected, got = (_described(leaves.get(name)) for leaves in (asked, named))
        if expected != got:
            hint = "They go in as (params, state)." if _swapped(fresh, *initial) else None
            fail(function, f"initial {name}", expected, f" {got}", hint=hint)
    learns = learns_from_data(recipe.model)
    for name, leaf in named.items():
        if is_concrete(leaf) and jax.dtypes.issubdtype(leaf.dtype, np.inexact):
            host = np.asarray(leaf)
            if not np.isfinite(host.astype(np.float64) if host.dtype.itemsize == 2 else host).all():
                hint = "What layers `preprocess` learn, by layers.fit_preprocessing." if learns else None
                fail(function, f"initial {name}", "finite", " numbers that are not", hint=hint)
    return jax.device_put(jax.tree.unflatten(jax.tree.structure(fresh), [named[name] for name in asked]))


def _described(leaf: Any) -> str:
    """Dtype and shape; "none" for none."""
    return "none" if leaf is None else f"{getattr(leaf.dtype, 'name', leaf.dtype)} of shape {leaf.shape}"


@traced_only
@jax.jit
def _drawn(model: Layer, key: Any, x: Inputs) -> tuple[Params, State]:
    """What the model draws itself; only ever traced, and once for a model and inputs like these."""
    return model.init(key, x)


def _fresh(function: str, model: Layer, params: Params, state: State, x: Any) -> tuple[Params, State] | None:
    """Shapes of what the model draws itself for such inputs; None where it can tell only of real ones."""
    try:
        return _drawn.eval_shape(model, some_key(), one_example(x))
    except Exception as error:  # x is the fault; or the model's own init wants real numbers
        try:
            jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, x)
        except InputError:
            raise
        except Exception as other:  # what the layers themselves have no words for
            if isinstance(error, InputError):
                jax.eval_shape(lambda k: model.init(k, x), some_key())
            refuse_tree(function, "x", x, other)
            raise
        return None


def _check_same(function: str, model: Layer, fresh: Any, given: Any, spec: Any) -> None:
    """Names, shapes, and whether numbers have fractions, are those of fresh ones."""
    params, state = given
    asked, named = _named(*fresh), _named(*given)
    wanted, found = _shapes(asked), _shapes(named)
    for name in [*wanted, *found]:
        if name not in found or name not in wanted:
            if _swapped(fresh, params, state):
                hint = "They go in as params, state."
                fail(function, "params", "named as the model has it", " what is the state's", hint=hint)
            expected = f"{'there' if name in wanted else 'left out'}, as the model has it"
            fail(function, name, expected, " none" if name in wanted else f" one of shape {found[name]}")
    wrong = [name for name in wanted if wanted[name] != found[name]]
    if wrong:
        # Where they would do for other inputs, x is the fault, and the model says so better.
        if disagreement(model, params, state) is None:
            _refuse(model, params, state, spec)
        name, hint = wrong[0], None
        if all(found[n][1:] == wanted[n] for n in wanted):
            hint = "Of a population: population.member(0) has one member's."
        fail(function, name, f"of shape {wanted[name]}, as the model has it", f" shape {found[name]}", hint=hint)
    for name, leaf in asked.items():
        if [jax.dtypes.issubdtype(one.dtype, np.floating) for one in (leaf, named[name])] == [True, False]:
            got = f" {named[name].dtype} of shape {wanted[name]}"
            fail(function, name, "floating point, as the model has it", got)


def _refuse(model: Layer, params: Params, state: State, spec: Any) -> None:
    """Raise what the model says of its input, if it does."""
    try:
        jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, spec)
    except InputError:
        raise
    except Exception:  # whatever arrays of wrong shapes lead to inside: the shapes are told next
        return


def _kinds(trees: Any) -> tuple:
    leaves, structure = jax.tree.flatten(trees)
    return structure, [(np.shape(leaf), leaf.dtype if _plain(leaf) else None) for leaf in leaves]


def _plain(leaf: Any) -> bool:
    return isinstance(getattr(leaf, "dtype", None), np.dtype) and not isinstance(leaf, np.ma.MaskedArray)


def _named(params: Any, state: Any, joint: str = " ") -> dict[str, Any]:
    """Leaves, as arrays, by their names in messages."""
    found: dict[str, Any] = {}
    for what, tree in (("params", params), ("state", state)):
        for name, leaf in flatten_named(tree).items():
            array = leaf if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else np.asarray(leaf)
            found[f"{what}{joint}{name}" if name else what] = array
    return found


def _shapes(named: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(leaf.shape) for name, leaf in named.items()}


def _swapped(fresh: Any, params: Any, state: Any) -> bool:
    """Whether each was given as the other one."""
    return _shapes(_named(*fresh)) == _shapes(_named(state, params))
