"""The training program: what it computes."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxann as ja
from jaxann.train import measure as measuring
from jaxann.train.batches import Batch, batch_of
from tests.train.problems import digits, equal_bits, loss, model, small_fit, small_recipe


def test_every_example_counts_once_and_the_last_batch_is_exact():
    """Plain descent against PyTorch on the same order of examples, the last batch being short."""
    (x, y), _ = digits()
    net = ja.models.mlp((16, 10))
    key = jax.random.key(0)
    data = Batch(jnp.asarray(x), jnp.asarray(np.arange(len(x), dtype=np.int32)))
    seen, rows = [], []
    for number in range(7):
        (_, which, _), mask, _ = batch_of(
            key, jnp.int32(0), jnp.int32(number), data, batch_size=64, shuffle=True, last=number == 6
        )
        assert mask is None  # the last batch has its own size, since padding would be a tenth of the epoch
        rows.append(np.asarray(which))
        seen.extend(rows[-1].tolist())
    assert sorted(seen) == list(range(len(x)))
    assert [len(r) for r in rows] == [64] * 6 + [26]

    start = small_fit(model=net, epochs=0).params
    w = {n: torch.tensor(np.asarray(v), requires_grad=True) for n, v in ja.core.flatten_named(start).items()}
    total = 0.0
    for row in rows:
        hidden = torch.relu(torch.tensor(x[row]) @ w["dense0.weight"] + w["dense0.bias"])
        logits = hidden @ w["dense1.weight"] + w["dense1.bias"]
        value = torch.nn.functional.cross_entropy(logits, torch.tensor(y[row]).long())
        value.backward()
        total += value.item() * len(row) / len(x)
        with torch.no_grad():
            for v in w.values():
                v -= 0.1 * v.grad
                v.grad = None
    ours = small_fit(model=net, optimizer=ja.optimizers.sgd(0.1), epochs=1)
    for name, value in ja.core.flatten_named(ours.params).items():
        np.testing.assert_allclose(value, w[name].detach().numpy(), rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(ours.history["loss"][0], total, rtol=1e-5)


def test_history_holds_the_figures_of_the_whole_sets():
    _, validation = digits()
    result = small_fit()
    assert list(result.history) == [
        "loss", "learning_rate", "gradient_norm", "accuracy", "validation_loss", "validation_accuracy",
    ]  # fmt: skip
    assert all(len(v) == 6 and np.isfinite(v).all() for v in result.history.values())
    logits = ja.predict(model(), result.params, result.state, validation[0])
    value = float(np.mean(np.asarray(loss(logits, jnp.asarray(validation[1])))))
    np.testing.assert_allclose(result.history["validation_loss"][-1], value, rtol=1e-5)
    hits = np.mean(np.argmax(logits, -1) == validation[1])
    np.testing.assert_allclose(result.history["validation_accuracy"][-1], hits, rtol=1e-6)
    np.testing.assert_allclose(result.history["learning_rate"], 3e-3, rtol=1e-6)


def test_a_metric_of_ones_own_sees_whole_arrays():
    def worst(predictions, targets):
        assert predictions.shape[0] == targets.shape[0]
        return jnp.max(loss(predictions, targets))

    result = small_fit(metrics={"worst": worst}, epochs=2)
    _, validation = digits()
    logits = ja.predict(model(), result.params, result.state, validation[0])
    expected = float(jnp.max(loss(logits, jnp.asarray(validation[1]))))
    np.testing.assert_allclose(result.history["validation_worst"][-1], expected, rtol=1e-5)
    assert result.history["worst"][-1] > 0


def test_how_many_rows_are_measured_at_once_has_no_influence():
    """100 rows: whole, three full batches and a rest, four without a rest, one by one; a metric of whole arrays too."""

    def worst(predictions, targets):
        return jnp.max(loss(predictions, targets))

    result, (_, data) = small_fit(epochs=1), digits()
    recipe = small_recipe(
        metrics={
            "accuracy": ja.metrics.accuracy,
            "f1": functools.partial(ja.metrics.f1, average="macro"),
            "worst": worst,
        }
    )
    batch = Batch(*(jnp.asarray(a) for a in data))
    measure = jax.jit(measuring.measure, static_argnames="rows")
    whole = measure(recipe, result.params, result.state, batch)
    np.testing.assert_allclose(whole[0], result.history["validation_loss"][-1], rtol=1e-6)
    for rows in (33, 25, 1, 100, 1000):
        found = measure(recipe, result.params, result.state, batch, rows=rows)
        np.testing.assert_allclose(found, whole, rtol=1e-5, err_msg=str(rows))


@pytest.mark.parametrize(
    ("shape", "batch_size", "rows"),
    [
        ((50, 4), 128, 2048),  # small rows: a moderate number of them
        ((50, 2**14), 128, 2**10),  # wide rows: so many that their numbers stay moderate
        ((50, 2**20), 128, 128),  # never fewer than a batch of training,
        ((50, 2**20), 10_000, 2048),  # but for one that is large itself
        ((50, 2**25), 1, 1),
        ((50,), 1, 2048),
    ],
)
def test_rows_measured_at_once_keep_the_arrays_moderate(shape, batch_size, rows):
    spec = jax.ShapeDtypeStruct(shape, jnp.float32)
    assert measuring.evaluation_rows(spec, batch_size) == rows
    halves = [jax.ShapeDtypeStruct((50, *(n // 2 for n in shape[1:2])), jnp.float32)] * 2
    assert measuring.evaluation_rows(halves if len(shape) > 1 else spec, batch_size) == rows


def test_vmapped_members_equal_their_single_runs():
    train, validation = digits()
    stopping = ja.train.early_stopping(2)
    run = ja.train.make_run(small_recipe(metrics=None, stopping=stopping), epochs=4, batch_size=64)
    keys = jax.random.split(jax.random.key(1), 3)
    together = jax.jit(jax.vmap(run, in_axes=(0, None, None)))(keys, train, validation)
    single = jax.jit(run)
    for member in range(3):
        alone = single(keys[member], train, validation)
        np.testing.assert_allclose(
            together.history["validation_loss"][member], alone.history["validation_loss"], rtol=2e-5
        )
        assert int(together.best_epoch[member]) == int(alone.best_epoch)


def test_vmap_over_an_optimizer_is_a_population_of_rates():
    train, validation = digits()
    rates = ja.optimizers.adam(jnp.asarray([1e-3, 1e-2]))

    def build(optimizer):
        recipe = small_recipe(optimizer=optimizer, metrics=None)
        return ja.train.make_run(recipe, epochs=2, batch_size=64)(jax.random.key(0), train, validation)

    both = jax.jit(jax.vmap(build, in_axes=(ja.core.batch_axes(rates),)))(rates)
    np.testing.assert_allclose(both.history["learning_rate"][:, -1], [1e-3, 1e-2], rtol=1e-6)
    for i, rate in enumerate([1e-3, 1e-2]):
        alone = small_fit(optimizer=ja.optimizers.adam(rate), epochs=2)
        np.testing.assert_allclose(both.history["loss"][i], alone.history["loss"], rtol=1e-5)


def test_one_diverged_member_leaves_the_others_alone():
    train, validation = digits()

    def build(rate):
        recipe = ja.recipe(ja.models.mlp((16, 10)), loss, ja.optimizers.sgd(rate))
        return ja.train.make_run(recipe, epochs=3, batch_size=64)(jax.random.key(0), train, validation)

    both = jax.jit(jax.vmap(build))
    with_bad = both(jnp.asarray([0.1, 1e30, 0.05]))
    without = both(jnp.asarray([0.1, 0.2, 0.05]))
    for member in (0, 2):
        take = lambda tree, m=member: jax.tree.map(lambda a: a[m], tree)  # noqa: E731
        assert equal_bits(take(with_bad.params), take(without.params))
    assert with_bad.status.tolist() == [0, ja.train.Status.DIVERGED, 0]
    assert with_bad.diverged_step.tolist()[0::2] == [-1, -1]
    assert all(np.isfinite(p).all() for p in jax.tree.leaves(with_bad.params))


def test_gradient_through_a_run_matches_central_differences(x64):
    train, validation = (tuple(np.asarray(a, np.float64) if a.ndim > 1 else a for a in d) for d in digits())

    def final(rate):
        net = ja.models.mlp((5, 10), activation="tanh")
        recipe = ja.recipe(net, loss, ja.optimizers.sgd(rate, momentum=0.9))
        run = ja.train.make_run(recipe, epochs=2, batch_size=64)
        return run(jax.random.key(0), train, validation).history["validation_loss"][-1]

    slope = jax.jit(jax.grad(final))(0.05)
    step = 1e-6
    numeric = (jax.jit(final)(0.05 + step) - jax.jit(final)(0.05 - step)) / (2 * step)
    np.testing.assert_allclose(slope, numeric, rtol=1e-5)


def test_bfloat16_computes_narrow_and_keeps_wide_parameters():
    wide, narrow = small_fit(epochs=8), small_fit(epochs=8, compute_dtype="bfloat16")
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(narrow.params))
    assert not equal_bits(wide.params, narrow.params)
    np.testing.assert_allclose(narrow.history["loss"], wide.history["loss"], rtol=5e-2)


@pytest.mark.parametrize("batch_size", [1, 410, 1000])
def test_any_batch_size_runs(batch_size):
    result = small_fit(batch_size=batch_size, epochs=1)
    assert np.isfinite(result.history["loss"]).all()


def test_full_batch_takes_no_shuffle_and_weights_stand_for_copies():
    (x, y), _ = digits()
    x, y = x[:40], y[:40]
    weights = np.where(np.arange(40) < 10, 3.0, 1.0).astype(np.float32)
    copies = np.concatenate([np.arange(40), np.repeat(np.arange(10), 2)])
    shared = {"model": ja.models.mlp((8, 10)), "validation": None, "metrics": None, "batch_size": 64, "epochs": 20}
    weighted = small_fit(train=(x, y, weights), **shared)
    repeated = small_fit(train=(x[copies], y[copies]), **shared)
    np.testing.assert_allclose(weighted.history["loss"], repeated.history["loss"], rtol=1e-4)


def test_batch_norm_statistics_leave_padding_out():
    """One epoch of one padded batch: the running mean must be that of the real rows alone."""
    (x, y), _ = digits()
    net = ja.layers.sequential({"norm": ja.layers.batch_norm(decay=0.0), "dense": ja.layers.dense(10)})
    result = small_fit(
        model=net, train=(x[:100], y[:100]), batch_size=64, epochs=1, shuffle=False, metrics=None, validation=None
    )
    np.testing.assert_allclose(result.state["norm"]["mean"], x[64:100].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.state["norm"]["var"], x[64:100].var(0), rtol=1e-4, atol=1e-6)
