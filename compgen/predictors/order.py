"""``order0`` ... ``order6``: how often did each byte follow the last n bytes? In whole numbers only, so exact.

The model blends the counts of the contexts of order 0 to n, the shortest first, as interpolated Kneser-Ney smoothing
does (Chen and Goodman 1999, modified form). Seen otherwise, it is the hierarchical Pitman-Yor process that the sequence
memoizer and deplump use (Gasthaus, Wood, Teh 2010), or PPM with blending and update exclusion (Moffat 1990):

    P(s | context of order k)  =  max(0, c(s) - D(c(s))) / n  +  (sum of D) / n * P(s | context of order k-1)

c(s): how often s was counted after the context; n: the sum over all s; D: a discount by order, count, and whether the
context has had one successor only; P below order 0 is 1/256. A context longer than what has been read, or new, is
passed over. After a symbol, the contexts count it from the longest down to the first that knew it already. A count that
passes 255 halves (rounding up) all counts of its context.

The fixed operations, all on integers: F(s) starts at 2**23; for each order with n counts and discounts d(s) in 64ths,

    w = floor(2**24 * sum(d) / (64 n));    F(s) = floor(F(s) w / 2**24) + floor(2**31 (64 c(s) - d(s)) / (64 n))

the last term only where c(s) > 0; at the end every F(s) gains 256. The probability is F(s) / sum(F). Bounds: c <= 255,
so 64 n < 2**22; w < 2**24; the sum of F never exceeds 2**31 + 2**16; so no product reaches 2**56.

Memory: at most n+1 nodes of 16 bytes a byte read; at 2**22 nodes (64 MiB) the model starts afresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from compgen import numerics
from compgen.coding.arithmetic import DecoderStates, Encoder
from compgen.interfaces import (
    BlockCoder,
    Done,
    FloatArray,
    IntArray,
    Predictor,
    Primed,
    Progress,
    Session,
    Symbols,
    byte_array,
)
from compgen.predictors import _order_kernel as kernel

#: Discounts in 64ths: by order, then for contexts with several successors and with one, by count (1, 2, 3, 4 and more).
#: Fitted once to short excerpts of English, Python, wiki markup and speech; part of what the names order0..order6 mean.
DISCOUNTS: IntArray = np.array(
    [
        [[23, 31, 37, 27], [33, 40, 37, 37]],
        [[45, 64, 74, 78], [50, 64, 55, 56]],
        [[48, 71, 78, 82], [48, 62, 57, 51]],
        [[56, 80, 79, 87], [50, 61, 49, 47]],
        [[53, 79, 88, 96], [46, 51, 44, 36]],
        [[62, 89, 117, 108], [57, 67, 55, 53]],
        [[57, 86, 101, 119], [49, 47, 35, 45]],
    ],
    dtype=np.int64,
)

#: So many bytes are scored, at 24 bytes of memory each, before they are coded, and decoded before progress is told.
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class _OrderN(Predictor, BlockCoder):
    """A byte-context model; the subclasses fix its order. See the module."""

    depth: ClassVar[int]
    exact = True
    batched = False
    can_freeze = True

    def primed(self, context: Symbols, learn: bool = True) -> Primed:
        """See :meth:`Predictor.primed`. A frozen model has room for contexts of any length.

        It computes in float64 what the model computes in integers, without their rounding.
        """
        return _Learning(self.depth, byte_array(context)) if learn else _Frozen(self.depth, byte_array(context))

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        streams = [_Tree(self.depth) for _ in contexts]
        for stream, context in zip(streams, contexts, strict=True):
            stream.learn(byte_array(context))
        return _OrderSession(streams)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`; one compiled loop a stream."""
        lengths = []
        for stream, context in zip(streams, [b""] * len(streams) if contexts is None else contexts, strict=True):
            tree = _Tree(self.depth)
            tree.learn(byte_array(context))
            counted = tree.score(byte_array(stream))
            lengths.append(-numerics.log2(counted[:, 1] / counted[:, 2]))
            if progress is not None:
                progress(sum(map(len, lengths)), sum(map(len, streams)))
        return lengths

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`: one stream, coded with the frequencies as they are."""
        tree, encoder = _Tree(self.depth), Encoder()
        for start in range(0, len(data), _PIECE_BYTES):
            encoder.encode_intervals(tree.score(byte_array(data[start : start + _PIECE_BYTES])))
            if done is not None:
                done(start)
        return encoder.finish()

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`."""
        tree, decoder, pieces = _Tree(self.depth), DecoderStates([code], None), []
        for start in range(0, length, _PIECE_BYTES):
            pieces.append(tree.decode(decoder, min(_PIECE_BYTES, length - start)).tobytes())
            if done is not None:
                done(start)
        return b"".join(pieces)


class _Tree:
    """One stream: the counts of everything read so far, in arrays that grow."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._nodes: npt.NDArray[np.int32] = np.empty((1024, 4), dtype=np.int32)
        self._nodes[0] = (0, 0, -1, -1)
        self._state: npt.NDArray[np.int32] = np.zeros(kernel.CONTEXTS + depth + 1, dtype=np.int32)
        self._state[kernel.USED] = 1

    def frequencies(self, out: IntArray) -> int:
        """Fill ``out`` (256,) and return its sum."""
        kernel.make_room(self._nodes, self._state, self._depth)  # forgets now what it would forget at the next symbol
        return int(kernel.frequencies(self._nodes, self._state, DISCOUNTS, out))

    def learn(self, symbols: npt.NDArray[np.uint8]) -> None:
        """Read symbols ``(n,)``."""
        done = kernel.learn(self._nodes, self._state, self._depth, symbols)
        while done < len(symbols):
            self._grow()
            done += kernel.learn(self._nodes, self._state, self._depth, symbols[done:])

    def score(self, symbols: npt.NDArray[np.uint8]) -> IntArray:
        """(frequencies before it, its own, all) of each symbol, int64 ``(n, 3)``, learning as it goes."""
        counted = np.empty((len(symbols), 3), dtype=np.int64)
        done = kernel.score(self._nodes, self._state, self._depth, DISCOUNTS, symbols, counted)
        while done < len(symbols):
            self._grow()
            rest = counted[done:]
            done += kernel.score(self._nodes, self._state, self._depth, DISCOUNTS, symbols[done:], rest)
        return counted

    def decode(self, coder: DecoderStates, length: int) -> npt.NDArray[np.uint8]:
        """The next symbols ``(length,)`` of a code, learning as it goes."""
        symbols = np.empty(length, dtype=np.uint8)
        model = (self._state, self._depth, DISCOUNTS, coder.states, coder.data)
        done = kernel.decode(self._nodes, *model, symbols)
        while done < length:
            self._grow()
            done += kernel.decode(self._nodes, *model, symbols[done:])
        return symbols

    def fork(self) -> _Tree:
        copy = _Tree(self._depth)
        used = int(self._state[kernel.USED])
        copy._nodes = np.empty((used + used // 4 + 1024, 4), dtype=np.int32)
        copy._nodes[:used] = self._nodes[:used]
        copy._state = self._state.copy()
        return copy

    def _grow(self) -> None:
        larger = np.empty((2 * len(self._nodes), 4), dtype=np.int32)
        larger[: len(self._nodes)] = self._nodes
        self._nodes = larger


class _Learning(Primed):
    """Branches off for every stream."""

    def __init__(self, depth: int, context: npt.NDArray[np.uint8]) -> None:
        self._tree = _Tree(depth)
        self._tree.learn(context)

    def code_lengths(self, streams: Sequence[Symbols]) -> list[FloatArray]:
        counted = [self._tree.fork().score(byte_array(stream)) for stream in streams]
        return [-numerics.log2(rows[:, 1] / rows[:, 2]) for rows in counted]


class _Frozen(Primed):
    """Tables of what was learnt from a context, without its counts."""

    def __init__(self, depth: int, context: npt.NDArray[np.uint8]) -> None:
        nodes = np.empty((1024, 4), dtype=np.int32)
        nodes[0] = (0, 0, -1, -1)
        state = np.zeros(kernel.CONTEXTS + depth + 1, dtype=np.int32)
        state[kernel.USED] = 1
        done = 0
        while (done := kernel.learn_all(nodes, state, depth, context, done)) < len(context):
            nodes = np.concatenate([nodes, np.empty_like(nodes)])
        used = int(state[kernel.USED])
        slots = 1 << (2 * used).bit_length()
        self._tables = np.zeros(slots, np.int64), np.zeros(slots, np.int32), np.ones(used), np.zeros(used)
        kernel.freeze(nodes, used, DISCOUNTS, *self._tables)
        self._depth, self._order = depth, int(state[kernel.ORDER])
        self._contexts = state[kernel.CONTEXTS :].astype(np.int64)

    def code_lengths(self, streams: Sequence[Symbols]) -> list[FloatArray]:
        lengths = []
        for stream in streams:
            symbols = byte_array(stream)
            out = np.empty(len(symbols))
            kernel.score_frozen(*self._tables, self._depth, symbols, self._contexts.copy(), self._order, out)
            lengths.append(-numerics.log2((out + 2.0**-23) / (1 + 2.0**-15)))
        return lengths


class _OrderSession(Session):
    def __init__(self, streams: list[_Tree]) -> None:
        self._streams = streams

    def frequencies(self) -> IntArray:
        """The frequencies behind the probabilities, int64 ``(streams, 256)``."""
        rows = np.empty((len(self._streams), 256), dtype=np.int64)
        for stream, row in zip(self._streams, rows, strict=True):
            stream.frequencies(row)
        return rows

    def probabilities(self) -> FloatArray:
        rows = self.frequencies()
        probabilities: FloatArray = rows / rows.sum(axis=1, keepdims=True)
        return probabilities

    def push(self, symbols: Symbols) -> None:
        column = byte_array(symbols)[:, None]
        for stream, symbol in zip(self._streams, column, strict=True):
            stream.learn(symbol)

    def fork(self) -> Session:
        return _OrderSession([stream.fork() for stream in self._streams])


@dataclass(frozen=True)
class Order0(_OrderN):
    """Frequencies of single bytes."""

    name: ClassVar[str] = "order0"
    depth: ClassVar[int] = 0


@dataclass(frozen=True)
class Order1(_OrderN):
    """Frequencies of bytes after up to the byte before."""

    name: ClassVar[str] = "order1"
    depth: ClassVar[int] = 1


@dataclass(frozen=True)
class Order2(_OrderN):
    """Frequencies of bytes after up to the two bytes before."""

    name: ClassVar[str] = "order2"
    depth: ClassVar[int] = 2


@dataclass(frozen=True)
class Order3(_OrderN):
    """Frequencies of bytes after up to the three bytes before."""

    name: ClassVar[str] = "order3"
    depth: ClassVar[int] = 3


@dataclass(frozen=True)
class Order4(_OrderN):
    """Frequencies of bytes after up to the four bytes before."""

    name: ClassVar[str] = "order4"
    depth: ClassVar[int] = 4


@dataclass(frozen=True)
class Order5(_OrderN):
    """Frequencies of bytes after up to the five bytes before."""

    name: ClassVar[str] = "order5"
    depth: ClassVar[int] = 5


@dataclass(frozen=True)
class Order6(_OrderN):
    """Frequencies of bytes after up to the six bytes before."""

    name: ClassVar[str] = "order6"
    depth: ClassVar[int] = 6
