"""Nets for sequences: recurrences, convolutions over time for long ones, transformers where there is much to read."""

from __future__ import annotations

import math

from jaxann.advice.facts import Facts
from jaxann.advice.net import Net, Style, preparation
from jaxann.advice.recommendation import Reason
from jaxann.core.products import Layer
from jaxann.layers import (
    bidirectional,
    dense,
    dropout,
    embedding,
    last_position,
    lstm,
    preprocess,
    sequential,
)
from jaxann.models import (
    bert,
    gpt,
    recurrent_classifier,
    recurrent_encoder_decoder,
    recurrent_language_model,
    temporal_conv_net,
    transformer,
)
from jaxann.preprocessing import chain, impute, standard

__all__ = ["language_net", "pair_net", "sequence_net"]

_LONG = 512  # positions from which on a recurrence forgets, and is slow
_MANY_TEXTS = 100_000  # sequences of ids from which on attention pays
_MANY_TOKENS = 5_000_000  # ids of a language model from which on a transformer pays
_MANY_PAIRS = 50_000
_WINDOW = 7  # of a convolution over time
_RECURRENT = Style(
    "adam",
    2e-3,
    False,
    True,
    5_000,
    "Gradients through time differ by orders of magnitude from step to step: adaptive steps, and the gradient's "
    "length cut at 1, for it may explode. With few sequences as with many (erratum E56).",
    "Pascanu, Mikolov and Bengio 2013; Kingma and Ba 2015; Greff et al. 2017",
)
_ATTENTION = Style(
    "adamw",
    3e-4,
    True,
    True,
    10_000,
    "Attention needs adaptive steps, a warmup before its statistics are known, and a cut of the gradient's length.",
    "Vaswani et al. 2017; Radford et al. 2019; Zhang et al. 2020",
)
_GATES = Reason(
    "hidden activation",
    "tanh, gates by sigmoid",
    "What is remembered stays between -1 and 1, and the gates let gradients pass; with relu the state can grow with "
    "each step (erratum E55).",
    "Hochreiter and Schmidhuber 1997",
)
_GELU = Reason(
    "hidden activation",
    "gelu",
    "What transformers are built with; smooth where relu has its kink.",
    "Hendrycks and Gimpel 2016; Radford et al. 2019",
)
_RELU = Reason(
    "hidden activation",
    "relu, weights he_normal",
    "Its slope is 1 wherever it is not 0, so that gradients pass.",
    "Glorot et al. 2011; He et al. 2015",
)


def sequence_net(facts: Facts) -> Net:
    """Numbers or ids in, answers for the whole or for each position out."""
    ids = facts.inputs == "ids"
    if facts.places:
        return _each_position(facts, ids)
    if ids and facts.examples >= _MANY_TEXTS:
        return _bert(facts)
    if not ids and facts.shape[0] > _LONG:
        return _convolution(facts)
    units = 64 if facts.examples < 5_000 else 128

    def build(rate: float | None) -> Layer:
        net = recurrent_classifier(
            facts.units, vocabulary=facts.vocabulary, cell="lstm", units=units, two_ways=True, rate=rate
        )
        return net if ids else _scaled(facts, net)

    why = f"{facts.examples:,} sequences of {facts.shape[0]} positions: what an LSTM remembers at both of their ends. "
    why += "Attention pays with far more of them" + (f" ({_MANY_TEXTS:,})." if ids else ".")
    reason = Reason(
        "net",
        f"recurrent_classifier(cell='lstm', units={units}, two_ways=True)",
        why,
        "Hochreiter and Schmidhuber 1997; Schuster and Paliwal 1997",
    )
    return Net(build, _RECURRENT, (_begin(facts, units), reason, _GATES))


def _begin(facts: Facts, features: int) -> Reason:
    """What is done to numbers or ids first."""
    if facts.inputs == "ids":
        return Reason(
            "preparation",
            f"embedding of {facts.vocabulary} ids in {features} numbers",
            "Ids have no order, so each gets numbers of its own, which are learned.",
            "Bengio et al. 2003",
        )
    filled = f" {facts.missing:.1%} are missing: the median stands in for them." if facts.missing else ""
    reason = preparation(facts, "standard scale of each feature")
    return reason._replace(reason=reason.reason + filled)


def _scaled(facts: Facts, net: Layer) -> Layer:
    scale = chain(impute("median"), standard()) if facts.missing > 0 else standard()
    return sequential({"prepare": preprocess(scale), "net": net})


def _each_position(facts: Facts, ids: bool) -> Net:
    """A class at each position sees both sides; numbers at each are forecasts, and see what has come so far."""
    units, both = 64 if facts.examples < 5_000 else 128, facts.task in ("multiclass", "multilabel")

    def build(rate: float | None) -> Layer:
        layers: dict[str, Layer] = {"embed": embedding(facts.vocabulary or 1, units)} if ids else {}
        if rate is not None:
            layers["drop0"] = dropout(rate)
        layers["lstm"] = bidirectional(lstm(units)) if both else lstm(units)
        if rate is not None:
            layers["drop1"] = dropout(rate)
        net = sequential(layers | {"out": dense(facts.units)})
        return net if ids else _scaled(facts, net)

    why = "An answer at each position, from what comes before it and after it; where it has to be given at once, "
    why += "lstm alone." if both else ""
    if not both:
        why = "Numbers at each position, from what has come so far alone, so that a forecast does not look ahead."
    shown = f"bidirectional(lstm({units}))" if both else f"lstm({units})"
    reason = Reason(
        "net", shown, why, "Schuster and Paliwal 1997; Graves 2012" if both else "Hochreiter and Schmidhuber 1997"
    )
    return Net(build, _RECURRENT, (_begin(facts, units), reason, _GATES))


def _convolution(facts: Facts) -> Net:
    """Windows twice as far apart in each block, until the last position sees all."""
    time = facts.shape[0]
    blocks = max(1, math.ceil(math.log2(time / (2 * (_WINDOW - 1)) + 1)))

    def build(rate: float | None) -> Layer:
        layers: dict[str, Layer] = {"body": temporal_conv_net(64, filters=(32,) * blocks, kernel_size=_WINDOW)}
        layers["last"] = last_position()
        if rate is not None:  # once, and not in every block, of which the compiler would make very long programs
            layers["drop"] = dropout(rate)
        return _scaled(facts, sequential({**layers, "out": dense(facts.units)}))

    why = f"{time} positions are many for a recurrence, which goes one by one and forgets: after {blocks} blocks of "
    why += "convolutions the last position sees all of them."
    reason = Reason("net", f"temporal_conv_net, {blocks} blocks of 32 filters", why, "Bai, Kolter and Koltun 2018")
    style = _ATTENTION._replace(
        optimizer="adam",
        learning_rate=1e-3,
        source="Bai, Kolter and Koltun 2018; Kingma and Ba 2015",
        why="Adaptive steps, the gradient's length cut, as where the net comes from; the rate falls to 0 in the end.",
    )
    return Net(build, style, (_begin(facts, 0), reason, _RELU))


def _bert(facts: Facts) -> Net:
    features, heads, blocks = 256, 4, 4

    def build(rate: float | None) -> Layer:
        return bert(
            facts.vocabulary or 1,
            features=features,
            heads=heads,
            blocks=blocks,
            context=facts.shape[0],
            head="classify",
            classes=facts.units,
            rate=rate,
        )

    why = f"{facts.examples:,} texts: attention sees every pair of positions at once. Weights of a language model "
    why += "trained beforehand help more than any of this, where there are some."
    reason = Reason("net", f"bert(features={features}, blocks={blocks}, head='classify')", why, "Devlin et al. 2019")
    return Net(build, _ATTENTION, (_begin(facts, features), reason, _GELU))


def language_net(facts: Facts) -> Net:
    """What comes next."""
    tokens, vocabulary = facts.examples * facts.shape[0], facts.vocabulary or 1
    if tokens < _MANY_TOKENS:
        why = f"{tokens:,} ids: for so few an LSTM learns more from each than attention does."
        reason = Reason(
            "net",
            "recurrent_language_model(cell='lstm', units=256)",
            why,
            "Mikolov et al. 2010; Zaremba et al. 2014; Melis, Dyer and Blunsom 2018",
        )
        return Net(
            lambda rate: recurrent_language_model(vocabulary, cell="lstm", units=256, rate=rate),
            _RECURRENT,
            (_begin(facts, 256), reason, _GATES),
        )
    features, heads, blocks = (256, 8, 6) if tokens < 100_000_000 else (768, 12, 12)

    def build(rate: float | None) -> Layer:
        return gpt(vocabulary, features=features, heads=heads, blocks=blocks, context=facts.shape[0], rate=rate)

    why = f"{tokens:,} ids: attention over windows of {facts.shape[0]} goes on learning where recurrences level off."
    reason = Reason(
        "net",
        f"gpt(features={features}, heads={heads}, blocks={blocks})",
        why,
        "Radford et al. 2019; Kaplan et al. 2020",
    )
    return Net(build, _ATTENTION, (_begin(facts, features), reason, _GELU))


def pair_net(facts: Facts) -> Net:
    """One sequence of ids from another."""
    sizes = facts.vocabulary or 1, facts.target_vocabulary or 1
    begun = Reason(
        "preparation",
        f"embeddings of {sizes[0]} and {sizes[1]} ids",
        "Ids have no order, so each gets numbers of its own, which are learned.",
        "Bengio et al. 2003",
    )
    if facts.examples < _MANY_PAIRS:
        reason = Reason(
            "net",
            "recurrent_encoder_decoder(cell='lstm', units=128)",
            f"{facts.examples:,} pairs: one recurrence reads, another writes and looks back at each position. From "
            f"about {_MANY_PAIRS:,} on transformer.",
            "Bahdanau, Cho and Bengio 2015",
        )
        return Net(
            lambda rate: recurrent_encoder_decoder(*sizes, cell="lstm", units=128, rate=rate),
            _RECURRENT,
            (begun, reason, _GATES),
        )
    reason = Reason(
        "net",
        "transformer(features=256, heads=8, blocks=3)",
        f"{facts.examples:,} pairs: attention inside of each side and from one to the other.",
        "Vaswani et al. 2017",
    )
    context = max(*facts.shape, *facts.target_shape)
    return Net(
        lambda rate: transformer(*sizes, features=256, heads=8, blocks=3, context=context, rate=rate),
        _ATTENTION,
        (begun, reason, _RELU._replace(value="relu")),
    )
