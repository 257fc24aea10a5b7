"""Arithmetic coding of one stream: the code of a message is a point inside an interval as wide as its probability.

    [0, 1) --- first symbol ---> its part of [0, 1) --- second symbol ---> its part of that part ...

A symbol's part is in proportion to its frequency, so a message of ideal code length L bits leaves an interval of width
2**-L (Witten, Neal, Cleary 1987), and a point inside it needs about L bits. The coder is a range coder (Martin 1979),
with one division a symbol as in Moffat, Neal, Witten (1998), and adds carries to the bytes already written.

How near it comes to the ideal. Dividing the width (over 2**54) by the total (up to 2**32) and dropping the remainder
costs a symbol at most log2(1 / (1 - total * 2**-54)) bits: 4e-7 at totals of 2**32, 2e-9 at 2**24 (Howard and Vitter
1991 bound the same loss for shorter registers). The end of a stream costs, over the ideal length of its frequencies,

- less than 1 bit, on average -0.94 (1/2 - log2(e)), as ``finish()`` does it. The code is read as if zeros followed for
  ever, so it is the shortest string that lies inside the interval when zeros follow;
- less than 2 bits, on average 1.06 (5/2 - log2(e)), as ``finish(prefix_free=True)`` does it: the shortest string that
  lies inside whatever follows, for codes that are joined without their lengths.

The gain over the ideal is no magic: where the string ends is a fact that the decoder has from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from compgen.coding import _kernel as kernel
from compgen.coding._arguments import (
    Rows,
    checked_precision,
    cumulative_of,
    explain,
    index_of,
    prepare,
    prepared,
    rows_of,
    symbols_of,
)
from compgen.errors import UsageError
from compgen.interfaces import IntArray, Symbols

Code = bytes | bytearray | memoryview
_START_CAPACITY = 64


class EncoderStates:
    """The registers and the bytes written of some encoders; what :class:`Encoder` and ``BatchEncoder`` share."""

    def __init__(self, streams: int, precision_bits: int | None) -> None:
        self.precision_bits = 0 if precision_bits is None else checked_precision(precision_bits)
        self.states = np.zeros((streams, 5), np.int64)
        self.states[:, kernel.WIDTH] = kernel.FULL
        self.states[:, kernel.PRECISION] = self.precision_bits
        self.buffers = np.empty((streams, _START_CAPACITY), np.uint8)

    def has_room(self, stream: int) -> bool:
        """Room for one more symbol?"""
        return bool(self.states[stream, kernel.USED] + kernel.ROOM <= self.buffers.shape[1])

    def grow(self, more_symbols: int = 1) -> None:
        """Twice the room, or a byte for each of the symbols still to be coded on a stream."""
        streams, capacity = self.buffers.shape
        larger = np.empty((streams, capacity + max(capacity, more_symbols)), np.uint8)
        larger[:, :capacity] = self.buffers
        self.buffers = larger

    def rows(self, streams: IntArray, symbols: IntArray, rows: Rows) -> None:
        """Code ``symbols`` (n,) with ``rows`` (n, alphabet) on ``streams`` (n,); all or, on an error, none."""
        parts = np.empty((len(symbols), 3), np.int64)
        if self.precision_bits:
            good = kernel.intervals_pmf(symbols, rows, self.precision_bits, parts)
        else:
            good = kernel.intervals(symbols, rows, parts)
        if good < len(symbols):
            raise explain(rows[good], self.precision_bits, int(symbols[good]))
        self.places(streams, parts)

    def places(self, streams: IntArray, parts: IntArray) -> None:
        """Code checked ``parts``, int64 (n, 3), of start, frequency and total."""
        done = kernel.encode_intervals(self.states, self.buffers, streams, parts)
        while done < len(parts):
            self.grow((len(parts) - done) // len(self.states))
            done += kernel.encode_intervals(self.states, self.buffers, streams[done:], parts[done:])

    def shared(self, table: IntArray, row: Rows) -> None:
        """Code ``table`` (streams, n), all with the same row; all or, on an error, none."""
        cumulative = cumulative_of(row, self.precision_bits)
        symbols = table.reshape(-1)
        if symbols.view(np.uint64).max(initial=0) >= len(row):  # where negative ones are large
            raise explain(row, self.precision_bits, int(symbols[(symbols < 0) | (symbols >= len(row))][0]))
        if self.precision_bits == 0 and row.min() == 0 and not row[symbols].all():
            raise explain(row, 0, int(symbols[row[symbols] == 0][0]))
        for stream, symbols in enumerate(table):
            done = kernel.encode_shared(self.states, self.buffers, stream, symbols, cumulative)
            while done < len(symbols):
                self.grow(len(symbols) - done)
                done += kernel.encode_shared(self.states, self.buffers, stream, symbols[done:], cumulative)

    def bits(self, stream: int, prefix_free: bool) -> int:
        """See :attr:`Encoder.bits`."""
        return int(kernel.code_bits(self.states, self.buffers, stream, prefix_free))

    def code(self, stream: int, prefix_free: bool) -> bytes:
        """See :meth:`Encoder.finish`."""
        used = int(self.states[stream, kernel.USED])
        carry = kernel.terminate(self.states, self.buffers, stream, prefix_free)
        length = (self.bits(stream, prefix_free) + 7) // 8
        if carry:  # never into the buffer, where more symbols may follow
            head = int.from_bytes(self.buffers[stream, :used].tobytes(), "big") + 1
            return (head.to_bytes(used, "big") + self.buffers[stream, used : used + 2].tobytes())[:length]
        return self.buffers[stream, :length].tobytes()

    def fork(self) -> EncoderStates:
        """A copy, of no more than the bytes written."""
        copy = object.__new__(EncoderStates)
        copy.precision_bits = self.precision_bits
        copy.states = self.states.copy()
        used = int(self.states[:, kernel.USED].max(initial=0))
        copy.buffers = self.buffers[:, : max(used + kernel.ROOM, _START_CAPACITY)].copy()
        return copy


class Encoder:
    """Codes one stream of symbols, one at a time or many in a call.

    Every symbol comes with the frequencies of its alphabet, 2 to 262,144 symbols, and each may have another alphabet:

    - ``Encoder()`` takes **integer frequencies**: int64 ``(alphabet,)``, not negative, sum 1 to 2**32; symbols of
      frequency 0 cannot be coded.
    - ``Encoder(precision_bits=24)`` takes **probabilities**: float64 or float32 ``(alphabet,)``, made integers by
      :func:`~compgen.coding.quantise` on the way (1 to 32 bits).

    >>> import numpy as np
    >>> pmf = np.array([0.7, 0.2, 0.1])
    >>> encoder = Encoder(precision_bits=24)
    >>> for symbol in [0, 0, 1, 0, 2]:
    ...     encoder.encode(symbol, pmf)
    >>> code = encoder.finish()
    >>> decoder = Decoder(code, precision_bits=24)
    >>> [decoder.decode(pmf) for _ in range(5)], encoder.bits, len(code)
    ([0, 0, 1, 0, 2], 5, 1)

    C-contiguous, writable arrays of exactly these dtypes are fastest; others are converted. Wrong symbols and
    frequencies raise :class:`~compgen.errors.UsageError` and change nothing.
    """

    def __init__(self, precision_bits: int | None = None) -> None:
        self._use(EncoderStates(1, precision_bits))

    def _use(self, shared: EncoderStates) -> None:
        self._shared = shared
        self._states = shared.states
        self._buffers = shared.buffers
        self._kernel: Any = kernel.encode_one_pmf if shared.precision_bits else kernel.encode_one
        self._encode = prepared(self._kernel)

    def encode(self, symbol: int, frequencies: npt.ArrayLike) -> None:
        """Code one symbol with frequencies, or probabilities, ``(alphabet,)``."""
        try:
            if self._encode(self._states, self._buffers, index(symbol), frequencies):
                return
        except (TypeError, OverflowError):
            pass  # of other types than the kernel is compiled for
        self._encode_with_care(index_of(symbol), rows_of(frequencies, self._shared.precision_bits))

    def _encode_with_care(self, symbol: int, row: Rows) -> None:
        """The same without hurry: compile, make room, or say what is wrong."""
        if row.ndim != 1:
            raise UsageError(f"one symbol needs frequencies of shape (alphabet,), not {row.shape}")
        if not 0 <= symbol < len(row):
            raise explain(row, self._shared.precision_bits, symbol)
        prepare(self._kernel, self._states, self._buffers, symbol, row)
        self._encode = self._kernel
        self._make_room()
        if not self._encode(self._states, self._buffers, symbol, row):
            raise explain(row, self._shared.precision_bits, symbol)

    def _make_room(self) -> None:
        if not self._shared.has_room(0):
            self._shared.grow()
            self._buffers = self._shared.buffers

    def encode_many(self, symbols: Symbols, frequencies: npt.ArrayLike) -> None:
        """Code symbols ``(n,)`` with frequencies ``(n, alphabet)``, or ``(alphabet,)`` for all of them."""
        symbols = symbols_of(symbols)
        rows = rows_of(frequencies, self._shared.precision_bits)
        if symbols.ndim != 1 or rows.ndim not in (1, 2) or (rows.ndim == 2 and len(rows) != len(symbols)):
            raise UsageError(f"symbols {symbols.shape} need frequencies (n, alphabet) or (alphabet,), not {rows.shape}")
        if rows.ndim == 1:
            self._shared.shared(symbols[None], rows)
        else:
            self._shared.rows(np.zeros(len(symbols), np.int64), symbols, rows)
        self._buffers = self._shared.buffers

    def encode_interval(self, start: int, frequency: int, total: int) -> None:
        """Code a symbol by its place: ``start`` is the sum of the frequencies before it, ``total`` that of all."""
        start, frequency, total = index_of(start), index_of(frequency), index_of(total)
        if not 0 <= start < start + frequency <= total <= kernel.LARGEST_TOTAL:
            raise _no_part(start, frequency, total)
        self._make_room()
        kernel.encode_interval(self._states, self._buffers, start, frequency, total)

    def encode_intervals(self, places: npt.ArrayLike) -> None:
        """Code symbols by their places, int64 ``(n, 3)``: in each row what :meth:`encode_interval` takes."""
        parts = symbols_of(np.asarray(places))
        if parts.ndim != 2 or parts.shape[1] != 3:
            raise UsageError(f"places must have the shape (n, 3), not {parts.shape}")
        start, frequency, total = parts.T
        wrong = (start < 0) | (frequency <= 0) | (frequency > total - start) | (total > kernel.LARGEST_TOTAL)
        if wrong.any():  # the kernel would write outside its buffer
            raise _no_part(*parts[wrong.argmax()].tolist())
        self._shared.places(np.zeros(len(parts), np.int64), parts)
        self._buffers = self._shared.buffers

    @property
    def bits(self) -> int:
        """Length of the shortest bit string that, **followed by zeros**, lies inside the current interval."""
        return self._shared.bits(0, False)

    @property
    def prefix_free_bits(self) -> int:
        """Length of the shortest bit string that lies inside the current interval **whatever follows**."""
        return self._shared.bits(0, True)

    def finish(self, *, prefix_free: bool = False) -> bytes:
        """The code: the string of :attr:`bits` (or :attr:`prefix_free_bits`), filled up to a byte with zeros.

        Changes nothing: more symbols may follow, and make a longer code.
        """
        return self._shared.code(0, prefix_free)

    def fork(self) -> Encoder:
        """An independent copy."""
        copy = object.__new__(Encoder)
        copy._use(self._shared.fork())
        return copy


class DecoderStates:
    """The registers and the codes of some decoders; what :class:`Decoder` and ``BatchDecoder`` share."""

    def __init__(self, codes: Sequence[Code], precision_bits: int | None) -> None:
        self.precision_bits = 0 if precision_bits is None else checked_precision(precision_bits)
        # The registers hold 62 bits, so all bytes move down by 2 bits, into a byte more; one of zeros ends a stream.
        joined = np.frombuffer(b"".join(bytes(code) + b"\0\0" for code in codes), np.uint8)
        self.data = joined >> 2
        self.data[1:] |= joined[:-1] << 6
        ends = np.cumsum([len(code) + 2 for code in codes], dtype=np.int64)
        self.states = np.zeros((len(codes), 5), np.int64)
        for state, code, end in zip(self.states, codes, ends.tolist(), strict=True):
            start = end - len(code) - 2
            first = self.data[start : min(start + 8, end)].tobytes()
            state[kernel.OFFSET] = int.from_bytes(first.ljust(8, b"\0"), "big")
            state[kernel.POSITION] = min(start + 8, end - 1)
            state[kernel.END] = end - 1
        self.states[:, kernel.WIDTH] = kernel.FULL
        self.states[:, kernel.PRECISION] = self.precision_bits

    def rows(self, streams: IntArray, rows: Rows) -> IntArray:
        """Symbols (n,) decoded with ``rows`` (n, alphabet) from ``streams`` (n,)."""
        decode = kernel.decode_rows_pmf if self.precision_bits else kernel.decode_rows
        symbols = np.empty(len(rows), np.int64)
        done = decode(self.states, self.data, streams, rows, symbols)
        if done < len(rows):
            raise explain(rows[done], self.precision_bits)
        return symbols

    def shared(self, row: Rows, count: int) -> IntArray:
        """Symbols (streams, count) decoded with the same row."""
        cumulative = cumulative_of(row, self.precision_bits)
        table = np.empty((len(self.states), count), np.int64)
        for stream, symbols in enumerate(table):
            kernel.decode_shared(self.states, self.data, stream, cumulative, symbols)
        return table

    def fork(self) -> DecoderStates:
        """A copy; the codes, never written to, are shared."""
        copy = object.__new__(DecoderStates)
        copy.precision_bits = self.precision_bits
        copy.states = self.states.copy()
        copy.data = self.data
        return copy


class Decoder:
    """Decodes what an :class:`Encoder` with the same ``precision_bits`` has coded, given the same frequencies.

    After the code's end come zeros, for ever. Every string of bytes decodes to something, so damage and truncation are
    not noticed here: whoever stores codes stores the number of symbols, of bytes, and a checksum beside them.
    """

    def __init__(self, code: Code, precision_bits: int | None = None) -> None:
        self._use(DecoderStates([code], precision_bits))

    def _use(self, shared: DecoderStates) -> None:
        self._shared = shared
        self._states = shared.states
        self._data = shared.data
        self._kernel: Any = kernel.decode_one_pmf if shared.precision_bits else kernel.decode_one
        self._decode = prepared(self._kernel)

    def decode(self, frequencies: npt.ArrayLike) -> int:
        """The next symbol, given its frequencies, or probabilities, ``(alphabet,)``."""
        try:
            symbol: int = self._decode(self._states, self._data, frequencies)
            if symbol >= 0:
                return symbol
        except TypeError:
            pass  # of other types than the kernel is compiled for
        return self._decode_with_care(rows_of(frequencies, self._shared.precision_bits))

    def _decode_with_care(self, row: Rows) -> int:
        """The same without hurry: compile, or say what is wrong."""
        if row.ndim != 1:
            raise UsageError(f"one symbol needs frequencies of shape (alphabet,), not {row.shape}")
        prepare(self._kernel, self._states, self._data, row)
        self._decode = self._kernel
        symbol: int = self._decode(self._states, self._data, row)
        if symbol < 0:
            raise explain(row, self._shared.precision_bits)
        return symbol

    def decode_many(self, frequencies: npt.ArrayLike, count: int | None = None) -> IntArray:
        """The next symbols, int64 ``(n,)``, given frequencies ``(n, alphabet)``.

        Or given frequencies ``(alphabet,)`` for ``count`` symbols.
        """
        rows = rows_of(frequencies, self._shared.precision_bits)
        if rows.ndim == 2 and count in (None, len(rows)):
            return self._shared.rows(np.zeros(len(rows), np.int64), rows)
        if rows.ndim != 1 or count is None or count < 0:
            raise UsageError(
                f"needs frequencies (n, alphabet), or (alphabet,) and a count: not {rows.shape} and {count}"
            )
        symbols: IntArray = self._shared.shared(rows, count)[0]
        return symbols

    def target(self, total: int) -> int:
        """Where the code points among ``total``: it is in the symbol with start <= target < start + frequency."""
        if not 0 < index_of(total) <= kernel.LARGEST_TOTAL:
            raise UsageError(f"frequencies must sum to 1 to 2**32, not {total}")
        unit = int(self._states[0, kernel.WIDTH]) // total
        return min(int(self._states[0, kernel.OFFSET]) // unit, total - 1)

    def consume(self, start: int, frequency: int, total: int) -> None:
        """Move past the symbol in which :meth:`target` lies, see :meth:`Encoder.encode_interval`."""
        start, frequency, total = index_of(start), index_of(frequency), index_of(total)
        if not 0 <= start < start + frequency <= total <= kernel.LARGEST_TOTAL:
            raise _no_part(start, frequency, total)
        if not kernel.decode_interval(self._states, self._data, start, frequency, total):
            raise UsageError(
                f"the code is at {self.target(total)} of {total}, not in {start} to {start + frequency - 1}"
            )

    def fork(self) -> Decoder:
        """An independent copy."""
        copy = object.__new__(Decoder)
        copy._use(self._shared.fork())
        return copy


def _no_part(start: int, frequency: int, total: int) -> UsageError:
    return UsageError(f"no part of a total of 1 to 2**32: {frequency} of {total} from {start} on")
