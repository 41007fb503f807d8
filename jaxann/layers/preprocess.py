"""Preprocessing as the first layer of a model: learned from the rows that it is trained on, saved with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded, zero_padding
from jaxann.core.preprocessor import Preprocessor
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.core.where import told_where

__all__ = ["fit_preprocessing", "learns_from_data", "preprocess", "unfilled"]

_EXAMPLES = 2**16  # for which the shapes of what is learned are asked


def _preprocessor(value: Any) -> Any:
    if not isinstance(value, Preprocessor):
        hint = "preprocess(preprocessing.standard()), for one."
        fail("preprocess", "preprocessor", "a product of jaxann.preprocessing", value, hint=hint)
    return value


@factory(Layer, convert={"preprocessor": _preprocessor})
def preprocess(preprocessor: Preprocessor):
    """y = what a preprocessor makes of x, by what it learned from the training data: part of the model.

        model = sequential({"prepare": preprocess(preprocessing.standard()), "net": models.mlp((64, 10))})

    What it learns is its state. Every training run begins with learning it, from its own training rows alone (in a
    search: from those of each fold), inside the program; it is saved with the model, which so takes raw data. Before
    that the state is NaN, and so is what comes out: a loop of one's own calls `fit_preprocessing`. A run that is given
    weights (`initial=`) keeps what they have.

    Args:
        preprocessor: a product of `jaxann.preprocessing` that runs in a program, whose statistics have the same shapes
            whatever the data.

    Input: as the preprocessor takes it, with missing numbers (NaN) where it fills them in; in a sequence, positions of
    padding count for nothing. No parameters. Layers with parameters should not stand before it: they change in
    training, and what it learned of their first outputs does not. In 16 bits (`compute_dtype`) x is rounded before the
    model sees it, and in 32 bits before it is learned from: data that lie far from 0, for their deviation, lose digits.

    Peers: Keras' Normalization with `adapt`, which has to be called; in scikit-learn a Pipeline; PyTorch has none.

    Raises:
        InputError: the argument is none, needs the host or the targets, or what it learns has the shape of the data.
    """
    for trait, why in (("on_host", "takes what no program holds"), ("reads_targets", "reads the targets")):
        if trait in preprocessor.traits:
            hint = "Fit it beforehand, on the training rows, and give the model what it makes of them."
            fail("preprocess", "preprocessor", f"one for programs; this one {why}", preprocessor, hint=hint)
    if "makes_missing" in preprocessor.traits:
        hint = "chain(outliers(...), impute()), or action='clip'."
        fail("preprocess", "preprocessor", "one that leaves no number missing", preprocessor, hint=hint)

    def init(key, spec):
        spec = _values(spec)
        kinds = [jax.eval_shape(preprocessor.fit, _examples(spec, count)) for count in (_EXAMPLES, 2 * _EXAMPLES)]
        if kinds[0] != kinds[1]:
            fail("preprocess", "preprocessor", "one whose statistics have the same shapes for any data", preprocessor)
        return {}, jax.tree.map(_unknown, kinds[0])

    def apply(params, state, x, *, key=None, train=False):
        return _like(x, preprocessor.transform(state, _values(x))), state

    def fit(params, state, x, where):
        learned = preprocessor.fit(_values(x), _counted(x, where))
        if jax.tree.map(np.shape, learned) != jax.tree.map(np.shape, state):
            count = jax.tree.leaves(x)[0].shape[0]
            fail("preprocess", "x", f"of as many examples as {preprocessor} needs to learn from", f" {count}")
        return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), learned, state)

    fills = "fills_missing" in preprocessor.traits
    traits = ("positionwise", "takes_missing") if fills else ("positionwise",)
    return LayerFunctions(init, apply, traits=traits, fit=fit)


def _values(x: Any) -> Any:
    """x without the masks of inputs that are sequences; what stands in their padding is 0."""
    if isinstance(x, Mapping):
        return {name: _values(one) for name, one in x.items()}
    if not isinstance(x, Padded):
        return x
    return x.values if isinstance(x.values, jax.ShapeDtypeStruct) else zero_padding(x.values, x.mask)


def _like(x: Any, y: Any) -> Any:
    """y with the masks of x."""
    if isinstance(x, Mapping):
        return {name: _like(x[name], one) for name, one in y.items()}
    return Padded(y, x.mask) if isinstance(x, Padded) else y


def _counted(x: Any, example_mask: Any) -> Any:
    """What counts of x: the rows of the mask, and of sequences the positions that are real."""
    if isinstance(x, Mapping):
        return {name: _counted(one, example_mask) for name, one in x.items()}
    if not isinstance(x, Padded):
        return example_mask
    return x.mask if example_mask is None else x.mask * example_mask.reshape(-1, 1)


def _examples(spec: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype), spec)


def _unknown(kind: Any) -> Array:
    floating = jnp.issubdtype(kind.dtype, jnp.floating)
    return jnp.full(kind.shape, jnp.nan if floating else 0, kind.dtype)


def fit_preprocessing(
    model: Layer, params: Params, state: State, x: Inputs, *, example_mask: Array | None = None
) -> State:
    """The state of a model with what its layers `preprocess` learn from x; what is not theirs stays as it is.

    `fit`, populations and searches do so themselves; this is for training loops of one's own. A layer of layers that
    run one after the other is gone through up to the last of them, in evaluation mode.

    Args:
        model: of layers one after the other, as far as such layers stand in it.
        params, state: from `model.init`.
        x: training data, all of them.
        example_mask: `(examples,)`, 0 for rows that do not count.

    Raises:
        InputError: such a layer stands in branches or in a loop, where what reaches it depends on more than the layers
            before it; or what it raises itself.
    """
    return _fitted(model, params, state, x, example_mask)


def learns_from_data(layer: Layer) -> bool:
    """Whether the layer, or one inside it, learns its state from all data before training begins."""
    own = getattr(layer.declared, "fit", None) is not None
    return own or any(map(learns_from_data, layer.children.values()))


def unfilled(model: Layer, x: Any) -> list[tuple[str, Any]]:
    """`(name, array)` of the inputs and columns whose missing numbers a model that takes some does not fill in."""
    layer = model.resolved
    while "preprocessor" not in layer.arguments:
        if "wraps" in layer.traits:
            layer = layer.arguments["layer"].resolved
        elif "chain" in layer.traits:
            layer = next(iter(layer.children.values())).resolved
        else:  # of one's own, which declares that it takes them
            return []
    asked = layer.arguments["preprocessor"].functions.unfilled
    return [] if asked is None else asked(_values(x))


def _fitted(layer: Layer, params: Params, state: State, x: Inputs, example_mask: Array | None) -> State:
    if not learns_from_data(layer):
        return state
    fit = getattr(layer.declared, "fit", None)
    if fit is not None:
        return fit(params, state, x, example_mask)
    if "chain" not in layer.traits:
        hint = "Put it in front of the layer of branches, with a preprocessor for each of them (`by_name`)."
        fail("fit_preprocessing", "model", "one whose layers `preprocess` follow each other", layer, hint=hint)
    state, waiting = dict(state), [name for name, child in layer.children.items() if learns_from_data(child)]
    for name, child in layer.children.items():
        with told_where(name):
            state[name] = _fitted(child, params[name], state[name], x, example_mask)
            if name == waiting[-1]:
                break
            x, _ = child.apply(params[name], state[name], x, example_mask=example_mask)
    return state
