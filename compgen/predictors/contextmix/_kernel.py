"""The compiled loops of ``cm``: contexts, prediction, learning, and the arithmetic coder around them.

``docs/context_mixing.md`` describes the model, ``model.py`` the arrays (the fields of ``m`` here). Everything is
integer arithmetic. What the model knows changes at the end of a byte only, in :func:`_learn`; so the probabilities of
all 256 bytes are a function of the state, and :func:`distribution` reads them off without disturbing anything.

Indices are unsigned where a loop is hot: signed ones cost a test for wrap-around.
"""

from __future__ import annotations

import numpy as np

from compgen.jit import kernel
from compgen.predictors.contextmix import _guides as guides
from compgen.predictors.contextmix._fields import (
    AGE,
    CLOSE,
    CONTEXTS,
    DECODE,
    EARLIER,
    ENCODE,
    FAMILY,
    FAR,
    GAP,
    HEADS,
    I32,
    I64,
    INPUTS,
    K1,
    K2,
    K3,
    K4,
    K5,
    KEY,
    KEY2,
    KNOWN,
    L1,
    L2,
    L3,
    LINE,
    LINE2,
    LINES,
    MATCH,
    MATCH_LENGTH,
    MEANS,
    MINIMUM,
    N_LOGIT,
    N_MAP,
    N_MAP2,
    N_MATCH,
    N_P,
    N_P2,
    N_ROW,
    N_ROW2,
    NEAR,
    NOTES,
    PLACE,
    POSITION,
    RATE,
    RECENT,
    REFINE_SHIFT,
    REFINING,
    SCORE,
    SETS,
    SHIFT,
    SLOTS,
    SPEED,
    SPEED_START,
    U32,
    WORD,
    WORD1,
    WORD2,
    U,
)
from compgen.predictors.contextmix._fields import inlined as _inlined
from compgen.predictors.contextmix._fields import lent as _lent
from compgen.predictors.contextmix._hints import opaque, prefetch
from compgen.predictors.contextmix._journal import note_head, note_refined, note_slot
from compgen.predictors.contextmix._numbers import read_numbers, split_numbers
from compgen.predictors.contextmix._vectors import dot, train

# --- counts: constants in the kernels of text, so that loops over them are unrolled (see model.Counts) ---------------


@_inlined
def _contexts(m):  # type: ignore[no-untyped-def]
    n = len(m.counts.contexts)
    return U(n) if n > 0 else U(m.settings[CONTEXTS])


@_inlined
def _columns(m):  # type: ignore[no-untyped-def]
    n = len(m.counts.vectors)
    return U(8 * n) if n > 0 else U(m.settings[INPUTS])


@_inlined
def _sets(m):  # type: ignore[no-untyped-def]
    n = len(m.counts.sets)
    return U(n) if n > 0 else U(m.settings[SETS])


@_inlined
def _is_text(m):  # type: ignore[no-untyped-def]
    return len(m.counts.contexts) > 0


@_inlined
def _refines(m):  # type: ignore[no-untyped-def]
    return len(m.counts.final) > 0 if _is_text(m) else m.settings[REFINING] != 0


# --- slots: 16 bytes, a check and the histories of the 15 nodes of a nibble's tree ---------------------------------


@_inlined
def _address(m, bank, start):  # type: ignore[no-untyped-def]
    """Ask for the cache lines in which the slots of a nibble are.

    ``start``, in bank 2: the bits so far, all but the last FAMILY of the first nibble; the slots of the nibbles that
    may follow lie in one line, so that it can be asked for early.
    """
    mask = U32(m.settings[SLOTS] - 1)
    n = _contexts(m)
    first = U(bank) * n
    added = U32(start) * L1
    if bank == 2:
        for i in range(n):
            h = U32(U32(m.hashes[i] + added) * L2)
            h = U32(h ^ (h >> U32(15)))
            h = U32(h * L3)
            h = U32(h ^ (h >> U32(16)))
            m.checks[first + i] = np.uint8(h >> U32(24))
            m.wanted[first + i] = U32((h & mask) << U32(4))
    else:
        for i in range(n):
            h = m.hashes[i]
            m.checks[first + i] = np.uint8(h >> U32(24))
            m.wanted[first + i] = U32((h & mask) << U32(4))
    for i in range(n):
        prefetch(m.table, np.intp(m.wanted[first + i]))


@_inlined
def _address_one(m, bank, i):  # type: ignore[no-untyped-def]
    """The same for a first nibble and one context."""
    h = m.hashes[i]
    at = U(bank) * _contexts(m) + i
    m.checks[at] = np.uint8(h >> U32(24))
    m.wanted[at] = U32((h & U32(m.settings[SLOTS] - 1)) << U32(4))
    prefetch(m.table, np.intp(m.wanted[at]))


@_inlined
def _find(m, bank, member):  # type: ignore[no-untyped-def]
    """The slot of each context, or the empty slot behind the last; returns how many contexts are known."""
    n = _contexts(m)
    empty = U32(m.settings[SLOTS] << 4)
    known = 0
    first = U(bank) * n
    for i in range(first, first + n):
        at = U32(m.wanted[i] ^ U32(member << 4))
        check = np.uint8(m.checks[i] ^ np.uint8(member))
        m.wanted[i] = at
        m.checks[i] = check
        first_check = m.table[at]
        second_check = m.table[at ^ U32(16)]
        third_check = m.table[at ^ U32(32)]
        found = empty
        if third_check == check:
            found = at ^ U32(32)
        if second_check == check:
            found = at ^ U32(16)
        if first_check == check:
            found = at
        m.bases[i] = found
        known += m.table[found + U32(1)] != 0
    return known


@_inlined
def _claim(m, at, check):  # type: ignore[no-untyped-def]
    """Make a slot for a context that has none: of three in the cache line, the one that has seen least gives way."""
    a = at ^ U32(16)
    b = at ^ U32(32)
    if m.table[a + U32(1)] < m.table[at + U32(1)]:
        at = a
    if m.table[b + U32(1)] < m.table[at + U32(1)]:
        at = b
    note_slot(m, at)
    for i in range(16):
        m.table[at + U32(i)] = 0
    m.table[at] = check
    return at


# --- prediction of one bit ------------------------------------------------------------------------------------------


@_inlined
def _line(m, key, c0):  # type: ignore[no-untyped-def]
    """Where the probability map of a node of the byte's tree starts: half a cache line, its sibling in the other."""
    h = U(key) + (U(c0) >> U(1)) * U(0x9E3779B1)
    return ((((h >> U(8)) ^ h) << U(1)) + (U(c0) & U(1)) & U(m.settings[LINES] - 1)) << U(4)


@_inlined
def _from_match(m, which, at, note, c0, bit):  # type: ignore[no-untyped-def]
    """Two inputs from a match: the bit it expects, as surely as matches of this length were right before."""
    m.inputs[at] = 0
    m.inputs[at + U(1)] = 0
    m.notes[note + U(N_MATCH + which)] = -1
    if m.registers[MATCH_LENGTH + 2 * which] > 0:
        expected = ((m.words[NEAR] >> U(40 * which)) & U(255)) | U(256)
        if (expected >> U(8 - bit)) == U(c0):
            length = I64((m.words[NEAR] >> U(40 * which + 8)) & U(63))
            cell = (which * 64 + length) * 2 + I64((expected >> U(7 - bit)) & U(1))
            p = m.matched[U(cell)] >> U32(20)
            m.notes[note + U(N_MATCH + which)] = cell
            m.inputs[at] = m.stretch[U(p)]
            m.inputs[at + U(1)] = (I32(p) - I32(2048)) >> I32(1)


@_inlined
def _predict(m, row, bank, c0, bit, advice):  # type: ignore[no-untyped-def]
    """P(next bit is 1) in 65536ths. What learning will need goes to a row of inputs and of notes.

    ``advice`` is None for a model without guides, which is then compiled without them.
    """
    half = bit >> 2
    n = _contexts(m)
    columns = _columns(m)
    start = U(row) * columns
    note = U(row * NOTES)
    node = U32(c0) if half == 0 else U32((c0 & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4)))
    first = U(bank) * n
    for i in range(n):
        history = m.table[m.bases[first + i] + node]
        p = m.maps[(i << U(8)) + U(history)] >> U32(20)
        m.inputs[start + i] = m.stretch[U(p)]
    at = start + n
    _from_match(m, 0, at, note, c0, bit)
    _from_match(m, 1, at + U(2), note, c0, bit)
    m.inputs[at + U(4)] = 256
    split_numbers(m, at + U(5), c0, bit)
    if advice is not None:
        guides.opine(m, at + U(5) + U(m.settings[MEANS]), c0)
    if _refines(m):
        for key in (KEY, KEY2):  # of the two bits that may come next
            prefetch(m.refined, np.intp(_line(m, m.registers[key], c0 << 1)))
    # the first layer, a set of weights each, summed into the second on the way
    row2 = U(c0) * U(8)
    m.notes[note + U(N_ROW2)] = row2
    total2 = I32(0)
    chosen = U(half * 8)
    for k in range(_sets(m)):
        w = m.selected[chosen + k] + (U(c0) & m.selectors[8 * k + U(5)]) + (U(bit) & m.selectors[8 * k + U(6)])
        w *= columns
        total = dot(m.weights, w, m.inputs, start, columns)
        logit = I32(min(max(total >> 6, -3071), 3071))
        m.notes[note + U(N_ROW) + k] = w
        m.notes[note + U(N_LOGIT) + k] = logit
        m.notes[note + U(N_P) + k] = m.squash[U(logit + 3072)]
        total2 = I32(total2 + (I32(m.weights2[row2 + k] * logit) >> I32(8)))
    if _sets(m) == U(1):
        return I64(m.notes[note + U(N_P)])
    logit = I32(min(max(total2 >> 8, -3071), 3071))
    p = I64(m.squash[U(logit + 3072)])
    m.notes[note + U(N_P2)] = p
    if not _refines(m):
        return p
    # two maps from what was predicted to what came true, between the two nearest of their points
    logit = min(max(logit, I32(-1920)), I32(1919)) + I32(1920)
    at = U(logit) >> U(8)
    weight = U(logit) & U(255)
    a = _line(m, m.registers[KEY], c0) + at
    b = _line(m, m.registers[KEY2], c0) + at
    q1 = (U(m.refined[a]) * (U(256) - weight) + U(m.refined[a + U(1)]) * weight) >> U(8)
    q2 = (U(m.refined[b]) * (U(256) - weight) + U(m.refined[b + U(1)]) * weight) >> U(8)
    m.notes[note + U(N_MAP)] = a + (weight >> U(7))
    m.notes[note + U(N_MAP2)] = b + (weight >> U(7))
    return min(max((p + I64(q1) + 2 * I64(q2)) >> 2, 1), 65535)


# --- learning -------------------------------------------------------------------------------------------------------


@_inlined
def _learn_histories(m, bank, nibble):  # type: ignore[no-untyped-def]
    n = _contexts(m)
    empty = U32(m.settings[SLOTS] << 4)
    shift = m.registers[SHIFT]
    for i in range(n):
        b = U(bank) * n + i
        base = m.bases[b]
        if base == empty or m.table[base] != m.checks[b]:
            base = _claim(m, m.wanted[b], m.checks[b])
        else:
            note_slot(m, base)
        for t in range(4):
            y = (nibble >> (3 - t)) & 1
            at = base + U32((nibble | 16) >> (4 - t))
            history = m.table[at]
            m.table[at] = m.transitions[U(2 * history + y)]
            p = I64(m.maps[(i << U(8)) + U(history)])
            m.maps[(i << U(8)) + U(history)] = U32(p + (((I64(-y) & 0xFFFFFFFF) - p) >> shift))


@_inlined
def _learn_weights(m, row, y):  # type: ignore[no-untyped-def]
    """A step down the gradient of the code length, for each set of weights by itself."""
    columns = _columns(m)
    start = U(row) * columns
    note = U(row * NOTES)
    rate = m.registers[RATE]
    for k in range(_sets(m)):
        difference = (y << 16) - m.notes[note + U(N_P) + k]
        if abs(difference) < CLOSE:
            continue
        error = I32((difference * rate) >> 10)
        w = U(m.notes[note + U(N_ROW) + k])
        train(m.weights, w, m.inputs, start, columns, error)
    if _sets(m) == U(1):
        return
    error = I32(((y << 16) - m.notes[note + U(N_P2)]) >> 4)
    w = U(m.notes[note + U(N_ROW2)])
    train(m.weights2, w, m.notes, note + U(N_LOGIT), U(8), error)


@_inlined
def _learn_maps(m, row, y):  # type: ignore[no-untyped-def]
    note = U(row * NOTES)
    if _refines(m):
        shift = m.registers[REFINE_SHIFT]
        for a in range(N_MAP, N_MAP2 + 1):
            at = U(m.notes[note + U(a)])
            note_refined(m, at)
            v = I64(m.refined[at])
            m.refined[at] = np.uint16(v + (((y << 16) - y - v + (1 << (shift - 1))) >> shift))
    for which in range(2):
        cell = m.notes[note + U(N_MATCH + which)]
        if cell >= 0:
            e = m.matched[U(cell)]
            seen = e & U32(1023)
            p = I64(e >> U32(10))
            p += (((-y & 4194303) - p) * m.reciprocals[U(seen)]) >> 16
            m.matched[U(cell)] = U32(p << 10) | (seen + U32(seen < U32(1023)))


@_inlined
def _learn(m, half, nibble):  # type: ignore[no-untyped-def]
    """Teach the weights and the maps the four bits of one nibble."""
    for t in range(4):
        y = (nibble >> (3 - t)) & 1
        _learn_weights(m, half * 4 + t, y)
        _learn_maps(m, half * 4 + t, y)


# --- contexts -------------------------------------------------------------------------------------------------------


@_inlined
def _kind_of(c):  # type: ignore[no-untyped-def]
    """0: letters and bytes above 127, 1: white space, 2: digits, 3: the rest."""
    if ((c | 32) >= 97 and (c | 32) <= 122) or c >= 128:
        return 0
    if c == 32 or c == 10:
        return 1
    if c >= 48 and c <= 57:
        return 2
    return 3


@_inlined
def _bucket(length):  # type: ignore[no-untyped-def]
    """Lengths of matches, 0 to 31."""
    if length < 16:
        return length
    if length < 32:
        return 16 + ((length - 16) >> 2)
    return min(20 + ((length - 32) >> 3), 31)


@_inlined
def _append(m, c):  # type: ignore[no-untyped-def]
    """Take a byte into the history, and ask for the places that know when the last few bytes occurred before."""
    m.words[EARLIER] = (m.words[EARLIER] << U(8)) | (m.words[RECENT] >> U(56))
    m.words[RECENT] = (m.words[RECENT] << U(8)) | U(c)
    places = m.settings[HEADS]
    for which in range(2):
        minimum = m.settings[MINIMUM + which]
        if minimum > 16:
            continue
        if minimum <= 8:
            key = (m.words[RECENT] << U(64 - 8 * minimum)) * K1
        else:
            key = m.words[RECENT] * K1 + (m.words[EARLIER] << U(64 - 8 * min(minimum - 8, 8))) * K3
        place = places * which + I64((((key ^ (key >> U(32))) * K2) >> U(30)) & U(places - 1))
        m.registers[PLACE + which] = place
        prefetch(m.heads, np.intp(place))


@_inlined
def _expect(m, buffer, c):  # type: ignore[no-untyped-def]
    """Ask for the text where a match may begin, unless one goes on with byte c."""
    for which in range(2):
        goes_on = m.registers[MATCH_LENGTH + 2 * which] > 0 and buffer[m.registers[MATCH + 2 * which]] == c
        if not goes_on and m.settings[MINIMUM + which] <= 16:
            prefetch(buffer, np.intp(m.heads[U(m.registers[PLACE + which])] - 1))


@_inlined
def _follow(m, buffer, which):  # type: ignore[no-untyped-def]
    """Move a match on by the byte just read, or look for a new one; returns (byte it expects, bucket of its length)."""
    position = m.registers[POSITION]
    minimum = m.settings[MINIMUM + which]
    if position < minimum:
        return U(0), U(0)
    place = U(m.registers[PLACE + which])
    note_head(m, place)
    at = m.registers[MATCH + 2 * which]
    length = m.registers[MATCH_LENGTH + 2 * which]
    if length > 0 and buffer[at] == buffer[position - 1]:
        at += 1
        length = min(length + 1, 65535)
    else:
        at = I64(m.heads[place])
        length = 0
        while length < 40 and length < at and buffer[at - 1 - length] == buffer[position - 1 - length]:
            length += 1
        if length < minimum:
            length = 0
    m.heads[place] = position
    m.registers[MATCH + 2 * which] = at
    m.registers[MATCH_LENGTH + 2 * which] = length
    return (U(buffer[at]), U(_bucket(length))) if length > 0 else (U(0), U(0))


@_inlined
def _read_text(m, buffer, c):  # type: ignore[no-untyped-def]
    """Words, and what is around if anything looks at it."""
    kind = _kind_of(c)
    if kind == 0:
        low = c | 32 if c < 128 else c
        m.words[WORD] = (m.words[WORD] + U(low + 1)) * K1
        m.words[WORD] ^= m.words[WORD] >> U(32)
    else:
        if m.words[WORD] != U(0):
            m.words[WORD2] = m.words[WORD1]
            m.words[WORD1] = m.words[WORD]
            m.words[WORD] = U(0)
            m.words[GAP] = U(0)
        m.words[GAP] = (m.words[GAP] + U(c + 1)) * K2
    m.words[NEAR] = U(0)
    if _sets(m) > U(1):
        _read_surroundings(m, buffer, c, kind)


@_inlined
def _read_surroundings(m, buffer, c, kind):  # type: ignore[no-untyped-def]
    """The line above, and what followed the last one and two bytes before."""
    position = m.registers[POSITION]
    if c == 10:
        m.registers[LINE2] = m.registers[LINE]
        m.registers[LINE] = position
    recent = m.words[RECENT]
    after1 = (recent >> U(8)) & U(255)
    after2 = (((recent >> U(8)) & U(0xFFFF)) * K1) >> U(49)
    m.followers[after1] = (m.followers[after1] << U32(8)) | U32(c)
    m.followers[U(256) + after2] = (m.followers[U(256) + after2] << U32(8)) | U32(c)
    follow1 = U(m.followers[recent & U(255)]) & U(0xFFFF)
    follow2 = U(m.followers[U(256) + (((recent & U(0xFFFF)) * K1) >> U(49))]) & U(0xFFFF)
    line = m.registers[LINE]
    column = position - line
    above = m.registers[LINE2] + column
    up = U(buffer[above]) if above < line else U(10)
    first = U(buffer[line]) if line < position else U(0)
    m.words[NEAR] |= up << U(24) | U(min(column, 255)) << U(32) | first << U(56)
    m.words[FAR] = follow1 | follow2 << U(16) | ((m.words[FAR] >> U(32)) << U(34)) | U(kind) << U(32)


@_inlined
def _hash(m, i):  # type: ignore[no-untyped-def]
    h = (m.words[RECENT] & m.recipes[0, i]) * K1 + (m.words[NEAR] & m.recipes[1, i]) * K2
    h += (m.words[FAR] & m.recipes[2, i]) * K4
    h += (m.words[WORD] & m.recipes[3, i]) + ((m.words[WORD1] * K2) & m.recipes[4, i])
    h += ((m.words[WORD2] * K3) & m.recipes[5, i]) + ((m.words[GAP] * K4) & m.recipes[6, i])
    h += m.recipes[7, i]
    m.hashes[i] = U32(((h ^ (h >> U(32))) * K5) >> U(32))


@_inlined
def _advance(m, buffer):  # type: ignore[no-untyped-def]
    """Read the byte before POSITION into the contexts, and ask for their slots; matches are not known yet."""
    c = I64(buffer[m.registers[POSITION] - 1])
    if _is_text(m):
        _read_text(m, buffer, c)
    else:
        read_numbers(m, buffer, c)
    m.registers[KEY2] = I64(((m.words[RECENT] & U(0xFFFF)) * K3) >> U(33))
    if _refines(m):
        prefetch(m.refined, np.intp(_line(m, m.registers[KEY2], 1)))
    for i in range(_contexts(m)):
        _hash(m, i)
    _address(m, m.registers[POSITION] & 1, 0)


@_inlined
def _match(m, buffer):  # type: ignore[no-untyped-def]
    """Find out what matches expect, and make the contexts that look at that."""
    if _is_text(m):
        byte, bucket = _follow(m, buffer, 0)
        byte2, bucket2 = _follow(m, buffer, 1)
        m.words[NEAR] |= byte | bucket << U(8) | byte2 << U(40) | bucket2 << U(48)
        bank = m.registers[POSITION] & 1
        for i in m.expecting:
            _hash(m, i)
            _address_one(m, bank, i)
    # order 1 with the byte the long match expects (in other modes: a neighbour), and order 2
    m.registers[KEY] = I64((((m.words[NEAR] & U(0xFF)) * K2 + (m.words[RECENT] & U(0xFF))) * K1) >> U(33))
    if _refines(m):
        prefetch(m.refined, np.intp(_line(m, m.registers[KEY], 1)))


@_inlined
def _schedule(m):  # type: ignore[no-untyped-def]
    """Learn fast at first."""
    age = m.registers[POSITION] + m.settings[AGE]
    m.registers[RATE] = m.settings[SPEED] + m.settings[SPEED_START] * 2048 // (age + 2048)
    m.registers[SHIFT] = 7 + (age > 16384)
    m.registers[REFINE_SHIFT] = 4 + (age > 8192) + (age > 262144)


@_inlined
def _select(m, known, half):  # type: ignore[no-untyped-def]
    for k in range(_sets(m)):
        source = m.selectors[8 * k]
        value = U(known)
        if source < U(KNOWN):
            value = m.words[source]
        chosen = (value >> m.selectors[8 * k + U(1)]) & m.selectors[8 * k + U(2)]
        m.selected[U(half * 8) + k] = m.selectors[8 * k + U(4)] + chosen * m.selectors[8 * k + U(3)]


# --- whole bytes ----------------------------------------------------------------------------------------------------


@_lent
def _code(m, mode, buffer, stop, coder, stream, out, advice):  # type: ignore[no-untyped-def]
    """Go on to position ``stop``, or as far as there is room; returns the position reached.

    ``mode`` READ: learn ``buffer``. ENCODE: and write its code to ``stream``. DECODE: write to ``buffer`` what
    ``stream`` codes. SCORE: write P(byte) to ``out``. ``coder``: low, high, value (SCORE: bits so far, in
    4096ths), place in ``stream`` or ``out``; the code of what is left lies in [low, high], 32 bits. Bytes missing at
    the end of a stream read as 0. ``advice``: what guides say of each byte, see ``_guides.py``.
    """
    begin = m.registers[POSITION]
    low = coder[0]
    high = coder[1]
    value = coder[2]
    at = coder[3]
    while m.registers[POSITION] < stop:
        position = m.registers[POSITION]
        if mode == ENCODE and at + 32 > len(stream):
            break
        byte = I64(0)
        if mode != DECODE:
            byte = I64(buffer[position])
        probability = 1.0
        if advice is not None:
            guides.take(m, advice, position - begin)
        c0 = 1
        for half in range(2):
            bank = 2 if half else position & 1
            _select(m, _find(m, bank, c0 & (1 << FAMILY) - 1 if half else 0), half)
            for bit in range(4 * half, 4 * half + 4):
                if bit == 4 - FAMILY:
                    _address(m, 2, c0)
                p = _predict(m, bit, bank, c0, bit, advice)
                y = (byte >> (7 - bit)) & 1
                if mode in (ENCODE, DECODE):
                    middle = low + (((high - low) * p) >> 16)
                    if mode == DECODE:
                        # a branch, so that the processor guesses and goes on to the next bit
                        y = opaque(I64(1)) if value <= middle else opaque(I64(0))
                    high ^= (high ^ middle) & -y
                    low ^= (low ^ (middle + 1)) & ~(-y)
                    while (low ^ high) >> 24 == 0:
                        if mode == ENCODE:
                            stream[at] = np.uint8(high >> 24)
                        else:
                            value = ((value << 8) & 0xFFFFFFFF) | (I64(stream[at]) if at < len(stream) else 0)
                        at += 1
                        low = (low << 8) & 0xFFFFFFFF
                        high = ((high << 8) & 0xFFFFFFFF) | 255
                if mode == SCORE:
                    q = p if y else 65536 - p
                    probability *= q / 65536.0
                    value += m.lengths[U(q >> 4)]
                c0 = (c0 << 1) | y
        byte = c0 & 255
        if mode == DECODE:
            buffer[position] = np.uint8(byte)
        if mode == SCORE:
            out[at] = probability
            at += 1
        # what will be needed is on its way from memory while the byte is learnt
        m.registers[POSITION] = position + 1
        _schedule(m)
        _append(m, byte)
        _advance(m, buffer)
        _learn_histories(m, position & 1, byte >> 4)
        _learn(m, 0, byte >> 4)
        if _is_text(m):
            _expect(m, buffer, byte)
        _learn_histories(m, 2, byte & 15)
        _match(m, buffer)
        _learn(m, 1, byte & 15)
    coder[0] = low
    coder[1] = high
    coder[2] = value
    coder[3] = at
    return m.registers[POSITION]


@_lent
def _distribution(m, out, advice):  # type: ignore[no-untyped-def]
    """P(next byte) for all 256, float64, each the product of its eight bits' probabilities from the first bit on."""
    if advice is not None:
        guides.take(m, advice, 0)
    bank = m.registers[POSITION] & 1
    root = 1
    first = 0
    out[0] = 1.0
    for group in range(17):  # the tree of the first nibble, then the 16 trees below it
        if group > 0:
            bank = 2
            root = 15 + group
            first = 4
            _address(m, 2, root >> FAMILY)
        _select(m, _find(m, bank, root & (1 << FAMILY) - 1 if group else 0), 1 if group else 0)
        for depth in range(4):
            bit = first + depth
            for prefix in range(1 << depth):
                c0 = (root << depth) | prefix
                p = _predict(m, 8, bank, c0, bit, advice)
                zero = (c0 << (8 - bit)) & 255
                so_far = out[zero]
                out[zero] = so_far * ((65536 - p) / 65536.0)
                out[zero + (128 >> bit)] = so_far * (p / 65536.0)


@kernel
def code(m, mode, buffer, stop, coder, stream, out, advice):  # type: ignore[no-untyped-def]
    """See :func:`_code`."""
    return _code(m, mode, buffer, stop, coder, stream, out, advice)


@kernel
def distribution(m, out, advice):  # type: ignore[no-untyped-def]
    """See :func:`_distribution`."""
    _distribution(m, out, advice)
