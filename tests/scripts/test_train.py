"""The training scripts run on a few small pictures, say what they measured, and draw it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from scripts import train_autoencoder, train_char_lm, train_cnn, train_mnist, train_resnet, train_sequence

ROOT = Path(__file__).resolve().parent.parent.parent


def digits(size: int, channels: int) -> ja.data.Dataset:
    """Embedded digits, blown up to pictures of this size and cut to a few; 192 + 64 to train on, 60 to test."""
    data = ja.data.digits()
    times, rest = size // 8, size % 8

    def grown(x: np.ndarray) -> np.ndarray:
        large = np.pad(x.repeat(times, 1).repeat(times, 2), ((0, 0), *2 * ((rest // 2, rest - rest // 2),), (0, 0)))
        return large.repeat(channels, -1)

    return data._replace(x=grown(data.x[:256]), y=data.y[:256], x_test=grown(data.x_test[:60]), y_test=data.y_test[:60])


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a script on small pictures: what it returns, and prints. It has to draw, and to save."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(ja.data, "mnist", lambda folder: digits(28, 1))
    monkeypatch.setattr(ja.data, "cifar10", lambda folder: digits(32, 3))

    def call(script: Any, *flags: str) -> tuple[list[float], str]:
        picture, model = tmp_path / "drawn" / "run.png", tmp_path / "kept" / "model.safetensors"
        common = ["--validation", "64", "--batch-size", "64", "--warmup-epochs", "0.5", "--no-progress"]
        found = script.main([*common, "--plot", str(picture), "--save", str(model), *flags])
        text = capsys.readouterr().out
        assert picture.read_bytes().startswith(b"\x89PNG") and f"drew {picture}" in text
        assert ja.load(model)[1] and f"saved {model}" in text
        picture.unlink()
        model.unlink()
        return found, text

    return call


def test_two_seeds_of_a_perceptron_are_reported_and_averaged(run: Any):
    found, text = run(train_mnist, "--epochs", "4", "--widths", "32", "--runs", "2", "--device", "cpu")
    assert len(found) == 2 and found[0] != found[1] and min(found) > 0.3
    lines = re.findall(r"^seed (\d): trained in \d+ s, validation accuracy \S+ %, test accuracy (\S+) %$", text, re.M)
    assert [(int(seed), float(share)) for seed, share in lines] == [(i, round(100 * f, 2)) for i, f in enumerate(found)]
    low, high = (round(100 * f(found), 2) for f in (min, max))
    assert f"test accuracy, mean of 2 seeds: {100 * np.mean(found):.2f} % ({low:.2f} to {high:.2f})" in text


def test_the_file_runs_by_itself():
    """`python scripts/train_mnist.py`, from another folder: it finds all that it imports."""
    command = [sys.executable, str(ROOT / "scripts" / "train_mnist.py"), "--help"]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "--label-smoothing" in done.stdout, done.stderr


def test_a_device_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch):
    def devices(platform: str) -> list:
        raise RuntimeError(f"no {platform}")

    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(SystemExit, match="--device tpu: no tpu"):
        train_mnist.device(train_mnist.parse(["--device", "tpu"]))


def test_a_convolutional_net_trains(run: Any):
    [found], text = run(train_cnn, "--stages", "4", "8", "--epochs", "1")
    assert 0 <= found <= 1 and f"test accuracy {100 * found:.2f} %" in text


def test_the_default_net_has_its_stages():
    args = train_cnn.parse([])
    model = train_cnn.net(tuple(args.stages), args.stride, 0.5)
    spec = jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32)
    params, state = jax.eval_shape(model.init, jax.random.key(0), spec)
    assert sum(name.startswith("conv") for name in params) == sum(map(len, args.stages))
    assert jax.eval_shape(model.apply, params, state, spec)[0].shape == (2, 10)
    assert train_cnn.build(args, 1000).augment
    assert not train_cnn.build(train_cnn.parse(["--no-augment"]), 1000).augment
    assert train_cnn.parse(["--stages", "8,9", "10"]).stages == [(8, 9), (10,)]


def test_a_residual_net_trains_on_standardized_pictures(run: Any, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def small(depth: int, width: int) -> Any:  # in the place of a net of seven convolutions, which is tried elsewhere
        asked.append((depth, width))
        return ja.layers.sequential(
            {"conv": ja.layers.conv(width, 3, stride=4), "norm": ja.layers.batch_norm(),
             "pool": ja.layers.global_pool(), "out": ja.layers.dense(10)}
        )  # fmt: skip

    monkeypatch.setattr(ja.models, "resnet_cifar", small)
    [found], text = run(train_resnet, "--depth", "8", "--width", "4", "--epochs", "2")
    x = digits(32, 3).x[:192].astype(np.float64)
    mean, deviation = (f(x, (0, 1, 2)) for f in (np.mean, np.std))
    measured = train_resnet.channels(x.astype(np.float32))
    np.testing.assert_allclose(measured[0], mean, rtol=1e-5)
    np.testing.assert_allclose(measured[1], deviation, rtol=1e-5)
    assert f"mean {mean[0]:.4f}" in text and f"deviation {deviation[0]:.4f}" in text and 0 <= found <= 1
    assert set(asked) == {(8, 4)}


def test_the_residual_net_decays_kernels_and_has_nesterov():
    """Without a gradient a kernel moves by rate (1 + momentum) decay w in the first step, a scale not at all."""
    args = train_resnet.parse(["--warmup-epochs", "0", "--epochs", "1"])
    recipe = train_resnet.build(args, 10 * args.batch_size)
    params = {"kernel": jnp.full((2, 2), 3.0), "scale": jnp.ones(2)}
    state = recipe.optimizer.init(params)
    updates, _ = recipe.optimizer.update(jax.tree.map(jnp.zeros_like, params), state, params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 1.9 * 5e-4 * 3, rtol=1e-5)
    assert not np.any(updates["scale"]) and len(recipe.augment) == 2


SETTINGS = [(kind, "--no-conv") for kind in train_autoencoder.CODES]
SETTINGS += [(kind, "--conv") for kind in train_autoencoder.CODES if kind != "contractive"]


@pytest.mark.parametrize(("kind", "conv"), SETTINGS)
def test_each_kind_of_autoencoder_fits_its_loss(kind: str, conv: str):
    args = train_autoencoder.parse(["--kind", kind, conv])
    recipe = train_autoencoder.build(args, 1000)
    x = train_autoencoder.inputs(args, digits(28, 1).x[:3])
    params, state = jax.eval_shape(recipe.model.init, jax.random.key(0), jax.ShapeDtypeStruct(x.shape, x.dtype))

    def values(params: Any, state: Any, x: Any, key: Any) -> Any:
        predictions = recipe.model.apply(params, state, x, key=key, train=True)[0]
        return recipe.loss(predictions, x)

    assert jax.eval_shape(values, params, state, x, jax.random.key(0)).shape[0] == 3


@pytest.mark.parametrize("kind", ("plain", "contractive"))
def test_an_autoencoder_is_measured_by_its_error(run: Any, kind: str):
    flags = ("--kind", kind, "--widths", "16", "--code", "2" if kind == "plain" else "4")
    [found], text = run(train_autoencoder, *flags, "--epochs", "2", "--learning-rate", "0.01")
    assert float(re.findall(r"squared error of a pixel (\S+)$", text, re.M)[0]) == round(found, 5)
    assert 0 < found < 1


def test_a_variational_autoencoder_is_measured_in_nats(run: Any):
    flags = ("--variational", "--widths", "16", "--code", "4", "--samples", "3", "--learning-rate", "0.01")
    [found], text = run(train_autoencoder, *flags, "--epochs", "2")
    bound, estimate = map(float, re.findall(r"(?:ELBO|log p\(x\)) (-\d+\.\d+) nats", text))
    assert bound < estimate and bound == round(found, 2) and -600 < bound < -100


def test_a_convolutional_denoising_autoencoder_is_drawn(run: Any):
    [found], _ = run(train_autoencoder, "--kind", "denoising", "--conv", "--filters", "2", "--epochs", "1")
    assert np.isfinite(found)


def test_kinds_and_codes_by_flag():
    parse = train_autoencoder.parse
    assert parse(["--variational"]).kind == "variational" and parse([]).kind == "plain"
    assert [parse(["--kind", kind]).code for kind in train_autoencoder.CODES] == [*train_autoencoder.CODES.values()]
    with pytest.raises(SystemExit):
        parse(["--kind", "contractive", "--conv"])


def test_pixels_are_drawn_with_their_grey_values():
    x = jnp.broadcast_to(jnp.array([0.0, 0.25, 1.0]), (4000, 3))
    drawn, targets = train_autoencoder.binarize()(jax.random.key(0), x, x)
    assert drawn is targets and set(np.unique(drawn)) == {0.0, 1.0}
    mean = np.mean(drawn, 0)
    assert mean[0] == 0 and mean[2] == 1 and abs(mean[1] - 0.25) < 0.03  # over four deviations


def test_long_codes_are_drawn_by_their_principal_components():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 5)) * [0.1, 5, 0.2, 2, 0.1] + 3
    _, size, directions = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
    expected = (codes - codes.mean(0)) @ directions[:2].T
    np.testing.assert_allclose(np.abs(train_autoencoder.plane(codes)), np.abs(expected), rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(train_autoencoder.plane(codes[:, :2]), codes[:, :2])
    assert train_autoencoder.plane(codes[:, :1]).shape == (200, 2) and size[0] > size[1]


@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_a_language_model_learns_a_rhyme_and_writes_it(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    rhyme = "round and round the garden, like a teddy bear; one step, two step, tickle under there.\n"
    (tmp_path / "rhyme.txt").write_text(rhyme * 60)
    sizes = ["--features", "16", "--heads", "2", "--blocks", "1", "--units", "32", "--context", "20"]
    training = ["--epochs", "8", "--batch-size", "16", "--learning-rate", "0.02", "--no-progress"]
    writing = ["--prompt", "round", "--length", "90", "--temperature", "0.1", "--plot", str(tmp_path / "loss.png")]
    [loss] = train_char_lm.main(["--data", str(tmp_path), "--model", model, *sizes, *training, *writing])
    text = capsys.readouterr().out
    assert loss < 0.6 and f"loss on what is held out {loss:.4f} nats" in text and "epoch" in text
    assert rhyme[:40] in text or rhyme[44:] in text
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="'Q'"):
        train_char_lm.main(["--data", str(tmp_path), "--prompt", "Queen"])
    with pytest.raises(SystemExit, match="has 0"):
        train_char_lm.main(["--data", str(tmp_path / "none")])


SMALL = ("--window", "24", "--patch", "12", "--horizon", "6", "--units", "8", "--epochs", "2", "--no-progress")


@pytest.mark.parametrize("model", train_sequence.MODELS)
def test_a_forecast_is_compared_with_naive_ones(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("matplotlib")
    series = train_sequence.made_up(600)
    monkeypatch.setattr(train_sequence, "made_up", lambda: series)
    picture = tmp_path / "forecast.png"
    [loss] = train_sequence.main(["--model", model, *SMALL, "--plot", str(picture)])
    text = capsys.readouterr().out
    rows = dict(re.findall(r"^(naive|seasonal naive|\w+) +(\S+) +\S+ +\S+%$", text, re.M))
    assert list(rows) == ["naive", "seasonal naive", model] and float(rows[model]) == float(f"{loss:.4g}")
    assert np.isfinite(loss) and picture.read_bytes().startswith(b"\x89PNG")


def test_a_forecast_of_quantiles_beats_the_naive_ones_and_covers_what_it_says(capsys: pytest.CaptureFixture[str]):
    [loss] = train_sequence.main(["--model", "mlp", "--epochs", "8", "--no-progress"])
    rows = re.findall(r"^(.+?) +(\d\S+) +\S+ +(\S+)%$", capsys.readouterr().out, re.M)
    figures = {name: (float(pinball), float(covered)) for name, pinball, covered in rows}
    assert figures["mlp"][0] < 0.9 * figures["seasonal naive"][0] < 0.5 * figures["naive"][0]
    assert all(70 < covered < 90 for _, covered in figures.values()) and loss < 0.75


def test_no_window_sees_what_is_tested():
    """Windows of the series 0, 1, 2, ...: their futures lie in one stretch each, in time, and nothing later is seen."""
    args = train_sequence.parse(["--window", "24", "--horizon", "6", "--season", "30"])
    found = train_sequence.cut(args, np.arange(400.0))
    for windows, (begin, end) in zip(found, ((30, 280), (280, 320), (320, 400)), strict=True):
        assert windows.future.min() == begin and windows.future.max() == end - 1
        np.testing.assert_array_equal(windows.future, windows.first[:, None] + np.arange(6))
        np.testing.assert_array_equal(windows.past, windows.first[:, None] - np.arange(24, 0, -1))
        x, y = train_sequence.scaled(windows, 2.0)
        np.testing.assert_array_equal(x[:, :, 0], np.broadcast_to(np.arange(-23, 1) / 2, (len(x), 24)))
        np.testing.assert_array_equal(y, np.broadcast_to(np.arange(1, 7) / 2, (len(y), 6)))


def test_naive_forecasts_and_their_figures_by_hand():
    series = np.tile([0.0, 1, 5], 40) + np.arange(120)
    args = train_sequence.parse(["--window", "24", "--horizon", "5", "--season", "3"])
    train, _, test = train_sequence.cut(args, series)
    seasonal = train_sequence.naive(series, train, test, 3)  # one season later all is 3 more, of the second 6
    expected = np.repeat(test.future[..., None], 3, -1)
    np.testing.assert_allclose(seasonal, expected, rtol=1e-6)
    last = train_sequence.naive(series, train, test, 1)
    errors = np.quantile(train.future - series[train.first - 1, None], [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(last, series[test.first - 1, None, None] + errors.T)
    forecast, future = np.array([[[0.0, 2, 3]], [[1, 1, 1]]]), np.array([[4.0], [1.0]])
    pinball, error, covered = train_sequence.measure(forecast, future)
    np.testing.assert_allclose((pinball, error, covered), ((0.4 + 1 + 0.9) / 6, 1, 0.5), rtol=1e-6)


def test_a_column_of_a_file_is_read_and_refused(tmp_path: Path):
    path = tmp_path / "load.csv"
    read = train_sequence.read
    path.write_text("\ufeffhour,load\n0,1.5\n1, 2\n2,-3e1\n\n", encoding="utf-8")
    np.testing.assert_array_equal(read(str(path), "load"), [1.5, 2, -30])
    with pytest.raises(SystemExit, match=r"--column: one of 'hour', 'load' is wanted, 'wind' is given"):
        read(str(path), "wind")
    with pytest.raises(SystemExit, match=r"--column: one of 'hour', 'load' is wanted, None"):
        read(str(path), None)
    with pytest.raises(SystemExit, match=r"--data: a .csv file is wanted, '.*none.csv' is none"):
        read(str(tmp_path / "none.csv"), "load")
    for cell in ("", "nan", "inf", "two"):
        path.write_text(f"load\n1\n2\n{cell}\n4\n")
        with pytest.raises(
            SystemExit, match=f"--column load: a finite number is wanted in each row, row 4 has '{cell}'"
        ):
            read(str(path), "load")
    path.write_text("load\n" + "1\n" * 200)
    np.testing.assert_array_equal(read(str(path), None), np.ones(200))
    with pytest.raises(SystemExit, match=r"of 200 values the training part has no window of 168 with 24 behind it"):
        train_sequence.main(["--data", str(path)])
    for wrong in (["--window", "0"], ["--patch", "5"], ["--test-share", "0.95"]):
        with pytest.raises(SystemExit):
            train_sequence.parse(wrong)
