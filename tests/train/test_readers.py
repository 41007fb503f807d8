"""Every public argument that takes an array reads what stands in it: nothing from behind a mask, no text as numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import InputError
from tests.catalogue import ACTIVATIONS, LOSSES, METRICS
from tests.train.array_arguments import CASES, JAX_ALONE

ARRAYS = frozenset(
    "x y predictions targets weights data train validation groups labels where mask values batch real arrays params "
    "background weight bias mean variance means variances example_mask sequence_mask lengths unit_points dataset "
    "args".split()
)
ROOMS = ("activations", "advice", "backprop", "diagnose", "initializers", "io", "losses", "metrics", "neuron", "ops",
         "plot", "teach", "train", "train.ensemble", "tune")  # fmt: skip


def masked(array: Any) -> Any:
    """The array with its first entry behind a mask."""
    found = np.ma.masked_array(np.array(array))
    found[(0,) * found.ndim] = np.ma.masked
    return found


@pytest.mark.parametrize("case", CASES)
def test_what_stands_behind_a_mask_is_never_taken(case: str):
    array, call = CASES[case]
    alone = case.startswith(JAX_ALONE)
    with pytest.raises((InputError, ValueError) if alone else InputError, match="masked"):
        call(masked(array))


VERBS = ("fit", "train", "predict", "tune", "teach", "plot", "metrics.classification_report")


NAMES = ("hyperparameters", "groups", "labels")  # of groups and classes, and what only a recipe makes a number


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.startswith(VERBS) and not case.endswith((*NAMES, ": params"))]
)
def test_text_is_never_parsed(case: str):
    array, call = CASES[case]
    with pytest.raises(InputError):
        call(np.array(array).astype(str).astype(object))


def test_a_list_of_masked_arrays_is_refused_too():
    for case in ("fit: train x", "predict: x", "train.make_run: train x", "train.make_run inside: train x"):
        array, call = CASES[case]
        with pytest.raises(InputError, match=r"x\[0\] must be without masked entries"):
            call(list(masked(array)))


OPEN = ("fit: train x", "train.make_run: train x", "train.ensemble.regress: predictions", "backprop.backward: weights",
        "plot.confusion: predictions")  # fmt: skip


@pytest.mark.parametrize("case", OPEN)
def test_an_array_with_nothing_behind_its_mask_is_an_array(case: str):
    array, call = CASES[case]
    call(np.ma.masked_array(array, mask=np.zeros(np.shape(array), bool)))


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_losses_take_nothing_from_behind_a_mask(row: Any):
    predictions, targets = pair_of(row)
    for pair in ((masked(predictions), targets), (predictions, masked(targets))):
        with pytest.raises(InputError, match="without masked entries"):
            row.build(*pair)
    for pair in ((predictions.astype(object), targets), (predictions, targets.astype(str).astype(object))):
        with pytest.raises(InputError, match="must be an array of numbers"):
            row.build(*pair)


def pair_of(row: Any) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    shape = (6, *row.event)
    return np.full(shape, 0.5, np.float32), row.targets(random, shape)


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_labels_beyond_int32_are_no_other_labels(row: Any):
    predictions, targets = pair_of(row)
    if np.dtype(targets.dtype).kind in "iu":
        wide = targets.astype(np.int64)
        wide[(0,) * wide.ndim] += 2**32  # which wraps round to itself
        with pytest.raises(InputError, match=r"targets must be integers from -2\^31 to 2\^31 - 1"):
            row.build(predictions, wide)


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_metrics_take_nothing_from_behind_a_mask(row: Any):
    shape = (6, 3)
    predictions = np.full(shape, 0.5, np.float32)
    targets = np.asarray(row.targets(jax.random.key(0), shape))
    arrays = {"predictions": predictions, "targets": targets, "weights": np.ones(6, np.float32)}
    for figure in (row.build(), row.plain):
        for name in arrays if figure is not None else ():
            with pytest.raises(InputError, match=f"{name} must be without masked entries"):
                figure(**arrays | {name: masked(arrays[name])})
        if figure is not None:
            with pytest.raises(InputError, match="targets must be an array of numbers"):
                figure(**arrays | {"targets": targets.astype(str).astype(object)})


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_losses_take_real_arrays_alone(row: Any):
    predictions, targets = pair_of(row)
    for other in (targets.astype(np.complex64), targets.tolist(), None):
        with pytest.raises(InputError, match="targets must be"):
            row.build(predictions, other)
    with pytest.raises(InputError, match="predictions must be"):
        row.build(predictions.astype(np.complex64), targets)


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_metrics_take_real_arrays_and_weights_that_count(row: Any):
    shape = (6, 3)
    arrays = {
        "predictions": np.full(shape, 0.5, np.float32),
        "targets": np.asarray(row.targets(jax.random.key(0), shape)),
        "weights": np.ones(6, np.float32),
    }
    for figure in (row.build(), row.plain):
        for name in arrays if figure is not None else ():
            for other in (arrays[name].astype(np.complex64), arrays[name].tolist(), "text"):
                with pytest.raises(InputError, match=f"{name} must be an array"):
                    figure(**arrays | {name: other})
        for value in (-1, np.nan, np.inf) if figure is not None else ():
            weights = np.where(np.arange(6) == 4, np.float32(value), np.float32(1))
            with pytest.raises(InputError, match=f"weights must be finite and at least 0, got {value:g} at row 4"):
                figure(**arrays | {"weights": weights})


@pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
def test_activations_take_nothing_from_behind_a_mask(row: Any):
    with pytest.raises((InputError, ValueError), match="masked"):  # JAX's own of two
        row.build(masked(np.ones((2, 4), np.float32)))


def test_labels_of_metrics_beyond_int32_are_no_other_labels():
    labels, wide = np.array([0, 1, 1]), np.array([0, 1, 2**32 + 1])  # which wraps round to 1
    for figure in (ja.metrics.accuracy, ja.metrics.balanced_accuracy, ja.metrics.f1, ja.metrics.streaming.accuracy()):
        with pytest.raises(InputError, match=r"targets must be (labels|integers)"):
            figure(labels, wide)
    far = np.array([3_000_000_000, 2, 1])  # numbers are taken as numbers
    assert ja.metrics.mse(far.astype(np.float32), far) == 0


BIG = np.full((8, 3), 3_000_000_000, np.int64)


def test_wide_integers_known_inside_a_program_do_not_wrap():
    told = r"must be integers from -2\^31 to 2\^31 - 1, got int64 up to 3000000000"
    for case in CASES:
        if ("inside" in case or case.startswith(("train.make_run", "backprop.backward", "tune.hyper"))) and any(
            case.endswith(end) for end in ("x", "y", "weights")
        ):
            array, call = CASES[case]
            with pytest.raises(InputError, match=told):
                call(np.full(np.shape(array), 3_000_000_000, np.int64))
            with pytest.raises(InputError, match="-2.31"):
                call(np.full(np.shape(array), 3_000_000_000).tolist())


def test_integers_known_inside_a_program_are_the_numbers_they_are():
    params = {"weight": np.ones((3, 1), np.float32), "bias": np.zeros(1, np.float32)}
    model = ja.layers.dense(1)
    for kind in (np.int64, np.uint32, np.uint8, np.int8, np.float64, object):
        x = np.full((2, 3), 100).astype(kind)
        found = jax.jit(lambda p, x=x: ja.predict(model, p, {}, x))(params)
        np.testing.assert_array_equal(found, np.full((2, 1), 300, np.float32))


def public() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for room in ROOMS:
        module: Any = ja
        for name in room.split("."):
            module = getattr(module, name)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type | ModuleType):
                found[f"{room}.{name}"] = value
    return found


def test_every_argument_that_takes_an_array_is_swept():
    swept = {row.name for rows in (LOSSES, METRICS, ACTIVATIONS) for row in rows}
    modes = (
        "backprop.backward",
        "backprop.forward",
        "backprop.value_and_grad",
        "diagnose.check_layer",
        "teach.explain",
    )
    shares = ("tune.bayes", "tune.halving", "tune.hyperband", "tune.population_based", "tune.resampling")
    declared = {"initializers.dirac: groups", "ops.conv: groups", "ops.conv_transpose: groups",
                "ops.group_norm: groups", "losses.contractive: weight", "losses.sparse_code: weight",
                "losses.by_head: weights", "losses.targets_in: values",
                "losses.labels_to_check: targets", "losses.target_weights: targets",
                *(f"diagnose.{name}: groups" for name in ("exact_shap", "kernel_shap", "permutation_importance")),
                }  # fmt: skip
    other = declared | {f"{name}: train" for name in modes} | {f"{name}: validation" for name in shares}
    missing = []
    for name, function in public().items():
        if name in swept:
            continue
        for argument in inspect.signature(function).parameters:
            known = any(case.split(": ")[0].split(" ")[0].endswith(name) or name.endswith(case.split(":")[0])
                        for case in CASES if case.split(": ")[1].split(" ")[0] == argument)  # fmt: skip
            if argument in ARRAYS and not known and f"{name}: {argument}" not in other:
                missing.append(f"{name}: {argument}")
    assert not missing, missing
