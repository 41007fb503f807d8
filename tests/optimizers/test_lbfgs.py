"""L-BFGS and its line search: the conditions, hard functions, and scipy, optax and PyTorch beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers
from jaxann.optimizers import apply_updates, lbfgs
from jaxann.optimizers.line_search import Point, wolfe_step
from tests.contract import assert_input_error
from tests.optimizers.problems import ravine, rosenbrock
from tests.tolerances import assert_close

x64 = pytest.mark.usefixtures("x64")

LINES: dict[str, Callable[[Any], Any]] = {
    "parabola": lambda a: (a - 1) ** 2,
    "far": lambda a: (a / 1000 - 1) ** 2,
    "near": lambda a: (a * 1000 - 1) ** 2,
    "quartic": lambda a: (a - 2) ** 4 + (a - 2) ** 2 / 10,
    "wave": lambda a: -a / 2 - jnp.sin(3 * a) + (a / 4) ** 4,
    "long valley": lambda a: -a / (a**2 + 2),  # More and Thuente 1994, the first, with beta = 2
    "cliff": lambda a: jnp.exp(5 * (a - 3)) - a,
    "barrier": lambda a: -jnp.log(3 - a) - 2 * a,  # NaN from 3 on
    "kink": lambda a: jnp.abs(a - 0.7) + (a - 0.7) ** 2,
}


@x64
@pytest.mark.parametrize("name", LINES)
def test_step_satisfies_the_strong_wolfe_conditions(name: str):
    line, slope = LINES[name], jax.grad(LINES[name])
    c1, c2 = 1e-4, 0.3 if name != "kink" else 0.9

    @jax.jit
    @jax.vmap
    def search(trial):
        zero = jnp.zeros(())
        start = Point(zero, line(zero), slope(zero))
        found = wolfe_step(lambda a: (line(a), slope(a)), start, trial, c1=c1, c2=c2, most=60)
        return found, line(found.step), slope(found.step)

    found, value, after = jax.tree.map(np.asarray, search(np.geomspace(1e-3, 1e3, 13)))
    at_zero, down = map(float, jax.jit(lambda a: (line(a), slope(a)))(np.zeros(())))
    assert down < 0 and (np.asarray(found.step) > 0).all()
    slack = 1e-15 * abs(at_zero)
    assert (np.asarray(value) <= at_zero + c1 * np.asarray(found.step) * down + slack).all()
    if name == "kink":  # no step need satisfy the second condition
        return
    assert np.asarray(found.accepted).all()
    assert (np.abs(after) <= -c2 * down).all()
    assert int(found.evaluations.max()) <= 20


@x64
def test_search_ends_where_there_is_nothing_to_find():
    @functools.partial(jax.jit, static_argnums=(0, 1))
    def search(line, most=25):
        zero = jnp.zeros(())
        start = Point(zero, line(zero), jax.grad(line)(zero))
        return wolfe_step(jax.value_and_grad(line), start, jnp.ones(()), c1=1e-4, c2=0.9, most=most)

    for line in (lambda a: a * a + a, lambda a: 0 * a, lambda a: jnp.where(a > 0, jnp.nan, -a), lambda a: a * jnp.nan):
        found = search(line)
        assert float(found.step) == 0 and not found.accepted and int(found.evaluations) <= 25
    endless = search(lambda a: -a, 10)
    assert int(endless.evaluations) == 10 and float(endless.step) > 1e3 and not endless.accepted


@functools.partial(jax.jit, static_argnums=(0, 2))
def _descent(function: Any, optimizer: Any, steps: int, start: jax.Array) -> Any:
    def body(carry, _):
        x, state = carry
        value, grads = jax.value_and_grad(function)(x)
        updates, state = optimizer.update(grads, state, x, value=value, value_fn=function)
        return (apply_updates(x, updates), state), value

    return jax.lax.scan(body, (start, optimizer.init(start)), None, length=steps)


def long_valley(x: jax.Array) -> jax.Array:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


PROBLEMS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "rosenbrock": (rosenbrock, np.array([-1.2, 1.0])),
    "rosenbrock of 10": (long_valley, np.tile([-1.2, 1.0], 5)),
    "ravine": (ravine, np.sin(np.arange(20) + 1.0)),
    "barrier": (lambda x: jnp.sum(x - jnp.log(x)) - 3, np.array([5.0, 0.01, 3.0])),
    "steep": (lambda x: jnp.sum(jnp.exp(x) - x) - 3, np.array([5.0, 20.0, -300.0])),
}


@x64
@pytest.mark.parametrize("name", PROBLEMS)
def test_minimum_is_found_about_as_fast_as_by_scipy(name: str):
    optimize = pytest.importorskip("scipy.optimize")
    function, start = PROBLEMS[name]
    (_, state), values = _descent(function, lbfgs(), 300, jnp.asarray(start))
    values = np.asarray(values)
    assert np.isfinite(values).all()
    ours = int(np.argmax(values < 1e-10))
    assert values[ours] < 1e-10 and (name != "rosenbrock" or ours < 60)
    gradient, theirs = jax.jit(jax.value_and_grad(function)), []

    def seen(result):
        theirs.append(float(result.fun))

    options = {"maxcor": 10, "ftol": 0.0, "gtol": 1e-12}
    optimize.minimize(lambda x: gradient(jnp.asarray(x)), start, jac=True, method="L-BFGS-B", options=options,
                      callback=lambda intermediate_result: seen(intermediate_result))  # fmt: skip
    if min(theirs) < 1e-10:  # scipy gives up on the steep one
        assert ours <= 1.25 * (1 + int(np.argmax(np.array(theirs) < 1e-10))) + 8


def test_single_precision_goes_down_and_stays_at_the_bottom():
    for name in ("rosenbrock of 10", "ravine"):
        function, start = PROBLEMS[name]
        (x, state), values = _descent(function, lbfgs(), 300, jnp.asarray(start, jnp.float32))
        values = np.asarray(values)
        assert np.isfinite(values).all() and values.min() < 1e-10
        slack = 8 * np.finfo(np.float32).eps * np.abs(values[:-1])
        assert (values[1:] <= values[:-1] + slack).all()
        assert values[-1] <= values.min() * (1 + 1e-5) + 1e-30


@x64
def test_weights_stay_where_nothing_goes_down():
    w = jnp.array([1.0, -2.0])
    for function in (lambda x: jnp.sum(0 * x), lambda x: jnp.where(jnp.all(x == w), jnp.sum(x), jnp.nan)):
        (x, state), values = _descent(function, lbfgs(), 5, w)
        np.testing.assert_array_equal(x, w)
        assert int(state.failures) == 5 and int(state.pairs) == 0
    evaluated = []

    def look(x):
        jax.debug.callback(lambda: evaluated.append(0))
        return jnp.where(jnp.all(x == w), jnp.sum(x), jnp.nan)

    rule = lbfgs(max_evaluations=7)
    state, given = rule.init(w), {"value": jnp.sum(w), "value_fn": look}
    update = jax.jit(lambda s: rule.update(jnp.ones(2), s, w, **given))
    for count in (7, 14, 14, 14):  # by the gradient twice, and no more at the same place
        updates, state = update(state)
        jax.block_until_ready(updates)
        jax.effects_barrier()
        assert len(evaluated) == count
    step = jax.jit(lambda g: rule.update(g, state, w, value=jnp.sum(w), value_fn=jnp.sum))
    bad, _ = step(np.array([np.nan, 1.0]))
    assert np.isnan(bad[0])  # what comes in is not hidden


@x64
def test_pairs_that_bend_down_are_left_out_and_failures_forget():
    rule, w = lbfgs(line_search=None, memory_size=2), np.zeros(2)
    state, update = rule.init(w), jax.jit(rule.update)
    up, down = np.array([1.0, 0.0]), np.array([3.0, 0.0])
    updates, state = update(up, state, w)
    np.testing.assert_allclose(updates, [-1.0, 0.0])
    _, bent = update(down, state, w + np.array([-1.0, 0.0]))  # s'y = -2
    assert int(bent.pairs) == 0
    _, kept = update(-up, state, w + np.array([-1.0, 0.0]))  # s'y = 2
    assert int(kept.pairs) == 1 and float(kept.gamma) == 0.5
    for number in range(4):
        grads = np.array([-1.0, 0.5 * number])
        _, kept = update(grads, kept, np.asarray(kept.params) + np.array([0.1, 0.5]) * number)
    assert int(kept.pairs) == 4 and int((np.asarray(kept.rho) > 0).sum()) == 2
    nowhere = {"value": np.zeros(()), "value_fn": lambda p: jnp.sum(p) * jnp.nan}
    updates, after = jax.jit(lambda g: lbfgs(memory_size=2).update(g, kept, w, **nowhere))(up)
    np.testing.assert_array_equal(updates, [0.0, 0.0])
    assert int(after.pairs) == 0 and not np.asarray(after.rho).any()


@x64
def test_direction_is_that_of_optax():
    optax = pytest.importorskip("optax")
    start = jnp.asarray(np.sin(np.arange(20) + 1.0))

    def walk(optimizer):
        def body(carry, _):
            x, state = carry
            updates, state = optimizer.update(jax.grad(ravine)(x), state, x)
            return (x + updates / 8, state), updates

        return jax.lax.scan(body, (start, optimizer.init(start)), None, length=50)[1]

    theirs = optax.chain(optax.scale_by_lbfgs(memory_size=5), optax.scale(-1.0))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda: walk(theirs))()
    ours = jax.jit(lambda: walk(lbfgs(memory_size=5, line_search=None)))()
    assert_close(ours, expected, "oracle")


@x64
def test_minimum_is_that_of_torch_and_optax():
    torch, optax = pytest.importorskip("torch"), pytest.importorskip("optax")
    form, goal = np.array([[3.0, 0.5], [0.5, 1.0]]), np.array([0.3, -0.2])

    def value(x, exp, tensor):
        bent = x - tensor(goal)
        return exp(bent[0]) + exp(-bent[0]) + bent @ tensor(form) @ bent

    (ours, _), _ = _descent(lambda x: value(x, jnp.exp, jnp.asarray), lbfgs(), 30, jnp.array([2.0, 2.0]))
    x = torch.tensor([2.0, 2.0], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100, tolerance_grad=1e-14,
                               tolerance_change=0.0)  # fmt: skip

    def closure():
        theirs.zero_grad()
        loss = value(x, torch.exp, torch.tensor)
        loss.backward()
        return loss

    theirs.step(closure)
    np.testing.assert_allclose(ours, x.detach().numpy(), atol=1e-8)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        taken_in = optimizers.as_optimizer(optax.lbfgs())
        (other, _), _ = _descent(lambda x: value(x, jnp.exp, jnp.asarray), taken_in, 30, jnp.array([2.0, 2.0]))
    np.testing.assert_allclose(ours, other, atol=1e-8)


def test_many_starts_at_once():
    starts = jnp.array([[-1.2, 1.0], [2.0, 2.0], [0.0, -1.0]])
    (x, _), values = jax.vmap(lambda s: _descent(rosenbrock, lbfgs(), 80, s))(starts)
    np.testing.assert_allclose(x, np.ones((3, 2)), atol=1e-3)


def test_search_says_what_the_update_lacks():
    w = np.ones(2, np.float32)
    state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(lbfgs().init, w))
    for missing in ("value", "value_fn"):
        given = {"value": np.float32(1), "value_fn": jnp.sum} | {missing: None}
        with pytest.raises(ValueError, match=f"lbfgs: {missing} must be given"):
            lbfgs().update(w, state, w, **given)
    assert_input_error(lambda: lbfgs(c1=0.5, c2=0.2), "c1", expected="0.2", given="0.5")
