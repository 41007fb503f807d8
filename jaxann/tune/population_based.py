"""Population-based training: members copy the weights of better ones and vary their settings while they train."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, check_range, fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.grouping import Build, as_columns, values_of
from jaxann.train.placement import Placement
from jaxann.train.population import Population, assembled
from jaxann.tune.budget import Budget, retried, whole_epochs
from jaxann.tune.dimensions import Choice, Integer
from jaxann.tune.enqueue import Dimensions, Enqueued
from jaxann.tune.generators import generator
from jaxann.tune.known import check_places
from jaxann.tune.on_host import on_host
from jaxann.tune.resampling import as_resampling
from jaxann.tune.samplers import random
from jaxann.tune.search import Search
from jaxann.tune.space import Space, read_space
from jaxann.tune.storage import open_storage
from jaxann.tune.trials import Trials, warn_interrupted

__all__ = ["Evolution", "Exploration", "population_based"]


class Exploration(NamedTuple):
    """How members copy and vary in `population_based`."""

    share: float = 0.25  # of the members, the worst that copy and the best that are copied, in (0, 0.5]
    resample: float = 0.25  # probability of a fresh draw from the space instead of a small step, in [0, 1]
    interval: int = 5  # epochs between comparisons


class Evolution(NamedTuple):
    """What `population_based` returns; a round is `exploration.interval` epochs."""

    population: Population  # as the members ended; `hyperparameters` are the last settings
    settings: list[dict[str, Any]]  # the columns of settings in force in each round
    parents: np.ndarray  # int (rounds, members), whose weights each member began the round with
    scores: np.ndarray  # (rounds, members), what was monitored at the end of each round


_EXPLORATION = Exploration()


@on_host
@retried
def population_based(
    build: Build,
    space: Dimensions | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget,
    validation: tuple,
    batch_size: int | None = None,
    members: int = 16,
    exploration: Exploration = _EXPLORATION,
    placement: Placement | None = None,
    progress: bool = False,
    storage: str | os.PathLike[str] | None = None,
) -> Evolution:
    """Population-based training: every `exploration.interval` epochs the worst members copy some of the best, and vary.

    A member among the worst `exploration.share` takes weights, layer state and optimizer state of one drawn from the
    best `share`, and its settings, each drawn anew from the space with probability `exploration.resample` and else
    multiplied by 0.8 or 1.2 (a choice keeps its option). So the settings become schedules that no fixed setting has. A
    member that diverged counts as worst, and its copy trains on. Weights are copied on the devices.

    Args:
        build: as in `halving`; values of the space must not change shapes, and recipes neither stop early nor restore
            their best epoch: weights are copied as they stand.
        data, key, epochs (or a `budget`), batch_size, placement, progress, storage: as in `halving`.
        space: name to dimension; a conditional dimension is varied while it is active. `enqueue` gives the first
            members known settings.
        validation: `(x, y)`, what members are compared on.
        members: how many.
        exploration: how many copy, how often a value is drawn anew, and how many epochs lie between comparisons.

    Returns:
        Evolution.

    Source: Jaderberg et al. 2017.

    Raises:
        InputError: an argument is wrong, or settings differ in structure.
    """
    epochs, allowance = whole_epochs("population_based", epochs)
    check_integer("population_based", "members", members, 2)
    if not isinstance(exploration, Exploration):
        fail("population_based", "exploration", "jaxann.tune.Exploration(share, resample, interval)", exploration)
    share, resample, interval = exploration
    check_range("population_based", "share of exploration", share, 0, 0.5, open_low=True)
    check_range("population_based", "resample of exploration", resample, 0, 1)
    check_integer("population_based", "interval of exploration", interval)
    if jax.process_count() > 1:
        fail("population_based", "jax.process_count()", "1: weights are copied within a process", jax.process_count())
    check_key("population_based", key)
    known = read_space("population_based", space)
    scored_on = as_resampling("population_based", "validation", validation)
    if scored_on.folds is not None or scored_on.repeats != 1:
        got = " folds" if scored_on.folds is not None else f" {scored_on.repeats} repeats"
        fail("population_based", "validation", "data (x, y): each member is one run", got)
    check_places("population_based", space, members)
    columns = random(space, members, key=fold_name(key, "settings"))
    search = Search("population_based", build, data, scored_on, key, epochs, batch_size, placement, progress, allowance)
    others = {"members": members, **exploration._asdict()}
    kept = open_storage(search, storage, columns, space=known, others=others, varied=True)
    trials = Trials(search, columns, every_epoch=True, own_keys=True, whole_runs=True)
    found = trials.structures(_extremes(known, values_of(columns, 0)))
    if len(trials.trainer.groups) > 1 or found > 1:
        told = f" {max(found, len(trials.trainer.groups))} structures"
        fail("population_based", "space", "of settings that share one structure, so that weights can be copied", told)
    drawn = generator(fold_name(key, "evolution"))
    now = [values_of(columns, i) for i in range(members)]
    in_force, parents, scores = [], [], []
    parent = np.arange(members)
    trials.keep(kept)
    with trials.watched():
        for until in [*range(interval, epochs, interval), epochs]:
            trials.train(np.arange(members), until)
            figures = trials.figures()
            score = trials.score(figures)
            in_force.append(known.columns(now))
            parents.append(parent)
            scores.append(score if trials.mode == "min" else -score)
            if until < epochs:
                trials.heed_clock()
            if until == epochs or trials.trainer.interrupted:
                break
            parent = _parents(score, share, drawn)
            now = [now[i] if parent[i] == i else _vary(known, now[parent[i]], resample, drawn) for i in range(members)]
            trials.replace(parent, known.columns(now))
    trainer = trials.trainer
    warn_interrupted("population_based", trainer)
    trials.warn(figures)
    last = as_columns("population_based", in_force[-1], members)
    population = assembled(build, last, trials.keys, trainer.groups, [(trainer, trainer.ended())])
    population.best_epoch[:] = -1  # an epoch of the history of whoever the weights came from
    return Evolution(population, in_force, np.stack(parents), np.stack(scores))


def _extremes(known: Space, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings that between them have every option of every choice, and both ends of every range of integers."""
    found = [dict(setting)]
    for name, dimension in known.dimensions.items():
        if isinstance(dimension, Choice):
            found += [{**setting, name: option} for option in dimension.options]
        elif isinstance(dimension, Integer):
            found += [{**setting, name: end} for end in (dimension.low, dimension.high)]
    return found


def _parents(score: np.ndarray, share: float, drawn: np.random.Generator) -> np.ndarray:
    """Whose weights each member goes on with: its own, or for the worst those of one of the best."""
    members = len(score)
    count = max(1, int(share * members))
    order = np.argsort(score, kind="stable")
    parent = np.arange(members)
    parent[order[-count:]] = drawn.choice(order[:count], count)
    return parent


def _vary(known: Space, setting: Mapping[str, Any], resample: float, drawn: np.random.Generator) -> dict[str, Any]:
    """A setting near another one."""
    varied: dict[str, Any] = {}
    for name in known.order:
        dimension = known.dimensions[name]
        if not known.active(name, varied):
            varied[name] = known.otherwise[name]
        elif drawn.random() < resample or not dimension.holds(setting[name]):
            varied[name] = dimension.from_unit(drawn.random(1))[0]
        elif isinstance(dimension, Choice):
            varied[name] = setting[name]
        else:
            moved = setting[name] * drawn.choice([0.8, 1.2])
            moved = int(round(moved)) if isinstance(dimension, Integer) else float(moved)
            varied[name] = min(max(moved, dimension.low), dimension.high)
    return {name: varied[name] for name in known.dimensions}
