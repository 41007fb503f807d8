"""Losses against PyTorch and optax in float64: every value, and every slope by the predictions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxann import losses

RANDOM = np.random.default_rng(3)
N, K, D = 50, 7, 4
NUMBERS = RANDOM.normal(size=(N, K)) * 5
OTHERS = RANDOM.normal(size=(N, K))
LABELS = RANDOM.integers(0, K, N)
DENSE = RANDOM.dirichlet(np.ones(K), N)
SOFT = RANDOM.uniform(size=(N, K))
BITS = (SOFT > 0.5) * 1.0
SIGNS = 2 * BITS - 1
COUNTS = RANDOM.poisson(3.0, (N, K)) * 1.0
PROBABILITIES = RANDOM.dirichlet(np.ones(K), N)
RATES = RANDOM.uniform(0.1, 5.0, (N, K))
PAIRS = RANDOM.normal(size=(N, 2, D))
TRIPLES = RANDOM.normal(size=(N, 3, D))
POINTS = RANDOM.normal(size=(12, D))
GROUPS = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1, 3, 2, 2])  # 3 stands alone
GAUSSIAN = RANDOM.normal(size=(N, 2)) * [2.0, 1.5]
FRAMES = RANDOM.normal(size=(6, 8, 5))
WORDS = np.array([[1, 2, 3], [2, 2, 1], [4, -1, -1], [1, 1, 1], [3, 4, 3], [-1, -1, -1]])
WEIGHTS = RANDOM.uniform(0.2, 2.0, K)
LAST = RANDOM.integers(5, 9, 6)


class Case(NamedTuple):
    """A loss, its arrays, and the same in PyTorch: `oracle(torch, torch.nn.functional, p, t)`."""

    loss: Callable[..., Any]
    predictions: np.ndarray
    targets: np.ndarray
    oracle: Callable[..., Any]


def _bind(loss: Callable[..., Any], **keywords: Any) -> Callable[..., Any]:
    return functools.partial(loss, **keywords)


def _log_q(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t: loss(jax.nn.log_softmax(p), t)


def _barron(alpha: float, scale: float) -> Callable[..., Any]:
    def rho(torch, F, p, t):
        b = abs(alpha - 2)
        return b / alpha * ((((p - t) / scale) ** 2 / b + 1) ** (alpha / 2) - 1)

    return rho


def _p_t(torch, F, p, t):
    return torch.softmax(p, -1).gather(1, t[:, None])[:, 0]


def _focal(torch, F, p, t):
    a, q = 0.25, torch.sigmoid(p)
    return -a * t * (1 - q) ** 1.5 * torch.log(q) - (1 - a) * (1 - t) * q**1.5 * torch.log(1 - q)


def _weston_watkins(torch, F, p, t):
    return K * F.multi_margin_loss(p, t, margin=0.7, reduction="none")


def _crammer_singer(torch, F, p, t):
    own = p.gather(1, t[:, None])
    return (p + 1).scatter(1, t[:, None], own).amax(1) - own[:, 0]


def _shannon(torch, F, p, t):
    q = torch.softmax(p, -1)
    m = (q + t) / 2
    return (torch.xlogy(t, t / m) + q * torch.log(q / m)).sum(-1) / 2


def _dice(torch, F, p, t):
    q = torch.sigmoid(p)
    return 1 - (2 * (q * t).sum(-1) + 0.5) / (q.sum(-1) + t.sum(-1) + 0.5)


def _contrastive(torch, F, p, t):
    d = (p[:, 0] - p[:, 1]).norm(dim=-1)
    return (t * d**2 + (1 - t) * torch.relu(3.0 - d) ** 2) / 2


def _triplet(**keywords: Any) -> Callable[..., Any]:
    return lambda torch, F, p, t: F.triplet_margin_loss(p[:, 0], p[:, 1], p[:, 2], reduction="none", **keywords)


def _ctc(torch, F, p, t, frames=None):
    length = torch.full((len(WORDS),), p.shape[1]) if frames is None else torch.tensor(frames)
    words = t.clamp(min=1)
    return F.ctc_loss(F.log_softmax(p.transpose(0, 1), -1), words, length, (t > 0).sum(1), reduction="none")


def _clip_scores(torch, F, p, t):
    units = F.normalize(p, dim=-1)
    scores, own = units[:, 0] @ units[:, 1].T / 0.3, torch.arange(len(p))
    return scores, own


def _nt_xent(torch, F, p, t):
    views = F.normalize(torch.cat([p[:, 0], p[:, 1]]), dim=-1)
    scores = (views @ views.T / 0.3).masked_fill(torch.eye(2 * len(p), dtype=torch.bool), -torch.inf)
    own = (torch.arange(2 * len(p)) + len(p)) % (2 * len(p))
    return F.cross_entropy(scores, own, reduction="none").reshape(2, -1).mean(0)


def _mined(semi: bool) -> Callable[..., Any]:
    def loop(torch, F, p, t):
        values = []
        for a in range(len(p)):
            d = [(p[a] - p[j]).norm() for j in range(len(p)) if j != a]
            same = [bool(t[a] == t[j]) for j in range(len(p)) if j != a]
            near = [x for x, s in zip(d, same, strict=True) if s]
            far = [x for x, s in zip(d, same, strict=True) if not s]
            if not near:
                values.append(0 * p[a].sum())
            elif semi:
                pairs = []
                for x in near:
                    beyond = [y for y in far if y > x]
                    pairs.append(torch.relu(x - (min(beyond) if beyond else max(far)) + 0.8))
                values.append(torch.stack(pairs).mean())
            else:
                values.append(torch.relu(max(near) - min(far) + 0.8))
        return torch.stack(values)

    return loop


def _elementwise(name: str, **keywords: Any) -> Callable[..., Any]:
    return lambda torch, F, p, t: getattr(F, name)(p, t, reduction="none", **keywords)


CASES = {
    "absolute_error": Case(losses.absolute_error, NUMBERS, OTHERS, _elementwise("l1_loss")),
    "squared_error": Case(losses.squared_error, NUMBERS, OTHERS, _elementwise("mse_loss")),
    "half": Case(losses.half_squared_error, NUMBERS, OTHERS, lambda T, F, p, t: (p - t) ** 2 / 2),
    "huber": Case(_bind(losses.huber, delta=1.7), NUMBERS, OTHERS, _elementwise("huber_loss", delta=1.7)),
    "smooth l1": Case(
        lambda p, t: losses.huber(p, t, delta=0.4) / 0.4, NUMBERS, OTHERS, _elementwise("smooth_l1_loss", beta=0.4)
    ),
    "log_cosh": Case(losses.log_cosh, NUMBERS, OTHERS, lambda T, F, p, t: T.log(T.cosh(p - t))),
    "quantile": Case(
        _bind(losses.quantile, q=0.2), NUMBERS, OTHERS, lambda T, F, p, t: T.maximum(0.2 * (t - p), 0.8 * (p - t))
    ),
    "barron": Case(_bind(losses.barron, alpha=-0.7, scale=1.3), NUMBERS, OTHERS, _barron(-0.7, 1.3)),
    "barron 1.4": Case(_bind(losses.barron, alpha=1.4, scale=0.2), NUMBERS, OTHERS, _barron(1.4, 0.2)),
    "hinge": Case(losses.hinge, NUMBERS, SIGNS, lambda T, F, p, t: T.relu(1 - p * t)),
    "squared_hinge": Case(losses.squared_hinge, NUMBERS, SIGNS, lambda T, F, p, t: T.relu(1 - p * t) ** 2),
    "perceptron": Case(losses.perceptron, NUMBERS, SIGNS, lambda T, F, p, t: T.relu(-p * t)),
    "crammer_singer": Case(losses.multiclass_hinge, NUMBERS, LABELS, _crammer_singer),
    "weston_watkins": Case(
        _bind(losses.multiclass_hinge, kind="weston_watkins", margin=0.7), NUMBERS, LABELS, _weston_watkins
    ),
    "cross_entropy_probs": Case(
        losses.cross_entropy_probs, PROBABILITIES, DENSE, lambda T, F, p, t: -(t * T.log(p)).sum(-1)
    ),
    "binary_probs": Case(losses.binary_cross_entropy_probs, PROBABILITIES, SOFT, _elementwise("binary_cross_entropy")),
    "sigmoid": Case(losses.sigmoid_cross_entropy, NUMBERS, SOFT, _elementwise("binary_cross_entropy_with_logits")),
    "sigmoid weighted": Case(
        _bind(losses.sigmoid_cross_entropy, positive_weight=WEIGHTS),
        NUMBERS,
        SOFT,
        lambda T, F, p, t: F.binary_cross_entropy_with_logits(p, t, reduction="none", pos_weight=T.tensor(WEIGHTS)),
    ),
    "softmax": Case(losses.softmax_cross_entropy, NUMBERS, LABELS, _elementwise("cross_entropy")),
    "softmax smoothed": Case(
        _bind(losses.softmax_cross_entropy, label_smoothing=0.3),
        NUMBERS,
        LABELS,
        _elementwise("cross_entropy", label_smoothing=0.3),
    ),
    "softmax all": Case(
        _bind(losses.softmax_cross_entropy, label_smoothing=0.3, class_weights=WEIGHTS, ignore_index=2),
        NUMBERS,
        LABELS,
        lambda T, F, p, t: F.cross_entropy(
            p, t, reduction="none", weight=T.tensor(WEIGHTS), label_smoothing=0.3, ignore_index=2
        ),
    ),
    "dense": Case(losses.softmax_cross_entropy_dense, NUMBERS, DENSE, _elementwise("cross_entropy")),
    "dense all": Case(
        _bind(losses.softmax_cross_entropy_dense, label_smoothing=0.3, class_weights=WEIGHTS),
        NUMBERS,
        DENSE,
        lambda T, F, p, t: F.cross_entropy(p, t, reduction="none", weight=T.tensor(WEIGHTS), label_smoothing=0.3),
    ),
    "sigmoid_focal": Case(_bind(losses.sigmoid_focal, gamma=1.5, alpha=0.25), NUMBERS, SOFT, _focal),
    "softmax_focal": Case(
        _bind(losses.softmax_focal, gamma=1.5, alpha=WEIGHTS),
        NUMBERS,
        LABELS,
        lambda T, F, p, t: -T.tensor(WEIGHTS)[t] * (1 - _p_t(T, F, p, t)) ** 1.5 * T.log(_p_t(T, F, p, t)),
    ),
    "poly1": Case(
        losses.poly1,
        NUMBERS,
        LABELS,
        lambda T, F, p, t: F.cross_entropy(p, t, reduction="none") + 2 * (1 - _p_t(T, F, p, t)),
    ),
    "dice": Case(_bind(losses.dice, smooth=0.5), NUMBERS, BITS, _dice),
    "kl": Case(
        _log_q(losses.kl_divergence),
        NUMBERS,
        DENSE,
        lambda T, F, p, t: F.kl_div(F.log_softmax(p, -1), t, reduction="none").sum(-1),
    ),
    "reverse kl": Case(
        _log_q(losses.reverse_kl_divergence),
        NUMBERS,
        DENSE,
        lambda T, F, p, t: F.kl_div(T.log(t), F.log_softmax(p, -1), reduction="none", log_target=True).sum(-1),
    ),
    "jensen": Case(_log_q(losses.jensen_shannon_divergence), NUMBERS, DENSE, _shannon),
    "poisson": Case(losses.poisson_nll, OTHERS, COUNTS, _elementwise("poisson_nll_loss")),
    "poisson full": Case(
        _bind(losses.poisson_nll, full=True, log_input=False),
        RATES,
        COUNTS,
        _elementwise("poisson_nll_loss", full=True, log_input=False),
    ),
    "gaussian": Case(
        _bind(losses.gaussian_nll, full=True),
        GAUSSIAN,
        OTHERS[:, 0],
        lambda T, F, p, t: F.gaussian_nll_loss(p[:, 0], t, T.exp(p[:, 1]), full=True, reduction="none"),
    ),
    "cosine": Case(losses.cosine_distance, NUMBERS, OTHERS, lambda T, F, p, t: 1 - F.cosine_similarity(p, t)),
    "cosine_embedding": Case(
        _bind(losses.cosine_embedding, margin=0.2),
        PAIRS,
        SIGNS[:, 0],
        lambda T, F, p, t: F.cosine_embedding_loss(p[:, 0], p[:, 1], t, margin=0.2, reduction="none"),
    ),
    "contrastive": Case(_bind(losses.contrastive, margin=3.0), PAIRS, BITS[:, 0], _contrastive),
    "triplet": Case(losses.triplet, TRIPLES, BITS[:, 0], _triplet()),
    "triplet 1": Case(_bind(losses.triplet, p=1.0, margin=0.3), TRIPLES, BITS[:, 0], _triplet(p=1.0, margin=0.3)),
    "triplet swap": Case(
        _bind(losses.triplet, p=3.0, swap=True, eps=0.1), TRIPLES, BITS[:, 0], _triplet(p=3.0, swap=True, eps=0.1)
    ),
    "triplet inf": Case(_bind(losses.triplet, p=math.inf), TRIPLES, BITS[:, 0], _triplet(p=math.inf)),
    "triplet_hard": Case(_bind(losses.triplet_hard, margin=0.8), POINTS, GROUPS, _mined(False)),
    "triplet_semi_hard": Case(_bind(losses.triplet_semi_hard, margin=0.8), POINTS, GROUPS, _mined(True)),
    "info_nce": Case(
        _bind(losses.info_nce, temperature=0.3),
        PAIRS,
        BITS[:, 0],
        lambda T, F, p, t: F.cross_entropy(*_clip_scores(T, F, p, t), reduction="none"),
    ),
    "info_nce symmetric": Case(
        _bind(losses.info_nce, temperature=0.3, symmetric=True),
        PAIRS,
        BITS[:, 0],
        lambda T, F, p, t: (
            sum(
                F.cross_entropy(s, _clip_scores(T, F, p, t)[1], reduction="none")
                for s in (_clip_scores(T, F, p, t)[0], _clip_scores(T, F, p, t)[0].T)
            )
            / 2
        ),
    ),
    "nt_xent": Case(_bind(losses.nt_xent, temperature=0.3), PAIRS, BITS[:, 0], _nt_xent),
    "ctc": Case(losses.ctc, FRAMES, WORDS, _ctc),
    "ctc lengths": Case(_bind(losses.ctc, lengths=LAST), FRAMES, WORDS, functools.partial(_ctc, frames=LAST)),
}


@functools.cache
def _found() -> dict[str, Any]:
    """All values and slopes, from one program."""
    with jax.enable_x64(True):

        def all_of_them():
            found = {}
            for name, case in CASES.items():
                values, back = jax.vjp(lambda p, case=case: case.loss(p, case.targets), jnp.asarray(case.predictions))
                found[name] = values, back(jnp.ones_like(values))[0]
            return found

        found = jax.jit(all_of_them, compiler_options={"xla_backend_optimization_level": 0})()
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_slope_match_torch(name: str):
    torch = pytest.importorskip("torch")
    case = CASES[name]
    p = torch.tensor(case.predictions, requires_grad=True)
    expected = case.oracle(torch, torch.nn.functional, p, torch.tensor(case.targets))
    expected.sum().backward()
    values, slope = _found()[name]
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(slope, p.grad.numpy(), rtol=1e-10, atol=1e-11)


def _padded(p, t):
    spare = jnp.asarray(t < 0, p.dtype)
    return optax.losses.ctc_loss(p, jnp.zeros(p.shape[:2], p.dtype), jnp.maximum(t, 1), spare, log_epsilon=-1e30)


OPTAX = {
    "half": optax.losses.l2_loss,
    "squared_error": optax.losses.squared_error,
    "huber": functools.partial(optax.losses.huber_loss, delta=1.7),
    "log_cosh": optax.losses.log_cosh,
    "hinge": optax.losses.hinge_loss,
    "perceptron": optax.losses.perceptron_loss,
    "crammer_singer": optax.losses.multiclass_hinge_loss,
    "sigmoid": optax.losses.sigmoid_binary_cross_entropy,
    "softmax": optax.losses.softmax_cross_entropy_with_integer_labels,
    "dense": optax.losses.softmax_cross_entropy,
    "poly1": lambda p, t: optax.losses.poly_loss_cross_entropy(p, jax.nn.one_hot(t, K)),
    "dice": lambda p, t: optax.losses.binary_dice_loss(p, t, smooth=0.25),
    "kl": lambda p, t: optax.losses.kl_divergence(jax.nn.log_softmax(p), t),
    "cosine": optax.losses.cosine_distance,
    "ctc": _padded,
}


def test_losses_match_optax():
    found = _found()
    standard, allow = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
    with jax.enable_x64(True), standard, allow:

        def all_of_them():
            values = {n: f(jnp.asarray(CASES[n].predictions), jnp.asarray(CASES[n].targets)) for n, f in OPTAX.items()}
            logits, bits = jnp.asarray(NUMBERS), jnp.asarray(BITS)
            values["focal"] = optax.losses.sigmoid_focal_loss(logits, bits, gamma=1.5, alpha=0.25)
            views, pairs = jnp.asarray(PAIRS).reshape(2 * N, D), jnp.repeat(jnp.arange(N), 2)
            values["nt_xent"] = optax.losses.ntxent(views, pairs, temperature=0.3)
            return values, losses.sigmoid_focal(logits, bits, gamma=1.5, alpha=0.25)

        expected, focal = jax.tree.map(np.asarray, jax.jit(all_of_them)())
    found = {name: values for name, (values, _) in found.items()} | {"focal": focal}
    found["nt_xent"] = found["nt_xent"].mean()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-10, atol=1e-11, err_msg=name)
