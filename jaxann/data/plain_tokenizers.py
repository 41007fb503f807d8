"""Tokenizers that need no training and no other library: of bytes, and of characters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from jaxann.core.checks import check_choice, fail
from jaxann.core.factories import factory
from jaxann.data.tokenizer import Tokenizer, TokenizerFunctions, check_special_tokens, refuse_text

__all__ = ["byte_tokenizer", "char_tokenizer"]


@factory(Tokenizer)
def byte_tokenizer(*, special_tokens: tuple[str, ...] = (), errors: str = "replace"):
    """id = a byte of the text in UTF-8, 0 to 255; special tokens have the ids from 256 on, in their order.

    decode(encode(text)) == text for any text.

    Args:
        special_tokens: names such as ("pad", "bos", "eos"); none unless asked for.
        errors: what decoding does with bytes that are no UTF-8: "replace" puts U+FFFD in their place, "ignore" leaves
            them out, "strict" refuses them.

    Peers: the byte tokenizer of ByT5 in Hugging Face's transformers has its special tokens first, so that byte b has
    the id b + 3, and ignores what is no UTF-8. Keras' is in keras-hub, and replaces it.

    Source: Xue et al. 2022 (ByT5).

    Raises:
        InputError: an argument is none of these; (encoding) half of a surrogate pair, which no UTF-8 has; (decoding)
            with "strict" bytes that are no UTF-8.
    """
    check_special_tokens("byte_tokenizer", special_tokens)
    check_choice("byte_tokenizer", "errors", errors, ("replace", "ignore", "strict"))

    def encode(text: str, argument: str) -> np.ndarray:
        try:
            found = text.encode("utf-8")
        except UnicodeEncodeError as error:
            refuse_text("byte_tokenizer", argument, text, error.start, "characters that UTF-8 has")
        return np.frombuffer(found, np.uint8).astype(np.int32)

    def one(run: list[int]) -> str:
        try:
            return bytes(run).decode("utf-8", errors)
        except UnicodeDecodeError as error:
            got = f" byte {run[error.start]} where: {error.reason}"
            fail("byte_tokenizer.decode", "ids", "bytes of UTF-8 with errors='strict'", got)

    special = {name: 256 + number for number, name in enumerate(special_tokens)}
    return TokenizerFunctions(encode, _by_runs(one), 256 + len(special), special, _written(special))


@factory(Tokenizer, convert={"alphabet": lambda text: "".join(sorted(set(text))) if isinstance(text, str) else text})
def char_tokenizer(alphabet: str, *, special_tokens: tuple[str, ...] = ()):
    """id = the character's number in the alphabet, which is put in the order of Unicode; special tokens come after it.

    decode(encode(text)) == text for any text of these characters.

    Args:
        alphabet: the characters, or any text: each different one of it.
        special_tokens: names such as ("pad", "unk"); none unless asked for. With "unk" a character that is not in the
            alphabet has its id, else it is refused.

    Peers: as the character-level data set of nanoGPT. Keras' TextVectorization(split="character") counts characters,
    and has the ids 0 and 1 for padding and what is not known, asked for or not.

    Raises:
        InputError: the alphabet is no text or empty; (encoding) a character that is not in it; the message has its
            place.
    """
    if not isinstance(alphabet, str) or not alphabet:
        fail("char_tokenizer", "alphabet", "a text of at least one character", alphabet)
    check_special_tokens("char_tokenizer", special_tokens)
    codes = _codes(alphabet)
    special = {name: len(codes) + number for number, name in enumerate(special_tokens)}

    def encode(text: str, argument: str) -> np.ndarray:
        given = _codes(text)
        ids = np.minimum(np.searchsorted(codes, given), len(codes) - 1).astype(np.int32)
        known = codes[ids] == given
        if known.all():
            return ids
        if "unk" not in special:
            hint = "special_tokens=('unk',) has an id for all that are not known."
            place, expected = int(np.argmin(known)), f"of the alphabet's {len(codes)} characters"
            refuse_text("char_tokenizer", argument, text, place, expected, hint)
        return np.where(known, ids, np.int32(special["unk"]))

    def one(run: list[int]) -> str:
        return codes[run].tobytes().decode("utf-32-le", "surrogatepass")

    return TokenizerFunctions(encode, _by_runs(one), len(codes) + len(special), special, _written(special))


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _written(special: Mapping[str, int]) -> dict[int, str]:
    return {number: f"<{name}>" for name, number in special.items()}


def _by_runs(decode: Callable[[list[int]], str]) -> Callable[[list[int], Mapping[int, str]], str]:
    """Each run of ordinary ids decoded by itself, with the texts of the ids that stand for themselves between them."""

    def texts(ids: list[int], shown: Mapping[int, str]) -> Iterator[str]:
        run: list[int] = []
        for number in ids:
            if number in shown:
                yield decode(run)
                yield shown[number]
                run = []
            else:
                run.append(number)
        yield decode(run)

    return lambda ids, shown: "".join(texts(ids, shown))
