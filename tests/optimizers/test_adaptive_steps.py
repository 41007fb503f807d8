"""The adaptive rules in single steps: where libraries differ, edges, small numbers, half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann import schedules
from jaxann.optimizers.base import bias_correction_factor
from tests.contract import assert_input_error
from tests.optimizers.references_elementwise import RULES, LeafState
from tests.rows.optimizers import OPTIMIZERS
from tests.tolerances import assert_close, close

x64 = pytest.mark.usefixtures("x64")


def _steps(optimizer: Any, grads: Any, value: float | None = None, dtype: Any = None) -> list[float]:
    """The updates of one parameter, one after the other."""
    params = jnp.asarray(np.zeros((), dtype or jnp.result_type(float)))
    state, updates = optimizer.init(params), []
    for g in grads:
        update, state = optimizer.update(jnp.asarray(g, dtype), state, params, value=value)
        updates.append(float(update))
    return updates


@x64
def test_single_steps_are_those_of_the_libraries_named():
    g = [1e-4]
    plain = {"eps_in_sqrt": False}
    for optimizer, expected in (
        (o.rmsprop(1.0), -0.95346),
        (o.rmsprop(1.0, decay=0.99, **plain), -9.99001),
        (o.rmsprop(1.0, initial_scale=1.0, eps=1e-10), -1.05409e-4),
        (o.adagrad(1.0), -3.162276e-4),
        (o.adagrad(1.0, initial_accumulator_value=0.0, eps=1e-10, **plain), -0.999999),
        (o.adadelta(), -9.995e-5),  # down, whatever the default rate
        (o.nadam(1.0), -1.47354),
        (o.adamax(1.0), -0.9999),
    ):
        np.testing.assert_allclose(_steps(optimizer, g), [expected], rtol=2e-5)
    peak = [1.0, 0.1, 0.1]
    np.testing.assert_allclose(_steps(o.amsgrad(1.0), peak), [-1.0, -0.5263, -0.3690], atol=5e-5)
    raw = _steps(o.amsgrad(1.0, bias_correct_max=False), peak)
    np.testing.assert_allclose(raw, [-1.0, -0.7408, -0.6331], atol=5e-5)
    nesterov = _steps(o.sgd(0.1, momentum=0.9, nesterov=True, rate_in_velocity=True), [1.0] * 3)
    np.testing.assert_allclose(nesterov, [-0.19, -0.271, -0.3439], rtol=1e-12)


@x64
def test_radam_becomes_adaptive_with_the_sixth_step():
    updates = _steps(o.radam(1.0), [1e-4] * 6)
    np.testing.assert_allclose(updates[:5], [-1e-4] * 5, rtol=1e-10)  # the mean alone
    np.testing.assert_allclose(updates[5], -0.0258185, rtol=1e-5)
    never = _steps(o.radam(1.0, b2=0.5), [1e-4] * 50)  # a mean of three
    np.testing.assert_allclose(never, [-1e-4] * 50, rtol=1e-10)


@pytest.mark.parametrize("b2", [0.9, 0.999, 0.9999])
def test_radam_tells_the_sixth_step_in_single_precision(b2: float):
    zero = np.zeros((), np.float32)
    state = o.radam(1.0, b2=b2).init(zero)
    update_of = jax.jit(lambda rule, now: rule.update(np.float32(1.0), now, zero)[0])
    exact = float(np.float32(b2))
    most = 2 / (1 - exact) - 1
    for t in (1, 2, 3, 4, 5, 6, 7, 12, 40, 1000, 10**6):
        now = o.AdamState(np.int32(t - 1), zero, zero)
        update = update_of(o.radam(1.0, b1=0.0, b2=b2), now)
        power = np.exp(t * np.log(exact))
        rho = most - 2 * t * power / -np.expm1(t * np.log(exact))
        if rho < 5:
            np.testing.assert_array_equal(update, -1.0)
            continue
        r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
        v_hat = (1 - exact) / -np.expm1(t * np.log(exact))
        np.testing.assert_allclose(update, -r / np.sqrt(v_hat), rtol=close("float32", "reduction"))
    assert jax.tree.structure(state) == jax.tree.structure(now)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 0.9, 0.999, 0.9999, 0.99999])
def test_bias_correction_keeps_its_digits_in_single_precision(share: float):
    exact = float(np.float32(share))
    for t in (1, 2, 3, 10, 1000, 10**6):
        expected = 1.0 if exact == 0 else 1 / -np.expm1(t * np.log(exact))
        np.testing.assert_allclose(bias_correction_factor(share, jnp.int32(t), jnp.float32), expected, rtol=5e-7)
    slope = jax.grad(lambda b: bias_correction_factor(b, jnp.int32(3), jnp.float32))(jnp.float32(share))
    np.testing.assert_allclose(slope, 3 * exact**2 / (1 - exact**3) ** 2, rtol=1e-3)


ADAM_LIKE = ("adam", "nadamw", "amsgrad", "amsgrad raw", "adamaxw", "radam", "adabelief", "adan decay", "ademamix")


@x64
@pytest.mark.parametrize("name", ADAM_LIKE)
def test_bias_is_corrected_in_the_first_and_the_millionth_step(name: str):
    optimizer, rule = RULES[name]
    w, g = np.array([[1.0, -2.0]]), np.array([[0.5, 3.0]])
    for t in (1, 10, 10**6):
        state = optimizer.init(jnp.asarray(w))._replace(step=jnp.int32(t - 1))
        update, after = optimizer.update(jnp.asarray(g), state, jnp.asarray(w))
        state = LeafState()
        if t > 1:
            state["g"] = 0.0
        assert_close(update, rule(state, t, w, g), "oracle")
        assert int(after.step) == t


def _odd_tree() -> tuple[Any, Any]:
    """A frozen leaf, an empty one, one without axes, three axes; and a gradient that is not a number."""
    ones, empty = np.ones((2, 1, 2), np.float32), np.zeros((0, 3), np.float32)
    bad = ones.copy()
    bad[1, 0, 1] = np.nan
    params = {"a": ones, "empty": empty, "frozen": None, "one": np.float32(2.0)}
    return params, {"a": bad, "empty": empty, "frozen": None, "one": np.float32(-0.5)}


WHOLE = ("novograd", "polyak_sgd", "clip", "chain")  # a number there is a matter of the whole leaf or tree
FOREIGN = ("custom", "from_optax")  # say nothing of what their functions need
ELEMENTWISE = [row for row in OPTIMIZERS if not any(part in row.name for part in (*WHOLE, *FOREIGN))]


@pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
def test_optimizer_takes_odd_trees_and_shows_what_is_not_a_number(row: Any):
    optimizer = row.build(0.1)
    params, grads = _odd_tree()
    state, update = jax.tree.map(np.asarray, optimizer.init(params)), jax.jit(optimizer.update)
    for _ in range(2):  # some rules only look in their first step
        updates, state = update(grads, state, params)
    assert updates["frozen"] is None and updates["empty"].shape == (0, 3)
    bad = np.isnan(updates["a"])
    assert bad[1, 0, 1] and np.isfinite(updates["one"])
    if "sm3" not in row.name:  # its rows and columns share what they have seen
        assert bad.sum() == 1


def test_a_single_array_is_a_tree():
    w, one = np.array([[1.0, -1.0]], np.float32), np.float32(1.0)
    for row in OPTIMIZERS:
        optimizer = row.build(0.1)
        updates, _ = jax.eval_shape(lambda w, o=optimizer: o.update(w, o.init(w), w, value=one, value_fn=jnp.sum), w)
        assert updates.shape == w.shape


@x64
def test_heavy_ball_keeps_the_rates_of_the_past():
    rate = schedules.piecewise_constant(1.0, {1: 0.1})
    outside = _steps(o.sgd(rate, momentum=0.5), [1.0, 1.0])
    inside = _steps(o.sgd(rate, momentum=0.5, rate_in_velocity=True), [1.0, 1.0])
    np.testing.assert_allclose(outside, [-1.0, -0.15], rtol=1e-12)  # 0.1 (0.5 + 1)
    np.testing.assert_allclose(inside, [-1.0, -0.6], rtol=1e-12)  # 0.5 1.0 + 0.1
    damped = _steps(o.sgd(1.0, momentum=0.5, dampening=0.5), [1.0, 1.0, 1.0])
    np.testing.assert_allclose(damped, [-1.0, -1.0, -1.0], rtol=1e-12)  # whole at first, then half
    mean = _steps(o.sgd(1.0, momentum=0.5, ema=True), [1.0, 1.0])
    np.testing.assert_allclose(mean, [-0.5, -0.75], rtol=1e-12)


@x64
def test_steps_by_hand():
    # size 0.1; grows by 1.2; a turn halves it and stands still; then one step of that size
    rprop = _steps(o.rprop(0.1), [3.0, 0.2, -1.0, -1.0, -7.0])
    np.testing.assert_allclose(rprop, [-0.1, -0.12, 0.0, 0.06, 0.072], atol=1e-15)
    # c = 0.1, then m = 0.01 and c = 0.009 - 0.1 0.05 > 0
    lion = _steps(o.lion(0.1, weight_decay=0.0), [1.0, -0.05, 0.0, -1.0])
    np.testing.assert_allclose(lion, [-0.1, -0.1, -0.1, 0.1], rtol=1e-12)
    # (f - f_min) / g^2, and no more than the greatest rate
    polyak = _steps(o.polyak_sgd(10.0, f_min=1.0), [0.5, 0.01, 0.0], value=3.0)
    np.testing.assert_allclose(polyak, [-8.0 * 0.5, -10.0 * 0.01, 0.0], rtol=1e-12)
    assert _steps(o.polyak_sgd(f_min=4.0), [0.5], value=3.0)[0] > 0  # below the least value it climbs
    assert _steps(o.polyak_sgd(f_min=4.0, variant="sps+"), [0.5], value=3.0) == [0.0]
    # no step at first; then g / sqrt(v) = 3 / 1, held to 1^(1/4)
    adopt = _steps(o.adopt(1.0, b1=0.5), [1.0, 3.0])
    np.testing.assert_allclose(adopt, [0.0, -0.5], rtol=1e-12)
    # a leaf's gradient has length 1; the second time m = 0.9 + 1
    novograd = o.novograd(1.0, eps=0.0)
    w, g = jnp.zeros(2), jnp.array([3.0, -4.0])
    first, state = novograd.update(g, novograd.init(w), w)
    second, _ = novograd.update(g, state, w)
    np.testing.assert_allclose([first, second], [[-0.6, 0.8], [-1.14, 1.52]], rtol=1e-12)


@x64
def test_sm3_covers_a_matrix_with_its_rows_and_columns():
    w, g = np.zeros((2, 2)), np.array([[1.0, 2.0], [0.0, 3.0]])
    optimizer = o.sm3(1.0, momentum=0.0, eps=0.0)
    update = jax.jit(optimizer.update)
    updates, state = update(g, optimizer.init(w), w)
    np.testing.assert_allclose(updates, [[-1.0, -1.0], [0.0, -1.0]], rtol=1e-12)
    rows, columns = state.covers
    np.testing.assert_allclose([rows, columns], [[4.0, 9.0], [1.0, 9.0]], rtol=1e-12)
    updates, _ = update(g, state, w)  # least of row and column: [[1, 4], [1, 9]]
    np.testing.assert_allclose(updates, -g / np.sqrt([[2.0, 8.0], [1.0, 18.0]]), rtol=1e-12)


def test_centered_rmsprop_never_takes_the_root_of_a_negative_number():
    optimizer, w = o.rmsprop(0.1, decay=0.5, eps=1e-8, centered=True), np.zeros(64, np.float32)
    g = np.linspace(1.0, 1000.0, 64, dtype=np.float32)  # constant, so that v - m^2 is nothing but rounding, up or down

    def body(state, _):
        updates, state = optimizer.update(g, state, w)
        return state, updates

    updates = jax.jit(lambda s: jax.lax.scan(body, s, length=400)[1])(optimizer.init(w))
    assert np.isfinite(updates).all()
    assert np.abs(updates).max() > 100  # the documented blow-up


@x64
def test_nothing_is_divided_by_nothing():
    for optimizer in (
        o.adagrad(0.1, initial_accumulator_value=0.0, eps=0.0),
        o.adagrad(0.1, initial_accumulator_value=0.0, eps=0.0, eps_in_sqrt=False),
        o.sm3(0.1, eps=0.0),
        o.adopt(0.1, eps=0.0),
        o.polyak_sgd(),
    ):
        assert _steps(optimizer, [0.0], value=1.0) == [0.0]

        def moved(g, optimizer=optimizer):
            w = np.zeros(())
            return optimizer.update(g, optimizer.init(w), w, value=1.0)[0]

        assert np.isfinite(jax.jit(jax.grad(moved))(np.zeros(())))


def test_tiny_and_huge_gradients_keep_their_sign():
    for g in (1e-30, 1e30):  # their squares are no numbers of single precision
        assert _steps(o.rprop(0.1), [g, g]) == pytest.approx([-0.1, -0.12])
        assert _steps(o.lion(0.5, weight_decay=0.0), [g]) == [-0.5]
        assert np.isfinite(_steps(o.adamax(0.1), [g])[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_parameters_move_as_single_ones(dtype: str):
    for row in ELEMENTWISE:
        grads = [0.5, -0.25, 0.125]
        half, single = (_steps(row.build(0.1), grads, dtype=d) for d in (jnp.dtype(dtype), jnp.float32))
        np.testing.assert_allclose(half, single, rtol=close(dtype, "program"), err_msg=str(row))


def test_what_a_rule_cannot_do_without_is_asked_for():
    w = np.zeros(2, np.float32)
    rows: list[tuple[str, Callable[[], Any]]] = [(r.name.split(".")[1], lambda r=r: r.build(0.1)) for r in ELEMENTWISE]
    for name, build in rows:
        optimizer = build()
        state = optimizer.init(w)
        message = assert_input_error(lambda o=optimizer, s=state: o.update(w, s), "params", given="None")
        assert message.startswith(name)
    polyak = o.polyak_sgd()
    assert_input_error(lambda: polyak.update(w, polyak.init(w), w), "value", given="None")


@x64
def test_prodigy_waits_for_a_gradient_and_finds_the_distance():
    rule, w = o.prodigy(), np.array([100.0])
    updates, state = jax.jit(lambda w: rule.update(jnp.zeros(1), rule.init(w), w))(w)
    assert float(updates[0]) == 0 and float(state.distance) == 1e-6

    def body(carry, _):
        w, state = carry
        updates, state = rule.update(jnp.sign(w), state, w)
        return (w + updates, state), None

    (w, state), _ = jax.jit(lambda carry: jax.lax.scan(body, carry, None, length=600))((w, state))
    assert 50 < float(state.distance) < 200  # |w - w0| at the minimum is 100
