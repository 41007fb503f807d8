"""Commonly printed mistakes about regularization, validation and data."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import activations, losses, ops
from jaxann.layers import batch_norm
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS"]


def _keep_or_drop() -> Check:
    def dropped(rate: float) -> float:
        return 1 - float(jnp.mean(ops.keep_mask(jax.random.key(0), rate, (200_000,)).astype(jnp.float32)))

    drop, keep = dropped(0.2), dropped(1 - 0.2)
    return check(
        abs(drop - 0.2) < 0.01 and abs(keep - 0.8) < 0.01,
        ("dropped with rate 0.2", drop),
        ("with 0.2 read as keep", keep),
    )


def _constant_feature() -> Check:
    x = np.full((4, 1), 3.0)
    with np.errstate(invalid="ignore"):
        naive = (x - x.mean(0)) / x.std(0)
    layer = batch_norm()
    params, state = layer.init(jax.random.key(0), x)
    right, _ = layer.apply(params, state, jnp.asarray(x), train=True)
    return check(
        np.isnan(naive).all() and not np.asarray(right).any(), ("without eps", naive[0, 0]), ("with it", right[0, 0])
    )


def _bias_before_norm() -> Check:
    def normalized(columns) -> np.ndarray:
        """Each column by its own mean and variance."""
        mean, variance, _ = ops.moments(jnp.asarray(columns))
        return np.asarray(ops.normalize(jnp.asarray(columns), mean, variance, None, None, 1e-5))

    x, b = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 2.0]]), np.array([0.2, -0.1, 0.1])
    batch = float(np.abs(normalized(x + b) - normalized(x)).max())
    layer = float(np.abs(normalized((x + b)[:1].T) - normalized(x[:1].T)).max())
    return check(batch < 1e-12 < layer, ("change through batch norm", batch), ("through layer norm", layer))


def _gap() -> Check:
    first, second = ((v - t) / t for t, v in ((0.1, 1.0), (1.0, 0.1)))
    trained, validated = _descent()
    return check(
        first > 0 > second and validated[-1] > 2 * trained[-1] and validated[-1] > validated.min(),
        ("(V - T)/T of T = .1, V = 1", first),
        ("of T = 1, V = .1", second),
    )


def _descent() -> tuple[np.ndarray, np.ndarray]:
    """Losses on training and validation data by steps of descent: a linear model, 30 weights, 20 noisy examples."""
    draw = np.random.default_rng(0)
    x, far = draw.normal(size=(20, 30)), draw.normal(size=(200, 30))
    truth = draw.normal(size=30) * (np.arange(30) < 3)
    y, y_far = x @ truth + draw.normal(size=20), far @ truth + draw.normal(size=200)

    def step(w, _):
        w = w - 0.02 * jnp.asarray(x).T @ (jnp.asarray(x) @ w - y) / 20
        return w, (jnp.mean((jnp.asarray(x) @ w - y) ** 2), jnp.mean((jnp.asarray(far) @ w - y_far) ** 2))

    values = jax.jit(lambda w: jax.lax.scan(step, w, None, length=2000)[1])(jnp.zeros(30))
    return np.asarray(values[0]), np.asarray(values[1])


def _longer() -> Check:
    _, curve = _descent()
    best = int(curve.argmin())
    return check(
        best < len(curve) - 1,
        ("best step", best + 1),
        ("validation loss there", curve[best]),
        ("after 2000 steps", curve[-1]),
    )


def _patience() -> Check:
    curve = [1.0, 0.9, 0.91, 0.8]
    naive = next(after for before, after in zip(curve, curve[1:], strict=False) if after > before)
    best, waited = math.inf, 0
    for value in curve:
        best, waited = min(best, value), 0 if value < best else waited + 1
        if waited == 2:
            break
    return check(best < naive, ("where the naive rule stops", naive), ("best with a patience of 2", best))


def _outside() -> Check:
    """And what a sigmoid makes of such a target: it cannot reach it, as it can those within."""
    fitted = np.array([0.0, 2.5, 7.0, 10.0])
    inside, new = ((column - fitted.min()) / (fitted.max() - fitted.min()) for column in (fitted, 12.0))
    reachable = activations.sigmoid(jnp.linspace(-40.0, 40.0, 801))

    def lowest(target: float) -> float:
        return float(jnp.min(losses.squared_error(reachable, jnp.full_like(reachable, target))))

    reached = max(lowest(target) for target in inside)
    return check(
        inside.min() == 0 and inside.max() == 1 < new and reached < 1e-3 < 0.039 < lowest(new),
        ("12 scaled by a fit on 0 to 10", new),
    )


def _best_of_many() -> Check:
    """The mean of the greatest of 100 normal scores, by quadrature of its density 100 F^99 f."""
    z = np.linspace(-8, 8, 16_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = np.cumsum(density) * (z[1] - z[0])
    greatest = 0.8 + 0.02 * float(np.sum(z * 100 * below**99 * density) * (z[1] - z[0]))
    return check(greatest > 0.84, ("true score", 0.8), ("best of 100 noisy ones", greatest))


ROWS = (
    Erratum("E41", "S", "Dropout's p is the probability to keep here and, with rates of .2 to .5, to drop there.",
            "One name, rate, for dropping, and the kept numbers scaled up in training.", _keep_or_drop),
    Erratum("E44", "S", "Batch normalization as (x - mean)/std.",
            "sqrt(var + eps) below, then scale and bias; running statistics in evaluation.", _constant_feature),
    Erratum("E46", "S", "Without biases the range of an activation is limited; a bias is redundant before any norm.",
            "A bias shifts the threshold, not the range; it is redundant before batch normalization alone.",
            _bias_before_norm),
    Erratum("E47", "N", "One letter for step size, momentum and slope; one for rate and penalty.",
            "A symbol for each."),
    Erratum("E48", "S", "A training loss far above the validation loss is overfitting.", "The other way round.", _gap),
    Erratum("E49", "S", "Against overfitting: train longer.", "Stop earlier, regularize, find more data.", _longer),
    Erratum("E50", "I", "Stop when the validation error begins to rise.",
            "With patience, a least improvement, and the best weights restored.", _patience),
    Erratum("E51", "I", "Scaling to [0, 1] is what sigmoid nets need.",
            "The range is that of the fitted data, new data may exceed it; it matters for sigmoid targets.", _outside),
    Erratum("E56", "I", "The optimizer follows from the independence of features or the size of the data.",
            "There is no such rule."),
    Erratum("E57", "I", "Watching the validation set is enough.", "After tuning, a test set.", _best_of_many),
    Erratum("E62", "I", "Universal approximation as an advantage, without conditions.",
            "On compact sets, with a function that is no polynomial and enough width; it says nothing of training."),
    Erratum("E65", "N", "Missing figures, garbled symbols, an open question on averages.",
            "Moving averages: see ops.ewma."),
    Erratum("E66", "I", "Augmentation enlarges the data set; batch normalization scales the inputs.",
            "More variety, not more examples; it is a layer."),
)  # fmt: skip
