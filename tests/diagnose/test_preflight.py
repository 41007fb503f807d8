"""Before training: each planted fault of net and settings is named first, a sound recipe is left in peace, and the
first remedy of each is a recipe that trains."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import factory
from jaxann.core.products import Initializer
from jaxann.diagnose.preflight import _first_losses
from jaxann.diagnose.remedies import rated, rewritten, with_activation
from jaxann.diagnose.signals import signal_verdicts
from jaxann.train.batches import Batch
from tests.train.problems import digits

KEY = jax.random.key(1)
loss = ja.losses.softmax_cross_entropy


def _recipe(model, optimizer=None) -> ja.train.Recipe:
    return ja.recipe(model, loss, optimizer or ja.optimizers.adam(1e-3))


def _deep(activation: str, depth: int, **changes):
    return ja.models.mlp((24,) * depth + (10,), activation=activation, **changes)


def _wide(deviation: float):
    return ja.initializers.normal(deviation)


@factory(Initializer)
def below():
    """Weights that make every unit negative for inputs that are not."""
    return lambda key, shape, dtype: -abs(ja.initializers.he_normal()(key, shape, dtype))


NETS = {
    "vanishing": _deep("sigmoid", 9),
    "exploding": _deep("relu", 9, kernel_init=_wide(2.0)),
    "collapsed": _deep("tanh", 9, kernel_init=_wide(0.02)),
    "dead": _deep("relu", 2, kernel_init=below()),
    "saturated": _deep("tanh", 2, kernel_init=_wide(2.0)),
    "healthy": _deep("relu", 3),
    "healthy with norms": _deep("tanh", 6, batch_norm=True),
}


@pytest.mark.parametrize("name", NETS)
def test_signals_of_a_fresh_net_are_judged(name: str):
    recipe, kind = _recipe(NETS[name]), name.split()[0]
    found = signal_verdicts(recipe, ja.diagnose.probe(recipe, digits()[0], key=KEY, batch_size=64).layers)
    assert (found[0].kind if found else "healthy") == kind, list(map(str, found))
    if found:
        assert found[0].severity >= 1 and found[0].where and "\n  1. " in str(found[0])
        mended = found[0].apply(recipe)
        after = signal_verdicts(mended, ja.diagnose.probe(mended, digits()[0], key=KEY, batch_size=64).layers)
        assert not after


@functools.cache
def _preflight(rate: float):
    recipe = _recipe(ja.models.mlp((24, 10)), ja.optimizers.adam(rate))
    return recipe, ja.diagnose.preflight(recipe, digits()[0], KEY, batch_size=64)


def test_a_sound_recipe_is_left_in_peace():
    recipe, found = _preflight(1e-3)
    assert found.first == "healthy" and "healthy" in str(found)
    params, state = recipe.model.init(KEY, digits()[0][0])
    assert found.layers is not None and found.layers["dense0"].shape == (64, 24) and found.gain > 0
    assert "2.303 with all outputs 0" in str(found)
    assert found.bytes > 4 * sum(leaf.size for leaf in jax.tree.leaves(params)) and found.seconds > 0
    assert found.learning_rates is not None and found.learning_rates.suggested > 1e-4


@pytest.mark.parametrize(("rate", "kind"), [(1e-8, "stalled"), (50.0, "unstable")])
def test_a_rate_out_of_place_is_told_and_mended(rate: float, kind: str):
    recipe, found = _preflight(rate)
    assert found.first == kind, str(found)
    mended = float(found.verdicts[0].apply(recipe).optimizer.arguments["learning_rate"])
    assert found.learning_rates is not None
    np.testing.assert_allclose(mended, found.learning_rates.suggested, rtol=1e-5)


def test_the_gain_is_the_greatest_singular_value():
    x, y = digits()[0]
    recipe = _recipe(ja.models.mlp((10,)))
    params, state = recipe.model.init(KEY, x)
    first, nothing, gain = _first_losses(recipe, params, state, Batch(*map(jnp.asarray, (x[:20], y[:20]))))
    np.testing.assert_allclose(gain, np.linalg.svd(np.asarray(params["dense0"]["weight"]))[1][0], rtol=0.05)
    np.testing.assert_allclose(nothing, np.log(10), rtol=1e-6)
    predictions = recipe.model.apply(params, state, x[:20])[0]
    np.testing.assert_allclose(first, np.mean(loss(predictions, y[:20])), rtol=1e-6)


def test_targets_that_do_not_belong_to_their_rows_cannot_be_learned_by_a_small_net():
    x, _ = digits()[0]
    y = np.random.default_rng(0).integers(0, 10, len(x)).astype(np.int32)
    recipe = _recipe(ja.layers.sequential({"narrow": ja.layers.dense(1), "out": ja.layers.dense(10)}))
    found = ja.diagnose.preflight(recipe, (x, y), KEY, batch_size=64)
    assert found.first == "stuck" and "32 rows" in found.verdicts[0].evidence


def test_changes_reach_every_product_that_has_the_argument():
    model = ja.layers.sequential(
        {"a": ja.models.mlp((4, 4), activation="tanh"), "b": ja.layers.residual(ja.layers.elementwise("sigmoid"))}
    )
    recipe = _recipe(model, ja.optimizers.chain(ja.optimizers.clip_by_global_norm(2.0), ja.optimizers.adam(1e-3)))
    assert "tanh" not in repr(with_activation("relu")(recipe)) and "sigmoid" not in repr(
        with_activation("relu")(recipe)
    )
    assert "learning_rate=0.0001" in repr(rated(0.1)(recipe).optimizer)
    assert rewritten(model, lambda product: {}) is model
    warm = ja.optimizers.sgd(ja.schedules.cosine(0.5, 10))
    changed = rated(0.1)(_recipe(model, warm)).optimizer.arguments["learning_rate"]
    for step in (0, 3, 10):
        np.testing.assert_allclose(changed(step), 0.1 * ja.schedules.cosine(0.5, 10)(step), rtol=1e-6, atol=1e-9)


def test_what_no_recipe_can_do_is_refused():
    verdict = ja.diagnose.Verdict("stuck", "nothing", (), 1.0, (ja.diagnose.Remedy("Look at the data."),))
    with pytest.raises(ja.InputError, match="Verdict.apply: kind must be one with a remedy that changes the recipe"):
        verdict.apply(_recipe(NETS["healthy"]))


def _run(model, optimizer, epochs: int, rows: int = 410, **changes):
    train, validation = digits()
    train = tuple(a[:rows] for a in train)
    recipe = ja.recipe(model, loss, optimizer, probes=True, **({"batch_size": 32} | changes))
    result = ja.fit(recipe, train, validation=validation, key=KEY, epochs=epochs)
    return recipe, train, validation, ja.diagnose.examine(recipe, result, train, validation=validation, key=KEY)


RUNS = {
    "healthy": lambda: _run(ja.models.mlp((32, 10)), ja.optimizers.adam(3e-3), 25),
    "unstable": lambda: _run(ja.models.mlp((32, 10)), ja.optimizers.adam(1.0), 25),
    "stalled": lambda: _run(ja.models.mlp((32, 10)), ja.optimizers.adam(1e-8), 25),
    "overfitting": lambda: _run(ja.models.mlp((64, 10)), ja.optimizers.adam(3e-2), 120, rows=40),
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.filterwarnings("ignore::jaxann.core.errors.DivergedWarning")
def test_a_run_is_examined_and_its_recipe_mended(kind: str):
    recipe, train, validation, found = RUNS[kind]()
    assert found.first == kind, str(found)
    assert found.begun is not None and found.fitted is not None and np.isfinite(found.training)
    if kind == "unstable":
        treatment = ja.diagnose.treat(recipe, found.verdicts, train, KEY, validation=validation, epochs=25)
        assert treatment.losses[0] > treatment.losses.min() and treatment.helped[0] in str(treatment)
        best = ja.fit(treatment.best, train, validation=validation, key=KEY)
        reached = ja.train.evaluate(treatment.best, best.params, best.state, validation)["loss"]
        np.testing.assert_allclose(reached, treatment.losses.min(), rtol=1e-3)


def test_what_cannot_be_examined_or_treated_is_refused():
    recipe = _recipe(NETS["healthy"])
    with pytest.raises(ja.InputError, match="examine: result must be a result of fit"):
        ja.diagnose.examine(recipe, (1, 2), digits()[0], key=KEY)  # type: ignore[arg-type]
    with pytest.raises(ja.InputError, match="treat: verdicts must be some with a remedy that changes the recipe"):
        ja.diagnose.treat(recipe, (), digits()[0], KEY, epochs=1)


def test_a_rule_that_wants_all_examples_is_examined_too():
    train, validation = digits()
    recipe = _recipe(ja.models.mlp((8, 10)), ja.optimizers.lbfgs())
    found = ja.diagnose.preflight(recipe, train, KEY, validation=validation)
    assert found.learning_rates is None and np.isnan(found.seconds)
    result = ja.fit(recipe, train, validation=validation, key=KEY, epochs=8)
    assert ja.diagnose.examine(recipe, result, train, validation=validation, key=KEY).ended is not None
