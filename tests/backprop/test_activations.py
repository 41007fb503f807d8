"""What each activation's rule gives, against automatic differentiation of the activation itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations
from jaxann.backprop.registry import ACTIVATIONS, activation_vjp
from tests.backprop.interpret import run
from tests.catalogue import ACTIVATIONS as ROWS
from tests.rows.kinds import ActivationRow
from tests.tolerances import close

# What the rows of the catalogue do not set.
OTHERS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "geglu": ({"approximate": False},),
    "gumbel_softmax": ({"hard": True, "temperature": 0.5},),
    "log_sum_exp": ({"where": np.arange(6) % 3 > 0},),
    "prelu": ({"alpha": np.linspace(-0.5, 1.0, 6)},),
    "rrelu": ({"key": 3},),
    "softmax": ({"where": np.arange(6) % 3 > 0, "temperature": 0.5},),
    "swiglu": ({"gate_first": True, "beta": 2.0},),
}
NEEDED = {"prelu": {"alpha": 0.25}, "gumbel_softmax": {"key": 5}}


def name_of(row: ActivationRow) -> str:
    return row.name.removeprefix("activations.")


def cases(row: ActivationRow) -> list[dict[str, Any]]:
    """Settings of an activation, keys as whole numbers."""
    name = name_of(row)
    return [{**NEEDED.get(name, {}), **setting} for setting in ({}, *row.settings, *OTHERS.get(name, ()))]


def bound(row: ActivationRow, setting: Mapping[str, Any]) -> Callable[[jax.Array], jax.Array]:
    made = {name: jax.random.key(value) if name == "key" else value for name, value in setting.items()}
    return functools.partial(getattr(activations, name_of(row)), **made)


def points(row: ActivationRow) -> np.ndarray:
    """`(n, 6)`: a grid with all kinks, ties, both zeros, and +-1e4; where each number is by itself also inf and NaN."""
    random = np.random.default_rng(1)
    usual = np.concatenate([np.linspace(-9, 9, 145), 3 * random.normal(size=35), [0.0, -0.0, 1e4, -1e4, 40, -40]])
    ties = random.integers(-3, 4, (20, 6)).astype(float)
    far = 1e4 * random.integers(-1, 2, (20, 6))
    grids = [random.permutation(usual).reshape(-1, 6), usual.reshape(-1, 6), ties, far]
    if row.limits is not None:
        grids.append(np.array([[-np.inf, np.inf, np.nan, 1e-300, -1e-300, 1e100]]))
    return np.concatenate(grids)


def test_every_activation_has_a_rule():
    assert set(ACTIVATIONS) == {getattr(activations, name_of(row)) for row in ROWS}


def _programs(row: ActivationRow, setting: Mapping[str, Any], x: np.ndarray) -> list[Any]:
    """`x -> dC/dx` by the rule and by autodiff, traced."""
    function = bound(row, setting)

    def upstream(y):
        return jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) + 1.5

    def ours(x):
        y = function(x)
        vjp, settings = activation_vjp(function, "test", "activation")
        return vjp(upstream(y), x, y, **settings)

    def autodiff(x):
        y, back = jax.vjp(function, x)
        return back(upstream(y))[0]

    return [jax.make_jaxpr(program)(x) for program in (ours, autodiff)]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rule_is_autodiff(row: ActivationRow, x64: None):
    """On a grid with every kink, in all settings; finite for finite numbers, the documented limits at the others."""
    x = points(row)
    finite = np.isfinite(x).all(-1)
    for setting in cases(row):
        (ours,), (autodiff,) = (run(program, x) for program in _programs(row, setting, x))
        assert ours.dtype == np.float64
        assert np.isfinite(ours[finite]).all(), setting
        tolerance = close("float64", "reduction")
        np.testing.assert_allclose(ours, autodiff, rtol=tolerance, atol=tolerance, err_msg=str(setting))
