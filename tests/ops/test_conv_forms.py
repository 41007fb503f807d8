"""The forms of convolutions on a CPU: their values, and what XLA makes of them inside loops and populations."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import ops
from jaxann.core import programs
from jaxann.ops import conv_forms
from jaxann.ops.conv import geometry_of
from jaxann.ops.conv_maps import BY_XLA, convolve, input_gradient, weight_gradient
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
# places, kernel, channels, filters, stride, padding, dilation, groups
CASES: list[tuple[Any, ...]] = [
    ((6, 7), (3, 3), 1, 6, 1, "same", 1, 1),
    ((5, 9), (5, 5), 3, 40, 1, 2, 1, 1),
    ((6, 7), (2, 3), 6, 5, 1, "valid", 1, 1),
    ((6, 8), (3, 3), 6, 4, (2, 2), "same", 1, 1),
    ((4, 9), (1, 3), 8, 8, (1, 2), ((0, 0), (2, 1)), 1, 1),
    ((3, 2), (3, 3), 5, 3, 1, "same", 1, 1),
    ((7,), (4,), 2, 3, 3, "same", 1, 1),
    ((3, 4, 5), (2, 2, 3), 2, 3, 1, "same", 1, 1),
    ((6, 7), (3, 3), 4, 6, 1, "same", (1, 2), 1),
    ((6, 7), (3, 3), 4, 6, 1, "same", 1, 2),
    ((6, 6), (3, 3), 20, 20, 1, "same", 1, 1),
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))
def test_forms_give_what_xla_gives(case: tuple[Any, ...]):
    places, size, channels, filters, stride, padding, dilation, groups = case
    x = RANDOM.normal(size=(2, *places, channels))
    weight = RANDOM.normal(size=(*size, channels // groups, filters))
    geometry = geometry_of("conv", x, weight, stride, padding, dilation, groups)
    delta = RANDOM.normal(size=jax.eval_shape(lambda a, b: convolve(a, b, geometry), x, weight).shape)
    pairs = [(convolve, x, weight), (input_gradient, delta, weight), (weight_gradient, x, delta)]

    @quick_jit
    def both(arrays: Any) -> Any:
        ours = [function(a, b, geometry) for (function, _, _), (a, b) in zip(pairs, arrays, strict=True)]
        return ours, [form(a, b, geometry=geometry) for form, (a, b) in zip(BY_XLA.values(), arrays, strict=True)]

    for found, wanted in zip(*both([pair[1:] for pair in pairs]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_runs_are_taken_where_channels_are_few():
    def run(channels: int, filters: int, size: int = 3, dilation: int = 1) -> int:
        x, weight = np.zeros((1, 9, 9, channels)), np.zeros((size, size, channels, filters))
        geometry = geometry_of("conv", x, weight, 1, "same", dilation, 1)
        return conv_forms.run_for(channels, filters, geometry)

    assert (run(1, 32), run(3, 64), run(16, 16), run(32, 32), run(16, 16, 1), run(16, 16, 3, 2)) == (4, 2, 2, 1, 1, 1)


def _step(weight: jax.Array, x: jax.Array) -> jax.Array:
    gradient = jax.grad(lambda w: jnp.sum(jnp.tanh(ops.conv(jnp.tanh(ops.conv(x, w)), w)) ** 2))(weight)
    return weight - 0.1 * gradient


def _loop(weight: jax.Array, x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, 3, lambda i, w: _step(w, x), weight)


@pytest.mark.parametrize("members", [False, True])
def test_convolutions_in_a_loop_are_laid_out_for_eigen(members: bool):
    """In a loop nothing lays them out: one that is not is computed number by number, 80 times as slowly."""
    shapes = (3, 3, 6, 6), (2, 8, 8, 6)
    weight, x = (jnp.zeros((*(2,) * members, *shape)) for shape in shapes)
    program = programs.jit(jax.vmap(_loop) if members else _loop)
    text = program.lower(weight, x).compile().as_text()
    labels = re.findall(r"convolution\(.*dim_labels=(\S+?)[,\s]", text)
    assert len(labels) >= 4 and set(labels) == {"b01f_01io->b01f"}
    assert "batch_group_count" not in text


def test_what_a_convolution_reads_is_computed_once():
    """Else its weight gradient lays out what it computes again, number by number and far apart in memory."""

    def cost(weight: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sum(ops.conv(jnp.maximum(x + 1, 0), weight) ** 2)

    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3, 3, 6, 6), (2, 8, 8, 6))]
    text = programs.jit(jax.grad(cost)).lower(*given).compile().as_text()
    assert text.count(" maximum(") == 1


def test_members_equal_single_ones():
    weight, x = RANDOM.normal(size=(3, 3, 3, 2, 4)), RANDOM.normal(size=(3, 2, 6, 6, 2))
    weight, x = weight.astype(np.float32), x.astype(np.float32)
    for axes in ((0, 0), (0, None), (None, 0)):
        given = [a if axis == 0 else a[0] for a, axis in zip((x, weight), axes, strict=True)]

        def gradients(x, w):
            return jax.grad(lambda x, w: jnp.sum(jnp.sin(ops.conv(x, w))), (0, 1))(x, w)

        together = quick_jit(jax.vmap(gradients, in_axes=axes))(*given)
        for i in range(3):
            single = quick_jit(gradients)(*(a[i] if axis == 0 else a for a, axis in zip(given, axes, strict=True)))
            for found, wanted in zip(together, single, strict=True):
                np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-5)
