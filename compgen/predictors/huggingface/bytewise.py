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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compgen import numerics
from compgen.interfaces import FloatArray, IntArray, Session, Symbols, byte_array, symbol_array
from compgen.predictors.huggingface.model import TokenModel, Window, require_finite, running
from compgen.predictors.huggingface.vocabulary import Node

#: The share of the probability of what was read below which a hypothesis is dropped (with a beam).
NEGLIGIBLE = 2.0**-20
#: No byte is less probable.
FLOOR = 2.0**-32
#: Of a context longer than twice this, all but about so many bytes are read as the tokenizer writes them.
COVERED_BYTES = 64
#: Streams that are scored at once: each has a cache for every hypothesis.
SCORED_TOGETHER = 8


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

    def start(self, context: bytes) -> tuple[_Stream, bytes]:
        """A stream that has read the first part of a context, and the rest."""
        tokens, rest = np.empty(0, np.int64), context
        if self.beam and len(context) > 2 * COVERED_BYTES:
            tokens, rest = self._settled(self.recent(context))
        past = self.recent(context[: len(context) - len(rest)])
        return _Stream(self, [_Hypothesis(self._begin(tokens), self.model.vocabulary.trie.root, 1.0)], past), rest

    def recent(self, past: bytes) -> bytes:
        """The end of what was read: as much as the window holds of all but very long tokens."""
        return past[-8 * self.window.context :]

    def restart(self, past: bytes) -> list[_Hypothesis]:
        """The one hypothesis that is left when no covering is: the past as the tokenizer writes it."""
        return [_Hypothesis(self._begin(self._canonical(past)), self.model.vocabulary.trie.root, 1.0)]

    def extend(self, pairs: Sequence[tuple[_Read, int]]) -> list[_Read]:
        """Read one more token each; those that have read equally many together."""
        made: list[_Read | None] = [None] * len(pairs)
        by_length: dict[int, list[int]] = {}
        for i, (read, _) in enumerate(pairs):
            by_length.setdefault(read.tokens.shape[1], []).append(i)
        for group in by_length.values():
            for i, read in zip(group, self._extend_equal([pairs[i] for i in group]), strict=True):
                made[i] = read
        return [read for read in made if read is not None]

    def _extend_equal(self, pairs: Sequence[tuple[_Read, int]]) -> list[_Read]:
        if len(pairs) > 1 and not self.model.joinable:
            return [self._extend_equal([pair])[0] for pair in pairs]
        before = np.concatenate([read.tokens for read, _ in pairs])
        following = np.array([[token] for _, token in pairs])
        if before.shape[1] >= self.window.context:
            return self._read_all(np.append(self.window.kept(before, self.model.start), following, axis=1))
        if before.shape[1] == 0:
            return self._read_all(following)
        cache = self.model.copied([read.cache for read, _ in pairs])
        return self._reads(np.append(before, following, axis=1), cache, self.model.feed(following, cache))

    def _begin(self, tokens: IntArray) -> _Read:
        if self.model.start is not None:
            tokens = np.append(self.model.start, tokens)
        if not len(tokens):
            return self._reads(tokens[None], None, self.model.no_logits(1))[0]
        if len(tokens) > self.window.context:
            first = tokens[:1]
            tokens = tokens[-(self.window.context - self.window.stride) :].copy()
            if self.model.start is not None:
                tokens[:1] = first
        return self._read_all(tokens[None])[0]

    def _read_all(self, tokens: IntArray) -> list[_Read]:
        cache = self.model.new_cache()
        return self._reads(tokens, cache, self.model.feed(tokens, cache))

    def _reads(self, tokens: IntArray, cache: Any, logits: Any) -> list[_Read]:
        """What each stream of a cache has read, ``(streams, n)``."""
        probabilities = self.model.distribution(logits).cpu().numpy().astype(np.float64)
        require_finite(probabilities)
        ordered = probabilities[:, self.model.vocabulary.trie.order]
        sums = np.zeros((len(ordered), ordered.shape[1] + 1))
        np.cumsum(ordered / ordered.sum(axis=1, keepdims=True), axis=1, out=sums[:, 1:])
        caches = [None] * len(tokens) if cache is None else self.model.split(cache, len(tokens))
        return [_Read(tokens[i : i + 1], caches[i], sums[i]) for i in range(len(tokens))]

    def _canonical(self, data: bytes) -> IntArray:
        """The tokenizer's own tokens; where there are none the longest that fit, one after the other."""
        start = next((i for i, byte in enumerate(data[:4]) if not 0x80 <= byte < 0xC0), 0)  # of a character
        tokens = self.model.vocabulary.tokenise(data[start:])
        if tokens is None:
            tokens = self.model.vocabulary.greedy(data, in_all=False)
        return np.empty(0, np.int64) if tokens is None else tokens

    def _settled(self, data: bytes) -> tuple[IntArray, bytes]:
        """The tokens of all but the end, and the end: ``COVERED_BYTES`` and what else the last of these is part of."""
        vocabulary, tokens = self.model.vocabulary, self._canonical(data)
        if not data.endswith(vocabulary.join(tokens)):  # some of it has no tokens
            return self._canonical(data[:-COVERED_BYTES]), data[-COVERED_BYTES:]
        kept, end_bytes = len(tokens), 0
        while kept and end_bytes < COVERED_BYTES:
            kept -= 1
            end_bytes += len(vocabulary.token_bytes[tokens[kept]])
        return tokens[:kept], data[len(data) - end_bytes :]


class _Stream:
    """One stream: its hypotheses, whose weights are scaled so that their shares sum to 1."""

    def __init__(self, coverings: Coverings, hypotheses: list[_Hypothesis], past: bytes) -> None:
        self._coverings, self._hypotheses, self._past = coverings, hypotheses, past
        self._pending: list[float] = []

    def probabilities(self) -> FloatArray:
        """P(next byte), float64 ``(256,)``."""
        trie = self._coverings.model.vocabulary.trie
        masses = np.zeros(256)
        for hypothesis in self._hypotheses:
            masses += hypothesis.weight * np.diff(hypothesis.read.sums[trie.bounds(hypothesis.place)])
        total = masses.sum()
        masses = masses / total if total > 0.0 else np.full(256, 1 / 256)
        return np.asarray(masses * (1 - 256 * FLOOR) + FLOOR)

    def plan(self, byte: int) -> list[tuple[_Read, int]]:
        """Move every hypothesis on by a byte; returns what must be read for the new ones, for :meth:`complete`."""
        self._past = self._coverings.recent(self._past + bytes((byte,)))
        moved, ended = self._moved(byte)
        total = sum(share for share, _ in moved) + sum(share for share, *_ in ended)
        self._pending = []
        if not total > 0.0:
            self._hypotheses = self._coverings.restart(self._past)
            return []
        everything: list[tuple[float, Any]] = [pair for pair in (*moved, *ended) if pair[0] > 0.0]
        if self._coverings.beam:
            everything.sort(key=lambda pair: -pair[0])
            everything = [p for p in everything[: self._coverings.beam] if p[0] > NEGLIGIBLE * total]
        kept = [item for _, item in everything if isinstance(item, _Hypothesis)]
        self._hypotheses = [_Hypothesis(h.read, h.place, h.weight / total) for h in kept]
        new = [(share, item) for share, item in everything if not isinstance(item, _Hypothesis)]
        self._pending = [share / total for share, _ in new]
        return [item for _, item in new]

    def complete(self, reads: Sequence[_Read]) -> None:
        """Take what was read, in the order of :meth:`plan`."""
        root = self._coverings.model.vocabulary.trie.root
        self._hypotheses += [_Hypothesis(r, root, weight) for r, weight in zip(reads, self._pending, strict=True)]

    def _moved(self, byte: int) -> tuple[list[tuple[float, _Hypothesis]], list[tuple[float, tuple[_Read, int]]]]:
        """Hypotheses at the byte's child of their place, and tokens that end there: each with its share."""
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
            moved.append((share, _Hypothesis(hypothesis.read, place, hypothesis.weight)))
            for at in range(first, longer):
                share = hypothesis.weight * float(sums[at + 1] - sums[at])
                ended.append((share, (hypothesis.read, int(trie.order[at]))))
        return moved, ended

    def fork(self) -> _Stream:
        """An independent copy."""
        return _Stream(self._coverings, list(self._hypotheses), self._past)


class ByteSession(Session):
    """Streams of bytes under a token model."""

    def __init__(self, coverings: Coverings, streams: list[_Stream]) -> None:
        self._coverings, self._streams = coverings, streams

    @classmethod
    def after(cls, coverings: Coverings, contexts: Sequence[Symbols]) -> ByteSession:
        """A session that has read contexts."""
        with running(coverings.threads):
            started = [coverings.start(byte_array(context).tobytes()) for context in contexts]
            for step in range(max((len(rest) for _, rest in started), default=0)):
                going = [(stream, rest[step]) for stream, rest in started if step < len(rest)]
                _push(coverings, [stream for stream, _ in going], [byte for _, byte in going])
        return cls(coverings, [stream for stream, _ in started])

    def probabilities(self) -> FloatArray:
        """See :meth:`Session.probabilities`."""
        return np.stack([stream.probabilities() for stream in self._streams])

    def push(self, symbols: Symbols) -> None:
        """See :meth:`Session.push`."""
        with running(self._coverings.threads):
            _push(self._coverings, self._streams, symbol_array(symbols).tolist())

    def fork(self) -> ByteSession:
        """See :meth:`Session.fork`."""
        return ByteSession(self._coverings, [stream.fork() for stream in self._streams])


def code_lengths(
    coverings: Coverings, streams: Sequence[Symbols], contexts: Sequence[Symbols], done: Callable[[int], None]
) -> list[FloatArray]:
    """Bits of each byte of each stream, some streams at a time; ``done`` gets the bytes of each step."""
    lengths = [np.empty(len(stream)) for stream in streams]
    symbols = [symbol_array(stream).tolist() for stream in streams]
    for first in range(0, len(streams), SCORED_TOGETHER):
        group = range(first, min(first + SCORED_TOGETHER, len(streams)))
        readers = ByteSession.after(coverings, [contexts[i] for i in group])._streams
        for step in range(max(map(len, symbols[first : first + SCORED_TOGETHER]))):
            going = [i for i in group if step < len(symbols[i])]
            for i in going:
                lengths[i][step] = readers[i - first].probabilities()[symbols[i][step]]
            onward = [i for i in going if step + 1 < len(symbols[i])]
            with running(coverings.threads):
                _push(coverings, [readers[i - first] for i in onward], [symbols[i][step] for i in onward])
            done(len(going))
    return [-numerics.log2(chosen) for chosen in lengths]


def _push(coverings: Coverings, streams: Sequence[_Stream], symbols: Sequence[int]) -> None:
    """Move streams on by a byte each; the model reads what all of them need together."""
    plans = [stream.plan(byte) for stream, byte in zip(streams, symbols, strict=True)]
    reads = iter(coverings.extend([pair for plan in plans for pair in plan]))
    for stream, plan in zip(streams, plans, strict=True):
        stream.complete([next(reads) for _ in plan])
