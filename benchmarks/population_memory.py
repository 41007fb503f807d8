"""What a population takes in memory, measured in a fresh process: `python -m benchmarks.population_memory`.

The figure to compare `predict_memory` with is the growth of the resident memory from just before `fit_population` to
its peak inside the call. Four things would spoil it and are kept out:

- compiling: an earlier process fills a compilation cache on disk by the very same call, and the measured one loads its
  programs from there (a first call in the measured process itself would do that too, and would leave behind freed
  memory that the second then reuses without growing);
- what JAX, its threads and numpy take once: a population of another shape runs first, 2 members on 64 rows;
- freed memory that the allocator has kept: it is handed back to the system first (`malloc_trim`);
- an earlier peak: the kernel's mark of the highest resident memory is set back (`/proc/self/clear_refs`).

So this part needs Linux and the GNU C library, and a CPU. The rows are numpy arrays that lie in memory beforehand;
where a device uses them in place, the copies that the prediction counts are not made and the growth is smaller.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT

SIZES = (784, 256, 10)
ROWS, BATCH, EPOCHS = 10_000, 128, 2


def resident(mark: str) -> int:
    """Bytes of resident memory: `VmRSS` now, `VmHWM` at its highest."""
    found = re.search(rf"^{mark}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024


def predicted(build, columns: dict, data: tuple, keys) -> int:
    """Bytes that jaxann foresees, put together as `fit_population` does."""
    import jax

    from jaxann.train.grouping import group_members
    from jaxann.train.memory import predict_memory
    from jaxann.train.population_data import join_sets

    members = len(keys)
    train, validation, folds = join_sets("benchmark", data, None, None, members)
    (group,) = group_members(
        "benchmark", build, columns, members, epochs=EPOCHS, batch_size=BATCH, examples=[len(data[0])] * members
    )
    return predict_memory(group, (train, validation, folds), jax.local_devices()).total


def measure(members: int) -> dict:
    """Train the population in this process; return bytes foreseen and bytes grown by."""
    import jax

    import jaxann as ja

    ja.setup()
    if jax.default_backend() != "cpu":
        return {"error": "measured on CPUs only: an accelerator's memory is reserved beforehand"}
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, SIZES[0])).astype(np.float32)
    y = random.integers(0, SIZES[-1], ROWS).astype(np.int32)

    def train(members: int, rows: int) -> None:
        keys = jax.random.split(jax.random.key(0), members)
        population = ja.train.fit_population(
            build_member, columns_of(members), (x[:rows], y[:rows]), keys=keys, epochs=EPOCHS,
            batch_size=min(BATCH, rows),
        )  # fmt: skip
        jax.block_until_ready(population.params)

    train(2, 64)
    foreseen = predicted(build_member, columns_of(members), (x, y), jax.random.split(jax.random.key(0), members))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    train(members, ROWS)
    return {"predicted": foreseen, "measured": resident("VmHWM") - before}


def build_member(hyper):
    """A member: 784-256-10 and Adam."""
    import jaxann as ja

    optimizer = ja.optimizers.adam(hyper["learning_rate"])
    return ja.recipe(ja.models.mlp(SIZES[1:]), ja.losses.softmax_cross_entropy, optimizer)


def columns_of(members: int) -> dict[str, list[float]]:
    """Learning rates."""
    return {"learning_rate": np.geomspace(1e-4, 1e-3, members).tolist()}


def compare_memory(members: int, repeats: int) -> dict:
    """Fill the cache in one process, measure in `repeats` others; bytes foreseen, grown by, and their ratio."""
    command = [sys.executable, "-m", "benchmarks.population_memory", "--members", str(members)]
    found = []
    with tempfile.TemporaryDirectory(prefix="compilation-cache-") as cache:
        environment = os.environ | {
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        for number in range(repeats + 1):
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                return {"error": (done.stderr.strip().splitlines() or ["no word"])[-1]}
            answer = json.loads(done.stdout.splitlines()[-1])
            if "error" in answer:
                return answer
            found += [answer] if number else []
    measured = [answer["measured"] for answer in found]
    foreseen = found[0]["predicted"]
    return {
        "members": members,
        "network": "-".join(map(str, SIZES)),
        "rows": ROWS,
        "predicted_bytes": foreseen,
        "measured_bytes": measured,
        "measured_over_predicted": statistics.median(measured) / foreseen,
    }


def main() -> None:
    """Measure once in this process and print the answer as JSON."""
    parser = argparse.ArgumentParser(description="Peak growth of memory by one population, against its prediction.")
    parser.add_argument("--members", type=int, default=64)
    print(json.dumps(measure(parser.parse_args().members)))


if __name__ == "__main__":
    main()
