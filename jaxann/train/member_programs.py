"""The compiled programs of a group of members: start, advance, evaluate, finish, each on every device's own members.

The members' axis is sharded over the devices, and nothing passes between devices while they train. On a device, so many
members at once are taken: one after the other on a CPU core, where a product is fastest alone and where a branch not
taken costs nothing, side by side (vmapped) on an accelerator. Which members run is data, not structure: a list of
places for each device.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as Split

from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key
from jaxann.train.batches import Batch, Rows, Spec, default_float, gather_rows
from jaxann.train.epoch import Carry, active, begin, row_width, run_epochs, weights_of
from jaxann.train.grouping import TracedBuild, member_recipe
from jaxann.train.measure import measure
from jaxann.train.run import finish

__all__ = ["AXIS", "LONGEST_CHUNK", "Store", "advance", "ended", "evaluate", "renew", "start", "take"]

LONGEST_CHUNK = 256  # rows of each member's history buffer
AXIS = "members"


class Store(NamedTuple):
    """Everything a member is, stacked: a place for each member, places for a device in a row."""

    carry: Any
    leaves: Any
    key: Key
    fold: Array  # int32, each member's row of the table of folds


@jit(guarded=True, static_argnums=(0,), donate_argnums=(1,))
def take(split: Any, store: Any, source: Array) -> Any:
    """The store with each place's content from another place."""
    return jax.lax.with_sharding_constraint(jax.tree.map(lambda a: a[source], store), split)


@jit(guarded=True, static_argnums=(0,), donate_argnums=(2,))
def renew(split: Any, again: Array, carry: Any, fresh: Any) -> Any:
    """The carries, fresh ones at the places `again`."""

    def one(old, new):
        return jnp.where(again.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    return jax.lax.with_sharding_constraint(jax.tree.map(one, carry, fresh), split)


def _sharded(mesh: Mesh, function: Any, shared: int, split: int) -> Any:
    """`function(*split arguments, *shared arguments)` on each device's own part."""
    specs = (Split(AXIS),) * split + (Split(),) * shared
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=Split(AXIS), check_vma=False)


@jit(guarded=True, quickly=True, static_argnames=("traced", "mesh", "spec"))
def start(
    traced: TracedBuild | None, mesh: Mesh, spec: Spec, leaves: Any, keys: Key, folds: Array, data: Any, views: Any
) -> Carry:
    """The first carries; data and views, the tables of folds, where models learn from their rows beforehand."""

    def on_device(leaves, keys, folds, data, views):
        def one(member):
            own, key, fold = member
            return begin(member_recipe(traced, own), key, spec.tree, None, data, _fold_of(views, fold)[0])

        return lax.map(one, (leaves, keys, folds))

    return _sharded(mesh, on_device, 2, 3)(leaves, keys, folds, data, views)


@jit(guarded=True, static_argnames=("traced", "mesh", "at_once", "with_metrics"), donate_argnames=("carry",))
def advance(
    traced: TracedBuild | None,
    mesh: Mesh,
    at_once: int,
    with_metrics: bool,
    carry: Carry,
    store: Store,
    until: Array,
    slots: Array,
    counts: Array,
    train: Batch,
    validation: Batch | None,
    views: Any,
) -> tuple[Carry, Array, Array]:
    """All carries after the chunk, the rows of the history, and who has a reason to go on.

    `carry` is the store's and is given up; the rest of the store is only read.

    Args:
        traced, mesh: the group's.
        at_once: members a device trains at once.
        with_metrics: whether somebody reads the metrics of the training batches.
        carry, store: the members.
        until: `(places,)`, epochs each is to reach.
        slots, counts: for each device its places that are to run, and how many they are.
        train, validation: the data.
        views: the tables of folds.
    """

    def recipe_of(leaves):
        recipe = member_recipe(traced, leaves)
        return recipe if with_metrics else recipe.updated(metrics=OrderedDict(), probes=False)

    def member(one, until, data, measured, views):
        rows = _fold_of(views, one.fold)
        recipe = recipe_of(one.leaves)
        return run_epochs(recipe, one.key, one.carry, until, data, measured, rows, longest=LONGEST_CHUNK)

    def on_device(store, until, slots, counts, data, measured, views):
        width = row_width(recipe_of(_first(store.leaves)), _first(store.carry), data, measured is not None)
        tables = jnp.full((until.shape[0], LONGEST_CHUNK, width), jnp.nan, default_float())

        def one(place, loop):
            carries, tables = loop
            now = store._replace(carry=carries)
            carry, table = member(jax.tree.map(lambda a: a[place], now), until[place], data, measured, views)
            return jax.tree.map(lambda a, v: a.at[place].set(v), (carries, tables), (carry, table))

        def several(first, loop):
            carries, tables = loop
            turn = first + jnp.arange(at_once, dtype=jnp.int32)
            place = slots[jnp.minimum(turn, counts[0] - 1)]
            now = jax.tree.map(lambda a: a[place], store._replace(carry=carries))
            limit = jnp.where(turn < counts[0], until[place], jnp.int32(0))
            carry, table = jax.vmap(member, in_axes=(0, 0, None, None, None))(now, limit, data, measured, views)
            target = jnp.where(turn < counts[0], place, jnp.int32(until.shape[0]))  # spare ones write nowhere
            return jax.tree.map(
                lambda a, v: a.at[target].set(v, mode="drop"), (carries, tables), (carry, table)
            )  # fmt: skip

        if at_once == 1:
            turns, turn = counts[0], lambda i, loop: one(slots[i], loop)
        else:
            turns, turn = (counts[0] + at_once - 1) // at_once, lambda i, loop: several(i * at_once, loop)
        carries, tables = lax.fori_loop(0, turns, turn, (store.carry, tables))
        going = jax.vmap(lambda carry, leaves: active(member_recipe(traced, leaves), carry))(carries, store.leaves)
        return carries, tables, going

    store = store._replace(carry=carry)
    return _sharded(mesh, on_device, 3, 4)(store, until, slots, counts, train, validation, views)


def _first(leaves: Any) -> Any:
    return jax.tree.map(lambda a: a[0], leaves)


def _fold_of(views: Any, fold: Array) -> tuple[Rows | None, Rows | None]:
    """The rows of one fold from the tables of all."""
    if views is None:
        return None, None
    return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, fold, 0, keepdims=False), views)


@jit(guarded=True, static_argnames=("traced", "mesh"))
def ended(traced: TracedBuild | None, mesh: Mesh, carry: Carry, leaves: Any) -> dict[str, Any]:
    """How each member ended; the carry comes without its weights."""

    def one(carry, leaves):
        result = finish(member_recipe(traced, leaves), carry, {})._asdict()
        return {name: result[name] for name in ("best_epoch", "epochs_run", "status", "diverged_step")}

    return _sharded(mesh, lambda carry, leaves: jax.vmap(one)(carry, leaves), 0, 2)(carry, leaves)


# It runs a few times only: less optimization, compiled sooner.
@jit(guarded=True, level=1, static_argnames=("traced", "mesh", "at_once"))
def evaluate(
    traced: TracedBuild | None,
    mesh: Mesh,
    at_once: int,
    store: Store,
    slots: Array,
    counts: Array,
    validation: Batch,
    views: Any,
) -> Array:
    """`(places, 1 + metrics)`: validation loss and metrics of the weights of those that are asked for."""

    def member(one, measured, views):
        recipe = member_recipe(traced, one.leaves)
        _, rows = _fold_of(views, one.fold)
        params, state = weights_of(one.carry)
        figures = measure(recipe, params, state, measured if rows is None else gather_rows(measured, rows))
        found = jnp.stack([jnp.asarray(v, default_float()) for v in figures])
        return jnp.where(one.carry.trained.guard.alive, found, jnp.nan)

    def on_device(store, slots, counts, measured, views):
        if at_once > 1:
            return lax.map(lambda one: member(one, measured, views), store, batch_size=at_once)

        def one(turn, table):
            place = slots[turn]
            return table.at[place].set(member(jax.tree.map(lambda a: a[place], store), measured, views))

        width = 1 + len(member_recipe(traced, _first(store.leaves)).metrics)
        table = jnp.full((slots.shape[0], width), jnp.nan, default_float())
        return lax.fori_loop(0, counts[0], one, table)

    return _sharded(mesh, on_device, 2, 3)(store, slots, counts, validation, views)
