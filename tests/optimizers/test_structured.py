"""The rules that look at whole leaves or elsewhere: against optax and PyTorch, and by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.optimizers import sgd
from jaxann.optimizers.muon import orthogonalized
from tests.contract import assert_input_error
from tests.optimizers.given_gradients import START, gradients, path
from tests.rows.structured import OPTIMIZERS_STRUCTURED
from tests.tolerances import assert_close

optax = pytest.importorskip("optax")
contrib = optax.contrib
pytestmark = pytest.mark.usefixtures("x64")

RATE = 0.02
MASK = {"weight": True, "bias": False}
LABELS = {"weight": "matrix", "bias": "rest"}
RISE = schedules.linear(0.01, 100, end=RATE)


def _adafactor(rate: float | None, power: float, min_size: int, *after: Any) -> Any:
    """optax's parts, with its share 1 - t^-power in float64: its own is float32 whatever the gradients are."""

    def share(step, exponent):
        return 1 - (step + 1).astype(jnp.float64) ** -exponent

    factored = optax.scale_by_factored_rms(
        decay_rate=power, min_dim_size_to_factor=min_size, epsilon=1e-30, decay_rate_fn=share
    )
    transforms = [factored, optax.clip_by_block_rms(1.0)]
    if rate is not None:
        transforms.append(optax.scale_by_learning_rate(rate, flip_sign=False))
    return optax.chain(*transforms, optax.scale_by_param_block_rms(), *after, optax.scale(-1))


def _parted(matrices: Any) -> Any:
    return optax.partition({"matrix": matrices, "rest": optax.adamw(RATE / 2, weight_decay=0.0)}, LABELS)


OPTAX: dict[str, tuple[Any, Any]] = {
    "lars": (
        optimizers.lars(RATE, weight_decay=0.1),
        optax.lars(RATE, 0.1, weight_decay_mask=MASK, trust_ratio_mask=MASK),
    ),
    "lars numbers": (
        optimizers.lars(RISE, trust_coefficient=0.1, momentum=0.5, nesterov=True, eps=0.1, mask=None),
        optax.lars(lambda count: RISE(count), trust_coefficient=0.1, momentum=0.5, nesterov=True, eps=0.1),
    ),
    "lamb": (optimizers.lamb(RATE), optax.lamb(RATE)),
    "lamb numbers": (
        optimizers.lamb(RATE, b1=0.8, eps=1e-4, eps_root=1e-6, weight_decay=0.1, mask=optimizers.matrices),
        optax.lamb(RATE, b1=0.8, eps=1e-4, eps_root=1e-6, weight_decay=0.1, mask=MASK),
    ),
    "adafactor": (optimizers.adafactor(RATE), _adafactor(RATE, 0.8, 128)),
    "adafactor without a rate": (optimizers.adafactor(), _adafactor(None, 0.8, 128)),
    "adafactor factored": (
        optimizers.adafactor(
            RATE, decay_rate=0.6, min_dim_size_to_factor=2, momentum=0.9, weight_decay=1e-3, scale_decay=False
        ),
        _adafactor(RATE, 0.6, 2, optax.ema(0.9, debias=False), optax.add_decayed_weights(1e-3)),
    ),
    "muon": (
        optimizers.muon(RATE, adam_learning_rate=RATE / 2, weight_decay=0.1),
        _parted(contrib.muon(RATE, weight_decay=0.1)),
    ),
    "muon numbers": (
        optimizers.muon(
            RATE, adam_learning_rate=RATE / 2, beta=0.8, nesterov=False, ns_coeffs=((3.4445, -4.775, 2.0315),) * 3,
            scaling="match_rms_adamw",
        ),
        contrib.muon(RATE, beta=0.8, nesterov=False, ns_steps=3, consistent_rms=0.2, adam_learning_rate=RATE / 2),
    ),
    "sophia": (optimizers.sophia(RATE), contrib.sophia(RATE)),
    "sophia numbers": (
        optimizers.sophia(RISE, b1=0.8, b2=0.9, gamma=0.5, clip_threshold=None, update_interval=3, weight_decay=0.1),
        contrib.sophia(
            lambda count: RISE(count), b1=0.8, b2=0.9, gamma=0.5, clip_threshold=None, update_interval=3,
            weight_decay=0.1,
        ),
    ),
    "schedule_free": (
        optimizers.schedule_free(optimizers.adam(RATE, b1=0.0)),
        contrib.schedule_free(optax.adam(RATE, b1=0.0), RATE),
    ),
    "schedule_free with a warmup": (
        optimizers.schedule_free(sgd(RISE), b1=0.7, weight_lr_power=1.0),
        contrib.schedule_free(
            optax.sgd(lambda count: RISE(count)), lambda count: RISE(count - 1), b1=0.7, weight_lr_power=1.0
        ),
    ),
    "prodigy": (optimizers.prodigy(), contrib.prodigy()),
    "prodigy numbers": (
        optimizers.prodigy(0.5, b1=0.8, b2=0.99, b3=0.9, estim_lr0=1e-3, weight_decay=0.1, safeguard_warmup=True),
        contrib.prodigy(0.5, (0.8, 0.99), 0.9, estim_lr0=1e-3, weight_decay=0.1, safeguard_warmup=True),
    ),
    "sam": (
        optimizers.sam(sgd(RATE, momentum=0.9), rho=0.1),
        contrib.sam(
            optax.sgd(RATE, momentum=0.9), optax.chain(contrib.normalize(), optax.sgd(0.1)), sync_period=2,
            opaque_mode=True,
        ),
    ),
}  # fmt: skip


def _foreign(name: str, optimizer: Any) -> Callable[..., Any]:
    """optax's update with the keywords that the rule of this name wants."""

    def update(_, grads, state, params, *, value, value_fn, key):
        more: dict[str, Any] = {}
        if name.startswith("sophia"):
            more = {"obj_fn": value_fn}
        if name.startswith("sam"):
            more = {"grad_fn": lambda p, _: jax.grad(value_fn)(p)}
        return optimizer.update(grads, state, params, **more)

    return update


@pytest.mark.parametrize("name", OPTAX)
def test_optimizer_matches_optax_for_two_hundred_steps(name: str):
    ours, theirs = OPTAX[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = path(theirs, 200, _foreign(name, theirs))
    for leaf, updates in path(ours, 200).items():
        assert_close(updates, expected[leaf], "oracle")


def _torch_path(make: Callable[..., Any], turned: bool, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """PyTorch's parameters after each of a hundred given gradients; its matrices are (out, in)."""
    torch = pytest.importorskip("torch")
    params = {n: torch.tensor(START[n].T.copy() if turned else START[n], requires_grad=True) for n in names}
    optimizer, seen = make(list(params.values())), []
    for grads in gradients(100):
        for n, p in params.items():
            p.grad = torch.tensor(grads[n].T.copy() if turned else grads[n])
        optimizer.step()
        seen.append({n: (p.detach().numpy().T if turned else p.detach().numpy()).copy() for n, p in params.items()})
    return {n: np.stack([s[n] for s in seen]) for n in names}


@pytest.mark.parametrize("scaling", ["original", "match_rms_adamw"])
def test_muon_matches_torch(scaling: str, monkeypatch: pytest.MonkeyPatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())  # it iterates in bfloat16
    theirs = _torch_path(
        lambda p: torch.optim.Muon(
            p, lr=RATE, weight_decay=0.1, momentum=0.9, nesterov=False, adjust_lr_fn=scaling, eps=1e-30
        ),
        True, ("weight",),
    )  # fmt: skip
    ours = optimizers.muon(RATE, beta=0.9, nesterov=False, scaling=scaling, weight_decay=0.1, eps=1e-30)
    after = START["weight"] + np.cumsum(path(ours, 100)["weight"], 0)
    assert_close(after, theirs["weight"], "torch")


def test_adafactor_matches_torch():
    torch = pytest.importorskip("torch")
    theirs = _torch_path(
        lambda p: torch.optim.Adafactor(p, lr=0.05, eps=(1e-30, 1e-3), weight_decay=0.1), False, ("weight", "bias")
    )
    ours = path(optimizers.adafactor(0.05, min_dim_size_to_factor=1, weight_decay=0.1, eps=1e-60), 100)
    for n, expected in theirs.items():
        assert_close(START[n] + np.cumsum(ours[n], 0), expected, "torch")


@pytest.mark.parametrize("row", OPTIMIZERS_STRUCTURED, ids=str)
def test_optimizer_takes_any_tree(row: Any):
    def value_fn(p):
        return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves(p))

    trees = (
        jnp.zeros((4, 3), jnp.float32),
        [jnp.zeros((), jnp.float16), {"a": jnp.zeros((2, 3, 4), jnp.bfloat16), "gone": None}],
        (jnp.zeros((3, 2), jnp.float64), jnp.zeros(2, jnp.float32)),
        {"empty": jnp.zeros((0, 3)), "one": jnp.zeros(1)},
    )
    optimizer = row.build(0.1)
    for params in trees:
        state = jax.eval_shape(optimizer.init, params)

        def step(state, params=params):
            given = {"value": value_fn(params), "value_fn": value_fn, "key": jax.random.key(0)}
            return optimizer.update(params, state, params, **given)

        updates, after = jax.eval_shape(step, state)
        assert jax.tree.structure(updates) == jax.tree.structure(params)
        for a, b in zip(jax.tree.leaves((updates, after)), jax.tree.leaves((params, state)), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)


@pytest.mark.parametrize("row", OPTIMIZERS_STRUCTURED, ids=str)
def test_optimizer_says_what_the_update_lacks(row: Any):
    optimizer, w = row.build(0.1), np.ones(2, np.float32)
    state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(optimizer.init, w))
    assert_input_error(lambda: optimizer.update(w, state), "params", given="None")


def test_rules_that_look_further_say_what_the_update_lacks():
    w = np.ones(2, np.float32)
    for optimizer in (optimizers.sophia(0.1), optimizers.sam(sgd(0.1))):
        state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(optimizer.init, w))
        assert_input_error(lambda o=optimizer, s=state: o.update(w, s, w), "value_fn", given="None")
    sophia = optimizers.sophia(0.1)
    assert_input_error(lambda: sophia.update(w, sophia.init(w), w, value_fn=jnp.sum), "key", given="None")


@functools.partial(jax.jit, static_argnames="value_fn")
def _first(optimizer: Any, w: Any, *grads: Any, **more: Any) -> Any:
    state = optimizer.init(w)
    for g in grads:
        updates, state = optimizer.update(g, state, w, **more)
    return updates


@functools.partial(jax.jit, static_argnames="value_fn")
def _at(step: Any, optimizer: Any, w: Any, g: Any, **more: Any) -> Any:
    """The update of the first state, told that it is another step's."""
    return optimizer.update(g, optimizer.init(w)._replace(step=step), w, **more)


def _square(p: Any) -> jax.Array:
    return jnp.sum(p**2)


def test_corrections_at_the_first_and_the_millionth_step():
    w, g = np.array([[3.0, 4.0]]), np.array([[2.0, -2.0]])
    for step in (0, 10**6 - 1):
        m, v = 0.1 * 2 / (1 - 0.9 ** (step + 1)), 0.001 * 4 / (1 - 0.999 ** (step + 1))
        lamb = optimizers.lamb(0.1, eps=1e-2)
        updates, after = _at(np.int32(step), lamb, w, g)
        np.testing.assert_allclose(updates, [[-0.1 * 5 / np.sqrt(2), 0.1 * 5 / np.sqrt(2)]], rtol=1e-12)
        assert int(after.step) == step + 1
        prodigy = optimizers.prodigy(estim_lr0=0.1)
        updates, _ = _at(np.int32(step), prodigy, w, g)
        expected = 0.1 * m / (np.sqrt(v) + 1e-8 / np.sqrt(1 - 0.999 ** (step + 1)))
        np.testing.assert_allclose(updates, [[-expected, expected]], rtol=1e-7)
        sophia = optimizers.sophia(0.1, b1=0.9, clip_threshold=None, eps=0.5, weight_decay=0.0)
        updates, _ = _at(np.int32(step), sophia, w, g, value_fn=_square, key=jax.random.key(0))
        np.testing.assert_allclose(updates, [[-0.2 * m, 0.2 * m]], rtol=1e-11)


def test_ratio_is_one_where_a_length_is_zero():
    zero, g = np.zeros((1, 2)), np.array([[3.0, -4.0]])
    np.testing.assert_allclose(_first(optimizers.lars(0.1, mask=None), zero, g), [[-0.3, 0.4]], rtol=1e-12)
    np.testing.assert_allclose(_first(optimizers.lamb(0.1, eps=0.0), zero, g), [[-0.1, 0.1]], rtol=1e-12)
    for optimizer in (optimizers.lars(0.1, mask=None), optimizers.lamb(0.1, eps=0.0, eps_root=1e-30)):
        np.testing.assert_array_equal(_first(optimizer, g, zero), zero)


def test_lars_leaves_vectors_to_momentum():
    w, g = ({"weight": np.ones((1, 4)), "bias": np.ones(2)} for _ in range(2))
    updates = _first(optimizers.lars(1.0, weight_decay=1.0), w, g)
    np.testing.assert_allclose(updates["weight"], -np.full((1, 4), 1e-3 * 2 / 4 * 2), rtol=1e-12)
    np.testing.assert_allclose(updates["bias"], [-1.0, -1.0], rtol=1e-12)


def test_adafactor_keeps_rows_and_columns():
    params = {"wide": np.zeros((4, 200, 150)), "narrow": np.zeros((200, 100)), "bias": np.zeros(300)}
    kept = jax.eval_shape(optimizers.adafactor().init, params).nu
    sizes = {n: [a.shape for a in both] for n, both in kept.items()}
    assert sizes == {"wide": [(4, 150), (4, 200)], "narrow": [(200, 100)], "bias": [(300,)]}
    whole = jax.eval_shape(optimizers.adafactor(min_dim_size_to_factor=None).init, params).nu
    assert whole["wide"][0].shape == (4, 200, 150)
    # squares of rank one are kept exactly: every step has the size of the rate before it is cut
    g = np.outer([1.0, 2.0, 3.0], [0.1, -5.0])
    rule = optimizers.adafactor(0.5, min_dim_size_to_factor=2, multiply_by_parameter_scale=False)
    np.testing.assert_allclose(_first(rule, np.zeros((3, 2)), g), -0.5 * np.sign(g), rtol=1e-10)
    # the two greatest axes of three: a stack of matrices is each by itself
    stack = np.sin(np.arange(24.0)).reshape(2, 4, 3)
    rule = rule.replace(min_dim_size_to_factor=3, clipping_threshold=None)
    each = np.stack([_first(rule, np.zeros((4, 3)), g, g * g) for g in stack])
    np.testing.assert_allclose(_first(rule, np.zeros((2, 4, 3)), stack, stack * stack), each, rtol=1e-10)


def test_muon_takes_singular_values_near_one():
    values = np.geomspace(0.01, 1, 6)
    random = np.random.default_rng(20)
    (left, _, _), (right, _, _) = (np.linalg.svd(random.normal(size=(n, 6)), False) for n in (9, 6))
    tall = (left * values) @ right.T
    program = jax.jit(lambda g: orthogonalized(g, ((3.4445, -4.775, 2.0315),) * 5, 1e-8))
    x = np.asarray(program(tall))
    found = np.linalg.svd(x, compute_uv=False)
    assert 0.6 < float(found.min()) and float(found.max()) < 1.2
    np.testing.assert_allclose(program(tall.T), x.T, atol=1e-7)


def test_muon_goes_by_names_and_axes():
    shapes = {"dense0.weight": (2, 3), "embedding.weight": (2, 3), "lm_head.weight": (2, 3), "norm.scale": (2, 2)}
    shapes |= {"dense0.bias": (3,), "conv.weight": (3, 3, 1, 2)}
    assert {n for n, s in shapes.items() if optimizers.hidden_matrices(n, np.zeros(s))} == {"dense0.weight"}
    kernel, rate = np.arange(24.0).reshape(2, 3, 2, 2), 0.1
    as_kernel = _first(optimizers.muon(rate, mask=None), kernel, np.sin(kernel))
    as_matrix = _first(optimizers.muon(rate, mask=None), kernel.reshape(12, 2), np.sin(kernel).reshape(12, 2))
    np.testing.assert_allclose(as_kernel.reshape(12, 2), as_matrix, rtol=1e-12)
    assert_input_error(lambda: optimizers.muon(rate, mask="*").init({"b": np.ones(3)}), "mask", given="(3,)")
    state = optimizers.muon(rate).init({"weight": np.ones((2, 2)), "bias": np.ones(2)})
    assert state.nu["weight"] is None and state.nu["bias"].shape == (2,)


def test_shampoo_of_a_vector_and_of_a_number():
    # one gradient, no graft: (g g')^(-1/2) g is the gradient's direction, and a number's is its sign
    rule = optimizers.shampoo(0.1, graft=None)
    np.testing.assert_allclose(_first(rule, np.zeros(3), np.array([3.0, 0.0, -4.0])), [-0.06, 0, 0.08], atol=1e-8)
    np.testing.assert_allclose(_first(rule, np.zeros(()), np.array(-7.0)), 0.1, rtol=1e-10)
    grafted = _first(optimizers.shampoo(0.1), np.zeros((4, 3)), np.full((4, 3), 5.0))
    np.testing.assert_allclose(np.linalg.norm(grafted), 0.1 * np.sqrt(12), rtol=1e-6)
    state = jax.eval_shape(optimizers.shampoo(0.1, block_size=2).init, np.zeros((3, 2)))
    shapes = [[m.shape[0] for m in b] for b in state.roots]
    assert shapes == [[2, 2], [1, 2]]


def test_soap_begins_by_looking():
    w, g = ({"a": np.ones((3, 2)), "b": np.ones(2)} for _ in range(2))
    rule = optimizers.soap(0.1, weight_decay=0.0, max_precond_dim=2)
    state, update = rule.init(w), jax.jit(rule.update)
    assert [m if m is None else m.shape for m in state.bases["a"]] == [None, (2, 2)] and state.bases["b"] == ()
    updates, state = update(g, state, w)
    np.testing.assert_array_equal(updates["a"], np.zeros((3, 2)))
    np.testing.assert_allclose(updates["b"], [-0.1, -0.1], rtol=1e-6)
    updates, _ = update(g, state, w)  # turned, the rows of ones are one number each
    np.testing.assert_allclose(updates["a"], -np.full((3, 2), 0.1 / np.sqrt(2)), rtol=1e-6)


def test_sophia_finds_the_diagonal_in_the_mean(key: jax.Array):
    form = np.array([[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 3.0]])
    rule, w = optimizers.sophia(0.1, b2=0.0, update_interval=2), np.ones(3)

    def look(k, step):
        state = rule.init(w)._replace(step=jnp.int32(step))
        return rule.update(w, state, w, value_fn=lambda p: p @ jnp.asarray(form) @ p / 2, key=k)[1].curvature

    @jax.jit
    def program(key):
        return jax.vmap(lambda k: look(k, 0))(jax.random.split(key, 4000)), look(key, 1)

    seen, between = map(np.asarray, program(key))
    deviation = np.sqrt((form**2).sum(1) - np.diag(form) ** 2) / np.sqrt(4000)
    assert (np.abs(seen.mean(0) - np.diag(form)) < 4 * deviation).all()
    np.testing.assert_array_equal(between, np.zeros(3))  # between two estimates it stays


def test_schedule_free_evaluates_at_the_mean():
    rule, w = optimizers.schedule_free(sgd(0.5), b1=0.6), jnp.array([1.0, -2.0])
    state, z, y = rule.init(w), [np.array(w)], w
    for g in ([1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]):
        updates, state = rule.update(jnp.array(g), state, y)
        y = y + updates
        z.append(z[-1] - 0.5 * np.array(g))
    mean = np.mean(z[1:], 0)
    np.testing.assert_allclose(rule.evaluation_params(state, y), mean, rtol=1e-12)
    np.testing.assert_allclose(y, 0.6 * mean + 0.4 * z[-1], rtol=1e-12)
    theirs = contrib.schedule_free(optax.sgd(0.5), 0.5, b1=0.6).init(w)._replace(z=state.z)
    np.testing.assert_allclose(contrib.schedule_free_eval_params(theirs, y), mean, rtol=1e-12)
    still = optimizers.schedule_free(sgd(0.0))
    updates, state = still.update(w, still.init(w), w)
    np.testing.assert_array_equal(updates, [0.0, 0.0])
    assert_input_error(lambda: optimizers.schedule_free(optimizers.scale(2.0)), "learning_rate", given="None")


def test_sam_steps_with_the_gradient_from_beside():
    w, forms = {"a": np.array([1.0, 2.0]), "b": np.array(2.0)}, {"a": np.array([1.0, 3.0]), "b": np.array(0.5)}

    def value_fn(p):
        return jnp.sum(forms["a"] * p["a"] ** 2) / 2 + forms["b"] * p["b"] ** 2 / 2

    g = jax.tree.map(np.multiply, forms, w)
    size = np.sqrt(1 + 36 + 1)
    updates = _first(optimizers.sam(sgd(0.1), rho=0.2), w, g, value_fn=value_fn)
    np.testing.assert_allclose(updates["a"], [-0.1 * (1 + 0.2 / size), -0.1 * 3 * (2 + 0.2 * 6 / size)], rtol=1e-10)
    np.testing.assert_allclose(updates["b"], -0.1 * 0.5 * (2 + 0.2 * 1 / size), rtol=1e-10)
    scaled = np.sqrt(1 + 12**2 + 2**2)
    updates = _first(optimizers.sam(sgd(0.1), rho=0.2, adaptive=True), w, g, value_fn=value_fn)
    np.testing.assert_allclose(updates["b"], -0.1 * 0.5 * (2 + 0.2 * 4 / scaled), rtol=1e-10)
    around = optimizers.sam(optimizers.ema(sgd(0.1), 0.5))
    _, state = jax.jit(lambda g: around.update(g, around.init(w), w, value_fn=value_fn))(g)
    np.testing.assert_array_equal(around.evaluation_params(state, w)["a"], state.average["a"])
    still = _first(optimizers.sam(sgd(0.1)), w, jax.tree.map(np.zeros_like, w), value_fn=value_fn)
    np.testing.assert_allclose(still["b"], -0.1, rtol=1e-12)
