"""Initializers: moments of a million draws, orthogonality, counts, gains, and what looks at the data."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxann import activations, initializers, layers, losses, models
from jaxann.activations import relu, tanh
from jaxann.initializers import constant, fans, gain, init_for, log_prior, lsuv, output_init, variance_scaling
from tests.contract import assert_input_error

SHAPE = (1600, 625)  # a million
CUT = 2 / 0.87962566103423978
NARROW = stats.truncnorm(-1.0, 3.0)
DISTRIBUTIONS = {  # variance, greatest magnitude in deviations (None: unbounded), fourth moment in variance^2
    "glorot_uniform": (initializers.glorot_uniform(), 2 / 2225, np.sqrt(3), 1.8),
    "glorot_uniform gain": (initializers.glorot_uniform(gain=3.0), 9 * 2 / 2225, np.sqrt(3), 1.8),
    "glorot_normal": (initializers.glorot_normal(), 2 / 2225, CUT, 2.37),
    "he_uniform": (initializers.he_uniform(), 2 / 1600, np.sqrt(3), 1.8),
    "he_normal": (initializers.he_normal(), 2 / 1600, CUT, 2.37),
    "he_normal leaky": (initializers.he_normal(negative_slope=0.5), 2 / 1.25 / 1600, CUT, 2.37),
    "lecun_normal": (initializers.lecun_normal(), 1 / 1600, CUT, 2.37),
    "lecun_uniform": (initializers.lecun_uniform(), 1 / 1600, np.sqrt(3), 1.8),
    "normal": (initializers.normal(0.3), 0.09, None, 3.0),
    "plain normal": (variance_scaling(2.0, mode="fan_out", distribution="normal"), 2 / 625, None, 3.0),
    "torch_linear": (initializers.torch_linear(), 1 / 4800, np.sqrt(3), 1.8),
    "torch_linear bias": (initializers.torch_linear(300), 1 / 900, np.sqrt(3), 1.8),
    "truncated_normal": (initializers.truncated_normal(0.01), (0.01 * 0.87962566) ** 2, CUT, 2.37),
    "truncated_normal corrected": (initializers.truncated_normal(0.3, corrected=True), 0.09, CUT, 2.37),
    "uniform": (initializers.uniform(-0.3, 0.3), 0.03, np.sqrt(3), 1.8),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_have_the_stated_mean_variance_and_bounds(name: str):
    initializer, variance, bound, fourth = DISTRIBUTIONS[name]
    draws = np.asarray(initializer(jax.random.key(7), SHAPE), np.float64).ravel()
    n = draws.size
    assert abs(draws.mean()) < 4 * np.sqrt(variance / n)
    assert abs(draws.var() - variance) < 4 * variance * np.sqrt((fourth - 1) / n)
    assert abs((draws**4).mean() / variance**2 - fourth) < 0.05
    greatest = np.abs(draws).max() / np.sqrt(variance)
    if bound is None:
        assert greatest > 4
    else:
        assert 0.995 * bound < greatest <= bound * (1 + 1e-6)
    assert len(np.unique(draws)) > 0.5 * n


def test_lopsided_laws_have_their_moments():
    draws = np.asarray(initializers.uniform(0.2, 0.5)(jax.random.key(0), SHAPE), np.float64)
    assert abs(draws.mean() - 0.35) < 4 * 0.3 / np.sqrt(12e6) and 0.2 <= draws.min() and draws.max() <= 0.5
    initializer = initializers.truncated_normal(2.0, lower=-1.0, upper=3.0, corrected=True)
    draws = np.asarray(initializer(jax.random.key(0), SHAPE), np.float64)
    assert abs(draws.std() - 2) < 0.01
    assert abs(draws.mean() - 2 * NARROW.mean() / NARROW.std()) < 0.01
    traced = jax.jit(lambda low: initializer.replace(lower=low)(jax.random.key(0), SHAPE))(-1.0)
    np.testing.assert_allclose(traced, draws, rtol=1e-5, atol=1e-5)


TORCH = {  # ours and PyTorch's, whose weight is (out, in)
    "glorot_uniform": (initializers.glorot_uniform(gain=2.0), lambda init, w: init.xavier_uniform_(w, 2.0)),
    "glorot_normal": (initializers.glorot_normal(), lambda init, w: init.xavier_normal_(w)),
    "he_uniform": (initializers.he_uniform(negative_slope=0.3), lambda init, w: init.kaiming_uniform_(w, 0.3)),
    "he_normal": (initializers.he_normal(), lambda init, w: init.kaiming_normal_(w)),
    "torch_linear": (initializers.torch_linear(), lambda init, w: init.kaiming_uniform_(w, 5**0.5)),
    "truncated_normal": (initializers.truncated_normal(1.0), lambda init, w: init.trunc_normal_(w)),
    "orthogonal": (initializers.orthogonal(1.5), lambda init, w: init.orthogonal_(w, 1.5)),
}


@pytest.mark.parametrize("name", TORCH)
def test_spread_is_that_of_torch(name: str):
    torch = pytest.importorskip("torch")
    initializer, theirs = TORCH[name]
    torch.manual_seed(0)
    other = theirs(torch.nn.init, torch.empty(200, 300)).numpy()
    ours = np.asarray(initializer(jax.random.key(0), (300, 200)))
    np.testing.assert_allclose(ours.std(), other.std(), rtol=0.02)  # 3 sigma of 60,000 draws
    if "normal" not in name and name != "orthogonal":
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(other).max(), rtol=1e-3)


def test_constants_are_constant():
    key = jax.random.key(0)
    assert not np.asarray(initializers.zeros()(key, (3,))).any()
    np.testing.assert_array_equal(initializers.ones()(key, (2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(constant(jnp.array([1.0, 2.0]))(key, (3, 2)), [[1.0, 2.0]] * 3)
    assert_input_error(lambda: constant(np.ones(3))(key, (2,)), "value", given="(3,)")
    np.testing.assert_array_equal(initializers.identity(2.0)(key, (2, 3)), [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert_input_error(lambda: initializers.identity()(key, (2, 2, 2)), "shape", given="(2, 2, 2)")


def test_fans_count_the_receptive_field():
    assert fans((5, 7)) == (5, 7)
    assert fans((3, 3, 16, 32)) == (144, 288)
    for shape in ((), (4,)):
        assert_input_error(lambda shape=shape: fans(shape), "shape", given=str(shape))
        assert_input_error(lambda shape=shape: initializers.he_normal()(jax.random.key(0), shape), "shape")
    assert_input_error(lambda: initializers.torch_linear()(jax.random.key(0), (4,)), "fan_in", given="None")


def test_law_in_half_precision_is_that_of_single():
    key = jax.random.key(0)
    half = initializers.he_normal()(key, (200, 100), jnp.bfloat16)
    np.testing.assert_allclose(np.asarray(half, np.float64).std(), np.sqrt(2 / 200), rtol=0.03)  # 4 sigma and bfloat16


def test_orthogonal_is_orthogonal_and_evenly_distributed():
    initializer, key = initializers.orthogonal(2.0), jax.random.key(0)
    for shape in ((60, 40), (40, 60), (3, 3, 5, 32)):
        w = np.asarray(initializer(key, shape), np.float64).reshape(-1, shape[-1])
        square = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        assert np.abs(square - 4 * np.eye(len(square))).max() <= 4e-6
    many = jax.vmap(lambda k: initializers.orthogonal()(k, (2, 2), jnp.float32))(jax.random.split(key, 4000))
    assert (np.abs(np.asarray(many).mean(0)) < 4 * np.sqrt(0.5 / 4000)).all()  # the signs of R put in
    assert abs((np.linalg.det(np.asarray(many)) > 0).mean() - 0.5) < 0.04
    assert_input_error(lambda: initializers.orthogonal()(key, (4,)), "shape", given="(4,)")


def test_dirac_passes_channels_as_torch_does():
    torch = pytest.importorskip("torch")
    for groups, shape in ((1, (3, 5, 4, 6)), (1, (3, 6, 4)), (2, (3, 3, 2, 8)), (3, (3, 1, 6))):
        ours = initializers.dirac(groups)(jax.random.key(0), shape)
        theirs = torch.nn.init.dirac_(torch.empty(shape[-1], shape[-2], *shape[:-2]), groups).numpy()
        np.testing.assert_array_equal(ours, np.moveaxis(theirs, (0, 1), (-1, -2)))
    x = jax.random.normal(jax.random.key(1), (2, 7, 6, 4))
    w = initializers.dirac()(jax.random.key(0), (3, 3, 4, 5))
    y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_array_equal(y[..., :4], x)
    np.testing.assert_array_equal(y[..., 4], 0.0)
    assert_input_error(lambda: initializers.dirac(2)(jax.random.key(0), (3, 2, 5)), "shape", given="(3, 2, 5)")


def test_delta_orthogonal_keeps_lengths():
    w = np.array(initializers.delta_orthogonal(1.5)(jax.random.key(0), (3, 5, 4, 6)))
    middle = w[1, 2]
    assert np.abs(middle @ middle.T - 2.25 * np.eye(4)).max() <= 3e-6
    w[1, 2] = 0
    assert not w.any()
    for shape in ((3, 3), (3, 3, 6, 4)):
        assert_input_error(
            lambda s=shape: initializers.delta_orthogonal()(jax.random.key(0), s), "shape", given=str(shape)
        )


def test_sparse_has_the_stated_zeros_in_every_column():
    draw = jax.jit(lambda share: initializers.sparse(share, stddev=0.5)(jax.random.key(0), (100, 50)))
    for sparsity, zeros in ((0.3, 30), (0.07, 7), (0.011, 2), (0.0, 0), (1.0, 100)):
        assert ((np.asarray(draw(sparsity)) == 0).sum(0) == zeros).all(), sparsity
    w = np.asarray(initializers.sparse(0.5, stddev=0.5)(jax.random.key(1), (1000, 400)), np.float64)
    assert abs(w[w != 0].std() - 0.5) < 4 * 0.5 / np.sqrt(2 * 200_000)
    assert abs((w[0] == 0).mean() - 0.5) < 0.1
    assert_input_error(lambda: initializers.sparse(0.5)(jax.random.key(0), (2, 2, 2)), "shape")


GAINS = {
    "sigmoid": 1.846, "tanh": 1.593, "hard_tanh": 1.392, "hard_sigmoid": 1.898, "softsign": 2.338, "elu": 1.245,
    "gelu": 1.5335, "silu": 1.6765, "hard_swish": 1.737, "mish": 1.487, "softplus": 1.042, "relu_squared": 0.816,
    "relu": np.sqrt(2), "leaky_relu": 1.41414, "identity": 1.0, "selu": 1.0,
}  # fmt: skip


def test_exact_gains_keep_the_second_moment():
    for name, value in GAINS.items():
        assert abs(gain(name, exact=True) - value) < 6e-4, name
    z = np.linspace(-12.0, 12.0, 24_001)
    weights = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    names = sorted(set(activations.__all__) & set(initializers.selection._NAMES))
    vector = {"log_sum_exp", "softmax", "log_softmax", "sparsemax", "hard_max", "maxout", "glu", "reglu", "geglu",
              "swiglu", "bilinear"}  # fmt: skip
    elementwise = [n for n in names if n not in vector | {"prelu"}]
    y = jax.jit(lambda z: {n: activations.by_name(n)(z) for n in elementwise})(jnp.asarray(z, jnp.float32))
    for name in elementwise:
        second = float((weights * np.asarray(y[name], np.float64) ** 2).sum())
        np.testing.assert_allclose(gain(name, exact=True), 1 / np.sqrt(second), rtol=2e-4 if name == "heaviside" or name
                                   == "straight_through" or name == "sign" else 2e-6, err_msg=name)  # fmt: skip
    for gated, gate in (("glu", "sigmoid"), ("reglu", "relu"), ("geglu", "gelu"), ("swiglu", "silu")):
        assert gain(gated, exact=True) == gain(gate, exact=True)
    pairs = jax.random.normal(jax.random.key(0), (1_000_000, 2))
    assert abs(float((activations.maxout(pairs) ** 2).mean()) - 1) < 0.01


def test_customary_gains_are_those_of_torch_but_for_two():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.calculate_gain
    for name, other in (("identity", "linear"), ("sigmoid", "sigmoid"), ("relu", "relu")):
        np.testing.assert_allclose(gain(name), theirs(other), rtol=1e-12)
    np.testing.assert_allclose(gain("leaky_relu", 0.3), theirs("leaky_relu", 0.3), rtol=1e-12)
    assert (gain("tanh"), theirs("tanh")) == (1.0, 5 / 3) and (gain("selu"), theirs("selu")) == (1.0, 3 / 4)
    np.testing.assert_allclose(jax.jit(lambda a: gain("leaky_relu", a))(0.2), 1.38675, rtol=1e-5)
    assert gain(functools.partial(activations.leaky_relu, negative_slope=0.3)) == gain("leaky_relu", 0.3)
    np.testing.assert_allclose(gain(jnp.sin, exact=True), 1 / np.sqrt((1 - np.exp(-2)) / 2), rtol=1e-6)
    assert_input_error(lambda: gain("relu", 0.1), "negative_slope", given="0.1")
    assert_input_error(lambda: gain("rellu"), "activation", given="'rellu'")
    with pytest.raises(ValueError, match="one number at a time"):
        gain(lambda x: x[:2], exact=True)


def test_each_activation_has_its_law():
    assert init_for("relu") == init_for(relu) == initializers.he_normal()
    assert init_for("gelu") == init_for("silu") == init_for("mish") == initializers.he_normal()
    assert init_for("tanh") == init_for(tanh) == init_for("softsign") == initializers.glorot_uniform()
    assert init_for("identity") == init_for("selu") == init_for("maxout") == initializers.lecun_normal()
    assert init_for("leaky_relu") == initializers.he_normal(negative_slope=0.01)
    assert init_for(functools.partial(activations.leaky_relu, negative_slope=0.3)) == initializers.he_normal(
        negative_slope=0.3
    )
    assert init_for(layers.prelu(0.4)) == initializers.he_normal(negative_slope=0.4)
    assert init_for(layers.rrelu(0.0, 0.5)) == initializers.he_normal(negative_slope=0.25)
    assert init_for(layers.swish()) == init_for(layers.elementwise("silu")) == initializers.he_normal()
    assert init_for(lambda x: x) == initializers.he_normal()
    assert init_for("sigmoid", gain=4.0) == initializers.glorot_uniform(gain=4.0)
    exact = init_for("gelu", gain="exact")
    assert exact == variance_scaling(gain("gelu", exact=True) ** 2, mode="fan_in", distribution="truncated_normal")
    named = [n for n in activations.__all__ if n not in ("by_name", "gumbel_softmax")]
    assert all(init_for(name) == init_for(getattr(activations, name)) for name in named)
    assert_input_error(lambda: init_for("rellu"), "activation", given="'rellu'")
    assert_input_error(lambda: init_for("relu", gain="exactly"), "gain", given="'exactly'")
    assert_input_error(lambda: init_for("relu", gain=0.0), "gain", given="0.0")
    assert_input_error(lambda: init_for(3), "activation", given="3")  # type: ignore[arg-type]


def test_exact_gains_carry_a_signal_through_forty_layers():
    @functools.partial(jax.jit, static_argnums=0)
    def last(name, initializer):
        def layer(h, key):
            return activations.by_name(name)(h @ initializer(key, (128, 128), jnp.float32)), None

        h = jax.random.normal(jax.random.key(0), (64, 128))
        h = jax.lax.scan(layer, h, jax.random.split(jax.random.key(1), 40))[0]
        return jnp.sqrt(jnp.mean(h * h))

    assert all(0.2 < float(last(name, init_for(name, gain="exact"))) < 5 for name in ("relu", "tanh"))
    assert float(last("relu", initializers.glorot_uniform())) < 1e-5


def test_output_begins_small_or_like_lecun():
    assert output_init() == initializers.normal(0.01) and output_init(False) == initializers.lecun_normal()
    assert_input_error(lambda: output_init("small"), "small", given="'small'")  # type: ignore[arg-type]


def test_log_prior_is_the_log_frequency():
    y = np.array([0, 0, 0, 1, 1, 2], np.int32)
    bias = log_prior(y, classes=3)
    np.testing.assert_allclose(jax.nn.softmax(bias), [3 / 6, 2 / 6, 1 / 6], rtol=1e-6)
    assert np.isfinite(log_prior(y, classes=4)).all()
    loss = losses.softmax_cross_entropy(jnp.broadcast_to(bias, (6, 3)), jnp.asarray(y)).mean()
    p = np.array([3, 2, 1]) / 6
    np.testing.assert_allclose(loss, -(p * np.log(p)).sum(), rtol=1e-6)
    np.testing.assert_allclose(log_prior(np.array([1, 0, 0, 0]), classes=1), [np.log(1 / 3)], rtol=1e-6)
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(log_prior(labels, classes=1), [0.0, np.log(3)], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(log_prior(np.array([1.0, 2.0, 6.0], np.float32)), [3.0], rtol=1e-6)
    np.testing.assert_allclose(log_prior(np.ones((4, 2), np.float32)), [1.0, 1.0])
    np.testing.assert_allclose(jax.jit(lambda y: log_prior(y, classes=3))(y), bias, rtol=1e-6)
    for wrong, options in ((np.zeros((0,)), {}), (np.array([0, 3]), {"classes": 3}), (np.array([0.5]), {"classes": 3}),
                           (np.zeros((2, 2), int), {"classes": 2}), (np.array([2]), {"classes": 1})):  # fmt: skip
        assert_input_error(lambda w=wrong, o=options: log_prior(w, **o), "targets")
    assert_input_error(lambda: log_prior(y, classes=0), "classes", given="0")


def test_log_prior_goes_into_a_layer_and_a_tree():
    x, key = jnp.ones((6, 4)), jax.random.key(0)
    bias = log_prior(np.array([0, 0, 0, 1, 1, 2]), classes=3)
    layer = layers.dense(3, kernel_init=output_init(), bias_init=constant(bias))
    params, state = layer.init(key, x)
    np.testing.assert_array_equal(params["bias"], bias)
    p = jax.nn.softmax(layer.apply(params, state, x)[0])
    np.testing.assert_allclose(p[0], [3 / 6, 2 / 6, 1 / 6], atol=0.03)


def test_lsuv_gives_every_dense_layer_unit_variance():
    model, key = models.mlp((50, 40, 5), activation="sigmoid", batch_norm=True), jax.random.key(0)
    x = 3 * jax.random.normal(jax.random.key(1), (200, 20)) + 1
    params, state = jax.jit(model.init)(key, x)
    measure = layers.layer_outputs(model, state)

    @jax.jit
    def variances(params):
        return {name: jnp.var(y) for name, y in measure(params, x).items() if "dense" in name}

    assert max(abs(v - 1) for v in variances(params).values()) > 0.1
    new = jax.jit(lambda p, k: lsuv(measure, p, x, key=k, tol=0.05))(params, key)
    after = variances(new)
    assert sorted(after) == ["dense0", "dense1", "dense2"]
    assert all(abs(v - 1) < 0.05 for v in after.values()), after
    assert jax.tree.structure(new) == jax.tree.structure(params)
    for name in (n for n in params["dense0"] if n != "weight"):
        np.testing.assert_array_equal(new["dense0"][name], params["dense0"][name])
    w = np.asarray(new["dense1"]["weight"], np.float64)
    square = w.T @ w
    np.testing.assert_allclose(square, np.eye(40) * square[0, 0], atol=1e-5 * square[0, 0])  # a multiple of orthonormal


def test_lsuv_checks_what_it_is_given(key: jax.Array):
    params = {"a": {"weight": jnp.ones((2, 3))}}
    x = jnp.ones((4, 2))
    good = {"a": lambda p, x: {"a": x @ p["a"]["weight"]}}["a"]
    assert_input_error(lambda: lsuv(good, params, x, key=0), "key")  # type: ignore[arg-type]
    assert_input_error(lambda: lsuv(good, params, x, key=key, tol=0.0), "tol")
    assert_input_error(lambda: lsuv(good, params, x, key=key, max_iter=1.5), "max_iter")  # type: ignore[arg-type]
    assert_input_error(lambda: lsuv(lambda p, x: {"b": x}, params, x, key=key), "apply", given="b")
    assert_input_error(lambda: lsuv(lambda p, x: x, params, x, key=key), "apply")  # type: ignore[arg-type,return-value]
    dead = lsuv(lambda p, x: {"a": 0 * (x @ p["a"]["weight"])}, params, x, key=key)
    assert np.isfinite(dead["a"]["weight"]).all()
