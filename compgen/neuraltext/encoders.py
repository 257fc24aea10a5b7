"""Bytes as tokens, losslessly, in one form for all ways to do it.

An :class:`Encoder` turns documents (bytes) into tokens and back: any bytes, any split into documents. It is saved as
JSON, which names the format, its version and whatever the tokens depend on; of M1 the spec and the hash of its weights,
and what was encoded with another M1 is refused. What tokens mean never changes: the tests hold golden ones.

>>> encoder = make("equal-info", model="order2", window_bits=16, token_bits=16)
>>> tokens = encoder.encode([b"to be or not to be", b""])
>>> [len(t) for t in tokens], encoder.decode(tokens)
([11, 0], [b'to be or not to be', b''])
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from compgen import files
from compgen.errors import BadInputError, CorruptDataError, UsageError
from compgen.interfaces import Done, IntArray, Predictor
from compgen.neuraltext import arithmetic, coder, dictionary, m1
from compgen.neuraltext.windows import Tokens, Windows, checked_tokens, token_type
from compgen.predictors.transformer.bpe import BytePairs

FORMAT, VERSION = "compgen neuraltext encoder", 1
DEFAULT_MODEL = "transformer:200k"
#: From so many bytes on, the dictionary of 16-bit windows is made: it takes about as long as coding these.
_WORDS_PAY_BYTES = 1 << 17


class Encoder(ABC):
    """Documents to tokens and back. ``token_bits`` is the width of a token as it is stored, 8 or 16."""

    kind: ClassVar[str]
    token_bits: int = 8

    @property
    def vocab_size(self) -> int:
        """Tokens are from 0 to below this."""
        return 1 << self.token_bits

    @property
    def token_type(self) -> np.dtype[Any]:
        """Of the arrays that :meth:`encode` returns."""
        return token_type(self.token_bits)

    @property
    def model(self) -> Predictor | None:
        """M1, if there is one."""
        return None

    @property
    def label(self) -> str:
        """As the paper names it."""
        return f"{self.kind}, {self.vocab_size} tokens"

    @abstractmethod
    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """The tokens of each document. ``done`` counts bytes."""

    @abstractmethod
    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """The documents. ``done`` counts tokens.

        Raises :class:`~compgen.errors.CorruptDataError` for tokens outside the vocabulary and for streams that are cut
        where that shows.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the tokens depend on, beside M1, as JSON."""

    def as_dict(self) -> dict[str, Any]:
        """All of the encoder as JSON."""
        described = {"format": FORMAT, "version": VERSION, "kind": self.kind, **self.settings()}
        return described if self.model is None else {**described, "model": m1.identity(self.model)}

    def save(self, path: str | Path) -> None:
        """Write the encoder as JSON, whole or not at all."""
        files.write(Path(path), (json.dumps(self.as_dict(), indent=2) + "\n").encode())

    @staticmethod
    def load(path: str | Path, model: str | Predictor | None = None) -> Encoder:
        """Read what :meth:`save` wrote. ``model`` says where M1 is now, if its file has moved; its hash must be the
        same.
        """
        try:
            described = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise BadInputError(f"cannot read {path}: {files.reason(error)}") from None
        except (ValueError, RecursionError):
            raise BadInputError(f"{path} is not an encoder of compgen neuraltext: it is not JSON") from None
        return from_dict(described, model, str(path))


class Bytes(Encoder):
    """A byte is a token."""

    kind = "bytes"

    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """See :meth:`Encoder.encode`."""
        return [_told(np.frombuffer(document, np.uint8), document, done) for document in documents]

    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """See :meth:`Encoder.decode`."""
        return [checked_tokens(ids, 256).astype(np.uint8).tobytes() for ids in tokens]

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return {}


class Pairs(Encoder):
    """Byte pair encoding, the baseline that language models use."""

    kind = "bpe"
    token_bits = 16

    def __init__(self, pairs: BytePairs) -> None:
        self.pairs = pairs

    @property
    def vocab_size(self) -> int:
        """See :attr:`Encoder.vocab_size`."""
        return len(self.pairs)

    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """See :meth:`Encoder.encode`."""
        return [_told(self.pairs.encode(document), document, done) for document in documents]

    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """See :meth:`Encoder.decode`."""
        return [self.pairs.decode(checked_tokens(ids, self.vocab_size)) for ids in tokens]

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return {"merges": [token for pair in self.pairs.merges for token in pair]}


class _OfBytes(Encoder):
    """Documents that become bytes first, and these tokens of 8 or 16 bits, the higher byte first."""

    def __init__(self, token_bits: int = 8) -> None:
        token_type(token_bits)
        self.token_bits = token_bits

    def _tokens(self, data: bytes) -> Tokens:
        data += bytes(-len(data) % (self.token_bits // 8))
        return np.frombuffer(data, "u1" if self.token_bits == 8 else ">u2").astype(self.token_type)

    def _bytes(self, tokens: npt.ArrayLike) -> bytes:
        return checked_tokens(tokens, self.vocab_size).astype("u1" if self.token_bits == 8 else ">u2").tobytes()

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return {"token_bits": self.token_bits}


class Gzip(_OfBytes):
    """The bytes that deflate at level 9 makes, without gzip's header. Which ones depends on the library zlib."""

    kind = "gzip"

    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """See :meth:`Encoder.encode`."""
        return [_told(self._tokens(_deflated(document)), document, done) for document in documents]

    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """See :meth:`Encoder.decode`."""
        return [_inflated(self._bytes(ids), self.token_bits // 8) for ids in tokens]


class _Framed(_OfBytes):
    """Arithmetic codes with their documents' lengths behind them."""

    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """See :meth:`Encoder.encode`."""
        codes = self._codes(documents, done)
        unit = self.token_bits // 8
        return [
            self._tokens(arithmetic.framed(code, document, unit))
            for code, document in zip(codes, documents, strict=True)
        ]

    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """See :meth:`Encoder.decode`."""
        parts = [arithmetic.unframed(self._bytes(ids)) for ids in tokens]
        documents = self._documents([code for code, _, _ in parts], [length for _, _, length in parts], done)
        return [arithmetic.require(document, part[1]) for document, part in zip(documents, parts, strict=True)]

    @abstractmethod
    def _codes(self, documents: Sequence[bytes], done: Done | None) -> Sequence[bytes]: ...

    @abstractmethod
    def _documents(self, codes: Sequence[bytes], lengths: Sequence[int], done: Done | None) -> list[bytes]: ...


class StaticArithmetic(_Framed):
    """Arithmetic coding by the frequencies of single bytes, int ``(256,)``, all above 0."""

    kind = "static-ac"

    def __init__(self, frequencies: npt.ArrayLike, token_bits: int = 8) -> None:
        super().__init__(token_bits)
        self.frequencies: IntArray = np.asarray(frequencies, np.int64)
        if self.frequencies.shape != (256,) or self.frequencies.min() < 1 or self.frequencies.sum() >= 1 << 32:
            raise UsageError("static-ac needs 256 frequencies above 0 that sum to less than 2**32")

    @classmethod
    def learn(cls, documents: Iterable[bytes], token_bits: int = 8) -> StaticArithmetic:
        """With the frequencies that bytes have in some documents, scaled to sum to 2**16, each at least 1."""
        counts = np.ones(256, np.int64)
        for document in documents:
            counts += np.bincount(np.frombuffer(document, np.uint8), minlength=256)
        return cls(1 + counts * ((1 << 16) - 256) // counts.sum(), token_bits)

    def _codes(self, documents: Sequence[bytes], done: Done | None) -> Sequence[bytes]:
        return [_told(arithmetic.encode_static(document, self.frequencies), document, done) for document in documents]

    def _documents(self, codes: Sequence[bytes], lengths: Sequence[int], done: Done | None) -> list[bytes]:
        return [
            arithmetic.decode_static(code, length, self.frequencies)
            for code, length in zip(codes, lengths, strict=True)
        ]

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return {**super().settings(), "frequencies": self.frequencies.tolist()}


class Arithmetic(_Framed):
    """Plain arithmetic coding of documents by M1, with no resets."""

    kind = "ac"

    def __init__(self, model: Predictor, token_bits: int = 8) -> None:
        super().__init__(token_bits)
        coder.require_model(model)
        self._model = model

    @property
    def model(self) -> Predictor:
        """See :attr:`Encoder.model`."""
        return self._model

    def _codes(self, documents: Sequence[bytes], done: Done | None) -> Sequence[bytes]:
        return arithmetic.encode(self._model, documents, done)

    def _documents(self, codes: Sequence[bytes], lengths: Sequence[int], done: Done | None) -> list[bytes]:
        return arithmetic.decode(self._model, codes, lengths, done)


class EqualInfo(Encoder):
    """Equal-Info Windows; see :mod:`compgen.neuraltext.windows`."""

    kind = "equal-info"

    def __init__(self, model: Predictor, windows: Windows | None = None) -> None:
        coder.require_model(model)
        self.windows = windows or Windows()
        self.token_bits = self.windows.token_bits
        self._model = model
        self._words: dictionary.Dictionary | None = None

    @property
    def model(self) -> Predictor:
        """See :attr:`Encoder.model`."""
        return self._model

    def words(self) -> dictionary.Dictionary | None:
        """The words of windows of 16 bits, where there are such; made when they are asked for first."""
        if self._words is None and dictionary.has_words(self.windows):
            self._words = dictionary.Dictionary(self._model, self.windows)
        return self._words

    def _pays(self, length_bytes: int) -> bool:
        """Is the dictionary there, or are there so many bytes that it pays to make it?"""
        return dictionary.has_words(self.windows) and (self._words is not None or length_bytes >= _WORDS_PAY_BYTES)

    @property
    def label(self) -> str:
        """See :attr:`Encoder.label`."""
        windows = self.windows
        more = ", delay" * windows.delay
        more += f", M1 reset {windows.reset_model}" * (windows.reset_model != "every")
        return f"equal-info W={windows.window_bits}{more}, {self.vocab_size} tokens"

    def encode(self, documents: Sequence[bytes], done: Done | None = None) -> list[Tokens]:
        """See :meth:`Encoder.encode`."""
        if self._pays(sum(map(len, documents))) and (words := self.words()):
            codes = [_told(words.encode(document), document, done) for document in documents]
        else:
            codes = coder.encode(self._model, self.windows, documents, done)
        return [self.windows.to_tokens(code) for code in codes]

    def decode(self, tokens: Sequence[npt.ArrayLike], done: Done | None = None) -> list[bytes]:
        """See :meth:`Encoder.decode`. Any whole windows stand for some bytes, whoever made them."""
        codes = [self.windows.from_tokens(ids) for ids in tokens]
        if self._pays(sum(map(len, codes))) and (words := self.words()):
            return [words.decode(code) for code in codes]
        each = self.windows.window_bits / self.token_bits
        tell = None if done is None else lambda more: done(int(more * each))
        return coder.decode(self._model, self.windows, codes, tell)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        names = ("window_bits", "token_bits", "delay", "reset_model", "precision_bits")
        return {name: getattr(self.windows, name) for name in names}


KINDS = ("bytes", "bpe", "gzip", "static-ac", "ac", "equal-info")


def make(
    kind: str,
    *,
    model: str | Predictor = DEFAULT_MODEL,
    window_bits: int = 16,
    token_bits: int = 8,
    delay: bool = False,
    reset_model: str = "every",
    precision_bits: int = 14,
    learn_from: Iterable[bytes] = (),
    vocabulary: int = 32_000,
) -> Encoder:
    """An encoder by its kind. ``static-ac`` and ``bpe`` learn from documents; the last has ``vocabulary`` tokens.

    Raises :class:`~compgen.errors.UsageError` for settings that cannot be.
    """
    if kind == "equal-info":
        return EqualInfo(m1.predictor(model), Windows(window_bits, token_bits, delay, reset_model, precision_bits))
    if kind == "ac":
        return Arithmetic(m1.predictor(model), token_bits)
    if kind == "gzip":
        return Gzip(token_bits)
    if kind == "static-ac":
        return StaticArithmetic.learn(learn_from, token_bits)
    if kind == "bpe":
        from compgen.predictors.transformer.bpe_training import learn

        return Pairs(learn((np.frombuffer(document, np.uint8) for document in learn_from), vocabulary))
    if kind == "bytes":
        return Bytes()
    raise UsageError(f"unknown encoder {kind!r}; known: {', '.join(KINDS)}")


def from_dict(described: Any, model: str | Predictor | None = None, name: str = "the encoder") -> Encoder:
    """The encoder that :meth:`Encoder.as_dict` describes; ``name`` is for messages."""
    if not isinstance(described, Mapping) or described.get("format") != FORMAT:
        raise BadInputError(f"{name} is not an encoder of compgen neuraltext")
    if described.get("version") != VERSION:
        raise BadInputError(f"{name} has version {described.get('version')}; this program knows version {VERSION}")
    try:
        return _made(described, model, name)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInputError(f"{name} is damaged ({type(error).__name__}: {error})") from None


def _made(described: Mapping[str, Any], model: str | Predictor | None, name: str) -> Encoder:
    kind = described["kind"]
    if kind == "bytes":
        return Bytes()
    if kind == "bpe":
        merges = described["merges"]
        return Pairs(BytePairs(list(zip(merges[::2], merges[1::2], strict=True))))
    if kind == "gzip":
        return Gzip(described["token_bits"])
    if kind == "static-ac":
        return StaticArithmetic(described["frequencies"], described["token_bits"])
    if kind == "ac":
        return Arithmetic(m1.same(described["model"], model, name), described["token_bits"])
    if kind == "equal-info":
        names = ("window_bits", "token_bits", "delay", "reset_model", "precision_bits")
        windows = Windows(**{field: described[field] for field in names})
        return EqualInfo(m1.same(described["model"], model, name), windows)
    raise BadInputError(f"{name} is of the kind {kind!r}; this program knows {', '.join(KINDS)}")


def _told(result: Any, document: bytes, done: Done | None) -> Any:
    if done is not None:
        done(len(document))
    return result


def _deflated(document: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(document) + deflate.flush()


def _inflated(code: bytes, unit: int) -> bytes:
    """The inverse of :func:`_deflated`, with fewer than ``unit`` zeros behind the code."""
    inflate = zlib.decompressobj(-15)
    try:
        document = inflate.decompress(code)
    except zlib.error as error:
        raise CorruptDataError(f"these tokens are no deflated bytes ({error})") from None
    if not inflate.eof:
        raise CorruptDataError("the stream ends within a deflate block: it is cut")
    if len(inflate.unused_data) >= unit or any(inflate.unused_data):
        raise CorruptDataError("there is more after the end of the deflated bytes")
    return document
