"""What the verbs give inside programs of others where JAX had started before jaxann was imported; prints it as JSON.

Run by test_inside.py in a process of its own: `python -m tests.core.inside_late`.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.devices()

import jaxann as ja  # noqa: E402

X = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
Y = (np.arange(9) % 2).astype(np.int32)
KEY = jax.random.key(0)
MODEL = ja.layers.sequential({"drop": ja.layers.dropout(0.5), "last": ja.layers.dense(2)})
WEIGHT, BIAS = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0.5, -0.5], np.float32)
PARAMS = {"drop": {}, "last": {"weight": WEIGHT, "bias": BIAS}}
STATE = {"drop": {}, "last": {}}
RECIPE = ja.recipe(MODEL, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1), batch_size=9)


def predict() -> Any:
    return ja.predict(MODEL, PARAMS, STATE, X)


def evaluate() -> Any:
    return ja.train.evaluate(RECIPE, PARAMS, STATE, (X, Y))["loss"]


def sample() -> Any:
    return ja.train.monte_carlo_predict(MODEL, PARAMS, STATE, X, key=KEY, samples=3, batch_size=4)


def refused(call: Any) -> str:
    try:
        jax.jit(call)()
    except ja.InputError as error:
        return str(error)
    return ""


def main() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
        rows = jax.sharding.PartitionSpec("rows")
        apply = jax.shard_map(lambda x: MODEL.apply(PARAMS, STATE, x)[0], mesh=mesh, in_specs=rows, out_specs=rows)
        found: dict[str, Any] = {"first": apply(X)}  # told here, where no other program can be traced
        found |= {"jit": jax.jit(lambda a: a + predict())(0.0)}
        found |= {
            "scan": jax.lax.scan(lambda carry, _: (carry, predict()), 0, None, length=2)[1][1],
            "grad": jax.grad(lambda a: a * predict()[0, 0])(1.0),
            "loss": jax.jit(evaluate)(),
            "samples": jax.jit(sample)(),
            "samples by key": jax.jit(lambda key: ja.train.monte_carlo_predict(
                MODEL, PARAMS, STATE, X, key=key, samples=3, batch_size=4
            ))(KEY),
        }  # fmt: skip
        messages = {
            "check_layer": refused(lambda: (ja.diagnose.check_layer(ja.layers.dense(1), X), jnp.zeros(()))[1]),
            "check_gradients": refused(lambda: (ja.diagnose.check_gradients(jnp.sin, (1.0,)), jnp.zeros(()))[1]),
            "fit": refused(lambda: ja.fit(RECIPE, (X, Y), key=KEY, epochs=1).params),
        }
        outside = {"predict": predict(), "loss": evaluate(), "samples": sample()}
    lists = jax.tree.map(lambda a: np.asarray(a).tolist(), {"inside": found, "outside": outside})
    files = [one.filename for one in told if "XLA_FLAGS" in str(one.message)]
    print(json.dumps(lists | {"messages": messages, "told": files, "file": __file__}))


if __name__ == "__main__":
    main()
