"""The program of a model gone through by hand, equation by equation: what goes into what, and what comes back.

Outputs of layers are known in it by the identities of `map_watch.mark`. A loop that has some inside is gone through
round after round, so that each round's outputs are met one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax.numpy as jnp
from jax.extend.core import Literal

from jaxann.core.typing import Array
from jaxann.diagnose.map_watch import MARK

__all__ = ["GIVEN", "Edges", "Place", "Values"]

Place = tuple[int, tuple[int, ...]]  # number of a mark, and the rounds of the loops around it
GIVEN: Place = (-1, ())  # what the model is given
T = TypeVar("T")


class _Walk(Generic[T]):
    """What each equation makes of its inputs, whatever stands for an array."""

    def constant(self, value: Any) -> T:
        """What stands for a number that is written into the program."""
        raise NotImplementedError

    def marked(self, place: Place, leaf: str, value: T) -> T:
        """What goes on where an output is met."""
        raise NotImplementedError

    def other(self, equation: Any, given: list[T]) -> Sequence[T]:
        """What an equation without marks inside makes."""
        raise NotImplementedError

    def part(self, value: T, number: int) -> T:
        """What a round of a loop is given of an array."""
        raise NotImplementedError

    def whole(self, values: list[T]) -> T:
        """The array that the rounds of a loop make."""
        raise NotImplementedError

    def run(self, program: Any, constants: Sequence[T], given: Sequence[T], rounds: tuple[int, ...] = ()) -> list[T]:
        """What comes out of a program."""
        known: dict[Any, T] = dict(zip(program.constvars, constants, strict=True))
        known.update(zip(program.invars, given, strict=True))

        def read(variable: Any) -> T:
            return self.constant(variable.val) if isinstance(variable, Literal) else known[variable]

        for equation in program.eqns:
            made = self._step(equation, [read(v) for v in equation.invars], rounds)
            known.update(zip(equation.outvars, made, strict=True))
        return [read(v) for v in program.outvars]

    def _step(self, equation: Any, given: list[T], rounds: tuple[int, ...]) -> Sequence[T]:
        name, settings = equation.primitive.name, equation.params
        if _is_mark(equation):
            number, _, leaf = settings["name"].removeprefix(MARK).partition(".")
            return [self.marked((int(number), rounds), leaf, given[0])]
        if name == "scan" and _has_marks(settings["jaxpr"].jaxpr):
            return self._loop(settings, given, rounds)
        inner = settings.get("jaxpr")
        if name in ("checkpoint", "remat", "remat2", "jit", "pjit") and inner is not None:
            program = getattr(inner, "jaxpr", inner)
            if _has_marks(program):
                return self.run(program, [*map(self.constant, getattr(inner, "consts", ()))], given, rounds)
        return self.other(equation, given)

    def _loop(self, settings: Mapping[str, Any], given: list[T], rounds: tuple[int, ...]) -> list[T]:
        program, length = settings["jaxpr"], settings["length"]
        fixed, carried = settings["num_consts"], settings["num_carry"]
        before, carry, rows = given[:fixed], given[fixed : fixed + carried], given[fixed + carried :]
        constants, made = [*map(self.constant, program.consts)], {}
        for number in reversed(range(length)) if settings["reverse"] else range(length):
            one = [self.part(value, number) for value in rows]
            out = self.run(program.jaxpr, constants, [*before, *carry, *one], (*rounds, number))
            carry, made[number] = out[:carried], out[carried:]
        each = zip(*(made[number] for number in range(length)), strict=True)
        return [*carry, *(self.whole(list(values)) for values in each)]


def _is_mark(equation: Any) -> bool:
    return equation.primitive.name == "name" and str(equation.params["name"]).startswith(MARK)


def _has_marks(program: Any) -> bool:
    for equation in program.eqns:
        if _is_mark(equation):
            return True
        inner = equation.params.get("jaxpr")
        if inner is not None and _has_marks(getattr(inner, "jaxpr", inner)):
            return True
    return False


class Edges(_Walk[frozenset]):
    """From which outputs each output is made, without another one in between: `before` by place."""

    def __init__(self):
        self.before: dict[Place, frozenset[Place]] = {}

    def constant(self, value: Any) -> frozenset:
        """Nothing stands behind a number."""
        return frozenset()

    def marked(self, place: Place, leaf: str, value: frozenset) -> frozenset:
        """Note what went in; what is made of it from here on is made of this output."""
        if leaf == "mask":
            return frozenset()
        self.before[place] = self.before.get(place, frozenset()) | (value - {place})
        return frozenset((place,))

    def other(self, equation: Any, given: list[frozenset]) -> list[frozenset]:
        """Made of all that goes in."""
        return [frozenset().union(*given)] * len(equation.outvars)

    def part(self, value: frozenset, number: int) -> frozenset:
        """As all of it."""
        return value

    def whole(self, values: list[frozenset]) -> frozenset:
        """Of whatever one of them is made of."""
        return frozenset().union(*values)


class Values(_Walk[Array]):
    """The numbers themselves: `found` by place, and `masks`; to each output is added what `added` has for it."""

    def __init__(self, added: Mapping[Place, Array]):
        self.found: dict[Place, Array] = {}
        self.masks: dict[Place, Array] = {}
        self._added = added

    def constant(self, value: Any) -> Array:
        """The number."""
        return jnp.asarray(value)

    def marked(self, place: Place, leaf: str, value: Array) -> Array:
        """Note the output, where it is one array."""
        if leaf == "mask":
            self.masks[place] = value
        elif leaf == "0":
            value = self.found[place] = value + self._added[place] if place in self._added else value
        return value

    def other(self, equation: Any, given: list[Array]) -> Sequence[Array]:
        """What the equation computes."""
        settings, functions = equation.primitive.get_bind_params(equation.params), ()
        if isinstance(settings, tuple):  # as versions of jax before 0.10 have it
            functions, settings = settings
        made = equation.primitive.bind(*functions, *given, **settings)
        return made if equation.primitive.multiple_results else [made]

    def part(self, value: Array, number: int) -> Array:
        """The row of that round."""
        return value[number]

    def whole(self, values: list[Array]) -> Array:
        """The rows of all rounds."""
        return jnp.stack(values)
