r"""Gradients through time in a plain recurrent net, an LSTM and a GRU, and what each of them learns to remember.

    python -m scripts.learn_recurrence [--out FOLDER]
    python -m scripts.learn_recurrence --task adding --length 200 --runs 5
    python -m scripts.learn_recurrence --task copy --length 50 --cells lstm --units 64 --learning-rate 5e-3 \
        --forget-bias 5

Without --task: gradients before any training, and both tasks at a length that takes a minute. With --task that one
alone, from several starts, measured on new sequences. Adding (Hochreiter and Schmidhuber 1997): of many values two are
marked, and their sum is wanted at the end. Copy (the same; Arjovsky et al. 2016): symbols, many blanks, a sign, and the
symbols are wanted again.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.core.augmentation import Augment
from jaxann.core.factories import factory
from jaxann.plot.canvas import QUIET
from jaxann.train.recipe import Recipe
from scripts.picture import AMBER, BLUE, GREEN, ORANGE, PINK, ROOT, begin, key, lines, save

ROUND, TESTED = 25, 1000  # updates between two looks, new sequences at the end
SYMBOLS, COPIED = 8, 5  # of the copy task: how many there are, and how many are to be remembered
DISTANCE, WIDTH, INPUTS, EXAMPLES = 100, 64, 8, 32  # of the gradients: positions, units, features, sequences
LAYERS = {"rnn": ja.layers.rnn, "lstm": ja.layers.lstm, "gru": ja.layers.gru}
NAMES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
COLOURS = {"rnn": ORANGE, "lstm": BLUE, "gru": GREEN}
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
CONCLUSION = """
From position to position the gradient of a plain net is multiplied by the same
matrix and by slopes of tanh: it vanishes or explodes by the power of the
distance, and orthogonal weights only put that off. A gate that is open hands on
what is in the cell as it is; the forget bias of an LSTM says how open it is at
first. Clipping shortens a step that would have thrown the net out (dashed:
without); it brings back nothing that has vanished.
"""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained, and how."""

    task: str
    length: int
    steps: int
    units: int = 32
    batch: int = 32
    rate: float = 1e-2
    clip: float = 1.0
    forget_bias: float = 1.0


ADDING, COPY = Setting("adding", 50, 900), Setting("copy", 20, 900)


class Course(NamedTuple):
    """One training."""

    recipe: Recipe
    result: Any
    seconds: float
    solved: float  # the loss of a round that is enough

    @property
    def losses(self) -> np.ndarray:
        """The mean loss of each round, on sequences that were new when they came, to the first that is solved.

        A few rounds more are run: training ends between two chunks of them, whose length is a matter of time.
        """
        found = self.result.history["loss"]
        below = np.flatnonzero(found < self.solved)
        return found[: below[0] + 1] if len(below) else found


def adding(key: Any, examples: int, length: int) -> tuple[Any, Any]:
    """Values in [0, 1), each with a mark: 1 in one place of each half, else 0. And the sum of the two marked ones."""
    of_values, of_first, of_second = jax.random.split(key, 3)
    values, half = jax.random.uniform(of_values, (examples, length)), length // 2
    first = jax.random.randint(of_first, (examples,), 0, half)
    second = jax.random.randint(of_second, (examples,), half, length)
    marks = jax.nn.one_hot(first, length) + jax.nn.one_hot(second, length)
    return jnp.stack([values, marks], -1), jnp.sum(values * marks, 1, keepdims=True)


def copying(key: Any, examples: int, length: int) -> tuple[Any, Any]:
    """Symbols, `length` - 1 blanks, a sign, and blanks. And the symbols, in the last places; -1 counts for nothing."""
    symbols = jax.random.randint(key, (examples, COPIED), 0, SYMBOLS)
    blanks = jnp.full((examples, length + COPIED), SYMBOLS).at[:, length - 1].set(SYMBOLS + 1)
    nothing = jnp.full((examples, length + COPIED), -1)
    return jnp.concatenate([symbols, blanks], 1), jnp.concatenate([nothing, symbols], 1)


TASKS = {"adding": adding, "copy": copying}
GUESSED = {"adding": 1 / 6, "copy": math.log(SYMBOLS)}  # the loss without having remembered anything
NO_CLIP = 1e9
SOLVED = {"adding": 0.003, "copy": 0.002}  # a loss of a round that ends the training


@factory(Augment, static=("task", "length"))
def fresh(task: str, length: int):
    """New sequences in the place of those that come in, so that none is met twice."""

    def change(key, x, y, example_mask):
        return TASKS[task](key, len(x), length)

    return change


def build(name: str, setting: Setting) -> Recipe:
    """A net with that cell, and adam behind a clip of the gradient's norm."""
    forget = {"forget_bias": setting.forget_bias} if name == "lstm" else {}
    cell = LAYERS[name](setting.units, **forget)
    if setting.task == "adding":
        layers = {"cell": cell, "last": ja.layers.last_position(), "out": ja.layers.dense(1)}
        loss = ja.losses.squared_error
    else:
        embed = ja.layers.embedding(SYMBOLS + 2, SYMBOLS + 2)
        layers = {"embed": embed, "cell": cell, "out": ja.layers.dense(SYMBOLS)}
        loss = functools.partial(ja.losses.softmax_cross_entropy, ignore_index=-1)
    optimizer = ja.optimizers.chain(ja.optimizers.clip_by_global_norm(setting.clip), ja.optimizers.adam(setting.rate))
    new = fresh(setting.task, setting.length)
    return ja.recipe(ja.layers.sequential(layers), loss, optimizer, augment=new, shuffle=False)


def train(name: str, setting: Setting, start: int = 0) -> Course:
    """From one start, for so many steps or until a round is solved."""
    recipe, begun, enough = build(name, setting), time.perf_counter(), SOLVED[setting.task]

    def solved(moment: ja.train.Moment) -> bool:
        return bool((moment.rows["loss"] < enough).any())

    result = ja.fit(
        recipe,
        TASKS[setting.task](jax.random.key(0), setting.batch * ROUND, setting.length),
        key=jax.random.key(start),
        epochs=setting.steps // ROUND,
        batch_size=setting.batch,
        observers=(solved,),
    )
    return Course(recipe, result, time.perf_counter() - begun, enough)


def measure(course: Course, setting: Setting) -> float:
    """On new sequences: the mean squared error of the sum, or the share of sequences copied without a mistake."""
    x, y = TASKS[setting.task](ja.core.fold_name(jax.random.key(0), "tested"), TESTED, setting.length)
    said = ja.predict(course.recipe, course.result.params, course.result.state, x)
    if setting.task == "adding":
        return float(jnp.mean((said - y) ** 2))
    return float(jnp.mean((jnp.argmax(said, -1) == y)[:, -COPIED:].all(1)))


def cells() -> dict[str, tuple[str, dict[str, Any], str, str]]:
    """Untrained layers: the kind, its arguments, and how it is drawn."""
    initializers, bound = ja.initializers, 3 / math.sqrt(WIDTH)
    return {
        "RNN": ("rnn", {}, ORANGE, "-"),
        "RNN, orthogonal": ("rnn", {"recurrent_init": initializers.orthogonal()}, AMBER, "-"),
        "RNN, weights x 3": ("rnn", {"recurrent_init": initializers.uniform(-bound, bound)}, PINK, "-"),
        "LSTM": ("lstm", {}, BLUE, "--"),
        "LSTM, forget bias 1": ("lstm", {"forget_bias": 1.0}, BLUE, "-"),
        "GRU": ("gru", {}, GREEN, "-"),
    }


def gradients(kind: str, given: dict[str, Any]) -> np.ndarray:
    """`(DISTANCE + 1,)`: mean norm of dL/d(state), nearest first; L is a random direction of the last h.

    The state is all that the cell carries, h and c of an LSTM. Its gradient is that of a 0 which is added to it.
    """
    x = jax.random.normal(jax.random.key(1), (DISTANCE + 1, EXAMPLES, INPUTS))
    spec = jax.ShapeDtypeStruct((EXAMPLES, DISTANCE + 1, INPUTS), x.dtype)
    params, _ = LAYERS[kind](WIDTH, **given).init(jax.random.key(0), spec)
    return np.asarray(norms(kind, params, x))[::-1]


@functools.partial(jax.jit, static_argnums=0)
def norms(kind: str, params: Any, x: Any) -> Any:
    """Of each position, the first one first."""
    layer = LAYERS[kind](WIDTH)
    start = layer.start(params, EXAMPLES)
    direction = jax.random.normal(jax.random.key(2), (WIDTH,)) / math.sqrt(WIDTH)

    def last(added: Any) -> Any:
        def one(carry: Any, given: Any) -> tuple[Any, None]:
            _, carry = layer.step(params, carry, given[0])
            return jax.tree.map(jnp.add, carry, given[1]), None

        carry, _ = jax.lax.scan(one, start, (x, added))
        return jnp.sum(jax.tree.leaves(carry)[0] @ direction)

    nothing = jax.tree.map(lambda leaf: jnp.zeros((DISTANCE + 1, *leaf.shape), leaf.dtype), start)
    squares = [jnp.sum(leaf**2, -1) for leaf in jax.tree.leaves(jax.grad(last)(nothing))]
    return jnp.sqrt(sum(squares)).mean(1)


def draw(axes: Any, course: Course, name: str, style: str = "-", **look: Any) -> None:
    """The loss of each round over the updates."""
    updates = ROUND * np.arange(1, len(course.losses) + 1)
    axes.plot(updates, course.losses, style, color=COLOURS[name], **{"linewidth": 1.6, **look})


def frame_losses(axes: Any, task: str, title: str) -> None:
    """Axes for those curves, with the loss of a guess."""
    guess = GUESSED[task]
    lines(axes, title, "update")
    axes.axhline(guess, color=QUIET, linewidth=1, linestyle=":")
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right", "va": "bottom"}
    axes.annotate("guessing", (1, guess), (0, 11), color=QUIET, fontsize=9, bbox=BEHIND, **place)
    axes.set(ylim=(0, 1.25 * guess), xlim=(0, None))


def everything(out: Path) -> None:
    """Gradients before training; adding with and without a clip; copy."""
    note = f"before training: {WIDTH} units, random inputs; trained: {ADDING.units} units, adam at {ADDING.rate}"
    figure = begin(13.5, 5, "What a recurrent net remembers", f"{note}; dashed: gradients not clipped")
    left, *right = figure.subplots(1, 3)
    distances = (1, DISTANCE // 10, DISTANCE // 2, DISTANCE)
    print("Gradient by the state so many positions before the end, over that by the last\nstate, untrained.\n")
    print(f"{'net':<20}" + "".join(f"{distance:>10}" for distance in distances))
    for name, (kind, given, color, style) in cells().items():
        found = gradients(kind, given)
        found = found / found[0]
        print(f"{name:<20}" + "".join(f"{found[distance]:>10.1e}" for distance in distances))
        left.plot(np.where(found > 0, found, np.nan), style, color=color, linewidth=1.8, label=name)
    left.set(yscale="log", ylim=(1e-14, 1e14))
    lines(left, "Gradient, before training", "positions before the end")
    key(left, loc="upper left")
    columns = {
        f"adding {ADDING.length}": ADDING,
        "without a clip": dataclasses.replace(ADDING, clip=NO_CLIP),
        f"copy over {COPY.length}": COPY,
    }
    print("\nLoss of the last 25 updates, on sequences that are new, and updates until then.\n")
    print(f"{'net':<8}" + "".join(f"{column:>22}" for column in columns))
    guesses = "".join(f"{GUESSED[setting.task]:>15.3f}{'':>7}" for setting in columns.values())
    print(f"{'guess':<8}{guesses}".rstrip())
    for name in NAMES:
        courses = [train(name, setting) for setting in columns.values()]
        told = [f"{course.losses[-1]:>15.3f}{len(course.losses) * ROUND:>7,}" for course in courses]
        print(f"{NAMES[name]:<8}" + "".join(told))
        draw(right[0], courses[0], name, label=NAMES[name])
        draw(right[0], courses[1], name, "--")
        draw(right[1], courses[2], name, label=NAMES[name])
    for axes, setting, title in zip(right, (ADDING, COPY), ("Adding", "Copy"), strict=True):
        frame_losses(axes, setting.task, f"{title} over {setting.length} positions, loss")
    key(right[0], loc="center right")
    print(CONCLUSION)
    save(figure, out, "recurrence")


def one_task(args: argparse.Namespace) -> dict[str, list[float]]:
    """Several starts of each cell, each measured on new sequences: that figure."""
    setting = Setting(args.task, args.length, args.steps, args.units, args.batch_size, args.learning_rate,
                      args.clip or NO_CLIP, args.forget_bias)  # fmt: skip
    what = {"adding": "squared error", "copy": "copied whole"}[args.task]
    title = f"{args.task.capitalize()} over {args.length} positions"
    note = f"{args.runs} starts of each, {args.units} units, {args.batch_size} new sequences an update"
    figure = begin(9, 5, title, note)
    axes, found = figure.subplots(), {}
    for name in args.cells:
        found[name] = []
        for start in range(args.runs):
            course = train(name, setting, start)
            found[name].append(measure(course, setting))
            draw(axes, course, name, label=None if start else NAMES[name], alpha=0.8, linewidth=1.1)
            updates = course.result.epochs_run * ROUND
            print(f"{NAMES[name]}, start {start}: {what} {found[name][-1]:.4f} after {updates:,} updates, "
                  f"{course.seconds:.0f} s", flush=True)  # fmt: skip
        count = sum(figure < 0.01 if args.task == "adding" else figure > 0.99 for figure in found[name])
        print(f"{NAMES[name]}: {count} of {args.runs} solved it")
    frame_losses(axes, args.task, "Loss of each 25 updates")
    key(axes, loc="center right")
    save(figure, args.out, f"recurrence_{args.task}")
    return found


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=shown)
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "out" / "learn", help="folder for the picture")
    add("--task", choices=tuple(TASKS), help="this one alone, from several starts; without it everything, small")
    add("--length", type=int, default=200, help="positions: of all values, or from the symbols to the sign")
    add("--runs", type=int, default=5, metavar="N", help="starts of each cell")
    add("--cells", nargs="+", choices=tuple(LAYERS), default=list(LAYERS), help="which")
    add("--steps", type=int, default=6000, help="updates, where it is not solved before")
    add("--units", type=int, default=32, help="of the recurrent layer")
    add("--batch-size", type=int, default=32, help="sequences an update")
    add("--learning-rate", type=float, default=1e-2, help="of adam")
    add("--clip", type=float, default=1.0, metavar="NORM", help="greatest norm of a gradient; 0 for no clip")
    add("--forget-bias", type=float, default=1.0, help="of the LSTM")
    args = parser.parse_args(arguments)
    for name, low in (("length", 2), ("runs", 1), ("steps", ROUND), ("units", 1), ("batch_size", 1)):
        if getattr(args, name) < low:
            parser.error(f"--{name.replace('_', '-')}: at least {low} is wanted, {getattr(args, name)} is given")
    return args


def main(arguments: list[str] | None = None) -> dict[str, list[float]] | None:
    """Everything, or one task; of one task the figure of each start by the cell's name."""
    args = parse(arguments)
    return one_task(args) if args.task else everything(args.out)


if __name__ == "__main__":
    main()
