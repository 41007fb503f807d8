"""Forecast a time series with its uncertainty: the next values, as three quantiles, from a window of the past.

    python -m scripts.train_sequence --plot out/forecast.png
    python -m scripts.train_sequence --data FILE.csv --column load --season 24 --model lstm

Without --data a series of hours is made up: a trend, a day, a week, and noise that is greater by day. It is cut in
time: the end is tested on, the part before it chooses the epoch, and what scales the values is measured on the rest
alone. The forecasts it is compared with are the last value, and the value a season ago, each with the quantiles that
its errors had in training.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxann as ja
from jaxann.plot.canvas import INK, QUIET, new_figure
from jaxann.train.recipe import Recipe
from scripts.picture import AMBER, BLUE, ORANGE, key, lines
from scripts.train_mnist import adamw, compute_dtype, device, flags, run_each, summarize, write

LEVELS = (0.1, 0.5, 0.9)
MADE_UP = 24 * 7 * 26  # hours
DAY, WEEK = 24, 168
MODELS = ("gru", "lstm", "convolutions", "mlp")


class Windows(NamedTuple):
    """Windows of the past and what came next, in the series' own unit."""

    past: np.ndarray  # (windows, window)
    future: np.ndarray  # (windows, horizon)
    first: np.ndarray  # (windows,), the place of each future in the series


class Figures(NamedTuple):
    """What a forecast of quantiles is worth."""

    pinball: float
    error: float  # mean absolute error of the median
    covered: float  # share of values between the outer quantiles


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    text = "Train a forecast of quantiles of a time series and compare it with naive forecasts."
    defaults = {"epochs": 20, "batch_size": 64, "learning_rate": 3e-3, "warmup_epochs": 0.5, "weight_decay": 1e-3}
    parser = flags(text, "series", "one .csv", **defaults)
    parser.set_defaults(data=None, validation=None)
    for action in parser._actions:
        if action.dest in ("validation", "no_test"):  # shares of the series, below; the test part is what is measured
            action.help = argparse.SUPPRESS
        elif action.dest == "data":
            action.metavar, action.help = "FILE", "a .csv with a line of names; without it a series is made up"
    add = parser.add_argument
    add("--column", metavar="NAME", help="of the file; may be left out where it has one")
    add("--model", choices=MODELS, default="gru", help="what reads the window")
    add("--window", type=int, default=WEEK, help="values that are looked back on")
    add("--patch", type=int, default=DAY, metavar="N", help="values that gru and lstm read at a time")
    add("--horizon", type=int, default=DAY, help="values that are forecast")
    add("--season", type=int, metavar="N", help="values from one season to the next; a week of the series made up")
    add("--units", type=int, default=48, help="of the recurrent, convolutional or dense layers")
    add("--dropout", type=float, default=0.0, help="probability before the last layer; it widens the quantiles")
    add("--validation-share", type=float, default=0.1, help="of the series, before the test part, for the best epoch")
    add("--test-share", type=float, default=0.2, help="of the series, at its end")
    args = parser.parse_args(arguments)
    for name in ("window", "patch", "horizon", "season", "units"):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f"--{name}: at least 1 is wanted, {value} is given")
    if args.window % args.patch:
        parser.error(f"--patch: a divisor of the window of {args.window} is wanted, {args.patch} is given")
    shares = args.validation_share, args.test_share
    if min(shares) <= 0 or sum(shares) >= 1:
        parser.error(f"--validation-share and --test-share: above 0 and together below 1, {shares} are given")
    if args.data is None:
        args.season = WEEK if args.season is None else args.season
    return args


def made_up(count: int = MADE_UP, seed: int = 0) -> np.ndarray:
    """Hours of something that grows, is greater by day and less on weekends, with noise that lasts some hours."""
    random, hours = np.random.default_rng(seed), np.arange(count)
    day = np.sin(2 * np.pi * (hours - 8) / DAY) + 0.4 * np.sin(4 * np.pi * (hours - 5) / DAY)
    weekend = hours // DAY % 7 >= 5
    noise = random.normal(size=count) * (1 + 0.6 * np.sin(2 * np.pi * (hours - 8) / DAY))
    for i in range(1, count):
        noise[i] += 0.8 * noise[i - 1]
    return 100 + 0.01 * hours + np.where(weekend, 6, 14) * day - 8 * weekend + 1.2 * noise


def read(path: str, column: str | None) -> np.ndarray:
    """A column of a .csv whose first line has the names.

    Raises:
        SystemExit: there is no such file or column, or a value is no number; the message says where.
    """
    if not Path(path).is_file():
        raise SystemExit(f"--data: a .csv file is wanted, {path!r} is none")
    with open(path, newline="", encoding="utf-8-sig") as file:
        names, *rows = list(csv.reader(file)) or [[]]
    while rows and not rows[-1]:  # empty lines at the end; one before it is a value that is not there
        rows.pop()
    names = [name.strip() for name in names]
    if column is None and len(names) == 1:
        column = names[0]
    if names.count(str(column)) != 1:
        raise SystemExit(f"--column: one of {', '.join(map(repr, names))} is wanted, {column!r} is given")
    place, values = names.index(str(column)), np.empty(len(rows))
    for i, row in enumerate(rows):
        cell = row[place].strip() if place < len(row) else ""
        try:
            values[i] = float(cell)
        except ValueError:
            values[i] = np.nan
        if not np.isfinite(values[i]):
            raise SystemExit(f"--column {column}: a finite number is wanted in each row, row {i + 2} has {cell!r}")
    return values


def cut(args: argparse.Namespace, series: np.ndarray) -> tuple[Windows, Windows, Windows]:
    """Windows to train on, to choose by and to test: those whose future lies in that stretch of time.

    Raises:
        SystemExit: a stretch is too short for one window.
    """
    test = len(series) - round(args.test_share * len(series))
    validation = test - round(args.validation_share * len(series))
    bounds, found = (max(args.window, args.season or 0), validation, test, len(series)), []
    for name, (begin, end) in zip(("training", "validation", "test"), itertools.pairwise(bounds), strict=True):
        count = end - begin - args.horizon + 1
        if count < 1:
            raise SystemExit(
                f"--data: a longer series is wanted: of {len(series):,} values the {name} part has no window of "
                f"{args.window} with {args.horizon} behind it"
            )
        first = begin + np.arange(count)
        past = series[first[:, None] + np.arange(-args.window, 0)]
        found.append(Windows(past, series[first[:, None] + np.arange(args.horizon)], first))
    return found[0], found[1], found[2]


def scaled(windows: Windows, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """As the model takes them: less the last value of the past, so that a trend is none, over the scale."""
    last = windows.past[:, -1:]
    x, y = (((part - last) / scale).astype(np.float32) for part in (windows.past, windows.future))
    return x[..., None], y


def net(args: argparse.Namespace) -> ja.layers.Layer:
    """From `(windows, window, 1)` to `(windows, horizon, levels)`."""
    layers = ja.layers
    body: dict[str, ja.layers.Layer] = {}
    if args.model == "mlp":
        body = {
            "flat": layers.flatten(),
            "mlp": ja.models.mlp((args.units, args.units)),
            "act": layers.elementwise("relu"),
        }
    elif args.model == "convolutions":  # each looks twice as far back as the one before, and never ahead
        for i in range(max(1, (args.window - 1).bit_length() - 1)):
            body[f"conv{i}"] = layers.conv(args.units, (3,), padding=((2 ** (i + 1), 0),), dilation=2**i)
            body[f"act{i}"] = layers.elementwise("relu")
        body["last"] = layers.last_position()
    else:
        body = {"patches": layers.reshape((args.window // args.patch, args.patch))}
        body[args.model] = {"gru": layers.gru, "lstm": layers.lstm}[args.model](args.units)
        body["last"] = layers.last_position()
    if args.dropout:
        body["drop"] = layers.dropout(args.dropout)
    body["out"] = layers.dense(args.horizon * len(LEVELS))
    return layers.sequential({**body, "levels": layers.reshape((args.horizon, len(LEVELS)))})


def build(args: argparse.Namespace, examples: int) -> Recipe:
    """The recipe for these flags: the pinball loss of all quantiles, the best epoch kept."""
    return ja.recipe(
        net(args),
        functools.partial(ja.losses.quantile, q=LEVELS),
        adamw(args, examples),
        stopping=ja.train.early_stopping(None),
        compute_dtype=compute_dtype(args),
    )


def naive(series: np.ndarray, train: Windows, test: Windows, season: int) -> np.ndarray:
    """`(windows, horizon, levels)`: the value a season ago (the last for 1), with the errors' quantiles in training."""
    ahead = np.arange(test.future.shape[1])
    back = ahead % season - season  # the last season there is, again and again

    def point(windows: Windows) -> np.ndarray:
        return series[windows.first[:, None] + back]

    errors = np.quantile(train.future - point(train), LEVELS, axis=0)
    return point(test)[..., None] + errors.T


def losses(forecast: np.ndarray, future: np.ndarray) -> np.ndarray:
    """The pinball loss of each quantile, of the forecast's shape."""
    return np.asarray(ja.losses.quantile(np.float32(forecast), np.float32(future), q=LEVELS))


def measure(forecast: np.ndarray, future: np.ndarray) -> Figures:
    """Means over all windows and all that is forecast."""
    pinball = losses(forecast, future)
    covered = (forecast[..., 0] <= future) & (future <= forecast[..., -1])
    return Figures(float(pinball.mean()), float(np.abs(forecast[..., 1] - future).mean()), float(covered.mean()))


def row(name: str, figures: Figures) -> str:
    """A line of the table."""
    return f"{name:<16}{figures.pinball:>10.4g}{figures.error:>22.4g}{figures.covered:>22.1%}"


def draw(args: argparse.Namespace, test: Windows, forecasts: dict[str, np.ndarray]) -> None:
    """A stretch of the test part with the forecasts made at each horizon's begin, and the loss by the distance."""
    ours, count = forecasts[args.model], min(7, -(-len(test.first) // args.horizon))
    figure = new_figure("report", 12, 6.4)
    above, below = figure.subplots(2, 1, height_ratios=(1.5, 1))
    for i in range(count):
        window = min(i * args.horizon, len(test.first) - 1)
        places = test.first[window] + np.arange(args.horizon)
        low, median, high = ours[window].T
        now, band, middle, came = ("from here", "80 % interval", "median", "what came") if not i else [None] * 4
        above.axvline(places[0] - 0.5, color=QUIET, linewidth=0.8, linestyle=":", label=now)
        above.fill_between(places, low, high, color=BLUE, alpha=0.2, linewidth=0, label=band)
        above.plot(places, median, color=BLUE, linewidth=1.8, label=middle)
        above.plot(places, test.future[window], color=INK, linewidth=1.1, label=came)
    ahead, colours = np.arange(1, args.horizon + 1), {"naive": ORANGE, "seasonal naive": AMBER, args.model: BLUE}
    for name, forecast in forecasts.items():
        pinball = losses(forecast, test.future).mean((0, 2))
        below.plot(ahead, pinball, "o-", color=colours[name], linewidth=1.8, markersize=3, label=name)
    lines(above, f"Forecasts of {args.horizon} values by {args.model}, one after the other", "place in the series")
    lines(below, "Pinball loss by the distance", "values ahead")
    below.set_ylim(0, None)
    above.margins(x=0.01, y=0.15)  # room for the key
    key(above, loc="upper left", ncols=4)
    key(below, loc="upper left")
    write(figure, args.plot)


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, compare, and return each seed's pinball loss on the test part."""
    args = parse(arguments)
    series = made_up() if args.data is None else read(args.data, args.column)
    train, validation, test = cut(args, series)
    scale = float(series[: train.first[-1] + args.horizon].std()) or 1.0
    baselines = {"naive": naive(series, train, test, 1)}
    if args.season is not None:
        baselines["seasonal naive"] = naive(series, train, test, args.season)
    print(f"{len(series):,} values; windows to train on {len(train.first):,}, to choose the epoch by "
          f"{len(validation.first):,}, to test {len(test.first):,}\n")  # fmt: skip
    print("forecast           pinball   error of the median   in the 80 % interval")
    for name, forecast in baselines.items():
        print(row(name, measure(forecast, test.future)))
    recipe = build(args, len(train.first))

    def report(seed: int, result: Any) -> tuple[float | None, str]:
        x, _ = scaled(test, scale)
        said = np.asarray(ja.predict(recipe, result.params, result.state, x), np.float64)
        forecast = np.sort(said, -1) * scale + test.past[:, -1:, None]  # quantiles that crossed, put in order
        figures = measure(forecast, test.future)
        print(row(args.model, figures))
        if seed == 0 and args.plot:
            draw(args, test, {**baselines, args.model: forecast})
        return figures.pinball, f", best epoch {result.best_epoch + 1}"

    with device(args):
        found = run_each(args, recipe, scaled(train, scale), scaled(validation, scale), report)
    summarize(args, "pinball loss", found)
    return found


if __name__ == "__main__":
    main()
