"""Transformers over tokens, for bytes: blocks coded as tokens, and what sessions over bytes read.

code = number of tokens (LEB128), then the streams' codes as for bytes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compgen.coding.payload import decode_symbols, encode_symbols, leb128, read_leb128
from compgen.errors import CorruptDataError
from compgen.interfaces import Done, FloatArray, IntArray, Predictor
from compgen.predictors._covering import TokenReader
from compgen.predictors.transformer.bpe import BytePairs
from compgen.predictors.transformer.config import MAX_WINDOW
from compgen.predictors.transformer.sessions import EnginePredictor

#: Changes with any change of the code, or of the numbers that sessions over bytes give.
CODE = "tokens 1"


def encode(predictor: Predictor, pairs: BytePairs, data: bytes, streams: int, done: Done | None) -> bytes:
    """The code of at least a byte, by a predictor over the tokens of ``pairs``."""
    tokens = pairs.encode(data)
    return leb128(len(tokens)) + encode_symbols(predictor, tokens, streams, _in_bytes(done, len(data), len(tokens)))


def decode(predictor: Predictor, pairs: BytePairs, code: bytes, length: int, streams: int, done: Done | None) -> bytes:
    """The inverse, given the number of bytes."""
    count, position = read_leb128(code, 0)
    if not 0 < count <= length:  # a token is a byte at least
        raise CorruptDataError("its number of tokens makes no sense")
    tokens = decode_symbols(predictor, code[position:], count, streams, _in_bytes(done, length, count))
    if pairs.bytes_of(tokens) != length:
        raise CorruptDataError("its tokens are not as long as the block")
    return pairs.decode(tokens)


def _in_bytes(done: Done | None, length: int, tokens: int) -> Done | None:
    return None if done is None else lambda count: done(count * length // tokens)


@dataclass(frozen=True)
class _Read:
    """See :class:`compgen.predictors._covering.Read`."""

    caches: object
    sums: FloatArray


class Reader(TokenReader):
    """See :class:`~compgen.predictors._covering.TokenReader`. The numbers are as exact as the engine's."""

    def __init__(self, model: EnginePredictor, pairs: BytePairs) -> None:
        self._model, self._engine, self._pairs = model, model.engine, pairs
        self.trie = pairs.trie
        self.recent_bytes = 8 * MAX_WINDOW

    def begin(self, tokens: IntArray) -> _Read:
        """See :meth:`TokenReader.begin`."""
        session = self._model.session([tokens])
        return _Read(session.caches, self._sums(session.next)[0])

    def extend(self, pairs: Sequence[tuple[_Read, int]]) -> list[_Read]:
        """See :meth:`TokenReader.extend`; all are read together."""
        if not pairs:
            return []
        caches = self._engine.join([read.caches for read, _ in pairs])
        sums = self._sums(self._engine.advance(np.array([[token] for _, token in pairs]), caches)[:, 0])
        alone = [caches] if len(pairs) == 1 else [self._engine.select(caches, np.array([i])) for i in range(len(pairs))]
        return [_Read(cache, row) for cache, row in zip(alone, sums, strict=True)]

    def tokenise(self, data: bytes) -> IntArray:
        """See :meth:`TokenReader.tokenise`."""
        return self._pairs.encode(data).astype(np.int64)

    def _sums(self, probabilities: FloatArray) -> FloatArray:
        """From P(next token) ``(streams, tokens)`` to sums in the trie's order, added from left to right."""
        sums = np.zeros((len(probabilities), probabilities.shape[1] + 1))
        np.cumsum(probabilities[:, self.trie.order], axis=1, out=sums[:, 1:])
        return np.asarray(sums / sums[:, -1:])
