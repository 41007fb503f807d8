"""Codes of categories as columns of zeros and ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.core.checks import check_choice, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import State
from jaxann.preprocessing.codes import check_sizes, code_columns, is_known
from jaxann.preprocessing.columns import columns_of, counted, namespace, narrowed, rowwise

__all__ = ["one_hot"]

_OTHER, _NONE = -1, -2  # codes of what is none of the known ones: where it has a column, and where it has not


@factory(Preprocessor, static=("sizes",), traits=("fills_missing",))
def one_hot(sizes: tuple[int, ...] | None = None, *, unknown: str = "ignore", drop: str | None = None):
    """z_(j,k) = 1 where x_j = k, else 0, for each code k = 0, ..., size_j - 1 of each column j.

    Args:
        sizes: how many codes each column has, as `ordinal`'s `sizes(state)` gives; None takes the largest code of the
            data and 1 more, which the host has to look at.
        unknown: what is no code (less than 0, not below the size, NaN): "ignore" gives zeros, "other" has one more
            column for each column, "error" refuses it where numbers can be looked at, and gives zeros in a program.
        drop: None; "first" leaves the column of code 0 out, so that columns do not sum to 1; "if_binary" does where
            there would be two.

    x `(examples, ..., columns)` or `(examples,)` are whole numbers, of whatever type; z is `(examples, ..., codes)`,
    those of all columns, of the type of x, or float32. `inverse_transform` gives int32: the code of the largest number,
    and -1 where all are 0. Where code 0 was dropped, it is the code where no number is above 1/2.

    State: `{}`; without sizes `column0`, `column1`, ..., the codes of each column `(size,)`: their shapes say how many
    there are, so a program may take the state too.

    Peers: as scikit-learn's OneHotEncoder on such codes, but that gives a sparse matrix unless told. jax.nn.one_hot is
    for one column.

    Raises:
        InputError: an argument is none; x has other columns, or fractions; a number is unknown and refused; there are
            no sizes where it is fitted in a program.
    """
    check_choice("one_hot", "unknown", unknown, ("ignore", "error", "other"))
    if drop is not None:
        check_choice("one_hot", "drop", drop, ("first", "if_binary"))
    if sizes is not None:
        check_sizes("one_hot", sizes)

    def measure(x, where, y):
        codes = code_columns("one_hot", x, sizes)
        real = counted("one_hot", codes, where)
        if sizes is not None:
            return {}
        flat = namespace(codes, real).where(real, codes, -1).reshape((-1, *(codes.shape[1:][-1:] or (1,))))
        return {"largest": namespace(flat).max(flat, 0, initial=-1)}

    def merge(a, b):
        return {name: namespace(a[name], b[name]).maximum(a[name], b[name]) for name in a}

    def compute(sums):
        if sizes is not None:
            return {}
        if not is_concrete(sums["largest"]):
            hint = "Shapes are known before numbers are: ordinal's sizes(state), or the number of codes of each column."
            fail("one_hot", "sizes", "given where it is fitted in a program", None, hint=hint)
        largest = np.asarray(sums["largest"]).astype(np.int64).tolist()
        return {f"column{i}": np.arange(max(code, -1) + 1, dtype=np.int32) for i, code in enumerate(largest)}

    def table(state) -> tuple[tuple[int, ...], list[list[int]]]:
        """Sizes, and the code that each column of z stands for, a list a column of x."""
        known = sizes if sizes is not None else _learned_sizes(state)
        shown = []
        for size in known:
            codes = [*range(size), *([_OTHER] if unknown == "other" else [])]
            dropped = size > 0 and (drop == "first" or (drop == "if_binary" and len(codes) == 2))
            shown.append(codes[1:] if dropped else codes)
        return known, shown

    def transform(state, x):
        known, shown = table(state)
        codes = code_columns("one_hot", x, known)
        codes = codes[:, None] if codes.ndim == 1 else codes
        xp = namespace(codes)
        there = is_known(codes, known)
        if unknown == "error" and is_concrete(there) and not (good := np.asarray(there)).all():
            place = np.argwhere(~good)[0].tolist()
            fail("one_hot", "x", f"of codes from 0 to {known[place[-1]] - 1} in column {place[-1]}",
                 f" {np.asarray(codes)[tuple(place)]:g} in row {place[0]}")  # fmt: skip
        codes = xp.where(there, codes, _OTHER if unknown == "other" else _NONE)
        source = np.repeat(np.arange(len(known)), [len(one) for one in shown])
        chosen = codes[..., source]
        own: Any = np.array([code for one in shown for code in one], codes.dtype)
        return narrowed(chosen == rowwise(own, chosen), x)

    def inverse(state, z):
        known, shown = table(state)
        wide = columns_of("one_hot.inverse_transform", z)
        ends = np.cumsum([0, *map(len, shown)]).tolist()
        if wide.ndim == 1 or wide.shape[-1] != ends[-1]:
            fail("one_hot.inverse_transform", "z", f"of {ends[-1]} columns", f" shape {tuple(wide.shape)}")
        xp = namespace(wide)
        columns = []
        for size, one, start, end in zip(known, shown, ends[:-1], ends[1:], strict=True):
            block = xp.nan_to_num(wide[..., start:end], nan=0.0)
            is_dropped = size > 0 and 0 not in one
            if not one:
                columns.append(xp.full(wide.shape[:-1], 0 if is_dropped else -1, np.int32))
                continue
            best = xp.asarray(np.array(one, np.int32))[xp.argmax(block, -1)]
            some = xp.max(block, -1) > 0.5 if is_dropped else xp.any(block != 0, -1)
            columns.append(xp.where(some, best, np.int32(0 if is_dropped else -1)))
        return xp.stack(columns, -1)

    def named(state, names):
        shown = table(state)[1]
        if len(names) != len(shown):
            fail("one_hot.feature_names", "names", f"{len(shown)} names", f" {len(names)}")
        ends = [["other" if code == _OTHER else code for code in one] for one in shown]
        return [f"{name}_{end}" for name, one in zip(names, ends, strict=True) for end in one]

    return PreprocessorFunctions(transform, inverse, measure, merge, compute, names=named)


def _learned_sizes(state: State) -> tuple[int, ...]:
    return tuple(state[f"column{i}"].shape[0] for i in range(len(state)))
