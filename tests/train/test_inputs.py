"""Bad input to the functional API: one clear error each, before anything is compiled; nothing runs silently."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import early_stopping
from tests.contract import assert_input_error
from tests.train.problems import FITTED_BY, digits, equal_bits, loss, small_fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32)
LABELS = (np.arange(24) % 3).astype(np.int32)
REAL = RNG.normal(size=(24, 1)).astype(np.float32)
KEY = jax.random.key(0)


def classify(x: Any = X, y: Any = LABELS, *rest: Any, **changes: Any) -> ja.train.Result:
    setting = {"model": ja.models.mlp((4, 3)), "loss": loss, "optimizer": ja.optimizers.adam(1e-3)}
    setting |= {name: value for name, value in changes.items() if name not in (*FITTED_BY, "epoch")}
    how = {"key": KEY, "epochs": 1, "batch_size": 8}
    how |= {name: value for name, value in changes.items() if name in (*FITTED_BY, "epoch")}
    return ja.fit(ja.recipe(**setting), (x, y, *rest), **how)


def regress(x: Any = X, y: Any = REAL, **changes: Any) -> ja.train.Result:
    return classify(x, y, **({"loss": ja.losses.squared_error, "model": ja.models.mlp((4, 1))} | changes))


def put(array: np.ndarray, value: Any, place: Any = (2, 1)) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


class Sparse:
    """What matters of a scipy matrix."""

    shape = (24, 3)

    def toarray(self):
        return X


TEXT = X.astype(object)
TEXT[4, 2] = "red"

REFUSED = {
    "1 NaN in x": (lambda: classify(put(X, np.nan)), "train x", "row 2, column 1"),
    "1 NaN in a jax array": (lambda: classify(jax.device_put(put(X, np.nan))), "train x", "row 2"),
    "2 infinity in x": (lambda: classify(put(X, np.inf)), "train x", "1 of 72 not finite"),
    "3 NaN in y": (lambda: regress(X, put(REAL, np.nan, (5, 0))), "train y", "row 5"),
    "4 infinity in y": (lambda: regress(X, put(REAL, -np.inf, (5, 0))), "train y", "row 5"),
    "5 NaN labels": (lambda: classify(X, put(LABELS.astype(float), np.nan, 3)), "train y", "row 3"),
    "6 x of one axis": (lambda: classify(X[:, 0]), "train x", "shape (24,)"),
    "7 x of three axes": (lambda: classify(X[:, :, None]), "targets", "shape (8,)"),
    "8 lengths": (lambda: classify(X, LABELS[:20]), "train y", "20 rows"),
    "9 no rows": (lambda: classify(X[:0], LABELS[:0]), "train x", "shape (0, 3)"),
    "10 no features": (lambda: classify(X[:, :0]), "train x", "shape (24, 0)"),
    "13 text labels": (lambda: classify(X, np.array(["a", "b"] * 12)), "train y", "<U1"),
    "14 text column": (lambda: classify(TEXT), "train x", "'red' in column 2, row 4"),
    "16 ragged rows": (lambda: classify([[1.0, 2.0], [3.0]], [0, 1]), "train x", "row 1 of length 1"),
    "17 too large": (lambda: classify(put(X, 1e38)), "train x", "1e+38 at row 2, column 1"),
    "18 overflows float32": (lambda: classify(put(X.astype(float), 1e300)), "train x", "1e+300"),
    "19 target too large": (lambda: regress(X, put(REAL, 1e37, (5, 0))), "train y", "1e+37"),
    "20 wide integers": (lambda: classify(np.full((24, 3), 2**53 + 1)), "train x", "int64"),
    "21 label -1": (lambda: classify(X, put(LABELS, -1, 3)), "train y", "-1 at row 3"),
    "22 label K": (lambda: classify(X, put(LABELS, 3, 0)), "train y", "3 at row 0"),
    "22 label 10^6": (lambda: classify(X, put(LABELS, 10**6, 0)), "train y", "1000000 at row 0"),
    "23 real labels": (lambda: classify(X, LABELS + 0.5), "targets", "float"),
    "25 y without its axis": (lambda: regress(X, REAL[:, 0]), "targets", "shape (8,)"),
    "26 negative weight": (lambda: classify(X, LABELS, put(np.ones(24), -1, 7)), "train weights", "-1 at row 7"),
    "27 NaN weight": (lambda: classify(X, LABELS, put(np.ones(24), np.nan, 7)), "train weights", "row 7"),
    "28 weights' length": (lambda: classify(X, LABELS, np.ones(23)), "train weights", "shape (23,)"),
    "29 weights all 0": (lambda: classify(X, LABELS, np.zeros(24)), "train weights", "only zeros"),
    "39 complex x": (lambda: classify(X + 1j), "train x", "complex"),
    "41 sparse x": (lambda: classify(Sparse()), "train x", "sparse"),
    "46 x None": (lambda: classify(None), "train x", "None"),
    "46 y None": (lambda: classify(X, None), "train y", "None"),
    "46 x a path": (lambda: classify("data.csv"), "train x", "'data.csv'"),
    "46 train no tuple": (
        lambda: ja.fit(ja.recipe(ja.models.mlp((3,)), loss, ja.optimizers.adam(1e-3)), X, key=KEY, epochs=1),
        "train",
        "float32",
    ),
    "48 batch_size 0": (lambda: classify(batch_size=0), "batch_size", "0"),
    "49 batch_size -1": (lambda: classify(batch_size=-1), "batch_size", "-1"),
    "50 batch_size 2.5": (lambda: classify(batch_size=2.5), "batch_size", "2.5"),
    "51 rate -0.1": (lambda: ja.optimizers.adam(-0.1), "learning_rate", "-0.1"),
    "52 rate NaN": (lambda: ja.optimizers.sgd(float("nan")), "learning_rate", "nan"),
    "53 rate inf": (lambda: ja.optimizers.adamw(float("inf")), "learning_rate", "inf"),
    "55 rate text": (lambda: ja.optimizers.adam("0.1"), "learning_rate", "'0.1'"),
    "57 epochs -1": (lambda: classify(epochs=-1), "epochs", "-1"),
    "58 epochs 1.5": (lambda: classify(epochs=1.5), "epochs", "1.5"),
    "59 units 0": (lambda: ja.models.mlp((0, 3)), "widths", "0"),
    "60 units -4": (lambda: ja.layers.dense(-4), "units", "-4"),
    "61 units 2.5": (lambda: ja.models.mlp((2.5, 3)), "widths", "2.5"),
    "63 activation": (lambda: ja.models.mlp((4, 3), activation="relux"), "activation", "'relux'"),
    "63 loss by name": (lambda: classify(loss="mse"), "loss", "'mse'"),
    "63 optimizer by name": (lambda: classify(optimizer="adam"), "optimizer", "'adam'"),
    "63 on_nonfinite": (lambda: classify(on_nonfinite="ignore"), "on_nonfinite", "'ignore'"),
    "63 monitor": (lambda: classify(stopping=early_stopping(monitor="val_loss")), "monitor", "'val_loss'"),
    "63 compute_dtype": (lambda: classify(compute_dtype="float8"), "compute_dtype", "'float8'"),
    "64 keyword of a factory": (lambda: ja.optimizers.adam(1e-3, beta1=0.9), "keyword", "'beta1'"),
    "65 dropout 1.0": (lambda: ja.layers.dropout(1.0), "rate", "1.0"),
    "65 dropout -0.1": (lambda: ja.models.mlp((4, 3), dropout=-0.1), "dropout", "-0.1"),
    "65 dropout 2": (lambda: ja.layers.dropout(2), "rate", "2"),
    "66 validation a fraction": (lambda: classify(validation=0.2), "validation", "0.2"),
    "66 validation empty": (lambda: classify(validation=(X[:0], LABELS[:0])), "validation x", "shape (0, 3)"),
    "66 validation features": (lambda: classify(validation=(X[:, :2], LABELS)), "validation x", "shape (examples, 2)"),
    "66 patience without validation": (lambda: classify(stopping=early_stopping(3)), "validation", "None"),
    "patience 0": (lambda: early_stopping(0), "patience", "0"),
    "no recipe": (lambda: ja.fit(ja.models.mlp((3,)), (X, LABELS), key=KEY, epochs=1), "recipe", "mlp"),
    "76 key an int": (lambda: classify(key=0), "key", "0"),
    "76 key None": (lambda: classify(key=None), "key", "None"),
    "76 old-style key": (lambda: classify(key=np.zeros(2, np.uint32)), "key", "uint32"),
    "76 batch of keys": (lambda: classify(key=KEYS), "key", "3 keys"),
    "metric no function": (lambda: classify(metrics={"a": 3}), "metrics['a']", "3"),
    "metrics no dict": (lambda: classify(metrics=[ja.metrics.accuracy]), "metrics", "list"),
    "model no model": (lambda: classify(model=(3, 4)), "model", "(3, 4)"),
    "resume no result": (lambda: classify(resume=3), "resume", "3"),
    "a loss that averages": (lambda: classify(loss=lambda p, t: jnp.mean(loss(p, t))), "values", "shape ()"),
}
KEYS = jax.random.split(jax.random.key(0), 3)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_clear_error(case):
    call, argument, given = REFUSED[case]
    assert_input_error(call, argument, given=given)


FITTED = {}


def fitted():
    if not FITTED:
        FITTED["result"] = classify()
    return ja.models.mlp((4, 3)), FITTED["result"].params, FITTED["result"].state


@pytest.mark.parametrize(
    ("x", "argument", "given"),
    [
        (X[:, :2], "x", "shape (8, 2)"),
        (np.ones((5, 4), np.float32), "x", "shape (8, 4)"),
        (put(X, np.nan), "x", "row 2"),
        (X[0], "x", "shape (3,)"),
        (None, "x", "None"),
    ],
)
def test_predict_refuses(x, argument, given):
    model, params, state = fitted()
    with pytest.raises(ja.InputError) as caught:
        ja.predict(model, params, state, x)
    assert argument in str(caught.value)


def test_unknown_keyword_of_fit_names_the_closest():
    with pytest.raises(TypeError, match="epoch"):
        classify(epoch=3)


WORKS: dict[str, Any] = {
    "30 Fortran order": np.asfortranarray(X),
    "31 strided": np.repeat(X, 2, 0)[::2],
    "33 negative stride": X[::-1][::-1],
    "34 float64": X.astype(np.float64),
    "38 big-endian": X.astype(">f4"),
    "15 objects that are numbers": X.astype(object),
    "nested list": X.tolist(),
    "jax array": jnp.asarray(X),
}


@pytest.mark.parametrize("case", WORKS)
def test_other_layouts_give_the_same_bits(case):
    assert equal_bits(classify(WORKS[case]).params, classify().params)


def test_read_only_input_works_and_input_is_never_changed():
    x, y = X.copy(), LABELS.copy()
    x.flags.writeable = False
    before = x.tobytes(), y.tobytes()
    assert equal_bits(classify(x, y).params, classify().params)
    assert (x.tobytes(), y.tobytes()) == before


@pytest.mark.parametrize("dtype", [np.float16, np.int8, bool, np.uint8])
def test_narrow_dtypes_work(dtype):
    assert np.isfinite(classify((X > 0).astype(dtype)).history["loss"]).all()


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.int8])
def test_labels_of_any_integer_dtype_work(dtype):
    assert equal_bits(classify(X, LABELS.astype(dtype)).params, classify().params)


def test_edges_that_work():
    assert classify(batch_size=1000).epochs_run == 1  # 47: clipped to the data
    assert classify(epochs=0).epochs_run == 0  # 56
    assert classify(model=ja.models.mlp((3,))).epochs_run == 1  # 62: a linear model
    assert regress(X[:1], REAL[:1]).epochs_run == 1  # 11: one row
    assert classify(X, np.zeros(24, np.int32)).epochs_run == 1  # 12: one class
    assert classify(optimizer=ja.optimizers.sgd(0.0)).epochs_run == 1  # 54: a rate of 0 is a number


def test_a_partial_loss_is_checked_when_called():
    with pytest.raises(ja.InputError, match="label_smoothing must be in"):
        small_fit(loss=functools.partial(loss, label_smoothing=1.5))
    assert digits()[0][0].shape == (410, 64)
