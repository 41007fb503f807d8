"""The table of a search: order, figures, text, code to paste, and a file that gives it back."""

from __future__ import annotations

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxann import optimizers
from jaxann.core import CheckpointError
from jaxann.tune import Table, load_table
from tests.contract import assert_input_error

NAN, INF = float("nan"), float("inf")
LOSS = [[0.3, 0.1], [0.5, NAN], [0.1, 0.3], [0.05, 0.07], [INF, 0.1]]
HYPERPARAMETERS = {
    "learning_rate": np.array([0.1, 0.01, 1e-3, 0.00316, 1.0]),
    "units": np.array([1, 2, 3, 4, 5]),
    "activation": ["relu", "tanh", "relu", "gelu", "elu"],
    "widths": [(64,), (64, 64), (), None, True],
}


def _table(**changes) -> Table:
    arguments = {"hyperparameters": HYPERPARAMETERS, "scores": {"loss": np.array(LOSS), "accuracy": 1 - np.array(LOSS)},
                 "monitor": "loss", "mode": "min", "epochs": np.full((5, 2), 7)}  # fmt: skip
    return Table(**(arguments | changes))


def _wide(settings: int, names: int = 1, metrics: int = 1, repeats: int = 3) -> Table:
    numbers = np.random.default_rng(0)
    scores = {f"metric{i}": numbers.normal(size=(settings, repeats)) for i in range(metrics)}
    hyperparameters = {f"a_long_name_of_a_setting_{i}": numbers.normal(size=settings) for i in range(names)}
    return Table(
        hyperparameters=hyperparameters,
        scores=scores,
        monitor="metric0",
        mode="max",
        epochs=np.ones((settings, repeats), int),
    )


def test_figures_are_numpys():
    table = _table()
    np.testing.assert_allclose(table.mean["loss"][[0, 2, 3]], [0.2, 0.2, 0.06], rtol=1e-15)
    np.testing.assert_allclose(table.std["loss"][[0, 2, 3]], [0.1, 0.1, 0.01], rtol=1e-14)  # over n, not n - 1
    np.testing.assert_array_equal(table.mean["loss"][[1, 4]], [NAN, INF])
    assert np.isnan(table.std["loss"][[1, 4]]).all()
    assert list(table.mean) == list(table.std) == ["loss", "accuracy"]
    assert len(table) == 5


def test_order_puts_the_best_first_and_what_diverged_last():
    assert _table().order.tolist() == [3, 0, 2, 1, 4]  # 0 and 2 tie
    by_accuracy = _table(monitor="accuracy", mode="max")
    assert by_accuracy.order.tolist() == [3, 0, 2, 1, 4]
    assert _table(mode="max").order.tolist() == [0, 2, 3, 1, 4]  # an infinite mean is no best


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-5, 5) | st.sampled_from((NAN, INF, -INF, 0.0)), min_size=1, max_size=20), st.booleans())
def test_order_is_sorted_for_any_scores(scores, highest):
    sign = -1 if highest else 1
    hyperparameters, column = {"a": list(range(len(scores)))}, np.array(scores)[:, None]
    table = Table(hyperparameters, {"s": column}, "s", "max" if highest else "min", np.ones_like(column, int))
    expected = sorted(range(len(scores)), key=lambda i: (not math.isfinite(scores[i]), sign * scores[i]
                                                         if math.isfinite(scores[i]) else 0, i))  # fmt: skip
    assert table.order.tolist() == expected


def test_order_compares_only_settings_that_came_as_far():
    table = _table(rounds=[2, 2, 1, 1, 1])
    assert table.order.tolist() == [0, 3, 2, 1, 4]  # 3 is better than 0 and came less far; 1 diverged
    assert table.best_index == 0
    assert [row["round"] for row in table.rows()] == [2, 1, 1, 2, 1] and "round" not in _table().rows()[0]
    assert "longest trained first" in str(table)


def test_best_is_one_setting_in_python_values():
    table = _table()
    assert table.best_index == 3
    assert (
        table.best == table.setting(3) == {"learning_rate": 0.00316, "units": 4, "activation": "gelu", "widths": None}
    )
    assert [type(value) for value in table.setting(0).values()] == [float, int, str, tuple]
    assert _table(hyperparameters={"a": jnp.arange(5.0), "b": np.array(list("abcde"))}).setting(1) == {
        "a": 1.0,
        "b": "b",
    }
    assert _table(hyperparameters={}).best == {}


def test_best_refuses_when_nothing_finished():
    table = _table(scores={"loss": np.full((5, 2), NAN)})
    assert table.order.tolist() == list(range(5))
    assert_input_error(lambda: table.best, "scores['loss']", expected="finite", given="none of 5")
    assert_input_error(lambda: table.code(), "scores['loss']", given="none of 5")
    assert "nan ± nan" in str(table)


def test_rows_make_a_data_frame():
    rows = _table().rows()
    assert [row["setting"] for row in rows] == [3, 0, 2, 1, 4]
    assert rows[0] == {
        "setting": 3, "learning_rate": 0.00316, "units": 4, "activation": "gelu", "widths": None,
        "mean_loss": pytest.approx(0.06), "std_loss": pytest.approx(0.01),
        "mean_accuracy": pytest.approx(0.94), "std_accuracy": pytest.approx(0.01), "mean_epochs": 7.0,
    }  # fmt: skip
    assert all(type(value) in (int, float, str, tuple, bool, type(None)) for row in rows for value in row.values())
    taken = _table(hyperparameters={"mean_loss": [1, 2, 3, 4, 5]})
    assert_input_error(taken.rows, "hyperparameters", given="mean_loss")


def test_text_shows_the_best_settings_to_four_digits():
    lines = str(_table()).split("\n")
    assert lines[0] == "5 settings, best first, by loss (min), mean ± standard deviation of 2 scores"
    assert lines[2].split() == "setting loss accuracy learning_rate units activation widths epochs".split()
    assert lines[3].split() == "3 0.06 ± 0.01 0.94 ± 0.01 0.00316 4 gelu None 7".split()
    assert [line.split()[0] for line in lines[3:]] == ["3", "0", "2", "1", "4"]
    assert repr(_table()) == str(_table())
    third = Table({"a": [1 / 3]}, {"loss": [[2 / 3]]}, "loss", "min", [[1]])
    assert str(third).split("\n")[-1].split() == ["0", "0.6667", "0.3333", "1"]


@pytest.mark.parametrize("count, more", ((10, None), (11, "... and 1 more setting"), (100, "... and 90 more settings")))
def test_text_ends_after_ten_settings(count, more):
    lines = str(_wide(count)).split("\n")
    assert len(lines) == 3 + 10 + (more is not None)
    assert more is None or lines[-1] == more


@pytest.mark.parametrize("names, metrics", ((0, 1), (1, 5), (5, 1), (20, 3)))
def test_text_keeps_to_the_page_and_leaves_nothing_out(names, metrics):
    text = str(_wide(12, names, metrics))
    assert max(map(len, text.split("\n"))) <= 100
    for i in range(names):
        assert f"a_long_name_of_a_setting_{i}" in text
    for i in range(metrics):
        assert f"metric{i} " in text or f"metric{i}\n" in text


def test_text_holds_values_of_any_length():
    table = _table(hyperparameters={"a": ["y" * 500, "two\nlines", lambda: 0, max, optimizers.adam(1e-3)]})
    text = str(table)
    assert max(map(len, text.split("\n"))) <= 100
    assert "yyy..." in text and "two lines" in text and "max" in text and "adam(learning_rate=0.001)" in text


def test_code_of_the_best_setting():
    hyperparameters = {"learning_rate": [0.00316, 1.0], "weight_decay": [1e-05, 0.0]}
    table = Table(hyperparameters, {"loss": [[0.1], [0.2]]}, "loss", "min", [[1], [1]])
    assert table.code() == 'hyper = {"learning_rate": 0.00316, "weight_decay": 1e-05}'
    assert table.code(1) == 'hyper = {"learning_rate": 1.0, "weight_decay": 0.0}'


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=6,
)


def _same(a, b):
    """Equal in value and in kind, down to the sign of zero."""
    return repr(a) == repr(b)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_code_evaluates_to_the_setting(setting):
    hyperparameters = {name: [value] for name, value in setting.items()}
    code = Table(hyperparameters, {"loss": [[0.1]]}, "loss", "min", [[1]]).code()
    assert code.startswith("hyper = ")
    assert _same(eval(code.removeprefix("hyper = ")), setting)


@pytest.mark.parametrize("dtype", ("float16", "float32", "float64", "int8", "int64", "uint32"))
def test_code_is_exact_for_every_kind_of_number(dtype):
    column = np.array([100 / 3], dtype)
    code = Table({"a": column}, {"loss": [[0.1]]}, "loss", "min", [[1]]).code()
    assert np.array(eval(code.removeprefix("hyper = "))["a"], dtype) == column[0]
    assert "np." not in Table({"a": [(np.float64(0.5), np.int32(1))]}, {"l": [[0.1]]}, "l", "min", [[1]]).code()


def test_code_breaks_into_lines_when_long():
    code = _wide(2, 6).code()
    assert code.count("\n") == 7 and max(map(len, code.split("\n"))) <= 100
    assert eval(code.removeprefix("hyper = ")) == _wide(2, 6).best


def test_code_refuses_what_has_no_spelling():
    table = _table(hyperparameters={"act": [max, min, max, min, max]})
    message = assert_input_error(table.code, "setting['act']", given="min")
    assert "names" in message
    assert_input_error(lambda: table.save("never-written.json"), "hyperparameters['act']", given="max")
    assert_input_error(lambda: _table().code(5), "index", expected="5", given="5")
    assert_input_error(lambda: _table().setting(-1), "index", given="-1")
    assert_input_error(lambda: _table().setting(True), "index", given="True")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def assert_same_table(a: Table, b: Table):
    assert (a.monitor, a.mode) == (b.monitor, b.mode)
    assert list(a.hyperparameters) == list(b.hyperparameters) and list(a.scores) == list(b.scores)
    for name, column in a.hyperparameters.items():
        assert type(column) is type(b.hyperparameters[name])
        if isinstance(column, np.ndarray):
            assert (
                column.dtype == b.hyperparameters[name].dtype and column.tobytes() == b.hyperparameters[name].tobytes()
            )
        else:
            assert _same(column, b.hyperparameters[name])
    for name, values in a.scores.items():
        np.testing.assert_array_equal(values, b.scores[name])
    np.testing.assert_array_equal(a.epochs, b.epochs)
    np.testing.assert_array_equal(a.rounds, b.rounds)


def test_table_comes_back_from_its_file(tmp_path):
    path = tmp_path / "search.json"
    more = {
        "f": np.array([1 / 3, INF, -0.0, 1e-320, NAN]),
        "g": np.arange(5, dtype=np.int32),
        "h": np.full(5, 1 / 3, np.float32),
    }
    table = _table(hyperparameters=HYPERPARAMETERS | more)
    table.save(path)
    assert_same_table(load_table(path), table)
    json.loads(path.read_text(), parse_constant=pytest.fail)  # JSON that any reader takes
    _table(rounds=np.arange(5)).save(path)
    assert_same_table(load_table(str(path)), _table(rounds=np.arange(5)))


@settings(max_examples=80, deadline=None)
@given(VALUES, st.floats(), st.text())
def test_any_value_comes_back_from_a_file(folder, value, score, name):
    table = Table({name: [value]}, {name: [[score]]}, name, "min", [[3]])
    table.save(folder / "one.json")
    assert_same_table(load_table(folder / "one.json"), table)


VERSION_1 = """
{"format": "jaxann table", "version": 1, "monitor": "accuracy", "mode": "max", "hypers": {
 "learning_rate": {"values": [0.3333333333333333, 0.01], "dtype": "float64"},
 "units": {"values": [16, 32], "dtype": "int32"}, "activation": {"values": ["relu", "tanh"]},
 "widths": {"values": [{"tuple": [64]}, null]},
 "optimizer": {"values": [{"product": {"factory": "optimizers.adam", "arguments": {
   "learning_rate": 0.25, "b1": 0.9, "b2": 0.999, "eps": 1e-08, "eps_root": 0.0}}}, null]}},
 "scores": {"loss": [[0.30000000000000004, 0.25], [{"number": "nan"}, 0.5]],
            "accuracy": [[0.9, 0.875], [0.5, {"number": "inf"}]]},
 "epochs": [[9, 9], [3, 3]], "rounds": [2, 1]}
"""


def test_a_file_of_version_1_still_loads(tmp_path):
    """As the release before wrote it, where the column was called `hypers`."""
    (tmp_path / "old.json").write_text(VERSION_1)
    columns = {
        "learning_rate": np.array([1 / 3, 0.01]),
        "units": np.array([16, 32], np.int32),
        "activation": ["relu", "tanh"],
        "widths": [(64,), None],
        "optimizer": [optimizers.adam(0.25), None],
    }
    scores = {"loss": [[0.1 + 0.2, 0.25], [NAN, 0.5]], "accuracy": [[0.9, 0.875], [0.5, INF]]}
    expected = Table(columns, scores, "accuracy", "max", np.array([[9, 9], [3, 3]]), np.array([2, 1]))
    loaded = load_table(tmp_path / "old.json")
    assert_same_table(loaded, expected)
    loaded.save(tmp_path / "new.json")
    written = json.loads((tmp_path / "new.json").read_text())
    assert written["version"] == 2 and "hyperparameters" in written and "hypers" not in written
    assert_same_table(load_table(tmp_path / "new.json"), expected)


def test_products_are_kept_and_spelled(tmp_path):
    table = Table({"optimizer": [optimizers.adam(0.25)]}, {"loss": [[0.1]]}, "loss", "min", [[1]])
    table.save(tmp_path / "a.json")
    assert load_table(tmp_path / "a.json").best == {"optimizer": optimizers.adam(0.25)}
    assert table.code() == f'hyper = {{"optimizer": {optimizers.adam(0.25)!r}}}'


def test_save_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    _table().save(path)
    before = path.read_bytes()
    assert_input_error(lambda: _table(hyperparameters={"a": [max] * 5}).save(path), "hyperparameters['a']")
    assert path.read_bytes() == before
    assert_input_error(lambda: _table().save(tmp_path), "path", given="a folder")
    assert_input_error(lambda: _table().save(""), "path")


@pytest.mark.parametrize(
    "change",
    (
        {"format": "other"},
        {"version": 3},
        {"version": 1},
        {"version": True},
        {"extra": 1},
        {"mode": "median"},
        {"monitor": "cost"},
        {"scores": {"loss": [[0.1]]}},
        {"scores": {"loss": "abc"}},
        {"scores": 3},
        {"hyperparameters": [1]},
        {"hyperparameters": {"a": {"dtype": "float64"}}},
        {"hyperparameters": {"a": {"values": [1, 2, 3, 4, 5], "dtype": "object"}}},
        {"hyperparameters": {"a": {"values": [1, 2, 3, 4, 500], "dtype": "int8"}}},
        {"hyperparameters": {"a": {"values": [1, 2]}}},
        {"hyperparameters": {"a": {"values": [{"code": "1"}, 2, 3, 4, 5]}}},
        {"hyperparameters": {"a": {"values": [{"dict": [[[], 1]]}, 2, 3, 4, 5]}}},
        {"hyperparameters": {"a": {"values": [{"product": {"factory": "os.system", "arguments": {}}}, 2, 3, 4, 5]}}},
        {"epochs": [[1]]},
        {"rounds": [1]},
        {"rounds": 1},
        {"epochs": [[10**30, 1]] * 5},
    ),
    ids=str,
)
def test_load_refuses_a_file_that_was_changed(change, tmp_path):
    path = tmp_path / "a.json"
    _table().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"load_table: '.*a\.json' must .*, got .*\."):
        load_table(path)


@pytest.mark.parametrize("content", (b"", b"{", b"[1]", b"\xff", b'{"a": NaN}', b"[" * 100_000, b"null"), ids=repr)
def test_load_refuses_what_is_no_table(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="load_table"):
        load_table(tmp_path / "a.json")


def test_load_says_what_is_missing(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"load_table: '.*nothing.json' must be a file that can be read, got: No"
    ):
        load_table(tmp_path / "nothing.json")
    with pytest.raises(CheckpointError, match="must be a plain file, got a folder"):
        load_table(tmp_path)
    assert_input_error(lambda: load_table(""), "path")


@pytest.mark.parametrize(
    "changes, argument, given",
    (
        ({"mode": "best"}, "mode", "best"),
        ({"monitor": "acc"}, "monitor", "acc"),
        ({"scores": {}}, "scores", "{}"),
        ({"scores": {"loss": np.ones(5)}}, "scores['loss']", "(5,)"),
        ({"scores": {"loss": np.ones((5, 0))}}, "scores['loss']", "(5, 0)"),
        ({"scores": {"loss": np.ones((5, 2), complex)}}, "scores['loss']", "complex"),
        ({"scores": {"loss": np.ones((5, 2)), "f1": np.ones((5, 3))}}, "scores['f1']", "(5, 3)"),
        ({"epochs": np.ones((5, 2))}, "epochs", "float64"),
        ({"epochs": np.ones(5, int)}, "epochs", "(5,)"),
        ({"rounds": np.ones(5)}, "rounds", "float64"),
        ({"rounds": [1, 2]}, "rounds", "(2,)"),
        ({"hyperparameters": [1]}, "hyperparameters", "[1]"),
        ({"hyperparameters": {1: [1] * 5}}, "hyperparameters[1]", "list"),
        ({"hyperparameters": {"a": [1, 2]}}, "hyperparameters['a']", "2"),
        ({"hyperparameters": {"a": np.ones((5, 2))}}, "hyperparameters['a']", "(5, 2)"),
        ({"hyperparameters": {"a": 3}}, "hyperparameters['a']", "3"),
    ),
)
def test_table_refuses_what_does_not_fit(changes, argument, given):
    assert_input_error(lambda: _table(**changes), argument, given=given)
