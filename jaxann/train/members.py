"""The members of one structure in training, their carries on the devices, as a value that functions move on.

Members that have stopped are left out without compiling anything (side by side: one program for each power of two of
them), and when they leave the devices unequally loaded, the carries are dealt out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Split

from jaxann.core.keys import pick_keys
from jaxann.core.typing import Array, Device, Key
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, Rows, Spec
from jaxann.train.epoch import row_width, weights_of
from jaxann.train.grouping import Group
from jaxann.train.learned import data_to_learn_from
from jaxann.train.member_programs import AXIS, LONGEST_CHUNK, Store, advance, ended, evaluate, renew, start, take

__all__ = [
    "LONGEST_CHUNK",
    "Folds",
    "Members",
    "advance_members",
    "alive_members",
    "at_once_on",
    "evaluate_members",
    "member_results",
    "member_weights",
    "on_all",
    "replace_members",
    "restart_members",
    "start_members",
]


class Folds(NamedTuple):
    """The rows each member trains on and is validated on: tables with one row a fold, and each member's fold."""

    train: Rows  # index (folds, size), count (folds,) or None
    validation: Rows | None
    which: np.ndarray  # int32 (members,)


class Members(NamedTuple):
    """A group of members in training."""

    group: Group
    store: Store
    place: np.ndarray  # int (members,), each one's place in the store
    epoch: np.ndarray  # int (members,), epochs done in all
    going: np.ndarray  # bool (members,), whether there is a reason to go on
    mesh: Mesh
    slots: int  # places on a device
    at_once: int | None  # members a device trains at once; None for all of its own
    with_metrics: bool  # whether somebody reads the metrics of the training batches
    train: Batch
    validation: Batch | None
    watched: Batch | None  # what is measured after every epoch
    views: Any  # the tables of folds, on the devices

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the history's columns."""
        columns = self.group.recipe.columns(self.watched is not None)
        return columns if self.with_metrics else tuple(c for c in columns if c not in self.group.recipe.metrics)

    @property
    def width(self) -> int:
        """Numbers of a row of the history, those of probes too."""
        if not self.with_metrics or not self.group.recipe.probes:
            return len(self.columns)
        carry = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), self.store.carry)
        return row_width(self.group.recipe, carry, self.train, self.watched is not None)

    @property
    def devices(self) -> int:
        """How many devices they are on."""
        return self.mesh.devices.size

    @property
    def split(self) -> NamedSharding:
        """How arrays with an axis of members lie on the devices."""
        return NamedSharding(self.mesh, Split(AXIS))


def at_once_on(members_at_once: int | str | None, device: Device) -> int | None:
    """Members to train at once on a device, None for all of its own: by default one on a CPU core, else all."""
    if members_at_once is None:
        return 1 if device.platform == "cpu" else None
    return None if members_at_once == "all" else int(members_at_once)


def start_members(
    group: Group,
    keys: Key,
    train: Batch,
    validation: Batch | None,
    *,
    folds: Folds | None,
    every_epoch: bool,
    devices: Sequence[Device],
    members_at_once: int | str | None,
) -> Members:
    """The members of a group, spread over devices, no more of them than members; `on_all` puts the data there.

    Args:
        group: the members.
        keys: of these members.
        train, validation: the data, on the devices.
        folds: the rows of each member.
        every_epoch: whether the validation set and the metrics are measured after every epoch.
        devices, members_at_once: where, and how many at once on each.
    """
    size, count = len(group.members), len(devices)
    slots = -(-size // count)
    mesh = Mesh(np.array(devices), (AXIS,))
    views = None if folds is None else (folds.train, folds.validation)
    which = np.zeros(size, np.int32) if folds is None else np.asarray(folds.which, np.int32)
    place = _deal(np.arange(size), count, slots)
    source = np.zeros(count * slots, int)
    source[place] = np.arange(size)  # unused places hold a copy of member 0 and never run
    leaves, which = jax.tree.map(lambda a: a[source], (group.leaves, which))
    split = NamedSharding(mesh, Split(AXIS))
    leaves, key, which = jax.device_put((leaves, pick_keys(keys, source), which), split)
    spec, learned = Spec(as_trained(group.recipe, train.x, train.y)[0]), data_to_learn_from(group.recipe, train)
    carry = start(group.traced, mesh, spec, leaves, key, which, learned, None if learned is None else views)
    return Members(
        group=group,
        store=Store(carry, leaves, key, which),
        place=place,
        epoch=np.zeros(size, int),
        going=np.ones(size, bool),
        mesh=mesh,
        slots=slots,
        at_once=None if (chosen := at_once_on(members_at_once, devices[0])) is None else min(chosen, slots),
        with_metrics=every_epoch,
        train=train,
        validation=validation,
        watched=validation if every_epoch else None,
        views=jax.device_put(views, NamedSharding(mesh, Split())),
    )


def advance_members(members: Members, chosen: np.ndarray, until: np.ndarray) -> tuple[Members, np.ndarray]:
    """Run the chosen members up to the epochs of `until` (one for each), at most LONGEST_CHUNK of them.

    A member that has stopped or diverged stays where it is.

    Returns:
        The members, and the rows of the history `(members, epochs, columns)`, NaN where a member did not run.
    """
    members = _balanced(members, chosen)
    slots, counts = _tables(members, chosen)
    limit = np.zeros(members.devices * members.slots, np.int32)
    limit[members.place[chosen]] = until
    store = members.store
    carry, rows, going = advance(
        members.group.traced,
        members.mesh,
        members.at_once or min(members.slots, 1 << (int(counts.max()) - 1).bit_length()),
        members.with_metrics,
        store.carry,
        store._replace(carry=None),  # a buffer that is given up must not come in twice
        *jax.device_put((limit, slots, counts), members.split),
        members.train,
        members.watched,
        members.views,
    )
    epoch, going, rows = jax.device_get((carry.epoch, going, rows))
    place, before = members.place, members.epoch
    after = members._replace(store=store._replace(carry=carry), epoch=epoch[place], going=going[place])
    ran = int((after.epoch - before).max(initial=0))
    return after, rows[place, :ran]


def evaluate_members(members: Members, chosen: np.ndarray) -> np.ndarray:
    """`(members, 1 + metrics)`: validation loss and metrics of the chosen members' weights (the best, where kept).

    NaN for the other members, and for one that diverged.
    """
    assert members.validation is not None
    tables = jax.device_put(_tables(members, chosen), members.split)
    found = evaluate(
        members.group.traced,
        members.mesh,
        members.at_once or members.slots,
        members.store,
        *tables,
        members.validation,
        members.views,
    )
    figures = np.full((len(members.place), found.shape[1]), np.nan)
    figures[chosen] = np.asarray(found)[members.place[chosen]]
    return figures


def member_weights(members: Members, best: bool) -> tuple[Any, Any]:
    """Parameters and state as numpy arrays in the order of the members: the best, or those stepped with."""
    carry = members.store.carry
    weights = weights_of(carry) if best else (carry.trained.params, carry.trained.state)
    return jax.tree.map(lambda a: _on_host(a, members.place), weights)


def member_results(members: Members) -> tuple[Members, dict[str, Any]]:
    """Parameters, state and how each member ended, as numpy arrays in the order of the members.

    The members come back without their carries, which are given up so that their memory is free before the host's
    copies are made: they can train no more.
    """
    carry, leaves = members.store.carry, members.store.leaves
    trained, stop = carry.trained, carry.stop
    weights = weights_of(carry)
    bare = carry._replace(
        trained=trained._replace(params=(), state=(), optimizer=()),
        stop=stop._replace(best_weights=None),
        averaged=None,
    )
    how = ended(members.group.traced, members.mesh, bare, leaves)
    arrays, structure = jax.tree.flatten(dict(zip(("params", "state"), weights, strict=True)) | how)
    place = members.place
    members = members._replace(store=members.store._replace(carry=None))
    del carry, trained, stop, weights, bare, how
    found = []
    while arrays:
        found.append(_on_host(arrays.pop(0), place))
    return members, jax.tree.unflatten(structure, found)


def replace_members(members: Members, source: np.ndarray, leaves: Any) -> Members:
    """Member i goes on from the carry of member `source[i]`, with new hyperparameters; its key stays its own.

    The weights stay on the devices.
    """
    places = np.arange(members.devices * members.slots)
    places[members.place] = members.place[source]
    carry = take(members.split, members.store.carry, places)
    table = np.zeros(members.devices * members.slots, int)
    table[members.place] = np.arange(len(members.place))
    fresh = jax.device_put(jax.tree.map(lambda a: np.asarray(a)[table], leaves), members.split)
    return members._replace(
        store=members.store._replace(carry=carry, leaves=fresh),
        epoch=members.epoch[source],
        going=members.going[source],
    )


def alive_members(members: Members) -> np.ndarray:
    """bool `(members,)`: who has met nothing yet that is not finite."""
    return np.asarray(members.store.carry.trained.guard.alive)[members.place]


def restart_members(members: Members, chosen: np.ndarray, keys: Key) -> Members:
    """The chosen members begin again from fresh weights; keys are those of all of the group, new ones of the chosen."""
    table = np.zeros(members.devices * members.slots, int)
    table[members.place] = np.arange(len(members.place))
    again = np.zeros(len(table), bool)
    again[members.place[chosen]] = True
    store = members.store
    key, again = jax.device_put((pick_keys(keys, table), again), members.split)
    spec = Spec(as_trained(members.group.recipe, members.train.x, members.train.y)[0])
    learned = data_to_learn_from(members.group.recipe, members.train)
    views = None if learned is None else members.views
    fresh = start(members.group.traced, members.mesh, spec, store.leaves, key, store.fold, learned, views)
    epoch, going = members.epoch.copy(), members.going.copy()
    epoch[chosen], going[chosen] = 0, True
    return members._replace(
        store=store._replace(carry=renew(members.split, again, store.carry, fresh), key=key), epoch=epoch, going=going
    )


def on_all(devices: Sequence[Device], train: Batch, validation: Batch | None) -> tuple[Batch, Batch | None]:
    """The data on each of these devices; once, where both are the same."""
    shared = NamedSharding(Mesh(np.array(devices), (AXIS,)), Split())
    placed = jax.device_put(train, shared)
    return placed, placed if validation is train else jax.device_put(validation, shared)


def _tables(members: Members, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each device the places of its own that are to run, and how many they are."""
    slots = np.zeros((members.devices, members.slots), np.int32)
    counts = np.zeros(members.devices, np.int32)
    for place in np.sort(members.place[chosen]):
        device, slot = divmod(place, members.slots)
        slots[device, counts[device]] = slot
        counts[device] += 1
    return slots.reshape(-1), counts


def _balanced(members: Members, chosen: np.ndarray) -> Members:
    """The carries dealt out anew when some device has more of the chosen members than it needs to have."""
    loads = np.bincount(members.place[chosen] // members.slots, minlength=members.devices)
    if loads.max(initial=0) <= -(-len(chosen) // members.devices):
        return members
    size = len(members.place)
    place = np.empty(size, int)
    rest = np.setdiff1d(np.arange(size), chosen)
    place[np.concatenate([chosen, rest])] = _deal(np.arange(size), members.devices, members.slots)
    source = np.arange(members.devices * members.slots)
    source[place] = members.place
    return members._replace(store=take(members.split, members.store, source), place=place)


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
