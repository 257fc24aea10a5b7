"""The loops of logistic mixing: a byte as eight binary decisions, several predictors' opinions on each.

Float64 with +, -, *, / and scaling by powers of two only, in a fixed order (see :mod:`compgen.numerics`), so that the
numbers are the same everywhere.
"""

from __future__ import annotations

import math

import numpy as np

from compgen.jit import inner, kernel
from compgen.numerics import EXP2_SERIES, LOG2_SERIES

_EXP2, _LOG2 = tuple(EXP2_SERIES), tuple(LOG2_SERIES)
#: Bits: no opinion counts for more, and no decision gets less than 2**-MOST.
MOST = 20.0


@inner
def _log2(x):  # type: ignore[no-untyped-def]
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa *= 2.0
        exponent -= 1
    t = (mantissa - 1.0) / (mantissa + 1.0)
    square = t * t
    series = _LOG2[0]
    for i in range(1, len(_LOG2)):
        series = series * square + _LOG2[i]
    return exponent + t * series


@inner
def _exp2(x):  # type: ignore[no-untyped-def]
    whole = math.floor(x + 0.5)
    fraction = x - whole
    value = _EXP2[0]
    for i in range(1, len(_EXP2)):
        value = value * fraction + _EXP2[i]
    return math.ldexp(value, int(whole))


@inner
def _squash(bits):  # type: ignore[no-untyped-def]
    """P(1) from a logit in bits."""
    return 1.0 / (1.0 + _exp2(-min(max(bits, -MOST), MOST)))


@inner
def _trees(experts, opinions):  # type: ignore[no-untyped-def]
    """The logit of each part at each of the 255 nodes of the byte's tree: to opinions ``(256, parts)``."""
    sums = np.empty(512)
    for k in range(experts.shape[0]):
        sums[256:] = experts[k]
        for node in range(255, 0, -1):
            sums[node] = sums[2 * node] + sums[2 * node + 1]
        for node in range(1, 512):
            sums[node] = _log2(max(sums[node], 1e-300))
        for node in range(1, 256):
            opinions[node, k] = min(max(sums[2 * node + 1] - sums[2 * node], -MOST), MOST)


@kernel
def mix(experts, weights, previous, opinions, logits, out):  # type: ignore[no-untyped-def]
    """P(byte), ``out`` ``(256,)``, from those of the parts ``(parts, 256)``.

    ``weights`` ``(sets, contexts, parts + 1)``; the sets are chosen by the node, and by the byte before and the depth
    of the node. ``opinions`` ``(256, parts + 1)`` and each set's ``logits`` ``(256, sets)`` are left for learning.
    """
    parts = experts.shape[0]
    _trees(experts, opinions)
    out[0] = 1.0
    depth = 0
    for node in range(1, 256):
        if node >= 2 << depth:
            depth += 1
        opinions[node, parts] = 0.25
        total = 0.0
        for k in range(weights.shape[0]):
            row = node if k == 0 else (previous << 3) + depth
            logit = 0.0
            for i in range(parts + 1):
                logit += weights[k, row, i] * opinions[node, i]
            logits[node, k] = logit
            total += logit
        p = _squash(total / weights.shape[0])
        size = 256 >> depth
        first = (node - (1 << depth)) * size
        so_far = out[first]
        out[first + (size >> 1)] = so_far * p
        out[first] = so_far * (1.0 - p)


@kernel
def learn(byte, previous, opinions, logits, rate, weights):  # type: ignore[no-untyped-def]
    """A step down the gradient of the code length of ``byte``, for each set by itself."""
    for depth in range(8):
        node = (256 | byte) >> (8 - depth)
        bit = (byte >> (7 - depth)) & 1
        for k in range(weights.shape[0]):
            row = node if k == 0 else (previous << 3) + depth
            error = (bit - _squash(logits[node, k])) * rate
            for i in range(weights.shape[2]):
                weights[k, row, i] += error * opinions[node, i]
