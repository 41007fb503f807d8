"""Autoencoders: the principal components, the likelihood under a model whose likelihood is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers, losses, models
from tests.contract import assert_input_error


def test_linear_autoencoder_spans_the_principal_components():
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(8, 8)))[0]
    x = (random.normal(size=(200, 8)) * np.array([4, 3, 2, 0.6, 0.5, 0.4, 0.3, 0.2])) @ basis.T
    x = (x - x.mean(0)).astype(np.float32)
    model = models.autoencoder((3,), 8)
    recipe = ja.recipe(model, losses.squared_error, ja.optimizers.lbfgs())
    result = ja.fit(recipe, (x, x), key=jax.random.key(1), epochs=150, batch_size=200)
    decoder = np.asarray(result.params["decoder"]["dense0"]["weight"], np.float64)
    found = np.linalg.qr(decoder.T)[0]
    wanted = np.linalg.svd(x.astype(np.float64), full_matrices=False)[2][:3].T
    sines = np.linalg.norm(found - wanted @ (wanted.T @ found), 2)  # the greatest principal angle's
    assert sines < 1e-3


@pytest.mark.usefixtures("x64")
def test_likelihood_is_that_of_factor_analysis():
    """x = W z + b + noise of variance 1: log p(x) is a normal one's, and q(z | x) may be exact."""
    random = np.random.default_rng(1)
    w, b, x = random.normal(size=(2, 4)), random.normal(size=4), random.normal(size=(5, 4))
    posterior = np.linalg.inv(w @ w.T + np.eye(2))
    covariance = w.T @ w + np.eye(4)
    r = x - b
    known = -0.5 * (np.einsum("ni,ij,nj->n", r, np.linalg.inv(covariance), r) + np.linalg.slogdet(covariance)[1])
    model = layers.encode_sample_decode(layers.dense(4), layers.dense(4))
    exact = np.concatenate([w.T @ posterior, np.zeros((4, 2))], 1)
    shift = np.concatenate([-b @ w.T @ posterior, np.log(np.diag(posterior)) - 0.3])  # a wider or narrower q is a bound
    params = {"encoder": {"weight": exact, "bias": shift}, "decoder": {"weight": w, "bias": b}}
    params, state = jax.tree.map(jnp.asarray, params), {"encoder": {}, "decoder": {}}
    settings = {"loss": losses.half_squared_error}
    run = jax.jit(lambda key: models.importance_log_likelihood(model, params, state, x, key, samples=4000, **settings))
    np.testing.assert_allclose(run(jax.random.key(0)), known, atol=0.05)
    bound = jax.jit(lambda key: models.elbo(model, params, state, x, key, samples=4000, **settings))(jax.random.key(0))
    gap = known - np.asarray(bound)
    # KL(q || p(z | x)) by its closed form
    v, k = np.exp(shift[2:]), np.linalg.inv(posterior)
    wanted = 0.5 * (np.sum(v * np.diag(k)) - 2 - np.sum(np.log(v)) + np.linalg.slogdet(posterior)[1])
    np.testing.assert_allclose(gap, wanted, atol=0.1)


def test_conv_autoencoder_gives_back_the_size_of_a_picture():
    for shape in ((28, 28, 1), (9, 14, 3), (1, 5, 2)):
        model = models.conv_autoencoder((4, 3), 2, shape)
        spec = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
        params, state = jax.eval_shape(model.init, jax.random.key(0), spec)
        assert jax.eval_shape(lambda p, s, v, m=model: m.apply(p, s, v)[0], params, state, spec).shape == spec.shape


def test_what_cannot_be_is_named():
    model = layers.encode_sample_decode(layers.dense(3), layers.dense(4))
    spec = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    assert_input_error(lambda: jax.eval_shape(model.init, jax.random.key(0), spec), "what the encoder gives")
    mlp, key = models.mlp((2,)), jax.random.key(0)
    x = np.zeros((2, 3), np.float32)
    assert_input_error(lambda: models.elbo(mlp, {}, {}, x, key, loss=losses.squared_error), "model", expected="encoder")
