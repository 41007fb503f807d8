"""Studies and folders that are damaged: one error that says so, whatever is missing or of another kind."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

import jaxann as ja
from jaxann.io import load_arrays, save_arrays
from jaxann.tune.described import described
from jaxann.tune.kept import Reader
from jaxann.tune.space import read_space
from jaxann.tune.study import digest_of, read_checked, with_checksum
from tests.tune.problems import build
from tests.tune.test_bayes_restart import CHOICES, search, states
from tests.tune.test_storage import halved

PUT = (None, [], "", 3, {})
GONE = object()
BUILT = build({})


def paths(value: Any, within: tuple = ()) -> Iterator[tuple]:
    """The way to every key and item."""
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in named:
        yield (*within, name)
        yield from paths(inner, (*within, name))


def changed(value: Any, way: tuple, new: Any) -> Any:
    """A copy of the value with another one at the end of the way; without it where it is GONE."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for name in way[:-1]:
        inner = inner[name]
    if new is GONE:
        del inner[way[-1]]
    else:
        inner[way[-1]] = new
    return copy


def damages(value: Any) -> Iterator[Any]:
    """The value without each of its keys, and with something else in its place."""
    for way in paths(value):
        for new in (GONE, *PUT):
            other = changed(value, way, new)
            if other != value:
                yield other


def told(call: Callable[[], Any], function: str) -> None:
    """CheckpointError in one line that names the function."""
    with pytest.raises(ja.CheckpointError) as caught:
        call()
    text = str(caught.value)
    assert re.fullmatch(rf"{function}: .+ must .+, got .+\.", text) and len(text) <= 400, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("kept")
    halved(path)
    return path


def test_any_damage_to_what_defines_a_search_is_told(folder: Path, tmp_path: Path):
    content = json.loads((folder / "study.json").read_text())
    for other in (*damages(content["definition"]), *PUT):
        told(lambda: read_checked("halving: 'folder'", "a definition", other), "halving")  # noqa: B023
    shutil.copy(folder / "state.safetensors", tmp_path)
    text = (folder / "study.json").read_bytes()
    one_level = [changed(content, way, new) for way in paths(content) if len(way) == 1 for new in (GONE, None, [], 3)]
    texts = [json.dumps(other).encode() for other in (*one_level, *PUT)]
    damaged = [text[:9], text[:-1], b"", text + b"}", b"\xff" + text, text.replace(b'"epochs": 2', b'"epochs": 3')]
    for data in (*texts, *damaged):
        (tmp_path / "study.json").write_bytes(data)
        told(lambda: halved(tmp_path), "halving")
    (tmp_path / "study.json").unlink()
    told(lambda: halved(tmp_path), "halving")
    (tmp_path / "study.json").write_bytes(text)
    assert len(halved(tmp_path)) == 2


def told_of_state(go_on: Callable[..., Any], name: str, folder: Path, every: int) -> None:
    """Each array gone or replaced by others, or one of the others; written with a checksum that is right."""
    file = folder / "state.safetensors"
    whole, metadata = load_arrays(file, allow_nonfinite=True)
    begun = whole | {log: whole[log][:-1] for log in ("figures", "epochs", "going")}  # within the stage after those
    others = [None, np.zeros(()), np.zeros(0), np.zeros((1, 1, 1, 1)), np.zeros((0, 3), np.int32)]
    cases = []
    for arrays, kept in ((whole, metadata), (begun, metadata | {"inside": "1"})):
        for array, other in itertools.product(arrays, others):
            rest = {held: value for held, value in arrays.items() if held != array}
            cases.append((rest if other is None else rest | {array: other}, kept))
    cases += [(whole, {name: value for name, value in metadata.items() if name != gone}) for gone in metadata]
    cases += [(whole, metadata | {"inside": "null"})]
    for arrays, kept in cases[::every]:
        save_arrays(file, arrays, kept, allow_nonfinite=True)
        told(lambda: go_on(storage=folder), name)
    save_arrays(file, whole, metadata, allow_nonfinite=True)
    go_on(storage=folder)


def test_any_damage_to_where_a_search_stands_is_told(folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    told_of_state(lambda storage: halved(storage), "halving", copy, every=7)


SPACE = CHOICES | {"layers": ja.tune.conditional(ja.tune.integer(1, 2), when={"activation": "relu"}, otherwise=1)}


def test_any_damage_to_a_trial_is_told():
    known = read_space("bayes", SPACE)
    setting = {"activation": 0, "layers": 2, "learning_rate": 1e-3}
    scores = {"loss": [0.5, 0.25], "accuracy": [0.75, float("nan")]}
    content = {"setting": setting, "scores": scores, "epochs": [1, 2], "recipe": digest_of(described(BUILT))}
    kept = with_checksum(content)

    def read(attributes: dict[str, Any]) -> Any:
        reader = Reader(known, lambda setting: BUILT, described)
        return reader.read(SimpleNamespace(number=4, user_attrs=attributes))

    assert read(kept).setting == {"activation": "relu", "layers": 2, "learning_rate": 1e-3}
    tanh = with_checksum(content | {"setting": {"activation": 1, "layers": None, "learning_rate": 1e-3}})
    assert read(tanh).setting == {"activation": "tanh", "layers": 1, "learning_rate": 1e-3}
    for other in damages(kept):
        told(lambda: read(other), "bayes")  # noqa: B023


def test_a_damaged_study_of_optuna_is_told_and_left_as_it_is():
    study = optuna.create_study()
    search(study=study, trials=2)
    definition, trial = study.user_attrs["jaxann"], study.get_trials(deepcopy=False)[0]
    way = ("space", "learning_rate", "low")
    for other in (*PUT, changed(definition, way, None), changed(definition, ("recipe",), GONE)):
        study.set_user_attr("jaxann", other)
        before = states(study)
        told(lambda: search(study=study, trials=3), "bayes")
        assert states(study) == before
    study.set_user_attr("jaxann", definition)
    for name, value in list(trial.user_attrs.items())[::2]:
        trial.user_attrs[name] = None
        told(lambda: search(study=study, trials=3), "bayes")
        trial.user_attrs[name] = value
    assert len(search(study=study, trials=2)) == 2
