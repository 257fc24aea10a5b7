"""A token model as a predictor of the next byte: the sum over all ways to write the bytes as tokens.

The bytes read so far, b, do not say which tokens the model has read. The probability that a text begins with b is the
sum over all *coverings* of b: sequences of tokens of which all but the last lie inside b, and the last reaches its end
or goes beyond (Phan et al. 2024; Vieira et al. 2024). A hypothesis stands for the tokens that lie inside b, with their
probability as weight, and a place in the trie of tokens for the bytes of b behind them:

    b = t h e   c a | t        tokens so far      place      next byte t
                               [the][ c][a]       root       all tokens that begin with t
                               [the][ c]          a          all tokens that begin with at
                               [the]              _ca        all tokens that begin with _cat

    P(byte | b) = sum over hypotheses of weight * P(tokens below the byte's child of the place | tokens so far)
                  / the same sum over all bytes

When a byte is read, every place moves to a child; where tokens end there, each gives a new hypothesis at the root,
which the model must read. With ``beam=0`` all hypotheses are kept, and the sum is exact, up to rounding and a floor: no
byte gets less than 2**-32. Their number grows with the ways to write a text, so the default keeps the most probable, by
their share of P(b), and drops those below ``NEGLIGIBLE``. Each step still gives a distribution; what is dropped is its
only error.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compgen.interfaces import FloatArray, IntArray, Session, Symbols, byte_array, symbol_array
from compgen.predictors.huggingface.model import TokenModel, Window, require_finite, running
from compgen.predictors.huggingface.vocabulary import Node

#: The share of the probability of what was read below which a hypothesis is dropped (with a beam).
NEGLIGIBLE = 2.0**-20
#: No byte is less probable.
FLOOR = 2.0**-32
#: Of a context longer than twice this, all but about so many bytes are read as the tokenizer writes them.
COVERED_BYTES = 64


@dataclass(frozen=True)
class _Read:
    """A model that has read tokens. Never changed, so that hypotheses share it."""

    tokens: IntArray  # those the cache holds, (1, n)
    cache: Any
    sums: FloatArray  # cumulative probabilities of the next token in the trie's order, (tokens + 1,)


@dataclass(frozen=True)
class _Hypothesis:
    read: _Read
    place: Node
    weight: float


@dataclass(frozen=True)
class Coverings:
    """What byte sessions of one model share."""

    model: TokenModel
    window: Window
    beam: int
    threads: int

    def start(self, context: bytes) -> _Stream:
        """A stream that has read a context."""
        settled, rest = b"", context
        tokens = np.empty(0, np.int64)
        if self.beam and len(context) > 2 * COVERED_BYTES:
            tokens = self._canonical(context)
            tokens, settled = self._without_end(tokens)
            rest = context[len(settled) :]
        stream = _Stream(self, [_Hypothesis(self._begin(tokens), self.model.vocabulary.trie.root, 1.0)], settled)
        for byte in rest:
            stream.push(byte)
        return stream

    def restart(self, past: bytes) -> list[_Hypothesis]:
        """The one hypothesis that is left when no covering is: the past as the tokenizer writes it."""
        recent = past[-8 * self.window.context :]
        return [_Hypothesis(self._begin(self._canonical(recent)), self.model.vocabulary.trie.root, 1.0)]

    def extend(self, read: _Read, token: int) -> _Read:
        """Read one more token."""
        if read.tokens.shape[1] >= self.window.context:
            return self._read_all(np.append(self.window.kept(read.tokens, self.model.start), [[token]], axis=1))
        cache = self.model.new_cache() if read.cache is None else copy.deepcopy(read.cache)
        following = np.array([[token]])
        logits = self.model.feed(following, cache)
        return _Read(np.append(read.tokens, following, axis=1), cache, self._sums(logits))

    def _begin(self, tokens: IntArray) -> _Read:
        if self.model.start is not None:
            tokens = np.append(self.model.start, tokens)
        if not len(tokens):
            return _Read(tokens[None], None, self._sums(self.model.no_logits(1)))
        if len(tokens) > self.window.context:
            first = tokens[:1]
            tokens = tokens[-(self.window.context - self.window.stride) :].copy()
            if self.model.start is not None:
                tokens[:1] = first
        return self._read_all(tokens[None])

    def _read_all(self, tokens: IntArray) -> _Read:
        cache = self.model.new_cache()
        return _Read(tokens, cache, self._sums(self.model.feed(tokens, cache)))

    def _sums(self, logits: Any) -> FloatArray:
        probabilities = self.model.distribution(logits)[0].cpu().numpy().astype(np.float64)
        require_finite(probabilities)
        ordered = probabilities[self.model.vocabulary.trie.order]
        return np.concatenate([[0.0], np.cumsum(ordered / ordered.sum())])

    def _canonical(self, data: bytes) -> IntArray:
        """The tokenizer's own tokens; where there are none the longest that fit, one after the other."""
        vocabulary = self.model.vocabulary
        tokens = vocabulary.tokenise(data)
        if tokens is not None:
            return tokens
        found, at = [], 0
        longest = max(map(len, vocabulary.token_bytes))
        while at < len(data):
            token = vocabulary.trie.longest(data[at : at + longest])
            if token is not None:
                found.append(token)
            at += 1 if token is None else len(vocabulary.token_bytes[token])
        return np.array(found, np.int64)

    def _without_end(self, tokens: IntArray) -> tuple[IntArray, bytes]:
        """The tokens but for the last of ``COVERED_BYTES`` or more, and the bytes of those that are left."""
        vocabulary = self.model.vocabulary
        kept, dropped_bytes = len(tokens), 0
        while kept and dropped_bytes < COVERED_BYTES:
            kept -= 1
            dropped_bytes += len(vocabulary.token_bytes[tokens[kept]])
        return tokens[:kept], vocabulary.join(tokens[:kept])


class _Stream:
    """One stream: its hypotheses, whose weights are scaled so that their shares sum to 1."""

    def __init__(self, coverings: Coverings, hypotheses: list[_Hypothesis], past: bytes) -> None:
        self._coverings, self._hypotheses, self._past = coverings, hypotheses, past

    def probabilities(self) -> FloatArray:
        """P(next byte), float64 ``(256,)``."""
        trie = self._coverings.model.vocabulary.trie
        masses = np.zeros(256)
        for hypothesis in self._hypotheses:
            masses += hypothesis.weight * np.diff(hypothesis.read.sums[trie.bounds(hypothesis.place)])
        total = masses.sum()
        masses = masses / total if total > 0.0 else np.full(256, 1 / 256)
        return np.asarray(masses * (1 - 256 * FLOOR) + FLOOR)

    def push(self, byte: int) -> None:
        """Move every hypothesis on by a byte."""
        self._past += bytes((byte,))
        moved, ended = self._moved(byte)
        total = sum(share for share, _ in moved) + sum(share for share, *_ in ended)
        if not total > 0.0:
            self._hypotheses = self._coverings.restart(self._past)
            return
        everything: list[tuple[float, Any]] = [(share / total, end) for share, *end in ended]
        everything += [(share / total, hypothesis) for share, hypothesis in moved]
        if self._coverings.beam:
            everything.sort(key=lambda item: -item[0])
            everything = [item for item in everything[: self._coverings.beam] if item[0] > NEGLIGIBLE]
        self._hypotheses = [self._made(item, total) for _, item in everything]

    def _made(self, item: Any, total: float) -> _Hypothesis:
        if isinstance(item, _Hypothesis):
            return _Hypothesis(item.read, item.place, item.weight / total)
        read, token, weight = item
        return _Hypothesis(
            self._coverings.extend(read, token), self._coverings.model.vocabulary.trie.root, weight / total
        )

    def _moved(self, byte: int) -> tuple[list[tuple[float, _Hypothesis]], list[tuple[float, _Read, int, float]]]:
        """Hypotheses at the byte's child of their place, and tokens that end there: each after its share."""
        trie = self._coverings.model.vocabulary.trie
        moved, ended = [], []
        for hypothesis in self._hypotheses:
            bounds, sums = trie.bounds(hypothesis.place), hypothesis.read.sums
            first, beyond = int(bounds[byte]), int(bounds[byte + 1])
            if first == beyond:
                continue
            place = (first, beyond, hypothesis.place[2] + 1)
            longer = int(trie.bounds(place)[0])
            share = hypothesis.weight * float(sums[beyond] - sums[longer])
            if share > 0.0:
                moved.append((share, _Hypothesis(hypothesis.read, place, hypothesis.weight)))
            for at in range(first, longer):
                weight = hypothesis.weight * float(sums[at + 1] - sums[at])
                if weight > 0.0:
                    ended.append((weight, hypothesis.read, int(trie.order[at]), weight))
        return moved, ended

    def fork(self) -> _Stream:
        """An independent copy."""
        return _Stream(self._coverings, list(self._hypotheses), self._past)


class ByteSession(Session):
    """Streams of bytes under a token model; each by itself, so that none depends on those beside it."""

    def __init__(self, coverings: Coverings, streams: list[_Stream]) -> None:
        self._coverings, self._streams = coverings, streams

    @classmethod
    def after(cls, coverings: Coverings, contexts: Sequence[Symbols]) -> ByteSession:
        """A session that has read contexts."""
        with running(coverings.threads):
            return cls(coverings, [coverings.start(byte_array(context).tobytes()) for context in contexts])

    def probabilities(self) -> FloatArray:
        """See :meth:`Session.probabilities`."""
        return np.stack([stream.probabilities() for stream in self._streams])

    def push(self, symbols: Symbols) -> None:
        """See :meth:`Session.push`."""
        with running(self._coverings.threads):
            for stream, symbol in zip(self._streams, symbol_array(symbols), strict=True):
                stream.push(int(symbol))

    def fork(self) -> ByteSession:
        """See :meth:`Session.fork`."""
        return ByteSession(self._coverings, [stream.fork() for stream in self._streams])
