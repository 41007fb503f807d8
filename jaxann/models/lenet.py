"""LeNet-5, the first convolutional network that read handwriting."""

from __future__ import annotations

from collections.abc import Callable

from jaxann.core.checks import check_choice, check_integer
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.initializers import init_for
from jaxann.layers import avg_pool, conv, dense, elementwise, flatten, max_pool, sequential

__all__ = ["lenet5"]


@factory(Layer, static=("classes", "padding"))
def lenet5(classes: int = 10, *, activation: str | Callable = "tanh", pool: str = "avg", padding: int = 2):
    """Two convolutions of 5 x 5 with pools of 2 x 2, then dense layers of 120, 84 and the classes; logits.

        28 x 28 (x 1) - conv 6 - pool - conv 16 - pool - 400 - dense 120 - dense 84 - dense classes

    Args:
        classes: number of outputs.
        activation: after each hidden layer; "relu" with pool="max" is the form trained today.
        pool: "avg" or "max".
        padding: of the first convolution, 2 for pictures of 28 x 28 and 0 for 32 x 32.

    Input `(batch, 28, 28, channels)`, any size and number of channels being taken; output `(batch, classes)`. Layers by
    name: `conv0`, `act0`, `pool0`, `conv1`, `act1`, `pool1`, `flat`, `dense0`, `act2`, `dense1`, `act3`, `dense2`.
    61,706 parameters for one channel, 28 x 28 and 10 classes.

    Source: LeCun et al. 1998, whose second convolution left out some connections, whose pools had two weights a channel
    and whose output was of radial basis functions; all libraries build it as here.

    Peers: none of PyTorch, Keras and flax has it.

    Raises:
        InputError: an argument is wrong.
    """
    check_integer("lenet5", "classes", classes)
    check_integer("lenet5", "padding", padding, 0)
    check_choice("lenet5", "pool", pool, ("avg", "max"))
    init, pooled = init_for(activation), avg_pool if pool == "avg" else max_pool
    return sequential(
        {
            "conv0": conv(6, 5, padding=padding, kernel_init=init),
            "act0": elementwise(activation),
            "pool0": pooled(2),
            "conv1": conv(16, 5, padding="valid", kernel_init=init),
            "act1": elementwise(activation),
            "pool1": pooled(2),
            "flat": flatten(),
            "dense0": dense(120, kernel_init=init),
            "act2": elementwise(activation),
            "dense1": dense(84, kernel_init=init),
            "act3": elementwise(activation),
            "dense2": dense(classes),
        }
    ).functions
