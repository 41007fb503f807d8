"""Whether parameters and state are a model's: the names and shapes that it would draw itself, for inputs like these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax

from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Inputs, Params, State
from jaxann.io.agreement import disagreement
from jaxann.train.batches import one_example

__all__ = ["check_weights"]


def check_weights(function: str, model: Layer, params: Params, state: State, x: Inputs) -> None:
    """Parameters and state have the names and shapes of fresh ones; another dtype will do.

    Called where a program is traced, it costs nothing once the program is there.

    Args:
        function: for the message.
        model: whose they should be.
        params, state: what was given.
        x: inputs, or shapes of them.

    Raises:
        InputError: a leaf is missing, or one too many, or of another shape; or x is not what the model takes.
    """
    spec = one_example(x)
    try:
        fresh = jax.eval_shape(lambda key: model.init(key, spec), jax.eval_shape(lambda: jax.random.key(0)))
    except Exception:  # x is the fault, which the model itself has the words for; or its own init wants real numbers
        return
    wanted, given = (_shapes(*trees) for trees in (fresh, (params, state)))
    for name in [*wanted, *given]:
        if name not in given or name not in wanted:
            expected = f"{'there' if name in wanted else 'left out'}, as the model has it"
            hint = "They go in as params, state." if _swapped(fresh, params, state) else None
            fail(function, name, expected, " none" if name in wanted else f" one of shape {given[name]}", hint=hint)
    wrong = [name for name in wanted if wanted[name] != given[name]]
    absent = _branches(*fresh) - _branches(params, state)
    if not wrong and not absent:
        return
    # Where they would do for other inputs, x is the fault, and the model says so better.
    refused = (not wrong or disagreement(model, params, state) is None) and _refuses(model, params, state, spec)
    if wrong:
        name, hint = wrong[0], None
        if all(given[n][1:] == wanted[n] for n in wanted):
            hint = "Of a population: population.member(0) has one member's."
        fail(function, name, f"of shape {wanted[name]}, as the model has it", f" shape {given[name]}", hint=hint)
    if refused:
        fail(function, min(absent), "there, as the model has it, empty", " none")


def _refuses(model: Layer, params: Params, state: State, spec: Any) -> bool:
    """Whether the model fails on these; what it says of its input is raised."""
    try:
        jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, spec)
    except InputError:
        raise
    except Exception:  # whatever arrays of wrong shapes lead to inside
        return True
    return False


def _branches(params: Any, state: Any) -> set[str]:
    """Names of the layers that have an entry, an empty one too."""

    def of(name: str, tree: Any) -> Iterator[str]:
        if isinstance(tree, dict):
            for key, branch in tree.items():
                yield f"{name}{key}"
                yield from of(f"{name}{key}.", branch)

    return {*of("params ", params), *of("state ", state)}


def _shapes(params: Any, state: Any) -> dict[str, tuple[int, ...]]:
    named: dict[str, tuple[int, ...]] = {}
    for what, tree in (("params", params), ("state", state)):
        if hasattr(tree, "shape"):  # one array in the place of a tree
            named[what] = tuple(tree.shape)
            continue
        for name, leaf in flatten_named(tree).items():
            named[f"{what} {name}"] = tuple(jax.numpy.shape(leaf))
    return named


def _swapped(fresh: Any, params: Any, state: Any) -> bool:
    """Whether each was given as the other one."""
    wanted, given = _shapes(*fresh), _shapes(state, params)
    return wanted == given
