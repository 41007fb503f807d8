"""What the estimators with a net share: a fit that succeeds or changes nothing, and members whose outputs are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from jaxann.core.checks import check_choice, check_flag, check_integer, check_range, fail
from jaxann.core.notices import notify
from jaxann.core.products import Metric
from jaxann.estimators.files import load_estimator, save_estimator
from jaxann.estimators.inputs import Rows
from jaxann.estimators.nets import Net, fit_net, forward, same_model
from jaxann.estimators.restoring import or_as_before
from jaxann.estimators.searching import search_settings
from jaxann.train.recipe import Recipe
from jaxann.train.run import Status

if TYPE_CHECKING:
    from jaxann.tune.enqueue import Dimensions

__all__ = ["NetworkEstimator", "tell_clipped"]


class NetworkEstimator(BaseEstimator):
    """A net behind scikit-learn's face; the arguments are those of its subclasses."""

    random_state: Any
    verbose: bool
    members: Any
    observers: Any
    loss: Any
    warm_start = False
    _least_held = 1  # rows that a score is taken of

    def __new__(cls, *args: Any, **given: Any) -> Any:
        """Refuse an argument that there is none of, and name the closest."""
        _check_names(cls, given)
        return super().__new__(cls)

    def set_params(self, **params: object) -> Self:
        """Change arguments.

        Args:
            params: their names and new values.

        Returns:
            The estimator itself.

        Raises:
            InputError: there is none of a name; the message has the closest.
        """
        _check_names(type(self), params)
        return super().set_params(**params)

    def __sklearn_tags__(self):
        """Sparse X is taken, and made dense."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one file; at any moment the path holds the old file or the new one, whole.

        What further training needs beside the weights (the optimizer's state) is not in it.

        Raises:
            NotFittedError: there is nothing to write.
            InputError: an argument is a function without a name in jaxann's table.
            OSError: the system refused.
        """
        check_is_fitted(self, "nets_")
        save_estimator(self, path)

    def search(
        self,
        space: Dimensions,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        trials: int = 20,
        folds: int = 5,
    ) -> Self:
        """Draw settings, score each by cross-validation, and train by the best of them on all rows.

            model.search({"alpha": ja.tune.log_uniform(1e-6, 1e-1), "dropout": ja.tune.uniform(0, 0.5)}, x, y)

        All settings of one shape and all folds are one compiled population. Each run keeps its best epoch by the
        accuracy (R^2, or the loss where there is none) on the fold that it is not trained on; the last one, on all
        rows, has as many epochs as those had. `random_state` says which settings are drawn.

        Args:
            space: from arguments to dimensions of `ja.tune`: `uniform`, `log_uniform`, `integer`, `choice`.
            X, y, sample_weight: as in `fit`.
            trials: how many settings.
            folds: how many folds.

        Returns:
            The estimator, fitted, with the best settings as its arguments; `best_params_`, and `search_`, the table of
            all settings with their scores.

        Peers: scikit-learn's RandomizedSearchCV trains one setting and fold after the other.

        Raises:
            InputError: a name is no argument that can be searched; or as `fit`.
        """
        with or_as_before(self):
            best, table, nets = search_settings(self, space, X, y, sample_weight, trials=trials, folds=folds)
            self.set_params(**best)
            self._learned(nets)
            self.best_params_, self.search_ = best, table
            return self

    def _learned(self, nets: list[Net]) -> Self:
        """The estimator with what was trained."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """The estimator that `save` wrote: it predicts the same bits. A file is not trusted, and names no code.

        Raises:
            CheckpointError: the file is damaged, cut, or holds an estimator of another class.
            OSError: there is no such file, or no permission.
        """
        return load_estimator(path, {cls.__name__: cls})

    def _read(self, x: Any, *, reset: bool, argument: str = "X") -> Any:
        """X as the net takes it: an array or a tree of them."""
        raise NotImplementedError

    def _check(self) -> None:
        """Arguments, before the data."""
        raise NotImplementedError

    def _takes_pieces(self) -> bool:
        """Whether training for one pass more makes sense."""
        raise NotImplementedError

    def _stops_early(self) -> bool:
        """Whether there is a use for a validation set."""
        raise NotImplementedError

    def _trained(
        self, rows: Rows, held: Rows | None, loss: Any, width: int, score: Metric | None, one_pass: bool
    ) -> list[Net]:
        """The members, trained by the arguments."""
        raise NotImplementedError

    def _planned(
        self, rows: Rows, loss: Any, width: int, score: Metric | None, *, held: int
    ) -> tuple[Recipe, int, int]:
        """What is trained on these rows beside so many held back, for how many epochs at most, in which batches."""
        raise NotImplementedError

    def _said(self, x: Any) -> np.ndarray:
        """What the net says of each row, float64 `(members, rows, width)`."""
        check_is_fitted(self, "nets_")
        rows = self._read(x, reset=False)
        found = [forward(net, rows) for net in self.nets_]  # a net may have members inside: (rows, members, width)
        return np.concatenate([z.swapaxes(0, 1) if z.ndim == 3 else z[None] for z in found])

    def _keep(self, nets: list[Net], width: int) -> None:
        """What is known after training, under scikit-learn's names."""
        first = nets[0]
        loss = first.history["loss"]
        self.nets_, self.history_ = nets, first.history
        self.model_, self.params_, self.state_ = first.model, first.params, first.state
        self.n_iter_, self.n_outputs_ = first.epochs, width
        self.loss_curve_, self.loss_ = loss.tolist(), float(loss[-1])
        self.interrupted_ = first.status == Status.INTERRUPTED
        self.best_loss_, self.best_validation_score_, self.validation_scores_ = float(loss.min()), None, None
        if "validation_loss" in first.history:
            name = "validation_score"
            scores = first.history[name] if name in first.history else -first.history["validation_loss"]
            self.validation_scores_, self.best_validation_score_ = scores.tolist(), float(scores.max())
            self.best_loss_ = None

    def _run(
        self,
        rows: Rows,
        validation: Rows | None,
        loss: Any,
        width: int,
        score: Metric | None,
        *,
        one_pass: bool,
        share: float | None,
        goes_on: bool,
    ) -> list[Net]:
        """The members, trained on these rows.

        Args:
            rows, validation: x, targets and weights as the net takes them; without a validation set a `share` of the
                rows, None for none.
            loss, width, score: what is minimized, outputs of a row, and what is measured on the validation set.
            one_pass: whether to train for one pass alone.
            goes_on: whether nets that stand are trained further.
        """
        source = self._source()
        before = self.nets_ if goes_on and hasattr(self, "nets_") else None
        count = self._members(len(rows))
        if before is not None and len(before) != count:
            fail(type(self).__name__, "members", f"{len(before)} as before, to go on from them", count)
        nets = []
        for number, seed in enumerate(source.randint(2**31 - 1, size=count)):
            own, held = rows, validation
            if validation is None and share is not None:
                own, held = self._split(rows, share, source)  # of its own for each member: together they miss none
            made, epochs, batch = self._planned(own, loss, width, score, held=0 if held is None else len(held))
            known = None if before is None else before[number]
            if known is not None and not same_model(known.model, made.model):
                hint = "Another size, activation or number of classes needs a fresh estimator, or warm_start=False."
                fail(
                    type(self).__name__,
                    "the net",
                    "that of the fit before, to go on from it",
                    f" {made.model}",
                    hint=hint,
                )
            settings: dict[str, Any] = {"batch": batch, "epochs": 1 if one_pass else epochs, "before": known}
            settings |= {"progress": bool(self.verbose), "observers": () if self.observers is None else self.observers}
            nets.append(fit_net(made, own, held, int(seed), **settings))
            if nets[-1].status == Status.INTERRUPTED:
                break
        return nets

    def _members(self, rows: int) -> int:
        """How many nets are trained on so many rows."""
        return self.members

    def _source(self) -> np.random.RandomState:
        try:
            return check_random_state(self.random_state)
        except ValueError:
            name, hint = type(self).__name__, "Keys of JAX are of the functions: ja.fit(key=)."
            fail(name, "random_state", "None, an integer or a RandomState of numpy", self.random_state, hint=hint)

    def _split(self, rows: Rows, share: float, source: np.random.RandomState) -> tuple[Rows, Rows]:
        """A share of the rows to stop by; of classes the same share of each.

        Raises:
            InputError: one of the two is empty, or lacks a class.
        """
        name, count = type(self).__name__, len(rows)
        held = int(np.ceil(share * count))
        if held < self._least_held:
            hint = "The validation set is too small for R^2."
            fail(name, "validation_fraction", "a share of at least 2 rows", f" {share} of {count} rows", hint=hint)
        if held >= count:
            got = f" {share}, which leaves {count - held} of {count} rows to train on"
            fail(name, "validation_fraction", "a share that leaves rows on both sides", got)
        from sklearn.model_selection import train_test_split  # which takes as long to load as half of scikit-learn

        classes = self._strata(rows.y)
        if classes is not None:
            self._check_strata(classes, share, held)
        chosen: Any = train_test_split(np.arange(count), test_size=share, random_state=source, stratify=classes)
        return rows[chosen[0]], rows[chosen[1]]

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None

    def _check_strata(self, classes: np.ndarray, share: float, held: int) -> None:
        name, count = type(self).__name__, len(classes)
        codes, times = np.unique(classes, return_counts=True)
        if times.min() < 2:
            rare = [str(label) for label in np.asarray(self._classes())[codes[times < 2].astype(int)]]
            hint = f"The least populated classes in y have only 1 member. Classes with too few members are: {rare}"
            got = f" one of {', '.join(rare[:10])}"
            fail(name, "y", "of two rows of each class, for each of the two sets of early stopping", got, hint=hint)
        if min(held, count - held) < len(codes):
            expected = f"a share that leaves a row of each of {len(codes)} classes on both sides"
            fail(name, "validation_fraction", expected, f" {share}: {held} of {count} rows")

    def _classes(self) -> Any:
        raise NotImplementedError

    def _check_numbers(self, *, flags: tuple[str, ...], sizes: tuple[str, ...], ranges: dict[str, tuple]) -> None:
        """Flags are flags, sizes are positive integers, numbers are in their ranges (low, high, open ends)."""
        name, given = type(self).__name__, self.get_params(deep=False)
        for flag in flags:
            check_flag(name, flag, given[flag])
        for size in sizes:
            check_integer(name, size, given[size])
        for argument, (low, high, ends) in ranges.items():
            opened = {"open_low": "low" in ends, "open_high": "high" in ends}
            check_range(name, argument, given[argument], low, high, **opened)

    def _warn_unless_converged(self, nets: list[Net], epochs: int) -> None:
        if any(net.status == Status.FINISHED for net in nets):
            message = f"{type(self).__name__}: {epochs} iterations are over and training has not converged yet."
            notify(message, ConvergenceWarning)


def tell_clipped(name: str, batch_size: int, rows: int) -> None:
    """Warn of a batch that is larger than the data."""
    if batch_size > rows:
        notify(f"{name}: batch_size {batch_size} is clipped to the {rows} rows there are.", UserWarning)


def _check_names(cls: Any, given: dict[str, Any]) -> None:
    """Names of arguments are known; those of a nested estimator's (`net__units`) are scikit-learn's to check."""
    for name in given:
        if "__" not in name:
            check_choice(cls.__name__, "each keyword", name, cls._get_param_names())
