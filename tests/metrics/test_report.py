"""The report as text: the very lines of scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from jaxann.metrics import classification_report
from tests.contract import assert_input_error

DRAW = np.random.default_rng(2)
LOGITS, LABELS = DRAW.normal(size=(200, 4)).astype(np.float32), DRAW.integers(0, 4, 200)


def test_the_report_is_that_of_scikit_learn():
    oracle = pytest.importorskip("sklearn.metrics")
    predicted = LOGITS.argmax(-1)
    assert classification_report(LOGITS, LABELS) == oracle.classification_report(LABELS, predicted)
    assert classification_report(predicted, LABELS) == oracle.classification_report(LABELS, predicted)
    names = ["sea", "land", "a name that is rather long", "air"]
    expected = oracle.classification_report(LABELS, predicted, target_names=names, digits=4)
    assert classification_report(LOGITS, LABELS, names=names, digits=4) == expected
    binary, bits = LOGITS[:, 0], (LABELS > 1).astype(np.int32)
    assert classification_report(binary, bits) == oracle.classification_report(bits, binary > 0)
    few, gap = np.asarray([0, 2, 2, 0]), np.asarray([0, 2, 0, 0])  # class 1 does not occur
    assert classification_report(few, gap) == oracle.classification_report(gap, few)
    expected = oracle.classification_report(gap, few, labels=range(3), zero_division=1.0)
    assert classification_report(few, gap, absent="count", zero_division=1.0) == expected


def test_weighted_support_has_the_digits_asked_for():
    oracle = pytest.importorskip("sklearn.metrics")
    weights = DRAW.integers(0, 8, 200) / 4
    expected = oracle.classification_report(LABELS, LOGITS.argmax(-1), sample_weight=weights, digits=2)
    found = classification_report(LOGITS, LABELS, weights)
    assert [line.split() for line in found.splitlines()] == [
        [*words[:-1], f"{float(words[-1]):.2f}"] if words and words[-1] != "support" else words
        for words in map(str.split, expected.splitlines())
    ]
    np.testing.assert_array_equal(classification_report(LOGITS, LABELS, weights * 0).split()[:4],
                                  ["precision", "recall", "f1-score", "support"])  # fmt: skip


def test_the_report_checks_what_it_is_given():
    assert_input_error(lambda: classification_report(LOGITS, LABELS, names=["a"]), "names", given="1")
    assert_input_error(lambda: classification_report(LABELS, LABELS, classes=3), "targets", expected="labels in 0..2")
    lost = np.where(np.arange(200)[:, None] == 7, np.nan, LOGITS)
    assert_input_error(lambda: classification_report(lost, LABELS), "each example", given="none at 7")
    assert_input_error(lambda: classification_report(LABELS, LABELS, digits=-1), "digits")
    assert_input_error(lambda: classification_report(LABELS, LABELS, absent="no"), "absent")
    assert_input_error(lambda: classification_report(LOGITS, LABELS[:-1]), "targets")
