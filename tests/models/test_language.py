"""Language models: the same structure in PyTorch, backward by hand, one position at a time, and that they learn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers, losses, models
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
VOCABULARY, FEATURES, HEADS, BLOCKS, TIME = 11, 8, 2, 3, 6
IDS = RANDOM.integers(0, VOCABULARY, (3, TIME), np.int32)
TARGETS = RANDOM.integers(0, VOCABULARY, (3, TIME), np.int32)


def _drawn(model: Any) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), IDS)
    return jax.tree.map(lambda a: np.asarray(a) + 0.2 * RANDOM.normal(size=a.shape), params), state


def _gpt_in_torch(torch: Any, p: Any, ids: Any) -> Any:
    functional = torch.nn.functional

    def norm(p: Any, x: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], p["scale"], p["bias"], 1e-5)

    def dense(p: Any, x: Any) -> Any:
        return x @ p["weight"] + p.get("bias", 0)

    table = p["embed"]["weight"]
    tied = "body" in p
    p = p["body"] if tied else p
    x = table[ids] + p["positions"]["weight"][: ids.shape[1]]
    blocks = p["blocks"]["block"]
    for i in range(BLOCKS):
        own = jax.tree.map(lambda t, i=i: t[i], blocks)
        attend, feed = own["attend"]["body"], own["feed"]["body"]
        mixed = dense(attend["attention"]["qkv"], norm(attend["norm"], x))
        heads = [t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in mixed.chunk(3, -1)]
        y = functional.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2)
        x = x + dense(attend["attention"]["out"], y)
        hidden = functional.gelu(dense(feed["dense0"], norm(feed["norm"], x)), approximate="tanh")
        x = x + dense(feed["dense1"], hidden)
    return norm(p["norm"], x) @ (table.T if tied else p["head"]["weight"])


LLAMA = models.gpt(
    VOCABULARY, features=FEATURES, heads=HEADS, groups=1, blocks=2, context=TIME, positions="rotary", use_bias=False,
    activation="swiglu", norm=layers.rms_norm(),
)  # fmt: skip


def _gpt(**more: Any) -> Any:
    return models.gpt(VOCABULARY, features=FEATURES, heads=HEADS, blocks=BLOCKS, context=TIME, **more)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("tied", [False, True])
def test_gpt_is_the_same_structure_in_pytorch(tied: bool):
    torch = pytest.importorskip("torch")
    model = _gpt(tied=tied)
    params, state = _drawn(model)
    tensors = jax.tree.map(lambda a: torch.tensor(a, requires_grad=True), params)
    logits = _gpt_in_torch(torch, tensors, torch.tensor(IDS).long())
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(TARGETS).long().flatten())
    loss.backward()

    @quick_jit
    def ours(params):
        def cost(p):
            z, _ = model.apply(p, state, IDS)
            return losses.softmax_cross_entropy(z, TARGETS).mean(), z

        return jax.value_and_grad(cost, has_aux=True)(params)

    (value, z), grads = ours(params)
    np.testing.assert_allclose(z, logits.detach().numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(value, float(loss.detach()), rtol=1e-10)
    jax.tree.map(
        lambda a, t: np.testing.assert_allclose(a, t.grad.numpy(), rtol=1e-9, atol=1e-11), grads, tensors
    )  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["gpt", "llama", "relative", "lstm"])
def test_backward_is_autodiff(name: str):
    model = {
        "gpt": _gpt(rate=0.2),
        "llama": LLAMA,
        "relative": _gpt(positions="relative", tied=True, rate=0.2),
        "lstm": models.recurrent_language_model(VOCABULARY, units=5, depth=2, rate=0.2),
    }[name]
    params, state = _drawn(model)
    key = jax.random.key(1)

    @quick_jit
    def both(params):
        trace = backprop.backward(model, params, state, IDS, TARGETS, losses.softmax_cross_entropy, train=True, key=key)

        def cost(params):
            z, _ = model.apply(params, state, IDS, train=True, key=key)
            return losses.softmax_cross_entropy(z, TARGETS).mean()

        return trace.grads, jax.grad(cost)(params)

    ours, wanted = both(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), ours, wanted)


MODELS = {
    "learned": _gpt(),
    "rotary": _gpt(positions="rotary", groups=1, use_bias=False),
    "alibi": _gpt(positions="alibi"),
    "relative": _gpt(positions="relative", tied=True),
    "llama": LLAMA,
    "lstm": models.recurrent_language_model(VOCABULARY, units=5, depth=2, features=3),
    "rnn": models.recurrent_language_model(VOCABULARY, cell="rnn", units=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_one_position_after_the_other_is_the_whole(name: str):
    model = MODELS[name]
    params, state = _drawn(model)
    params = jax.tree.map(lambda a: a.astype(np.float32), params)
    carry, found = model.start(params, len(IDS), state=state), []
    step = jax.jit(lambda carry, ids: model.step(params, carry, ids, state=state))
    for t in range(TIME):
        logits, carry = step(carry, IDS[:, t])
        found.append(logits)
    whole, _ = jax.jit(lambda ids: model.apply(params, state, ids))(IDS)
    np.testing.assert_allclose(jnp.stack(found, 1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_of_what_comes_later_is_seen(name: str):
    model = MODELS[name]
    params, state = model.init(jax.random.key(0), IDS)
    later = IDS.copy()
    later[:, 4:] = (later[:, 4:] + 1) % VOCABULARY
    run = jax.jit(lambda ids: model.apply(params, state, ids)[0])
    one, other = np.asarray(run(IDS)), np.asarray(run(later))
    np.testing.assert_array_equal(one[:, :4], other[:, :4])
    assert (one[:, 4:] != other[:, 4:]).any(-1).all()


def test_parameters_of_the_configuration_that_people_know():
    """nanoGPT's for a CPU: 0.80 million, with the head's own matrix instead of the table's."""
    gpt2 = models.gpt(50_257, features=768, heads=12, blocks=12, context=1024, tied=True)
    for model, number in ((models.gpt(65), 818_176), (gpt2, 124_439_808)):
        shapes = jax.eval_shape(model.init, jax.random.key(0), IDS)
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes[0])) == number


@pytest.mark.parametrize("name", ["learned", "lstm"])
def test_fit_learns_what_follows(name: str):
    """Sequences that count up from anywhere: all but the first is certain."""
    start = RANDOM.integers(0, VOCABULARY, (64, 1))
    text = ((start + np.arange(TIME + 1)) % VOCABULARY).astype(np.int32)
    recipe = ja.recipe(
        MODELS[name], losses.softmax_cross_entropy, ja.optimizers.adam(0.02), metrics={"accuracy": ja.metrics.accuracy}
    )
    result = ja.fit(recipe, (text[:, :-1], text[:, 1:]), key=jax.random.key(0), epochs=100, batch_size=16)
    assert result.history["accuracy"][-1] == 1
