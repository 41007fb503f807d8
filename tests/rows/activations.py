"""Activations."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import activations
from tests.rows.kinds import ActivationRow

__all__ = ["HELPERS", "ACTIVATIONS"]

HELPERS = {
    "activations.by_name": "looks a function up",
}

ACTIVATIONS = [
    ActivationRow("activations.identity", activations.identity, limits=(-jnp.inf, jnp.inf)),
    ActivationRow("activations.sigmoid", activations.sigmoid, limits=(0.0, 1.0)),
    ActivationRow("activations.tanh", activations.tanh, limits=(-1.0, 1.0)),
    ActivationRow("activations.relu", activations.relu, kinks=(0.0,), limits=(0.0, jnp.inf)),
    ActivationRow("activations.softmax", activations.softmax),
    ActivationRow("activations.log_softmax", activations.log_softmax),
]
