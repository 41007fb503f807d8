"""Resizing against PyTorch's interpolate: outputs and gradients, over methods, axes, sizes and scales."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jaxann import ops
from jaxann.ops.resize import matrices_of
from tests.contract import assert_input_error
from tests.programs import quick_jit

X = np.random.default_rng(0).normal(size=(2, 7, 5, 4, 3))
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
GRID: list[tuple[int, str, bool, Any, Any]] = [
    (rank, method, False, size, scale)
    for rank, method in [(1, "nearest"), (2, "nearest"), (3, "nearest"), (1, "bilinear"), (2, "bilinear"),
                         (3, "bilinear"), (2, "bicubic")]
    for size, scale in [((14, 10, 8), None), ((3, 11, 2), None), (1, None), (None, 2.0), (None, (0.6, 1.7, 2.5))]
] + [
    (2, method, True, size, scale)
    for method in ("bilinear", "bicubic")
    for size, scale in [((3, 11), None), ((2, 2), None), (None, (0.4, 0.6))]
]  # fmt: skip


def _of_rank(value: Any, rank: int) -> Any:
    return value[:rank] if isinstance(value, tuple) else value


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_resize_is_pytorchs(rank: int):
    torch = pytest.importorskip("torch")
    x = X[(slice(None), *(slice(None),) * rank, *(0,) * (3 - rank))]
    cases = [(method, antialias, _of_rank(size, rank), _of_rank(scale, rank))
             for of, method, antialias, size, scale in GRID if of == rank]  # fmt: skip
    wanted, cotangents = [], []
    for method, antialias, size, scale in cases:
        tensor = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
        y = torch.nn.functional.interpolate(
            tensor, size=size, scale_factor=scale, mode=LINEAR[rank] if method == "bilinear" else method,
            align_corners=None if method == "nearest" else False, antialias=antialias,
        )  # fmt: skip
        cotangents.append(np.random.default_rng(1).normal(size=y.shape))
        y.backward(torch.tensor(cotangents[-1]))
        wanted.append((y.detach().numpy(), tensor.grad.numpy()))

    @quick_jit
    def ours(x, cotangents):
        found = []
        for (method, antialias, size, scale), cotangent in zip(cases, cotangents, strict=True):
            y, vjp = jax.vjp(lambda x, o=(method, antialias, size, scale): ops.resize(
                x, o[2], scale=o[3], method=o[0], antialias=o[1]), x)  # fmt: skip
            found.append((y, vjp(cotangent)[0]))
        return found

    found = ours(x, [np.moveaxis(c, 1, -1) for c in cotangents])
    for case, mine, theirs in zip(cases, found, wanted, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(np.moveaxis(a, -1, 1), b, rtol=1e-10, atol=1e-12, err_msg=str(case))


def test_nearest_takes_the_places_that_pytorch_takes():
    """i r is nearly whole at many places, and rounding decides."""
    torch = pytest.importorskip("torch")
    for old in (3, 7, 10, 33):
        for new in range(1, 100):
            x = torch.arange(old, dtype=torch.float32)[None, None]
            wanted = torch.nn.functional.interpolate(x, size=new, mode="nearest").numpy().reshape(-1)
            (matrix,) = matrices_of((old,), new, None, "nearest", False)
            taken = np.arange(old) if matrix is None else np.argmax(matrix, 1)
            np.testing.assert_array_equal(taken, wanted, err_msg=f"{old} -> {new}")


@pytest.mark.parametrize(("method", "theirs"), [("bilinear", "linear"), ("bicubic", "cubic")])
def test_antialiased_images_are_those_of_jax(method: str, theirs: str):
    x = X[:, :, :, 0].astype(np.float32)
    for size in ((3, 2), (2, 1), (4, 9)):
        wanted = jax.image.resize(x, (2, *size, 3), theirs, antialias=True)
        ours = ops.resize(x, size, method=method, antialias=True)
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)


def test_resize_refuses_what_it_cannot_do():
    x = np.ones((1, 4, 4, 2), np.float32)
    for bad, argument in (
        ({}, "size"), ({"size": 2, "scale": 2}, "size"), ({"size": (2, 2, 2)}, "size"), ({"size": 0}, "size"),
        ({"scale": 0.1}, "scale"), ({"scale": True}, "scale"), ({"scale": np.inf}, "scale"),
        ({"size": 2, "method": "linear"}, "method"), ({"size": 2, "antialias": True}, "antialias"),
    ):  # fmt: skip
        assert_input_error(lambda bad=bad: ops.resize(x, **bad), argument)
    assert_input_error(lambda: ops.resize(x[0, 0], 2), "x", given="(4, 2)")
