"""Keys by name: the same everywhere, another for another name."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import numpy as np

from jaxann.core import fold_name

ROOT = Path(__file__).resolve().parents[2]


def _bits(key: jax.Array) -> list[int]:
    return np.asarray(jax.random.key_data(key)).tolist()


def test_name_is_folded_by_its_checksum():
    key = jax.random.key(3)
    for name in ("dense0", "", "ä\u4e2d", "a" * 1000):
        assert _bits(fold_name(key, name)) == _bits(jax.random.fold_in(key, zlib.crc32(name.encode())))


def test_names_and_keys_give_different_keys():
    names = [f"{kind}{i}" for kind in ("dense", "drop", "norm", "act", "weight", "bias") for i in range(50)]
    keys = {tuple(_bits(fold_name(jax.random.key(seed), name))) for seed in (0, 1) for name in names}
    assert len(keys) == 2 * len(names)


def test_key_is_the_same_in_every_process_and_program():
    code = "import jax, numpy; from jaxann.core import fold_name as f; "
    code += "print(numpy.asarray(jax.random.key_data(f(jax.random.key(3), 'dense0'))).tolist())"
    here = str(_bits(fold_name(jax.random.key(3), "dense0")))
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        assert done.stdout.strip() == here
    assert str(_bits(jax.jit(lambda k: fold_name(k, "dense0"))(jax.random.key(3)))) == here
