"""Pooling against PyTorch: values and gradients, equal maxima among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import ops
from tests.contract import assert_input_error
from tests.programs import quick_jit

WINDOWS = [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (2, 1, 0, 2), (3, 3, 1, 1)]


def _draw(rank: int, equals: bool) -> np.ndarray:
    random = np.random.default_rng(rank)
    shape = (2, *(7, 6, 5)[:rank], 3)
    return random.integers(-3, 3, shape).astype(float) if equals else random.normal(size=shape)


def _compare(ours: Callable, theirs: Callable, x: np.ndarray, torch: Any) -> None:
    inputs = torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)), requires_grad=True)
    expected = theirs(inputs)
    cotangent = np.random.default_rng(9).normal(size=np.moveaxis(expected.detach().numpy(), 1, -1).shape)
    expected.backward(torch.tensor(np.ascontiguousarray(np.moveaxis(cotangent, -1, 1))))

    @quick_jit
    def program(x, cotangent):
        y, vjp = jax.vjp(ours, x)
        return y, vjp(cotangent)[0]

    y, by_x = program(x, cotangent)
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.moveaxis(by_x, -1, 1), inputs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pools_are_pytorchs(rank: int):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    top, mean = getattr(f, f"max_pool{rank}d"), getattr(f, f"avg_pool{rank}d")
    for window, stride, padding, dilation in WINDOWS:
        settings = {"stride": stride, "padding": padding, "dilation": dilation}
        for equals in (False, True):
            _compare(
                lambda x, w=window, s=settings: ops.max_pool(x, w, **s),
                lambda x, w=window, s=settings: top(x, w, **s), _draw(rank, equals), torch,
            )  # fmt: skip
        for counted in (True, False) if dilation == 1 else ():
            means = {"stride": stride, "padding": padding, "count_padding": counted}
            _compare(
                lambda x, w=window, s=means: ops.avg_pool(x, w, **s),
                lambda x, w=window, s=stride, p=padding, c=counted: mean(x, w, s, p, count_include_pad=c),
                _draw(rank, False), torch,
            )  # fmt: skip
    for size in (1, 2, 3):
        for kind in ("avg", "max"):
            function = getattr(f, f"adaptive_{kind}_pool{rank}d")
            _compare(
                lambda x, n=size, k=kind: ops.adaptive_pool(x, n, k), lambda x, n=size, g=function: g(x, n),
                _draw(rank, False), torch,
            )  # fmt: skip
    if rank < 3:
        function = getattr(f, f"lp_pool{rank}d")
        for p in (1.0, 2.0, 3.0):
            _compare(
                lambda x, p=p: ops.lp_pool(x, p, 2), lambda x, p=p: function(x, p, 2),
                np.abs(_draw(rank, False)) + 0.1, torch,
            )  # fmt: skip


def test_lp_of_nothing_and_of_great_numbers():
    zeros = np.zeros((1, 2, 1), np.float32)
    y, by_x = jax.value_and_grad(lambda x: ops.lp_pool(x, 3.0, 2).sum())(zeros)
    assert float(y) == 0 and not np.asarray(by_x).any()
    great = np.full((1, 2, 1), 1e30, np.float32)
    assert float(ops.lp_pool(great, 2.0, 2)[0, 0, 0]) == pytest.approx(2**0.5 * 1e30, rel=1e-6)
    assert np.isnan(ops.max_pool(jnp.array([[[1.0], [np.nan]]]), 2)).all()


def test_what_does_not_fit_is_named():
    x = np.ones((2, 5, 6, 4), np.float32)
    assert_input_error(lambda: ops.max_pool(x, 7), "x", expected="at least 7 x 7", given="5 x 6")
    assert_input_error(lambda: ops.max_pool(x, 2, padding=2), "padding", given="(2, 2)")
    assert_input_error(lambda: ops.avg_pool(x, (2, 0)), "window")
    assert_input_error(lambda: ops.adaptive_pool(x, (0, 1), "avg"), "sizes")
    assert_input_error(lambda: ops.max_pool(x[:, 0, 0], 2), "x")
    assert_input_error(lambda: ops.max_pool(x.astype(np.int32), 2), "x", given="int32")
    assert_input_error(lambda: ops.adaptive_pool(x, 2, "sum"), "kind")
    assert_input_error(lambda: ops.adaptive_pool(x[:, 0, 0], 2, "avg"), "x")
    assert_input_error(lambda: ops.lp_pool(x, 0.5, 2), "p")
