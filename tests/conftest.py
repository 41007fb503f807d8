"""Strict JAX for every test: no silent rank or dtype promotion, two CPU devices, compiled programs kept on disk.

pytest reads this file before any test module, in every worker of pytest-xdist, so the settings are in force before
the first array exists.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

ROOT = Path(__file__).resolve().parent.parent

for name, value in {
    "jax_num_cpu_devices": 2,
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_compilation_cache_dir": str(ROOT / ".cache" / "jax"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}.items():
    jax.config.update(name, value)

# Most programs of a test run once or twice, and compiling them takes longer: the compiler need not try hard. Here it
# does its best, for bits are compared, units in the last place counted, many steps made, or a new user's words tried.
THOROUGH = (
    "tests/optimizers/test_lbfgs_diabetes.py",
    "tests/optimizers/test_spirals.py",
    "tests/optimizers/test_thousand_steps.py",
    "tests/test_activations.py",
    "tests/test_contracts_activations.py",
    "tests/test_contracts_initializers.py",
    "tests/test_contracts_optimizers.py",
    "tests/test_readme.py",
    "tests/train/test_fit.py",
    "tests/train/test_run_bits.py",
)
MOST_PROGRAMS = 3000  # each takes about five of the 65,530 memory maps that Linux grants a process


def pytest_configure(config: pytest.Config) -> None:
    """A cached program that another worker is just writing is compiled anew; that is no failure."""
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache")


@pytest.fixture(scope="session")
def _let_go() -> list[int]:
    """How many programs had been compiled when they were let go last."""
    return [0]


@pytest.fixture(scope="module", autouse=True)
def _few_programs(_let_go: list[int]) -> Iterator[None]:
    """Let compiled programs go between two files once there are many: a process out of memory maps is killed."""
    from tests.contract import compiles  # imports jaxann: after the settings

    yield
    if compiles() - _let_go[0] > MOST_PROGRAMS:
        _let_go[0] = compiles()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def _quick() -> list[bool]:
    """Whether programs are compiled with little optimization now."""
    return [False]


@pytest.fixture(scope="module", autouse=True)
def _quick_programs(request: pytest.FixtureRequest, _quick: list[bool]) -> None:
    """Little optimization outside of `THOROUGH`; what was compiled in one way is not used in the other."""
    quick = not request.node.nodeid.startswith(THOROUGH)
    if _quick[0] != quick:
        _quick[0] = quick
        jax.config.update("jax_disable_most_optimizations", quick)
        jax.clear_caches()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many rows of the catalogue the contracts have run over, by room."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    if any("test_contracts" in getattr(report, "nodeid", "") for report in reports):
        from tests.catalogue import TABLES

        counts = ", ".join(f"{len(names)} {title}" for title, names in TABLES.items())
        terminalreporter.write_line(f"catalogue: {counts}")


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for the length of one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def key() -> jax.Array:
    """One typed key, the same for every test."""
    return jax.random.key(20)
