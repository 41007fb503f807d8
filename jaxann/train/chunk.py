"""Several epochs as one compiled program, for as many epochs as the host asks for."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Key, Params, State
from jaxann.train.epoch import Carry, Data, active, begin, run_epoch
from jaxann.train.plan import Ingredients, Plan, default_float

__all__ = ["LONGEST_CHUNK", "advance", "start"]

LONGEST_CHUNK = 8192  # rows of the history buffer; the number of epochs itself is traced


# Drawing the weights runs once and takes milliseconds, so it is compiled with less optimization: half the time, the
# same bits.
@functools.partial(jax.jit, static_argnames=("plan", "spec"), compiler_options={"xla_backend_optimization_level": 1})
def start(
    plan: Plan, parts: Ingredients, key: Key, spec: jax.ShapeDtypeStruct, initial: tuple[Params, State] | None = None
) -> Carry:
    """The first carry, for inputs like `spec` (one example), with fresh weights or the initial ones given."""
    return begin(plan, parts, key, spec, initial)


@functools.partial(jax.jit, static_argnames=("plan",))
def advance(
    plan: Plan, parts: Ingredients, key: Key, carry: Carry, until: Array, train: Data, validation: Data | None
) -> tuple[Carry, Array]:
    """The carry at epoch `until`, or where training ended, and the rows of the history since `carry`.

    The carry is not donated: if the program is interrupted, the caller still holds the weights it began with.
    """
    columns = plan.columns(validation is not None)
    rows = jnp.full((LONGEST_CHUNK, len(columns)), jnp.nan, default_float())
    begun = carry.epoch

    def going(loop):
        carry, _ = loop
        return (carry.epoch < until) & (carry.epoch - begun < LONGEST_CHUNK) & active(plan, parts, carry)

    def body(loop):
        carry, rows = loop
        place = carry.epoch - begun
        carry, row = run_epoch(plan, parts, key, carry, train, validation)
        return carry, lax.dynamic_update_index_in_dim(rows, row, place, 0)

    return lax.while_loop(going, body, (carry, rows))
