"""What every layer of a model puts out, by name."""

from __future__ import annotations

from collections.abc import Callable

from jaxann.core.checks import fail
from jaxann.core.keys import fold_name
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State
from jaxann.layers.base import as_layer, run_child

__all__ = ["layer_outputs"]


def layer_outputs(
    model: Layer, state: State, *, key: Key | None = None, train: bool = False
) -> Callable[[Params, Array], dict[str, Array]]:
    """`(params, x) -> {name: output}` of every layer of a sequential model, in the order of the computation.

    The names are those of the parameters: `dense0`, or `block.dense0` for a sequence in a sequence. What is made in
    another way, a `residual` for one, counts as one layer. `initializers.lsuv` takes the result as its `apply`:

        _, state = model.init(key, x)
        params = initializers.lsuv(layers.layer_outputs(model, state), params, x, key=key)

    Args:
        model: `sequential(...)`, or a model that is one inside, such as `models.mlp`.
        state: the model's state.
        key: randomness for `train=True`.
        train: whether to run in training mode; the new state is dropped.

    Raises:
        InputError: the model is no sequence of layers.
    """
    whole = as_layer(model, "layer_outputs")
    if "chain" not in whole.traits:
        fail("layer_outputs", "model", "sequential, or a model that is inside", model)

    def walk(chain: Layer, params: Params, state: State, x: Array, key: Key | None, path: str, found: dict) -> Array:
        for name, layer in chain.children.items():
            if "chain" in layer.traits:
                inner = None if key is None else fold_name(key, name)
                x = walk(layer, params[name], state[name], x, inner, f"{path}{name}.", found)
            else:
                x, _ = run_child(layer, name, params, state, x, key=key, train=train)
                found[path + name] = x
        return x

    def apply(params: Params, x: Array) -> dict[str, Array]:
        found: dict[str, Array] = {}
        walk(whole, params, state, x, key, "", found)
        return found

    return apply
