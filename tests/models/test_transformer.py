"""Transformers that read and recurrent classifiers: PyTorch's structure, published sizes, backward by hand, padding."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, core, layers, losses, models
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BATCH, TIME, VOCABULARY = 3, 5, 7
IDS = RANDOM.integers(0, VOCABULARY, (BATCH, TIME), np.int32)
SEGMENTS = RANDOM.integers(0, 2, (BATCH, TIME), np.int32)
REAL = np.arange(TIME) < np.array([[5], [3], [1]])
PICTURES = RANDOM.normal(size=(BATCH, 6, 4, 3))


def _drawn(model: Any, x: Any) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: a + 0.2 * RANDOM.normal(size=a.shape), params), state


def _bert(head: str | None, classes: int | None = None, **more: Any) -> Any:
    return models.bert(VOCABULARY, features=8, heads=2, blocks=2, context=6, head=head, classes=classes, **more)


def _encoder(block: Any, depth: int, x: Any, unseen: Any, first: bool, eps: float) -> Any:
    """PyTorch's layers with a `repeat` of blocks' weights."""
    from tests.models.torch_encoder import encoder_layer

    for i in range(depth):
        own = jax.tree.map(lambda a, i=i: a[i], block)
        x = encoder_layer(own, 2, "gelu", first, eps)(x, src_key_padding_mask=unseen)
    return x


def _norm(torch: Any, p: Any, x: Any, eps: float) -> Any:
    return torch.nn.functional.layer_norm(x, (8,), torch.tensor(p["scale"]), torch.tensor(p["bias"]), eps)


def _dense(torch: Any, p: Any, x: Any) -> Any:
    return x @ torch.tensor(p["weight"]) + torch.tensor(p["bias"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("head", [None, "masked", "tag", "classify"])
def test_bert_is_the_same_structure_in_pytorch(head: str | None):
    torch = pytest.importorskip("torch")
    model = _bert(head, 4 if head in ("tag", "classify") else None)
    x = {"ids": core.Padded(IDS, REAL), "segments": SEGMENTS}
    params, state = _drawn(model, {"ids": IDS, "segments": SEGMENTS})
    own = params["body"] if head == "masked" else params
    table, segments = (torch.tensor(params["embed"][name]) for name in ("weight", "segments"))
    u = table[torch.tensor(IDS).long()] + segments[torch.tensor(SEGMENTS).long()]
    u = _norm(torch, own["norm"], u + torch.tensor(own["positions"]["weight"][:TIME]), 1e-12)
    u = _encoder(own["blocks"]["block"], 2, u, torch.tensor(~REAL), False, 1e-12)
    if head == "masked":
        u = _norm(torch, own["head_norm"], torch.nn.functional.gelu(_dense(torch, own["transform"], u)), 1e-12)
        u = u @ table.T + torch.tensor(params["bias"])
    elif head == "classify":
        u = _dense(torch, own["out"], torch.tanh(_dense(torch, own["pooler"], u[:, 0])))
    elif head == "tag":
        u = _dense(torch, own["out"], u)
    found, _ = model.apply(params, state, x)
    if head == "classify":
        np.testing.assert_allclose(found, u.detach().numpy(), rtol=1e-9, atol=1e-11)
    else:
        np.testing.assert_array_equal(found.mask, REAL)
        np.testing.assert_allclose(np.asarray(found.values)[REAL], u.detach().numpy()[REAL], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("pool", ["token", "mean"])
def test_vision_transformer_is_the_same_structure_in_pytorch(pool: str):
    torch = pytest.importorskip("torch")
    model = models.vision_transformer(4, image_size=(6, 4), patch=2, features=8, heads=2, blocks=2, pool=pool)
    params, state = _drawn(model, PICTURES)
    kernel = torch.tensor(np.ascontiguousarray(params["patches"]["weight"].transpose(3, 2, 0, 1)))
    picture = torch.tensor(np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2)))
    u = torch.nn.functional.conv2d(picture, kernel, torch.tensor(params["patches"]["bias"]), stride=2)
    u = u.flatten(2).transpose(1, 2)
    if pool == "token":
        u = torch.cat([torch.tensor(params["token"]["weight"]).expand(BATCH, 1, 8), u], 1)
    u = u + torch.tensor(params["positions"]["weight"])
    u = _norm(torch, params["norm"], _encoder(params["blocks"]["block"], 2, u, None, True, 1e-6), 1e-6)
    u = _dense(torch, params["out"], u[:, 0] if pool == "token" else u.mean(1))
    found, _ = model.apply(params, state, PICTURES)
    np.testing.assert_allclose(found, u.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_a_block_keeps_its_norm_beside_one_of_the_feed():
    feed = layers.sequential({"dense0": layers.dense(16), "norm": layers.rms_norm(), "dense1": layers.dense(8)})
    block = layers.transformer_block(layers.multi_head_attention(8, 2), feed)
    params, _ = jax.eval_shape(block.init, jax.random.key(0), np.ones((2, 3, 8), np.float32))
    assert params["feed"]["body"]["norm"].keys() == {"scale", "bias"}
    assert params["feed"]["body"]["feed"]["norm"].keys() == {"scale"}


def test_segments_are_of_the_shape_of_the_ids():
    layer = layers.segment_embedding(7, 8)
    params, state = layer.init(jax.random.key(0), IDS)
    for segments, given in ((SEGMENTS[:, :1], "(3, 1)"), (core.Padded(SEGMENTS, REAL), "mask")):
        x = {"ids": IDS, "segments": segments}
        assert_input_error(lambda x=x: jax.eval_shape(layer.apply, params, state, x), "x['segments']", given=given)


def test_published_numbers_of_parameters():
    pictures = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    large = models.vision_transformer(features=1024, heads=16, blocks=24)
    base = models.bert(30_522, head="classify", classes=2)
    for model, x, number in (
        (models.vision_transformer(), pictures, 86_567_656),
        (models.vision_transformer(patch=32), pictures, 88_224_232),
        (large, pictures, 304_326_632),
        (models.bert(30_522), IDS, 108_891_648),
        (base, IDS, 109_482_240 + 2 * 768 + 2),
        (models.bert(30_522, head="masked"), IDS, 109_514_298),
    ):
        shapes = jax.eval_shape(model.init, jax.random.key(0), x)
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes[0])) == number


NETS = {
    "classify": (_bert("classify", 4, rate=0.2), IDS),
    "segments": (_bert("masked", rate=0.2), {"ids": IDS, "segments": SEGMENTS}),
    "tag": (_bert("tag", 4), core.Padded(IDS, REAL)),
    "pictures": (
        models.vision_transformer(4, image_size=(6, 4), patch=2, features=8, heads=2, blocks=1, rate=0.2),
        PICTURES,
    ),
    "recurrent": (
        models.recurrent_classifier(4, vocabulary=7, units=3, two_ways=True, rate=0.2),
        core.Padded(IDS, REAL),
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_backward_is_autodiff(name: str):
    model, x = NETS[name]
    params, state = _drawn(model, x)
    shape = (BATCH, TIME) if name in ("tag", "segments") else (BATCH,)
    y, key = RANDOM.integers(0, 4, shape, np.int32), jax.random.key(1)
    y = core.Padded(y, REAL) if name == "tag" else y

    @quick_jit
    def both(params):
        trace = backprop.backward(model, params, state, x, y, losses.softmax_cross_entropy, train=True, key=key)

        def cost(params):
            given, _ = model.apply(params, state, x, train=True, key=key)
            one, other, weights = core.unpadded(given, y)
            return losses.mean(losses.softmax_cross_entropy(one, other), weights=weights)

        return (trace.loss, trace.grads), jax.value_and_grad(cost)(params)

    ours, wanted = both(params)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["classify", "tag", "recurrent"])
def test_padding_changes_nothing(name: str):
    model, _ = NETS[name]
    params, state = _drawn(model, IDS)
    run = quick_jit(lambda x: model.apply(params, state, x)[0])
    found, other = run(core.Padded(IDS, REAL)), run(core.Padded(np.where(REAL, IDS, 1), REAL))
    alone = run(IDS[1:2, REAL[1]])[0]
    if name == "tag":
        np.testing.assert_array_equal(np.asarray(found)[REAL], np.asarray(other)[REAL])
        np.testing.assert_allclose(found[1][REAL[1]], alone, rtol=1e-10, atol=1e-12)
    else:
        np.testing.assert_array_equal(found, other)
        np.testing.assert_allclose(found[1], alone, rtol=1e-10, atol=1e-12)


def test_an_encoder_and_decoder_learn_to_reverse():
    """To 100 % of sequences of unequal lengths drawn anew; digits 1 to 6, 0 begins, ends and pads."""
    random = np.random.default_rng(1)

    def drawn(count: int) -> tuple[Any, Any]:
        lengths = random.integers(1, 4, count)
        source = random.integers(1, 7, (count, 3)).astype(np.int32) * (np.arange(3) < lengths[:, None])
        turned = np.zeros((count, 4), np.int32)
        for row, length in enumerate(lengths):
            turned[row, :length] = source[row, :length][::-1]
        begun = np.concatenate([np.zeros((count, 1), np.int32), turned[:, :-1]], 1)
        x = {"source": core.padded(source, lengths), "target": core.padded(begun, lengths + 1)}
        return x, core.padded(turned, lengths + 1)

    train, (x, y) = drawn(6144), drawn(64)
    model = models.recurrent_encoder_decoder(7, 7, cell="gru", units=32)
    rate = ja.schedules.cosine(1e-2, 800, warmup=20)
    recipe = ja.recipe(model, losses.softmax_cross_entropy, ja.optimizers.adam(rate))
    fitted = ja.fit(recipe, train, key=jax.random.key(0), epochs=8, batch_size=64)
    begin = {"source": x["source"], "target": np.zeros((64, 1), np.int32)}
    written = ja.train.generate(recipe, fitted.params, fitted.state, begin, length=4, stop=0)
    np.testing.assert_array_equal(written, y.values)
    likeliest, scores = ja.train.beam_search(recipe, fitted.params, fitted.state, begin, length=4, stop=0, beams=2)
    np.testing.assert_array_equal(likeliest[:, 0], y.values)
    assert (scores[:, 0] > scores[:, 1]).all()
