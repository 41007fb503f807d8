"""Nets for tables. Which one is chosen for how many rows stands here and nowhere else."""

from __future__ import annotations

from jaxann.advice.facts import Facts
from jaxann.advice.net import Net, Style, preparation
from jaxann.advice.recommendation import Reason
from jaxann.core.products import Layer
from jaxann.layers import category_embedding, concatenate, flatten, parallel, preprocess, sequential
from jaxann.models import autoencoder, mlp, tabular
from jaxann.preprocessing import standard

__all__ = ["code_net", "table_net"]

_HIDDEN = ((1_000, (64,)), (10_000, (128, 128)))  # below so many rows so many units
_MOST_HIDDEN = (256, 256)
_EMBEDDED = 5_000  # rows from which on each number is embedded by bins
_MOST_COLUMNS = 256  # of which each is embedded
_CATEGORY = 8  # numbers of an embedded code
_BASELINES = 1_000  # rows below which something simpler mostly wins
_ADAMW = Style(
    "adamw",
    1e-3,
    False,
    False,
    10_000,
    "Steps that do not depend on the size of gradients need little tuning, and decay is apart from them. The length "
    "of the run is left to early stopping, so the rate stays. The independence of features and the number of rows do "
    "not choose the optimizer (erratum E56). Where all rows make one batch and nothing is drawn at random, lbfgs ends "
    "closer to the minimum.",
    "Loshchilov and Hutter 2019; Kadra et al. 2021; Liu and Nocedal 1989",
)


def table_net(facts: Facts) -> Net:
    """A perceptron behind what a table needs, as wide as its rows can teach."""
    hidden = next((widths for rows, widths in _HIDDEN if facts.examples < rows), _MOST_HIDDEN)
    columns = facts.shape[0] if facts.shape else 0
    embedding = "piecewise_linear" if facts.examples >= _EMBEDDED and 0 < columns <= _MOST_COLUMNS else None
    scale = "quantile" if facts.heavy > 0 else "standard"

    def build(rate: float | None) -> Layer:
        net = mlp((*hidden, facts.units), dropout=rate)
        if not columns:
            return _of_categories(facts.categories, net)
        return tabular(net, categories=facts.categories, category_features=_CATEGORY, embedding=embedding, scale=scale)

    reasons = []
    if columns:
        reasons.append(_prepared(facts, embedding, scale))
    if facts.categories:
        sizes = ", ".join(map(str, facts.categories[:6])) + (", ..." if len(facts.categories) > 6 else "")
        reasons.append(
            Reason(
                "categories",
                f"embedded, {_CATEGORY} numbers each ({sizes} codes)",
                "Codes have no order, so each gets numbers of its own; unknown and missing ones get 0.",
                "Guo and Berkhahn 2016",
            )
        )
    shown = " and ".join(map(str, hidden))
    reasons.append(
        Reason(
            "net",
            f"tabular(mlp(({', '.join(map(str, (*hidden, facts.units)))})))",
            f"{facts.examples:,} rows teach about so many units ({shown}): a well regularized perceptron is as good "
            "as nets made for tables on most of them.",
            "Kadra et al. 2021; Gorishniy et al. 2021",
        )
    )
    reasons.append(_RELU)
    notes = ()
    if facts.examples < _BASELINES:
        notes = (
            f"{facts.examples:,} rows are few: fit a linear model and boosted trees first. What they reach is what a "
            "net has to beat, and often they win (Grinsztajn et al. 2022).",
        )
    return Net(build, _ADAMW, tuple(reasons), notes=notes)


def _of_categories(sizes: tuple[int, ...], net: Layer) -> Layer:
    """A net for a table without numbers."""
    codes = sequential({"table": category_embedding(sizes, _CATEGORY), "flat": flatten()})
    one = {"embed": parallel({"categories": codes}), "join": concatenate(names=("categories",)), "net": net}
    return sequential(one)


_RELU = Reason(
    "hidden activation",
    "relu, weights he_normal",
    "Its slope is 1 wherever it is not 0, so that gradients pass; with this distribution signals keep their size "
    "through the layers. Leaky relu or elu if more than 10 % of the units die.",
    "Glorot et al. 2011; He et al. 2015",
)


def _prepared(facts: Facts, embedding: str | None, scale: str) -> Reason:
    """What is done to numbers before the net."""
    filled = ""
    if facts.missing > 0:
        filled = f" {facts.missing:.1%} of the numbers are missing: the median stands in for them"
        filled += "." if embedding else ", and a column says where."
    if embedding is not None:
        why = "Where in its column's quantiles a number lies, bin by bin, then a map of its own: a net bends as easily "
        why += "as trees split, whatever the column's scale and tails."
        return Reason(
            "preparation",
            "piecewise_linear embedding of each number",
            why + filled,
            "Gorishniy, Rubachev and Babenko 2022",
        )
    if scale == "quantile":
        why = f"{facts.heavy:.0%} of the columns have numbers far outside of the others, which mean and deviation "
        why += "would follow: by quantiles to a normal distribution."
        return Reason("preparation", "quantile scale", why + filled, "Gorishniy et al. 2021")
    reason = preparation(facts, "standard scale")
    return reason._replace(reason=reason.reason + filled)


def code_net(facts: Facts) -> Net:
    """An autoencoder of a table, its code as long as the principal components that matter."""
    columns = facts.shape[0]
    code = max(1, min(facts.components or max(1, columns // 4), columns))
    wide = max(code, min(256, 2 * columns if facts.examples < 10_000 else 4 * columns))
    widths = (wide, code) if facts.examples >= 200 else (code,)

    def build(rate: float | None) -> Layer:
        return sequential({"prepare": preprocess(standard()), "code": autoencoder(widths, columns)})

    counted = f"so many principal components have 95 % of the variance of the {columns} columns"
    why = f"The code has {code} numbers: {counted if facts.components else 'a quarter of the columns'}."
    why += " With a single linear layer it finds the space of those components." if len(widths) == 1 else ""
    reasons = (
        preparation(facts, "standard scale"),
        Reason("net", f"autoencoder({widths}, {columns})", why, "Hinton and Salakhutdinov 2006; Baldi and Hornik 1989"),
        _RELU,
    )
    notes = (
        "preprocessing.pca gives such a code without training: begin there, and see what the net adds. The recipe is "
        "trained on pairs (x, x).",
    )
    return Net(build, _ADAMW, reasons, drops=False, notes=notes)
