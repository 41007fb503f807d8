"""Populations: many trainings in one program, each with its own seed, numbers and data.

Members of one structure are stacked and share a program (`grouping`), are spread over all devices and left out when
they stop (`members`), and are handled as one whatever their structure (`trainer`). A member's result is that of its own
single run: the same shuffles, early stopping, best weights, finite guard and history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_flag, fail
from jaxann.core.errors import DivergedWarning
from jaxann.core.keys import pick_keys
from jaxann.core.notices import notify
from jaxann.core.programs import hands_over
from jaxann.core.typing import Inputs, Key, Params, State
from jaxann.train.batches import example_count
from jaxann.train.grouping import Build, Group, as_columns, group_members, values_of
from jaxann.train.memory import pieces, predict_memory, summary
from jaxann.train.observers import Observer, check_observers, observing
from jaxann.train.placement import Placement, placed_on
from jaxann.train.population_data import check_keys, join_sets
from jaxann.train.predict_members import predict_members
from jaxann.train.prepare import prepare_data
from jaxann.train.probing import history_of
from jaxann.train.progress import population_bar
from jaxann.train.recipe import Recipe
from jaxann.train.run import Result, Status
from jaxann.train.targets import check_counted
from jaxann.train.trainer import Ended, PopulationTrainer

__all__ = ["Population", "assembled", "fit_population", "warn_diverged"]


@dataclass(frozen=True, eq=False)
class Population:
    """What `fit_population` returns: every member's result, with the members on the leading axis.

    Attributes:
        build, hyperparameters, keys: what the members were made of; `hyperparameters` holds a column for each name.
        history: name to `(members, epochs)`, NaN for epochs a member did not run; of probes `(members, epochs,
            layers)`, NaN behind the layers of a member that has fewer than others.
        best_epoch, epochs_run, diverged_step: int `(members,)`, as in `Result`.
        status: int `(members,)`, see `Status`.
        groups: the members of equal structure, with their stacked parameters and states.
    """

    build: Build
    hyperparameters: dict[str, list]
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
        """One member's hyperparameters."""
        return values_of(self.hyperparameters, self._number(member))

    def recipe(self, member: int) -> Recipe:
        """One member's recipe."""
        return self.build(self.setting(member))

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

        That is the best epoch where best weights are restored, else the last.

        Raises:
            InputError: the history has no such column.
        """
        check_choice("Population.scores", "name", name, self.history)
        rows = np.arange(len(self))
        restored = np.zeros(len(self), bool)
        for group, _, _ in self.groups:
            restored[group.members] = group.recipe.restores_best
        best = restored & (self.best_epoch >= 0)
        kept = np.where(best, self.best_epoch, np.maximum(self.epochs_run - 1, 0))
        table = self.history[name]
        return table[rows, kept] if table.shape[1] else np.full(len(self), np.nan)

    @hands_over
    def predict(self, x: Inputs, *, batch_size: int = 1024) -> Any:
        """`(members, rows, ...)`: every member's output for each row of x, in evaluation mode.

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


@hands_over
def fit_population(
    build: Build,
    hyperparameters: Mapping[str, Sequence | np.ndarray | jax.Array],
    train: tuple | list[tuple],
    *,
    keys: Key,
    epochs: int | None = None,
    batch_size: int | None = None,
    validation: tuple | list[tuple] | None = None,
    dataset: Sequence[int] | None = None,
    placement: Placement | None = None,
    observers: Observer | Sequence[Observer] = (),
    progress: bool = False,
) -> Population:
    """Train a population: one run for each key, each with its own numbers, in one program for each structure.

        def build(hyper):
            optimizer = ja.optimizers.adam(hyper["learning_rate"])
            return ja.recipe(ja.models.mlp((100, 10)), ja.losses.softmax_cross_entropy, optimizer)

        population = fit_population(build, {"learning_rate": rates}, (x, y), keys=jax.random.split(key, 100), epochs=50)

    Numbers (rates, decays, dropout, schedule constants, patience, seeds) share a program. Values that change shapes (a
    width, an activation, a batch size) are grouped, one compilation a group. Members are spread over all local devices;
    make each core of a CPU a device with `ja.setup()` before JAX starts. Members that stop early are left out from the
    next chunk on; one that diverges stops alone and leaves the others' bits as they are. Under `jax.distributed` each
    process trains its share and all return the whole population; all must call with the same arguments.

    Args:
        build: `hyperparameters -> recipe`, of a dict of one member's values. Whatever a recipe may have, a member may
            have to itself, its batch size and epochs too. Called once a member with Python values; where its functions
            are new at every call, called with traced floats instead.
        hyperparameters: name to one value a member; `{}` for members that differ in their keys only.
        train: `(x, y)` or `(x, y, weights)` for all members, as in `fit`; or a list of such data sets of equal shape.
        keys: `(members,)` typed keys, `jax.random.split(jax.random.key(0), members)`.
        epochs, batch_size: as in `fit`, of the members whose recipes have none of their own.
        validation: as in `fit`; a list where `train` is one.
        dataset: for a list of data sets, the number of each member's.
        placement: devices, members at once and memory, see `train.placement`.
        observers: as in `fit`; their moments hold every member.
        progress: whether to print the predicted memory and draw a bar.

    Returns:
        Population.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are; before anything is compiled.
    """
    watching = check_observers("fit_population", observers)
    check_flag("fit_population", "progress", progress)
    devices, at_once, memory = placed_on("fit_population", placement)
    members = check_keys("fit_population", keys)
    columns = as_columns("fit_population", hyperparameters, members)
    data, measured, folds = join_sets("fit_population", train, validation, dataset, members)
    examples = [example_count(data.x) if folds is None else folds.train.index.shape[1]] * members
    groups = group_members(
        "fit_population", build, columns, members, epochs=epochs, batch_size=batch_size, examples=examples
    )
    recipes = [group.recipe for group in groups]
    data, measured = prepare_data("fit_population", recipes, pick_keys(keys, np.array(0)), data, measured)
    if folds is not None:
        for recipe in recipes:
            check_counted("fit_population", "train", data, folds.train.index, recipe.loss, "training")
            if measured is not None and folds.validation is not None:
                own = folds.validation.index
                check_counted("fit_population", "validation", measured, own, recipe.loss, "validation")
    shared = (data, measured, folds)
    cut = [part for group in groups for part in pieces(group, shared, memory, devices, at_once)]
    needs = [predict_memory(part, shared, devices, at_once) for part in cut]
    if progress:
        total, first = sum(int(group.epochs.sum()) for group in groups), recipes[0]
        told = summary(members, groups, needs, len(cut), devices)
        bar = population_bar(members=members, epochs=total, monitor=first.monitor, mode=first.mode, heading=told)
        watching = (bar, *watching)
    kept = []
    with observing("fit_population", watching) as observe:
        for part in cut:
            trainer = PopulationTrainer(
                [part], keys, data, measured, folds=folds, devices=devices, members_at_once=at_once
            )
            if kept:
                trainer.interrupted, trainer.stopped = kept[-1][0].interrupted, kept[-1][0].stopped
            trainer.train(part.members, part.epochs, observe if watching else None)
            kept.append((trainer, trainer.ended()))
            trainer.release()
    population = assembled(build, columns, keys, groups, kept)
    warn_diverged("fit_population", population.status == Status.DIVERGED)
    watched = np.zeros(members, bool)
    for group in groups:
        watched[group.members] = group.recipe.stopping is not None
    never = np.flatnonzero(watched & (population.best_epoch < 0) & (population.epochs_run > 0))
    if len(never):
        message = f"fit_population: what {len(never)} of {members} members monitor was never a number, the first of"
        notify(f"{message} them member {never[0]}; their last weights are returned.", UserWarning)
    _warn_of_nothing(population, watched)
    skipped = np.flatnonzero((population.diverged_step >= 0) & (population.status != Status.DIVERGED))
    if len(skipped):
        message = f"fit_population: {len(skipped)} of {members} members skipped steps that were not finite, or too long"
        notify(f"{message}, the first of them member {skipped[0]}.", DivergedWarning)
    return population


def assembled(
    build: Build,
    columns: dict[str, list],
    keys: Key,
    groups: Sequence[Group],
    kept: Sequence[tuple[PopulationTrainer, list[Ended]]],
) -> Population:
    """One population of the trainers it was trained in; a group may be cut among several."""
    members = keys.shape[0]
    whole = {name: np.zeros(members, int) for name in ("best_epoch", "epochs_run", "status", "diverged_step")}
    longest = max(int(trainer.epoch.max(initial=0)) for trainer, _ in kept)
    names = kept[0][0].columns
    width = max(trainer.history.shape[2] for trainer, _ in kept)
    history = np.full((members, longest, width), np.nan)
    pieces_trained: list[tuple[Group, Ended]] = []
    for trainer, ends in kept:
        ran = int(trainer.epoch.max(initial=0))
        for part, ended in zip(trainer.groups, ends, strict=True):
            for name, column in whole.items():
                column[part.members] = getattr(ended, name)
            if trainer.interrupted:
                broken = trainer.going[part.members] & (ended.epochs_run < part.epochs)
                whole["status"][part.members[broken]] = Status.STOPPED if trainer.stopped else Status.INTERRUPTED
            if trainer.pressed:  # by the time a member was complete, too: who asked is told
                whole["status"][part.members[ended.status == Status.FINISHED]] = Status.INTERRUPTED
            history[part.members, :ran, : trainer.history.shape[2]] = trainer.history[part.members, :ran]
            pieces_trained.append((part, ended))
    weights = []
    for group in groups:
        mine = [(ended.params, ended.state) for part, ended in pieces_trained if part.members[0] in group.members]
        stacked = jax.tree.map(lambda *a: jax.device_put(a[0] if len(a) == 1 else np.concatenate(a)), *mine)
        weights.append((group, *stacked))
    table = history_of(names, history)
    return Population(build, columns, keys, table, **whole, groups=tuple(weights))


def _warn_of_nothing(population: Population, watched: np.ndarray) -> None:
    """Say of whom the validation loss is no number although training went on, where no other warning has."""
    losses = population.history.get("validation_loss", np.zeros((len(population), 0)))
    if losses.shape[1] == 0:
        return
    none = np.isnan(losses).all(1) & (population.status != Status.DIVERGED) & (population.epochs_run > 0) & ~watched
    bad = np.flatnonzero(none)
    if len(bad):
        message = f"fit_population: the validation loss of {len(bad)} of {len(population)} members was never a number"
        notify(f"{message}, the first of them member {bad[0]}; did anything in it count?", UserWarning)


def warn_diverged(function: str, diverged: np.ndarray) -> None:
    """One warning for all members that met a loss, gradient or update that is not finite, or too long."""
    bad = np.flatnonzero(diverged)
    if len(bad):
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        message = f"{function}: {len(bad)} of {len(diverged)} members stopped at a loss, gradient or update that is not"
        notify(f"{message} finite, or too long, with their last good weights: {shown}.", DivergedWarning)
