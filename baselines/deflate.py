"""Deflate in exact bits, incrementally: the lengths of all one-byte continuations at a cost flat in the context.

The algorithm of gzip, zlib and PNG (RFC 1951) as zlib does it. What a text takes, zlib itself says, and
``_deflate_streams`` finds the last bit of what it wrote. For the next byte, :class:`DeflateContinuations` keeps zlib's
parse of the context; what one more byte can change is only its open end, a few symbols (``_deflate_parse``) and the
block's codes (``_deflate_blocks``), so one step costs the same after 1 KB as after 1 MB. The results are those of zlib
to the bit. :func:`matches_platform` checks that once for each setting; where Python's zlib is another implementation
(zlib-ng), :class:`CopyContinuations` asks that one for every length instead.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from baselines import _deflate_blocks as blocks
from baselines import _deflate_pairs as pairs
from baselines import _deflate_parse as parse
from baselines import _deflate_streams as streams
from baselines._deflate_lengths import continuation_bits
from compgen.errors import CorruptDataError, UsageError
from compgen.interfaces import Compressor, ContinuationLengths, FloatArray

Strategy = Literal["default", "filtered", "huffman", "rle", "fixed"]

#: good_length, max_lazy, nice_length, max_chain of the levels (zlib's ``configuration_table``); 1-3 parse greedily.
_LEVELS = {
    1: (4, 4, 8, 4),
    2: (4, 5, 16, 8),
    3: (4, 6, 32, 32),
    4: (4, 4, 16, 16),
    5: (8, 16, 32, 32),
    6: (8, 16, 128, 128),
    7: (8, 32, 128, 256),
    8: (32, 128, 258, 1024),
    9: (32, 258, 258, 4096),
}
_STRATEGIES = {
    "default": zlib.Z_DEFAULT_STRATEGY,
    "filtered": zlib.Z_FILTERED,
    "huffman": zlib.Z_HUFFMAN_ONLY,
    "rle": zlib.Z_RLE,
    "fixed": zlib.Z_FIXED,
}


class DeflateSettings(NamedTuple):
    """zlib's parameters, see ``zlib.compressobj``."""

    level: int = 9
    strategy: Strategy = "default"
    window_bits: int = 15
    memory_level: int = 8

    @property
    def has_kernel(self) -> bool:
        """Does the kernel know this parse? It leaves out level 0 and the strategies that hardly search for matches."""
        return self.level in _LEVELS and self.strategy in ("default", "filtered")

    def as_array(self) -> npt.NDArray[np.int64]:
        """The settings of the kernels."""
        limit = (1 << (self.memory_level + 6)) - 1
        greedy, filtered = self.level <= 3, self.strategy == "filtered"
        return np.array(
            [*_LEVELS[self.level], 1 << self.window_bits, self.memory_level + 7, limit, greedy, filtered], np.int64
        )

    def zlib_streams(self, texts: Iterable[bytes]) -> tuple[list[bytes], int]:
        """zlib's output for each text, and how many bytes stand before the raw deflate streams in it."""
        if self[1:] == DeflateSettings()[1:]:  # then one call does, which is faster for short texts
            return [zlib.compress(text, self.level) for text in texts], 2
        made = []
        for text in texts:
            encoder = self.zlib_object()
            made.append(encoder.compress(text) + encoder.flush())
        return made, 0

    def zlib_object(self, container: int = 0) -> Any:
        """zlib's own compressor with these settings: raw deflate (container 0), zlib (1) or gzip (2)."""
        wbits = [-self.window_bits, self.window_bits, 16 + self.window_bits][container]
        return zlib.compressobj(self.level, zlib.DEFLATED, wbits, self.memory_level, _STRATEGIES[self.strategy])


class DeflateContinuations(ContinuationLengths):
    """Exact bits of the raw deflate stream of a context and each next byte, without the padding to a whole byte."""

    def __init__(self, context: bytes, settings: DeflateSettings) -> None:
        self._settings = settings.as_array()
        self._data = np.zeros(max(4096, 2 * len(context)), np.uint8)
        self._state = np.zeros(8, np.int64)
        self._state[parse.MATCH_LENGTH] = blocks.MIN_MATCH - 1
        self._head = np.zeros(1 << self._settings[parse.HASH_BITS], np.int32)
        self._previous = np.zeros(self._settings[parse.WINDOW], np.int32)
        self._literals = np.zeros(blocks.LITERALS, np.int64)
        self._distances = np.zeros(blocks.DISTANCES, np.int64)
        self._block = np.zeros(4, np.int64)
        self._work = np.zeros((4, 1024), np.int64)
        blocks.new_block(self._literals, self._distances, self._block, 0)
        self.extend(context)

    def extend(self, data: bytes) -> None:
        """Append many bytes to the context."""
        known = int(self._state[parse.KNOWN])
        if known + len(data) > self._data.size:
            larger = np.zeros(2 * (known + len(data)), np.uint8)
            larger[:known] = self._data[:known]
            self._data = larger
        self._data[known : known + len(data)] = np.frombuffer(data, np.uint8)
        self._state[parse.KNOWN] += len(data)
        state, codes = self._state, (self._literals, self._distances, self._block)
        while parse.advance(self._data, state, self._settings, self._head, self._previous, *codes):
            state[parse.BITS] = parse.flush_if_full(
                *codes, state[parse.BITS], state[parse.EMITTED], state[parse.BASE], self._settings, self._work
            )

    def push(self, byte: int) -> None:
        """See :meth:`ContinuationLengths.push`."""
        self.extend(bytes((byte,)))

    def lengths(self) -> FloatArray:
        """See :meth:`ContinuationLengths.lengths`."""
        return self._bits(0, 256)

    def length_with(self, byte: int) -> float:
        """Bits of the context followed by one byte: ``lengths()[byte]``, without the others."""
        return float(self._bits(byte, byte + 1)[byte])

    def _bits(self, first: int, stop: int) -> FloatArray:
        out = np.zeros(256, np.float64)
        continuation_bits(
            self._data,
            self._state,
            self._settings,
            self._head,
            self._previous,
            self._literals,
            self._distances,
            self._block,
            self._work,
            np.array([first, stop]),
            out,
        )
        return out

    def fork(self) -> DeflateContinuations:
        """See :meth:`ContinuationLengths.fork`."""
        other = object.__new__(DeflateContinuations)
        for name, value in self.__dict__.items():
            setattr(other, name, value.copy())
        return other


class CopyContinuations(ContinuationLengths):
    """The same as :class:`DeflateContinuations` from any zlib, by copying its state for each of the 256 bytes."""

    def __init__(self, context: bytes, settings: DeflateSettings) -> None:
        self._zlib = settings.zlib_object()
        self._context = bytearray(context)
        self._stream = bytearray(self._zlib.compress(context))

    def push(self, byte: int) -> None:
        """See :meth:`ContinuationLengths.push`."""
        self._context.append(byte)
        self._stream += self._zlib.compress(bytes((byte,)))

    def lengths(self) -> FloatArray:
        """See :meth:`ContinuationLengths.lengths`."""
        out = np.zeros(256, np.float64)
        for byte in range(256):
            branch, last = self._zlib.copy(), bytes((byte,))
            stream = bytes(self._stream) + branch.compress(last) + branch.flush()
            out[byte] = _stream_bits([stream])[0]
        return out

    def fork(self) -> CopyContinuations:
        """See :meth:`ContinuationLengths.fork`."""
        other = object.__new__(CopyContinuations)
        other._zlib, other._context, other._stream = self._zlib.copy(), self._context.copy(), self._stream.copy()
        return other


def _stream_bits(made: Sequence[bytes], first: int = 0) -> FloatArray:
    """Bits of raw deflate streams, from byte ``first`` on, without the padding of the last byte: float64 ``(n,)``."""
    starts = np.cumsum([0, *map(len, made)]) + first
    bits = np.empty(len(made))
    streams.stream_bits(np.frombuffer(b"".join(made) + bytes(streams.PADDING), np.uint8), starts, bits)
    return bits


@functools.cache
def matches_platform(settings: DeflateSettings) -> bool:
    """Does the kernel give the length that Python's zlib gives, on a known text with all kinds of matches?"""
    words = [b"%d " % (i * i * 2654435761 % 1000003) for i in range(300)]
    text = b"".join(words[i * i % (i % 299 + 1)] for i in range(3000))
    return DeflateContinuations(text[:-1], settings).length_with(text[-1]) == bits_of(text, settings)


def continuations(context: bytes, settings: DeflateSettings) -> ContinuationLengths:
    """The exact bits of the context and each next byte, by the kernel where it is known to agree with zlib."""
    if settings.has_kernel and matches_platform(settings):
        return DeflateContinuations(context, settings)
    return CopyContinuations(context, settings)


def bits_of(data: bytes, settings: DeflateSettings) -> int:
    """Exact bits of the raw deflate stream of ``data``, without padding."""
    return int(bits_of_each([data], settings)[0])


def bits_of_each(texts: Iterable[bytes], settings: DeflateSettings) -> FloatArray:
    """:func:`bits_of` each text, in one call of compiled code: float64 ``(n,)``."""
    return _stream_bits(*settings.zlib_streams(texts))


#: Texts prepared at once: so many bytes, for each of which some 30 are needed.
_TILE_BYTES = 1 << 20


def pair_bits(firsts: Sequence[bytes], seconds: Sequence[bytes], settings: DeflateSettings) -> FloatArray:
    """Exact bits of each first text followed by each second one: float64 ``(len(firsts), len(seconds))``.

    Where it can be (see :mod:`baselines._deflate_pairs`), what pairs have in common is done once.
    """
    bits = np.full((len(firsts), len(seconds)), -1.0)
    if settings == DeflateSettings() and matches_platform(settings):
        states = [_First(first) for first in firsts]
        for start, stop in _tiles(seconds):
            tile = _Seconds(seconds[start:stop])
            for row, state in zip(bits, states, strict=True):
                row[start:stop] = tile.bits_after(state)
    for row, first in zip(bits, firsts, strict=True):
        for at in np.flatnonzero(row < 0).tolist():
            row[at] = bits_of(first + seconds[at], settings)
    return bits


def _tiles(texts: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Ranges of texts of about _TILE_BYTES."""
    start = size = 0
    for at, text in enumerate(texts):
        if size >= _TILE_BYTES:
            yield start, at
            start, size = at, 0
        size += len(text)
    if start < len(texts):
        yield start, len(texts)


class _First:
    """The first text of many pairs: zlib's parse of it as far as no second text can change it, and its hash chains."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        parsed = DeflateContinuations(text, DeflateSettings())
        state = parsed._state
        where = [state[i] for i in (parse.POSITION, parse.MATCH_LENGTH, parse.MATCH_START, parse.LITERAL_WAITS)]
        self.start = np.array([*where, parsed._block[blocks.SYMBOLS]], np.int64)
        self.counts = np.concatenate([parsed._literals, parsed._distances])
        self.is_one_block = bool(text) and len(text) <= pairs.LONGEST_PAIR and state[parse.BITS] == 0
        if self.is_one_block:
            self.data = np.frombuffer(text + bytes(pairs.PADDING), np.uint8)
            self.chains, self.heads = np.zeros((2, len(text)), np.int32), np.zeros(256, np.int32)
            self.fullest = int(pairs.chain(self.data, len(text), self.chains, self.heads))


class _Seconds:
    """The second texts of many pairs: the matches inside each, and numbers for their strings."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._sizes = np.array([len(text) for text in texts], np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(self._sizes)])
        self._texts = np.frombuffer(b"".join(texts) + bytes(pairs.PADDING), np.uint8)
        size = int(self._offsets[-1])
        matches, self._fullest = np.zeros(size, np.uint32), np.zeros(len(texts), np.int64)
        # Longer texts are in no pair that is done here, and their distances need not fit.
        short = self._sizes <= pairs.LONGEST_PAIR
        pairs.inside(self._texts, self._offsets, short, matches, self._fullest)
        echoes, stops = np.zeros(size, np.uint32), np.zeros(len(texts) + 1, np.int64)
        pairs.echoes(self._texts, self._offsets, short, echoes, stops)
        self._known = matches, self._numbers(short), echoes, stops

    def _numbers(self, short: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """The number of the string that begins at each position, and the tables by which first texts find them."""
        numbers, count, slots = np.zeros(int(self._offsets[-1]), np.int32), -1, 1 << 12
        while count < 0:
            slots *= 2
            keys, values, strings = np.zeros(slots, np.int64), np.zeros(slots, np.int32), np.zeros(slots // 2, np.int64)
            count = int(pairs.number_strings(self._texts, self._offsets, short, keys, values, numbers, strings))
        order = np.argsort(strings[:count])
        ranks = np.zeros(count + 1, np.int32)
        ranks[order + 1] = np.arange(1, count + 1)
        strings = strings[order]
        starts = int(pairs.prefixes(strings, np.zeros(0, np.int64), np.zeros((0, 2), np.int32)))
        slots = 2 << starts.bit_length()
        self._tables = np.zeros(slots, np.int64), np.zeros((slots, 2), np.int32)
        pairs.prefixes(strings, *self._tables)
        self._offers = np.zeros(count + 1, np.uint32)
        return ranks[numbers]

    def bits_after(self, first: _First) -> FloatArray:
        """Bits of a text followed by each of these; -1 where that is to be had in another way only."""
        bits = np.full(len(self._sizes), -1.0)
        if not first.is_one_block:
            return bits
        size = len(first.text)
        fit = (self._sizes + size <= pairs.LONGEST_PAIR) & (self._fullest + first.fullest <= pairs.MOST_CANDIDATES)
        wanted = np.flatnonzero(fit)
        if not len(wanted):
            return bits
        data = np.zeros(size + int(self._sizes[wanted].max()) + pairs.PADDING, np.uint8)
        data[:size] = first.data[:size]
        out = np.empty(len(wanted))
        pairs.index(data, size, self._tables, self._offers)
        pairs.pair_bits(
            data, size, first.start, first.counts, first.chains, first.heads, self._offers,
            self._texts, self._offsets, self._known, wanted, out,
        )  # fmt: skip
        bits[wanted] = out
        return bits


@dataclass(frozen=True)
class DeflateCodec(Compressor):
    """What gzip and zlib share: deflate in a container. See :class:`baselines.gzip.Gzip` for the parameters."""

    level: int = 9
    strategy: Strategy = "default"
    window_bits: int = 15
    memory_level: int = 8
    whole_bytes: bool = False

    brute_force = False
    #: Container of :meth:`DeflateSettings.zlib_object`.
    container: ClassVar[int]

    def __post_init__(self) -> None:
        for name, low, high in (("level", 0, 9), ("window_bits", 9, 15), ("memory_level", 1, 9)):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{self.name}: {name} must be from {low} to {high}, not {getattr(self, name)}")
        if self.strategy not in _STRATEGIES:
            raise UsageError(f"{self.name}: strategy must be one of {', '.join(_STRATEGIES)}, not {self.strategy!r}")

    @property
    def settings(self) -> DeflateSettings:
        """The parameters that decide the deflate stream."""
        return DeflateSettings(self.level, self.strategy, self.window_bits, self.memory_level)

    @property
    def window_bytes(self) -> int:
        """See :attr:`Compressor.window_bytes`: the window, less what zlib keeps to look ahead."""
        return (1 << self.window_bits) - 262

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`."""
        encoder = self.settings.zlib_object(self.container)
        compressed: bytes = encoder.compress(data) + encoder.flush()
        return compressed

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`."""
        decoder = zlib.decompressobj([-15, 15, 31][self.container])
        try:
            decompressed = decoder.decompress(data)
        except zlib.error as error:
            raise CorruptDataError(f"{self.name}: the data is damaged or not {self.name} ({error})") from None
        if not decoder.eof:
            raise CorruptDataError(f"{self.name}: the data ends too early; it is truncated")
        if decoder.unused_data:
            raise CorruptDataError(f"{self.name}: {len(decoder.unused_data)} bytes follow the end of the data")
        return decompressed

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`."""
        bits = bits_of(data, self.settings)
        return float((bits + 7) // 8 * 8 if self.whole_bytes else bits)

    def code_lengths(self, blocks: Sequence[bytes]) -> list[float]:
        """See :meth:`Compressor.code_lengths`; all in one call of compiled code."""
        bits = bits_of_each(blocks, self.settings)
        return list(map(float, np.ceil(bits / 8) * 8 if self.whole_bytes else bits))

    def pair_lengths(self, firsts: Sequence[bytes], seconds: Sequence[bytes]) -> FloatArray:
        """See :meth:`Compressor.pair_lengths`; at level 9 some times faster than zlib."""
        bits = pair_bits(firsts, seconds, self.settings)
        return np.ceil(bits / 8) * 8 if self.whole_bytes else bits

    def continuations(self, context: bytes) -> ContinuationLengths:
        """See :meth:`Compressor.continuations`; a step costs the same whatever the length of the context."""
        exact = continuations(context, self.settings)
        return _WholeBytes(exact) if self.whole_bytes else exact


class _WholeBytes(ContinuationLengths):
    """Lengths rounded up to bytes, as file sizes are."""

    def __init__(self, exact: ContinuationLengths) -> None:
        self._exact = exact

    def lengths(self) -> FloatArray:
        return np.ceil(self._exact.lengths() / 8) * 8

    def push(self, byte: int) -> None:
        self._exact.push(byte)

    def fork(self) -> _WholeBytes:
        return _WholeBytes(self._exact.fork())
