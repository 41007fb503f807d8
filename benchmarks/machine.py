"""What the figures were measured on: a description of the machine, and the fastest matrix product it was seen to do.

The peak is measured in the same run as the contenders, because a shared or throttled machine does not reach its data
sheet: a large float32 product in PyTorch and in JAX, on all cores and on one, each in a process of its own; the best
repetition of either library counts.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    *("numpy", "jax", "jaxlib", "torch", "flax", "optax", "equinox", "keras", "scikit-learn"),
    *("lightgbm", "catboost", "tabm"),
)
CPU_SIZE, GPU_SIZE, QUICK_SIZE = 4096, 16384, 1024


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """Return the processor's name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that take part and are installed."""
    versions = {"python": platform.python_version()}
    for package in (*PACKAGES, "jaxann"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def commit() -> str:
    """Return the commit of the checkout, marked if the library has uncommitted changes; or "unknown"."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        revision = git("rev-parse", "HEAD")
        return f"{revision} with changes" if git("status", "--porcelain", "--", "jaxann") else revision
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def probe_jax(size: int) -> tuple[Callable[[], object], dict[str, str]]:
    """Return a float32 product in JAX, and the device it runs on."""
    import jax
    import jax.numpy as jnp

    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    product = jax.jit(jnp.matmul)
    device = jax.devices()[0]
    return lambda: product(matrix, matrix).block_until_ready(), {
        "platform": device.platform,
        "kind": device.device_kind,
    }


def probe_torch(size: int) -> tuple[Callable[[], object], dict[str, str]]:
    """Return a float32 product in PyTorch (with TensorFloat-32 on a GPU, as JAX has it), and the device it runs on."""
    import torch

    torch.set_float32_matmul_precision("high")
    if not torch.cuda.is_available():
        matrix = torch.randn(size, size)
        return lambda: matrix @ matrix, {"platform": "cpu", "kind": "cpu"}
    matrix = torch.randn(size, size, device="cuda")

    def product() -> None:
        matrix @ matrix
        torch.cuda.synchronize()

    return product, {"platform": "gpu", "kind": torch.cuda.get_device_name()}


PROBES = {"jax": probe_jax, "torch": probe_torch}


def run_probe(library: str, size: int | None, *, one_core: bool, repeats: int = 6) -> dict:
    """Time the product in this process; return the best repetition in GFLOP/s and the device."""
    if one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    build = PROBES[library]
    if size is None:
        _, device = build(1)
        size = CPU_SIZE if device["platform"] == "cpu" else GPU_SIZE
    product, device = build(size)
    product()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return {"gflops": 2 * size**3 / min(seconds) / 1e9, "size": size, **device}


def start_probe(library: str, *, quick: bool, one_core: bool) -> dict:
    """Run `run_probe` in a fresh process; return its answer, or the last line of its complaint under `error`."""
    command = [sys.executable, "-m", "benchmarks.machine", library]
    command += ["--size", str(QUICK_SIZE)] if quick else []
    command += ["--one-core"] if one_core else []
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return {"error": "no answer within 600 s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def measure_peak(*, quick: bool, before: dict | None = None) -> dict:
    """Measure the peak: per library and cores the GFLOP/s, the best of all cores and of one, and JAX's device.

    Of an earlier peak, given as `before`, the better figures are kept: what slows a product down is other load.
    """
    probes = {library: start_probe(library, quick=quick, one_core=False) for library in PROBES}
    device = {key: probes["jax"].get(key, "unknown") for key in ("platform", "kind")}
    if device["platform"] == "cpu" and hasattr(os, "sched_setaffinity"):
        probes |= {f"{library}, one core": start_probe(library, quick=quick, one_core=True) for library in PROBES}
    if before:
        probes = {
            name: max(probe, before["probes"].get(name, {}), key=lambda p: p.get("gflops", 0.0))
            for name, probe in probes.items()
        }

    def best(names: list[str]) -> float | None:
        return max((probes[name]["gflops"] for name in names if "gflops" in probes.get(name, {})), default=None)

    return {
        "device": before["device"] if before else device,
        "all_cores_gflops": best(list(PROBES)),
        "one_core_gflops": best([f"{library}, one core" for library in PROBES]),
        "probes": probes,
    }


def device_name(device: dict[str, str]) -> str:
    """Return the name of the results folder: `cpu-2-cores`, `nvidia-h100`."""
    kind = f"cpu-{core_count()}-cores" if device["platform"] == "cpu" else device["kind"]
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")


def describe_machine() -> dict:
    """Return processor, cores, memory, system, versions, date and commit."""
    return {
        "cpu": cpu_model(),
        "cores": core_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": package_versions(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
    }


def result_path(out: Path, name: str) -> Path:
    """Return where `write_result` writes."""
    import jax

    device = jax.devices()[0]
    return out / device_name({"platform": device.platform, "kind": device.device_kind}) / f"{name}.json"


def write_result(out: Path, name: str, content: dict) -> Path:
    """Write `content`, with the machine's description, to `<out>/<device>/<name>.json`; return the path."""
    path = result_path(out, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": 1, "machine": describe_machine(), **content}, indent=1) + "\n")
    return path


def main() -> None:
    """Measure one product in this process and print the answer as JSON."""
    parser = argparse.ArgumentParser(description="Time one large float32 matrix product.")
    parser.add_argument("library", choices=list(PROBES))
    parser.add_argument("--size", type=int, default=None, help="rows and columns (chosen by device if left out)")
    parser.add_argument("--one-core", action="store_true", help="use one core only")
    arguments = parser.parse_args()
    print(json.dumps(run_probe(arguments.library, arguments.size, one_core=arguments.one_core)))


if __name__ == "__main__":
    main()
