"""Checkpoints of an attacker: true checksums, false content. Each is refused before anything is built or allocated."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxann.core import CheckpointError, Layer, factory, to_config
from jaxann.io import load, save_arrays


def config(factory_name="models.mlp", **arguments):
    return {"model": json.dumps({"factory": factory_name, "arguments": {"widths": {"tuple": [16, 10]}} | arguments})}


HOSTILE_MODELS = {
    "activation is a command": config(activation="os.system"),
    "function out of the table": config(activation={"function": "os.system"}),
    "builtin function": config(activation={"function": "builtins.eval"}),
    "factory out of the table": config("os.system", command="id"),
    "factory by path": config("jaxann.models.mlp"),
    "private attribute": config("models.__init__"),
    "import path of a class": {"model": '{"class_name":"Lambda","module":"keras.layers","config":{}}'},
    "unknown argument": config(command="id"),
    "missing argument": {"model": '{"factory":"models.mlp","arguments":{}}'},
    "wrong type": config(widths="wide"),
    "a size of 10^9": config(widths={"tuple": [10**9, 10]}),
    "a size of 10^30": config(widths={"tuple": [10**30, 10]}),
    "a negative size": config(widths={"tuple": [-16, 10]}),
    "nested too deep": {"model": "[" * 100_000},
    "nested 200 deep": config(widths=json.loads('{"tuple":[' * 200 + "]}" * 200)),
    "infinite number": {"model": '{"factory":"models.mlp","arguments":{"dropout":Infinity}}'},
    "overflowing number": {"model": '{"factory":"models.mlp","arguments":{"dropout":1e999}}'},
    "duplicate key": {"model": '{"factory":"models.mlp","factory":"models.mlp","arguments":{}}'},
    "not JSON": {"model": "mlp((16, 10))"},
    "a list": {"model": "[]"},
    "an optimizer": {"model": '{"factory":"optimizers.sgd","arguments":{"learning_rate":0.1}}'},
    "no model": {"model": None},
}


@pytest.mark.parametrize("name", HOSTILE_MODELS)
def test_r1_a_model_is_named_out_of_a_fixed_table_or_refused(name, forge):
    path = forge(metadata=HOSTILE_MODELS[name])
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size + 10_000_000
    assert str(caught.value).startswith("load: ") and len(str(caught.value)) < 500


@factory(Layer, static=("pieces",))
def fragile(pieces: int):
    """A layer of somebody's own that checks nothing."""
    share = 1 / pieces
    return lambda key, spec: ({}, {}), lambda params, state, x, *, key=None, train=False: (x * share, state)


def test_a_factory_that_fails_in_its_own_way_is_reported_as_the_file_s_fault(forge):
    zero = {"factory": to_config(fragile(2))["factory"], "arguments": {"pieces": 0}}
    with pytest.raises(CheckpointError, match="describe a model, got ZeroDivisionError: division by zero"):
        load(forge(metadata={"model": json.dumps(zero)}))


def test_a_factory_that_is_not_defined_is_named(forge):
    with pytest.raises(CheckpointError, match="factories that are defined.*got 'somebody.network'"):
        load(forge(metadata=config("somebody.network")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["params"]["dense0"].update(extra=["F32", [3]]), r"params\.dense0\.extra"),
        (lambda s: s["params"]["dense0"].pop("weight"), r"extra tensor .params\.dense0\.weight"),
        (lambda s: s.pop("state"), "params and state"),
        (lambda s: s["params"]["dense0"].update(weight=["F32", [16, 4]]), r"dense0\.weight.*\[16, 4\].*\[4, 16\]"),
        (lambda s: s["params"]["dense0"].update(weight=["F16", [4, 16]]), r"params\.dense0\.weight.*F16.*F32"),
        (lambda s: s["params"].update({"a.b": {}}), "without a dot"),
        (lambda s: s["params"].update({"": {}}), "without a dot"),
        (lambda s: s["params"].update(dense0="all"), "dtype and a shape"),
        (lambda s: s["params"].update(dense0=None), "dtype and a shape"),
        (lambda s: s.update(params=["F32", [1]]), "dtype and a shape"),
        (lambda s: s["params"].update(a=json.loads('{"a":' * 100 + "{}" + "}" * 100)), "nested at most"),
    ],
)
def test_tensors_that_do_not_fit_the_structure_are_refused_by_name(saved, forge, change, says):
    structure = json.loads(saved.metadata["structure"])
    change(structure)
    with pytest.raises(CheckpointError, match=says):
        load(forge(metadata={"structure": json.dumps(structure)}))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, None])
def test_a_broken_structure_is_refused(forge, text):
    with pytest.raises(CheckpointError, match=r"forged\.safetensors"):
        load(forge(metadata={"structure": text}))


def test_a_missing_tensor_is_named(saved, forge):
    last = max(saved.table, key=lambda name: saved.table[name]["data_offsets"])
    begin, end = saved.table[last]["data_offsets"]
    with pytest.raises(CheckpointError, match=f"hold the tensor '{last}', got none"):
        load(forge(tensors={last: None}, data=saved.data[: begin - end]))


def test_an_extra_tensor_is_named(saved, forge):
    size = len(saved.data)
    extra = {"dtype": "I8", "shape": [2], "data_offsets": [size, size + 2]}
    with pytest.raises(CheckpointError, match="extra tensor 'params.more'"):
        load(forge(tensors={"params.more": extra}, data=saved.data + b"\0\0"))


def test_a_newer_format_is_told_from_its_version(forge):
    newer = {"format_version": "2", "jaxann_version": "9.1"}
    with pytest.raises(CheckpointError, match=r"(?s)got 2.*needs a newer jaxann; version '9\.1' wrote it"):
        load(forge(metadata=newer, tensors={"future": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}}))


@pytest.mark.parametrize("version", ["", "0", "-1", "1.5", "one", "١", "9" * 5000, None])
def test_a_version_that_is_none_is_refused(forge, version):
    with pytest.raises(CheckpointError, match="version"):
        load(forge(metadata={"format_version": version}))


def test_arrays_without_a_model_are_no_checkpoint(tmp_path):
    save_arrays(tmp_path / "a", {"params.a": np.ones(1, np.float32)})
    with pytest.raises(CheckpointError, match=r"(?s)without a jaxann model.*load_arrays"):
        load(tmp_path / "a")


def test_mutated_models_raise_checkpoint_error_or_load(saved, forge):
    choose = random.Random(3)
    pieces = ["", "0", "9" * 12, "[", "}", '"', ",", "null", "-", "e9", "\\u0000", "tanh", "models.mlp"]
    refused = 0
    for i in range(400):
        name = ("model", "structure")[i % 2]
        text = saved.metadata[name]
        for _ in range(choose.randint(1, 3)):
            place = choose.randrange(len(text))
            text = text[:place] + choose.choice([*pieces, text[:place]]) + text[place + choose.randint(0, 3) :]
        try:
            load(forge(metadata={name: text}))
        except CheckpointError:
            refused += 1
    assert 300 < refused <= 400


def test_a_failed_load_leaves_everything_as_it_was(saved, forge):
    model, params, state = saved.model, saved.params, saved.state
    before = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((params, state))]
    for texts in (*HOSTILE_MODELS.values(), {"structure": "{}"}):
        with contextlib.suppress(CheckpointError):
            model, params, state = load(forge(metadata=texts))
    assert model is saved.model and params is saved.params and state is saved.state
    assert [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((params, state))] == before


AUDIT = """
import sys
from pathlib import Path
from jaxann.core import CheckpointError, Layer, factory, to_config
from jaxann.io import load, load_arrays
import jaxann.models
from jaxann.core.tables import known_factories
known_factories()  # a name that is in no room that is there loads the others, from a fixed list: so all of them are
folder = Path(sys.argv[1])
load(folder / "good")
BANNED = ("import", "exec", "compile", "pickle.find_class", "marshal.loads", "os.system", "os.exec",
          "subprocess.Popen", "socket.connect", "socket.__new__", "ctypes.dlopen", "shutil.unpack_archive")
watched, seen = False, []
def hook(event, arguments):
    if not watched:
        return
    writes = event == "open" and not (arguments[1] in (None, "r", "rb") and not (arguments[2] or 0) & 3)
    if writes or event in BANNED:
        seen.append((event, str(arguments)[:200]))
sys.addaudithook(hook)
for path in sorted(folder.iterdir()):
    for reader in (load, load_arrays):
        watched = True
        try:
            reader(path)
        except CheckpointError:
            pass
        watched = False
print(len(list(folder.iterdir())), seen)
open(folder / "x", "wb").close()
watched = True
eval("1")
open(folder / "x", "wb").close()
watched = False
print(sorted({event for event, _ in seen}))
"""


def test_r1_loading_hostile_files_runs_imports_and_writes_nothing(saved, forge, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "good").write_bytes(saved.path.read_bytes())
    for i, metadata in enumerate(HOSTILE_MODELS.values()):
        os.replace(forge(metadata=metadata), files / f"hostile{i}")
    (files / "pickle").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    (files / "new_pickle").write_bytes(b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.")
    (files / "zip").write_bytes(b"PK\x03\x04" + bytes(60))
    run = subprocess.run([sys.executable, "-c", AUDIT, str(files)], capture_output=True, text=True, check=True,
                         env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    watched, control = run.stdout.splitlines()
    assert watched == f"{len(HOSTILE_MODELS) + 4} []"
    assert control == "['compile', 'exec', 'open']"  # the watch does see such things
