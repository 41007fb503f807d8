"""How much memory a population takes, told before it is trained, and into how many pieces it has to be cut.

    a device holds    data + members / devices (carry + hyper-parameters + rows of the history) + lanes work
    the host holds    the parameters and the history of all members

with `carry` everything a run hands from epoch to epoch (parameters, optimizer memory, best weights), and `work` what
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
from jaxann.train.crew import LONGEST_CHUNK, lanes_of
from jaxann.train.epoch import begin
from jaxann.train.objective import objective
from jaxann.train.plan import default_float
from jaxann.train.processes import gathered
from jaxann.train.recipes import Group, ingredients_of

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


def predict_memory(group: Group, data: Any, devices: list[Device], lanes: int | str | None = None) -> Prediction:
    """What training this group on these devices will take, from shapes alone; nothing is compiled.

    Args:
        group: the members.
        data: `(train, validation, rows)`: everything each device gets a copy of.
        devices: those of this process.
        lanes: members at once on a device, as in `fit_population`.
    """
    members, plan = -(-len(group.members) // jax.process_count()), group.plan
    used = min(len(devices), members)
    places = -(-members // used)
    lanes = min(lanes_of(lanes, devices[0]) or places, places)
    (x, y, _), held_out, *_ = data
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), group.leaves)
    key = jax.eval_shape(lambda: jax.random.key(0))
    spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    carry = jax.eval_shape(lambda v, k: begin(plan, ingredients_of(group.recipe, v), k, spec), one, key)
    batch = tuple(jax.ShapeDtypeStruct((plan.batch_size, *a.shape[1:]), a.dtype) for a in (x, y))

    def forward(leaves, params, state, x, y, key):
        parts = ingredients_of(group.recipe, leaves)
        return objective(params, state, parts, (x, y, None), key=key)

    trained = carry.trained
    steps = jax.make_jaxpr(forward)(one, trained.params, trained.state, *batch, key)
    onward = sum(_size_of([v.aval for v in equation.outvars]) for equation in steps.eqns)
    measured = 0
    if held_out is not None:
        rows = min(plan.evaluation_batch_size, held_out[0].shape[0])
        widest = sorted((_size_of([v.aval for v in equation.outvars]) for equation in steps.eqns), reverse=True)[:2]
        measured = rows * (sum(widest) // plan.batch_size + _size_of(batch) // plan.batch_size)
    table = LONGEST_CHUNK * len(plan.columns(True)) * jnp.dtype(default_float()).itemsize
    step = _size_of(batch) + onward + 2 * _size_of(trained.params)
    work = lanes * used * (max(step, measured) + _size_of(carry) * (lanes > 1))
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
    group: Group, data: Any, budget: int | None, devices: list[Device], lanes: int | str | None = None
) -> list[Group]:
    """The group cut into as few equal pieces as fit into memory, at least one member each.

    Args:
        group, data, devices, lanes: as in `predict_memory`.
        budget: bytes; a share of what is free when None.
    """
    limit = int(_SHARE * available(devices)) if budget is None else budget
    limit = int(gathered(np.array([limit]), jax.process_count()).min())  # all processes have to cut alike
    count = 1
    while True:
        cuts = [_part(group, cut) for cut in np.array_split(np.arange(len(group.members)), count)]
        if len(cuts) == len(group.members) or predict_memory(cuts[0], data, devices, lanes).total <= limit:
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
