"""A stream of what is written: id for id what `generate` writes, in chunks, by two programs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import models
from tests.contract import assert_input_error, compiles

RANDOM = np.random.default_rng(0)
VOCABULARY = 7
PROMPT = RANDOM.integers(0, VOCABULARY, (3, 4), np.int32)
MODELS = {
    "gpt": models.gpt(VOCABULARY, features=8, heads=2, blocks=2, context=16),
    "lstm": models.recurrent_language_model(VOCABULARY, units=6),
}
KEY = jax.random.key(1)


def _made(name: str) -> tuple[Any, Any, Any]:
    params, state = MODELS[name].init(jax.random.key(0), PROMPT)
    return MODELS[name], jax.tree.map(lambda a: a + 0.5 * RANDOM.normal(size=a.shape).astype(np.float32), params), state


SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"key": KEY},
    "narrowed": {"key": KEY, "temperature": 1.5, "top_k": 5, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2},
}


@pytest.mark.parametrize("lengths", [(4, 4, 4), (4, 1, 2)], ids=str)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", MODELS)
def test_a_stream_is_what_generate_writes(name: str, setting: str, lengths: tuple[int, ...]):
    made, given = _made(name), SETTINGS[setting]
    prompt = ja.core.padded(PROMPT, np.array(lengths))
    whole = np.asarray(ja.train.generate(*made, prompt, length=11, **given))
    for chunk in (1, 4, 11, 16):
        found = list(ja.train.stream(*made, prompt, length=11, chunk=chunk, **given))
        assert [one.shape for one in found] == [(3, min(chunk, 11 - i)) for i in range(0, 11, chunk)]
        assert all(isinstance(one, np.ndarray) and one.dtype == np.int32 for one in found)
        np.testing.assert_array_equal(np.concatenate(found, 1), whole)


def test_a_stream_ends_where_all_have_met_the_stop():
    made = _made("lstm")
    prompt = ja.core.padded(PROMPT, np.array([4, 1, 2]))
    whole = np.asarray(ja.train.generate(*made, prompt, length=200, key=KEY, stop=2))
    last = int(np.argmax(whole == 2, 1).max())  # where the last of them stops
    found = np.concatenate(list(ja.train.stream(*made, prompt, length=200, key=KEY, stop=2, chunk=4)), 1)
    assert (whole == 2).any(1).all() and last // 4 * 4 + 4 < 200
    assert found.shape == (3, last // 4 * 4 + 4)
    np.testing.assert_array_equal(found, whole[:, : found.shape[1]])
    assert (whole[:, found.shape[1] :] == 2).all()


def test_two_programs_whatever_the_length():
    made = _made("lstm")
    list(ja.train.stream(*made, PROMPT, length=9, key=KEY))  # what a first call compiles beside them
    before = compiles()
    stream = ja.train.stream(*made, PROMPT, length=40, key=KEY, chunk=5)
    next(stream), next(stream)
    after = compiles()
    assert 0 < after - before <= 2
    assert sum(1 for _ in stream) == 6
    assert len(list(ja.train.stream(*made, PROMPT[::-1], length=123, key=jax.random.key(2), chunk=5))) == 25
    assert compiles() == after


def test_chunks_come_as_far_as_there_are_positions():
    model, params, state = _made("gpt")
    assert sum(one.shape[1] for one in ja.train.stream(model, params, state, PROMPT, length=13, chunk=4)) == 13
    stream = ja.train.stream(model, params, state, PROMPT, length=20, chunk=4)
    written = [next(stream) for _ in range(3)]
    np.testing.assert_array_equal(
        np.concatenate(written, 1), ja.train.generate(model, params, state, PROMPT, length=12)
    )
    with pytest.raises(ja.InputError, match=r"stream: prompt and length must be .* NaN in row 0"):
        next(stream)


def test_stream_refuses_at_once_what_it_cannot_do():
    model, params, state = _made("lstm")

    def run(prompt: Any = PROMPT, **given: Any) -> Any:
        return ja.train.stream(model, params, state, prompt, **{"length": 2, "key": KEY} | given)

    list(run())
    for name, value in (("length", 0), ("chunk", 0), ("temperature", 0.0), ("top_k", 0), ("top_p", 1.5),
                        ("min_p", -0.1), ("repetition_penalty", 0.5), ("stop", VOCABULARY), ("key", 3)):  # fmt: skip
        message = assert_input_error(lambda n=name, v=value: run(**{n: v}), name)
        assert message.startswith("stream: ")
    message = assert_input_error(lambda: run(temprature=1.0), "sampling", given="temprature")
    assert "Did you mean 'temperature'?" in message
    assert_input_error(lambda: run(PROMPT[:, :0]), "prompt", given="empty")
    with pytest.raises(ja.InputError, match=r"stream: .* traced"):
        jax.jit(lambda prompt: next(run(prompt)))(PROMPT)
