"""PNG, 8-bit grayscale: each scanline filtered, then deflate. Our own writer, so that lengths are the same everywhere.

Image libraries bring their own deflate (Pillow's is zlib-ng on most platforms); here it is the zlib that Python was
built with.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from baselines import deflate
from baselines._check import corrupt, require_choice, require_range
from baselines._layout import DEFAULT_WIDTH, require_whole_rows
from baselines._png_filters import FILTERS, filter_cost, filter_rows, predict_at, unfilter_rows
from compgen.interfaces import Compressor, ContinuationLengths, FloatArray

Filters = Literal["adaptive", "none", "sub", "up", "average", "paeth"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_CONTAINER = 1
#: A private, ancillary chunk that editors must not copy to another image: the length of the data in bytes, 8 bytes.
_LENGTH_CHUNK = b"cgLN"
_MAX_SIDE = (1 << 31) - 1


@dataclass(frozen=True)
class Png(Compressor):
    """PNG of gray pixels, one byte a pixel in rows of ``width``; :meth:`compress` writes a .png file.

    ``code_length`` counts the bits of the deflate stream of the filtered scanlines, exactly, the last row cut where
    the data ends. Left out are 63 bytes: signature (8), IHDR (25), length, type and CRC of IDAT (12), header and
    checksum of the zlib stream (2 + 4), IEND (12), and up to 7 bits of padding; see the PNG Specification (Third
    Edition, W3C 2025), sections 5, 9 and 10. In a file a row cannot be cut, so the last one is filled with pixels
    that the filter predicts exactly, and the length of the data is kept in a private chunk (20 bytes), also left out.

    With ``filters="adaptive"`` each scanline takes the filter with the least sum of absolute differences, the first
    such in the order none, sub, up, average, Paeth: libpng's default heuristic and the recommendation of section
    12.7. The strategy of
    deflate is libpng's: ``Z_FILTERED`` with filters, the default one without.

    :param width: pixels a row. A given width is a promise that the data is whole rows, which :meth:`compress` checks;
        None means 64 and any length.
    :param level: of deflate, 0..9.
    :param filters: "adaptive", or one filter for all scanlines.
    :param window_bits: binary logarithm of deflate's window in bytes, 9..15.

    >>> Png(width=3).decompress(Png(width=3).compress(b"abcdef"))
    b'abcdef'
    """

    name: ClassVar[str] = "png"
    brute_force: ClassVar[bool] = False
    #: Bytes of the file that code lengths leave out, padding and unfinished rows not counted.
    overhead_bytes: ClassVar[int] = 63

    width: int | None = None
    level: int = 9
    filters: Filters = "adaptive"
    window_bits: int = 15

    def __post_init__(self) -> None:
        if self.width is not None:
            require_range(self.name, "width", self.width, 1, _MAX_SIDE)
        require_range(self.name, "level", self.level, 0, 9)
        require_choice(self.name, "filters", self.filters, get_args(Filters))
        require_range(self.name, "window_bits", self.window_bits, 9, 15)

    @property
    def library(self) -> str:
        """See :attr:`Compressor.library`."""
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"

    def compress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.compress`. Data that is not whole rows of a given width raises ``BadInputError``."""
        require_whole_rows(len(data), self.width)
        width = self.row_bytes
        missing = -len(data) % width if data else width
        height = (len(data) + missing) // width
        # Zeros after filtering are the pixels that the filter predicts; an empty file has one row of them.
        scanlines = (self._scanlines(data) or bytes(1)) + bytes(missing)
        encoder = self.settings.zlib_object(_ZLIB_CONTAINER)
        return b"".join(
            (
                _SIGNATURE,
                _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
                _chunk(_LENGTH_CHUNK, struct.pack(">Q", len(data))) if missing else b"",
                _chunk(b"IDAT", encoder.compress(scanlines) + encoder.flush()),
                _chunk(b"IEND", b""),
            )
        )

    def decompress(self, data: bytes) -> bytes:
        """See :meth:`Compressor.decompress`. Reads 8-bit grayscale files without interlacing, of any width."""
        chunks = list(_chunks(data))
        kinds = [kind for kind, _ in chunks]
        if not kinds or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
            raise corrupt("png", "IHDR, IDAT or IEND is missing or out of place")
        width, height = _read_header(chunks[0][1])
        pixels = _inflate(b"".join(body for kind, body in chunks if kind == b"IDAT"), height * (width + 1))
        decoded = unfilter_rows(np.frombuffer(pixels, np.uint8).reshape(height, width + 1))
        if decoded is None:
            raise corrupt("png", "a scanline has an unknown filter")
        raw = decoded.tobytes()
        for kind, body in chunks:
            if kind == _LENGTH_CHUNK:
                length = struct.unpack(">Q", body)[0] if len(body) == 8 else len(raw) + 1
                if not len(raw) - width <= length <= len(raw):
                    raise corrupt("png", "the length of the data does not fit the image")
                raw = raw[:length]
        return raw

    def code_length(self, data: bytes) -> float:
        """See :meth:`Compressor.code_length`. The data need not be whole rows, whatever the width."""
        return float(deflate.bits_of(self._scanlines(data), self.settings)) if data else 0.0

    def continuations(self, context: bytes) -> ContinuationLengths:
        """See :meth:`Compressor.continuations`: a state of deflate for each filter that may win the last row."""
        return PngContinuations(self, context)

    @property
    def row_bytes(self) -> int:
        """Pixels a row."""
        return DEFAULT_WIDTH if self.width is None else self.width

    @property
    def settings(self) -> deflate.DeflateSettings:
        """The parameters of deflate."""
        strategy: deflate.Strategy = "default" if self.filters == "none" else "filtered"
        return deflate.DeflateSettings(self.level, strategy, self.window_bits)

    @property
    def kinds(self) -> tuple[int, ...]:
        """Filter types that a scanline may take, in the order in which ties are settled."""
        return tuple(range(len(FILTERS))) if self.filters == "adaptive" else (FILTERS.index(self.filters),)

    def _scanlines(self, data: bytes) -> bytes:
        """Filter bytes and filtered pixels, the last row cut where the data ends."""
        return filter_rows(np.frombuffer(data, np.uint8), self.row_bytes, np.array(self.kinds)).tobytes()


class PngContinuations(ContinuationLengths):
    """Code lengths of all one-byte continuations of an image, exactly as :meth:`Png.code_length` gives them.

    Which filter wins the unfinished row is open until its last pixel, so there is a state of deflate for each: the
    finished rows, then the row under that filter. A next pixel becomes one filtered byte, given its neighbours; the
    heuristic names the winner for each pixel, and the winner's state knows the length for each filtered byte. States
    are brought up to date when they are asked, since most never win.
    """

    def __init__(self, codec: Png, context: bytes) -> None:
        self._codec = codec
        width = codec.row_bytes
        finished = len(context) - len(context) % width
        self._finished = deflate.continuations(codec._scanlines(context[:finished]), codec.settings)
        self._above = np.zeros(width, np.uint8)
        if finished:
            self._above[:] = np.frombuffer(context[finished - width : finished], np.uint8)
        self._start_row()
        for byte in context[finished:]:
            self.push(byte)

    def _start_row(self) -> None:
        self._row = np.zeros(self._codec.row_bytes, np.uint8)
        self._filled = 0
        self._states: dict[int, ContinuationLengths] = {}
        #: Bytes that the state of a filter has not seen yet: the filter byte, then the filtered pixels.
        self._unseen = {kind: bytearray((kind,)) for kind in self._codec.kinds}
        self._costs = dict.fromkeys(self._codec.kinds, 0)

    def lengths(self) -> FloatArray:
        """See :meth:`ContinuationLengths.lengths`."""
        filtered = {kind: self._filtered_next(kind) for kind in self._codec.kinds}
        kinds = np.array(self._codec.kinds)
        costs = np.stack([self._costs[kind] + filter_cost(values) for kind, values in filtered.items()])
        winners = kinds[costs.argmin(axis=0)]
        bits = np.empty(256)
        for kind in np.unique(winners):
            wins = winners == kind
            bits[wins] = self._state(int(kind)).lengths()[filtered[int(kind)][wins]]
        return bits

    def push(self, byte: int) -> None:
        """See :meth:`ContinuationLengths.push`."""
        for kind in self._codec.kinds:
            value = self._filtered_next(kind)[byte : byte + 1]
            self._costs[kind] += int(filter_cost(value)[0])
            self._unseen[kind].append(int(value[0]))
        self._row[self._filled] = byte
        self._filled += 1
        if self._filled == len(self._row):
            winner = min(self._codec.kinds, key=lambda kind: self._costs[kind])
            self._finished = self._state(winner)
            self._above = self._row
            self._start_row()

    def fork(self) -> PngContinuations:
        """See :meth:`ContinuationLengths.fork`."""
        copy = object.__new__(PngContinuations)
        copy._codec, copy._above, copy._filled = self._codec, self._above, self._filled
        copy._finished = self._finished.fork()
        copy._row = self._row.copy()
        copy._states = {kind: state.fork() for kind, state in self._states.items()}
        copy._unseen = {kind: bytearray(unseen) for kind, unseen in self._unseen.items()}
        copy._costs = dict(self._costs)
        return copy

    def _filtered_next(self, kind: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """What each value 0..255 of the next pixel becomes under a filter: uint8 ``(256,)``."""
        predicted = predict_at(kind, self._row, self._above, self._filled)
        return (np.arange(256) - predicted).astype(np.uint8)

    def _state(self, kind: int) -> ContinuationLengths:
        """The state of deflate for the row under a filter, up to date."""
        if kind not in self._states:
            self._states[kind] = self._finished.fork()
        state, unseen = self._states[kind], self._unseen[kind]
        for byte in unseen:
            state.push(byte)
        unseen.clear()
        return state


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of each chunk; checks lengths, CRCs, and that nothing follows IEND."""
    if data[:8] != _SIGNATURE:
        raise corrupt("png", "it does not start as one")
    position = 8
    while position < len(data):
        head = data[position : position + 8]
        end = position + 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or end > len(data):
            raise corrupt("png", "it ends too early")
        kind, body = head[4:], data[position + 8 : end - 4]
        if zlib.crc32(kind + body).to_bytes(4, "big") != data[end - 4 : end]:
            raise corrupt("png", f"the CRC of chunk {kind.decode('latin-1')!r} does not match")
        yield kind, body
        position = end
        if kind == b"IEND" and position < len(data):
            raise corrupt("png", f"{len(data) - position} bytes follow its end")


def _read_header(body: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    if len(body) != 13:
        raise corrupt("png", "IHDR is not 13 bytes long")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise corrupt("png", "the image has no pixels")
    if (depth, colour, compression, filtering, interlace) != (8, 0, 0, 0, 0):
        raise corrupt("png", "only 8-bit grayscale without interlacing is read here")
    return width, height


def _inflate(stream: bytes, length: int) -> bytes:
    """The zlib stream, which must give ``length`` bytes; takes no more memory than that, whatever the file says."""
    inflater = zlib.decompressobj()
    try:
        pixels = inflater.decompress(stream, min(length + 1, (1 << 63) - 1))
    except zlib.error as error:
        raise corrupt("png", error) from None
    if len(pixels) != length or not inflater.eof or inflater.unused_data:
        raise corrupt("png", "the pixels do not fill the image")
    return pixels
