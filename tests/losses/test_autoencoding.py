"""Losses of autoencoders against their formulas, PyTorch's distributions, and what a batch's padding may not change."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import losses
from tests.contract import assert_input_error

torch = pytest.importorskip("torch")
RANDOM = np.random.default_rng(0)
BATCH, FEATURES, CODE = 6, 5, 3
X = RANDOM.uniform(size=(BATCH, FEATURES)).astype(np.float32)
LOGITS = RANDOM.normal(size=(BATCH, FEATURES)).astype(np.float32)
MEAN, LOG_VARIANCE = RANDOM.normal(size=(2, BATCH, CODE)).astype(np.float32)
SHARES = RANDOM.uniform(0.1, 0.9, size=(BATCH, CODE)).astype(np.float32)
BINARY = losses.sigmoid_cross_entropy


def _missed() -> np.ndarray:
    return np.sum(np.logaddexp(0, LOGITS) - X * LOGITS, 1)


def test_negative_elbo_is_that_of_pytorchs_distributions():
    normal = torch.distributions.Normal
    q = normal(torch.tensor(MEAN), torch.exp(torch.tensor(LOG_VARIANCE) / 2))
    cost = torch.distributions.kl_divergence(q, normal(0.0, 1.0)).sum(1).numpy()
    values = losses.negative_elbo(BINARY, beta=0.5)(
        {"reconstruction": LOGITS, "mean": jnp.asarray(MEAN), "log_variance": jnp.asarray(LOG_VARIANCE)}, X
    )
    np.testing.assert_allclose(values, _missed() + 0.5 * cost, rtol=1e-5)


def test_divergence_keeps_its_digits_near_the_prior():
    s = np.array([1e-4, -3e-5, 0.0, 2e-3], np.float32)
    wide = s.astype(np.float64)
    wanted = (np.expm1(wide) - wide) / 2
    found = losses.negative_elbo(BINARY)(
        {"reconstruction": jnp.zeros((4, 1)), "mean": jnp.zeros((4, 1)), "log_variance": jnp.asarray(s[:, None])},
        jnp.zeros((4, 1)),
    )
    terms = jax.jit(ja.losses.autoencoding.gaussian_divergence)(jnp.zeros(4), jnp.asarray(s))
    np.testing.assert_allclose(terms, wanted, rtol=1e-4)
    np.testing.assert_allclose(found, np.log(2) + wanted, rtol=1e-6)


def test_sparse_code_is_its_formula():
    given = {"reconstruction": LOGITS, "code": jnp.asarray(SHARES)}
    r, p = SHARES.astype(np.float64).mean(0), 0.2
    cost = np.sum(p * np.log(p / r) + (1 - p) * np.log((1 - p) / (1 - r)))
    found = losses.sparse_code(BINARY, weight=0.3, share=p)(given, X)
    np.testing.assert_allclose(found, _missed() + 0.3 * cost, rtol=1e-5)
    by_size = losses.sparse_code(BINARY, weight=0.3, kind="l1")(given, X)
    np.testing.assert_allclose(by_size, _missed() + 0.3 * np.abs(SHARES).sum(1), rtol=1e-5)


def test_contractive_is_the_jacobian_of_pytorch():
    model = ja.models.contractive_autoencoder(CODE, FEATURES)
    params, state = model.init(jax.random.key(0), X)
    y = model.apply(params, state, X)[0]
    weight, bias = (torch.tensor(np.array(params["encoder"][name])) for name in ("weight", "bias"))
    norms = [
        float((torch.autograd.functional.jacobian(lambda v: torch.sigmoid(v @ weight + bias), row) ** 2).sum())
        for row in torch.tensor(X)
    ]
    np.testing.assert_allclose(y["contraction"], norms, rtol=1e-5)
    missed = np.sum((np.asarray(y["reconstruction"]) - X) ** 2, 1)
    found = losses.contractive(losses.squared_error, weight=2.0)(y, X)
    np.testing.assert_allclose(found, missed + 2 * np.array(norms), rtol=1e-5)


RECIPES: dict[str, Any] = {
    "variational": (ja.models.variational_autoencoder((4, 2), FEATURES), losses.negative_elbo(BINARY)),
    "sparse": (
        ja.models.autoencoder((4,), FEATURES, code_activation="sigmoid", with_code=True),
        losses.sparse_code(BINARY, weight=0.1),
    ),
    "contractive": (ja.models.contractive_autoencoder(4, FEATURES), losses.contractive(BINARY)),
    "denoising": (
        ja.models.autoencoder((4, 2), FEATURES, corruption=ja.layers.dropout(0.3)),
        losses.squared_error,
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_autoencoder_trains_as_a_recipe(name: str):
    model, loss = RECIPES[name]
    recipe = ja.recipe(model, loss, ja.optimizers.adam(3e-2))
    data = np.tile(X, (4, 1))
    settings = {"key": jax.random.key(0), "epochs": 15, "batch_size": 9}
    result = ja.fit(recipe, (data, data), validation=(X, X), **settings)
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert np.isfinite(result.history["validation_loss"]).all()


@pytest.mark.parametrize("name", RECIPES)
def test_rows_of_weight_0_are_in_nothing(name: str):
    model, loss = RECIPES[name]
    recipe = ja.recipe(model, loss, ja.optimizers.sgd(0.1))
    spoilt = np.concatenate([X, np.full((2, FEATURES), 1e17, np.float32)])
    weights = np.array([1] * BATCH + [0] * 2, np.float32)
    found = ja.train.evaluate(recipe, *model.init(jax.random.key(0), X), (spoilt, spoilt, weights))
    alone = ja.train.evaluate(recipe, *model.init(jax.random.key(0), X), (X, X))
    np.testing.assert_allclose(found["loss"], alone["loss"], rtol=1e-6)


def test_what_is_missing_is_named():
    loss = losses.negative_elbo(BINARY)
    assert_input_error(
        lambda: loss({"reconstruction": LOGITS, "mean": LOGITS}, X), "predictions", expected="log_variance"
    )
    assert_input_error(lambda: loss(LOGITS, X), "predictions", expected="reconstruction")
    assert_input_error(lambda: losses.negative_elbo("bce"), "reconstruction", given="'bce'")
    assert_input_error(lambda: losses.negative_elbo(BINARY, beta=-1.0), "beta", given="-1")
    assert_input_error(lambda: losses.sparse_code(BINARY, share=1.0), "share", given="1.0")
    assert_input_error(lambda: losses.sparse_code(BINARY, kind="l2"), "kind", given="'l2'")
    assert_input_error(lambda: losses.contractive(BINARY, weight=-0.1), "weight", given="-0.1")
    recipe = ja.recipe(*RECIPES["variational"], ja.optimizers.sgd(0.1))
    beyond = (X, X + 1)
    assert_input_error(
        lambda: ja.fit(recipe, beyond, key=jax.random.key(0), epochs=1, batch_size=2), "y", expected="[0, 1]"
    )
