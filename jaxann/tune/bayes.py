"""Bayesian search: Optuna proposes settings in generations, a population tries each generation at once."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.typing import Key
from jaxann.train.grouping import Build, built_recipe
from jaxann.train.interrupts import held_interrupts
from jaxann.train.placement import Placement
from jaxann.tune.asking import Asked, import_optuna, open_study
from jaxann.tune.budget import Budget, attempted, whole_epochs
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform, same
from jaxann.tune.enqueue import Dimensions, Enqueued
from jaxann.tune.known import known_settings
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.space import Space, read_space
from jaxann.tune.study import define_study, describe_space, in_stored_order, middle_setting
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

if TYPE_CHECKING:
    import optuna

__all__ = ["bayes"]


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
            settings proposed first, each once in a study.
        trials: how many settings the study shall have in all, those of earlier starts and other machines included.
        generation: settings proposed and tried together; a larger one fills more devices and learns less from each.
        study: any of Optuna's, its direction that of what the recipes monitor; when None, one in memory whose sampler
            is Optuna's tree-structured Parzen estimator, told of the running trials.

    Returns:
        Table: all settings of the study; one that diverged has NaN and was told to Optuna as pruned.

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
    first, cut = known_settings("bayes", space), []
    if not callable(build):
        fail("bayes", "build", "a function hyperparameters -> recipe", build)
    recipe = attempted("bayes", allowance, lambda: built_recipe("bayes", build, middle_setting(known)))
    monitor, mode = recipe.monitor, recipe.mode
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        direction = "minimize" if mode == "min" else "maximize"
        asking = open_study(optuna, study, key, direction, f"{monitor} ({mode})")
        known = in_stored_order(known, asking.stored)
        if study is not None:
            others = {"epochs": epochs, "batch_size": batch_size}
            settings = describe_space(known)
            asking.definition = define_study("bayes", settings, [recipe], data, scored_on, key=key, others=others)
        asking.compare()
        for setting in first:
            active = {name: value for name, value in _stored(known, setting).items() if value is not None}
            asking.enqueue(active)

        def tried(columns: Mapping[str, Any]) -> Table | None:
            """One generation's table; None if it was interrupted."""
            population = Trials(
                "bayes",
                build,
                columns,
                data,
                scored_on=scored_on,
                key=key,
                epochs=epochs,
                batch_size=batch_size,
                placement=placement,
                progress=progress,
                allowance=allowance,
            )
            with population.watched():
                population.train(np.arange(population.count))
                if not population.trainer.interrupted:
                    return population.table(population.figures())
                if population.trainer.stopped:
                    cut.append(population)
                return None

        def proposed(trial: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            setting = _propose(known, trial)
            return setting, _stored(known, setting)

        with held_interrupts() as interrupted:
            while (left := trials - len(asking.finished())) > 0 and not (asking.exhausted or interrupted()):
                if allowance.is_over() and asking.finished():
                    break
                with asking.generation(min(generation, left), proposed) as asked:
                    if not asked:
                        break
                    columns = known.columns([one.setting for one in asked])
                    table = attempted("bayes", allowance, functools.partial(tried, columns))
                    if table is None:  # interrupted: what earlier generations found is returned
                        break
                    asking.tell(asked, functools.partial(_result, known, table))
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
        warnings.warn(f"bayes: {len(done)} of {trials} settings were tried before {why}.", UserWarning, stacklevel=2)
    restored = known.columns([_restored(known, t.user_attrs["setting"]) for t in done])
    scores = {name: np.array([t.user_attrs["scores"][name] for t in done]) for name in done[0].user_attrs["scores"]}
    epochs_run = np.array([t.user_attrs["epochs"] for t in done])
    return Table(restored, scores, monitor.removeprefix("validation_"), mode, epochs_run)


def _result(known: Space, table: Table, number: int, asked: Asked) -> tuple[float, dict[str, Any]]:
    """The value that is told of one setting of a generation, and what is kept beside it."""
    kept = {
        "setting": _stored(known, asked.setting),
        "scores": {name: values[number].tolist() for name, values in table.scores.items()},
        "epochs": table.epochs[number].tolist(),
    }
    return float(table.mean[table.monitor][number]), kept


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


def _stored(known: Space, setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as JSON: an option by its number, an inactive dimension as None."""
    stored: dict[str, Any] = {}
    for name, value in setting.items():
        dimension = known.dimensions[name]
        if not known.active(name, setting):
            stored[name] = None
        elif isinstance(dimension, Choice):
            stored[name] = next(i for i, option in enumerate(dimension.options) if same(value, option))
        else:
            stored[name] = value
    return stored


def _restored(known: Space, stored: Mapping[str, Any]) -> dict[str, Any]:
    if set(stored) != set(known.dimensions):
        fail("bayes", "space", f"that of the stored study ({', '.join(stored)})", f" {', '.join(known.dimensions)}")
    setting = {}
    for name, value in stored.items():
        dimension = known.dimensions[name]
        if value is None:
            setting[name] = known.otherwise[name]
        else:
            setting[name] = dimension.options[value] if isinstance(dimension, Choice) else value
    return setting
