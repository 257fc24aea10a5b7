"""The transformer's arithmetic on NumPy arrays, compiled: each loop one pass over its data.

What enters a matrix product is int16, its sums are int32, what stands between is float64 and holds integers too (see
``fixed.py``); ``rows`` are positions of streams. Multiplications and additions are never fused here (no fast-math),
though where all values are integers it would not matter. Hot loops have unsigned indices: signed ones may count from
the end, and testing for that keeps them from being vectorised.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compgen.jit import inner, kernel
from compgen.predictors.transformer._vectors import KEYS, LANES, ROWS, exponentiate, products, weigh

U: Any = np.uint64


@inner
def _clipped(x, limit):  # type: ignore[no-untyped-def]
    return min(max(math.floor(x + 0.5), -limit), limit)


@inner
def multiply(matrix, vectors, out):  # type: ignore[no-untyped-def]
    """``out[r] = matrix @ vectors[r]``: int16 ``(outputs, inputs)``, ``(rows, inputs)``; int32 ``(rows, outputs)``."""
    outputs, inputs = matrix.shape
    whole = outputs // ROWS * ROWS if inputs % LANES == 0 else 0
    for r in range(vectors.shape[0]):
        products(matrix, 0, whole // ROWS, vectors[r], out[r])
        for o in range(whole, outputs):
            total = np.int32(0)
            for i in range(U(inputs)):
                total = np.int32(total + np.int32(matrix[o, i]) * np.int32(vectors[r, i]))
            out[r, o] = total


@inner
def _normalise_and_convolve(x, epsilon, scale, taps, tap_scale, limit, tail, h):  # type: ignore[no-untyped-def]
    """RMS norm, then a causal convolution: x and h ``(streams, positions, width)``, taps ``(taps, width)``.

    ``tail`` ``(streams, taps - 1, width)`` holds the last normalised rows and is moved on.
    """
    streams, positions, width = U(x.shape[0]), U(x.shape[1]), U(x.shape[2])
    before = U(tail.shape[1])
    window = np.empty((tail.shape[1] + x.shape[1], x.shape[2]))
    sums = np.empty(x.shape[2])
    for s in range(streams):
        window[: tail.shape[1]] = tail[s]
        for t in range(positions):
            squares = epsilon
            for i in range(width):
                squares += x[s, t, i] * x[s, t, i]
            factor = scale / math.sqrt(squares)
            for i in range(width):
                window[before + t, i] = _clipped(x[s, t, i] * factor, limit)
                sums[i] = window[before + t, i] * taps[before, i]
            for tap in range(before):
                for i in range(width):
                    sums[i] += window[t + tap, i] * taps[tap, i]
            for i in range(width):
                h[s, t, i] = np.int16(_clipped(sums[i] * tap_scale, limit))
        tail[s] = window[x.shape[1] :]


@inner
def _unit(sums, start, count, shift_scale, epsilon, scale, limit, unit, out):  # type: ignore[no-untyped-def]
    """Shift a head's sums to activations and normalise them; ``unit`` ``(count,)`` is scratch."""
    squares = epsilon
    for c in range(count):
        v = _clipped(np.float64(sums[start + c]) * shift_scale, limit)
        unit[c] = v
        squares += v * v
    factor = scale / math.sqrt(squares)
    for c in range(count):
        out[c] = np.int16(_clipped(unit[c] * factor, limit))


@inner
def _split_heads(sums, shift_scale, epsilon, scales, limit, lengths, queries, keys, values):  # type: ignore[no-untyped-def]
    """Queries, keys and values from the sums ``(streams, positions, 3 * width)``, all int16.

    ``queries`` ``(streams, positions, width)`` is written; so are ``keys`` and ``values``, ``(streams, heads, capacity,
    head)``, from the position ``lengths[stream]`` on. ``scales`` ``(heads + 1,)``: of each head's queries, and of keys.
    """
    streams, positions, width = U(queries.shape[0]), U(queries.shape[1]), U(queries.shape[2])
    heads, head = U(keys.shape[1]), U(keys.shape[3])
    unit = np.empty(keys.shape[3])
    for s in range(streams):
        for t in range(positions):
            row, place = sums[s, t], U(lengths[s]) + t
            for h in range(heads):
                start = h * head
                query = queries[s, t, start : start + head]
                _unit(row, start, head, shift_scale, epsilon, scales[h], limit, unit, query)
                _unit(row, width + start, head, shift_scale, epsilon, scales[heads], limit, unit, keys[s, h, place])
                start += U(2) * width
                for c in range(head):
                    values[s, h, place, c] = np.int16(_clipped(np.float64(row[start + c]) * shift_scale, limit))


@inner
def _bound(query):  # type: ignore[no-untyped-def]
    """No score lies further than this from 0: a key is at most ``1024 * sqrt(head)`` long, but for rounding."""
    squares = 0.0
    for c in range(query.size):
        squares += np.float64(query[c]) * np.float64(query[c])
    return math.sqrt(squares * query.size) * 1025.0


@inner
def _reach(bound, slope):  # type: ignore[no-untyped-def]
    """How many steps back a weight may be other than 0, which ends 21 bits below the highest score, at ``-bound``."""
    if slope == 0:
        return np.int64(1 << 40)
    return np.int64((2.0 * bound + 22.0 * 1048576.0) / slope) + 1


@inner
def _weighted_sum(weights, values, start, stop, sums):  # type: ignore[no-untyped-def]
    """``sums = weights[start:stop] @ values[start:stop]``."""
    for c in range(U(sums.shape[0])):
        sums[c] = 0.0
    for j in range(start, stop):
        for c in range(U(sums.shape[0])):
            sums[c] += np.float64(weights[j]) * np.float64(values[j, c])


@inner
def _attend_head(query, keys, values, start, here, slope, table, scores, weights, sums):  # type: ignore[no-untyped-def]
    """Weighted values of the keys from ``start`` to ``here`` to ``sums``; returns the sum of the weights."""
    head, first, stop = U(sums.shape[0]), U(start), U(here + 1)
    most = np.int64(-(1 << 62))
    for j in range(first, stop):
        total = np.int32(0)
        for c in range(head):
            total = np.int32(total + np.int32(query[c]) * np.int32(keys[j, c]))
        scores[j] = total
    for j in range(first, stop):
        most = max(most, np.int64(scores[j]) + slope * (np.int64(j) - here))
    total_weight = np.int64(0)
    for j in range(first, stop):
        below = (most - np.int64(scores[j]) - slope * (np.int64(j) - here)) >> 10
        weight = np.int64(table[U(below & 1023)]) >> min(below >> 10, 63)
        weights[j] = weight
        total_weight += weight
    _weighted_sum(weights, values, first, stop, sums)
    return total_weight


#: Of a query whose scores are within this, what is computed with them fits 32 bits; and what ranks below all of them.
_QUICK_BOUND, _NEVER = 2.0**28, np.int32(-(1 << 30))


@inner
def _attend_head_quickly(query, keys, values, start, here, slope, table, scores, low, high, sums):  # type: ignore[no-untyped-def]
    """:func:`_attend_head` in blocks of KEYS, of which the first and the last reach over the keys that count.

    With ``bound`` below 2**28, scores differ by less than 2**29, slopes lower them by less than 2**29 + 2**25 as far as
    weights reach, and a block further by less than 2**25: no sum leaves 32 bits, and _NEVER is 2**29 below the highest.
    """
    first, stop = start // KEYS * KEYS, (here // KEYS + 1) * KEYS
    products(keys, first, (stop - first) // ROWS, query, scores)
    for j in range(first, start):
        scores[j] = _NEVER
    for j in range(here + 1, stop):
        scores[j] = _NEVER
    most, here32, slope32 = np.int32(_NEVER), np.int32(here), np.int32(slope)
    for j in range(U(first), U(stop)):
        scores[j] = np.int32(scores[j] + np.int32(slope32 * np.int32(np.int32(j) - here32)))
        most = max(most, scores[j])
    total = exponentiate(scores, first, (stop - first) // ROWS, most, table, low, high)
    weigh(low, high, values, first, (stop - first) // KEYS, sums)
    return np.int64(np.uint32(total))


@inner
def _attend(queries, keys, values, lengths, window, slopes, table, limit, out):  # type: ignore[no-untyped-def]
    """Attention of new positions of streams: queries and out int16 ``(streams, positions, width)``.

    The capacity of ``keys`` and ``values``, which hold the new positions too, is a multiple of KEYS.
    """
    heads, capacity, head = keys.shape[1], keys.shape[2], keys.shape[3]
    scores, weights = np.empty(capacity, np.int32), np.empty(capacity, np.int64)
    low, high, sums = np.empty(capacity, np.int16), np.empty(capacity, np.int16), np.empty(head)
    for s in range(queries.shape[0]):
        for h in range(heads):
            slope, some_keys, some_values = np.int64(slopes[h]), keys[s, h], values[s, h]
            for t in range(queries.shape[1]):
                here = lengths[s] + t
                query = queries[s, t, h * head : (h + 1) * head]
                bound = _bound(query)
                start = max(0, here - min(window - 1, _reach(bound, slope)))
                if head % LANES == 0 and bound < _QUICK_BOUND:
                    total = _attend_head_quickly(
                        query, some_keys, some_values, start, here, slope, table, scores, low, high, sums
                    )
                else:
                    total = _attend_head(
                        query, some_keys, some_values, start, here, slope, table, scores, weights, sums
                    )
                for c in range(head):
                    out[s, t, h * head + c] = np.int16(_clipped(sums[c] / np.float64(total), limit))


@inner
def _add(x, sums, scale, limit):  # type: ignore[no-untyped-def]
    """``x += sums * scale``, rounded: rows ``(rows, width)``."""
    for r in range(U(x.shape[0])):
        for i in range(U(x.shape[1])):
            x[r, i] = min(max(x[r, i] + math.floor(np.float64(sums[r, i]) * scale + 0.5), -limit), limit)


@inner
def _mix(x, embedded, keep, again, scale, limit):  # type: ignore[no-untyped-def]
    """``x = (x * keep + embedded * again) * scale``, rounded: rows ``(rows, width)``, factors ``(width,)``."""
    for r in range(U(x.shape[0])):
        for i in range(U(x.shape[1])):
            x[r, i] = _clipped((x[r, i] * keep[i] + embedded[r, i] * again[i]) * scale, limit)


@inner
def _square_positive(sums, scale, square_scale, limit, out):  # type: ignore[no-untyped-def]
    """``relu(sums * scale)**2 * square_scale``, both steps rounded: ``(rows, hidden)``, int32 to int16."""
    for r in range(U(sums.shape[0])):
        for i in range(U(sums.shape[1])):
            v = min(max(math.floor(np.float64(sums[r, i]) * scale + 0.5), 0.0), limit)
            out[r, i] = np.int16(min(math.floor(v * v * square_scale + 0.5), limit))


@kernel
def predict(x, epsilon, scales, limit, unembedding, table, probabilities):  # type: ignore[no-untyped-def]
    """Norm, unembedding, and probabilities ``(rows, vocabulary)``. ``scales``: of the norm and of logits."""
    rows, width = x.shape
    h, logits = np.empty((1, width), np.int16), np.empty((1, unembedding.shape[0]), np.int32)
    for r in range(rows):
        squares = epsilon
        for i in range(U(width)):
            squares += x[r, i] * x[r, i]
        factor = scales[0] / math.sqrt(squares)
        for i in range(U(width)):
            h[0, i] = np.int16(_clipped(x[r, i] * factor, limit))
        multiply(unembedding, h, logits)
        _distribute(logits[0], scales[1], table, probabilities[r])


@inner
def _distribute(logits, scale, table, probabilities):  # type: ignore[no-untyped-def]
    """Probabilities ``(vocabulary,)``: integers ``2**(40 + logit - highest)``, 1 at least, over their sum."""
    most, total = -1e300, 0.0
    for i in range(U(logits.size)):
        probabilities[i] = math.floor(np.float64(logits[i]) * scale + 0.5)
        most = max(most, probabilities[i])
    for i in range(U(logits.size)):
        below = np.int64(most - probabilities[i])
        probabilities[i] = np.float64(max(table[below & 1023] >> min(below >> 10, 63), 1))
        total += probabilities[i]
    for i in range(U(logits.size)):
        probabilities[i] /= total


@kernel
def advance(x, embedded, layer, scales, epsilons, limits, keys, values, lengths, window, tail, tail_mlp):  # type: ignore[no-untyped-def]
    """One layer for new positions of streams: x and embedded ``(streams, positions, width)``.

    ``layer``: keep, again, near, near_mlp, qkv, out, up, down, query and key scales, slopes, table; ``scales``: of
    factors, norm, qkv, out, up, squares, down; ``epsilons``: of the stream's norm and the heads'; ``limits``: of
    activations and the residual stream.
    """
    keep, again, near, near_mlp, qkv, out, up, down, head_scales, slopes, table = layer
    streams, positions, width = x.shape
    rows = streams * positions
    x_rows, h = x.reshape((rows, width)), np.empty(x.shape, np.int16)
    h_rows = h.reshape((rows, width))
    _mix(x_rows, embedded.reshape((rows, width)), keep, again, scales[0], limits[1])
    _normalise_and_convolve(x, epsilons[0], scales[1], near, scales[0], limits[0], tail, h)
    sums, queries = np.empty((streams, positions, 3 * width), np.int32), np.empty(x.shape, np.int16)
    multiply(qkv, h_rows, sums.reshape((rows, 3 * width)))
    _split_heads(sums, scales[2], epsilons[1], head_scales, limits[0], lengths, queries, keys, values)
    _attend(queries, keys, values, lengths, window, slopes, table, limits[0], h)
    change = np.empty((rows, width), np.int32)
    multiply(out, h_rows, change)
    _add(x_rows, change, scales[3], limits[1])
    _normalise_and_convolve(x, epsilons[0], scales[1], near_mlp, scales[0], limits[0], tail_mlp, h)
    above, hidden = np.empty((rows, up.shape[0]), np.int32), np.empty((rows, up.shape[0]), np.int16)
    multiply(up, h_rows, above)
    _square_positive(above, scales[4], scales[5], limits[0], hidden)
    multiply(down, hidden, change)
    _add(x_rows, change, scales[6], limits[1])
    for s in range(streams):
        lengths[s] += positions
