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

All sums are of floats in a fixed order, or exactly rounded: over an exact token model, the bytes' probabilities are the
same on every machine too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from compgen import numerics
from compgen.interfaces import FloatArray, IntArray, Session, Symbols, byte_array, symbol_array

#: The share of the probability of what was read below which a hypothesis is dropped (with a beam).
NEGLIGIBLE = 2.0**-20
#: No byte is less probable.
FLOOR = 2.0**-32
#: Of a context longer than twice this, all but about so many bytes are read as the tokenizer writes them.
COVERED_BYTES = 64
#: Streams that are scored at once: each has a cache for every hypothesis.
SCORED_TOGETHER = 8

Node = tuple[int, int, int]


class Trie:
    """The tokens in the order of their bytes: those below a node of the trie are neighbours.

    A node is (first, beyond, depth): the tokens ``order[first:beyond]`` are those that start with the node's ``depth``
    bytes. With cumulative sums of probabilities in this order, the probability of all tokens below a node is one
    subtraction. Tokens without bytes are left out.
    """

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        tokens = [token for token, data in enumerate(token_bytes) if data]
        tokens.sort(key=token_bytes.__getitem__)
        self._sorted = [token_bytes[token] for token in tokens]
        self._bounds: dict[Node, IntArray] = {}
        self.token_bytes = token_bytes
        self.order = np.array(tokens, np.int64)
        self.root: Node = (0, len(tokens), 0)

    def bounds(self, node: Node) -> IntArray:
        """Where the children begin, int64 ``(257,)``: byte b leads to ``order[bounds[b]:bounds[b + 1]]``.

        The tokens before ``bounds[0]`` end at the node.
        """
        found = self._bounds.get(node)
        if found is None:
            first, beyond, depth = node
            following = [data[depth] if len(data) > depth else -1 for data in self._sorted[first:beyond]]
            found = first + np.searchsorted(np.array(following, np.int64), np.arange(257))
            self._bounds[node] = found
        return found

    def longest(self, data: bytes) -> int | None:
        """The longest token that ``data`` starts with, None if there is none."""
        node, token = self.root, None
        for byte in data:
            bounds = self.bounds(node)
            node = (int(bounds[byte]), int(bounds[byte + 1]), node[2] + 1)
            if node[0] == node[1]:
                break
            if self.bounds(node)[0] > node[0]:
                token = int(self.order[node[0]])
        return token

    def join(self, tokens: Sequence[int] | IntArray) -> bytes:
        """The bytes that tokens stand for."""
        return b"".join([self.token_bytes[token] for token in tokens])


class Read(Protocol):
    """A model that has read tokens. Never changed, so that hypotheses share it."""

    @property
    def sums(self) -> FloatArray:
        """Cumulative probabilities of the next token in the trie's order, from 0 to 1: ``(tokens + 1,)``."""


class TokenReader(ABC):
    """A token model as byte sessions need it."""

    #: The model's tokens.
    trie: Trie
    #: Of what was read, as much as the model can look back: so many bytes at the end.
    recent_bytes: int

    @abstractmethod
    def begin(self, tokens: IntArray) -> Read:
        """Read tokens ``(n,)`` from the start of a text."""

    @abstractmethod
    def extend(self, pairs: Sequence[tuple[Any, int]]) -> Sequence[Read]:
        """Read one more token each, behind what was read."""

    @abstractmethod
    def tokenise(self, data: bytes) -> IntArray:
        """The tokens that the tokenizer writes the data as; it may leave out what has none."""

    def running(self) -> AbstractContextManager[None]:
        """What reading runs under."""
        return nullcontext()


@dataclass(frozen=True)
class _Hypothesis:
    read: Read
    place: Node
    weight: float


@dataclass(frozen=True)
class Coverings:
    """What byte sessions of one model share; ``beam`` hypotheses are kept, all if it is 0."""

    reader: TokenReader
    beam: int

    def start(self, context: bytes) -> tuple[_Stream, bytes]:
        """A stream that has read the first part of a context, and the rest."""
        tokens, rest = np.empty(0, np.int64), context
        if self.beam and len(context) > 2 * COVERED_BYTES:
            tokens, rest = self._settled(self.recent(context))
        past = self.recent(context[: len(context) - len(rest)])
        return _Stream(self, [self._settle(tokens)], past), rest

    def recent(self, past: bytes) -> bytes:
        """The end of what was read: as much as the model looks back, but for very long tokens."""
        return past[-self.reader.recent_bytes :]

    def restart(self, past: bytes) -> list[_Hypothesis]:
        """The one hypothesis that is left when no covering is: the past as the tokenizer writes it."""
        return [self._settle(self.reader.tokenise(past))]

    def _settle(self, tokens: IntArray) -> _Hypothesis:
        return _Hypothesis(self.reader.begin(tokens), self.reader.trie.root, 1.0)

    def _settled(self, data: bytes) -> tuple[IntArray, bytes]:
        """The tokens of all but the end, and the end: ``COVERED_BYTES`` and what else the last of these is part of."""
        tokens, trie = self.reader.tokenise(data), self.reader.trie
        if not data.endswith(trie.join(tokens)):  # some of it has no tokens
            return self.reader.tokenise(data[:-COVERED_BYTES]), data[-COVERED_BYTES:]
        kept, end_bytes = len(tokens), 0
        while kept and end_bytes < COVERED_BYTES:
            kept -= 1
            end_bytes += len(trie.token_bytes[tokens[kept]])
        return tokens[:kept], data[len(data) - end_bytes :]


class _Stream:
    """One stream: its hypotheses, whose weights are scaled so that their shares sum to 1."""

    def __init__(self, coverings: Coverings, hypotheses: list[_Hypothesis], past: bytes) -> None:
        self._coverings, self._hypotheses, self._past = coverings, hypotheses, past
        self._pending: list[float] = []

    def probabilities(self) -> FloatArray:
        """P(next byte), float64 ``(256,)``."""
        trie = self._coverings.reader.trie
        masses = np.zeros(256)
        for hypothesis in self._hypotheses:
            masses += hypothesis.weight * np.diff(hypothesis.read.sums[trie.bounds(hypothesis.place)])
        total = math.fsum(masses.tolist())
        masses = masses / total if total > 0.0 else np.full(256, 1 / 256)
        return np.asarray(masses * (1 - 256 * FLOOR) + FLOOR)

    def plan(self, byte: int) -> list[tuple[Read, int]]:
        """Move every hypothesis on by a byte; returns what must be read for the new ones, for :meth:`complete`."""
        self._past = self._coverings.recent(self._past + bytes((byte,)))
        moved, ended = self._moved(byte)
        total = math.fsum([share for share, _ in moved] + [share for share, _ in ended])
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

    def complete(self, reads: Sequence[Read]) -> None:
        """Take what was read, in the order of :meth:`plan`."""
        root = self._coverings.reader.trie.root
        self._hypotheses += [_Hypothesis(r, root, weight) for r, weight in zip(reads, self._pending, strict=True)]

    def _moved(self, byte: int) -> tuple[list[tuple[float, _Hypothesis]], list[tuple[float, tuple[Read, int]]]]:
        """Hypotheses at the byte's child of their place, and tokens that end there: each with its share."""
        trie = self._coverings.reader.trie
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
        with coverings.reader.running():
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
        with self._coverings.reader.running():
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
            with coverings.reader.running():
                _push(coverings, [readers[i - first] for i in onward], [symbols[i][step] for i in onward])
            done(len(going))
    return [-numerics.log2(chosen) for chosen in lengths]


def _push(coverings: Coverings, streams: Sequence[_Stream], symbols: Sequence[int]) -> None:
    """Move streams on by a byte each; the model reads what all of them need together."""
    plans = [stream.plan(byte) for stream, byte in zip(streams, symbols, strict=True)]
    reads = iter(coverings.reader.extend([pair for plan in plans for pair in plan]))
    for stream, plan in zip(streams, plans, strict=True):
        stream.complete([next(reads) for _ in plan])
