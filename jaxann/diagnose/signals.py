"""What figures of layers say: whether signal and gradient come through, and units work.

gradient   first layer over last, by root mean square: below 1e-3 it vanishes, above 1e3 it explodes
signal     standard deviation of outputs: below 1e-2 examples are no longer told apart, above 1e2 it explodes
units      more than half of an activation's off for every example: dead; of its values at a limit: saturated
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxann.diagnose.probe import LayerProbe
from jaxann.diagnose.remedies import batch_normalized, changes, clipped, initialized, rated, with_activation
from jaxann.diagnose.verdicts import Remedy, Verdict
from jaxann.train.recipe import Recipe
from jaxann.train.taps import INPUT

__all__ = ["signal_verdicts"]

_RATIO = 1e3  # of the gradients of the first and the last layer
_WEAK, _STRONG = 1e-2, 1e2  # standard deviation of an output
_ALIKE = 0.999  # mean cosine of two examples' outputs, where their inputs' is less
_SHARE = 0.5  # of units or values


def signal_verdicts(recipe: Recipe, layers: Sequence[LayerProbe]) -> list[Verdict]:
    """What is wrong with the way forward and back through these layers, as a probe has found them.

    Args:
        recipe: what is trained, for the remedies.
        layers: in the order in which they run.
    """
    found = [_nonfinite(layers), _exploding(recipe, layers), _off(recipe, layers, "dead")]
    if found[-1] is None:  # units that are off are why nothing comes out, and nothing comes back
        found += [_collapsed(recipe, layers), _vanishing(recipe, layers)]
    found.append(_off(recipe, layers, "saturated"))
    return [verdict for verdict in found if verdict is not None]


def _remedies(recipe: Recipe, *pairs: tuple) -> tuple[Remedy, ...]:
    """Those that change this recipe, and those that are only words, in order."""
    made = ((text, None if change is None else changes(recipe, change)) for text, change in pairs)
    return tuple(
        Remedy(text, change) for (text, change), (_, meant) in zip(made, pairs, strict=True) if meant is None or change
    )


def _nonfinite(layers: Sequence[LayerProbe]) -> Verdict | None:
    bad = [layer for layer in layers if layer.nonfinite > 0]
    if not bad:
        return None
    first = bad[0]
    evidence = f"{first.nonfinite:.2g} of the values of {first.name} are not finite, and no layer before it has any"
    remedies = (
        Remedy("Look at what this layer computes: a logarithm or a root of what may be 0, a quotient, an exponential."),
        Remedy("Take losses of logits in the place of losses of probabilities, and float32 where float16 overflows."),
    )
    return Verdict("nonfinite", evidence, (first.name,), 1.0 + float(first.nonfinite), remedies)


def _gradients(layers: Sequence[LayerProbe]) -> list[LayerProbe]:
    """Layers that are trained and make something of their input: those without parameters are passed over."""
    return [layer for layer in layers if np.isfinite(layer.gradient_rms) and len(layer.shape) > 1]


def _exploding(recipe: Recipe, layers: Sequence[LayerProbe]) -> Verdict | None:
    own = _gradients(layers)
    ratio = own[0].gradient_rms / own[-1].gradient_rms if len(own) > 1 and own[-1].gradient_rms > 0 else 1.0
    loud = [layer for layer in layers if layer.name != INPUT and layer.std > _STRONG * _scale(layers)]
    if ratio <= _RATIO and not loud:
        return None
    evidence, where, severity = [], [], 1.0
    if ratio > _RATIO:
        evidence.append(
            f"the gradient of {own[0].name} ({own[0].gradient_rms:.2g} by root mean square) is {ratio:.2g} times that "
            f"of {own[-1].name}"
        )
        where, severity = [own[0].name], ratio / _RATIO
    if loud:
        worst = max(loud, key=lambda layer: layer.std)
        evidence.append(f"the output of {worst.name} has a standard deviation of {worst.std:.2g}")
        where, severity = [*where, worst.name], max(severity, worst.std / (_STRONG * _scale(layers)))
    remedies = _remedies(
        recipe,
        ("Let each layer draw its weights as it does by itself (He or Glorot by its activation).", initialized()),
        ("Normalize before the activations.", batch_normalized()),
        ("Cut gradients to a norm of 1.", clipped()),
        ("Lower the learning rate to a tenth.", rated(0.1)),
        ("Give blocks a skip connection and a normalization; orthogonal weights where a layer is recurrent.", None),
    )
    return Verdict("exploding", "; ".join(evidence), tuple(where), severity, remedies)


def _scale(layers: Sequence[LayerProbe]) -> float:
    """What outputs are measured by: 1, or the input's own size where that is greater, which is told as such."""
    first = next((layer for layer in layers if layer.name == INPUT), None)
    size = np.hypot(first.mean, first.std) if first is not None else np.nan
    return float(max(1.0, size)) if np.isfinite(size) else 1.0


def _vanishing(recipe: Recipe, layers: Sequence[LayerProbe]) -> Verdict | None:
    own = _gradients(layers)
    if len(own) < 2 or not own[-1].gradient_rms > 0:
        return None
    ratio = own[0].gradient_rms / own[-1].gradient_rms
    if ratio >= 1 / _RATIO:
        return None
    evidence = (
        f"the gradient of {own[0].name} ({own[0].gradient_rms:.2g} by root mean square) is {ratio:.2g} of that of "
        f"{own[-1].name}, {len(own)} trained layers on"
    )
    remedies = _remedies(
        recipe,
        ("Take relu, gelu or their kin for activation, with the weights that belong to it.", _lively),
        ("Let each layer draw its weights as it does by itself (He or Glorot by its activation).", initialized()),
        ("Normalize before the activations.", batch_normalized()),
        ("Give blocks a skip connection; an LSTM or GRU in the place of a plain recurrent layer.", None),
    )
    severity = 1 / (_RATIO * max(ratio, 1e-30))
    return Verdict("vanishing", evidence, (own[0].name,), severity, remedies)


def _lively(recipe: Recipe) -> Recipe:
    return initialized()(with_activation("relu")(recipe))


def _collapsed(recipe: Recipe, layers: Sequence[LayerProbe]) -> Verdict | None:
    first = next((layer for layer in layers if layer.name == INPUT), None)
    inner = [layer for layer in layers if layer.name != INPUT and len(layer.shape) > 1][
        :-1
    ]  # outputs may be of any size
    weak = [layer for layer in inner if layer.std < _WEAK]
    alike = [layer for layer in inner if layer.similarity > _ALIKE]
    if first is not None and first.similarity > _ALIKE:
        alike = []  # the inputs themselves are
    if not weak:
        return None
    worst = min(weak, key=lambda layer: layer.std)
    evidence = f"the output of {worst.name} has a standard deviation of {worst.std:.2g}"
    if alike:
        evidence += f", and {alike[0].name} gives two examples the same direction (cosine {alike[0].similarity:.4f})"
    remedies = _remedies(
        recipe,
        ("Let each layer draw its weights as it does by itself (He or Glorot by its activation).", initialized()),
        ("Normalize before the activations.", batch_normalized()),
        ("Give blocks a skip connection.", None),
    )
    return Verdict("collapsed", evidence, (worst.name,), _WEAK / max(worst.std, 1e-30), remedies)


def _off(recipe: Recipe, layers: Sequence[LayerProbe], kind: str) -> Verdict | None:
    bad = sorted((one for one in layers if getattr(one, kind) > _SHARE), key=lambda one: -getattr(one, kind))
    if not bad:
        return None
    share = getattr(bad[0], kind)
    names = ", ".join(one.name for one in bad[:3]) + (", ..." if len(bad) > 3 else "")
    if kind == "dead":
        evidence = f"{share:.0%} of the units of {bad[0].name} give 0 for every example of the batch ({names})"
        remedies = _remedies(
            recipe,
            ("Let each layer draw its weights as it does by itself.", initialized()),
            ("Lower the learning rate to a tenth: one great step can push units off for good.", rated(0.1)),
            ("Take an activation that has a slope on both sides.", with_activation("leaky_relu")),
            ("Normalize before the activations.", batch_normalized()),
            ("Begin with small positive biases (0.01).", None),
        )
    else:
        evidence = f"{share:.0%} of the values of {bad[0].name} are within 0.05 of a limit ({names})"
        remedies = _remedies(
            recipe,
            ("Let each layer draw its weights as it does by itself.", initialized()),
            ("Standardize the inputs.", None),
            ("Take relu, gelu or their kin for activation, with the weights that belong to it.", _lively),
            ("Normalize before the activations.", batch_normalized()),
            ("At the output take the loss of logits in the place of a sigmoid or softmax.", None),
        )
    return Verdict(kind, evidence, tuple(one.name for one in bad), share / _SHARE, remedies)
