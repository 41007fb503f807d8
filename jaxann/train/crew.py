"""A crew: members of one structure in training, their carries on the devices, and the program that moves them on.

The members' axis is sharded over the devices, and nothing passes between devices while they train. On a device, members
are taken `lanes` at a time: one after the other on a CPU core, where a product is fastest alone and where a branch not
taken costs nothing, side by side (vmapped) on an accelerator. Which members run is data, not structure: a list of
places for each device. So members that have stopped are left out without compiling anything (side by side: one program
for each power of two of them), and when they leave the devices unequally loaded, the carries are dealt out anew.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Split

from jaxann.core.keys import pick_keys
from jaxann.core.typing import Array, Device, Key
from jaxann.train.epoch import Carry, Data, Rows, active, begin, rows_of, run_epoch, weights_of
from jaxann.train.measure import measure
from jaxann.train.plan import Plan, default_float
from jaxann.train.recipes import Group, ingredients_of
from jaxann.train.run import finish

__all__ = ["LONGEST_CHUNK", "Crew", "Fold", "Moved", "lanes_of", "on_all"]

LONGEST_CHUNK = 256  # rows of each member's history buffer
_AXIS = "members"


class Fold(NamedTuple):
    """The rows each member trains on and is validated on: tables with one row a fold, and each member's fold."""

    train: Rows  # index (folds, size), count (folds,) or None
    validation: Rows | None
    which: np.ndarray  # int32 (members,)


class Moved(NamedTuple):
    """What a chunk did, as numpy arrays in the order of the members."""

    rows: np.ndarray  # (members, epochs, columns), NaN where a member did not run
    epoch: np.ndarray  # int (members,), epochs done in all
    going: np.ndarray  # bool (members,), whether there is a reason to go on


class _Store(NamedTuple):
    """Everything a member is, stacked: a place for each member, places for a device in a row."""

    carry: Any
    leaves: Any
    key: Key
    which: Array


def lanes_of(lanes: int | str | None, device: Device) -> int | None:
    """Members to train at once on a device, None for all of its own: by default one on a CPU core, else all."""
    if lanes is None:
        return 1 if device.platform == "cpu" else None
    return None if lanes == "all" else int(lanes)


class Crew:
    """The members of a group, spread over devices, no more of them than members; `on_all` puts the data there."""

    def __init__(
        self,
        group: Group,
        keys: Key,
        train: Data,
        validation: Data | None,
        *,
        fold: Fold | None,
        curves: bool,
        devices: list[Device],
        lanes: int | str | None,
    ):
        size = len(group.members)
        self.size, self.plan, self._recipe = size, group.plan, group.recipe
        self._devices, self._slots = len(devices), -(-size // len(devices))
        self._lanes = lanes_of(lanes, devices[0])
        self._mesh = Mesh(np.array(devices), (_AXIS,))
        self._shared, self._split = NamedSharding(self._mesh, Split()), NamedSharding(self._mesh, Split(_AXIS))
        # without curves nobody reads the metrics of the training batches, so they are not computed
        self._running = group.plan if curves else replace(group.plan, metrics=())
        self.columns = self._running.columns(curves and validation is not None)
        views = None if fold is None else (fold.train, fold.validation)
        self._data, self._held_out, self._views = train, validation, jax.device_put(views, self._shared)
        self._watched = self._held_out if curves else None  # what is measured after every epoch
        which = np.zeros(size, np.int32) if fold is None else np.asarray(fold.which, np.int32)

        self._place = _deal(np.arange(size), self._devices, self._slots)  # place of each member
        source = np.zeros(self._devices * self._slots, int)
        source[self._place] = np.arange(size)  # unused places hold a copy of member 0 and never run
        leaves, which = jax.tree.map(lambda a: a[source], (group.leaves, which))
        leaves, key, which = jax.device_put((leaves, pick_keys(keys, source), which), self._split)
        spec = jax.ShapeDtypeStruct((1, *train[0].shape[1:]), train[0].dtype)
        carry = _start(self.plan, self._recipe, self._mesh, spec, leaves, key)
        self._store = _Store(carry, leaves, key, which)
        self.epoch = np.zeros(size, int)
        self.going = np.ones(size, bool)
        self.chunk = 1  # epochs that the next chunk should have

    def advance(self, members: np.ndarray, until: np.ndarray) -> Moved:
        """Run these members up to the epochs of `until` (one for each), at most LONGEST_CHUNK of them.

        A member that has stopped or diverged stays where it is.
        """
        self._balance(members)
        slots, counts = self._tables(members)
        limit = np.zeros(self._devices * self._slots, np.int32)
        limit[self._place[members]] = until
        store = self._store
        carry, rows, going = _advance(
            self._running,
            self._recipe,
            self._mesh,
            self._lanes or min(self._slots, 1 << (int(counts.max()) - 1).bit_length()),
            store.carry,
            store._replace(carry=None),  # a buffer that is given up must not come in twice
            *jax.device_put((limit, slots, counts), self._split),
            self._data,
            self._watched,
            self._views,
        )
        self._store = store._replace(carry=carry)
        epoch, going, rows = jax.device_get((carry.epoch, going, rows))
        before, self.epoch, self.going = self.epoch, epoch[self._place], going[self._place]
        ran = int((self.epoch - before).max(initial=0))
        return Moved(rows[self._place, :ran], self.epoch, self.going)

    def evaluate(self, members: np.ndarray) -> np.ndarray:
        """`(members, 1 + metrics)`: validation loss and metrics of these members' weights (the best, where kept).

        NaN for the other members, and for one that diverged.
        """
        lanes = self._lanes or self._slots
        tables = jax.device_put(self._tables(members), self._split)
        found = _evaluate(self.plan, self._recipe, self._mesh, lanes, self._store, *tables, self._held_out, self._views)
        figures = np.full((self.size, found.shape[1]), np.nan)
        figures[members] = np.asarray(found)[self._place[members]]
        return figures

    def results(self) -> dict[str, Any]:
        """Parameters, state and how each member ended, as numpy arrays in the order of the members.

        It gives the carries up, so that their memory is free before the host's copies are made: the crew is done.
        """
        carry, leaves = self._store.carry, self._store.leaves
        trained, stop = carry.trained, carry.stop
        weights = weights_of(carry)
        bare = carry._replace(
            trained=trained._replace(params=(), state=(), optimizer=()),
            stop=stop._replace(best_weights=None),
            averaged=None,
        )
        ended = _finish(self.plan, self._recipe, self._mesh, bare, leaves)
        arrays, structure = jax.tree.flatten(dict(zip(("params", "state"), weights, strict=True)) | ended)
        self._store = self._store._replace(carry=None)
        del carry, trained, stop, weights, bare
        found = []
        while arrays:
            found.append(_on_host(arrays.pop(0), self._place))
        return jax.tree.unflatten(structure, found)

    def replace(self, source: np.ndarray, leaves: Any) -> None:
        """Member i goes on from the carry of member `source[i]`, with new hyper-parameters; its key stays its own.

        The weights stay on the devices.
        """
        places = np.arange(self._devices * self._slots)
        places[self._place] = self._place[source]
        carry = _take(self._split, self._store.carry, places)
        table = np.zeros(self._devices * self._slots, int)
        table[self._place] = np.arange(self.size)
        fresh = jax.device_put(jax.tree.map(lambda a: np.asarray(a)[table], leaves), self._split)
        self._store = self._store._replace(carry=carry, leaves=fresh)
        self.epoch, self.going = self.epoch[source], self.going[source]

    def _tables(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each device the places of its own that are to run, and how many they are."""
        slots = np.zeros((self._devices, self._slots), np.int32)
        counts = np.zeros(self._devices, np.int32)
        for place in np.sort(self._place[members]):
            device, slot = divmod(place, self._slots)
            slots[device, counts[device]] = slot
            counts[device] += 1
        return slots.reshape(-1), counts

    def _balance(self, members: np.ndarray) -> None:
        """Deal the carries out anew when some device has more of the running members than it needs to have."""
        loads = np.bincount(self._place[members] // self._slots, minlength=self._devices)
        if loads.max(initial=0) <= -(-len(members) // self._devices):
            return
        rest = np.setdiff1d(np.arange(self.size), members)
        place = np.empty(self.size, int)
        place[np.concatenate([members, rest])] = _deal(np.arange(self.size), self._devices, self._slots)
        source = np.arange(self._devices * self._slots)
        source[place] = self._place
        self._store = _take(self._split, self._store, source)
        self._place = place


def on_all(devices: list[Device], train: Data, validation: Data | None) -> tuple[Data, Data | None]:
    """The data on each of these devices; once, where both are the same."""
    shared = NamedSharding(Mesh(np.array(devices), (_AXIS,)), Split())
    placed = jax.device_put(train, shared)
    return placed, placed if validation is train else jax.device_put(validation, shared)


def _deal(members: np.ndarray, devices: int, slots: int) -> np.ndarray:
    """Places for members in turn, device by device, so that any run of them is spread evenly."""
    return members % devices * slots + members // devices


def _on_host(array: Array, place: np.ndarray) -> np.ndarray:
    """The rows at these places, read device by device: the whole array is never put together besides."""
    rows = np.empty((len(place), *array.shape[1:]), array.dtype)
    for shard in array.addressable_shards:
        part, first = np.asarray(shard.data), shard.index[0].start or 0
        for member in np.flatnonzero((place >= first) & (place < first + len(part))):
            rows[member] = part[place[member] - first]
    return rows


@functools.partial(jax.jit, static_argnums=(0,), donate_argnums=(1,))
def _take(split: Any, store: Any, source: Array) -> Any:
    return jax.lax.with_sharding_constraint(jax.tree.map(lambda a: a[source], store), split)


def _sharded(mesh: Mesh, function: Any, shared: int, split: int) -> Any:
    """`function(*split arguments, *shared arguments)` on each device's own part."""
    specs = (Split(_AXIS),) * split + (Split(),) * shared
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=Split(_AXIS), check_vma=False)


@functools.partial(
    jax.jit, static_argnames=("plan", "recipe", "mesh", "spec"), compiler_options={"xla_backend_optimization_level": 1}
)
def _start(plan: Plan, recipe: Any, mesh: Mesh, spec: jax.ShapeDtypeStruct, leaves: Any, keys: Key) -> Carry:
    def on_device(leaves, keys):
        return lax.map(lambda member: begin(plan, ingredients_of(recipe, member[0]), member[1], spec), (leaves, keys))

    return _sharded(mesh, on_device, 0, 2)(leaves, keys)


@functools.partial(jax.jit, static_argnames=("plan", "recipe", "mesh", "lanes"), donate_argnames=("carry",))
def _advance(
    plan: Plan,
    recipe: Any,
    mesh: Mesh,
    lanes: int,
    carry: Carry,
    store: _Store,
    until: Array,
    slots: Array,
    counts: Array,
    train: Data,
    validation: Data | None,
    views: Any,
) -> tuple[Carry, Array, Array]:
    """All carries after the chunk, the rows of the history, and who has a reason to go on.

    `carry` is the store's and is given up; the rest of the store is only read.
    """
    width = len(plan.columns(validation is not None))

    def member(one, until, data, held_out, views):
        parts = ingredients_of(recipe, one.leaves)
        parts = parts._replace(metrics={name: parts.metrics[name] for name in plan.metrics})
        rows, held_rows = _fold_of(views, one.which)
        begun = one.carry.epoch

        def going(loop):
            carry, _ = loop
            return (carry.epoch < until) & (carry.epoch - begun < LONGEST_CHUNK) & active(plan, parts, carry)

        def body(loop):
            carry, table = loop
            place = carry.epoch - begun
            carry, row = run_epoch(plan, parts, one.key, carry, data, held_out, rows, held_rows)
            return carry, lax.dynamic_update_index_in_dim(table, row, place, 0)

        table = jnp.full((LONGEST_CHUNK, width), jnp.nan, default_float())
        return lax.while_loop(going, body, (one.carry, table))

    def on_device(store, until, slots, counts, data, held_out, views):
        tables = jnp.full((until.shape[0], LONGEST_CHUNK, width), jnp.nan, default_float())

        def one(place, loop):
            carries, tables = loop
            now = store._replace(carry=carries)
            carry, table = member(jax.tree.map(lambda a: a[place], now), until[place], data, held_out, views)
            return jax.tree.map(lambda a, v: a.at[place].set(v), (carries, tables), (carry, table))

        def several(first, loop):
            carries, tables = loop
            lane = first + jnp.arange(lanes, dtype=jnp.int32)
            place = slots[jnp.minimum(lane, counts[0] - 1)]
            now = jax.tree.map(lambda a: a[place], store._replace(carry=carries))
            limit = jnp.where(lane < counts[0], until[place], jnp.int32(0))
            carry, table = jax.vmap(member, in_axes=(0, 0, None, None, None))(now, limit, data, held_out, views)
            out = jnp.where(lane < counts[0], place, jnp.int32(until.shape[0]))  # spare lanes write nowhere
            return jax.tree.map(
                lambda a, v: a.at[out].set(v, mode="drop"), (carries, tables), (carry, table)
            )  # fmt: skip

        if lanes == 1:
            turns, turn = counts[0], lambda i, loop: one(slots[i], loop)
        else:
            turns, turn = (counts[0] + lanes - 1) // lanes, lambda i, loop: several(i * lanes, loop)
        carries, tables = lax.fori_loop(0, turns, turn, (store.carry, tables))
        going = jax.vmap(lambda carry, leaves: active(plan, ingredients_of(recipe, leaves), carry))(
            carries, store.leaves
        )
        return carries, tables, going

    store = store._replace(carry=carry)
    return _sharded(mesh, on_device, 3, 4)(store, until, slots, counts, train, validation, views)


def _fold_of(views: Any, which: Array) -> tuple[Rows | None, Rows | None]:
    """The rows of one fold out of the tables of all."""
    if views is None:
        return None, None
    return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, which, 0, keepdims=False), views)


@functools.partial(jax.jit, static_argnames=("plan", "recipe", "mesh"))
def _finish(plan: Plan, recipe: Any, mesh: Mesh, carry: Carry, leaves: Any) -> dict[str, Any]:
    """How each member ended; the carry comes without its weights."""

    def one(carry, leaves):
        result = finish(plan, ingredients_of(recipe, leaves), carry, {})._asdict()
        return {name: result[name] for name in ("best_epoch", "epochs_run", "status", "diverged_step")}

    return _sharded(mesh, lambda carry, leaves: jax.vmap(one)(carry, leaves), 0, 2)(carry, leaves)


@functools.partial(  # runs a few times only: less optimization, compiled sooner
    jax.jit,
    static_argnames=("plan", "recipe", "mesh", "lanes"),
    compiler_options={"xla_backend_optimization_level": 1},
)
def _evaluate(
    plan: Plan,
    recipe: Any,
    mesh: Mesh,
    lanes: int,
    store: _Store,
    slots: Array,
    counts: Array,
    validation: Data,
    views: Any,
) -> Array:
    def member(one, held_out, views):
        parts = ingredients_of(recipe, one.leaves)
        _, rows = _fold_of(views, one.which)
        params, state = weights_of(one.carry)
        data = held_out if rows is None else rows_of(held_out, rows)
        size, dtype = plan.evaluation_batch_size, plan.compute_dtype
        figures = measure(parts, params, state, data, batch_size=size, compute_dtype=dtype)
        found = jnp.stack([jnp.asarray(v, default_float()) for v in figures])
        return jnp.where(one.carry.trained.guard.alive, found, jnp.nan)

    def on_device(store, slots, counts, held_out, views):
        if lanes > 1:
            return lax.map(lambda one: member(one, held_out, views), store, batch_size=lanes)

        def one(turn, table):
            place = slots[turn]
            return table.at[place].set(member(jax.tree.map(lambda a: a[place], store), held_out, views))

        table = jnp.full((slots.shape[0], 1 + len(plan.metrics)), jnp.nan, default_float())
        return lax.fori_loop(0, counts[0], one, table)

    return _sharded(mesh, on_device, 2, 3)(store, slots, counts, validation, views)
