"""The optimizers that jaxann and optax both have, with equal settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["PAIRS", "Pair"]


@dataclass(frozen=True)
class Pair:
    """How each library makes it."""

    jaxann: Callable[[], Any]
    optax: Callable[[Callable], Any]  # given the objective, which few of them want
    objective: bool = False  # the step also evaluates the objective and its gradient
    extra: Callable[[Any, Any, Callable], dict[str, Any]] = lambda value, grads, value_fn: {}  # optax's keywords


def _pair(name: str, *arguments: Any, theirs: str | None = None, contrib: bool = False, **keywords: Any) -> Pair:
    """One of the same name and settings in both."""

    def jaxann() -> Any:
        import jaxann as ja

        return getattr(ja.optimizers, name)(*arguments, **keywords)

    def optax(value_fn: Callable) -> Any:
        import optax

        return getattr(optax.contrib if contrib else optax, theirs or name)(*arguments, **keywords)

    return Pair(jaxann, optax)


def _muon() -> Any:
    import jaxann as ja

    return ja.optimizers.muon(1e-3, mask=ja.optimizers.matrices)


def _sam() -> Any:
    import jaxann as ja

    return ja.optimizers.sam(ja.optimizers.sgd(1e-3), rho=0.05)


def _optax_sam(value_fn: Callable) -> Any:
    import optax

    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.sgd(1e-3), ascent, sync_period=2, opaque_mode=True)


def _sam_extra(value: Any, grads: Any, value_fn: Callable) -> dict[str, Any]:
    import jax

    return {"grad_fn": lambda params, number: jax.grad(value_fn)(params)}


def _schedule_free() -> Any:
    import jaxann as ja

    return ja.optimizers.schedule_free(ja.optimizers.sgd(1e-3))


def _asking(name: str, *arguments: Any, extra: Callable, contrib: bool = False, **keywords: Any) -> Pair:
    """One that asks for the objective."""
    pair = _pair(name, *arguments, contrib=contrib, **keywords)
    return replace(pair, objective=True, extra=extra)


PAIRS: dict[str, Pair] = {
    "sgd": _pair("sgd", 1e-3),
    "sgd, momentum": _pair("sgd", 1e-3, momentum=0.9),
    "sgd, Nesterov": _pair("sgd", 1e-3, momentum=0.9, nesterov=True),
    "adagrad": _pair("adagrad", 1e-3),
    "adadelta": _pair("adadelta", 1.0),
    "rmsprop": _pair("rmsprop", 1e-3),
    "rmsprop, centered": _pair("rmsprop", 1e-3, centered=True, momentum=0.9),
    "adam": _pair("adam", 1e-3),
    "adamw": _pair("adamw", 1e-3, weight_decay=1e-2),
    "amsgrad": _pair("amsgrad", 1e-3),
    "adamax": _pair("adamax", 1e-3),
    "adamaxw": _pair("adamaxw", 1e-3, weight_decay=1e-2),
    "nadam": _pair("nadam", 1e-3),
    "nadamw": _pair("nadamw", 1e-3, weight_decay=1e-2),
    "radam": _pair("radam", 1e-3),
    "adabelief": _pair("adabelief", 1e-3),
    "yogi": _pair("yogi", 1e-3),
    "lion": _pair("lion", 1e-4),
    "rprop": _pair("rprop", 1e-3),
    "novograd": _pair("novograd", 1e-3),
    "adan": _pair("adan", 1e-3),
    "sm3": _pair("sm3", 1e-3),
    "adopt": _pair("adopt", 1e-3, contrib=True),
    "ademamix": _pair("ademamix", 1e-3, contrib=True),
    "lars": _pair("lars", 1e-1),
    "lamb": _pair("lamb", 1e-3),
    "adafactor": _pair("adafactor", 1e-3),
    "prodigy": _pair("prodigy", 1.0, contrib=True),
    "muon": Pair(_muon, _pair("muon", 1e-3, contrib=True).optax),
    "schedule_free": Pair(_schedule_free, _pair("schedule_free_sgd", 1e-3, contrib=True).optax),
    "sophia": _asking("sophia", 1e-3, contrib=True, extra=lambda value, grads, value_fn: {"obj_fn": value_fn}),
    "polyak_sgd": _asking("polyak_sgd", 1e-3, extra=lambda value, grads, value_fn: {"value": value}),
    "sam": Pair(_sam, _optax_sam, objective=True, extra=_sam_extra),
    "lbfgs": _asking(
        "lbfgs", extra=lambda value, grads, value_fn: {"value": value, "grad": grads, "value_fn": value_fn}
    ),
}
