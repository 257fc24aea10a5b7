"""Guides: other predictors' opinions as inputs of the mixers.

A guide is asked for the probabilities of all 256 bytes. What it gives the nodes of the byte's tree are sums of these,
as integers (``m.advice``), and its opinion on a bit is the logit of two of them, which the mixers take as they take
those of the model's own contexts: after the use of a recurrent network as one more model in paq8 and cmix (Knoll 2016).
"""

from __future__ import annotations

import math

from compgen.predictors.contextmix._fields import GUIDES, I32, I64, U
from compgen.predictors.contextmix._fields import inlined as _inlined

#: A probability is counted in this many.
_ONE = float(1 << 40)
#: ln 2 in units of ``m.logarithms``.
_LN2 = 11357
_MOST = 3071


@_inlined
def take(m, advice, i):  # type: ignore[no-untyped-def]
    """Take in what the guides say of a byte: row ``i`` of ``advice``, float64 ``(n, guides, 256)``.

    Nothing at all (n is 0) is the opinion that all is equally likely.
    """
    for g in range(U(m.settings[GUIDES])):
        tree = g * U(512)
        for s in range(U(256)):
            m.advice[tree + U(256) + s] = I64(advice[i, g, s] * _ONE) + 1 if len(advice) else 1
        for node in range(255, 0, -1):
            m.advice[tree + U(node)] = m.advice[tree + U(2 * node)] + m.advice[tree + U(2 * node + 1)]


@_inlined
def opine(m, at, c0):  # type: ignore[no-untyped-def]
    """Two inputs for each guide, from ``at`` on: how likely a 1 is after the bits ``c0``, as a logit and plainly."""
    for g in range(U(m.settings[GUIDES])):
        node = g * U(512) + (U(c0) << U(1))
        logit = (_logarithm(m, m.advice[node + U(1)]) - _logarithm(m, m.advice[node])) >> 6
        logit = min(max(logit, I64(-_MOST)), I64(_MOST))
        m.inputs[at + U(2) * g] = I32(logit)
        m.inputs[at + U(2) * g + U(1)] = (I32(m.squash[U(logit + 3072)]) - I32(32768)) >> I32(5)


@_inlined
def _logarithm(m, count):  # type: ignore[no-untyped-def]
    mantissa, exponent = math.frexp(float(count))
    return I64(m.logarithms[U(I64(mantissa * 8192.0) - 4096)]) + exponent * _LN2
