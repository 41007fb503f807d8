"""Where the attention layers of a model look."""

from __future__ import annotations

from collections import OrderedDict

from jaxann import backprop
from jaxann.core.checks import check_host_leaves, fail
from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.layers import as_layer

__all__ = ["attention_maps"]


def attention_maps(
    model: Layer, params: Params, state: State, x: Inputs | Padded, *, sequence_mask: Array | None = None
) -> OrderedDict[str, Array]:
    """softmax(Q K^T / sqrt(d) + bias) of every attention layer by its name: what each position takes of each other.

        maps = ja.diagnose.attention_maps(model, params, state, x)
        maps["blocks.block.0.attend.body.attention"][0, 2]      # first example, third head: (queries, keys)

    They are of evaluation: nothing is dropped. Names are those of `backprop.forward`, whose pass this is; the blocks of
    a `repeat` have a number each, and an attention layer that is itself the model goes by the name of its kind.

    Args:
        model: any whose layers have a backward rule. A layer of your own has maps where its rule gives
            `Step(..., attention=maps)`.
        params, state: the model's.
        x: `(batch, time, ...)`, or `Padded` sequences, as the model takes it.
        sequence_mask: `(batch, time)`, 0 for padded positions; `Padded` x has its own.

    Returns:
        From name to `(batch, heads, queries, keys)`, in the order of execution. Rows add up to 1; rows and columns of
        padding are 0.

    Peers: PyTorch's MultiheadAttention with need_weights=True and Keras' with return_attention_scores=True, one layer
    at a time; PyTorch takes the mean over the heads unless told.

    Raises:
        InputError: no layer of the model attends, one has no rule, a mask does not fit, or the model refuses x.
    """
    for argument, value in (("params", params), ("x", x), ("sequence_mask", sequence_mask)):
        check_host_leaves("attention_maps", argument, value)
    return _maps(as_layer(model, "attention_maps"), params, state, x, sequence_mask)


@jit
def _maps(layer: Layer, params: Params, state: State, x: Inputs | Padded, mask: Array | None) -> OrderedDict:
    passed = backprop.forward(layer, params, state, x, train=False, sequence_mask=mask)
    maps = OrderedDict((name, one.attention) for name, one in passed.layers.items() if one.attention is not None)
    if not maps:  # said while it is traced: nothing has been compiled
        fail("attention_maps", "model", "one with attention inside, such as models.gpt", layer)
    return maps
