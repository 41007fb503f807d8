"""What holds for every activation: finite, exact to the last digits, with the slope of its formula, honest about NaN.

All activations are evaluated in one program for each dtype; the tests read its results.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.activations import by_name
from tests.catalogue import ACTIVATIONS, ActivationRow
from tests.contract import assert_input_error
from tests.tolerances import close

ELEMENTWISE = [row for row in ACTIVATIONS if row.limits is not None]
SMOOTH = [row for row in ACTIVATIONS if row.reference is not None]
every_activation = pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
every_elementwise = pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
every_referenced = pytest.mark.parametrize("row", SMOOTH, ids=str)
# Half the time to compile; where digits are counted, in float32, the default stands.
QUICK = {"xla_backend_optimization_level": 0}
DTYPES = ("float64", "float32", "bfloat16", "float16")
SPECIAL = (-np.inf, np.inf, np.nan)


def _grid(row: ActivationRow, dtype: str) -> np.ndarray:
    """4,001 points, zeros, the least number, where exp overflows, and as far as the dtype and the result reach."""
    tiny = float(jnp.finfo(dtype).tiny)
    far = {"float64": 1e300, "float16": 6e4 if row.limits is not None else 3e4}.get(dtype, 1e30)
    edges = [0.0, tiny, 88.0, 104.0, 710.0, 1e4, far]
    most = row.largest.get(dtype, np.inf)
    edges = np.minimum(edges, most)
    x = np.concatenate([np.linspace(-50.0, 50.0, 4001), edges, -edges, [-0.0]])
    return x if row.limits is not None else np.stack([x, np.roll(x, 1)], -1)


def _points(row: ActivationRow) -> np.ndarray:
    """Ordinary numbers, away from kinks and ties by more than the step of a difference."""
    return np.random.default_rng(0).normal(size=(6, 6)) * 2 + 0.05


def _slope(function: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y, back = jax.vjp(function, x)
    return y, back(jnp.ones_like(y))[0]


@functools.cache
def _results(dtype: str) -> Mapping[str, Mapping[str, Any]]:
    """For every activation x, value and slope on the grid, and "special": the last two at infinity, NaN and kinks."""
    with jax.enable_x64(dtype == "float64"):
        grids = {row.name: _grid(row, dtype) for row in ACTIVATIONS}
        ends = {row.name: [*SPECIAL, *row.kinks] if row.limits is not None else [] for row in ACTIVATIONS}
        inputs = {
            name: jnp.asarray(np.concatenate([x, ends[name]]) if ends[name] else x).astype(dtype)
            for name, x in grids.items()
        }
        evaluate = jax.jit(
            lambda inputs: {row.name: _slope(row.build, inputs[row.name]) for row in ACTIVATIONS},
            compiler_options={} if dtype == "float32" else QUICK,
        )
        results = jax.device_get(evaluate(inputs))
        inputs = jax.device_get(inputs)
    return {
        name: {
            "x": inputs[name][: len(grids[name])],
            "grid": [a[: len(grids[name])] for a in results[name]],
            "special": [a[len(grids[name]) :] for a in results[name]],
        }
        for name in grids
    }


@every_activation
def test_activation_keeps_dtype_and_the_shape_it_should(row: ActivationRow):
    for dtype in DTYPES[1:]:
        for shape in ((), (6,), (2, 6), (0, 6)):
            if row.limits is None and not shape:
                continue  # there must be an axis
            y = jax.eval_shape(row.build, jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)))
            assert (y.shape, y.dtype) == (row.output(shape), dtype)


@every_activation
def test_activation_refuses_what_is_not_floating_point(row: ActivationRow):
    jax.random.key(0)  # compiled here, and not while a check is watched
    for dtype in (np.int32, np.uint8, np.bool_, np.complex64):
        x = np.ones((2, 6), dtype)
        if row.takes_integers and x.dtype.kind in "iu":
            assert jax.eval_shape(row.build, x).dtype == dtype
        else:
            assert_input_error(lambda x=x: row.build(x), "x", given=x.dtype.name, expected="floating-point")
    for setting in row.bad:
        x = np.ones((2, 6), np.float32)
        assert_input_error(lambda s=setting, x=x: row.build(x, **s), "")


@every_activation
@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_is_finite_for_finite_input(row: ActivationRow, dtype: str):
    x = _results(dtype)[row.name]["x"]
    for name, array in zip(("value", "slope"), _results(dtype)[row.name]["grid"], strict=True):
        bad = ~np.isfinite(np.asarray(array, np.float64))
        assert not bad.any(), f"{name} at {x[bad if bad.shape == x.shape else bad.nonzero()[0]][:5]}"


@every_elementwise
@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_at_infinity_and_at_nan(row: ActivationRow, dtype: str):
    values, derivatives = (np.asarray(a, np.float64) for a in _results(dtype)[row.name]["special"])
    expected = np.asarray([*row.limits, np.nan]).astype(dtype).astype(np.float64)  # type: ignore[misc]
    np.testing.assert_allclose(values[:3], expected, rtol=1e-7 if dtype != "bfloat16" else 1e-2)
    near = np.asarray([*row.end_slopes, row.nan_slope]).astype(dtype).astype(np.float64)
    np.testing.assert_allclose(derivatives[:3], near, rtol=1e-7 if dtype != "bfloat16" else 1e-2)


@every_elementwise
@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_has_the_stated_slope_at_its_kinks(row: ActivationRow, dtype: str):
    at = np.asarray(_results(dtype)[row.name]["special"][1][3:], np.float64)
    np.testing.assert_allclose(at, np.asarray([*row.kinks.values()]).astype(dtype).astype(np.float64), rtol=2e-7)


@every_elementwise
def test_activation_has_no_other_kinks(row: ActivationRow):
    x, slope = _results("float64")[row.name]["x"][:4001], _results("float64")[row.name]["grid"][1][:4001]
    jumps = np.flatnonzero(np.abs(np.diff(slope)) > 0.1)
    found = sorted({round(float(v)) for v in x[jumps + (slope[jumps] == slope[jumps - 1])]})
    assert found == sorted(row.kinks)


@pytest.mark.parametrize("row", [row for row in ELEMENTWISE if row.reference is not None], ids=str)
def test_activation_is_exact_to_four_units_of_the_last_place(row: ActivationRow):
    x, (y, _) = _results("float32")[row.name]["x"], _results("float32")[row.name]["grid"]
    with np.errstate(all="ignore"):
        exact = np.asarray(row.reference(x.astype(np.float64)), np.float64)
    looked_at = (np.abs(exact) > 1e-30) & (np.abs(x) < 1e4)
    assert looked_at.sum() > 1000
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    errors = np.where(looked_at, np.abs(y - exact) / unit, 0)
    assert errors.max() <= 4, f"{errors.max():.1f} units at {x[errors.argmax()]}"


@functools.cache
def _in_double(name: str) -> Any:
    """Value, slope, second derivative and parameter slopes in float64, of every setting, with traced numbers."""
    row = next(row for row in ACTIVATIONS if row.name == name)
    with jax.enable_x64(True):
        x = jnp.asarray(_points(row))
        h = 1e-5

        @functools.partial(jax.jit, compiler_options=QUICK)
        def evaluate(x, numbers):
            results = []
            for setting, traced in zip(({}, *row.settings), numbers, strict=True):
                fixed = {k: v for k, v in setting.items() if k not in traced}

                def run(x, traced, fixed=fixed):
                    return row.build(x, **fixed, **traced)

                def slope(x, traced=traced, run=run):
                    return _slope(functools.partial(run, traced=traced), x)[1]

                y, back = jax.vjp(run, x, traced)
                by_x, by_number = back(jnp.ones_like(y))
                _, along = jax.jvp(lambda v, run=run, traced=traced: run(v, traced), (x,), (jnp.ones_like(x),))
                bend = jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]
                results.append(
                    {
                        "value": y,
                        "slope": by_x,
                        "numbers": by_number,
                        "forward": (along.sum(), by_x.sum()),
                        "bend": (bend, (slope(x + h) - slope(x - h)) / (2 * h)),
                    }
                )
            return results

        numbers = [{k: jnp.float64(v) for k, v in s.items() if isinstance(v, float)} for s in ({}, *row.settings)]
        return jax.device_get(evaluate(x, numbers))


@every_activation
def test_activation_forward_and_second_derivatives_agree_with_the_slope(row: ActivationRow):
    for result in _in_double(row.name):
        forward, reverse = result["forward"]
        np.testing.assert_allclose(forward, reverse, rtol=1e-12, atol=1e-12)
        bend, difference = result["bend"]
        scale = max(np.abs(difference).max(), 1e-3)
        np.testing.assert_allclose(bend, difference, rtol=close("float64", "second"), atol=1e-6 * scale)


@every_referenced
def test_activation_equals_its_formula_and_the_differences_of_it(row: ActivationRow):
    x, h = _points(row), 1e-5
    for setting, result in zip(({}, *row.settings), _in_double(row.name), strict=True):
        reference = functools.partial(row.reference, **setting)  # type: ignore[arg-type]
        np.testing.assert_allclose(result["value"], reference(x), rtol=1e-12, atol=1e-14)
        slope = np.zeros_like(x)
        for place in np.ndindex(*x.shape) if row.limits is None else ():
            up, down = x.copy(), x.copy()
            up[place] += h
            down[place] -= h
            slope[place] = (reference(up) - reference(down)).sum() / (2 * h)
        if row.limits is not None:
            slope = (reference(x + h) - reference(x - h)) / (2 * h)
        np.testing.assert_allclose(result["slope"], slope, rtol=close("float64", "gradient"), atol=2e-10)
        for name, found in result["numbers"].items():
            up, down = (functools.partial(reference, **{name: setting[name] + d}) for d in (h, -h))
            difference = (up(x) - down(x)).sum() / (2 * h)
            np.testing.assert_allclose(found, difference, rtol=close("float64", "gradient"), atol=1e-9)


@pytest.mark.parametrize("row", [row for row in ACTIVATIONS if row.peer is not None], ids=str)
def test_activation_equals_torch(row: ActivationRow):
    torch = pytest.importorskip("torch")
    x = torch.tensor(_points(row), dtype=torch.float64, requires_grad=True)
    y = row.peer(torch, x)  # type: ignore[misc]
    y.sum().backward()
    result = _in_double(row.name)[0]
    np.testing.assert_allclose(result["value"], y.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(result["slope"], x.grad.numpy(), rtol=close("float64", "oracle"), atol=1e-14)


@every_activation
def test_activation_is_found_by_its_name(row: ActivationRow):
    name = row.name.rpartition(".")[2]
    if row.named:
        assert by_name(name) is row.build
    else:
        assert_input_error(lambda: by_name(name), "activation", given=repr(name))
