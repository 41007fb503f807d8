"""Padded sequences: neither what stands in the padding nor how much of it there is changes a figure."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxann as ja
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
ROWS, TIME, CLASSES, BATCH = 39, 6, 3, 8  # 39 rows: the last of five batches has a row of padding
LENGTHS = RANDOM.integers(1, TIME + 1, ROWS)
VALUES = RANDOM.normal(size=(ROWS, TIME, 2)).astype(np.float32)
LABELS = RANDOM.integers(0, CLASSES, (ROWS, TIME)).astype(np.int32)
REAL = np.arange(TIME) < LENGTHS[:, None]
KEY = jax.random.key(0)


def _init(key, spec):
    a, b, c = jax.random.split(key, 3)
    shapes = {"into": (a, (spec.shape[-1], 4)), "again": (b, (4, 4)), "out": (c, (4, CLASSES))}
    return {name: 0.5 * jax.random.normal(k, shape) for name, (k, shape) in shapes.items()}, {}


def _apply(params, state, x, *, key=None, train=False, sequence_mask=None):
    """h_t = tanh(x_t A + h_{t-1} B), but h_{t-1} where position t is padding; y_t = [h_t, of the end first] C."""
    mask = jnp.ones(x.shape[:2], bool) if sequence_mask is None else sequence_mask.astype(bool)

    def step(h, inputs):
        now, real = inputs
        h = jnp.where(real[:, None], jnp.tanh(now @ params["into"] + h @ params["again"]), h)
        return h, h

    last, every = lax.scan(step, jnp.zeros((x.shape[0], 4), x.dtype), (x.swapaxes(0, 1), mask.T))
    return (every.swapaxes(0, 1) + last[:, None]) @ params["out"], state


MODEL = ja.layers.custom(_init, _apply)


def _recipe(rate: float = 0.2, **changes: Any) -> Any:
    metrics = {"accuracy": ja.metrics.accuracy}
    setting = {"metrics": metrics, "batch_size": BATCH, "epochs": 2} | changes
    return ja.recipe(MODEL, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(rate), **setting)


def _data(fill: float = 0.0, label: int = 0, more: int = 0, rows: slice = slice(None)) -> tuple:
    """The sequences with this in their padding, and so many more positions of it."""
    values = np.where(REAL[..., None], VALUES, np.float32(fill))
    labels = np.where(REAL, LABELS, np.int32(label))
    values = np.pad(values, ((0, 0), (0, more), (0, 0)), constant_values=fill)
    labels = np.pad(labels, ((0, 0), (0, more)), constant_values=label)
    lengths = LENGTHS[rows]
    return ja.core.padded(values[rows], lengths), ja.core.padded(labels[rows], lengths)


def _fit(data: tuple, recipe: Any = None, **how: Any) -> ja.train.Result:
    return ja.fit(_recipe() if recipe is None else recipe, data, key=KEY, **({"validation": data} | how))


def _alone(params: dict, row: int, xp: Any) -> tuple[Any, Any]:
    """Losses and hits of one sequence by itself, without any padding, by `xp`: NumPy or jax.numpy."""
    h, states = xp.zeros(4, xp.float32), []
    for t in range(LENGTHS[row]):
        h = xp.tanh(VALUES[row, t] @ params["into"] + h @ params["again"])
        states.append(h)
    logits = xp.stack([(state + h) @ params["out"] for state in states])
    log_p = logits - xp.log(xp.sum(xp.exp(logits), -1, keepdims=True))
    labels = LABELS[row, : LENGTHS[row]]
    return -log_p[np.arange(len(labels)), labels], xp.argmax(logits, -1) == labels


def _by_hand(params: dict) -> tuple[np.ndarray, np.ndarray]:
    """Losses and hits of all real positions, `(rows, time)`, 0 elsewhere."""
    losses, hits = np.zeros((2, ROWS, TIME))
    params = jax.tree.map(np.asarray, params)
    for row in range(ROWS):
        losses[row, : LENGTHS[row]], hits[row, : LENGTHS[row]] = _alone(params, row, np)
    return losses, hits


def _same(one: ja.train.Result, other: ja.train.Result) -> None:
    for name, values in one.history.items():
        np.testing.assert_allclose(values, other.history[name], rtol=1e-6, atol=1e-7, err_msg=name)
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_neither_the_padding_s_content_nor_its_length_changes_a_figure():
    plain = _fit(_data())
    assert plain.history["gradient_norm"].min() > 1e-3
    _same(plain, _fit(_data(fill=1e6, label=2)))
    _same(plain, _fit(_data(fill=-3.0, label=-1)))  # no label of any class: padding is not looked at
    _same(plain, _fit(_data(fill=7.0, label=1, more=3)))


def test_figures_are_exact_means_over_the_real_positions():
    """At a rate of 0 the epoch's loss is that of all positions, however many each batch has; and so are the metrics."""
    result = _fit(_data(fill=5.0, label=2), _recipe(0.0, epochs=1))
    losses, hits = _by_hand(result.params)
    for name, figure in (("loss", losses.sum()), ("accuracy", hits.sum())):
        np.testing.assert_allclose(result.history[name], [figure / LENGTHS.sum()], rtol=1e-5)
        np.testing.assert_allclose(result.history[f"validation_{name}"], [figure / LENGTHS.sum()], rtol=1e-5)
    found = ja.train.evaluate(_recipe(), result.params, result.state, _data(more=2), batch_size=16)
    np.testing.assert_allclose([found["loss"], found["accuracy"]], [losses.sum() / LENGTHS.sum(),
                                                                    hits.sum() / LENGTHS.sum()], rtol=1e-5)  # fmt: skip


def _agreeing(predictions, targets):
    """A figure of whole arrays: the sum of what is predicted where a label is."""
    return jnp.sum(predictions * jax.nn.one_hot(targets, CLASSES))


def _masked(params, state, x, *, key=None, train=False, sequence_mask=None):
    """The model above, whose predictions bring the mask along."""
    y, state = _apply(params, state, x, sequence_mask=sequence_mask)
    return ja.core.Padded(y, sequence_mask), state


@pytest.mark.parametrize("model", [MODEL, ja.layers.custom(_init, _masked)], ids=["arrays", "padded"])
def test_a_metric_of_your_own_sees_the_training_set_as_it_sees_the_validation_set(model: Any):
    own = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.0), metrics={"own": _agreeing},
                    batch_size=BATCH, epochs=1)  # fmt: skip
    history = _fit(_data(label=1), own).history
    np.testing.assert_allclose(history["own"], history["validation_own"], rtol=1e-5)


def test_the_gradient_is_that_of_the_sequences_by_themselves():
    rows = 6
    recipe = _recipe(1.0, epochs=1, batch_size=rows)
    data = _data(fill=9.0, label=1, rows=slice(rows))
    start = _fit(data, recipe.replace(epochs=0), validation=None).params
    after = _fit(data, recipe, validation=None).params

    def mean(params):
        return sum(jnp.sum(_alone(params, row, jnp)[0]) for row in range(rows)) / LENGTHS[:rows].sum()

    with jax.numpy_dtype_promotion("standard"):
        grads = jax.jit(jax.grad(mean))(start)
    for name, grad in grads.items():
        np.testing.assert_allclose(start[name] - after[name], grad, rtol=1e-4, atol=1e-6, err_msg=name)


def test_weights_of_positions_and_of_examples_are_weighted_means():
    losses, hits = _by_hand(_fit(_data(), _recipe(0.0, epochs=0)).params)
    positions = RANDOM.uniform(0, 2, (ROWS, TIME)).astype(np.float32)
    positions[3] = 0
    examples = RANDOM.uniform(0, 2, ROWS).astype(np.float32)
    for weights in (positions, examples):
        counts = REAL * (weights if weights.ndim == 2 else weights[:, None])
        data = (*_data(fill=4.0, label=2), weights)
        result = _fit(data, _recipe(0.0, epochs=1))
        for name, values in (("loss", losses), ("accuracy", hits)):
            expected = (counts * values).sum() / counts.sum()
            np.testing.assert_allclose(result.history[name], [expected], rtol=1e-5, err_msg=name)
            np.testing.assert_allclose(result.history[f"validation_{name}"], [expected], rtol=1e-5, err_msg=name)


def test_weights_of_each_value_serve_without_padding_too():
    """One weight an output: the mean of squares by hand."""
    x, y = VALUES[:, 0], RANDOM.normal(size=(ROWS, 2)).astype(np.float32)
    weights = RANDOM.uniform(0, 2, (ROWS, 2)).astype(np.float32)
    recipe = ja.recipe(ja.layers.dense(2), ja.losses.squared_error, ja.optimizers.sgd(0.0), batch_size=BATCH, epochs=1)
    result = _fit((x, y, weights), recipe)
    squares = (x @ np.asarray(result.params["weight"]) + np.asarray(result.params["bias"]) - y) ** 2
    np.testing.assert_allclose(result.history["loss"], [(weights * squares).sum() / weights.sum()], rtol=1e-5)
    np.testing.assert_allclose(result.history["validation_loss"], result.history["loss"], rtol=1e-5)


def test_populations_and_pure_runs_take_padded_sequences():
    data, one = _data(fill=2.0, label=1), _fit(_data())
    run = jax.jit(ja.train.make_run(_recipe()))(KEY, data, data)
    np.testing.assert_allclose(run.history["validation_loss"], one.history["validation_loss"], rtol=1e-5)
    many = ja.train.fit_population(lambda hyper: _recipe(hyper["rate"]), {"rate": [0.2, 0.1]}, data,
                                   keys=jnp.stack([KEY, KEY]), validation=data)  # fmt: skip
    np.testing.assert_allclose(many.history["validation_loss"][0], one.history["validation_loss"], rtol=1e-4)
    predictions = ja.predict(MODEL, one.params, one.state, data[0], batch_size=16)
    again = ja.predict(MODEL, one.params, one.state, _data(fill=-8.0, more=2)[0])
    np.testing.assert_allclose(np.where(REAL[..., None], predictions - again[:, :TIME], 0), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "argument"),
    [((ROWS - 1,), "weights"), ((ROWS, TIME - 1), "weights"), ((ROWS, 1), "weights"), ((ROWS, TIME, 1), "weights")],
)
def test_weights_of_another_shape_are_refused(shape: tuple, argument: str):
    assert_input_error(
        lambda: _fit((*_data(), np.ones(shape, np.float32))), argument, given=str(shape[1:])[1:-1].rstrip(",")
    )


def test_masks_and_labels_that_do_not_fit_are_refused():
    x, y = _data()
    assert_input_error(lambda: _fit((x._replace(mask=x.mask[:, :4]), y)), "train x", given=f"({ROWS}, 4)")
    assert_input_error(lambda: _fit((x, y._replace(mask=y.mask[:-1]))), "train y.mask", given="38 rows")
    labels = y.values.copy()
    labels[5, 0] = CLASSES  # a real position
    assert_input_error(lambda: _fit((x, y._replace(values=labels))), "train y", given="3 at row 5")
    assert_input_error(lambda: _fit((x._replace(values=x.values * np.nan), y)), "train x.values", given="row 0")
