"""``cm`` as a predictor, and as the block coder that an archive is made of."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compgen import numerics
from compgen.errors import UsageError
from compgen.interfaces import (
    BlockCoder,
    Done,
    FileName,
    FloatArray,
    Predictor,
    Primed,
    Progress,
    Session,
    Symbols,
    byte_array,
)
from compgen.predictors.contextmix.priming import Start, learnt, primed, read_file, unprimed
from compgen.predictors.contextmix.settings import LEVELS, MEMORY_MB, MODES, Shape, guided, recipe
from compgen.predictors.contextmix.stream import Stream


class StreamPredictor(Predictor, BlockCoder):
    """A predictor made of :class:`~.stream.Stream`: one compiled loop for what is known, one step for what is not."""

    batched = False

    @abstractmethod
    def _streams(self, count: int) -> list[Stream]:
        """Streams of one's own."""

    @abstractmethod
    def _lender(self) -> Callable[[], AbstractContextManager[Stream]]:
        """What lends a stream for a while, any number of times."""

    def session(self, contexts: Sequence[Symbols]) -> Session:
        """See :meth:`Predictor.session`."""
        streams = self._streams(len(contexts))
        for stream, context in zip(streams, contexts, strict=True):
            stream.read(byte_array(context))
        return _StreamSession(streams)

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """See :meth:`Predictor.code_lengths`; one compiled loop a stream."""
        lengths: list[FloatArray] = []
        lent = self._lender()
        for stream, context in zip(streams, [b""] * len(streams) if contexts is None else contexts, strict=True):
            with lent() as reader:
                reader.read(byte_array(context))
                lengths.append(-numerics.log2(reader.score(byte_array(stream))))
            if progress is not None:
                progress(sum(map(len, lengths)), sum(map(len, streams)))
        return lengths

    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.encode_block`. Nothing has more than two bytes of code a byte, and one."""
        with self._lender()() as stream:
            return stream.encode(np.frombuffer(data, dtype=np.uint8), done)

    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """See :meth:`BlockCoder.decode_block`. Takes memory for the whole length at once."""
        with self._lender()() as stream:
            return stream.decode(np.frombuffer(code, dtype=np.uint8).copy(), length, done)


class _StreamSession(Session):
    def __init__(self, streams: list[Stream]) -> None:
        self._streams = streams

    def probabilities(self) -> FloatArray:
        rows = np.empty((len(self._streams), 256))
        for stream, row in zip(self._streams, rows, strict=True):
            stream.distribution(row)
        return rows

    def push(self, symbols: Symbols) -> None:
        for stream, symbol in zip(self._streams, byte_array(symbols)[:, None], strict=True):
            stream.read(symbol)

    def fork(self) -> Session:
        return _StreamSession([stream.fork() for stream in self._streams])


@dataclass(frozen=True)
class ContextMix(StreamPredictor):
    """Bitwise context mixing in integers: the strong model that needs no weights to be downloaded.

    ``level`` trades size for speed: 1 fast, 2 the default, 3 best. ``memory_mb`` bounds the largest table (0: 16, 256,
    512 by level); a model starts small and grows as it reads. ``mode`` says what the bytes are: ``general`` (text, and
    anything else), ``image`` (8-bit pixels of ``channels`` bytes in rows of ``width``), ``audio`` (samples: unsigned
    with 8 ``bits``; signed with 16, the low byte first), or ``auto``, which finds that out as it reads.
    ``prime`` is a file to learn from before anything else, which is worth most for short data of its kind; ``auto``
    then keeps to the kind that it has found there. ``weights_sha256`` is the hash of what it holds. All of these are
    part of the code: who decodes must use the same.

    Every number on the way is an integer, so the probabilities are the same on every machine: P(byte) is the product
    over its bits, the highest first, of p/65536 with an integer p in 1..65535, multiplied in this order in float64.
    """

    level: int = 2
    memory_mb: int = 0
    mode: str = "auto"
    width: int = 64
    bits: int = 8
    channels: int = 1
    prime: FileName = ""

    name: ClassVar[str] = "cm"
    #: Another model gets another number, and an archive says which it was made with.
    numerics = "cm model 2"
    exact = True

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"level must be one of {', '.join(map(str, LEVELS))}, not {self.level}")
        if self.mode not in MODES:
            raise UsageError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0 <= self.memory_mb <= 2048:
            raise UsageError(f"memory_mb must be from 1 to 2048, or 0 for the level's own, not {self.memory_mb}")
        if not 1 <= self.width <= 1 << 20:
            raise UsageError(f"width must be from 1 to {1 << 20}, not {self.width}")
        if self.bits not in (8, 16):
            raise UsageError(f"bits must be 8 or 16, not {self.bits}")
        if not 1 <= self.channels <= 4:
            raise UsageError(f"channels must be from 1 to 4, not {self.channels}")
        if self.prime:
            object.__setattr__(self, "weights_sha256", hashlib.sha256(read_file(self.prime)).hexdigest())

    def _streams(self, count: int) -> list[Stream]:
        start = self.start()
        return [start.stream() for _ in range(count)]

    def _lender(self) -> Callable[[], AbstractContextManager[Stream]]:
        return self.start().lent

    def primed(self, context: Symbols, learn: bool = True) -> Primed:
        """See :meth:`Predictor.primed`; the context is learnt as ``prime`` is, so that what follows it weighs more."""
        return _Primed(self.start(context=byte_array(context).tobytes())) if learn else super().primed(context, learn)

    def start(self, guides: int = 0, context: bytes | None = None) -> Start:
        """The state to start from: after ``prime``, and after a context if there is one.

        ``guides``: how many advise the model for text.
        """
        slots = 1 << (((self.memory_mb or MEMORY_MB[self.level]) * 65536).bit_length() - 1)
        finding = self.level if self.mode == "auto" else 0
        shape = Shape() if finding else Shape(self.mode, self.width, self.bits, self.channels)
        made = guided(recipe(shape.mode, self.level, shape.bits), guides)
        if context is not None:
            return learnt(made, shape, finding, slots, (read_file(self.prime) if self.prime else b"") + context)
        if self.prime:
            return primed(made, shape, finding, slots, self.prime, self.weights_sha256)
        return unprimed(made, shape, finding, slots)


class _Primed(Primed):
    def __init__(self, start: Start) -> None:
        self._start = start

    def code_lengths(self, streams: Sequence[Symbols]) -> list[FloatArray]:
        lengths = []
        for stream in streams:
            with self._start.lent() as reader:
                lengths.append(-numerics.log2(reader.score(byte_array(stream))))
        return lengths
