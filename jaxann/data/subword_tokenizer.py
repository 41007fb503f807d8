"""Tokenizers of subwords, by the library `tokenizers`: read from its JSON, or trained on texts."""

from __future__ import annotations

import collections
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from jaxann.core.checks import check_flag, check_integer, fail
from jaxann.core.errors import MissingDependencyError
from jaxann.core.factories import factory
from jaxann.data.tokenizer import Tokenizer, TokenizerFunctions, check_special_tokens, refuse_text

__all__ = ["subword_tokenizer", "train_bpe_tokenizer", "train_wordpiece_tokenizer"]

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_FORMER = {"<s>": "bos", "</s>": "eos"}  # what RoBERTa and Llama call them


def _import_tokenizers(function: str) -> Any:
    try:
        import tokenizers
    except ImportError as error:
        message = (
            f'{function}: subwords need the library tokenizers: pip install "jaxann[text]".\n'
            "ja.data.byte_tokenizer and ja.data.char_tokenizer need none."
        )
        raise MissingDependencyError(message) from error
    return tokenizers


def _canonical(definition: Any) -> str:
    """The JSON of a tokenizer as the library writes it, so that equal ones are equal texts."""
    text, place = definition, "the text given"
    if isinstance(definition, os.PathLike) or (isinstance(definition, str) and not definition.lstrip().startswith("{")):
        place = repr(str(definition))
        try:
            text = Path(definition).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            fail("subword_tokenizer", "definition", "a tokenizer.json or its text", f" {place:.150}: {error!s:.100}")
    if not isinstance(text, str):
        fail("subword_tokenizer", "definition", "a tokenizer.json or its text", definition)
    library = _import_tokenizers("subword_tokenizer")
    try:
        return library.Tokenizer.from_str(text).to_str()
    except Exception as error:  # the library has no class of its own for it
        fail("subword_tokenizer", "definition", "a tokenizer.json or its text", f" {place:.150}: {error!s:.100}")


def _pairs(names: Any) -> Any:
    return tuple(names.items()) if isinstance(names, Mapping) else names


@factory(Tokenizer, convert={"definition": _canonical, "special_tokens": _pairs})
def subword_tokenizer(definition: str | os.PathLike[str], *, special_tokens: Mapping[str, str] | None = None):
    """ids = those of the subwords that a `tokenizer.json` of Hugging Face's library `tokenizers` cuts a text into.

    Nothing is added to a text, cut off or padded, whatever the file says of it; that is asked for when encoding. A
    special token that is written in a text is text. Needs `pip install "jaxann[text]"`.

    Args:
        definition: path of the file, or the JSON itself, which is kept: `tokenizer.arguments["definition"]`.
        special_tokens: from a name to the token as the file has it, such as {"pad": "[PAD]", "eos": "<|endoftext|>"}.
            Those that the file marks as special are known without it by their letters, "[PAD]" and "<pad>" as pad,
            "<s>" and "</s>" as bos and eos.

    decode(encode(text)) == text for BPE of bytes (of GPT-2 and most since), unless the file normalizes texts or puts a
    space before them; bytes that are no UTF-8 are shown as U+FFFD. WordPiece (of BERT) forgets how many spaces there
    were.

    Peers: as `tokenizers.Tokenizer.from_file(...).encode(text, add_special_tokens=False)`, with encode_special_tokens.

    Source: Sennrich et al. 2016 (BPE); Radford et al. 2019 (of bytes); Schuster and Nakajima 2012 (WordPiece).

    Raises:
        InputError: it is no such file, has no token of a name's, or would leave out characters silently (BPE without
            `unk` that does not know all bytes); (encoding) a character that is not known where there is no `unk`.
        MissingDependencyError: `tokenizers` is missing.
    """
    name = "subword_tokenizer"
    library = _import_tokenizers(name)
    inner = library.Tokenizer.from_str(definition)
    inner.no_padding()
    inner.no_truncation()
    inner.encode_special_tokens = True
    known: dict[str, int] = inner.get_vocab(with_added_tokens=True)
    model = json.loads(str(definition))["model"]
    if getattr(inner.model, "dropout", None) is not None:
        inner.model.dropout = None  # which is for training: a text has one encoding
    special = _special_ids(inner, model, known, special_tokens)
    _check_complete(library, json.loads(str(definition)), known, special)
    tokens = {number: token for token, number in known.items()}

    def unknown(text: str, argument: str, error: Exception) -> NoReturn:
        word, place = _first_unknown(inner, text)
        hint = "Train it with special_tokens=('unk',), which has an id for all that is not known."
        if word is None:  # each word by itself is known: what the library said may be about something else
            fail(f"{name}.encode", argument, "a text that it can encode", f" {text!r:.150}: {error!s:.150}", hint=hint)
        if place is None:
            fail(f"{name}.encode", argument, "of words that it knows", word, hint=hint)
        refuse_text(name, argument, text, place, "of characters that it knows", hint)

    def encode(text: str, argument: str) -> np.ndarray:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            refuse_text(name, argument, text, error.start, "characters that UTF-8 has")
        try:
            return np.array(inner.encode(text, add_special_tokens=False).ids, np.int32)
        except Exception as error:  # the library's only class
            unknown(text, argument, error)

    def encode_many(texts: list[str]) -> list[np.ndarray]:
        try:
            found = inner.encode_batch_fast(texts, add_special_tokens=False)
        except Exception:  # of some text: each by itself, which either goes or says what is wrong with it
            return [encode(text, f"texts[{number}]") for number, text in enumerate(texts)]
        return [np.array(one.ids, np.int32) for one in found]

    def decode(ids: list[int], shown: Mapping[int, str]) -> str:
        pieces = [shown.get(number, tokens.get(number, _UNKNOWN)) for number in ids]
        return " ".join(pieces) if inner.decoder is None else inner.decoder.decode(pieces)

    written = {number: tokens[number] for number in special.values()}
    return TokenizerFunctions(encode, decode, max(known.values()) + 1, special, written, encode_many)


def _special_ids(inner: Any, model: Mapping[str, Any], known: Mapping[str, int], given: Any) -> dict[str, int]:
    """Names of the file's special tokens, those given first."""
    found: dict[str, int] = {}
    if given is not None and not (
        isinstance(given, tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in given)
    ):
        fail("subword_tokenizer", "special_tokens", "a dict such as {'pad': '[PAD]'}, or None", given)
    for name, token in given or ():
        if token not in known:
            fail("subword_tokenizer", f"special_tokens[{name!r}]", "a token of the file", token)
        found[name] = known[token]
        inner.add_special_tokens([token])  # so that no text gives it, whatever the file says of it
    check_special_tokens("subword_tokenizer", tuple(found))
    for number, token in sorted(inner.get_added_tokens_decoder().items()):
        if token.special and number not in found.values():
            letters = re.sub("[^a-z0-9_]", "", token.content.lower())
            name = _FORMER.get(token.content, letters)
            found[token.content if not name or name in found else name] = number
    unknown = model.get("unk_token")
    if unknown is None and model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    if isinstance(unknown, str) and unknown in known:
        found["unk"] = known[unknown]
    return found


def _check_complete(library: Any, config: Mapping[str, Any], known: Mapping[str, int], special: Any) -> None:
    """BPE without unk leaves out what it does not know, and says nothing; unless it knows all bytes."""
    if config["model"].get("type") != "BPE" or "unk" in special:
        return
    stages = json.dumps([config.get("pre_tokenizer"), config.get("normalizer")])
    bytewise = '"ByteLevel"' in stages and set(library.pre_tokenizers.ByteLevel.alphabet()) <= known.keys()
    if not bytewise and not (config["model"].get("byte_fallback") and "<0x00>" in known):
        expected = "a BPE of all bytes, or one with an unk_token"
        fail("subword_tokenizer", "definition", expected, " one that leaves out what it does not know")


def _first_unknown(inner: Any, text: str) -> tuple[str | None, int | None]:
    """The first word that is not known, None if each is, and the place in the text of its first character that is not,
    if one is not.
    """
    known = inner.get_vocab()
    words = [(text, (0, len(text)))] if inner.pre_tokenizer is None else inner.pre_tokenizer.pre_tokenize_str(text)
    for _, (first, last) in words:
        try:
            inner.encode(text[first:last], add_special_tokens=False)
        except Exception:  # the library's only class: the word that is looked for
            for place in range(first, last):
                forms = (text[place], text[place].lower())
                if not {*forms, *(f"##{one}" for one in forms)} & known.keys():
                    return text[first:last], place
            return text[first:last], None
    return None, None


def train_bpe_tokenizer(texts: Iterable[str], vocabulary: int, *, special_tokens: Sequence[str] = ()) -> Tokenizer:
    """Byte-pair encoding: from the 256 bytes on, the pair of neighbours that is most frequent becomes a token of its
    own, again and again; pairs are looked for inside of words, a word beginning with its space.

    decode(encode(text)) == text for any text.

    Args:
        texts: what is counted; an iterator is gone through once, and nothing of it kept.
        vocabulary: number of ids, at least 256 and the special tokens; fewer where there are no more pairs.
        special_tokens: names such as ("pad", "eos"), whose ids are the first ones; none unless asked for. The file has
            them as "<pad>", "<eos>".

    Peers: as GPT-2's, by Hugging Face's `ByteLevelBPETokenizer`, which counts pairs from min_frequency=2 on and has
    special tokens only if asked to, too.

    Source: Sennrich et al. 2016; of bytes, Radford et al. 2019.

    Raises:
        InputError: texts are no texts, or the vocabulary is too small.
        MissingDependencyError: `tokenizers` is missing.
    """
    name = "train_bpe_tokenizer"
    names = _checked(name, texts, special_tokens)
    check_integer(name, "vocabulary", vocabulary, 256 + len(names))
    library = _import_tokenizers(name)
    inner = library.Tokenizer(library.models.BPE())
    inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = library.decoders.ByteLevel()
    written = {one: f"<{one}>" for one in names}
    trainer = library.trainers.BpeTrainer(
        vocab_size=int(vocabulary),
        special_tokens=list(written.values()),
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_each(name, texts), trainer)
    return subword_tokenizer(inner.to_str(), special_tokens=written)


def train_wordpiece_tokenizer(
    texts: Iterable[str], vocabulary: int, *, lowercase: bool = False, special_tokens: Sequence[str] = ("unk",)
) -> Tokenizer:
    """WordPiece: a word is cut into the longest pieces from its beginning on that are known, "##" before all but the
    first; words are what stands between spaces and punctuation.

    Args:
        texts: whose words are counted; an iterator is gone through once, and its different words are kept meanwhile.
        vocabulary: number of ids, at least the characters and the special tokens; fewer where there are no more pieces.
        lowercase: whether texts are put into small letters without accents first, as of BERT's uncased models.
        special_tokens: names such as ("pad", "unk", "cls", "sep"), whose ids are the first ones. A word with a
            character that is not known is `unk`; without it, it is refused. The file has them as "[PAD]", "[UNK]".

    Peers: as Hugging Face's `BertWordPieceTokenizer`, by the same trainer, which counts as BPE does; lowercase is True
    there. BERT's own, which chose pieces by likelihood, was never published.

    Source: Schuster and Nakajima 2012; Devlin et al. 2019.

    Raises:
        InputError: texts are no texts, or the vocabulary is too small.
        MissingDependencyError: `tokenizers` is missing.
    """
    name = "train_wordpiece_tokenizer"
    names = _checked(name, texts, special_tokens)
    check_integer(name, "vocabulary", vocabulary)
    check_flag(name, "lowercase", lowercase)
    library = _import_tokenizers(name)
    inner = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = library.normalizers.BertNormalizer(lowercase=bool(lowercase))
    inner.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    inner.decoder = library.decoders.WordPiece()
    written = {one: f"[{one.upper()}]" for one in names}
    counts = collections.Counter(
        word
        for text in _each(name, texts)
        for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text))
    )
    # The library numbers the characters inside of words as its hash table has them, another way each time, and settles
    # ties by these numbers. As special tokens they are numbered first, in their order.
    inside = [f"##{c}" for c in sorted({c for word in counts for c in word[1:]})]
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=int(vocabulary), special_tokens=[*written.values(), *inside], show_progress=False
    )
    inner.train_from_iterator((" ".join([word] * count) for word, count in counts.items()), trainer)
    if inner.get_vocab_size() > vocabulary:
        expected = f"at least {inner.get_vocab_size()}, the characters of the texts and the special tokens"
        fail(name, "vocabulary", expected, vocabulary)
    made = json.loads(inner.to_str())
    made["added_tokens"] = [token for token in made["added_tokens"] if token["content"] in written.values()]
    return subword_tokenizer(json.dumps(made), special_tokens=written)


def _checked(function: str, texts: Any, names: Any) -> tuple[str, ...]:
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        fail(function, "texts", "several texts (a list or an iterator of str)", texts)
    names = tuple(names) if isinstance(names, list) else names
    check_special_tokens(function, names)
    return names


def _each(function: str, texts: Any) -> Iterator[str]:
    """The texts, looked at as they come."""
    count = 0
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            fail(function, f"texts[{number}]", "a text (str)", text)
        count += 1
        yield text
    if not count:
        fail(function, "texts", "at least one text", " none")
