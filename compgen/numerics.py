"""exp2, log2 and softmax that give the same bits on every machine.

Library exponentials differ in the last place between platforms, and one such difference is enough for a sample to take
another path. These use only +, -, *, / and exact scaling by powers of two, each correctly rounded by IEEE 754 and
applied element by element, and sums in a fixed order; so the results depend on nothing but the arguments. The error is
a few units in the last place.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LN2 = math.log(2.0)
#: 2**f = exp(f ln 2) on [-1/2, 1/2] by its Taylor series: 14 terms leave less than 2**-57.
_EXP2_SERIES = [_LN2**k / math.factorial(k) for k in range(14, -1, -1)]
#: log2(m) = 2/ln2 * artanh(t), t = (m-1)/(m+1), |t| <= 0.1716 for m in [1/sqrt2, sqrt2]: 11 odd terms leave less than
#: 2**-59.
_LOG2_SERIES = [2.0 / _LN2 / (2 * k + 1) for k in range(11, -1, -1)]


def exp2(x: FloatArray) -> FloatArray:
    """``2**x`` elementwise, float64; exact at integers; 0 below -1022."""
    clipped = np.clip(x, -1100.0, 1100.0)
    whole = np.floor(clipped + 0.5)
    fraction = clipped - whole
    value = np.full_like(clipped, _EXP2_SERIES[0])
    for coefficient in _EXP2_SERIES[1:]:
        value = value * fraction + coefficient
    result: FloatArray = np.where(clipped < -1022.0, 0.0, np.ldexp(value, whole.astype(np.int32)))
    return result


def log2(x: FloatArray) -> FloatArray:
    """Base-2 logarithm elementwise of positive, normal float64; exact at powers of two."""
    mantissa, exponent = np.frexp(x)  # mantissa in [1/2, 1)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    exponent = exponent - low
    t = (mantissa - 1.0) / (mantissa + 1.0)
    square = t * t
    series = np.full_like(t, _LOG2_SERIES[0])
    for coefficient in _LOG2_SERIES[1:]:
        series = series * square + coefficient
    result: FloatArray = exponent + series * t
    return result


def ordered_sum(x: FloatArray) -> FloatArray:
    """Sum over the last axis, kept as length 1, from left to right (``np.sum`` may group by vector width)."""
    return np.cumsum(x, axis=-1)[..., -1:]


def softmax2(length_bits: FloatArray) -> FloatArray:
    """``2**-length`` normalised over the last axis: code lengths in bits to probabilities.

    Codes shorter by 1022 bits than another would leave that one at 0; it gets the smallest normal number instead, so
    that every probability is positive.
    """
    shifted = np.min(length_bits, axis=-1, keepdims=True) - length_bits
    weights = np.maximum(exp2(shifted), np.finfo(np.float64).tiny)
    return weights / ordered_sum(weights)
