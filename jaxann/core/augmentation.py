"""The kind of product that changes training examples, and the targets of examples that it mixes."""

from __future__ import annotations

from typing import NamedTuple

from jaxann.core.checks import check_key, check_unmasked, traceable
from jaxann.core.factories import Product, product_class
from jaxann.core.typing import Array, Key

__all__ = ["Augment", "Mixed"]


class Mixed(NamedTuple):
    """Targets of examples that are mixtures: `share` of the first, the rest of the second.

    The trainer takes share loss(predictions, first) + (1 - share) loss(predictions, second).
    """

    first: Array  # the examples' own targets
    second: Array
    share: Array  # (batch,), in [0, 1]


@product_class
class Augment(Product):
    """A random change of training examples in the program. Its factory returns `(key, x, y, example_mask) -> (x, y)`.

    The targets come back as they are (the same object), changed with the examples (a flipped mask), or as `Mixed` with
    them as the first.
    """

    __slots__ = ()

    def __call__(self, key: Key, x: Array, y: Array, example_mask: Array | None = None) -> tuple[Array, Array | Mixed]:
        """The changed examples and their targets.

        Args:
            key: randomness.
            x: `(batch, ...)`.
            y: `(batch, ...)`.
            example_mask: `(batch,)`, 0 for padding.
        """
        name = self._factory.short_name
        check_key(name, key)
        check_unmasked(name, "x", x)
        check_unmasked(name, "y", y)
        with traceable(name, "apply"):
            return self.functions(key, x, y, example_mask)
