"""The account of whole nets of language, long ones too, and of a recurrent layer of one's own."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.teach import explain, layer_formula
from tests.teach.cases import value
from tests.teach.nets import filled, recipe
from tests.tolerances import assert_close

_SEQUENCES, _TARGETS = np.random.default_rng(5).normal(size=(2, 5, 3)), np.random.default_rng(6).normal(size=(2, 5, 2))
HALF = ja.losses.half_squared_error


def test_language_models_are_explained_as_whole_nets(x64):
    ids, y = np.array([[1, 0, 3, 1]]), np.array([[0, 3, 1, 2]])
    nets = {
        "gpt": ja.models.gpt(5, features=4, heads=2, blocks=3, context=8),
        "lstm": ja.models.recurrent_language_model(5, units=3),
    }
    for name, model in nets.items():
        params, state = filled(model, ids)
        account = explain(recipe(model, ja.losses.softmax_cross_entropy), params, ids, y)

        def cost(params, model=model, state=state):
            logits = model.apply(params, state, jnp.asarray(ids), train=True)[0]
            return jnp.mean(ja.losses.softmax_cross_entropy(logits, jnp.asarray(y)))

        for ours, theirs in zip(
            jax.tree.leaves(account.grads), jax.tree.leaves(jax.jit(jax.grad(cost))(params)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
        lines = str(account).splitlines()
        assert max(map(len, lines)) <= 80 and account.loss_after < account.loss
        assert "single numbers are those of position 3." in " ".join(lines)
        assert (account.net is None) is (name == "gpt") and bool(account.diagram) is (name == "gpt")
        assert account.html().count("<svg") == (1 if name == "gpt" else 2)


def test_a_long_language_model_is_shown_in_part(x64):
    model = ja.models.recurrent_language_model(65, units=32)
    ids = np.random.default_rng(0).integers(0, 65, (4, 40))
    params, _ = filled(model, ids)
    account = explain(recipe(model, ja.losses.softmax_cross_entropy), params, ids, ids)
    assert len(str(account).splitlines()) < 190 and len(account.html()) < 60_000


def test_a_layer_of_your_own_may_be_like_one_of_ours(x64):
    @ja.core.factories.factory(ja.core.products.Layer, static=("units",))
    def own(units: int):
        """An LSTM."""
        return ja.layers.lstm(units).functions

    @ja.backprop.layer_rule(own)
    def rule(call):
        inner = call._replace(layer=ja.layers.lstm(2))
        return ja.backprop.registry.rule_of("own", inner.layer, "").run(inner)

    layer_formula(own, like=ja.layers.lstm)(lambda layer, train: "own(u)")
    model = ja.layers.sequential({"cell": own(2), "out": ja.layers.dense(2)})
    account = explain(recipe(model, HALF), filled(model, _SEQUENCES)[0], _SEQUENCES, _TARGETS)
    assert any(step.formula.startswith("c1[3,1] = ") for section in account.sections for step in section.steps)
    with pytest.raises(ja.InputError, match=r"teach.layer_formula: like must be one of embedding, gru"):
        layer_formula(own, like=ja.layers.dense)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 5.0])])
def test_padding_has_no_part_in_the_printed_loss(weights, x64):
    loss = ja.losses.softmax_cross_entropy
    loss = loss if weights is None else functools.partial(loss, class_weights=weights)
    lengths, labels = np.array([3, 1]), np.array([[0, 2, 1, 1, 0], [2, 0, 0, 1, 2]])
    model = ja.layers.sequential({"cell": ja.layers.gru(2), "out": ja.layers.dense(3)})
    x, y = (ja.core.padded(v, lengths) for v in (_SEQUENCES, labels))
    params, state = filled(model, _SEQUENCES)
    account = explain(recipe(model, loss), params, x, y, digits=17)
    logits = np.asarray(model.apply(params, state, jnp.asarray(_SEQUENCES))[0])
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    real = np.arange(5) < lengths[:, None]
    own = np.ones(3) if weights is None else weights
    each = -np.log(np.take_along_axis(shares, labels[..., None], -1)[..., 0]) * own[labels]
    wanted = each[real].sum() / own[labels][real].sum()
    assert_close(np.float64(account.loss), wanted, "oracle")
    (step,) = (s for section in account.sections for s in section.steps if s.formula.startswith("J = "))
    assert_close(np.float64(eval(step.substituted, {"__builtins__": {}})), wanted, "oracle")  # noqa: S307
    assert step.substituted.split("/")[0].count("+") == 3  # of four real positions
    if weights is None:
        slope = (shares - np.eye(3)[labels]) / 4
        found = [value(account, f"delta1[2,{k}]") for k in (1, 2, 3)]
        assert_close(np.array(found), slope[0, 1], "oracle")
        assert_close(np.float64(value(account, "l[2]")), each[0, 1], "oracle")


def test_explain_refuses_sequences_that_do_not_fit_their_mask(x64):
    model = ja.layers.sequential({"cell": ja.layers.gru(2), "out": ja.layers.dense(2)})
    x = ja.core.Padded(_SEQUENCES, np.ones((2, 4), bool))
    with pytest.raises(ja.InputError, match=r"explain: x must be of the mask's shape \(2, 4\) in the first axes"):
        explain(recipe(model, HALF), filled(model, _SEQUENCES)[0], x, _TARGETS)
