"""Weight decay, momentum and b1 as schedules of the step: optax, PyTorch, and everything that may stand around."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import optimizers as o
from jaxann import schedules as s
from jaxann.core import from_config, to_config
from jaxann.core.products import Optimizer
from jaxann.core.tables import known_factories
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.contract import assert_input_error
from tests.optimizers.given_gradients import START, gradients
from tests.programs import quick_jit
from tests.tolerances import assert_close
from tests.train.problems import small_fit

STEPS = 50
FALLING = s.linear(0.9, 30, end=0.5)
DECAYING = s.cosine(0.2, 40, warmup=10, end=0.01)
RATE = s.linear(0.05, 60, end=0.01)
NAMES = ("momentum", "b1", "weight_decay", "beta", "adam_weight_decay")


def _steps(update: Any, optimizer: Any, state: Any, params: Any, grads: Any) -> Any:
    """The updates for the gradients, one after the other."""

    def body(carry, g):
        params, state = carry
        updates, state = (update or optimizer.update)(g, state, params)
        return (o.apply_updates(params, updates), state), updates

    return jax.lax.scan(body, (params, state), grads)[1]


_way = quick_jit(_steps, static_argnums=0)


def _stacked(steps: int) -> Any:
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *gradients(steps))


def _ours(optimizer: Optimizer, steps: int = STEPS) -> Any:
    start = jax.tree.map(jnp.asarray, START)
    return _way(None, optimizer, optimizer.init(start), start, _stacked(steps))


BOTH = {"b1": FALLING, "weight_decay": DECAYING}
PAIRS = {
    "sgd": ({"momentum": FALLING, "nesterov": True}, {}),
    "rmsprop": ({"momentum": FALLING}, {}),
    "adam": ({"b1": FALLING}, {}),
    "radam": ({"b1": FALLING}, {}),
    "nadamw": (BOTH, {}),
    "adamw": (BOTH, {}),
    "lion": (BOTH, {}),
    "lamb": (BOTH, {}),
    "novograd": (BOTH, {}),
    "adan": ({"weight_decay": DECAYING}, {}),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", PAIRS)
def test_scheduled_settings_are_those_of_optax_inject_hyperparams(name: str):
    optax = pytest.importorskip("optax")
    given, more = PAIRS[name]
    theirs = {n: (lambda count, v=v: v(count)) if isinstance(v, ja.core.Schedule) else v for n, v in given.items()}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        rule = optax.inject_hyperparams(getattr(optax, name))(lambda count: RATE(count), **theirs, **more)
        start = jax.tree.map(jnp.asarray, START)
        expected = _way(rule.update, None, rule.init(start), start, _stacked(STEPS))
    found = _ours(getattr(o, name)(RATE, **given, **more))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, "oracle")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_scheduled_settings_are_those_set_in_the_parameter_groups_of_pytorch(name: str):
    torch = pytest.importorskip("torch")
    weights = [torch.tensor(w, requires_grad=True) for w in START.values()]
    if name == "sgd":
        rule = torch.optim.SGD(weights, lr=0.05, momentum=0.9)
        mine = o.chain(o.add_decayed_weights(DECAYING), o.sgd(RATE, momentum=FALLING))
    else:
        rule, mine = torch.optim.AdamW(weights, lr=0.05), o.adamw(RATE, b1=FALLING, weight_decay=DECAYING)
    updates = []
    rates, decays, shares = (np.asarray(quick_jit(f)(np.arange(STEPS))) for f in (RATE, DECAYING, FALLING))
    for step, grads in enumerate(gradients(STEPS)):
        (group,) = rule.param_groups
        group["lr"], group["weight_decay"] = float(rates[step]), float(decays[step])
        if name == "sgd":
            group["momentum"] = float(shares[step])
        else:
            group["betas"] = (float(shares[step]), 0.999)
        before = [w.detach().clone() for w in weights]
        for w, g in zip(weights, grads.values(), strict=True):
            w.grad = torch.tensor(g)
        rule.step()
        updates.append([(w.detach() - b).numpy() for w, b in zip(weights, before, strict=True)])
    found = _ours(mine)
    for number, leaf in enumerate(START):
        assert_close(found[leaf], np.stack([u[number] for u in updates]), "oracle")


SMALL, LARGE = s.linear(0.1, 3, end=0.4), s.linear(0.8, 3, end=0.2)
ROWS = [row for row in OPTIMIZERS if set(NAMES) & row.build(0.1).arguments.keys()]
OF_ITS_STEP = [row for row in ROWS if row.name not in ("optimizers.add_decayed_weights", "optimizers.schedule_free")]


@functools.cache
def _table(schedule: Any) -> Any:
    return np.asarray(quick_jit(schedule)(np.arange(3)))


@pytest.mark.parametrize("row", OF_ITS_STEP, ids=str)
def test_a_rule_takes_the_value_of_its_own_step(row: OptimizerRow):
    plain = row.build(0.1)
    moving = [n for n in NAMES if n in plain.arguments]
    schedules = {n: SMALL if "decay" in n else LARGE for n in moving}
    tables = {n: _table(schedule) for n, schedule in schedules.items()}
    rule, params = plain.replace(**schedules), jax.tree.map(jnp.float32, START)
    grads = jax.tree.map(lambda p: p * p + jnp.float32(0.1), params)

    def total(p, at):
        return sum(jax.tree.leaves(jax.tree.map(lambda a, w, g: jnp.sum(g * (a - w)), p, at, grads)))

    @quick_jit
    def update(rule, state):
        given = {"value": jnp.float32(1), "value_fn": lambda p: total(p, params), "key": jax.random.key(0)}
        return rule.update(grads, state, params, **given)

    state = rule.init(params)
    assert jax.tree.structure(state) == jax.tree.structure(plain.replace(**dict.fromkeys(moving, 0.5)).init(params))
    for step in range(3):
        updates, after = update(rule, state)
        numbers = {n: float(values[step]) for n, values in tables.items()}
        expected, other = update(plain.replace(**numbers), state)
        for a, b in zip(jax.tree.leaves((updates, after)), jax.tree.leaves((expected, other)), strict=True):
            assert_close(a, b, "program") if a.dtype == jnp.float32 else np.testing.assert_array_equal(a, b)
        state = after


def test_plain_numbers_give_the_body_s_own_program():
    params = jax.tree.map(jnp.float32, START)
    for name, setting in (("sgd", {"momentum": 0.9}), ("adam", {}), ("adamw", {"b1": 0.8, "weight_decay": 0.1})):
        rule = getattr(o, name)(1e-3, **setting)
        init, body = known_factories()[f"optimizers.{name}"].function.__wrapped__(1e-3, **setting)
        state = init(params)
        assert str(jax.make_jaxpr(rule.update)(params, state, params)) == str(
            jax.make_jaxpr(body)(params, state, params)
        )


@pytest.mark.usefixtures("x64")
def test_the_average_of_schedule_free_follows_a_b1_that_moves():
    """By its definition: x is kept, y = b1 x + (1-b1) z."""
    rule = o.schedule_free(o.sgd(0.1), b1=FALLING)
    params = jax.tree.map(jnp.asarray, START)
    state = rule.init(params)
    x, z = dict(START), dict(START)
    update = quick_jit(rule.update)
    for step, grads in enumerate(gradients(12)):
        updates, state = update(jax.tree.map(jnp.asarray, grads), state, params)
        params = o.apply_updates(params, updates)
        z = {n: z[n] - 0.1 * grads[n] for n in z}
        x = {n: x[n] + (z[n] - x[n]) / (step + 1) for n in x}
        b = float(FALLING(step))
        for n in x:
            assert_close(params[n], b * x[n] + (1 - b) * z[n], "oracle")
            assert_close(rule.evaluation_params(state, params)[n], x[n], "oracle")


def test_the_first_decay_rate_of_muon_s_adam_may_move():
    plain = o.muon(0.1, adam_betas=(float(FALLING(0)), 0.999))
    moving = o.muon(0.1, adam_betas=(FALLING, 0.999))
    params = jax.tree.map(jnp.float32, START)
    state = plain.init(params)
    for a, b in zip(
        *(jax.tree.leaves(quick_jit(r.update)(params, state, params)) for r in (plain, moving)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert_input_error(lambda: o.muon(0.1, adam_betas=(0.9, FALLING)), "each of adam_betas")


def test_gathered_and_skipped_gradients_count_once():
    decay = s.linear(1.0, 2, end=3.0)  # 1, 2, 3
    params = {"w": jnp.ones(1)}
    zero = {"w": jnp.zeros(1)}
    update = quick_jit(lambda rule, grads, state: rule.update(grads, state, params))
    rule = o.accumulate(o.adamw(1.0, weight_decay=decay), 2)
    state, seen = rule.init(params), []
    for _ in range(6):
        updates, state = update(rule, zero, state)
        seen.append(float(updates["w"][0]))
    assert seen == [0, -1, 0, -2, 0, -3]
    rule = o.apply_if_finite(o.adamw(1.0, weight_decay=decay), 5)
    state, seen = rule.init(params), []
    for g in (0.0, np.nan, 0.0, np.inf, 0.0):
        updates, state = update(rule, {"w": jnp.full(1, g, jnp.float32)}, state)
        seen.append(float(updates["w"][0]))
    assert seen == [-1, 0, -2, 0, -3]


def test_a_run_is_resumed_with_its_schedules_where_they_stand():
    rule = o.adamw(0.01, b1=s.linear(0.9, 20, end=0.5), weight_decay=s.linear(0.1, 20))
    whole = small_fit(optimizer=rule, epochs=4, metrics=None)
    half = small_fit(optimizer=rule, epochs=2, metrics=None)
    rest = small_fit(optimizer=rule, epochs=4, metrics=None, resume=half)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(rest.params), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(whole.history["learning_rate"], 0.01, rtol=1e-6)


def test_members_of_a_population_have_schedules_of_their_own():
    rates = np.float32([0.1, 0.4])

    grads = jax.tree.map(lambda g: g.astype(jnp.float32), _stacked(4))

    def one(first):
        rule = o.adamw(0.1, b1=s.linear(first, 5, end=0.1), weight_decay=s.linear(first, 10))
        return _steps(None, rule, rule.init(START_32), START_32, grads)

    both = quick_jit(jax.vmap(one))(rates)
    single = quick_jit(one)
    for number, rate in enumerate(rates):
        for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(single(rate)), strict=True):
            assert_close(a[number], b, "program")


START_32 = {name: jnp.asarray(w, jnp.float32) for name, w in START.items()}


def test_scheduled_rules_are_saved_compared_and_share_a_program():
    rule = o.adamw(1e-3, b1=s.linear(0.9, 10, end=0.5), weight_decay=s.cosine(0.1, 10))
    assert from_config(to_config(rule)) == rule == pickle.loads(pickle.dumps(rule))
    other = o.adamw(1e-3, b1=s.linear(0.8, 20, end=0.5), weight_decay=s.cosine(0.2, 10))
    assert jax.tree.structure(rule) == jax.tree.structure(other) and rule != other
    assert repr(rule) == (
        "adamw(learning_rate=0.001, b1=linear(value=0.9, steps=10, end=0.5), weight_decay=cosine(peak=0.1, steps=10))"
    )

    def moved(rule):
        return jnp.sum(rule.update(START_32, rule.init(START_32), START_32)[0]["bias"])

    slope = quick_jit(jax.grad(moved, allow_int=True))(rule)
    assert float(slope.arguments["weight_decay"].arguments["peak"]) == pytest.approx(0.0005)  # -rate sum of the biases


def test_what_is_no_number_and_no_schedule_is_refused_everywhere():
    wrong = (object(), float, ja.initializers.zeros(), [0.1], o.sgd(0.1), "0.1")
    for row in ROWS:
        rule = row.build(0.1)
        for name in set(NAMES) & rule.arguments.keys():
            for value in wrong:
                assert_input_error(lambda r=rule, n=name, v=value: r.replace(**{n: v}), name)
    for rule, name in (
        (o.adam, "b2"),
        (o.adam, "eps"),
        (o.adadelta, "rho"),
        (o.rmsprop, "decay"),
        (o.sgd, "dampening"),
    ):
        assert_input_error(lambda r=rule, n=name: r(0.1, **{n: FALLING}), name, given="linear")
    for value in (float, ja.initializers.zeros()):
        assert_input_error(lambda v=value: o.adam(v), "learning_rate")
    for build in (o.clip_by_global_norm, o.clip_by_value, ja.layers.dropout):
        for value in (object(), FALLING):
            assert_input_error(lambda b=build, v=value: b(v), "")
    for rule, setting, text in (
        (o.adamw, {"weight_decay": s.constant(-0.1)}, "-0.1"),
        (o.sgd, {"momentum": s.linear(1.5, 10)}, "1.5"),
    ):
        with pytest.raises(ja.core.InputError, match=f"must be .*, got {text}"):
            rule(0.1, **setting)
