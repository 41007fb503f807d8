"""The public face: what a trace holds, the trainer's cost, compiled programs, models of the library."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxann import backprop, layers, losses, models
from jaxann.core.augmentation import Mixed
from jaxann.core.trees import cast, flatten_named, wide_dtype
from tests.backprop.interpret import evaluate
from tests.backprop.nets import draw_numbers
from tests.backprop.reference import mean_loss
from tests.contract import compiles
from tests.tolerances import assert_close

CLASSES = 3
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
DERIVATIVES = {
    "custom_jvp", "custom_vjp", "fwd_and_bwd", "grad", "hessian", "jacfwd", "jacobian", "jacrev", "jvp",
    "linear_transpose", "linearize", "value_and_grad", "vjp",
}  # fmt: skip


def test_the_room_holds_no_automatic_differentiation():
    room = Path(backprop.__file__).parent
    files = sorted(room.rglob("*.py"))
    assert len(files) > 30
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[0] in ("jax", "ad", "lax", "jnp"):
                assert node.attr not in DERIVATIVES, f"{path.name}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jax":
                assert not {alias.name for alias in node.names} & DERIVATIVES, path.name
                assert "interpreters" not in (node.module or ""), path.name


def _data(batch: int = 6, features: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(batch, features)), random.integers(0, CLASSES, batch, np.int32)


def _deep() -> tuple[Any, Any, Any]:
    body = layers.sequential({"dense0": layers.dense(4), "act0": layers.elementwise("tanh"), "out": layers.dense(5)})
    model = layers.sequential(
        {
            "flat": layers.flatten(),
            "block0": layers.residual(body, layers.dense(5, use_bias=False)),
            "act0": layers.elementwise("relu"),
            "block1": layers.residual(layers.maxout(5, k=2)),
            "drop": layers.dropout(0.3),
            "out": layers.dense(CLASSES),
        }
    )
    return model, *draw_numbers(np.random.default_rng(1), model, (6, 2, 2))


def test_a_trace_names_every_layer_in_the_order_of_execution(x64: None):
    model, params, state = _deep()
    (x, y), key = _data(), jax.random.key(2)

    def program(params, x):
        return backprop.backward(model, params, state, x, y, losses.softmax_cross_entropy, key)

    trace = evaluate(program, params, x.reshape(-1, 2, 2))
    names = [
        "flat", "block0.body.dense0", "block0.body.act0", "block0.body.out", "block0.skip", "block0", "act0",
        "block1.body", "block1", "drop", "out",
    ]  # fmt: skip
    assert list(trace.layers) == names
    assert [layer.kind for layer in trace.layers.values()][5:9] == ["residual", "elementwise", "maxout", "residual"]
    inside = trace.layers["block0.body.dense0"]
    np.testing.assert_array_equal(inside.a, trace.layers["block0.body.act0"].z)
    assert_close(inside.a, np.tanh(inside.z), "elementwise")
    np.testing.assert_array_equal(trace.layers["block0.body.out"].a, trace.layers["block0.body.out"].z)
    whole = trace.layers["block0"]
    assert_close(whole.z, trace.layers["block0.body.out"].z + trace.layers["block0.skip"].z, "elementwise")
    np.testing.assert_array_equal(whole.a, np.maximum(whole.z, 0))
    assert trace.layers["block1.body"].z.shape == (6, 10) and trace.layers["block1.body"].a.shape == (6, 5)
    assert trace.input_grad.shape == (6, 2, 2)
    for name, layer in trace.layers.items():
        assert layer.delta.shape == layer.z.shape and layer.input_grad.shape == layer.x.shape, name
        if "bias" in layer.grads:  # of whatever kind of dense layer
            assert_close(layer.grads["bias"], layer.delta.sum(0), "reduction")
    assert jax.tree.structure(trace.grads) == jax.tree.structure(params)
    assert jax.tree.structure(trace.state) == jax.tree.structure(state)
    own = {f"{name}.{leaf}" for name, layer in trace.layers.items() for leaf in layer.grads}
    assert own == set(flatten_named(params))


def test_forward_is_apply_and_the_first_half_of_backward(x64: None):
    model, params, state = _deep()
    x, key = _data()[0].reshape(-1, 2, 2), jax.random.key(3)

    def program(params, x):
        found = []
        for key_or_none, train in ((key, True), (None, False)):
            ours = backprop.forward(model, params, state, x, key_or_none, train)
            assert ours.layers["out"].z is ours.predictions
            assert all(layer.delta is None and layer.input_grad is None for layer in ours.layers.values())
            found.append(((ours.predictions, ours.state), model.apply(params, state, x, key=key_or_none, train=train)))
        return found

    for ours, wanted in evaluate(program, params, x):
        assert jax.tree.structure(ours) == jax.tree.structure(wanted)
        np.testing.assert_array_equal(ours[0], wanted[0])


def test_a_lone_layer_goes_by_its_kind(x64: None):
    layer, (x, y) = layers.dense(CLASSES), _data()
    params, state = draw_numbers(np.random.default_rng(1), layer, x.shape)

    def program(params, x):
        return backprop.backward(layer, params, state, x, y, losses.softmax_cross_entropy)

    trace = evaluate(program, params, x)
    assert list(trace.layers) == ["dense"]
    wanted = special.softmax(trace.predictions, -1) - np.eye(CLASSES)[y]
    assert_close(trace.layers["dense"].delta, wanted / 6, "reduction")


SMOOTHED = functools.partial(
    losses.softmax_cross_entropy, ignore_index=1, class_weights=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1
)


def _differentiated(model: Any, loss: Any, params: Any, state: Any, batch: Any, key: Any, mask: Any, dtype: Any) -> Any:
    x, y, weights = batch

    def cost(params):
        used, given = (params, x) if dtype is None else cast((params, x), dtype)
        predictions, after = model.apply(used, state, given, key=key, train=True, example_mask=mask)
        predictions = predictions.astype(wide_dtype(predictions.dtype))
        return mean_loss(loss, predictions, y, weights), (predictions, after)

    return jax.value_and_grad(cost, has_aux=True)(params)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_value_and_grad_is_autodiff_of_the_mean_loss(dtype: str | None):
    """The cost of training and its gradient: class weights, ignored labels, padding, example weights, noise."""
    model = models.mlp((8, CLASSES), activation="gelu", dropout=0.2, batch_norm=True)
    x, y = _data(12)
    x, (params, state) = x.astype(np.float32), cast(draw_numbers(np.random.default_rng(1), model, x.shape), np.float32)
    mask = (np.arange(12) < 10).astype(np.float32)
    weights = np.linspace(0.5, 2, 12, dtype=np.float32) * mask

    @quick_jit
    def both(params, state, x, y, weights, mask, key):
        written = backprop.value_and_grad(model, SMOOTHED, compute_dtype=dtype)
        ours = written(params, state, x, y, key=key, weights=weights, example_mask=mask)
        return ours, _differentiated(model, SMOOTHED, params, state, (x, y, weights), key, mask, dtype)

    ours, wanted = both(params, state, x, y, weights, mask, jax.random.key(5))
    assert jax.tree.structure(ours) == jax.tree.structure(wanted)
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(wanted[1]))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype == jnp.float32
        tolerance = 2e-2 if dtype else 1e-5
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(largest, float(jnp.abs(b).max())))


def test_mixed_targets_and_several_values_an_example(x64: None):
    model, (x, y), random = layers.dense(CLASSES), _data(), np.random.default_rng(4)
    params, state = draw_numbers(random, model, x.shape)
    share = np.array([0.0, 1.0, 0.3, 0.5, 0.9, 1.0])
    numbers, weights = random.normal(size=(6, CLASSES)), random.random(6)
    cases = [
        (SMOOTHED, Mixed(y, np.roll(y, 1), share)),
        (losses.huber, Mixed(numbers, numbers[::-1].copy(), share)),
        (losses.huber, numbers),
    ]

    def program(params, x, weights):
        return [
            _both(model, loss, params, state, (x, targets, given), None)
            for loss, targets in cases
            for given in (None, weights)
        ]

    for ours, wanted in evaluate(program, params, x, weights):
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
            assert_close(a, b, "reduction")


def _both(model: Any, loss: Any, params: Any, state: Any, batch: Any, key: Any) -> Any:
    written = backprop.value_and_grad(model, loss)(params, state, *batch[:2], key=key, weights=batch[2])
    return written, _differentiated(model, loss, params, state, batch, key, None, None)


def test_an_ensemble_in_one_network(x64: None):
    model, (x, y) = models.tabm((5, CLASSES), members=2, dropout=0.2), _data()
    (params, state), key = draw_numbers(np.random.default_rng(1), model, x.shape), jax.random.key(1)

    def program(params, x):
        return _both(model, losses.each_member(SMOOTHED), params, state, (x, y, None), key)

    ours, wanted = evaluate(program, params, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        assert_close(a, b, "reduction")


def test_model_and_loss_are_arguments_of_a_compiled_program():
    """Another dropout rate or delta compiles nothing; layers keep their order; 16 bits stay 16 bits."""

    @quick_jit
    def program(model, loss, params, state, x, y, key):
        return backprop.backward(model, params, state, x, y, loss, key)

    x = _data()[0]
    y = np.sin(x[:, :CLASSES])

    def look(rate: float, delta: float, dtype: Any = jnp.float32) -> Any:
        model = models.mlp((8, CLASSES), dropout=rate)
        params, state = draw_numbers(np.random.default_rng(1), model, x.shape)
        params = jax.tree.map(lambda p: p.astype(dtype), params)
        loss = jax.tree_util.Partial(losses.huber, delta=delta)
        return program(model, loss, params, state, x.astype(dtype), y, jax.random.key(1))

    first = look(0.1, 1.0)
    assert list(first.layers) == ["dense0", "act0", "drop0", "dense1"]
    before = compiles()
    second = look(0.5, 0.2)
    assert compiles() == before
    assert float(first.loss) != float(second.loss)
    narrow = look(0.1, 1.0, jnp.bfloat16)
    assert narrow.loss.dtype == jnp.float32
    for a, b in zip(jax.tree.leaves(narrow.grads), jax.tree.leaves(first.grads), strict=True):
        assert a.dtype == jnp.bfloat16
        assert_close(a.astype(jnp.float32), b, "program", jnp.bfloat16)
