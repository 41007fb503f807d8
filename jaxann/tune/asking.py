"""Optuna's studies as `bayes` asks them: opened, checked, each trial seeded by its number, none left open."""

from __future__ import annotations

import contextlib
import copy
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.errors import CheckpointError, InputError, MissingDependencyError
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.io.header import refuse
from jaxann.tune.study import check_same_study, read_checked

__all__ = ["Asked", "Asking", "import_optuna", "open_study"]

_ATTRIBUTE = "jaxann"  # of a study: its definition; of a trial that waits: what it proposes, as the study stores it
_STORAGE = "one whose storage can be read and written"
_HINT = 'optuna.create_study(storage="sqlite:///search.db", study_name="digits", load_if_exists=True, direction=...)'


class Asked(NamedTuple):
    """A trial, and the setting that was proposed for it."""

    trial: Any
    setting: dict[str, Any]


class Asking:
    """A study in the asking.

    Attributes:
        exhausted: whether its sampler has nothing more to propose.
        definition: what the study of this search is; None where there is nothing to compare.
        read: called with each trial that has a result; raises where it may not be counted.
    """

    def __init__(self, optuna: Any, study: Any, key: Key):
        self._optuna = optuna
        self.exhausted = False
        self.definition: Mapping[str, Any] | None = None
        self.read: Callable[[Any], Any] | None = None
        self._sampler = study.sampler
        self._study = copy.copy(study)  # the caller's keeps its sampler
        self._study.sampler = _numbered(optuna, study.sampler, key, restarted=bool(study.get_trials(deepcopy=False)))
        self._study.stop = self._stop  # what samplers call when they have nothing more; it is of Optuna's own loop

    def _stop(self) -> None:
        self.exhausted = True

    @property
    def stored(self) -> dict[str, Any] | None:
        """The definition that the study holds, or None.

        Raises:
            CheckpointError: it is damaged.
        """
        with _told(_STORAGE):
            held = self._study.user_attrs
        if _ATTRIBUTE not in held:
            return None
        return read_checked("bayes: the study", "the definition of a study", held[_ATTRIBUTE])

    def compare(self) -> None:
        """Refuse a study of another definition, or with results of other programs.

        Raises:
            InputError: it is one.
            CheckpointError: it is damaged.
        """
        stored = self.stored
        if stored is not None and self.definition is not None:
            check_same_study("bayes", stored, self.definition)
        done = self.finished()
        if stored is None and done and self.definition is not None:
            refuse("bayes: the study", "hold its definition beside its results", "none")

    def finished(self) -> list[Any]:
        """The trials with results, all of them ours.

        Raises:
            InputError: some are not, or were trained with another recipe.
            CheckpointError: what is kept of one is damaged.
        """
        ended = (self._optuna.trial.TrialState.COMPLETE, self._optuna.trial.TrialState.PRUNED)
        with _told(_STORAGE):
            found = self._study.get_trials(deepcopy=False, states=ended)
        foreign = sum(not {"setting", "scores", "epochs"} & set(trial.user_attrs) for trial in found)
        if foreign:
            got = f" {foreign} trial{'s' if foreign > 1 else ''} of another program"
            fail("bayes", "study", "empty, or one that bayes has begun", got)
        if self.read is not None:
            for trial in found:
                self.read(trial)
        return found

    def enqueue(self, setting: Mapping[str, Any]) -> None:
        """Have a setting, as JSON without what is inactive, proposed first, and once in a study unless it failed."""
        with _told(_STORAGE):
            for trial in self._study.get_trials(deepcopy=False):
                failed = trial.state == self._optuna.trial.TrialState.FAIL
                if not failed and trial.system_attrs.get("fixed_params", trial.params) == setting:
                    return
            self._study.enqueue_trial(dict(setting), user_attrs={_ATTRIBUTE: dict(setting)})

    def adopt(self, stored: Callable[[int, Mapping[str, Any]], dict[str, Any]]) -> None:
        """Have what was enqueued by Optuna's own `enqueue_trial`, by value, proposed as the study stores it.

        Args:
            stored: from a trial's number and its values to the same as JSON; raises where they are not of the space,
                and the study is left as it was.
        """
        waiting = (self._optuna.trial.TrialState.WAITING,)
        with _told(_STORAGE):
            found = []
            for trial in self._study.get_trials(deepcopy=False, states=waiting):
                fixed, meant = trial.system_attrs.get("fixed_params"), trial.user_attrs.get(_ATTRIBUTE)
                if fixed is not None and (meant is None or meant != fixed):
                    found.append((trial, stored(trial.number, fixed) if meant is None else meant))
            for trial, meant in found:  # what is meant first: a start that ends in between is made good by the next
                storage, number = self._study._storage, trial._trial_id
                storage.set_trial_user_attr(number, _ATTRIBUTE, meant)
                storage.set_trial_system_attr(number, "fixed_params", meant)

    @contextlib.contextmanager
    def generation(self, count: int, propose: Callable[[Any], tuple[dict, dict]]) -> Iterator[list[Asked]]:
        """At most `count` trials with their settings; those that were not told at the end are told as failed.

        Args:
            count: how many.
            propose: from a trial to its setting, and to the same as JSON.
        """
        asked: list[Asked] = []
        known = [trial.user_attrs["setting"] for trial in self.finished()] if self._lists() else []
        try:
            begun, again = len(known), count + len(known)  # repeats after which a sampler has no more
            while len(asked) < count and not (self.exhausted or self._is_exhausted()):
                trial = self._ask()
                asked.append(Asked(trial, {}))
                setting, stored = self._proposed(propose, trial)
                asked[-1] = Asked(trial, setting)
                if stored in known:  # an enqueued one, or of a sampler that lists settings and begins anew
                    self._fail(asked.pop())
                    again -= 1
                    if stored in known[begun:] or not again:  # a smaller generation
                        self.exhausted = self.exhausted or not asked
                        break
                    continue
                known += [stored] if self._lists() else []
            yield asked
        finally:
            while asked:
                self._fail(asked[-1])
                asked.pop()

    def tell(self, asked: list[Asked], told: Callable[[int, Asked], tuple[float, Mapping[str, Any]]]) -> None:
        """Tell the results of a generation; `told` has a trial's value, NaN for one that diverged, and attributes."""
        self.compare()  # somebody else may have begun the study meanwhile
        results = [told(number, one) for number, one in enumerate(asked)]
        is_new = self.stored is None and self.definition is not None
        with _told(_STORAGE):
            if is_new and self.definition is not None:
                self._study.set_user_attr(_ATTRIBUTE, dict(self.definition))
            for value, attributes in results:
                self._tell_one(asked[0].trial, value, attributes)
                asked.pop(0)

    def _tell_one(self, trial: Any, value: float, attributes: Mapping[str, Any]) -> None:
        for name, held in attributes.items():
            trial.set_user_attr(name, held)
        if np.isfinite(value):
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)

    def _ask(self) -> Any:
        with _told("one whose storage and sampler can be asked"):
            return self._study.ask()

    def _proposed(self, propose: Callable[[Any], tuple[dict, dict]], trial: Any) -> tuple[dict, dict]:
        with _told("one whose sampler proposes settings of the space"):
            return propose(trial)

    def _fail(self, one: Asked) -> None:
        with contextlib.suppress(self._optuna.exceptions.OptunaError):  # of a storage that is lost: another one is told
            self._study.tell(one.trial, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _lists(self) -> bool:
        """Whether the sampler proposes each setting once."""
        samplers = self._optuna.samplers
        return isinstance(self._sampler, samplers.GridSampler | samplers.BruteForceSampler)

    def _is_exhausted(self) -> bool:
        if isinstance(self._sampler, self._optuna.samplers.GridSampler):
            self.exhausted = self._sampler.is_exhausted(self._study)
        return self.exhausted


def import_optuna() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError('tune.bayes needs optuna: pip install "jaxann[tune]".') from error
    return optuna


def open_study(optuna: Any, study: Any, key: Key, direction: str, monitored: str) -> Asking:
    """A study that can be asked; one in memory where there is none.

    Raises:
        InputError: it is no study of Optuna's, has another direction or several, or no sampler.
    """
    if study is None:
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)  # seeded by the key, as any
        return Asking(optuna, optuna.create_study(sampler=sampler, direction=direction), key)
    expected = f"one of Optuna's with the direction {direction}, for {monitored}"
    if not isinstance(study, optuna.study.Study):
        fail("bayes", "study", expected, study, hint=_HINT)
    with _told(_STORAGE):
        directions = [d.name.lower() for d in study.directions]
        if directions != [direction]:
            fail("bayes", "study", expected, f" {', '.join(directions)}")
        if not isinstance(study.sampler, optuna.samplers.BaseSampler):
            hint = "optuna.create_study(sampler=optuna.samplers.TPESampler(), ...)"
            fail("bayes", "sampler of the study", "one of Optuna's, such as TPESampler()", study.sampler, hint=hint)
        return Asking(optuna, study, key)


@contextlib.contextmanager
def _told(expected: str) -> Iterator[None]:
    """What a sampler or a storage raises, in our words and with its own."""
    try:
        yield
    except (CheckpointError, InputError, MemoryError):
        raise
    except Exception as error:
        got = f" {type(error).__name__}: {' '.join(str(error).split())[:150].rstrip('.')}"
        try:
            fail("bayes", "study", expected, got)
        except InputError as told:
            raise told from error


def _numbered(optuna: Any, sampler: Any, key: Key, restarted: bool) -> Any:
    """The sampler, its random numbers drawn for each trial from the key and the trial's number.

    A storage numbers the trials of all processes: none draws what another one or an earlier start has drawn, and the
    same key on the same study draws the same.
    """

    @functools.cache
    def base() -> int:
        return int(jax.random.bits(fold_name(key, "sampler"), (), np.uint32))

    generators = _generators(sampler, optuna.samplers.BaseSampler)
    if restarted and not generators:
        sampler.reseed_rng()  # a caller's own, which says itself how

    class Numbered(optuna.samplers.BaseSampler):
        """A sampler that is seeded anew for each trial."""

        def before_trial(self, study: Any, trial: Any) -> None:
            for place, generator in enumerate(generators):
                _seed(generator, (base(), trial.number, place))
            sampler.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return sampler.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return sampler.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: Any, param_distribution: Any) -> Any:
            return sampler.sample_independent(study, trial, param_name, param_distribution)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            sampler.after_trial(study, trial, state, values)

        def reseed_rng(self) -> None:
            sampler.reseed_rng()

    return Numbered()


def _generators(sampler: Any, base: type) -> list[Any]:
    """The generators of random numbers that a sampler holds, itself or within what it is made of."""
    found, visited, waiting = [], set(), [sampler]
    while waiting:
        one = waiting.pop(0)
        if id(one) in visited:
            continue
        visited.add(id(one))
        if isinstance(one, np.random.RandomState | np.random.Generator | random.Random):
            found.append(one)
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, base) or type(one).__module__.startswith("optuna.samplers"):
            waiting += [getattr(one, "rng", None), *getattr(one, "__dict__", {}).values()]
    return found


def _seed(generator: Any, numbers: tuple[int, ...]) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.seed(numbers)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = type(generator.bit_generator)(numbers).state
    else:
        generator.seed(repr(numbers))
