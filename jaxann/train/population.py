"""Populations: many trainings in one program, each with its own seed, numbers and data.

Members of one structure are stacked and share a program (`recipes`), are spread over all devices and left out when
they stop (`crew`), and are handled as one whatever their structure (`fleet`). A member's result is that of its own
single run: the same shuffles, early stopping, best weights, finite guard and history.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.errors import DivergedWarning
from jaxann.core.products import Augment, Layer, Penalty
from jaxann.core.typing import Device, Key, Params, Scalar, State
from jaxann.train.fleet import Ended, Fleet
from jaxann.train.memory import pieces, predict_memory, summary
from jaxann.train.population_data import check_keys, check_lanes, joined, prepared, some_devices
from jaxann.train.predict_members import predict_members
from jaxann.train.progress import population_bar
from jaxann.train.recipes import Group, as_columns, group_members, setting_of
from jaxann.train.run import Result, Status

__all__ = ["Population", "assembled", "fit_population", "warn_diverged"]


@dataclass(frozen=True, eq=False)
class Population:
    """What `fit_population` returns: every member's result, with the members on the leading axis.

    Attributes:
        build, hypers, keys: what the members were made of; `hypers` holds one column a hyper-parameter.
        history: name to `(members, epochs)`, NaN for epochs a member did not run.
        best_epoch, epochs_run, diverged_step: int `(members,)`, as in `Result`.
        status: int `(members,)`, see `Status`.
        groups: the members of equal structure, with their stacked parameters and states.
    """

    build: Callable
    hypers: dict[str, list]
    keys: Key
    history: dict[str, np.ndarray]
    best_epoch: np.ndarray
    epochs_run: np.ndarray
    status: np.ndarray
    diverged_step: np.ndarray
    groups: tuple[tuple[Group, Params, State], ...]

    def __len__(self) -> int:
        return len(self.status)

    @property
    def params(self) -> Params:
        """All parameters stacked, leading axis: members.

        Raises:
            InputError: members differ in structure; then see `member` or `groups`.
        """
        return self._only("params")[1]

    @property
    def state(self) -> State:
        """All layer states stacked, leading axis: members; raises as `params`."""
        return self._only("state")[2]

    def _only(self, name: str) -> tuple[Group, Params, State]:
        if len(self.groups) != 1:
            hint = "population.member(i) has one member's; population.groups has them by structure."
            fail("Population", name, "of one structure to be stacked", f" {len(self.groups)} structures", hint=hint)
        return self.groups[0]

    def setting(self, member: int) -> dict[str, Any]:
        """One member's hyper-parameters."""
        return setting_of(self.hypers, self._number(member))

    def model(self, member: int) -> Layer:
        """One member's model."""
        return self.build(self.setting(member))[0]

    def member(self, member: int) -> Result:
        """One member's result, as `fit` returns it (without what `resume` needs).

        Raises:
            InputError: there is no such member.
        """
        number = self._number(member)
        group, params, state = next(g for g in self.groups if number in g[0].members)
        place = int(np.flatnonzero(group.members == number)[0])
        ran = int(self.epochs_run[number])
        params, state = jax.tree.map(lambda a: a[place], (params, state))
        return Result(
            params,
            state,
            {name: np.ascontiguousarray(values[number, :ran]) for name, values in self.history.items()},
            int(self.best_epoch[number]),
            ran,
            Status(int(self.status[number])),
            int(self.diverged_step[number]),
        )

    def scores(self, name: str) -> np.ndarray:
        """`(members,)`: a column of the history at the epoch of the returned weights.

        That is the best epoch where best weights are restored (by default with `patience`), else the last.

        Raises:
            InputError: the history has no such column.
        """
        check_choice("Population.scores", "name", name, self.history)
        rows = np.arange(len(self))
        restored = np.zeros(len(self), bool)
        for group, _, _ in self.groups:
            restored[group.members] = group.plan.restore_best
        best = restored & (self.best_epoch >= 0)
        kept = np.where(best, self.best_epoch, np.maximum(self.epochs_run - 1, 0))
        table = self.history[name]
        return table[rows, kept] if table.shape[1] else np.full(len(self), np.nan)

    def predict(self, x: Any, *, batch_size: int = 1024) -> np.ndarray:
        """`(members, rows, ...outputs)`: every member's output for each row of x, in evaluation mode.

        See `train.classify` and `train.regress` for the mean and the spread of these. Members have to have outputs of
        equal shape; their inner structure may differ.

        Raises:
            InputError: x is not finite or has other features than in training, or outputs differ in shape.
        """
        return predict_members(self.groups, len(self), x, batch_size)

    def _number(self, member: int) -> int:
        if isinstance(member, bool) or not -len(self) <= member < len(self):
            fail("Population", "member", f"in 0..{len(self) - 1}", member)
        return int(member) % len(self)


def fit_population(
    build: Callable[[dict[str, Any]], tuple],
    hypers: Mapping[str, Any],
    train: Any,
    *,
    keys: Key,
    epochs: int,
    batch_size: int | None = None,
    validation: Any = None,
    dataset: Sequence[int] | None = None,
    metrics: Mapping[str, Any] | None = None,
    patience: Scalar | None = None,
    min_delta: Scalar = 0.0,
    monitor: str = "validation_loss",
    mode: str = "min",
    restore_best: bool | None = None,
    shuffle: bool = True,
    evaluation_batch_size: int = 2048,
    compute_dtype: str | None = None,
    on_nonfinite: str = "stop",
    penalty: Penalty | None = None,
    augment: Augment | tuple[Augment, ...] = (),
    devices: Sequence[Device] | None = None,
    lanes: int | str | None = None,
    memory: int | None = None,
    progress: bool = False,
) -> Population:
    """Train a population: one run for each key, each with its own settings, in one program for each structure.

        def build(hyper):
            return ja.models.mlp((100, 10)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(hyper["learning_rate"])

        population = fit_population(build, {"learning_rate": rates}, (x, y), keys=jax.random.split(key, 100), epochs=50)

    Numbers (rates, decays, dropout, schedule constants, seeds) share a program. Settings that change shapes (a width,
    an activation, a batch size) are grouped, one compilation a group. Members are spread over all local devices; make
    each core of a CPU a device with `ja.setup()` before JAX starts. Members that stop early are left out from the next
    chunk on; one that diverges stops alone and leaves the others' bits as they are. Under `jax.distributed` each
    process trains its share and all return the whole population; all must call with the same arguments.

    Args:
        build: `hyper -> (model, loss, optimizer)`, hyper a dict of one member's settings; a fourth part may be a dict
            of settings of the run that this member has to itself: `batch_size`, `patience`, `min_delta`, `epochs`,
            `penalty`, `augment`. Called once a member with Python values; where its functions are new at every call,
            called with traced floats instead.
        hypers: name to one value a member; `{}` for members that differ in their keys only.
        train: `(x, y)` or `(x, y, weights)` for all members; or a list of such data sets of equal shape.
        keys: `(members,)` typed keys, `jax.random.split(jax.random.key(0), members)`.
        epochs, batch_size, validation, metrics, patience, min_delta, monitor, mode, restore_best, shuffle,
            evaluation_batch_size, compute_dtype, penalty, augment: as in `fit`; `validation` a list where `train` is
            one.
        dataset: for a list of data sets, the number of each member's.
        on_nonfinite: "stop" the member at its last good weights, or "skip" the step and stop after 10 in a row.
        devices: all local ones by default.
        lanes: members a device trains at once, or "all" of its own; 1 on a CPU device and "all" on an accelerator by
            default.
        memory: bytes that may be used; 80 % of what is free by default. A population that needs more is trained in
            pieces, one after the other.
        progress: whether to print the predicted memory and draw a bar.

    Returns:
        Population.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are; before anything is compiled.
    """
    check_integer("fit_population", "epochs", epochs, 0)
    check_choice("fit_population", "on_nonfinite", on_nonfinite, ("stop", "skip"))
    check_lanes("fit_population", lanes)
    if memory is not None:
        check_integer("fit_population", "memory", memory)
    members = check_keys("fit_population", keys)
    columns = as_columns("fit_population", hypers, members)
    data, held_out, fold = joined("fit_population", train, validation, dataset, members)
    examples = [data[0].shape[0] if fold is None else fold.train.index.shape[1]] * members
    groups = group_members(
        "fit_population",
        build,
        columns,
        members,
        epochs=epochs,
        examples=examples,
        batch_size=batch_size,
        metrics=metrics,
        patience=patience,
        min_delta=min_delta,
        monitor=monitor,
        mode=mode,
        restore_best=restore_best,
        shuffle=shuffle,
        evaluation_batch_size=evaluation_batch_size,
        compute_dtype=compute_dtype,
        most_bad=1 if on_nonfinite == "stop" else 10,
        penalty=penalty,
        augment=augment,
    )
    data, held_out = prepared("fit_population", groups, keys, data, held_out)
    devices = some_devices("fit_population", devices)
    shared = (data, held_out, fold)
    cut = [part for group in groups for part in pieces(group, shared, memory, devices, lanes)]
    needs = [predict_memory(part, shared, devices, lanes) for part in cut]
    total = sum(int(group.epochs.sum()) for group in groups)
    kept = []
    with population_bar(progress, members=members, epochs=total, monitor=monitor, mode=mode) as bar:
        bar.say(summary(members, groups, needs, len(cut), devices))
        for part in cut:
            fleet = Fleet([part], keys, data, held_out, fold=fold, devices=devices, lanes=lanes)
            fleet.interrupted = bool(kept) and kept[-1][0].interrupted
            fleet.train(part.members, part.epochs, bar.watch)
            kept.append((fleet, fleet.ended()))
            fleet.release()
    population = assembled(build, columns, keys, groups, kept)
    warn_diverged("fit_population", population.status == Status.DIVERGED)
    skipped = np.flatnonzero((population.diverged_step >= 0) & (population.status != Status.DIVERGED))
    if len(skipped):
        message = f"fit_population: {len(skipped)} of {members} members skipped steps that were not finite, the first"
        warnings.warn(f"{message} of them member {skipped[0]}.", DivergedWarning, stacklevel=2)
    return population


def assembled(
    build: Callable,
    columns: dict[str, list],
    keys: Key,
    groups: Sequence[Group],
    kept: Sequence[tuple[Fleet, list[Ended]]],
) -> Population:
    """One population of the fleets it was trained in; a group may be cut among several."""
    members = keys.shape[0]
    whole = {name: np.zeros(members, int) for name in ("best_epoch", "epochs_run", "status", "diverged_step")}
    longest = max(int(fleet.epoch.max(initial=0)) for fleet, _ in kept)
    names = kept[0][0].columns
    history = np.full((members, longest, len(names)), np.nan)
    parts: list[tuple[Group, Ended]] = []
    for fleet, ends in kept:
        ran = int(fleet.epoch.max(initial=0))
        for part, ended in zip(fleet.groups, ends, strict=True):
            for name, column in whole.items():
                column[part.members] = getattr(ended, name)
            if fleet.interrupted:
                broken = fleet.going[part.members] & (ended.epochs_run < part.epochs)
                whole["status"][part.members[broken]] = Status.INTERRUPTED
            history[part.members, :ran] = fleet.history[part.members, :ran]
            parts.append((part, ended))
    weights = []
    for group in groups:
        mine = [(ended.params, ended.state) for part, ended in parts if part.members[0] in group.members]
        stacked = jax.tree.map(lambda *a: jax.device_put(a[0] if len(a) == 1 else np.concatenate(a)), *mine)
        weights.append((group, *stacked))
    table = {name: history[:, :, i] for i, name in enumerate(names)}
    return Population(build, columns, keys, table, **whole, groups=tuple(weights))


def warn_diverged(function: str, diverged: np.ndarray) -> None:
    """One warning for all members that met a loss or gradient that is not finite."""
    bad = np.flatnonzero(diverged)
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        message = f"{function}: {len(bad)} of {len(diverged)} members stopped at a loss or gradient that is not finite"
        warnings.warn(f"{message}, with their last good weights: {shown}.", DivergedWarning, stacklevel=3)
