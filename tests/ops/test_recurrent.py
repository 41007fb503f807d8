"""Recurrence in its shortest form: the same values and derivatives of any order as a plain loop over its cells."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import ops
from tests.contract import assert_input_error
from tests.programs import quick_jit

TIME, BATCH, UNITS, FEATURES = 4, 3, 5, 2
RANDOM = np.random.default_rng(0)
KINDS = {
    "relu": {"z": (TIME, BATCH, UNITS), "h": (BATCH, UNITS), "weight": (UNITS, UNITS)},
    "tanh": {"z": (TIME, BATCH, UNITS), "h": (BATCH, UNITS), "weight": (UNITS, UNITS)},
    "lstm": {"z": (TIME, BATCH, 4 * UNITS), "h": (BATCH, UNITS), "c": (BATCH, UNITS), "weight": (UNITS, 4 * UNITS)},
    "projected": {"z": (TIME, BATCH, 4 * UNITS), "h": (BATCH, FEATURES), "c": (BATCH, UNITS),
                  "weight": (FEATURES, 4 * UNITS), "projection": (UNITS, FEATURES)},
    "gru": {"z": (TIME, BATCH, 3 * UNITS), "h": (BATCH, UNITS), "weight": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)},
}  # fmt: skip
WHOLE = {
    "relu": functools.partial(ops.rnn, relu=True),
    "tanh": ops.rnn,
    "lstm": ops.lstm,
    "projected": ops.lstm,
    "gru": ops.gru,
}


def _gru_written_out(z: Any, h: Any, dropped: Any, weight: Any, bias: Any) -> Any:
    s = dropped @ weight + jnp.broadcast_to(bias, z.shape)
    r, u = (jax.nn.sigmoid((z + s)[:, i * UNITS : (i + 1) * UNITS]) for i in (0, 1))
    return (1 - u) * jnp.tanh(z[:, 2 * UNITS :] + r * s[:, 2 * UNITS :]) + u * h


def _plain(kind: str, given: dict[str, Any], mask: Any, keep: Any) -> Any:
    """A loop in Python."""
    given, found = dict(given), []
    z, carry = given.pop("z"), [given.pop(name) for name in ("h", "c") if name in given]
    for t in range(TIME):
        h = carry[0] * (1 if keep is None else keep)
        if kind == "gru":
            after = [_gru_written_out(z[t], carry[0], h, **given)]
        elif kind in ("tanh", "relu"):
            after = [ops.rnn_cell(z[t], h, **given, relu=kind == "relu")]
        else:
            after = list(ops.lstm_cell(z[t], h, carry[1], **given))
        if mask is not None:
            after = [jnp.where(mask[t][:, None], a, b) for a, b in zip(after, carry, strict=True)]
        carry = after
        found.append(carry)
    return [jnp.stack(states) for states in zip(*found, strict=True)]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dropped", [False, True], ids=["all", "dropped"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrence_and_its_derivatives_are_those_of_a_loop(kind: str, masked: bool, dropped: bool):
    given = {name: RANDOM.normal(size=shape) for name, shape in KINDS[kind].items()}
    if dropped:
        given["keep"] = RANDOM.normal(size=given["h"].shape)
    moved = {name: RANDOM.normal(size=a.shape) for name, a in given.items()}
    mask = RANDOM.random((TIME, BATCH)) < 0.6 if masked else None

    def total(states: Any) -> Any:
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(states))

    def ours(given: dict[str, Any]) -> Any:
        return total(WHOLE[kind](**given, mask=mask))

    def plain(given: dict[str, Any]) -> Any:
        own = {name: a for name, a in given.items() if name != "keep"}
        return total(_plain(kind, own, mask, given.get("keep")))

    @quick_jit
    def derivatives(given, moved):
        def all_of(cost):
            slope = jax.grad(cost)
            along = lambda g: sum(jnp.vdot(a, moved[name]) for name, a in slope(g).items())  # noqa: E731
            forward = jax.jvp(cost, (given,), (moved,))
            return cost(given), slope(given), forward, jax.jvp(slope, (given,), (moved,))[1], jax.grad(along)(given)

        return all_of(ours), all_of(plain)

    found, wanted = derivatives(given, moved)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), found, wanted)


def test_the_gradient_of_the_weights_is_one_product():
    """The loop backward holds no product of the size of U: it comes once, after it."""
    given = {name: RANDOM.normal(size=shape).astype(np.float32) for name, shape in KINDS["lstm"].items()}
    program = jax.make_jaxpr(jax.grad(lambda g: ops.lstm(**g)[0].sum()))(given)
    loops = [eqn for eqn in program.eqns if eqn.primitive.name == "scan"]
    assert len(loops) == 2
    for loop in loops:
        shapes = [v.aval.shape for eqn in loop.params["jaxpr"].jaxpr.eqns for v in eqn.outvars]
        assert (UNITS, 4 * UNITS) not in shapes and (BATCH, 4 * UNITS) in shapes


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_those_of_single_calls(kind: str):
    given = {name: RANDOM.normal(size=(3, *shape)).astype(np.float32) for name, shape in KINDS[kind].items()}
    whole = lambda g: WHOLE[kind](**g)  # noqa: E731
    together = quick_jit(jax.vmap(whole))(given)
    alone = [quick_jit(whole)({name: a[i] for name, a in given.items()}) for i in range(3)]
    jax.tree.map(
        lambda a, *b: np.testing.assert_allclose(a, np.stack(b), rtol=1e-5, atol=1e-6), together, *alone
    )  # fmt: skip


def test_relu_has_one_derivative_at_zero():
    """That of the library's relu, 0, in a round and over all times."""
    zero, weight = np.zeros((1, 1, 2), np.float32), np.eye(2, dtype=np.float32)
    whole = jax.grad(lambda z: ops.rnn(z, zero[0], weight, relu=True).sum())(zero)
    once = jax.grad(lambda z: ops.rnn_cell(z, zero[0], weight, relu=True).sum())(zero[0])
    np.testing.assert_array_equal(whole, 0)
    np.testing.assert_array_equal(once, 0)


def test_a_mask_of_another_shape_is_refused():
    given = {name: RANDOM.normal(size=shape).astype(np.float32) for name, shape in KINDS["tanh"].items()}
    assert_input_error(lambda: ops.rnn(**given, mask=np.ones((BATCH, TIME))), "mask", given="shape (3, 4)")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_what_begins_at_zero_has_the_derivatives_of_a_loop(kind: str, masked: bool):
    """As in training, where the first states are constants: of the inputs and the weights, of any order, of members."""
    moving = {name: RANDOM.normal(size=shape) for name, shape in KINDS[kind].items() if name not in ("h", "c")}
    along = {name: RANDOM.normal(size=a.shape) for name, a in moving.items()}
    start = {name: np.zeros((BATCH, UNITS)) for name in ("h", "c") if name in KINDS[kind]}
    mask = RANDOM.random((TIME, BATCH)) < 0.6 if masked else None

    def checked(run: Any) -> Any:
        def total(given: Any) -> Any:
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(run({**start, **given})))

        def slope(given: Any) -> Any:
            return sum(jnp.sum(a * along[name]) for name, a in jax.grad(total)(given).items())

        twice = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), moving)
        axes = {name: 0 if name == "z" else None for name in moving}
        shared = {name: twice[name] if axis == 0 else moving[name] for name, axis in axes.items()}
        return {
            "grad": jax.grad(total)(moving),
            "of the input alone": jax.grad(lambda z: total({**moving, "z": z}))(moving["z"]),
            "of the weight alone": jax.grad(lambda w: total({**moving, "weight": w}))(moving["weight"]),
            "change": jax.jvp(total, (moving,), (along,)),
            "change of the grad": jax.jvp(jax.grad(total), (moving,), (along,)),
            "grad of the grad": jax.grad(slope)(moving),
            "members": jax.vmap(jax.grad(total))(twice),
            "of all members": jax.grad(lambda given: jax.vmap(total)(given).sum())(twice),
            "one weight": jax.grad(lambda given: jax.vmap(total, (axes,))(given).sum())(shared),
        }

    ours = quick_jit(lambda: checked(lambda given: WHOLE[kind](**given, mask=mask)))()
    plain = quick_jit(lambda: checked(lambda given: _plain(kind, given, mask, None)))()
    for name, found in ours.items():
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(plain[name]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])
def test_no_times_have_no_gradient(kind: str):
    shapes = {**KINDS[kind], "z": (0, *KINDS[kind]["z"][1:])}
    given = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    def total(weight: Any) -> Any:
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(WHOLE[kind](**{**given, "weight": weight})))

    np.testing.assert_array_equal(quick_jit(jax.grad(total))(given["weight"]), 0)
