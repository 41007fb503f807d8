"""RealMLP: a multi-layer perceptron for tables with good defaults, and the optimizer that goes with it."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable

from jaxann import optimizers, schedules
from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer, Optimizer
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Array, Params, Scalar
from jaxann.initializers import lecun_normal
from jaxann.layers import dense, layer_scale, parametric_activation, sequential
from jaxann.layers import dropout as drop

__all__ = ["realmlp", "realmlp_optimizer"]

_INPUT_SCALE, _SLOW = 6.0, 0.1  # of the rate: of the factors of the inputs; of biases, activations and embeddings


@factory(Layer, static=("widths",))
def realmlp(
    widths: tuple[int, ...],
    *,
    activation: str | Callable[[Array], Array] = "selu",
    dropout: Scalar | None = 0.15,
):
    """y = W_n a_(n-1) + b_n, a_i = z_i + alpha_i (f(z_i) - z_i), z_i = W_i a_(i-1) + b_i, a_0 = s x, s and alpha
    learned.

        net = models.realmlp((256, 256, 256, 1), activation="mish")
        model = models.tabular(net, scale="robust_clipped", embedding="periodic_linear", features=4, frequencies=16)
        params, _ = jax.eval_shape(model.init, key, x[:1])
        optimizer = models.realmlp_optimizer(params, 0.2, steps=256 * math.ceil(len(x) / 256))

    The paper trains 256 epochs of batches of 256, keeps the epoch that is best on validation data, and has for
    regression "mish" at the rate 0.2, of standardized targets; for classification "selu" at the rate 0.04 and
    `losses.softmax_cross_entropy` with label smoothing 0.1.

    Args:
        widths: units of each layer, the output last.
        activation: f, name or function.
        dropout: probability of dropping after each hidden activation; None for none.

    Layers by name: `scale`, `dense0`, `act0`, `drop0`, `dense1`, ...; input `(batch, features)`. The factors of the
    inputs and the alpha begin at 1, weights by `lecun_normal()`, biases at 0; the paper fits weights and biases to the
    first data.

    The paper writes W x / sqrt(n) for n inputs, W ~ N(0, 1) (neural tangent parametrization). Adam moves every weight
    by about its rate, so that is a plain W x at the rate divided by sqrt(n), with the weight decay, which the rate
    multiplies, times sqrt(n): `realmlp_optimizer`.

    Peers: RealMLP-TD of pytabkit, an estimator.

    Source: Holzmüller, Grinsztajn and Steinwart 2024, arXiv 2407.04491.

    Raises:
        InputError: widths are no positive integers, the activation is unknown, or the dropout rate is out of range.
    """
    if not isinstance(widths, tuple) or not widths:
        fail("realmlp", "widths", "a tuple of positive integers, the output last", widths, hint="realmlp((256, 10))")
    for width in widths:
        check_integer("realmlp", "each of widths", width)
    if dropout is not None:
        check_range("realmlp", "dropout", dropout, 0, 1, open_high=True)
    layers: dict[str, Layer] = {"scale": layer_scale(1.0)}
    for i, width in enumerate(widths[:-1]):
        layers[f"dense{i}"] = dense(width, kernel_init=lecun_normal())
        layers[f"act{i}"] = parametric_activation(activation)
        if dropout is not None:
            layers[f"drop{i}"] = drop(dropout)
    layers[f"dense{len(widths) - 1}"] = dense(widths[-1], kernel_init=lecun_normal())
    return sequential(layers).functions


def realmlp_optimizer(
    params: Params, peak: Scalar, steps: Scalar, *, weight_decay: Scalar = 0.02, b2: Scalar = 0.95
) -> Optimizer:
    """`adamw` with a rate for each kind of leaf, each along `schedules.cosine_log(peak, steps)`.

    The factors of the inputs learn at 6 times the rate; weights of `dense` at the rate / sqrt(n), n their inputs;
    biases, the alpha of activations and embeddings of numbers at 0.1 times; everything else at the rate.

    Args:
        params: of the model, or their shapes (`jax.eval_shape(model.init, key, x[:1])[0]`): a `realmlp`, in `tabular`
            or not, whose layers have the names they were made with.
        peak: greatest rate.
        steps: of the whole training.
        weight_decay: of the weights of `dense` alone: each step shrinks them by weight_decay times the rate.
        b2: how slowly the mean of squares forgets.

    Returns:
        `optimizers.partition` of a group for each leaf; the history's learning rate is that of the last.

    Raises:
        InputError: a number is out of range, or there are no parameters.
    """
    check_range("realmlp_optimizer", "weight_decay", weight_decay, 0)
    schedule = schedules.cosine_log(peak, steps)
    groups: dict[str, Optimizer] = {}
    for name, leaf in flatten_named(params).items():
        factor, inputs = _kind(name, leaf.shape)
        rate = schedules.scaled(schedule, factor)
        decay = 0.0 if inputs is None else weight_decay * math.sqrt(inputs)
        groups[glob.escape(name)] = optimizers.adamw(rate, b2=b2, weight_decay=decay)
    if not groups:
        fail("realmlp_optimizer", "params", "the parameters of a model", " none")
    return optimizers.partition(groups)


def _kind(name: str, shape: tuple[int, ...]) -> tuple[float, int | None]:
    """The factor of a leaf's rate, and how many inputs it has where it is the weight of a dense layer."""
    *_, layer, own = ("", *name.split("."))
    if layer.startswith("dense") and own == "weight":
        return 1 / math.sqrt(shape[0]), shape[0]
    if own == "scale":
        return _INPUT_SCALE, None
    if own in ("bias", "alpha") or layer in ("waves", "own"):
        return _SLOW, None
    return 1.0, None
