"""Where deflate streams end, to the bit: an inflater (RFC 1951) that follows the codes and writes nothing.

A stream's last byte is padded, and zlib does not tell with how many bits. All that matters here is how many bits each
symbol takes, extra bits included; so a symbol costs one look-up or, for a match, two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines._deflate_blocks import (
    BIT_LENGTH_ORDER,
    BIT_LENGTHS,
    DISTANCE_EXTRA,
    DISTANCES,
    END_OF_BLOCK,
    FIXED_LENGTH,
    LENGTH_EXTRA,
    LENGTH_SYMBOL,
    MIN_MATCH,
)
from baselines._words import get, put, word
from compgen.jit import inner, kernel

U: Any = np.uint64

#: Bytes after the last stream that may be read.
PADDING = 16
_LONGEST = 15
#: An entry of a table is how many bits its symbol takes, plus what it means.
_TAKEN, _MATCH, _END = 63, 64, 128
_LITERAL_MEANINGS = np.zeros(FIXED_LENGTH.size, np.int64)
_LITERAL_MEANINGS[LENGTH_SYMBOL[MIN_MATCH:]] = LENGTH_EXTRA[MIN_MATCH:] + _MATCH
_LITERAL_MEANINGS[END_OF_BLOCK] = _END
_DISTANCE_MEANINGS = np.append(DISTANCE_EXTRA, [0, 0])
#: Of the code of the code lengths: the symbol.
_SYMBOL_BITS = 8
_SYMBOL_MEANINGS = np.arange(BIT_LENGTHS) << _SYMBOL_BITS
_FIXED_DISTANCE_LENGTH = np.full(DISTANCES, 5, np.int64)


@inner
def _bits(data, at):  # type: ignore[no-untyped-def]
    """At least 57 bits from bit ``at`` on."""
    return word(data, at >> 3) >> (at & 7)


@inner
def _fill(lengths, meanings, table):  # type: ignore[no-untyped-def]
    """The table of a code, ``lengths`` of which are by symbol: an entry for all bits that may come next.

    ``table`` uint16 ``(2**15,)``; returns the mask of the bits that are looked up.
    """
    counts, places = np.zeros(_LONGEST + 1, np.int64), np.zeros(_LONGEST + 1, np.int64)
    ordered = np.empty(lengths.size, np.int64)
    for n in range(lengths.size):
        counts[get(lengths, np.int64(n))] += 1
    for length in range(_LONGEST):
        places[length + 1] = places[length] + counts[length]
    for n in range(lengths.size):
        length = get(lengths, np.int64(n))
        put(ordered, places[length], np.int64(n))
        places[length] += 1
    # Codes of one length are numbered upwards, from the last bit on; here as they come, the first bit lowest.
    size, code, place = np.int64(1), np.int64(0), counts[0]
    while place < lengths.size:
        length = get(lengths, get(ordered, place))
        while size < 1 << length:
            for i in range(U(size)):
                table[U(size) + i] = table[i]
            size <<= 1
        while place < places[length]:
            put(table, code, get(meanings, get(ordered, place)) + length)
            place += 1
            bit = size >> 1
            while code & bit:
                code ^= bit
                bit >>= 1
            code |= bit
    return size - 1


@inner
def _read_lengths(data, at, lengths, table):  # type: ignore[no-untyped-def]
    """The lengths ``(all symbols of both codes,)`` that stand in a dynamic block's head; returns the bit after them."""
    sent = (_bits(data, at + 10) & 15) + 4
    at += 14
    own = np.zeros(BIT_LENGTHS, np.int64)
    for i in range(sent):
        own[BIT_LENGTH_ORDER[i]] = _bits(data, at) & 7
        at += 3
    mask = _fill(own, _SYMBOL_MEANINGS, table)
    n = np.int64(0)
    while n < lengths.size:
        bits = _bits(data, at)
        entry = get(table, bits & mask)
        taken, value, run = entry & _TAKEN, entry >> _SYMBOL_BITS, 1
        bits >>= taken
        at += taken
        if value == 16:
            value, run = get(lengths, max(n - 1, 0)), 3 + (bits & 3)
            at += 2
        elif value == 17:
            value, run = 0, 3 + (bits & 7)
            at += 3
        elif value == 18:
            value, run = 0, 11 + (bits & 127)
            at += 7
        for i in range(min(run, lengths.size - n)):
            put(lengths, n + i, value)
        n += run
    return at


@inner
def _follow(data, at, end, literals, literal_mask, distances, distance_mask):  # type: ignore[no-untyped-def]
    """The bit after a block whose symbols begin at bit ``at``."""
    while at < end:
        bits = _bits(data, at)
        entry = get(literals, bits & literal_mask)
        if entry < _MATCH:  # then there are bits enough for another symbol
            at += entry
            bits >>= entry
            entry = get(literals, bits & literal_mask)
        at += entry & _TAKEN
        if entry >= _END:
            break
        if entry >= _MATCH:
            at += get(distances, (bits >> (entry & _TAKEN)) & distance_mask) & _TAKEN
    return at


@kernel
def stream_bits(data, starts, out):  # type: ignore[no-untyped-def]
    """Bits of whole and sound raw deflate streams, ``data[starts[i] : starts[i + 1]]`` each and PADDING behind.

    ``data`` uint8, ``starts`` int64 ``(n + 1,)``, ``out`` float64 ``(n,)``.
    """
    literals, distances = np.zeros(1 << _LONGEST, np.uint16), np.zeros(1 << _LONGEST, np.uint16)
    for i in range(starts.size - 1):
        at, end, last = 8 * starts[i], 8 * starts[i + 1], False
        while not last and at < end:
            bits = _bits(data, at)
            last, kind = (bits & 1) != 0, (bits >> 1) & 3
            at += 3
            if kind == 0:
                at = (at + 7) & ~7
                at += 32 + 8 * (_bits(data, at) & 0xFFFF)
                continue
            if kind == 1:
                literal_mask = _fill(FIXED_LENGTH, _LITERAL_MEANINGS, literals)
                distance_mask = _fill(_FIXED_DISTANCE_LENGTH, _DISTANCE_MEANINGS, distances)
            else:
                count, others = ((bits >> 3) & 31) + 257, ((bits >> 8) & 31) + 1
                lengths = np.zeros(count + others, np.int64)
                at = _read_lengths(data, at, lengths, literals)
                literal_mask = _fill(lengths[:count], _LITERAL_MEANINGS, literals)
                distance_mask = _fill(lengths[count:], _DISTANCE_MEANINGS, distances)
            at = _follow(data, at, end, literals, literal_mask, distances, distance_mask)
        out[i] = at - 8 * starts[i]
