"""Tokenizers: ids of known texts, round trips, batches that lose nothing silently, and JSON."""

from __future__ import annotations

import builtins
import json
import pickle
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxann as ja
from jaxann import data
from jaxann.core import Padded, from_config, to_config
from jaxann.core.errors import MissingDependencyError
from tests.contract import assert_input_error

tokenizers = pytest.importorskip("tokenizers")

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a naïve café, 日本 <pad>"] * 5
BYTES = data.byte_tokenizer(special_tokens=("pad", "bos", "eos"))
CHARS = data.char_tokenizer(string.ascii_lowercase + " ", special_tokens=("pad", "bos", "eos", "unk"))
BPE = data.train_bpe_tokenizer(TEXTS, 285, special_tokens=("pad", "bos", "eos"))
WORDS = data.train_wordpiece_tokenizer(TEXTS, 100, special_tokens=("pad", "unk", "cls"))
ALL = [BYTES, CHARS, BPE, WORDS]
every = pytest.mark.parametrize("tokenizer", ALL, ids=["bytes", "chars", "bpe", "wordpiece"])
TEXT = st.text(max_size=40)  # all of Unicode but surrogates


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_bytes_and_bpe_give_any_text_back(text: str):
    assert BYTES.encode(text).tolist() == list(text.encode())
    for tokenizer in (BYTES, BPE):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int32 and ids.ndim == 1
        assert tokenizer.decode(ids) == text
        assert not set(ids.tolist()) & set(tokenizer.special_ids.values())


@settings(max_examples=100, deadline=None)
@given(TEXT, TEXT)
def test_chars_give_any_text_of_their_alphabet_back(text: str, more: str):
    alphabet = sorted(set(text + more + "a"))
    tokenizer = data.char_tokenizer(text + more + "a")
    ids = tokenizer.encode(text)
    assert ids.tolist() == [alphabet.index(c) for c in text] and tokenizer.decode(ids) == text
    assert tokenizer.vocabulary == len(alphabet)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=20))
def test_bytes_that_are_no_utf8_are_decoded_as_python_does(raw: bytes):
    for errors in ("replace", "ignore"):
        assert data.byte_tokenizer(errors=errors).decode(list(raw)) == raw.decode("utf-8", errors)
    strict = data.byte_tokenizer(errors="strict")
    try:
        expected = raw.decode()
    except UnicodeDecodeError:
        assert_input_error(lambda: strict.decode(list(raw)), "ids", expected="errors='strict'")
    else:
        assert strict.decode(list(raw)) == expected


def test_vocabularies_and_special_tokens_have_known_numbers():
    assert data.byte_tokenizer().vocabulary == 256 and data.byte_tokenizer().special_ids == {}
    assert BYTES.special_ids == {"pad": 256, "bos": 257, "eos": 258} and BYTES.vocabulary == 259
    assert CHARS.special_ids == {"pad": 27, "bos": 28, "eos": 29, "unk": 30} and CHARS.vocabulary == 31
    assert BPE.special_ids == {"pad": 0, "bos": 1, "eos": 2} and BPE.vocabulary == 285
    assert data.train_bpe_tokenizer(TEXTS, 256).special_ids == {}


@every
def test_special_tokens_stand_where_asked_and_never_come_out_of_a_text(tokenizer: Any):
    special = tokenizer.special_ids
    text = "the cat"
    plain = tokenizer.encode(text)
    if "bos" in special:
        whole = tokenizer.encode(text, bos=True, eos=True)
        assert whole.tolist() == [special["bos"], *plain.tolist(), special["eos"]]
        assert tokenizer.decode(whole) == text
        written = tokenizer.decode(whole, skip_special_tokens=False)
        assert written == f"<bos>{text}<eos>"
    else:
        assert_input_error(lambda: tokenizer.encode(text, bos=True), "bos", expected="pad, unk, cls")
    for name in special:
        if name != "unk":
            for wording in (f"<{name}>", f"[{name.upper()}]"):
                assert special[name] not in tokenizer.encode(wording)


def test_unknown_characters_are_named_with_their_place_or_unk():
    plain = data.char_tokenizer("abc")
    assert_input_error(lambda: plain.encode("abxc"), "text", given="'x' (U+0078) at place 2")
    assert_input_error(lambda: plain.encode_batch(["ab", "bé"]), "texts[1]", given="'é' (U+00E9) at place 1")
    assert_input_error(lambda: plain.lengths(["ab", "bé"]), "texts[1]", given="'é'")
    assert CHARS.encode("a9b").tolist() == [1, 30, 2]
    assert CHARS.decode(CHARS.encode("a9b")) == "a\N{REPLACEMENT CHARACTER}b"
    assert CHARS.decode(CHARS.encode("a9b"), skip_special_tokens=False) == "a<unk>b"
    assert WORDS.decode(WORDS.encode("the zebra sat")) == "the \N{REPLACEMENT CHARACTER} sat"
    strict = data.train_wordpiece_tokenizer(TEXTS, 100, special_tokens=())
    assert_input_error(lambda: strict.encode("the zebra"), "text", given="'z' (U+007A) at place 4")
    assert_input_error(lambda: strict.encode_batch(["the", "a zebra"]), "texts[1]", given="'z'")
    for tokenizer in (BYTES, BPE):
        assert_input_error(lambda t=tokenizer: t.encode("a\ud800"), "text", given="(U+D800) at place 1")


@every
def test_batches_are_padded_and_lose_nothing_silently(tokenizer: Any):
    texts = ["the cat sat", "", "the dog"]
    lengths = [len(tokenizer.encode(text)) for text in texts]
    assert tokenizer.lengths(texts).tolist() == lengths and tokenizer.lengths(texts).dtype == np.int32
    batch = tokenizer.encode_batch(texts)
    assert isinstance(batch, Padded) and batch.values.shape == batch.mask.shape == (3, max(lengths))
    assert batch.values.dtype == np.int32 and batch.mask.dtype == bool
    assert batch.mask.sum(1).tolist() == lengths
    for text, row, real in zip(texts, *batch, strict=True):
        assert row[real].tolist() == tokenizer.encode(text).tolist()
        assert (row[~real] == tokenizer.special_ids["pad"]).all()
    decoded = tokenizer.decode_batch(batch)
    assert decoded == texts and decoded == tokenizer.decode_batch([list(r[m]) for r, m in zip(*batch, strict=True)])
    short = lengths[0] - 1
    assert_input_error(lambda: tokenizer.encode_batch(texts, short), "texts[0]", given=str(lengths[0]))
    whole = tokenizer.encode(texts[0])
    assert tokenizer.encode_batch(texts, short, truncate="end").values[0].tolist() == whole[:short].tolist()
    assert tokenizer.encode_batch(texts, short, truncate="start").values[0].tolist() == whole[-short:].tolist()
    assert tokenizer.encode_batch([""]).values.shape == (1, 1) and not tokenizer.encode_batch([""]).mask.any()
    assert_input_error(lambda: tokenizer.encode_batch([]), "texts", given="none")
    assert_input_error(lambda: tokenizer.encode_batch("the cat"), "texts", given="'the cat'")
    assert_input_error(lambda: tokenizer.encode_batch(["a", 3]), "texts[1]", given="3")
    assert_input_error(lambda: tokenizer.encode_batch(texts, 0), "length")
    assert_input_error(lambda: tokenizer.encode_batch(texts, 3, truncate="left"), "truncate")


def test_truncation_keeps_the_tokens_at_the_ends():
    batch = BYTES.encode_batch(["abcdef", "a"], 4, truncate="end", bos=True, eos=True)
    assert batch.values.tolist() == [[257, 97, 98, 258], [257, 97, 258, 256]]
    assert BYTES.encode_batch(["abcdef"], 4, truncate="start", bos=True, eos=True).values.tolist() == [
        [257, 101, 102, 258]
    ]
    assert BYTES.lengths(["abcdef", "a"], bos=True, eos=True).tolist() == [8, 3]
    assert_input_error(lambda: BYTES.encode_batch(["a"], 1, truncate="end", bos=True, eos=True), "length")


@every
def test_decoding_refuses_what_is_no_id(tokenizer: Any):
    assert tokenizer.decode([]) == "" and tokenizer.decode(jnp.asarray(tokenizer.encode("the"))) == "the"
    most = tokenizer.vocabulary - 1
    assert_input_error(lambda: tokenizer.decode([1, most + 1]), "ids", given=f"{most + 1} at place 1")
    assert_input_error(lambda: tokenizer.decode([1, 2, -1]), "ids", given="-1 at place 2")
    assert_input_error(lambda: tokenizer.decode(np.zeros((2, 2), np.int32)), "ids", given="(2, 2)")
    assert_input_error(lambda: tokenizer.decode(5), "ids", given="()")
    assert_input_error(lambda: tokenizer.decode([0.5]), "ids", given="float64")
    assert_input_error(lambda: tokenizer.decode_batch([[1], [most + 1]]), "batch[1]")
    assert_input_error(lambda: tokenizer.encode(3), "text", given="3")
    assert_input_error(lambda: tokenizer.encode(["a"]), "text")
    assert_input_error(lambda: tokenizer.encode("a", bos=1), "bos")


@every
def test_tokenizers_compare_pickle_and_come_back_from_files(tokenizer: Any, tmp_path: Path):
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again == tokenizer and again.encode("the cat").tolist() == tokenizer.encode("the cat").tolist()
    assert from_config(json.loads(json.dumps(to_config(tokenizer)))) == tokenizer
    data.save_tokenizer(tmp_path / "tokens.json", tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]
    assert data.load_tokenizer(tmp_path / "tokens.json") == tokenizer
    assert tokenizer != data.byte_tokenizer() and len({tokenizer, again}) == 1


def test_files_that_hold_something_else_are_refused(tmp_path: Path):
    path = tmp_path / "file.json"
    assert_input_error(lambda: data.load_tokenizer(path), "path", given="No such file")
    for text in ("{", "[]", json.dumps(to_config(ja.layers.dense(2)))):
        path.write_text(text)
        assert_input_error(lambda: data.load_tokenizer(path), "path")
    path.write_text(BPE.arguments["definition"])
    assert "subword_tokenizer" in assert_input_error(lambda: data.load_tokenizer(path), "path")
    assert_input_error(lambda: data.save_tokenizer(path, "abc"), "tokenizer")


def _library(model: Any, texts: list[str], trainer: Any) -> Any:
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.train_from_iterator(texts, trainer)
    return made


def test_subwords_are_those_of_the_library(tmp_path: Path):
    made = _library(
        tokenizers.models.BPE(),
        TEXTS,
        tokenizers.trainers.BpeTrainer(
            vocab_size=290,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>", "</s>"],
            show_progress=False,
        ),
    )
    made.enable_truncation(3)
    made.enable_padding(length=9)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    read = data.subword_tokenizer(path, special_tokens={"pad": "<|endoftext|>"})
    assert read == data.subword_tokenizer(str(path), special_tokens={"pad": "<|endoftext|>"})
    assert read == data.subword_tokenizer(path.read_text(), special_tokens={"pad": "<|endoftext|>"})
    assert read.special_ids == {"pad": 0, "eos": 1} and read.vocabulary == made.get_vocab_size()
    assert data.subword_tokenizer(path).special_ids == {"endoftext": 0, "eos": 1}
    made.no_truncation()
    made.no_padding()
    for text in [*TEXTS, "something else entirely"]:
        assert read.encode(text).tolist() == made.encode(text).ids  # whole, whatever the file says of lengths
        assert read.decode(made.encode(text).ids) == made.decode(made.encode(text).ids) == text
    assert len(BPE.encode("the cat")) < len("the cat") / 2  # it has learned


def test_a_file_that_would_leave_characters_out_silently_is_refused():
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.train_from_iterator(TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=60, show_progress=False))
    assert made.encode("the zzz").ids == made.encode("the ").ids  # which is why
    assert_input_error(lambda: data.subword_tokenizer(made.to_str()), "definition", given="leaves out")
    made.model.unk_token = "e"
    assert data.subword_tokenizer(made.to_str()).special_ids == {"unk": made.token_to_id("e")}


def test_text_that_fails_though_each_word_is_known_is_told_in_the_words_of_the_library():
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"ab": 0, "cd": 1}, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.Replace(" ", "")  # puts words together
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    read = data.subword_tokenizer(made.to_str())
    for call in (lambda: read.encode("ab cd"), lambda: read.encode_batch(["ab", "ab cd"])):
        assert_input_error(call, "text", given="'ab cd': WordLevel error", expected="can encode")
    assert_input_error(lambda: read.encode("ab xx"), "text", given="'x'")


def test_dropout_of_merges_is_for_training_alone():
    made = tokenizers.Tokenizer.from_str(BPE.arguments["definition"])
    made.model.dropout = 0.9
    read = data.subword_tokenizer(made.to_str())
    assert all(read.encode(TEXTS[0]).tolist() == BPE.encode(TEXTS[0]).tolist() for _ in range(5))


def test_training_refuses_what_is_no_text():
    for train in (data.train_bpe_tokenizer, data.train_wordpiece_tokenizer):
        assert_input_error(lambda t=train: t("the cat", 300), "texts")
        assert_input_error(lambda t=train: t(["the", 3], 300), "texts[1]", given="3")
        assert_input_error(lambda t=train: t([], 300), "texts", given="none")
        assert_input_error(lambda t=train: t(TEXTS, 300, special_tokens="pad"), "special_tokens")
        assert all(train(iter(TEXTS), 300) == train(TEXTS, 300) for _ in range(5))  # ties are settled alike
    assert_input_error(lambda: data.train_bpe_tokenizer(TEXTS, 257, special_tokens=("pad", "eos")), "vocabulary")
    assert_input_error(lambda: data.train_wordpiece_tokenizer(TEXTS, 5), "vocabulary", given="5")
    lower = data.train_wordpiece_tokenizer(TEXTS, 100, lowercase=True)
    assert lower.encode("THE CÁT").tolist() == lower.encode("the cat").tolist()


def test_without_the_library_the_message_says_what_to_install(monkeypatch: Any):
    again = pickle.dumps(BPE)
    importing = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tokenizers":
            raise ModuleNotFoundError("No module named 'tokenizers'")
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (
        lambda: data.train_bpe_tokenizer(TEXTS, 300),
        lambda: data.subword_tokenizer("{}"),
        lambda: pickle.loads(again).encode("a"),
    ):
        with pytest.raises(MissingDependencyError, match=r'pip install "jaxann\[text\]"'):
            call()
    assert data.byte_tokenizer().encode("a").tolist() == [97]


def test_importing_the_room_imports_no_tokenizers():
    program = "import sys, jaxann.data; jaxann.data.byte_tokenizer(); print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
