"""Small real data and settings that the training tests share."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import jaxann as ja
from jaxann.train import interrupts, trainer
from jaxann.train.recipe import Recipe

__all__ = [
    "FIT",
    "FITTED_BY",
    "compiles",
    "digits",
    "equal_bits",
    "loss",
    "model",
    "press_ctrl_c",
    "small_fit",
    "small_recipe",
]

loss = ja.losses.softmax_cross_entropy
FIT = sys.modules[ja.fit.__module__]  # the file: its name stands for the function
FITTED_BY = ("train", "validation", "key", "epochs", "batch_size", "initial", "resume", "observers", "progress")

_COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **extra: _COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)


def compiles() -> int:
    """Programs this process has compiled so far."""
    return len(_COMPILED)


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Ctrl-C a twentieth of a second after a population's `call`-th chunk has begun, as a real signal."""
    original, calls = trainer.advance_members, []

    def advance(*arguments):
        calls.append(1)
        if len(calls) == call:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        return original(*arguments)

    monkeypatch.setattr(trainer, "advance_members", advance)
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)  # the next one is a first one again


@functools.cache
def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """410 and 100 handwritten digits; 410 is no multiple of the batch sizes below."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))[:510]
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    return (x[:410], y[:410]), (x[410:], y[410:])


def model() -> ja.core.Layer:
    """The network of `small_fit`."""
    return ja.models.mlp((16, 10), dropout=0.1)


def small_recipe(**changes: Any) -> Recipe:
    """What `small_fit` trains; keyword arguments change it."""
    setting: dict[str, Any] = {
        "model": model(),
        "loss": loss,
        "optimizer": ja.optimizers.adam(3e-3),
        "metrics": {"accuracy": ja.metrics.accuracy},
    }
    return ja.recipe(**(setting | changes))


def small_fit(**changes: Any) -> ja.train.Result:
    """`fit` on the digits with a small network; keyword arguments change the recipe, or how it is fitted."""
    train, validation = digits()
    setting: dict[str, Any] = {
        "train": train,
        "validation": validation,
        "key": jax.random.key(0),
        "epochs": 6,
        "batch_size": 64,
    } | {name: value for name, value in changes.items() if name in FITTED_BY}
    made = small_recipe(**{name: value for name, value in changes.items() if name not in FITTED_BY})
    return ja.fit(made, setting.pop("train"), **setting)


def equal_bits(a: Any, b: Any) -> bool:
    """Whether two trees of arrays hold the same bits."""
    left, right = jax.tree.leaves(a), jax.tree.leaves(b)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.asarray(p).tobytes() == np.asarray(q).tobytes() for p, q in zip(left, right, strict=True)
    )
