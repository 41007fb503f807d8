"""Probes measure what they say, in every kind of run, and change no bit of it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.watch import watching
from jaxann.train.batches import Batch, batch_of
from jaxann.train.prepare import sized
from jaxann.train.probing import BY_LAYER, SCALARS, STEPS, probe_layers
from jaxann.train.taps import FIGURES, Taps
from tests.train.problems import digits, equal_bits

KEY = jax.random.key(0)


def _net(**changes) -> ja.train.Recipe:
    model = ja.models.mlp((16, 12, 10), activation="relu", dropout=0.1, batch_norm=True)
    given = {"metrics": {"accuracy": ja.metrics.accuracy}, "batch_size": 8, "probes": True} | changes
    return ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(3e-3), **given)


@functools.cache
def _fitted(probes: bool = True):
    return ja.fit(_net(probes=probes), digits()[0], key=KEY, epochs=3)


def test_probes_change_no_bit_of_a_run():
    with_them, without = _fitted(), _fitted(probes=False)
    assert equal_bits((with_them.params, with_them.state), (without.params, without.state))
    assert tuple(with_them.history) == (*without.history, *SCALARS, *BY_LAYER)
    assert all(equal_bits(with_them.history[name], values) for name, values in without.history.items())
    assert with_them.history["layer_mean"].shape == (3, 10) and with_them.history["probe_loss"].shape == (3,)


def test_a_run_as_a_function_and_one_that_goes_on_have_the_same_figures():
    whole = jax.jit(ja.train.make_run(_net(), epochs=3))(KEY, digits()[0])
    begun = ja.fit(_net(), digits()[0], key=KEY, epochs=1)
    on = ja.fit(_net(), digits()[0], key=KEY, epochs=3, resume=begun)
    for name, values in _fitted().history.items():
        assert equal_bits(on.history[name], values), name
        off = 1e-4 if name in SCALARS[1:] else 1e-6  # what is left of two much greater numbers
        np.testing.assert_allclose(np.asarray(whole.history[name]), values, rtol=1e-5, atol=off, err_msg=name)


def test_a_history_of_other_figures_is_refused_by_resume():
    with pytest.raises(ja.InputError, match="fit: resume must be a result with the history loss, .*layer_mean"):
        ja.fit(_net(), digits()[0], key=KEY, epochs=4, resume=_fitted(probes=False))


def test_figures_are_those_of_a_direct_computation():
    data = Batch(*map(jnp.asarray, digits()[0]))
    recipe, result = sized("test", _net(), len(data.x), 8), _fitted()
    trained = result.carry.trained
    batch, mask, noise = batch_of(KEY, jnp.int32(2), jnp.int32(0), data, batch_size=8, shuffle=True, last=False)
    names = [place.name for place in probe_layers(recipe, trained, batch)]

    def loss(params, x, y):
        logits, _ = recipe.model.apply(params, trained.state, x, key=noise, train=True)
        return jnp.mean(ja.losses.softmax_cross_entropy(logits, y))

    value, grads = jax.value_and_grad(loss)(trained.params, batch.x, batch.y)
    updates, _ = recipe.optimizer.update(grads, trained.optimizer, trained.params)
    figures = {name: result.history[name][2] for name in BY_LAYER}
    near = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    near(result.history["probe_loss"][2], value)
    norms = []
    for layer, own in grads.items():
        flat = {name: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree[layer])]).astype(np.float64)
                for name, tree in (("g", grads), ("u", updates), ("p", trained.params))
                if jax.tree.leaves(own)}  # fmt: skip
        at = names.index(layer)
        if not flat:
            assert np.isnan([figures[name][at] for name in BY_LAYER[:3]]).all()
            continue
        norms.append(np.linalg.norm(flat["g"]))
        near(figures["layer_gradient_norm"][at], norms[-1])
        near(figures["layer_gradient_rms"][at], np.sqrt(np.mean(flat["g"] ** 2)))
        near(figures["layer_update_ratio"][at], np.linalg.norm(flat["u"]) / np.linalg.norm(flat["p"]))
    half = jax.grad(loss)(trained.params, batch.x[:4], batch.y[:4])
    small = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(half))
    large = sum(norm**2 for norm in norms)
    near(result.history["gradient_variance"][2], (small - large) / (1 / 4 - 1 / 8), rtol=1e-4)
    near(result.history["gradient_square"][2], (8 * large - 4 * small) / 4, rtol=1e-4)

    x = batch.x
    for name, layer in recipe.model.children.items():
        x, _ = layer.apply(trained.params[name], trained.state[name], x, key=ja.core.fold_name(noise, name), train=True)
        out, at = np.asarray(x, np.float64), names.index(name)
        near(figures["layer_mean"][at], out.mean())
        near(figures["layer_std"][at], out.std())
        unit = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-30)
        near(figures["layer_similarity"][at], (unit @ unit.T)[~np.eye(8, dtype=bool)].mean(), rtol=1e-4)


@factory(Layer)
def poison(out, back):
    """x w; where `out` is 1 the output is NaN, where `back` is 1 the gradient of w."""

    @jax.custom_vjp
    def passed(w, x, bad):
        return x * jnp.broadcast_to(w, x.shape)

    def gradient(kept, g):
        w, x, bad = kept
        off = jnp.where(bad > 0, jnp.nan, 0).astype(g.dtype)
        return jnp.sum(g * x, 0) + off, g * jnp.broadcast_to(w, x.shape), jnp.zeros_like(bad)

    passed.defvjp(lambda w, x, bad: (passed(w, x, bad), (w, x, bad)), gradient)

    def init(key, spec):
        return {"weight": jnp.ones(spec.shape[-1], spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        y = passed(params["weight"], x, jnp.asarray(back, jnp.float32))
        return y + jnp.where(out > 0, jnp.nan, 0).astype(x.dtype), state

    return init, apply


DEPTH = 13


def _poisoned(h) -> ja.train.Recipe:
    """A net of 13 layers of which number `at` makes NaN: of its output, or of the gradient of its parameters."""
    layers, back = {}, jnp.asarray(h["back"])
    for number in range(DEPTH):
        here = jnp.where(jnp.asarray(h["at"]) == number, 1.0, 0.0)
        layers[f"layer{number}"] = poison(here * (1 - back), here * back)
    model = ja.layers.sequential(layers | {"last": ja.layers.dense(10)})
    dtype = None if h["dtype"] == "float32" else h["dtype"]
    return ja.recipe(
        model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1), probes=True, batch_size=64, compute_dtype=dtype
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_first_layer_that_is_not_finite_is_named_in_all_planted_cases(dtype: str):
    x, y = (a[:128] for a in digits()[0])
    grid = [(at, back) for back in (0.0, 1.0) for at in range(DEPTH)]
    hyper = {"at": [float(at) for at, _ in grid], "back": [back for _, back in grid], "dtype": [dtype] * len(grid)}
    with pytest.warns(ja.DivergedWarning):
        population = ja.train.fit_population(_poisoned, hyper, (x, y), keys=jax.random.split(KEY, len(grid)), epochs=2)
    recipe = population.recipe(0)
    for member, (at, back) in enumerate(grid):
        found = ja.diagnose.first_nonfinite(recipe, (x, y), population.member(member).history)
        assert found == (f"layer{at}", "gradient" if back else "output"), member
    if dtype == "float32":
        run = jax.jit(ja.train.make_run(population.recipe(7), epochs=2))
        assert ja.diagnose.first_nonfinite(recipe, (x, y), run(KEY, (x, y)).history) == ("layer7", "output")


def test_the_loss_the_step_and_the_input_are_named_too():
    x, y = digits()[0]
    rows = {"probes": True, "batch_size": 64}
    model = ja.models.mlp((8, 10))

    def broken(predictions, targets):
        return ja.losses.softmax_cross_entropy(predictions, targets) / jnp.zeros(())

    def wild(grads, state, params):
        return jax.tree.map(lambda g: g * jnp.inf, grads), state

    plain, rule = ja.losses.softmax_cross_entropy, ja.optimizers.custom(lambda params: (), wild)
    for loss, optimizer, given, expected in (
        (broken, ja.optimizers.sgd(0.1), x, ("(loss)", "loss")),
        (plain, rule, x, ("dense0", "update")),
        (plain, ja.optimizers.sgd(0.1), np.full_like(x, np.inf), ("(input)", "output")),
    ):
        recipe = ja.recipe(model, loss, optimizer, **rows)
        history = jax.jit(ja.train.make_run(recipe, epochs=1))(KEY, (given, y)).history
        assert ja.diagnose.first_nonfinite(recipe, (x, y), history) == expected


def test_a_run_that_diverges_says_which_layer_was_first():
    x, y = digits()[0]
    with pytest.raises(ja.DivergedError, match="the first that is not finite is output of layer3"):
        ja.fit(_poisoned({"at": 3.0, "back": 0.0, "dtype": "float32"}), (x, y), key=KEY, epochs=1)


def test_epochs_of_few_steps_are_probed_now_and_then():
    x, y = digits()[0]  # 410 rows
    recipe = _net(batch_size=41, metrics=None)
    figures = ja.fit(recipe, (x, y), key=KEY, epochs=45).history
    every = -(-STEPS // 10)
    wanted = [epoch for epoch in range(45) if epoch % every == 0 or epoch in (1, 2, 4, 8, 16, 32)]
    assert np.flatnonzero(~np.isnan(figures["probe_loss"])).tolist() == wanted
    assert np.isnan(figures["layer_mean"]).all(1).tolist() == np.isnan(figures["probe_loss"]).tolist()


def test_blocks_of_a_loop_have_figures_each():
    block = ja.layers.residual(
        ja.layers.sequential({"dense": ja.layers.dense(16), "act": ja.layers.elementwise("tanh")})
    )

    def figures(body):
        model = ja.layers.sequential({"in": ja.layers.dense(16), "body": body, "out": ja.layers.dense(10)})
        recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2))
        return model, ja.diagnose.probe(recipe, digits()[0], key=KEY, batch_size=32)

    _, looped = figures(ja.layers.repeat(ja.layers.remat(block), 9))
    _, plain = figures(ja.layers.repeat(block, 9))
    inside = [f"body.block[{n}]{rest}" for n in range(9) for rest in (".body.dense", ".body.act", "")]
    assert [layer.name for layer in looped.layers] == ["(input)", "in", *inside, "out"]
    for one, other in zip(looped.layers, plain.layers, strict=True):
        for name in ("gradient_norm", "update_ratio", "mean", "std", "saturated", "similarity"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-6)
    norms = [looped[f"body.block[{n}].body.dense"].gradient_norm for n in range(9)]
    assert len(set(norms)) == 9


@pytest.mark.parametrize(
    ("activation", "figure", "expected"),
    [("relu", "dead", 0.5), ("relu6", "dead", 0.5), ("gelu", "dead", 0.5), ("sigmoid", "saturated", 0.5),
     ("tanh", "saturated", 0.5), ("hard_tanh", "saturated", 0.5), ("leaky_relu", "dead", np.nan),
     ("identity", "saturated", np.nan), ("softplus", "dead", 0.5)],
)  # fmt: skip
def test_dead_and_saturated_shares(activation: str, figure: str, expected: float):
    """Half of the units are far to the left for every example, the others about 0."""
    layer = ja.layers.elementwise(activation)
    taps, x = Taps(), jnp.concatenate([jnp.full((6, 4), -40.0), jnp.full((6, 4), 0.3)], 1)
    with watching(taps):
        layer.apply({}, {}, x)
    np.testing.assert_allclose(taps.notes[0].figures[FIGURES.index(figure)], expected)


def test_padding_of_sequences_counts_in_no_figure():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(5, 7, 3)).astype(np.float32), np.array([7, 2, 4, 1, 6])
    model = ja.layers.sequential({"dense": ja.layers.dense(4), "act": ja.layers.elementwise("relu")})
    params, state = model.init(KEY, x)
    found = []
    for filler in (0.0, 99.0):
        filled = np.where(np.arange(7)[None, :, None] < lengths[:, None, None], x, np.float32(filler))
        taps = Taps()
        with watching(taps):
            model.apply(params, state, ja.core.padded(filled, lengths))
        found.append(np.stack([note.figures for note in taps.notes]))
    np.testing.assert_allclose(*found, rtol=1e-6)
    real = np.concatenate([row[:n] for row, n in zip(x, lengths, strict=True)])
    z = real @ np.asarray(params["dense"]["weight"]) + np.asarray(params["dense"]["bias"])
    np.testing.assert_allclose(found[0][0][:2], [z.mean(), z.std()], rtol=1e-5, atol=1e-6)
