"""How a study tells two values apart: by what functions do and hold, not by their names."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.tune.described import described

FACTOR = 1.0


class Scaled:
    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, predictions: Any, targets: Any) -> Any:
        return self.factor * predictions

    def loss(self, predictions: Any, targets: Any) -> Any:
        return self.factor * predictions


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    factor: float


def closure(held: Any) -> Any:
    return lambda p: held.factor * p


def within(function: Any) -> Any:
    return lambda p: function(p)


def keyword(factor: float) -> Any:
    def loss(p: Any, *, k: float = factor) -> Any:
        return k * p

    return loss


def wrapper(factor: float) -> Any:
    @functools.wraps(Scaled.loss)
    def loss(self: Any, p: Any, t: Any) -> Any:
        return factor * p

    return loss


def reads_global(p: Any) -> Any:
    return FACTOR * p


def with_factor(value: float) -> Any:
    """`reads_global` in a module whose FACTOR is another one."""
    return type(reads_global)(reads_global.__code__, {**globals(), "FACTOR": value}, "reads_global")


def near_first(p: Any, near: float, far: float) -> Any:
    return near * p - far


def far_first(p: Any, far: float, near: float) -> Any:
    return far * p - near


PAIRS = {
    "loops within": (
        lambda: lambda p: sum(["near" in name for name in p]),
        lambda: lambda p: sum(["far" in name for name in p]),
    ),
    "names of arguments": (
        lambda: functools.partial(near_first, near=3.0),
        lambda: functools.partial(far_first, near=3.0),
    ),
    "callable objects": (lambda: Scaled(1.0), lambda: Scaled(100.0)),
    "slots": (lambda: Slotted(1.0), lambda: Slotted(2.0)),
    "held objects": (lambda: closure(SimpleNamespace(factor=1.0)), lambda: closure(SimpleNamespace(factor=2.0))),
    "bound methods": (lambda: Scaled(1.0).loss, lambda: Scaled(100.0).loss),
    "keyword defaults": (lambda: keyword(1.0), lambda: keyword(2.0)),
    "wrappers": (lambda: wrapper(1.0), lambda: wrapper(2.0)),
    "functions held": (lambda: within(jnp.tanh), lambda: within(jnp.sin)),
    "own functions held": (lambda: within(keyword(1.0)), lambda: within(keyword(2.0))),
    "texts": (lambda: lambda p: jnp.einsum("ij->i", p), lambda: lambda p: jnp.einsum("ij->j", p)),
    "complex numbers": (lambda: lambda p: p * 1j, lambda: lambda p: p * 2j),
    "sets": (lambda: lambda p: p in {1, 2}, lambda: lambda p: p in {1, 3}),
    "globals": (lambda: with_factor(1.0), lambda: with_factor(100.0)),
    "ufuncs": (lambda: jnp.add, lambda: jnp.multiply),
    "numpy's ufuncs": (lambda: np.add, lambda: np.multiply),
    "jitted": (lambda: jax.jit(keyword(1.0)), lambda: jax.jit(keyword(2.0))),
    "partials": (lambda: functools.partial(keyword(1.0), k=1), lambda: functools.partial(keyword(1.0), k=2)),
    "recipes": (
        lambda: ja.recipe(ja.models.mlp((1,)), Scaled(1.0), ja.optimizers.sgd(0.1)),
        lambda: ja.recipe(ja.models.mlp((1,)), Scaled(2.0), ja.optimizers.sgd(0.1)),
    ),
}


def _text(value: Any) -> str:
    return json.dumps(described(value))


@pytest.mark.parametrize("name", PAIRS)
def test_what_differs_is_told_apart_and_what_is_made_anew_is_not(name: str):
    one, other = PAIRS[name]
    assert _text(one()) != _text(other())
    assert _text(one()) == _text(one()) and _text(other()) == _text(other())


def test_documentation_is_none_of_it():
    spaces: list[dict] = [{}, {}]
    for space, text in zip(spaces, ("one", "another"), strict=True):
        exec(f'def loss(p):\n    "{text}"\n    return p', space)  # noqa: S102
    assert _text(spaces[0]["loss"]) == _text(spaces[1]["loss"])


def test_numbers_of_32_bits_are_what_is_written():
    for value in (np.float32(1e-3), jnp.float32(1e-3), np.asarray(1e-3, np.float32)):
        assert described(value) == 1e-3
    assert described(np.float32(0.1)) != described(0.2)


def test_a_function_that_calls_itself_ends():
    def again(n: int) -> int:
        return n and again(n - 1)

    assert _text(again) == _text(again)


def test_what_cannot_be_looked_into_is_refused():
    with pytest.raises(ja.InputError, match="recipe must be made of functions and values that can be compared"):
        described(within(n for n in range(3)))


def test_readers_of_rows_refuse_masked_entries():
    masked = np.ma.masked_array(np.arange(6) % 2, mask=[0, 0, 0, 0, 0, 1])
    for made in (lambda: ja.tune.stratified_k_fold(masked, 2), lambda: ja.tune.grouped_k_fold(masked, 2)):
        with pytest.raises(ja.InputError, match="without masked entries, got 1 of 6 masked"):
            made()


def test_storage_is_a_folder():
    for given in ("sqlite:///search.db", 3, "", b"folder"):
        with pytest.raises(ja.InputError, match="cross_validate: storage must be the path of a folder"):
            ja.tune.cross_validate(
                lambda h: None, {"rate": [1.0]}, (np.ones((4, 1)), np.ones(4)), key=jax.random.key(0), epochs=1,
                storage=given,
            )  # fmt: skip


def test_another_process_and_hash_seed_tell_the_same():
    program = "from tests.tune.test_described import PAIRS, _text; print(*[_text(a()) for a, _ in PAIRS.values()])"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
