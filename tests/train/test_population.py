"""Populations: every member is its own single run, whatever it is trained beside."""

from __future__ import annotations

import functools
import signal
import threading
import warnings
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import early_stopping, placement
from jaxann.train.grouping import as_columns, group_members
from jaxann.train.recipe import Recipe
from tests.contract import assert_input_error
from tests.train.problems import FITTED_BY, compiles, digits, equal_bits, loss, press_ctrl_c

RATES = [1e-3, 3e-3, 1e-2, 3e-2, 1e-4]
KEYS = jax.random.split(jax.random.key(7), 5)
DECAYS = [0.0, 1e-4, 1e-2, 1e-1, 1.0]


METRICS = {"accuracy": ja.metrics.accuracy}


def build(hyper: dict[str, Any], **settings: Any) -> Recipe:
    optimizer = ja.optimizers.adamw(hyper["learning_rate"], weight_decay=hyper["weight_decay"])
    return ja.recipe(ja.models.mlp((16, 10), dropout=0.1), loss, optimizer, metrics=METRICS, **settings)


def population(made=build, hyperparameters=None, **changes: Any) -> ja.train.Population:
    """A population; what is no argument of `fit_population` goes to the recipes of `build`."""
    train, validation = digits()
    verb = (*FITTED_BY, "keys", "dataset", "placement")
    own = {name: value for name, value in changes.items() if name not in verb}
    setting: dict[str, Any] = {"train": train, "validation": validation, "keys": KEYS, "epochs": 6, "batch_size": 64}
    setting |= {name: value for name, value in changes.items() if name in verb}
    if hyperparameters is None:
        hyperparameters = {"learning_rate": RATES, "weight_decay": DECAYS}
    made = functools.partial(made, **own) if own else made
    return ja.train.fit_population(made, hyperparameters, setting.pop("train"), **setting)


def single(many: ja.train.Population, member: int, **changes: Any) -> ja.train.Result:
    """A member trained by itself."""
    train, validation = digits()
    setting: dict[str, Any] = {"validation": validation, "key": many.keys[member], "epochs": 6, "batch_size": 64}
    setting |= changes
    return ja.fit(many.recipe(member), setting.pop("train", train), **setting)


def same(one: ja.train.Result, other: ja.train.Result, tolerance: float = 1e-5) -> None:
    assert one.epochs_run == other.epochs_run and one.best_epoch == other.best_epoch and one.status == other.status
    assert list(one.history) == list(other.history)
    for name, values in one.history.items():
        np.testing.assert_allclose(values, other.history[name], rtol=tolerance, atol=tolerance, err_msg=name)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=100 * tolerance, atol=100 * tolerance),
        (one.params, one.state),
        (other.params, other.state),
    )


@pytest.mark.parametrize("at_once", [None, 2, "all"])
def test_every_member_equals_its_single_run(at_once):
    """Stopping early and keeping the best epoch included; one at a time, two at a time, all at once."""
    many = population(placement=placement(members_at_once=at_once), stopping=early_stopping(2), epochs=30)
    assert len(set(many.epochs_run.tolist())) > 1, "the members should stop at different epochs"
    for member in range(5):
        same(many.member(member), single(many, member, epochs=30))


def test_every_member_equals_its_single_run_in_float64(x64: None):
    train, validation = (tuple(np.asarray(a, np.float64) if a.ndim > 1 else a for a in d) for d in digits())
    many = population(train=train, validation=validation, placement=placement(members_at_once=2))
    for member in range(5):
        same(many.member(member), single(many, member, train=train, validation=validation), 1e-12)


def test_shapes_and_figures():
    many = population()
    assert len(many) == 5 and many.params["dense0"]["weight"].shape == (5, 64, 16)
    assert many.history["validation_accuracy"].shape == (5, 6) and many.status.tolist() == [0] * 5
    np.testing.assert_array_equal(many.scores("loss"), many.history["loss"][:, -1])  # the weights are the last ones
    best = population(stopping=early_stopping(1), epochs=30)
    expected = [best.history["validation_loss"][i, e] for i, e in enumerate(best.best_epoch)]
    np.testing.assert_array_equal(best.scores("validation_loss"), expected)
    (x, _), _ = digits()
    out = many.predict(x[:13])
    assert out.shape == (5, 13, 10)
    one = ja.predict(many.recipe(3), many.member(3).params, many.member(3).state, x[:13])
    np.testing.assert_allclose(out[3], one, rtol=1e-6, atol=1e-6)
    assert many.setting(-1) == {"learning_rate": 1e-4, "weight_decay": 1.0}


def test_other_numbers_compile_nothing():
    population()
    before = compiles()
    population(hyperparameters={"learning_rate": [2e-3] * 5, "weight_decay": [0.5] * 5}, epochs=9)
    population(on_nonfinite="skip")
    assert compiles() == before
    population(stopping=early_stopping(3, min_delta=0.1))
    before = compiles()
    population(stopping=early_stopping(2), epochs=9)
    assert compiles() == before


def test_a_diverging_member_leaves_the_others_bits_alone():
    good = population()
    rates = [*RATES[:2], 1e30, *RATES[3:]]
    with pytest.warns(ja.DivergedWarning, match="1 of 5 members .*: 2"):
        bad = population(hyperparameters={"learning_rate": rates, "weight_decay": DECAYS})
    assert bad.status.tolist() == [0, 0, ja.train.Status.DIVERGED, 0, 0]
    for member in (0, 1, 3, 4):
        assert equal_bits(good.member(member)[:3], bad.member(member)[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        five = placement(members_at_once=5)
        vmapped = population(hyperparameters={"learning_rate": rates, "weight_decay": DECAYS}, placement=five)
        fine = population(placement=five)
    for member in (0, 1, 3, 4):
        assert equal_bits(fine.member(member)[:3], vmapped.member(member)[:3])


def test_shapes_make_groups_and_numbers_do_not():
    def made(hyper):
        model = ja.models.mlp((hyper["width"], 10), activation=hyper["activation"])
        optimizer = ja.optimizers.adam(hyper["rate"])
        return ja.recipe(model, loss, optimizer, batch_size=hyper["batch"], epochs=hyper["epochs"])

    hyperparameters = {
        "width": [8, 16, 8, 8, 16],
        "activation": ["relu", "relu", "relu", "tanh", "relu"],
        "rate": np.linspace(1e-3, 1e-2, 5),
        "batch": [64, 32, 64, 64, 32],
        "epochs": [2, 3, 4, 5, 6],
    }
    many = population(made, hyperparameters)
    assert [group.members.tolist() for group, _, _ in many.groups] == [[0, 2], [1, 4], [3]]
    assert many.epochs_run.tolist() == [2, 3, 4, 5, 6]
    for member in range(5):
        same(many.member(member), single(many, member, batch_size=None, epochs=None))
    assert_input_error(lambda: many.params, "params", given="3 structures")
    assert many.predict(digits()[0][0][:3]).shape == (5, 3, 10)


def test_a_function_made_in_build_is_traced_once():
    """A lambda around a hyper-parameter is a new function for each member; still they share a program."""

    def made(hyper):
        smoothed = lambda p, t: loss(p, t, label_smoothing=hyper["smoothing"])  # noqa: E731
        return ja.recipe(ja.models.mlp((16, 10)), smoothed, ja.optimizers.adam(hyper["rate"]))

    hyperparameters = {"smoothing": [0.0, 0.1, 0.2, 0.3, 0.4], "rate": RATES}
    many = population(made, hyperparameters)
    assert len(many.groups) == 1
    same(many.member(3), single(many, 3))
    assert many.predict(digits()[0][0][:3]).shape == (5, 3, 10)

    def branches(hyper):
        smoothed = functools.partial(lambda p, t, s: loss(p, t, label_smoothing=s), s=float(hyper["smoothing"]))
        return ja.recipe(ja.models.mlp((16, 10)), smoothed, ja.optimizers.adam(hyper["rate"]))

    with pytest.warns(UserWarning, match="5 members are of 5 structures"):
        columns = as_columns("test", hyperparameters, 5)
        groups = group_members("test", branches, columns, 5, epochs=1, batch_size=64, examples=[64] * 5)
    assert len(groups) == 5


def test_pieces_change_no_bit():
    whole, cut = population(), population(placement=placement(memory=1))
    for member in range(5):
        assert equal_bits(whole.member(member)[:3], cut.member(member)[:3])


def test_members_with_data_of_their_own():
    (x, y), (x_val, y_val) = digits()
    sets = [(x[:200], y[:200]), (x[200:400], y[200:400])]
    held = [(x_val[:50], y_val[:50]), (x_val[50:], y_val[50:])]
    many = population(train=sets, validation=held, dataset=[0, 1, 1, 0, 1])
    for member, own in enumerate([0, 1, 1, 0, 1]):
        same(many.member(member), single(many, member, train=sets[own], validation=held[own]))


def test_ctrl_c_returns_what_there_is_and_it_agrees_with_itself(monkeypatch: pytest.MonkeyPatch):
    population()  # compiled
    before = signal.getsignal(signal.SIGINT)
    for call in (1, 3, 5):
        with monkeypatch.context() as patch:
            press_ctrl_c(patch, call)
            many = population(epochs=10**6)
        assert (many.status == ja.train.Status.INTERRUPTED).all()
        for member in range(5):
            one = many.member(member)
            assert 1 <= one.epochs_run == len(one.history["loss"]) and 0 <= one.best_epoch < one.epochs_run
            assert np.isfinite(one.history["loss"]).all()
        assert np.isfinite(many.params["dense0"]["weight"]).all()
        assert many.scores("loss").shape == (5,)
    assert signal.getsignal(signal.SIGINT) is before


def test_members_without_settings_differ_by_their_keys():
    def made(hyper):
        assert hyper == {}
        return ja.recipe(ja.models.mlp((10,)), loss, ja.optimizers.sgd(0.1))

    many = population(made, {})
    assert len({float(v) for v in many.scores("loss")}) == 5


def test_a_model_of_tokens_predicts():
    def made(hyper):
        table = ja.layers.custom(
            lambda key, spec: ({"t": jax.random.normal(key, (5, 3))}, {}),
            lambda params, state, x, *, key=None, train=False: (params["t"][x].mean(1), state),
        )
        return ja.recipe(table, loss, ja.optimizers.sgd(0.1))

    tokens = np.arange(40, dtype=np.int32).reshape(10, 4) % 5
    many = ja.train.fit_population(
        made, {}, (tokens, np.arange(10) % 3), keys=jax.random.split(jax.random.key(0), 2), epochs=2, batch_size=5
    )
    assert many.predict(tokens).shape == (2, 10, 3)


def test_skipped_steps_are_told():
    def made(hyper):
        optimizer = ja.optimizers.sgd(ja.schedules.constant(hyper["rate"]))
        return ja.recipe(ja.models.mlp((10,)), loss, optimizer, on_nonfinite="skip")

    with pytest.warns(ja.DivergedWarning, match="1 of 2 members skipped"):
        x, y = digits()[0]
        x = x.copy()
        x[7] = 1e17  # finite, but not its loss after a step
        many = ja.train.fit_population(
            made, {"rate": [0.0, 1e25]}, (x, y), keys=jax.random.split(jax.random.key(0), 2), epochs=1,
            batch_size=200,
        )  # fmt: skip
    assert many.diverged_step[0] == -1 and many.diverged_step[1] >= 0


def _hyper(rates: Any) -> dict[str, Any]:
    return {"hyperparameters": {"learning_rate": rates, "weight_decay": DECAYS}}


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("placement", {"placement": 3}),
        ("keys", {"keys": jax.random.key(0)}),
        ("keys", {"keys": 3}),
        ("keys", {"keys": jax.random.split(jax.random.key(0), (2, 2))}),
        ("hyperparameters['learning_rate']", _hyper([1e-3])),
        ("hyperparameters['learning_rate']", _hyper(1e-3)),
        ("hyperparameters['learning_rate']", _hyper([*RATES[:4], np.nan])),
        ("hyperparameters", {"hyperparameters": [1, 2]}),
        ("learning_rate", _hyper([*RATES[:4], -1.0])),
        ("epochs", {"epochs": -1}),
        ("epochs", {"epochs": None}),
        ("batch_size", {"batch_size": 0}),
        ("on_nonfinite", {"on_nonfinite": "raise"}),
        ("observers", {"observers": 3}),
        ("validation", {"validation": None, "stopping": early_stopping(3)}),
        ("validation x", {"validation": (np.zeros((3, 5), np.float32), np.zeros(3, np.int32))}),
        ("train y", {"train": (digits()[0][0], digits()[0][1] + 1)}),
        ("dataset", {"train": [digits()[0]], "validation": [digits()[1]]}),
        ("train", {"dataset": [0] * 5}),
        ("dataset", {"train": [digits()[0]], "validation": [digits()[1]], "dataset": [0, 0, 0, 0, 1]}),
        ("build", {"made": lambda hyper: 3}),
        ("build", {"made": 3}),
        ("progress", {"progress": "tqdm"}),
        ("build", {"made": lambda hyper: (*build(hyper).arguments.values(),)}),
        ("each keyword", {"batchsize": 3}),
    ],
)
def test_refusals(argument: str, change: dict[str, Any]):
    assert_input_error(lambda: population(**change), argument)


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("devices", {"devices": []}),
        ("memory", {"memory": "much"}),
        ("members_at_once", {"members_at_once": 0}),
        ("members_at_once", {"members_at_once": "most"}),
        ("members_at_once", {"members_at_once": True}),
    ],
)
def test_placement_refuses(argument: str, change: dict[str, Any]):
    assert_input_error(lambda: placement(**change), argument)


def test_progress_shows_members_and_memory(capsys: pytest.CaptureFixture):
    population(progress=True)
    shown = capsys.readouterr().out
    assert "5 members, 1 program, 2 cpu devices" in shown and "MiB predicted" in shown
    assert "5 alive" in shown and "best validation_loss" in shown and threading.active_count() < 20
