"""A search gives the same table whatever it runs on: one, two or eight devices, one process or two."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: int) -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # each process compiles everything anew
    }
    command = [sys.executable, "-m", "tests.tune.on_devices", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen) -> dict:
    with process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return json.loads(next(line for line in out.splitlines() if line.startswith("FOUND"))[6:])


def same(a: dict, b: dict) -> None:
    assert a["epochs"] == b["epochs"] and a["rounds"] == b["rounds"]
    for part in ("table", "halved"):
        for name, values in a[part].items():
            np.testing.assert_allclose(values, b[part][name], rtol=1e-5, atol=1e-6, err_msg=f"{part} {name}")


@pytest.fixture(scope="module")
def on_one() -> dict:
    return answer(start(1))


@pytest.mark.parametrize("devices", [2, 8])
def test_the_same_table_on_several_devices(on_one: dict, devices: int):
    same(on_one, answer(start(devices)))


def test_the_same_table_on_two_processes(on_one: dict):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [start(2, port, number, 2) for number in range(2)]
    try:
        first, second = (answer(process) for process in both)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    same(on_one, first)
    assert first == second, "every process has the whole table"


def test_setup_comes_before_jax_starts():
    code = """
import jaxann as ja
print(ja.setup(cpu_devices=3))
import jax
print(jax.local_device_count("cpu"), ja.setup(cpu_devices=3))
try:
    ja.setup(cpu_devices=5)
except ja.InputError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, second, *error = done.stdout.splitlines()
    assert first == "3" and second == "3 3"
    assert error[0] == "setup: cpu_devices must be what JAX has already started with (3), got 5."


def test_setup_refusals():
    assert_input_error(lambda: ja.setup(cpu_devices=0), "cpu_devices")
    assert_input_error(lambda: ja.setup(cpu_devices="all"), "cpu_devices", expected="cores")
    assert ja.setup(cpu_devices=jax.local_device_count()) == jax.local_device_count()
