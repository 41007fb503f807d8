"""A study that goes on with another `build`, or whose data are refused: told before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optuna
import pytest

import jaxann as ja
from jaxann.train.recipe import Recipe
from jaxann.tune.points import corners_of, settings_of
from jaxann.tune.space import read_space
from tests.contract import assert_input_error
from tests.tune.problems import build, digits
from tests.tune.test_bayes_restart import BY_LOSS, search, states
from tests.tune.test_storage import SPACE, USUAL, Killed, count_chunks

CHOICES = {
    "activation": ["relu", "tanh", "gelu"],
    "layers": ja.tune.conditional(ja.tune.integer(1, 3), when={"activation": "gelu"}, otherwise=1),
    "learning_rate": ja.tune.log_uniform(1e-5, 1e-1),
}
WHERE: dict[str, Callable[[dict[str, Any]], bool]] = {
    "an option": lambda hyper: hyper["activation"] == "tanh",
    "low": lambda hyper: hyper["learning_rate"] < 2e-5,
    "high": lambda hyper: hyper["learning_rate"] > 5e-2,
    "an end under a condition": lambda hyper: hyper["layers"] == 3,
    "one end beside another": lambda hyper: hyper["learning_rate"] > 5e-2 and hyper["layers"] == 3,
}


def differing(where: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], Recipe]:
    """As `BY_LOSS`, with another loss somewhere."""
    return lambda hyper: BY_LOSS(hyper, loss=ja.losses.poly1) if where(hyper) else BY_LOSS(hyper)


@pytest.fixture(scope="module")
def begun() -> optuna.Study:
    study = optuna.create_study()
    search(study=study, space=CHOICES, trials=2)
    return study


@pytest.mark.parametrize("where", WHERE)
def test_a_build_that_differs_anywhere_is_another_recipe(begun: optuna.Study, where: str):
    before = states(begun)
    told = {"argument": "recipe", "expected": "that of the stored study"}
    assert_input_error(lambda: search(study=begun, space=CHOICES, build=differing(WHERE[where])), **told)
    assert states(begun) == before


def test_a_build_that_differs_at_a_setting_that_was_tried_is_another_recipe(begun: optuna.Study):
    """However narrow the place is, and in another process too, of which this one learns when it goes on."""
    before = states(begun)
    tried = begun.get_trials()[1].user_attrs["setting"]["learning_rate"]
    other = differing(lambda hyper: hyper["learning_rate"] == tried)
    assert_input_error(lambda: search(study=begun, space=CHOICES, build=other), "recipe", given="of trial 1")
    assert states(begun) == before
    elsewhere = differing(lambda hyper: hyper["learning_rate"] == 1.0)
    assert len(search(study=begun, space=CHOICES, build=elsewhere, trials=2)) == 2, "what it never builds is none of it"


class Counting:
    """A loss that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, predictions: Any, targets: Any) -> Any:
        self.calls += 1
        return ja.losses.softmax_cross_entropy(predictions, targets)


def test_what_a_function_remembers_of_a_search_is_no_other_recipe():
    study = optuna.create_study()
    for trials in (1, 2):  # each with a new one, as a program that is started again has
        loss = Counting()
        search(study=study, build=lambda hyper, loss=loss: BY_LOSS(hyper, loss=loss), trials=trials, generation=1)
        assert loss.calls > 0


def test_settings_that_stand_for_a_space_have_every_end_and_option_where_it_is_active():
    known = read_space("bayes", CHOICES)
    found = settings_of(known)
    assert {one["activation"] for one in found} == {"relu", "tanh", "gelu"}
    assert {one["layers"] for one in found if one["activation"] == "gelu"} == {1, 2, 3}
    rates = [one["learning_rate"] for one in found]
    assert 1e-5 < min(rates) < 1.02e-5 and 0.98e-1 < max(rates) < 1e-1, "near the ends, which are never drawn"
    assert all(one["layers"] == 1 for one in found if one["activation"] != "gelu")
    turned = read_space(
        "bayes", {n: CHOICES[n] for n in ("learning_rate", "layers")} | {"activation": CHOICES["activation"][::-1]}
    )
    assert settings_of(turned) == found and corners_of(turned) == corners_of(known)


def test_settings_that_build_refuses_are_compared_as_refused():
    study = optuna.create_study()

    def picky(hyper: dict[str, Any]) -> Recipe:
        if hyper["learning_rate"] > 9e-2:
            raise ValueError("never proposed")
        return BY_LOSS(hyper)

    space = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
    known = ja.tune.enqueue(space, [{"learning_rate": 1e-3}])
    search(study=study, space=known, build=picky, trials=1)
    search(study=study, space=known, build=picky, trials=1)
    assert_input_error(lambda: search(study=study, space=known, trials=1), "recipe")


X, Y = digits()
DENSE = np.eye(10, dtype=np.float32)[Y]
LOSSES = {"relu": {}, "gelu": {}, "tanh": {"model": ja.models.mlp((9,))}}
BY_TRAINING = ja.train.early_stopping(None, monitor="loss", restore_best=False)
COUNTED = {"n": ja.tune.integer(1, 3)}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "labels": ("train y", {"data": (X, Y + 5)}),
    "labels of the validation": ("validation y", {"validation": (X[:40], Y[:40] + 5)}),
    "a shape": ("validation x", {"validation": (X[:40, :9], Y[:40])}),
    "lengths": ("data y", {"data": (X, Y[:9])}),
    "not finite": ("data x", {"data": (np.full_like(X, np.inf), Y)}),
    "nothing counts": ("data weights", {"data": (X, Y, np.zeros(len(Y)))}),
    "a domain": ("train y", {"build": lambda h: BY_LOSS(h, loss=ja.losses.hinge, metrics={}), "data": (X, DENSE)}),
    "a model of one option": ("train y", {"build": lambda h: BY_LOSS(h, **LOSSES[h["activation"]]), "space": CHOICES}),
    "folds": ("folds", {"validation": ja.tune.resampling(300)}),
    "batch_size": ("batch_size", {"batch_size": 0}),
    "placement": ("placement", {"placement": 3}),
    "monitor": ("monitor", {"build": lambda h: BY_LOSS(h, stopping=BY_TRAINING)}),
    "epochs of one end": ("epochs", {"build": lambda h: BY_LOSS(h, epochs=h["n"] - 1), "space": COUNTED}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_leaves_a_study_as_it_was(name: str):
    argument, changes = REFUSED[name]
    study = optuna.create_study()
    with pytest.raises(ja.InputError, match=f"bayes: .*{argument}.* must be"):
        search(study=study, **changes)
    assert not study.get_trials() and not study.user_attrs


def test_known_settings_are_no_trials_of_a_refused_call():
    study = optuna.create_study()
    space = ja.tune.enqueue({"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}, [{"learning_rate": 1e-3}])
    assert_input_error(lambda: search(study=study, space=space, data=(X, Y + 5)), "train y")
    assert not study.get_trials()


def test_a_population_that_goes_on_with_another_build_is_refused(tmp_path, monkeypatch):
    """At settings that come up in later rounds alone."""
    drawn: list[float] = []

    def evolve(where: Callable[[float], bool]) -> Any:
        def made(hyper: dict[str, Any]) -> Recipe:
            drawn.append(hyper["learning_rate"])
            return build(hyper, batch_size=None, penalty=ja.regularizers.l2_penalty(float(where(drawn[-1]))))

        how = {"validation": digits(100), "members": 4, "exploration": ja.tune.Exploration(0.5, 0.5, 1)}
        return ja.tune.population_based(made, SPACE, digits(), storage=tmp_path, **how, **USUAL)

    with monkeypatch.context() as patched:
        count_chunks(patched, ends_after=9)
        with pytest.raises(Killed):
            evolve(lambda rate: False)
    late = next(rate for rate in drawn if rate not in drawn[:13])
    with pytest.raises(
        ja.InputError, match="recipe must be that of the stored study, got another one for the settings"
    ):
        evolve(lambda rate: rate == late)
    assert evolve(lambda rate: False).scores.shape == (4, 4)


def test_a_study_is_of_one_process_of_jax(monkeypatch):
    """Each would be proposed other settings, and the members of a generation be shared out among them."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert_input_error(lambda: search(study=optuna.create_study()), "jax.process_count()", expected="a study")


def test_a_storage_is_of_one_process_of_jax(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    made = lambda: ja.tune.cross_validate(build, {"learning_rate": [1e-3]}, (X, Y), storage=tmp_path / "a", **USUAL)  # noqa: E731
    message = assert_input_error(made, "jax.process_count()", expected="1 where there is a storage")
    assert "leave storage out" in message and not (tmp_path / "a").exists()
