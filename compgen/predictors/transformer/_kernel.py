"""What stands between the transformer's matrix products, compiled, each loop one pass over its data.

Arrays of float64 hold integers (see ``fixed.py``); ``rows`` are positions of streams. Multiplications and additions are
never fused here (no fast-math), though where all values are integers it would not matter.
"""

from __future__ import annotations

import math

import numpy as np

from compgen.jit import inner, kernel


@inner
def _clipped(x: float, limit: float) -> float:
    return min(max(math.floor(x + 0.5), -limit), limit)


@kernel
def normalise_and_convolve(x, epsilon, scale, taps, tap_scale, limit, tail, h):  # type: ignore[no-untyped-def]
    """RMS norm, then a causal convolution: x and h ``(streams, positions, width)``, taps ``(taps, width)``.

    ``tail`` ``(streams, taps - 1, width)`` holds the last normalised rows and is moved on.
    """
    streams, positions, width = x.shape
    before = tail.shape[1]
    window = np.empty((before + positions, width))
    for s in range(streams):
        window[:before] = tail[s]
        for t in range(positions):
            squares = epsilon
            for i in range(width):
                squares += x[s, t, i] * x[s, t, i]
            factor = scale / math.sqrt(squares)
            for i in range(width):
                window[before + t, i] = _clipped(x[s, t, i] * factor, limit)
            for i in range(width):
                total = 0.0
                for tap in range(before + 1):
                    total += window[t + tap, i] * taps[tap, i]
                h[s, t, i] = _clipped(total * tap_scale, limit)
        tail[s] = window[positions:]


@kernel
def normalise(x, epsilon, scale, limit, h):  # type: ignore[no-untyped-def]
    """RMS norm of rows ``(rows, width)``."""
    rows, width = x.shape
    for r in range(rows):
        squares = epsilon
        for i in range(width):
            squares += x[r, i] * x[r, i]
        factor = scale / math.sqrt(squares)
        for i in range(width):
            h[r, i] = _clipped(x[r, i] * factor, limit)


@inner
def _unit(values, start, count, shift_scale, epsilon, scale, limit, out):  # type: ignore[no-untyped-def]
    """Shift a head's sums to activations and normalise them."""
    squares = epsilon
    for c in range(count):
        v = _clipped(values[start + c] * shift_scale, limit)
        out[c] = v
        squares += v * v
    factor = scale / math.sqrt(squares)
    for c in range(count):
        out[c] = _clipped(out[c] * factor, limit)


@kernel
def split_heads(sums, shift_scale, epsilon, scales, limit, lengths, queries, keys, values):  # type: ignore[no-untyped-def]
    """Queries, keys and values from the sums ``(streams, positions, 3 * width)``.

    ``queries`` ``(streams, heads, positions, head)`` float64 is written; so are ``keys`` and ``values``, int16
    ``(streams, heads, capacity, head)``, from the position ``lengths[stream]`` on. ``scales`` ``(heads + 1,)``: of each
    head's queries, and of keys.
    """
    streams, positions, _ = sums.shape
    heads, head = queries.shape[1], queries.shape[3]
    width = heads * head
    unit = np.empty(head)
    for s in range(streams):
        for t in range(positions):
            row = sums[s, t]
            place = lengths[s] + t
            for h in range(heads):
                _unit(row, h * head, head, shift_scale, epsilon, scales[h], limit, queries[s, h, t])
                _unit(row, width + h * head, head, shift_scale, epsilon, scales[heads], limit, unit)
                for c in range(head):
                    keys[s, h, place, c] = np.int16(unit[c])
                    v = _clipped(row[2 * width + h * head + c] * shift_scale, limit)
                    values[s, h, place, c] = np.int16(v)


@kernel
def exponentiate(scores, first_query, first_key, window, slope, table, totals):  # type: ignore[no-untyped-def]
    """Attention weights in place of scores ``(queries, keys)``; row sums to ``totals``.

    Scores have 20 fraction bits; row ``i`` is the query at ``first_query + i``, column ``j`` the key at
    ``first_key + j``. ``slope``: of those units a step back.
    """
    queries, keys = scores.shape
    for i in range(queries):
        here = first_query + i - first_key
        start = max(0, here - window + 1)
        row = scores[i]
        most = -1e300
        for j in range(start, here + 1):
            row[j] += slope * (j - here)
            most = max(most, row[j])
        total = 0.0
        for j in range(start):
            row[j] = 0.0
        for j in range(start, here + 1):
            below = np.int64(most - row[j]) >> 10
            row[j] = np.float64(table[below & 1023] >> min(below >> 10, 63))
            total += row[j]
        for j in range(here + 1, keys):
            row[j] = 0.0
        totals[i] = total


@kernel
def divide(sums, totals, limit, out):  # type: ignore[no-untyped-def]
    """Weighted means: sums ``(queries, head)`` over totals ``(queries,)``, to ``out`` ``(queries, head)``."""
    for i in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            out[i, c] = _clipped(sums[i, c] / totals[i], limit)


@kernel
def attend(queries, keys, values, lengths, window, slopes, table, limit, out):  # type: ignore[no-untyped-def]
    """Attention of one new position a stream: queries ``(streams, heads, 1, head)``; out ``(streams, width)``.

    The same numbers as a matrix product, :func:`exponentiate`, another product and :func:`divide` give.
    """
    streams, heads, _, head = queries.shape
    scores = np.empty(keys.shape[2], np.int64)
    query = np.empty(head, np.int32)
    sums = np.empty(head, np.float64)
    for s in range(streams):
        here = lengths[s]
        start = max(0, here - window + 1)
        for h in range(heads):
            for c in range(head):
                query[c] = np.int32(queries[s, h, 0, c])
            most = np.int64(-(1 << 62))
            slope = np.int64(slopes[h])
            for j in range(start, here + 1):
                total = np.int32(0)
                for c in range(head):
                    total += query[c] * np.int32(keys[s, h, j, c])
                score = np.int64(total) + slope * (j - here)
                scores[j] = score
                most = max(most, score)
            weights = np.int64(0)
            sums[:] = 0.0
            for j in range(start, here + 1):
                below = (most - scores[j]) >> 10
                weight = table[below & 1023] >> min(below >> 10, 63)
                if weight == 0:
                    continue
                weights += weight
                for c in range(head):
                    sums[c] += np.float64(weight) * np.float64(values[s, h, j, c])
            for c in range(head):
                out[s, h * head + c] = _clipped(sums[c] / np.float64(weights), limit)


@kernel
def add(x, sums, scale, limit):  # type: ignore[no-untyped-def]
    """``x += sums * scale``, rounded: rows ``(rows, width)``."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[r, i] = min(max(x[r, i] + math.floor(sums[r, i] * scale + 0.5), -limit), limit)


@kernel
def mix(x, embedded, keep, again, scale, limit):  # type: ignore[no-untyped-def]
    """``x = (x * keep + embedded * again) * scale``, rounded: rows ``(rows, width)``, factors ``(width,)``."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[r, i] = _clipped((x[r, i] * keep[i] + embedded[r, i] * again[i]) * scale, limit)


@kernel
def square_positive(sums, scale, square_scale, limit):  # type: ignore[no-untyped-def]
    """``relu(sums * scale)**2 * square_scale`` in place, both steps rounded: ``(rows, hidden)``."""
    for r in range(sums.shape[0]):
        for i in range(sums.shape[1]):
            v = min(max(math.floor(sums[r, i] * scale + 0.5), 0.0), limit)
            sums[r, i] = min(math.floor(v * v * square_scale + 0.5), limit)


@kernel
def distribute(logits, scale, table, probabilities):  # type: ignore[no-untyped-def]
    """Probabilities ``(rows, vocabulary)`` from sums: integers ``2**(40 + logit - highest)``, 1 at least, over their sum."""
    for r in range(logits.shape[0]):
        most = -1e300
        for i in range(logits.shape[1]):
            logits[r, i] = math.floor(logits[r, i] * scale + 0.5)
            most = max(most, logits[r, i])
        total = 0.0
        for i in range(logits.shape[1]):
            below = np.int64(most - logits[r, i])
            weight = np.float64(max(table[below & 1023] >> min(below >> 10, 63), 1))
            logits[r, i] = weight
            total += weight
        for i in range(logits.shape[1]):
            probabilities[r, i] = logits[r, i] / total


@kernel
def multiply(matrix, vectors, out):  # type: ignore[no-untyped-def]
    """``out[s] = matrix @ vectors[s]`` for few vectors: int16 ``(outputs, inputs)``, int16 ``(n, inputs)``, float64."""
    for s in range(vectors.shape[0]):
        for o in range(matrix.shape[0]):
            total = np.int32(0)
            for i in range(matrix.shape[1]):
                total += np.int32(matrix[o, i]) * np.int32(vectors[s, i])
            out[s, o] = np.float64(total)
