"""Writing on: against the whole sequence again for each id, frequencies of what is drawn, prompts side by side."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import models
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
VOCABULARY, LENGTH = 7, 6
PROMPT = RANDOM.integers(0, VOCABULARY, (3, 4), np.int32)
MODELS = {
    "gpt": models.gpt(VOCABULARY, features=8, heads=2, blocks=2, context=12),
    "rotary": models.gpt(VOCABULARY, features=8, heads=2, blocks=2, context=12, positions="rotary"),
    "lstm": models.recurrent_language_model(VOCABULARY, units=6),
}


def _made(name: str) -> tuple[Any, Any, Any]:
    params, state = MODELS[name].init(jax.random.key(0), PROMPT)
    return MODELS[name], jax.tree.map(lambda a: a + 0.5 * RANDOM.normal(size=a.shape).astype(np.float32), params), state


@pytest.mark.parametrize("name", MODELS)
def test_the_greatest_logit_of_the_whole_sequence_is_written(name: str):
    model, params, state = _made(name)
    text = PROMPT
    for _ in range(LENGTH):
        logits = ja.predict(model, params, state, text)
        text = np.concatenate([text, np.argmax(logits[:, -1], -1).astype(np.int32)[:, None]], 1)
    written = ja.train.generate(model, params, state, PROMPT, length=LENGTH)
    np.testing.assert_array_equal(written, text[:, 4:])
    likeliest = ja.train.generate(model, params, state, PROMPT, length=LENGTH, key=jax.random.key(0), top_k=1)
    np.testing.assert_array_equal(likeliest, written)
    cold = ja.train.generate(model, params, state, PROMPT, length=LENGTH, key=jax.random.key(0), temperature=1e-4)
    np.testing.assert_array_equal(cold, written)


@pytest.mark.parametrize("name", MODELS)
def test_prompts_of_different_lengths_go_side_by_side(name: str):
    model, params, state = _made(name)
    lengths = np.array([4, 1, 2])
    together = ja.train.generate(model, params, state, ja.core.padded(PROMPT, lengths), length=LENGTH)
    for row, length in enumerate(lengths):
        alone = ja.train.generate(model, params, state, PROMPT[row : row + 1, :length], length=LENGTH)
        np.testing.assert_array_equal(together[row], alone[0])


READERS = {
    "transformer": models.transformer(5, VOCABULARY, features=8, heads=2, blocks=1, context=12),
    "recurrent": models.recurrent_encoder_decoder(5, VOCABULARY, units=6),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_written_from(name: str):
    """By the whole sequence again for each id, sources and prompts being of different lengths."""
    model = READERS[name]
    source = RANDOM.integers(0, 5, (3, 5), np.int32)
    params, state = model.init(jax.random.key(0), {"source": source, "target": PROMPT})
    random = np.random.default_rng(2)
    params = jax.tree.map(lambda a: a + 3 * random.normal(size=a.shape).astype(np.float32), params)
    params["head"] = jax.tree.map(
        lambda a: 0 * a if a.shape == (VOCABULARY,) else a, params["head"]
    )  # or it alone speaks
    read, given = np.array([5, 2, 1]), np.array([4, 1, 2])
    prompt = {"source": ja.core.padded(source, read), "target": ja.core.padded(PROMPT, given)}
    written = ja.train.generate(model, params, state, prompt, length=LENGTH)
    text, lengths, rows = np.zeros((3, 4 + LENGTH), np.int32), given.copy(), np.arange(3)
    text[:, :4] = PROMPT
    run = quick_jit(lambda x: model.apply(params, state, x)[0].values)
    for _ in range(LENGTH):
        logits = run({"source": prompt["source"], "target": ja.core.padded(text, lengths)})
        text[rows, lengths] = np.argmax(logits[rows, lengths - 1], -1)
        lengths = lengths + 1
    np.testing.assert_array_equal(written, [text[row, given[row] : lengths[row]] for row in rows])
    assert len({tuple(row) for row in np.asarray(written)}) > 1
    assert_input_error(lambda: ja.train.generate(model, params, state, PROMPT, length=2), "prompt", given="(3, 4)")
    few = {"source": source[:2], "target": PROMPT}
    assert_input_error(lambda: ja.train.generate(model, params, state, few, length=2), "prompt", given="2 and 3")
    lost = {"source": source + 5, "target": PROMPT}
    with pytest.raises(ja.InputError, match="NaN in row 0"):
        ja.train.generate(model, params, state, lost, length=LENGTH)


SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02])
KEPT = {
    "all": ({}, SHARES),
    "hot": ({"temperature": 2.0}, SHARES**0.5),
    "top_k": ({"top_k": 3}, SHARES * (np.arange(7) < 3)),
    "top_p": ({"top_p": 0.7}, SHARES * (np.arange(7) < 3)),  # 0.4 + 0.25 < 0.7
    "min_p": ({"min_p": 0.3}, SHARES * (SHARES >= 0.12)),
    "together": ({"top_k": 4, "min_p": 0.6}, SHARES * (np.arange(7) < 2)),
}


def _certain() -> tuple[Any, Any, Any]:
    """A model that gives the same shares whatever has been there."""
    table = {"embed": ja.layers.embedding(VOCABULARY, 1), "rnn": ja.layers.gru(1), "head": ja.layers.dense(VOCABULARY)}
    model = ja.layers.sequential(table)
    params, state = model.init(jax.random.key(0), PROMPT)
    head = {"weight": np.zeros((1, VOCABULARY), np.float32), "bias": np.log(SHARES).astype(np.float32)}
    return model, params | {"head": head}, state


@pytest.mark.parametrize("name", KEPT)
def test_ids_come_as_often_as_they_should(name: str):
    given, wanted = KEPT[name]
    model, params, state = _certain()
    start = np.zeros((500, 1), np.int32)
    drawn = np.asarray(ja.train.generate(model, params, state, start, length=20, key=jax.random.key(1), **given))
    found, wanted = np.bincount(drawn.ravel(), minlength=VOCABULARY) / drawn.size, wanted / wanted.sum()
    assert (found[wanted == 0] == 0).all()
    np.testing.assert_allclose(found, wanted, atol=4 * np.sqrt(0.25 / drawn.size))  # four deviations
    assert len({row.tobytes() for row in drawn}) > 50  # rows are drawn apart


def test_what_has_been_there_is_held_against_it():
    """The logits log p are below 0 and so get times 3: of what has been there 0.4 becomes 0.064."""
    model, params, state = _certain()
    written = ja.train.generate(model, params, state, np.zeros((1, 1), np.int32), length=3, repetition_penalty=3.0)
    np.testing.assert_array_equal(written[0], [1, 2, 3])


def test_after_the_stop_there_is_nothing_else():
    model, params, state = _certain()
    start = np.full((100, 2), 2, np.int32)  # a stop in the prompt ends nothing
    drawn = ja.train.generate(model, params, state, start, length=15, key=jax.random.key(2), stop=2)
    places = np.cumsum(np.asarray(drawn) == 2, 1) > 0
    assert (np.asarray(drawn)[places] == 2).all() and places.any(1).sum() > 50 and not places[:, 0].all()


def test_the_same_key_writes_the_same_inside_a_program_too():
    model, params, state = _made("lstm")
    one = lambda key: ja.train.generate(model, params, state, PROMPT, length=LENGTH, key=key)  # noqa: E731
    first, again, other = one(jax.random.key(3)), one(jax.random.key(3)), one(jax.random.key(4))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()
    np.testing.assert_array_equal(jax.jit(one)(jax.random.key(3)), first)


def test_a_recipe_writes_in_its_own_dtype():
    """Of two logits that 16 bits do not tell apart the first is the greatest."""
    model, params, state = _certain()
    bias = np.array([0, 1.0, 1.001, 0, 0, 0, 0], np.float32)
    params = params | {"head": params["head"] | {"bias": bias}}
    for dtype, greatest in ((None, 2), ("bfloat16", 1)):
        recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1), compute_dtype=dtype)
        written = ja.train.generate(recipe, params, state, PROMPT, length=2)
        assert written.shape == (3, 2) and written.dtype == jnp.int32 and (np.asarray(written) == greatest).all()


def test_of_equal_logits_so_many_are_drawn_from():
    model, params, state = _certain()
    even = params | {"head": params["head"] | {"bias": np.zeros(VOCABULARY, np.float32)}}
    start = np.zeros((100, 1), np.int32)
    drawn = ja.train.generate(model, even, state, start, length=9, key=jax.random.key(0), top_k=2)
    assert len(np.unique(drawn)) == 2
    steep = params | {"head": params["head"] | {"bias": 100 * np.log(SHARES).astype(np.float32) + 1000}}
    cold = ja.train.generate(model, steep, state, start, length=9, key=jax.random.key(0), temperature=1e-37)
    assert not np.asarray(cold).any()


def test_what_comes_after_a_stop_may_be_beyond_the_positions():
    model, params, state = _made("gpt")
    first = int(np.asarray(ja.train.generate(model, params, state, PROMPT[:1], length=1))[0, 0])
    written = ja.train.generate(model, params, state, PROMPT[:1], length=20, stop=first)
    assert (np.asarray(written) == first).all()


def test_generate_refuses_what_it_cannot_do():
    model, params, state = _made("lstm")

    def run(prompt: Any = PROMPT, model: Any = model, params: Any = params, state: Any = state, **given: Any) -> Any:
        return ja.train.generate(model, params, state, prompt, **{"length": 2} | given)

    key = jax.random.key(0)
    run()  # what a first call compiles beside the loop
    for name, value in (("length", 0), ("temperature", 0.0), ("top_k", 0), ("top_p", 0.0), ("top_p", 1.5),
                        ("min_p", -0.1), ("repetition_penalty", 0.5), ("stop", -1),
                        ("stop", 2.0), ("stop", VOCABULARY), ("key", 3)):  # fmt: skip
        assert_input_error(lambda n=name, v=value: run(**{"key": key} | {n: v}), name)
    assert_input_error(lambda: run(model=ja.layers.dense(3)), "model", given="dense")
    assert_input_error(lambda: run(PROMPT.astype(np.float32)), "prompt", given="float32")
    assert_input_error(lambda: run([1, 2]), "prompt")
    assert_input_error(lambda: run(PROMPT[0]), "prompt", given="shape (4,)")
    assert_input_error(lambda: run(PROMPT[:, :0]), "prompt", given="empty")
    assert_input_error(lambda: run(ja.core.padded(PROMPT, np.array([4, 0, 2]))), "prompt", given="empty")
    assert_input_error(lambda: run(PROMPT.astype(np.int64) + 2**32), "prompt")
    assert_input_error(lambda: run(ja.core.Padded(PROMPT, np.ones((3, 5), bool))), "mask", given="shape (3, 5)")
    gap = ja.core.Padded(PROMPT, np.array([[1, 1, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1]], bool))
    assert_input_error(lambda: run(gap), "prompt", given="a gap in row 1")
    one_hot = ja.layers.custom(
        lambda key, spec: ({}, {}), lambda p, s, x, *, key, train: (jax.nn.one_hot(x, 7), s),
        start=lambda p, batch: (), step=lambda p, carry, x: (jax.nn.one_hot(x, 7), carry),
    )  # fmt: skip
    with pytest.raises(ja.InputError, match=r"prompt and length must be .* NaN in row 2"):
        run(np.array([[1], [2], [7]], np.int32), model=one_hot, params={}, state={})
    gpt, params, state = _made("gpt")
    run(model=gpt, params=params, state=state, length=9)  # 12 positions, and the last id is not read
    with pytest.raises(
        ja.InputError, match=r"prompt and length must be .* NaN in row 0"
    ):  # known only once it is written
        run(model=gpt, params=params, state=state, length=10)
