"""The recipe: a product whose leaves are its numbers, checked when it is made, and obeyed by every verb."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.factories import batch_axes
from jaxann.train import early_stopping
from tests.contract import assert_input_error
from tests.train.problems import compiles

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1 * RANDOM.normal(size=(24, 1))).astype(np.float32)
MODEL, LOSS = ja.layers.dense(1), functools.partial(ja.losses.huber, delta=1.5)
KEY = jax.random.key(0)


def made(rate: Any = 0.1, **changes: Any) -> Any:
    setting = {"model": MODEL, "loss": LOSS, "optimizer": ja.optimizers.sgd(rate)}
    return ja.recipe(**(setting | changes))


FULL = {
    "model": ja.models.mlp((4, 1), dropout=0.25),
    "optimizer": ja.optimizers.adam(0.01, b1=0.8),
    "metrics": {"z": functools.partial(ja.metrics.f_beta, beta=2.0, average="macro"), "a": ja.metrics.mae},
    "penalty": ja.regularizers.l2_penalty(0.001),
    "augment": ja.data.mixup(0.3),
    "stopping": early_stopping(7, min_delta=0.125),
    "compute_dtype": "bfloat16", "on_nonfinite": "skip", "shuffle": False, "batch_size": 8, "epochs": 3,
}  # fmt: skip


def test_leaves_are_exactly_the_numbers_that_may_change_without_a_new_program():
    numbers = sorted(float(leaf) for leaf in jax.tree.leaves(made(**FULL)))
    adam = sorted(float(leaf) for leaf in jax.tree.leaves(FULL["optimizer"]))
    expected = sorted([*adam, 0.25, 1.5, 2.0, 0.001, 0.3, 7.0, 0.125])
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)
    bare = made()
    assert sorted(map(float, jax.tree.leaves(bare))) == sorted([1.5, *map(float, jax.tree.leaves(bare.optimizer))])
    for change in ({"batch_size": 9}, {"epochs": 4}, {"shuffle": True}, {"compute_dtype": None}, {"stopping": None}):
        assert jax.tree.structure(made(**(FULL | change))) != jax.tree.structure(made(**FULL)), change
    assert jax.tree.structure(made(0.1)) == jax.tree.structure(made(0.2))


def test_arguments_are_attributes_and_metrics_keep_their_order():
    recipe = made(**FULL)
    assert list(recipe.metrics) == ["z", "a"] and recipe.augment == (FULL["augment"],)
    assert recipe.columns(True)[3:] == ("z", "a", "validation_loss", "validation_z", "validation_a")
    for name in ("model", "optimizer", "penalty", "stopping", "compute_dtype", "on_nonfinite", "batch_size", "epochs"):
        assert getattr(recipe, name) == FULL[name]
    through = jax.tree.unflatten(*jax.tree.flatten(recipe)[::-1])
    assert list(through.metrics) == ["z", "a"]
    stopping = recipe.stopping
    assert (stopping.patience, stopping.min_delta, stopping.mode) == (7, 0.125, None)
    assert (stopping.monitor, stopping.restore_best) == ("validation_loss", True)


def test_equal_by_value_shown_as_the_call_replaced_and_pickled():
    recipe = made(**FULL)
    assert recipe == made(**FULL) and hash(recipe) == hash(made(**FULL))
    assert recipe != made(**(FULL | {"optimizer": ja.optimizers.adam(0.02, b1=0.8)}))
    assert recipe.replace(epochs=None) == made(**(FULL | {"epochs": None})) != recipe
    assert_input_error(lambda: recipe.replace(epochs=-1), "epochs", given="-1")
    shown = repr(made(metrics={}, stopping=early_stopping(3), epochs=2))
    assert shown.startswith("recipe(model=dense(units=1), loss=") and "optimizer=sgd(learning_rate=0.1)" in shown
    assert shown.endswith("stopping=early_stopping(patience=3), epochs=2)")
    names = {"recipe": ja.recipe, "dense": ja.layers.dense, "sgd": ja.optimizers.sgd}
    plain = ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.5), shuffle=False, batch_size=4)
    text = repr(plain)
    assert text.count("shuffle=False") == text.count("batch_size=4") == 1 and "stopping" not in text
    assert all(name in text for name in names)
    again = pickle.loads(pickle.dumps(plain))
    assert again == plain and jax.tree.structure(again) == jax.tree.structure(plain)
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_vmap_over_a_recipe_is_its_single_runs():
    rates = [0.05, 0.1, 0.2]
    run = functools.partial(ja.train.make_run, epochs=3, batch_size=10)
    many = made(jnp.asarray(rates, jnp.float32))
    together = jax.jit(jax.vmap(lambda r: run(r)(KEY, (X, Y)), in_axes=(batch_axes(many),)))(many)
    alone = jax.jit(lambda r: run(r)(KEY, (X, Y)))
    for place, rate in enumerate(rates):
        one = alone(made(np.float32(rate)))
        np.testing.assert_allclose(together.history["loss"][place], one.history["loss"], rtol=1e-5)
        np.testing.assert_allclose(together.params["weight"][place], one.params["weight"], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_gradient_by_a_recipe_is_the_hypergradient():
    x, y = X.astype(np.float64), Y.astype(np.float64)
    recipe = ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.05, momentum=0.9))

    def final(recipe):
        run = ja.train.make_run(recipe, epochs=3, batch_size=10)
        return run(KEY, (x[:16], y[:16]), (x[16:], y[16:])).history["validation_loss"][-1]

    by_recipe = jax.jit(jax.grad(final, allow_int=True))(recipe)

    def build(hyper):
        return ja.recipe(
            MODEL, ja.losses.squared_error, ja.optimizers.sgd(hyper["rate"], momentum=hyper["momentum"])
        )  # fmt: skip

    _, found = ja.tune.hypergradient(
        build, {"rate": 0.05, "momentum": 0.9}, (x[:16], y[:16]), (x[16:], y[16:]), key=KEY, epochs=3, batch_size=10
    )
    assert abs(found["rate"]) > 1e-3
    np.testing.assert_allclose(by_recipe.optimizer.arguments["learning_rate"], found["rate"], rtol=1e-8)
    np.testing.assert_allclose(by_recipe.optimizer.arguments["momentum"], found["momentum"], rtol=1e-8)


REFUSED = {
    "model": ({"model": (3, 4)}, "model", "(3, 4)"),
    "loss": ({"loss": "mse"}, "loss", "'mse'"),
    "no loss": ({"loss": None}, "loss", "None"),
    "loss of predictions alone": ({"loss": lambda p: p.mean()}, "loss", "<lambda>(p)"),
    "loss of too much": ({"loss": lambda p, t, w: p.mean()}, "loss", "<lambda>(p, t, w)"),
    "schedule for a loss": ({"loss": ja.schedules.constant(1.0)}, "loss", "Schedule(step"),
    "optimizer": ({"optimizer": "adam"}, "optimizer", "'adam'"),
    "metrics": ({"metrics": [ja.metrics.mae]}, "metrics", "list"),
    "metric": ({"metrics": {"a": 3}}, "metrics['a']", "3"),
    "metric by name": ({"metrics": {"a": "mae"}}, "metrics['a']", "'mae'"),
    "metric of predictions alone": ({"metrics": {"a": lambda p: p.mean()}}, "metrics['a']", "(p)"),
    "metric of nothing": ({"metrics": {"a": lambda: 0.0}}, "metrics['a']", "()"),
    "metric of too much": ({"metrics": {"a": lambda p, t, w, more: p.mean()}}, "metrics['a']", "(p, t, w, more)"),
    "metric by keyword": ({"metrics": {"a": lambda p, t, *, k: p.mean()}}, "metrics['a']", "(p, t, *, k)"),
    "schedule for a metric": ({"metrics": {"a": ja.schedules.constant(1.0)}}, "metrics['a']", "(step"),
    "name of a column": ({"metrics": {"loss": ja.metrics.mae}}, "each metric's name", "'loss'"),
    "name of validation": ({"metrics": {"validation_a": ja.metrics.mae}}, "each metric's name", "'validation_a'"),
    "name no string": ({"metrics": {3: ja.metrics.mae}}, "each metric's name", "3"),
    "penalty": ({"penalty": 0.1}, "penalty", "0.1"),
    "augment": ({"augment": "flip"}, "augment", "flip"),
    "one of augment": ({"augment": (ja.data.mixup(0.2), 3)}, "augment", "3"),
    "stopping": ({"stopping": 5}, "stopping", "5"),
    "what stopping monitors": ({"stopping": early_stopping(monitor="accuracy")}, "monitor of stopping", "'accuracy'"),
    "compute_dtype": ({"compute_dtype": "float8"}, "compute_dtype", "'float8'"),
    "on_nonfinite": ({"on_nonfinite": "ignore"}, "on_nonfinite", "'ignore'"),
    "shuffle": ({"shuffle": 1}, "shuffle", "1"),
    "batch_size": ({"batch_size": 0}, "batch_size", "0"),
    "batch_size real": ({"batch_size": 2.5}, "batch_size", "2.5"),
    "epochs": ({"epochs": -1}, "epochs", "-1"),
    "epochs real": ({"epochs": 1.5}, "epochs", "1.5"),
    "keyword": ({"metric": {}}, "each keyword", "'metric'"),
}
STOPPING_REFUSED = {
    "patience 0": ({"patience": 0}, "patience", "0"),
    "patience real": ({"patience": 2.5}, "patience", "2.5"),
    "min_delta": ({"min_delta": -0.1}, "min_delta", "-0.1"),
    "monitor": ({"monitor": 3}, "monitor", "3"),
    "mode": ({"mode": "least"}, "mode", "'least'"),
    "restore_best": ({"restore_best": "yes"}, "restore_best", "'yes'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_argument_is_refused_when_the_recipe_is_made(case: str):
    change, argument, given = REFUSED[case]
    assert_input_error(lambda: made(**change), argument, given=given)


@pytest.mark.parametrize("case", STOPPING_REFUSED)
def test_each_argument_of_early_stopping_is_refused(case: str):
    change, argument, given = STOPPING_REFUSED[case]
    assert_input_error(lambda: early_stopping(**change), argument, given=given)


def _build(hyper: dict[str, Any], **settings: Any) -> Any:
    return made(hyper["rate"], **settings)


OWN = functools.partial(_build, epochs=2, batch_size=10)  # 24 rows: 3 steps an epoch
VERBS = {
    "fit": lambda **how: ja.fit(OWN({"rate": 0.1}), (X, Y), key=KEY, **how),
    "make_run": lambda **how: ja.train.make_run(OWN({"rate": 0.1}), **how)(KEY, (X, Y)),
    "export_run": lambda **how: ja.train.export_run(None, OWN, {"rate": 0.1}, (X, Y), **how),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("argument", "value"), [("epochs", 3), ("batch_size", 12)])
def test_what_the_recipe_has_of_its_own_is_not_given_twice(verb: str, argument: str, value: int):
    message = assert_input_error(lambda: VERBS[verb](**{argument: value}), argument, given=str(value))
    assert "left out where the recipe has its own" in message


def test_a_recipe_without_epochs_needs_them():
    bare = made()
    assert_input_error(lambda: ja.fit(bare, (X, Y), key=KEY), "epochs", given="None")
    assert_input_error(lambda: ja.train.make_run(bare), "epochs", given="None")


def test_every_verb_uses_the_recipe_s_own_epochs_and_batch_size():
    expected = ja.fit(made(), (X, Y), key=KEY, epochs=2, batch_size=10)
    other = ja.fit(made(), (X, Y), key=KEY, epochs=2, batch_size=12)
    assert np.abs(np.asarray(expected.params["weight"] - other.params["weight"])).max() > 1e-4

    def same(weight, history):
        np.testing.assert_allclose(weight, expected.params["weight"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(history, expected.history["loss"], rtol=1e-5)

    result = VERBS["fit"]()
    same(result.params["weight"], result.history["loss"])
    result = VERBS["make_run"]()
    same(result.params["weight"], result.history["loss"])
    result = VERBS["export_run"]().call(np.uint32(0), {"rate": np.float32(0.1)}, (X, Y))
    same(result["params"]["weight"], result["history"]["loss"])
    many = ja.train.fit_population(OWN, {"rate": [0.1, 0.2]}, (X, Y), keys=jnp.stack([KEY, KEY]))
    same(many.params["weight"][0], many.history["loss"][0])
    table = ja.tune.cross_validate(OWN, {"rate": [0.1]}, (X, Y), key=KEY, folds=2)
    assert (table.epochs == 2).all()


def test_other_numbers_in_a_recipe_compile_nothing():
    def once(**changes):
        setting = {"rate": 0.1, "loss": LOSS, "stopping": early_stopping(2, min_delta=0.0, monitor="loss")}
        setting |= {"penalty": ja.regularizers.l2_penalty(0.001), "epochs": 3} | changes
        ja.fit(made(setting.pop("rate"), **setting), (X, Y), key=KEY)

    once(batch_size=8)
    before = compiles()
    once(batch_size=8, rate=0.2)
    once(batch_size=8, loss=functools.partial(ja.losses.huber, delta=0.5))
    once(batch_size=8, penalty=ja.regularizers.l2_penalty(0.1))
    once(batch_size=8, stopping=early_stopping(1, min_delta=0.5, monitor="loss"))
    once(batch_size=8, epochs=4)
    once(batch_size=8, on_nonfinite="skip")
    once(batch_size=8, on_nonfinite="raise")
    assert compiles() == before


@pytest.mark.parametrize("monitor", ["accuracy", "validation_accuracy"])
def test_what_is_better_is_what_the_metric_declares(monitor: str):
    metrics = {"accuracy": ja.metrics.accuracy}

    def build(mode):
        stopping = early_stopping(monitor=monitor, mode=mode)
        return ja.recipe(MODEL, LOSS, ja.optimizers.sgd(0.1), metrics=metrics, stopping=stopping)

    assert build("max").mode == "max"
    assert_input_error(lambda: build("min"), "mode of stopping", given="min", expected="more is better")
    loss_only = early_stopping(monitor="validation_loss", mode="max")
    assert_input_error(lambda: ja.recipe(MODEL, LOSS, ja.optimizers.sgd(0.1), stopping=loss_only), "mode of stopping")
