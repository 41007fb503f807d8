"""A model in a file: it comes back as it was, and what cannot be stored is refused by name."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxann.core import CheckpointError, InputError, Layer, factory
from jaxann.io import load, save
from jaxann.models import mlp
from jaxann.optimizers import sgd

DTYPES = "bool int8 int16 int32 uint8 uint16 uint32 float16 bfloat16 float32".split()


@factory(Layer, static=("units",))
def scaled(units: int, scale: float = 1.0):
    """A layer of somebody's own: y = scale x. What its parameters are is not known here."""

    def init(key, spec):
        raise NotImplementedError("parameters come from elsewhere")

    return init, lambda params, state, x, *, key=None, train=False: (x * scale, state)


def same(a, b):
    """Equal structure, dtypes, shapes and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert isinstance(y, jax.Array)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


def test_a_model_comes_back_as_it_was(saved):
    path, model, params, state = saved[:4]
    got, got_params, got_state = load(path)
    assert got == model and repr(got) == repr(model)
    same(params, got_params)
    same(state, got_state)
    x = jax.random.normal(jax.random.key(1), (3, 4))
    np.testing.assert_array_equal(model.apply(params, state, x)[0], got.apply(got_params, got_state, x)[0])


def test_layers_without_parameters_keep_their_place(saved):
    _, params, state = load(saved.path)
    assert params["act0"] == {} and params["drop0"] == {} and state["dense0"] == {}
    assert state.keys() == params.keys()


@pytest.mark.parametrize("tree", [{}, {"a": {}}, {"a": {"b": {}, "c": {"d": {}}}}])
def test_trees_without_any_array_are_kept(tmp_path, tree):
    save(tmp_path / "a", scaled(3), tree, {})
    assert load(tmp_path / "a") == (scaled(3), tree, {})


def test_every_dtype_comes_back_bit_for_bit(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (2, 3))
    params = {name: {"a": jnp.asarray(bits.astype(name)), "scalar": jnp.ones((), name)} for name in DTYPES}
    params["empty"] = {"a": jnp.zeros((0, 3))}
    params["odd"] = {"a": jnp.array([-0.0, 1e-45, np.finfo(np.float32).max], jnp.float32)}
    save(tmp_path / "a", scaled(3), params, {"numpy": {"a": np.ones(3, np.float32), "scalar": np.float32(2)}})
    _, got, state = load(tmp_path / "a")
    same(params, got)
    assert state["numpy"]["a"].dtype == jnp.float32 and state["numpy"]["scalar"].shape == ()


def test_64_bit_numbers_are_never_shortened_silently(tmp_path):
    with jax.enable_x64(True):
        params = {"a": jnp.array([1 / 3]), "n": jnp.array(2**40 + 1)}
        assert params["a"].dtype == jnp.float64
        save(tmp_path / "a", scaled(3), params, {})
        same(params, load(tmp_path / "a")[1])
    with jax.enable_x64(False):
        with pytest.raises(CheckpointError, match="jax_enable_x64"):
            load(tmp_path / "a")
        with pytest.raises(InputError, match=r"params\.a must be of at most 32 bits, got float64"):
            save(tmp_path / "b", scaled(3), {"a": np.ones(1)}, {})


TREES = st.recursive(
    st.dictionaries(st.text("abé 日-", min_size=1, max_size=3), st.just(np.float32(1)), max_size=2),
    lambda inner: st.dictionaries(st.text("abé 日-", min_size=1, max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TREES, TREES)
@settings(max_examples=40, deadline=None)
def test_any_nesting_comes_back(folder, params, state):
    save(folder / "a", scaled(2), params, state)
    _, got_params, got_state = load(folder / "a")
    assert jax.tree.structure((got_params, got_state)) == jax.tree.structure((params, state))


def test_a_model_of_ones_own_factory_comes_back_with_its_numbers(tmp_path):
    model = scaled(3, 1 / 3)
    save(tmp_path / "a", model, {}, {})
    assert load(tmp_path / "a")[0] == model


def test_any_ending_will_do(tmp_path, saved):
    _, model, params, state = saved[:4]
    for name in ("model", "model.pt", "model.safetensors.tmp", ".model", "a b"):
        save(tmp_path / name, model, params, state)
        assert load(tmp_path / name)[0] == model


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, saved):
    _, model, params, state = saved[:4]
    path = tmp_path / "a"
    save(path, model, params, state)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"save: path must be a file that can be written.*a'.*No space left"):
        save(path, model, jax.tree.map(jnp.zeros_like, params), state)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a"]


def test_a_missing_folder_is_named(tmp_path, saved):
    with pytest.raises(FileNotFoundError, match="nowhere/a"):
        save(tmp_path / "nowhere" / "a", *saved[1:4])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (None, "nested dicts of arrays, got None"),
        ([np.ones(1, np.float32)], "nested dicts of arrays"),
        (np.ones(1, np.float32), "nested dicts of arrays"),
        ({"a": [np.ones(1, np.float32)]}, r"params\.a must be an array"),
        ({"a": {"b": 1.0}}, r"params\.a\.b must be an array, got 1\.0"),
        ({"a": {"b": None}}, r"params\.a\.b must be an array"),
        ({3: np.ones(1, np.float32)}, "without a dot, got 3"),
        ({"a.b": np.ones(1, np.float32)}, "without a dot, got 'a.b'"),
        ({"": np.ones(1, np.float32)}, "without a dot"),
        ({"a/b": np.ones(1, np.float32)}, "without slashes"),
        ({"a": jax.random.key(0)}, r"params\.a must be of bool.*got key"),
        ({"a": jax.ShapeDtypeStruct((1,), jnp.float32)}, r"params\.a must be a concrete array"),
        ({"a": np.array([1 + 2j], np.complex64)}, "complex64"),
        ({"a": {"weight": np.array([1, np.nan], np.float32)}}, r"params\.a\.weight must be finite, got 1 of 2"),
        ({"a": {"weight": jnp.array([np.inf], jnp.bfloat16)}}, "allow_nonfinite=True"),
    ],
)
def test_what_is_no_tree_of_good_arrays_is_refused_by_name(tmp_path, params, says):
    with pytest.raises(InputError, match=says) as caught:
        save(tmp_path / "a", scaled(3), params, {})
    assert str(caught.value).startswith("save: ")
    with pytest.raises(InputError, match=says.replace("params", "state")):
        save(tmp_path / "a", scaled(3), {}, params)
    assert os.listdir(tmp_path) == []


def test_too_deep_a_nesting_is_refused(tmp_path):
    tree: dict = {}
    for _ in range(2000):
        tree = {"a": tree}
    with pytest.raises(InputError, match="nested at most"):
        save(tmp_path / "a", scaled(3), tree, {})


def test_traced_and_deleted_arrays_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"params\.a must be a concrete array"):
        jax.jit(lambda a: save(tmp_path / "a", scaled(3), {"a": a}, {}))(jnp.ones(1))
    gone = jnp.ones(1)
    gone.delete()
    with pytest.raises(InputError, match=r"params\.a must be an array that can be read here.*deleted"):
        save(tmp_path / "a", scaled(3), {"a": gone}, {})


def test_what_is_no_model_is_refused(tmp_path):
    for model in (None, {"widths": (1,)}, mlp, sgd(0.1)):
        with pytest.raises(InputError, match="save: model must be a layer"):
            save(tmp_path / "a", model, {}, {})
    with pytest.raises(InputError, match="function"):
        save(tmp_path / "a", mlp((2, 1), activation=lambda x: x), {}, {})


def test_values_that_are_not_finite_are_kept_only_when_told(tmp_path):
    params = {"a": jnp.array([np.nan, np.inf, 1.0])}
    for call in (lambda: save(tmp_path / "a", scaled(3), params, {}, allow_nonfinite="yes"),  # pyright: ignore
                 lambda: load(tmp_path / "a", allow_nonfinite="yes")):  # pyright: ignore  # fmt: skip
        with pytest.raises(InputError, match="allow_nonfinite must be True or False"):
            call()
    save(tmp_path / "a", scaled(3), params, {}, allow_nonfinite=True)
    with pytest.raises(CheckpointError, match=r"params\.a.*2 NaN or infinite"):
        load(tmp_path / "a")
    same(params, load(tmp_path / "a", allow_nonfinite=True)[1])


def test_numbers_that_are_no_sizes_may_be_large(tmp_path):
    save(tmp_path / "a", scaled(3, 10**12), {}, {})
    assert load(tmp_path / "a")[0].arguments["scale"] == 10**12
    with pytest.raises(InputError, match="'units' of the model"):
        save(tmp_path / "b", scaled(10**9), {}, {})


def test_a_size_that_the_tensors_bear_out_may_be_large(tmp_path):
    size = 2_000_000
    save(tmp_path / "a", scaled(size), {"a": np.zeros(size, np.int8)}, {})
    assert load(tmp_path / "a")[0] == scaled(size)
