"""Tasks whose targets are numbers: their range and scale, outliers, counts, quantiles, inputs that come back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann import losses, metrics
from jaxann.advice.facts import Facts
from jaxann.advice.head import Head, shaped
from jaxann.advice.recommendation import Reason, show_number
from jaxann.advice.targets import OUTLIERS
from jaxann.core.binding import as_partial
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Loss
from jaxann.layers import elementwise, unstandardize

__all__ = ["counts", "in_deviations", "quantiles", "reconstruction", "regression"]

_UNEQUAL = 3.0  # times as great a deviation of one number as of another
_HUBER = 1.345  # deviations up to which an error is squared: 95 % as efficient as squares for normal errors


def regression(facts: Facts) -> Head:
    """Numbers."""
    layers, last = _ends(facts)
    robust = facts.outliers > OUTLIERS
    uneven = len(facts.deviation) > 1 and max(facts.deviation) > _UNEQUAL * min(facts.deviation)
    if robust:
        deviation = float(f"{_HUBER * (1.0 if uneven or not facts.deviation else max(facts.deviation)):.3g}")
        loss: Loss = functools.partial(losses.huber, delta=deviation)
        chosen = Reason(
            "loss",
            f"huber(delta={deviation:g})",
            f"{facts.outliers:.2%} of the targets lie more than 6 robust deviations off: squared, they would lead. Up "
            "to 1.345 deviations errors are squared, beyond they count as they are. It finds what lies between mean "
            "and median; for sums of predictions squared_error, outliers and all.",
            "Huber 1964",
        )
        figures = {"mae": metrics.mae, "median_absolute_error": metrics.median_absolute_error}
        judged = "Absolute errors, which single targets do not lead as they lead r2."
    else:
        loss = losses.squared_error
        chosen = Reason(
            "loss",
            "squared_error",
            "The mean of the target for such inputs is its minimum, whatever the distribution, and no target lies "
            "far from the others.",
            "Legendre 1805; Gauss 1809",
        )
        figures = {"r2": metrics.r2, "mae": metrics.mae}
        judged = "r2 compares with always predicting the mean, 0 being no better; mae is in the target's own units."
    if uneven:
        loss = in_deviations(loss, tuple(float(f"{s:.3g}") for s in facts.deviation))
        times = show_number(max(facts.deviation) / min(facts.deviation))
        why = f"{chosen.reason} In deviations of each number, for the greatest is {times} times the smallest and would "
        why += "be all that counts."
        chosen = chosen._replace(value=f"{chosen.value}, in deviations of each number", reason=why)
    if facts.places:
        figures.pop("r2", None)
        figures.pop("median_absolute_error", None)
        judged = "In the target's own units."
    reason = Reason("metrics", ", ".join(figures), judged, "Willmott and Matsuura 2005; Chicco et al. 2021")
    return Head(layers | shaped(facts, facts.event), loss, figures, (last, chosen, reason))


def counts(facts: Facts) -> Head:
    """Whole numbers from 0 on."""
    layers: dict[str, Layer] = {}
    if facts.center:
        layers["scale"] = unstandardize(_rounded(tuple(math.log(max(c, 1e-3)) for c in facts.center)), 1.0)
    variance = [d * d / c for c, d in zip(facts.center, facts.deviation, strict=True) if c > 0]
    wider = max(variance, default=1.0)
    why = "The negative log likelihood of a count; its minimum is the true mean even where counts vary more than "
    why += f"Poisson's (here {show_number(wider)} times their mean)."
    return Head(
        layers | shaped(facts, facts.event),
        losses.poisson_nll,
        {},
        (
            Reason(
                "last layer",
                "the logarithm of the rate, linear",
                "exp(z) is above 0 for any z, and effects multiply, as counts' do; it begins at the mean count. "
                "Predictions are logarithms.",
                "Nelder and Wedderburn 1972",
            ),
            Reason("loss", "poisson_nll", why, "Nelder and Wedderburn 1972; Gourieroux, Monfort and Trognon 1984"),
            Reason(
                "metrics",
                "none beside the loss",
                "Predictions are logarithms of rates; what compares them with counts is the loss.",
                "Cameron and Trivedi 2013",
            ),
        ),
    )


def quantiles(facts: Facts) -> Head:
    """How far numbers may lie."""
    number = len(facts.levels)
    layers: dict[str, Layer] = {}
    if facts.deviation:
        center = tuple(c for c in facts.center for _ in range(number))
        deviation = tuple(d for d in facts.deviation for _ in range(number))
        layers["scale"] = unstandardize(_rounded(center), _rounded(deviation))
    shape = (*facts.event, number)
    shown = ", ".join(f"{level:g}" for level in facts.levels)
    return Head(
        layers | shaped(facts, shape),
        functools.partial(losses.quantile, q=facts.levels),
        {},
        (
            Reason(
                "last layer",
                f"{facts.units} numbers, linear",
                f"One for each of the quantiles {shown}.",
                "Koenker and Bassett 1978",
            ),
            Reason(
                "loss",
                f"quantile(q=({shown}))",
                "Its minimum is the quantile, whatever the distribution: no normal errors and no equal variances are "
                "assumed, and outliers do not lead.",
                "Koenker and Bassett 1978",
            ),
            Reason(
                "metrics",
                "none beside the loss",
                "The loss is the proper score of a quantile. Of validation rows the share q should lie below the "
                "quantile q: look at it.",
                "Gneiting and Raftery 2007",
            ),
        ),
    )


def reconstruction(facts: Facts) -> Head:
    """The inputs themselves."""
    deviation = facts.deviation
    uneven = len(deviation) > 1 and max(deviation) > _UNEQUAL * min(deviation)
    layers: dict[str, Layer] = {}
    loss: Loss = losses.squared_error
    chosen = Reason(
        "loss",
        "squared_error",
        "With a linear code its minimum is the space of the first principal components; deeper nets bend it.",
        "Baldi and Hornik 1989; Hinton and Salakhutdinov 2006",
    )
    if deviation:
        layers["scale"] = unstandardize(_rounded(facts.center), _rounded(deviation))
    if uneven:
        loss = in_deviations(loss, tuple(float(f"{s:.3g}") for s in deviation))
        why = f"{chosen.reason} In deviations of each column, or the greatest would be all that counts."
        chosen = chosen._replace(value="squared_error, in deviations of each column", reason=why)
    figures = {} if uneven else {"rmse": metrics.rmse}
    return Head(
        layers,
        loss,
        figures,
        (
            Reason(
                "last layer",
                "linear" + (", then unstandardize" if deviation else ""),
                "Inputs are any numbers, and come back in their own units.",
                "Hinton and Salakhutdinov 2006",
            ),
            chosen,
            Reason(
                "metrics",
                ", ".join(figures) or "none beside the loss",
                "How far off an entry is, in its own units."
                if figures
                else "Columns have units of their own; the loss is what compares them.",
                "Hinton and Salakhutdinov 2006",
            ),
        ),
    )


def in_deviations(loss: Loss, deviation: tuple[float, ...]) -> Loss:
    """l(p / s, y / s), s the deviation of each number (the last axis): numbers of every size count alike.

    Args:
        loss: `(predictions, targets) -> values` of one shape.
        deviation: s > 0, one for each number.
    """
    return jax.tree_util.Partial(_in_deviations, as_partial(loss), tuple(deviation))


def _in_deviations(loss: Callable, deviation: Any, predictions: Array, targets: Array) -> Array:
    scale = jnp.broadcast_to(jnp.stack([jnp.asarray(s, predictions.dtype) for s in deviation]), predictions.shape)
    return loss(predictions / scale, jnp.asarray(targets, predictions.dtype) / scale)


def _rounded(numbers: tuple[float, ...]) -> float | tuple[float, ...]:
    """Three digits are enough for a scale; a single number stands for itself."""
    short = tuple(float(f"{number:.3g}") for number in numbers)
    return short[0] if len(set(short)) == 1 else short


def _ends(facts: Facts) -> tuple[dict[str, Layer], Reason]:
    """The end of a net for numbers: their range and their scale."""
    if facts.bounds is not None:
        return _bounded(facts, *facts.bounds)
    why = "Linear: a relu could not give a negative number, and where it gives 0 it learns nothing (erratum E54)."
    if not facts.deviation:
        why += " Of a target of mean 0 and deviation 1; others need layers.unstandardize behind the net."
        return {}, Reason("last layer", "linear", why, "Bishop 1995, 6.1")
    scale = unstandardize(_rounded(facts.center), _rounded(facts.deviation))
    why += " The net finds a number of size 1, which then gets center and scale of the targets: steps and initial "
    why += "weights are made for such numbers."
    return {"scale": scale}, Reason(
        "last layer", "linear, then unstandardize", why, "LeCun et al. 1998 (Efficient BackProp), 4.3"
    )


def _bounded(facts: Facts, low: float, high: float | None) -> tuple[dict[str, Layer], Reason]:
    if high is not None:
        layers = {"bound": elementwise("sigmoid"), "scale": unstandardize(low, high - low)}
        why = f"Targets lie between {low:g} and {high:g}; so does whatever comes out. Near the ends the slope is small."
        return layers, Reason("last layer", "sigmoid, scaled to the bounds", why, "Bishop 1995, 6.1")
    sizes = tuple(max(c - low, 0.1 * d) for c, d in zip(facts.center, facts.deviation, strict=True)) or (1.0,)
    layers = {"bound": elementwise("softplus"), "scale": unstandardize(low, _rounded(sizes))}
    why = f"Targets lie above {low:g}; so does whatever comes out, and unlike relu's the slope is never 0."
    return layers, Reason("last layer", "softplus, scaled", why, "Dugas et al. 2001")
