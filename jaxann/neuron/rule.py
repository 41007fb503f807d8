"""The perceptron rule: whole training in one compiled program."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_key, check_range, fail
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key, Scalar
from jaxann.neuron.inputs import as_numbers, check_examples, check_targets, check_weights, floating, with_bias
from jaxann.neuron.unit import fire

__all__ = ["PerceptronReport", "fit_perceptron"]


class PerceptronReport(NamedTuple):
    """How a training by the perceptron rule went. With several neurons each field has their axis last.

    Fields over epochs have room for all that were allowed. After a clean epoch nothing moves: what was not run reads
    0 mistakes and the final weights.
    """

    converged: Array  # bool (): an epoch passed without a mistake
    epochs: Array  # int32 (): epochs run, the clean one included
    mistakes: Array  # int32 (): mistakes made during training, over all epochs
    mistakes_by_epoch: Array  # int32 (epochs,)
    history: Array  # (epochs + 1, inputs + 1): the weights before the first epoch and after each
    pocket: Array  # (inputs + 1,): the best weights met, those with the fewest mistakes on the whole set
    pocket_mistakes: Array  # int32 (): how many that are
    averaged: Array  # (inputs + 1,): the mean of the weights in force after each step


def fit_perceptron(
    x: Array,
    targets: Array,
    *,
    learning_rate: Scalar = 0.25,
    bias_input: Scalar = -1.0,
    epochs: int = 100,
    rule: str = "online",
    shuffle: bool = False,
    key: Key | None = None,
    initial: Array | None = None,
) -> tuple[Array, PerceptronReport]:
    """W += eta x^T (t - y) for each example in turn, y = 1[x W > 0], until an epoch passes without a mistake.

    x is [inputs, c], c being the constant of the bias node. The rule adds, since t - y is minus the slope of the
    perceptron loss already. It ends if and only if some hyperplane separates the classes (`mistake_bound` says when);
    else it goes round in circles to the last epoch, and the weights to take are `report.pocket` or
    `report.averaged`. Pure: works under jit and vmap, over data, targets, rates, keys and first weights.

    Args:
        x: `(examples, inputs)`, floating point or integers.
        targets: 0 or 1, `(examples,)` for one neuron or `(examples, neurons)`; neurons share the inputs and nothing
            else, each stops when it is right.
        learning_rate: eta > 0. From zero weights it scales the weights and changes no answer.
        bias_input: c. With -1 the last weight is the threshold; +1 flips its sign; 0 takes the bias away.
        epochs: passes over the examples at most.
        rule: "online", one example after the other, or "batch", W += eta X^T (T - Y) once an epoch.
        shuffle: whether each epoch takes the examples in a new order, drawn from `fold_in(key, epoch)`; only the
            online rule has an order.
        key: one typed key, needed if and only if `shuffle`.
        initial: first weights, `(inputs + 1,)` or `(inputs + 1, neurons)`; zeros when None.

    Returns:
        `(weights, report)`; weights `(inputs + 1,)` or `(inputs + 1, neurons)`, the last row of the bias node, as they
        were at the end.

    The pocket looks twice an epoch: at the weights that answered right the longest within it, and at the last ones;
    it keeps those that make fewer mistakes on the whole set than any before. The averaged weights are the mean over
    all steps, one a presented example (batch: one an epoch).

    Differs from scikit-learn's Perceptron: its bias node gives +1, it also moves on a score of exactly 0 of the
    negative class, and it stops when the training loss falls no more rather than at an epoch without a mistake.

    Source: Rosenblatt 1958 and 1962 (the rule, and that it ends); Gallant 1990 (pocket); Freund and Schapire 1999
        (averaging).

    Raises:
        InputError: shapes do not fit, x is not finite, targets are not 0 or 1, a number is out of its range, or
            shuffling has no key.
    """
    name = "fit_perceptron"
    x, targets = as_numbers(name, "x", x), as_numbers(name, "targets", targets)
    check_examples(name, x)
    check_targets(name, x, targets)
    check_range(name, "learning_rate", learning_rate, 0, open_low=True)
    check_range(name, "bias_input", bias_input)
    for argument, number in (("learning_rate", learning_rate), ("bias_input", bias_input)):
        if np.shape(number) != ():
            hint = "For many of them: jax.vmap."
            fail(name, argument, "one number", f" an array of shape {np.shape(number)}", hint=hint)
    check_integer(name, "epochs", epochs)
    check_choice(name, "rule", rule, ("online", "batch"))
    if shuffle and rule == "batch":
        fail(name, "shuffle", "False for the batch rule, which has no order", shuffle)
    if shuffle:
        check_key(name, key)
    elif key is not None:
        fail(name, "key", "None without shuffle=True", key)
    columns = np.shape(targets)[1:]
    if initial is not None:
        initial = as_numbers(name, "initial", initial)
        check_weights(name, np.shape(x)[1], initial, "initial")
        if np.shape(initial)[1:] != columns:
            expected = f"of shape {(np.shape(x)[1] + 1, *columns)}, a column for each of the targets"
            fail(name, "initial", expected, f" shape {np.shape(initial)}")
    return _train(x, targets, learning_rate, bias_input, key, initial, epochs=epochs, rule=rule)


class _Carry(NamedTuple):
    epoch: Array
    weights: Array
    clean: Array
    mistakes: Array
    history: Array
    pocket: Array
    pocket_mistakes: Array
    total: Array  # sum of the weights after each step


class _Run(NamedTuple):
    """Within one epoch: how long the weights have answered right, and which did so the longest."""

    weights: Array
    total: Array
    mistakes: Array
    length: Array
    longest: Array
    best: Array


@jit(nested=True, static_argnames=("epochs", "rule"))
def _train(x, targets, learning_rate, bias_input, key, initial, *, epochs: int, rule: str):
    kind = floating(x) if initial is None else floating(x, initial)
    given = with_bias(jnp.asarray(x).astype(kind), bias_input)
    targets = jnp.asarray(targets).astype(kind)
    rate = jnp.asarray(learning_rate).astype(kind)
    if initial is None:
        initial = jnp.zeros((given.shape[1], *targets.shape[1:]), kind)
    train = functools.partial(_train_one, given, rate=rate, key=key, epochs=epochs, rule=rule)
    weights = jnp.asarray(initial).astype(kind)
    if targets.ndim == 1:
        return train(targets, weights)
    # Each neuron is a training of its own, to the last bit: a loop that has ended stands still while others go on. The
    # batch rule's products would be rounded in another order side by side, so there one comes after the other.
    if rule == "online":
        return jax.vmap(train, -1, -1)(targets, weights)
    results = lax.map(lambda column: train(*column), (targets.T, weights.T))
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -1), results)


def _train_one(x: Array, targets: Array, weights: Array, *, rate: Array, key: Key | None, epochs: int, rule: str):
    """One neuron: x with the bias column, targets `(examples,)`."""

    def wrong(weights: Array) -> Array:
        return jnp.sum(fire(_scores(x, weights)) != targets, dtype=jnp.int32)

    def pass_over(carry: _Carry) -> _Carry:
        if rule == "batch":
            error = targets - fire(_scores(x, carry.weights))
            mistakes = jnp.sum(error != 0, dtype=jnp.int32)
            after = carry.weights + rate * jnp.matmul(error, x, precision=lax.Precision.HIGHEST)
            total, candidates = carry.total + after, (after,)
        else:
            rows = x, targets
            if key is not None:
                order = jax.random.permutation(jax.random.fold_in(key, carry.epoch), len(x))
                rows = x[order], targets[order]
            zero = jnp.zeros((), jnp.int32)
            start = _Run(carry.weights, carry.total, zero, zero, zero, carry.weights)
            run, _ = lax.scan(functools.partial(_step, rate), start, rows)
            after, mistakes, total, candidates = run.weights, run.mistakes, run.total, (run.best, run.weights)
        pocket, fewest = carry.pocket, carry.pocket_mistakes
        for candidate in candidates:
            count = wrong(candidate)
            pocket, fewest = jnp.where(count < fewest, candidate, pocket), jnp.minimum(count, fewest)
        return _Carry(
            epoch=carry.epoch + 1,
            weights=after,
            clean=mistakes == 0,
            mistakes=carry.mistakes.at[carry.epoch].set(mistakes),
            history=carry.history.at[carry.epoch + 1].set(after),
            pocket=pocket,
            pocket_mistakes=fewest,
            total=total,
        )

    start = _Carry(
        epoch=jnp.zeros((), jnp.int32),
        weights=weights,
        clean=jnp.zeros((), bool),
        mistakes=jnp.zeros((epochs,), jnp.int32),
        history=jnp.zeros((epochs + 1, *weights.shape), weights.dtype).at[0].set(weights),
        pocket=weights,
        pocket_mistakes=wrong(weights),
        total=jnp.zeros_like(weights),
    )
    end = lax.while_loop(lambda c: (c.epoch < epochs) & ~c.clean, pass_over, start)
    ran = lax.expand_dims(jnp.arange(epochs + 1, dtype=jnp.int32) <= end.epoch, (1,))
    steps = end.epoch * (1 if rule == "batch" else len(x))
    return end.weights, PerceptronReport(
        converged=end.clean,
        epochs=end.epoch,
        mistakes=jnp.sum(end.mistakes, dtype=jnp.int32),
        mistakes_by_epoch=end.mistakes,
        history=jnp.where(ran, end.history, lax.expand_dims(end.weights, (0,))),
        pocket=end.pocket,
        pocket_mistakes=end.pocket_mistakes,
        averaged=end.total / steps.astype(weights.dtype),
    )


def _scores(x: Array, weights: Array) -> Array:
    return jnp.matmul(x, weights, precision=lax.Precision.HIGHEST)


def _step(rate: Array, run: _Run, row: Any) -> tuple[_Run, None]:
    """One example: answer, and move the weights if that was wrong."""
    x, target = row
    error = target - fire(jnp.sum(x * run.weights))
    right = error == 0
    weights = run.weights + rate * error * x
    length = jnp.where(right, run.length + 1, 0)
    longer = length > run.longest
    return _Run(
        weights=weights,
        total=run.total + weights,
        mistakes=run.mistakes + (~right).astype(jnp.int32),
        length=length,
        longest=jnp.maximum(length, run.longest),
        best=jnp.where(longer, weights, run.best),
    ), None
