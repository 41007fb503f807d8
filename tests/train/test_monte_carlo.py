"""Monte Carlo dropout: what is drawn, what stays at rest, and that the mean is the prediction of a linear model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.train.monte_carlo import monte_carlo_predict
from tests.contract import assert_input_error


def _made(model):
    x = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)
    params, state = model.init(jax.random.key(0), jnp.asarray(x))
    for seed in range(3):  # statistics that are not those of one batch
        noise = jnp.asarray(x + 1 + seed)
        _, state = model.apply(params, state, noise, key=jax.random.key(seed), train=True)
    return params, state, x


def test_samples_differ_by_their_dropout_alone():
    model = ja.models.mlp((8, 3), dropout=0.4, batch_norm=True)
    params, state, x = _made(model)
    draw = lambda key, **changes: np.asarray(  # noqa: E731
        monte_carlo_predict(model, params, state, x, key=jax.random.key(key), **{"samples": 5, **changes})
    )
    y = draw(1)
    assert y.shape == (5, 11, 3) and np.isfinite(y).all()
    assert len({row.tobytes() for row in y}) == 5
    np.testing.assert_array_equal(y, draw(1))
    assert (draw(2) != y).any()
    still = model.replace(dropout=0.0)  # without dropout only the statistics could make a difference
    for layer in (still, model.replace(dropout=None)):
        alike = np.asarray(monte_carlo_predict(layer, params | {"drop0": {}}, state | {"drop0": {}}, x,
                                               key=jax.random.key(1), samples=3))  # fmt: skip
        np.testing.assert_allclose(alike, np.stack([ja.predict(model, params, state, x)] * 3), rtol=1e-5, atol=1e-6)
    # By itself a row is what it is among others: no statistics of the batch.
    rows = [draw(1, samples=2000, batch_size=size).mean(0) for size in (1, 11)]
    np.testing.assert_allclose(rows[0], rows[1], atol=0.15)


def test_the_mean_is_the_prediction_where_the_rest_is_linear():
    model = ja.layers.sequential({"drop": ja.layers.dropout(0.5), "dense": ja.layers.dense(2)})
    params, state, x = _made(model)
    y = monte_carlo_predict(model, params, state, x, key=jax.random.key(3), samples=4000)
    found = ja.train.ensemble.regress(y)
    np.testing.assert_allclose(found.mean, ja.predict(model, params, state, x), atol=0.15)
    weight = np.asarray(params["dense"]["weight"])
    np.testing.assert_allclose(found.std, np.sqrt((x**2) @ weight**2), rtol=0.1)  # rate / (1 - rate) is 1


def test_any_number_of_rows_and_what_is_refused():
    model = ja.models.mlp((4, 2), dropout=0.4)
    params, state, x = _made(model)
    some = {"key": jax.random.key(1), "samples": 2}
    call = lambda x=x, **more: monte_carlo_predict(model, params, state, x, **(some | more))  # noqa: E731
    assert call(x[:0]).shape == (2, 0, 2)
    assert call(batch_size=4).shape == (2, 11, 2)
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1), compute_dtype="bfloat16")
    narrow = monte_carlo_predict(recipe, params, state, x, **some)
    assert narrow.dtype == jnp.float32 and (np.asarray(narrow) != np.asarray(call())).any()
    np.testing.assert_allclose(narrow, call(), atol=0.1)
    assert_input_error(lambda: call(samples=0), "samples", given="0")
    assert_input_error(lambda: call(key=3), "key", given="3")
    assert_input_error(lambda: call(np.full((2, 4), np.nan, np.float32)), "x")
    assert_input_error(lambda: monte_carlo_predict(3, params, state, x, **some), "model", given="3")
    norm = ja.layers.sequential({"a": ja.layers.dense(2), "b": ja.layers.batch_norm()})
    given, held, x = _made(norm)
    away, home = jax.device_put(given, jax.devices()[1]), jax.device_put(held, jax.devices()[0])
    assert_input_error(lambda: monte_carlo_predict(norm, away, home, x, **some), "state")
