"""What a model says of an example of which only some columns are known: the game that Shapley values share out."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import fail
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.diagnose.columns import Columns, exchanged, read_columns
from jaxann.diagnose.explained import Explained, aimed, as_background, chosen, read_explained
from jaxann.train.batches import default_float, example_count
from jaxann.train.recipe import Recipe

__all__ = ["MOST", "Game", "ShapValues", "all_coalitions", "read_game", "shared_out"]

MOST = 14  # columns or groups of which all 2^M subsets are gone through


class ShapValues(NamedTuple):
    """What each column adds to the output of each example, beside what is expected of any."""

    values: Array  # (rows, columns); a row's add up to its output less what is expected
    expected: Array  # (rows,), mean over the background of the output that is the row's target
    names: tuple[str, ...]  # of the columns or groups


class Game(NamedTuple):
    """A model, rows to explain, the columns that take part, and what stands in for those that do not."""

    explained: Explained
    columns: Columns
    background: Inputs
    batch_size: int

    @property
    def players(self) -> int:
        """Number of columns or groups."""
        return len(self.columns.names)


def read_game(
    function: str,
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    background: Inputs,
    target: Any,
    groups: Any,
    batch_size: int,
) -> Game:
    """The arguments checked.

    Raises:
        InputError: x, the target or the background is not the model's, or groups do not hold each column once.
    """
    explained = read_explained(function, model, params, state, x, target, floats=False)
    others = as_background(function, background, explained, batch_size)
    return Game(explained, read_columns(function, explained.x, groups), others, batch_size)


def all_coalitions(function: str, players: int, hint: str) -> np.ndarray:
    """Every subset as a row of a bool array `(2^M, M)`: none first, all last.

    Raises:
        InputError: there would be too many.
    """
    if players > MOST:
        got = f" {players}, with 2^{players} subsets"
        fail(function, "the number of columns", f"at most {MOST}", got, hint=hint)
    return (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1


def shared_out(game: Game, coalitions: np.ndarray, shares: np.ndarray) -> ShapValues:
    """Values that are sums over coalitions S of v(S): values_j = sum_S shares_jS v(S).

    Args:
        game: whose v is the mean over the background of f(x_S, rest of the background).
        coalitions: bool `(subsets, M)`, the empty one first, that of all columns last.
        shares: `(M, subsets)`, in float64.
    """
    explained = aimed(game.explained, game.batch_size)
    together = max(1, game.batch_size // example_count(game.background))
    background, members = jax.device_put((game.background, game.columns.members))
    subsets, expected, values = jnp.asarray(coalitions), [], []
    for row, target in enumerate(explained.target):
        x = jax.tree.map(lambda a, r=row: np.asarray(a[r : r + 1]), explained.x)
        worth = _worth(
            explained.layer, explained.params, explained.state, x=x, target=target, background=background,
            members=members, coalitions=subsets, dtype=explained.dtype, together=together,
        )  # fmt: skip
        worth = np.asarray(worth).astype(np.float64)
        expected.append(worth[0])
        values.append(shares @ worth)
    found = (np.stack(values).astype(default_float()), np.asarray(expected).astype(default_float()))
    attributed, means = jax.device_put(found)
    return ShapValues(attributed, means, game.columns.names)


@jit(static_argnames=("dtype", "together"))
def _worth(
    layer: Layer,
    params: Params,
    state: State,
    x: Inputs,
    target: Array,
    background: Inputs,
    members: Array,
    coalitions: Array,
    *,
    dtype: str | None,
    together: int,
) -> Array:
    """v(S) of one example for each coalition, `(subsets,)`: so many of them with the whole background at once."""
    rows = example_count(background)
    targets = jnp.broadcast_to(target, (rows,))
    explained = Explained(layer, params, state, dtype, x, targets)

    def one(coalition: Array) -> Array:
        known = jnp.any(coalition[:, None] & members, axis=0)
        return jnp.mean(chosen(explained, exchanged(known, background, x), targets))

    return lax.map(one, coalitions, batch_size=together)
