"""Transformers that read: an encoder with heads (BERT), one of pictures, and one whose decoder writes what it read."""

from __future__ import annotations

from jaxann.activations import by_name
from jaxann.core.checks import check_choice, check_flag, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import normal, truncated_normal
from jaxann.layers import (
    class_token,
    conv,
    cross_attention,
    decoder_block,
    dense,
    dropout,
    elementwise,
    embedding,
    encoder_decoder,
    feed_forward,
    first_position,
    global_pool,
    layer_norm,
    learned_positions,
    multi_head_attention,
    repeat,
    reshape,
    segment_embedding,
    sequential,
    sinusoidal_positions,
    tied_embedding,
    transformer_block,
)
from jaxann.models.language import check_rate
from jaxann.models.stages import exact_gelu

__all__ = ["bert", "transformer", "vision_transformer"]

_HEADS = ("masked", "classify", "tag")


@factory(
    Layer, static=("vocabulary", "features", "heads", "blocks", "hidden", "context", "segments", "head", "classes")
)
def bert(
    vocabulary: int,
    *,
    features: int = 768,
    heads: int = 12,
    blocks: int = 12,
    hidden: int | None = None,
    context: int = 512,
    segments: int = 2,
    rate: Scalar | None = None,
    head: str | None = None,
    classes: int | None = None,
):
    """An encoder of text that sees both sides: post-norm blocks over ids, segments and learned positions, and a head.

    Args:
        vocabulary: number of ids.
        features: of each position.
        heads: of the attention.
        blocks: how many.
        hidden: units of the feed-forward layers; 4 features when None.
        context: positions there are vectors for.
        segments: number of texts that may follow each other.
        rate: probability of dropping, 0.1 in the paper; None for no dropout.
        head: None gives each position's features `(batch, time, features)`; "masked" logits of ids for what was hidden,
            by the table of the embedding (`(batch, time, vocabulary)`); "tag" logits of classes for each position;
            "classify" for the whole text, from its first position through a dense layer with tanh (the pooler).
        classes: number of outputs of the last two.

    Input: ids `(batch, time)`, `Padded` where they have padding, or `{"ids": ..., "segments": ...}`. Layers by name:
    `embed`, `positions`, `norm`, `drop`, `blocks`, and those of the head: `transform`, `act`, `head_norm` and the bias;
    `out`; `first`, `pooler`, `tanh`, `out_drop`, `out`; with "masked" all but `embed` are in `body`. Layer norms have
    eps 1e-12, gelu is the exact one. Weights N(0, 0.02^2). BERT-base (a vocabulary of 30,522) has 108,891,648
    parameters, and 109,482,240 with the pooler.

    Peers: as BertModel, BertForMaskedLM, BertForTokenClassification and BertForSequenceClassification of Hugging
    Face's transformers; the paper's second task, the next sentence, is "classify" with 2 classes.

    Source: Devlin et al. 2019.

    Raises:
        InputError: an argument is out of range, classes are missing or of no use, or x holds no ids.
    """
    sizes = {"vocabulary": vocabulary, "features": features, "heads": heads, "blocks": blocks, "context": context}
    for name, number in {**sizes, "segments": segments}.items():
        check_integer("bert", name, number)
    if features % heads:
        fail("bert", "heads", f"a divisor of the {features} features", heads)
    if hidden is not None:
        check_integer("bert", "hidden", hidden)
    if head is not None:
        check_choice("bert", "head", head, _HEADS)
    if head in ("tag", "classify"):
        check_integer("bert", "classes", classes)
    elif classes is not None:
        fail("bert", "classes", "None for a head that has none", classes)
    check_rate("bert", rate)
    init, norm, gelu = normal(0.02), layer_norm(eps=1e-12), elementwise(exact_gelu)
    table = segment_embedding(vocabulary, features, segments=segments, kernel_init=init)
    attention = multi_head_attention(features, heads, dropout=rate, kernel_init=init, out_init=init)
    feed = feed_forward(hidden or 4 * features, features, activation=exact_gelu, kernel_init=init, out_init=init)
    layers: dict[str, Layer] = {"positions": learned_positions(context), "norm": norm}
    layers |= {} if rate is None else {"drop": dropout(rate)}
    layers["blocks"] = repeat(transformer_block(attention, feed, norm=norm, norm_first=False, rate=rate), blocks)
    if head == "masked":
        layers |= {"transform": dense(features, kernel_init=init), "act": gelu, "head_norm": norm}
        return tied_embedding(table, sequential(layers), use_bias=True).alias
    if head == "classify":
        layers |= {"first": first_position(), "pooler": dense(features, kernel_init=init), "tanh": elementwise("tanh")}
    if head is not None:
        assert classes is not None
        layers |= {} if rate is None else {"out_drop": dropout(rate)}
        layers["out"] = dense(classes, kernel_init=init)
    return sequential({"embed": table, **layers}).functions


@factory(Layer, static=("classes", "image_size", "patch", "features", "heads", "blocks", "hidden", "pool"))
def vision_transformer(
    classes: int = 1000,
    *,
    image_size: int | tuple[int, int] = 224,
    patch: int = 16,
    features: int = 768,
    heads: int = 12,
    blocks: int = 12,
    hidden: int | None = None,
    pool: str = "token",
    rate: Scalar | None = None,
):
    """A picture as a sequence of patches, read by a transformer's encoder (ViT); logits.

    Args:
        classes: number of outputs.
        image_size: height and width of the pictures, one number for both; multiples of the patch.
        patch: height and width of a patch.
        features: of each patch.
        heads: of the attention.
        blocks: how many, pre-norm.
        hidden: units of the feed-forward layers; 4 features when None.
        pool: what is classified by: "token", a learned position in front of all, or "mean" of the patches.
        rate: probability of dropping; None for no dropout.

    Input `(batch, height, width, channels)`, output `(batch, classes)`. Layers by name: `patches`, a convolution;
    `sequence`; `token`; `positions`; `drop`; `blocks`; `norm`; `first` or `mean`; `out`. Layer norms have eps 1e-6,
    gelu is the exact one. ViT-B/16 (the defaults) has 86,567,656 parameters, B/32 88,224,232, L/16 (features=1024,
    heads=16, blocks=24) 304,326,632.

    Peers: as torchvision's vit_b_16, whose last layer begins at zeros.

    Source: Dosovitskiy et al. 2021.

    Raises:
        InputError: an argument is out of range, or the pictures have another size.
    """
    for name, number in (("classes", classes), ("patch", patch), ("features", features), ("blocks", blocks)):
        check_integer("vision_transformer", name, number)
    if hidden is not None:
        check_integer("vision_transformer", "hidden", hidden)
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    if len(sides) != 2:
        fail("vision_transformer", "image_size", "one number, or height and width", image_size)
    for side in sides:
        check_integer("vision_transformer", "image_size", side)
        if side % patch:
            fail("vision_transformer", "image_size", f"a multiple of the patch of {patch}", image_size)
    check_choice("vision_transformer", "pool", pool, ("token", "mean"))
    check_rate("vision_transformer", rate)
    number, init = sides[0] // patch * (sides[1] // patch), truncated_normal(0.02)
    feed = feed_forward(hidden or 4 * features, features, activation=exact_gelu, rate=rate)
    block = transformer_block(
        multi_head_attention(features, heads, dropout=rate), feed, norm=layer_norm(eps=1e-6), rate=rate
    )
    layers: dict[str, Layer] = {
        "patches": conv(features, patch, stride=patch, padding="valid"),
        "sequence": reshape((number, features)),
    }
    if pool == "token":
        layers["token"] = class_token()
    layers["positions"] = learned_positions(number + (pool == "token"), kernel_init=normal(0.02))
    layers |= {} if rate is None else {"drop": dropout(rate)}
    layers |= {"blocks": repeat(block, blocks), "norm": layer_norm(eps=1e-6)}
    layers |= {"first": first_position()} if pool == "token" else {"mean": global_pool()}
    return sequential({**layers, "out": dense(classes, kernel_init=init)}).functions


@factory(
    Layer,
    static=(
        "source_vocabulary",
        "target_vocabulary",
        "features",
        "heads",
        "blocks",
        "hidden",
        "context",
        "positions",
        "activation",
        "norm_first",
    ),
)
def transformer(
    source_vocabulary: int,
    target_vocabulary: int,
    *,
    features: int = 512,
    heads: int = 8,
    blocks: int = 6,
    hidden: int | None = None,
    context: int = 512,
    positions: str = "sinusoidal",
    activation: str = "relu",
    norm_first: bool = True,
    rate: Scalar | None = None,
):
    """An encoder that reads one sequence, a decoder that writes another: at each position logits of what comes next.

    Args:
        source_vocabulary, target_vocabulary: numbers of ids.
        features: of each position.
        heads: of each attention.
        blocks: of the encoder, and of the decoder.
        hidden: units of the feed-forward layers; 4 features when None.
        context: positions that are learned, and positions of the target that are remembered when it writes one after
            the other.
        positions: "sinusoidal" or "learned", added; "rotary" in the attention to the own sequence.
        activation: of the feed-forward layers, by name; a gate such as "swiglu" too.
        norm_first: whether norms stand first (`layers.transformer_block`); one more then ends encoder and decoder.
        rate: probability of dropping; None for no dropout.

    Input: `{"source": ids (batch, time), "target": ids (batch, other time)}`, either of them `Padded` where it has
    padding; the target begins with an id that says so, and is the targets' one position later. Output: `(batch, other
    time, target_vocabulary)`, `Padded` where the target is. Layers by name: those of `layers.encoder_decoder`.
    Embeddings are multiplied by sqrt(features).

    Peers: PyTorch's Transformer has no embeddings, and is post-norm by default; in the paper both tables and the head
    are one.

    Source: Vaswani et al. 2017.

    Raises:
        InputError: an argument is out of range, or x is none of these.
    """
    check_choice("transformer", "positions", positions, ("sinusoidal", "learned", "rotary"))
    vocabularies = {"source_vocabulary": source_vocabulary, "target_vocabulary": target_vocabulary}
    sizes = {**vocabularies, "features": features, "blocks": blocks, "context": context}
    for name, number in sizes.items():
        check_integer("transformer", name, number)
    if hidden is not None:
        check_integer("transformer", "hidden", hidden)
    check_flag("transformer", "norm_first", norm_first)
    by_name(activation)
    check_rate("transformer", rate)
    turned = "rotary" if positions == "rotary" else None
    feed = feed_forward(hidden or 4 * features, features, activation=activation, rate=rate)
    reads = multi_head_attention(features, heads, positions=turned, dropout=rate)
    writes = multi_head_attention(features, heads, positions=turned, dropout=rate, causal=True, context=context)
    cross = cross_attention(features, heads, dropout=rate)

    def embedded(vocabulary: int) -> dict[str, Layer]:
        scale = normal(features**-0.5)
        layers: dict[str, Layer] = {"embed": embedding(vocabulary, features, scale=True, kernel_init=scale)}
        if turned is None:
            layers["positions"] = sinusoidal_positions() if positions == "sinusoidal" else learned_positions(context)
        return layers if rate is None else {**layers, "drop": dropout(rate)}

    last: dict[str, Layer] = {"norm": layer_norm()} if norm_first else {}
    block = transformer_block(reads, feed, norm_first=norm_first, rate=rate)
    return encoder_decoder(
        sequential({**embedded(source_vocabulary), "blocks": repeat(block, blocks), **last}),
        sequential(embedded(target_vocabulary)),
        repeat(decoder_block(writes, cross, feed, norm_first=norm_first, rate=rate), blocks),
        sequential({**last, "out": dense(target_vocabulary)}),
    ).alias
