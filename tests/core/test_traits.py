"""What products declare of themselves."""

from __future__ import annotations

import pytest

import jaxann as ja
from jaxann.core import InputError, LayerFunctions, factory
from jaxann.core.factories import every_declares, some_declares
from jaxann.core.products import Layer, Optimizer


@factory(Optimizer, traits=("finite_updates",))
def plain_descent(rate: float):
    """u = -rate g."""
    return (lambda params: ()), (lambda grads, state, params: (grads, state))


@factory(Optimizer, traits=("whole_batch",))
def patient(inner: Optimizer):
    """The inner rule on all examples."""
    return inner.functions


def test_traits_are_declared_and_found_inside():
    rule = patient(plain_descent(0.1))
    assert rule.traits == {"whole_batch"} and plain_descent(0.1).traits == {"finite_updates"}
    assert some_declares(rule, "whole_batch") and not some_declares(plain_descent(0.1), "whole_batch")
    assert some_declares(rule, "finite_updates") and not every_declares(rule, "finite_updates")
    chained = ja.optimizers.chain(plain_descent(0.1), rule)
    assert some_declares(chained, "whole_batch")


def test_traits_may_depend_on_the_arguments():
    @factory(Layer)
    def maybe(flag: bool):
        """x, position by position or not."""
        return LayerFunctions(
            lambda key, spec: ({}, {}),
            lambda params, state, x, *, key=None, train=False: (x, state),
            traits=("positionwise",) if flag else (),
        )

    assert maybe(True).traits == {"positionwise"} and maybe(False).traits == frozenset()


def test_an_unknown_trait_is_refused_where_it_is_declared():
    with pytest.raises(InputError, match="finite_updates"):

        @factory(Optimizer, traits=("finite_update",))
        def misspelt():
            """No rule."""


def test_children_are_known_by_name_whatever_made_them():
    model = ja.models.mlp((4, 2), dropout=0.1)
    assert list(model.children) == ["dense0", "act0", "drop0", "dense1"]
    fork = ja.layers.residual(ja.layers.dense(4), ja.layers.dense(4))
    assert list(fork.children) == ["body", "skip"] and list(ja.layers.dense(4).children) == []
