"""Every figure of the errata, as printed: this table is kept by hand, apart from the checks it is held against."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import activations
from jaxann.neuron import fit_perceptron, gate
from jaxann.teach import (
    errata,
    errata_activations,
    errata_backprop,
    errata_descent,
    errata_neuron,
    errata_practice,
)
from jaxann.teach.errata_depth import deep, draw
from jaxann.teach.erratum import worked

PRINTED = {
    "E1": ["1.2", "1.44", ".8", ".64"],
    "E2": [".2689", ".7311", None, None],
    "E3": [".03403", ".03658", ".03163"],
    "E4": ["-.01333", "-.00667", "-.01333"],
    "E5": [("-.1", "-.19", "-.271"), "10"],
    "E6": ["-.3", ".3", "-.3"],
    "E7": ["4", "3"],
    "E8": ["0", "0", "0", "1"],
    "E9": ["4", "6", "24"],
    "E10": ["6", "6", ("-.25", "0", "-.25")],
    "E11": [("2", "3"), "2"],
    "E12": [("-.0252", "-.0302")],
    "E13": [("2",), ("2", "2")],
    "E14": [("0.25", "-0.25", "-0.25", "0.25")],
    "E15": [("-.00588", "-.00618"), ("-.00588", "-.00618")],
    "E16": ["0", "1", None],
    "E17": ["1", "4.1e-8"],
    "E18": [".604368", ".604368"],
    "E19": [".03403", ".06806"],
    "E20": [("2", "1"), None, "1"],
    "E21": [("-.02515", "-.03018"), ("-.00588", "-.00618")],
    "E22": [("-.0047051857613", "-.0049410889319"), ("-.0047052", "-.0049411")],
    "E23": ["1.0414", ".03403", ".1928", (".2338", ".2046"), "-.00618", "-.00309", ".204631", "-.03154", "-.03586"],
    "E24": [".03403", ".0393", ".0294"],
    "E25": [".395", ".395"],
    "E26": ["2", "1"],
    "E27": ["inf", ("1", "0"), ".5"],
    "E28": ["24", "72"],
    "E29": [("1", "1", "1"), None],
    "E30": ["-1.0", "-2.1e-9"],
    "E31": ["5.0e5", "4996", "8.52"],
    "E32": ["1.0986", "1.0986", "1.0986"],
    "E33": ["9", "9"],
    "E34": ["1", "3.162"],
    "E35": [("1", ".5", ".333"), ("1", ".5", ".333")],
    "E36": ["1024", None],
    "E37": ["5.8e-5", None],
    "E38": ["6.3e-25"],
    "E39": ["1.38675", "1.41421"],
    "E40": ["0", None, "0"],
    "E41": [".20", ".80"],
    "E42": [".9", ".9814", ".8888"],
    "E43": ["0", "17"],
    "E44": ["nan", "0"],
    "E45": ["1.485", "1.467"],
    "E46": ["0", ".125"],
    "E48": ["9", "-.9"],
    "E49": [None, None, None],
    "E50": [".91", ".8"],
    "E51": ["1.2"],
    "E52": ["1.46"],
    "E53": ["-7.6e-22", ".01"],
    "E54": ["0", "1", "0"],
    "E55": ["1.0e6", None],
    "E57": [".8", ".85"],
    "E58": ["-2"],
    "E59": ["nan", "-inf", "nan", None],
    "E61": [".7391", None],
    "E63": ["-.953", "-3.161"],
    "E68": ["20", "3", "0"],
    "E69": [None],
}
WORDS_ALONE = {"E47", "E56", "E60", "E62", "E64", "E65", "E66", "E67"}
ROWS = {row.number: row for row in errata()}


def _as_printed(value: float, text: str) -> bool:
    """Whether a number rounds to the printed one, at the last digit printed."""
    if text in ("nan", "inf", "-inf"):
        return repr(float(value)) == text
    printed = Decimal(text)
    half = Decimal(10) ** int(printed.as_tuple().exponent) / 2
    return abs(Decimal(float(value)) - printed) <= half * (1 + Decimal("1e-6"))


@pytest.mark.parametrize("number", sorted(PRINTED, key=lambda n: int(n[1:])))
def test_check_computes_what_is_printed(number: str):
    done = ROWS[number].run()
    assert done is not None and done.holds
    assert len(done.figures) == len(PRINTED[number])
    for figure, printed in zip(done.figures, PRINTED[number], strict=True):
        if printed is None:
            continue
        values = np.asarray(figure.value, np.float64).ravel()
        texts = (printed,) if isinstance(printed, str) else printed
        assert len(values) == len(texts), figure
        for value, text in zip(values, texts, strict=True):
            assert _as_printed(value, text), f"{figure.what}: {value} is not {text}"


def test_a_rounding_is_told_from_a_mistake():
    assert _as_printed(0.20463, ".2046") and not _as_printed(0.2047, ".2046") and not _as_printed(0.20466, ".2046")
    assert _as_printed(4995.6, "4996") and not _as_printed(4990, "4996") and not _as_printed(math.nan, "inf")


def test_rows_are_numbered_and_complete():
    assert list(ROWS) == [f"E{i}" for i in range(1, 70)]
    assert set(PRINTED) | WORDS_ALONE == set(ROWS) and not set(PRINTED) & WORDS_ALONE
    for row in ROWS.values():
        assert row.severity in ja.teach.SEVERITIES
        assert row.printed.endswith(".") and row.right.endswith(".")
        assert (row.check is None) == (row.number in WORDS_ALONE)
        assert row.run() is None if row.check is None else True
    severe = {row.number for row in errata("S")}
    assert severe == {
        f"E{i}" for i in (1, 2, 3, 4, 5, 6, 7, 8, 12, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31, 33, 41, 42, 44, 46,
                          48, 49, 54, 59)
    }  # fmt: skip
    assert len(errata("I")) + len(errata("N")) + len(severe) == 69


def test_one_row_and_a_refusal():
    (row,) = errata("E3")
    assert row.number == "E3"
    for which in ("E70", "e3", "X", 3):
        with pytest.raises(ja.InputError, match="errata: which must be all, one of S, I, N, or a row from E1 to E69"):
            errata(which)


def test_worked_net_agrees_with_autodiff(x64):
    recipe, params, x, y = ja.teach.example()
    model, loss = recipe.model, recipe.loss

    def mean(params):
        return loss(model.apply(params, {name: {} for name in params}, x)[0], y).mean()

    wanted = jax.jit(jax.grad(mean))(params)
    for ours, theirs in zip(jax.tree.leaves(worked().grads), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_draws_of_deep_nets_scatter_around_the_printed_ones(x64):
    """One net in the table stands for many: the printed figure lies inside of what other keys give."""
    relu, sigmoid = [], []
    for seed in range(8):
        drawn = draw(jax.random.key(seed))
        relu.append(float(deep(activations.relu, drawn, jnp.asarray(0.125))[0]))
        sigmoid.append(float(deep(activations.sigmoid, drawn, jnp.asarray(1 / math.sqrt(128)))[1]))
    # relu is homogeneous: with weights of .1 and not .125 every one of the 40 layers gives 0.8 times as much.
    assert min(relu) * 0.8**40 < 5.8e-5 < max(relu) * 0.8**40
    assert min(sigmoid) < 6.3e-25 < max(sigmoid)


def _tampered(change):
    """`worked` with its trace changed afterwards where it is that of the worked net itself."""

    def run(params=None, **others):
        trace = worked(params, **others)
        return trace if params is not None else change(trace)

    return run


def _with_layer(trace, name: str, **fields):
    return trace._replace(layers={**trace.layers, name: dataclasses.replace(trace.layers[name], **fields)})


def _delta_before_the_slope(trace):
    return _with_layer(trace, "dense0", delta=trace.layers["act0"].delta)


def _bias_times_input(trace):
    return _with_layer(trace, "dense0", delta=trace.layers["dense0"].delta * trace.layers["dense0"].x)


def _rounded_underway(trace):
    return _with_layer(trace, "dense1", z=np.round(trace.layers["dense1"].z - 5e-5, 4))


def _one_more_term(units: int):
    """A layer whose sums have a term besides those of the inputs."""
    layer = ja.layers.dense(units)
    return SimpleNamespace(init=layer.init, apply=lambda *given: (layer.apply(*given)[0] + 1, {}))


_PATH = errata_descent._path


@pytest.mark.parametrize(
    ("number", "module", "name", "wrong"),
    [
        ("E8", errata_neuron, "perceptron", lambda x, weights, *, bias_input: jnp.ones(())),
        ("E9", errata_neuron, "_train", lambda name: (np.zeros(3), fit_perceptron(*gate("or"))[1])),
        ("E11", errata_backprop, "dense", _one_more_term),
        ("E13", errata_backprop, "worked", _tampered(_delta_before_the_slope)),
        ("E15", errata_backprop, "worked", _tampered(_bias_times_input)),
        ("E16", errata_activations, "_slope", lambda function, z: float(function is not activations.relu)),
        ("E21", errata_backprop, "worked", _tampered(_delta_before_the_slope)),
        ("E22", errata_backprop, "_by_differences", lambda layer, name: np.zeros((2, 2))),
        ("E23", errata_backprop, "worked", _tampered(_rounded_underway)),
        ("E26", errata_activations, "_slope", lambda function, z: 2.0 if z < 0 else 1.0),
        ("E42", errata_descent, "_path", lambda *given: np.array([1.0, 0.95]) if given[3] == 1 else _PATH(*given)),
        ("E48", errata_practice, "_descent", lambda: (np.ones(9), np.ones(9))),
        ("E51", errata_practice, "losses", SimpleNamespace(squared_error=lambda a, y: jnp.zeros_like(a))),
    ],
)
def test_a_check_fails_on_the_mistake(monkeypatch, number: str, module, name: str, wrong):
    assert ROWS[number].run().holds
    monkeypatch.setattr(module, name, wrong)
    assert not ROWS[number].run().holds
