"""Computing again instead of keeping: the memory of a long way forward."""

from __future__ import annotations

import jax

from jaxann.core.factories import factory
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.watch import note_rounds, noted_aside
from jaxann.layers.base import as_layer

__all__ = ["remat"]


@factory(Layer, convert={"layer": lambda v: as_layer(v, "remat", "layer")})
def remat(layer: Layer):
    """The layer as it is; automatic differentiation keeps its input alone and computes what is inside once more.

        layers.repeat(layers.remat(block), 32)          keeps 32 inputs of blocks, and one block's insides at a time

    Values and gradients are the layer's own. The price is one more way forward, about a third of a step's work.

    Args:
        layer: any layer or model.

    Parameters, state, their names and randomness: those of the layer, which may be wrapped or not in a saved model.
    The backward pass by hand (`backprop`) notes every number anyway, and is that of the layer.

    Peers: flax's nn.remat, PyTorch's torch.utils.checkpoint, Keras' RematScope.

    Source: Griewank and Walther 2000; Chen et al. 2016.

    Raises:
        InputError: the layer is none.
    """

    def apply(params, state, x, *, key=None, train=False, example_mask=None, sequence_mask=None):
        def run(params, state, x, key, masks):
            return noted_aside(lambda: layer.apply(params, state, x, key=key, train=train, **masks))

        masks = {"example_mask": example_mask, "sequence_mask": sequence_mask}
        found, notes = jax.checkpoint(run)(params, state, x, key, masks)
        note_rounds(notes)
        return found

    carrying = (layer.start, layer.step) if layer.carries else (None, None)
    fit = getattr(layer.declared, "fit", None)
    return LayerFunctions(layer.init, apply, layer.children, *carrying, (*layer.traits, "wraps"), fit=fit)
