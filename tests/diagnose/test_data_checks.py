"""What is wrong with data is found where it is planted, named, and found nowhere else."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

import jaxann as ja
from jaxann.diagnose.data_checks import data_verdicts
from tests.diagnose.made_data import LABELLED, blobs, flipped, found, halves, kinds, linear, real, standard

# Nothing is found in honest data.


@pytest.mark.parametrize("name", [*LABELLED, "diabetes"])
@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_wrong_with_the_bundled_data(name: str, seed: int):
    train, validation = halves(*real(name), np.random.default_rng(seed))
    constant = np.ptp(train[0], axis=0) == 0  # pixels of digits that are never written on
    train, validation = (train[0][:, ~constant], train[1]), (validation[0][:, ~constant], validation[1])
    assert kinds(found(train, validation, "numbers" if name == "diabetes" else "classes")) == []


def test_the_pixels_of_digits_that_are_never_written_on_say_nothing():
    x, y = datasets.load_digits(return_X_y=True)
    (verdict,) = found((standard(x), y))
    assert verdict.kind == "useless_columns" and verdict.where == ("x[0]", "x[32]", "x[39]")
    assert found((x.reshape(-1, 8, 8, 1) / 16, y)) == []  # of pictures, a border is none of a table's columns


@pytest.mark.skipif("JAXANN_DATA" not in os.environ, reason="JAXANN_DATA names no folder with California housing")
def test_nothing_is_wrong_with_the_real_houses_of_california():
    path = Path(os.environ["JAXANN_DATA"]) / "tabular" / "california_housing.csv"
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    numbers = np.array([[float(cell) if cell else np.nan for cell in row[:-1]] for row in rows])
    places = sorted({row[-1] for row in rows})
    codes = np.array([[places.index(row[-1])] for row in rows], np.int32)
    x, y = numbers[:, :-1], numbers[:, -1]
    scaled = ((x - np.nanmean(x, 0)) / np.nanstd(x, 0)).astype(np.float32)
    train, validation = np.split(np.random.default_rng(0).permutation(len(y)), [16_000])
    data, asked = ((scaled[one], y[one]) for one in (train, validation))
    assert found(data, asked, "numbers") == []
    data, asked = (({"numbers": scaled[one], "codes": codes[one]}, y[one]) for one in (train, validation))
    assert found(data, asked, "numbers") == []
    assert kinds(found((x, y), task="numbers")) == ["input_scale"]


@pytest.mark.parametrize("seed", range(4))
def test_classes_that_overlap_are_no_wrong_labels(seed: int):
    rng = np.random.default_rng(seed)
    rows, columns, classes = int(rng.integers(200, 1500)), int(rng.choice([2, 5, 20])), int(rng.choice([2, 3]))
    assert found(blobs(rng, rows, columns, classes, gap=2.0)) == []


def test_labels_that_have_nothing_to_do_with_the_inputs_are_not_called_wrong():
    rng = np.random.default_rng(0)
    assert found((rng.normal(size=(600, 5)), rng.choice(3, 600, p=[0.6, 0.3, 0.1]))) == []


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_a_column_that_is_strong_is_no_leak(task: str):
    x, y = datasets.load_iris(return_X_y=True)
    if task == "classes":  # two columns tell this class from the others
        assert found((standard(x), (y == 0).astype(int))) == []
    else:
        assert found((standard(x[:, :3]), x[:, 3].astype(np.float32)), task="numbers") == []  # r = 0.96


def test_a_table_of_one_column_has_no_leak():
    x = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
    assert found((x, (x[:, 0] > 0).astype(int))) == [] and found((x, x[:, 0]), task="numbers") == []


def test_inputs_that_come_back_are_no_leak():
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    assert found((x, x), task="numbers") == []


# Leaks.


@pytest.mark.parametrize("how", ["copy", "coded", "noisy"])
@pytest.mark.parametrize("name", ["wine", "breast_cancer", "digits", "blobs"])
def test_a_column_made_of_the_class_is_found_and_named(name: str, how: str):
    rng = np.random.default_rng(len(name) + len(how))
    x, y = blobs(rng) if name == "blobs" else real(name)
    column = {
        "copy": y * 1.0,
        "coded": rng.permutation(int(y.max()) + 1)[y] * 3.0,
        "noisy": y + rng.normal(size=len(y)) * 0.1,
    }[how]
    place = int(rng.integers(x.shape[1]))
    x = np.insert(x, place, standard(column), axis=1)
    verdict = found((x, y))[0]
    assert verdict.kind == "target_leak" and verdict.where == (f"x[{place}]",) and verdict.severity >= 1


@pytest.mark.parametrize("how", ["units", "logarithm", "noisy", "square"])
def test_a_column_made_of_the_number_is_found_and_named(how: str):
    rng = np.random.default_rng(len(how))
    x, y = real("diabetes") if how == "noisy" else linear(rng)
    scale = y.std()
    column = {
        "units": -1.8 * y + 32,
        "logarithm": np.log(y - y.min() + scale),
        "noisy": y + rng.normal(size=len(y)) * scale * 0.02,
        "square": (y - y.min() - 10 * scale) ** 2,
    }[how]
    verdict = found((np.insert(x, 2, standard(column), axis=1), y[:, None]), task="numbers")[0]
    assert verdict.kind == "target_leak" and verdict.where == ("x[2]",) and "x[2] alone" in verdict.evidence


def test_a_leak_in_one_of_several_inputs_is_named_by_its_path():
    rng = np.random.default_rng(0)
    x, y = blobs(rng)
    inputs = {"first": x, "ticket": y.astype(np.int32) + 5}
    assert found((inputs, y))[0].where == ("x['ticket']",)
    missing = np.where(y == 0, np.nan, rng.normal(size=len(y)))  # where nothing was noted tells
    inputs = {"first": x, "seen": np.stack([rng.normal(size=len(y)), missing], 1).astype(np.float32)}
    assert found((inputs, (y == 0).astype(int)))[0].where == ("x['seen'][1]",)


def test_a_leak_in_a_picture_is_named_by_its_place():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 8, 8, 2)).astype(np.float32), rng.integers(0, 3, 300)
    x[:, 7, 1, 0] = y
    assert found((x, y))[0].where == ("x[7, 1, 0]",)


# Rows of both sets.


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_rows_of_both_sets_are_found(share: float):
    rng = np.random.default_rng(1)
    train, validation = halves(*blobs(rng, 1000), rng)
    copied = rng.choice(800, int(share * 200), replace=False)
    x, y = np.concatenate([validation[0], train[0][copied]]), np.concatenate([validation[1], train[1][copied]])
    y[-1] = (y[-1] + 1) % 3
    verdict = found(train, (x, y))[0]
    assert verdict.kind == "shared_rows" and f"{len(copied)} of the {len(x)} validation rows" in verdict.evidence
    assert f"{len(copied) - 1} of them have the same target" in verdict.evidence and verdict.severity > 1


def test_rows_of_several_inputs_are_shared_where_all_of_them_are():
    rng = np.random.default_rng(2)
    x, y = blobs(rng)
    ids = rng.integers(0, 1000, (len(y), 6)).astype(np.int32)
    train = ({"numbers": x[:300], "ids": ids[:300]}, y[:300])
    assert found(train, ({"numbers": x[:50], "ids": ids[300:350]}, y[:50])) == []
    verdict = found(train, ({"numbers": x[:50].astype(np.float64), "ids": ids[:50]}, y[:50]))[0]
    assert verdict.kind == "shared_rows"


def test_rows_of_few_values_coincide_by_chance():
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 2, (900, 7)).astype(np.float32), rng.integers(0, 2, 900)
    assert found((x[:700], y[:700]), (x[700:], y[700:])) == []


def test_pictures_of_both_sets_are_found():
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 256, (200, 6, 6, 3)).astype(np.uint8), rng.integers(0, 2, 200)
    verdicts = found((x[:150], y[:150]), (x[130:], y[130:]), normalized=True)
    assert kinds(verdicts) == ["shared_rows"] and "20 of the 70" in verdicts[0].evidence


# Classes.


@pytest.mark.parametrize("name", ["iris", "wine", "digits"])
def test_a_class_that_never_occurs_is_found(name: str):
    x, y = real(name)
    kept = y != 1
    verdict = found((x[kept], y[kept]))[0]
    assert verdict.kind == "missing_labels" and verdict.where == ("class 1",) and verdict.severity == 1
    top = int(y.max())
    train, rest = y < top, y == top
    verdict = found((x[train], y[train]), (x[rest], y[rest]))[0]
    assert verdict.where == (f"class {top}",) and "validation" in verdict.evidence
    assert kinds(found((x, y), classes=top + 3)) == ["missing_labels"]
    assert found((x, y), classes=top + 1) == []


@pytest.mark.parametrize("share", [0.92, 0.97, 0.995])
def test_a_class_that_has_most_rows_is_found(share: float):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 4)).astype(np.float32), (np.arange(2000) >= share * 2000).astype(int)
    verdict = found((x, y))[0]
    assert verdict.kind == "imbalance" and verdict.where == ("class 0",) and f"{share:.1%}" in verdict.evidence
    assert verdict.severity == pytest.approx(share / (1 - share) / 9, rel=1e-3)
    weights = np.where(y == 1, share / (1 - share), 1.0)
    assert data_verdicts(x, y, weights, None, task="classes") == []


# Columns.


@pytest.mark.parametrize("change", [lambda c: c * 2e3, lambda c: c * 1e-4, lambda c: c + 40])
def test_a_column_of_another_size_is_found_and_named(change):
    x, y = linear(np.random.default_rng(0))
    x[:, 3] = change(x[:, 3])
    verdict = found((x, y), task="numbers")[0]
    assert verdict.kind == "input_scale" and verdict.where[0] == "x[3]" and verdict.severity > 1
    assert found((x, y), task="numbers", normalized=True) == []


def test_bright_pictures_and_loud_sequences_are_far_from_one_size():
    rng = np.random.default_rng(0)
    pictures, y = rng.integers(0, 256, (64, 8, 8, 3)).astype(np.uint8), rng.integers(0, 2, 64)
    assert kinds(found((pictures, y))) == ["input_scale"] and found((pictures / 255, y)) == []
    waves = rng.normal(size=(64, 20, 2)).astype(np.float32) * [1, 500]
    assert found((waves, y))[0].where == ("x[..., 1]",)
    mask = np.arange(20) < 10
    quiet = ja.core.Padded(np.where(mask[:, None], waves / [1, 500], 1e6), np.tile(mask, (64, 1)))
    assert found((quiet, y)) == []
    assert found((rng.integers(0, 5000, (64, 20)), y)) == []  # ids


@pytest.mark.parametrize("how", ["constant", "copy", "affine"])
@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_columns_that_say_nothing_are_found_and_named(name: str, how: str):
    x, y = real(name)
    x[::9, 1] = np.nan
    column = {"constant": np.full(len(x), 0.3), "copy": x[:, 1], "affine": 2 - 3 * x[:, 1]}[how]
    verdicts = found((np.insert(x, 4, column, axis=1), y), task="numbers" if name == "diabetes" else "classes")
    assert kinds(verdicts) == ["useless_columns"] and verdicts[0].where == ("x[4]",)
    assert how == "constant" or "x[4] of x[1]" in verdicts[0].evidence


def test_columns_that_differ_in_a_row_alone_are_no_copies():
    x, y = linear(np.random.default_rng(0))
    rare = np.zeros((len(x), 2), np.float32)
    rare[7] = 1, 2
    assert found((np.concatenate([x, standard(rare)], 1), y), task="numbers") == []


# Labels.


@pytest.mark.parametrize("share", [0.2, 0.3])
@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "moons"])
def test_labels_that_contradict_the_inputs_are_found(name: str, share: float):
    rng = np.random.default_rng(0)
    x, y = datasets.make_moons(700, noise=0.15, random_state=0) if name == "moons" else real(name)
    labels = flipped(y, share, rng)
    verdict = found((standard(x), labels))[0]
    assert verdict.kind == "label_noise" and verdict.severity > 1
    told = float(verdict.evidence.split("%")[0].rsplit(" ", 1)[1]) / 100
    assert told == pytest.approx(share, abs=0.1)
    rows = [int(name.removeprefix("row ")) for name in verdict.where]
    assert np.mean(labels[rows] != y[rows]) >= 0.8  # most of the rows to look at are wrong indeed
