"""A sequence and a second one that it reads, its source: the input of layers that look from one into the other."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxann.core.checks import fail
from jaxann.core.padding import Padded, zero_padding
from jaxann.core.typing import Array
from jaxann.layers.branches import check_names

__all__ = ["Reading", "reading", "sequence_of"]


class Reading(NamedTuple):
    """What such a layer is given: `{"x": ..., "source": ...}`, taken apart."""

    x: Any  # (batch, time, ...), or its shape and dtype
    mask: Array | None  # (batch, time), 0 for padding
    source: Any  # (batch, other time, ...)
    real: Array | None  # (batch, other time), 0 for padding

    def back(self, x: Any) -> dict[str, Any]:
        """The same with another x: what a block hands on to the next."""
        source = self.source if self.real is None else Padded(self.source, self.real)
        return {"x": self.like(x), "source": source}

    def like(self, x: Any) -> Any:
        """Values at the positions of x, `Padded` where x is."""
        return x if self.mask is None else Padded(x, self.mask)


def sequence_of(x: Any) -> tuple[Any, Array | None]:
    """Values, with 0 in the padding, and mask of what may be `Padded`."""
    if not isinstance(x, Padded):
        return x, None
    # Of a specification there are shapes alone, which are not looked at further.
    known = hasattr(x.values, "__array__") or hasattr(x.values, "aval")
    return (zero_padding(x.values, x.mask) if known else x.values), x.mask


def reading(function: str, argument: str, x: Any) -> Reading:
    """`{"x": ..., "source": ...}` taken apart and checked.

    Raises:
        InputError: x has other names, or arrays that are no `(batch, time, features)` of one batch.
    """
    check_names(function, ("x", "source"), x, argument)
    found = Reading(*sequence_of(x["x"]), *sequence_of(x["source"]))
    for name, one in (("x", found.x), ("source", found.source)):
        if len(one.shape) != 3 or one.shape[0] != found.x.shape[0]:
            expected = "of shape (batch, time, features), of one batch"
            fail(function, f"{argument}[{name!r}]", expected, f" shape {tuple(one.shape)}")
    return found
