"""The live map: its numbers are those of direct computation, its boxes the model's, and its page stands alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.trees import flatten_named
from jaxann.diagnose.map_content import FIGURES, rounded
from jaxann.diagnose.map_examples import passes, trace
from jaxann.diagnose.map_walk import GIVEN
from jaxann.train.batches import Batch
from tests.contract import assert_input_error
from tests.diagnose.maps import KINDS, content_of_page, drawn, net, read

CLOSE = {"rtol": 1e-6, "atol": 1e-6}  # what the map promises


def _by_name(found: Any) -> dict[str, Any]:
    return {layer.name: layer.key for layer in found.layers}


def _loss(recipe: Any, y: Any, predictions: Any) -> Any:
    return jnp.sum(recipe.loss(predictions, y))


def test_outputs_and_gradients_are_those_of_vjp():
    recipe, params, state, x, y = net("mlp")
    found = passes(recipe, params, state, Batch(x, y))
    names = list(recipe.model.children)

    def rest(z, start):
        for name in names[start:]:
            z = recipe.model.children[name].apply(params[name], state[name], z)[0]
        return z

    given = x
    for number, name in enumerate(names):
        given = recipe.model.children[name].apply(params[name], state[name], given)[0]
        _, vjp = jax.vjp(lambda z, start=number + 1: _loss(recipe, y, rest(z, start)), given)
        (grad,) = vjp(jnp.float32(1))
        place = _by_name(found)[name]
        for figures, wanted in ((found.forward[place], given), (found.backward[place], grad)):
            np.testing.assert_allclose(figures.values, wanted, **CLOSE)
            np.testing.assert_allclose(figures.norm, np.linalg.norm(wanted, axis=1), **CLOSE)
            np.testing.assert_allclose(figures.mean, np.mean(wanted, axis=1), **CLOSE)
    np.testing.assert_allclose(found.loss, recipe.loss(given, y), **CLOSE)


def test_rounds_of_a_loop_have_outputs_and_gradients_of_their_own():
    recipe, params, state, x, y = net("repeat")
    found = passes(recipe, params, state, Batch(x, y))
    inner = recipe.model.children["blocks"].children["block"]
    blocks = params["blocks"]["block"]

    def block(z, number):
        own = jax.tree.map(lambda leaf: leaf[number], (blocks, state["blocks"]["block"]))
        return inner.apply(*own, z)[0]

    def rest(z, number):
        for one in range(number, 3):
            z = block(z, one)
        return recipe.model.children["out"].apply(params["out"], {}, z)[0]

    given = recipe.model.children["first"].apply(params["first"], {}, x)[0]
    for number in range(3):
        given = block(given, number)
        _, vjp = jax.vjp(lambda z, start=number + 1: _loss(recipe, y, rest(z, start)), given)
        place = _by_name(found)[f"blocks.block[{number}]"]
        np.testing.assert_allclose(found.forward[place].values, given, **CLOSE)
        np.testing.assert_allclose(found.backward[place].values, vjp(jnp.float32(1))[0], **CLOSE)


@pytest.mark.parametrize("kind", ["mlp", "repeat"])
def test_gradients_of_parameters_are_those_of_each_example(kind: str):
    recipe, params, state, x, y = net(kind)
    found = passes(recipe, params, state, Batch(x, y))

    def loss(params, row, target):
        return recipe.loss(recipe.model.apply(params, state, row[None])[0], target[None])[0]

    each = flatten_named(jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, y))
    for layer in found.layers:
        own = [leaf for name, leaf in each.items() if name.startswith(f"{layer.seen.path}.")]
        if layer.seen.kind == "dense":
            rounds = (slice(None), *layer.key[1])
            wanted = np.sqrt(sum(np.sum(np.square(leaf[rounds].reshape(len(x), -1)), 1) for leaf in own))
            np.testing.assert_allclose(found.parameters[layer.key], wanted, **CLOSE)


def test_padding_counts_in_no_figure():
    model = ja.layers.sequential({"dense": ja.layers.dense(2), "last": ja.layers.last_position()})
    params = {"dense": {"weight": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}, "last": {}}
    x = ja.core.padded(np.ones((2, 3, 2), np.float32), np.array([1, 3]))
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1))
    found = passes(recipe, params, {"dense": {}, "last": {}}, Batch(x, np.zeros((2, 2), np.float32)))
    figures = found.forward[_by_name(found)["dense"]]
    np.testing.assert_allclose(figures.norm, np.sqrt([2 * 9, 6 * 9]), rtol=1e-6)
    np.testing.assert_allclose(figures.mean, [3, 3])


def test_figures_are_those_of_a_probe_and_distributions_numpys():
    recipe, params, state, x, y = net("mlp")
    content = content_of_page(drawn("mlp"))
    found = ja.diagnose.probe(recipe, (x, y), key=jax.random.key(0), initial=(params, state))
    for box, figures in zip(content["boxes"], content["epochs"][-1]["figures"], strict=False):
        layer = found[box["name"]]
        wanted = [getattr(layer, name.removeprefix("layer_")) for name in FIGURES]
        assert figures == [rounded(value) for value in wanted]
    assert content["epochs"][-1]["losses"] == [["loss", rounded(found.loss)]]
    place = [box["name"] for box in content["boxes"]].index("dense0")
    values = recipe.model.children["dense0"].apply(params["dense0"], {}, x)[0]  # before anything is dropped
    low, high, counts = content["histograms"][place]
    assert counts == np.histogram(values, 16)[0].tolist()
    assert (low, high) == (rounded(values.min()), rounded(values.max()))


@pytest.mark.parametrize("kind", KINDS)
def test_each_layer_of_the_summary_is_on_the_map_once(kind: str):
    recipe, _, _, x, _ = net(kind)
    content = content_of_page(drawn(kind))
    names = [box["name"] for box in content["boxes"]]
    assert len(set(names)) == len(names) and (names[0], names[-1]) == ("(input)", "(loss)")
    paths = [re.sub(r"\[\d+\]", "", name) for name in names]
    for row in ja.summary(recipe.model, jax.ShapeDtypeStruct(x.shape, x.dtype)).rows:
        loops = 3 if kind == "repeat" else 2
        assert paths.count(row.path or "(model)") == (loops if "blocks" in row.path else 1), row.path
    assert sum(box["parameters"] for box in content["boxes"]) == sum(map(np.size, jax.tree.leaves(net(kind)[1])))


def test_a_vision_transformer_is_traced_whole():
    recipe, params, state, x, _ = net("vision")
    rows = ja.summary(recipe.model, jax.ShapeDtypeStruct(x.shape, x.dtype)).rows
    found = trace(recipe, params, state, x, frozenset(row.path for row in rows))
    names = [layer.name for layer in found.layers]
    assert len(set(names)) == len(names)
    assert {re.sub(r"\[\d+\]", "", name) for name in names} == {row.path for row in rows}
    assert set(found.before) == {layer.key for layer in found.layers} | {GIVEN} and len(found.end) == 1
    two = {layer.name for layer in found.layers if len(found.before[layer.key]) == 2}
    assert two == {layer.name for layer in found.layers if layer.seen.kind == "residual"} and len(two) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_lines_lead_from_the_input_to_the_loss_and_past_branches(kind: str):
    content = content_of_page(drawn(kind))
    boxes, edges = content["boxes"], [tuple(edge) for edge in content["edges"]]
    assert len(set(edges)) == len(edges) and all(source < target for source, target in edges)
    into = {target for _, target in edges}
    assert into == set(range(1, len(boxes))) and {source for source, _ in edges} == set(range(len(boxes) - 1))
    for at, box in enumerate(boxes):
        before = sorted(boxes[source]["name"] for source, target in edges if target == at)
        if box["kind"] == "residual":
            assert len(before) == 2 and any(name.startswith(box["name"]) for name in before)
        elif box["name"] != "(loss)":
            assert len(before) <= 1
    if kind == "gpt":  # the skip leads past what the block does
        names = [box["name"] for box in boxes]
        feed, attend = names.index("blocks.block[1].feed"), names.index("blocks.block[1].attend")
        assert (attend, feed) in edges and feed - attend > 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_stands_alone_and_is_well_formed(kind: str):
    page = drawn(kind)
    reader = read(page)
    assert not re.search(r"https?:|src=|href=|@import|url\(|//(?! )", page.replace("http://www.w3.org/2000/svg", ""))
    assert not reader.tags & {"link", "img", "iframe", "object", "base"}
    assert page.startswith("<!DOCTYPE html>") and 'lang="en"' in page and "width=device-width" in page
    for wanted in ("prefers-color-scheme: dark", "prefers-reduced-motion", "@media (max-width", "focus-visible"):
        assert wanted in page
    labels = {value for tag, name, value in reader.attributes if name == "for"}
    assert "example" in labels and len(page) < 2e5
    text = "".join(reader.text)
    for box in content_of_page(page)["boxes"]:
        assert box["name"] in text  # in the table


_EVIL = ("</script><script>alert(1)</script>", '"><img src=q onerror=alert(2)>', "<!--", "&amp;'", "a\u2028b")


def test_no_name_leaves_its_place():
    layers = dict.fromkeys(_EVIL, ja.layers.elementwise("tanh")) | {"out <b>": ja.layers.dense(2)}
    model = ja.layers.sequential(layers)
    params = {name: {} for name in _EVIL} | {
        "out <b>": {"weight": np.ones((3, 2), np.float32), "bias": np.ones(2, np.float32)}
    }
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1))
    page = ja.diagnose.live_map(recipe, params, (np.ones((2, 3)), np.ones((2, 2)))).html
    reader = read(page)
    assert page.count("<script") == page.count("</script>") == 2 and not reader.tags & {"img", "b"}
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    names = [box["name"] for box in content_of_page(page)["boxes"]]
    assert names[1:-1] == [*_EVIL, "out <b>"]
    assert all(name in "".join(reader.text) for name in _EVIL)
    code = page[page.index("</script>") :]
    assert "innerHTML" not in code and "document.write" not in code and "insertAdjacentHTML" not in code


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any, Any]:
    """A recipe, its data and a run with probes, some of whose epochs are not probed."""
    draw = np.random.default_rng(0)
    data = draw.normal(size=(50, 3)).astype(np.float32), draw.integers(0, 2, 50).astype(np.int32)
    model = ja.models.mlp((4, 2))
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(0.1), batch_size=2, probes=True)
    return recipe, data, ja.fit(recipe, data, key=jax.random.key(0), epochs=5, validation=data)


def test_positions_of_the_slider_are_the_epochs_that_were_probed(trained: Any):
    recipe, data, result = trained
    found = ja.diagnose.live_map(recipe, result.params, data, state=result.state, history=result.history)
    content = content_of_page(found.html)
    history, names = result.history, list(ja.diagnose.probed_layers(recipe, data))
    assert [box["name"] for box in content["boxes"]] == [*names, "(loss)"]
    probed = np.flatnonzero(~np.isnan(history["probe_loss"]))
    assert 0 < len(probed) < 5 and [one["number"] for one in content["epochs"]] == [*(probed + 1), None]
    for epoch, one in zip(probed, content["epochs"], strict=False):
        table = np.stack([history[name][epoch] for name in FIGURES], 1)
        assert one["figures"] == [[rounded(value) for value in row] for row in table]
        losses = [["loss", history["loss"][epoch]], ["validation loss", history["validation_loss"][epoch]]]
        assert one["losses"] == [[name, rounded(value)] for name, value in losses]
        assert one["norm"] == rounded(
            np.sqrt(np.nansum(np.square(history["layer_gradient_norm"][epoch].astype(float))))
        )
    assert f"{5 - len(probed)} epochs were not probed" in found.html
    assert f'id="epoch" min="0" max="{len(probed)}" value="{len(probed)}"' in found.html


def test_without_probes_there_is_no_slider():
    assert 'id="epoch"' not in drawn("mlp") and "There is no slider" in drawn("mlp")


def test_a_loss_that_compares_examples_has_no_gradient_of_one_in_the_parameters():
    model = ja.layers.sequential({"dense": ja.layers.dense(4), "pair": ja.layers.reshape((2, 2))})
    params = {"dense": {"weight": np.eye(3, 4, dtype=np.float32), "bias": np.ones(4, np.float32)}, "pair": {}}
    recipe = ja.recipe(model, ja.losses.info_nce, ja.optimizers.sgd(0.1))
    page = ja.diagnose.live_map(recipe, params, (net("mlp")[3], np.zeros(4, np.int32))).html
    content = content_of_page(page)
    assert any("compares examples" in text for text in content["missing"])
    assert content["examples"][0]["parameters"] == [None] * 3 and content["examples"][0]["backward"][1] is not None


def test_the_page_is_saved(tmp_path: Path):
    made = ja.diagnose.LiveMap("<p>\u2713</p>")
    made.save(tmp_path / "map.html")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == made.html and "HTML" in repr(made)
    assert_input_error(lambda: made.save(3), "path", given="3")  # pyright: ignore[reportArgumentType]


def test_bad_input_is_refused_in_words(trained: Any):
    recipe, params, state, x, y = net("mlp")
    draw = ja.diagnose.live_map
    assert_input_error(lambda: draw(recipe, params, (x, y), examples=0), "examples", given="0")
    assert_input_error(lambda: draw(recipe, params, (x, y), history=[1]), "history")  # pyright: ignore[reportArgumentType]
    assert_input_error(lambda: draw(recipe, params, x), "data")  # pyright: ignore[reportArgumentType]
    assert_input_error(lambda: draw(recipe, {}, (x, y)), "params dense0")
    assert_input_error(lambda: draw(recipe, params, (x[:, :2], y)), "x")
    other = trained[2].history | {"layer_mean": np.zeros((5, 1))}
    with pytest.raises(ja.InputError, match="live_map: history must be of one run with"):
        draw(recipe, params, (x, y), state=state, history={name: np.zeros((5, 1)) for name in other})
