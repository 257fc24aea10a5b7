"""A loaded model as :mod:`compgen.predictors._covering` reads it: token after token, any number of hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from compgen.interfaces import FloatArray, IntArray
from compgen.predictors._covering import TokenReader
from compgen.predictors.huggingface.model import TokenModel, Window, require_finite, running


@dataclass(frozen=True)
class _Read:
    """A model that has read tokens. Never changed, so that hypotheses share it."""

    tokens: IntArray  # those the cache holds, (1, n)
    cache: Any
    sums: FloatArray  # cumulative probabilities of the next token in the trie's order, (tokens + 1,)


class Reader(TokenReader):
    """See :class:`~compgen.predictors._covering.TokenReader`."""

    def __init__(self, model: TokenModel, window: Window, threads: int) -> None:
        self._model, self._window, self._threads = model, window, threads
        self.trie = model.vocabulary.trie
        self.recent_bytes = 8 * window.context

    def running(self) -> AbstractContextManager[None]:
        """See :meth:`TokenReader.running`."""
        return running(self._threads)

    def extend(self, pairs: Sequence[tuple[_Read, int]]) -> list[_Read]:
        """See :meth:`TokenReader.extend`; those that have read equally many are read together."""
        made: list[_Read | None] = [None] * len(pairs)
        by_length: dict[int, list[int]] = {}
        for i, (read, _) in enumerate(pairs):
            by_length.setdefault(read.tokens.shape[1], []).append(i)
        for group in by_length.values():
            for i, read in zip(group, self._extend_equal([pairs[i] for i in group]), strict=True):
                made[i] = read
        return [read for read in made if read is not None]

    def _extend_equal(self, pairs: Sequence[tuple[_Read, int]]) -> list[_Read]:
        if len(pairs) > 1 and not self._model.joinable:
            return [self._extend_equal([pair])[0] for pair in pairs]
        before = np.concatenate([read.tokens for read, _ in pairs])
        following = np.array([[token] for _, token in pairs])
        if before.shape[1] >= self._window.context:
            return self._read_all(np.append(self._window.kept(before, self._model.start), following, axis=1))
        if before.shape[1] == 0:
            return self._read_all(following)
        cache = self._model.copied([read.cache for read, _ in pairs])
        return self._reads(np.append(before, following, axis=1), cache, self._model.feed(following, cache))

    def begin(self, tokens: IntArray) -> _Read:
        """See :meth:`TokenReader.begin`."""
        if self._model.start is not None:
            tokens = np.append(self._model.start, tokens)
        if not len(tokens):
            return self._reads(tokens[None], None, self._model.no_logits(1))[0]
        if len(tokens) > self._window.context:
            first = tokens[:1]
            tokens = tokens[-(self._window.context - self._window.stride) :].copy()
            if self._model.start is not None:
                tokens[:1] = first
        return self._read_all(tokens[None])[0]

    def _read_all(self, tokens: IntArray) -> list[_Read]:
        cache = self._model.new_cache()
        return self._reads(tokens, cache, self._model.feed(tokens, cache))

    def _reads(self, tokens: IntArray, cache: Any, logits: Any) -> list[_Read]:
        """What each stream of a cache has read, ``(streams, n)``."""
        probabilities = self._model.distribution(logits).cpu().numpy().astype(np.float64)
        require_finite(probabilities)
        ordered = probabilities[:, self.trie.order]
        sums = np.zeros((len(ordered), ordered.shape[1] + 1))
        np.cumsum(ordered / ordered.sum(axis=1, keepdims=True), axis=1, out=sums[:, 1:])
        caches = [None] * len(tokens) if cache is None else self._model.split(cache, len(tokens))
        return [_Read(tokens[i : i + 1], caches[i], sums[i]) for i in range(len(tokens))]

    def tokenise(self, data: bytes) -> IntArray:
        """The tokenizer's own tokens; where there are none the longest that fit, one after the other."""
        start = next((i for i, byte in enumerate(data[:4]) if not 0x80 <= byte < 0xC0), 0)  # of a character
        tokens = self._model.vocabulary.tokenise(data[start:])
        if tokens is None:
            tokens = self._model.vocabulary.greedy(data, in_all=False)
        return np.empty(0, np.int64) if tokens is None else tokens
