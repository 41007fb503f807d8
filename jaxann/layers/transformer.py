"""Blocks of transformers: `feed_forward`, `transformer_block`, and `decoder_block`, which reads a second sequence too.

feed = feed_forward(2048, 512)
repeat(transformer_block(multi_head_attention(512, 8), feed), 6)                                          # reads
repeat(decoder_block(multi_head_attention(512, 8, causal=True), cross_attention(512, 8), feed), 6)        # writes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxann.activations import by_name
from jaxann.core.checks import check_flag, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Array, Scalar
from jaxann.layers.activation import GATES, gated_dense
from jaxann.layers.base import as_layer, composite, elementwise, init_child, residual, run_child, sequential, step_child
from jaxann.layers.branches import refuse_mask
from jaxann.layers.dense import dense
from jaxann.layers.dropout import dropout
from jaxann.layers.norm import layer_norm
from jaxann.layers.source import reading, sequence_of

__all__ = ["block_order", "decoder_block", "feed_forward", "transformer_block"]


@factory(Layer, static=("hidden", "features", "activation", "use_bias"))
def feed_forward(
    hidden: int,
    features: int,
    *,
    activation: str | Callable[[Array], Array] = "gelu",
    use_bias: bool = True,
    rate: Scalar | None = None,
    kernel_init: Initializer | None = None,
    out_init: Initializer | None = None,
):
    """y = f(x W_0 + b_0) W_1 + b_1 at each position.

    Args:
        hidden: units between the two maps.
        features: of the output.
        activation: f, by name or a function; "swiglu", "geglu", "reglu", "glu" and "bilinear" are gates, for which W_0
            has twice as many units (`gated_dense`). With 2/3 of the hidden units it has the parameters of one without.
        use_bias: whether the maps have biases.
        rate: probability of dropping between the maps; None for no dropout.
        kernel_init, out_init: distributions of W_0 and of W_1, `lecun_normal()` when None.

    Layers by name: `dense0`, `act` where it is no gate, `drop` where there is dropout, `dense1`.

    Peers: what PyTorch's TransformerEncoderLayer has inside, there with relu.

    Source: Vaswani et al. 2017; gates: Shazeer 2020.

    Raises:
        InputError: an argument is out of range, or no activation has that name.
    """
    check_integer("feed_forward", "hidden", hidden)
    check_integer("feed_forward", "features", features)
    check_flag("feed_forward", "use_bias", use_bias)
    _check_rate("feed_forward", rate)
    layers: dict[str, Layer] = {}
    if activation in GATES:
        layers["dense0"] = gated_dense(hidden, gate=activation, use_bias=use_bias, kernel_init=kernel_init)
    else:
        by_name(activation)
        layers["dense0"] = dense(hidden, use_bias=use_bias, kernel_init=kernel_init)
        layers["act"] = elementwise(activation)
    if rate is not None:
        layers["drop"] = dropout(rate)
    layers["dense1"] = dense(features, use_bias=use_bias, kernel_init=out_init)
    return sequential(layers).functions


def _taken_in(function: str, *names: str) -> dict[str, Callable[[Any], Any]]:
    def one(name: str) -> Callable[[Any], Any]:
        return lambda value: value if value is None and name == "norm" else as_layer(value, function, name)

    return {name: one(name) for name in (*names, "norm")}


@factory(Layer, static=("norm_first",), convert=_taken_in("transformer_block", "attention", "feed"))
def transformer_block(
    attention: Layer,
    feed: Layer,
    *,
    norm: Layer | None = None,
    norm_first: bool = True,
    rate: Scalar | None = None,
):
    """u = x + attention(norm(x)),  y = u + feed(norm(u));  or u = norm(x + attention(x)),  y = norm(u + feed(u)).

    Args:
        attention: what mixes positions, features as before: `multi_head_attention`, or any layer of sequences.
        feed: what each position goes through, features as before: `feed_forward`.
        norm: `layer_norm()` when None; `rms_norm()` in Llama.
        norm_first: whether norms stand before what they are for (pre-norm, GPT-2 and since: trains without warmup, and
            wants one more norm after the last block), and not after the sum (post-norm, the paper and BERT).
        rate: probability of dropping from what attention and feed give; None for no dropout.

    Input and output: `(batch, time, features)`. Layers by name: `attend` and `feed`, residual, whose bodies have
    `norm`, `attention`, the layers of the feed (`feed`, where it is no chain or a wrapped one), `drop`; post-norm,
    `norm0` and `norm1` stand behind them.

    Peers: PyTorch's TransformerEncoderLayer, post-norm by default and with relu; there dropout may stand inside the
    feed too, which `feed_forward` has for itself.

    Source: Vaswani et al. 2017; norms first: Xiong et al. 2020.

    Raises:
        InputError: an argument is no layer, or out of range.
    """
    check_flag("transformer_block", "norm_first", norm_first)
    _check_rate("transformer_block", rate)
    norm = layer_norm() if norm is None else norm
    is_chain = "chain" in feed.traits and "wraps" not in feed.traits  # what wraps a chain does something to all of it
    fed = dict(feed.children) if is_chain else {"feed": feed}
    if {"drop", "norm"} & fed.keys():  # two of a name cannot be
        fed = {"feed": feed}
    bodies: dict[str, dict[str, Layer]] = {"attend": {"attention": attention}, "feed": fed}
    layers: dict[str, Layer] = {}
    for i, (name, body) in enumerate(bodies.items()):
        body = {"norm": norm, **body} if norm_first else body
        body = body if rate is None else {**body, "drop": dropout(rate)}
        layers[name] = residual(sequential(body))
        if not norm_first:
            layers[f"norm{i}"] = norm
    return sequential(layers).functions


@factory(Layer, static=("norm_first",), convert=_taken_in("decoder_block", "attention", "cross", "feed"))
def decoder_block(
    attention: Layer,
    cross: Layer,
    feed: Layer,
    *,
    norm: Layer | None = None,
    norm_first: bool = True,
    rate: Scalar | None = None,
):
    """A block that reads itself, then a source M, then thinks about each position.

        u = x + attention(norm(x)),   v = u + cross(norm(u), M),   y = v + feed(norm(v))
        u = norm(x + attention(x)),   v = norm(u + cross(u, M)),   y = norm(v + feed(v))      with norm_first=False

    Args:
        attention: what mixes positions, `multi_head_attention(..., causal=True)`.
        cross: what reads the source, `cross_attention`.
        feed: what each position goes through, `feed_forward`.
        norm: `layer_norm()` when None.
        norm_first: whether norms stand before what they are for, as in `transformer_block`.
        rate: probability of dropping from what each of the three gives; None for no dropout.

    Input and output: `{"x": (batch, time, features), "source": (batch, other time, any)}`, either of them `Padded`
    where it has padding; the source goes out as it came in, so that blocks can follow each other. Layers by name:
    `norm0`, `attention`, `norm1`, `cross`, `norm2`, `feed`, and `drop0` to `drop2`. One position at a time, x alone is
    handed from block to block, and each has what it needs of the source from `start(params, batch, source=...)`.

    Peers: PyTorch's TransformerDecoderLayer, post-norm by default and with relu.

    Source: Vaswani et al. 2017.

    Raises:
        InputError: an argument is no layer, or out of range, x is none of these, or a mask is given beside it.
    """
    check_flag("decoder_block", "norm_first", norm_first)
    _check_rate("decoder_block", rate)
    norm = layer_norm() if norm is None else norm
    children: dict[str, Layer] = {}
    for i, (name, layer) in enumerate((("attention", attention), ("cross", cross), ("feed", feed))):
        children |= {f"norm{i}": norm, name: layer} if norm_first else {name: layer}
        children |= {} if rate is None else {f"drop{i}": dropout(rate)}
        children |= {} if norm_first else {f"norm{i}": norm}
    if "reads_source" not in cross.traits:
        hint = "layers.cross_attention is one."
        fail("decoder_block", "cross", "a layer that reads a source", cross, hint=hint)

    def init(key, spec):
        given = reading("decoder_block", "spec", spec)
        pairs = {
            name: init_child(layer, name, key, {"x": given.x, "source": given.source} if name == "cross" else given.x)
            for name, layer in children.items()
        }
        return tuple({name: pair[i] for name, pair in pairs.items()} for i in (0, 1))

    def apply(params, state, x, *, sequence_mask=None, **context):
        refuse_mask("decoder_block", sequence_mask)
        given, after = reading("decoder_block", "x", x), {}

        def run(name, u):
            if name == "cross":
                v, after[name] = run_child(cross, name, params, state, given.back(u), **context)
                return sequence_of(v)[0]
            v, after[name] = run_child(children[name], name, params, state, u, sequence_mask=given.mask, **context)
            return v

        return given.back(block_order(run, given.x, norm_first, rate is not None)), after

    def step(params, carry, x, *, state=None):
        after = {}

        def run(name, u):
            v, carried = step_child("decoder_block.step", children[name], name, params, carry, u, state)
            after.update(carried)
            return v

        return block_order(run, x, norm_first, rate is not None), after

    return composite("decoder_block", init, apply, children, step)


def block_order(run: Callable[[str, Any], Any], x: Any, norm_first: bool, drops: bool) -> Any:
    """What a `decoder_block` does with x, in order: `run` runs the layer of a name on an array."""
    for i, name in enumerate(("attention", "cross", "feed")):
        u = run(name, run(f"norm{i}", x) if norm_first else x)
        if u.shape != x.shape:
            fail("decoder_block", name, f"of the output shape of its input, {x.shape}", f" {u.shape}")
        x = x + (run(f"drop{i}", u) if drops else u)
        x = x if norm_first else run(f"norm{i}", x)
    return x


def _check_rate(function: str, rate: Scalar | None) -> None:
    if rate is not None:
        check_range(function, "rate", rate, 0, 1, open_high=True)
