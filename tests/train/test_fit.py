"""fit: stopping, schedules, interruption, divergence, resumption, and that nothing is compiled twice."""

from __future__ import annotations

import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import psutil
import pytest

import jaxann as ja
from jaxann.train import Status, early_stopping
from tests.train.problems import FIT, compiles, digits, equal_bits, loss, small_fit, small_recipe


def test_patience_stops_and_the_best_weights_come_back():
    result = small_fit(optimizer=ja.optimizers.adam(3e-2), epochs=200, stopping=early_stopping(4))
    values = result.history["validation_loss"]
    assert result.status is Status.STOPPED
    assert result.best_epoch == int(np.argmin(values))
    assert result.epochs_run == len(values) == result.best_epoch + 1 + 4
    _, validation = digits()
    again = ja.train.evaluate(small_recipe(), result.params, result.state, validation)
    np.testing.assert_allclose(again["loss"], values.min(), rtol=1e-5)


def test_monitor_can_be_a_metric_to_maximize():
    result = small_fit(epochs=60, stopping=early_stopping(3, monitor="validation_accuracy", mode="max"))
    values = result.history["validation_accuracy"]
    assert result.best_epoch == int(np.argmax(values))
    assert len(values) == result.best_epoch + 4


def test_cosine_and_plateau_run_inside_the_program():
    steps = 7 * 6  # 410 rows, batch 64, 6 epochs
    result = small_fit(optimizer=ja.optimizers.adam(ja.schedules.cosine(1e-2, steps, warmup=7)))
    expected = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 7, steps)
    np.testing.assert_allclose(
        result.history["learning_rate"], [expected(7 * e - 1) for e in range(1, 7)], rtol=1e-5, atol=1e-9
    )
    plateau = ja.schedules.reduce_on_plateau(3e-2, factor=0.5, patience=2)
    result = small_fit(
        optimizer=ja.optimizers.chain(ja.optimizers.clip_by_global_norm(1.0), ja.optimizers.adam(plateau)), epochs=40
    )
    scale, best, bad = 1.0, np.inf, 0
    for rate, value in zip(result.history["learning_rate"], result.history["validation_loss"], strict=True):
        np.testing.assert_allclose(rate, 3e-2 * scale, rtol=1e-5)
        improved = value < best * (1 - 1e-4)
        best, bad = (value, 0) if improved else (best, bad + 1)
        if bad == 2:
            scale, bad = scale * 0.5, 0
    assert scale < 1


def test_other_numbers_compile_nothing():
    smoothed, three = functools.partial(loss, label_smoothing=0.1), early_stopping(3)
    small_fit(stopping=three, loss=smoothed)
    rate = jnp.asarray(1e-2)
    before = compiles()
    small_fit(stopping=three, loss=smoothed, optimizer=ja.optimizers.adam(1e-2, b1=0.8, eps=1e-7))
    small_fit(stopping=early_stopping(2), loss=smoothed, key=jax.random.key(5))
    other = ja.models.mlp((16, 10), dropout=0.4)
    small_fit(stopping=early_stopping(3, min_delta=0.01), loss=smoothed, model=other)
    small_fit(stopping=three, loss=functools.partial(loss, label_smoothing=0.2), epochs=9)
    small_fit(stopping=three, loss=smoothed, optimizer=ja.optimizers.adam(np.float32(1e-2)))
    small_fit(stopping=three, loss=smoothed, optimizer=ja.optimizers.adam(rate), on_nonfinite="skip")
    assert compiles() == before


def test_two_hundred_fits_keep_no_memory():
    def once(i):
        small_fit(
            model=ja.models.mlp((16, 10), dropout=0.1 + i * 1e-3),
            optimizer=ja.optimizers.adam(1e-3 * (1 + i)),
            key=jax.random.key(i),
            epochs=1 + i % 3,
        )

    for i in range(20):
        once(i)
    gc.collect()
    before, size = compiles(), psutil.Process().memory_info().rss
    for i in range(200):
        once(i)
    gc.collect()
    assert compiles() == before
    assert psutil.Process().memory_info().rss - size < 5e6


def test_resume_goes_on_bit_for_bit():
    whole = small_fit(epochs=9, stopping=early_stopping(5))
    part = small_fit(epochs=4, stopping=early_stopping(5))
    rest = small_fit(epochs=9, stopping=early_stopping(5), resume=part)
    assert equal_bits((whole.params, whole.history), (rest.params, rest.history))
    assert rest.epochs_run == 9 and part.epochs_run == 4


def test_resume_refuses_another_model():
    part = small_fit(epochs=1)
    with pytest.raises(ja.InputError, match="resume must be a result of the same model"):
        small_fit(model=ja.models.mlp((17, 10), dropout=0.1), resume=part)
    with pytest.raises(ja.InputError, match="resume must be a result with the history"):
        small_fit(metrics=None, resume=part)


def test_interruption_returns_the_best_so_far(monkeypatch):
    of, calls = FIT._advance.of, []
    patient = early_stopping(40)

    def interrupted(setting):
        def advance(*args):
            if len(calls) == 3:
                raise KeyboardInterrupt
            calls.append(1)
            return of(setting)(*args)

        return advance

    monkeypatch.setattr(FIT._advance, "of", interrupted)
    monkeypatch.setattr(FIT, "_CHUNK_SECONDS", 0.0)
    cut = small_fit(epochs=50, stopping=patient)
    monkeypatch.undo()
    assert cut.status is Status.INTERRUPTED
    assert cut.epochs_run == 3
    assert equal_bits(cut.params, small_fit(epochs=3, stopping=patient).params)
    resumed = small_fit(epochs=8, stopping=patient, resume=cut)
    assert equal_bits(resumed.params, small_fit(epochs=8, stopping=patient).params)


def cursed(predictions, targets):
    """The loss, but NaN for the digit 9."""
    return jnp.where(targets == 9, jnp.nan, loss(predictions, targets))


def curse(row: int) -> dict:
    """A setting in which the step that meets this row is bad: the only 9 of the training set."""
    (x, y), _ = digits()
    y = np.where(y == 9, 0, y)
    y[row] = 9
    return {
        "train": (x, y), "loss": cursed, "validation": None, "metrics": None, "shuffle": False,
        "optimizer": ja.optimizers.sgd(0.1, momentum=0.9), "model": ja.models.mlp((16, 10)),
    }  # fmt: skip


def test_divergence_stops_with_the_last_good_weights_and_names_the_step():
    with pytest.warns(
        ja.DivergedWarning, match=r"step 3 \(epoch 0, batch 3\) gave a loss or gradient .*loss nan, gradient norm 0"
    ):
        result = small_fit(**curse(200))
    assert result.status is Status.DIVERGED and result.diverged_step == 3 and result.epochs_run == 1
    x, y = curse(200)["train"]
    good = small_fit(**(curse(200) | {"train": (x[:192], y[:192]), "epochs": 1}))  # the three batches before
    for ours, reference in zip(jax.tree.leaves(result.params), jax.tree.leaves(good.params), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-7)


def test_divergence_can_raise_or_be_skipped():
    with pytest.raises(ja.DivergedError) as caught:
        small_fit(on_nonfinite="raise", **curse(200))
    assert caught.value.step == 3 and all(np.isfinite(p).all() for p in jax.tree.leaves(caught.value.params))
    with pytest.warns(ja.DivergedWarning, match="6 steps .* were skipped, the first was 3"):
        result = small_fit(on_nonfinite="skip", **curse(200))
    assert result.status is Status.FINISHED and result.epochs_run == 6
    assert np.isfinite(result.history["loss"]).all()


def test_a_first_bad_step_always_raises():
    for policy in ("stop", "raise"):
        with pytest.raises(ja.DivergedError, match="step 0"):
            small_fit(on_nonfinite=policy, **curse(0))


def test_a_huge_learning_rate_diverges_at_the_step_of_a_plain_loop():
    (x, y), _ = digits()
    net, optimizer = ja.models.mlp((16, 10)), ja.optimizers.sgd(1e30)
    with pytest.warns(ja.DivergedWarning, match="step 1 "):
        result = small_fit(model=net, optimizer=optimizer, metrics=None)
    assert result.diverged_step == 1  # the first step's gradient is fine, the weights after it are not


def test_nan_in_the_validation_alone_is_no_divergence():
    def nan_above(predictions, targets):
        return loss(predictions, targets) * (jnp.nan if len(targets) == 100 else 1.0)

    with pytest.warns(UserWarning, match="validation_loss was never a number"):
        result = small_fit(loss=nan_above, epochs=2)
    assert result.status is Status.FINISHED and result.best_epoch == -1
    assert np.isnan(result.history["validation_loss"]).all()


def test_an_optax_optimizer_trains_as_the_same_jaxann_one():
    ours = small_fit(optimizer=ja.optimizers.adam(3e-3), epochs=3)
    theirs = small_fit(optimizer=optax.adam(3e-3), epochs=3)
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-4)
    assert np.isnan(theirs.history["learning_rate"]).all()


def test_no_epochs_give_the_initial_weights():
    result = small_fit(epochs=0)
    assert result.epochs_run == 0 and all(len(v) == 0 for v in result.history.values())
    fresh, _ = ja.models.mlp((16, 10), dropout=0.1).init(
        ja.core.fold_name(jax.random.key(0), "init"), jax.ShapeDtypeStruct((1, 64), jnp.float32)
    )
    for got, expected in zip(jax.tree.leaves(result.params), jax.tree.leaves(fresh), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_progress_shows_epochs_loss_metric_and_speed(capsys):
    small_fit(progress=True, epochs=2)
    shown = capsys.readouterr().out
    for part in ("2/2", "loss ", "val ", "accuracy ", "/s"):
        assert part in shown, shown


def test_integer_pixels_train_as_their_float_form():
    (x, y), (x_val, y_val) = digits()
    pixels = lambda a: (a * 16).astype(np.uint8)  # noqa: E731
    whole = small_fit(train=(pixels(x), y), validation=(pixels(x_val), y_val), epochs=2)
    real = small_fit(train=(x * 16, y), validation=(x_val * 16, y_val), epochs=2)
    assert equal_bits(whole.params, real.params)
