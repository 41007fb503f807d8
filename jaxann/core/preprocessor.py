"""The kind of product that learns statistics of data, and changes data by them.

    fit(x, where, y) -> state;   transform(state, x) -> z;   inverse_transform(state, z) -> x

Where the statistics follow from sums, data may come in pieces, in any order and from any number of machines:

    sums = p.partial_fit(p.partial_fit(None, first), second);   state = p.compute(sums)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxann.core.checks import check_pair, fail, traceable
from jaxann.core.factories import Product, product_class
from jaxann.core.typing import Array, Inputs, State, Targets

__all__ = ["Preprocessor", "PreprocessorFunctions"]


class PreprocessorFunctions(NamedTuple):
    """What the body of a preprocessor's factory returns: `measure`, `merge` and `compute`, or `fit` in their place."""

    transform: Callable  # (state, x) -> z
    inverse: Callable | None = None  # (state, z) -> x
    measure: Callable | None = None  # (x, where, y) -> sums
    merge: Callable | None = None  # (sums, sums) -> sums
    compute: Callable | None = None  # sums -> state
    fit: Callable | None = None  # (x, where, y) -> state, of what has to see all data at once
    names: Callable | None = None  # (state, names) -> names of the columns of z; where None, they are those of x
    traits: Iterable[str] = ()
    # x -> (name, array) of what has to be there, of one that fills in some of its inputs or columns and not others
    unfilled: Callable | None = None


@product_class
class Preprocessor(Product):
    """Learns from training data what to change, and changes any data so. Its factory returns `PreprocessorFunctions`.

    Data `(examples, ..., columns)`, or `(examples,)` for one column, are numpy arrays, which are computed with in
    float64 on the host, or JAX arrays, traced ones too; a missing number is NaN. What comes back is of the kind and the
    floating-point type of x (float32 for whole numbers).
    """

    __slots__ = ()
    TRAITS = frozenset(
        (
            "fills_missing",  # NaN may be in what it is given: it puts something in its place
            "makes_missing",  # NaN may be in what it gives, though nothing was missing
            "on_host",  # it takes texts and other Python objects, which no program holds
            "reads_targets",  # what it learns depends on the targets
        )
    )

    def fit(self, x: Inputs, where: Array | None = None, y: Targets | None = None) -> State:
        """What is learned from data: a tree of arrays, `{}` where nothing is.

        Args:
            x: `(examples, ..., columns)` or `(examples,)`.
            where: what counts, of the shape of x or of its first axes, `(examples,)` above all; all when None.
            y: targets, for a preprocessor that reads them.

        Raises:
            InputError: x has no such shape, an infinite number, or no number that counts; targets are missing.
        """
        functions: Any = self.functions
        name = self._factory.short_name
        if "reads_targets" in self.traits and y is None:
            fail(f"{name}.fit", "y", "given, for what is learned depends on it", None)
        where = _array(where)
        with traceable(name, "fit"):
            if functions.fit is not None:
                return functions.fit(x, where, y)
            return functions.compute(functions.measure(x, where, y))

    def partial_fit(self, sums: Any, x: Inputs, where: Array | None = None, y: Targets | None = None) -> Any:
        """The sums with more data counted in; None is the sums of no data.

        Raises:
            InputError: as `fit`; or the preprocessor has to see all data at once.
        """
        measured = self._in_pieces("partial_fit").measure(x, _array(where), y)
        return measured if sums is None else self.merge(sums, measured)

    def merge(self, a: Any, b: Any) -> Any:
        """The sums of both."""
        return self._in_pieces("merge").merge(a, b)

    def compute(self, sums: Any) -> State:
        """What is learned from the sums: the same as `fit` on all data, to rounding."""
        return self._in_pieces("compute").compute(sums)

    def transform(self, state: State, x: Inputs) -> Any:
        """Data changed by what was learned.

        Raises:
            InputError: x has other columns than the data that were learned from, or the state is another's.
        """
        with traceable(self._factory.short_name, "transform"), self._own(state):
            return self.functions.transform(state, x)

    def fit_transform(self, x: Inputs, where: Array | None = None, y: Targets | None = None) -> tuple[State, Any]:
        """`(state, z)`: what is learned from data, and these data changed by it."""
        state = self.fit(x, where, y)
        return check_pair(self._factory.short_name, "fit_transform", "(state, z)", (state, self.transform(state, x)))

    @property
    def invertible(self) -> bool:
        """Whether there is an `inverse_transform`."""
        return self.functions.inverse is not None

    def inverse_transform(self, state: State, z: Inputs) -> Any:
        """The data that are changed to z, or the nearest to them.

        Raises:
            InputError: nothing leads back.
        """
        if not self.invertible:
            fail(self._factory.short_name, "inverse_transform", "asked of one that leads back", f" {self}")
        with self._own(state):
            return self.functions.inverse(state, z)

    def feature_names(self, state: State, names: Sequence[str]) -> tuple[str, ...]:
        """Names of the columns of what `transform` gives, from those of x.

        Raises:
            InputError: there are too few of them.
        """
        named = self.functions.names
        try:
            return tuple(names) if named is None else tuple(named(state, tuple(names)))
        except IndexError:
            function = f"{self._factory.short_name}.feature_names"
            return fail(function, "names", "one for each column of x", f" {len(names)} names")

    @contextlib.contextmanager
    def _own(self, state: State) -> Iterator[None]:
        """Where what is missing in the state is said to be."""
        try:
            yield
        except KeyError as error:
            given = list(state) if isinstance(state, Mapping) else state
            if not isinstance(state, Mapping) or error.args[0] in state:
                raise
            fail(self._factory.short_name, "state", f"its own, from its fit, with {error.args[0]!r}", f" {given}")

    def _in_pieces(self, verb: str) -> Any:
        functions: PreprocessorFunctions = self.functions
        if functions.measure is None:
            hint = "Each step of a chain can be fitted piece by piece, on what the steps before it make of the pieces."
            fail(f"{self._factory.short_name}.{verb}", "the preprocessor", "one that learns from sums", f" {self}",
                 hint=hint)  # fmt: skip
        return functions


def _array(where: Any) -> Any:
    """A list of what counts as an array; a table of them, for inputs by name, as it is."""
    return np.asarray(where) if isinstance(where, list | tuple) else where
