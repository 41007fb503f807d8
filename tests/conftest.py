"""Strict JAX for every test: no silent rank or dtype promotion, two CPU devices, compiled programs kept on disk.

pytest reads this file before any test module, in every worker of pytest-xdist, so the settings are in force before
the first array exists.

Most of the time of the tests is the compiler's. Two groups of tests ask different things of it:

- `thorough` (the list below): compiled as a user's programs are;
- all others: with little optimization, and where no thorough test shares the process, by the faster code generator
  that `FAST` asks for. The flags hold for a whole process, so `scripts/test` runs the groups one after the other.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

from tests.quick import changed_tests, takes

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
    if "cache" in name:
        os.environ[name.upper()] = str(value)  # of the processes that tests start, too

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a shell has put into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # some tests press Ctrl-C

# Beginnings of the names of tests in which the compiler does its best: bits are compared, units in the last place
# counted, many steps made, or a new user's words tried. Most programs of the other tests run once or twice, and
# compiling them takes longer than running them.
THOROUGH = (
    "tests/optimizers/test_lbfgs_diabetes.py",
    "tests/optimizers/test_spirals.py",
    "tests/optimizers/test_thousand_steps.py::test_optimizer_follows_its_formula_on_given_gradients[shampoo",
    "tests/test_contracts_activations.py::test_activation_at_infinity_and_at_nan[float32",
    "tests/test_contracts_activations.py::test_activation_has_the_stated_slope_at_its_kinks[float32",
    "tests/test_contracts_activations.py::test_activation_is_exact_to_four_units_of_the_last_place",
    "tests/test_contracts_activations.py::test_activation_is_finite_for_finite_input[float32",
    "tests/test_contracts_initializers.py::test_initializer_is_a_function_of_key_shape_and_dtype",
    "tests/test_contracts_optimizers.py::test_optimizer_scanned_equals_a_loop_bit_for_bit",
    "tests/train/test_fit.py::test_integer_pixels_train_as_their_float_form",
    "tests/train/test_fit.py::test_interruption_returns_the_best_so_far",
    "tests/train/test_fit.py::test_resume_goes_on_bit_for_bit",
    "tests/train/test_run_bits.py",
)
FAST = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
MOST_PROGRAMS = 3000  # each takes about five of the 65,530 memory maps that Linux grants a process
CHANGED = pytest.StashKey[frozenset[str]]()
LITTLE = pytest.StashKey[bool]()
FILES = {name.split("::")[0] for name in THOROUGH}


def _is_thorough(config: pytest.Config) -> bool | None:
    """Whether `-m` asks for the one group or the other; None where it asks for neither."""
    return {"thorough": True, "not thorough": False}.get(config.option.markexpr)


def _may_meet_thorough(config: pytest.Config) -> bool:
    """Whether a thorough test may be among those that the command names."""
    if _is_thorough(config) is not None:
        return bool(_is_thorough(config))
    places = [os.path.relpath(config.invocation_params.dir / arg.split("::")[0], ROOT) for arg in config.args]
    return any(file == place or place == "." or file.startswith(place + "/") for place in places for file in FILES)


def _knows_flags() -> bool:
    """Whether this jaxlib takes the flags of `FAST`: it ends a process over one that it does not know."""
    code = "from jaxlib import xla_client; xla_client.make_cpu_client()"
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {FAST}"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0


def pytest_configure(config: pytest.Config) -> None:
    """The flags of the compiler, before it starts, and what git knows to have changed."""
    config.stash[CHANGED] = changed_tests() if config.option.quick else frozenset()
    # A cached program that another worker is just writing is compiled anew; that is no failure.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache")
    given = os.environ.get("XLA_FLAGS", "")  # workers inherit what the first process has found out
    if FAST not in given and not hasattr(config, "workerinput") and not _may_meet_thorough(config) and _knows_flags():
        os.environ["XLA_FLAGS"] = f"{given} {FAST}".strip()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`: a slice of every room."""
    parser.addoption("--quick", action="store_true", help="a slice of every room: see tests/quick.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files that hold no test of the group asked for, or none of the quick ones, need not be read."""
    if not collection_path.name.startswith("test_"):
        return None
    file = collection_path.relative_to(ROOT).as_posix()
    if config.option.quick and not takes(file, config.stash[CHANGED]):
        return True
    looks_everywhere = config.getoption("lf", False) or config.getoption("failedfirst", False)
    return True if _is_thorough(config) and not looks_everywhere and file not in FILES else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """The mark by which the groups are told apart."""
    if item.nodeid.startswith(THOROUGH):
        item.add_marker("thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Thorough tests first, for what has been compiled in one way is not used in the other."""
    if config.option.quick:
        left = [item for item in items if not takes(item.nodeid, config.stash[CHANGED])]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if takes(item.nodeid, config.stash[CHANGED])]
    items.sort(key=lambda item: item.get_closest_marker("thorough") is None)


def pytest_collection_finish() -> None:
    """What reading the files has made is there to stay: the garbage collector need not look through it again.

    Nor need it look as often as it does: tracing makes many small objects, and a fifth of the time went into this.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The compiler's effort for this test, before its fixtures compile anything."""
    little = item.get_closest_marker("thorough") is None
    if item.config.stash.get(LITTLE, False) != little:
        item.config.stash[LITTLE] = little
        jax.config.update("jax_disable_most_optimizations", little)
        jax.clear_caches()


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many rows of the catalogue the contracts have run over, by room; the figures that `scripts/test` adds up."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    if any("test_contracts" in getattr(report, "nodeid", "") for report in reports):
        from tests.catalogue import TABLES

        counts = ", ".join(f"{len(names)} {title}" for title, names in TABLES.items())
        terminalreporter.write_line(f"catalogue: {counts}")
    total = os.environ.get("JAXANN_TEST_TOTAL")
    if total and not hasattr(terminalreporter.config, "workerinput"):  # a worker's reports reach the first process
        _add_up(Path(total), {kind: len(found) for kind, found in terminalreporter.stats.items()}, reports)


def _add_up(path: Path, counts: dict[str, int], reports: list) -> None:
    known = json.loads(path.read_text()) if path.exists() and path.stat().st_size else {"counts": {}, "failed": []}
    for kind, number in counts.items():
        known["counts"][kind] = known["counts"].get(kind, 0) + number
    bad = {report.nodeid for report in reports if getattr(report, "failed", False)}
    path.write_text(json.dumps({"counts": known["counts"], "failed": [*known["failed"], *sorted(bad)]}))


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for the length of one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def key() -> jax.Array:
    """One typed key, the same for every test."""
    return jax.random.key(20)
