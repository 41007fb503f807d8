"""Preprocessors put together: one after the other, each on columns of its own, each on an input of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.preprocessing.columns import columns_of, namespace, narrowed

__all__ = ["by_columns", "by_name", "chain"]


def _step(function: str, argument: str, value: Any) -> Any:
    if not isinstance(value, Preprocessor):
        hint = "A transformer of scikit-learn cannot stand here; for a search, resampling(prepare=...) takes one."
        fail(function, argument, "a product of jaxann.preprocessing", value, hint=hint)
    return value


def _named(function: str):
    def convert(table: Any) -> dict[str, Any]:
        if not isinstance(table, Mapping) or not table:
            fail(function, "preprocessors", "a dict from name to preprocessor, or None for what stays", table)
        for name in table:
            if not isinstance(name, str) or not name or "." in name:
                fail(function, "each name of preprocessors", "a string without a dot", name)
        return {n: v if v is None else _step(function, f"preprocessors[{n!r}]", v) for n, v in table.items()}

    return convert


def _traits(preprocessors: Any) -> tuple[str, ...]:
    return tuple(sorted({trait for one in preprocessors if one is not None for trait in one.traits}))


def _fills(one: Preprocessor | None) -> bool:
    """Whether it puts something in the place of every missing number."""
    return one is not None and "fills_missing" in one.traits and one.functions.unfilled is None


def _unfilled(one: Preprocessor | None, name: str, x: Any) -> list[tuple[str, Any]]:
    """What has to be there of the input of this name."""
    if one is None or "fills_missing" not in one.traits:
        return [(name, x)]
    return [] if _fills(one) else [(name + inner, part) for inner, part in one.functions.unfilled(x)]


@factory(Preprocessor, convert={"steps": lambda values: tuple(_step("chain", "each of steps", v) for v in values)})
def chain(*steps: Preprocessor):
    """z = p_n(... p_2(p_1(x))), each learning from what those before it make of the data.

        chain(impute("median"), standard())

    State: that of each step, by the names `step0`, `step1`, .... In pieces it cannot learn: each step needs all of the
    data once, after the steps before it have learned.

    Peers: as scikit-learn's make_pipeline.

    Raises:
        InputError: there is no step, or one is no preprocessor.
    """
    if not steps:
        fail("chain", "steps", "at least one preprocessor", " none")

    def fit(x, where, y):
        state = {}
        for number, step in enumerate(steps):
            state[f"step{number}"] = step.fit(x, where, y)
            if number + 1 < len(steps):
                changed = step.transform(state[f"step{number}"], x)
                where, x = _still(where, x, changed), changed
        return state

    def transform(state, x):
        for number, step in enumerate(steps):
            x = step.transform(state[f"step{number}"], x)
        return x

    def inverse(state, z):
        for number in reversed(range(len(steps))):
            z = steps[number].inverse_transform(state[f"step{number}"], z)
        return z

    def names(state, names):
        for number, step in enumerate(steps):
            names = step.feature_names(state[f"step{number}"], names)
        return names

    filling = [number for number, step in enumerate(steps) if _fills(step)]
    traits = set(_traits(steps)) - {"makes_missing"}
    if any("makes_missing" in step.traits for step in steps[max(filling, default=0) :]):
        traits.add("makes_missing")
    leads_back = all(step.invertible for step in steps)
    return PreprocessorFunctions(
        transform,
        inverse if leads_back else None,
        fit=fit,
        names=names,
        traits=sorted(traits),
        unfilled=None if filling else _asked(steps),
    )


def _asked(steps: tuple[Preprocessor, ...]) -> Any:
    """What has to be there where no step fills all in: what the first that fills some in leaves missing, if the columns
    are still those of x there, else everything. None where no step fills anything in.
    """
    for number, step in enumerate(steps):
        if "fills_missing" in step.traits:
            known = all(one.functions.names is None for one in steps[:number])
            return step.functions.unfilled if known else lambda x: [("", x)]
    return None


def _still(where: Any, x: Any, changed: Any) -> Any:
    """What counts of what a step made of x: rows and positions are the same ones, columns may be others."""
    if isinstance(where, Mapping):
        both = isinstance(x, Mapping) and isinstance(changed, Mapping)
        return {n: _still(one, x[n], changed[n]) for n, one in where.items()} if both else where
    if where is None or where.ndim < max(2, np.ndim(x)) or np.shape(changed) == np.shape(x):
        return where
    return where.any(-1)


def _each(preprocessors: Mapping[str, Preprocessor | None], transform: Any, names: Any, split: Any) -> Any:
    """The functions of preprocessors side by side, each on what `split(x, where)` gives for its name."""
    own = {name: one for name, one in preprocessors.items() if one is not None}

    def fit(x, where, y):
        inputs = split(x, where)
        return {name: own[name].fit(*inputs[name], y=y) if name in own else {} for name in preprocessors}

    def measure(x, where, y):
        inputs = split(x, where)
        return {name: one.partial_fit(None, *inputs[name], y=y) for name, one in own.items()}

    def merge(a, b):
        return {name: one.merge(a[name], b[name]) for name, one in own.items()}

    def compute(sums):
        return {name: own[name].compute(sums[name]) if name in own else {} for name in preprocessors}

    piecewise = all(one.functions.measure is not None for one in own.values())
    found = PreprocessorFunctions(transform, fit=fit, names=names, traits=_traits(own.values()))
    return found._replace(fit=None, measure=measure, merge=merge, compute=compute) if piecewise else found


@factory(
    Preprocessor, static=("columns",), convert={"preprocessors": _named("by_columns"), "columns": lambda v: _chosen(v)}
)
def by_columns(preprocessors: Mapping[str, Preprocessor | None], columns: Mapping[str, Sequence[int]]):
    """z = what each preprocessor makes of its columns of x, side by side in the order of the table.

        by_columns({"counts": power(), "rest": standard()}, columns={"counts": (0, 3), "rest": (1, 2)})

    Args:
        preprocessors: by name; None takes its columns over as they are.
        columns: the numbers of the columns of each, by the same names. What no name has is left out.

    State: that of each, by name.

    Peers: as scikit-learn's ColumnTransformer, whose columns may have names.

    Raises:
        InputError: the names differ, a column is no whole number from 0 on, or (when used) x has it not.
    """
    chosen = dict(columns)
    if set(chosen) != set(preprocessors):
        fail("by_columns", "columns", f"for the names {', '.join(preprocessors)}", f" {', '.join(map(str, chosen))}")

    def check(x):
        if x.dtype.kind in "fiub":
            columns_of("by_columns", x)  # whose message knows the columns of the whole

    def taken(x, name):
        width = x.shape[-1] if x.ndim > 1 else 0
        if max(chosen[name], default=0) >= width:
            fail("by_columns", "x", f"of at least {max(chosen[name]) + 1} columns", f" shape {tuple(x.shape)}")
        return x[..., list(chosen[name])]

    def split(x, where):
        x = _array(x)

        def own(name):
            return where if where is None or where.ndim < x.ndim else taken(where, name)

        check(x)
        return {name: (taken(x, name), own(name)) for name in preprocessors}

    def transform(state, x):
        x = _array(x)
        check(x)
        pieces = [
            taken(x, name) if one is None else one.transform(state[name], taken(x, name))
            for name, one in preprocessors.items()
        ]
        if any(jnp.issubdtype(piece.dtype, jnp.floating) for piece in pieces):
            pieces = [narrowed(piece, x) if piece.dtype.kind in "iub" else piece for piece in pieces]
        return namespace(*pieces).concatenate(pieces, -1)

    def names(state, names):
        found = []
        for name, one in preprocessors.items():
            own = [names[column] for column in chosen[name]]
            found.extend(own if one is None else one.feature_names(state[name], own))
        return found

    def unfilled(x):
        kept = ((name, taken(x, name)) for name in preprocessors)
        return [one for name, own in kept for one in _unfilled(preprocessors[name], f", columns {name!r}", own)]

    return _each(preprocessors, transform, names, split)._replace(unfilled=unfilled)


def _array(x: Any) -> Any:
    return x if isinstance(x, np.ndarray | jax.Array) else np.asarray(x)


def _chosen(columns: Any) -> Any:
    """The table as a tuple, which is static."""
    if not isinstance(columns, Mapping):
        if isinstance(columns, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in columns):
            return columns
        fail("by_columns", "columns", "a dict from name to numbers of columns", columns)
    for name, numbers in columns.items():
        for number in numbers:
            check_integer("by_columns", f"each of columns[{name!r}]", number, 0)
    return tuple((name, tuple(int(number) for number in numbers)) for name, numbers in columns.items())


@factory(Preprocessor, convert={"preprocessors": _named("by_name")})
def by_name(preprocessors: Mapping[str, Preprocessor | None]):
    """z = what each preprocessor makes of the input of its name, for a model of several inputs.

        by_name({"numbers": chain(impute(), standard()), "categories": None})

    Args:
        preprocessors: by name of the input; None takes one over as it is.

    Data are dicts of arrays with these names. State: that of each, by name.

    Peers: scikit-learn has no data of several inputs.

    Raises:
        InputError: the table is none, or (when used) x has other names.
    """

    def check(x):
        if not isinstance(x, Mapping) or set(x) != set(preprocessors):
            got = f" {', '.join(map(str, x))}" if isinstance(x, Mapping) else x
            fail("by_name", "x", f"a dict with the names {', '.join(preprocessors)}", got)

    def split(x, where):
        check(x)
        if isinstance(where, Mapping) and set(where) != set(x):
            got = f" {', '.join(map(str, where))}"
            fail("by_name", "where", f"a dict with the names {', '.join(preprocessors)}, or one array", got)
        return {name: (x[name], where[name] if isinstance(where, Mapping) else where) for name in preprocessors}

    def transform(state, x):
        check(x)
        return {n: x[n] if one is None else one.transform(state[n], x[n]) for n, one in preprocessors.items()}

    def inverse(state, z):
        check(z)
        return {n: z[n] if one is None else one.inverse_transform(state[n], z[n]) for n, one in preprocessors.items()}

    def unfilled(x):
        check(x)
        return [one for name in preprocessors for one in _unfilled(preprocessors[name], f"[{name!r}]", x[name])]

    leads_back = all(one is None or one.invertible for one in preprocessors.values())
    found = _each(preprocessors, transform, None, split)
    return found._replace(inverse=inverse if leads_back else None, unfilled=unfilled)
