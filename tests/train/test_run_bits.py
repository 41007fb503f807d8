"""Cutting the training program up changes no bit, nor does another process, another object, or a file."""

from __future__ import annotations

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from jaxann.train.batches import Batch, batch_of
from jaxann.train.epoch import begin
from jaxann.train.prepare import sized
from jaxann.train.steps import train_step
from tests.train.problems import FIT, digits, equal_bits, model, small_fit, small_recipe


def test_run_equals_fit_bit_for_bit():
    train, validation = digits()
    run = ja.train.make_run(small_recipe(), epochs=6, batch_size=64)
    whole = jax.jit(run)(jax.random.key(0), train, validation)
    chunked = small_fit()
    assert equal_bits(whole.params, chunked.params)
    for name, values in chunked.history.items():
        assert equal_bits(np.asarray(whole.history[name]), values), name


def test_run_equals_a_python_loop_of_its_step_bit_for_bit():
    (x, y), _ = digits()
    data = Batch(jnp.asarray(x), jnp.asarray(y))
    key = jax.random.key(0)
    recipe = sized("test", small_recipe(metrics=None), len(x), 64)
    trained = jax.jit(lambda k: begin(recipe, k, data.x))(key).trained

    @functools.partial(jax.jit, static_argnames="last")
    def one(trained, epoch, number, last):
        batch, mask, noise = batch_of(key, epoch, number, data, batch_size=64, shuffle=True, last=last)
        return train_step(trained, recipe, batch, key=noise, example_mask=mask)[0]

    for epoch in range(3):
        for number in range(7):  # ceil(410 / 64)
            trained = one(trained, jnp.int32(epoch), jnp.int32(number), last=number == 6)
    assert equal_bits(trained.params, small_fit(epochs=3, validation=None, metrics=None).params)


def test_fit_gives_the_same_bits_however_it_is_chunked(monkeypatch):
    whole = small_fit(stopping=ja.train.early_stopping(3))
    monkeypatch.setattr(FIT, "_CHUNK_SECONDS", 0.0)  # one epoch a chunk
    cut = small_fit(stopping=ja.train.early_stopping(3))
    assert equal_bits((whole.params, whole.state, whole.history), (cut.params, cut.state, cut.history))


def test_same_bits_in_another_process_and_from_a_rebuilt_and_a_loaded_model(tmp_path):
    here = small_fit()
    again = small_fit(model=ja.models.mlp((16, 10), dropout=0.1), optimizer=ja.optimizers.adam(3e-3))
    assert equal_bits(here.params, again.params)
    path = tmp_path / "model.safetensors"
    ja.save(path, model(), here.params, here.state)
    loaded, params, _ = ja.load(path)
    assert equal_bits(here.params, params)
    assert equal_bits(here.params, small_fit(model=loaded).params)
    program = (
        "import sys, numpy as np; sys.path.insert(0, '.'); import jax\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "from tests.train.problems import small_fit\n"
        "leaves = jax.tree.leaves(small_fit().params)\n"
        "print(b''.join(np.asarray(p).tobytes() for p in leaves).hex())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == b"".join(np.asarray(p).tobytes() for p in jax.tree.leaves(here.params)).hex()
