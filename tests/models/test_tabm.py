"""TabM against a transcription in PyTorch, how its members begin, and that training it gains over one network."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import initializers
from jaxann.core.trees import count, flatten_named
from jaxann.models import mlp, tabm
from tests.contract import assert_input_error
from tests.programs import quick_jit

KEY = jax.random.key(1)


@pytest.mark.usefixtures("x64")
def test_tabm_and_its_gradients_match_torch():
    torch = pytest.importorskip("torch")
    model = tabm((7, 5, 2), members=3, activation="tanh")
    random = np.random.default_rng(2)
    x = random.normal(size=(6, 4))
    params, state = jax.eval_shape(model.init, KEY, x)
    params = jax.tree.map(lambda a: random.normal(size=a.shape), params)
    t = {name: torch.tensor(np.asarray(v), requires_grad=True) for name, v in flatten_named(params).items()}

    z = torch.tensor(np.asarray(x))[:, None].expand(-1, 3, -1)
    for i in range(2):
        z = (z * t[f"dense{i}.input.scale"]) @ t[f"dense{i}.weight"] * t[f"dense{i}.output.scale"] + t[f"dense{i}.bias"]
        z = torch.tanh(z)
    z = torch.einsum("bki,kio->bko", z, t["dense2.weight"]) + t["dense2.bias"]
    labels = torch.arange(6) % 2
    value = torch.nn.functional.cross_entropy(z.flatten(0, 1), labels.repeat_interleave(3))
    value.backward()

    loss = ja.losses.each_member(ja.losses.softmax_cross_entropy)
    targets = np.arange(6, dtype=np.int32) % 2

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def objective(p):
        predictions, _ = model.apply(p, state, x)
        return jnp.mean(loss(predictions, targets)), predictions

    (ours, predictions), grads = objective(params)
    np.testing.assert_allclose(predictions, z.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours, value.item(), rtol=1e-10)
    for name, grad in flatten_named(grads).items():
        np.testing.assert_allclose(grad, t[name].grad.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.usefixtures("x64")
def test_tabm_of_one_member_with_unit_scales_is_mlp():
    settings = {"activation": "tanh", "kernel_init": initializers.normal(0.5)}
    x = np.random.default_rng(0).normal(size=(6, 4))
    one, plain = tabm((7, 5, 2), members=1, input_scale="ones", **settings), mlp((7, 5, 2), **settings)
    params, state = one.init(KEY, x)
    own, empty = plain.init(KEY, x)
    own["dense0"]["weight"], own["dense1"]["weight"] = params["dense0"]["weight"], params["dense1"]["weight"]
    own["dense2"]["weight"] = params["dense2"]["weight"][0]
    apply = jax.jit(lambda layer, *given: layer.apply(*given)[0])
    np.testing.assert_allclose(apply(one, params, state, x)[:, 0], apply(plain, own, empty, x), rtol=1e-10)
    np.testing.assert_array_equal(params["dense0"]["weight"], plain.init(KEY, x)[0]["dense0"]["weight"])


def test_tabm_begins_as_the_paper_says():
    x = np.zeros((1, 5), np.float32)
    params, _ = quick_jit(tabm((16, 8, 3), members=4).init)(KEY, x)
    scales = {name: np.asarray(v) for name, v in flatten_named(params).items() if name.endswith("scale")}
    first = scales.pop("dense0.input.scale")
    assert first.shape == (4, 5) and set(np.unique(first)) == {-1.0, 1.0}
    assert len(scales) == 3 and all((v == 1).all() for v in scales.values())
    assert all((np.asarray(v) == 0).all() for n, v in flatten_named(params).items() if n.endswith("bias"))
    normal, _ = quick_jit(tabm((16, 8, 3), members=4, input_scale="normal").init)(KEY, x)
    assert len(np.unique(normal["dense0"]["input"]["scale"])) == 20
    shared, separate = 5 * 16 + 16 * 8, 4 * (5 + 16 + 16 + 16 + 8 + 8) + 4 * (8 * 3 + 3)
    assert count(params) == shared + separate


def test_members_drop_each_for_itself():
    model = tabm((50, 1), members=2, activation="identity", dropout=0.5, input_scale="ones")
    x = np.ones((1, 5), np.float32)
    params, state = quick_jit(model.init)(KEY, x)
    output = params["dense1"]
    weight = np.array(output["weight"])
    weight[1] = weight[0]
    same = params | {"dense1": {"weight": weight, "bias": output["bias"]}}
    calm = np.asarray(jax.jit(model.apply)(same, state, x)[0])
    noisy = np.asarray(jax.jit(functools.partial(model.apply, train=True))(same, state, x, key=KEY)[0])
    assert calm[0, 0, 0] == calm[0, 1, 0] and noisy[0, 0, 0] != noisy[0, 1, 0]


def test_tabm_checks_its_settings():
    for widths in ((), (3,), 3, (3, 0), (3, 2.5)):
        assert_input_error(lambda widths=widths: tabm(widths), "widths")
    assert "mlp((10,))" in assert_input_error(lambda: tabm((3,)), "widths", given="(3,)")
    assert_input_error(lambda: tabm((3, 1), dropout=1.0), "dropout", given="1.0")
    assert_input_error(lambda: tabm((3, 1), input_scale="sings"), "input_scale", given="'sings'")
    assert_input_error(lambda: tabm((3, 1), members=0), "members", given="0")


def test_the_mean_of_trained_members_is_better_than_the_members():
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 6)).astype(np.float32)
    y = (np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=600)).astype(np.float32)[:, None]
    model = tabm((32, 32, 1), members=8)
    recipe = ja.recipe(
        model, ja.losses.each_member(ja.losses.squared_error), ja.optimizers.adam(3e-3),
        metrics={"rmse": ja.metrics.of_mean(ja.metrics.streaming.rmse())},
    )  # fmt: skip
    result = ja.fit(recipe, (x[:400], y[:400]), validation=(x[400:], y[400:]), key=KEY, epochs=60, batch_size=50)
    predictions = np.asarray(ja.predict(model, result.params, result.state, x[400:]))
    assert predictions.shape == (200, 8, 1)
    figures = np.sqrt(np.mean((predictions - y[400:, None]) ** 2, (0, 2)))
    mean = np.sqrt(np.mean((predictions.mean(1) - y[400:]) ** 2))
    np.testing.assert_allclose(result.history["validation_rmse"][-1], mean, rtol=1e-5)
    np.testing.assert_allclose(result.history["validation_loss"][-1], np.mean(figures**2), rtol=1e-4)
    assert mean < 0.92 * figures.mean() and figures.max() < 0.9 and predictions.std(1).min() > 0


def test_a_classifier_is_scored_on_mean_probabilities_and_comes_back_from_a_file(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32) + (x[:, 2] > 1)
    model = tabm((16, 3), members=4, dropout=0.1)
    recipe = ja.recipe(
        model, ja.losses.each_member(ja.losses.softmax_cross_entropy), ja.optimizers.adam(1e-2),
        metrics={"accuracy": ja.metrics.of_mean_softmax(ja.metrics.streaming.accuracy())},
    )  # fmt: skip
    result = ja.fit(recipe, (x[:150], y[:150]), validation=(x[150:], y[150:]), key=KEY, epochs=5, batch_size=50)
    ja.save(tmp_path / "model.safetensors", model, result.params, result.state)
    again, params, state = ja.load(tmp_path / "model.safetensors")
    assert again == model
    found = ja.train.ensemble.classify(ja.predict(again, params, state, x[150:]), axis=1)
    hits = np.asarray(found.probabilities).argmax(-1) == y[150:]
    np.testing.assert_allclose(result.history["validation_accuracy"][-1], hits.mean(), rtol=1e-6)
    assert found.epistemic.shape == (50,) and (np.asarray(found.epistemic) > 0).all()
