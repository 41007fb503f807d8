"""Whether parameters and state are a model's, where nobody says what inputs it has.

What a model draws for itself is known for any inputs, and what of it depends on the inputs shows when they are changed:
of `dense(8)` the weight is (features, 8) whatever the features are. So some inputs are tried, and what stays the same
for all that the model takes has to be that of the arrays at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Key, Params, State

__all__ = ["disagreement"]

Shape = tuple[int, ...]
_MOST_SIZES = 8  # lengths out of the arrays that are tried as numbers of features
_MOST_REFUSALS = 3  # after which no further number of features is tried


def disagreement(model: Layer, params: Params, state: State) -> tuple[str, str, str] | None:
    """The first leaf that cannot be this model's, as `(name, what it has to be, what it is)`; None where all may be.

    A model that takes none of the inputs tried (a dict of several) is asked child by child.
    """
    if "stacked" in model.traits and _nested(model, params, state):
        return _of_blocks(model, params, state)
    given = _named(params, state)
    found: list[dict[str, Shape]] = []
    for alike in _inputs(given, _groups(model), _places(model), _columns(model)):
        refused = 0
        for spec in alike[:1] if found else alike:  # of inputs with other axes one shows what depends on the axes
            fresh = _fresh(model, spec)
            if fresh == given:
                return None
            if fresh is not None:
                found.append(fresh)
            refused += fresh is None
            if refused == (_MOST_REFUSALS if given else 1):
                break
        if not found and _nested(model, params, state):
            return _of_children(model, params, state)
    if not found:
        return None
    alike = [fresh for fresh in found if fresh.keys() == given.keys()]
    if not alike:
        name = next(name for name in [*found[0], *given] if name not in given or name not in found[0])
        if name in given:
            return name, "left out", f"one of shape {given[name]}"
        return name, f"there, of shape {found[0][name]} for instance", "none"
    return None if len(alike) < 2 else _of_another_shape(alike, given)


def _of_another_shape(alike: list[dict[str, Shape]], given: dict[str, Shape]) -> tuple[str, str, str] | None:
    for name, shape in given.items():
        shapes = [fresh[name] for fresh in alike]
        if len({len(one) for one in shapes}) > 1:
            continue  # even its rank depends on the inputs
        lengths = [set(sizes) for sizes in zip(*shapes, strict=True)]
        fits = len(shape) == len(lengths) and all(
            len(known) > 1 or size in known for known, size in zip(lengths, shape, strict=True)
        )
        if not fits:
            shown = ", ".join("n" if len(known) > 1 else f"{min(known)}" for known in lengths)
            return name, f"of shape ({shown}{',' if len(lengths) == 1 else ''})", f"shape {shape}"
    return None


def _nested(model: Layer, params: Any, state: Any) -> bool:
    """Whether parameters and state are nested as the layers inside are."""
    trees = (params, state)
    names = model.children.keys()
    return bool(names) and all(isinstance(tree, dict) and tree.keys() <= names for tree in trees)


def _of_children(model: Layer, params: Any, state: Any) -> tuple[str, str, str] | None:
    """The same of each layer inside."""
    for name, child in model.children.items():
        wrong = disagreement(child, params.get(name, {}), state.get(name, {}))
        if wrong is not None:
            what, *inner = wrong[0].split(" ", 1)
            return f"{what} {'.'.join([name, *inner])}", *wrong[1:]
    return None


def _of_blocks(model: Layer, params: Any, state: Any) -> tuple[str, str, str] | None:
    """The same of many blocks whose arrays are stacked: each has as many entries, and one is the block's own."""
    given = _named(params, state)
    times = model.arguments.get("times", next(iter(given.values()), (0,))[0])
    for name, shape in given.items():
        if shape[:1] != (times,):
            return name, f"of {times} blocks along the first axis", f"shape {shape}"
    one = [jax.tree.map(lambda leaf: np.zeros(jnp.shape(leaf)[1:], leaf.dtype), tree) for tree in (params, state)]
    wrong = _of_children(model, *one)
    return None if wrong is None else (wrong[0], f"{wrong[1]} in each block", wrong[2])


def _groups(model: Layer) -> set[int]:
    """Into how many groups layers inside divide their channels: of those a weight has the share of one group."""
    own = model.arguments.get("groups")
    found = {own} if isinstance(own, int) and own > 1 else set()
    return found.union(*(_groups(child) for child in model.children.values()))


def _places(model: Layer) -> list[Shape]:
    """Height and width of the pictures that a model is made for, where it takes no others."""
    size = model.arguments.get("image_size")
    sides: tuple[Any, ...] = size if isinstance(size, tuple) else (size, size)
    return [sides] if all(isinstance(side, int) for side in sides) else []


def _columns(model: Layer) -> list[Shape]:
    """How many columns of codes a layer has that knows the sizes of all."""
    sizes = model.arguments.get("sizes")
    return [(len(sizes),)] if isinstance(sizes, tuple) else []


def _inputs(
    given: dict[str, Shape], groups: set[int], places: list[Shape], columns: list[Shape]
) -> Iterator[list[Any]]:
    """Inputs to try: rows of so many features as an array is long somewhere, then sequences, pictures and labels."""
    sizes = list(dict.fromkeys(size for shape in given.values() for size in shape if size > 0))[:_MOST_SIZES]
    sizes += [size * count for count in sorted(groups) for size in sizes]
    sizes += [size for size in (1, 4) if size not in sizes]
    members = [(size,) for size in sizes[:4]]  # an axis of a length of the model's own before the features
    for leading in ((), (5,), *members, (16, 16), (32, 32), *places):
        yield [jax.ShapeDtypeStruct((1, *leading, size), np.float32) for size in sizes]
    if columns:  # two rows are as good as one, and two that agree say more
        yield [jax.ShapeDtypeStruct((rows, *leading), np.int32) for leading in columns for rows in (1, 2)]
    yield [jax.ShapeDtypeStruct((1, *leading), np.int32) for leading in ((), (5,), (7,))]


@jit
def _drawn(model: Layer, key: Key, x: Any) -> tuple[Params, State]:
    """What a model draws for itself; only ever traced, and only once for a model and inputs like these."""
    return model.init(key, jax.ShapeDtypeStruct(x.shape, x.dtype))


def _fresh(model: Layer, spec: Any) -> dict[str, Shape] | None:
    """Shapes of what the model draws for such inputs; None where it refuses them."""
    try:
        return _named(*_drawn.eval_shape(model, jax.eval_shape(lambda: jax.random.key(0)), spec))
    except Exception:  # whatever a layer of somebody's own may raise: these are no inputs for it
        return None


def _named(params: Any, state: Any) -> dict[str, Shape]:
    trees = (("params", params), ("state", state))
    return {f"{what} {name}": jnp.shape(leaf) for what, tree in trees for name, leaf in flatten_named(tree).items()}
