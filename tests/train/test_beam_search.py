"""Beam search: against all continuations there are, a search over lists, greedy writing, and prompts one by one."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import models
from tests.contract import assert_input_error
from tests.tolerances import assert_close

RANDOM = np.random.default_rng(0)
VOCABULARY, LENGTH, STOP = 4, 3, 1
PROMPT = RANDOM.integers(0, VOCABULARY, (3, 4), np.int32)
MODELS = {
    "gpt": models.gpt(VOCABULARY, features=8, heads=2, blocks=2, context=12),
    "rotary": models.gpt(VOCABULARY, features=8, heads=2, blocks=2, context=12, positions="rotary"),
    "lstm": models.recurrent_language_model(VOCABULARY, units=6, depth=2),
}


def _made(name: str) -> tuple[Any, Any, Any]:
    params, state = MODELS[name].init(jax.random.key(0), PROMPT)
    return MODELS[name], jax.tree.map(lambda a: a + 0.7 * RANDOM.normal(size=a.shape).astype(a.dtype), params), state


def _log_p(made: tuple[Any, Any, Any], prompt: np.ndarray, continuations: np.ndarray) -> np.ndarray:
    """Of each id of each continuation its log-probability, by the whole sequence at once, in float64."""
    text = np.concatenate([np.repeat(prompt[None], len(continuations), 0), continuations], 1)
    z = np.asarray(ja.predict(*made, text), np.float64)[:, len(prompt) - 1 : -1]
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return np.take_along_axis(logs, continuations[:, :, None], -1)[:, :, 0]


def _all_scored(made: Any, prompt: np.ndarray, length: int, penalty: float, stop: int | None) -> dict[tuple, float]:
    """The score of each continuation there is, filled up with `stop` after its first one."""
    every = np.array(list(itertools.product(range(VOCABULARY), repeat=length)), np.int32)
    logs, found = _log_p(made, prompt, every), {}
    for ids, log_p in zip(every, logs, strict=True):
        n = length if stop is None or stop not in ids else list(ids).index(stop) + 1
        filled = (*(int(i) for i in ids[:n]), *[stop] * (length - n))
        found[filled] = log_p[:n].sum() / n**penalty
    return found


CASES = [(None, 1.0), (STOP, 1.0), (STOP, 0.0), (STOP, 2.0), (STOP, -0.5)]


@pytest.mark.parametrize(("stop", "penalty"), CASES)
@pytest.mark.parametrize("name", ["gpt", "lstm"])
def test_wide_enough_it_finds_all_there_are_best_first(name: str, stop: int | None, penalty: float):
    made = _made(name)
    beams = VOCABULARY**LENGTH
    ids, scores = ja.train.beam_search(*made, PROMPT, length=LENGTH, beams=beams, length_penalty=penalty, stop=stop)
    assert ids.shape == (3, beams, LENGTH) and scores.shape == (3, beams) and ids.dtype == jnp.int32
    for row in range(3):
        wanted = _all_scored(made, PROMPT[row], LENGTH, penalty, stop)
        count = len(wanted)
        found = [tuple(int(i) for i in one) for one in np.asarray(ids[row, :count])]
        assert len(set(found)) == count and set(found) == set(wanted)
        assert (np.diff(np.asarray(scores[row])[:count]) <= 0).all()
        assert (np.asarray(scores[row, count:]) == -np.inf).all()
        assert_close(np.asarray(scores[row, :count]), [wanted[one] for one in found], "program")


def _by_lists(made: Any, prompt: np.ndarray, length: int, beams: int, penalty: float, stop: int | None) -> list:
    """`(score, ids)` of the same search, over lists, without what a model carries."""
    live, ended = [(0.0, ())], []
    for n in range(1, length + 1):
        grown = []
        for log_p, ids in live:
            every = np.array([(*ids, i) for i in range(VOCABULARY)], np.int32)
            grown += [
                (log_p + one[-1], tuple(map(int, a))) for one, a in zip(_log_p(made, prompt, every), every, strict=True)
            ]
        grown.sort(reverse=True)
        ended += [(log_p / n**penalty, ids) for log_p, ids in grown[:beams] if ids[-1] == stop]
        live = [one for one in grown if one[1][-1] != stop][:beams]
    ended = sorted(ended, reverse=True)[:beams]
    found = sorted(ended + [(log_p / length**penalty, ids) for log_p, ids in live], reverse=True)[:beams]
    return [(score, (*ids, *[stop] * (length - len(ids)))) for score, ids in found]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("stop", "penalty"), CASES)
@pytest.mark.parametrize("beams", [1, 2, 3])
def test_narrow_it_is_the_search_over_lists(beams: int, stop: int | None, penalty: float):
    made = _made("lstm")
    given = {"length": 5, "beams": beams, "length_penalty": penalty, "stop": stop}
    ids, scores = ja.train.beam_search(*made, PROMPT, **given)
    for row in range(3):
        wanted = _by_lists(made, PROMPT[row], 5, beams, penalty, stop)
        assert_close(np.asarray(scores[row]), [score for score, _ in wanted], "oracle")
        np.testing.assert_array_equal(ids[row], [one for _, one in wanted])


@pytest.mark.parametrize("name", MODELS)
def test_one_beam_is_the_greatest_logit_each_time(name: str):
    made = _made(name)
    greedy = ja.train.generate(*made, PROMPT, length=8)
    ids, scores = ja.train.beam_search(*made, PROMPT, length=8, beams=1)
    np.testing.assert_array_equal(ids[:, 0], greedy)
    for row in range(3):
        log_p = _log_p(made, PROMPT[row], np.asarray(greedy[row : row + 1])).sum()
        assert_close(np.asarray(scores[row, 0]), log_p / 8, "program")
    greedy = ja.train.generate(*made, PROMPT, length=8, stop=STOP)
    ids, _ = ja.train.beam_search(*made, PROMPT, length=8, beams=1, length_penalty=0.0, stop=STOP)
    np.testing.assert_array_equal(ids[:, 0], greedy)  # log p alone only falls: no later end is better


@pytest.mark.parametrize("stop", [None, STOP])
@pytest.mark.parametrize("name", MODELS)
def test_prompts_of_different_lengths_go_side_by_side(name: str, stop: int | None):
    made, lengths = _made(name), np.array([4, 1, 2])
    given = {"length": 6, "beams": 3, "stop": stop}
    ids, scores = ja.train.beam_search(*made, ja.core.padded(PROMPT, lengths), **given)
    for row, length in enumerate(lengths):
        alone, alone_scores = ja.train.beam_search(*made, PROMPT[row : row + 1, :length], **given)
        np.testing.assert_array_equal(ids[row], alone[0])
        assert_close(np.asarray(scores[row]), np.asarray(alone_scores[0]), "program")


def test_more_beams_find_what_one_passes_over():
    """After 0 (0.6) all is even; after 1 (0.4) a 2 is nearly sure: 0.6 / 4 < 0.4 * 0.97."""
    after = np.log(np.array([[0.6, 0.4, 1e-9, 1e-9], [0.01, 0.01, 0.97, 0.01]] + [[0.25] * 4] * 2, np.float32))
    table = np.stack([after[2], after[1], after[2], after[0]])  # from 3 as after the prompt, from 0 all is even
    model = ja.layers.custom(
        lambda key, spec: ({}, {}),
        lambda p, s, x, *, key, train: (jnp.asarray(table)[x], s),
        start=lambda p, batch: jnp.zeros((batch, 1)),
        step=lambda p, carry, x: (jnp.asarray(table)[x], carry),
    )
    prompt = np.array([[3]], np.int32)
    for beams, wanted, p in ((1, [0, 0], 0.6 / 4), (2, [1, 2], 0.4 * 0.97)):
        ids, scores = ja.train.beam_search(model, {}, {}, prompt, length=2, beams=beams, length_penalty=0.0)
        np.testing.assert_array_equal(ids[0, 0], wanted)
        assert_close(np.asarray(scores[0, 0]), np.log(p), "program")


def test_it_ends_early_where_nothing_better_can_come():
    """Beyond the learned positions there would be NaN."""
    model, params, state = _made("gpt")
    first = int(np.asarray(ja.train.generate(model, params, state, PROMPT[:1], length=1))[0, 0])
    given = {"length": 20, "beams": 1, "length_penalty": 0.0}
    ids, _ = ja.train.beam_search(model, params, state, PROMPT[:1], stop=first, **given)
    assert (np.asarray(ids) == first).all()
    with pytest.raises(ja.InputError, match=r"prompt and length must be .* NaN in row 0"):
        ja.train.beam_search(model, params, state, PROMPT[:1], **given)


def test_it_is_part_of_a_program_and_the_penalty_may_be_traced():
    made = _made("lstm")

    def scores(penalty: Any) -> Any:
        return ja.train.beam_search(*made, PROMPT, length=4, beams=3, length_penalty=penalty, stop=STOP)[1]

    penalties = np.array([0.0, 0.5, 1.0], np.float32)
    many = jax.jit(jax.vmap(scores))(penalties)
    for one, penalty in zip(many, penalties, strict=True):
        assert_close(np.asarray(one), np.asarray(scores(float(penalty))), "program")


def test_a_recipe_searches_in_its_own_dtype():
    model, params, state = _made("lstm")
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1), compute_dtype="bfloat16")
    ids, scores = ja.train.beam_search(recipe, params, state, PROMPT, length=4)
    assert ids.shape == (3, 4, 4) and scores.dtype == jnp.float32
    exact = ja.train.beam_search(model, params, state, PROMPT, length=4)[1]
    assert (np.asarray(scores) != np.asarray(exact)).any()
    assert_close(np.asarray(scores), np.asarray(exact), "program", jnp.bfloat16)


def test_beam_search_refuses_what_it_cannot_do():
    model, params, state = _made("lstm")

    def run(prompt: Any = PROMPT, model: Any = model, params: Any = params, state: Any = state, **given: Any) -> Any:
        return ja.train.beam_search(model, params, state, prompt, **{"length": 2} | given)

    run()  # what a first call compiles beside the loop
    for name, value in (("length", 0), ("beams", 0), ("beams", 2.0), ("length_penalty", np.inf), ("stop", -1),
                        ("stop", VOCABULARY)):  # fmt: skip
        assert_input_error(lambda n=name, v=value: run(**{n: v}), name)
    assert_input_error(lambda: run(model=ja.layers.dense(3)), "model", given="dense")
    assert_input_error(lambda: run(PROMPT.astype(np.float32)), "prompt", given="float32")
    assert_input_error(lambda: run(PROMPT[:, :0]), "prompt", given="empty")
    square = ja.layers.custom(
        lambda key, spec: ({}, {}), lambda p, s, x, *, key, train: (jax.nn.one_hot(x, 4), s),
        start=lambda p, batch: jnp.zeros((batch, batch)), step=lambda p, carry, x: (jax.nn.one_hot(x, 4), carry),
    )  # fmt: skip
    message = assert_input_error(lambda: run(model=square, params={}, state={}), "model", given="shape (12, 12)")
    assert message.startswith("beam_search: ")
