"""Writes the golden files: `python -m tests.golden.write`. To be run once a version, by that version's code.

A model file and a table of each kind, with the version in the name, and what the models predicted. They are never
written anew: that later code reads them is the point. The calls below are those of the version written last.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja

HERE = Path(__file__).resolve().parent
ROWS, FEATURES = 6, 4


def models() -> dict[str, ja.core.Layer]:
    """One model of each kind that a file has to describe: numbers, names, functions, products, sequences, members."""
    layers, init = ja.layers, ja.initializers
    nested = layers.sequential({
        "scale": layers.batch_norm(decay=0.5),
        "block": layers.sequential({
            "dense": layers.dense(5, kernel_init=init.normal(0.3)),
            "act": layers.elementwise(ja.activations.gelu),
            "inner": layers.sequential({"swish": layers.swish(1.5), "noise": layers.gaussian_noise(0.1)}),
        }),
        "out": layers.dense(3, bias_init=init.constant(0.5)),
    })  # fmt: skip
    copies = ja.core.from_config(
        {"factory": "layers.spread", "arguments": {"members": 3}}
    )  # renamed since: by its name
    ensemble = layers.sequential({
        "copies": copies,
        "dense": layers.batch_ensemble_dense(4, 3, input_scale="random_signs"),
        "out": layers.packed_dense(2, 3),
    })  # fmt: skip
    body = layers.sequential({"dense": layers.dense(4), "act": layers.prelu(0.1, per_channel=True)})
    return {
        "ensemble": ensemble,
        "mlp": ja.models.mlp((6, 5, 3), activation="relu", dropout=0.25, batch_norm=True),
        "nested": nested,
        "residual": layers.sequential({"block": layers.residual(body), "out": layers.dense(2, use_bias=False)}),
        "tabm": ja.models.tabm((5, 3), members=3, activation=layers.prelu(), dropout=0.1),
    }


def inputs() -> np.ndarray:
    """What the models predict."""
    return np.linspace(-2, 2, ROWS * FEATURES, dtype=np.float32).reshape(ROWS, FEATURES)


def table() -> ja.tune.Table:
    """A table with a column of each kind, a run that diverged and rounds."""
    return ja.tune.Table(
        {
            "learning_rate": np.array([1e-3, 1e-2, 0.1], np.float32),
            "units": np.array([4, 8, 16]),
            "widths": [(4, 2), (8, 2), (16, 2)],
            "activation": ["relu", "tanh", "gelu"],
            "dropout": [None, 0.1, 0.5],
            "optimizer": [ja.optimizers.adam(1e-3), ja.optimizers.sgd(0.1, momentum=0.9), ja.optimizers.adam(1e-2)],
        },
        {
            "validation_loss": np.array([[0.1, 0.30000001], [np.nan, 0.25], [1 / 3, np.inf]]),
            "validation_accuracy": np.array([[0.9, 0.8], [0.0, 0.7], [0.5, 0.6]]),
        },
        "validation_accuracy",
        "max",
        np.array([[5, 5], [1, 5], [3, 2]]),
        np.array([1, 0, 1]),
    )


def main() -> None:
    """Write every file; moved layer states come from a pass in training mode."""
    x, predictions = jnp.asarray(inputs()), {}
    for name, model in models().items():
        key = jax.random.key(len(name))
        params, state = model.init(key, x)
        _, state = model.apply(params, state, x, key=key, train=True)
        ja.save(HERE / f"{name}_{ja.__version__}.safetensors", model, params, state)
        predictions[name] = ja.predict(model, params, state, x)
    np.savez(HERE / f"predictions_{ja.__version__}.npz", **predictions)
    table().save(HERE / f"table_{ja.__version__}.json")


if __name__ == "__main__":
    main()
