"""The table of a search: what was tried, how well each did, which is best; to read, to paste, to keep."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.errors import InputError
from jaxann.core.typing import Predictions
from jaxann.io.atomic import check_path, show_path, write_atomically
from jaxann.io.header import parse_json, refuse
from jaxann.io.safetensors import open_plain
from jaxann.train.run import Result
from jaxann.tune.dimensions import plain
from jaxann.tune.layout import WIDTH, layout, short, shorten
from jaxann.tune.serialization import from_json, to_json, to_source

__all__ = ["Table", "load_table"]

_SHOWN = 10  # settings of a printed table
_FORMAT = "jaxann table"
_VERSION = 2  # 1 had "hypers" for "hyperparameters"
_DTYPES = ("float16", "float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Every setting of a search with its scores. `print(table)` shows the best ones, `table.best` is the best one.

    A score that is NaN is of a run that diverged or was not made. The mean over a setting's repeats is then NaN too,
    and the setting stands behind all others.

    Attributes:
        hyperparameters: from name to the column of values, an array or a list of length `settings`.
        scores: from the name of a figure to its values `(settings, repeats)`, one for each fold and repeat.
        monitor: the figure that settings are ordered by.
        mode: "min" or "max", which of it is better.
        epochs: epochs each run took `(settings, repeats)`.
        rounds: how far each setting came `(settings,)`, where a search compares only settings that came as far: those
            of a later round stand before those of an earlier one. None where all scores are comparable.
        out_of_fold: predictions `(settings, rows, ...)` of the models that did not train on the row, or None; see
            `cross_validate`. A file does not hold them, nor the next.
        refitted: the result of training the best setting on all data, or None; see `cross_validate`.

    Raises:
        InputError: shapes do not agree, or there is no figure named `monitor`.
    """

    hyperparameters: dict[str, Any]
    scores: dict[str, np.ndarray]
    monitor: str
    mode: str
    epochs: np.ndarray
    rounds: np.ndarray | None = None
    out_of_fold: Predictions | None = None
    refitted: Result | None = None

    def __post_init__(self) -> None:
        check_choice("Table", "mode", self.mode, ("min", "max"))
        if not isinstance(self.scores, Mapping) or not self.scores:
            fail("Table", "scores", "a dict from names of figures to arrays (settings, repeats)", self.scores)
        check_choice("Table", "monitor", self.monitor, self.scores)
        if not isinstance(self.hyperparameters, Mapping):
            fail("Table", "hyperparameters", "a dict from names to columns", self.hyperparameters)
        shape = np.shape(self.scores[self.monitor])
        scores = {name: _figures(f"scores[{name!r}]", values, shape, "iuf") for name, values in self.scores.items()}
        hyperparameters = {name: _column(name, values, shape[0]) for name, values in self.hyperparameters.items()}
        object.__setattr__(self, "scores", {name: values.astype(np.float64) for name, values in scores.items()})
        object.__setattr__(self, "hyperparameters", hyperparameters)
        object.__setattr__(self, "epochs", _figures("epochs", self.epochs, shape, "iu").astype(np.int64))
        if self.rounds is not None:
            rounds = np.asarray(self.rounds)
            if rounds.shape != shape[:1] or rounds.dtype.kind not in "iu":
                got = f" {rounds.dtype} of shape {rounds.shape}"
                fail("Table", "rounds", f"integers of shape {shape[:1]}, or None", got)
            object.__setattr__(self, "rounds", rounds.astype(np.int64))

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def mean(self) -> dict[str, np.ndarray]:
        """From the name of a figure to its mean over the repeats `(settings,)`."""
        with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs: NaN
            return {name: values.mean(1) for name, values in self.scores.items()}

    @property
    def std(self) -> dict[str, np.ndarray]:
        """From the name of a figure to its standard deviation over the repeats `(settings,)`, divided by their number.

        The same as scikit-learn's `std_test_score`.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            return {name: values.std(1) for name, values in self.scores.items()}

    @property
    def order(self) -> np.ndarray:
        """Indices of the settings `(settings,)`, best first: by round, latest first, then by the mean of `monitor`.

        Settings whose mean is not finite come last; ties by index.
        """
        mean = self.mean[self.monitor]
        finite = np.isfinite(mean)
        cost = np.where(finite, mean if self.mode == "min" else -mean, 0.0)
        early = np.zeros(len(self)) if self.rounds is None else -self.rounds
        return np.lexsort((np.arange(len(self)), cost, np.where(finite, early, 0), ~finite))

    @property
    def best_index(self) -> int:
        """Index of the best setting.

        Raises:
            InputError: no setting has finite scores.
        """
        index = int(self.order[0])
        if not np.isfinite(self.mean[self.monitor][index]):
            fail("Table", f"scores[{self.monitor!r}]", "finite for at least one setting", f" none of {len(self)}")
        return index

    @property
    def best(self) -> dict[str, Any]:
        """The best setting: from name to Python value.

        Raises:
            InputError: no setting has finite scores.
        """
        return self.setting(self.best_index)

    def setting(self, index: int) -> dict[str, Any]:
        """One setting: from name to Python value.

        Raises:
            InputError: there is no such setting.
        """
        check_integer("Table.setting", "index", index, 0)
        if index >= len(self):
            fail("Table.setting", "index", f"below the number of settings, {len(self)}", index)
        return {name: plain(column[index]) for name, column in self.hyperparameters.items()}

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each setting, best first, as `pandas.DataFrame` takes them.

        The keys: `setting` (its index), the names of the hyperparameters, `mean_<figure>` and `std_<figure>`,
        `mean_epochs`, and `round` where there are rounds.

        Raises:
            InputError: a hyperparameter bears the name of one of the other keys.
        """
        figures: dict[str, np.ndarray] = {"setting": np.arange(len(self))}
        for name in self.scores:
            figures |= {f"mean_{name}": self.mean[name], f"std_{name}": self.std[name]}
        figures["mean_epochs"] = self.epochs.mean(1)
        if self.rounds is not None:
            figures["round"] = self.rounds
        taken = figures.keys() & self.hyperparameters.keys()
        if taken:
            expected = f"named otherwise than {', '.join(figures)}"
            fail("Table.rows", "hyperparameters", expected, f" {', '.join(sorted(taken))}")
        front, *rest = figures
        return [
            {front: int(i), **self.setting(int(i)), **{name: plain(figures[name][i]) for name in rest}}
            for i in self.order
        ]

    def code(self, index: int | None = None) -> str:
        """One setting as a line of Python to paste: `hyper = {"learning_rate": 0.00316, "weight_decay": 1e-05}`.

        Args:
            index: of the setting; the best one when None.

        Raises:
            InputError: a value cannot be written as code, such as a function, or there is no such setting.
        """
        setting = self.best if index is None else self.setting(index)
        items = [
            f"{to_source('Table.code', 'name', name)}: {to_source('Table.code', f'setting[{name!r}]', value)}"
            for name, value in setting.items()
        ]
        line = "hyper = {" + ", ".join(items) + "}"
        return line if len(line) <= WIDTH else "hyper = {\n" + "".join(f"    {item},\n" for item in items) + "}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON; at any moment the path holds the old file or the new one. `load_table` reads it.

        Raises:
            InputError: a value cannot be written, such as a function of your own, or the path is a folder.
            OSError: the system refused; the text names the path.
        """
        text = check_path("Table.save", path)
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "monitor": self.monitor,
            "mode": self.mode,
            "hyperparameters": {name: _encode_column(name, column) for name, column in self.hyperparameters.items()},
            "scores": {name: to_json("Table.save", name, values.tolist()) for name, values in self.scores.items()},
            "epochs": self.epochs.tolist(),
            "rounds": None if self.rounds is None else self.rounds.tolist(),
        }
        data = json.dumps(content, ensure_ascii=True, allow_nan=False).encode()
        write_atomically("Table.save", text, [data], len(data))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        repeats = self.epochs.shape[1]
        several = f", mean ± standard deviation of {repeats} scores" if repeats > 1 else ""
        count = "1 setting" if len(self) == 1 else f"{len(self)} settings, best first"
        apart = "" if self.rounds is None else ", longest trained first"
        heading = f"{count}, by {self.monitor} ({self.mode}){apart}{several}"
        shown, mean, std = self.order[:_SHOWN], self.mean, self.std

        def scores(name: str) -> list[str]:
            if repeats == 1:
                return [name, *(f"{mean[name][i]:.4g}" for i in shown)]
            return [name, *(f"{mean[name][i]:.4g} ± {std[name][i]:.4g}" for i in shown)]

        columns = [["setting", *(str(i) for i in shown)], scores(self.monitor)]
        columns += [scores(name) for name in self.scores if name != self.monitor]
        columns += [[name, *(short(plain(column[i])) for i in shown)] for name, column in self.hyperparameters.items()]
        columns += [["epochs", *(f"{self.epochs[i].mean():.4g}" for i in shown)]]
        lines = layout(columns)
        if len(self) > _SHOWN:
            more = len(self) - _SHOWN
            lines.append(f"... and {more} more setting{'s' if more > 1 else ''}")
        return "\n".join(shorten(line) for line in (heading, "", *lines))


def load_table(path: str | os.PathLike[str]) -> Table:
    """The table that `Table.save` wrote, every number exactly.

    Raises:
        CheckpointError: the file is damaged, or holds something else.
        OSError: there is no such file, or no permission.
    """
    text = check_path("load_table", path)
    where = f"load_table: {show_path(text)}"
    with open_plain(where, text) as file:
        content = parse_json(where, file.read(), floats=True)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        refuse(where, "be a table that Table.save wrote", "other JSON")
    if content.get("version") not in (1, _VERSION):
        refuse(where, f"be of version {_VERSION} or 1", str(content.get("version"))[:20])
    column = "hypers" if content["version"] == 1 else "hyperparameters"
    fields = ("format", "version", "monitor", "mode", column, "scores", "epochs", "rounds")
    if set(content) != set(fields):
        refuse(where, f"hold {', '.join(fields)}", ", ".join(content)[:80])
    try:
        return Table(
            hyperparameters={name: _decode_column(values) for name, values in content[column].items()},
            scores={name: np.array(from_json(values), np.float64) for name, values in content["scores"].items()},
            monitor=content["monitor"],
            mode=content["mode"],
            epochs=np.array(content["epochs"], np.int64),
            rounds=None if content["rounds"] is None else np.array(content["rounds"], np.int64),
        )
    except (InputError, AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        refuse(where, "hold a table", f"a malformed one ({str(error).splitlines()[0][:120]})")


def _figures(argument: str, values: Any, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape or array.shape != shape or array.dtype.kind not in kinds:
        sizes = "(settings, repeats), at least one of each" if len(shape) != 2 or 0 in shape else str(shape)
        kind = "numbers" if "f" in kinds else "integers"
        fail("Table", argument, f"{kind} of shape {sizes}", f" {array.dtype} of shape {array.shape}")
    return array


def _column(name: str, values: Any, count: int) -> np.ndarray | list[Any]:
    """A column of plain Python values, or of numbers as an array."""
    if isinstance(values, np.ndarray | jax.Array):
        column: Any = np.asarray(values)
        if column.ndim != 1 or column.dtype.kind not in "iuf":
            column = column.tolist() if column.ndim == 1 and column.dtype.kind in "bU" else None
    else:
        column = [plain(value) for value in values] if isinstance(values, list | tuple) else None
    if not isinstance(name, str) or column is None:
        fail("Table", f"hyperparameters[{name!r}]", "an array of shape (settings,) or a list, named by a text", values)
    if len(column) != count:
        fail("Table", f"hyperparameters[{name!r}]", f"{count} values, one a setting", f" {len(column)}")
    return column


def _encode_column(name: str, column: np.ndarray | list[Any]) -> Any:
    values = to_json(
        "Table.save", f"hyperparameters[{name!r}]", column if isinstance(column, list) else column.tolist()
    )
    return {"values": values} if isinstance(column, list) else {"values": values, "dtype": column.dtype.name}


def _decode_column(column: Any) -> np.ndarray | list[Any]:
    values = from_json(column["values"])
    if "dtype" not in column:
        return values
    check_choice("load_table", "dtype", column["dtype"], _DTYPES)
    return np.array(values, column["dtype"])
