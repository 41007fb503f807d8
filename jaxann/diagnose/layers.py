"""The gradient check of one layer and of one loss."""

from __future__ import annotations

from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import OUTSIDE, check_key, check_unmasked, check_untraced
from jaxann.core.keys import fold_name
from jaxann.core.modes import TrainMode, check_train
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key, Loss, Spec, Targets
from jaxann.diagnose.findings import CheckSettings, GradientCheck
from jaxann.diagnose.gradients import check_gradients
from jaxann.layers import as_layer

__all__ = ["check_layer", "check_loss"]


def check_layer(
    layer: Layer,
    x: Array | Spec,
    *,
    key: Key | None = None,
    train: bool | TrainMode = False,
    **settings: Unpack[CheckSettings],
) -> GradientCheck:
    """Check the gradients of a layer, or a whole model, in its parameters and its input.

    The parameters are those of `layer.init`, each moved by a tenth of a normal number so that none is 0 and hides a
    term; the output is added up with fixed random weights; the state is not differentiated.

    Args:
        layer: anything with `.init` and `.apply`.
        x: an input `(batch, ...)`, or its shape and dtype (a `jax.ShapeDtypeStruct`): standard normal numbers then.
        key: randomness of the parameters and, in training, of the layer; `jax.random.key(0)` when None.
        train: as in `layer.apply`. Noise is the same in every evaluation.
        settings: `directions`, `most`, `step` and the like, as in `check_gradients`.

    Raises:
        InputError: `train` is no mode, as `check_gradients`, or what the layer itself refuses.
    """
    layer = as_layer(layer, "check_layer", "layer")
    check_untraced("check_layer", "each argument", (layer, x, key), OUTSIDE)
    train = check_train("check_layer", train)
    key = jax.random.key(0) if key is None else key
    check_key("check_layer", key)
    check_unmasked("check_layer", "x", x)
    generator = np.random.default_rng(0)
    if isinstance(x, jax.ShapeDtypeStruct):
        x = generator.normal(size=x.shape).astype(x.dtype)
    x = _wide(x)
    with jax.enable_x64(True):
        params, state = jit(layer.init)(fold_name(key, "init"), x)
        params = jax.tree.map(_wide, params)
        state = jax.tree.map(_wide, state)
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * generator.normal(size=leaf.shape) if leaf.dtype == np.float64 else leaf, params
    )

    def output(params: Any, x: Array) -> Array:
        return layer.apply(params, state, x, key=fold_name(key, "apply") if train else None, train=train)[0]

    return check_gradients(output, (params, x), **settings)


def check_loss(loss: Loss, predictions: Array, targets: Targets, **settings: Unpack[CheckSettings]) -> GradientCheck:
    """Check the gradient of a loss in its predictions; its values are added up with fixed random weights.

    Args:
        loss: `loss(predictions, targets)`, as of `jaxann.losses`.
        predictions: where to check it. Choose some near 0 and some far off.
        targets: not differentiated; floats among them are widened too.
        settings: as in `check_gradients`.

    Raises:
        InputError: as `check_gradients`, or what the loss itself refuses.
    """
    return check_gradients(loss, (predictions, targets), argnums=0, **settings)


def _wide(leaf: Any) -> Any:
    """A floating-point array as float64, on the host so that nothing is compiled for it; others as they are."""
    return np.asarray(leaf).astype(np.float64) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) else leaf
