"""Language models: what comes next, by a transformer or by recurrence."""

from __future__ import annotations

import math

from jaxann.core.checks import check_choice, check_flag, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import normal
from jaxann.layers import (
    as_layer,
    dense,
    dropout,
    embedding,
    feed_forward,
    gru,
    layer_norm,
    learned_positions,
    lstm,
    multi_head_attention,
    repeat,
    rnn,
    sequential,
    tied_embedding,
    transformer_block,
)
from jaxann.layers.activation import GATES

__all__ = ["CELLS", "check_rate", "gpt", "hidden_units", "recurrent_language_model"]

CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru}


@factory(
    Layer,
    static=(
        "vocabulary",
        "features",
        "heads",
        "blocks",
        "context",
        "positions",
        "groups",
        "use_bias",
        "tied",
        "activation",
    ),
    convert={"norm": lambda v: v if v is None else as_layer(v, "gpt", "norm")},
)
def gpt(
    vocabulary: int,
    *,
    features: int = 128,
    heads: int = 4,
    blocks: int = 4,
    context: int = 64,
    positions: str = "learned",
    groups: int | None = None,
    rate: Scalar | None = None,
    use_bias: bool = True,
    tied: bool = False,
    activation: str = "gelu",
    norm: Layer | None = None,
):
    """A decoder: at each position logits of what comes next, from what has come so far.

        u = x + attention(norm(x)),   y = u + feed(norm(u))    in each block

    Args:
        vocabulary: number of ids.
        features: of each position.
        heads: of the attention; `groups` of them have keys and values of their own, all when None.
        blocks: how many.
        context: positions that are learned, and that are remembered when it writes one position after the other.
        positions: "learned" adds a vector to each position; "rotary", "alibi" and "relative" act in the attention.
        rate: probability of dropping, after the embedding, of the attention's weights and of each branch's numbers;
            None for no dropout.
        use_bias: whether the maps inside the blocks have biases.
        tied: whether the logits come from the table that ids are embedded with (`layers.tied_embedding`).
        activation: of what each position goes through, 4 times as wide as the features; of a gate such as "swiglu",
            8/3 times.
        norm: `layers.layer_norm()` when None.

    Llama's structure is `positions="rotary", use_bias=False, activation="swiglu", norm=layers.rms_norm()`, with groups.

    Input: ids `(batch, time)`; output `(batch, time, vocabulary)`. Layers by name: `embed`, `positions` where they are
    learned, `drop`, `blocks` (a `repeat` of `attend` and `feed`), `norm`, `head`; tied, all but `embed` are in `body`
    and there is no `head`. Weights N(0, 0.02^2); of the maps that write into the residual stream they are narrower by
    sqrt(2 blocks). Of a vocabulary of 65 and the defaults: 818,176 parameters. GPT-2: `gpt(50257, features=768,
    heads=12, blocks=12, context=1024, tied=True)`, 124,439,808.

    Peers: GPT-2's structure, with its tanh form of gelu; GPT-2 and nanoGPT are tied.

    Source: Radford et al. 2019; the initial weights are those of the code. Touvron et al. 2023 (Llama).

    Raises:
        InputError: an argument is out of range, or x holds no ids.
    """
    for name, number in (("vocabulary", vocabulary), ("features", features), ("blocks", blocks), ("context", context)):
        check_integer("gpt", name, number)
    check_choice("gpt", "positions", positions, ("learned", "rotary", "alibi", "relative"))
    check_flag("gpt", "use_bias", use_bias)
    check_flag("gpt", "tied", tied)
    check_rate("gpt", rate)
    wide, narrow = normal(0.02), normal(0.02 / math.sqrt(2 * blocks))
    attention = multi_head_attention(
        features,
        heads,
        groups=groups,
        causal=True,
        positions=None if positions == "learned" else positions,
        dropout=rate,
        context=context,
        use_bias=use_bias,
        kernel_init=wide,
        out_init=narrow,
    )
    hidden = hidden_units(features, activation)
    fed = feed_forward(hidden, features, activation=activation, use_bias=use_bias, kernel_init=wide, out_init=narrow)
    norm = layer_norm() if norm is None else norm
    table = embedding(vocabulary, features, kernel_init=wide)
    layers: dict[str, Layer] = {}
    if positions == "learned":
        layers["positions"] = learned_positions(context)
    if rate is not None:
        layers["drop"] = dropout(rate)
    layers |= {"blocks": repeat(transformer_block(attention, fed, norm=norm, rate=rate), blocks), "norm": norm}
    if tied:
        return tied_embedding(table, sequential(layers)).alias
    layers["head"] = dense(vocabulary, use_bias=False, kernel_init=wide)
    return sequential({"embed": table, **layers}).functions


def hidden_units(features: int, activation: str) -> int:
    """Of a feed-forward layer: 4 times the features; with a gate, of which there are two halves, 8/3 times."""
    return -(-8 * features // 3) if activation in GATES else 4 * features


@factory(Layer, static=("vocabulary", "cell", "units", "depth", "features"))
def recurrent_language_model(
    vocabulary: int,
    *,
    cell: str = "lstm",
    units: int = 256,
    depth: int = 1,
    features: int | None = None,
    rate: Scalar | None = None,
):
    """At each position logits of what comes next, from the state of a recurrence over what has come so far.

    Args:
        vocabulary: number of ids.
        cell: "rnn", "lstm" or "gru".
        units: of each recurrent layer.
        depth: number of recurrent layers.
        features: of the embedding; units when None.
        rate: probability of dropping before each recurrent layer and before the last; None for no dropout.

    Input: ids `(batch, time)`; output `(batch, time, vocabulary)`. Layers by name: `embed`, `drop0` where there is
    dropout, `lstm0`, ..., `head`.

    Peers: as the word language model of PyTorch's examples.

    Source: Mikolov et al. 2010; dropout between layers: Zaremba et al. 2014.

    Raises:
        InputError: an argument is out of range, or x holds no ids.
    """
    check_choice("recurrent_language_model", "cell", cell, CELLS)
    for name, number in (("vocabulary", vocabulary), ("units", units), ("depth", depth)):
        check_integer("recurrent_language_model", name, number)
    if features is not None:
        check_integer("recurrent_language_model", "features", features)
    check_rate("recurrent_language_model", rate)
    layers: dict[str, Layer] = {"embed": embedding(vocabulary, units if features is None else features)}
    for i in range(depth):
        if rate is not None:
            layers[f"drop{i}"] = dropout(rate)
        layers[f"{cell}{i}"] = CELLS[cell](units)
    if rate is not None:
        layers[f"drop{depth}"] = dropout(rate)
    layers["head"] = dense(vocabulary)
    return sequential(layers).functions


def check_rate(function: str, rate: Scalar | None) -> None:
    """A probability of dropping, or None.

    Raises:
        InputError: it is out of range.
    """
    if rate is not None:
        check_range(function, "rate", rate, 0, 1, open_high=True)
