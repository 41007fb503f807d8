"""Bayesian search: Optuna proposes settings in generations, a population tries each generation at once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.errors import MissingDependencyError
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.grouping import Build, built_recipe, values_of
from jaxann.train.placement import Placement
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform, same
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.samplers import random
from jaxann.tune.space import Space, read_space
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

if TYPE_CHECKING:
    import optuna

__all__ = ["bayes"]


def bayes(
    build: Build,
    space: Mapping[str, Dimension],
    data: tuple,
    *,
    key: Key,
    epochs: int,
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

    Args:
        build, data, epochs, validation, batch_size, placement, progress: as in `halving`.
        key: of the runs; it also seeds the default sampler.
        space: name to dimension, see `uniform`, `log_uniform`, `integer`, `choice`, `conditional`.
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
    optuna = _optuna()
    known = read_space("bayes", space)
    check_key("bayes", key)
    check_integer("bayes", "trials", trials)
    check_integer("bayes", "generation", generation)
    scored_on = as_resampling("bayes", "validation", validation)
    direction, monitor, mode = _direction(build, space, key)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        asking: Any = _default_study(optuna, key, direction) if study is None else study
        _check_study(asking, direction, monitor, mode)

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
            )
            with population.watched():
                population.train(np.arange(population.count))
                return None if population.trainer.interrupted else population.table(population.figures())

        ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        while (left := trials - len(asking.get_trials(deepcopy=False, states=ended))) > 0:
            asked = [asking.ask() for _ in range(min(generation, left))]
            proposed = [_propose(known, trial) for trial in asked]
            try:
                table = tried(known.columns(proposed))
            except BaseException:
                for trial in asked:  # nothing stays behind as if it were running
                    asking.tell(trial, state=optuna.trial.TrialState.FAIL)
                raise
            if table is None:  # interrupted: what earlier generations found is returned
                for trial in asked:
                    asking.tell(trial, state=optuna.trial.TrialState.FAIL)
                break
            for number, trial in enumerate(asked):
                trial.set_user_attr("setting", _stored(known, proposed[number]))
                trial.set_user_attr("scores", {name: values[number].tolist() for name, values in table.scores.items()})
                trial.set_user_attr("epochs", table.epochs[number].tolist())
                value = float(table.mean[table.monitor][number])
                if np.isfinite(value):
                    asking.tell(trial, value)
                else:
                    asking.tell(trial, state=optuna.trial.TrialState.PRUNED)
        done = [t for t in asking.get_trials(deepcopy=False, states=ended) if "scores" in t.user_attrs]
    finally:
        optuna.logging.set_verbosity(verbosity)
    if not done:
        raise KeyboardInterrupt
    if len(done) < trials:
        message = f"bayes: {len(done)} of {trials} settings were tried before it was interrupted."
        warnings.warn(message, UserWarning, stacklevel=2)
    restored = known.columns([_restored(known, t.user_attrs["setting"]) for t in done])
    scores = {name: np.array([t.user_attrs["scores"][name] for t in done]) for name in done[0].user_attrs["scores"]}
    epochs_run = np.array([t.user_attrs["epochs"] for t in done])
    return Table(restored, scores, monitor.removeprefix("validation_"), mode, epochs_run)


def _direction(build: Build, space: Mapping[str, Dimension], key: Key) -> tuple[str, str, str]:
    """`(direction, monitor, mode)`: what the recipes monitor, as one setting's recipe says."""
    if not callable(build):
        fail("bayes", "build", "a function hyperparameters -> recipe", build)
    columns = random(space, 1, key=fold_name(key, "first"))
    recipe = built_recipe("bayes", build, values_of(columns, 0))
    return "minimize" if recipe.mode == "min" else "maximize", recipe.monitor, recipe.mode


def _default_study(optuna: Any, key: Key, direction: str) -> optuna.Study:
    seed = int(jax.random.bits(fold_name(key, "sampler"), (), np.uint32))
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return optuna.create_study(sampler=sampler, direction=direction)


def _check_study(study: Any, direction: str, monitor: str, mode: str) -> None:
    directions = [d.name.lower() for d in getattr(study, "directions", ())]
    if directions != [direction]:
        got = f" {', '.join(directions)}" if directions else study
        fail("bayes", "study", f"one of Optuna's with the direction {direction}, for {monitor} ({mode})", got)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError('tune.bayes needs optuna: pip install "jaxann[tune]".') from error
    return optuna


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
