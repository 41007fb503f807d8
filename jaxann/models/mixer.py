"""MLP-Mixer: dense layers over the places of a picture in turn with dense layers over its channels."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.layers import conv, dense, elementwise, global_pool, layer_norm, permute, reshape, sequential
from jaxann.models.stages import exact_gelu, residual_or_dropped

__all__ = ["mlp_mixer"]

_SIZES = {"small": (8, 512), "base": (12, 768), "large": (24, 1024), "huge": (32, 1280)}


@factory(Layer, static=("size", "classes", "patch", "image_size", "hidden"))
def mlp_mixer(
    size: str | tuple[int, int] = "base",
    classes: int = 1000,
    *,
    patch: int = 16,
    image_size: int | tuple[int, int] = 224,
    hidden: tuple[int, int] | None = None,
    rate: Scalar | None = None,
):
    """Patches as rows of channels, blocks that mix the places and then the channels, their mean, a dense layer; logits.

        u = x + dense(gelu(dense(norm(x)^T)))^T,   y = u + dense(gelu(dense(norm(u))))

    Args:
        size: "small", "base", "large" or "huge", or (blocks, channels).
        classes: number of outputs.
        patch: side of the squares that a convolution without overlap makes one place each.
        image_size: side of the pictures, or (height, width), multiples of the patch: the weights that mix places are
            for as many as there are.
        hidden: units between the two dense layers of the mixing of places, and of that of channels; None for half and
            four times the channels, as in every known size.
        rate: probability of leaving out a branch of the last block in training, growing linearly from 0 in the first;
            None for plain residual blocks.

    Input `(batch, height, width, channels)`, output `(batch, classes)`. Layers by name: `patches`, `rows`, `block0`
    (`places`, `channels`), ..., `norm`, `pool`, `dense`. Layer norms have eps 1e-6, gelu is the exact one. Parameters
    of "small", "base" and "large" at 224 x 224 and 1000 classes: 18,528,264, 59,880,472 and 208,196,168.

    Peers: none of PyTorch, Keras and flax has it. The authors' code, in flax, begins with a last layer of zeros.

    Source: Tolstikhin et al. 2021.

    Raises:
        InputError: an argument is wrong, or x has other places than image_size.
    """
    if isinstance(size, tuple):
        if len(size) != 2:
            fail("mlp_mixer", "size", "(blocks, channels)", size)
        for number in size:
            check_integer("mlp_mixer", "each of size", number)
    else:
        check_choice("mlp_mixer", "size", size, _SIZES)
    blocks, width = size if isinstance(size, tuple) else _SIZES[size]
    for name, value in (("classes", classes), ("patch", patch)):
        check_integer("mlp_mixer", name, value)
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    if len(sides) != 2:
        fail("mlp_mixer", "image_size", "one side or (height, width)", image_size)
    for side in sides:
        check_integer("mlp_mixer", "image_size", side)
        if side % patch:
            fail("mlp_mixer", "image_size", f"a multiple of the patch, {patch}", image_size)
    if hidden is None:
        hidden = max(1, width // 2), 4 * width
    if not isinstance(hidden, tuple) or len(hidden) != 2:
        fail("mlp_mixer", "hidden", "two numbers of units, or None", hidden)
    for units in hidden:
        check_integer("mlp_mixer", "each of hidden", units)
    if rate is not None:
        check_range("mlp_mixer", "rate", rate, 0, 1, open_high=True)
    places = (sides[0] // patch) * (sides[1] // patch)
    layers: dict[str, Layer] = {
        "patches": conv(width, patch, stride=patch, padding="valid"),
        "rows": reshape((places, width)),
    }
    for i in range(blocks):
        layers[f"block{i}"] = sequential(
            {
                "places": residual_or_dropped(_mixing(places, hidden[0], turned=True), rate, i, blocks),
                "channels": residual_or_dropped(_mixing(width, hidden[1], turned=False), rate, i, blocks),
            }
        )
    layers |= {"norm": layer_norm(eps=1e-6), "pool": global_pool(), "dense": dense(classes)}
    return sequential(layers).functions


def _mixing(units: int, hidden: int, *, turned: bool) -> Layer:
    """norm - dense - gelu - dense of the last axis, or of the one before it."""
    layers: dict[str, Layer] = {"norm": layer_norm(eps=1e-6)}
    if turned:
        layers["turn0"] = permute((2, 1))
    layers |= {"dense0": dense(hidden), "act": elementwise(exact_gelu), "dense1": dense(units)}
    if turned:
        layers["turn1"] = permute((2, 1))
    return sequential(layers)
