"""A map of a net that learned digits: what each layer gave, and which gradient came back to it, epoch by epoch.

python -m scripts.learn_map [--out FOLDER]
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import jaxann as ja
from scripts.picture import folder

WIDTH, BLOCKS, EPOCHS, ROWS, BATCH = 32, 2, 12, 1000, 20  # fifty steps an epoch, so that each one is probed
CONCLUSION = """
Open the page in a browser and move the slider from the first epoch to the last:
the gradient shrinks as the loss falls, and units of a relu die or wake up. Pick
an example to see what it makes of each layer. The branch of a block begins
small, and its skip hands the gradient on as it is.
"""


def net() -> Any:
    """Dense layers with two residual blocks between them."""
    dense, act = ja.layers.dense, ja.layers.elementwise
    inner = {"dense0": dense(WIDTH), "act": act("relu"), "dense1": dense(WIDTH)}
    block = ja.layers.residual(ja.layers.sequential(inner))
    blocks = {f"block{i}": block for i in range(BLOCKS)}
    return ja.layers.sequential({"first": dense(WIDTH), "act": act("relu"), **blocks, "out": dense(10)})


def main(arguments: list[str] | None = None) -> None:
    """Train with probes, draw the map, say where it is."""
    out = folder(__doc__, arguments)
    digits = ja.data.digits()
    x, y = np.asarray(digits.x).reshape(-1, 64)[:ROWS], np.asarray(digits.y)[:ROWS]
    rows = (x - x.mean()) / x.std(), y
    recipe = ja.recipe(net(), ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-3), batch_size=BATCH, probes=True)
    result = ja.fit(recipe, rows, key=jax.random.key(0), epochs=EPOCHS)
    drawn = ja.diagnose.live_map(recipe, result.params, rows, state=result.state, history=result.history)
    norms = dict(zip(ja.diagnose.probed_layers(recipe, rows), result.history["layer_gradient_norm"].T, strict=True))
    print("epoch    loss   gradient of the first layer   of the last")
    for epoch in sorted({0, EPOCHS // 2, EPOCHS - 1}):
        loss = result.history["loss"][epoch]
        print(f"{epoch + 1:>5} {loss:>7.3f} {norms['first'][epoch]:>29.3f} {norms['out'][epoch]:>13.3f}")
    print(CONCLUSION)
    out.mkdir(parents=True, exist_ok=True)
    drawn.save(out / "map.html")
    print(f"Wrote {out / 'map.html'}, {len(drawn.html) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
