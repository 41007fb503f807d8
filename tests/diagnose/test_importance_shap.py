"""Shapley values: closed form of linear nets, the definition over all orders, the shap package, and the axioms."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.diagnose.importance import linear, one_hidden
from tests.tolerances import assert_close

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(6, 4))
BACKGROUND = RANDOM.normal(size=(9, 4)) + [0, 1, 2, 3]
KEY = jax.random.key(5)
exact_shap, kernel_shap = ja.diagnose.exact_shap, ja.diagnose.kernel_shap


def _over_all_orders(f, x: np.ndarray, background: np.ndarray, groups) -> np.ndarray:
    """phi_j = mean over all orders of the columns of v(those before j, and j) - v(those before j)."""
    values = np.zeros((len(x), len(groups)))
    orders = list(itertools.permutations(range(len(groups))))
    for i, row in enumerate(x):
        for order in orders:
            mixed = background.copy()
            before = f(mixed).mean()
            for j in order:
                mixed[:, groups[j]] = row[groups[j]]
                after = f(mixed).mean()
                values[i, j] += (after - before) / len(orders)
                before = after
    return values


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", [exact_shap, kernel_shap])
def test_a_linear_net_has_the_closed_form(method):
    net = linear(4, 2)
    for target in range(2):
        found = method(net.model, net.params, net.state, X, BACKGROUND, target=target)
        assert_close(found.values, net.w[:, target] * (X - BACKGROUND.mean(0)), "oracle")
        assert_close(found.expected, np.full(6, net(BACKGROUND)[:, target].mean()), "reduction")
    assert found.names == ("column 0", "column 1", "column 2", "column 3")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "groups", [None, [[0], [1], [2], [3]], {"a": [2, 0], "b": (1,), "c": np.array([3])}, [range(4)]]
)
def test_values_are_the_mean_over_all_orders(groups):
    net = one_hidden(4)
    found = exact_shap(net.model, net.params, net.state, X, BACKGROUND, groups=groups)
    named = [[0], [1], [2], [3]] if groups is None else groups.values() if isinstance(groups, dict) else groups
    expected = _over_all_orders(net, X, BACKGROUND, [list(one) for one in named])
    assert_close(found.values, expected, "oracle")
    solved = kernel_shap(net.model, net.params, net.state, X, BACKGROUND, groups=groups)
    assert_close(solved.values, found.values, "oracle")
    if isinstance(groups, dict):
        assert found.names == ("a", "b", "c")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("columns", [1, 2, 3, 6, 9])
def test_all_subsets_of_the_kernel_give_the_exact_values(columns):
    random = np.random.default_rng(columns)
    net = one_hidden(columns, 3)
    x, background = random.normal(size=(3, columns)), random.normal(size=(4, columns))
    given = net.model, net.params, net.state, x, background
    exact, solved = exact_shap(*given), kernel_shap(*given)
    scale = np.abs(exact.values).max()
    np.testing.assert_allclose(solved.values, exact.values, rtol=0, atol=1e-10 * scale)
    many = kernel_shap(*given, samples=2**columns, key=KEY)  # as many as there are: nothing is drawn
    np.testing.assert_array_equal(many.values, solved.values)
    best = net(x).argmax(1)  # efficiency, for the predicted class
    np.testing.assert_allclose(exact.values.sum(1) + exact.expected, net(x)[np.arange(3), best], rtol=1e-12)
    assert_close(exact.expected, net(background).mean(0)[best], "reduction")
    named = exact_shap(*given, target=best)
    np.testing.assert_array_equal(named.values, exact.values)


@pytest.mark.usefixtures("x64")
def test_values_are_those_of_shaps_explainers():
    shap = pytest.importorskip("shap")
    net = one_hidden(4, 2)
    given = net.model, net.params, net.state, X, BACKGROUND
    masker = shap.maskers.Independent(BACKGROUND, max_samples=len(BACKGROUND))
    for target in range(2):
        found = exact_shap(*given, target=target)

        def f(x, target=target):
            return net(np.asarray(x))[:, target]

        exact = shap.explainers.ExactExplainer(f, masker)(X)
        assert_close(found.values, exact.values, "oracle")
        assert_close(found.expected, exact.base_values, "oracle")
        kernel = shap.KernelExplainer(f, BACKGROUND).shap_values(X, nsamples=2**4, l1_reg=False, silent=True)
        assert_close(kernel_shap(*given, target=target).values, kernel, "torch")


@pytest.mark.usefixtures("x64")
def test_more_columns_are_those_of_shaps_permutations():
    """Whose values are exact where columns matter in pairs, so that samples of the kernel may be held to them."""
    shap = pytest.importorskip("shap")
    columns = 20
    random = np.random.default_rng(3)
    pairs, slope = random.normal(size=(columns, columns)) / columns, random.normal(size=columns)
    x, background = random.normal(size=(2, columns)), random.normal(size=(5, columns))
    model = ja.layers.custom(
        lambda key, spec: ({}, {}),
        lambda p, s, x, *, key=None, train=False: (
            jnp.sum((x @ jnp.asarray(pairs)) * x, 1) + x @ jnp.asarray(slope),
            s,
        ),
    )
    masker = shap.maskers.Independent(background, max_samples=5)
    theirs = shap.explainers.PermutationExplainer(lambda x: ((x @ pairs) * x).sum(1) + x @ slope, masker, seed=0)(x)
    scale = np.abs(theirs.values).max()
    errors = []
    for samples in (100, 4000):
        found = kernel_shap(model, {}, {}, x, background, samples=samples, key=KEY)
        assert_close(found.values.sum(1) + found.expected, ja.predict(model, {}, {}, x), "oracle")
        errors.append(np.abs(found.values - theirs.values).max() / scale)
    assert errors[0] < 0.2 and errors[1] < 0.02


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("samples", [60, 61, 100, 1000])
def test_samples_of_the_kernel_are_exact_where_columns_add_up(samples):
    net = linear(30)
    random = np.random.default_rng(4)
    x, background = random.normal(size=(2, 30)), random.normal(size=(3, 30))
    found = kernel_shap(net.model, net.params, net.state, x, background, samples=samples, key=KEY)
    assert_close(found.values, net.w[:, 0] * (x - background.mean(0)), "torch")  # a system of 29 equations


@pytest.mark.usefixtures("x64")
def test_more_samples_of_the_kernel_come_nearer():
    net = one_hidden(12, units=20)
    random = np.random.default_rng(5)
    x, background = 2 * random.normal(size=(4, 12)), random.normal(size=(5, 12))
    given = net.model, net.params, net.state, x, background
    exact = exact_shap(*given)

    def error(samples: int) -> float:
        keys = jax.random.split(KEY, 4)
        found = [kernel_shap(*given, samples=samples, key=key).values - exact.values for key in keys]
        assert all(np.abs(one.sum(1)).max() < 1e-10 for one in found)
        assert np.ptp([np.asarray(one) for one in found], axis=0).max() > 0  # other keys draw other subsets
        return float(np.sqrt(np.mean(np.square(found))))

    size = float(np.sqrt(np.mean(np.square(exact.values))))
    rough, fine = error(100), error(1600)
    assert fine < 0.5 * rough and fine < 0.02 * size
    again = kernel_shap(*given, samples=100, key=KEY).values
    np.testing.assert_array_equal(again, kernel_shap(*given, samples=100, key=KEY).values)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", [exact_shap, kernel_shap])
def test_columns_that_are_not_read_have_nothing_and_equal_ones_the_same(method):
    net = one_hidden(4)
    params = jax.tree.map(np.array, net.params)
    params["dense0"]["weight"][3] = 0
    params["dense0"]["weight"][1] = params["dense0"]["weight"][0]
    x, background = X.copy(), BACKGROUND.copy()
    x[:, 1], background[:, 1] = x[:, 0], background[:, 0]
    found = np.asarray(method(net.model, params, net.state, x, background).values)
    assert np.abs(found[:, 3]).max() < 1e-12 < np.abs(found[:, 2]).max()
    assert_close(found[:, 0], found[:, 1], "oracle")


def test_sequences_categories_and_float32():
    layer = ja.layers
    model = layer.sequential({"read": layer.gru(3), "last": layer.last_position(), "out": layer.dense(2)})
    x = RANDOM.normal(size=(2, 5, 3)).astype(np.float32)
    params, state = model.init(jax.random.key(0), x)
    found = exact_shap(model, params, state, x, x[::-1], target=1)
    assert found.values.shape == (2, 3) and found.values.dtype == np.float32
    seen = ja.predict(model, params, state, x)[:, 1]
    assert_close(found.values.sum(1) + found.expected, seen, "program")
    mixed = layer.sequential({
        "inputs": layer.parallel({"age": layer.dense(2), "town": layer.embedding(4, 2)}),
        "joined": layer.concatenate(), "out": layer.dense(1),
    })  # fmt: skip
    rows = {"age": x[:, 0, :2], "town": np.array([3, 1], np.int32)}
    params, state = mixed.init(jax.random.key(0), rows)
    found = exact_shap(mixed, params, state, rows, rows)
    assert found.names == ("age[0]", "age[1]", "town")
    table, front = params["inputs"]["town"]["weight"], params["out"]["weight"][2:, 0]
    town = np.asarray(table[rows["town"]] @ front)
    assert_close(found.values[:, 2], town - town.mean(), "training")


def test_small_batches_give_the_same():
    net = one_hidden(4)
    given = net.model, jax.tree.map(lambda a: a.astype(np.float32), net.params), net.state, X.astype(np.float32)
    whole = exact_shap(*given, BACKGROUND.astype(np.float32))
    assert_close(exact_shap(*given, BACKGROUND, batch_size=30).values, whole.values, "program")


def test_bad_input_is_refused():
    net = linear(4, 3)
    x, background = X.astype(np.float32), BACKGROUND.astype(np.float32)
    given = net.model, jax.tree.map(lambda a: a.astype(np.float32), net.params), net.state
    for method in (exact_shap, kernel_shap):
        assert_input_error(lambda m=method: m(*given, x, background, target=3), "target", expected="0..2")
        assert_input_error(
            lambda m=method: m(*given, x, background[:, :3], target=0), "background", expected="(rows, 4)"
        )
        assert_input_error(lambda m=method: m(*given, x, background[:0], target=0), "background")
        assert_input_error(lambda m=method: m(*given, x[:0], background, target=0), "x")
        assert_input_error(lambda m=method: m(*given, x * np.nan, background, target=0), "x", expected="finite")
        for groups in ([], "a", 3, [[0], [1]], [[0, 1], [1, 2, 3]], [[0, 1, 2, 4]], [[-1, 0, 1, 2]], [[], [0, 1, 2, 3]],
                       [[0.0, 1.0, 2.0, 3.0]], [0, 1, 2, 3], [[[0], [1, 2, 3]]]):  # fmt: skip
            assert_input_error(lambda m=method, g=groups: m(*given, x, background, target=0, groups=g), "groups")
        wide = linear(20)
        own = wide.model, jax.tree.map(lambda a: a.astype(np.float32), wide.params), wide.state
        many = np.ones((2, 20), np.float32)
        message = assert_input_error(lambda m=method, o=own, x=many: m(*o, x, x), "columns", given="20, with 2^20")
        assert "groups=" in message and "samples=" in message
    assert_input_error(lambda: kernel_shap(*given, x, background, target=0, samples=8), "key")
    assert_input_error(
        lambda: kernel_shap(*given, x, background, target=0, samples=7, key=KEY), "samples", expected="8"
    )
    assert_input_error(lambda: kernel_shap(*given, x, background, target=0, samples=0, key=KEY), "samples")


def test_missing_numbers_are_refused_where_the_model_fills_in_others():
    fills = ja.preprocessing.by_columns(
        {"filled": ja.preprocessing.impute(), "rest": None}, columns={"filled": (0,), "rest": (1,)}
    )
    net = ja.layers.sequential({"prepare": ja.layers.preprocess(fills), "out": ja.layers.dense(1)})
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    params, state = net.init(KEY, x)
    given = net, params, ja.layers.fit_preprocessing(net, params, state, x)
    holes = {column: np.where(np.arange(12).reshape(6, 2) == 4 + column, np.nan, x) for column in (0, 1)}
    assert np.isfinite(exact_shap(*given, holes[0], x).values).all()
    for call, argument in (
        (lambda: exact_shap(*given, holes[1], x), "x, columns 'rest'"),
        (lambda: exact_shap(*given, x, holes[1]), "background, columns 'rest'"),
        (lambda: ja.diagnose.permutation_importance(*given, (holes[1], x[:, :1]), ja.metrics.mse, key=KEY), "data x"),
    ):
        assert_input_error(call, argument, given="row 2, column 0")
