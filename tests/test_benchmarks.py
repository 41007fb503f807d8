"""What the benchmarks time is equal work, and can be called."""

from __future__ import annotations

import argparse

import jax
import numpy as np
import pytest

import jaxann as ja
from benchmarks import backprop, conv, conv_peers, overhead, sequence, tabular, tabular_contenders, tabular_data, tuning
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
    [
        (overhead, ["--workload", "mnist-512-512"]),
        (tabular, ["--table", "california"]),
        (tuning, ["--part", "halving"]),
    ],
    ids=["overhead", "tabular", "tuning"],
)
def test_real_data_that_are_not_here_are_named_and_nothing_is_written(module, given, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXANN_DATA", str(tmp_path))
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    assert module.run(parser.parse_args([*given, "--out", str(tmp_path)])) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{given[1]} skipped: no " in told and "set JAXANN_DATA to the folder with" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["flax", "keras"])
@pytest.mark.parametrize("name", ["LeNet-5", "ResNet-20"])
def test_nets_of_peers_have_our_weights(name: str, library: str, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip(library)
    side, channels = conv.NETS[name][:2]
    x = np.zeros((1, side, side, channels), np.float32)
    if library == "keras":
        net = conv_peers.keras_net(name, x.shape[1:])
        found = [weight.value for weight in net.trainable_variables]
    else:
        net = conv_peers.flax_net(name)
        found = jax.eval_shape(lambda key: net.init(key, x, train=False)["params"], jax.random.key(0))
    ours = jax.eval_shape(conv.model_of(name).init, jax.random.key(0), x)[0]
    sizes, wanted = (sorted(leaf.shape for leaf in jax.tree.leaves(params)) for params in (found, ours))
    assert sizes == wanted


def test_nets_in_pytorch_compute_what_ours_do():
    torch = pytest.importorskip("torch")
    from benchmarks import conv_torch, images_torch

    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    model = conv.model_of("ResNet-20")
    params, state = quick_jit(model.init)(jax.random.key(0), x)
    net = conv_torch.net_of("ResNet-20")
    images_torch.give_weights(net, model, params)
    wanted = net(torch.from_numpy(np.moveaxis(x, -1, 1))).detach().numpy()
    found = quick_jit(lambda p, s, x: model.apply(p, s, x, train=True)[0])(params, state, x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)

    flat, widths = x.reshape(-1, 64), (9, 4, 2)
    model = ja.models.variational_autoencoder(widths, 64)
    params, state = model.init(jax.random.key(1), flat)
    net = images_torch.Variational(widths, 64)
    images_torch.give_weights(net, model, params)
    logits, mean, log_variance = net(torch.from_numpy(flat), torch.zeros(len(flat), 2))
    found = model.apply(params, state, flat)[0]
    for ours, theirs in (("reconstruction", logits), ("mean", mean), ("log_variance", log_variance)):
        np.testing.assert_allclose(found[ours], theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_nets_written_by_hand_compute_what_ours_do(cell: str):
    layer = {"lstm": ja.layers.lstm, "gru": ja.layers.gru}[cell](sequence.UNITS)
    model = ja.layers.sequential({"rnn": layer, "head": ja.layers.dense(3)})
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    params, state = model.init(jax.random.key(0), x)
    with jax.numpy_rank_promotion("allow"):
        wanted = quick_jit(sequence._raw(cell))(params, x)
    np.testing.assert_allclose(quick_jit(model.apply)(params, state, x)[0], wanted, rtol=1e-5, atol=1e-6)


def test_sequence_nets_in_pytorch_have_our_weights():
    pytest.importorskip("torch")
    from benchmarks import sequence_torch

    ids = np.zeros((1, 4), np.int32)
    ours = jax.eval_shape(ja.models.gpt(**sequence.GPT).init, jax.random.key(0), ids)[0]
    theirs = sum(p.numel() for p in sequence_torch.GPT(**sequence.GPT).parameters())
    assert theirs == sum(leaf.size for leaf in jax.tree.leaves(ours)) == 818_176
    layer = jax.eval_shape(ja.layers.lstm(6).init, jax.random.key(0), np.zeros((1, 2, 5), np.float32))[0]
    rnn = sequence_torch.Recurrent("lstm", 5, 6, 3).rnn
    assert sum(p.numel() for p in rnn.parameters()) == sum(leaf.size for leaf in jax.tree.leaves(layer))


def test_differences_are_taken_within_splits():
    rows = {
        "0": {"jaxann": {"error": 1.0}, "LightGBM": {"error": 2.0}},
        "1": {"jaxann": {"error": 3.0}, "LightGBM": {"error": 7.0}},
        "2": {"jaxann": {"error": 5.0}},  # of a contender that was not there yet
    }
    mean, difference, error, count = tabular.paired(rows, "LightGBM", "error")
    assert (mean, difference, count) == (4.5, -2.5, 2)
    assert error == pytest.approx(np.std([-1, -4], ddof=1) / np.sqrt(2))
    assert tabular.names_in(rows) == ["jaxann", "LightGBM"]


def test_splits_of_tables_share_no_row_and_keep_the_classes():
    table = tabular_data.load("wine")
    train, test = tabular_data.split(table, 3)
    assert sorted([*train, *test]) == list(range(178)) and len(test) == 36
    shares = [np.bincount(table.y[rows]) / len(rows) for rows in (train, test)]
    np.testing.assert_allclose(*shares, atol=0.02)
    assert not np.array_equal(test, tabular_data.split(table, 4)[1])


@pytest.mark.parametrize("name", ["scikit-learn MLP", "HistGradientBoosting", "LightGBM", "CatBoost", "tabm 8x128"])
def test_contenders_take_gaps_and_categories(name: str, monkeypatch):
    if not tabular_contenders.available([name], lambda told: None):
        pytest.skip(f"{name} is not installed")
    if name.startswith("tabm"):
        from benchmarks import tabular_tabm

        monkeypatch.setattr(tabular_tabm, "MOST_EPOCHS", 60)
    random = np.random.default_rng(0)
    numbers, codes = random.normal(size=(240, 2)), random.integers(0, 3, (240, 1)).astype(np.int32)
    y = 3 * numbers[:, 0] + 2 * (codes[:, 0] == 1)
    numbers[:5, 1] = np.nan
    rows = np.arange(240)
    for task, targets in (("regression", y), ("classification", (y > 0).astype(int))):
        table = tabular_data.Table(task, numbers, codes, (3,), targets)
        found = tabular.measured(name, table, rows[:200], rows[200:], 0)
        assert found["error"] < (0.5 * y.std() if task == "regression" else 0.2)
        assert set(found) == {"error", "seconds", "processor_seconds", *(["log_loss"] if task != "regression" else [])}
