"""What `MLPClassifier` and `MLPRegressor` share: scikit-learn's arguments, made into a recipe."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann import models, regularizers
from jaxann.core.checks import check_integer
from jaxann.core.products import Metric
from jaxann.estimators.choices import activation_of, optimizer_of, rate_of
from jaxann.estimators.inputs import Rows, numbers, one_batch
from jaxann.estimators.nets import Net
from jaxann.estimators.network import NetworkEstimator, tell_clipped
from jaxann.train import early_stopping, recipe
from jaxann.train.recipe import Recipe

__all__ = ["MultiLayer"]

_AUTO = 200  # rows of a batch where none are named, as scikit-learn's
_LBFGS = 1e-3  # of tol: scikit-learn's is one of the gradient for this solver, this is how much less a loss is
_RANGES = {
    "learning_rate_init": (0, None, ("low",)),
    "epsilon": (0, None, ("low",)),
    "alpha": (0, None, ()),
    "tol": (0, None, ()),
    "power_t": (0, None, ()),
    "momentum": (0, 1, ()),
    "beta_1": (0, 1, ("high",)),
    "beta_2": (0, 1, ("high",)),
    "dropout": (0, 1, ("high",)),
    "validation_fraction": (0, 1, ("low", "high")),
}


class MultiLayer(NetworkEstimator):
    """A multi-layer perceptron of numbers."""

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: float
    batch_size: int | str
    max_iter: int
    shuffle: bool
    tol: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    max_fun: int
    dropout: float
    batch_norm: bool

    def _stops_early(self) -> bool:
        return self.early_stopping

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights of each dense layer, `(inputs, units)`, of the first member."""
        return [layer["weight"] for layer in self._dense()]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases of each dense layer, `(units,)`, of the first member; none where a norm has them."""
        return [layer["bias"] for layer in self._dense() if "bias" in layer]

    def _dense(self) -> list[dict]:
        if not hasattr(self, "nets_"):
            raise AttributeError(f"{type(self).__name__} has none before fit")
        params = self.nets_[0].params
        names = sorted((name for name in params if name.startswith("dense")), key=lambda name: int(name[5:]))
        return [params[name] for name in names]

    def _read(self, x: Any, *, reset: bool, argument: str = "X") -> np.ndarray:
        return numbers(self, x, reset=reset, argument=argument)

    def _keep(self, nets: list[Net], width: int) -> None:
        super()._keep(nets, width)
        self.n_layers_ = len(self._sizes()) + 2

    def _sizes(self) -> tuple[int, ...]:
        """Units of the hidden layers.

        Raises:
            InputError: one is no positive integer.
        """
        given: Any = self.hidden_layer_sizes
        found = tuple(given) if hasattr(given, "__iter__") and not isinstance(given, str) else (given,)
        for size in found:
            check_integer(type(self).__name__, "each of hidden_layer_sizes", size)
        return tuple(int(size) for size in found)

    def _check(self) -> None:
        name = type(self).__name__
        flags = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm")
        self._check_numbers(flags=flags, sizes=("max_iter", "max_fun", "members"), ranges=_RANGES)
        self._sizes()
        if self.n_iter_no_change != np.inf:
            check_integer(name, "n_iter_no_change", self.n_iter_no_change)
        if not (isinstance(self.batch_size, str) and self.batch_size == "auto"):
            check_integer(name, "batch_size", self.batch_size)

    def _takes_pieces(self) -> bool:
        return not self._by_lbfgs()

    def _by_lbfgs(self) -> bool:
        return isinstance(self.solver, str) and self.solver == "lbfgs"

    def _batch(self, count: int) -> int:
        if self._by_lbfgs():
            return count
        if isinstance(self.batch_size, str):
            return min(_AUTO, count)
        return min(int(self.batch_size), count)

    def _trained(
        self, rows: Rows, held: Rows | None, loss: Any, width: int, score: Metric | None, one_pass: bool
    ) -> list[Net]:
        """The members, by the arguments; what is trained in one batch does not depend on the order of the rows."""
        share = self.validation_fraction if self.early_stopping else None
        if not self.early_stopping and len(rows) <= self._batch(len(rows)):
            rows = one_batch(rows)
        nets = self._run(
            rows, held, loss, width, score, one_pass=one_pass, share=share, goes_on=one_pass or self.warm_start
        )
        if not one_pass:
            self._warn_unless_converged(nets, self._epochs())
        return nets

    def _epochs(self) -> int:
        return min(self.max_iter, self.max_fun) if self._by_lbfgs() else self.max_iter

    def _planned(
        self, rows: Rows, loss: Any, width: int, score: Metric | None, *, held: int
    ) -> tuple[Recipe, int, int]:
        name, examples = type(self).__name__, len(rows)
        batch = self._batch(examples)
        if not isinstance(self.batch_size, str) and not self._by_lbfgs():
            tell_clipped(name, self.batch_size, examples)
        total = float(examples if rows.weights is None else rows.weights.sum())
        steps = -(-examples // batch)
        rate, cuts = rate_of(name, self, steps=steps, examples=examples)
        model = models.mlp(
            (*self._sizes(), width),
            activation=activation_of(name, self.activation),
            dropout=np.float32(self.dropout) if self.dropout else None,
            batch_norm=bool(self.batch_norm),
        )
        unmoved = min(float(self.n_iter_no_change), 1e9)
        progress = np.float32(self.tol * (_LBFGS if self._by_lbfgs() else 1))
        monitor, best = "loss", False
        if self.early_stopping:
            monitor, best = ("validation_loss" if score is None else "validation_score"), True
        patience = np.float32((unmoved + 1) * (cuts + 1))
        made = recipe(
            model,
            loss,
            optimizer_of(name, self, rate),
            metrics={} if score is None else {"score": score},
            penalty=regularizers.l2_penalty(np.float32(self.alpha * steps / total), half=True),
            stopping=early_stopping(patience, min_delta=progress, monitor=monitor, restore_best=best, adds_up=False),
            shuffle=self.shuffle,
        )
        return made, self._epochs(), batch
