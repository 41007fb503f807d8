"""JAX's checks, turned on to find a fault: every verb works, and a NaN of the user's own is found and named."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
KEY = jax.random.key(0)
FLAGS = {
    "jax_debug_nans": (jax.debug_nans,),
    "jax_debug_infs": (jax.debug_infs,),
    "both": (jax.debug_nans, jax.debug_infs),
    "jax_debug_key_reuse": (jax.debug_key_reuse,),
}


@contextlib.contextmanager
def _on(flag: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for switch in FLAGS[flag]:
            stack.enter_context(switch(True))
        yield


def _build(hyper: dict[str, Any]) -> Any:
    return ja.recipe(
        ja.models.mlp((3, 2), dropout=0.1), ja.losses.softmax_cross_entropy, ja.optimizers.adam(hyper["rate"]),
        metrics={"accuracy": ja.metrics.accuracy}, stopping=ja.train.early_stopping(1), batch_size=8,
    )  # fmt: skip


def _smooth(hyper: dict[str, Any]) -> Any:
    return _build(hyper).replace(optimizer=ja.optimizers.sgd(hyper["rate"]), stopping=None)


RECIPE, DATA, RATES = _build({"rate": 0.5}), (X, Y), {"rate": [0.5, 0.1]}
PARAMS, STATE = RECIPE.model.init(KEY, X)


def _plateau() -> Any:
    rate = ja.schedules.reduce_on_plateau(0.1, patience=1)
    return ja.fit(RECIPE.replace(optimizer=ja.optimizers.sgd(rate)), DATA, validation=DATA, key=KEY, epochs=3)


VERBS: dict[str, Callable[[], Any]] = {
    "fit": lambda: ja.fit(RECIPE, DATA, validation=DATA, key=jax.random.key(1), epochs=6),
    "fit with a plateau": _plateau,
    "make_run": lambda: jax.jit(ja.train.make_run(RECIPE, epochs=9))(jax.random.key(2), DATA, DATA),
    "predict": lambda: ja.predict(RECIPE, PARAMS, STATE, X),
    "evaluate": lambda: ja.train.evaluate(RECIPE, PARAMS, STATE, DATA),
    "fit_population": lambda: ja.train.fit_population(
        _build, RATES, DATA, validation=DATA, keys=jax.random.split(jax.random.key(3), 2), epochs=6
    ).predict(X),
    "cross_validate": lambda: ja.tune.cross_validate(_build, RATES, DATA, folds=2, key=jax.random.key(4), epochs=3),
    "hypergradient": lambda: ja.tune.hypergradient(_smooth, {"rate": 0.1}, DATA, DATA, key=jax.random.key(5), epochs=2),
}


@pytest.mark.parametrize("flag", ["both", "jax_debug_key_reuse"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_under_a_check_what_it_does_without(verb: str, flag: str):
    def figures() -> list[np.ndarray]:
        found = VERBS[verb]()
        found = found.scores if hasattr(found, "scores") and not isinstance(found, tuple) else found
        found = found.history if hasattr(found, "history") else found
        return [np.asarray(leaf) for leaf in jax.tree.leaves(found) if not callable(leaf)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with _on(flag):
            checked = figures()
        plain = figures()
    for a, b in zip(checked, plain, strict=True):
        absent = a == np.finfo(np.float32).max  # of epochs that make_run did not run
        np.testing.assert_array_equal(np.where(absent, np.nan, a), b)


def _log_of_a_negative(predictions, targets):
    return jnp.log(-jnp.abs(predictions[:, 0]) - 1.0)


def _over(predictions, targets):
    return jnp.exp(jnp.abs(predictions[:, 0]) + 100.0)


@pytest.mark.parametrize(
    ("flag", "loss", "named"),
    [("jax_debug_nans", _log_of_a_negative, "nan.*log"), ("jax_debug_infs", _over, "inf.*exp")],
)
def test_a_fault_in_a_loss_is_found_and_its_operation_named(flag: str, loss: Any, named: str):
    recipe = ja.recipe(ja.layers.dense(1), loss, ja.optimizers.sgd(0.1), batch_size=24)
    with _on(flag), pytest.raises(FloatingPointError, match=named):
        ja.fit(recipe, DATA, key=KEY, epochs=1)


@pytest.mark.parametrize(("flag", "absent"), [("jax_debug_nans", np.inf), ("jax_debug_infs", np.nan)])
def test_epochs_that_were_not_run_are_no_fault(flag: str, absent: float):
    recipe = RECIPE.replace(stopping=ja.train.early_stopping(1, min_delta=1e9, monitor="loss"), metrics={})
    with _on(flag):
        found = jax.jit(ja.train.make_run(recipe, epochs=4))(KEY, DATA)
    np.testing.assert_array_equal(found.history["loss"][2:], [absent] * 2)


def test_a_fault_in_a_metric_is_found_and_the_metric_named():
    recipe = RECIPE.replace(metrics={"odd": lambda p, t: jnp.sum(p) * jnp.nan})
    with _on("jax_debug_nans"), pytest.raises(FloatingPointError, match="'odd' is nan in epoch 0"):
        ja.fit(recipe, DATA, validation=DATA, key=KEY, epochs=2)


def test_a_fault_in_predictions_is_found():
    model = ja.layers.elementwise(lambda x: jnp.log(-jnp.abs(x) - 1.0))
    with _on("jax_debug_nans"), pytest.raises(FloatingPointError, match="nan"):
        ja.predict(model, {}, {}, X)


def test_without_jit_a_run_is_the_same():
    recipe = ja.recipe(ja.layers.dense(1), ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=4)
    with jax.disable_jit():
        found = ja.fit(recipe, (X[:4], X[:4, :1]), key=KEY, epochs=1)
    wanted = ja.fit(recipe, (X[:4], X[:4, :1]), key=KEY, epochs=1)
    np.testing.assert_allclose(found.history["loss"], wanted.history["loss"], rtol=1e-5)
