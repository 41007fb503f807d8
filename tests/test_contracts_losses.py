"""What holds for every loss."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core.tables import known_functions
from jaxann.train.objective import example_sums
from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close, close

every_loss = pytest.mark.parametrize("row", LOSSES, ids=str)


_compiled = functools.cache(quick_jit)  # what makes predictions of any numbers: one program for each shape


def draw(row: LossRow, lead: tuple[int, ...], *, stddev: float = 1.0, seed: int = 7) -> tuple[Any, np.ndarray]:
    """Predictions and targets for examples of this shape."""
    random = np.random.default_rng(seed)
    shape = (*lead, *row.event)
    raw = (stddev * random.normal(size=shape)).astype(np.float32)
    return (raw if row.domain is None else np.asarray(_compiled(row.domain)(raw))), row.targets(random, shape)


@every_loss
def test_loss_keeps_the_leading_axes(row: LossRow):
    leads = [(6,), (0,)] if row.whole_batch else [(6,), (2, 4), (), (0,), (6, 1)]
    for lead in leads:
        given = draw(row, lead)
        values = jax.eval_shape(row.build, *given)
        assert values.shape == lead and values.dtype == given[0].dtype
        if lead and lead[0]:
            assert jax.eval_shape(lambda p, t: example_sums(row.build, p, t)[0], *given).shape == lead[:1]


@every_loss
def test_loss_refuses_shapes_that_do_not_fit(row: LossRow):
    predictions, targets = draw(row, (6,))
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
    predictions, targets = draw(row, (6,))
    for keywords in row.bad:
        (name,) = keywords
        assert_input_error(lambda k=keywords: row.build(predictions, targets, **k), name)


def _program(row: LossRow) -> Callable[..., Any]:
    """Values and slope, and the values under vmap: one by one, or for a whole batch one batch."""

    @quick_jit
    def program(predictions, targets):
        values, back = jax.vjp(lambda p: row.build(p, targets), predictions)
        if predictions.dtype == jnp.float64:
            one_by_one = values  # once is enough
        elif row.whole_batch:
            one_by_one = jax.vmap(row.build)(predictions[None], targets[None])[0]
        else:
            one_by_one = jax.vmap(row.build)(predictions, targets)
        return values, back(jnp.ones_like(values))[0], one_by_one

    return program


def _wide(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


def _assert_finite(*arrays: Any) -> None:
    assert all(np.isfinite(_wide(a)).all() for a in arrays)


@every_loss
def test_loss_is_finite_and_precise_in_every_dtype(row: LossRow):
    """Finite value and slope at huge predictions, NaN for NaN, and in float32 the figure of float64."""
    lead = (81,) if row.whole_batch else (27, 3)
    signs = np.random.default_rng(3).integers(-1, 2, (*lead, *row.event)).astype(np.float32)
    usual, targets = draw(row, lead, stddev=2.0)
    hardest = (row.extreme or row.targets)(np.random.default_rng(4), signs.shape)
    program = _program(row)

    def huge(dtype: str) -> np.ndarray:
        x = np.float32(row.huge.get(dtype, 1e4)) * signs
        return np.asarray(x if row.domain is None else _compiled(row.domain)(x)).astype(jnp.dtype(dtype))

    values, slope, one_by_one = program(usual, targets)
    assert values.shape == lead and values.dtype == slope.dtype == jnp.float32
    assert_close(one_by_one, values, "program")
    with jax.enable_x64(True):
        wide = program(_wide(usual), targets)
        _assert_finite(*program(_wide(huge("float32")), hardest))
        assert wide[0].dtype == wide[1].dtype == jnp.float64
    for found, wanted in zip((values, slope), wide, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6 * np.abs(wanted).max())
    _assert_finite(*program(huge("float32"), hardest))
    first = (0,) * usual.ndim
    spoiled = usual.copy()
    spoiled[first] = np.nan
    assert np.isnan(np.asarray(program(spoiled, targets)[0]).ravel()[0])
    for dtype in ("bfloat16", "float16"):  # the arithmetic is float32's, so its program tells what comes out
        narrow = huge(dtype)
        assert not _narrow_arithmetic(row, narrow, hardest)
        values, slope, _ = program(narrow.astype(np.float32), hardest)
        _assert_finite(*(np.asarray(a).astype(jnp.dtype(dtype)) for a in (values, slope)))


def _narrow_arithmetic(row: LossRow, predictions: jax.Array, targets: jax.Array) -> set[str]:
    """Operations whose result has 16 bits, conversions and copies apart."""
    found = set()

    def look(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            inner = [leaf for leaf in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr) if _is_jaxpr(leaf)]
            for part in inner:
                look(getattr(part, "jaxpr", part))
            if not inner and any(getattr(v.aval, "dtype", None) == predictions.dtype for v in equation.outvars):
                found.add(equation.primitive.name)

    def both(predictions, targets):
        values, back = jax.vjp(lambda p: row.build(p, targets), predictions)
        return values, back(values)[0]

    closed = jax.make_jaxpr(both)(predictions, targets)
    assert [v.dtype for v in closed.out_avals] == [predictions.dtype] * 2
    look(closed.jaxpr)
    return found - {"convert_element_type", "broadcast_in_dim", "copy", "reshape"}


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


@pytest.mark.usefixtures("x64")
@every_loss
def test_slopes_and_curvature_match_differences(row: LossRow):
    """By the predictions along a line, forwards and backwards, and by every hyper-parameter, which may be traced."""
    predictions, targets = draw(row, (7,) if row.whole_batch else (4, 2), stddev=2.0)
    predictions = _wide(predictions)
    direction = np.random.default_rng(2).normal(size=predictions.shape)
    numbers = {name: np.float64(value) for name, value in row.numbers.items()}

    def total(t, numbers):
        moved = predictions + t * direction
        return jnp.sum(row.build(moved if row.domain is None else row.domain(moved), targets, **numbers))

    @quick_jit
    def program(t, numbers):
        one = jnp.ones(())
        value, forward = jax.jvp(lambda t: total(t, numbers), (t,), (one,))
        (slope, by_number), (curvature, _) = jax.jvp(lambda t: jax.grad(total, (0, 1))(t, numbers), (t,), (one,))
        return value, slope, by_number, curvature, forward, total(t, row.numbers)

    zero, h = np.float64(0), 1e-5
    value, slope, by_number, curvature, forward, untraced = program(zero, numbers)
    above, below = program(np.float64(h), numbers), program(np.float64(-h), numbers)
    np.testing.assert_allclose(value, untraced, rtol=1e-12)
    np.testing.assert_allclose(slope, (above[0] - below[0]) / (2 * h), rtol=close("float64", "gradient"))
    np.testing.assert_allclose(curvature, (above[1] - below[1]) / (2 * h), rtol=close("float64", "second"))
    np.testing.assert_allclose(forward, slope, rtol=1e-12)
    for name, number in numbers.items():
        step = h * number
        ends = [program(zero, numbers | {name: number + d})[0] for d in (step, -step)]
        numeric = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(by_number[name], numeric, rtol=close("float64", "gradient"), atol=1e-8, err_msg=name)


@every_loss
def test_loss_is_known_by_name_and_says_what_it_is(row: LossRow):
    assert known_functions()[row.name] is row.build
    text = row.build.__doc__ or ""
    first = text.partition("\n\n")[0]
    assert len(first) <= 200 and first.count("\n") <= 1
    for heading in ("Args:", "Returns:", "Peers:", "Source:", "Raises:"):
        assert text.count(f"    {heading}") == 1, heading
