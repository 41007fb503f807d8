"""What holds for every loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core.factories import known_functions
from jaxann.train.objective import example_sums
from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error
from tests.tolerances import assert_close

every_loss = pytest.mark.parametrize("row", LOSSES, ids=str)
DTYPES = ("float64", "float32", "bfloat16", "float16")


def draw(row: LossRow, lead: tuple[int, ...], *, spread: float = 1.0, seed: int = 7) -> tuple[jax.Array, jax.Array]:
    """Predictions and targets for examples of this shape."""
    a, b = jax.random.split(jax.random.key(seed))
    shape = (*lead, *row.event)
    raw = spread * jax.random.normal(a, shape)
    return (raw if row.domain is None else row.domain(raw)), row.targets(b, shape)


@every_loss
def test_loss_keeps_the_leading_axes(row: LossRow):
    leads = [(6,), (0,)] if row.whole_batch else [(6,), (2, 4), (), (0,), (6, 1)]
    for lead in leads:
        given = jax.eval_shape(lambda lead=lead: draw(row, lead))
        values = jax.eval_shape(row.build, *given)
        assert values.shape == lead and values.dtype == given[0].dtype
        if lead:
            assert jax.eval_shape(lambda p, t: example_sums(row.build, p, t)[0], *given).shape == lead[:1]


@every_loss
def test_loss_under_jit_and_vmap(row: LossRow):
    lead = (2, 6) if row.whole_batch else (2, 4)
    if row.whole_batch:
        sets = [draw(row, (6,), seed=seed) for seed in (7, 8)]
        predictions, targets = (jnp.stack(parts) for parts in zip(*sets, strict=True))
        values = jnp.stack([row.build(p, t) for p, t in sets])
    else:
        predictions, targets = draw(row, lead)
        values = row.build(predictions, targets)
    assert values.shape == lead
    assert_close(jax.jit(jax.vmap(row.build))(predictions, targets), values, "program")


@every_loss
def test_loss_refuses_shapes_that_do_not_fit(row: LossRow):
    predictions, targets = (np.asarray(a) for a in draw(row, (6,)))
    for p, t in ((predictions, targets[:-1]), (predictions[:-1], targets), (predictions, targets[None])):
        assert_input_error(lambda p=p, t=t: row.build(p, t), "targets", given=str(t.shape))
    if not row.event:
        column = predictions[:, None]
        for p, t in ((column, targets), (predictions, targets[:, None])):
            message = assert_input_error(lambda p=p, t=t: row.build(p, t), "targets", given=str(t.shape))
            assert "last axis" in message
    integers = predictions.astype(np.int32)
    assert_input_error(lambda: row.build(integers, targets), "predictions", given="int32")
    if row.event:
        flat = np.zeros((), np.float32)
        assert_input_error(lambda: row.build(flat, targets), "")
    if targets.dtype.kind == "i":
        assert_input_error(lambda: row.build(predictions, targets.astype(np.float32)), "targets", given="float32")


@pytest.mark.parametrize("row", [row for row in LOSSES if row.bad], ids=str)
def test_loss_refuses_what_is_out_of_range(row: LossRow):
    predictions, targets = (np.asarray(a) for a in draw(row, (6,)))
    for keywords in row.bad:
        (name,) = keywords
        assert_input_error(lambda k=keywords: row.build(predictions, targets, **k), name)


def _value_and_slope(row: LossRow) -> Callable[..., Any]:
    @jax.jit
    def both(predictions, targets):
        values, back = jax.vjp(lambda p: row.build(p, targets), predictions)
        return values, back(jnp.ones_like(values))[0]

    return both


def _wide(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


@every_loss
def test_loss_in_every_dtype(row: LossRow):
    """Finite value and slope at huge predictions, NaN for NaN, and in each dtype the figure of float64."""
    lead = (81,)
    signs = np.asarray(jax.random.randint(jax.random.key(3), (*lead, *row.event), -1, 2)).astype(np.float32)
    usual, targets = draw(row, lead, spread=2.0)
    hardest = (row.extreme or row.targets)(jax.random.key(4), signs.shape)
    both = _value_and_slope(row)
    for dtype in DTYPES:
        with jax.enable_x64(dtype == "float64"):
            bound = row.huge.get(dtype, 1e4)
            huge = jnp.asarray(bound * signs)
            huge = (huge if row.domain is None else row.domain(huge)).astype(dtype)
            values, slope = both(huge, hardest)
            assert values.dtype == slope.dtype == jnp.dtype(dtype)
            assert np.isfinite(_wide(values)).all() and np.isfinite(_wide(slope)).all(), dtype
            rounded = jnp.asarray(usual).astype(dtype)
            values, slope = (_wide(a) for a in both(rounded, targets))
            if dtype == "float32":
                first = (0,) * rounded.ndim
                assert np.isnan(both(rounded.at[first].set(jnp.nan), targets)[0][0])
        with jax.enable_x64(True):
            exact, exact_slope = (_wide(a) for a in both(jnp.asarray(_wide(rounded)), targets))
        tolerance = {"float64": 1e-14, "float32": 2e-6}.get(dtype, 1e-2)
        for found, wanted in ((values, exact), (slope, exact_slope)):
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", [row for row in LOSSES if row.numbers], ids=str)
def test_hyper_parameter_may_be_traced_and_has_a_slope(row: LossRow):
    predictions, targets = draw(row, (7,))

    @jax.jit
    def both(numbers):
        return jax.value_and_grad(lambda n: jnp.sum(row.build(predictions, targets, **n)))(numbers)

    numbers = {name: np.float64(value) for name, value in row.numbers.items()}
    value, slopes = both(numbers)
    np.testing.assert_allclose(value, jnp.sum(row.build(predictions, targets, **row.numbers)), rtol=1e-12)
    for name, number in numbers.items():
        h = 1e-6 * number
        above, below = (both(numbers | {name: number + d})[0] for d in (h, -h))
        np.testing.assert_allclose(slopes[name], (above - below) / (2 * h), rtol=1e-6, atol=1e-7, err_msg=name)


@every_loss
def test_loss_is_known_by_name_and_says_what_it_is(row: LossRow):
    assert known_functions()[row.name] is row.build
    text = row.build.__doc__ or ""
    first = text.partition("\n\n")[0]
    assert len(first) <= 200 and first.count("\n") <= 1
    for heading in ("Args:", "Returns:", "Peers:", "Source:", "Raises:"):
        assert text.count(f"    {heading}") == 1, heading
