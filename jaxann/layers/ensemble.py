"""Layers of an ensemble inside one network: an axis of members before the features, `(..., members, features)`.

`repeat_members` copies the input to every member, `batch_ensemble_dense` is one weight that all members share with a
few numbers of their own, `packed_dense` has a weight for each member. In between, whatever works on the last axis alone
(`elementwise`, `dropout`) serves the members as it is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Array, Params, Spec
from jaxann.initializers import lecun_normal, zeros
from jaxann.ops import dense as dense_map

__all__ = ["batch_ensemble_dense", "packed_dense", "repeat_members"]

_SCALES = {
    "ones": lambda key, shape, dtype: jnp.ones(shape, dtype),
    "random_signs": jax.random.rademacher,
    "normal": jax.random.normal,
}


@factory(Layer, static=("members",), traits=("positionwise",))
def repeat_members(members: int):
    """The same input for every member: `(..., features) -> (..., members, features)`; no parameters.

    Args:
        members: size of the ensemble.

    Peers: none of PyTorch, Keras and flax has it.

    Raises:
        InputError: members is no positive integer, or x has no axes.
    """
    check_integer("repeat_members", "members", members)

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        if x.ndim == 0:
            fail("repeat_members", "x", "of shape (..., features)", " a scalar")
        return jnp.broadcast_to(jnp.expand_dims(x, -2), (*x.shape[:-1], members, x.shape[-1])), state

    return init, apply


@factory(Layer, static=("units", "members"), traits=("outputs_last", "positionwise"))
def batch_ensemble_dense(
    units: int,
    members: int,
    *,
    use_bias: bool = True,
    input_scale: str = "ones",
    output_scale: str = "ones",
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z_k = ((x_k * r_k) W) * s_k + b_k for each member k: one weight W for all, and vectors r_k, s_k, b_k of its own.

    So member k has the weight diag(r_k) W diag(s_k): an ensemble for little more memory than one network. Once
    r = s = 1 and the biases are equal, the members are one and the same; what sets them apart is the first layer's r,
    which is why it is drawn at random there.

    Args:
        units: number of outputs.
        members: size of the ensemble.
        use_bias: whether there is a b.
        input_scale: how r begins: "ones", "random_signs" (-1 or 1, evenly) or "normal" (N(0, 1)), each number of each
            member drawn by itself. BatchEnsemble has random signs in every layer; TabM in the first layer alone, or
            "normal" where the features are embedded, and ones in all others.
        output_scale: how s begins, likewise; ones everywhere in TabM.
        kernel_init: distribution of W, `lecun_normal()` when None. (TabM: U(-a, a), a = 1 / sqrt(in).)
        bias_init: distribution of b, zeros when None; drawn once, all members begin with the same.

    Input `(..., members, in)`, output `(..., members, units)`. Parameters: `weight` `(in, units)`, `bias`
    `(members, units)`, `input.scale` (r) `(members, in)`, `output.scale` (s) `(members, units)`; the scales go by that
    name so that `optimizers.matrices` leaves them out of weight decay.

    Source: Wen et al. 2020 (BatchEnsemble); Gorishniy et al. 2025 (TabM).

    Peers: none of PyTorch, Keras and flax has it.

    Raises:
        InputError: units or members is no positive integer, a scale is unknown, or x does not have that many members
            and features.
    """
    check_integer("batch_ensemble_dense", "units", units)
    check_integer("batch_ensemble_dense", "members", members)
    check_choice("batch_ensemble_dense", "input_scale", input_scale, _SCALES)
    check_choice("batch_ensemble_dense", "output_scale", output_scale, _SCALES)

    def init(key, spec):
        features = _features("batch_ensemble_dense", members, spec)
        initializer = kernel_init or lecun_normal()
        params = {
            "weight": initializer(fold_name(key, "weight"), (features, units), spec.dtype),
            "input": {"scale": _SCALES[input_scale](fold_name(key, "input"), (members, features), spec.dtype)},
            "output": {"scale": _SCALES[output_scale](fold_name(key, "output"), (members, units), spec.dtype)},
        }
        if use_bias:
            bias = (bias_init or zeros())(fold_name(key, "bias"), (units,), spec.dtype)
            params["bias"] = jnp.tile(bias, (members, 1))
        return params, {}

    def apply(params, state, x, *, key=None, train=False):
        _check_input("batch_ensemble_dense", params, members, params["weight"].shape[0], x)
        z = dense_map(x * _over(params["input"]["scale"], x), params["weight"])
        z = z * _over(params["output"]["scale"], z)
        return _biased(params, z), state

    return init, apply


@factory(Layer, static=("units", "members"), traits=("positionwise",))
def packed_dense(
    units: int,
    members: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z_k = x_k W_k + b_k for each member k, nothing shared: the output layer of TabM.

    Args:
        units: number of outputs.
        members: size of the ensemble.
        use_bias: whether there is a b.
        kernel_init: distribution of each W_k, `lecun_normal()` when None.
        bias_init: distribution of each b_k, zeros when None.

    Input `(..., members, in)`, output `(..., members, units)`. Parameters: `weight` `(members, in, units)`, `bias`
    `(members, units)`; every member draws its own. Source: Laurent et al. 2023 (packed ensembles); Gorishniy et al.
    2025 (TabM).

    Peers: none of PyTorch, Keras and flax has it.

    Raises:
        InputError: units or members is no positive integer, or x does not have that many members and features.
    """
    check_integer("packed_dense", "units", units)
    check_integer("packed_dense", "members", members)

    def init(key, spec):
        features = _features("packed_dense", members, spec)

        def draw(name: str, initializer: Initializer, shape: tuple[int, ...]):
            # A member at a time: in a draw of (members, in, units) the members would count as a receptive field.
            keys = jax.random.split(fold_name(key, name), members)
            return jax.vmap(lambda k: initializer(k, shape, spec.dtype))(keys)

        params = {"weight": draw("weight", kernel_init or lecun_normal(), (features, units))}
        if use_bias:
            params["bias"] = draw("bias", bias_init or zeros(), (units,))
        return params, {}

    def apply(params, state, x, *, key=None, train=False):
        _check_input("packed_dense", params, members, params["weight"].shape[1], x)
        z = jax.vmap(dense_map, in_axes=(-2, 0), out_axes=-2)(x, params["weight"])
        return _biased(params, z), state

    return init, apply


def _features(function: str, members: int, spec: Spec) -> int:
    """Number of features of an input like `spec`, checked."""
    check_floating(function, "spec", spec)
    if len(spec.shape) < 2 or spec.shape[-2] != members or spec.shape[-1] < 1:
        hint = f"layers.repeat_members({members}) gives every member the same input."
        expected = f"of shape (..., {members}, features) with at least one feature"
        fail(function, "spec", expected, f" shape {tuple(spec.shape)}", hint=hint)
    return spec.shape[-1]


def _check_input(function: str, params: Params, members: int, features: int, x: Array) -> None:
    if x.ndim < 2 or x.shape[-2:] != (members, features):
        fail(function, "x", f"of shape (..., {members}, {features})", f" shape {x.shape}")
    if x.dtype != params["weight"].dtype:
        fail(function, "x", f"of the weight's dtype {params['weight'].dtype}", f" {x.dtype}")


def _over(scale: Array, x: Array) -> Array:
    return jnp.broadcast_to(scale, x.shape)


def _biased(params: Params, z: Array) -> Array:
    return z + _over(params["bias"], z) if "bias" in params else z
