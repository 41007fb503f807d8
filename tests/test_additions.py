"""What CONTRIBUTING.md promises: an optimizer in three edits, a layer with its backward rule in four, a search in 3.

Each addition is made in a copy of the repository, where its contracts then run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("jaxann", "tests", "scripts", "benchmarks", "pyproject.toml", "README.md", "CATALOGUE.md", "CHANGELOG.md")


class Edit(NamedTuple):
    """Text put right after the first place where the anchor stands; an empty anchor begins a new file."""

    file: str
    anchor: str
    text: str


class Addition(NamedTuple):
    """What is added, in how many edits (each may have to be listed where its room lists its names), and its tests."""

    name: str
    edits: dict[str, tuple[Edit, ...]]
    tests: tuple[str, ...]


OPTIMIZER = Addition(
    "sign_momentum",
    {
        "function": (
            Edit(
                "jaxann/optimizers/sign_momentum.py",
                "",
                '''"""Descent by the sign of the mean gradient."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule
from jaxann.optimizers.base import check_learning_rate
from jaxann.schedules import value_at

__all__ = ["SignMomentumState", "sign_momentum"]


class SignMomentumState(NamedTuple):
    """State of `sign_momentum`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients


@factory(Optimizer)
def sign_momentum(learning_rate: ScalarOrSchedule, *, momentum: Scalar = 0.9):
    """m = momentum m + (1-momentum) g;  update = -learning_rate sign(m).

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        momentum: in [0, 1), of the mean of the gradients.

    Peers: PyTorch, Keras and optax have none.

    Source: Bernstein et al. 2018.

    Raises:
        InputError: a number is out of range.
    """
    check_learning_rate("sign_momentum", learning_rate)
    check_range("sign_momentum", "momentum", momentum, 0, 1, open_high=True)

    def init(params):
        zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, wide_dtype(p.dtype)), params)
        return SignMomentumState(jnp.zeros((), jnp.int32), zeros)

    def update(grads, state, params):
        rate = value_at(learning_rate, state.step)
        mu = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g.astype(m.dtype), state.mu, grads)
        updates = jax.tree.map(lambda m, p: (-rate * jnp.sign(m)).astype(p.dtype), mu, params)
        return updates, SignMomentumState(state.step + 1, mu)

    return init, update
''',
            ),
            Edit(
                "jaxann/optimizers/__init__.py",
                "from jaxann.optimizers.shampoo import ShampooState, shampoo\n",
                "from jaxann.optimizers.sign_momentum import SignMomentumState, sign_momentum\n",
            ),
            Edit("jaxann/optimizers/__init__.py", '    "ShampooState",\n', '    "SignMomentumState",\n'),
            Edit("jaxann/optimizers/__init__.py", '    "shampoo",\n', '    "sign_momentum",\n'),
        ),
        "row": (
            Edit(
                "tests/rows/optimizers.py",
                "\nOPTIMIZERS = [\n",
                '    OptimizerRow("optimizers.sign_momentum", optimizers.sign_momentum, "by hand", _RATE_BAD,\n'
                "                 exact=False, rate=0.003, within=0.05),\n",
            ),
            Edit(
                "tests/optimizers/spirals.py",
                "SETTINGS = {\n",
                '    "sign_momentum": Setting(o.sign_momentum(cosine(0.006, 8000)), 8000),\n',
            ),
        ),
        "changelog": (Edit("CHANGELOG.md", "### Added\n\n", "- `optimizers.sign_momentum`.\n"),),
    },
    (
        "tests/test_architecture.py",
        "tests/test_catalogue.py",
        "tests/test_contracts.py",
        "tests/test_contracts_optimizers.py",
        "tests/optimizers/test_spirals.py",
    ),
)

LAYER = Addition(
    "feature_scale",
    {
        "function": (
            Edit(
                "jaxann/layers/feature_scale.py",
                "",
                '''"""A learned factor for each feature."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_floating
from jaxann.core.factories import factory
from jaxann.core.products import Layer

__all__ = ["feature_scale"]


@factory(Layer, traits=("positionwise",))
def feature_scale():
    """y = s x, one s for each feature.

    Parameter: `scale`, `(features,)`, ones at first.

    Raises:
        InputError: x holds whole numbers.
    """

    def init(key, spec):
        return {"scale": jnp.ones(spec.shape[-1:], spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        check_floating("feature_scale", "x", x)
        return x * jnp.broadcast_to(params["scale"], x.shape), state

    return init, apply
''',
            ),
            Edit(
                "jaxann/layers/__init__.py",
                "from jaxann.layers.ensemble import batch_ensemble_dense, packed_dense, repeat_members\n",
                "from jaxann.layers.feature_scale import feature_scale\n",
            ),
            Edit("jaxann/layers/__init__.py", '    "encoder_decoder",\n', '    "feature_scale",\n'),
        ),
        "backward rule": (
            Edit(
                "jaxann/backprop/layers/feature_scale.py",
                "",
                '''"""Backward rule of the layer of factors."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step

__all__ = []


@layer_rule(layers.feature_scale)
def _feature_scale(call: Call) -> Step:
    """y = s x:  dC/dx = s G,  dC/ds = sum over the examples of x G."""
    y, state = call.apply()
    scale = jnp.broadcast_to(call.params["scale"], call.x.shape)
    axes = tuple(range(call.x.ndim - 1))
    return Step(y, state, lambda g: Cotangents(scale * g, {"scale": (call.x * g).sum(axes)}))
''',
            ),
            Edit("jaxann/backprop/layers/__init__.py", "    ensemble,\n", "    feature_scale,\n"),
            Edit("jaxann/backprop/layers/__init__.py", '    "ensemble",\n', '    "feature_scale",\n'),
        ),
        "row": (
            Edit(
                "tests/rows/layers.py",
                "\nLAYERS = [\n",
                '    LayerRow("layers.feature_scale", layers.feature_scale, "closed form"),\n',
            ),
        ),
        "changelog": (Edit("CHANGELOG.md", "### Added\n\n", "- `layers.feature_scale`.\n"),),
    },
    (
        "tests/test_architecture.py",
        "tests/test_catalogue.py",
        "tests/test_contracts.py",
        "tests/test_contracts_layers.py",
    ),
)
SEARCH = Addition(
    "best_of",
    {
        "function": (
            Edit(
                "jaxann/tune/best_of.py",
                "",
                '''"""The plainest search: so many settings drawn from a space, all trained to the end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxann.core.checks import check_integer
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.tune.dimensions import Dimension
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.samplers import random
from jaxann.tune.search import Search
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["best_of"]


def best_of(
    build: Build,
    space: Mapping[str, Dimension],
    data: tuple,
    *,
    key: Key,
    epochs: int,
    validation: tuple | Resampling,
    tried: int = 20,
) -> Table:
    """Independent draws from a space, each trained to the end.

    Args:
        build, data, key, epochs, validation: as in `halving`.
        space: name to dimension.
        tried: how many settings.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    check_integer("best_of", "tried", tried)
    scored_on = as_resampling("best_of", "validation", validation)
    settings = random(space, tried, key=fold_name(key, "settings"))
    trials = Trials(Search("best_of", build, data, scored_on, key, epochs), settings)
    with trials.watched():
        trials.train(np.arange(trials.count))
        return trials.table(trials.figures())
''',
            ),
            Edit(
                "jaxann/tune/__init__.py",
                "from jaxann.tune.bayes import bayes\n",
                "from jaxann.tune.best_of import best_of\n",
            ),
            Edit("jaxann/tune/__init__.py", '    "bayes",\n', '    "best_of",\n'),
        ),
        "test": (
            Edit(
                "tests/tune/test_best_of.py",
                "",
                '''"""The plainest search."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxann as ja

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
KEY = jax.random.key(0)


def build(hyper):
    """One setting's recipe."""
    model, rule = ja.models.mlp((4, 2)), ja.optimizers.sgd(hyper["rate"])
    return ja.recipe(model, ja.losses.softmax_cross_entropy, rule)


@pytest.mark.parametrize("tried", [2, 3])
def test_best_of_scores_are_those_of_single_runs(tried: int):
    space = {"rate": ja.tune.log_uniform(0.01, 1.0)}
    table = ja.tune.best_of(build, space, (X, Y), key=KEY, epochs=2, validation=(X, Y), tried=tried)
    key = jax.random.split(ja.core.fold_name(KEY, "members"), 1)[0]
    for number in range(tried):
        run = ja.fit(build(table.setting(number)), (X, Y), validation=(X, Y), key=key, epochs=2)
        np.testing.assert_allclose(table.scores["loss"][number, 0], run.history["validation_loss"][-1], rtol=1e-5)
''',
            ),
        ),
        "changelog": (Edit("CHANGELOG.md", "### Added\n\n", "- `tune.best_of`.\n"),),
    },
    ("tests/test_architecture.py", "tests/test_signatures.py", "tests/tune/test_best_of.py"),
)
GRADIENTS = """
import numpy as np
import jaxann as ja
from tests.catalogue import LAYERS
layer = next(row for row in LAYERS if row.name == "layers.{name}").build()
model = ja.layers.sequential({{"in": ja.layers.dense(4), "new": layer, "out": ja.layers.dense(3)}})
x, y = np.linspace(-1, 1, 15).reshape(5, 3), np.arange(5) % 3
import jax
jax.config.update("jax_enable_x64", True)
params, state = model.init(jax.random.key(0), x)
loss = ja.losses.softmax_cross_entropy
trace = ja.backprop.backward(model, params, state, x, y, loss)
wanted = jax.grad(lambda p: loss(model.apply(p, state, x)[0], y).mean())(params)
for a, b in zip(jax.tree.leaves(trace.grads), jax.tree.leaves(wanted), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
print("equal")
"""


def _copy(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(ROOT / name, folder / name)


def _apply(folder: Path, edit: Edit) -> None:
    path = folder / edit.file
    if not edit.anchor:
        assert not path.exists(), f"{edit.file} is there already"
        path.write_text(edit.text)
        return
    before, found, after = path.read_text().partition(edit.anchor)
    assert found, f"{edit.file} does not hold {edit.anchor!r}"
    path.write_text(before + found + edit.text + after)


def _run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"}
    environment.pop("JAXANN_TEST_TOTAL", None)  # its tests are none of this run's
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_additions_take_so_many_edits(tmp_path: Path):
    promised = ((OPTIMIZER, 3), (LAYER, 4), (SEARCH, 3))
    _copy(tmp_path)
    for addition, edits in promised:
        assert len(addition.edits) == edits
        for together in addition.edits.values():
            for edit in together:
                _apply(tmp_path, edit)
    _run(tmp_path, "-m", "scripts.catalogue", "--write")
    names = " or ".join(addition.name for addition, _ in promised)
    words = f"({names} or catalogue or architecture or signatures) and not ruff and not pyright"
    tests = sorted({file for addition, _ in promised for file in addition.tests})
    told = _run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-k", words, *tests)
    for addition, _ in promised:
        assert len([line for line in told.splitlines() if line.startswith("PASSED") and addition.name in line]) > 1
    assert _run(tmp_path, "-c", GRADIENTS.format(name=LAYER.name)).strip() == "equal"
