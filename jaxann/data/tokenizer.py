"""What every tokenizer is: text to whole numbers and back, on the host."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from jaxann.core import from_config, to_config
from jaxann.core.checks import (
    check_choice,
    check_flag,
    check_int32,
    check_integer,
    check_unmasked,
    check_untraced,
    fail,
)
from jaxann.core.errors import InputError
from jaxann.core.factories import Product, product_class
from jaxann.core.padding import Padded, padded
from jaxann.core.typing import Array

__all__ = ["Tokenizer", "TokenizerFunctions", "check_special_tokens", "load_tokenizer", "refuse_text", "save_tokenizer"]

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_OUTSIDE = "Text is turned into ids on the host, before anything is compiled."


class TokenizerFunctions(NamedTuple):
    """What the body of a tokenizer's factory returns."""

    encode: Callable[[str, str], np.ndarray]  # (text, its name in messages) -> ids
    decode: Callable[[list[int], Mapping[int, str]], str]  # (ids, the text of those that stand for themselves)
    vocabulary: int
    special_ids: Mapping[str, int]  # name -> id
    written: Mapping[int, str]  # id -> text, of special tokens that are shown
    encode_many: Callable[[list[str]], list[np.ndarray]] | None = None


@product_class
class Tokenizer(Product):
    """Text to ids and back. Its factory returns `TokenizerFunctions`.

    Immutable; compares by value, pickles, and comes back from JSON (`core.to_config`, `core.from_config`;
    `data.save_tokenizer` and `data.load_tokenizer` for a file). Special tokens are known by their names: `pad`, `bos`,
    `eos`, `unk`, or any other. There are none but those asked for, and none ever comes out of a text: "<pad>" in a text
    is five characters.
    """

    __slots__ = ()

    @property
    def vocabulary(self) -> int:
        """Number of ids, those of special tokens included: what a model calls its vocabulary."""
        return self.functions.vocabulary

    @property
    def special_ids(self) -> dict[str, int]:
        """The special tokens' ids by name (a copy)."""
        return dict(self.functions.special_ids)

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> np.ndarray:
        """The ids of a text, int32 `(n,)`.

        Args:
            text: what is encoded.
            bos, eos: whether the special tokens of these names stand before and after it.

        Raises:
            InputError: the text holds a character that is not known (and there is no `unk`), or there is no such token.
        """
        first, last = self._ends("encode", bos, eos)
        return np.concatenate([first, self._encoded("encode", "text", text), last])

    def decode(self, ids: Array | Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids `(n,)`.

        Special tokens are left out, or shown by their names, `<pad>`, with skip_special_tokens=False. `unk` is shown
        as U+FFFD, the sign for a character that is not known. Bytes that are no UTF-8 are treated as the tokenizer
        says (`errors`).

        Raises:
            InputError: not one axis of whole numbers, or one that is no id.
        """
        check_flag(f"{self._name}.decode", "skip_special_tokens", skip_special_tokens)
        return self._decoded("ids", ids, skip_special_tokens)

    def lengths(self, texts: Iterable[str], *, bos: bool = False, eos: bool = False) -> np.ndarray:
        """How many ids each text has, int32 `(texts,)`.

        `(tokenizer.lengths(texts) > 128).sum()` texts do not fit into 128; a quantile of the lengths is a good length.
        """
        ends = sum(map(len, self._ends("lengths", bos, eos)))
        return np.array([len(one) + ends for one in self._encoded_each("lengths", texts)], np.int32)

    def encode_batch(
        self,
        texts: Iterable[str],
        length: int | None = None,
        *,
        truncate: str | None = None,
        bos: bool = False,
        eos: bool = False,
    ) -> Padded:
        """The ids of texts side by side, `Padded` int32 `(texts, length)`.

        In the padding stands `pad` where there is one, else 0; the mask says which positions are real.

        Args:
            texts: at least one.
            length: of a row; that of the longest text when None.
            truncate: "end" or "start", where a text that is longer is cut off; None refuses it. `lengths` says how long
                texts are, and so how many would be cut.
            bos, eos: whether the special tokens of these names stand before and after each text; they are never cut.

        Peers: as a tokenizer of Hugging Face's transformers with padding="max_length" (or True), truncation=False and
        truncation_side="right" ("end" here), where input_ids and attention_mask are two arrays. Keras'
        TextVectorization(output_sequence_length=...) cuts off silently.

        Raises:
            InputError: a text is longer than a row, or holds a character that is not known; the message has its place.
        """
        name = f"{self._name}.encode_batch"
        if length is not None:
            check_integer(name, "length", length)
        if truncate is not None:
            check_choice(name, "truncate", truncate, ("end", "start"))
        first, last = self._ends("encode_batch", bos, eos)
        ends = len(first) + len(last)
        rows = self._encoded_each("encode_batch", texts)
        if not rows:
            fail(name, "texts", "at least one text", " none")
        size = max(1, max(map(len, rows)) + ends) if length is None else int(length)
        if size < ends:
            fail(name, "length", f"at least {ends}, for bos and eos", length)
        for number, row in enumerate(rows):
            if len(row) + ends > size and truncate is None:
                hint = "truncate='end' cuts it off there; lengths(texts) has the length of each."
                fail(name, f"texts[{number}]", f"of at most {size} ids", f" {len(row) + ends}", hint=hint)
        room = size - ends
        values = np.full((len(rows), size), self.functions.special_ids.get("pad", 0), np.int32)
        lengths = np.zeros(len(rows), np.int32)
        for number, row in enumerate(rows):
            kept = row[max(0, len(row) - room) :] if truncate == "start" else row[:room]
            lengths[number] = len(kept) + ends
            values[number, : lengths[number]] = np.concatenate([first, kept, last])
        return padded(values, lengths)  # pyright: ignore[reportArgumentType]

    def decode_batch(
        self, batch: Padded | Array | Sequence[Sequence[int]], *, skip_special_tokens: bool = True
    ) -> list[str]:
        """The texts of rows of ids: of `Padded` ones without the padding, or of an array or list of rows.

        Raises:
            InputError: a row is none of ids; the message has its number.
        """
        check_flag(f"{self._name}.decode_batch", "skip_special_tokens", skip_special_tokens)
        if isinstance(batch, Padded):
            check_untraced(f"{self._name}.decode_batch", "batch", batch, _OUTSIDE)
            pairs = zip(np.asarray(batch.values), np.asarray(batch.mask).astype(bool), strict=True)
            batch = [row[real] for row, real in pairs]
        elif not isinstance(batch, list | tuple) and np.ndim(batch) < 2:
            fail(f"{self._name}.decode_batch", "batch", "rows of ids", batch)
        rows: Any = batch
        return [self._decoded(f"batch[{i}]", row, skip_special_tokens) for i, row in enumerate(rows)]

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if len(text) <= 400 else f"{text[:200]}...{text[-100:]}"

    @property
    def _name(self) -> str:
        return self._factory.short_name

    def _ends(self, method: str, bos: bool, eos: bool) -> list[np.ndarray]:
        found = []
        for name, wanted in (("bos", bos), ("eos", eos)):
            check_flag(f"{self._name}.{method}", name, wanted)
            known = self.functions.special_ids
            if wanted and name not in known:
                shown = ", ".join(known) or "no special token"
                fail(f"{self._name}.{method}", name, f"one of the special tokens ({shown}), or False", wanted)
            found.append(np.array([known[name]] if wanted else [], np.int32))
        return found

    def _encoded(self, method: str, argument: str, text: Any) -> np.ndarray:
        if not isinstance(text, str):
            hint = "Several texts: encode_batch." if isinstance(text, list | tuple) else None
            fail(f"{self._name}.{method}", argument, "a text (str)", text, hint=hint)
        return self.functions.encode(text, argument)

    def _encoded_each(self, method: str, texts: Iterable[str]) -> list[np.ndarray]:
        if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
            fail(f"{self._name}.{method}", "texts", "several texts (a list of str)", texts)
        rows = list(texts)
        many = self.functions.encode_many
        if many is not None and all(isinstance(text, str) for text in rows):
            try:
                return many(rows)
            except InputError:
                pass  # one by one, which names the text
        return [self._encoded(method, f"texts[{number}]", text) for number, text in enumerate(rows)]

    def _decoded(self, argument: str, ids: Any, skip: bool) -> str:
        name = f"{self._name}.decode"
        check_untraced(name, argument, ids, _OUTSIDE)
        check_unmasked(name, argument, ids)
        array = np.asarray(ids if np.ndim(ids) else [ids])
        if np.ndim(ids) != 1:
            fail(name, argument, "of shape (n,)", f" shape {np.shape(ids)}", hint="Several rows: decode_batch.")
        if array.size == 0:
            return ""
        if array.dtype.kind not in "iu":
            fail(name, argument, "whole numbers, ids", f" {array.dtype}")
        made = self.functions
        wrong = (array < 0) | (array >= made.vocabulary)
        if wrong.any():
            place = int(np.argmax(wrong))
            fail(name, argument, f"in 0..{made.vocabulary - 1}", f" {array[place]} at place {place}")
        check_int32(name, argument, array)
        shown = dict(made.written)
        if "unk" in made.special_ids and skip:
            shown[made.special_ids["unk"]] = _UNKNOWN
        unknown = made.special_ids.get("unk")
        left_out = [i for i in made.special_ids.values() if i != unknown] if skip else []
        kept = array[~np.isin(array, left_out)]
        return made.decode(kept.tolist(), shown)


def check_special_tokens(function: str, names: Any) -> None:
    """Names of special tokens, each once."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        fail(function, "special_tokens", "names such as ('pad', 'bos', 'eos')", names)
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            fail(function, "special_tokens", "names of small letters, digits and _", f" {name!r}")
    if len(set(names)) < len(names):
        fail(function, "special_tokens", "names that differ", names)


def refuse_text(
    function: str, argument: str, text: str, place: int, expected: str, hint: str | None = None
) -> NoReturn:
    """Name the character of a text that no id is known for, and its place."""
    character = text[place]
    got = f" {character!r} (U+{ord(character):04X}) at place {place}"
    fail(f"{function}.encode", argument, expected, got, hint=hint)


def save_tokenizer(path: str | os.PathLike[str], tokenizer: Tokenizer) -> None:
    """Write a tokenizer to a JSON file: its factory's name and arguments, of any kind of tokenizer.

    Args:
        path: of the file, `tokens.json` beside a model's `model.safetensors`; one that is there is replaced.
        tokenizer: any of jaxann's.

    Peers: Hugging Face's `tokenizer.save` writes a format of its own for tokenizers of subwords, which
    `data.subword_tokenizer` reads, and which it keeps: `tokenizer.arguments["definition"]`.

    Raises:
        InputError: it is no tokenizer.
    """
    if not isinstance(tokenizer, Tokenizer):
        fail("save_tokenizer", "tokenizer", "a tokenizer such as ja.data.byte_tokenizer()", tokenizer)
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(to_config(tokenizer)), encoding="utf-8")
    os.replace(unfinished, target)  # a file is there whole, or as it was


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer that `save_tokenizer` wrote.

    Raises:
        InputError: there is no such file, or it holds something else.
        MissingDependencyError: it is one of subwords, and `tokenizers` is missing.
    """
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail("load_tokenizer", "path", "a file that save_tokenizer wrote", f" {str(path)!r}: {error!s:.150}")
    hint = "A tokenizer.json of Hugging Face's is read by ja.data.subword_tokenizer(path)."
    if not isinstance(config, dict) or "factory" not in config:
        fail("load_tokenizer", "path", "a file that save_tokenizer wrote", f" {str(path)!r}", hint=hint)
    found = from_config(config)
    if not isinstance(found, Tokenizer):
        fail("load_tokenizer", "path", "a file that save_tokenizer wrote", f" one of {found!r:.80}")
    return found
