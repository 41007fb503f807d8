"""Attribution by derivatives: closed forms of linear nets and of one hidden layer, completeness, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.diagnose.importance import linear, one_hidden
from tests.tolerances import assert_close, close

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 4))
BACKGROUND = RANDOM.normal(size=(5, 4))
saliency, input_times_gradient = ja.diagnose.saliency, ja.diagnose.input_times_gradient
integrated_gradients, expected_gradients = ja.diagnose.integrated_gradients, ja.diagnose.expected_gradients
deep_lift = ja.diagnose.deep_lift


@pytest.mark.usefixtures("x64")
def test_saliency_of_a_linear_net_is_the_size_of_its_weights():
    net = linear(4, 3)
    given = net.model, net.params, net.state, X
    for target in range(3):
        expected = np.broadcast_to(net.w[:, target], X.shape)
        assert_close(saliency(*given, target=target), np.abs(expected), "reduction")
        assert_close(input_times_gradient(*given, target=target), X * expected, "reduction")
    each = np.array([0, 1, 2, 0, 1, 2, 0])
    assert_close(input_times_gradient(*given, target=each), X * net.w[:, each].T, "reduction")
    assert_close(saliency(*given), np.abs(net.w[:, net(X).argmax(1)].T), "reduction")  # the predicted class


@pytest.mark.usefixtures("x64")
def test_saliency_is_the_size_of_the_difference_quotient():
    net = one_hidden(4)
    found = saliency(net.model, net.params, net.state, X)
    h = 1e-5
    for j in range(4):
        step = h * np.eye(4)[j]
        assert_close(found[:, j], np.abs(net(X + step) - net(X - step))[:, 0] / (2 * h), "gradient")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("begin", [None, RANDOM.normal(size=4), RANDOM.normal(size=X.shape)], ids=["0", "row", "rows"])
def test_integrated_gradients_of_one_hidden_layer_have_a_closed_form(begin):
    net = one_hidden(4, 3)
    for target in range(3):
        found = integrated_gradients(net.model, net.params, net.state, X, baseline=begin, target=target)
        expected = net.rescaled(X, np.zeros(4) if begin is None else np.broadcast_to(begin, X.shape), target)
        assert_close(found.values, expected, "oracle")
        assert np.abs(found.gap).max() < 1e-10


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("activation, steps", [("tanh", 50), ("relu", 20000)])
def test_integrated_gradients_are_complete(activation, steps):
    """Of relu nets the integrand jumps, so that it takes as many steps as digits ask for."""
    model = ja.models.mlp((8, 8, 1), activation=activation)
    params, state = model.init(jax.random.key(0), X)
    begin = BACKGROUND[0]  # from 0 a relu net without biases is straight
    found = integrated_gradients(model, params, state, X, baseline=begin, steps=steps)
    change = ja.predict(model, params, state, X) - ja.predict(model, params, state, begin[None])
    assert_close(found.values.sum(1) + found.gap, change[:, 0], "reduction")
    assert np.abs(found.gap).max() < 1e-4 < np.abs(change).max() / 100
    rough = integrated_gradients(model, params, state, X, baseline=begin, steps=2)
    assert np.abs(rough.gap).max() > np.abs(found.gap).max()


@pytest.mark.usefixtures("x64")
def test_many_steps_have_the_closed_form_of_relu_too():
    net = one_hidden(4, activation="relu")
    found = integrated_gradients(net.model, net.params, net.state, X, steps=3001)
    np.testing.assert_allclose(found.values, net.rescaled(X, np.zeros(4), 0), atol=2e-3)  # 1 / steps


@pytest.mark.usefixtures("x64")
def test_expected_gradients_from_one_row_are_integrated_ones():
    net = one_hidden(4, 2)
    given = net.model, net.params, net.state, X
    found = expected_gradients(*given, BACKGROUND[:1], key=jax.random.key(0), samples=1000, target=1)
    exact = integrated_gradients(*given, baseline=BACKGROUND[0], target=1)
    np.testing.assert_allclose(found.values, exact.values, atol=2e-4)  # a falls into each of 1,000 parts
    assert np.abs(found.gap).max() < 1e-3


@pytest.mark.usefixtures("x64")
def test_expected_gradients_approach_the_mean_over_the_background():
    net = one_hidden(4)
    samples = 4000
    found = expected_gradients(net.model, net.params, net.state, X, BACKGROUND, key=jax.random.key(1), samples=samples)
    each = np.stack([net.rescaled(X, row, 0) for row in BACKGROUND])
    error = each.std(0) / np.sqrt(samples)
    assert np.all(np.abs(found.values - each.mean(0)) < 5 * error + 1e-3)
    change = net(X)[:, 0] - net(BACKGROUND).mean()
    assert_close(found.values.sum(1) + found.gap, change, "reduction")
    assert np.abs(found.gap).max() < 0.1 * np.abs(change).max()


@pytest.mark.filterwarnings("ignore")  # of shap and PyTorch
@pytest.mark.usefixtures("x64")
def test_expected_gradients_are_near_those_of_shap():
    torch = pytest.importorskip("torch")
    shap = pytest.importorskip("shap")
    net = one_hidden(4)
    first, last = torch.nn.Linear(4, 6), torch.nn.Linear(6, 1)  # shap draws in float32
    for layer, own in ((first, net.params["dense0"]), (last, net.params["dense1"])):
        layer.weight.data, layer.bias.data = torch.tensor(own["weight"].T).float(), torch.tensor(own["bias"]).float()
    theirs = shap.GradientExplainer(torch.nn.Sequential(first, torch.nn.Tanh(), last), torch.tensor(BACKGROUND).float())
    expected = np.asarray(theirs.shap_values(torch.tensor(X).float(), nsamples=3000, rseed=0)).reshape(X.shape)
    found = expected_gradients(net.model, net.params, net.state, X, BACKGROUND, key=jax.random.key(1), samples=3000)
    np.testing.assert_allclose(found.values, expected, atol=0.05 * np.abs(expected).max())  # both are samples


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_deep_lift_of_one_hidden_layer_has_a_closed_form(activation):
    net = one_hidden(4, 3, activation)
    begin = RANDOM.normal(size=4)
    found = deep_lift(net.model, net.params, net.state, X, baseline=begin, target=2)
    assert_close(found.values, net.rescaled(X, begin, 2), "reduction")
    assert np.abs(found.gap).max() < close("float64", "reduction")


@pytest.mark.usefixtures("x64")
def test_deep_lift_adds_up_through_any_chain_and_takes_the_slope_where_nothing_differs():
    l = ja.layers  # noqa: E741
    model = l.sequential({
        "conv": l.conv(3, 3), "norm": l.batch_norm(), "act": l.elementwise("relu"), "flat": l.flatten(),
        "net": ja.models.mlp((5, 3), activation="tanh", dropout=0.3),
    })  # fmt: skip
    pictures = RANDOM.normal(size=(4, 6, 6, 2))
    params, state = model.init(jax.random.key(0), pictures)
    found = deep_lift(model, params, state, pictures)
    assert found.values.shape == pictures.shape and np.abs(found.gap).max() < 1e-12
    net = one_hidden(4)
    begin = X.copy()
    begin[:, 0] += 1e-9
    same = deep_lift(net.model, net.params, net.state, X, baseline=begin)
    slope = ja.diagnose.input_times_gradient(net.model, net.params, net.state, X) / X
    assert_close(same.values[:, 0] / -1e-9, slope[:, 0], "gradient")  # of x - x' hardly nine digits are left


@pytest.mark.filterwarnings("ignore")  # of shap and PyTorch
@pytest.mark.usefixtures("x64")
def test_deep_lift_is_that_of_shap():
    torch = pytest.importorskip("torch")
    shap = pytest.importorskip("shap")
    net = one_hidden(4, 1, "relu")
    first, last = torch.nn.Linear(4, 6, dtype=torch.float64), torch.nn.Linear(6, 1, dtype=torch.float64)
    for layer, own in ((first, net.params["dense0"]), (last, net.params["dense1"])):
        layer.weight.data, layer.bias.data = torch.tensor(own["weight"].T.copy()), torch.tensor(own["bias"])
    theirs = shap.DeepExplainer(torch.nn.Sequential(first, torch.nn.ReLU(), last), torch.tensor(BACKGROUND))
    expected = np.asarray(theirs.shap_values(torch.tensor(X))).reshape(X.shape)
    found = [deep_lift(net.model, net.params, net.state, X, baseline=row).values for row in BACKGROUND]
    assert_close(np.mean(found, axis=0), expected, "torch")


def test_any_shape_and_trees_of_inputs_in_blocks():
    pictures = RANDOM.normal(size=(11, 5, 5, 2)).astype(np.float32)
    l = ja.layers  # noqa: E741
    model = l.sequential(
        {"conv": l.conv(3, 3), "act": l.elementwise("tanh"), "top": l.global_pool(), "out": l.dense(2)}
    )
    params, state = model.init(jax.random.key(0), pictures)
    whole = integrated_gradients(model, params, state, pictures, target=0)
    assert whole.values.shape == pictures.shape and whole.gap.shape == (11,)
    blocks = integrated_gradients(model, params, state, pictures, target=0, batch_size=4)
    assert_close(blocks.values, whole.values, "program")
    given = dict(key=jax.random.key(0), samples=8)
    drawn = [expected_gradients(model, params, state, pictures, pictures[:3], **given, batch_size=n) for n in (4, 1024)]
    assert_close(drawn[0].values, drawn[1].values, "program")
    two = l.sequential({
        "inputs": l.parallel({"a": l.dense(3), "b": l.dense(3)}), "joined": l.concatenate(), "out": l.dense(1),
    })  # fmt: skip
    tree = {"a": pictures[:, 0, :, 0], "b": pictures[:, 0, :3, 1]}
    params, state = two.init(jax.random.key(0), tree)
    found = integrated_gradients(two, params, state, tree, steps=3)
    slope = {name: params["inputs"][name]["weight"] for name in "ab"}
    for i, name in enumerate("ab"):
        joint = slope[name] @ params["out"]["weight"][3 * i : 3 * i + 3, 0]
        assert_close(found.values[name], tree[name] * np.asarray(joint), "program")


def test_a_recipe_and_a_single_output_without_an_axis():
    model = ja.layers.custom(lambda key, spec: ({}, {}), lambda p, s, x, *, key=None, train=False: (jnp.sum(x, 1), s))
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1))
    assert_close(saliency(recipe, {}, {}, X.astype(np.float32)), np.ones(X.shape), "program")


@pytest.mark.parametrize(
    ("argument", "settings"),
    [
        ("target", {"target": 3}),
        ("target", {"target": -1}),
        ("target", {"target": 1.0}),
        ("target", {"target": np.zeros(6, int)}),
        ("x", {"x": np.full((2, 4), np.nan)}),
        ("x", {"x": np.zeros((0, 4))}),
        ("x", {"x": ja.core.padded(np.ones((2, 3, 4), np.float32), np.array([1, 2]))}),
        ("batch_size", {"batch_size": 0}),
    ],
)
def test_bad_input_is_refused(argument, settings):
    net = linear(4, 3)
    given = {"x": X.astype(np.float32)} | settings
    params = jax.tree.map(lambda a: a.astype(np.float32), net.params)
    more = {
        "saliency": {},
        "integrated_gradients": {},
        "deep_lift": {},
        "expected_gradients": {"key": jax.random.key(0)},
    }
    for name, own in more.items():
        if name == "expected_gradients":
            own = {**own, "background": X[:2]}
        function = getattr(ja.diagnose, name)
        message = assert_input_error(lambda f=function, o=own: f(net.model, params, net.state, **given, **o), argument)
        assert message.startswith(name)


def test_bad_baselines_backgrounds_and_models_are_refused():
    net, x = linear(4, 3), X.astype(np.float32)
    given = net.model, jax.tree.map(lambda a: a.astype(np.float32), net.params), net.state, x
    for bad in (np.zeros(3), 0.0, np.zeros((2, 4)), np.full(4, np.inf), {"a": np.zeros(4), "b": np.zeros(4)}):
        assert_input_error(lambda bad=bad: integrated_gradients(*given, baseline=bad), "baseline")
    assert_input_error(lambda: integrated_gradients(*given, steps=0), "steps")
    key = jax.random.key(0)
    for bad in (np.zeros((2, 3)), np.zeros((0, 4)), np.full((1, 4), np.nan), {"a": np.zeros((2, 4))}):
        assert_input_error(lambda bad=bad: expected_gradients(*given, bad, key=key), "background")
    assert_input_error(lambda: expected_gradients(*given, x, key=0), "key")
    assert_input_error(lambda: expected_gradients(*given, x, key=key, samples=0), "samples")
    language = ja.models.gpt(7, features=8, heads=2, blocks=1, context=4)
    ids = np.zeros((2, 4), np.int32)
    own = language.init(jax.random.key(0), ids)
    assert_input_error(lambda: saliency(language, *own, ids), "x", expected="floating-point")
    heads = ja.layers.branch({"a": ja.layers.dense(1), "b": ja.layers.dense(1)})
    joined = ja.layers.sequential({"r": ja.layers.residual(ja.layers.dense(4))})
    softmax = ja.models.mlp((3, 2), activation="softmax")
    of_heads, of_joined, of_softmax = ((model, *model.init(key, x), x) for model in (heads, joined, softmax))
    assert_input_error(lambda: saliency(*of_heads), "model", given="several")
    assert_input_error(lambda: deep_lift(*of_joined), "model", given="r: residual")
    assert_input_error(lambda: deep_lift(*of_softmax), "act0", given="softmax")
