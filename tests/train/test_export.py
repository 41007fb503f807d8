"""A run in a file: it trains where jaxann cannot be imported, and gives the same."""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import export_run
from tests.contract import assert_input_error
from tests.train.problems import digits, equal_bits, loss

HYPER = {"learning_rate": 3e-3, "rate": 0.1, "width": 16}
SETTING = {"epochs": 4, "batch_size": 64}
EARLY = {"metrics": {"accuracy": ja.metrics.accuracy}, "stopping": ja.train.early_stopping(3)}


def build(hyper, **settings):
    net = ja.models.mlp((hyper["width"], 10), dropout=hyper["rate"])
    return ja.recipe(net, loss, ja.optimizers.adam(hyper["learning_rate"]), **settings)


def floats(**changes):
    return {name: np.float32(v) for name, v in (HYPER | changes).items() if name != "width"}


ELSEWHERE = """
import sys
sys.path.append(sys.argv[1])
try:
    import jaxann
except ImportError:
    pass
else:
    raise SystemExit("jaxann can be imported here")
import jax, numpy
data = numpy.load("data.npz")
x, y, x_val, y_val = (data[name] for name in ("x", "y", "x_val", "y_val"))
{lines}
assert type(result) is dict and type(result["params"]["dense0"]) is dict
assert "jaxann" not in sys.modules
named, _ = jax.tree_util.tree_flatten_with_path(result)
numpy.savez("result.npz", **{{jax.tree_util.keystr(p, simple=True, separator="."): leaf for p, leaf in named}})
"""


def _site(folder: pathlib.Path) -> pathlib.Path:
    """A folder with links to all installed packages but jaxann."""
    assert jax.__file__ is not None
    folder.mkdir()
    for entry in pathlib.Path(jax.__file__).parent.parent.iterdir():
        if "jaxann" not in entry.name and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


def test_a_run_trains_where_jaxann_cannot_be_imported(tmp_path):
    """The lines of the docstring, run in a process without jaxann, against the run in this one."""
    train, validation = digits()
    hyper = {"learning_rate": 1e-3}

    def small(hyper):
        return ja.recipe(ja.models.mlp((64, 10)), loss, ja.optimizers.adam(hyper["learning_rate"]))

    export_run(tmp_path / "run.jax", small, hyper, train, validation=validation, epochs=20)
    text = inspect.getdoc(export_run) or ""
    lines = textwrap.dedent(text[text.index("import pathlib") - 4 : text.index("`result` is a plain dict")])
    assert len(lines.strip().splitlines()) == 4
    (tmp_path / "program.py").write_text(ELSEWHERE.format(lines=lines))
    np.savez(tmp_path / "data.npz", x=train[0], y=train[1], x_val=validation[0], y_val=validation[1])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "program.py", str(_site(tmp_path / "site"))],
        capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # as in this process
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = dict(np.load(tmp_path / "result.npz"))

    run = ja.train.make_run(small({"learning_rate": 3e-3}), epochs=20, batch_size=128)
    here = jax.jit(run)(jax.random.key(0), train, validation)
    expected = ja.core.flatten_named(here._asdict())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    assert found["history.loss"][-1] < 0.5 * found["history.loss"][0]


def test_exported_run_is_make_run_with_other_numbers():
    train, validation = digits()
    early = functools.partial(build, **EARLY)
    exported = export_run(None, early, HYPER, train, validation=validation, **SETTING)
    for seed, changes in ((0, {}), (3, {"learning_rate": 0.3, "rate": 0.5})):
        result = exported.call(np.uint32(seed), floats(**changes), train, validation)
        run = ja.train.make_run(early(HYPER | changes), **SETTING)
        expected = jax.jit(run)(jax.random.key(seed), train, validation)
        assert {"accuracy", "validation_accuracy"} < set(result["history"])
        assert equal_bits(result["params"], expected.params)
        assert equal_bits(result["history"], expected.history)
        for name in ("best_epoch", "epochs_run", "status", "diverged_step"):
            assert result[name] == getattr(expected, name)
    again = ja.predict(build(HYPER), result["params"], result["state"], validation[0])
    assert again.shape == (100, 10)


def test_one_file_serves_all_platforms(tmp_path):
    train, _ = digits()
    exported = export_run(tmp_path / "run.jax", build, HYPER, train, epochs=1)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    again = jax.export.deserialize(bytearray((tmp_path / "run.jax").read_bytes()))
    assert again.platforms == exported.platforms and again.in_avals == exported.in_avals
    assert again.in_tree == jax.tree.structure(((0, floats(), (0, 0)), {}))
    assert "stablehlo.case" in again.mlir_module() or "_platform_index" in again.mlir_module()
    assert export_run(None, build, HYPER, train, epochs=1, platforms=("cpu",)).platforms == ("cpu",)


def test_shapes_are_enough_and_weights_are_taken():
    x, y = jax.ShapeDtypeStruct((30, 5), jnp.float32), jax.ShapeDtypeStruct((30,), jnp.int32)
    weights = jax.ShapeDtypeStruct((30,), jnp.float32)
    exported = export_run(None, build, HYPER, (x, y, weights), epochs=2, batch_size=8)
    random = np.random.default_rng(0)
    data = (random.normal(size=(30, 5)).astype(np.float32), random.integers(0, 10, 30).astype(np.int32))
    data = (*data, random.uniform(size=30).astype(np.float32))
    result = exported.call(np.uint32(0), floats(), data)
    run = ja.train.make_run(build(HYPER), epochs=2, batch_size=8)
    assert equal_bits(result["params"], jax.jit(run)(jax.random.key(0), data).params)
    assert set(result["history"]) == {"loss", "learning_rate", "gradient_norm"}
    many = jax.jit(lambda numbers: jax.lax.map(lambda n: exported.call(n, floats(), data), numbers))
    losses = many(np.arange(3, dtype=np.uint32))["history"]["loss"]
    np.testing.assert_allclose(losses[0], result["history"]["loss"], rtol=1e-5)
    assert losses.shape == (3, 2) and losses[1, 0] != losses[0, 0]


class Pair(NamedTuple):
    low: jax.Array
    high: jax.Array


@jax.tree_util.register_pytree_node_class
class Own:
    def __init__(self, inner):
        self.inner = inner

    def tree_flatten(self):
        return (self.inner,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def _custom(wrap, unwrap):
    def init(key, spec):
        return wrap(jnp.ones((spec.shape[-1], 1), spec.dtype)), {}

    def apply(params, state, x, *, key=None, train=False):
        return jnp.dot(x, unwrap(params)), state

    return ja.layers.custom(init, apply)


def test_classes_come_out_as_dicts_or_are_refused(tmp_path):
    data = (np.ones((6, 2), np.float32), np.ones((6, 1), np.float32))

    def built(net, hyper):
        return ja.recipe(net, ja.losses.squared_error, ja.optimizers.sgd(hyper["learning_rate"]))

    def export(net):
        own = functools.partial(built, net)
        return export_run(tmp_path / "run.jax", own, {"learning_rate": 0.1}, data, epochs=1)

    pair = export(_custom(lambda w: Pair(w, w), lambda p: p.low + p.high))
    result = pair.call(np.uint32(0), {"learning_rate": np.float32(0.1)}, data)
    assert set(result["params"]) == {"low", "high"} and type(result["params"]) is dict
    assert_input_error(lambda: export(_custom(Own, lambda p: p.inner)), "params", given="Own")


def test_export_run_leaves_an_old_file_when_it_fails(tmp_path):
    train, _ = digits()
    path = tmp_path / "run.jax"
    path.write_bytes(b"old")
    assert_input_error(lambda: export_run(path, build, HYPER, train, epochs=-1), "epochs", given="-1")
    assert path.read_bytes() == b"old"
    with pytest.raises(OSError, match="no such folder"):
        export_run(tmp_path / "none" / "run.jax", build, HYPER, train, epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["run.jax"]


def test_export_run_without_flatbuffers_says_what_to_install(monkeypatch, tmp_path):
    train, _ = digits()
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ja.MissingDependencyError, match=r"jaxann\[export\]"):
        export_run(tmp_path / "run.jax", build, HYPER, train, epochs=1)


def test_export_run_checks_its_settings():
    (x, y), _ = digits()

    def call(train=(x, y), build=build, hyper=HYPER, **changes):
        return export_run(None, build, hyper, train, **({"epochs": 1} | changes))

    assert_input_error(lambda: call(train=x), "train", expected="a tuple")
    assert_input_error(lambda: call(train=(x, y[:-1])), "train y", given="409")
    assert_input_error(lambda: call(train=(np.array([["a"]]), y)), "train x", given="<U1")
    assert_input_error(lambda: call(validation=(x[:, 0], y)), "validation x", given="(410,)")
    assert_input_error(lambda: call(hyper="adam"), "hyperparameters", given="'adam'")
    assert_input_error(lambda: call(hyper=HYPER | {"widths": [3]}), "hyperparameters['widths']", given="[3]")
    assert_input_error(lambda: call(build=None), "build", given="None")
    assert_input_error(lambda: call(build=lambda hyper: (1, 2)), "build", given="(1, 2)")
    assert_input_error(lambda: call(platforms=("gpu",)), "platforms", given="'gpu'")
    assert_input_error(lambda: call(platforms="cpu"), "platforms", given="'cpu'")
    early = functools.partial(build, **EARLY)
    assert_input_error(lambda: call(build=early), "validation", given="None")
    assert_input_error(lambda: call(epochs=None), "epochs", given="None")
    own = functools.partial(build, epochs=3)
    assert_input_error(lambda: call(build=own), "epochs", given="1")
    assert export_run(None, own, HYPER, (x, y)).out_avals[-1].shape == ()
    assert_input_error(lambda: export_run(b"run", build, HYPER, (x, y), epochs=1), "path", given="b'run'")
