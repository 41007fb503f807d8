"""An estimator in one file: plain arrays and a text that names no code; what it predicts afterwards is the same bits.

The format is that of `io.save_arrays` (safetensors, with a checksum, replaced whole or not at all). Which class a file
holds is looked up in a table; its nets are rebuilt from their factories, as by `ja.load`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxann.core.checks import fail
from jaxann.core.config import from_config, to_config
from jaxann.core.errors import CheckpointError, InputError
from jaxann.core.factories import is_product
from jaxann.core.trees import flatten_named, unflatten_named
from jaxann.estimators.heads import Head, regressor_loss
from jaxann.estimators.nets import Net
from jaxann.estimators.tables import Table
from jaxann.io import load_arrays, save_arrays
from jaxann.train.run import Status

__all__ = ["load_estimator", "save_estimator"]

_PLAIN = (
    "n_features_in_",
    "n_outputs_",
    "n_iter_",
    "n_layers_",
    "out_activation_",
    "loss_",
    "_several",
    "_flat",
    "temperature_",
)
_LEFT_OUT = ("observers",)  # functions of the one who trained


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to one file."""
    name = type(estimator).__name__
    arrays: dict[str, np.ndarray] = {}
    params = {
        key: _as_text(name, key, value)
        for key, value in estimator.get_params(deep=False).items()
        if key not in _LEFT_OUT
    }
    text: dict[str, Any] = {"class": name, "params": params, "nets": [], "plain": {}}
    for key in _PLAIN:
        if hasattr(estimator, key):
            value = getattr(estimator, key)
            text["plain"][key] = value.item() if isinstance(value, np.generic) else value
    if hasattr(estimator, "feature_names_in_"):
        text["features"] = list(map(str, estimator.feature_names_in_))
    if hasattr(estimator, "classes_"):
        text["classes"] = _labels(name, estimator.classes_)
    if hasattr(estimator, "head_"):
        head = estimator.head_
        text["head"] = {"width": head.width, "link": head.link}
        arrays |= {"head.centre": head.centre, "head.scale": head.scale}
    if hasattr(estimator, "conformal_"):
        arrays["conformal"] = estimator.conformal_
    if hasattr(estimator, "table_"):
        table = estimator.table_
        text["table"] = {"names": table.names, "kinds": table.kinds, "reasons": table.reasons, "rare": table.rare}
        arrays["table.shifts"] = np.asarray(table.shifts)
        if table.codes is not None:
            arrays |= _named("codes", table.codes)
    for i, net in enumerate(estimator.nets_):
        columns = list(net.history)
        text["nets"].append({"model": to_config(net.model), "epochs": net.epochs, "status": int(net.status),
                             "history": columns})  # fmt: skip
        arrays |= _named(f"net{i}.params", net.params) | _named(f"net{i}.state", net.state)
        arrays |= {f"net{i}.history{j}": np.asarray(net.history[column]) for j, column in enumerate(columns)}
    save_arrays(path, arrays, {"estimator": json.dumps(text)}, allow_nonfinite=True)


def load_estimator(path: str | os.PathLike[str], classes: Mapping[str, type]) -> Any:
    """The estimator that `save` wrote.

    Args:
        path: file to read.
        classes: those a file may hold.

    Raises:
        CheckpointError: the file is damaged, cut, or holds none of them.
    """
    arrays, metadata = load_arrays(path, allow_nonfinite=True)
    if "estimator" not in metadata:
        raise CheckpointError(f"load: {os.fspath(path)!r} holds no estimator; ja.load reads the file of a model.")
    try:
        text = json.loads(metadata["estimator"])
        if isinstance(text["class"], str) and text["class"] not in classes:
            told = f"holds a {text['class'][:60]!r}, which {text['class'][:60]}.load reads"
            raise CheckpointError(f"load: {os.fspath(path)!r} {told}, not {' or '.join(classes)}.")
        made = classes[text["class"]](**{key: _from_text(value) for key, value in text["params"].items()})
        _fill(made, text, arrays)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise CheckpointError(f"load: {os.fspath(path)!r} disagrees with itself: {error!r}") from error
    return made


def _fill(made: Any, text: dict, arrays: dict[str, np.ndarray]) -> None:
    for key in _PLAIN:
        if key in text["plain"]:
            setattr(made, key, text["plain"][key])
    if "features" in text:
        made.feature_names_in_ = np.array(text["features"], dtype=object)
    if "classes" in text:
        made.classes_ = np.array(text["classes"]["values"], dtype=text["classes"]["kind"])
    if "head" in text:
        given = text["head"]
        centre, scale = arrays["head.centre"], arrays["head.scale"]
        made.head_ = Head(*regressor_loss(made, len(centre)), centre, scale)
        if (made.head_.width, made.head_.link) != (given["width"], given["link"]):
            raise ValueError("the last layer is none of the loss")
    if "table" in text:
        given = text["table"]
        codes = _tree("codes", arrays) if "category" in given["kinds"] else None
        kinds, names = tuple(given["kinds"]), tuple(given["names"])
        made.table_ = Table(names, kinds, dict(given["reasons"]), codes, int(given["rare"]), arrays["table.shifts"])
        made.dropped_ = made.table_.reasons
    if "conformal" in arrays:
        made.conformal_ = arrays["conformal"]
    nets = []
    for i, given in enumerate(text["nets"]):
        history = {column: arrays[f"net{i}.history{j}"] for j, column in enumerate(given["history"])}
        params, state = _tree(f"net{i}.params", arrays), _tree(f"net{i}.state", arrays)
        model = from_config(given["model"])
        nets.append(Net(model, params, state, history, int(given["epochs"]), Status(given["status"]), None))
    made._keep(nets, made.n_outputs_)


def _named(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(leaf) for name, leaf in flatten_named(tree).items()}


def _tree(prefix: str, arrays: dict[str, np.ndarray]) -> Any:
    own = {name.removeprefix(f"{prefix}."): leaf for name, leaf in arrays.items() if name.startswith(f"{prefix}.")}
    return unflatten_named(own)


def _as_text(function: str, argument: str, value: Any) -> Any:
    """An argument as JSON holds it; a product by its factory."""
    if is_product(value):
        return {"product": to_config(value)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return {"tuple": [_as_text(function, argument, one) for one in value]}
    if isinstance(value, Mapping):
        pairs = [[_as_text(function, argument, one) for one in pair] for pair in value.items()]
        return {"dict": pairs}
    if argument == "random_state":
        return None
    hint = "A name, or a product of a factory of ja, can be saved; pickle takes any that Python can."
    return fail(f"{function}.save", argument, "a number, a name or a product", value, hint=hint)


def _from_text(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "product" in value:
        return from_config(value["product"])
    if "tuple" in value:
        return tuple(_from_text(one) for one in value["tuple"])
    return {_from_text(key): _from_text(one) for key, one in value["dict"]}


def _labels(function: str, classes: np.ndarray) -> dict[str, Any]:
    kind = classes.dtype.kind
    if kind not in "biufUO" or (kind == "O" and not all(isinstance(label, str) for label in classes)):
        raise InputError(f"{function}.save: classes must be numbers or texts, got {classes.dtype}.")
    return {"values": classes.tolist(), "kind": "object" if kind == "O" else classes.dtype.str}
