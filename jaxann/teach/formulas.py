"""The formulas as text: one template gives the equation with symbols and the same with numbers.

A template is arithmetic: `*` between factors, `^` for powers, `ln` and `e^`. In an equation the ` * ` becomes a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import bound
from jaxann.losses import each_member, half_squared_error
from jaxann.teach.steps import bare, number, operand, vector

__all__ = [
    "KINDS",
    "Written",
    "call",
    "kind_formula",
    "loss_formula",
    "name_of",
    "slope_formula",
    "value_formula",
    "written",
]


_MEMBERS = bound(each_member(half_squared_error))[0]


class _Curve(NamedTuple):
    """f(z) and f'(z); `{a}` is f(z), `{m}` is -z. The slope may say another thing for each side of a kink."""

    value: str
    slope: str | Callable[[float], str]


def _sided(right: str, left: str, *, at: float = 0.0, closed: bool = False) -> Callable[[float], str]:
    return lambda z: right if z > at or (closed and z == at) else left


_CURVES: dict[str, _Curve] = {
    "identity": _Curve("{z}", "1"),
    "sigmoid": _Curve("1/(1 + e^{m})", "{a} * (1 - {a})"),
    "tanh": _Curve("tanh({n})", "(1 - {a}^2)"),
    "relu": _Curve("max(0, {n})", _sided("1", "0")),
    "leaky_relu": _Curve("max({n}, 0.01 * {z})", _sided("1", "0.01", closed=True)),
    "softplus": _Curve("ln(1 + e^{z})", "1/(1 + e^{m})"),
    "softsign": _Curve("{z}/(1 + |{z}|)", "1/(1 + |{z}|)^2"),
    "silu": _Curve("{z}/(1 + e^{m})", "(1/(1 + e^{m}) + {a} * (1 - 1/(1 + e^{m})))"),
    "log_sigmoid": _Curve("-ln(1 + e^{m})", "1/(1 + e^{z})"),
}
_STEEP = _Curve("1/(1 + e^(-{b} * {z}))", "{b} * {a} * (1 - {a})")  # the sigmoid with a slope of its own


class _Cost(NamedTuple):
    """l(a, y) and dl/da."""

    value: str
    slope: str


_LOSSES: dict[str, _Cost] = {
    "half_squared_error": _Cost("1/2 * ({y} - {a})^2", "{a} - {y}"),
    "squared_error": _Cost("({y} - {a})^2", "2 * ({a} - {y})"),
    "absolute_error": _Cost("|{y} - {a}|", "sign({a} - {y})"),
    "log_cosh": _Cost("ln cosh({a} - {y})", "tanh({a} - {y})"),
    "binary_cross_entropy_probs": _Cost("-{y} * ln {a} - (1 - {y}) * ln(1 - {a})", "({a} - {y}) / ({a} * (1 - {a}))"),
    "sigmoid_cross_entropy": _Cost("ln(1 + e^{a}) - {y} * {a}", "1/(1 + e^{m}) - {y}"),
    "hinge": _Cost("max(0, 1 - {y} * {a})", ""),
}

KINDS = {  # what a layer does to its input u, where its numbers are not shown one by one; then what the letters mean
    "alpha_dropout": "p (u m + a0 (1 - m)) + q; m = 1 where kept, else 0",
    "batch_norm": "scale (u - mean)/sqrt(var + eps) + bias; mean and var are those of the batch",
    "dropout": "u m/(1 - rate); m = 1 where kept, else 0",
    "flatten": "u with all axes but the first as one",
    "gated_dense": "v g(w); v and w are the halves of u W + b",
    "gaussian_dropout": "u times noise of mean 1",
    "gaussian_noise": "u + noise",
    "maxout": "the greatest of the pieces of u W + b",
    "prelu": "max(u, 0) + alpha min(u, 0)",
    "residual": "skip(u) + body(u)",
    "rrelu": "max(u, 0) + s min(u, 0); s is drawn at random",
    "stochastic_depth": "skip(u) + s body(u); s is drawn for each example",
    "swish": "u sigmoid(beta u)",
}
_EVALUATED = {  # the same in evaluation mode
    "alpha_dropout": "u",
    "batch_norm": "scale (u - mean)/sqrt(var + eps) + bias; mean and var are the running ones",
    "dropout": "u",
    "drop_connect_dense": "u W + b",
    "gaussian_dropout": "u",
    "gaussian_noise": "u",
    "rrelu": "max(u, 0) + s min(u, 0); s is the middle of its range",
    "spatial_dropout": "u",
    "stochastic_depth": "skip(u) + body(u)",
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


def kind_formula(layer: Any, source: str, train: bool | str) -> tuple[str, str]:
    """What a layer does to its input, in training or in evaluation; and what the letters mean, "" for none."""
    kind, settings = layer._factory.short_name, layer.arguments
    what = KINDS.get(kind, f"{kind}(u)")
    if not train or (kind == "batch_norm" and settings.get("frozen")):
        what = _EVALUATED.get(kind, what)
    if kind == "gated_dense" and settings.get("gate_first"):
        what = "g(v) w; v and w are the halves of u W + b"
    what = what.replace("skip(u)", "u") if settings.get("skip", "") is None else what
    formula, _, letters = re.sub(r"\bu\b", lambda _: source, what).partition("; ")
    return formula, letters


def value_formula(activation: Callable) -> tuple[str, dict[str, Any]] | None:
    """The template of f(z) and the numbers of its settings; None for an activation that has none here."""
    curve, settings = _curve(activation)
    return None if curve is None else (curve.value, settings)


def slope_formula(activation: Callable, z: float) -> tuple[str, dict[str, Any]] | None:
    """The template of f'(z) and the numbers of its settings."""
    curve, settings = _curve(activation)
    if curve is None:
        return None
    return (curve.slope if isinstance(curve.slope, str) else curve.slope(z)), settings


def _curve(activation: Callable) -> tuple[_Curve | None, dict[str, Any]]:
    name, given = name_of(activation)
    if name == "sigmoid" and set(given) == {"beta"} and jnp.ndim(given["beta"]) == 0:
        return _STEEP, {"b": float(given["beta"])}
    return (None if given else _CURVES.get(name)), {}


def loss_formula(loss: Callable) -> tuple[str, str] | None:
    """The templates of l(a, y) and of dl/da; None for a loss that has none here."""
    name, given = name_of(loss)
    return None if given else _LOSSES.get(name)
