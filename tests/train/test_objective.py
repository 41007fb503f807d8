"""What training minimizes: the mean loss of what counts, penalties, mixtures; and the weights a run begins with."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.augmentation import Augment, Mixed
from jaxann.core.factories import factory
from jaxann.core.products import Penalty
from jaxann.train.objective import loss_sums
from tests.contract import assert_input_error
from tests.train.problems import FITTED_BY

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype(np.float32)
Y = RANDOM.integers(0, 4, 40).astype(np.int32)
CLASS_WEIGHTS = (1.0, 0.5, 2.0, 3.0)
MODEL = ja.layers.dense(4)
KEY = jax.random.key(0)
cross_entropy = ja.losses.softmax_cross_entropy


@factory(Penalty)
def own_penalty(strength):
    """strength times the sum of squares of all weights."""
    return lambda params: strength * sum(jnp.sum(p * p) for p in jax.tree.leaves(params))


@factory(Augment)
def own_mixture(share):
    """The examples mixed with their mirror image in the batch."""

    def augment(key, x, y, mask):
        s = jnp.asarray(share, x.dtype)
        return s * x + (1 - s) * x[::-1], Mixed(y, y[::-1], jnp.broadcast_to(s, x.shape[:1]))

    return augment


def _logits(params: dict, x: np.ndarray = X) -> np.ndarray:
    return x @ np.asarray(params["weight"]) + np.asarray(params["bias"])


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits).astype(np.float64)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]


def fit(model, loss, optimizer, train, **settings) -> ja.train.Result:
    """One run in the order of the examples; settings are the recipe's or of `fit`."""
    how = {name: value for name, value in settings.items() if name in FITTED_BY}
    setting = {name: value for name, value in settings.items() if name not in FITTED_BY}
    return ja.fit(ja.recipe(model, loss, optimizer, shuffle=False, **setting), train, key=KEY, **how)


def _start(**settings) -> tuple[dict, dict]:
    result = fit(MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=0, **settings)
    return result.params, result.state


def test_penalty_is_part_of_the_objective_and_of_the_training_loss_alone():
    penalty, optimizer = own_penalty(0.3), ja.optimizers.sgd(0.1)
    params, _ = _start()
    bare = fit(MODEL, cross_entropy, optimizer, (X, Y), epochs=1, batch_size=40, validation=(X, Y))
    held = fit(MODEL, cross_entropy, optimizer, (X, Y), epochs=1, batch_size=40, validation=(X, Y), penalty=penalty)
    assert float(penalty(params)) > 0.1
    np.testing.assert_allclose(held.history["loss"], bare.history["loss"] + penalty(params), rtol=1e-6)
    for name, p in params.items():  # the step of plain descent has the penalty's gradient besides
        np.testing.assert_allclose(held.params[name], bare.params[name] - 0.1 * 0.6 * p, atol=1e-6)
    value = _cross_entropy(_logits(held.params), Y).mean()
    np.testing.assert_allclose(held.history["validation_loss"], value, rtol=1e-5)
    for bad in (0.1, lambda params: 0.0):
        assert_input_error(
            lambda bad=bad: fit(MODEL, cross_entropy, optimizer, (X, Y), epochs=1, penalty=bad), "penalty"
        )


def test_members_may_have_penalties_of_their_own():
    def build(hyper):
        return ja.recipe(MODEL, cross_entropy, ja.optimizers.sgd(0.1), penalty=own_penalty(hyper["strength"]))

    keys = jax.random.split(jax.random.key(0), 3)
    many = ja.train.fit_population(build, {"strength": [0.0, 0.1, 0.5]}, (X, Y), keys=keys, epochs=3, batch_size=16)
    one = ja.fit(build({"strength": 0.5}), (X, Y), key=keys[2], epochs=3, batch_size=16)
    np.testing.assert_allclose(many.params["weight"][2], one.params["weight"], rtol=1e-5, atol=1e-6)
    assert len(many.groups) == 1


def test_class_weights_and_ignored_labels_give_the_weighted_mean_in_training_and_validation():
    torch = pytest.importorskip("torch")
    labels = np.where(np.arange(40) % 7 == 0, -100, Y).astype(np.int32)
    loss = functools.partial(cross_entropy, class_weights=jnp.array(CLASS_WEIGHTS), ignore_index=-100)
    result = fit(
        MODEL, loss, ja.optimizers.sgd(0.0), (X, labels), epochs=1, batch_size=16, validation=(X, labels)
    )  # fmt: skip
    recipe = ja.recipe(MODEL, loss, ja.optimizers.sgd(0.0))
    cut = ja.train.evaluate(recipe, result.params, result.state, (X, labels), batch_size=12)
    np.testing.assert_allclose(cut["loss"], result.history["validation_loss"][-1], rtol=1e-6)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(_logits(result.params)), torch.tensor(labels, dtype=torch.int64),
        weight=torch.tensor(CLASS_WEIGHTS), ignore_index=-100,
    )  # fmt: skip
    np.testing.assert_allclose(result.history["validation_loss"], [float(expected)], rtol=1e-5)
    np.testing.assert_allclose(result.history["loss"], [float(expected)], rtol=1e-5)


def test_mixture_is_the_loss_of_mixed_distributions():
    params, state = _start()
    mixed = fit(
        MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=1, batch_size=40, augment=own_mixture(0.3)
    )  # fmt: skip
    one_hot = np.eye(4, dtype=np.float32)[Y]
    by_hand = fit(
        MODEL, ja.losses.softmax_cross_entropy_dense, ja.optimizers.sgd(0.1),
        (0.3 * X + 0.7 * X[::-1], 0.3 * one_hot + 0.7 * one_hot[::-1]),
        epochs=1, batch_size=40, initial=(params, state),
    )  # fmt: skip
    np.testing.assert_allclose(mixed.history["loss"], by_hand.history["loss"], rtol=1e-6)
    np.testing.assert_allclose(mixed.params["weight"], by_hand.params["weight"], rtol=1e-5, atol=1e-7)


def test_the_end_of_a_mixture_leaves_the_other_target_out():
    def values(predictions, targets):
        return predictions / targets

    targets = Mixed(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0]), jnp.array([1.0, 0.5]))
    total, weight = loss_sums(values, jnp.array([3.0, 4.0]), targets, None)
    assert (float(total), float(weight)) == (3.0 + 1.5, 2.0)


def test_run_begins_with_the_weights_given():
    params, state = _start()
    same = fit(MODEL, cross_entropy, ja.optimizers.adam(0.01), (X, Y), epochs=3, batch_size=16)
    again = fit(
        MODEL, cross_entropy, ja.optimizers.adam(0.01), (X, Y), epochs=3, batch_size=16, initial=(params, state)
    )
    np.testing.assert_array_equal(again.params["weight"], same.params["weight"])
    run = ja.train.make_run(ja.recipe(MODEL, cross_entropy, ja.optimizers.sgd(0.1)), epochs=0, batch_size=16)
    other = jax.tree.map(lambda p: p + 1, params)
    np.testing.assert_array_equal(run(jax.random.key(0), (X, Y), initial=(other, state)).params["bias"], other["bias"])


@pytest.mark.parametrize("case", ["shape", "name", "dtype", "no pair", "resume"])
def test_initial_weights_of_another_model_are_refused(case: str):
    params = {"weight": np.zeros((3, 4), np.float32), "bias": np.zeros(4, np.float32)}
    wrong = {
        "shape": params | {"bias": np.zeros(5, np.float32)},
        "name": {"weight": params["weight"], "offset": params["bias"]},
        "dtype": params | {"bias": np.zeros(4, np.float16)},
    }
    if case == "resume":
        begun = fit(MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=1, batch_size=40)
        again = functools.partial(fit, MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=2, batch_size=40)
        assert_input_error(lambda: again(initial=(params, {}), resume=begun), "initial", given="both")
        return
    initial = params if case == "no pair" else (wrong[case], {})
    expected = {"shape": "(4,)", "name": "float32 of shape (4,)", "dtype": "float32", "no pair": "(params, state)"}
    assert_input_error(
        lambda: fit(MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=1, initial=initial),
        "initial", expected=expected[case],
    )  # fmt: skip


def test_averaged_weights_are_measured_kept_and_have_statistics_of_their_own():
    model = ja.models.mlp((6, 4), activation="identity", batch_norm=True)
    average = ja.optimizers.ema(ja.optimizers.sgd(0.5, momentum=0.9), 0.9)
    settings = {"epochs": 4, "batch_size": 16, "validation": (X, Y)}
    result = fit(model, cross_entropy, average, (X, Y), **settings)
    hidden = X @ np.asarray(result.params["dense0"]["weight"])
    batches = [hidden[:16], hidden[16:32], hidden[32:]]
    mean = sum(len(b) * b.mean(0) for b in batches) / 40
    variance = sum(len(b) * b.var(0) for b in batches) / 40
    np.testing.assert_allclose(result.state["norm0"]["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(result.state["norm0"]["var"], variance, rtol=1e-4)
    logits = ja.predict(model, result.params, result.state, X)
    np.testing.assert_allclose(result.history["validation_loss"][-1], _cross_entropy(logits, Y).mean(), rtol=1e-5)

    stepping = result.carry.trained
    assert np.abs(np.asarray(stepping.params["dense1"]["weight"] - result.params["dense1"]["weight"])).max() > 1e-3
    first = fit(model, cross_entropy, average, (X, Y), **settings | {"epochs": 2})
    resumed = fit(model, cross_entropy, average, (X, Y), **settings, resume=first)
    np.testing.assert_array_equal(resumed.params["dense1"]["weight"], result.params["dense1"]["weight"])
    best = fit(model, cross_entropy, average, (X, Y), **settings, stopping=ja.train.early_stopping(10))
    logits = ja.predict(model, best.params, best.state, X)
    assert best.best_epoch == np.argmin(result.history["validation_loss"])
    np.testing.assert_allclose(_cross_entropy(logits, Y).mean(), best.history["validation_loss"].min(), rtol=1e-5)

    def build(hyper):
        optimizer = ja.optimizers.ema(ja.optimizers.sgd(hyper["rate"], momentum=0.9), 0.9)
        return ja.recipe(model, cross_entropy, optimizer, shuffle=False)

    keys = jnp.stack([jax.random.key(0)] * 2)
    many = ja.train.fit_population(build, {"rate": [0.1, 0.5]}, (X, Y), keys=keys, **settings)
    np.testing.assert_allclose(many.params["dense1"]["weight"][1], result.params["dense1"]["weight"], atol=1e-5)
    np.testing.assert_allclose(many.state["norm0"]["mean"][1], result.state["norm0"]["mean"], atol=1e-5)


def test_optimizer_is_given_the_objective_of_its_batch():
    seen = []

    def update(grads, state, params, *, value, value_fn, grad):
        again, slope = jax.value_and_grad(value_fn)(params)
        gap = sum(jnp.abs(a - b).max() for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(grads), strict=True))
        jax.debug.callback(lambda *v: seen.append(tuple(map(float, v))), value, again, gap)
        return jax.tree.map(lambda g: -0.1 * g, grads), state

    model = ja.models.mlp((8, 4), dropout=0.5)
    fit(
        model, cross_entropy, ja.optimizers.custom(lambda params: (), update), (X, Y), epochs=2, batch_size=16,
        penalty=own_penalty(0.1), augment=own_mixture(0.8),
    )  # fmt: skip
    jax.effects_barrier()
    assert len(seen) == 6 and len({value for value, _, _ in seen}) == 6
    for value, again, gap in seen:
        assert value == pytest.approx(again, rel=1e-6) and gap < 1e-6


def test_line_search_of_optax_runs_inside_fit():
    optax = pytest.importorskip("optax")
    result = fit(MODEL, cross_entropy, optax.lbfgs(memory_size=3), (X, Y), epochs=20, batch_size=40)
    slow = fit(MODEL, cross_entropy, ja.optimizers.sgd(0.1), (X, Y), epochs=20, batch_size=40)
    assert result.history["loss"][-1] < slow.history["loss"][-1]


def test_a_gradient_taken_elsewhere_that_is_not_finite_is_a_bad_step():
    positive = np.abs(X[:, :1])
    climb = ja.optimizers.sam(ja.optimizers.sgd(0.01), rho=200.0)
    with pytest.warns(ja.DivergedWarning):
        result = fit(
            ja.layers.dense(1), ja.losses.poisson_nll, climb, (X, positive), epochs=3, batch_size=20,
            on_nonfinite="skip",
        )  # fmt: skip
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))


def test_statistics_of_averaged_weights_leave_out_a_batch_that_is_not_finite():
    model = ja.models.mlp((6, 4), batch_norm=True)
    x = X.copy()
    x[7] = 1e6  # beyond float16
    with pytest.warns(ja.DivergedWarning):
        result = fit(
            model, cross_entropy, ja.optimizers.ema(ja.optimizers.sgd(0.1), 0.9), (x, Y), epochs=2, batch_size=16,
            validation=(X, Y), compute_dtype="float16", on_nonfinite="skip",
        )  # fmt: skip
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((result.params, result.state)))
    assert np.isfinite(result.history["validation_loss"]).all()
