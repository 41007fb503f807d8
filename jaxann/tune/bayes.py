"""Bayesian search: Optuna proposes settings in generations, a population tries each generation at once."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.notices import notify
from jaxann.core.typing import Key
from jaxann.train.grouping import Build, built_recipe, check_build
from jaxann.train.interrupts import held_interrupts
from jaxann.train.placement import Placement
from jaxann.tune.asking import import_optuna, open_study
from jaxann.tune.budget import Budget, attempted, whole_epochs
from jaxann.tune.described import described
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform
from jaxann.tune.enqueue import Dimensions, Enqueued
from jaxann.tune.kept import Reader, as_enqueued, as_stored
from jaxann.tune.known import check_places, known_settings
from jaxann.tune.on_host import on_host
from jaxann.tune.points import built_at, corners_of, middle_setting, of_all_structures, settings_of
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.search import Search
from jaxann.tune.space import Space, read_space
from jaxann.tune.study import define_study, describe_space, in_stored_order
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

if TYPE_CHECKING:
    import optuna

__all__ = ["bayes"]


@on_host
def bayes(
    build: Build,
    space: Dimensions | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget,
    trials: int,
    validation: tuple | Resampling,
    generation: int = 8,
    study: optuna.Study | None = None,
    batch_size: int | None = None,
    placement: Placement | None = None,
    progress: bool = False,
) -> Table:
    """Let a sampler of Optuna propose settings, `generation` of them at a time, each generation one population.

    A study with a storage lets the search be stopped and started again, and several machines work on one: every process
    asks the same study, and what the others found guides all. A generation of the same structure compiles nothing.

        study = optuna.create_study(storage="sqlite:///search.db", study_name="digits", load_if_exists=True)

    The study keeps its definition: the space (options in any order), what is monitored, metrics, folds, data, key,
    epochs, batch size and the recipe (your own functions by what they do). A start with another one is refused before
    anything trains, and leaves the study as it was. Random numbers of samplers come from the key and the number that
    the study gives the trial, whatever seed they were made with: no start and no process proposes again what another
    one has, and the same key on the same study proposes the same.

    Args:
        build, data, epochs, validation, batch_size, placement, progress: as in `halving`. When the time of a budget is
            over, the running generation is not counted, unless there is no other.
        key: of the runs; it also seeds the sampler.
        space: name to dimension, see `uniform`, `log_uniform`, `integer`, `choice`, `conditional`; `enqueue` has known
            settings proposed first, each once in a study. So does Optuna's own `enqueue_trial`, of values of the space.
        trials: how many settings the study shall have in all, those of earlier starts and other machines included.
        generation: settings proposed and tried together; a larger one fills more devices and learns less from each.
        study: any of Optuna's, its direction that of what the recipes monitor; when None, one in memory whose sampler
            is Optuna's tree-structured Parzen estimator, told of the running trials.

    Returns:
        Table: all settings of the study; one that diverged, or whose figure is no number (a warning says which), has
            NaN and was told to Optuna as pruned.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
        MissingDependencyError: optuna is not installed.
    """
    optuna = import_optuna()
    known = read_space("bayes", space)
    check_key("bayes", key)
    check_integer("bayes", "trials", trials)
    check_integer("bayes", "generation", generation)
    scored_on = as_resampling("bayes", "validation", validation)
    epochs, allowance = whole_epochs("bayes", epochs)
    check_places("bayes", space, trials)
    first, cut = known_settings("bayes", space), []
    check_build("bayes", build)
    if study is not None and jax.process_count() > 1:
        hint = "Start the processes apart, each without jax.distributed: the study shares their work out."
        fail("bayes", "jax.process_count()", "1 where there is a study", jax.process_count(), hint=hint)
    made = functools.partial(built_recipe, "bayes", build)
    recipe = attempted("bayes", allowance, lambda: made(middle_setting(known)))
    monitor, mode = recipe.monitor, recipe.mode

    search = Search("bayes", build, data, scored_on, key, epochs, batch_size, placement, progress, allowance)

    def only_check(columns: Mapping[str, Any]) -> None:
        """Refuse what a generation would, before one is asked for: a refused call leaves a study as it was."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # generations say what there is to say
            Trials(search, columns)

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        direction = "minimize" if mode == "min" else "maximize"
        asking = open_study(optuna, study, key, direction, f"{monitor} ({mode})")
        known = in_stored_order(known, asking.stored)
        points, describe = [middle_setting(known)], None
        if study is not None:
            points, describe = settings_of(known), functools.partial(described, first={})
            recipes = attempted("bayes", allowance, lambda: list(built_at([*points, *corners_of(known)], made)))
            asking.definition = define_study(search, describe_space(known), recipes, describe=describe)
            asking.compare()
            points = of_all_structures(points, recipes[: len(points)])
        attempted("bayes", allowance, lambda: only_check(known.columns(points)))
        reader = Reader(known, made, describe)
        asking.read = reader.read
        asking.compare()
        asking.adopt(functools.partial(as_enqueued, known))
        for setting in first:
            active = {name: value for name, value in as_stored(known, setting).items() if value is not None}
            asking.enqueue(active)

        def tried(columns: Mapping[str, Any]) -> Table | None:
            """One generation's table; None if it was interrupted."""
            population = Trials(search, columns)
            with population.watched():
                population.train(np.arange(population.count))
                if not population.trainer.interrupted:
                    return population.table(population.figures())
                if population.trainer.stopped:
                    cut.append(population)
                return None

        def proposed(trial: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            setting = _propose(known, trial)
            return setting, as_stored(known, setting)

        with held_interrupts() as interrupted:
            while (left := trials - len(asking.finished())) > 0 and not (asking.exhausted or interrupted()):
                if allowance.is_over() and asking.finished():
                    break
                asking.adopt(functools.partial(as_enqueued, known))  # enqueued while the last generation trained
                with asking.generation(min(generation, left), proposed) as asked:
                    if not asked:
                        break
                    columns = known.columns([one.setting for one in asked])
                    table = attempted("bayes", allowance, functools.partial(tried, columns))
                    if table is None:  # interrupted: what earlier generations found is returned
                        break
                    asking.tell(asked, functools.partial(reader.result, table))
            done, stopped = asking.finished(), interrupted()
    finally:
        optuna.logging.set_verbosity(verbosity)
    if not done and cut:
        return cut[0].table(cut[0].figures(), cut[0].rounds())
    if not done and not asking.exhausted:
        raise KeyboardInterrupt
    if not done:
        fail("bayes", "study", "one whose sampler proposes settings of the space", " none")
    if len(done) < trials:
        why = "the sampler of the study had no more to propose"
        if stopped or cut or allowance.is_over():
            why = "it was interrupted" if stopped else "the time budget was over"
        notify(f"bayes: {len(done)} of {trials} settings were tried before {why}.", UserWarning)
    return reader.table(done, monitor.removeprefix("validation_"), mode)


def _propose(known: Space, trial: Any) -> dict[str, Any]:
    """One setting, asked for dimension by dimension, parents first."""
    setting: dict[str, Any] = {}
    for name in known.order:
        active = known.active(name, setting)
        setting[name] = _suggest(trial, name, known.dimensions[name]) if active else known.otherwise[name]
    return setting


def _suggest(trial: Any, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):  # by number: options may be anything
        return dimension.options[trial.suggest_categorical(name, list(range(len(dimension.options))))]
    if isinstance(dimension, Integer):
        return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=isinstance(dimension, LogUniform))
