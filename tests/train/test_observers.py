"""Observers: what they are told between chunks, what they may do, and that nothing is done for none."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import Moment, Status, interrupts, trainer
from tests.contract import assert_input_error
from tests.train.problems import FIT, equal_bits

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype(np.float32)
Y = (X[:, :1] - X[:, 1:2]).astype(np.float32)
KEY = jax.random.key(0)


def _recipe(rate: Any = 0.05, **changes: Any) -> Any:
    return ja.recipe(ja.layers.dense(1), ja.losses.squared_error, ja.optimizers.sgd(rate), batch_size=16, **changes)


def _fit(epochs: int = 5, recipe: Any = None, **how: Any) -> ja.train.Result:
    recipe = _recipe() if recipe is None else recipe
    return ja.fit(recipe, (X, Y), key=KEY, epochs=epochs, validation=(X, Y), **how)


def _population(observers: Any = (), epochs: int = 5, **how: Any) -> ja.train.Population:
    keys = jax.random.split(KEY, 3)
    return ja.train.fit_population(lambda hyper: _recipe(hyper["rate"]), {"rate": [0.05, 0.01, 0.1]}, (X, Y), keys=keys,
                                   epochs=epochs, validation=(X, Y), observers=observers, **how)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_epoch_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIT, "_CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "_CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)


def test_an_observer_sees_every_row_once():
    moments: list[Moment] = []
    result = _fit(observers=moments.append)
    assert [moment.epoch for moment in moments] == [1, 2, 3, 4, 5]
    assert {moment.epochs for moment in moments} == {5}
    assert [moment.going for moment in moments] == [True] * 5
    assert list(moments[0].rows) == list(result.history)
    for name, values in result.history.items():
        np.testing.assert_array_equal(np.concatenate([moment.rows[name] for moment in moments]), values)
    assert equal_bits(result.params, _fit().params)  # being watched changes no bit


@pytest.mark.parametrize("kind", ["numbers", "ids"])
def test_an_observer_of_long_sequences_is_called_after_the_first_epochs(kind: str, monkeypatch: pytest.MonkeyPatch):
    """The first chunk is guessed from what an epoch takes: of a sequence that is its length times what a row takes."""
    monkeypatch.setattr(FIT, "_CHUNK_SECONDS", 0.01)
    body = {"last": ja.layers.last_position(), "out": ja.layers.dense(1)}
    if kind == "ids":
        model, x = ja.layers.sequential({"embed": ja.layers.embedding(3, 2), **body}), np.zeros((40, 200), np.int32)
    else:
        model, x = ja.layers.sequential(body), np.zeros((40, 200, 2), np.float32)
    recipe, moments = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=16), []
    ja.fit(recipe, (x, Y), key=KEY, epochs=30, observers=(moments.append,))
    assert moments[0].epoch == 1


def test_rows_of_a_resumed_run_are_the_new_ones():
    first, moments = _fit(2), []
    rest = _fit(4, resume=first, observers=(moments.append,))
    assert [moment.epoch for moment in moments] == [3, 4]
    rows = np.concatenate([moment.rows["loss"] for moment in moments])
    np.testing.assert_array_equal(rows, rest.history["loss"][2:])


def test_weights_are_those_of_the_moment_and_the_best():
    seen = {}
    recipe = _recipe(0.9, stopping=ja.train.early_stopping(None))  # overshoots: the best epoch is not the last

    def look(moment):
        seen[moment.epoch] = moment.weights(), moment.weights(best=True)

    result = _fit(4, recipe, observers=(look,))
    best = result.best_epoch + 1
    assert best < 4
    for epoch, (now, so_far) in seen.items():
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((now, so_far)))
        part = _fit(epoch, _recipe(0.9))
        np.testing.assert_array_equal(now[0]["weight"], part.params["weight"])
        if epoch >= best:
            np.testing.assert_array_equal(so_far[0]["weight"], seen[best][0][0]["weight"])
    np.testing.assert_array_equal(seen[4][1][0]["weight"], result.params["weight"])
    assert (seen[4][0][0]["weight"] != seen[4][1][0]["weight"]).any()


def test_true_ends_the_run_and_it_goes_on_bit_for_bit():
    whole, others = _fit(6), []
    cut = _fit(6, observers=(lambda moment: moment.epoch == 3, others.append))
    assert (cut.status, cut.epochs_run) == (Status.STOPPED, 3)
    below = _fit(6, observers=lambda moment: moment.rows["loss"][-1] < np.inf)  # numpy's True
    assert (below.status, below.epochs_run) == (Status.STOPPED, 1)
    assert [moment.epoch for moment in others] == [1, 2, 3]  # each is called, whatever the others say
    rest = _fit(6, resume=cut)
    assert rest.status is Status.FINISHED
    assert equal_bits((whole.params, whole.history), (rest.params, rest.history))
    for answer in (None, False):
        assert _fit(2, observers=(lambda moment, a=answer: a,)).epochs_run == 2  # True alone ends it


class Watching:
    """A context manager that gives an observer, and remembers how it was left."""

    def __init__(self, observe: Any):
        self.observe, self.log = observe, []

    def __enter__(self):
        self.log.append("entered")
        return self.observe

    def __exit__(self, kind, error, trace):
        self.log.append("left" if kind is None else kind.__name__)


def test_context_managers_are_left_however_training_ends():
    good, bad = Watching(lambda moment: None), Watching(lambda moment: 1 / 0)
    _fit(2, observers=(good,))
    assert good.log == ["entered", "left"]
    with pytest.raises(ZeroDivisionError):
        _fit(2, observers=(good, bad))
    assert good.log[2:] == ["entered", "ZeroDivisionError"] and bad.log == ["entered", "ZeroDivisionError"]
    with pytest.raises(ZeroDivisionError):
        _population((good, bad))
    assert good.log[4:] == ["entered", "ZeroDivisionError"]
    never = Watching(lambda moment: None)
    assert_input_error(lambda: _fit(-1, observers=(never,)), "epochs")
    assert never.log == []


def test_early_stopping_and_divergence_are_told():
    moments: list[Moment] = []
    stopping = ja.train.early_stopping(1, min_delta=1e9)
    result = _fit(9, _recipe(stopping=stopping), observers=moments.append)
    assert result.status is Status.STOPPED and [moment.going for moment in moments] == [True, False]
    moments.clear()
    with pytest.warns(ja.DivergedWarning):
        _fit(9, _recipe(1e15), observers=moments.append)
    assert [moment.going for moment in moments] == [False]


def test_observers_of_a_population_see_all_members():
    moments, seen = [], []

    def look(moment):
        moments.append(moment)
        seen.append(moment.weights())

    many = _population(look, epochs=3)
    assert [moment.epoch.tolist() for moment in moments] == [[1] * 3, [2] * 3, [3] * 3]
    assert moments[0].epochs.tolist() == [3] * 3 and moments[-1].going.tolist() == [True] * 3
    for name, values in many.history.items():
        told = np.concatenate([moment.rows[name] for moment in moments], axis=1)
        np.testing.assert_array_equal(told, values)
    np.testing.assert_array_equal(seen[-1][0]["weight"], many.params["weight"])
    assert equal_bits(many.params, _population(epochs=3).params)


def test_true_ends_a_population():
    many = _population(lambda moment: moment.epoch.max() == 2, epochs=5)
    assert many.epochs_run.tolist() == [2] * 3 and many.status.tolist() == [Status.STOPPED] * 3
    part = _population(epochs=2)
    assert equal_bits(many.params, part.params)


def test_an_observer_ends_the_groups_that_have_not_begun():
    def build(hyper):
        return _recipe(hyper["rate"]).replace(batch_size=hyper["size"])

    moments: list[Moment] = []

    def look(moment):
        moments.append(moment)
        return True

    hyperparameters = {"rate": [0.05, 0.01, 0.1], "size": [16, 16, 8]}
    many = ja.train.fit_population(build, hyperparameters, (X, Y), keys=jax.random.split(KEY, 3), epochs=2,
                                   observers=look)  # fmt: skip
    assert len(moments) == 1 and many.epochs_run.tolist() == [1, 1, 0]
    assert many.status.tolist() == [Status.STOPPED] * 3


def test_without_observers_nothing_is_called(monkeypatch: pytest.MonkeyPatch):
    def never(*arguments):
        raise AssertionError("a moment was made")

    monkeypatch.setattr(FIT, "_moment", never)
    monkeypatch.setattr(trainer.PopulationTrainer, "_moment", never)
    assert _fit(2).epochs_run == 2
    assert _population(epochs=2).epochs_run.tolist() == [2] * 3
    with pytest.raises(AssertionError, match="a moment"):
        _fit(2, observers=(print,))
    with pytest.raises(AssertionError, match="a moment"):
        _population((print,))


def test_no_epochs_are_no_moments():
    assert _fit(0, observers=(lambda moment: 1 / 0,)).epochs_run == 0


def test_ctrl_c_ends_the_run_after_the_chunk_and_it_goes_on():
    before, moments = signal.getsignal(signal.SIGINT), []

    def press(moment):
        moments.append(moment.epoch)
        if moment.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    cut = _fit(6, observers=(press,))
    assert (cut.status, cut.epochs_run, moments) == (Status.INTERRUPTED, 2, [1, 2])
    assert signal.getsignal(signal.SIGINT) is before
    assert equal_bits(_fit(6, resume=cut).params, _fit(6).params)
    many = _population(lambda moment: os.kill(os.getpid(), signal.SIGINT) if moment.epoch[0] == 2 else None)
    assert many.epochs_run.tolist() == [2] * 3 and many.status.tolist() == [Status.INTERRUPTED] * 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts_at_once():
    before, moments = signal.getsignal(signal.SIGINT), []

    def press(moment):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass  # the handler runs between two instructions

    with pytest.raises(KeyboardInterrupt):
        _fit(6, observers=(moments.append, press))
    assert [moment.epoch for moment in moments] == [1]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_bar_is_drawn_beside_other_observers(capsys: pytest.CaptureFixture):
    moments: list[Moment] = []
    _fit(2, observers=(moments.append,), progress=True)
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("2/2", "loss ", "val ", "/s")) and len(moments) == 2
    _population(moments.append, epochs=2, progress=True)
    assert "3 alive" in capsys.readouterr().out and len(moments) == 4


class Counting:
    """An observer of a person's own, an instance of it."""

    def __call__(self, moment: Moment) -> None: ...


class Managing(Counting):
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


@pytest.mark.parametrize("bad", [3, "print", (print, 3), Counting, Managing, lambda: None, lambda a, b: None])
def test_what_is_no_observer_is_refused(bad: Any):
    assert_input_error(lambda: _fit(observers=bad), "observers")
    assert_input_error(lambda: _population(bad), "observers")


def test_the_bar_is_asked_for_by_a_flag():
    for bad in ("tqdm", 2):
        assert_input_error(lambda bad=bad: _fit(progress=bad), "progress", given=repr(bad))


def test_flags_of_any_kind_are_answers_and_nothing_else_is():
    for answer in (True, np.bool_(True), np.array(True), jnp.array(True)):
        assert _fit(observers=lambda moment, answer=answer: answer).status == Status.STOPPED
    for answer in (np.bool_(False), jnp.array(False)):
        assert _fit(2, observers=lambda moment, answer=answer: answer).status == Status.FINISHED
    for answer in (np.array([True, False]), "stop", 1, 0.0, jnp.array([True])):

        def observer(moment, answer=answer):
            return answer

        for run in (_fit, _population):
            with pytest.raises(ja.InputError, match="what observer observer returns must be True, which ends the run"):
                run(observers=observer)


def test_what_a_context_manager_gives_is_called():
    with pytest.raises(ja.InputError, match="fit: what a context manager among observers gives .*, got None"):
        _fit(observers=Managing())


def test_a_generator_context_is_an_observer():
    rows = []

    @contextlib.contextmanager
    def logging():
        yield lambda moment: rows.append(float(moment.rows["loss"][-1]))
        rows.append("closed")

    result = _fit(2, observers=logging())
    assert rows == [*map(float, result.history["loss"]), "closed"]
    assert jnp.isfinite(result.history["loss"]).all()
