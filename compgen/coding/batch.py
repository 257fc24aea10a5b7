"""Arithmetic coding of many independent streams in step: one call for a symbol of each, or for whole arrays.

Each stream's code is the one that :class:`~compgen.coding.Encoder` makes alone, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compgen.coding._arguments import Rows, rows_of, symbols_of
from compgen.coding.arithmetic import Code, DecoderStates, EncoderStates
from compgen.errors import UsageError
from compgen.interfaces import IntArray, Symbols


class BatchEncoder:
    """Encoders of ``streams`` streams. ``precision_bits``: see :class:`~compgen.coding.Encoder`.

    >>> import numpy as np
    >>> encoder = BatchEncoder(streams=2)
    >>> encoder.encode([0, 2], np.array([[3, 1, 1], [1, 1, 1]]))
    >>> codes = encoder.finish()
    >>> BatchDecoder(codes).decode(np.array([[3, 1, 1], [1, 1, 1]]))
    array([0, 2])
    """

    def __init__(self, streams: int, precision_bits: int | None = None) -> None:
        if streams < 0:
            raise UsageError(f"the number of streams must not be negative, not {streams}")
        self._shared = EncoderStates(streams, precision_bits)

    def encode(self, symbols: Symbols, frequencies: npt.ArrayLike, streams: npt.ArrayLike | None = None) -> None:
        """Code a symbol on each stream: symbols ``(streams,)``, frequencies ``(streams, alphabet)``.

        ``streams``, ints ``(n,)``, names those concerned, if not all are; symbols are ``(n,)``, frequencies
        ``(n, alphabet)`` then.
        """
        symbols = symbols_of(symbols)
        rows = rows_of(frequencies, self._shared.precision_bits)
        numbers = _stream_numbers(streams, len(self._shared.states))
        if symbols.shape != numbers.shape or rows.ndim != 2 or len(rows) != len(numbers):
            raise UsageError(
                f"{len(numbers)} streams need as many symbols and rows (streams, alphabet), "
                f"not {symbols.shape} and {rows.shape}"
            )
        self._shared.rows(numbers, symbols, rows)

    def encode_many(self, symbols: npt.ArrayLike, frequencies: npt.ArrayLike) -> None:
        """Code symbols ``(streams, n)`` with frequencies ``(streams, n, alphabet)``, or ``(alphabet,)`` for all."""
        table = symbols_of(np.asarray(symbols))
        rows = rows_of(frequencies, self._shared.precision_bits)
        streams = len(self._shared.states)
        if table.ndim != 2 or len(table) != streams or (rows.ndim != 1 and rows.shape[:-1] != table.shape):
            raise UsageError(
                f"{streams} streams need symbols (streams, n) and frequencies (streams, n, alphabet) or (alphabet,), "
                f"not {table.shape} and {rows.shape}"
            )
        if rows.ndim == 1:
            self._shared.shared(table, rows)
        else:
            numbers = np.repeat(np.arange(streams), table.shape[1])
            self._shared.rows(numbers, table.reshape(-1), _flat(rows))

    @property
    def bits(self) -> IntArray:
        """As :attr:`Encoder.bits <compgen.coding.Encoder.bits>`, int64 ``(streams,)``."""
        return self._all_bits(False)

    @property
    def prefix_free_bits(self) -> IntArray:
        """As :attr:`Encoder.prefix_free_bits <compgen.coding.Encoder.prefix_free_bits>`, int64 ``(streams,)``."""
        return self._all_bits(True)

    def _all_bits(self, prefix_free: bool) -> IntArray:
        return np.array([self._shared.bits(i, prefix_free) for i in range(len(self._shared.states))], np.int64)

    def finish(self, *, prefix_free: bool = False) -> list[bytes]:
        """The codes, see :meth:`Encoder.finish <compgen.coding.Encoder.finish>`."""
        return [self._shared.code(i, prefix_free) for i in range(len(self._shared.states))]

    def fork(self) -> BatchEncoder:
        """An independent copy of all streams."""
        copy = object.__new__(BatchEncoder)
        copy._shared = self._shared.fork()
        return copy


class BatchDecoder:
    """Decodes the codes of many streams, see :class:`BatchEncoder` and :class:`~compgen.coding.Decoder`."""

    def __init__(self, codes: Sequence[Code], precision_bits: int | None = None) -> None:
        self._shared = DecoderStates(codes, precision_bits)

    def decode(self, frequencies: npt.ArrayLike, streams: npt.ArrayLike | None = None) -> IntArray:
        """The next symbol of each stream, int64 ``(streams,)``, given frequencies ``(streams, alphabet)``.

        ``streams``, ints ``(n,)``, names those concerned, if not all are.
        """
        rows = rows_of(frequencies, self._shared.precision_bits)
        numbers = _stream_numbers(streams, len(self._shared.states))
        if rows.ndim != 2 or len(rows) != len(numbers):
            raise UsageError(f"{len(numbers)} streams need as many rows (streams, alphabet), not {rows.shape}")
        return self._shared.rows(numbers, rows)

    def decode_many(self, frequencies: npt.ArrayLike, count: int | None = None) -> IntArray:
        """The next symbols, int64 ``(streams, n)``, given frequencies ``(streams, n, alphabet)``.

        Or given frequencies ``(alphabet,)`` for ``count`` symbols of each stream.
        """
        rows = rows_of(frequencies, self._shared.precision_bits)
        streams = len(self._shared.states)
        if rows.ndim == 3 and len(rows) == streams and count in (None, rows.shape[1]):
            numbers = np.repeat(np.arange(streams), rows.shape[1])
            return self._shared.rows(numbers, _flat(rows)).reshape(streams, rows.shape[1])
        if rows.ndim != 1 or count is None or count < 0:
            raise UsageError(
                f"{streams} streams need frequencies (streams, n, alphabet), or (alphabet,) and a count, "
                f"not {rows.shape} and {count}"
            )
        return self._shared.shared(rows, count)

    def fork(self) -> BatchDecoder:
        """An independent copy of all streams."""
        copy = object.__new__(BatchDecoder)
        copy._shared = self._shared.fork()
        return copy


def _flat(rows: Rows) -> Rows:
    """``(streams, n, alphabet)`` to ``(streams * n, alphabet)``."""
    return rows.reshape(rows.shape[0] * rows.shape[1], rows.shape[2])


def _stream_numbers(streams: npt.ArrayLike | None, count: int) -> IntArray:
    if streams is None:
        return np.arange(count)
    numbers = symbols_of(np.asarray(streams))
    if numbers.ndim != 1 or (numbers.size > 0 and not 0 <= numbers.min() <= numbers.max() < count):
        raise UsageError(f"streams must be numbers (n,) from 0 to {count - 1}, not {streams!r}")
    return numbers
