"""What `explain` is given, checked and in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_floating, fail
from jaxann.core.padding import Padded, is_padded
from jaxann.core.products import Layer
from jaxann.core.reading import read_array
from jaxann.core.trees import check_arrays, flatten_named
from jaxann.core.typing import Params, State
from jaxann.losses import labels_to_check
from jaxann.train.weights import model_weights

__all__ = ["Given", "check_labels", "read"]


class Given(NamedTuple):
    """What `explain` was given.

    Attributes:
        params, state, x, y: in float64; y is `Padded` where it was.
        mask: `(batch, time)`, which positions of x are real; None where x was not `Padded`.
        labels: the names of the inputs.
    """

    params: Params
    state: State
    x: Any
    y: Any
    mask: np.ndarray | None
    labels: tuple[str, ...]


def read(model: Layer, params: Any, state: Any, x: Any, y: Any, names: Any) -> Given:
    """Everything in float64, one example as a batch of one; the names of the inputs.

    Raises:
        InputError: parameters or the state are missing, x or y holds no numbers, or the shapes do not fit.
    """
    check_arrays("explain", "params", params)
    check_arrays("explain", "state", state)
    params, state = jax.tree.map(_wide, (params, state))
    x, mask = _unpadded("x", x)
    y, targets_mask = _unpadded("y", y)
    x, y = _numbers("x", x), _numbers("y", y)
    if x.ndim == 0:
        fail("explain", "x", "of shape (features,) or (batch, ...)", " a single number")
    single = x.ndim == 1
    if single:
        check_floating("explain", "x", x)
        x = x[None]
    if x.size == 0:
        fail("explain", "x", "one example or more", f" shape {x.shape}")
    wanted, states = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    params = _complete(params, wanted)
    if state is None:
        state = states
        if jax.tree.leaves(state):
            fail("explain", "state", "given for a model with running statistics", None)
    params, state = model_weights("explain", model, params, state, x)
    y = _targets(y, x, jax.eval_shape(lambda p: model.apply(p, state, x)[0], params), single)
    labels = tuple(str(name) for name in names or ())
    if labels and (len(labels) != int(np.prod(x.shape[1:]))):
        fail("explain", "names", f"one for each of the {int(np.prod(x.shape[1:]))} inputs", f" {len(labels)} names")
    return Given(params, state, x, y if targets_mask is None else Padded(y, targets_mask), mask, labels)


def _unpadded(argument: str, value: Any) -> tuple[Any, np.ndarray | None]:
    """The values, 0 in the padding, and which of their positions are real."""
    if not is_padded(value):
        return value, None
    values, mask = _numbers(argument, value.values), np.asarray(value.mask).astype(bool)
    if values.shape[:2] != mask.shape:
        fail("explain", argument, f"of the mask's shape {mask.shape} in the first axes", f" shape {values.shape}")
    real = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
    return np.where(real, values, np.zeros((), values.dtype)), mask


def check_labels(loss: Any, y: Any, predictions: Any) -> None:
    """Class numbers stand for one of the outputs; those that the loss ignores are none.

    Raises:
        InputError: one does not.
    """
    labels, classes = labels_to_check(loss, y), np.shape(predictions)[-1]
    if labels is None or np.ndim(labels) != np.ndim(predictions) - 1 or np.asarray(labels).dtype.kind not in "iu":
        return
    wrong = np.asarray(labels)[(np.asarray(labels) < 0) | (np.asarray(labels) >= classes)]
    if wrong.size:
        hint = f"The model has {classes} outputs; labels start at 0."
        fail("explain", "y", f"labels in 0..{classes - 1}", f" {wrong.flat[0]}", hint=hint)


def _targets(y: Any, x: Any, out: Any, single: bool) -> Any:
    """The targets with an axis of examples, in floating point where there is one for each output."""
    if single:
        y = y.reshape(1, 1) if y.ndim == 0 and len(out.shape) > 1 and out.shape[-1] == 1 else y[None]
    elif y.shape[:1] != x.shape[:1]:
        fail("explain", "y", f"one target for each of the {x.shape[0]} examples", f" shape {y.shape}")
    single_output = y.ndim > 1 and y.shape[-1] == out.shape[-1] == 1
    return y.astype(out.dtype) if single_output or y.shape == out.shape else y


def _complete(params: Any, wanted: Params) -> Params:
    """The parameters with the structure that the model wants; layers without any may have been left out."""
    given, asked = (flatten_named(tree) for tree in (params, wanted))
    missing = [name for name in asked if name not in given]
    if missing:
        fail("explain", "params", f"those of the model, with {missing[0]}", " none of that name")
    extra = [name for name in given if name not in asked]
    if extra:
        fail("explain", "params", "those of the model", f" {extra[0]} too, which it does not have")
    return jax.tree.unflatten(jax.tree.structure(wanted), [given[name] for name in asked])


def _numbers(argument: str, value: Any) -> Any:
    return _wide(read_array("explain", argument, value))


def _wide(leaf: Any) -> Any:
    """A number or array in float64; whole numbers and keys as they are. On the host: nothing is compiled for it."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        return leaf
    array = np.asarray(leaf)
    floating = array.dtype.kind == "f" or jax.dtypes.issubdtype(array.dtype, np.floating)
    return array.astype(np.float64) if floating else array
