"""predict and evaluate: exact over any number of rows, with a handful of programs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import psutil

import jaxann as ja
from tests.train.problems import compiles, digits, loss, small_fit, small_recipe


def fitted():
    result = small_fit(epochs=2)
    return ja.models.mlp((16, 10), dropout=0.1), result.params, result.state


def test_predict_equals_apply_for_every_split():
    model, params, state = fitted()
    x = digits()[0][0]
    direct = np.asarray(model.apply(params, state, jnp.asarray(x))[0])
    for size in (1, 7, 64, 1024):
        np.testing.assert_allclose(ja.predict(model, params, state, x, batch_size=size), direct, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ja.predict(model, params, state, x[5:9]), direct[5:9], rtol=1e-5, atol=1e-6)


def test_no_rows_give_an_empty_array():
    model, params, state = fitted()
    assert ja.predict(model, params, state, np.zeros((0, 64), np.float32)).shape == (0, 10)


def test_a_thousand_calls_of_any_size_compile_at_most_ten_programs():
    model, params, state = fitted()
    sizes = np.random.default_rng(0).integers(1, 301, 1000)
    x = np.ones((300, 64), np.float32)
    before, memory = compiles(), psutil.Process().memory_info().rss
    for size in sizes:
        ja.predict(model, params, state, x[:size])
    assert compiles() - before <= 10
    assert psutil.Process().memory_info().rss - memory < 20e6


def test_evaluate_is_exact_over_batches_and_weights():
    model, params, state = fitted()
    x, y = digits()[0]
    weights = np.random.default_rng(0).uniform(0, 2, len(x)).astype(np.float32)
    values = np.asarray(loss(model.apply(params, state, jnp.asarray(x))[0], jnp.asarray(y)))
    logits = np.asarray(ja.predict(model, params, state, x))
    mine = lambda p, t: jnp.mean((jnp.argmax(p, -1) == t).astype(jnp.float32))  # noqa: E731
    got = ja.train.evaluate(small_recipe(), params, state, (x, y, weights), batch_size=100)
    np.testing.assert_allclose(got["loss"], (weights * values).sum() / weights.sum(), rtol=1e-5)
    hit = (logits.argmax(-1) == y).astype(float)
    np.testing.assert_allclose(got["accuracy"], (weights * hit).sum() / weights.sum(), rtol=1e-5)
    got = ja.train.evaluate(small_recipe(metrics={"mine": mine}), params, state, (x, y), batch_size=100)
    np.testing.assert_allclose([got["loss"], got["mine"]], [values.mean(), hit.mean()], rtol=1e-5)


def test_bfloat16_predictions_come_back_wide_and_close():
    model, params, state = fitted()
    x = digits()[1][0]
    narrow = ja.predict(small_recipe(compute_dtype="bfloat16"), params, state, x)
    assert narrow.dtype == jnp.float32
    wide = np.asarray(ja.predict(model, params, state, x))
    np.testing.assert_allclose(narrow, wide, atol=0.1)
    assert (np.asarray(narrow) != wide).any()
    np.testing.assert_array_equal(ja.predict(small_recipe(), params, state, x), wide)


def test_prediction_is_a_jax_array():
    model, params, state = fitted()
    assert isinstance(ja.predict(model, params, state, digits()[1][0]), jax.Array)


def test_recipes_that_differ_in_what_measures_nothing_share_the_programs():
    _, params, state = fitted()
    data = digits()[1]
    first = ja.train.evaluate(small_recipe(), params, state, data)
    before = compiles()
    other = small_recipe(
        optimizer=ja.optimizers.sgd(0.1), stopping=ja.train.early_stopping(2), shuffle=False, on_nonfinite="skip",
        penalty=ja.regularizers.l2_penalty(1e-3), batch_size=7, epochs=3,
    )  # fmt: skip
    assert ja.train.evaluate(other, params, state, data) == first
    assert compiles() == before
