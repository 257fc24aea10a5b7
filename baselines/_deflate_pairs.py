"""The exact deflate lengths of one text followed by each of many, sharing what pairs have in common.

The pairs x y of one x and many y share zlib's parse of x, and where x has which strings; the pairs of one y share the
longest matches inside y. So a pair costs the lazy parse over y, where a few look-ups tell what x has to offer at each
position, and the codes of one block. This holds while none of zlib's limits is met: level 9, a pair within the window,
no more candidates for a match than the shortest chain, one block. A pair that fills a block gets -1, and
:func:`baselines.deflate.pair_bits` computes it, and those beyond the other limits, in another way.

Strings of x are looked up by number: those of 3, 4, 5 and 6 bytes that occur in any y are numbered once, each position
of y knows its four numbers, and ``places`` says for each number where x has it last. Matches of 3 to 5 bytes are these
places; longer ones are found along a chain of the places that share 6 bytes.
"""

from __future__ import annotations

import numpy as np

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
from compgen.jit import inner, kernel

#: Bytes after the end of a text that :func:`alike` may read.
PADDING = 16
#: Lengths of the strings that are numbered: 3, 4, 5 and 6 bytes.
STRINGS, SHORTEST = 4, MIN_MATCH
#: A pair beyond these meets a limit of zlib: the window less what it looks ahead, and its shortest search in a chain.
LONGEST_PAIR, MOST_CANDIDATES = (1 << 15) - MAX_MATCH - MIN_MATCH - 1, 4096 // 4 - 8
_TOO_FAR = 4096
_SYMBOL_LIMIT = (1 << 14) - 1
_HASHES = 1 << 15

_SYMBOL_EXTRA = np.zeros(LITERALS, np.int64)
_SYMBOL_EXTRA[LENGTH_SYMBOL[MIN_MATCH:]] = LENGTH_EXTRA[MIN_MATCH:]

# A node in the heap is one integer, as in ``_deflate_blocks``: frequency << 18 | depth << 10 | node.
_NODE = 1023
_NO_ENTRY = 1 << 62


@inner
def _hash(data, at):  # type: ignore[no-untyped-def]
    """zlib's hash of three bytes at memory level 8."""
    return ((get(data, at) << 10) ^ (get(data, at + 1) << 5) ^ get(data, at + 2)) & (_HASHES - 1)


@inner
def _match_length(data, candidate, at, cap):  # type: ignore[no-untyped-def]
    """Bytes alike from two positions on, at most ``cap``."""
    length = np.int64(0)
    while length < cap:
        same = alike(data, candidate + length, at + length)
        length += same
        if same < 8:
            break
    return min(length, cap)


@inner
def _longer(data, candidate, chain, at, best, distance, cap):  # type: ignore[no-untyped-def]
    """The longest match, if longer than ``best``, the nearest of equals, along a chain; returns (length, distance)."""
    while candidate > 0 and best < cap:
        if get(data, candidate + best) == get(data, at + best):
            length = _match_length(data, candidate, at, cap)
            if length > best:
                best, distance = length, at - candidate
        candidate = get(chain, candidate)
    return best, distance


@kernel
def inside(data, offsets, wanted, lengths, distances, fullest):  # type: ignore[no-untyped-def]
    """The longest match of each position of each text inside that text, the nearest of equals.

    ``data`` uint8: texts at ``offsets`` int64 ``(texts + 1,)``, with PADDING bytes behind the last. For the texts
    ``wanted``, bool ``(texts,)``, fills ``lengths`` (0: none) and ``distances``, uint16 ``(offsets[-1],)``, and
    ``fullest`` int64 ``(texts,)``: how often the commonest hash occurs in each text.
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
        for at in range(size):
            lengths[offsets[text] + at] = distances[offsets[text] + at] = 0
            if at + MIN_MATCH > size:
                continue
            head[_hash(view, at)] = 0
            count[_hash(view, at)] = 0
            cap = min(np.int64(MAX_MATCH), size - at)
            best, candidate = np.int64(MIN_MATCH - 1), np.int64(chain[at + 1])
            while candidate > 0 and best < cap:
                if get(view, candidate - 1 + best) == get(view, at + best):
                    length = _match_length(view, candidate - 1, at, cap)
                    if length > best:
                        best = length
                        lengths[offsets[text] + at] = length
                        distances[offsets[text] + at] = at + 1 - candidate
                candidate = get(chain, candidate)
        fullest[text] = most


@inner
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a key is in a table of open addresses (0: free), or would be."""
    mask = keys.size - 1
    slot = ((key * 0x9E3779B97F4A7C1) >> 24) & mask
    while get(keys, slot) != 0 and get(keys, slot) != key:
        slot = (slot + 1) & mask
    return slot


@inner
def _string(data, at, size):  # type: ignore[no-untyped-def]
    """The ``size`` bytes from a position on as a number above 0."""
    key = np.int64(1)
    for i in range(size):
        key = (key << 8) | get(data, at + i)
    return key


@kernel
def number_strings(data, offsets, wanted, keys, values, numbers):  # type: ignore[no-untyped-def]
    """Number the strings of each length that the wanted texts have, from 1 on; returns how many there are at most.

    ``keys`` int64 and ``values`` int32 ``(STRINGS, a power of 2)``, zeros before, become the tables of them, and -1 is
    returned if that is too small. ``numbers`` int32 ``(offsets[-1] * STRINGS,)`` gets the strings that begin at each
    position, 0 where the text is over before.
    """
    count = np.zeros(STRINGS, np.int64)
    for text in range(offsets.size - 1):
        stop = offsets[text + 1]
        for at in range(offsets[text], stop if wanted[text] else offsets[text]):
            for column in range(STRINGS):
                numbers[at * STRINGS + column] = 0
                if at + SHORTEST + column > stop:
                    continue
                key = _string(data, at, SHORTEST + column)
                slot = _slot(keys[column], key)
                if keys[column, slot] == 0:
                    count[column] += 1
                    if 2 * count[column] > keys.shape[1]:
                        return np.int64(-1)
                    keys[column, slot], values[column, slot] = key, count[column]
                numbers[at * STRINGS + column] = values[column, slot]
    return count.max()


@inner
def _number(data, at, column, tables):  # type: ignore[no-untyped-def]
    """The number of the string at a position; 0 if no text has it."""
    keys, values = tables
    return get(values[column], _slot(keys[column], _string(data, at, SHORTEST + column)))


@kernel
def chain(data, size, chains):  # type: ignore[no-untyped-def]
    """zlib's hash chains over a text: ``chains[0]``, int32 ``(>= size,)``, the place before with the same hash.

    Position 0 counts as none, as in zlib; -1: not known. Returns how often the commonest hash occurs.
    """
    head, count = np.zeros(_HASHES, np.uint16), np.zeros(_HASHES, np.uint16)
    most = np.int64(0)
    for at in range(1, size - 2):
        h = _hash(data, at)
        chains[0, at] = head[h]
        head[h] = at
        count[h] += 1
        most = max(most, np.int64(count[h]))
    for at in range(max(1, size - 2), size):  # the second text has the end of these
        chains[0, at] = -1
    return most


@kernel
def index(data, size, chains, places, tables):  # type: ignore[no-untyped-def]
    """Where a first text has what: the last place of each numbered string, position 0 left out.

    ``places`` uint16 ``(STRINGS, >= numbers + 1)``, zeros before, gets the last place by number; ``chains[1]``, int32
    ``(>= size,)``, the place before with the same longest string.
    """
    for at in range(1, size - 2):
        for column in range(min(STRINGS, size - at - 2)):
            number = _number(data, at, column, tables)
            if number == 0:
                break  # then no text has a longer one either
            if column == STRINGS - 1:
                chains[1, at] = places[column, number]
            places[column, number] = at


@kernel
def forget(data, size, places, tables):  # type: ignore[no-untyped-def]
    """Undo :func:`index`."""
    for at in range(1, size - 2):
        for column in range(min(STRINGS, size - at - 2)):
            number = _number(data, at, column, tables)
            if number == 0:
                break
            places[column, number] = 0


@inner
def _enter_straddling(data, first, size, chains, places, tables, undo):  # type: ignore[no-untyped-def]
    """Enter the strings that begin in the first text and end in the second; returns how many. ``undo`` (16, 3)."""
    entered = np.int64(0)
    for at in range(max(1, first - SHORTEST - STRINGS + 2), first):
        for column in range(max(0, first - at - SHORTEST + 1), STRINGS):
            number = _number(data, at, column, tables) if at + SHORTEST + column <= size else np.int64(0)
            if number == 0:
                break
            undo[entered, 0], undo[entered, 1], undo[entered, 2] = column, number, places[column, number]
            entered += 1
            if column == STRINGS - 1:
                chains[1, at] = places[column, number]
            places[column, number] = at
    return entered


@inner
def _longer_anywhere(data, at, best, distance, cap):  # type: ignore[no-untyped-def]
    """:func:`_longer` for the last two places of a first text, which are in no chain: by looking everywhere."""
    for candidate in range(at - 1, 0, -1):
        if get(data, candidate) == get(data, at) and get(data, candidate + best) == get(data, at + best):
            length = _match_length(data, np.int64(candidate), at, cap)
            if length > best:
                best, distance = length, at - candidate
                if best == cap:
                    break
    return best, distance


@inner
def _parse(data, first, size, start, known, begin, chains, places, literals, distances):  # type: ignore[no-untyped-def]
    """The lazy parse (zlib's ``deflate_slow``) of a pair from where the parse of its first text was left.

    ``start`` is (position, match length, match start, does a literal wait); counts go to ``literals``, ``distances``.
    Returns the number of symbols.
    """
    lengths, nearest, numbers = known
    threes, fours, fives, sixes = places[0], places[1], places[2], places[3]
    before, alike_before = chains[0], chains[1]
    at, waiting, waiting_distance, literal_waits = start[0], start[1], start[0] - 1 - start[2], start[3] != 0
    shift = begin - first
    symbols = np.int64(0)
    while at < size:
        best, distance = waiting, np.int64(0)
        cap = min(np.int64(MAX_MATCH), size - at)
        if cap >= MIN_MATCH and waiting < MAX_MATCH:
            if at >= first:
                length = get(lengths, at + shift)
                if length > best:
                    best, distance = length, get(nearest, at + shift)
                row = (at + shift) * STRINGS
                six = get(sixes, get(numbers, row + 3))
                if six > 0:
                    best, distance = _longer(data, six, alike_before, at, best, distance, cap)
                else:
                    three = get(threes, get(numbers, row))
                    four = get(fours, get(numbers, row + 1))
                    five = get(fives, get(numbers, row + 2))
                    length = MIN_MATCH - 1 + np.int64(three > 0) + np.int64(four > 0) + np.int64(five > 0)
                    if length > best:
                        best, distance = length, at - (five if five > 0 else four if four > 0 else three)
            elif get(before, at) >= 0:
                best, distance = _longer(data, get(before, at), before, at, best, distance, cap)
            else:
                best, distance = _longer_anywhere(data, at, best, distance, cap)
            if best == MIN_MATCH and distance > _TOO_FAR:
                best = np.int64(MIN_MATCH - 1)
        if waiting >= MIN_MATCH and best <= waiting:
            symbol, code = get(LENGTH_SYMBOL, waiting), _distance_symbol(waiting_distance)
            put(literals, symbol, get(literals, symbol) + 1)
            put(distances, code, get(distances, code) + 1)
            symbols += 1
            at += waiting - 1
            waiting, literal_waits = np.int64(MIN_MATCH - 1), False
        else:
            if literal_waits:
                symbol = get(data, at - 1)
                put(literals, symbol, get(literals, symbol) + 1)
                symbols += 1
            literal_waits = True
            waiting, waiting_distance = best, distance
            at += 1
    if literal_waits:
        symbol = get(data, at - 1)
        put(literals, symbol, get(literals, symbol) + 1)
        symbols += 1
    return symbols


@inner
def _distance_symbol(distance):  # type: ignore[no-untyped-def]
    """:func:`blocks.distance_symbol`."""
    d = distance - 1
    return get(blocks.DISTANCE_SYMBOL, d if d < 256 else 256 + (d >> 7))


@inner
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


@inner
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


@inner
def _zeros(run, counts):  # type: ignore[no-untyped-def]
    """Count what describes a run of symbols without a code, as ``blocks.count_runs``."""
    while run >= 138:
        counts[18] += 1
        run -= 138
    if run >= 11:
        counts[18] += 1
    elif run >= 3:
        counts[17] += 1
    else:
        counts[0] += run


@inner
def _count_runs(used, lengths, size, counts):  # type: ignore[no-untyped-def]
    """``blocks.count_runs`` for lengths by rank among the used symbols."""
    rank, following = np.int64(0), np.int64(0)  # the symbol that comes next
    while rank < size:
        symbol, length = get(used, rank), get(lengths, rank)
        if symbol > following:
            _zeros(symbol - following, counts)
        run = np.int64(1)
        while rank + run < size and get(used, rank + run) == symbol + run and get(lengths, rank + run) == length:
            run += 1
        rank += run
        following = symbol + run
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
def _used(frequencies, used):  # type: ignore[no-untyped-def]
    """List the symbols that occur, in order; returns how many."""
    size = np.int64(0)
    for symbol in range(frequencies.size):
        put(used, size, np.int64(symbol))
        size += np.int64(get(frequencies, np.int64(symbol)) != 0)
    return size


@inner
def _distance_code(frequencies, used, size, lengths, heap, parent, depths):  # type: ignore[no-untyped-def]
    """:func:`_code` for distances; to fewer than two zlib adds what a code lacks. Returns (symbols, bits)."""
    if size >= 2:
        return size, _code(frequencies, used, size, 15, lengths, heap, parent, depths)
    only = used[0] if size == 1 else np.int64(0)
    used[0], used[1] = (only, only + 1) if only < 2 else (np.int64(0), only)
    lengths[0] = lengths[1] = 1
    return np.int64(2), np.int64(frequencies[only])


@inner
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
def _block_bits(literals, distances, size_bytes, work):  # type: ignore[no-untyped-def]
    """Bits of a stream's only block."""
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
    if dynamic < 0:
        scratch = np.zeros((4, 1024), np.int64)
        dynamic = blocks.dynamic_bits(literals.astype(np.int64), distances.astype(np.int64), scratch)
    return blocks.close_block(np.int64(0), dynamic, block, size_bytes, True)


@kernel
def pair_bits(data, first, start, counts, chains, places, tables, texts, offsets, known, wanted, out):  # type: ignore[no-untyped-def]
    """Bits of a first text followed by each of the wanted texts; -1 where that is more than a block.

    ``data`` uint8 holds the first text, of ``first`` bytes, and room for the longest other and PADDING. ``start`` int64
    (5,) is the state of its parse and the symbols so far, ``counts`` int64 (286 + 30,) what they are. ``chains`` and
    ``places`` are of :func:`chain` and :func:`index`, ``tables`` and ``known`` of
    :func:`number_strings` and :func:`inside`. ``wanted`` int64 ``(n,)`` are indices of texts, ``out`` float64 ``(n,)``.
    """
    literals, distances = np.empty(LITERALS, np.int32), np.empty(DISTANCES, np.int32)
    work = np.zeros((8, 640), np.int64)
    undo = np.zeros((16, 3), np.int64)
    for n in range(wanted.size):
        begin, stop = offsets[wanted[n]], offsets[wanted[n] + 1]
        size = first + stop - begin
        for i in range(stop - begin):
            put(data, first + i, get(texts, begin + i))
        for i in range(LITERALS):
            put(literals, np.int64(i), get(counts, np.int64(i)))
        for i in range(DISTANCES):
            put(distances, np.int64(i), get(counts, np.int64(LITERALS + i)))
        entered = _enter_straddling(data, first, size, chains, places, tables, undo)
        symbols = start[4] + _parse(data, first, size, start, known, begin, chains, places, literals, distances)
        for i in range(entered - 1, -1, -1):
            places[undo[i, 0], undo[i, 1]] = undo[i, 2]
        out[n] = _block_bits(literals, distances, size, work) if symbols < _SYMBOL_LIMIT else -1
