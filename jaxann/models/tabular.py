"""Nets for tables: numbers with missing ones and categories in front of any net, and a residual net for them."""

from __future__ import annotations

from jaxann import preprocessing
from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import he_normal, lecun_normal, torch_linear
from jaxann.layers import (
    as_layer,
    batch_norm,
    branch,
    category_embedding,
    column_dense,
    concatenate,
    dense,
    elementwise,
    flatten,
    parallel,
    periodic_embedding,
    phase_embedding,
    preprocess,
    residual,
    sequential,
)
from jaxann.layers import dropout as drop

__all__ = ["tabular", "tabular_resnet"]

_EMBEDDINGS = ("piecewise_linear", "periodic", "periodic_linear")
_SCALES = {
    "standard": preprocessing.standard(),
    "standard_clipped": preprocessing.chain(
        preprocessing.outliers(threshold=10.0, action="clip"), preprocessing.standard()
    ),
    "robust": preprocessing.robust(),
    "robust_clipped": preprocessing.robust(smooth_clip=3.0),
    "quantile": preprocessing.quantile(distribution="normal"),
}


@factory(
    Layer,
    static=("categories", "bins", "features", "frequencies", "category_features"),
    convert={
        "net": lambda v: as_layer(v, "tabular", "net"),
        "categories": lambda v: tuple(v) if isinstance(v, list) else v,
    },
)
def tabular(
    net: Layer,
    *,
    categories: tuple[int, ...] = (),
    embedding: str | None = None,
    scale: str = "standard",
    bins: int = 48,
    features: int = 16,
    frequencies: int = 24,
    deviation: Scalar = 0.1,
    category_features: int = 8,
):
    """net(all numbers and categories of a row, each embedded, side by side): a table in front of a net.

        sizes = preprocessing.sizes(state)                                   # of an `ordinal`
        model = tabular(mlp((256, 256, 1)), categories=sizes, embedding="piecewise_linear")
        fit(recipe(model, ...), ({"numbers": x, "categories": codes}, y), ...)

    Missing numbers (NaN) become the median of their column, and one more column says where they were. All that is
    learned from the data is learned by each run from its own training rows (`layers.preprocess`).

    Args:
        net: takes `(batch, features)`: `mlp`, `tabm`, `tabular_resnet`, ....
        categories: how many codes each column of categories has; -1 and other codes are 0 everywhere.
        embedding: of numbers. None takes them as they are; "piecewise_linear" how far each has come through bins of its
            column, "periodic" waves of several lengths, each then by a map of its own column and relu;
            "periodic_linear" the column itself beside a map of waves with a learned phase (PBLD), for `realmlp`.
        scale: before all but "piecewise_linear": "standard"; "standard_clipped", after numbers farther than 10 times
            the distance of the quartiles from them are brought there; "robust"; "robust_clipped", with a smooth clip at
            3 (see `preprocessing.robust`); or "quantile", to a normal distribution.
        bins: of each column, "piecewise_linear".
        features: of each embedded number; in "periodic_linear" the column itself is one of them, 4 in the paper.
        frequencies, deviation: of "periodic" and "periodic_linear" (16 in the paper): how many, and what matters most,
            the deviation of their distribution.
        category_features: of each embedded category.

    Input: `(batch, columns)`, or with categories `{"numbers": (batch, columns), "categories": (batch, columns)}`, whole
    numbers the latter. Layers by name: `prepare`, `embed`, `join`, `net`.

    Peers: rtdl_num_embeddings has the embeddings, for which data are prepared by hand; pytabkit's nets are estimators.

    Source: Gorishniy, Rubachev and Babenko 2022 (embeddings); Gorishniy et al. 2021 (categories); Holzmüller,
    Grinsztajn and Steinwart 2024 ("periodic_linear", "robust_clipped").

    Raises:
        InputError: an argument is out of range, or x is no such table.
    """
    if embedding is not None:
        check_choice("tabular", "embedding", embedding, _EMBEDDINGS)
    check_choice("tabular", "scale", scale, tuple(_SCALES))
    sizes = {"bins": bins, "features": features, "frequencies": frequencies, "category_features": category_features}
    for name, number in sizes.items():
        check_integer("tabular", name, number, 2 if (name, embedding) == ("features", "periodic_linear") else 1)
    check_range("tabular", "deviation", deviation, 0, open_low=True)
    if not isinstance(categories, tuple):
        fail("tabular", "categories", "a tuple of positive integers, one for each column", categories)
    filled = preprocessing.impute("median", indicators=True)
    numbers: Preprocessor = preprocessing.chain(filled, _SCALES[scale])
    if embedding == "piecewise_linear":
        numbers = preprocessing.chain(preprocessing.impute("median"), preprocessing.piecewise_linear(bins))
    embedded = _embedded(embedding, features, frequencies, deviation)
    if not categories:
        return sequential({"prepare": preprocess(numbers), "embed": embedded, "net": net}).functions
    tables = sequential({"table": category_embedding(categories, category_features), "flat": flatten()})
    return sequential(
        {
            "prepare": preprocess(preprocessing.by_name({"numbers": numbers, "categories": None})),
            "embed": parallel({"numbers": embedded, "categories": tables}),
            "join": concatenate(names=("numbers", "categories")),
            "net": net,
        }
    ).functions


def _embedded(embedding: str | None, features: int, frequencies: int, deviation: Scalar) -> Layer:
    """From prepared numbers, `(batch, columns)` or bins of them, to `(batch, all features)`."""
    if embedding == "periodic_linear":
        draw = torch_linear(frequencies)
        own = column_dense(features - 1, kernel_init=draw, bias_init=draw)
        waves = phase_embedding(frequencies, deviation=deviation)
        sides = {
            "numbers": elementwise("identity"),
            "waves": sequential({"waves": waves, "own": own, "flat": flatten()}),
        }
        return sequential({"sides": branch(sides), "join": concatenate(names=("numbers", "waves"))})
    waves = {"waves": periodic_embedding(frequencies, deviation=deviation)} if embedding == "periodic" else {}
    own = {"own": column_dense(features), "act": elementwise("relu")} if embedding is not None else {}
    return sequential({**waves, **own, "flat": flatten()})


@factory(Layer, static=("width", "units", "blocks", "hidden"))
def tabular_resnet(
    width: int,
    *,
    units: int = 192,
    blocks: int = 3,
    hidden: int = 384,
    dropout: Scalar | None = 0.2,
    residual_dropout: Scalar | None = None,
):
    """y = dense(relu(norm(h_n))), with h_0 = dense(x) and h_i = h_(i-1) + dense(drop(relu(dense(norm(h_(i-1)))))).

    Args:
        width: of the last layer, which is linear.
        units: of each h.
        blocks: how many.
        hidden: units inside a block.
        dropout: probability of dropping inside; None for none.
        residual_dropout: and of what is added.

    Input `(batch, features)`. Layers by name: `first`, `block0`, ..., `norm`, `act`, `out`. The norm is `batch_norm`.

    Peers: ResNet of rtdl_revisiting_models, whose weights begin by PyTorch's own distribution.

    Source: Gorishniy et al. 2021.

    Raises:
        InputError: a size is no positive integer, or a rate out of range.
    """
    for name, number in {"width": width, "units": units, "blocks": blocks, "hidden": hidden}.items():
        check_integer("tabular_resnet", name, number)
    for name, rate in {"dropout": dropout, "residual_dropout": residual_dropout}.items():
        if rate is not None:
            check_range("tabular_resnet", name, rate, 0, 1, open_high=True)
    block: dict[str, Layer] = {"norm": batch_norm(), "dense0": dense(hidden, kernel_init=he_normal())}
    block["act"] = elementwise("relu")
    if dropout is not None:
        block["drop0"] = drop(dropout)
    block["dense1"] = dense(units, kernel_init=lecun_normal())
    if residual_dropout is not None:
        block["drop1"] = drop(residual_dropout)
    layers: dict[str, Layer] = {"first": dense(units)}
    layers |= {f"block{i}": residual(sequential(block)) for i in range(blocks)}
    layers |= {"norm": batch_norm(), "act": elementwise("relu"), "out": dense(width)}
    return sequential(layers).functions
