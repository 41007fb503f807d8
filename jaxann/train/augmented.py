"""Examples as training sees them: after each of a recipe's augmentations, which may change their shapes."""

from __future__ import annotations

from typing import Any

import jax

from jaxann.core.augmentation import Augment, Mixed
from jaxann.core.checks import fail
from jaxann.core.keys import fold_name
from jaxann.core.programs import traced_only
from jaxann.core.typing import Array, Inputs, Key, Targets
from jaxann.train.batches import one_example, some_key
from jaxann.train.recipe import Recipe

__all__ = ["as_trained", "augmented", "resizes"]


def augmented(
    augment: tuple[Augment, ...], key: Key | None, x: Inputs, y: Targets, example_mask: Array | None
) -> tuple[Inputs, Targets | Mixed, Targets | None]:
    """Examples and targets after each augmentation in turn; and each example's own target, None where it stayed.

    Raises:
        InputError: there is no key, or the augmentations do not go together in this order.
    """
    own, mixed = y, None
    for number, one in enumerate(augment):
        if key is None:
            fail("train_step", "key", "given: the augmentation is random", None)
        x, found = one(fold_name(key, f"augment{number}"), x, own, example_mask)
        if isinstance(found, Mixed):
            if mixed is not None:
                fail("train_step", "augment", "of one augmentation that mixes examples at most", " two")
            mixed = found
        elif found is not own:
            if mixed is not None:
                expected = "in an order in which what changes targets comes before what mixes examples"
                fail("train_step", "augment", expected, f" {augment}")
            own = found
    return x, own if mixed is None else mixed, None if own is y else own


def as_trained(recipe: Recipe, x: Inputs, y: Targets, rows: int = 1) -> tuple[Any, Any]:
    """Shapes and dtypes of so many training examples and their own targets after augmentation.

    What a model is initialized and checked with: a window cut out of a longer one, a picture at another size.

    Raises:
        InputError: an augmentation does not take such examples.
    """
    given = one_example(x, rows), one_example(y, rows)
    return _shapes.eval_shape(recipe.augment, some_key(), *given) if recipe.augment else given


def resizes(recipe: Recipe, x: Inputs, y: Targets) -> bool:
    """Whether training sees examples of other shapes than those given."""
    given, seen = one_example(x), as_trained(recipe, x, y)[0]
    return [leaf.shape for leaf in jax.tree.leaves(given)] != [leaf.shape for leaf in jax.tree.leaves(seen)]


@traced_only
@jax.jit
def _shapes(augment: tuple[Augment, ...], key: Key, x: Inputs, y: Targets) -> tuple[Inputs, Targets]:
    """Only ever traced, once for augmentations and examples like these."""
    x, _, changed = augmented(augment, key, x, y, None)
    return x, y if changed is None else changed
