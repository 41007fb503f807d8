"""The trainer of a population: its groups and processes behind one face, and the one object here that changes.

What is built on it (whole populations, cross-validation, successive halving, population-based training) says who
trains up to which epoch and reads the history; where the members are, and who shares a program with whom, is its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.keys import pick_keys
from jaxann.core.programs import reserve
from jaxann.core.typing import Device, Key
from jaxann.train.batches import Batch
from jaxann.train.grouping import Group
from jaxann.train.interrupts import held_interrupts
from jaxann.train.members import (
    LONGEST_CHUNK,
    Folds,
    advance_members,
    alive_members,
    evaluate_members,
    member_results,
    member_weights,
    on_all,
    replace_members,
    restart_members,
    start_members,
)
from jaxann.train.observers import Moment
from jaxann.train.probing import history_of
from jaxann.train.processes import gathered, share
from jaxann.train.snapshots import arrays_of, members_from, put_in

__all__ = ["Ended", "PopulationTrainer"]

_CHUNK_SECONDS = 0.5  # how long Ctrl-C and the observers wait for a chunk
Watch = Callable[[Moment], bool]


class Ended(NamedTuple):
    """What became of the members of a group, as numpy arrays with one entry a member."""

    params: Any
    state: Any
    best_epoch: np.ndarray
    epochs_run: np.ndarray
    status: np.ndarray
    diverged_step: np.ndarray


class PopulationTrainer:
    """A population in training.

    Args:
        groups: members that share a program.
        keys: of all members.
        train, validation: the data.
        folds: the rows of each member, one table for all or one for each group; `which` has an entry for every member.
        every_epoch: whether the validation set is measured after every epoch; `evaluate` measures it in any case.
        devices: those of this process by default.
        members_at_once: on a device.

    Attributes:
        numbers: int, the members it trains; arrays below have an entry for every number up to the highest.
        epoch: int `(members,)`, epochs done.
        going: bool `(members,)`, whether there is a reason to go on.
        expected: int `(members,)`, the epochs each will have run in the end, as far as is known.
        columns: names of the history's columns.
        history: `(members, epochs, columns)`, NaN where there is nothing yet; figures of probes come after the columns,
            those of fewer layers than other members have with NaN behind.
        interrupted: whether Ctrl-C or an observer ended it.
        stopped: whether it was an observer.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        keys: Key,
        train: Batch,
        validation: Batch | None,
        *,
        folds: Folds | Sequence[Folds] | None = None,
        every_epoch: bool = True,
        devices: Sequence[Device] | None = None,
        members_at_once: int | str | None = None,
    ):
        self.groups = list(groups)
        reserve(self, len(self.groups))  # each group comes back after all the others
        self.numbers = np.concatenate([group.members for group in groups])
        devices = list(jax.local_devices() if devices is None else devices)
        self._shares, self._members, self._chunks = [], [], [1] * len(groups)
        placed: dict[int, tuple[Batch, Batch | None]] = {}  # one copy for all groups on the same devices
        tables = [folds] * len(groups) if folds is None or isinstance(folds, Folds) else folds
        for group, own in zip(self.groups, tables, strict=True):
            mine = share(len(group.members))
            numbers = group.members[mine]
            part = group._replace(members=numbers, leaves=jax.tree.map(lambda a, m=mine: a[m], group.leaves))
            own = None if own is None else own._replace(which=own.which[numbers])
            used = devices[: min(len(devices), len(numbers))]
            if len(used) not in placed:
                placed[len(used)] = on_all(used, train, validation)
            begun = start_members(
                part,
                pick_keys(keys, numbers),
                *placed[len(used)],
                folds=own,
                every_epoch=every_epoch,
                devices=used,
                members_at_once=members_at_once,
            )
            self._shares.append(mine)
            self._members.append(begun)
        self.columns = self._members[0].columns
        highest = 1 + max(int(group.members.max()) for group in groups)
        self.epoch, self.going, self.expected = np.zeros(highest, int), np.ones(highest, bool), np.zeros(highest, int)
        for group in self.groups:
            self.expected[group.members] = group.epochs
        self.history = np.full((highest, 0, max(members.width for members in self._members)), np.nan)
        self.interrupted = self.stopped = self.pressed = False

    def train(self, members: np.ndarray, until: np.ndarray, observe: Watch | None = None) -> None:
        """Train members up to the epochs `until` (one for each member), in chunks; `observe` is called after each.

        Ctrl-C, or an observer, ends it after the running chunk and sets `interrupted` (an observer `stopped` too).
        """
        wanted = np.zeros(len(self.epoch), int)
        wanted[members] = until
        with held_interrupts() as interrupted:
            for number in range(len(self.groups)):
                if not self.interrupted:
                    self._train_group(number, wanted, observe)
        self.pressed = interrupted()
        self._exchange()

    def _train_group(self, number: int, wanted: np.ndarray, observe: Watch | None) -> None:
        numbers = self.groups[number].members[self._shares[number]]
        limit, ended = wanted[numbers], False
        with held_interrupts() as interrupted:
            while not (ended or interrupted()):
                members, chunk = self._members[number], self._chunks[number]
                left = np.flatnonzero(members.going & (members.epoch < limit))
                if not len(left):
                    return
                begun, before = time.perf_counter(), members.epoch
                until = np.minimum(limit[left], before[left] + chunk)
                members, rows = advance_members(members, left, until)
                self._members[number] = members
                seconds = time.perf_counter() - begun
                self._record(numbers, before, members.epoch, rows)
                self.epoch[numbers], self.going[numbers] = members.epoch, members.going
                if observe is not None:
                    ended = observe(self._moment(numbers, rows))
                grown = chunk * _CHUNK_SECONDS / max(seconds, 1e-6)  # the first chunk's time is mostly compilation
                self._chunks[number] = int(np.clip(grown, 1, LONGEST_CHUNK if chunk > 1 else 8))
        members = self._members[number]
        self.interrupted = bool((members.going & (members.epoch < limit)).any())
        self.stopped = self.interrupted and ended

    def _moment(self, numbers: np.ndarray, rows: np.ndarray) -> Moment:
        table = np.full((len(self.epoch), *rows.shape[1:]), np.nan)
        table[numbers] = rows
        named = history_of(self.columns, table)
        return Moment(self.epoch.copy(), self.expected.copy(), named, self.going.copy(), self._weights)

    def _weights(self, best: bool) -> tuple[Any, Any]:
        if len(self._members) != 1:
            got = f" {len(self._members)} structures"
            fail("Moment.weights", "the population", "of one structure to be stacked", got)
        return member_weights(self._members[0], best)

    def _record(self, numbers: np.ndarray, before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> None:
        self._grow(int(after.max()))
        for member, start, end, new in zip(numbers, before, after, rows, strict=True):
            self.history[member, start:end, : new.shape[-1]] = new[: end - start]

    def _grow(self, longest: int) -> None:
        """Make room for so many epochs."""
        if longest > self.history.shape[1]:
            grown = np.full((len(self.history), max(longest, 2 * self.history.shape[1]), self.history.shape[2]), np.nan)
            grown[:, : self.history.shape[1]] = self.history
            self.history = grown

    def _exchange(self) -> None:
        """Let every process know what the others' members did."""
        if jax.process_count() == 1:
            return
        told = [self.epoch.max(), self.interrupted, self.stopped, self.pressed]
        heard = gathered(np.array([told]), jax.process_count())
        longest = int(heard[:, 0].max())
        self.interrupted, self.stopped, self.pressed = map(bool, heard[:, 1:].any(0))
        self._grow(longest)
        for group, mine in zip(self.groups, self._shares, strict=True):
            numbers, size = group.members[mine], len(group.members)
            table = (self.epoch[numbers], self.going[numbers], self.history[numbers, :longest])
            epoch, going, history = gathered(table, size)
            self.epoch[group.members], self.going[group.members] = epoch, going
            self.history[group.members, :longest] = history

    def column(self, name: str) -> np.ndarray:
        """One column of the history, `(members, epochs)`."""
        return self.history[:, : int(self.epoch.max(initial=0)), self.columns.index(name)]

    def evaluate(self, members: np.ndarray | None = None) -> np.ndarray:
        """`(members, 1 + metrics)`: validation loss and metrics of each member's weights (the best, where kept).

        NaN for members not asked for (all are, by default), and for one that diverged.
        """
        figures = None
        for group, mine, own in zip(self.groups, self._shares, self._members, strict=True):
            numbers = group.members[mine]
            asked = np.arange(len(numbers)) if members is None else np.flatnonzero(np.isin(numbers, members))
            found = gathered(evaluate_members(own, asked), len(group.members))
            figures = np.full((len(self.epoch), found.shape[1]), np.nan) if figures is None else figures
            figures[group.members] = found
        assert figures is not None
        return figures

    def diverged(self) -> np.ndarray:
        """bool `(members,)`: who met something that is not finite."""
        found = np.zeros(len(self.epoch), bool)
        for group, own in zip(self.groups, self._members, strict=True):
            found[group.members] = ~gathered(alive_members(own), len(group.members))
        return found

    def restart(self, members: np.ndarray, keys: Key) -> None:
        """Some members begin again, with fresh weights; `keys` are those of all members, new ones of these."""
        for number, (group, mine) in enumerate(zip(self.groups, self._shares, strict=True)):
            numbers = group.members[mine]
            chosen = np.flatnonzero(np.isin(numbers, members))
            if len(chosen):
                self._members[number] = restart_members(self._members[number], chosen, pick_keys(keys, numbers))
        self.epoch[members], self.going[members], self.history[members] = 0, True, np.nan

    def ended(self) -> list[Ended]:
        """What became of the members, group by group; afterwards they can train no more."""
        found = []
        for number, group in enumerate(self.groups):
            self._members[number], results = member_results(self._members[number])
            found.append(Ended(**gathered(results, len(group.members))))
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Where all members stand, as arrays of this process that `restore` goes on from."""
        found = {
            "epoch": self.epoch,
            "member_going": self.going,
            "history": self.history[:, : self.epoch.max(initial=0)],
        }
        for number, own in enumerate(self._members):
            found |= {f"group{number}.{name}": array for name, array in arrays_of(own).items()}
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put all members where they stood when `arrays` were taken.

        Raises:
            KeyError, ValueError: the arrays are of other members.
        """
        history = arrays["history"]
        if history.dtype.kind != "f" or history.ndim != 3 or history.shape[::2] != self.history.shape[::2]:
            raise ValueError("the history of other members")
        put_in(self.epoch, arrays["epoch"])
        put_in(self.going, arrays["member_going"])
        self._grow(history.shape[1])
        self.history[:] = np.nan
        self.history[:, : history.shape[1]] = history
        for number, (group, own) in enumerate(zip(self.groups, self._members, strict=True)):
            start = f"group{number}."
            mine = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            self._members[number] = members_from(own, mine, self.epoch[group.members], self.going[group.members])

    def release(self) -> None:
        """Give the devices' memory back; only the history and where the members stand are left."""
        self._members = []

    def replace(self, source: np.ndarray, leaves: Sequence[Any]) -> None:
        """Each member goes on from the carry of member `source[i]` of its own group, with new hyperparameters.

        Args:
            source: int `(members,)`.
            leaves: for each group, its stacked leaves, as `Group.leaves`.
        """
        self.groups = [g._replace(leaves=new) for g, new in zip(self.groups, leaves, strict=True)]
        for number, (group, new) in enumerate(zip(self.groups, leaves, strict=True)):
            place = {member: i for i, member in enumerate(group.members)}
            own = replace_members(self._members[number], np.array([place[s] for s in source[group.members]]), new)
            self._members[number] = own
            self.epoch[group.members], self.going[group.members] = own.epoch, own.going
