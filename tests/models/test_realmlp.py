"""RealMLP, its embedding, scale and optimizer against transcriptions in PyTorch and NumPy; nets that normalize
themselves."""

from __future__ import annotations

import functools
import inspect
import math
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import initializers, layers, models, preprocessing, schedules
from jaxann.core import from_config, to_config
from jaxann.core.trees import flatten_named
from tests.contract import assert_input_error
from tests.programs import quick_jit

KEY = jax.random.key(3)
RANDOM = np.random.default_rng(4)


def drawn(model: Any, x: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Random parameters of the model's shapes, its state, and the same parameters for PyTorch."""
    torch = pytest.importorskip("torch")
    params, state = model.init(KEY, x)
    params = jax.tree.map(lambda a: RANDOM.normal(size=a.shape), params)
    theirs = {name: torch.tensor(np.array(v), requires_grad=True) for name, v in flatten_named(params).items()}
    return params, state, theirs


def assert_same(model: Any, params: Any, state: Any, x: Any, theirs: dict[str, Any], given: Any, y: Any) -> None:
    """Output, and gradients of the sum of y^3 by every parameter and by x."""
    (y**3).sum().backward()

    def objective(p: Any, x: Any) -> Any:
        found, _ = model.apply(p, state, x)
        return jnp.sum(found**3), found

    (_, found), (grads, by_x) = jax.jit(jax.value_and_grad(objective, argnums=(0, 1), has_aux=True))(params, x)
    np.testing.assert_allclose(found, y.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(by_x, given.grad.numpy(), rtol=1e-10, atol=1e-10)
    for name, grad in flatten_named(grads).items():
        np.testing.assert_allclose(grad, theirs[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)
    trace = ja.backprop.backward(model, params, state, x, np.zeros(found.shape), cubes, train=False)
    size = found.size / len(x)
    for name, grad in flatten_named(trace.grads).items():
        expected = theirs[name].grad.numpy() / len(x) / size
        np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-10, err_msg=f"{name} by hand")
    np.testing.assert_allclose(trace.input_grad, by_x / len(x) / size, rtol=1e-10, atol=1e-10)


def cubes(predictions: Any, targets: Any) -> Any:
    return jnp.mean((predictions - targets) ** 3, -1)


@ja.backprop.loss_derivative(cubes)
def _cubes(predictions: Any, targets: Any) -> Any:
    return 3 * (predictions - targets) ** 2 / predictions.shape[-1]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("activation", ["selu", "mish"])
def test_realmlp_and_its_gradients_are_torchs(activation: str):
    torch = pytest.importorskip("torch")
    x = RANDOM.normal(size=(6, 5))
    model = models.realmlp((7, 4, 2), activation=activation, dropout=0.3)
    params, state, t = drawn(model, x)
    given = torch.tensor(x, requires_grad=True)
    f = getattr(torch.nn.functional, activation)
    a = given * t["scale.scale"]
    for i in range(2):
        z = a @ t[f"dense{i}.weight"] + t[f"dense{i}.bias"]
        a = (1 - t[f"act{i}.alpha"]) * z + t[f"act{i}.alpha"] * f(z)
    assert_same(model, params, state, jnp.asarray(x), t, given, a @ t["dense2.weight"] + t["dense2.bias"])


@pytest.mark.usefixtures("x64")
def test_numbers_beside_their_waves_are_torchs():
    torch = pytest.importorskip("torch")
    x = RANDOM.normal(size=(6, 3))
    options = {"embedding": "periodic_linear", "features": 4, "frequencies": 5, "scale": "robust_clipped"}
    whole = models.tabular(models.mlp((2,)), **options)
    model = layers.sequential({"embed": whole.children["embed"], "net": models.mlp((2,))})
    params, state, t = drawn(model, jnp.asarray(x))
    given = torch.tensor(x, requires_grad=True)
    own = {name: t[f"embed.sides.waves.{name}"] for name in ("waves.weight", "waves.bias", "own.weight", "own.bias")}
    waves = torch.cos(2 * math.pi * given[..., None] * own["waves.weight"] + own["waves.bias"])
    linear = torch.einsum("bcf,cfk->bck", waves, own["own.weight"]) + own["own.bias"]
    assert linear.shape == (6, 3, 3)
    joined = torch.cat([given, linear.flatten(1)], 1)
    y = joined @ t["net.dense0.weight"] + t["net.dense0.bias"]
    assert_same(model, params, state, jnp.asarray(x), t, given, y)


def test_the_net_begins_as_the_paper_says():
    x = np.zeros((1, 40), np.float32)
    options = {"embedding": "periodic_linear", "features": 4, "frequencies": 16}
    model = models.tabular(models.realmlp((64, 32, 1)), scale="robust_clipped", **options)
    params, _ = quick_jit(model.init)(KEY, x)
    named = {name: np.asarray(leaf) for name, leaf in flatten_named(params).items()}
    waves, phases = named["embed.sides.waves.waves.weight"], named["embed.sides.waves.waves.bias"]
    assert waves.shape == phases.shape == (2 * 40, 16)  # a column that says where numbers are missing, beside each
    assert abs(waves.std() - 0.1) < 0.005 and abs(waves.mean()) < 0.01
    assert abs(phases).max() <= math.pi and abs(phases.std() - math.pi / math.sqrt(3)) < 0.05
    for own in (named["embed.sides.waves.own.weight"], named["embed.sides.waves.own.bias"]):
        assert 0.24 < abs(own).max() <= 0.25
    assert (named["net.scale.scale"] == 1).all() and named["net.scale.scale"].shape == (80 * 4,)
    assert all((named[f"net.act{i}.alpha"] == 1).all() for i in range(2))
    assert abs(named["net.dense0.weight"].std() - 320**-0.5) < 0.03 * 320**-0.5
    assert all((named[f"net.dense{i}.bias"] == 0).all() for i in range(3))


def test_an_activation_may_be_turned_off():
    layer, x = layers.parametric_activation("tanh"), RANDOM.normal(size=(5, 3)).astype(np.float32)
    params, state = layer.init(KEY, x)
    np.testing.assert_allclose(layer.apply(params, state, x)[0], np.tanh(x), atol=1e-6)
    some = {"alpha": np.array([0, 1, 0.25], np.float32)}
    y, _ = layer.apply(some, state, x)
    np.testing.assert_array_equal(y[:, 0], x[:, 0])
    np.testing.assert_allclose(y[:, 2], 0.75 * x[:, 2] + 0.25 * np.tanh(x[:, 2]), rtol=1e-5)
    half = layer.apply(jax.tree.map(lambda a: a.astype(jnp.bfloat16), some), state, jnp.asarray(x, jnp.bfloat16))[0]
    assert half.dtype == jnp.bfloat16
    assert_input_error(lambda: layer.apply(params, state, x[:, :2]), "x", given="(5, 2)")
    halving = layers.parametric_activation("glu")
    share, wide = np.ones(4, np.float32), jax.ShapeDtypeStruct((2, 4), np.float32)
    halved = functools.partial(jax.eval_shape, lambda x: halving.apply({"alpha": share}, {}, x)[0], wide)
    assert_input_error(halved, "activation", given="(2, 2)")
    assert initializers.init_for(layers.parametric_activation("selu")) == initializers.lecun_normal()
    assert initializers.init_for(layers.parametric_activation("mish")) == initializers.he_normal()


def test_an_explanation_shows_what_an_activation_learned():
    model = layers.sequential({"dense": layers.dense(2), "act": layers.parametric_activation("selu", alpha=0.5)})
    x, recipe = np.ones((1, 2), np.float32), ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1))
    params, state = model.init(KEY, x)
    text = str(ja.explain(recipe, params, x, np.ones((1, 2), np.float32)))
    assert "act = z1 + alpha (selu(z1) - z1)" in text and "act.alpha <- act.alpha - eta dJ/dact.alpha" in text
    trace = ja.backprop.backward(model, params, state, x, np.ones((1, 2), np.float32), ja.losses.squared_error)
    assert trace.grads["act"]["alpha"].shape == (2,)


def test_waves_with_a_phase_take_their_columns():
    layer = layers.phase_embedding(3)
    params, _ = layer.init(KEY, np.zeros((2, 4), np.float32))
    assert_input_error(lambda: layer.apply(params, {}, np.zeros((2, 3), np.float32)), "x", given="(2, 3)")
    assert_input_error(lambda: layer.init(KEY, np.zeros((2, 4, 1), np.float32)), "spec", given="(2, 4, 1)")


def test_the_smooth_clip_is_its_formula_and_leads_back():
    x = RANDOM.normal(size=(101, 3)) * [1, 40, 0.1] + [0, 7, 0]
    x[0], x[1, 0] = [1e6, -1e9, 3], np.nan
    plain, clip = preprocessing.robust(), preprocessing.robust(smooth_clip=3.0)
    state, z = clip.fit_transform(x)
    jax.tree.map(np.testing.assert_array_equal, state, plain.fit(x))
    r = plain.transform(state, x)
    np.testing.assert_allclose(z, r / np.sqrt(1 + (r / 3) ** 2), rtol=1e-12)
    assert np.nanmax(np.abs(z)) <= 3 and np.isnan(z[1, 0])
    np.testing.assert_allclose(clip.inverse_transform(state, z)[1:], x[1:], rtol=1e-9)
    inside = jax.jit(clip.transform)(state, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(inside, z, rtol=1e-4, atol=1e-5)
    far = jax.jit(clip.transform)(state, jnp.full((1, 3), 3e30, jnp.float32))
    np.testing.assert_allclose(far, np.full((1, 3), 3), rtol=1e-6)
    assert np.isfinite(clip.inverse_transform(state, np.array([[3.0, -3.0, 5.0]]))).all()
    assert_input_error(lambda: preprocessing.robust(smooth_clip=-1.0), "smooth_clip", given="-1.0")


def test_features_of_a_column_and_its_waves_are_two_at_least():
    net = models.mlp((1,))
    assert_input_error(lambda: models.tabular(net, embedding="periodic_linear", features=1), "features", given="1")
    assert_input_error(lambda: models.tabular(net, embedding="linear"), "embedding", given="'linear'")
    assert_input_error(lambda: models.tabular(net, scale="clipped"), "scale", given="'clipped'")


def table(count: int = 256) -> tuple[dict[str, Any], Any]:
    random = np.random.default_rng(0)
    x = (random.normal(size=(count, 3)) * [1, 50, 0.1] + [0, 300, 1]).astype(np.float32)
    codes = random.integers(0, 4, (count, 2)).astype(np.int32)
    y = (np.sin(2 * x[:, :1]) + (codes[:, :1] == 2)).astype(np.float32)
    x[::9, 1] = np.nan
    return {"numbers": x, "categories": codes}, y


def whole_model() -> Any:
    net = models.realmlp((32, 32, 1), activation="mish", dropout=None)
    options = {"embedding": "periodic_linear", "features": 4, "frequencies": 16}
    return models.tabular(net, categories=(4, 4), scale="robust_clipped", **options)


def test_a_whole_table_trains_as_the_docstring_says_and_comes_back_from_a_file(tmp_path):
    x, y = table()
    model = whole_model()
    params, _ = jax.eval_shape(model.init, KEY, jax.tree.map(lambda a: a[:1], x))
    optimizer = models.realmlp_optimizer(params, 0.1, steps=60 * 4)
    recipe = ja.recipe(model, ja.losses.squared_error, optimizer)
    result = ja.fit(recipe, (x, y), key=KEY, epochs=60, batch_size=64)
    assert result.history["loss"][-1] < 0.02 * float(y.var()) < 0.02 * result.history["loss"][0] * 2
    found = ja.predict(recipe, result.params, result.state, x)
    ja.save(tmp_path / "table.safetensors", model, result.params, result.state)
    again = ja.load(tmp_path / "table.safetensors")
    assert again[0] == model
    np.testing.assert_array_equal(ja.predict(*again, x), found)
    assert from_config(to_config(optimizer)) == optimizer
    assert from_config(to_config(model)) == model


def test_the_lines_of_the_docstring_run():
    text = inspect.getdoc(models.realmlp) or ""
    lines = next(part for part in text.split("\n\n") if part.startswith("    net ="))
    found: dict[str, Any] = {"models": models, "jax": jax, "math": math, "x": table(300)[0]["numbers"], "key": KEY}
    exec(textwrap.dedent(lines), found)
    params, _ = quick_jit(found["model"].init)(KEY, found["x"][:1])
    rates = ja.optimizers.leaf_learning_rates(found["optimizer"], jnp.int32(3), params)
    inputs = 2 * 3 * 4  # columns of numbers and of what is missing, with 4 features each
    expected = float(schedules.cosine_log(0.2, 256 * 2)(3)) / math.sqrt(inputs)
    np.testing.assert_allclose(rates["net"]["dense0"]["weight"], expected, rtol=1e-6)


def test_each_leaf_has_its_rate():
    x, _ = table(8)
    model = whole_model()
    params, _ = quick_jit(model.init)(KEY, x)
    optimizer = models.realmlp_optimizer(params, 0.2, 15, weight_decay=0.02)
    schedule = schedules.cosine_log(0.2, 15)
    for step in (0, 2, 6, 14, 15):
        rates = flatten_named(ja.optimizers.leaf_learning_rates(optimizer, jnp.int32(step), params))
        now = float(schedule(step))
        inputs = {"net.dense0.weight": 3 * 2 * 4 + 2 * 8, "net.dense1.weight": 32, "net.dense2.weight": 32}
        factors = {name: 1 / math.sqrt(n) for name, n in inputs.items()} | {"net.scale.scale": 6.0}
        factors |= {"embed.categories.table.weight": 1.0}
        for name, rate in rates.items():
            np.testing.assert_allclose(rate, factors.get(name, 0.1) * now, rtol=1e-6, err_msg=name)
    slow = set(rates) - set(factors)
    assert slow == {
        *(f"net.dense{i}.bias" for i in range(3)), "net.act0.alpha", "net.act1.alpha",
        *(f"embed.numbers.sides.waves.{name}" for name in ("waves.weight", "waves.bias", "own.weight", "own.bias")),
    }  # fmt: skip
    assert_input_error(lambda: models.realmlp_optimizer(params, 0.2, 15, weight_decay=-1.0), "weight_decay")
    assert_input_error(lambda: models.realmlp_optimizer(params, 0.2, 0), "steps", given="0")
    assert_input_error(lambda: models.realmlp_optimizer({}, 0.2, 10), "params", given="none")


@pytest.mark.usefixtures("x64")
def test_the_optimizer_is_adamw_on_the_neural_tangent_parametrization():
    """In PyTorch with W = sqrt(n) w, that is y = x W / sqrt(n), at the plain rates and decays."""
    torch = pytest.importorskip("torch")
    x, y = RANDOM.normal(size=(16, 5)), RANDOM.normal(size=(16, 2))
    model = models.realmlp((7, 2), activation="mish", dropout=None)
    params, state = jax.tree.map(np.asarray, model.init(KEY, x))
    steps, peak, decay = 12, 0.2, 0.02
    optimizer = models.realmlp_optimizer(params, peak, steps, weight_decay=decay)

    named = {name: np.array(v) for name, v in flatten_named(params).items()}
    roots = {"dense0.weight": math.sqrt(5), "dense1.weight": math.sqrt(7)}
    t = {name: torch.tensor(v * roots.get(name, 1.0), requires_grad=True) for name, v in named.items()}
    factors = {name: 1.0 if name in roots else 6.0 if name == "scale.scale" else 0.1 for name in t}
    groups = [{"params": [t[n]], "weight_decay": decay if n in roots else 0.0, "factor": factors[n]} for n in t]
    theirs = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), eps=0.0)
    given, wanted = torch.tensor(x), torch.tensor(y)

    @jax.jit
    def step(params, opt_state):
        grads = jax.grad(lambda p: jnp.mean((model.apply(p, state, x)[0] - y) ** 2))(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return ja.optimizers.apply_updates(params, updates), opt_state

    optimizer = optimizer.replace(
        groups={n: rule.replace(eps=0.0) for n, rule in optimizer.arguments["groups"].items()}
    )
    opt_state = optimizer.init(params)
    for count in range(steps):
        u = math.log2(1 + 15 * count / steps)
        for group in theirs.param_groups:
            group["lr"] = peak * (1 - math.cos(2 * math.pi * u)) / 2 * group["factor"]
        z = (given * t["scale.scale"]) @ t["dense0.weight"] / math.sqrt(5) + t["dense0.bias"]
        a = z + t["act0.alpha"] * (torch.nn.functional.mish(z) - z)
        out = a @ t["dense1.weight"] / math.sqrt(7) + t["dense1.bias"]
        theirs.zero_grad()
        ((out - wanted) ** 2).mean().backward()
        theirs.step()
        params, opt_state = step(params, opt_state)
    moved = 0.0
    for name, leaf in flatten_named(params).items():
        expected = t[name].detach().numpy() / roots.get(name, 1.0)
        np.testing.assert_allclose(leaf, expected, rtol=1e-8, atol=1e-10, err_msg=name)
        moved = max(moved, float(np.abs(expected - named[name]).max()))
    assert moved > 0.3


def test_signals_keep_mean_and_variance_through_eight_layers():
    """With 512 units the deviation of a layer's variance from its fixed point is a few hundredths."""
    x = np.random.default_rng(0).normal(size=(2000, 512)).astype(np.float32)
    for dropout, train in ((None, False), (0.1, True)):
        model = models.self_normalizing_mlp((512,) * 8 + (1,), dropout=dropout)
        inside = layers.sequential({name: layer for name, layer in model.children.items() if name != "dense8"})
        params, state = quick_jit(inside.init)(KEY, x)
        run = jax.jit(functools.partial(inside.apply, train=train))
        y = np.asarray(run(params, state, x, key=KEY)[0])
        assert abs(y.mean()) < 0.06 and abs(y.std() - 1) < 0.06, (dropout, y.mean(), y.std())
        shifted = np.asarray(run(params, state, 1.5 * x + 0.3, key=KEY)[0])
        assert abs(shifted.mean()) < 0.1 and abs(shifted.std() - 1) < 0.1  # they are drawn back to 0 and 1
    relu = models.mlp((512,) * 8 + (1,), kernel_init=initializers.lecun_normal())
    inside = layers.sequential({name: layer for name, layer in relu.children.items() if name != "dense8"})
    y = np.asarray(inside.apply(*quick_jit(inside.init)(KEY, x), x)[0])
    assert y.std() < 0.2  # what selu is for


@pytest.mark.usefixtures("x64")
def test_a_self_normalizing_net_is_torchs():
    torch = pytest.importorskip("torch")
    x = RANDOM.normal(size=(6, 5))
    model = models.self_normalizing_mlp((4, 3, 2), dropout=0.1)
    params, state, t = drawn(model, x)
    given = torch.tensor(x, requires_grad=True)
    a = given
    for i in range(3):
        a = a @ t[f"dense{i}.weight"] + t[f"dense{i}.bias"]
        a = torch.selu(a) if i < 2 else a
    assert_same(model, params, state, jnp.asarray(x), t, given, a)


def test_self_normalizing_net_names_its_layers():
    model = models.self_normalizing_mlp((4, 3), dropout=0.05)
    assert list(model.children) == ["dense0", "act0", "drop0", "dense1"]
    assert model.children["drop0"] == layers.alpha_dropout(0.05)
    assert model.children["act0"] == layers.elementwise("selu")
    assert list(models.self_normalizing_mlp((3,)).children) == ["dense0"]
    assert from_config(to_config(model)) == model


def test_rates_rise_and_fall_on_the_scale_of_the_logarithm():
    with jax.enable_x64(True):
        steps = np.arange(1200)
        for cycles, length in ((4, 1000), (1, 1000), (7, 777)):
            t = np.minimum(steps / length, 1)
            expected = 0.3 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**cycles - 1) * t))) / 2
            found = jax.jit(schedules.cosine_log(0.3, length, cycles=cycles))(steps)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
    found = np.asarray(jax.jit(schedules.cosine_log(0.3, 15 * 64))(np.arange(15 * 64 + 1)))
    assert (found >= 0).all() and found.max() <= np.float32(0.3)
    for valley in (0, 64, 3 * 64, 7 * 64, 15 * 64):
        assert found[valley] < 1e-12
    tops = [i for i in range(1, 15 * 64) if found[i] > found[i - 1] and found[i] >= found[i + 1]]
    assert len(tops) == 4 and (found[tops] > 0.2998).all()
    assert float(schedules.cosine_log(0.3, 2**30)(2**30)) == 0 < float(schedules.cosine_log(0.3, 2**31 - 1)(2**30))
