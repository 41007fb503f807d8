"""The formulas as text: one template gives the equation with symbols and the same with numbers.

A template is arithmetic: `*` between factors, `^` for powers, `ln` and `e^`. In an equation the ` * ` becomes a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxann import activations, losses
from jaxann.core.binding import bound
from jaxann.core.modes import TrainMode
from jaxann.core.products import Layer
from jaxann.losses import each_member, half_squared_error
from jaxann.teach.layers import formula_of
from jaxann.teach.steps import bare, number, operand, vector

__all__ = [
    "Written",
    "call",
    "is_plain",
    "kind_formula",
    "loss_formula",
    "name_of",
    "slope_formula",
    "value_formula",
    "written",
]


_MEMBERS = bound(each_member(half_squared_error))[0]


class _Activation(NamedTuple):
    """f(z) and f'(z); `{a}` is f(z), `{m}` is -z. The slope may say another thing for each side of a kink."""

    value: str
    slope: str | Callable[[float], str]


def _sided(right: str, left: str, *, at: float = 0.0, closed: bool = False) -> Callable[[float], str]:
    return lambda z: right if z > at or (closed and z == at) else left


_ACTIVATIONS: dict[Callable, _Activation] = {
    activations.identity: _Activation("{z}", "1"),
    activations.sigmoid: _Activation("1/(1 + e^{m})", "{a} * (1 - {a})"),
    activations.tanh: _Activation("tanh({n})", "(1 - {a}^2)"),
    activations.relu: _Activation("max(0, {n})", _sided("1", "0")),
    activations.leaky_relu: _Activation("max({n}, 0.01 * {z})", _sided("1", "0.01", closed=True)),
    activations.softplus: _Activation("ln(1 + e^{z})", "1/(1 + e^{m})"),
    activations.softsign: _Activation("{z}/(1 + |{z}|)", "1/(1 + |{z}|)^2"),
    activations.silu: _Activation("{z}/(1 + e^{m})", "(1/(1 + e^{m}) + {a} * (1 - 1/(1 + e^{m})))"),
    activations.log_sigmoid: _Activation("-ln(1 + e^{m})", "1/(1 + e^{z})"),
}
_STEEP = _Activation("1/(1 + e^(-{b} * {z}))", "{b} * {a} * (1 - {a})")  # the sigmoid with a slope of its own


class _Cost(NamedTuple):
    """l(a, y) and dl/da."""

    value: str
    slope: str


_LOSSES: dict[Callable, _Cost] = {
    losses.half_squared_error: _Cost("1/2 * ({y} - {a})^2", "{a} - {y}"),
    losses.squared_error: _Cost("({y} - {a})^2", "2 * ({a} - {y})"),
    losses.absolute_error: _Cost("|{y} - {a}|", "sign({a} - {y})"),
    losses.log_cosh: _Cost("ln cosh({a} - {y})", "tanh({a} - {y})"),
    losses.binary_cross_entropy_probs: _Cost(
        "-{y} * ln {a} - (1 - {y}) * ln(1 - {a})", "({a} - {y}) / ({a} * (1 - {a}))"
    ),
    losses.sigmoid_cross_entropy: _Cost("ln(1 + e^{a}) - {y} * {a}", "1/(1 + e^{m}) - {y}"),
    losses.hinge: _Cost("max(0, 1 - {y} * {a})", ""),
}


class Written(NamedTuple):
    """A formula with symbols, and with numbers."""

    formula: str
    substituted: str


def written(template: str, symbols: Mapping[str, str], values: Mapping[str, Any], digits: int) -> Written:
    """The template with symbols, products without their sign, and with numbers, negative ones in brackets.

    `{m}` is minus `{z}` (of a loss minus `{a}`): `e^-z` of the number -0.52 is `e^0.52`. `{n}` is `{z}`
    without brackets.
    """
    base = "z" if "z" in symbols else "a"
    formula = template.replace(" * ", " ").format(**symbols, m="-" + symbols[base], n=symbols[base])
    numbers = {name: operand(value, digits) for name, value in values.items()}
    plain = number(values[base], digits)
    template = template.replace(f"e^{{{base}}}", "e^" + plain)
    text = template.format(**numbers, m=number(-values[base], digits), n=plain)
    return Written(formula, bare(text))


def name_of(function: Any) -> tuple[str, dict[str, Any]]:
    """The name of an activation or loss, and the settings it was given beforehand."""
    plain, args, given = bound(function)
    name = "each_member" if plain is _MEMBERS else getattr(plain, "__name__", "f")
    return name, {**given, **{f"argument {i}": value for i, value in enumerate(args)}}


def is_plain(function: Any, wanted: Callable) -> bool:
    """Whether an activation or loss is this one, without settings."""
    inner, args, given = bound(function)
    return inner is wanted and not args and not given


def call(function: Any, arguments: str, digits: int) -> str:
    """`elu(z, alpha=0.3)`: a call with the settings that were given beforehand."""
    name, settings = name_of(function)
    shown = []
    for key, value in settings.items():
        text = _setting(value, digits)
        shown.append(text if key.startswith("argument ") else f"{key}={text}")
    return f"{name}({', '.join([arguments, *shown])})"


def _setting(value: Any, digits: int) -> str:
    if callable(value):
        name, settings = name_of(value)
        return name + "".join(f" with {key}={_setting(each, digits)}" for key, each in settings.items())
    if value is None or isinstance(value, str | bool | np.bool_):
        return repr(value)
    return number(value, digits) if np.ndim(value) == 0 else vector(value, digits)


def kind_formula(layer: Layer, source: str, train: bool | TrainMode) -> tuple[str, str]:
    """What a layer does to its input, in training or in evaluation; and what the letters mean, "" for none."""
    what = formula_of(layer).text(layer, train)
    formula, _, letters = re.sub(r"\bu\b", lambda _: source, what).partition("; ")
    return formula, letters


def value_formula(activation: Callable) -> tuple[str, dict[str, Any]] | None:
    """The template of f(z) and the numbers of its settings; None for an activation that has none here."""
    formula, settings = _formula(activation)
    return None if formula is None else (formula.value, settings)


def slope_formula(activation: Callable, z: float) -> tuple[str, dict[str, Any]] | None:
    """The template of f'(z) and the numbers of its settings."""
    formula, settings = _formula(activation)
    if formula is None:
        return None
    return (formula.slope if isinstance(formula.slope, str) else formula.slope(z)), settings


def _formula(activation: Callable) -> tuple[_Activation | None, dict[str, Any]]:
    function, _, given = bound(activation)
    if function is activations.sigmoid and set(given) == {"beta"} and jnp.ndim(given["beta"]) == 0:
        return _STEEP, {"b": float(given["beta"])}
    return (None if given or not isinstance(function, Hashable) else _ACTIVATIONS.get(function)), {}


def loss_formula(loss: Callable) -> tuple[str, str] | None:
    """The templates of l(a, y) and of dl/da; None for a loss that has none here."""
    function, args, given = bound(loss)
    return None if args or given or not isinstance(function, Hashable) else _LOSSES.get(function)
