"""Which steps show which kind of layer, of those that are written out in letters of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jaxann import layers
from jaxann.teach import attention, lookup, normalization, recurrence
from jaxann.teach.layers import RECURRENT
from jaxann.teach.steps import Step
from jaxann.teach.through_time import back_through_time
from jaxann.teach.walk import Item, Sizes

__all__ = ["Written", "written_as"]


class Written(NamedTuple):
    """How a kind of layer is shown: sentences, the steps forward and those backward."""

    text: Callable[[Item, Sizes], tuple[str, ...]]
    forward: Callable[[Item, Sizes], Iterator[Step]]
    backward: Callable[[Item, Sizes], Iterator[Step]]


_RECURRENT = Written(lambda item, sizes: recurrence.told(item), recurrence.one_step, back_through_time)
_KINDS = {
    **dict.fromkeys(RECURRENT, _RECURRENT),
    layers.multi_head_attention: Written(attention.told, attention.head_forward, attention.head_backward),
    layers.embedding: Written(lambda item, sizes: lookup.told(item), lookup.looked_up, lookup.of_rows),
    layers.layer_norm: Written(
        lambda item, sizes: normalization.told(item), normalization.normalized, normalization.through_norm
    ),
}


def written_as(item: Item) -> Written | None:
    """How a layer is written out; None for one that is not."""
    like = item.formula.like
    if like is layers.multi_head_attention and "qkv" in item.params:  # its heads were not noted by themselves
        return None
    if like is layers.layer_norm and item.layer.arguments["axes"] > 1 and item.trace.sequence_mask is not None:
        return None
    return None if like is None else _KINDS[like]
