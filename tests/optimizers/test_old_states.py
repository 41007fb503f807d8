"""States of `accumulate` from before batches had weights: read where nothing is lost, refused elsewhere."""

from __future__ import annotations

import io
import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann.core import CheckpointError
from jaxann.optimizers import AccumulateState

RULE, PARAMS = o.accumulate(o.adam(0.1), 2), {"w": jnp.ones(3)}


class Old(NamedTuple):
    """The three fields of version 0.1."""

    calls: Any
    total: Any
    inner: Any


class _Renamed(pickle.Pickler):
    """Writes an `Old` as the class of that version was written: by the name of today's."""

    def reducer_override(self, value: Any) -> Any:
        return (AccumulateState, tuple(value)) if isinstance(value, Old) else NotImplemented


def _stored(calls: int) -> bytes:
    state = RULE.init(PARAMS)
    file = io.BytesIO()
    _Renamed(file).dump(Old(jnp.int32(calls), state.total, state.inner))
    return file.getvalue()


def test_a_state_between_two_updates_is_read():
    found, fresh = pickle.loads(_stored(0)), RULE.init(PARAMS)
    assert type(found) is AccumulateState and jax.tree.structure(found) == jax.tree.structure(fresh)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(fresh), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    updates, _ = RULE.update(PARAMS, found, PARAMS)
    np.testing.assert_array_equal(updates["w"], np.zeros(3))


def test_a_state_with_gradients_of_unknown_weights_is_refused():
    with pytest.raises(CheckpointError, match=r"calls of the state must be 0 in a state without `weight`.*, got 1\."):
        pickle.loads(_stored(1))


def test_a_state_of_today_pickles_and_is_rebuilt():
    state = RULE.init(PARAMS)._replace(calls=jnp.int32(1), weight=jnp.float32(3))
    again = pickle.loads(pickle.dumps(state))
    assert type(again) is AccumulateState and float(again.weight) == 3 and int(again.calls) == 1
    mapped = jax.tree.map(lambda leaf: leaf, state)
    assert type(mapped) is AccumulateState and mapped._fields == ("calls", "total", "weight", "inner")
    assert AccumulateState(calls=1, total={}, weight=2.0, inner=()) == (1, {}, 2.0, ())
