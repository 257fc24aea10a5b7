"""What a deflate block costs, in exact bits: zlib's Huffman trees, and its choice of stored, fixed or dynamic block.

Follows RFC 1951 and the decisions of zlib's ``trees.c`` (Gailly and Adler), down to how it breaks ties among equal
frequencies: the optimal cost of the symbols does not depend on ties, but the code lengths do, and so does the cost of
sending them. All arithmetic is on integers.

A block is described by its symbol frequencies ``literals`` int64 ``(286,)`` (256 bytes, the end of block, 29 match
lengths) and ``distances`` int64 ``(30,)``, and by four counters in ``block`` int64 ``(4,)`` indexed by the constants
below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compgen.jit import inner, kernel

LITERALS, DISTANCES, BIT_LENGTHS = 286, 30, 19
END_OF_BLOCK = 256
MIN_MATCH, MAX_MATCH = 3, 258

# Indices into ``block``.
SYMBOLS = 0  # symbols so far, end of block not counted
FIXED_BITS = 1  # bits of the symbols in the fixed code, extra bits left out, end of block included
EXTRA_BITS = 2  # extra bits of match lengths and distances
START = 3  # position in the data of the block's first byte


def _tables() -> tuple[Any, ...]:
    """Symbol and number of extra bits by match length and by distance - 1 (RFC 1951, section 3.2.5)."""
    length_symbol = np.zeros(MAX_MATCH + 1, np.int64)
    length_extra = np.zeros(MAX_MATCH + 1, np.int64)
    length = MIN_MATCH
    for code in range(28):
        extra = max(0, code // 4 - 1)
        length_symbol[length : length + (1 << extra)] = 257 + code
        length_extra[length : length + (1 << extra)] = extra
        length += 1 << extra
    length_symbol[MAX_MATCH], length_extra[MAX_MATCH] = 285, 0
    distance_extra = np.array([max(0, code // 2 - 1) for code in range(DISTANCES)], np.int64)
    # Distances up to 256 one by one, greater ones by (distance - 1) >> 7, as no code starts between.
    distance_symbol = np.zeros(512, np.int64)
    start = 0
    for code, extra in enumerate(distance_extra):
        for d in range(start, start + (1 << extra)):
            distance_symbol[d if d < 256 else 256 + (d >> 7)] = code
        start += 1 << extra
    fixed = np.full(288, 8, np.int64)
    fixed[144:256] = 9
    fixed[256:280] = 7
    order = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
    return length_symbol, length_extra, distance_symbol, distance_extra, fixed, order


LENGTH_SYMBOL, LENGTH_EXTRA, DISTANCE_SYMBOL, DISTANCE_EXTRA, FIXED_LENGTH, BIT_LENGTH_ORDER = _tables()

# A node in the heap is one integer, frequency << 18 | depth << 10 | node: comparing ``>> 10`` compares (frequency,
# depth).
_NODE_BITS = 10
_FREQUENCY_SHIFT = 18
_NO_ENTRY = 1 << 62


@kernel
def new_block(literals, distances, block, start):  # type: ignore[no-untyped-def]
    """Reset to an empty block that starts at a position of the data."""
    for n in range(literals.size):
        literals[n] = 0
    for n in range(distances.size):
        distances[n] = 0
    literals[END_OF_BLOCK] = 1
    block[SYMBOLS] = 0
    block[FIXED_BITS] = FIXED_LENGTH[END_OF_BLOCK]
    block[EXTRA_BITS] = 0
    block[START] = start


@inner
def distance_symbol(distance):  # type: ignore[no-untyped-def]
    """Distance code (0..29) of a distance in 1..32768."""
    d = distance - 1
    return DISTANCE_SYMBOL[d] if d < 256 else DISTANCE_SYMBOL[256 + (d >> 7)]


@inner
def add_literal(literals, block, byte):  # type: ignore[no-untyped-def]
    """Count one literal byte (an int64, as all numbers here are: one type, one compilation)."""
    literals[byte] += 1
    block[SYMBOLS] += 1
    block[FIXED_BITS] += FIXED_LENGTH[byte]


@inner
def add_match(literals, distances, block, length, distance):  # type: ignore[no-untyped-def]
    """Count one match."""
    symbol, code = LENGTH_SYMBOL[length], distance_symbol(distance)
    literals[symbol] += 1
    distances[code] += 1
    block[SYMBOLS] += 1
    block[FIXED_BITS] += FIXED_LENGTH[symbol] + 5
    block[EXTRA_BITS] += LENGTH_EXTRA[length] + DISTANCE_EXTRA[code]


@inner
def _sift_down(heap, k, size):  # type: ignore[no-untyped-def]
    """Restore the heap below index k (1-based), moving entries in the order zlib's ``pqdownheap`` does.

    ``heap[size + 1]`` must be _NO_ENTRY, so that the smaller child is found without a branch: which one it is cannot be
    predicted, and wrong guesses would take most of the time.
    """
    entry = heap[k]
    key = entry >> _NODE_BITS
    child = k << 1
    while child <= size:
        child += np.int64((heap[child + 1] >> _NODE_BITS) <= (heap[child] >> _NODE_BITS))
        if key <= (heap[child] >> _NODE_BITS):
            break
        heap[k] = heap[child]
        k = child
        child <<= 1
    heap[k] = entry


@inner
def huffman_lengths(frequencies, lengths, work):  # type: ignore[no-untyped-def]
    """Code lengths as zlib's ``build_tree`` assigns them; returns the largest symbol that has a code.

    ``frequencies`` int64 (symbols,) -> ``lengths`` int64 (at least symbols,), none above 15, or 7 for the code of the
    code lengths; ``work`` int64 (4, 1024) is scratch.
    """
    symbols = frequencies.size
    longest = 7 if symbols == BIT_LENGTHS else 15
    top = np.int64(1)
    heap, merged, parent, depth_of = work[0], work[1], work[2], work[3]
    size = 0
    largest = -1
    for n in range(symbols):
        lengths[n] = 0
        if frequencies[n] != 0:
            size += 1
            heap[size] = (frequencies[n] << _FREQUENCY_SHIFT) | n
            largest = n
    while size < 2:  # a code has at least two words; the added ones are never sent
        n = 0
        if largest < 2:
            largest += 1
            n = largest
        size += 1
        heap[size] = (1 << _FREQUENCY_SHIFT) | n
    heap[size + 1] = _NO_ENTRY
    for k in range(size >> 1, 0, -1):
        _sift_down(heap, np.int64(k), size)

    node, count = symbols, 0
    while True:  # join the two least frequent nodes
        first = heap[1]
        heap[1] = heap[size]
        heap[size] = _NO_ENTRY
        size -= 1
        _sift_down(heap, top, size)
        second = heap[1]
        merged[count] = first & 1023
        merged[count + 1] = second & 1023
        count += 2
        parent[first & 1023] = node
        parent[second & 1023] = node
        depth = max((first >> _NODE_BITS) & 255, (second >> _NODE_BITS) & 255) + 1
        frequency = (first >> _FREQUENCY_SHIFT) + (second >> _FREQUENCY_SHIFT)
        heap[1] = (frequency << _FREQUENCY_SHIFT) | (depth << _NODE_BITS) | node
        node += 1
        if size < 2:
            break
        _sift_down(heap, top, size)
    root = node - 1
    depth_of[root] = 0
    overflow = 0
    for i in range(count - 1, -1, -1):
        n = merged[i]
        bits = depth_of[parent[n]] + 1
        if bits > longest:
            bits = longest
            overflow += 1
        depth_of[n] = bits
        if n < symbols:
            lengths[n] = bits
    if overflow > 0:
        _limit_lengths(lengths, largest, longest, overflow, merged)
    return largest


@inner
def _limit_lengths(lengths, largest, longest, overflow, merged):  # type: ignore[no-untyped-def]
    """zlib's repair of codes that came out too long (the end of ``gen_bitlen``)."""
    counts = np.zeros(16, np.int64)
    for n in range(largest + 1):
        if lengths[n] > 0:
            counts[lengths[n]] += 1
    while overflow > 0:
        bits = longest - 1
        while counts[bits] == 0:
            bits -= 1
        counts[bits] -= 1
        counts[bits + 1] += 2
        counts[longest] -= 1
        overflow -= 2
    i = 0
    for bits in range(longest, 0, -1):
        remaining = counts[bits]
        while remaining > 0:
            n = merged[i]
            i += 1
            if n > largest:
                continue
            lengths[n] = bits
            remaining -= 1


@inner
def count_runs(lengths, largest, counts):  # type: ignore[no-untyped-def]
    """Add the run-length symbols that describe a code's lengths to ``counts`` (19,): zlib's ``scan_tree``."""
    run_start = 0
    while run_start <= largest:
        length = lengths[run_start]
        run_end = run_start + 1
        while run_end <= largest and lengths[run_end] == length:
            run_end += 1
        run = run_end - run_start
        run_start = run_end
        if length == 0:
            while run >= 138:
                counts[18] += 1
                run -= 138
            if run >= 11:
                counts[18] += 1
            elif run >= 3:
                counts[17] += 1
            else:
                counts[0] += run
        else:
            counts[length] += 1
            run -= 1
            while run >= 6:
                counts[16] += 1
                run -= 6
            if run >= 3:
                counts[16] += 1
            else:
                counts[length] += run


@inner
def weighted(frequencies, lengths, largest):  # type: ignore[no-untyped-def]
    """Bits of all symbols up to the largest: the sum of frequency times length."""
    bits = np.int64(0)
    for n in range(largest + 1):
        bits += frequencies[n] * lengths[n]
    return bits


@inner
def lengths_cost(counts, bit_lengths, work):  # type: ignore[no-untyped-def]
    """Bits to send the two codes' lengths, given the counts (19,) of their run-length symbols."""
    huffman_lengths(counts, bit_lengths, work)
    sent = 18
    while sent >= 3 and bit_lengths[BIT_LENGTH_ORDER[sent]] == 0:
        sent -= 1
    bits = 14 + 3 * (sent + 1) + 2 * counts[16] + 3 * counts[17] + 7 * counts[18]
    for n in range(BIT_LENGTHS):
        bits += counts[n] * bit_lengths[n]
    return bits


@inner
def dynamic_bits(literals, distances, work):  # type: ignore[no-untyped-def]
    """Bits of a dynamic block without its 3-bit header and without extra bits."""
    lengths = np.empty(LITERALS, np.int64)
    counts = np.zeros(BIT_LENGTHS, np.int64)
    largest = huffman_lengths(literals, lengths, work)
    bits = weighted(literals, lengths, largest)
    count_runs(lengths, largest, counts)
    largest = huffman_lengths(distances, lengths, work)
    bits += weighted(distances, lengths, largest)
    count_runs(lengths, largest, counts)
    return bits + lengths_cost(counts, lengths, work)


@inner
def close_block(at, dynamic, block, end, storable):  # type: ignore[no-untyped-def]
    """Position in bits after a block that starts at bit ``at``, of the kind that ``_tr_flush_block`` chooses.

    ``dynamic`` is :func:`dynamic_bits`, ``end`` the position in the data after the block's last byte; ``storable`` says
    whether the block's data is still in the window.
    """
    coded = 3 + dynamic + block[EXTRA_BITS]
    fixed = 3 + block[FIXED_BITS] + block[EXTRA_BITS]
    if (fixed + 7) >> 3 <= (coded + 7) >> 3:
        coded = fixed
    stored_bytes = end - block[START]
    if storable and stored_bytes + 4 <= (coded + 7) >> 3:
        return ((at + 3 + 7) & ~7) + 32 + 8 * stored_bytes
    return at + coded
