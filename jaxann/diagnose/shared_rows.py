"""Rows of the validation set that were trained on, found by their bits."""

from __future__ import annotations

import hashlib
from collections import Counter

import jax
import numpy as np

from jaxann.core.typing import Inputs
from jaxann.diagnose.example_columns import input_arrays, may_coincide
from jaxann.diagnose.verdicts import Remedy, Verdict

__all__ = ["shared_rows"]

_BLOCK = 4_096
_DEVIATIONS = 4.0  # more than expected that chance does not explain
_REMEDIES = (
    Remedy("Leave these rows out of the validation set: on rows that were learned it measures nothing."),
    Remedy(
        "Split before anything is copied: before oversampling, augmentation to disk and windows that overlap; rows of "
        "one patient, user or document all on one side."
    ),
)


def shared_rows(x: Inputs, y: np.ndarray | None, other: Inputs, other_y: np.ndarray | None) -> Verdict | None:
    """The verdict, where more rows of the validation set are training rows than coincide by chance.

    Args:
        x, y: the training set, y `(rows, ...)`, or None where targets are not compared.
        other, other_y: the validation set.
    """
    if jax.tree.structure(x) != jax.tree.structure(other):
        return None
    pairs = list(zip(input_arrays(x), input_arrays(other), strict=True))
    if any(a.values.shape[1:] != b.values.shape[1:] for a, b in pairs):
        return None
    kinds = [np.result_type(a.values.dtype, b.values.dtype) for a, b in pairs]
    trained = _digests([a.values for a, _ in pairs], kinds)
    asked = _digests([b.values for _, b in pairs], kinds)
    counts = Counter(trained)
    shared = [row for row, digest in enumerate(asked) if digest in counts]
    # By Good and Turing: the chance that a new row is a known one is the share of known ones that are not alone. Only
    # rows of few values coincide; twins among others are copies, which is what is looked for.
    twins = sum(count for count in counts.values() if count > 1) if may_coincide(x) else 0
    expected = len(asked) * (twins + 1) / (len(trained) + 1)
    limit = expected + _DEVIATIONS * np.sqrt(expected)
    if len(shared) <= max(limit, 1):
        return None
    shown = ", ".join(map(str, shared[:8])) + (", ..." if len(shared) > 8 else "")
    evidence = (
        f"{len(shared):,} of the {len(asked):,} validation rows ({len(shared) / len(asked):.1%}) are among the "
        f"{len(trained):,} training rows bit for bit, where about {expected:.1f} would be by chance: rows {shown}."
    )
    if y is not None and other_y is not None and y.shape[1:] == other_y.shape[1:]:
        kind = [np.result_type(y.dtype, other_y.dtype)]
        labelled = set(zip(trained, _digests([y], kind), strict=True))
        targets = _digests([other_y[shared]], kind)
        same = sum((asked[row], target) in labelled for row, target in zip(shared, targets, strict=True))
        evidence += f" {same:,} of them have the same target too."
    return Verdict("shared_rows", evidence, (), max(1.0, len(shared) / max(limit, 1)), _REMEDIES)


def _digests(arrays: list[np.ndarray], kinds: list[np.dtype]) -> list[bytes]:
    """A digest of each row: equal for equal numbers, also 0 and -0, of one dtype."""
    found: list[bytes] = []
    for start in range(0, len(arrays[0]), _BLOCK):
        rows = []
        for array, kind in zip(arrays, kinds, strict=True):
            block = array[start : start + _BLOCK]
            block = np.ascontiguousarray(block.reshape(len(block), int(np.prod(block.shape[1:]))), kind)
            rows.append(block + np.zeros((), kind) if kind.kind == "f" else block)
        for row in range(len(rows[0])):
            found.append(hashlib.blake2b(b"".join(block[row].tobytes() for block in rows), digest_size=16).digest())
    return found
