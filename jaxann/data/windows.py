"""Windows of a long stream of tokens: cut on the host, and cut anew at random places inside the program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.augmentation import Augment
from jaxann.core.checks import OUTSIDE, check_choice, check_integer, check_plain, check_untraced, fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded, padded
from jaxann.core.typing import Array, Inputs, Targets
from jaxann.data.pictures import draw_each, uniforms
from jaxann.data.sequences import as_arrays, check_along, sequence_of, whole_below

__all__ = ["language_windows", "random_window"]


def language_windows(
    ids: Array, length: int, *, stride: int | None = None, remainder: str = "pad"
) -> tuple[Inputs, Targets]:
    """x_i = ids[i s : i s + length] and what comes next at each of its places, y_i = ids[i s + 1 : i s + length + 1].

    Every id but the first is a target, and with stride s = length it is one once.

    Args:
        ids: a stream of whole numbers `(n,)`, of any width (a memory map of uint16 stays one).
        length: of a window.
        stride: from the beginning of a window to that of the next, at most the length, so that nothing is between
            them; length when None.
        remainder: what becomes of targets at the end that fill no window. "pad": one more window has them, and x and y
            are `Padded`, always. "drop": they are left out, fewer than stride; x and y are arrays, views that copy
            nothing.

    Returns:
        `(x, y)`, each `(windows, length)`: training data of a model such as `models.gpt`. For windows that begin
        elsewhere in each epoch: `language_windows(ids, 2 * length, stride=length)` with
        `augment=random_window(length)`.

    Peers: Keras' timeseries_dataset_from_array, and the loops of nanoGPT and of Hugging Face's examples, leave the
    rest out and do not say so.

    Raises:
        InputError: ids are no stream of whole numbers, or there is no target (with "drop" no window).
    """
    name = "language_windows"
    check_untraced(name, "ids", ids, OUTSIDE)
    check_plain(name, "ids", ids)
    stream = np.asarray(ids)
    if stream.ndim != 1 or stream.dtype.kind not in "iu":
        fail(name, "ids", "whole numbers of shape (n,)", f" {stream.dtype} of shape {stream.shape}")
    check_integer(name, "length", length)
    step = length if stride is None else stride
    check_integer(name, "stride", step)
    if step > length:
        fail(name, "stride", f"at most the length {length}, so that nothing is left out", stride)
    check_choice(name, "remainder", remainder, ("drop", "pad"))
    targets = len(stream) - 1
    whole = 0 if targets < length else (targets - length) // step + 1
    minimum = 2 if remainder == "pad" else length + 1
    if len(stream) < minimum:
        fail(name, "ids", f"at least {minimum} of them", f" {len(stream)}")
    if remainder == "drop":
        x, y = (np.lib.stride_tricks.sliding_window_view(stream[i : i + targets], length)[::step] for i in (0, 1))
        return x, y
    covered = (whole - 1) * step + length if whole else 0
    count = whole + (covered < targets)
    starts = np.arange(count) * step
    lengths = np.minimum(length, targets - starts)
    places = np.minimum(starts[:, None] + np.arange(length), targets - 1)
    real = np.arange(length) < lengths[:, None]
    found = (np.where(real, stream[places + i], 0).astype(stream.dtype) for i in (0, 1))
    x, y = (padded(values, lengths) for values in found)  # pyright: ignore[reportArgumentType]
    return x, y


@factory(Augment, static=("length",))
def random_window(length: int, *, targets: str = "same"):
    """x[:, o : o + length] of each example, o ~ U{0, ..., time - length}, a whole number drawn for each.

    With windows of twice the length, each beginning a length after the last (`language_windows(ids, 2 * length,
    stride=length)`), each epoch has other cuts of the whole stream. Of `Padded` x the window ends where what is real
    ends, at the latest; a sequence that is shorter is taken from its beginning.

    Args:
        length: of the window, which is what the model sees, is initialized with, and has positions for; validation data
            are of this length.
        targets: "same" cuts targets `(batch, time, ...)` out at the same place; "keep" is for one target a sequence.

    Takes x `(batch, time, ...)` of any dtype, or `Padded`.

    Peers: as the random starts of nanoGPT's get_batch, where some stretches come often and others not at all; PyTorch
    itself and Keras have none (Keras' RandomCrop is for pictures).

    Raises:
        InputError: the length is no positive integer, or (when called) x has fewer positions, or the targets are not
            those that were asked for.
    """
    check_integer("random_window", "length", length)
    check_choice("random_window", "targets", targets, ("keep", "same"))

    def change(key, x, y, example_mask):
        values, real = sequence_of("random_window", x, None, "(batch, time, ...)")
        batch, time = values.shape[:2]
        if time < length:
            fail("random_window", "x", f"of at least {length} positions", f" shape {values.shape}")
        check_along("random_window", values, y, targets)
        values, real = as_arrays(values, real)
        last = jnp.full(batch, time, jnp.int32) if real is None else _ends(real)
        share = draw_each(lambda one: uniforms(one, 1)[0], key, batch)
        first = whole_below(share, jnp.maximum(last - length, 0) + 1)
        cut = jax.vmap(lambda a, start: lax.dynamic_slice_in_dim(a, start, length))
        new = (values if real is None else Padded(values, x.mask), y if targets == "same" else None)
        new, moved = jax.tree.map(lambda leaf: cut(leaf, first), new)
        return new, moved if targets == "same" else y

    return change


def _ends(real: Array) -> Array:
    """The number of positions up to the last real one, `(batch,)`."""
    places = jnp.broadcast_to(jnp.arange(1, real.shape[1] + 1, dtype=jnp.int32), real.shape)
    return jnp.max(jnp.where(real, places, 0), 1)
