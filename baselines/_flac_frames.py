"""Where the parts of FLAC frames end (RFC 9639, section 9), without decoding them: the exact bits of each subframe.

All positions are in bits from the start of the data; -1 stands for a frame that is damaged or cut off.
"""

from __future__ import annotations

import functools

import numba
import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

#: Bits of CRC-16 at the end of each frame.
FOOTER_BITS = 16
#: Zeros before the first 1 of each byte.
_LEADING_ZEROS = np.array([8 - byte.bit_length() for byte in range(256)], np.int64)

_TABLE_BITS = 12
#: Larger parameters leave less than two codes to a look-up.
_TABLE_PARAMETERS = 6


@numba.njit(cache=True, nogil=True)
def read(data: ByteArray, position: int, count: int) -> int:
    """``count`` (0..32) bits as an unsigned number; -1 past the end."""
    if position < 0 or position + count > 8 * len(data):
        return -1
    value = 0
    first = position >> 3
    last = (position + count + 7) >> 3
    for index in range(first, last):
        value = value << 8 | int(np.int64(data[index]))
    return value >> (8 * last - position - count) & ((1 << count) - 1)


@numba.njit(cache=True, nogil=True)
def skip_unary(data: ByteArray, position: int) -> int:
    """The bit after the next 1; -1 if there is none."""
    index = position >> 3
    if index >= len(data):
        return -1
    byte = int(np.int64(data[index])) & (255 >> (position & 7))
    while byte == 0:
        index += 1
        if index >= len(data):
            return -1
        byte = int(np.int64(data[index]))
    return 8 * index + int(_LEADING_ZEROS[byte]) + 1


@numba.njit(cache=True, nogil=True)
def rice_table() -> IntArray:
    """What the next 12 bits hold of whole Rice codes, ``(parameters, 4096)``: 16 times their bits plus their count."""
    table = np.zeros((_TABLE_PARAMETERS, 1 << _TABLE_BITS), np.int64)
    for parameter in range(_TABLE_PARAMETERS):
        for window in range(1 << _TABLE_BITS):
            used, codes = 0, 0
            while True:
                end = used
                while end < _TABLE_BITS and window >> (_TABLE_BITS - 1 - end) & 1 == 0:
                    end += 1
                end += 1 + parameter
                if end > _TABLE_BITS:
                    break
                used, codes = end, codes + 1
            table[parameter, window] = used << 4 | codes
    return table


@numba.njit(cache=True, nogil=True)
def skip_rice(data: ByteArray, position: int, count: int, parameter: int, table: IntArray) -> int:
    """The end of ``count`` Rice codes; a few at a time by table where codes are short, else one by one."""
    if parameter < _TABLE_PARAMETERS:
        codes_of = table[parameter]
        last_index = len(data) - 3
        while count >= _TABLE_BITS:
            index = position >> 3
            if index > last_index:
                break
            word = np.int64(data[index]) << 16 | np.int64(data[index + 1]) << 8 | np.int64(data[index + 2])
            entry = codes_of[word >> (24 - _TABLE_BITS - (position & 7)) & ((1 << _TABLE_BITS) - 1)]
            if entry == 0:
                position = skip_unary(data, position)
                if position < 0:
                    return -1
                position += parameter
                count -= 1
            else:
                position += entry >> 4
                count -= entry & 15
    for _ in range(count):
        position = skip_unary(data, position)
        if position < 0:
            return -1
        position += parameter
    return position


@numba.njit(cache=True, nogil=True)
def skip_residual(data: ByteArray, position: int, samples: int, order: int, table: IntArray) -> int:
    """The end of a coded residual (section 9.2.7)."""
    method = read(data, position, 2)
    partition_order = read(data, position + 2, 4)
    if method < 0 or method > 1 or partition_order < 0:
        return -1
    position += 6
    parameter_bits = 4 + method
    escape = (1 << parameter_bits) - 1
    for partition in range(1 << partition_order):
        count = (samples >> partition_order) - (order if partition == 0 else 0)
        parameter = read(data, position, parameter_bits)
        if parameter < 0 or count < 0:
            return -1
        position += parameter_bits
        if parameter == escape:
            width = read(data, position, 5)
            if width < 0:
                return -1
            position += 5 + width * count
        elif count > 0:
            position = skip_rice(data, position, count, parameter, table)
            if position < 0:
                return -1
    return position


@numba.njit(cache=True, nogil=True)
def skip_subframe(data: ByteArray, position: int, samples: int, sample_bits: int, table: IntArray) -> int:
    """The end of a subframe (section 9.2)."""
    kind = read(data, position, 7)
    wasted = read(data, position + 7, 1)
    if kind < 0 or kind > 63 or wasted < 0:
        return -1
    position += 8
    if wasted:
        end = skip_unary(data, position)
        if end < 0:
            return -1
        sample_bits -= end - position
        position = end
    if sample_bits < 1:
        return -1
    if kind == 0:
        return position + sample_bits
    if kind == 1:
        return position + sample_bits * samples
    if 8 <= kind <= 12:
        order = kind - 8
        return skip_residual(data, position + order * sample_bits, samples, order, table)
    if kind < 32:
        return -1
    order = kind - 31
    position += order * sample_bits
    precision = read(data, position, 4) + 1
    if precision < 1 or precision > 15:
        return -1
    return skip_residual(data, position + 9 + order * precision, samples, order, table)


@numba.njit(cache=True, nogil=True)
def skip_header(data: ByteArray, position: int, block: IntArray) -> int:
    """The end of a frame header (section 9.1); sets ``block`` to channels and samples. Independent channels only."""
    if read(data, position, 15) != 0b111111111111100:
        return -1
    size_code, rate_code = read(data, position + 16, 4), read(data, position + 20, 4)
    channels = read(data, position + 24, 4) + 1
    lead = read(data, position + 32, 8)
    if size_code < 1 or rate_code < 0 or channels < 1 or channels > 8 or lead < 0:
        return -1
    position += 32
    # The frame's number, coded like a code point of UTF-8.
    position += 8
    while lead & 0x80 and lead & 0x40:
        position += 8
        lead = lead << 1 & 0xFF
    if size_code == 1:
        samples = 192
    elif size_code <= 5:
        samples = 144 << size_code
    elif size_code <= 7:
        width = 8 * (size_code - 5)
        samples = read(data, position, width) + 1
        position += width
    else:
        samples = 1 << size_code
    if rate_code >= 12:
        position += 8 if rate_code == 12 else 16
    block[0], block[1] = channels, samples
    return position + 8


@numba.njit(cache=True, nogil=True)
def subframe_ends(data: ByteArray, position: int, sample_bits: int, table: IntArray, ends: IntArray) -> int:
    """The ends of a frame's header and of its subframes, to ``ends`` (room for 9); returns samples a channel, or -1."""
    block = np.zeros(2, np.int64)
    position = skip_header(data, position, block)
    ends[0] = position
    for channel in range(block[0]):
        if position < 0 or position > 8 * len(data):
            return -1
        position = skip_subframe(data, position, block[1], sample_bits, table)
        ends[channel + 1] = position
    if position < 0 or position + FOOTER_BITS > 8 * len(data):
        return -1
    return int(block[1])


@numba.njit(cache=True, nogil=True)
def walk_mono(data: ByteArray, start: int, sample_bits: int, table: IntArray) -> tuple[int, int]:
    """Walk all frames of one channel from byte ``start`` on: samples, and bits of padding in the last frame.

    Samples are -1 unless the frames are whole and end where the data ends.
    """
    ends = np.zeros(9, np.int64)
    total, padding, position = 0, 0, start
    while position < len(data):
        samples = subframe_ends(data, 8 * position, sample_bits, table, ends)
        if samples < 1:
            return -1, 0
        total += samples
        padding = -ends[1] % 8
        position = (ends[1] + padding + FOOTER_BITS) // 8
    return (total if position == len(data) else -1), padding


@functools.cache
def table() -> IntArray:
    """:func:`rice_table`, made once."""
    made: IntArray = rice_table()
    return made
