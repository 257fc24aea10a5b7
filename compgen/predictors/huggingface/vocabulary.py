"""Tokens as strings of bytes: what each token stands for, exact tokenisation, and the vocabulary as a trie.

Tokenizers map text to tokens and back, and neither way is exact: they normalise, add spaces, and take text that looks
like a special token for one. Here every token has fixed bytes, and a tokenisation counts only if its bytes, joined, are
those that were tokenised. So what is coded as tokens comes back, whatever the tokenizer does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from compgen.errors import CompgenError
from compgen.interfaces import IntArray
from compgen.predictors._covering import Trie

_SPACE = "\u2581"  # what SentencePiece writes for a space


class Vocabulary:
    """The tokens of a tokenizer under a model with ``logits`` logits.

    ``token_bytes[t]`` is what token t stands for; empty for those that stand for no text (special tokens, and numbers
    without a token). Those are never coded, and have probability 0. ``size`` leaves out those at the end.
    """

    def __init__(self, tokenizer: Any, logits: int) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._backend = None if backend is None else _exact(backend)
        self.tokenizer = tokenizer
        found = _bytes_of_python(tokenizer) if backend is None else _bytes_of(backend)
        for special in tokenizer.all_special_ids:
            found.pop(special, None)
        found = {token: data for token, data in found.items() if data}
        if not found:
            raise CompgenError("hf: the tokenizer has no tokens that stand for text; are its files missing?")
        self.size = max(found) + 1
        if self.size > logits:
            raise CompgenError(
                f"hf: the tokenizer has {self.size} tokens, the model only {logits}: they do not belong together"
            )
        self.token_bytes = [found.get(token, b"") for token in range(self.size)]

    @cached_property
    def banned(self) -> IntArray:
        """The tokens that stand for no text."""
        return np.array([token for token, data in enumerate(self.token_bytes) if not data], np.int64)

    @cached_property
    def _single(self) -> IntArray | None:
        """The token of each byte, int64 ``(256,)``, for tokenizers that have one for each byte, and no others."""
        tokens = [token for token, data in enumerate(self.token_bytes) if data]
        table = {self.token_bytes[token]: token for token in reversed(tokens)}
        if len(table) != 256 or max(map(len, table)) > 1:
            return None
        return np.array([table[bytes((byte,))] for byte in range(256)], np.int64)

    @cached_property
    def trie(self) -> Trie:
        """The tokens by their bytes."""
        return Trie(self.token_bytes)

    def tokenise(self, data: bytes) -> IntArray | None:
        """Tokens whose bytes are ``data``, int64 ``(n,)``; None if the tokenizer gives none."""
        if self._single is not None:
            return self._single[np.frombuffer(data, np.uint8)]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        tokens = self._encode(text)
        if not tokens or min(tokens) < 0 or max(tokens) >= self.size:
            return None
        if self.token_bytes[tokens[0]] == b" " and data[:1] != b" ":  # a space that some put before all text
            tokens = tokens[1:]
        return np.array(tokens, np.int64) if self.join(tokens) == data else None

    def greedy(self, data: bytes, in_all: bool = True) -> IntArray | None:
        """The longest tokens that fit, one after the other, which the tokenizer might not give.

        None if there is a byte with which no token begins; without ``in_all``, such bytes are left out.
        """
        found, at = [], 0
        while at < len(data):
            token = self.trie.longest(data[at : at + self._longest])
            if token is not None:
                found.append(token)
            elif in_all:
                return None
            at += 1 if token is None else len(self.token_bytes[token])
        return np.array(found, np.int64)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.token_bytes))

    def join(self, tokens: Sequence[int] | IntArray) -> bytes:
        """The bytes that tokens stand for."""
        table = self.token_bytes
        return b"".join([table[token] for token in tokens])

    def _encode(self, text: str) -> list[int]:
        if self._backend is not None:
            ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
            return ids
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def _exact(backend: Any) -> Any:
    """A copy of a fast tokenizer that adds no space before text, and takes no text for a special token."""
    from tokenizers import Tokenizer

    settings = json.loads(backend.to_str())
    settings["normalizer"] = _without_prefix(settings["normalizer"])
    settings["pre_tokenizer"] = _without_prefix(settings["pre_tokenizer"])
    settings.update(truncation=None, padding=None, post_processor=None)
    copy = Tokenizer.from_str(json.dumps(settings))
    copy.encode_special_tokens = True
    return copy


def _without_prefix(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """A normalizer or pre-tokenizer without what puts a space before the text."""
    if part is None or part["type"] == "Prepend":
        return None
    for members in ("normalizers", "pretokenizers"):
        if members in part:
            kept = [member for member in map(_without_prefix, part[members]) if member is not None]
            return {**part, members: kept} if kept else None
    changed = dict(part)
    if "prepend_scheme" in part:
        changed["prepend_scheme"] = "never"
    if "add_prefix_space" in part:
        changed["add_prefix_space"] = False
    return changed


def _bytes_of(backend: Any) -> dict[int, bytes]:
    """What the tokens of a fast tokenizer stand for; without those that are special."""
    settings = json.loads(backend.to_str())
    kinds = _kinds(settings["decoder"]) | _kinds(settings["pre_tokenizer"])
    if kinds & {"WordPiece", "BPEDecoder", "CTC"}:
        raise CompgenError("hf: this kind of tokenizer drops spaces, so its tokens do not stand for bytes")
    added = backend.get_added_tokens_decoder()
    read = _byte_level if "ByteLevel" in kinds else _sentencepiece
    found = {token: read(text) for text, token in backend.get_vocab(with_added_tokens=False).items()}
    found.update({token: b"" if entry.special else entry.content.encode() for token, entry in added.items()})
    unknown = settings["model"].get("unk_token")
    if unknown is not None and read is _sentencepiece:
        found.pop(backend.token_to_id(unknown), None)
    if settings["model"].get("unk_id") is not None:
        found.pop(settings["model"]["unk_id"], None)
    return found


def _bytes_of_python(tokenizer: Any) -> dict[int, bytes]:
    """What the tokens of a tokenizer that is not backed by the ``tokenizers`` library stand for."""
    added = dict(tokenizer.added_tokens_decoder)
    vocabulary = {token: text for text, token in tokenizer.get_vocab().items() if token not in added}
    if getattr(tokenizer, "_utf_vocab_size", 0) == 256:  # ByT5 and Perceiver: a token a byte
        return {token: bytes((ord(text),)) for token, text in vocabulary.items() if ord(text) < 256}
    return {token: _sentencepiece(text) for token, text in vocabulary.items()}


def _kinds(part: dict[str, Any] | None) -> set[str]:
    """The types of a decoder or pre-tokenizer and of what it consists of."""
    if part is None:
        return set()
    members = [*part.get("decoders", []), *part.get("pretokenizers", [])]
    return {part["type"]}.union(*map(_kinds, members))


def _byte_characters() -> dict[str, int]:
    """The characters that byte-level tokenizers write for bytes (GPT-2's ``bytes_to_unicode``), to the bytes."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_characters()


def _byte_level(text: str) -> bytes:
    try:
        return bytes([_BYTE_OF[character] for character in text])
    except KeyError:
        return b""


def _sentencepiece(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes((int(text[3:5], 16),))
        except ValueError:
            pass
    return text.replace(_SPACE, " ").encode("utf-8", "replace")
