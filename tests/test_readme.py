"""The README tells the truth: its Python runs as printed, and what it names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import jaxann as ja

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What is defined after all blocks have run one after the other, in an empty folder."""
    found: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("readme"))
        patch.setattr(ja, "setup", lambda: None)  # JAX has started, on as many devices as the tests want
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), found)
        found["files"] = sorted(path.name for path in Path.cwd().iterdir())
    return found


def test_readme_blocks_run_as_printed(names, capsys):
    assert len(BLOCKS) >= 5
    assert names["files"] == ["columns.png", "digits.safetensors", "map.html", "rent.safetensors", "report.png",
                              "run.jax", "search.png", "swarm.png"]  # fmt: skip
    assert float(ja.metrics.accuracy(names["again"], names["y_test"])) > 0.9


def test_readme_states_the_shapes_it_gets(names):
    assert names["x"].shape == (1438, 64)
    assert names["results"].history["validation_loss"].shape == (3, 4, 10)
    assert "params.dense0.weight" in names["arrays"]
    assert names["population"].best_epoch.shape == (8,) and len(names["table"]) == 20
    uncertainty = names["uncertainty"]
    assert uncertainty.probabilities.shape == (359, 10) and uncertainty.epistemic.shape == (359,)
    assert names["gradients"]["learning_rate"] < 0
    inks = ja.predict(names["heads"], names["two"].params, names["two"].state, names["halves"])["ink"]
    assert inks.shape == (1438, 1)
    assert names["rows"].shape == (1438, 8, 8) and names["tagged"].epochs_run == 3
    assert names["two"].history["loss"][-1] < names["two"].history["loss"][0]
    assert names["bounds"].shape == (50, 2) and names["reader"].score(names["x_test"], names["y_test"]) > 0.9
    assert names["seen"].history["accuracy"][-1] > 0.5
    assert names["watched"].history["validation_accuracy"][-1] > 0.9 and names["watched"].epochs_run < 50
    assert names["found"].first == "vanishing" and names["cured"].history["layer_gradient_norm"].shape[0] == 20
    matters, shares = names["matters"], names["shares"]
    assert matters.mean.argmax() == 0 and abs(matters.mean[3]) < 0.1 * matters.mean[:3].min()
    shop, fresh = ja.predict(names["shop"], *names["trained"], names["fresh"][:50]), names["fresh"]
    np.testing.assert_allclose(shares.values.sum(1) + shares.expected, shop[:, 0], atol=1e-4)
    assert names["path"].values.shape == fresh.shape and abs(names["path"].gap).max() < 1e-3
    assert names["trace"].layers["dense0"].delta.shape == (8, 256)
    assert (names["report"].converged, names["report"].epochs, *names["weights"]) == (True, 6, 0.5, 0.25, 0.5)


def test_readme_prints_the_message_it_shows(names):
    with pytest.raises(ja.InputError) as caught:
        ja.train.evaluate(names["recipe"], names["params"], names["state"], (names["x"], names["y"] + 1))
    problem, hint = str(caught.value).split("\n")
    assert problem.removeprefix("evaluate: data y ") in TEXT
    assert hint in TEXT


@pytest.mark.parametrize("command", ("scripts/demo", "scripts/test"))
def test_readme_commands_exist(command):
    assert f"bash {command}" in TEXT
    assert (ROOT / command).read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def test_readme_scripts_exist():
    modules = re.findall(r"`scripts\.(\w+)`", TEXT)
    assert sorted(modules) == sorted(path.stem for path in (ROOT / "scripts").glob("learn_*.py"))


def test_readme_links_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    assert not [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]


def test_readme_extras_are_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = {name for group in re.findall(r"\.\[([a-z,]+)\]", TEXT) for name in group.split(",")}
    listed = set(re.findall(r"`([a-z]+)`", re.search(r"^Extras: .*?\n\n", TEXT, re.MULTILINE | re.DOTALL)[0]))
    assert asked
    assert not (asked | listed) - set(declared)


def test_readme_rooms_exist():
    table = TEXT.split("## The rooms", 1)[1].split("\n## ", 1)[0]
    rooms = {
        room for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for room in re.findall(r"`([a-z]+)`", row)
    }
    assert len(rooms) >= 10
    assert not [room for room in rooms if not (ROOT / "jaxann" / room).is_dir() and not hasattr(ja, room)]


def test_readme_has_room_for_measured_figures():
    assert TEXT.index("<!-- benchmarks:begin -->") < TEXT.index("<!-- benchmarks:end -->")
