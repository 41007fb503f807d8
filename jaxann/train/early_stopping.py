"""When a run stops before its last epoch, and whose weights it returns."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_count, check_range, fail
from jaxann.core.factories import Product, factory, product_class
from jaxann.core.typing import Scalar

__all__ = ["Stopping", "early_stopping"]


@product_class
class Stopping(Product):
    """When a run stops early, and which of its weights it returns; made by `early_stopping`."""

    __slots__ = ()

    @property
    def patience(self) -> Scalar | None:
        """Epochs without improvement after which training stops; None never stops."""
        return self._arguments["patience"]

    @property
    def min_delta(self) -> Scalar:
        """How much better counts as improved."""
        return self._arguments["min_delta"]

    @property
    def monitor(self) -> str:
        """The column of the history that is watched."""
        return self._arguments["monitor"]

    @property
    def mode(self) -> str | None:
        """Whether "min" or "max" of it is better; None for what the metric declares."""
        return self._arguments["mode"]

    @property
    def restore_best(self) -> bool:
        """Whether the best epoch's weights are returned."""
        return self._arguments["restore_best"]

    @property
    def adds_up(self) -> bool:
        """Whether improvements smaller than min_delta add up to one."""
        return self._arguments["adds_up"]


@factory(Stopping)
def early_stopping(
    patience: Scalar | None = 5,
    *,
    min_delta: Scalar = 0.0,
    monitor: str = "validation_loss",
    mode: str | None = None,
    restore_best: bool = True,
    adds_up: bool = True,
):
    """Training stops once `monitor` has not improved by more than min_delta for `patience` epochs in a row.

    improved = value < best - min_delta ("min"), value > best + min_delta ("max"); NaN is no improvement.

    Args:
        patience: epochs without improvement, at least 1; None never stops: what is monitored then says which epoch is
            the best one, and ranks the settings of a search. May be traced: another patience compiles nothing.
        min_delta: how much better counts as improved, at least 0.
        monitor: a key of the history: "validation_loss", "loss", a metric, or "validation_" and a metric.
        mode: whether "min" or "max" is better; None for what the metric declares, and "min" of a loss. A metric of your
            own declares it by `metrics.higher_is_better` or `lower_is_better`.
        restore_best: whether a run returns the best epoch's weights, or the last ones.
        adds_up: whether improvements smaller than min_delta add up to one; else each epoch is compared with the best
            before it, however little better that was than others, so that slow progress ends training.

    Of a figure that is NaN in every epoch no epoch is the best: the last weights are returned, and a warning says so.

    Peers: Keras' EarlyStopping counts alike, with patience 0 and restore_best_weights False unless told; its mode
    "auto" guesses by the metric's name. scikit-learn's MLP has adds_up False.

    Source: Prechelt 1998.

    Raises:
        InputError: an argument is out of range.
    """
    if patience is not None:
        check_count("early_stopping", "patience", patience, 1)
    check_range("early_stopping", "min_delta", min_delta, 0)
    if mode is not None:
        check_choice("early_stopping", "mode", mode, ("min", "max"))
    if not isinstance(monitor, str):
        fail("early_stopping", "monitor", "a key of the history, such as 'validation_loss'", monitor)
    if not isinstance(restore_best, bool):
        fail("early_stopping", "restore_best", "True or False", restore_best)
    if not isinstance(adds_up, bool):
        fail("early_stopping", "adds_up", "True or False", adds_up)
    return ()
