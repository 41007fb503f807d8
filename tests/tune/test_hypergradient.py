"""The derivative of a run by its hyperparameters against central differences, its memory, and its errors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.tune import hypergradient
from tests.contract import assert_input_error, compiles
from tests.train.problems import digits, loss

KEY = jax.random.key(0)


def momentum(hyper):
    net = ja.models.mlp((10,))
    return ja.recipe(net, loss, ja.optimizers.sgd(hyper["learning_rate"], momentum=hyper["momentum"]))


def decayed(hyper):
    net = ja.models.mlp((10,))
    optimizer = ja.optimizers.adamw(
        hyper["learning_rate"], b1=hyper["b1"], weight_decay=hyper["weight_decay"], eps_root=1e-8
    )
    return ja.recipe(net, loss, optimizer)


def smoothed(hyper):
    """Every other kind of place a number can stand in: the loss, the initial weights, a schedule."""
    net = ja.models.mlp((5, 10), activation="tanh", kernel_init=ja.initializers.normal(hyper["stddev"]))
    rate = ja.schedules.cosine(hyper["peak"], 28, warmup=4)
    return ja.recipe(net, functools.partial(loss, label_smoothing=hyper["smoothing"]), ja.optimizers.sgd(rate))


def averaged(hyper):
    """Evaluated elsewhere than where it steps."""
    net = ja.models.mlp((10,))
    descent = ja.optimizers.sgd(hyper["learning_rate"], momentum=hyper["momentum"])
    return ja.recipe(net, loss, ja.optimizers.polyak(descent))


def wide():
    return tuple(tuple(np.asarray(a, np.float64) if a.ndim > 1 else a for a in part) for part in digits())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("build", "hyper"),
    [
        (momentum, {"learning_rate": 0.05, "momentum": 0.8}),
        (decayed, {"learning_rate": 3e-3, "b1": 0.9, "weight_decay": 0.05}),
        (smoothed, {"peak": 0.2, "stddev": 0.3, "smoothing": 0.1}),
        (averaged, {"learning_rate": 0.05, "momentum": 0.8}),
    ],
    ids=["momentum", "adamw", "loss and schedule", "average"],
)
def test_hypergradient_matches_central_differences(build, hyper):
    train, validation = wide()

    def run(hyper):
        return hypergradient(build, hyper, train, validation, key=KEY, epochs=4, batch_size=64)

    value, gradients = run(hyper)
    assert list(gradients) == list(hyper) and value.dtype == jnp.float64
    before = compiles()
    for name, at in hyper.items():
        d = 1e-4 * at
        f = {k: float(run(hyper | {name: at + k * d})[0]) for k in (-2, -1, 1, 2)}
        numeric = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * d)  # of fourth order
        np.testing.assert_allclose(gradients[name], numeric, rtol=1e-6, err_msg=name)
    assert compiles() == before, "another value compiled a program"


@pytest.mark.usefixtures("x64")
def test_the_run_is_that_of_make_run():
    """Weights, a padded last batch, dropout and batch statistics: the loss is the last of the history."""
    (x, y), validation = wide()
    train = (x, y, np.linspace(0.5, 1.5, len(x)))

    def build(hyper):
        net = ja.models.mlp((6, 10), dropout=hyper["rate"], batch_norm=True)
        return ja.recipe(net, loss, ja.optimizers.sgd(hyper["learning_rate"]))

    hyper = {"rate": 0.2, "learning_rate": 0.05}
    value, gradients = hypergradient(build, hyper, train, validation, key=KEY, epochs=3, batch_size=64)
    run = ja.train.make_run(build(hyper), epochs=3, batch_size=64)

    def final(hyper):
        run = ja.train.make_run(build(hyper), epochs=3, batch_size=64)
        return run(KEY, train, validation).history["validation_loss"][-1]

    np.testing.assert_allclose(value, jax.jit(run)(KEY, train, validation).history["validation_loss"][-1], rtol=1e-10)
    plain = jax.jit(jax.grad(final))({name: jnp.asarray(v) for name, v in hyper.items()})
    for name in hyper:
        np.testing.assert_allclose(gradients[name], plain[name], rtol=1e-8, err_msg=name)


def test_averaged_weights_are_what_is_judged():
    train, validation = digits()
    hyper = {"learning_rate": 0.05, "momentum": 0.8}
    value, _ = hypergradient(averaged, hyper, train, validation, key=KEY, epochs=3, batch_size=64)
    run = jax.jit(ja.train.make_run(averaged(hyper), epochs=3, batch_size=64))
    np.testing.assert_allclose(value, run(KEY, train, validation).history["validation_loss"][-1], rtol=1e-5)


def test_memory_grows_with_the_root_of_the_steps():
    (x, y), validation = digits()
    train = (x[:128], y[:128])

    def build(hyper):
        net = ja.models.mlp((32, 10), activation="tanh")
        return ja.recipe(net, loss, ja.optimizers.sgd(hyper["rate"], momentum=0.9))

    def lean(hyper, epochs):
        return hypergradient(build, hyper, train, validation, key=KEY, epochs=epochs, batch_size=32)[1]

    def plain(hyper, epochs):
        def final(hyper):
            run = ja.train.make_run(build(hyper), epochs=epochs, batch_size=32)
            return run(KEY, train, validation).history["validation_loss"][-1]

        return jax.grad(final)(hyper)

    def memory(function, epochs):
        program = jax.jit(functools.partial(function, epochs=epochs)).lower({"rate": jnp.float32(0.1)}).compile()
        return program.memory_analysis().temp_size_in_bytes

    short, long = memory(lean, 16), memory(lean, 64)
    assert long / short < 2.2, f"{short} and {long} bytes"
    assert memory(plain, 64) / memory(plain, 16) > 3.5
    assert long < memory(plain, 64) / 10


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 1000), (1, 100), (2, 137)])
def test_any_number_of_steps_is_run_to_the_end(epochs, batch_size):
    train, validation = digits()
    hyper = {"learning_rate": 0.05, "momentum": 0.8}
    value, gradients = hypergradient(momentum, hyper, train, validation, key=KEY, epochs=epochs, batch_size=batch_size)
    run = ja.train.make_run(momentum(hyper), epochs=epochs, batch_size=batch_size)
    expected = jax.jit(run)(KEY, train, validation).history["validation_loss"][-1]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert gradients["learning_rate"] < 0


def test_hypergradient_goes_through_jit_and_vmap_and_hands_on_what_is_no_float():
    train, validation = digits()

    def build(hyper):
        assert type(hyper["width"]) is int and hyper["name"] == "tanh"
        net = ja.models.mlp((hyper["width"], 10), activation=hyper["name"])
        return ja.recipe(net, loss, ja.optimizers.sgd(hyper["learning_rate"]))

    def gradient(rate, key):
        hyper = {"width": np.int64(6), "name": "tanh", "learning_rate": rate}
        return hypergradient(build, hyper, train, validation, key=key, epochs=1, batch_size=100)[1]

    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(gradient, in_axes=(None, 0)))(jnp.float32(0.05), keys)
    assert set(together) == {"learning_rate"}
    for i in range(3):
        np.testing.assert_allclose(together["learning_rate"][i], gradient(0.05, keys[i])["learning_rate"], rtol=1e-4)


def test_descent_on_the_learning_rate_lowers_the_validation_loss():
    train, validation = digits()
    hyper, values = {"learning_rate": 0.01, "momentum": 0.5}, []
    for _ in range(6):
        value, gradients = hypergradient(momentum, hyper, train, validation, key=KEY, epochs=2, batch_size=64)
        values.append(float(value))
        hyper["learning_rate"] *= float(jnp.exp(-0.5 * jnp.sign(gradients["learning_rate"])))
    assert values == sorted(values, reverse=True) and values[-1] < 0.9 * values[0]


def test_a_slope_that_is_not_finite_is_told_and_eps_root_mends_it():
    train, validation = digits()  # some pixels are never lit: their weights have v = 0 throughout

    def build(hyper, eps_root=0.0):
        return ja.recipe(ja.models.mlp((10,)), loss, ja.optimizers.adam(hyper["learning_rate"], eps_root=eps_root))

    def run(build):
        return hypergradient(build, {"learning_rate": 1e-2}, train, validation, key=KEY, epochs=1, batch_size=100)

    with pytest.raises(ja.InputError, match=r"not finite by learning_rate\.\n.*eps_root=1e-8"):
        run(build)
    assert np.isfinite(run(functools.partial(build, eps_root=1e-8))[1]["learning_rate"])


def test_a_run_that_diverges_is_told():
    train, validation = digits()
    hyper = {"learning_rate": 3e38, "momentum": 0.0}
    with pytest.raises(ja.DivergedError, match="step 1 of the run") as caught:
        hypergradient(momentum, hyper, train, validation, key=KEY, epochs=1, batch_size=64)
    assert caught.value.step == 1
    bad = (np.full_like(validation[0], np.nan), validation[1])
    with pytest.raises(ja.InputError, match="validation x must be finite, got 6400 of 6400"):
        hypergradient(momentum, hyper | {"learning_rate": 0.1}, train, bad, key=KEY, epochs=1, batch_size=64)


def test_hypergradient_checks_its_settings():
    train, validation = digits()
    given = {"key": KEY, "epochs": 1, "batch_size": 64}
    hyper = {"learning_rate": 0.05, "momentum": 0.8}

    def call(build=momentum, hyper=hyper, **changes):
        return hypergradient(build, hyper, train, validation, **(given | changes))

    x = jax.device_put(train[0])
    assert x is not None  # the data are on the device before the first check
    call()
    assert_input_error(lambda: call(hyper=[0.1]), "hyperparameters", expected="a dict")
    assert_input_error(lambda: call(hyper={"width": 3}), "hyperparameters", expected="at least one float")
    nan = hyper | {"momentum": float("nan")}
    assert_input_error(lambda: call(hyper=nan), "hyperparameters['momentum']", given="nan")
    listed = hyper | {"widths": [3, 4]}
    assert_input_error(lambda: call(hyper=listed), "hyperparameters['widths']", given="[3, 4]")
    assert_input_error(lambda: call(epochs=0), "epochs", given="0")
    never = lambda hyper: momentum(hyper).updated(epochs=0)  # noqa: E731
    assert_input_error(lambda: call(build=never, epochs=None), "epochs", given="0")
    assert_input_error(lambda: call(build="adam"), "build")
    assert_input_error(lambda: call(key=0), "key", given="0")
    assert_input_error(lambda: call(batch_size=0), "batch_size", given="0")
    assert_input_error(lambda: call(build=lambda hyper: 3), "build", given="returned 3")

    linear = ja.models.mlp((10,))

    def refused(optimizer, argument="optimizer", model=linear, stopping=None, **told):
        def build(hyper):
            return ja.recipe(model, loss, optimizer(hyper["learning_rate"]), stopping=stopping)

        assert_input_error(lambda: call(build=build), argument, **told)

    refused(lambda rate: ja.optimizers.sgd(ja.schedules.reduce_on_plateau(0.1)), given="reduce_on_plateau")
    refused(ja.optimizers.lbfgs, given="lbfgs", expected="without a line search")
    normalized = ja.models.mlp((5, 10), batch_norm=True)
    average = lambda rate: ja.optimizers.polyak(ja.optimizers.sgd(rate))  # noqa: E731
    refused(average, model=normalized, given="polyak", expected="without an average")
    for stopping in (ja.train.early_stopping(3, restore_best=False), ja.train.early_stopping(None)):
        refused(ja.optimizers.sgd, "stopping of the recipe", stopping=stopping, expected="no slope")
