"""The learn scripts run, their figures are what they say, and each draws its picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from scripts import (
    learn_attention,
    learn_batches,
    learn_boundaries,
    learn_convolution,
    learn_gates,
    learn_initialization,
    learn_map,
    learn_optimizers,
    learn_overfitting,
    learn_rate,
    learn_recurrence,
    learn_reversal,
    learn_symmetry,
    learn_vanishing,
)

pytest.importorskip("matplotlib")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a script, with smaller settings; what it prints, in lines that fit a terminal. It has to draw."""

    def call(script: Any) -> str:
        script.main(["--out", str(tmp_path)])
        text = capsys.readouterr().out
        assert max(map(len, text.replace(str(tmp_path), "").splitlines())) <= 80
        [picture] = tmp_path.glob("*.png")
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.name in text
        return text

    return call


def test_gates_are_learned_and_the_exclusive_or_is_not(run: Any):
    text = run(learn_gates)
    assert re.search(r"^and +0 0 0 1 +6 +10 +0\.50 +0\.25 +0\.50$", text, re.MULTILINE)
    assert re.search(r"^xor +0 1 1 0 +never ", text, re.MULTILINE)


def test_a_line_separates_the_clouds_and_not_the_moons(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_boundaries, "EPOCHS", 5)
    text = run(learn_boundaries)
    assert "clouds: the perceptron rule ended after" in text and "moons:  the perceptron rule did not end" in text
    counts = re.search(r"(\d+) mistakes;.* at most (\d+)\.", text, re.DOTALL)
    assert counts is not None and 0 < int(counts[1]) <= int(counts[2])


def test_equal_units_stay_equal(run: Any):
    run(learn_symmetry)
    weights, costs = learn_symmetry.paths()
    zeros, equal, random = weights
    assert weights.shape == (3, 201, 2, 3) and not zeros.any()
    assert (equal == equal[:, :, :1]).all() and np.abs(equal[-1] - equal[0]).max() > 0.1
    assert np.abs(random[-1] - random[-1, :, :1]).max() > 1
    assert costs[0, -1] == costs[0, 0] and costs[1, -1] > 0.4 and costs[2, -1] < 0.05


def test_forty_layers_keep_or_lose_a_signal_as_published(run: Any, monkeypatch: pytest.MonkeyPatch):
    """To the printed digits: deviation of the last activations, gradient of the first layer over that of the last."""
    expected = {
        ("relu", "He"): (".433", "1.46"),
        ("relu", "Glorot"): ("4.1e-07", None),
        ("relu", "deviation 0.1"): ("5.8e-05", None),
        ("tanh", "Glorot"): (".105", "1.46"),
        ("tanh", "5/3 Glorot"): (".648", "39.7"),
        ("tanh", "deviation 0.01"): ("1.2e-38", None),
        ("sigmoid", "Glorot"): (None, "6.3e-25"),
        ("sigmoid", "4 Glorot"): (None, "1.5e-08"),
    }
    found = learn_initialization.measured(1)
    assert list(found) == list(expected)
    for name, (deviation, norm) in found.items():
        for printed, value in zip(expected[name], (deviation[0, -1], norm[0, 0] / norm[0, -1]), strict=True):
            if printed is not None:
                digits = len(re.sub(r"e.*|\.", "", printed))
                assert float(f"{value:.{digits - 1}e}") == float(printed), name
    monkeypatch.setattr(learn_initialization, "measured", lambda: found)
    assert "6.31e-25" in run(learn_initialization)


def test_gradients_vanish_in_sigmoids(run: Any, monkeypatch: pytest.MonkeyPatch):
    """At a size that compiles fast: four layers, two of the nets, one short training."""
    for name, value in {"DEPTH": 4, "WIDTH": 64, "EPOCHS": 2, "RATES": np.array([0.03], np.float32)}.items():
        monkeypatch.setattr(learn_vanishing, name, value)
    nets = learn_vanishing.nets()
    assert list(nets) == ["sigmoid", "relu", "relu, batch norm", "relu, skips"]
    some = {name: nets[name] for name in ("sigmoid", "relu, skips")}
    monkeypatch.setattr(learn_vanishing, "nets", lambda: some)
    monkeypatch.setattr(learn_vanishing, "LOOKS", learn_vanishing.LOOKS[:2])
    data = ja.data.digits()
    x, y = data.x.reshape(-1, 64), data.y
    model = some["relu, skips"]
    trained = learn_vanishing.train(model, model.init(jax.random.key(0), jax.ShapeDtypeStruct(x.shape, x.dtype)), x, y)
    assert trained.shape == (1, 2) and trained[0, 1] < trained[0, 0]
    monkeypatch.setattr(learn_vanishing, "train", lambda *_: trained)
    rows = re.findall(r"^(\w[\w, ]*?) +([\d.]+e[+-]\d+) ", run(learn_vanishing), re.MULTILINE)
    ratios = {name: float(ratio) for name, ratio in rows}
    assert ratios["sigmoid"] < 0.05 and 0.3 < ratios["relu, skips"] < 3


def test_optimizers_race_downhill(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_optimizers, "STEPS", 60)
    monkeypatch.setattr(learn_optimizers, "RATES", np.array([1e-3, 30.0], np.float32))
    racers = {name: learn_optimizers.RACERS[name] for name in ("sgd", "lbfgs")}
    monkeypatch.setattr(learn_optimizers, "RACERS", racers)
    rows = dict(re.findall(r"^(sgd|lbfgs) +(.+)$", run(learn_optimizers), re.MULTILINE))
    assert rows["sgd"].count(" at 0.001") == 3  # 30 throws it out of each valley
    assert all(float(height) < 1e-8 for height in rows["lbfgs"].split())


def test_of_all_rates_the_lowest_that_does_not_climb():
    heights = np.repeat([[[4.0, 9, 0.1], [4, 3, 2], [4, 2, 1], [4, np.nan, np.nan]]], 10, -1)
    [(rate, place, kept)] = learn_optimizers.best(np.arange(4).reshape(1, 4), heights)
    assert rate == learn_optimizers.RATES[2] and place == 2 and kept[-1] == 1


def test_batches_of_all_sizes_descend(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_batches, "EPOCHS", 5)
    monkeypatch.setattr(learn_batches, "RUNS", 3)
    ways = {name: learn_batches.WAYS[name] for name in ("batch, 200", "stochastic, 1")}
    monkeypatch.setattr(learn_batches, "WAYS", ways)
    rows = re.findall(r" (1|200) +(\S+e\S+) +(\S+) +(\S+)$", run(learn_batches), re.MULTILINE)
    (_, full, *_), (_, single, *_) = rows
    assert float(single) < 0.1 < 1 < float(full)


def test_early_stopping_is_the_same_run_cut_short(run: Any, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"EPOCHS": 24, "PATIENCE": 2}.items():
        monkeypatch.setattr(learn_overfitting, name, value)
    cures = {name: (*cure[:2], 2 if cure[2] == 15 else 24) for name, cure in learn_overfitting.CURES.items()}
    monkeypatch.setattr(learn_overfitting, "CURES", cures)
    kept = {}

    def train() -> Any:
        return kept.setdefault("population", trained())

    trained = learn_overfitting.train
    monkeypatch.setattr(learn_overfitting, "train", train)
    run(learn_overfitting)
    losses, ran = kept["population"].history["validation_loss"], kept["population"].epochs_run
    assert list(ran[:3]) == [24, 24, 24] and ran[3] < 24
    np.testing.assert_array_equal(losses[3, : ran[3]], losses[0, : ran[3]])
    assert np.isnan(losses[3, ran[3] :]).all()


def test_a_range_test_finds_a_rate(run: Any, monkeypatch: pytest.MonkeyPatch):
    model = ja.models.mlp((10,))  # compiles fast
    monkeypatch.setattr(learn_rate, "MODEL", model)
    traced, real = {}, learn_rate.sweep

    def sweep(*arguments: Any) -> np.ndarray:
        traced["sweep"] = jax.eval_shape(real, *arguments)  # traced, not compiled: its like is run in the test above
        return np.linspace(2, 1, len(learn_rate.SWEEP))

    monkeypatch.setattr(learn_rate, "sweep", sweep)
    rows = re.findall(r"^\S.*\S +([\d.]+) +[\d.]+$", run(learn_rate), re.MULTILINE)
    fastest, careful, best = map(float, rows)
    assert 0.02 < careful < fastest < 5 and best == 10
    assert traced["sweep"].shape == learn_rate.SWEEP.shape


def test_a_range_test_ends_where_the_loss_is_thrown_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_rate, "BETA", 0.3)
    rates = np.geomspace(1e-4, 10, 60)
    losses = np.where(rates < 1, 2.4 - 1.6 * np.clip(np.log10(rates) + 2, 0, 1), 2.0).astype(np.float32)
    losses[55], losses[57:] = 3.0, np.nan  # a throw from which it falls faster than before, and the end
    found = learn_rate.choose(losses, rates)
    assert len(found.smooth) == 57 and 1e-2 < rates[found.steepest] < 0.2 and found.steepest <= found.lowest


def test_convolutions_read_digits_that_moved(run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_convolution, "EPOCHS", 12)
    text = run(learn_convolution)
    found = {}
    for name in learn_convolution.NETS:
        line = re.search(rf"^{name} .* (\d\.\d+)$", text, re.MULTILINE)
        assert line is not None
        found[name] = float(line[1])
    assert found["convolutions"] > found["dense layers"] + 0.1


def test_moved_pictures_lose_what_leaves_the_frame():
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(learn_convolution.moved(x, 1, 0)[0, :, :, 0], [[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(learn_convolution.moved(x, 0, -1)[0, :, :, 0], [[2, 3, 0], [5, 6, 0], [8, 9, 0]])


def test_to_write_backward_is_to_look_at_the_mirrored_place(run: Any, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"LETTERS": "abcd", "LENGTH": 4, "STRINGS": 800, "TESTED": 50}.items():
        monkeypatch.setattr(learn_attention, name, value)
    found = learn_attention.train("backward")
    assert found.exact > 0.95 and found.shown[:4] == found.shown[:4:-1] and found.shown[4] == ">"
    assert found.maps.shape == (2, 8, 8)
    np.testing.assert_allclose(found.maps.sum(-1), 1, rtol=1e-5)
    assert [learn_attention.most(found.maps, place)[1] for place in range(4)] == [3, 2, 1, 0]
    monkeypatch.setattr(learn_attention, "train", lambda task: found)
    text = run(learn_attention)
    assert f"backward: {found.exact:.1%} of 50 new strings" in text and f"; {found.shown}" in text


def test_what_is_to_be_written_stands_behind_the_mark():
    ids = np.array([[3, 1, 2, 1, 0, 5, 4]], np.int32)
    mark = len(learn_attention.LETTERS)
    assert learn_attention.written(ids, "backward").tolist() == [[3, 1, 2, 1, 0, 5, 4, mark, 4, 5, 0, 1, 2, 1, 3]]
    assert learn_attention.written(ids, "in order").tolist() == [[3, 1, 2, 1, 0, 5, 4, mark, 0, 1, 1, 2, 3, 4, 5]]


def test_a_decoder_writes_backward_what_an_encoder_read(run: Any, monkeypatch: pytest.MonkeyPatch):
    """A small net on short strings of four letters; those of the script are drawn with its figures."""
    settings = {"LETTERS": "abcd", "BEGIN": 4, "END": 5, "SHORTEST": 2, "LONGEST": 4, "STRINGS": 832, "TESTED": 50,
                "EPOCHS": 20, "SHOWN": "bdca"}  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setattr(learn_reversal, name, value)
    net = ja.models.recurrent_encoder_decoder(6, 6, cell="gru", units=24, two_ways=False)  # compiles fast
    found = learn_reversal.train(net)
    assert found.exact > 0.9 and found.said == "acdb." and found.maps.shape == (1, 5, 4)
    np.testing.assert_allclose(found.maps.sum(-1), 1, rtol=1e-5)
    assert found.maps.mean(0)[:4].argmax(1).tolist() == [3, 2, 1, 0]
    monkeypatch.setattr(learn_reversal, "train", lambda model: found)
    text = run(learn_reversal)
    assert len(re.findall(rf"^\w.* {found.parameters:,} +{found.exact:.1%} .* bdca acdb\.$", text, re.MULTILINE)) == 2


def test_what_is_written_backward_ends_where_the_string_begins():
    x, y = learn_reversal.examples(np.array([[3, 1, 2, 0, 0, 0, 0, 0, 9]], np.int32), np.array([3]))
    begin, end = learn_reversal.BEGIN, learn_reversal.END
    assert x["source"].mask.sum() == 3 and x["target"].mask.sum() == y.mask.sum() == 4
    assert x["target"].values[0, :4].tolist() == [begin, 2, 1, 3] and y.values[0, :4].tolist() == [2, 1, 3, end]


def test_gradients_vanish_and_explode_through_time(run: Any, monkeypatch: pytest.MonkeyPatch):
    """By the powers of U where nothing comes in and all is linear, near 0; the trainings are short ones."""
    for name, value in {"DISTANCE": 20, "WIDTH": 16, "EXAMPLES": 4}.items():
        monkeypatch.setattr(learn_recurrence, name, value)
    learn_recurrence.norms.clear_cache()
    params, _ = ja.layers.rnn(16).init(jax.random.key(3), jax.ShapeDtypeStruct((4, 20, 8), np.float32))
    params |= {"bias": np.zeros(16, np.float32), "recurrent_bias": np.zeros(16, np.float32)}
    found = np.asarray(learn_recurrence.norms("rnn", params, np.zeros((21, 4, 8), np.float32)))[::-1]
    way = np.asarray(jax.random.normal(jax.random.key(2), (16,)), np.float64) / 4
    for norm in found:
        np.testing.assert_allclose(norm, np.linalg.norm(way), rtol=1e-4)
        way = np.asarray(params["recurrent"], np.float64) @ way
    for name in ("ADDING", "COPY"):
        setting = getattr(learn_recurrence, name)
        small = {"length": 6, "steps": 50, "units": 4, "batch": 4}
        monkeypatch.setattr(learn_recurrence, name, type(setting)(setting.task, **small))
    monkeypatch.setattr(learn_recurrence, "NAMES", {"gru": "GRU"})
    rows = dict(re.findall(r"^(\w[\w, ]*?) {2,}(?:\S+ +){3}(\S+e\S+)$", run(learn_recurrence), re.MULTILINE))
    assert float(rows["RNN"]) < 1e-3 < 1 < float(rows["RNN, weights x 3"])
    learn_recurrence.norms.clear_cache()


def test_sequences_to_add_and_to_copy():
    x, y = map(np.asarray, learn_recurrence.adding(jax.random.key(0), 200, 7))
    assert x.shape == (200, 7, 2) and set(np.unique(x[..., 1])) == {0, 1}
    assert (x[:, :3, 1].sum(1) == 1).all() and (x[:, 3:, 1].sum(1) == 1).all()
    np.testing.assert_allclose(y[:, 0], x.prod(-1).sum(1), rtol=1e-6)
    assert abs(np.var(y) - learn_recurrence.GUESSED["adding"]) < 0.03 and 0 <= x.min() and x.max() <= 1
    x, y = map(np.asarray, learn_recurrence.copying(jax.random.key(0), 200, 4))
    assert x.shape == y.shape == (200, 14) and set(np.unique(x[:, :5])) == set(range(8))
    assert (x[:, 5:8] == 8).all() and (x[:, 8] == 9).all() and (x[:, 9:] == 8).all()
    np.testing.assert_array_equal(y[:, 9:], x[:, :5])
    assert (y[:, :9] == -1).all()


def test_one_task_from_several_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A GRU learns to add over a few positions, and the training ends there; the figure is that of new sequences."""
    flags = ["--task", "adding", "--length", "8", "--runs", "2", "--cells", "gru", "--steps", "2000"]
    found = learn_recurrence.main([*flags, "--out", str(tmp_path)])
    text = capsys.readouterr().out
    assert found is not None and len(found["gru"]) == 2 and max(found["gru"]) < 0.01
    updates = [int(count.replace(",", "")) for count in re.findall(r"after ([\d,]+) updates", text)]
    assert "GRU: 2 of 2 solved it" in text and max(updates) < 2000 and found["gru"][0] != found["gru"][1]
    assert (tmp_path / "recurrence_adding.png").read_bytes().startswith(b"\x89PNG")
    copied = learn_recurrence.main(["--task", "copy", "--length", "3", "--runs", "1", "--cells", "rnn", "--steps", "50",
                                    "--out", str(tmp_path)])  # fmt: skip
    assert copied is not None and 0 <= copied["rnn"][0] < 0.5
    with pytest.raises(SystemExit):
        learn_recurrence.parse(["--length", "1"])


def test_the_map_of_a_trained_net_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in {"EPOCHS": 2, "ROWS": 100, "BATCH": 2, "BLOCKS": 1, "WIDTH": 4}.items():
        monkeypatch.setattr(learn_map, name, value)
    learn_map.main(["--out", str(tmp_path)])
    text, page = capsys.readouterr().out, (tmp_path / "map.html").read_text(encoding="utf-8")
    assert max(map(len, text.replace(str(tmp_path), "").splitlines())) <= 80 and "map.html" in text
    assert 'id="epoch" min="0" max="2"' in page and "block0.body.dense0" in page
