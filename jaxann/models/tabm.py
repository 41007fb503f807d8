"""TabM: an ensemble of multi-layer perceptrons that share their weights, for tables."""

from __future__ import annotations

from collections.abc import Callable

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for, lecun_normal
from jaxann.layers import batch_ensemble_dense, elementwise, packed_dense, repeat_members, sequential
from jaxann.layers import dropout as drop

__all__ = ["tabm"]


@factory(Layer, static=("widths", "members"))
def tabm(
    widths: tuple[int, ...],
    *,
    members: int = 32,
    activation: str | Callable | Layer = "relu",
    dropout: Scalar | None = None,
    input_scale: str = "random_signs",
    kernel_init: Initializer | None = None,
):
    """`members` perceptrons in one: hidden layers are `batch_ensemble_dense`, the output `packed_dense`; linear output.

    Input `(batch, features)`, output `(batch, members, outputs)`. Each member is trained on its own loss and learns
    from every example; at test time the members' predictions are averaged, probabilities and not logits:

        result = ja.fit(ja.models.tabm((256, 256, 10)), ja.losses.each_member(ja.losses.softmax_cross_entropy), ...,
                        metrics={"accuracy": ja.metrics.of_mean_softmax(ja.metrics.streaming.accuracy())})
        ja.train.ensemble.classify(ja.predict(model, ...), axis=1).probabilities

    Trained on the loss of their mean instead, the members lean on each other and the ensemble gains little.

    Args:
        widths: units of each layer, the output last; at least one hidden layer, for that is what is shared.
        members: size of the ensemble.
        activation: name, function or layer such as `layers.prelu()`, after each hidden layer.
        dropout: probability of dropping after each hidden activation, each member by itself; None for none.
        input_scale: how the first layer's r begins, "random_signs" or "normal" (see `batch_ensemble_dense`; the paper
            takes "normal" where the features are embedded). All other scales begin at 1. With "ones" the members would
            differ by their output layers alone.
        kernel_init: distribution of the hidden weights, the customary one of the activation when None. The output
            layers have `lecun_normal()`. (The paper's code: U(-a, a), a = 1 / sqrt(in), for weights and biases; here
            biases are 0.)

    Layers by name: `members` (the copies), `dense0`, `act0`, `drop0`, `dense1`, ...

    Source: Gorishniy et al. 2025, arXiv 2410.24210.

    Peers: none of PyTorch, Keras and flax has it; its authors have a package for PyTorch.

    Raises:
        InputError: widths are no positive integers or fewer than two, members is no positive integer, the activation
            or the scale is unknown, or the dropout rate is out of range.
    """
    if not isinstance(widths, tuple) or len(widths) < 2:
        fail("tabm", "widths", "a tuple of at least two positive integers, the output last", widths,
             hint="tabm((256, 10)); a linear model has nothing to share: mlp((10,)).")  # fmt: skip
    for width in widths:
        check_integer("tabm", "each of widths", width)
    check_integer("tabm", "members", members)
    if dropout is not None:
        check_range("tabm", "dropout", dropout, 0, 1, open_high=True)
    hidden_init = kernel_init or init_for(activation)
    layers: dict[str, Layer] = {"members": repeat_members(members)}
    for i, width in enumerate(widths[:-1]):
        begins = input_scale if i == 0 else "ones"
        layers[f"dense{i}"] = batch_ensemble_dense(width, members, input_scale=begins, kernel_init=hidden_init)
        layers[f"act{i}"] = activation if isinstance(activation, Layer) else elementwise(activation)
        if dropout is not None:
            layers[f"drop{i}"] = drop(dropout)
    layers[f"dense{len(widths) - 1}"] = packed_dense(widths[-1], members, kernel_init=lecun_normal())
    return sequential(layers).functions
