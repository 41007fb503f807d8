"""The account of a training step: the worked net's numbers, and that every equation it shows is true."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.teach import example, explain
from tests.programs import quick_jit
from tests.teach.cases import CASES, value
from tests.teach.nets import filled, recipe, wide_net
from tests.tolerances import assert_close

WORKED = {  # independent of the program: by central differences and complex steps elsewhere, 15 digits
    "2-2-1": {
        "a": (0.627147766313196, 0.713000162752282),
        "z": 1.04137398080797,
        "y": 0.739115029592156,
        "J": 0.0340304838923508,
        "b2": -0.0503048842182605,
        "W2": (-0.0315485957721260, -0.0358673906348544),
        "dJ/da": (-0.0251524421091303, -0.0301829305309563),
        "b1": (-0.00588148220165963, -0.00617636116482214),
        "W1": ((-0.00294074110082981, -0.00308818058241107), (-0.0047051857613277, -0.00494108893185771)),
        "after": 0.0316268484853003,
    },
    "2-2-1-cross-entropy": {
        "J": 0.302301714406633,
        "b2": -0.260884970407844,
        "W2": (-0.163613426455963, -0.186011026360417),
        "b1": (-0.0305018157576288, -0.0320310805750324),
        "W1": ((-0.0152509078788144, -0.0160155402875162), (-0.0244014526061031, -0.0256248644600259)),
    },
    "2-2-1-slope-2": {
        "a": (0.738850006084249, 0.86056612703835),
        "y": 0.914630351184054,
        "J": 0.00364398846947898,
        "b2": -0.0133316098142008,
        "W2": (-0.00985005999233511, -0.0114727318249933),
        "b1": (-0.0025723431070681, -0.00191962491817103),
        "W1": ((-0.00128617155353405, -0.000959812459085514), (-0.00205787448565448, -0.00153569993453682)),
    },
}


@pytest.mark.parametrize("name", sorted(WORKED))
def test_account_has_the_worked_numbers(name: str):
    account, want = explain(*example(name), digits=17), WORKED[name]
    assert _equations(account) == 28
    grads = account.grads
    assert_close(grads["dense1"]["bias"][0], want["b2"], "reduction")
    assert_close(grads["dense1"]["weight"][:, 0], np.array(want["W2"]), "reduction")
    assert_close(grads["dense0"]["bias"], np.array(want["b1"]), "reduction")
    assert_close(grads["dense0"]["weight"], np.array(want["W1"]), "reduction")
    assert_close(np.float64(account.loss), want["J"], "reduction")
    for i in range(2):
        assert_close(np.float64(value(account, f"dJ/dW2[{i + 1}]")), want["W2"][i], "reduction")
        assert_close(np.float64(value(account, f"delta1[{i + 1}]")), want["b1"][i], "reduction")
        for j in range(2):
            assert_close(np.float64(value(account, f"dJ/dW1[{i + 1},{j + 1}]")), want["W1"][i][j], "reduction")
    if name == "2-2-1":
        for i in range(2):
            assert_close(np.float64(value(account, f"a1[{i + 1}]")), want["a"][i], "reduction")
            assert_close(np.float64(value(account, f"dJ/da1[{i + 1}]")), want["dJ/da"][i], "reduction")
        assert_close(np.float64(value(account, "z2")), want["z"], "reduction")
        assert_close(np.float64(value(account, "J", turn=1)), want["after"], "reduction")


def test_text_prints_every_digit_of_the_worked_net():
    text = str(explain(*example(), digits=15))
    for line in (
        "dJ/db2 = delta2 = -0.0503048842182605",
        "-0.031548595772126",
        "-0.0358673906348544",
        "dJ/db1[1] = delta1[1] = -0.00588148220165963",
        "dJ/db1[2] = delta1[2] = -0.00617636116482214",
        "-0.00294074110082981",
        "-0.00308818058241107",
        "-0.0047051857613277",
        "-0.00494108893185771",
        "J = 0.0316268484853003",
        "J fell from 0.0340304838923508 to 0.0316268484853003",
        "0.0365782451899969",
    ):
        assert line in text, line


def _at_rate(rate: float):
    return example().recipe.replace(optimizer=ja.optimizers.sgd(rate))


@pytest.mark.parametrize(("rate", "after"), [(0.1, 0.0335383763337583), (1.0, 0.0293625701304246)])
def test_rate_of_the_step(rate: float, after: float):
    assert_close(np.float64(explain(_at_rate(rate), *example()[1:]).loss_after), after, "reduction")


def test_parameters_after_the_step():
    after = explain(*example()).params_after
    w1 = np.array([[0.201470370550415, 0.301544090291206], [0.402352592880664, 0.702470544465929]])
    assert_close(after["dense0"]["weight"], w1, "reduction")
    assert_close(after["dense0"]["bias"], np.array([0.10294074110083, 0.203088180582411]), "reduction")
    assert_close(after["dense1"]["weight"][:, 0], np.array([0.515774297886063, 0.617933695317427]), "reduction")
    assert_close(after["dense1"]["bias"], np.array([0.32515244210913]), "reduction")


def _elu(x: float, alpha: float) -> float:
    return x if x > 0 else alpha * (math.exp(x) - 1)


NAMES = {
    "E": math.e, "ln": math.log, "lncosh": lambda x: math.log(math.cosh(x)), "tanh": math.tanh, "max": max,
    "sqrt": math.sqrt, "sign": lambda x: (x > 0) - (x < 0), "abs": abs, "elu": _elu,
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}  # fmt: skip


def _computed(substituted: str) -> float | None:
    """What a line of numbers comes to; None for one that leaves numbers out."""
    if not substituted or " more" in substituted:
        return None
    text = substituted.replace("ln cosh(", "lncosh(").replace("^", "**").replace("e**", "E**")
    text = re.sub(r"ln (\d[\d.e+-]*)", r"ln(\1)", text)
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    return eval(text, {"__builtins__": {}}, NAMES)  # noqa: S307


def _equations(account) -> int:
    """Holds every line of numbers of an account against its result; how many there are."""
    checked = 0
    for section in account.sections:
        for step in section.steps:
            value = _computed(step.substituted)
            if value is not None:
                assert_close(np.float64(value), np.float64(step.value), "reduction")
                checked += 1
    return checked


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_equation_is_true(name: str, x64):
    model, x, y, loss, more = CASES[name]
    params, state = filled(model, x if x.ndim > 1 else x[None])
    state = jax.tree.map(lambda leaf: leaf + 1, state)
    loss = getattr(ja.losses, loss) if isinstance(loss, str) else loss
    account = explain(recipe(model, loss), params, x, y, state=state, digits=17, **more)
    assert _equations(account) > (0 if name == "members" else 3 if name in ("maxout", "gated") else 8)
    _named_once(account)
    _ends_with_the_output(account, model, state, x, more)
    plain = ("branch", "repeated", "forks", "maxout", "gated", "members", "gpt", "both_ways")
    drawn = name not in plain
    assert (account.net is not None) is drawn


def _named_once(account) -> None:
    """What is printed under one name has one value, but for J and the losses l, before and after the update."""
    known: dict[str, np.ndarray] = {}
    for section in account.sections:
        if section.title.startswith(("Update", "Forward again")):
            continue
        for step in section.steps:
            left = re.split(" = | <- ", step.formula)[0]
            value = np.asarray(step.value)
            assert np.array_equal(known.setdefault(left, value), value), left


def _ends_with_the_output(account, model, state, x, more) -> None:
    """The last output that is printed after the update is what the model gives with the new parameters."""
    x = np.asarray(x) if np.ndim(x) > 1 else np.asarray(x)[None]
    key, train = more.get("key"), more.get("train", True)
    last = account.sections[-2].steps[-2]
    program = quick_jit(lambda params, state, x: model.apply(params, state, x, key=key, train=train)[0])
    predicted = program(account.params_after, state, x)
    assert_close(np.ravel(last.value), np.asarray(predicted)[0].ravel(), "reduction")


def test_gradients_are_those_of_autodiff(x64):
    model, x, y, _, more = CASES["others"]
    params, state = filled(model, x)
    account = explain(recipe(model, ja.losses.half_squared_error), params, x, y, state=state, **more)

    def mean(params):
        return jnp.mean(ja.losses.half_squared_error(model.apply(params, state, x, train=True, **more)[0], y))

    value, wanted = jax.jit(jax.value_and_grad(mean))(params)
    assert_close(np.float64(account.loss), value, "reduction")
    for ours, theirs in zip(jax.tree.leaves(account.grads), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_wide_net_and_batch_are_shown_in_part():
    draw = np.random.default_rng(0)
    model, params = wide_net(64, 512, 10)
    net = recipe(model, ja.losses.softmax_cross_entropy)
    account = explain(net, params, draw.normal(size=(32, 64)), draw.integers(0, 10, 32))
    lines = str(account).splitlines()
    assert len(lines) < 100 and max(map(len, lines)) <= 80
    assert "  z1 = (" in str(account) and "510 more)" in str(account)
    assert len(account.html()) < 40_000


def test_inputs_by_name_and_lines_of_80_columns():
    names = ("a column with a rather long name", "b")
    for digits in (3, 17):
        lines = str(explain(*example(), names=names, digits=digits)).splitlines()
        assert max(map(len, lines)) <= 80
        assert any('"b" delta1[2]' in line for line in lines)


def test_one_example_needs_no_batch_axis():
    net, params, x, y = example()
    assert explain(net, params, x[0], y[0]).loss == explain(net, params, x, y).loss
    assert explain(net, params, x[0], 1).loss == explain(net, params, x, y).loss


_CLASSES = example().recipe.replace(loss=ja.losses.softmax_cross_entropy)
_PENALIZED = example().recipe.replace(penalty=ja.regularizers.l2_penalty(0.1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"digits": 1}, "explain: digits must be an integer of at least 2"),
        ({"digits": 18}, "explain: digits must be at most 17"),
        ({"names": ("one",)}, "explain: names must be one for each of the 2 inputs, got 1 names"),
        ({"x": 3.0}, "explain: x must be of shape (features,) or (batch, ...)"),
        ({"y": np.zeros((3, 1))}, "explain: y must be one target for each of the 1 examples"),
        ({"x": np.zeros((0, 2)), "y": np.zeros((0, 1))}, "explain: x must be one example or more, got shape (0, 2)"),
        ({"x": ["a", "b"]}, "explain: x must be an array of numbers, got <U1"),
        ({"y": None}, "explain: y must be an array, got None"),
        ({"params": {}}, "explain: params must be those of the model, with dense0.bias, got none of that name"),
        ({"params": {**example().params, "more": np.zeros(2)}}, "explain: params must be those of the model, got more"),
        ({"x": np.array([np.nan, 1.0]), "y": 1.0}, "explain: J must be finite, got nan"),
        ({"y": np.array([3]), "recipe": _CLASSES}, "explain: y must be labels in 0..0, got 3"),
        ({"y": np.array([-1]), "recipe": _CLASSES}, "explain: y must be labels in 0..0, got -1"),
        (
            {"recipe": SimpleNamespace(model=3, loss=abs, optimizer=None, penalty=None)},
            "explain: model must be a layer or model",
        ),
        ({"recipe": example().recipe.model}, "explain: recipe must be a recipe, with a model, a loss and an optimizer"),
        ({"recipe": _PENALIZED}, "explain: recipe.penalty must be None, got l2_penalty"),
        ({"train": "noise"}, "explain: train must be True, False or a TrainMode"),
    ],
)
def test_explain_refuses(change, text: str):
    given = {**example()._asdict(), **change}
    with pytest.raises(ja.InputError) as caught:
        explain(**given)
    assert str(caught.value).startswith(text)


def test_explain_wants_a_state_with_statistics():
    model = ja.models.mlp((2, 1), batch_norm=True)
    params, _ = model.init(jax.random.key(0), jnp.zeros((1, 2)))
    with pytest.raises(
        ja.InputError, match="explain: state must be given for a model with running statistics, got None"
    ):
        explain(recipe(model, ja.losses.squared_error), params, np.zeros((2, 2)), np.zeros((2, 1)))


def test_example_refuses_an_unknown_name():
    with pytest.raises(ja.InputError, match="example: name must be one of 2-2-1"):
        example("2-2-2")
