"""What a convolution sees: edges by hand, the kernels that a small net learns, their maps, and digits moved by a pixel.

python -m scripts.learn_convolution [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.core.trees import count
from jaxann.plot.canvas import INK
from scripts.picture import BLUE, ORANGE, begin, folder, frame, key, lines, save

EPOCHS, KERNELS = 60, 8
EDGES = {  # kernels written by hand: what is right of a place less what is left of it, and below less above
    "upright edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32) / 4,
    "level edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32) / 4,
}
NETS = {
    "convolutions": ja.layers.sequential(
        {
            "conv0": ja.layers.conv(KERNELS, 3),
            "act0": ja.layers.elementwise("relu"),
            "conv1": ja.layers.conv(16, 3),
            "act1": ja.layers.elementwise("relu"),
            "pool": ja.layers.global_pool(kind="max"),
            "out": ja.layers.dense(10),
        }
    ),
    "dense layers": ja.layers.sequential({"flat": ja.layers.flatten(), "mlp": ja.models.mlp((20, 10))}),
}
CONCLUSION = """
A kernel is a small pattern laid on every place of the picture; its map is dark
where the picture looks like it. The same few weights serve all places, so a
digit that moves makes the same maps, moved, and the greatest number of each map
stays what it was, but for what leaves the frame. A dense layer has a weight of
its own for each pixel: moved by one, a digit meets weights that have learned
something else.
"""


def moved(x: np.ndarray, down: int, right: int) -> np.ndarray:
    """Pictures moved by so many pixels, with empty pixels coming in."""
    y = np.roll(x, (down, right), (1, 2))
    for axis, by in ((1, down), (2, right)):
        if by:
            y[(slice(None),) * axis + (slice(by) if by > 0 else slice(by, None),)] = 0
    return y


def train(model: ja.layers.Layer, data: Any) -> tuple[ja.train.Result, float, float]:
    """Trained, and the accuracy on test digits as they are and moved by one pixel, the mean of four ways."""
    rate = ja.schedules.cosine(1e-2, EPOCHS * (-(-len(data.x) // 64)))
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(rate))
    result = ja.fit(recipe, (data.x, data.y), key=jax.random.key(0), epochs=EPOCHS, batch_size=64)

    def right(x: np.ndarray) -> float:
        return float(ja.metrics.accuracy(ja.predict(model, result.params, result.state, x), data.y_test))

    ways = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return result, right(data.x_test), float(np.mean([right(moved(data.x_test, *way)) for way in ways]))


def picture(axes: Any, image: np.ndarray, title: str, signed: bool = False) -> None:
    """One small picture, dark where it is great; blue and orange where it has a sign."""
    top = float(np.abs(image).max()) or 1.0
    if signed:
        from matplotlib.colors import LinearSegmentedColormap

        colours = LinearSegmentedColormap.from_list("sign", [ORANGE, "white", BLUE])
        axes.imshow(image, cmap=colours, vmin=-top, vmax=top)
    else:
        axes.imshow(image, cmap="Greys", vmin=0, vmax=top)
    axes.set_xticks([])
    axes.set_yticks([])
    frame(axes, "")
    axes.set_title(title, fontsize=9, color=INK)


def main(arguments: list[str] | None = None) -> None:
    """Train, print, draw."""
    out, data = folder(__doc__, arguments), ja.data.digits()
    digit = data.x_test[int(np.argmax(data.y_test == 4))]
    print(f"{len(data.x):,} digits of 8 x 8 pixels to train on, {len(data.x_test)} to test; {EPOCHS} epochs each.\n")
    print("net            parameters   as they are   moved by a pixel")
    found = {name: train(model, data) for name, model in NETS.items()}
    for name, (result, still, shifted) in found.items():
        print(f"{name:<14} {count(result.params):>10,} {still:>13.3f} {shifted:>18.3f}")
    params = found["convolutions"][0].params["conv0"]
    learned = np.asarray(params["weight"])[:, :, 0]
    maps = np.maximum(np.asarray(ja.ops.conv(jnp.asarray(digit[None]), params["weight"], params["bias"]))[0], 0)
    figure = begin(
        13, 5.6, "What a convolution sees", "Kernels: blue above 0, orange below; maps: dark where they are great"
    )
    drawings, bars = figure.subfigures(1, 2, width_ratios=(3.2, 1))
    above, middle, below = drawings.subfigures(3, 1)
    row = above.subplots(1, KERNELS)
    picture(row[0], digit[..., 0], "a digit")
    for i, (name, kernel) in enumerate(EDGES.items()):
        seen = ja.ops.conv(jnp.asarray(digit[None]), jnp.asarray(kernel[:, :, None, None]))
        picture(row[1 + 2 * i], kernel, "by hand", signed=True)
        picture(row[2 + 2 * i], np.asarray(seen)[0, :, :, 0], name, signed=True)
    for axes in row[5:]:
        axes.set_axis_off()
    for i, (kernels, drawn) in enumerate(zip(middle.subplots(1, KERNELS), below.subplots(1, KERNELS), strict=True)):
        picture(kernels, learned[..., i], f"learned {i + 1}", signed=True)
        picture(drawn, maps[..., i], f"map {i + 1}")
    axes = bars.subplots()
    for i, (label, colour) in enumerate((("as they are", BLUE), ("moved by a pixel", ORANGE))):
        heights = [result[1 + i] for result in found.values()]
        places = np.arange(len(found)) + (i - 0.5) * 0.38
        axes.bar(places, heights, 0.36, color=colour, label=label)
        for place, height in zip(places, heights, strict=True):
            axes.text(place, height + 0.01, f"{height:.2f}", ha="center", color=INK, fontsize=9)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylim(0, 1.3)
    lines(axes, "Test digits read right", "", "")
    key(axes, loc="upper right")
    print(CONCLUSION)
    save(figure, out, "convolution")


if __name__ == "__main__":
    main()
