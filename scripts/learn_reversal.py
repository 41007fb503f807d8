"""An encoder reads a string, a decoder writes it backward: by recurrences and by attention alone, at all lengths.

python -m scripts.learn_reversal [--out FOLDER]
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxann as ja
from jaxann.plot.canvas import QUIET
from scripts.picture import begin, folder, frame, save

LETTERS = "abcdefghij"
BEGIN, END = len(LETTERS), len(LETTERS) + 1  # ids that are no letters
SHORTEST, LONGEST = 3, 9
STRINGS, TESTED, EPOCHS, BATCH = 16_000, 500, 12, 64
SHOWN = "badfacejh"  # one of the longest
CONCLUSION = """
Read and written are two sequences, each with its own padding: what stands there
is neither looked at nor learned from. Backward means that the first letter to
be written stands last in the string, wherever that is, so the place to look at
depends on the length, which the encoder has to tell. Both nets find it: a
diagonal from one corner to the other.
"""


class Found(NamedTuple):
    """A trained model, the share of new strings that it writes without a mistake, and where it looks for one."""

    exact: float
    said: str
    maps: np.ndarray  # (heads, letters that are written and the end, letters that are read)
    parameters: int
    seconds: float


def models() -> dict[str, Any]:
    """What reads and writes, small."""
    ids = END + 1
    return {
        "recurrences (LSTM)": ja.models.recurrent_encoder_decoder(ids, ids, units=32),
        "attention alone": ja.models.transformer(
            ids, ids, features=32, heads=2, blocks=1, context=LONGEST + 1, positions="learned"
        ),
    }


def strings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random letters as ids, `(count, LONGEST)`, and how many of each row there are."""
    random = np.random.default_rng(seed)
    lengths = random.integers(SHORTEST, LONGEST + 1, count)
    return random.integers(0, len(LETTERS), (count, LONGEST)).astype(np.int32), lengths


def backward(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What is to be written: the letters from the last one to the first, then the end, and that once more after it."""
    places = lengths[:, None] - 1 - np.arange(LONGEST + 1)
    return np.where(places >= 0, np.take_along_axis(ids, np.maximum(places, 0), 1), END).astype(np.int32)


def examples(ids: np.ndarray, lengths: np.ndarray) -> tuple[Any, Any]:
    """The string and what is written so far, and what comes next at each place."""
    answer = backward(ids, lengths)
    so_far = np.concatenate([np.full((len(ids), 1), BEGIN, np.int32), answer[:, :-1]], 1)
    x = {"source": ja.core.padded(ids, lengths), "target": ja.core.padded(so_far, lengths + 1)}
    return x, ja.core.padded(answer, lengths + 1)


def train(model: Any) -> Found:
    """Trained on what comes next; new strings are written from the beginning, the greatest logit each time."""
    rate = ja.schedules.cosine(1e-2, EPOCHS * (-(-STRINGS // BATCH)), warmup=100)
    optimizer = ja.optimizers.chain(ja.optimizers.clip_by_global_norm(1.0), ja.optimizers.adam(rate))
    recipe, begun = ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer), time.perf_counter()
    data = examples(*strings(STRINGS, 0))
    result = ja.fit(recipe, data, key=jax.random.key(0), epochs=EPOCHS, batch_size=BATCH)
    seconds, tested = time.perf_counter() - begun, strings(TESTED, 1)
    shown = np.array([[LETTERS.index(letter) for letter in SHOWN]], np.int32)
    asked, lengths = np.concatenate([tested[0], shown]), np.append(tested[1], LONGEST)
    prompt = {"source": ja.core.padded(asked, lengths), "target": np.full((len(asked), 1), BEGIN, np.int32)}
    said = ja.train.generate(recipe, result.params, result.state, prompt, length=LONGEST + 1, stop=END)
    *written, said = np.asarray(said)
    right = (np.array(written) == backward(*tested)).all(1)
    so_far = {"source": shown, "target": np.array([[BEGIN, *said[:-1]]], np.int32)}
    maps = ja.diagnose.attention_maps(model, result.params, result.state, so_far)
    [cross] = [np.asarray(found)[0] for name, found in maps.items() if name.endswith(".cross")]
    count = sum(leaf.size for leaf in jax.tree.leaves(result.params))
    return Found(float(right.mean()), text(said), cross, count, seconds)


def text(ids: np.ndarray) -> str:
    """Letters, and a full stop for the end."""
    return "".join((LETTERS + ">.")[i] for i in ids)


def draw(axes: Any, weights: np.ndarray, said: str, title: str) -> Any:
    """What is taken of each letter that is read, for each that is written."""
    image = axes.imshow(weights, cmap="Greys", vmin=0, vmax=1)
    axes.set_xticks(range(len(SHOWN)), SHOWN)
    axes.set_yticks(range(len(said)), said)
    axes.set(xlabel="reads", ylabel="writes")
    frame(axes, title)
    return image


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out = folder(__doc__, arguments)
    nets = models()
    figure = begin(
        9, 5.4, "To write backward", "dark: what the decoder takes of a letter of the string, mean of the heads"
    )
    row = figure.subplots(1, len(nets))
    print(
        f"{STRINGS:,} strings of {SHORTEST} to {LONGEST} letters, {EPOCHS} epochs; {TESTED} new ones to be written.\n"
    )
    print("net                 parameters   right   seconds   an answer")
    for (name, model), axes in zip(nets.items(), row, strict=True):
        found = train(model)
        print(f"{name:<18} {found.parameters:>11,} {found.exact:>7.1%} {found.seconds:>9.0f}   {SHOWN} {found.said}")
        image = draw(axes, found.maps.mean(0), found.said, name[0].upper() + name[1:])
    bar = figure.colorbar(image, ax=row, shrink=0.6, label="share")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET, labelsize=9, length=0)
    bar.ax.yaxis.label.set(color=QUIET, fontsize=9)
    print(CONCLUSION)
    save(figure, out, "reversal")


if __name__ == "__main__":
    main()
