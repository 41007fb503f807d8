"""Norms with each example's own statistics against PyTorch: outputs and gradients; padding; the far ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxann import ops
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)


def _first(x: np.ndarray) -> np.ndarray:
    """Channels first, as PyTorch has them."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def _same(x: np.ndarray) -> np.ndarray:
    return x


# name: shape of x, shape of scale and bias, ours, theirs, whether PyTorch has the channels first
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Callable, Callable, bool]] = {}
for shape, axes in (((3, 2, 5), 1), ((3, 4, 5), 2), ((2, 3, 4, 5), 3)):
    CASES[f"layer {shape} {axes}"] = (
        shape, shape[-axes:], functools.partial(ops.layer_norm, axes=axes),
        lambda F, x, s, b, eps, n=shape[-axes:]: F.layer_norm(x, n, s, b, eps), False)  # fmt: skip
for shape, groups in (((4, 6), 3), ((3, 5, 6), 2), ((2, 3, 4, 6), 6), ((2, 2, 3, 2, 4), 2)):
    CASES[f"group {shape} {groups}"] = (
        shape, shape[-1:], functools.partial(ops.group_norm, groups=groups),
        lambda F, x, s, b, eps, n=groups: F.group_norm(x, n, s, b, eps), True)  # fmt: skip
for shape in ((3, 5, 2), (2, 3, 2, 2, 3)):
    CASES[f"instance {shape}"] = (
        shape, shape[-1:], ops.instance_norm,
        lambda F, x, s, b, eps: F.instance_norm(x, weight=s, bias=b, eps=eps), True)  # fmt: skip
for shape in ((4, 5), (2, 3, 5)):
    CASES[f"rms {shape}"] = (
        shape, shape[-1:], lambda x, s, b, *, eps: ops.rms_norm(x, s, eps=eps),
        lambda F, x, s, b, eps, n=shape[-1:]: F.rms_norm(x, n, s, eps), False)  # fmt: skip


def _assert_is_pytorchs(name: str, dtype: Any, affine: bool, eps: float, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    shape, sizes, ours, theirs, first = CASES[name]
    to, back = (_first, _last) if first else (_same, _same)
    x, g = (RANDOM.normal(size=shape).astype(dtype) * 2 + 1 for _ in range(2))
    vectors = [RANDOM.normal(size=sizes).astype(dtype) + 1 for _ in range(2)] if affine else [None, None]

    @quick_jit
    def program(x, vectors, g):
        y, vjp = jax.vjp(lambda x, v: ours(x, *v, eps=eps), x, vectors)
        return y, *vjp(g)

    y, by_x, by_vectors = program(x, vectors, g)
    inputs = torch.tensor(to(x), requires_grad=True)
    theirs_vectors = [v if v is None else torch.tensor(v, requires_grad=True) for v in vectors]
    expected = theirs(torch.nn.functional, inputs, *theirs_vectors, eps)
    expected.backward(torch.tensor(to(g)))
    pairs = [(y, back(expected.detach().numpy())), (by_x, back(inputs.grad.numpy()))]
    for found, wanted in zip(by_vectors, theirs_vectors, strict=True):
        if wanted is not None and wanted.grad is not None:
            pairs.append((found, wanted.grad.numpy()))
    assert len(pairs) == 2 + (0 if not affine else 1 if name.startswith("rms") else 2)
    for found, wanted in pairs:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1, np.abs(wanted).max()))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_norms_are_pytorchs(name: str):
    _assert_is_pytorchs(name, np.float64, True, 1e-5, 1e-10)


SOME = ["layer (3, 4, 5) 2", "group (2, 3, 4, 6) 6", "instance (3, 5, 2)", "rms (2, 3, 5)"]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SOME)
def test_norms_without_scale_and_bias_are_pytorchs(name: str):
    _assert_is_pytorchs(name, np.float64, False, 0.1, 1e-10)


@pytest.mark.parametrize("name", SOME)
def test_norms_are_pytorchs_in_single_precision(name: str):
    _assert_is_pytorchs(name, np.float32, True, 1e-5, 1e-5)


MASK = np.arange(5) < np.array([5, 2, 1, 0])[:, None]
MASKED = {
    "layer": functools.partial(ops.layer_norm, axes=2),
    "group": functools.partial(ops.group_norm, groups=2),
    "instance": ops.instance_norm,
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", MASKED)
def test_padded_places_are_in_no_statistic(name: str):
    """Each example is what its real places alone give, and gets their gradient."""
    norm = MASKED[name]
    x, g = RANDOM.normal(size=(4, 5, 4)), RANDOM.normal(size=(4, 5, 4))
    vectors = [RANDOM.normal(size=(5, 4) if name == "layer" else (4,)) for _ in range(2)]
    g = np.where(MASK[..., None], g, 0)

    @quick_jit
    def program(x, vectors, g):
        y, vjp = jax.vjp(lambda x, v: norm(x, *v, mask=jnp.asarray(MASK)), x, vectors)
        return y, *vjp(g)

    spoilt = np.where(MASK[..., None], x, np.nan)
    y, by_x, by_vectors = program(spoilt, vectors, g)
    assert np.isfinite(y).all() and np.isfinite(by_x).all()
    np.testing.assert_array_equal(np.asarray(y)[~MASK], np.broadcast_to(vectors[1], x.shape)[~MASK])
    assert not np.asarray(by_x)[~MASK].any()
    sums = [np.zeros(v.shape) for v in vectors]
    for i, length in enumerate(MASK.sum(1)[:-1]):
        cut = [v[:length] if name == "layer" else v for v in vectors]
        alone, vjp = jax.vjp(lambda x, v: norm(x, *v), x[i : i + 1, :length], cut)
        np.testing.assert_allclose(y[i, :length], alone[0], rtol=1e-12, atol=1e-12)
        below, others = vjp(g[i : i + 1, :length])
        np.testing.assert_allclose(by_x[i, :length], below[0], rtol=1e-10, atol=1e-12)
        for total, other in zip(sums, others, strict=True):
            total[: len(other)] += other
    for found, wanted in zip(by_vectors, sums, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


EVERY = {
    "layer": functools.partial(ops.layer_norm, axes=2),
    "group": functools.partial(ops.group_norm, groups=1),
    "instance": ops.instance_norm,
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("jit", [lambda f: f, quick_jit], ids=["eager", "jit"])
def test_a_large_mean_costs_no_digits(name: str, jit: Callable):
    offsets = RANDOM.normal(size=(2, 40, 1))
    x = (1e4 + offsets).astype(np.float32)
    exact = x.astype(np.float64)
    wanted = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(jit(EVERY[name])(x), wanted, rtol=1e-5, atol=1e-6)
    three = 1e4 + np.array([0, 1, 2], np.float32)[None, :, None]
    np.testing.assert_allclose(
        jit(EVERY[name])(three)[0, :, 0], np.array([-1, 0, 1]) / np.sqrt(2 / 3 + 1e-5), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_what_does_not_vary_gives_the_bias_without_an_eps(name: str, masked: bool):
    x = np.full((2, 3000, 1), 0.1, np.float32)  # whose mean in float32 is another number
    x[1] *= np.arange(3000, dtype=np.float32)[:, None]
    mask = jnp.asarray(np.arange(3000) < np.array([[2900], [3000]])) if masked else None
    bias = np.full((3000, 1) if name == "layer" else (1,), 0.5, np.float32)

    def total(x, eps):
        y = EVERY[name](x, None, bias, eps=eps, mask=mask)
        return jnp.sum(y**3), y

    known = quick_jit(jax.grad(lambda x: total(x, 0.0), has_aux=True))(x)
    for slope, y in (known, quick_jit(jax.grad(total, has_aux=True))(x, 0.0)):
        np.testing.assert_array_equal(y[0], np.full((3000, 1), 0.5, np.float32))
        assert not np.asarray(slope[0]).any() and np.isfinite(slope).all()
        np.testing.assert_allclose(jnp.std(y[1]), 1, rtol=1e-5)


def test_rows_of_zeros_stay_zeros_without_an_eps():
    x = np.zeros((1, 4), np.float32)
    y, slope = quick_jit(
        lambda x: (ops.rms_norm(x, eps=0.0), jax.grad(lambda x: jnp.sum(ops.rms_norm(x, eps=0.0)))(x))
    )(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(slope, x)


def test_half_precision_has_statistics_in_single():
    x = (np.arange(512) % 2 + 256).astype(jnp.bfloat16).reshape(1, 512, 1)
    x[0, 0] = 300
    wide = x.astype(np.float64)
    wanted = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    for norm in EVERY.values():
        y = norm(x)
        assert y.dtype == jnp.bfloat16
        np.testing.assert_allclose(y.astype(np.float32), wanted, rtol=4e-3, atol=1e-6)  # half of bfloat16's last digit
    y = ops.rms_norm(jnp.full((1, 300), 1e3, jnp.float16))  # whose squares float16 does not hold
    np.testing.assert_allclose(y, 1, rtol=1e-3)


@pytest.mark.usefixtures("x64")
def test_derivatives_of_second_order():
    x = RANDOM.normal(size=(2, 3, 4))
    mask = jnp.asarray(np.array([[1, 1, 1], [1, 0, 1]]))
    for function in (functools.partial(ops.group_norm, groups=2, mask=mask), ops.rms_norm):
        check_grads(jax.jit(lambda x, f=function: f(x, eps=0.1)), (x,), order=2, modes=("rev",))


def test_what_does_not_fit_is_named():
    x = jnp.ones((2, 3, 4))
    for call, argument in (
        (lambda: ops.layer_norm(x, axes=3), "x"), (lambda: ops.layer_norm(x, axes=0), "axes"),
        (lambda: ops.layer_norm(x, x[0, 0], axes=2), "scale"), (lambda: ops.layer_norm(x, bias=x), "bias"),
        (lambda: ops.layer_norm(x, mask=x[:1, :, 0]), "mask"), (lambda: ops.group_norm(x, groups=3), "x"),
        (lambda: ops.group_norm(x), "x"), (lambda: ops.group_norm(x, groups=0), "groups"),
        (lambda: ops.instance_norm(x[0]), "x"), (lambda: ops.rms_norm(x, eps=-1.0), "eps"),
        (lambda: ops.rms_norm(x[0, 0, 0]), "x"), (lambda: ops.rms_norm(x.astype(int)), "x"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=argument):
            call()
    assert_input_error(lambda: ops.group_norm(x, groups=3), "x", given="(2, 3, 4)", expected="3")
