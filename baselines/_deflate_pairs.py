"""The exact deflate lengths of one text followed by each of many, sharing what pairs have in common.

The pairs x y of one x and many y share zlib's parse of x, and where x has which strings; the pairs of one y share the
longest matches inside y. So a pair costs one look-up a position, which tells what x has to offer there, the lazy parse
over what is best, and the codes of one block. This holds while none of zlib's limits is met: level 9, a pair within the
window, no more candidates for a match than the shortest chain, one block. A pair that fills a block gets -1, and
:func:`baselines.deflate.pair_bits` computes it, and those beyond the other limits, in another way.

Strings of x are looked up by number: those of LONGEST bytes that occur in any y (shorter ones at the end of a y) are
numbered once, in the order of words, so that those with a common start follow each other. ``offers`` says for each
number how many of its first bytes x has, and where last. Only where x has all of them a longer match is looked for,
along a chain of the places that share them.

A match is one number, length << 16 | 65535 - distance: the longest one, the nearest of equals, is the greatest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from baselines import _deflate_blocks as blocks
from baselines._deflate_blocks import (
    BIT_LENGTH_ORDER,
    BIT_LENGTHS,
    DISTANCE_EXTRA,
    DISTANCES,
    FIXED_LENGTH,
    LENGTH_EXTRA,
    LENGTH_SYMBOL,
    LITERALS,
    MAX_MATCH,
    MIN_MATCH,
)
from baselines._words import alike, get, put
from compgen.jit import inner, kernel, lean

#: Bytes after the end of a text that :func:`alike` may read.
PADDING = 16
#: Lengths of the strings that are looked up.
SHORTEST, LONGEST = MIN_MATCH, 6
#: A pair beyond these meets a limit of zlib: the window less what it looks ahead, and its shortest search in a chain.
LONGEST_PAIR, MOST_CANDIDATES = (1 << 15) - MAX_MATCH - MIN_MATCH - 1, 4096 // 4 - 8
_LOW = (1 << 16) - 1
#: The least match that zlib takes: one of 3 bytes at most 4096 away.
_LEAST = (MIN_MATCH << 16) | (_LOW - 4096)
#: Greater than every match: the longest one is yet to be looked for.
_OPEN = 512 << 16
_SYMBOL_LIMIT = (1 << 14) - 1
_HASHES = 1 << 15
_SPREAD = 0x9E3779B97F4A7C1  # a factor whose product's high bits depend on all bits

_SYMBOL_EXTRA = np.zeros(LITERALS, np.int64)
_SYMBOL_EXTRA[LENGTH_SYMBOL[MIN_MATCH:]] = LENGTH_EXTRA[MIN_MATCH:]


def _run_tables() -> tuple[npt.NDArray[np.int64], ...]:
    """What describes code lengths, as ``blocks.count_runs`` finds it: by symbols without a code, and by run so far.

    Of the symbols 0, 16, 17 and 18, in 16 bits each, and of a length itself: in the run that it goes on, 0 if it begins
    one, up to six more than the first are one 16, which first was two of the length.
    """
    gaps, repeats, written = np.zeros((3, LITERALS + 1), np.int64)
    for n in range(LITERALS + 1):
        rest = n % 138
        gaps[n] = ((n // 138 + (rest > 10)) << 48) | ((3 <= rest <= 10) << 32) | (rest if rest < 3 else 0)
        written[n] = 1 if n == 0 else (1, 1, -2, 0, 0, 0)[(n - 1) % 6]
        repeats[n] = (written[n] < 0) << 16
    return gaps, repeats, written


_GAPS, _REPEATS, _WRITTEN = _run_tables()

# A node in the heap is one integer, as in ``_deflate_blocks``: frequency << 18 | depth << 10 | node.
_NODE = 1023
_NO_ENTRY = 1 << 62


@lean
def _hash(data, at):  # type: ignore[no-untyped-def]
    """zlib's hash of three bytes at memory level 8."""
    return ((get(data, at) << 10) ^ (get(data, at + 1) << 5) ^ get(data, at + 2)) & (_HASHES - 1)


@lean
def _match_length(data, candidate, at, cap):  # type: ignore[no-untyped-def]
    """Bytes alike from two positions on, at most ``cap``."""
    length = np.int64(0)
    while length < cap:
        same = alike(data, candidate + length, at + length)
        length += same
        if same < 8:
            break
    return min(length, cap)


@lean
def _longer(data, candidate, chain, at, best, distance, cap):  # type: ignore[no-untyped-def]
    """The longest match, if longer than ``best``, the nearest of equals, along a chain; returns (length, distance)."""
    while candidate > 0 and best < cap:
        if get(data, candidate + best) == get(data, at + best):
            length = _match_length(data, candidate, at, cap)
            if length > best:
                best, distance = length, at - candidate
        candidate = get(chain, candidate)
    return best, distance


@lean
def _match(length, distance):  # type: ignore[no-untyped-def]
    """A match as one number: see above."""
    return (length << 16) | (_LOW - distance)


@kernel
def inside(data, offsets, wanted, matches, fullest):  # type: ignore[no-untyped-def]
    """The longest match of each position of each text inside that text, the nearest of equals.

    ``data`` uint8: texts at ``offsets`` int64 ``(texts + 1,)``, with PADDING bytes behind the last. For the texts
    ``wanted``, bool ``(texts,)``, fills ``matches`` uint32 ``(offsets[-1],)``, zeros before, and ``fullest`` int64
    ``(texts,)``: how often the commonest hash occurs in each text.
    """
    head, count = np.zeros(_HASHES, np.int32), np.zeros(_HASHES, np.int32)
    chain = np.zeros(max(1, np.diff(offsets).max()) + 1, np.int32)
    for text in range(offsets.size - 1):
        if not wanted[text]:
            continue
        # Places are counted from 1 here, as 0 ends a chain; so a text is looked at from the byte before it.
        size = offsets[text + 1] - offsets[text]
        view = data[offsets[text] : offsets[text + 1] + PADDING]
        most = np.int64(0)
        for at in range(size - 2):
            h = _hash(view, at)
            chain[at + 1] = head[h]
            head[h] = at + 1
            count[h] += 1
            most = max(most, np.int64(count[h]))
        for at in range(size - 2):
            head[_hash(view, at)] = 0
            count[_hash(view, at)] = 0
            cap = min(np.int64(MAX_MATCH), size - at)
            best, candidate = np.int64(MIN_MATCH - 1), np.int64(chain[at + 1])
            while candidate > 0 and best < cap:
                if get(view, candidate - 1 + best) == get(view, at + best):
                    length = _match_length(view, candidate - 1, at, cap)
                    if length > best:
                        best = length
                        matches[offsets[text] + at] = _match(length, at + 1 - candidate)
                candidate = get(chain, candidate)
        fullest[text] = most


@kernel
def echoes(data, offsets, wanted, found, stops):  # type: ignore[no-untyped-def]
    """Where the first byte of a text comes again inside it: what a match with the end of a first text may go on with.

    Fills ``found`` uint32 ``(offsets[-1],)`` with place << 16 | bytes alike (at most MAX_MATCH), of all texts one after
    the other, and ``stops`` int64 ``(texts + 1,)``, zeros before, with where those of each text end.
    """
    count = np.int64(0)
    for text in range(offsets.size - 1):
        view = data[offsets[text] : offsets[text + 1] + PADDING]
        size = offsets[text + 1] - offsets[text] if wanted[text] else 0
        for at in range(1, size):
            if view[at] == view[0]:
                found[count] = (at << 16) | _match_length(view, np.int64(0), np.int64(at), min(MAX_MATCH, size - at))
                count += 1
        stops[text + 1] = count


@lean
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a key is in a table of open addresses (0: free), or would be."""
    mask = keys.size - 1
    slot = ((key * _SPREAD) >> 40) & mask
    while get(keys, slot) != 0 and get(keys, slot) != key:
        slot = (slot + 1) & mask
    return slot


@lean
def _string(data, at, size):  # type: ignore[no-untyped-def]
    """The ``size`` bytes from a position on as a number above 0."""
    key = np.int64(1)
    for i in range(size):
        key = (key << 8) | get(data, at + i)
    return key


@kernel
def number_strings(data, offsets, wanted, keys, values, numbers, strings):  # type: ignore[no-untyped-def]
    """Number the strings of LONGEST bytes, or as many as are left, of the wanted texts from 1 on; returns how many.

    ``strings`` int64 ``(n,)`` gets them as bytes << 3 | size, which sorts them as words are sorted, and ``numbers``
    int32 ``(offsets[-1],)``, zeros before, which of them begins at each position. ``keys`` int64 and ``values`` int32
    ``(a power of 2 above n,)``, zeros before, become a table of them. Returns -1 if there are more than n.
    """
    count = np.int64(0)
    for text in range(offsets.size - 1):
        stop = offsets[text + 1] if wanted[text] else offsets[text]
        for at in range(offsets[text], stop - SHORTEST + 1):
            size = min(np.int64(LONGEST), stop - at)
            written = _string(data, at, size) ^ (1 << (8 * size))
            key = (written << (8 * (LONGEST - size) + 3)) | size
            slot = _slot(keys, key)
            if keys[slot] == 0:
                if count == strings.size:
                    return np.int64(-1)
                strings[count] = key
                count += 1
                keys[slot], values[slot] = key, count
            numbers[at] = values[slot]
    return count


@kernel
def prefixes(strings, keys, ranges):  # type: ignore[no-untyped-def]
    """Which of the sorted strings begin with what; returns how many starts of SHORTEST to LONGEST bytes there are.

    ``keys`` int64 ``(a power of 2,)``, zeros before, becomes a table of these, as by :func:`_string`, with ``ranges``
    int32 ``(the same, 2)``: the number of the first string, and after the last. Of no size: they are counted only.
    """
    count = np.int64(0)
    for size in range(SHORTEST, LONGEST + 1):
        before, slot = np.int64(0), np.int64(0)
        for n in range(strings.size):
            if strings[n] & 7 < size:
                continue
            key = (1 << (8 * size)) | (strings[n] >> (8 * (LONGEST - size) + 3))
            count += key != before
            if keys.size > 0:
                if key != before:
                    slot = _slot(keys, key)
                    keys[slot], ranges[slot, 0] = key, n + 1
                ranges[slot, 1] = n + 2
            before = key
    return count


@kernel
def chain(data, size, chains, heads):  # type: ignore[no-untyped-def]
    """Chains over a text, int32 ``(2, >= size)``: the place before with the same 2 bytes, and the same LONGEST.

    Position 0 counts as none, as in zlib; some in the second chain only share a hash. ``heads`` int32 ``(256,)`` gets
    where the last byte comes last before each byte. Returns how often the commonest hash of zlib's occurs.
    """
    head, longest, count = np.zeros(1 << 16, np.uint16), np.zeros(_HASHES, np.uint16), np.zeros(_HASHES, np.uint16)
    most = np.int64(0)
    for at in range(1, size - 1):
        two = (get(data, at) << 8) | get(data, at + 1)
        chains[0, at], head[two] = head[two], at
        if at < size - 2:
            h = _hash(data, at)
            count[h] += 1
            most = max(most, np.int64(count[h]))
        if at + LONGEST <= size:
            h = ((_string(data, at, LONGEST) * _SPREAD) >> 40) & (_HASHES - 1)
            chains[1, at], longest[h] = longest[h], at
    for byte in range(256):
        heads[byte] = head[(get(data, size - 1) << 8) | byte]
    return most


@kernel
def index(data, size, tables, offers):  # type: ignore[no-untyped-def]
    """What a first text offers for each string of the second ones, uint32: length << 16 | last place; 0: nothing.

    Instead of LONGEST the length is that of _OPEN.
    """
    keys, ranges = tables
    offers[:] = 0
    for at in range(size - SHORTEST, 0, -1):
        for length in range(SHORTEST, min(LONGEST, size - at) + 1):
            slot = _slot(keys, _string(data, np.int64(at), length))
            if keys[slot] == 0:
                break  # then no text has a longer one either
            if offers[ranges[slot, 0]] >> 16 < length:
                offers[ranges[slot, 0] : ranges[slot, 1]] = at | (length << 16 if length < LONGEST else _OPEN)


@lean
def _find(own, numbers, begin, stop, offers, first, found):  # type: ignore[no-untyped-def]
    """The longest match of each position of a second text, from inside it or from what the first text offers."""
    shift = first - begin
    for at in range(begin, stop):
        offer = get(offers, get(numbers, at)) + _LOW - (shift + at)
        put(found, shift + at, max(get(own, at), offer))


@lean
def _search(data, first, size, at, match, own, begin, chains):  # type: ignore[no-untyped-def]
    """The longest match of a position where it is _OPEN: one of the first text, or where that offers LONGEST bytes."""
    before, alike_before, heads = chains
    cap = min(np.int64(MAX_MATCH), size - at)
    best, distance = np.int64(MIN_MATCH - 1), np.int64(1)
    if at >= first:
        inside = get(own, begin + at - first)
        if inside >= MIN_MATCH << 16:
            best, distance = inside >> 16, _LOW - (inside & _LOW)
        best, distance = _longer(data, at - _LOW + (match & _LOW), alike_before, at, best, distance, cap)
    else:
        candidate = get(before, at) if at < first - 1 else get(heads, get(data, first))
        best, distance = _longer(data, candidate, before, at, best, distance, cap)
    return _match(best, distance)


@lean
def _find_straddling(data, first, size, own, begin, chains, echo, start, stop, found):  # type: ignore[no-untyped-def]
    """Add the matches that begin among the last bytes of the first text, of which it has too few to offer them."""
    for n in range(start, stop):
        place, more = get(echo, n) >> 16, get(echo, n) & _LOW
        for back in range(1, min(place, first - 1, LONGEST - 1) + 1):
            at = first + place - back
            if get(data, at) != get(data, first - back):
                break
            if back + more >= MIN_MATCH:
                other = get(found, at)
                if other >= _OPEN:
                    other = _search(data, first, size, at, other, own, begin, chains)
                put(found, at, max(other, _match(min(back + more, MAX_MATCH), place)))


@lean
def _parse(data, first, size, at, found, own, begin, chains, literals, distances):  # type: ignore[no-untyped-def]
    """The lazy parse (zlib's ``deflate_slow``) of a pair from a position on; returns the number of symbols.

    Lazy means: a match is taken unless the next position has a longer one. Which it is cannot be predicted, so both the
    literal and the match are looked up, and counted without a branch.
    """
    symbols = np.int64(0)
    put(found, size, np.int64(0))
    while at < size:
        match, following = get(found, at), get(found, at + 1)
        if (match | following) >= _OPEN:
            here, match = (at, match) if match >= _OPEN else (at + 1, following)
            put(found, here, _search(data, first, size, here, match, own, begin, chains))
            continue
        length = match >> 16
        taken = np.int64(match >= _LEAST) & np.int64(length >= following >> 16)
        literal, symbol = get(data, at), get(LENGTH_SYMBOL, length)
        symbol = symbol if taken else literal
        put(literals, symbol, get(literals, symbol) + 1)
        code = _distance_symbol(_LOW - (match & _LOW))
        put(distances, code, get(distances, code) + taken)
        symbols += 1
        at += length if taken else np.int64(1)
    return symbols


@lean
def _distance_symbol(distance):  # type: ignore[no-untyped-def]
    """:func:`blocks.distance_symbol`."""
    d = distance - 1
    return get(blocks.DISTANCE_SYMBOL, d if d < 256 else 256 + (d >> 7))


@lean
def _sift_down(heap, k, size):  # type: ignore[no-untyped-def]
    """``blocks._sift_down`` with branches: here what the processor guesses ahead saves more than wrong guesses cost."""
    entry = get(heap, k)
    child = k << 1
    while child <= size:
        least, right = get(heap, child), get(heap, child + 1)
        if right <= (least | _NODE):
            child += 1
            least = right
        if entry <= (least | _NODE):
            break
        put(heap, k, least)
        k = child
        child <<= 1
    put(heap, k, entry)


@lean
def _code(frequencies, used, size, longest, lengths, heap, parent, depths):  # type: ignore[no-untyped-def]
    """Lengths of a code, as ``blocks.huffman_lengths``; returns the sum of frequency * length.

    ``used`` are the ``size`` symbols that occur, in order; ``lengths`` get theirs, by their rank among them. A code
    that comes out too long gives -1.
    """
    for k in range(size):
        put(heap, k + 1, (get(frequencies, get(used, k)) << 18) | k)
    leaves, node, top, bits = size, size, np.int64(1), np.int64(0)
    put(heap, size + 1, _NO_ENTRY)
    for k in range(size >> 1, 0, -1):
        _sift_down(heap, np.int64(k), size)
    while True:
        first = get(heap, top)
        put(heap, top, get(heap, size))
        put(heap, size, _NO_ENTRY)
        size -= 1
        _sift_down(heap, top, size)
        second = get(heap, top)
        put(parent, first & _NODE, node)
        put(parent, second & _NODE, node)
        depth = max((first >> 10) & 255, (second >> 10) & 255) + 1
        frequency = (first >> 18) + (second >> 18)
        bits += frequency
        put(heap, top, (frequency << 18) | (depth << 10) | node)
        node += 1
        if size < 2:
            break
        _sift_down(heap, top, size)
    deepest = np.int64(0)
    put(depths, node - 1, 0)
    for n in range(node - 2, -1, -1):
        depth = get(depths, get(parent, np.int64(n))) + 1
        put(depths, np.int64(n), depth)
        deepest = max(deepest, depth)
    for k in range(leaves):
        put(lengths, np.int64(k), get(depths, np.int64(k)))
    return bits if deepest <= longest else np.int64(-1)


@lean
def _count_runs(used, lengths, size, counts):  # type: ignore[no-untyped-def]
    """``blocks.count_runs`` for lengths by rank among the used symbols: by tables, as runs cannot be predicted."""
    following, before, run, others = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for rank in range(size):
        symbol, length = get(used, np.int64(rank)), get(lengths, np.int64(rank))
        run = (run + 1) * (np.int64(symbol == following) & np.int64(length == before))
        others += get(_GAPS, symbol - following) + get(_REPEATS, run)
        put(counts, length, get(counts, length) + get(_WRITTEN, run))
        following, before = symbol + 1, length
    for n, symbol in enumerate((0, 16, 17, 18)):
        counts[symbol] += (others >> (16 * n)) & _LOW


@lean
def _used(frequencies, used):  # type: ignore[no-untyped-def]
    """List the symbols that occur, in order; returns how many."""
    size = np.int64(0)
    for symbol in range(frequencies.size):
        put(used, size, np.int64(symbol))
        size += np.int64(get(frequencies, np.int64(symbol)) != 0)
    return size


@lean
def _distance_code(frequencies, used, size, lengths, heap, parent, depths):  # type: ignore[no-untyped-def]
    """:func:`_code` for distances; to fewer than two zlib adds what a code lacks. Returns (symbols, bits)."""
    if size >= 2:
        return size, _code(frequencies, used, size, 15, lengths, heap, parent, depths)
    only = used[0] if size == 1 else np.int64(0)
    used[0], used[1] = (only, only + 1) if only < 2 else (np.int64(0), only)
    lengths[0] = lengths[1] = 1
    return np.int64(2), np.int64(frequencies[only])


@lean
def _dynamic_bits(literals, literals_used, size, distances, distances_used, distances_size, work):  # type: ignore[no-untyped-def]
    """``blocks.dynamic_bits`` by the lists of symbols used; -1 where a code must be limited."""
    lengths, heap, parent, depths, counts = work[0], work[1], work[2], work[3], work[4][:BIT_LENGTHS]
    counts[:] = 0
    bits = _code(literals, literals_used, size, 15, lengths, heap, parent, depths)
    _count_runs(literals_used, lengths, size if bits >= 0 else 0, counts)
    distances_size, more = _distance_code(distances, distances_used, distances_size, lengths, heap, parent, depths)
    _count_runs(distances_used, lengths, distances_size if more >= 0 else 0, counts)
    if bits < 0 or more < 0:
        return np.int64(-1)
    size = _used(counts, distances_used)
    cost = _code(counts, distances_used, size, 7, lengths, heap, parent, depths)
    if cost < 0:
        return cost
    sent = np.int64(18)
    while sent >= 3 and counts[BIT_LENGTH_ORDER[sent]] == 0:
        sent -= 1
    return bits + more + cost + 14 + 3 * (sent + 1) + 2 * counts[16] + 3 * counts[17] + 7 * counts[18]


@inner
def _limited_bits(literals, distances):  # type: ignore[no-untyped-def]
    """``blocks.dynamic_bits``, which knows what to do with a code that comes out too long."""
    scratch = np.zeros((4, 1024), np.int64)
    return blocks.dynamic_bits(literals.astype(np.int64), distances.astype(np.int64), scratch)


@lean
def _block_bits(literals, distances, size_bytes, work):  # type: ignore[no-untyped-def]
    """Bits of a stream's only block; -1 where a code must be limited."""
    literals_used, distances_used, block = work[5], work[6], work[7]
    literals_size, distances_size = _used(literals, literals_used), _used(distances, distances_used)
    fixed, extra = np.int64(0), np.int64(0)
    for rank in range(literals_size):
        symbol = get(literals_used, np.int64(rank))
        fixed += get(literals, symbol) * get(FIXED_LENGTH, symbol)
        extra += get(literals, symbol) * get(_SYMBOL_EXTRA, symbol)
    for rank in range(distances_size):
        symbol = get(distances_used, np.int64(rank))
        fixed += get(distances, symbol) * 5
        extra += get(distances, symbol) * get(DISTANCE_EXTRA, symbol)
    block[blocks.FIXED_BITS], block[blocks.EXTRA_BITS], block[blocks.START] = fixed, extra, 0
    dynamic = _dynamic_bits(literals, literals_used, literals_size, distances, distances_used, distances_size, work)
    return blocks.close_block(np.int64(0), dynamic, block, size_bytes, True) if dynamic >= 0 else dynamic


@kernel
def pair_bits(data, first, start, counts, chains, heads, offers, texts, offsets, known, wanted, out):  # type: ignore[no-untyped-def]
    """Bits of a first text followed by each of the wanted texts; -1 where that is more than a block.

    ``data`` uint8 holds the first text, of ``first`` bytes, and room for the longest other and PADDING. ``start`` int64
    (5,) is the state of its parse and the symbols so far, ``counts`` int64 (286 + 30,) what they are. ``chains`` and
    ``heads`` are of :func:`chain`, ``offers`` of :func:`index`, ``known`` of :func:`inside`, :func:`number_strings` and
    :func:`echoes`. ``wanted`` int64 ``(n,)`` are indices of texts, ``out`` float64 ``(n,)``.
    """
    own, numbers, echo, stops = known
    places = chains[0], chains[1], heads
    literals, distances = np.empty(LITERALS, np.int32), np.empty(DISTANCES, np.int32)
    work = np.zeros((8, 640), np.int64)
    found = np.zeros(data.size, np.uint32)
    # The parse was left after a match that may still be taken, after a literal that is for sure, or between symbols.
    at, waiting, symbols = start[0], np.int64(_OPEN), start[4]
    counts = counts.copy()
    if start[1] >= MIN_MATCH:
        at, waiting = at - 1, _match(start[1], at - 1 - start[2])
    elif start[3] != 0:
        counts[data[at - 1]] += 1
        symbols += 1
    for n in range(wanted.size):
        begin, stop = offsets[wanted[n]], offsets[wanted[n] + 1]
        size = first + stop - begin
        for i in range(stop - begin):
            put(data, first + i, get(texts, begin + i))
        for i in range(LITERALS):
            put(literals, np.int64(i), get(counts, np.int64(i)))
        for i in range(DISTANCES):
            put(distances, np.int64(i), get(counts, np.int64(LITERALS + i)))
        for i in range(at, first):
            put(found, i, waiting if i == at else np.int64(_OPEN))
        _find(own, numbers, begin, stop, offers, first, found)
        _find_straddling(data, first, size, own, begin, places, echo, stops[wanted[n]], stops[wanted[n] + 1], found)
        if symbols + _parse(data, first, size, at, found, own, begin, places, literals, distances) >= _SYMBOL_LIMIT:
            out[n] = -1
            continue
        bits = _block_bits(literals, distances, size, work)
        if bits < 0:
            bits = blocks.close_block(np.int64(0), _limited_bits(literals, distances), work[7], size, True)
        out[n] = bits
