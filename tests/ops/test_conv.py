"""Convolution and its transpose against PyTorch: outputs and both gradients, over a grid of options."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxann import ops
from jaxann.ops.conv import geometry_of
from jaxann.ops.conv_maps import convolve, input_gradient, weight_gradient
from tests.contract import assert_input_error
from tests.programs import quick_jit

PLACES, SIZE = (7, 6, 8), (3, 2, 3)
GRID = [
    (rank, stride, padding, dilation, groups)
    for rank, stride, padding, dilation, groups in itertools.product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (1, 2, 4))
    if (rank + stride + 2 * padding + dilation + groups) % (2 if rank == 2 else 6) == 0
]


def _first(x: np.ndarray) -> np.ndarray:
    """Channels first, as PyTorch has them."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _kernel(weight: np.ndarray) -> np.ndarray:
    """`(*size, in, out)` as PyTorch's `(out, in, *size)`."""
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(weight, -1, 0), -1, 1))


def _compare(ours: Any, theirs: Any, x: np.ndarray, weight: np.ndarray, torch: Any) -> None:
    random = np.random.default_rng(1)

    @quick_jit
    def program(x, weight, cotangent):
        z, vjp = jax.vjp(ours, x, weight)
        return z, *vjp(cotangent)

    inputs = torch.tensor(_first(x), requires_grad=True)
    kernel = torch.tensor(_kernel(weight), requires_grad=True)
    expected = theirs(inputs, kernel)
    cotangent = random.normal(size=np.moveaxis(expected.detach().numpy(), 1, -1).shape)
    expected.backward(torch.tensor(_first(cotangent)))
    z, by_x, by_weight = program(x, weight, cotangent)
    np.testing.assert_allclose(_first(z), expected.detach().numpy(), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(_first(by_x), inputs.grad.numpy(), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(_kernel(np.asarray(by_weight)), kernel.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("rank", "stride", "padding", "dilation", "groups"), GRID)
def test_convolution_is_pytorchs(rank: int, stride: int, padding: int, dilation: int, groups: int):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, *PLACES[:rank], 4)), random.normal(size=(*SIZE[:rank], 4 // groups, 8))
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    function = getattr(torch.nn.functional, f"conv{rank}d")
    _compare(lambda x, w: ops.conv(x, w, **settings), lambda x, w: function(x, w, **settings), x, weight, torch)


TURNED = [(2, 1, 0, 0, 1, 1), (2, 1, 1, 0, 2, 2), (2, 2, 0, 1, 1, 2), (2, 2, 1, 1, 2, 1), (2, 3, 1, 0, 1, 1),
          (2, 3, 0, 2, 2, 2), (1, 2, 1, 1, 1, 2), (3, 2, 1, 1, 1, 2), (3, 3, 0, 2, 1, 1)]  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("rank", "stride", "padding", "more", "dilation", "groups"), TURNED)
def test_transposed_convolution_is_pytorchs(rank, stride, padding, more, dilation, groups):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, *PLACES[:rank], 4)), random.normal(size=(*SIZE[:rank], 6 // groups, 4))
    settings = {"stride": stride, "padding": padding, "output_padding": more, "dilation": dilation, "groups": groups}
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    _compare(
        lambda x, w: ops.conv_transpose(x, w, **settings), lambda x, w: function(x, w, **settings), x, weight, torch
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_padded_places_hold_is_pytorchs(mode: str, stride: int):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, 5, 6, 3)), random.normal(size=(3, 5, 3, 2))

    def theirs(x, w):
        padded = torch.nn.functional.pad(x, (2, 2, 1, 1), mode=mode)
        return torch.nn.functional.conv2d(padded, w, stride=stride)

    settings = {"stride": stride, "padding": (1, 2), "padding_mode": mode}
    _compare(lambda x, w: ops.conv(x, w, **settings), theirs, x, weight, torch)


@pytest.mark.usefixtures("x64")
def test_derivatives_of_every_order_and_mapped():
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, 5, 4, 2)), random.normal(size=(3, 2, 1, 4))
    settings = {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 2}
    check_grads(lambda x, w: ops.conv(x, w, **settings), (x, weight), order=3, modes=("fwd", "rev"))
    check_grads(lambda z, w: ops.conv_transpose(z, w, stride=2), (x, random.normal(size=(3, 2, 3, 2))), order=2)
    xs, weights = np.stack([x, x + 1, x * 2]), np.stack([weight, weight - 1, weight * 3])
    each = [ops.conv(a, b, **settings) for a, b in zip(xs, weights, strict=True)]
    both = jax.vmap(lambda a, b: ops.conv(a, b, **settings))(xs, weights)
    np.testing.assert_allclose(both, np.stack(each), rtol=1e-12)
    one = jax.vmap(lambda a: ops.conv(a, weight, **settings))(xs)
    np.testing.assert_allclose(one[1], ops.conv(xs[1], weight, **settings), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_each_map_is_the_transpose_of_the_others():
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(2, 7, 5, 4)), random.normal(size=(3, 3, 2, 6))
    geometry = geometry_of("conv", x, weight, 2, "same", 1, 2)
    delta = random.normal(size=convolve(x, weight, geometry).shape)
    figures = [
        np.sum(delta * convolve(x, weight, geometry)),
        np.sum(x * input_gradient(delta, weight, geometry)),
        np.sum(weight * weight_gradient(x, delta, geometry)),
    ]
    np.testing.assert_allclose(figures, figures[0], rtol=1e-12)


@pytest.mark.parametrize(("places", "size", "stride"), [(224, 3, 2), (224, 7, 2), (5, 2, 1), (7, 3, 3), (4, 1, 2)])
def test_same_pads_as_tensorflow_does(places: int, size: int, stride: int):
    x, weight = np.ones((1, places, 1), np.float32), np.ones((size, 1, 1), np.float32)
    windows = geometry_of("conv", x, weight, stride, "same", 1, 1).windows
    known = {(224, 3, 2): (0, 1), (224, 7, 2): (2, 3), (5, 2, 1): (0, 1), (7, 3, 3): (1, 1), (4, 1, 2): (0, 0)}
    assert windows.pads == (known[places, size, stride],)
    assert windows.count((places,)) == (-(-places // stride),)


def test_half_precision_is_summed_in_single():
    x, weight = jnp.full((1, 3, 512), 1, jnp.bfloat16), jnp.full((3, 512, 1), 1.0078125, jnp.bfloat16)
    z = ops.conv(x, weight, padding="valid")
    assert z.dtype == jnp.bfloat16 and float(z[0, 0, 0]) == float(jnp.bfloat16(3 * 512 * 1.0078125))
    by_weight = jax.grad(lambda w: ops.conv(x, w, padding="valid").astype(jnp.float32).sum())(weight)
    assert by_weight.dtype == jnp.bfloat16


def test_what_does_not_fit_is_named():
    x, weight = np.ones((2, 5, 6, 4), np.float32), np.ones((3, 3, 4, 8), np.float32)
    for changes, argument in (
        ({"stride": 0}, "stride"), ({"stride": (1, 2, 3)}, "stride"), ({"dilation": 1.5}, "dilation"),
        ({"padding": "full"}, "padding"), ({"padding": (1,)}, "padding"), ({"padding": -1}, "padding"),
        ({"padding": ((1, 2, 3), 0)}, "padding"), ({"groups": 3}, "weight"), ({"padding_mode": "zero"}, "padding_mode"),
        ({"padding": 6, "padding_mode": "reflect"}, "padding"), ({"padding": 0, "dilation": 3}, "x"),
    ):  # fmt: skip
        assert_input_error(lambda c=changes: ops.conv(x, weight, **c), argument)
    assert_input_error(lambda: ops.conv(x[0], weight), "x", expected="2 axes of places")
    assert_input_error(lambda: ops.conv(x.astype(np.int32), weight), "x", given="int32")
    assert_input_error(lambda: ops.conv(x.astype(np.float64), weight), "x", expected="float32", given="float64")
    for changes, argument in (({"output_padding": 1}, "output_padding"), ({"padding": 9}, "padding"),
                              ({"padding": "same", "output_padding": 1, "stride": 2}, "output_padding")):  # fmt: skip
        assert_input_error(lambda c=changes: ops.conv_transpose(x, weight.swapaxes(2, 3), **c), argument)
    eager = jnp.asarray(x), jnp.asarray(weight)
    ops.conv(*eager)  # compiled before what is refused is watched
    for bias in (np.ones(1, np.float32), np.ones(8, np.float64), [1.0] * 8):
        assert_input_error(lambda b=bias: ops.conv(*eager, b), "bias")
