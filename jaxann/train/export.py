"""A whole training run as one file that trains on a machine without jaxann.

The file holds the compiled run before it is compiled: StableHLO, with the shapes of the data, the number of epochs and
the structure of the model fixed, and the seed, the floats among the hyper-parameters and the data themselves left open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.errors import MissingDependencyError
from jaxann.core.typing import Array, Hyperparameters
from jaxann.io.atomic import check_path, write_atomically
from jaxann.train.batches import Batch
from jaxann.train.grouping import Build, built_recipe, check_build
from jaxann.train.hyperparameters import split_floats
from jaxann.train.inputs import is_one_array, known_array, named_leaves
from jaxann.train.run import make_run
from jaxann.train.shaped import shaped_batch

__all__ = ["export_run"]

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export_run(
    path: str | os.PathLike[str] | None,
    build: Build,
    hyperparameters: Hyperparameters,
    train: tuple,
    *,
    validation: tuple | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    platforms: tuple[str, ...] = ("cpu", "cuda", "tpu"),
) -> jax.export.Exported:
    """The run of `make_run` in a file, to train where there is only jax, on any of the platforms.

        def build(hyper):
            return ja.recipe(mlp((64, 10)), softmax_cross_entropy, adam(hyper["learning_rate"]))

        export_run("run.jax", build, {"learning_rate": 1e-3}, (x, y), validation=(x_val, y_val), epochs=20)

    The other machine, after `pip install jax flatbuffers`, runs four lines:

        import pathlib, numpy as np
        from jax import export
        run = export.deserialize(bytearray(pathlib.Path("run.jax").read_bytes()))
        result = run.call(np.uint32(0), {"learning_rate": np.float32(3e-3)}, (x, y), (x_val, y_val))

    `result` is a plain dict: `params` and `state`, nested dicts of arrays; `history`, from name to one value an epoch;
    `best_epoch`, `epochs_run`, `status` (0 finished, 1 stopped early, 2 diverged), `diverged_step`. It is that of
    `make_run` with `jax.random.key(seed)`. `jax.jit(run.call)` compiles once for many calls; JAX does not vmap a loaded
    function, so many seeds go through `jax.lax.map`. Parameters come back into jaxann as they are:
    `predict(model, result["params"], result["state"], x)`.

    Args:
        path: file to write, atomically; None writes none.
        build: `hyperparameters -> recipe`, called while tracing.
        hyperparameters: floats stay open, with these names, as float32 scalars; their values here do not matter.
            Integers, strings, flags and tuples are built in.
        train: `(x, y)` or `(x, y, weights)`; only shapes and dtypes matter, so `jax.ShapeDtypeStruct` will do.
        validation: the same for a validation set. Without one the file's function takes three arguments.
        epochs, batch_size: as in `make_run`, and built in like everything else of the recipe.
        platforms: names of those the file shall run on, among cpu, cuda, rocm and tpu.

    Returns:
        What the file holds; `.call` is the function. JAX promises to load a file for at least six months of releases.

    Raises:
        InputError: an argument is wrong, shapes do not fit, or the model's parameters are no nested dicts, tuples and
            lists of arrays.
        MissingDependencyError: flatbuffers is missing.
        OSError: the file cannot be written.
    """
    if path is not None:
        path = check_path("export_run", path)
        _need_flatbuffers()
    if epochs is not None:
        check_integer("export_run", "epochs", epochs, 0)
    check_build("export_run", build)
    if not isinstance(platforms, tuple | list) or not platforms:
        fail("export_run", "platforms", "a tuple of names", platforms, hint='("cpu", "cuda", "tpu")')
    for name in platforms:
        check_choice("export_run", "each of platforms", name, _PLATFORMS)
    floats, rest = split_floats("export_run", hyperparameters)

    def trained(seed: Array, values: dict[str, Array], train: tuple, validation: tuple | None = None) -> dict[str, Any]:
        recipe = built_recipe("export_run", build, {**dict(rest), **values})
        run = make_run(recipe, epochs=epochs, batch_size=batch_size)
        result = run(jax.random.key(seed), train, validation)._asdict()
        del result["carry"]
        return {name: _plain(name, value) for name, value in result.items()}

    arguments = [
        jax.ShapeDtypeStruct((), jnp.uint32),
        {name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in floats.items()},
        _shapes("train", train),
    ]
    if validation is not None:
        arguments.append(_shapes("validation", validation))
    exported = jax.export.export(jax.jit(trained), platforms=tuple(platforms))(*arguments)
    if path is not None:
        content = bytes(exported.serialize())
        write_atomically("export_run", path, [content], len(content))
    return exported


def _need_flatbuffers() -> None:
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        message = 'export_run needs flatbuffers to write a file: pip install "jaxann[export]", or pass path=None.'
        raise MissingDependencyError(message) from error


def _shapes(argument: str, data: Any) -> Batch:
    """Shapes and dtypes of `(x, y)` or `(x, y, weights)` as a run takes them, checked."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail("export_run", argument, "a tuple (x, y) or (x, y, weights)", data)
    arrays = []
    for label, tree in zip(("x", "y", "weights"), data, strict=False):
        named = named_leaves(f"{argument} {label}", tree)
        leaves = [v if isinstance(v, jax.ShapeDtypeStruct) else known_array("export_run", n, v) for n, v in named]
        whole = jax.tree.unflatten(jax.tree.structure(tree, is_leaf=is_one_array), leaves)
        for name, array in named_leaves(f"{argument} {label}", whole):
            if np.dtype(array.dtype).kind not in "fiub" and not jax.dtypes.issubdtype(array.dtype, np.floating):
                fail("export_run", name, "an array of numbers", f" {array.dtype}")
        arrays.append(whole)
    found = jax.eval_shape(lambda values: shaped_batch("export_run", argument, values), tuple(arrays))
    return _plain(argument, tuple(part for part in found if part is not None))


def _plain(where: str, tree: Any) -> Any:
    """The tree in dicts and tuples: a class of its own would have to be known where the file is read."""
    if isinstance(tree, Mapping) and all(isinstance(name, str) for name in tree):
        return {name: _plain(f"{where}.{name}", value) for name, value in tree.items()}
    fields = getattr(tree, "_fields", None)
    if isinstance(tree, tuple) and fields is not None:
        return {name: _plain(f"{where}.{name}", value) for name, value in zip(fields, tree, strict=True)}
    if isinstance(tree, tuple | list):
        return tuple(_plain(f"{where}.{i}", value) for i, value in enumerate(tree))
    if tree is not None and not jax.tree_util.all_leaves([tree]):
        fail("export_run", where, "made of dicts with names for keys, tuples and arrays", tree)
    return tree
