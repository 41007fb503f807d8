"""How a net is trained: optimizer and rate, batches and epochs, what holds it back, when it stops."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxann.advice.facts import Facts
from jaxann.advice.net import Net
from jaxann.advice.recommendation import Reason, show_number
from jaxann.core.products import Optimizer, Schedule
from jaxann.optimizers import adam, adamw, add_decayed_weights, chain, clip_by_global_norm, matrices, sgd
from jaxann.schedules import cosine
from jaxann.train.early_stopping import Stopping, early_stopping

__all__ = ["Restraint", "Training", "restraint_of", "training_of"]

_ENOUGH = 10.0  # examples a parameter from which on hardly anything has to hold a net back
_SCARCE = 1.0
_BATCHES = ((1_000, 32), (10_000, 64), (100_000, 128))  # below so many examples so many in a batch
_LARGEST_BATCH = 256
_EPOCHS = (5, 300)
_WARMUP = 0.03
_PATIENCE = (10, 0.1)  # epochs at least, and the share of all of them


class Restraint(NamedTuple):
    """What holds a net back from learning its examples by heart."""

    rate: float | None  # of dropout
    decay: float
    reason: Reason


class Training(NamedTuple):
    """All that says how a run goes."""

    optimizer: Optimizer
    batch_size: int
    epochs: int
    stopping: Stopping | None
    reasons: tuple[Reason, ...]


def restraint_of(facts: Facts, net: Net, parameters: int) -> Restraint:
    """Dropout and decay by how many examples there are for each parameter."""
    answers = facts.examples * math.prod(facts.target_shape[: facts.places])
    if facts.task in ("language", "translation"):
        answers = facts.examples * facts.target_shape[0] if facts.target_shape else facts.examples * facts.shape[0]
    ratio = answers / max(1, parameters)
    if ratio < _SCARCE:
        rate, decay, amount = 0.3, 1e-2, "few"
    elif ratio < _ENOUGH:
        rate, decay, amount = 0.2, 1e-3, "not many"
    else:
        rate, decay, amount = None, 1e-4, "many"
    if net.style.optimizer == "sgd":
        decay = 5e-4  # coupled, and tuned with this rate and momentum
    if net.style.optimizer == "adam":
        decay = 0.0
    kept = rate if net.drops else None
    chosen = [f"dropout {kept:g}"] if kept else []
    chosen += [f"weight decay {decay:g}"] if decay else []
    chosen += ["crops at random"] if net.augment else []
    why = f"{answers:,} answers for {parameters:,} parameters, {show_number(ratio)} each, are {amount}"
    why += ": more restraint would only underfit." if amount == "many" else ": something has to hold the net back."
    if decay:
        why += " Only weight matrices decay: biases and norms do not make a function rougher."
    if net.augment:
        why += " Moved pictures mean the same, and are new."
    source = "Srivastava et al. 2014; Krogh and Hertz 1991" + ("; Simard et al. 2003" if net.augment else "")
    return Restraint(kept, decay, Reason("regularization", ", ".join(chosen) or "none", why, source))


def training_of(facts: Facts, net: Net, decay: float, validated: bool, told: int | None) -> Training:
    """Optimizer, batches, epochs and stopping."""
    size, batch = _batch(facts)
    steps = math.ceil(facts.examples / size)
    epochs = told or min(max(math.ceil(net.style.updates / steps), _EPOCHS[0]), _EPOCHS[1])
    falls = net.style.cosine or not validated
    rate, chosen = _rate(net, steps * epochs, falls)
    optimizer = _optimizer(net, rate, decay)
    stopping, stops = _stopping(epochs, falls, validated)
    begun = "As told." if told else "Updates are what trains, not epochs: few examples need many epochs."
    ends = "The rate falls over this whole run." if falls else "An upper end; early stopping ends most runs before it."
    counted = Reason(
        "epochs",
        f"{epochs}, {steps * epochs:,} updates",
        f"{begun} {ends}",
        "Hoffer, Hubara and Soudry 2017",
    )
    named = {"adamw": "adamw", "adam": "adam", "sgd": "sgd(momentum=0.9, nesterov=True)"}[net.style.optimizer]
    clipped = ", after clip_by_global_norm(1)" if net.style.clip else ""
    reasons = (Reason("optimizer", named + clipped, net.style.why, net.style.source), chosen, batch, counted, stops)
    return Training(optimizer, size, epochs, stopping, reasons)


def _batch(facts: Facts) -> tuple[int, Reason]:
    size = next((size for examples, size in _BATCHES if facts.examples < examples), _LARGEST_BATCH)
    if facts.inputs in ("sequences", "ids", "pair"):
        size = min(size, 64)
    few = 2 ** max(0, int(math.log2(max(1, facts.examples // 8))))  # so that an epoch has some updates
    size = min(size, few)
    why = f"Of {facts.examples:,} examples: small batches make more updates of the same examples, and their noise "
    why += "helps; larger ones are for speed, with a rate that grows along."
    return size, Reason("batch size", f"{size}", why, "Masters and Luschi 2018; Goyal et al. 2017")


def _rate(net: Net, steps: int, falls: bool) -> tuple[float | Schedule, Reason]:
    peak = net.style.learning_rate
    if not falls:
        return peak, Reason(
            "learning rate",
            f"{peak:g}",
            "What such nets and this optimizer mostly learn well by; the first number to search, by factors of 3.",
            "Bengio 2012",
        )
    warmup = max(1, round(_WARMUP * steps)) if steps > 1 else 0
    return cosine(peak, steps, warmup=warmup), Reason(
        "learning rate",
        f"cosine({peak:g}, {steps}, warmup={warmup})",
        "Up within the first 3 % of the steps, while gradients are wild, then down to 0, so that the weights settle; "
        "the peak is the first number to search, by factors of 3.",
        "Loshchilov and Hutter 2017; Goyal et al. 2017",
    )


def _optimizer(net: Net, rate: float | Schedule, decay: float) -> Optimizer:
    kind = net.style.optimizer
    if kind == "adamw":
        made = adamw(rate, weight_decay=decay, mask=matrices)
    elif kind == "adam":
        made = adam(rate)
    else:
        made = chain(add_decayed_weights(decay, mask=matrices), sgd(rate, momentum=0.9, nesterov=True))
    return chain(clip_by_global_norm(1.0), made) if net.style.clip else made


def _stopping(epochs: int, falls: bool, validated: bool) -> tuple[Stopping | None, Reason]:
    if not validated:
        return None, Reason(
            "stopping",
            "none",
            "There is no validation set to stop by: the rate falls to 0 instead, and the last weights are returned. "
            "Rows put aside would say more.",
            "Prechelt 1998",
        )
    if falls:
        return early_stopping(None), Reason(
            "stopping",
            "after the last epoch, with the best weights",
            "The rate has to fall to its end; of all epochs the weights with the lowest validation loss are returned.",
            "Prechelt 1998",
        )
    patience = max(_PATIENCE[0], round(_PATIENCE[1] * epochs))
    return early_stopping(patience), Reason(
        "stopping",
        f"early_stopping(patience={patience}), with the best weights",
        f"Training ends once the validation loss has not improved for {patience} epochs: a single rise is noise. What "
        "it stopped by is no longer a fair judge, so a test set says how good the net is.",
        "Prechelt 1998",
    )
