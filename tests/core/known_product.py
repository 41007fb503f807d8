"""The product that jaxlib 0.10.2 compiles wrongly, by every verb: `python -m tests.core.known_product HOW [quick]`.

HOW is `first` (jaxann is imported before JAX starts), `late` (after) or `changed` (before, and then the flags are).
With `quick` it goes through `fit` alone, and through a layer that somebody else jits. Prints what each way gives as
JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

how = sys.argv[1]
if how == "late":
    jnp.zeros(3).block_until_ready()

import jaxann as ja  # noqa: E402

if how == "changed":
    os.environ["XLA_FLAGS"] = ""

ROWS = 32769
RIGHT = float((ROWS - 1) ** 2)
X = np.zeros((ROWS, 3), np.float32)
X[:, 0] = np.arange(ROWS)
Y = np.zeros((ROWS, 1), np.float32)
LAST = np.zeros(ROWS, np.float32)
LAST[-1] = 1  # the mean is that of the last row
KEY = jax.random.key(0)
UNIT = np.eye(3, dtype=np.float32)


def length(params, state, x, *, key=None, train=False):
    """y = |m x|^2 of each row, m a product's left side."""
    return jax.vmap(lambda row: jnp.sum((params["m"] @ row) ** 2))(x)[:, None], state


def start(key, spec):
    """The unit matrix, whatever the key."""
    return {"m": jnp.asarray(UNIT)}, {}


def itself(predictions, targets):
    """What is predicted, as the loss."""
    return predictions[:, 0]


model = ja.layers.custom(start, length)
recipe = ja.recipe(model, itself, ja.optimizers.sgd(0.0), shuffle=False, batch_size=ROWS, epochs=1)
data = (X, Y, LAST)


def other_verbs(result):
    """What the verbs but `fit` give."""
    found = {
        "predict": ja.predict(model, result.params, result.state, X, batch_size=ROWS)[-1, 0],
        "evaluate": ja.train.evaluate(recipe, result.params, result.state, data, batch_size=ROWS)["loss"],
    }
    many = ja.train.fit_population(lambda hyper: recipe, {}, data, keys=jax.random.split(KEY, 2), validation=data)
    found |= {f"fit_population, {i}": many.history["validation_loss"][i, 0] for i in range(2)}
    return found | {"population.predict": many.predict(X, batch_size=ROWS)[1, -1, 0]}


def other_programs():
    """What programs give that are jitted by somebody else."""
    own = jax.jit(ja.train.make_run(recipe))(KEY, data, data).history
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jax"
        ja.train.export_run(path, lambda hyper: recipe, {"unused": 0.5}, data, validation=data, platforms=("cpu",))
        run = jax.export.deserialize(bytearray(path.read_bytes()))
        exported = run.call(np.uint32(0), {"unused": np.float32(0.5)}, data, data)
    return {
        "make_run": own["loss"][0],
        "make_run, validated": own["validation_loss"][0],
        "export_run": exported["history"]["loss"][0],
    }


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    result = ja.fit(recipe, data, validation=data, key=KEY)
    found = {"fit": result.history["loss"][0], "fit, validated": result.history["validation_loss"][0]}
    elsewhere = {"a layer": jax.jit(lambda x: model.apply(result.params, result.state, x)[0])(X)[-1, 0]}
    if "quick" not in sys.argv:
        found |= other_verbs(result)
        elsewhere |= other_programs()
wrong = [name for name, value in found.items() if float(value) != RIGHT]
wrong_elsewhere = [name for name, value in elsewhere.items() if float(value) != RIGHT]
print(json.dumps({"wrong": wrong, "wrong elsewhere": wrong_elsewhere, "told": [str(one.message) for one in told]}))
