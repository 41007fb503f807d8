"""The command: what it shows, what it refuses, and that it is plain text where nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import jaxann as ja
from jaxann.cli import build, main
from jaxann.cli.costs import LABELS, ONE_NUMBER, SEVERAL_ROWS, loss_by_name, loss_names
from jaxann.cli.inputs import read_row
from tests.teach.nets import filled, recipe

ROOT = Path(__file__).resolve().parent.parent.parent


def _run(*arguments: object):
    return CliRunner().invoke(build(), [str(a) for a in arguments], prog_name="jaxann")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A net with three inputs and two outputs, and tables that go with it."""
    model = ja.models.mlp((2, 2), activation="tanh")
    params, state = filled(model, np.zeros((1, 3)), np.float32)
    ja.save(tmp_path / "net.safetensors", model, params, state)
    (tmp_path / "class.csv").write_text("age,income,height,kind\n0.5,-1,2,1\n1,0,0,0\n\n")
    (tmp_path / "numbers.csv").write_text("0.5,-1,2,0.25,0.75\n1,2,3,4,5\n")
    return tmp_path


def test_without_a_command_it_says_what_it_can_do():
    done = _run()
    assert done.exit_code == 0
    assert "jaxann explain --errata" in done.output and "\x1b" not in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_version():
    assert _run("--version").output == f"jaxann {ja.__version__}\n"


def test_explain_shows_the_worked_net():
    done = _run("explain")
    assert done.exit_code == 0 and max(map(len, done.output.splitlines())) <= 80
    assert done.output.rstrip() == str(ja.teach.explain(*ja.teach.example()))
    assert "J = 0.0316268" in done.output


def test_explain_writes_the_page(tmp_path: Path):
    page = tmp_path / "net.html"
    done = _run("explain", "--example", "2-2-1-slope-2", "--digits", 15, "--learning-rate", 0.1, "--html", page)
    assert done.exit_code == 0 and "0.00364398846947898" in done.output
    assert str(page) in done.output.replace("\n", "")
    assert "0.00364398846947898" in page.read_text()


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_explain_shows_sequences(name: str):
    done = _run("explain", "--example", name)
    assert done.exit_code == 0
    assert done.output.rstrip() == str(ja.teach.explain(*ja.teach.example(name)))


def test_explain_takes_a_saved_model_and_a_row(files: Path):
    done = _run("explain", "--model", files / "net.safetensors", "--data", files / "class.csv", "--row", 0)
    assert done.exit_code == 0, done.output
    assert "softmax_cross_entropy" in done.output and "income W1[2,1]" in done.output
    model, params, _ = ja.load(files / "net.safetensors")
    account = ja.teach.explain(
        recipe(model, ja.losses.softmax_cross_entropy),
        params,
        np.array([1.0, 0, 0]),
        0,
        names=("age", "income", "height"),
        train=False,
    )
    again = _run("explain", "--model", files / "net.safetensors", "--data", files / "class.csv", "--row", 1)
    assert again.output.rstrip() == str(account)


def test_explain_takes_as_many_targets_as_outputs(files: Path):
    given = ("explain", "--model", files / "net.safetensors", "--data", files / "numbers.csv")
    assert "half_squared_error" in _run(*given).output
    done = _run(*given, "--loss", "huber", "--row", 1)
    assert done.exit_code == 0 and "huber" in done.output


def _refused(*arguments: object) -> str:
    done = _run(*arguments)
    assert done.exit_code == 2 and "Traceback" not in done.output
    return done.stderr


def test_explain_refuses_bad_input(files: Path):
    net = ("explain", "--model", files / "net.safetensors", "--data")
    (files / "short.csv").write_text("1,2\n")
    (files / "text.csv").write_text("a,b,c,d\n1,2,x,0\n")
    (files / "ragged.csv").write_text("a,b,c,d\n1,2,3\n")
    (files / "empty.csv").write_text("a,b\n")
    (files / "label.csv").write_text("1,2,3,7\n")
    (files / "mixed.csv").write_text("age,2020,3,1\n1,2,3,1\n1,2,3,0\n")
    (files / "holes.csv").write_text("1,nan,3,1\n,2,3,0\n1,2,3,0\n")
    (files / "gap.csv").write_text(",2,3,1\n1,2,3,0\n")
    (files / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    for arguments, text in (
        (("explain", "--digits", 1), "explain: digits must be an integer of at least 2, got 1."),
        (("explain", "--learning-rate", -1), "explain: --learning-rate must be in [0, inf), got -1.0."),
        (("explain", "--example", "2-2-2"), "example: name must be one of 2-2-1"),
        (
            ("explain", "--loss", "hubert"),
            "explain: --loss must be the name of a loss, got 'hubert'. Did you mean 'huber'?",
        ),
        (
            ("explain", "--loss", "Huber"),
            "explain: --loss must be the name of a loss, got 'Huber'. Did you mean 'huber'?",
        ),
        (
            ("explain", "--loss", "nope"),
            "explain: --loss must be the name of a loss, got 'nope'. All names: jaxann explain",
        ),
        (
            ("explain", "--loss", "triplet"),
            "explain: --loss must be a loss of one row: its outputs and its targets, got",
        ),
        (
            ("explain", "--loss", "poly1"),
            "explain: --loss must be a loss for an example's one output, whose target is 1",
        ),
        (("explain", "--row", 0), "explain: --row must come with --data, got it alone."),
        (("explain", "--seed", 1), "explain: --seed must come with --train, got it alone."),
        (("explain", "--train", "--seed", -1), "explain: --seed must be an integer of at least 0, got -1."),
        (("explain", "--train", "--seed", 2**32), "explain: --seed must be less than 2^32, got 4294967296."),
        (("explain", "--errata", "--row", 0), "explain: --errata must come without --row, got both."),
        (
            ("explain", "--errata", "--learning-rate", 1),
            "explain: --errata must come without --learning-rate, got both.",
        ),
        (("explain", "E3"), "explain: 'E3' must come with --errata."),
        (("explain", "--errata", "E99"), "errata: which must be all"),
        (("explain", "--model", "x"), "explain: --model must come with --data, got it alone."),
        (("explain", "--data", "x"), "explain: --data must come with --model, got it alone."),
        (("explain", "--html", files / "no" / "x.html"), "explain: --html must be a file that can be written"),
        ((*net, files / "no.csv"), "explain: --data must be a file that can be read"),
        ((*net, files / "bytes.csv"), "explain: --data must be a file that can be read"),
        ((*net, files / "class.csv", "--row", 2), "explain: --row must be from 0 to 1, the rows of class.csv, got 2."),
        ((*net, files / "class.csv", "--example", "2-2-1"), "explain: --example must be left out"),
        ((*net, files / "short.csv"), "explain: --data must be made of the model's inputs, then its targets"),
        ((*net, files / "text.csv"), "explain: row 0 of --data must be made of numbers, c too, got 'x'."),
        ((*net, files / "ragged.csv"), "explain: row 0 of --data must be of 4 cells as the first line, got 3."),
        ((*net, files / "empty.csv"), "explain: --data must be a file with a row of numbers"),
        ((*net, files / "label.csv"), "explain: the last column of --data must be a class from 0 to 1, got 7.0."),
        ((*net, files / "mixed.csv"), "explain: the first line of --data must be all names or all numbers, got 'age'."),
        ((*net, files / "mixed.csv", "--row", 1), "explain: the first line of --data must be all names or all numbers"),
        ((*net, files / "holes.csv"), "explain: row 0 of --data must be made of numbers, column 2 too, got 'nan'."),
        (
            (*net, files / "holes.csv", "--row", 1),
            "explain: row 1 of --data must be made of numbers, column 1 too, got ''.",
        ),
        ((*net, files / "gap.csv"), "explain: row 0 of --data must be made of numbers, column 1 too, got ''."),
        (
            (*net, files / "numbers.csv", "--loss", "poly1"),
            "explain: --data must be of 3 inputs, then 1 target for poly1, got",
        ),
        (
            (*net, files / "class.csv", "--loss", "huber"),
            "explain: --data must be of 3 inputs, then 2 targets for huber, got",
        ),
        (
            (*net, files / "class.csv", "--loss", "adaptive_barron"),
            "explain: --loss must be a loss for a model with 2 out",
        ),
        (
            (*net, files / "short.csv", "--loss", "poly1"),
            "explain: --data must be made of the model's inputs, then its",
        ),
        (("explain", "--model", files / "class.csv", "--data", files / "class.csv"), "load: "),
        (("explain", "--model", files / "no.safetensors", "--data", files / "class.csv"), "load: "),
    ):
        assert _refused(*arguments).replace("\n", " ").startswith(text), arguments
    assert _run("explain", "--no-such").exit_code == 2


def test_a_first_line_with_a_hole_is_a_row(files: Path):
    (files / "holes.csv").write_text("1,nan,3,1\n1,0,0,0\n")
    (files / "names.csv").write_text("age,,height,kind\n1,0,0,0\n")
    assert read_row(files / "holes.csv", 1).values.tolist() == [1, 0, 0, 0]
    assert read_row(files / "names.csv", 0).names == ("age", "", "height", "kind")


def test_every_loss_gets_the_targets_it_takes():
    for name in loss_names():
        units = ONE_NUMBER.get(name, 3)
        shape, kind = ((1,), np.int32 if name in LABELS else np.float32)
        shape = shape if name in (*LABELS, *ONE_NUMBER) else (1, units)
        values = jax.eval_shape(
            loss_by_name(name), jax.ShapeDtypeStruct((1, units), np.float32), jax.ShapeDtypeStruct(shape, kind)
        )
        assert values.shape in ((1,), (1, units)), name
    taken = {name for name in dir(ja.losses) if name in (*loss_names(), *SEVERAL_ROWS)}
    assert taken == set(loss_names()) | set(SEVERAL_ROWS) and {"poly1", "huber"} < set(loss_names())


def test_losses_of_labels_and_of_one_number(files: Path):
    given = ("explain", "--model", files / "net.safetensors", "--data", files / "class.csv")
    for loss in ("poly1", "gaussian_nll"):
        done = _run(*given, "--loss", loss)
        assert done.exit_code == 0 and f"Loss: {loss}" in " ".join(done.output.split()), done.output
    assert "poly1 needs one target column, the number of the class" in _refused(
        *given[:-1], files / "numbers.csv", "--loss", "poly1"
    )


def test_a_net_with_dropout_is_explained_as_it_predicts_or_as_it_trains(files: Path):
    model = ja.models.mlp((8, 2), dropout=0.5)
    params, state = filled(model, np.zeros((1, 3)), np.float32)
    ja.save(files / "drop.safetensors", model, params, state)
    given = ("explain", "--model", files / "drop.safetensors", "--data", files / "class.csv")
    known = {"x": np.array([0.5, -1, 2]), "y": 1, "state": state}
    net = recipe(model, ja.losses.softmax_cross_entropy)
    names = ("age", "income", "height")
    plain = _run(*given)
    assert plain.exit_code == 0, plain.output
    assert plain.output.rstrip() == str(ja.explain(net, params, **known, names=names, train=False))
    for seed in (0, 5):
        trained = _run(*given, "--train", "--seed", seed)
        account = ja.explain(net, params, **known, names=names, train=True, key=jax.random.key(seed))
        assert trained.exit_code == 0 and trained.output.rstrip() == str(account)
    assert plain.output != trained.output


def test_a_page_that_cannot_be_written_is_said_before_the_account(tmp_path: Path):
    done = _run("explain", "--html", tmp_path / "no" / "x.html")
    assert done.exit_code == 2 and done.stdout == "" and str(tmp_path / "no" / "x.html") in done.stderr


def test_an_error_of_the_system_names_the_path(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("jaxann.cli.app.account", fail)
    assert "Permission denied: '/some/where'" in _refused("explain")


@pytest.mark.parametrize("columns", [40, 64])
def test_lines_keep_to_a_narrow_screen(columns: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, _run("explain").output.splitlines())) <= columns
    assert max(map(len, _run("explain", "--errata", "E3").output.splitlines())) <= columns


def test_help_lists_the_losses():
    shown = "".join(_run("explain", "--help").output.split())
    assert all(name in shown for name in loss_names()) and "triplet" not in shown


def test_errata_are_computed_as_they_are_shown(monkeypatch: pytest.MonkeyPatch):
    done = _run("explain", "--errata", "E3")
    assert done.exit_code == 0
    for text in ("E3 (S)", "0.036578245", "0.031626848", "computed now: it holds"):
        assert text in done.output
    assert "E4" not in done.output
    lower = _run("explain", "--errata", "e24")
    assert "0.039274673" in lower.output and max(map(len, lower.output.splitlines())) <= 80
    words = _run("explain", "--errata", "E47")
    assert words.exit_code == 0 and "computed" not in words.output

    row = ja.teach.errata("E3")[0]
    broken = row._replace(check=lambda: ja.teach.Check((ja.teach.Figure("J", 1.0),), False))
    monkeypatch.setattr("jaxann.cli.explaining.rows", lambda which: (broken,))
    bad = _run("explain", "--errata", "E3")
    assert bad.exit_code == 1 and "IT DOES NOT HOLD" in bad.output and "E3" in bad.stderr


def test_errata_without_a_row_are_those_with_a_wrong_result(monkeypatch: pytest.MonkeyPatch):
    asked = []
    few = tuple(row for row in ja.teach.errata("S") if row.number in ("E3", "E21", "E49"))[:2]
    monkeypatch.setattr("jaxann.cli.explaining.rows", lambda which: asked.append(which) or few)
    done = _run("explain", "--errata")
    assert asked == ["S"] and "2 rows. S: a wrong result" in done.output
    _run("explain", "--errata", "all")
    assert asked[-1] == "all"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(ja.MissingDependencyError, match="needs typer and rich: pip install"):
        build()
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("jaxann's command needs typer and rich")


def test_main_gives_the_exit_code(capsys: pytest.CaptureFixture):
    assert main(["--version"]) == 0
    assert main(["explain", "--digits", "0"]) == 2
    assert capsys.readouterr().out == f"jaxann {ja.__version__}\n"


def test_module_runs_as_a_program_in_plain_text():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "jaxann", "explain", "--errata", "E6"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "by central differences = -0.3" in done.stdout and "\x1b" not in done.stdout and not done.stderr
