"""The arithmetic coder as compiled loops over a few integers. ``arithmetic.py`` tells what it does.

The interval that the symbols coded so far have narrowed [0, 1) to:

    0. b0 b1 b2 ... b(used-1) | low                   the bytes written, then 62 bits that a carry can still change
                              | low + width           exclusive

Invariant between symbols:  0 <= low < 2**62,  2**54 < width <= 2**62,  and the upper end never exceeds 1. So a sum
never reaches 2**63, and the carry out of ``low`` is one comparison. A row of ``states``, int64 ``(5,)``, holds low,
width, used, the precision of pmfs (0: none), 0; a row of ``buffers``, uint8 ``(capacity,)``, the bytes written.

The decoder keeps ``offset`` = (62 bits of the code) - low instead of low; its invariant is 0 <= offset < width. Its row
holds offset, width, the next byte's position, the precision of pmfs, the position of the stream's last byte. That byte
is 0 and reading stops there, so that every code goes on in zeros for ever and no position is ever outside. A byte of
the decoder's data is 8 bits of the code from bit 8i - 2 on, as 62 is no multiple of 8: two zero bits come first.

A symbol with ``start`` (the frequencies before it) and ``frequency`` out of ``total`` narrows the interval to

    low + unit * start  ...  low + unit * (start + frequency),        unit = floor(width / total)

and the last one (start + frequency = total) up to the old upper end, so that nothing of [0, 1) is left unused and every
string of bytes decodes to something.

Kernels return how far they got. They stop before what they cannot code, with the state as it was; Python then finds out
what is wrong with it.
"""

from __future__ import annotations

import numpy as np

from compgen.coding._quantise_kernel import LARGEST_ALPHABET, quantise_row, quantise_symbol
from compgen.jit import inner, kernel

LOW, WIDTH, USED, PRECISION, END = 0, 1, 2, 3, 4
OFFSET, POSITION = LOW, USED

REGISTER_BITS = 62
FULL = 1 << REGISTER_BITS
#: A byte is final but for carries once the interval is no wider than this.
BYTE = 1 << (REGISTER_BITS - 8)
LARGEST_TOTAL = 1 << 32
#: unit >= 2**22, so a symbol leaves at least that width: five bytes bring it above 2**54. The rest is for the ending.
ROOM = 8
#: So many symbols are searched one by one.
STEPS = 32


# --- what both sides share ---


@inner
def _row_total(frequencies):  # type: ignore[no-untyped-def]
    """The sum of a row, or 0 if it is not one: too short or long, an entry negative, or more than LARGEST_TOTAL."""
    if not 2 <= len(frequencies) <= LARGEST_ALPHABET:
        return 0
    union = 0  # of all bits: negative or large if any entry is. Entries below 2**33 cannot overflow the sum.
    total = 0
    for i in range(len(frequencies)):
        union |= frequencies[i]
        total += frequencies[i]
    if not 0 <= union < 2 * LARGEST_TOTAL or total > LARGEST_TOTAL:
        return 0
    return total


@inner
def _shift_of(total):  # type: ignore[no-untyped-def]
    """log2 of a power of two, and -1 for other totals."""
    shift = 0
    while 1 << shift < total:
        shift += 1
    return shift if 1 << shift == total else -1


@inner
def _unit(width, total, shift):  # type: ignore[no-untyped-def]
    """floor(width / total); ``shift`` spares the division."""
    return width >> shift if shift >= 0 else width // total


@kernel
def accumulate(frequencies, out):  # type: ignore[no-untyped-def]
    """Cumulative frequencies, ``(alphabet + 1,)`` from 0 to the total, of a checked row. ``np.cumsum`` is slower."""
    total = 0
    out[0] = 0
    for i in range(len(frequencies)):
        total += frequencies[i]
        out[i + 1] = total


# --- encoder ---


@inner
def carry(buffers, stream, used):  # type: ignore[no-untyped-def]
    """Add one to the bytes written, as one long number. It is below 1, so the first byte never overflows."""
    last = used - 1
    while buffers[stream, last] == 0xFF:
        buffers[stream, last] = 0
        last -= 1
    buffers[stream, last] += 1


@inner
def narrow(low, width, used, buffers, stream, unit, start, frequency, total):  # type: ignore[no-untyped-def]
    """Code one symbol: the new (low, width, used). 0 <= start, 0 < frequency, start + frequency <= total; ROOM left."""
    low += unit * start
    width = width - unit * start if start + frequency == total else unit * frequency
    if low >= FULL:
        low -= FULL
        carry(buffers, stream, used)
    # The loop below, its first turn without a branch: most symbols cost a byte or none, unpredictably.
    moves = 1 if width <= BYTE else 0
    buffers[stream, np.uint64(used)] = low >> (REGISTER_BITS - 8)  # unsigned, an index is not tested for being negative
    used += moves
    low = (low << (8 * moves)) & (FULL - 1)
    width <<= 8 * moves
    while width <= BYTE:
        buffers[stream, used] = low >> (REGISTER_BITS - 8)
        used += 1
        low = (low & (BYTE - 1)) << 8
        width <<= 8
    return low, width, used


@inner
def _narrow_stream(states, buffers, stream, start, frequency, total):  # type: ignore[no-untyped-def]
    """:func:`narrow` on one of several streams."""
    precision = states[stream, PRECISION]
    unit = _unit(states[stream, WIDTH], total, precision if 1 << precision == total else -1)
    low, width, used = states[stream, LOW], states[stream, WIDTH], states[stream, USED]
    low, width, used = narrow(low, width, used, buffers, stream, unit, start, frequency, total)
    states[stream, LOW] = low
    states[stream, WIDTH] = width
    states[stream, USED] = used


@inner
def _interval(frequencies, symbol):  # type: ignore[no-untyped-def]
    """(start, frequency, total) of a symbol in its row of frequencies; frequency 0 if it has none or that is no row."""
    total = _row_total(frequencies)
    if total == 0 or not 0 <= symbol < len(frequencies):
        return 0, 0, 0
    start = 0
    for other in range(symbol):
        start += frequencies[other]
    return start, frequencies[symbol], total


@kernel
def intervals(symbols, frequencies, out):  # type: ignore[no-untyped-def]
    """(start, frequency, total) of each symbol in its row, int64 ``(n, 3)``; returns how many before one without.

    A pass of its own: in one with :func:`narrow`, whose branches nobody can foresee, the processor would throw away the
    work it has begun on the next row again and again (measured: 149 ns a symbol instead of 89).
    """
    for i in range(len(symbols)):
        start, frequency, total = _interval(frequencies[i], symbols[i])
        if frequency == 0:
            return i
        out[i, 0] = start
        out[i, 1] = frequency
        out[i, 2] = total
    return len(symbols)


@kernel
def intervals_pmf(symbols, pmf, precision_bits, out):  # type: ignore[no-untyped-def]
    """As :func:`intervals`, rows of float."""
    for i in range(len(symbols)):
        start, frequency = quantise_symbol(pmf[i], precision_bits, symbols[i])
        if frequency == 0:
            return i
        out[i, 0] = start
        out[i, 1] = frequency
        out[i, 2] = 1 << precision_bits
    return len(symbols)


@kernel
def encode_intervals(states, buffers, streams, parts):  # type: ignore[no-untyped-def]
    """Code checked ``parts``, int64 ``(n, 3)``, on streams ``(n,)``; returns how many there was room for."""
    for i in range(len(parts)):
        stream = streams[i]
        if states[stream, USED] + ROOM > buffers.shape[1]:
            return i
        _narrow_stream(states, buffers, stream, parts[i, 0], parts[i, 1], parts[i, 2])
    return len(parts)


@kernel
def encode_interval(states, buffers, start, frequency, total):  # type: ignore[no-untyped-def]
    """Code a symbol on stream 0 given its place among the frequencies; returns 1 if done."""
    if not 0 <= start < start + frequency <= total <= LARGEST_TOTAL or states[0, USED] + ROOM > buffers.shape[1]:
        return 0
    _narrow_stream(states, buffers, 0, start, frequency, total)
    return 1


@kernel
def encode_one(states, buffers, symbol, frequencies):  # type: ignore[no-untyped-def]
    """Code a symbol on stream 0 given its row of frequencies, int64; returns 1 if done."""
    start, frequency, total = _interval(frequencies, symbol)
    if frequency == 0 or states[0, USED] + ROOM > buffers.shape[1]:
        return 0
    _narrow_stream(states, buffers, 0, start, frequency, total)
    return 1


@kernel
def encode_one_pmf(states, buffers, symbol, pmf):  # type: ignore[no-untyped-def]
    """Code a symbol on stream 0 given its row of a pmf, float; returns 1 if done."""
    start, frequency = quantise_symbol(pmf, states[0, PRECISION], symbol)
    if frequency == 0 or states[0, USED] + ROOM > buffers.shape[1]:
        return 0
    _narrow_stream(states, buffers, 0, start, frequency, 1 << states[0, PRECISION])
    return 1


@kernel
def encode_shared(states, buffers, stream, symbols, cumulative):  # type: ignore[no-untyped-def]
    """Code checked symbols that share cumulative frequencies ``(alphabet + 1,)``; returns how many found room."""
    low, width, used = states[stream, LOW], states[stream, WIDTH], states[stream, USED]
    total = cumulative[len(cumulative) - 1]
    shift = _shift_of(total)
    done = 0
    while done < len(symbols) and used + ROOM <= buffers.shape[1]:
        symbol = symbols[np.uint64(done)]
        start = cumulative[np.uint64(symbol)]
        frequency = cumulative[np.uint64(symbol + 1)] - start
        unit = _unit(width, total, shift)
        low, width, used = narrow(low, width, used, buffers, stream, unit, start, frequency, total)
        done += 1
    states[stream, LOW] = low
    states[stream, WIDTH] = width
    states[stream, USED] = used
    return done


# --- the shortest string inside the interval ---


@inner
def _tail(low, width, need_bits):  # type: ignore[no-untyped-def]
    """The least k, and the v, for which v / 2**k lies in the interval, as 62-bit numbers, with ``need`` room above it.

    v may be 2**k: that is a carry. Ends at k = 9 at the latest, as width > 2**54.
    """
    k = 0
    while True:
        step = 1 << (REGISTER_BITS - k)
        v = (low + step - 1) >> (REGISTER_BITS - k)
        if low + width - (v << (REGISTER_BITS - k)) >= (step if need_bits else 1):
            return k, v
        k += 1


@kernel
def code_bits(states, buffers, stream, prefix_free):  # type: ignore[no-untyped-def]
    """Bits of the shortest string; see ``Encoder.bits``."""
    k, v = _tail(states[stream, LOW], states[stream, WIDTH], prefix_free)
    used = states[stream, USED]
    if prefix_free or k > 0:
        return 8 * used + k
    # A point on a byte's boundary: the zero bits before it go, too. A carry turns 0xFF into 0, and the byte before that
    # into one more.
    while used > 0 and buffers[stream, used - 1] == (0xFF if v == 1 else 0):
        used -= 1
    if used == 0:
        return 0
    last = buffers[stream, used - 1] + v
    zeros = 0
    while (last >> zeros) & 1 == 0:
        zeros += 1
    return 8 * used - zeros


@kernel
def terminate(states, buffers, stream, prefix_free):  # type: ignore[no-untyped-def]
    """Write the tail, padded with zeros to two bytes, behind the bytes written; returns the carry, 0 or 1."""
    k, v = _tail(states[stream, LOW], states[stream, WIDTH], prefix_free)
    used = states[stream, USED]
    v <<= 16 - k
    buffers[stream, used] = (v >> 8) & 0xFF
    buffers[stream, used + 1] = v & 0xFF
    return v >> 16


# --- decoder ---


@inner
def target_of(offset, unit, total):  # type: ignore[no-untyped-def]
    """Where the code points among the frequencies. What the division leaves over belongs to the last symbol."""
    return min(np.int64(np.uint64(offset) // np.uint64(unit)), total - 1)


@inner
def follow(offset, width, position, end, data, unit, start, frequency, total):  # type: ignore[no-untyped-def]
    """Narrow to the symbol whose part of the interval holds the offset, as :func:`narrow` does: the new three."""
    offset -= unit * start
    width = width - unit * start if start + frequency == total else unit * frequency
    while width <= BYTE:
        offset = (offset << 8) | int(data[position])
        position += 1 if position < end else 0
        width <<= 8
    return offset, width, position


@inner
def _follow_stream(states, data, stream, unit, start, frequency, total):  # type: ignore[no-untyped-def]
    """:func:`follow` on one of several streams."""
    offset, width, position = states[stream, OFFSET], states[stream, WIDTH], states[stream, POSITION]
    offset, width, position = follow(offset, width, position, states[stream, END], data, unit, start, frequency, total)
    states[stream, OFFSET] = offset
    states[stream, WIDTH] = width
    states[stream, POSITION] = position


@inner
def _find(frequencies, target):  # type: ignore[no-untyped-def]
    """The symbol into whose part ``target`` falls, and the frequencies before it. 0 <= target < the sum of the row."""
    start = 0
    symbol = 0
    size = len(frequencies)
    # start <= target < start + the sum of the ``size`` from ``symbol`` on. Halving adds up long pieces, which
    # processors do fast; numba vectorises them as slices only.
    while size > STEPS:
        half = size >> 1
        piece = frequencies[symbol : symbol + half]
        together = 0
        for i in range(half):
            together += piece[i]
        if start + together > target:
            size = half
        else:
            start += together
            symbol += half
            size -= half
    while start + frequencies[symbol] <= target:
        start += frequencies[symbol]
        symbol += 1
    return symbol, start


@inner
def _decode(states, data, stream, frequencies, total, shift):  # type: ignore[no-untyped-def]
    """The next symbol, given a row with a checked total."""
    unit = _unit(states[stream, WIDTH], total, shift)
    symbol, start = _find(frequencies, target_of(states[stream, OFFSET], unit, total))
    _follow_stream(states, data, stream, unit, start, frequencies[symbol], total)
    return symbol


@kernel
def decode_interval(states, data, start, frequency, total):  # type: ignore[no-untyped-def]
    """Move stream 0 past a symbol given its place among the frequencies; returns 1 if the code is inside it."""
    if not 0 <= start < start + frequency <= total <= LARGEST_TOTAL:
        return 0
    unit = _unit(states[0, WIDTH], total, -1)
    if not start <= target_of(states[0, OFFSET], unit, total) < start + frequency:
        return 0
    _follow_stream(states, data, 0, unit, start, frequency, total)
    return 1


@kernel
def decode_one(states, data, frequencies):  # type: ignore[no-untyped-def]
    """The next symbol of stream 0 given its row of frequencies, int64; -1 if that is no row."""
    total = _row_total(frequencies)
    return _decode(states, data, 0, frequencies, total, -1) if total > 0 else -1


@kernel
def decode_one_pmf(states, data, pmf):  # type: ignore[no-untyped-def]
    """The next symbol of stream 0 given its row of a pmf, float; -1 if that is no pmf."""
    precision = states[0, PRECISION]
    row = np.empty(len(pmf), np.int64)
    return _decode(states, data, 0, row, 1 << precision, precision) if quantise_row(pmf, precision, row) else -1


@kernel
def decode_rows(states, data, streams, frequencies, out):  # type: ignore[no-untyped-def]
    """Decode ``out[i]`` with ``frequencies[i]`` from stream ``streams[i]``; returns how many were decoded."""
    for i in range(len(out)):
        row = frequencies[i]
        total = _row_total(row)
        if total == 0:
            return i
        out[i] = _decode(states, data, streams[i], row, total, -1)
    return len(out)


@kernel
def decode_rows_pmf(states, data, streams, pmf, out):  # type: ignore[no-untyped-def]
    """As :func:`decode_rows`, rows of float."""
    row = np.empty(pmf.shape[1], np.int64)
    for i in range(len(out)):
        precision = states[streams[i], PRECISION]
        if not quantise_row(pmf[i], precision, row):
            return i
        out[i] = _decode(states, data, streams[i], row, 1 << precision, precision)
    return len(out)


@inner
def _bisect(cumulative, target, symbol, beyond):  # type: ignore[no-untyped-def]
    """The symbol with cumulative[symbol] <= target < cumulative[symbol + 1], in ``symbol`` .. ``beyond - 1``."""
    # Invariant: cumulative[symbol] <= target < cumulative[beyond]; of equal ones, the last is found, whose frequency is
    # not 0.
    while beyond - symbol > 1:
        middle = (symbol + beyond) >> 1
        if cumulative[middle] <= target:
            symbol = middle
        else:
            beyond = middle
    return symbol


@kernel
def decode_shared(states, data, stream, cumulative, out):  # type: ignore[no-untyped-def]
    """Decode symbols that share checked cumulative frequencies ``(alphabet + 1,)``."""
    alphabet = len(cumulative) - 1
    total = cumulative[alphabet]
    shift = _shift_of(total)
    # Targets with the same high bits share a bucket; first[b] the symbol of its lowest target, where a search starts.
    low_bits = 0
    while (total - 1) >> low_bits >= min(4 * alphabet, 1 + len(out) // 4):
        low_bits += 1
    buckets = ((total - 1) >> low_bits) + 1
    first = np.empty(buckets + 1, np.int64)
    for bucket in range(buckets):
        first[bucket] = _bisect(cumulative, bucket << low_bits, 0, alphabet)
    first[buckets] = alphabet - 1
    offset, width, position = states[stream, OFFSET], states[stream, WIDTH], states[stream, POSITION]
    end = states[stream, END]
    for i in range(len(out)):
        unit = _unit(width, total, shift)
        target = target_of(offset, unit, total)
        bucket = target >> low_bits
        symbol = _bisect(cumulative, target, first[bucket], first[bucket + 1] + 1)
        start = cumulative[symbol]
        frequency = cumulative[symbol + 1] - start
        offset, width, position = follow(offset, width, position, end, data, unit, start, frequency, total)
        out[i] = symbol
    states[stream, OFFSET] = offset
    states[stream, WIDTH] = width
    states[stream, POSITION] = position
