"""What `TabularClassifier` and `TabularRegressor` share: raw tables in, the net that wins on tables inside."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import scipy.sparse
from sklearn.utils.validation import validate_data

from jaxann.core.checks import check_flag, check_integer, check_range, fail
from jaxann.core.notices import notify
from jaxann.core.products import Layer, Metric
from jaxann.estimators.heads import half_squared
from jaxann.estimators.inputs import Rows, one_batch, warn_of_digits
from jaxann.estimators.nets import Net
from jaxann.estimators.network import NetworkEstimator, tell_clipped
from jaxann.estimators.refusals import refuse_shape
from jaxann.estimators.tables import columns_of, fit_table, read_table
from jaxann.estimators.tabular_defaults import FEW_ROWS, TabularDefaults, default_recipe
from jaxann.losses import each_member
from jaxann.models import tabular
from jaxann.optimizers import as_optimizer
from jaxann.train.early_stopping import early_stopping
from jaxann.train.recipe import Recipe

__all__ = ["TabularEstimator"]


class TabularEstimator(NetworkEstimator):
    """A net for raw tables."""

    net: Any
    optimizer: Any
    epochs: int | None
    batch_size: int | None
    validation_fraction: float | None
    _task: str

    def __sklearn_tags__(self):
        """Missing values, texts and categories are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _read(self, x: Any, *, reset: bool, argument: str = "X") -> Any:
        name = type(self).__name__
        if x is None or isinstance(x, str | bytes):
            hint = "pandas.read_csv reads a file." if isinstance(x, str | bytes) else None
            fail(name, argument, "a table: a DataFrame or an array (rows, columns)", x, hint=hint)
        refuse_shape(name, argument, x)
        if reset and hasattr(x, "shape") and not scipy.sparse.issparse(x):
            warn_of_digits(name, x)
        frame = x
        if hasattr(x, "columns"):
            names = list(x.columns)
            doubled = [column for column in names if names.count(column) > 1]
            if doubled:
                fail(name, argument, "a table of columns with names of their own", f" {doubled[0]!r} twice")
            validate_data(self, x, skip_check_array=True, reset=reset)
        else:
            read: Any = validate_data
            frame = x = read(
                self, x, accept_sparse=True, dtype=_kept(x), reset=reset, ensure_all_finite=False,
            )  # fmt: skip
            if scipy.sparse.issparse(x):
                frame = x = x.toarray()
        if not reset:
            return read_table(name, self.table_, columns_of(frame))
        self.table_, found = fit_table(name, x, frame)
        self.dropped_ = self.table_.reasons
        if len(self.dropped_) == len(self.table_.names):
            fail(name, argument, "a table with a column that says something", f" {self.dropped_}")
        if self.dropped_:
            told = "; ".join(f"{column!r} ({reason})" for column, reason in self.dropped_.items())
            notify(f"{name}: left out of X: {told}.", UserWarning)
        return found

    def _check(self) -> None:
        name = type(self).__name__
        check_flag(name, "verbose", self.verbose)
        for size in ("epochs", "batch_size", "members"):
            if getattr(self, size) is not None:
                check_integer(name, size, getattr(self, size))
        if self.validation_fraction is not None:
            check_range(name, "validation_fraction", self.validation_fraction, 0, 1, open_high=True)
        if self.net is not None and not isinstance(self.net, Layer):
            fail(name, "net", "a layer (batch, features) -> outputs, such as models.mlp((64, 1)), or None", self.net)
        given: Any = self.optimizer
        if given is not None and not (hasattr(given, "init") and hasattr(given, "update")):
            fail(name, "optimizer", "an optimizer, such as ja.optimizers.adam(1e-3), or None", given)

    def _members(self, rows: int) -> int:
        return self._defaults(rows, 2).members if self.members is None else self.members

    def _takes_pieces(self) -> bool:
        return False

    def _stops_early(self) -> bool:
        return True

    def _share(self, rows: int) -> float | None:
        share = self.validation_fraction
        return (self._defaults(rows, 2).validation if share is None else share) or None

    def _defaults(self, rows: int, width: int) -> TabularDefaults:
        task = self._task if width > 1 else "regression"  # of one label alone, whose loss is its own anyway
        sizes, given = self.table_.sizes, {"epochs": self.epochs, "batch_size": self.batch_size}
        return default_recipe(task, rows=rows, width=width, categories=sizes, **given)

    def _trained(
        self, rows: Rows, held: Rows | None, loss: Any, width: int, score: Metric | None, one_pass: bool
    ) -> list[Net]:
        share = None if held is not None else self._share(len(rows))
        chosen = self._defaults(len(rows), width)
        if share is None and held is None and len(rows) <= chosen.batch_size:
            rows = one_batch(rows)
        return self._run(rows, held, loss, width, None, one_pass=False, share=share, goes_on=False)

    def _planned(
        self, rows: Rows, loss: Any, width: int, score: Metric | None, *, held: int
    ) -> tuple[Recipe, int, int]:
        chosen = self._defaults(len(rows) + held, width)
        if chosen.validation:  # of so many that these are left to train on, as its schedule counts on
            chosen = self._defaults(max(FEW_ROWS, math.ceil(len(rows) / (1 - chosen.validation))), width)
        made = chosen.recipe.replace(loss=each_member(loss))
        if loss is not half_squared or self.net is not None:  # the metric is that of means
            stopping = None if made.stopping is None else early_stopping(None, monitor="validation_loss")
            made = made.replace(metrics={}, stopping=stopping)
        if not held:
            made = made.replace(stopping=None)
        elif made.stopping is None:
            made = made.replace(stopping=early_stopping(None, monitor="validation_loss"))
        if self.net is not None:
            sizes = self.table_.sizes
            made = made.replace(model=tabular(self.net, categories=sizes))
            inside = jax.eval_shape(lambda: made.model.init(jax.random.key(0), rows.x))
            shape = jax.eval_shape(lambda p, s: made.model.apply(p, s, rows.x)[0], *inside).shape
            made = made if len(shape) == 3 else made.replace(loss=loss)
        if self.optimizer is not None:
            made = made.replace(optimizer=as_optimizer(self.optimizer))
        if self.batch_size is not None:
            tell_clipped(type(self).__name__, self.batch_size, len(rows))
        return made, chosen.epochs, min(chosen.batch_size, len(rows))


def _kept(x: Any) -> Any:
    """The type that scikit-learn is to make of an array: numbers become float64, anything else stays."""
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind is None and not hasattr(x, "__array__"):
        kind = np.asarray(x).dtype.kind if not scipy.sparse.issparse(x) else "f"
    return None if kind in ("O", "U", "S", "T", "M") else np.float64
