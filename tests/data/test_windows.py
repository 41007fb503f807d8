"""Windows of a stream: every id is a target, and a program cuts them anew in every epoch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxann as ja
from jaxann import data
from jaxann.core import Padded, padded
from tests.contract import assert_input_error
from tests.train.problems import equal_bits

KEY = jax.random.key(0)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 60), st.integers(1, 20), st.data())
def test_windows_have_every_target_and_nothing_else(count: int, length: int, draws: Any):
    stride = draws.draw(st.integers(1, length))
    ids = np.arange(count, dtype=np.int64) + 100
    x, y = data.language_windows(ids, length, stride=stride)
    assert isinstance(x, Padded) and isinstance(y, Padded)
    np.testing.assert_array_equal(x.mask, y.mask)
    assert x.mask.any(1).all() and x.values.dtype == np.int64
    for number, (row, after, real) in enumerate(zip(x.values, y.values, x.mask, strict=True)):
        first = number * stride
        expected = ids[first : min(first + length, count - 1)]
        assert row[real].tolist() == expected.tolist() and after[real].tolist() == (expected + 1).tolist()
        assert (row[~real] == 0).all() and (after[~real] == 0).all()
    seen = y.values[y.mask]
    assert set(seen) == set(ids[1:].tolist())
    if stride == length:
        assert len(seen) == count - 1  # each once
    whole = x.mask.all(1)
    assert whole[:-1].all()
    if count > length:
        views = data.language_windows(ids, length, stride=stride, remainder="drop")
        for all_of, view in zip((x, y), views, strict=True):
            np.testing.assert_array_equal(view, all_of.values[whole])
            assert np.shares_memory(view, ids)


def test_windows_refuse_what_is_no_stream():
    ids = np.arange(9)
    assert_input_error(lambda: data.language_windows(ids[:, None], 2), "ids", given="(9, 1)")
    assert_input_error(lambda: data.language_windows(ids * 0.5, 2), "ids", given="float64")
    assert_input_error(lambda: data.language_windows(ids[:1], 2), "ids", given="1")
    assert_input_error(lambda: data.language_windows(ids, 9, remainder="drop"), "ids", expected="at least 10")
    assert_input_error(lambda: data.language_windows(ids, 0), "length")
    assert_input_error(lambda: data.language_windows(ids, 4, stride=5), "stride", given="5")
    assert_input_error(lambda: data.language_windows(ids, 4, remainder="error"), "remainder")
    masked = np.ma.masked_array(ids, mask=ids == 3)
    assert_input_error(lambda: data.language_windows(masked, 2), "ids", expected="without masked entries")


def test_random_windows_begin_anywhere_and_targets_with_them():
    x = np.arange(40, dtype=np.int32).reshape(4, 10) * 10
    keys = jax.random.split(KEY, 600)
    new, after = map(np.asarray, jax.jit(jax.vmap(lambda key: data.random_window(4)(key, x, x + 10)))(keys))
    assert new.shape == (600, 4, 4)
    np.testing.assert_array_equal(after, new + 10)
    np.testing.assert_array_equal(new, new[..., :1] + np.arange(4) * 10)  # one window
    starts = new[..., 0] // 10 - np.arange(4) * 10
    counts = np.bincount(starts.ravel(), minlength=7)
    assert counts.shape == (7,)
    assert (np.abs(counts - 2400 / 7) < 5 * np.sqrt(2400 / 7)).all()
    assert (starts[:, 0] != starts[:, 1]).mean() > 0.7  # each example's own


def test_random_windows_of_padded_sequences_hold_what_is_real():
    lengths = np.array([10, 6, 4, 2, 0])
    values = np.where(np.arange(10) < lengths[:, None], np.arange(1, 11), -1)
    x = padded(values, lengths)
    met = [set() for _ in lengths]
    for seed in range(60):
        new, after = data.random_window(4)(jax.random.key(seed), x, x)
        np.testing.assert_array_equal(new.mask.sum(1), np.minimum(lengths, 4))
        np.testing.assert_array_equal(new.values > 0, new.mask)
        np.testing.assert_array_equal(after.values, new.values)
        np.testing.assert_array_equal(after.mask, new.mask)
        for found, row in zip(met, np.asarray(new.values), strict=True):
            found.add(int(row[0]))
    assert met[:4] == [set(range(1, 8)), {1, 2, 3}, {1}, {1}]


def test_random_windows_refuse_targets_that_do_not_fit():
    x = np.zeros((3, 8), np.int32)
    window = data.random_window(4)
    assert_input_error(lambda: window(KEY, x, np.zeros(3)), "y", given="(3,)")
    assert_input_error(lambda: window.replace(targets="keep")(KEY, x, x), "y", given="one a position")
    assert_input_error(lambda: window(KEY, x[:, :3], x[:, :3]), "x", given="(3, 3)")
    assert_input_error(lambda: window(KEY, {"a": x}, x), "x")
    assert_input_error(lambda: window(KEY, x[0], x[0]), "x", given="(8,)")


VOCABULARY, LENGTH = 7, 8
STREAM = (np.arange(203) ** 2 % VOCABULARY).astype(np.int32)
TRAIN, VALIDATION = STREAM[:150], STREAM[150:]


GPT = ja.models.gpt(VOCABULARY, features=16, heads=2, blocks=1, context=LENGTH)
SMALL = ja.layers.sequential(  # compiles fast; of a window's length as GPT is
    {"embed": ja.layers.embedding(VOCABULARY, 4), "positions": ja.layers.learned_positions(LENGTH),
     "out": ja.layers.dense(VOCABULARY)}
)  # fmt: skip


def recipe(model: Any = SMALL, metrics: Any = None, **changes: Any) -> ja.train.Recipe:
    changes = {"augment": data.random_window(LENGTH), "batch_size": 4} | changes
    optimizer = changes.pop("optimizer", ja.optimizers.adam(1e-2))
    return ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer, metrics=metrics or {}, **changes)


@pytest.mark.parametrize("remainder", ["pad", "drop"])
def test_gpt_with_learned_positions_trains_on_windows_cut_in_the_program(remainder: str):
    train = data.language_windows(TRAIN, 2 * LENGTH, stride=LENGTH, remainder=remainder)
    validation = data.language_windows(VALIDATION, LENGTH, remainder=remainder)
    made = recipe(GPT, metrics={"accuracy": ja.metrics.accuracy})
    result = ja.fit(made, train, validation=validation, key=KEY, epochs=30)
    assert result.params["positions"]["weight"].shape == (LENGTH, 16)
    assert result.history["validation_loss"][-1] < 0.5 * result.history["validation_loss"][0]
    assert result.history["validation_accuracy"][-1] > 0.6 and result.history["accuracy"][-1] > 0.6
    part = ja.fit(made, train, validation=validation, key=KEY, epochs=12)
    rest = ja.fit(made, train, validation=validation, key=KEY, epochs=30, resume=part)
    assert equal_bits((result.params, result.history), (rest.params, rest.history))
    again = ja.fit(made, train, validation=validation, key=KEY, epochs=1, initial=(result.params, result.state))
    assert again.history["loss"][0] < 0.3 * result.history["loss"][0]  # it begins from what was learned


def test_one_step_on_random_windows_is_a_step_on_those_windows():
    x, y = data.language_windows(TRAIN, 2 * LENGTH, stride=LENGTH, remainder="drop")
    made = recipe(batch_size=len(x), shuffle=False, optimizer=ja.optimizers.sgd(0.1))
    result = ja.fit(made, (x, y), key=KEY, epochs=1)
    noise = jax.random.fold_in(jax.random.fold_in(ja.core.fold_name(KEY, "noise"), 0), 0)
    cut = made.augment[0](ja.core.fold_name(noise, "augment0"), x, y)
    by_hand = ja.fit(made.replace(augment=()), cut, key=KEY, epochs=1)
    np.testing.assert_allclose(result.history["loss"], by_hand.history["loss"], rtol=1e-5)


def test_every_verb_that_trains_sees_the_windows_length():
    train = data.language_windows(TRAIN, 2 * LENGTH, stride=LENGTH, remainder="drop")
    validation = data.language_windows(VALIDATION, LENGTH, remainder="drop")

    def build(hyper: Any) -> ja.train.Recipe:
        return recipe(optimizer=ja.optimizers.adam(hyper["rate"]))

    keys = jax.random.split(KEY, 2)
    rates = {"rate": [1e-2, 1e-3]}
    many = ja.train.fit_population(build, rates, train, validation=validation, keys=keys, epochs=2)
    one = ja.fit(many.recipe(1), train, validation=validation, key=keys[1], epochs=2)
    np.testing.assert_allclose(many.history["loss"][1], one.history["loss"], rtol=1e-4)
    run = jax.jit(ja.train.make_run(recipe(), epochs=2))
    np.testing.assert_allclose(
        run(KEY, train, validation).history["validation_loss"],
        ja.fit(recipe(), train, validation=validation, key=KEY, epochs=2).history["validation_loss"],
        rtol=1e-4,
    )
    loss, _ = ja.tune.hypergradient(build, {"rate": 1e-2}, train, validation=validation, key=KEY, epochs=1)
    assert jnp.isfinite(loss)


@pytest.mark.parametrize("remainder", ["pad", "drop"])
def test_metrics_of_the_host_see_the_windows_targets(remainder: str):
    def share(predictions: Any, targets: Any, weights: Any) -> float:
        found = np.argmax(np.asarray(predictions), -1) == np.asarray(targets)
        wide = np.broadcast_to(
            np.reshape(weights, (*np.shape(weights), *(1,) * (found.ndim - np.ndim(weights)))), found.shape
        )
        return float(np.average(found, weights=wide))

    train = data.language_windows(TRAIN, 2 * LENGTH, stride=LENGTH, remainder=remainder)
    validation = data.language_windows(VALIDATION, LENGTH, remainder=remainder)
    made = recipe(metrics={"share": share, "accuracy": ja.metrics.accuracy})
    history = ja.fit(made, train, validation=validation, key=KEY, epochs=2).history
    for name in ("", "validation_"):
        np.testing.assert_allclose(history[f"{name}share"], history[f"{name}accuracy"], rtol=1e-5)


def test_a_validation_set_of_another_length_than_the_windows_is_refused():
    train = data.language_windows(TRAIN, 2 * LENGTH, stride=LENGTH, remainder="drop")
    assert_input_error(
        lambda: ja.fit(recipe(), train, validation=train, key=KEY, epochs=1), "validation x", given="(examples, 16)"
    )
    plain = recipe(augment=())
    assert_input_error(lambda: ja.fit(plain, train, key=KEY, epochs=1), "x", expected="at most 8 positions")


def test_statistics_of_averaged_weights_are_gathered_at_the_size_that_is_trained():
    x = np.random.default_rng(0).normal(size=(24, 6, 6, 1)).astype(np.float32)
    y = (x.mean((1, 2, 3)) > 0).astype(np.int32)
    net = ja.layers.sequential(
        {"conv": ja.layers.conv(2, 3), "norm": ja.layers.batch_norm(), "flat": ja.layers.flatten(),
         "out": ja.layers.dense(2)}
    )  # fmt: skip
    made = ja.recipe(
        net, ja.losses.softmax_cross_entropy, ja.optimizers.ema(ja.optimizers.sgd(0.1), 0.9),
        augment=data.random_resized_crop(4), batch_size=8,
        metrics={"accuracy": lambda predictions, targets: (predictions.argmax(-1) == targets).mean()},
    )  # fmt: skip
    result = ja.fit(made, (x, y), validation=(x[:, :4, :4], y), key=KEY, epochs=2)
    assert result.params["out"]["weight"].shape == (4 * 4 * 2, 2)
    assert np.isfinite(result.history["validation_loss"]).all()
