"""Nets that the tests of importance explain, with their formulas in numpy."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja

__all__ = ["Net", "linear", "one_hidden"]

_FUNCTIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


class Net(NamedTuple):
    """f(x) = s(x w + b) v + c, or x w + b alone: as a model, and in numpy."""

    model: Any
    params: Any
    state: Any
    w: np.ndarray
    b: np.ndarray
    v: np.ndarray | None = None
    activation: str = "tanh"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`(rows, outputs)`."""
        z = x @ self.w + self.b
        return z if self.v is None else _FUNCTIONS[self.activation](z) @ self.v + self.params["dense1"]["bias"]

    def rescaled(self, x: np.ndarray, begin: np.ndarray, target: int) -> np.ndarray:
        """(x - x')_j sum_k v_k w_jk (a - a')_k / (z - z')_k: what gradients integrate to on the straight way, too."""
        assert self.v is not None
        z, other = x @ self.w + self.b, begin @ self.w + self.b
        function = _FUNCTIONS[self.activation]
        return (x - begin) * (((function(z) - function(other)) / (z - other) * self.v[:, target]) @ self.w.T)


def _drawn(model: Any, columns: int) -> Any:
    random = np.random.default_rng(1)
    params, state = model.init(jax.random.key(3), jnp.ones((1, columns)))
    return jax.tree.map(lambda a: np.asarray(a) + 0.5 * random.normal(size=a.shape), params), state


def linear(columns: int, width: int = 1) -> Net:
    """f(x) = x w + b."""
    model = ja.models.mlp((width,))
    params, state = _drawn(model, columns)
    return Net(model, params, state, params["dense0"]["weight"], params["dense0"]["bias"])


def one_hidden(columns: int, width: int = 1, activation: str = "tanh", units: int = 6) -> Net:
    """f(x) = s(x w + b) v + c."""
    model = ja.models.mlp((units, width), activation=activation)
    params, state = _drawn(model, columns)
    first = params["dense0"]
    return Net(model, params, state, first["weight"], first["bias"], params["dense1"]["weight"], activation)
