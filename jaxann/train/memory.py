"""How much memory a population takes, told before it is trained, and into how many pieces it has to be cut.

    a device holds    data + members / devices (carry + hyperparameters + rows of the history) + members at once * work
    the host holds    the parameters and the history of all members

with `carry` everything a run hands from epoch to epoch (parameters, optimizer state, best weights), and `work` what
one member needs while it takes a step: the batch, everything computed on the way forward, gradients, updates. The
programs themselves are not counted.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.typing import Device
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, default_float, example_count, one_example
from jaxann.train.epoch import begin, row_width
from jaxann.train.grouping import Group, member_recipe
from jaxann.train.measure import evaluation_rows
from jaxann.train.members import LONGEST_CHUNK, at_once_on
from jaxann.train.objective import objective
from jaxann.train.processes import gathered

__all__ = ["Prediction", "available", "pieces", "predict_memory", "summary"]

_SHARE = 0.8  # of the memory that is free


class Prediction(NamedTuple):
    """Bytes a group of members will take, over all devices and the host."""

    total: int
    data: int  # copies of the data on each device
    member: int  # what one more member adds
    work: int  # what the members at work need besides


def _size_of(tree: Any) -> int:
    """Bytes of all arrays of a tree (or of their shapes)."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * (16 if _is_key(leaf) else np.dtype(leaf.dtype).itemsize) for leaf in leaves)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def predict_memory(
    group: Group, data: Any, devices: list[Device], members_at_once: int | str | None = None
) -> Prediction:
    """What training this group on these devices will take, from shapes alone; nothing is compiled.

    Args:
        group: the members.
        data: `(train, validation, rows)`: everything each device gets a copy of.
        devices: those of this process.
        members_at_once: on a device, as in `placement`.
    """
    members, recipe = -(-len(group.members) // jax.process_count()), group.recipe
    size = recipe.batch_size
    assert size is not None
    used = min(len(devices), members)
    places = -(-members // used)
    at_once = min(at_once_on(members_at_once, devices[0]) or places, places)
    (x, y, _), measured_on, *_ = data
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), group.leaves)
    key = jax.eval_shape(lambda: jax.random.key(0))
    spec, _ = as_trained(recipe, x, y)
    carry = jax.eval_shape(lambda v, k: begin(member_recipe(group.traced, v), k, spec), one, key)
    batch = as_trained(recipe, x, y, size)

    def forward(leaves, params, state, x, y, key):
        return objective(params, state, member_recipe(group.traced, leaves), Batch(x, y), key=key)

    trained = carry.trained
    steps = jax.make_jaxpr(forward)(one, trained.params, trained.state, *batch, key)
    onward = sum(_size_of([v.aval for v in equation.outvars]) for equation in steps.eqns)
    measured = 0
    if measured_on is not None:
        rows = min(evaluation_rows(x, size), example_count(measured_on.x))
        widest = sorted((_size_of([v.aval for v in equation.outvars]) for equation in steps.eqns), reverse=True)[:2]
        measured = rows * (sum(widest) // size + _size_of(batch) // size)
    table = LONGEST_CHUNK * row_width(recipe, carry, Batch(x, y), True) * jnp.dtype(default_float()).itemsize
    step = _size_of((one_example(x, size), one_example(y, size), batch)) + onward + 2 * _size_of(trained.params)
    work = at_once * used * (max(step, measured) + _size_of(carry) * (at_once > 1))
    member = _size_of(carry) + _size_of(one) + 2 * table + _size_of((trained.params, trained.state))
    copies = used * _size_of(list({id(leaf): leaf for leaf in jax.tree.leaves(data)}.values()))
    return Prediction(copies + places * used * member + work, copies, member, work)


def available(devices: list[Device]) -> int:
    """Bytes free on these devices together (CPU devices share the machine's memory)."""
    if devices[0].platform == "cpu":
        try:
            found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        except OSError:
            found = None
        return int(found[1]) * 1024 if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    known = [device.memory_stats() or {} for device in devices]
    return sum(stats.get("bytes_limit", 2**63) - stats.get("bytes_in_use", 0) for stats in known)


def pieces(
    group: Group, data: Any, budget: int | None, devices: list[Device], members_at_once: int | str | None = None
) -> list[Group]:
    """The group cut into as few equal pieces as fit into memory, at least one member each.

    Args:
        group, data, devices, members_at_once: as in `predict_memory`.
        budget: bytes; a share of what is free when None.
    """
    limit = int(_SHARE * available(devices)) if budget is None else budget
    limit = int(gathered(np.array([limit]), jax.process_count()).min())  # all processes have to cut alike
    count = 1
    while True:
        cuts = [_part(group, cut) for cut in np.array_split(np.arange(len(group.members)), count)]
        if len(cuts) == len(group.members) or predict_memory(cuts[0], data, devices, members_at_once).total <= limit:
            return cuts
        count = min(len(group.members), count + max(1, count // 4))


def _part(group: Group, places: np.ndarray) -> Group:
    return group._replace(
        leaves=jax.tree.map(lambda a: a[places], group.leaves),
        members=group.members[places],
        epochs=group.epochs[places],
    )


def summary(members: int, groups: list[Group], needs: list[Prediction], cuts: int, devices: list[Device]) -> str:
    """What is about to run, in a line: members, programs, devices, memory of the largest piece, pieces."""
    need = max(prediction.total for prediction in needs)
    text = f"{members} members, {len(groups)} program{'s' * (len(groups) > 1)}"
    text += (
        f", {len(devices)} {devices[0].platform} device{'s' * (len(devices) > 1)}, {need / 2**20:,.0f} MiB predicted"
    )
    return text + (f" in {cuts} pieces" if cuts > len(groups) else "")
