"""The scripts on gates and boundaries run, say what is true, and draw."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import learn_boundaries, learn_gates

pytest.importorskip("matplotlib")


def test_gates_are_learned_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    learn_gates.main(["--out", str(tmp_path)])
    text = capsys.readouterr().out
    assert re.search(r"^and +0 0 0 1 +6 +10 +0\.50 +0\.25 +0\.50$", text, re.MULTILINE)
    assert re.search(r"^xor +0 1 1 0 +never ", text, re.MULTILINE)
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")


def test_boundaries_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn_boundaries, "EPOCHS", 5)
    learn_boundaries.main(["--out", str(tmp_path)])
    ended, endless, *_ = capsys.readouterr().out.split("\n")
    assert "clouds: the perceptron rule ended after" in ended and "moons: the perceptron rule did not end" in endless
    counts = re.search(r"(\d+) mistakes.* at most (\d+)", ended)
    assert counts is not None and 0 < int(counts[1]) <= int(counts[2])
    assert (tmp_path / "boundaries.png").read_bytes().startswith(b"\x89PNG")
