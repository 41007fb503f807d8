"""Programs are compiled without the part of XLA that is wrong, whoever has started JAX and however they are called."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core import programs

ROOT = Path(__file__).resolve().parents[2]
FLAG = "--xla_cpu_experimental_ynn_fusion_type="


def _run(*command: str, flags: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"} | ({} if flags is None else {"XLA_FLAGS": flags})
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_a_product_that_goes_wrong_is_right_in_every_verb_and_in_what_others_jit():
    found = json.loads(_run("-m", "tests.core.known_product", "first"))
    assert found == {"wrong": [], "wrong elsewhere": [], "told": []}


@pytest.mark.parametrize(
    ("how", "flags", "told"),
    [
        ("late", None, "import jaxann first"),
        ("first quick", f"{FLAG}individual_dot,reduce", "XLA_FLAGS asks for it"),
        ("first quick", f"{FLAG} {FLAG}individual_dot,reduce", "XLA_FLAGS asks for it"),  # of two the last one holds
        ("changed quick", None, "XLA_FLAGS was changed after jaxann was imported"),
    ],
    ids=["late", "chosen otherwise", "chosen twice", "changed"],
)
def test_where_it_cannot_be_turned_off_for_all_the_verbs_are_right_and_a_warning_tells_of_the_rest(how, flags, told):
    found = json.loads(_run("-m", "tests.core.known_product", *how.split(), flags=flags))
    assert found["wrong"] == []
    if found["wrong elsewhere"]:  # as in jaxlib 0.10.2
        assert len(found["told"]) == 1 and told in found["told"][0] and FLAG in found["told"][0]
    else:
        assert found["told"] == []


PRINT = "import os, jaxann, jax; print(repr(os.environ.get('XLA_FLAGS')), jax.numpy.ones(2).sum())"


def test_flags_of_others_stay_and_a_choice_is_respected():
    assert _run("-c", PRINT) == f"'{FLAG}' 2.0"
    other = "--xla_cpu_enable_fast_math=false"
    assert _run("-c", PRINT, flags=other) == f"'{other} {FLAG}' 2.0"
    chosen = f"{FLAG}reduce"
    assert _run("-c", PRINT, flags=chosen) == f"'{chosen}' 2.0"


def test_a_file_of_flags_is_left_alone(tmp_path: Path):
    path = tmp_path / "flags.txt"
    path.write_text("--xla_cpu_enable_fast_math=false\n")
    assert _run("-c", PRINT, flags=str(path)) == f"'{path}' 2.0"


def test_rank_seven_products_and_sums_do_not_end_the_process():
    code = """
import jaxann, jax, jax.numpy as jnp, numpy as np
a = np.arange(3 * 2 * 2 * 512, dtype=np.float32).reshape(3, 1, 2, 2, 8, 8, 8)
found = np.asarray(jax.jit(lambda a, b: jnp.sum(a * b, axis=3))(a, a))
print(np.allclose(found, (a * a).sum(3), rtol=1e-6))
"""
    assert _run("-c", code) == "True"


def test_an_unknown_option_or_version_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs, "_OPTION", "xla_cpu_no_such_option")
    assert programs._options.__wrapped__() == ()
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(programs, "has_started", lambda: False)
    monkeypatch.setattr(programs, "_version", lambda: (99, 0, 0))  # whose flags nobody has tried
    programs.leave_out_faults()
    assert os.environ["XLA_FLAGS"] == ""


def test_a_program_may_be_part_of_another_where_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs._Settled, "by_flag", False)
    monkeypatch.setattr(programs._Settled, "is_told", True)
    double = programs.jit(lambda x, power: x**power * 2, nested=True, static_argnames="power")
    assert float(double(jnp.float32(3), 2)) == 18
    assert float(jax.jit(lambda x: double(x, 2) + 1)(jnp.float32(3))) == 19
    assert float(jax.grad(lambda x: double(x, 2))(jnp.float32(3))) == 12
    np.testing.assert_array_equal(jax.jit(lambda: double(np.float32(3), 2))(), 18)  # no argument is traced
    assert double.eval_shape(np.float32(3), 2).shape == ()
    assert double.lower(np.float32(3), 2).compile()(np.float32(3)) == 18


ELSEWHERE = {  # where `jax.jit` itself may stand, and why
    "jaxann/activations/rules.py": "inlined into the program around",
    "jaxann/core/programs.py": "here",
    "jaxann/ops/dense.py": "the product alone, in eager use",
    "jaxann/ops/linear_loop.py": "the loop alone, in eager use",
    "jaxann/train/augmented.py": "traced for its shapes, never compiled",
    "jaxann/train/export.py": "exported, never compiled",
    "jaxann/train/prepare.py": "traced for its shapes, never compiled",
    "jaxann/train/weights.py": "what the model draws, only traced",
}


def test_programs_of_the_library_go_through_the_one_door():
    found = set()
    for path in sorted((ROOT / "jaxann").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "jit" and isinstance(node.value, ast.Name):
                if node.value.id == "jax" and not name.startswith("jaxann/teach/errat"):  # figures of a few numbers
                    found.add(name)
    assert found == set(ELSEWHERE)
