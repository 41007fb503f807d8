"""Changes of a recipe that remedies make: the same recipe with another activation, initializer, rate or clip.

A change looks at products by the arguments that they have, whoever made them: what has an `activation` can be given
another one, what has a `kernel_init` its own choice back. A recipe in which nothing has such an argument stays as it
is, and then the remedy is no change (`changes` says None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxann.core.factories import Product
from jaxann.core.products import Optimizer
from jaxann.optimizers import chain, clip_by_global_norm
from jaxann.schedules import scaled
from jaxann.train.early_stopping import early_stopping
from jaxann.train.recipe import Recipe

__all__ = [
    "batch_normalized",
    "changes",
    "clipped",
    "initialized",
    "rated",
    "regularized",
    "resized",
    "rewritten",
    "stopped",
    "with_activation",
    "with_batches",
]


def rewritten(product: Product, change: Callable[[Product], Mapping[str, Any]]) -> Product:
    """The product, and every one inside of it, with what `change` gives for it in the place of its own arguments."""

    def inside(value: Any) -> Any:
        if isinstance(value, Product):
            return rewritten(value, change)
        if isinstance(value, Mapping):
            changed: Any = type(value)
            return changed((name, inside(one)) for name, one in value.items())
        if type(value) in (tuple, list):
            return type(value)(inside(one) for one in value)
        return value

    new = {name: inside(value) for name, value in product.arguments.items()}
    new = {name: value for name, value in new.items() if value is not product.arguments[name]} | dict(change(product))
    differs = {name: value for name, value in new.items() if not _same(value, product.arguments[name])}
    return product.replace(**differs) if differs else product


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def changes(recipe: Recipe, change: Callable[[Recipe], Recipe]) -> Callable[[Recipe], Recipe] | None:
    """The change where it makes this recipe another one, else None."""
    return change if change(recipe) != recipe else None


def _in_model(change: Callable[[Product], Mapping[str, Any]]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.replace(model=rewritten(recipe.model, change))


def with_activation(name: str) -> Callable[[Recipe], Recipe]:
    """Every layer that has an activation gets this one."""
    return _in_model(lambda product: {"activation": name} if "activation" in product.arguments else {})


def initialized() -> Callable[[Recipe], Recipe]:
    """Every layer draws its weights as it does by itself."""

    def change(product: Product) -> dict[str, Any]:
        return {name: None for name in product.arguments if name in ("kernel_init", "recurrent_init")}

    return _in_model(change)


def batch_normalized() -> Callable[[Recipe], Recipe]:
    """Every net that can be told to normalize does so."""
    return _in_model(lambda product: {"batch_norm": True} if product.arguments.get("batch_norm") is False else {})


def clipped(longest: float = 1.0) -> Callable[[Recipe], Recipe]:
    """Gradients longer than that are cut to it."""
    return lambda recipe: recipe.replace(optimizer=chain(clip_by_global_norm(longest), recipe.optimizer))


def rated(factor: float) -> Callable[[Recipe], Recipe]:
    """Every learning rate times a factor; schedules as a whole."""

    def change(product: Product) -> dict[str, Any]:
        if not isinstance(product, Optimizer):
            return {}
        rates = {name: rate for name, rate in product.arguments.items() if name.endswith("learning_rate")}
        return {
            name: scaled(rate, factor) if isinstance(rate, Product) else factor * rate
            for name, rate in rates.items()
            if rate is not None
        }

    return lambda recipe: recipe.replace(optimizer=rewritten(recipe.optimizer, change))


def stopped(patience: int = 5) -> Callable[[Recipe], Recipe]:
    """Training ends when the validation loss has not fallen for some epochs, and the best epoch's weights are kept."""
    return lambda recipe: recipe.replace(stopping=early_stopping(patience))


def with_batches(size: int) -> Callable[[Recipe], Recipe]:
    """Batches of so many examples."""
    return lambda recipe: recipe.replace(batch_size=size)


def regularized(rate: float) -> Callable[[Recipe], Recipe]:
    """Every net that can be told to drop out does so, those that do already more."""

    def change(product: Product) -> dict[str, Any]:
        if "dropout" not in product.arguments:
            return {}
        given = product.arguments["dropout"]
        return {"dropout": rate if given is None else max(float(given), rate)}

    return _in_model(change)


def resized(factor: float) -> Callable[[Recipe], Recipe]:
    """Hidden layers of so many times the units, of every net that has `widths`; the output stays."""

    def change(product: Product) -> dict[str, Any]:
        widths = product.arguments.get("widths")
        if not isinstance(widths, tuple) or len(widths) < 2:
            return {}
        return {"widths": (*(max(1, round(factor * width)) for width in widths[:-1]), widths[-1])}

    return _in_model(change)
