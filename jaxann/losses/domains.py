"""What targets a loss takes, declared at the loss and asked for where data come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from jaxann.core.binding import bound
from jaxann.core.checks import check_range, fail, is_concrete
from jaxann.core.domains import Domain, counted_places
from jaxann.core.padding import Padded
from jaxann.losses.heads import heads_of

__all__ = ["DISTRIBUTIONS", "SIGNS", "check_domain", "domain_of", "targets_in"]

F = TypeVar("F", bound=Callable[..., Any])

SIGNS = Domain(values=(-1, 1), hint="Of 0 and 1: 2 * y - 1.")
DISTRIBUTIONS = Domain(distributions=True)


def targets_in(
    domain: Domain | Callable[..., Domain | None] | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    values: Sequence[float] = (),
) -> Callable[[F], F]:
    """Decorate a loss `(predictions, targets) -> values` that takes these targets alone.

        @ja.losses.targets_in(low=0)
        def own(predictions, targets): ...

    `fit`, `evaluate` and whatever else is given data refuse others before anything is compiled; inside a program, and
    where the loss itself is called, nothing is looked at. Rows of weight 0 may hold anything.

    Args:
        domain: all of it at once; or a function of the loss's settings, for a loss made of another one.
        low, high: the ends of the numbers it takes, themselves among them; None for no end.
        values: the only numbers it takes.

    Raises:
        InputError: nothing is said, or both ends and values; or one of them is no finite number.
    """
    if domain is None:
        if not isinstance(values, list | tuple | range | np.ndarray):
            fail("targets_in", "values", "a list of numbers", values)
        for argument, numbers in (("low", [low]), ("high", [high]), ("values", values)):
            for number in numbers:
                if number is not None:
                    check_range("targets_in", argument, number)
        if low is not None and high is not None:
            check_range("targets_in", "high", high, low)
        domain = Domain(low, high, tuple(values))
        said = (low is not None or high is not None) + bool(domain.values)
        if said != 1:
            fail("targets_in", "domain", "low, high or both of them, or values", " neither" if not said else " both")

    def declare(loss: F) -> F:
        if not callable(loss):
            fail("targets_in", "loss", "a function (predictions, targets) -> values", loss)
        loss.__dict__["domain"] = domain
        return loss

    return declare


def domain_of(loss: Callable) -> Domain | None:
    """What a loss declares of its targets, settings bound to it or not; None where it says nothing."""
    function, args, settings = bound(loss)
    declared: Any = getattr(function, "domain", None)
    if declared is None or isinstance(declared, Domain):
        return declared
    return declared(*args, **settings)


def check_domain(function: str, argument: str, loss: Callable, targets: Any, weights: Any = None) -> None:
    """Targets lie in the loss's domain where it declares one; what is traced, padding or of weight 0 is left alone.

    Args:
        function, argument: for the message.
        loss: which declares it.
        targets: as it takes them: an array, `Padded`, or a dict of heads.
        weights: one an example, or one a value; 0 for what counts for nothing.

    Raises:
        InputError: a target lies outside.
    """
    heads = heads_of(loss)
    if heads is not None:
        for name, own in heads.items():
            if isinstance(targets, dict) and name in targets:
                check_domain(function, f"{argument}[{name!r}]", own, targets[name], weights)
        return
    domain = domain_of(loss)
    mask = None
    if isinstance(targets, Padded):
        targets, mask = targets
    if domain is None or isinstance(targets, dict | tuple) or not is_concrete(targets):
        return
    host = np.asarray(targets)
    if host.dtype.kind not in "fiub" and host.dtype.itemsize != 2:
        return
    domain.check(function, argument, host, counted_places(host.shape, weights, mask))
