"""Recurrent nets that read a sequence: to say what it is, or to write another."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_flag, check_integer
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.layers import (
    attentive_recurrence,
    bidirectional,
    both_ends,
    cross_attention,
    dense,
    dropout,
    embedding,
    encoder_decoder,
    last_position,
    sequential,
)
from jaxann.models.language import CELLS, check_rate

__all__ = ["recurrent_classifier", "recurrent_encoder_decoder"]


@factory(Layer, static=("classes", "vocabulary", "cell", "units", "depth", "two_ways"))
def recurrent_classifier(
    classes: int,
    *,
    vocabulary: int | None = None,
    cell: str = "lstm",
    units: int = 128,
    depth: int = 1,
    two_ways: bool = False,
    rate: Scalar | None = None,
):
    """Logits for a whole sequence, from what a recurrence remembers at its end.

    Args:
        classes: number of outputs.
        vocabulary: number of ids, where sequences are ids, which are embedded in `units` features; None for sequences
            of numbers.
        cell: "rnn", "lstm" or "gru".
        units: of each recurrent layer.
        depth: number of recurrent layers.
        two_ways: whether each layer reads from both ends (`layers.bidirectional`), and is asked at its own end.
        rate: probability of dropping before each recurrent layer and before the last; None for no dropout.

    Input: ids `(batch, time)` or numbers `(batch, time, features)`, `Padded` where they have padding; output
    `(batch, classes)`. Layers by name: `embed`, `drop0`, `lstm0`, ..., `last`, `out`.

    Peers: in PyTorch, Keras and flax one stacks it.

    Source: Hochreiter and Schmidhuber 1997; Schuster and Paliwal 1997.

    Raises:
        InputError: an argument is out of range, or x does not fit.
    """
    check_integer("recurrent_classifier", "classes", classes)
    check_choice("recurrent_classifier", "cell", cell, CELLS)
    for name, number in (("units", units), ("depth", depth)):
        check_integer("recurrent_classifier", name, number)
    check_flag("recurrent_classifier", "two_ways", two_ways)
    check_rate("recurrent_classifier", rate)
    layers: dict[str, Layer] = {}
    if vocabulary is not None:
        check_integer("recurrent_classifier", "vocabulary", vocabulary)
        layers["embed"] = embedding(vocabulary, units)
    layers |= _stack(cell, units, depth, two_ways, rate)
    if rate is not None:
        layers[f"drop{depth}"] = dropout(rate)
    return sequential({**layers, "last": both_ends() if two_ways else last_position(), "out": dense(classes)}).functions


@factory(Layer, static=("source_vocabulary", "target_vocabulary", "cell", "units", "depth", "two_ways", "heads"))
def recurrent_encoder_decoder(
    source_vocabulary: int,
    target_vocabulary: int,
    *,
    cell: str = "lstm",
    units: int = 128,
    depth: int = 1,
    two_ways: bool = True,
    heads: int = 1,
    rate: Scalar | None = None,
):
    """A recurrence reads one sequence, another writes a second one and looks back at each position (attention).

    Args:
        source_vocabulary, target_vocabulary: numbers of ids, embedded in `units` features.
        cell: "rnn", "lstm" or "gru".
        units: of each recurrent layer, and of what the decoder gives.
        depth: number of recurrent layers of each side.
        two_ways: whether the encoder reads from both ends.
        heads: of the attention.
        rate: probability of dropping before each recurrent layer; None for no dropout.

    Input: `{"source": ids (batch, time), "target": ids (batch, other time)}`, either of them `Padded` where it has
    padding; the target begins with an id that says so. Output: `(batch, other time, target_vocabulary)`, `Padded` where
    the target is. Layers by name: those of `layers.encoder_decoder`, whose decoder is an `attentive_recurrence`. What
    passes from one side to the other is what is looked at; the decoder's own state begins at 0.

    Peers: as the translation with attention of PyTorch's and Keras' tutorials.

    Source: Bahdanau, Cho and Bengio 2015; Luong, Pham and Manning 2015.

    Raises:
        InputError: an argument is out of range, or x is none of these.
    """
    function = "recurrent_encoder_decoder"
    check_choice(function, "cell", cell, CELLS)
    vocabularies = {"source_vocabulary": source_vocabulary, "target_vocabulary": target_vocabulary}
    for name, number in {**vocabularies, "units": units, "depth": depth}.items():
        check_integer(function, name, number)
    check_flag(function, "two_ways", two_ways)
    check_rate(function, rate)
    encoder = sequential({"embed": embedding(source_vocabulary, units), **_stack(cell, units, depth, two_ways, rate)})
    return encoder_decoder(
        encoder,
        embedding(target_vocabulary, units),
        attentive_recurrence(sequential(_stack(cell, units, depth, False, rate)), cross_attention(units, heads), units),
        dense(target_vocabulary),
    ).alias


def _stack(cell: str, units: int, depth: int, two_ways: bool, rate: Scalar | None) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for i in range(depth):
        if rate is not None:
            layers[f"drop{i}"] = dropout(rate)
        layers[f"{cell}{i}"] = bidirectional(CELLS[cell](units)) if two_ways else CELLS[cell](units)
    return layers
