"""Bayesian search: Optuna proposes settings in generations, a population tries each generation at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.errors import MissingDependencyError
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform, same
from jaxann.tune.space import Space, read_space
from jaxann.tune.table import Table
from jaxann.tune.trial_data import check_split
from jaxann.tune.trials import Trials, search_settings

__all__ = ["bayes"]


def bayes(
    build: Callable[[dict[str, Any]], tuple],
    space: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    epochs: int,
    trials: int,
    generation: int = 8,
    validation: Any = None,
    folds: Any = None,
    sampler: Any = None,
    storage: Any = None,
    study_name: str | None = None,
    **settings: Any,
) -> Table:
    """Let a sampler of Optuna propose settings, `generation` of them at a time, each generation one population.

    With a storage the search can be stopped and started again, and several machines can work on one: every process
    asks the same study, and what the others found guides all. A generation of the same structure compiles nothing.

    Args:
        build, data, key, epochs, validation, folds: as in `halving`. The key also seeds the default sampler.
        space: name to dimension, see `uniform`, `log_uniform`, `integer`, `choice`, `conditional`.
        trials: how many settings the study shall have in all, those of earlier starts and other machines included.
        generation: settings proposed and tried together; a larger one fills more devices and learns less from each.
        sampler: any of Optuna's; by default its tree-structured Parzen estimator, told of the running trials.
        storage, study_name: as in `optuna.create_study`, such as "sqlite:///search.db" and "digits".
        settings: further settings of `halving`: `seeds`, `prepare`, `batch_size`, `metrics`, `monitor`, `mode`, ...

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
    check_split("bayes", validation, folds)
    common = search_settings("bayes", settings)
    if sampler is None:
        seed = int(jax.random.bits(fold_name(key, "sampler"), (), np.uint32))
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    direction = "minimize" if common["mode"] == "min" else "maximize"
    monitor = str(common["monitor"]).removeprefix("validation_")
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=storage, study_name=study_name, sampler=sampler, direction=direction, load_if_exists=True
        )
        ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        while (left := trials - len(study.get_trials(deepcopy=False, states=ended))) > 0:
            asked = [study.ask() for _ in range(min(generation, left))]
            proposed = [_propose(known, trial) for trial in asked]
            try:
                table = _tried(build, known.columns(proposed), data, validation, folds, key, epochs, common)
            except BaseException:
                for trial in asked:  # nothing stays behind as if it were running
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                raise
            if table is None:  # interrupted: what earlier generations found is returned
                for trial in asked:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                break
            for number, trial in enumerate(asked):
                trial.set_user_attr("setting", _stored(known, proposed[number]))
                trial.set_user_attr("scores", {name: values[number].tolist() for name, values in table.scores.items()})
                trial.set_user_attr("epochs", table.epochs[number].tolist())
                value = float(table.mean[monitor][number])
                if np.isfinite(value):
                    study.tell(trial, value)
                else:
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        done = [t for t in study.get_trials(deepcopy=False, states=ended) if "scores" in t.user_attrs]
    finally:
        optuna.logging.set_verbosity(loud)
    if not done:
        raise KeyboardInterrupt
    if len(done) < trials:
        message = f"bayes: {len(done)} of {trials} settings were tried before it was interrupted."
        warnings.warn(message, UserWarning, stacklevel=2)
    restored = known.columns([_restored(known, t.user_attrs["setting"]) for t in done])
    scores = {name: np.array([t.user_attrs["scores"][name] for t in done]) for name in done[0].user_attrs["scores"]}
    return Table(restored, scores, monitor, common["mode"], np.array([t.user_attrs["epochs"] for t in done]))


def _tried(build, columns, data, validation, folds, key, epochs, common) -> Table | None:
    """One generation's table; None if it was interrupted."""
    part = Trials("bayes", build, columns, data, validation=validation, folds=folds, key=key, epochs=epochs, **common)
    with part.watched():
        part.train(np.arange(part.settings))
        return None if part.fleet.interrupted else part.table(part.figures())


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
