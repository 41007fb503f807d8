"""What a person's data and functions hold: nothing wraps, is summed in too few bits, or is trained on unseen."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.factories import Product
from tests.catalogue import PRODUCTS
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = (X[:, :1] + 1).astype(np.float32)
LABELS = (np.arange(24) % 2).astype(np.int32)
KEY = jax.random.key(0)
LINEAR = ja.layers.dense(1)


def fit(loss: Any = ja.losses.squared_error, x: Any = X, y: Any = Y, *weights: Any, **changes: Any) -> Any:
    recipe = ja.recipe(LINEAR, loss, ja.optimizers.sgd(0.01), batch_size=24, **changes)
    return ja.fit(recipe, (x, y, *weights), key=KEY, epochs=1)


BIG = {
    np.uint32: (2**31, 2**32 - 1),
    np.uint64: (2**31, 2**63),
    np.int64: (2**31, -(2**31) - 1),
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BIG.items() for value in values])
def test_integers_that_32_bits_do_not_hold_are_refused_and_not_wrapped(kind: Any, value: int):
    def with_one(shape: tuple[int, ...]) -> np.ndarray:
        array = np.ones(shape, kind)
        array[2] = value
        return array

    expected = {"expected": "integers from -2^31 to 2^31 - 1", "given": str(value)}
    assert_input_error(lambda: fit(x=with_one((24, 3))), "train x", **expected)
    assert_input_error(lambda: fit(y=with_one((24, 1))), "train y", **expected)
    assert_input_error(lambda: fit(ja.losses.squared_error, X, Y, with_one((24,))), "train weights", **expected)
    params, state = LINEAR.init(KEY, X)
    assert_input_error(lambda: ja.predict(LINEAR, params, state, with_one((24, 3))), "x", **expected)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_the_largest_integers_that_fit_are_taken_as_they_are(kind: Any):
    most = min(np.iinfo(kind).max, 2**31 - 1)
    params = {"weight": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    found = ja.predict(LINEAR, params, {}, np.full((3, 1), most, kind))
    np.testing.assert_array_equal(found, np.full((3, 1), np.float32(most)))


MASKED = np.ma.masked_array(X, mask=X > 1)


def test_masked_entries_are_refused_wherever_arrays_are_read():
    column = np.ma.masked_array(np.ones(24), mask=np.arange(24) == 3)
    params, state = LINEAR.init(KEY, X)
    keys = jax.random.split(KEY, 24)
    recipe = ja.recipe(LINEAR, ja.losses.squared_error, ja.optimizers.sgd(0.1))
    loss, metric, predictions = ja.losses.squared_error, ja.metrics.streaming.r2, Y + 1
    targets = np.ma.masked_array(Y, mask=Y > 1)
    told = {"expected": "without masked entries"}
    for argument, call in {
        "train x": lambda: fit(x=MASKED),
        "train y": lambda: fit(y=targets),
        "train weights": lambda: fit(loss, X, Y, column),
        "x": lambda: ja.predict(LINEAR, params, state, MASKED),
        "data y": lambda: ja.train.evaluate(recipe, params, state, (X, targets)),
        "targets": lambda: loss(predictions, targets),
        "predictions": lambda: loss(targets, predictions),
        "hyperparameters['rate']": lambda: ja.train.fit_population(
            lambda hyper: recipe, {"rate": column}, (X, Y), keys=keys, epochs=1
        ),
    }.items():
        assert_input_error(call, argument, **told)
    with pytest.raises(ja.InputError, match="targets must be without masked entries"):
        metric()(predictions, targets)
    assert_input_error(lambda: ja.neuron.forward(column, MASKED), "x", **told) if hasattr(
        ja.neuron, "forward"
    ) else None
    open_mask = np.ma.masked_array(X, mask=np.zeros_like(X, bool))  # nothing is behind it
    np.testing.assert_array_equal(fit(x=open_mask).history["loss"], fit().history["loss"])


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda p, t: (p > t)[:, 0], "bool"),
        (lambda p, t: jnp.sign(p - t).astype(jnp.int8)[:, 0], "int8"),
        (lambda p, t: (p - t).astype(jnp.complex64)[:, 0], "complex64"),
        (lambda p, t: ((p - t)[:, 0],), "tuple"),
        (lambda p, t: [0.5] * 24, "list"),
        (lambda p, t: None, "None"),
        (lambda p, t: jnp.mean((p - t) ** 2), "shape ()"),
        (lambda p, t: (p - t[:, 0]) ** 2, "shape (24, 24)"),
        (lambda p, t: (p[:, 0] - t) ** 2, "shape (24, 24)"),
    ],
    ids=[
        "bool",
        "int8",
        "complex",
        "tuple",
        "list",
        "None",
        "scalar",
        "broadcast (n, 1) (n,)",
        "broadcast (n,) (n, 1)",
    ],
)
def test_a_loss_of_your_own_gives_floating_values_of_each_example(loss: Any, told: str):
    with jax.numpy_rank_promotion("allow"):
        assert_input_error(lambda: fit(loss), "values", given=told)


def test_values_of_a_square_batch_that_targets_have_too_are_no_broadcast():
    x, y = X[:4, :3], RANDOM.normal(size=(4, 4)).astype(np.float32)
    recipe = ja.recipe(ja.layers.dense(4), lambda p, t: (p - t) ** 2, ja.optimizers.sgd(0.0), batch_size=4)
    again = ja.recipe(ja.layers.dense(4), ja.losses.squared_error, ja.optimizers.sgd(0.0), batch_size=4)
    ours, wanted = (ja.fit(one, (x, y), key=KEY, epochs=1).history["loss"] for one in (recipe, again))
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)


def test_narrow_values_are_summed_in_float32():
    rows = 4096
    x, y = np.zeros((rows, 3), np.float32), np.full((rows, 1), 200.0, np.float32)
    own = ja.recipe(
        LINEAR, lambda p, t: jnp.abs(p - t).astype(jnp.float16)[:, 0], ja.optimizers.sgd(0.0), batch_size=rows
    )
    found = ja.fit(own, (x, y), validation=(x, y), key=KEY, epochs=1).history
    np.testing.assert_allclose([found["loss"][0], found["validation_loss"][0]], 200.0, rtol=1e-6)


def never(predictions, targets):
    """A figure that is never a number."""
    return jnp.sum(predictions) * jnp.nan


NEVER = ja.metrics.higher_is_better(never)


@pytest.mark.parametrize("patience", [2, None])
def test_a_monitor_that_is_never_a_number_is_told_and_the_last_weights_come_back(patience: int | None):
    def recipe(stopping: Any) -> Any:
        return ja.recipe(LINEAR, ja.losses.squared_error, ja.optimizers.sgd(0.1), metrics={"never": NEVER},
                         batch_size=8, stopping=stopping)  # fmt: skip

    stopping = ja.train.early_stopping(patience, monitor="validation_never")
    how = {"validation": (X, Y), "epochs": 2}
    with pytest.warns(UserWarning, match="validation_never was never a number"):
        result = ja.fit(recipe(stopping), (X, Y), key=KEY, **how)
    plain = ja.fit(recipe(None), (X, Y), key=KEY, **how)
    np.testing.assert_array_equal(result.params["weight"], plain.params["weight"])
    assert result.best_epoch == -1
    keys = jax.random.split(KEY, 2)
    with pytest.warns(UserWarning, match="2 of 2 members monitor was never a number"):
        many = ja.train.fit_population(lambda hyper: recipe(stopping), {}, (X, Y), keys=keys, **how)
    assert (many.best_epoch == -1).all()


def test_best_weights_need_the_data_they_are_the_best_on():
    for stopping in (ja.train.early_stopping(), ja.train.early_stopping(None)):
        assert_input_error(lambda s=stopping: fit(stopping=s), "validation", given="None", expected="validation_loss")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(stopping=ja.train.early_stopping(None, monitor="loss"))


def test_what_is_better_is_what_the_metric_declares():
    def mode(monitor: str, metrics: dict, mode: str | None = None) -> str:
        stopping = ja.train.early_stopping(monitor=monitor, mode=mode)
        return ja.recipe(
            LINEAR, ja.losses.squared_error, ja.optimizers.sgd(0.1), metrics=metrics, stopping=stopping
        ).mode

    accuracy = {
        "a": ja.metrics.accuracy,
        "b": ja.metrics.streaming.accuracy(),
        "c": ja.metrics.expected_calibration_error,
    }
    assert [mode(f"validation_{name}", accuracy) for name in accuracy] == ["max", "max", "min"]
    assert mode("validation_loss", {}) == mode("loss", {}) == mode("gradient_norm", {}) == "min"
    own = {"own": lambda p, t: jnp.mean(p)}
    assert mode("own", own, "max") == "max"
    assert_input_error(lambda: mode("own", own), "mode of stopping", given="None")
    labelled = ja.recipe(
        ja.models.mlp((2,)), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.5),
        metrics={"a": ja.metrics.accuracy}, stopping=ja.train.early_stopping(None, monitor="validation_a"),
        batch_size=24,
    )  # fmt: skip
    history = ja.fit(labelled, (X, LABELS), validation=(X, LABELS), key=KEY, epochs=20)
    assert history.best_epoch == int(np.argmax(history.history["validation_a"]))


def test_the_rate_told_is_that_of_the_last_update():
    rate = ja.schedules.linear(1e-3, 100)

    def recipe(**changes: Any) -> Any:
        return ja.recipe(LINEAR, ja.losses.squared_error, ja.optimizers.sgd(rate), shuffle=False, **changes)

    first = ja.fit(recipe(), (X, Y), key=KEY, epochs=2, batch_size=4)  # 6 steps an epoch
    after = ja.fit(recipe(), (X, Y), key=KEY, epochs=4, batch_size=12, resume=first)  # 2 steps an epoch
    wanted = [float(rate(step)) for step in (5, 11, 13, 15)]
    np.testing.assert_allclose(after.history["learning_rate"], wanted, rtol=1e-6)

    def half_bad(predictions, targets):
        return jnp.where(targets[:, 0] > 1, jnp.nan, (predictions - targets)[:, 0] ** 2)

    y = np.where(np.arange(24) < 12, 0.5, 1.5).astype(np.float32)[:, None]
    bad = ja.recipe(LINEAR, half_bad, ja.optimizers.sgd(rate), shuffle=False, on_nonfinite="skip", batch_size=4)
    with pytest.warns(ja.DivergedWarning, match="6 steps"):
        skipped = ja.fit(bad, (X, y), key=KEY, epochs=2)  # the last three of an epoch's six are skipped
    np.testing.assert_allclose(skipped.history["learning_rate"], [float(rate(step)) for step in (2, 5)], rtol=1e-6)


NUMBERS = [
    (row, name)
    for row in PRODUCTS
    for name, value in row.build().arguments.items()
    if isinstance(value, int | float) and not isinstance(value, bool)
]


@pytest.mark.parametrize(("row", "name"), NUMBERS, ids=[f"{row}-{name}" for row, name in NUMBERS])
def test_no_object_passes_for_a_number(row: Any, name: str):
    product = row.build()
    for value in (object(), {"a": 1}):
        with pytest.raises(ja.InputError, match=name):
            product.replace(**{name: value})
    schedule = ja.schedules.linear(0.1, 10)
    try:
        replaced = product.replace(**{name: schedule})
    except ja.InputError as error:
        assert name in str(error)
    else:  # where a schedule may stand, it is heeded
        assert isinstance(replaced.arguments[name], Product)
        if isinstance(product, ja.core.Optimizer):
            params = {"w": np.ones((4, 3), np.float32)}
            replaced.update(
                params, replaced.init(params), params, value=jnp.float32(1), value_fn=lambda p: jnp.sum(p["w"]), key=KEY
            )


def test_whole_numbers_are_labels_only_for_a_loss_that_says_so():
    ages = np.array([45, 3, 88] * 8, np.int32)
    pairs = ja.layers.dense(2)

    def own(predictions, targets):
        return (predictions[:, 0] - targets.astype(jnp.float32)) ** 2

    for loss in (ja.losses.gaussian_nll, own):
        recipe = ja.recipe(pairs, loss, ja.optimizers.sgd(1e-4), batch_size=24)
        assert np.isfinite(ja.fit(recipe, (X, ages), key=KEY, epochs=1).history["loss"]).all()
    for loss in (ja.losses.softmax_cross_entropy, ja.losses.multiclass_hinge, ja.losses.softmax_focal):
        recipe = ja.recipe(pairs, loss, ja.optimizers.sgd(1e-4), batch_size=24)
        assert_input_error(lambda r=recipe: ja.fit(r, (X, ages), key=KEY, epochs=1), "train y", given="45 at row 0")


def test_nothing_to_measure_is_refused_and_never_perfect():
    ignoring = ja.recipe(
        ja.layers.dense(2), functools.partial(ja.losses.softmax_cross_entropy, ignore_index=-1), ja.optimizers.sgd(0.1),
        batch_size=24, epochs=1,
    )  # fmt: skip
    none = np.full(24, -1, np.int32)
    told = {"expected": "labels other than ignore_index=-1 somewhere"}
    assert_input_error(lambda: ja.fit(ignoring, (X, none), key=KEY), "train y", **told)
    assert_input_error(lambda: ja.fit(ignoring, (X, LABELS), validation=(X, none), key=KEY), "validation y", **told)
    params, state = ignoring.model.init(KEY, X)
    assert_input_error(lambda: ja.train.evaluate(ignoring, params, state, (X, none)), "data y", **told)
    weights = np.array([0.0] * 12 + [1.0] * 12, np.float32)
    halves = [(np.arange(12, 24), np.arange(12)), (np.arange(12), np.arange(12, 24))]

    def score():
        build = lambda hyper: ja.recipe(LINEAR, ja.losses.squared_error, ja.optimizers.sgd(0.1))  # noqa: E731
        return ja.tune.cross_validate(build, {}, (X, Y, weights), key=KEY, epochs=1, folds=halves)

    assert_input_error(score, "folds", given="only zeros in fold 0", expected="held-out")
    lengths = np.zeros(24, np.int32)
    empty = ja.core.padded(np.zeros((24, 4), np.int32), lengths)
    sequences = ja.recipe(ja.layers.dense(2), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1))
    x = ja.core.padded(np.zeros((24, 4, 3), np.float32), lengths)
    assert_input_error(lambda: ja.fit(sequences, (x, empty), key=KEY, epochs=1), "train y", given="only padding")


def test_a_validation_loss_of_nothing_is_no_number():
    def own(predictions, targets):
        return (predictions[:, 0] - targets[:, 0]) ** 2

    recipe = ja.recipe(LINEAR, own, ja.optimizers.sgd(0.1), batch_size=24, epochs=1)
    run = jax.jit(ja.train.make_run(recipe))  # where values cannot be looked at
    zero = np.zeros(24, np.float32)
    assert np.isnan(run(KEY, (X, Y), (X, Y, zero)).history["validation_loss"]).all()
