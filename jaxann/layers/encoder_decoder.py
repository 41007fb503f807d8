"""Two sequences, one read and one written: an encoder, and a decoder that looks into what the encoder made."""

from __future__ import annotations

from typing import Any

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.layers.base import as_layer, init_child, output_spec, run_child, start_children, stateless, step_child
from jaxann.layers.branches import check_names, refuse_mask
from jaxann.layers.source import Reading, sequence_of

__all__ = ["encoder_decoder", "sides"]


def _taken_in(name: str):
    return lambda value: as_layer(value, "encoder_decoder", name)


@factory(
    Layer, convert={name: _taken_in(name) for name in ("encoder", "embed", "decoder", "head")}, traits=("reads_source",)
)
def encoder_decoder(encoder: Layer, embed: Layer, decoder: Layer, head: Layer):
    """M = encoder(source),  y = head(decoder(embed(target), M)): what is written, given what is read.

    In training the target is known: it goes in shifted by one position, and at each the model says what comes next
    (teacher forcing). `train.generate` writes one position after the other, given `{"source": ..., "target": ...}`.

    Args:
        encoder: what reads the source, its output `(batch, time, features)`.
        embed: what the target goes through before the decoder.
        decoder: layers that take `{"x": ..., "source": ...}` and give such (`decoder_block`, a `repeat` of it).
        head: what x goes through after it: a norm, logits.

    Input: `{"source": (batch, time, ...), "target": (batch, other time, ...)}`, either of them `Padded` where it has
    padding. Output: the head's at each position of the target, `Padded` where the target is. Layers by name: those of
    the arguments. One position at a time, `start(params, batch, source=...)` runs the encoder once, and x is the
    target's.

    Peers: PyTorch's Transformer is one of attention alone, without embeddings and head.

    Source: Sutskever, Vinyals and Le 2014; Bahdanau, Cho and Bengio 2015; Vaswani et al. 2017.

    Raises:
        InputError: an argument is no layer, the encoder ends sequences or the decoder reads no source, or x has other
            names; or a mask is given beside x.
    """
    children = {"encoder": encoder, "embed": embed, "decoder": decoder, "head": head}
    for name in ("encoder", "embed"):
        if "ends_sequence" in children[name].traits:
            fail("encoder_decoder", name, "a layer that keeps the positions", children[name])
    if "reads_source" not in decoder.traits:
        hint = "layers.decoder_block is one."
        fail("encoder_decoder", "decoder", "a layer that reads a source", decoder, hint=hint)

    def init(key, spec):
        given = sides("spec", spec)
        made = {"encoder": init_child(encoder, "encoder", key, given.source)}
        made["embed"] = init_child(embed, "embed", key, given.x)
        inside = {
            "source": output_spec(encoder, *made["encoder"], given.source),
            "x": output_spec(embed, *made["embed"], given.x),
        }
        made["decoder"] = init_child(decoder, "decoder", key, inside)
        made["head"] = init_child(head, "head", key, output_spec(decoder, *made["decoder"], inside)["x"])
        return tuple({name: pair[i] for name, pair in made.items()} for i in (0, 1))

    def apply(params, state, x, *, sequence_mask=None, **context):
        refuse_mask("encoder_decoder", sequence_mask)
        given, after = sides("x", x), {}

        def run(name, u, mask=None):
            masked = {} if name == "decoder" else {"sequence_mask": mask}
            v, after[name] = run_child(children[name], name, params, state, u, **masked, **context)
            return v

        source = run("encoder", given.source, given.real)
        inside = Reading(run("embed", given.x, given.mask), given.mask, source, given.real)
        y = run("head", sequence_of(run("decoder", inside.back(inside.x))["x"])[0], given.mask)
        return (y if "ends_sequence" in head.traits else given.like(y)), after

    def start(params, batch, *, state=None, source):
        source, mask = sequence_of(source)
        read, _ = encoder.apply(
            params["encoder"], stateless(encoder) if state is None else state["encoder"], source, sequence_mask=mask
        )
        inside = read if mask is None else Padded(read, mask)
        later = {name: children[name] for name in ("embed", "decoder", "head")}
        return start_children("encoder_decoder.start", later, params, batch, state, inside)

    def step(params, carry, x, *, state=None):
        after = {}
        for name in ("embed", "decoder", "head"):
            x, carried = step_child("encoder_decoder.step", children[name], name, params, carry, x, state)
            after |= carried
        return x, after

    return LayerFunctions(init, apply, children, start, step)


def sides(argument: str, x: Any) -> Reading:
    """`{"source": ..., "target": ...}` taken apart: the target is x.

    Raises:
        InputError: it has other names, or sides of different batches.
    """
    check_names("encoder_decoder", ("source", "target"), x, argument)
    found = Reading(*sequence_of(x["target"]), *sequence_of(x["source"]))
    if found.x.shape[:1] != found.source.shape[:1]:
        given = f" shapes {tuple(found.source.shape)} and {tuple(found.x.shape)}"
        fail("encoder_decoder", argument, "a source and a target of one batch", given)
    return found
