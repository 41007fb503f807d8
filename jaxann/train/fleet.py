"""A fleet: a population in training, its groups (crews) and processes behind one face.

What is built on it (whole populations, cross-validation, successive halving, population-based training) says who
trains up to which epoch and reads the history; where the members are, and who shares a program with whom, is its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.keys import pick_keys
from jaxann.core.typing import Device, Key
from jaxann.train.crew import LONGEST_CHUNK, Crew, Fold, on_all
from jaxann.train.epoch import Data
from jaxann.train.interrupts import held_interrupts
from jaxann.train.processes import gathered, share
from jaxann.train.recipes import Group

__all__ = ["Ended", "Fleet"]

CHUNK_SECONDS = 0.5  # how long Ctrl-C and the bar wait for a chunk
Watch = Callable[["Fleet"], None]


class Ended(NamedTuple):
    """What became of the members of a group, as numpy arrays with one entry a member."""

    params: Any
    state: Any
    best_epoch: np.ndarray
    epochs_run: np.ndarray
    status: np.ndarray
    diverged_step: np.ndarray


class Fleet:
    """A population in training.

    Args:
        groups: members that share a program.
        keys: of all members.
        train, validation: the data.
        fold: the rows of each member, one table for all or one for each group; `which` has an entry for every member.
        curves: whether the validation set is measured after every epoch; `evaluate` measures it in any case.
        devices: those of this process by default.
        lanes: members at once on a device.

    Attributes:
        numbers: int, the members it trains; arrays below have an entry for every number up to the highest.
        epoch: int `(members,)`, epochs done.
        going: bool `(members,)`, whether there is a reason to go on.
        columns: names of the history's columns.
        history: `(members, epochs, columns)`, NaN where there is nothing yet.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        keys: Key,
        train: Data,
        validation: Data | None,
        *,
        fold: Fold | Sequence[Fold] | None = None,
        curves: bool = True,
        devices: Sequence[Device] | None = None,
        lanes: int | str | None = None,
    ):
        self.groups = list(groups)
        self.numbers = np.concatenate([group.members for group in groups])
        devices = list(jax.local_devices() if devices is None else devices)
        self._shares, self._crews = [], []
        placed: dict[int, tuple[Data, Data | None]] = {}  # one copy for all crews on the same devices
        folds = [fold] * len(groups) if fold is None or isinstance(fold, Fold) else fold
        for group, own in zip(self.groups, folds, strict=True):
            mine = share(len(group.members))
            numbers = group.members[mine]
            part = group._replace(members=numbers, leaves=jax.tree.map(lambda a, m=mine: a[m], group.leaves))
            own = None if own is None else own._replace(which=own.which[numbers])
            used = devices[: min(len(devices), len(numbers))]
            if len(used) not in placed:
                placed[len(used)] = on_all(used, train, validation)
            self._shares.append(mine)
            self._crews.append(
                Crew(
                    part,
                    pick_keys(keys, numbers),
                    *placed[len(used)],
                    fold=own,
                    curves=curves,
                    devices=used,
                    lanes=lanes,
                )
            )
        self.columns = self._crews[0].columns
        highest = 1 + max(int(group.members.max()) for group in groups)
        self.epoch, self.going, self.wanted = np.zeros(highest, int), np.ones(highest, bool), np.zeros(highest, int)
        self.history = np.full((highest, 0, len(self.columns)), np.nan)
        self.interrupted = False

    def train(self, members: np.ndarray, until: np.ndarray, watch: Watch | None = None) -> None:
        """Train members up to the epochs `until` (one for each member), in chunks; `watch` is called after each.

        Ctrl-C ends it after the running chunk and sets `interrupted`.
        """
        wanted = np.zeros(len(self.epoch), int)
        wanted[members] = until
        self.wanted = np.maximum(self.wanted, wanted)
        for group, mine, crew in zip(self.groups, self._shares, self._crews, strict=True):
            numbers = group.members[mine]
            if not self.interrupted:
                self._train_crew(crew, numbers, wanted[numbers], watch)
        self._exchange()

    def _train_crew(self, crew: Crew, numbers: np.ndarray, wanted: np.ndarray, watch: Watch | None) -> None:
        chunk = crew.chunk
        with held_interrupts() as interrupted:
            while not interrupted():
                left = np.flatnonzero(crew.going & (crew.epoch < wanted))
                if not len(left):
                    return
                begun, before = time.perf_counter(), crew.epoch.copy()
                moved = crew.advance(left, np.minimum(wanted[left], crew.epoch[left] + chunk))
                seconds = time.perf_counter() - begun
                self._record(numbers, before, moved.epoch, moved.rows)
                self.epoch[numbers], self.going[numbers] = moved.epoch, moved.going
                if watch is not None:
                    watch(self)
                grown = chunk * CHUNK_SECONDS / max(seconds, 1e-6)  # the first chunk's time is mostly compilation
                chunk = crew.chunk = int(np.clip(grown, 1, LONGEST_CHUNK if chunk > 1 else 8))
        self.interrupted = bool((crew.going & (crew.epoch < wanted)).any())

    def _record(self, numbers: np.ndarray, before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> None:
        self._grow(int(after.max()))
        for member, start, end, new in zip(numbers, before, after, rows, strict=True):
            self.history[member, start:end] = new[: end - start]

    def _grow(self, longest: int) -> None:
        """Make room for so many epochs."""
        if longest > self.history.shape[1]:
            grown = np.full((len(self.history), max(longest, 2 * self.history.shape[1]), len(self.columns)), np.nan)
            grown[:, : self.history.shape[1]] = self.history
            self.history = grown

    def _exchange(self) -> None:
        """Let every process know what the others' members did."""
        if jax.process_count() == 1:
            return
        heard = gathered(np.array([[self.epoch.max(), self.interrupted]]), jax.process_count())
        longest, self.interrupted = int(heard[:, 0].max()), bool(heard[:, 1].any())
        self._grow(longest)
        for group, mine in zip(self.groups, self._shares, strict=True):
            numbers, size = group.members[mine], len(group.members)
            table = (self.epoch[numbers], self.going[numbers], self.history[numbers, :longest])
            epoch, going, history = gathered(table, size)
            self.epoch[group.members], self.going[group.members] = epoch, going
            self.history[group.members, :longest] = history

    def epochs_settled(self) -> int:
        """Epochs of all members that were run, or need not be since the member stopped."""
        return int(np.where(self.going, self.epoch, self.wanted)[self.numbers].sum())

    def column(self, name: str) -> np.ndarray:
        """One column of the history, `(members, epochs)`."""
        return self.history[:, : int(self.epoch.max(initial=0)), self.columns.index(name)]

    def evaluate(self, members: np.ndarray | None = None) -> np.ndarray:
        """`(members, 1 + metrics)`: validation loss and metrics of each member's weights (the best, where kept).

        NaN for members not asked for (all are, by default), and for one that diverged.
        """
        figures = None
        for group, mine, crew in zip(self.groups, self._shares, self._crews, strict=True):
            numbers = group.members[mine]
            asked = np.arange(len(numbers)) if members is None else np.flatnonzero(np.isin(numbers, members))
            found = gathered(crew.evaluate(asked), len(group.members))
            figures = np.full((len(self.epoch), found.shape[1]), np.nan) if figures is None else figures
            figures[group.members] = found
        assert figures is not None
        return figures

    def ended(self) -> list[Ended]:
        """What became of the members, group by group."""
        pairs = zip(self.groups, self._crews, strict=True)
        return [Ended(**gathered(crew.results(), len(group.members))) for group, crew in pairs]

    def release(self) -> None:
        """Give the devices' memory back; only the history and where the members stand are left."""
        self._crews = []

    def replace(self, source: np.ndarray, leaves: Sequence[Any]) -> None:
        """Each member goes on from the carry of member `source[i]` of its own group, with new hyper-parameters.

        Args:
            source: int `(members,)`.
            leaves: for each group, its stacked leaves, as `Group.leaves`.
        """
        self.groups = [g._replace(leaves=new) for g, new in zip(self.groups, leaves, strict=True)]
        for group, crew, new in zip(self.groups, self._crews, leaves, strict=True):
            place = {member: i for i, member in enumerate(group.members)}
            crew.replace(np.array([place[s] for s in source[group.members]]), new)
            self.epoch[group.members], self.going[group.members] = crew.epoch, crew.going
