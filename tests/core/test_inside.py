"""Inside jit, scan and grad the verbs are part of the program around, whatever is traced and whoever started JAX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core import programs
from jaxann.core.tracing import is_inside, is_traced

ROOT = Path(__file__).resolve().parents[2]


def test_where_jax_had_started_first_nothing_given_needs_to_be_traced():
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.core.inside_late"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    logits = x.astype(np.float64) @ np.arange(6).reshape(3, 2) + [0.5, -0.5]
    loss = (np.log(np.exp(logits).sum(1)) - logits[np.arange(9), np.arange(9) % 2]).mean()
    inside, outside = found["inside"], found["outside"]
    for name in ("first", "jit", "scan"):
        np.testing.assert_allclose(inside[name], logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(inside["grad"], logits[0, 0], rtol=1e-5)
    np.testing.assert_allclose([inside["loss"], outside["loss"]], loss, rtol=1e-5)
    for name in ("samples", "samples by key"):  # the same noise
        np.testing.assert_allclose(inside[name], outside["samples"], rtol=1e-5, atol=1e-6)
    assert np.std(outside["samples"], axis=0).max() > 0.1
    assert all("must be known when it is called" in message for message in found["messages"].values()), found
    assert set(found["told"]) <= {found["file"]}  # at the line that called, where this jaxlib is wrong
    assert len(found["told"]) <= 1


def test_is_traced_tells_what_has_no_value_from_what_is_computed_at_once():
    seen: dict[str, tuple[bool, bool]] = {"outside": (is_inside(), is_traced(()))}

    def look(name: str, given: object = ()) -> jax.Array:
        seen[name] = (is_inside(), is_traced(given))
        return jnp.zeros(())

    jax.jit(lambda: look("jit"))()
    jax.grad(lambda a: a * look("grad"))(1.0)
    jax.grad(lambda a: a * look("grad of what is given", a))(1.0)
    jax.vmap(lambda a: a * look("vmap"))(jnp.ones(2))
    with jax.disable_jit():
        jax.jit(lambda: look("jit turned off"))()
    assert seen == {
        "outside": (False, False),
        "jit": (True, True),
        "grad": (True, False),
        "grad of what is given": (True, True),
        "vmap": (True, False),
        "jit turned off": (False, False),
    }


def test_any_program_is_part_of_another_and_leaves_nothing_behind():
    program = programs.jit(lambda x, power: x**power, static_argnames="power")
    assert float(jax.jit(lambda x: program(x, 2) + program(3.0, 1))(jnp.float32(3))) == 12
    assert not program._kept
