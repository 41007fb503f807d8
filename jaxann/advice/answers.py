"""Tasks whose targets are answers: a yes or no, classes, labels, ids. Last layer, loss and metrics of each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxann import losses, metrics
from jaxann.advice.facts import Facts
from jaxann.advice.head import Head, shaped
from jaxann.advice.recommendation import Reason, show_number
from jaxann.core.typing import Loss

__all__ = ["IMBALANCED", "binary", "multiclass", "multilabel", "next_ids"]

IMBALANCED = 10.0  # times as many examples of one class as of another
_EXTREME = 100.0  # from which on weights alone would let single examples lead


def binary(facts: Facts) -> Head:
    """One yes or no."""
    last = Reason(
        "last layer",
        "1 logit, sigmoid inside the loss",
        "A probability comes out by sigmoid(z); computed from the logit the loss is exact for any z, and its slope "
        "sigmoid(z) - y does not vanish where the net is surely wrong, as that of a squared error does.",
        "Cox 1958; Goodfellow et al. 2016, 6.2.2.2",
    )
    loss, chosen = _of_answers(facts)
    if facts.imbalance > IMBALANCED:
        figures = {"balanced_accuracy": metrics.balanced_accuracy, "average_precision": metrics.average_precision}
    else:
        figures = {"accuracy": metrics.accuracy, "roc_auc": metrics.roc_auc}
    return Head(shaped(facts, facts.event), loss, figures, (last, chosen, _judged(facts, figures)))


def multilabel(facts: Facts) -> Head:
    """A yes or no for each of several labels."""
    last = Reason(
        "last layer",
        f"{facts.units} logits, a sigmoid for each inside the loss",
        "Labels do not exclude each other, so no softmax.",
        "Goodfellow et al. 2016, 6.2.2.2",
    )
    loss, chosen = _of_answers(facts)
    figures = {"accuracy": metrics.accuracy, "average_precision": metrics.average_precision}
    if facts.imbalance > IMBALANCED:
        figures.pop("accuracy")
    return Head({}, loss, figures, (last, chosen, _judged(facts, figures)))


def multiclass(facts: Facts) -> Head:
    """One of several classes."""
    last = Reason(
        "last layer",
        f"{facts.classes} logits, softmax inside the loss",
        "Classes exclude each other. Softmax inside the loss is exact for any logits, and its slope p - y does not "
        "vanish where the net is surely wrong.",
        "Bridle 1990",
    )
    loss: Loss = losses.softmax_cross_entropy
    chosen = Reason(
        "loss",
        "softmax_cross_entropy",
        "The negative log likelihood of the class; its minimum is the true probabilities.",
        "Bridle 1990",
    )
    figures: dict[str, Any] = {"accuracy": metrics.accuracy}
    if facts.imbalance > IMBALANCED:
        f1 = functools.partial(metrics.f1, average="macro")
        figures = {"balanced_accuracy": metrics.balanced_accuracy, "f1": f1}
        if facts.imbalance > _EXTREME:
            loss = functools.partial(losses.softmax_focal, gamma=2.0)
            chosen = Reason(
                "loss",
                "softmax_focal(gamma=2)",
                f"{_weights(facts)}: what is easy counts little, so that the commonest classes do not drown the "
                "others; weights of this size would let single examples lead.",
                "Lin et al. 2017",
            )
        else:
            shares = facts.shares
            weights = tuple(float(f"{1 / (len(shares) * share):.3g}") if share > 0 else 0.0 for share in shares)
            loss = functools.partial(losses.softmax_cross_entropy, class_weights=weights)
            chosen = Reason(
                "loss",
                "softmax_cross_entropy(class_weights=1 / (classes share))",
                f"{_weights(facts)}: all classes weigh alike. What comes out are the probabilities of balanced "
                "classes, not of these data.",
                "King and Zeng 2001; Elkan 2001",
            )
    return Head({}, loss, figures, (last, chosen, _judged(facts, figures)))


def next_ids(facts: Facts) -> Head:
    """Which id comes next."""
    number = facts.target_vocabulary if facts.task == "translation" else facts.vocabulary
    figures = {"perplexity": metrics.perplexity, "accuracy": metrics.accuracy}
    return Head(
        {},
        losses.softmax_cross_entropy,
        figures,
        (
            Reason(
                "last layer",
                f"{number} logits at each position, softmax inside the loss",
                "Which id comes next.",
                "Bengio et al. 2003",
            ),
            Reason(
                "loss",
                "softmax_cross_entropy",
                "The negative log likelihood of the text, an id at a time; what is padding counts for nothing where "
                "y is Padded.",
                "Bengio et al. 2003",
            ),
            Reason(
                "metrics",
                ", ".join(figures),
                "Perplexity: among how many ids, all equally likely, the choice would be as hard.",
                "Jelinek et al. 1977",
            ),
        ),
    )


def _of_answers(facts: Facts) -> tuple[Loss, Reason]:
    """The loss of yes and no, of one question or several."""
    if facts.imbalance <= IMBALANCED:
        why = "The negative log likelihood of a yes or no; "
        several = facts.task == "multilabel"
        why += (
            "each label is a question of its own, for an example may have several."
            if several
            else "its minimum is the true probability."
        )
        return losses.sigmoid_cross_entropy, Reason("loss", "sigmoid_cross_entropy", why, "Cox 1958")
    if facts.imbalance > _EXTREME and facts.task == "binary":
        alpha = 0.25 if facts.shares[0] < 0.5 else 0.75
        return functools.partial(losses.sigmoid_focal, gamma=2.0, alpha=alpha), Reason(
            "loss",
            f"sigmoid_focal(gamma=2, alpha={alpha})",
            f"{_weights(facts)}: what is easy counts little, so that the many easy examples do not drown the few; "
            "weights of this size would let single examples lead. Its probabilities are no longer calibrated.",
            "Lin et al. 2017",
        )
    ratios = [(1 - s) / s if 0 < s < 1 else 1.0 for s in facts.shares]
    kept = tuple(
        float(f"{min(max(r, 1 / _EXTREME), _EXTREME):.3g}") if max(r, 1 / r) > IMBALANCED else 1.0 for r in ratios
    )
    weight: Any = kept[0] if len(kept) == 1 else np.asarray(kept, np.float32)
    shown = show_number(kept[0]) if len(kept) == 1 else "of each label"
    return functools.partial(losses.sigmoid_cross_entropy, positive_weight=weight), Reason(
        "loss",
        f"sigmoid_cross_entropy(positive_weight={shown})",
        f"{_weights(facts)}: positive examples weigh as much in all as negative ones. What comes out are no longer "
        "the probabilities of these data: move the threshold instead where those are wanted.",
        "King and Zeng 2001; Elkan 2001",
    )


def _weights(facts: Facts) -> str:
    return f"{show_number(facts.imbalance)} times as many examples of one class as of another"


def _judged(facts: Facts, figures: Mapping[str, Any]) -> Reason:
    """Why these figures."""
    names = ", ".join(figures)
    if facts.imbalance > IMBALANCED and facts.task != "regression":
        commonest = max(facts.shares) if facts.task == "multiclass" else max(max(s, 1 - s) for s in facts.shares)
        return Reason(
            "metrics",
            names,
            f"Always saying the commonest would be right in {commonest:.1%} of the cases, so accuracy would praise a "
            "net that has learned nothing.",
            "Saito and Rehmsmeier 2015; Brodersen et al. 2010",
        )
    return Reason(
        "metrics",
        names,
        "What is wanted, beside the loss, which is what is trained and stopped by: it also says how sure the right "
        "answers are.",
        "Gneiting and Raftery 2007",
    )
