"""`jaxann map`: a saved model and a table become a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import jaxann as ja
from jaxann.cli import build
from tests.diagnose.maps import content_of_page, read
from tests.teach.nets import filled


def _run(*arguments: object):
    return CliRunner().invoke(build(), [str(a) for a in arguments], prog_name="jaxann")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with three inputs and two outputs, and tables that go with it."""
    folder = tmp_path_factory.mktemp("map")
    model = ja.models.mlp((2, 2), activation="tanh")
    params, state = filled(model, np.zeros((1, 3)), np.float32)
    ja.save(folder / "net.safetensors", model, params, state)
    (folder / "class.csv").write_text("age,income,height,kind\n0.5,-1,2,1\n1,0,0,0\n\n")
    return folder


def test_a_saved_model_and_rows_become_a_page(files: Path):
    out = files / "out.html"
    done = _run("map", files / "net.safetensors", "--data", files / "class.csv", "--out", out)
    assert done.exit_code == 0, done.output
    assert str(out) in done.output.replace("\n", "")
    page = out.read_text(encoding="utf-8")
    read(page)
    content = content_of_page(page)
    assert [box["name"] for box in content["boxes"]] == ["(input)", "dense0", "act0", "dense1", "(loss)"]
    assert content["boxes"][-1]["kind"] == "softmax_cross_entropy"
    assert [one["target"] for one in content["examples"]] == [1, 0] and "sgd(learning_rate=0.01" in page


def test_map_refuses_bad_input(files: Path):
    (files / "label.csv").write_text("1,2,3,1\n1,2,3,0.5\n")
    (files / "ragged.csv").write_text("1,2,3,1\n1,2,3\n")
    (files / "short.csv").write_text("1,2\n")
    net = files / "net.safetensors"
    for arguments, text in (
        ((net, "--data", files / "no.csv"), "map: --data must be a file that can be read"),
        ((net, "--data", files / "short.csv"), "map: --data must be made of the model's inputs, then its targets"),
        ((net, "--data", files / "ragged.csv"), "map: row 1 of --data must be of 4 cells as the first row, got 3."),
        (
            (net, "--data", files / "label.csv"),
            "map: the last column of --data in row 1 must be the number of a class for softmax_cross_entropy, got 0.5.",
        ),
        ((net, "--data", files / "class.csv", "--loss", "hubert"), "map: --loss must be the name of a loss"),
        ((net, "--data", files / "class.csv", "--examples", 0), "map: --examples must be an integer of at least 1"),
        ((net, "--data", files / "class.csv", "--learning-rate", -1), "map: --learning-rate must be in [0, inf)"),
        (
            (net, "--data", files / "class.csv", "--out", files / "no" / "x.html"),
            "map: --out must be a file that can be written",
        ),
        ((files / "class.csv", "--data", files / "class.csv"), "load: "),
    ):
        done = _run("map", *arguments)
        assert done.exit_code == 2 and "Traceback" not in done.output, done.output
        assert done.stderr.replace("\n", " ").startswith(text), done.stderr
    assert _run("map", net).exit_code == 2
