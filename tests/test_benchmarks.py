"""What the benchmarks time is equal work, and can be called."""

from __future__ import annotations

import argparse

import jax
import numpy as np
import pytest

import jaxann as ja
from benchmarks import backprop, overhead, tuning
from tests.programs import quick_jit


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2, "batch_norm": True}], ids=["plain", "dropout, batch norm"])
def test_gradients_by_hand_and_by_autodiff_are_one(settings: dict):
    model = ja.models.mlp((4, 3), **settings)
    x, y = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32), np.arange(6, dtype=np.int32) % 3
    params, state = model.init(jax.random.key(0), x)
    weights = np.array([1, 1, 1, 1, 1, 0], np.float32)
    found = [
        quick_jit(lambda *a, way=way: way(*a[:-2], key=a[-2], weights=a[-1]))(
            params, state, x, y, jax.random.key(1), weights
        )
        for way in backprop.gradients(model, ja.losses.softmax_cross_entropy).values()
    ]
    assert len(found) == 2
    for ours, wanted in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "given"),
    [(overhead, ["--workload", "mnist-512-512"]), (tuning, ["--part", "halving"])],
    ids=["overhead", "tuning"],
)
def test_real_data_that_are_not_here_are_named_and_nothing_is_written(module, given, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXANN_DATA", str(tmp_path))
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    assert module.run(parser.parse_args([*given, "--out", str(tmp_path)])) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{given[1]} skipped: no " in told and "set JAXANN_DATA to the folder with" in told
    assert not list(tmp_path.iterdir())
