"""zlib's LZ77 parse, split where it starts to depend on bytes that are not known yet.

Follows zlib's ``deflate.c`` (Gailly and Adler; RFC 1951, section 4): hash chains over 3-byte strings, the greedy parse
of levels 1-3 (``deflate_fast``) and the lazy parse of levels 4-9 (``deflate_slow``), with their limits, so that the
symbols are zlib's own. What the parse does at a position depends on later bytes only if some candidate matches all that
is known from there on, or if fewer than 3 bytes are known. :func:`advance` goes on up to the first such position, for
good; :func:`tail` follows the rest, which is short, for an unknown last byte that continues no match, and notes at
which position which values of that byte would have continued one. Those values then end in that match: nothing longer
can follow.

Positions are absolute. zlib's window slides under the data; :data:`BASE` is where it starts. Position 0 stands for
"none" in the hash table, as in zlib, where it is never matched.
"""

from __future__ import annotations

import numpy as np

from baselines import _deflate_blocks as blocks
from baselines._deflate_blocks import MAX_MATCH, MIN_MATCH
from compgen.jit import inner, kernel

_MIN_LOOKAHEAD = MAX_MATCH + MIN_MATCH + 1
_TOO_FAR = 4096

# Indices into ``settings`` int64 (9,).
GOOD, LAZY, NICE, CHAIN, WINDOW, HASH_BITS, SYMBOL_LIMIT, GREEDY, FILTERED = range(9)
# Indices into ``state`` int64 (8,).
KNOWN = 0  # bytes of data known
POSITION = 1  # next position to parse
BASE = 2  # where the window starts
BITS = 3  # bits of all finished blocks
MATCH_LENGTH = 4  # match found at the previous position, not emitted yet (lazy parse)
MATCH_START = 5
LITERAL_WAITS = 6  # is the byte before the position not emitted yet? (lazy parse)
EMITTED = 7  # end of the last symbol emitted

#: Room for what :func:`tail` can find: fewer than _MIN_LOOKAHEAD positions are open.
MAX_TAIL = 2 * MAX_MATCH


@inner
def _hash(data, position, third, settings):  # type: ignore[no-untyped-def]
    """zlib's rolling hash of two bytes of data and a third."""
    bits = settings[HASH_BITS]
    shift = (bits + MIN_MATCH - 1) // MIN_MATCH
    value = (np.int64(data[position]) << (2 * shift)) ^ (np.int64(data[position + 1]) << shift) ^ np.int64(third)
    return value & ((1 << bits) - 1)


@inner
def _insert(data, position, head, previous, settings):  # type: ignore[no-untyped-def]
    """Enter the string at a position into the hash table; returns its hash and the head of its chain before."""
    h = _hash(data, position, np.int64(data[position + 2]), settings)
    candidate = head[h]
    previous[position & (settings[WINDOW] - 1)] = candidate
    head[h] = position
    return h, candidate


@inner
def _longest_match(data, known, position, candidate, best, previous, settings, reaching):  # type: ignore[no-untyped-def]
    """zlib's ``longest_match`` over the known bytes; ``best`` is the length to beat. Returns (length, start).

    A candidate that matches all known bytes would go on with its own next byte: for each byte value the first such
    candidate is noted in ``reaching`` (256,), if that has room; if it is empty, the search stops there with length -1.
    """
    furthest = settings[WINDOW] - _MIN_LOOKAHEAD
    if candidate == 0 or position - candidate > furthest:
        return best, np.int64(0)
    limit = max(position - furthest, 0)
    mask = settings[WINDOW] - 1
    chain = settings[CHAIN] >> 2 if best >= settings[GOOD] else settings[CHAIN]
    cap = min(known - position, MAX_MATCH)
    start = np.int64(0)
    while True:
        check = min(best, cap - 1)
        if (
            data[candidate + check] == data[position + check]
            and data[candidate + check - 1] == data[position + check - 1]
            and data[candidate] == data[position]
            and data[candidate + 1] == data[position + 1]
        ):
            length = np.int64(2)
            while length < cap and data[candidate + length] == data[position + length]:
                length += 1
            if length == cap and cap < MAX_MATCH:
                if reaching.size == 0:
                    return np.int64(-1), np.int64(0)
                following = data[candidate + cap]
                if reaching[following] == 0:
                    reaching[following] = candidate
            if length > best:
                best = length
                start = candidate
                if length >= settings[NICE]:
                    break
        candidate = np.int64(previous[candidate & mask])
        chain -= 1
        if candidate <= limit or chain == 0:
            break
    return best, start


@inner
def _rejected(length, distance, settings):  # type: ignore[no-untyped-def]
    """Matches that the lazy parse does not think worth their distance."""
    if length > 5:
        return False
    return settings[FILTERED] != 0 or (length == MIN_MATCH and distance > _TOO_FAR)


@inner
def window_base(base, position, end, settings):  # type: ignore[no-untyped-def]
    """Where zlib's window starts when the parse comes to a position and the input ends at ``end``."""
    window = settings[WINDOW]
    if min(end, base + 2 * window) - position < _MIN_LOOKAHEAD and position - base >= 2 * window - _MIN_LOOKAHEAD:
        return base + window
    return base


@kernel
def flush_if_full(literals, distances, block, at, end, base, settings, work):  # type: ignore[no-untyped-def]
    """Close the block if its symbol buffer is full; returns the position in bits."""
    if block[blocks.SYMBOLS] < settings[SYMBOL_LIMIT]:
        return at
    dynamic = blocks.dynamic_bits(literals, distances, work)
    at = blocks.close_block(at, dynamic, block, end, block[blocks.START] >= base)
    blocks.new_block(literals, distances, block, end)
    return at


@kernel
def advance(data, state, settings, head, previous, literals, distances, block):  # type: ignore[no-untyped-def]
    """Parse on as long as the outcome is the same whatever bytes follow the known ones.

    Stops early after the symbol that fills a block. That is the only time it returns True; the caller then has the
    block closed (:func:`flush_if_full`) and calls again.
    """
    nothing = np.empty(0, np.int64)
    known = state[KNOWN]
    while True:
        position = state[POSITION]
        if position + MIN_MATCH > known:
            return False
        base = window_base(state[BASE], position, np.int64(1) << 62, settings)
        if base == state[BASE] and base != window_base(base, position, known, settings):
            return False  # the window slides here only if the input ends soon
        waiting, waiting_start = state[MATCH_LENGTH], state[MATCH_START]
        best, start = np.int64(MIN_MATCH - 1), np.int64(0)
        if waiting < settings[LAZY]:
            candidate = np.int64(head[_hash(data, position, np.int64(data[position + 2]), settings)])
            best, start = _longest_match(data, known, position, candidate, waiting, previous, settings, nothing)
            if best < 0:
                return False
        if settings[GREEDY] != 0:
            length, distance, end = best, position - start, position + best
            insert_inside = best <= settings[LAZY]
            literal = position
            if length >= MIN_MATCH and end + MIN_MATCH > known:
                return False
        else:
            if _rejected(best, position - start, settings):
                best = np.int64(MIN_MATCH - 1)
            length, distance, end = waiting, position - 1 - waiting_start, position - 1 + waiting
            insert_inside = True
            literal = position - 1
            if best > waiting:
                length = np.int64(0)
            if length >= MIN_MATCH and end + MIN_MATCH - 1 > known:
                return False

        _insert(data, position, head, previous, settings)
        state[BASE] = base
        before = block[blocks.SYMBOLS]
        if length >= MIN_MATCH:
            blocks.add_match(literals, distances, block, length, distance)
            if insert_inside:
                for inside in range(position + 1, end):
                    _insert(data, inside, head, previous, settings)
            state[POSITION] = state[EMITTED] = end
            state[MATCH_LENGTH], state[LITERAL_WAITS] = MIN_MATCH - 1, 0
        else:
            if settings[GREEDY] != 0 or state[LITERAL_WAITS] != 0:
                blocks.add_literal(literals, block, np.int64(data[literal]))
                state[EMITTED] = literal + 1
            state[POSITION] = position + 1
            if settings[GREEDY] == 0:
                state[LITERAL_WAITS] = 1
                state[MATCH_LENGTH], state[MATCH_START] = best, start
        if block[blocks.SYMBOLS] > before and block[blocks.SYMBOLS] >= settings[SYMBOL_LIMIT]:
            return True


# Columns of ``steps`` int64 (MAX_TAIL, 4): the symbols of the open end, for a last byte that continues no match.
LENGTH = 0  # of the match; 0 for a literal
VALUE = 1  # distance of the match, or the literal byte
END = 2  # position after it
STEP_BASE = 3  # where zlib's window starts when it is emitted
# Columns of ``endings`` int64 (256, 5), by last byte: the match that ends with it.
# LENGTH (0 for a byte that ends no match), VALUE = distance, and
AFTER = 2  # number of steps that come before it
PENDING = 3  # 1 + the literal byte that comes between, or 0
ENDING_BASE = 4


@inner
def _note_endings(reaching, endings, position, end, after, pending, base, settings):  # type: ignore[no-untyped-def]
    """Enter the last bytes that turn a candidate (``reaching``, by byte) into a match up to the end of the input."""
    length = end - position
    for byte in range(256):
        candidate = reaching[byte]
        if candidate == 0 or endings[byte, LENGTH] != 0:
            continue
        distance = position - candidate
        if settings[GREEDY] == 0 and _rejected(length, distance, settings):
            continue
        endings[byte, LENGTH] = length
        endings[byte, VALUE] = distance
        endings[byte, AFTER] = after
        endings[byte, PENDING] = pending
        endings[byte, ENDING_BASE] = base


@inner
def _reach_last_three(data, position, head, previous, settings, reaching):  # type: ignore[no-untyped-def]
    """For a position with two known bytes left: the candidate that zlib finds for each value of the third."""
    furthest = settings[WINDOW] - _MIN_LOOKAHEAD
    limit = max(position - furthest, 0)
    mask = settings[WINDOW] - 1
    for byte in range(256):
        candidate = np.int64(head[_hash(data, position, byte, settings)])
        if candidate == 0 or position - candidate > furthest:
            continue
        chain = settings[CHAIN]
        while True:
            if (
                data[candidate + 2] == byte
                and data[candidate + 1] == data[position + 1]
                and data[candidate] == data[position]
            ):
                reaching[byte] = candidate
                break
            candidate = np.int64(previous[candidate & mask])
            chain -= 1
            if candidate <= limit or chain == 0:
                break


@inner
def tail(data, state, settings, head, previous, steps, endings):  # type: ignore[no-untyped-def]
    """Follow the parse from where :func:`advance` stopped to the end of the known bytes and one unknown byte.

    Fills ``steps`` and ``endings``, leaves everything else as it was; returns the number of steps and the window's
    start. A byte without an ending is a literal after all steps.
    """
    known = state[KNOWN]
    end = known + 1
    position, base = state[POSITION], state[BASE]
    waiting, waiting_start, literal_waits = state[MATCH_LENGTH], state[MATCH_START], state[LITERAL_WAITS]
    greedy = settings[GREEDY] != 0
    reaching = np.zeros(256, np.int64)
    undo = np.empty((MAX_TAIL, 2), np.int64)
    inserted, count = np.int64(0), np.int64(0)
    for byte in range(256):
        endings[byte, LENGTH] = 0
    while position < end:
        base = window_base(base, position, end, settings)
        best, start = np.int64(MIN_MATCH - 1), np.int64(0)
        promising = waiting < settings[LAZY] and waiting < end - position
        candidate = np.int64(0)
        if position + MIN_MATCH <= known:
            undo[inserted, 0], candidate = _insert(data, position, head, previous, settings)
            undo[inserted, 1] = candidate
            inserted += 1
        if promising and position + 2 <= known:
            for byte in range(256):
                reaching[byte] = 0
            if position + 2 == known:
                _reach_last_three(data, position, head, previous, settings, reaching)
            else:
                best, start = _longest_match(data, known, position, candidate, waiting, previous, settings, reaching)
            pending = 1 + np.int64(data[position - 1]) if literal_waits != 0 else np.int64(0)
            _note_endings(reaching, endings, position, end, count, pending, base, settings)
            if not greedy and _rejected(best, position - start, settings):
                best = np.int64(MIN_MATCH - 1)

        if greedy:
            emitted, distance, stop = best, position - start, position + best
            insert_inside = best <= settings[LAZY] and end - stop >= MIN_MATCH
        else:
            emitted, distance, stop = waiting, position - 1 - waiting_start, position - 1 + waiting
            insert_inside = True
            if best > waiting:
                emitted = np.int64(0)
        if emitted >= MIN_MATCH:
            steps[count, LENGTH], steps[count, VALUE] = emitted, distance
            if insert_inside:
                for inside in range(position + 1, min(stop, known - MIN_MATCH + 1)):
                    undo[inserted, 0], undo[inserted, 1] = _insert(data, inside, head, previous, settings)
                    inserted += 1
            waiting, literal_waits = np.int64(MIN_MATCH - 1), np.int64(0)
        else:
            literal = position if greedy else position - 1
            stop = position + 1
            emitted = np.int64(0)
            steps[count, LENGTH] = 0
            if (greedy and position < known) or literal_waits != 0:
                steps[count, VALUE] = data[literal]
                emitted = np.int64(1)
            if not greedy:
                literal_waits = np.int64(1)
                waiting, waiting_start = best, start
        if emitted != 0:
            steps[count, END] = stop if greedy or steps[count, LENGTH] != 0 else position
            steps[count, STEP_BASE] = base
            count += 1
        position = stop
    for i in range(inserted - 1, -1, -1):
        head[undo[i, 0]] = undo[i, 1]
    return count, window_base(base, end, end, settings)
