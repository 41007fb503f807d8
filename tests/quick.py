"""What `--quick` runs: the order of the source, a slice of every room, and the tests of what has just been changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["FILES", "ROWS", "changed_tests", "mirrors", "takes"]

ROOT = Path(__file__).resolve().parent.parent

FILES = (  # run whole
    "tests/advice/test_reading.py",
    "tests/backprop/test_worked_example.py",
    "tests/cli/test_cli.py",
    "tests/core/test_checks.py",
    "tests/core/test_factories.py",
    "tests/core/test_keys.py",
    "tests/core/test_trees.py",
    "tests/data/test_augment.py",
    "tests/diagnose/test_check_gradients.py",
    "tests/estimators/test_transformer_encode.py",
    "tests/io/test_safetensors.py",
    "tests/layers/test_dense.py",
    "tests/losses/test_reduce.py",
    "tests/metrics/test_report.py",
    "tests/models/test_mlp.py",
    "tests/neuron/test_gates.py",
    "tests/ops/test_ewma.py",
    "tests/optimizers/test_steps.py",
    "tests/plot/test_parallel.py",
    "tests/preprocessing/test_scale.py",
    "tests/regularizers/test_penalties.py",
    "tests/schedules/test_cosine.py",
    "tests/teach/test_explain_layers.py",
    "tests/test_architecture.py",
    "tests/test_catalogue.py",
    "tests/test_signatures.py",
    "tests/test_words.py",
    "tests/train/test_predict.py",
    "tests/train/test_run.py",
    "tests/tune/test_folds.py",
    "tests/tune/test_space.py",
)
ROWS = (  # of the contracts: one or two of a kind
    "activations.gelu",
    "activations.softmax",
    "data.mixup",
    "initializers.he_normal",
    "layers.batch_norm",
    "layers.dense",
    "layers.dropout",
    "losses.huber",
    "losses.softmax_cross_entropy",
    "metrics.accuracy",
    "models.mlp",
    "optimizers.adam",
    "optimizers.polyak",
    "preprocessing.standard",
    "regularizers.l2_penalty",
    "schedules.cosine",
)
_ROW = re.compile(rf"[\[-](?:{'|'.join(map(re.escape, ROWS))})(?![\w.])")


def takes(nodeid: str, changed: frozenset[str]) -> bool:
    """Whether a test, or a file of tests, belongs to the quick ones."""
    file, _, test = nodeid.partition("::")
    if file in FILES or file in changed:
        return True
    return file.startswith("tests/test_contracts") and (not test or "[" not in test or bool(_ROW.search(test)))


def mirrors(path: str) -> set[str]:
    """The tests that belong to a file: itself, those of its name, the contract of its room, or all of its room."""
    if re.search(r"(^|/)test_\w+\.py$", path):
        return {path} if (ROOT / path).exists() else set()
    found = re.fullmatch(r"(?:jaxann|tests)/(?P<room>\w+)/(?:.+/)?(?P<file>\w+)\.py", path)
    if found is None:
        return set()
    folder, name = ROOT / "tests" / found["room"], found["file"]
    by_name = {test for test in folder.rglob("test_*.py") if test.stem == f"test_{name}"}
    contract = ROOT / "tests" / f"test_contracts_{found['room']}.py"
    tests = by_name or ({contract} if contract.exists() else set(folder.rglob("test_*.py")))
    return {test.relative_to(ROOT).as_posix() for test in tests}


def _git(*words: str) -> list[str]:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_tests() -> frozenset[str]:
    """Tests of the files changed since the last commit, or, where none is, by the last commit; none without git."""
    paths = _git("diff", "--name-only", "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    return frozenset().union(*map(mirrors, paths or _git("diff", "--name-only", "HEAD~1", "HEAD")))
