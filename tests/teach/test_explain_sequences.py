"""The account of recurrence, attention, rows and norms: every printed number against formulas written down once more.

The grads are those of automatic differentiation by numbers that are added, 0 each, at every place of these formulas.
"""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.teach import cells, explain
from tests.teach.cases import value
from tests.teach.nets import filled, recipe
from tests.tolerances import assert_close

_DRAW = np.random.default_rng(5)
_SEQUENCES, _TARGETS = _DRAW.normal(size=(2, 5, 3)), _DRAW.normal(size=(2, 5, 2))
_LENGTHS = {"whole": None, "padded": np.array([3, 5])}
HALF = ja.losses.half_squared_error


def _sections(account, name: str) -> list:
    return [step for s in account.sections if re.match(rf"(For|Back)ward: {name} \(", s.title) for step in s.steps]


def _left(step) -> str:
    return step.formula.split(" = ")[0]


def _numbers(account, name: str, known: dict[str, Any], grads: dict[str, Any], number: int) -> int:
    """Holds every step of a layer's sections against arrays by letter, indices as printed; how many there are."""
    checked = 0
    for step in _sections(account, name):
        found = re.fullmatch(r"(dJ/d)?(z?[a-z])(\d)\[([\d,:]+)\]", _left(step))
        if found is None:
            wanted = (grads if _left(step).startswith("dJ/d") else known)[_left(step)]
        else:
            slope, letter, of, index = found.groups()
            assert int(of) == number
            wanted = (grads if slope else known)[letter]
            place = [slice(None) if i == ":" else int(i) - 1 for i in index.split(",")]
            wanted = np.asarray(wanted)[tuple(place)]
        assert_close(np.ravel(np.asarray(step.value, np.float64)), np.ravel(wanted), "oracle")
        checked += 1
    return checked


def _computed(function, *given):
    """By the formulas of this file, which write sums of a matrix and a row as NumPy does."""
    with jax.numpy_rank_promotion("allow"):
        return jax.jit(function)(*given)


def _mean(values, mask):
    if mask is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(mask[..., None], values, 0)) / (jnp.sum(mask).astype(float) * values.shape[-1])


# --- recurrence -----------------------------------------------------------------------------------------------------


def _recurrence(kind: str, params: dict, x: Any, taps: dict, mask: Any) -> tuple[Any, dict]:
    """The layer, position after position, as the textbooks have it; all letters."""
    batch, time = x.shape[:2]
    w, u, b, d = (params[name] for name in ("weight", "recurrent", "bias", "recurrent_bias"))
    n = u.shape[0]
    h, c, found = jnp.zeros((batch, n)), jnp.zeros((batch, n)), {letter: [] for letter in taps}

    def part(k: int, matrix):
        return matrix[..., k * n : (k + 1) * n]

    for t in range(time):
        now: dict[str, Any] = {}

        def tapped(letter: str, number, t=t, now=now):
            now[letter] = number + taps[letter][:, t]
            return now[letter]

        def gate(k: int, letter: str, squash, t=t, h=h, tapped=tapped):
            z = x[:, t] @ part(k, w) + part(k, b) + h @ part(k, u) + part(k, d)
            return squash(tapped(f"z{letter}", z))

        sigmoid = lambda z: 1 / (1 + jnp.exp(-z))  # noqa: E731
        if kind == "lstm":
            i, f = gate(0, "i", sigmoid), gate(1, "f", sigmoid)
            g, o = gate(2, "g", jnp.tanh), gate(3, "o", sigmoid)
            now |= {"i": i, "f": f, "g": g, "o": o}
            new_c = f * c + i * g
            c = new_c if mask is None else jnp.where(mask[:, t, None], new_c, c)
            c = tapped("c", c)
            new = o * jnp.tanh(c)
        elif kind == "gru":
            r, z = gate(0, "r", sigmoid), gate(1, "u", sigmoid)
            s = tapped("s", h @ part(2, u) + part(2, d))
            new_h = jnp.tanh(tapped("zn", x[:, t] @ part(2, w) + part(2, b) + r * s))
            now |= {"r": r, "u": z, "n": new_h}
            new = (1 - z) * new_h + z * h
        else:
            new = gate(0, "h", jnp.tanh)
        h = tapped("h", new if mask is None else jnp.where(mask[:, t, None], new, h))
        for letter, number in now.items():
            found.setdefault(letter, []).append(number)
    found = {letter: jnp.stack(numbers, 1) for letter, numbers in found.items()}
    y = found["h"] if mask is None else jnp.where(mask[..., None], found["h"], 0)
    return y, found


@pytest.mark.parametrize("lengths", _LENGTHS)
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_every_number_of_a_recurrence_is_that_of_the_formulas(kind: str, lengths: str, x64):
    layer = {"rnn": ja.layers.rnn, "lstm": ja.layers.lstm, "gru": ja.layers.gru}[kind](2)
    model = ja.layers.sequential({"first": ja.layers.dense(3), "cell": layer, "out": ja.layers.dense(2)})
    params, _ = filled(model, _SEQUENCES)
    given = _LENGTHS[lengths]
    x, y = (_SEQUENCES, _TARGETS) if given is None else (ja.core.padded(v, given) for v in (_SEQUENCES, _TARGETS))
    mask = None if given is None else jnp.asarray(x.mask)
    account = explain(recipe(model, HALF), params, x, y, digits=17)
    letters = {"rnn": ("zh",), "lstm": ("zi", "zf", "zg", "zo", "c"), "gru": ("zr", "zu", "zn", "s")}[kind]
    taps = {letter: jnp.zeros((2, 5, 2)) for letter in (*letters, "h")}

    def cost(params, taps, into, above):
        clean = jnp.asarray(_SEQUENCES) if mask is None else jnp.where(mask[..., None], _SEQUENCES, 0)
        first = clean @ params["first"]["weight"] + params["first"]["bias"] + into
        inner = first if mask is None else jnp.where(mask[..., None], first, 0)
        h, found = _recurrence(kind, params["cell"], inner, taps, mask)
        y = (h + above) @ params["out"]["weight"] + params["out"]["bias"]
        return _mean(0.5 * (y - _TARGETS) ** 2, mask), (found, h)

    zeros = jnp.zeros((2, 5, 3)), jnp.zeros((2, 5, 2))
    by = jax.grad(cost, (0, 1, 2, 3), has_aux=True)
    (of_params, of_taps, into, above), (found, h) = _computed(by, params, taps, *zeros)
    known = {letter: numbers[0] for letter, numbers in found.items()} | {"cell": h[0]}
    of_cell = of_params["cell"]
    grads = {letter: numbers[0] for letter, numbers in of_taps.items()}
    grads |= {"delta1": into[0], "dJ/dcell": above[0]}
    grads |= {f"dJ/dcell.{name}": grad for name, grad in of_cell.items()}
    for name, grad in of_cell.items():
        for place in np.ndindex(grad.shape):
            grads[f"dJ/dcell.{name}[{','.join(str(i + 1) for i in place)}]"] = grad[place]
    grads |= {f"delta1[{t + 1},{i + 1}]": into[0, t, i] for t, i in np.ndindex(5, 3)}
    known |= {name: slope for name, slope in grads.items() if name.startswith("delta")}
    assert _numbers(account, "cell", known, grads, 1) > {"rnn": 14, "lstm": 26, "gru": 24}[kind]
    assert_close(np.float64(account.loss), np.asarray(_computed(cost, params, taps, *zeros)[0]), "reduction")


def test_one_step_of_an_lstm_is_written_out(x64):
    model = ja.layers.sequential({"cell": ja.layers.lstm(2), "out": ja.layers.dense(2)})
    account = explain(recipe(model, HALF), filled(model, _SEQUENCES)[0], _SEQUENCES[:1], _TARGETS[:1])
    formulas = {
        _left(step): step.formula.split(" = ")[1] for step in _sections(account, "cell") if " = " in step.formula
    }
    assert formulas["zf1[3,1]"] == (
        "x[3,1] cell.weight[1,3] + x[3,2] cell.weight[2,3] + x[3,3] cell.weight[3,3] + cell.bias[3]"
        " + h1[2,1] cell.recurrent[1,3] + h1[2,2] cell.recurrent[2,3] + cell.recurrent_bias[3]"
    )
    assert formulas["f1[3,1]"] == "1/(1 + e^-zf1[3,1])" and formulas["g1[3,1]"] == "tanh(zg1[3,1])"
    assert formulas["c1[3,1]"] == "f1[3,1] c1[2,1] + i1[3,1] g1[3,1]" and formulas["h1[3,1]"] == "o1[3,1] tanh(c1[3,1])"
    assert formulas["dJ/dzf1[3,1]"] == "dJ/dc1[3,1] c1[2,1] f1[3,1] (1 - f1[3,1])"
    assert formulas["dJ/dc1[3,1]"] == "dJ/dc1[4,1] f1[4,1] + dJ/dh1[3,1] o1[3,1] (1 - tanh(c1[3,1])^2)"
    through_time = " + ".join(f"h1[{t},1] dJ/dzi1[{t + 1},1]" for t in (1, 2, 3, 4))
    assert formulas["dJ/dcell.recurrent[1,1]"] == through_time
    assert max(map(len, str(account).splitlines())) <= 80


def test_what_does_not_meet_the_net_s_own_numbers_is_never_printed(monkeypatch: pytest.MonkeyPatch, x64):
    model = ja.layers.sequential({"cell": ja.layers.lstm(2), "out": ja.layers.dense(2)})
    monkeypatch.setitem(cells.GATES, ja.layers.lstm, "figo")
    with pytest.raises(ArithmeticError, match="explain: cell: the output, written out, is not the net's own"):
        explain(recipe(model, HALF), filled(model, _SEQUENCES)[0], _SEQUENCES, _TARGETS)


# --- attention ------------------------------------------------------------------------------------------------------

_KINDS = {
    "plain": {},
    "causal": {"causal": True},
    "window": {"window": 2, "use_bias": False},
    "alibi": {"positions": "alibi", "causal": True},
    "rotary": {"positions": "rotary"},
    "relative": {"positions": "relative"},
    "groups": {"groups": 1},
}


def _attention(settings: dict, params: dict, x: Any, taps: dict, mask: Any) -> tuple[Any, dict]:
    """Four features, two heads of two, one loop for each query; letters of the first head, first example."""
    groups, time = settings.get("groups", 2), x.shape[1]
    mixed = x @ params["qkv"]["weight"] + params["qkv"].get("bias", 0)

    def turned(a):
        if settings.get("positions") != "rotary":
            return a
        p = jnp.arange(time)[:, None]  # two features are one pair, turned by the position itself
        return jnp.concatenate([a[..., :1] * jnp.cos(p) - a[..., 1:] * jnp.sin(p),
                                a[..., :1] * jnp.sin(p) + a[..., 1:] * jnp.cos(p)], -1)  # fmt: skip

    given, outs = {"mixed": mixed}, []
    for head in range(2):
        group = head * groups // 2
        q, k, v = (mixed[..., 2 * i : 2 * i + 2] for i in (head, 2 + group, 2 + groups + group))
        q, k = turned(q), turned(k)
        q = q + (taps["q"] if head == 0 else 0)
        k, v = k + (taps["k"] if group == 0 else 0), v + (taps["v"] if group == 0 else 0)
        s = q @ jnp.swapaxes(k, 1, 2) / jnp.sqrt(2.0)
        apart = jnp.arange(time)[:, None] - jnp.arange(time)
        if settings.get("positions") == "alibi":
            s = s - 2.0 ** (-4 * (head + 1)) * abs(apart).astype(float)
        if settings.get("positions") == "relative":  # near ones are a kind each, those after the query from 16 on
            s = s + params["distances"][:, head][jnp.where(apart < 0, 16, 0) + abs(apart)]
        s = s + (taps["s"] if head == 0 else 0)
        seen = jnp.ones((1, time, time), bool)
        if settings.get("causal"):
            seen &= apart >= 0
        if "window" in settings:
            seen &= abs(apart) < settings["window"]
        if mask is not None:
            seen = seen & mask[:, None]
        m = jnp.max(jnp.where(seen, s, -jnp.inf), -1, keepdims=True)
        m = jax.lax.stop_gradient(jnp.where(jnp.isfinite(m), m, 0.0))  # a query of padding may see nothing
        e = jnp.where(seen, jnp.exp(s - m), 0)
        t = e.sum(-1, keepdims=True)
        p = e / jnp.where(t > 0, t, 1) + (taps["p"] if head == 0 else 0)
        outs.append(p @ v)
        if head == 0:
            given |= {"q": q, "k": k, "v": v, "s": s, "m": m[..., 0], "e": e, "t": e.sum(-1), "p": p}
    o = jnp.concatenate(outs, -1) + taps["o"]
    return o @ params["out"]["weight"] + params["out"].get("bias", 0), given | {"o": o}


@pytest.mark.parametrize("lengths", _LENGTHS)
@pytest.mark.parametrize("kind", _KINDS)
def test_every_number_of_a_head_is_that_of_the_formulas(kind: str, lengths: str, x64):
    settings, given = _KINDS[kind], _LENGTHS[lengths]
    model = ja.layers.sequential({"heads": ja.layers.multi_head_attention(4, 2, **settings), "out": ja.layers.dense(2)})
    params, _ = filled(model, _SEQUENCES)
    x, y = (_SEQUENCES, _TARGETS) if given is None else (ja.core.padded(v, given) for v in (_SEQUENCES, _TARGETS))
    mask = None if given is None else jnp.asarray(x.mask)
    account = explain(recipe(model, HALF), params, x, y, digits=17)
    shapes = {"q": (2, 5, 2), "k": (2, 5, 2), "v": (2, 5, 2), "s": (2, 5, 5), "p": (2, 5, 5), "o": (2, 5, 4)}
    taps = {letter: jnp.zeros(shape) for letter, shape in shapes.items()}

    def cost(params, taps):
        clean = jnp.asarray(_SEQUENCES) if mask is None else jnp.where(mask[..., None], _SEQUENCES, 0)
        y, found = _attention(settings, params["heads"], clean, taps, mask)
        y = y @ params["out"]["weight"] + params["out"]["bias"]
        return _mean(0.5 * (y - _TARGETS) ** 2, mask), found

    of_taps, found = _computed(jax.grad(cost, 1, has_aux=True), params, taps)
    known = {letter: numbers[0] for letter, numbers in found.items()}
    grads = {letter: numbers[0] for letter, numbers in of_taps.items()}
    known["g"] = np.sum(known["p"] * grads["p"], -1)
    known["o1"] = known["o"]
    own, mixed = _sections(account, "heads"), account.grads["heads"]["qkv"]["weight"]
    known["delta1"] = next(step.value for step in own if _left(step) == "delta1")  # held below, by what it leads to
    by_params = _computed(jax.grad(lambda params: cost(params, taps)[0]), params)
    if kind == "relative":
        table = np.asarray(by_params["heads"]["distances"])
        grads |= {"dJ/dheads.distances": table} | {f"dJ/dheads.distances[{k + 1},1]": table[k, 0] for k in range(32)}
    assert _numbers(account, "heads", known, grads, 1) > 20
    assert_close(mixed, np.asarray(by_params["heads"]["qkv"]["weight"]), "oracle")
    (section,) = (s for s in account.sections if s.title.startswith("Forward: heads ("))
    text = " ".join(section.text)
    assert ("what comes later" in text) == bool(settings.get("causal"))
    assert ("2 or more positions away" in text) == (kind == "window")
    assert ("padding" in text) == (given is not None)


def test_one_head_is_written_out(x64):
    layer = ja.layers.multi_head_attention(4, 2, causal=True)
    model = ja.layers.sequential({"heads": layer, "out": ja.layers.dense(2)})
    account = explain(recipe(model, HALF), filled(model, _SEQUENCES)[0], _SEQUENCES[:1], _TARGETS[:1])
    formulas = {_left(step): step.formula.split(" = ")[-1] for step in _sections(account, "heads")}
    assert formulas["s1[3,2]"] == "(q1[3,1] k1[2,1] + q1[3,2] k1[2,2])/sqrt(2)"
    assert formulas["e1[3,2]"] == "e^(s1[3,2] - m1[3])" and formulas["t1[3]"] == "e1[3,1] + e1[3,2] + e1[3,3]"
    assert formulas["p1[3,2]"] == "e1[3,2]/t1[3]"
    assert [value(account, f"p1[3,{k}]") for k in (4, 5)] == [0, 0]
    assert formulas["o1[3,1]"] == "p1[3,1] v1[1,1] + p1[3,2] v1[2,1] + p1[3,3] v1[3,1]"
    assert formulas["dJ/dv1[1,1]"] == " + ".join(f"p1[{t},1] dJ/do1[{t},1]" for t in (1, 2, 3, 4, 5))
    assert formulas["dJ/ds1[3,2]"] == "p1[3,2] (dJ/dp1[3,2] - g1[3])"
    text = " ".join(str(account).split())
    assert "Of 5 positions it may see 1 to 3: not what comes later." in text
    assert "columns 1 to 2 are its queries q1, 5 to 6 its keys k1, 9 to 10 its values v1" in text
    titles = [s.title for s in account.sections]
    at = titles.index("Forward: heads (multi_head_attention)")
    assert titles[at - 1] == "Forward: layer 1 (heads.qkv)" and titles[at + 1] == "Forward: layer 2 (heads.out)"


# --- rows and norms -------------------------------------------------------------------------------------------------


def test_rows_and_their_gradients_are_those_of_a_loop(x64):
    model = ja.layers.sequential({"row": ja.layers.embedding(6, 2), "out": ja.layers.dense(1)})
    ids, y = np.array([[1, 4, 2, 4, 4], [4, 1, 0, 0, 3]]), _DRAW.normal(size=(2, 5, 1))
    params, _ = filled(model, ids)
    account = explain(recipe(model, HALF), params, ids, y, digits=17)
    table, w, b = params["row"]["weight"], params["out"]["weight"], params["out"]["bias"]
    slope = (table[ids] @ w + b - y) / 10 @ w.T
    wanted = np.zeros_like(table)
    for n, t in np.ndindex(2, 5):
        wanted[ids[n, t]] += slope[n, t]
    assert_close(value(account, "row[3,:]"), table[2], "reduction")
    assert_close(value(account, "dJ/drow.weight[5,:]"), wanted[4], "reduction")
    assert_close(np.float64(value(account, "dJ/drow.weight[5,1]")), wanted[4, 0], "reduction")
    assert_close(value(account, "dJ/drow.weight"), wanted, "reduction")
    (step,) = (s for s in _sections(account, "row") if _left(s) == "dJ/drow.weight[5,1]")
    assert (
        step.formula.endswith("sum of dJ/drow[2,1] + dJ/drow[4,1] + dJ/drow[5,1]") and step.substituted.count("+") == 3
    )
    assert "1 of them were not looked up" in _sections(account, "row")[-1].title
    assert "x = 1, 4, 2, 4, 4. Ids count from 0, the 6 rows" in " ".join(str(account).split())


@pytest.mark.parametrize("axes", [1, 2])
def test_a_layer_norm_is_that_of_its_formulas(axes: int, x64):
    norm = ja.layers.layer_norm(axes=axes, eps=0.1)
    model = ja.layers.sequential({"first": ja.layers.dense(3), "norm": norm, "cell": ja.layers.rnn(2)})
    params, _ = filled(model, _SEQUENCES)
    account = explain(recipe(model, HALF), params, _SEQUENCES, _TARGETS, digits=17)
    x = jnp.asarray(_SEQUENCES @ params["first"]["weight"] + params["first"]["bias"])
    over = (-1,) if axes == 1 else (-1, -2)

    def cost(scale, bias, u, into):
        mean = (x + into).mean(over, keepdims=True)
        variance = ((x + into - mean) ** 2).mean(over, keepdims=True)
        normal = (x + into - mean) / jnp.sqrt(variance + 0.1) + u
        y = scale * normal + bias
        after = model.children["cell"].apply(params["cell"], {}, y)[0]
        return jnp.mean(0.5 * (after - _TARGETS) ** 2), (mean, variance, normal, y)

    given = params["norm"]["scale"], params["norm"]["bias"], jnp.zeros(x.shape), jnp.zeros(x.shape)
    of_scale, of_bias, of_u, into = _computed(jax.grad(lambda *a: cost(*a)[0], (0, 1, 2, 3)), *given)
    mean, variance, normal, y = (np.asarray(a) for a in _computed(cost, *given)[1])
    flat = (lambda a: a[0]) if axes == 1 else (lambda a: np.asarray(a)[0].ravel())
    known = {
        "m1": mean[0].ravel(),
        "v1": variance[0].ravel(),
        "u": flat(normal),
        "y": y[0],
        "y1": y[0],
        "delta1": into[0],
    }
    grads = {"u": flat(of_u), "dJ/dnorm.scale": of_scale, "dJ/dnorm.bias": of_bias}
    for place in np.ndindex(of_scale.shape):
        index = ",".join(str(i + 1) for i in place)
        grads |= {f"dJ/dnorm.scale[{index}]": of_scale[place], f"dJ/dnorm.bias[{index}]": of_bias[place]}
    means = (of_u * normal).mean(over)[0], of_u.mean(over)[0]
    known |= {"k1": means[0], "g1": means[1], "m": mean[0].ravel(), "v": variance[0].ravel()}
    known |= {"k": np.ravel(means[0]), "g": np.ravel(means[1])}
    known |= {f"delta1[{t + 1},{i + 1}]": into[0, t, i] for t, i in np.ndindex(5, 3)}
    assert _numbers(account, "norm", known, grads, 1) >= (20 if axes == 1 else 10)


def test_a_layer_norm_of_what_does_not_vary_shows_no_division_by_nothing(x64):
    model = ja.layers.sequential({"first": ja.layers.dense(2), "norm": ja.layers.layer_norm(eps=0.0)})
    params, _ = filled(model, _SEQUENCES)
    params["first"] = {"weight": np.ones((3, 2)), "bias": np.zeros(2)}
    account = explain(recipe(model, HALF), params, _SEQUENCES, _TARGETS)
    assert_close(value(account, "y1"), np.tile(params["norm"]["bias"], 5), "reduction")
    assert_close(value(account, "u1[1]"), np.zeros(2), "reduction")
    assert not any("sqrt(0" in step.substituted for step in _sections(account, "norm"))
