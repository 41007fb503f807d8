"""How far a number has come through each of several bins."""

from __future__ import annotations

from jaxann.core.checks import check_integer
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.preprocessing.columns import (
    beside,
    check_columns,
    columns_of,
    concatenated,
    namespace,
    narrowed,
    quantiles,
    values_of,
)

__all__ = ["piecewise_linear"]


@factory(Preprocessor, static=("bins",))
def piecewise_linear(bins: int = 48):
    """z_(j,t) = (x_j - b_(t-1)) / (b_t - b_(t-1)), held in [0, 1] but at the outer ends; b the quantiles of column j.

    Args:
        bins: how many there are, with as many numbers of the training data in each.

    x `(examples, ..., columns)`; z `(examples, ..., columns, bins)`: 1 for bins that lie below the number, 0 for those
    above, and how far it has come in its own. The first goes on below 0 and the last above 1. A bin of no width, where
    many numbers are equal, is 0 below and 1 from there on. `layers.column_dense` makes embeddings of it.

    State: `edges` `(bins + 1, columns)`. What it learns from pieces are all of their numbers.

    Peers: PiecewiseLinearEncoding of rtdl_num_embeddings, which has fewer bins where quantiles are equal.

    Source: Gorishniy, Rubachev and Babenko 2022.

    Raises:
        InputError: bins is no positive integer; or as `standard`.
    """
    check_integer("piecewise_linear", "bins", bins)

    def compute(values):
        xp = namespace(values)
        edges = xp.stack(quantiles(values, tuple(t / bins for t in range(bins + 1))))
        return {"edges": xp.where(xp.isnan(edges), 0, edges)}

    def transform(state, x):
        wide = columns_of("piecewise_linear", x)
        check_columns("piecewise_linear", state["edges"][0], wide)
        xp, edges = namespace(wide), beside(state["edges"], wide)
        shape = (*wide.shape, bins)
        low, high = (xp.broadcast_to(xp.moveaxis(ends, 0, -1), shape) for ends in (edges[:-1], edges[1:]))
        number = xp.broadcast_to(wide[..., None], shape)
        width = high - low
        share = (number - low) / xp.where(width > 0, width, 1)
        stepped = xp.where(xp.isnan(number), number, (number >= high).astype(number.dtype))
        place = xp.broadcast_to(xp.arange(bins), shape)
        held = xp.where(place > 0, xp.maximum(share, 0), share)
        held = xp.where(place < bins - 1, xp.minimum(held, 1), held)
        return narrowed(xp.where(width > 0, held, stepped), x)

    def names(state, names):
        return [f"{name}_bin{t}" for name in names for t in range(bins)]

    return PreprocessorFunctions(
        transform,
        measure=lambda x, where, y: values_of("piecewise_linear", x, where),
        merge=concatenated,
        compute=compute,
        names=names,
    )
