"""Language models: what comes next, by a transformer or by recurrence."""

from __future__ import annotations

import math

from jaxann.core.checks import check_choice, check_flag, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import normal
from jaxann.layers import (
    dense,
    dropout,
    elementwise,
    embedding,
    gru,
    layer_norm,
    learned_positions,
    lstm,
    multi_head_attention,
    repeat,
    residual,
    rnn,
    sequential,
)

__all__ = ["gpt", "recurrent_language_model"]

_CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru}


@factory(Layer, static=("vocabulary", "features", "heads", "blocks", "context", "positions", "use_bias", "groups"))
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
):
    """A decoder: at each position logits of what comes next, from what has come so far.

        u = x + attention(norm(x)),   y = u + dense(gelu(dense(norm(u))))    in each block

    Args:
        vocabulary: number of ids.
        features: of each position.
        heads: of the attention; `groups` of them have keys and values of their own, all when None.
        blocks: how many.
        context: positions that are learned, and that are remembered when it writes one position after the other.
        positions: "learned" adds a vector to each position, "rotary" and "alibi" act in the attention.
        rate: probability of dropping, after the embedding, of the attention's weights and of each branch's numbers;
            None for no dropout.
        use_bias: whether the maps inside the blocks have biases.

    Input: ids `(batch, time)`; output `(batch, time, vocabulary)`. Layers by name: `embed`, `positions` where they are
    learned, `drop`, `blocks` (a `repeat` of `attend` and `feed`), `norm`, `head`. Weights N(0, 0.02^2); of the maps
    that write into the residual stream they are narrower by sqrt(2 blocks). Of a vocabulary of 65 and the defaults:
    818,176 parameters.

    Peers: GPT-2's structure, with its tanh form of gelu. GPT-2 and nanoGPT have the embedding's table for `head` too;
    here the head is a matrix of its own.

    Source: Radford et al. 2019; the initial weights are those of the code.

    Raises:
        InputError: an argument is out of range, or x holds no ids.
    """
    for name, number in (("vocabulary", vocabulary), ("features", features), ("blocks", blocks), ("context", context)):
        check_integer("gpt", name, number)
    check_choice("gpt", "positions", positions, ("learned", "rotary", "alibi"))
    check_flag("gpt", "use_bias", use_bias)
    _check_rate("gpt", rate)
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
    feed: dict[str, Layer] = {
        "norm": layer_norm(),
        "dense0": dense(4 * features, use_bias=use_bias, kernel_init=wide),
        "act": elementwise("gelu"),
        "dense1": dense(features, use_bias=use_bias, kernel_init=narrow),
    }
    attend: dict[str, Layer] = {"norm": layer_norm(), "attention": attention}
    if rate is not None:
        feed["drop"] = attend["drop"] = dropout(rate)
    block = sequential({"attend": residual(sequential(attend)), "feed": residual(sequential(feed))})
    layers: dict[str, Layer] = {"embed": embedding(vocabulary, features, kernel_init=wide)}
    if positions == "learned":
        layers["positions"] = learned_positions(context)
    if rate is not None:
        layers["drop"] = dropout(rate)
    layers |= {"blocks": repeat(block, blocks), "norm": layer_norm()}
    layers["head"] = dense(vocabulary, use_bias=False, kernel_init=wide)
    return sequential(layers).functions


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
    check_choice("recurrent_language_model", "cell", cell, _CELLS)
    for name, number in (("vocabulary", vocabulary), ("units", units), ("depth", depth)):
        check_integer("recurrent_language_model", name, number)
    if features is not None:
        check_integer("recurrent_language_model", "features", features)
    _check_rate("recurrent_language_model", rate)
    layers: dict[str, Layer] = {"embed": embedding(vocabulary, units if features is None else features)}
    for i in range(depth):
        if rate is not None:
            layers[f"drop{i}"] = dropout(rate)
        layers[f"{cell}{i}"] = _CELLS[cell](units)
    if rate is not None:
        layers[f"drop{depth}"] = dropout(rate)
    layers["head"] = dense(vocabulary)
    return sequential(layers).functions


def _check_rate(function: str, rate: Scalar | None) -> None:
    if rate is not None:
        check_range(function, "rate", rate, 0, 1, open_high=True)
