"""What stands between the transformer's matrix products, compiled, each loop one pass over its data.

Arrays of float64 hold integers (see ``fixed.py``); ``rows`` are positions of streams. Multiplications and additions are
never fused here (no fast-math), though where all values are integers it would not matter. Hot loops have unsigned
indices: signed ones may count from the end, and testing for that keeps them from being vectorised.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compgen.jit import inner, kernel
from compgen.predictors.transformer._vectors import KEYS, LANES, ROWS, products, weigh
from compgen.predictors.transformer._vectors import exponentiate as exponentiate_scores

U: Any = np.uint64


@inner
def _clipped(x, limit):  # type: ignore[no-untyped-def]
    return min(max(math.floor(x + 0.5), -limit), limit)


@kernel
def normalise_and_convolve(x, epsilon, scale, taps, tap_scale, limit, tail, h):  # type: ignore[no-untyped-def]
    """RMS norm, then a causal convolution: x and h ``(streams, positions, width)``, taps ``(taps, width)``.

    ``tail`` ``(streams, taps - 1, width)`` holds the last normalised rows and is moved on.
    """
    streams, positions, width = U(x.shape[0]), U(x.shape[1]), U(x.shape[2])
    before = U(tail.shape[1])
    window = np.empty((tail.shape[1] + x.shape[1], x.shape[2]))
    for s in range(streams):
        window[: tail.shape[1]] = tail[s]
        for t in range(positions):
            squares = epsilon
            for i in range(width):
                squares += x[s, t, i] * x[s, t, i]
            factor = scale / math.sqrt(squares)
            for i in range(width):
                window[before + t, i] = _clipped(x[s, t, i] * factor, limit)
            for i in range(width):
                total = 0.0
                for tap in range(before + U(1)):
                    total += window[t + tap, i] * taps[tap, i]
                h[s, t, i] = _clipped(total * tap_scale, limit)
        tail[s] = window[x.shape[1] :]


@kernel
def normalise(x, epsilon, scale, limit, h):  # type: ignore[no-untyped-def]
    """RMS norm of rows ``(rows, width)``."""
    rows, width = U(x.shape[0]), U(x.shape[1])
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
    streams, positions = U(sums.shape[0]), U(sums.shape[1])
    heads, head = U(queries.shape[1]), U(queries.shape[3])
    width = heads * head
    unit = np.empty(queries.shape[3])
    for s in range(streams):
        for t in range(positions):
            row = sums[s, t]
            place = U(lengths[s]) + t
            for h in range(heads):
                _unit(row, h * head, head, shift_scale, epsilon, scales[h], limit, queries[s, h, t])
                _unit(row, width + h * head, head, shift_scale, epsilon, scales[heads], limit, unit)
                for c in range(head):
                    keys[s, h, place, c] = np.int16(unit[c])
                    v = _clipped(row[U(2) * width + h * head + c] * shift_scale, limit)
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
            row[j] = np.float64(np.int64(table[below & 1023]) >> min(below >> 10, 63))
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
    total = exponentiate_scores(scores, first, (stop - first) // ROWS, most, table, low, high)
    weigh(low, high, values, first, (stop - first) // KEYS, sums)
    return np.int64(np.uint32(total))


@kernel
def attend(queries, keys, values, lengths, window, slopes, table, limit, out):  # type: ignore[no-untyped-def]
    """Attention of one new position a stream: queries ``(streams, heads, 1, head)``; out ``(streams, width)``.

    The same numbers as a matrix product, :func:`exponentiate`, another product and :func:`divide` give. The capacity
    of ``keys`` and ``values`` is a multiple of KEYS.
    """
    streams, heads, _, head = queries.shape
    scores, weights = np.empty(keys.shape[2], np.int32), np.empty(keys.shape[2], np.int64)
    low, high = np.empty(keys.shape[2], np.int16), np.empty(keys.shape[2], np.int16)
    query, sums = np.empty(head, np.int16), np.empty(head, np.float64)
    for s in range(streams):
        here = lengths[s]
        for h in range(heads):
            for c in range(head):
                query[c] = np.int16(queries[s, h, 0, c])
            slope, bound = np.int64(slopes[h]), _bound(query)
            start = max(0, here - min(window - 1, _reach(bound, slope)))
            if head % LANES == 0 and bound < _QUICK_BOUND:
                total = _attend_head_quickly(
                    query, keys[s, h], values[s, h], start, here, slope, table, scores, low, high, sums
                )
            else:
                total = _attend_head(query, keys[s, h], values[s, h], start, here, slope, table, scores, weights, sums)
            for c in range(head):
                out[s, h * head + c] = _clipped(sums[c] / np.float64(total), limit)


@kernel
def add(x, sums, scale, limit):  # type: ignore[no-untyped-def]
    """``x += sums * scale``, rounded: rows ``(rows, width)``."""
    for r in range(U(x.shape[0])):
        for i in range(U(x.shape[1])):
            x[r, i] = min(max(x[r, i] + math.floor(sums[r, i] * scale + 0.5), -limit), limit)


@kernel
def mix(x, embedded, keep, again, scale, limit):  # type: ignore[no-untyped-def]
    """``x = (x * keep + embedded * again) * scale``, rounded: rows ``(rows, width)``, factors ``(width,)``."""
    for r in range(U(x.shape[0])):
        for i in range(U(x.shape[1])):
            x[r, i] = _clipped((x[r, i] * keep[i] + embedded[r, i] * again[i]) * scale, limit)


@kernel
def square_positive(sums, scale, square_scale, limit):  # type: ignore[no-untyped-def]
    """``relu(sums * scale)**2 * square_scale`` in place, both steps rounded: ``(rows, hidden)``."""
    for r in range(U(sums.shape[0])):
        for i in range(U(sums.shape[1])):
            v = min(max(math.floor(sums[r, i] * scale + 0.5), 0.0), limit)
            sums[r, i] = min(math.floor(v * v * square_scale + 0.5), limit)


@kernel
def distribute(logits, scale, table, probabilities):  # type: ignore[no-untyped-def]
    """Probabilities ``(rows, vocabulary)``: integers ``2**(40 + logit - highest)``, 1 at least, over their sum."""
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
    outputs, inputs = matrix.shape
    quick = outputs // ROWS * ROWS if inputs % LANES == 0 else 0
    sums = np.empty(outputs, np.int32)
    for s in range(vectors.shape[0]):
        products(matrix, 0, quick // ROWS, vectors[s], sums)
        for o in range(quick, outputs):
            total = np.int32(0)
            for i in range(U(inputs)):
                total = np.int32(total + np.int32(matrix[o, i]) * np.int32(vectors[s, i]))
            sums[o] = total
        for o in range(U(outputs)):
            out[s, o] = np.float64(sums[o])


@kernel
def step(x, embedded, layer, scales, epsilons, limits, keys, values, lengths, window, tail, tail_mlp):  # type: ignore[no-untyped-def]
    """One layer for one new position of a few streams: x and embedded ``(streams, width)``.

    ``layer``: keep, again, near, near_mlp, qkv, out, up, down, query and key scales, slopes, table; ``scales``: of
    factors, norm, qkv, out, up, squares, down; ``epsilons``: of the stream's norm and the heads'; ``limits``: of
    activations and the residual stream.
    """
    keep, again, near, near_mlp, qkv, out, up, down, head_scales, slopes, table = layer
    streams, width = x.shape
    heads, head = keys.shape[1], keys.shape[3]
    h = np.empty((streams, 1, width))
    mix(x, embedded, keep, again, scales[0], limits[1])
    normalise_and_convolve(x.reshape((streams, 1, width)), epsilons[0], scales[1], near, scales[0], limits[0], tail, h)
    sums = np.empty((streams, 3 * width))
    multiply(qkv, h.reshape((streams, width)).astype(np.int16), sums)
    queries = np.empty((streams, heads, 1, head))
    split_heads(
        sums.reshape((streams, 1, 3 * width)), scales[2], epsilons[1], head_scales, limits[0],
        lengths, queries, keys, values,
    )  # fmt: skip
    attended = np.empty((streams, width))
    attend(queries, keys, values, lengths, window, slopes, table, limits[0], attended)
    change = np.empty((streams, width))
    multiply(out, attended.astype(np.int16), change)
    add(x, change, scales[3], limits[1])
    normalise_and_convolve(
        x.reshape((streams, 1, width)), epsilons[0], scales[1], near_mlp, scales[0], limits[0], tail_mlp, h
    )
    hidden = np.empty((streams, up.shape[0]))
    multiply(up, h.reshape((streams, width)).astype(np.int16), hidden)
    square_positive(hidden, scales[4], scales[5], limits[0])
    multiply(down, hidden.astype(np.int16), change)
    add(x, change, scales[6], limits[1])
    for s in range(streams):
        lengths[s] += 1
