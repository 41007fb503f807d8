"""Members in training as plain arrays in the order of the members, and members that go on from such arrays.

The arrays are bit for bit what training goes on from: weights, layer state, optimizer state, early stopping, keys. They
do not depend on the devices, so that another number of them may go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxann.train.members import Members

__all__ = ["arrays_of", "members_from", "put_in"]


def arrays_of(members: Members) -> dict[str, np.ndarray]:
    """From the name of a dtype to all numbers of that dtype, flat, leaf after leaf."""
    found: dict[str, list[np.ndarray]] = {}
    for leaf in jax.tree.leaves(_kept(members)):
        rows = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)[members.place]
        found.setdefault(rows.dtype.name, []).append(rows.reshape(-1))
    return {name: np.concatenate(several) for name, several in found.items()}


def members_from(members: Members, arrays: Mapping[str, np.ndarray], epoch: np.ndarray, going: np.ndarray) -> Members:
    """Members of the same structure that stand where `arrays_of` was taken.

    Args:
        members: as they begin.
        arrays: from `arrays_of`.
        epoch, going: of these members, at that time.

    Raises:
        ValueError: the arrays are of members of another structure.
    """
    source = np.zeros(members.devices * members.slots, int)
    source[members.place] = np.arange(len(members.place))  # unused places hold a copy of member 0, as in the beginning
    taken = dict.fromkeys(arrays, 0)

    def restored(leaf: Any) -> Any:
        data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        shape, name = (len(members.place), *data.shape[1:]), data.dtype.name
        begin, size = taken.get(name, 0), int(np.prod(shape))
        flat = arrays.get(name)
        if flat is None or flat.ndim != 1 or flat.dtype.name != name or begin + size > flat.size:
            raise ValueError("arrays of other members")
        taken[name] = begin + size
        rows = jax.device_put(flat[begin : begin + size].reshape(shape)[source], members.split)
        return jax.random.wrap_key_data(rows, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else rows

    carry, key = jax.tree.map(restored, _kept(members))
    if any(taken[name] != array.size for name, array in arrays.items()):
        raise ValueError("arrays of other members")
    return members._replace(store=members.store._replace(carry=carry, key=key), epoch=epoch.copy(), going=going.copy())


def put_in(place: np.ndarray, array: np.ndarray) -> None:
    """Put an array in the place of one of the same shape and kind; nothing is broadcast.

    Raises:
        ValueError: it is of another one.
    """
    if array.shape != place.shape or array.dtype.kind != place.dtype.kind:
        raise ValueError("an array of other members")
    place[...] = array


def _kept(members: Members) -> Any:
    return members.store.carry, members.store.key


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
