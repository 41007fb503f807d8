"""The table of activations: from dC/dy, y = f(x), to dC/dx.

An entry is a function `pull(g, x, y, **settings) -> dC/dx`, the product of the Jacobian's transpose with g = dC/dy. For
a function of each number by itself the Jacobian is diagonal and the product is `g * f'(x)`. At a kink the slope is what
the activation's documentation says, the one that autodiff of jaxann's own activation has.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import jax.numpy as jnp

from jaxann import activations
from jaxann.backprop import slopes_gates, slopes_rectifiers, slopes_smooth, slopes_vector
from jaxann.core.binding import bound
from jaxann.core.checks import fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["ACTIVATIONS", "activation_pull", "activation_rule", "pull_back"]

F = TypeVar("F", bound=Callable[..., Any])
Pull = Callable[..., Array]


def _straight_through(
    g: Array, x: Array, y: Array, *, forward: Any = "heaviside", surrogate: Any = "hard_tanh"
) -> Array:
    """y = forward(x):  dx = (d surrogate/dx)^T g, by decree; 0 where the surrogate is not finite."""
    soft = activations.by_name(surrogate)
    pull, settings = activation_pull(soft, "backprop.backward", "surrogate of straight_through")
    value = soft(x)
    return pull(jnp.where(jnp.isfinite(value), g, jnp.zeros((), g.dtype)), x, value, **settings)


def _elementwise(slope: Callable[..., Array]) -> Pull:
    def pull(g: Array, x: Array, y: Array, **settings: Any) -> Array:
        return g * slope(x, y, **settings)

    return pull


_SLOPES = {**slopes_rectifiers.SLOPES, **slopes_smooth.SLOPES}
ACTIVATIONS: dict[Callable, Pull] = {
    **{getattr(activations, name): _elementwise(slope) for name, slope in _SLOPES.items()},
    **{getattr(activations, name): pull for name, pull in slopes_gates.PULLS.items()},
    **{getattr(activations, name): pull for name, pull in slopes_vector.PULLS.items()},
    activations.straight_through: _straight_through,
}


def activation_rule(function: Callable) -> Callable[[F], F]:
    """Decorate the backward rule of an activation of your own, `pull(g, x, y, **settings) -> dC/dx`.

        @ja.backprop.activation_rule(cube)
        def cube_back(g, x, y):
            return g * 3 * x * x

    Args:
        function: the activation `x -> y` as `elementwise` is given it. What `functools.partial` binds to it by name
            comes to the rule as `settings`.

    Arrays are float32 or better; what comes back is cast to the dtype of x.

    Raises:
        InputError: it is no function.
    """
    if not callable(function):
        fail("backprop.activation_rule", "function", "an activation x -> y", function)

    def enter(pull: F) -> F:
        ACTIVATIONS[bound(function)[0]] = pull
        return pull

    return enter


def activation_pull(function: Callable, verb: str, where: str) -> tuple[Pull, dict[str, Any]]:
    """The entry of an activation, and the settings bound to it.

    Args:
        function: `x -> y`.
        verb, where: who asks, and where the activation stands, for the message.

    Raises:
        InputError: it has no entry.
    """
    inner, args, settings = bound(function)
    pull = ACTIVATIONS.get(inner) if isinstance(inner, Hashable) and callable(inner) and not args else None
    if pull is None:
        hint = "Write its rule: @ja.backprop.activation_rule(function) over pull(g, x, y) -> dC/dx."
        fail(verb, where, "an activation that has a backward rule", f" {_named(inner)}", hint=hint)
    return pull, settings


def _named(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def pull_back(function: Callable, pull: Pull, settings: dict[str, Any], x: Array, y: Array, g: Array) -> Array:
    """dC/dx from dC/dy, y = function(x), computed in float32 or better and given in the dtype of x."""
    wide = x.astype(wide_dtype(x.dtype))
    if wide.dtype != x.dtype:
        y = function(wide)  # the y that was put out has been rounded
    return pull(g.astype(wide.dtype), wide, y, **settings).astype(x.dtype)
