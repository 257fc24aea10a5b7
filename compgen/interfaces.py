"""The two sides of the bridge.

A :class:`Compressor` turns bytes into fewer bytes; a :class:`Predictor` gives a probability to every possible next
symbol. ``compgen.bridge`` turns each into the other. Nothing else in the project is more fundamental than this file.

Lengths are in **bits** as float64 everywhere; a "byte" of data is an int in 0..255.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from compgen import memory, numerics, parallel
from compgen.errors import UsageError
from compgen.numerics import FloatArray as FloatArray
from compgen.numerics import IntArray as IntArray

#: Symbols of a stream, or one symbol a stream.
Symbols = bytes | bytearray | Sequence[int] | npt.NDArray[np.integer]
#: Called as work goes on with (steps done, steps in all).
Progress = Callable[[int, int], None]
#: Called as work goes on with the bytes done.
Done = Callable[[int], None]
#: The name of a file, as a parameter; an archive's reader opens none that an archive names.
FileName = Annotated[str, "file"]


def adding(progress: Progress | None, total: int) -> Done:
    """A function that takes steps done since it was called last, and tells ``progress`` how many that makes."""
    count = 0

    def done(more: int) -> None:
        nonlocal count
        count += more
        if progress is not None:
            progress(count, total)

    return done


def symbol_array(symbols: Symbols) -> IntArray:
    """Symbols as int64 ``(len(symbols),)``."""
    if isinstance(symbols, bytes | bytearray):
        return np.frombuffer(bytes(symbols), np.uint8).astype(np.int64)
    return np.array(symbols, dtype=np.int64)


def byte_array(symbols: Symbols) -> npt.NDArray[np.uint8]:
    """Symbols of an alphabet of bytes as a writable uint8 copy ``(len(symbols),)``, as compiled code wants them."""
    if isinstance(symbols, bytes | bytearray):
        return np.frombuffer(bytearray(symbols), np.uint8)
    return symbol_array(symbols).astype(np.uint8)


def _spec(self: object, name: str) -> str:
    """``name:key=value,...`` with the fields of a dataclass that differ from their defaults."""
    changed = [
        f"{f.name}={getattr(self, f.name)}"
        for f in (dataclasses.fields(self) if dataclasses.is_dataclass(self) else ())
        if f.init and getattr(self, f.name) != f.default
    ]
    return name + (":" + ",".join(changed) if changed else "")


class ContinuationLengths(ABC):
    """The code lengths of a context continued by each possible byte, kept up to date as the context grows.

    Invariant: ``lengths()[b] == compressor.code_length(context + bytes([b]))`` for all 256 bytes ``b``, to the last
    bit, where ``context`` is the context it was made with followed by every byte pushed since.
    """

    @abstractmethod
    def lengths(self) -> FloatArray:
        """Bits of the context followed by each byte: float64, shape ``(256,)``. The caller owns the array."""

    @abstractmethod
    def push(self, byte: int) -> None:
        """Append one byte (0..255) to the context."""

    @abstractmethod
    def fork(self) -> ContinuationLengths:
        """An independent copy: pushing to one leaves the other as it is."""


class Compressor(ABC):
    """A lossless code for byte strings.

    Subclasses are frozen dataclasses whose fields are the codec's parameters, so that equality, ``repr``, hashing,
    pickling and the :attr:`spec` follow from the fields. They keep no state between calls and are safe to share among
    threads.
    """

    #: Name in the registry.
    name: ClassVar[str]
    #: True if ``continuations`` costs 256 compressions a step, which is worth running on several jobs.
    brute_force: ClassVar[bool] = True

    @property
    def window_bytes(self) -> int | None:
        """How far back it looks at all, in bytes; None where that is more than what is usually compared."""
        return None

    @property
    def library(self) -> str:
        """The library that does the work, with its version: code lengths, and so predictions, depend on it."""
        return "compgen's own code"

    @property
    def spec(self) -> str:
        """The string that makes this compressor again: ``compgen.compressor(c.spec) == c``."""
        return _spec(self, self.name)

    @abstractmethod
    def compress(self, data: bytes) -> bytes:
        """The code of ``data``, container included."""

    @abstractmethod
    def decompress(self, data: bytes) -> bytes:
        """The inverse of :meth:`compress`. Raises :class:`~compgen.errors.CorruptDataError` on anything else."""

    @abstractmethod
    def code_length(self, data: bytes) -> float:
        """Bits that ``data`` costs, as exact as the format allows, without the container's fixed overhead."""

    def code_lengths(self, blocks: Sequence[bytes]) -> list[float]:
        """``[code_length(block) for block in blocks]``, which some codecs do faster."""
        return [self.code_length(block) for block in blocks]

    def pair_lengths(self, firsts: Sequence[bytes], seconds: Sequence[bytes]) -> FloatArray:
        """Bits of each first text followed by each second one: float64 ``(len(firsts), len(seconds))``.

        Invariant: ``pair_lengths([x], [y])[0, 0] == code_length(x + y)``, which is what is called for each pair unless
        a codec can do once what many pairs have in common.
        """
        return np.array([[self.code_length(x + y) for y in seconds] for x in firsts]).reshape(-1, len(seconds))

    def continuations(self, context: bytes) -> ContinuationLengths:
        """The code lengths of the 256 continuations of ``context``; by brute force unless a codec knows better."""
        return BruteForceContinuations(self, context)


class BruteForceContinuations(ContinuationLengths):
    """The definition of :class:`ContinuationLengths`, computed literally, on the jobs that ``parallel`` is set to."""

    def __init__(self, compressor: Compressor, context: bytes) -> None:
        self._compressor = compressor
        self._context = bytearray(context)

    def lengths(self) -> FloatArray:
        """See :meth:`ContinuationLengths.lengths`."""
        context, jobs = bytes(self._context), parallel.n_jobs()
        # Every jobs-th byte, since neighbours take about the same time, which letters and others do not.
        shares = [range(first, 256, jobs) for first in range(min(jobs, 256))]
        parts = parallel.run(_continuation_lengths, [(self._compressor, context, share) for share in shares])
        lengths = np.empty(256)
        for share, part in zip(shares, parts, strict=True):
            lengths[share.start :: jobs] = part
        return lengths

    def push(self, byte: int) -> None:
        """See :meth:`ContinuationLengths.push`."""
        self._context.append(byte)

    def fork(self) -> BruteForceContinuations:
        """See :meth:`ContinuationLengths.fork`."""
        return BruteForceContinuations(self._compressor, bytes(self._context))


def _continuation_lengths(compressor: Compressor, context: bytes, last_bytes: Sequence[int]) -> FloatArray:
    memory.keep_freed()
    return np.array([compressor.code_length(context + bytes((byte,))) for byte in last_bytes], dtype=np.float64)


class Session(ABC):
    """A predictor reading some streams in step: one symbol of each stream at a time."""

    @abstractmethod
    def probabilities(self) -> FloatArray:
        """P(next symbol) for each stream: float64 ``(streams, alphabet_size)``, all positive, rows summing to 1."""

    @abstractmethod
    def push(self, symbols: Symbols) -> None:
        """Move on by one symbol in each stream: ints, shape ``(streams,)``."""

    @abstractmethod
    def fork(self) -> Session:
        """An independent copy of all streams."""

    def read(self, symbols: npt.ArrayLike) -> FloatArray:
        """Move on by known symbols ``(streams, n)``; returns P(symbol) of each row before it, float64 ``(streams, n,
        alphabet_size)``.

        The same as :meth:`probabilities` and :meth:`push` n times, which is what it does unless a model can look at all
        positions at once.
        """
        table = np.asarray(symbols, np.int64)
        rows = []
        for step in range(table.shape[1]):
            rows.append(self.probabilities())
            self.push(table[:, step])
        return np.stack(rows, axis=1) if rows else self.probabilities()[:, None][:, :0]


class Primed(ABC):
    """A predictor that has read a context, and scores any number of streams as if each came right after it."""

    @abstractmethod
    def code_lengths(self, streams: Sequence[Symbols]) -> list[FloatArray]:
        """Bits of each symbol of each stream: one float64 array a stream, of its length."""


class Predictor(ABC):
    """A model that gives every possible next symbol a probability, given those before it.

    Subclasses are frozen dataclasses whose fields are the model's parameters, as for :class:`Compressor`.
    """

    #: Name in the registry.
    name: ClassVar[str]
    #: Number of symbols; 256 for models over bytes.
    alphabet_size: int = 256
    #: Are the probabilities the same, to the last bit, on every machine and with any number of streams and threads?
    exact: bool = False
    #: What the probabilities of a predictor that is not exact depend on beside its spec, in words: libraries and
    #: versions, device. Archives record it, to say what differs when a block does not decode.
    numerics: str = ""
    #: SHA-256 of the weights (and tokenizer) in hexadecimal, for predictors that have any.
    weights_sha256: str = ""
    #: How many numbers were learnt before the data, and the size of the files that hold them: what an adjusted
    #: compression rate charges.
    parameters: int = 0
    weights_bytes: int = 0
    #: Do streams that share a session run faster than alone? If not, jobs may take one stream each.
    batched: bool = True

    @property
    def spec(self) -> str:
        """The string that makes this predictor again: ``compgen.predictor(p.spec) == p``."""
        return _spec(self, self.name)

    @abstractmethod
    def session(self, contexts: Sequence[Symbols]) -> Session:
        """Start reading: one stream a context, contexts of any lengths."""

    def code_lengths(
        self,
        streams: Sequence[Symbols],
        contexts: Sequence[Symbols] | None = None,
        progress: Progress | None = None,
    ) -> list[FloatArray]:
        """Teacher forcing: bits of each symbol of each stream, given the symbols before it (and the stream's context).

        Returns one float64 array a stream, of the stream's length. The default goes step by step; models that can score
        all positions at once override it. ``progress`` counts the symbols of all streams.
        """
        contexts = [b""] * len(streams) if contexts is None else contexts
        total, done, lengths = sum(map(len, streams)), 0, []
        for stream, context in zip(streams, contexts, strict=True):
            lengths.append(self._score(stream, context, done, total, progress))
            done += len(stream)
        return lengths

    def block_lengths(self, blocks: Sequence[bytes]) -> list[float]:
        """Bits of each block of bytes on its own, as this predictor codes blocks.

        The sum of its bytes' code lengths, unless it codes blocks as other symbols, such as tokens.
        """
        return [math.fsum(lengths) for lengths in self.code_lengths(blocks)]

    #: Can :meth:`primed` leave the model as it is while it scores?
    can_freeze: ClassVar[bool] = False

    def primed(self, context: Symbols, learn: bool = True) -> Primed:
        """This predictor after a context, for scoring many streams that each follow it.

        What ``code_lengths(streams, [context] * len(streams))`` gives, which is what the default calls; a predictor
        that can keep what it made of the context reads it only once, and may learn it as what it is primed with.
        Without ``learn`` the model is frozen: what it scores does not change it. Raises
        :class:`~compgen.errors.UsageError` where it cannot be (:attr:`can_freeze`).
        """
        if not learn:
            raise UsageError(f"{self.name} learns from all that it reads and cannot be frozen")
        return _PrimedAgain(self, context)

    def _score(self, stream: Symbols, context: Symbols, done: int, total: int, progress: Progress | None) -> FloatArray:
        session = self.session([context])
        chosen = np.empty(len(stream))
        for position, symbol in enumerate(symbol_array(stream)):
            chosen[position] = session.probabilities()[0, symbol]
            if position + 1 < len(stream):
                session.push([int(symbol)])
            if progress is not None:
                progress(done + position + 1, total)
        return -numerics.log2(chosen)


class _PrimedAgain(Primed):
    """Reads the context again for each stream."""

    def __init__(self, predictor: Predictor, context: Symbols) -> None:
        self._predictor = predictor
        self._context = context

    def code_lengths(self, streams: Sequence[Symbols]) -> list[FloatArray]:
        return self._predictor.code_lengths(streams, [self._context] * len(streams))


class BlockCoder(ABC):
    """A predictor's own coder for whole blocks of bytes, where prediction and coding are fused into one kernel.

    The code is about as long as the predictor's code lengths say; any string of bytes decodes to something, without
    harm.
    """

    @abstractmethod
    def encode_block(self, data: bytes, done: Done | None = None) -> bytes:
        """The code of at least one byte."""

    @abstractmethod
    def decode_block(self, code: bytes, length: int, done: Done | None = None) -> bytes:
        """The inverse, given the number of bytes."""


@dataclass(frozen=True)
class Decoding:
    """How the next symbol is chosen from a distribution.

    ``temperature`` divides the log-probabilities; ``top_k`` keeps the k likeliest symbols; ``top_p`` keeps the smallest
    set of likeliest symbols whose mass reaches p (Holtzman et al. 2020); ties are kept in order of the symbol.
    ``greedy`` takes the likeliest symbol. The same ``seed`` gives the same samples on every machine and with every
    number of jobs.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"temperature must be a finite number above 0, not {self.temperature}; or use greedy")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top-k must be at least 1, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p must be above 0 and at most 1, not {self.top_p}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, not {self.seed}")


@dataclass(frozen=True)
class Rendering:
    """One result of a :class:`Sampler`, ready to be written to a file.

    ``data`` is the content of a file of type ``suffix`` (".txt", ".png", ".wav", ...); ``extras`` are files to lie
    beside it, by suffix (a spectrogram: ``{".spectrogram.png": ...}``); ``sampled`` is what the predictor produced, as
    raw bytes.
    """

    data: bytes
    suffix: str
    sampled: bytes
    extras: dict[str, bytes] = field(default_factory=dict)


class Sampler(ABC):
    """Continues one kind of data (text, image, audio): reads it, lets a predictor continue it, renders the outcome.

    Subclasses are frozen dataclasses; their fields are the modality's parameters and share their names with the options
    of ``compgen sample`` (context, length, mode, bits, width, ...), None standing for the modality's own default.
    """

    #: Name in the registry.
    name: ClassVar[str]

    @abstractmethod
    def sample(
        self,
        predictor: Predictor,
        source: bytes,
        *,
        decoding: Decoding,
        samples: int = 1,
        progress: Progress | None = None,
    ) -> list[Rendering]:
        """Continue ``source`` (the content of a file). Text and audio give a rendering a sample, an image one with
        all."""
