"""Equal-Info Windows as compiled loops; ``windows.py`` tells what they compute.

Numbers of W + 32 bits are rows of ``limbs``, int64, 32 bits each, the lowest first: limb 0 holds what lies between two
points, the others the number of a point. A slot is a stream of data; it has rows in

    intervals  int64 (slots, 4, limbs)    LOW, WIDTH, the FIRST and the LAST point that is free (limb 0 of both is 0)
    counters   int64 (slots, 6)           see below

A call moves each slot on as far as it can go with the frequencies that M1 gives now, and says what M1 is to read.
"""

from __future__ import annotations

import numpy as np

from compgen.jit import inner, kernel

LOW, WIDTH, FIRST, LAST = 0, 1, 2, 3
#: Next byte (or window) of the data, their end, bytes in this window, windows since M1 started anew; the start of the
#: window, and (with delay) the bytes after which the round point was what it is.
NEXT, END, COUNT, WINDOWS, START, ROUND = 0, 1, 2, 3, 4, 5
#: What M1 does before it reads the byte: go on or start anew; and NOTHING is to be read.
GO_ON, ANEW, NOTHING = 0, 1, -1
MASK = (1 << 32) - 1


@inner
def _compare(x, y):  # type: ignore[no-untyped-def]
    for i in range(len(x) - 1, -1, -1):
        if x[i] != y[i]:
            return 1 if x[i] > y[i] else -1
    return 0


@inner
def _add_multiple(x, unit, factor, out):  # type: ignore[no-untyped-def]
    """out = x + unit * factor, 0 <= factor < 2**30."""
    carry = 0
    for i in range(len(x)):
        total = x[i] + unit[i] * factor + carry
        out[i] = total & MASK
        carry = total >> 32


@inner
def _subtract(x, y, out):  # type: ignore[no-untyped-def]
    borrow = 0
    for i in range(len(x)):
        difference = x[i] - y[i] - borrow
        borrow = 1 if difference < 0 else 0
        out[i] = difference & MASK


@inner
def _unit_of(width, precision, out):  # type: ignore[no-untyped-def]
    for i in range(len(width)):
        above = width[i + 1] if i + 1 < len(width) else 0
        out[i] = (width[i] >> precision) | ((above << (32 - precision)) & MASK)


@inner
def _point_before(x):  # type: ignore[no-untyped-def]
    """Move a point above 0 one down."""
    i = 1
    while x[i] == 0:
        x[i] = MASK
        i += 1
    x[i] -= 1


@inner
def _is_zero(x):  # type: ignore[no-untyped-def]
    union = 0
    for i in range(len(x)):
        union |= x[i]
    return union == 0


@inner
def _reset(interval, counters, window_bits):  # type: ignore[no-untyped-def]
    """The root: [0, 1) with all points."""
    interval[:] = 0
    interval[WIDTH, 1 + window_bits // 32] = 1 << (window_bits % 32)
    interval[LAST, 1 + window_bits // 32] = 1 << (window_bits % 32)
    _point_before(interval[LAST])
    counters[COUNT] = 0
    counters[START] = counters[NEXT]
    counters[ROUND] = 0


@inner
def _child(interval, count, start, frequency, precision, delay, scratch):  # type: ignore[no-untyped-def]
    """Narrow to a byte whose frequency is that, ``start`` the sum of those before it; False if it has no point free.

    ``scratch`` int64 (6, limbs).
    """
    unit, low, high, first, last = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    _unit_of(interval[WIDTH], precision, unit)
    _add_multiple(interval[LOW], unit, start, low)
    if start + frequency == 1 << precision:
        _add_multiple(interval[LOW], interval[WIDTH], 1, high)
    else:
        _add_multiple(low, unit, frequency, high)
    # The first point from low on, and the last one below high.
    first[:] = low
    first[0] = 0
    if low[0] != 0:
        i = 1
        while first[i] == MASK:
            first[i] = 0
            i += 1
        first[i] += 1
    last[:] = high
    last[0] = 0
    if high[0] == 0:
        _point_before(last)  # high > low >= 0
    limit = scratch[5]
    limit[:] = interval[LAST]
    if count > 0:
        if delay:
            if _compare(interval[FIRST], limit) == 0:
                return False
        elif _is_zero(limit):
            return False
        else:
            _point_before(limit)
    if _compare(last, limit) > 0:
        last[:] = limit
    if _compare(first, last) > 0:
        return False
    _subtract(high, low, interval[WIDTH])
    interval[LOW] = low
    interval[FIRST] = first
    interval[LAST] = last
    return True


@inner
def _round_point(interval, out):  # type: ignore[no-untyped-def]
    """The free point with the most trailing zeros."""
    first, last = interval[FIRST], interval[LAST]
    out[:] = 0
    if _is_zero(first):
        return
    before = first.copy()
    _point_before(before)
    i = len(last) - 1
    while before[i] == last[i]:
        out[i] = last[i]
        i -= 1
    different = before[i] ^ last[i]
    keep = 0
    while different >> (keep + 1):
        keep += 1
    out[i] = (last[i] >> keep) << keep


@inner
def _write(point, out):  # type: ignore[no-untyped-def]
    """A point as bytes, the highest first."""
    for i in range(len(out)):
        at = len(out) - 1 - i
        out[at] = (point[1 + i // 4] >> (8 * (i % 4))) & 255


@inner
def _read(code, point):  # type: ignore[no-untyped-def]
    point[:] = 0
    for i in range(len(code)):
        point[1 + i // 4] |= np.int64(code[len(code) - 1 - i]) << (8 * (i % 4))


@inner
def _start_of(frequencies, byte):  # type: ignore[no-untyped-def]
    start = 0
    for other in range(byte):
        start += frequencies[other]
    return start


@inner
def _close(interval, counters, delay, window_bits, resets, scratch, out):  # type: ignore[no-untyped-def]
    """Write the window and begin the next one; True if M1 is to start anew."""
    if delay:
        _round_point(interval, scratch[0])
        _write(scratch[0], out)
        counters[NEXT] = counters[START] + counters[ROUND]
    else:
        _write(interval[LAST], out)
    return _next_window(interval, counters, window_bits, resets)


@inner
def _next_window(interval, counters, window_bits, resets):  # type: ignore[no-untyped-def]
    _reset(interval, counters, window_bits)
    counters[WINDOWS] += 1
    if resets > 0 and counters[WINDOWS] == resets:
        counters[WINDOWS] = 0
        return True
    return False


@inner
def _note_round(interval, counters, scratch, point):  # type: ignore[no-untyped-def]
    """With delay: remember since which byte the round point, kept in ``point``, is what it is."""
    _round_point(interval, scratch)
    if counters[ROUND] == 0 or _compare(scratch, point) != 0:
        counters[ROUND] = counters[COUNT]
        point[:] = scratch


@kernel
def begin(intervals, counters, slots, starts, ends, window_bits):  # type: ignore[no-untyped-def]
    """Give slots ``(n,)`` new data, from ``starts`` to ``ends``."""
    for i in range(len(slots)):
        counters[slots[i], NEXT] = starts[i]
        counters[slots[i], END] = ends[i]
        counters[slots[i], WINDOWS] = 0
        _reset(intervals[slots[i]], counters[slots[i]], window_bits)


@inner
def _encode_slot(  # type: ignore[no-untyped-def]
    interval, counters, data, row, root, window_bits, precision, delay, resets, scratch, rounds, out
):
    """Go on with one slot; returns windows written, what M1 does, and the byte it reads then."""
    written, model = 0, GO_ON
    frequencies = row
    while True:
        byte = data[counters[NEXT]]
        start, frequency = _start_of(frequencies, byte), frequencies[byte]
        if not _child(interval, counters[COUNT], start, frequency, precision, delay, scratch):
            if _close(interval, counters, delay, window_bits, resets, scratch, out[written]):
                model, frequencies = ANEW, root
            written += 1
            continue
        counters[NEXT] += 1
        counters[COUNT] += 1
        if delay:
            _note_round(interval, counters, scratch[0], rounds)
        if counters[NEXT] == counters[END]:
            _close(interval, counters, delay, window_bits, resets, scratch, out[written])
            written += 1
            if counters[NEXT] == counters[END]:
                return written, model, NOTHING
            model, frequencies = ANEW, root  # bytes were put off, and M1 starts anew
            if written == len(out):
                return written, model, NOTHING
            continue
        if not delay and resets == 1 and _compare(interval[FIRST], interval[LAST]) == 0:
            _close(interval, counters, delay, window_bits, resets, scratch, out[written])
            written += 1
            model, frequencies = ANEW, root
            if written == len(out):
                return written, model, NOTHING
            continue
        return written, model, byte


@kernel
def encode(  # type: ignore[no-untyped-def]
    intervals, counters, active, data, rows, root, window_bits, precision, delay, resets, rounds, out, answers
):
    """Move the slots ``active`` on: frequencies ``rows`` of M1 as it is, ``root`` where it starts, int64 (slots, 256).

    ``out`` uint8 (slots, 4, window_bytes) gets windows; ``answers`` int64 (slots, 3) how many, what M1 does, and the
    byte it reads then (or NOTHING: it is at its start, or the data have ended).
    """
    scratch = np.empty((6, intervals.shape[2]), np.int64)
    for i in range(len(active)):
        slot = active[i]
        answers[slot, 0], answers[slot, 1], answers[slot, 2] = _encode_slot(
            intervals[slot], counters[slot], data, rows[slot], root, window_bits, precision, delay, resets, scratch,
            rounds[slot], out[slot],
        )  # fmt: skip


@inner
def _find(interval, frequencies, point, precision, scratch):  # type: ignore[no-untyped-def]
    """The byte whose interval has the point, and the sum of frequencies before it."""
    unit, bound = scratch[0], scratch[1]
    _unit_of(interval[WIDTH], precision, unit)
    start = 0
    for byte in range(255):
        _add_multiple(interval[LOW], unit, start + frequencies[byte], bound)
        if _compare(point, bound) < 0:
            return byte, start
        start += frequencies[byte]
    return 255, start


@inner
def _is_met(interval, counters, point, delay, scratch):  # type: ignore[no-untyped-def]
    """Is the string that a slot has come to the word of the point?"""
    if delay:
        _round_point(interval, scratch)
        return _compare(scratch, point) == 0
    return _compare(interval[LAST], point) == 0


@inner
def _decode_slot(  # type: ignore[no-untyped-def]
    interval, counters, code, row, root, window_bits, precision, delay, resets, scratch, point, out
):
    """Go on with one slot; returns bytes written, what M1 does, and the byte it reads then."""
    written, model = 0, GO_ON
    frequencies = row
    while True:
        _read(code[counters[NEXT]], point)
        byte, start = _find(interval, frequencies, point, precision, scratch)
        _child(interval, counters[COUNT], start, frequencies[byte], precision, delay, scratch)
        counters[COUNT] += 1
        out[written] = byte
        written += 1
        if not _is_met(interval, counters, point, delay, scratch[0]):
            return written, model, byte
        counters[NEXT] += 1
        anew = _next_window(interval, counters, window_bits, resets)
        if counters[NEXT] == counters[END]:
            return written, model, NOTHING
        if not anew:
            return written, model, byte
        model, frequencies = ANEW, root
        if written == len(out):
            return written, model, NOTHING


@kernel
def decode(  # type: ignore[no-untyped-def]
    intervals, counters, active, code, rows, root, window_bits, precision, delay, resets, out, answers
):
    """As :func:`encode`, of windows ``code`` uint8 (windows, window_bytes); ``out`` uint8 (slots, n) gets bytes."""
    scratch = np.empty((6, intervals.shape[2]), np.int64)
    point = np.empty(intervals.shape[2], np.int64)
    for i in range(len(active)):
        slot = active[i]
        answers[slot, 0], answers[slot, 1], answers[slot, 2] = _decode_slot(
            intervals[slot], counters[slot], code, rows[slot], root, window_bits, precision, delay, resets, scratch,
            point, out[slot],
        )  # fmt: skip
