"""What holds for every preprocessor."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core import flatten_named
from jaxann.core.preprocessor import Preprocessor
from tests.catalogue import PREPROCESSORS, PreprocessorRow
from tests.contract import assert_input_error
from tests.programs import quick_jit

every = pytest.mark.parametrize("row", PREPROCESSORS, ids=str)
piecewise = pytest.mark.parametrize("row", [row for row in PREPROCESSORS if row.pieces], ids=str)
in_program = pytest.mark.parametrize("row", [row for row in PREPROCESSORS if row.in_program], ids=str)

learned = quick_jit(lambda p, x, where, y: p.fit(x, where, y))
changed = quick_jit(lambda p, state, x: p.transform(state, x))


def examples(row: PreprocessorRow) -> tuple[Any, Any]:
    """Data and targets, read-only."""
    random = np.random.default_rng(7)
    if row.data is None:
        x = random.normal(size=(50, 4)) * [1.0, 20.0, 0.1, 3.0] + [0.0, 5.0, -1.0, 0.0]
        x[random.random(x.shape) < 0.1] = np.nan
    else:
        x = row.data(random)
    for leaf in jax.tree.leaves(x):
        leaf.setflags(write=False)
    return x, None if row.targets is None else row.targets(random)


def taken(tree: Any, rows: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def assert_near(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if np.asarray(b).dtype.kind == "O":
            assert np.asarray(a).tolist() == np.asarray(b).tolist()
        else:
            size = np.nanmax(np.abs(np.asarray(b, float)), initial=0)
            np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=rtol, atol=rtol * size)


@every
def test_what_is_learned_is_a_tree_of_arrays_that_a_file_holds(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    assert isinstance(preprocessor, Preprocessor)
    state = preprocessor.fit(x, None, y)
    for name, leaf in flatten_named(state).items():
        assert np.asarray(leaf).dtype.kind in "fiub", name
        assert row.keeps_missing or np.isfinite(leaf).all(), f"{name}: NaN is what was not learned"
    names = [key.key for path, _ in jax.tree_util.tree_flatten_with_path(state)[0] for key in path]
    assert all(isinstance(name, str) and "." not in name for name in names)
    assert ("reads_targets" in preprocessor.traits) == (row.targets is not None)
    if y is not None:
        assert_input_error(lambda: preprocessor.fit(x), "y", given="None")


@every
def test_each_row_is_changed_by_itself(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    state, z = preprocessor.fit_transform(x, None, y)
    order = np.array([4, 0, 4, 33])
    assert_near(preprocessor.transform(state, taken(x, order)), taken(z, order), 1e-12)
    assert_near(preprocessor.transform(state, x), z, 0)
    for leaf in jax.tree.leaves(preprocessor.transform(state, taken(x, slice(0, 0)))):
        assert leaf.shape[0] == 0


@every
def test_rows_that_do_not_count_are_as_if_they_were_not_there(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    where = np.random.default_rng(1).random(50) < 0.7
    if row.by_row:
        found = preprocessor.fit(x, where, y)
        assert_near(found, preprocessor.fit(taken(x, where), None, y if y is None else taken(y, where)))
    if not isinstance(x, dict):
        assert_input_error(lambda: preprocessor.fit(x, where[:-1], y), "where", given="(49,)")


@piecewise
def test_pieces_in_any_order_are_the_whole(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    expected = preprocessor.fit(x, None, y)
    for cuts in ((1, 2, 30), (25,), (49,)):
        bounds = [0, *cuts, 50]
        rows = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        sums = None
        for one in rows:
            sums = preprocessor.partial_fit(sums, taken(x, one), None, y if y is None else taken(y, one))
        assert_near(preprocessor.compute(sums), expected)
        apart = [
            preprocessor.partial_fit(None, taken(x, one), None, y if y is None else taken(y, one))
            for one in reversed(rows)
        ]
        joined = apart[0]
        for other in apart[1:]:
            joined = preprocessor.merge(joined, other)
        assert_near(preprocessor.compute(joined), expected)


@every
def test_what_cannot_learn_in_pieces_says_so(row: PreprocessorRow):
    if row.pieces:
        return
    preprocessor, (x, y) = row.build(), examples(row)
    for verb in (lambda: preprocessor.partial_fit(None, x, None, y), lambda: preprocessor.compute(None)):
        assert_input_error(verb, "the preprocessor", given=row.name.rpartition(".")[2])


@in_program
def test_a_program_learns_and_changes_the_same(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    state, z = preprocessor.fit_transform(x, None, y)
    narrow = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32 if leaf.dtype.kind == "f" else None), x)
    if row.same_inside:
        assert_near(learned(preprocessor, narrow, None, y), state, 2e-5)
    inside = changed(preprocessor, state, narrow)
    assert_near(inside, z, 2e-5)
    for leaf, kept in zip(jax.tree.leaves(inside), jax.tree.leaves(z), strict=True):
        assert isinstance(leaf, jax.Array) and isinstance(kept, np.ndarray)


@every
def test_what_leads_back_leads_back(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    state, z = preprocessor.fit_transform(x, None, y)
    if preprocessor.invertible:
        again = preprocessor.transform(state, preprocessor.inverse_transform(state, z))
        assert_near(again, z, 1e-6)
    else:
        assert_input_error(lambda: preprocessor.inverse_transform(state, z), "inverse_transform")


@every
def test_other_columns_and_infinite_numbers_are_refused(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    state = preprocessor.fit(x, None, y)
    narrower = {"a": x["a"]} if isinstance(x, dict) else x[:, :2]
    assert_input_error(lambda: preprocessor.transform(state, narrower), "x")
    if not isinstance(x, dict) and x.dtype.kind == "f":
        wild = x.copy()
        wild[3, 1] = np.inf
        assert_input_error(lambda: preprocessor.fit(wild, None, y), "x", given="[3, 1]")
        assert_input_error(lambda: preprocessor.fit(x.astype(str), None, y), "x", given="<U")


@every
def test_there_is_a_name_for_each_column(row: PreprocessorRow):
    preprocessor, (x, y) = row.build(), examples(row)
    if not isinstance(x, dict):
        state, z = preprocessor.fit_transform(x, None, y)
        names = preprocessor.feature_names(state, [f"c{i}" for i in range(x.shape[1])])
        assert len(names) == len(set(names)) == np.prod(z.shape[1:])
