"""Where attention looks: a small transformer writes a string backward, and another one in alphabetical order.

python -m scripts.learn_attention [--out FOLDER]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import QUIET
from scripts.picture import ORANGE, begin, folder, frame, save

LETTERS, MARK = "abcdefghij", ">"
LENGTH, STRINGS, TESTED, EPOCHS, BATCH = 7, 4000, 500, 30, 64
BLOCKS, HEADS = 1, 2
TASKS = {"backward": lambda ids: ids[:, ::-1], "in order": lambda ids: np.sort(ids, 1)}
CONCLUSION = """
A place takes what it writes from where its query finds its key. To write
backward it has to look at one place of the string, whatever stands there: the
same diagonal for every string. To write in order it has to look for letters:
those to come next, wherever they stand, so each string has a picture of its
own. Nobody told the heads where to look, only what was to be written.
"""


class Found(NamedTuple):
    """A trained model, the share of new strings that it writes without a mistake, and one of them with its maps."""

    exact: float
    shown: str
    maps: np.ndarray  # (heads, queries, keys), those of all blocks


def strings(count: int, seed: int) -> np.ndarray:
    """Random letters as ids, `(count, LENGTH)`."""
    return np.random.default_rng(seed).integers(0, len(LETTERS), (count, LENGTH)).astype(np.int32)


def written(ids: np.ndarray, task: str) -> np.ndarray:
    """The strings, the mark, and what is to be written behind it."""
    return np.concatenate([ids, np.full((len(ids), 1), len(LETTERS), np.int32), TASKS[task](ids)], 1)


def train(task: str) -> Found:
    """Trained on what comes next at each place behind the mark; the letters before it count for nothing."""
    whole, tested = written(strings(STRINGS, 0), task), strings(TESTED, 1)
    weights = np.zeros((STRINGS, 2 * LENGTH), np.float32)
    weights[:, LENGTH:] = 1
    model = ja.models.gpt(len(LETTERS) + 1, features=32, heads=HEADS, blocks=BLOCKS, context=2 * LENGTH)
    rate = ja.schedules.cosine(5e-3, EPOCHS * (-(-STRINGS // BATCH)), warmup=100)
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(rate))
    data = (whole[:, :-1], whole[:, 1:], weights)
    result = ja.fit(recipe, data, key=jax.random.key(0), epochs=EPOCHS, batch_size=BATCH)
    prompt = written(tested, task)[:, : LENGTH + 1]
    said = np.asarray(ja.train.generate(recipe, result.params, result.state, prompt, length=LENGTH))
    right = (said == TASKS[task](tested)).all(1)
    one = np.concatenate([prompt, said], 1)[:1]
    maps = ja.diagnose.attention_maps(model, result.params, result.state, one[:, :-1])
    heads = np.concatenate([np.asarray(layer)[0] for layer in maps.values()])
    return Found(float(right.mean()), "".join((LETTERS + MARK)[i] for i in one[0]), heads)


def most(maps: np.ndarray, place: int) -> tuple[int, int, float]:
    """The head that is surest at a place of the answer, where it looks, and how much of it."""
    shares = maps[:, LENGTH + place]
    head, where = np.unravel_index(shares.argmax(), shares.shape)
    return int(head), int(where), float(shares[head, where])


def draw(axes: Any, weights: np.ndarray, text: str, title: str) -> Any:
    """What each place that writes takes of each place before it; around each place that holds what is written."""
    image = axes.imshow(weights[LENGTH:], cmap="Greys", vmin=0, vmax=1)
    for row, letter in enumerate(text[LENGTH + 1 :]):
        for column in (i for i, other in enumerate(text[:LENGTH]) if other == letter):
            axes.plot(*box(row, column), color=ORANGE, linewidth=1.4)
    axes.set_xticks(range(2 * LENGTH), text[:-1])
    axes.set_yticks(range(LENGTH), text[LENGTH + 1 :])
    axes.set(xlabel="looks at", ylabel="writes")
    frame(axes, title)
    return image


def box(row: int, column: int) -> np.ndarray:
    """The corners of a square of the picture, `(2, 5)`."""
    return np.array([[column], [row]]) + 0.46 * np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]])


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    note = "dark: what is taken of a place. Orange: where the letter stands that is written"
    figure = begin(11, 6.6, "Where attention looks", note)
    rows = figure.subplots(len(TASKS), BLOCKS * HEADS, squeeze=False)
    print(f"{STRINGS:,} strings of {LENGTH} letters, {EPOCHS} epochs; {BLOCKS} block, {HEADS} heads.")
    for task, row in zip(TASKS, rows, strict=True):
        found = train(task)
        print(f"\n{task}: {found.exact:.1%} of {TESTED} new strings without a mistake; {found.shown}\n")
        print("writes   looks most at   in place   share   head")
        for place in range(LENGTH):
            head, where, share = most(found.maps, place)
            letter, at = found.shown[LENGTH + 1 + place], found.shown[where]
            print(f"{letter:^6} {at:>11} {where + 1:>12} {share:>9.2f} {head + 1:>5}")
        for head, axes in enumerate(row):
            image = draw(axes, found.maps[head], found.shown, f"{task.capitalize()}, head {head + 1}")
    bar = figure.colorbar(image, ax=rows, shrink=0.6, label="share")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET, labelsize=9, length=0)
    bar.ax.yaxis.label.set(color=QUIET, fontsize=9)
    print(CONCLUSION)
    save(figure, out, "attention")


if __name__ == "__main__":
    main()
