"""A folder in which a search keeps how far it is, so that the same call goes on from there.

    study.json           what defines the search: compared before anything trains
    state.safetensors    the figures of every comparison so far, and the members as they stand; written atomically

A search is made of stages: some members train, then figures are read and the search decides. Decisions follow from the
figures and the key alone. A search that goes on is therefore run from its beginning with the figures of the stages that
are stored, without training, until it comes to the one that is not: there the members go on from where they stood.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import jax
import numpy as np

from jaxann.core.checks import check_key, fail
from jaxann.io.atomic import check_path, show_path, write_atomically
from jaxann.io.header import parse_json, refuse, show
from jaxann.io.safetensors import read_arrays, write_arrays
from jaxann.train.grouping import Group, built_recipe, check_build, values_of
from jaxann.train.observers import Moment
from jaxann.train.recipe import Recipe
from jaxann.train.snapshots import put_in
from jaxann.train.trainer import PopulationTrainer
from jaxann.tune.described import described
from jaxann.tune.enqueue import Enqueued
from jaxann.tune.known import columns_of
from jaxann.tune.points import built_at, corners_of, settings_of
from jaxann.tune.search import Search
from jaxann.tune.space import Space
from jaxann.tune.study import (
    check_same_study,
    define_study,
    describe_columns,
    describe_space,
    digest_of,
    read_checked,
)

try:
    import fcntl
except ImportError:
    fcntl = None

__all__ = ["Storage", "open_storage"]

_FORMAT, _VERSION = "jaxann study", 1
_SECONDS = 5.0  # between two writings while a stage trains, and more where one takes long
_SHARE = 20  # a writing may take one in so many seconds


class Storage:
    """Where a search that is kept on disk stands; made by `open_storage`.

    Args:
        function: the search.
        folder: where it is kept.
        definition: of the search.
        describe: what recipes are told by.

    Attributes:
        beside: arrays that are kept beside the members, and changed in place.
        shape: `(members, figures of each)`; None before the members are known.
    """

    def __init__(
        self, function: str, folder: str, definition: Mapping[str, Any], describe: Callable[[Any], Any] = described
    ):
        self._function, self._folder, self._definition, self._describe = function, folder, definition, describe
        self._figures: list[np.ndarray] = []
        self._epochs: list[np.ndarray] = []
        self._going: list[np.ndarray] = []
        self._recipes: list[str] = []  # digests of what members went on with
        self._stage = 0  # the one that the search is at
        self._changes = 0  # how often members went on with others
        self._pending: dict[str, np.ndarray] | None = None  # members to go on from
        self._inside = False  # whether those stand within the stage after the stored ones
        self._due = time.monotonic() + _SECONDS
        self.beside: dict[str, np.ndarray] = {}
        self.shape: tuple[int, int] | None = None

    def read(self) -> None:
        """Compare the definition, and read how far the search is.

        Raises:
            InputError: the folder holds another search.
            CheckpointError: a file is damaged, or another one.
        """
        self._figures, self._epochs, self._going, self._recipes, self._pending = [], [], [], [], None
        text = self._path("study.json")
        if not os.path.exists(text):
            if os.path.exists(self._path("state.safetensors")):
                self._refuse("hold study.json beside state.safetensors", "none")
            return
        where = f"{self._function}: {show_path(text)}"
        with open(text, "rb") as file:
            content = parse_json(where, file.read(), floats=True)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            refuse(where, "be a study that jaxann wrote", "other JSON")
        if type(content.get("version")) is not int or content["version"] != _VERSION:
            refuse(where, f"be of version {_VERSION}", show(content.get("version")))
        check_same_study(
            self._function,
            read_checked(where, "the definition of a study", content.get("definition")),
            self._definition,
        )
        if os.path.exists(self._path("state.safetensors")):
            self._read_state()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within, the folder is this search's alone.

        Raises:
            InputError: it is in use.
            OSError: the system refused.
        """
        os.makedirs(self._folder, exist_ok=True)
        with _locked(self._function, self._folder):
            self.read()  # again: another one may have had it meanwhile
            yield

    def _read_state(self) -> None:
        arrays, metadata = read_arrays(self._function, self._path("state.safetensors"), allow_nonfinite=True)
        try:
            self._inside = {"0": False, "1": True}[metadata["inside"]]
            self._recipes = metadata["recipes"].split()
            figures, epochs, going = (arrays.pop(name) for name in ("figures", "epochs", "going"))
        except KeyError:
            self._refuse("hold a search", "other arrays")
        logs = (figures, epochs, going)
        kinds = "".join(log.dtype.kind for log in logs)
        whole = kinds == "fib" and figures.ndim == 3 and epochs.shape == going.shape == figures.shape[:2]
        whole = whole and self.shape in (None, figures.shape[1:])
        whole = whole or all(log.shape == (0,) for log in logs)  # within the first stage
        if not whole:
            got = f"{figures.dtype} {figures.shape}, {epochs.dtype} {epochs.shape}, {going.dtype} {going.shape}"
            self._refuse("hold figures, epochs and going of the members of this search", got)
        self._figures, self._epochs, self._going, self._pending = list(figures), list(epochs), list(going), arrays

    @property
    def replays(self) -> bool:
        """Whether the members do not stand yet where they stood: nothing trains, and nothing can end."""
        return self._stage < len(self._figures) or self._pending is not None

    def goes_on(self, trainer: PopulationTrainer) -> bool:
        """Whether the stage is to be trained, its members put where they stood; False where its figures are stored."""
        if self._stage < len(self._figures):
            return False
        if self._pending is not None:
            self._restore(trainer)
        return True

    def figures(self, trainer: PopulationTrainer, evaluate: Callable[[], np.ndarray]) -> np.ndarray:
        """The figures at the end of a stage: those stored, or new ones, which are stored unless it was cut short."""
        if self._stage < len(self._figures):
            found, number = self._figures[self._stage], self._stage
            trainer.epoch[:], trainer.going[:] = self._epochs[number], self._going[number]
            self._stage += 1
            if self._stage == len(self._figures) and self._pending is not None and not self._inside:
                self._restore(trainer)
            return found
        found = evaluate()
        if not trainer.interrupted:
            self._figures.append(found)
            self._epochs.append(trainer.epoch.copy())
            self._going.append(trainer.going.copy())
            self._stage += 1
            self.write(trainer, inside=False)
        return found

    def follow(self, groups: Sequence[Group]) -> None:
        """Members go on with other settings: what was built with them is compared, or kept.

        Raises:
            InputError: another recipe was built with the same settings before.
        """
        digest = digest_of(self._describe([(group.recipe, jax.tree.leaves(group.leaves)) for group in groups]))
        if self._changes == len(self._recipes):
            self._recipes.append(digest)
        elif self._recipes[self._changes] != digest:
            got = f" another one for the settings of round {self._changes + 1}"
            fail(self._function, "recipe", "that of the stored study", got)
        self._changes += 1

    def watch(self, trainer: PopulationTrainer) -> Callable[[Moment], bool | None]:
        """An observer that writes now and then while a stage trains."""

        def observe(moment: Moment) -> None:
            if time.monotonic() >= self._due:
                self.write(trainer)

        return observe

    def write(self, trainer: PopulationTrainer, *, inside: bool = True) -> None:
        """Write how far the search is."""
        begun = time.monotonic()
        if not os.path.exists(self._path("study.json")):
            content = {"format": _FORMAT, "version": _VERSION, "definition": self._definition}
            data = json.dumps(content, ensure_ascii=True, allow_nan=False, indent=1).encode()
            write_atomically(self._function, self._path("study.json"), [data], len(data))
        logs = {"figures": self._figures, "epochs": self._epochs, "going": self._going}
        arrays = trainer.arrays() | self.beside | {name: np.array(rows) for name, rows in logs.items()}
        metadata = {"inside": str(int(inside)), "recipes": " ".join(self._recipes)}
        write_arrays(self._function, self._path("state.safetensors"), arrays, metadata, allow_nonfinite=True)
        now = time.monotonic()
        self._due = now + max(_SECONDS, _SHARE * (now - begun))

    def _restore(self, trainer: PopulationTrainer) -> None:
        assert self._pending is not None
        try:
            for name, array in self.beside.items():
                put_in(array, self._pending.pop(name))
            trainer.restore(self._pending)
        except (IndexError, KeyError, TypeError, ValueError):
            self._refuse("hold the members of this search", "others")
        self._pending = None

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _refuse(self, expected: str, got: str) -> NoReturn:
        refuse(f"{self._function}: {show_path(self._folder)}", expected, got)


def open_storage(
    search: Search,
    folder: str | os.PathLike[str] | None,
    columns: Mapping[str, Any] | Enqueued,
    *,
    space: Space | None = None,
    others: Mapping[str, Any] | None = None,
    varied: bool = False,
) -> Storage | None:
    """The storage of a search, compared with what it holds; None without a folder.

    Args:
        search: whose.
        folder: where; made when the search begins.
        columns: its settings.
        space: that settings were drawn from.
        others: further arguments of the search that scores depend on.
        varied: whether other settings of the space come up later.

    Raises:
        InputError: the folder is a file, or holds another search.
        CheckpointError: a file in it is damaged, or another one.
        OSError: the system refused.
    """
    if folder is None:
        return None
    function = search.function
    path = os.fspath(folder) if isinstance(folder, str | os.PathLike) else None
    if not isinstance(path, str) or not path or "://" in path:
        hint = "Only bayes takes a database: study=optuna.create_study(storage=...)."
        fail(function, "storage", "the path of a folder", folder, hint=hint)
    text = check_path(function, folder)
    if os.path.exists(text) and not os.path.isdir(text):
        fail(function, "storage", "a folder", f" a file, {show_path(text)}")
    if jax.process_count() > 1:
        hint = "The folder is kept by one process: leave storage out, or search in one."
        fail(function, "jax.process_count()", "1 where there is a storage", jax.process_count(), hint=hint)
    check_build(function, search.build)
    check_key(function, search.key)
    tried, _ = columns_of(function, columns)
    count = max((len(column) for column in tried.values()), default=1)
    made, describe = functools.partial(built_recipe, function, search.build), functools.partial(described, first={})
    recipes: list[Recipe | str] = [made(values_of(tried, i)) for i in range(count)]
    if varied and space is not None:
        recipes += built_at([*settings_of(space), *corners_of(space)], made)
    settings = ({} if space is None else describe_space(space)) | describe_columns(tried)
    definition = define_study(search, settings, recipes, others=others, describe=describe)
    storage = Storage(function, text, definition, describe)
    storage.read()
    return storage


@contextlib.contextmanager
def _locked(function: str, folder: str) -> Iterator[None]:
    """A folder for one search at a time; the system drops the lock of a process that dies."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(os.path.join(folder, ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(function, "storage", "a folder that no other search is using", f" {show_path(folder)}")
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)
