"""Blocks in a loop are the blocks one by one; layers that are computed again are the layers themselves."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers, losses
from jaxann.core import Padded
from jaxann.core.keys import fold_name
from jaxann.layers.repeat import WRITTEN_OUT
from tests.contract import assert_input_error
from tests.layers.test_steps import recurrent
from tests.programs import quick_jit

L, WIDTH = 3, 4
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(5, 6, WIDTH))
X32 = X.astype(np.float32)
BLOCK = layers.residual(
    layers.sequential(
        {"norm": layers.batch_norm(), "act": layers.elementwise("tanh"), "drop": layers.dropout(0.3),
         "conv": layers.conv(WIDTH, (3,))}
    )
)  # fmt: skip
REPEATED = layers.repeat(BLOCK, L)


def _moved(tree: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * np.abs(RANDOM.normal(size=a.shape)).astype(a.dtype), tree)


def _of_block(tree: Any, block: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[block], tree["block"])


def _one_by_one(params: Any, state: Any, x: Any, key: Any, **context: Any) -> tuple[Any, list[Any]]:
    """The blocks in a Python loop."""
    after = []
    for block in range(L):
        folded = None if key is None else fold_name(jax.random.fold_in(key, block), "block")
        x, changed = BLOCK.apply(_of_block(params, block), _of_block(state, block), x, key=folded, **context)
        after.append(changed)
    return x, after


def _same(ours: Any, wanted: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("train", [False, True], ids=["predict", "train"])
def test_repeat_is_the_blocks_one_by_one(train: bool):
    """Values, states and gradients, with padded examples and positions, by the loop, by remat and by hand."""
    params, state = map(_moved, REPEATED.init(jax.random.key(1), X))
    key = jax.random.key(2) if train else None
    masks = {"example_mask": np.arange(5) < 4, "sequence_mask": np.arange(6) < np.array([[6], [2], [5], [4], [0]])}
    wrapped = layers.repeat(layers.remat(BLOCK), L)

    def total(run):
        def cost(params, x):
            y, after = run(params, state, x, key=key, train=train, **masks)
            return jnp.sum(jnp.sin(y)), (y, after)

        return lambda params, x: jax.value_and_grad(cost, (0, 1), has_aux=True)(params, x)

    @quick_jit
    def every(params, x):
        def by_hand(params, x):
            loss = losses.squared_error
            trace = backprop.backward(REPEATED, params, state, x, 0 * X, loss, key, train, **masks)

            def cost(params, x):
                return jnp.mean(REPEATED.apply(params, state, x, key=key, train=train, **masks)[0] ** 2)

            return (trace.grads, trace.input_grad), jax.grad(cost, (0, 1))(params, x), trace.state

        return (
            total(REPEATED.apply)(params, x),
            total(wrapped.apply)(params, x),
            total(_one_by_one)(params, x),
            by_hand(params, x),
        )

    ours, again, wanted, (hand, autodiff, hand_state) = every(params, X)
    (value, (y, after)), grads = wanted
    stacked = {"block": jax.tree.map(lambda *leaves: np.stack(leaves), *after)}
    _same(ours, ((value, (y, stacked)), grads))
    _same(again, ours)
    _same(hand, autodiff)
    _same(hand_state, stacked)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(ours[1]))


def test_repeat_draws_each_block_as_if_it_stood_alone():
    key = jax.random.key(1)
    params, state = REPEATED.init(key, X32)
    for block in range(L):
        wanted = BLOCK.init(fold_name(jax.random.fold_in(key, block), "block"), X32)
        jax.tree.map(np.testing.assert_array_equal, (_of_block(params, block), _of_block(state, block)), wanted)


def test_repeat_is_one_program_whatever_the_depth():
    def size(times: int) -> int:
        model = layers.repeat(BLOCK, times)
        params, state = jax.eval_shape(model.init, jax.random.key(0), X32)

        def cost(params, x, key):
            return jnp.sum(model.apply(params, state, x, key=key, train=True)[0])

        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state)
        x = jax.ShapeDtypeStruct(X.shape, np.float32)
        return len(jax.jit(jax.grad(cost)).lower(params, x, jax.random.key(0)).as_text().splitlines())

    assert size(WRITTEN_OUT + 1) == size(32)


def test_repeat_and_remat_refuse_what_does_not_fit():
    for times in (0, 1.5, True):
        assert_input_error(lambda times=times: layers.repeat(BLOCK, times), "times")
    assert_input_error(lambda: layers.remat(3), "layer")
    wider = layers.repeat(layers.dense(7), 2)
    assert_input_error(lambda: wider.init(jax.random.key(0), X32), "layer", expected="(5, 6, 4)", given="(5, 6, 7)")
    params, state = jax.eval_shape(REPEATED.init, jax.random.key(0), X32)
    other = layers.repeat(BLOCK, 2)
    assert_input_error(lambda: jax.eval_shape(other.apply, params, state, X32), "params", expected="2 blocks")
    assert_input_error(lambda: REPEATED.apply({}, {}, X32), "params", expected="an entry for 'block'")


def test_repeat_steps_through_a_sequence():
    model = layers.sequential({"blocks": layers.repeat(recurrent(WIDTH), L), "out": layers.dense(2)})
    x = X32
    params, state = model.init(jax.random.key(0), x)
    whole, _ = model.apply(params, state, x)
    for wrapped in (model, layers.remat(model)):
        carry = wrapped.start(params, len(x))
        assert carry["blocks"]["block"].shape == (L, 5, WIDTH)
        ys = []
        for t in range(x.shape[1]):
            y, carry = jax.jit(wrapped.step)(params, carry, x[:, t])
            ys.append(y)
        np.testing.assert_allclose(np.stack(ys, 1), whole, rtol=1e-5, atol=1e-6)


def test_repeat_takes_trees_and_keeps_their_masks():
    table = {"a": layers.dense(WIDTH), "b": layers.conv(WIDTH, (3,))}
    model = layers.repeat(layers.parallel(table), 2)
    x = {
        "a": np.ones((5, WIDTH), np.float32),
        "b": Padded(X32, np.arange(6) < np.array([[6], [2], [5], [4], [0]])),
    }
    params, state = model.init(jax.random.key(0), {"a": x["a"], "b": x["b"].values})
    y, _ = model.apply(params, state, x)
    assert y["a"].shape == (5, WIDTH) and isinstance(y["b"], Padded)


def test_repeated_blocks_are_saved_and_loaded(tmp_path):
    model = layers.sequential({"blocks": layers.repeat(layers.remat(BLOCK), L), "out": layers.dense(2)})
    params, state = model.init(jax.random.key(0), X32)
    ja.save(tmp_path / "model.safetensors", model, params, state)
    again, *loaded = ja.load(tmp_path / "model.safetensors")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, loaded, [params, state])


def test_remat_keeps_the_names_of_the_layer():
    layer = layers.remat(BLOCK)
    assert layer.children == BLOCK.children
    x = X32
    jax.tree.map(np.testing.assert_array_equal, layer.init(jax.random.key(0), x), BLOCK.init(jax.random.key(0), x))


def test_remat_of_the_feed_stays_in_a_block():
    feed, attention = layers.feed_forward(8, 4), layers.multi_head_attention(4, 1)
    x = np.ones((2, 3, 4), np.float32)
    for inner in (feed, layers.remat(feed)):
        block = layers.transformer_block(attention, inner)
        params, state = block.init(jax.random.key(0), x)
        program = str(jax.make_jaxpr(lambda p, block=block, state=state: block.apply(p, state, x)[0])(params))
        assert ("checkpoint" in program or "remat" in program) == (inner is not feed)
